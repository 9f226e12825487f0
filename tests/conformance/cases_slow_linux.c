/* SPDX-License-Identifier: MIT
 *
 * A network that is really full: a loopback behind a token bucket, in a namespace of its own (S16,
 * S24, S26, S45, S46).
 *
 * What is sent stays charged to the socket until the bucket lets it go, so a small send buffer is
 * full after a few datagrams and has room again some milliseconds later.
 */
#include "conformance.h"
#include "namespace.h"

enum {
    DATAGRAM_BYTES = 1400,
    BYTES_PER_SECOND = 400000, /* 3.5 ms for each datagram */
    SEND_BUFFER_BYTES = 16384
};

static uint8_t bytes[DATAGRAM_BYTES];

/* A sender that is soon full, and whom it sends to. */
static struct ks_node *open_slow(struct ks *t, struct ks_node **to)
{
    kc_namespace_enter();
    kc_namespace_slow_down(BYTES_PER_SECOND);
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
    for (uint32_t i = 0; i < 60; i++) {
        KS_OK(send_numbered(a, b, 0, i));
    }
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_flush(a->ep));
    KS_CHECK(kirim_endpoint_queued_count(a->ep) > 0);
    KS_ERR(KIRIM_EWOULDBLOCK, send_numbered(a, b, KIRIM_SEND_NOW, 99));
    expect_all(t, b, 60);
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

#define SLOW(claim, cites, function)                                                       \
    {                                                                                      \
        .name = (claim), .rows = (cites), .run = (function), .kind = KC_LIVE,              \
        .flags = KC_UNOPENED | KC_SYSTEM | KC_EXTRA, .obstacle = kc_slow_network_obstacle, \
    }

static const struct kc_case cases[] = {
    SLOW("now_on_a_full_network_keeps_nothing", "S16 S46", now_keeps_nothing),
    SLOW("queue_drains_into_a_slow_network_in_order", "S24 S46", queue_drains_in_order),
    SLOW("deadline_passes_on_a_full_network", "S45 S28", deadline_passes),
    SLOW("close_on_a_full_network_aborts_the_rest", "S26 S49", close_aborts),
};

const struct kc_subject kc_slow = KC_SUBJECT("slow", cases);
