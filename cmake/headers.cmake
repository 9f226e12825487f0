# SPDX-License-Identifier: MIT
#
# kirim_add_header_check(): one source per public header, which includes it twice and nothing else;
# as C11 and, where there is a compiler for it, as the oldest C++ that it may meet and as C++17.

include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
    enable_language(CXX)
endif()

# A header that lib/CMakeLists.txt does not name would be neither tried nor installed.
function(kirim_check_header_list)
    file(GLOB found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/lib/include/kirim/*.h")
    get_property(named GLOBAL PROPERTY KIRIM_PUBLIC_HEADERS)
    list(REMOVE_ITEM found ${named})
    if(found)
        message(FATAL_ERROR "not in lib/CMakeLists.txt: ${found}")
    endif()
endfunction()

# kirim_add_header_library(NAME SUFFIX): the sources NAME/*.SUFFIX, in an object library.
function(kirim_add_header_library target suffix)
    get_property(headers GLOBAL PROPERTY KIRIM_PUBLIC_HEADERS)
    set(sources "")
    foreach(header IN LISTS headers)
        get_filename_component(name "${header}" NAME_WE)
        set(source "${CMAKE_CURRENT_BINARY_DIR}/${target}/${name}.${suffix}")
        set(text "#include <kirim/${name}.h>\n")
        file(CONFIGURE OUTPUT "${source}" CONTENT "${text}${text}" @ONLY)
        list(APPEND sources "${source}")
    endforeach()
    add_library(${target} OBJECT ${sources})
    target_link_libraries(${target} PRIVATE kirim)
endfunction()

function(kirim_add_header_check)
    kirim_check_header_list()
    kirim_add_header_library(kirim_headers_c c)
    kirim_set_warnings(kirim_headers_c)
    if(NOT CMAKE_CXX_COMPILER)
        return()
    endif()
    foreach(standard IN ITEMS 11 17)
        set(target kirim_headers_cpp${standard})
        kirim_add_header_library(${target} cpp)
        target_compile_options(${target} PRIVATE
            -Wall -Wextra -Wpedantic -Wconversion -Wundef $<$<BOOL:${KIRIM_WERROR}>:-Werror>)
        set_target_properties(${target} PROPERTIES
            CXX_STANDARD ${standard} CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
    endforeach()
endfunction()
