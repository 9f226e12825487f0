/* SPDX-License-Identifier: MIT
 *
 * Claims about loops that joined the caller's event_base (reactors/libevent.c): each promise of
 * docs/libevent.md. The base is a plain one, made by event_base_new() without thread support. One
 * base and one loop at a time, in static storage; another loop where a case says so.
 */
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <kirim/kirim.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/posix_script.h"

enum {
    NS_PER_MS = 1000000,
    NS_PER_SECOND = 1000000000,
    NO_EVENTS = 1, /* what event_base_loop() answers where nothing is left */
    TRIES_MAX = 100,
    FLOOD_COUNT = 300, /* more than one turn hands over */
    BUFFER_BYTES = 1 << 20,
    CASE_SECONDS_MAX = 30
};

/* An endpoint and what it was told. */
struct node {
    struct kirim_endpoint *ep;
    struct kirim_addr addr;
    uint64_t received, ended;
    void (*hook)(struct node *n);
    struct node *other;
};

static struct event_base *base;
static struct kirim_loop *loop;
static struct node a; /* outlive the test function, as their last callback may */
static struct node b;

/* ---- the base, the loop, endpoints ----------------------------------------------------------- */

static struct kirim_loop *join(void)
{
    struct kirim_loop_options o = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *joined = NULL;
    o.reactor = "libevent";
    o.reactor_context = base;
    o.system_calls = script_table();
    ck_assert_int_eq(kirim_loop_open(&o, &joined), KIRIM_OK);
    script_forget_counts();
    return joined;
}

static int count_events(void)
{
    return event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE);
}

static void set_up(void)
{
    script_reset();
    base = event_base_new();
    ck_assert_ptr_nonnull(base);
    loop = join();
}

static void tear_down(void)
{
    ck_assert_int_eq(kirim_loop_close(loop), KIRIM_OK);
    ck_assert_int_eq(count_events(), 0);
    event_base_free(base);
    ck_assert_int_eq(script_open_descriptors(), 0);
}

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct node *n = user;
    ck_assert_ptr_eq(ep, n->ep);
    n->received += batch->count;
    if (n->hook != NULL) {
        n->hook(n);
    }
}

static void on_closed(struct kirim_endpoint *ep, void *user)
{
    (void)ep;
    ((struct node *)user)->ended++;
}

static void open_node(struct kirim_loop *on, struct node *n)
{
    static const uint8_t loopback[] = { 127, 0, 0, 1 };
    static const struct kirim_handler handler = {
        KIRIM_HANDLER_INIT,
        .received = on_received,
        .closed = on_closed,
    };
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    *n = (struct node){ .ep = NULL };
    o.local = kirim_addr_ipv4(loopback, 0);
    o.receive_buffer_bytes = BUFFER_BYTES;
    o.handler = &handler;
    o.user = n;
    ck_assert_int_eq(kirim_endpoint_open(on, &o, &n->ep), KIRIM_OK);
    n->addr = kirim_endpoint_local(n->ep);
}

static void close_node(struct node *n)
{
    ck_assert_int_eq(kirim_endpoint_close(n->ep), KIRIM_OK);
}

static void send_to(const struct node *from, const struct node *to)
{
    ck_assert_int_eq(kirim_endpoint_send_to(from->ep, "x", 1, &to->addr), KIRIM_OK);
}

/* One pass of the base that does not wait. */
static void look(void)
{
    ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
}

/* Runs the base until `*count` is at least `wanted`; Check ends a wait in vain. */
static void run_until(const uint64_t *count, uint64_t wanted)
{
    while (*count < wanted) {
        ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
    }
}

/* The host's dispatch, which returns because nothing is left. */
static void dispatch(void)
{
    ck_assert_int_eq(event_base_dispatch(base), NO_EVENTS);
    ck_assert_int_eq(count_events(), 0);
}

/* Has the host call `fn` in `delay_ms`. */
static void call_in(suseconds_t delay_ms, event_callback_fn fn, void *arg)
{
    const struct timeval delay = { 0, delay_ms * 1000 };
    ck_assert_int_eq(event_base_once(base, -1, EV_TIMEOUT, fn, arg, &delay), 0);
}

static uint64_t sent_count(void)
{
    return script_count(SCRIPT_SENDMSG); /* one at a time, so never sendmmsg */
}

/* ---- the host's dispatch runs everything ----------------------------------------------------- */

struct all {
    struct kirim_timer timer;
    struct kirim_guest guest;
    struct kirim_post post;
    struct kirim_op op;
    struct kirim_remote *remote;
    int pipe[2];
    int done_count;
};

/* What is last to happen closes what keeps the loop alive. */
static void is_done(struct all *x)
{
    x->done_count++;
    if (x->done_count == 5) {
        close_node(&a);
        close_node(&b);
    }
}

static void all_received(struct node *n)
{
    is_done((struct all *)(void *)n->other);
    n->hook = NULL;
}

static void all_expired(struct kirim_timer *timer)
{
    is_done(timer->user);
}

static void all_ready(struct kirim_guest *guest, uint32_t events)
{
    ck_assert_uint_eq(events, KIRIM_GUEST_READABLE);
    kirim_guest_remove(guest);
    is_done(guest->user);
}

static void all_posted(struct kirim_post *post, struct kirim_loop *on, kirim_err err)
{
    ck_assert_ptr_eq(on, loop);
    ck_assert_int_eq(err, KIRIM_OK);
    is_done(post->user);
}

static void all_sent(struct kirim_op *op, kirim_err err, size_t sent_bytes)
{
    ck_assert_int_eq(err, KIRIM_OK);
    ck_assert_uint_eq(sent_bytes, 1);
    is_done(op->user);
}

static void *post_and_let_go(void *arg)
{
    struct all *x = arg;
    (void)kirim_remote_post(x->remote, &x->post);
    kirim_remote_release(x->remote);
    return NULL;
}

/* Over each way to wait that libevent has here. */
START_TEST(dispatch_runs_everything_and_returns)
{
    static const char *const avoided[][2] = { { "", "" }, { "epoll", "" }, { "epoll", "poll" } };
    struct all x = { .done_count = 0 };
    pthread_t thread;
    tear_down();
    struct event_config *config = event_config_new();
    (void)event_config_avoid_method(config, avoided[_i][0]);
    (void)event_config_avoid_method(config, avoided[_i][1]);
    script_reset();
    base = event_base_new_with_config(config);
    event_config_free(config);
    ck_assert_ptr_nonnull(base);
    loop = join();

    open_node(loop, &a);
    open_node(loop, &b);
    b.hook = all_received;
    b.other = (struct node *)(void *)&x;
    x.timer = (struct kirim_timer)KIRIM_TIMER_INIT(all_expired, &x);
    ck_assert_int_eq(kirim_timer_arm_after(loop, &x.timer, NS_PER_MS), KIRIM_OK);
    x.guest = (struct kirim_guest)KIRIM_GUEST_INIT(all_ready, &x);
    ck_assert_int_eq(pipe2(x.pipe, O_NONBLOCK | O_CLOEXEC), 0);
    ck_assert_int_eq(write(x.pipe[1], "x", 1), 1);
    ck_assert_int_eq(kirim_guest_watch(loop, &x.guest, x.pipe[0], KIRIM_GUEST_READABLE), KIRIM_OK);
    x.post = (struct kirim_post)KIRIM_POST_INIT(all_posted, &x);
    x.remote = kirim_loop_remote(loop);
    ck_assert_int_eq(pthread_create(&thread, NULL, post_and_let_go, &x), 0);
    x.op = (struct kirim_op)KIRIM_OP_INIT(all_sent, &x);
    const struct kirim_buf buf = { (void *)(uintptr_t) "x", 1 };
    const struct kirim_msg msg = { .buf = &buf, .buf_count = 1, .peer = &b.addr };
    ck_assert_int_eq(kirim_endpoint_send(a.ep, &msg, 0, &x.op, NULL), KIRIM_PENDING);

    dispatch();
    ck_assert_int_eq(x.done_count, 5);
    ck_assert_uint_eq(a.ended + b.ended, 2);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    (void)close(x.pipe[0]);
    (void)close(x.pipe[1]);
}
END_TEST

START_TEST(turns_of_ones_own_and_a_handle_are_refused)
{
    intptr_t handle = KIRIM_NO_DESCRIPTOR;
    ck_assert_uint_ne(kirim_loop_caps(loop) & KIRIM_CAP_DRIVEN, 0);
    ck_assert_uint_eq(kirim_loop_caps(loop) & KIRIM_CAP_POLLABLE, 0);
    ck_assert_int_eq(kirim_loop_step(loop, 0), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_loop_run(loop), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_loop_pollable(loop, &handle), KIRIM_EOPNOTSUPP);
}
END_TEST

/* ---- sends of the host's own callbacks ------------------------------------------------------- */

static void host_sends(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    const uint64_t before = sent_count();
    send_to(&a, &b);
    ck_assert_uint_eq(sent_count(), before); /* not from inside the call */
    *(int *)arg = 1;
}

START_TEST(send_of_a_host_timer_leaves_in_the_same_pass)
{
    int has_run = 0;
    open_node(loop, &a);
    open_node(loop, &b);
    look();
    call_in(0, host_sends, &has_run);
    look();
    ck_assert_int_eq(has_run, 1);
    ck_assert_uint_eq(sent_count(), 1);
    run_until(&b.received, 1);
}
END_TEST

START_TEST(send_of_a_host_socket_leaves_in_the_same_pass)
{
    int has_run = 0;
    int fds[2];
    open_node(loop, &a);
    open_node(loop, &b);
    look();
    ck_assert_int_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(event_base_once(base, fds[0], EV_READ, host_sends, &has_run, NULL), 0);
    look();
    ck_assert_int_eq(has_run, 1);
    ck_assert_uint_eq(sent_count(), 1);
    (void)close(fds[0]);
    (void)close(fds[1]);
}
END_TEST

START_TEST(send_before_the_dispatch_leaves_in_its_first_pass)
{
    open_node(loop, &a);
    open_node(loop, &b);
    send_to(&a, &b);
    ck_assert_uint_eq(sent_count(), 0);
    look();
    ck_assert_uint_eq(sent_count(), 1);
}
END_TEST

static void host_sends_later(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_msg msg = { NULL, &b.addr, &control, 0, 0 };
    *(uint64_t *)arg = kirim_loop_now(loop) + 2 * NS_PER_MS;
    control.not_before_ns = *(uint64_t *)arg;
    ck_assert_int_eq(kirim_endpoint_send(a.ep, &msg, 0, NULL, NULL), KIRIM_OK);
}

static void end_of_paced(struct node *n)
{
    (void)n;
    close_node(&a);
    close_node(&b);
}

START_TEST(paced_send_of_the_host_leaves_when_it_is_due)
{
    uint64_t at_ns = 0;
    open_node(loop, &a);
    open_node(loop, &b);
    b.hook = end_of_paced;
    look();
    call_in(0, host_sends_later, &at_ns);
    look();
    ck_assert_uint_ne(at_ns, 0);
    ck_assert(sent_count() == 0 || kirim_loop_now(loop) >= at_ns);
    dispatch();
    ck_assert_uint_eq(sent_count(), 1);
    ck_assert_uint_eq(b.received, 1);
    ck_assert_uint_ge(kirim_loop_now(loop), at_ns);
}
END_TEST

/* libevent runs the highest priority that is active, and nothing below it, in one pass. */
START_TEST(send_of_an_urgent_host_event_leaves_before_the_base_waits)
{
    int has_run = 0;
    tear_down();
    script_reset();
    base = event_base_new();
    ck_assert_int_eq(event_base_priority_init(base, 3), 0);
    loop = join();
    open_node(loop, &a);
    open_node(loop, &b);
    struct event *urgent = event_new(base, -1, 0, host_sends, &has_run);
    ck_assert_int_eq(event_priority_set(urgent, 0), 0);
    event_active(urgent, EV_TIMEOUT, 1);
    ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0); /* with limit: it is active */
    run_until(&b.received, 1); /* would wait for ever for what did not leave */
    ck_assert_int_eq(has_run, 1);
    event_free(urgent);
}
END_TEST

/* ---- waking ---------------------------------------------------------------------------------- */

static void count_post(struct kirim_post *post, struct kirim_loop *on, kirim_err err)
{
    (void)on;
    ck_assert_int_eq(err, KIRIM_OK);
    (*(uint64_t *)post->user)++;
}

static struct kirim_post thread_post;

static void *post_once(void *arg)
{
    (void)kirim_remote_post(arg, &thread_post);
    return NULL;
}

START_TEST(wake_from_another_thread_needs_no_thread_support)
{
    uint64_t posted = 0;
    pthread_t thread;
    struct kirim_remote *remote = kirim_loop_remote(loop);
    for (uint64_t i = 1; i <= 3; i++) {
        thread_post = (struct kirim_post)KIRIM_POST_INIT(count_post, &posted);
        ck_assert_int_eq(pthread_create(&thread, NULL, post_once, remote), 0);
        run_until(&posted, i); /* waits without limit: the remote is held */
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
    }
    kirim_remote_release(remote);
    dispatch();
}
END_TEST

static struct kirim_remote *signal_remote;

static void on_signal(int number)
{
    (void)number;
    (void)kirim_remote_wake(signal_remote);
}

static void *raise_signal(void *arg)
{
    (void)pthread_kill(*(const pthread_t *)arg, SIGUSR1);
    return NULL;
}

START_TEST(wake_from_a_signal_handler_ends_the_wait)
{
    const struct sigaction action = { .sa_handler = on_signal };
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    pthread_t self = pthread_self();
    pthread_t thread;
    signal_remote = kirim_loop_remote(loop);
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, raise_signal, &self), 0);
    while (stats.wakes == 0) {
        ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
        ck_assert_int_eq(kirim_loop_read_stats(loop, &stats), KIRIM_OK);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    kirim_remote_release(signal_remote);
    dispatch();
}
END_TEST

START_TEST(dispatch_goes_on_while_a_remote_is_held)
{
    struct kirim_remote *remote = kirim_loop_remote(loop);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
    }
    kirim_remote_release(remote);
    dispatch();
    ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), NO_EVENTS);
    remote = kirim_loop_remote(loop); /* again, from idle */
    ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
    kirim_remote_release(remote);
    dispatch();
}
END_TEST

static void *release_remote(void *arg)
{
    kirim_remote_release(arg);
    return NULL;
}

START_TEST(last_remote_that_another_thread_gives_back_ends_the_dispatch)
{
    pthread_t thread;
    struct kirim_remote *remote = kirim_loop_remote(loop);
    ck_assert_int_eq(pthread_create(&thread, NULL, release_remote, remote), 0);
    dispatch();
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* ---- timers ---------------------------------------------------------------------------------- */

struct alarm {
    struct kirim_timer timer;
    uint64_t fired_count, late_ns;
};

static void on_expired(struct kirim_timer *timer)
{
    struct alarm *x = timer->user;
    const uint64_t now_ns = kirim_loop_now(loop);
    ck_assert_uint_ge(now_ns, timer->deadline_ns);
    x->late_ns = now_ns - timer->deadline_ns;
    x->fired_count++;
}

static void arm_in(struct alarm *x, uint64_t delay_ns)
{
    x->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_expired, x);
    ck_assert_int_eq(kirim_timer_arm_after(loop, &x->timer, delay_ns), KIRIM_OK);
}

START_TEST(timers_are_precise_on_a_plain_base)
{
    uint64_t least_ns = KIRIM_NEVER;
    for (int i = 0; i < TRIES_MAX && least_ns > NS_PER_MS / 4; i++) {
        struct alarm x = { .fired_count = 0 };
        arm_in(&x, 1300000);
        dispatch();
        ck_assert_uint_eq(x.fired_count, 1);
        least_ns = x.late_ns < least_ns ? x.late_ns : least_ns;
    }
    ck_assert_uint_le(least_ns, NS_PER_MS / 4); /* of a busy machine the best try */
}
END_TEST

START_TEST(timer_that_the_system_refuses_fires_all_the_same)
{
    struct alarm x = { .fired_count = 0 };
    script_answer(SCRIPT_TIMERFD_SETTIME, EINVAL);
    script_answer(SCRIPT_TIMERFD_SETTIME, EINVAL);
    arm_in(&x, 1000);
    dispatch();
    ck_assert_uint_eq(x.fired_count, 1);
}
END_TEST

static void cancel_alarm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    kirim_timer_cancel(arg);
}

START_TEST(cancelled_timer_does_not_hold_the_dispatch)
{
    struct alarm x = { .fired_count = 0 };
    arm_in(&x, (uint64_t)3600 * NS_PER_SECOND);
    call_in(1, cancel_alarm, &x.timer);
    dispatch();
    ck_assert_uint_eq(x.fired_count, 0);
    arm_in(&x, 1000); /* and what was set before does not stand in the way */
    dispatch();
    ck_assert_uint_eq(x.fired_count, 1);
}
END_TEST

/* ---- the host has its share ------------------------------------------------------------------ */

static void send_on(struct node *n)
{
    send_to(n, n->other);
}

static void count_call(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (*(uint64_t *)arg)++;
}

/* An endless echo makes work for the next turn in each turn; the host's timers fire all the same.
 */
START_TEST(endless_work_lets_the_host_go_on)
{
    uint64_t calls = 0;
    open_node(loop, &a);
    a.hook = send_on;
    a.other = &a;
    send_to(&a, &a);
    for (uint64_t i = 1; i <= 5; i++) {
        call_in(1, count_call, &calls);
        run_until(&calls, i);
    }
    ck_assert_uint_gt(a.received, 5);
}
END_TEST

static void end_node(struct node *n)
{
    if (n->received == FLOOD_COUNT) {
        close_node(n);
    }
}

START_TEST(flood_is_handed_over_in_several_turns)
{
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    open_node(loop, &a);
    open_node(loop, &b);
    b.hook = end_node;
    for (int i = 0; i < FLOOD_COUNT; i++) {
        send_to(&a, &b);
    }
    close_node(&a);
    dispatch();
    ck_assert_uint_eq(b.received, FLOOD_COUNT);
    ck_assert_int_eq(kirim_loop_read_stats(loop, &stats), KIRIM_OK);
    ck_assert_uint_ge(stats.turns, 3);
}
END_TEST

/* ---- ends ------------------------------------------------------------------------------------ */

START_TEST(fresh_loop_holds_no_dispatch)
{
    dispatch();
}
END_TEST

static void close_both(struct node *n)
{
    ck_assert_int_eq(kirim_loop_close(loop), KIRIM_EINVAL); /* not from inside a callback */
    close_node(n);
    close_node(n->other);
}

START_TEST(endpoints_may_be_closed_inside_callbacks)
{
    open_node(loop, &a);
    open_node(loop, &b);
    b.hook = close_both;
    b.other = &a;
    send_to(&a, &b);
    dispatch();
    ck_assert_uint_eq(b.received, 1);
    ck_assert_uint_eq(a.ended + b.ended, 2);
}
END_TEST

static void host_closes(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    close_node(arg);
}

START_TEST(endpoint_that_the_host_closes_ends_the_dispatch)
{
    open_node(loop, &a);
    call_in(1, host_closes, &a);
    dispatch();
    ck_assert_uint_eq(a.ended, 1);
}
END_TEST

static void remove_guest(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    kirim_guest_remove(arg);
}

static void no_guest(struct kirim_guest *guest, uint32_t events)
{
    (void)guest;
    (void)events;
    ck_abort_msg("nothing was written");
}

START_TEST(guest_that_the_host_removes_ends_the_dispatch)
{
    int fds[2];
    struct kirim_guest guest = KIRIM_GUEST_INIT(no_guest, NULL);
    struct alarm x = { .fired_count = 0 };
    ck_assert_int_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    ck_assert_int_eq(kirim_guest_watch(loop, &guest, fds[0], KIRIM_GUEST_READABLE), KIRIM_OK);
    arm_in(&x, 1000);
    call_in(5, remove_guest, &guest);
    dispatch();
    ck_assert_uint_eq(x.fired_count, 1);
    (void)close(fds[0]);
    (void)close(fds[1]);
}
END_TEST

static void close_loop(evutil_socket_t fd, short what, void *arg)
{
    struct kirim_loop **which = arg;
    (void)fd;
    (void)what;
    ck_assert_int_eq(kirim_loop_close(*which), KIRIM_OK);
    *which = NULL;
}

START_TEST(loop_that_the_host_closes_leaves_the_base_alone)
{
    uint64_t calls = 0;
    struct alarm x = { .fired_count = 0 };
    open_node(loop, &a);
    open_node(loop, &b);
    arm_in(&x, NS_PER_SECOND);
    send_to(&a, &b); /* the turn event is active when the loop is closed, and so is b's */
    ck_assert_int_eq(kirim_endpoint_flush(a.ep), KIRIM_OK);
    send_to(&a, &b);
    call_in(0, close_loop, &loop);
    call_in(2, count_call, &calls);
    dispatch();
    ck_assert_ptr_null(loop);
    ck_assert_uint_eq(a.ended + b.ended, 2);
    ck_assert_uint_eq(calls, 1);
    ck_assert_uint_eq(x.fired_count, 0);
}
END_TEST

static void answer(struct node *n)
{
    if (n->received < 100) {
        send_to(n, n->other);
        return;
    }
    close_node(n);
    if (n->other->received >= 99) {
        close_node(n->other);
    }
}

START_TEST(two_loops_share_a_base)
{
    struct kirim_loop *second = join();
    open_node(loop, &a);
    open_node(second, &b);
    a.hook = b.hook = answer;
    a.other = &b;
    b.other = &a;
    send_to(&a, &b);
    dispatch();
    ck_assert_uint_eq(b.received, 100);
    ck_assert_uint_eq(a.ended + b.ended, 2);
    open_node(second, &b);
    call_in(0, close_loop, &loop);
    call_in(1, host_closes, &b);
    dispatch();
    ck_assert_int_eq(kirim_loop_close(second), KIRIM_OK);
}
END_TEST

/* ---- a child process ------------------------------------------------------------------------- */

START_TEST(child_that_reinitialises_closes_without_harm)
{
    struct alarm x = { .fired_count = 0 };
    int status = -1;
    open_node(loop, &a);
    open_node(loop, &b);
    arm_in(&x, 20 * (uint64_t)NS_PER_MS);
    look();
    send_to(&a, &b); /* is queued, and the parent's to send */
    const pid_t child = fork();
    if (child == 0) {
        const bool is_good = event_reinit(base) == 0 && kirim_loop_close(loop) == KIRIM_OK;
        event_base_free(base);
        _exit(is_good ? 0 : 1);
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    run_until(&x.fired_count, 1);
    run_until(&b.received, 1); /* the child may have taken longer than the timer */
    ck_assert_uint_eq(b.received, 1);
    send_to(&a, &b);
    run_until(&b.received, 2);
}
END_TEST

static void add_cases(TCase *tcase)
{
    tcase_add_loop_test(tcase, dispatch_runs_everything_and_returns, 0, 3);
    tcase_add_test(tcase, turns_of_ones_own_and_a_handle_are_refused);
    tcase_add_test(tcase, send_of_a_host_timer_leaves_in_the_same_pass);
    tcase_add_test(tcase, send_of_a_host_socket_leaves_in_the_same_pass);
    tcase_add_test(tcase, send_before_the_dispatch_leaves_in_its_first_pass);
    tcase_add_test(tcase, paced_send_of_the_host_leaves_when_it_is_due);
    tcase_add_test(tcase, send_of_an_urgent_host_event_leaves_before_the_base_waits);
    tcase_add_test(tcase, wake_from_another_thread_needs_no_thread_support);
    tcase_add_test(tcase, wake_from_a_signal_handler_ends_the_wait);
    tcase_add_test(tcase, dispatch_goes_on_while_a_remote_is_held);
    tcase_add_test(tcase, last_remote_that_another_thread_gives_back_ends_the_dispatch);
    tcase_add_test(tcase, timers_are_precise_on_a_plain_base);
    tcase_add_test(tcase, timer_that_the_system_refuses_fires_all_the_same);
    tcase_add_test(tcase, cancelled_timer_does_not_hold_the_dispatch);
    tcase_add_test(tcase, endless_work_lets_the_host_go_on);
    tcase_add_test(tcase, flood_is_handed_over_in_several_turns);
    tcase_add_test(tcase, fresh_loop_holds_no_dispatch);
    tcase_add_test(tcase, endpoints_may_be_closed_inside_callbacks);
    tcase_add_test(tcase, endpoint_that_the_host_closes_ends_the_dispatch);
    tcase_add_test(tcase, guest_that_the_host_removes_ends_the_dispatch);
    tcase_add_test(tcase, loop_that_the_host_closes_leaves_the_base_alone);
    tcase_add_test(tcase, two_loops_share_a_base);
    tcase_add_test(tcase, child_that_reinitialises_closes_without_harm);
}

int main(void)
{
    Suite *suite = suite_create("reactors/libevent joined");
    TCase *tcase = tcase_create("joined");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, CASE_SECONDS_MAX);
    add_cases(tcase);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
