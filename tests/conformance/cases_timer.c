/* SPDX-License-Identifier: MIT
 *
 * Timers: never early, in the order of (deadline, arming), and what callbacks may do with them.
 * That a timer is not early is held by the fixture in every case.
 */
#include "conformance.h"

static void fires_once_at_its_deadline(struct ks *t)
{
    struct ks_timer *timer = ks_timer(t, 0);
    const uint64_t now_ns = kirim_loop_now(t->loop);
    ks_arm_in(timer, 3 * KS_MILLISECOND_NS);
    KS_CHECK(kirim_timer_is_armed(&timer->timer));
    KS_CHECK(timer->timer.deadline_ns >= now_ns + 3 * KS_MILLISECOND_NS);
    KS_CHECK(kirim_loop_deadline(t->loop) <= timer->timer.deadline_ns);
    KS_UNTIL(t, timer->fired_count == 1);
    KS_CHECK(!kirim_timer_is_armed(&timer->timer));
    KS_CHECK(timer->fired_at_ns - now_ns < 2ULL * KS_SECOND_NS);
    KS_EQ(KIRIM_NEVER, kirim_loop_deadline(t->loop));
    for (int i = 0; i < 3; i++) {
        ks_turn(t);
    }
    KS_EQ(1, timer->fired_count);
}

static void order_is_deadline_then_arming(struct ks *t)
{
    static const uint8_t delays_ms[] = { 5, 3, 3, 8, 0, 3, 1, 5 };
    const uint64_t base_ns = kirim_loop_now(t->loop);
    for (size_t i = 0; i < sizeof delays_ms; i++) {
        struct ks_timer *timer = ks_timer(t, (char)('a' + i));
        KS_OK(kirim_timer_arm(t->loop, &timer->timer,
                              base_ns + (uint64_t)delays_ms[i] * KS_MILLISECOND_NS));
    }
    KS_UNTIL(t, t->trace_count == sizeof delays_ms);
    KS_TRACE(t, "egbcfahd");
}

/* Many, at distances from nanoseconds to seconds, of which the later ones never fire. */
static void near_and_far(struct ks *t)
{
    const uint64_t base_ns = kirim_loop_now(t->loop);
    struct ks_timer *all[400];
    for (uint32_t i = 0; i < 400; i++) {
        all[i] = ks_timer(t, 0);
        const uint64_t delay_ns = i % 4 == 0
                                      ? (uint64_t)i * 1000 * KS_SECOND_NS + 3600ULL * KS_SECOND_NS
                                      : (i * 2654435761U) % (10 * KS_MILLISECOND_NS);
        KS_OK(kirim_timer_arm(t->loop, &all[i]->timer, base_ns + delay_ns));
    }
    struct ks_timer *last = ks_timer(t, 0);
    KS_OK(kirim_timer_arm(t->loop, &last->timer, base_ns + 10 * KS_MILLISECOND_NS));
    KS_UNTIL(t, last->fired_count == 1);
    for (uint32_t i = 0; i < 400; i++) {
        KS_EQ(i % 4 == 0 ? 0 : 1, all[i]->fired_count);
        KS_CHECK(kirim_timer_is_armed(&all[i]->timer) == (i % 4 == 0));
    }
}

static void arming_after_a_delay(struct ks *t)
{
    struct ks_timer *timer = ks_timer(t, 'a');
    const uint64_t now_ns = kirim_loop_now(t->loop);
    KS_OK(kirim_timer_arm_after(t->loop, &timer->timer, 2 * KS_MILLISECOND_NS));
    KS_CHECK(timer->timer.deadline_ns >= now_ns + 2 * KS_MILLISECOND_NS);
    KS_UNTIL(t, timer->fired_count == 1);
    KS_OK(kirim_timer_arm_after(t->loop, &timer->timer, 0));
    KS_OK(kirim_timer_arm_after(t->loop, &timer->timer, KIRIM_NEVER)); /* cancels */
    KS_CHECK(!kirim_timer_is_armed(&timer->timer));
    KS_OK(kirim_timer_arm_after(t->loop, &timer->timer, 0));
    KS_OK(
        kirim_timer_arm_after(t->loop, &timer->timer, KIRIM_NEVER - 1)); /* past the end of time */
    KS_CHECK(!kirim_timer_is_armed(&timer->timer));
    KS_ERR(KIRIM_EINVAL, kirim_timer_arm_after(NULL, &timer->timer, 0));
    KS_ERR(KIRIM_EINVAL, kirim_timer_arm_after(t->loop, NULL, 0));
    KS_OK(kirim_timer_arm_after(t->loop, &timer->timer, 0));
    KS_UNTIL(t, timer->fired_count == 2);
}

static void rearming_moves(struct ks *t)
{
    const uint64_t base_ns = kirim_loop_now(t->loop);
    struct ks_timer *a = ks_timer(t, 'a');
    struct ks_timer *b = ks_timer(t, 'b');
    struct ks_timer *c = ks_timer(t, 'c');
    KS_OK(kirim_timer_arm(t->loop, &a->timer, base_ns + KS_MILLISECOND_NS));
    KS_OK(kirim_timer_arm(t->loop, &b->timer, base_ns + 2 * KS_MILLISECOND_NS));
    KS_OK(kirim_timer_arm(t->loop, &c->timer, base_ns + 3600ULL * KS_SECOND_NS));
    KS_OK(kirim_timer_arm(t->loop, &a->timer, base_ns + 2 * KS_MILLISECOND_NS)); /* now behind b */
    KS_OK(kirim_timer_arm(t->loop, &c->timer, base_ns));
    KS_UNTIL(t, t->trace_count == 3);
    KS_TRACE(t, "cba");
}

static void cancelling_is_final(struct ks *t)
{
    struct ks_timer *a = ks_timer(t, 'a');
    struct ks_timer *b = ks_timer(t, 'b');
    struct ks_timer *c = ks_timer(t, 'c');
    kirim_timer_cancel(&a->timer); /* idle: nothing happens */
    ks_arm_in(a, 0);
    ks_arm_in(b, 0);
    ks_arm_in(c, KS_MILLISECOND_NS);
    kirim_timer_cancel(&a->timer);
    KS_CHECK(!kirim_timer_is_armed(&a->timer));
    KS_OK(kirim_timer_arm(t->loop, &b->timer, KIRIM_NEVER)); /* the same in other words */
    KS_CHECK(!kirim_timer_is_armed(&b->timer));
    KS_UNTIL(t, c->fired_count == 1);
    KS_TRACE(t, "c");
}

static void arm_others(struct ks_timer *timer)
{
    struct ks_timer *const *all = timer->ctx;
    if (timer->fired_count == 1) {
        ks_arm_in(timer, 0);                  /* itself, for now: a later turn */
        ks_arm_in(all[1], 0);                 /* an idle one, the same */
        kirim_timer_cancel(&all[2]->timer);   /* one that is due in this very stage */
        ks_arm_in(all[3], KS_MILLISECOND_NS); /* one that is due in this stage: later */
        KS_OK(kirim_timer_arm(timer->t->loop, &all[4]->timer, 1)); /* long past */
    }
}

static void callbacks_arm_and_cancel(struct ks *t)
{
    struct ks_timer *all[5];
    for (size_t i = 0; i < 5; i++) {
        all[i] = ks_timer(t, (char)('a' + i));
    }
    all[0]->ctx = all;
    all[0]->hook = arm_others;
    ks_arm_in(all[0], 0);
    const uint64_t deadline_ns = all[0]->timer.deadline_ns;
    KS_OK(kirim_timer_arm(t->loop, &all[2]->timer, deadline_ns));
    KS_OK(kirim_timer_arm(t->loop, &all[3]->timer, deadline_ns));
    KS_UNTIL(t, all[0]->fired_count == 1);
    KS_TRACE(t, "a"); /* what it armed did not fire in the same turn */
    KS_UNTIL(t, all[3]->fired_count == 1);
    KS_TRACE(t, "aeabd");
    KS_EQ(0, all[2]->fired_count);
}

static void rearm_for_now(struct ks_timer *timer)
{
    if (timer->fired_count < 10) {
        ks_arm_in(timer, 0);
    }
}

static void timer_for_now_does_not_hold_up_the_turn(struct ks *t)
{
    struct ks_timer *timer = ks_timer(t, 0);
    timer->hook = rearm_for_now;
    ks_arm_in(timer, 0);
    for (size_t i = 1; i <= 5; i++) {
        ks_turn(t);
        KS_CHECK(timer->fired_count <= i);
    }
    KS_UNTIL(t, timer->fired_count == 10);
}

static void dies_with_its_endpoint(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_timer *of_a[3];
    struct ks_timer *of_b = ks_timer(t, 'b');
    struct ks_timer *free_one = ks_timer(t, 'f');
    for (size_t i = 0; i < 3; i++) {
        of_a[i] = ks_timer(t, 'a');
        KS_OK(kirim_endpoint_timer_arm(a->ep, &of_a[i]->timer, kirim_loop_now(t->loop)));
    }
    KS_OK(
        kirim_endpoint_timer_arm(b->ep, &of_b->timer, kirim_loop_now(t->loop) + KS_MILLISECOND_NS));
    ks_arm_in(free_one, 2 * KS_MILLISECOND_NS);
    ks_node_close(a);
    for (size_t i = 0; i < 3; i++) {
        KS_CHECK(!kirim_timer_is_armed(&of_a[i]->timer));
    }
    KS_UNTIL(t, free_one->fired_count == 1);
    KS_TRACE(t, "bf");
    KS_OK(kirim_endpoint_timer_arm(b->ep, &of_a[0]->timer, 1)); /* free to serve another one */
    KS_UNTIL(t, of_a[0]->fired_count == 1);
}

static void misuse_is_refused(struct ks *t)
{
    struct ks_timer *timer = ks_timer(t, 0);
    struct ks_node *a = ks_node(t);
    struct kirim_timer mute = KIRIM_TIMER_INIT(NULL, NULL);
    struct ks other;
    ks_init(&other, t->reactor, t->family);
    ks_open(&other);
    KS_ERR(KIRIM_EINVAL, kirim_timer_arm(NULL, &timer->timer, 1));
    KS_ERR(KIRIM_EINVAL, kirim_timer_arm(t->loop, NULL, 1));
    KS_ERR(KIRIM_EINVAL, kirim_timer_arm(t->loop, &mute, 1));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_timer_arm(NULL, &timer->timer, 1));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_timer_arm(a->ep, NULL, 1));
    ks_arm_in(timer, 3600ULL * KS_SECOND_NS);
    KS_ERR(KIRIM_EINVAL, kirim_timer_arm(other.loop, &timer->timer, 1));
    KS_CHECK(kirim_timer_is_armed(&timer->timer));
    kirim_timer_cancel(&timer->timer);
    KS_OK(kirim_timer_arm(other.loop, &timer->timer,
                          3600ULL * KS_SECOND_NS + kirim_loop_now(other.loop)));
    kirim_timer_cancel(&timer->timer);
    ks_close(&other);
}

static void statistics_count(struct ks *t)
{
    struct kirim_loop_stats s = KIRIM_LOOP_STATS_INIT;
    struct ks_timer *timer = ks_timer(t, 0);
    ks_arm_in(ks_timer(t, 0), 3600ULL * KS_SECOND_NS);
    ks_arm_in(timer, 0);
    KS_OK(kirim_loop_read_stats(t->loop, &s));
    KS_EQ(2, s.timers_armed);
    KS_UNTIL(t, timer->fired_count == 1);
    KS_OK(kirim_loop_read_stats(t->loop, &s));
    KS_EQ(1, s.timers_armed);
    KS_EQ(1, s.timers_fired);
    KS_CHECK(kirim_loop_timer_resolution_ns(t->loop) <= 20 * KS_MILLISECOND_NS);
}

static const struct kc_case cases[] = {
    KC("timer_fires_once_and_not_early", "", fires_once_at_its_deadline, KC_LIVE, 0),
    KC("timers_fire_by_deadline_then_arming", "", order_is_deadline_then_arming, KC_LIVE, 0),
    KC("near_and_far_timers_live_together", "", near_and_far, KC_LIVE, 0),
    KC("timer_is_armed_after_a_delay", "", arming_after_a_delay, KC_LIVE, 0),
    KC("rearming_moves_a_timer", "", rearming_moves, KC_LIVE, 0),
    KC("cancelled_timer_never_fires", "", cancelling_is_final, KC_LIVE, 0),
    KC("callbacks_arm_and_cancel_timers", "", callbacks_arm_and_cancel, KC_LIVE, 0),
    KC("timer_for_now_does_not_hold_up_the_turn", "", timer_for_now_does_not_hold_up_the_turn,
       KC_LIVE, 0),
    KC("timer_dies_with_its_endpoint", "S26", dies_with_its_endpoint, KC_LIVE, 0),
    KC("misuse_of_timers_is_refused", "", misuse_is_refused, KC_CHECKED, 0),
    KC("timers_are_counted", "", statistics_count, KC_LIVE, 0),
};

const struct kc_subject kc_timer = KC_SUBJECT("timer", cases);
