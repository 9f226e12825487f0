/* SPDX-License-Identifier: MIT
 *
 * Two ways to hand over bytes without a copy: a reply with lent bytes, and room reserved in the
 * send buffer.
 *
 * A reply on an endpoint that is bound to a wildcard names the address that was asked as its
 * source, where the reactor can. A reservation is good until anything else is posted. Loop thread.
 */
#include "core.h"

#include <string.h>

/* Gives the reply at `e` the source that `d` was sent to. False: no memory. */
static bool name_source(struct kirim_endpoint *ep, struct ki_entry *e,
                        const struct kirim_datagram *d)
{
    const struct kirim_arrival *a = d->arrival;
    if (a == NULL || kirim_addr_family(&a->local) != kirim_addr_family(&d->peer) ||
        kirim_addr_is_multicast(&a->local)) {
        return true;
    }
    struct kirim_control *c = ki_store_peek(ep->loop, &ep->store, sizeof *c);
    if (c == NULL) {
        return false;
    }
    ki_store_take(&ep->store, sizeof *c);
    *c = (struct kirim_control){ .size = sizeof *c, .source = a->local };
    e->control = c;
    e->status |= KI_STORED;
    return true;
}

static inline void write_reply(struct ki_entry *e, const struct kirim_datagram *d)
{
    e->data = d->data;
    e->bytes = d->bytes;
    e->buf_count = 1;
    e->segment_bytes = 0;
    e->peer = d->peer;
    e->op = NULL;
    e->control = NULL;
    e->status = KI_QUEUED | KI_LENT;
}

/* Posts `count` replies, for which the queue has room. Returns how many; fewer if memory ran out.
 */
static size_t post_replies(struct kirim_endpoint *ep, const struct kirim_datagram *d, size_t count)
{
    struct ki_queue *q = &ep->queue;
    const bool names_source = ep->is_replying_from_local != 0;
    const uint64_t tail = q->tail;
    uint64_t bytes = 0;
    size_t done = 0;
    while (done < count) {
        struct ki_entry *e = ki_queue_at(q, tail + done);
        write_reply(e, &d[done]);
        if (names_source && !name_source(ep, e, &d[done])) {
            break;
        }
        bytes += d[done].bytes;
        done++;
    }
    q->tail = tail + done;
    if (done > 0) {
        ep->lent_count += done;
        ep->queued_bytes += bytes;
        ep->stats.tx_accepted += done;
        ki_endpoint_soil(ep);
    }
    return done;
}

/* How many of `count` entries the queue has room for within its bound; grown as far as memory
 * allows. */
static size_t make_rooms(struct kirim_endpoint *ep, size_t count)
{
    struct ki_queue *q = &ep->queue;
    const uint64_t waiting = ki_queue_count(q);
    const uint64_t bound = ep->count_max - waiting;
    count = count < bound ? count : (size_t)bound;
    while (q->capacity - waiting < count && ki_queue_grow(ep->loop, q)) {}
    const uint64_t room = q->capacity - waiting;
    return count < room ? count : (size_t)room;
}

/* Whether these are datagrams of the batch that the running `received` was lent. */
static inline bool are_lent(const struct kirim_loop *loop, const struct kirim_datagram *d,
                            size_t count)
{
    const uintptr_t first = (uintptr_t)loop->batch;
    const uintptr_t end = (uintptr_t)(loop->batch + loop->lent_batch_count);
    const uintptr_t at = (uintptr_t)d;
    return count > 0 && count <= loop->lent_batch_count && at >= first &&
           at + count * sizeof *d <= end;
}

kirim_err kirim_endpoint_reply(struct kirim_endpoint *ep, const struct kirim_datagram *datagram,
                               size_t count, size_t *accepted_count)
{
    size_t done = 0;
    kirim_err err = ki_endpoint_check(ep);
    if (err == KIRIM_OK && !are_lent(ep->loop, datagram, count)) {
        err = KIRIM_EINVAL;
    }
    if (err == KIRIM_OK) {
        ep->reserved = NULL;
        done = post_replies(ep, datagram, make_rooms(ep, count));
    }
    if (err == KIRIM_OK && done < count) {
        err = KIRIM_ENOMEM;
        if (ki_queue_count(&ep->queue) == ep->count_max) {
            err = ki_refuse_for_now(ep);
        }
    }
    if (accepted_count != NULL) {
        *accepted_count = done;
    }
    return err;
}

kirim_err kirim_endpoint_reserve(struct kirim_endpoint *ep, size_t bytes_max, void **out)
{
    const kirim_err err = ki_endpoint_check(ep);
    if (err < 0) {
        return err;
    }
    if (out == NULL) {
        return KIRIM_EINVAL;
    }
    if (bytes_max > kirim_endpoint_payload_bytes_max(ep, NULL)) {
        return KIRIM_EMSGSIZE;
    }
    ep->reserved = NULL;
    if (ki_queue_count(&ep->queue) >= ep->count_max ||
        (ep->held_bytes > 0 && ep->held_bytes + bytes_max > ep->bytes_max)) {
        return ki_refuse_for_now(ep);
    }
    /* Behind the bytes there is room for the control data that a commit may bring. */
    void *room = ki_store_peek(ep->loop, &ep->store, bytes_max + 8 + sizeof(struct kirim_control));
    if (room == NULL) {
        return KIRIM_ENOMEM;
    }
    ep->reserved = room;
    ep->reserved_bytes = bytes_max;
    ep->reserved_moment = ep->loop->moment;
    *out = room;
    return KIRIM_OK;
}

kirim_err kirim_endpoint_commit(struct kirim_endpoint *ep, size_t bytes,
                                const struct kirim_msg *msg)
{
    static const struct kirim_msg nothing = KIRIM_MSG_INIT;
    kirim_err err = ki_endpoint_check(ep);
    if (err < 0) {
        return err;
    }
    if (msg == NULL) {
        msg = &nothing;
    }
    const bool is_void = ep->reserved == NULL || ep->reserved_moment != ep->loop->moment;
    if (is_void || bytes > ep->reserved_bytes || msg->buf != NULL || msg->buf_count != 0) {
        return KIRIM_EINVAL;
    }
    err = ki_check_committed(ep, msg, bytes);
    if (err < 0) {
        return err;
    }
    struct ki_queue *q = &ep->queue;
    if (ki_queue_count(q) == q->capacity && !ki_queue_grow(ep->loop, q)) {
        return KIRIM_ENOMEM;
    }
    struct ki_entry *e = ki_queue_at(q, q->tail);
    *e = (struct ki_entry){
        .data = ep->reserved,
        .bytes = (uint32_t)bytes,
        .buf_count = 1,
        .segment_bytes = (uint16_t)msg->segment_bytes,
        .status = KI_STORED,
    };
    size_t taken = ki_store_round(bytes);
    if (msg->control != NULL) {
        e->control =
            memcpy((unsigned char *)ep->reserved + taken, msg->control, sizeof *e->control);
        taken += sizeof *e->control;
    }
    if (msg->peer != NULL) {
        e->peer = *msg->peer;
    }
    ki_store_take_at(&ep->store, ep->reserved, taken);
    ep->held_bytes += bytes;
    ep->queued_bytes += bytes;
    ep->reserved = NULL;
    q->tail++;
    ep->stats.tx_accepted++;
    ki_endpoint_soil(ep);
    return KIRIM_OK;
}
