/* SPDX-License-Identifier: MIT
 *
 * Claims about misuse that a build with KIRIM_CHECKS finds out: calls from a wrong thread, and of
 * endpoints that are gone. Without it the suite is skipped. On the scripted reactor.
 */
#include "support/stage.h"

#include <pthread.h>
#include <stdio.h>

#include "core.h"

/* ---- a wrong thread -------------------------------------------------------------------------- */

static void on_guest(struct kirim_guest *guest, uint32_t events)
{
    (void)guest;
    (void)events;
}

static void call_endpoint(struct stage *x)
{
    struct kirim_endpoint *ep = x->n->ep;
    const struct kirim_msg msg = { NULL, &x->to, NULL, 0, 0 };
    struct kirim_endpoint_stats stats = KIRIM_ENDPOINT_STATS_INIT;
    void *room = NULL;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_send(ep, &msg, 0, NULL, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_send_to(ep, "data", 4, &x->to));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_reserve(ep, 4, &room));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(ep, 4, &msg));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_flush(ep));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_discard(ep, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_buffers(ep, NULL, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_read_stats(ep, &stats));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_close(ep));
}

/* Every call that can say so; `x->n->ctx` is an operation that waits. */
static void *call_all(void *ctx)
{
    struct stage *x = ctx;
    struct kirim_loop *loop = x->t.loop;
    struct ks_op *o = x->n->ctx;
    const struct kirim_endpoint_options options = ks_endpoint_options(&x->t);
    struct kirim_endpoint *ep = NULL;
    struct kirim_guest guest = KIRIM_GUEST_INIT(on_guest, NULL);
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    struct ks_timer *timer = ks_timer(&x->t, 't');
    uint8_t random[4];
    intptr_t handle;
    call_endpoint(x);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(loop, &options, &ep));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_timer_arm(x->n->ep, &timer->timer, 1));
    KS_ERR(KIRIM_EINVAL, kirim_timer_arm(loop, &timer->timer, 1));
    KS_ERR(KIRIM_EINVAL, kirim_guest_watch(loop, &guest, 1, KIRIM_GUEST_READABLE));
    KS_ERR(KIRIM_EINVAL, kirim_loop_step(loop, 0));
    KS_ERR(KIRIM_EINVAL, kirim_loop_run(loop));
    KS_ERR(KIRIM_EINVAL, kirim_loop_random(loop, random, sizeof random));
    KS_ERR(KIRIM_EINVAL, kirim_loop_pollable(loop, &handle));
    KS_ERR(KIRIM_EINVAL, kirim_loop_read_stats(loop, &stats));
    KS_ERR(KIRIM_EINVAL, kirim_op_cancel(&o->op));
    KS_ERR(KIRIM_EINVAL, kirim_op_wait(&o->op, 0, NULL));
    return NULL;
}

static struct stage *open_with_waiting_op(void)
{
    struct stage *x = stage_open(0);
    struct ks_op *o = ks_op_polled(&x->t);
    x->p->room = 0;
    KS_SEND_OP(x->n, "data", 4, &x->to, o);
    x->n->ctx = o;
    return x;
}

START_TEST(a_call_from_a_wrong_thread_is_refused_and_does_nothing)
{
    struct stage *x = open_with_waiting_op();
    pthread_t thread;
    KS_EQ(0, pthread_create(&thread, NULL, call_all, x));
    KS_EQ(0, pthread_join(thread, NULL));
    KS_EQ(1, kirim_endpoint_queued_count(x->n->ep));
    stage_close(x); /* all of it is as it was */
}
END_TEST

static void *own_and_turn(void *ctx)
{
    struct stage *x = ctx;
    kirim_loop_own(x->t.loop);
    x->s->thread = pthread_self();
    ks_turn(&x->t);
    return NULL;
}

START_TEST(a_loop_can_be_taken_over_by_another_thread)
{
    struct stage *x = stage_open(0);
    pthread_t thread;
    KS_EQ(0, pthread_create(&thread, NULL, own_and_turn, x));
    KS_EQ(0, pthread_join(thread, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_loop_step(x->t.loop, 0));
    kirim_loop_own(x->t.loop);
    x->s->thread = pthread_self();
    ks_turn(&x->t);
    stage_close(x);
}
END_TEST

/* ---- use after the end ----------------------------------------------------------------------- */

static void check_gone(struct kirim_endpoint *ep, const struct kirim_addr *to)
{
    const struct kirim_msg msg = { NULL, to, NULL, 0, 0 };
    struct kirim_timer timer = KIRIM_TIMER_INIT(NULL, NULL);
    struct kirim_endpoint_stats stats = KIRIM_ENDPOINT_STATS_INIT;
    const struct kirim_datagram d = { .bytes = 0 };
    void *room = NULL;
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_send(ep, &msg, 0, NULL, NULL));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_send_to(ep, "data", 4, to));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_reply(ep, &d, 1, NULL));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_reserve(ep, 4, &room));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_commit(ep, 4, &msg));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_flush(ep));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_discard(ep, NULL));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_buffers(ep, NULL, NULL));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_timer_arm(ep, &timer, 1));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_read_stats(ep, &stats));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_close(ep));
}

START_TEST(an_endpoint_that_is_gone_answers_so)
{
    struct stage *x = stage_open(0);
    struct kirim_endpoint *ep = x->n->ep;
    ks_node_close(x->n);
    ks_turn(&x->t);
    KS_EQ(1, x->n->closed_count);
    check_gone(ep, &x->to);
    for (int i = 0; i < 1000; i++) { /* also when many went after it */
        struct ks_node *n = ks_node(&x->t);
        ks_node_close(n);
        ks_turn(&x->t);
    }
    check_gone(ep, &x->to);
    stage_close(x);
}
END_TEST

START_TEST(what_is_kept_of_the_gone_is_bounded)
{
    struct stage *x = stage_new(0);
    script_open(x->s);
    size_t blocks = 0;
    for (int i = 0; i < 1200; i++) {
        struct ks_node *n = ks_node(&x->t);
        ks_node_close(n);
        ks_turn(&x->t);
        blocks = i == 1100 ? x->t.memory.blocks : blocks;
    }
    KS_EQ(blocks, x->t.memory.blocks);
    stage_close(x);
}
END_TEST

int main(void)
{
    if (!KIRIM_CHECKS) {
        puts("checks: skipped, this build has no KIRIM_CHECKS");
        return 77;
    }
    Suite *const suite = suite_create("checks");
    TCase *const tcase = tcase_create("checks");
    tcase_add_test(tcase, a_call_from_a_wrong_thread_is_refused_and_does_nothing);
    tcase_add_test(tcase, a_loop_can_be_taken_over_by_another_thread);
    tcase_add_test(tcase, an_endpoint_that_is_gone_answers_so);
    tcase_add_test(tcase, what_is_kept_of_the_gone_is_bounded);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
