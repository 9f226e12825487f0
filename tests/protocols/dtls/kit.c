/* SPDX-License-Identifier: MIT
 *
 * The world of the DTLS suites, see kit.h: identities, taps, tops, an echoing server.
 */
#include "kit.h"

#include <stdio.h>

#include "support/simnet.h"
#include "support/storm.h"

#define SERVER "10.0.0.1:4433"

static const uint8_t psk[] = "0123456789abcdef";
static const uint64_t ANSWER_NS = 3 * SECOND;

/* ---- identities ------------------------------------------------------------------------------ */

const struct kit_identities *kit_identities(void)
{
    static struct kit_identities made;
    if (made.ca.key[0] == '\0') {
        random_begin(99);
        identity_make(&made.ca, "ca", NULL, NULL);
        identity_make(&made.server, "server", "DNS:server.test,IP:10.0.0.1", &made.ca);
        identity_make(&made.client, "client", "DNS:client.test", &made.ca);
        identity_make(&made.other, "ca", NULL, NULL);
    }
    return &made;
}

struct kirim_dtls_options kit_server_options(void)
{
    const struct kit_identities *const made = kit_identities();
    struct kirim_dtls_options o = KIRIM_DTLS_OPTIONS_INIT;
    o.certificate = identity_text(made->server.certificate);
    o.private_key = identity_text(made->server.key);
    return o;
}

struct kirim_dtls_options kit_client_options(void)
{
    struct kirim_dtls_options o = KIRIM_DTLS_OPTIONS_INIT;
    o.trusted = identity_text(kit_identities()->ca.certificate);
    return o;
}

struct kirim_dtls_options kit_psk_options(void)
{
    struct kirim_dtls_options o = KIRIM_DTLS_OPTIONS_INIT;
    o.psk_key = (struct kirim_buf){ (void *)(uintptr_t)psk, sizeof psk - 1 };
    o.psk_identity = "device";
    return o;
}

/* ---- the tap --------------------------------------------------------------------------------- */

static struct kit_client *client_of(struct kirim_layer *layer)
{
    return *(struct kit_client **)kirim_layer_state(layer);
}

static void keep(struct kit_client *c, const void *data, size_t bytes, bool is_sent)
{
    if (c->kept_count < KIT_KEPT_MAX && bytes <= KIT_DATAGRAM_MAX) {
        struct kit_kept *const kept = &c->kept[c->kept_count];
        memcpy(kept->data, data, bytes);
        kept->bytes = bytes;
        kept->is_sent = is_sent;
        kept->at_ns = kirim_loop_now(c->world->client_loop);
    }
    c->kept_count++;
}

static kirim_err tap_open(struct kirim_layer *layer, const void *config)
{
    struct kit_client *const c = (struct kit_client *)(uintptr_t)config;
    *(struct kit_client **)kirim_layer_state(layer) = c;
    c->tap = layer;
    return KIRIM_OK;
}

static void tap_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        keep(client_of(layer), d->data, d->bytes, false);
    }
    kirim_layer_pass_received(layer, batch);
}

static kirim_err tap_send(struct kirim_layer *layer, const struct kirim_msg *msg)
{
    struct kit_client *const c = client_of(layer);
    const size_t ordinal = c->sent_count++;
    ck_assert_uint_eq(msg->buf_count, 1);
    keep(c, msg->buf[0].data, msg->buf[0].bytes, true);
    if (msg->buf[0].bytes > c->sent_bytes_max) {
        c->sent_bytes_max = msg->buf[0].bytes;
    }
    if (ordinal < 64 && (c->drop_sent >> ordinal & 1) != 0) {
        return KIRIM_OK;
    }
    return kirim_layer_send(layer, msg);
}

static const struct kirim_layer_type tap_type = {
    .size = KIRIM_LAYER_TYPE_INIT,
    .name = "tap",
    .state_bytes = sizeof(struct kit_client *),
    .open = tap_open,
    .received = tap_received,
    .send = tap_send,
};

/* ---- the client's top ------------------------------------------------------------------------ */

/* Byte i of message n. */
static uint8_t byte_of(size_t n, size_t i)
{
    return (uint8_t)(i == 0 ? n : n * 7 + i);
}

static void say_next(struct kit_client *c)
{
    uint8_t message[KIT_DATAGRAM_MAX];
    for (size_t i = 0; i < c->message_bytes; i++) {
        message[i] = byte_of(c->to_send, i);
    }
    (void)kit_say(c, message, c->message_bytes);
    (void)kirim_layer_timer_arm(c->top, &c->again,
                                kirim_loop_now(c->world->client_loop) + ANSWER_NS);
}

static void say_again(struct kirim_timer *timer)
{
    say_next(timer->user);
}

static kirim_err top_open(struct kirim_layer *layer, const void *config)
{
    struct kit_client *const c = (struct kit_client *)(uintptr_t)config;
    *(struct kit_client **)kirim_layer_state(layer) = c;
    c->top = layer;
    c->again = (struct kirim_timer)KIRIM_TIMER_INIT(say_again, c);
    return KIRIM_OK;
}

static void top_ready(struct kirim_layer *layer)
{
    struct kit_client *const c = client_of(layer);
    c->ready_count++;
    (void)kirim_dtls_session(c->dtls, c->session, sizeof c->session, &c->session_bytes);
    if (c->to_send > 0) {
        say_next(c);
    }
}

static void take_answer(struct kit_client *c)
{
    if (c->to_send == 0 || c->last_bytes == 0 || c->last[0] != (uint8_t)c->to_send) {
        return; /* of an earlier one, that was sent twice */
    }
    c->wrong_count += c->last_bytes != c->message_bytes;
    for (size_t i = 0; i < c->last_bytes; i++) {
        c->wrong_count += c->last[i] != byte_of(c->to_send, i);
    }
    c->to_send--;
    if (c->to_send > 0) {
        say_next(c);
        return;
    }
    kirim_timer_cancel(&c->again);
    if (c->is_draining_after) {
        (void)kirim_stack_drain(c->stack, kirim_loop_now(c->world->client_loop) + SECOND);
    }
}

static void top_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    struct kit_client *const c = client_of(layer);
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        ck_assert_uint_le(d->bytes, KIT_DATAGRAM_MAX);
        storm_note((uint64_t)(c - c->world->client), d->data, d->bytes);
        memcpy(c->last, d->data, d->bytes);
        c->last_bytes = d->bytes;
        c->received_count++;
        take_answer(c);
    }
}

static void top_failed(struct kirim_layer *layer, const struct kirim_event *event)
{
    (void)event;
    client_of(layer)->failed_count++;
}

static void top_closed(struct kirim_layer *layer, kirim_err why)
{
    struct kit_client *const c = client_of(layer);
    c->closed_count++;
    c->why = why;
    c->info = kit_info(c->dtls);
    c->stack = NULL;
}

static const struct kirim_layer_type top_type = {
    .size = KIRIM_LAYER_TYPE_INIT,
    .name = "top",
    .state_bytes = sizeof(struct kit_client *),
    .open = top_open,
    .ready = top_ready,
    .received = top_received,
    .failed = top_failed,
    .closed = top_closed,
};

/* ---- the server ------------------------------------------------------------------------------ */

static struct kit_world *world_of(struct kirim_layer *layer)
{
    return *(struct kit_world **)kirim_layer_state(layer);
}

static kirim_err echo_open(struct kirim_layer *layer, const void *config)
{
    *(struct kit_world **)kirim_layer_state(layer) = (struct kit_world *)(uintptr_t)config;
    return KIRIM_OK;
}

static void echo_ready(struct kirim_layer *layer)
{
    world_of(layer)->server_ready++;
}

static void echo_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    struct kit_world *const w = world_of(layer);
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        const struct kirim_buf buf = { d->data, d->bytes };
        const struct kirim_msg msg = { .buf = &buf, .buf_count = 1, .peer = &d->peer };
        storm_note(w->server_received++, d->data, d->bytes);
        (void)kirim_layer_send(layer, &msg);
    }
}

static void echo_closed(struct kirim_layer *layer, kirim_err why)
{
    struct kit_world *const w = world_of(layer);
    struct kirim_layer *const dtls = kirim_stack_layer(kirim_layer_stack(layer), 0);
    w->server_closed++;
    w->server_why = why;
    w->server_info = kit_info(dtls);
    if (dtls == w->last_dtls) {
        w->last_dtls = NULL;
        w->last_stack = NULL;
    }
}

static const struct kirim_layer_type echo_type = {
    .size = KIRIM_LAYER_TYPE_INIT,
    .name = "echo",
    .state_bytes = sizeof(struct kit_world *),
    .open = echo_open,
    .ready = echo_ready,
    .received = echo_received,
    .closed = echo_closed,
};

static kirim_err on_admit(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                          struct kirim_admission *out, void *user)
{
    struct kit_world *const w = user;
    return w->is_admitting_all ? KIRIM_OK : kirim_dtls_admit(w->server_dtls, set, datagram, out);
}

static void on_opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    struct kit_world *const w = user;
    const struct kirim_dtls_config config =
        KIRIM_DTLS_CONFIG_INIT(w->server_dtls, KIRIM_DTLS_SERVER);
    const struct kirim_layer_plan layers[] = {
        { kirim_dtls_layer_type(), &config },
        { &echo_type, w },
    };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    (void)set;
    plan.layers = layers;
    plan.layer_count = COUNT_OF(layers);
    plan.payload_bytes_max = w->payload_bytes_max;
    w->server_opened++;
    ck_assert_int_eq(kirim_stack_on_session(session, &plan, &w->last_stack), KIRIM_OK);
    w->last_dtls = kirim_stack_layer(w->last_stack, 0);
}

static void open_server(struct kit_world *w)
{
    static const struct kirim_sessions_handler handler = {
        .size = KIRIM_SESSIONS_HANDLER_INIT,
        .admit = on_admit,
        .opened = on_opened,
    };
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_sessions_options options = KIRIM_SESSIONS_OPTIONS_INIT;
    ck_assert_int_eq(kirim_addr_parse("0.0.0.0:4433", &endpoint.local), KIRIM_OK);
    options.endpoint = &endpoint;
    options.handler = &handler;
    options.session_handler = kirim_stack_session_handler();
    options.user = w;
    options.idle_ns = w->server_idle_ns;
    ck_assert_int_eq(kirim_sessions_open(w->server_loop, &options, &w->set), KIRIM_OK);
}

/* ---- worlds ---------------------------------------------------------------------------------- */

struct kit_world *kit_open(const struct kit_setup *setup)
{
    static struct kit_world world;
    struct kit_world *const w = &world;
    const uint64_t seed = setup->seed != 0 ? setup->seed : 1;
    const struct kirim_dtls_options at_server =
        setup->server.size != 0 ? setup->server : kit_server_options();
    const struct kirim_dtls_options at_client =
        setup->client.size != 0 ? setup->client : kit_client_options();
    memset(w, 0, sizeof *w);
    w->payload_bytes_max = setup->payload_bytes_max;
    w->server_idle_ns = setup->server_idle_ns;
    w->is_admitting_all = setup->is_admitting_all;
    w->sim = simnet_open(seed, NULL);
    clock_follow(w->sim);
    random_begin(seed);
    w->server_host = simnet_host(w->sim, "server", "10.0.0.1", "10.0.0.9");
    w->client_host = simnet_host(w->sim, "client", "10.0.0.2", "10.0.7.2");
    w->server_loop = simnet_loop(w->server_host, &w->memory[0]);
    w->client_loop = simnet_loop(w->client_host, &w->memory[1]);
    ck_assert_int_eq(kirim_dtls_open(w->server_loop, &at_server, &w->server_dtls), KIRIM_OK);
    ck_assert_int_eq(kirim_dtls_open(w->client_loop, &at_client, &w->client_dtls), KIRIM_OK);
    open_server(w);
    return w;
}

struct kit_world *kit_open_plain(void)
{
    const struct kit_setup setup = { 0 };
    return kit_open(&setup);
}

void kit_close(struct kit_world *w)
{
    ck_assert_int_eq(kirim_loop_close(w->client_loop), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_close(w->server_loop), KIRIM_OK);
    for (size_t i = 0; i < w->client_count; i++) {
        ck_assert_uint_eq(w->client[i].closed_count, 1);
        ck_assert_uint_le(w->client[i].ready_count, 1);
    }
    ck_assert_uint_eq(w->server_closed, w->server_opened);
    ck_assert_uint_eq(kit_server_stats(w).open, 0);
    ck_assert_uint_eq(kit_server_stats(w).half_open, 0);
    ck_assert_uint_eq(kit_client_stats(w).open, 0);
    ck_assert_uint_eq(kit_client_stats(w).half_open, 0);
    kirim_dtls_close(w->client_dtls);
    kirim_dtls_close(w->server_dtls);
    ck_assert_uint_eq(w->memory[0].blocks + w->memory[1].blocks, 0);
    clock_follow(NULL);
    ck_assert_int_eq(kirim_sim_close(w->sim), KIRIM_OK);
}

struct kit_client *kit_connect_from(struct kit_world *w, uint16_t port, const char *host,
                                    const struct kirim_buf *session)
{
    ck_assert_uint_lt(w->client_count, KIT_CLIENT_MAX);
    struct kit_client *const c = &w->client[w->client_count++];
    struct kirim_dtls_config config = KIRIM_DTLS_CONFIG_INIT(w->client_dtls, KIRIM_DTLS_CLIENT);
    const struct kirim_layer_plan layers[] = {
        { &tap_type, c },
        { kirim_dtls_layer_type(), &config },
        { &top_type, c },
    };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    c->world = w;
    c->info = (struct kirim_dtls_info)KIRIM_DTLS_INFO_INIT;
    config.host = host != NULL ? host : "server.test";
    if (session != NULL) {
        config.session = *session;
    }
    plan.layers = layers;
    plan.layer_count = COUNT_OF(layers);
    plan.payload_bytes_max = w->payload_bytes_max;
    options.local = simnet_addr("10.0.0.2");
    kirim_addr_set_port(&options.local, port);
    options.peer = simnet_addr(SERVER);
    ck_assert_int_eq(kirim_stack_on_endpoint(w->client_loop, &options, &plan, &c->stack), KIRIM_OK);
    c->dtls = kirim_stack_layer(c->stack, KIT_LAYER_DTLS);
    return c;
}

struct kit_client *kit_connect(struct kit_world *w)
{
    return kit_connect_from(w, 0, NULL, NULL);
}

void kit_run(struct kit_world *w, uint64_t ns)
{
    simnet_run(w->sim, ns);
}

void kit_set_links(struct kit_world *w, const struct kirim_link_rules *link)
{
    simnet_link(w->sim, w->client_host, w->server_host, link);
}

/* ---- traffic --------------------------------------------------------------------------------- */

kirim_err kit_say(struct kit_client *c, const void *data, size_t bytes)
{
    const struct kirim_buf buf = { (void *)(uintptr_t)data, bytes };
    const struct kirim_msg msg = { .buf = &buf, .buf_count = 1 };
    return kirim_layer_send(c->top, &msg);
}

void kit_inject(struct kit_client *c, const void *data, size_t bytes)
{
    const struct kirim_buf buf = { (void *)(uintptr_t)data, bytes };
    const struct kirim_msg msg = { .buf = &buf, .buf_count = 1 };
    ck_assert_int_eq(kirim_endpoint_send(kirim_stack_endpoint(c->stack), &msg, 0, NULL, NULL),
                     KIRIM_OK);
}

void kit_inject_to(struct kit_client *c, const void *data, size_t bytes)
{
    const struct kirim_buf buf = { (void *)(uintptr_t)data, bytes };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_addr to = kirim_endpoint_local(kirim_stack_endpoint(c->stack));
    const struct kirim_msg msg = { .buf = &buf, .buf_count = 1, .peer = &to, .control = &control };
    control.source = simnet_addr("10.0.0.1");
    ck_assert_int_eq(
        kirim_endpoint_send(kirim_sessions_endpoint(c->world->set), &msg, 0, NULL, NULL), KIRIM_OK);
}

const struct kit_kept *kit_kept(const struct kit_client *c, bool is_sent, size_t n)
{
    for (size_t i = 0; i < c->kept_count && i < KIT_KEPT_MAX; i++) {
        if (c->kept[i].is_sent == is_sent && n-- == 0) {
            return &c->kept[i];
        }
    }
    return NULL;
}

/* ---- questions ------------------------------------------------------------------------------- */

struct kirim_dtls_stats kit_server_stats(const struct kit_world *w)
{
    struct kirim_dtls_stats stats = KIRIM_DTLS_STATS_INIT;
    ck_assert_int_eq(kirim_dtls_read_stats(w->server_dtls, &stats), KIRIM_OK);
    return stats;
}

struct kirim_dtls_stats kit_client_stats(const struct kit_world *w)
{
    struct kirim_dtls_stats stats = KIRIM_DTLS_STATS_INIT;
    ck_assert_int_eq(kirim_dtls_read_stats(w->client_dtls, &stats), KIRIM_OK);
    return stats;
}

struct kirim_sessions_stats kit_set_stats(const struct kit_world *w)
{
    struct kirim_sessions_stats stats = KIRIM_SESSIONS_STATS_INIT;
    ck_assert_int_eq(kirim_sessions_read_stats(w->set, &stats), KIRIM_OK);
    return stats;
}

struct kirim_dtls_info kit_info(struct kirim_layer *dtls)
{
    struct kirim_dtls_info info = KIRIM_DTLS_INFO_INIT;
    ck_assert_int_eq(kirim_dtls_read_info(dtls, &info), KIRIM_OK);
    return info;
}
