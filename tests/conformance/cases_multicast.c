/* SPDX-License-Identifier: MIT
 *
 * Multicast and broadcast: who hears what is sent to many, and how it is sent (S30).
 *
 * On a system it runs in a network of its own with two interfaces, each of which leads to another
 * host; on Windows, unless it was put into such a one, on the loopback interface; in the simulator
 * on the only interface of the only host.
 */
#include <string.h>

#include "conformance.h"
#include "namespace_multicast.h"

enum { UNKNOWN_IFINDEX = 9999, TRAIN_COUNT = 64, TRAIN_BYTES = 200 };

/* The case's network: its interfaces, and addresses of its own on the first one. Port and groups
 * are chosen by the first endpoint that is bound to them (bind_here). */
struct net {
    struct kc_segment segment[2];
    struct kirim_addr group, other_group; /* with the port */
    struct kirim_addr own[2];
    uint16_t port;
};

static struct kirim_addr with_port(struct kirim_addr a, uint16_t port)
{
    kirim_addr_set_port(&a, port);
    return a;
}

static struct kirim_addr read_addr(const char *text)
{
    struct kirim_addr a;
    KS_OK(kirim_addr_parse(text, &a));
    return a;
}

static bool is_simulated(const struct ks *t)
{
    return strcmp(t->reactor, "sim") == 0;
}

static void net_open(struct ks *t, struct net *n)
{
    const bool is_ipv4 = t->family == KIRIM_IPV4;
    memset(n, 0, sizeof *n);
    if (is_simulated(t)) {
        n->segment[0].ifindex = 1;
        n->own[0] = ks_loopback(t->family, 0);
        n->own[1] = is_ipv4 ? read_addr("127.0.0.2") : n->own[0];
    } else {
        kc_segments_enter(n->segment, t->family);
        memcpy(n->own, n->segment[0].own, sizeof n->own);
    }
    kc_segments_open(t);
}

/* An endpoint at the wildcard address. */
static struct ks_node *bind_any(struct ks *t, uint16_t port, uint32_t flags)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_wildcard(t->family, port);
    options.flags = flags;
    return ks_node_with(t, &options);
}

/* A group at a port, which nobody else has who might be on the same interface. */
static struct kirim_addr group_at(int family, uint8_t which, uint16_t port)
{
    const uint8_t high = (uint8_t)(port >> 8);
    const uint8_t low = (uint8_t)port;
    const uint8_t ipv4[4] = { 239, which, high, low };
    const uint8_t ipv6[16] = { 0xff, 0x15, [13] = which, [14] = high, [15] = low };
    return family == KIRIM_IPV4 ? kirim_addr_ipv4(ipv4, port) : kirim_addr_ipv6(ipv6, port, 0);
}

/* An endpoint at the wildcard address and the case's port, which the system chooses for the first
 * one. */
static struct ks_node *bind_here(struct ks *t, struct net *n, uint32_t flags)
{
    struct ks_node *node = bind_any(t, n->port, flags);
    if (n->port == 0) {
        n->port = kirim_addr_port(&node->addr);
        n->group = group_at(t->family, 1, n->port);
        n->other_group = group_at(t->family, 2, n->port);
    }
    return node;
}

static struct kirim_membership member(const struct kirim_addr *group, uint32_t ifindex)
{
    struct kirim_membership m = KIRIM_MEMBERSHIP_INIT;
    m.group = *group;
    m.ifindex = ifindex;
    return m;
}

static void join(const struct ks_node *node, const struct kirim_addr *group, uint32_t ifindex)
{
    const struct kirim_membership m = member(group, ifindex);
    KS_OK(kirim_endpoint_join(node->ep, &m));
}

static kirim_err set_sending(const struct ks_node *node, uint32_t ifindex, uint32_t ttl,
                             uint32_t flags)
{
    struct kirim_multicast_options options = KIRIM_MULTICAST_OPTIONS_INIT;
    options.ifindex = ifindex;
    options.ttl = ttl;
    options.flags = flags;
    return kirim_endpoint_set_multicast(node->ep, &options);
}

/* A listener that has joined the group on the first interface. */
static struct ks_node *listener(struct ks *t, struct net *n, uint32_t flags)
{
    struct ks_node *node = bind_here(t, n, KIRIM_ENDPOINT_SHARE_PORT | flags);
    join(node, &n->group, n->segment[0].ifindex);
    return node;
}

static struct ks_node *sender(struct ks *t, const struct net *n)
{
    struct ks_node *node = bind_any(t, 0, 0);
    KS_OK(set_sending(node, n->segment[0].ifindex, 1, 0));
    return node;
}

/* Sends a text of at most 32 bytes with control data, in the case's mode. */
static void send_with(struct ks_node *from, const char *text, const struct kirim_addr *to,
                      const struct kirim_control *control)
{
    char bytes[32];
    const struct kirim_buf one = { bytes, strlen(text) };
    const struct kirim_msg msg = { &one, to, control, 1, 0 };
    KS_CHECK(one.bytes <= sizeof bytes);
    memcpy(bytes, text, one.bytes);
    KS_OK(ks_post_msg(from, &msg, from->t->mode, NULL));
}

static bool is_from(const struct ks_rx *rx, const struct kirim_addr *host)
{
    const struct kirim_addr peer = with_port(rx->peer, 0);
    return kirim_addr_equal(&peer, host);
}

/* ---- who hears ------------------------------------------------------------------------------- */

static void members_hear(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *first = listener(t, &n, 0);
    struct ks_node *second = listener(t, &n, 0);
    struct ks_node *none = bind_here(t, &n, KIRIM_ENDPOINT_SHARE_PORT);
    struct ks_node *other = bind_here(t, &n, KIRIM_ENDPOINT_SHARE_PORT);
    struct ks_node *from = sender(t, &n);
    join(other, &n.other_group, n.segment[0].ifindex);
    KS_SEND(from, "to one", 6, &n.group);
    KS_SEND(from, "to the other", 12, &n.other_group);
    KS_EXPECT(first, "to one", 6);
    KS_EXPECT(second, "to one", 6);
    KS_EXPECT(other, "to the other", 12);
    KS_CHECK(kirim_addr_equal(&n.group, &first->rx[0].local));
    KS_CHECK(kirim_addr_equal(&n.other_group, &other->rx[0].local));
    KS_CHECK(is_from(&first->rx[0], &n.own[0]));
    ks_settle(t);
    KS_EQ(3, first->rx_count + second->rx_count + other->rx_count + none->rx_count);
}

/* Whoever is bound to the port is told what is sent to it, but not what is sent to a group. */
static void nobody_hears(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = bind_here(t, &n, 0);
    struct ks_node *from = sender(t, &n);
    const struct kirim_addr direct = with_port(n.own[0], n.port);
    KS_SEND(from, "to nobody", 9, &n.group);
    KS_SEND(from, "to it", 5, &direct);
    KS_EXPECT(node, "to it", 5);
    ks_settle(t);
    KS_EQ(1, node->rx_count);
    KS_EQ(0, from->failed_count);
}

/* Neither interface is named: the route decides, for both sides. */
static void route_chooses_the_interface(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = bind_here(t, &n, 0);
    struct ks_node *from = bind_any(t, 0, 0);
    join(node, &n.group, 0);
    KS_SEND(from, "by route", 8, &n.group);
    KS_EXPECT(node, "by route", 8);
    KS_CHECK(kirim_addr_equal(&n.group, &node->rx[0].local));
}

static void left_is_not_heard(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = listener(t, &n, 0);
    struct ks_node *witness = listener(t, &n, 0);
    struct ks_node *from = sender(t, &n);
    const struct kirim_membership m = member(&n.group, n.segment[0].ifindex);
    KS_SEND(from, "before", 6, &n.group);
    KS_EXPECT(node, "before", 6);
    KS_OK(kirim_endpoint_leave(node->ep, &m));
    KS_SEND(from, "behind", 6, &n.group);
    KS_EXPECT(witness, "before", 6);
    KS_EXPECT(witness, "behind", 6);
    ks_settle(t);
    KS_EQ(1, node->rx_count);
    KS_OK(kirim_endpoint_join(node->ep, &m));
    KS_SEND(from, "again", 5, &n.group);
    KS_EXPECT(node, "again", 5);
}

static void last_one_leaves(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = listener(t, &n, 0);
    struct ks_node *from = sender(t, &n);
    const struct kirim_membership m = member(&n.group, n.segment[0].ifindex);
    const struct kirim_addr direct = with_port(n.own[0], n.port);
    KS_SEND(from, "before", 6, &n.group);
    KS_EXPECT(node, "before", 6);
    KS_OK(kirim_endpoint_leave(node->ep, &m));
    KS_SEND(from, "behind", 6, &n.group);
    KS_SEND(from, "direct", 6, &direct);
    KS_EXPECT(node, "direct", 6);
    ks_settle(t);
    KS_EQ(2, node->rx_count);
    KS_OK(kirim_endpoint_join(node->ep, &m));
    KS_SEND(from, "again", 5, &n.group);
    KS_EXPECT(node, "again", 5);
}

static void membership_errors_are_exact(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = bind_here(t, &n, 0);
    struct ks_node *narrow = ks_node(t);
    const struct kirim_membership m = member(&n.group, n.segment[0].ifindex);
    const struct kirim_membership unicast = member(&n.own[0], 0);
    KS_ERR(KIRIM_ENOENT, kirim_endpoint_leave(node->ep, &m));
    KS_OK(kirim_endpoint_join(node->ep, &m));
    KS_ERR(KIRIM_EEXIST, kirim_endpoint_join(node->ep, &m));
    KS_OK(kirim_endpoint_leave(node->ep, &m));
    KS_ERR(KIRIM_ENOENT, kirim_endpoint_leave(node->ep, &m));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_join(node->ep, &unicast));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_join(narrow->ep, &m)); /* bound to one address */
    KS_ERR(KIRIM_EINVAL, set_sending(node, 0, 256, 0));
}

static void source_membership_errors_are_exact(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = bind_here(t, &n, 0);
    const struct kirim_membership m = member(&n.group, n.segment[0].ifindex);
    struct kirim_membership specific = m;
    specific.source = n.own[0];
    KS_ERR(KIRIM_ENOENT, kirim_endpoint_leave(node->ep, &specific));
    KS_OK(kirim_endpoint_join(node->ep, &m));
    KS_ERR(KIRIM_EEXIST, kirim_endpoint_join(node->ep, &specific));
    KS_ERR(KIRIM_ENOENT, kirim_endpoint_leave(node->ep, &specific));
    KS_OK(kirim_endpoint_leave(node->ep, &m));
    KS_OK(kirim_endpoint_join(node->ep, &specific));
    KS_ERR(KIRIM_EEXIST, kirim_endpoint_join(node->ep, &specific));
    KS_ERR(KIRIM_EEXIST, kirim_endpoint_join(node->ep, &m));
    KS_OK(kirim_endpoint_leave(node->ep, &specific));
    KS_ERR(KIRIM_ENOENT, kirim_endpoint_leave(node->ep, &specific));
}

static void unknown_interface_is_told(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = bind_here(t, &n, 0);
    struct kirim_membership unknown = member(&n.group, UNKNOWN_IFINDEX);
    KS_ERR(KIRIM_EADDRNOTAVAIL, kirim_endpoint_join(node->ep, &unknown));
    unknown.source = n.own[0];
    KS_ERR(KIRIM_EADDRNOTAVAIL, kirim_endpoint_join(node->ep, &unknown));
    KS_ERR(KIRIM_EADDRNOTAVAIL, set_sending(node, UNKNOWN_IFINDEX, 1, 0));
}

/* A member of the group with this source alone. */
static struct ks_node *source_listener(struct ks *t, struct net *n, struct kirim_addr source)
{
    struct ks_node *node = bind_here(t, n, KIRIM_ENDPOINT_SHARE_PORT);
    struct kirim_membership m = member(&n->group, n->segment[0].ifindex);
    m.source = source;
    KS_OK(kirim_endpoint_join(node->ep, &m));
    return node;
}

/* An address that nobody has, and so the source of nothing. */
static struct kirim_addr no_source(const struct ks *t)
{
    return read_addr(t->family == KIRIM_IPV4 ? "192.0.2.1" : "2001:db8::1");
}

static void source_specific(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *accepting = source_listener(t, &n, n.own[0]);
    struct ks_node *refusing = source_listener(t, &n, no_source(t));
    struct ks_node *from = sender(t, &n);
    struct kirim_membership m = member(&n.group, n.segment[0].ifindex);
    KS_SEND(from, "one", 3, &n.group);
    KS_EXPECT(accepting, "one", 3);
    m.source = n.own[0]; /* a second source */
    KS_OK(kirim_endpoint_join(refusing->ep, &m));
    KS_SEND(from, "two", 3, &n.group);
    KS_EXPECT(refusing, "two", 3);
    KS_EXPECT(accepting, "two", 3);
    KS_OK(kirim_endpoint_leave(refusing->ep, &m)); /* the first one stays */
    KS_SEND(from, "three", 5, &n.group);
    KS_EXPECT(accepting, "three", 5);
    ks_settle(t);
    KS_EQ(1, refusing->rx_count);
}

static void last_source_is_left(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = source_listener(t, &n, n.own[0]);
    struct ks_node *witness = source_listener(t, &n, n.own[0]);
    struct ks_node *from = sender(t, &n);
    struct kirim_membership m = member(&n.group, n.segment[0].ifindex);
    m.source = n.own[0];
    KS_SEND(from, "one", 3, &n.group);
    KS_EXPECT(node, "one", 3);
    KS_OK(kirim_endpoint_leave(node->ep, &m));
    KS_SEND(from, "two", 3, &n.group);
    KS_EXPECT(witness, "one", 3);
    KS_EXPECT(witness, "two", 3);
    ks_settle(t);
    KS_EQ(1, node->rx_count);
}

/* One host with two addresses: the one is heard, the other not. */
static void sources_of_one_host_are_told_apart(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = bind_here(t, &n, 0);
    struct ks_node *from = sender(t, &n);
    struct kirim_membership m = member(&n.group, n.segment[0].ifindex);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    m.source = n.own[1];
    KS_OK(kirim_endpoint_join(node->ep, &m));
    control.ifindex = n.segment[0].ifindex;
    control.source = n.own[0];
    send_with(from, "named", &n.group, &control);
    control.source = n.own[1];
    send_with(from, "named", &n.group, &control);
    KS_EXPECT(node, "named", 5);
    KS_CHECK(is_from(&node->rx[0], &n.own[1]));
    ks_settle(t);
    KS_EQ(1, node->rx_count);
}

static void dual_stack_joins_both(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = bind_here(t, &n, KIRIM_ENDPOINT_DUAL_STACK);
    struct ks_node *from = bind_any(t, 0, KIRIM_ENDPOINT_DUAL_STACK);
    const struct kirim_addr ipv4 = group_at(KIRIM_IPV4, 1, n.port);
    struct kirim_membership m = member(&ipv4, n.segment[0].ifindex);
    KS_OK(set_sending(from, n.segment[0].ifindex, 1, 0));
    join(node, &n.group, n.segment[0].ifindex);
    KS_OK(kirim_endpoint_join(node->ep, &m));
    KS_SEND(from, "four", 4, &ipv4);
    KS_EXPECT(node, "four", 4);
    KS_SEND(from, "six", 3, &n.group);
    KS_EXPECT(node, "six", 3);
    KS_CHECK(kirim_addr_equal(&ipv4, &node->rx[0].local));
    KS_CHECK(kirim_addr_equal(&n.group, &node->rx[1].local));
    KS_OK(kirim_endpoint_leave(node->ep, &m));
    KS_SEND(from, "four", 4, &ipv4);
    KS_SEND(from, "again", 5, &n.group);
    KS_EXPECT(node, "again", 5);
    m.source = read_addr("192.0.2.1");
    KS_OK(kirim_endpoint_join(node->ep, &m));
    KS_OK(kirim_endpoint_leave(node->ep, &m));
}

static void reply_to_it(struct ks_node *node, const struct kirim_batch *batch)
{
    KS_OK(kirim_endpoint_reply(node->ep, batch->first, batch->count, NULL));
}

static void reply_does_not_leave_from_the_group(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = listener(t, &n, 0);
    struct ks_node *from = sender(t, &n);
    node->on_received = reply_to_it;
    KS_SEND(from, "who?", 4, &n.group);
    KS_EXPECT(from, "who?", 4);
    KS_CHECK(is_from(&from->rx[0], &n.own[0]));
    KS_EQ(n.port, kirim_addr_port(&from->rx[0].peer));
    KS_EQ(0, node->failed_count);
}

/* ---- how it is sent -------------------------------------------------------------------------- */

/* The time to live of the last datagram that arrived. */
static void note_ttl(struct ks_node *node, const struct kirim_batch *batch)
{
    uint32_t *ttl = node->ctx;
    *ttl = kirim_batch_at(batch, batch->count - 1)->arrival->ttl;
}

static void time_to_live_is_as_set(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    uint32_t seen = 0;
    struct ks_node *node = listener(t, &n, KIRIM_ENDPOINT_RECEIVE_CONTROL);
    struct ks_node *from = sender(t, &n);
    static const uint32_t ttls[] = { 1, 7, 255, 0 };
    node->ctx = &seen;
    node->on_received = note_ttl;
    for (size_t i = 0; i < sizeof ttls / sizeof ttls[0]; i++) {
        seen = 999;
        KS_OK(set_sending(from, n.segment[0].ifindex, ttls[i], 0));
        KS_SEND(from, "x", 1, &n.group);
        KS_EXPECT(node, "x", 1); /* 0 too is heard on this host */
        KS_EQ(ttls[i], seen);
    }
}

static void time_to_live_of_a_message_goes_before(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    uint32_t seen = 0;
    struct ks_node *node = listener(t, &n, KIRIM_ENDPOINT_RECEIVE_CONTROL);
    struct ks_node *from = sender(t, &n);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    node->ctx = &seen;
    node->on_received = note_ttl;
    control.ttl = 33;
    send_with(from, "own", &n.group, &control);
    KS_EXPECT(node, "own", 3);
    KS_EQ(33, seen);
}

static void unlooped_is_not_heard_here(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = listener(t, &n, 0);
    struct ks_node *from = sender(t, &n);
    KS_OK(set_sending(from, n.segment[0].ifindex, 1, KIRIM_MULTICAST_NO_LOOP));
    KS_SEND(from, "out", 3, &n.group);
    ks_settle(t);
    KS_OK(set_sending(from, n.segment[0].ifindex, 1, 0));
    KS_SEND(from, "back", 4, &n.group);
    KS_EXPECT(node, "back", 4);
    KS_EQ(1, node->rx_count);
}

static void unlooped_is_not_heard_by_itself(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = listener(t, &n, 0);
    KS_OK(set_sending(node, n.segment[0].ifindex, 1, KIRIM_MULTICAST_NO_LOOP));
    KS_SEND(node, "out", 3, &n.group);
    ks_settle(t);
    KS_OK(set_sending(node, n.segment[0].ifindex, 1, 0));
    KS_SEND(node, "back", 4, &n.group);
    KS_EXPECT(node, "back", 4);
    KS_EQ(1, node->rx_count);
}

/* Many of one size, which leave in trains where the system has them, for two endpoints on one port,
 * one of which wants to be told everything. */
static void trains_reach_all_members(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    uint8_t bytes[TRAIN_BYTES];
    struct ks_node *plain = listener(t, &n, 0);
    struct ks_node *told = listener(t, &n, KIRIM_ENDPOINT_RECEIVE_CONTROL);
    struct ks_node *from = sender(t, &n);
    memset(bytes, 0, sizeof bytes);
    for (uint32_t i = 0; i < TRAIN_COUNT; i++) {
        ks_number(bytes, i);
        KS_SEND(from, bytes, sizeof bytes, &n.group);
    }
    KS_UNTIL(t, plain->rx_count >= TRAIN_COUNT && told->rx_count >= TRAIN_COUNT);
    for (uint32_t i = 0; i < TRAIN_COUNT; i++) {
        const struct ks_rx *both[2] = { &plain->rx[i], &told->rx[i] };
        for (size_t k = 0; k < 2; k++) {
            KS_EQ(i, ks_rx_number(both[k]));
            KS_EQ(TRAIN_BYTES, both[k]->bytes);
            KS_CHECK(kirim_addr_equal(&n.group, &both[k]->local));
            KS_CHECK(is_from(both[k], &n.own[0]));
        }
    }
    KS_EQ(TRAIN_COUNT, plain->rx_count);
    KS_EQ(TRAIN_COUNT, told->rx_count);
    if ((t->caps & KIRIM_CAP_TRAINS) != 0 && t->mode == 0) {
        KS_CHECK(ks_stats(from).tx_trains > 0);
    }
}

static void connected_endpoint_sends_to_a_group(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = bind_here(t, &n, 0);
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.peer = n.group;
    struct ks_node *from = ks_node_with(t, &options);
    const struct kirim_membership m = member(&n.group, 0);
    join(node, &n.group, 0);
    KS_SEND(from, "mine", 4, NULL);
    KS_EXPECT(node, "mine", 4);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_join(from->ep, &m)); /* it hears its peer only */
}

/* ---- interfaces and other hosts -------------------------------------------------------------- */

static void interface_is_chosen_by_index(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = bind_here(t, &n, 0);
    struct ks_node *from = sender(t, &n);
    join(node, &n.group, n.segment[1].ifindex);
    KS_SEND(from, "elsewhere", 9, &n.group);
    ks_settle(t); /* else what was queued might leave by the other one */
    KS_OK(set_sending(from, n.segment[1].ifindex, 1, 0));
    KS_SEND(from, "by endpoint", 11, &n.group);
    KS_EXPECT(node, "by endpoint", 11);
    KS_CHECK(is_from(&node->rx[0], &n.segment[1].own[0]));
    const struct kirim_membership first = member(&n.group, n.segment[0].ifindex);
    const struct kirim_membership second = member(&n.group, n.segment[1].ifindex);
    KS_OK(kirim_endpoint_join(node->ep, &first)); /* one group on two interfaces */
    KS_OK(kirim_endpoint_leave(node->ep, &second));
    KS_OK(set_sending(from, n.segment[0].ifindex, 1, 0));
    KS_SEND(from, "first", 5, &n.group);
    KS_EXPECT(node, "first", 5);
}

static void interface_of_a_message_goes_before(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = bind_here(t, &n, 0);
    struct ks_node *from = sender(t, &n);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    join(node, &n.group, n.segment[1].ifindex);
    KS_SEND(from, "elsewhere", 9, &n.group);
    control.ifindex = n.segment[1].ifindex;
    send_with(from, "by message", &n.group, &control);
    KS_EXPECT(node, "by message", 10);
    KS_CHECK(is_from(&node->rx[0], &n.segment[1].own[0]));
}

static void time_to_live_bounds_the_way(struct ks *t)
{
    struct net n;
    char got[16];
    net_open(t, &n);
    struct ks_node *node = listener(t, &n, 0);
    struct ks_node *from = sender(t, &n);
    kc_far_join(&n.segment[0], &n.group);
    KS_OK(set_sending(from, n.segment[0].ifindex, 0, 0));
    KS_SEND(from, "zero", 4, &n.group);
    KS_EXPECT(node, "zero", 4);
    KS_OK(set_sending(from, n.segment[0].ifindex, 1, KIRIM_MULTICAST_NO_LOOP));
    KS_SEND(from, "one", 3, &n.group);
    ks_settle(t);
    KS_EQ(3, kc_far_receive(&n.segment[0], got, sizeof got)); /* "zero" did not come this far */
    KS_EQ(0, memcmp(got, "one", 3));
    KS_EQ(1, node->rx_count);
}

static void other_hosts_are_heard(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = listener(t, &n, 0);
    kc_far_send(&n.segment[0], "far", 3, &n.group);
    KS_EXPECT(node, "far", 3);
    KS_CHECK(is_from(&node->rx[0], &n.segment[0].far_addr));
    KS_CHECK(kirim_addr_equal(&n.group, &node->rx[0].local));
    KS_EQ(1, node->rx_count);
}

static void other_hosts_are_sources(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    struct ks_node *node = listener(t, &n, 0);
    struct ks_node *specific = source_listener(t, &n, n.segment[0].far_addr);
    struct ks_node *from = sender(t, &n);
    KS_SEND(from, "near", 4, &n.group);
    KS_EXPECT(node, "near", 4);
    kc_far_send(&n.segment[0], "far", 3, &n.group);
    KS_EXPECT(node, "far", 3);
    KS_EXPECT(specific, "far", 3);
    KS_CHECK(is_from(&specific->rx[0], &n.segment[0].far_addr));
    KS_CHECK(kirim_addr_equal(&n.group, &specific->rx[0].local));
    KS_EQ(1, specific->rx_count);
}

/* ---- broadcast ------------------------------------------------------------------------------- */

/* Its receiver is told the address that would answer, or none where the system does not know it; a
 * broadcast address is nobody's source. */
static void check_told(const struct ks *t, const struct ks_node *node, struct kirim_addr local)
{
    const struct kirim_addr *told = &node->rx[node->rx_count - 1].local;
    kirim_addr_set_port(&local, kirim_addr_port(&node->addr));
    if (is_simulated(t) || kc_broadcast_is_told_in_full()) {
        KS_CHECK(kirim_addr_equal(&local, told));
        KS_CHECK((node->rx[node->rx_count - 1].flags & KIRIM_RX_BROADCAST) != 0);
    } else {
        KS_EQ(KIRIM_FAMILY_NONE, kirim_addr_family(told));
    }
}

/* Endpoints of the case's family that broadcasts can pass between. */
struct crowd {
    struct ks_node *node;
    struct ks_node *from;
};

static struct crowd crowd_open(struct ks *t, struct net *n)
{
    const uint32_t both = t->family == KIRIM_IPV6 ? KIRIM_ENDPOINT_DUAL_STACK : 0;
    const struct crowd c = {
        .node = bind_here(t, n, both),
        .from = bind_any(t, 0, KIRIM_ENDPOINT_BROADCAST | both),
    };
    return c;
}

/* Whether the network has a broadcast address of its own. */
static bool has_to_all(const struct ks *t, const struct net *n)
{
    return t->family == KIRIM_IPV4 && kirim_addr_family(&n->segment[0].to_all) == KIRIM_IPV4;
}

static void is_answered_from(struct ks *t, const struct crowd *c, const struct kirim_addr *to,
                             const struct kirim_addr *local)
{
    const size_t count = c->node->rx_count;
    KS_SEND(c->from, "all", 3, to);
    KS_UNTIL(t, c->node->rx_count > count);
    KS_EXPECT(c->from, "all", 3);
    KS_CHECK(is_from(&c->from->rx[c->from->rx_count - 1], local));
}

static void broadcast_is_heard_and_answered(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    const struct kirim_addr loopback = ks_loopback(KIRIM_IPV4, 0);
    const struct crowd c = crowd_open(t, &n);
    const struct kirim_addr all = with_port(read_addr("127.255.255.255"), n.port);
    c.node->on_received = reply_to_it;
    is_answered_from(t, &c, &all, &loopback);
    if (has_to_all(t, &n)) {
        const struct kirim_addr to_all = with_port(n.segment[0].to_all, n.port);
        is_answered_from(t, &c, &to_all, &n.own[0]);
    }
}

static void broadcast_address_is_not_told(struct ks *t)
{
    struct net n;
    net_open(t, &n);
    const struct crowd c = crowd_open(t, &n);
    const struct kirim_addr all = with_port(read_addr("127.255.255.255"), n.port);
    KS_SEND(c.from, "all", 3, &all);
    KS_EXPECT(c.node, "all", 3);
    check_told(t, c.node, ks_loopback(KIRIM_IPV4, 0));
    if (has_to_all(t, &n)) {
        const struct kirim_addr to_all = with_port(n.segment[0].to_all, n.port);
        KS_SEND(c.from, "all", 3, &to_all);
        KS_EXPECT(c.node, "all", 3);
        check_told(t, c.node, n.own[0]);
    }
}

/* Everybody on the network of an interface, which is named as there is no default route. */
static void limited_broadcast_goes_by_the_interface(struct ks *t)
{
    struct net n;
    char got[16];
    net_open(t, &n);
    struct ks_node *node = bind_here(t, &n, 0);
    struct ks_node *from = bind_any(t, 0, KIRIM_ENDPOINT_BROADCAST);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_addr all = with_port(read_addr("255.255.255.255"), n.port);
    kc_far_join(&n.segment[1], &n.group); /* for its port */
    control.ifindex = n.segment[1].ifindex;
    send_with(from, "everybody", &all, &control);
    KS_EXPECT(node, "everybody", 9);
    KS_CHECK(is_from(&node->rx[0], &n.segment[1].own[0]));
    check_told(t, node, n.segment[1].own[0]);
    KS_EQ(9, kc_far_receive(&n.segment[1], got, sizeof got));
}

/* ---- the table ------------------------------------------------------------------------------- */

/* A case that needs the first interface, and what some system may not show of it; and one that
 * needs more. */
#define GROUP(claim, cites, function, how, lack)                                                 \
    {                                                                                            \
        .name = (claim), .rows = (cites), .run = (function), .kind = KC_LIVE,                    \
        .flags = (how) | KC_UNOPENED | KC_EXTRA, .caps = KIRIM_CAP_MULTICAST | KIRIM_CAP_SOURCE, \
        .obstacle = kc_segment_obstacle, .gap = (lack),                                          \
    }
#define NETWORKS(claim, cites, function, how, hurdle, lack)                                      \
    {                                                                                            \
        .name = (claim), .rows = (cites), .run = (function), .kind = KC_LIVE,                    \
        .flags = (how) | KC_UNOPENED | KC_EXTRA, .caps = KIRIM_CAP_MULTICAST | KIRIM_CAP_SOURCE, \
        .obstacle = (hurdle), .gap = (lack),                                                     \
    }

static const struct kc_case cases[] = {
    GROUP("group_is_heard_by_its_members_alone", "", members_hear, KC_MODES,
          kc_gap_groups_of_others),
    GROUP("group_that_nobody_joined_is_not_heard", "", nobody_hears, KC_MODES, kc_gap_groups),
    GROUP("group_that_was_left_is_not_heard", "", left_is_not_heard, 0, kc_gap_groups_of_others),
    GROUP("group_that_its_last_member_left_is_not_heard", "", last_one_leaves, KC_MODES,
          kc_gap_groups),
    GROUP("errors_of_memberships_are_exact", "", membership_errors_are_exact, 0, kc_gap_groups),
    GROUP("errors_of_source_specific_memberships_are_exact", "", source_membership_errors_are_exact,
          0, kc_gap_sources),
    GROUP("interface_that_is_not_there_is_told", "", unknown_interface_is_told, 0,
          kc_gap_no_interface),
    GROUP("source_specific_membership_hears_its_source", "", source_specific, KC_MODES,
          kc_gap_sources),
    GROUP("source_that_was_left_is_not_heard", "", last_source_is_left, 0,
          kc_gap_sources_of_others),
    GROUP("sources_of_one_host_are_told_apart", "S7", sources_of_one_host_are_told_apart,
          KC_MODES | KC_IPV4_ONLY, kc_gap_send_control),
    GROUP("dual_stack_endpoint_joins_groups_of_both_families", "", dual_stack_joins_both,
          KC_IPV6_ONLY, kc_gap_groups),
    GROUP("reply_to_a_group_leaves_from_an_address", "", reply_does_not_leave_from_the_group, 0,
          kc_gap_groups),
    GROUP("time_to_live_of_a_group_is_as_set", "", time_to_live_is_as_set, KC_MODES, kc_gap_groups),
    GROUP("time_to_live_of_a_message_to_a_group_goes_before", "",
          time_to_live_of_a_message_goes_before, KC_MODES, kc_gap_groups_by_control),
    GROUP("without_loop_an_endpoint_does_not_hear_itself", "", unlooped_is_not_heard_by_itself,
          KC_MODES, kc_gap_groups_unlooped),
    GROUP("trains_reach_all_members", "", trains_reach_all_members, KC_MODES, kc_gap_groups),
    GROUP("broadcast_is_heard_and_answered", "S30", broadcast_is_heard_and_answered, KC_MODES,
          NULL),
    GROUP("broadcast_address_is_not_told_as_the_local_one", "S30", broadcast_address_is_not_told, 0,
          kc_gap_broadcast_mark),
    NETWORKS("without_loop_this_host_does_not_hear", "", unlooped_is_not_heard_here, KC_MODES,
             kc_unlooped_obstacle, NULL),
    NETWORKS("route_chooses_the_interface_of_a_group", "", route_chooses_the_interface, 0,
             kc_segments_obstacle, NULL),
    NETWORKS("connected_endpoint_sends_to_a_group", "S1", connected_endpoint_sends_to_a_group,
             KC_MODES, kc_segments_obstacle, NULL),
    NETWORKS("interface_of_a_group_is_chosen_by_index", "", interface_is_chosen_by_index,
             KC_MODES | KC_SYSTEM, kc_segments_obstacle, NULL),
    NETWORKS("interface_of_a_message_to_a_group_goes_before", "",
             interface_of_a_message_goes_before, KC_MODES | KC_SYSTEM, kc_segments_obstacle,
             kc_gap_groups_by_control),
    NETWORKS("time_to_live_bounds_the_way", "", time_to_live_bounds_the_way, KC_SYSTEM,
             kc_segments_obstacle, NULL),
    NETWORKS("groups_of_other_hosts_are_heard", "", other_hosts_are_heard, KC_SYSTEM,
             kc_segments_obstacle, NULL),
    NETWORKS("other_hosts_are_sources_of_a_group", "", other_hosts_are_sources, KC_SYSTEM,
             kc_segments_obstacle, kc_gap_sources),
    NETWORKS("limited_broadcast_goes_by_the_interface", "S30",
             limited_broadcast_goes_by_the_interface, KC_MODES | KC_IPV4_ONLY | KC_SYSTEM,
             kc_segments_obstacle, kc_gap_send_control),
};

const struct kc_subject kc_multicast = KC_SUBJECT("multicast", cases);
