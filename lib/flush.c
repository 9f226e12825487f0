/* SPDX-License-Identifier: MIT
 *
 * Flushing: how queued datagrams get to the reactor, and what becomes of those it refuses.
 *
 * Keeps the order of posting: entries are submitted from `next` on, one window after the other, and
 * a refused one is judged before anything behind it is tried. Entries leave the queue at its head
 * only, so that the stores are given back in order; one that was lost without an operation stays
 * there until its event has been told. Calls nobody: events and operations are delivered by a turn.
 * Loop thread. Sources: lib/policy.c, docs/turn.md.
 */
#include "core.h"

#include <string.h>

/* ---- lists
 * ------------------------------------------------------------------------------------------ */

void ki_endpoint_soil(struct kirim_endpoint *ep)
{
    struct kirim_loop *loop = ep->loop;
    if (ep->is_dirty == 0) {
        ep->is_dirty = 1;
        ep->dirty_next = NULL;
        *loop->dirty_last = ep;
        loop->dirty_last = &ep->dirty_next;
        ki_loop_rearm(loop);
    }
}

void ki_endpoint_notice(struct kirim_endpoint *ep)
{
    struct kirim_loop *loop = ep->loop;
    if (ep->is_noticed == 0 && ep->state == KI_EP_OPEN) {
        ep->is_noticed = 1;
        ep->notice_next = NULL;
        *loop->notices_last = ep;
        loop->notices_last = &ep->notice_next;
        ki_loop_rearm(loop);
    }
}

/* ---- ends of entries
 * -------------------------------------------------------------------------------- */

void ki_endpoint_trim(struct kirim_endpoint *ep)
{
    struct kirim_loop *loop = ep->loop;
    struct ki_queue *q = &ep->queue;
    while (q->next != q->tail && (ki_queue_at(q, q->next)->status & KI_STATE) == KI_DEAD) {
        q->next++;
    }
    while (q->head != q->next) {
        const struct ki_entry *e = ki_queue_at(q, q->head);
        const uint32_t status = e->status;
        const uint32_t state = status & KI_STATE;
        if (state == KI_INFLIGHT || ((status & KI_FAILED) != 0 && ep->state == KI_EP_OPEN)) {
            break;
        }
        if ((status & KI_STORED) != 0) {
            ki_store_release(loop, &ep->store, 1);
        }
        if ((status & KI_COPIED) != 0) {
            ki_store_release(loop, &ep->copies, 1);
        }
        q->head++;
    }
    ki_queue_rewind(q);
    if (ep->wants_writable != 0 && ki_endpoint_has_room(ep)) {
        ki_endpoint_notice(ep);
    }
}

/* The payload that an entry holds in the store, for the bound in bytes. */
static uint64_t held_by(const struct ki_entry *e)
{
    const uint32_t kind = e->status & (KI_STORED | KI_LENT | KI_COPIED);
    return kind == KI_STORED && e->op == NULL ? e->bytes : 0;
}

/* What was submitted has left: its operation ends, its count is added. */
static void leave(struct kirim_endpoint *ep, struct ki_entry *e)
{
    ep->stats.tx_bytes += e->bytes;
    ep->stats.tx_datagrams++;
    ep->held_bytes -= held_by(e);
    if (e->op != NULL) {
        ki_op_finish(e->op, KIRIM_OK, 0, e->bytes);
        e->op = NULL;
    }
    e->status = (e->status & ~(uint32_t)KI_STATE) | KI_FINISHED;
}

/* An entry is lost: reported by its operation, or by an event that the entry itself keeps. */
static void lose(struct kirim_endpoint *ep, struct ki_entry *e, kirim_err err, int sys_err,
                 uint32_t reason)
{
    ep->stats.drops[reason]++;
    ep->held_bytes -= held_by(e);
    e->status = (e->status & ~(uint32_t)KI_STATE) | KI_FINISHED;
    if (e->op != NULL) {
        ki_op_finish(e->op, err, sys_err, 0);
        e->op = NULL;
        return;
    }
    if (ep->handler.failed == NULL || ep->state != KI_EP_OPEN) {
        return;
    }
    /* The bytes are not needed any more: their fields keep what the event will say. */
    e->status |= KI_FAILED;
    e->bytes = (uint32_t)-err;
    e->record = (uint32_t)sys_err;
    e->segment_bytes = (uint16_t)reason;
    ep->failed_count++;
    ki_endpoint_notice(ep);
}

void ki_endpoint_kill(struct kirim_endpoint *ep, uint64_t number, kirim_err err, uint32_t reason)
{
    struct ki_entry *e = ki_queue_at(&ep->queue, number);
    ep->stats.drops[reason]++;
    ep->held_bytes -= held_by(e);
    ep->lent_count -= (e->status & KI_LENT) != 0;
    if (e->op != NULL) {
        ki_op_finish(e->op, err, 0, 0);
        e->op = NULL;
    }
    e->status = (e->status & ~(uint32_t)(KI_STATE | KI_LENT)) | KI_DEAD;
}

size_t ki_endpoint_kill_all(struct kirim_endpoint *ep, uint32_t reason)
{
    struct ki_queue *q = &ep->queue;
    size_t count = 0;
    for (uint64_t n = q->next; n != q->tail; n++) {
        if ((ki_queue_at(q, n)->status & KI_STATE) == KI_QUEUED) {
            ki_endpoint_kill(ep, n, KIRIM_EABORTED, reason);
            count++;
        }
    }
    q->next = q->tail;
    ki_endpoint_trim(ep);
    return count;
}

/* ---- submitting
 * ------------------------------------------------------------------------------------- */

/* The network reported an error about an earlier datagram; told in the next turn, the last one if
 * there are many. */
static void note_peer_error(struct kirim_endpoint *ep, const struct kirim_event *event)
{
    ep->peer_error = *event;
    ki_endpoint_notice(ep);
}

/* Accounts for the first `taken` entries from `next` on. */
static void account(struct kirim_endpoint *ep, uint32_t taken)
{
    struct ki_queue *q = &ep->queue;
    for (uint32_t i = 0; i < taken; i++) {
        struct ki_entry *e = ki_queue_at(q, q->next + i);
        const uint32_t status = e->status;
        ep->lent_count -= (status & KI_LENT) != 0;
        if ((status & KI_RETRIED) != 0 && ep->retried.kind != 0) {
            note_peer_error(ep, &ep->retried);
            ep->retried.kind = 0;
        }
        if ((status & KI_STATE) == KI_QUEUED) {
            leave(ep, e);
        }
    }
    q->next += taken;
}

/* The same for a window that left whole, with nothing before it in the queue and nothing to report.
 */
static inline void account_plain(struct kirim_endpoint *ep, const struct ki_window *w)
{
    struct ki_queue *q = &ep->queue;
    ep->stats.tx_bytes += w->bytes;
    ep->stats.tx_datagrams += w->count;
    ep->held_bytes -= w->held_bytes;
    ep->lent_count -= w->lent_count;
    if (w->stored_count > 0) {
        ki_store_release(ep->loop, &ep->store, w->stored_count);
    }
    q->next += w->count;
    q->head = q->next;
}

/* Applies the policy table to the entry at `next`. True: go on submitting. */
static bool judge(struct kirim_endpoint *ep, const struct ki_refusal *why)
{
    struct ki_queue *q = &ep->queue;
    struct ki_entry *e = ki_queue_at(q, q->next);
    const struct ki_verdict verdict = ki_judge(why->err, e->status);
    switch (verdict.action) {
    case KI_ACT_WAIT:
        ep->is_blocked = 1;
        ep->stats.tx_blocked++;
        return false;
    case KI_ACT_RETRY:
        e->status |= KI_RETRIED;
        ep->retried = (struct kirim_event){
            .size = sizeof ep->retried,
            .kind = why->err == KIRIM_EACCES ? 0 : KIRIM_EVENT_PEER_ERROR,
            .peer = ep->port->remote,
            .err = why->err,
            .system_code = why->sys_err,
        };
        return true;
    default:
        ep->lent_count -= (e->status & KI_LENT) != 0;
        ep->retried.kind = 0;
        lose(ep, e, why->err, why->sys_err, verdict.reason);
        q->next++;
        return true;
    }
}

void ki_endpoint_submit(struct kirim_endpoint *ep)
{
    struct ki_queue *q = &ep->queue;
    struct ki_port *p = ep->port;
    struct ki_reactor *r = ep->loop->reactor;
    const struct ki_reactor_ops *ops = ep->loop->ops;
    bool goes_on = ep->is_blocked == 0;
    while (goes_on && q->next != q->tail) {
        struct ki_window w;
        ki_queue_window(q, &w);
        if (w.count == 0) {
            q->next++; /* a dead one */
            continue;
        }
        struct ki_refusal why = { KIRIM_EWOULDBLOCK, 0, 1 };
        const uint64_t inflight_count = p->inflight_count;
        p->tx_flags = 0;
        p->tx_number = q->next;
        const uint32_t taken = ops->submit(r, p, ki_queue_at(q, q->next), w.count, &why);
        const bool have_all_left = taken == w.count && p->inflight_count == inflight_count;
        if (have_all_left && w.is_plain != 0 && q->head == q->next) {
            account_plain(ep, &w);
            continue;
        }
        account(ep, taken);
        if (taken < w.count) {
            goes_on = judge(ep, &why);
        }
    }
    ki_endpoint_trim(ep);
}

kirim_err ki_endpoint_submit_now(struct kirim_endpoint *ep, bool may_fly)
{
    struct ki_queue *q = &ep->queue;
    struct ki_port *p = ep->port;
    struct ki_entry *e = ki_queue_at(q, q->next);
    for (;;) {
        struct ki_refusal why = { KIRIM_EWOULDBLOCK, 0, 1 };
        p->tx_flags = may_fly ? 0 : KI_TX_NOW;
        p->tx_number = q->next;
        if (ep->loop->ops->submit(ep->loop->reactor, p, e, 1, &why) == 1) {
            const bool is_flying = (e->status & KI_STATE) == KI_INFLIGHT;
            account(ep, 1);
            ki_endpoint_trim(ep);
            return is_flying ? KIRIM_PENDING : KIRIM_OK;
        }
        ep->loop->system_code = why.sys_err;
        if (why.err == KIRIM_EWOULDBLOCK || ki_judge(why.err, e->status).action != KI_ACT_RETRY) {
            ep->retried.kind = 0;
            if (why.err == KIRIM_EWOULDBLOCK) {
                (void)judge(ep, &why);
            }
            return why.err;
        }
        (void)judge(ep, &why);
    }
}

void ki_endpoint_take_back(struct kirim_endpoint *ep)
{
    struct ki_queue *q = &ep->queue;
    struct ki_entry *e = ki_queue_at(q, q->tail - 1);
    ep->lent_count -= (e->status & KI_LENT) != 0;
    ep->held_bytes -= held_by(e);
    if ((e->status & KI_STORED) != 0) {
        ki_store_undo(&ep->store);
    }
    if (e->op != NULL) {
        ki_op_take_back(e->op);
    }
    q->tail--;
    ki_queue_rewind(q);
}

void ki_endpoint_keep_lent(struct kirim_endpoint *ep)
{
    struct ki_queue *q = &ep->queue;
    for (uint64_t n = q->next; ep->lent_count > 0 && n != q->tail; n++) {
        struct ki_entry *e = ki_queue_at(q, n);
        if ((e->status & KI_LENT) == 0) {
            continue;
        }
        unsigned char *copy = ki_store_peek(ep->loop, &ep->copies, e->bytes);
        if (copy == NULL) {
            ki_endpoint_kill(ep, n, KIRIM_ENOMEM, KIRIM_DROP_NO_MEMORY);
            continue;
        }
        ki_store_take(&ep->copies, e->bytes);
        if (e->buf_count == 1) {
            memcpy(copy, e->data, e->bytes);
        } else {
            const struct kirim_buf *buf = e->data;
            unsigned char *at = copy;
            for (uint32_t i = 0; i < e->buf_count; i++) {
                if (buf[i].bytes > 0) {
                    memcpy(at, buf[i].data, buf[i].bytes);
                    at += buf[i].bytes;
                }
            }
            e->buf_count = 1;
        }
        e->data = copy;
        e->status = (e->status & ~(uint32_t)KI_LENT) | KI_COPIED;
        ep->lent_count--;
        ep->stats.tx_copied++;
    }
}

/* ---- what the reactor tells
 * ------------------------------------------------------------------------- */

void ki_port_writable(struct ki_port *p)
{
    struct kirim_endpoint *ep = p->ep;
    if (ep->state != KI_EP_OPEN) {
        return;
    }
    ep->is_blocked = 0;
    if (ep->queue.next != ep->queue.tail) {
        ki_endpoint_soil(ep);
    }
    if (ep->wants_writable != 0 && ki_endpoint_has_room(ep)) {
        ki_endpoint_notice(ep);
    }
}

void ki_entry_finish(struct ki_port *p, uint64_t number, kirim_err err, int sys_err)
{
    struct kirim_endpoint *ep = p->ep;
    struct ki_queue *q = &ep->queue;
    struct ki_entry *e = ki_queue_at(q, number);
    p->inflight_count--;
    if (err == KIRIM_OK) {
        leave(ep, e);
        ki_endpoint_trim(ep);
        return;
    }
    if (e->op != NULL && e->op->ki_state == KI_OP_EXPIRED && err == KIRIM_EABORTED) {
        err = KIRIM_ETIMEDOUT;
    }
    if (ep->state != KI_EP_OPEN) {
        err = KIRIM_EABORTED;
    }
    const struct ki_verdict verdict = ki_judge(err, e->status);
    const bool can_repeat = number + 1 == q->next && (e->status & KI_LENT) == 0;
    if (verdict.action != KI_ACT_DROP && can_repeat && ep->state == KI_EP_OPEN) {
        e->status = (e->status & ~(uint32_t)KI_STATE) | KI_QUEUED | KI_RETRIED;
        q->next = number;
        ki_endpoint_soil(ep);
        return;
    }
    const bool is_late = verdict.action != KI_ACT_DROP && !can_repeat;
    lose(ep, e, err, sys_err,
         ep->state != KI_EP_OPEN ? (uint32_t)KIRIM_DROP_CLOSED
         : is_late               ? (uint32_t)KIRIM_DROP_LATE
                                 : verdict.reason);
    ki_endpoint_trim(ep);
}

/* ---- the calls
 * -------------------------------------------------------------------------------------- */

kirim_err kirim_endpoint_flush(struct kirim_endpoint *ep)
{
    const kirim_err err = ki_endpoint_check(ep);
    if (err < 0) {
        return err;
    }
    ep->reserved = NULL;
    ki_endpoint_submit(ep);
    return ep->queue.next == ep->queue.tail ? KIRIM_OK : KIRIM_EWOULDBLOCK;
}

kirim_err kirim_endpoint_discard(struct kirim_endpoint *ep, size_t *dropped_count)
{
    const kirim_err err = ki_endpoint_check(ep);
    if (err < 0) {
        return err;
    }
    ep->reserved = NULL;
    const size_t count = ki_endpoint_kill_all(ep, KIRIM_DROP_DISCARDED);
    if (dropped_count != NULL) {
        *dropped_count = count;
    }
    return KIRIM_OK;
}
