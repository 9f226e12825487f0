/* SPDX-License-Identifier: MIT
 *
 * The two modes of the send primitive: queued, and NOW (S13, S15, S16, S46).
 */
#include "conformance.h"
#include "support/ks_spy.h"

static uint8_t bytes[1000];

static kirim_err send_in(struct ks_node *a, struct ks_node *b, uint32_t mode, uint32_t number)
{
    uint8_t payload[KS_NUMBER_BYTES];
    const struct kirim_buf one = { payload, sizeof payload };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, 0 };
    ks_number(payload, number);
    return ks_post_msg(a, &msg, mode, NULL);
}

static void now_leaves_inside_the_call(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { bytes, 10 };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, 0 };
    KS_OK(ks_post_msg(a, &msg, KIRIM_SEND_NOW, NULL));
    KS_EQ(1, ks_stats(a).tx_datagrams);
    KS_EQ(0, kirim_endpoint_queued_count(a->ep));
    KS_CHECK(ks_post_msg(a, &msg, KIRIM_SEND_NOW, ks_op(t, 0)) >= 0);
    KS_EQ(2, t->spy->seen_count);
    KS_EXPECT(b, bytes, 10);
    KS_EXPECT(b, bytes, 10);
}

static void now_goes_behind_what_is_queued(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (uint32_t i = 0; i < 3; i++) {
        KS_OK(send_in(a, b, 0, i));
    }
    KS_OK(send_in(a, b, KIRIM_SEND_NOW, 3));
    KS_EQ(4, ks_stats(a).tx_datagrams);
    KS_OK(send_in(a, b, 0, 4));
    KS_OK(send_in(a, b, KIRIM_SEND_NOW, 5));
    KS_EXPECT_NUMBERS(b, 0, 6);
}

static void now_on_a_full_system_keeps_nothing(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    ks_spy_block(t);
    for (int i = 0; i < 3; i++) {
        KS_ERR(KIRIM_EWOULDBLOCK, send_in(a, b, KIRIM_SEND_NOW, 99));
        KS_EQ(0, kirim_endpoint_queued_count(a->ep));
        ks_turn(t);
    }
    KS_EQ(0, ks_stats(a).tx_accepted);
    ks_spy_unblock(t);
    KS_EXPECT_END(b, a);
    KS_OK(send_in(a, b, KIRIM_SEND_NOW, 1));
    KS_EXPECT_NUMBERS(b, 1, 1);
    KS_EQ(0, a->failed_count);
}

static void now_does_not_overtake_what_is_stuck(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (uint32_t i = 0; i < 4; i++) {
        KS_OK(send_in(a, b, 0, i));
    }
    ks_spy_set_room(t, 2);
    KS_ERR(KIRIM_EWOULDBLOCK, send_in(a, b, KIRIM_SEND_NOW, 99));
    KS_EQ(2, kirim_endpoint_queued_count(a->ep));
    ks_spy_set_room(t, 1); /* room, but less than what is queued */
    ks_turn(t);
    KS_ERR(KIRIM_EWOULDBLOCK, send_in(a, b, KIRIM_SEND_NOW, 99));
    ks_spy_unblock(t);
    KS_EXPECT_NUMBERS(b, 0, 4);
    KS_EXPECT_END(b, a);
}

static void now_with_an_operation_waits(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    const struct kirim_buf one = { bytes, 10 };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, 0 };
    KS_OK(send_in(a, b, 0, 0));
    ks_spy_block(t);
    KS_ERR(KIRIM_PENDING, ks_post_msg(a, &msg, KIRIM_SEND_NOW, o));
    KS_EQ(2, kirim_endpoint_queued_count(a->ep));
    ks_turn(t);
    KS_EQ(0, o->done_count);
    ks_spy_unblock(t);
    KS_EXPECT_NUMBERS(b, 0, 1);
    KS_EXPECT(b, bytes, 10);
    KS_UNTIL(t, o->done_count == 1);
    KS_OK(o->err);
    KS_EQ(10, o->sent_bytes);
}

static void now_gives_the_systems_answer(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    const struct kirim_buf one = { bytes, 10 };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, 0 };
    ks_spy_refuse(t, KIRIM_ENETDOWN, 100, 0, 1);
    KS_ERR(KIRIM_ENETDOWN, ks_post_msg(a, &msg, KIRIM_SEND_NOW, NULL));
    ks_spy_refuse(t, KIRIM_ENOBUFS, 105, 0, 1);
    KS_ERR(KIRIM_ENOBUFS, ks_post_msg(a, &msg, KIRIM_SEND_NOW, o));
    KS_CHECK(!kirim_op_is_pending(&o->op));
    ks_settle(t);
    KS_EQ(0, o->done_count);
    KS_EQ(0, a->failed_count); /* whoever asked has the answer */
    KS_EQ(0, kirim_endpoint_queued_count(a->ep));
    KS_CHECK(ks_post_msg(a, &msg, KIRIM_SEND_NOW, o) >= 0); /* the operation is idle */
    KS_EXPECT(b, bytes, 10);
    KS_UNTIL(t, o->done_count == 1);
}

static void refused_before_now_is_told_as_lost(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    KS_OK(send_in(a, b, 0, 1));
    KS_OK(send_in(a, b, 0, 2));
    ks_spy_refuse(t, KIRIM_ENETDOWN, 100, 0, 1);
    KS_OK(send_in(a, b, KIRIM_SEND_NOW, 3)); /* its own answer, not that of number 1 */
    KS_EQ(0, a->failed_count);
    KS_UNTIL(t, a->failed_count == 1);
    KS_ERR(KIRIM_ENETDOWN, a->event.err);
    KS_EXPECT_NUMBERS(b, 2, 2);
    KS_EXPECT_END(b, a);
}

/* A network with a send buffer that fills as long as no time passes. */
static void now_fills_the_system(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const uint64_t now_ns = kirim_loop_now(t->loop);
    uint32_t number = 0;
    kirim_err err = KIRIM_OK;
    while (number < 100000) {
        err = send_in(a, b, KIRIM_SEND_NOW, number);
        if (err != KIRIM_OK) {
            break;
        }
        number++;
    }
    KS_ERR(KIRIM_EWOULDBLOCK, err);
    KS_EQ(0, kirim_endpoint_queued_count(a->ep));
    KS_EQ(number, ks_stats(a).tx_datagrams);
    KS_CHECK(kirim_loop_now(t->loop) == now_ns);
    KS_UNTIL(t, a->writable_count == 1);
    KS_OK(send_in(a, b, KIRIM_SEND_NOW, 7));
}

/* Not a row: what makes queueing worth it. */
static void queued_leaves_in_batches(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (uint32_t i = 0; i < 64; i++) {
        KS_OK(send_in(a, b, 0, i));
    }
    ks_settle(t);
    KS_EQ(64, ks_stats(a).tx_datagrams);
    KS_CHECK(t->spy->submit_count <= 2);
    if ((t->caps & KIRIM_CAP_BATCHES) != 0) {
        KS_CHECK(ks_stats(a).tx_calls <= 4);
    }
    KS_EXPECT_NUMBERS(b, 0, 64);
}

static void queued_leaves_without_a_flush(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    KS_EQ(KIRIM_NEVER, kirim_loop_deadline(t->loop));
    KS_OK(send_in(a, b, 0, 1));
    KS_EQ(0, kirim_loop_deadline(t->loop)); /* the next turn is due now */
    KS_EQ(1, kirim_endpoint_queued_count(a->ep));
    ks_turn(t);
    KS_EQ(1, ks_stats(a).tx_datagrams);
    KS_EQ(0, kirim_endpoint_queued_count(a->ep));
    KS_EXPECT_NUMBERS(b, 1, 1);
}

static void flush_submits_inside_the_call(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    KS_OK(kirim_endpoint_flush(a->ep));
    for (uint32_t i = 0; i < 100; i++) {
        KS_OK(send_in(a, b, 0, i));
    }
    KS_OK(kirim_endpoint_flush(a->ep));
    KS_EQ(100, ks_stats(a).tx_datagrams);
    KS_EQ(0, kirim_endpoint_queued_count(a->ep));
    KS_OK(send_in(a, b, 0, 100));
    ks_spy_block(t);
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_flush(a->ep));
    KS_EQ(1, kirim_endpoint_queued_count(a->ep));
    ks_spy_unblock(t);
    KS_EXPECT_NUMBERS(b, 0, 101);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_flush(NULL));
}

static const struct kc_case cases[] = {
    KC("now_leaves_inside_the_call", "S13 S21", now_leaves_inside_the_call, KC_LIVE, KC_SPIED),
    KC("now_goes_behind_what_is_queued", "S13 S24", now_goes_behind_what_is_queued, KC_LIVE, 0),
    KC("now_on_a_full_system_keeps_nothing", "S16 S46 S29", now_on_a_full_system_keeps_nothing,
       KC_SPY, KC_SPIED),
    KC("now_does_not_overtake_what_is_stuck", "S16 S24 S46", now_does_not_overtake_what_is_stuck,
       KC_SPY, KC_SPIED),
    KC("now_with_an_operation_waits", "S15 S46 S48", now_with_an_operation_waits, KC_SPY, KC_SPIED),
    KC("now_gives_the_systems_answer_and_keeps_nothing", "S13 S37 S40",
       now_gives_the_systems_answer, KC_SPY, KC_SPIED),
    KC("refusal_of_the_queued_is_not_the_answer_of_now", "S13", refused_before_now_is_told_as_lost,
       KC_SPY, KC_SPIED),
    { .name = "now_fills_the_system_and_is_told_of_room",
      .rows = "S16 S46",
      .run = now_fills_the_system,
      .kind = KC_LIVE,
      .flags = KC_EXTRA,
      .caps = KIRIM_CAP_VIRTUAL_TIME },
    KC("queued_datagrams_leave_in_batches", "", queued_leaves_in_batches, KC_LIVE, KC_SPIED),
    KC("queued_datagrams_leave_with_the_turn", "S13", queued_leaves_without_a_flush, KC_LIVE, 0),
    KC("flush_submits_inside_the_call", "", flush_submits_inside_the_call, KC_LIVE, KC_SPIED),
};

const struct kc_subject kc_mode = KC_SUBJECT("mode", cases);
