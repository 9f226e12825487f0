/* SPDX-License-Identifier: MIT
 *
 * Claims about CoAP on a simulated network: clients and a server on hosts of their own, sessions
 * and layers between them, and links that delay, lose, duplicate and reorder. Whatever happens, a
 * request is carried out once at the most, and once if it was answered; bodies are whole; observers
 * know the last state; all ends, and memory is bounded. How seeds are chosen: support/storm.h.
 */
#include "kit.h"
#include "protocols/coap/coap_endpoint.h"

#include <stdio.h>

#include "support/random.h"
#include "support/simnet.h"
#include "support/storm.h"

enum {
    CLIENT_COUNT = 3,
    CALL_COUNT = 7,
    TICKET_MAX = 256,
    BODY_MAX = 6000,
    STATE_LAST = 20,
    STORM_SECONDS = 4000,
    SERVER_BYTES_MAX = 6 << 20,
    MASK_BYTES = 8,
    PPM = 1000000
};

struct world;
struct client;

/* One call, and what it was told. */
struct ask {
    struct kirim_coap_call call;
    struct client *client;
    int kind;
    uint32_t ticket;
    uint8_t body[BODY_MAX];
    size_t body_bytes, answers;
    bool is_ended, is_good;
    kirim_err err;
    uint8_t code, last_state;
};

struct client {
    struct world *world;
    struct kit_memory memory;
    struct kirim_sim_host *host;
    struct kirim_loop *loop;
    struct kirim_coap_node node;
    struct kirim_coap_peer *peer; /* NULL: gone */
    struct kirim_stack *stack;
    struct ask ask[CALL_COUNT];
    size_t ask_count;
};

/* "server" with two addresses and a service on all of them; clients with a host each. */
struct world {
    struct kit_memory memory[2]; /* of the world, the server */
    struct kirim_sim *sim;
    struct kirim_sim_host *server_host;
    struct kirim_loop *server_loop;
    struct kirim_coap_node node;
    struct kirim_coap_service service;
    struct kirim_coap_resource once, big, slow, state;
    struct kirim_timer slow_timer[TICKET_MAX], state_timer;
    uint64_t slow_deferral[TICKET_MAX];
    uint8_t runs[TICKET_MAX]; /* how often a ticket was carried out */
    uint8_t stored[BODY_MAX];
    size_t stored_bytes, slow_count;
    uint8_t present_state;
    uint32_t tickets, payload_bytes_max;
    struct test_random random;
    bool is_masked, is_hostile;
    struct client client[CLIENT_COUNT];
};

/* 0 .. most - 1, by the world's seed. */
static uint32_t draw(struct world *w, uint32_t most)
{
    return (uint32_t)test_random_below(&w->random, most);
}

/* ---- a layer below CoAP: a header, and bytes that nobody else reads -------------------------- */

static void mask_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct kirim_datagram inner = *kirim_batch_at(batch, i);
        const struct kirim_batch one = { &inner, 1, sizeof inner };
        if (inner.bytes < MASK_BYTES || memcmp(inner.data, "12345678", MASK_BYTES) != 0) {
            continue;
        }
        inner.data += MASK_BYTES;
        inner.bytes -= MASK_BYTES;
        for (uint32_t n = 0; n < inner.bytes; n++) {
            inner.data[n] ^= 0xa5;
        }
        kirim_layer_pass_received(layer, &one);
    }
}

static kirim_err mask_send(struct kirim_layer *layer, const struct kirim_msg *msg)
{
    uint8_t masked[2048];
    const struct kirim_buf buf = { masked, msg->buf[0].bytes };
    const struct kirim_msg inner = { .buf = &buf, .buf_count = 1, .peer = msg->peer };
    const uint8_t *const from = msg->buf[0].data;
    ck_assert_uint_eq(msg->buf_count, 1);
    ck_assert_uint_le(buf.bytes, sizeof masked);
    for (size_t i = 0; i < buf.bytes; i++) {
        masked[i] = from[i] ^ 0xa5;
    }
    return kirim_layer_send_behind(layer, "12345678", MASK_BYTES, &inner);
}

static const struct kirim_layer_type mask_type = { KIRIM_LAYER_TYPE_INIT, .name = "mask",
                                                   .overhead_bytes = MASK_BYTES,
                                                   .received = mask_received, .send = mask_send };
static const struct kirim_layer_plan mask = { &mask_type, NULL };

static kirim_err admit_all(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                           struct kirim_admission *out, void *user)
{
    (void)set;
    (void)datagram;
    (void)out;
    (void)user;
    return KIRIM_OK;
}

/* ---- the server's resources ------------------------------------------------------------------ */

static uint32_t ticket_of(struct kirim_coap_span body)
{
    ck_assert_uint_ge(body.bytes, 4);
    uint32_t ticket;
    memcpy(&ticket, body.data, 4);
    ck_assert_uint_lt(ticket, TICKET_MAX);
    return ticket;
}

/* What a body that begins with a ticket goes on with. */
static uint8_t filler(uint32_t ticket, size_t at)
{
    return (uint8_t)(ticket * 31 + at * 7 + at / 256);
}

static void check_body(struct kirim_coap_span body)
{
    const uint32_t ticket = ticket_of(body);
    for (size_t i = 4; i < body.bytes; i++) {
        ck_assert_uint_eq(body.data[i], filler(ticket, i));
    }
}

static void on_once(struct kirim_coap_resource *r, const struct kirim_coap_request *request,
                    struct kirim_coap_response *response)
{
    struct world *const w = r->user;
    if (w->is_hostile && request->body.bytes != 100) {
        response->code = KIRIM_COAP_BAD_REQUEST;
        return;
    }
    const uint32_t ticket = ticket_of(request->body);
    check_body(request->body);
    storm_note(ticket, request->body.data, request->body.bytes);
    ck_assert_uint_lt(w->runs[ticket], 255);
    w->runs[ticket]++;
    response->code = KIRIM_COAP_CHANGED;
}

static void on_big(struct kirim_coap_resource *r, const struct kirim_coap_request *request,
                   struct kirim_coap_response *response)
{
    struct world *const w = r->user;
    if (request->method == KIRIM_COAP_GET) {
        response->code = KIRIM_COAP_CONTENT;
        response->body = (struct kirim_coap_span){ w->stored, w->stored_bytes };
        return;
    }
    on_once(r, request, response);
    if (response->code != KIRIM_COAP_CHANGED) {
        return;
    }
    memcpy(w->stored, request->body.data, request->body.bytes);
    w->stored_bytes = request->body.bytes;
    if (request->method == KIRIM_COAP_POST) { /* and back */
        response->body = request->body;
    }
}

static void on_slow_over(struct kirim_timer *timer)
{
    struct world *const w = timer->user;
    const struct kirim_coap_response response = { .code = KIRIM_COAP_CHANGED,
                                                  .content_format = KIRIM_COAP_FORMAT_NONE,
                                                  .max_age_s = KIRIM_COAP_MAX_AGE_S };
    const size_t index = (size_t)(timer - w->slow_timer);
    (void)kirim_coap_respond(&w->node, w->slow_deferral[index], &response,
                             kirim_loop_now(w->server_loop));
}

static void on_slow(struct kirim_coap_resource *r, const struct kirim_coap_request *request,
                    struct kirim_coap_response *response)
{
    struct world *const w = r->user;
    const size_t index = w->slow_count++;
    on_once(r, request, response);
    ck_assert_uint_lt(index, TICKET_MAX);
    response->is_deferred = true;
    w->slow_deferral[index] = request->deferral;
    w->slow_timer[index] = (struct kirim_timer)KIRIM_TIMER_INIT(on_slow_over, w);
    ck_assert_int_eq(kirim_timer_arm(w->server_loop, &w->slow_timer[index],
                                     request->now_ns + draw(w, 8000) * MS),
                     KIRIM_OK);
}

static void on_state(struct kirim_coap_resource *r, const struct kirim_coap_request *request,
                     struct kirim_coap_response *response)
{
    struct world *const w = r->user;
    (void)request;
    response->code = KIRIM_COAP_CONTENT;
    response->max_age_s = 600;
    response->body = (struct kirim_coap_span){ &w->present_state, 1 };
}

/* The state goes up to STATE_LAST, and stays there. */
static void on_state_timer(struct kirim_timer *timer)
{
    struct world *const w = timer->user;
    w->present_state++;
    kirim_coap_notify(&w->node, &w->state, kirim_loop_now(w->server_loop));
    if (w->present_state < STATE_LAST) {
        (void)kirim_timer_arm_after(w->server_loop, timer, (1 + draw(w, 4000)) * MS);
    }
}

/* ---- the world ------------------------------------------------------------------------------- */

static void add_resource(struct world *w, struct kirim_coap_resource *r, const char *path,
                         uint32_t flags, kirim_coap_handle_fn fn)
{
    *r = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT(path, 0xfe, flags, fn, w);
    ck_assert_int_eq(kirim_coap_resource_add(&w->node, r), KIRIM_OK);
}

static void open_server(struct world *w)
{
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_coap_service_options options = KIRIM_COAP_SERVICE_OPTIONS_INIT;
    struct kirim_coap_node_options node = KIRIM_COAP_NODE_OPTIONS_INIT;
    node.duplicate_count_max = 512;
    w->server_host = simnet_host(w->sim, "server", "10.0.0.1", "10.0.0.9");
    w->server_loop = simnet_loop(w->server_host, &w->memory[1]);
    ck_assert_int_eq(kirim_coap_node_open(&w->node, w->server_loop, &node), KIRIM_OK);
    add_resource(w, &w->once, "once", 0, on_once);
    add_resource(w, &w->big, "big", 0, on_big);
    add_resource(w, &w->slow, "slow", 0, on_slow);
    add_resource(w, &w->state, "state", KIRIM_COAP_OBSERVABLE, on_state);
    w->state_timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_state_timer, w);
    endpoint.local = simnet_addr("0.0.0.0:5683");
    options.endpoint = &endpoint;
    options.payload_bytes_max = w->payload_bytes_max;
    options.lower = w->is_masked ? &mask : NULL;
    options.lower_count = w->is_masked ? 1 : 0;
    options.admit = w->is_masked ? admit_all : NULL;
    ck_assert_int_eq(kirim_coap_service_open(&w->service, w->server_loop, &w->node, &options),
                     KIRIM_OK);
}

static void on_client_closed(struct kirim_coap_peer *peer, kirim_err why, void *user)
{
    struct client *const c = user;
    (void)why;
    ck_assert_ptr_eq(peer, c->peer);
    c->peer = NULL;
}

static void dial(struct client *c, const char *server)
{
    const struct kirim_coap_dial_options options = {
        .peer = simnet_addr(server),
        .lower = c->world->is_masked ? &mask : NULL,
        .lower_count = c->world->is_masked ? 1 : 0,
        .payload_bytes_max = c->world->payload_bytes_max,
        .closed = on_client_closed,
        .user = c,
    };
    ck_assert_int_eq(kirim_coap_dial(c->loop, &c->node, &options, &c->peer, &c->stack), KIRIM_OK);
}

static void open_client(struct world *w, size_t index, const char *server)
{
    struct client *const c = &w->client[index];
    struct kirim_coap_node_options node = KIRIM_COAP_NODE_OPTIONS_INIT;
    char name[16];
    char text[32];
    (void)snprintf(name, sizeof name, "client%zu", index);
    (void)snprintf(text, sizeof text, "10.0.1.%zu", index + 1);
    c->world = w;
    c->host = simnet_host(w->sim, name, text, NULL);
    c->loop = simnet_loop(c->host, &c->memory);
    node.duplicate_count_max = 8;
    ck_assert_int_eq(kirim_coap_node_open(&c->node, c->loop, &node), KIRIM_OK);
    dial(c, server);
}

static struct world *open_world(uint64_t seed, bool is_masked, uint32_t payload_bytes_max)
{
    static struct world world;
    struct world *const w = &world;
    memset(w, 0, sizeof *w);
    w->is_masked = is_masked;
    w->payload_bytes_max = payload_bytes_max;
    w->random.state = seed;
    w->sim = simnet_open(seed, &w->memory[0]);
    open_server(w);
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        open_client(w, i, i % 2 == 0 ? "10.0.0.1:5683" : "10.0.0.9:5683");
    }
    return w;
}

static void close_world(struct world *w)
{
    kirim_coap_service_close(&w->service);
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        if (w->client[i].peer != NULL) {
            ck_assert_int_eq(kirim_stack_close(w->client[i].stack, KIRIM_OK), KIRIM_OK);
        }
    }
    simnet_run(w->sim, SECOND);
    ck_assert_ptr_null(w->service.set);
    ck_assert_uint_eq(w->node.observer_count, 0);
    ck_assert_uint_eq(w->node.deferral_count, 0);
    ck_assert_uint_eq(w->node.assembly_count, 0);
    ck_assert_uint_eq(w->node.pending_count, 0);
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        struct client *const c = &w->client[i];
        ck_assert_ptr_null(c->peer);
        for (size_t n = 0; n < c->ask_count; n++) {
            ck_assert(c->ask[n].is_ended);
        }
        kirim_coap_node_fini(&c->node);
        ck_assert_int_eq(kirim_loop_close(c->loop), KIRIM_OK);
        ck_assert_uint_eq(c->memory.blocks, 0);
    }
    kirim_coap_node_fini(&w->node);
    ck_assert_int_eq(kirim_loop_close(w->server_loop), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_close(w->sim), KIRIM_OK);
    for (size_t i = 0; i < COUNT_OF(w->memory); i++) {
        ck_assert_uint_eq(w->memory[i].blocks, 0);
    }
}

static void set_links(struct world *w, const struct kirim_link_rules *link)
{
    simnet_link(w->sim, NULL, NULL, link);
}

/* ---- calls ----------------------------------------------------------------------------------- */

enum { ONCE, BIG_PUT, BIG_GET, BIG_POST, SLOW, STATE, NON_ONCE, KIND_COUNT };

static void on_answered(struct kirim_coap_call *call, const struct kirim_coap_answer *answer)
{
    struct ask *const ask = call->user;
    ask->answers++;
    ask->code = answer->code;
    ask->is_good = kirim_coap_class(answer->code) == 2;
    storm_note((uint64_t)ask->ticket << 8 | answer->code, answer->body.data, answer->body.bytes);
    if (!ask->is_good) {
        return;
    }
    if (ask->kind == STATE) {
        ck_assert_uint_eq(answer->body.bytes, 1);
        ck_assert_uint_ge(answer->body.data[0], ask->last_state); /* never back */
        ask->last_state = answer->body.data[0];
    } else if (ask->kind == BIG_GET) {
        if (answer->body.bytes > 0) {
            check_body(answer->body); /* of one writer, not of two */
        }
    } else if (ask->kind == BIG_POST) {
        ck_assert_uint_eq(answer->body.bytes, ask->body_bytes);
        ck_assert_int_eq(memcmp(answer->body.data, ask->body, ask->body_bytes), 0);
    }
}

static void on_ended(struct kirim_coap_call *call, kirim_err err)
{
    struct ask *const ask = call->user;
    ck_assert(!ask->is_ended);
    ask->is_ended = true;
    ask->err = err;
}

static struct ask *start(struct client *c, int kind, size_t body_bytes)
{
    static const struct kirim_coap_option paths[] = {
        { KIRIM_COAP_URI_PATH, { (const uint8_t *)"once", 4 } },
        { KIRIM_COAP_URI_PATH, { (const uint8_t *)"big", 3 } },
        { KIRIM_COAP_URI_PATH, { (const uint8_t *)"slow", 4 } },
        { KIRIM_COAP_URI_PATH, { (const uint8_t *)"state", 5 } },
    };
    static const struct {
        uint8_t method, path;
    } kinds[KIND_COUNT] = { { KIRIM_COAP_POST, 0 }, { KIRIM_COAP_PUT, 1 },  { KIRIM_COAP_GET, 1 },
                            { KIRIM_COAP_POST, 1 }, { KIRIM_COAP_POST, 2 }, { KIRIM_COAP_GET, 3 },
                            { KIRIM_COAP_POST, 0 } };
    struct ask *const ask = &c->ask[c->ask_count++];
    ask->client = c;
    ask->kind = kind;
    ask->ticket = c->world->tickets++;
    ask->call = (struct kirim_coap_call)KIRIM_COAP_CALL_INIT(kinds[kind].method, on_answered,
                                                             on_ended, ask);
    ask->call.options = &paths[kinds[kind].path];
    ask->call.option_count = 1;
    ask->call.type = kind == NON_ONCE ? KIRIM_COAP_NON : KIRIM_COAP_CON;
    ask->call.is_observing = kind == STATE;
    if (kinds[kind].method != KIRIM_COAP_GET) {
        ask->body_bytes = body_bytes < 4 ? 4 : body_bytes;
        for (size_t i = 4; i < ask->body_bytes; i++) {
            ask->body[i] = filler(ask->ticket, i);
        }
        memcpy(ask->body, &ask->ticket, 4);
        ask->call.body = (struct kirim_coap_span){ ask->body, ask->body_bytes };
    }
    ck_assert_int_eq(kirim_coap_call_start(c->peer, &ask->call, kirim_loop_now(c->loop)), KIRIM_OK);
    return ask;
}

static void start_drawn(struct client *c)
{
    struct world *const w = c->world;
    const int kind = (int)draw(w, KIND_COUNT);
    const bool is_big = kind == BIG_PUT || kind == BIG_POST;
    struct ask *const ask = start(c, kind, is_big ? draw(w, BODY_MAX) : draw(w, 300));
    ask->call.szx = (uint8_t)(2 + draw(w, 5));
    ask->call.send_szx = ask->call.szx < ask->call.send_szx ? ask->call.szx : ask->call.send_szx;
}

/* What a call's end says must be so. */
static void check_ask(struct world *w, const struct ask *ask, size_t *good)
{
    const bool has_ticket = ask->kind != BIG_GET && ask->kind != STATE;
    ck_assert(ask->is_ended);
    ck_assert(ask->err == KIRIM_OK || ask->err == KIRIM_ETIMEDOUT || ask->err == KIRIM_ECONNRESET ||
              ask->err == KIRIM_EABORTED);
    if (has_ticket) {
        ck_assert_uint_le(w->runs[ask->ticket], 1); /* whatever came twice */
    }
    if (has_ticket && ask->err == KIRIM_OK && ask->is_good) {
        ck_assert_uint_eq(w->runs[ask->ticket], 1); /* what was promised was done */
    }
    *good += ask->err == KIRIM_OK && ask->is_good ? 1 : 0;
}

static struct kirim_link_rules drawn_link(struct world *w)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = (1 + draw(w, 60)) * MS;
    link.jitter_ns = draw(w, 30) * MS;
    link.loss_ppm = draw(w, 150000);
    link.duplicate_ppm = draw(w, 150000);
    link.reorder_ppm = draw(w, 150000);
    link.reorder_ns = draw(w, 400) * MS;
    link.corrupt_ppm = draw(w, 10000);
    if (w->payload_bytes_max != 0) {
        link.mtu = 576; /* 548 bytes of payload */
        link.mtu_action = KIRIM_SIM_MTU_BLACK_HOLE;
    }
    return link;
}

/* Ends observations, when the last state must be known to all whose observation holds. */
static void end_observations(struct world *w)
{
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        struct client *const c = &w->client[i];
        for (size_t n = 0; n < c->ask_count; n++) {
            struct ask *const ask = &c->ask[n];
            if (ask->kind == STATE && !ask->is_ended) {
                ck_assert_uint_eq(ask->last_state, STATE_LAST);
                kirim_coap_call_cancel(&ask->call, kirim_loop_now(c->loop));
            }
        }
    }
}

static void run_storm(struct kirim_trial *trial, void *user)
{
    const uint64_t seed = kirim_trial_seed(trial);
    size_t good = 0;
    struct world *const w = open_world(seed, seed % 2 == 0, seed % 5 == 0 ? 548 : 0);
    const struct kirim_link_rules link = drawn_link(w);
    set_links(w, &link);
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        while (w->client[i].ask_count < CALL_COUNT) {
            start_drawn(&w->client[i]);
        }
    }
    ck_assert_int_eq(kirim_timer_arm_after(w->server_loop, &w->state_timer, SECOND), KIRIM_OK);
    simnet_run(w->sim, STORM_SECONDS * SECOND / 2);
    end_observations(w);
    simnet_run(w->sim, STORM_SECONDS * SECOND / 2);
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        for (size_t n = 0; n < CALL_COUNT; n++) {
            check_ask(w, &w->client[i].ask[n], &good);
        }
    }
    KIRIM_TRIAL_EXPECT(trial, w->node.observer_count == 0);
    KIRIM_TRIAL_EXPECT(trial, w->node.assembly_count == 0);
    KIRIM_TRIAL_EXPECT(trial, w->node.deferral_count == 0);
    KIRIM_TRIAL_EXPECT(trial, w->memory[1].bytes_peak <= SERVER_BYTES_MAX);
    KIRIM_TRIAL_EXPECT(trial, good >= CLIENT_COUNT * CALL_COUNT / 2);
    *(size_t *)user += good;
    close_world(w);
}

START_TEST(requests_are_carried_out_once)
{
    size_t good = 0;
    const uint64_t count = storm_run(run_storm, &good);
    if (count >= STORM_SEEDS) { /* nearly all, over all, each twice */
        ck_assert_uint_ge(good, 2 * count * CLIENT_COUNT * CALL_COUNT * 90 / 100);
    }
}
END_TEST

/* ---- single faults --------------------------------------------------------------------------- */

START_TEST(doubled_datagrams_are_carried_out_once)
{
    struct world *const w = open_world(1, _i == 1, 0);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 5 * MS;
    link.duplicate_ppm = PPM;
    set_links(w, &link);
    struct client *const c = &w->client[0];
    (void)start(c, ONCE, 100);
    (void)start(c, NON_ONCE, 100);
    (void)start(c, BIG_POST, 5000);
    (void)start(c, SLOW, 10);
    simnet_run(w->sim, 60 * SECOND);
    for (size_t i = 0; i < c->ask_count; i++) {
        ck_assert(c->ask[i].is_ended && c->ask[i].is_good);
        ck_assert_uint_eq(c->ask[i].answers, 1);
        ck_assert_uint_eq(w->runs[c->ask[i].ticket], 1);
    }
    ck_assert_uint_eq(w->node.stats.resent + c->node.stats.resent, 0);
    close_world(w);
}
END_TEST

START_TEST(dead_link_ends_both_ends)
{
    struct world *const w = open_world(1, _i == 1, 0);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct client *const c = &w->client[0];
    const struct ask *const watch = start(c, STATE, 0);
    simnet_run(w->sim, SECOND);
    ck_assert_uint_eq(watch->answers, 1);
    ck_assert_uint_eq(w->node.observer_count, 1);
    link.is_down = true;
    set_links(w, &link);
    const struct ask *const ask = start(c, ONCE, 10);
    simnet_run(w->sim, 94 * SECOND);
    ck_assert(ask->is_ended);
    ck_assert_int_eq(ask->err, KIRIM_ETIMEDOUT);
    simnet_run(w->sim, 110 * SECOND);
    ck_assert_uint_eq(w->node.observer_count, 0); /* its confirmable notification was not heard */
    ck_assert_uint_eq(w->node.stats.observers_lost, 1);
    simnet_run(w->sim, 1000 * SECOND); /* who watches finds out when what it knows is old */
    ck_assert(watch->is_ended);
    ck_assert_int_eq(watch->err, KIRIM_ETIMEDOUT);
    close_world(w);
}
END_TEST

START_TEST(client_that_dies_is_known_by_its_closed_port)
{
    struct world *const w = open_world(1, false, 0);
    struct client *const c = &w->client[0];
    (void)start(c, STATE, 0);
    simnet_run(w->sim, SECOND);
    ck_assert_uint_eq(w->node.observer_count, 1);
    ck_assert_int_eq(kirim_stack_close(c->stack, KIRIM_OK), KIRIM_OK);
    simnet_run(w->sim, SECOND);
    ck_assert_int_eq(c->ask[0].err, KIRIM_EABORTED);
    w->present_state++;
    kirim_coap_notify(&w->node, &w->state, kirim_loop_now(w->server_loop));
    simnet_run(w->sim, SECOND);
    ck_assert_uint_eq(w->node.observer_count, 0);
    close_world(w);
}
END_TEST

START_TEST(closed_server_is_known_by_its_port)
{
    struct world *const w = open_world(1, _i == 1, 0);
    kirim_coap_service_close(&w->service);
    simnet_run(w->sim, SECOND);
    const struct ask *const ask = start(&w->client[0], ONCE, 10);
    simnet_run(w->sim, SECOND);
    ck_assert(ask->is_ended);
    ck_assert_int_eq(ask->err, KIRIM_ECONNRESET);
    close_world(w);
}
END_TEST

START_TEST(silence_ends_a_session_and_keeps_an_observer)
{
    struct world *const w = open_world(1, false, 0);
    struct kirim_sessions_stats stats = KIRIM_SESSIONS_STATS_INIT;
    const struct ask *const watch = start(&w->client[0], STATE, 0);
    (void)start(&w->client[1], ONCE, 0);
    simnet_run(w->sim, 1000 * SECOND);
    ck_assert_int_eq(kirim_sessions_read_stats(w->service.set, &stats), KIRIM_OK);
    ck_assert_uint_eq(stats.count, 1);
    ck_assert_uint_eq(w->node.observer_count, 1);
    w->present_state = 7;
    kirim_coap_notify(&w->node, &w->state, kirim_loop_now(w->server_loop));
    simnet_run(w->sim, 10 * SECOND);
    ck_assert_uint_eq(watch->last_state, 7);
    close_world(w);
}
END_TEST

START_TEST(a_stack_drains_when_its_calls_have_ended)
{
    struct world *const w = open_world(1, _i == 1, 0);
    struct client *const c = &w->client[0];
    const struct ask *const ask = start(c, BIG_POST, 5000);
    ck_assert_int_eq(kirim_stack_drain(c->stack, kirim_loop_now(c->loop) + 100 * SECOND), KIRIM_OK);
    simnet_run(w->sim, 10 * SECOND);
    ck_assert(ask->is_ended && ask->is_good);
    ck_assert_ptr_null(c->peer);
    close_world(w);
}
END_TEST

/* ---- strangers ------------------------------------------------------------------------------- */

/* A peer that says what a test wants, and counts. */
struct raw {
    struct kirim_endpoint *ep;
    size_t count;
    uint64_t sent_bytes, got_bytes;
    uint8_t data[2048];
    size_t bytes;
    struct kirim_addr from;
};

static void on_raw(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct raw *const raw = user;
    (void)ep;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        raw->count++;
        raw->got_bytes += d->bytes;
        raw->bytes = d->bytes;
        raw->from = d->peer;
        memcpy(raw->data, d->data, d->bytes < sizeof raw->data ? d->bytes : sizeof raw->data);
    }
}

static void open_raw(struct client *c, struct raw *raw)
{
    static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = on_raw };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    memset(raw, 0, sizeof *raw);
    options.local = simnet_addr("0.0.0.0:0");
    options.handler = &handler;
    options.user = raw;
    ck_assert_int_eq(kirim_endpoint_open(c->loop, &options, &raw->ep), KIRIM_OK);
}

static void say(struct world *w, struct raw *raw, const void *data, size_t bytes, const char *to)
{
    const struct kirim_addr addr = simnet_addr(to);
    raw->sent_bytes += bytes;
    ck_assert_int_eq(kirim_endpoint_send_to(raw->ep, data, bytes, &addr), KIRIM_OK);
    simnet_run(w->sim, MS);
}

START_TEST(answers_leave_from_the_address_that_was_asked)
{
    static const char get[] = "\x40\x01\x00\x01\xb5state";
    static const char *const asked[] = { "10.0.0.1:5683", "10.0.0.9:5683" };
    struct world *const w = open_world(1, false, 0);
    for (size_t i = 0; i < COUNT_OF(asked); i++) {
        struct raw raw;
        const struct kirim_addr addr = simnet_addr(asked[i]);
        open_raw(&w->client[0], &raw);
        say(w, &raw, get, sizeof get - 1, asked[i]);
        ck_assert_uint_eq(raw.count, 1);
        ck_assert(kirim_addr_equal(&raw.from, &addr));
    }
    close_world(w);
}
END_TEST

/* Thousands of messages, most of them wrong somewhere: never more than three times as many bytes
 * come back, and the server goes on. */
START_TEST(strangers_get_three_times_their_bytes_at_the_most)
{
    static const char sound[] = "\x44\x01\x00\x01tokn\x60\x53"
                                "big\xd1\x06\x0e\xd1\x12\x0c";
    struct world *const w = open_world(7, false, 0);
    struct raw raw;
    open_raw(&w->client[0], &raw);
    w->is_hostile = true;
    w->stored_bytes = sizeof w->stored;
    for (uint32_t i = 0; i < 5000; i++) {
        uint8_t wire[64];
        const size_t bytes = draw(w, 4) == 0 ? draw(w, sizeof sound) : sizeof sound - 1;
        memcpy(wire, sound, bytes);
        for (uint32_t n = draw(w, 4); n > 0 && bytes > 0; n--) {
            wire[draw(w, (uint32_t)bytes)] = (uint8_t)draw(w, 256);
        }
        if (bytes > 3) {
            wire[2] = (uint8_t)(i >> 8);
            wire[3] = (uint8_t)i;
        }
        say(w, &raw, wire, bytes, "10.0.0.1:5683");
        ck_assert_uint_le(raw.got_bytes, 3 * raw.sent_bytes);
    }
    ck_assert_uint_gt(raw.count, 1000);
    ck_assert_uint_eq(w->node.assembly_count, 0);
    ck_assert_uint_eq(w->node.observer_count, 0);
    const struct ask *const ask = start(&w->client[1], ONCE, 100);
    simnet_run(w->sim, SECOND);
    ck_assert(ask->is_good);
    close_world(w);
}
END_TEST

START_TEST(noise_gets_no_session)
{
    struct world *const w = open_world(1, false, 0);
    struct kirim_sessions_stats stats = KIRIM_SESSIONS_STATS_INIT;
    struct raw raw;
    open_raw(&w->client[0], &raw);
    say(w, &raw, "\x80\x01\x00\x01", 4, "10.0.0.1:5683");
    say(w, &raw, "abc", 3, "10.0.0.1:5683");
    say(w, &raw, "", 0, "10.0.0.1:5683");
    ck_assert_int_eq(kirim_sessions_read_stats(w->service.set, &stats), KIRIM_OK);
    ck_assert_uint_eq(stats.opened, 0);
    ck_assert_uint_eq(raw.count, 0);
    ck_assert_uint_eq(w->node.stats.no_coap, 3);
    close_world(w);
}
END_TEST

START_TEST(every_failed_allocation_leaves_nothing)
{
    for (size_t at = 1; at < 40; at++) {
        struct world *const w = open_world(1, at % 2 == 0, 0);
        struct client *const c = &w->client[0];
        w->memory[1].fail_at = w->memory[1].calls + at;
        (void)start(c, BIG_POST, 5000);
        (void)start(c, STATE, 0);
        (void)start(c, SLOW, 10);
        simnet_run(w->sim, 400 * SECOND);
        kirim_coap_call_cancel(&c->ask[1].call, kirim_loop_now(c->loop));
        simnet_run(w->sim, 400 * SECOND);
        close_world(w);
    }
}
END_TEST

int main(int argc, char **argv)
{
    const struct kit_claim claims[] = {
        { requests_are_carried_out_once, 0 },
        { doubled_datagrams_are_carried_out_once, 2 },
        { dead_link_ends_both_ends, 2 },
        { client_that_dies_is_known_by_its_closed_port, 0 },
        { closed_server_is_known_by_its_port, 2 },
        { silence_ends_a_session_and_keeps_an_observer, 0 },
        { a_stack_drains_when_its_calls_have_ended, 2 },
        { answers_leave_from_the_address_that_was_asked, 0 },
        { strangers_get_three_times_their_bytes_at_the_most, 0 },
        { noise_gets_no_session, 0 },
        { every_failed_allocation_leaves_nothing, 0 },
        { NULL, 0 },
    };
    return storm_main(argc, argv, "protocols/coap world", claims);
}
