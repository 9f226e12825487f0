/* SPDX-License-Identifier: MIT
 *
 * Claims about channels over the DTLS layer: the same layer as over UDP, with a gate that is open,
 * since cookies and keys say who the peer is. In storms; how seeds are chosen: support/storm.h.
 */
#include "kit.h"

#include <dtls/dtls.h>
#include <kirim/sim.h>

#include "protocols/channel/channel_layer.h"
#include "protocols/dtls/clock.h"
#include "support/simnet.h"
#include "support/storm.h"

enum { MESSAGES = 40, PAYLOAD_BYTES = 1452, STREAMS = 3, MEMORY_BYTES_MAX = 16 << 20 };

struct end {
    struct kirim_channel *channel;
    struct kit_ledger ledger;
    struct kirim_channel_stats stats;
    struct kirim_stack *stack;
};

struct world {
    struct kit_memory memory; /* of both ends, without OpenSSL's */
    struct kirim_sim *sim;
    struct kirim_sim_host *server_host, *client_host;
    struct kirim_loop *server_loop, *client_loop;
    struct kirim_dtls *server_dtls, *client_dtls;
    struct kirim_sessions *set;
    struct kirim_channel_gate gate;
    struct end server, client;
};

static size_t length_of(uint32_t stream, uint64_t number)
{
    return stream == 0 ? (size_t)(number * 977 % 20000) : (size_t)(number * 37 % 500);
}

static void on_ready(struct kirim_channel *ch, void *user)
{
    struct end *const e = user;
    (void)ch;
    e->ledger.ready++;
}

static void on_received(struct kirim_channel *ch, const struct kirim_channel_message *m, void *user)
{
    struct end *const e = user;
    (void)ch;
    kit_note(&e->ledger, m, length_of);
    storm_note(m->stream, m->data, m->bytes);
}

static void on_closed(struct kirim_channel *ch, const struct kirim_channel_end *end, void *user)
{
    struct end *const e = user;
    e->ledger.closed++;
    e->ledger.end = *end;
    e->channel = NULL;
    kirim_channel_read_stats(ch, &e->stats);
}

static const struct kirim_channel_handler handler = {
    .size = KIRIM_CHANNEL_HANDLER_INIT,
    .ready = on_ready,
    .received = on_received,
    .closed = on_closed,
};

static void on_begun(struct kirim_channel *channel, struct kirim_layer *layer, void *user)
{
    struct end *const e = user;
    (void)layer;
    e->channel = channel;
}

static struct kirim_channel_layer_config config_of(struct end *e)
{
    struct kirim_channel_layer_config c = KIRIM_CHANNEL_LAYER_CONFIG_INIT;
    c.options.handler = &handler;
    c.options.user = e;
    c.options.params.stream_count = KIT_STREAMS;
    c.begun = on_begun;
    return c;
}

static kirim_err on_admit(struct kirim_sessions *set, const struct kirim_datagram *d,
                          struct kirim_admission *out, void *user)
{
    struct world *const w = user;
    return kirim_dtls_admit(w->server_dtls, set, d, out);
}

static void on_opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    struct world *const w = user;
    const struct kirim_dtls_config dtls = KIRIM_DTLS_CONFIG_INIT(w->server_dtls, KIRIM_DTLS_SERVER);
    struct kirim_channel_layer_config channel = config_of(&w->server);
    const struct kirim_layer_plan layers[] = { { kirim_dtls_layer_type(), &dtls },
                                               { kirim_channel_layer(), &channel } };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    (void)set;
    channel.gate = &w->gate;
    plan.layers = layers;
    plan.layer_count = COUNT_OF(layers);
    plan.payload_bytes_max = PAYLOAD_BYTES;
    ck_assert_int_eq(kirim_stack_on_session(session, &plan, &w->server.stack), KIRIM_OK);
}

/* ---- worlds ---------------------------------------------------------------------------------- */

static void open_server(struct world *w)
{
    static const struct kirim_sessions_handler sessions_handler = {
        .size = KIRIM_SESSIONS_HANDLER_INIT, .admit = on_admit, .opened = on_opened
    };
    static const uint8_t keys[2][KIRIM_SIPHASH_KEY_BYTES] = { "of tokens", "of resets" };
    const struct kirim_channel_layer_config c = config_of(&w->server);
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_sessions_options o = KIRIM_SESSIONS_OPTIONS_INIT;
    ck_assert_int_eq(kirim_channel_gate_init(&w->gate, &c.options.params, keys[0], keys[1]),
                     KIRIM_OK);
    w->gate.is_open = true;
    ep.local = simnet_addr("0.0.0.0:4433");
    ep.flags = KIRIM_ENDPOINT_RECEIVE_CONTROL;
    o.endpoint = &ep;
    o.handler = &sessions_handler;
    o.session_handler = kirim_stack_session_handler();
    o.user = w;
    ck_assert_int_eq(kirim_sessions_open(w->server_loop, &o, &w->set), KIRIM_OK);
}

static void connect_client(struct world *w)
{
    const struct kirim_dtls_config dtls = KIRIM_DTLS_CONFIG_INIT(w->client_dtls, KIRIM_DTLS_CLIENT);
    const struct kirim_channel_layer_config channel = config_of(&w->client);
    const struct kirim_layer_plan layers[] = { { kirim_dtls_layer_type(), &dtls },
                                               { kirim_channel_layer(), &channel } };
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    ep.peer = simnet_addr("10.0.0.1:4433");
    ep.flags = KIRIM_ENDPOINT_RECEIVE_CONTROL;
    plan.layers = layers;
    plan.layer_count = COUNT_OF(layers);
    plan.payload_bytes_max = PAYLOAD_BYTES;
    ck_assert_int_eq(kirim_stack_on_endpoint(w->client_loop, &ep, &plan, &w->client.stack),
                     KIRIM_OK);
}

static struct world *open_world(uint64_t seed)
{
    static const char key[] = "0123456789abcdef";
    static struct world world;
    struct world *const w = &world;
    struct kirim_dtls_options dtls = KIRIM_DTLS_OPTIONS_INIT;
    memset(w, 0, sizeof *w);
    random_begin(seed);
    w->sim = simnet_open(seed, NULL);
    w->server_host = simnet_host(w->sim, "server", "10.0.0.1", NULL);
    w->client_host = simnet_host(w->sim, "client", "10.0.0.2", NULL);
    w->server_loop = simnet_loop(w->server_host, &w->memory);
    w->client_loop = simnet_loop(w->client_host, &w->memory);
    clock_follow(w->sim);
    dtls.psk_key = (struct kirim_buf){ (void *)(uintptr_t)key, sizeof key - 1 };
    dtls.psk_identity = "device";
    ck_assert_int_eq(kirim_dtls_open(w->server_loop, &dtls, &w->server_dtls), KIRIM_OK);
    ck_assert_int_eq(kirim_dtls_open(w->client_loop, &dtls, &w->client_dtls), KIRIM_OK);
    open_server(w);
    connect_client(w);
    return w;
}

static void close_world(struct world *w)
{
    kirim_dtls_close(w->server_dtls);
    kirim_dtls_close(w->client_dtls);
    ck_assert_int_eq(kirim_loop_close(w->client_loop), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_close(w->server_loop), KIRIM_OK);
    ck_assert_uint_eq(w->memory.blocks, 0);
    clock_follow(NULL);
    ck_assert_int_eq(kirim_sim_close(w->sim), KIRIM_OK);
}

static void send_all(struct end *e)
{
    static uint8_t room[20000];
    for (uint64_t i = 0; i < MESSAGES; i++) {
        for (uint32_t s = 0; s < STREAMS; s++) {
            const size_t bytes = length_of(s, i);
            kit_fill(room, s, i, bytes);
            ck_assert_int_eq(kirim_channel_send(e->channel, s, s, room, bytes), KIRIM_OK);
        }
    }
}

static void check(const struct end *e)
{
    ck_assert_uint_eq(e->ledger.ready, 1);
    ck_assert_uint_eq(e->ledger.count[0], MESSAGES);
    ck_assert_uint_eq(e->ledger.count[1], MESSAGES);
}

/* ---- claims ---------------------------------------------------------------------------------- */

static struct kirim_link_rules drawn_link(struct test_random *chance)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = (1 + test_random_below(chance, 50)) * MS;
    link.jitter_ns = test_random_below(chance, 10) * MS;
    link.loss_ppm = (uint32_t)test_random_below(chance, 3) * 75000; /* up to 15 % */
    link.duplicate_ppm = (uint32_t)test_random_below(chance, 50000);
    link.reorder_ppm = (uint32_t)test_random_below(chance, 50000);
    link.reorder_ns = 30 * MS;
    link.corrupt_ppm = (uint32_t)test_random_below(chance, 10000);
    return link;
}

static void run_storm(struct kirim_trial *trial, void *user)
{
    struct test_random chance = { kirim_trial_seed(trial) };
    const struct kirim_link_rules link = drawn_link(&chance);
    struct kirim_channel_stats stats;
    struct world *const w = open_world(kirim_trial_seed(trial));
    (void)user;
    simnet_run(w->sim, SECOND); /* handshakes have storms of their own */
    ck_assert_uint_eq(w->client.ledger.ready, 1);
    simnet_link(w->sim, w->client_host, w->server_host, &link);
    send_all(&w->client);
    send_all(&w->server);
    simnet_run(w->sim, 60 * SECOND);
    check(&w->client);
    check(&w->server);
    kirim_channel_read_stats(w->client.channel, &stats);
    ck_assert_uint_le(stats.payload_bytes, PAYLOAD_BYTES - KIRIM_DTLS_OVERHEAD_BYTES);
    if (link.loss_ppm == 0) { /* else the search may end before the last step */
        ck_assert_uint_gt(stats.payload_bytes, PAYLOAD_BYTES - KIRIM_DTLS_OVERHEAD_BYTES - 200);
    }
    /* Draining ends the channel first, and then DTLS. */
    ck_assert_int_eq(kirim_stack_drain(w->client.stack, kirim_sim_now(w->sim) + 20 * SECOND),
                     KIRIM_OK);
    simnet_run(w->sim, 30 * SECOND);
    ck_assert_uint_eq(w->client.ledger.closed, 1);
    ck_assert_int_eq(w->client.ledger.end.err, KIRIM_OK);
    ck_assert_uint_eq(w->server.ledger.closed, 1);
    ck_assert_uint_le(w->memory.bytes_peak, MEMORY_BYTES_MAX);
    close_world(w);
}

START_TEST(channel_is_the_same_over_dtls)
{
    (void)storm_run(run_storm, NULL);
}
END_TEST

int main(int argc, char **argv)
{
    const struct kit_claim claims[] = {
        { channel_is_the_same_over_dtls, 0 },
        { NULL, 0 },
    };
    return storm_main(argc, argv, "protocols/channel over dtls", claims);
}
