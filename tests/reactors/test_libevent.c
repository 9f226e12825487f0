/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/libevent.c on a base of its own: what it shares with select and epoll, its
 * timer, and what it does before libevent would end the process. Joined bases are in
 * test_libevent_joined.c.
 */
#include "readiness.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    NS_PER_MS = 1000000,
    TRIES_MAX = 100,
    DESCRIPTORS_OF_A_LOOP = 16 /* more than one needs */
};

/* They outlive the test function: their last callback comes with the loop's end. */
static struct heard from;
static struct heard to;

static void set_up(void)
{
    script_reset();
    readiness_open("libevent", NULL);
}

static void tear_down(void)
{
    readiness_close();
}

static void send_one(void)
{
    ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &to.addr), KIRIM_OK);
}

START_TEST(own_base_has_no_handle_and_is_stepped)
{
    intptr_t handle = KIRIM_NO_DESCRIPTOR;
    const uint32_t caps = kirim_loop_caps(readiness_loop());
    ck_assert_uint_eq(caps & (KIRIM_CAP_POLLABLE | KIRIM_CAP_DRIVEN), 0);
    ck_assert_int_eq(kirim_loop_pollable(readiness_loop(), &handle), KIRIM_EOPNOTSUPP);
    readiness_turn();
}
END_TEST

/* ---- the timer ------------------------------------------------------------------------------- */

static void on_expired(struct kirim_timer *timer)
{
    (*(uint64_t *)timer->user)++;
}

/* How late a timer is. */
static uint64_t fire_in(uint64_t delay_ns)
{
    uint64_t fired = 0;
    struct kirim_timer timer = KIRIM_TIMER_INIT(on_expired, &fired);
    const uint64_t deadline_ns = kirim_loop_now(readiness_loop()) + delay_ns;
    ck_assert_int_eq(kirim_timer_arm(readiness_loop(), &timer, deadline_ns), KIRIM_OK);
    readiness_until(&fired, 1);
    const uint64_t now_ns = kirim_loop_now(readiness_loop());
    ck_assert_uint_ge(now_ns, deadline_ns);
    return now_ns - deadline_ns;
}

START_TEST(timer_is_precise)
{
    uint64_t least_ns = KIRIM_NEVER;
    for (int i = 0; i < TRIES_MAX && least_ns > NS_PER_MS / 4; i++) {
        const uint64_t late_ns = fire_in(1300000);
        least_ns = late_ns < least_ns ? late_ns : least_ns;
    }
    ck_assert_uint_le(least_ns, NS_PER_MS / 4); /* of a busy machine the best try */
}
END_TEST

START_TEST(waits_without_a_timer_make_no_call_for_one)
{
    readiness_listen(&from);
    readiness_listen(&to);
    send_one();
    readiness_until(&to.datagrams, 1);
    ck_assert_uint_eq(script_count(SCRIPT_TIMERFD_SETTIME), 0);
    ck_assert_uint_eq(script_count(SCRIPT_CLOCK_GETTIME), 0);
}
END_TEST

START_TEST(timer_is_set_only_for_what_is_nearer)
{
    uint64_t fired = 0;
    struct kirim_timer timer = KIRIM_TIMER_INIT(on_expired, &fired);
    const uint64_t now_ns = kirim_loop_now(readiness_loop());
    readiness_listen(&from);
    readiness_listen(&to);
    for (uint64_t i = 0; i < 10; i++) {
        ck_assert_int_eq(kirim_timer_arm(readiness_loop(), &timer, now_ns + (1000 + i) * NS_PER_MS),
                         KIRIM_OK);
        send_one();
        readiness_until(&to.datagrams, i + 1);
    }
    ck_assert_uint_eq(script_count(SCRIPT_TIMERFD_SETTIME), 1);
    ck_assert_int_eq(kirim_timer_arm(readiness_loop(), &timer, now_ns), KIRIM_OK);
    readiness_until(&fired, 1);
    ck_assert_uint_eq(script_count(SCRIPT_TIMERFD_SETTIME), 2);
}
END_TEST

START_TEST(timer_that_has_fired_does_not_fire_again)
{
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    (void)fire_in(1000);
    readiness_listen(&from);
    readiness_listen(&to);
    ck_assert_int_eq(kirim_loop_read_stats(readiness_loop(), &stats), KIRIM_OK);
    const uint64_t turns = stats.turns;
    send_one();
    readiness_until(&to.datagrams, 1); /* without limit: a timer still readable would end it */
    ck_assert_int_eq(kirim_loop_read_stats(readiness_loop(), &stats), KIRIM_OK);
    ck_assert_uint_eq(stats.turns, turns + 1);
}
END_TEST

START_TEST(timer_that_cannot_be_set_fails_the_wait)
{
    script_answer(SCRIPT_TIMERFD_SETTIME, EINVAL);
    ck_assert_int_eq(kirim_loop_step(readiness_loop(), NS_PER_MS), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_loop_step(readiness_loop(), NS_PER_MS), KIRIM_OK);
}
END_TEST

/* ---- guests and ports ------------------------------------------------------------------------ */

static void ignore_warning(int level, const char *text)
{
    (void)level;
    (void)text;
}

START_TEST(file_is_not_watched)
{
    struct guest g = readiness_guest();
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    event_set_log_callback(ignore_warning);
    ck_assert_int_eq(readiness_watch(&g, fileno(file), KIRIM_GUEST_READABLE), KIRIM_EOPNOTSUPP);
    ck_assert_int_eq(readiness_watch(&g, fileno(file), KIRIM_GUEST_READABLE | KIRIM_GUEST_WRITABLE),
                     KIRIM_EOPNOTSUPP);
    (void)fclose(file);
}
END_TEST

START_TEST(descriptor_of_an_endpoint_is_not_watched)
{
    struct guest g = readiness_guest();
    readiness_listen(&from);
    ck_assert_int_eq(
        readiness_watch(&g, (int)kirim_endpoint_descriptor(from.ep), KIRIM_GUEST_READABLE),
        KIRIM_EEXIST);
}
END_TEST

START_TEST(guests_in_any_order_come_and_go)
{
    int fds[3][2];
    struct guest g[3] = { readiness_guest(), readiness_guest(), readiness_guest() };
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pipe2(fds[i], O_NONBLOCK | O_CLOEXEC), 0);
        ck_assert_int_eq(write(fds[i][1], "x", 1), 1);
        ck_assert_int_eq(readiness_watch(&g[i], fds[i][0], KIRIM_GUEST_READABLE), KIRIM_OK);
    }
    readiness_turn();
    kirim_guest_remove(&g[1].guest); /* from the middle, the end, the beginning of the list */
    readiness_turn();
    kirim_guest_remove(&g[0].guest);
    readiness_turn();
    kirim_guest_remove(&g[2].guest);
    readiness_turn();
    ck_assert_uint_eq(g[1].calls, 1);
    ck_assert_uint_eq(g[0].calls, 2);
    ck_assert_uint_eq(g[2].calls, 3);
    for (int i = 0; i < 3; i++) {
        (void)close(fds[i][0]);
        (void)close(fds[i][1]);
    }
}
END_TEST

/* ---- opening --------------------------------------------------------------------------------- */

/* Out of descriptors libevent ends the process when it makes a base: the loop must not let it. */
START_TEST(out_of_descriptors_is_an_error)
{
    struct rlimit limit;
    struct kirim_loop_options o = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *second = NULL;
    kirim_err err = KIRIM_EMFILE;
    o.reactor = "libevent";
    const int first_free = dup(STDIN_FILENO);
    ck_assert_int_ge(first_free, 0);
    ck_assert_int_eq(close(first_free), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int room = 0;
    for (; room < DESCRIPTORS_OF_A_LOOP && err == KIRIM_EMFILE; room++) {
        limit.rlim_cur = (rlim_t)first_free + (rlim_t)room;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        err = kirim_loop_open(&o, &second);
    }
    ck_assert_int_eq(err, KIRIM_OK);
    ck_assert_int_gt(room, 2);
    ck_assert_int_eq(kirim_loop_close(second), KIRIM_OK);
}
END_TEST

START_TEST(every_call_of_the_open_may_fail)
{
    struct kirim_loop_options o = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *second = NULL;
    o.reactor = "libevent";
    o.system_calls = script_table();
    const int descriptors = script_open_descriptors();
    const uint64_t before = script_total();
    ck_assert_int_eq(kirim_loop_open(&o, &second), KIRIM_OK);
    const uint64_t calls = script_total() - before;
    ck_assert_int_eq(kirim_loop_close(second), KIRIM_OK);
    int failures = 0;
    for (uint64_t i = 1; i <= calls; i++) {
        script_fail_at(script_total() + i, EMFILE);
        const kirim_err err = kirim_loop_open(&o, &second);
        script_fail_at(0, 0);
        failures += err < 0;
        ck_assert_int_eq(err, err < 0 ? KIRIM_EMFILE : KIRIM_OK);
        ck_assert_int_eq(err < 0 ? KIRIM_OK : kirim_loop_close(second), KIRIM_OK);
        ck_assert_int_eq(script_open_descriptors(), descriptors);
    }
    ck_assert_int_ge(failures, 6); /* wake, timer, and four to see whether there is room */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/libevent");
    TCase *tcase = tcase_create("libevent");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    readiness_add_cases(tcase);
    tcase_add_test(tcase, own_base_has_no_handle_and_is_stepped);
    tcase_add_test(tcase, timer_is_precise);
    tcase_add_test(tcase, waits_without_a_timer_make_no_call_for_one);
    tcase_add_test(tcase, timer_is_set_only_for_what_is_nearer);
    tcase_add_test(tcase, timer_that_has_fired_does_not_fire_again);
    tcase_add_test(tcase, timer_that_cannot_be_set_fails_the_wait);
    tcase_add_test(tcase, file_is_not_watched);
    tcase_add_test(tcase, descriptor_of_an_endpoint_is_not_watched);
    tcase_add_test(tcase, guests_in_any_order_come_and_go);
    tcase_add_test(tcase, out_of_descriptors_is_an_error);
    tcase_add_test(tcase, every_call_of_the_open_may_fail);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
