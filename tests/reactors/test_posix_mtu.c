/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/posix_mtu.c and what posix_control.c says of don't-fragment: which
 * datagrams a narrow network takes, and what the system is asked for it. Each case runs in a
 * network namespace of its own, where an interface takes 1,500 bytes and a route by it 1,300.
 */
#include "support/narrow_net.h"
#include "support/posix_rig.h"

#include "posix_mtu.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ways for a datagram to leave. */
enum { WAY_IPV4, WAY_IPV6, WAY_MAPPED, WAY_COUNT };

static struct rig rig;
static struct ki_port *port;
static struct ki_port *sink;   /* a port that is sent to, so that nobody says it is closed */
static struct kirim_addr near; /* its address: what leaves meets the interface's MTU */
static struct kirim_addr far;  /* behind the route */
static uint8_t bytes[2000];
static struct kirim_datagram batch[KI_BATCH_MAX];

static int family_of(int way)
{
    return way == WAY_IPV6 ? KIRIM_IPV6 : KIRIM_IPV4;
}

/* Opens a wildcard port in a narrow network. False: the host lacks IPv6. */
static bool open_way(int way, uint32_t flags)
{
    script_reset();
    ck_assert(narrow_net_enter());
    if (way != WAY_IPV4 && !rig_has_ipv6()) {
        return false;
    }
    rig_open(&rig, "epoll", NULL);
    rig.wants_trains = true;
    ck_assert_uint_ne(rig.caps & KIRIM_CAP_DONT_FRAGMENT, 0);
    struct kirim_endpoint_options o = rig_at(way == WAY_IPV4 ? "0.0.0.0:0" : "[::]:0");
    o.flags = flags | (way == WAY_MAPPED ? (uint32_t)KIRIM_ENDPOINT_DUAL_STACK : 0);
    port = rig_port_with(&rig, &o);
    sink = rig_port(&rig, family_of(way));
    near = sink->local;
    far = narrow_net_far(family_of(way));
    return true;
}

static void close_way(void)
{
    rig_port_close(&rig, port);
    rig_port_close(&rig, sink);
    rig_close(&rig);
}

static struct ki_posix *posix(void)
{
    return (struct ki_posix *)rig.reactor;
}

static struct ki_posix_port *posix_port(void)
{
    return (struct ki_posix_port *)port;
}

/* The payload that just fits an MTU by this way. */
static uint32_t fitting(int way, size_t mtu)
{
    return (uint32_t)narrow_net_payload(family_of(way), mtu);
}

/* Sends one datagram by the port as it is: KIRIM_OK, or the refusal. That nobody is behind the
 * route may be told in the place of the next datagram: that one is sent again, as the core does. */
static kirim_err try_send(const struct kirim_addr *to, uint32_t count,
                          const struct kirim_control *control)
{
    struct ki_entry e = rig_entry(bytes, count, to);
    struct ki_refusal why = { .err = KIRIM_OK };
    e.control = control;
    uint32_t taken = rig_submit(&rig, port, &e, 1, &why);
    for (int i = 0; i < 10 && taken == 0 && why.err == KIRIM_ENETUNREACH; i++) {
        taken = rig_submit(&rig, port, &e, 1, &why);
    }
    return taken == 1 ? KIRIM_OK : why.err;
}

static const struct kirim_control whole = {
    .size = sizeof(struct kirim_control),
    .flags = KIRIM_CONTROL_DONT_FRAGMENT,
};

/* ---- of one datagram ------------------------------------------------------------------------- */

START_TEST(datagrams_may_be_cut_unless_somebody_says_otherwise)
{
    if (!open_way(_i, 0)) {
        return;
    }
    ck_assert_int_eq(try_send(&near, fitting(_i, NARROW_MTU) + 1, NULL), KIRIM_OK);
    ck_assert_int_eq(try_send(&far, fitting(_i, NARROW_ROUTE_MTU) + 1, NULL), KIRIM_OK);
    close_way();
}
END_TEST

START_TEST(ipv6_datagram_is_kept_whole_by_its_control_data)
{
    if (!open_way(WAY_IPV6, 0)) {
        return;
    }
    const uint32_t limit = fitting(WAY_IPV6, NARROW_MTU);
    ck_assert_int_eq(try_send(&near, limit, &whole), KIRIM_OK);
    ck_assert_int_eq(try_send(&near, limit + 1, &whole), KIRIM_EMSGSIZE);
    ck_assert_int_eq(try_send(&near, limit + 1, NULL), KIRIM_OK); /* it held for that one only */
    const uint32_t far_limit = fitting(WAY_IPV6, NARROW_ROUTE_MTU);
    ck_assert_int_eq(try_send(&far, far_limit, &whole), KIRIM_OK);
    ck_assert_int_eq(try_send(&far, far_limit + 1, &whole), KIRIM_EMSGSIZE);
    ck_assert_uint_eq(posix_port()->mtu_state, KI_MTU_UNASKED);
    close_way();
}
END_TEST

START_TEST(ipv4_datagram_is_kept_whole_by_the_socket)
{
    const int way = _i == 0 ? WAY_IPV4 : WAY_MAPPED;
    if (!open_way(way, 0)) {
        return;
    }
    const uint32_t limit = fitting(way, NARROW_MTU);
    ck_assert_int_eq(try_send(&near, limit, &whole), KIRIM_OK);
    ck_assert_int_eq(try_send(&near, limit + 1, &whole), KIRIM_EMSGSIZE);
    ck_assert_int_eq(try_send(&near, limit + 1, NULL), KIRIM_OK); /* it held for that one only */
    const uint32_t far_limit = fitting(way, NARROW_ROUTE_MTU);
    ck_assert_int_eq(try_send(&far, far_limit, &whole), KIRIM_OK);
    ck_assert_int_eq(try_send(&far, far_limit + 1, &whole), KIRIM_EMSGSIZE);
    ck_assert_int_eq(try_send(&far, far_limit + 1, NULL), KIRIM_OK);
    close_way();
}
END_TEST

/* ---- runs of them ---------------------------------------------------------------------------- */

/* Submits one entry of one byte for each letter, 'w' kept whole and '.' not. Returns how many were
 * taken. */
static uint32_t submit_letters(const char *letters, struct ki_refusal *why)
{
    struct ki_entry e[16];
    uint32_t n = 0;
    for (; letters[n] != 0; n++) {
        e[n] = rig_entry(bytes, 1, &near);
        e[n].status |= KI_ALONE;
        e[n].control = letters[n] == 'w' ? &whole : NULL;
    }
    return rig_submit(&rig, port, e, n, why);
}

/* Without trains, and where every pair of neighbours may be one. */
START_TEST(ipv4_runs_that_differ_go_in_calls_of_their_own)
{
    static const struct {
        const char *letters;
        uint64_t calls, switches;
    } rows[] = {
        { "....", 1, 0 }, { "..ww.w", 4, 3 }, /* and stays so */
        { "www", 1, 0 },  { "w", 1, 0 },      { ".", 1, 1 },     { ".", 1, 0 },
        { "w", 1, 1 },    { "....", 1, 1 },   { "w....", 2, 2 },
    };
    struct ki_refusal why;
    ck_assert(open_way(WAY_IPV4, 0));
    port->tx_segments_max = _i == 0 ? 1 : port->tx_segments_max;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const uint64_t sets = script_count(SCRIPT_SETSOCKOPT);
        const uint64_t calls = port->tx_calls;
        const uint32_t n = (uint32_t)strlen(rows[i].letters);
        ck_assert_uint_eq(submit_letters(rows[i].letters, &why), n);
        ck_assert_uint_eq(port->tx_calls - calls, rows[i].calls);
        ck_assert_uint_eq(script_count(SCRIPT_SETSOCKOPT) - sets, rows[i].switches);
    }
    close_way();
}
END_TEST

START_TEST(ipv6_datagrams_that_differ_share_a_call)
{
    struct ki_refusal why;
    if (!open_way(WAY_IPV6, 0)) {
        return;
    }
    const uint64_t sets = script_count(SCRIPT_SETSOCKOPT);
    const uint64_t calls = port->tx_calls;
    ck_assert_uint_eq(submit_letters("w..ww.w", &why), 7);
    ck_assert_uint_eq(port->tx_calls - calls, 1);
    ck_assert_uint_eq(script_count(SCRIPT_SETSOCKOPT), sets);
    close_way();
}
END_TEST

START_TEST(run_whose_switch_is_refused_is_not_sent)
{
    struct ki_refusal why;
    ck_assert(open_way(WAY_IPV4, 0));
    script_answer(SCRIPT_SETSOCKOPT, ENOMEM);
    ck_assert_uint_eq(submit_letters("..ww.", &why), 2);
    ck_assert_int_eq(why.err, KIRIM_ENOMEM);
    ck_assert_int_eq(why.sys_err, ENOMEM);
    ck_assert_uint_eq(why.entries, 1);
    ck_assert_uint_eq(why.is_stale, 0);
    ck_assert_uint_eq(submit_letters("ww.", &why), 3);
    ck_assert_uint_eq(rig_receive(&rig, sink, batch, KI_BATCH_MAX), 5);
    close_way();
}
END_TEST

/* A train is cut into datagrams before anybody asks whether they fit. */
START_TEST(train_of_whole_datagrams_leaves)
{
    enum { COUNT = 5, BYTES = 1200 };
    struct ki_entry e[COUNT];
    struct ki_refusal why;
    if (!open_way(_i, 0) || port->tx_segments_max < COUNT) {
        return;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        e[i] = rig_entry(bytes, BYTES, &near);
        e[i].control = &whole;
    }
    ck_assert_uint_eq(rig_submit(&rig, port, e, COUNT, &why), COUNT);
    ck_assert_uint_eq(port->tx_trains, 1);
    close_way();
}
END_TEST

/* ---- switching ------------------------------------------------------------------------------- */

START_TEST(switching_costs_a_call_only_where_something_changes)
{
    ck_assert(open_way(WAY_IPV4, 0));
    const uint64_t sets = script_count(SCRIPT_SETSOCKOPT);
    const uint64_t gets = script_count(SCRIPT_GETSOCKOPT);
    ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), false), KIRIM_OK);
    ck_assert_uint_eq(script_count(SCRIPT_SETSOCKOPT), sets);
    for (uint64_t round = 1; round <= 3; round++) {
        ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), true), KIRIM_OK);
        ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), true), KIRIM_OK);
        ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), false), KIRIM_OK);
        ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), false), KIRIM_OK);
        ck_assert_uint_eq(script_count(SCRIPT_SETSOCKOPT), sets + 2 * round);
        ck_assert_uint_eq(script_count(SCRIPT_GETSOCKOPT), gets + 1); /* asked once for all */
    }
    close_way();
}
END_TEST

/* What the owner of an adopted socket has chosen comes back, whatever it was. */
START_TEST(switching_back_restores_what_was_there)
{
    ck_assert(open_way(WAY_IPV4, 0));
    const int fd = (int)port->descriptor;
    for (int mode = IP_PMTUDISC_DONT; mode <= IP_PMTUDISC_OMIT; mode++) {
        const bool is_whole = mode == IP_PMTUDISC_DO || mode == IP_PMTUDISC_PROBE;
        int now = -1;
        socklen_t now_bytes = sizeof now;
        posix_port()->mtu_state = KI_MTU_UNASKED;
        ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &mode, sizeof mode), 0);
        ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), true), KIRIM_OK);
        ck_assert_int_eq(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &now, &now_bytes), 0);
        ck_assert_int_eq(now, is_whole ? mode : IP_PMTUDISC_DO);
        ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), false), KIRIM_OK);
        ck_assert_int_eq(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &now, &now_bytes), 0);
        ck_assert_int_eq(now, mode);
    }
    close_way();
}
END_TEST

START_TEST(refused_switch_is_told_and_tried_again)
{
    ck_assert(open_way(WAY_IPV4, 0));
    script_answer(SCRIPT_GETSOCKOPT, ENOPROTOOPT);
    ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), true), KIRIM_EOPNOTSUPP);
    script_answer(SCRIPT_SETSOCKOPT, ENOMEM);
    ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), true), KIRIM_ENOMEM);
    ck_assert_uint_eq(posix_port()->mtu_state, KI_MTU_PLAIN);
    ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), true), KIRIM_OK);
    script_answer(SCRIPT_SETSOCKOPT, ENOMEM);
    ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), false), KIRIM_ENOMEM);
    ck_assert_uint_eq(posix_port()->mtu_state, KI_MTU_WHOLE);
    ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), false), KIRIM_OK);
    ck_assert_uint_eq(posix_port()->mtu_state, KI_MTU_PLAIN);
    close_way();
}
END_TEST

START_TEST(whole_ipv4_datagrams_are_told_apart)
{
    const struct kirim_addr ipv4 = rig_addr("192.0.2.1:9");
    const struct kirim_addr ipv6 = rig_addr("[2001:db8::1]:9");
    const struct kirim_addr none = { { 0, 0, 0 } };
    const struct kirim_control nothing = KIRIM_CONTROL_INIT;
    struct ki_entry e = rig_entry("x", 1, &ipv4);
    ck_assert(!ki_posix_mtu_is_whole(&e, &none));
    e.control = &nothing;
    ck_assert(!ki_posix_mtu_is_whole(&e, &none));
    e.control = &whole;
    ck_assert(ki_posix_mtu_is_whole(&e, &none));
    e.peer = ipv6;
    ck_assert(!ki_posix_mtu_is_whole(&e, &ipv4));
    e.peer = none;
    ck_assert(ki_posix_mtu_is_whole(&e, &ipv4));
    ck_assert(!ki_posix_mtu_is_whole(&e, &ipv6));
}
END_TEST

/* ---- of all datagrams ------------------------------------------------------------------------ */

START_TEST(whole_endpoint_is_limited_by_the_path_that_the_system_knows)
{
    if (!open_way(_i, KIRIM_ENDPOINT_DONT_FRAGMENT)) {
        return;
    }
    ck_assert_int_eq(try_send(&near, fitting(_i, NARROW_MTU), NULL), KIRIM_OK);
    ck_assert_int_eq(try_send(&near, fitting(_i, NARROW_MTU) + 1, NULL), KIRIM_EMSGSIZE);
    ck_assert_int_eq(try_send(&far, fitting(_i, NARROW_ROUTE_MTU), NULL), KIRIM_OK);
    ck_assert_int_eq(try_send(&far, fitting(_i, NARROW_ROUTE_MTU) + 1, NULL), KIRIM_EMSGSIZE);
    close_way();
}
END_TEST

START_TEST(probing_endpoint_is_limited_by_its_interface_alone)
{
    if (!open_way(_i, KIRIM_ENDPOINT_PROBE_MTU)) {
        return;
    }
    ck_assert_int_eq(try_send(&far, fitting(_i, NARROW_ROUTE_MTU) + 1, NULL), KIRIM_OK);
    ck_assert_int_eq(try_send(&far, fitting(_i, NARROW_MTU), NULL), KIRIM_OK);
    ck_assert_int_eq(try_send(&far, fitting(_i, NARROW_MTU) + 1, NULL), KIRIM_EMSGSIZE);
    ck_assert_int_eq(try_send(&near, fitting(_i, NARROW_MTU) + 1, NULL), KIRIM_EMSGSIZE);
    close_way();
}
END_TEST

/* A dual-stack socket has an option for each family, and both are set. */
START_TEST(dual_stack_endpoint_is_whole_in_both_families)
{
    if (!open_way(WAY_MAPPED, _i == 0 ? KIRIM_ENDPOINT_DONT_FRAGMENT : KIRIM_ENDPOINT_PROBE_MTU)) {
        return;
    }
    struct ki_port *sink_ipv6 = rig_port(&rig, KIRIM_IPV6);
    const struct kirim_addr ipv6 = sink_ipv6->local;
    ck_assert_int_eq(try_send(&near, fitting(WAY_IPV4, NARROW_MTU) + 1, NULL), KIRIM_EMSGSIZE);
    ck_assert_int_eq(try_send(&near, fitting(WAY_IPV4, NARROW_MTU), NULL), KIRIM_OK);
    ck_assert_int_eq(try_send(&ipv6, fitting(WAY_IPV6, NARROW_MTU) + 1, NULL), KIRIM_EMSGSIZE);
    ck_assert_int_eq(try_send(&ipv6, fitting(WAY_IPV6, NARROW_MTU), NULL), KIRIM_OK);
    rig_port_close(&rig, sink_ipv6);
    close_way();
}
END_TEST

START_TEST(endpoint_that_is_whole_is_never_switched)
{
    ck_assert(open_way(WAY_IPV4, KIRIM_ENDPOINT_PROBE_MTU));
    const uint64_t sets = script_count(SCRIPT_SETSOCKOPT);
    ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), true), KIRIM_OK);
    ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), false), KIRIM_OK);
    ck_assert_int_eq(ki_posix_mtu_set(posix(), posix_port(), true), KIRIM_OK);
    ck_assert_uint_eq(script_count(SCRIPT_SETSOCKOPT), sets);
    ck_assert_uint_eq(posix_port()->mtu_state, KI_MTU_ALWAYS);
    close_way();
}
END_TEST

START_TEST(open_fails_where_the_mode_is_refused)
{
    struct ki_port *refused = NULL;
    ck_assert(open_way(WAY_IPV4, 0));
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    o.flags = KIRIM_ENDPOINT_DONT_FRAGMENT;
    script_break(SCRIPT_SETSOCKOPT, ENOPROTOOPT);
    ck_assert_int_eq(rig_try_port(&rig, &o, &refused), KIRIM_EOPNOTSUPP);
    script_break(SCRIPT_SETSOCKOPT, 0);
    close_way();
}
END_TEST

START_TEST(system_without_the_options_is_not_said_to_have_them)
{
    const enum script_call call = _i == 0 ? SCRIPT_GETSOCKOPT : SCRIPT_SOCKET;
    uint32_t caps = 0;
    ck_assert(open_way(WAY_IPV4, 0));
    const int open_count = script_open_descriptors();
    script_break(call, EPERM);
    ki_posix_mtu_probe(posix(), &caps);
    ck_assert_uint_eq(caps, 0);
    script_break(call, 0);
    ki_posix_mtu_probe(posix(), &caps);
    ck_assert_uint_eq(caps, KIRIM_CAP_DONT_FRAGMENT | KIRIM_CAP_PATH_MTU);
    ck_assert_int_eq(script_open_descriptors(), open_count);
    close_way();
}
END_TEST

/* ---- asking ---------------------------------------------------------------------------------- */

static uint32_t path_mtu(const struct kirim_addr *peer)
{
    uint32_t mtu = 0;
    ck_assert_int_eq(rig.ops->path_mtu(rig.reactor, port, peer, &mtu), KIRIM_OK);
    return mtu;
}

START_TEST(path_mtu_is_that_of_the_route)
{
    if (!open_way(_i, 0)) {
        return;
    }
    const uint64_t sent = script_count(SCRIPT_SENDMSG) + script_count(SCRIPT_SENDMMSG);
    ck_assert_uint_eq(path_mtu(&near), NARROW_MTU);
    ck_assert_uint_eq(path_mtu(&far), NARROW_ROUTE_MTU);
    struct kirim_addr portless = far;
    kirim_addr_set_port(&portless, 0);
    ck_assert_uint_eq(path_mtu(&portless), NARROW_ROUTE_MTU);
    ck_assert(narrow_net_change_route(1280));
    ck_assert_uint_eq(path_mtu(&far), 1280);
    ck_assert_uint_eq(script_count(SCRIPT_SENDMSG) + script_count(SCRIPT_SENDMMSG), sent);
    close_way();
}
END_TEST

START_TEST(connected_port_asks_its_own_socket)
{
    if (!open_way(_i, 0)) {
        return;
    }
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    uint32_t mtu = 0;
    o.peer = far;
    struct ki_port *connected = rig_port_with(&rig, &o);
    const uint64_t sockets = script_count(SCRIPT_SOCKET);
    ck_assert_int_eq(rig.ops->path_mtu(rig.reactor, connected, &far, &mtu), KIRIM_OK);
    ck_assert_uint_eq(mtu, NARROW_ROUTE_MTU);
    ck_assert_uint_eq(script_count(SCRIPT_SOCKET), sockets);
    ck_assert_int_eq(rig.ops->path_mtu(rig.reactor, connected, &near, &mtu), KIRIM_OK);
    ck_assert_uint_eq(mtu, NARROW_MTU);
    ck_assert_uint_eq(script_count(SCRIPT_SOCKET), sockets + 1);
    rig_port_close(&rig, connected);
    close_way();
}
END_TEST

/* Its last send found no route, and there is one again. */
START_TEST(connected_socket_that_has_lost_its_route_is_no_reason_not_to_know)
{
    if (!open_way(_i, 0)) {
        return;
    }
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    uint32_t mtu = 0;
    o.peer = far;
    struct ki_port *connected = rig_port_with(&rig, &o);
    const int open_count = script_open_descriptors();
    script_answer(SCRIPT_GETSOCKOPT, ENOTCONN);
    ck_assert_int_eq(rig.ops->path_mtu(rig.reactor, connected, &far, &mtu), KIRIM_OK);
    ck_assert_uint_eq(mtu, NARROW_ROUTE_MTU);
    ck_assert_int_eq(script_open_descriptors(), open_count);
    rig_port_close(&rig, connected);
    close_way();
}
END_TEST

START_TEST(path_mtu_that_cannot_be_asked_is_an_error_and_leaves_nothing_open)
{
    static const struct {
        enum script_call call;
        int sys_err;
        kirim_err err;
    } rows[] = {
        { SCRIPT_SOCKET, EMFILE, KIRIM_EMFILE },
        { SCRIPT_CONNECT, ENETUNREACH, KIRIM_ENETUNREACH },
        { SCRIPT_GETSOCKOPT, ENOPROTOOPT, KIRIM_EOPNOTSUPP },
    };
    ck_assert(open_way(WAY_IPV4, 0));
    const int open_count = script_open_descriptors();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t mtu = 77;
        script_answer(rows[i].call, rows[i].sys_err);
        ck_assert_int_eq(rig.ops->path_mtu(rig.reactor, port, &far, &mtu), rows[i].err);
        ck_assert_uint_eq(mtu, 77);
        ck_assert_int_eq(script_open_descriptors(), open_count);
    }
    script_answer(SCRIPT_CONNECT, EINTR);
    ck_assert_uint_eq(path_mtu(&far), NARROW_ROUTE_MTU);
    const struct kirim_addr nowhere = rig_addr("203.0.113.1:9");
    uint32_t mtu = 77;
    ck_assert_int_eq(rig.ops->path_mtu(rig.reactor, port, &nowhere, &mtu), KIRIM_ENETUNREACH);
    close_way();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/posix_mtu");
    TCase *tcase = tcase_create("mtu");
    SRunner *runner = srunner_create(suite);
    if (srunner_fork_status(runner) == CK_NOFORK || !narrow_net_is_permitted()) {
        puts("skipped: a network namespace is not permitted");
        srunner_free(runner);
        return 77;
    }
    tcase_add_loop_test(tcase, datagrams_may_be_cut_unless_somebody_says_otherwise, 0, WAY_COUNT);
    tcase_add_test(tcase, ipv6_datagram_is_kept_whole_by_its_control_data);
    tcase_add_loop_test(tcase, ipv4_datagram_is_kept_whole_by_the_socket, 0, 2);
    tcase_add_loop_test(tcase, ipv4_runs_that_differ_go_in_calls_of_their_own, 0, 2);
    tcase_add_test(tcase, ipv6_datagrams_that_differ_share_a_call);
    tcase_add_test(tcase, run_whose_switch_is_refused_is_not_sent);
    tcase_add_loop_test(tcase, train_of_whole_datagrams_leaves, 0, WAY_COUNT);
    tcase_add_test(tcase, switching_costs_a_call_only_where_something_changes);
    tcase_add_test(tcase, switching_back_restores_what_was_there);
    tcase_add_test(tcase, refused_switch_is_told_and_tried_again);
    tcase_add_test(tcase, whole_ipv4_datagrams_are_told_apart);
    tcase_add_loop_test(tcase, whole_endpoint_is_limited_by_the_path_that_the_system_knows, 0,
                        WAY_COUNT);
    tcase_add_loop_test(tcase, probing_endpoint_is_limited_by_its_interface_alone, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, dual_stack_endpoint_is_whole_in_both_families, 0, 2);
    tcase_add_test(tcase, endpoint_that_is_whole_is_never_switched);
    tcase_add_test(tcase, open_fails_where_the_mode_is_refused);
    tcase_add_loop_test(tcase, system_without_the_options_is_not_said_to_have_them, 0, 2);
    tcase_add_loop_test(tcase, path_mtu_is_that_of_the_route, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, connected_port_asks_its_own_socket, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, connected_socket_that_has_lost_its_route_is_no_reason_not_to_know, 0,
                        WAY_COUNT);
    tcase_add_test(tcase, path_mtu_that_cannot_be_asked_is_an_error_and_leaves_nothing_open);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
