/* SPDX-License-Identifier: MIT
 *
 * Claims about sends that stay in flight: how they end, what becomes of those that are refused
 * late, and what cancelling, deadlines and closing do to them. On the scripted reactor.
 */
#include "support/stage.h"

enum { FLIGHT_COUNT = 5 };

/* A stage with FLIGHT_COUNT operations in flight, numbers from 0 on, marks 'a', 'b', ... */
struct flights {
    struct stage *x;
    struct ks_op *op[FLIGHT_COUNT];
    uint8_t *bytes;
};

static struct flights fly(uint32_t count)
{
    struct flights f = { .x = stage_open(0), .bytes = stage_numbers(0, FLIGHT_COUNT) };
    f.x->p->fly_every = 1;
    for (uint32_t i = 0; i < count; i++) {
        f.op[i] = ks_op(&f.x->t, (char)('a' + i));
        stage_send_op(f.x, f.op[i], f.bytes + (size_t)i * KS_NUMBER_BYTES);
    }
    ks_turn(&f.x->t);
    KS_EQ(count, f.x->p->flight_count);
    return f;
}

static void land(struct flights *f)
{
    stage_close(f->x);
    free(f->bytes);
}

static void check_op(const struct ks_op *o, kirim_err err, size_t sent_bytes)
{
    KS_EQ(1, o->done_count);
    KS_ERR(err, o->err);
    KS_EQ(sent_bytes, o->sent_bytes);
}

static uint64_t drops(const struct stage *x, unsigned reason)
{
    return ks_stats(x->n).drops[reason];
}

/* ---- ends ------------------------------------------------------------------------------------ */

START_TEST(flights_may_end_in_any_order)
{
    static const size_t order[FLIGHT_COUNT] = { 3, 1, 2, 0, 0 }; /* of those that are left */
    struct flights f = fly(FLIGHT_COUNT);
    for (size_t i = 0; i < FLIGHT_COUNT; i++) {
        KS_CHECK(kirim_endpoint_queued_count(f.x->n->ep) > 0);
        script_end(f.x->p, order[i], KIRIM_OK, 0);
        ks_turn(&f.x->t);
    }
    KS_TRACE(&f.x->t, "dbeac"); /* a and c: 0 of a c e, then 0 of c */
    for (size_t i = 0; i < FLIGHT_COUNT; i++) {
        check_op(f.op[i], KIRIM_OK, KS_NUMBER_BYTES);
    }
    KS_EQ(0, kirim_endpoint_queued_count(f.x->n->ep));
    land(&f);
}
END_TEST

START_TEST(callbacks_come_in_the_order_of_the_ends)
{
    struct flights f = fly(3);
    script_end_all(f.x->p, KIRIM_OK);
    ks_turn(&f.x->t);
    KS_TRACE(&f.x->t, "abc");
    land(&f);
}
END_TEST

START_TEST(a_polled_operation_is_pending_until_its_flight_ends)
{
    struct stage *x = stage_open(0);
    struct ks_op *o = ks_op_polled(&x->t);
    x->p->fly_every = 1;
    stage_send_op(x, o, (const uint8_t *)"data");
    ks_turn(&x->t);
    size_t sent_bytes = KS_UNTOUCHED;
    KS_ERR(KIRIM_PENDING, kirim_op_result(&o->op, &sent_bytes));
    KS_EQ(KS_UNTOUCHED, sent_bytes);
    script_end_all(x->p, KIRIM_OK);
    ks_turn(&x->t);
    KS_OK(kirim_op_result(&o->op, &sent_bytes));
    KS_EQ(4, sent_bytes);
    stage_close(x);
}
END_TEST

START_TEST(waiting_for_an_operation_runs_turns_until_its_flight_ends)
{
    struct stage *x = stage_open(0);
    struct ks_op *o = ks_op_polled(&x->t);
    x->p->fly_every = 1;
    stage_send_op(x, o, (const uint8_t *)"data");
    size_t sent_bytes = KS_UNTOUCHED;
    KS_ERR(KIRIM_PENDING, ks_op_wait(o, KS_SECOND_NS, &sent_bytes));
    KS_EQ(KS_UNTOUCHED, sent_bytes);
    script_end_all(x->p, KIRIM_ENOBUFS);
    KS_ERR(KIRIM_ENOBUFS, ks_op_wait(o, KIRIM_NEVER, &sent_bytes));
    KS_EQ(KS_UNTOUCHED, sent_bytes);
    stage_close(x);
}
END_TEST

START_TEST(the_queue_may_grow_under_flights)
{
    enum { COUNT = 200 };
    struct stage *x = stage_open(0);
    uint8_t *bytes = stage_numbers(0, COUNT);
    x->p->fly_every = 2;
    x->p->room = 10;
    for (uint32_t i = 0; i < COUNT; i++) {
        struct ks_op *o = i % 3 == 0 ? ks_op(&x->t, 0) : NULL;
        KS_SEND_OP(x->n, bytes + (size_t)i * KS_NUMBER_BYTES, KS_NUMBER_BYTES, &x->to, o);
        if (i == 12) {
            ks_turn(&x->t);
        }
    }
    KS_EQ(5, x->p->flight_count);
    while (x->p->flight_count > 0) { /* the last one first */
        script_end(x->p, x->p->flight_count - 1, KIRIM_OK, 0);
        ks_turn(&x->t);
    }
    x->p->room = SCRIPT_NO_LIMIT;
    ks_turn(&x->t);
    script_end_all(x->p, KIRIM_OK);
    ks_settle(&x->t);
    script_check_sent(x->p, 0, COUNT);
    KS_EQ(COUNT, ks_stats(x->n).tx_datagrams);
    stage_close(x);
    free(bytes);
}
END_TEST

START_TEST(flights_count_as_queued_until_they_end)
{
    struct flights f = fly(3);
    f.x->p->room = 0;
    ks_send_number(f.x->n, 3, &f.x->to);
    struct kirim_endpoint_stats s = ks_stats(f.x->n);
    KS_EQ(4, s.tx_accepted);
    KS_EQ(4, s.tx_queued);
    script_end(f.x->p, 1, KIRIM_OK, 0); /* out of order: it has ended, though its place is taken */
    ks_turn(&f.x->t);
    s = ks_stats(f.x->n);
    KS_EQ(1, s.tx_datagrams);
    KS_EQ(3, s.tx_queued);
    script_end_all(f.x->p, KIRIM_OK);
    ks_turn(&f.x->t);
    s = ks_stats(f.x->n);
    KS_EQ(3, s.tx_datagrams);
    KS_EQ(1, s.tx_queued);
    land(&f);
}
END_TEST

START_TEST(what_was_cancelled_behind_others_does_not_count_as_queued)
{
    struct stage *x = stage_open(0);
    struct ks_op *o = ks_op(&x->t, 'a');
    x->p->room = 0;
    ks_send_number(x->n, 0, &x->to);
    stage_send_op(x, o, (const uint8_t *)"gone");
    ks_send_number(x->n, 1, &x->to);
    ks_turn(&x->t);
    KS_OK(kirim_op_cancel(&o->op));
    const struct kirim_endpoint_stats s = ks_stats(x->n);
    KS_EQ(2, s.tx_queued);
    KS_EQ(3, s.tx_accepted);
    KS_EQ(1, s.drops[KIRIM_DROP_CANCELLED]);
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    script_check_sent(x->p, 0, 2);
    check_op(o, KIRIM_EABORTED, 0);
    stage_close(x);
}
END_TEST

START_TEST(flights_count_against_the_bound_of_the_queue)
{
    struct ks t;
    ks_init(&t, "scripted", KIRIM_IPV4);
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.queue_count_max = 4;
    struct stage *x = stage_open_with(0, &options);
    x->p->fly_every = 1;
    for (uint32_t i = 0; i < 4; i++) {
        ks_send_number(x->n, i, &x->to);
    }
    ks_turn(&x->t);
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_send_to(x->n->ep, "more", 4, &x->to));
    ks_turn(&x->t);
    KS_EQ(0, x->n->writable_count);
    script_end_all(x->p, KIRIM_OK);
    ks_turn(&x->t);
    KS_EQ(1, x->n->writable_count);
    ks_turn(&x->t);
    KS_EQ(1, x->n->writable_count);
    stage_close(x);
}
END_TEST

/* ---- late refusals (S24) --------------------------------------------------------------------- */

START_TEST(a_late_refusal_is_sent_again_if_nothing_later_was_submitted)
{
    static const kirim_err errs[] = { KIRIM_ECONNRESET, KIRIM_EACCES, KIRIM_EWOULDBLOCK };
    struct flights f = fly(2);
    script_end(f.x->p, 1, errs[_i], 104);
    ks_turn(&f.x->t);
    KS_EQ(2, f.x->p->flight_count);
    KS_EQ(0, f.op[1]->done_count);
    script_end_all(f.x->p, KIRIM_OK);
    ks_turn(&f.x->t);
    check_op(f.op[0], KIRIM_OK, KS_NUMBER_BYTES);
    check_op(f.op[1], KIRIM_OK, KS_NUMBER_BYTES);
    script_check_sent(f.x->p, 0, 2);
    land(&f);
}
END_TEST

START_TEST(a_late_refusal_behind_which_something_was_submitted_is_dropped_and_counted_late)
{
    struct flights f = fly(0);
    ks_send_number(f.x->n, 0, &f.x->to);
    ks_send_number(f.x->n, 1, &f.x->to);
    ks_turn(&f.x->t);
    script_end(f.x->p, 0, KIRIM_ECONNRESET, 104);
    ks_turn(&f.x->t);
    KS_EQ(1, f.x->p->flight_count); /* not again */
    KS_EQ(1, f.x->n->failed_count);
    KS_EQ(KIRIM_EVENT_SEND_FAILED, f.x->n->event.kind);
    KS_EQ(KIRIM_DROP_LATE, f.x->n->event.drop_reason);
    KS_ERR(KIRIM_ECONNRESET, f.x->n->event.err);
    KS_EQ(104, f.x->n->event.system_code);
    KS_CHECK(kirim_addr_equal(&f.x->to, &f.x->n->event.peer));
    KS_EQ(1, drops(f.x, KIRIM_DROP_LATE));
    script_end_all(f.x->p, KIRIM_OK);
    ks_turn(&f.x->t);
    script_check_sent(f.x->p, 1, 1);
    land(&f);
}
END_TEST

START_TEST(a_late_refusal_with_an_operation_ends_it_instead_of_an_event)
{
    struct flights f = fly(2);
    script_end(f.x->p, 0, KIRIM_ECONNRESET, 104);
    ks_turn(&f.x->t);
    check_op(f.op[0], KIRIM_ECONNRESET, 0);
    KS_EQ(104, kirim_op_system_code(&f.op[0]->op));
    KS_EQ(0, f.x->n->failed_count);
    KS_EQ(1, drops(f.x, KIRIM_DROP_LATE));
    land(&f);
}
END_TEST

START_TEST(a_late_refusal_is_sent_again_only_once)
{
    struct flights f = fly(1);
    script_end(f.x->p, 0, KIRIM_ECONNRESET, 104);
    ks_turn(&f.x->t);
    script_end(f.x->p, 0, KIRIM_ECONNRESET, 104);
    ks_turn(&f.x->t);
    KS_EQ(0, f.x->p->flight_count);
    check_op(f.op[0], KIRIM_ECONNRESET, 0);
    KS_EQ(1, drops(f.x, KIRIM_DROP_RESET));
    land(&f);
}
END_TEST

START_TEST(a_late_refusal_is_sent_again_before_what_waits)
{
    struct flights f = fly(1);
    f.x->p->room = 0;
    ks_send_number(f.x->n, 1, &f.x->to);
    ks_turn(&f.x->t);
    script_end(f.x->p, 0, KIRIM_ECONNRESET, 104);
    ks_turn(&f.x->t);
    f.x->p->fly_every = 0;
    f.x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&f.x->t);
    script_check_sent(f.x->p, 0, 2);
    check_op(f.op[0], KIRIM_OK, KS_NUMBER_BYTES);
    land(&f);
}
END_TEST

START_TEST(a_late_refusal_is_sent_again_if_what_followed_was_cancelled_before_it_left)
{
    struct flights f = fly(1);
    f.x->p->room = 0;
    f.op[1] = ks_op(&f.x->t, 'b');
    stage_send_op(f.x, f.op[1], f.bytes + KS_NUMBER_BYTES);
    ks_turn(&f.x->t);
    KS_OK(kirim_op_cancel(&f.op[1]->op));
    f.x->p->room = SCRIPT_NO_LIMIT;
    script_end(f.x->p, 0, KIRIM_ECONNRESET, 104);
    ks_turn(&f.x->t);
    KS_EQ(1, f.x->p->flight_count);
    script_end_all(f.x->p, KIRIM_OK);
    ks_turn(&f.x->t);
    check_op(f.op[0], KIRIM_OK, KS_NUMBER_BYTES);
    check_op(f.op[1], KIRIM_EABORTED, 0);
    KS_EQ(0, drops(f.x, KIRIM_DROP_LATE));
    land(&f);
}
END_TEST

START_TEST(an_error_that_a_repeat_proved_to_be_a_peers_is_told)
{
    struct flights f = fly(1);
    script_end(f.x->p, 0, KIRIM_ECONNRESET, 104);
    ks_turn(&f.x->t);
    script_end(f.x->p, 0, KIRIM_OK, 0);
    ks_turn(&f.x->t);
    ks_turn(&f.x->t);
    check_op(f.op[0], KIRIM_OK, KS_NUMBER_BYTES);
    KS_EQ(1, f.x->n->failed_count);
    KS_EQ(KIRIM_EVENT_PEER_ERROR, f.x->n->event.kind);
    KS_ERR(KIRIM_ECONNRESET, f.x->n->event.err);
    KS_EQ(104, f.x->n->event.system_code);
    land(&f);
}
END_TEST

START_TEST(a_late_error_of_the_datagram_itself_is_told_with_its_reason_and_tag)
{
    struct flights f = fly(0);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.tag = 4711;
    struct kirim_buf buf = { f.bytes, KS_NUMBER_BYTES };
    const struct kirim_msg msg = { &buf, &f.x->to, &control, 1, 0 };
    KS_OK(ks_post_msg(f.x->n, &msg, 0, NULL));
    control.tag = 0; /* captured */
    ks_turn(&f.x->t);
    script_end(f.x->p, 0, KIRIM_EMSGSIZE, 90);
    ks_turn(&f.x->t);
    KS_EQ(1, f.x->n->failed_count);
    KS_ERR(KIRIM_EMSGSIZE, f.x->n->event.err);
    KS_EQ(KIRIM_DROP_TOO_LONG, f.x->n->event.drop_reason);
    KS_EQ(4711, f.x->n->event.tag);
    KS_EQ(1, drops(f.x, KIRIM_DROP_TOO_LONG));
    land(&f);
}
END_TEST

/* ---- cancel and deadline --------------------------------------------------------------------- */

START_TEST(cancelling_a_flight_asks_the_reactor)
{
    struct flights f = fly(3);
    KS_OK(kirim_op_cancel(&f.op[1]->op));
    KS_EQ(1, f.x->p->cancel_count);
    KS_EQ(0, f.op[1]->done_count);
    ks_turn(&f.x->t);
    check_op(f.op[1], KIRIM_EABORTED, 0);
    KS_EQ(1, drops(f.x, KIRIM_DROP_CANCELLED));
    KS_EQ(2, f.x->p->flight_count);
    land(&f);
}
END_TEST

START_TEST(a_flight_that_was_cancelled_may_still_be_ok)
{
    struct flights f = fly(1);
    f.x->p->is_deaf = true;
    KS_OK(kirim_op_cancel(&f.op[0]->op));
    KS_OK(kirim_op_cancel(&f.op[0]->op)); /* it is still in flight */
    script_end_all(f.x->p, KIRIM_OK);
    ks_turn(&f.x->t);
    check_op(f.op[0], KIRIM_OK, KS_NUMBER_BYTES);
    KS_ERR(KIRIM_EINVAL, kirim_op_cancel(&f.op[0]->op));
    land(&f);
}
END_TEST

START_TEST(a_flight_that_was_cancelled_is_not_sent_again)
{
    struct flights f = fly(1);
    f.x->p->is_deaf = true;
    KS_OK(kirim_op_cancel(&f.op[0]->op));
    script_end_all(f.x->p, KIRIM_ECONNRESET);
    ks_turn(&f.x->t);
    KS_EQ(0, f.x->p->flight_count);
    check_op(f.op[0], KIRIM_EABORTED, 0);
    KS_EQ(1, drops(f.x, KIRIM_DROP_CANCELLED));
    land(&f);
}
END_TEST

START_TEST(a_reactor_without_cancel_ends_flights_in_its_own_time)
{
    struct stage *x = stage_new(0);
    x->s->ops.cancel = NULL;
    script_open(x->s);
    x->n = ks_node(&x->t);
    x->p = script_port_of(x->s, x->n->ep);
    x->p->fly_every = 1;
    struct ks_op *o = ks_op(&x->t, 'a');
    stage_send_op(x, o, (const uint8_t *)"data");
    ks_turn(&x->t);
    KS_OK(kirim_op_cancel(&o->op));
    ks_turn(&x->t);
    KS_EQ(0, o->done_count);
    script_end_all(x->p, KIRIM_OK);
    ks_turn(&x->t);
    check_op(o, KIRIM_OK, 4);
    stage_close(x);
}
END_TEST

/* One operation in flight, due in a second. */
static struct flights fly_due(void)
{
    struct flights f = fly(0);
    f.op[0] = ks_op(&f.x->t, 'a');
    f.op[0]->op.deadline_ns = kirim_loop_now(f.x->t.loop) + KS_SECOND_NS;
    stage_send_op(f.x, f.op[0], f.bytes);
    ks_turn(&f.x->t);
    KS_EQ(1, f.x->p->flight_count);
    return f;
}

START_TEST(a_flight_that_its_deadline_aborts_has_timed_out)
{
    struct flights f = fly_due();
    const uint64_t deadline_ns = f.op[0]->op.deadline_ns;
    KS_UNTIL(&f.x->t, f.op[0]->done_count == 1);
    check_op(f.op[0], KIRIM_ETIMEDOUT, 0);
    KS_CHECK(f.op[0]->done_at_ns >= deadline_ns);
    KS_EQ(1, f.x->p->cancel_count);
    KS_EQ(1, drops(f.x, KIRIM_DROP_DEADLINE));
    land(&f);
}
END_TEST

START_TEST(a_flight_past_its_deadline_may_still_be_ok)
{
    struct flights f = fly_due();
    f.x->p->is_deaf = true;
    KS_UNTIL(&f.x->t, f.x->p->cancel_count == 1);
    KS_EQ(0, f.op[0]->done_count);
    script_end_all(f.x->p, KIRIM_OK);
    ks_turn(&f.x->t);
    check_op(f.op[0], KIRIM_OK, KS_NUMBER_BYTES);
    land(&f);
}
END_TEST

START_TEST(a_flight_past_its_deadline_is_not_sent_again)
{
    struct flights f = fly_due();
    f.x->p->is_deaf = true;
    KS_UNTIL(&f.x->t, f.x->p->cancel_count == 1);
    script_end_all(f.x->p, KIRIM_ECONNRESET);
    ks_turn(&f.x->t);
    KS_EQ(0, f.x->p->flight_count);
    check_op(f.op[0], KIRIM_ETIMEDOUT, 0);
    land(&f);
}
END_TEST

START_TEST(each_operation_has_its_own_deadline)
{
    static const uint64_t due_ms[] = { 0, 30, 10, 20, 10 };
    struct stage *x = stage_open(0);
    struct ks_op *o[5];
    x->p->room = 0;
    const uint64_t start_ns = kirim_loop_now(x->t.loop);
    for (int i = 0; i < 5; i++) {
        o[i] = ks_op(&x->t, (char)('a' + i));
        o[i]->op.deadline_ns = due_ms[i] == 0 ? 0 : start_ns + due_ms[i] * KS_MILLISECOND_NS;
        stage_send_op(x, o[i], (const uint8_t *)"data");
    }
    KS_UNTIL(&x->t, o[1]->done_count == 1);
    KS_TRACE(&x->t, "cedb");
    for (int i = 1; i < 5; i++) {
        check_op(o[i], KIRIM_ETIMEDOUT, 0);
        KS_EQ(start_ns + due_ms[i] * KS_MILLISECOND_NS, o[i]->done_at_ns);
    }
    KS_EQ(4, drops(x, KIRIM_DROP_DEADLINE));
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    KS_EQ(1, x->p->sent_count); /* what timed out never left */
    check_op(o[0], KIRIM_OK, 4);
    stage_close(x);
}
END_TEST

/* ---- closing --------------------------------------------------------------------------------- */

START_TEST(the_last_callback_waits_for_flights_and_port)
{
    struct flights f = fly(2);
    f.x->n->mark = 'X';
    f.x->p->is_close_held = true;
    ks_node_close(f.x->n);
    ks_turn(&f.x->t);
    KS_TRACE(&f.x->t, "");
    script_end(f.x->p, 1, KIRIM_OK, 0);
    ks_turn(&f.x->t);
    KS_TRACE(&f.x->t, "b");
    script_end(f.x->p, 0, KIRIM_ECONNRESET, 104);
    ks_turn(&f.x->t);
    KS_TRACE(&f.x->t, "ba"); /* nothing flies, but the port is not closed */
    ks_turn(&f.x->t);
    f.x->p->is_close_held = false;
    ks_turn(&f.x->t);
    KS_TRACE(&f.x->t, "baX");
    check_op(f.op[0], KIRIM_EABORTED, 0); /* nothing is sent again */
    check_op(f.op[1], KIRIM_OK, KS_NUMBER_BYTES);
    KS_EQ(1, f.x->n->last_stats.drops[KIRIM_DROP_CLOSED]);
    land(&f);
}
END_TEST

START_TEST(closing_submits_once_and_aborts_what_was_not_taken)
{
    struct stage *x = stage_open(0);
    struct ks_op *o[4];
    uint8_t *bytes = stage_numbers(0, 4);
    x->p->room = 2;
    for (uint32_t i = 0; i < 4; i++) {
        o[i] = ks_op(&x->t, (char)('a' + i));
        stage_send_op(x, o[i], bytes + (size_t)i * KS_NUMBER_BYTES);
    }
    x->n->mark = 'X';
    ks_node_close(x->n);
    ks_turn(&x->t);
    KS_TRACE(&x->t, "abcdX");
    check_op(o[0], KIRIM_OK, KS_NUMBER_BYTES);
    check_op(o[1], KIRIM_OK, KS_NUMBER_BYTES);
    check_op(o[2], KIRIM_EABORTED, 0);
    check_op(o[3], KIRIM_EABORTED, 0);
    KS_EQ(2, x->n->last_stats.drops[KIRIM_DROP_CLOSED]);
    stage_close(x);
    free(bytes);
}
END_TEST

START_TEST(closing_asks_a_full_system_once_more)
{
    struct stage *x = stage_open(0);
    x->p->room = 0;
    ks_send_number(x->n, 0, &x->to);
    ks_turn(&x->t);
    x->p->room = SCRIPT_NO_LIMIT; /* room that no turn has told of */
    ks_node_close(x->n);
    script_check_sent(x->p, 0, 1);
    stage_close(x);
}
END_TEST

START_TEST(no_call_reaches_a_port_that_was_closed)
{
    struct flights f = fly(1);
    f.x->p->is_close_held = true;
    ks_node_close(f.x->n);
    KS_OK(kirim_op_cancel(&f.op[0]->op)); /* the script holds this against the core */
    KS_EQ(0, f.x->p->cancel_count);
    (void)ks_stats(f.x->n);
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_flush(f.x->n->ep));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_buffers(f.x->n->ep, NULL, NULL));
    ks_turn(&f.x->t);
    land(&f);
}
END_TEST

START_TEST(a_child_process_that_closes_a_loop_sends_nothing)
{
    struct stage *x = stage_open(0);
    struct ks_op *o = ks_op(&x->t, 'a');
    x->s->is_foreign = true;
    stage_send_op(x, o, (const uint8_t *)"data");
    ks_close_loop(&x->t);
    KS_EQ(0, x->p->submit_count);
    check_op(o, KIRIM_EABORTED, 0);
    KS_EQ(1, x->n->last_stats.drops[KIRIM_DROP_CLOSED]);
    stage_close(x);
}
END_TEST

START_TEST(closing_the_loop_ends_every_flight_first)
{
    struct flights f = fly(3);
    script_end(f.x->p, 2, KIRIM_OK, 0);
    f.x->n->mark = 'X';
    ks_close_loop(&f.x->t);
    KS_TRACE(&f.x->t, "abcX");
    check_op(f.op[0], KIRIM_EABORTED, 0);
    check_op(f.op[1], KIRIM_EABORTED, 0);
    check_op(f.op[2], KIRIM_OK, KS_NUMBER_BYTES);
    land(&f);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("flight");
    TCase *const ends = tcase_create("ends");
    tcase_add_test(ends, flights_may_end_in_any_order);
    tcase_add_test(ends, callbacks_come_in_the_order_of_the_ends);
    tcase_add_test(ends, a_polled_operation_is_pending_until_its_flight_ends);
    tcase_add_test(ends, waiting_for_an_operation_runs_turns_until_its_flight_ends);
    tcase_add_test(ends, the_queue_may_grow_under_flights);
    tcase_add_test(ends, flights_count_as_queued_until_they_end);
    tcase_add_test(ends, what_was_cancelled_behind_others_does_not_count_as_queued);
    tcase_add_test(ends, flights_count_against_the_bound_of_the_queue);
    suite_add_tcase(suite, ends);
    TCase *const late = tcase_create("late refusals");
    tcase_add_loop_test(late, a_late_refusal_is_sent_again_if_nothing_later_was_submitted, 0, 3);
    tcase_add_test(late,
                   a_late_refusal_behind_which_something_was_submitted_is_dropped_and_counted_late);
    tcase_add_test(late, a_late_refusal_with_an_operation_ends_it_instead_of_an_event);
    tcase_add_test(late, a_late_refusal_is_sent_again_only_once);
    tcase_add_test(late, a_late_refusal_is_sent_again_before_what_waits);
    tcase_add_test(late,
                   a_late_refusal_is_sent_again_if_what_followed_was_cancelled_before_it_left);
    tcase_add_test(late, an_error_that_a_repeat_proved_to_be_a_peers_is_told);
    tcase_add_test(late, a_late_error_of_the_datagram_itself_is_told_with_its_reason_and_tag);
    suite_add_tcase(suite, late);
    TCase *const cancel = tcase_create("cancel and deadline");
    tcase_add_test(cancel, cancelling_a_flight_asks_the_reactor);
    tcase_add_test(cancel, a_flight_that_was_cancelled_may_still_be_ok);
    tcase_add_test(cancel, a_flight_that_was_cancelled_is_not_sent_again);
    tcase_add_test(cancel, a_reactor_without_cancel_ends_flights_in_its_own_time);
    tcase_add_test(cancel, a_flight_that_its_deadline_aborts_has_timed_out);
    tcase_add_test(cancel, a_flight_past_its_deadline_may_still_be_ok);
    tcase_add_test(cancel, a_flight_past_its_deadline_is_not_sent_again);
    tcase_add_test(cancel, each_operation_has_its_own_deadline);
    suite_add_tcase(suite, cancel);
    TCase *const closing = tcase_create("closing");
    tcase_add_test(closing, the_last_callback_waits_for_flights_and_port);
    tcase_add_test(closing, closing_submits_once_and_aborts_what_was_not_taken);
    tcase_add_test(closing, closing_asks_a_full_system_once_more);
    tcase_add_test(closing, no_call_reaches_a_port_that_was_closed);
    tcase_add_test(closing, a_child_process_that_closes_a_loop_sends_nothing);
    tcase_add_test(closing, closing_the_loop_ends_every_flight_first);
    suite_add_tcase(suite, closing);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
