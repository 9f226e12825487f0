/* SPDX-License-Identifier: MIT
 *
 * Claims about what becomes of every error that WSASendMsg may answer (S30 to S49), at once and
 * late: which error the user sees, what happens to the datagram, what is counted, and that the
 * endpoint works on. The codes are the numbers of the reference page "Windows Sockets error codes".
 */
#include <stdlib.h>
#include <string.h>

#include "support/win_spy.h"

enum outcome {
    LOST,    /* told, counted, not tried again */
    RETRIED, /* tried once more */
    STALE,   /* of an earlier datagram: told as an event, and this one is submitted again */
    AGAIN    /* the call is made again, and nobody hears of it */
};

static const struct row {
    int code;
    kirim_err err;
    enum outcome outcome;
    unsigned reason; /* of the drop, if the error does not pass */
} rows[] = {
    { 10013, KIRIM_EACCES, RETRIED, KIRIM_DROP_DENIED },           /* S30 WSAEACCES */
    { 10054, KIRIM_ECONNRESET, STALE, KIRIM_DROP_RESET },          /* S31 WSAECONNRESET */
    { 10061, KIRIM_ECONNRESET, STALE, KIRIM_DROP_RESET },          /* S31 WSAECONNREFUSED: Wine */
    { 10014, KIRIM_EFAULT, LOST, KIRIM_DROP_SYSTEM },              /* S32 WSAEFAULT */
    { 10036, KIRIM_EINPROGRESS, LOST, KIRIM_DROP_SYSTEM },         /* S33 WSAEINPROGRESS */
    { 10004, KIRIM_EINTR, AGAIN, 0 },                              /* S34 WSAEINTR */
    { 10022, KIRIM_EINVAL, LOST, KIRIM_DROP_SYSTEM },              /* S35 WSAEINVAL */
    { 10040, KIRIM_EMSGSIZE, LOST, KIRIM_DROP_TOO_LONG },          /* S36 WSAEMSGSIZE */
    { 10050, KIRIM_ENETDOWN, LOST, KIRIM_DROP_UNREACHABLE },       /* S37 WSAENETDOWN */
    { 10052, KIRIM_ENETRESET, STALE, KIRIM_DROP_UNREACHABLE },     /* S38 WSAENETRESET */
    { 10051, KIRIM_ENETUNREACH, RETRIED, KIRIM_DROP_UNREACHABLE }, /* S39 WSAENETUNREACH */
    { 10055, KIRIM_ENOBUFS, LOST, KIRIM_DROP_NO_BUFFERS },         /* S40 WSAENOBUFS */
    { 10057, KIRIM_ENOTCONN, LOST, KIRIM_DROP_SYSTEM },            /* S41 WSAENOTCONN */
    { 10038, KIRIM_ENOTSOCK, LOST, KIRIM_DROP_SYSTEM },            /* S42 WSAENOTSOCK */
    { 10045, KIRIM_EOPNOTSUPP, LOST, KIRIM_DROP_SYSTEM },          /* S43 WSAEOPNOTSUPP */
    { 10058, KIRIM_ESHUTDOWN, LOST, KIRIM_DROP_SHUTDOWN },         /* S44 WSAESHUTDOWN */
    { 10060, KIRIM_ETIMEDOUT, LOST, KIRIM_DROP_DEADLINE },         /* S45 WSAETIMEDOUT */
    { 10093, KIRIM_ENOTINITIALISED, LOST, KIRIM_DROP_SYSTEM },     /* S47 WSANOTINITIALISED */
    { 995, KIRIM_EABORTED, LOST, KIRIM_DROP_CANCELLED },           /* S49 WSA_OPERATION_ABORTED */
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0], ROUNDS_MAX = 16 };

/* Opens case number `i`, every row for every reactor, with an endpoint that sends to itself. */
static struct ks_node *open_case(struct ks *t, int i)
{
    win_spy_open(t, i / ROW_COUNT, i % 2 == 0 ? KIRIM_IPV4 : KIRIM_IPV6);
    return ks_node(t);
}

/* The endpoint has told one failure, of this row. */
static void check_event(const struct ks_node *n, uint32_t kind, const struct row *row)
{
    KS_EQ(1, n->failed_count);
    KS_EQ(kind, n->event.kind);
    KS_ERR(row->err, n->event.err);
    KS_EQ(row->code, n->event.system_code);
}

/* What is sent now arrives, and nothing before it that was not to. */
static void check_works(struct ks_node *n)
{
    KS_EXPECT_END(n, n);
    ks_settle(n->t);
}

/* ---- at once --------------------------------------------------------------------------------- */

START_TEST(error_at_once_of_a_queued_datagram)
{
    const struct row *row = &rows[_i % ROW_COUNT];
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    win_spy_answer(WIN_SPY_REFUSED, row->code, 1);
    KS_SEND(n, "first", 5, &n->addr);
    KS_SEND(n, "2nd", 3, &n->addr);
    ks_settle(&t);
    const bool is_lost = row->outcome == LOST;
    if (!is_lost) {
        KS_EXPECT(n, "first", 5);
    }
    KS_EXPECT(n, "2nd", 3);
    KS_EQ(is_lost ? 2 : 3, win_spy_send_count());
    const struct kirim_endpoint_stats s = ks_stats(n);
    KS_EQ(is_lost, ks_drops(&s));
    KS_EQ(is_lost, s.drops[row->reason]);
    KS_EQ(is_lost ? 1 : 2, s.tx_datagrams);
    KS_EQ(row->outcome == STALE, s.rx_errors);
    if (is_lost) {
        check_event(n, KIRIM_EVENT_SEND_FAILED, row);
        KS_EQ(row->reason, n->event.drop_reason);
        KS_CHECK(kirim_addr_equal(&n->addr, &n->event.peer));
    } else if (row->outcome == STALE) {
        check_event(n, KIRIM_EVENT_PEER_ERROR, row); /* and nobody is named: nobody is known */
        KS_EQ(KIRIM_FAMILY_NONE, kirim_addr_family(&n->event.peer));
    }
    check_works(n);
    win_spy_close(&t);
}
END_TEST

START_TEST(error_at_once_of_a_now)
{
    const struct row *row = &rows[_i % ROW_COUNT];
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    t.mode = KIRIM_SEND_NOW;
    win_spy_answer(WIN_SPY_REFUSED, row->code, 1);
    const bool is_lost = row->outcome == LOST;
    KS_ERR(is_lost ? row->err : KIRIM_OK, ks_send(n, "now", 3, &n->addr, NULL));
    KS_EQ(is_lost ? 1 : 2, win_spy_send_count());
    KS_EQ(!is_lost, ks_stats(n).tx_accepted); /* what was refused was not accepted */
    if (!is_lost) {
        KS_EXPECT(n, "now", 3);
    }
    KS_SEND(n, "again", 5, &n->addr);
    KS_EXPECT(n, "again", 5);
    ks_settle(&t);
    KS_EQ(row->outcome == STALE, ks_stats(n).rx_errors);
    check_works(n);
    win_spy_close(&t);
}
END_TEST

START_TEST(error_at_once_of_an_operation)
{
    const struct row *row = &rows[_i % ROW_COUNT];
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *o = ks_op(&t, 0);
    win_spy_answer(WIN_SPY_REFUSED, row->code, 1);
    KS_SEND_OP(n, "op", 2, &n->addr, o);
    ks_settle(&t);
    KS_EQ(1, o->done_count);
    if (row->outcome == LOST) {
        KS_ERR(row->err, o->err);
        KS_EQ(row->code, kirim_op_system_code(&o->op));
        KS_EQ(0, n->failed_count); /* it is told once */
    } else {
        KS_OK(o->err);
        KS_EQ(2, o->sent_bytes);
        KS_EXPECT(n, "op", 2);
    }
    check_works(n);
    win_spy_close(&t);
}
END_TEST

START_TEST(error_that_does_not_pass_ends_in_a_drop)
{
    const struct row *row = &rows[_i % ROW_COUNT];
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    if (row->outcome != AGAIN) {
        win_spy_answer_rest(WIN_SPY_REFUSED, row->code);
        KS_SEND(n, "lost", 4, &n->addr);
        ks_settle(&t);
        KS_CHECK(win_spy_send_count() <= ROUNDS_MAX);
        const struct kirim_endpoint_stats s = ks_stats(n);
        KS_EQ(1, s.drops[row->reason]);
        KS_EQ(1, ks_drops(&s));
        KS_EQ(0, s.tx_datagrams);
        KS_CHECK(n->failed_count >= 1);
        KS_ERR(row->err, n->event.err);
        KS_EQ(row->code, n->event.system_code);
        win_spy_answer_rest(WIN_SPY_THROUGH, 0);
    }
    check_works(n);
    win_spy_close(&t);
}
END_TEST

START_TEST(interrupted_call_is_made_again_and_again) /* S34 */
{
    struct ks t;
    win_spy_open(&t, _i, KIRIM_IPV4);
    struct ks_node *n = ks_node(&t);
    win_spy_answer(WIN_SPY_REFUSED, 10004, 5);
    KS_SEND(n, "x", 1, &n->addr);
    KS_EXPECT(n, "x", 1);
    ks_settle(&t);
    KS_EQ(6, win_spy_send_count());
    KS_EQ(6, ks_stats(n).tx_calls);
    KS_EQ(0, n->failed_count);
    win_spy_close(&t);
}
END_TEST

START_TEST(pending_without_an_overlapped_call_is_an_error) /* S48 */
{
    struct ks t;
    win_spy_open(&t, _i, KIRIM_IPV4);
    struct ks_node *n = ks_node(&t);
    t.mode = KIRIM_SEND_NOW; /* never overlapped without an operation */
    win_spy_answer(WIN_SPY_REFUSED, 997, 1);
    KS_ERR(KIRIM_ESYSTEM, ks_send(n, "x", 1, &n->addr, NULL));
    KS_CHECK(!win_spy_send_at(0)->is_overlapped);
    check_works(n);
    win_spy_close(&t);
}
END_TEST

START_TEST(source_of_another_host_is_told_apart) /* S35, L6, L35 */
{
    struct ks t;
    win_spy_open(&t, _i, KIRIM_IPV6);
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.local = ks_wildcard(KIRIM_IPV6, 0);
    struct ks_node *n = ks_node_with(&t, &options);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_addr peer = ks_loopback(KIRIM_IPV6, 9);
    const struct kirim_msg msg = { NULL, &peer, &control, 0, 0 };
    win_spy_answer(WIN_SPY_REFUSED, 10022, 2);
    control.source = ks_loopback(KIRIM_IPV6, 0);
    KS_OK(ks_post_msg(n, &msg, 0, NULL));
    ks_settle(&t);
    KS_EQ(1, n->failed_count);
    KS_ERR(KIRIM_EINVAL, n->event.err); /* it is the host's own: something else is wrong */
    KS_OK(kirim_addr_parse("2001:db8::5", &control.source));
    KS_OK(ks_post_msg(n, &msg, 0, NULL));
    ks_settle(&t);
    KS_EQ(2, n->failed_count);
    KS_ERR(KIRIM_EADDRNOTAVAIL, n->event.err);
    KS_EQ(10022, n->event.system_code);
    win_spy_close(&t);
}
END_TEST

/* ---- errors of somebody else's datagram ------------------------------------------------------ */

START_TEST(error_of_a_connected_endpoint_names_its_peer) /* S31, S38, L44, L45 */
{
    static const struct row earlier[] = {
        { 10054, KIRIM_ECONNRESET, STALE, 0 },
        { 10052, KIRIM_ENETRESET, STALE, 0 },
    };
    const struct row *row = &earlier[_i % 2];
    struct ks t;
    win_spy_open(&t, _i / 2, _i % 2 == 0 ? KIRIM_IPV4 : KIRIM_IPV6);
    struct ks_node *to = ks_node(&t);
    struct ks_node *n = ks_node_connected(&t, &to->addr);
    win_spy_answer(WIN_SPY_REFUSED, row->code, 1);
    KS_SEND(n, "x", 1, NULL);
    KS_EXPECT(to, "x", 1);
    ks_settle(&t);
    check_event(n, KIRIM_EVENT_PEER_ERROR, row);
    KS_CHECK(kirim_addr_equal(&to->addr, &n->event.peer));
    const struct kirim_endpoint_stats s = ks_stats(n);
    KS_EQ(0, ks_drops(&s));
    KS_EXPECT_END(to, n);
    win_spy_close(&t);
}
END_TEST

START_TEST(several_peers_may_have_gone) /* S31: none of them costs the living one its datagram */
{
    struct ks t;
    win_spy_open(&t, _i, KIRIM_IPV4);
    struct ks_node *n = ks_node(&t);
    win_spy_answer(WIN_SPY_REFUSED, 10054, 7);
    ks_send_number(n, 0, &n->addr);
    for (uint32_t i = 1; i < 20; i++) {
        ks_send_number(n, i, &n->addr);
    }
    KS_EXPECT_NUMBERS(n, 0, 20);
    ks_settle(&t);
    const struct kirim_endpoint_stats s = ks_stats(n);
    KS_EQ(0, ks_drops(&s));
    KS_CHECK(n->failed_count >= 1);
    win_spy_close(&t);
}
END_TEST

/* ---- full ------------------------------------------------------------------------------------ */

START_TEST(full_socket_is_waited_for_and_keeps_the_order) /* S16, S24, S46 */
{
    struct ks t;
    win_spy_open(&t, _i, KIRIM_IPV4);
    struct ks_node *n = ks_node(&t);
    win_spy_block(n);
    for (uint32_t i = 0; i < 10; i++) {
        ks_send_number(n, i, &n->addr);
    }
    ks_turn(&t);
    ks_turn(&t);
    KS_EQ(10, kirim_endpoint_queued_count(n->ep));
    KS_CHECK(ks_stats(n).tx_blocked >= 1);
    t.mode = KIRIM_SEND_NOW;
    KS_ERR(KIRIM_EWOULDBLOCK, ks_send(n, "now", 3, &n->addr, NULL));
    t.mode = 0;
    ks_turn(&t);
    KS_EQ(0, n->writable_count);
    win_spy_unblock(n);
    KS_EXPECT_NUMBERS(n, 0, 10);
    KS_UNTIL(&t, n->writable_count == 1);
    ks_settle(&t);
    KS_EQ(0, n->failed_count);
    const struct kirim_endpoint_stats s = ks_stats(n);
    KS_EQ(0, ks_drops(&s));
    KS_EQ(10, s.tx_datagrams);
    check_works(n);
    win_spy_close(&t);
}
END_TEST

START_TEST(full_socket_is_not_asked_in_every_turn) /* S46 */
{
    struct ks t;
    win_spy_open(&t, _i, KIRIM_IPV4);
    struct ks_node *n = ks_node(&t);
    win_spy_block(n);
    ks_send_number(n, 0, &n->addr);
    for (int i = 0; i < 50; i++) {
        ks_turn(&t);
    }
    KS_CHECK(win_spy_send_count() < 50);
    win_spy_unblock(n);
    KS_EXPECT_NUMBERS(n, 0, 1);
    win_spy_close(&t);
}
END_TEST

START_TEST(operation_of_a_full_socket_ends_by_its_deadline) /* S45, S46 */
{
    struct ks t;
    win_spy_open(&t, _i, KIRIM_IPV4);
    struct ks_node *n = ks_node(&t);
    struct ks_op *o = ks_op(&t, 0);
    win_spy_block(n);
    o->op.deadline_ns = kirim_loop_now(t.loop) + 20 * KS_MILLISECOND_NS;
    KS_SEND_OP(n, "x", 1, &n->addr, o);
    ks_settle(&t);
    KS_ERR(KIRIM_ETIMEDOUT, o->err);
    KS_EQ(1, ks_stats(n).drops[KIRIM_DROP_DEADLINE]);
    win_spy_unblock(n);
    check_works(n);
    win_spy_close(&t);
}
END_TEST

START_TEST(closing_a_full_socket_aborts_what_waits) /* S26 */
{
    struct ks t;
    win_spy_open(&t, _i, KIRIM_IPV4);
    struct ks_node *n = ks_node(&t);
    struct ks_op *o = ks_op(&t, 0);
    win_spy_block(n);
    KS_SEND_OP(n, "x", 1, &n->addr, o);
    ks_turn(&t);
    ks_node_close_and_wait(n);
    KS_ERR(KIRIM_EABORTED, o->err);
    KS_EQ(1, n->last_stats.drops[KIRIM_DROP_CLOSED]);
    win_spy_close(&t);
}
END_TEST

START_TEST(no_buffers_is_never_waited_for) /* S40, L54, L55 */
{
    struct ks t;
    win_spy_open(&t, _i, KIRIM_IPV4);
    struct ks_node *n = ks_node(&t);
    win_spy_answer(WIN_SPY_REFUSED, 10055, 2);
    for (uint32_t i = 0; i < 5; i++) {
        char text[8] = { (char)('a' + i) };
        KS_SEND(n, text, i + 1, &n->addr); /* of different lengths: no train */
    }
    ks_settle(&t);
    const struct kirim_endpoint_stats s = ks_stats(n);
    KS_EQ(2, s.drops[KIRIM_DROP_NO_BUFFERS]);
    KS_EQ(0, s.tx_blocked);
    KS_EQ(3, s.tx_datagrams);
    KS_EQ(5, s.tx_calls);
    KS_EQ(0, n->writable_count);
    KS_EQ(2, n->failed_count);
    win_spy_close(&t);
}
END_TEST

/* ---- late ------------------------------------------------------------------------------------ */

START_TEST(late_error_is_told_as_one_at_once) /* S15, S20, L69 */
{
    const struct row *row = &rows[_i % ROW_COUNT];
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *o = ks_op(&t, 0);
    if (win_spy_is_overlapped(&t)) {
        win_spy_answer(WIN_SPY_LATE, row->code, 1);
        KS_SEND_OP(n, "op", 2, &n->addr, o);
        ks_turn(&t);
        KS_EQ(0, o->done_count);
        KS_EQ(1, win_spy_late_count());
        KS_EQ(1, win_spy_land(1));
        ks_settle(&t);
        const struct kirim_endpoint_stats s = ks_stats(n);
        if (row->outcome == LOST) {
            KS_ERR(row->err, o->err);
            KS_EQ(row->code, kirim_op_system_code(&o->op));
            KS_EQ(1, s.drops[row->reason]);
        } else if (row->outcome != AGAIN) {
            KS_OK(o->err); /* nothing later had been submitted: it was sent again (S24) */
            KS_EXPECT(n, "op", 2);
            KS_EQ(0, ks_drops(&s));
        }
        KS_EQ(1, o->done_count);
    }
    win_spy_close(&t);
}
END_TEST

START_TEST(late_error_behind_which_others_left_is_a_drop) /* S24 */
{
    const struct row *row = &rows[_i % ROW_COUNT];
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    struct ks_op *o = ks_op(&t, 0);
    if (win_spy_is_overlapped(&t)) {
        win_spy_answer(WIN_SPY_LATE, row->code, 1);
        KS_SEND_OP(n, "late", 4, &n->addr, o);
        ks_turn(&t);
        KS_SEND(n, "second", 6, &n->addr);
        ks_turn(&t);
        KS_EXPECT(n, "second", 6);
        KS_EQ(1, win_spy_land(1));
        ks_settle(&t);
        KS_ERR(row->err, o->err);
        const struct kirim_endpoint_stats s = ks_stats(n);
        KS_EQ(1, ks_drops(&s));
        KS_EQ(row->outcome == RETRIED || row->outcome == STALE, s.drops[KIRIM_DROP_LATE]);
        check_works(n);
    }
    win_spy_close(&t);
}
END_TEST

/* ---- the suite ------------------------------------------------------------------------------- */

int main(void)
{
    (void)_putenv("KIRIM_GSO=0"); /* what becomes of trains is in test_win_spy_send.c */
    const int reactors = win_spy_reactor_count();
    const int all = reactors * ROW_COUNT;
    Suite *suite = suite_create("reactors/win_spy_errors");
    TCase *tcase = tcase_create("at once");
    tcase_add_loop_test(tcase, error_at_once_of_a_queued_datagram, 0, all);
    tcase_add_loop_test(tcase, error_at_once_of_a_now, 0, all);
    tcase_add_loop_test(tcase, error_at_once_of_an_operation, 0, all);
    tcase_add_loop_test(tcase, error_that_does_not_pass_ends_in_a_drop, 0, all);
    tcase_add_loop_test(tcase, interrupted_call_is_made_again_and_again, 0, reactors);
    tcase_add_loop_test(tcase, pending_without_an_overlapped_call_is_an_error, 0, reactors);
    tcase_add_loop_test(tcase, source_of_another_host_is_told_apart, 0, reactors);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("of an earlier datagram");
    tcase_add_loop_test(tcase, error_of_a_connected_endpoint_names_its_peer, 0, reactors * 2);
    tcase_add_loop_test(tcase, several_peers_may_have_gone, 0, reactors);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("full");
    tcase_add_loop_test(tcase, full_socket_is_waited_for_and_keeps_the_order, 0, reactors);
    tcase_add_loop_test(tcase, full_socket_is_not_asked_in_every_turn, 0, reactors);
    tcase_add_loop_test(tcase, operation_of_a_full_socket_ends_by_its_deadline, 0, reactors);
    tcase_add_loop_test(tcase, closing_a_full_socket_aborts_what_waits, 0, reactors);
    tcase_add_loop_test(tcase, no_buffers_is_never_waited_for, 0, reactors);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("late");
    tcase_add_loop_test(tcase, late_error_is_told_as_one_at_once, 0, all);
    tcase_add_loop_test(tcase, late_error_behind_which_others_left_is_a_drop, 0, all);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
