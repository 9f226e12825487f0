/* SPDX-License-Identifier: MIT
 *
 * Claims about what a forwarder's port takes for a question: not what was cut, and nothing of its
 * own. On a simulated network.
 */
#include "kit.h"
#include "protocols/dns/forward_endpoint.h"
#include "support/simnet.h"

#define SECOND UINT64_C(1000000000)

enum { FORWARDER, CLIENT, HOST_COUNT, DATAGRAM_BYTES_MAX = 64 };

struct world {
    struct kit_memory memory;
    struct kirim_sim *sim;
    struct kirim_loop *loop[HOST_COUNT];
    struct kirim_dns_forward forward;
    struct kirim_dns_forward_port port;
    struct kirim_endpoint *client;
    size_t answers;
};

static void on_answer(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct world *const w = user;
    (void)ep;
    w->answers += batch->count;
}

static void open_world(struct world *w)
{
    static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = on_answer };
    struct kirim_dns_forward_options forward = KIRIM_DNS_FORWARD_OPTIONS_INIT;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    static const char *const addrs[HOST_COUNT] = { "10.0.0.1", "10.0.0.2" };
    memset(w, 0, sizeof *w);
    w->sim = simnet_open(1, NULL);
    for (size_t i = 0; i < HOST_COUNT; i++) {
        w->loop[i] = simnet_loop(simnet_host(w->sim, addrs[i], addrs[i], NULL), NULL);
    }
    forward.server[0] = simnet_addr("10.0.0.3:53");
    forward.server_count = 1;
    forward.forwarder.alloc = kit_alloc;
    forward.forwarder.alloc_user = &w->memory;
    ck_assert_int_eq(kirim_dns_forward_open(&w->forward, w->loop[FORWARDER], &forward), KIRIM_OK);
    options.local = simnet_addr("0.0.0.0:53");
    options.datagram_bytes_max = DATAGRAM_BYTES_MAX;
    ck_assert_int_eq(kirim_dns_forward_listen(&w->port, &w->forward, &options), KIRIM_OK);
    options = (struct kirim_endpoint_options)KIRIM_ENDPOINT_OPTIONS_INIT;
    options.local = simnet_addr("10.0.0.2:53");
    options.handler = &handler;
    options.user = w;
    ck_assert_int_eq(kirim_endpoint_open(w->loop[CLIENT], &options, &w->client), KIRIM_OK);
}

static void close_world(struct world *w)
{
    for (size_t i = 0; i < HOST_COUNT; i++) {
        ck_assert_int_eq(kirim_loop_close(w->loop[i]), KIRIM_OK);
    }
    kirim_dns_forward_close(&w->forward);
    ck_assert_int_eq(kirim_sim_close(w->sim), KIRIM_OK);
    ck_assert_uint_eq(w->memory.blocks, 0);
}

/* A header that asks nothing, and zeros behind it: answered by FORMERR wherever it ends. */
static void ask(struct world *w, struct kirim_endpoint *from, size_t bytes)
{
    static const uint8_t zeros[DATAGRAM_BYTES_MAX + 1] = { 0 };
    const struct kirim_addr port = simnet_addr("10.0.0.1:53");
    ck_assert_int_eq(kirim_endpoint_send_to(from, zeros, bytes, &port), KIRIM_OK);
    simnet_run(w->sim, SECOND);
}

START_TEST(question_that_was_cut_is_not_answered)
{
    static struct world w;
    open_world(&w);
    ask(&w, w.client, DATAGRAM_BYTES_MAX + 1);
    ck_assert_uint_eq(w.forward.stats.too_long, 1);
    ck_assert_uint_eq(w.answers, 0);
    ask(&w, w.client, DATAGRAM_BYTES_MAX); /* from its own port, but another's address */
    ck_assert_uint_eq(w.forward.stats.too_long, 1);
    ck_assert_uint_eq(w.answers, 1);
    close_world(&w);
}
END_TEST

START_TEST(port_does_not_answer_itself)
{
    static struct world w;
    open_world(&w);
    ask(&w, w.port.endpoint, 12);
    ck_assert_uint_eq(w.forward.stats.forged, 1);
    ck_assert_uint_eq(kirim_dns_forwarder_stats(w.forward.forwarder)->received, 0);
    close_world(&w);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { question_that_was_cut_is_not_answered, 0 },
        { port_does_not_answer_itself, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns forwarder's port", claims);
}
