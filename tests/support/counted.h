/* SPDX-License-Identifier: MIT
 *
 * A loop that has nothing but memory, for tests of the parts that ask a loop for nothing else. One
 * thread.
 */
#ifndef TEST_COUNTED_H
#define TEST_COUNTED_H

#include <check.h>
#include <stdlib.h>

#include "core.h"
#include "memory.h"

struct counted {
    struct kirim_loop loop; /* only its allocator is set */
    struct kit_memory memory;
};

static inline struct counted *counted_new(void)
{
    struct counted *c = calloc(1, sizeof *c);
    ck_assert_ptr_nonnull(c);
    c->memory.is_lasting = true;
    c->loop.alloc = kit_alloc;
    c->loop.alloc_user = &c->memory;
    return c;
}

/* From now on there is no memory, or there is again. */
static inline void counted_refuse(struct counted *c, bool is_refused)
{
    c->memory.fail_at = is_refused ? 1 : 0;
}

static inline void counted_free(struct counted *c)
{
    ck_assert_uint_eq(c->memory.blocks, 0);
    ck_assert_uint_eq(c->memory.bytes, 0);
    free(c);
}

#endif
