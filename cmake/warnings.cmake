# SPDX-License-Identifier: MIT
#
# The warnings that kirim's own targets hold for. gcc 12 and clang 14 know all of them.

function(kirim_set_warnings target)
    if(MSVC)
        target_compile_options(${target} PRIVATE /W3)
        return()
    endif()
    target_compile_options(${target} PRIVATE
        -Wall -Wextra -Wpedantic
        -Wcast-align
        -Wcast-qual
        -Wconversion
        -Wdouble-promotion
        -Wformat=2
        -Wimplicit-fallthrough
        -Wmissing-prototypes
        -Wold-style-definition
        -Wpointer-arith
        -Wshadow
        -Wstrict-prototypes
        -Wundef
        -Wvla
        -Wwrite-strings)
    # To mingw-w64's gcc the attribute of a function that formats means the old C runtime, without
    # %zu; what is called is mingw-w64's own, which knows it. The other builds judge the formats.
    if(MINGW)
        target_compile_options(${target} PRIVATE -Wno-format)
    endif()
    # An instrumented build warns of what gcc can no longer prove; the other builds are the judges.
    if(KIRIM_WERROR AND NOT KIRIM_SANITIZE)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
endfunction()
