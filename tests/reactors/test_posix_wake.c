/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/posix_wake.c: wakes merge, and none is lost, whoever raises them.
 */
#include "posix_wake.h"
#include "support/posix_script.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREAD_COUNT = 4, ROUND_COUNT = 20000, WAIT_MS_MAX = 10000 };

static struct ki_posix_wake wake;

static void set_up(void)
{
    script_reset();
    ck_assert_int_eq(ki_posix_wake_open(&wake, script_table()), KIRIM_OK);
}

static void tear_down(void)
{
    ki_posix_wake_close(&wake);
    ck_assert_int_eq(script_open_descriptors(), 0);
}

static bool is_readable(int timeout_ms)
{
    struct pollfd state = { .fd = wake.fd, .events = POLLIN };
    return poll(&state, 1, timeout_ms) == 1;
}

START_TEST(nothing_is_readable_before_a_wake)
{
    ck_assert(!is_readable(0));
    ck_assert(!ki_posix_wake_drain(&wake));
}
END_TEST

/* A child shares the eventfd and has a flag of its own: its wakes must not leave ours readable. */
START_TEST(wake_of_a_forked_child_does_not_stay_readable)
{
    const pid_t child = fork();
    if (child == 0) {
        ki_posix_wake_raise(&wake);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert(is_readable(0));
    (void)ki_posix_wake_drain(&wake);
    ck_assert(!is_readable(0));
    ki_posix_wake_raise(&wake);
    ck_assert(ki_posix_wake_drain(&wake));
}
END_TEST

START_TEST(wakes_merge_into_one_write)
{
    for (int i = 0; i < 10; i++) {
        ki_posix_wake_raise(&wake);
    }
    ck_assert_uint_eq(script_count(SCRIPT_WRITE), 1);
    ck_assert(is_readable(0));
    ck_assert(ki_posix_wake_drain(&wake));
    ck_assert(!is_readable(0));
    ck_assert(!ki_posix_wake_drain(&wake));
    ki_posix_wake_raise(&wake);
    ck_assert_uint_eq(script_count(SCRIPT_WRITE), 2);
    ck_assert(is_readable(0));
}
END_TEST

START_TEST(interrupted_drain_is_repeated_by_the_next_wait)
{
    script_answer(SCRIPT_READ, EINTR);
    ki_posix_wake_raise(&wake);
    ck_assert(!ki_posix_wake_drain(&wake));
    ck_assert(is_readable(0));
    ck_assert(ki_posix_wake_drain(&wake));
}
END_TEST

START_TEST(failed_write_is_repeated)
{
    script_answer(SCRIPT_WRITE, EINTR);
    script_answer(SCRIPT_WRITE, EIO);
    ki_posix_wake_raise(&wake);
    ck_assert(is_readable(0));
    ck_assert(ki_posix_wake_drain(&wake));
}
END_TEST

START_TEST(write_that_never_works_does_not_block_later_wakes)
{
    script_break(SCRIPT_WRITE, EIO);
    ki_posix_wake_raise(&wake);
    script_break(SCRIPT_WRITE, 0);
    ki_posix_wake_raise(&wake);
    ck_assert(is_readable(0));
}
END_TEST

START_TEST(errno_stays_as_it_was)
{
    script_answer(SCRIPT_WRITE, EIO);
    errno = ENOTTY;
    ki_posix_wake_raise(&wake);
    ck_assert_int_eq(errno, ENOTTY);
}
END_TEST

START_TEST(failed_open_leaves_nothing)
{
    struct ki_posix_wake other;
    script_answer(SCRIPT_EVENTFD, EMFILE);
    ck_assert_int_eq(ki_posix_wake_open(&other, script_table()), KIRIM_EMFILE);
    ck_assert_int_eq(script_open_descriptors(), 1);
}
END_TEST

static void raise_in_handler(int number)
{
    (void)number;
    ki_posix_wake_raise(&wake);
}

START_TEST(signal_handler_can_wake)
{
    const struct sigaction action = { .sa_handler = raise_in_handler };
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    ck_assert(is_readable(0));
    ck_assert(ki_posix_wake_drain(&wake));
}
END_TEST

/* A thread that posts a number and wakes, over and over. */
static atomic_ulong posted[THREAD_COUNT];

static void *post_numbers(void *arg)
{
    atomic_ulong *mine = arg;
    for (unsigned i = 1; i <= ROUND_COUNT; i++) {
        atomic_store_explicit(mine, i, memory_order_relaxed);
        ki_posix_wake_raise(&wake);
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
        /* If a wake were lost, the last number would not be seen and nothing would be readable. */
        ck_assert_msg(is_readable(WAIT_MS_MAX), "a wake was lost");
        (void)ki_posix_wake_drain(&wake);
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

int main(void)
{
    Suite *suite = suite_create("reactors/posix_wake");
    TCase *tcase = tcase_create("wake");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, nothing_is_readable_before_a_wake);
    tcase_add_test(tcase, wake_of_a_forked_child_does_not_stay_readable);
    tcase_add_test(tcase, wakes_merge_into_one_write);
    tcase_add_test(tcase, interrupted_drain_is_repeated_by_the_next_wait);
    tcase_add_test(tcase, failed_write_is_repeated);
    tcase_add_test(tcase, write_that_never_works_does_not_block_later_wakes);
    tcase_add_test(tcase, errno_stays_as_it_was);
    tcase_add_test(tcase, failed_open_leaves_nothing);
    tcase_add_test(tcase, signal_handler_can_wake);
    tcase_add_test(tcase, no_wake_is_lost_between_threads);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
