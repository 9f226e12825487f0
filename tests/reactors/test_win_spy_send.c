/* SPDX-License-Identifier: MIT
 *
 * Claims about what the reactors over Winsock pass to WSASendMsg: name, buffers, control data,
 * flags, segment sizes. Each expected byte is written by hand from the reference pages of WSAMSG,
 * IN_PKTINFO, IN6_PKTINFO, "IPPROTO_IP socket options", "IPPROTO_IPV6 socket options" and
 * "IPPROTO_UDP socket options", for 64-bit Windows: a header of 16 bytes (length with it in 8,
 * level in 4, type in 4), the data, zeros up to a multiple of 8.
 */
#include <stdlib.h>
#include <string.h>

#include "support/win_spy.h"

enum {
    FAMILIES = 2,
    MODES = 2, /* queued, NOW */
    MANY_BUFS = KIRIM_BUF_COUNT_MAX
};

static const uint8_t name_ipv4[16] = { 2, 0, 0x30, 0x39, 192, 0, 2, 1 };
static const uint8_t name_ipv6[28] = {
    23,   0,    0x30, 0x39, 0, 0, 0, 0, /* AF_INET6, port 12345, no flow */
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, /* 2001:db8::1 */
    0,    0,    0,    0,    0, 0, 0, 1, /* and no scope */
};
static const uint8_t name_mapped[28] = {
    23, 0, 0x30, 0x39, 0,   0, 0, 0, /* ::ffff:192.0.2.1 */
    0,  0, 0,    0,    0,   0, 0, 0, /* */
    0,  0, 0xff, 0xff, 192, 0, 2, 1, /* */
};

static struct kirim_addr addr(const char *text)
{
    struct kirim_addr a;
    KS_OK(kirim_addr_parse(text, &a));
    return a;
}

static struct kirim_addr peer_of(int family)
{
    return addr(family == KIRIM_IPV4 ? "192.0.2.1:12345" : "[2001:db8::1]:12345");
}

/* Opens case number `i`: every reactor, both families, both modes. Nothing leaves. */
static struct ks_node *open_case(struct ks *t, int i)
{
    win_spy_open(t, i / (FAMILIES * MODES), i % FAMILIES == 0 ? KIRIM_IPV4 : KIRIM_IPV6);
    t->mode = i / FAMILIES % MODES == 0 ? 0 : KIRIM_SEND_NOW;
    win_spy_answer_rest(WIN_SPY_SENT, 0);
    return ks_node(t);
}

/* Opens a reactor with an IPv6 endpoint that serves IPv4, too. */
static struct ks_node *open_dual(struct ks *t, int reactor)
{
    win_spy_open(t, reactor, KIRIM_IPV6);
    win_spy_answer_rest(WIN_SPY_SENT, 0);
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_wildcard(KIRIM_IPV6, 0);
    options.flags = KIRIM_ENDPOINT_DUAL_STACK;
    return ks_node_with(t, &options);
}

/* Sends one byte with control data, in the mode of the case, and sees it passed. */
static kirim_err send_control(struct ks_node *n, const struct kirim_control *control,
                              const struct kirim_addr *peer)
{
    char byte = 'x';
    const struct kirim_buf buf = { &byte, 1 };
    const struct kirim_msg msg = { &buf, peer, control, 1, 0 };
    const kirim_err err = ks_post_msg(n, &msg, n->t->mode, NULL);
    ks_settle(n->t);
    return err;
}

/* ---- names and buffers ----------------------------------------------------------------------- */

START_TEST(plain_datagram_has_a_name_and_nothing_else) /* S1, S2, S10, S32, S50 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    KS_SEND(n, "abc", 3, &peer);
    ks_settle(&t);
    KS_EQ(1, win_spy_send_count());
    if (t.family == KIRIM_IPV4) {
        WIN_SPY_NAME(0, name_ipv4);
    } else {
        WIN_SPY_NAME(0, name_ipv6);
    }
    WIN_SPY_BYTES(0, "abc");
    WIN_SPY_NO_CONTROL(0);
    KS_EQ(1, win_spy_send_at(0)->buf_count);
    KS_EQ(0, win_spy_send_at(0)->flags);
    KS_CHECK(win_spy_is_overlapped(&t) || !win_spy_send_at(0)->is_overlapped); /* S16 */
    win_spy_close(&t);
}
END_TEST

START_TEST(connected_endpoint_gives_no_name) /* S1, S32 */
{
    struct ks t;
    (void)open_case(&t, _i);
    const struct kirim_addr peer = win_spy_origin(t.family);
    struct ks_node *n = ks_node_connected(&t, &peer);
    KS_SEND(n, "abc", 3, NULL);
    ks_settle(&t);
    KS_EQ(0, win_spy_send_at(0)->name_bytes);
    WIN_SPY_BYTES(0, "abc");
    WIN_SPY_NO_CONTROL(0);
    win_spy_close(&t);
}
END_TEST

START_TEST(name_beside_a_connection_is_passed) /* S1 */
{
    struct ks t;
    (void)open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    const struct kirim_addr remote = win_spy_origin(t.family);
    struct ks_node *n = ks_node_connected(&t, &remote);
    KS_SEND(n, "abc", 3, &peer);
    ks_settle(&t);
    KS_EQ(t.family == KIRIM_IPV4 ? 16 : 28, win_spy_send_at(0)->name_bytes);
    win_spy_close(&t);
}
END_TEST

START_TEST(scope_goes_with_an_address_that_has_one) /* L43 */
{
    static const uint8_t name[28] = {
        23, 0, 0x30, 0x39, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0,
        0,  0, 0,    0,    0, 0, 0, 0, 0,    9,    7, 0, 0, 0, /* scope 7, as the host has it */
    };
    struct ks t;
    struct ks_node *n = open_case(&t, 4 * _i + 1);
    const struct kirim_addr peer = addr("[fe80::9%7]:12345");
    KS_SEND(n, "abc", 3, &peer);
    ks_settle(&t);
    WIN_SPY_NAME(0, name);
    win_spy_close(&t);
}
END_TEST

START_TEST(gather_list_goes_down_as_it_is) /* S4, S52 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    char head[] = "ab";
    char tail[] = "cde";
    const struct kirim_buf list[] = { { NULL, 0 }, { head, 2 }, { tail, 0 }, { tail, 3 } };
    const struct kirim_msg msg = { list, &peer, NULL, 4, 0 };
    struct ks_op *o = ks_op(&t, 0);
    KS_CHECK(ks_post_msg(n, &msg, t.mode, o) >= 0);
    ks_settle(&t);
    KS_EQ(KIRIM_OK, o->err);
    KS_EQ(5, o->sent_bytes);
    WIN_SPY_BYTES(0, "abcde");
    const struct win_spy_send *seen = win_spy_send_at(0);
    KS_EQ(4, seen->buf_count);
    for (int i = 0; i < 4; i++) { /* the caller's own bytes, not a copy of them */
        KS_CHECK(seen->bufs[i].buf == list[i].data);
        KS_EQ(list[i].bytes, seen->bufs[i].len);
    }
    win_spy_close(&t);
}
END_TEST

START_TEST(most_buffers_go_down_in_one_call) /* S4 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    char byte = 'x';
    struct kirim_buf list[MANY_BUFS];
    for (int i = 0; i < MANY_BUFS; i++) {
        list[i] = (struct kirim_buf){ &byte, 1 };
    }
    const struct kirim_msg msg = { list, &peer, NULL, MANY_BUFS, 0 };
    struct ks_op *o = ks_op(&t, 0);
    KS_CHECK(ks_post_msg(n, &msg, t.mode, o) >= 0);
    ks_settle(&t);
    KS_EQ(KIRIM_OK, o->err);
    KS_EQ(MANY_BUFS, win_spy_send_at(0)->buf_count);
    KS_EQ(MANY_BUFS, win_spy_send_at(0)->byte_count);
    win_spy_close(&t);
}
END_TEST

START_TEST(nothing_is_an_empty_datagram) /* S4 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    win_spy_answer_rest(WIN_SPY_THROUGH, 0);
    char byte = 'x';
    const struct kirim_buf list[] = { { NULL, 0 }, { &byte, 0 }, { NULL, 0 } };
    for (size_t count = 0; count <= 3; count++) {
        const struct kirim_msg msg = { count != 0 ? list : NULL, &n->addr, NULL, count, 0 };
        struct ks_op *o = ks_op(&t, 0);
        KS_CHECK(ks_post_msg(n, &msg, t.mode, count % 2 == 0 ? o : NULL) >= 0);
        KS_EXPECT(n, "", 0);
        ks_settle(&t);
        KS_EQ(0, win_spy_send_at((uint32_t)count)->byte_count);
    }
    win_spy_close(&t);
}
END_TEST

START_TEST(array_name_and_control_data_are_captured) /* S5 */
{
    static const uint8_t octet[24] = { 20, [12] = 50, [16] = 2 };
    struct ks t;
    struct ks_node *n = open_case(&t, 4 * _i); /* queued: NOW leaves before it returns */
    struct kirim_addr peer = peer_of(KIRIM_IPV4);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.ecn = 2;
    char head[] = "ab";
    char tail[] = "cd";
    struct kirim_buf list[] = { { head, 2 }, { tail, 2 } };
    struct kirim_msg msg = { list, &peer, &control, 2, 0 };
    struct ks_op *o = ks_op(&t, 0);
    KS_ERR(KIRIM_PENDING, ks_post_msg(n, &msg, 0, o));
    memset(list, 0xee, sizeof list);
    memset(&peer, 0xee, sizeof peer);
    memset(&control, 0xee, sizeof control);
    memset(&msg, 0xee, sizeof msg);
    ks_settle(&t);
    WIN_SPY_NAME(0, name_ipv4);
    WIN_SPY_BYTES(0, "abcd");
    WIN_SPY_CONTROL(0, octet);
    win_spy_close(&t);
}
END_TEST

START_TEST(misuse_is_refused_before_the_system_is_asked) /* S6, S9, S10, S11, S32, S41 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    const struct kirim_buf nowhere = { NULL, 1 };
    const struct kirim_msg bad_buf = { &nowhere, &peer, NULL, 1, 0 };
    const struct kirim_msg bad_list = { NULL, &peer, NULL, 1, 0 };
    const struct kirim_msg no_peer = KIRIM_MSG_INIT;
    const struct kirim_msg good = { NULL, &peer, NULL, 0, 0 };
    KS_ERR(KIRIM_EFAULT, ks_post_msg(n, &bad_buf, t.mode, NULL));
    KS_ERR(KIRIM_EFAULT, ks_post_msg(n, &bad_list, t.mode, NULL));
    KS_ERR(KIRIM_ENOTCONN, ks_post_msg(n, &no_peer, t.mode, NULL));
    for (uint32_t flag = 8; flag != 0; flag <<= 1) { /* MSG_OOB and MSG_PARTIAL have no flag here */
        KS_ERR(KIRIM_EOPNOTSUPP, ks_post_msg(n, &good, t.mode | flag, NULL));
    }
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = addr(t.family == KIRIM_IPV4 ? "::1" : "127.0.0.1");
    KS_ERR(KIRIM_EINVAL, send_control(n, &control, &peer));
    const size_t too_long = kirim_endpoint_payload_bytes_max(n->ep, &peer) + 1;
    char *bytes = calloc(1, too_long);
    KS_CHECK(bytes != NULL);
    KS_ERR(KIRIM_EMSGSIZE, ks_send(n, bytes, too_long, &peer, NULL));
    ks_settle(&t);
    KS_EQ(0, win_spy_send_count());
    KS_CHECK(ks_send(n, bytes, too_long - 1, &peer, NULL) >= 0); /* it still works */
    ks_settle(&t);
    KS_EQ(too_long - 1, win_spy_send_at(0)->byte_count);
    free(bytes);
    win_spy_close(&t);
}
END_TEST

START_TEST(dontroute_is_passed_on) /* S11 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    const struct kirim_msg msg = { NULL, &peer, NULL, 0, 0 };
    KS_OK(ks_post_msg(n, &msg, t.mode, NULL));
    KS_OK(ks_post_msg(n, &msg, t.mode | KIRIM_SEND_DONTROUTE, NULL));
    KS_OK(ks_post_msg(n, &msg, t.mode, NULL));
    ks_settle(&t);
    KS_EQ(3, win_spy_send_count());
    KS_EQ(0, win_spy_send_at(0)->flags);
    KS_EQ(4, win_spy_send_at(1)->flags); /* MSG_DONTROUTE */
    KS_EQ(0, win_spy_send_at(2)->flags);
    win_spy_close(&t);
}
END_TEST

/* ---- control data ---------------------------------------------------------------------------- */

START_TEST(ipv4_source_is_in_pktinfo) /* S7 */
{
    static const uint8_t bytes[] = {
        24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0, /* IPPROTO_IP, IP_PKTINFO */
        10, 1, 2, 3, 0, 0, 0, 0,                          /* ipi_addr, ipi_ifindex */
    };
    static const uint8_t by_interface[] = {
        24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x01, 0, 0,
    };
    struct ks t;
    struct ks_node *n = open_case(&t, 2 * _i);
    const struct kirim_addr peer = peer_of(KIRIM_IPV4);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = addr("10.1.2.3");
    KS_OK(send_control(n, &control, &peer));
    WIN_SPY_CONTROL(0, bytes);
    control = (struct kirim_control)KIRIM_CONTROL_INIT;
    control.ifindex = 0x102;
    KS_OK(send_control(n, &control, &peer));
    WIN_SPY_CONTROL(1, by_interface);
    win_spy_close(&t);
}
END_TEST

START_TEST(ipv6_source_is_in6_pktinfo) /* S8 */
{
    static const uint8_t bytes[] = {
        36,   0,    0,    0,    0, 0, 0, 0, 41, 0, 0, 0, 19, 0, 0, 0, /* IPPROTO_IPV6 */
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 5, /* ipi6_addr */
        3,    0,    0,    0,    0, 0, 0, 0,                           /* ipi6_ifindex, padding */
    };
    struct ks t;
    struct ks_node *n = open_case(&t, 2 * _i + 1);
    const struct kirim_addr peer = peer_of(KIRIM_IPV6);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = addr("2001:db8::5");
    control.ifindex = 3;
    KS_OK(send_control(n, &control, &peer));
    WIN_SPY_CONTROL(0, bytes);
    win_spy_close(&t);
}
END_TEST

START_TEST(dual_stack_source_follows_the_destination) /* S9, L29 */
{
    static const uint8_t to_ipv4[] = {
        24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0, 10, 1, 2, 3, 0, 0, 0, 0,
    };
    static const uint8_t to_ipv6[] = {
        36,   0,    0,    0,    0, 0, 0, 0, 41, 0, 0, 0, 19, 0, 0, 0, /* */
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 5, /* */
        0,    0,    0,    0,    0, 0, 0, 0,
    };
    struct ks t;
    struct ks_node *n = open_dual(&t, _i);
    const struct kirim_addr ipv4 = peer_of(KIRIM_IPV4);
    const struct kirim_addr ipv6 = peer_of(KIRIM_IPV6);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = addr("10.1.2.3");
    KS_OK(send_control(n, &control, &ipv4));
    WIN_SPY_NAME(0, name_mapped);
    WIN_SPY_CONTROL(0, to_ipv4);
    KS_ERR(KIRIM_EINVAL, send_control(n, &control, &ipv6));
    control.source = addr("2001:db8::5");
    KS_OK(send_control(n, &control, &ipv6));
    WIN_SPY_NAME(1, name_ipv6);
    WIN_SPY_CONTROL(1, to_ipv6);
    KS_ERR(KIRIM_EINVAL, send_control(n, &control, &ipv4));
    KS_EQ(2, win_spy_send_count());
    win_spy_close(&t);
}
END_TEST

START_TEST(dual_stack_octet_and_hops_follow_the_destination) /* L29 */
{
    static const uint8_t to_ipv4[] = {
        20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 0, 0, 0, 1,  0, 0, 0, 0, 0, 0, 0, /* IP_ECN */
        20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4,  0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, /* IP_TTL */
    };
    static const uint8_t to_ipv6[] = {
        20, 0, 0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 50, 0, 0, 0, 1,  0, 0, 0, 0, 0, 0, 0,
        20, 0, 0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 21, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0,
    };
    struct ks t;
    struct ks_node *n = open_dual(&t, _i);
    const struct kirim_addr ipv4 = peer_of(KIRIM_IPV4);
    const struct kirim_addr ipv6 = peer_of(KIRIM_IPV6);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.ecn = 1;
    control.ttl = 64;
    KS_OK(send_control(n, &control, &ipv4));
    KS_OK(send_control(n, &control, &ipv6));
    WIN_SPY_CONTROL(0, to_ipv4);
    WIN_SPY_CONTROL(1, to_ipv6);
    win_spy_close(&t);
}
END_TEST

START_TEST(ecn_alone_is_its_own_message)
{
    static const uint8_t ipv4[3][24] = {
        { 20, [12] = 50, [16] = 1 },
        { 20, [12] = 50, [16] = 2 },
        { 20, [12] = 50, [16] = 3 },
    };
    static const uint8_t ipv6[3][24] = {
        { 20, [8] = 41, [12] = 50, [16] = 1 },
        { 20, [8] = 41, [12] = 50, [16] = 2 },
        { 20, [8] = 41, [12] = 50, [16] = 3 },
    };
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    KS_OK(send_control(n, &control, &peer)); /* nothing to say has no bytes */
    WIN_SPY_NO_CONTROL(0);
    for (uint8_t ecn = 1; ecn <= 3; ecn++) {
        control.ecn = ecn;
        KS_OK(send_control(n, &control, &peer));
        WIN_SPY_CONTROL(ecn, (t.family == KIRIM_IPV4 ? ipv4 : ipv6)[ecn - 1]);
    }
    win_spy_close(&t);
}
END_TEST

START_TEST(dscp_brings_the_whole_octet)
{
    static const uint8_t ipv4[24] = { 20, [12] = 3, [16] = 0xba };            /* IP_TOS */
    static const uint8_t ipv6[24] = { 20, [8] = 41, [12] = 39, [16] = 0xba }; /* IPV6_TCLASS */
    static const uint8_t ipv4_most[24] = { 20, [12] = 3, [16] = 0xfc };
    static const uint8_t ipv6_most[24] = { 20, [8] = 41, [12] = 39, [16] = 0xfc };
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.dscp = 46;
    control.ecn = 2;
    KS_OK(send_control(n, &control, &peer));
    control.dscp = 63;
    control.ecn = 0;
    KS_OK(send_control(n, &control, &peer));
    if (t.family == KIRIM_IPV4) {
        WIN_SPY_CONTROL(0, ipv4);
        WIN_SPY_CONTROL(1, ipv4_most);
    } else {
        WIN_SPY_CONTROL(0, ipv6);
        WIN_SPY_CONTROL(1, ipv6_most);
    }
    win_spy_close(&t);
}
END_TEST

START_TEST(everything_goes_in_one_order_padded)
{
    static const uint8_t ipv4[] = {
        24,  0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 19, 0, 0, 0, /* IP_PKTINFO */
        10,  1, 2, 3, 9, 0, 0, 0,                           /* */
        20,  0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 3,  0, 0, 0, /* IP_TOS */
        41,  0, 0, 0, 0, 0, 0, 0,                           /* 10 << 2 | 1 */
        20,  0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 4,  0, 0, 0, /* IP_TTL */
        255, 0, 0, 0, 0, 0, 0, 0,                           /* */
        20,  0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 2,  0, 0, 0, /* UDP_SEND_MSG_SIZE */
        3,   0, 0, 0, 0, 0, 0, 0,
    };
    static const uint8_t ipv6[] = {
        36,   0,    0,    0,    0, 0, 0, 0, 41, 0, 0, 0, 19, 0, 0, 0, /* IPV6_PKTINFO */
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 5, /* */
        9,    0,    0,    0,    0, 0, 0, 0,                           /* */
        20,   0,    0,    0,    0, 0, 0, 0, 41, 0, 0, 0, 39, 0, 0, 0, /* IPV6_TCLASS */
        41,   0,    0,    0,    0, 0, 0, 0,                           /* */
        20,   0,    0,    0,    0, 0, 0, 0, 41, 0, 0, 0, 21, 0, 0, 0, /* IPV6_HOPLIMIT */
        255,  0,    0,    0,    0, 0, 0, 0,                           /* */
        20,   0,    0,    0,    0, 0, 0, 0, 17, 0, 0, 0, 2,  0, 0, 0, /* UDP_SEND_MSG_SIZE */
        3,    0,    0,    0,    0, 0, 0, 0,
    };
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = addr(t.family == KIRIM_IPV4 ? "10.1.2.3" : "2001:db8::5");
    control.ifindex = 9;
    control.dscp = 10;
    control.ecn = 1;
    control.ttl = 255;
    char bytes[] = "aaabbbc";
    const struct kirim_buf buf = { bytes, 7 };
    const struct kirim_msg msg = { &buf, &peer, &control, 1, 3 };
    KS_OK(ks_post_msg(n, &msg, t.mode, NULL));
    ks_settle(&t);
    KS_EQ(1, win_spy_send_count());
    WIN_SPY_BYTES(0, "aaabbbc");
    if (t.family == KIRIM_IPV4) {
        WIN_SPY_CONTROL(0, ipv4);
    } else {
        WIN_SPY_CONTROL(0, ipv6);
    }
    win_spy_close(&t);
}
END_TEST

START_TEST(dont_fragment_of_a_message_holds_for_it_alone)
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_msg plain = { NULL, &peer, NULL, 0, 0 };
    const struct kirim_msg whole = { NULL, &peer, &control, 0, 0 };
    control.flags = KIRIM_CONTROL_DONT_FRAGMENT;
    KS_CHECK((t.caps & KIRIM_CAP_DONT_FRAGMENT) != 0);
    KS_OK(ks_post_msg(n, &plain, t.mode, NULL));
    KS_OK(ks_post_msg(n, &whole, t.mode, NULL));
    KS_OK(ks_post_msg(n, &whole, t.mode, NULL));
    KS_OK(ks_post_msg(n, &plain, t.mode, NULL));
    ks_settle(&t);
    KS_EQ(4, win_spy_send_count());
    for (uint32_t i = 0; i < 4; i++) {
        const int *said = win_spy_send_at(i)->dont_fragment;
        const int value = said[t.family == KIRIM_IPV6];
        KS_EQ(i == 1 || i == 2, value == 1);
        KS_CHECK(value == 1 || value == 0 || i == 0);
        WIN_SPY_NO_CONTROL(i);
    }
    win_spy_close(&t);
}
END_TEST

/* ---- segmentation offload -------------------------------------------------------------------- */

/* UDP_SEND_MSG_SIZE of 1,200 and of 4: a DWORD. */
static const uint8_t segment_1200[] = {
    20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 2, 0, 0, 0, 0xb0, 0x04, 0, 0, 0, 0, 0, 0,
};
static const uint8_t segment_4[] = {
    20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
};

static void send_train(struct ks_node *n, const void *bytes, size_t count, size_t segment_bytes,
                       const struct kirim_addr *peer)
{
    union {
        const void *in;
        void *out;
    } plain = { bytes };
    const struct kirim_buf buf = { plain.out, count };
    const struct kirim_msg msg = { &buf, peer, NULL, 1, segment_bytes };
    KS_OK(ks_post_msg(n, &msg, n->t->mode, NULL));
    ks_settle(n->t);
}

START_TEST(train_leaves_with_its_segment_size)
{
    static const char bytes[3000] = { 1 };
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    KS_CHECK((t.caps & KIRIM_CAP_TRAINS) != 0);
    send_train(n, bytes, sizeof bytes, 1200, &peer);
    KS_EQ(1, win_spy_send_count());
    KS_EQ(sizeof bytes, win_spy_send_at(0)->byte_count);
    WIN_SPY_CONTROL(0, segment_1200);
    KS_EQ(3, ks_stats(n).tx_datagrams);
    KS_EQ(1, ks_stats(n).tx_trains);
    win_spy_close(&t);
}
END_TEST

START_TEST(one_segment_has_no_size) /* L7 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = peer_of(t.family);
    send_train(n, "abcd", 4, 4, &peer);
    send_train(n, "abc", 3, 4, &peer);
    KS_EQ(2, win_spy_send_count());
    WIN_SPY_NO_CONTROL(0);
    WIN_SPY_NO_CONTROL(1);
    KS_EQ(0, ks_stats(n).tx_trains);
    win_spy_close(&t);
}
END_TEST

START_TEST(neighbours_leave_as_one_train)
{
    struct ks t;
    struct ks_node *n = open_case(&t, 4 * _i);
    const struct kirim_addr peer = peer_of(KIRIM_IPV4);
    const struct kirim_addr other = addr("192.0.2.2:12345");
    KS_SEND(n, "aaaa", 4, &peer);
    KS_SEND(n, "bbbb", 4, &peer);
    KS_SEND(n, "cc", 2, &peer);
    KS_SEND(n, "dddd", 4, &peer); /* a shorter one was the last */
    KS_SEND(n, "eeee", 4, &other);
    ks_settle(&t);
    KS_EQ(3, win_spy_send_count());
    WIN_SPY_BYTES(0, "aaaabbbbcc");
    WIN_SPY_CONTROL(0, segment_4);
    WIN_SPY_BYTES(1, "dddd");
    WIN_SPY_NO_CONTROL(1);
    WIN_SPY_BYTES(2, "eeee");
    KS_EQ(5, ks_stats(n).tx_datagrams);
    win_spy_close(&t);
}
END_TEST

START_TEST(refused_train_leaves_one_by_one_and_is_not_tried_again) /* L4, L16 */
{
    static const int codes[] = { WSAEINVAL, WSAEMSGSIZE, WSAEOPNOTSUPP };
    struct ks t;
    struct ks_node *n = open_case(&t, _i);
    const struct kirim_addr peer = n->addr; /* the fault is not that of a foreign source */
    win_spy_answer(WIN_SPY_REFUSED, codes[_i % 3], 1);
    send_train(n, "aaaabbbbcc", 10, 4, &peer);
    KS_EQ(4, win_spy_send_count());
    WIN_SPY_CONTROL(0, segment_4);
    WIN_SPY_BYTES(1, "aaaa");
    WIN_SPY_BYTES(2, "bbbb");
    WIN_SPY_BYTES(3, "cc");
    for (uint32_t i = 1; i <= 3; i++) {
        WIN_SPY_NO_CONTROL(i);
    }
    KS_EQ(1, ks_stats(n).tx_trains_refused);
    KS_EQ(3, ks_stats(n).tx_datagrams);
    win_spy_forget_sends();
    send_train(n, "aaaabbbb", 8, 4, &peer);
    KS_EQ(2, win_spy_send_count());
    WIN_SPY_NO_CONTROL(0);
    WIN_SPY_NO_CONTROL(1);
    const struct kirim_endpoint_stats s = ks_stats(n);
    KS_EQ(0, s.tx_trains);
    KS_EQ(0, ks_drops(&s));
    KS_EQ(0, n->failed_count);
    win_spy_close(&t);
}
END_TEST

START_TEST(refused_neighbours_leave_one_by_one) /* L4 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, 4 * _i);
    const struct kirim_addr peer = n->addr;
    win_spy_answer(WIN_SPY_REFUSED, WSAEINVAL, 1);
    KS_SEND(n, "aaaa", 4, &peer);
    KS_SEND(n, "bbbb", 4, &peer);
    ks_settle(&t);
    KS_EQ(3, win_spy_send_count());
    WIN_SPY_BYTES(0, "aaaabbbb");
    WIN_SPY_BYTES(1, "aaaa");
    WIN_SPY_NO_CONTROL(1);
    WIN_SPY_BYTES(2, "bbbb");
    WIN_SPY_NO_CONTROL(2);
    KS_EQ(2, ks_stats(n).tx_datagrams);
    win_spy_close(&t);
}
END_TEST

START_TEST(offload_can_be_switched_off)
{
    struct ks t;
    KS_EQ(0, _putenv("KIRIM_GSO=0"));
    struct ks_node *n = open_case(&t, _i);
    (void)_putenv("KIRIM_GSO=");
    const struct kirim_addr peer = peer_of(t.family);
    KS_CHECK((t.caps & KIRIM_CAP_TRAINS) == 0);
    send_train(n, "aaaabb", 6, 4, &peer);
    KS_EQ(2, win_spy_send_count());
    WIN_SPY_BYTES(0, "aaaa");
    WIN_SPY_NO_CONTROL(0);
    WIN_SPY_BYTES(1, "bb");
    WIN_SPY_NO_CONTROL(1);
    win_spy_close(&t);
}
END_TEST

START_TEST(endpoint_can_do_without_offload)
{
    struct ks t;
    (void)open_case(&t, _i);
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.flags = KIRIM_ENDPOINT_NO_TRAINS;
    struct ks_node *n = ks_node_with(&t, &options);
    const struct kirim_addr peer = peer_of(t.family);
    send_train(n, "aaaabb", 6, 4, &peer);
    KS_EQ(2, win_spy_send_count());
    WIN_SPY_NO_CONTROL(0);
    WIN_SPY_NO_CONTROL(1);
    win_spy_close(&t);
}
END_TEST

START_TEST(no_segment_size_is_left_on_the_socket) /* L8, L9 */
{
    struct ks t;
    struct ks_node *n = open_case(&t, 4 * _i);
    const int value = win_spy_option(n, IPPROTO_UDP, 2);
    KS_CHECK(value == -1 || value == 0);
    win_spy_close(&t);
}
END_TEST

/* ---- the suite ------------------------------------------------------------------------------- */

int main(void)
{
    const int reactors = win_spy_reactor_count();
    const int all = reactors * FAMILIES * MODES;
    Suite *suite = suite_create("reactors/win_spy_send");
    TCase *tcase = tcase_create("names, buffers, flags");
    tcase_add_loop_test(tcase, plain_datagram_has_a_name_and_nothing_else, 0, all);
    tcase_add_loop_test(tcase, connected_endpoint_gives_no_name, 0, all);
    tcase_add_loop_test(tcase, name_beside_a_connection_is_passed, 0, all);
    tcase_add_loop_test(tcase, scope_goes_with_an_address_that_has_one, 0, reactors);
    tcase_add_loop_test(tcase, gather_list_goes_down_as_it_is, 0, all);
    tcase_add_loop_test(tcase, most_buffers_go_down_in_one_call, 0, all);
    tcase_add_loop_test(tcase, nothing_is_an_empty_datagram, 0, all);
    tcase_add_loop_test(tcase, array_name_and_control_data_are_captured, 0, reactors);
    tcase_add_loop_test(tcase, misuse_is_refused_before_the_system_is_asked, 0, all);
    tcase_add_loop_test(tcase, dontroute_is_passed_on, 0, all);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("control data");
    tcase_add_loop_test(tcase, ipv4_source_is_in_pktinfo, 0, reactors * MODES);
    tcase_add_loop_test(tcase, ipv6_source_is_in6_pktinfo, 0, reactors * MODES);
    tcase_add_loop_test(tcase, dual_stack_source_follows_the_destination, 0, reactors);
    tcase_add_loop_test(tcase, dual_stack_octet_and_hops_follow_the_destination, 0, reactors);
    tcase_add_loop_test(tcase, ecn_alone_is_its_own_message, 0, all);
    tcase_add_loop_test(tcase, dscp_brings_the_whole_octet, 0, all);
    tcase_add_loop_test(tcase, everything_goes_in_one_order_padded, 0, all);
    tcase_add_loop_test(tcase, dont_fragment_of_a_message_holds_for_it_alone, 0, all);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("segmentation offload");
    tcase_add_loop_test(tcase, train_leaves_with_its_segment_size, 0, all);
    tcase_add_loop_test(tcase, one_segment_has_no_size, 0, all);
    tcase_add_loop_test(tcase, neighbours_leave_as_one_train, 0, reactors);
    tcase_add_loop_test(tcase, refused_train_leaves_one_by_one_and_is_not_tried_again, 0, all);
    tcase_add_loop_test(tcase, refused_neighbours_leave_one_by_one, 0, reactors);
    tcase_add_loop_test(tcase, offload_can_be_switched_off, 0, all);
    tcase_add_loop_test(tcase, endpoint_can_do_without_offload, 0, all);
    tcase_add_loop_test(tcase, no_segment_size_is_left_on_the_socket, 0, reactors);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
