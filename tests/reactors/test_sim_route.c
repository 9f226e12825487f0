/* SPDX-License-Identifier: MIT
 *
 * Claims about routes of the simulator: sources, broadcast, and what fits a datagram.
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

/* ---- routes and sources ---------------------------------------------------------------------- */

/* From an endpoint on host a: where to, with which source asked for, and which source or error it
 * has. */
static const struct route {
    const char *local, *to, *source;
    const char *wanted; /* source that the receiver sees; NULL: refused */
    kirim_err err;
} routes[] = {
    { "0.0.0.0:1", "10.0.0.2:9", NULL, "10.0.0.1:1", KIRIM_OK },
    { "[::]:1", "[2001:db8::2]:9", NULL, "[2001:db8::1]:1", KIRIM_OK },
    { "0.0.0.0:1", "127.0.0.9:9", NULL, "127.0.0.1:1", KIRIM_OK },
    { "0.0.0.0:1", "0.0.0.0:9", NULL, "127.0.0.1:1", KIRIM_OK },
    { "0.0.0.0:1", "10.0.0.1:9", NULL, "10.0.0.1:1", KIRIM_OK },
    { "[::]:1", "[::1]:9", NULL, "[::1]:1", KIRIM_OK },
    { "0.0.0.0:1", "127.0.0.9:9", "127.0.0.5", "127.0.0.5:1", KIRIM_OK },
    { "0.0.0.0:1", "127.0.0.9:9", "10.0.0.1", "10.0.0.1:1", KIRIM_OK },
    { "10.0.0.1:1", "127.0.0.9:9", NULL, "10.0.0.1:1", KIRIM_OK },
    { "0.0.0.0:1", "10.0.0.2:9", "10.0.0.2", NULL, KIRIM_EADDRNOTAVAIL },
    { "0.0.0.0:1", "10.0.0.2:9", "10.9.9.9", NULL, KIRIM_EADDRNOTAVAIL },
    { "0.0.0.0:1", "10.0.0.2:9", "127.0.0.1", NULL, KIRIM_ENETUNREACH },
    { "127.0.0.1:1", "10.0.0.2:9", NULL, NULL, KIRIM_ENETUNREACH },
    { "0.0.0.0:1", "10.9.9.9:9", NULL, NULL, KIRIM_ENETUNREACH },
    { "[::]:1", "[2001:db8::99]:9", NULL, NULL, KIRIM_ENETUNREACH },
    { "0.0.0.0:1", "224.0.0.1:9", "10.9.9.9", NULL, KIRIM_EADDRNOTAVAIL },
    { "0.0.0.0:1", "127.255.255.255:9", NULL, NULL, KIRIM_EACCES },
    { "0.0.0.0:1", "255.255.255.255:9", NULL, NULL, KIRIM_EACCES },
};

START_TEST(source_is_that_of_the_message_the_endpoint_or_the_route)
{
    const struct route *r = &routes[_i];
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct net n;
    net_open(&n);
    struct kit_end *ends[2] = { kit_bind(n.a, "[::]:9", DUAL), kit_bind(n.b, "[::]:9", DUAL) };
    struct kit_end *a = kit_bind(n.a, r->local, 0);
    control.source = kit_addr(r->source);
    ck_assert_int_eq(kit_try_send(a, 1, r->to, r->source != NULL ? &control : NULL), r->err);
    net_run(&n);
    ck_assert_uint_eq(ends[0]->rx_count + ends[1]->rx_count, r->wanted != NULL);
    if (r->wanted != NULL) {
        kit_expect(ends[ends[0]->rx_count == 0], "", r->wanted);
    }
    kit_close(&n.k);
}
END_TEST

START_TEST(host_without_an_address_of_the_family_has_no_route)
{
    struct net n;
    net_open(&n);
    struct kit_end *c = kit_bind(kit_host(&n.k, "c", "10.0.0.3", NULL), "[::]:1", DUAL);
    ck_assert_int_eq(kit_try_send(c, 1, "[2001:db8::1]:1", NULL), KIRIM_ENETUNREACH);
    ck_assert_int_eq(kit_try_send(c, 1, "10.0.0.1:1", NULL), KIRIM_OK);
    kit_close(&n.k);
}
END_TEST

START_TEST(unknown_destinations_are_counted)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_bind(n.a, "0.0.0.0:1", 0);
    kit_send(a, "x", "10.9.9.9:1");
    net_run(&n);
    ck_assert_uint_eq(kit_stats(&n.k).no_host, 1);
    ck_assert_uint_eq(a->failed_count, 1);
    ck_assert_int_eq(a->event.err, KIRIM_ENETUNREACH);
    kit_close(&n.k);
}
END_TEST

START_TEST(connecting_needs_a_route)
{
    struct kit_end *end;
    struct net n;
    net_open(&n);
    ck_assert_int_eq(kit_try(n.a, NULL, "10.9.9.9:1", 0, &end), KIRIM_ENETUNREACH);
    ck_assert_int_eq(kit_try(n.a, "127.0.0.1:1", "10.0.0.2:1", 0, &end), KIRIM_ENETUNREACH);
    ck_assert_int_eq(kit_try(n.a, NULL, "127.255.255.255:1", 0, &end), KIRIM_EACCES);
    kit_close(&n.k);
}
END_TEST

START_TEST(host_is_reached_at_every_one_of_its_addresses)
{
    struct net n;
    net_open(&n);
    struct kit_host *c = kit_host(&n.k, "c", "10.0.0.3", "10.1.0.3");
    struct kit_end *end = kit_bind(c, "0.0.0.0:9", 0);
    struct kit_end *a = kit_bind(n.a, "0.0.0.0:1", 0);
    end->on_received = kit_echo;
    kit_send(a, "x", "10.1.0.3:9");
    net_run(&n);
    kit_expect(a, "x", "10.1.0.3:9"); /* the reply comes from where the question went */
    kit_close(&n.k);
}
END_TEST

START_TEST(host_sends_to_itself_from_the_address_it_sends_to)
{
    struct net n;
    net_open(&n);
    struct kit_end *c = kit_bind(kit_host(&n.k, "c", "10.0.0.3", "10.1.0.3"), "0.0.0.0:9", 0);
    kit_send(c, "x", "10.1.0.3:9");
    net_run(&n);
    kit_expect(c, "x", "10.1.0.3:9");
    kit_close(&n.k);
}
END_TEST

START_TEST(link_local_peers_show_the_interface)
{
    struct net n;
    net_open(&n);
    struct kit_end *c = kit_bind(kit_host(&n.k, "c", "fe80::c", NULL), "[::]:9", 0);
    struct kit_end *d = kit_bind(kit_host(&n.k, "d", "fe80::d", NULL), "[fe80::d%1]:1", 0);
    kit_send(d, "x", "[fe80::c%1]:9");
    net_run(&n);
    kit_expect(c, "x", "[fe80::d%1]:1");
    kit_close(&n.k);
}
END_TEST

/* What the first datagram of `end` tells of where it was sent to. */
static void expect_local(const struct kit_end *end, const char *local)
{
    const struct kirim_addr wanted = kit_addr(local);
    ck_assert_uint_ge(end->rx_count, 1);
    ck_assert(kirim_addr_equal(&end->rx[0].local, &wanted));
}

START_TEST(broadcast_of_the_loopback_reaches_every_wildcard_of_the_host)
{
    struct net n;
    net_open(&n);
    struct kit_end *first = kit_bind(n.a, "0.0.0.0:9", SHARE);
    struct kit_end *second = kit_bind(n.a, "0.0.0.0:9", SHARE);
    struct kit_end *bound = kit_bind(n.a, "127.0.0.1:9", SHARE);
    struct kit_end *sender = kit_bind(n.a, "0.0.0.0:1", KIRIM_ENDPOINT_BROADCAST);
    kit_send(sender, "all", "127.255.255.255:9");
    kit_send(sender, "nobody", "127.255.255.255:10");
    net_run(&n);
    kit_expect(first, "all", "127.0.0.1:1");
    kit_expect(second, "all", "127.0.0.1:1");
    expect_local(first, "127.0.0.1:9");
    ck_assert_uint_eq(bound->rx_count, 0);
    ck_assert_uint_eq(sender->failed_count, 0);
    kit_close(&n.k);
}
END_TEST

START_TEST(limited_broadcast_reaches_every_wildcard_of_the_network)
{
    struct net n;
    net_open(&n);
    struct kit_end *own = kit_bind(n.a, "0.0.0.0:9", SHARE);
    struct kit_end *dual = kit_bind(n.b, "[::]:9", DUAL | SHARE);
    struct kit_end *other = kit_bind(n.b, "0.0.0.0:9", SHARE);
    struct kit_end *bound = kit_bind(n.b, "10.0.0.2:9", SHARE);
    struct kit_end *sender = kit_bind(n.a, "0.0.0.0:1", KIRIM_ENDPOINT_BROADCAST);
    struct kit_host *no_ipv4 = kit_host(&n.k, "six", "2001:db8::66", NULL);
    struct kit_end *six = kit_bind(no_ipv4, "[::]:9", DUAL | KIRIM_ENDPOINT_BROADCAST);
    kit_send(sender, "all", "255.255.255.255:9");
    net_run(&n);
    kit_expect(own, "all", "10.0.0.1:1");
    kit_expect(dual, "all", "10.0.0.1:1");
    kit_expect(other, "all", "10.0.0.1:1");
    expect_local(own, "10.0.0.1:9"); /* the address that would answer */
    expect_local(dual, "10.0.0.2:9");
    ck_assert_uint_eq(bound->rx_count + six->rx_count, 0);
    ck_assert_uint_eq(kit_stats(&n.k).sent, 1);
    ck_assert_uint_eq(kit_stats(&n.k).delivered, 3);
    ck_assert_int_eq(kit_try_send(six, 1, "255.255.255.255:9", NULL), KIRIM_ENETUNREACH);
    kit_close(&n.k);
}
END_TEST

/* ---- sizes ----------------------------------------------------------------------------------- */

START_TEST(largest_datagrams_of_both_families_arrive_whole)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_bind(n.a, "[::]:9", DUAL);
    struct kit_end *b = kit_bind(n.b, "[::]:1", DUAL);
    kit_send_bytes(b, KIRIM_PAYLOAD_IPV4_BYTES_MAX, "10.0.0.1:9");
    kit_send_bytes(b, KIRIM_PAYLOAD_IPV6_BYTES_MAX, "[2001:db8::1]:9");
    kit_send_bytes(b, 0, "10.0.0.1:9");
    net_run(&n);
    ck_assert_uint_eq(a->rx_count, 3);
    ck_assert_uint_eq(a->rx[0].bytes, KIRIM_PAYLOAD_IPV4_BYTES_MAX);
    ck_assert_uint_eq(a->rx[1].bytes, KIRIM_PAYLOAD_IPV6_BYTES_MAX);
    ck_assert_uint_eq(a->rx[2].bytes, 0);
    kit_close(&n.k);
}
END_TEST

START_TEST(longer_than_expected_is_cut_and_says_so)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct net n;
    net_open(&n);
    options.local = kit_addr("10.0.0.1:9");
    options.datagram_bytes_max = 1000;
    struct kit_end *a = kit_end(n.a, &options);
    struct kit_end *b = kit_bind(n.b, "10.0.0.2:1", 0);
    kit_send_bytes(b, 1000, "10.0.0.1:9");
    kit_send_bytes(b, 1001, "10.0.0.1:9");
    net_run(&n);
    ck_assert_uint_eq(a->rx[0].bytes, 1000);
    ck_assert_uint_eq(a->rx[0].flags & KIRIM_RX_TRUNCATED, 0);
    ck_assert_uint_eq(a->rx[1].bytes, 1000);
    ck_assert_uint_ne(a->rx[1].flags & KIRIM_RX_TRUNCATED, 0);
    kit_close(&n.k);
}
END_TEST

START_TEST(gathered_datagram_arrives_in_order)
{
    char one[] = "one ";
    char two[] = "two";
    const struct kirim_buf bufs[4] = { { one, 4 }, { NULL, 0 }, { two, 3 }, { NULL, 0 } };
    const struct kirim_addr to = kit_addr("10.0.0.1:9");
    const struct kirim_msg msg = { bufs, &to, NULL, 4, 0 };
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_bind(n.a, "10.0.0.1:9", 0);
    struct kit_end *b = kit_bind(n.b, "10.0.0.2:1", 0);
    ck_assert_int_eq(kirim_endpoint_send(b->ep, &msg, KIRIM_SEND_NOW, NULL, NULL), KIRIM_OK);
    net_run(&n);
    kit_expect(a, "one two", NULL);
    kit_close(&n.k);
}
END_TEST

START_TEST(arrival_tells_more_than_the_address_only_if_asked)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct net n;
    net_open(&n);
    struct kit_end *plain = kit_bind(n.a, "10.0.0.1:8", 0);
    struct kit_end *told = kit_bind(n.a, "10.0.0.1:9", KIRIM_ENDPOINT_RECEIVE_CONTROL);
    struct kit_end *b = kit_bind(n.b, "10.0.0.2:1", 0);
    control.ecn = 1;
    ck_assert_int_eq(kit_try_send(b, 1, "10.0.0.1:8", &control), KIRIM_OK);
    ck_assert_int_eq(kit_try_send(b, 1, "10.0.0.1:9", &control), KIRIM_OK);
    net_run(&n);
    const struct kirim_addr local = kit_addr("10.0.0.1:8");
    ck_assert(kirim_addr_equal(&plain->rx[0].local, &local));
    ck_assert_uint_eq(plain->rx[0].ecn + plain->rx[0].ttl + plain->rx[0].arrival_ns, 0);
    ck_assert_uint_eq(told->rx[0].ecn, 1);
    ck_assert_uint_eq(told->rx[0].ttl, KI_SIM_TTL);
    ck_assert_uint_eq(told->rx[0].arrival_ns, SECOND + 50 * US);
    kit_close(&n.k);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { source_is_that_of_the_message_the_endpoint_or_the_route, COUNT_OF(routes) },
        { host_without_an_address_of_the_family_has_no_route, 0 },
        { unknown_destinations_are_counted, 0 },
        { connecting_needs_a_route, 0 },
        { host_is_reached_at_every_one_of_its_addresses, 0 },
        { host_sends_to_itself_from_the_address_it_sends_to, 0 },
        { link_local_peers_show_the_interface, 0 },
        { broadcast_of_the_loopback_reaches_every_wildcard_of_the_host, 0 },
        { limited_broadcast_reaches_every_wildcard_of_the_network, 0 },
        { largest_datagrams_of_both_families_arrive_whole, 0 },
        { longer_than_expected_is_cut_and_says_so, 0 },
        { gathered_datagram_arrives_in_order, 0 },
        { arrival_tells_more_than_the_address_only_if_asked, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_route", claims);
}
