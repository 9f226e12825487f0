/* SPDX-License-Identifier: MIT
 *
 * Claims about the operations of the reactor completion and the thread that they belong to: sockets
 * that take no routine are refused, a host that waits alertably is told, wakes merge and leave
 * nothing behind, and a loop goes on in another thread, whatever became of the first. What becomes
 * of operations under a system that plays tricks is held by the suites behind the spy.
 */
#include <string.h>

#include "support/win_bench.h"

enum {
    PATIENCE_MS = 30000,
    WAKERS_COUNT = 4,
    WAKES_COUNT = 200,
    BURST_COUNT = 30 /* more than are posted at first */
};

/* They outlive the test function: their last callback comes with the loop's end. */
static struct heard from;
static struct heard to;

static void set_up(void)
{
    script_reset();
    bench_open("completion", NULL);
    bench_listen(&from);
    bench_listen(&to);
}

static void tear_down(void)
{
    bench_close();
}

/* ---- sockets that take no routine ------------------------------------------------------------ */

/* A UDP socket of the test's own, made with these flags and bound to the loopback address. */
static SOCKET make_socket(DWORD flags)
{
    const struct sockaddr_in name = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const SOCKET s =
        script_table()->socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP, NULL, 0, flags); /* counted */
    ck_assert(s != INVALID_SOCKET);
    ck_assert_int_eq(bind(s, (const struct sockaddr *)&name, sizeof name), 0);
    return s;
}

static struct kirim_endpoint_options adopting(SOCKET s)
{
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    o.flags = KIRIM_ENDPOINT_ADOPT;
    o.adopt = (intptr_t)s;
    return o;
}

START_TEST(socket_that_is_not_overlapped_is_refused_untouched) /* S35, S51 */
{
    const SOCKET s = make_socket(0);
    struct kirim_endpoint_options o = adopting(s);
    DWORD flags = 0;
    struct heard h = { .ep = NULL };
    ck_assert(SetHandleInformation((HANDLE)s, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT));
    o.receive_buffer_bytes = 123456;
    const uint32_t buffer = bench_option(s, SOL_SOCKET, SO_RCVBUF);
    ck_assert_int_eq(bench_try(&h, &o), KIRIM_EINVAL);
    ck_assert_uint_eq(bench_option(s, SOL_SOCKET, SO_RCVBUF), buffer);
    ck_assert(GetHandleInformation((HANDLE)s, &flags));
    ck_assert_uint_eq(flags & HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    ck_assert_int_eq(script_table()->close(s), 0);
}
END_TEST

START_TEST(overlapped_socket_is_adopted)
{
    struct kirim_endpoint_options o = adopting(make_socket(WSA_FLAG_OVERLAPPED));
    static struct heard h;
    memset(&h, 0, sizeof h);
    ck_assert_int_eq(bench_try(&h, &o), KIRIM_OK);
    h.addr = kirim_endpoint_local(h.ep);
    ck_assert_int_eq(bench_send(&from, &h), KIRIM_OK);
    bench_until(&h.datagrams, 1);
}
END_TEST

/* Such a socket reports to its completion port alone. */
START_TEST(socket_of_a_completion_port_is_refused_and_stays_the_callers)
{
    const SOCKET s = make_socket(WSA_FLAG_OVERLAPPED);
    const HANDLE port = CreateIoCompletionPort((HANDLE)s, NULL, 1, 1);
    struct kirim_endpoint_options o = adopting(s);
    struct heard h = { .ep = NULL };
    ck_assert_ptr_nonnull(port);
    ck_assert_int_eq(bench_try(&h, &o), KIRIM_EINVAL);
    ck_assert_uint_eq(bench_option(s, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    bench_turn(); /* nothing of it is left */
    ck_assert_int_eq(script_table()->close(s), 0);
    ck_assert(CloseHandle(port));
}
END_TEST

/* ---- hosts and wakes ------------------------------------------------------------------------- */

START_TEST(alertable_wait_of_a_host_ends_when_a_datagram_arrives)
{
    bench_turn();
    ck_assert((kirim_loop_caps(bench_loop()) & KIRIM_CAP_ALERTABLE) != 0);
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    while (to.datagrams == 0) {
        ck_assert_uint_eq(SleepEx(PATIENCE_MS, TRUE), WAIT_IO_COMPLETION);
        ck_assert_int_eq(kirim_loop_step(bench_loop(), 0), KIRIM_OK);
    }
}
END_TEST

static DWORD WINAPI wake_once(void *context)
{
    return kirim_remote_wake(context) == KIRIM_OK ? 0 : 1;
}

START_TEST(alertable_wait_of_a_host_ends_when_somebody_wakes)
{
    struct kirim_remote *remote = kirim_loop_remote(bench_loop());
    struct kirim_loop_stats s = KIRIM_LOOP_STATS_INIT;
    const HANDLE thread = CreateThread(NULL, 0, wake_once, remote, 0, NULL);
    ck_assert_uint_eq(SleepEx(PATIENCE_MS, TRUE), WAIT_IO_COMPLETION);
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_OK); /* it does not sleep */
    ck_assert_int_eq(kirim_loop_read_stats(bench_loop(), &s), KIRIM_OK);
    ck_assert_uint_eq(s.wakes, 1);
    ck_assert_uint_eq(WaitForSingleObject(thread, PATIENCE_MS), WAIT_OBJECT_0);
    ck_assert(CloseHandle(thread));
    kirim_remote_release(remote);
}
END_TEST

static DWORD WINAPI wake_often(void *context)
{
    bool is_good = true;
    for (int i = 0; i < WAKES_COUNT; i++) {
        is_good = kirim_remote_wake(context) == KIRIM_OK && is_good;
    }
    return is_good ? 0 : 1;
}

START_TEST(storm_of_wakes_merges_beside_traffic)
{
    struct kirim_remote *remote = kirim_loop_remote(bench_loop());
    HANDLE threads[WAKERS_COUNT];
    struct kirim_loop_stats s = KIRIM_LOOP_STATS_INIT;
    for (int i = 0; i < WAKERS_COUNT; i++) {
        threads[i] = CreateThread(NULL, 0, wake_often, remote, 0, NULL);
    }
    for (uint64_t i = 1; i <= BURST_COUNT; i++) {
        ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
        bench_until(&to.datagrams, i);
    }
    ck_assert_uint_eq(WaitForMultipleObjects(WAKERS_COUNT, threads, TRUE, PATIENCE_MS),
                      WAIT_OBJECT_0);
    for (int i = 0; i < WAKERS_COUNT; i++) {
        ck_assert(CloseHandle(threads[i]));
    }
    ck_assert_int_eq(kirim_loop_step(bench_loop(), 0), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_read_stats(bench_loop(), &s), KIRIM_OK);
    ck_assert_uint_ge(s.wakes, 1);
    ck_assert_uint_le(s.wakes, WAKERS_COUNT * WAKES_COUNT);
    kirim_remote_release(remote);
}
END_TEST

START_TEST(nothing_is_queued_for_the_thread_when_the_loop_is_gone)
{
    struct kirim_remote *remote = kirim_loop_remote(bench_loop());
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    ck_assert_int_eq(kirim_remote_wake(remote), KIRIM_OK);
    kirim_remote_release(remote);
    bench_close();
    ck_assert_uint_eq(SleepEx(0, TRUE), 0);
    set_up();
}
END_TEST

/* ---- other threads --------------------------------------------------------------------------- */

/* Takes the loop over, and runs it until so many datagrams have come. */
static DWORD WINAPI take_over(void *context)
{
    const uint64_t wanted = *(const uint64_t *)context;
    struct kirim_loop *loop = bench_loop();
    kirim_loop_own(loop);
    const uint64_t end_ns = kirim_loop_now(loop) + UINT64_C(1000000) * PATIENCE_MS;
    bool is_good = bench_send(&from, &to) == KIRIM_OK;
    while (is_good && to.datagrams < wanted) {
        is_good =
            kirim_loop_step(loop, UINT64_C(10000000)) == KIRIM_OK && kirim_loop_now(loop) < end_ns;
    }
    return is_good ? 0 : 1;
}

static void join(HANDLE thread)
{
    DWORD status = 0;
    ck_assert_uint_eq(WaitForSingleObject(thread, PATIENCE_MS), WAIT_OBJECT_0);
    ck_assert(GetExitCodeThread(thread, &status));
    ck_assert_uint_eq(status, 0);
    ck_assert(CloseHandle(thread));
}

START_TEST(loop_opened_here_runs_elsewhere)
{
    uint64_t wanted = 1;
    join(CreateThread(NULL, 0, take_over, &wanted, 0, NULL)); /* this thread waits for nothing */
    kirim_loop_own(bench_loop());
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    bench_until(&to.datagrams, 2);
}
END_TEST

START_TEST(loop_goes_on_elsewhere_when_its_first_thread_has_waited_alertably)
{
    uint64_t wanted = 2;
    bench_turn(); /* receives are posted in this thread */
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    const HANDLE thread = CreateThread(NULL, 0, take_over, &wanted, 0, NULL);
    DWORD answer = WAIT_IO_COMPLETION;
    while (answer == WAIT_IO_COMPLETION) {
        answer = WaitForSingleObjectEx(thread, PATIENCE_MS, TRUE);
    }
    join(thread);
    kirim_loop_own(bench_loop());
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    bench_until(&to.datagrams, 3);
}
END_TEST

/* Has receives posted and filled, of which no routine ran. */
static DWORD WINAPI leave_filled(void *context)
{
    (void)context;
    kirim_loop_own(bench_loop());
    bool is_good = kirim_loop_step(bench_loop(), 0) == KIRIM_OK;
    for (int i = 0; i < BURST_COUNT; i++) {
        is_good = bench_send(&from, &to) == KIRIM_OK && is_good;
    }
    return is_good ? 0 : 1;
}

START_TEST(what_came_before_a_thread_ended_is_handed_over_in_another_one)
{
    join(CreateThread(NULL, 0, leave_filled, NULL, 0, NULL));
    kirim_loop_own(bench_loop());
    bench_until(&to.datagrams, BURST_COUNT);
    ck_assert_uint_eq(to.errors + from.errors, 0);
}
END_TEST

START_TEST(loop_of_a_thread_that_ended_is_closed_with_receives_posted) /* S26 */
{
    join(CreateThread(NULL, 0, leave_filled, NULL, 0, NULL));
    const uint64_t ends = to.ends + from.ends;
    bench_close();
    ck_assert_uint_eq(to.ends + from.ends, ends + 2);
    set_up();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("win_op");
    TCase *adopting_case = tcase_create("sockets that take no routine");
    tcase_add_checked_fixture(adopting_case, set_up, tear_down);
    tcase_add_test(adopting_case, socket_that_is_not_overlapped_is_refused_untouched);
    tcase_add_test(adopting_case, overlapped_socket_is_adopted);
    tcase_add_test(adopting_case, socket_of_a_completion_port_is_refused_and_stays_the_callers);
    suite_add_tcase(suite, adopting_case);
    TCase *hosts = tcase_create("hosts and wakes");
    tcase_add_checked_fixture(hosts, set_up, tear_down);
    tcase_add_test(hosts, alertable_wait_of_a_host_ends_when_a_datagram_arrives);
    tcase_add_test(hosts, alertable_wait_of_a_host_ends_when_somebody_wakes);
    tcase_add_test(hosts, storm_of_wakes_merges_beside_traffic);
    tcase_add_test(hosts, nothing_is_queued_for_the_thread_when_the_loop_is_gone);
    suite_add_tcase(suite, hosts);
    TCase *threads = tcase_create("other threads");
    tcase_add_checked_fixture(threads, set_up, tear_down);
    tcase_add_test(threads, loop_opened_here_runs_elsewhere);
    tcase_add_test(threads, loop_goes_on_elsewhere_when_its_first_thread_has_waited_alertably);
    tcase_add_test(threads, what_came_before_a_thread_ended_is_handed_over_in_another_one);
    tcase_add_test(threads, loop_of_a_thread_that_ended_is_closed_with_receives_posted);
    suite_add_tcase(suite, threads);
    return bench_run(suite);
}
