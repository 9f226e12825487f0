/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_select.c: sets of any size, write interest only while it is wanted,
 * sockets that were closed behind its back, and how long it waits.
 */
#include "support/win_bench.h"

#include <stdlib.h>
#include <string.h>

enum {
    ENDPOINT_COUNT = 1500,
    FLUSH_EACH = 100,
    ROUND_COUNT = 2,
    ITEMS_AT_FIRST = 64,
    REUSE_TRIES = 64
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
    bench_open("select", NULL);
}

static void tear_down(void)
{
    bench_close();
}

/* ---- sets ------------------------------------------------------------------------------------ */

START_TEST(loop_of_1500_endpoints_receives_on_each)
{
    bench_listen(&from);
    for (int i = 0; i < ENDPOINT_COUNT; i++) {
        bench_listen(&endpoints[i]);
        endpoints[i].peer = from.addr; /* so many ports may well hear a stranger */
    }
    for (uint64_t round = 1; round <= ROUND_COUNT; round++) {
        for (int i = 0; i < ENDPOINT_COUNT; i++) {
            ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &endpoints[i].addr), KIRIM_OK);
            if (i % FLUSH_EACH == FLUSH_EACH - 1) {
                ck_assert_int_eq(kirim_endpoint_flush(from.ep), KIRIM_OK);
            }
        }
        for (int i = 0; i < ENDPOINT_COUNT; i++) {
            bench_until(&endpoints[i].datagrams, round);
            ck_assert_uint_eq(endpoints[i].datagrams, round);
        }
    }
    ck_assert_uint_eq(script_select_reads(), ENDPOINT_COUNT + 2); /* and the wake's socket */
    /* The last ones take the places of those that go: all of them go on. */
    for (int i = 0; i < ENDPOINT_COUNT; i += 2) {
        ck_assert_int_eq(kirim_endpoint_close(endpoints[i].ep), KIRIM_OK);
    }
    for (int i = 1; i < ENDPOINT_COUNT; i += ENDPOINT_COUNT / 10) {
        const uint64_t count = endpoints[i].datagrams;
        ck_assert_int_eq(bench_send(&from, &endpoints[i]), KIRIM_OK);
        bench_until(&endpoints[i].datagrams, count + 1);
    }
    bench_turn();
    ck_assert_uint_eq(script_select_reads(), ENDPOINT_COUNT / 2 + 2);
}
END_TEST

START_TEST(writable_set_is_handed_over_only_while_wanted)
{
    bench_listen(&from);
    bench_listen(&to);
    bench_turn();
    ck_assert(!script_select_had_writes());
    script_answer(SCRIPT_SEND, WSAEWOULDBLOCK);
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_EWOULDBLOCK);
    bench_turn();
    ck_assert(script_select_had_writes());
    bench_until(&to.datagrams, 1);
    bench_turn();
    ck_assert(!script_select_had_writes());
}
END_TEST

START_TEST(closing_a_blocked_endpoint_leaves_nothing_wanted)
{
    bench_listen(&from);
    bench_listen(&to);
    script_break(SCRIPT_SEND, WSAEWOULDBLOCK);
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_EWOULDBLOCK);
    ck_assert_int_eq(kirim_endpoint_close(from.ep), KIRIM_OK);
    bench_until(&from.ends, 1);
    script_break(SCRIPT_SEND, 0);
    bench_turn();
    ck_assert(!script_select_had_writes());
    ck_assert_uint_eq(to.datagrams, 0);
}
END_TEST

/* ---- closed behind its back ------------------------------------------------------------------ */

START_TEST(endpoint_whose_socket_was_closed_is_told_and_the_others_go_on)
{
    struct heard *gone = &endpoints[0];
    bench_listen(&from);
    bench_listen(&to);
    bench_listen(gone);
    bench_turn();
    ck_assert_int_eq(closesocket((SOCKET)kirim_endpoint_descriptor(gone->ep)), 0);
    bench_until(&gone->errors, 1);
    ck_assert_int_eq(gone->err, KIRIM_ENOTSOCK);
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    bench_until(&to.datagrams, 1);
    ck_assert_int_eq(kirim_endpoint_close(gone->ep), KIRIM_OK);
    bench_until(&gone->ends, 1);
}
END_TEST

START_TEST(number_of_a_closed_guest_belongs_to_its_new_owner)
{
    bench_listen(&from);
    ck_assert_int_eq(bench_watch(&guest, bench_socket(), KIRIM_GUEST_READABLE), KIRIM_OK);
    ck_assert_int_eq(closesocket(guest.s), 0);
    struct heard *heir = NULL;
    for (int i = 0; i < REUSE_TRIES && heir == NULL; i++) {
        bench_listen(&endpoints[i]);
        heir = (SOCKET)kirim_endpoint_descriptor(endpoints[i].ep) == guest.s ? &endpoints[i] : NULL;
    }
    ck_assert_ptr_nonnull(heir); /* systems give a number that is free */
    ck_assert_int_eq(bench_watch(&guest, guest.s, KIRIM_GUEST_WRITABLE), KIRIM_EINVAL);
    ck_assert_int_eq(bench_send(&from, heir), KIRIM_OK);
    bench_until(&heir->datagrams, 1);
    ck_assert_uint_eq(guest.calls, 0);
    kirim_guest_remove(&guest.guest);
    ck_assert_int_eq(bench_send(&from, heir), KIRIM_OK);
    bench_until(&heir->datagrams, 2);
}
END_TEST

/* ---- waiting --------------------------------------------------------------------------------- */

START_TEST(interrupted_wait_is_a_turn_and_a_failed_one_is_told)
{
    script_answer(SCRIPT_SELECT, WSAEINTR);
    script_answer(SCRIPT_SELECT, WSAENETDOWN);
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_ENETDOWN);
    bench_turn();
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
        const uint64_t waits = script_count(SCRIPT_SELECT);
        const uint64_t deadline_ns = kirim_loop_now(bench_loop()) + delays_ns[i];
        ck_assert_int_eq(kirim_timer_arm(bench_loop(), &timer, deadline_ns), KIRIM_OK);
        bench_until(&fired, 1);
        ck_assert_uint_ge(kirim_loop_now(bench_loop()), deadline_ns);
        /* One wait, and perhaps one more for a timer that its wheel kept to the next tick. */
        ck_assert_uint_le(script_count(SCRIPT_SELECT) - waits, 3);
    }
}
END_TEST

/* A wake ends each wait, before it begins. */
static void wake_loop(void)
{
    struct kirim_remote *remote = kirim_loop_remote(bench_loop());
    ck_assert_int_eq(kirim_remote_wake(remote), KIRIM_OK);
    kirim_remote_release(remote);
}

START_TEST(wait_ends_by_a_wake_however_early_it_comes)
{
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    wake_loop();
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_OK);
    ck_assert_int_eq(script_timeout(), 0);
    script_hook(SCRIPT_SELECT, wake_loop); /* between the look at the flag and the sleep */
    ck_assert_int_eq(kirim_loop_step(bench_loop(), KIRIM_NEVER), KIRIM_OK);
    ck_assert_int_eq(script_timeout(), -1);
    script_hook(SCRIPT_SELECT, NULL);
    ck_assert_int_eq(kirim_loop_read_stats(bench_loop(), &stats), KIRIM_OK);
    ck_assert_uint_eq(stats.wakes, 2);
}
END_TEST

START_TEST(pollable_handle_is_refused)
{
    intptr_t handle = 0;
    ck_assert_int_eq(kirim_loop_pollable(bench_loop(), &handle), KIRIM_EOPNOTSUPP);
    ck_assert_uint_eq(kirim_loop_caps(bench_loop()) & KIRIM_CAP_POLLABLE, 0);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

/* An allocator that refuses from one call on. */
static int calls_left; /* until it refuses; negative: never */

static void *give(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    (void)user;
    if (new_bytes > old_bytes && calls_left == 0) {
        return NULL;
    }
    calls_left -= new_bytes > old_bytes && calls_left > 0;
    if (new_bytes == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_bytes);
}

START_TEST(sets_that_cannot_grow_fail_the_open_and_nothing_else)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct heard *last = &endpoints[ITEMS_AT_FIRST];
    script_reset();
    options.alloc = give;
    calls_left = -1;
    bench_open("select", &options);
    bench_listen(&from);
    bench_listen(&to);
    /* The wake's socket and these two have a place. */
    for (int i = 3; i < ITEMS_AT_FIRST; i++) {
        bench_listen(&endpoints[i]);
    }
    kirim_err err = KIRIM_ENOMEM;
    int refused_count = 0;
    for (int calls = 0; err != KIRIM_OK; calls++) {
        struct kirim_endpoint_options o = bench_at("127.0.0.1:0", 0);
        const int open_count = script_open_handles();
        const uint64_t sockets = script_count(SCRIPT_SOCKET);
        calls_left = calls;
        err = bench_try(last, &o);
        calls_left = -1;
        ck_assert(err == KIRIM_OK || err == KIRIM_ENOMEM);
        refused_count += err < 0 && script_count(SCRIPT_SOCKET) > sockets;
        ck_assert(err == KIRIM_OK || script_open_handles() == open_count);
        ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
        bench_until(&to.datagrams, (uint64_t)calls + 1);
    }
    ck_assert_int_eq(refused_count, 1); /* by the sets */
    ck_assert_int_eq(bench_send(&from, last), KIRIM_OK);
    bench_until(&last->datagrams, 1);
    bench_close();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/win_select");
    TCase *tcase = tcase_create("select");
    TCase *memory = tcase_create("memory");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, loop_of_1500_endpoints_receives_on_each);
    tcase_add_test(tcase, writable_set_is_handed_over_only_while_wanted);
    tcase_add_test(tcase, closing_a_blocked_endpoint_leaves_nothing_wanted);
    tcase_add_test(tcase, endpoint_whose_socket_was_closed_is_told_and_the_others_go_on);
    tcase_add_test(tcase, number_of_a_closed_guest_belongs_to_its_new_owner);
    tcase_add_test(tcase, interrupted_wait_is_a_turn_and_a_failed_one_is_told);
    tcase_add_test(tcase, wait_does_not_end_before_its_deadline);
    tcase_add_test(tcase, wait_ends_by_a_wake_however_early_it_comes);
    tcase_add_test(tcase, pollable_handle_is_refused);
    tcase_add_test(memory, sets_that_cannot_grow_fail_the_open_and_nothing_else);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, memory);
    return bench_run(suite);
}
