/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/error.c and lib/version.c: numbers that never change, names and texts.
 */
#include <kirim/error.h>

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers are spelled out: one that changes breaks every program that stored it. */
static const struct number {
    int number;
    kirim_err err;
    const char *name;
} numbers[] = {
    { 1, KIRIM_PENDING, "KIRIM_PENDING" },
    { 0, KIRIM_OK, "KIRIM_OK" },
    { -1, KIRIM_EACCES, "KIRIM_EACCES" },
    { -2, KIRIM_ECONNRESET, "KIRIM_ECONNRESET" },
    { -3, KIRIM_EFAULT, "KIRIM_EFAULT" },
    { -4, KIRIM_EINPROGRESS, "KIRIM_EINPROGRESS" },
    { -5, KIRIM_EINTR, "KIRIM_EINTR" },
    { -6, KIRIM_EINVAL, "KIRIM_EINVAL" },
    { -7, KIRIM_EMSGSIZE, "KIRIM_EMSGSIZE" },
    { -8, KIRIM_ENETDOWN, "KIRIM_ENETDOWN" },
    { -9, KIRIM_ENETRESET, "KIRIM_ENETRESET" },
    { -10, KIRIM_ENETUNREACH, "KIRIM_ENETUNREACH" },
    { -11, KIRIM_ENOBUFS, "KIRIM_ENOBUFS" },
    { -12, KIRIM_ENOTCONN, "KIRIM_ENOTCONN" },
    { -13, KIRIM_ENOTSOCK, "KIRIM_ENOTSOCK" },
    { -14, KIRIM_EOPNOTSUPP, "KIRIM_EOPNOTSUPP" },
    { -15, KIRIM_ESHUTDOWN, "KIRIM_ESHUTDOWN" },
    { -16, KIRIM_ETIMEDOUT, "KIRIM_ETIMEDOUT" },
    { -17, KIRIM_EWOULDBLOCK, "KIRIM_EWOULDBLOCK" },
    { -18, KIRIM_ENOTINITIALISED, "KIRIM_ENOTINITIALISED" },
    { -19, KIRIM_EABORTED, "KIRIM_EABORTED" },
    { -20, KIRIM_ENOMEM, "KIRIM_ENOMEM" },
    { -21, KIRIM_EADDRINUSE, "KIRIM_EADDRINUSE" },
    { -22, KIRIM_EADDRNOTAVAIL, "KIRIM_EADDRNOTAVAIL" },
    { -23, KIRIM_EAFNOSUPPORT, "KIRIM_EAFNOSUPPORT" },
    { -24, KIRIM_EMFILE, "KIRIM_EMFILE" },
    { -25, KIRIM_ECLOSED, "KIRIM_ECLOSED" },
    { -26, KIRIM_ENOENT, "KIRIM_ENOENT" },
    { -27, KIRIM_EEXIST, "KIRIM_EEXIST" },
    { -28, KIRIM_EBUSY, "KIRIM_EBUSY" },
    { -29, KIRIM_ESYSTEM, "KIRIM_ESYSTEM" },
};

enum { NUMBER_COUNT = sizeof numbers / sizeof numbers[0] };

START_TEST(number_of_an_error_never_changes)
{
    ck_assert_int_eq(numbers[_i].err, numbers[_i].number);
}
END_TEST

START_TEST(name_of_an_error_is_its_identifier)
{
    ck_assert_str_eq(kirim_err_name(numbers[_i].number), numbers[_i].name);
}
END_TEST

START_TEST(text_is_one_line_without_a_full_stop)
{
    const char *const text = kirim_err_text(numbers[_i].number);
    const size_t len = strlen(text);
    ck_assert_uint_gt(len, 0);
    ck_assert_int_ne(text[len - 1], '.');
    ck_assert_ptr_null(strchr(text, '\n'));
}
END_TEST

START_TEST(text_tells_an_error_from_all_others)
{
    for (int other = 0; other < _i; other++) {
        ck_assert_str_ne(kirim_err_text(numbers[_i].number), kirim_err_text(numbers[other].number));
    }
}
END_TEST

START_TEST(unknown_number_has_the_name_of_none)
{
    static const int unknown[] = {
        INT_MIN, INT_MIN + 1, -1000, -30, 2, 1000, INT_MAX - 1, INT_MAX
    };
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        ck_assert_str_eq(kirim_err_name(unknown[i]), "KIRIM_E?");
        ck_assert_ptr_nonnull(kirim_err_text(unknown[i]));
        ck_assert_str_eq(kirim_err_text(unknown[i]), kirim_err_text(INT_MIN));
    }
}
END_TEST

START_TEST(version_is_that_of_the_headers)
{
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", KIRIM_VERSION_MAJOR, KIRIM_VERSION_MINOR,
             KIRIM_VERSION_PATCH);
    ck_assert_str_eq(kirim_version(), text);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("error");
    TCase *const tcase = tcase_create("error");
    tcase_add_loop_test(tcase, number_of_an_error_never_changes, 0, NUMBER_COUNT);
    tcase_add_loop_test(tcase, name_of_an_error_is_its_identifier, 0, NUMBER_COUNT);
    tcase_add_loop_test(tcase, text_is_one_line_without_a_full_stop, 0, NUMBER_COUNT);
    tcase_add_loop_test(tcase, text_tells_an_error_from_all_others, 0, NUMBER_COUNT);
    tcase_add_test(tcase, unknown_number_has_the_name_of_none);
    tcase_add_test(tcase, version_is_that_of_the_headers);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
