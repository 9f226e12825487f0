/* SPDX-License-Identifier: MIT
 *
 * Claims about overlapped sends and receives with completion routines (S13 to S29): one completion
 * for each, only from inside a turn, whenever and in whatever order the system says so; nothing of
 * a call that is outstanding is touched; everything is over when an endpoint has closed. The spy
 * plays the documented behaviour, over every reactor that makes overlapped calls.
 */
#include <stdlib.h>
#include <string.h>

#include "support/win_spy.h"

enum {
    REACTORS_MAX = 8,
    MANY = 600, /* more than any reactor has records for */
    SOME = 20
};

static int overlapped[REACTORS_MAX]; /* reactors that make overlapped calls */

/* Opens one of them with an endpoint that sends to itself. */
static struct ks_node *open_case(struct ks *t, int i)
{
    win_spy_open(t, overlapped[i], KIRIM_IPV4);
    return ks_node(t);
}

static void check_op(const struct ks_op *o, kirim_err err, size_t bytes)
{
    KS_EQ(1, o->done_count);
    KS_ERR(err, o->err);
    KS_EQ(bytes, o->sent_bytes);
}

/* ---- how they end ---------------------------------------------------------------------------- */

START_TEST(sent_at_once_completes_later_and_once) /* S13, S14, S20 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    win_spy_answer_rest(WIN_SPY_SENT, 0);
    struct ks_op *o = ks_op(&t, 0);
    for (size_t i = 1; i <= MANY; i++) {
        KS_SEND_OP(n, "x", 1, &n->addr, o);
        KS_EQ(i - 1, o->done_count);
        ks_settle(&t);
        KS_EQ(i, o->done_count);
        KS_OK(o->err);
        KS_EQ(1, o->sent_bytes);
        if (win_spy_send_count() == WIN_SPY_SENDS_MAX) {
            win_spy_forget_sends();
        }
    }
    KS_CHECK(win_spy_send_at(0)->is_overlapped);
    win_spy_close(&t);
}
END_TEST

START_TEST(pending_completes_when_the_system_says_so) /* S15, S48, S52 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    char bytes[] = "bytes";
    struct ks_op *o = ks_op(&t, 0);
    win_spy_answer(WIN_SPY_LATE, 0, 1);
    KS_SEND_OP(n, bytes, 5, &n->addr, o);
    for (int i = 0; i < SOME; i++) {
        ks_turn(&t);
    }
    KS_EQ(1, win_spy_late_count());
    KS_EQ(0, o->done_count);
    KS_EQ(0, ks_stats(n).tx_datagrams);
    KS_CHECK(win_spy_send_at(0)->bufs[0].buf == bytes); /* lent, not copied */
    KS_EQ(1, win_spy_land(1));
    KS_EXPECT(n, "bytes", 5);
    ks_settle(&t);
    check_op(o, KIRIM_OK, 5);
    KS_EQ(1, ks_stats(n).tx_datagrams);
    win_spy_close(&t);
}
END_TEST

START_TEST(bytes_without_an_operation_are_kept_meanwhile) /* S5, S52 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    win_spy_answer(WIN_SPY_LATE, 0, SOME);
    for (uint32_t i = 0; i < SOME; i++) {
        ks_send_number(n, i, &n->addr); /* from the stack, which is written over */
        ks_turn(&t);
    }
    KS_CHECK(win_spy_late_count() >= 1);
    for (uint32_t i = SOME; i < 2 * SOME; i++) {
        ks_send_number(n, i, &n->addr);
    }
    while (win_spy_land(1) != 0) {
        ks_turn(&t);
    }
    ks_settle(&t);
    KS_EQ(2 * SOME, ks_stats(n).tx_datagrams);
    KS_UNTIL(&t, n->rx_count == 2 * SOME);
    win_spy_close(&t);
}
END_TEST

START_TEST(name_and_control_data_of_each_are_its_own) /* S5, S19 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_node *to[2] = { ks_node(&t), ks_node(&t) };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    win_spy_answer(WIN_SPY_LATE, 0, SOME);
    for (uint32_t i = 0; i < SOME; i++) {
        uint8_t bytes[KS_NUMBER_BYTES];
        const struct kirim_buf buf = { bytes, sizeof bytes };
        const struct kirim_msg msg = { &buf, &to[i % 2]->addr, &control, 1, 0 };
        ks_number(bytes, i / 2);
        control.ttl = (uint8_t)(i % 3 == 0 ? 0 : i + 1); /* with control data and without */
        control.dscp = (uint8_t)i;
        KS_OK(ks_post_msg(n, &msg, 0, NULL));
        if (i % 4 == 3) {
            ks_turn(&t);
        }
    }
    ks_turn(&t);
    KS_EQ(SOME, win_spy_late_count());
    KS_EQ(SOME, win_spy_land(SOME)); /* the spy looks at each */
    KS_EXPECT_NUMBERS(to[0], 0, SOME / 2);
    KS_EXPECT_NUMBERS(to[1], 0, SOME / 2);
    win_spy_close(&t);
}
END_TEST

START_TEST(double_report_is_heard_once) /* S36, the record's own state */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    win_spy_answer_rest(WIN_SPY_TWICE, WSAEMSGSIZE);
    struct ks_op *o = ks_op(&t, 0);
    for (size_t i = 1; i <= MANY; i++) {
        KS_SEND_OP(n, "x", 1, &n->addr, o);
        ks_settle(&t);
        ks_turn(&t);
        KS_EQ(i, o->done_count);
        KS_ERR(KIRIM_EMSGSIZE, o->err);
        win_spy_forget_sends();
    }
    KS_EQ(MANY, ks_stats(n).drops[KIRIM_DROP_TOO_LONG]);
    win_spy_answer_rest(WIN_SPY_THROUGH, 0);
    KS_EXPECT_END(n, n);
    win_spy_close(&t);
}
END_TEST

START_TEST(error_at_once_has_no_completion_to_wait_for)
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    win_spy_answer_rest(WIN_SPY_REFUSED, WSAENOBUFS);
    struct ks_op *o = ks_op(&t, 0);
    for (size_t i = 1; i <= MANY; i++) {
        KS_SEND_OP(n, "x", 1, &n->addr, o);
        ks_settle(&t);
        KS_EQ(i, o->done_count);
        KS_ERR(KIRIM_ENOBUFS, o->err);
        win_spy_forget_sends();
    }
    win_spy_answer_rest(WIN_SPY_THROUGH, 0);
    KS_EXPECT_END(n, n);
    win_spy_close(&t);
}
END_TEST

START_TEST(double_report_behind_the_end_of_an_endpoint_is_harmless)
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    win_spy_answer(WIN_SPY_TWICE, WSAEMSGSIZE, 1);
    struct ks_op *o = ks_op(&t, 0);
    KS_SEND_OP(n, "x", 1, &n->addr, o);
    KS_EQ(0, kirim_endpoint_flush(n->ep)); /* refused now, and the routine is on its way */
    ks_node_close(n);
    KS_UNTIL(&t, n->closed_count == 1);
    check_op(o, KIRIM_EMSGSIZE, 0);
    win_spy_close(&t);
}
END_TEST

START_TEST(operation_in_flight_is_not_used_again) /* S19 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *o = ks_op(&t, 0);
    win_spy_answer(WIN_SPY_LATE, 0, 1);
    KS_SEND_OP(n, "x", 1, &n->addr, o);
    ks_turn(&t);
    const struct kirim_msg msg = { NULL, &n->addr, NULL, 0, 0 };
    KS_ERR(KIRIM_EINVAL, ks_post_msg(n, &msg, 0, o));
    KS_EQ(1, win_spy_land(1));
    ks_settle(&t);
    check_op(o, KIRIM_OK, 1);
    win_spy_close(&t);
}
END_TEST

START_TEST(operation_without_a_callback_is_polled_and_waited_for) /* S17 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *o = ks_op_polled(&t);
    size_t bytes = 0;
    win_spy_answer(WIN_SPY_LATE, 0, 1);
    KS_SEND_OP(n, "abc", 3, &n->addr, o);
    KS_ERR(KIRIM_PENDING, ks_op_wait(o, KS_MILLISECOND_NS, &bytes));
    KS_ERR(KIRIM_PENDING, kirim_op_result(&o->op, &bytes));
    KS_EQ(1, win_spy_land(1));
    KS_OK(ks_op_wait(o, 10ULL * KS_SECOND_NS, &bytes));
    KS_EQ(3, bytes);
    KS_OK(kirim_op_result(&o->op, NULL));
    win_spy_close(&t);
}
END_TEST

/* ---- order ----------------------------------------------------------------------------------- */

START_TEST(completions_come_in_any_order) /* S24 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *ops[SOME];
    win_spy_answer(WIN_SPY_LATE, 0, SOME);
    for (uint32_t i = 0; i < SOME; i++) {
        uint8_t *bytes = (uint8_t *)&ops[i]; /* anything that stays */
        ops[i] = ks_op(&t, 0);
        KS_SEND_OP(n, bytes, i % 7 + 1, &n->addr, ops[i]);
        ks_turn(&t);
    }
    KS_EQ(SOME, win_spy_late_count());
    for (uint32_t i = 0; i < SOME; i++) {
        KS_EQ(1, win_spy_land_last_first(1));
        KS_UNTIL(&t, ops[SOME - 1 - i]->done_count == 1);
        for (uint32_t k = 0; k < SOME - 1 - i; k++) {
            KS_EQ(0, ops[k]->done_count);
        }
    }
    ks_settle(&t);
    for (uint32_t i = 0; i < SOME; i++) {
        check_op(ops[i], KIRIM_OK, i % 7 + 1);
    }
    win_spy_close(&t);
}
END_TEST

START_TEST(one_turn_delivers_every_completion_that_is_there) /* S23 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *ops[SOME];
    win_spy_answer(WIN_SPY_LATE, 0, SOME);
    for (uint32_t i = 0; i < SOME; i++) {
        ops[i] = ks_op(&t, 0);
        KS_SEND_OP(n, "seven b", i % 7 + 1, &n->addr, ops[i]);
        ks_turn(&t);
    }
    KS_EQ(SOME, win_spy_land(SOME));
    ks_turn(&t);
    for (uint32_t i = 0; i < SOME; i++) {
        check_op(ops[i], KIRIM_OK, i % 7 + 1);
    }
    win_spy_close(&t);
}
END_TEST

START_TEST(what_does_not_fit_in_flight_follows_in_order) /* S24, S46 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    win_spy_answer_rest(WIN_SPY_LATE, 0);
    for (uint32_t i = 0; i < 3 * SOME; i++) {
        ks_send_number(n, i, &n->addr);
    }
    for (uint32_t sent = 0; sent < 3 * SOME;) {
        ks_turn(&t);
        sent += win_spy_land(7);
    }
    KS_EXPECT_NUMBERS(n, 0, 3 * SOME);
    ks_settle(&t);
    win_spy_close(&t);
}
END_TEST

START_TEST(flights_of_one_endpoint_are_bounded) /* S46 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    win_spy_answer_rest(WIN_SPY_LATE, 0);
    for (uint32_t i = 0; i < WIN_SPY_SENDS_MAX; i++) {
        ks_send_number(n, i, &n->addr);
    }
    ks_turn(&t);
    ks_turn(&t);
    KS_CHECK(win_spy_late_count() < WIN_SPY_SENDS_MAX);
    KS_CHECK(ks_stats(n).tx_blocked >= 1);
    for (uint32_t sent = 0; sent < WIN_SPY_SENDS_MAX;) {
        const uint32_t landed = win_spy_land(50); /* within the receive buffer */
        KS_CHECK(landed != 0);
        sent += landed;
        ks_turn(&t);
        KS_UNTIL(&t, n->rx_count == sent);
    }
    KS_EXPECT_NUMBERS(n, 0, WIN_SPY_SENDS_MAX);
    ks_settle(&t);
    win_spy_close(&t);
}
END_TEST

START_TEST(full_system_behind_a_flight_is_waited_for) /* S24, S46: too many overlapped requests */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    win_spy_answer(WIN_SPY_LATE, 0, 1);
    ks_send_number(n, 0, &n->addr);
    ks_turn(&t);
    win_spy_block(n);
    for (uint32_t i = 1; i < SOME; i++) {
        ks_send_number(n, i, &n->addr);
    }
    ks_turn(&t);
    KS_EQ(1, win_spy_late_count());
    KS_EQ(1, win_spy_land(1));
    for (int i = 0; i < SOME; i++) {
        ks_turn(&t); /* its end was a sign to try again, in vain */
    }
    KS_EQ(SOME - 1, kirim_endpoint_queued_count(n->ep));
    win_spy_unblock(n);
    KS_EXPECT_NUMBERS(n, 0, SOME);
    ks_settle(&t);
    KS_EQ(0, n->failed_count);
    win_spy_close(&t);
}
END_TEST

START_TEST(now_is_not_overlapped_and_does_not_overtake) /* S16 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_msg msg = { NULL, &n->addr, NULL, 0, 0 };
    KS_OK(ks_post_msg(n, &msg, KIRIM_SEND_NOW, NULL));
    KS_CHECK(!win_spy_send_at(0)->is_overlapped);
    win_spy_answer(WIN_SPY_LATE, 0, 1);
    ks_send_number(n, 1, &n->addr);
    ks_turn(&t);
    KS_EQ(1, win_spy_late_count());
    KS_ERR(KIRIM_EWOULDBLOCK, ks_post_msg(n, &msg, KIRIM_SEND_NOW, NULL));
    KS_EQ(2, win_spy_send_count());
    KS_EQ(1, win_spy_land(1));
    ks_settle(&t);
    KS_OK(ks_post_msg(n, &msg, KIRIM_SEND_NOW, NULL));
    KS_UNTIL(&t, n->writable_count == 1);
    win_spy_close(&t);
}
END_TEST

static void reply(struct ks_node *n, const struct kirim_batch *batch)
{
    size_t count = 0;
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, batch->count, &count));
}

START_TEST(lent_bytes_do_not_overtake_and_are_sent_as_they_came) /* S21, S24 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_node *to = ks_node(&t);
    n->on_received = reply;
    win_spy_answer(WIN_SPY_LATE, 0, 1);
    ks_send_number(n, 0, &to->addr);
    ks_turn(&t);
    KS_EQ(1, win_spy_late_count());
    for (uint32_t i = 1; i < SOME; i++) {
        ks_send_number(to, i, &n->addr); /* their buffers are filled again and again meanwhile */
        KS_UNTIL(&t, n->rx_count == i);
    }
    KS_EQ(0, to->rx_count);
    KS_EQ(1, win_spy_land(1));
    KS_EXPECT_NUMBERS(to, 0, SOME);
    win_spy_close(&t);
}
END_TEST

/* ---- trains ---------------------------------------------------------------------------------- */

/* Three neighbours that are posted as one train, late. */
static struct ks_node *send_late_train(struct ks *t, int i, int sys_err, struct ks_op *ops[3])
{
    (void)_putenv("KIRIM_GSO=");
    struct ks_node *n = open_case(t, i);
    (void)_putenv("KIRIM_GSO=0");
    win_spy_answer(WIN_SPY_LATE, sys_err, 1);
    for (int k = 0; k < 3; k++) {
        ops[k] = ks_op(t, 0);
        KS_SEND_OP(n, "aaaabbbbcccc" + (size_t)k * 4, 4, &n->addr, ops[k]);
    }
    ks_turn(t);
    KS_EQ(1, win_spy_late_count());
    WIN_SPY_BYTES(0, "aaaabbbbcccc");
    KS_EQ(1, win_spy_land(1));
    ks_settle(t);
    return n;
}

START_TEST(late_train_ends_each_of_its_operations)
{
    struct ks t;
    struct ks_op *ops[3];
    struct ks_node *n = send_late_train(&t, _i, 0, ops);
    for (int k = 0; k < 3; k++) {
        check_op(ops[k], KIRIM_OK, 4);
    }
    KS_EQ(3, ks_stats(n).tx_datagrams);
    KS_EQ(1, ks_stats(n).tx_trains);
    win_spy_close(&t);
}
END_TEST

START_TEST(late_train_that_is_refused_leaves_one_by_one) /* L4 */
{
    struct ks t;
    struct ks_op *ops[3];
    struct ks_node *n = send_late_train(&t, _i, WSAEINVAL, ops);
    for (int k = 0; k < 3; k++) {
        check_op(ops[k], KIRIM_OK, 4);
    }
    WIN_SPY_BYTES(1, "aaaa");
    WIN_SPY_BYTES(2, "bbbb");
    WIN_SPY_BYTES(3, "cccc");
    KS_EXPECT(n, "aaaa", 4);
    KS_EXPECT(n, "bbbb", 4);
    KS_EXPECT(n, "cccc", 4);
    KS_EQ(1, ks_stats(n).tx_trains_refused);
    KS_EQ(3, ks_stats(n).tx_datagrams);
    KS_EXPECT_END(n, n);
    win_spy_close(&t);
}
END_TEST

/* ---- early ends ------------------------------------------------------------------------------ */

START_TEST(cancelled_operation_ends_once) /* S49 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *o = ks_op(&t, 0);
    win_spy_answer(WIN_SPY_LATE, 0, 1);
    KS_SEND_OP(n, "x", 1, &n->addr, o);
    ks_turn(&t);
    KS_OK(kirim_op_cancel(&o->op));
    KS_EQ(0, o->done_count);
    ks_settle(&t);
    check_op(o, KIRIM_EABORTED, 0);
    KS_EQ(1, ks_stats(n).drops[KIRIM_DROP_CANCELLED]);
    KS_EQ(0, win_spy_land(1));
    KS_EXPECT_END(n, n);
    win_spy_close(&t);
}
END_TEST

START_TEST(cancel_that_comes_too_late_does_not_lie)
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *o = ks_op(&t, 0);
    win_spy_answer(WIN_SPY_LATE, 0, 1);
    KS_SEND_OP(n, "x", 1, &n->addr, o);
    ks_turn(&t);
    KS_EQ(1, win_spy_land(1));
    KS_OK(kirim_op_cancel(&o->op));
    ks_settle(&t);
    check_op(o, KIRIM_OK, 1);
    win_spy_close(&t);
}
END_TEST

START_TEST(deadline_ends_what_is_pending) /* S45 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *o = ks_op(&t, 0);
    win_spy_answer(WIN_SPY_LATE, 0, 1);
    o->op.deadline_ns = kirim_loop_now(t.loop) + 20 * KS_MILLISECOND_NS;
    KS_SEND_OP(n, "x", 1, &n->addr, o);
    ks_settle(&t);
    check_op(o, KIRIM_ETIMEDOUT, 0);
    KS_EQ(1, ks_stats(n).drops[KIRIM_DROP_DEADLINE]);
    win_spy_close(&t);
}
END_TEST

START_TEST(discard_leaves_what_is_in_flight) /* S27 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *flying = ks_op(&t, 0);
    struct ks_op *queued = ks_op(&t, 0);
    size_t count = 0;
    win_spy_answer(WIN_SPY_LATE, 0, 1);
    KS_SEND_OP(n, "f", 1, &n->addr, flying);
    ks_turn(&t);
    KS_SEND_OP(n, "q", 1, &n->addr, queued);
    KS_OK(kirim_endpoint_discard(n->ep, &count));
    KS_EQ(1, count);
    ks_turn(&t);
    check_op(queued, KIRIM_EABORTED, 0);
    KS_EQ(0, flying->done_count);
    KS_EQ(1, win_spy_land(1));
    ks_settle(&t);
    check_op(flying, KIRIM_OK, 1);
    win_spy_close(&t);
}
END_TEST

/* ---- closing --------------------------------------------------------------------------------- */

START_TEST(closing_ends_everything_once_and_closed_comes_last) /* S26 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *ops[SOME];
    n->mark = 'E';
    win_spy_answer(WIN_SPY_LATE, 0, SOME);
    for (uint32_t i = 0; i < SOME; i++) {
        ops[i] = ks_op(&t, 'o');
        KS_SEND_OP(n, "seven b", i % 7 + 1, &n->addr, ops[i]);
        ks_turn(&t);
    }
    ks_node_close_and_wait(n);
    for (uint32_t i = 0; i < SOME; i++) {
        check_op(ops[i], KIRIM_EABORTED, 0);
    }
    KS_EQ(SOME, n->last_stats.drops[KIRIM_DROP_CLOSED]);
    KS_TRACE(&t, "ooooooooooooooooooooE");
    KS_EQ(0, win_spy_posted_count());
    win_spy_close(&t);
}
END_TEST

START_TEST(what_had_left_is_not_called_aborted) /* S26 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_node *to = ks_node(&t);
    struct ks_op *o = ks_op(&t, 0);
    win_spy_answer(WIN_SPY_LATE, 0, 1);
    KS_SEND_OP(n, "x", 1, &to->addr, o);
    ks_turn(&t);
    KS_EQ(1, win_spy_land(1));
    ks_node_close_and_wait(n);
    check_op(o, KIRIM_OK, 1);
    KS_EXPECT(to, "x", 1);
    win_spy_close(&t);
}
END_TEST

START_TEST(loop_can_close_with_everything_outstanding) /* S26 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_node *other = ks_node(&t);
    win_spy_answer(WIN_SPY_LATE, 0, 2);
    struct ks_op *o = ks_op(&t, 0);
    KS_SEND_OP(n, "x", 1, &other->addr, o);
    KS_SEND(other, "y", 1, &n->addr);
    ks_turn(&t);
    KS_EQ(2, win_spy_late_count());
    KS_CHECK(win_spy_posted_count() >= 2);
    win_spy_close(&t);
}
END_TEST

static void close_other(struct ks_op *o)
{
    ks_node_close(o->ctx);
}

START_TEST(endpoint_closed_inside_a_completion_ends_the_others) /* S26 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *first = ks_op(&t, 0);
    struct ks_op *second = ks_op(&t, 0);
    first->hook = close_other;
    first->ctx = n;
    win_spy_answer(WIN_SPY_LATE, 0, 2);
    KS_SEND_OP(n, "1", 1, &n->addr, first);
    ks_turn(&t);
    KS_SEND_OP(n, "22", 2, &n->addr, second);
    ks_turn(&t);
    KS_EQ(1, win_spy_land(1));
    KS_UNTIL(&t, n->closed_count == 1);
    check_op(first, KIRIM_OK, 1);
    check_op(second, KIRIM_EABORTED, 0);
    win_spy_close(&t);
}
END_TEST

/* ---- alertable waits of the user's, and threads ---------------------------------------------- */

static void wait_alertably(struct ks_op *o)
{
    (void)o;
    (void)win_spy_land(UINT32_MAX);
    (void)SleepEx(0, TRUE);
}

START_TEST(alertable_wait_in_a_callback_nests_nothing) /* S14, S22, S29 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *first = ks_op(&t, 0);
    struct ks_op *second = ks_op(&t, 0);
    first->hook = wait_alertably; /* the fixture fails what comes nested */
    win_spy_answer(WIN_SPY_LATE, 0, 2);
    KS_SEND_OP(n, "1", 1, &n->addr, first);
    ks_turn(&t);
    KS_SEND_OP(n, "22", 2, &n->addr, second);
    ks_turn(&t);
    KS_EQ(1, win_spy_land(1));
    KS_UNTIL(&t, first->done_count == 1);
    KS_UNTIL(&t, second->done_count == 1);
    (void)SleepEx(0, TRUE); /* nor does anything come from outside of turns */
    win_spy_close(&t);
}
END_TEST

struct orphan {
    struct ks t;
    struct ks_node *n;
    struct ks_op *ops[3];
    int number;
};

static DWORD WINAPI run_orphan(void *context)
{
    struct orphan *o = context;
    o->n = open_case(&o->t, o->number);
    win_spy_answer_rest(WIN_SPY_LATE, 0);
    for (int i = 0; i < 3; i++) {
        o->ops[i] = ks_op(&o->t, 0);
        KS_SEND_OP(o->n, "333", (size_t)i + 1, &o->n->addr, o->ops[i]);
        ks_turn(&o->t);
    }
    KS_EQ(1, win_spy_land(1)); /* and its routine will not run any more */
    return 0;
}

START_TEST(operations_of_a_thread_that_ended_are_aborted_by_closing) /* S26 */
{
    static struct orphan o;
    memset(&o, 0, sizeof o);
    o.number = _i;
    HANDLE thread = CreateThread(NULL, 0, run_orphan, &o, 0, NULL);
    KS_CHECK(thread != NULL);
    KS_EQ(WAIT_OBJECT_0, WaitForSingleObject(thread, 30000));
    (void)CloseHandle(thread);
    o.t.is_orphan = true;
    ks_close_loop(&o.t);
    check_op(o.ops[0], KIRIM_OK, 1); /* it had left */
    check_op(o.ops[1], KIRIM_EABORTED, 0);
    check_op(o.ops[2], KIRIM_EABORTED, 0);
    win_spy_close(&o.t);
}
END_TEST

/* Takes the loop over for one turn, and has it woken while it is here. */
static DWORD WINAPI visit(void *context)
{
    struct ks *t = context;
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    kirim_loop_own(t->loop);
    ks_turn(t);
    KS_OK(kirim_remote_wake(remote));
    kirim_remote_release(remote);
    return 0;
}

static void lend_to_another_thread(struct ks *t)
{
    HANDLE thread = CreateThread(NULL, 0, visit, t, 0, NULL);
    KS_CHECK(thread != NULL);
    KS_EQ(WAIT_OBJECT_0, WaitForSingleObject(thread, 30000));
    (void)CloseHandle(thread);
    kirim_loop_own(t->loop);
}

/* The first thread does not wait alertably meanwhile, and the other one never does again. */
START_TEST(loop_that_comes_back_to_its_thread_hears_and_closes)
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    ks_turn(&t);
    lend_to_another_thread(&t);
    KS_SEND(n, "1", 1, &n->addr);
    KS_EXPECT(n, "1", 1);
    win_spy_close(&t);
}
END_TEST

/* Whose routine never comes. */
START_TEST(refused_call_does_not_keep_a_loop_between_two_threads)
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    ks_turn(&t);
    win_spy_answer(WIN_SPY_REFUSED, WSAENOBUFS, 1);
    KS_SEND(n, "1", 1, &n->addr);
    KS_EQ(0, kirim_endpoint_flush(n->ep));
    lend_to_another_thread(&t);
    KS_SEND(n, "2", 1, &n->addr);
    KS_EXPECT(n, "2", 1);
    win_spy_close(&t);
}
END_TEST

/* ---- the suite ------------------------------------------------------------------------------- */

/* Which reactors make overlapped calls. */
static int find_overlapped(void)
{
    int count = 0;
    for (int i = 0; i < win_spy_reactor_count() && count < REACTORS_MAX; i++) {
        struct ks t;
        win_spy_open(&t, i, KIRIM_IPV4);
        if (win_spy_is_overlapped(&t)) {
            overlapped[count++] = i;
        }
        win_spy_close(&t);
    }
    return count;
}

static void add_endings(Suite *suite, int count)
{
    TCase *tcase = tcase_create("how they end");
    tcase_add_loop_test(tcase, sent_at_once_completes_later_and_once, 0, count);
    tcase_add_loop_test(tcase, pending_completes_when_the_system_says_so, 0, count);
    tcase_add_loop_test(tcase, bytes_without_an_operation_are_kept_meanwhile, 0, count);
    tcase_add_loop_test(tcase, name_and_control_data_of_each_are_its_own, 0, count);
    tcase_add_loop_test(tcase, double_report_is_heard_once, 0, count);
    tcase_add_loop_test(tcase, error_at_once_has_no_completion_to_wait_for, 0, count);
    tcase_add_loop_test(tcase, double_report_behind_the_end_of_an_endpoint_is_harmless, 0, count);
    tcase_add_loop_test(tcase, operation_in_flight_is_not_used_again, 0, count);
    tcase_add_loop_test(tcase, operation_without_a_callback_is_polled_and_waited_for, 0, count);
    suite_add_tcase(suite, tcase);
}

static void add_order(Suite *suite, int count)
{
    TCase *tcase = tcase_create("order");
    tcase_add_loop_test(tcase, completions_come_in_any_order, 0, count);
    tcase_add_loop_test(tcase, one_turn_delivers_every_completion_that_is_there, 0, count);
    tcase_add_loop_test(tcase, what_does_not_fit_in_flight_follows_in_order, 0, count);
    tcase_add_loop_test(tcase, flights_of_one_endpoint_are_bounded, 0, count);
    tcase_add_loop_test(tcase, full_system_behind_a_flight_is_waited_for, 0, count);
    tcase_add_loop_test(tcase, now_is_not_overlapped_and_does_not_overtake, 0, count);
    tcase_add_loop_test(tcase, lent_bytes_do_not_overtake_and_are_sent_as_they_came, 0, count);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("trains");
    tcase_add_loop_test(tcase, late_train_ends_each_of_its_operations, 0, count);
    tcase_add_loop_test(tcase, late_train_that_is_refused_leaves_one_by_one, 0, count);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    (void)_putenv("KIRIM_GSO=0"); /* what becomes of trains is in test_win_spy_send.c */
    const int count = find_overlapped();
    Suite *suite = suite_create("reactors/win_spy_completion");
    add_endings(suite, count);
    add_order(suite, count);
    TCase *tcase = tcase_create("early ends");
    tcase_add_loop_test(tcase, cancelled_operation_ends_once, 0, count);
    tcase_add_loop_test(tcase, cancel_that_comes_too_late_does_not_lie, 0, count);
    tcase_add_loop_test(tcase, deadline_ends_what_is_pending, 0, count);
    tcase_add_loop_test(tcase, discard_leaves_what_is_in_flight, 0, count);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("closing");
    tcase_add_loop_test(tcase, closing_ends_everything_once_and_closed_comes_last, 0, count);
    tcase_add_loop_test(tcase, what_had_left_is_not_called_aborted, 0, count);
    tcase_add_loop_test(tcase, loop_can_close_with_everything_outstanding, 0, count);
    tcase_add_loop_test(tcase, endpoint_closed_inside_a_completion_ends_the_others, 0, count);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("waits and threads");
    tcase_add_loop_test(tcase, alertable_wait_in_a_callback_nests_nothing, 0, count);
    tcase_add_loop_test(tcase, operations_of_a_thread_that_ended_are_aborted_by_closing, 0, count);
    tcase_add_loop_test(tcase, loop_that_comes_back_to_its_thread_hears_and_closes, 0, count);
    tcase_add_loop_test(tcase, refused_call_does_not_keep_a_loop_between_two_threads, 0, count);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
