/* SPDX-License-Identifier: MIT
 *
 * The receive contract: batches, peers, truncation, the smallest and the largest, lent memory.
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

static uint8_t bytes[KIRIM_PAYLOAD_IPV6_BYTES_MAX];

static void batches_keep_the_order(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (uint32_t i = 0; i < 150; i++) {
        ks_send_number(a, i, &b->addr);
    }
    KS_EXPECT_NUMBERS(b, 0, 150);
    KS_CHECK(b->batch_count >= 3);
    KS_CHECK(b->batch_max <= 64);
    if ((t->caps & KIRIM_CAP_BATCHES) != 0) {
        KS_CHECK(b->batch_max > 1);
        KS_CHECK(ks_stats(b).rx_calls < 20);
    }
}

static void peers_are_told(struct ks *t)
{
    struct ks_node *peers[3];
    struct ks_node *b = ks_node(t);
    for (size_t i = 0; i < 3; i++) {
        peers[i] = ks_node(t);
    }
    for (uint32_t i = 0; i < 90; i++) {
        ks_send_number(peers[i % 3], i, &b->addr);
        if (i % 3 == 2) {
            ks_turn(t);
        }
    }
    KS_UNTIL(t, b->rx_count == 90);
    for (size_t i = 0; i < 90; i++) {
        KS_CHECK(kirim_addr_equal(&b->rx[i].peer, &peers[ks_rx_number(&b->rx[i]) % 3]->addr));
        KS_EQ(0, b->rx[i].flags & KIRIM_RX_TRUNCATED);
    }
}

/* n - 1, n and n + 1 of what the endpoint expects, and much more; what is cut off is in no other
 * datagram. */
static void longer_ones_are_cut_and_flagged(struct ks *t)
{
    enum { MOST = 600 };
    static const size_t lengths[] = {
        MOST - 1, MOST, MOST + 1, 3, 9000, 60000, MOST, 0, MOST + 1, 5
    };
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.datagram_bytes_max = MOST;
    struct ks_node *b = ks_node_with(t, &options);
    struct ks_node *a = ks_node(t);
    const size_t count = sizeof lengths / sizeof lengths[0];
    ks_fill(bytes, sizeof bytes, 21);
    for (size_t i = 0; i < count; i++) {
        KS_SEND(a, bytes, lengths[i], &b->addr);
    }
    for (size_t i = 0; i < count; i++) {
        KS_EXPECT(b, bytes, lengths[i] > MOST ? (size_t)MOST : lengths[i]);
        KS_EQ(lengths[i] > MOST ? KIRIM_RX_TRUNCATED : 0, b->rx[i].flags & KIRIM_RX_TRUNCATED);
    }
    KS_EXPECT_END(b, a);
    KS_EQ(4, ks_stats(b).rx_truncated);
}

static void smallest_and_largest_cross(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const size_t limit = kirim_endpoint_payload_bytes_max(a->ep, NULL);
    const size_t lengths[] = { 0, 1, limit, 1, 0, limit };
    ks_fill(bytes, sizeof bytes, 22);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        KS_SEND(a, bytes, lengths[i], &b->addr);
    }
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        KS_EXPECT(b, bytes, lengths[i]);
        KS_EQ(0, b->rx[i].flags & KIRIM_RX_TRUNCATED);
    }
    KS_EQ(2 + 2 * limit, ks_stats(b).rx_bytes);
    KS_EXPECT_END(b, a);
}

static void empty_is_not_nothing(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (int i = 0; i < 70; i++) {
        KS_SEND(a, NULL, 0, &b->addr);
    }
    KS_UNTIL(t, b->rx_count == 70);
    for (int i = 0; i < 5; i++) {
        ks_turn(t);
    }
    KS_EQ(70, b->rx_count);
    KS_EQ(70, ks_stats(b).rx_datagrams);
    KS_EQ(0, ks_stats(b).rx_bytes);
}

/* Every byte of every datagram of the batch, while more is sent and received in between. */
static void scribble(struct ks_node *n, const struct kirim_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        memset(d->data, 0xf0, d->bytes);
    }
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        for (uint32_t k = 0; k < d->bytes; k++) {
            KS_EQ(0xf0, d->data[k]);
        }
    }
    (void)n;
}

static void lent_memory_is_writable_and_apart(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    b->on_received = scribble;
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 40; i++) {
            ks_fill(bytes, 1000, i);
            KS_SEND(a, bytes, 500 + i, &b->addr);
        }
        for (uint32_t i = 0; i < 40; i++) {
            ks_fill(bytes, 1000, i);
            KS_EXPECT(b, bytes, 500 + i);
        }
    }
}

/* NOW sends inside `received`, whose answers arrive at once, do not touch what is lent. */
static void send_now_and_look(struct ks_node *n, const struct kirim_batch *batch)
{
    const struct kirim_buf one = { bytes, 1000 };
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        const uint64_t digest = ks_digest(d->data, d->bytes);
        const struct kirim_msg msg = { &one, &n->addr, NULL, 1, 0 };
        if (n->rx_count < 200) {
            KS_OK(ks_post_msg(n, &msg, KIRIM_SEND_NOW, NULL));
        }
        KS_CHECK(digest == ks_digest(d->data, d->bytes));
        KS_CHECK(digest == n->rx[n->rx_count - batch->count + i].digest);
    }
}

static void lent_memory_stays_until_the_return(struct ks *t)
{
    struct ks_node *n = ks_node(t);
    n->on_received = send_now_and_look;
    ks_fill(bytes, 1000, 30);
    for (int i = 0; i < 10; i++) {
        KS_SEND(n, bytes, 1000, &n->addr);
    }
    KS_UNTIL(t, n->rx_count >= 200);
    ks_settle(t);
}

/* Answers with the lent bytes, so that they must have left before their buffers are used again. */
static void echo_all(struct ks_node *n, const struct kirim_batch *batch)
{
    size_t accepted = 0;
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, batch->count, &accepted));
    KS_EQ(batch->count, accepted);
}

/* Few receive buffers and many datagrams on several endpoints. */
static void few_receive_buffers_are_enough(struct ks *t)
{
    struct kirim_loop_options loop = KIRIM_LOOP_OPTIONS_INIT;
    loop.receive_slot_count = 64;
    loop.datagram_bytes_max = 2048;
    KS_OK(ks_try_open_spied(t, &loop));
    struct ks_node *peers[4];
    struct ks_node *nodes[4];
    for (size_t i = 0; i < 4; i++) {
        peers[i] = ks_node(t);
        nodes[i] = ks_node(t);
        nodes[i]->on_received = echo_all;
    }
    for (uint32_t i = 0; i < 100; i++) {
        for (size_t k = 0; k < 4; k++) {
            ks_send_number(peers[k], i, &nodes[k]->addr);
        }
    }
    for (size_t k = 0; k < 4; k++) {
        KS_EXPECT_NUMBERS(nodes[k], 0, 100);
        KS_EXPECT_NUMBERS(peers[k], 0, 100);
    }
}

static void loop_bounds_the_datagram(struct ks *t)
{
    struct kirim_loop_options loop = KIRIM_LOOP_OPTIONS_INIT;
    loop.datagram_bytes_max = 512;
    KS_OK(ks_try_open(t, &loop));
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    ks_fill(bytes, sizeof bytes, 23);
    for (size_t length = 511; length <= 513; length++) {
        KS_SEND(a, bytes, length, &b->addr);
        KS_EXPECT(b, bytes, length > 512 ? 512 : length);
    }
    KS_CHECK((b->rx[1].flags & KIRIM_RX_TRUNCATED) == 0);
    KS_CHECK((b->rx[2].flags & KIRIM_RX_TRUNCATED) != 0);
}

static void local_address_is_told_or_flagged(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_wildcard(t->family, 0);
    struct ks_node *b = ks_node_with(t, &options);
    struct ks_node *a = ks_node(t);
    const struct kirim_addr to = ks_loopback(t->family, kirim_addr_port(&b->addr));
    KS_SEND(a, "x", 1, &to);
    KS_UNTIL(t, b->rx_count == 1);
    if ((t->caps & KIRIM_CAP_SOURCE) != 0) {
        KS_CHECK(kirim_addr_equal(&to, &b->rx[0].local));
        KS_EQ(0, b->rx[0].flags & KIRIM_RX_NO_LOCAL);
    } else {
        KS_EQ(KIRIM_FAMILY_NONE, kirim_addr_family(&b->rx[0].local));
        KS_CHECK((b->rx[0].flags & KIRIM_RX_NO_LOCAL) != 0);
    }
}

static void open_catcher(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)batch;
    if (n->ctx == NULL) {
        struct ks_node *catcher = ks_node(n->t);
        n->ctx = catcher;
        KS_OK(kirim_endpoint_send_to(catcher->ep, "me", 2, &catcher->addr));
        (void)kirim_endpoint_flush(catcher->ep);
    }
}

static void opened_in_received_hears_next_turn(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    b->on_received = open_catcher;
    KS_SEND(a, "open", 4, &b->addr);
    KS_UNTIL(t, b->rx_count == 1);
    struct ks_node *catcher = b->ctx;
    KS_EQ(0, catcher->rx_count);
    KS_EXPECT(catcher, "me", 2);
}

static const struct kc_case cases[] = {
    KC("batches_keep_the_order_of_arrival", "S24", batches_keep_the_order, KC_LIVE, KC_MODES),
    KC("peers_are_told_rightly", "", peers_are_told, KC_LIVE, 0),
    KC("longer_datagrams_are_cut_and_flagged", "", longer_ones_are_cut_and_flagged, KC_LIVE,
       KC_MODES),
    KC("smallest_and_largest_datagrams_cross", "S4", smallest_and_largest_cross, KC_LIVE, KC_MODES),
    KC("empty_datagram_is_not_nothing", "S4", empty_is_not_nothing, KC_LIVE, KC_MODES),
    KC("lent_memory_is_writable_and_apart", "", lent_memory_is_writable_and_apart, KC_LIVE, 0),
    KC("lent_memory_stays_until_the_return", "", lent_memory_stays_until_the_return, KC_LIVE, 0),
    KC("few_receive_buffers_are_enough", "", few_receive_buffers_are_enough, KC_LIVE, KC_UNOPENED),
    KC("loop_bounds_the_datagram", "", loop_bounds_the_datagram, KC_LIVE, KC_UNOPENED),
    KC("local_address_is_told_or_flagged", "", local_address_is_told_or_flagged, KC_LIVE, 0),
    KC("endpoint_opened_in_received_hears_in_the_next_turn", "", opened_in_received_hears_next_turn,
       KC_LIVE, 0),
};

const struct kc_subject kc_receive = KC_SUBJECT("receive", cases);
