/* SPDX-License-Identifier: MIT
 *
 * What may be done inside a callback is done inside each of them: sending, closing, cancelling,
 * opening, arming (S21, S22, S26).
 *
 * That nothing nests and that nothing comes behind a close is held by the fixture in every case.
 */
#include "scene.h"
#include "support/ks_spy.h"

/* ---- sending --------------------------------------------------------------------------------- */

static void send_two(struct kc_scene *s)
{
    const struct ks *t = s->t;
    const uint64_t before = ks_stats(s->a).tx_datagrams;
    KS_SEND(s->a, "one", 3, &s->b->addr);
    KS_SEND_OP(s->a, "two", 3, &s->b->addr, s->o);
    if (t->mode == KIRIM_SEND_NOW) {
        KS_EQ(before + 2, ks_stats(s->a).tx_datagrams); /* before this callback returns */
    }
}

static void sending(struct ks *t)
{
    struct kc_scene s;
    kc_scene_init(&s, t);
    s.o = ks_op(t, 0);
    kc_scene_play(&s, send_two);
    KS_EXPECT(s.b, "one", 3);
    KS_EXPECT(s.b, "two", 3);
    KS_UNTIL(t, s.o->done_count == 1);
    KS_OK(s.o->err);
    KS_EXPECT_END(s.b, s.a);
    kc_scene_fini(&s);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void close_self(struct kc_scene *s)
{
    struct ks_node *n = s->self != NULL ? s->self : s->a;
    KS_SEND(n, "farewell", 8, &s->b->addr);
    KS_SEND_OP(n, "with an operation", 17, &s->b->addr, s->o);
    ks_node_close(n);
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_close(n->ep));
    KS_ERR(KIRIM_ECLOSED, ks_send(n, "x", 1, &s->b->addr, NULL));
    KS_EQ(0, n->closed_count);
}

static void closing_self(struct ks *t)
{
    struct kc_scene s;
    kc_scene_init(&s, t);
    s.o = ks_op(t, 0);
    kc_scene_play(&s, close_self);
    struct ks_node *n = s.self != NULL ? s.self : s.a;
    KS_UNTIL(t, n->closed_count == 1);
    KS_EQ(1, s.o->done_count);
    KS_OK(s.o->err);
    KS_EXPECT(s.b, "farewell", 8);
    KS_EXPECT(s.b, "with an operation", 17);
    ks_settle(t);
    KS_EQ(1, n->closed_count);
    kc_scene_fini(&s);
}

static void close_both(struct kc_scene *s)
{
    ks_node_close(s->a);
    ks_node_close(s->b);
}

/* Both have a datagram to receive in the turn in which they are closed. */
static void closing_others(struct ks *t)
{
    struct kc_scene s;
    kc_scene_init(&s, t);
    struct ks_node *sender = ks_node(t);
    KS_SEND(sender, "to a", 4, &s.a->addr);
    KS_SEND(sender, "to b", 4, &s.b->addr);
    kc_scene_play(&s, close_both);
    KS_UNTIL(t, s.a->closed_count == 1 && s.b->closed_count == 1);
    ks_settle(t);
    kc_scene_fini(&s);
}

/* The end of the loop right behind it, with everything still open. */
static void closing_the_loop_after(struct ks *t)
{
    struct kc_scene s;
    kc_scene_init(&s, t);
    s.o = ks_op(t, 0);
    kc_scene_play(&s, close_self);
    kc_scene_fini(&s);
    ks_close_loop(t);
}

/* ---- cancelling and discarding --------------------------------------------------------------- */

static void cancel_it(struct kc_scene *s)
{
    KS_EQ(0, s->o->done_count);
    KS_OK(kirim_op_cancel(&s->o->op));
    KS_EQ(0, s->o->done_count);
    KS_CHECK(kirim_op_is_pending(&s->o->op));
}

static void cancelling(struct ks *t)
{
    struct kc_scene s;
    kc_scene_init(&s, t);
    s.o = ks_op(t, 0);
    ks_spy_block(t);
    KS_ERR(KIRIM_PENDING, ks_send(s.a, "never", 5, &s.b->addr, s.o));
    ks_turn(t); /* a is stuck; the others may go on */
    ks_spy_strand(t);
    kc_scene_play(&s, cancel_it);
    KS_UNTIL(t, s.o->done_count == 1);
    KS_ERR(KIRIM_EABORTED, s.o->err);
    struct ks_node *other = ks_node(t);
    KS_EXPECT_END(s.b, other);
    kc_scene_fini(&s);
}

static void discard_it(struct kc_scene *s)
{
    size_t dropped = KS_UNTOUCHED;
    KS_OK(kirim_endpoint_discard(s->a->ep, &dropped));
    KS_EQ(2, dropped);
    KS_EQ(0, s->o->done_count);
}

static void discarding(struct ks *t)
{
    struct kc_scene s;
    kc_scene_init(&s, t);
    s.o = ks_op(t, 0);
    t->mode = 0;
    ks_spy_block(t);
    KS_SEND(s.a, "never", 5, &s.b->addr);
    KS_SEND_OP(s.a, "ever", 4, &s.b->addr, s.o);
    ks_turn(t);
    ks_spy_strand(t);
    kc_scene_play(&s, discard_it);
    KS_UNTIL(t, s.o->done_count == 1);
    KS_ERR(KIRIM_EABORTED, s.o->err);
    KS_EQ(2, ks_stats(s.a).drops[KIRIM_DROP_DISCARDED]);
    kc_scene_fini(&s);
}

/* ---- opening and arming ---------------------------------------------------------------------- */

static void open_another(struct kc_scene *s)
{
    struct ks_node *n = ks_node(s->t);
    struct ks_timer *timer = ks_timer(s->t, 't');
    KS_OK(kirim_endpoint_timer_arm(n->ep, &timer->timer, 0));
    KS_SEND(s->a, "welcome", 7, &n->addr);
    n->ctx = s;
    s->self = n;
}

static void opening(struct ks *t)
{
    struct kc_scene s;
    kc_scene_init(&s, t);
    kc_scene_play(&s, open_another);
    KS_EXPECT(s.self, "welcome", 7);
    KS_UNTIL(t, t->trace_count == 1);
    KS_TRACE(t, "t");
    kc_scene_fini(&s);
}

/* ---- what is over when a callback returns ---------------------------------------------------- */

static void commit_too_late(struct ks_timer *timer)
{
    const struct kc_scene *s = timer->ctx;
    const struct kirim_msg msg = { .peer = &s->b->addr };
    const struct kirim_datagram d = { .data = (uint8_t *)&timer->mark,
                                      .bytes = 1,
                                      .peer = s->b->addr };
    const struct kirim_buf one = { &timer->mark, 1 };
    const struct kirim_msg lent = { &one, &s->b->addr, NULL, 1, 0 };
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(s->a->ep, 1, &msg));
    KS_ERR(KIRIM_EINVAL, ks_post_msg(s->a, &lent, s->t->mode | KIRIM_SEND_LENT, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_reply(s->a->ep, &d, 1, NULL));
}

static void reserve_only(struct kc_scene *s)
{
    struct ks_timer *timer = ks_timer(s->t, 't');
    void *room = NULL;
    timer->ctx = s;
    timer->hook = commit_too_late;
    ks_arm_in(timer, 0); /* in the same turn, if its timers are still to come */
    KS_OK(kirim_endpoint_reserve(s->a->ep, 10, &room));
}

static void lending(struct ks *t)
{
    struct kc_scene s;
    kc_scene_init(&s, t);
    kc_scene_play(&s, reserve_only);
    KS_UNTIL(t, t->trace_count == 1);
    KS_EXPECT_END(s.b, s.a);
    kc_scene_fini(&s);
}

/* ---- what a callback may not do -------------------------------------------------------------- */

static void turn_inside(struct kc_scene *s)
{
    size_t count = KS_UNTOUCHED;
    KS_ERR(KIRIM_EINVAL, kirim_loop_step(s->t->loop, 0));
    KS_ERR(KIRIM_EINVAL, kirim_loop_run(s->t->loop));
    KS_ERR(KIRIM_EINVAL, kirim_loop_close(s->t->loop));
    KS_ERR(KIRIM_EINVAL, ks_op_wait(s->o, 0, &count));
    KS_EQ(KS_UNTOUCHED, count);
}

static void turning(struct ks *t)
{
    struct kc_scene s;
    kc_scene_init(&s, t);
    s.o = ks_op_polled(t);
    ks_spy_block(t);
    KS_ERR(KIRIM_PENDING, ks_send(s.a, "x", 1, &s.b->addr, s.o));
    ks_turn(t);
    ks_spy_strand(t);
    kc_scene_play(&s, turn_inside);
    KS_OK(kirim_op_cancel(&s.o->op));
    KS_ERR(KIRIM_EABORTED, ks_op_wait(s.o, t->patience_ns, NULL));
    kc_scene_fini(&s);
}

static const struct kc_case cases[] = {
    KC_PLACES("datagrams_leave_from_", "S21 S22", sending, KC_LIVE, KC_MODES),
    KC_PLACES("endpoint_closes_itself_in_", "S26 S22", closing_self, KC_LIVE, KC_MODES),
    KC_PLACES("ready_endpoints_are_closed_in_", "S26", closing_others, KC_LIVE, 0),
    KC_PLACES("loop_is_closed_after_a_close_in_", "S26", closing_the_loop_after, KC_LIVE, 0),
    KC_PLACES("operation_is_cancelled_in_", "S49 S22", cancelling, KC_SPY, KC_MODES),
    KC_PLACES("queue_is_discarded_in_", "S27 S49", discarding, KC_SPY, 0),
    KC_PLACES("endpoint_is_opened_in_", "", opening, KC_LIVE, KC_MODES),
    KC_PLACES("what_was_lent_is_over_after_", "", lending, KC_LIVE, KC_MODES),
    KC_PLACES("turns_and_waits_are_refused_in_", "S17 S22", turning, KC_CHECKED, 0),
};

const struct kc_subject kc_place = KC_SUBJECT("place", cases);
