/* SPDX-License-Identifier: MIT
 *
 * Claims about refusals that speak of an earlier datagram (ki_refusal.is_stale), and about reports
 * that a refusal brings to light. On the scripted reactor.
 */
#include "support/stage.h"

enum { BELIEVED_AFTER = 8 };

static struct kirim_addr told[64];

static void note_peer(struct ks_node *n)
{
    KS_EQ(KIRIM_EVENT_PEER_ERROR, n->event.kind);
    told[n->failed_count - 1] = n->event.peer;
}

static struct kirim_addr dead_peer(void)
{
    return ks_loopback(KIRIM_IPV4, 666);
}

START_TEST(an_innocent_datagram_is_submitted_again_until_it_leaves)
{
    struct stage *x = stage_open(0);
    const struct kirim_addr dead = dead_peer();
    x->n->on_failed = note_peer;
    for (uint32_t i = 0; i < 5; i++) {
        ks_send_number(x->n, i, &x->to);
    }
    script_refuse_reporting(x->p, 2, BELIEVED_AFTER, KIRIM_ECONNRESET, &dead, true);
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 5);
    ks_turn(&x->t);
    ks_turn(&x->t);
    ks_turn(&x->t);
    KS_EQ(BELIEVED_AFTER, x->n->failed_count);
    for (size_t i = 0; i < BELIEVED_AFTER; i++) {
        KS_CHECK(kirim_addr_equal(&dead, &told[i]));
    }
    const struct kirim_endpoint_stats s = ks_stats(x->n);
    KS_EQ(0, ks_drops(&s));
    KS_EQ(BELIEVED_AFTER, s.rx_errors);
    stage_close(x);
}
END_TEST

/* The one try more that every network error has is not spent by them. */
START_TEST(stale_refusals_leave_the_retry_of_the_datagram)
{
    struct stage *x = stage_open(0);
    const struct kirim_addr dead = dead_peer();
    ks_send_number(x->n, 0, &x->to);
    script_refuse_reporting(x->p, 0, 3, KIRIM_ECONNRESET, &dead, true);
    script_refuse(x->p, 0, 1, KIRIM_ECONNRESET, 104);
    script_refuse_reporting(x->p, 0, 3, KIRIM_ECONNRESET, &dead, true);
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 1);
    KS_EQ(8, x->p->submit_count);
    stage_close(x);
}
END_TEST

START_TEST(refusals_without_end_are_believed_in_the_end)
{
    struct stage *x = stage_open(0);
    const struct kirim_addr dead = dead_peer();
    struct ks_op *o = ks_op(&x->t, 0);
    uint8_t bytes[KS_NUMBER_BYTES] = { 0 };
    script_refuse_reporting(x->p, 0, BELIEVED_AFTER + 2, KIRIM_ECONNRESET, &dead, true);
    stage_send_op(x, o, bytes);
    ks_send_number(x->n, 1, &x->to);
    ks_turn(&x->t);
    ks_turn(&x->t);
    KS_EQ(1, o->done_count);
    KS_ERR(KIRIM_ECONNRESET, o->err);
    script_check_sent(x->p, 1, 1); /* the next one has nothing to do with it */
    KS_EQ(BELIEVED_AFTER + 3, x->p->submit_count);
    KS_EQ(1, ks_stats(x->n).drops[KIRIM_DROP_RESET]);
    stage_close(x);
}
END_TEST

/* What those before it had to try says nothing about the next one. */
START_TEST(each_datagram_of_a_cut_train_has_its_own_tries)
{
    enum { TRAIN = 4 };
    struct stage *x = stage_open(0);
    const struct kirim_addr dead = dead_peer();
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    for (uint32_t i = 0; i < TRAIN; i++) {
        ks_number(bytes + (size_t)i * KS_NUMBER_BYTES, i);
        script_refuse_reporting(x->p, i == 0 ? 0 : 1, BELIEVED_AFTER, KIRIM_ECONNRESET, &dead,
                                true);
        script_refuse(x->p, 0, 1, KIRIM_ECONNRESET, 111);
    }
    const struct kirim_buf one = { bytes, sizeof bytes };
    const struct kirim_msg msg = { &one, &x->to, NULL, 1, KS_NUMBER_BYTES };
    KS_OK(ks_post_msg(x->n, &msg, _i == 0 ? 0 : (uint32_t)KIRIM_SEND_NOW, NULL));
    ks_turn(&x->t);
    script_check_sent(x->p, 0, TRAIN);
    KS_EQ(TRAIN, ks_stats(x->n).tx_datagrams);
    const struct kirim_endpoint_stats s = ks_stats(x->n);
    KS_EQ(0, ks_drops(&s));
    stage_close(x);
}
END_TEST

START_TEST(a_now_is_not_refused_for_somebody_else)
{
    struct stage *x = stage_open(0);
    const struct kirim_addr dead = dead_peer();
    x->n->on_failed = note_peer;
    x->t.mode = KIRIM_SEND_NOW;
    KS_CHECK(kirim_loop_deadline(x->t.loop) == KIRIM_NEVER);
    script_refuse_reporting(x->p, 0, 2, KIRIM_ENETUNREACH, &dead, true);
    ks_send_number(x->n, 0, &x->to);
    script_check_sent(x->p, 0, 1);
    KS_EQ(0, kirim_loop_deadline(x->t.loop)); /* there is something to receive */
    KS_EQ(0, kirim_loop_system_code(x->t.loop));
    KS_EQ(0, x->n->failed_count); /* and no callback from inside the call */
    ks_turn(&x->t);
    KS_EQ(2, x->n->failed_count);
    KS_CHECK(kirim_addr_equal(&dead, &told[1]));
    stage_close(x);
}
END_TEST

START_TEST(a_now_is_refused_at_last)
{
    struct stage *x = stage_open(0);
    const struct kirim_addr dead = dead_peer();
    x->t.mode = KIRIM_SEND_NOW;
    for (uint32_t i = 0; i < 3; i++) { /* each has as many tries as the first */
        script_refuse_reporting(x->p, 0, BELIEVED_AFTER + 2, KIRIM_ECONNRESET, &dead, true);
        KS_ERR(KIRIM_ECONNRESET, ks_send(x->n, "data", 4, &x->to, NULL));
        KS_EQ((i + 1) * (BELIEVED_AFTER + 2), x->p->submit_count);
    }
    KS_EQ(0, kirim_endpoint_queued_count(x->n->ep));
    stage_close(x);
}
END_TEST

/* The datagram is refused for itself, and the refusal has brought a report to light. */
START_TEST(a_report_beside_a_refusal_is_told)
{
    struct stage *x = stage_open(0);
    const struct kirim_addr dead = dead_peer();
    x->t.mode = _i == 0 ? 0 : KIRIM_SEND_NOW;
    script_refuse_reporting(x->p, 0, 1, KIRIM_EMSGSIZE, &dead, false);
    KS_ERR(_i == 0 ? KIRIM_OK : KIRIM_EMSGSIZE, ks_send(x->n, "data", 4, &x->to, NULL));
    KS_OK(kirim_endpoint_flush(x->n->ep));
    KS_EQ(1, x->p->submit_count);
    KS_EQ(0, kirim_loop_deadline(x->t.loop));
    ks_turn(&x->t);
    KS_EQ(_i == 0 ? 2 : 1, x->n->failed_count); /* the datagram's end, and the report */
    KS_EQ(KIRIM_EVENT_PEER_ERROR, x->n->event.kind);
    KS_ERR(KIRIM_EMSGSIZE, x->n->event.err);
    KS_CHECK(kirim_addr_equal(&dead, &x->n->event.peer));
    stage_close(x);
}
END_TEST

START_TEST(what_is_queued_at_the_close_is_not_lost_for_somebody_else)
{
    struct stage *x = stage_open(0);
    const struct kirim_addr dead = dead_peer();
    for (uint32_t i = 0; i < 4; i++) {
        ks_send_number(x->n, i, &x->to);
    }
    script_refuse_reporting(x->p, 1, 2, KIRIM_ECONNRESET, &dead, true);
    ks_node_close_and_wait(x->n);
    script_check_sent(x->p, 0, 4);
    KS_EQ(0, x->n->failed_count); /* nobody listens any more */
    KS_EQ(1, x->n->closed_count);
    stage_close(x);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("stale");
    TCase *const tcase = tcase_create("stale");
    tcase_add_test(tcase, an_innocent_datagram_is_submitted_again_until_it_leaves);
    tcase_add_test(tcase, stale_refusals_leave_the_retry_of_the_datagram);
    tcase_add_test(tcase, refusals_without_end_are_believed_in_the_end);
    tcase_add_loop_test(tcase, each_datagram_of_a_cut_train_has_its_own_tries, 0, 2);
    tcase_add_test(tcase, a_now_is_not_refused_for_somebody_else);
    tcase_add_test(tcase, a_now_is_refused_at_last);
    tcase_add_loop_test(tcase, a_report_beside_a_refusal_is_told, 0, 2);
    tcase_add_test(tcase, what_is_queued_at_the_close_is_not_lost_for_somebody_else);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
