/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/secret.c. That its time tells nothing cannot be judged here.
 */
#include <kirim/secret.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 17 };

START_TEST(one_bit_anywhere_makes_a_difference)
{
    uint8_t a[BYTES] = { 1, 2, 3 };
    uint8_t b[BYTES];
    memcpy(b, a, sizeof a);
    ck_assert(kirim_secret_equal(a, b, sizeof a));
    for (unsigned bit = 0; bit < 8; bit++) {
        b[_i] = (uint8_t)(a[_i] ^ 1U << bit);
        ck_assert(!kirim_secret_equal(a, b, sizeof a));
        ck_assert(kirim_secret_equal(a, b, (size_t)_i));
    }
}
END_TEST

START_TEST(no_bytes_are_equal)
{
    ck_assert(kirim_secret_equal("a", "b", 0));
}
END_TEST

START_TEST(wiping_ends_where_it_should)
{
    uint8_t data[3] = { 1, 2, 3 };
    kirim_secret_wipe(data + 1, 1);
    ck_assert_uint_eq(data[0], 1);
    ck_assert_uint_eq(data[1], 0);
    ck_assert_uint_eq(data[2], 3);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("secret");
    TCase *const t = tcase_create("secret");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, one_bit_anywhere_makes_a_difference, 0, BYTES);
    tcase_add_test(t, no_bytes_are_equal);
    tcase_add_test(t, wiping_ends_where_it_should);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
