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

/* How many entries from `next` on lie side by side; at most KI_WINDOW_MAX, and not 0 unless nothing
 * waits. */
static inline uint32_t ki_queue_span(const struct ki_queue *q)
{
    const uint64_t waiting = q->tail - q->next;
    const uint64_t to_wrap = q->capacity - (q->next & q->mask);
    const uint64_t span = waiting < to_wrap ? waiting : to_wrap;
    return span < KI_WINDOW_MAX ? (uint32_t)span : (uint32_t)KI_WINDOW_MAX;
}

/* How many of them are queued, up to the first that is not. */
uint32_t ki_queue_window(const struct ki_queue *q);

void ki_queue_fini(struct kirim_loop *loop, struct ki_queue *q);

/* Starts again at the ring's first place if nothing is in it, so that a burst lies side by side. */
static inline void ki_queue_rewind(struct ki_queue *q)
{
    if (q->head == q->tail) {
        q->head = q->next = q->tail = (q->tail + q->mask) & ~q->mask;
    }
}

#endif
