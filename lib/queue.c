/* SPDX-License-Identifier: MIT
 *
 * The send queue's ring; see queue.h. Loop thread.
 */
#include "queue.h"

enum { CAPACITY_MIN = 16 };

bool ki_queue_grow(struct kirim_loop *loop, struct ki_queue *q)
{
    const uint64_t capacity = q->capacity == 0 ? CAPACITY_MIN : q->capacity * 2;
    struct ki_entry *ring = kirim_loop_alloc(loop, NULL, 0, (size_t)capacity * sizeof *ring);
    if (ring == NULL) {
        return false;
    }
    for (uint64_t n = q->head; n != q->tail; n++) {
        ring[n & (capacity - 1)] = *ki_queue_at(q, n);
    }
    ki_free(loop, q->ring, (size_t)q->capacity * sizeof *ring);
    q->ring = ring;
    q->capacity = capacity;
    q->mask = capacity - 1;
    return true;
}

uint32_t ki_queue_window(const struct ki_queue *q)
{
    const uint32_t span = ki_queue_span(q);
    uint32_t n = 0;
    while (n < span && (ki_queue_at(q, q->next + n)->status & KI_STATE) == KI_QUEUED) {
        n++;
    }
    return n;
}

void ki_queue_fini(struct kirim_loop *loop, struct ki_queue *q)
{
    ki_free(loop, q->ring, (size_t)q->capacity * sizeof *q->ring);
    *q = (struct ki_queue){ 0 };
}
