/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/turn.c: the order of a turn, its bounds, and what waits for the next one, as
 * docs/turn.md states them. On the scripted reactor; a trace has one letter for each callback and,
 * in capitals, for each call of the reactor: W wait, S submit, R receive, L release, X port closed.
 */
#include "support/stage.h"

static void count_call(struct ks_node *n)
{
    ++*(size_t *)n->ctx;
}

/* ---- the order ------------------------------------------------------------------------------- */

static void note_guest(struct kirim_guest *guest, uint32_t events)
{
    struct stage *x = guest->user;
    KS_EQ(KIRIM_GUEST_READABLE, events);
    ks_enter(&x->t, 'g');
    ks_leave(&x->t);
}

static void note_failed(struct ks_node *n)
{
    ks_note(n->t, n->event.kind == KIRIM_EVENT_PEER_ERROR ? 'e' : 'f');
}

static void note_writable(struct ks_node *n)
{
    ks_note(n->t, 'w');
}

static void note_received(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)batch;
    ks_note(n->t, 'r');
}

static void note_closed(struct ks_node *n)
{
    ks_note(n->t, 'c');
}

static void close_node(struct ks_timer *timer)
{
    ks_node_close(timer->ctx);
}

START_TEST(a_turn_has_one_order)
{
    struct ks t;
    ks_init(&t, "scripted", KIRIM_IPV4);
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.queue_count_max = 4;
    options.peer = ks_loopback(KIRIM_IPV4, 7);
    struct stage *x = stage_open_with(0, &options);
    struct ks_node *gone;
    (void)stage_add(x, &gone);
    x->n->on_failed = note_failed;
    x->n->on_writable = note_writable;
    x->n->on_received = note_received;
    gone->on_closed = note_closed;
    struct kirim_guest guest = KIRIM_GUEST_INIT(note_guest, x);
    KS_OK(kirim_guest_watch(x->t.loop, &guest, 3, KIRIM_GUEST_READABLE));
    struct ks_op *o = ks_op(&x->t, 'o');
    struct ks_post *post = ks_post(&x->t, 'p');
    struct ks_timer *timer = ks_timer(&x->t, 't');
    timer->hook = close_node;
    timer->ctx = gone;
    /* A peer's error, an operation, a lost datagram, one that leaves, and one too many. */
    script_refuse(x->p, 0, 1, KIRIM_ECONNRESET, 104);
    script_refuse(x->p, 2, 1, KIRIM_EMSGSIZE, 90);
    KS_SEND(x->n, "one", 4, NULL);
    KS_SEND_OP(x->n, "two", 4, NULL, o);
    KS_SEND(x->n, "bad", 4, NULL);
    KS_SEND(x->n, "end", 4, NULL);
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_send_to(x->n->ep, "more", 4, NULL));
    KS_OK(kirim_endpoint_flush(x->n->ep));
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    KS_OK(kirim_remote_post(remote, &post->post));
    kirim_remote_release(remote);
    ks_arm_in(timer, 0);
    script_arrive_numbers(x->p, 0, 1, &x->to);
    script_guest_events(x->s, &guest, KIRIM_GUEST_READABLE);
    KS_SEND(x->n, "out", 4, NULL); /* from outside of a turn */
    x->s->is_traced = true;
    ks_turn(&x->t);
    KS_TRACE(&x->t, "SWoefwRrgptXc");
    kirim_guest_remove(&guest);
    stage_close(x);
}
END_TEST

static void send_one(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)batch;
    ks_note(n->t, 'r');
    KS_OK(kirim_endpoint_send_to(n->ep, "data", 4, &n->addr));
}

START_TEST(what_is_posted_leaves_behind_the_callbacks_of_the_same_turn)
{
    struct stage *x = stage_open(0);
    x->n->on_received = send_one;
    struct ks_timer *timer = ks_timer(&x->t, 't');
    ks_arm_in(timer, 0);
    script_arrive_numbers(x->p, 0, 1, &x->to);
    x->s->is_traced = true;
    ks_turn(&x->t);
    KS_TRACE(&x->t, "WRrtS");
    stage_close(x);
}
END_TEST

static void send_from_all(struct ks_timer *timer)
{
    struct ks_node **nodes = timer->ctx;
    for (int i = 0; i < 3; i++) {
        static const int order[3] = { 2, 0, 1 };
        ks_send_number(nodes[order[i]], 0, &nodes[0]->addr);
    }
    ks_send_number(nodes[1], 1, &nodes[0]->addr);
    ks_send_number(nodes[2], 1, &nodes[0]->addr);
}

START_TEST(endpoints_are_flushed_in_the_order_of_their_first_send)
{
    struct stage *x = stage_open(0);
    struct ks_node *nodes[3] = { x->n, NULL, NULL };
    struct script_port *p[3] = { x->p, NULL, NULL };
    p[1] = stage_add(x, &nodes[1]);
    p[2] = stage_add(x, &nodes[2]);
    p[0]->room = 0; /* one that is full does not hold up the others */
    struct ks_timer *timer = ks_timer(&x->t, 't');
    timer->hook = send_from_all;
    timer->ctx = nodes;
    ks_arm_in(timer, 0);
    ks_turn(&x->t);
    KS_EQ(1, p[0]->submit_count);
    script_check_sent(p[1], 0, 2);
    script_check_sent(p[2], 0, 2);
    KS_EQ(1, p[1]->submit_count); /* in one call */
    stage_close(x);
}
END_TEST

/* ---- what waits for the next turn ------------------------------------------------------------ */

static void send_again(struct ks_op *o)
{
    struct stage *x = o->ctx;
    if (o->done_count < 3) {
        KS_SEND_OP(x->n, "again", 6, &x->to, o);
        KS_OK(kirim_endpoint_flush(x->n->ep)); /* it has left, but that is told later */
    }
}

START_TEST(an_operation_that_is_sent_again_in_its_callback_ends_in_the_next_turn)
{
    struct stage *x = stage_open(0);
    struct ks_op *o = ks_op(&x->t, 'o');
    o->hook = send_again;
    o->ctx = x;
    KS_SEND_OP(x->n, "first", 6, &x->to, o);
    for (size_t i = 1; i <= 3; i++) {
        ks_turn(&x->t);
        KS_EQ(i, o->done_count);
    }
    ks_turn(&x->t);
    KS_EQ(3, o->done_count);
    stage_close(x);
}
END_TEST

static void arm_again(struct ks_timer *timer)
{
    if (timer->fired_count < 3) {
        ks_arm_in(timer, 0);
    }
}

START_TEST(a_timer_that_is_armed_for_now_in_its_callback_fires_in_the_next_turn)
{
    struct stage *x = stage_open(0);
    struct ks_timer *timer = ks_timer(&x->t, 't');
    timer->hook = arm_again;
    ks_arm_in(timer, 0);
    for (size_t i = 1; i <= 3; i++) {
        ks_turn(&x->t);
        KS_EQ(i, timer->fired_count);
    }
    stage_close(x);
}
END_TEST

static void post_again(struct ks_post *post)
{
    if (post->run_count < 3) {
        KS_OK(kirim_remote_post(post->ctx, &post->post));
    }
}

START_TEST(a_post_that_posts_itself_runs_in_the_next_turn)
{
    struct stage *x = stage_open(0);
    struct ks_post *post = ks_post(&x->t, 'p');
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    post->hook = post_again;
    post->ctx = remote;
    KS_OK(kirim_remote_post(remote, &post->post));
    for (size_t i = 1; i <= 3; i++) {
        ks_turn(&x->t);
        KS_EQ(i, post->run_count);
    }
    kirim_remote_release(remote);
    stage_close(x);
}
END_TEST

/* Fails some more from inside `failed`: the first of them in the place that has just become free.
 */
static void fail_more(struct ks_node *n)
{
    struct script_port *p = n->ctx;
    ks_note(n->t, (char)('0' + n->event.tag));
    if (n->failed_count == 1) {
        KS_OK(kirim_endpoint_flush(n->ep));
        for (uint64_t tag = 3; tag <= 4; tag++) {
            struct kirim_control control = KIRIM_CONTROL_INIT;
            control.tag = tag;
            const struct kirim_msg msg = { NULL, &n->addr, &control, 0, 0 };
            script_refuse(p, 0, 1, KIRIM_EMSGSIZE, 0);
            KS_OK(ks_post_msg(n, &msg, 0, NULL));
            KS_OK(kirim_endpoint_flush(n->ep));
        }
    }
}

START_TEST(what_fails_in_failed_is_told_in_the_next_turn)
{
    enum { COUNT = 16 }; /* all places of the smallest ring */
    struct stage *x = stage_open(0);
    x->n->on_failed = fail_more;
    x->n->ctx = x->p;
    for (uint64_t i = 0; i < COUNT; i++) {
        struct kirim_control control = KIRIM_CONTROL_INIT;
        control.tag = i == 0 ? 1 : i == COUNT - 1 ? 2 : 9;
        const struct kirim_msg msg = { NULL, &x->to, &control, 0, 0 };
        KS_OK(ks_post_msg(x->n, &msg, 0, NULL));
    }
    script_refuse(x->p, 0, 1, KIRIM_EMSGSIZE, 0);
    script_refuse(x->p, COUNT - 2, 1, KIRIM_EMSGSIZE, 0);
    KS_OK(kirim_endpoint_flush(x->n->ep));
    ks_turn(&x->t);
    KS_TRACE(&x->t, "12");
    ks_turn(&x->t);
    KS_TRACE(&x->t, "1234");
    stage_close(x);
}
END_TEST

static void close_other(struct ks_node *n)
{
    if (n->ctx != NULL) {
        ks_node_close(n->ctx);
    }
}

START_TEST(an_endpoint_that_is_closed_in_closed_waits_for_the_next_turn)
{
    struct stage *x = stage_open(0);
    struct ks_node *other;
    (void)stage_add(x, &other);
    x->n->on_closed = close_other;
    x->n->ctx = other;
    x->n->mark = 'a';
    other->mark = 'b';
    ks_node_close(x->n);
    ks_turn(&x->t);
    KS_TRACE(&x->t, "a");
    ks_turn(&x->t);
    KS_TRACE(&x->t, "ab");
    stage_close(x);
}
END_TEST

static void arm_and_close(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)batch;
    ks_arm_in(n->ctx, 0);
}

START_TEST(what_a_callback_causes_for_a_later_stage_comes_in_the_same_turn)
{
    struct stage *x = stage_open(0);
    struct ks_timer *timer = ks_timer(&x->t, 't');
    x->n->mark = 'n';
    x->n->on_received = arm_and_close;
    x->n->ctx = timer;
    timer->hook = close_node;
    timer->ctx = x->n;
    script_arrive_numbers(x->p, 0, 1, &x->to);
    ks_turn(&x->t);
    KS_TRACE(&x->t, "ntn"); /* received, timer, closed */
    stage_close(x);
}
END_TEST

/* ---- bounds ---------------------------------------------------------------------------------- */

START_TEST(a_flood_gets_four_batches_a_turn_and_starves_nobody)
{
    struct stage *x = stage_open(0);
    struct ks_node *neighbour;
    struct script_port *q = stage_add(x, &neighbour);
    struct ks_timer *timer = ks_timer(&x->t, 't');
    timer->hook = arm_again;
    ks_arm_in(timer, 0);
    script_arrive_numbers(x->p, 0, 2000, &x->to);
    script_arrive_numbers(q, 0, 1, &x->to);
    x->s->slot_count = 10000;
    for (size_t i = 1; i <= 3; i++) {
        ks_turn(&x->t);
        KS_EQ(256 * i, x->n->rx_count);
        KS_EQ(4 * i, x->n->batch_count);
        KS_EQ(1, neighbour->rx_count);
        KS_EQ(i, timer->fired_count);
    }
    KS_EXPECT_NUMBERS(x->n, 0, 2000);
    stage_close(x);
}
END_TEST

START_TEST(the_flooded_endpoint_goes_behind_its_neighbours)
{
    struct stage *x = stage_open(0);
    struct ks_node *neighbour;
    struct script_port *q = stage_add(x, &neighbour);
    x->n->mark = 'a';
    neighbour->mark = 'b';
    x->s->slot_count = 10000;
    script_arrive_numbers(x->p, 0, 600, &x->to);
    ks_turn(&x->t);
    script_arrive_numbers(q, 0, 1, &x->to); /* is told of behind what is left of the list */
    ks_turn(&x->t);
    KS_TRACE(&x->t, "aaaaaaaab");
    KS_EQ(0, x->s->wait_deadline_ns); /* there was more: it only looked */
    script_arrive_numbers(q, 1, 300, &x->to);
    ks_turn(&x->t);
    KS_TRACE(&x->t, "aaaaaaaabaabbbb");
    stage_close(x);
}
END_TEST

START_TEST(short_batches_count_as_batches)
{
    struct stage *x = stage_open(0);
    x->p->batch_max = 1;
    script_arrive_numbers(x->p, 0, 6, &x->to);
    ks_turn(&x->t);
    KS_EQ(4, x->n->rx_count);
    ks_turn(&x->t);
    KS_EQ(6, x->n->rx_count);
    stage_close(x);
}
END_TEST

START_TEST(nothing_there_is_no_batch)
{
    struct stage *x = stage_open(0);
    x->p->is_always_more = true;
    ks_turn(&x->t);
    KS_EQ(4, x->p->receive_count);
    KS_EQ(0, x->n->batch_count);
    x->p->is_always_more = false;
    stage_close(x);
}
END_TEST

static void reply_all(struct ks_node *n, const struct kirim_batch *batch)
{
    ks_note(n->t, 'r');
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, batch->count, NULL));
}

START_TEST(a_reactor_that_starves_gets_its_buffers_back_behind_a_flush)
{
    struct stage *x = stage_open(0);
    x->s->slot_count = 3;
    x->n->on_received = reply_all;
    script_arrive_numbers(x->p, 0, 8, &x->to);
    x->s->is_traced = true;
    ks_turn(&x->t);
    KS_TRACE(&x->t, "WRrSLRrSLRrS");
    script_check_sent(x->p, 0, 8);
    KS_EQ(2, x->s->release_count);
    struct kirim_loop_stats s = KIRIM_LOOP_STATS_INIT;
    KS_OK(kirim_loop_read_stats(x->t.loop, &s));
    KS_EQ(2, s.starved);
    stage_close(x);
}
END_TEST

START_TEST(what_a_starved_reactor_does_not_take_is_copied_before_its_buffers_go)
{
    struct stage *x = stage_open(0);
    struct ks_node *other;
    struct script_port *q = stage_add(x, &other);
    x->s->slot_count = 4;
    x->n->on_received = reply_all;
    other->on_received = reply_all;
    x->p->room = 5;
    q->room = 0;
    script_arrive_numbers(x->p, 0, 10, &x->to);
    script_arrive_numbers(q, 0, 10, &x->to);
    ks_turn(&x->t);
    ks_turn(&x->t); /* the script finds out if lent bytes were still used */
    x->p->room = SCRIPT_NO_LIMIT;
    q->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    script_check_sent(x->p, 0, 10);
    script_check_sent(q, 0, 10);
    stage_close(x);
}
END_TEST

/* ---- waiting and time ------------------------------------------------------------------------ */

static uint64_t deadline_of_next_wait(struct stage *x)
{
    KS_OK(kirim_remote_wake(x->n->ctx)); /* so that no wait is without end */
    x->t.is_turn = true;
    KS_OK(kirim_loop_step(x->t.loop, KIRIM_NEVER));
    x->t.is_turn = false;
    return x->s->wait_deadline_ns;
}

START_TEST(a_wait_only_looks_while_work_is_left)
{
    struct stage *x = stage_open(0);
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    x->n->ctx = remote;
    KS_EQ(KIRIM_NEVER, deadline_of_next_wait(x));
    struct ks_op *o = ks_op(&x->t, 0);
    KS_SEND_OP(x->n, "data", 5, &x->to, o);
    KS_EQ(0, deadline_of_next_wait(x)); /* it ended in the flush before */
    KS_EQ(1, o->done_count);
    struct ks_timer *timer = ks_timer(&x->t, 0);
    ks_arm_in(timer, 7);
    KS_EQ(x->s->now_ns + 7, kirim_loop_deadline(x->t.loop));
    script_refuse(x->p, 0, 1, KIRIM_EMSGSIZE, 0);
    ks_send_number(x->n, 0, &x->to);
    KS_EQ(0, kirim_loop_deadline(x->t.loop)); /* something is queued */
    KS_EQ(0, deadline_of_next_wait(x));       /* something is to be told */
    KS_EQ(1, x->n->failed_count);
    KS_EQ(timer->timer.deadline_ns, deadline_of_next_wait(x));
    struct ks_node *other;
    (void)stage_add(x, &other);
    ks_node_close(other);
    KS_EQ(0, deadline_of_next_wait(x)); /* a closing has drained */
    struct ks_post *post = ks_post(&x->t, 0);
    KS_OK(kirim_remote_post(remote, &post->post));
    KS_EQ(0, deadline_of_next_wait(x));
    KS_EQ(timer->timer.deadline_ns, deadline_of_next_wait(x));
    kirim_remote_release(remote);
    stage_close(x);
}
END_TEST

START_TEST(a_closing_port_is_waited_for)
{
    struct stage *x = stage_open(0);
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    x->p->is_close_held = true;
    ks_node_close(x->n);
    x->n->ctx = remote;
    KS_EQ(KIRIM_NEVER, deadline_of_next_wait(x));
    KS_EQ(0, x->n->closed_count);
    x->p->is_close_held = false;
    KS_EQ(KIRIM_NEVER, deadline_of_next_wait(x));
    KS_EQ(1, x->n->closed_count);
    kirim_remote_release(remote);
    stage_close(x);
}
END_TEST

START_TEST(a_step_waits_at_most_its_timeout)
{
    struct stage *x = stage_open(0);
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    struct ks_timer *timer = ks_timer(&x->t, 0);
    const uint64_t start_ns = x->s->now_ns;
    KS_OK(kirim_loop_step(x->t.loop, 500));
    KS_EQ(start_ns + 500, x->s->wait_deadline_ns);
    ks_arm_in(timer, 100);
    KS_OK(kirim_loop_step(x->t.loop, 10));
    KS_EQ(start_ns + 510, x->s->wait_deadline_ns);
    KS_OK(kirim_loop_step(x->t.loop, 0));
    KS_EQ(0, x->s->wait_deadline_ns);
    ks_wait(&x->t, start_ns + KS_SECOND_NS);
    KS_EQ(start_ns + 600, x->s->wait_deadline_ns);
    KS_EQ(1, timer->fired_count);
    KS_OK(kirim_remote_wake(remote));
    KS_OK(kirim_loop_step(x->t.loop, KIRIM_NEVER - 1)); /* the clock would pass its end */
    KS_EQ(KIRIM_NEVER, x->s->wait_deadline_ns);
    kirim_remote_release(remote);
    stage_close(x);
}
END_TEST

static void ask_time(struct ks_node *n, const struct kirim_batch *batch)
{
    struct script *s = n->ctx;
    (void)batch;
    const uint64_t now_ns = kirim_loop_now(n->t->loop);
    s->now_ns += 5;
    KS_EQ(now_ns, kirim_loop_now(n->t->loop));
}

START_TEST(time_is_read_once_in_a_turn_and_only_if_somebody_asks)
{
    struct stage *x = stage_open(0);
    x->s->now_count = 0;
    script_arrive_numbers(x->p, 0, 1, &x->to);
    ks_turn(&x->t);
    KS_EQ(0, x->s->now_count);
    x->n->on_received = ask_time;
    x->n->ctx = x->s;
    x->p->batch_max = 1;
    script_arrive_numbers(x->p, 1, 3, &x->to);
    ks_turn(&x->t);
    KS_EQ(3, x->n->batch_count - 1);
    KS_EQ(1, x->s->now_count);
    x->s->now_count = 0;
    struct ks_timer *timer = ks_timer(&x->t, 0);
    KS_OK(kirim_timer_arm(x->t.loop, &timer->timer, 5)); /* in the past */
    ks_turn(&x->t);
    KS_EQ(1, timer->fired_count);
    KS_EQ(1, x->s->now_count);
    (void)kirim_loop_now(x->t.loop); /* outside of a turn it is read anew */
    (void)kirim_loop_now(x->t.loop);
    KS_EQ(3, x->s->now_count);
    stage_close(x);
}
END_TEST

START_TEST(an_error_of_the_wait_is_returned_and_nothing_is_lost)
{
    struct stage *x = stage_open(0);
    struct ks_op *o = ks_op(&x->t, 0);
    KS_SEND_OP(x->n, "data", 5, &x->to, o);
    x->s->wait_err = KIRIM_ESYSTEM;
    KS_ERR(KIRIM_ESYSTEM, kirim_loop_step(x->t.loop, 0));
    KS_EQ(0, o->done_count);
    ks_turn(&x->t);
    KS_EQ(1, o->done_count);
    x->s->wait_err = KIRIM_ESYSTEM;
    KS_ERR(KIRIM_ESYSTEM, kirim_loop_run(x->t.loop));
    stage_close(x);
}
END_TEST

/* ---- arrivals -------------------------------------------------------------------------------- */

START_TEST(an_error_comes_behind_the_datagrams_before_it_and_ends_nothing)
{
    struct stage *x = stage_open(0);
    size_t count = 0;
    x->n->on_failed = count_call;
    x->n->ctx = &count;
    x->n->mark = 'n';
    script_arrive_numbers(x->p, 0, 2, &x->to);
    script_arrive_error(x->p, KIRIM_ECONNRESET, 111, &x->to, 0);
    script_arrive_error(x->p, KIRIM_EMSGSIZE, 90, NULL, 1280);
    script_arrive_numbers(x->p, 2, 1, &x->to);
    ks_turn(&x->t);
    KS_TRACE(&x->t, "nnnn"); /* two, error, error, one */
    KS_EQ(2, count);
    KS_EXPECT_NUMBERS(x->n, 0, 3);
    KS_EQ(KIRIM_EVENT_PEER_ERROR, x->n->event.kind);
    KS_EQ(1280, x->n->event.path_mtu);
    KS_EQ(90, x->n->event.system_code);
    KS_EQ(2, ks_stats(x->n).rx_errors);
    stage_close(x);
}
END_TEST

START_TEST(truncated_and_empty_datagrams_are_counted_and_handed_over)
{
    struct stage *x = stage_open(0);
    x->s->tells_no_local = true;
    script_arrive(x->p, "cut", 3, KIRIM_RX_TRUNCATED, &x->to);
    script_arrive(x->p, NULL, 0, 0, &x->to);
    ks_turn(&x->t);
    const struct kirim_endpoint_stats s = ks_stats(x->n);
    KS_EQ(2, s.rx_datagrams);
    KS_EQ(3, s.rx_bytes);
    KS_EQ(1, s.rx_truncated);
    KS_EQ(KIRIM_RX_TRUNCATED, x->n->rx[0].flags);
    KS_EQ(0, x->n->rx[1].bytes);
    stage_close(x);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("turn");
    TCase *const order = tcase_create("order");
    tcase_add_test(order, a_turn_has_one_order);
    tcase_add_test(order, what_is_posted_leaves_behind_the_callbacks_of_the_same_turn);
    tcase_add_test(order, endpoints_are_flushed_in_the_order_of_their_first_send);
    suite_add_tcase(suite, order);
    TCase *const next = tcase_create("what waits for the next turn");
    tcase_add_test(next, an_operation_that_is_sent_again_in_its_callback_ends_in_the_next_turn);
    tcase_add_test(next, a_timer_that_is_armed_for_now_in_its_callback_fires_in_the_next_turn);
    tcase_add_test(next, a_post_that_posts_itself_runs_in_the_next_turn);
    tcase_add_test(next, what_fails_in_failed_is_told_in_the_next_turn);
    tcase_add_test(next, an_endpoint_that_is_closed_in_closed_waits_for_the_next_turn);
    tcase_add_test(next, what_a_callback_causes_for_a_later_stage_comes_in_the_same_turn);
    suite_add_tcase(suite, next);
    TCase *const bounds = tcase_create("bounds");
    tcase_add_test(bounds, a_flood_gets_four_batches_a_turn_and_starves_nobody);
    tcase_add_test(bounds, the_flooded_endpoint_goes_behind_its_neighbours);
    tcase_add_test(bounds, short_batches_count_as_batches);
    tcase_add_test(bounds, nothing_there_is_no_batch);
    tcase_add_test(bounds, a_reactor_that_starves_gets_its_buffers_back_behind_a_flush);
    tcase_add_test(bounds, what_a_starved_reactor_does_not_take_is_copied_before_its_buffers_go);
    suite_add_tcase(suite, bounds);
    TCase *const time = tcase_create("waiting and time");
    tcase_add_test(time, a_wait_only_looks_while_work_is_left);
    tcase_add_test(time, a_closing_port_is_waited_for);
    tcase_add_test(time, a_step_waits_at_most_its_timeout);
    tcase_add_test(time, time_is_read_once_in_a_turn_and_only_if_somebody_asks);
    tcase_add_test(time, an_error_of_the_wait_is_returned_and_nothing_is_lost);
    suite_add_tcase(suite, time);
    TCase *const arrivals = tcase_create("arrivals");
    tcase_add_test(arrivals, an_error_comes_behind_the_datagrams_before_it_and_ends_nothing);
    tcase_add_test(arrivals, truncated_and_empty_datagrams_are_counted_and_handed_over);
    suite_add_tcase(suite, arrivals);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
