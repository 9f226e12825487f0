/* SPDX-License-Identifier: MIT
 *
 * Operations: flight, end, deadline, cancel, result.
 *
 * An operation ends once: its state says where it is, and its callback is called by a delivery of
 * the loop, never by whoever ended it. One timer per endpoint stands for all deadlines of its
 * operations. Loop thread. Sources: S13..S28 of docs/send-contract.md.
 */
#include "core.h"

bool kirim_op_is_pending(const struct kirim_op *op)
{
    return op != NULL && op->ki_state != KI_OP_IDLE && op->ki_state != KI_OP_DONE;
}

void ki_op_start(struct kirim_op *op, struct kirim_endpoint *ep, uint64_t number)
{
    op->ki_owner = ep;
    op->ki_number = number;
    op->ki_state = KI_OP_PENDING;
    op->ki_next = NULL;
    ep->ops_count++;
    const bool is_earliest =
        !kirim_timer_is_armed(&ep->op_timer) || op->deadline_ns < ep->op_timer.deadline_ns;
    if (op->deadline_ns != 0 && is_earliest) {
        (void)kirim_timer_arm(ep->loop, &ep->op_timer, op->deadline_ns);
    }
}

void ki_op_take_back(struct kirim_op *op)
{
    op->ki_owner->ops_count--;
    op->ki_owner = NULL;
    op->ki_state = KI_OP_IDLE;
}

void ki_op_finish(struct kirim_op *op, kirim_err err, int sys_err, size_t sent_bytes)
{
    struct kirim_endpoint *ep = op->ki_owner;
    struct kirim_loop *loop = ep->loop;
    op->ki_err = err;
    op->ki_system_code = sys_err;
    op->ki_sent_bytes = sent_bytes;
    if (op->done == NULL) {
        op->ki_state = KI_OP_DONE;
        op->ki_owner = NULL;
        ep->ops_count--;
        ep->stats.ops_done++;
        return;
    }
    op->ki_state = KI_OP_FINISHED;
    op->ki_next = NULL;
    *loop->finished_last = op;
    loop->finished_last = &op->ki_next;
    ki_loop_rearm(loop);
}

void ki_ops_deliver(struct kirim_loop *loop)
{
    loop->delivering = loop->finished;
    loop->finished = NULL;
    loop->finished_last = &loop->finished;
    while (loop->delivering != NULL) {
        struct kirim_op *op = loop->delivering;
        loop->delivering = op->ki_next;
        struct kirim_endpoint *ep = op->ki_owner;
        ep->ops_count--;
        ep->stats.ops_done++;
        op->ki_state = KI_OP_IDLE;
        op->ki_owner = NULL;
        op->ki_next = NULL;
        op->done(op, op->ki_err, (size_t)op->ki_sent_bytes);
        loop->moment++;
    }
}

/* Asks the reactor for an early end of an entry in flight. */
static void cancel_flight(struct kirim_endpoint *ep, uint64_t number, struct ki_entry *e)
{
    const struct ki_reactor_ops *ops = ep->loop->ops;
    if (ops->cancel != NULL && ep->state == KI_EP_OPEN) { /* else the port is closing anyway */
        ops->cancel(ep->loop->reactor, ep->port, number, e);
    }
}

/* Ends the operations whose deadline has passed although their time has not come. Returns the next
 * deadline among them. Goes from the end on, and looks again where one was killed: what stands
 * there now may be one that stood before it. */
static uint64_t expire_paced(struct kirim_endpoint *ep, uint64_t now_ns)
{
    uint64_t next_ns = KIRIM_NEVER;
    uint64_t left = ep->paced_count;
    while (left > 0) {
        const struct kirim_op *op = ki_pace_op(ep, left - 1);
        if (op != NULL && op->deadline_ns != 0 && op->deadline_ns <= now_ns) {
            ki_pace_kill(ep, left - 1, KIRIM_ETIMEDOUT, KIRIM_DROP_DEADLINE);
            left = left < ep->paced_count ? left : ep->paced_count;
            continue;
        }
        if (op != NULL && op->deadline_ns != 0 && op->deadline_ns < next_ns) {
            next_ns = op->deadline_ns;
        }
        left--;
    }
    return next_ns;
}

/* Ends the operations whose deadline has passed, and arms the timer for the next one. */
void ki_ops_expire(struct kirim_timer *timer)
{
    struct kirim_endpoint *ep = timer->user;
    struct ki_queue *q = &ep->queue;
    const uint64_t now_ns = kirim_loop_now(ep->loop);
    uint64_t next_ns = expire_paced(ep, now_ns);
    for (uint64_t n = q->head; n != q->tail; n++) {
        struct ki_entry *e = ki_queue_at(q, n);
        struct kirim_op *op = e->op;
        if (op == NULL || op->deadline_ns == 0 || op->ki_state != KI_OP_PENDING) {
            continue;
        }
        if (op->deadline_ns > now_ns) {
            next_ns = op->deadline_ns < next_ns ? op->deadline_ns : next_ns;
        } else if ((e->status & KI_STATE) == KI_QUEUED) {
            ki_endpoint_kill(ep, n, KIRIM_ETIMEDOUT, KIRIM_DROP_DEADLINE);
        } else {
            op->ki_state = KI_OP_EXPIRED;
            cancel_flight(ep, n, e);
        }
    }
    ki_endpoint_trim(ep);
    (void)kirim_timer_arm(ep->loop, timer, next_ns);
}

kirim_err kirim_op_cancel(struct kirim_op *op)
{
    if (op == NULL || op->ki_state < KI_OP_PACED || op->ki_state > KI_OP_CANCELLED) {
        return KIRIM_EINVAL;
    }
    struct kirim_endpoint *ep = op->ki_owner;
    if (!ki_loop_is_mine(ep->loop)) {
        return KIRIM_EINVAL;
    }
    if (op->ki_state == KI_OP_PACED) {
        ki_pace_kill(ep, op->ki_number, KIRIM_EABORTED, KIRIM_DROP_CANCELLED);
        ki_endpoint_trim(ep);
        return KIRIM_OK;
    }
    struct ki_entry *e = ki_queue_at(&ep->queue, op->ki_number);
    if ((e->status & KI_STATE) == KI_QUEUED) {
        ki_endpoint_kill(ep, op->ki_number, KIRIM_EABORTED, KIRIM_DROP_CANCELLED);
        ki_endpoint_trim(ep);
    } else {
        op->ki_state = op->ki_state == KI_OP_PENDING ? KI_OP_CANCELLED : op->ki_state;
        cancel_flight(ep, op->ki_number, e);
    }
    return KIRIM_OK;
}

kirim_err kirim_op_result(const struct kirim_op *op, size_t *sent_bytes)
{
    if (op == NULL || op->done != NULL || op->ki_state == KI_OP_IDLE) {
        return KIRIM_EINVAL;
    }
    if (op->ki_state != KI_OP_DONE) {
        return KIRIM_PENDING;
    }
    if (op->ki_err == KIRIM_OK && sent_bytes != NULL) {
        *sent_bytes = (size_t)op->ki_sent_bytes;
    }
    return op->ki_err;
}

int32_t kirim_op_system_code(const struct kirim_op *op)
{
    return op != NULL ? op->ki_system_code : 0;
}

kirim_err kirim_op_wait(struct kirim_op *op, uint64_t timeout_ns, size_t *sent_bytes)
{
    kirim_err err = kirim_op_result(op, sent_bytes);
    if (err != KIRIM_PENDING) {
        return err;
    }
    struct kirim_loop *loop = op->ki_owner->loop;
    if (loop->is_in_turn != 0 || (loop->caps & KIRIM_CAP_DRIVEN) != 0 || !ki_loop_is_mine(loop)) {
        return KIRIM_EINVAL;
    }
    const uint64_t start_ns = kirim_loop_now(loop);
    uint64_t passed_ns = 0;
    do {
        err =
            kirim_loop_step(loop, timeout_ns == KIRIM_NEVER ? KIRIM_NEVER : timeout_ns - passed_ns);
        if (err < 0) {
            return err;
        }
        err = kirim_op_result(op, sent_bytes);
        passed_ns = kirim_loop_now(loop) - start_ns;
    } while (err == KIRIM_PENDING && passed_ns < timeout_ns);
    return err;
}
