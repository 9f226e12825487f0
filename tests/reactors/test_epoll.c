/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/epoll.c: what it shares with select, and what is its own: the pollable
 * handle, more ready descriptors than one wait tells of, and a system without epoll_pwait2.
 */
#include "readiness.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MANY = 150, /* more than two waits tell of */
    WAIT_MS_MAX = 10000,
    NS_PER_MS = 1000000
};

/* They outlive the test function: their last callback comes with the loop's end. */
static struct heard from;
static struct heard to;
static struct heard many[MANY];

static void set_up(void)
{
    script_reset();
    readiness_open("epoll", NULL);
}

static void tear_down(void)
{
    readiness_close();
}

static void send_to(const struct heard *h)
{
    ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &h->addr), KIRIM_OK);
}

static bool is_readable(intptr_t fd, int timeout_ms)
{
    struct pollfd state = { .fd = (int)fd, .events = POLLIN };
    return poll(&state, 1, timeout_ms) == 1;
}

START_TEST(pollable_handle_is_readable_when_a_step_has_work)
{
    intptr_t handle = KIRIM_NO_DESCRIPTOR;
    readiness_listen(&from);
    readiness_listen(&to);
    ck_assert_uint_ne(kirim_loop_caps(readiness_loop()) & KIRIM_CAP_POLLABLE, 0);
    ck_assert_int_eq(kirim_loop_pollable(readiness_loop(), &handle), KIRIM_OK);
    readiness_turn();
    ck_assert(!is_readable(handle, 0));
    send_to(&to);
    ck_assert_int_eq(kirim_endpoint_flush(from.ep), KIRIM_OK);
    ck_assert(is_readable(handle, WAIT_MS_MAX));
    readiness_turn();
    ck_assert_uint_eq(to.datagrams, 1);
    ck_assert(!is_readable(handle, 0));
}
END_TEST

START_TEST(pollable_handle_is_readable_after_a_wake)
{
    intptr_t handle = KIRIM_NO_DESCRIPTOR;
    struct kirim_remote *remote = kirim_loop_remote(readiness_loop());
    ck_assert_int_eq(kirim_loop_pollable(readiness_loop(), &handle), KIRIM_OK);
    ck_assert(!is_readable(handle, 0));
    ck_assert_int_eq(kirim_remote_wake(remote), KIRIM_OK);
    ck_assert(is_readable(handle, 0));
    readiness_turn();
    ck_assert(!is_readable(handle, 0));
    kirim_remote_release(remote);
}
END_TEST

START_TEST(many_ready_descriptors_are_told_in_turn)
{
    readiness_listen(&from);
    for (int i = 0; i < MANY; i++) {
        readiness_listen(&many[i]);
    }
    for (int round = 1; round <= 2; round++) {
        /* Twice each, so that those told first are ready again while others have not been told. */
        for (int i = 0; i < MANY; i++) {
            send_to(&many[i]);
            send_to(&many[i]);
        }
        ck_assert_int_eq(kirim_endpoint_flush(from.ep), KIRIM_OK);
        readiness_turn();
        readiness_turn();
        readiness_turn();
        for (int i = 0; i < MANY; i++) {
            ck_assert_uint_ge(many[i].datagrams, (uint64_t)round);
        }
        readiness_turn();
        readiness_turn();
        readiness_turn();
        for (int i = 0; i < MANY; i++) {
            ck_assert_uint_eq(many[i].datagrams, 2 * (uint64_t)round);
        }
    }
}
END_TEST

START_TEST(write_interest_is_armed_only_while_blocked)
{
    readiness_listen(&from);
    readiness_listen(&to);
    readiness_turn();
    const uint64_t before = script_count(SCRIPT_EPOLL_CTL);
    send_to(&to);
    readiness_until(&to.datagrams, 1);
    ck_assert_uint_eq(script_count(SCRIPT_EPOLL_CTL), before);
    script_answer(SCRIPT_SENDMSG, EAGAIN);
    send_to(&to);
    readiness_until(&to.datagrams, 2);
    ck_assert_uint_eq(script_count(SCRIPT_EPOLL_CTL), before + 2); /* on and off */
}
END_TEST

START_TEST(write_interest_that_cannot_be_disarmed_is_disarmed_later)
{
    readiness_listen(&from);
    readiness_listen(&to);
    script_answer(SCRIPT_SENDMSG, EAGAIN);
    script_answer(SCRIPT_EPOLL_CTL, 0);
    script_answer(SCRIPT_EPOLL_CTL, ENOMEM);
    send_to(&to);
    readiness_until(&to.datagrams, 1);
    readiness_turn();
    const uint64_t calls = script_count(SCRIPT_EPOLL_CTL);
    readiness_turn();
    ck_assert_uint_eq(script_count(SCRIPT_EPOLL_CTL), calls);
}
END_TEST

START_TEST(file_is_not_watched)
{
    struct guest g = readiness_guest();
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(readiness_watch(&g, fileno(file), KIRIM_GUEST_READABLE), KIRIM_EOPNOTSUPP);
    (void)fclose(file);
}
END_TEST

START_TEST(socket_that_was_shut_down_does_not_spin)
{
    static const int how[] = { SHUT_RD, SHUT_RDWR };
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    readiness_listen(&from);
    intptr_t handle = KIRIM_NO_DESCRIPTOR;
    ck_assert_int_eq(kirim_loop_pollable(readiness_loop(), &handle), KIRIM_OK);
    o.peer = from.addr;
    ck_assert_int_eq(kirim_endpoint_open(readiness_loop(), &o, &to.ep), KIRIM_OK);
    ck_assert_int_eq(shutdown((int)kirim_endpoint_descriptor(to.ep), how[_i]), 0);
    readiness_turn();
    readiness_turn();
    ck_assert(!is_readable(handle, 0));
}
END_TEST

static void on_expired(struct kirim_timer *timer)
{
    (*(uint64_t *)timer->user)++;
}

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

START_TEST(system_without_pwait2_waits_in_milliseconds)
{
    static const int refusals[] = { ENOSYS, EPERM };
    readiness_close();
    script_reset();
    script_break(SCRIPT_EPOLL_PWAIT2, refusals[_i]);
    readiness_open("epoll", NULL);
    ck_assert_uint_ge(kirim_loop_timer_resolution_ns(readiness_loop()), NS_PER_MS);
    const uint64_t calls = script_count(SCRIPT_EPOLL_PWAIT2);
    (void)fire_in(1);
    (void)fire_in(NS_PER_MS + 1);
    ck_assert_uint_eq(script_count(SCRIPT_EPOLL_PWAIT2), calls);
    ck_assert_uint_gt(script_count(SCRIPT_EPOLL_PWAIT), 0);
}
END_TEST

START_TEST(timer_resolution_is_under_a_millisecond)
{
    ck_assert_uint_lt(kirim_loop_timer_resolution_ns(readiness_loop()), NS_PER_MS);
    (void)fire_in(300000);
    ck_assert_uint_gt(script_count(SCRIPT_EPOLL_PWAIT2), 0);
}
END_TEST

START_TEST(refused_registration_fails_the_open_and_leaves_nothing)
{
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    readiness_listen(&from);
    const int descriptors = script_open_descriptors();
    o.local = from.addr;
    kirim_addr_set_port(&o.local, 0);
    script_answer(SCRIPT_EPOLL_CTL, ENOSPC);
    ck_assert_int_eq(kirim_endpoint_open(readiness_loop(), &o, &to.ep), KIRIM_ENOMEM);
    ck_assert_int_eq(script_open_descriptors(), descriptors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/epoll");
    TCase *tcase = tcase_create("epoll");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    readiness_add_cases(tcase);
    readiness_add_wait_cases(tcase);
    tcase_add_test(tcase, pollable_handle_is_readable_when_a_step_has_work);
    tcase_add_test(tcase, pollable_handle_is_readable_after_a_wake);
    tcase_add_test(tcase, many_ready_descriptors_are_told_in_turn);
    tcase_add_test(tcase, write_interest_is_armed_only_while_blocked);
    tcase_add_test(tcase, write_interest_that_cannot_be_disarmed_is_disarmed_later);
    tcase_add_test(tcase, file_is_not_watched);
    tcase_add_loop_test(tcase, socket_that_was_shut_down_does_not_spin, 0, 2);
    tcase_add_loop_test(tcase, system_without_pwait2_waits_in_milliseconds, 0, 2);
    tcase_add_test(tcase, timer_resolution_is_under_a_millisecond);
    tcase_add_test(tcase, refused_registration_fails_the_open_and_leaves_nothing);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
