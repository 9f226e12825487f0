/* SPDX-License-Identifier: MIT
 *
 * Section A of the send contract: what goes out. Each case in both modes, with and without an
 * operation.
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

/* The longest payload of all, and some more. */
static uint8_t bytes[KIRIM_PAYLOAD_IPV6_BYTES_MAX + 64];

static void crosses_unconnected(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    KS_SEND(a, "there", 5, &b->addr);
    KS_EXPECT(b, "there", 5);
    KS_CHECK(kirim_addr_equal(&b->rx[0].peer, &a->addr));
    KS_SEND_OP(b, "and back", 8, &b->rx[0].peer, ks_op(t, 0));
    KS_EXPECT(a, "and back", 8);
    KS_CHECK(kirim_addr_equal(&a->rx[0].peer, &b->addr));
}

static void crosses_connected(struct ks *t)
{
    struct ks_node *b = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    const struct kirim_addr remote = kirim_endpoint_peer(a->ep);
    KS_CHECK(kirim_addr_equal(&remote, &b->addr));
    KS_SEND(a, "there", 5, NULL);
    KS_SEND_OP(a, "again", 5, NULL, ks_op(t, 0));
    KS_EXPECT(b, "there", 5);
    KS_EXPECT(b, "again", 5);
    KS_CHECK(kirim_addr_equal(&b->rx[0].peer, &a->addr));
    KS_SEND(b, "and back", 8, &a->addr);
    KS_EXPECT(a, "and back", 8);
}

static void connected_hears_its_peer_only(struct ks *t)
{
    struct ks_node *b = ks_node(t);
    struct ks_node *other = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    KS_SEND(other, "not for you", 11, &a->addr);
    ks_settle(t);
    KS_EXPECT_END(a, b);
}

static void connected_sends_to_a_named_peer(struct ks *t)
{
    struct ks_node *b = ks_node(t);
    struct ks_node *other = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    KS_SEND(a, "elsewhere", 9, &other->addr);
    KS_SEND(a, "home", 4, NULL);
    KS_EXPECT(other, "elsewhere", 9);
    KS_EXPECT(b, "home", 4);
    KS_EXPECT_END(b, a);
}

/* Makes a gather list of `count` buffers over `bytes`, some of them empty; returns the sum. */
static size_t make_list(struct kirim_buf *list, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t length = (i * 7 + 3) % 5;
        list[i] = (struct kirim_buf){ length == 0 ? NULL : bytes + sum, length };
        sum += length;
    }
    return sum;
}

static void gathers_in_order(struct ks *t)
{
    static const size_t counts[] = {
        1, 2, 3, 7, 64, 65, KIRIM_BUF_COUNT_MAX - 1, KIRIM_BUF_COUNT_MAX
    };
    static struct kirim_buf list[KIRIM_BUF_COUNT_MAX];
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    ks_fill(bytes, sizeof bytes, 4);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (int with_op = 0; with_op < 2; with_op++) {
            const size_t sum = make_list(list, counts[i]);
            const struct kirim_msg msg = { list, &b->addr, NULL, counts[i], 0 };
            KS_CHECK(ks_post_msg(a, &msg, t->mode, with_op != 0 ? ks_op(t, 0) : NULL) >= 0);
            KS_EXPECT(b, bytes, sum);
        }
    }
    KS_EXPECT_END(b, a);
}

static void refuses_more_buffers(struct ks *t)
{
    static struct kirim_buf list[KIRIM_BUF_COUNT_MAX + 1];
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    (void)make_list(list, KIRIM_BUF_COUNT_MAX + 1);
    const struct kirim_msg msg = { list, &b->addr, NULL, KIRIM_BUF_COUNT_MAX + 1, 0 };
    KS_ERR(KIRIM_EMSGSIZE, ks_post_msg(a, &msg, t->mode, NULL));
    KS_ERR(KIRIM_EMSGSIZE, ks_post_msg(a, &msg, t->mode, ks_op(t, 0)));
    KS_EXPECT_END(b, a);
}

static void sends_empty(struct ks *t)
{
    const struct kirim_buf empty[3] = { { NULL, 0 }, { bytes, 0 }, { NULL, 0 } };
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (size_t count = 0; count <= 3; count++) {
        for (int with_op = 0; with_op < 2; with_op++) {
            struct ks_op *o = with_op != 0 ? ks_op(t, 0) : NULL;
            const struct kirim_msg msg = { count == 0 ? NULL : empty, &b->addr, NULL, count, 0 };
            KS_CHECK(ks_post_msg(a, &msg, t->mode, o) >= 0);
            KS_EXPECT(b, "", 0);
            if (o != NULL) {
                KS_UNTIL(t, o->done_count == 1);
                KS_EQ(0, o->sent_bytes);
            }
        }
    }
    KS_EXPECT_END(b, a);
}

/* Overwrites everything but the payload right after the call. */
static void captures(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    ks_fill(bytes, 64, 5);
    for (int with_op = 0; with_op < 2; with_op++) {
        for (size_t count = 1; count <= 3; count++) {
            struct kirim_buf list[3] = { { bytes, 10 }, { bytes + 10, 20 }, { bytes + 30, 34 } };
            struct kirim_addr to = b->addr;
            struct kirim_control control = KIRIM_CONTROL_INIT;
            struct kirim_msg msg = { list, &to, &control, count, 0 };
            KS_CHECK(ks_post_msg(a, &msg, t->mode, with_op != 0 ? ks_op(t, 0) : NULL) >= 0);
            memset(list, 0xff, sizeof list);
            memset(&to, 0xff, sizeof to);
            memset(&control, 0xff, sizeof control);
            memset(&msg, 0xff, sizeof msg);
            KS_EXPECT(b, bytes, count == 1 ? 10 : count == 2 ? 30 : 64);
        }
    }
    KS_EXPECT_END(b, a);
}

static void payload_is_the_callers_again(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (size_t count = 1; count <= 3; count++) {
        struct kirim_buf list[3] = { { bytes, 100 }, { bytes + 100, 0 }, { bytes + 100, 700 } };
        const struct kirim_msg msg = { list, &b->addr, NULL, count, 0 };
        uint8_t original[800];
        ks_fill(bytes, 800, 7);
        memcpy(original, bytes, sizeof original);
        KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
        memset(bytes, 0xee, 800);
        KS_EXPECT(b, original, count == 3 ? 800 : 100);
    }
    ks_fill(bytes, 800, 8);
    KS_OK(kirim_endpoint_send_to(a->ep, bytes, 800, &b->addr));
    uint8_t original[800];
    memcpy(original, bytes, sizeof original);
    memset(bytes, 0xee, 800);
    KS_EXPECT(b, original, 800);
}

/* n - 1, n and n + 1 bytes to `to`, whole and in two buffers, with and without an operation. */
static void try_limit(struct ks_node *a, struct ks_node *b, const struct kirim_addr *to,
                      size_t limit)
{
    struct ks *t = a->t;
    for (size_t length = limit - 1; length <= limit + 1; length++) {
        for (size_t count = 1; count <= 2; count++) {
            for (int with_op = 0; with_op < 2; with_op++) {
                struct kirim_buf list[2] = { { bytes, length }, { NULL, 0 } };
                if (count == 2) {
                    list[0].bytes = 40000;
                    list[1] = (struct kirim_buf){ bytes + 40000, length - 40000 };
                }
                struct ks_op *o = with_op != 0 ? ks_op(t, 0) : NULL;
                const struct kirim_msg msg = { list, to, NULL, count, 0 };
                const kirim_err err = ks_post_msg(a, &msg, t->mode, o);
                if (length > limit) {
                    KS_ERR(KIRIM_EMSGSIZE, err);
                } else {
                    KS_CHECK(err >= 0);
                    KS_EXPECT(b, bytes, length);
                }
                KS_CHECK(o == NULL || length <= limit || !kirim_op_is_pending(&o->op));
            }
        }
    }
}

static void keeps_to_the_limit(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const size_t limit = kirim_endpoint_payload_bytes_max(a->ep, &b->addr);
    KS_EQ(t->family == KIRIM_IPV4 ? KIRIM_PAYLOAD_IPV4_BYTES_MAX : KIRIM_PAYLOAD_IPV6_BYTES_MAX,
          limit);
    KS_EQ(limit, kirim_endpoint_payload_bytes_max(a->ep, NULL));
    ks_fill(bytes, sizeof bytes, 6);
    try_limit(a, b, &b->addr, limit);
    KS_EXPECT_END(b, a);
}

static void limit_does_not_wrap(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf lists[][2] = {
        { { bytes, SIZE_MAX }, { bytes, 1 } },
        { { bytes, SIZE_MAX / 2 + 1 }, { bytes, SIZE_MAX / 2 + 1 } },
        { { bytes, (size_t)UINT32_MAX - 7 }, { bytes, 16 } },
        { { bytes, 65000 }, { bytes, 65000 } },
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const struct kirim_msg msg = { lists[i], &b->addr, NULL, 2, 0 };
        KS_ERR(KIRIM_EMSGSIZE, ks_post_msg(a, &msg, t->mode, NULL));
        KS_ERR(KIRIM_EMSGSIZE, ks_post_msg(a, &msg, t->mode, ks_op(t, 0)));
    }
    KS_ERR(KIRIM_EMSGSIZE, ks_send(a, bytes, SIZE_MAX, &b->addr, NULL));
    KS_EXPECT_END(b, a);
}

/* An IPv6 wildcard endpoint that serves IPv4 too, and one of each family as its peers. */
static void dual_stack(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_wildcard(KIRIM_IPV6, 0);
    options.flags = KIRIM_ENDPOINT_DUAL_STACK;
    struct ks_node *dual = ks_node_with(t, &options);
    ks_fill(bytes, sizeof bytes, 9);
    for (int family = KIRIM_IPV4; family <= KIRIM_IPV6; family += 2) {
        options = ks_endpoint_options(t);
        options.local = ks_loopback(family, 0);
        struct ks_node *peer = ks_node_with(t, &options);
        const struct kirim_addr to = ks_loopback(family, kirim_addr_port(&dual->addr));
        KS_SEND(peer, "hello", 5, &to);
        KS_EXPECT(dual, "hello", 5);
        const struct ks_rx *rx = &dual->rx[dual->rx_count - 1];
        KS_CHECK(kirim_addr_equal(&rx->peer, &peer->addr));
        KS_SEND(dual, "to you", 6, &rx->peer);
        KS_EXPECT(peer, "to you", 6);
        KS_CHECK(kirim_addr_equal(&peer->rx[0].peer, &to));
        const size_t limit = kirim_endpoint_payload_bytes_max(dual->ep, &peer->addr);
        KS_EQ(family == KIRIM_IPV4 ? KIRIM_PAYLOAD_IPV4_BYTES_MAX : KIRIM_PAYLOAD_IPV6_BYTES_MAX,
              limit);
        KS_ERR(KIRIM_EMSGSIZE, ks_send(dual, bytes, limit + 1, &peer->addr, NULL));
        KS_SEND(dual, bytes, limit, &peer->addr);
        KS_EXPECT(peer, bytes, limit);
    }
}

/* The bits of the call's flags: every one that is none of KIRIM_SEND_..., alone and beside one that
 * is. */
static void refuses_unknown_flags(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { bytes, 9 };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, 0 };
    for (uint32_t bit = 8; bit != 0; bit <<= 1) {
        KS_ERR(KIRIM_EOPNOTSUPP, ks_post_msg(a, &msg, t->mode | bit, NULL));
        KS_ERR(KIRIM_EOPNOTSUPP, ks_post_msg(a, &msg, t->mode | bit, ks_op(t, 0)));
        KS_ERR(KIRIM_EOPNOTSUPP, ks_post_msg(a, &msg, t->mode | bit | KIRIM_SEND_DONTROUTE, NULL));
    }
    KS_EQ(0, ks_stats(a).tx_accepted);
    KS_EXPECT_END(b, a);
}

static void passes_dontroute_on(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { bytes, 9 };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, 0 };
    ks_fill(bytes, 9, 11);
    KS_OK(ks_post_msg(a, &msg, t->mode | KIRIM_SEND_DONTROUTE, NULL));
    KS_CHECK(ks_post_msg(a, &msg, t->mode | KIRIM_SEND_DONTROUTE, ks_op(t, 0)) >= 0);
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
    KS_EXPECT(b, bytes, 9);
    KS_EXPECT(b, bytes, 9);
    KS_EXPECT(b, bytes, 9);
    KS_EQ(3, t->spy->seen_count);
    KS_CHECK((t->spy->seen[0].status & KI_DONTROUTE) != 0);
    KS_CHECK((t->spy->seen[1].status & KI_DONTROUTE) != 0);
    KS_CHECK((t->spy->seen[2].status & KI_DONTROUTE) == 0);
}

/* Where the bytes lie that the reactor is given: an operation's, however many buffers, at their
 * owner's. */
static void never_flattens_borrowed_bytes(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf list[3] = { { bytes, 10 }, { NULL, 0 }, { bytes + 100, 20 } };
    const struct kirim_msg many = { list, &b->addr, NULL, 3, 0 };
    const struct kirim_msg one = { list, &b->addr, NULL, 1, 0 };
    KS_CHECK(ks_post_msg(a, &many, t->mode, ks_op(t, 0)) >= 0);
    KS_CHECK(ks_post_msg(a, &one, t->mode, ks_op(t, 0)) >= 0);
    ks_settle(t);
    KS_EQ(2, t->spy->seen_count);
    KS_CHECK(t->spy->seen[0].data == bytes);
    KS_CHECK(t->spy->seen[0].buf_count >= 2);
    KS_CHECK(t->spy->seen[1].data == bytes);
    KS_EQ(0, ks_stats(a).tx_copied);
}

static const struct kc_case cases[] = {
    KC("datagram_crosses_between_unconnected_endpoints", "S1 S2", crosses_unconnected, KC_LIVE,
       KC_MODES),
    KC("connected_endpoint_sends_without_a_destination", "S1 S2", crosses_connected, KC_LIVE,
       KC_MODES),
    KC("connected_endpoint_hears_its_peer_only", "S1", connected_hears_its_peer_only, KC_LIVE, 0),
    KC("connected_endpoint_sends_to_a_named_peer_too", "S1", connected_sends_to_a_named_peer,
       KC_LIVE, KC_MODES),
    KC_CAPS("dual_stack_endpoint_serves_both_families_and_ipv4_shows_as_ipv4", "S1", dual_stack,
            KC_LIVE, KC_MODES | KC_IPV6_ONLY, KIRIM_CAP_DUAL_STACK),
    KC("gather_list_crosses_as_its_concatenation", "S4", gathers_in_order, KC_LIVE, KC_MODES),
    KC("more_buffers_than_the_limit_are_refused_whole", "S4 S36", refuses_more_buffers, KC_CHECKED,
       KC_MODES),
    KC("no_bytes_make_an_empty_datagram", "S4", sends_empty, KC_LIVE, KC_MODES),
    KC("borrowed_bytes_are_never_flattened", "S4 S52", never_flattens_borrowed_bytes, KC_SPY,
       KC_MODES | KC_SPIED),
    KC("array_destination_and_control_are_captured", "S5", captures, KC_LIVE, KC_MODES),
    KC("payload_of_a_plain_send_is_the_callers_again", "S5 S51", payload_is_the_callers_again,
       KC_LIVE, KC_MODES),
    KC("datagram_over_the_limit_is_refused_whole", "S6 S36", keeps_to_the_limit, KC_LIVE, KC_MODES),
    KC("sum_of_a_gather_list_does_not_wrap", "S6 S36", limit_does_not_wrap, KC_CHECKED, KC_MODES),
    KC("unknown_flags_are_refused", "S11 S43", refuses_unknown_flags, KC_CHECKED, KC_MODES),
    KC("dontroute_is_passed_on", "S11", passes_dontroute_on, KC_LIVE, KC_MODES | KC_SPIED),
};

const struct kc_subject kc_send = KC_SUBJECT("send", cases);
