/* SPDX-License-Identifier: MIT
 *
 * A loop that has nothing but memory, for tests of the parts that ask a loop for nothing else. It
 * counts what it gives and can refuse. One thread.
 */
#ifndef TEST_COUNTED_H
#define TEST_COUNTED_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

struct counted {
    struct kirim_loop loop; /* only its allocator is set */
    size_t block_count;     /* given and not taken back */
    size_t byte_count;      /* in them */
    size_t call_count;      /* for new blocks */
    bool is_refusing;
};

static void *counted_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    struct counted *c = user;
    if (new_bytes == 0) {
        c->block_count -= old != NULL;
        c->byte_count -= old_bytes;
        free(old);
        return NULL;
    }
    ck_assert_ptr_null(old); /* nobody here resizes */
    c->call_count++;
    void *block = c->is_refusing ? NULL : malloc(new_bytes);
    if (block != NULL) {
        memset(block, 0xa5, new_bytes);
        c->block_count++;
        c->byte_count += new_bytes;
    }
    return block;
}

static inline struct counted *counted_new(void)
{
    struct counted *c = calloc(1, sizeof *c);
    ck_assert_ptr_nonnull(c);
    c->loop.alloc = counted_alloc;
    c->loop.alloc_user = c;
    return c;
}

static inline void counted_free(struct counted *c)
{
    ck_assert_uint_eq(c->block_count, 0);
    ck_assert_uint_eq(c->byte_count, 0);
    free(c);
}

#endif
