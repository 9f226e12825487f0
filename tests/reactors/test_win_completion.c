/* SPDX-License-Identifier: MIT
 *
 * Claims about how the reactor completion waits: that it sleeps while there is nothing to do, and
 * that neither guests nor failures keep it from what it owes; and how often it hears a routine.
 * What becomes of operations is held by the suites behind the spy.
 */
#include "win_op.h"

#include "support/win_bench.h"

#include <string.h>

enum {
    BURST_COUNT = 40, /* more than are posted at first */
    ENDPOINT_COUNT = 300,
    TURNS_COUNT = 20,
    TURN_NS = 2000000
};

/* They outlive the test function: their last callback comes with the loop's end. */
static struct heard from;
static struct heard to;
static struct heard endpoints[ENDPOINT_COUNT];
static struct guest guest;

static void set_up(void)
{
    script_reset();
    memset(&guest, 0, sizeof guest);
    bench_open("completion", NULL);
    bench_listen(&from);
    bench_listen(&to);
    bench_turn(); /* receives are posted by the first wait */
    script_forget_steps();
}

static void tear_down(void)
{
    bench_close();
}

/* Sends more than is posted; behind the ones that land, every receive fails. */
static void fail_behind_a_burst(int sys_err)
{
    for (int i = 0; i < BURST_COUNT; i++) {
        ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &to.addr), KIRIM_OK);
    }
    ck_assert_int_eq(kirim_endpoint_flush(from.ep), KIRIM_OK);
    script_break(SCRIPT_RECEIVE, sys_err);
    bench_until(&to.errors, 1);
}

START_TEST(loop_sleeps_while_a_port_pauses)
{
    fail_behind_a_burst(WSAENOBUFS);
    ck_assert_int_eq(to.err, KIRIM_ENOBUFS);
    int slept_count = 0;
    for (int i = 0; i < TURNS_COUNT; i++) {
        script_forget_steps();
        ck_assert_int_eq(kirim_loop_step(bench_loop(), TURN_NS), KIRIM_OK);
        slept_count += script_timeout() != 0;
    }
    ck_assert_int_ge(slept_count, TURNS_COUNT / 2);
    script_break(SCRIPT_RECEIVE, 0);
    bench_until(&to.datagrams, BURST_COUNT);
}
END_TEST

START_TEST(loop_sleeps_while_a_port_is_shut_down)
{
    fail_behind_a_burst(WSAESHUTDOWN);
    ck_assert_int_eq(to.err, KIRIM_ESHUTDOWN);
    int slept_count = 0;
    for (int i = 0; i < TURNS_COUNT; i++) {
        script_forget_steps();
        ck_assert_int_eq(kirim_loop_step(bench_loop(), TURN_NS), KIRIM_OK);
        slept_count += script_timeout() != 0;
    }
    ck_assert_int_ge(slept_count, TURNS_COUNT / 2);
}
END_TEST

START_TEST(idle_loop_sleeps_without_a_limit)
{
    for (int i = 0; i < TURNS_COUNT; i++) {
        bench_turn(); /* all that is owed has come */
    }
    struct kirim_remote *remote = kirim_loop_remote(bench_loop());
    ck_assert_int_eq(kirim_remote_wake(remote), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_OK);
    kirim_remote_release(remote);
    ck_assert_int_eq(script_timeout(), -1);
}
END_TEST

START_TEST(guest_that_always_has_something_does_not_keep_routines_away)
{
    ck_assert_int_eq(bench_watch(&guest, bench_readable_socket(), KIRIM_GUEST_READABLE), KIRIM_OK);
    bench_until(&guest.calls, 1);
    for (uint64_t round = 1; round <= TURNS_COUNT; round++) {
        ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
        bench_until(&to.datagrams, round);
        ck_assert_uint_ge(guest.calls, round);
    }
    kirim_guest_remove(&guest.guest);
    ck_assert_int_eq(closesocket(guest.s), 0);
}
END_TEST

START_TEST(each_of_many_endpoints_is_heard)
{
    for (int i = 0; i < ENDPOINT_COUNT; i++) {
        bench_listen(&endpoints[i]);
        endpoints[i].peer = from.addr;
    }
    for (uint64_t round = 1; round <= 2; round++) {
        for (int i = 0; i < ENDPOINT_COUNT; i++) {
            ck_assert_int_eq(bench_send(&from, &endpoints[i]), KIRIM_OK);
        }
        for (int i = 0; i < ENDPOINT_COUNT; i++) {
            bench_until(&endpoints[i].datagrams, round);
            ck_assert_uint_eq(endpoints[i].datagrams, round);
        }
    }
}
END_TEST

START_TEST(closed_endpoint_ends_when_its_receives_have)
{
    script_break(SCRIPT_SLEEP, WSAEINTR); /* no routine runs */
    ck_assert_int_eq(kirim_endpoint_close(to.ep), KIRIM_OK);
    for (int i = 0; i < TURNS_COUNT; i++) {
        bench_turn();
    }
    ck_assert_uint_eq(to.ends, 0); /* they are out */
    script_break(SCRIPT_SLEEP, 0);
    bench_until(&to.ends, 1);
    ck_assert_uint_eq(to.ends, 1);
}
END_TEST

START_TEST(routine_that_comes_twice_is_heard_once)
{
    static struct ki_op_reactor r;
    static struct ki_op op;
    memset(&r, 0, sizeof r);
    memset(&op, 0, sizeof op);
    ki_op_begin(&r, &op);
    ki_op_land(WSAEMSGSIZE, 0, &op.overlapped, 0);
    ki_op_land(0, 0, &op.overlapped, 0);
    ck_assert_ptr_eq(atomic_load(&r.landed), &op);
    ck_assert_ptr_null(op.landed_next);
    ck_assert_int_eq(op.sys_err, WSAEMSGSIZE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/win_completion");
    TCase *tcase = tcase_create("completion");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, loop_sleeps_while_a_port_pauses);
    tcase_add_test(tcase, loop_sleeps_while_a_port_is_shut_down);
    tcase_add_test(tcase, idle_loop_sleeps_without_a_limit);
    tcase_add_test(tcase, guest_that_always_has_something_does_not_keep_routines_away);
    tcase_add_test(tcase, each_of_many_endpoints_is_heard);
    tcase_add_test(tcase, closed_endpoint_ends_when_its_receives_have);
    tcase_add_test(tcase, routine_that_comes_twice_is_heard_once);
    suite_add_tcase(suite, tcase);
    return bench_run(suite);
}
