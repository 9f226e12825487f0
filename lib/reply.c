/* SPDX-License-Identifier: MIT
 *
 * Two ways to hand over bytes without a copy: a reply with lent bytes, and room reserved in the
 * send buffer; and who may be answered at all.
 *
 * A reply on an endpoint that is bound to a wildcard names the address that was asked as its
 * source, where the reactor can. A reservation is good until anything else is posted. Loop thread.
 */
#include "core.h"

#include <stddef.h>
#include <string.h>

bool ki_may_answer_after_all(const struct kirim_endpoint *ep, const struct kirim_datagram *d)
{
    static const uint8_t ones[] = { 255, 255, 255, 255 };
    const struct kirim_addr *peer = &d->peer;
    const struct kirim_addr *local = &ep->port->local;
    const struct kirim_addr everybody = kirim_addr_ipv4(ones, kirim_addr_port(peer));
    if (kirim_addr_is_wildcard(peer) || kirim_addr_is_multicast(peer) ||
        kirim_addr_equal(peer, &everybody)) {
        return false;
    }
    if (ep->port->is_raw != 0) {
        return true;
    }
    if (kirim_addr_port(peer) == 0 || kirim_addr_equal(peer, local)) {
        return false;
    }
    if (d->arrival == NULL || (d->flags & KIRIM_RX_NO_LOCAL) != 0) {
        return true;
    }
    struct kirim_addr asked = d->arrival->local;
    kirim_addr_set_port(&asked, kirim_addr_port(local));
    return !kirim_addr_equal(peer, &asked);
}

bool kirim_endpoint_may_answer(const struct kirim_endpoint *ep,
                               const struct kirim_datagram *datagram)
{
    return ki_may_answer(ep, datagram);
}

/* Gives the reply at `e` the source that `d` was sent to. False: no memory. */
static bool name_source(struct kirim_endpoint *ep, struct ki_entry *e,
                        const struct kirim_datagram *d)
{
    const struct kirim_addr *local = ki_answering_addr(d);
    if (local == NULL) {
        return true;
    }
    struct kirim_control *c = ki_store_peek(ep->loop, &ep->store, sizeof *c);
    if (c == NULL) {
        return false;
    }
    ki_store_take(&ep->store, sizeof *c);
    *c = (struct kirim_control){ .size = sizeof *c, .source = *local };
    e->control = c;
    e->status |= KI_STORED;
    return true;
}

/* What makes a reply more than a plain datagram, as the last four bytes of a datagram's first word
 * have it: a segment size, and the head of a train. */
static const struct {
    uint16_t segment_bytes;
    uint8_t ecn;
    uint8_t flags;
} train_mask = { UINT16_MAX, 0, KIRIM_RX_TRAIN_HEAD };
_Static_assert(sizeof train_mask == sizeof(uint32_t) &&
                   offsetof(struct kirim_datagram, ecn) ==
                       offsetof(struct kirim_datagram, segment_bytes) + 2 &&
                   offsetof(struct kirim_datagram, flags) ==
                       offsetof(struct kirim_datagram, segment_bytes) + 3,
               "it lies over them");

/* Writes a reply as if no trains were about. Returns what the mask looks at. */
static inline uint32_t write_reply(struct ki_entry *e, const struct kirim_datagram *d)
{
    uint32_t traits;
    memcpy(&traits, &d->segment_bytes, sizeof traits);
    e->data = d->data;
    e->bytes = d->bytes;
    e->buf_count = 1;
    e->segment_bytes = 0;
    e->peer = d->peer;
    e->op = NULL;
    e->control = NULL;
    e->status = KI_QUEUED | KI_LENT;
    return traits;
}

static void add_train(struct kirim_endpoint *ep, struct ki_entry *e, const struct kirim_datagram *d)
{
    enum { HEAD_SCALE = KI_TRAIN_HEAD / KIRIM_RX_TRAIN_HEAD };
    e->status |= (d->flags & KIRIM_RX_TRAIN_HEAD) * HEAD_SCALE;
    if (d->segment_bytes != 0) {
        e->segment_bytes = d->segment_bytes;
        e->record = 0;
        ep->is_odd = 1;
        ep->stats.tx_accepted += ki_segments_of(e) - 1;
    }
}

/* Adds what trains are to replies written from `number` on. Answers to two trains stay two: a peer
 * with a fixed window and we would fall into step. */
static KI_NOINLINE void add_trains(struct kirim_endpoint *ep, uint64_t number,
                                   const struct kirim_datagram *d, size_t count, uint32_t trains)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t traits;
        memcpy(&traits, &d[i].segment_bytes, sizeof traits);
        if ((traits & trains) != 0) {
            add_train(ep, ki_queue_at(&ep->queue, number + i), &d[i]);
        }
    }
}

/* Has each of the replies from `number` on name the address that was asked. Returns how many of
 * them could. */
static KI_NOINLINE size_t name_sources(struct kirim_endpoint *ep, uint64_t number,
                                       const struct kirim_datagram *d, size_t count)
{
    size_t done = 0;
    while (done < count && name_source(ep, ki_queue_at(&ep->queue, number + done), &d[done])) {
        done++;
    }
    return done;
}

/* Posts `count` replies, for which the queue has room. Returns how many; fewer if memory ran out.
 */
static inline size_t post_replies(struct kirim_endpoint *ep, const struct kirim_datagram *d,
                                  size_t count)
{
    struct ki_queue *q = &ep->queue;
    struct ki_entry *const ring = q->ring;
    const uint64_t mask = q->mask;
    const uint64_t tail = q->tail;
    uint32_t trains;
    uint32_t traits = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        traits |= write_reply(&ring[(tail + i) & mask], &d[i]);
        bytes += d[i].bytes;
    }
    if (ep->is_replying_from_local != 0) {
        const size_t named = name_sources(ep, tail, d, count);
        for (; count > named; count--) {
            bytes -= d[count - 1].bytes;
        }
    }
    memcpy(&trains, &train_mask, sizeof trains);
    if ((traits & trains) != 0) {
        add_trains(ep, tail, d, count, trains);
    }
    if (count > 0) {
        q->tail = tail + count;
        ep->lent_count += count;
        ep->queued_bytes += bytes;
        ep->stats.tx_accepted += count;
        ki_endpoint_soil(ep);
    }
    return count;
}

/* How many of `count` entries the queue has room for within its bound; grown as far as memory
 * allows. */
static KI_NOINLINE size_t grow_rooms(struct kirim_endpoint *ep, size_t count)
{
    struct ki_queue *q = &ep->queue;
    const uint64_t waiting = ki_endpoint_taken(ep);
    const uint64_t bound = ep->count_max - waiting;
    count = count < bound ? count : (size_t)bound;
    while (q->capacity - waiting < count && ki_queue_grow(ep->loop, q)) {}
    const uint64_t room = q->capacity - waiting;
    return count < room ? count : (size_t)room;
}

static inline size_t make_rooms(struct kirim_endpoint *ep, size_t count)
{
    const uint64_t wanted = ki_endpoint_taken(ep) + count;
    return wanted <= ep->queue.capacity && wanted <= ep->count_max ? count : grow_rooms(ep, count);
}

/* Whether these are datagrams of the batch that the running `received` was lent. */
static inline bool are_lent(const struct kirim_loop *loop, const struct kirim_datagram *d,
                            size_t count)
{
    const uintptr_t offset = (uintptr_t)d - (uintptr_t)loop->batch;
    return count - 1 < loop->lent_batch_count &&
           offset <= (loop->lent_batch_count - count) * sizeof *d;
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
        if (ki_endpoint_taken(ep) == ep->count_max) {
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
    if (ki_endpoint_taken(ep) >= ep->count_max ||
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

/* Keeps what was written to reserved room until its time: by a copy, as the room is the queue's. */
static kirim_err commit_paced(struct kirim_endpoint *ep, size_t bytes, const struct kirim_msg *msg)
{
    const struct kirim_buf written = { ep->reserved, bytes };
    struct kirim_msg whole = *msg;
    whole.buf = &written;
    whole.buf_count = 1;
    const kirim_err err = ki_pace_hold(ep, &whole, 0, NULL, bytes);
    if (err == KIRIM_OK) {
        ep->reserved = NULL;
    }
    return err;
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
    if (ki_endpoint_taken(ep) == q->capacity && !ki_queue_grow(ep->loop, q)) {
        return KIRIM_ENOMEM;
    }
    const bool is_timed = ki_pace_is_ours(ep, msg->control);
    if (is_timed && !ki_pace_has_come(ep, msg->control->not_before_ns)) {
        return commit_paced(ep, bytes, msg);
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
        struct kirim_control *control = (void *)((unsigned char *)ep->reserved + taken);
        *control = *msg->control;
        control->not_before_ns = is_timed ? 0 : control->not_before_ns;
        e->control = control;
        taken += sizeof *control;
    }
    if (msg->peer != NULL) {
        e->peer = *msg->peer;
    }
    ki_store_take_at(&ep->store, ep->reserved, taken);
    ep->held_bytes += bytes;
    ep->queued_bytes += bytes;
    ep->reserved = NULL;
    ep->is_odd |= msg->segment_bytes;
    q->tail++;
    ep->stats.tx_accepted += ki_segments(bytes, msg->segment_bytes);
    ki_endpoint_soil(ep);
    return KIRIM_OK;
}
