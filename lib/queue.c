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
    uint64_t end = q->tail;
    if (end - q->next > KI_BATCH_MAX) {
        end = q->next + KI_BATCH_MAX;
    }
    const uint64_t wrap = (q->next | q->mask) + 1;
    if (end > wrap) {
        end = wrap;
    }
    uint64_t n = q->next;
    while (n < end && (ki_queue_at(q, n)->status & KI_STATE) == KI_QUEUED) {
        n++;
    }
    return (uint32_t)(n - q->next);
}

void ki_queue_fini(struct kirim_loop *loop, struct ki_queue *q)
{
    ki_free(loop, q->ring, (size_t)q->capacity * sizeof *q->ring);
    *q = (struct ki_queue){ 0 };
}
