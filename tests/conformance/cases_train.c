/* SPDX-License-Identifier: MIT
 *
 * Trains: many datagrams in one message, in one piece through the system, in one piece on arrival,
 * and never to be told from as many single ones but by their cost (S4, S5, S6, S24).
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"
#include "support/random.h"

enum {
    SEGMENT_BYTES = 100,
    TAIL_BYTES = 37,
    SEGMENT_COUNT = 11, /* the last one is the tail */
    TRAIN_BYTES = (SEGMENT_COUNT - 1) * SEGMENT_BYTES + TAIL_BYTES,
    PEER_COUNT = 8
};

static uint8_t bytes[65536];

static void expect_segments(struct ks_node *n, const uint8_t *data, size_t count_bytes,
                            size_t segment_bytes)
{
    for (size_t at = 0; at < count_bytes; at += segment_bytes) {
        const size_t left = count_bytes - at;
        KS_EXPECT(n, data + at, left < segment_bytes ? left : segment_bytes);
    }
}

/* ---- trains of the caller's ------------------------------------------------------------------ */

static void arrives_as_datagrams(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    const struct kirim_buf one = { bytes, TRAIN_BYTES };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, SEGMENT_BYTES };
    ks_fill(bytes, sizeof bytes, 20);
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
    expect_segments(b, bytes, TRAIN_BYTES, SEGMENT_BYTES);
    KS_CHECK(ks_post_msg(a, &msg, t->mode, o) >= 0);
    expect_segments(b, bytes, TRAIN_BYTES, SEGMENT_BYTES);
    KS_UNTIL(t, o->done_count == 1);
    KS_OK(o->err);
    KS_EQ(TRAIN_BYTES, o->sent_bytes);
    KS_EQ(2 * SEGMENT_COUNT, ks_stats(a).tx_datagrams);
    KS_EQ(2 * TRAIN_BYTES, ks_stats(a).tx_bytes);
    KS_EQ((t->caps & KIRIM_CAP_TRAINS) != 0 ? 2 : 0, ks_stats(a).tx_trains);
    KS_EXPECT_END(b, a);
}

/* The seams of the list are not those of the datagrams. */
static void is_gathered(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf list[6] = { { NULL, 0 },         { bytes, 1 },
                                       { bytes + 1, 250 },  { bytes + 251, 0 },
                                       { bytes + 251, 49 }, { bytes + 300, TRAIN_BYTES - 300 } };
    struct kirim_msg msg = { list, &b->addr, NULL, 6, SEGMENT_BYTES };
    ks_fill(bytes, sizeof bytes, 21);
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
    expect_segments(b, bytes, TRAIN_BYTES, SEGMENT_BYTES);
    struct ks_op *o = ks_op(t, 0);
    KS_CHECK(ks_post_msg(a, &msg, t->mode, o) >= 0);
    expect_segments(b, bytes, TRAIN_BYTES, SEGMENT_BYTES);
    KS_UNTIL(t, o->done_count == 1);
    KS_EXPECT_END(b, a);
}

static void is_as_long_as_it_may(struct ks *t)
{
    static const size_t segments[] = { 1, 512, 65507, 65535 };
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.receive_buffer_bytes = 4 << 20;
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node_with(t, &options);
    ks_fill(bytes, sizeof bytes, 22);
    for (size_t i = 0; i < sizeof segments / sizeof segments[0]; i++) {
        size_t most = segments[i] * KIRIM_TRAIN_SEGMENTS_MAX;
        most = most < 65507 ? most : 65507;
        struct kirim_buf one = { bytes, most };
        const struct kirim_msg msg = { &one, &b->addr, NULL, 1, segments[i] };
        KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
        expect_segments(b, bytes, most, segments[i]);
        one.bytes = most + 1;
        KS_ERR(KIRIM_EMSGSIZE, ks_post_msg(a, &msg, t->mode, NULL));
        KS_ERR(KIRIM_EMSGSIZE, ks_post_msg(a, &msg, t->mode, ks_op(t, 0)));
    }
    KS_EXPECT_END(b, a);
}

static void misuse_is_refused(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct kirim_buf one = { bytes, 0 };
    struct kirim_msg msg = { &one, &b->addr, NULL, 1, SEGMENT_BYTES };
    KS_ERR(KIRIM_EINVAL, ks_post_msg(a, &msg, t->mode, NULL));
    one.bytes = 1;
    msg.segment_bytes = 65536;
    KS_ERR(KIRIM_EINVAL, ks_post_msg(a, &msg, t->mode, NULL));
    KS_EXPECT_END(b, a);
}

/* Room reserved for a whole train. */
static void is_committed(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    void *room = NULL;
    ks_fill(bytes, sizeof bytes, 23);
    KS_OK(kirim_endpoint_reserve(a->ep, TRAIN_BYTES, &room));
    memcpy(room, bytes, TRAIN_BYTES);
    const struct kirim_msg msg = { NULL, &b->addr, NULL, 0, SEGMENT_BYTES };
    KS_OK(kirim_endpoint_commit(a->ep, TRAIN_BYTES, &msg));
    expect_segments(b, bytes, TRAIN_BYTES, SEGMENT_BYTES);
    KS_EXPECT_END(b, a);
}

/* What waits when the endpoint closes or is discarded is counted in datagrams. */
static void is_dropped_as_datagrams(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { bytes, TRAIN_BYTES };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, SEGMENT_BYTES };
    struct ks_op *o = ks_op(t, 0);
    KS_OK(ks_post_msg(a, &msg, 0, NULL));
    KS_ERR(KIRIM_PENDING, ks_post_msg(a, &msg, 0, o));
    size_t dropped = 0;
    KS_OK(kirim_endpoint_discard(a->ep, &dropped));
    KS_EQ(2 * SEGMENT_COUNT, dropped);
    KS_EQ(2 * SEGMENT_COUNT, ks_stats(a).drops[KIRIM_DROP_DISCARDED]);
    KS_UNTIL(t, o->done_count == 1);
    KS_ERR(KIRIM_EABORTED, o->err);
    KS_EXPECT_END(b, a);
}

/* A full system takes a part of a train that has to be cut, and the rest when it can. */
static void cut_train_waits_in_its_place(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags |= KIRIM_ENDPOINT_NO_TRAINS;
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    const struct kirim_buf one = { bytes, TRAIN_BYTES };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, SEGMENT_BYTES };
    ks_fill(bytes, sizeof bytes, 24);
    for (uint32_t room = 0; room <= SEGMENT_COUNT; room++) {
        ks_spy_set_room(t, room);
        KS_ERR(KIRIM_PENDING, ks_post_msg(a, &msg, 0, o));
        ks_send_number(a, room, &b->addr);
        ks_turn(t);
        KS_EQ(0, o->done_count - o->posted_count + (room < SEGMENT_COUNT));
        ks_spy_unblock(t);
        expect_segments(b, bytes, TRAIN_BYTES, SEGMENT_BYTES);
        KS_EXPECT_NUMBERS(b, room, 1);
        KS_UNTIL(t, o->done_count == o->posted_count);
        KS_OK(o->err);
        KS_EQ(TRAIN_BYTES, o->sent_bytes);
    }
    KS_EQ((SEGMENT_COUNT + 1) * (SEGMENT_COUNT + 1), ks_stats(a).tx_datagrams);
    KS_EXPECT_END(b, a);
}

/* NOW: what a full system took of it is told, the rest stays the caller's. */
static void cut_train_may_leave_in_part(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags |= KIRIM_ENDPOINT_NO_TRAINS;
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { bytes, TRAIN_BYTES };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, SEGMENT_BYTES };
    size_t sent = 0;
    ks_fill(bytes, sizeof bytes, 25);
    ks_spy_set_room(t, 3);
    KS_OK(kirim_endpoint_send(a->ep, &msg, KIRIM_SEND_NOW, NULL, &sent));
    KS_EQ(3 * SEGMENT_BYTES, sent);
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_send(a->ep, &msg, KIRIM_SEND_NOW, NULL, &sent));
    KS_EQ(3 * SEGMENT_BYTES, sent);
    expect_segments(b, bytes, 3 * SEGMENT_BYTES, SEGMENT_BYTES);
    KS_EQ(3, ks_stats(a).tx_datagrams);
    KS_EQ(0, kirim_endpoint_queued_count(a->ep));
    ks_spy_unblock(t);
    KS_UNTIL(t, a->writable_count == 1);
    KS_OK(kirim_endpoint_send(a->ep, &msg, KIRIM_SEND_NOW, NULL, &sent));
    KS_EQ(TRAIN_BYTES, sent);
    expect_segments(b, bytes, TRAIN_BYTES, SEGMENT_BYTES);
    KS_EXPECT_END(b, a);
}

/* One of its datagrams is lost: so are those behind it, each under the reason, and no others. */
static void cut_train_ends_where_it_is_refused(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags |= KIRIM_ENDPOINT_NO_TRAINS;
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    const struct kirim_buf one = { bytes, TRAIN_BYTES };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, SEGMENT_BYTES };
    ks_fill(bytes, sizeof bytes, 26);
    ks_spy_refuse(t, KIRIM_ENOBUFS, 105, 4, 1);
    KS_ERR(KIRIM_PENDING, ks_post_msg(a, &msg, 0, o));
    ks_send_number(a, 7, &b->addr);
    expect_segments(b, bytes, 4 * SEGMENT_BYTES, SEGMENT_BYTES);
    KS_EXPECT_NUMBERS(b, 7, 1);
    KS_UNTIL(t, o->done_count == 1);
    KS_ERR(KIRIM_ENOBUFS, o->err);
    KS_EQ(0, o->sent_bytes);
    KS_EQ(5, ks_stats(a).tx_datagrams);
    KS_EQ(SEGMENT_COUNT - 4, ks_stats(a).drops[KIRIM_DROP_NO_BUFFERS]);
    KS_EXPECT_END(b, a);
}

/* ---- trains of neighbours -------------------------------------------------------------------- */

static void neighbours_leave_together(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (uint32_t i = 0; i < 200; i++) {
        ks_send_number(a, i, &b->addr);
    }
    KS_EXPECT_NUMBERS(b, 0, 200);
    const struct kirim_endpoint_stats sent = ks_stats(a);
    const struct kirim_endpoint_stats got = ks_stats(b);
    const bool has_trains = (t->caps & KIRIM_CAP_TRAINS) != 0;
    KS_EQ(200, sent.tx_datagrams);
    KS_EQ(200, got.rx_datagrams);
    KS_CHECK(has_trains ? sent.tx_trains >= 2 && sent.tx_trains <= 4 : sent.tx_trains == 0);
    KS_EQ((t->caps & KIRIM_CAP_COALESCED) != 0 ? sent.tx_trains : 0, got.rx_trains);
    KS_EXPECT_END(b, a);
}

static void switches_hold(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags |= KIRIM_ENDPOINT_NO_TRAINS;
    struct ks_node *single = ks_node_with(t, &options);
    options.flags = KIRIM_ENDPOINT_NO_COALESCING;
    struct ks_node *plain = ks_node_with(t, &options);
    struct ks_node *a = ks_node(t);
    for (uint32_t i = 0; i < 50; i++) {
        ks_send_number(single, i, &a->addr);
        ks_send_number(a, i, &plain->addr);
    }
    KS_EXPECT_NUMBERS(a, 0, 50);
    KS_EXPECT_NUMBERS(plain, 0, 50);
    KS_EQ(0, ks_stats(single).tx_trains);
    KS_EQ(0, ks_stats(a).rx_trains);
    KS_EQ(0, ks_stats(plain).rx_trains);
    KS_EQ((t->caps & KIRIM_CAP_TRAINS) != 0, ks_stats(a).tx_trains);
}

/* What may not join: other sizes behind, other peers, other control data, empty ones. */
static void only_equals_join(struct ks *t)
{
    static const uint32_t sizes[] = { 8, 8, 4, 8, 9, 9, 0, 9, 0, 0, 8, 7, 7 };
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct kirim_control marked = KIRIM_CONTROL_INIT;
    marked.tag = 1; /* says nothing to the system */
    ks_fill(bytes, sizeof bytes, 27);
    for (int round = 0; round < 3; round++) {
        marked.ttl = round == 2 && (t->caps & KIRIM_CAP_TTL) != 0 ? 9 : 0;
        for (uint32_t i = 0; i < COUNT; i++) {
            const struct kirim_buf one = { bytes + i, sizes[i] };
            const bool has_control = round == 1 || (round == 2 && i % 3 == 0);
            const struct kirim_msg msg = { &one, &b->addr, has_control ? &marked : NULL, 1, 0 };
            KS_OK(ks_post_msg(a, &msg, 0, NULL));
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            KS_EXPECT(b, bytes + i, sizes[i]);
        }
    }
    KS_EXPECT_END(b, a);
}

/* Whatever is sent by turns to two peers, each gets its own in order and as it was. */
static void mixtures_arrive_as_sent(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.receive_buffer_bytes = 1 << 20; /* a round fits, without trains too */
    struct ks_node *a = ks_node(t);
    struct ks_node *b[2] = { ks_node_with(t, &options), ks_node_with(t, &options) };
    uint32_t sizes[2][150];
    struct test_random random = { (uint64_t)t->arg * 7919 + 1 };
    ks_fill(bytes, sizeof bytes, 28);
    for (int round = 0; round < 12; round++) {
        size_t count[2] = { 0, 0 };
        size_t run = 0;
        size_t to = 0;
        uint32_t size = 0;
        for (int i = 0; i < 150; i++) {
            if (run == 0) {
                run = 1 + test_random_below(&random, 40);
                to = test_random_below(&random, 2);
                size = (uint32_t)test_random_below(&random, 1400);
            }
            run--;
            const uint32_t this_size = test_random_below(&random, 30) == 0 ? size / 2 : size;
            const struct kirim_buf list[2] = { { bytes + i, this_size / 3 },
                                               { bytes + i + this_size / 3,
                                                 this_size - this_size / 3 } };
            const struct kirim_msg msg = { list, &b[to]->addr, NULL, 2, 0 };
            const bool has_op = test_random_below(&random, 8) == 0;
            KS_CHECK(ks_post_msg(a, &msg, 0, has_op ? ks_op(t, 0) : NULL) >= 0);
            sizes[to][count[to]] = this_size | (uint32_t)i << 16;
            count[to]++;
        }
        for (size_t k = 0; k < 2; k++) {
            for (size_t i = 0; i < count[k]; i++) {
                KS_EXPECT(b[k], bytes + (sizes[k][i] >> 16), sizes[k][i] & 0xffff);
            }
        }
    }
    KS_EQ(12 * 150, ks_stats(a).tx_datagrams);
}

/* ---- arrivals -------------------------------------------------------------------------------- */

static size_t whole_count, whole_datagrams;

static void see_whole(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)n;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        const size_t segment = d->segment_bytes != 0 ? d->segment_bytes : d->bytes;
        KS_CHECK(d->segment_bytes == 0 || d->bytes > d->segment_bytes);
        whole_count++;
        whole_datagrams += (d->bytes + segment - 1) / segment;
    }
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, batch->count, NULL));
}

static void whole_trains_are_handed_over(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags |= KIRIM_ENDPOINT_WHOLE_TRAINS;
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node_with(t, &options);
    const struct kirim_buf one = { bytes, TRAIN_BYTES };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, SEGMENT_BYTES };
    ks_fill(bytes, sizeof bytes, 29);
    whole_count = whole_datagrams = 0;
    b->on_received = see_whole;
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
    expect_segments(a, bytes, TRAIN_BYTES, SEGMENT_BYTES); /* all came back */
    KS_EQ(SEGMENT_COUNT, whole_datagrams);
    KS_EQ(SEGMENT_COUNT, ks_stats(b).rx_datagrams);
    const uint32_t needed = KIRIM_CAP_TRAINS | KIRIM_CAP_COALESCED;
    KS_EQ((t->caps & needed) == needed ? 1 : SEGMENT_COUNT, whole_count);
    KS_EQ(SEGMENT_COUNT, ks_stats(b).tx_datagrams);
}

static void echo(struct ks_node *n, const struct kirim_batch *batch)
{
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, batch->count, NULL));
}

/* More than a turn takes, echoed: what does not fit a batch waits, and every train stays one. */
static void long_bursts_are_echoed(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.receive_buffer_bytes = 4 << 20;
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b = ks_node_with(t, &options);
    struct ks_node *c = ks_node_with(t, &options); /* a neighbour with arrivals of its own */
    b->on_received = echo;
    for (uint32_t i = 0; i < 1000; i++) {
        ks_send_number(a, i, &b->addr);
    }
    for (uint32_t i = 0; i < 20; i++) {
        ks_send_number(c, 5000 + i, &b->addr);
    }
    KS_UNTIL(t, a->rx_count == 1000);
    KS_EXPECT_NUMBERS(a, 0, 1000);
    KS_EQ(1020, b->rx_count);
    KS_CHECK(b->batch_max <= 64);
    const bool has_trains = (t->caps & KIRIM_CAP_TRAINS) != 0;
    KS_CHECK(!has_trains || ks_stats(b).tx_trains >= ks_stats(b).rx_trains);
}

/* A datagram that is longer than the endpoint expects is cut, in a train as elsewhere. */
static void segments_over_the_largest_are_cut(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.datagram_bytes_max = SEGMENT_BYTES - 1;
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node_with(t, &options);
    const struct kirim_buf one = { bytes, TRAIN_BYTES };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, SEGMENT_BYTES };
    ks_fill(bytes, sizeof bytes, 30);
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
    KS_UNTIL(t, b->rx_count == SEGMENT_COUNT);
    for (size_t i = 0; i < SEGMENT_COUNT; i++) {
        const bool is_tail = i == SEGMENT_COUNT - 1;
        KS_EQ(is_tail ? TAIL_BYTES : SEGMENT_BYTES - 1, b->rx[i].bytes);
        KS_EQ(is_tail ? 0 : KIRIM_RX_TRUNCATED, b->rx[i].flags & KIRIM_RX_TRUNCATED);
        KS_EQ(0, memcmp(b->rx[i].head, bytes + i * SEGMENT_BYTES, KS_HEAD_BYTES));
    }
    KS_EQ(SEGMENT_COUNT - 1, ks_stats(b).rx_truncated);
}

static void close_it(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)batch;
    ks_node_close(n);
}

/* The endpoint closes in the middle of a train; its neighbours go on. */
static void close_in_a_train(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.receive_buffer_bytes = 4 << 20;
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node_with(t, &options);
    struct ks_node *c = ks_node_with(t, &options);
    b->on_received = close_it;
    for (uint32_t i = 0; i < 500; i++) {
        ks_send_number(a, i, &b->addr);
    }
    for (uint32_t i = 0; i < 400; i++) {
        ks_send_number(a, i, &c->addr);
    }
    KS_UNTIL(t, b->closed_count == 1);
    KS_EXPECT_NUMBERS(c, 0, 400);
    KS_CHECK(b->rx_count <= 64);
}

/* ---- order per peer -------------------------------------------------------------------------- */

static void peers_are_brought_together(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags |= KIRIM_ENDPOINT_ORDER_PER_PEER;
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b[PEER_COUNT];
    for (int k = 0; k < PEER_COUNT; k++) {
        b[k] = ks_node(t);
    }
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 100; i++) {
            for (int k = 0; k < PEER_COUNT; k++) {
                ks_send_number(a, i, &b[k]->addr);
            }
        }
        for (int k = 0; k < PEER_COUNT; k++) {
            KS_EXPECT_NUMBERS(b[k], 0, 100);
        }
    }
    KS_EQ(3 * 100 * PEER_COUNT, ks_stats(a).tx_datagrams);
    if ((t->caps & KIRIM_CAP_TRAINS) != 0) {
        KS_CHECK(ks_stats(a).tx_trains >= 3 * PEER_COUNT);
        KS_CHECK(ks_stats(a).tx_trains <= 3 * 4 * PEER_COUNT);
    }
}

/* A full system in the middle of it, operations among them: each peer's order holds, and what was
 * kept is kept until it has left. */
static void order_per_peer_survives_a_full_system(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags |= KIRIM_ENDPOINT_ORDER_PER_PEER;
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b[PEER_COUNT];
    size_t total = 0;
    for (int k = 0; k < PEER_COUNT; k++) {
        b[k] = ks_node(t);
    }
    for (uint32_t round = 0; round < 20; round++) {
        ks_spy_set_room(t, round * 9);
        for (uint32_t i = 0; i < 25; i++) {
            for (int k = 0; k < PEER_COUNT; k++) {
                ks_send_number(a, round * 25 + i, &b[k]->addr);
                total++;
            }
        }
        ks_turn(t);
        if (round % 4 == 3) {
            ks_spy_unblock(t);
            KS_UNTIL(t, kirim_endpoint_queued_count(a->ep) == 0);
        }
    }
    for (int k = 0; k < PEER_COUNT; k++) {
        KS_EXPECT_NUMBERS(b[k], 0, 500);
    }
    KS_EQ(total, ks_stats(a).tx_datagrams);
}

static const struct kc_case cases[] = {
    KC("train_arrives_as_its_datagrams", "S1 S4 S13 S15", arrives_as_datagrams, KC_LIVE, KC_MODES),
    KC("train_is_gathered_whatever_its_seams", "S4 S5", is_gathered, KC_LIVE, KC_MODES),
    KC("train_is_as_long_as_it_may_be_and_no_longer", "S6 S36", is_as_long_as_it_may, KC_LIVE,
       KC_MODES),
    KC("train_of_nothing_is_refused", "S10", misuse_is_refused, KC_CHECKED, KC_MODES),
    KC("train_is_committed_in_place", "S4", is_committed, KC_LIVE, 0),
    KC("train_is_dropped_as_so_many_datagrams", "S27", is_dropped_as_datagrams, KC_LIVE, 0),
    KC("cut_train_waits_in_its_place", "S24 S5", cut_train_waits_in_its_place, KC_SPY, KC_SPIED),
    KC("cut_train_may_leave_in_part", "S13 S16", cut_train_may_leave_in_part, KC_SPY, KC_SPIED),
    KC("cut_train_ends_where_it_is_refused", "S40", cut_train_ends_where_it_is_refused, KC_SPY,
       KC_SPIED),
    KC("neighbours_leave_together", "S24", neighbours_leave_together, KC_LIVE, 0),
    KC("offloads_can_be_switched_off", "", switches_hold, KC_LIVE, 0),
    KC("only_equals_join", "S24", only_equals_join, KC_LIVE, 0),
    KC_ARG("mixtures_arrive_as_sent", "S4 S24", mixtures_arrive_as_sent, KC_LIVE, 0, 1),
    KC_ARG("other_mixtures_arrive_as_sent", "S4 S24", mixtures_arrive_as_sent, KC_LIVE, 0, 2),
    KC("whole_trains_are_handed_over_and_sent_back", "", whole_trains_are_handed_over, KC_LIVE,
       KC_MODES),
    KC("long_bursts_are_echoed", "S24", long_bursts_are_echoed, KC_LIVE, 0),
    KC("segments_over_the_largest_are_cut", "", segments_over_the_largest_are_cut, KC_LIVE,
       KC_MODES),
    KC("endpoint_closes_in_the_middle_of_a_train", "S26", close_in_a_train, KC_LIVE, 0),
    KC("order_per_peer_brings_peers_together", "S24", peers_are_brought_together, KC_LIVE, 0),
    KC("order_per_peer_survives_a_full_system", "S24", order_per_peer_survives_a_full_system,
       KC_SPY, KC_SPIED),
};

const struct kc_subject kc_train = KC_SUBJECT("train", cases);
