/* SPDX-License-Identifier: MIT
 *
 * Claims about multicast of the POSIX reactors: which options are set on which sockets, and what is
 * made of the system's answers. What they do is tests/conformance's.
 */
#include "posix_addr.h"
#include "posix_multicast.h"
#include "support/posix_rig.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

enum { LOOPBACK_IFINDEX = 1, UNKNOWN_IFINDEX = 9999, PLACE_COUNT = 3 };

/* A port of IPv4, of IPv6, and of both. */
static const struct place {
    const char *local, *group, *source;
    uint32_t flags;
    bool has_ipv4, has_ipv6;
} places[PLACE_COUNT] = {
    { "0.0.0.0:0", "239.1.2.3", "192.0.2.1", 0, true, false },
    { "[::]:0", "ff15::123", "2001:db8::1", 0, false, true },
    { "[::]:0", "239.1.2.3", "192.0.2.1", KIRIM_ENDPOINT_DUAL_STACK, true, true },
};

static struct rig rig;
static struct ki_port *port;
static struct ki_membership m, specific;

static void setup(void)
{
    rig_open(&rig, "select", NULL);
}

static void teardown(void)
{
    rig_close(&rig);
}

/* Opens the port of a place; false: this host has no IPv6. */
static bool open_place(const struct place *at)
{
    struct kirim_endpoint_options o = rig_at(at->local);
    if (at->has_ipv6 && !rig_has_ipv6()) {
        return false;
    }
    o.flags = at->flags;
    port = rig_port_with(&rig, &o);
    m = (struct ki_membership){ .group = rig_addr(at->group), .ifindex = LOOPBACK_IFINDEX };
    specific = m;
    specific.source = rig_addr(at->source);
    return true;
}

static int option(int level, int name)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    ck_assert_int_eq(getsockopt((int)port->descriptor, level, name, &value, &bytes), 0);
    return value;
}

static kirim_err set(const struct ki_membership *membership, bool is_joining)
{
    return rig.ops->set_membership(rig.reactor, port, membership, is_joining);
}

static kirim_err set_sending(uint32_t ifindex, uint32_t ttl, uint32_t flags)
{
    struct kirim_multicast_options o = KIRIM_MULTICAST_OPTIONS_INIT;
    o.ifindex = ifindex;
    o.ttl = ttl;
    o.flags = flags;
    return rig.ops->set_multicast(rig.reactor, port, &o);
}

START_TEST(reactor_says_that_it_can)
{
    ck_assert_uint_ne(rig.caps & KIRIM_CAP_MULTICAST, 0);
}
END_TEST

/* ---- whose groups ---------------------------------------------------------------------------- */

START_TEST(own_socket_hears_its_own_groups_only)
{
    const struct place *at = &places[_i];
    if (!open_place(at)) {
        return;
    }
    ck_assert_int_eq(option(IPPROTO_IP, IP_MULTICAST_ALL), 0);
    if (at->has_ipv6) {
        ck_assert_int_eq(option(IPPROTO_IPV6, IPV6_MULTICAST_ALL), 0);
    }
    rig_port_close(&rig, port);
}
END_TEST

START_TEST(adopted_socket_keeps_what_its_owner_set)
{
    union ki_posix_name name;
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    const struct kirim_addr any = rig_addr("0.0.0.0:0");
    const socklen_t bytes = ki_name_write(&name, &any, false);
    const int is_all = _i;
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_eq(bind(fd, &name.any, bytes), 0);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &is_all, sizeof is_all), 0);
    o.adopt = fd;
    o.flags = KIRIM_ENDPOINT_ADOPT;
    port = rig_port_with(&rig, &o);
    ck_assert_int_eq(option(IPPROTO_IP, IP_MULTICAST_ALL), is_all);
    script_note_descriptor();
    rig_port_close(&rig, port);
}
END_TEST

START_TEST(system_without_the_option_is_as_it_always_was)
{
    script_break(SCRIPT_SETSOCKOPT, ENOPROTOOPT);
    struct ki_port *p = NULL;
    const struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    ck_assert_int_eq(rig_try_port(&rig, &o, &p), KIRIM_OK);
    script_break(SCRIPT_SETSOCKOPT, 0);
    rig_port_close(&rig, p);
}
END_TEST

/* ---- memberships ----------------------------------------------------------------------------- */

START_TEST(groups_are_joined_and_left_on_the_interface)
{
    if (!open_place(&places[_i])) {
        return;
    }
    ck_assert_int_eq(set(&m, true), KIRIM_OK);
    ck_assert_int_eq(set(&m, true), KIRIM_EEXIST);
    ck_assert_int_eq(set(&m, false), KIRIM_OK);
    ck_assert_int_eq(set(&m, false), KIRIM_ENOENT);
    ck_assert_int_eq(set(&specific, true), KIRIM_OK);
    ck_assert_int_eq(set(&specific, true), KIRIM_EEXIST);
    ck_assert_int_eq(set(&specific, false), KIRIM_OK);
    m.ifindex = UNKNOWN_IFINDEX;
    ck_assert_int_eq(set(&m, true), KIRIM_EADDRNOTAVAIL);
    specific.ifindex = UNKNOWN_IFINDEX;
    ck_assert_int_eq(set(&specific, true), KIRIM_EADDRNOTAVAIL);
    rig_port_close(&rig, port);
}
END_TEST

static const struct answer {
    int sys_err;
    kirim_err joining, leaving;
} answers[] = {
    { ENODEV, KIRIM_EADDRNOTAVAIL, KIRIM_EADDRNOTAVAIL },
    { ENXIO, KIRIM_EADDRNOTAVAIL, KIRIM_EADDRNOTAVAIL },
    { EADDRINUSE, KIRIM_EEXIST, KIRIM_EEXIST },
    { EADDRNOTAVAIL, KIRIM_EEXIST, KIRIM_ENOENT },
    { ENOBUFS, KIRIM_ENOBUFS, KIRIM_ENOBUFS },
    { ENOMEM, KIRIM_ENOMEM, KIRIM_ENOMEM },
    { EINVAL, KIRIM_EINVAL, KIRIM_EINVAL },
    { ENOPROTOOPT, KIRIM_EOPNOTSUPP, KIRIM_EOPNOTSUPP },
};

START_TEST(answers_of_the_system_are_told_in_words_of_the_contract)
{
    const struct answer *a = &answers[_i];
    ck_assert(open_place(&places[0]));
    script_answer(SCRIPT_SETSOCKOPT, a->sys_err);
    ck_assert_int_eq(set(&m, true), a->joining);
    script_answer(SCRIPT_SETSOCKOPT, a->sys_err);
    ck_assert_int_eq(set(&m, false), a->leaving);
    script_answer(SCRIPT_SETSOCKOPT, a->sys_err);
    ck_assert_int_eq(set(&specific, true), a->joining);
    rig_port_close(&rig, port);
}
END_TEST

/* Linux counts: 20 groups, and the next one is too many. */
START_TEST(bound_of_the_system_is_told)
{
    struct kirim_addr group = rig_addr("239.9.0.0");
    kirim_err err = KIRIM_OK;
    ck_assert(open_place(&places[0]));
    for (int i = 0; i < 2000 && err == KIRIM_OK; i++) {
        uint8_t bytes[16];
        (void)kirim_addr_bytes(&group, bytes);
        bytes[2] = (uint8_t)(i >> 8);
        bytes[3] = (uint8_t)i;
        group = kirim_addr_ipv4(bytes, 0);
        m.group = group;
        err = set(&m, true);
    }
    ck_assert(err == KIRIM_ENOBUFS || err == KIRIM_OK); /* the bound can be set higher */
    rig_port_close(&rig, port);
}
END_TEST

/* ---- sending --------------------------------------------------------------------------------- */

START_TEST(sending_is_set_for_every_family_of_the_port)
{
    const struct place *at = &places[_i];
    if (!open_place(at)) {
        return;
    }
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t ttl = i == 0 ? 255 : 0;
        const uint32_t ifindex = i == 0 ? (uint32_t)LOOPBACK_IFINDEX : 0;
        ck_assert_int_eq(set_sending(ifindex, ttl, i == 0 ? KIRIM_MULTICAST_NO_LOOP : 0), KIRIM_OK);
        if (at->has_ipv4) {
            ck_assert_int_eq(option(IPPROTO_IP, IP_MULTICAST_TTL), (int)ttl);
            ck_assert_int_eq(option(IPPROTO_IP, IP_MULTICAST_LOOP), (int)i);
        }
        if (at->has_ipv6) {
            ck_assert_int_eq(option(IPPROTO_IPV6, IPV6_MULTICAST_HOPS), (int)ttl);
            ck_assert_int_eq(option(IPPROTO_IPV6, IPV6_MULTICAST_LOOP), (int)i);
            ck_assert_int_eq(option(IPPROTO_IPV6, IPV6_MULTICAST_IF), (int)ifindex);
        }
    }
    rig_port_close(&rig, port);
}
END_TEST

START_TEST(unknown_interface_sets_nothing)
{
    const struct place *at = &places[_i];
    if (!open_place(at)) {
        return;
    }
    ck_assert_int_eq(set_sending(UNKNOWN_IFINDEX, 9, KIRIM_MULTICAST_NO_LOOP), KIRIM_EADDRNOTAVAIL);
    if (at->has_ipv4) {
        ck_assert_int_eq(option(IPPROTO_IP, IP_MULTICAST_TTL), 1);
        ck_assert_int_eq(option(IPPROTO_IP, IP_MULTICAST_LOOP), 1);
    }
    if (at->has_ipv6) {
        ck_assert_int_eq(option(IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 1);
        ck_assert_int_eq(option(IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 1);
    }
    rig_port_close(&rig, port);
}
END_TEST

/* Every one of the options can fail, and says so. */
START_TEST(failing_option_is_told)
{
    const struct place *at = &places[_i];
    if (!open_place(at)) {
        return;
    }
    const int count = at->has_ipv6 ? 6 : 3;
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < i; k++) {
            script_answer(SCRIPT_SETSOCKOPT, 0);
        }
        script_answer(SCRIPT_SETSOCKOPT, ENOMEM);
        ck_assert_int_eq(set_sending(0, 1, 0), KIRIM_ENOMEM);
    }
    ck_assert_int_eq(set_sending(0, 1, 0), KIRIM_OK);
    rig_port_close(&rig, port);
}
END_TEST

/* It knows one family alone: the options of the other are not asked for. */
START_TEST(raw_socket_of_ipv6_is_set_too)
{
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    const int fd = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
    if (fd < 0) {
        return; /* not permitted here */
    }
    o.adopt = fd;
    o.flags = KIRIM_ENDPOINT_ADOPT;
    port = rig_port_with(&rig, &o);
    ck_assert_int_eq(set_sending(0, 7, 0), KIRIM_OK);
    ck_assert_int_eq(option(IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 7);
    m = (struct ki_membership){ .group = rig_addr("ff02::123"), .ifindex = LOOPBACK_IFINDEX };
    ck_assert_int_eq(set(&m, true), KIRIM_OK);
    script_note_descriptor();
    rig_port_close(&rig, port);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/posix_multicast");
    TCase *tcase = tcase_create("multicast");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, reactor_says_that_it_can);
    tcase_add_loop_test(tcase, own_socket_hears_its_own_groups_only, 0, PLACE_COUNT);
    tcase_add_loop_test(tcase, adopted_socket_keeps_what_its_owner_set, 0, 2);
    tcase_add_test(tcase, system_without_the_option_is_as_it_always_was);
    tcase_add_loop_test(tcase, groups_are_joined_and_left_on_the_interface, 0, PLACE_COUNT);
    tcase_add_loop_test(tcase, answers_of_the_system_are_told_in_words_of_the_contract, 0,
                        COUNT_OF(answers));
    tcase_add_test(tcase, bound_of_the_system_is_told);
    tcase_add_loop_test(tcase, sending_is_set_for_every_family_of_the_port, 0, PLACE_COUNT);
    tcase_add_loop_test(tcase, unknown_interface_sets_nothing, 0, PLACE_COUNT);
    tcase_add_loop_test(tcase, failing_option_is_told, 0, PLACE_COUNT);
    tcase_add_test(tcase, raw_socket_of_ipv6_is_set_too);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
