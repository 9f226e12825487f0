/* SPDX-License-Identifier: MIT
 *
 * Claims about the layer of the channel over one that refuses: it waits for room without a busy
 * timer, its clocks go on, and a server that cannot begin leaves nothing behind.
 */
#include "kit.h"

#include "protocols/channel/channel_endpoint.h"
#include "support/simnet.h"

static bool is_shut;
static size_t refused, closed;
static kirim_err closed_err;

static kirim_err valve_send(struct kirim_layer *layer, const struct kirim_msg *msg)
{
    if (is_shut) {
        refused++;
        return KIRIM_EWOULDBLOCK;
    }
    return kirim_layer_send(layer, msg);
}

static void on_closed(struct kirim_channel *ch, const struct kirim_channel_end *end, void *user)
{
    (void)ch;
    (void)user;
    closed++;
    closed_err = end->err;
}

static const struct kirim_channel_handler handler = { .size = sizeof handler, .closed = on_closed };
static const struct kirim_layer_type valve = {
    .size = KIRIM_LAYER_TYPE_INIT,
    .name = "valve",
    .send = valve_send,
};

static struct kirim_loop *open_loop(struct kirim_sim *sim, const char *name, const char *addr,
                                    struct kit_memory *memory)
{
    return simnet_loop(simnet_host(sim, name, addr, NULL), memory);
}

START_TEST(layer_below_that_refuses_costs_no_busy_timer)
{
    struct kit_memory memory = { 0 };
    struct kirim_sim *const sim = simnet_open(1, NULL);
    const struct kirim_addr server = simnet_addr("10.0.0.1");
    struct kirim_sim_host *host = NULL;
    ck_assert_int_eq(kirim_sim_host_add(sim, "server", &server, 1, &host), KIRIM_OK);
    struct kirim_loop *const loop = open_loop(sim, "client", "10.0.0.2", &memory);
    struct kirim_channel_layer_config config = KIRIM_CHANNEL_LAYER_CONFIG_INIT;
    const struct kirim_layer_plan layers[] = { { &valve, NULL },
                                               { kirim_channel_layer(), &config } };
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    struct kirim_stack *stack = NULL;
    ep.peer = simnet_addr("10.0.0.1:7");
    config.options.handler = &handler;
    plan.layers = layers;
    plan.layer_count = COUNT_OF(layers);
    is_shut = true;
    refused = closed = 0;
    ck_assert_int_eq(kirim_stack_on_endpoint(loop, &ep, &plan, &stack), KIRIM_OK);
    simnet_run(sim, 20 * SECOND);
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    ck_assert_int_eq(kirim_loop_read_stats(loop, &stats), KIRIM_OK);
    ck_assert_uint_lt(stats.timers_fired, 1000);
    ck_assert_uint_ge(refused, 1);
    ck_assert_uint_eq(closed, 1); /* it gives up as if nothing had come back */
    ck_assert_int_eq(closed_err, KIRIM_ETIMEDOUT);
    ck_assert_int_eq(kirim_loop_close(loop), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_close(sim), KIRIM_OK);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

struct pair {
    struct kit_memory memory[2];
    struct kirim_sim *sim;
    struct kirim_loop *server, *client;
    struct kirim_channel_listener listener;
};

static struct kirim_channel *server_channel;
static uint64_t got_messages, got_bytes;

static void on_message(struct kirim_channel *ch, const struct kirim_channel_message *m, void *user)
{
    (void)ch;
    (void)user;
    got_messages++;
    got_bytes += m->bytes;
}

static void on_accepted(struct kirim_channel_listener *l, struct kirim_channel *channel, void *user)
{
    (void)l;
    (void)user;
    server_channel = channel;
}

static const struct kirim_channel_handler listening = { .size = sizeof listening,
                                                        .received = on_message,
                                                        .closed = on_closed };

/* A client that begins with a server. Their endpoints take datagrams of so many bytes; 0: as many
 * as there are. */
static struct pair *open_pair(uint32_t server_bytes, uint32_t client_bytes)
{
    static struct pair pair;
    struct pair *const p = &pair;
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_listen_options lo = KIRIM_CHANNEL_LISTEN_OPTIONS_INIT;
    struct kirim_channel_open_options oo = KIRIM_CHANNEL_OPEN_OPTIONS_INIT;
    struct kirim_channel *channel = NULL;
    memset(p, 0, sizeof *p);
    server_channel = NULL;
    got_messages = got_bytes = closed = 0;
    p->sim = simnet_open(1, NULL);
    p->server = open_loop(p->sim, "server", "10.0.0.1", &p->memory[0]);
    p->client = open_loop(p->sim, "client", "10.0.0.2", &p->memory[1]);
    ep.local = simnet_addr("0.0.0.0:7");
    ep.datagram_bytes_max = server_bytes;
    lo.endpoint = oo.endpoint = &ep;
    lo.accepted = on_accepted;
    lo.channel.handler = oo.channel.handler = &listening;
    ck_assert_int_eq(kirim_channel_listen(&p->listener, p->server, &lo), KIRIM_OK);
    ep = (struct kirim_endpoint_options)KIRIM_ENDPOINT_OPTIONS_INIT;
    ep.peer = simnet_addr("10.0.0.1:7");
    ep.datagram_bytes_max = client_bytes;
    ck_assert_int_eq(kirim_channel_open(p->client, &oo, &channel), KIRIM_OK);
    return p;
}

static struct pair *open_narrow_pair(uint32_t server_bytes, uint32_t client_bytes)
{
    struct pair *const p = open_pair(server_bytes, client_bytes);
    simnet_run(p->sim, 2 * SECOND);
    return p;
}

/* A client whose BEGIN finds no memory at the server from some call on, for half a second. */
static struct pair *open_poor_pair(size_t call)
{
    struct pair *const p = open_pair(0, 0);
    p->memory[0].fail_at = p->memory[0].calls + call;
    p->memory[0].is_lasting = true;
    simnet_run(p->sim, SECOND / 2);
    p->memory[0].fail_at = 0;
    return p;
}

static void close_pair(struct pair *p)
{
    ck_assert_int_eq(kirim_loop_close(p->server), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_close(p->sim), KIRIM_OK);
    ck_assert_uint_eq(p->memory[0].blocks, 0);
    ck_assert_uint_eq(p->memory[1].blocks, 0);
}

START_TEST(server_without_memory_keeps_no_session)
{
    struct pair *const p = open_poor_pair(1 + (size_t)_i);
    ck_assert_int_eq(kirim_loop_close(p->client), KIRIM_OK); /* it does not come again */
    simnet_run(p->sim, 60 * SECOND);
    ck_assert_uint_eq(p->listener.ki_channel_count, 0);
    ck_assert_ptr_null(kirim_sessions_next(p->listener.sessions, NULL));
    close_pair(p);
}
END_TEST

START_TEST(begin_that_found_no_room_may_come_again)
{
    struct pair *const p = open_poor_pair(1 + (size_t)_i);
    simnet_run(p->sim, 9 * SECOND);
    ck_assert_uint_eq(p->listener.stats.accepted, 1);
    ck_assert_uint_eq(p->listener.ki_channel_count, 1);
    ck_assert_int_eq(kirim_loop_close(p->client), KIRIM_OK);
    close_pair(p);
}
END_TEST

/* ---- a hand-made client ---------------------------------------------------------------------- */

enum { GUESTS = 600, BEGIN_BYTES = 256 };

static uint8_t first_begin[BEGIN_BYTES];
static size_t first_begin_bytes;

static void send_to_server(struct kirim_endpoint *ep, const uint8_t *data, size_t bytes)
{
    const struct kirim_addr server = simnet_addr("10.0.0.1:7");
    ck_assert_int_eq(kirim_endpoint_send_to(ep, data, bytes, &server), KIRIM_OK);
}

/* Begins with each TOKEN, and closes in the same packet. */
static void answer_tokens(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    (void)user;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        struct kirim_channel_packet p;
        uint8_t begin[BEGIN_BYTES];
        if (kirim_channel_packet_read(d->data, d->bytes, &p) < 0 || p.kind != KIRIM_CHANNEL_TOKEN) {
            continue;
        }
        struct kirim_channel_packet b = p;
        b.kind = KIRIM_CHANNEL_BEGIN;
        memcpy(b.to, p.from, sizeof b.to);
        memcpy(b.from, p.to, sizeof b.from);
        const struct kirim_channel_frame f = { .type = KIRIM_CHANNEL_CLOSE, .proof = b.reset };
        size_t bytes = kirim_channel_packet_write(&b, begin, sizeof begin);
        bytes += kirim_channel_frame_write(&f, begin + bytes, sizeof begin - bytes);
        if (first_begin_bytes == 0) {
            memcpy(first_begin, begin, bytes);
            first_begin_bytes = bytes;
        }
        send_to_server(ep, begin, bytes);
    }
}

static const struct kirim_handler guest = { .size = sizeof guest, .received = answer_tokens };

/* What began a channel that has ended, and after it many others, begins none while its token is
 * good. */
START_TEST(begin_that_was_recorded_begins_no_second_channel)
{
    static struct kirim_channel_listener listener;
    struct kit_memory memory[2] = { { 0 }, { 0 } };
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_listen_options lo = KIRIM_CHANNEL_LISTEN_OPTIONS_INIT;
    struct kirim_endpoint *client = NULL;
    uint8_t hello[KIRIM_CHANNEL_HELLO_BYTES];
    struct kirim_sim *const sim = simnet_open(1, NULL);
    struct kirim_loop *const server_loop = open_loop(sim, "server", "10.0.0.1", &memory[0]);
    struct kirim_loop *const client_loop = open_loop(sim, "client", "10.0.0.2", &memory[1]);
    ep.local = simnet_addr("0.0.0.0:7");
    lo.endpoint = &ep;
    lo.channel.handler = &handler;
    ck_assert_int_eq(kirim_channel_listen(&listener, server_loop, &lo), KIRIM_OK);
    ep = (struct kirim_endpoint_options)KIRIM_ENDPOINT_OPTIONS_INIT;
    ep.local = simnet_addr("0.0.0.0:1000");
    ep.handler = &guest;
    ck_assert_int_eq(kirim_endpoint_open(client_loop, &ep, &client), KIRIM_OK);
    first_begin_bytes = 0;
    for (uint32_t i = 0; i < GUESTS; i++) {
        struct kirim_channel_packet p = { .kind = KIRIM_CHANNEL_HELLO, .version = 1 };
        p.from[0] = (uint8_t)i;
        p.from[1] = (uint8_t)(i >> 8);
        send_to_server(client, hello, kirim_channel_packet_write(&p, hello, sizeof hello));
        simnet_run(sim, 5 * MS);
    }
    simnet_run(sim, 4 * SECOND);
    ck_assert_uint_eq(listener.stats.accepted, GUESTS);
    ck_assert_uint_eq(listener.ki_channel_count, 0); /* all have ended */
    send_to_server(client, first_begin, first_begin_bytes);
    simnet_run(sim, SECOND);
    ck_assert_uint_eq(listener.stats.accepted, GUESTS);
    ck_assert_uint_eq(listener.stats.refused, 1);
    ck_assert_uint_eq(listener.stats.crowded, 0);
    ck_assert_int_eq(kirim_loop_close(client_loop), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_close(server_loop), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_close(sim), KIRIM_OK);
    ck_assert_uint_eq(memory[0].blocks, 0);
}
END_TEST

/* Half of the budget is for one channel: with less than twice its longest message that would never
 * arrive. */
START_TEST(listener_has_room_for_its_longest_message)
{
    const uint64_t least = KIRIM_CHANNEL_BUDGET_BYTES_MIN(100000);
    struct kit_memory memory = { 0 };
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_listen_options lo = KIRIM_CHANNEL_LISTEN_OPTIONS_INIT;
    struct kirim_channel_budget shared = { .bytes_max = least - 1 };
    struct kirim_channel_listener listener;
    struct kirim_sim *const sim = simnet_open(1, NULL);
    struct kirim_loop *const loop = open_loop(sim, "server", "10.0.0.1", &memory);
    ep.local = simnet_addr("0.0.0.0:7");
    lo.endpoint = &ep;
    lo.channel.handler = &handler;
    lo.channel.params.message_bytes_max = 100000;
    lo.reassembly_bytes_max = least - 1;
    ck_assert_int_eq(kirim_channel_listen(&listener, loop, &lo), KIRIM_EINVAL);
    lo.reassembly_bytes_max = least;
    lo.channel.budget = &shared;
    ck_assert_int_eq(kirim_channel_listen(&listener, loop, &lo), KIRIM_EINVAL);
    shared.bytes_max = least;
    lo.reassembly_bytes_max = 0;
    ck_assert_int_eq(kirim_channel_listen(&listener, loop, &lo), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_close(loop), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_close(sim), KIRIM_OK);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

/* A HELLO fills its datagram: cut, it is nobody's. */
START_TEST(hello_that_was_cut_is_not_answered)
{
    struct kirim_sessions_stats stats = KIRIM_SESSIONS_STATS_INIT;
    struct pair *const p = open_narrow_pair(600, 0);
    ck_assert_int_eq(kirim_sessions_read_stats(p->listener.sessions, &stats), KIRIM_OK);
    ck_assert_uint_ge(stats.rx_dropped, 2);
    ck_assert_uint_eq(stats.rx_stateless + stats.opened, 0);
    ck_assert_int_eq(kirim_loop_close(p->client), KIRIM_OK);
    close_pair(p);
}
END_TEST

/* A packet that was cut is lost, and no breach of the format: the channel goes on. */
START_TEST(packet_that_was_cut_is_lost)
{
    static const uint8_t data[1000] = { 0 };
    struct pair *const p = open_narrow_pair(0, 600);
    ck_assert_ptr_nonnull(server_channel);
    for (size_t bytes = 100; bytes <= 1000;
         bytes += 900) { /* one that fits, and one that does not */
        ck_assert_int_eq(
            kirim_channel_send(server_channel, 0, KIRIM_CHANNEL_UNORDERED, data, bytes), KIRIM_OK);
        simnet_run(p->sim, SECOND);
        ck_assert_uint_eq(closed, 0);
        ck_assert_uint_eq(got_messages, 1);
        ck_assert_uint_eq(got_bytes, 100);
    }
    simnet_run(p->sim, 5 * SECOND);
    ck_assert_uint_eq(closed, 0);
    ck_assert_int_eq(kirim_loop_close(p->client), KIRIM_OK);
    close_pair(p);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { layer_below_that_refuses_costs_no_busy_timer, 0 },
        { server_without_memory_keeps_no_session, 12 },
        { begin_that_found_no_room_may_come_again, 12 },
        { begin_that_was_recorded_begins_no_second_channel, 0 },
        { listener_has_room_for_its_longest_message, 0 },
        { hello_that_was_cut_is_not_answered, 0 },
        { packet_that_was_cut_is_lost, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/channel carrier", claims);
}
