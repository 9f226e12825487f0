/* SPDX-License-Identifier: MIT
 *
 * Claims about socket buffers of the simulator, and about the reports that come back.
 */
#include "sim.h"
#include "sim_kit.h"

#include <string.h>

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

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

/* ---- buffers --------------------------------------------------------------------------------- */

static const struct buffer {
    uint32_t asked, receive, send;
} buffers[] = {
    { 0, 212992, 212992 },      { 1, 2304, 4608 },
    { 1152, 2304, 4608 },       { 1153, 2306, 4608 },
    { 2304, 4608, 4608 },       { 2305, 4610, 4610 },
    { 100000, 200000, 200000 }, { 1U << 31, 1U << 30, 1U << 30 },
};

START_TEST(buffers_are_twice_what_was_asked_within_bounds)
{
    const struct buffer *b = &buffers[_i];
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    uint32_t receive;
    uint32_t send;
    struct net n;
    net_open(&n);
    options.local = kit_addr("10.0.0.1:9");
    options.receive_buffer_bytes = b->asked;
    options.send_buffer_bytes = b->asked;
    const struct kit_end *end = kit_end(n.a, &options);
    ck_assert_int_eq(kirim_endpoint_buffers(end->ep, &receive, &send), KIRIM_OK);
    ck_assert_uint_eq(receive, b->receive);
    ck_assert_uint_eq(send, b->send);
    kit_close(&n.k);
}
END_TEST

static uint64_t receive_drops(const struct kit_end *end)
{
    struct kirim_endpoint_stats stats = KIRIM_ENDPOINT_STATS_INIT;
    ck_assert_int_eq(kirim_endpoint_read_stats(end->ep, &stats), KIRIM_OK);
    return stats.drops[KIRIM_DROP_RECEIVE_FULL];
}

/* So many datagrams of so many bytes fit the default receive buffer. */
static const struct fit {
    uint32_t bytes, count;
} fits[] = { { 0, 256 }, { 64, 256 }, { 1200, 92 }, { 65507, 3 } };

START_TEST(receive_buffer_overflows_as_that_of_linux)
{
    const struct fit *f = &fits[_i];
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_bind(n.a, "10.0.0.1:9", 0);
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.local = kit_addr("10.0.0.2:1");
    options.send_buffer_bytes = 64 << 20;
    struct kit_end *b = kit_end(n.b, &options);
    for (uint32_t extra = 0; extra <= 1; extra++) { /* all at one instant: before the turn */
        for (uint32_t i = 0; i < f->count + extra; i++) {
            kit_send_bytes(b, f->bytes, "10.0.0.1:9");
        }
        net_run(&n);
        ck_assert_uint_eq(receive_drops(a), extra);
        ck_assert_uint_eq(a->rx_count, f->count << extra);
    }
    ck_assert_uint_eq(kit_stats(&n.k).receive_full, 1);
    kit_close(&n.k);
}
END_TEST

START_TEST(empty_receive_buffer_takes_anything)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct net n;
    net_open(&n);
    options.local = kit_addr("10.0.0.1:9");
    options.receive_buffer_bytes = 1;
    struct kit_end *a = kit_end(n.a, &options);
    struct kit_end *b = kit_bind(n.b, "10.0.0.2:1", 0);
    kit_send_bytes(b, KIRIM_PAYLOAD_IPV4_BYTES_MAX, "10.0.0.1:9");
    kit_send_bytes(b, 0, "10.0.0.1:9");
    net_run(&n);
    ck_assert_uint_eq(a->rx_count, 1);
    ck_assert_uint_eq(a->rx[0].bytes, KIRIM_PAYLOAD_IPV4_BYTES_MAX);
    ck_assert_uint_eq(receive_drops(a), 1);
    kit_close(&n.k);
}
END_TEST

/* An endpoint on host b whose send buffer holds 5 small datagrams. */
static struct kit_end *bind_small(struct net *n)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.local = kit_addr("10.0.0.2:1");
    options.send_buffer_bytes = 1;
    options.queue_count_max = 8;
    return kit_end(n->b, &options);
}

START_TEST(full_send_buffer_refuses_until_the_world_goes_on)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_bind(n.a, "10.0.0.1:9", 0);
    struct kit_end *b = bind_small(&n);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(kit_try_send(b, 1, "10.0.0.1:9", NULL), KIRIM_OK);
    }
    ck_assert_int_eq(kit_try_send(b, 1, "10.0.0.1:9", NULL), KIRIM_EWOULDBLOCK);
    kit_run(&n.k, 0);
    ck_assert_int_eq(kit_try_send(b, 1, "10.0.0.1:9", NULL), KIRIM_OK);
    net_run(&n);
    ck_assert_uint_eq(a->rx_count, 6);
    kit_close(&n.k);
}
END_TEST

START_TEST(what_a_full_send_buffer_refused_leaves_later_and_in_order)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_bind(n.a, "10.0.0.1:9", 0);
    struct kit_end *b = bind_small(&n);
    for (uint32_t i = 0; i < 8; i++) {
        kit_send_number(b, i, "10.0.0.1:9");
    }
    const struct kirim_addr to = kit_addr("10.0.0.1:9");
    ck_assert_int_eq(kirim_endpoint_send_to(b->ep, "x", 1, &to), KIRIM_EWOULDBLOCK);
    net_run(&n);
    ck_assert_uint_eq(b->writable_count, 1);
    ck_assert_uint_eq(a->rx_count, 8);
    for (uint32_t i = 0; i < 8; i++) {
        ck_assert_uint_eq(a->rx[i].number, i);
        ck_assert_uint_eq(a->rx[i].time_ns, SECOND + 50 * US); /* the wait takes no time */
    }
    kit_close(&n.k);
}
END_TEST

START_TEST(empty_send_buffer_takes_anything)
{
    struct net n;
    net_open(&n);
    struct kit_end *b = bind_small(&n);
    ck_assert_int_eq(kit_try_send(b, KIRIM_PAYLOAD_IPV4_BYTES_MAX, "10.0.0.1:9", NULL), KIRIM_OK);
    ck_assert_int_eq(kit_try_send(b, 0, "10.0.0.1:9", NULL), KIRIM_EWOULDBLOCK);
    kit_close(&n.k);
}
END_TEST

START_TEST(blocked_endpoint_can_be_closed)
{
    struct net n;
    net_open(&n);
    struct kit_end *b = bind_small(&n);
    for (uint32_t i = 0; i < 8; i++) {
        kit_send_number(b, i, "10.0.0.1:9");
    }
    ck_assert_int_eq(kirim_endpoint_flush(b->ep), KIRIM_EWOULDBLOCK);
    kit_end_close(b);
    net_run(&n);
    ck_assert_uint_eq(b->closed_count, 1);
    ck_assert_uint_eq(kit_stats(&n.k).sent, 5);
    kit_close(&n.k);
}
END_TEST

/* ---- reports --------------------------------------------------------------------------------- */

START_TEST(connected_endpoint_hears_of_each_datagram_that_met_a_closed_port)
{
    const struct kirim_addr peer = kit_addr("10.0.0.2:9");
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_connect(n.a, NULL, "10.0.0.2:9");
    kit_send(a, "one", NULL);
    kit_send(a, "two", NULL);
    net_run(&n);
    ck_assert_uint_eq(a->failed_count, 2);
    ck_assert_uint_eq(a->event.kind, KIRIM_EVENT_PEER_ERROR);
    ck_assert_int_eq(a->event.err, KIRIM_ECONNRESET);
    ck_assert_uint_eq(a->event.path_mtu, 0);
    ck_assert(kirim_addr_equal(&a->event.peer, &peer));
    ck_assert_uint_eq(a->event_ns, SECOND + 100 * US);
    ck_assert_uint_eq(kit_stats(&n.k).no_port, 2);
    ck_assert_uint_eq(kit_stats(&n.k).reported, 2);
    kit_close(&n.k);
}
END_TEST

START_TEST(endpoint_works_on_after_a_report)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_connect(n.a, NULL, "10.0.0.2:9");
    kit_send(a, "one", NULL);
    net_run(&n);
    struct kit_end *b = kit_bind(n.b, "10.0.0.2:9", 0);
    b->on_received = kit_echo;
    kit_send(a, "two", NULL);
    net_run(&n);
    kit_expect(a, "two", "10.0.0.2:9");
    kit_close(&n.k);
}
END_TEST

START_TEST(report_stands_in_line_with_datagrams)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_connect(n.a, "10.0.0.1:1", "10.0.0.2:9");
    struct kit_end *b = kit_bind(n.b, "10.0.0.2:9", 0);
    kit_send(b, "before", "10.0.0.1:1");
    kit_send(a, "lost", NULL);
    kit_run(&n.k, 0);
    kit_end_close(b);
    net_run(&n);
    ck_assert_uint_eq(a->rx_count, 1);
    ck_assert_uint_eq(a->failed_count, 1);
    kit_close(&n.k);
}
END_TEST

START_TEST(unconnected_endpoint_hears_of_a_closed_port)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_bind(n.a, "0.0.0.0:1", 0);
    kit_send(a, "one", "10.0.0.2:9");
    net_run(&n);
    ck_assert_uint_eq(kit_stats(&n.k).no_port, 1);
    ck_assert_uint_eq(a->failed_count, 1);
    kit_close(&n.k);
}
END_TEST

START_TEST(endpoint_that_asks_for_no_reports_hears_of_its_peer_only)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_bind(n.a, "0.0.0.0:1", KIRIM_ENDPOINT_NO_ERROR_QUEUE);
    struct kit_end *b = kit_connect(n.a, NULL, "10.0.0.2:9");
    kit_send(a, "one", "10.0.0.2:9");
    kit_send(b, "two", NULL);
    net_run(&n);
    ck_assert_uint_eq(kit_stats(&n.k).no_port, 2);
    ck_assert_uint_eq(a->failed_count, 0);
    ck_assert_uint_eq(b->failed_count, 1);
    kit_close(&n.k);
}
END_TEST

START_TEST(report_does_not_pass_a_link_that_is_down)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct net n;
    net_open(&n);
    link.is_down = true;
    kit_link(&n.k, n.b, n.a, link);
    struct kit_end *a = kit_connect(n.a, NULL, "10.0.0.2:9");
    kit_send(a, "one", NULL);
    net_run(&n);
    ck_assert_uint_eq(a->failed_count, 0);
    kit_close(&n.k);
}
END_TEST

START_TEST(report_for_an_endpoint_that_is_gone_is_nobody_elses)
{
    struct net n;
    net_open(&n);
    struct kit_end *a = kit_connect(n.a, "10.0.0.1:1", "10.0.0.2:9");
    kit_send(a, "one", NULL);
    kit_run(&n.k, 60 * US);
    kit_end_close(a);
    struct kit_end *next = kit_connect(n.a, "10.0.0.1:1", "10.0.0.2:10");
    net_run(&n);
    ck_assert_uint_eq(next->failed_count, 0);
    ck_assert_uint_eq(kit_stats(&n.k).reported, 0);
    kit_close(&n.k);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { buffers_are_twice_what_was_asked_within_bounds, COUNT_OF(buffers) },
        { receive_buffer_overflows_as_that_of_linux, COUNT_OF(fits) },
        { empty_receive_buffer_takes_anything, 0 },
        { full_send_buffer_refuses_until_the_world_goes_on, 0 },
        { what_a_full_send_buffer_refused_leaves_later_and_in_order, 0 },
        { empty_send_buffer_takes_anything, 0 },
        { blocked_endpoint_can_be_closed, 0 },
        { connected_endpoint_hears_of_each_datagram_that_met_a_closed_port, 0 },
        { endpoint_works_on_after_a_report, 0 },
        { report_stands_in_line_with_datagrams, 0 },
        { unconnected_endpoint_hears_of_a_closed_port, 0 },
        { endpoint_that_asks_for_no_reports_hears_of_its_peer_only, 0 },
        { report_does_not_pass_a_link_that_is_down, 0 },
        { report_for_an_endpoint_that_is_gone_is_nobody_elses, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_buffer", claims);
}
