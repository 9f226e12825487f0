/* SPDX-License-Identifier: MIT
 *
 * Memory that is counted, watched and can fail, for the loops and cores of a suite. What is given
 * is filled, what is given back is overwritten, and its size has to be the one that was asked for.
 * One thread.
 */
#ifndef TEST_MEMORY_H
#define TEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts as zeros. */
struct kit_memory {
    size_t blocks;     /* given and not given back */
    size_t bytes;      /* in them */
    size_t bytes_peak; /* the most at any time */
    uint64_t calls;    /* for a new or a larger block, refused ones included */
    uint64_t fail_at;  /* the call that is refused, counted from 1; 0: none */
    bool is_lasting;   /* and all after it */
};

/* A kirim_alloc_fn; `user` is a struct kit_memory. */
void *kit_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes);

#endif
