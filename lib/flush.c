/* SPDX-License-Identifier: MIT
 *
 * Flushing: how queued datagrams get to the reactor, and what becomes of those it refuses.
 *
 * Keeps the order of posting: entries are submitted from `next` on, one window after the other, and
 * a refused one is judged before anything behind it is tried. Loop thread. Sources: lib/policy.c,
 * docs/turn.md.
 */
#include "entry.h"

/* ---- submitting ------------------------------------------------------------------------------ */

/* Accounts for the first `taken` entries from `next` on. */
static void account(struct kirim_endpoint *ep, uint64_t taken)
{
    struct ki_queue *q = &ep->queue;
    for (uint64_t i = 0; i < taken; i++) {
        struct ki_entry *e = ki_queue_at(q, q->next + i);
        const uint32_t status = e->status;
        ep->lent_count -= (status & KI_LENT) != 0;
        ep->queued_bytes -= e->bytes;
        if ((status & KI_STATE) == KI_QUEUED) {
            ki_entry_leave(ep, e);
        }
    }
    q->next += taken;
}

/* What was refused together is lost together. */
static void lose_refused(struct kirim_endpoint *ep, const struct ki_refusal *why, uint32_t reason)
{
    struct ki_queue *q = &ep->queue;
    for (uint32_t i = 0; i < why->entries; i++) {
        struct ki_entry *e = ki_queue_at(q, q->next);
        ep->lent_count -= (e->status & KI_LENT) != 0;
        ep->queued_bytes -= e->bytes;
        ki_entry_lose(ep, e, why->err, why->sys_err, reason);
        q->next++;
    }
}

/* Sees to what the port has found out about earlier datagrams while it refused the entry at `next`.
 * True: the refusal was about one of them, and the entry is to be submitted as if it had not been.
 */
static bool is_stale(struct kirim_endpoint *ep, const struct ki_refusal *why)
{
    struct ki_entry *e = ki_queue_at(&ep->queue, ep->queue.next);
    if (ep->port->errors_waiting != 0) {
        ep->port->errors_waiting = 0;
        ki_port_ready(ep->loop->reactor, ep->port);
        ki_loop_rearm(ep->loop);
    }
    if (why->is_stale == 0 || e->status >= KI_STALE_MAX) {
        return false;
    }
    e->status += KI_STALE_ONE;
    return true;
}

/* Applies the policy table to the entry at `next`. True: go on submitting. */
static bool judge(struct kirim_endpoint *ep, const struct ki_refusal *why)
{
    struct ki_queue *q = &ep->queue;
    struct ki_entry *e = ki_queue_at(q, q->next);
    if (is_stale(ep, why)) {
        return true;
    }
    const struct ki_verdict verdict = ki_judge(why->err, e->status);
    if (verdict.action == KI_ACT_DROP && ki_train_split(ep, why)) {
        return true;
    }
    switch (verdict.action) {
    case KI_ACT_WAIT:
        ki_entry_end_retry(ep, e, why->err);
        ep->is_blocked = 1;
        ep->stats.tx_blocked++;
        return false;
    case KI_ACT_RETRY:
        ki_entry_begin_retry(ep, e, why->err, why->sys_err);
        return true;
    default:
        lose_refused(ep, why, verdict.reason);
        return true;
    }
}

/* Accounts one by one for plain entries up to q->next, that did not all leave from `first` on, and
 * judges what was refused. True: go on submitting. */
static KI_NOINLINE bool account_plain(struct kirim_endpoint *ep, uint64_t first, bool is_flying,
                                      const struct ki_refusal *why)
{
    struct ki_queue *q = &ep->queue;
    const uint64_t count = q->next - first;
    ep->is_odd = is_flying;
    q->next = first;
    account(ep, count);
    return why->err == KIRIM_OK || judge(ep, why);
}

/* Submits entries of which none is out of the ordinary. If they all leave, which is the common
 * case, nothing has to be looked at again. Otherwise true is: go on submitting. */
static inline bool submit_plain(struct kirim_endpoint *ep)
{
    struct ki_queue *q = &ep->queue;
    struct ki_port *p = ep->port;
    const struct ki_reactor_ops *ops = ep->loop->ops;
    const uint64_t first = q->next;
    const uint64_t inflight_count = p->inflight_count;
    struct ki_refusal why = { KIRIM_OK, 0, 0, 0 };
    uint32_t n;
    uint32_t taken;
    p->tx_flags = 0;
    do {
        n = ki_queue_span(q);
        p->tx_number = q->next;
        taken = ops->submit(ep->loop->reactor, p, ki_queue_at(q, q->next), n, &why);
        q->next += taken;
    } while (taken == n && q->next != q->tail);
    if (q->next == q->tail && p->inflight_count == inflight_count) {
        ep->stats.tx_datagrams += q->tail - first;
        ep->stats.tx_bytes += ep->queued_bytes;
        ep->held_bytes = ep->paced_bytes;
        ep->lent_count = 0;
        if (ep->store.tail != NULL) {
            ki_store_release_all(ep->loop, &ep->store);
        }
        ep->group_stored_count = 0;
        q->head = q->tail;
        ki_endpoint_rest(ep);
        return true;
    }
    return account_plain(ep, first, p->inflight_count != inflight_count, &why);
}

/* Submits the train at `next` cut into datagrams. Each of them has tries of its own: what those
 * before it have used up is forgotten when they leave. */
static bool cut(struct kirim_endpoint *ep, struct ki_entry *e, struct ki_refusal *why)
{
    const uint32_t record = e->record;
    const bool has_left = ki_train_cut(ep, why);
    if (e->record != record) {
        ki_entry_end_retry(ep, e, KIRIM_OK);
        e->status &= ((uint32_t)KI_STALE_ONE - 1) & ~(uint32_t)KI_RETRIED;
    }
    return has_left;
}

/* Submits the train at `next`, that cannot leave whole, one datagram after the other. True: go on
 * with what is behind it. */
static bool submit_cut(struct kirim_endpoint *ep)
{
    struct ki_refusal why = { KIRIM_EWOULDBLOCK, 0, 1, 0 };
    if (ep->port->inflight_count != 0) {
        return false; /* it would overtake; the last finish soils the endpoint */
    }
    if (cut(ep, ki_queue_at(&ep->queue, ep->queue.next), &why)) {
        account(ep, 1);
        return true;
    }
    return judge(ep, &why);
}

void ki_endpoint_submit_anew(struct kirim_endpoint *ep)
{
    if (ep->queue.next != ep->queue.tail) {
        ep->is_blocked = 0;
    }
    ki_endpoint_submit(ep);
}

/* Submits what waits, whatever it is, and trims the queue. */
static KI_NOINLINE void submit_odd(struct kirim_endpoint *ep, bool goes_on)
{
    struct ki_queue *q = &ep->queue;
    struct ki_port *p = ep->port;
    while (goes_on && q->next != q->tail) {
        uint32_t n = ki_queue_window(q);
        if (n == 0) {
            q->next++; /* a dead one */
            continue;
        }
        n = ki_train_whole_count(ep, n);
        if (n == 0) {
            goes_on = submit_cut(ep);
            continue;
        }
        struct ki_refusal why = { KIRIM_EWOULDBLOCK, 0, 1, 0 };
        p->tx_flags = 0;
        p->tx_number = q->next;
        const struct ki_reactor_ops *ops = ep->loop->ops;
        const uint32_t taken = ops->submit(ep->loop->reactor, p, ki_queue_at(q, q->next), n, &why);
        account(ep, taken);
        if (taken < n) {
            goes_on = judge(ep, &why);
        }
    }
    ki_endpoint_trim(ep);
}

void ki_endpoint_submit(struct kirim_endpoint *ep)
{
    const struct ki_queue *q = &ep->queue;
    bool goes_on = ep->is_blocked == 0;
    if (ep->is_per_peer != 0) {
        ki_group(ep);
    }
    if (ep->loop->refused_routes.count != 0) {
        ki_train_bar(ep);
    }
    if (goes_on && q->next != q->tail && ep->is_odd == 0) {
        goes_on = submit_plain(ep);
        if (q->head == q->tail) {
            return;
        }
    }
    submit_odd(ep, goes_on);
}

/* Whether some datagrams of a train that had to be cut have left. */
static bool has_left_in_part(const struct ki_entry *e)
{
    return e->segment_bytes != 0 && e->record != 0;
}

/* Submits the one entry at the tail, whole or cut. */
static bool submit_one(struct kirim_endpoint *ep, struct ki_entry *e, struct ki_refusal *why)
{
    if (ki_train_whole_count(ep, 1) == 0) {
        return cut(ep, e, why);
    }
    return ep->loop->ops->submit(ep->loop->reactor, ep->port, e, 1, why) == 1;
}

kirim_err ki_endpoint_submit_now(struct kirim_endpoint *ep, bool may_fly)
{
    struct ki_queue *q = &ep->queue;
    struct ki_port *p = ep->port;
    struct ki_entry *e = ki_queue_at(q, q->next);
    if (ep->loop->refused_routes.count != 0) {
        ki_train_bar(ep);
    }
    for (;;) {
        struct ki_refusal why = { KIRIM_EWOULDBLOCK, 0, 1, 0 };
        p->tx_flags = may_fly ? 0 : KI_TX_NOW;
        p->tx_number = q->next;
        if (submit_one(ep, e, &why)) {
            const bool is_flying = (e->status & KI_STATE) == KI_INFLIGHT;
            ep->is_blocked = 0;
            account(ep, 1);
            ki_endpoint_trim(ep);
            return is_flying ? KIRIM_PENDING : KIRIM_OK;
        }
        if (is_stale(ep, &why)) {
            continue;
        }
        ep->loop->system_code = why.sys_err;
        switch (ki_judge(why.err, e->status).action) {
        case KI_ACT_DROP:
            if (ki_train_split(ep, &why)) {
                break;
            }
            if (e->op != NULL && has_left_in_part(e)) {
                (void)judge(ep, &why); /* too late to refuse it: the operation gets the error */
                ki_endpoint_trim(ep);
                return KIRIM_PENDING;
            }
            ki_entry_end_retry(ep, e, why.err); /* the caller gets the error */
            return why.err;
        case KI_ACT_WAIT:
            (void)judge(ep, &why);
            return why.err;
        default:
            (void)judge(ep, &why);
            break;
        }
    }
}

/* ---- the calls ------------------------------------------------------------------------------- */

kirim_err kirim_endpoint_flush(struct kirim_endpoint *ep)
{
    const kirim_err err = ki_endpoint_check(ep);
    if (err < 0) {
        return err;
    }
    ep->reserved = NULL;
    ki_pace_release_due(ep);
    ki_endpoint_submit_anew(ep);
    if (ep->queue.next == ep->queue.tail) {
        return KIRIM_OK;
    }
    ep->wants_writable = 1;
    return KIRIM_EWOULDBLOCK;
}

kirim_err kirim_endpoint_discard(struct kirim_endpoint *ep, size_t *dropped_count)
{
    const kirim_err err = ki_endpoint_check(ep);
    if (err < 0) {
        return err;
    }
    ep->reserved = NULL;
    const uint64_t before = ep->stats.drops[KIRIM_DROP_DISCARDED];
    ki_endpoint_kill_all(ep, KIRIM_DROP_DISCARDED);
    if (dropped_count != NULL) {
        *dropped_count = (size_t)(ep->stats.drops[KIRIM_DROP_DISCARDED] - before);
    }
    return KIRIM_OK;
}
