/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_control.c: the bytes of control data, written by hand from the
 * reference pages of WSAMSG, IN_PKTINFO and IN6_PKTINFO, for 64-bit Windows: a length of 8 bytes
 * that counts the header, level and type of 4 each, the data from byte 16 on, padded to 8.
 */
#include "win_control.h"

#include <check.h>
#include <stdlib.h>

static struct ki_win_control_out out;
static struct kirim_arrival arrival;
static struct kirim_datagram datagram;

static struct kirim_addr addr(const char *text)
{
    struct kirim_addr a;
    ck_assert_int_eq(kirim_addr_parse(text, &a), KIRIM_OK);
    return a;
}

/* Checks what was written for `control` to a peer of this family. */
static void expect(const struct kirim_control *control, int family, const uint8_t *bytes,
                   size_t count)
{
    memset(&out, 0xaa, sizeof out);
    ck_assert_uint_eq(ki_win_control_write(&out, control, family), count);
    ck_assert_mem_eq(&out, bytes, count);
}

START_TEST(nothing_to_say_has_no_bytes) /* S32 */
{
    const struct kirim_control control = KIRIM_CONTROL_INIT;
    ck_assert_uint_eq(ki_win_control_write(&out, &control, KIRIM_IPV4), 0);
    ck_assert_uint_eq(ki_win_control_write(&out, &control, KIRIM_IPV6), 0);
}
END_TEST

START_TEST(ipv4_source_is_the_one_address) /* S7, S9 */
{
    static const uint8_t bytes[] = {
        24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0, 192, 0, 2, 1, 7, 0, 0, 0,
    };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = addr("192.0.2.1");
    control.ifindex = 7;
    expect(&control, KIRIM_IPV4, bytes, sizeof bytes);
}
END_TEST

START_TEST(ipv6_source_brings_its_scope) /* S8, S9 */
{
    static const uint8_t bytes[] = {
        36,   0,    0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 19, 0, 0, 0, /* header: IPPROTO_IPV6 */
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 1, /* fe80::1 */
        5,    0,    0, 0, 0, 0, 0, 0,                           /* and padding */
    };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = addr("fe80::1%5");
    expect(&control, KIRIM_IPV6, bytes, sizeof bytes);
}
END_TEST

START_TEST(ecn_alone_has_its_own_message)
{
    static const uint8_t ipv4[] = {
        20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
    };
    static const uint8_t ipv6[] = {
        20, 0, 0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 50, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.ecn = 2;
    expect(&control, KIRIM_IPV4, ipv4, sizeof ipv4);
    control.ecn = 1;
    expect(&control, KIRIM_IPV6, ipv6, sizeof ipv6);
}
END_TEST

START_TEST(dscp_brings_the_whole_octet)
{
    static const uint8_t ipv4[] = {
        20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0xba, 0, 0, 0, 0, 0, 0, 0,
    };
    static const uint8_t ipv6[] = {
        20, 0, 0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 39, 0, 0, 0, 0xba, 0, 0, 0, 0, 0, 0, 0,
    };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.dscp = 46;
    control.ecn = 2;
    expect(&control, KIRIM_IPV4, ipv4, sizeof ipv4);
    expect(&control, KIRIM_IPV6, ipv6, sizeof ipv6);
}
END_TEST

START_TEST(hop_limit_and_segment_come_behind)
{
    static const uint8_t bytes[] = {
        20, 0, 0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 21, 0, 0, 0, 9,    0,    0, 0, 0, 0, 0, 0,
        20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 2,  0, 0, 0, 0xb0, 0x04, 0, 0, 0, 0, 0, 0,
    };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.ttl = 9;
    expect(&control, KIRIM_IPV6, bytes, 24);
    ck_assert_uint_eq(ki_win_control_add_segment(&out, 24, 1200), sizeof bytes);
    ck_assert_mem_eq(&out, bytes, sizeof bytes);
}
END_TEST

START_TEST(everything_fits)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = addr("2001:db8::1");
    control.dscp = 1;
    control.ttl = 1;
    const ULONG bytes = ki_win_control_write(&out, &control, KIRIM_IPV6);
    ck_assert_uint_eq(ki_win_control_add_segment(&out, bytes, 1), sizeof out);
}
END_TEST

/* ---- in -------------------------------------------------------------------------------------- */

static void take(const uint8_t *bytes, size_t count, DWORD flags, const char *local)
{
    const struct kirim_addr at = addr(local);
    const WSAMSG msg = {
        .Control = { .len = (ULONG)count, .buf = (char *)(uintptr_t)bytes },
        .dwFlags = flags,
    };
    datagram = (struct kirim_datagram){ .bytes = 1 };
    ki_win_control_read(&msg, &at, &arrival, &datagram);
}

static const uint8_t ipv4_to_dual[] = {
    36,   0, 0, 0, 0, 0, 0, 0, 41, 0, 0,    0,    19,  0, 0, 0, /* IPV6_PKTINFO */
    0,    0, 0, 0, 0, 0, 0, 0, 0,  0, 0xff, 0xff, 192, 0, 2, 9,
    4,    0, 0, 0, 0, 0, 0, 0,                                  /* its interface */
    24,   0, 0, 0, 0, 0, 0, 0, 0,  0, 0,    0,    19,  0, 0, 0, /* IP_PKTINFO */
    192,  0, 2, 9, 4, 0, 0, 0, 20, 0, 0,    0,    0,   0, 0, 0,
    0,    0, 0, 0, 3, 0, 0, 0, /* IP_TOS */
    0xb9, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0,    0,    0,   0, 0, 0,
    0,    0, 0, 0, 4, 0, 0, 0, /* IP_TTL */
    63,   0, 0, 0, 0, 0, 0, 0,
};

START_TEST(both_families_may_tell_of_one_datagram) /* L38 */
{
    const struct kirim_addr local = addr("192.0.2.9:53");
    take(ipv4_to_dual, sizeof ipv4_to_dual, 0, "[::]:53");
    ck_assert(kirim_addr_equal(&arrival.local, &local));
    ck_assert_uint_eq(arrival.ifindex, 4);
    ck_assert_uint_eq(arrival.ttl, 63);
    ck_assert_uint_eq(arrival.dscp, 46);
    ck_assert_uint_eq(datagram.ecn, 1);
    ck_assert_uint_eq(datagram.flags, 0);
    ck_assert_ptr_eq(datagram.arrival, &arrival);
}
END_TEST

START_TEST(local_address_of_a_broadcast_is_not_told)
{
    take(ipv4_to_dual, sizeof ipv4_to_dual, MSG_BCAST, "[::]:53");
    ck_assert_int_eq(kirim_addr_family(&arrival.local), KIRIM_FAMILY_NONE);
    ck_assert_uint_eq(datagram.flags, KIRIM_RX_NO_LOCAL | KIRIM_RX_BROADCAST);
    ck_assert_uint_eq(arrival.ifindex, 4);
}
END_TEST

START_TEST(without_control_data_the_bound_address_holds)
{
    const struct kirim_addr local = addr("192.0.2.9:53");
    take(NULL, 0, 0, "192.0.2.9:53");
    ck_assert(kirim_addr_equal(&arrival.local, &local));
    take(NULL, 0, 0, "0.0.0.0:53");
    ck_assert_uint_eq(datagram.flags, KIRIM_RX_NO_LOCAL);
}
END_TEST

START_TEST(cut_control_data_is_not_believed)
{
    /* Every length: nothing behind the end is read, and no loop is without end. */
    for (size_t count = 0; count < sizeof ipv4_to_dual; count++) {
        uint8_t *copy = malloc(count + 1);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, ipv4_to_dual, count);
        take(copy, count, 0, "[::]:53");
        ck_assert(arrival.ttl == 0 || arrival.ttl == 63);
        free(copy);
    }
    static const uint8_t empty[24] = { 0 };
    take(empty, sizeof empty, 0, "[::]:53");
    ck_assert_uint_eq(datagram.flags, KIRIM_RX_NO_LOCAL);
}
END_TEST

START_TEST(segment_of_a_coalesced_arrival_is_read)
{
    static const uint8_t bytes[] = {
        20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 3, 0, 0, 0, 0xb0, 0x04, 0, 0, 0, 0, 0, 0,
    };
    const WSABUF control = { sizeof bytes, (char *)(uintptr_t)bytes };
    const WSABUF none = { 0, NULL };
    ck_assert_uint_eq(ki_win_control_segment(&control), 1200);
    ck_assert_uint_eq(ki_win_control_segment(&none), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/win_control");
    TCase *tcase = tcase_create("control");
    tcase_add_test(tcase, nothing_to_say_has_no_bytes);
    tcase_add_test(tcase, ipv4_source_is_the_one_address);
    tcase_add_test(tcase, ipv6_source_brings_its_scope);
    tcase_add_test(tcase, ecn_alone_has_its_own_message);
    tcase_add_test(tcase, dscp_brings_the_whole_octet);
    tcase_add_test(tcase, hop_limit_and_segment_come_behind);
    tcase_add_test(tcase, everything_fits);
    tcase_add_test(tcase, both_families_may_tell_of_one_datagram);
    tcase_add_test(tcase, local_address_of_a_broadcast_is_not_told);
    tcase_add_test(tcase, without_control_data_the_bound_address_holds);
    tcase_add_test(tcase, cut_control_data_is_not_believed);
    tcase_add_test(tcase, segment_of_a_coalesced_arrival_is_read);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
