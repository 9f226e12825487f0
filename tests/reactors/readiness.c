/* SPDX-License-Identifier: MIT
 *
 * Claims that hold for select, epoll and libevent alike; see readiness.h.
 */
#include "readiness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct kirim_loop *loop;
static struct heard
    from; /* outlive the test function: their last callback comes with the loop's end */
static struct heard to;

/* ---- the loop -------------------------------------------------------------------------------- */

struct kirim_loop *readiness_loop(void)
{
    return loop;
}

void readiness_open(const char *reactor, const struct kirim_loop_options *options)
{
    static const struct kirim_loop_options defaults = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop_options o = options != NULL ? *options : defaults;
    o.reactor = reactor;
    o.system_calls = script_table();
    ck_assert_int_eq(kirim_loop_open(&o, &loop), KIRIM_OK);
    script_forget_counts();
    ck_assert_str_eq(kirim_loop_reactor(loop), reactor);
}

void readiness_close(void)
{
    ck_assert_int_eq(kirim_loop_close(loop), KIRIM_OK);
    ck_assert_int_eq(script_open_descriptors(), 0);
}

void readiness_turn(void)
{
    ck_assert_int_eq(kirim_loop_step(loop, 0), KIRIM_OK);
}

void readiness_until(const uint64_t *count, uint64_t wanted)
{
    while (*count < wanted) {
        ck_assert_int_eq(kirim_loop_step(loop, KIRIM_NEVER), KIRIM_OK);
    }
}

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct heard *h = user;
    ck_assert_ptr_eq(ep, h->ep);
    for (size_t i = 0; i < batch->count; i++) {
        const bool is_open = kirim_addr_family(&h->peer) == KIRIM_FAMILY_NONE;
        h->datagrams += is_open || kirim_addr_equal(&h->peer, &kirim_batch_at(batch, i)->peer);
    }
}

static void on_writable(struct kirim_endpoint *ep, void *user)
{
    (void)ep;
    ((struct heard *)user)->writables++;
}

static void on_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    (void)ep;
    (void)event;
    ((struct heard *)user)->errors++;
}

static void on_closed(struct kirim_endpoint *ep, void *user)
{
    (void)ep;
    ((struct heard *)user)->ends++;
}

static const struct kirim_handler handler = {
    KIRIM_HANDLER_INIT, on_received, on_writable, on_failed, on_closed,
};

void readiness_listen(struct heard *h)
{
    static const uint8_t loopback[] = { 127, 0, 0, 1 };
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    *h = (struct heard){ .ep = NULL };
    o.local = kirim_addr_ipv4(loopback, 0);
    o.handler = &handler;
    o.user = h;
    ck_assert_int_eq(kirim_endpoint_open(loop, &o, &h->ep), KIRIM_OK);
    h->addr = kirim_endpoint_local(h->ep);
}

static void send_one(void)
{
    ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &to.addr), KIRIM_OK);
}

static void on_ready(struct kirim_guest *guest, uint32_t events)
{
    struct guest *g = guest->user;
    g->events = events;
    g->calls++;
    if (g->hook != NULL) {
        g->hook(g);
    }
}

struct guest readiness_guest(void)
{
    return (struct guest){ .guest = KIRIM_GUEST_INIT(on_ready, NULL) };
}

kirim_err readiness_watch(struct guest *g, int fd, uint32_t events)
{
    g->guest.user = g;
    return kirim_guest_watch(loop, &g->guest, fd, events);
}

/* ---- sending while the system is full -------------------------------------------------------- */

START_TEST(full_system_is_waited_for_and_told_once) /* S46 */
{
    readiness_listen(&from);
    readiness_listen(&to);
    script_answer(SCRIPT_SENDMSG, EAGAIN);
    send_one();
    ck_assert_int_eq(kirim_endpoint_flush(from.ep), KIRIM_EWOULDBLOCK);
    readiness_until(&to.datagrams, 1);
    ck_assert_uint_eq(kirim_endpoint_queued_count(from.ep), 0);
    /* Nothing is left to be told: an idle loop does not turn. */
    readiness_turn();
    readiness_turn();
    ck_assert_uint_eq(to.datagrams, 1);
}
END_TEST

START_TEST(closing_a_blocked_endpoint_leaves_nothing_armed)
{
    readiness_listen(&from);
    readiness_listen(&to);
    script_break(SCRIPT_SENDMSG, EAGAIN);
    send_one();
    ck_assert_int_eq(kirim_endpoint_flush(from.ep), KIRIM_EWOULDBLOCK);
    ck_assert_int_eq(kirim_endpoint_close(from.ep), KIRIM_OK);
    readiness_until(&from.ends, 1);
    script_break(SCRIPT_SENDMSG, 0);
    readiness_turn();
    ck_assert_uint_eq(to.datagrams, 0);
}
END_TEST

/* ---- guests ---------------------------------------------------------------------------------- */

static int fds[2];

static void make_pipe(void)
{
    ck_assert_int_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
}

static void close_pipe(void)
{
    (void)close(fds[0]);
    (void)close(fds[1]);
}

START_TEST(guest_is_told_while_it_is_readable)
{
    struct guest g = readiness_guest();
    make_pipe();
    ck_assert_int_eq(readiness_watch(&g, fds[0], KIRIM_GUEST_READABLE), KIRIM_OK);
    readiness_turn();
    ck_assert_uint_eq(g.calls, 0);
    ck_assert_int_eq(write(fds[1], "ab", 2), 2);
    readiness_until(&g.calls, 2);
    ck_assert_uint_eq(g.events, KIRIM_GUEST_READABLE);
    char bytes[2];
    ck_assert_int_eq(read(fds[0], bytes, 2), 2);
    const uint64_t calls = g.calls;
    readiness_turn();
    ck_assert_uint_eq(g.calls, calls);
    kirim_guest_remove(&g.guest);
    close_pipe();
}
END_TEST

START_TEST(guest_is_told_what_it_asks_for)
{
    struct guest g = readiness_guest();
    make_pipe();
    ck_assert_int_eq(readiness_watch(&g, fds[1], KIRIM_GUEST_WRITABLE), KIRIM_OK);
    readiness_until(&g.calls, 1);
    ck_assert_uint_eq(g.events, KIRIM_GUEST_WRITABLE);
    ck_assert_int_eq(readiness_watch(&g, fds[1], 0), KIRIM_OK); /* a pause */
    const uint64_t calls = g.calls;
    readiness_turn();
    readiness_turn();
    ck_assert_uint_eq(g.calls, calls);
    ck_assert_int_eq(readiness_watch(&g, fds[1], KIRIM_GUEST_WRITABLE), KIRIM_OK);
    readiness_until(&g.calls, calls + 1);
    kirim_guest_remove(&g.guest);
    close_pipe();
}
END_TEST

START_TEST(guest_is_told_of_a_failure)
{
    struct guest reader = readiness_guest();
    struct guest writer = readiness_guest();
    make_pipe();
    ck_assert_int_eq(readiness_watch(&reader, fds[0], KIRIM_GUEST_READABLE), KIRIM_OK);
    (void)close(fds[1]);
    readiness_until(&reader.calls, 1);
    ck_assert_uint_eq(reader.events, KIRIM_GUEST_FAILED);
    kirim_guest_remove(&reader.guest);
    (void)close(fds[0]);
    make_pipe();
    (void)close(fds[0]);
    ck_assert_int_eq(readiness_watch(&writer, fds[1], KIRIM_GUEST_WRITABLE), KIRIM_OK);
    readiness_until(&writer.calls, 1);
    ck_assert_uint_eq(writer.events, KIRIM_GUEST_WRITABLE | KIRIM_GUEST_FAILED);
    kirim_guest_remove(&writer.guest);
    (void)close(fds[1]);
}
END_TEST

START_TEST(descriptor_is_watched_once)
{
    struct guest first = readiness_guest();
    struct guest second = readiness_guest();
    make_pipe();
    ck_assert_int_eq(readiness_watch(&first, fds[0], KIRIM_GUEST_READABLE), KIRIM_OK);
    ck_assert_int_eq(readiness_watch(&second, fds[0], KIRIM_GUEST_READABLE), KIRIM_EEXIST);
    kirim_guest_remove(&first.guest);
    ck_assert_int_eq(readiness_watch(&second, fds[0], KIRIM_GUEST_READABLE), KIRIM_OK);
    kirim_guest_remove(&second.guest);
    close_pipe();
}
END_TEST

START_TEST(descriptor_that_is_closed_is_not_watched)
{
    struct guest g = readiness_guest();
    make_pipe();
    close_pipe();
    ck_assert_int_eq(readiness_watch(&g, fds[0], KIRIM_GUEST_READABLE), KIRIM_EINVAL);
    ck_assert_int_eq(readiness_watch(&g, -1, KIRIM_GUEST_READABLE), KIRIM_EINVAL);
}
END_TEST

/* Takes a guest off and closes it inside its own callback. */
static void leave(struct guest *g)
{
    kirim_guest_remove(&g->guest);
    close_pipe();
}

START_TEST(guest_may_leave_inside_its_callback)
{
    struct guest g = readiness_guest();
    make_pipe();
    g.hook = leave;
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(readiness_watch(&g, fds[0], KIRIM_GUEST_READABLE), KIRIM_OK);
    readiness_until(&g.calls, 1);
    readiness_turn();
    ck_assert_uint_eq(g.calls, 1);
}
END_TEST

START_TEST(number_of_a_closed_guest_serves_an_endpoint)
{
    struct guest g = readiness_guest();
    readiness_listen(&from);
    make_pipe();
    ck_assert_int_eq(readiness_watch(&g, fds[0], KIRIM_GUEST_READABLE), KIRIM_OK);
    kirim_guest_remove(&g.guest);
    close_pipe();
    readiness_listen(&to);
    ck_assert_int_eq((int)kirim_endpoint_descriptor(to.ep), fds[0]);
    send_one();
    readiness_until(&to.datagrams, 1);
    ck_assert_uint_eq(g.calls, 0);
}
END_TEST

/* ---- waiting --------------------------------------------------------------------------------- */

START_TEST(interrupted_wait_is_a_turn)
{
    script_answer(SCRIPT_SELECT, EINTR);
    script_answer(SCRIPT_EPOLL_PWAIT, EINTR);
    script_answer(SCRIPT_EPOLL_PWAIT2, EINTR);
    ck_assert_int_eq(kirim_loop_step(loop, KIRIM_NEVER), KIRIM_OK);
}
END_TEST

static void on_expired(struct kirim_timer *timer)
{
    (*(uint64_t *)timer->user)++;
}

START_TEST(wait_does_not_end_before_its_deadline)
{
    static const uint64_t delays_ns[] = { 1, 999, 1000, 1001, 999999, 1000000, 3000001 };
    for (size_t i = 0; i < sizeof delays_ns / sizeof delays_ns[0]; i++) {
        uint64_t fired = 0;
        struct kirim_timer timer = KIRIM_TIMER_INIT(on_expired, &fired);
        const uint64_t waits = script_count(SCRIPT_SELECT) + script_count(SCRIPT_EPOLL_PWAIT2);
        const uint64_t deadline_ns = kirim_loop_now(loop) + delays_ns[i];
        ck_assert_int_eq(kirim_timer_arm(loop, &timer, deadline_ns), KIRIM_OK);
        readiness_until(&fired, 1);
        ck_assert_uint_ge(kirim_loop_now(loop), deadline_ns);
        /* One wait, and perhaps one more for a timer that its wheel kept to the next tick. */
        ck_assert_uint_le(script_count(SCRIPT_SELECT) + script_count(SCRIPT_EPOLL_PWAIT2) - waits,
                          3);
    }
}
END_TEST

static void *wake_loop(void *arg)
{
    struct kirim_remote *remote = arg;
    ck_assert_int_eq(kirim_remote_wake(remote), KIRIM_OK);
    kirim_remote_release(remote);
    return NULL;
}

START_TEST(wait_without_limit_is_ended_by_a_wake)
{
    pthread_t thread;
    struct kirim_remote *remote = kirim_loop_remote(loop);
    ck_assert_int_eq(pthread_create(&thread, NULL, wake_loop, remote), 0);
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    while (stats.wakes == 0) {
        ck_assert_int_eq(kirim_loop_step(loop, KIRIM_NEVER), KIRIM_OK);
        ck_assert_int_eq(kirim_loop_read_stats(loop, &stats), KIRIM_OK);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

START_TEST(random_bytes_are_complete)
{
    uint8_t bytes[64];
    script_limit(SCRIPT_GETRANDOM, 5);
    script_limit(SCRIPT_GETRANDOM, 1);
    script_answer(SCRIPT_GETRANDOM, 0);
    script_answer(SCRIPT_GETRANDOM, EINTR);
    memset(bytes, 0, sizeof bytes);
    ck_assert_int_eq(kirim_loop_random(loop, bytes, sizeof bytes), KIRIM_OK);
    unsigned zero_count = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        zero_count += bytes[i] == 0;
    }
    ck_assert_uint_lt(zero_count, 8); /* more than 7 of 64: once in 10^10 runs */
    script_break(SCRIPT_GETRANDOM, EIO);
    ck_assert_int_eq(kirim_loop_random(loop, bytes, 1), KIRIM_ESYSTEM);
}
END_TEST

START_TEST(child_process_closes_without_harm)
{
    int status = -1;
    readiness_listen(&from);
    readiness_listen(&to);
    const pid_t child = fork();
    if (child == 0) {
        _exit(kirim_loop_close(loop) == KIRIM_OK ? 0 : 1);
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    send_one();
    readiness_until(&to.datagrams, 1);
}
END_TEST

void readiness_add_cases(TCase *tcase)
{
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, full_system_is_waited_for_and_told_once);
    tcase_add_test(tcase, closing_a_blocked_endpoint_leaves_nothing_armed);
    tcase_add_test(tcase, guest_is_told_while_it_is_readable);
    tcase_add_test(tcase, guest_is_told_what_it_asks_for);
    tcase_add_test(tcase, guest_is_told_of_a_failure);
    tcase_add_test(tcase, descriptor_is_watched_once);
    tcase_add_test(tcase, descriptor_that_is_closed_is_not_watched);
    tcase_add_test(tcase, guest_may_leave_inside_its_callback);
    tcase_add_test(tcase, number_of_a_closed_guest_serves_an_endpoint);
    tcase_add_test(tcase, wait_does_not_end_before_its_deadline);
    tcase_add_test(tcase, wait_without_limit_is_ended_by_a_wake);
    tcase_add_test(tcase, random_bytes_are_complete);
    tcase_add_test(tcase, child_process_closes_without_harm);
}

void readiness_add_wait_cases(TCase *tcase)
{
    tcase_add_test(tcase, interrupted_wait_is_a_turn);
}
