/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_clock.c: how ticks become nanoseconds, and that time does not go back.
 */
#include "win_clock.h"

#include <check.h>
#include <stdlib.h>

#define SECOND_NS  UINT64_C(1000000000)
#define USUAL_HZ   UINT64_C(10000000)    /* of Windows 10 on most machines, and of Wine */
#define HIGHEST_HZ UINT64_C(18446744074) /* one more, and the rest of a second does not fit */
#define YEAR_S     UINT64_C(31557600)
#define LONGEST_S  (UINT64_MAX / SECOND_NS) /* more than 584 years */
#define CENTURY_S  (100 * YEAR_S)
#define OLD_PC_HZ  UINT64_C(3579545) /* the ACPI timer, which divides nothing evenly */
#define CYCLES_HZ  UINT64_C(2893300000)
#define READ_COUNT 1000

static const struct row {
    uint64_t ticks, frequency, ns;
} table[] = {
    { 0, USUAL_HZ, 0 },
    { 1, USUAL_HZ, 100 },
    { USUAL_HZ - 1, USUAL_HZ, SECOND_NS - 100 },
    { USUAL_HZ, USUAL_HZ, SECOND_NS },
    { USUAL_HZ + 1, USUAL_HZ, SECOND_NS + 100 },
    /* 10^9 times these ticks leave 64 bits: after 31 minutes at the usual frequency. */
    { 1844 * USUAL_HZ + 6744073, USUAL_HZ, 1844 * SECOND_NS + 674407300 },
    { 1845 * USUAL_HZ, USUAL_HZ, 1845 * SECOND_NS },
    { CENTURY_S * USUAL_HZ + 7, USUAL_HZ, CENTURY_S *SECOND_NS + 700 },
    { LONGEST_S * USUAL_HZ, USUAL_HZ, LONGEST_S *SECOND_NS },
    { 1, OLD_PC_HZ, 279 },
    { OLD_PC_HZ * 86400 + 2, OLD_PC_HZ, 86400 * SECOND_NS + 558 },
    { 3, CYCLES_HZ, 1 },
    { CYCLES_HZ * YEAR_S + 3, CYCLES_HZ, YEAR_S *SECOND_NS + 1 },
    { HIGHEST_HZ - 1, HIGHEST_HZ, SECOND_NS - 1 },
    { HIGHEST_HZ, HIGHEST_HZ, SECOND_NS },
    { 5, 1, 5 * SECOND_NS },
};

START_TEST(ticks_become_nanoseconds)
{
    const struct row *row = &table[_i];
    ck_assert_uint_eq(ki_win_ticks_to_ns(row->ticks, row->frequency), row->ns);
}
END_TEST

START_TEST(time_goes_on_and_not_back)
{
    const uint64_t begin_ns = ki_win_now();
    uint64_t last_ns = begin_ns;
    for (int i = 0; i < READ_COUNT || last_ns == begin_ns; i++) {
        const uint64_t now_ns = ki_win_now();
        ck_assert_uint_ge(now_ns, last_ns);
        last_ns = now_ns;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/win_clock");
    TCase *tcase = tcase_create("clock");
    tcase_add_loop_test(tcase, ticks_become_nanoseconds, 0, (int)(sizeof table / sizeof *table));
    tcase_add_test(tcase, time_goes_on_and_not_back);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
