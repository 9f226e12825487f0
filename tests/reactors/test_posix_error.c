/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/posix_error.c: what the network reports is told once, with its peer, and
 * never taken for an answer to somebody else's datagram. The reports are real ones, of closed ports
 * on the loopback; what a loopback does not report is played by the scripted table, or goes through
 * the table of meanings alone.
 */
#include "support/posix_rig.h"

#include <check.h>
#include <errno.h>
#include <linux/net_tstamp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEAD_MAX = 20 };

static struct rig rig;
static struct ki_port *from;
static struct ki_port *to;
static struct kirim_addr dead[DEAD_MAX];
static struct kirim_datagram batch[KI_BATCH_MAX];
static const uint8_t zeros[70000];

/* Addresses where nobody listens. */
static void find_dead(int family)
{
    struct ki_port *gone[DEAD_MAX];
    for (int i = 0; i < DEAD_MAX; i++) {
        gone[i] = rig_port(&rig, family);
        dead[i] = gone[i]->local;
    }
    for (int i = 0; i < DEAD_MAX; i++) {
        rig_port_close(&rig, gone[i]);
    }
}

static void open_all(const char *reactor)
{
    rig_open(&rig, reactor, NULL);
    from = rig_port(&rig, KIRIM_IPV4);
    to = rig_port(&rig, KIRIM_IPV4);
    find_dead(KIRIM_IPV4);
}

static void set_up(void)
{
    script_reset();
    open_all("epoll");
}

static void tear_down(void)
{
    rig_port_close(&rig, from);
    rig_port_close(&rig, to);
    rig_close(&rig);
}

/* Submits one datagram until it is taken, as the core does; how often it was refused. */
static uint32_t insist(struct ki_port *p, const struct kirim_addr *dest)
{
    struct ki_entry e = rig_entry("x", 1, dest);
    struct ki_refusal why;
    uint32_t refusals = 0;
    while (rig_submit(&rig, p, &e, 1, &why) == 0) {
        ck_assert_uint_eq(why.is_stale, 1);
        ck_assert_int_eq(why.err, KIRIM_ECONNRESET);
        ck_assert_uint_ne(p->errors_waiting, 0);
        refusals++;
        ck_assert_uint_lt(refusals, 8);
    }
    return refusals;
}

/* The next receive hands over one report, about this peer. */
static void expect_report(struct ki_port *p, const struct kirim_addr *peer)
{
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, p, batch, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(p->rx_flags & KI_RX_ERROR, KI_RX_ERROR);
    ck_assert(kirim_addr_equal(&p->rx_error.peer, peer));
    ck_assert_int_eq(p->rx_error.err, KIRIM_ECONNRESET);
    ck_assert_int_eq(p->rx_error.sys_err, ECONNREFUSED);
    const bool is_ipv4 = kirim_addr_family(peer) == KIRIM_IPV4;
    ck_assert_uint_eq(p->rx_error.origin, is_ipv4 ? KIRIM_ORIGIN_ICMP : KIRIM_ORIGIN_ICMPV6);
    ck_assert_uint_eq(p->rx_error.icmp_type, is_ipv4 ? 3 : 1);
    ck_assert_uint_eq(p->rx_error.icmp_code, is_ipv4 ? 3 : 4);
    ck_assert_uint_eq(p->rx_error.path_mtu, 0);
}

/* Nothing is left, and nothing keeps the socket ready (L47). */
static void expect_silence(struct ki_port *p)
{
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, p, batch, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(p->rx_flags, 0);
    p->is_ready = 0;
    rig.ready.first = NULL;
    rig.ready.last = &rig.ready.first;
    ck_assert_int_eq(rig.ops->wait(rig.reactor, 0), KIRIM_OK);
    ck_assert_uint_eq(p->is_ready, 0);
}

/* ---- meanings -------------------------------------------------------------------------------- */

START_TEST(report_means_what_its_message_says) /* S31, S36, S38, S39 */
{
    enum { LOCAL = KIRIM_ORIGIN_LOCAL, V4 = KIRIM_ORIGIN_ICMP, V6 = KIRIM_ORIGIN_ICMPV6 };
    static const struct {
        uint8_t origin, type, code;
        int sys_err;
        kirim_err err;
    } rows[] = {
        /* By hand from RFC 792, RFC 1812 section 5.2.7.1 and RFC 4443. */
        { V4, 3, 0, ENETUNREACH, KIRIM_ENETUNREACH },
        { V4, 3, 1, EHOSTUNREACH, KIRIM_ENETUNREACH },
        { V4, 3, 2, ENOPROTOOPT, KIRIM_ECONNRESET },
        { V4, 3, 3, ECONNREFUSED, KIRIM_ECONNRESET },
        { V4, 3, 4, EMSGSIZE, KIRIM_EMSGSIZE },
        { V4, 3, 5, EOPNOTSUPP, KIRIM_ENETUNREACH },
        { V4, 3, 6, ENETUNREACH, KIRIM_ENETUNREACH },
        { V4, 3, 7, EHOSTDOWN, KIRIM_ENETUNREACH },
        { V4, 3, 8, ENONET, KIRIM_ENETUNREACH },
        { V4, 3, 9, ENETUNREACH, KIRIM_EACCES },
        { V4, 3, 10, EHOSTUNREACH, KIRIM_EACCES },
        { V4, 3, 13, EHOSTUNREACH, KIRIM_EACCES },
        { V4, 11, 0, EHOSTUNREACH, KIRIM_ENETRESET },
        { V4, 11, 1, EHOSTUNREACH, KIRIM_ENETRESET },
        { V4, 12, 0, EPROTO, KIRIM_ESYSTEM },
        { V6, 1, 0, ENETUNREACH, KIRIM_ENETUNREACH },
        { V6, 1, 1, EACCES, KIRIM_EACCES },
        { V6, 1, 2, EHOSTUNREACH, KIRIM_ENETUNREACH },
        { V6, 1, 3, EHOSTUNREACH, KIRIM_ENETUNREACH },
        { V6, 1, 4, ECONNREFUSED, KIRIM_ECONNRESET },
        { V6, 1, 5, EACCES, KIRIM_EACCES },
        { V6, 1, 6, EACCES, KIRIM_EACCES },
        { V6, 2, 0, EMSGSIZE, KIRIM_EMSGSIZE },
        { V6, 3, 0, EHOSTUNREACH, KIRIM_ENETRESET },
        { V6, 3, 1, EHOSTUNREACH, KIRIM_ENETRESET },
        { V6, 4, 1, EPROTO, KIRIM_ESYSTEM },
        { LOCAL, 0, 0, EMSGSIZE, KIRIM_EMSGSIZE },
        { LOCAL, 3, 3, EMSGSIZE, KIRIM_EMSGSIZE }, /* its type and code say nothing */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct ki_posix_report report = {
            .sys_err = rows[i].sys_err,
            .origin = rows[i].origin,
            .icmp_type = rows[i].type,
            .icmp_code = rows[i].code,
        };
        ck_assert_msg(ki_posix_error_of(&report) == rows[i].err, "row %zu", i);
    }
}
END_TEST

/* ---- receiving ------------------------------------------------------------------------------- */

START_TEST(report_names_the_peer) /* S31 */
{
    static const char *const locals[] = { "127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0" };
    static const int families[] = { KIRIM_IPV4, KIRIM_IPV4, KIRIM_IPV6, KIRIM_IPV4 };
    if (!rig_has_ipv6() && _i >= 2) {
        return;
    }
    struct kirim_endpoint_options o = rig_at(locals[_i]);
    o.flags = _i == 3 ? KIRIM_ENDPOINT_DUAL_STACK : 0;
    ck_assert_uint_ne(rig.caps & KIRIM_CAP_ERRORS, 0);
    struct ki_port *p = rig_port_with(&rig, &o);
    find_dead(families[_i]);
    ck_assert_uint_eq(insist(p, &dead[0]), 0);
    rig_wait_ready(&rig, p);
    expect_report(p, &dead[0]);
    ck_assert_uint_eq(p->rx_flags, KI_RX_ERROR);
    expect_silence(p);
    rig_port_close(&rig, p);
}
END_TEST

START_TEST(connected_port_is_told_once) /* S31 */
{
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    o.peer = dead[0];
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert_uint_eq(insist(p, NULL), 0);
    rig_wait_ready(&rig, p);
    expect_report(p, &dead[0]);
    expect_silence(p);
    ck_assert_uint_eq(insist(p, NULL), 0); /* the error was taken off the socket */
    ck_assert_uint_eq(insist(p, NULL), 1);
    expect_report(p, &dead[0]);
    expect_report(p, &dead[0]);
    expect_silence(p);
    rig_port_close(&rig, p);
}
END_TEST

/* More than a port keeps: the rest stays in the system's queue, and in order. */
START_TEST(every_report_is_told_once_and_in_order)
{
    for (int i = 0; i < _i; i++) {
        ck_assert_uint_eq(insist(from, &dead[i]), i != 0);
    }
    for (int i = 0; i < _i; i++) {
        expect_report(from, &dead[i]);
        ck_assert(i == _i - 1 || (from->rx_flags & KI_RX_MORE) != 0);
    }
    expect_silence(from);
}
END_TEST

START_TEST(arrivals_do_not_wait_for_reports)
{
    uint32_t told = 0;
    for (int i = 0; i < DEAD_MAX; i++) {
        (void)insist(from, &dead[i]);
    }
    for (uint32_t i = 0; i < DEAD_MAX; i++) {
        rig_send_numbers(&rig, to, from, i, 1);
        const uint32_t n = rig.ops->receive(rig.reactor, from, batch, KI_BATCH_MAX);
        ck_assert_uint_eq(n, 1);
        rig_check_numbers(batch, i, 1);
        ck_assert_uint_eq(from->rx_flags & KI_RX_ERROR, KI_RX_ERROR);
        ck_assert(kirim_addr_equal(&from->rx_error.peer, &dead[told]));
        told++;
    }
    expect_silence(from);
}
END_TEST

/* A failure that the queue knows nothing of is told without a peer, unless the port is connected;
 * what is no report is not told at all. */
START_TEST(failure_without_a_report_is_told_by_itself)
{
    script_answer(SCRIPT_RECVMMSG, ECONNREFUSED);
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, from, batch, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(from->rx_flags, KI_RX_ERROR);
    ck_assert_int_eq(kirim_addr_family(&from->rx_error.peer), KIRIM_FAMILY_NONE);
    ck_assert_int_eq(from->rx_error.err, KIRIM_ECONNRESET);
    ck_assert_uint_eq(from->rx_error.origin, KIRIM_ORIGIN_NONE);
    expect_silence(from);
}
END_TEST

START_TEST(interrupted_look_is_repeated_and_a_failing_one_is_no_end) /* S34 */
{
    (void)insist(from, &dead[0]);
    script_answer(SCRIPT_RECVMSG, EINTR);
    script_answer(SCRIPT_RECVMSG, EINTR);
    expect_report(from, &dead[0]);
    (void)insist(from, &dead[1]);
    script_answer(SCRIPT_RECVMSG, ENOMEM);
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, from, batch, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(from->rx_flags & KI_RX_ERROR, KI_RX_ERROR);
    ck_assert_int_eq(from->rx_error.err, KIRIM_ECONNRESET);
    rig_wait_ready(&rig, from); /* the queue still keeps the socket ready */
    expect_report(from, &dead[1]);
    expect_silence(from);
}
END_TEST

/* Time stamps of what has left come by the same queue, and keep the socket ready like reports. */
START_TEST(what_is_no_report_is_taken_off_the_queue) /* L47 */
{
    const int stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    const int fd = (int)from->descriptor;
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps), 0);
    for (int i = 0; i < 100; i++) {
        ck_assert_uint_eq(insist(from, &to->local), 0);
    }
    rig_wait_ready(&rig, from);
    uint32_t calls = 0;
    do {
        ck_assert_uint_eq(rig.ops->receive(rig.reactor, from, batch, KI_BATCH_MAX), 0);
        ck_assert_uint_eq(from->rx_flags & KI_RX_ERROR, 0);
        from->is_ready = 0;
        rig.ready.first = NULL;
        rig.ready.last = &rig.ready.first;
        ck_assert_int_eq(rig.ops->wait(rig.reactor, 0), KIRIM_OK);
        calls++;
    } while (from->is_ready != 0 && calls < 10);
    ck_assert_uint_lt(calls, 10);
    expect_silence(from);
}
END_TEST

START_TEST(report_fits_beside_all_that_arrivals_bring) /* L50 */
{
    static const int options[][2] = {
        { SOL_SOCKET, SO_TIMESTAMPNS },      { IPPROTO_IP, IP_PKTINFO },
        { IPPROTO_IP, IP_RECVTOS },          { IPPROTO_IP, IP_RECVTTL },
        { IPPROTO_IP, IP_RECVOPTS },         { IPPROTO_IP, IP_RECVORIGDSTADDR },
        { IPPROTO_IPV6, IPV6_RECVPKTINFO },  { IPPROTO_IPV6, IPV6_RECVTCLASS },
        { IPPROTO_IPV6, IPV6_RECVHOPLIMIT }, { IPPROTO_IPV6, IPV6_RECVORIGDSTADDR },
    };
    struct kirim_endpoint_options o = rig_at(rig_has_ipv6() ? "[::]:0" : "0.0.0.0:0");
    const int stamps = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    const int one = 1;
    o.flags = rig_has_ipv6() ? KIRIM_ENDPOINT_DUAL_STACK : 0;
    struct ki_port *p = rig_port_with(&rig, &o);
    const int fd = (int)p->descriptor;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        (void)setsockopt(fd, options[i][0], options[i][1], &one, sizeof one);
    }
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps), 0);
    (void)insist(p, &dead[0]);
    rig_wait_ready(&rig, p);
    expect_report(p, &dead[0]);
    expect_silence(p);
    rig_port_close(&rig, p);
}
END_TEST

/* ---- sending --------------------------------------------------------------------------------- */

START_TEST(innocent_datagram_is_not_believed_lost) /* L48 */
{
    struct ki_entry e[3] = { rig_entry("a", 1, &to->local), rig_entry("b", 1, &to->local),
                             rig_entry("c", 1, &to->local) };
    struct ki_refusal why;
    (void)insist(from, &dead[0]);
    const uint32_t first = rig_submit(&rig, from, e, 3, &why);
    ck_assert_uint_eq(first, 0);
    ck_assert_uint_eq(why.is_stale, 1);
    ck_assert_uint_eq(from->errors_waiting, 1);
    ck_assert_uint_eq(rig_submit(&rig, from, e, 3, &why), 3);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 3);
    expect_report(from, &dead[0]);
    expect_silence(from);
}
END_TEST

/* The queue has something to tell, but of another kind: the error is this datagram's. */
START_TEST(error_that_the_queue_does_not_know_is_the_datagrams_own)
{
    static const struct {
        int sys_err;
        kirim_err err;
    } rows[] = { { EPERM, KIRIM_EACCES }, { ENOBUFS, KIRIM_ENOBUFS }, { EIO, KIRIM_ESYSTEM } };
    struct ki_entry e = rig_entry("x", 1, &to->local);
    struct ki_refusal why;
    (void)insist(from, &dead[0]);
    script_answer(SCRIPT_SENDMSG, rows[_i].sys_err);
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 0);
    ck_assert_uint_eq(why.is_stale, 0);
    ck_assert_int_eq(why.err, rows[_i].err);
    ck_assert_uint_eq(from->errors_waiting, 1); /* and is to be told */
    expect_report(from, &dead[0]);
    expect_silence(from);
}
END_TEST

/* With more reports than the port keeps, the queue cannot be asked whose an error is. */
START_TEST(error_beside_a_full_store_is_believed_when_nothing_else_explains_it)
{
    enum { COUNT = KI_POSIX_REPORTS_MAX + 1 };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct ki_entry e = rig_entry("x", 1, &to->local);
    struct ki_refusal why;
    for (uint32_t i = 0; i < COUNT; i++) {
        (void)insist(from, &dead[0]);
    }
    (void)insist(from, &to->local);
    /* Too long may be the network's word about another one: once. */
    script_answer(SCRIPT_SENDMSG, EMSGSIZE);
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 0);
    ck_assert_uint_eq(why.is_stale, 1);
    e.status += KI_STALE_ONE;
    script_answer(SCRIPT_SENDMSG, EMSGSIZE);
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 0);
    ck_assert_uint_eq(why.is_stale, 0);
    ck_assert_int_eq(why.err, KIRIM_EMSGSIZE);
    /* No route from a source that is nobody's is the datagram's own. */
    control.source = rig_addr("192.0.2.9");
    e.control = &control;
    script_answer(SCRIPT_SENDMSG, ENETUNREACH);
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 0);
    ck_assert_uint_eq(why.is_stale, 0);
    ck_assert_int_eq(why.err, KIRIM_EADDRNOTAVAIL);
    for (uint32_t i = 0; i < COUNT; i++) {
        expect_report(from, &dead[0]);
    }
    expect_silence(from);
}
END_TEST

START_TEST(full_system_is_no_reason_to_look)
{
    struct ki_entry e = rig_entry("x", 1, &to->local);
    struct ki_refusal why;
    const uint64_t looks = script_count(SCRIPT_RECVMSG);
    script_answer(SCRIPT_SENDMSG, EAGAIN);
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 0);
    ck_assert_int_eq(why.err, KIRIM_EWOULDBLOCK);
    ck_assert_uint_eq(why.is_stale, 0);
    ck_assert_uint_eq(script_count(SCRIPT_RECVMSG), looks);
}
END_TEST

/* What is too long for a packet at all is told by the stack with the limit, and it alone is
 * refused. */
START_TEST(datagram_of_its_own_host_that_is_too_long_is_told_with_the_mtu) /* S36, L49 */
{
    struct ki_entry e = rig_entry(zeros, KIRIM_PAYLOAD_IPV4_BYTES_MAX + 1, &to->local);
    struct ki_refusal why;
    (void)insist(from, &dead[0]);
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 0);
    ck_assert_int_eq(why.err, KIRIM_EMSGSIZE);
    ck_assert_uint_eq(why.is_stale, 0);
    ck_assert_uint_eq(from->errors_waiting, 2);
    expect_report(from, &dead[0]);
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, from, batch, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(from->rx_flags, KI_RX_ERROR);
    ck_assert_int_eq(from->rx_error.err, KIRIM_EMSGSIZE);
    ck_assert_uint_eq(from->rx_error.origin, KIRIM_ORIGIN_LOCAL);
    ck_assert_uint_eq(from->rx_error.path_mtu, UINT16_MAX);
    ck_assert(kirim_addr_equal(&from->rx_error.peer, &to->local));
    expect_silence(from);
    ck_assert_uint_eq(insist(from, &to->local), 0);
}
END_TEST

/* ---- sources --------------------------------------------------------------------------------- */

/* 192.0.2.0/24 and 2001:db8::/32 are nobody's (RFC 5737, RFC 3849). */
START_TEST(foreign_source_is_told_as_what_it_is) /* L6 */
{
    static const struct {
        const char *local, *source, *dest;
        uint32_t ifindex;
        kirim_err err;
    } rows[] = {
        { "0.0.0.0:0", "192.0.2.9", "127.0.0.1:9", 0, KIRIM_EADDRNOTAVAIL },
        { "127.0.0.1:0", "192.0.2.9", "127.0.0.1:9", 0, KIRIM_EADDRNOTAVAIL },
        { "0.0.0.0:0", NULL, "127.0.0.1:9", 0x7ffffff0, KIRIM_EADDRNOTAVAIL },
        { "0.0.0.0:0", "127.0.0.1", "192.0.2.1:9", 0, KIRIM_ENETUNREACH },
        { "127.0.0.1:0", NULL, "192.0.2.1:9", 0, KIRIM_ENETUNREACH },
        { "0.0.0.0:0", "224.0.0.1", "127.0.0.1:9", 0, KIRIM_EINVAL },
        { "[::]:0", "2001:db8::9", "[::1]:9", 0, KIRIM_EADDRNOTAVAIL },
        { "[::1]:0", "2001:db8::9", "[::1]:9", 0, KIRIM_EADDRNOTAVAIL },
        { "[::]:0", "fe80::1", "[::1]:9", 1, KIRIM_EADDRNOTAVAIL },
        { "[::]:0", NULL, "[::1]:9", 0x7ffffff0, KIRIM_EADDRNOTAVAIL },
    };
    if (rows[_i].local[0] == '[' && !rig_has_ipv6()) {
        return;
    }
    const struct kirim_endpoint_options o = rig_at(rows[_i].local);
    const struct kirim_addr dest = rig_addr(rows[_i].dest);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct ki_entry e = rig_entry("x", 1, &dest);
    struct ki_refusal why;
    if (rows[_i].source != NULL) {
        control.source = rig_addr(rows[_i].source);
    }
    control.ifindex = rows[_i].ifindex;
    if (rows[_i].source != NULL || rows[_i].ifindex != 0) {
        e.control = &control;
    }
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert_uint_eq(rig_submit(&rig, p, &e, 1, &why), 0);
    ck_assert_int_eq(why.err, rows[_i].err);
    ck_assert_int_ne(why.sys_err, 0);
    ck_assert_uint_eq(why.is_stale, 0);
    rig_port_close(&rig, p);
}
END_TEST

START_TEST(source_that_cannot_be_looked_at_leaves_the_error_as_it_is)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct ki_entry e = rig_entry("x", 1, &to->local);
    struct ki_refusal why;
    control.source = rig_addr("192.0.2.9");
    e.control = &control;
    script_answer(SCRIPT_SOCKET, EMFILE);
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 0);
    ck_assert_int_eq(why.err, KIRIM_ENETUNREACH);
    /* A source of our own has nothing to do with it. */
    control.source = rig_addr("127.0.0.1");
    script_answer(SCRIPT_SENDMSG, EINVAL);
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 0);
    ck_assert_int_eq(why.err, KIRIM_EINVAL);
}
END_TEST

/* ---- switches -------------------------------------------------------------------------------- */

START_TEST(who_asks_for_no_reports_gets_none)
{
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    o.flags = KIRIM_ENDPOINT_NO_ERROR_QUEUE;
    struct ki_port *p = rig_port_with(&rig, &o);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(insist(p, &dead[i]), 0);
    }
    expect_silence(p);
    rig_port_close(&rig, p);
}
END_TEST

/* Three datagrams to a closed port leave `from`, and nothing is heard of them. */
static void expect_deafness(void)
{
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(insist(from, &dead[0]), 0);
    }
    expect_silence(from);
}

START_TEST(environment_switches_reports_off)
{
    tear_down();
    ck_assert_int_eq(setenv("KIRIM_RECVERR", "0", 1), 0);
    open_all("epoll");
    ck_assert_int_eq(unsetenv("KIRIM_RECVERR"), 0);
    ck_assert_uint_eq(rig.caps & KIRIM_CAP_ERRORS, 0);
    expect_deafness();
}
END_TEST

START_TEST(system_without_error_queues_is_used_without)
{
    tear_down();
    script_break(SCRIPT_SETSOCKOPT, ENOPROTOOPT);
    open_all("epoll");
    script_break(SCRIPT_SETSOCKOPT, 0);
    ck_assert_uint_eq(rig.caps & KIRIM_CAP_ERRORS, 0);
    expect_deafness();
}
END_TEST

/* The system has them, but this socket has none. */
START_TEST(socket_without_an_error_queue_is_used_without)
{
    script_break(SCRIPT_SETSOCKOPT, ENOPROTOOPT);
    rig_port_close(&rig, from);
    from = rig_port(&rig, KIRIM_IPV4);
    script_break(SCRIPT_SETSOCKOPT, 0);
    expect_deafness();
}
END_TEST

static int recverr_of(int fd)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    ck_assert_int_eq(getsockopt(fd, IPPROTO_IP, IP_RECVERR, &value, &bytes), 0);
    return value;
}

/* Whatever its owner had: it is as the endpoint wants it, and as it was if the open fails. */
START_TEST(adopted_socket_reports_as_the_endpoint_wants)
{
    const int owners = _i & 1;
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    o.flags = KIRIM_ENDPOINT_ADOPT | KIRIM_ENDPOINT_BIND_ADOPTED |
              ((_i & 2) != 0 ? KIRIM_ENDPOINT_NO_ERROR_QUEUE : 0);
    o.local = to->local; /* taken */
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &owners, sizeof owners), 0);
    o.adopt = fd;
    struct ki_port *p = NULL;
    ck_assert_int_eq(rig_try_port(&rig, &o, &p), KIRIM_EADDRINUSE);
    ck_assert_int_eq(recverr_of(fd), owners);
    kirim_addr_set_port(&o.local, 0);
    p = rig_port_with(&rig, &o);
    ck_assert_int_eq(recverr_of(fd), (_i & 2) == 0);
    script_note_descriptor();
    rig_port_close(&rig, p);
}
END_TEST

/* Select and libevent cannot tell a report from an arrival. */
START_TEST(select_looks_when_nothing_has_arrived) /* L47 */
{
    int error = 0;
    socklen_t bytes = sizeof error;
    tear_down();
    open_all("select");
    ck_assert_uint_eq(insist(from, &dead[0]), 0);
    /* The socket's error is gone, the report is not. */
    ck_assert_int_eq(getsockopt((int)from->descriptor, SOL_SOCKET, SO_ERROR, &error, &bytes), 0);
    ck_assert_int_eq(error, ECONNREFUSED);
    rig_wait_ready(&rig, from);
    expect_report(from, &dead[0]);
    expect_silence(from);
}
END_TEST

static Suite *posix_error_suite(void)
{
    const struct {
        const TTest *test;
        int end; /* runs with _i 0 .. end-1; 0: once */
    } cases[] = {
        { report_means_what_its_message_says, 0 },
        { report_names_the_peer, 4 },
        { connected_port_is_told_once, 0 },
        { arrivals_do_not_wait_for_reports, 0 },
        { failure_without_a_report_is_told_by_itself, 0 },
        { interrupted_look_is_repeated_and_a_failing_one_is_no_end, 0 },
        { what_is_no_report_is_taken_off_the_queue, 0 },
        { report_fits_beside_all_that_arrivals_bring, 0 },
        { innocent_datagram_is_not_believed_lost, 0 },
        { error_that_the_queue_does_not_know_is_the_datagrams_own, 3 },
        { error_beside_a_full_store_is_believed_when_nothing_else_explains_it, 0 },
        { full_system_is_no_reason_to_look, 0 },
        { datagram_of_its_own_host_that_is_too_long_is_told_with_the_mtu, 0 },
        { foreign_source_is_told_as_what_it_is, 10 },
        { source_that_cannot_be_looked_at_leaves_the_error_as_it_is, 0 },
        { who_asks_for_no_reports_gets_none, 0 },
        { environment_switches_reports_off, 0 },
        { system_without_error_queues_is_used_without, 0 },
        { socket_without_an_error_queue_is_used_without, 0 },
        { adopted_socket_reports_as_the_endpoint_wants, 4 },
        { select_looks_when_nothing_has_arrived, 0 },
    };
    Suite *s = suite_create("reactors/posix_error");
    TCase *tc = tcase_create("error");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 60);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int end = cases[i].end != 0 ? cases[i].end : 1;
        tcase_add_loop_test(tc, cases[i].test, 0, end);
    }
    tcase_add_loop_test(tc, every_report_is_told_once_and_in_order, 1, DEAD_MAX + 1);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(posix_error_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
