/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/activation_none.c, what stands for socket activation where there is none.
 */
#include <check.h>
#include <kirim/activation.h>
#include <stdlib.h>

START_TEST(nothing_was_handed_over_whatever_the_environment_says)
{
    char name[KIRIM_ACTIVATION_NAME_BYTES];
    size_t index = 77;
    intptr_t fd = 77;
    ck_assert_uint_eq(kirim_activation_count(), 0);
    ck_assert_int_eq(kirim_activation_descriptor(0, &fd), KIRIM_ENOENT);
    ck_assert_int_eq(kirim_activation_name(0, name, sizeof name), KIRIM_ENOENT);
    ck_assert_int_eq(kirim_activation_find("dns", 0, &index), KIRIM_ENOENT);
    ck_assert_int_eq(fd, 77);
    ck_assert_uint_eq(index, 77);
}
END_TEST

START_TEST(misuse_is_refused)
{
    size_t index;
    ck_assert_int_eq(kirim_activation_descriptor(0, NULL), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_activation_name(0, NULL, 10), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_activation_find(NULL, 0, &index), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_activation_find("dns", 0, NULL), KIRIM_EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/activation_none");
    TCase *tcase = tcase_create("activation_none");
    tcase_add_test(tcase, nothing_was_handed_over_whatever_the_environment_says);
    tcase_add_test(tcase, misuse_is_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
