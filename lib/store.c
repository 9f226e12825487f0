/* SPDX-License-Identifier: MIT
 *
 * The store behind a send queue; see store.h.
 *
 * Blocks double from 4 KiB to 128 KiB, so that the largest datagram fits with its control data.
 * What is in the tail block is never moved: queue entries point into it. Loop thread.
 */
#include "store.h"

#include "reactor.h"

enum { BLOCK_BYTES_MIN = 4096, BLOCK_BYTES_MAX = 128 * 1024 };

static void free_block(struct kirim_loop *loop, struct ki_block *b)
{
    if (b != NULL) {
        ki_free(loop, b, sizeof *b + b->room);
    }
}

/* An empty block of at least `bytes`, from the spare or from the allocator. */
static struct ki_block *get_block(struct kirim_loop *loop, struct ki_store *s, size_t bytes)
{
    struct ki_block *b = s->spare;
    if (b != NULL && b->room >= bytes) {
        s->spare = NULL;
        return b;
    }
    size_t room = BLOCK_BYTES_MIN;
    if (s->tail != NULL) {
        room = (size_t)s->tail->room * 2;
    }
    room = room > BLOCK_BYTES_MAX ? BLOCK_BYTES_MAX : room;
    room = room < bytes ? bytes : room;
    b = kirim_loop_alloc(loop, NULL, 0, sizeof *b + room);
    if (b != NULL) {
        *b = (struct ki_block){ .room = (uint32_t)room };
    }
    return b;
}

bool ki_store_grow(struct kirim_loop *loop, struct ki_store *s, size_t bytes)
{
    bytes = ki_store_round(bytes);
    struct ki_block *b = get_block(loop, s, bytes);
    if (b == NULL) {
        return false;
    }
    if (s->tail == NULL) {
        s->head = b;
    } else if (s->tail->live == 0) {
        /* Only the last block can be empty, and then it is too small: b takes its place. */
        struct ki_block **at = &s->head;
        while (*at != s->tail) {
            at = &(*at)->next;
        }
        free_block(loop, *at);
        *at = b;
    } else {
        s->tail->next = b;
    }
    s->tail = b;
    return true;
}

/* Takes the empty head off; it is kept if it is the largest spare. */
static void retire_head(struct kirim_loop *loop, struct ki_store *s)
{
    struct ki_block *b = s->head;
    s->head = b->next;
    b->next = NULL;
    if (s->spare == NULL || s->spare->room < b->room) {
        struct ki_block *smaller = s->spare;
        s->spare = b;
        b = smaller;
    }
    free_block(loop, b);
}

void ki_store_release(struct kirim_loop *loop, struct ki_store *s)
{
    struct ki_block *b = s->head;
    b->live--;
    if (b->live == 0) {
        b->used = 0;
        if (b != s->tail) {
            retire_head(loop, s);
        }
    }
}

void ki_store_release_all(struct kirim_loop *loop, struct ki_store *s)
{
    while (s->head != s->tail) {
        s->head->used = 0;
        s->head->live = 0;
        retire_head(loop, s);
    }
    if (s->tail != NULL) {
        s->tail->used = 0;
        s->tail->live = 0;
    }
}

void ki_store_undo(struct ki_store *s)
{
    s->tail->live--;
    if (s->tail->live == 0) {
        s->tail->used = 0;
    }
}

void ki_store_fini(struct kirim_loop *loop, struct ki_store *s)
{
    while (s->head != NULL) {
        struct ki_block *b = s->head;
        s->head = b->next;
        free_block(loop, b);
    }
    free_block(loop, s->spare);
    *s = (struct ki_store){ 0 };
}
