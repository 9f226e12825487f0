/* SPDX-License-Identifier: MIT
 *
 * Claims about what callbacks may do: close anything, free what is theirs, take away what is due,
 * and what they may not do. On the scripted reactor.
 */
#include "support/stage.h"

/* ---- closing in every callback --------------------------------------------------------------- */

enum { KEEP, FLY, WAIT, OP_COUNT };

/* An endpoint to which everything is about to happen when it is closed. */
struct victim {
    struct stage *x;
    struct ks_op *op[OP_COUNT];
    struct ks_timer *timer;
    struct ks_node *other;
    struct ks_post *post;
    struct kirim_guest guest;
    struct kirim_remote *remote;
    int where; /* the callback that closes it */
};

enum {
    IN_RECEIVED,
    IN_FAILED,
    IN_WRITABLE,
    IN_OP,
    IN_OWN_TIMER,
    IN_GUEST,
    IN_POST,
    IN_CLOSED,
    IN_OTHER_RECEIVED,
    IN_NONE,
    PLACE_COUNT
};

static void close_if(struct victim *v, int where)
{
    if (v->where == where && !v->x->n->is_closing) {
        ks_node_close(v->x->n);
    }
}

static void in_received(struct ks_node *n, const struct kirim_batch *batch)
{
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, batch->count / 4 + 1, NULL));
    close_if(n->ctx, IN_RECEIVED);
}

static void in_other_received(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)batch;
    close_if(n->ctx, IN_OTHER_RECEIVED);
}

static void in_failed(struct ks_node *n)
{
    close_if(n->ctx, IN_FAILED);
}

static void in_writable(struct ks_node *n)
{
    close_if(n->ctx, IN_WRITABLE);
}

static void in_closed(struct ks_node *n)
{
    close_if(n->ctx, IN_CLOSED);
}

static void in_op(struct ks_op *o)
{
    close_if(o->ctx, IN_OP);
}

static void in_timer(struct ks_timer *timer)
{
    close_if(timer->ctx, IN_OWN_TIMER);
}

static void in_post(struct ks_post *post)
{
    close_if(post->ctx, IN_POST);
}

static void in_guest(struct kirim_guest *guest, uint32_t events)
{
    struct victim *v = guest->user;
    (void)events;
    ks_enter(&v->x->t, 0);
    close_if(v, IN_GUEST);
    ks_leave(&v->x->t);
}

/* Sends of every fate: one has ended, one flies, one is lost, one waits, one is refused. */
static void send_all(struct victim *v)
{
    struct stage *x = v->x;
    for (int i = 0; i < OP_COUNT; i++) {
        v->op[i] = ks_op(&x->t, 0);
        v->op[i]->hook = in_op;
        v->op[i]->ctx = v;
    }
    KS_SEND_OP(x->n, "kept", 4, &x->to, v->op[KEEP]);
    script_refuse(x->p, 1, 1, KIRIM_EMSGSIZE, 90);
    KS_SEND(x->n, "lost", 4, &x->to);
    KS_OK(kirim_endpoint_flush(x->n->ep));
    x->p->fly_every = 1;
    KS_SEND_OP(x->n, "flown", 5, &x->to, v->op[FLY]);
    KS_OK(kirim_endpoint_flush(x->n->ep));
    x->p->room = 0;
    KS_SEND_OP(x->n, "waits", 5, &x->to, v->op[WAIT]);
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_flush(x->n->ep));
    x->p->room = v->where == IN_WRITABLE ? SCRIPT_NO_LIMIT : 0;
}

static struct victim *victim_new(int where)
{
    struct victim *v = calloc(1, sizeof *v);
    KS_CHECK(v != NULL);
    struct stage *x = stage_open(0);
    v->x = x;
    v->where = where;
    struct script_port *other = stage_add(x, &v->other);
    x->n->ctx = v;
    x->n->on_received = in_received;
    x->n->on_failed = in_failed;
    x->n->on_writable = in_writable;
    v->other->ctx = v;
    v->other->on_received = in_other_received;
    v->other->on_closed = in_closed;
    send_all(v);
    v->timer = ks_timer(&x->t, 0);
    v->timer->hook = in_timer;
    v->timer->ctx = v;
    KS_OK(kirim_endpoint_timer_arm(x->n->ep, &v->timer->timer, 1));
    v->guest = (struct kirim_guest)KIRIM_GUEST_INIT(in_guest, v);
    KS_OK(kirim_guest_watch(x->t.loop, &v->guest, 3, KIRIM_GUEST_READABLE));
    script_guest_events(x->s, &v->guest, KIRIM_GUEST_READABLE);
    v->post = ks_post(&x->t, 0);
    v->post->hook = in_post;
    v->post->ctx = v;
    v->remote = kirim_loop_remote(x->t.loop);
    KS_OK(kirim_remote_post(v->remote, &v->post->post));
    script_arrive_numbers(other, 0, 1, &x->to);
    script_arrive_error(x->p, KIRIM_ECONNRESET, 111, &x->to, 0);
    script_arrive_numbers(x->p, 0, 500, &x->to);
    return v;
}

static void victim_free(struct victim *v)
{
    kirim_guest_remove(&v->guest);
    kirim_remote_release(v->remote);
    stage_close(v->x); /* checks that every end came once */
    free(v);
}

START_TEST(an_endpoint_may_be_closed_in_every_callback)
{
    struct victim *v = victim_new(_i);
    struct stage *x = v->x;
    x->p->is_close_held = true;
    if (_i == IN_NONE) {
        ks_node_close(x->n);
    } else if (_i == IN_CLOSED) {
        ks_node_close(v->other);
    }
    for (int i = 0; i < 4; i++) {
        ks_turn(&x->t);
    }
    KS_CHECK(x->n->is_closing);
    KS_EQ(0, x->n->closed_count); /* something of it still flies */
    x->p->is_close_held = false;
    ks_turn(&x->t);
    ks_turn(&x->t);
    KS_EQ(1, x->n->closed_count);
    for (int i = 0; i < OP_COUNT; i++) {
        KS_EQ(1, v->op[i]->done_count);
    }
    KS_CHECK(!kirim_timer_is_armed(&v->timer->timer));
    const bool is_before_timers = _i != IN_OWN_TIMER && _i != IN_CLOSED;
    KS_EQ(is_before_timers ? 0 : 1, v->timer->fired_count);
    victim_free(v);
}
END_TEST

START_TEST(an_endpoint_without_operations_is_gone_at_the_end_of_the_turn_that_closes_it)
{
    struct stage *x = stage_open(0);
    struct victim v = { .x = x, .where = IN_RECEIVED };
    x->n->ctx = &v;
    x->n->on_received = in_received;
    script_arrive_numbers(x->p, 0, 3, &x->to);
    ks_turn(&x->t);
    KS_EQ(1, x->n->closed_count);
    stage_close(x);
}
END_TEST

/* ---- freeing --------------------------------------------------------------------------------- */

static size_t freed_count;

static void free_op(struct kirim_op *op, kirim_err err, size_t sent_bytes)
{
    (void)err;
    (void)sent_bytes;
    freed_count++;
    free(op);
}

static void free_timer(struct kirim_timer *timer)
{
    freed_count++;
    free(timer);
}

static void free_post(struct kirim_post *post, struct kirim_loop *loop, kirim_err err)
{
    (void)loop;
    (void)err;
    freed_count++;
    free(post);
}

static void free_guest(struct kirim_guest *guest, uint32_t events)
{
    (void)events;
    freed_count++;
    kirim_guest_remove(guest);
    free(guest);
}

START_TEST(a_callback_may_free_what_it_is_called_with)
{
    struct stage *x = stage_open(0);
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    const struct kirim_buf buf = { NULL, 0 };
    const struct kirim_msg msg = { &buf, &x->to, NULL, 1, 0 };
    freed_count = 0;
    for (int i = 0; i < 3; i++) {
        struct kirim_op *op = calloc(1, sizeof *op);
        struct kirim_timer *timer = calloc(1, sizeof *timer);
        struct kirim_post *post = calloc(1, sizeof *post);
        struct kirim_guest *guest = calloc(1, sizeof *guest);
        KS_CHECK(op != NULL && timer != NULL && post != NULL && guest != NULL);
        op->done = free_op;
        timer->expired = free_timer;
        post->run = free_post;
        guest->ready = free_guest;
        KS_ERR(KIRIM_PENDING, kirim_endpoint_send(x->n->ep, &msg, 0, op, NULL));
        KS_OK(kirim_timer_arm(x->t.loop, timer, 1));
        KS_OK(kirim_remote_post(remote, post));
        KS_OK(kirim_guest_watch(x->t.loop, guest, i, KIRIM_GUEST_READABLE));
        script_guest_events(x->s, guest, KIRIM_GUEST_READABLE);
    }
    ks_turn(&x->t);
    KS_EQ(12, freed_count);
    kirim_remote_release(remote);
    stage_close(x);
}
END_TEST

/* ---- taking away what is due ----------------------------------------------------------------- */

static void cancel_other(struct ks_timer *timer)
{
    struct ks_timer *other = timer->ctx;
    kirim_timer_cancel(&other->timer);
}

START_TEST(a_timer_that_an_earlier_one_cancels_does_not_fire)
{
    struct stage *x = stage_open(0);
    struct ks_timer *first = ks_timer(&x->t, 'a');
    struct ks_timer *second = ks_timer(&x->t, 'b');
    first->hook = cancel_other;
    first->ctx = second;
    ks_arm_in(first, 0);
    ks_arm_in(second, 0);
    ks_turn(&x->t);
    ks_turn(&x->t);
    KS_TRACE(&x->t, "a");
    stage_close(x);
}
END_TEST

struct guests {
    struct ks *t;
    struct kirim_guest guest[3];
};

static void remove_second(struct kirim_guest *guest, uint32_t events)
{
    struct guests *g = guest->user;
    (void)events;
    ks_note(g->t, (char)('a' + (guest - g->guest)));
    kirim_guest_remove(&g->guest[1]);
    if (g->guest[2].ki_loop != NULL) {
        KS_OK(kirim_guest_watch(kirim_endpoint_loop(g->t->nodes->ep), &g->guest[2], 2, 0));
    }
}

START_TEST(a_guest_that_an_earlier_one_removes_or_changes_is_not_called)
{
    struct stage *x = stage_open(0);
    struct guests g = { .t = &x->t };
    for (int i = 0; i < 3; i++) {
        g.guest[i] = (struct kirim_guest)KIRIM_GUEST_INIT(remove_second, &g);
        KS_OK(kirim_guest_watch(x->t.loop, &g.guest[i], i, KIRIM_GUEST_READABLE));
    }
    for (int i = 0; i < 3; i++) {
        /* The script tells of them in the order of watching. */
        script_guest_events(x->s, &g.guest[i], KIRIM_GUEST_READABLE);
    }
    ks_turn(&x->t);
    KS_TRACE(&x->t, "a");
    ks_turn(&x->t);
    KS_TRACE(&x->t, "aa"); /* level-triggered */
    KS_OK(kirim_guest_watch(x->t.loop, &g.guest[2], 2, KIRIM_GUEST_READABLE));
    kirim_guest_remove(&g.guest[0]);
    kirim_guest_remove(&g.guest[2]);
    kirim_guest_remove(&g.guest[2]);
    ks_turn(&x->t);
    KS_TRACE(&x->t, "aa");
    stage_close(x);
}
END_TEST

struct pair {
    struct ks *t;
    struct kirim_guest *second;
};

static void free_second(struct kirim_guest *guest, uint32_t events)
{
    struct pair *p = guest->user;
    (void)events;
    ks_note(p->t, 'a');
    kirim_guest_remove(p->second);
    free(p->second);
    p->second = NULL;
}

START_TEST(a_guest_may_be_freed_once_it_is_removed_even_if_it_was_ready)
{
    struct stage *x = stage_open(0);
    struct pair p = { .t = &x->t, .second = calloc(1, sizeof *p.second) };
    struct kirim_guest first = KIRIM_GUEST_INIT(free_second, &p);
    KS_CHECK(p.second != NULL);
    p.second->ready = free_second;
    p.second->user = &p;
    KS_OK(kirim_guest_watch(x->t.loop, &first, 1, KIRIM_GUEST_READABLE));
    KS_OK(kirim_guest_watch(x->t.loop, p.second, 2, KIRIM_GUEST_READABLE));
    script_guest_events(x->s, &first, KIRIM_GUEST_READABLE);
    script_guest_events(x->s, p.second, KIRIM_GUEST_READABLE);
    ks_turn(&x->t);
    KS_TRACE(&x->t, "a");
    kirim_guest_remove(&first);
    stage_close(x);
}
END_TEST

static void close_and_note(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)batch;
    ks_node_close(n);
}

START_TEST(the_last_callback_comes_behind_those_of_operations_that_the_close_ended)
{
    struct stage *x = stage_open(0);
    struct ks_op *polled = ks_op_polled(&x->t);
    x->p->room = 0;
    KS_SEND_OP(x->n, "one", 3, &x->to, ks_op(&x->t, 'a'));
    KS_SEND_OP(x->n, "two", 3, &x->to, polled);
    ks_turn(&x->t);
    x->n->on_received = close_and_note;
    x->n->mark = 'n';
    script_arrive_numbers(x->p, 0, 1, &x->to);
    ks_turn(&x->t);
    KS_TRACE(&x->t, "n"); /* it is closed, and an operation is still to be told */
    KS_ERR(KIRIM_EABORTED, kirim_op_result(&polled->op, NULL));
    ks_turn(&x->t);
    KS_TRACE(&x->t, "nan");
    stage_close(x);
}
END_TEST

static void cancel_next(struct ks_op *o)
{
    struct ks_op *other = o->ctx;
    if (other != NULL) {
        /* It has ended as well, and its callback is due: it comes. */
        KS_ERR(KIRIM_EINVAL, kirim_op_cancel(&other->op));
        KS_CHECK(kirim_op_is_pending(&other->op));
    }
}

START_TEST(an_operation_that_has_ended_can_not_be_cancelled)
{
    struct stage *x = stage_open(0);
    struct ks_op *second = ks_op(&x->t, 'b');
    struct ks_op *first = ks_op(&x->t, 'a');
    first->hook = cancel_next;
    first->ctx = second;
    KS_SEND_OP(x->n, "one", 3, &x->to, first);
    KS_SEND_OP(x->n, "two", 3, &x->to, second);
    ks_turn(&x->t);
    KS_TRACE(&x->t, "ab");
    KS_OK(second->err);
    stage_close(x);
}
END_TEST

/* ---- what is new ----------------------------------------------------------------------------- */

static void open_another(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)batch;
    if (n->ctx == NULL) {
        n->ctx = ks_node(n->t);
    }
}

START_TEST(an_endpoint_that_is_opened_in_a_callback_receives_from_the_next_turn_on)
{
    struct stage *x = stage_open(0);
    x->n->on_received = open_another;
    x->n->ctx = NULL;
    script_arrive_numbers(x->p, 0, 1, &x->to);
    ks_turn(&x->t);
    struct ks_node *young = x->n->ctx;
    KS_CHECK(young != NULL);
    script_arrive_numbers(script_port_of(x->s, young->ep), 5, 1, &x->to);
    KS_EQ(0, young->rx_count);
    ks_turn(&x->t);
    KS_EXPECT_NUMBERS(young, 5, 1);
    stage_close(x);
}
END_TEST

/* ---- what is refused ------------------------------------------------------------------------- */

static void try_to_turn(struct ks *t, struct ks_op *polled)
{
    KS_ERR(KIRIM_EINVAL, kirim_loop_step(t->loop, 0));
    KS_ERR(KIRIM_EINVAL, kirim_loop_run(t->loop));
    KS_ERR(KIRIM_EINVAL, kirim_loop_close(t->loop));
    KS_ERR(KIRIM_EINVAL, kirim_op_wait(&polled->op, 0, NULL));
}

static void turn_in_received(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)batch;
    try_to_turn(n->t, n->ctx);
}

static void turn_in_closed(struct ks_node *n)
{
    KS_ERR(KIRIM_EINVAL, kirim_loop_step(n->t->loop, 0));
    KS_ERR(KIRIM_EINVAL, kirim_loop_close(n->t->loop));
}

static void turn_in_timer(struct ks_timer *timer)
{
    try_to_turn(timer->t, timer->ctx);
}

static void turn_in_post(struct ks_post *post)
{
    try_to_turn(post->t, post->ctx);
}

static void turn_in_op(struct ks_op *o)
{
    try_to_turn(o->t, o->ctx);
}

START_TEST(no_callback_may_run_a_turn_or_close_the_loop)
{
    struct stage *x = stage_open(0);
    struct ks_op *o = ks_op(&x->t, 'o');
    o->hook = turn_in_op;
    KS_SEND_OP(x->n, "data", 4, &x->to, o);
    KS_OK(kirim_endpoint_flush(x->n->ep));
    x->p->room = 0;
    struct ks_op *polled = ks_op_polled(&x->t);
    KS_SEND_OP(x->n, "data", 4, &x->to, polled);
    struct ks_timer *timer = ks_timer(&x->t, 't');
    struct ks_post *post = ks_post(&x->t, 'p');
    x->n->on_received = turn_in_received;
    x->n->on_closed = turn_in_closed;
    timer->hook = turn_in_timer;
    post->hook = turn_in_post;
    o->ctx = timer->ctx = post->ctx = x->n->ctx = polled;
    ks_arm_in(timer, 0);
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    KS_OK(kirim_remote_post(remote, &post->post));
    kirim_remote_release(remote);
    script_arrive_numbers(x->p, 0, 1, &x->to);
    ks_turn(&x->t);
    KS_TRACE(&x->t, "opt");
    KS_EQ(1, x->n->rx_count);
    KS_ERR(KIRIM_PENDING, ks_op_wait(polled, 0, NULL)); /* outside it may */
    stage_close(x);
}
END_TEST

static void start_things(struct ks_node *n)
{
    struct stage *x = n->ctx;
    const struct kirim_endpoint_options options = ks_endpoint_options(&x->t);
    struct kirim_endpoint *ep = NULL;
    struct kirim_guest guest = KIRIM_GUEST_INIT(free_guest, NULL);
    struct ks_timer *timer = ks_timer(&x->t, 't');
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_open(x->t.loop, &options, &ep));
    KS_ERR(KIRIM_ECLOSED, kirim_timer_arm(x->t.loop, &timer->timer, 1));
    KS_ERR(KIRIM_ECLOSED, kirim_guest_watch(x->t.loop, &guest, 1, KIRIM_GUEST_READABLE));
    KS_CHECK(ep == NULL);
    (void)kirim_loop_now(x->t.loop);
}

START_TEST(nothing_new_begins_while_a_loop_closes)
{
    struct stage *x = stage_open(0);
    x->n->on_closed = start_things;
    x->n->ctx = x;
    stage_close(x);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("callback");
    TCase *const tcase = tcase_create("callback");
    tcase_add_loop_test(tcase, an_endpoint_may_be_closed_in_every_callback, 0, PLACE_COUNT);
    tcase_add_test(tcase,
                   an_endpoint_without_operations_is_gone_at_the_end_of_the_turn_that_closes_it);
    tcase_add_test(tcase, a_callback_may_free_what_it_is_called_with);
    tcase_add_test(tcase, a_timer_that_an_earlier_one_cancels_does_not_fire);
    tcase_add_test(tcase, a_guest_that_an_earlier_one_removes_or_changes_is_not_called);
    tcase_add_test(tcase, a_guest_may_be_freed_once_it_is_removed_even_if_it_was_ready);
    tcase_add_test(tcase, the_last_callback_comes_behind_those_of_operations_that_the_close_ended);
    tcase_add_test(tcase, an_operation_that_has_ended_can_not_be_cancelled);
    tcase_add_test(tcase, an_endpoint_that_is_opened_in_a_callback_receives_from_the_next_turn_on);
    tcase_add_test(tcase, no_callback_may_run_a_turn_or_close_the_loop);
    tcase_add_test(tcase, nothing_new_begins_while_a_loop_closes);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
