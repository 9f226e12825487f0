/* SPDX-License-Identifier: MIT
 *
 * Sends that stay in flight, as a completion reactor leaves them: played by the spy on every
 * reactor (S15, S24, S26, S50, S52).
 *
 * The spy checks for each send that the bytes, the array and the control data stood unchanged until
 * it ended.
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

static uint8_t bytes[4096];

static void ends_when_the_system_says(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    t->spy->is_late = true;
    KS_ERR(KIRIM_PENDING, ks_send(a, bytes, 100, &b->addr, o));
    KS_EXPECT(b, bytes, 100); /* it has arrived, and is in flight all the same */
    KS_EQ(0, o->done_count);
    KS_EQ(1, kirim_endpoint_queued_count(a->ep));
    KS_ERR(KIRIM_EINVAL, ks_send(a, bytes, 1, &b->addr, o));
    ks_spy_land(t, 1);
    KS_UNTIL(t, o->done_count == 1);
    KS_OK(o->err);
    KS_EQ(100, o->sent_bytes);
    KS_EQ(0, kirim_endpoint_queued_count(a->ep));
}

static void now_in_flight(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    t->spy->is_late = true;
    t->mode = KIRIM_SEND_NOW;
    KS_ERR(KIRIM_PENDING,
           ks_send(a, bytes, 100, &b->addr, o)); /* and no count, which ks_send() checks */
    KS_ERR(KIRIM_EWOULDBLOCK, ks_send(a, bytes, 50, &b->addr, NULL)); /* it would overtake */
    ks_spy_land(t, 1);
    KS_UNTIL(t, o->done_count == 1);
    KS_OK(o->err);
    KS_EXPECT(b, bytes, 100);
    KS_OK(ks_send(a, bytes, 50, &b->addr, NULL)); /* now or not at all: not in flight */
    KS_EQ(1, t->spy->flight_total);
    KS_CHECK((t->spy->seen[1].tx_flags & KI_TX_NOW) != 0);
    KS_EXPECT(b, bytes, 50);
}

/* Everything that has to be kept is kept, while more is posted and the queue grows. */
static void bytes_are_kept(struct ks *t)
{
    enum { COUNT = 600 };
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    t->spy->is_late = true;
    t->spy->is_landing_last_first = t->arg != 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        uint8_t head[KS_NUMBER_BYTES];
        uint8_t body[60];
        struct kirim_control control = KIRIM_CONTROL_INIT;
        control.tag = i;
        ks_number(head, i);
        ks_fill(body, sizeof body, i);
        const struct kirim_buf list[2] = { { head, sizeof head }, { body, i % 60 } };
        const struct kirim_msg msg = { list, &b->addr, i % 3 == 0 ? &control : NULL, 2, 0 };
        KS_OK(ks_post_msg(a, &msg, 0, NULL));
        memset(head, 0xee, sizeof head);
        memset(body, 0xee, sizeof body);
        if (i % 10 == 9) {
            (void)kirim_endpoint_flush(a->ep);
            ks_spy_land(t, i % 7);
            ks_turn(t);
        }
    }
    KS_CHECK(t->spy->flight_count > 100);
    ks_spy_land(t, KS_SPY_NO_LIMIT);
    ks_settle(t);
    KS_EQ(COUNT, b->rx_count);
    KS_EQ(COUNT, ks_stats(a).tx_datagrams);
    for (uint32_t i = 0; i < COUNT; i++) {
        KS_EQ(i, ks_rx_number(&b->rx[i]));
    }
}

/* Callbacks in any order, each once. */
static void operations_end_in_any_order(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *ops[20];
    t->spy->is_late = true;
    t->spy->is_landing_last_first = true;
    for (int i = 0; i < 20; i++) {
        ops[i] = ks_op(t, 0);
        KS_ERR(KIRIM_PENDING, ks_send(a, bytes, (size_t)i, &b->addr, ops[i]));
    }
    ks_turn(t);
    for (int landed = 1; landed <= 20; landed++) {
        ks_spy_land(t, 1);
        KS_UNTIL(t, ops[20 - landed]->done_count == 1);
        KS_OK(ops[20 - landed]->err);
        KS_EQ(20 - landed, ops[20 - landed]->sent_bytes);
    }
    KS_EQ(0, kirim_endpoint_queued_count(a->ep));
    KS_EQ(20, ks_stats(a).ops_done);
}

static void late_failure_is_told(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    t->spy->is_late = true;
    t->spy->late_err = KIRIM_ENETDOWN;
    t->spy->late_err_at = 1;
    KS_ERR(KIRIM_PENDING, ks_send(a, "1", 1, &b->addr, o));
    ks_turn(t);
    ks_spy_land(t, KS_SPY_NO_LIMIT);
    KS_UNTIL(t, o->done_count == 1);
    KS_ERR(KIRIM_ENETDOWN, o->err);
    KS_EQ(0, a->failed_count);
    t->spy->late_err_at = 2;
    KS_OK(ks_send(a, "2", 1, &b->addr, NULL));
    KS_UNTIL(t, a->failed_count == 1);
    KS_EQ(KIRIM_EVENT_SEND_FAILED, a->event.kind);
    KS_ERR(KIRIM_ENETDOWN, a->event.err);
    KS_EQ(KIRIM_DROP_UNREACHABLE, a->event.drop_reason);
    KS_CHECK(kirim_addr_equal(&b->addr, &a->event.peer));
    KS_EQ(2, ks_stats(a).drops[KIRIM_DROP_UNREACHABLE]);
    KS_EXPECT_END(b, a);
}

/* Refused late for somebody else's error: sent again only if nothing later has been submitted. */
static void late_refusal_is_resent_if_it_is_last(struct ks *t)
{
    struct ks_node *b = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    t->spy->is_late = true;
    t->spy->late_err = KIRIM_ECONNRESET;
    t->spy->late_err_at = 2;
    ks_send_number(a, 1, NULL);
    ks_send_number(a, 2, NULL);
    ks_turn(t);
    ks_spy_land(t, KS_SPY_NO_LIMIT);
    KS_EXPECT_NUMBERS(b, 1, 2);
    ks_settle(t);
    KS_EQ(2, ks_stats(a).tx_datagrams);
    KS_EXPECT_END(b, a);
}

static void late_refusal_is_dropped_if_it_is_not_last(struct ks *t)
{
    struct ks_node *b = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    t->spy->is_late = true;
    t->spy->late_err = KIRIM_ECONNRESET;
    t->spy->late_err_at = 2;
    for (uint32_t i = 1; i <= 3; i++) {
        ks_send_number(a, i, NULL);
    }
    ks_turn(t);
    ks_spy_land(t, KS_SPY_NO_LIMIT);
    KS_EXPECT_NUMBERS(b, 1, 1);
    KS_EXPECT_NUMBERS(b, 3, 1);
    KS_UNTIL(t, a->failed_count == 1);
    KS_EQ(KIRIM_EVENT_SEND_FAILED, a->event.kind);
    KS_EQ(KIRIM_DROP_LATE, a->event.drop_reason);
    KS_EQ(1, ks_stats(a).drops[KIRIM_DROP_LATE]);
    KS_EXPECT_END(b, a);
}

static void cancel_in_flight(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *stopped = ks_op(t, 0);
    struct ks_op *sent = ks_op(t, 0);
    t->spy->is_late = true;
    t->spy->late_err = KIRIM_EABORTED;
    t->spy->late_err_at = 1;
    KS_ERR(KIRIM_PENDING, ks_send(a, "1", 1, &b->addr, stopped));
    KS_ERR(KIRIM_PENDING, ks_send(a, "2", 1, &b->addr, sent));
    ks_turn(t);
    KS_OK(kirim_op_cancel(&stopped->op));
    KS_OK(kirim_op_cancel(&sent->op));
    KS_EQ(0, stopped->done_count);
    KS_EQ(2, t->spy->cancel_count);
    KS_UNTIL(t, stopped->done_count == 1 && sent->done_count == 1);
    KS_ERR(KIRIM_EABORTED, stopped->err);
    KS_OK(sent->err); /* the system had sent it */
    KS_EQ(1, sent->sent_bytes);
    KS_EQ(1, ks_stats(a).drops[KIRIM_DROP_CANCELLED]);
}

static void deadline_in_flight(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    t->spy->is_late = true;
    t->spy->late_err = KIRIM_EABORTED;
    t->spy->late_err_at = 1;
    o->op.deadline_ns = kirim_loop_now(t->loop) + KS_MILLISECOND_NS;
    KS_ERR(KIRIM_PENDING, ks_send(a, "1", 1, &b->addr, o));
    KS_UNTIL(t, o->done_count == 1);
    KS_ERR(KIRIM_ETIMEDOUT, o->err);
    KS_CHECK(o->done_at_ns >= o->op.deadline_ns);
    KS_EQ(1, t->spy->cancel_count);
    KS_EQ(1, ks_stats(a).drops[KIRIM_DROP_DEADLINE]);
}

static void close_in_flight(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *ops[3];
    a->mark = 'c';
    t->spy->is_late = true;
    t->spy->late_err = KIRIM_EABORTED;
    t->spy->late_err_at = 2;
    for (int i = 0; i < 3; i++) {
        ops[i] = ks_op(t, 'o');
        KS_ERR(KIRIM_PENDING, ks_send(a, &"123"[i], 1, &b -> addr, ops[i]));
        KS_OK(ks_send(a, "plain", 5, &b->addr, NULL));
    }
    KS_OK(kirim_endpoint_flush(a->ep));
    ks_node_close(a);
    KS_EQ(0, t->trace_count);
    if (t->arg == 0) {
        KS_UNTIL(t, a->closed_count == 1);
    } else {
        ks_close_loop(t);
    }
    KS_TRACE(t, "oooc");
    KS_OK(ops[0]->err);
    KS_OK(ops[1]->err);
    KS_OK(ops[2]->err);
    KS_EQ(1, ks_drops(&a->last_stats));
    KS_EQ(0, a->failed_count);
}

static void discard_leaves_what_is_in_flight(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *flying = ks_op(t, 0);
    struct ks_op *queued = ks_op(t, 0);
    size_t dropped = 0;
    t->spy->is_late = true;
    KS_ERR(KIRIM_PENDING, ks_send(a, "1", 1, &b->addr, flying));
    ks_turn(t);
    KS_ERR(KIRIM_PENDING, ks_send(a, "2", 1, &b->addr, queued));
    KS_OK(kirim_endpoint_discard(a->ep, &dropped));
    KS_EQ(1, dropped);
    KS_UNTIL(t, queued->done_count == 1);
    KS_ERR(KIRIM_EABORTED, queued->err);
    KS_EQ(0, flying->done_count);
    ks_spy_land(t, 1);
    KS_UNTIL(t, flying->done_count == 1);
    KS_OK(flying->err);
    KS_EXPECT(b, "1", 1);
}

static void what_is_in_flight_counts_for_the_bound(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.queue_count_max = 4;
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b = ks_node(t);
    t->spy->is_late = true;
    for (uint32_t i = 0; i < 4; i++) {
        ks_send_number(a, i, &b->addr);
        ks_turn(t);
    }
    KS_EQ(4, t->spy->flight_count);
    KS_ERR(KIRIM_EWOULDBLOCK, ks_send(a, "x", 1, &b->addr, NULL));
    KS_EQ(0, a->writable_count);
    ks_spy_land(t, 1);
    KS_UNTIL(t, t->spy->flight_count == 3);
    ks_turn(t);
    KS_EQ(0, a->writable_count); /* more than half full */
    ks_send_number(a, 4, &b->addr);
    ks_spy_land(t, 2);
    KS_UNTIL(t, a->writable_count == 1);
    ks_spy_land(t, KS_SPY_NO_LIMIT);
    KS_EXPECT_NUMBERS(b, 0, 5);
    KS_EQ(1, a->writable_count);
}

static const struct kc_case cases[] = {
    KC("operation_in_flight_ends_when_the_system_says", "S15 S20 S52", ends_when_the_system_says,
       KC_SPY, KC_SPIED),
    KC("now_with_an_operation_may_stay_in_flight", "S15 S50 S16", now_in_flight, KC_SPY, KC_SPIED),
    KC_ARG("bytes_in_flight_are_kept", "S52 S5", bytes_are_kept, KC_SPY, KC_SPIED, 0),
    KC_ARG("bytes_in_flight_are_kept_if_the_last_ends_first", "S52 S5", bytes_are_kept, KC_SPY,
           KC_SPIED, 1),
    KC("operations_end_in_any_order", "S24 S20", operations_end_in_any_order, KC_SPY, KC_SPIED),
    KC("late_failure_is_told", "S20 S37", late_failure_is_told, KC_SPY, KC_SPIED),
    KC("late_refusal_of_the_last_is_sent_again", "S24", late_refusal_is_resent_if_it_is_last,
       KC_SPY, KC_SPIED),
    KC("late_refusal_before_others_is_dropped", "S24", late_refusal_is_dropped_if_it_is_not_last,
       KC_SPY, KC_SPIED),
    KC("operation_in_flight_may_be_cancelled", "S49 S26", cancel_in_flight, KC_SPY, KC_SPIED),
    KC("operation_in_flight_ends_timed_out", "S45", deadline_in_flight, KC_SPY, KC_SPIED),
    KC_ARG("close_waits_for_what_is_in_flight", "S26 S49", close_in_flight, KC_SPY, KC_SPIED, 0),
    KC_ARG("loop_close_waits_for_what_is_in_flight", "S26 S49", close_in_flight, KC_SPY, KC_SPIED,
           1),
    KC("discard_leaves_what_is_in_flight", "S27", discard_leaves_what_is_in_flight, KC_SPY,
       KC_SPIED),
    KC("what_is_in_flight_counts_for_the_bound", "S46", what_is_in_flight_counts_for_the_bound,
       KC_SPY, KC_SPIED),
};

const struct kc_subject kc_late = KC_SUBJECT("late", cases);
