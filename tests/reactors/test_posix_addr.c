/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/posix_addr.h: struct sockaddr to struct kirim_addr and back. The names that
 * are expected are made by inet_pton() and field by field, not by the code under test.
 */
#include "posix_addr.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* An address as text, the same address as a name, and what is read back if that differs. */
static const struct row {
    const char *text; /* as kirim_addr_parse() takes it */
    const char *name; /* as inet_pton() takes it */
    int family;       /* of the name */
    uint16_t port;
    uint32_t scope;
    bool is_ipv6_socket;
} table[] = {
    { "127.0.0.1:53", "127.0.0.1", AF_INET, 53, 0, false },
    { "0.0.0.0:0", "0.0.0.0", AF_INET, 0, 0, false },
    { "255.255.255.255:65535", "255.255.255.255", AF_INET, 65535, 0, false },
    { "192.0.2.7:258", "192.0.2.7", AF_INET, 258, 0, false },
    { "192.0.2.7:258", "::ffff:192.0.2.7", AF_INET6, 258, 0, true },
    { "0.0.0.0:1", "::ffff:0.0.0.0", AF_INET6, 1, 0, true },
    { "[::1]:53", "::1", AF_INET6, 53, 0, true },
    { "[::]:0", "::", AF_INET6, 0, 0, true },
    { "[::fffe:1.2.3.4]:9", "::fffe:1.2.3.4", AF_INET6, 9, 0, true },
    { "[::1:0:0:ffff]:9", "::1:0:0:ffff", AF_INET6, 9, 0, true },
    { "[1::ffff:1.2.3.4]:9", "1::ffff:1.2.3.4", AF_INET6, 9, 0, true },
    { "[2001:db8::1:2]:4660", "2001:db8::1:2", AF_INET6, 4660, 0, true },
    { "[fe80::1%3]:7", "fe80::1", AF_INET6, 7, 3, true },
    { "[febf::1%70000]:7", "febf::1", AF_INET6, 7, 70000, true },
    { "[ff02::fb%2]:5353", "ff02::fb", AF_INET6, 5353, 2, true },
};

enum { ROW_COUNT = sizeof table / sizeof table[0] };

static struct kirim_addr parse(const char *text)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(text, &addr), KIRIM_OK);
    return addr;
}

/* The name of a row, made by hand. Returns its length. */
static socklen_t make_name(const struct row *row, union ki_posix_name *name)
{
    memset(name, 0, sizeof *name);
    if (row->family == AF_INET) {
        name->ipv4.sin_family = AF_INET;
        name->ipv4.sin_port = htons(row->port);
        ck_assert_int_eq(inet_pton(AF_INET, row->name, &name->ipv4.sin_addr), 1);
        return sizeof name->ipv4;
    }
    name->ipv6.sin6_family = AF_INET6;
    name->ipv6.sin6_port = htons(row->port);
    name->ipv6.sin6_scope_id = row->scope;
    ck_assert_int_eq(inet_pton(AF_INET6, row->name, &name->ipv6.sin6_addr), 1);
    return sizeof name->ipv6;
}

START_TEST(address_is_written_as_its_name)
{
    const struct row *row = &table[_i];
    const struct kirim_addr addr = parse(row->text);
    union ki_posix_name wanted;
    union ki_posix_name got;
    memset(&got, 0xa5, sizeof got);
    const socklen_t bytes = make_name(row, &wanted);
    ck_assert_uint_eq(ki_name_write(&got, &addr, row->is_ipv6_socket), bytes);
    ck_assert_mem_eq(&got, &wanted, bytes);
}
END_TEST

START_TEST(name_is_read_as_its_address)
{
    const struct row *row = &table[_i];
    const struct kirim_addr wanted = parse(row->text);
    union ki_posix_name name;
    struct kirim_addr got;
    memset(&got, 0xa5, sizeof got);
    (void)make_name(row, &name);
    ki_name_read(&name, &got);
    ck_assert(kirim_addr_equal(&got, &wanted));
    ck_assert_mem_eq(&got, &wanted, sizeof got);
}
END_TEST

START_TEST(scope_of_a_global_address_is_not_read)
{
    const struct row row = { NULL, "2001:db8::1", AF_INET6, 5, 9, true };
    union ki_posix_name name;
    struct kirim_addr got;
    (void)make_name(&row, &name);
    ki_name_read(&name, &got);
    const struct kirim_addr wanted = parse("[2001:db8::1]:5");
    ck_assert(kirim_addr_equal(&got, &wanted));
}
END_TEST

START_TEST(flow_label_is_not_read)
{
    const struct row row = { NULL, "2001:db8::1", AF_INET6, 5, 0, true };
    union ki_posix_name name;
    struct kirim_addr got;
    (void)make_name(&row, &name);
    name.ipv6.sin6_flowinfo = htonl(0x12345);
    ki_name_read(&name, &got);
    const struct kirim_addr wanted = parse("[2001:db8::1]:5");
    ck_assert(kirim_addr_equal(&got, &wanted));
}
END_TEST

START_TEST(no_address_is_no_name)
{
    const struct kirim_addr none = { { 0, 0, 0 } };
    union ki_posix_name name;
    ck_assert_uint_eq(ki_name_write(&name, &none, false), 0);
    ck_assert_uint_eq(ki_name_write(&name, &none, true), 0);
}
END_TEST

START_TEST(name_of_another_family_is_no_address)
{
    union ki_posix_name name;
    struct kirim_addr got;
    memset(&name, 0xff, sizeof name);
    name.any.sa_family = AF_UNIX;
    ki_name_read(&name, &got);
    ck_assert_int_eq(kirim_addr_family(&got), KIRIM_FAMILY_NONE);
    ck_assert_uint_eq(got.word[0] | got.word[1] | got.word[2], 0);
}
END_TEST

START_TEST(ipv6_address_for_an_ipv4_socket_is_written_as_such)
{
    const struct kirim_addr addr = parse("[::1]:1");
    union ki_posix_name name;
    ck_assert_uint_eq(ki_name_write(&name, &addr, false), sizeof name.ipv6);
    ck_assert_int_eq(name.any.sa_family, AF_INET6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/posix_addr");
    TCase *tcase = tcase_create("addr");
    tcase_add_loop_test(tcase, address_is_written_as_its_name, 0, ROW_COUNT);
    tcase_add_loop_test(tcase, name_is_read_as_its_address, 0, ROW_COUNT);
    tcase_add_test(tcase, scope_of_a_global_address_is_not_read);
    tcase_add_test(tcase, flow_label_is_not_read);
    tcase_add_test(tcase, no_address_is_no_name);
    tcase_add_test(tcase, name_of_another_family_is_no_address);
    tcase_add_test(tcase, ipv6_address_for_an_ipv4_socket_is_written_as_such);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
