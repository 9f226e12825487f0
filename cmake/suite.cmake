# SPDX-License-Identifier: MIT
#
# kirim_add_program(NAME SOURCES file... [LIBS target...])
#     A program in bin/ that sees what a user sees: the public headers and the library.
#
# kirim_add_suite(NAME SOURCES file... [LIBS target...] [LABELS label...] [ARGS arg...] [TIMEOUT s])
#     One Check program bin/test_NAME, which sees the internal headers too, and the test NAME that
#     runs it. Labels: `long` is left out of an ordinary run, `threads` is run under TSan as well;
#     the target `threads_suites` builds those.
#
# kirim_add_storms(NAME)
#     The test NAME_long: the suite NAME with 1,000 seeds (tests/support/storm.h). Label: `long`.

function(kirim_add_program name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBS")
    add_executable(${name} ${arg_SOURCES})
    kirim_set_warnings(${name})
    target_link_libraries(${name} PRIVATE kirim::kirim ${arg_LIBS})
endfunction()

# The environment of every test: a report that ends the program, and time for a slowed one.
function(kirim_set_test_environment name)
    set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT
        "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1"
        "UBSAN_OPTIONS=print_stacktrace=1"
        "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")
    if(KIRIM_SANITIZE)
        set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "CK_TIMEOUT_MULTIPLIER=10")
    endif()
endfunction()

if(NOT TARGET threads_suites)
    add_custom_target(threads_suites)
endif()

function(kirim_add_suite name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;LIBS;LABELS;ARGS")
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 120)
    endif()
    set(target test_${name})
    add_executable(${target} ${arg_SOURCES})
    kirim_set_warnings(${target})
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
    target_include_directories(${target} PRIVATE
        "${PROJECT_SOURCE_DIR}/tests" "${PROJECT_SOURCE_DIR}/reactors")
    target_link_libraries(${target} PRIVATE
        ${arg_LIBS} kirim_internals kirim_testable kirim_claims)
    set_property(GLOBAL APPEND PROPERTY KIRIM_SUITES ${target})
    if("threads" IN_LIST arg_LABELS)
        add_dependencies(threads_suites ${target})
    endif()
    add_test(NAME ${name} COMMAND ${target} ${arg_ARGS})
    set_tests_properties(${name} PROPERTIES
        TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77 LABELS "${arg_LABELS}")
    kirim_set_test_environment(${name})
endfunction()

function(kirim_add_storms name)
    add_test(NAME ${name}_long COMMAND test_${name})
    set_tests_properties(${name}_long PROPERTIES
        TIMEOUT 900 LABELS long ENVIRONMENT KIRIM_SEEDS=1000)
    kirim_set_test_environment(${name}_long)
endfunction()
