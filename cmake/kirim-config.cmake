# SPDX-License-Identifier: MIT
#
#     find_package(kirim 0.1 [REQUIRED] [COMPONENTS component...])
#
# Components: `shared` and `static` ask for that library, and give the target kirim::shared or
# kirim::static. The name of a reactor (`epoll`, `libevent`, ...) asks that each library given has
# that reactor built in. kirim::kirim is the first library asked for; if none is, the shared one
# where it is installed, else the static one. Once there is a kirim::kirim, it stays what it is.
cmake_policy(VERSION 3.18)

set(kirim_installed "")
foreach(kirim_kind IN ITEMS shared static)
    if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/kirim-${kirim_kind}.cmake")
        list(APPEND kirim_installed ${kirim_kind})
    endif()
endforeach()

# The libraries: those asked for, or the first that is there.
set(kirim_kinds "")
foreach(kirim_component IN LISTS kirim_FIND_COMPONENTS)
    if(kirim_component IN_LIST kirim_installed)
        list(APPEND kirim_kinds ${kirim_component})
    endif()
endforeach()
if(NOT kirim_kinds)
    list(GET kirim_installed 0 kirim_kinds)
endif()
foreach(kirim_kind IN LISTS kirim_kinds)
    include("${CMAKE_CURRENT_LIST_DIR}/kirim-${kirim_kind}.cmake")
    if(DEFINED kirim_FOUND AND NOT kirim_FOUND)
        return()
    endif()
endforeach()

# The components: a library that is there, or a reactor that all of these libraries have.
foreach(kirim_component IN LISTS kirim_FIND_COMPONENTS)
    set(kirim_${kirim_component}_FOUND TRUE)
    set(kirim_reason "")
    if(kirim_component MATCHES "^(shared|static)$")
        if(NOT kirim_component IN_LIST kirim_installed)
            set(kirim_reason "kirim's ${kirim_component} library is not installed beside this file")
        endif()
    else()
        foreach(kirim_kind IN LISTS kirim_kinds)
            if(NOT kirim_component IN_LIST kirim_${kirim_kind}_reactors)
                list(JOIN kirim_${kirim_kind}_reactors ", " kirim_names)
                set(kirim_reason "kirim's ${kirim_kind} library was built without a reactor\
 '${kirim_component}'; it has ${kirim_names}")
            endif()
        endforeach()
    endif()
    if(kirim_reason)
        set(kirim_${kirim_component}_FOUND FALSE)
        if(kirim_FIND_REQUIRED_${kirim_component})
            set(kirim_FOUND FALSE)
            set(kirim_NOT_FOUND_MESSAGE "${kirim_reason}")
            return()
        endif()
    endif()
endforeach()

if(NOT TARGET kirim::kirim)
    list(GET kirim_kinds 0 kirim_kind)
    add_library(kirim::kirim ALIAS kirim::${kirim_kind})
endif()
