/* SPDX-License-Identifier: MIT
 *
 * Control data: typed fields, honoured or refused, never ignored (S7 to S10).
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

static uint8_t bytes[64];

/* Sends with this control data, plain and with an operation. */
static kirim_err try_control(struct ks_node *a, struct ks_node *b,
                             const struct kirim_control *control)
{
    struct ks *t = a->t;
    const struct kirim_buf one = { bytes, 8 };
    const struct kirim_msg msg = { &one, &b->addr, control, 1, 0 };
    const kirim_err plain = ks_post_msg(a, &msg, t->mode, NULL);
    struct ks_op *o = ks_op(t, 0);
    const kirim_err with_op = ks_post_msg(a, &msg, t->mode, o);
    KS_CHECK((plain < 0) == (with_op < 0));
    KS_CHECK(plain >= 0 || plain == with_op);
    KS_CHECK(plain >= 0 || !kirim_op_is_pending(&o->op));
    return plain;
}

/* One field, the capability it needs, and whether the value is one that it can have. */
struct field {
    uint32_t cap;
    bool is_good;
    void (*set)(struct kirim_control *c, const struct ks *t);
};

static void set_ecn(struct kirim_control *c, const struct ks *t)
{
    (void)t;
    c->ecn = 3;
}

static void set_bad_ecn(struct kirim_control *c, const struct ks *t)
{
    (void)t;
    c->ecn = 4;
}

static void set_dscp(struct kirim_control *c, const struct ks *t)
{
    (void)t;
    c->dscp = 63;
}

static void set_bad_dscp(struct kirim_control *c, const struct ks *t)
{
    (void)t;
    c->dscp = 64;
}

static void set_ttl(struct kirim_control *c, const struct ks *t)
{
    (void)t;
    c->ttl = 64;
}

static void set_dont_fragment(struct kirim_control *c, const struct ks *t)
{
    (void)t;
    c->flags = KIRIM_CONTROL_DONT_FRAGMENT;
}

static void set_bad_flags(struct kirim_control *c, const struct ks *t)
{
    (void)t;
    c->flags = 0x80;
}

static void set_not_before(struct kirim_control *c, const struct ks *t)
{
    (void)t;
    c->not_before_ns = 1;
}

static void set_source(struct kirim_control *c, const struct ks *t)
{
    c->source = ks_loopback(t->family, 0);
}

static void set_source_of_the_other_family(struct kirim_control *c, const struct ks *t)
{
    c->source = ks_loopback(t->family == KIRIM_IPV4 ? KIRIM_IPV6 : KIRIM_IPV4, 0);
}

static const struct field fields[] = {
    { KIRIM_CAP_ECN, true, set_ecn },
    { KIRIM_CAP_ECN, false, set_bad_ecn },
    { KIRIM_CAP_ECN, true, set_dscp },
    { KIRIM_CAP_ECN, false, set_bad_dscp },
    { KIRIM_CAP_TTL, true, set_ttl },
    { KIRIM_CAP_DONT_FRAGMENT, true, set_dont_fragment },
    { KIRIM_CAP_DONT_FRAGMENT, false, set_bad_flags },
    { KIRIM_CAP_PACING, true, set_not_before },
    { KIRIM_CAP_SOURCE, true, set_source },
    { KIRIM_CAP_SOURCE, false, set_source_of_the_other_family },
};

static void honours_or_refuses(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    ks_fill(bytes, sizeof bytes, 10);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct kirim_control control = KIRIM_CONTROL_INIT;
        fields[i].set(&control, t);
        const kirim_err err = try_control(a, b, &control);
        if (!fields[i].is_good) {
            KS_ERR(KIRIM_EINVAL, err);
        } else if ((t->caps & fields[i].cap) == 0) {
            KS_ERR(KIRIM_EOPNOTSUPP, err);
        } else {
            KS_OK(err);
            KS_EXPECT(b, bytes, 8);
            KS_EXPECT(b, bytes, 8);
        }
    }
    KS_EXPECT_END(b, a);
}

static void refuses_an_unknown_interface(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.ifindex = 1;
    if ((t->caps & KIRIM_CAP_SOURCE) == 0) {
        KS_ERR(KIRIM_EOPNOTSUPP, try_control(a, b, &control));
    }
    KS_EXPECT_END(b, a);
}

static void refuses_other_sizes(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct {
        struct kirim_control known;
        uint64_t more;
    } control = { KIRIM_CONTROL_INIT, 0 };
    control.known.size = 0;
    KS_ERR(KIRIM_EINVAL, try_control(a, b, &control.known));
    control.known.size = 8;
    KS_ERR(KIRIM_EINVAL, try_control(a, b, &control.known));
    control.known.size = (uint32_t)sizeof control;
    KS_OK(try_control(a, b, &control.known));
    KS_EXPECT(b, bytes, 8);
    KS_EXPECT(b, bytes, 8);
    control.more = 1; /* a field of a later version, which this one cannot honour */
    KS_CHECK(try_control(a, b, &control.known) < 0);
    KS_EXPECT_END(b, a);
}

/* What the reactor is given is what the caller said, though the caller has overwritten it. */
static void captures_control(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { bytes, 8 };
    for (int with_op = 0; with_op < 2; with_op++) {
        struct kirim_control control = KIRIM_CONTROL_INIT;
        const struct kirim_msg msg = { &one, &b->addr, &control, 1, 0 };
        control.tag = 0x1122334455667788ULL;
        KS_CHECK(ks_post_msg(a, &msg, t->mode, with_op != 0 ? ks_op(t, 0) : NULL) >= 0);
        memset(&control, 0xff, sizeof control);
        KS_EXPECT(b, bytes, 8);
    }
    KS_EQ(2, t->spy->seen_count);
    for (size_t i = 0; i < 2; i++) {
        KS_CHECK(t->spy->seen[i].has_control);
        KS_CHECK(t->spy->seen[i].control.tag == 0x1122334455667788ULL);
        KS_EQ(0, t->spy->seen[i].control.ttl);
    }
}

/* The tag of a lost datagram comes back, the caller's control data being long gone. */
static void tag_comes_back(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { bytes, 8 };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_msg msg = { &one, &b->addr, &control, 1, 0 };
    control.tag = 77;
    ks_spy_refuse(t, KIRIM_ENOBUFS, 1234, 0, 1);
    KS_OK(ks_post_msg(a, &msg, 0, NULL));
    memset(&control, 0xff, sizeof control);
    KS_UNTIL(t, a->failed_count == 1);
    KS_EQ(77, a->event.tag);
    KS_EQ(1234, a->event.system_code);
    KS_CHECK(kirim_addr_equal(&a->event.peer, &b->addr));
}

/* Sends from a wildcard endpoint with a named source; the peer sees it. */
static void source_is_honoured(struct ks *t, struct kirim_addr source)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_wildcard(t->family, 0);
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b = ks_node(t);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = source;
    KS_OK(try_control(a, b, &control));
    KS_EXPECT(b, bytes, 8);
    KS_EXPECT(b, bytes, 8);
    struct kirim_addr seen = b->rx[0].peer;
    kirim_addr_set_port(&seen, 0);
    KS_CHECK(kirim_addr_equal(&seen, &source));
}

static void source_of_ipv4(struct ks *t)
{
    static const uint8_t other[4] = { 127, 0, 0, 2 };
    source_is_honoured(t, kirim_addr_ipv4(other, 0));
}

static void source_of_ipv6(struct ks *t)
{
    source_is_honoured(t, ks_loopback(KIRIM_IPV6, 0));
}

static void source_by_destination(struct ks *t)
{
    static const uint8_t other[4] = { 127, 0, 0, 2 };
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_wildcard(KIRIM_IPV6, 0);
    options.flags = KIRIM_ENDPOINT_DUAL_STACK;
    struct ks_node *dual = ks_node_with(t, &options);
    options = ks_endpoint_options(t);
    options.local = ks_loopback(KIRIM_IPV4, 0);
    struct ks_node *v4 = ks_node_with(t, &options);
    struct ks_node *v6 = ks_node(t);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = kirim_addr_ipv4(other, 0);
    KS_OK(try_control(dual, v4, &control));
    KS_ERR(KIRIM_EINVAL, try_control(dual, v6, &control));
    KS_UNTIL(t, v4->rx_count == 2);
    kirim_addr_set_port(&v4->rx[0].peer, 0);
    KS_CHECK(kirim_addr_equal(&v4->rx[0].peer, &control.source));
    control.source = ks_loopback(KIRIM_IPV6, 0);
    KS_OK(try_control(dual, v6, &control));
    KS_ERR(KIRIM_EINVAL, try_control(dual, v4, &control));
    KS_UNTIL(t, v6->rx_count == 2);
}

/* What was said of a datagram arrives with it, where the peer asked to be told: the last one. */
struct seen {
    uint32_t ecn, dscp, ttl;
    uint64_t time_ns;
    uint64_t now_ns; /* in the callback */
};

static void look_at_arrival(struct ks_node *n, const struct kirim_batch *batch)
{
    struct seen *seen = n->ctx;
    const struct kirim_datagram *d = kirim_batch_at(batch, batch->count - 1);
    *seen = (struct seen){ .ecn = d->ecn, .now_ns = kirim_loop_now(n->t->loop) };
    if (d->arrival != NULL) {
        seen->dscp = d->arrival->dscp;
        seen->ttl = d->arrival->ttl;
        seen->time_ns = d->arrival->time_ns;
    }
}

/* An endpoint that asks to be told, at this address. */
static struct ks_node *listener(struct ks *t, const struct kirim_addr *local, uint32_t flags,
                                struct seen *seen)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags = flags;
    if (local != NULL) {
        options.local = *local;
    }
    struct ks_node *n = ks_node_with(t, &options);
    n->ctx = seen;
    n->on_received = look_at_arrival;
    return n;
}

/* Sends marked datagrams to `to` until each value has crossed, then one of which nothing is said.
 */
static void marks_cross(struct ks_node *a, struct ks_node *b, const struct kirim_addr *to)
{
    static const uint8_t dscps[4] = { 0, 1, 46, 63 };
    const struct seen *seen = b->ctx;
    struct ks *t = a->t;
    for (uint8_t i = 0; i <= 3; i++) {
        const struct kirim_buf one = { bytes, 8 };
        struct kirim_control control = KIRIM_CONTROL_INIT;
        const struct kirim_msg msg = { &one, to, &control, 1, 0 };
        control.ecn = i;
        control.dscp = dscps[i];
        control.ttl = (uint8_t)(7 + i);
        KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
        KS_UNTIL(t, b->rx_count == (size_t)i + 1);
        KS_EQ(i, seen->ecn);
        KS_EQ(dscps[i], seen->dscp);
        KS_EQ(7 + i, seen->ttl);
    }
    KS_SEND(a, bytes, 8, to);
    KS_UNTIL(t, b->rx_count == 5);
    KS_EQ(0, seen->ecn);
    KS_EQ(0, seen->dscp);
    KS_CHECK(seen->ttl > 10);
}

static void ecn_dscp_and_ttl_cross(struct ks *t)
{
    struct seen seen;
    struct ks_node *a = ks_node(t);
    struct ks_node *b = listener(t, NULL, KIRIM_ENDPOINT_RECEIVE_CONTROL, &seen);
    marks_cross(a, b, &b->addr);
}

/* IPv4 between endpoints with both stacks takes what is said of IPv4, out and in. */
static void ecn_dscp_and_ttl_cross_mapped(struct ks *t)
{
    const struct kirim_addr wildcard = ks_wildcard(KIRIM_IPV6, 0);
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct seen seen;
    options.local = wildcard;
    options.flags = KIRIM_ENDPOINT_DUAL_STACK;
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b =
        listener(t, &wildcard, KIRIM_ENDPOINT_RECEIVE_CONTROL | KIRIM_ENDPOINT_DUAL_STACK, &seen);
    const struct kirim_addr to = ks_loopback(KIRIM_IPV4, kirim_addr_port(&b->addr));
    marks_cross(a, b, &to);
    KS_EQ(KIRIM_IPV4, kirim_addr_family(&b->rx[0].peer));
    KS_CHECK(kirim_addr_equal(&to, &b->rx[0].local));
}

static void nobody_asked(struct ks *t)
{
    struct seen seen;
    struct ks_node *a = ks_node(t);
    struct ks_node *b = listener(t, NULL, 0, &seen);
    const struct kirim_buf one = { bytes, 8 };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_msg msg = { &one, &b->addr, &control, 1, 0 };
    control.ecn = 3;
    control.dscp = 63;
    control.ttl = 9;
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
    KS_UNTIL(t, b->rx_count == 1);
    KS_EQ(0, seen.ecn | seen.dscp | seen.ttl);
    KS_CHECK(seen.time_ns == 0);
}

/* ---- when it arrived ------------------------------------------------------------------------- */

static void time_is_told(struct ks *t)
{
    struct seen seen;
    struct ks_node *a = ks_node(t);
    struct ks_node *b = listener(t, NULL, KIRIM_ENDPOINT_RECEIVE_CONTROL, &seen);
    for (size_t i = 1; i <= 5; i++) {
        const uint64_t before_ns = kirim_loop_now(t->loop);
        KS_SEND(a, bytes, 8, &b->addr);
        KS_UNTIL(t, b->rx_count == i);
        KS_CHECK(seen.time_ns >= before_ns);
        KS_CHECK(seen.time_ns <= seen.now_ns);
        KS_CHECK(seen.now_ns <= kirim_loop_now(t->loop));
    }
}

static void send_to_the_other(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)batch;
    const struct ks_node *other = n->ctx;
    (void)kirim_loop_now(n->t->loop); /* from here on the turn has its time */
    n->t->mode = KIRIM_SEND_NOW;
    KS_SEND(n, bytes, 8, &other->addr);
}

/* What comes in during a turn comes in at the turn's own time, as that stands still. */
static void time_is_never_ahead(struct ks *t)
{
    struct seen seen;
    struct ks_node *a = ks_node(t);
    struct ks_node *first = ks_node(t);
    struct ks_node *second = listener(t, NULL, KIRIM_ENDPOINT_RECEIVE_CONTROL, &seen);
    first->ctx = second;
    first->on_received = send_to_the_other;
    for (size_t i = 0; i < 20; i++) {
        KS_SEND(a, bytes, 8, &first->addr);
        KS_SEND(a, bytes, 8, &second->addr);
        KS_UNTIL(t, second->rx_count == 2 * i + 2);
        KS_CHECK(seen.time_ns != 0 && seen.time_ns <= seen.now_ns);
    }
}

/* ---- replies --------------------------------------------------------------------------------- */

static void reply_to_it(struct ks_node *n, const struct kirim_batch *batch)
{
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, batch->count, NULL));
}

/* A wildcard endpoint was asked by one of its host's addresses, and answers by it. */
static void is_answered_from(struct ks *t, struct ks_node *b, struct kirim_addr asked)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_loopback(kirim_addr_family(&asked), 0);
    struct ks_node *a = ks_node_with(t, &options);
    kirim_addr_set_port(&asked, kirim_addr_port(&b->addr));
    b->on_received = reply_to_it;
    KS_SEND(a, "hello", 5, &asked);
    KS_EXPECT(a, "hello", 5);
    KS_CHECK(kirim_addr_equal(&asked, &a->rx[0].peer));
}

static struct ks_node *wildcard_node(struct ks *t, int family, uint32_t flags)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_wildcard(family, 0);
    options.flags = flags;
    return ks_node_with(t, &options);
}

static void reply_leaves_from_ipv4(struct ks *t)
{
    static const uint8_t others[][4] = { { 127, 0, 0, 2 }, { 127, 0, 0, 9 }, { 127, 0, 0, 1 } };
    struct ks_node *b = wildcard_node(t, KIRIM_IPV4, 0);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        is_answered_from(t, b, kirim_addr_ipv4(others[i], 0));
    }
}

static void reply_leaves_from_ipv6(struct ks *t)
{
    is_answered_from(t, wildcard_node(t, KIRIM_IPV6, 0), ks_loopback(KIRIM_IPV6, 0));
}

static void reply_leaves_from_dual_stack(struct ks *t)
{
    static const uint8_t other[4] = { 127, 0, 0, 9 };
    struct ks_node *b = wildcard_node(t, KIRIM_IPV6, KIRIM_ENDPOINT_DUAL_STACK);
    is_answered_from(t, b, kirim_addr_ipv4(other, 0));
    is_answered_from(t, b, ks_loopback(KIRIM_IPV6, 0));
}

/* One that is bound has no choice, and its system none to refuse. */
static void reply_of_a_bound_endpoint_names_no_source(struct ks *t)
{
    struct ks_node *b = ks_node(t);
    is_answered_from(t, b, ks_loopback(t->family, 0));
    for (size_t i = 0; i < t->spy->seen_count; i++) {
        KS_CHECK(!t->spy->seen[i].has_control);
    }
}

static const struct kc_case cases[] = {
    KC("fields_are_honoured_or_refused", "S10 S43", honours_or_refuses, KC_CHECKED, KC_MODES),
    KC("interface_is_refused_where_it_cannot_be_chosen", "S10 S43", refuses_an_unknown_interface,
       KC_CHECKED, KC_MODES),
    KC("control_data_of_another_size_is_understood_or_refused", "S10", refuses_other_sizes,
       KC_CHECKED, KC_MODES),
    KC("control_data_is_captured", "S5", captures_control, KC_SPY, KC_MODES | KC_SPIED),
    KC("tag_of_a_lost_datagram_comes_back", "S5", tag_comes_back, KC_SPY, KC_SPIED),
    KC_GAP("source_of_an_ipv4_datagram_is_honoured", "S7", source_of_ipv4, KC_LIVE,
           KC_MODES | KC_IPV4_ONLY, KIRIM_CAP_SOURCE, kc_gap_send_control),
    KC_GAP("source_of_an_ipv6_datagram_is_honoured", "S8", source_of_ipv6, KC_LIVE,
           KC_MODES | KC_IPV6_ONLY, KIRIM_CAP_SOURCE, kc_gap_send_control),
    KC_GAP("source_follows_the_destination_of_a_dual_stack_endpoint", "S9", source_by_destination,
           KC_LIVE, KC_MODES | KC_IPV6_ONLY, KIRIM_CAP_SOURCE | KIRIM_CAP_DUAL_STACK,
           kc_gap_send_control),
    KC_GAP("ecn_dscp_and_time_to_live_cross", "", ecn_dscp_and_ttl_cross, KC_LIVE, KC_MODES,
           KIRIM_CAP_ECN | KIRIM_CAP_TTL, kc_gap_send_control),
    KC_GAP("ecn_dscp_and_time_to_live_of_ipv4_cross_between_dual_stacks", "S9",
           ecn_dscp_and_ttl_cross_mapped, KC_LIVE, KC_MODES | KC_IPV6_ONLY,
           KIRIM_CAP_ECN | KIRIM_CAP_TTL | KIRIM_CAP_DUAL_STACK, kc_gap_send_control),
    KC("what_nobody_asked_for_is_not_told", "", nobody_asked, KC_LIVE, KC_MODES),
    KC_CAPS("time_of_an_arrival_lies_between_sending_and_receiving", "", time_is_told, KC_LIVE,
            KC_MODES, KIRIM_CAP_TIME),
    KC_CAPS("time_of_an_arrival_is_never_later_than_the_loops", "", time_is_never_ahead, KC_LIVE, 0,
            KIRIM_CAP_TIME),
    KC_GAP("reply_leaves_from_the_address_that_was_asked", "S7", reply_leaves_from_ipv4, KC_LIVE,
           KC_IPV4_ONLY, KIRIM_CAP_SOURCE, kc_gap_send_control),
    KC_GAP("reply_leaves_from_the_ipv6_address_that_was_asked", "S8", reply_leaves_from_ipv6,
           KC_LIVE, KC_IPV6_ONLY, KIRIM_CAP_SOURCE, kc_gap_send_control),
    KC_GAP("reply_of_a_dual_stack_leaves_from_the_address_that_was_asked", "S9",
           reply_leaves_from_dual_stack, KC_LIVE, KC_IPV6_ONLY,
           KIRIM_CAP_SOURCE | KIRIM_CAP_DUAL_STACK, kc_gap_send_control),
    KC("reply_of_a_bound_endpoint_names_no_source", "S7 S8",
       reply_of_a_bound_endpoint_names_no_source, KC_SPY, KC_SPIED | KC_EXTRA),
    KC_MISSING("source_of_an_ipv4_datagram_is_no_matter_of_ipv6", "S7", KC_IPV6_ONLY, "family"),
    KC_MISSING("source_of_an_ipv6_datagram_is_no_matter_of_ipv4", "S8", KC_IPV4_ONLY, "family"),
    KC_MISSING("dual_stack_is_no_matter_of_ipv4", "S9", KC_IPV4_ONLY, "family"),
};

const struct kc_subject kc_control = KC_SUBJECT("control", cases);
