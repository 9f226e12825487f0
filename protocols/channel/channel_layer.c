/* SPDX-License-Identifier: MIT
 *
 * A channel in a stack of layers: see channel_layer.h. One timer, which is also what the owner's
 * calls wake: what they cause leaves in a step of its own, many messages together.
 */
#include "channel_layer.h"

#include <string.h>

struct state {
    struct kirim_channel_layer_config config;
    struct kirim_layer *layer;
    struct kirim_channel *channel;
    struct kirim_timer timer;
    uint8_t *waiting; /* a datagram that found no room below; NULL: none */
    struct kirim_channel_departure waiting_for; /* what it is */
    bool is_draining, is_plain;
};

enum { NS_PER_TIMER = 2 };

/* While the layer below has no room nothing can leave, so what is due stays due: the clocks go on,
 * but not faster than this. */
static const uint64_t WAITING_NS = 20000000;

/* ---- what the channel asks for --------------------------------------------------------------- */

static void *give_memory(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    return kirim_loop_alloc(user, old, old_bytes, new_bytes);
}

static void give_random(void *user, void *out, size_t bytes)
{
    struct state *const s = user;
    if (kirim_loop_random(kirim_layer_loop(s->layer), out, bytes) < 0) {
        memset(out, 0, bytes); /* the options were tried before: this does not happen */
    }
}

/* Lets the timer's step come: now, or when the channel says. */
static void arm(struct state *s, uint64_t deadline_ns)
{
    const bool is_same = kirim_timer_is_armed(&s->timer) && s->timer.deadline_ns == deadline_ns;
    if (!is_same) {
        (void)kirim_layer_timer_arm(s->layer, &s->timer, deadline_ns);
    }
}

static void wake(void *user)
{
    struct state *const s = user;
    arm(s, kirim_loop_now(kirim_layer_loop(s->layer)));
}

/* ---- sending --------------------------------------------------------------------------------- */

static kirim_err send_datagram(struct state *s, const struct kirim_channel_departure *d)
{
    const struct kirim_buf buf = { d->data, d->bytes };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct kirim_msg msg = KIRIM_MSG_INIT;
    const uint32_t caps = kirim_loop_caps(kirim_layer_loop(s->layer));
    msg.buf = &buf;
    msg.buf_count = 1;
    msg.peer = d->is_elsewhere ? &d->peer : NULL;
    if (msg.peer == NULL && kirim_addr_family(&s->config.peer) != KIRIM_FAMILY_NONE) {
        msg.peer = &s->config.peer;
    }
    if (!s->is_plain) {
        control.ecn = d->ecn;
        control.flags = (caps & KIRIM_CAP_DONT_FRAGMENT) != 0 && s->config.is_unfragmented == 0
                            ? KIRIM_CONTROL_DONT_FRAGMENT
                            : 0;
        msg.control = control.ecn != 0 || control.flags != 0 ? &control : NULL;
    }
    const kirim_err err = kirim_layer_send(s->layer, &msg);
    if (err == KIRIM_EOPNOTSUPP && msg.control != NULL) {
        s->is_plain = true; /* this endpoint, or a layer below, cannot say it */
        msg.control = NULL;
        return kirim_layer_send(s->layer, &msg);
    }
    return err;
}

/* Keeps a datagram for when there is room. */
static void keep(struct state *s, const struct kirim_channel_departure *d)
{
    struct kirim_loop *const loop = kirim_layer_loop(s->layer);
    s->waiting = kirim_loop_alloc(loop, NULL, 0, d->bytes);
    if (s->waiting != NULL) { /* without memory it is lost, which the channel repairs */
        memcpy(s->waiting, d->data, d->bytes);
        s->waiting_for = *d;
        s->waiting_for.data = s->waiting;
    }
}

static void forget_waiting(struct state *s)
{
    if (s->waiting != NULL) {
        (void)kirim_loop_alloc(kirim_layer_loop(s->layer), s->waiting, s->waiting_for.bytes, 0);
        s->waiting = NULL;
    }
}

/* The stack ends, or may go on draining, when the connection has ended. */
static bool has_ended(struct state *s)
{
    if (s->channel == NULL || !kirim_channel_has_ended(s->channel)) {
        return false;
    }
    kirim_timer_cancel(&s->timer);
    if (s->is_draining) {
        kirim_layer_finish_drain(s->layer);
    } else {
        (void)kirim_stack_close(kirim_layer_stack(s->layer), KIRIM_OK);
    }
    return true;
}

/* Sends all that is to be sent now, and waits for the rest. */
static void flush(struct state *s)
{
    uint8_t room[KIRIM_CHANNEL_LAYER_BYTES_MAX];
    const uint64_t now_ns = kirim_loop_now(kirim_layer_loop(s->layer));
    while (s->channel != NULL && s->waiting == NULL) {
        struct kirim_channel_departure d;
        memset(&d, 0, sizeof d);
        d.data = room;
        d.room_bytes = sizeof room;
        if (!kirim_channel_output(s->channel, &d, now_ns)) {
            break;
        }
        const kirim_err err = send_datagram(s, &d);
        if (err == KIRIM_EWOULDBLOCK && !d.is_elsewhere) {
            keep(s, &d);
        } else if (err == KIRIM_EMSGSIZE && d.is_probe) {
            kirim_channel_refuse_probe(s->channel, d.bytes, now_ns);
        } else if (err == KIRIM_ECLOSED) {
            return;
        }
        /* Anything else that fails is a lost datagram. */
    }
    if (s->channel != NULL && !has_ended(s)) {
        const uint64_t deadline_ns = kirim_channel_deadline(s->channel);
        const uint64_t least_ns = s->waiting != NULL ? now_ns + WAITING_NS : 0;
        arm(s, deadline_ns > least_ns ? deadline_ns : least_ns);
    }
}

static void expired(struct kirim_timer *timer)
{
    struct state *const s = timer->user;
    kirim_channel_expire(s->channel, kirim_loop_now(kirim_layer_loop(s->layer)));
    flush(s);
}

/* ---- beginning ------------------------------------------------------------------------------- */

static kirim_err open_layer(struct kirim_layer *layer, const void *config)
{
    struct state *const s = kirim_layer_state(layer);
    const struct kirim_channel_layer_config *const c = config;
    uint8_t tried[KIRIM_CHANNEL_ID_BYTES];
    if (c == NULL || c->size != sizeof *c) {
        return KIRIM_EINVAL;
    }
    s->config = *c;
    s->layer = layer;
    s->timer = (struct kirim_timer)KIRIM_TIMER_INIT(expired, s);
    return kirim_loop_random(kirim_layer_loop(layer), tried, sizeof tried);
}

static uint32_t payload_bytes(const struct state *s)
{
    const size_t bytes = kirim_layer_payload_bytes_max(s->layer);
    return bytes < KIRIM_CHANNEL_LAYER_BYTES_MAX ? (uint32_t)bytes : KIRIM_CHANNEL_LAYER_BYTES_MAX;
}

static struct kirim_channel_options options_of(struct state *s)
{
    struct kirim_channel_options o = s->config.options;
    struct kirim_loop *const loop = kirim_layer_loop(s->layer);
    const uint32_t caps = kirim_loop_caps(loop);
    const uint64_t late_ns = NS_PER_TIMER * kirim_loop_timer_resolution_ns(loop);
    o.alloc = give_memory;
    o.alloc_user = loop;
    o.random = give_random;
    o.random_user = s;
    o.wake = wake;
    o.wake_user = s;
    o.payload_bytes_max = payload_bytes(s);
    o.burst_ns = late_ns > o.burst_ns ? late_ns : o.burst_ns;
    o.flags |= (caps & KIRIM_CAP_ECN) == 0 ? KIRIM_CHANNEL_NO_ECN : 0;
    o.flags |= (caps & KIRIM_CAP_DONT_FRAGMENT) == 0 && s->config.is_unfragmented == 0
                   ? KIRIM_CHANNEL_NO_PMTU
                   : 0;
    return o;
}

static struct kirim_addr peer_of(const struct state *s)
{
    struct kirim_stack *const stack = kirim_layer_stack(s->layer);
    const struct kirim_session *const session = kirim_stack_session(stack);
    if (kirim_addr_family(&s->config.peer) != KIRIM_FAMILY_NONE) {
        return s->config.peer;
    }
    return session != NULL ? kirim_session_peer(session)
                           : kirim_endpoint_peer(kirim_stack_endpoint(stack));
}

static void tell_begun(struct state *s)
{
    if (s->config.begun != NULL) {
        s->config.begun(s->channel, s->layer, s->config.options.user);
    }
}

static void ready(struct kirim_layer *layer)
{
    struct state *const s = kirim_layer_state(layer);
    if (s->config.gate != NULL || s->is_draining) {
        return;
    }
    const struct kirim_channel_options options = options_of(s);
    const struct kirim_addr peer = peer_of(s);
    const kirim_err err = kirim_channel_connect(
        &options, &peer, kirim_loop_now(kirim_layer_loop(layer)), &s->channel);
    if (err < 0) {
        (void)kirim_stack_close(kirim_layer_stack(layer), err);
        return;
    }
    tell_begun(s);
    flush(s);
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* A server that has no connection: answers HELLO, and begins with a good BEGIN. */
static void visit(struct state *s, const struct kirim_datagram *d)
{
    uint8_t reset[KIRIM_CHANNEL_RESET_BYTES];
    uint8_t room[KIRIM_CHANNEL_ANSWER_BYTES_MAX];
    struct kirim_channel_packet begin;
    struct kirim_channel_visit v = {
        d->data, d->bytes, &d->peer, kirim_loop_now(kirim_layer_loop(s->layer)), { 0 }
    };
    give_random(s, v.id, sizeof v.id);
    if (kirim_channel_gate_check(s->config.gate, &v, &begin) == KIRIM_OK) {
        const struct kirim_channel_options options = options_of(s);
        kirim_channel_gate_reset(s->config.gate, begin.to, reset);
        const kirim_err err =
            kirim_channel_accept(&options, &begin, reset, &d->peer, v.now_ns, &s->channel);
        if (err == KIRIM_OK) {
            tell_begun(s);
        } else if (kirim_stack_session(kirim_layer_stack(s->layer)) != NULL) {
            /* The session is this client's alone, and has no other clock. */
            (void)kirim_stack_close(kirim_layer_stack(s->layer), err);
        }
        return;
    }
    const size_t bytes = kirim_channel_gate_answer(s->config.gate, &v, room);
    if (bytes > 0) {
        const struct kirim_buf buf = { room, bytes };
        struct kirim_msg msg = KIRIM_MSG_INIT;
        msg.buf = &buf;
        msg.buf_count = 1;
        msg.peer = kirim_stack_session(kirim_layer_stack(s->layer)) == NULL ? &d->peer : NULL;
        (void)kirim_layer_send(s->layer, &msg); /* what is refused is asked for again */
    }
}

/* The channel has followed its peer: so does the session. */
static void follow(struct state *s)
{
    struct kirim_session *const session = kirim_stack_session(kirim_layer_stack(s->layer));
    if (session == NULL) {
        return;
    }
    const struct kirim_addr there = kirim_channel_peer(s->channel);
    const struct kirim_addr known = kirim_session_peer(session);
    if (!kirim_addr_equal(&there, &known)) {
        (void)kirim_session_accept_path(session, &there); /* else with the next datagram */
    }
}

static void received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    struct state *const s = kirim_layer_state(layer);
    const uint64_t now_ns = kirim_loop_now(kirim_layer_loop(layer));
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        if ((d->flags & KIRIM_RX_TRUNCATED) != 0) {
            continue; /* as if it were lost: its peer sends shorter ones, or it has no path */
        }
        if (s->channel == NULL && s->config.gate != NULL && !s->is_draining) {
            visit(s, d);
        }
        if (s->channel != NULL) {
            const struct kirim_channel_arrival a = { d->data, d->bytes, &d->peer, d->ecn };
            kirim_channel_input(s->channel, &a, now_ns);
            follow(s);
        }
    }
    flush(s);
}

static void writable(struct kirim_layer *layer)
{
    struct state *const s = kirim_layer_state(layer);
    if (s->waiting != NULL) {
        if (send_datagram(s, &s->waiting_for) == KIRIM_EWOULDBLOCK) {
            return;
        }
        forget_waiting(s);
    }
    flush(s);
}

static void resized(struct kirim_layer *layer)
{
    struct state *const s = kirim_layer_state(layer);
    if (s->channel != NULL) {
        (void)kirim_channel_resize(s->channel, payload_bytes(s),
                                   kirim_loop_now(kirim_layer_loop(layer)));
        flush(s);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

static kirim_err refuse(struct kirim_layer *layer, const struct kirim_msg *msg)
{
    (void)layer;
    (void)msg;
    return KIRIM_EOPNOTSUPP;
}

static void drain(struct kirim_layer *layer)
{
    struct state *const s = kirim_layer_state(layer);
    s->is_draining = true;
    if (s->channel == NULL || kirim_channel_has_ended(s->channel)) {
        kirim_layer_finish_drain(layer);
        return;
    }
    (void)kirim_channel_finish(s->channel); /* or it closes already */
    arm(s, kirim_loop_now(kirim_layer_loop(layer)));
}

static void closed(struct kirim_layer *layer, kirim_err why)
{
    struct state *const s = kirim_layer_state(layer);
    forget_waiting(s);
    if (s->channel != NULL) {
        kirim_channel_abort(s->channel, why);
        kirim_channel_free(s->channel);
        s->channel = NULL;
    }
}

struct kirim_channel *kirim_channel_of(struct kirim_layer *layer)
{
    const struct state *const s = kirim_layer_state(layer);
    return s->channel;
}

const struct kirim_layer_type *kirim_channel_layer(void)
{
    static const struct kirim_layer_type type = {
        .size = KIRIM_LAYER_TYPE_INIT,
        .name = "channel",
        .state_bytes = sizeof(struct state),
        .open = open_layer,
        .ready = ready,
        .received = received,
        .send = refuse,
        .writable = writable,
        .resized = resized,
        .drain = drain,
        .closed = closed,
    };
    return &type;
}
