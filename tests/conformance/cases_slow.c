/* SPDX-License-Identifier: MIT
 *
 * A network that is really full: a loopback behind a token bucket (S16, S24, S26, S45, S46). There
 * is nothing else, so that no route leads anywhere (S39).
 *
 * What is sent stays charged to the socket until the bucket lets it go, so a small send buffer is
 * full after a few datagrams and has room again some milliseconds later.
 */
#include "conformance.h"
#include "slow.h"

enum {
    DATAGRAM_BYTES = 1400, /* 3.5 ms for each */
    SEND_BUFFER_BYTES = 16384,
    MANY = 120 /* more than any reactor leaves to the system at once */
};

static uint8_t bytes[DATAGRAM_BYTES];

/* A sender that is soon full, and whom it sends to. */
static struct ks_node *open_slow(struct ks *t, struct ks_node **to)
{
    kc_slow_enter();
    ks_open(t);
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    *to = ks_node(t);
    options.send_buffer_bytes = SEND_BUFFER_BYTES;
    return ks_node_with(t, &options);
}

static kirim_err send_numbered(struct ks_node *a, const struct ks_node *b, uint32_t mode,
                               uint32_t number)
{
    uint8_t head[KS_NUMBER_BYTES];
    const struct kirim_buf list[2] = { { head, sizeof head },
                                       { bytes, sizeof bytes - sizeof head } };
    const struct kirim_msg msg = { list, &b->addr, NULL, 2, 0 };
    ks_number(head, number);
    return ks_post_msg(a, &msg, mode, NULL);
}

/* Sends with NOW until the system is full; returns how many it took. */
static uint32_t fill(struct ks_node *a, const struct ks_node *b)
{
    uint32_t number = 0;
    kirim_err err = KIRIM_OK;
    while (err == KIRIM_OK) {
        KS_CHECK(number < 1000);
        err = send_numbered(a, b, KIRIM_SEND_NOW, number);
        number += err == KIRIM_OK;
    }
    KS_ERR(KIRIM_EWOULDBLOCK, err);
    KS_CHECK(number > 0);
    return number;
}

static void expect_all(struct ks *t, const struct ks_node *b, uint32_t count)
{
    KS_UNTIL(t, b->rx_count >= count);
    KS_EQ(count, b->rx_count);
    for (uint32_t i = 0; i < count; i++) {
        KS_EQ(i, ks_rx_number(&b->rx[i]));
        KS_EQ(DATAGRAM_BYTES, b->rx[i].bytes);
    }
}

static void now_keeps_nothing(struct ks *t)
{
    struct ks_node *b;
    struct ks_node *a = open_slow(t, &b);
    const uint32_t count = fill(a, b);
    KS_EQ(0, kirim_endpoint_queued_count(a->ep));
    KS_EQ(count, ks_stats(a).tx_datagrams);
    KS_UNTIL(t, a->writable_count == 1);
    KS_OK(send_numbered(a, b, KIRIM_SEND_NOW, count));
    expect_all(t, b, count + 1);
    KS_EQ(0, a->failed_count);
}

static void queue_drains_in_order(struct ks *t)
{
    struct ks_node *b;
    struct ks_node *a = open_slow(t, &b);
    for (uint32_t i = 0; i < MANY; i++) {
        KS_OK(send_numbered(a, b, 0, i));
    }
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_flush(a->ep));
    KS_CHECK(kirim_endpoint_queued_count(a->ep) > 0);
    KS_ERR(KIRIM_EWOULDBLOCK, send_numbered(a, b, KIRIM_SEND_NOW, 99));
    expect_all(t, b, MANY);
    KS_CHECK(ks_stats(a).tx_blocked >= 1);
    KS_EQ(0, a->failed_count);
}

static void deadline_passes(struct ks *t)
{
    struct ks_node *b;
    struct ks_node *a = open_slow(t, &b);
    struct ks_op *late = ks_op(t, 'l');
    struct ks_op *patient = ks_op(t, 'p');
    const uint32_t count = fill(a, b);
    late->op.deadline_ns = kirim_loop_now(t->loop) + 100000;
    for (uint32_t i = 0; i < 20; i++) { /* so that its turn does not come before its deadline */
        KS_OK(send_numbered(a, b, 0, count + i));
    }
    KS_ERR(KIRIM_PENDING, ks_send(a, bytes, 1, &b->addr, late));
    KS_ERR(KIRIM_PENDING, ks_send(a, bytes, 2, &b->addr, patient));
    KS_UNTIL(t, patient->done_count == 1);
    KS_TRACE(t, "lp");
    KS_ERR(KIRIM_ETIMEDOUT, late->err);
    KS_OK(patient->err);
    KS_CHECK(late->done_at_ns >= late->op.deadline_ns);
    KS_UNTIL(t, b->rx_count == count + 21);
    KS_EQ(2, b->rx[b->rx_count - 1].bytes);
}

/* Datagrams are told apart by their lengths. */
static void cancel_is_exact(struct ks *t)
{
    enum { SHORTEST = DATAGRAM_BYTES - MANY };
    struct ks_node *b;
    struct ks_node *a = open_slow(t, &b);
    struct ks_op *ops[MANY];
    size_t next = fill(a, b);
    for (size_t i = 0; i < MANY; i++) {
        ops[i] = ks_op(t, 0);
        KS_ERR(KIRIM_PENDING, ks_send(a, bytes, SHORTEST + i, &b->addr, ops[i]));
    }
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_flush(a->ep));
    for (size_t i = 2; i < MANY; i += 3) {
        KS_OK(kirim_op_cancel(&ops[i]->op));
    }
    for (size_t i = 0; i < MANY; i++) {
        KS_UNTIL(t, ops[i]->done_count == 1);
    }
    KS_OK(kirim_endpoint_send_to(a->ep, "z", 1, &b->addr));
    KS_UNTIL(t, b->rx_count > 0 && b->rx[b->rx_count - 1].bytes == 1);
    for (size_t i = 0; i < MANY; i++) {
        KS_CHECK(ops[i]->err == KIRIM_OK || (ops[i]->err == KIRIM_EABORTED && i % 3 == 2));
        if (ops[i]->err == KIRIM_OK) {
            KS_EQ(SHORTEST + i, b->rx[next].bytes);
            next++;
        }
    }
    KS_EQ(next + 1, b->rx_count);
    KS_CHECK(ks_stats(a).drops[KIRIM_DROP_CANCELLED] > 0);
}

static void close_aborts(struct ks *t)
{
    struct ks_node *b;
    struct ks_node *a = open_slow(t, &b);
    struct ks_op *ops[120];
    size_t sent = 0;
    for (int i = 0; i < 120; i++) {
        ops[i] = ks_op(t, 0);
        KS_ERR(KIRIM_PENDING, ks_send(a, bytes, sizeof bytes, &b->addr, ops[i]));
    }
    ks_node_close_and_wait(a);
    for (int i = 0; i < 120; i++) {
        KS_EQ(1, ops[i]->done_count);
        KS_CHECK(ops[i]->err == KIRIM_OK || ops[i]->err == KIRIM_EABORTED);
        KS_CHECK(ops[i]->err == KIRIM_EABORTED || sent == (size_t)i);
        sent += ops[i]->err == KIRIM_OK;
    }
    KS_CHECK(sent > 0 && sent < 120);
    KS_EQ(120 - sent, a->last_stats.drops[KIRIM_DROP_CLOSED]);
    KS_UNTIL(t, b->rx_count == sent);
}

static void no_route_is_told(struct ks *t)
{
    static const uint8_t v4[4] = { 192, 0, 2, 1 };
    static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
    const struct kirim_addr to =
        t->family == KIRIM_IPV4 ? kirim_addr_ipv4(v4, 9) : kirim_addr_ipv6(v6, 9, 0);
    kc_slow_enter();
    ks_open(t);
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_wildcard(t->family, 0);
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_op *o = ks_op(t, 0);
    t->mode = KIRIM_SEND_NOW;
    KS_ERR(KIRIM_ENETUNREACH, ks_send(a, "x", 1, &to, NULL));
    t->mode = 0;
    KS_OK(ks_send(a, "x", 1, &to, NULL));
    KS_ERR(KIRIM_PENDING, ks_send(a, "x", 1, &to, o));
    KS_UNTIL(t, a->failed_count == 1 && o->done_count == 1);
    KS_ERR(KIRIM_ENETUNREACH, o->err);
    KS_ERR(KIRIM_ENETUNREACH, a->event.err);
    KS_EQ(KIRIM_DROP_UNREACHABLE, a->event.drop_reason);
    KS_CHECK(kirim_addr_equal(&to, &a->event.peer));
    options = ks_endpoint_options(t);
    options.local = (struct kirim_addr){ { 0, 0, 0 } };
    options.peer = to;
    struct ks_node *n = NULL;
    KS_ERR(KIRIM_ENETUNREACH, ks_node_try(t, &options, &n));
}

#define SLOW(claim, cites, function)                                               \
    {                                                                              \
        .name = (claim), .rows = (cites), .run = (function), .kind = KC_LIVE,      \
        .flags = KC_UNOPENED | KC_SYSTEM | KC_EXTRA, .obstacle = kc_slow_obstacle, \
    }

static const struct kc_case cases[] = {
    SLOW("now_on_a_full_network_keeps_nothing", "S16 S46", now_keeps_nothing),
    SLOW("queue_drains_into_a_slow_network_in_order", "S24 S46", queue_drains_in_order),
    SLOW("deadline_passes_on_a_full_network", "S45 S28", deadline_passes),
    SLOW("cancel_on_a_full_network_stops_what_it_says", "S24 S49", cancel_is_exact),
    SLOW("close_on_a_full_network_aborts_the_rest", "S26 S49", close_aborts),
    SLOW("no_route_is_unreachable", "S39", no_route_is_told),
};

const struct kc_subject kc_slow = KC_SUBJECT("slow", cases);
