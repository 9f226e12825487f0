/* SPDX-License-Identifier: MIT
 *
 * Statistics: nothing is lost silently. That accepted = sent + dropped + queued is held by the
 * fixture at the end of every case.
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

static void every_fate_is_counted(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.queue_count_max = 12;
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b = ks_node(t);
    struct ks_op *cancelled = ks_op(t, 0);
    struct ks_op *late = ks_op(t, 0);
    for (uint32_t i = 0; i < 3; i++) {
        ks_send_number(a, i, &b->addr);
    }
    ks_spy_refuse(t, KIRIM_ENOBUFS, 1, 1, 1);
    KS_UNTIL(t, a->failed_count == 1); /* sent: 2, lost: 1 */
    ks_spy_block(t);
    KS_ERR(KIRIM_PENDING, ks_send(a, "1234", 4, &b->addr, cancelled));
    late->op.deadline_ns = kirim_loop_now(t->loop) + KS_MILLISECOND_NS;
    KS_ERR(KIRIM_PENDING, ks_send(a, "1234", 4, &b->addr, late));
    while (kirim_endpoint_queued_count(a->ep) < 12) {
        ks_send_number(a, 9, &b->addr);
    }
    KS_ERR(KIRIM_EWOULDBLOCK, ks_send(a, "x", 1, &b->addr, NULL));
    KS_OK(kirim_op_cancel(&cancelled->op));
    KS_UNTIL(t, late->done_count == 1 && cancelled->done_count == 1);
    struct kirim_endpoint_stats s = ks_stats(a);
    KS_EQ(15, s.tx_accepted);
    KS_EQ(2, s.tx_datagrams);
    KS_EQ(8, s.tx_bytes);
    KS_EQ(1, s.tx_refused);
    KS_CHECK(s.tx_blocked >= 1);
    KS_EQ(1, s.drops[KIRIM_DROP_NO_BUFFERS]);
    KS_EQ(1, s.drops[KIRIM_DROP_CANCELLED]);
    KS_EQ(1, s.drops[KIRIM_DROP_DEADLINE]);
    KS_EQ(10, s.tx_queued);
    KS_EQ(2, s.ops_done);
    KS_EQ(KIRIM_DROP_COUNT, s.drop_count);
    KS_EQ(3, ks_drops(&s));
    size_t dropped = 0;
    KS_OK(kirim_endpoint_discard(a->ep, &dropped));
    KS_EQ(10, dropped);
    s = ks_stats(a);
    KS_EQ(10, s.drops[KIRIM_DROP_DISCARDED]);
    KS_EQ(0, s.tx_queued);
}

static void received_is_counted(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (int i = 0; i < 10; i++) {
        KS_SEND(a, "12345", 5, &b->addr);
    }
    KS_UNTIL(t, b->rx_count == 10);
    const struct kirim_endpoint_stats s = ks_stats(b);
    KS_EQ(10, s.rx_datagrams);
    KS_EQ(50, s.rx_bytes);
    KS_EQ(0, s.rx_truncated);
    KS_EQ(0, s.rx_errors);
    KS_CHECK(s.rx_calls >= 1);
    KS_EQ(0, s.tx_accepted);
    const struct kirim_endpoint_stats sent = ks_stats(a);
    KS_EQ(10, sent.tx_accepted);
    KS_EQ(10, sent.tx_datagrams);
    KS_EQ(50, sent.tx_bytes);
    KS_CHECK(sent.tx_calls >= 1 && sent.tx_calls <= 10);
    KS_EQ(0, sent.tx_copied);
}

static void structures_grow(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    union {
        struct kirim_endpoint_stats known;
        uint8_t raw[sizeof(struct kirim_endpoint_stats) + 64];
    } s;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_read_stats(a->ep, NULL));
    memset(&s, 0xab, sizeof s);
    s.known.size = 0;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_read_stats(a->ep, &s.known));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_read_stats(NULL, &s.known));
    s.known.size = (uint32_t)sizeof s; /* of a later version: what this one knows is written */
    KS_OK(kirim_endpoint_read_stats(a->ep, &s.known));
    KS_EQ(0, s.known.tx_accepted);
    KS_EQ(0, s.known.drops[0]);
    memset(&s, 0xab, sizeof s);
    s.known.size = (uint32_t)sizeof s.known;
    KS_OK(kirim_endpoint_read_stats(a->ep, &s.known));
    for (size_t i = sizeof s.known; i < sizeof s; i++) {
        KS_EQ(0xab, s.raw[i]); /* and nothing behind it */
    }
}

static void loop_is_counted(struct ks *t)
{
    struct kirim_loop_stats s = KIRIM_LOOP_STATS_INIT;
    KS_ERR(KIRIM_EINVAL, kirim_loop_read_stats(t->loop, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_loop_read_stats(NULL, &s));
    KS_OK(kirim_loop_read_stats(t->loop, &s));
    KS_EQ(0, s.endpoint_count);
    const uint64_t turns = s.turns;
    struct ks_node *a = ks_node(t);
    (void)ks_node(t);
    for (int i = 0; i < 5; i++) {
        ks_turn(t);
    }
    KS_OK(kirim_loop_read_stats(t->loop, &s));
    KS_EQ(turns + 5, s.turns);
    KS_EQ(2, s.endpoint_count);
    KS_CHECK(s.waits >= 5);
    ks_node_close_and_wait(a);
    KS_OK(kirim_loop_read_stats(t->loop, &s));
    KS_EQ(1, s.endpoint_count);
    s.size = 3;
    KS_ERR(KIRIM_EINVAL, kirim_loop_read_stats(t->loop, &s));
}

static void overrun_is_counted(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.receive_buffer_bytes = 4096;
    struct ks_node *b = ks_node_with(t, &options);
    struct kirim_endpoint_options roomy = ks_endpoint_options(t);
    roomy.send_buffer_bytes = 1 << 20;
    roomy.flags |= KIRIM_ENDPOINT_NO_TRAINS; /* a train that is dropped counts once */
    struct ks_node *a = ks_node_with(t, &roomy);
    static const uint8_t payload[1000];
    for (int i = 0; i < 200; i++) {
        KS_OK(kirim_endpoint_send_to(a->ep, payload, sizeof payload, &b->addr));
    }
    KS_OK(kirim_endpoint_flush(a->ep));
    KS_UNTIL(t, b->rx_count > 0);
    KS_EXPECT(b, payload, sizeof payload);
    ks_settle(t);
    const struct kirim_endpoint_stats s = ks_stats(b);
    KS_EQ(200, s.rx_datagrams + s.drops[KIRIM_DROP_RECEIVE_FULL]);
    KS_CHECK(s.drops[KIRIM_DROP_RECEIVE_FULL] > 0);
    KS_EQ(200, ks_stats(a).tx_datagrams);
}

static void drops_have_names(struct ks *t)
{
    (void)t;
    for (unsigned i = 0; i < KIRIM_DROP_COUNT; i++) {
        KS_CHECK(strcmp(kirim_drop_name(i), "?") != 0);
        for (unsigned k = 0; k < i; k++) {
            KS_CHECK(strcmp(kirim_drop_name(i), kirim_drop_name(k)) != 0);
        }
    }
    KS_CHECK(strcmp(kirim_drop_name(KIRIM_DROP_NO_BUFFERS), "no-buffers") == 0);
    KS_CHECK(strcmp(kirim_drop_name(KIRIM_DROP_COUNT), "?") == 0);
}

static const struct kc_case cases[] = {
    KC("every_fate_of_a_datagram_is_counted", "", every_fate_is_counted, KC_SPY, KC_SPIED),
    KC("received_datagrams_are_counted", "", received_is_counted, KC_LIVE, 0),
    KC("statistics_of_another_version_are_understood_or_refused", "", structures_grow, KC_CHECKED,
       0),
    KC("turns_and_endpoints_are_counted", "", loop_is_counted, KC_LIVE, 0),
    KC_CAPS("overrun_of_a_receive_buffer_is_counted", "", overrun_is_counted, KC_LIVE, 0,
            KIRIM_CAP_DROPS),
    KC("drops_have_names", "", drops_have_names, KC_MAPPED, KC_UNOPENED),
};

const struct kc_subject kc_stats = KC_SUBJECT("stats", cases);
