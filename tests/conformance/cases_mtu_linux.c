/* SPDX-License-Identifier: MIT
 *
 * Don't-fragment and the path MTU in a network that is narrow: an interface of 1,500 bytes and a
 * route of 1,300, in a namespace (S6, S36).
 */
#include <errno.h>
#include <string.h>

#include "conformance.h"
#include "namespace.h"
#include "plan.h"
#include "support/narrow_net.h"

static uint8_t bytes[NARROW_MTU + 100];

static const char *narrow_obstacle(void)
{
    static int answer; /* 0: not asked yet */
    if (kc_namespace_obstacle() != NULL) {
        return kc_namespace_obstacle();
    }
    if (answer == 0) {
        answer = narrow_net_is_permitted() ? 1 : 2;
    }
    return answer == 1 ? NULL : "not-permitted: a narrow network";
}

/* Enters the narrow network and opens the loop there. */
static void open_narrow(struct ks *t)
{
    KS_CHECK(narrow_net_enter());
    ks_open(t);
    ks_fill(bytes, sizeof bytes, 6);
}

/* An endpoint on the wildcard of the test's family, or with both stacks. */
static struct ks_node *sender(struct ks *t, uint32_t flags)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_wildcard(t->family, 0);
    options.flags = flags;
    if ((flags & KIRIM_ENDPOINT_DUAL_STACK) != 0) {
        options.local = ks_wildcard(KIRIM_IPV6, 0);
    }
    return ks_node_with(t, &options);
}

/* Sends `count` bytes; `is_whole`: this one must not be cut. In NOW mode, for its answer. */
static kirim_err try_send(struct ks_node *a, const struct kirim_addr *to, size_t count,
                          bool is_whole)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_buf one = { bytes, count };
    const struct kirim_msg msg = { &one, to, is_whole ? &control : NULL, 1, 0 };
    control.flags = KIRIM_CONTROL_DONT_FRAGMENT;
    return ks_post_msg(a, &msg, KIRIM_SEND_NOW, NULL);
}

/* ---- of one datagram ------------------------------------------------------------------------- */

static void one_is_kept_whole(struct ks *t, int family, uint32_t flags)
{
    open_narrow(t);
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_loopback(family, 0);
    struct ks_node *b = ks_node_with(t, &options);
    struct ks_node *a = sender(t, flags);
    const size_t limit = narrow_net_payload(family, NARROW_MTU);
    for (int i = 0; i < 2; i++) {
        KS_OK(try_send(a, &b->addr, limit, true));
        KS_EXPECT(b, bytes, limit);
        KS_ERR(KIRIM_EMSGSIZE, try_send(a, &b->addr, limit + 1, true));
        KS_OK(try_send(a, &b->addr, limit + 1, false)); /* it arrives in pieces */
        KS_EXPECT(b, bytes, limit + 1);
    }
}

static void one_datagram_is_kept_whole(struct ks *t)
{
    one_is_kept_whole(t, t->family, 0);
}

static void one_mapped_datagram_is_kept_whole(struct ks *t)
{
    one_is_kept_whole(t, KIRIM_IPV4, KIRIM_ENDPOINT_DUAL_STACK);
}

enum { MIXED_COUNT = 12 };

/* What the sender was told: of its own datagrams, and of the network by its own host. */
struct told {
    size_t failed_count;
    uint64_t tag; /* of the last failed one */
};

static void look_at_failure(struct ks_node *n)
{
    struct told *told = n->ctx;
    KS_ERR(KIRIM_EMSGSIZE, n->event.err);
    KS_EQ(EMSGSIZE, n->event.system_code);
    if (n->event.kind == KIRIM_EVENT_SEND_FAILED) {
        told->failed_count++;
        told->tag = n->event.tag;
        KS_EQ(KIRIM_DROP_TOO_LONG, n->event.drop_reason);
    } else {
        KS_EQ(KIRIM_ORIGIN_LOCAL, n->event.origin);
        KS_EQ(NARROW_MTU, n->event.path_mtu);
    }
}

/* Whole and ordinary ones, short and long, posted in one turn: each is judged by itself, and what
 * leaves keeps its order. */
static void they_mix(struct ks *t)
{
    open_narrow(t);
    struct told told = { 0, 0 };
    struct ks_node *a = sender(t, 0);
    struct ks_node *b = ks_node(t);
    const size_t limit = narrow_net_payload(t->family, NARROW_MTU);
    a->ctx = &told;
    a->on_failed = look_at_failure;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.flags = KIRIM_CONTROL_DONT_FRAGMENT;
    for (uint32_t i = 0; i < MIXED_COUNT; i++) {
        const bool is_whole = i % 2 == 1;
        const bool is_long = i % 3 == 1;
        uint8_t data[NARROW_MTU];
        const struct kirim_buf one = { data, is_long ? limit + 1 : limit };
        const struct kirim_msg msg = { &one, &b->addr, is_whole ? &control : NULL, 1, 0 };
        memcpy(data, bytes, sizeof data);
        ks_number(data, i);
        control.tag = i;
        KS_OK(ks_post_msg(a, &msg, 0, NULL));
    }
    /* 1 and 7 are both whole and long. */
    KS_UNTIL(t, told.failed_count == 2 && b->rx_count == MIXED_COUNT - 2);
    KS_EQ(7, told.tag);
    KS_EQ(2, ks_stats(a).drops[KIRIM_DROP_TOO_LONG]);
    uint32_t next = 0;
    for (size_t i = 0; i < b->rx_count; i++) {
        next += next == 1 || next == 7;
        KS_EQ(next, ks_rx_number(&b->rx[i]));
        KS_EQ(next % 3 == 1 ? limit + 1 : limit, b->rx[i].bytes);
        next++;
    }
}

/* What would be a train is too long for the network: those that may be cut arrive, the others are
 * lost one by one. */
static void long_ones_in_a_row(struct ks *t)
{
    enum { COUNT = 6 };
    open_narrow(t);
    struct told told = { 0, 0 };
    struct ks_node *a = sender(t, 0);
    struct ks_node *b = ks_node(t);
    const size_t limit = narrow_net_payload(t->family, NARROW_MTU);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_buf one = { bytes, limit + 1 };
    struct kirim_msg msg = { &one, &b->addr, NULL, 1, 0 };
    a->ctx = &told;
    a->on_failed = look_at_failure;
    control.flags = KIRIM_CONTROL_DONT_FRAGMENT;
    for (int i = 0; i < COUNT; i++) {
        KS_OK(ks_post_msg(a, &msg, 0, NULL));
    }
    for (size_t i = 0; i < COUNT; i++) {
        KS_EXPECT(b, bytes, limit + 1);
    }
    msg.control = &control;
    for (int i = 0; i < COUNT; i++) {
        KS_OK(ks_post_msg(a, &msg, 0, NULL));
    }
    KS_UNTIL(t, told.failed_count == COUNT);
    KS_EQ(COUNT, ks_stats(a).drops[KIRIM_DROP_TOO_LONG]);
    KS_EXPECT_END(b, a);
}

/* ---- of all datagrams ------------------------------------------------------------------------ */

static void whole_endpoint(struct ks *t)
{
    open_narrow(t);
    struct ks_node *a = sender(t, KIRIM_ENDPOINT_DONT_FRAGMENT);
    const struct kirim_addr far = narrow_net_far(t->family);
    const size_t limit = narrow_net_payload(t->family, NARROW_ROUTE_MTU);
    KS_ERR(KIRIM_EMSGSIZE, try_send(a, &far, limit + 1, false));
    KS_OK(try_send(a, &far, limit, false));
}

static void probing_endpoint(struct ks *t)
{
    open_narrow(t);
    struct ks_node *a = sender(t, KIRIM_ENDPOINT_PROBE_MTU);
    const struct kirim_addr far = narrow_net_far(t->family);
    const size_t limit = narrow_net_payload(t->family, NARROW_MTU);
    KS_ERR(KIRIM_EMSGSIZE, try_send(a, &far, limit + 1, false));
    KS_OK(try_send(a, &far, limit, false)); /* longer than the route takes */
}

static void whole_dual_stack(struct ks *t)
{
    open_narrow(t);
    struct ks_node *a = sender(t, KIRIM_ENDPOINT_DONT_FRAGMENT | KIRIM_ENDPOINT_DUAL_STACK);
    for (int family = KIRIM_IPV4; family <= KIRIM_IPV6; family++) {
        struct kirim_endpoint_options options = ks_endpoint_options(t);
        options.local = ks_loopback(family, 0);
        struct ks_node *b = ks_node_with(t, &options);
        const size_t limit = narrow_net_payload(family, NARROW_MTU);
        KS_ERR(KIRIM_EMSGSIZE, try_send(a, &b->addr, limit + 1, false));
        KS_OK(try_send(a, &b->addr, limit, false));
        KS_EXPECT(b, bytes, limit);
    }
}

/* ---- the path MTU ---------------------------------------------------------------------------- */

static void path_mtu_is_that_of_the_route(struct ks *t)
{
    open_narrow(t);
    struct ks_node *a = sender(t, 0);
    const struct kirim_addr far = narrow_net_far(t->family);
    const struct kirim_addr near = ks_loopback(t->family, 9);
    struct ks_node *b = ks_node_connected(t, &far);
    uint32_t mtu = 0;
    KS_OK(kirim_endpoint_path_mtu(a->ep, &far, &mtu));
    KS_EQ(NARROW_ROUTE_MTU, mtu);
    KS_OK(kirim_endpoint_path_mtu(a->ep, &near, &mtu));
    KS_EQ(NARROW_MTU, mtu);
    KS_OK(kirim_endpoint_path_mtu(b->ep, NULL, &mtu));
    KS_EQ(NARROW_ROUTE_MTU, mtu);
    KS_OK(kirim_endpoint_path_mtu(b->ep, &near, &mtu));
    KS_EQ(NARROW_MTU, mtu);
    KS_CHECK(narrow_net_change_route(1280));
    KS_OK(kirim_endpoint_path_mtu(a->ep, &far, &mtu));
    KS_EQ(1280, mtu);
}

/* A case in the narrow network; one proof more of its rows. */
#define NARROW(claim, cites, function, how, needs)                                             \
    {                                                                                          \
        .name = (claim), .rows = (cites), .run = (function), .kind = KC_LIVE, .caps = (needs), \
        .obstacle = narrow_obstacle, .flags = (how) | KC_UNOPENED | KC_SYSTEM | KC_EXTRA       \
    }

static const struct kc_case cases[] = {
    NARROW("whole_datagram_is_sent_whole_or_not_at_all", "S6 S36", one_datagram_is_kept_whole, 0,
           KIRIM_CAP_DONT_FRAGMENT),
    NARROW("whole_ipv4_datagram_of_a_dual_stack_is_sent_whole_or_not_at_all", "S6 S36",
           one_mapped_datagram_is_kept_whole, KC_IPV6_ONLY,
           KIRIM_CAP_DONT_FRAGMENT | KIRIM_CAP_DUAL_STACK),
    NARROW("whole_datagrams_and_others_leave_in_order", "S6 S24", they_mix, 0,
           KIRIM_CAP_DONT_FRAGMENT),
    NARROW("datagrams_too_long_for_a_train_are_judged_one_by_one", "S6 S24", long_ones_in_a_row, 0,
           KIRIM_CAP_DONT_FRAGMENT),
    NARROW("whole_endpoint_is_limited_by_the_path", "S6 S36", whole_endpoint, 0,
           KIRIM_CAP_DONT_FRAGMENT),
    NARROW("probing_endpoint_is_limited_by_its_interface", "S6 S36", probing_endpoint, 0,
           KIRIM_CAP_DONT_FRAGMENT | KIRIM_CAP_PATH_MTU),
    NARROW("whole_dual_stack_is_whole_in_both_families", "S6", whole_dual_stack, KC_IPV6_ONLY,
           KIRIM_CAP_DONT_FRAGMENT | KIRIM_CAP_DUAL_STACK),
    NARROW("path_mtu_is_that_of_the_route", "", path_mtu_is_that_of_the_route, 0, 0),
};

const struct kc_subject kc_narrow = KC_SUBJECT("narrow", cases);
