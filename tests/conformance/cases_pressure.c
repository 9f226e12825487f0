/* SPDX-License-Identifier: MIT
 *
 * Back-pressure: the bound of the queue in datagrams and in bytes, `writable`, and that nothing is
 * kept of a refused send (S46).
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

static uint8_t bytes[5000];

static struct ks_node *open_bounded(struct ks *t, uint32_t count, uint32_t queue_bytes)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.queue_count_max = count;
    options.queue_bytes_max = queue_bytes;
    return ks_node_with(t, &options);
}

static void count_bound_is_exact(struct ks *t)
{
    static const uint32_t bounds[] = { 1, 2, 7, 64, 65, 1024 };
    struct ks_node *b = ks_node(t);
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        struct ks_node *a = open_bounded(t, bounds[i] == 1024 ? 0 : bounds[i], 0);
        struct ks_op *o = ks_op(t, 0);
        ks_spy_block(t);
        for (uint32_t n = 0; n < bounds[i]; n++) {
            KS_OK(ks_send(a, bytes, 1, &b->addr, NULL));
            if (n % 50 == 0) {
                ks_turn(t);
            }
        }
        KS_ERR(KIRIM_EWOULDBLOCK, ks_send(a, bytes, 1, &b->addr, NULL));
        KS_ERR(KIRIM_EWOULDBLOCK, ks_send(a, bytes, 1, &b->addr, o));
        KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_send_to(a->ep, bytes, 1, &b->addr));
        KS_CHECK(!kirim_op_is_pending(&o->op));
        KS_EQ(bounds[i], kirim_endpoint_queued_count(a->ep));
        KS_EQ(bounds[i], ks_stats(a).tx_queued);
        KS_EQ(3, ks_stats(a).tx_refused);
        KS_EQ(0, a->writable_count);
        KS_OK(kirim_endpoint_discard(a->ep, NULL));
        ks_spy_unblock(t);
        ks_node_close_and_wait(a);
    }
}

static void byte_bound_is_exact(struct ks *t)
{
    struct ks_node *a = open_bounded(t, 0, 3000);
    struct ks_node *b = ks_node(t);
    ks_spy_block(t);
    KS_OK(ks_send(a, bytes, 1000, &b->addr, NULL));
    KS_OK(ks_send(a, bytes, 1999, &b->addr, NULL));
    KS_ERR(KIRIM_EWOULDBLOCK, ks_send(a, bytes, 2, &b->addr, NULL));
    KS_OK(ks_send(a, bytes, 1, &b->addr, NULL));
    KS_ERR(KIRIM_EWOULDBLOCK, ks_send(a, bytes, 1, &b->addr, NULL));
    KS_OK(ks_send(a, bytes, 0, &b->addr, NULL)); /* holds no byte */
    /* Borrowed bytes are the caller's memory. */
    KS_ERR(KIRIM_PENDING, ks_send(a, bytes, 4000, &b->addr, ks_op(t, 0)));
    KS_EQ(0, a->writable_count);
    ks_spy_unblock(t);
    KS_EXPECT(b, bytes, 1000);
    KS_EXPECT(b, bytes, 1999);
    KS_EXPECT(b, bytes, 1);
    KS_EXPECT(b, bytes, 0);
    KS_EXPECT(b, bytes, 4000);
    KS_UNTIL(t, a->writable_count == 1);
    KS_OK(ks_send(a, bytes, 3000, &b->addr, NULL));
    KS_EXPECT(b, bytes, 3000);
    KS_OK(ks_send(a, bytes, 4000, &b->addr, NULL)); /* an empty queue takes any datagram */
    KS_EXPECT(b, bytes, 4000);
}

/* Bytes that were dropped hold nothing any more, whichever way they went. */
static void dropped_bytes_make_room(struct ks *t)
{
    struct ks_node *a = open_bounded(t, 0, 3000);
    struct ks_node *b = ks_node(t);
    for (int round = 0; round < 3; round++) {
        ks_spy_block(t);
        KS_OK(ks_send(a, bytes, 2000, &b->addr, NULL));
        KS_ERR(KIRIM_EWOULDBLOCK, ks_send(a, bytes, 1001, &b->addr, NULL));
        KS_OK(ks_send(a, bytes, 1000, &b->addr, NULL));
        ks_turn(t);
        if (round == 0) {
            KS_OK(kirim_endpoint_discard(a->ep, NULL));
        } else if (round == 1) {
            ks_spy_refuse(t, KIRIM_ENOBUFS, 105, 0, 2);
            ks_spy_unblock(t);
            KS_UNTIL(t, a->failed_count == 2);
        } else {
            ks_spy_unblock(t);
            KS_EXPECT(b, bytes, 2000);
            KS_EXPECT(b, bytes, 1000);
        }
    }
    ks_spy_unblock(t);
    KS_EXPECT_END(b, a);
}

static void writable_comes_once(struct ks *t)
{
    struct ks_node *a = open_bounded(t, 4, 0);
    struct ks_node *b = ks_node(t);
    uint32_t number = 0;
    for (size_t round = 1; round <= 3; round++) {
        ks_spy_block(t);
        for (int i = 0; i < 4; i++, number++) {
            ks_send_number(a, number, &b->addr);
        }
        for (int i = 0; i < 3; i++) {
            KS_ERR(KIRIM_EWOULDBLOCK, ks_send(a, "refused", 7, &b->addr, NULL));
            ks_turn(t);
        }
        KS_EQ(round - 1, a->writable_count);
        ks_spy_unblock(t);
        KS_UNTIL(t, a->writable_count == round);
        for (int i = 0; i < 3; i++) {
            ks_turn(t);
        }
        KS_EQ(round, a->writable_count);
    }
    KS_EXPECT_NUMBERS(b, 0, number);
    KS_EXPECT_END(b, a);
}

static void writable_needs_a_refusal(struct ks *t)
{
    struct ks_node *a = open_bounded(t, 4, 0);
    struct ks_node *b = ks_node(t);
    ks_spy_block(t);
    for (uint32_t i = 0; i < 4; i++) {
        ks_send_number(a, i, &b->addr);
        ks_turn(t);
    }
    ks_spy_unblock(t);
    KS_EXPECT_NUMBERS(b, 0, 4);
    ks_settle(t);
    KS_EQ(0, a->writable_count);
}

static void send_more(struct ks_node *n)
{
    const struct ks_node *to = n->ctx;
    uint32_t number = (uint32_t)n->last_stats.tx_bytes;
    while (number < 100) {
        uint8_t payload[KS_NUMBER_BYTES];
        ks_number(payload, number);
        const kirim_err err = kirim_endpoint_send_to(n->ep, payload, sizeof payload, &to->addr);
        if (err == KIRIM_EWOULDBLOCK) {
            break;
        }
        KS_OK(err);
        number++;
    }
    n->last_stats.tx_bytes = number; /* where this test keeps its place */
}

/* The way a program sends as fast as it may: until it is refused, and again when it is told. */
static void writable_drives_a_sender(struct ks *t)
{
    struct ks_node *a = open_bounded(t, 8, 0);
    struct ks_node *b = ks_node(t);
    a->ctx = b;
    a->on_writable = send_more;
    send_more(a);
    KS_EXPECT_NUMBERS(b, 0, 100);
    KS_CHECK(a->writable_count >= 5);
}

static void room_after_discard_is_told(struct ks *t)
{
    struct ks_node *a = open_bounded(t, 2, 0);
    struct ks_node *b = ks_node(t);
    ks_spy_block(t);
    ks_send_number(a, 1, &b->addr);
    ks_send_number(a, 2, &b->addr);
    KS_ERR(KIRIM_EWOULDBLOCK, ks_send(a, "x", 1, &b->addr, NULL));
    ks_turn(t);
    KS_OK(kirim_endpoint_discard(a->ep, NULL));
    ks_spy_unblock(t);
    KS_UNTIL(t, a->writable_count == 1);
    KS_EXPECT_END(b, a);
}

static void one_full_endpoint_holds_up_no_other(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *c = ks_node(t);
    ks_spy_block(t);
    ks_send_number(a, 1, &c->addr);
    ks_turn(t);
    ks_spy_strand(t); /* a stays blocked */
    for (uint32_t i = 0; i < 10; i++) {
        ks_send_number(b, i, &c->addr);
    }
    KS_EXPECT_NUMBERS(c, 0, 10);
    KS_EQ(1, kirim_endpoint_queued_count(a->ep));
    KS_OK(kirim_endpoint_discard(a->ep, NULL));
}

static void bounds_are_checked(struct ks *t)
{
    struct ks_node *n = NULL;
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.queue_count_max = 65537;
    KS_ERR(KIRIM_EINVAL, ks_node_try(t, &options, &n));
    options.queue_count_max = 65536;
    KS_OK(ks_node_try(t, &options, &n));
    options.queue_count_max = 0;
    options.datagram_bytes_max = 65536;
    KS_ERR(KIRIM_EINVAL, ks_node_try(t, &options, &n));
}

static const struct kc_case cases[] = {
    KC("queue_takes_n_datagrams_and_not_one_more", "S46", count_bound_is_exact, KC_SPY, KC_SPIED),
    KC("queue_takes_n_bytes_and_not_one_more", "S46", byte_bound_is_exact, KC_SPY, KC_SPIED),
    KC("dropped_bytes_make_room", "S46", dropped_bytes_make_room, KC_SPY, KC_SPIED),
    KC("writable_comes_once_for_each_refusal_at_the_bound", "S46", writable_comes_once, KC_SPY,
       KC_SPIED),
    KC("writable_needs_a_refusal", "S46", writable_needs_a_refusal, KC_SPY, KC_SPIED),
    KC("writable_drives_a_sender", "S46 S21", writable_drives_a_sender, KC_LIVE, 0),
    KC("room_after_a_discard_is_told", "S46 S27", room_after_discard_is_told, KC_SPY, KC_SPIED),
    KC("full_endpoint_holds_up_no_other", "", one_full_endpoint_holds_up_no_other, KC_SPY,
       KC_SPIED),
    KC("bounds_out_of_range_are_refused", "", bounds_are_checked, KC_CHECKED, 0),
};

const struct kc_subject kc_pressure = KC_SUBJECT("pressure", cases);
