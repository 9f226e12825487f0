/* SPDX-License-Identifier: MIT
 *
 * Claims about ports of the simulator: binding, and who gets what arrives.
 */
#include "sim.h"
#include "sim_kit.h"

#include <string.h>

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

enum { DUAL = KIRIM_ENDPOINT_DUAL_STACK, SHARE = KIRIM_ENDPOINT_SHARE_PORT };

/* A host with addresses of both families, and one that only sends. */
struct net {
    struct kit k;
    struct kit_host *a, *b;
};

static void net_open(struct net *n)
{
    kit_open(&n->k, 1);
    n->a = kit_host(&n->k, "a", "10.0.0.1", "2001:db8::1");
    n->b = kit_host(&n->k, "b", "10.0.0.2", "2001:db8::2");
}

static void net_run(struct net *n)
{
    kit_run(&n->k, SECOND);
}

/* ---- binding --------------------------------------------------------------------------------- */

/* Two binds on one host, and what the second one answers. */
static const struct both {
    const char *first;
    uint32_t first_flags;
    const char *second;
    uint32_t second_flags;
    kirim_err wanted;
} binds[] = {
    { "10.0.0.1:53", 0, "10.0.0.1:53", 0, KIRIM_EADDRINUSE },
    { "10.0.0.1:53", 0, "10.0.0.1:54", 0, KIRIM_OK },
    { "10.0.0.1:53", 0, "127.0.0.1:53", 0, KIRIM_OK },
    { "127.0.0.1:53", 0, "127.0.0.2:53", 0, KIRIM_OK },
    { "10.0.0.1:53", 0, "0.0.0.0:53", 0, KIRIM_EADDRINUSE },
    { "0.0.0.0:53", 0, "10.0.0.1:53", 0, KIRIM_EADDRINUSE },
    { "0.0.0.0:53", 0, "0.0.0.0:53", 0, KIRIM_EADDRINUSE },
    { "0.0.0.0:53", 0, "[::]:53", 0, KIRIM_OK },
    { "0.0.0.0:53", 0, "[::]:53", DUAL, KIRIM_EADDRINUSE },
    { "10.0.0.1:53", 0, "[::]:53", DUAL, KIRIM_EADDRINUSE },
    { "[::]:53", DUAL, "10.0.0.1:53", 0, KIRIM_EADDRINUSE },
    { "[::]:53", DUAL, "[2001:db8::1]:53", 0, KIRIM_EADDRINUSE },
    { "[::]:53", 0, "[::1]:53", 0, KIRIM_EADDRINUSE },
    { "[::1]:53", 0, "127.0.0.1:53", 0, KIRIM_OK },
    { "[2001:db8::1]:53", 0, "[2001:db8::1]:53", 0, KIRIM_EADDRINUSE },
    { "10.0.0.1:53", SHARE, "10.0.0.1:53", SHARE, KIRIM_OK },
    { "10.0.0.1:53", SHARE, "10.0.0.1:53", 0, KIRIM_EADDRINUSE },
    { "10.0.0.1:53", 0, "10.0.0.1:53", SHARE, KIRIM_EADDRINUSE },
    { "0.0.0.0:53", SHARE, "10.0.0.1:53", SHARE, KIRIM_OK },
    { "[::]:53", DUAL | SHARE, "10.0.0.1:53", SHARE, KIRIM_OK },
};

START_TEST(second_bind_is_answered_as_linux_does)
{
    const struct both *b = &binds[_i];
    struct kit_end *end;
    struct net n;
    net_open(&n);
    struct kit_end *first = kit_bind(n.a, b->first, b->first_flags);
    const kirim_err err = kit_try(n.a, b->second, NULL, b->second_flags, &end);
    ck_assert_msg(err == b->wanted, "%s beside %s: %s", b->second, b->first, kirim_err_name(err));
    if (err < 0) {
        kit_end_close(first);
        ck_assert_int_eq(kit_try(n.a, b->second, NULL, b->second_flags, &end), KIRIM_OK);
    }
    kit_close(&n.k);
}
END_TEST

START_TEST(hosts_do_not_share_their_ports)
{
    struct net n;
    net_open(&n);
    (void)kit_bind(n.a, "0.0.0.0:53", 0);
    (void)kit_bind(n.b, "0.0.0.0:53", 0);
    kit_close(&n.k);
}
END_TEST

START_TEST(address_of_another_host_is_not_available)
{
    static const char *const refused[] = { "10.0.0.2:1", "10.9.9.9:1", "[2001:db8::2]:1",
                                           "224.0.0.1:1" };
    struct kit_end *end;
    struct net n;
    net_open(&n);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        ck_assert_int_eq(kit_try(n.a, refused[i], NULL, 0, &end), KIRIM_EADDRNOTAVAIL);
    }
    kit_close(&n.k);
}
END_TEST

START_TEST(port_zero_gets_a_dynamic_port_of_its_own)
{
    struct net n;
    net_open(&n);
    for (size_t i = 0; i < KIT_END_MAX; i++) {
        const uint16_t port = kit_port(kit_bind(n.a, "0.0.0.0:0", SHARE));
        ck_assert_uint_ge(port, 49152);
        for (size_t k = 0; k < i; k++) {
            ck_assert_uint_ne(port, kit_port(&n.k.ends[k]));
        }
    }
    kit_close(&n.k);
}
END_TEST

START_TEST(dynamic_ports_run_out_after_16384)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_endpoint *ep;
    struct kirim_endpoint *middle = NULL;
    struct net n;
    net_open(&n);
    options.local = kit_addr("127.0.0.1");
    options.flags = SHARE; /* what the system chooses is nobody else's all the same */
    for (size_t i = 0; i < KI_SIM_EPHEMERAL_COUNT; i++) {
        ck_assert_int_eq(kirim_endpoint_open(n.a->loop, &options, &ep), KIRIM_OK);
        middle = i == 10000 ? ep : middle;
    }
    ck_assert_int_eq(kirim_endpoint_open(n.a->loop, &options, &ep), KIRIM_EADDRINUSE);
    const struct kirim_addr freed = kirim_endpoint_local(middle);
    ck_assert_int_eq(kirim_endpoint_close(middle), KIRIM_OK);
    ck_assert_int_eq(kirim_endpoint_open(n.a->loop, &options, &ep), KIRIM_OK);
    const struct kirim_addr got = kirim_endpoint_local(ep);
    ck_assert(kirim_addr_equal(&freed, &got));
    options.local = kit_addr("127.0.0.2"); /* another address has all of them */
    ck_assert_int_eq(kirim_endpoint_open(n.a->loop, &options, &ep), KIRIM_OK);
    kit_close(&n.k);
}
END_TEST

START_TEST(dynamic_ports_of_hosts_begin_at_different_places)
{
    struct net n;
    net_open(&n);
    ck_assert_uint_ne(kit_port(kit_bind(n.a, "0.0.0.0:0", 0)),
                      kit_port(kit_bind(n.b, "0.0.0.0:0", 0)));
    kit_close(&n.k);
}
END_TEST

START_TEST(sockets_and_processes_are_refused)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_endpoint *ep;
    struct net n;
    net_open(&n);
    options.local = kit_addr("10.0.0.1");
    options.flags = KIRIM_ENDPOINT_INHERIT;
    ck_assert_int_eq(kirim_endpoint_open(n.a->loop, &options, &ep), KIRIM_EOPNOTSUPP);
    options.flags = KIRIM_ENDPOINT_ADOPT;
    ck_assert_int_eq(kirim_endpoint_open(n.a->loop, &options, &ep), KIRIM_EOPNOTSUPP);
    kit_close(&n.k);
}
END_TEST

START_TEST(endpoint_has_no_descriptor)
{
    struct net n;
    net_open(&n);
    const struct kit_end *end = kit_bind(n.a, "10.0.0.1:1", 0);
    ck_assert_int_eq(kirim_endpoint_descriptor(end->ep), KIRIM_NO_DESCRIPTOR);
    kit_close(&n.k);
}
END_TEST

/* ---- who gets it ----------------------------------------------------------------------------- */

START_TEST(bound_address_goes_before_the_wildcard)
{
    struct net n;
    net_open(&n);
    struct kit_end *any = kit_bind(n.a, "0.0.0.0:53", SHARE);
    struct kit_end *one = kit_bind(n.a, "10.0.0.1:53", SHARE);
    struct kit_end *b = kit_bind(n.b, "0.0.0.0:1", 0);
    struct kit_end *local = kit_bind(n.a, "127.0.0.1:1", 0);
    kit_send(b, "one", "10.0.0.1:53");
    kit_send(local, "any", "127.0.0.1:53");
    net_run(&n);
    kit_expect(one, "one", "10.0.0.2:1");
    kit_expect(any, "any", "127.0.0.1:1");
    kit_close(&n.k);
}
END_TEST

START_TEST(ipv4_goes_before_both_stacks)
{
    struct net n;
    net_open(&n);
    struct kit_end *dual = kit_bind(n.a, "[::]:53", DUAL | SHARE);
    struct kit_end *four = kit_bind(n.a, "0.0.0.0:53", SHARE);
    struct kit_end *b = kit_bind(n.b, "[::]:1", DUAL);
    kit_send(b, "four", "10.0.0.1:53");
    kit_send(b, "six", "[2001:db8::1]:53");
    net_run(&n);
    kit_expect(four, "four", "10.0.0.2:1");
    kit_expect(dual, "six", "[2001:db8::2]:1");
    kit_close(&n.k);
}
END_TEST

START_TEST(dual_stack_endpoint_serves_both_families_with_plain_peers)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_bind(n.a, "[::]:53", DUAL);
    struct kit_end *four = kit_bind(n.b, "10.0.0.2:1", 0);
    struct kit_end *six = kit_bind(n.b, "[2001:db8::2]:1", 0);
    a->on_received = kit_echo;
    kit_send(four, "four", "10.0.0.1:53");
    kit_send(six, "six", "[2001:db8::1]:53");
    net_run(&n);
    kit_expect(four, "four", "10.0.0.1:53");
    kit_expect(six, "six", "[2001:db8::1]:53");
    const struct kirim_addr peer = kit_addr("10.0.0.2:1");
    ck_assert(kirim_addr_equal(&a->rx[0].peer, &peer));
    kit_close(&n.k);
}
END_TEST

START_TEST(ipv6_endpoint_without_dual_stack_takes_ipv6_only)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_bind(n.a, "[::]:53", 0);
    struct kit_end *b = kit_bind(n.b, "0.0.0.0:1", 0);
    kit_send(b, "four", "10.0.0.1:53");
    net_run(&n);
    ck_assert_uint_eq(a->rx_count, 0);
    ck_assert_uint_eq(kit_stats(&n.k).no_port, 1);
    kit_close(&n.k);
}
END_TEST

START_TEST(connected_endpoint_hears_its_peer_only)
{
    struct net n;
    net_open(&n);
    struct kit_end *b = kit_bind(n.b, "10.0.0.2:53", 0);
    struct kit_end *other = kit_bind(n.b, "10.0.0.2:54", 0);
    struct kit_end *a = kit_connect(n.a, "10.0.0.1:1", "10.0.0.2:53");
    kit_send(b, "peer", "10.0.0.1:1");
    kit_send(other, "stranger", "10.0.0.1:1");
    net_run(&n);
    kit_expect(a, "peer", "10.0.0.2:53");
    ck_assert_uint_eq(kit_stats(&n.k).no_port, 1);
    kit_close(&n.k);
}
END_TEST

START_TEST(connected_endpoint_hears_at_its_narrowed_address_only)
{
    struct net n;
    net_open(&n);
    struct kit_host *c = kit_host(&n.k, "c", "10.0.0.3", "10.1.0.3");
    struct kit_end *peer = kit_bind(n.b, "10.0.0.2:53", 0);
    struct kit_end *end = kit_connect(c, "0.0.0.0:7", "10.0.0.2:53");
    kit_send(peer, "here", "10.0.0.3:7");
    kit_send(peer, "there", "10.1.0.3:7");
    net_run(&n);
    kit_expect(end, "here", NULL);
    kit_close(&n.k);
}
END_TEST

START_TEST(connected_endpoint_goes_before_its_unconnected_neighbour)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct net n;
    net_open(&n);
    struct kit_end *listener = kit_bind(n.a, "10.0.0.1:53", SHARE);
    options.local = kit_addr("10.0.0.1:53");
    options.peer = kit_addr("10.0.0.2:1");
    options.flags = SHARE;
    struct kit_end *session = kit_end(n.a, &options);
    struct kit_end *b = kit_bind(n.b, "10.0.0.2:1", 0);
    struct kit_end *other = kit_bind(n.b, "10.0.0.2:2", 0);
    kit_send(b, "known", "10.0.0.1:53");
    kit_send(other, "new", "10.0.0.1:53");
    net_run(&n);
    kit_expect(session, "known", NULL);
    kit_expect(listener, "new", NULL);
    kit_close(&n.k);
}
END_TEST

START_TEST(connecting_narrows_a_wildcard_to_the_address_of_the_route)
{
    struct net n;
    net_open(&n);
    const struct kit_end *out = kit_connect(n.a, NULL, "10.0.0.2:53");
    const struct kit_end *in = kit_connect(n.a, NULL, "127.0.0.1:53");
    const struct kit_end *six = kit_connect(n.a, "[::]:7", "[2001:db8::2]:53");
    const struct kirim_addr wanted = kit_addr("10.0.0.1");
    const struct kirim_addr loopback = kit_addr("127.0.0.1");
    const struct kirim_addr whole = kit_addr("[2001:db8::1]:7");
    struct kirim_addr local = kit_local(out);
    ck_assert(ki_sim_same_addr(&local, &wanted));
    local = kit_local(in);
    ck_assert(ki_sim_same_addr(&local, &loopback));
    local = kit_local(six);
    ck_assert(kirim_addr_equal(&local, &whole));
    kit_close(&n.k);
}
END_TEST

enum { SENDER_COUNT = 200, SHARER_COUNT = 4 };

START_TEST(shared_port_divides_senders_and_keeps_each_at_its_endpoint)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kit_end *ends[SHARER_COUNT];
    struct net n;
    net_open(&n);
    for (size_t i = 0; i < SHARER_COUNT; i++) {
        ends[i] = kit_bind(n.a, "10.0.0.1:53", SHARE);
    }
    options.local = kit_addr("10.0.0.2");
    const struct kirim_addr to = kit_addr("10.0.0.1:53");
    for (size_t i = 0; i < SENDER_COUNT; i++) {
        struct kirim_endpoint *ep;
        ck_assert_int_eq(kirim_endpoint_open(n.b->loop, &options, &ep), KIRIM_OK);
        for (size_t k = 0; k < 3; k++) {
            ck_assert_int_eq(kirim_endpoint_send_to(ep, "x", 1, &to), KIRIM_OK);
        }
    }
    net_run(&n);
    size_t count = 0;
    for (size_t i = 0; i < SHARER_COUNT; i++) {
        ck_assert_uint_gt(ends[i]->rx_count, 3 * SENDER_COUNT / SHARER_COUNT / 2);
        ck_assert_uint_eq(ends[i]->rx_count % 3, 0);
        count += ends[i]->rx_count;
    }
    ck_assert_uint_eq(count, (size_t)3 * SENDER_COUNT);
    kit_close(&n.k);
}
END_TEST

START_TEST(closed_port_is_free_again_and_gets_nothing)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_bind(n.a, "10.0.0.1:53", 0);
    struct kit_end *b = kit_bind(n.b, "10.0.0.2:1", 0);
    kit_send(b, "late", "10.0.0.1:53");
    kit_run(&n.k, 10 * US);
    kit_end_close(a);
    net_run(&n);
    ck_assert_uint_eq(a->rx_count, 0);
    ck_assert_uint_eq(kit_stats(&n.k).no_port, 1);
    (void)kit_bind(n.a, "10.0.0.1:53", 0);
    kit_close(&n.k);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { second_bind_is_answered_as_linux_does, COUNT_OF(binds) },
        { hosts_do_not_share_their_ports, 0 },
        { address_of_another_host_is_not_available, 0 },
        { port_zero_gets_a_dynamic_port_of_its_own, 0 },
        { dynamic_ports_run_out_after_16384, 0 },
        { dynamic_ports_of_hosts_begin_at_different_places, 0 },
        { sockets_and_processes_are_refused, 0 },
        { endpoint_has_no_descriptor, 0 },
        { bound_address_goes_before_the_wildcard, 0 },
        { ipv4_goes_before_both_stacks, 0 },
        { dual_stack_endpoint_serves_both_families_with_plain_peers, 0 },
        { ipv6_endpoint_without_dual_stack_takes_ipv6_only, 0 },
        { connected_endpoint_hears_its_peer_only, 0 },
        { connected_endpoint_hears_at_its_narrowed_address_only, 0 },
        { connected_endpoint_goes_before_its_unconnected_neighbour, 0 },
        { connecting_narrows_a_wildcard_to_the_address_of_the_route, 0 },
        { shared_port_divides_senders_and_keeps_each_at_its_endpoint, 0 },
        { closed_port_is_free_again_and_gets_nothing, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_port", claims);
}
