/* SPDX-License-Identifier: MIT
 *
 * Memory: the loop's allocator, and the C library's behind it where the user gave none. Loop
 * thread.
 */
#include "core.h"

#include <stdlib.h>
#include <string.h>

void *ki_default_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    (void)user;
    (void)old_bytes;
    if (new_bytes == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_bytes);
}

void *kirim_loop_alloc(struct kirim_loop *loop, void *old, size_t old_bytes, size_t new_bytes)
{
    return loop->alloc(loop->alloc_user, old, old_bytes, new_bytes);
}

void *ki_alloc(struct kirim_loop *loop, size_t bytes)
{
    void *block = loop->alloc(loop->alloc_user, NULL, 0, bytes);
    if (block != NULL) {
        memset(block, 0, bytes);
    }
    return block;
}

void ki_free(struct kirim_loop *loop, void *block, size_t bytes)
{
    if (block != NULL) {
        loop->alloc(loop->alloc_user, block, bytes, 0);
    }
}
