/* SPDX-License-Identifier: MIT
 *
 * What the fuzz targets share. A target is one function that takes bytes and does what a program
 * would do with them; it must come back, and what it says must hold. Built with libFuzzer it is
 * given new bytes for ever (KIRIM_FUZZ in CMake); built with replay.c it is given the files of the
 * corpus once, as a test. One thread.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Ends the program, with a place to look at, if a claim does not hold. */
#define FUZZ_CLAIM(claim)                                                             \
    do {                                                                              \
        if (!(claim)) {                                                               \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

/* A kirim_alloc_fn; `user` is a size_t, the blocks given and not taken back. */
static inline void *fuzz_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    size_t *const blocks = (size_t *)user;
    (void)old_bytes;
    if (new_bytes == 0) {
        *blocks -= old != NULL ? 1 : 0;
        free(old);
        return NULL;
    }
    FUZZ_CLAIM(old == NULL);
    void *const block = malloc(new_bytes);
    *blocks += block != NULL ? 1 : 0;
    return block;
}

#endif
