/* SPDX-License-Identifier: MIT
 *
 * Claims about the relay, one by one, in the simulator: the library part of the example between a
 * client and a server. The storms are in test_relay_world.c.
 */
#include "../../examples/relay.h"
#include "../reactors/sim_kit.h"

#include <string.h>

enum { CAP = 4, FLOOD = 3000, ECN_CE = 3, DSCP_EF = 46 };

/* A client with its own host, a relay with two addresses, and a server that echoes. */
struct path {
    struct kit k;
    struct kit_host *client_host, *relay_host, *server_host;
    struct kit_end *server;
    struct relay relay;
    uint64_t dscp; /* of what arrived last at the server */
    size_t peer_count;
    struct kirim_addr peers[KIT_END_MAX]; /* the relay's, in the order in which they spoke */
};

/* Echoes with the marks of what came, and writes down who spoke. */
static void echo_marked(struct kit_end *end, const struct kirim_batch *batch)
{
    struct path *const p = end->ctx;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        struct kirim_control control = KIRIM_CONTROL_INIT;
        const struct kirim_buf buf = { d->data, d->bytes };
        const struct kirim_msg msg = { &buf, &d->peer, &control, 1, 0 };
        control.ecn = d->ecn;
        control.dscp = (uint8_t)d->arrival->dscp;
        p->dscp = d->arrival->dscp;
        p->peers[p->peer_count++ % KIT_END_MAX] = d->peer;
        const kirim_err err = kirim_endpoint_send(end->ep, &msg, 0, NULL, NULL);
        ck_assert(err == KIRIM_OK || p->k.memory.fail_at != 0);
    }
}

static struct path *open_hosts(void)
{
    static struct path path;
    struct path *const p = &path;
    memset(p, 0, sizeof *p);
    kit_open(&p->k, 1);
    p->client_host = kit_host(&p->k, "client", "10.0.0.1", "10.0.0.2");
    p->relay_host = kit_host(&p->k, "relay", "10.0.1.1", "10.0.1.9");
    p->server_host = kit_host(&p->k, "server", "10.0.2.1", NULL);
    p->server = kit_bind(p->server_host, "10.0.2.1:7", KIRIM_ENDPOINT_RECEIVE_CONTROL);
    p->server->ctx = p;
    p->server->on_received = echo_marked;
    relay_init(&p->relay);
    p->relay.options.listen = kit_addr("0.0.0.0:9");
    p->relay.options.to = kit_addr("10.0.2.1:7");
    return p;
}

static void open_relay(struct path *p)
{
    ck_assert_int_eq(relay_open(&p->relay, p->relay_host->loop), KIRIM_OK);
}

static struct path *open_path(void)
{
    struct path *const p = open_hosts();
    open_relay(p);
    return p;
}

/* Whatever came was passed on, or dropped for a reason; whatever was passed on has left. */
static void check_way(const struct relay_way *way, const struct kirim_endpoint_stats *out)
{
    uint64_t dropped = 0;
    uint64_t lost = 0;
    for (size_t i = 0; i < RELAY_DROP_COUNT; i++) {
        dropped += way->drops[i];
    }
    for (size_t i = 0; i < KIRIM_DROP_COUNT; i++) {
        lost += i != KIRIM_DROP_RECEIVE_FULL ? out->drops[i] : 0;
    }
    ck_assert_uint_eq(way->datagrams, way->passed + dropped);
    ck_assert_uint_eq(way->passed, out->tx_datagrams + lost);
}

static void close_path(struct path *p)
{
    struct kirim_endpoint_stats listening = KIRIM_ENDPOINT_STATS_INIT;
    struct kirim_endpoint_stats upstream;
    uint64_t ended = 0;
    kit_run(&p->k, MS);
    relay_read_upstream(&p->relay, &upstream);
    ck_assert_int_eq(kirim_endpoint_read_stats(relay_endpoint(&p->relay), &listening), KIRIM_OK);
    check_way(&p->relay.stats.up, &upstream);
    check_way(&p->relay.stats.down, &listening);
    relay_close(&p->relay);
    kit_run(&p->k, SECOND);
    for (size_t i = 0; i < RELAY_END_COUNT; i++) {
        ended += p->relay.stats.ended[i];
    }
    ck_assert_uint_eq(p->relay.stats.began, ended);
    ck_assert_uint_eq(p->relay.stats.peer_count, 0);
    ck_assert_ptr_null(p->relay.set);
    kit_close(&p->k); /* and all memory has come back */
}

static struct kit_end *client(struct path *p)
{
    return kit_bind(p->client_host, "10.0.0.1:0", KIRIM_ENDPOINT_RECEIVE_CONTROL);
}

/* Sends, and returns how many answers came by 10 ms later. */
static size_t ask(struct path *p, struct kit_end *end, const char *text)
{
    const size_t before = end->rx_count;
    kit_send(end, text, "10.0.1.1:9");
    kit_run(&p->k, 10 * MS);
    return end->rx_count - before;
}

START_TEST(each_peer_has_a_socket_and_is_answered)
{
    struct path *const p = open_path();
    struct kit_end *const a = client(p);
    struct kit_end *const b = client(p);
    ck_assert_uint_eq(ask(p, a, "of a"), 1);
    ck_assert_uint_eq(ask(p, b, "of b"), 1);
    ck_assert_uint_eq(ask(p, a, "of a again"), 1);
    ck_assert_str_eq(b->rx[0].text, "of b");
    ck_assert_str_eq(a->rx[1].text, "of a again");
    ck_assert(!kirim_addr_equal(&p->peers[0], &p->peers[1]));
    ck_assert(kirim_addr_equal(&p->peers[0], &p->peers[2]));
    ck_assert_uint_eq(p->relay.stats.peer_count, 2);
    close_path(p);
}
END_TEST

START_TEST(answers_leave_from_the_address_that_was_asked)
{
    struct path *const p = open_path();
    struct kit_end *const end = client(p);
    const struct kirim_addr second = kit_addr("10.0.1.9:9");
    kit_send(end, "second", "10.0.1.9:9");
    kit_run(&p->k, 10 * MS);
    ck_assert_uint_eq(end->rx_count, 1);
    ck_assert(kirim_addr_equal(&end->rx[0].peer, &second));
    ck_assert_uint_eq(ask(p, end, "first"), 1); /* and goes on with the one asked last */
    const struct kirim_addr first = kit_addr("10.0.1.1:9");
    ck_assert(kirim_addr_equal(&end->rx[1].peer, &first));
    close_path(p);
}
END_TEST

START_TEST(empty_and_longest_datagrams_pass)
{
    static const size_t lengths[] = { 0, 1, 1400, 65507 };
    struct path *const p = open_path();
    struct kit_end *const end = client(p);
    kit_send_bytes(end, lengths[_i], "10.0.1.1:9");
    kit_run(&p->k, 10 * MS);
    ck_assert_uint_eq(end->rx_count, 1);
    ck_assert_uint_eq(end->rx[0].bytes, lengths[_i]);
    close_path(p);
}
END_TEST

START_TEST(marks_pass_both_ways_unless_they_are_unwanted)
{
    const bool is_unmarked = _i == 1;
    struct path *const p = open_hosts();
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct kit_end *const end = client(p);
    p->relay.options.is_unmarked = is_unmarked;
    open_relay(p);
    control.ecn = ECN_CE;
    control.dscp = DSCP_EF;
    ck_assert_int_eq(kit_try_send(end, 100, "10.0.1.1:9", &control), KIRIM_OK);
    kit_run(&p->k, 10 * MS);
    ck_assert_uint_eq(end->rx_count, 1);
    ck_assert_uint_eq(p->dscp, is_unmarked ? 0 : DSCP_EF);
    ck_assert_uint_eq(end->rx[0].ecn, is_unmarked ? 0 : ECN_CE);
    close_path(p);
}
END_TEST

START_TEST(nothing_is_cut_unless_that_is_permitted)
{
    const bool is_fragmenting = _i == 1;
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct path *const p = open_hosts();
    p->relay.options.is_fragmenting = is_fragmenting;
    open_relay(p);
    link.mtu = 1300;
    link.mtu_action = KIRIM_SIM_MTU_FRAGMENT;
    kit_link(&p->k, p->relay_host, p->server_host, link);
    struct kit_end *const end = client(p);
    kit_send_bytes(end, 1273, "10.0.1.1:9");
    kit_run(&p->k, 10 * MS);
    ck_assert_uint_eq(end->rx_count, is_fragmenting ? 1 : 0);
    kit_send_bytes(end, 1272, "10.0.1.1:9");
    kit_run(&p->k, 10 * MS);
    ck_assert_uint_eq(end->rx_count, is_fragmenting ? 2 : 1);
    ck_assert_uint_eq(p->relay.stats.peer_count, 1); /* it has cost nobody's socket */
    close_path(p);
}
END_TEST

/* Only those who went on speaking after an answer are known; strangers make room before them. */
START_TEST(cap_ends_the_most_silent_and_strangers_first)
{
    struct path *const p = open_hosts();
    struct kit_end *ends[CAP + 3];
    p->relay.options.peer_count_max = CAP;
    open_relay(p);
    for (size_t i = 0; i < CAP; i++) {
        ends[i] = client(p);
        ck_assert_uint_eq(ask(p, ends[i], "one"), 1);
    }
    ck_assert_uint_eq(ask(p, ends[0], "two"), 1); /* 0 is known; 1 is now the most silent */
    for (size_t i = CAP; i < CAP + 3; i++) {
        ends[i] = client(p);
        ck_assert_uint_eq(ask(p, ends[i], "one"), 1);
        ck_assert_uint_eq(p->relay.stats.peer_count, CAP);
        ck_assert_uint_eq(p->relay.stats.ended[RELAY_END_EVICTED], i - CAP + 1);
    }
    const struct kirim_addr old = p->peers[0];
    p->peer_count = 0;
    ck_assert_uint_eq(ask(p, ends[0], "three"), 1);
    ck_assert(kirim_addr_equal(&p->peers[0], &old)); /* has kept its socket throughout */
    ck_assert_uint_eq(p->relay.stats.began, CAP + 3);
    ck_assert_uint_eq(ask(p, ends[1], "two"), 1); /* had gone, and begins again */
    ck_assert_uint_eq(p->relay.stats.began, CAP + 4);
    close_path(p);
}
END_TEST

/* New peers without end, each with one datagram. */
static void flood(struct path *p, size_t count)
{
    const struct kirim_addr to = kit_addr("10.0.1.1:9");
    for (size_t i = 0; i < count; i++) {
        struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
        struct kirim_endpoint *ep;
        options.local = kit_addr("10.0.0.2:0");
        ck_assert_int_eq(kirim_endpoint_open(p->client_host->loop, &options, &ep), KIRIM_OK);
        ck_assert_int_eq(kirim_endpoint_send_to(ep, "x", 1, &to), KIRIM_OK);
        ck_assert_int_eq(kirim_endpoint_close(ep), KIRIM_OK);
        kit_run(&p->k, i % 50 == 0 ? MS : 0);
    }
}

START_TEST(flood_of_new_peers_holds_the_cap_and_spares_who_is_known)
{
    struct path *const p = open_hosts();
    p->relay.options.peer_count_max = 64;
    p->relay.options.new_per_second = 0;
    open_relay(p);
    struct kit_end *const end = client(p);
    ck_assert_uint_eq(ask(p, end, "one"), 1);
    ck_assert_uint_eq(ask(p, end, "two"), 1);
    p->server->on_received = NULL; /* its answers would meet closed ports, and end strangers */
    flood(p, FLOOD / 2);           /* a build with checks keeps a thousand sockets that are gone */
    kit_run(&p->k, SECOND);
    const size_t blocks = p->k.memory.blocks;
    flood(p, FLOOD);
    kit_run(&p->k, SECOND);
    ck_assert_uint_eq(p->relay.stats.peer_count_max, 64);
    ck_assert_uint_ge(p->relay.stats.began, FLOOD / 2);
    ck_assert_uint_le(p->k.memory.blocks, blocks + 8);
    p->server->on_received = echo_marked;
    kit_run(&p->k, MS);
    const uint64_t began = p->relay.stats.began;
    ck_assert_uint_eq(ask(p, end, "three"), 1);
    ck_assert_uint_eq(p->relay.stats.began, began);
    close_path(p);
}
END_TEST

START_TEST(new_peers_of_a_prefix_have_a_rate)
{
    struct path *const p = open_hosts();
    p->relay.options.new_per_second = 20;
    open_relay(p);
    struct kit_end *const end = client(p);
    ck_assert_uint_eq(ask(p, end, "one"), 1);
    flood(p, 200); /* within 4 ms */
    kit_run(&p->k, MS);
    ck_assert_uint_eq(p->relay.stats.began, 20);
    ck_assert_uint_eq(p->relay.stats.limited, 181);
    ck_assert_uint_eq(ask(p, end, "two"), 1); /* whoever is there goes on */
    kit_run(&p->k, SECOND);
    struct kit_end *const late = client(p);
    ck_assert_uint_eq(ask(p, late, "one"), 1);
    close_path(p);
}
END_TEST

/* Sends one datagram each second in one of the two directions, or none. */
START_TEST(silence_of_both_sides_ends_a_peer)
{
    struct path *const p = open_path();
    struct kit_end *const end = client(p);
    p->server->on_received = NULL; /* does not answer */
    p->relay.options.idle_ns = 5 * SECOND;
    kit_send(end, "hello", "10.0.1.1:9");
    kit_run(&p->k, SECOND);
    ck_assert_uint_eq(p->server->rx_count, 1);
    char upstream[KIRIM_ADDR_TEXT_BYTES];
    (void)kirim_addr_format(&p->server->rx[0].peer, upstream, sizeof upstream);
    for (int i = 0; i < 20; i++) {
        if (_i == 0) {
            kit_send(end, "up", "10.0.1.1:9");
        } else if (_i == 1) {
            kit_send(p->server, "down", upstream);
        }
        kit_run(&p->k, SECOND);
    }
    ck_assert_uint_eq(p->relay.stats.peer_count, _i == 2 ? 0 : 1);
    ck_assert_uint_eq(end->rx_count, _i == 1 ? 20 : 0);
    kit_run(&p->k, 4 * SECOND - 10 * MS);
    ck_assert_uint_eq(p->relay.stats.peer_count, _i == 2 ? 0 : 1);
    kit_run(&p->k, SECOND);
    ck_assert_uint_eq(p->relay.stats.peer_count, 0);
    ck_assert_uint_eq(p->relay.stats.ended[RELAY_END_IDLE], 1);
    close_path(p);
}
END_TEST

START_TEST(closed_port_of_the_server_ends_only_who_spoke)
{
    struct path *const p = open_path();
    struct kit_end *const a = client(p);
    struct kit_end *const b = client(p);
    ck_assert_uint_eq(ask(p, a, "one"), 1);
    ck_assert_uint_eq(ask(p, b, "one"), 1);
    kit_end_close(p->server);
    kit_run(&p->k, MS);
    ck_assert_uint_eq(ask(p, a, "lost"), 0);
    ck_assert_uint_eq(p->relay.stats.ended[RELAY_END_ICMP], 1);
    ck_assert_uint_eq(p->relay.stats.peer_count, 1);
    p->server = kit_bind(p->server_host, "10.0.2.1:7", KIRIM_ENDPOINT_RECEIVE_CONTROL);
    p->server->ctx = p;
    p->server->on_received = echo_marked;
    ck_assert_uint_eq(ask(p, b, "two"), 1);
    ck_assert_uint_eq(ask(p, a, "two"), 1); /* with a new socket */
    ck_assert_uint_eq(p->relay.stats.began, 3);
    close_path(p);
}
END_TEST

START_TEST(closed_port_of_a_peer_ends_that_peer)
{
    struct path *const p = open_path();
    struct kit_end *const a = client(p);
    struct kit_end *const b = client(p);
    ck_assert_uint_eq(ask(p, b, "one"), 1);
    kit_send(a, "one", "10.0.1.1:9");
    kit_end_close(a);
    kit_run(&p->k, 10 * MS);
    ck_assert_uint_eq(p->relay.stats.ended[RELAY_END_ICMP], 1);
    ck_assert_uint_eq(ask(p, b, "two"), 1);
    ck_assert_uint_eq(p->relay.stats.peer_count, 1);
    close_path(p);
}
END_TEST

START_TEST(answers_can_be_bounded)
{
    struct path *const p = open_hosts();
    p->relay.options.amplification = 3;
    open_relay(p);
    struct kit_end *const end = client(p);
    ck_assert_uint_eq(ask(p, end, "12345"), 1); /* 10 bytes are left */
    char upstream[KIRIM_ADDR_TEXT_BYTES];
    (void)kirim_addr_format(&p->peers[0], upstream, sizeof upstream);
    kit_send_bytes(p->server, 11, upstream);
    kit_send_bytes(p->server, 10, upstream);
    kit_send_bytes(p->server, 1, upstream);
    kit_run(&p->k, 10 * MS);
    ck_assert_uint_eq(end->rx_count, 2);
    ck_assert_uint_eq(end->rx[1].bytes, 10);
    ck_assert_uint_eq(p->relay.stats.down.drops[RELAY_DROP_BOUND], 2);
    close_path(p);
}
END_TEST

/* The server speaks to the relay's port by itself: nobody has asked it there. */
START_TEST(server_is_no_peer)
{
    struct path *const p = open_path();
    struct kirim_sessions_stats stats = KIRIM_SESSIONS_STATS_INIT;
    kit_send(p->server, "loop", "10.0.1.1:9");
    kit_run(&p->k, 10 * MS);
    ck_assert_uint_eq(p->relay.stats.began, 0);
    ck_assert_int_eq(kirim_sessions_read_stats(p->relay.set, &stats), KIRIM_OK);
    ck_assert_uint_eq(stats.rx_dropped, 1);
    close_path(p);
}
END_TEST

START_TEST(relay_to_itself_is_refused)
{
    struct path *const p = open_hosts();
    p->relay.options.to = p->relay.options.listen;
    ck_assert_int_eq(relay_open(&p->relay, p->relay_host->loop), KIRIM_EINVAL);
    kit_close(&p->k);
}
END_TEST

/* The loop ends under it, with peers, and nothing is left. */
START_TEST(loop_may_end_first)
{
    struct path *const p = open_path();
    ck_assert_uint_eq(ask(p, client(p), "one"), 1);
    kit_send(client(p), "two", "10.0.1.1:9");
    kit_close(&p->k);
    ck_assert_ptr_null(p->relay.set);
    ck_assert_uint_eq(p->relay.stats.peer_count, 0);
}
END_TEST

/* Each allocation fails once: a peer less, perhaps, and nothing else. */
START_TEST(every_failed_allocation_is_survived)
{
    uint64_t calls = 0;
    for (uint64_t at = 1; at == 1 || at <= calls; at++) {
        struct path *const p = open_hosts();
        struct kit_end *const end = client(p);
        const uint64_t begin = p->k.memory.calls;
        p->k.memory.fail_at = at == 1 ? 0 : begin + at - 1;
        if (relay_open(&p->relay, p->relay_host->loop) == KIRIM_OK) {
            const struct kirim_addr to = kit_addr("10.0.1.1:9");
            for (int i = 0; i < 3; i++) {
                (void)kirim_endpoint_send_to(end->ep, "x", 1, &to);
            }
            (void)kirim_sim_run(p->k.sim, kirim_sim_now(p->k.sim) + 10 * MS);
            calls = at == 1 ? p->k.memory.calls - begin : calls;
            relay_close(&p->relay);
            kit_run(&p->k, MS);
        }
        p->k.memory.fail_at = 0;
        kit_close(&p->k);
    }
    ck_assert_uint_gt(calls, 20);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { each_peer_has_a_socket_and_is_answered, 0 },
        { answers_leave_from_the_address_that_was_asked, 0 },
        { empty_and_longest_datagrams_pass, 4 },
        { marks_pass_both_ways_unless_they_are_unwanted, 2 },
        { nothing_is_cut_unless_that_is_permitted, 2 },
        { cap_ends_the_most_silent_and_strangers_first, 0 },
        { flood_of_new_peers_holds_the_cap_and_spares_who_is_known, 0 },
        { new_peers_of_a_prefix_have_a_rate, 0 },
        { silence_of_both_sides_ends_a_peer, 3 },
        { closed_port_of_the_server_ends_only_who_spoke, 0 },
        { closed_port_of_a_peer_ends_that_peer, 0 },
        { answers_can_be_bounded, 0 },
        { server_is_no_peer, 0 },
        { relay_to_itself_is_refused, 0 },
        { loop_may_end_first, 0 },
        { every_failed_allocation_is_survived, 0 },
        { NULL, 0 },
    };
    return kit_main("relay in the simulator", claims);
}
