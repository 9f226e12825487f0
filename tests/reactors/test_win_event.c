/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_event.c: event objects that many endpoints share, edges that are not
 * lost, and what it asks the system for. Guests have a suite of their own.
 */
#include "support/win_bench.h"

#include <string.h>

enum {
    ENDPOINT_COUNT = 1500,
    GROUP_COUNT = 100,
    FLUSH_EACH = 100,
    BURST_COUNT = 150, /* more than two batches, less than a socket's buffer */
    PORTS_OF_AN_EVENT = 16,
    OWN_EVENTS = 2, /* wake, guests */
    BLOCKED_MS_MAX = 16
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
    bench_open("wsaevent", NULL);
}

static void tear_down(void)
{
    bench_close();
}

/* ---- groups ---------------------------------------------------------------------------------- */

START_TEST(loop_of_1500_endpoints_receives_on_each)
{
    bench_listen(&from);
    for (int i = 0; i < ENDPOINT_COUNT; i++) {
        bench_listen(&endpoints[i]);
        endpoints[i].peer = from.addr; /* so many ports may well hear a stranger */
    }
    ck_assert_int_eq(script_open_events(), WSA_MAXIMUM_WAIT_EVENTS);
    for (int i = 0; i < ENDPOINT_COUNT; i++) {
        ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &endpoints[i].addr), KIRIM_OK);
        if (i % FLUSH_EACH == FLUSH_EACH - 1) {
            ck_assert_int_eq(kirim_endpoint_flush(from.ep), KIRIM_OK);
        }
    }
    for (int i = 0; i < ENDPOINT_COUNT; i++) {
        bench_until(&endpoints[i].datagrams, 1);
        ck_assert_uint_eq(endpoints[i].datagrams, 1);
    }
}
END_TEST

START_TEST(endpoints_share_an_event_object)
{
    for (int i = 0; i < PORTS_OF_AN_EVENT; i++) {
        bench_listen(&endpoints[i]);
    }
    ck_assert_int_eq(script_open_events(), OWN_EVENTS + 1);
    bench_listen(&from);
    ck_assert_int_eq(script_open_events(), OWN_EVENTS + 2);
    bench_listen(&to);
    ck_assert_int_eq(script_open_events(), OWN_EVENTS + 2);
    /* Each of them is told of its own datagrams, whoever else has the object. */
    for (uint64_t round = 1; round <= 2; round++) {
        for (int i = PORTS_OF_AN_EVENT - 1; i >= 0; i--) {
            ck_assert_int_eq(bench_send(&from, &endpoints[i]), KIRIM_OK);
            bench_until(&endpoints[i].datagrams, round);
        }
    }
    for (int i = 0; i < PORTS_OF_AN_EVENT; i++) {
        ck_assert_uint_eq(endpoints[i].datagrams, 2);
    }
}
END_TEST

START_TEST(place_of_an_endpoint_that_left_is_taken_again)
{
    for (int i = 0; i < GROUP_COUNT; i++) {
        bench_listen(&endpoints[i]);
    }
    const int event_count = script_open_events();
    for (int i = 0; i < GROUP_COUNT; i += 3) {
        ck_assert_int_eq(kirim_endpoint_close(endpoints[i].ep), KIRIM_OK);
        bench_until(&endpoints[i].ends, 1);
    }
    bench_listen(&from);
    for (int i = 3; i < GROUP_COUNT; i += 3) {
        bench_listen(&endpoints[i]);
    }
    ck_assert_int_eq(script_open_events(), event_count);
    for (int i = 1; i < GROUP_COUNT; i++) {
        ck_assert_int_eq(bench_send(&from, &endpoints[i]), KIRIM_OK);
        bench_until(&endpoints[i].datagrams, 1);
    }
}
END_TEST

START_TEST(event_object_that_cannot_be_made_is_shared)
{
    struct kirim_endpoint_options o = bench_at("127.0.0.1:0", 0);
    script_answer(SCRIPT_EVENT_CREATE, WSA_NOT_ENOUGH_MEMORY);
    ck_assert_int_eq(bench_try(&from, &o), KIRIM_ENOMEM); /* there is none to share */
    bench_listen(&from);
    script_break(SCRIPT_EVENT_CREATE, WSA_NOT_ENOUGH_MEMORY);
    for (int i = 0; i < 2 * PORTS_OF_AN_EVENT; i++) {
        bench_listen(&endpoints[i]);
    }
    ck_assert_int_eq(script_open_events(), OWN_EVENTS + 1);
    for (int i = 0; i < 2 * PORTS_OF_AN_EVENT; i++) {
        ck_assert_int_eq(bench_send(&from, &endpoints[i]), KIRIM_OK);
        bench_until(&endpoints[i].datagrams, 1);
    }
}
END_TEST

START_TEST(port_that_cannot_tell_its_events_is_not_opened)
{
    struct kirim_endpoint_options o = bench_at("127.0.0.1:0", 0);
    bench_listen(&from);
    const int open_count = script_open_handles();
    script_answer(SCRIPT_EVENT_SELECT, WSAENETDOWN);
    ck_assert_int_eq(bench_try(&to, &o), KIRIM_ENETDOWN);
    ck_assert_int_eq(script_open_handles(), open_count);
}
END_TEST

/* ---- edges ----------------------------------------------------------------------------------- */

START_TEST(port_asks_for_its_events_once_it_is_bound_and_until_it_is_closed)
{
    bench_listen(&from);
    const int at = script_find(SCRIPT_EVENT_SELECT, 0, 0, 0);
    ck_assert_uint_eq(script_step_at(at)->value & (FD_READ | FD_WRITE), FD_READ | FD_WRITE);
    ck_assert_int_gt(at, script_find(SCRIPT_BIND, 0, 0, 0));
    const SOCKET s = (SOCKET)kirim_endpoint_descriptor(from.ep);
    script_forget_steps();
    ck_assert_int_eq(kirim_endpoint_close(from.ep), KIRIM_OK);
    bench_until(&from.ends, 1);
    const int off_at = script_find(SCRIPT_EVENT_SELECT, 0, 0, 0); /* a duplicate may live on */
    ck_assert(script_step_at(off_at)->s == s);
    ck_assert_uint_eq(script_step_at(off_at)->value, 0);
    ck_assert_int_lt(off_at, script_find(SCRIPT_CLOSE, 0, 0, 0));
}
END_TEST

START_TEST(burst_is_received_to_its_end)
{
    bench_listen(&from);
    bench_listen(&to);
    for (int i = 0; i < BURST_COUNT; i++) {
        ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &to.addr), KIRIM_OK);
    }
    ck_assert_int_eq(kirim_endpoint_flush(from.ep), KIRIM_OK);
    bench_until(&to.datagrams, BURST_COUNT);
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    bench_until(&to.datagrams, BURST_COUNT + 1);
}
END_TEST

START_TEST(what_had_come_before_is_received)
{
    /* Of an adopted socket; its system may tell nothing of it. */
    struct kirim_endpoint_options o = bench_at(NULL, KIRIM_ENDPOINT_ADOPT);
    o.adopt = (intptr_t)bench_readable_socket();
    ck_assert_int_eq(bench_try(&to, &o), KIRIM_OK);
    script_note_socket();
    bench_until(&to.datagrams, 1);
}
END_TEST

START_TEST(object_is_reset_before_its_sockets_are_asked)
{
    bench_listen(&from);
    bench_listen(&to);
    bench_turn(); /* they are fresh, and may write */
    bench_turn();
    script_forget_steps();
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    bench_until(&to.datagrams, 1);
    const int reset_at = script_find(SCRIPT_EVENT_RESET, 0, 0, 0);
    ck_assert_int_ge(reset_at, 0);
    ck_assert_int_lt(reset_at, script_find(SCRIPT_EVENT_ENUM, 0, 0, 0));
    /* The record's own reset would come behind the question for the others. */
    for (int at = 0; (at = script_find(SCRIPT_EVENT_ENUM, 0, 0, at)) >= 0; at++) {
        ck_assert_uint_eq(script_step_at(at)->value, 0);
    }
}
END_TEST

static void send_another(void)
{
    script_hook(SCRIPT_EVENT_ENUM, NULL);
    ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &endpoints[0].addr), KIRIM_OK);
    ck_assert_int_eq(kirim_endpoint_flush(from.ep), KIRIM_OK);
}

START_TEST(datagram_that_comes_while_the_sockets_are_asked_is_not_lost)
{
    bench_listen(&from);
    bench_listen(&endpoints[0]);
    bench_listen(&to);
    bench_turn();
    bench_turn();
    script_hook(SCRIPT_EVENT_ENUM, send_another);
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    bench_until(&to.datagrams, 1);
    bench_until(&endpoints[0].datagrams, 1);
}
END_TEST

START_TEST(full_system_is_waited_for_and_told_once) /* S46 */
{
    bench_listen(&from);
    bench_listen(&to);
    bench_turn();
    script_answer(SCRIPT_SEND, WSAEWOULDBLOCK);
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_EWOULDBLOCK);
    ck_assert_uint_eq(kirim_endpoint_queued_count(from.ep), 1);
    bench_until(&to.datagrams, 1);
    ck_assert_uint_eq(kirim_endpoint_queued_count(from.ep), 0);
    const uint64_t sends = script_count(SCRIPT_SEND);
    bench_turn();
    bench_turn();
    ck_assert_uint_eq(script_count(SCRIPT_SEND), sends);
}
END_TEST

START_TEST(port_whose_record_cannot_be_read_is_asked_itself)
{
    bench_listen(&from);
    bench_listen(&to);
    bench_turn();
    bench_turn();
    script_answer(SCRIPT_EVENT_ENUM, WSAENETDOWN);
    script_answer(SCRIPT_EVENT_ENUM, WSAENETDOWN);
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    bench_until(&to.datagrams, 1);
}
END_TEST

START_TEST(blocked_port_whose_record_cannot_be_read_tries_again)
{
    bench_listen(&from);
    bench_listen(&to);
    bench_turn();
    bench_turn();
    script_answer(SCRIPT_SEND, WSAEWOULDBLOCK);
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_EWOULDBLOCK);
    script_answer(SCRIPT_EVENT_ENUM, WSAENETDOWN);
    script_answer(SCRIPT_EVENT_ENUM, WSAENETDOWN);
    bench_until(&to.datagrams, 1);
}
END_TEST

/* ---- wake and time-outs ---------------------------------------------------------------------- */

static void wake_loop(void)
{
    struct kirim_remote *remote = kirim_loop_remote(bench_loop());
    ck_assert_int_eq(kirim_remote_wake(remote), KIRIM_OK);
    kirim_remote_release(remote);
}

static uint64_t wakes(void)
{
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    ck_assert_int_eq(kirim_loop_read_stats(bench_loop(), &stats), KIRIM_OK);
    return stats.wakes;
}

START_TEST(wakes_merge_into_one_event)
{
    wake_loop();
    wake_loop();
    ck_assert_uint_eq(script_count(SCRIPT_EVENT_SET), 1);
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_OK);
    ck_assert_uint_eq(wakes(), 1);
    script_hook(SCRIPT_EVENT_WAIT, wake_loop); /* right before the sleep */
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_OK);
    script_hook(SCRIPT_EVENT_WAIT, NULL);
    ck_assert_uint_eq(wakes(), 2);
}
END_TEST

START_TEST(object_that_is_always_signalled_does_not_hide_the_others)
{
    bench_listen(&from);
    bench_listen(&to);
    bench_turn();
    bench_turn();
    script_hook(SCRIPT_EVENT_WAIT, wake_loop);
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    bench_until(&to.datagrams, 1);
    script_hook(SCRIPT_EVENT_WAIT, NULL);
}
END_TEST

START_TEST(wake_that_comes_while_one_is_taken_is_not_lost)
{
    script_hook(SCRIPT_EVENT_RESET, wake_loop);
    wake_loop();
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_OK);
    script_hook(SCRIPT_EVENT_RESET, NULL);
    /* It was taken with the first one, or is there still; the next one comes through anyway. */
    const uint64_t sets = script_count(SCRIPT_EVENT_SET);
    wake_loop();
    ck_assert_uint_eq(script_count(SCRIPT_EVENT_SET), sets + 1);
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_OK);
}
END_TEST

START_TEST(wake_that_could_not_be_told_does_not_block_later_ones)
{
    script_answer(SCRIPT_EVENT_SET, WSA_INVALID_HANDLE);
    wake_loop();
    wake_loop();
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_OK);
    ck_assert_uint_eq(wakes(), 1);
}
END_TEST

static void on_expired(struct kirim_timer *timer)
{
    (*(uint64_t *)timer->user)++;
}

START_TEST(wait_does_not_end_before_its_deadline)
{
    static const uint64_t delays_ns[] = { 1, 999999, 1000000, 1000001, 3000001 };
    for (size_t i = 0; i < sizeof delays_ns / sizeof delays_ns[0]; i++) {
        uint64_t fired = 0;
        struct kirim_timer timer = KIRIM_TIMER_INIT(on_expired, &fired);
        const uint64_t deadline_ns = kirim_loop_now(bench_loop()) + delays_ns[i];
        ck_assert_int_eq(kirim_timer_arm(bench_loop(), &timer, deadline_ns), KIRIM_OK);
        bench_until(&fired, 1);
        ck_assert_uint_ge(kirim_loop_now(bench_loop()), deadline_ns);
    }
}
END_TEST

START_TEST(failed_wait_is_told)
{
    script_answer(SCRIPT_EVENT_WAIT, WSA_NOT_ENOUGH_MEMORY);
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_ENOMEM);
    bench_turn();
}
END_TEST

static int64_t longest_ms;

static void note_timeout(void)
{
    wake_loop(); /* the wait ends at once */
    longest_ms = script_timeout();
}

START_TEST(no_sleep_is_long_while_a_guest_cannot_write)
{
    static const char bytes[65536];
    SOCKET pair[2];
    bench_stream(pair);
    bench_unblock(pair[0], true);
    while (send(pair[0], bytes, sizeof bytes, 0) > 0) {}
    ck_assert_int_eq(bench_watch(&guest, pair[0], KIRIM_GUEST_WRITABLE), KIRIM_OK);
    script_hook(SCRIPT_EVENT_WAIT, note_timeout);
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_OK);
    script_hook(SCRIPT_EVENT_WAIT, NULL);
    ck_assert_int_ge(longest_ms, 0);
    ck_assert_int_le(longest_ms, BLOCKED_MS_MAX);
    kirim_guest_remove(&guest.guest);
    ck_assert_int_eq(closesocket(pair[0]), 0);
    ck_assert_int_eq(closesocket(pair[1]), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/win_event");
    TCase *tcase = tcase_create("wsaevent");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, loop_of_1500_endpoints_receives_on_each);
    tcase_add_test(tcase, endpoints_share_an_event_object);
    tcase_add_test(tcase, place_of_an_endpoint_that_left_is_taken_again);
    tcase_add_test(tcase, event_object_that_cannot_be_made_is_shared);
    tcase_add_test(tcase, port_that_cannot_tell_its_events_is_not_opened);
    tcase_add_test(tcase, port_asks_for_its_events_once_it_is_bound_and_until_it_is_closed);
    tcase_add_test(tcase, burst_is_received_to_its_end);
    tcase_add_test(tcase, what_had_come_before_is_received);
    tcase_add_test(tcase, object_is_reset_before_its_sockets_are_asked);
    tcase_add_test(tcase, datagram_that_comes_while_the_sockets_are_asked_is_not_lost);
    tcase_add_test(tcase, full_system_is_waited_for_and_told_once);
    tcase_add_test(tcase, port_whose_record_cannot_be_read_is_asked_itself);
    tcase_add_test(tcase, blocked_port_whose_record_cannot_be_read_tries_again);
    tcase_add_test(tcase, wakes_merge_into_one_event);
    tcase_add_test(tcase, object_that_is_always_signalled_does_not_hide_the_others);
    tcase_add_test(tcase, wake_that_comes_while_one_is_taken_is_not_lost);
    tcase_add_test(tcase, wake_that_could_not_be_told_does_not_block_later_ones);
    tcase_add_test(tcase, wait_does_not_end_before_its_deadline);
    tcase_add_test(tcase, failed_wait_is_told);
    tcase_add_test(tcase, no_sleep_is_long_while_a_guest_cannot_write);
    suite_add_tcase(suite, tcase);
    return bench_run(suite);
}
