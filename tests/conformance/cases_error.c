/* SPDX-License-Identifier: MIT
 *
 * Section C of the send contract: errors. What kirim itself decides, what a loopback shows, and
 * what follows from each error that a system may give.
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

static uint8_t bytes[100];

/* A message that must be refused, plain and with an operation; nothing may be kept of it. */
static void refused(struct ks_node *a, const struct kirim_msg *msg, kirim_err wanted)
{
    struct ks *t = a->t;
    struct ks_op *o = ks_op(t, 0);
    const struct kirim_endpoint_stats before = ks_stats(a);
    KS_ERR(wanted, ks_post_msg(a, msg, t->mode, NULL));
    KS_ERR(wanted, ks_post_msg(a, msg, t->mode, o));
    KS_CHECK(!kirim_op_is_pending(&o->op));
    KS_EQ(before.tx_accepted, ks_stats(a).tx_accepted);
    KS_EQ(0, kirim_endpoint_queued_count(a->ep));
}

static void null_with_a_length(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf null_data = { NULL, 5 };
    const struct kirim_buf null_second[2] = { { bytes, 5 }, { NULL, 1 } };
    refused(a, &(struct kirim_msg){ NULL, &b->addr, NULL, 1, 0 }, KIRIM_EFAULT);
    refused(a, &(struct kirim_msg){ NULL, &b->addr, NULL, 7, 0 }, KIRIM_EFAULT);
    refused(a, &(struct kirim_msg){ &null_data, &b->addr, NULL, 1, 0 }, KIRIM_EFAULT);
    refused(a, &(struct kirim_msg){ null_second, &b->addr, NULL, 2, 0 }, KIRIM_EFAULT);
    KS_ERR(KIRIM_EFAULT, kirim_endpoint_send_to(a->ep, NULL, 1, &b->addr));
    KS_OK(kirim_endpoint_send_to(a->ep, NULL, 0, &b->addr));
    KS_EXPECT(b, "", 0);
    KS_EXPECT_END(b, a);
}

static void no_destination(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { bytes, 5 };
    refused(a, &(struct kirim_msg){ &one, NULL, NULL, 1, 0 }, KIRIM_ENOTCONN);
    refused(a, &(struct kirim_msg){ NULL, NULL, NULL, 0, 0 }, KIRIM_ENOTCONN);
    KS_ERR(KIRIM_ENOTCONN, kirim_endpoint_send_to(a->ep, bytes, 5, NULL));
    KS_EXPECT_END(b, a);
}

static void bad_destination(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const int other = t->family == KIRIM_IPV4 ? KIRIM_IPV6 : KIRIM_IPV4;
    const struct kirim_addr none = { { 0, 0, 0 } };
    const struct kirim_addr no_port = ks_loopback(t->family, 0);
    const struct kirim_addr other_family = ks_loopback(other, 9);
    const struct kirim_addr nonsense = { { 1, 2, (uint64_t)77 << 48 | (uint64_t)9 << 32 } };
    const struct kirim_buf one = { bytes, 5 };
    refused(a, &(struct kirim_msg){ &one, &none, NULL, 1, 0 }, KIRIM_EINVAL);
    refused(a, &(struct kirim_msg){ &one, &no_port, NULL, 1, 0 }, KIRIM_EINVAL);
    refused(a, &(struct kirim_msg){ &one, &other_family, NULL, 1, 0 }, KIRIM_EINVAL);
    refused(a, &(struct kirim_msg){ &one, &nonsense, NULL, 1, 0 }, KIRIM_EINVAL);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_send_to(a->ep, bytes, 5, &other_family));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_send(a->ep, NULL, t->mode, NULL, NULL));
    KS_ERR(KIRIM_EINVAL,
           kirim_endpoint_send(NULL, &(struct kirim_msg){ .peer = &b->addr }, 0, NULL, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_send_to(NULL, bytes, 5, &b->addr));
    KS_EXPECT_END(b, a);
}

/* 127.255.255.255 is a broadcast address; from a dual-stack endpoint, too. */
static struct ks_node *open_for_broadcast(struct ks *t, uint32_t flags)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags = flags;
    if (t->family == KIRIM_IPV6) {
        options.local = ks_wildcard(KIRIM_IPV6, 0);
        options.flags |= KIRIM_ENDPOINT_DUAL_STACK;
    }
    return ks_node_with(t, &options);
}

static void broadcast_is_denied(struct ks *t)
{
    static const uint8_t all[4] = { 127, 255, 255, 255 };
    const struct kirim_addr to = kirim_addr_ipv4(all, 9);
    struct ks_node *a = open_for_broadcast(t, 0);
    struct ks_op *o = ks_op(t, 0);
    t->mode = KIRIM_SEND_NOW;
    KS_ERR(KIRIM_EACCES, ks_send(a, bytes, 5, &to, NULL));
    t->mode = 0;
    KS_OK(ks_send(a, bytes, 5, &to, NULL));
    KS_ERR(KIRIM_PENDING, ks_send(a, bytes, 5, &to, o));
    KS_UNTIL(t, a->failed_count == 1 && o->done_count == 1);
    KS_ERR(KIRIM_EACCES, o->err);
    KS_EQ(KIRIM_EVENT_SEND_FAILED, a->event.kind);
    KS_ERR(KIRIM_EACCES, a->event.err);
    KS_EQ(KIRIM_DROP_DENIED, a->event.drop_reason);
    KS_CHECK(kirim_addr_equal(&to, &a->event.peer));
    KS_EQ(2, ks_stats(a).drops[KIRIM_DROP_DENIED]);
    struct ks_node *allowed = open_for_broadcast(t, KIRIM_ENDPOINT_BROADCAST);
    t->mode = KIRIM_SEND_NOW;
    KS_CHECK(ks_send(allowed, bytes, 5, &to, NULL) != KIRIM_EACCES);
}

/* The ICMP error of an earlier datagram: an event that names the peer; the endpoint goes on. */
static void closed_port_is_told(struct ks *t)
{
    const struct kirim_addr closed = ks_closed_port(t);
    struct ks_node *a = ks_node_connected(t, &closed);
    KS_SEND(a, "anybody?", 8, NULL);
    KS_UNTIL(t, a->failed_count >= 1);
    KS_EQ(KIRIM_EVENT_PEER_ERROR, a->event.kind);
    KS_ERR(KIRIM_ECONNRESET, a->event.err);
    KS_CHECK(kirim_addr_equal(&closed, &a->event.peer));
    for (int i = 0; i < 5; i++) {
        ks_turn(t);
    }
    KS_EQ(1, a->failed_count);
    /* Somebody moves in, and hears the next one. */
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = closed;
    struct ks_node *b = ks_node_with(t, &options);
    KS_SEND(a, "now?", 4, NULL);
    KS_EXPECT(b, "now?", 4);
    KS_SEND(b, "yes", 3, &a->addr);
    KS_EXPECT(a, "yes", 3);
    KS_EQ(1, a->failed_count);
    const struct kirim_endpoint_stats stats = ks_stats(a);
    KS_EQ(0, ks_drops(&stats));
}

/* ---- what the network reports to an endpoint that is not connected --------------------------- */

enum { DEAD_COUNT = 12, MIXED_COUNT = 96, TURNS_AT_REST_MAX = 8 };

/* The events of a node, by peer. */
struct tally {
    struct kirim_addr dead[DEAD_COUNT];
    size_t told[DEAD_COUNT];
    size_t others;
};

/* As many addresses where nobody listens, all of them different. */
static void find_dead(struct ks *t, struct kirim_addr dead[DEAD_COUNT])
{
    struct ks_node *gone[DEAD_COUNT];
    for (size_t i = 0; i < DEAD_COUNT; i++) {
        gone[i] = ks_node(t);
        dead[i] = gone[i]->addr;
    }
    for (size_t i = 0; i < DEAD_COUNT; i++) {
        ks_node_close_and_wait(gone[i]);
    }
}

static void count_event(struct ks_node *n)
{
    struct tally *y = n->ctx;
    const bool is_ipv4 = kirim_addr_family(&n->event.peer) == KIRIM_IPV4;
    size_t i = 0;
    KS_EQ(KIRIM_EVENT_PEER_ERROR, n->event.kind);
    KS_ERR(KIRIM_ECONNRESET, n->event.err);
    KS_EQ(is_ipv4 ? KIRIM_ORIGIN_ICMP : KIRIM_ORIGIN_ICMPV6, n->event.origin);
    KS_EQ(is_ipv4 ? 3 : 1, n->event.icmp_type); /* destination unreachable */
    KS_EQ(is_ipv4 ? 3 : 4, n->event.icmp_code); /* its port */
    KS_EQ(0, n->event.path_mtu);
    while (i < DEAD_COUNT && !kirim_addr_equal(&y->dead[i], &n->event.peer)) {
        i++;
    }
    *(i < DEAD_COUNT ? &y->told[i] : &y->others) += 1;
}

/* Nothing more comes, and nothing keeps the loop turning. */
static void expect_rest(struct ks_node *n)
{
    struct ks_timer *timer = ks_timer(n->t, 0);
    struct kirim_loop_stats before = KIRIM_LOOP_STATS_INIT;
    struct kirim_loop_stats after = KIRIM_LOOP_STATS_INIT;
    const size_t failed_count = n->failed_count;
    KS_OK(kirim_loop_read_stats(n->t->loop, &before));
    ks_arm_in(timer, 30 * KS_MILLISECOND_NS);
    KS_UNTIL(n->t, timer->fired_count == 1);
    KS_OK(kirim_loop_read_stats(n->t->loop, &after));
    KS_CHECK(after.turns - before.turns <= TURNS_AT_REST_MAX);
    KS_EQ(failed_count, n->failed_count);
}

static void unconnected_is_told(struct ks *t)
{
    struct tally y = { .dead = { ks_closed_port(t) } };
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    a->on_failed = count_event;
    a->ctx = &y;
    KS_SEND(a, "anybody?", 8, &y.dead[0]);
    KS_UNTIL(t, a->failed_count >= 1);
    expect_rest(a);
    KS_EQ(1, y.told[0]);
    KS_EQ(1, ks_stats(a).rx_errors);
    KS_SEND(a, "you, then", 9, &b->addr);
    KS_EXPECT(b, "you, then", 9);
    KS_SEND(b, "yes", 3, &a->addr);
    KS_EXPECT(a, "yes", 3);
    const struct kirim_endpoint_stats stats = ks_stats(a);
    KS_EQ(0, ks_drops(&stats));
    KS_EQ(1, a->failed_count);
}

/* What one peer's host reports fails the next call, whoever that is about: nobody may suffer for
 * it (L48). */
static void dead_take_nobody_with_them(struct ks *t)
{
    struct tally y = { .others = 0 };
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    size_t sent[DEAD_COUNT] = { 0 };
    uint32_t number = 0;
    a->on_failed = count_event;
    a->ctx = &y;
    find_dead(t, y.dead);
    for (uint32_t i = 0; i < MIXED_COUNT; i++) {
        const size_t which = (i / 2 * 5) % DEAD_COUNT;
        if (i % 2 == 0) {
            ks_send_number(a, i, &y.dead[which]);
            sent[which]++;
        } else {
            ks_send_number(a, number, &b->addr);
            number++;
        }
    }
    KS_EXPECT_NUMBERS(b, 0, number);
    KS_UNTIL(t, a->failed_count >= MIXED_COUNT / 2);
    expect_rest(a);
    for (size_t i = 0; i < DEAD_COUNT; i++) {
        KS_EQ(sent[i], y.told[i]);
    }
    KS_EQ(0, y.others);
    const struct kirim_endpoint_stats stats = ks_stats(a);
    KS_EQ(MIXED_COUNT, stats.tx_datagrams);
    KS_EQ(0, ks_drops(&stats));
    KS_EXPECT_END(b, a);
}

/* Who does not want to know hears of its own peer only. */
static void reports_can_be_declined(struct ks *t)
{
    const struct kirim_addr closed = ks_closed_port(t);
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags = KIRIM_ENDPOINT_NO_ERROR_QUEUE;
    struct ks_node *a = ks_node_with(t, &options);
    options.peer = closed;
    struct ks_node *c = ks_node_with(t, &options);
    KS_SEND(a, "anybody?", 8, &closed);
    KS_SEND(c, "anybody?", 8, NULL);
    KS_UNTIL(t, c->failed_count == 1);
    KS_ERR(KIRIM_ECONNRESET, c->event.err);
    KS_CHECK(kirim_addr_equal(&closed, &c->event.peer));
    expect_rest(a);
    KS_EQ(0, a->failed_count);
}

/* Of a dual-stack endpoint, too, an IPv4 peer is an IPv4 address. */
static void mapped_peer_is_unmapped(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct tally y = { .others = 0 };
    options.local = ks_wildcard(KIRIM_IPV6, 0);
    options.flags = KIRIM_ENDPOINT_DUAL_STACK;
    struct ks_node *a = ks_node_with(t, &options);
    options.flags = 0;
    for (size_t i = 0; i < 2; i++) {
        options.local = ks_loopback(i == 0 ? KIRIM_IPV4 : KIRIM_IPV6, 0);
        struct ks_node *gone = ks_node_with(t, &options);
        y.dead[i] = gone->addr;
        ks_node_close_and_wait(gone);
    }
    a->on_failed = count_event;
    a->ctx = &y;
    for (size_t i = 0; i < 2; i++) {
        KS_SEND(a, "anybody?", 8, &y.dead[i]);
        KS_UNTIL(t, y.told[i] == 1);
    }
    KS_EQ(0, y.others);
}

/* ---- sources --------------------------------------------------------------------------------- */

/* 192.0.2.0/24 and 2001:db8::/32 are nobody's (RFC 5737, RFC 3849). */
static struct kirim_addr nobodys(const struct ks *t)
{
    static const uint8_t v4[4] = { 192, 0, 2, 1 };
    static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
    return t->family == KIRIM_IPV4 ? kirim_addr_ipv4(v4, 9) : kirim_addr_ipv6(v6, 9, 0);
}

/* One datagram that the system refuses for this, whichever way it is sent, and the next one to `b`
 * arrives. */
static void lost_for(struct ks_node *a, const struct kirim_control *control,
                     const struct kirim_addr *to, kirim_err err, struct ks_node *b)
{
    struct ks *t = a->t;
    struct ks_op *o = ks_op(t, 0);
    const struct kirim_buf one = { bytes, 5 };
    const struct kirim_msg msg = { &one, to, control, 1, 0 };
    const uint64_t before = ks_stats(a).drops[KIRIM_DROP_UNREACHABLE];
    const size_t failed_count = a->failed_count;
    KS_ERR(err, ks_post_msg(a, &msg, KIRIM_SEND_NOW, NULL));
    KS_OK(ks_post_msg(a, &msg, 0, NULL));
    KS_ERR(KIRIM_PENDING, ks_post_msg(a, &msg, 0, o));
    KS_UNTIL(t, a->failed_count == failed_count + 1 && o->done_count == 1);
    KS_EQ(KIRIM_EVENT_SEND_FAILED, a->event.kind);
    KS_ERR(err, a->event.err);
    KS_ERR(err, o->err);
    KS_EQ(before + 2, ks_stats(a).drops[KIRIM_DROP_UNREACHABLE]);
    KS_SEND(a, "next", 4, &b->addr);
    KS_EXPECT(b, "next", 4);
}

/* Several datagrams that would be a train are lost for their source, and the offload is not blamed.
 */
static void lost_as_train(struct ks_node *a, const struct kirim_control *control, struct ks_node *b)
{
    enum { COUNT = 10 };
    const struct kirim_buf one = { bytes, sizeof bytes };
    const struct kirim_msg msg = { &one, &b->addr, control, 1, 0 };
    const size_t failed_count = a->failed_count;
    for (int i = 0; i < COUNT; i++) {
        KS_OK(ks_post_msg(a, &msg, 0, NULL));
    }
    KS_UNTIL(a->t, a->failed_count == failed_count + COUNT);
    KS_ERR(KIRIM_EADDRNOTAVAIL, a->event.err);
    KS_EQ(0, ks_stats(a).tx_trains_refused);
}

/* A source that this host does not have, or no longer, is that, and no invalid message. */
static void foreign_source(struct ks *t)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *bound = ks_node(t);
    options.local = ks_wildcard(t->family, 0);
    struct ks_node *wild = ks_node_with(t, &options);
    control.source = nobodys(t);
    lost_for(wild, &control, &b->addr, KIRIM_EADDRNOTAVAIL, b);
    lost_for(bound, &control, &b->addr, KIRIM_EADDRNOTAVAIL, b);
    lost_as_train(wild, &control, b);
    control = (struct kirim_control)KIRIM_CONTROL_INIT;
    control.ifindex = 0x7ffffff0;
    lost_for(wild, &control, &b->addr, KIRIM_EADDRNOTAVAIL, b);
    lost_for(bound, &control, &b->addr, KIRIM_EADDRNOTAVAIL, b);
}

/* Whoever is bound to the loopback address, or sends from it, reaches its own host only. (Of IPv6
 * Linux says so only where it has no route: else it lets such a datagram out, which nobody can
 * answer.) */
static void loopback_leads_nowhere_else(struct ks *t)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    const struct kirim_addr to = nobodys(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *bound = ks_node(t);
    lost_for(bound, NULL, &to, KIRIM_ENETUNREACH, b);
    options.local = ks_wildcard(t->family, 0);
    struct ks_node *wild = ks_node_with(t, &options);
    control.source = ks_loopback(t->family, 0);
    lost_for(wild, &control, &to, KIRIM_ENETUNREACH, b);
}

/* Success does not mean delivered. */
static void nobody_there(struct ks *t)
{
    const struct kirim_addr closed = ks_closed_port(t);
    struct ks_node *a = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    KS_SEND(a, "x", 1, &closed);
    KS_SEND_OP(a, "x", 1, &closed, o);
    KS_UNTIL(t, o->done_count == 1);
    KS_OK(o->err);
    ks_settle(t);
    KS_EQ(2, ks_stats(a).tx_datagrams);
}

/* ---- what follows from each error of a system ------------------------------------------------ */

struct consequence {
    kirim_err err;
    uint32_t reason;
    uint32_t tries; /* it takes so many refusals to lose the datagram */
};

static void has_consequence(struct ks *t, struct consequence c)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    /* Queued: the event, or the operation. */
    t->mode = 0;
    ks_spy_refuse(t, c.err, 4711, 0, c.tries);
    ks_send_number(a, 1, &b->addr);
    ks_send_number(a, 2, &b->addr);
    KS_UNTIL(t, a->failed_count == 1);
    KS_EQ(KIRIM_EVENT_SEND_FAILED, a->event.kind);
    KS_ERR(c.err, a->event.err);
    KS_EQ(4711, a->event.system_code);
    KS_EQ(c.reason, a->event.drop_reason);
    KS_EQ(sizeof(struct kirim_event), a->event.size);
    KS_CHECK(kirim_addr_equal(&b->addr, &a->event.peer));
    KS_EXPECT_NUMBERS(b, 2, 1); /* nothing waited, and nothing else was lost */
    ks_spy_refuse(t, c.err, 4711, 0, c.tries);
    KS_ERR(KIRIM_PENDING, ks_send(a, bytes, 5, &b->addr, o));
    KS_UNTIL(t, o->done_count == 1);
    KS_ERR(c.err, o->err);
    KS_EQ(0, o->sent_bytes);
    KS_EQ(4711, kirim_op_system_code(&o->op));
    const struct kirim_endpoint_stats stats = ks_stats(a);
    KS_EQ(2, stats.drops[c.reason]);
    KS_EQ(2, ks_drops(&stats));
    /* NOW: the answer. */
    t->mode = KIRIM_SEND_NOW;
    ks_spy_refuse(t, c.err, 4711, 0, c.tries);
    KS_ERR(c.err, ks_send(a, bytes, 5, &b->addr, NULL));
    ks_spy_refuse(t, c.err, 4711, 0, c.tries);
    KS_ERR(c.err, ks_send(a, bytes, 5, &b->addr, ks_op(t, 0)));
    ks_settle(t);
    KS_EQ(1, a->failed_count);
    KS_EXPECT_END(b, a);
}

static const struct consequence consequences[] = {
    { KIRIM_EACCES, KIRIM_DROP_DENIED, 2 },
    { KIRIM_ECONNRESET, KIRIM_DROP_RESET, 2 },
    { KIRIM_EINPROGRESS, KIRIM_DROP_SYSTEM, 1 },
    { KIRIM_EINTR, KIRIM_DROP_SYSTEM, 1 },
    { KIRIM_EMSGSIZE, KIRIM_DROP_TOO_LONG, 1 },
    { KIRIM_ENETDOWN, KIRIM_DROP_UNREACHABLE, 1 },
    { KIRIM_ENETRESET, KIRIM_DROP_UNREACHABLE, 2 },
    { KIRIM_ENETUNREACH, KIRIM_DROP_UNREACHABLE, 2 },
    { KIRIM_ENOBUFS, KIRIM_DROP_NO_BUFFERS, 1 },
    { KIRIM_ENOTCONN, KIRIM_DROP_SYSTEM, 1 },
    { KIRIM_ESHUTDOWN, KIRIM_DROP_SHUTDOWN, 1 },
    { KIRIM_ENOTINITIALISED, KIRIM_DROP_SYSTEM, 1 },
    { KIRIM_ESYSTEM, KIRIM_DROP_SYSTEM, 1 },
};

static void consequence_of(struct ks *t)
{
    for (size_t i = 0; i < sizeof consequences / sizeof consequences[0]; i++) {
        if (consequences[i].err == t->arg) {
            has_consequence(t, consequences[i]);
            return;
        }
    }
    KS_FAIL("no consequence of %d", t->arg);
}

static void every_code_has_a_name(struct ks *t)
{
    static const char unknown[] = "KIRIM_E?";
    (void)t;
    KS_CHECK(strcmp(kirim_err_name(KIRIM_OK), "KIRIM_OK") == 0);
    KS_CHECK(strcmp(kirim_err_name(KIRIM_PENDING), "KIRIM_PENDING") == 0);
    KS_CHECK(strcmp(kirim_err_name(KIRIM_EMSGSIZE), "KIRIM_EMSGSIZE") == 0);
    for (kirim_err err = KIRIM_ESYSTEM; err <= KIRIM_PENDING; err++) {
        KS_CHECK(strcmp(kirim_err_name(err), unknown) != 0);
        KS_CHECK(kirim_err_text(err)[0] != 0);
        KS_CHECK(strchr(kirim_err_text(err), '\n') == NULL);
        for (kirim_err other = KIRIM_ESYSTEM; other < err; other++) {
            KS_CHECK(strcmp(kirim_err_name(err), kirim_err_name(other)) != 0);
            KS_CHECK(strcmp(kirim_err_text(err), kirim_err_text(other)) != 0);
        }
    }
    KS_CHECK(strcmp(kirim_err_name(KIRIM_ESYSTEM - 1), unknown) == 0);
    KS_CHECK(strcmp(kirim_err_name(2), unknown) == 0);
    KS_CHECK(kirim_err_text(12345) != NULL);
}

/* The numbers never change. */
static void codes_are_stable(struct ks *t)
{
    static const kirim_err codes[] = {
        KIRIM_EACCES,      KIRIM_ECONNRESET,      KIRIM_EFAULT,       KIRIM_EINPROGRESS,
        KIRIM_EINTR,       KIRIM_EINVAL,          KIRIM_EMSGSIZE,     KIRIM_ENETDOWN,
        KIRIM_ENETRESET,   KIRIM_ENETUNREACH,     KIRIM_ENOBUFS,      KIRIM_ENOTCONN,
        KIRIM_ENOTSOCK,    KIRIM_EOPNOTSUPP,      KIRIM_ESHUTDOWN,    KIRIM_ETIMEDOUT,
        KIRIM_EWOULDBLOCK, KIRIM_ENOTINITIALISED, KIRIM_EABORTED,     KIRIM_ENOMEM,
        KIRIM_EADDRINUSE,  KIRIM_EADDRNOTAVAIL,   KIRIM_EAFNOSUPPORT, KIRIM_EMFILE,
        KIRIM_ECLOSED,     KIRIM_ENOENT,          KIRIM_EEXIST,       KIRIM_EBUSY,
        KIRIM_ESYSTEM,
    };
    (void)t;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        KS_CHECK(codes[i] == -1 - (kirim_err)i);
    }
    KS_CHECK(KIRIM_OK == 0 && KIRIM_PENDING == 1);
}

#define CONSEQUENCE(claim, cites, proof, err) \
    KC_ARG(claim, cites, consequence_of, proof, KC_SPIED, err)

static const struct kc_case cases[] = {
    KC("null_with_a_length_is_a_fault", "S32", null_with_a_length, KC_CHECKED, KC_MODES),
    KC("no_destination_is_not_connected", "S41", no_destination, KC_CHECKED, KC_MODES),
    KC("bad_destination_is_refused", "", bad_destination, KC_CHECKED, KC_MODES),
    KC("broadcast_without_the_option_is_denied", "S30", broadcast_is_denied, KC_LIVE, 0),
    KC_GAP("closed_port_of_a_connected_endpoint_is_told_once", "S31", closed_port_is_told, KC_LIVE,
           KC_MODES, 0, kc_gap_port_unreachable),
    KC_CAPS("closed_port_is_told_to_an_unconnected_endpoint_once", "S31", unconnected_is_told,
            KC_LIVE, KC_MODES | KC_EXTRA, KIRIM_CAP_ERRORS),
    KC_CAPS("dead_peers_take_nobody_with_them", "S24 S31", dead_take_nobody_with_them, KC_LIVE,
            KC_MODES | KC_EXTRA, KIRIM_CAP_ERRORS),
    KC_CAPS("reports_can_be_declined", "S31", reports_can_be_declined, KC_LIVE, KC_MODES | KC_EXTRA,
            KIRIM_CAP_ERRORS),
    KC_CAPS("peer_of_a_dual_stack_endpoint_is_named_as_it_is", "S31", mapped_peer_is_unmapped,
            KC_LIVE, KC_IPV6_ONLY | KC_EXTRA, KIRIM_CAP_ERRORS | KIRIM_CAP_DUAL_STACK),
    KC_GAP("foreign_source_is_told_as_what_it_is", "S7 S8", foreign_source, KC_LIVE, 0,
           KIRIM_CAP_SOURCE, kc_gap_send_control),
    KC_GAP("loopback_address_leads_nowhere_else", "S39", loopback_leads_nowhere_else, KC_LIVE,
           KC_IPV4_ONLY, KIRIM_CAP_SOURCE, kc_gap_send_control),
    KC_CAPS("loopback_address_of_a_simulated_host_leads_nowhere_else", "S39",
            loopback_leads_nowhere_else, KC_LIVE, KC_IPV6_ONLY | KC_EXTRA,
            KIRIM_CAP_SOURCE | KIRIM_CAP_VIRTUAL_TIME),
    KC("success_does_not_mean_delivered", "S25", nobody_there, KC_LIVE, KC_MODES),
    CONSEQUENCE("denied_datagram_is_told_and_counted", "S30", KC_SPY, KIRIM_EACCES),
    CONSEQUENCE("reset_datagram_is_told_and_counted", "S31", KC_SPY, KIRIM_ECONNRESET),
    CONSEQUENCE("busy_provider_is_told_and_counted", "S33", KC_MAPPED, KIRIM_EINPROGRESS),
    CONSEQUENCE("cancelled_call_is_told_and_counted", "S34", KC_MAPPED, KIRIM_EINTR),
    CONSEQUENCE("datagram_too_long_for_the_system_is_told_and_counted", "S6 S36", KC_SPY,
                KIRIM_EMSGSIZE),
    CONSEQUENCE("network_down_is_told_and_counted", "S37", KC_SPY, KIRIM_ENETDOWN),
    CONSEQUENCE("time_to_live_expired_is_told_and_counted", "S38", KC_MAPPED, KIRIM_ENETRESET),
    CONSEQUENCE("no_route_is_told_and_counted", "S39", KC_SPY, KIRIM_ENETUNREACH),
    CONSEQUENCE("no_buffers_is_counted_and_never_waited_for", "S40", KC_SPY, KIRIM_ENOBUFS),
    CONSEQUENCE("not_connected_is_told_and_counted", "S41", KC_MAPPED, KIRIM_ENOTCONN),
    CONSEQUENCE("shutdown_is_told_and_counted", "S44", KC_SPY, KIRIM_ESHUTDOWN),
    CONSEQUENCE("winsock_not_started_is_told_and_counted", "S47", KC_MAPPED, KIRIM_ENOTINITIALISED),
    CONSEQUENCE("nameless_error_is_told_and_counted", "", KC_SPY, KIRIM_ESYSTEM),
    KC("every_code_has_a_name_and_a_text",
       "S30 S31 S32 S33 S34 S35 S36 S37 S38 S39 S40 S41 S42 S43 S44 S45 S46 S47 S48 S49",
       every_code_has_a_name, KC_MAPPED, KC_UNOPENED),
    KC("codes_are_stable", "", codes_are_stable, KC_MAPPED, KC_UNOPENED),
};

const struct kc_subject kc_error = KC_SUBJECT("error", cases);
