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

/* ---- lists ----------------------------------------------------------------------------------- */

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

/* ---- ends of entries ------------------------------------------------------------------------- */

/* The queue's head has moved: an empty queue starts anew, and whoever waits for room may be told.
 */
static inline void rest(struct kirim_endpoint *ep)
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

/* Gives back what the entry at the head held. Out of the line of what every datagram runs through.
 */
static void release_held(struct kirim_endpoint *ep, const struct ki_entry *e)
{
    if ((e->status & KI_OWNED) != 0) {
        ki_pace_free(ep, e);
    } else if (ep->queue.head < ep->group_end) {
        ki_group_release_later(ep, e->status);
    } else {
        if ((e->status & KI_STORED) != 0) {
            ki_store_release(ep->loop, &ep->store);
        }
        if ((e->status & KI_COPIED) != 0) {
            ki_store_release(ep->loop, &ep->copies);
        }
    }
}

void ki_endpoint_trim(struct kirim_endpoint *ep)
{
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
        if ((status & (KI_STORED | KI_COPIED | KI_OWNED)) != 0) {
            release_held(ep, e);
        }
        q->head++;
        if (q->head == ep->group_end) {
            ki_group_release(ep);
        }
    }
    rest(ep);
}

/* The payload that an entry holds in the store or in its block, for the bound in bytes. */
static uint64_t held_by(const struct ki_entry *e)
{
    if ((e->status & KI_OWNED) != 0) {
        return ki_pace_held_bytes(e);
    }
    const uint32_t kind = e->status & (KI_STORED | KI_LENT | KI_COPIED);
    return kind == KI_STORED && e->op == NULL ? e->bytes : 0;
}

/* The network reported an error about an earlier datagram; told in the next turn, the last one if
 * there are many. */
static void note_peer_error(struct kirim_endpoint *ep, const struct kirim_event *event)
{
    ep->peer_error = *event;
    ki_endpoint_notice(ep);
}

/* An entry is submitted once more, since `err` may be somebody else's. */
static void begin_retry(struct kirim_endpoint *ep, struct ki_entry *e, kirim_err err, int sys_err)
{
    const bool is_network = err != KIRIM_EACCES && err != KIRIM_EWOULDBLOCK;
    e->status |= KI_RETRIED;
    ep->is_odd = 1;
    ep->retried = (struct kirim_event){
        .size = sizeof ep->retried,
        .kind = is_network ? KIRIM_EVENT_PEER_ERROR : 0,
        .peer = ep->port->remote,
        .err = err,
        .system_code = sys_err,
    };
}

/* What came of it: unless the same error came back, it was somebody else's and is told. */
static void end_retry(struct kirim_endpoint *ep, const struct ki_entry *e, kirim_err err)
{
    if ((e->status & KI_RETRIED) != 0 && ep->retried.kind != 0) {
        if (err != ep->retried.err) {
            note_peer_error(ep, &ep->retried);
        }
        ep->retried.kind = 0;
    }
}

/* What was submitted has left: its operation ends, its count is added. */
static void leave(struct kirim_endpoint *ep, struct ki_entry *e)
{
    end_retry(ep, e, KIRIM_OK);
    if (ep->is_suspect != 0 && (e->status & KI_ALONE) != 0) {
        ki_train_clear_suspect(ep, e, true);
    }
    ep->stats.tx_bytes += e->bytes;
    ep->stats.tx_datagrams += ki_segments_of(e);
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
    end_retry(ep, e, err);
    if (ep->is_suspect != 0) {
        ki_train_clear_suspect(ep, e, false);
    }
    ep->stats.drops[reason] += ki_train_account_part(ep, e);
    ep->is_odd = 1;
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
    ep->stats.drops[reason] += ki_train_account_part(ep, e);
    ep->is_odd = 1;
    ep->held_bytes -= held_by(e);
    ep->lent_count -= (e->status & KI_LENT) != 0;
    if (e->op != NULL) {
        ki_op_finish(e->op, err, 0, 0);
        e->op = NULL;
    }
    e->status = (e->status & ~(uint32_t)(KI_STATE | KI_LENT)) | KI_DEAD;
}

void ki_endpoint_kill_all(struct kirim_endpoint *ep, uint32_t reason)
{
    struct ki_queue *q = &ep->queue;
    for (uint64_t n = q->next; n != q->tail; n++) {
        if ((ki_queue_at(q, n)->status & KI_STATE) == KI_QUEUED) {
            ki_endpoint_kill(ep, n, KIRIM_EABORTED, reason);
        }
    }
    q->next = q->tail;
    ki_pace_kill_all(ep, reason);
    ki_endpoint_trim(ep);
}

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
            leave(ep, e);
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
        lose(ep, e, why->err, why->sys_err, reason);
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
        end_retry(ep, e, why->err);
        ep->is_blocked = 1;
        ep->stats.tx_blocked++;
        return false;
    case KI_ACT_RETRY:
        begin_retry(ep, e, why->err, why->sys_err);
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
        rest(ep);
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
        end_retry(ep, e, KIRIM_OK);
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
            end_retry(ep, e, why.err); /* the caller gets the error */
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

void ki_endpoint_take_back(struct kirim_endpoint *ep)
{
    struct ki_queue *q = &ep->queue;
    struct ki_entry *e = ki_queue_at(q, q->tail - 1);
    ep->lent_count -= (e->status & KI_LENT) != 0;
    ep->held_bytes -= held_by(e);
    ep->queued_bytes -= e->bytes;
    if ((e->status & KI_STORED) != 0) {
        ki_store_undo(&ep->store);
    }
    if (e->op != NULL) {
        ki_op_take_back(e->op);
    }
    q->tail--;
    ki_queue_rewind(q);
}

void ki_bufs_copy(unsigned char *to, const struct kirim_buf *buf, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (buf[i].bytes > 0) {
            memcpy(to, buf[i].data, buf[i].bytes);
            to += buf[i].bytes;
        }
    }
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
            ki_bufs_copy(copy, e->data, e->buf_count);
            e->buf_count = 1;
        }
        ep->is_odd = 1;
        e->data = copy;
        e->status = (e->status & ~(uint32_t)KI_LENT) | KI_COPIED;
        ep->lent_count--;
        ep->stats.tx_copied++;
    }
}

/* ---- what the reactor tells ------------------------------------------------------------------ */

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

/* Whether nothing behind entry `number` was submitted: what lies there died while it waited. */
static bool is_last_submitted(const struct ki_queue *q, uint64_t number)
{
    uint64_t n = number + 1;
    while (n != q->next && (ki_queue_at(q, n)->status & KI_STATE) == KI_DEAD) {
        n++;
    }
    return n == q->next;
}

/* What a flight that was not to go on ends with, instead of an abort or of another try; KIRIM_OK:
 * it was to go on. */
static kirim_err given_up_with(const struct kirim_endpoint *ep, const struct ki_entry *e)
{
    if (ep->state != KI_EP_OPEN) {
        return KIRIM_EABORTED;
    }
    if (e->op == NULL || e->op->ki_state == KI_OP_PENDING) {
        return KIRIM_OK;
    }
    return e->op->ki_state == KI_OP_EXPIRED ? KIRIM_ETIMEDOUT : KIRIM_EABORTED;
}

/* Judges what a flight ended with. True: it waits again, to be submitted once more. */
static bool repeat_or_lose(struct kirim_endpoint *ep, uint64_t number, kirim_err err, int sys_err)
{
    struct ki_queue *q = &ep->queue;
    struct ki_entry *e = ki_queue_at(q, number);
    struct ki_verdict verdict = ki_judge(err, e->status);
    const kirim_err given_up = given_up_with(ep, e);
    if (given_up < 0 && (err == KIRIM_EABORTED || verdict.action != KI_ACT_DROP)) {
        err = given_up;
        verdict = ki_judge(err, e->status);
    }
    if (verdict.action != KI_ACT_DROP) {
        if ((e->status & KI_LENT) == 0 && is_last_submitted(q, number)) {
            e->status &= ~(uint32_t)KI_STATE; /* KI_QUEUED */
            e->record = 0;
            begin_retry(ep, e, err, sys_err);
            q->next = number;
            return true;
        }
        verdict.reason = KIRIM_DROP_LATE;
    }
    const bool is_closed = ep->state != KI_EP_OPEN;
    lose(ep, e, is_closed ? KIRIM_EABORTED : err, sys_err,
         is_closed ? (uint32_t)KIRIM_DROP_CLOSED : verdict.reason);
    return false;
}

void ki_entry_finish(struct ki_port *p, uint64_t number, kirim_err err, int sys_err)
{
    struct kirim_endpoint *ep = p->ep;
    p->inflight_count--;
    if (err == KIRIM_OK) {
        leave(ep, ki_queue_at(&ep->queue, number));
    } else if (repeat_or_lose(ep, number, err, sys_err)) {
        ki_endpoint_soil(ep);
        return;
    }
    ki_endpoint_trim(ep);
    if (p->inflight_count == 0 && ep->queue.next != ep->queue.tail && ep->is_blocked == 0) {
        ki_endpoint_soil(ep); /* a train that is cut waits for the last flight */
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
