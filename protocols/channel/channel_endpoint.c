/* SPDX-License-Identifier: MIT
 *
 * Channels over UDP: see channel_endpoint.h. A listener's sessions are found by the connection id
 * that its tokens have offered; a session begins with a BEGIN whose token is good, so all of them
 * are validated.
 */
#include "channel_endpoint.h"

#include <string.h>

#include "used.h"

enum { KEY_AT = 1, KEY_END = KEY_AT + KIRIM_CHANNEL_ID_BYTES, RECEIVE_BYTES = 1 << 20 };

static const uint64_t ROTATION_NS = UINT64_C(60000000000);
/* A token counts its age in whole seconds. */
static const uint64_t TOKEN_NS = (KIRIM_CHANNEL_GATE_SECONDS + 1) * UINT64_C(1000000000);
static const struct kirim_rate reset_rate = { 100, 20 };

/* Behind each session. */
struct slot {
    struct kirim_stack *stack;
};

/* ---- who is who ------------------------------------------------------------------------------ */

static void classify(const struct kirim_datagram *d, struct kirim_class *out, void *user)
{
    (void)user;
    if (d->bytes < KEY_END || (d->flags & KIRIM_RX_TRUNCATED) != 0) {
        return;
    }
    out->key = d->data + KEY_AT;
    out->key_bytes = KIRIM_CHANNEL_ID_BYTES;
    switch (d->data[0]) {
    case KIRIM_CHANNEL_HELLO:
        out->verdict = KIRIM_CLASS_STATELESS;
        break;
    case KIRIM_CHANNEL_BEGIN:
        out->verdict = KIRIM_CLASS_ADMIT;
        break;
    case KIRIM_CHANNEL_DATA:
        out->verdict = KIRIM_CLASS_KNOWN;
        break;
    default:
        break;
    }
}

/* From when it has begun: who found no room may ask again. */
static void note_used(struct kirim_channel_listener *l, const uint8_t *id)
{
    const uint64_t forgotten_ns = ki_channel_used_add(l->ki_used, id, kirim_loop_now(l->ki_loop));
    if (forgotten_ns > 0) {
        kirim_channel_gate_refuse_until(&l->ki_gate, forgotten_ns);
        l->stats.crowded++;
    }
}

static kirim_err admit(struct kirim_sessions *set, const struct kirim_datagram *d,
                       struct kirim_admission *out, void *user)
{
    struct kirim_channel_listener *const l = user;
    const struct kirim_channel_visit v = {
        d->data, d->bytes, &d->peer, kirim_loop_now(l->ki_loop), { 0 }
    };
    struct kirim_channel_packet p;
    (void)set;
    if (l->ki_is_closing || kirim_channel_gate_check(&l->ki_gate, &v, &p) < 0 ||
        ki_channel_used_has(l->ki_used, p.to)) {
        l->stats.refused++;
        return KIRIM_EACCES;
    }
    out->is_validated = 1;
    return KIRIM_OK;
}

static void answer(struct kirim_sessions *set, const struct kirim_datagram *d, void *user)
{
    struct kirim_channel_listener *const l = user;
    uint8_t room[KIRIM_CHANNEL_ANSWER_BYTES_MAX];
    struct kirim_channel_visit v = {
        d->data, d->bytes, &d->peer, kirim_loop_now(l->ki_loop), { 0 }
    };
    const bool is_data = d->data[0] == KIRIM_CHANNEL_DATA;
    if ((!is_data && l->ki_is_closing) || kirim_loop_random(l->ki_loop, v.id, sizeof v.id) < 0 ||
        (is_data && !kirim_bucket_take(&l->ki_resets, &reset_rate, v.now_ns, 1))) {
        l->stats.dropped++;
        return;
    }
    const size_t bytes = kirim_channel_gate_answer(&l->ki_gate, &v, room);
    if (bytes == 0 || kirim_sessions_answer(set, d, room, bytes) < 0) {
        l->stats.dropped++;
        return;
    }
    l->stats.resets += is_data ? 1 : 0;
    l->stats.hellos += is_data ? 0 : 1;
}

/* ---- a layer below each channel, which counts them ------------------------------------------- */

static void close_set(struct kirim_channel_listener *l)
{
    kirim_timer_cancel(&l->ki_deadline);
    kirim_timer_cancel(&l->ki_rotation);
    (void)kirim_sessions_close(l->sessions); /* or it closes already */
}

static struct kirim_channel_listener *listener_of(struct kirim_layer *layer)
{
    struct kirim_session *const session = kirim_stack_session(kirim_layer_stack(layer));
    return kirim_sessions_user(kirim_session_set(session));
}

static kirim_err tally_open(struct kirim_layer *layer, const void *config)
{
    (void)config;
    listener_of(layer)->ki_channel_count++;
    return KIRIM_OK;
}

static void tally_closed(struct kirim_layer *layer, kirim_err why)
{
    struct kirim_channel_listener *const l = listener_of(layer);
    (void)why;
    l->ki_channel_count--;
    if (l->ki_is_closing && l->ki_channel_count == 0) {
        close_set(l);
    }
}

static const struct kirim_layer_type tally = {
    .size = KIRIM_LAYER_TYPE_INIT,
    .name = "tally",
    .open = tally_open,
    .closed = tally_closed,
};

static void begun(struct kirim_channel *channel, struct kirim_layer *layer, void *user)
{
    struct kirim_channel_listener *const l = listener_of(layer);
    l->stats.accepted++;
    note_used(l, kirim_channel_id(channel));
    if (l->ki_options.accepted != NULL) {
        l->ki_options.accepted(l, channel, user);
    }
}

/* ---- listeners ------------------------------------------------------------------------------- */

static void opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    struct kirim_channel_listener *const l = user;
    struct slot *const slot = kirim_session_state(session);
    const struct kirim_layer_plan layers[] = { { &tally, NULL },
                                               { kirim_channel_layer(), &l->ki_config } };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    (void)set;
    plan.layers = layers;
    plan.layer_count = sizeof layers / sizeof layers[0];
    plan.payload_bytes_max = l->ki_options.channel.payload_bytes_max;
    if (kirim_stack_on_session(session, &plan, &slot->stack) < 0) {
        (void)kirim_session_close(session); /* no memory; or it is closed already */
    }
}

static void free_used(struct kirim_channel_listener *l)
{
    ki_channel_used_free(l->ki_used);
    (void)kirim_loop_alloc(l->ki_loop, l->ki_used, sizeof *l->ki_used, 0);
    l->ki_used = NULL;
}

static void set_closed(struct kirim_sessions *set, void *user)
{
    struct kirim_channel_listener *const l = user;
    (void)set;
    kirim_timer_cancel(&l->ki_deadline);
    kirim_timer_cancel(&l->ki_rotation);
    free_used(l);
    if (l->ki_options.closed != NULL) {
        l->ki_options.closed(l, l->ki_options.user);
    }
}

static void rotate(struct kirim_timer *timer)
{
    struct kirim_channel_listener *const l = timer->user;
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES];
    if (kirim_loop_random(l->ki_loop, key, sizeof key) == KIRIM_OK) {
        kirim_channel_gate_rotate(&l->ki_gate, key);
    }
    (void)kirim_timer_arm_after(l->ki_loop, timer, ROTATION_NS);
}

static void expire_close(struct kirim_timer *timer)
{
    close_set(timer->user);
}

/* What endpoints of channels need beside what the caller says. */
static struct kirim_endpoint_options endpoint_options(struct kirim_loop *loop,
                                                      const struct kirim_endpoint_options *given,
                                                      uint32_t *is_unfragmented)
{
    const uint32_t whole = KIRIM_CAP_DONT_FRAGMENT | KIRIM_CAP_PATH_MTU;
    struct kirim_endpoint_options o = *given;
    o.flags |= KIRIM_ENDPOINT_RECEIVE_CONTROL | KIRIM_ENDPOINT_ORDER_PER_PEER;
    if ((kirim_loop_caps(loop) & whole) == whole &&
        (o.flags & (KIRIM_ENDPOINT_DONT_FRAGMENT | KIRIM_ENDPOINT_ADOPT)) == 0) {
        o.flags |= KIRIM_ENDPOINT_PROBE_MTU;
    }
    if (o.receive_buffer_bytes == 0) {
        o.receive_buffer_bytes = RECEIVE_BYTES;
    }
    *is_unfragmented =
        (o.flags & (KIRIM_ENDPOINT_DONT_FRAGMENT | KIRIM_ENDPOINT_PROBE_MTU)) != 0 ? 1 : 0;
    return o;
}

static void *give_memory(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    return kirim_loop_alloc(user, old, old_bytes, new_bytes);
}

static kirim_err open_used(struct kirim_channel_listener *l, const uint8_t *key)
{
    const struct ki_channel_memory memory = { give_memory, l->ki_loop };
    l->ki_used = ki_channel_get_memory(&memory, sizeof *l->ki_used);
    if (l->ki_used == NULL) {
        return KIRIM_ENOMEM;
    }
    ki_channel_used_init(l->ki_used, &memory, TOKEN_NS, key);
    return KIRIM_OK;
}

static kirim_err init_listener(struct kirim_channel_listener *l, struct kirim_loop *loop,
                               const struct kirim_channel_listen_options *options)
{
    uint8_t keys[3][KIRIM_SIPHASH_KEY_BYTES];
    memset(l, 0, sizeof *l);
    l->ki_options = *options;
    l->ki_loop = loop;
    l->budget.bytes_max = options->reassembly_bytes_max;
    l->ki_config = (struct kirim_channel_layer_config)KIRIM_CHANNEL_LAYER_CONFIG_INIT;
    l->ki_config.options = options->channel;
    l->ki_config.options.user = options->user;
    l->ki_config.gate = &l->ki_gate;
    l->ki_config.begun = begun;
    if (l->ki_config.options.budget == NULL) {
        l->ki_config.options.budget = &l->budget;
    }
    l->ki_rotation = (struct kirim_timer)KIRIM_TIMER_INIT(rotate, l);
    l->ki_deadline = (struct kirim_timer)KIRIM_TIMER_INIT(expire_close, l);
    kirim_err err = kirim_loop_random(loop, keys, sizeof keys);
    if (err == KIRIM_OK) {
        const uint8_t *const reset_key = options->reset_key != NULL ? options->reset_key : keys[1];
        err = kirim_channel_gate_init(&l->ki_gate, &options->channel.params, keys[0], reset_key);
    }
    return err < 0 ? err : open_used(l, keys[2]);
}

static bool is_valid(const struct kirim_channel_listen_options *o)
{
    if (o == NULL || o->size != sizeof *o || o->endpoint == NULL || o->channel.handler == NULL) {
        return false;
    }
    const struct kirim_channel_budget *const shared = o->channel.budget;
    const uint64_t most = shared != NULL ? shared->bytes_max : o->reassembly_bytes_max;
    return most >= KIRIM_CHANNEL_BUDGET_BYTES_MIN(o->channel.params.message_bytes_max);
}

kirim_err kirim_channel_listen(struct kirim_channel_listener *listener, struct kirim_loop *loop,
                               const struct kirim_channel_listen_options *options)
{
    static const struct kirim_sessions_handler handler = {
        KIRIM_SESSIONS_HANDLER_INIT, admit, answer, opened, NULL, set_closed,
    };
    struct kirim_sessions_options o = KIRIM_SESSIONS_OPTIONS_INIT;
    if (listener == NULL || loop == NULL || !is_valid(options)) {
        return KIRIM_EINVAL;
    }
    kirim_err err = init_listener(listener, loop, options);
    if (err < 0) {
        return err;
    }
    const struct kirim_endpoint_options ep =
        endpoint_options(loop, options->endpoint, &listener->ki_config.is_unfragmented);
    o.endpoint = &ep;
    o.classify = classify;
    o.handler = &handler;
    o.session_handler = kirim_stack_session_handler();
    o.user = listener;
    o.count_max = options->count_max;
    o.prefix_count_max = options->prefix_count_max;
    o.state_bytes = sizeof(struct slot);
    o.idle_ns = KIRIM_NEVER; /* the channels have clocks of their own */
    err = kirim_sessions_open(loop, &o, &listener->sessions);
    if (err < 0) {
        free_used(listener);
        return err;
    }
    return kirim_timer_arm_after(loop, &listener->ki_rotation, ROTATION_NS);
}

kirim_err kirim_channel_listener_close(struct kirim_channel_listener *listener,
                                       uint64_t deadline_ns)
{
    if (listener->ki_is_closing) {
        return KIRIM_ECLOSED;
    }
    listener->ki_is_closing = true;
    struct kirim_session *session = kirim_sessions_next(listener->sessions, NULL);
    while (session != NULL) {
        const struct slot *const slot = kirim_session_state(session);
        struct kirim_channel *const channel =
            slot->stack != NULL ? kirim_channel_of(kirim_stack_layer(slot->stack, 1)) : NULL;
        struct kirim_session *const next = kirim_sessions_next(listener->sessions, session);
        if (channel != NULL) {
            (void)kirim_channel_close(channel, KIRIM_CHANNEL_CODE_SHUTDOWN, "");
        }
        session = next;
    }
    if (listener->ki_channel_count == 0) {
        close_set(listener);
        return KIRIM_OK;
    }
    return kirim_timer_arm(listener->ki_loop, &listener->ki_deadline, deadline_ns);
}

/* ---- one channel ----------------------------------------------------------------------------- */

kirim_err kirim_channel_open(struct kirim_loop *loop,
                             const struct kirim_channel_open_options *options,
                             struct kirim_channel **out)
{
    struct kirim_channel_layer_config config = KIRIM_CHANNEL_LAYER_CONFIG_INIT;
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    struct kirim_stack *stack = NULL;
    if (loop == NULL || out == NULL || options == NULL || options->size != sizeof *options ||
        options->endpoint == NULL ||
        kirim_addr_family(&options->endpoint->peer) == KIRIM_FAMILY_NONE) {
        return KIRIM_EINVAL;
    }
    const struct kirim_endpoint_options ep =
        endpoint_options(loop, options->endpoint, &config.is_unfragmented);
    const struct kirim_layer_plan layer = { kirim_channel_layer(), &config };
    config.options = options->channel;
    plan.layers = &layer;
    plan.layer_count = 1;
    plan.payload_bytes_max = options->channel.payload_bytes_max;
    const kirim_err err = kirim_stack_on_endpoint(loop, &ep, &plan, &stack);
    if (err < 0) {
        return err;
    }
    struct kirim_channel *const channel = kirim_channel_of(kirim_stack_layer(stack, 0));
    if (channel == NULL) {
        return KIRIM_EINVAL; /* its options were refused, and the stack is closed */
    }
    *out = channel;
    return KIRIM_OK;
}
