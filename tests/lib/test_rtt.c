/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/rtt.c. The figures of the first case are worked out by hand from the formulas of
 * RFC 6298 section 2.
 */
#include <kirim/rtt.h>

#include <check.h>
#include <stdlib.h>

#include "support/random.h"

#define US     UINT64_C(1000)
#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static struct kirim_rtt open_rtt(uint64_t min_ns, uint64_t max_ns)
{
    struct kirim_rtt_options options = KIRIM_RTT_OPTIONS_INIT;
    struct kirim_rtt rtt;
    options.min_ns = min_ns;
    options.max_ns = max_ns;
    ck_assert_int_eq(kirim_rtt_init(&rtt, &options), KIRIM_OK);
    return rtt;
}

/* SRTT = R, RTTVAR = R/2; then RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R|, SRTT = 7/8 SRTT + 1/8 R, in
 * that order; RTO = SRTT + max(G, 4 RTTVAR). */
START_TEST(estimate_follows_the_formulas)
{
    struct kirim_rtt rtt = open_rtt(MS, 60 * SECOND);
    ck_assert_uint_eq(rtt.timeout_ns, SECOND);
    kirim_rtt_sample(&rtt, 100 * MS);
    ck_assert_uint_eq(rtt.smoothed_ns, 100 * MS);
    ck_assert_uint_eq(rtt.variation_ns, 50 * MS);
    ck_assert_uint_eq(rtt.timeout_ns, 300 * MS);
    kirim_rtt_sample(&rtt, 200 * MS);
    ck_assert_uint_eq(rtt.variation_ns, 62500 * US);
    ck_assert_uint_eq(rtt.smoothed_ns, 112500 * US);
    ck_assert_uint_eq(rtt.timeout_ns, 362500 * US);
    kirim_rtt_sample(&rtt, 32500 * US);
    ck_assert_uint_eq(rtt.variation_ns, 66875 * US);
    ck_assert_uint_eq(rtt.smoothed_ns, 102500 * US);
    ck_assert_uint_eq(rtt.timeout_ns, 370 * MS);
    ck_assert_uint_eq(rtt.least_ns, 32500 * US);
    ck_assert_uint_eq(rtt.latest_ns, 32500 * US);
}
END_TEST

START_TEST(steady_path_comes_down_to_the_granularity)
{
    struct kirim_rtt rtt = open_rtt(MS, 60 * SECOND);
    for (unsigned i = 0; i < 200; i++) {
        kirim_rtt_sample(&rtt, 20 * MS);
    }
    ck_assert_uint_eq(rtt.smoothed_ns, 20 * MS);
    ck_assert_uint_eq(rtt.timeout_ns, 21 * MS);
}
END_TEST

START_TEST(timeout_is_a_second_at_the_least)
{
    struct kirim_rtt rtt = open_rtt(SECOND, 60 * SECOND);
    kirim_rtt_sample(&rtt, MS);
    ck_assert_uint_eq(rtt.timeout_ns, SECOND);
}
END_TEST

START_TEST(backing_off_doubles_up_to_the_limit)
{
    static const uint64_t seconds[] = { 2, 4, 8, 16, 32, 60, 60 };
    struct kirim_rtt rtt = open_rtt(SECOND, 60 * SECOND);
    for (unsigned i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        kirim_rtt_back_off(&rtt);
        ck_assert_uint_eq(rtt.timeout_ns, seconds[i] * SECOND);
        ck_assert_uint_eq(rtt.backoff_count, i + 1);
    }
}
END_TEST

START_TEST(sample_ends_the_back_off)
{
    struct kirim_rtt rtt = open_rtt(MS, 60 * SECOND);
    kirim_rtt_back_off(&rtt);
    kirim_rtt_sample(&rtt, 100 * MS);
    ck_assert_uint_eq(rtt.timeout_ns, 300 * MS);
    ck_assert_uint_eq(rtt.backoff_count, 0);
}
END_TEST

START_TEST(reset_is_as_new)
{
    struct kirim_rtt rtt = open_rtt(MS, 60 * SECOND);
    kirim_rtt_sample(&rtt, 100 * MS);
    kirim_rtt_back_off(&rtt);
    kirim_rtt_reset(&rtt);
    ck_assert_uint_eq(rtt.smoothed_ns, 0);
    ck_assert_uint_eq(rtt.timeout_ns, SECOND);
    ck_assert_uint_eq(rtt.least_ns, KIRIM_NEVER);
    ck_assert_uint_eq(rtt.backoff_count, 0);
}
END_TEST

START_TEST(sample_of_nothing_and_of_for_ever_are_limited)
{
    struct kirim_rtt rtt = open_rtt(1, UINT64_C(1) << 53);
    kirim_rtt_sample(&rtt, 0);
    ck_assert_uint_eq(rtt.smoothed_ns, 1);
    for (unsigned i = 0; i < 500; i++) {
        kirim_rtt_sample(&rtt, UINT64_MAX);
        ck_assert_uint_le(rtt.timeout_ns, UINT64_C(1) << 53);
    }
    ck_assert_uint_ge(rtt.smoothed_ns, (UINT64_C(1) << 53) - 8);
    ck_assert_uint_le(rtt.smoothed_ns, UINT64_C(1) << 53);
}
END_TEST

START_TEST(bounds_are_kept)
{
    const struct kirim_rtt_options bad[] = {
        { SECOND, 0, SECOND, 1 },
        { SECOND, 2 * SECOND, SECOND, 1 },
        { SECOND, 1, (UINT64_C(1) << 53) + 1, 1 },
        { SECOND, 1, SECOND, SECOND + 1 },
    };
    struct kirim_rtt rtt;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(kirim_rtt_init(&rtt, &bad[i]), KIRIM_EINVAL);
    }
    rtt = open_rtt(3 * SECOND, 60 * SECOND);
    ck_assert_uint_eq(rtt.timeout_ns, 3 * SECOND); /* the initial one, too */
}
END_TEST

/* Whatever comes, the timeout is within its bounds, and the mean within what was measured. */
START_TEST(random_run_keeps_within_its_bounds)
{
    struct test_random r = test_random_start("rtt");
    struct kirim_rtt rtt = open_rtt(MS, SECOND);
    uint64_t most_ns = 0;
    for (unsigned i = 0; i < 100000; i++) {
        if (test_random_below(&r, 8) == 0) {
            kirim_rtt_back_off(&rtt);
        } else {
            const uint64_t ns = test_random_magnitude(&r, 32);
            kirim_rtt_sample(&rtt, ns);
            most_ns = ns > most_ns ? ns : most_ns;
            ck_assert_uint_ge(rtt.smoothed_ns + 1, rtt.least_ns);
            ck_assert_uint_le(rtt.smoothed_ns, most_ns + 1);
        }
        ck_assert_uint_ge(rtt.timeout_ns, MS);
        ck_assert_uint_le(rtt.timeout_ns, SECOND);
    }
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("rtt");
    TCase *const t = tcase_create("rtt");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, estimate_follows_the_formulas);
    tcase_add_test(t, steady_path_comes_down_to_the_granularity);
    tcase_add_test(t, timeout_is_a_second_at_the_least);
    tcase_add_test(t, backing_off_doubles_up_to_the_limit);
    tcase_add_test(t, sample_ends_the_back_off);
    tcase_add_test(t, reset_is_as_new);
    tcase_add_test(t, sample_of_nothing_and_of_for_ever_are_limited);
    tcase_add_test(t, bounds_are_kept);
    tcase_add_test(t, random_run_keeps_within_its_bounds);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
