/* SPDX-License-Identifier: MIT
 *
 * What flush.c asks of the entries that it submits; see entry.c. Loop thread.
 */
#ifndef KI_ENTRY_H
#define KI_ENTRY_H

#include "core.h"

/* The queue's head has moved: an empty queue starts anew, and whoever waits for room may be told.
 */
static inline void ki_endpoint_rest(struct kirim_endpoint *ep)
{
    struct ki_queue *q = &ep->queue;
    if (q->head == q->tail) {
        ki_queue_rewind(q);
        ep->is_odd = 0;
        ep->queued_bytes = 0;
    }
    if (ep->wants_writable != 0 && ki_endpoint_has_room(ep)) {
        ki_endpoint_notice(ep);
    }
}

/* The payload that an entry holds in the store or in its block, for the bound in bytes. */
uint64_t ki_entry_held(const struct ki_entry *e);

/* An entry is submitted once more, since `err` may be somebody else's; and what came of it: unless
 * the same error came back, it was somebody else's and is told. */
void ki_entry_begin_retry(struct kirim_endpoint *ep, struct ki_entry *e, kirim_err err,
                          int sys_err);
void ki_entry_end_retry(struct kirim_endpoint *ep, const struct ki_entry *e, kirim_err err);

/* What was submitted has left: its operation ends, its count is added. */
void ki_entry_leave(struct kirim_endpoint *ep, struct ki_entry *e);

/* An entry is lost: reported by its operation, or by an event that the entry itself keeps. */
void ki_entry_lose(struct kirim_endpoint *ep, struct ki_entry *e, kirim_err err, int sys_err,
                   uint32_t reason);

#endif
