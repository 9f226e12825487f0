/* SPDX-License-Identifier: MIT
 *
 * Datagrams of one endpoint leave in the order in which they were posted (S24), whichever way they
 * were handed over.
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

/* The numbers whose bytes operations borrow. */
static uint8_t borrowed[2000][KS_NUMBER_BYTES];

/* Posts a number in one of several ways; each is a way of kind `number % 4`. */
static void post_somehow(struct ks_node *a, const struct kirim_addr *to, uint32_t number)
{
    struct ks *t = a->t;
    uint8_t *bytes = borrowed[number % 2000];
    ks_number(bytes, number);
    const struct kirim_buf list[3] = { { bytes, 1 }, { NULL, 0 }, { bytes + 1, 3 } };
    const struct kirim_msg gathered = { list, to, NULL, 3, 0 };
    void *room = NULL;
    switch (number % 4) {
    case 0:
        KS_OK(kirim_endpoint_send_to(a->ep, bytes, KS_NUMBER_BYTES, to));
        break;
    case 1:
        KS_CHECK(ks_post_msg(a, &gathered, t->mode, ks_op(t, 0)) >= 0);
        break;
    case 2:
        KS_OK(kirim_endpoint_reserve(a->ep, 100, &room));
        memcpy(room, bytes, KS_NUMBER_BYTES);
        KS_OK(kirim_endpoint_commit(a->ep, KS_NUMBER_BYTES, &(struct kirim_msg){ .peer = to }));
        break;
    default:
        KS_OK(ks_post_msg(a, &gathered, t->mode, NULL));
        break;
    }
}

static void every_way_in_one_order(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    uint32_t number = 0;
    for (int burst = 0; burst < 20; burst++) {
        for (int i = 0; i < burst * 5 + 1; i++, number++) {
            post_somehow(a, &b->addr, number);
        }
        KS_UNTIL(t, b->rx_count == number);
    }
    KS_EXPECT_NUMBERS(b, 0, number);
}

/* Lent bytes, replies and the other ways, all posted inside `received`. */
static void answer_in_every_way(struct ks_node *n, const struct kirim_batch *batch)
{
    struct ks_node *sink = n->ctx;
    struct ks *t = n->t;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        const struct ks_rx *rx = &n->rx[n->rx_count - batch->count + i];
        const uint32_t number = ks_rx_number(rx);
        const struct kirim_buf one = { d->data, d->bytes };
        const struct kirim_msg msg = { &one, &sink->addr, NULL, 1, 0 };
        switch (number % 7) {
        case 4:
            KS_OK(ks_post_msg(n, &msg, t->mode | KIRIM_SEND_LENT, NULL));
            break;
        case 5:
            KS_CHECK(ks_post_msg(n, &msg, t->mode | KIRIM_SEND_LENT, ks_op(t, 0)) >= 0);
            break;
        case 6:
            KS_OK(kirim_endpoint_reply(n->ep, d, 1, NULL));
            break;
        default:
            post_somehow(n, &sink->addr, number);
            break;
        }
    }
}

static void lent_ways_in_the_same_order(struct ks *t)
{
    struct ks_node *sink = ks_node(t);
    struct ks_node *relay = ks_node(t);
    relay->on_received = answer_in_every_way;
    relay->ctx = sink;
    for (uint32_t i = 0; i < 100; i++) {
        ks_send_number(sink, i, &relay->addr);
    }
    KS_EXPECT_NUMBERS(sink, 0, 100);
}

static void order_holds_across_peers(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *peers[3];
    for (size_t i = 0; i < 3; i++) {
        peers[i] = ks_node(t);
    }
    for (uint32_t i = 0; i < 240; i++) {
        post_somehow(a, &peers[i * i % 3]->addr, i);
    }
    ks_settle(t);
    KS_EQ(240, t->spy->seen_count);
    for (uint32_t i = 0; i < 240; i++) {
        KS_EQ(i, t->spy->seen[i].number);
        KS_CHECK(kirim_addr_equal(&t->spy->seen[i].peer, &peers[i * i % 3]->addr));
    }
}

/* The system takes some, then none, then some more; the queue grows meanwhile, and its stores with
 * it. */
static void order_holds_across_a_full_system(struct ks *t)
{
    enum { COUNT = 1000 };
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    uint32_t number = 0;
    ks_spy_block(t);
    t->mode = 0;
    for (; number < COUNT; number++) {
        post_somehow(a, &b->addr, number);
        if (number % 97 == 0) {
            ks_spy_set_room(t, number % 5);
            ks_turn(t);
        }
    }
    for (uint32_t room = 1; kirim_endpoint_queued_count(a->ep) > 0; room = room * 2 % 127 + 1) {
        ks_spy_set_room(t, room);
        KS_UNTIL(t, t->spy->room == 0 || kirim_endpoint_queued_count(a->ep) == 0);
        const size_t seen = t->spy->seen_count;
        KS_UNTIL(t, b->rx_count == seen); /* or its receive buffer may run over */
    }
    ks_spy_unblock(t);
    KS_EXPECT_NUMBERS(b, 0, COUNT);
}

static void retried_datagram_keeps_its_place(struct ks *t)
{
    struct ks_node *b = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    for (uint32_t i = 0; i < 10; i++) {
        ks_send_number(a, i, NULL);
    }
    ks_spy_refuse(t, KIRIM_ECONNRESET, 111, 4, 1); /* somebody else's error, given to number 4 */
    KS_EXPECT_NUMBERS(b, 0, 10);
    KS_EXPECT_END(b, a);
    KS_UNTIL(t, a->failed_count == 1); /* told as what the network reported, and nothing was lost */
    KS_EQ(KIRIM_EVENT_PEER_ERROR, a->event.kind);
    KS_ERR(KIRIM_ECONNRESET, a->event.err);
    KS_EQ(111, a->event.system_code);
    KS_CHECK(kirim_addr_equal(&b->addr, &a->event.peer));
    KS_EQ(11, ks_stats(a).tx_datagrams);
}

static void lost_datagram_leaves_a_gap_only(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (uint32_t i = 0; i < 10; i++) {
        ks_send_number(a, i, &b->addr);
    }
    ks_spy_refuse(t, KIRIM_ENOBUFS, 105, 4, 1);
    KS_EXPECT_NUMBERS(b, 0, 4);
    KS_EXPECT_NUMBERS(b, 5, 5);
    KS_EQ(1, a->failed_count);
    KS_EQ(1, ks_stats(a).drops[KIRIM_DROP_NO_BUFFERS]);
    KS_EXPECT_END(b, a);
}

static void cancelled_ones_leave_gaps_only(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *ops[200];
    ks_spy_block(t);
    for (uint32_t i = 0; i < 200; i++) {
        ops[i] = ks_op(t, 0);
        ks_number(borrowed[i], i);
        KS_ERR(KIRIM_PENDING, ks_send(a, borrowed[i], KS_NUMBER_BYTES, &b->addr, ops[i]));
    }
    ks_turn(t);
    for (uint32_t i = 0; i < 200; i++) {
        if (i < 70 || i % 3 != 0) {
            KS_OK(kirim_op_cancel(&ops[i]->op));
        }
    }
    ks_spy_unblock(t);
    for (uint32_t i = 72; i < 200; i += 3) {
        KS_EXPECT_NUMBERS(b, i, 1);
    }
    ks_settle(t);
    for (uint32_t i = 0; i < 200; i++) {
        KS_ERR(i >= 70 && i % 3 == 0 ? KIRIM_OK : KIRIM_EABORTED, ops[i]->err);
    }
    KS_EXPECT_END(b, a);
}

/* What is posted while the end of a turn flushes is behind what was posted before. */
static void post_two(struct ks_timer *timer)
{
    struct ks_node *const *pair = timer->ctx;
    ks_send_number(pair[0], 1, &pair[1]->addr);
    ks_send_number(pair[0], 2, &pair[1]->addr);
}

static void order_holds_from_outside_into_a_turn(struct ks *t)
{
    struct ks_node *pair[2];
    pair[0] = ks_node(t);
    pair[1] = ks_node(t);
    struct ks_timer *timer = ks_timer(t, 0);
    timer->hook = post_two;
    timer->ctx = pair;
    ks_arm_in(timer, 0);
    ks_send_number(pair[0], 0, &pair[1]->addr);
    KS_UNTIL(t, timer->fired_count == 1);
    ks_send_number(pair[0], 3, &pair[1]->addr);
    KS_EXPECT_NUMBERS(pair[1], 0, 4);
}

static const struct kc_case cases[] = {
    KC("every_way_of_handing_over_keeps_one_order", "S24 S2", every_way_in_one_order, KC_LIVE,
       KC_MODES),
    KC("lent_bytes_and_replies_keep_the_same_order", "S24 S21", lent_ways_in_the_same_order,
       KC_LIVE, KC_MODES),
    KC("order_holds_across_peers", "S24", order_holds_across_peers, KC_LIVE, KC_MODES | KC_SPIED),
    KC("order_holds_across_a_full_system", "S24 S5", order_holds_across_a_full_system, KC_SPY,
       KC_SPIED),
    KC("retried_datagram_keeps_its_place", "S24 S31", retried_datagram_keeps_its_place, KC_SPY,
       KC_SPIED),
    KC("lost_datagram_leaves_a_gap_only", "S24 S40", lost_datagram_leaves_a_gap_only, KC_SPY,
       KC_SPIED),
    KC("cancelled_datagrams_leave_gaps_only", "S24 S49", cancelled_ones_leave_gaps_only, KC_SPY,
       KC_SPIED),
    KC("order_holds_from_outside_into_a_turn", "S24", order_holds_from_outside_into_a_turn, KC_LIVE,
       KC_MODES),
};

const struct kc_subject kc_order = KC_SUBJECT("order", cases);
