/* SPDX-License-Identifier: MIT
 *
 * What Winsock may do to a send or a receive, and what it is given: played behind the pointers of
 * WSASendMsg and WSARecvMsg, so that the message code of the reactors is in it (S4, S7 to S11, S24,
 * S29 to S47, S50). The expected bytes are written down from the reference pages of WSASendMsg,
 * WSAMSG, WSACMSGHDR, IN_PKTINFO and IN6_PKTINFO.
 */
#include <string.h>

#include "conformance.h"
#include "win_map.h"
#include "win_played.h"

enum { POSTED_MAX = 256 }; /* receives that a port may have posted */

/* A sender whose calls can be counted: each datagram leaves by itself. */
static struct ks_node *node_alone(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags |= KIRIM_ENDPOINT_NO_TRAINS;
    return ks_node_with(t, &options);
}

static void refuse_receives(int sys_err, int count)
{
    kc_played.receive_err = sys_err;
    kc_played.receive_count = count;
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void interruption_is_never_shown(struct ks *t)
{
    kc_open_played(t);
    struct ks_node *a = node_alone(t);
    struct ks_node *b = ks_node(t);
    kc_refuse(WSAEINTR, 0, 3);
    ks_send_number(a, 0, &b->addr);
    ks_send_number(a, 1, &b->addr);
    ks_turn(t);
    kc_refuse(WSAEINTR, 1, 2);
    for (uint32_t i = 2; i < 12; i++) {
        ks_send_number(a, i, &b->addr);
    }
    refuse_receives(WSAEINTR, 3);
    KS_EXPECT_NUMBERS(b, 0, 12);
    KS_EXPECT_END(b, a);
    KS_EQ(0, a->failed_count + b->failed_count);
    KS_EQ(0, ks_stats(b).rx_errors);
    KS_EQ(0, kc_played.send_count);
}

/* The k-th of those that are queued is refused: it alone is lost, wherever it stands. */
static void one_of_many_is_lost(struct ks *t)
{
    kc_open_played(t);
    struct ks_node *a = node_alone(t);
    struct ks_node *b = ks_node(t);
    for (uint32_t k = 0; k < 10; k++) {
        kc_refuse(WSAENOBUFS, (int)k, 1);
        for (uint32_t i = 0; i < 10; i++) {
            ks_send_number(a, i, &b->addr);
        }
        KS_UNTIL(t, a->failed_count == k + 1);
        KS_ERR(KIRIM_ENOBUFS, a->event.err);
        KS_EQ(WSAENOBUFS, a->event.system_code);
        KS_EXPECT_NUMBERS(b, 0, k);
        KS_EXPECT_NUMBERS(b, k + 1, 9 - k);
    }
    KS_EQ(10, ks_stats(a).drops[KIRIM_DROP_NO_BUFFERS]);
    KS_EXPECT_END(b, a);
}

static const struct translation {
    int sys_err;
    kirim_err err;
} translations[] = {
    { WSAEACCES, KIRIM_EACCES },
    { WSAEFAULT, KIRIM_EFAULT },
    { WSAEINPROGRESS, KIRIM_EINPROGRESS },
    { WSAEINVAL, KIRIM_EINVAL },
    { WSAEMSGSIZE, KIRIM_EMSGSIZE },
    { WSAENETDOWN, KIRIM_ENETDOWN },
    { WSAENETUNREACH, KIRIM_ENETUNREACH },
    { WSAEHOSTUNREACH, KIRIM_ENETUNREACH },
    { WSAENOBUFS, KIRIM_ENOBUFS },
    { WSAENOTCONN, KIRIM_ENOTCONN },
    { WSAENOTSOCK, KIRIM_ENOTSOCK },
    { WSAEOPNOTSUPP, KIRIM_EOPNOTSUPP },
    { WSAESHUTDOWN, KIRIM_ESHUTDOWN },
    { WSAETIMEDOUT, KIRIM_ETIMEDOUT },
    { WSANOTINITIALISED, KIRIM_ENOTINITIALISED },
    { WSA_NOT_ENOUGH_MEMORY, KIRIM_ENOMEM },
    { WSAEADDRNOTAVAIL, KIRIM_EADDRNOTAVAIL },
    { WSAEAFNOSUPPORT, KIRIM_EAFNOSUPPORT },
    { WSAVERNOTSUPPORTED + 4000, KIRIM_ESYSTEM }, /* none that has a name */
};

/* By the table, and by way of a send: the answer of NOW, and the event. */
static void codes_are_mapped(struct ks *t)
{
    kc_open_played(t);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    size_t failed = 0;
    for (size_t i = 0; i < sizeof translations / sizeof translations[0]; i++) {
        const struct translation tr = translations[i];
        KS_ERR(tr.err, ki_win_map(tr.sys_err));
        t->mode = KIRIM_SEND_NOW;
        kc_refuse(tr.sys_err, 0, 2); /* some are tried twice */
        KS_ERR(tr.err, ks_send(a, "x", 1, &b->addr, NULL));
        t->mode = 0;
        kc_refuse(tr.sys_err, 0, 2);
        KS_OK(ks_send(a, "x", 1, &b->addr, NULL));
        failed++;
        KS_UNTIL(t, a->failed_count == failed);
        KS_EQ(KIRIM_EVENT_SEND_FAILED, a->event.kind);
        KS_ERR(tr.err, a->event.err);
        KS_EQ(tr.sys_err, a->event.system_code);
        kc_played.send_count = 0;
    }
    KS_ERR(KIRIM_ECONNRESET, ki_win_map(WSAECONNRESET));
    KS_ERR(KIRIM_ENETRESET, ki_win_map(WSAENETRESET));
    KS_ERR(KIRIM_EINTR, ki_win_map(WSAEINTR));
    KS_ERR(KIRIM_EWOULDBLOCK, ki_win_map(WSAEWOULDBLOCK));
    KS_ERR(KIRIM_PENDING, ki_win_map(WSA_IO_PENDING));
    KS_ERR(KIRIM_EABORTED, ki_win_map(WSA_OPERATION_ABORTED));
    KS_EXPECT_END(b, a);
}

/* What a send is told of an earlier one is that one's: an event, and this one leaves. */
static void error_of_an_earlier_send_costs_nothing(struct ks *t)
{
    static const int errors[] = { WSAECONNRESET, WSAENETRESET };
    kc_open_played(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    kc_refuse(errors[t->arg], 0, 3); /* several such, and each costs a call */
    KS_SEND(a, "one", 3, NULL);
    KS_EXPECT(b, "one", 3);
    KS_UNTIL(t, a->failed_count >= 1);
    KS_EQ(0, kc_played.send_count);
    KS_EQ(KIRIM_EVENT_PEER_ERROR, a->event.kind);
    KS_ERR(ki_win_map(errors[t->arg]), a->event.err);
    KS_EQ(errors[t->arg], a->event.system_code);
    KS_CHECK(kirim_addr_equal(&b->addr, &a->event.peer));
    const struct kirim_endpoint_stats s = ks_stats(a);
    KS_EQ(0, ks_drops(&s));
    KS_EXPECT_END(b, a);
}

/* ---- what is passed -------------------------------------------------------------------------- */

static void call_is_what_was_asked(struct ks *t)
{
    kc_open_played(t);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { NULL, 0 };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, 0 };
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
    KS_CHECK(ks_post_msg(a, &msg, t->mode, ks_op(t, 0)) >= 0);
    ks_settle(t);
    KS_EQ(2, kc_played.send_calls);
    KS_EQ(0, kc_played.flags_any);
    for (int i = 0; i < 3; i++) {
        kc_played.flags_all = ~(DWORD)0;
        KS_OK(ks_post_msg(a, &msg, t->mode | KIRIM_SEND_DONTROUTE, NULL));
        ks_settle(t);
        KS_EQ(MSG_DONTROUTE, kc_played.flags_all);
    }
    kc_played.flags_any = 0;
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL)); /* and gone with its datagram */
    ks_settle(t);
    KS_EQ(0, kc_played.flags_any);
    KS_EQ(0, kc_played.message_flags_any);
    KS_EQ(0, kc_played.control_bytes);
    KS_EQ(0, kc_played.miscounted); /* the count: NULL if and only if it is overlapped */
    KS_EQ(0, kc_played.misrouted);
}

static void gather_list_reaches_the_system(struct ks *t)
{
    static uint8_t bytes[300];
    struct kirim_buf list[100];
    kc_open_played(t);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (size_t i = 0; i < 100; i++) {
        list[i] = (struct kirim_buf){ bytes + 3 * i, i % 3 };
    }
    const struct kirim_msg msg = { list, &b->addr, NULL, 100, 0 };
    KS_CHECK(ks_post_msg(a, &msg, t->mode, ks_op(t, 0)) >= 0);
    ks_settle(t);
    KS_CHECK(kc_played.buf_count > 60 && kc_played.buf_count <= 100);
    KS_CHECK(kc_played.bufs[0] == bytes || kc_played.bufs[0] == bytes + 3);
}

/* A control message: header with its length, level and type, then the data, all little-endian, as
 * on every machine that Windows runs on; then up to the next multiple of a pointer's size. */
struct expected {
    uint8_t bytes[KC_PLAYED_CONTROL_BYTES];
    ULONG count;
};

static void expect_message(struct expected *e, uint8_t level, uint8_t type, const void *data,
                           uint8_t data_bytes)
{
    enum { WORD = sizeof(void *), HEADER = WORD + 8 };
    uint8_t *at = e->bytes + e->count;
    at[0] = (uint8_t)(HEADER + data_bytes);
    at[WORD] = level;
    at[WORD + 4] = type;
    memcpy(at + HEADER, data, data_bytes);
    e->count += (ULONG)(HEADER + (data_bytes + WORD - 1U) / WORD * WORD);
}

static void passes_control(struct ks_node *a, const struct kirim_addr *to,
                           const struct kirim_control *control, const struct expected *e)
{
    const struct kirim_buf one = { NULL, 0 };
    const struct kirim_msg msg = { &one, to, control, 1, 0 };
    const size_t calls = kc_played.send_calls;
    KS_OK(ks_post_msg(a, &msg, a->t->mode, NULL));
    KS_OK(kirim_endpoint_flush(a->ep));
    KS_EQ(calls + 1, kc_played.send_calls);
    KS_EQ(e->count, kc_played.control_bytes);
    KS_EQ(0, memcmp(e->bytes, kc_played.control, e->count));
}

/* IPv4: IP_PKTINFO (19) with the address and no interface. IPv6: IPV6_PKTINFO (19), likewise. */
static const uint8_t info_v4[8] = { 127, 0, 0, 2 };
static const uint8_t info_v6[20] = { [15] = 1 };

static void source_is_passed(struct ks *t)
{
    struct expected e = { { 0 }, 0 };
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    kc_open_played(t);
    options.local = ks_wildcard(t->family, 0);
    struct ks_node *a = ks_node_with(t, &options);
    const struct ks_node *b = ks_node(t);
    if (t->family == KIRIM_IPV4) {
        KS_OK(kirim_addr_parse("127.0.0.2:0", &control.source));
        expect_message(&e, 0, 19, info_v4, sizeof info_v4);
    } else {
        control.source = ks_loopback(KIRIM_IPV6, 0);
        expect_message(&e, 41, 19, info_v6, sizeof info_v6);
    }
    passes_control(a, &b->addr, &control, &e);
}

/* From a dual-stack endpoint: by the destination, not by the socket. */
static void source_follows_the_destination(struct ks *t)
{
    struct expected v4 = { { 0 }, 0 };
    struct expected v6 = { { 0 }, 0 };
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    kc_open_played(t);
    const struct ks_node *to_v6 = ks_node(t);
    options.local = ks_loopback(KIRIM_IPV4, 0);
    const struct ks_node *to_v4 = ks_node_with(t, &options);
    options.local = ks_wildcard(KIRIM_IPV6, 0);
    options.flags = KIRIM_ENDPOINT_DUAL_STACK;
    struct ks_node *a = ks_node_with(t, &options);
    KS_OK(kirim_addr_parse("127.0.0.2:0", &control.source));
    expect_message(&v4, 0, 19, info_v4, sizeof info_v4);
    passes_control(a, &to_v4->addr, &control, &v4);
    KS_EQ(AF_INET6, kc_played.family); /* mapped */
    control.source = ks_loopback(KIRIM_IPV6, 0);
    expect_message(&v6, 41, 19, info_v6, sizeof info_v6);
    passes_control(a, &to_v6->addr, &control, &v6);
}

/* ECN alone by its own message (50); with a DSCP the whole octet (3, or 39); the hop limit (4, or
 * 21). */
static void marks_are_passed(struct ks *t)
{
    const bool is_v4 = t->family == KIRIM_IPV4;
    const uint8_t level = is_v4 ? 0 : 41;
    static const uint8_t ecn[4] = { 2 };
    static const uint8_t octet[4] = { 46 << 2 | 1 };
    static const uint8_t ttl[4] = { 9 };
    struct expected e = { { 0 }, 0 };
    struct expected both = { { 0 }, 0 };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    kc_open_played(t);
    struct ks_node *a = ks_node(t);
    const struct ks_node *b = ks_node(t);
    control.ecn = 2;
    expect_message(&e, level, 50, ecn, sizeof ecn);
    passes_control(a, &b->addr, &control, &e);
    control.ecn = 1;
    control.dscp = 46;
    control.ttl = 9;
    expect_message(&both, level, is_v4 ? 3 : 39, octet, sizeof octet);
    expect_message(&both, level, is_v4 ? 4 : 21, ttl, sizeof ttl);
    passes_control(a, &b->addr, &control, &both);
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* At the latest when what was posted before it is filled. */
static void error_of_a_receive_is_told(struct ks *t)
{
    kc_open_played(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    ks_settle(t); /* what is posted ahead has been */
    KS_SEND(b, "one", 3, &a->addr);
    refuse_receives(WSAECONNRESET, 1);
    KS_EXPECT(a, "one", 3);
    for (int i = 0; i < POSTED_MAX && a->failed_count == 0; i++) {
        KS_SEND(b, "more", 4, &a->addr);
        KS_EXPECT(a, "more", 4);
        ks_settle(t);
    }
    KS_EQ(1, a->failed_count);
    KS_EQ(KIRIM_EVENT_PEER_ERROR, a->event.kind);
    KS_ERR(KIRIM_ECONNRESET, a->event.err);
    KS_EQ(WSAECONNRESET, a->event.system_code);
    KS_CHECK(kirim_addr_equal(&b->addr, &a->event.peer));
    KS_EQ(1, ks_stats(a).rx_errors);
    KS_EXPECT_END(a, b);
}

/* Whatever a receive fails with, it is not the end of the endpoint. */
static void endpoint_outlives_every_error(struct ks *t)
{
    kc_open_played(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    for (size_t i = 0; i < sizeof translations / sizeof translations[0]; i++) {
        if (translations[i].sys_err == WSAEMSGSIZE) {
            continue; /* of a receive it says that the datagram was cut */
        }
        KS_SEND(b, "one", 3, &a->addr);
        refuse_receives(translations[i].sys_err, 2);
        KS_EXPECT(a, "one", 3);
    }
    KS_EXPECT_END(a, b);
}

#define PLAYED(claim, cites, function, proof, how) \
    KC(claim, cites, function, proof, (how) | KC_UNOPENED | KC_SYSTEM | KC_EXTRA)

static const struct kc_case cases[] = {
    PLAYED("interruption_is_retried_and_never_shown", "S34", interruption_is_never_shown, KC_SPY,
           0),
    PLAYED("one_of_many_is_lost_and_no_other", "S24 S40", one_of_many_is_lost, KC_SPY, 0),
    PLAYED("codes_of_the_system_are_mapped",
           "S30 S31 S33 S34 S36 S37 S38 S39 S40 S41 S42 S43 S44 S47", codes_are_mapped, KC_MAPPED,
           0),
    KC_ARG("reset_of_an_earlier_send_costs_nothing", "S31", error_of_an_earlier_send_costs_nothing,
           KC_SPY, KC_MODES | KC_UNOPENED | KC_SYSTEM | KC_EXTRA, 0),
    KC_ARG("expiry_of_an_earlier_send_costs_nothing", "S38", error_of_an_earlier_send_costs_nothing,
           KC_SPY, KC_MODES | KC_UNOPENED | KC_SYSTEM | KC_EXTRA, 1),
    PLAYED("call_is_what_was_asked", "S10 S11 S29 S50", call_is_what_was_asked, KC_SPY, KC_MODES),
    PLAYED("gather_list_reaches_the_system", "S4", gather_list_reaches_the_system, KC_SPY,
           KC_MODES),
    PLAYED("source_of_an_ipv4_datagram_is_passed", "S7", source_is_passed, KC_SPY,
           KC_MODES | KC_IPV4_ONLY),
    PLAYED("source_of_an_ipv6_datagram_is_passed", "S8", source_is_passed, KC_SPY,
           KC_MODES | KC_IPV6_ONLY),
    PLAYED("source_that_is_passed_follows_the_destination", "S9", source_follows_the_destination,
           KC_SPY, KC_MODES | KC_IPV6_ONLY),
    PLAYED("ecn_dscp_and_time_to_live_are_passed", "", marks_are_passed, KC_SPY, KC_MODES),
    PLAYED("error_of_a_receive_is_told", "S31", error_of_a_receive_is_told, KC_SPY, 0),
    PLAYED("endpoint_outlives_every_error_of_a_receive", "S31", endpoint_outlives_every_error,
           KC_SPY, 0),
};

const struct kc_subject kc_system = KC_SUBJECT("system", cases);
