/* SPDX-License-Identifier: MIT
 *
 * Operations: how a send with an operation completes (S13 to S20, S22, S23).
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

static uint8_t bytes[1000];

/* The fixture refuses callbacks from outside of a turn, hence from inside the send. */
static void completes_in_a_turn_once(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 'o');
    KS_SEND_OP(a, bytes, 100, &b->addr, o);
    KS_CHECK(kirim_op_is_pending(&o->op));
    (void)kirim_endpoint_flush(a->ep);
    KS_EQ(0, o->done_count);
    KS_UNTIL(t, o->done_count == 1);
    KS_OK(o->err);
    KS_EQ(100, o->sent_bytes);
    for (int i = 0; i < 4; i++) {
        ks_turn(t);
    }
    KS_EQ(1, o->done_count);
    KS_EXPECT(b, bytes, 100);
    KS_EXPECT_END(b, a);
}

static void count_is_the_sum(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf list[3] = { { bytes, 10 }, { NULL, 0 }, { bytes + 10, 20 } };
    const struct kirim_msg msg = { list, &b->addr, NULL, 3, 0 };
    struct ks_op *o = ks_op(t, 0);
    KS_CHECK(ks_post_msg(a, &msg, t->mode, o) >= 0);
    KS_UNTIL(t, o->done_count == 1);
    KS_EQ(30, o->sent_bytes);
    /* ks_post_msg() has checked that the count was written if and only if the answer was NOW and
     * OK. */
    KS_CHECK(ks_post_msg(a, &msg, t->mode, NULL) >= 0);
    KS_CHECK(kirim_endpoint_send(a->ep, &msg, t->mode, NULL, NULL) >=
             0); /* nowhere to write it to */
    KS_EXPECT(b, bytes, 30);
    KS_EXPECT(b, bytes, 30);
    KS_EXPECT(b, bytes, 30);
}

static void result_is_polled(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op_polled(t);
    size_t count = KS_UNTOUCHED;
    KS_ERR(KIRIM_EINVAL, kirim_op_result(&o->op, &count));
    ks_spy_block(t);
    KS_ERR(KIRIM_PENDING, ks_send(a, bytes, 50, &b->addr, o));
    KS_ERR(KIRIM_PENDING, kirim_op_result(&o->op, &count));
    ks_turn(t);
    KS_ERR(KIRIM_PENDING, kirim_op_result(&o->op, &count));
    KS_EQ(KS_UNTOUCHED, count);
    ks_spy_unblock(t);
    KS_UNTIL(t, kirim_op_result(&o->op, NULL) != KIRIM_PENDING);
    for (int i = 0; i < 3; i++) {
        count = KS_UNTOUCHED;
        KS_OK(kirim_op_result(&o->op, &count));
        KS_EQ(50, count);
    }
    KS_CHECK(!kirim_op_is_pending(&o->op));
    /* Used again without a word in between. */
    KS_SEND_OP(a, bytes, 60, &b->addr, o);
    KS_UNTIL(t, kirim_op_result(&o->op, &count) == KIRIM_OK);
    KS_EQ(60, count);
    KS_EXPECT(b, bytes, 50);
    KS_EXPECT(b, bytes, 60);
}

static void failed_result_writes_no_count(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op_polled(t);
    size_t count = KS_UNTOUCHED;
    ks_spy_block(t);
    KS_ERR(KIRIM_PENDING, ks_send(a, bytes, 50, &b->addr, o));
    KS_OK(kirim_op_cancel(&o->op));
    KS_UNTIL(t, kirim_op_result(&o->op, &count) != KIRIM_PENDING);
    KS_ERR(KIRIM_EABORTED, kirim_op_result(&o->op, &count));
    KS_EQ(KS_UNTOUCHED, count);
    ks_spy_unblock(t);
    KS_EXPECT_END(b, a);
}

static void result_is_waited_for(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op_polled(t);
    size_t count = KS_UNTOUCHED;
    KS_ERR(KIRIM_EINVAL, ks_op_wait(o, 0, &count));
    KS_SEND_OP(a, bytes, 50, &b->addr, o);
    KS_OK(ks_op_wait(o, t->patience_ns, &count));
    KS_EQ(50, count);
    count = KS_UNTOUCHED;
    KS_OK(ks_op_wait(o, KIRIM_NEVER, &count));
    KS_EQ(50, count);
    KS_EXPECT(b, bytes, 50);
}

static void wait_ends_with_its_timeout(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op_polled(t);
    size_t count = KS_UNTOUCHED;
    ks_spy_block(t);
    KS_ERR(KIRIM_PENDING, ks_send(a, bytes, 50, &b->addr, o));
    KS_ERR(KIRIM_PENDING, ks_op_wait(o, 0, &count));
    const uint64_t start_ns = kirim_loop_now(t->loop);
    KS_ERR(KIRIM_PENDING, ks_op_wait(o, 3 * KS_MILLISECOND_NS, &count));
    KS_CHECK(kirim_loop_now(t->loop) - start_ns >= 3 * KS_MILLISECOND_NS);
    KS_EQ(KS_UNTOUCHED, count);
    KS_CHECK(kirim_op_is_pending(&o->op));
    ks_spy_unblock(t);
    KS_OK(ks_op_wait(o, t->patience_ns, &count));
    KS_EQ(50, count);
    KS_EXPECT(b, bytes, 50);
}

static void callback_bars_polling(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    size_t count = KS_UNTOUCHED;
    ks_spy_block(t);
    KS_ERR(KIRIM_PENDING, ks_send(a, bytes, 50, &b->addr, o));
    KS_ERR(KIRIM_EINVAL, kirim_op_result(&o->op, &count));
    KS_ERR(KIRIM_EINVAL, ks_op_wait(o, 0, &count));
    KS_EQ(KS_UNTOUCHED, count);
    KS_ERR(KIRIM_EINVAL, kirim_op_result(NULL, &count));
    ks_spy_unblock(t);
    KS_UNTIL(t, o->done_count == 1);
    KS_ERR(KIRIM_EINVAL, kirim_op_result(&o->op, &count));
    KS_EQ(KS_UNTOUCHED, count);
}

static void reuse_in_flight_is_refused(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    ks_spy_block(t);
    KS_ERR(KIRIM_PENDING, ks_send(a, "first", 5, &b->addr, o));
    for (int i = 0; i < 3; i++) {
        KS_ERR(KIRIM_EINVAL, ks_send(a, "second", 6, &b->addr, o));
        KS_ERR(KIRIM_EINVAL, ks_send(b, "other", 5, &a->addr, o));
        KS_CHECK(kirim_op_is_pending(&o->op));
        ks_turn(t);
    }
    ks_spy_unblock(t);
    KS_UNTIL(t, o->done_count == 1);
    KS_EQ(5, o->sent_bytes);
    KS_EXPECT(b, "first", 5);
    KS_EXPECT_END(b, a);
}

/* Ended, but its callback has not run: still in flight to its owner. */
static void reuse_before_the_callback_is_refused(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    KS_SEND_OP(a, "first", 5, &b->addr, o);
    (void)kirim_endpoint_flush(a->ep);
    KS_CHECK(kirim_op_is_pending(&o->op));
    KS_ERR(KIRIM_EINVAL, ks_send(a, "second", 6, &b->addr, o));
    KS_UNTIL(t, o->done_count == 1);
    KS_EXPECT(b, "first", 5);
    KS_EXPECT_END(b, a);
}

static void send_again(struct ks_op *o)
{
    struct ks_node *const *pair = o->ctx;
    if (o->done_count < 5) {
        KS_CHECK(ks_send(pair[0], bytes, o->done_count, &pair[1]->addr, o) >= 0);
    }
}

static void reuse_in_its_callback_is_fine(struct ks *t)
{
    struct ks_node *pair[2];
    pair[0] = ks_node(t);
    pair[1] = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    o->hook = send_again;
    o->ctx = pair;
    KS_SEND_OP(pair[0], bytes, 0, &pair[1]->addr, o);
    for (size_t i = 0; i < 5; i++) {
        KS_EXPECT(pair[1], bytes, i);
    }
    KS_UNTIL(t, o->done_count == 5);
    KS_EXPECT_END(pair[1], pair[0]);
}

static void failure_reaches_the_callback(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    ks_spy_refuse(t, KIRIM_ENETDOWN, 55, 0, 1);
    KS_ERR(KIRIM_PENDING, ks_send(a, bytes, 50, &b->addr, o));
    KS_UNTIL(t, o->done_count == 1);
    KS_ERR(KIRIM_ENETDOWN, o->err);
    KS_EQ(0, o->sent_bytes);
    ks_settle(t);
    KS_EQ(0, a->failed_count); /* told once, not twice */
    KS_EXPECT_END(b, a);
}

static void one_turn_delivers_all(struct ks *t)
{
    enum { COUNT = 200 };
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *ops[COUNT];
    for (int i = 0; i < COUNT; i++) {
        ops[i] = ks_op(t, 'o');
        KS_SEND_OP(a, bytes, 1, &b->addr, ops[i]);
    }
    KS_OK(kirim_endpoint_flush(a->ep));
    KS_EQ(0, t->trace_count);
    ks_turn(t);
    for (int i = 0; i < COUNT; i++) {
        KS_EQ(1, ops[i]->done_count);
    }
}

static void send_and_flush_again(struct ks_op *o)
{
    struct ks_node *const *pair = o->ctx;
    if (o->done_count < 1000) {
        KS_CHECK(ks_send(pair[0], bytes, 1, &pair[1]->addr, o) >= 0);
        (void)kirim_endpoint_flush(pair[0]->ep);
    }
}

/* What a completion causes is for the next turn, or one turn would not end. */
static void a_turn_ends(struct ks *t)
{
    struct ks_node *pair[2];
    pair[0] = ks_node(t);
    pair[1] = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    o->hook = send_and_flush_again;
    o->ctx = pair;
    KS_SEND_OP(pair[0], bytes, 1, &pair[1]->addr, o);
    (void)kirim_endpoint_flush(pair[0]->ep);
    size_t before = 0;
    for (int i = 0; i < 10; i++) {
        ks_turn(t);
        KS_CHECK(o->done_count <= before + 1);
        before = o->done_count;
    }
    KS_CHECK(before >= 5);
    o->done_count = 1000;
    o->posted_count += 1000 - before;
    ks_settle(t);
}

static void user_pointer_stays(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    struct ks_op *polled = ks_op_polled(t);
    KS_SEND_OP(a, bytes, 5, &b->addr, o); /* the fixture compares `user` in the callback */
    KS_SEND_OP(a, bytes, 5, &b->addr, polled);
    ks_settle(t);
    KS_CHECK(o->op.user == o);
    KS_CHECK(polled->op.user == polled);
    KS_CHECK(polled->op.done == NULL && o->op.done != NULL);
}

static void cancel_ends_what_is_queued(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *ops[3];
    KS_ERR(KIRIM_EINVAL, kirim_op_cancel(NULL));
    ks_spy_block(t);
    for (int i = 0; i < 3; i++) {
        ops[i] = ks_op(t, 0);
        KS_ERR(KIRIM_EINVAL, kirim_op_cancel(&ops[i]->op));
        KS_ERR(KIRIM_PENDING, ks_send(a, &"abc"[i], 1, &b -> addr, ops[i]));
    }
    ks_turn(t);
    KS_OK(kirim_op_cancel(&ops[1]->op));
    KS_EQ(0, ops[1]->done_count);
    KS_UNTIL(t, ops[1]->done_count == 1);
    KS_ERR(KIRIM_EABORTED, ops[1]->err);
    KS_EQ(0, ops[1]->sent_bytes);
    KS_ERR(KIRIM_EINVAL, kirim_op_cancel(&ops[1]->op));
    KS_EQ(1, ks_stats(a).drops[KIRIM_DROP_CANCELLED]);
    ks_spy_unblock(t);
    KS_EXPECT(b, "a", 1);
    KS_EXPECT(b, "c", 1);
    KS_UNTIL(t, ops[0]->done_count + ops[2]->done_count == 2);
    KS_OK(ops[0]->err);
    KS_OK(ops[2]->err);
    KS_EXPECT_END(b, a);
}

static void cancelled_in_time(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *ops[3];
    for (int i = 0; i < 3; i++) {
        ops[i] = ks_op(t, (char)('a' + i));
        KS_ERR(KIRIM_PENDING, ks_send(a, &"abc"[i], 1, &b -> addr, ops[i]));
    }
    KS_OK(kirim_op_cancel(&ops[0]->op));
    KS_OK(kirim_op_cancel(&ops[2]->op));
    KS_ERR(KIRIM_EINVAL, ks_send(a, "x", 1, &b->addr, ops[0])); /* in flight until its callback */
    KS_EXPECT(b, "b", 1);
    ks_settle(t);
    KS_ERR(KIRIM_EABORTED, ops[0]->err);
    KS_OK(ops[1]->err);
    KS_ERR(KIRIM_EABORTED, ops[2]->err);
    KS_SEND_OP(a, "again", 5, &b->addr, ops[0]);
    KS_EXPECT(b, "again", 5);
    KS_EXPECT_END(b, a);
}

static void deadline_ends_what_is_queued(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *late = ks_op(t, 'l');
    struct ks_op *early = ks_op(t, 'e');
    struct ks_op *patient = ks_op(t, 'p');
    const uint64_t now_ns = kirim_loop_now(t->loop);
    ks_spy_block(t);
    late->op.deadline_ns = now_ns + 6 * KS_MILLISECOND_NS;
    early->op.deadline_ns = now_ns + 2 * KS_MILLISECOND_NS;
    KS_ERR(KIRIM_PENDING, ks_send(a, "l", 1, &b->addr, late));
    KS_ERR(KIRIM_PENDING, ks_send(a, "e", 1, &b->addr, early));
    KS_ERR(KIRIM_PENDING, ks_send(a, "p", 1, &b->addr, patient));
    KS_UNTIL(t, early->done_count == 1);
    KS_UNTIL(t, late->done_count == 1);
    KS_EQ(0, patient->done_count);
    KS_ERR(KIRIM_ETIMEDOUT, early->err);
    KS_ERR(KIRIM_ETIMEDOUT, late->err);
    KS_EQ(0, late->sent_bytes);
    KS_CHECK(early->done_at_ns >= early->op.deadline_ns);
    KS_CHECK(late->done_at_ns >= late->op.deadline_ns);
    KS_EQ(2, ks_stats(a).drops[KIRIM_DROP_DEADLINE]);
    ks_spy_unblock(t);
    KS_EXPECT(b, "p", 1);
    KS_UNTIL(t, patient->done_count == 1);
    KS_OK(patient->err);
    KS_EXPECT_END(b, a);
}

static void deadline_not_reached_means_nothing(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    o->op.deadline_ns = kirim_loop_now(t->loop) + 20 * KS_MILLISECOND_NS;
    KS_SEND_OP(a, "x", 1, &b->addr, o);
    KS_UNTIL(t, o->done_count == 1);
    KS_OK(o->err);
    struct ks_timer *timer = ks_timer(t, 0);
    ks_arm_in(timer, 25 * KS_MILLISECOND_NS);
    KS_UNTIL(t, timer->fired_count == 1);
    KS_EQ(1, o->done_count);
    KS_EXPECT(b, "x", 1);
    KS_EXPECT_END(b, a);
}

static const struct kc_case cases[] = {
    KC("operation_completes_once_and_from_a_turn", "S13 S14 S15 S48", completes_in_a_turn_once,
       KC_LIVE, KC_MODES),
    KC("count_comes_with_the_completion_or_with_now", "S13 S15 S20 S50", count_is_the_sum, KC_LIVE,
       KC_MODES),
    KC("operation_without_a_callback_is_polled", "S17", result_is_polled, KC_SPY,
       KC_MODES | KC_SPIED),
    KC("failed_result_writes_no_count", "S17", failed_result_writes_no_count, KC_SPY,
       KC_MODES | KC_SPIED),
    KC("operation_without_a_callback_is_waited_for", "S17 S28", result_is_waited_for, KC_LIVE,
       KC_MODES),
    KC("wait_for_an_operation_ends_with_its_timeout", "S17 S28", wait_ends_with_its_timeout, KC_SPY,
       KC_MODES | KC_SPIED),
    KC("operation_with_a_callback_is_neither_polled_nor_waited_for", "S17", callback_bars_polling,
       KC_CHECKED, KC_MODES | KC_SPIED),
    KC("operation_in_flight_is_not_used_again", "S19", reuse_in_flight_is_refused, KC_CHECKED,
       KC_MODES | KC_SPIED),
    KC("operation_is_in_flight_until_its_callback", "S19 S14", reuse_before_the_callback_is_refused,
       KC_CHECKED, KC_MODES),
    KC("operation_is_used_again_in_its_callback", "S19 S21", reuse_in_its_callback_is_fine, KC_LIVE,
       KC_MODES),
    KC("failure_reaches_the_callback_and_nobody_else", "S20 S37", failure_reaches_the_callback,
       KC_SPY, KC_SPIED),
    KC("one_turn_delivers_every_completion", "S23", one_turn_delivers_all, KC_LIVE, KC_MODES),
    KC("completion_caused_by_a_completion_waits_a_turn", "S22 S23", a_turn_ends, KC_LIVE, KC_MODES),
    KC("user_pointer_is_the_callers", "S18", user_pointer_stays, KC_LIVE, KC_MODES),
    KC("cancelled_operation_ends_aborted_and_never_leaves", "S49", cancel_ends_what_is_queued,
       KC_SPY, KC_MODES | KC_SPIED),
    KC("operation_cancelled_in_time_never_leaves", "S49", cancelled_in_time, KC_LIVE, 0),
    KC("operation_ends_timed_out_at_its_deadline", "S45 S28", deadline_ends_what_is_queued, KC_SPY,
       KC_MODES | KC_SPIED),
    KC("deadline_of_what_has_left_means_nothing", "", deadline_not_reached_means_nothing, KC_LIVE,
       KC_MODES),
};

const struct kc_subject kc_op = KC_SUBJECT("op", cases);
