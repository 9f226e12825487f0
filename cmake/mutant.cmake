# SPDX-License-Identifier: MIT
#
# KIRIM_MUTANT names one fault of tests/mutants/mutants.txt, which stands in the build in place of
# the sound code. Only tests/mutants/mutate.py sets it; its build is for nothing else.
#
# kirim_mutate(SOURCES): puts the changed file into that list, if it is one of this directory.
set(KIRIM_MUTANT "" CACHE STRING "A planted fault, for the test of the tests; empty for none")
mark_as_advanced(KIRIM_MUTANT)

function(kirim_mutate list)
    if(NOT KIRIM_MUTANT)
        return()
    endif()
    find_program(KIRIM_PYTHON python3 REQUIRED)
    set(mutate "${KIRIM_PYTHON}" "${PROJECT_SOURCE_DIR}/tests/mutants/mutate.py")
    execute_process(COMMAND ${mutate} file "${KIRIM_MUTANT}"
        OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    get_filename_component(name "${path}" NAME)
    if(NOT "${PROJECT_SOURCE_DIR}/${path}" STREQUAL "${CMAKE_CURRENT_SOURCE_DIR}/${name}")
        return()
    endif()
    set(changed "${PROJECT_BINARY_DIR}/mutant/${path}")
    execute_process(COMMAND ${mutate} apply "${KIRIM_MUTANT}" "${changed}"
        COMMAND_ERROR_IS_FATAL ANY)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
        "${PROJECT_SOURCE_DIR}/tests/mutants/mutants.txt" "${PROJECT_SOURCE_DIR}/${path}")
    # It includes what lies beside the file that it replaces.
    set_source_files_properties("${changed}" PROPERTIES
        INCLUDE_DIRECTORIES "${CMAKE_CURRENT_SOURCE_DIR}")
    set(sources "${${list}}")
    list(TRANSFORM sources REPLACE "^${name}$" "${changed}")
    set(${list} "${sources}" PARENT_SCOPE)
endfunction()
