/* SPDX-License-Identifier: MIT
 *
 * Claims about socket activation: what is taken for handed over, and what is not.
 */
#include <check.h>
#include <inttypes.h>
#include <kirim/kirim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define UNTOUCHED       ((size_t)0x5a5a5a5a)

/* Sets a variable; NULL: takes it out. "%d" stands for the number of this process. */
static void set(const char *name, const char *value)
{
    char text[64];
    if (value == NULL) {
        ck_assert_int_eq(unsetenv(name), 0);
        return;
    }
    if (strstr(value, "%d") != NULL) {
        const size_t at = (size_t)(strstr(value, "%d") - value);
        (void)snprintf(text, sizeof text, "%.*s%d%s", (int)at, value, getpid(), value + at + 2);
        value = text;
    }
    ck_assert_int_eq(setenv(name, value, 1), 0);
}

static void set_all(const char *pid, const char *fds, const char *names)
{
    set("LISTEN_PID", pid);
    set("LISTEN_FDS", fds);
    set("LISTEN_FDNAMES", names);
}

static const struct count_row {
    const char *pid, *fds;
    size_t count;
} counts[] = {
    { "%d", "1", 1 },
    { "%d", "0", 0 },
    { "%d", "7", 7 },
    { "%d", "2147483644", 2147483644 }, /* INT_MAX is the last descriptor */
    { "%d", "2147483645", 0 },
    { "%d", "18446744073709551617", 0 },
    { "%d", NULL, 0 },
    { "%d", "", 0 },
    { "%d", " 1", 0 },
    { "%d", "1 ", 0 },
    { "%d", "+1", 0 },
    { "%d", "-1", 0 },
    { "%d", "01", 0 },
    { "%d", "00", 0 },
    { "%d", "0x1", 0 },
    { "%d", "1x", 0 },
    { "%d", "one", 0 },
    { NULL, "1", 0 },
    { "", "1", 0 },
    { "0", "1", 0 },
    { "1%d", "1", 0 },
    { "0%d", "1", 0 },
    { " %d", "1", 0 },
    { "%d ", "1", 0 },
    { "-%d", "1", 0 },
    { "self", "1", 0 },
    { NULL, NULL, 0 },
};

START_TEST(only_what_is_exactly_for_this_process_counts)
{
    const struct count_row *row = &counts[_i];
    intptr_t fd = -1;
    set_all(row->pid, row->fds, NULL);
    ck_assert_uint_eq(kirim_activation_count(), row->count);
    for (size_t i = 0; i < row->count && i < 8; i++) {
        ck_assert_int_eq(kirim_activation_descriptor(i, &fd), KIRIM_OK);
        ck_assert_int_eq(fd, 3 + (intptr_t)i);
    }
    fd = -1;
    ck_assert_int_eq(kirim_activation_descriptor(row->count, &fd), KIRIM_ENOENT);
    ck_assert_int_eq(kirim_activation_descriptor(SIZE_MAX, &fd), KIRIM_ENOENT);
    ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(another_process_is_not_taken_for_this_one)
{
    char parent[16];
    (void)snprintf(parent, sizeof parent, "%d", getppid());
    set_all(parent, "1", NULL);
    ck_assert_uint_eq(kirim_activation_count(), 0);
}
END_TEST

static char longest[2 * KIRIM_ACTIVATION_NAME_BYTES];

static const struct names_row {
    const char *fds, *names;
    const char *wanted[3]; /* NULL: there is no such name */
} names[] = {
    { "1", "dns", { "dns" } },
    { "3", "dns:echo:dns", { "dns", "echo", "dns" } },
    { "2", ":echo", { "", "echo" } },
    { "2", "echo:", { "echo", "" } },
    { "1", "", { "" } },
    { "1", "with blanks ~", { "with blanks ~" } },
    { "1", NULL, { NULL } },
    { "0", "dns", { NULL } },
    { "0", "", { NULL } },
    { "2", "dns", { NULL, NULL } },
    { "2", "dns:echo:more", { NULL, NULL } },
    { "1", "dns:", { NULL } },
    { "1", "tab\t", { NULL } },
    { "1", "caf\303\251", { NULL } },
    { "1", "del\177", { NULL } },
};

START_TEST(names_are_told_if_there_is_one_for_each)
{
    const struct names_row *row = &names[_i];
    set_all("%d", row->fds, row->names);
    for (size_t i = 0; i < 3; i++) {
        char name[KIRIM_ACTIVATION_NAME_BYTES] = "untouched";
        const char *wanted = row->wanted[i];
        ck_assert_int_eq(kirim_activation_name(i, name, sizeof name),
                         wanted != NULL ? KIRIM_OK : KIRIM_ENOENT);
        ck_assert_str_eq(name, wanted != NULL ? wanted : "untouched");
        if (wanted != NULL) {
            memcpy(name, "untouched", 10);
            ck_assert_int_eq(kirim_activation_name(i, name, strlen(wanted)), KIRIM_EMSGSIZE);
            ck_assert_str_eq(name, "untouched");
            ck_assert_int_eq(kirim_activation_name(i, name, strlen(wanted) + 1), KIRIM_OK);
            ck_assert_str_eq(name, wanted);
        }
    }
}
END_TEST

START_TEST(names_are_bounded)
{
    char name[KIRIM_ACTIVATION_NAME_BYTES];
    memset(longest, 'n', KIRIM_ACTIVATION_NAME_BYTES);
    set_all("%d", "1", longest);
    ck_assert_int_eq(kirim_activation_name(0, name, sizeof name), KIRIM_ENOENT);
    longest[KIRIM_ACTIVATION_NAME_BYTES - 1] = 0;
    set_all("%d", "1", longest);
    ck_assert_int_eq(kirim_activation_name(0, name, sizeof name), KIRIM_OK);
    ck_assert_str_eq(name, longest);
}
END_TEST

static kirim_err find(const char *name, size_t first, size_t *index)
{
    *index = UNTOUCHED;
    return kirim_activation_find(name, first, index);
}

START_TEST(descriptors_are_found_by_name)
{
    size_t index;
    set_all("%d", "4", "dns:echo::dns");
    ck_assert_int_eq(find("dns", 0, &index), KIRIM_OK);
    ck_assert_uint_eq(index, 0);
    ck_assert_int_eq(find("dns", index + 1, &index), KIRIM_OK);
    ck_assert_uint_eq(index, 3);
    ck_assert_int_eq(find("dns", 4, &index), KIRIM_ENOENT);
    ck_assert_int_eq(find("echo", 0, &index), KIRIM_OK);
    ck_assert_uint_eq(index, 1);
    ck_assert_int_eq(find("", 0, &index), KIRIM_OK);
    ck_assert_uint_eq(index, 2);
    static const char *const missing[] = { "ech", "echoo", "echo:", "DNS", "dns:echo" };
    for (int i = 0; i < COUNT_OF(missing); i++) {
        ck_assert_int_eq(find(missing[i], 0, &index), KIRIM_ENOENT);
        ck_assert_uint_eq(index, UNTOUCHED);
    }
    set_all("%d", "3", "dns:echo::dns"); /* not one for each: which is which? */
    ck_assert_int_eq(find("dns", 0, &index), KIRIM_ENOENT);
    set_all("1", "4", "dns:echo::dns");
    ck_assert_int_eq(find("dns", 0, &index), KIRIM_ENOENT);
}
END_TEST

START_TEST(misuse_is_refused)
{
    size_t index;
    set_all("%d", "1", "dns");
    ck_assert_int_eq(kirim_activation_descriptor(0, NULL), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_activation_name(0, NULL, 10), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_activation_find(NULL, 0, &index), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_activation_find("dns", 0, NULL), KIRIM_EINVAL);
}
END_TEST

START_TEST(environment_is_left_alone)
{
    char name[KIRIM_ACTIVATION_NAME_BYTES];
    char pid[16];
    size_t index;
    intptr_t fd;
    (void)snprintf(pid, sizeof pid, "%d", getpid());
    set_all("%d", "2", "dns:echo");
    for (int i = 0; i < 2; i++) { /* and it can be asked again */
        ck_assert_uint_eq(kirim_activation_count(), 2);
        ck_assert_int_eq(kirim_activation_descriptor(1, &fd), KIRIM_OK);
        ck_assert_int_eq(kirim_activation_name(1, name, sizeof name), KIRIM_OK);
        ck_assert_int_eq(find("echo", 0, &index), KIRIM_OK);
    }
    ck_assert_str_eq(getenv("LISTEN_PID"), pid);
    ck_assert_str_eq(getenv("LISTEN_FDS"), "2");
    ck_assert_str_eq(getenv("LISTEN_FDNAMES"), "dns:echo");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/activation");
    TCase *tcase = tcase_create("activation");
    tcase_add_loop_test(tcase, only_what_is_exactly_for_this_process_counts, 0, COUNT_OF(counts));
    tcase_add_test(tcase, another_process_is_not_taken_for_this_one);
    tcase_add_loop_test(tcase, names_are_told_if_there_is_one_for_each, 0, COUNT_OF(names));
    tcase_add_test(tcase, names_are_bounded);
    tcase_add_test(tcase, descriptors_are_found_by_name);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, environment_is_left_alone);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
