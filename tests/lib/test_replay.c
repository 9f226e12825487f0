/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/replay.c: the edges of each window, and a random run against a model that keeps
 * every number.
 */
#include <kirim/replay.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "support/random.h"

enum { NUMBER_COUNT = 1 << 16, STEP_COUNT = 25000 };

static uint64_t words[KIRIM_REPLAY_WORDS_MAX];

static struct kirim_replay open_window(uint32_t word_count)
{
    struct kirim_replay replay;
    memset(words, 0xa5, sizeof words);
    ck_assert_int_eq(kirim_replay_init(&replay, words, word_count), KIRIM_OK);
    return replay;
}

START_TEST(bounds_are_kept)
{
    struct kirim_replay replay;
    ck_assert_int_eq(kirim_replay_init(&replay, words, 1), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_replay_init(&replay, words, 18), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_replay_init(&replay, NULL, 2), KIRIM_EINVAL);
    ck_assert_uint_eq(KIRIM_REPLAY_WORDS(64), KIRIM_REPLAY_WORDS_MIN);
    ck_assert_uint_eq(KIRIM_REPLAY_WORDS(1024), KIRIM_REPLAY_WORDS_MAX);
}
END_TEST

START_TEST(number_is_accepted_once)
{
    struct kirim_replay replay = open_window(2);
    ck_assert_int_eq(kirim_replay_accept(&replay, 0), KIRIM_REPLAY_NEW);
    ck_assert_int_eq(kirim_replay_accept(&replay, 0), KIRIM_REPLAY_DUPLICATE);
    ck_assert_int_eq(kirim_replay_accept(&replay, 2), KIRIM_REPLAY_NEW);
    ck_assert_int_eq(kirim_replay_accept(&replay, 1), KIRIM_REPLAY_NEW);
    ck_assert_int_eq(kirim_replay_accept(&replay, 1), KIRIM_REPLAY_DUPLICATE);
    ck_assert_uint_eq(replay.next, 3);
}
END_TEST

/* Words 2..17: windows of 64..1,024, at a start that is no multiple of a word. */
START_TEST(window_ends_where_it_says)
{
    const uint64_t window = (uint64_t)(_i - 1) * 64;
    for (uint64_t top = 100000; top < 100130; top++) {
        struct kirim_replay replay = open_window((uint32_t)_i);
        ck_assert_int_eq(kirim_replay_accept(&replay, top), KIRIM_REPLAY_NEW);
        ck_assert_int_eq(kirim_replay_accept(&replay, top - window), KIRIM_REPLAY_TOO_OLD);
        ck_assert_int_eq(kirim_replay_accept(&replay, top - window + 1), KIRIM_REPLAY_NEW);
        ck_assert_int_eq(kirim_replay_accept(&replay, top - window + 1), KIRIM_REPLAY_DUPLICATE);
        ck_assert_int_eq(kirim_replay_accept(&replay, top), KIRIM_REPLAY_DUPLICATE);
    }
}
END_TEST

START_TEST(judging_changes_nothing)
{
    struct kirim_replay replay = open_window(2);
    ck_assert_int_eq(kirim_replay_judge(&replay, UINT64_MAX - 1), KIRIM_REPLAY_NEW);
    ck_assert_int_eq(kirim_replay_judge(&replay, UINT64_MAX - 1), KIRIM_REPLAY_NEW);
    ck_assert_int_eq(kirim_replay_accept(&replay, 0), KIRIM_REPLAY_NEW);
}
END_TEST

START_TEST(last_number_is_never_used)
{
    struct kirim_replay replay = open_window(3);
    ck_assert_int_eq(kirim_replay_accept(&replay, UINT64_MAX), KIRIM_REPLAY_TOO_OLD);
    ck_assert_int_eq(kirim_replay_accept(&replay, UINT64_MAX - 1), KIRIM_REPLAY_NEW);
    ck_assert_int_eq(kirim_replay_accept(&replay, UINT64_MAX - 2), KIRIM_REPLAY_NEW);
    ck_assert_int_eq(kirim_replay_accept(&replay, UINT64_MAX - 1), KIRIM_REPLAY_DUPLICATE);
    ck_assert_int_eq(kirim_replay_accept(&replay, UINT64_MAX), KIRIM_REPLAY_TOO_OLD);
    ck_assert_uint_eq(replay.next, UINT64_MAX);
}
END_TEST

START_TEST(random_run_gives_what_a_model_gives)
{
    struct test_random r = test_random_start("replay");
    bool *const has_come = calloc(NUMBER_COUNT, sizeof *has_come);
    const uint64_t window = (uint64_t)(_i - 1) * 64;
    struct kirim_replay replay = open_window((uint32_t)_i);
    uint64_t next = 0;
    ck_assert_ptr_nonnull(has_come);
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        const uint64_t back = test_random_below(&r, window + 80);
        const uint64_t ahead = test_random_below(&r, 50) == 0 ? test_random_magnitude(&r, 8) : 1;
        const uint64_t wanted =
            test_random_below(&r, 4) == 0 || back > next ? next + ahead - 1 : next - back;
        const uint64_t number = wanted < NUMBER_COUNT ? wanted : NUMBER_COUNT - 1;
        const int verdict = number < next && next - number > window ? KIRIM_REPLAY_TOO_OLD
                            : has_come[number]                      ? KIRIM_REPLAY_DUPLICATE
                                                                    : KIRIM_REPLAY_NEW;
        ck_assert_int_eq(kirim_replay_judge(&replay, number), verdict);
        ck_assert_int_eq(kirim_replay_accept(&replay, number), verdict);
        has_come[number] = true;
        next = number >= next ? number + 1 : next;
        ck_assert_uint_eq(replay.next, next);
    }
    free(has_come);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("replay");
    TCase *const t = tcase_create("replay");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, bounds_are_kept);
    tcase_add_test(t, number_is_accepted_once);
    tcase_add_loop_test(t, window_ends_where_it_says, 2, 18);
    tcase_add_test(t, judging_changes_nothing);
    tcase_add_test(t, last_number_is_never_used);
    tcase_add_loop_test(t, random_run_gives_what_a_model_gives, 2, 18);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
