/* SPDX-License-Identifier: MIT
 *
 * A store: memory for the bytes, arrays and control data of queued datagrams, first in, first out.
 *
 * Room is taken at the tail of the last block and given back in the order in which it was taken,
 * which is the order in which datagrams leave. A block counts what lives in it and starts anew when
 * that is nothing, so a queue that empties every turn works in one block. Owned by an endpoint;
 * loop thread.
 */
#ifndef KI_STORE_H
#define KI_STORE_H

#include <kirim/config.h>

struct kirim_loop;

struct ki_block {
    struct ki_block *next;
    uint32_t room; /* bytes behind the header */
    uint32_t used; /* of them */
    uint64_t live; /* pieces taken and not given back */
    uint64_t bytes[];
};

struct ki_store {
    struct ki_block *head, *tail; /* taken from the tail, given back at the head */
    struct ki_block *spare;       /* one empty block, to spare the allocator */
};

/* Pieces are aligned for words. */
static inline size_t ki_store_round(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

/* Makes the tail have room for `bytes`; false: there is no memory. */
bool ki_store_grow(struct kirim_loop *loop, struct ki_store *s, size_t bytes);

/* Gives back the oldest piece. */
void ki_store_release(struct kirim_loop *loop, struct ki_store *s);

/* Gives back all pieces. */
void ki_store_release_all(struct kirim_loop *loop, struct ki_store *s);

/* Gives back the newest piece. */
void ki_store_undo(struct ki_store *s);

/* Frees all blocks, whatever lives in them. */
void ki_store_fini(struct kirim_loop *loop, struct ki_store *s);

/* Room for `bytes` at the tail, not yet taken; NULL: there is no memory. Aligned for words. */
static inline void *ki_store_peek(struct kirim_loop *loop, struct ki_store *s, size_t bytes)
{
    struct ki_block *b = s->tail;
    if (b == NULL || b->room - b->used < bytes) {
        if (!ki_store_grow(loop, s, bytes)) {
            return NULL;
        }
        b = s->tail;
    }
    return (unsigned char *)b->bytes + b->used;
}

/* Takes what the last peek showed; `bytes` at most as many as were asked for there. */
static inline void ki_store_take(struct ki_store *s, size_t bytes)
{
    s->tail->used += (uint32_t)ki_store_round(bytes);
    s->tail->live++;
}

/* The same for room that an earlier peek showed, if nothing was taken since: what lay before it may
 * have been given back meanwhile. */
static inline void ki_store_take_at(struct ki_store *s, const void *room, size_t bytes)
{
    s->tail->used = (uint32_t)((const unsigned char *)room - (unsigned char *)s->tail->bytes);
    ki_store_take(s, bytes);
}

#endif
