/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/amplification.c.
 */
#include <kirim/amplification.h>

#include <check.h>
#include <stdlib.h>

START_TEST(nothing_is_sent_to_who_has_sent_nothing)
{
    struct kirim_amplification budget = { 0 };
    ck_assert_uint_eq(kirim_amplification_allowance(&budget), 0);
    ck_assert(kirim_amplification_send(&budget, 0));
    ck_assert(!kirim_amplification_send(&budget, 1));
}
END_TEST

START_TEST(three_times_what_came_may_be_sent)
{
    struct kirim_amplification budget = { 0 };
    kirim_amplification_receive(&budget, 1200);
    ck_assert(!kirim_amplification_send(&budget, 3601));
    ck_assert_uint_eq(budget.sent_bytes, 0);
    ck_assert(kirim_amplification_send(&budget, 3599));
    ck_assert(!kirim_amplification_send(&budget, 2));
    ck_assert(kirim_amplification_send(&budget, 1));
    ck_assert(!kirim_amplification_send(&budget, 1));
    kirim_amplification_receive(&budget, 1);
    ck_assert_uint_eq(kirim_amplification_allowance(&budget), 3);
}
END_TEST

START_TEST(factor_may_be_another_one)
{
    struct kirim_amplification budget = { .factor = 1 };
    kirim_amplification_receive(&budget, 10);
    ck_assert(!kirim_amplification_send(&budget, 11));
    ck_assert(kirim_amplification_send(&budget, 10));
    budget.factor = UINT32_MAX;
    budget.received_bytes = UINT64_MAX / UINT32_MAX + 1;
    ck_assert_uint_eq(kirim_amplification_allowance(&budget), UINT64_MAX - 10);
}
END_TEST

START_TEST(validated_address_has_no_limit)
{
    struct kirim_amplification budget = { 0 };
    kirim_amplification_validate(&budget);
    ck_assert_uint_eq(kirim_amplification_allowance(&budget), UINT64_MAX);
    ck_assert(kirim_amplification_send(&budget, SIZE_MAX));
    ck_assert_uint_eq(budget.sent_bytes, 0);
}
END_TEST

START_TEST(counters_stop_at_their_end)
{
    struct kirim_amplification budget = { .received_bytes = UINT64_MAX - 1,
                                          .sent_bytes = UINT64_MAX - 10 };
    kirim_amplification_receive(&budget, 5);
    ck_assert_uint_eq(budget.received_bytes, UINT64_MAX);
    ck_assert_uint_eq(kirim_amplification_allowance(&budget), 10);
    ck_assert(!kirim_amplification_send(&budget, 11));
    ck_assert(kirim_amplification_send(&budget, 10));
    ck_assert(!kirim_amplification_send(&budget, 1));
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("amplification");
    TCase *const t = tcase_create("amplification");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, nothing_is_sent_to_who_has_sent_nothing);
    tcase_add_test(t, three_times_what_came_may_be_sent);
    tcase_add_test(t, factor_may_be_another_one);
    tcase_add_test(t, validated_address_has_no_limit);
    tcase_add_test(t, counters_stop_at_their_end);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
