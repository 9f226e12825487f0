/* SPDX-License-Identifier: MIT
 *
 * Claims about loops whose turns others run (KIRIM_CAP_DRIVEN): what the driver is told, and what
 * is refused. On the scripted reactor.
 */
#include "support/stage.h"

static void drive(struct stage *x)
{
    x->t.is_turn = true;
    script_drive(x->s);
    x->t.is_turn = false;
}

/* What the driver was told since the last call: KIRIM_NEVER also if nothing. */
static uint64_t take_rearm(struct stage *x)
{
    const uint64_t rearm_ns = x->s->has_rearmed ? x->s->rearm_ns : KIRIM_NEVER;
    x->s->has_rearmed = false;
    return rearm_ns;
}

START_TEST(turns_of_ones_own_are_refused)
{
    struct stage *x = stage_open(KIRIM_CAP_DRIVEN);
    struct ks_op *o = ks_op_polled(&x->t);
    KS_SEND_OP(x->n, "data", 4, &x->to, o);
    KS_ERR(KIRIM_EINVAL, kirim_loop_step(x->t.loop, 0));
    KS_ERR(KIRIM_EINVAL, kirim_loop_run(x->t.loop));
    KS_ERR(KIRIM_EINVAL, kirim_op_wait(&o->op, 0, NULL));
    drive(x);
    KS_OK(kirim_op_wait(&o->op, 0, NULL)); /* it has ended: there is nothing to wait for */
    stage_close(x);
}
END_TEST

START_TEST(a_send_outside_of_turns_makes_a_turn_due_at_once)
{
    struct stage *x = stage_open(KIRIM_CAP_DRIVEN);
    KS_EQ(KIRIM_NEVER, take_rearm(x));
    ks_send_number(x->n, 0, &x->to);
    KS_EQ(0, take_rearm(x));
    KS_EQ(0, x->p->sent_count);
    drive(x);
    script_check_sent(x->p, 0, 1);
    KS_EQ(KIRIM_NEVER, x->s->rearm_ns);
    stage_close(x);
}
END_TEST

START_TEST(the_driver_is_told_only_of_what_is_nearer)
{
    struct stage *x = stage_open(KIRIM_CAP_DRIVEN);
    struct ks_timer *far = ks_timer(&x->t, 'f');
    struct ks_timer *near = ks_timer(&x->t, 'n');
    drive(x);
    (void)take_rearm(x);
    const size_t count = x->s->rearm_count;
    ks_arm_in(far, 1000);
    KS_EQ(far->timer.deadline_ns, take_rearm(x));
    ks_arm_in(near, 500);
    KS_EQ(near->timer.deadline_ns, take_rearm(x));
    ks_arm_in(far, 2000);
    ks_arm_in(near, 700);
    kirim_timer_cancel(&far->timer);
    KS_EQ(count + 2, x->s->rearm_count);
    ks_send_number(x->n, 0, &x->to);
    KS_EQ(0, take_rearm(x));
    ks_send_number(x->n, 1, &x->to);
    KS_EQ(count + 3, x->s->rearm_count);
    drive(x);
    KS_EQ(near->timer.deadline_ns, take_rearm(x)); /* at the end of a turn, whatever it is */
    stage_close(x);
}
END_TEST

static void arm_nearer(struct ks_timer *timer)
{
    ks_arm_in(timer->ctx, 1);
}

START_TEST(inside_a_turn_the_driver_is_told_once_at_its_end)
{
    struct stage *x = stage_open(KIRIM_CAP_DRIVEN);
    struct ks_timer *first = ks_timer(&x->t, 'a');
    struct ks_timer *second = ks_timer(&x->t, 'b');
    first->hook = arm_nearer;
    first->ctx = second;
    ks_arm_in(first, 10);
    x->s->now_ns += 10;
    const size_t count = x->s->rearm_count;
    drive(x);
    KS_EQ(count + 1, x->s->rearm_count);
    KS_EQ(second->timer.deadline_ns, x->s->rearm_ns);
    x->s->now_ns += 1;
    drive(x);
    KS_TRACE(&x->t, "ab");
    KS_EQ(KIRIM_NEVER, x->s->rearm_ns);
    stage_close(x);
}
END_TEST

START_TEST(work_that_is_left_makes_the_next_turn_due_at_once)
{
    struct stage *x = stage_open(KIRIM_CAP_DRIVEN);
    struct ks_op *o = ks_op(&x->t, 'o');
    x->s->slot_count = 1000;
    script_arrive_numbers(x->p, 0, 300, &x->to);
    drive(x);
    KS_EQ(0, take_rearm(x)); /* of the flood only a share was handed over */
    drive(x);
    KS_EQ(300, x->n->rx_count);
    KS_EQ(KIRIM_NEVER, take_rearm(x));
    KS_SEND_OP(x->n, "data", 4, &x->to, o);
    drive(x);
    KS_EQ(0, take_rearm(x)); /* an operation has ended in its flush */
    drive(x);
    KS_TRACE(&x->t, "o");
    ks_node_close(x->n);
    KS_EQ(0, take_rearm(x));
    drive(x);
    KS_EQ(1, x->n->closed_count);
    stage_close(x);
}
END_TEST

START_TEST(what_the_reactor_tells_before_a_turn_is_done_in_it)
{
    struct stage *x = stage_open(KIRIM_CAP_DRIVEN);
    struct ks_op *o = ks_op(&x->t, 'o');
    x->p->fly_every = 1;
    KS_SEND_OP(x->n, "fly", 4, &x->to, o);
    drive(x);
    KS_EQ(KIRIM_NEVER, take_rearm(x));
    x->p->room = 0;
    ks_send_number(x->n, 7, &x->to);
    drive(x);
    KS_EQ(KIRIM_NEVER, take_rearm(x)); /* it waits for the system */
    script_end_all(x->p, KIRIM_OK);
    x->p->room = SCRIPT_NO_LIMIT;
    drive(x);
    KS_TRACE(&x->t, "o");
    KS_EQ(2, x->p->sent_count);
    stage_close(x);
}
END_TEST

static void on_guest(struct kirim_guest *guest, uint32_t events)
{
    (void)guest;
    (void)events;
}

START_TEST(the_driver_is_told_when_nothing_is_left_to_run_for)
{
    struct stage *x = stage_new(KIRIM_CAP_DRIVEN);
    script_open(x->s);
    KS_EQ(0, x->s->rearm_count); /* a new one is idle */
    x->n = ks_node(&x->t);
    KS_EQ(KIRIM_NEVER, take_rearm(x));
    KS_CHECK(!x->s->is_rearmed_idle);
    ks_node_close(x->n);
    drive(x);
    KS_CHECK(x->s->is_rearmed_idle);
    struct ks_timer *timer = ks_timer(&x->t, 't');
    ks_arm_in(timer, 5);
    KS_CHECK(!x->s->is_rearmed_idle);
    kirim_timer_cancel(&timer->timer);
    KS_CHECK(x->s->is_rearmed_idle);
    struct kirim_guest guest = KIRIM_GUEST_INIT(on_guest, NULL);
    KS_OK(kirim_guest_watch(x->t.loop, &guest, 1, KIRIM_GUEST_READABLE));
    KS_CHECK(!x->s->is_rearmed_idle);
    kirim_guest_remove(&guest);
    KS_CHECK(x->s->is_rearmed_idle);
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    KS_CHECK(!x->s->is_rearmed_idle);
    kirim_remote_release(remote);
    KS_CHECK(x->s->is_wake_due); /* any thread may give it back: a turn tells the driver */
    drive(x);
    KS_CHECK(x->s->is_rearmed_idle);
    stage_close(x);
}
END_TEST

START_TEST(closing_a_driven_loop_waits_for_its_flights)
{
    struct stage *x = stage_open(KIRIM_CAP_DRIVEN);
    struct ks_op *o = ks_op(&x->t, 'o');
    x->p->fly_every = 1;
    KS_SEND_OP(x->n, "fly", 4, &x->to, o);
    drive(x);
    const size_t count = x->s->rearm_count;
    ks_close_loop(&x->t);
    KS_ERR(KIRIM_EABORTED, o->err);
    KS_EQ(count, x->s->rearm_count); /* nobody is to run a turn of it any more */
    stage_close(x);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("driven");
    TCase *const tcase = tcase_create("driven");
    tcase_add_test(tcase, turns_of_ones_own_are_refused);
    tcase_add_test(tcase, a_send_outside_of_turns_makes_a_turn_due_at_once);
    tcase_add_test(tcase, the_driver_is_told_only_of_what_is_nearer);
    tcase_add_test(tcase, inside_a_turn_the_driver_is_told_once_at_its_end);
    tcase_add_test(tcase, work_that_is_left_makes_the_next_turn_due_at_once);
    tcase_add_test(tcase, what_the_reactor_tells_before_a_turn_is_done_in_it);
    tcase_add_test(tcase, the_driver_is_told_when_nothing_is_left_to_run_for);
    tcase_add_test(tcase, closing_a_driven_loop_waits_for_its_flights);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
