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

void ki_queue_window(const struct ki_queue *q, struct ki_window *out)
{
    uint64_t end = q->tail;
    if (end - q->next > KI_BATCH_MAX) {
        end = q->next + KI_BATCH_MAX;
    }
    const uint64_t wrap = (q->next | q->mask) + 1;
    if (end > wrap) {
        end = wrap;
    }
    const struct ki_entry *const first = ki_queue_at(q, q->next);
    const struct ki_entry *const last = first + (end - q->next);
    const struct ki_entry *e;
    struct ki_window w = { 0 };
    uint32_t all = 0;
    uintptr_t ops = 0;
    for (e = first; e != last; e++) {
        const uint32_t status = e->status;
        if ((status & KI_STATE) != KI_QUEUED) {
            break;
        }
        const uint32_t stored = status / KI_STORED & 1;
        const uint32_t lent = status / KI_LENT & 1;
        all |= status;
        ops |= (uintptr_t)e->op;
        w.bytes += e->bytes;
        w.held_bytes += e->bytes * (uint64_t)(stored & ~lent);
        w.lent_count += lent;
        w.stored_count += stored;
    }
    w.count = (uint32_t)(e - first);
    w.is_plain = ops == 0 && (all & ~(uint32_t)(KI_LENT | KI_STORED | KI_DONTROUTE)) == 0;
    *out = w;
}

void ki_queue_fini(struct kirim_loop *loop, struct ki_queue *q)
{
    ki_free(loop, q->ring, (size_t)q->capacity * sizeof *q->ring);
    *q = (struct ki_queue){ 0 };
}
