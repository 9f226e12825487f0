/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_random.c: it fills what it is given, and nothing beside it.
 */
#include "win_random.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { EDGE = 16, MIDDLE = 64, ALL = EDGE + MIDDLE + EDGE, TRY_COUNT = 16 };

START_TEST(every_byte_is_filled_and_none_beside)
{
    unsigned char seen[MIDDLE] = { 0 };
    for (int i = 0; i < TRY_COUNT; i++) {
        unsigned char bytes[ALL] = { 0 };
        ck_assert_int_eq(ki_win_random(bytes + EDGE, MIDDLE), KIRIM_OK);
        for (int k = 0; k < EDGE; k++) {
            ck_assert_uint_eq(bytes[k], 0);
            ck_assert_uint_eq(bytes[EDGE + MIDDLE + k], 0);
        }
        for (int k = 0; k < MIDDLE; k++) {
            seen[k] |= bytes[EDGE + k];
        }
    }
    /* That a byte was 0 each time happens once in 2^128. */
    ck_assert_ptr_null(memchr(seen, 0, sizeof seen));
}
END_TEST

START_TEST(two_fillings_differ)
{
    unsigned char a[MIDDLE], b[MIDDLE];
    ck_assert_int_eq(ki_win_random(a, sizeof a), KIRIM_OK);
    ck_assert_int_eq(ki_win_random(b, sizeof b), KIRIM_OK);
    ck_assert_int_ne(memcmp(a, b, sizeof a), 0);
}
END_TEST

START_TEST(no_bytes_are_filled_too)
{
    unsigned char byte = 77;
    ck_assert_int_eq(ki_win_random(&byte, 0), KIRIM_OK);
    ck_assert_uint_eq(byte, 77);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/win_random");
    TCase *tcase = tcase_create("random");
    tcase_add_test(tcase, every_byte_is_filled_and_none_beside);
    tcase_add_test(tcase, two_fillings_differ);
    tcase_add_test(tcase, no_bytes_are_filled_too);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
