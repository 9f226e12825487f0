# SPDX-License-Identifier: MIT
#
# KIRIM_SANITIZE holds for everything that is compiled, so that no object is left uninstrumented.

if(KIRIM_SANITIZE)
    add_compile_options(
        -fsanitize=${KIRIM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    if(MINGW)
        # No library there reports what is found: the program ends by an illegal instruction.
        add_compile_options(-fsanitize-undefined-trap-on-error)
    else()
        add_link_options(-fsanitize=${KIRIM_SANITIZE})
    endif()
endif()
