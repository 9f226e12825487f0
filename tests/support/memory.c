/* SPDX-License-Identifier: MIT
 *
 * Memory that is counted, watched and can fail: see memory.h.
 */
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "claims.h"

/* Checks of its own speak up only when they fail: suites take memory before the first test as well,
 * when Check counts none. */

/* In front of each block; as long as the strictest alignment. */
struct block {
    _Alignas(max_align_t) size_t bytes;
    size_t magic;
};

enum { BLOCK_MAGIC = 0x6b736d65, FILL_BYTES_MAX = 4096 };

static void fill(void *at, int byte, size_t bytes)
{
    memset(at, byte, bytes < FILL_BYTES_MAX ? bytes : FILL_BYTES_MAX);
}

static void *take_block(struct kit_memory *m, size_t bytes)
{
    m->calls++;
    if (m->fail_at != 0 && (m->is_lasting ? m->calls >= m->fail_at : m->calls == m->fail_at)) {
        return NULL;
    }
    struct block *const b = malloc(sizeof *b + bytes);
    if (b == NULL) {
        ck_abort_msg("the system has no memory");
    }
    b->bytes = bytes;
    b->magic = BLOCK_MAGIC;
    fill(b + 1, 0xa5, bytes);
    m->blocks++;
    m->bytes += bytes;
    m->bytes_peak = m->bytes > m->bytes_peak ? m->bytes : m->bytes_peak;
    return b + 1;
}

static void give_back(struct kit_memory *m, void *old, size_t old_bytes)
{
    struct block *const b = (struct block *)old - 1;
    if (b->magic != BLOCK_MAGIC || b->bytes != old_bytes) {
        ck_abort_msg("gave back %lu bytes of a block of %lu", (unsigned long)old_bytes,
                     (unsigned long)b->bytes);
    }
    fill(old, 0xdd, old_bytes);
    b->magic = 0;
    m->blocks--;
    m->bytes -= old_bytes;
    free(b);
}

void *kit_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    struct kit_memory *const m = user;
    void *const block = new_bytes > 0 ? take_block(m, new_bytes) : NULL;
    if (old != NULL && (block != NULL || new_bytes == 0)) {
        if (block != NULL) {
            memcpy(block, old, old_bytes < new_bytes ? old_bytes : new_bytes);
        }
        give_back(m, old, old_bytes);
    }
    return block;
}
