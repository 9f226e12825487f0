/* SPDX-License-Identifier: MIT
 *
 * The listening side of the relay: one session for each peer.
 *
 * A set of sessions finds whose a datagram is, hands over what came from one peer at once, and ends
 * with one last callback. What a relay wants to be different from its defaults is done here: a peer
 * is as idle as both directions are, and at the cap exactly the one makes room that was silent
 * longest, strangers first; so the set's own limits are out of the way, and idle times and order
 * are those of relay_peer.c. New peers are limited by their prefix before anything is kept of them.
 * The relay answers nobody by itself, so it sends no more than the server does. Loop thread.
 */
#include "relay.h"

#include "relay_peer.h"

static const uint64_t NS_PER_SECOND = 1000000000;

const char *relay_drop_name(int drop)
{
    static const char *const names[RELAY_DROP_COUNT] = { "full", "truncated", "bound", "refused",
                                                         "judged" };
    return names[drop];
}

const char *relay_end_name(int end)
{
    static const char *const names[RELAY_END_COUNT] = { "idle", "evicted", "icmp", "closed" };
    return names[end];
}

/* ---- sessions -------------------------------------------------------------------------------- */

/* The server itself would be sent what it sent. */
static void classify(const struct kirim_datagram *d, struct kirim_class *out, void *user)
{
    const struct relay *const relay = user;
    out->verdict =
        kirim_addr_equal(&d->peer, &relay->options.to) ? KIRIM_CLASS_DROP : KIRIM_CLASS_ADMIT;
}

static kirim_err on_admit(struct kirim_sessions *set, const struct kirim_datagram *d,
                          struct kirim_admission *out, void *user)
{
    struct relay *const relay = user;
    (void)set;
    if (relay->slots != NULL &&
        kirim_limiter_judge(&relay->limiter, &d->peer, kirim_loop_now(relay->loop), 1) !=
            KIRIM_LIMITER_PASS) {
        relay->stats.limited++;
        return KIRIM_EACCES;
    }
    while (relay->stats.peer_count >= relay->options.peer_count_max) {
        relay_evict(relay);
    }
    out->is_validated = 1; /* the order of relay_peer.c decides who makes room */
    return KIRIM_OK;
}

static struct relay_peer **peer_of(struct kirim_session *session)
{
    return kirim_session_state(session);
}

static void on_opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    struct relay_peer *const p = relay_peer_begin(user, session);
    (void)set;
    *peer_of(session) = p;
    if (p == NULL) {
        (void)kirim_session_close(session); /* the set counts its datagrams as dropped */
    }
}

static void on_received(struct kirim_session *session, const struct kirim_batch *batch, void *user)
{
    (void)user;
    relay_peer_receive(*peer_of(session), batch);
}

/* A report about what was sent to a peer. */
static void on_failed(struct kirim_session *session, const struct kirim_event *event, void *user)
{
    struct relay_peer *const p = *peer_of(session);
    (void)user;
    if (relay_is_gone(event)) {
        relay_peer_end(p, RELAY_END_ICMP);
    } else if (event->kind == KIRIM_EVENT_PEER_ERROR) {
        p->relay->stats.icmp++;
    }
}

static void on_session_closed(struct kirim_session *session, int reason, void *user)
{
    struct relay_peer *const p = *peer_of(session);
    (void)reason;
    (void)user;
    if (p != NULL) { /* the set has ended */
        relay_peer_end(p, RELAY_END_CLOSED);
    }
}

/* Reports about peers that have ended meanwhile. */
static void on_set_failed(struct kirim_sessions *set, const struct kirim_event *event, void *user)
{
    struct relay *const relay = user;
    (void)set;
    relay->stats.icmp += event->kind == KIRIM_EVENT_PEER_ERROR;
}

static void free_limiter(struct relay *relay)
{
    if (relay->slots != NULL) {
        (void)kirim_loop_alloc(relay->loop, relay->slots,
                               RELAY_LIMITER_SLOTS * sizeof *relay->slots, 0);
        relay->slots = NULL;
    }
}

static void on_set_closed(struct kirim_sessions *set, void *user)
{
    struct relay *const relay = user;
    (void)set;
    relay->set = NULL;
    free_limiter(relay);
}

static const struct kirim_sessions_handler set_handler = {
    KIRIM_SESSIONS_HANDLER_INIT, .admit = on_admit,       .opened = on_opened,
    .failed = on_set_failed,     .closed = on_set_closed,
};

static const struct kirim_session_handler session_handler = {
    KIRIM_SESSION_HANDLER_INIT,
    .received = on_received,
    .failed = on_failed,
    .closed = on_session_closed,
};

/* ---- the relay ------------------------------------------------------------------------------- */

void relay_init(struct relay *relay)
{
    *relay = (struct relay){
        .options = { .idle_ns = 120 * NS_PER_SECOND,
                     .peer_count_max = RELAY_PEER_COUNT,
                     .new_per_second = RELAY_NEW_PER_SECOND },
        .gone = KIRIM_ENDPOINT_STATS_INIT,
        .idle_timer = KIRIM_TIMER_INIT(relay_expire, relay),
    };
    relay->gone.drop_count = KIRIM_DROP_COUNT;
}

uint32_t relay_endpoint_flags(const struct relay *relay)
{
    uint32_t flags = relay->options.judge == NULL ? (uint32_t)KIRIM_ENDPOINT_WHOLE_TRAINS : 0;
    if (!relay->options.is_unmarked && (relay->caps & KIRIM_CAP_ECN) != 0) {
        flags |= KIRIM_ENDPOINT_RECEIVE_CONTROL;
    }
    if (!relay->options.is_fragmenting && (relay->caps & KIRIM_CAP_DONT_FRAGMENT) != 0) {
        flags |= KIRIM_ENDPOINT_DONT_FRAGMENT;
    }
    return flags;
}

static kirim_err open_limiter(struct relay *relay)
{
    struct kirim_limiter_options options = KIRIM_LIMITER_OPTIONS_INIT;
    const size_t bytes = RELAY_LIMITER_SLOTS * sizeof *relay->slots;
    if (relay->options.new_per_second == 0) {
        return KIRIM_OK;
    }
    const kirim_err err = kirim_loop_random(relay->loop, options.key, sizeof options.key);
    if (err < 0) {
        return err;
    }
    relay->slots = kirim_loop_alloc(relay->loop, NULL, 0, bytes);
    if (relay->slots == NULL) {
        return KIRIM_ENOMEM;
    }
    options.rate.per_second = relay->options.new_per_second;
    options.rate.burst = relay->options.new_per_second;
    options.slots = relay->slots;
    options.slot_count = RELAY_LIMITER_SLOTS;
    return kirim_limiter_init(&relay->limiter, &options);
}

static kirim_err open_set(struct relay *relay)
{
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_sessions_options options = KIRIM_SESSIONS_OPTIONS_INIT;
    endpoint.local = relay->options.listen;
    endpoint.flags = relay_endpoint_flags(relay);
    endpoint.queue_count_max = relay->options.queue_count_max;
    endpoint.receive_buffer_bytes = relay->options.receive_buffer_bytes;
    options.endpoint = &endpoint;
    options.classify = classify;
    options.handler = &set_handler;
    options.session_handler = &session_handler;
    options.user = relay;
    options.state_bytes = sizeof(struct relay_peer *);
    options.count_max = relay->options.peer_count_max + 1; /* never reached: `admit` makes room */
    options.idle_ns = KIRIM_NEVER;
    return kirim_sessions_open(relay->loop, &options, &relay->set);
}

kirim_err relay_open(struct relay *relay, struct kirim_loop *loop)
{
    relay->loop = loop;
    relay->caps = kirim_loop_caps(loop);
    relay->is_naming_source =
        kirim_addr_is_wildcard(&relay->options.listen) && (relay->caps & KIRIM_CAP_SOURCE) != 0;
    if (kirim_addr_equal(&relay->options.listen, &relay->options.to)) {
        return KIRIM_EINVAL;
    }
    kirim_err err = open_limiter(relay);
    if (err == KIRIM_OK) {
        err = open_set(relay);
    }
    if (err < 0) {
        free_limiter(relay);
    }
    return err;
}

void relay_close(struct relay *relay)
{
    kirim_timer_cancel(&relay->idle_timer);
    while (relay->strangers.oldest != NULL) {
        relay_peer_end(relay->strangers.oldest, RELAY_END_CLOSED);
    }
    while (relay->known.oldest != NULL) {
        relay_peer_end(relay->known.oldest, RELAY_END_CLOSED);
    }
    if (relay->set != NULL) {
        (void)kirim_sessions_close(relay->set);
    }
}

struct kirim_endpoint *relay_endpoint(const struct relay *relay)
{
    return kirim_sessions_endpoint(relay->set);
}
