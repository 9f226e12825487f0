/* SPDX-License-Identifier: MIT
 *
 * Claims about sends that leave inside the call (KIRIM_SEND_NOW) where the system is full, refuses
 * or keeps them in flight. On the scripted reactor.
 */
#include "support/stage.h"

static void check_op(const struct ks_op *o, kirim_err err, size_t sent_bytes)
{
    KS_EQ(1, o->done_count);
    KS_ERR(err, o->err);
    KS_EQ(sent_bytes, o->sent_bytes);
}

START_TEST(a_now_with_an_operation_may_fly)
{
    struct stage *x = stage_open(0);
    struct ks_op *o = ks_op(&x->t, 'a');
    x->t.mode = KIRIM_SEND_NOW;
    x->p->fly_every = 1;
    KS_ERR(KIRIM_PENDING, ks_send(x->n, "data", 4, &x->to, o));
    KS_EQ(1, x->p->flight_count);
    script_end_all(x->p, KIRIM_OK);
    ks_turn(&x->t);
    check_op(o, KIRIM_OK, 4);
    stage_close(x);
}
END_TEST

START_TEST(a_now_without_an_operation_does_not_fly_and_does_not_overtake)
{
    struct stage *x = stage_open(0);
    x->t.mode = KIRIM_SEND_NOW;
    x->p->fly_every = 1;
    KS_OK(ks_send(x->n, "data", 4, &x->to, NULL));
    KS_EQ(0, x->p->flight_count);
    ks_send_number(x->n, 1, &x->to);
    x->t.mode = 0;
    ks_send_number(x->n, 2, &x->to);
    ks_turn(&x->t);
    KS_EQ(1, x->p->flight_count);
    x->t.mode = KIRIM_SEND_NOW;
    KS_ERR(KIRIM_EWOULDBLOCK, ks_send(x->n, "data", 4, &x->to, NULL));
    script_end_all(x->p, KIRIM_OK);
    ks_turn(&x->t);
    KS_EQ(1, x->n->writable_count);
    KS_OK(ks_send(x->n, "data", 4, &x->to, NULL));
    stage_close(x);
}
END_TEST

START_TEST(a_now_that_is_refused_leaves_no_trace)
{
    struct stage *x = stage_open(0);
    struct ks_op *o = ks_op(&x->t, 'a');
    x->t.mode = KIRIM_SEND_NOW;
    script_refuse(x->p, 0, 1, KIRIM_EMSGSIZE, 90);
    KS_ERR(KIRIM_EMSGSIZE, ks_send(x->n, "data", 4, &x->to, _i == 0 ? NULL : o));
    KS_CHECK(!kirim_op_is_pending(&o->op));
    const struct kirim_endpoint_stats s = ks_stats(x->n);
    KS_EQ(0, s.tx_accepted);
    KS_EQ(0, ks_drops(&s));
    KS_EQ(0, kirim_endpoint_queued_count(x->n->ep));
    KS_EQ(90, kirim_loop_system_code(x->t.loop));
    ks_send_number(x->n, 0, &x->to);
    script_check_sent(x->p, 0, 1);
    stage_close(x);
}
END_TEST

START_TEST(a_now_that_is_refused_for_a_peers_error_is_tried_again_and_the_error_told)
{
    struct stage *x = stage_open(0);
    struct ks_op *o = _i == 0 ? NULL : ks_op(&x->t, 'a');
    x->t.mode = KIRIM_SEND_NOW;
    script_refuse(x->p, 0, 1, KIRIM_ECONNRESET, 104);
    x->p->room = _i == 2 ? 0 : SCRIPT_NO_LIMIT; /* refused, and then full */
    KS_ERR(_i == 2 ? KIRIM_PENDING : KIRIM_OK, ks_send(x->n, "data", 4, &x->to, o));
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    ks_turn(&x->t);
    KS_EQ(1, x->n->failed_count);
    KS_EQ(KIRIM_EVENT_PEER_ERROR, x->n->event.kind);
    x->t.mode = 0;
    script_refuse(x->p, 0, 1, KIRIM_EMSGSIZE, 90);
    ks_send_number(x->n, 0, &x->to);
    ks_settle(&x->t);
    KS_EQ(2, x->n->failed_count); /* each is told once */
    KS_EQ(KIRIM_EVENT_SEND_FAILED, x->n->event.kind);
    stage_close(x);
}
END_TEST

START_TEST(a_peers_error_is_told_also_if_the_system_is_full_behind_it)
{
    struct stage *x = stage_open(0);
    x->t.mode = KIRIM_SEND_NOW;
    x->p->room = 0;
    script_refuse(x->p, 0, 1, KIRIM_ECONNRESET, 104);
    KS_ERR(KIRIM_EWOULDBLOCK, ks_send(x->n, "data", 4, &x->to, NULL));
    x->p->room = SCRIPT_NO_LIMIT;
    ks_turn(&x->t);
    KS_EQ(1, x->n->failed_count);
    KS_EQ(KIRIM_EVENT_PEER_ERROR, x->n->event.kind);
    stage_close(x);
}
END_TEST

START_TEST(a_now_asks_a_system_that_was_full)
{
    struct stage *x = stage_open(0);
    x->t.mode = KIRIM_SEND_NOW;
    x->p->room = 0;
    KS_ERR(KIRIM_EWOULDBLOCK, ks_send(x->n, "data", 4, &x->to, NULL));
    x->p->room = SCRIPT_NO_LIMIT; /* room that no turn has told of */
    ks_send_number(x->n, 0, &x->to);
    script_check_sent(x->p, 0, 1);
    x->t.mode = 0;
    ks_send_number(x->n, 1, &x->to);
    x->s->is_traced = true;
    ks_turn(&x->t);
    KS_TRACE(&x->t, "SW"); /* what is queued need not wait either */
    stage_close(x);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("now");
    TCase *const tcase = tcase_create("now");
    tcase_add_test(tcase, a_now_with_an_operation_may_fly);
    tcase_add_test(tcase, a_now_without_an_operation_does_not_fly_and_does_not_overtake);
    tcase_add_loop_test(tcase, a_now_that_is_refused_leaves_no_trace, 0, 2);
    tcase_add_loop_test(
        tcase, a_now_that_is_refused_for_a_peers_error_is_tried_again_and_the_error_told, 0, 3);
    tcase_add_test(tcase, a_peers_error_is_told_also_if_the_system_is_full_behind_it);
    tcase_add_test(tcase, a_now_asks_a_system_that_was_full);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
