/* SPDX-License-Identifier: MIT
 *
 * One turn of the loop, in the one order that docs/turn.md states.
 *
 * Every stage works off what is there when it begins; what its callbacks cause waits for a later
 * stage or for the next turn. That bounds every stage, and with it the time that any one source of
 * work can keep the others waiting. No callback runs outside of a turn, or inside another one. Loop
 * thread.
 */
#include "core.h"

/* What was lost, what a peer reported, who may write again. */
static void tell_notices(struct kirim_loop *loop)
{
    struct kirim_endpoint *ep = loop->notices;
    loop->notices = NULL;
    loop->notices_last = &loop->notices;
    while (ep != NULL) {
        struct kirim_endpoint *next = ep->notice_next;
        ep->is_noticed = 0;
        if (ep->state == KI_EP_OPEN) {
            ki_endpoint_tell(ep);
        }
        ep = next;
    }
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void report_rx_error(struct kirim_endpoint *ep)
{
    const struct ki_port *p = ep->port;
    ep->stats.rx_errors++;
    if (ep->handler.failed != NULL) {
        const struct kirim_event event = {
            .size = sizeof event,
            .kind = KIRIM_EVENT_PEER_ERROR,
            .peer = p->rx_error.peer,
            .err = p->rx_error.err,
            .system_code = p->rx_error.sys_err,
            .path_mtu = p->rx_error.path_mtu,
            .origin = p->rx_error.origin,
            .icmp_type = p->rx_error.icmp_type,
            .icmp_code = p->rx_error.icmp_code,
        };
        ep->handler.failed(ep, &event, ep->user);
        ep->loop->moment++;
    }
}

/* Whole trains are so many datagrams, of which the first is counted. */
static KI_NOINLINE void count_whole(struct kirim_endpoint *ep, const struct kirim_datagram *d,
                                    uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ep->stats.rx_datagrams += ki_segments(d[i].bytes, d[i].segment_bytes) - 1;
    }
}

static KI_NOINLINE void count_truncated(struct kirim_endpoint *ep, const struct kirim_datagram *d,
                                        uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ep->stats.rx_truncated += d[i].flags & KIRIM_RX_TRUNCATED;
    }
}

static void hand_over(struct kirim_loop *loop, struct kirim_endpoint *ep, uint32_t count)
{
    uint64_t bytes = 0;
    uint32_t flags = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += loop->batch[i].bytes;
        flags |= loop->batch[i].flags;
    }
    ep->stats.rx_datagrams += count;
    ep->stats.rx_bytes += bytes;
    if (ep->port->wants_whole != 0) {
        count_whole(ep, loop->batch, count);
    }
    if ((flags & KIRIM_RX_TRUNCATED) != 0) {
        count_truncated(ep, loop->batch, count);
    }
    if (ep->handler.received != NULL) {
        const struct kirim_batch batch = { loop->batch, count, sizeof loop->batch[0] };
        loop->lent_batch_count = count;
        ep->handler.received(ep, &batch, ep->user);
        loop->lent_batch_count = 0;
        loop->moment++;
    }
}

/* One endpoint's share of a turn. */
static void drain_port(struct kirim_loop *loop, struct ki_port *p)
{
    struct kirim_endpoint *ep = p->ep;
    for (int i = 0; i < KI_BATCHES_PER_TURN; i++) {
        if (ep->state != KI_EP_OPEN) {
            return;
        }
        const uint32_t count = loop->ops->receive(loop->reactor, p, loop->batch, KI_BATCH_MAX);
        const uint64_t flags = p->rx_flags;
        if (count > 0) {
            hand_over(loop, ep, count);
        }
        if ((flags & KI_RX_ERROR) != 0 && ep->state == KI_EP_OPEN) {
            report_rx_error(ep);
        }
        if ((flags & KI_RX_STARVED) != 0) {
            loop->stats.starved++;
            ki_loop_flush(loop);
            loop->ops->release(loop->reactor);
        } else if ((flags & (KI_RX_MORE | KI_RX_ERROR)) == 0) {
            return;
        }
    }
    if (ep->state == KI_EP_OPEN) {
        ki_port_ready(loop->reactor, p); /* behind the others, in the next turn */
    }
}

static void receive_ready(struct kirim_loop *loop)
{
    loop->receiving = loop->ready.first;
    loop->ready.first = NULL;
    loop->ready.last = &loop->ready.first;
    while (loop->receiving != NULL) {
        struct ki_port *p = loop->receiving;
        loop->receiving = p->ready_next;
        p->is_ready = 0;
        drain_port(loop, p);
    }
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void run_timers(struct kirim_loop *loop)
{
    if (loop->wheel.armed_count == 0) {
        return;
    }
    const uint64_t now_ns = kirim_loop_now(loop);
    if (ki_wheel_next(&loop->wheel) <= now_ns) {
        loop->stats.timers_fired += ki_wheel_run(&loop->wheel, now_ns, ki_timer_begin_expiry);
    }
}

/* ---- the way out ----------------------------------------------------------------------------- */

void ki_loop_flush(struct kirim_loop *loop)
{
    struct kirim_endpoint *ep = loop->dirty;
    loop->dirty = NULL;
    loop->dirty_last = &loop->dirty;
    while (ep != NULL) {
        struct kirim_endpoint *next = ep->dirty_next;
        ep->is_dirty = 0;
        if (ep->state == KI_EP_OPEN) {
            ki_endpoint_submit(ep);
            if (ep->lent_count > 0) {
                ki_endpoint_keep_lent(ep);
            }
        }
        ep = next;
    }
}

void ki_loop_finish_closings(struct kirim_loop *loop)
{
    struct kirim_endpoint *ep = loop->closing;
    loop->closing = NULL;
    loop->closing_last = &loop->closing;
    while (ep != NULL) {
        struct kirim_endpoint *next = ep->closing_next;
        if (ki_endpoint_is_drained(ep)) {
            ki_endpoint_finish_close(ep);
        } else {
            ep->closing_next = NULL;
            *loop->closing_last = ep;
            loop->closing_last = &ep->closing_next;
        }
        ep = next;
    }
}

/* ---- the turn -------------------------------------------------------------------------------- */

bool ki_loop_has_work(const struct kirim_loop *loop)
{
    if (loop->finished != NULL || loop->notices != NULL || loop->ready.first != NULL ||
        loop->dirty != NULL || ki_remote_has_posts(loop->remote)) {
        return true;
    }
    for (const struct kirim_endpoint *ep = loop->closing; ep != NULL; ep = ep->closing_next) {
        if (ki_endpoint_is_drained(ep)) {
            return true;
        }
    }
    return false;
}

void ki_loop_turn(struct kirim_loop *loop)
{
    loop->is_in_turn = 1;
    loop->is_now_known = 0;
    loop->reactor->turn_ns = 0;
    loop->moment++;
    loop->stats.turns++;
    if (loop->finished != NULL) {
        ki_ops_deliver(loop);
    }
    if (loop->notices != NULL) {
        tell_notices(loop);
    }
    receive_ready(loop);
    if (loop->guests_ready != NULL) {
        ki_guests_call(loop);
    }
    if (ki_remote_has_posts(loop->remote)) {
        ki_remote_run(loop->remote, loop, loop->is_closing != 0 ? KIRIM_ECLOSED : KIRIM_OK);
    }
    run_timers(loop);
    ki_loop_flush(loop);
    if (loop->closing != NULL) {
        ki_loop_finish_closings(loop);
    }
    loop->is_in_turn = 0;
    loop->is_now_known = 0;
    loop->moment++;
    ki_loop_rearm_anew(loop);
}
