/* SPDX-License-Identifier: MIT
 *
 * Claims about what the reactors over Winsock make of what WSARecvMsg tells: control data, lengths,
 * errors, trains. What arrives is written by hand from the reference pages of LPFN_WSARECVMSG,
 * WSAMSG, IN_PKTINFO, IN6_PKTINFO, "IPPROTO_IP socket options", "IPPROTO_IPV6 socket options" and
 * "IPPROTO_UDP socket options", for 64-bit Windows: see test_win_spy_send.c.
 */
#include <stdlib.h>
#include <string.h>

#include "support/win_spy.h"

enum {
    FAMILIES = 2,
    SEEN_MAX = 1024,
    FLAG_MCAST = 0x800, /* MSG_MCAST, MSG_BCAST, MSG_CTRUNC, MSG_TRUNC of the reference */
    FLAG_BCAST = 0x400,
    FLAG_CTRUNC = 0x200,
    FLAG_TRUNC = 0x100,
    RECV_COALESCED = 3 /* UDP_RECV_MAX_COALESCED_SIZE */
};

/* What the handler was told, whole. */
static struct seen {
    struct kirim_datagram d;
    struct kirim_arrival arrival;
    bool has_arrival;
    uint8_t first; /* byte */
} seen[SEEN_MAX];
static size_t seen_count;

static void write_down(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)n;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        KS_CHECK(seen_count < SEEN_MAX);
        struct seen *s = &seen[seen_count++];
        *s = (struct seen){ .d = *d, .has_arrival = d->arrival != NULL };
        if (d->arrival != NULL) {
            s->arrival = *d->arrival;
        }
        s->first = d->bytes != 0 ? d->data[0] : 0;
    }
}

static struct kirim_addr addr(const char *text)
{
    struct kirim_addr a;
    KS_OK(kirim_addr_parse(text, &a));
    return a;
}

/* Opens a reactor and an endpoint with options. */
static struct ks_node *open_with(struct ks *t, int reactor, int family, bool is_wildcard,
                                 uint32_t flags, uint32_t bytes_max)
{
    win_spy_open(t, reactor, family);
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    if (is_wildcard) {
        options.local = ks_wildcard(family, 0);
    }
    options.flags = flags;
    options.datagram_bytes_max = bytes_max;
    struct ks_node *n = ks_node_with(t, &options);
    n->on_received = write_down;
    seen_count = 0;
    return n;
}

/* Something arrives, and is told as one datagram. */
static const struct seen *take(struct ks_node *n, const struct win_spy_arrival *arrival)
{
    const size_t before = seen_count;
    win_spy_arrive(n, arrival);
    KS_UNTIL(n->t, seen_count > before);
    KS_EQ(before + 1, seen_count);
    return &seen[before];
}

/* One byte with control data. */
static const struct seen *take_control(struct ks_node *n, const void *control, size_t bytes,
                                       DWORD flags)
{
    const struct win_spy_arrival arrival = {
        .bytes = "x",
        .byte_count = 1,
        .control = control,
        .control_bytes = (ULONG)bytes,
        .flags = flags,
    };
    return take(n, &arrival);
}

/* ---- control data ---------------------------------------------------------------------------- */

START_TEST(ipv4_arrival_tells_everything)
{
    static const uint8_t control[] = {
        24,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0, /* IPPROTO_IP, IP_PKTINFO */
        192,  0, 2, 9, 4, 0, 0, 0,                          /* */
        20,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3,  0, 0, 0, /* IP_TOS */
        0xb9, 0, 0, 0, 0, 0, 0, 0,                          /* 46 << 2 | 1 */
        20,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4,  0, 0, 0, /* IP_TTL */
        63,   0, 0, 0, 0, 0, 0, 0,
    };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, true, KIRIM_ENDPOINT_RECEIVE_CONTROL, 0);
    const struct seen *s = take_control(n, control, sizeof control, 0);
    struct kirim_addr local = addr("192.0.2.9");
    kirim_addr_set_port(&local, kirim_addr_port(&n->addr));
    KS_CHECK(kirim_addr_equal(&local, &s->arrival.local));
    KS_EQ(4, s->arrival.ifindex);
    KS_EQ(63, s->arrival.ttl);
    KS_EQ(46, s->arrival.dscp);
    KS_EQ(1, s->d.ecn);
    KS_EQ(0, s->d.flags);
    win_spy_close(&t);
}
END_TEST

START_TEST(ipv6_arrival_tells_everything)
{
    static const uint8_t control[] = {
        36,   0,    0,    0,    0, 0, 0, 0, 41, 0, 0, 0, 19, 0, 0, 0, /* IPV6_PKTINFO */
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 9, /* */
        4,    0,    0,    0,    0, 0, 0, 0,                           /* */
        20,   0,    0,    0,    0, 0, 0, 0, 41, 0, 0, 0, 39, 0, 0, 0, /* IPV6_TCLASS */
        0xb9, 0,    0,    0,    0, 0, 0, 0,                           /* */
        20,   0,    0,    0,    0, 0, 0, 0, 41, 0, 0, 0, 21, 0, 0, 0, /* IPV6_HOPLIMIT */
        63,   0,    0,    0,    0, 0, 0, 0,
    };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV6, true, KIRIM_ENDPOINT_RECEIVE_CONTROL, 0);
    const struct seen *s = take_control(n, control, sizeof control, 0);
    struct kirim_addr local = addr("2001:db8::9");
    kirim_addr_set_port(&local, kirim_addr_port(&n->addr));
    KS_CHECK(kirim_addr_equal(&local, &s->arrival.local));
    KS_EQ(4, s->arrival.ifindex);
    KS_EQ(63, s->arrival.ttl);
    KS_EQ(46, s->arrival.dscp);
    KS_EQ(1, s->d.ecn);
    win_spy_close(&t);
}
END_TEST

START_TEST(scoped_local_address_has_its_interface)
{
    static const uint8_t control[] = {
        36,   0,    0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 19, 0, 0, 0, /* */
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 9, /* */
        4,    0,    0, 0,                                       /* not padded at the end */
    };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV6, true, 0, 0);
    const struct seen *s = take_control(n, control, sizeof control, 0);
    KS_EQ(4, kirim_addr_scope(&s->arrival.local));
    win_spy_close(&t);
}
END_TEST

/* What a dual-stack socket tells of an IPv4 datagram: the address in both families. */
static const uint8_t both_families[] = {
    36,  0, 0, 0, 0, 0, 0, 0, 41, 0, 0,    0,    19,  0, 0, 0, /* IPV6_PKTINFO */
    0,   0, 0, 0, 0, 0, 0, 0, 0,  0, 0xff, 0xff, 192, 0, 2, 9, /* ::ffff:192.0.2.9 */
    4,   0, 0, 0, 0, 0, 0, 0,                                  /* */
    24,  0, 0, 0, 0, 0, 0, 0, 0,  0, 0,    0,    19,  0, 0, 0, /* IP_PKTINFO */
    192, 0, 2, 9, 4, 0, 0, 0,
};

START_TEST(dual_stack_is_told_in_either_family_or_both) /* L38, L41 */
{
    static const uint8_t peer[28] = {
        23, 0, 0x30, 0x39, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1,
    };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV6, true, KIRIM_ENDPOINT_DUAL_STACK, 0);
    struct kirim_addr local = addr("192.0.2.9");
    const struct kirim_addr from = addr("192.0.2.1:12345");
    kirim_addr_set_port(&local, kirim_addr_port(&n->addr));
    const struct {
        const uint8_t *at;
        size_t bytes;
    } parts[] = {
        { both_families, 64 }, /* both */
        { both_families, 40 }, /* IPv6's alone */
        { both_families + 40, 24 },
    };
    for (int i = 0; i < 3; i++) {
        const struct win_spy_arrival arrival = {
            .bytes = "x",
            .byte_count = 1,
            .name = peer,
            .name_bytes = sizeof peer,
            .control = parts[i].at,
            .control_bytes = (ULONG)parts[i].bytes,
        };
        const struct seen *s = take(n, &arrival);
        KS_CHECK(kirim_addr_equal(&local, &s->arrival.local));
        KS_CHECK(kirim_addr_equal(&from, &s->d.peer));
        KS_EQ(4, s->arrival.ifindex);
    }
    win_spy_close(&t);
}
END_TEST

START_TEST(ecn_may_have_its_own_message)
{
    static const uint8_t ipv4[24] = { 20, [12] = 50, [16] = 3 };
    static const uint8_t ipv6[24] = { 20, [8] = 41, [12] = 50, [16] = 2 };
    struct ks t;
    const int family = _i % FAMILIES == 0 ? KIRIM_IPV4 : KIRIM_IPV6;
    struct ks_node *n =
        open_with(&t, _i / FAMILIES, family, false, KIRIM_ENDPOINT_RECEIVE_CONTROL, 0);
    if (family == KIRIM_IPV4) {
        KS_EQ(3, take_control(n, ipv4, sizeof ipv4, 0)->d.ecn);
    } else {
        KS_EQ(2, take_control(n, ipv6, sizeof ipv6, 0)->d.ecn);
    }
    KS_EQ(0, take_control(n, NULL, 0, 0)->d.ecn); /* that of the datagram before is not there */
    win_spy_close(&t);
}
END_TEST

START_TEST(time_to_live_may_be_a_hop_limit)
{
    static const uint8_t ttl[24] = { 20, [12] = 4, [16] = 63 };   /* IP_TTL */
    static const uint8_t hops[24] = { 20, [12] = 21, [16] = 62 }; /* IP_HOPLIMIT */
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, false, KIRIM_ENDPOINT_RECEIVE_CONTROL, 0);
    KS_EQ(63, take_control(n, ttl, sizeof ttl, 0)->arrival.ttl);
    KS_EQ(62, take_control(n, hops, sizeof hops, 0)->arrival.ttl);
    KS_EQ(0, take_control(n, NULL, 0, 0)->arrival.ttl);
    win_spy_close(&t);
}
END_TEST

START_TEST(time_of_arrival_is_in_loop_time)
{
    uint8_t control[24] = { 24, [8] = 0xff, 0xff, [12] = 0x0a, 0x30 }; /* SO_TIMESTAMP */
    LARGE_INTEGER ticks;
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, false, KIRIM_ENDPOINT_RECEIVE_CONTROL, 0);
    KS_CHECK(QueryPerformanceCounter(&ticks));
    memcpy(control + 16, &ticks, 8);
    const uint64_t before_ns = kirim_loop_now(t.loop);
    const struct seen *s = take_control(n, control, sizeof control, 0);
    KS_CHECK(s->arrival.time_ns != 0 && s->arrival.time_ns <= kirim_loop_now(t.loop));
    KS_CHECK(s->arrival.time_ns + KS_SECOND_NS > before_ns);
    memset(control + 16, 0xff, 8); /* of some clock of its own */
    KS_EQ(0, take_control(n, control, sizeof control, 0)->arrival.time_ns);
    KS_EQ(0, take_control(n, NULL, 0, 0)->arrival.time_ns);
    win_spy_close(&t);
}
END_TEST

START_TEST(what_is_not_whole_is_not_believed)
{
    static const struct {
        ULONG bytes;
        uint8_t control[48];
    } wrong[] = {
        { 24, { 24, [12] = 19, [16] = 192, 0, 2 } },    /* right; cut below */
        { 20, { 20, [12] = 19, [16] = 192, 0, 2, 9 } }, /* an address without interface */
        { 32, { 32, [12] = 19, [16] = 192, 0, 2, 9 } }, /* longer than it can be */
        { 24, { 0, [12] = 19, [16] = 192, 0, 2, 9 } },  /* a length of nothing */
        { 24, { 15, [12] = 19, [16] = 192, 0, 2, 9 } }, /* less than its header */
        { 24, { 25, [12] = 19, [16] = 192, 0, 2, 9 } }, /* longer than all there is */
        { 24, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 19, [16] = 192, 0, 2, 9 } },
        { 24, { 24, [8] = 41, [12] = 19, [16] = 192, 0, 2, 9 } }, /* of the other family */
        { 18, { 18, [12] = 4, [16] = 9, 9 } },                    /* two bytes of an INT */
        { 24, { 24, [12] = 4, [16] = 9, 0, 0, 0, 9 } },           /* eight of them */
        { 24, { 20, [8] = 17, [12] = 4, [16] = 9 } },             /* of another level */
        { 24, { 17, [12] = 50, [16] = 3 } },                      /* one byte of ECN */
        { 24, { 17, [12] = 3, [16] = 0xff } },                    /* one byte of the octet */
        { 15, { 24, [12] = 19 } },                                /* not even a header */
    };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, true, KIRIM_ENDPOINT_RECEIVE_CONTROL, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const ULONG bytes = wrong[i].bytes - (i == 0); /* the first loses its last byte */
        const struct seen *s = take_control(n, wrong[i].control, bytes, 0);
        KS_EQ(KIRIM_FAMILY_NONE, kirim_addr_family(&s->arrival.local));
        KS_EQ(KIRIM_RX_NO_LOCAL, s->d.flags);
        KS_EQ(0, s->arrival.ifindex);
        KS_EQ(0, s->arrival.ttl);
        KS_EQ(0, s->arrival.dscp);
        KS_EQ(0, s->d.ecn);
        KS_EQ(1, s->d.bytes);
    }
    win_spy_close(&t);
}
END_TEST

START_TEST(cut_control_data_costs_no_datagram) /* MSG_CTRUNC */
{
    static const uint8_t control[24] = { 24, [12] = 19, [16] = 192, 0, 2, 9, 4 };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, true, 0, 0);
    const struct seen *s = take_control(n, control, sizeof control, FLAG_CTRUNC);
    KS_EQ(1, s->d.bytes);
    KS_EQ(0, s->d.flags); /* its bytes are all there */
    KS_EQ(4, s->arrival.ifindex);
    win_spy_close(&t);
}
END_TEST

START_TEST(control_data_that_does_not_fit_shows_no_other_bytes) /* as Wine tells it */
{
    static const uint8_t control[4096] = { 24, [12] = 19, [16] = 192, 0, 2, 9, 4 };
    static const uint8_t secret[100] = { 's' };
    const struct win_spy_arrival first = { .bytes = secret, .byte_count = sizeof secret };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, true, 0, 0);
    (void)take(n, &first);
    const struct seen *s = take_control(n, control, sizeof control, 0);
    KS_CHECK(s->d.bytes <= 1); /* how long it was is not told: never what was there before */
    KS_EQ(KIRIM_RX_TRUNCATED | KIRIM_RX_NO_LOCAL, s->d.flags);
    KS_EQ(1, take_control(n, control, 24, 0)->d.bytes);
    win_spy_close(&t);
}
END_TEST

START_TEST(local_address_of_a_broadcast_is_not_told)
{
    static const uint8_t control[24] = { 24, [12] = 19, [16] = 192, 0, 2, 255, 4 };
    static const uint8_t all_hosts[24] = { 24, [12] = 19, [16] = 255, 255, 255, 255, 4 };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, true, 0, 0);
    const struct seen *s = take_control(n, control, sizeof control, FLAG_BCAST);
    KS_EQ(KIRIM_FAMILY_NONE, kirim_addr_family(&s->arrival.local));
    KS_EQ(KIRIM_RX_NO_LOCAL | KIRIM_RX_BROADCAST, s->d.flags);
    KS_EQ(4, s->arrival.ifindex);
    s = take_control(n, all_hosts, sizeof all_hosts, 0); /* without the flag, too */
    KS_EQ(KIRIM_RX_NO_LOCAL | KIRIM_RX_BROADCAST, s->d.flags);
    s = take_control(n, control, sizeof control, FLAG_MCAST);
    KS_EQ(0, s->d.flags);
    win_spy_close(&t);
}
END_TEST

START_TEST(options_are_set_before_the_bind) /* L37, L42 */
{
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV6, true,
                                  KIRIM_ENDPOINT_DUAL_STACK | KIRIM_ENDPOINT_RECEIVE_CONTROL, 0);
    KS_EQ(0, win_spy_late_option_count(n));
    KS_EQ(0, win_spy_option(n, IPPROTO_IPV6, 27)); /* IPV6_V6ONLY */
    KS_EQ(1, win_spy_option(n, IPPROTO_IP, 19));   /* IP_PKTINFO, IPV6_PKTINFO: both */
    KS_EQ(1, win_spy_option(n, IPPROTO_IPV6, 19));
    KS_EQ(1, win_spy_option(n, IPPROTO_IP, 50)); /* IP_RECVECN, IPV6_RECVECN */
    KS_EQ(1, win_spy_option(n, IPPROTO_IPV6, 50));
    KS_EQ(1, win_spy_option(n, IPPROTO_IPV6, 21)); /* IPV6_HOPLIMIT */
    win_spy_close(&t);
}
END_TEST

/* ---- names and lengths ----------------------------------------------------------------------- */

START_TEST(peer_is_the_name_that_came)
{
    static const uint8_t ipv4[16] = { 2, 0, 0x30, 0x39, 192, 0, 2, 1 };
    static const uint8_t ipv6[28] = {
        23, 0, 0x30, 0x39, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0,
        0,  0, 0,    0,    0, 0, 0, 0, 0,    9,    7, 0, 0, 0,
    };
    struct ks t;
    const int family = _i % FAMILIES == 0 ? KIRIM_IPV4 : KIRIM_IPV6;
    struct ks_node *n = open_with(&t, _i / FAMILIES, family, false, 0, 0);
    const struct win_spy_arrival arrival = {
        .name = family == KIRIM_IPV4 ? ipv4 : ipv6,
        .name_bytes = family == KIRIM_IPV4 ? 16 : 28,
    };
    const struct kirim_addr from =
        addr(family == KIRIM_IPV4 ? "192.0.2.1:12345" : "[fe80::9%7]:12345");
    const struct seen *s = take(n, &arrival);
    KS_CHECK(kirim_addr_equal(&from, &s->d.peer));
    KS_EQ(0, s->d.bytes); /* an empty datagram is one */
    KS_CHECK(!s->has_arrival);
    win_spy_close(&t);
}
END_TEST

START_TEST(connected_endpoint_knows_who_sends) /* WSAMSG: the name is of unconnected sockets only */
{
    struct ks t;
    (void)open_with(&t, _i / FAMILIES, _i % FAMILIES == 0 ? KIRIM_IPV4 : KIRIM_IPV6, false, 0, 0);
    const struct kirim_addr origin = win_spy_origin(t.family);
    struct ks_node *n = ks_node_connected(&t, &origin);
    n->on_received = write_down;
    const struct win_spy_arrival arrival = { .bytes = "x", .byte_count = 1, .is_nameless = true };
    KS_CHECK(kirim_addr_equal(&origin, &take(n, &arrival)->d.peer));
    win_spy_close(&t);
}
END_TEST

START_TEST(message_size_is_a_cut_datagram) /* L51 */
{
    static uint8_t bytes[70000];
    memset(bytes, 'l', sizeof bytes);
    const struct win_spy_arrival long_one = { .bytes = bytes, .byte_count = sizeof bytes };
    const struct win_spy_arrival flagged = {
        .bytes = bytes,
        .byte_count = sizeof bytes,
        .flags = FLAG_TRUNC,
    };
    const struct win_spy_arrival next = { .bytes = "next", .byte_count = 4 };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, false, 0, 1000);
    for (int i = 0; i < 2; i++) {
        const struct seen *s = take(n, i == 0 ? &long_one : &flagged);
        KS_EQ(1000, s->d.bytes);
        KS_EQ(KIRIM_RX_TRUNCATED, s->d.flags);
        KS_EQ('l', s->first);
    }
    KS_EQ(2, ks_stats(n).rx_truncated);
    KS_EQ(0, ks_stats(n).rx_errors);
    KS_EQ(4, take(n, &next)->d.bytes);
    win_spy_close(&t);
}
END_TEST

START_TEST(largest_datagram_is_not_cut)
{
    static const uint8_t bytes[1001] = { 'x' };
    const struct win_spy_arrival fits = { .bytes = bytes, .byte_count = 1000 };
    const struct win_spy_arrival does_not = { .bytes = bytes, .byte_count = 1001 };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, false, 0, 1000);
    const struct seen *s = take(n, &fits);
    KS_EQ(1000, s->d.bytes);
    KS_EQ(0, s->d.flags);
    s = take(n, &does_not);
    KS_EQ(1000, s->d.bytes);
    KS_EQ(KIRIM_RX_TRUNCATED, s->d.flags);
    win_spy_close(&t);
}
END_TEST

START_TEST(datagram_that_is_there_may_be_cut_in_the_call) /* L51 */
{
    static uint8_t bytes[70000];
    memset(bytes, 'l', sizeof bytes);
    const struct win_spy_arrival next = { .bytes = "next", .byte_count = 4 };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, false, 0, 1000);
    for (int i = 0; i < 6; i++) { /* before anything can have been posted */
        const struct win_spy_arrival arrival = {
            .bytes = bytes,
            .byte_count = sizeof bytes,
            .is_at_once = true,
            .is_twice = i % 2 == 0,
        };
        win_spy_arrive(n, &arrival);
    }
    win_spy_arrive(n, &next);
    KS_UNTIL(&t, seen_count == 7);
    KS_CHECK(!win_spy_is_overlapped(&t) || win_spy_told_count() == 6);
    for (int i = 0; i < 6; i++) {
        KS_EQ(1000, seen[i].d.bytes);
        KS_EQ(KIRIM_RX_TRUNCATED, seen[i].d.flags);
        KS_EQ('l', seen[i].first);
    }
    KS_EQ('n', seen[6].first);
    for (int i = 0; i < 100; i++) {
        (void)take(n, &next); /* every receive is used again */
    }
    win_spy_close(&t);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct report {
    int code;
    kirim_err err;
} reports[] = {
    { 10054, KIRIM_ECONNRESET },  /* S31 WSAECONNRESET */
    { 10061, KIRIM_ECONNRESET },  /* S31 WSAECONNREFUSED */
    { 10052, KIRIM_ENETRESET },   /* S38 WSAENETRESET */
    { 10065, KIRIM_ENETUNREACH }, /* S39 WSAEHOSTUNREACH */
    { 10051, KIRIM_ENETUNREACH }, /* S39 WSAENETUNREACH */
    { 10050, KIRIM_ENETDOWN },    /* S37 WSAENETDOWN */
    { 10055, KIRIM_ENOBUFS },     /* S40 WSAENOBUFS */
};

enum { REPORTS = sizeof reports / sizeof reports[0] };

START_TEST(error_is_an_event_that_names_the_peer_and_nothing_ends) /* S31, S38, L44, L45 */
{
    static const uint8_t name[16] = { 2, 0, 0x30, 0x39, 192, 0, 2, 1 };
    const struct report *report = &reports[_i % REPORTS];
    const struct kirim_addr peer = addr("192.0.2.1:12345");
    const struct win_spy_arrival error = {
        .sys_err = report->code,
        .name = name,
        .name_bytes = sizeof name,
    };
    const struct win_spy_arrival nameless = { .sys_err = report->code, .is_nameless = true };
    const struct win_spy_arrival next = { .bytes = "next", .byte_count = 4 };
    struct ks t;
    struct ks_node *n = open_with(&t, _i / REPORTS, KIRIM_IPV4, false, 0, 0);
    win_spy_arrive(n, &error);
    KS_EQ(4, take(n, &next)->d.bytes); /* what came behind is not lost */
    ks_settle(&t);
    KS_EQ(1, n->failed_count);
    KS_EQ(KIRIM_EVENT_PEER_ERROR, n->event.kind);
    KS_ERR(report->err, n->event.err);
    KS_EQ(report->code, n->event.system_code);
    KS_CHECK(kirim_addr_equal(&peer, &n->event.peer));
    KS_EQ(1, ks_stats(n).rx_errors);
    win_spy_arrive(n, &nameless);
    KS_EQ(4, take(n, &next)->d.bytes);
    ks_settle(&t);
    KS_EQ(2, n->failed_count);
    KS_EQ(KIRIM_FAMILY_NONE, kirim_addr_family(&n->event.peer));
    win_spy_close(&t);
}
END_TEST

START_TEST(error_that_is_there_may_be_told_in_the_call) /* S31 */
{
    const struct win_spy_arrival error = {
        .sys_err = 10054,
        .is_nameless = true,
        .is_at_once = true,
    };
    const struct win_spy_arrival next = { .bytes = "next", .byte_count = 4 };
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, false, 0, 1000);
    for (int i = 0; i < 3; i++) {
        win_spy_arrive(n, &error);
        win_spy_arrive(n, &next);
    }
    KS_UNTIL(&t, seen_count == 3 && n->failed_count == 3);
    KS_CHECK(!win_spy_is_overlapped(&t) || win_spy_told_count() >= 1);
    KS_ERR(KIRIM_ECONNRESET, n->event.err);
    for (int i = 0; i < 100; i++) {
        (void)take(n, &next);
    }
    win_spy_close(&t);
}
END_TEST

START_TEST(error_of_a_connected_endpoint_is_its_peers) /* S31 */
{
    struct ks t;
    (void)open_with(&t, _i, KIRIM_IPV4, false, 0, 0);
    const struct kirim_addr origin = win_spy_origin(KIRIM_IPV4);
    struct ks_node *n = ks_node_connected(&t, &origin);
    const struct win_spy_arrival error = { .sys_err = 10054, .is_nameless = true };
    win_spy_arrive(n, &error);
    KS_UNTIL(&t, n->failed_count == 1);
    KS_CHECK(kirim_addr_equal(&origin, &n->event.peer));
    win_spy_close(&t);
}
END_TEST

START_TEST(many_errors_in_a_row_lose_nothing) /* L44, L45 */
{
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, false, 0, 0);
    const struct win_spy_arrival error = { .sys_err = 10054, .is_nameless = true };
    const struct win_spy_arrival datagram = { .bytes = "d", .byte_count = 1 };
    for (int i = 0; i < 30; i++) {
        win_spy_arrive(n, i % 3 == 2 ? &datagram : &error);
    }
    KS_UNTIL(&t, seen_count == 10);
    ks_settle(&t);
    KS_EQ(10, ks_stats(n).rx_datagrams);
    KS_EQ(n->failed_count, ks_stats(n).rx_errors);
    /* Two that say the same may be one, as some systems fail all that is posted for one report. */
    KS_CHECK(n->failed_count >= 10 && n->failed_count <= 20);
    win_spy_close(&t);
}
END_TEST

START_TEST(reports_are_asked_for_unless_switched_off) /* L46 */
{
    const int connreset = (int)_WSAIOW(IOC_VENDOR, 12);
    const int netreset = (int)_WSAIOW(IOC_VENDOR, 15);
    struct ks t;
    struct ks_node *n = open_with(&t, _i, KIRIM_IPV4, false, 0, 0);
    KS_EQ(1, win_spy_option(n, WIN_SPY_IOCTL, connreset));
    KS_EQ(1, win_spy_option(n, WIN_SPY_IOCTL, netreset));
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.flags = KIRIM_ENDPOINT_NO_ERROR_QUEUE;
    struct ks_node *silent = ks_node_with(&t, &options);
    KS_EQ(0, win_spy_option(silent, WIN_SPY_IOCTL, connreset));
    KS_EQ(0, win_spy_option(silent, WIN_SPY_IOCTL, netreset));
    options.peer = n->addr; /* connected: it hears of its peer */
    struct ks_node *connected = ks_node_with(&t, &options);
    KS_EQ(1, win_spy_option(connected, WIN_SPY_IOCTL, connreset));
    win_spy_close(&t);
}
END_TEST

/* ---- receive offload ------------------------------------------------------------------------- */

/* UDP_COALESCED_INFO: a DWORD. */
static const uint8_t of_100[24] = { 20, [8] = 17, [12] = 3, [16] = 100 };

static struct ks_node *open_coalescing(struct ks *t, int reactor, uint32_t flags,
                                       uint32_t bytes_max)
{
    KS_EQ(0, _putenv("KIRIM_GRO=1"));
    struct ks_node *n = open_with(t, reactor, KIRIM_IPV4, false, flags, bytes_max);
    (void)_putenv("KIRIM_GRO=");
    KS_CHECK((t->caps & KIRIM_CAP_COALESCED) != 0);
    return n;
}

static uint8_t train[65000];

static struct win_spy_arrival train_of(ULONG bytes, const void *control, ULONG control_bytes)
{
    for (size_t i = 0; i < sizeof train; i++) {
        train[i] = (uint8_t)(i / 100);
    }
    return (struct win_spy_arrival){
        .bytes = train,
        .byte_count = bytes,
        .control = control,
        .control_bytes = control_bytes,
    };
}

START_TEST(train_is_cut_into_its_datagrams)
{
    struct ks t;
    struct ks_node *n = open_coalescing(&t, _i, 0, 1500);
    KS_EQ(65527, win_spy_option(n, IPPROTO_UDP, RECV_COALESCED));
    const struct win_spy_arrival arrival = train_of(250, of_100, sizeof of_100);
    win_spy_arrive(n, &arrival);
    KS_UNTIL(&t, seen_count == 3);
    for (uint32_t i = 0; i < 3; i++) {
        KS_EQ(i < 2 ? 100 : 50, seen[i].d.bytes);
        KS_EQ(i, seen[i].first);
        KS_EQ(i == 0 ? KIRIM_RX_TRAIN_HEAD : 0, seen[i].d.flags);
        KS_EQ(0, seen[i].d.segment_bytes);
    }
    ks_settle(&t);
    KS_EQ(1, ks_stats(n).rx_trains);
    KS_EQ(3, ks_stats(n).rx_datagrams);
    win_spy_close(&t);
}
END_TEST

START_TEST(long_train_is_told_in_several_batches) /* L23, L26 */
{
    struct ks t;
    struct ks_node *n = open_coalescing(&t, _i, 0, 1500);
    const struct win_spy_arrival arrival = train_of(sizeof train, of_100, sizeof of_100);
    const struct win_spy_arrival next = { .bytes = "next", .byte_count = 4 };
    win_spy_arrive(n, &arrival);
    win_spy_arrive(n, &next);
    KS_UNTIL(&t, seen_count == 651);
    for (uint32_t i = 0; i < 650; i++) {
        KS_EQ(100, seen[i].d.bytes);
        KS_EQ(i % 256, seen[i].first);
    }
    KS_EQ('n', seen[650].first);
    KS_CHECK(n->batch_max <= 64);
    win_spy_close(&t);
}
END_TEST

START_TEST(train_can_be_left_whole)
{
    struct ks t;
    struct ks_node *n = open_coalescing(&t, _i, KIRIM_ENDPOINT_WHOLE_TRAINS, 1500);
    const struct win_spy_arrival arrival = train_of(3050, of_100, sizeof of_100);
    const struct seen *s = take(n, &arrival);
    KS_EQ(3050, s->d.bytes);
    KS_EQ(100, s->d.segment_bytes);
    ks_settle(&t);
    KS_EQ(31, ks_stats(n).rx_datagrams);
    win_spy_close(&t);
}
END_TEST

START_TEST(size_of_one_datagram_is_no_train)
{
    static const uint8_t sizes[][24] = {
        { 20, [8] = 17, [12] = 3, [16] = 200 },                   /* longer than it */
        { 20, [8] = 17, [12] = 3, [16] = 100 },                   /* its own */
        { 20, [8] = 17, [12] = 3, [16] = 0 },                     /* nothing */
        { 24, [8] = 17, [12] = 3, [16] = 10 },                    /* not a DWORD */
        { 20, [8] = 17, [12] = 3, [16] = 0xff, 0xff, 0xff, 0xff } /* absurd */
    };
    struct ks t;
    struct ks_node *n = open_coalescing(&t, _i, 0, 1500);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct win_spy_arrival arrival = train_of(100, sizes[i], sizeof sizes[i]);
        const struct seen *s = take(n, &arrival);
        KS_EQ(100, s->d.bytes);
        KS_EQ(0, s->d.flags);
    }
    KS_EQ(0, ks_stats(n).rx_trains);
    win_spy_close(&t);
}
END_TEST

START_TEST(train_without_its_size_switches_the_offload_off) /* L21, L22 */
{
    struct ks t;
    struct ks_node *n = open_coalescing(&t, _i, 0, 1500);
    const struct win_spy_arrival unlabelled = train_of(3000, NULL, 0);
    const struct win_spy_arrival next = { .bytes = "next", .byte_count = 4 };
    const struct seen *s = take(n, &unlabelled);
    KS_EQ(1500, s->d.bytes); /* never one giant datagram */
    KS_EQ(KIRIM_RX_TRUNCATED, s->d.flags);
    KS_EQ(0, win_spy_option(n, IPPROTO_UDP, RECV_COALESCED));
    KS_EQ(4, take(n, &next)->d.bytes);
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.datagram_bytes_max = 1500;
    struct ks_node *later = ks_node_with(&t, &options);
    KS_EQ(-1, win_spy_option(later, IPPROTO_UDP, RECV_COALESCED)); /* nor of those to come */
    win_spy_close(&t);
}
END_TEST

START_TEST(offload_needs_the_switch_and_a_declared_length) /* L21 */
{
    struct ks t;
    struct ks_node *n = open_coalescing(&t, _i, 0, 0); /* no length: nothing to tell it by */
    KS_EQ(-1, win_spy_option(n, IPPROTO_UDP, RECV_COALESCED));
    win_spy_close(&t);
    n = open_coalescing(&t, _i, KIRIM_ENDPOINT_NO_COALESCING, 1500);
    KS_EQ(-1, win_spy_option(n, IPPROTO_UDP, RECV_COALESCED));
    win_spy_close(&t);
    n = open_with(&t, _i, KIRIM_IPV4, false, 0, 1500);
    KS_CHECK((t.caps & KIRIM_CAP_COALESCED) == 0);
    KS_EQ(-1, win_spy_option(n, IPPROTO_UDP, RECV_COALESCED));
    win_spy_close(&t);
}
END_TEST

/* ---- the suite ------------------------------------------------------------------------------- */

static TCase *control_cases(int reactors)
{
    TCase *tcase = tcase_create("control data");
    tcase_add_loop_test(tcase, ipv4_arrival_tells_everything, 0, reactors);
    tcase_add_loop_test(tcase, ipv6_arrival_tells_everything, 0, reactors);
    tcase_add_loop_test(tcase, scoped_local_address_has_its_interface, 0, reactors);
    tcase_add_loop_test(tcase, dual_stack_is_told_in_either_family_or_both, 0, reactors);
    tcase_add_loop_test(tcase, ecn_may_have_its_own_message, 0, reactors * FAMILIES);
    tcase_add_loop_test(tcase, time_to_live_may_be_a_hop_limit, 0, reactors);
    tcase_add_loop_test(tcase, time_of_arrival_is_in_loop_time, 0, reactors);
    tcase_add_loop_test(tcase, what_is_not_whole_is_not_believed, 0, reactors);
    tcase_add_loop_test(tcase, cut_control_data_costs_no_datagram, 0, reactors);
    tcase_add_loop_test(tcase, control_data_that_does_not_fit_shows_no_other_bytes, 0, reactors);
    tcase_add_loop_test(tcase, local_address_of_a_broadcast_is_not_told, 0, reactors);
    tcase_add_loop_test(tcase, options_are_set_before_the_bind, 0, reactors);
    return tcase;
}

int main(void)
{
    const int reactors = win_spy_reactor_count();
    Suite *suite = suite_create("reactors/win_spy_receive");
    suite_add_tcase(suite, control_cases(reactors));
    TCase *tcase = tcase_create("names and lengths");
    tcase_add_loop_test(tcase, peer_is_the_name_that_came, 0, reactors * FAMILIES);
    tcase_add_loop_test(tcase, connected_endpoint_knows_who_sends, 0, reactors * FAMILIES);
    tcase_add_loop_test(tcase, message_size_is_a_cut_datagram, 0, reactors);
    tcase_add_loop_test(tcase, largest_datagram_is_not_cut, 0, reactors);
    tcase_add_loop_test(tcase, datagram_that_is_there_may_be_cut_in_the_call, 0, reactors);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("errors");
    tcase_add_loop_test(tcase, error_is_an_event_that_names_the_peer_and_nothing_ends, 0,
                        reactors * REPORTS);
    tcase_add_loop_test(tcase, error_that_is_there_may_be_told_in_the_call, 0, reactors);
    tcase_add_loop_test(tcase, error_of_a_connected_endpoint_is_its_peers, 0, reactors);
    tcase_add_loop_test(tcase, many_errors_in_a_row_lose_nothing, 0, reactors);
    tcase_add_loop_test(tcase, reports_are_asked_for_unless_switched_off, 0, reactors);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("receive offload");
    tcase_add_loop_test(tcase, train_is_cut_into_its_datagrams, 0, reactors);
    tcase_add_loop_test(tcase, long_train_is_told_in_several_batches, 0, reactors);
    tcase_add_loop_test(tcase, train_can_be_left_whole, 0, reactors);
    tcase_add_loop_test(tcase, size_of_one_datagram_is_no_train, 0, reactors);
    tcase_add_loop_test(tcase, train_without_its_size_switches_the_offload_off, 0, reactors);
    tcase_add_loop_test(tcase, offload_needs_the_switch_and_a_declared_length, 0, reactors);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
