/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/posix_control.c: what a message says arrives, over loopback, in both
 * families and for IPv4 on a dual-stack socket. The receiving side is the judge: Linux accepts
 * control data of the wrong level and ignores it (L29).
 */
#include "support/narrow_net.h"
#include "support/posix_rig.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ways for a datagram to travel. */
enum { WAY_IPV4, WAY_IPV6, WAY_MAPPED, WAY_COUNT };

static struct rig rig;
static struct ki_port *from;
static struct ki_port *to;
static struct kirim_addr at; /* where `to` is, seen from `from` */
static struct kirim_datagram batch[KI_BATCH_MAX];

static uint64_t now_ns(void)
{
    return rig.ops->now(rig.reactor);
}

static struct ki_port *port_at(const char *text, uint32_t flags)
{
    struct kirim_endpoint_options o = rig_at(text);
    o.flags = flags;
    return rig_port_with(&rig, &o);
}

/* Opens a pair of wildcard ports. False: the host lacks IPv6. */
static bool open_way(int way, uint32_t to_flags)
{
    script_reset();
    if (way != WAY_IPV4 && !rig_has_ipv6()) {
        return false;
    }
    rig_open(&rig, "epoll", NULL);
    const char *wildcard = way == WAY_IPV4 ? "0.0.0.0:0" : "[::]:0";
    const uint32_t dual = way == WAY_MAPPED ? (uint32_t)KIRIM_ENDPOINT_DUAL_STACK : 0;
    from = port_at(wildcard, dual);
    to = port_at(wildcard, dual | to_flags);
    at = rig_addr(way == WAY_IPV6 ? "[::1]:0" : "127.0.0.1:0");
    kirim_addr_set_port(&at, kirim_addr_port(&to->local));
    return true;
}

static void close_way(void)
{
    rig_port_close(&rig, from);
    rig_port_close(&rig, to);
    rig_close(&rig);
}

/* Sends one datagram with control data from `from` to `at`, and receives it. */
static const struct kirim_datagram *pass(const struct kirim_control *control)
{
    struct ki_entry e = rig_entry("x", 1, &at);
    struct ki_refusal why;
    e.control = control;
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 1);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
    return &batch[0];
}

START_TEST(reactor_says_that_it_can)
{
    const uint32_t wanted = KIRIM_CAP_SOURCE | KIRIM_CAP_ECN | KIRIM_CAP_TTL;
    ck_assert(open_way(WAY_IPV4, 0));
    ck_assert_uint_eq(rig.caps & wanted, wanted);
    close_way();
}
END_TEST

START_TEST(ecn_and_dscp_arrive) /* L27, L29, L30: by the level and width that the way wants */
{
    static const uint8_t dscps[] = { 0, 1, 46, 63 };
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    for (uint8_t ecn = 0; ecn < 4; ecn++) {
        for (size_t i = 0; i < sizeof dscps; i++) {
            struct kirim_control control = KIRIM_CONTROL_INIT;
            control.ecn = ecn;
            control.dscp = dscps[i];
            const struct kirim_datagram *d = pass(&control);
            ck_assert_uint_eq(d->ecn, ecn);
            ck_assert_uint_eq(d->arrival->dscp, dscps[i]);
        }
    }
    close_way();
}
END_TEST

START_TEST(ttl_arrives)
{
    static const uint8_t ttls[] = { 1, 2, 64, 255 };
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    for (size_t i = 0; i < sizeof ttls; i++) {
        struct kirim_control control = KIRIM_CONTROL_INIT;
        control.ttl = ttls[i];
        const struct kirim_datagram *d = pass(&control);
        ck_assert_ptr_nonnull(d->arrival);
        ck_assert_uint_eq(d->arrival->ttl, ttls[i]);
        ck_assert_uint_eq(d->ecn, 0);
    }
    close_way();
}
END_TEST

START_TEST(wildcard_port_is_told_the_local_address) /* L33, L38 */
{
    if (!open_way(_i, 0)) {
        return;
    }
    const struct kirim_datagram *d = pass(NULL);
    ck_assert_ptr_nonnull(d->arrival);
    ck_assert(kirim_addr_equal(&d->arrival->local, &at));
    ck_assert_uint_ne(d->arrival->ifindex, 0);
    ck_assert_int_eq(kirim_addr_family(&d->peer), kirim_addr_family(&at)); /* unmapped: L41 */
    ck_assert_uint_eq(d->arrival->ttl, 0);                                 /* nobody asked */
    ck_assert_uint_eq(d->arrival->time_ns, 0);
    ck_assert_uint_eq(d->flags, 0);
    close_way();
}
END_TEST

START_TEST(source_is_the_one_that_was_named) /* S7, S8, S9, L34 */
{
    if (!open_way(_i, 0)) {
        return;
    }
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = rig_addr(_i == WAY_IPV6 ? "[::1]:0" : "127.0.0.5:0");
    const struct kirim_datagram *d = pass(&control);
    struct kirim_addr wanted = control.source;
    kirim_addr_set_port(&wanted, kirim_addr_port(&from->local));
    ck_assert(kirim_addr_equal(&d->peer, &wanted));
    close_way();
}
END_TEST

START_TEST(source_goes_with_an_interface) /* L34: the interface does not choose another one */
{
    if (!open_way(_i, 0)) {
        return;
    }
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.ifindex = pass(NULL)->arrival->ifindex;
    control.source = rig_addr(_i == WAY_IPV6 ? "[::1]:0" : "127.0.0.5:0");
    const struct kirim_datagram *d = pass(&control);
    struct kirim_addr wanted = control.source;
    kirim_addr_set_port(&wanted, kirim_addr_port(&from->local));
    ck_assert(kirim_addr_equal(&d->peer, &wanted));
    ck_assert_uint_eq(d->arrival->ifindex, control.ifindex);
    close_way();
}
END_TEST

START_TEST(source_of_another_host_is_refused)
{
    if (!open_way(_i, 0)) {
        return;
    }
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct ki_entry e = rig_entry("x", 1, &at);
    struct ki_refusal why;
    control.source = rig_addr(_i == WAY_IPV6 ? "[2001:db8::1]:0" : "192.0.2.1:0");
    e.control = &control;
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 0);
    ck_assert_int_lt(why.err, 0);
    ck_assert_int_ne(why.err, KIRIM_EWOULDBLOCK);
    close_way();
}
END_TEST

START_TEST(all_fields_arrive_together) /* L38 */
{
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = rig_addr(_i == WAY_IPV6 ? "[::1]:0" : "127.0.0.9:0");
    control.ecn = 3;
    control.dscp = 10;
    control.ttl = 77;
    control.flags = KIRIM_CONTROL_DONT_FRAGMENT;
    const uint64_t before_ns = now_ns();
    const struct kirim_datagram *d = pass(&control);
    struct kirim_addr wanted = control.source;
    kirim_addr_set_port(&wanted, kirim_addr_port(&from->local));
    ck_assert(kirim_addr_equal(&d->peer, &wanted));
    ck_assert(kirim_addr_equal(&d->arrival->local, &at));
    ck_assert_uint_eq(d->arrival->ttl, 77);
    ck_assert_uint_eq(d->arrival->dscp, 10);
    ck_assert_uint_ge(d->arrival->time_ns, before_ns);
    ck_assert_uint_eq(d->ecn, 3);
    ck_assert_uint_eq(d->flags, 0); /* all of it fits */
    close_way();
}
END_TEST

START_TEST(control_data_holds_for_its_own_entry_only)
{
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    struct kirim_control marked = KIRIM_CONTROL_INIT;
    const struct kirim_control nothing = KIRIM_CONTROL_INIT;
    struct ki_entry e[4];
    struct ki_refusal why;
    marked.ecn = 2;
    for (int i = 0; i < 4; i++) {
        e[i] = rig_entry("x", 1, &at);
    }
    e[1].control = &marked;
    e[2].control = &nothing;
    ck_assert_uint_eq(rig_submit(&rig, from, e, 4, &why), 4);
    e[1].control = NULL;
    ck_assert_uint_eq(rig_submit(&rig, from, e, 4, &why), 4);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 8);
    for (int i = 0; i < 8; i++) {
        ck_assert_uint_eq(batch[i].ecn, i == 1 ? 2 : 0);
    }
    close_way();
}
END_TEST

/* Whether they travel as one train or not, each of its datagrams tells what was said of all. */
START_TEST(control_data_of_a_train_is_that_of_its_datagrams)
{
    enum { COUNT = 5, BYTES = 100 };
    static const uint8_t bytes[BYTES];
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct ki_entry e[COUNT];
    struct ki_refusal why;
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    rig_port_close(&rig, from);
    rig.wants_trains = true;
    from = port_at(_i == WAY_IPV4 ? "0.0.0.0:0" : "[::]:0",
                   _i == WAY_MAPPED ? (uint32_t)KIRIM_ENDPOINT_DUAL_STACK : 0);
    control.ecn = 2;
    control.dscp = 10;
    control.ttl = 33;
    for (int i = 0; i < COUNT; i++) {
        e[i] = rig_entry(bytes, BYTES, &at);
        e[i].control = &control;
    }
    ck_assert_uint_eq(rig_submit(&rig, from, e, COUNT, &why), COUNT);
    ck_assert_uint_eq(from->tx_trains, (rig.caps & KIRIM_CAP_TRAINS) != 0 ? 1 : 0);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), COUNT);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(batch[i].ecn, 2);
        ck_assert_uint_eq(batch[i].arrival->dscp, 10);
        ck_assert_uint_eq(batch[i].arrival->ttl, 33);
        ck_assert_uint_ne(batch[i].arrival->time_ns, 0);
        ck_assert(kirim_addr_equal(&batch[i].arrival->local, &at));
    }
    close_way();
}
END_TEST

START_TEST(connected_port_sends_control_data_of_its_peers_family)
{
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct ki_entry e = rig_entry("x", 1, NULL);
    struct ki_refusal why;
    o.peer = at;
    struct ki_port *p = rig_port_with(&rig, &o);
    control.ecn = 1;
    e.control = &control;
    ck_assert_uint_eq(rig_submit(&rig, p, &e, 1, &why), 1);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(batch[0].ecn, 1);
    rig_port_close(&rig, p);
    close_way();
}
END_TEST

START_TEST(bound_port_pays_nothing)
{
    ck_assert(open_way(WAY_IPV4, 0));
    struct ki_port *bound = rig_port(&rig, KIRIM_IPV4);
    const struct ki_posix_port *p = (const struct ki_posix_port *)bound;
    ck_assert_uint_eq(p->has_control, 0);
    rig_send(&rig, from, "x", 1, &bound->local);
    ck_assert_uint_eq(rig_receive(&rig, bound, batch, KI_BATCH_MAX), 1);
    ck_assert_ptr_null(batch[0].arrival);
    rig_port_close(&rig, bound);
    close_way();
}
END_TEST

START_TEST(bound_port_that_asks_is_told)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    ck_assert(open_way(WAY_IPV4, 0));
    rig_port_close(&rig, to);
    to = port_at("127.0.0.1:0", KIRIM_ENDPOINT_RECEIVE_CONTROL);
    at = to->local;
    control.ecn = 1;
    const struct kirim_datagram *d = pass(&control);
    ck_assert_uint_eq(d->ecn, 1);
    ck_assert(kirim_addr_equal(&d->arrival->local, &at)); /* it can be no other */
    ck_assert_uint_eq(d->flags, 0);
    close_way();
}
END_TEST

START_TEST(local_address_that_was_not_told_is_flagged) /* L32: options that a system lacks */
{
    script_reset();
    rig_open(&rig, "epoll", NULL);
    script_break(SCRIPT_SETSOCKOPT, ENOPROTOOPT);
    from = port_at("0.0.0.0:0", 0);
    to = port_at("0.0.0.0:0", 0);
    script_break(SCRIPT_SETSOCKOPT, 0);
    at = rig_addr("127.0.0.1:0");
    kirim_addr_set_port(&at, kirim_addr_port(&to->local));
    const struct kirim_datagram *d = pass(NULL);
    ck_assert_uint_eq(d->flags, KIRIM_RX_NO_LOCAL);
    ck_assert_int_eq(kirim_addr_family(&d->arrival->local), KIRIM_FAMILY_NONE);
    close_way();
}
END_TEST

START_TEST(local_address_of_a_broadcast_is_one_to_answer_from)
{
    ck_assert(open_way(WAY_IPV4, 0));
    rig_port_close(&rig, from);
    from = port_at("0.0.0.0:0", KIRIM_ENDPOINT_BROADCAST);
    at = rig_addr("127.255.255.255:0");
    kirim_addr_set_port(&at, kirim_addr_port(&to->local));
    const struct kirim_datagram *d = pass(NULL);
    struct kirim_addr wanted = rig_addr("127.0.0.1:0");
    kirim_addr_set_port(&wanted, kirim_addr_port(&to->local));
    ck_assert(kirim_addr_equal(&d->arrival->local, &wanted));
    ck_assert_uint_eq(d->flags, KIRIM_RX_BROADCAST);
    close_way();
}
END_TEST

/* ---- when it arrived ------------------------------------------------------------------------- */

START_TEST(time_of_arrival_lies_between_sending_and_receiving)
{
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    for (int i = 0; i < 20; i++) {
        const uint64_t before_ns = now_ns();
        const uint64_t time_ns = pass(NULL)->arrival->time_ns;
        ck_assert_uint_ge(time_ns, before_ns);
        ck_assert_uint_le(time_ns, now_ns());
    }
    close_way();
}
END_TEST

/* It waits in the socket's buffer, and is asked for later than that. Where the process was held up
 * between two readings of the clocks the time is inexact, so it has more than one try. */
START_TEST(time_of_arrival_is_not_that_of_receiving)
{
    enum { TRY_COUNT = 100, WAITING_NS = 1000000 };
    bool is_earlier = false;
    ck_assert(open_way(WAY_IPV4, KIRIM_ENDPOINT_RECEIVE_CONTROL));
    (void)pass(NULL); /* the system stamps what comes once somebody has asked */
    for (int i = 0; i < TRY_COUNT && !is_earlier; i++) {
        rig_send(&rig, from, "x", 1, &at);
        const uint64_t end_ns = now_ns() + WAITING_NS;
        uint64_t later_ns;
        do {
            later_ns = now_ns();
        } while (later_ns < end_ns);
        ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
        is_earlier = batch[0].arrival->time_ns < later_ns;
    }
    ck_assert(is_earlier);
    close_way();
}
END_TEST

START_TEST(nothing_arrives_later_than_the_turns_own_time)
{
    ck_assert(open_way(WAY_IPV4, KIRIM_ENDPOINT_RECEIVE_CONTROL));
    const uint64_t turn_ns = now_ns();
    rig.reactor->turn_ns = turn_ns;
    ck_assert_uint_eq(pass(NULL)->arrival->time_ns, turn_ns);
    rig.reactor->turn_ns = 0;
    ck_assert_uint_gt(pass(NULL)->arrival->time_ns, turn_ns);
    close_way();
}
END_TEST

START_TEST(clocks_are_read_once_a_batch)
{
    enum { COUNT = 8 };
    ck_assert(open_way(WAY_IPV4, KIRIM_ENDPOINT_RECEIVE_CONTROL));
    for (uint64_t n = COUNT; n > 0; n = n == COUNT ? 1 : 0) {
        for (uint64_t i = 0; i < n; i++) {
            rig_send(&rig, from, "x", 1, &at);
        }
        rig_wait_ready(&rig, to);
        const uint64_t count = script_count(SCRIPT_CLOCK_GETTIME);
        ck_assert_uint_eq(rig.ops->receive(rig.reactor, to, batch, KI_BATCH_MAX), n);
        ck_assert_uint_eq(script_count(SCRIPT_CLOCK_GETTIME), count + 2);
    }
    rig_port_close(&rig, to);
    to = port_at("0.0.0.0:0", 0); /* it brings its address, and no time */
    kirim_addr_set_port(&at, kirim_addr_port(&to->local));
    rig_send(&rig, from, "x", 1, &at);
    rig_wait_ready(&rig, to);
    const uint64_t count = script_count(SCRIPT_CLOCK_GETTIME);
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, to, batch, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(script_count(SCRIPT_CLOCK_GETTIME), count);
    close_way();
}
END_TEST

/* ---- reading what a system might write ------------------------------------------------------- */

/* Control data made by hand. */
struct made {
    _Alignas(struct cmsghdr) uint8_t bytes[256];
    struct msghdr header;
};

static void make_start(struct made *m)
{
    memset(m, 0, sizeof *m);
    m->header.msg_control = m->bytes;
}

static void make_add(struct made *m, int level, int type, const void *data, size_t bytes_count)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)(m->bytes + m->header.msg_controllen);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(bytes_count);
    memcpy(CMSG_DATA(c), data, bytes_count);
    m->header.msg_controllen += CMSG_SPACE(bytes_count);
}

static const struct kirim_addr *wildcard_ipv6(void)
{
    static struct kirim_addr addr;
    addr = rig_addr("[::]:7");
    return &addr;
}

static struct kirim_arrival read_made(const struct made *m, struct kirim_datagram *d)
{
    struct ki_control_clock clock = { .sys = script_table() };
    struct kirim_arrival arrival;
    *d = (struct kirim_datagram){ .bytes = 0 };
    ki_control_read(&m->header, wildcard_ipv6(), &clock, &arrival, d);
    d->arrival = NULL;
    return arrival;
}

START_TEST(octet_is_read_in_either_width) /* L27, L30 */
{
    static const struct {
        int level;
        int type;
        size_t width;
        uint32_t dscp;
        uint8_t ecn;
    } rows[] = {
        { IPPROTO_IP, IP_TOS, 1, 46, 2 },
        { IPPROTO_IP, IP_TOS, sizeof(int), 46, 2 },
        { IPPROTO_IPV6, IPV6_TCLASS, 1, 46, 2 },
        { IPPROTO_IPV6, IPV6_TCLASS, 4, 46, 2 },
        { IPPROTO_IP, IP_TOS, 2, 0, 0 },
        { IPPROTO_IPV6, IPV6_TCLASS, 8, 0, 0 },
        { IPPROTO_IP, IPV6_TCLASS, 4, 0, 0 },
        { IPPROTO_IPV6, IP_TOS, 1, 0, 0 },
        { IPPROTO_UDP, IP_TOS, sizeof(int), 0, 0 },
        { SOL_SOCKET, IP_TOS, 1, 0, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct made m;
        struct kirim_datagram d;
        uint8_t data[8] = { 46 << 2 | 2 };
        const int value = 46 << 2 | 2;
        if (rows[i].width == sizeof value) {
            memcpy(data, &value, sizeof value);
        }
        make_start(&m);
        make_add(&m, rows[i].level, rows[i].type, data, rows[i].width);
        const struct kirim_arrival arrival = read_made(&m, &d);
        ck_assert_uint_eq(d.ecn, rows[i].ecn);
        ck_assert_uint_eq(arrival.dscp, rows[i].dscp);
    }
}
END_TEST

START_TEST(ipv4_knows_better_than_ipv6_where_an_ipv4_datagram_went) /* L38 */
{
    struct in_pktinfo ipv4 = { .ipi_ifindex = 3 };
    struct in6_pktinfo ipv6 = { .ipi6_ifindex = 3 };
    ck_assert_int_eq(inet_pton(AF_INET, "127.0.0.9", &ipv4.ipi_addr), 1);
    ck_assert_int_eq(inet_pton(AF_INET, "127.0.0.8", &ipv4.ipi_spec_dst), 1);
    ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:127.0.0.9", &ipv6.ipi6_addr), 1);
    for (int turn = 0; turn < 3; turn++) {
        struct made m;
        struct kirim_datagram d;
        make_start(&m);
        if (turn == 0) {
            make_add(&m, IPPROTO_IP, IP_PKTINFO, &ipv4, sizeof ipv4);
        }
        make_add(&m, IPPROTO_IPV6, IPV6_PKTINFO, &ipv6, sizeof ipv6);
        if (turn == 1) {
            make_add(&m, IPPROTO_IP, IP_PKTINFO, &ipv4, sizeof ipv4);
        }
        const struct kirim_arrival arrival = read_made(&m, &d);
        const struct kirim_addr wanted = rig_addr(turn < 2 ? "127.0.0.8:7" : "127.0.0.9:7");
        ck_assert(kirim_addr_equal(&arrival.local, &wanted));
        ck_assert_uint_eq(arrival.ifindex, 3);
        ck_assert_uint_eq(d.flags, turn < 2 ? KIRIM_RX_BROADCAST : 0);
    }
}
END_TEST

START_TEST(only_scoped_addresses_have_a_scope) /* L43 */
{
    static const struct {
        const char *addr;
        const char *wanted;
    } rows[] = {
        { "2001:db8::1", "[2001:db8::1]:7" }, { "::1", "[::1]:7" },
        { "fe80::1", "[fe80::1%3]:7" },       { "ff02::1", "[ff02::1%3]:7" },
        { "fd00::1", "[fd00::1]:7" },         { "::ffff:192.0.2.1", "192.0.2.1:7" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct in6_pktinfo info = { .ipi6_ifindex = 3 };
        struct made m;
        struct kirim_datagram d;
        ck_assert_int_eq(inet_pton(AF_INET6, rows[i].addr, &info.ipi6_addr), 1);
        make_start(&m);
        make_add(&m, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
        const struct kirim_arrival arrival = read_made(&m, &d);
        const struct kirim_addr wanted = rig_addr(rows[i].wanted);
        ck_assert_msg(kirim_addr_equal(&arrival.local, &wanted), "%s", rows[i].addr);
        ck_assert_uint_eq(arrival.ifindex, 3);
    }
}
END_TEST

/* The wall clock can be set between a stamp and its reading: no result is absurd. */
START_TEST(time_of_arrival_has_bounds)
{
    static const uint64_t second = 1000000000;
    static const struct {
        int64_t stamp_s;
        uint64_t wall_s, now_s, turn_s, wanted_s;
    } rows[] = {
        { 1000, 1003, 50, 0, 47 },  { 1003, 1003, 50, 0, 50 },
        { 1009, 1003, 50, 0, 50 }, /* set back: now at the latest */
        { 1000, 1049, 50, 0, 1 },   { 1000, 1050, 50, 0, 0 },
        { 1000, 9999, 50, 0, 0 }, /* set forward: not told, and never below 0 */
        { -1, 1003, 50, 0, 0 },     { 1000, 1003, 50, 47, 47 },
        { 1000, 1003, 50, 46, 46 }, { 1000, 1003, 50, 48, 47 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct timespec stamp = { .tv_sec = rows[i].stamp_s };
        struct ki_control_clock clock = {
            .sys = NULL, /* not read again */
            .turn_ns = rows[i].turn_s * second,
            .wall_ns = rows[i].wall_s * second,
            .now_ns = rows[i].now_s * second,
        };
        struct kirim_arrival arrival;
        struct kirim_datagram d = { .bytes = 0 };
        struct made m;
        make_start(&m);
        make_add(&m, SOL_SOCKET, SCM_TIMESTAMPNS, &stamp, sizeof stamp);
        ki_control_read(&m.header, wildcard_ipv6(), &clock, &arrival, &d);
        ck_assert_uint_eq(arrival.time_ns, rows[i].wanted_s * second);
    }
}
END_TEST

START_TEST(clock_that_cannot_be_read_tells_no_time)
{
    struct timespec stamp;
    struct made m;
    struct kirim_datagram d;
    ck_assert_int_eq(clock_gettime(CLOCK_REALTIME, &stamp), 0);
    script_reset();
    script_break(SCRIPT_CLOCK_GETTIME, EINVAL);
    make_start(&m);
    make_add(&m, SOL_SOCKET, SCM_TIMESTAMPNS, &stamp, sizeof stamp);
    ck_assert_uint_eq(read_made(&m, &d).time_ns, 0);
    script_reset();
    ck_assert_uint_ne(read_made(&m, &d).time_ns, 0);
}
END_TEST

/* ---- writing --------------------------------------------------------------------------------- */

/* And numbers are ints: Linux refuses a traffic class of one byte. */
START_TEST(levels_follow_the_destination) /* L27, L29, L39 */
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct ki_posix_control_out out;
    control.ecn = 1;
    control.dscp = 63;
    control.ttl = 9;
    control.ifindex = 1;
    control.not_before_ns = 1;
    control.flags = KIRIM_CONTROL_DONT_FRAGMENT;
    for (int i = 0; i < 2; i++) {
        const int family = i == 0 ? KIRIM_IPV4 : KIRIM_IPV6;
        const int level = i == 0 ? IPPROTO_IP : IPPROTO_IPV6;
        size_t count = 0;
        memset(&out, 0xff, sizeof out);
        size_t bytes = ki_control_write(&out, &control, family);
        bytes = ki_control_add_segment(&out, bytes, 1200);
        ck_assert_uint_le(bytes, sizeof out); /* all there can be fits */
        struct msghdr header = { .msg_control = &out, .msg_controllen = bytes };
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c != NULL; c = CMSG_NXTHDR(&header, c)) {
            const bool is_of_family = c->cmsg_level == level;
            const bool is_pktinfo = c->cmsg_type == (i == 0 ? IP_PKTINFO : IPV6_PKTINFO);
            ck_assert(!is_of_family || is_pktinfo || c->cmsg_len == CMSG_LEN(sizeof(int)));
            ck_assert(is_of_family || c->cmsg_level == SOL_SOCKET || c->cmsg_level == IPPROTO_UDP);
            count += is_of_family;
        }
        ck_assert_uint_eq(count, i == 0 ? 3 : 4); /* IPv4 has none for don't-fragment */
    }
}
END_TEST

START_TEST(nothing_to_say_is_no_control_data) /* L15 */
{
    const struct kirim_control nothing = KIRIM_CONTROL_INIT;
    struct kirim_control whole = KIRIM_CONTROL_INIT;
    struct ki_posix_control_out out;
    whole.flags = KIRIM_CONTROL_DONT_FRAGMENT;
    ck_assert_uint_eq(ki_control_write(&out, &nothing, KIRIM_IPV4), 0);
    ck_assert_uint_eq(ki_control_write(&out, &nothing, KIRIM_IPV6), 0);
    ck_assert_uint_eq(ki_control_write(&out, &whole, KIRIM_IPV4), 0);
}
END_TEST

/* ---- link-local ------------------------------------------------------------------------------ */

START_TEST(scope_of_a_link_local_address_goes_out_and_comes_in) /* L43 */
{
    if (!narrow_net_is_permitted() || !rig_has_ipv6()) {
        puts("skipped: link-local addresses, for want of a network namespace or of IPv6");
        return;
    }
    ck_assert(narrow_net_enter());
    ck_assert(open_way(WAY_IPV6, KIRIM_ENDPOINT_RECEIVE_CONTROL));
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = narrow_net_link_local();
    at = narrow_net_link_local();
    kirim_addr_set_port(&at, kirim_addr_port(&to->local));
    const struct kirim_datagram *d = pass(&control);
    struct kirim_addr peer = d->peer;
    kirim_addr_set_port(&peer, 0);
    ck_assert(kirim_addr_equal(&peer, &control.source));
    ck_assert(kirim_addr_equal(&d->arrival->local, &at));
    ck_assert_uint_eq(d->arrival->ifindex, kirim_addr_scope(&at));
    close_way();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/posix_control");
    TCase *tcase = tcase_create("control");
    tcase_add_test(tcase, reactor_says_that_it_can);
    tcase_add_loop_test(tcase, ecn_and_dscp_arrive, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, ttl_arrives, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, wildcard_port_is_told_the_local_address, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, source_is_the_one_that_was_named, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, source_goes_with_an_interface, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, source_of_another_host_is_refused, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, all_fields_arrive_together, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, control_data_holds_for_its_own_entry_only, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, control_data_of_a_train_is_that_of_its_datagrams, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, connected_port_sends_control_data_of_its_peers_family, 0, WAY_COUNT);
    tcase_add_test(tcase, bound_port_pays_nothing);
    tcase_add_test(tcase, bound_port_that_asks_is_told);
    tcase_add_test(tcase, local_address_that_was_not_told_is_flagged);
    tcase_add_test(tcase, local_address_of_a_broadcast_is_one_to_answer_from);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("time");
    tcase_add_loop_test(tcase, time_of_arrival_lies_between_sending_and_receiving, 0, WAY_COUNT);
    tcase_add_test(tcase, time_of_arrival_is_not_that_of_receiving);
    tcase_add_test(tcase, nothing_arrives_later_than_the_turns_own_time);
    tcase_add_test(tcase, clocks_are_read_once_a_batch);
    tcase_add_test(tcase, time_of_arrival_has_bounds);
    tcase_add_test(tcase, clock_that_cannot_be_read_tells_no_time);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("traps");
    tcase_add_test(tcase, octet_is_read_in_either_width);
    tcase_add_test(tcase, ipv4_knows_better_than_ipv6_where_an_ipv4_datagram_went);
    tcase_add_test(tcase, only_scoped_addresses_have_a_scope);
    tcase_add_test(tcase, levels_follow_the_destination);
    tcase_add_test(tcase, nothing_to_say_is_no_control_data);
    tcase_add_test(tcase, scope_of_a_link_local_address_goes_out_and_comes_in);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
