/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_wake.c: wakes merge, and none is lost, whoever raises them and however
 * late its datagram comes.
 */
#include "win_wake.h"

#include "support/win_bench.h"

#include <pthread.h>

enum { THREAD_COUNT = 4, ROUND_COUNT = 5000, WAIT_MS_MAX = 10000, TRIES = 8 };

static struct ki_win win;
static struct ki_win_wake wake;

/* A loop for the log, and as much of a reactor as the wake needs, with the functions of one family.
 */
static void set_up(bool is_ipv6)
{
    script_reset();
    bench_open("select", NULL);
    memset(&win, 0, sizeof win);
    win.reactor.loop = bench_loop();
    win.sys = script_table();
    const SOCKET s = socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    ck_assert(ki_win_calls_fetch(win.sys, s, &win.calls[is_ipv6]));
    ck_assert_int_eq(closesocket(s), 0);
    ck_assert_int_eq(ki_win_wake_open(&wake, &win), KIRIM_OK);
    script_forget_steps();
}

static void set_up_ipv4(void)
{
    set_up(false);
}

static void set_up_ipv6(void)
{
    set_up(true);
}

static void tear_down(void)
{
    ki_win_wake_close(&wake, &win);
    bench_close();
}

static bool is_readable(int timeout_ms)
{
    WSAPOLLFD state = { .fd = wake.s, .events = POLLRDNORM };
    return WSAPoll(&state, 1, timeout_ms) == 1;
}

START_TEST(nothing_is_readable_before_a_wake)
{
    ck_assert(!is_readable(0));
    ck_assert(!ki_win_wake_is_raised(&wake));
    ck_assert(!ki_win_wake_take(&wake));
}
END_TEST

START_TEST(wakes_merge_into_one_datagram)
{
    for (int i = 0; i < 10; i++) {
        ki_win_wake_raise(&wake);
    }
    ck_assert_uint_eq(script_count(SCRIPT_SEND), 1);
    ck_assert(is_readable(WAIT_MS_MAX));
    ck_assert(ki_win_wake_is_raised(&wake));
    ck_assert(ki_win_wake_take(&wake));
    ck_assert(!ki_win_wake_is_raised(&wake));
    ck_assert(!is_readable(0));
    ck_assert(!ki_win_wake_take(&wake));
    ki_win_wake_raise(&wake);
    ck_assert_uint_eq(script_count(SCRIPT_SEND), 2);
    ck_assert(is_readable(WAIT_MS_MAX));
}
END_TEST

START_TEST(late_datagram_costs_an_empty_turn_and_no_wake)
{
    ki_win_wake_raise(&wake);
    script_answer(SCRIPT_RECEIVE, WSAEWOULDBLOCK); /* it is still on its way */
    ck_assert(ki_win_wake_take(&wake));
    ck_assert(is_readable(WAIT_MS_MAX));
    ck_assert(!ki_win_wake_take(&wake));
    ck_assert(!is_readable(0));
    ki_win_wake_raise(&wake);
    ck_assert(ki_win_wake_take(&wake));
}
END_TEST

START_TEST(many_late_datagrams_are_taken_together)
{
    for (int i = 0; i < 3; i++) {
        ki_win_wake_raise(&wake);
        script_answer(SCRIPT_RECEIVE, WSAEWOULDBLOCK);
        ck_assert(ki_win_wake_take(&wake));
    }
    ck_assert(is_readable(WAIT_MS_MAX));
    (void)ki_win_wake_take(&wake);
    ck_assert(!is_readable(0));
}
END_TEST

START_TEST(failed_send_is_repeated)
{
    script_answer(SCRIPT_SEND, WSAEINTR);
    script_answer(SCRIPT_SEND, WSAENOBUFS);
    ki_win_wake_raise(&wake);
    ck_assert_uint_eq(script_count(SCRIPT_SEND), 3);
    ck_assert(is_readable(WAIT_MS_MAX));
    ck_assert(ki_win_wake_take(&wake));
}
END_TEST

START_TEST(send_that_never_works_does_not_block_later_wakes)
{
    script_break(SCRIPT_SEND, WSAENOBUFS);
    ki_win_wake_raise(&wake);
    ck_assert_uint_eq(script_count(SCRIPT_SEND), TRIES);
    ck_assert(!ki_win_wake_is_raised(&wake));
    script_break(SCRIPT_SEND, 0);
    ki_win_wake_raise(&wake);
    ck_assert(is_readable(WAIT_MS_MAX));
}
END_TEST

START_TEST(last_error_stays_as_it_was)
{
    script_answer(SCRIPT_SEND, WSAENOBUFS);
    WSASetLastError(WSAESHUTDOWN);
    ki_win_wake_raise(&wake);
    ck_assert_int_eq(WSAGetLastError(), WSAESHUTDOWN);
}
END_TEST

START_TEST(failed_open_leaves_nothing)
{
    static const enum script_call calls[] = { SCRIPT_SOCKET,      SCRIPT_SETSOCKOPT, SCRIPT_BIND,
                                              SCRIPT_GETSOCKNAME, SCRIPT_CONNECT,    SCRIPT_IOCTL };
    struct ki_win_wake other;
    const int open_count = script_open_handles();
    script_answer(calls[_i], WSAENOBUFS);
    ck_assert_int_eq(ki_win_wake_open(&other, &win), KIRIM_ENOBUFS);
    ck_assert_int_eq(script_open_handles(), open_count);
}
END_TEST

START_TEST(socket_is_for_its_own_datagrams_alone)
{
    struct sockaddr_storage name;
    int bytes = sizeof name;
    ck_assert_int_eq(getsockname(wake.s, (struct sockaddr *)&name, &bytes), 0);
    const SOCKET stranger = socket(name.ss_family, SOCK_DGRAM, IPPROTO_UDP);
    (void)sendto(stranger, "x", 1, 0, (const struct sockaddr *)&name, bytes);
    ck_assert(!is_readable(0));
    ck_assert_int_eq(closesocket(stranger), 0);
    ck_assert_uint_eq(bench_option(wake.s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE), 1);
}
END_TEST

/* A thread that posts a number and wakes, over and over. */
static atomic_ulong posted[THREAD_COUNT];

static void *post_numbers(void *arg)
{
    atomic_ulong *mine = arg;
    for (unsigned i = 1; i <= ROUND_COUNT; i++) {
        atomic_store_explicit(mine, i, memory_order_relaxed);
        ki_win_wake_raise(&wake);
    }
    return NULL;
}

START_TEST(no_wake_is_lost_between_threads)
{
    pthread_t threads[THREAD_COUNT];
    for (int i = 0; i < THREAD_COUNT; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, post_numbers, &posted[i]), 0);
    }
    for (unsigned seen_count = 0; seen_count < THREAD_COUNT;) {
        /* If a wake were lost, the last number would not be seen and nothing would be there. */
        ck_assert_msg(ki_win_wake_is_raised(&wake) || is_readable(WAIT_MS_MAX), "a wake was lost");
        (void)ki_win_wake_take(&wake);
        seen_count = 0;
        for (int i = 0; i < THREAD_COUNT; i++) {
            seen_count += atomic_load_explicit(&posted[i], memory_order_relaxed) == ROUND_COUNT;
        }
    }
    for (int i = 0; i < THREAD_COUNT; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
}
END_TEST

static TCase *cases_for(const char *name, void (*set_up_family)(void))
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, set_up_family, tear_down);
    tcase_add_test(tcase, nothing_is_readable_before_a_wake);
    tcase_add_test(tcase, wakes_merge_into_one_datagram);
    tcase_add_test(tcase, late_datagram_costs_an_empty_turn_and_no_wake);
    tcase_add_test(tcase, many_late_datagrams_are_taken_together);
    tcase_add_test(tcase, failed_send_is_repeated);
    tcase_add_test(tcase, send_that_never_works_does_not_block_later_wakes);
    tcase_add_test(tcase, last_error_stays_as_it_was);
    tcase_add_loop_test(tcase, failed_open_leaves_nothing, 0, 6);
    tcase_add_test(tcase, socket_is_for_its_own_datagrams_alone);
    tcase_add_test(tcase, no_wake_is_lost_between_threads);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("reactors/win_wake");
    suite_add_tcase(suite, cases_for("IPv4", set_up_ipv4));
    suite_add_tcase(suite, cases_for("IPv6 alone", set_up_ipv6));
    return bench_run(suite);
}
