/* SPDX-License-Identifier: MIT
 *
 * The send queue of an endpoint: a ring of entries, numbered without end.
 *
 *     head <= next <= tail: [head, next) has been submitted and not yet gone, [next, tail) waits.
 *
 * Entries move when the ring grows: whoever waits for one keeps its number. Owned by an endpoint;
 * loop thread.
 */
#ifndef KI_QUEUE_H
#define KI_QUEUE_H

#include "reactor.h"

struct ki_queue {
    struct ki_entry *ring;
    uint64_t mask; /* capacity - 1; the capacity is a power of two, or there is no ring */
    uint64_t head, next, tail;
    uint64_t capacity;
};

static inline struct ki_entry *ki_queue_at(const struct ki_queue *q, uint64_t number)
{
    return &q->ring[number & q->mask];
}

static inline uint64_t ki_queue_count(const struct ki_queue *q)
{
    return q->tail - q->head;
}

/* Makes room for one more entry; false: there is no memory. */
bool ki_queue_grow(struct kirim_loop *loop, struct ki_queue *q);

/* What lies from `next` on, side by side and all queued, and what it adds up to. */
struct ki_window {
    uint32_t count;      /* at most KI_BATCH_MAX; 0: the next one is dead, or there is none */
    uint32_t is_plain;   /* no operation among them, none copied or tried before */
    uint64_t bytes;      /* of payload */
    uint64_t held_bytes; /* of it in the store */
    uint64_t lent_count;
    uint64_t stored_count;
};

void ki_queue_window(const struct ki_queue *q, struct ki_window *out);

void ki_queue_fini(struct kirim_loop *loop, struct ki_queue *q);

/* Starts again at the ring's first place if nothing is in it, so that a burst lies side by side. */
static inline void ki_queue_rewind(struct ki_queue *q)
{
    if (q->head == q->tail) {
        q->head = q->next = q->tail = (q->tail + q->mask) & ~q->mask;
    }
}

#endif
