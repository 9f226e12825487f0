/* SPDX-License-Identifier: MIT
 *
 * Queue entries after they were posted: how they end, what they hold until then, and what the
 * reactor tells of those in flight.
 *
 * Entries leave the queue at its head only, so that the stores are given back in order; one that
 * was lost without an operation stays there until its event has been told. Calls nobody: events and
 * operations are delivered by a turn. Loop thread. Sources: lib/policy.c, docs/turn.md.
 */
#include "entry.h"

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
    ki_endpoint_rest(ep);
}

/* The payload that an entry holds in the store or in its block, for the bound in bytes. */
uint64_t ki_entry_held(const struct ki_entry *e)
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
void ki_entry_begin_retry(struct kirim_endpoint *ep, struct ki_entry *e, kirim_err err, int sys_err)
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
void ki_entry_end_retry(struct kirim_endpoint *ep, const struct ki_entry *e, kirim_err err)
{
    if ((e->status & KI_RETRIED) != 0 && ep->retried.kind != 0) {
        if (err != ep->retried.err) {
            note_peer_error(ep, &ep->retried);
        }
        ep->retried.kind = 0;
    }
}

/* What was submitted has left: its operation ends, its count is added. */
void ki_entry_leave(struct kirim_endpoint *ep, struct ki_entry *e)
{
    ki_entry_end_retry(ep, e, KIRIM_OK);
    if (ep->is_suspect != 0 && (e->status & KI_ALONE) != 0) {
        ki_train_clear_suspect(ep, e, true);
    }
    ep->stats.tx_bytes += e->bytes;
    ep->stats.tx_datagrams += ki_segments_of(e);
    ep->held_bytes -= ki_entry_held(e);
    if (e->op != NULL) {
        ki_op_finish(e->op, KIRIM_OK, 0, e->bytes);
        e->op = NULL;
    }
    e->status = (e->status & ~(uint32_t)KI_STATE) | KI_FINISHED;
}

/* An entry is lost: reported by its operation, or by an event that the entry itself keeps. */
void ki_entry_lose(struct kirim_endpoint *ep, struct ki_entry *e, kirim_err err, int sys_err,
                   uint32_t reason)
{
    ki_entry_end_retry(ep, e, err);
    if (ep->is_suspect != 0) {
        ki_train_clear_suspect(ep, e, false);
    }
    ep->stats.drops[reason] += ki_train_account_part(ep, e);
    ep->is_odd = 1;
    ep->held_bytes -= ki_entry_held(e);
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
    ep->held_bytes -= ki_entry_held(e);
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

void ki_endpoint_take_back(struct kirim_endpoint *ep)
{
    struct ki_queue *q = &ep->queue;
    struct ki_entry *e = ki_queue_at(q, q->tail - 1);
    ep->lent_count -= (e->status & KI_LENT) != 0;
    ep->held_bytes -= ki_entry_held(e);
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

/* ---- lent bytes ------------------------------------------------------------------------------ */

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

/* Has an entry wait that was in flight, the last of those that were submitted. */
static void wait_again(struct kirim_endpoint *ep, uint64_t number)
{
    struct ki_entry *e = ki_queue_at(&ep->queue, number);
    e->status &= ~(uint32_t)KI_STATE; /* KI_QUEUED */
    e->record = 0;
    ep->queue.next = number;
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
    const bool is_last = (e->status & KI_LENT) == 0 && is_last_submitted(q, number);
    if (given_up == KIRIM_OK && is_last && ki_train_fell(ep, number, err, sys_err)) {
        wait_again(ep, number);
        return true;
    }
    if (verdict.action != KI_ACT_DROP) {
        if (is_last) {
            ki_entry_begin_retry(ep, e, err, sys_err);
            wait_again(ep, number);
            return true;
        }
        verdict.reason = KIRIM_DROP_LATE;
    }
    const bool is_closed = ep->state != KI_EP_OPEN;
    ki_entry_lose(ep, e, is_closed ? KIRIM_EABORTED : err, sys_err,
                  is_closed ? (uint32_t)KIRIM_DROP_CLOSED : verdict.reason);
    return false;
}

void ki_entry_finish(struct ki_port *p, uint64_t number, kirim_err err, int sys_err)
{
    struct kirim_endpoint *ep = p->ep;
    p->inflight_count--;
    if (err == KIRIM_OK) {
        ki_entry_leave(ep, ki_queue_at(&ep->queue, number));
    } else if (repeat_or_lose(ep, number, err, sys_err)) {
        ki_endpoint_soil(ep);
        return;
    }
    ki_endpoint_trim(ep);
    if (p->inflight_count == 0 && ep->queue.next != ep->queue.tail && ep->is_blocked == 0) {
        ki_endpoint_soil(ep); /* a train that is cut waits for the last flight */
    }
}
