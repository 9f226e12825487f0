/* SPDX-License-Identifier: MIT
 *
 * Claims about what ends where: a datagram that was cut is no message, and a request is known for
 * as long as it may come again, and no longer.
 */
#include "kit.h"
#include "protocols/coap/coap_endpoint.h"
#include "support/simnet.h"

static struct kirim_coap_resource thing;
static size_t runs;

static void on_thing(struct kirim_coap_resource *r, const struct kirim_coap_request *request,
                     struct kirim_coap_response *response)
{
    (void)r;
    (void)request;
    runs++;
    response->code = KIRIM_COAP_CHANGED;
}

static void add_thing(struct kirim_coap_node *node)
{
    thing = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT("a", 0xfe, 0, on_thing, NULL);
    ck_assert_int_eq(kirim_coap_resource_add(node, &thing), KIRIM_OK);
    runs = 0;
}

/* ---- lifetimes ------------------------------------------------------------------------------- */

static const struct {
    uint8_t type;
    uint64_t lifetime_ns;
} kinds[] = { { KIRIM_COAP_CON, 247 * SECOND }, { KIRIM_COAP_NON, 145 * SECOND } };

/* RFC 7252 section 4.8.2: EXCHANGE_LIFETIME and NON_LIFETIME, to the nanosecond. */
START_TEST(request_is_known_for_its_lifetime_and_no_longer)
{
    static struct kit_side side;
    const struct kit_message get = {
        .type = kinds[_i].type, .code = 1, .id = 5, .token = "t", .options = { { 11, "a", 0 } }
    };
    kit_open(&side, "10.0.0.1:5683", "10.0.0.2:40000", NULL);
    add_thing(&side.node);
    const uint64_t begin_ns = side.now_ns;
    kit_say(&side, &get);
    side.now_ns = begin_ns + kinds[_i].lifetime_ns - 1;
    kit_say(&side, &get);
    ck_assert_uint_eq(runs, 1);
    ck_assert_uint_eq(side.node.stats.repeated, 1);
    ck_assert_uint_eq(side.count, 2); /* the same answer */
    side.now_ns = begin_ns + kinds[_i].lifetime_ns + 1;
    kit_say(&side, &get);
    ck_assert_uint_eq(runs, 2);
    ck_assert_uint_eq(side.node.stats.repeated, 1);
    kit_close(&side);
}
END_TEST

/* ---- datagrams that were cut ----------------------------------------------------------------- */

enum { CLIENT, SERVER, HOST_COUNT, DATAGRAM_BYTES_MAX = 32 };

struct world {
    struct kit_memory memory[HOST_COUNT];
    struct kirim_sim *sim;
    struct kirim_loop *loop[HOST_COUNT];
    struct kirim_coap_node node;
    struct kirim_coap_service service;
    struct kirim_endpoint *client;
    size_t answers;
};

static void on_answer(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct world *const w = user;
    (void)ep;
    w->answers += batch->count;
}

static void open_client(struct world *w)
{
    static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = on_answer };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.peer = simnet_addr("10.0.0.2:5683");
    options.handler = &handler;
    options.user = w;
    ck_assert_int_eq(kirim_endpoint_open(w->loop[CLIENT], &options, &w->client), KIRIM_OK);
}

static void open_server(struct world *w)
{
    struct kirim_coap_node_options node = KIRIM_COAP_NODE_OPTIONS_INIT;
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_coap_service_options options = KIRIM_COAP_SERVICE_OPTIONS_INIT;
    ck_assert_int_eq(kirim_coap_node_open(&w->node, w->loop[SERVER], &node), KIRIM_OK);
    add_thing(&w->node);
    endpoint.local = simnet_addr("10.0.0.2:5683");
    endpoint.datagram_bytes_max = DATAGRAM_BYTES_MAX;
    options.endpoint = &endpoint;
    ck_assert_int_eq(kirim_coap_service_open(&w->service, w->loop[SERVER], &w->node, &options),
                     KIRIM_OK);
}

static void open_world(struct world *w)
{
    static const char *const addrs[HOST_COUNT] = { "10.0.0.1", "10.0.0.2" };
    memset(w, 0, sizeof *w);
    w->sim = simnet_open(1, NULL);
    for (size_t i = 0; i < HOST_COUNT; i++) {
        w->loop[i] = simnet_loop(simnet_host(w->sim, addrs[i], addrs[i], NULL), &w->memory[i]);
    }
    open_client(w);
    open_server(w);
}

static void close_world(struct world *w)
{
    kirim_coap_service_close(&w->service);
    simnet_run(w->sim, SECOND);
    kirim_coap_node_fini(&w->node);
    for (size_t i = 0; i < HOST_COUNT; i++) {
        ck_assert_int_eq(kirim_loop_close(w->loop[i]), KIRIM_OK);
        ck_assert_uint_eq(w->memory[i].blocks, 0);
    }
    ck_assert_int_eq(kirim_sim_close(w->sim), KIRIM_OK);
}

/* A PUT of so many bytes in all: a whole message wherever it is cut behind its marker. */
static void put(struct world *w, uint8_t id, size_t bytes)
{
    uint8_t wire[2 * DATAGRAM_BYTES_MAX] = { 0x50, 0x03, 0x00, id, 0xb1, 'a', 0xff, 1 };
    ck_assert_uint_le(bytes, sizeof wire);
    ck_assert_int_eq(kirim_endpoint_send_to(w->client, wire, bytes, NULL), KIRIM_OK);
    simnet_run(w->sim, SECOND);
}

static uint64_t opened_sessions(const struct world *w)
{
    struct kirim_sessions_stats stats = KIRIM_SESSIONS_STATS_INIT;
    ck_assert_int_eq(kirim_sessions_read_stats(w->service.set, &stats), KIRIM_OK);
    return stats.opened;
}

START_TEST(what_was_cut_is_not_taken_for_whole)
{
    static struct world w;
    open_world(&w);
    put(&w, 1, DATAGRAM_BYTES_MAX + 1); /* of a stranger: no session */
    ck_assert_uint_eq(opened_sessions(&w), 0);
    ck_assert_uint_eq(w.node.stats.malformed, 1);
    put(&w, 2, DATAGRAM_BYTES_MAX);
    ck_assert_uint_eq(opened_sessions(&w), 1);
    ck_assert_uint_eq(runs, 1);
    ck_assert_uint_eq(w.answers, 1);
    put(&w, 3, DATAGRAM_BYTES_MAX + 1); /* of a peer */
    ck_assert_uint_eq(runs, 1);
    ck_assert_uint_eq(w.answers, 1);
    ck_assert_uint_eq(w.node.stats.malformed, 2);
    ck_assert_uint_eq(w.node.stats.resets_sent, 0);
    put(&w, 4, DATAGRAM_BYTES_MAX);
    ck_assert_uint_eq(runs, 2);
    ck_assert_uint_eq(w.answers, 2);
    close_world(&w);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { request_is_known_for_its_lifetime_and_no_longer, COUNT_OF(kinds) },
        { what_was_cut_is_not_taken_for_whole, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap limits", claims);
}
