/* SPDX-License-Identifier: MIT
 *
 * Pacing by the loop: datagrams that must not leave before their time.
 *
 * Each one is captured into a block of its own and stands in a heap of its endpoint, by (time,
 * order of posting); one timer per endpoint stands for the first of them. When its time has come it
 * moves to the tail of the send queue, as if it were posted then, and its block is freed when it is
 * taken off there (KI_OWNED). It takes a place of the queue from the beginning: the ring always has
 * room for all that wait here, so moving cannot fail. What moves has no time any more, so that
 * what leaves together can be one train. Loop thread. Sources: S24 of docs/send-contract.md.
 */
#include "core.h"

#include <string.h>

enum { CAPACITY_MIN = 16 };

/* A datagram that waits for its time. */
struct ki_paced {
    struct kirim_control control; /* first: this is how a queue entry finds its block */
    struct ki_entry entry;        /* as it will stand in the queue */
    uint64_t held_bytes;          /* copied payload, for the bound in bytes */
    size_t allocated_bytes;
    uint64_t bytes[]; /* the payload, or the gather list of what an operation lent */
};

static struct ki_paced *block_of(const struct ki_entry *e)
{
    return (struct ki_paced *)(uintptr_t)e->control;
}

/* ---- the heap -------------------------------------------------------------------------------- */

static bool is_earlier(const struct ki_paced_place *a, const struct ki_paced_place *b)
{
    return a->not_before_ns != b->not_before_ns ? a->not_before_ns < b->not_before_ns
                                                : a->order < b->order;
}

/* Writes a place; an operation knows where its datagram stands. */
static void put(struct kirim_endpoint *ep, uint64_t index, struct ki_paced_place place)
{
    ep->paced[index] = place;
    if (place.paced->entry.op != NULL) {
        place.paced->entry.op->ki_number = index;
    }
}

static void sift_up(struct kirim_endpoint *ep, uint64_t index, struct ki_paced_place place)
{
    while (index > 0) {
        const uint64_t parent = (index - 1) / 2;
        if (!is_earlier(&place, &ep->paced[parent])) {
            break;
        }
        put(ep, index, ep->paced[parent]);
        index = parent;
    }
    put(ep, index, place);
}

static void sift_down(struct kirim_endpoint *ep, uint64_t index, struct ki_paced_place place)
{
    const uint64_t count = ep->paced_count;
    for (;;) {
        uint64_t child = 2 * index + 1;
        if (child + 1 < count && is_earlier(&ep->paced[child + 1], &ep->paced[child])) {
            child++;
        }
        if (child >= count || !is_earlier(&ep->paced[child], &place)) {
            break;
        }
        put(ep, index, ep->paced[child]);
        index = child;
    }
    put(ep, index, place);
}

/* Takes one out; the last one fills the gap. */
static struct ki_paced *take_out(struct kirim_endpoint *ep, uint64_t index)
{
    struct ki_paced *p = ep->paced[index].paced;
    ep->paced_count--;
    if (index < ep->paced_count) {
        const struct ki_paced_place last = ep->paced[ep->paced_count];
        if (index > 0 && is_earlier(&last, &ep->paced[(index - 1) / 2])) {
            sift_up(ep, index, last);
        } else {
            sift_down(ep, index, last);
        }
    }
    return p;
}

/* Room for one more; false: there is no memory. */
static bool grow(struct kirim_endpoint *ep)
{
    if (ep->paced_count < ep->paced_capacity) {
        return true;
    }
    const uint64_t capacity = ep->paced_capacity == 0 ? CAPACITY_MIN : ep->paced_capacity * 2;
    struct ki_paced_place *heap =
        kirim_loop_alloc(ep->loop, ep->paced, (size_t)ep->paced_capacity * sizeof *heap,
                         (size_t)capacity * sizeof *heap);
    if (heap == NULL) {
        return false;
    }
    ep->paced = heap;
    ep->paced_capacity = capacity;
    return true;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Has the timer stand for the first of those that wait. */
static void arm(struct kirim_endpoint *ep)
{
    struct kirim_timer *timer = &ep->pace_timer;
    const uint64_t first_ns = ep->paced_count > 0 ? ep->paced[0].not_before_ns : KIRIM_NEVER;
    if (!kirim_timer_is_armed(timer) || timer->deadline_ns != first_ns) {
        (void)kirim_timer_arm(ep->loop, timer, first_ns); /* refused: the loop is closing */
    }
}

static void free_block(struct kirim_endpoint *ep, struct ki_paced *p)
{
    ki_free(ep->loop, p, p->allocated_bytes);
}

/* A block with everything of the message that outlives the call; NULL: there is no memory. */
static struct ki_paced *capture(struct kirim_endpoint *ep, const struct kirim_msg *msg,
                                uint32_t flags, bool is_borrowed, size_t bytes)
{
    const bool is_list = is_borrowed && msg->buf_count > 1;
    const size_t array = is_list ? msg->buf_count * sizeof *msg->buf : 0;
    const size_t held = is_borrowed ? 0 : bytes;
    struct ki_paced *p = NULL;
    const size_t allocated = sizeof *p + array + held;
    p = kirim_loop_alloc(ep->loop, NULL, 0, allocated);
    if (p == NULL) {
        return NULL;
    }
    p->control = *msg->control;
    p->held_bytes = held;
    p->allocated_bytes = allocated;
    p->entry = (struct ki_entry){
        .data = p->bytes,
        .bytes = (uint32_t)bytes,
        .buf_count = 1,
        .segment_bytes = (uint16_t)msg->segment_bytes,
        .control = &p->control,
        .status = KI_OWNED | ((flags & KIRIM_SEND_DONTROUTE) != 0 ? (uint32_t)KI_DONTROUTE : 0),
    };
    if (is_list) {
        memcpy(p->bytes, msg->buf, array);
        p->entry.buf_count = (uint16_t)msg->buf_count;
    } else if (!is_borrowed) {
        ki_bufs_copy((unsigned char *)p->bytes, msg->buf, msg->buf_count);
    } else if (bytes > 0) {
        p->entry.data = msg->buf[0].data;
    }
    if (msg->peer != NULL) {
        p->entry.peer = *msg->peer;
    }
    return p;
}

kirim_err ki_pace_hold(struct kirim_endpoint *ep, const struct kirim_msg *msg, uint32_t flags,
                       struct kirim_op *op, size_t bytes)
{
    /* Lent bytes go back long before the time has come. */
    const bool is_lent = (flags & KIRIM_SEND_LENT) != 0;
    if (!grow(ep)) {
        return KIRIM_ENOMEM;
    }
    struct ki_paced *p = capture(ep, msg, flags, op != NULL && !is_lent, bytes);
    if (p == NULL) {
        return KIRIM_ENOMEM;
    }
    const struct ki_paced_place place = { msg->control->not_before_ns, ep->paced_order, p };
    ep->paced_order++;
    ep->paced_count++;
    ep->paced_bytes += p->held_bytes;
    ep->held_bytes += p->held_bytes;
    ep->stats.tx_accepted += ki_segments_of(&p->entry);
    ep->stats.tx_copied += is_lent;
    if (op != NULL) {
        p->entry.op = op;
        ki_op_start(op, ep, 0); /* its number: sift_up() */
        op->ki_state = KI_OP_PACED;
    }
    sift_up(ep, ep->paced_count - 1, place);
    arm(ep);
    return op != NULL ? KIRIM_PENDING : KIRIM_OK;
}

/* ---- leaving --------------------------------------------------------------------------------- */

/* Moves those whose time is not behind `until_ns` to the queue. Bound: those that wait. */
static void release(struct kirim_endpoint *ep, uint64_t until_ns)
{
    struct ki_queue *q = &ep->queue;
    if (ep->paced_count == 0 || ep->paced[0].not_before_ns > until_ns) {
        return;
    }
    do {
        struct ki_paced *p = take_out(ep, 0);
        p->control.not_before_ns = 0;
        ep->paced_bytes -= p->held_bytes;
        ep->queued_bytes += p->entry.bytes;
        if (p->entry.op != NULL) {
            p->entry.op->ki_number = q->tail;
            p->entry.op->ki_state = KI_OP_PENDING;
        }
        *ki_queue_at(q, q->tail) = p->entry;
        q->tail++;
    } while (ep->paced_count > 0 && ep->paced[0].not_before_ns <= until_ns);
    ep->is_odd = 1; /* each has a block to be freed */
    ki_endpoint_soil(ep);
    arm(ep);
}

bool ki_pace_has_come(struct kirim_endpoint *ep, uint64_t not_before_ns)
{
    if (not_before_ns > kirim_loop_now(ep->loop)) {
        return false;
    }
    release(ep, not_before_ns);
    return true;
}

void ki_pace_release_due(struct kirim_endpoint *ep)
{
    if (ep->paced_count > 0) {
        release(ep, kirim_loop_now(ep->loop));
    }
}

void ki_pace_expire(struct kirim_timer *timer)
{
    struct kirim_endpoint *ep = timer->user;
    release(ep, kirim_loop_now(ep->loop));
    arm(ep);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void kill_one(struct kirim_endpoint *ep, uint64_t index, kirim_err err, uint32_t reason)
{
    struct ki_paced *p = take_out(ep, index);
    ep->stats.drops[reason] += ki_segments_of(&p->entry);
    ep->paced_bytes -= p->held_bytes;
    ep->held_bytes -= p->held_bytes;
    if (p->entry.op != NULL) {
        ki_op_finish(p->entry.op, err, 0, 0);
    }
    free_block(ep, p);
}

void ki_pace_kill(struct kirim_endpoint *ep, uint64_t index, kirim_err err, uint32_t reason)
{
    kill_one(ep, index, err, reason);
    arm(ep);
}

void ki_pace_kill_all(struct kirim_endpoint *ep, uint32_t reason)
{
    while (ep->paced_count > 0) {
        kill_one(ep, 0, KIRIM_EABORTED, reason);
    }
    arm(ep);
}

struct kirim_op *ki_pace_op(const struct kirim_endpoint *ep, uint64_t index)
{
    return ep->paced[index].paced->entry.op;
}

uint64_t ki_pace_held_bytes(const struct ki_entry *e)
{
    return block_of(e)->held_bytes;
}

void ki_pace_free(struct kirim_endpoint *ep, const struct ki_entry *e)
{
    free_block(ep, block_of(e));
}

void ki_pace_fini(struct kirim_endpoint *ep)
{
    ki_free(ep->loop, ep->paced, (size_t)ep->paced_capacity * sizeof *ep->paced);
    ep->paced = NULL;
    ep->paced_capacity = 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

uint64_t ki_pace_datagrams(const struct kirim_endpoint *ep)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < ep->paced_count; i++) {
        count += ki_segments_of(&ep->paced[i].paced->entry);
    }
    return count;
}

int kirim_endpoint_pacing(const struct kirim_endpoint *ep)
{
    return ep->port->keeps_times != 0 ? KIRIM_PACING_SYSTEM : KIRIM_PACING_LOOP;
}
