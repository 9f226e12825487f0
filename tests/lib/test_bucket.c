/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/bucket.c: limits to the nanosecond, and a random run against a model that counts
 * in fractions.
 */
#include <kirim/bucket.h>

#include <check.h>
#include <stdlib.h>

#include "support/random.h"

#define SECOND UINT64_C(1000000000)

enum { STEP_COUNT = 200000 };

START_TEST(full_bucket_gives_its_burst_and_no_more)
{
    const struct kirim_rate rate = { 10, 5 };
    struct kirim_bucket bucket = { 0 };
    for (unsigned i = 0; i < 5; i++) {
        ck_assert(kirim_bucket_take(&bucket, &rate, SECOND, 1));
    }
    ck_assert(!kirim_bucket_take(&bucket, &rate, SECOND, 1));
}
END_TEST

START_TEST(unit_comes_back_to_the_nanosecond)
{
    const struct kirim_rate rate = { 3, 3 };
    struct kirim_bucket bucket = { 0 };
    ck_assert(kirim_bucket_take(&bucket, &rate, 0, 3));
    ck_assert(!kirim_bucket_take(&bucket, &rate, 333333333, 1));
    ck_assert(kirim_bucket_take(&bucket, &rate, 333333334, 1));
    ck_assert_uint_eq(kirim_bucket_ready(&bucket, &rate, 333333334, 1), 666666667);
    ck_assert(!kirim_bucket_take(&bucket, &rate, 666666666, 1));
    ck_assert(kirim_bucket_take(&bucket, &rate, 666666667, 1));
    /* No remainder is lost: the third comes after one second, not after 3 * 333333334. */
    ck_assert(kirim_bucket_take(&bucket, &rate, SECOND, 1));
}
END_TEST

/* 142,857,142 ns give 6 billionths too little. */
START_TEST(unit_does_not_come_back_before)
{
    const struct kirim_rate rate = { 7, 1 };
    struct kirim_bucket bucket = { 0 };
    ck_assert(kirim_bucket_take(&bucket, &rate, 0, 1));
    ck_assert(!kirim_bucket_take(&bucket, &rate, 142857142, 1));
    ck_assert(kirim_bucket_take(&bucket, &rate, 142857143, 1));
}
END_TEST

START_TEST(bucket_never_holds_more_than_its_burst)
{
    const struct kirim_rate rate = { UINT32_MAX, 7 };
    struct kirim_bucket bucket = { 0 };
    ck_assert(kirim_bucket_take(&bucket, &rate, 0, 7));
    ck_assert(!kirim_bucket_take(&bucket, &rate, UINT64_MAX, 8));
    ck_assert(kirim_bucket_take(&bucket, &rate, UINT64_MAX, 7));
    ck_assert(!kirim_bucket_take(&bucket, &rate, UINT64_MAX, 1));
}
END_TEST

START_TEST(largest_numbers_do_not_overflow)
{
    const struct kirim_rate rate = { UINT32_MAX, UINT32_MAX };
    struct kirim_bucket bucket = { 0 };
    ck_assert(kirim_bucket_take(&bucket, &rate, 0, UINT32_MAX));
    ck_assert(!kirim_bucket_take(&bucket, &rate, 0, UINT32_MAX));
    ck_assert(!kirim_bucket_take(&bucket, &rate, SECOND - 1, UINT32_MAX));
    ck_assert_uint_eq(kirim_bucket_ready(&bucket, &rate, 0, UINT32_MAX), SECOND);
    ck_assert(kirim_bucket_take(&bucket, &rate, SECOND, UINT32_MAX));
}
END_TEST

START_TEST(clock_that_goes_back_stands_still)
{
    const struct kirim_rate rate = { 1, 1 };
    struct kirim_bucket bucket = { 0 };
    ck_assert(kirim_bucket_take(&bucket, &rate, 10 * SECOND, 1));
    ck_assert(!kirim_bucket_take(&bucket, &rate, 5 * SECOND, 1));
    ck_assert_uint_eq(kirim_bucket_ready(&bucket, &rate, 5 * SECOND, 1), 11 * SECOND);
    ck_assert(!kirim_bucket_take(&bucket, &rate, 11 * SECOND - 1, 1));
    ck_assert(kirim_bucket_take(&bucket, &rate, 11 * SECOND, 1));
}
END_TEST

START_TEST(no_time_counts_twice)
{
    const struct kirim_rate rate = { 1, 2 };
    struct kirim_bucket bucket = { 0 };
    ck_assert(kirim_bucket_take(&bucket, &rate, 10 * SECOND, 1));
    ck_assert(kirim_bucket_take(&bucket, &rate, 5 * SECOND, 1));
    ck_assert(!kirim_bucket_take(&bucket, &rate, 11 * SECOND - 1, 1));
    ck_assert(kirim_bucket_take(&bucket, &rate, 11 * SECOND, 1));
}
END_TEST

START_TEST(rate_of_zero_gives_one_burst)
{
    const struct kirim_rate rate = { 0, 2 };
    const struct kirim_rate none = { 1, 0 };
    struct kirim_bucket bucket = { 0 };
    ck_assert(kirim_bucket_take(&bucket, &rate, 0, 2));
    ck_assert(!kirim_bucket_take(&bucket, &rate, UINT64_MAX, 1));
    ck_assert_uint_eq(kirim_bucket_ready(&bucket, &rate, 0, 1), KIRIM_NEVER);
    ck_assert_uint_eq(kirim_bucket_ready(&bucket, &none, 0, 1), KIRIM_NEVER);
}
END_TEST

/* The model has whole 10^-9 units, too, but adds them up nanosecond by nanosecond of the clock. */
START_TEST(random_run_gives_what_a_model_gives)
{
    struct test_random r = test_random_start("bucket");
    const struct kirim_rate rate = { 7919, 100 };
    struct kirim_bucket bucket = { 0 };
    uint64_t level = 100 * SECOND;
    uint64_t now_ns = 0;
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        const uint64_t step_ns = test_random_magnitude(&r, 24);
        const uint32_t units = (uint32_t)test_random_below(&r, 40);
        now_ns += step_ns;
        level += step_ns * 7919;
        level = level < 100 * SECOND ? level : 100 * SECOND;
        const uint64_t ready_ns = kirim_bucket_ready(&bucket, &rate, now_ns, units);
        const bool is_given = level >= units * SECOND;
        ck_assert(kirim_bucket_take(&bucket, &rate, now_ns, units) == is_given);
        ck_assert((ready_ns == now_ns) == is_given);
        level -= is_given ? units * SECOND : 0;
        if (!is_given) {
            struct kirim_bucket copy = bucket;
            ck_assert(!kirim_bucket_take(&copy, &rate, ready_ns - 1, units));
            ck_assert(kirim_bucket_take(&copy, &rate, ready_ns, units));
        }
    }
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("bucket");
    TCase *const t = tcase_create("bucket");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, full_bucket_gives_its_burst_and_no_more);
    tcase_add_test(t, unit_comes_back_to_the_nanosecond);
    tcase_add_test(t, unit_does_not_come_back_before);
    tcase_add_test(t, bucket_never_holds_more_than_its_burst);
    tcase_add_test(t, largest_numbers_do_not_overflow);
    tcase_add_test(t, clock_that_goes_back_stands_still);
    tcase_add_test(t, no_time_counts_twice);
    tcase_add_test(t, rate_of_zero_gives_one_burst);
    tcase_add_test(t, random_run_gives_what_a_model_gives);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
