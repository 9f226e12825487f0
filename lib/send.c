/* SPDX-License-Identifier: MIT
 *
 * The one way out: what a send checks, captures and posts.
 *
 * Checks everything that kirim itself can know before anything is kept, so that a refusal leaves no
 * trace. The common send (queued, one buffer, nothing else to say) is a straight line; the rest is
 * out of line. Calls nobody and never waits. Loop thread. Sources: docs/send-contract.md, RFC 768,
 * RFC 3542 section 6.
 */
#include "core.h"

#include <string.h>

enum {
    SEND_FLAGS = KIRIM_SEND_LENT | KIRIM_SEND_NOW | KIRIM_SEND_DONTROUTE,
    ECN_MAX = 3,
    DSCP_MAX = 63
};

/* ---- checks ---------------------------------------------------------------------------------- */

static size_t payload_bytes_max(int family)
{
    return family == KIRIM_IPV4 ? KIRIM_PAYLOAD_IPV4_BYTES_MAX : KIRIM_PAYLOAD_IPV6_BYTES_MAX;
}

size_t kirim_endpoint_payload_bytes_max(const struct kirim_endpoint *ep,
                                        const struct kirim_addr *peer)
{
    if (peer != NULL) {
        return payload_bytes_max(kirim_addr_family(peer));
    }
    const int remote = kirim_addr_family(&ep->port->remote);
    return payload_bytes_max(remote != KIRIM_FAMILY_NONE ? remote
                                                         : kirim_addr_family(&ep->port->local));
}

/* Whether a datagram of `bytes` can go to `peer`, and what is wrong if not. */
static inline kirim_err check_peer(const struct kirim_endpoint *ep, const struct kirim_addr *peer,
                                   size_t bytes)
{
    if (peer == NULL) {
        peer = &ep->port->remote;
        if (kirim_addr_family(peer) == KIRIM_FAMILY_NONE) {
            return KIRIM_ENOTCONN;
        }
    } else {
        const unsigned family = (unsigned)kirim_addr_family(peer);
        if (family > KIRIM_IPV6 || (ep->families >> family & 1) == 0 ||
            (kirim_addr_port(peer) == 0 && ep->port->is_raw == 0)) {
            return KIRIM_EINVAL;
        }
    }
    return bytes > payload_bytes_max(kirim_addr_family(peer)) ? KIRIM_EMSGSIZE : KIRIM_OK;
}

kirim_err ki_check_bufs(const struct kirim_msg *msg, size_t *bytes)
{
    if (msg->buf == NULL && msg->buf_count > 0) {
        return KIRIM_EFAULT;
    }
    if (msg->buf_count > KIRIM_BUF_COUNT_MAX) {
        return KIRIM_EMSGSIZE;
    }
    size_t sum = 0;
    bool is_too_long = false;
    for (size_t i = 0; i < msg->buf_count; i++) {
        const struct kirim_buf *b = &msg->buf[i];
        if (b->data == NULL && b->bytes > 0) {
            return KIRIM_EFAULT;
        }
        is_too_long = is_too_long || b->bytes > KIRIM_PAYLOAD_IPV6_BYTES_MAX;
        sum += b->bytes; /* cannot wrap: 1,024 times what one may have, or it is too long anyway */
    }
    *bytes = is_too_long ? SIZE_MAX : sum;
    return KIRIM_OK;
}

static kirim_err check_control(const struct kirim_endpoint *ep, const struct kirim_control *c,
                               const struct kirim_addr *peer)
{
    struct kirim_control known;
    if (!ki_grown_copy(&known, sizeof known, c, c->size, sizeof known) || c->ecn > ECN_MAX ||
        c->dscp > DSCP_MAX || (c->flags & ~KIRIM_CONTROL_DONT_FRAGMENT) != 0 ||
        c->ki_reserved != 0) {
        return KIRIM_EINVAL;
    }
    const int source = kirim_addr_family(&c->source);
    const int family = kirim_addr_family(peer != NULL ? peer : &ep->port->remote);
    if (source != KIRIM_FAMILY_NONE && (source != family || kirim_addr_is_wildcard(&c->source) ||
                                        kirim_addr_is_multicast(&c->source))) {
        return KIRIM_EINVAL;
    }
    uint32_t needs = 0;
    needs |= source != KIRIM_FAMILY_NONE || c->ifindex != 0 ? (uint32_t)KIRIM_CAP_SOURCE : 0;
    needs |= c->ecn != 0 || c->dscp != 0 ? (uint32_t)KIRIM_CAP_ECN : 0;
    needs |= c->ttl != 0 ? (uint32_t)KIRIM_CAP_TTL : 0;
    needs |= c->flags != 0 ? (uint32_t)KIRIM_CAP_DONT_FRAGMENT : 0;
    return (needs & ~ep->loop->caps) != 0 ? KIRIM_EOPNOTSUPP : KIRIM_OK;
}

/* Whether `bytes` in all can be a train of datagrams of `segment_bytes`. */
static kirim_err check_train(size_t segment_bytes, size_t bytes)
{
    if (segment_bytes > UINT16_MAX || bytes == 0) {
        return KIRIM_EINVAL;
    }
    const bool is_too_long =
        bytes > KI_TRAIN_BYTES_MAX || ki_segments(bytes, segment_bytes) > KIRIM_TRAIN_SEGMENTS_MAX;
    return is_too_long ? KIRIM_EMSGSIZE : KIRIM_OK;
}

kirim_err ki_check_committed(const struct kirim_endpoint *ep, const struct kirim_msg *msg,
                             size_t bytes)
{
    kirim_err err = check_peer(ep, msg->peer, bytes);
    if (err == KIRIM_OK && msg->control != NULL) {
        err = check_control(ep, msg->control, msg->peer);
    }
    if (err == KIRIM_OK && msg->segment_bytes != 0) {
        err = check_train(msg->segment_bytes, bytes);
    }
    return err;
}

/* Everything about a message that can be known before it is posted. */
static kirim_err check_message(const struct kirim_endpoint *ep, const struct kirim_msg *msg,
                               uint32_t flags, const struct kirim_op *op, size_t *bytes)
{
    if ((flags & ~(uint32_t)SEND_FLAGS) != 0) {
        return KIRIM_EOPNOTSUPP;
    }
    kirim_err err = ki_check_bufs(msg, bytes);
    if (err == KIRIM_OK) {
        err = ki_check_committed(ep, msg, *bytes);
    }
    if (err < 0) {
        return err;
    }
    if (op != NULL && kirim_op_is_pending(op)) {
        return KIRIM_EINVAL;
    }
    if ((flags & KIRIM_SEND_LENT) != 0 && ep->loop->lent_batch_count == 0) {
        return KIRIM_EINVAL;
    }
    return KIRIM_OK;
}

/* ---- capturing ------------------------------------------------------------------------------- */

/* Room in the ring for one more entry, beside those that wait for their time. */
static kirim_err make_room(struct kirim_endpoint *ep)
{
    struct ki_queue *q = &ep->queue;
    const uint64_t count = ki_endpoint_taken(ep);
    if (count >= ep->count_max) {
        return ki_refuse_for_now(ep);
    }
    if (count == q->capacity && !ki_queue_grow(ep->loop, q)) {
        return KIRIM_ENOMEM;
    }
    return KIRIM_OK;
}

/* Whether `held` bytes of payload are more than the bound permits. */
static inline bool are_too_many(const struct kirim_endpoint *ep, size_t held)
{
    return ep->held_bytes + held > ep->bytes_max && ep->held_bytes > 0;
}

/* Room in the store for `held` bytes of payload and `more` of the rest. */
static inline void *make_store(struct kirim_endpoint *ep, size_t held, size_t more, kirim_err *err)
{
    if (are_too_many(ep, held)) {
        *err = ki_refuse_for_now(ep);
        return NULL;
    }
    void *room = ki_store_peek(ep->loop, &ep->store, held + more);
    *err = room == NULL ? KIRIM_ENOMEM : KIRIM_OK;
    return room;
}

static inline void post(struct kirim_endpoint *ep, size_t bytes)
{
    ep->queue.tail++;
    ep->queued_bytes += bytes;
    ep->stats.tx_accepted++;
    ki_endpoint_soil(ep);
}

/* Writes the entry at the tail with everything captured that outlives the call. */
static kirim_err capture(struct kirim_endpoint *ep, const struct kirim_msg *msg, uint32_t flags,
                         bool is_borrowed, size_t bytes)
{
    const size_t array = is_borrowed && msg->buf_count > 1 ? msg->buf_count * sizeof *msg->buf : 0;
    const size_t control = msg->control != NULL ? sizeof *msg->control : 0;
    const size_t held = is_borrowed ? 0 : bytes;
    struct ki_entry *e = ki_queue_at(&ep->queue, ep->queue.tail);
    *e = (struct ki_entry){ .data = &ep->empty, .bytes = (uint32_t)bytes, .buf_count = 1 };
    if (array + control + held > 0) {
        kirim_err err;
        unsigned char *at =
            make_store(ep, held, ki_store_round(array) + ki_store_round(control) + 8, &err);
        if (at == NULL) {
            return err;
        }
        unsigned char *const begin = at;
        if (control > 0) {
            memcpy(at, msg->control, control);
            e->control = (const struct kirim_control *)(void *)at;
            at += ki_store_round(control);
        }
        if (array > 0) {
            memcpy(at, msg->buf, array);
            e->data = at;
            e->buf_count = (uint16_t)msg->buf_count;
            at += array;
        } else if (held > 0) {
            ki_bufs_copy(at, msg->buf, msg->buf_count);
            e->data = at;
            at += held;
        }
        ki_store_take(&ep->store, (size_t)(at - begin));
        ep->held_bytes += held;
        e->status = KI_STORED;
    }
    if (is_borrowed && msg->buf_count == 1 && bytes > 0) {
        e->data = msg->buf[0].data;
    }
    if (msg->peer != NULL) {
        e->peer = *msg->peer;
    }
    e->segment_bytes = (uint16_t)msg->segment_bytes;
    e->status |= (flags & KIRIM_SEND_LENT) != 0 ? (uint32_t)KI_LENT : 0;
    e->status |= (flags & KIRIM_SEND_DONTROUTE) != 0 ? (uint32_t)KI_DONTROUTE : 0;
    ep->lent_count += flags & KIRIM_SEND_LENT;
    ep->is_odd |= msg->segment_bytes;
    return KIRIM_OK;
}

/* ---- the two modes, and a third: later ------------------------------------------------------- */

static kirim_err send_queued(struct kirim_endpoint *ep, const struct kirim_msg *msg, uint32_t flags,
                             struct kirim_op *op, size_t bytes)
{
    kirim_err err = make_room(ep);
    if (err == KIRIM_OK) {
        err = capture(ep, msg, flags, op != NULL || (flags & KIRIM_SEND_LENT) != 0, bytes);
    }
    if (err < 0) {
        return err;
    }
    ep->stats.tx_accepted += ki_segments(bytes, msg->segment_bytes) - 1; /* post() adds the first */
    if (op != NULL) {
        ki_queue_at(&ep->queue, ep->queue.tail)->op = op;
        ki_op_start(op, ep, ep->queue.tail);
        ep->is_odd = 1;
        post(ep, bytes);
        return KIRIM_PENDING;
    }
    post(ep, bytes);
    return KIRIM_OK;
}

/* Writes the entry at the tail for a send that ends inside the call: nothing is captured. */
static void borrow(struct kirim_endpoint *ep, const struct kirim_msg *msg, uint32_t flags,
                   size_t bytes)
{
    struct ki_entry *e = ki_queue_at(&ep->queue, ep->queue.tail);
    *e = (struct ki_entry){
        .data = &ep->empty,
        .bytes = (uint32_t)bytes,
        .buf_count = 1,
        .segment_bytes = (uint16_t)msg->segment_bytes,
        .control = msg->control,
        .status = (flags & KIRIM_SEND_DONTROUTE) != 0 ? (uint32_t)KI_DONTROUTE : 0,
    };
    if (msg->buf_count > 1) {
        union { /* the entry's bytes are read only */
            const struct kirim_buf *from;
            void *to;
        } list = { msg->buf };
        e->data = list.to;
        e->buf_count = (uint16_t)msg->buf_count;
    } else if (bytes > 0) {
        e->data = msg->buf[0].data;
    }
    if (msg->peer != NULL) {
        e->peer = *msg->peer;
    }
}

/* What has left of a train that had to be cut is sent, the rest is the caller's again. False:
 * nothing has left. */
static bool take_back_part(struct kirim_endpoint *ep, size_t *sent_bytes)
{
    struct ki_entry *e = ki_queue_at(&ep->queue, ep->queue.tail - 1);
    const size_t part = e->segment_bytes != 0 ? (size_t)e->record * e->segment_bytes : 0;
    if (part == 0) {
        return false;
    }
    ep->stats.tx_accepted += e->record;
    (void)ki_train_account_part(ep, e);
    ki_endpoint_take_back(ep);
    if (sent_bytes != NULL) {
        *sent_bytes = part;
    }
    return true;
}

static kirim_err send_now(struct kirim_endpoint *ep, const struct kirim_msg *msg, uint32_t flags,
                          struct kirim_op *op, size_t bytes, size_t *sent_bytes)
{
    struct ki_queue *q = &ep->queue;
    ki_endpoint_submit_anew(ep);
    /* Without an operation, and for a train that may have to be cut, the system is asked in a way
     * that could overtake what it still holds. */
    const bool is_train = msg->segment_bytes != 0;
    const bool could_overtake = ep->port->inflight_count > 0 && (op == NULL || is_train);
    const bool is_full = q->next != q->tail || could_overtake;
    if (is_full && op != NULL) {
        return send_queued(ep, msg, flags, op, bytes);
    }
    if (is_full) {
        return ki_refuse_for_now(ep);
    }
    kirim_err err = make_room(ep);
    if (err < 0) {
        return err;
    }
    if (op != NULL) {
        err = capture(ep, msg, flags, true, bytes);
        if (err < 0) {
            return err;
        }
        ki_queue_at(q, q->tail)->op = op;
        ki_op_start(op, ep, q->tail);
        ep->is_odd = 1;
    } else {
        borrow(ep, msg, flags, bytes);
    }
    q->tail++;
    ep->queued_bytes += bytes;
    ep->is_odd |= msg->segment_bytes;
    err = ki_endpoint_submit_now(ep, op != NULL);
    if (err < 0 && op == NULL && take_back_part(ep, sent_bytes)) {
        return KIRIM_OK;
    }
    if (err >= 0) {
        ep->stats.tx_accepted += ki_segments(bytes, msg->segment_bytes);
        if (err == KIRIM_OK && sent_bytes != NULL) {
            *sent_bytes = bytes;
        }
        return err;
    }
    if (err == KIRIM_EWOULDBLOCK && op != NULL) {
        ep->stats.tx_accepted += ki_segments(bytes, msg->segment_bytes);
        ki_endpoint_soil(ep); /* it waits at the tail, and what it was lent must be kept */
        return KIRIM_PENDING;
    }
    ki_endpoint_take_back(ep);
    if (err == KIRIM_EWOULDBLOCK) {
        return ki_refuse_for_now(ep);
    }
    return err;
}

/* Keeps a message whose time lies ahead. Lent bytes are copied: they go back before that. */
static kirim_err send_paced(struct kirim_endpoint *ep, const struct kirim_msg *msg, uint32_t flags,
                            struct kirim_op *op, size_t bytes)
{
    const bool is_borrowed = op != NULL && (flags & KIRIM_SEND_LENT) == 0;
    const kirim_err err = make_room(ep);
    if (err < 0) {
        return err;
    }
    if (!is_borrowed && are_too_many(ep, bytes)) {
        return ki_refuse_for_now(ep);
    }
    return ki_pace_hold(ep, msg, flags, op, bytes);
}

static kirim_err send_any(struct kirim_endpoint *ep, const struct kirim_msg *msg, uint32_t flags,
                          struct kirim_op *op, size_t *sent_bytes)
{
    size_t bytes = 0;
    struct kirim_control untimed;
    struct kirim_msg copy;
    const kirim_err err = check_message(ep, msg, flags, op, &bytes);
    if (err < 0) {
        return err;
    }
    const bool is_now = (flags & KIRIM_SEND_NOW) != 0;
    if (ki_pace_is_ours(ep, msg->control)) {
        if (!ki_pace_has_come(ep, msg->control->not_before_ns)) {
            return is_now ? KIRIM_EINVAL : send_paced(ep, msg, flags, op, bytes);
        }
        /* A time that has come is nothing more to say: the system need not be able to keep it. */
        untimed = *msg->control;
        untimed.not_before_ns = 0;
        copy = *msg;
        copy.control = &untimed;
        msg = &copy;
    }
    if (is_now) {
        return send_now(ep, msg, flags, op, bytes, sent_bytes);
    }
    return send_queued(ep, msg, flags, op, bytes);
}

/* ---- the calls ------------------------------------------------------------------------------- */

/* One buffer, nothing else to say: copied and posted. */
static inline kirim_err send_plain(struct kirim_endpoint *ep, const void *data, size_t bytes,
                                   const struct kirim_addr *peer)
{
    kirim_err err = check_peer(ep, peer, bytes);
    if (err < 0) {
        return err;
    }
    err = make_room(ep);
    if (err < 0) {
        return err;
    }
    struct ki_entry *e = ki_queue_at(&ep->queue, ep->queue.tail);
    e->data = &ep->empty;
    e->status = KI_QUEUED;
    if (bytes > 0) {
        void *room = make_store(ep, bytes, 8, &err);
        if (room == NULL) {
            return err;
        }
        memcpy(room, data, bytes);
        ki_store_take(&ep->store, bytes);
        ep->held_bytes += bytes;
        e->data = room;
        e->status = KI_STORED;
    }
    e->bytes = (uint32_t)bytes;
    e->buf_count = 1;
    e->segment_bytes = 0;
    e->peer = peer != NULL ? *peer : (struct kirim_addr){ { 0, 0, 0 } };
    e->op = NULL;
    e->control = NULL;
    post(ep, bytes);
    return KIRIM_OK;
}

kirim_err kirim_endpoint_send(struct kirim_endpoint *ep, const struct kirim_msg *msg,
                              uint32_t flags, struct kirim_op *op, size_t *sent_bytes)
{
    const kirim_err err = ki_endpoint_check(ep);
    if (err < 0) {
        return err;
    }
    if (msg == NULL) {
        return KIRIM_EINVAL;
    }
    ep->reserved = NULL;
    if (flags == 0 && op == NULL && msg->buf_count == 1 && msg->control == NULL &&
        msg->segment_bytes == 0 && msg->buf != NULL) {
        const struct kirim_buf *b = msg->buf;
        if (b->data == NULL && b->bytes > 0) {
            return KIRIM_EFAULT;
        }
        return send_plain(ep, b->data, b->bytes, msg->peer);
    }
    return send_any(ep, msg, flags, op, sent_bytes);
}

kirim_err kirim_endpoint_send_to(struct kirim_endpoint *ep, const void *data, size_t bytes,
                                 const struct kirim_addr *peer)
{
    const kirim_err err = ki_endpoint_check(ep);
    if (err < 0) {
        return err;
    }
    if (data == NULL && bytes > 0) {
        return KIRIM_EFAULT;
    }
    ep->reserved = NULL;
    return send_plain(ep, data, bytes, peer);
}
