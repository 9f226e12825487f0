/* SPDX-License-Identifier: MIT
 *
 * The plan, and the memory that carries it out: counted, poisoned, and refused at the n-th call.
 * See faults.h. One thread.
 */
#include "faults.h"

#include <stdlib.h>
#include <string.h>

struct fault_plan fault_plan;

bool fault_strikes(void)
{
    struct fault_plan *p = &fault_plan;
    p->eligible_count++;
    const bool is_hit =
        p->eligible_count == p->nth || (p->is_lasting && p->eligible_count > p->nth);
    p->hit_count += is_hit;
    return is_hit;
}

/* In front of each block; as long as the strictest alignment. */
struct block {
    _Alignas(max_align_t) size_t bytes;
    size_t magic;
};

enum { MAGIC = 0x6661756c, POISON_BYTES = 4096 };

static void poison(void *at, int value, size_t bytes)
{
    memset(at, value, bytes < POISON_BYTES ? bytes : POISON_BYTES);
}

static void *take(size_t bytes)
{
    if (fault_plan.kind == FAULT_MEMORY && fault_strikes()) {
        return NULL;
    }
    struct block *b = malloc(sizeof *b + bytes);
    if (b == NULL) {
        fault_fail("the test itself is out of memory");
    }
    *b = (struct block){ bytes, MAGIC };
    poison(b + 1, 0xa5, bytes);
    fault_plan.block_count++;
    fault_plan.byte_count += bytes;
    return b + 1;
}

static void give_back(void *old, size_t old_bytes)
{
    struct block *b = (struct block *)old - 1;
    if (b->magic != MAGIC || b->bytes != old_bytes) {
        fault_fail("gave back %zu bytes of a block of %zu", old_bytes, b->bytes);
    }
    poison(old, 0xdd, old_bytes);
    b->magic = 0;
    fault_plan.block_count--;
    fault_plan.byte_count -= old_bytes;
    free(b);
}

void *fault_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    (void)user;
    void *block = NULL;
    if (new_bytes != 0) {
        block = take(new_bytes);
        if (block != NULL && old != NULL) {
            memcpy(block, old, old_bytes < new_bytes ? old_bytes : new_bytes);
        }
    }
    if (old != NULL && (new_bytes == 0 || block != NULL)) {
        give_back(old, old_bytes);
    }
    return block;
}
