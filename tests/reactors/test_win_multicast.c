/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_multicast.c: what Winsock is told, byte by byte, and what its refusals
 * mean. The options are made up, so that none of it depends on the networks at hand.
 */
#include "support/win_bench.h"

#include <string.h>

enum { IFINDEX = 0x010203 };

static const char group4[] = "239.1.2.3";
static const char source4[] = "192.0.2.9";
static const char group6[] = "ff15::1234";
static const char source6[] = "2001:db8::9";

static struct heard one; /* outlives the test function: its last callback comes with the loop's */

static void set_up(void)
{
    script_reset();
    bench_open("select", NULL);
}

static void tear_down(void)
{
    bench_close();
}

static struct kirim_membership membership(const char *group, const char *source)
{
    struct kirim_membership m = KIRIM_MEMBERSHIP_INIT;
    ck_assert_int_eq(kirim_addr_parse(group, &m.group), KIRIM_OK);
    if (source != NULL) {
        ck_assert_int_eq(kirim_addr_parse(source, &m.source), KIRIM_OK);
    }
    m.ifindex = IFINDEX;
    return m;
}

/* What an option was set to last. */
static const struct script_step *last_set(int level, int name)
{
    int last = -1;
    for (int at = 0; (at = script_find(SCRIPT_SETSOCKOPT, level, name, at)) >= 0; at++) {
        last = at;
    }
    return script_step_at(last);
}

/* ---- memberships ----------------------------------------------------------------------------- */

START_TEST(ipv4_group_is_joined_on_an_index_in_the_place_of_an_address)
{
    static const uint8_t wanted[8] = { 239, 1, 2, 3, 0, 1, 2, 3 };
    const struct kirim_membership m = membership(group4, NULL);
    script_make_option(IPPROTO_IP, IP_ADD_MEMBERSHIP, 0);
    script_make_option(IPPROTO_IP, IP_DROP_MEMBERSHIP, 0);
    bench_listen_at(&one, "0.0.0.0:0", 0);
    ck_assert_int_eq(kirim_endpoint_join(one.ep, &m), KIRIM_OK);
    ck_assert_int_eq(last_set(IPPROTO_IP, IP_ADD_MEMBERSHIP)->bytes, sizeof wanted);
    ck_assert_mem_eq(last_set(IPPROTO_IP, IP_ADD_MEMBERSHIP)->data, wanted, sizeof wanted);
    ck_assert_int_eq(kirim_endpoint_leave(one.ep, &m), KIRIM_OK);
    ck_assert_mem_eq(last_set(IPPROTO_IP, IP_DROP_MEMBERSHIP)->data, wanted, sizeof wanted);
}
END_TEST

START_TEST(ipv4_source_is_joined_behind_its_group)
{
    /* struct ip_mreq_source: group, source, interface */
    static const uint8_t wanted[12] = { 239, 1, 2, 3, 192, 0, 2, 9, 0, 1, 2, 3 };
    const struct kirim_membership m = membership(group4, source4);
    script_make_option(IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, 0);
    script_make_option(IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, 0);
    bench_listen_at(&one, "0.0.0.0:0", 0);
    ck_assert_int_eq(kirim_endpoint_join(one.ep, &m), KIRIM_OK);
    ck_assert_int_eq(last_set(IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP)->bytes, sizeof wanted);
    ck_assert_mem_eq(last_set(IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP)->data, wanted, sizeof wanted);
    ck_assert_int_eq(kirim_endpoint_leave(one.ep, &m), KIRIM_OK);
    ck_assert_mem_eq(last_set(IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP)->data, wanted, sizeof wanted);
}
END_TEST

START_TEST(ipv6_group_is_joined_on_an_index)
{
    static const uint8_t wanted[20] = { 0xff, 0x15, [14] = 0x12, [15] = 0x34, 3, 2, 1, 0 };
    const struct kirim_membership m = membership(group6, NULL);
    script_make_option(IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, 0);
    script_make_option(IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, 0);
    bench_listen_at(&one, "[::]:0", 0);
    ck_assert_int_eq(kirim_endpoint_join(one.ep, &m), KIRIM_OK);
    ck_assert_int_eq(last_set(IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP)->bytes, sizeof wanted);
    ck_assert_mem_eq(last_set(IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP)->data, wanted, sizeof wanted);
    ck_assert_int_eq(kirim_endpoint_leave(one.ep, &m), KIRIM_OK);
    ck_assert_mem_eq(last_set(IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP)->data, wanted, sizeof wanted);
}
END_TEST

START_TEST(ipv6_source_is_joined_by_names)
{
    /* struct group_source_req: index, padding, group as a name of AF_INET6 (23 here), source */
    static const uint8_t wanted[STEP_BYTES] = {
        3, 2, 1, 0, [8] = 23, [16] = 0xff, 0x15, [30] = 0x12, 0x34
    };
    const struct kirim_membership m = membership(group6, source6);
    script_make_option(IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, 0);
    script_make_option(IPPROTO_IPV6, MCAST_LEAVE_SOURCE_GROUP, 0);
    bench_listen_at(&one, "[::]:0", 0);
    ck_assert_int_eq(kirim_endpoint_join(one.ep, &m), KIRIM_OK);
    ck_assert_int_eq(last_set(IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP)->bytes, 8 + 128 + 128);
    ck_assert_mem_eq(last_set(IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP)->data, wanted, sizeof wanted);
    ck_assert_int_eq(kirim_endpoint_leave(one.ep, &m), KIRIM_OK);
    ck_assert_mem_eq(last_set(IPPROTO_IPV6, MCAST_LEAVE_SOURCE_GROUP)->data, wanted, sizeof wanted);
}
END_TEST

START_TEST(refusal_is_told_in_the_words_of_the_contract)
{
    static const struct {
        int sys_err;
        kirim_err joining;
        kirim_err leaving;
    } rows[] = {
        { WSAEADDRINUSE, KIRIM_EEXIST, KIRIM_EEXIST },
        { WSAEADDRNOTAVAIL, KIRIM_EADDRNOTAVAIL, KIRIM_ENOENT },
        { WSAENOBUFS, KIRIM_ENOBUFS, KIRIM_ENOBUFS },
        { WSAENOPROTOOPT, KIRIM_EOPNOTSUPP, KIRIM_EOPNOTSUPP },
    };
    const struct kirim_membership m = membership(group4, NULL);
    script_make_option(IPPROTO_IP, IP_ADD_MEMBERSHIP, 0);
    bench_listen_at(&one, "0.0.0.0:0", 0);
    script_answer(SCRIPT_SETSOCKOPT, rows[_i].sys_err);
    ck_assert_int_eq(kirim_endpoint_join(one.ep, &m), rows[_i].joining);
    ck_assert_int_eq(kirim_endpoint_join(one.ep, &m), KIRIM_OK);
    script_answer(SCRIPT_SETSOCKOPT, rows[_i].sys_err);
    ck_assert_int_eq(kirim_endpoint_leave(one.ep, &m), rows[_i].leaving);
}
END_TEST

/* ---- sending --------------------------------------------------------------------------------- */

static struct kirim_multicast_options how_to_send(void)
{
    struct kirim_multicast_options o = KIRIM_MULTICAST_OPTIONS_INIT;
    o.ifindex = IFINDEX;
    o.ttl = 7;
    o.flags = KIRIM_MULTICAST_NO_LOOP;
    return o;
}

static void make_options(void)
{
    script_make_option(IPPROTO_IP, IP_MULTICAST_IF, 0);
    script_make_option(IPPROTO_IP, IP_MULTICAST_TTL, 0);
    script_make_option(IPPROTO_IP, IP_MULTICAST_LOOP, 9);
    script_make_option(IPPROTO_IPV6, IPV6_MULTICAST_IF, 0);
    script_make_option(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 0);
    script_make_option(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 9);
}

/* Checks what the options of a family are: set, or as they were made. */
static void check_options(bool is_ipv6, bool is_set)
{
    const int level = is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    const uint32_t ifindex = is_ipv6 ? IFINDEX : htonl(IFINDEX);
    ck_assert_uint_eq(script_option(level, is_ipv6 ? IPV6_MULTICAST_IF : IP_MULTICAST_IF),
                      is_set ? ifindex : 0);
    ck_assert_uint_eq(script_option(level, is_ipv6 ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL),
                      is_set ? 7 : 0);
    ck_assert_uint_eq(script_option(level, is_ipv6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP),
                      is_set ? 0 : 9);
}

START_TEST(sending_is_set_for_the_families_of_the_port)
{
    static const struct {
        const char *local;
        uint32_t flags;
        bool has_ipv4;
        bool has_ipv6;
    } ports[] = {
        { "0.0.0.0:0", 0, true, false },
        { "[::]:0", 0, false, true },
        { "[::]:0", KIRIM_ENDPOINT_DUAL_STACK, true, true },
    };
    const struct kirim_multicast_options o = how_to_send();
    bench_listen_at(&one, ports[_i].local, ports[_i].flags);
    make_options();
    ck_assert_int_eq(kirim_endpoint_set_multicast(one.ep, &o), KIRIM_OK);
    check_options(false, ports[_i].has_ipv4);
    check_options(true, ports[_i].has_ipv6);
}
END_TEST

START_TEST(interface_that_is_not_there_leaves_all_as_it_was)
{
    const struct kirim_multicast_options o = how_to_send();
    bench_listen_at(&one, _i == 0 ? "0.0.0.0:0" : "[::]:0", 0);
    make_options();
    script_answer(SCRIPT_SETSOCKOPT, WSAEADDRNOTAVAIL);
    ck_assert_int_eq(kirim_endpoint_set_multicast(one.ep, &o), KIRIM_EADDRNOTAVAIL);
    check_options(false, false);
    check_options(true, false);
}
END_TEST

START_TEST(later_refusal_is_told)
{
    const struct kirim_multicast_options o = how_to_send();
    bench_listen_at(&one, "0.0.0.0:0", 0);
    make_options();
    script_answer(SCRIPT_SETSOCKOPT, 0);
    script_answer(SCRIPT_SETSOCKOPT, WSAENOPROTOOPT);
    ck_assert_int_eq(kirim_endpoint_set_multicast(one.ep, &o), KIRIM_EOPNOTSUPP);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/win_multicast");
    TCase *tcase = tcase_create("multicast");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, ipv4_group_is_joined_on_an_index_in_the_place_of_an_address);
    tcase_add_test(tcase, ipv4_source_is_joined_behind_its_group);
    tcase_add_test(tcase, ipv6_group_is_joined_on_an_index);
    tcase_add_test(tcase, ipv6_source_is_joined_by_names);
    tcase_add_loop_test(tcase, refusal_is_told_in_the_words_of_the_contract, 0, 4);
    tcase_add_loop_test(tcase, sending_is_set_for_the_families_of_the_port, 0, 3);
    tcase_add_loop_test(tcase, interface_that_is_not_there_leaves_all_as_it_was, 0, 2);
    tcase_add_test(tcase, later_refusal_is_told);
    suite_add_tcase(suite, tcase);
    return bench_run(suite);
}
