/* SPDX-License-Identifier: MIT
 *
 * What a network says of datagrams that have left, in a network with a router (S6, S31, S36, S38,
 * S39), and what the host's own queue says (S40). Each report is told once, names the peer and the
 * ICMP message, is nobody else's, and leaves the loop at rest.
 */
#include <errno.h>

#include "conformance.h"
#include "namespace.h"
#include "namespace_router.h"

enum {
    TURNS_AT_REST_MAX = 8, /* while nothing happens but one timer */
    REST_NS = 30 * KS_MILLISECOND_NS,
    IPV4_HEADERS = 20 + 8,
    IPV6_HEADERS = 40 + 8
};

static uint8_t bytes[1400];

/* What a report must say. */
struct wanted {
    struct kirim_addr peer;
    kirim_err err;
    int sys_err;
    uint8_t type[2]; /* of ICMP, of ICMPv6 */
    uint8_t code[2];
    uint32_t path_mtu;
};

static struct ks_node *open_in(struct ks *t, struct kc_router *net, const struct kirim_addr *peer,
                               uint32_t flags)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = net->own;
    options.flags = flags;
    if (peer != NULL) {
        options.peer = *peer;
    }
    return ks_node_with(t, &options);
}

static uint64_t turns_of(struct ks *t)
{
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    KS_OK(kirim_loop_read_stats(t->loop, &stats));
    return stats.turns;
}

/* Nothing more is told, and nothing keeps the loop turning (L47). */
static void expect_rest(struct ks_node *n)
{
    struct ks_timer *timer = ks_timer(n->t, 0);
    const size_t failed_count = n->failed_count;
    const uint64_t before = turns_of(n->t);
    ks_arm_in(timer, REST_NS);
    KS_UNTIL(n->t, timer->fired_count == 1);
    KS_CHECK(turns_of(n->t) - before <= TURNS_AT_REST_MAX);
    KS_EQ(failed_count, n->failed_count);
}

/* The next event of `n` is this report. */
static void expect_report(struct ks_node *n, size_t number, const struct wanted *w)
{
    const int which = n->t->family == KIRIM_IPV4 ? 0 : 1;
    KS_UNTIL(n->t, n->failed_count >= number);
    KS_EQ(number, n->failed_count);
    KS_EQ(KIRIM_EVENT_PEER_ERROR, n->event.kind);
    KS_ERR(w->err, n->event.err);
    KS_EQ(w->sys_err, n->event.system_code);
    KS_CHECK(kirim_addr_equal(&w->peer, &n->event.peer));
    KS_EQ(which == 0 ? KIRIM_ORIGIN_ICMP : KIRIM_ORIGIN_ICMPV6, n->event.origin);
    KS_EQ(w->type[which], n->event.icmp_type);
    KS_EQ(w->code[which], n->event.icmp_code);
    KS_EQ(w->path_mtu, n->event.path_mtu);
    KS_EQ(number, ks_stats(n).rx_errors);
}

static void send_with_ttl(struct ks_node *a, const struct kirim_addr *to, uint8_t ttl)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_buf one = { bytes, 5 };
    const struct kirim_msg msg = { &one, to, &control, 1, 0 };
    control.ttl = ttl;
    KS_OK(ks_post_msg(a, &msg, a->t->mode, NULL));
}

static void lifetime_ends(struct ks *t)
{
    struct kc_router net;
    kc_router_enter(&net, t->family);
    ks_open(t);
    const struct wanted w = { net.far, KIRIM_ENETRESET, EHOSTUNREACH, { 11, 3 }, { 0, 0 }, 0 };
    struct ks_node *a = open_in(t, &net, NULL, 0);
    struct ks_node *b = open_in(t, &net, &net.far, 0);
    send_with_ttl(a, &net.far, 1);
    expect_report(a, 1, &w);
    send_with_ttl(b, NULL, 1);
    expect_report(b, 1, &w);
    expect_rest(b);
    KS_EQ(1, a->failed_count);
    KS_EQ(1, ks_stats(a).tx_datagrams);
}

static void router_refuses(struct ks *t)
{
    struct kc_router net;
    kc_router_enter(&net, t->family);
    ks_open(t);
    const int denied = t->family == KIRIM_IPV4 ? EHOSTUNREACH : EACCES;
    const int unknown = t->family == KIRIM_IPV4 ? EHOSTUNREACH : ENETUNREACH;
    const struct wanted w[3] = {
        { net.prohibited, KIRIM_EACCES, denied, { 3, 1 }, { 13, 1 }, 0 },
        { net.unreachable, KIRIM_ENETUNREACH, unknown, { 3, 1 }, { 1, 0 }, 0 },
        { net.router, KIRIM_ECONNRESET, ECONNREFUSED, { 3, 1 }, { 3, 4 }, 0 },
    };
    struct ks_node *a = open_in(t, &net, NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        KS_SEND(a, bytes, 5, &w[i].peer);
        expect_report(a, i + 1, &w[i]);
    }
    expect_rest(a);
    const struct kirim_endpoint_stats stats = ks_stats(a);
    KS_EQ(3, stats.tx_datagrams);
    KS_EQ(0, ks_drops(&stats));
}

/* Somebody on the way says how much fits; from then on the host itself does. */
static void link_is_narrow(struct ks *t)
{
    struct kc_router net;
    kc_router_enter(&net, t->family);
    ks_open(t);
    const struct wanted w = { net.far, KIRIM_EMSGSIZE, EMSGSIZE, { 3, 2 }, { 4, 0 }, KC_FAR_MTU };
    const size_t fits =
        KC_FAR_MTU - (size_t)(t->family == KIRIM_IPV4 ? IPV4_HEADERS : IPV6_HEADERS);
    struct ks_node *a = open_in(t, &net, NULL, KIRIM_ENDPOINT_DONT_FRAGMENT);
    KS_SEND(a, bytes, sizeof bytes, &net.far);
    expect_report(a, 1, &w);
    KS_SEND(a, bytes, fits, &net.far);
    expect_rest(a);
    t->mode = KIRIM_SEND_NOW;
    KS_ERR(KIRIM_EMSGSIZE, ks_send(a, bytes, fits + 1, &net.far, NULL));
    KS_UNTIL(t, a->failed_count == 2);
    KS_EQ(KIRIM_EVENT_PEER_ERROR, a->event.kind);
    KS_ERR(KIRIM_EMSGSIZE, a->event.err);
    KS_EQ(KIRIM_ORIGIN_LOCAL, a->event.origin);
    KS_CHECK(kirim_addr_equal(&net.far, &a->event.peer));
    KS_CHECK(a->event.path_mtu >= KC_FAR_MTU - IPV6_HEADERS && a->event.path_mtu <= KC_FAR_MTU);
    KS_OK(ks_send(a, bytes, fits, &net.far, NULL));
    expect_rest(a);
}

/* ---- the host's own queue -------------------------------------------------------------------- */

/* What the queue of the route has no room for is lost, told and counted; nobody waits for it. */
static void queue_is_full(struct ks *t)
{
    enum { COUNT = 60, BYTES_PER_SECOND = 400000, QUEUE_BYTES = 8000 };
    kc_namespace_enter();
    kc_namespace_choke(BYTES_PER_SECOND, QUEUE_BYTES);
    ks_open(t);
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct ks_node *b = ks_node(t);
    options.flags = KIRIM_ENDPOINT_NO_TRAINS;
    struct ks_node *a = ks_node_with(t, &options);
    uint64_t lost = 0;
    for (int i = 0; i < COUNT; i++) {
        const kirim_err err = ks_send(a, bytes, sizeof bytes, &b->addr, NULL);
        KS_CHECK(err == KIRIM_OK || (t->mode == KIRIM_SEND_NOW && err == KIRIM_ENOBUFS));
        lost += err != KIRIM_OK;
    }
    KS_OK(kirim_endpoint_flush(a->ep));
    const struct kirim_endpoint_stats stats = ks_stats(a);
    KS_EQ(0, stats.tx_blocked);
    KS_EQ(0, stats.tx_queued);
    lost += stats.drops[KIRIM_DROP_NO_BUFFERS];
    KS_CHECK(lost > 0 && lost < COUNT);
    KS_EQ(COUNT, stats.tx_datagrams + lost);
    KS_EQ(ks_drops(&stats), stats.drops[KIRIM_DROP_NO_BUFFERS]);
    KS_UNTIL(t, b->rx_count == stats.tx_datagrams);
    KS_UNTIL(t, a->failed_count == stats.drops[KIRIM_DROP_NO_BUFFERS]);
    KS_CHECK(t->mode == KIRIM_SEND_NOW || a->event.err == KIRIM_ENOBUFS);
}

/* One proof more of its rows, in a network of the case's own. */
#define ICMP(claim, cites, function, how, needs, reason)                                       \
    {                                                                                          \
        .name = (claim), .rows = (cites), .run = (function), .kind = KC_LIVE, .caps = (needs), \
        .flags = (how) | KC_UNOPENED | KC_SYSTEM | KC_EXTRA, .obstacle = (reason)              \
    }

static const struct kc_case cases[] = {
    ICMP("time_to_live_that_ends_is_told_with_its_peer", "S38", lifetime_ends, KC_MODES,
         KIRIM_CAP_ERRORS | KIRIM_CAP_TTL, kc_router_obstacle),
    ICMP("what_a_router_refuses_is_told_by_its_reason", "S30 S31 S39", router_refuses, KC_MODES,
         KIRIM_CAP_ERRORS, kc_router_obstacle),
    ICMP("path_mtu_is_told_by_the_network_and_kept", "S6 S36", link_is_narrow, KC_MODES,
         KIRIM_CAP_ERRORS | KIRIM_CAP_DONT_FRAGMENT, kc_router_obstacle),
    ICMP("full_queue_of_the_route_is_lack_of_buffers", "S40", queue_is_full, KC_MODES,
         KIRIM_CAP_ERRORS, kc_slow_network_obstacle),
};

const struct kc_subject kc_icmp = KC_SUBJECT("icmp", cases);
