# SPDX-License-Identifier: MIT
#
# KIRIM_SANITIZE holds for everything that is compiled, so that no object is left uninstrumented.

if(KIRIM_SANITIZE)
    add_compile_options(
        -fsanitize=${KIRIM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${KIRIM_SANITIZE})
endif()
