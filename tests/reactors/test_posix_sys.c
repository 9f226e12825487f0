/* SPDX-License-Identifier: MIT
 *
 * Claims about the system-call table of reactors/posix_sys.h: every call goes through it, so a
 * scenario can be run once for each of its calls with that call failing. Whatever fails: nothing
 * leaks, and every datagram has arrived or was reported.
 */
#include "support/posix_script.h"

#include <check.h>
#include <errno.h>
#include <kirim/kirim.h>
#include <stdlib.h>
#include <string.h>

enum { SENT = 10, STEP_COUNT = 40, CALLS_MAX = 10000 };

static const char *const reactors[] = { "epoll", "select" };

/* What fails with what: an error that each call may give, and one that none is meant to. */
static const int failures[] = { EIO, ENOMEM, EINTR, EAGAIN };

enum { FAILURE_COUNT = sizeof failures / sizeof failures[0] };

struct tally {
    uint64_t received, lost, accepted;
    uint64_t bytes; /* of memory that is given */
};

static void *give(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    struct tally *tally = user;
    tally->bytes += new_bytes;
    tally->bytes -= old_bytes;
    if (new_bytes == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_bytes);
}

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    (void)ep;
    ((struct tally *)user)->received += batch->count;
}

static void on_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    (void)ep;
    ((struct tally *)user)->lost += event->kind == KIRIM_EVENT_SEND_FAILED;
}

static const struct kirim_handler handler = {
    KIRIM_HANDLER_INIT, on_received, NULL, on_failed, NULL,
};

static kirim_err open_endpoint(struct kirim_loop *loop, struct tally *tally,
                               struct kirim_endpoint **out)
{
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    ck_assert_int_eq(kirim_addr_parse("127.0.0.1:0", &o.local), KIRIM_OK);
    o.handler = &handler;
    o.user = tally;
    o.receive_buffer_bytes = 200000;
    return kirim_endpoint_open(loop, &o, out);
}

/* Sends from one endpoint to another, singly and in a batch, and turns until all is accounted for.
 */
static void run_scenario(const char *reactor, struct tally *tally)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop;
    struct kirim_endpoint *from;
    struct kirim_endpoint *to;
    options.reactor = reactor;
    options.system_calls = script_table();
    options.alloc = give;
    options.alloc_user = tally;
    if (kirim_loop_open(&options, &loop) < 0) {
        return;
    }
    if (open_endpoint(loop, tally, &to) == KIRIM_OK &&
        open_endpoint(loop, tally, &from) == KIRIM_OK) {
        const struct kirim_addr at = kirim_endpoint_local(to);
        for (int i = 0; i < SENT; i++) {
            tally->accepted += kirim_endpoint_send_to(from, "x", 1, &at) == KIRIM_OK;
            if (i < 3) {
                (void)kirim_endpoint_flush(from);
            }
        }
        struct kirim_remote *remote = kirim_loop_remote(loop);
        ck_assert_int_eq(kirim_remote_wake(remote), KIRIM_OK);
        for (int i = 0; i < STEP_COUNT && tally->received + tally->lost < tally->accepted; i++) {
            (void)kirim_loop_step(loop, 0);
        }
        ck_assert_uint_eq(tally->received + tally->lost, tally->accepted);
        kirim_remote_release(remote);
    }
    ck_assert_int_eq(kirim_loop_close(loop), KIRIM_OK);
}

START_TEST(scenario_works_when_nothing_fails)
{
    struct tally tally = { 0, 0, 0, 0 };
    script_reset();
    run_scenario(reactors[_i], &tally);
    ck_assert_uint_eq(tally.received, SENT);
    ck_assert_uint_eq(tally.bytes, 0);
    ck_assert_int_eq(script_open_descriptors(), 0);
    ck_assert_uint_gt(script_total(), 0);
}
END_TEST

START_TEST(any_failing_call_leaks_nothing_and_loses_nothing_unreported)
{
    const char *reactor = reactors[_i / FAILURE_COUNT];
    bool is_complete = false;
    for (uint64_t n = 1; !is_complete; n++) {
        struct tally tally = { 0, 0, 0, 0 };
        ck_assert_uint_lt(n, CALLS_MAX);
        script_reset();
        script_fail_at(n, failures[_i % FAILURE_COUNT]);
        run_scenario(reactor, &tally);
        is_complete = script_total() < n;
        ck_assert_int_eq(script_open_descriptors(), 0);
        ck_assert_uint_eq(tally.bytes, 0);
        ck_assert(!is_complete || tally.received == SENT);
    }
}
END_TEST

START_TEST(loop_without_a_table_uses_the_system)
{
    ck_assert_ptr_eq(ki_posix_sys_of(NULL), &ki_posix_sys_default);
    ck_assert_ptr_eq(ki_posix_sys_of(script_table()), script_table());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/posix_sys");
    TCase *tcase = tcase_create("sys");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, scenario_works_when_nothing_fails, 0, 2);
    tcase_add_loop_test(tcase, any_failing_call_leaks_nothing_and_loses_nothing_unreported, 0,
                        2 * FAILURE_COUNT);
    tcase_add_test(tcase, loop_without_a_table_uses_the_system);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
