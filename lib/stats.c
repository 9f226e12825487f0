/* SPDX-License-Identifier: MIT
 *
 * Statistics: counters copied out. Loop thread.
 */
#include "core.h"

#include <string.h>

enum {
    ENDPOINT_STATS_BYTES_MIN = sizeof(struct kirim_endpoint_stats), /* of the first version */
    LOOP_STATS_BYTES_MIN = sizeof(struct kirim_loop_stats)
};

/* Copies as much as the caller's size holds, and leaves that size in place. */
static void copy_out(void *out, uint32_t size, const void *from, size_t known)
{
    memcpy(out, from, size < known ? size : known);
    memcpy(out, &size, sizeof size);
}

/* What waits for its time or for the system, or is in flight. What has ended behind such, or was
 * cancelled there, has been counted already. Bound: that of the queue. */
static uint64_t count_queued(const struct kirim_endpoint *ep)
{
    const struct ki_queue *q = &ep->queue;
    uint64_t count = ki_pace_datagrams(ep);
    for (uint64_t n = q->head; n != q->tail; n++) {
        const struct ki_entry *e = ki_queue_at(q, n);
        const uint32_t state = e->status & KI_STATE;
        count += state == KI_QUEUED || state == KI_INFLIGHT ? ki_segments_of(e) : 0;
    }
    return count;
}

kirim_err kirim_endpoint_read_stats(struct kirim_endpoint *ep, struct kirim_endpoint_stats *out)
{
    if (ep == NULL || out == NULL || out->size < ENDPOINT_STATS_BYTES_MIN) {
        return KIRIM_EINVAL;
    }
    if (ep->state == KI_EP_GONE) {
        return KIRIM_ECLOSED;
    }
    if (!ki_loop_is_mine(ep->loop)) {
        return KIRIM_EINVAL;
    }
    struct kirim_endpoint_stats s = ep->stats;
    const struct ki_port *p = ep->port;
    s.drop_count = KIRIM_DROP_COUNT;
    s.rx_calls = p->rx_calls;
    s.tx_calls = p->tx_calls;
    s.tx_trains = p->tx_trains;
    s.rx_trains = p->rx_trains;
    s.tx_queued = count_queued(ep);
    if (ep->state == KI_EP_OPEN) {
        s.drops[KIRIM_DROP_RECEIVE_FULL] = ep->loop->ops->port_drops(ep->loop->reactor, ep->port);
    }
    copy_out(out, out->size, &s, sizeof s);
    return KIRIM_OK;
}

kirim_err kirim_loop_read_stats(struct kirim_loop *loop, struct kirim_loop_stats *out)
{
    if (loop == NULL || out == NULL || out->size < LOOP_STATS_BYTES_MIN || !ki_loop_is_mine(loop)) {
        return KIRIM_EINVAL;
    }
    struct kirim_loop_stats s = loop->stats;
    s.timers_armed = loop->wheel.armed_count;
    s.wakes = loop->reactor->wake_count;
    copy_out(out, out->size, &s, sizeof s);
    return KIRIM_OK;
}

const char *kirim_drop_name(unsigned reason)
{
    static const char *const names[KIRIM_DROP_COUNT] = {
        [KIRIM_DROP_CLOSED] = "closed",
        [KIRIM_DROP_DISCARDED] = "discarded",
        [KIRIM_DROP_CANCELLED] = "cancelled",
        [KIRIM_DROP_DEADLINE] = "deadline",
        [KIRIM_DROP_TOO_LONG] = "too-long",
        [KIRIM_DROP_NO_BUFFERS] = "no-buffers",
        [KIRIM_DROP_UNREACHABLE] = "unreachable",
        [KIRIM_DROP_DENIED] = "denied",
        [KIRIM_DROP_RESET] = "reset",
        [KIRIM_DROP_SHUTDOWN] = "shutdown",
        [KIRIM_DROP_LATE] = "late",
        [KIRIM_DROP_NO_MEMORY] = "no-memory",
        [KIRIM_DROP_SYSTEM] = "system",
        [KIRIM_DROP_RECEIVE_FULL] = "receive-full",
    };
    return reason < KIRIM_DROP_COUNT ? names[reason] : "?";
}
