/* SPDX-License-Identifier: MIT
 *
 * The relay's peers: a connected socket to the server for each, two lists by silence, and the way
 * on for every datagram.
 *
 * A datagram leaves from the very buffer in which it arrived (KIRIM_SEND_LENT), a train that the
 * system handed over in one piece leaves in one piece; ECN and DSCP go along. Lists keep the order
 * of silence, so that the head of one is who expires or makes room next. Loop thread.
 */
#include "relay_peer.h"

/* Where a datagram goes. */
struct hop {
    struct kirim_endpoint *ep;
    const struct kirim_addr *peer;  /* NULL: the server */
    const struct kirim_addr *local; /* to leave from; NULL or none: the system's choice */
};

/* ---- the way on ------------------------------------------------------------------------------ */

enum {
    /* What one message may carry; a train that is handed over whole never is more today. */
    TRAIN_BYTES_MAX = KIRIM_PAYLOAD_IPV4_BYTES_MAX
};

/* Bytes of the next message of a train with so many left: whole datagrams. */
static size_t next_part(size_t left, size_t segment_bytes)
{
    const size_t fitting = TRAIN_BYTES_MAX / segment_bytes;
    const size_t count = fitting < KIRIM_TRAIN_SEGMENTS_MAX ? fitting : KIRIM_TRAIN_SEGMENTS_MAX;
    return left < count * segment_bytes ? left : count * segment_bytes;
}

static size_t count_datagrams(size_t bytes, size_t segment_bytes)
{
    return segment_bytes == 0 ? 1 : (bytes + segment_bytes - 1) / segment_bytes;
}

/* Whether something has to be said beside the bytes; writes all of it but ECN. */
static bool carry(const struct relay *relay, const struct kirim_datagram *d,
                  const struct kirim_addr *local, struct kirim_control *room)
{
    const bool is_marked = (relay->caps & KIRIM_CAP_ECN) != 0 && !relay->options.is_unmarked;
    const uint32_t dscp = d->arrival != NULL ? d->arrival->dscp : 0;
    const bool has_source = local != NULL && kirim_addr_family(local) != KIRIM_FAMILY_NONE;
    if (!has_source && (!is_marked || (d->ecn == 0 && dscp == 0))) {
        return false;
    }
    *room = (struct kirim_control)KIRIM_CONTROL_INIT;
    if (has_source) {
        room->source = *local;
    }
    if (is_marked) {
        room->ecn = d->ecn;
        room->dscp = (uint8_t)dscp;
    }
    return true;
}

static void post(struct relay_way *way, struct kirim_endpoint *ep, const struct kirim_msg *msg,
                 size_t count)
{
    const kirim_err err = kirim_endpoint_send(ep, msg, KIRIM_SEND_LENT, NULL, NULL);
    if (err == KIRIM_OK) {
        way->passed += count;
    } else {
        way->drops[err == KIRIM_EWOULDBLOCK ? RELAY_DROP_FULL : RELAY_DROP_REFUSED] += count;
    }
}

/* Sends a datagram on, or a whole train, as it arrived; counts it. */
static void pass_on(struct relay *relay, struct relay_way *way, const struct kirim_datagram *d,
                    const struct hop *hop)
{
    struct kirim_control room;
    struct kirim_msg msg = KIRIM_MSG_INIT;
    struct kirim_buf buf = { d->data, d->bytes };
    size_t left = d->bytes;
    msg.buf = &buf;
    msg.buf_count = 1;
    msg.peer = hop->peer;
    msg.control = carry(relay, d, hop->local, &room) ? &room : NULL;
    do {
        buf.bytes = d->segment_bytes != 0 ? next_part(left, d->segment_bytes) : left;
        msg.segment_bytes = buf.bytes > d->segment_bytes ? d->segment_bytes : 0;
        post(way, hop->ep, &msg, count_datagrams(buf.bytes, d->segment_bytes));
        buf.data = (uint8_t *)buf.data + buf.bytes;
        left -= buf.bytes;
    } while (left > 0);
}

/* Sends a datagram on as often and when somebody says; what is not due is kept as a copy. */
static void pass_judged(struct relay *relay, struct relay_way *way, const struct kirim_datagram *d,
                        const struct hop *hop)
{
    struct relay_fate fate = { 1, d->ecn, { 0, 0 } };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_buf buf = { d->data, d->bytes };
    const struct kirim_msg msg = { &buf, hop->peer, &control, 1, 0 };
    relay->options.judge(relay, way == &relay->stats.up, d, &fate);
    (void)carry(relay, d, hop->local, &control);
    if ((relay->caps & KIRIM_CAP_ECN) != 0) {
        control.ecn = (uint8_t)fate.ecn;
    }
    way->drops[RELAY_DROP_JUDGED] += fate.copy_count == 0;
    for (uint32_t i = 0; i < fate.copy_count; i++) {
        control.not_before_ns = fate.not_before_ns[i];
        post(way, hop->ep, &msg, 1);
    }
}

static void pass(struct relay *relay, struct relay_way *way, const struct kirim_datagram *d,
                 const struct hop *hop)
{
    if (relay->options.judge != NULL) {
        pass_judged(relay, way, d, hop);
    } else {
        pass_on(relay, way, d, hop);
    }
}

/* Counts an arrival; false: it cannot be passed on. */
static bool count_arrival(struct relay_way *way, const struct kirim_datagram *d)
{
    const size_t count = count_datagrams(d->bytes, d->segment_bytes);
    way->datagrams += count;
    way->bytes += d->bytes;
    way->trains += d->segment_bytes != 0;
    if ((d->flags & KIRIM_RX_TRUNCATED) != 0) {
        way->drops[RELAY_DROP_TRUNCATED] += count;
        return false;
    }
    return true;
}

/* ---- the order of silence -------------------------------------------------------------------- */

/* Out of the list that it is in. */
static void unlink_peer(struct relay_peer *p, struct relay_list *list)
{
    if (p->older != NULL) {
        p->older->younger = p->younger;
    } else {
        list->oldest = p->younger;
    }
    if (p->younger != NULL) {
        p->younger->older = p->older;
    } else {
        list->youngest = p->older;
    }
}

static void link_peer(struct relay_peer *p, struct relay_list *list)
{
    p->list = list;
    p->older = list->youngest;
    p->younger = NULL;
    if (p->older != NULL) {
        p->older->younger = p;
    } else {
        list->oldest = p;
    }
    list->youngest = p;
}

/* Something came for a peer, or from it. */
static void touch(struct relay_peer *p)
{
    p->heard_ns = kirim_loop_now(p->relay->loop);
    if (p->younger != NULL) {
        struct relay_list *const list = p->list;
        unlink_peer(p, list);
        link_peer(p, list);
    }
}

void relay_evict(struct relay *relay)
{
    struct relay_peer *const p =
        relay->strangers.oldest != NULL ? relay->strangers.oldest : relay->known.oldest;
    if (p != NULL) {
        relay_peer_end(p, RELAY_END_EVICTED);
    }
}

/* Ends the expired of one list; returns when its next one would be. */
static uint64_t expire_list(struct relay *relay, const struct relay_list *list)
{
    const uint64_t now_ns = kirim_loop_now(relay->loop);
    while (list->oldest != NULL) {
        struct relay_peer *const p = list->oldest;
        if (now_ns - p->heard_ns < relay->options.idle_ns) {
            return p->heard_ns + relay->options.idle_ns;
        }
        relay_peer_end(p, RELAY_END_IDLE);
    }
    return KIRIM_NEVER;
}

void relay_expire(struct kirim_timer *timer)
{
    struct relay *const relay = timer->user;
    const uint64_t strangers_ns = expire_list(relay, &relay->strangers);
    const uint64_t known_ns = expire_list(relay, &relay->known);
    (void)kirim_timer_arm(relay->loop, timer, strangers_ns < known_ns ? strangers_ns : known_ns);
}

/* ---- the socket to the server ---------------------------------------------------------------- */

bool relay_is_gone(const struct kirim_event *event)
{
    return event->kind == KIRIM_EVENT_PEER_ERROR && event->err == KIRIM_ECONNRESET;
}

static void on_answers(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct relay_peer *const p = user;
    struct relay *const relay = p->relay;
    struct relay_way *const way = &relay->stats.down;
    (void)ep;
    if (p->session == NULL) {
        return;
    }
    const struct hop hop = { relay_endpoint(relay), &p->addr,
                             relay->is_naming_source ? &p->local : NULL };
    const uint64_t bound =
        relay->options.amplification != 0 ? p->up_bytes * relay->options.amplification : UINT64_MAX;
    p->is_answered = true;
    touch(p);
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        if (!count_arrival(way, d)) {
            continue;
        }
        if (bound - p->down_bytes < d->bytes) {
            way->drops[RELAY_DROP_BOUND] += count_datagrams(d->bytes, d->segment_bytes);
            continue;
        }
        p->down_bytes += d->bytes;
        pass(relay, way, d, &hop);
    }
}

static void on_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct relay_peer *const p = user;
    (void)ep;
    if (p->session != NULL && relay_is_gone(event)) {
        relay_peer_end(p, RELAY_END_ICMP);
    } else if (event->kind == KIRIM_EVENT_PEER_ERROR) {
        p->relay->stats.icmp++;
    }
}

static void add_stats(struct kirim_endpoint_stats *sum, const struct kirim_endpoint_stats *one)
{
    sum->rx_datagrams += one->rx_datagrams;
    sum->rx_bytes += one->rx_bytes;
    sum->rx_calls += one->rx_calls;
    sum->rx_trains += one->rx_trains;
    sum->rx_errors += one->rx_errors;
    sum->rx_truncated += one->rx_truncated;
    sum->tx_accepted += one->tx_accepted;
    sum->tx_datagrams += one->tx_datagrams;
    sum->tx_bytes += one->tx_bytes;
    sum->tx_calls += one->tx_calls;
    sum->tx_trains += one->tx_trains;
    sum->tx_trains_refused += one->tx_trains_refused;
    sum->tx_blocked += one->tx_blocked;
    sum->tx_refused += one->tx_refused;
    sum->tx_copied += one->tx_copied;
    sum->tx_queued += one->tx_queued;
    for (unsigned i = 0; i < KIRIM_DROP_COUNT && i < one->drop_count; i++) {
        sum->drops[i] += one->drops[i];
    }
}

static void add_endpoint(struct kirim_endpoint_stats *sum, struct kirim_endpoint *ep)
{
    struct kirim_endpoint_stats one = KIRIM_ENDPOINT_STATS_INIT;
    if (kirim_endpoint_read_stats(ep, &one) == KIRIM_OK) {
        add_stats(sum, &one);
    }
}

static void add_list(struct kirim_endpoint_stats *sum, const struct relay_list *list)
{
    for (const struct relay_peer *p = list->oldest; p != NULL; p = p->younger) {
        add_endpoint(sum, p->upstream);
    }
}

void relay_read_upstream(const struct relay *relay, struct kirim_endpoint_stats *out)
{
    *out = relay->gone;
    add_list(out, &relay->strangers);
    add_list(out, &relay->known);
}

/* The last callback of a peer's socket, and the end of the peer. */
static void on_closed(struct kirim_endpoint *ep, void *user)
{
    struct relay_peer *const p = user;
    struct relay *const relay = p->relay;
    if (p->session != NULL) { /* the loop ends, and closes endpoints in its own order */
        relay_peer_end(p, RELAY_END_CLOSED);
    }
    add_endpoint(&relay->gone, ep);
    relay->gone.tx_queued = 0; /* a level */
    (void)kirim_loop_alloc(relay->loop, p, sizeof *p, 0);
}

static const struct kirim_handler upstream_handler = {
    KIRIM_HANDLER_INIT,
    .received = on_answers,
    .failed = on_failed,
    .closed = on_closed,
};

/* A socket is wanted that speaks to the server alone and takes trains as they are. */
static kirim_err open_upstream(struct relay_peer *p)
{
    const struct relay *const relay = p->relay;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.peer = relay->options.to;
    options.flags = relay_endpoint_flags(relay);
    options.queue_count_max = relay->options.queue_count_max;
    options.handler = &upstream_handler;
    options.user = p;
    return kirim_endpoint_open(relay->loop, &options, &p->upstream);
}

struct relay_peer *relay_peer_begin(struct relay *relay, struct kirim_session *session)
{
    struct relay_stats *const stats = &relay->stats;
    struct relay_peer *const p = kirim_loop_alloc(relay->loop, NULL, 0, sizeof *p);
    if (p == NULL) {
        stats->unopened++;
        return NULL;
    }
    *p = (struct relay_peer){ .relay = relay, .session = session };
    p->addr = kirim_session_peer(session);
    p->local = kirim_session_local(session);
    p->heard_ns = kirim_loop_now(relay->loop);
    if (open_upstream(p) < 0) {
        stats->unopened++;
        (void)kirim_loop_alloc(relay->loop, p, sizeof *p, 0);
        return NULL;
    }
    link_peer(p, &relay->strangers);
    stats->began++;
    stats->peer_count++;
    if (stats->peer_count > stats->peer_count_max) {
        stats->peer_count_max = stats->peer_count;
    }
    if (!kirim_timer_is_armed(&relay->idle_timer)) {
        (void)kirim_timer_arm_after(relay->loop, &relay->idle_timer, relay->options.idle_ns);
    }
    if (relay->options.on_peer != NULL) {
        relay->options.on_peer(relay, &p->addr, -1);
    }
    return p;
}

void relay_peer_end(struct relay_peer *p, int end)
{
    struct relay *const relay = p->relay;
    struct kirim_session *const session = p->session;
    unlink_peer(p, p->list);
    relay->stats.peer_count--;
    relay->stats.ended[end]++;
    p->session = NULL;
    *(struct relay_peer **)kirim_session_state(session) = NULL;
    (void)kirim_session_close(session); /* it may be ending, and this one with it */
    (void)kirim_endpoint_close(p->upstream);
    if (relay->options.on_peer != NULL) {
        relay->options.on_peer(relay, &p->addr, end);
    }
}

void relay_peer_receive(struct relay_peer *p, const struct kirim_batch *batch)
{
    struct relay *const relay = p->relay;
    struct relay_way *const way = &relay->stats.up;
    const struct hop hop = { p->upstream, NULL, NULL };
    const struct kirim_datagram *const last = kirim_batch_at(batch, batch->count - 1);
    if (last->arrival != NULL && (last->flags & KIRIM_RX_NO_LOCAL) == 0 &&
        !kirim_addr_is_multicast(&last->arrival->local)) {
        p->local = last->arrival->local;
    }
    if (p->list == &relay->strangers && p->is_answered) {
        unlink_peer(p, &relay->strangers);
        link_peer(p, &relay->known);
    }
    touch(p);
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        if (count_arrival(way, d)) {
            p->up_bytes += d->bytes;
            pass(relay, way, d, &hop);
        }
    }
}
