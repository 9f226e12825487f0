/* SPDX-License-Identifier: MIT
 *
 * Handing over bytes without a copy: what `received` was lent, replies, and reserved room.
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

static uint8_t bytes[2000];

/* ---- lent ------------------------------------------------------------------------------------ */

static void echo_lent(struct ks_node *n, const struct kirim_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        const struct kirim_buf one = { d->data, d->bytes };
        const struct kirim_msg msg = { &one, &d->peer, NULL, 1, 0 };
        KS_CHECK(ks_post_msg(n, &msg, n->t->mode | KIRIM_SEND_LENT,
                             n->ctx != NULL ? ks_op(n->t, 0) : NULL) >= 0);
    }
}

static void lent_bytes_go_back(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    b->on_received = echo_lent;
    for (int with_op = 0; with_op < 2; with_op++) {
        b->ctx = with_op != 0 ? t : NULL;
        for (uint32_t i = 0; i < 100; i++) {
            ks_send_number(a, i, &b->addr);
        }
        KS_EXPECT_NUMBERS(a, 0, 100);
    }
    KS_EQ(0, ks_stats(b).tx_copied);
}

/* Adds a header and turns the rest round: a gather list over lent bytes, which the handler writes
 * to. */
static void change_and_send(struct ks_node *n, const struct kirim_batch *batch)
{
    const struct kirim_datagram *d = kirim_batch_at(batch, 0);
    KS_EQ(6, d->bytes);
    d->data[0] = 'X';
    const struct kirim_buf list[3] = { { d->data + 3, 3 }, { NULL, 0 }, { d->data, 3 } };
    const struct kirim_msg msg = { list, &d->peer, NULL, 3, 0 };
    KS_OK(ks_post_msg(n, &msg, n->t->mode | KIRIM_SEND_LENT, NULL));
}

static void lent_bytes_are_writable(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    b->on_received = change_and_send;
    KS_SEND(a, "abcdef", 6, &b->addr);
    KS_EXPECT(a, "defXbc", 6);
}

static void echo_into_a_full_system(struct ks_node *n, const struct kirim_batch *batch)
{
    ks_spy_block(n->t);
    echo_lent(n, batch);
}

static void lent_bytes_outlive_a_full_system(struct ks *t)
{
    enum { COUNT = 40 };
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *noise = ks_node(t);
    t->mode = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        ks_fill(bytes, 50 + i * 20, i);
        KS_SEND(a, bytes, 50 + i * 20, &b->addr);
    }
    b->on_received = echo_into_a_full_system;
    b->ctx = t->arg != 0 ? t : NULL;
    KS_UNTIL(t, b->rx_count == COUNT);
    KS_EQ(COUNT, kirim_endpoint_queued_count(b->ep));
    /* The reactor gets its buffers back meanwhile, and fills them with something else. */
    for (int round = 0; round < 5; round++) {
        ks_spy_set_room(t, 64);
        memset(bytes, 0xbb, sizeof bytes);
        for (int i = 0; i < 30; i++) {
            (void)kirim_endpoint_send_to(noise->ep, bytes, 1500, &noise->addr);
        }
        (void)kirim_endpoint_flush(noise->ep);
        ks_spy_block(t);
        ks_turn(t);
    }
    ks_spy_unblock(t);
    for (uint32_t i = 0; i < COUNT; i++) {
        ks_fill(bytes, 50 + i * 20, i);
        KS_EXPECT(a, bytes, 50 + i * 20);
    }
    KS_EQ(COUNT, ks_stats(b).tx_copied);
}

static void lent_outside_is_refused(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { bytes, 5 };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, 0 };
    const struct kirim_datagram datagram = { .data = bytes, .bytes = 5, .peer = b->addr };
    size_t accepted = KS_UNTOUCHED;
    KS_ERR(KIRIM_EINVAL, ks_post_msg(a, &msg, t->mode | KIRIM_SEND_LENT, NULL));
    KS_ERR(KIRIM_EINVAL, ks_post_msg(a, &msg, t->mode | KIRIM_SEND_LENT, ks_op(t, 0)));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_reply(a->ep, &datagram, 1, &accepted));
    KS_EQ(0, accepted);
    KS_EXPECT_END(b, a);
}

/* ---- replies --------------------------------------------------------------------------------- */

static void reply_to_all(struct ks_node *n, const struct kirim_batch *batch)
{
    struct ks_node *through = n->ctx != NULL ? n->ctx : n;
    size_t accepted = KS_UNTOUCHED;
    for (size_t i = 0; i < batch->count; i++) {
        kirim_batch_at(batch, i)->data[3] ^= 0x80;
    }
    KS_EQ(sizeof(struct kirim_datagram), batch->stride);
    KS_OK(kirim_endpoint_reply(through->ep, batch->first, batch->count, &accepted));
    KS_EQ(batch->count, accepted);
}

static void reply_answers_a_whole_batch(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    b->on_received = reply_to_all;
    for (uint32_t i = 0; i < 100; i++) {
        ks_send_number(a, i, &b->addr);
    }
    KS_EXPECT_NUMBERS(a, 0x80, 100);
    KS_CHECK(kirim_addr_equal(&a->rx[0].peer, &b->addr));
    KS_EQ(0, ks_stats(b).tx_copied);
}

static void reply_through_another_endpoint(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *c = ks_node(t);
    b->on_received = reply_to_all;
    b->ctx = c;
    for (uint32_t i = 0; i < 10; i++) {
        ks_send_number(a, i, &b->addr);
    }
    KS_EXPECT_NUMBERS(a, 0x80, 10);
    KS_CHECK(kirim_addr_equal(&a->rx[0].peer, &c->addr));
}

static void misuse_reply(struct ks_node *n, const struct kirim_batch *batch)
{
    size_t accepted = KS_UNTOUCHED;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_reply(n->ep, NULL, 1, &accepted));
    KS_EQ(0, accepted);
    accepted = KS_UNTOUCHED;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_reply(n->ep, batch->first, 0, &accepted));
    KS_EQ(0, accepted);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_reply(n->ep, batch->first, batch->count + 1, &accepted));
    KS_EQ(0, accepted);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_reply(NULL, batch->first, 1, &accepted));
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, 1, NULL));
}

static void reply_refuses_nothing_and_null(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    b->on_received = misuse_reply;
    KS_SEND(a, "x", 1, &b->addr);
    KS_EXPECT(a, "x", 1);
    KS_EXPECT_END(a, b);
}

static void reply_at_the_bound(struct ks_node *n, const struct kirim_batch *batch)
{
    size_t accepted = KS_UNTOUCHED;
    KS_EQ(9, batch->count);
    ks_spy_block(n->t);
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_reply(n->ep, batch->first, batch->count, &accepted));
    KS_EQ(5, accepted);
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_reply(n->ep, batch->first, 1, &accepted));
    KS_EQ(0, accepted);
}

static void reply_is_accepted_in_part(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.queue_count_max = 5;
    struct ks_node *b = ks_node_with(t, &options);
    struct ks_node *a = ks_node(t);
    b->on_received = reply_at_the_bound;
    for (uint32_t i = 0; i < 9; i++) {
        ks_send_number(a, i, &b->addr);
    }
    KS_UNTIL(t, b->rx_count == 9);
    KS_EQ(5, kirim_endpoint_queued_count(b->ep));
    KS_EQ(5, ks_stats(b).tx_accepted);
    ks_spy_unblock(t);
    KS_EXPECT_NUMBERS(a, 0, 5);
    KS_UNTIL(t, b->writable_count == 1);
    KS_EXPECT_END(a, b);
    KS_EQ(1, b->writable_count);
}

/* ---- reserved -------------------------------------------------------------------------------- */

static void commit_trims(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const size_t limit = kirim_endpoint_payload_bytes_max(a->ep, &b->addr);
    const struct kirim_msg to = { .peer = &b->addr };
    void *room = NULL;
    for (size_t used = 0; used <= 2000; used += 400) {
        KS_OK(kirim_endpoint_reserve(a->ep, used == 400 ? limit : 2000, &room));
        memset(room, 0xcc, 2000);
        ks_fill(room, used, 3);
        KS_OK(kirim_endpoint_commit(a->ep, used, &to));
    }
    ks_fill(bytes, sizeof bytes, 3);
    for (size_t used = 0; used <= 2000; used += 400) {
        KS_EXPECT(b, bytes, used);
    }
    KS_OK(kirim_endpoint_reserve(a->ep, 0, &room));
    KS_OK(kirim_endpoint_commit(a->ep, 0, &to));
    KS_EXPECT(b, "", 0);
}

static void commit_on_a_connected_endpoint(struct ks *t)
{
    struct ks_node *b = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    void *room = NULL;
    KS_OK(kirim_endpoint_reserve(a->ep, 3, &room));
    memcpy(room, "abc", 3);
    KS_OK(kirim_endpoint_commit(a->ep, 3, NULL));
    KS_EXPECT(b, "abc", 3);
}

static void reservation_survives_a_refused_commit(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { bytes, 1 };
    struct kirim_msg msg = { .peer = &b->addr };
    void *room = NULL;
    KS_OK(kirim_endpoint_reserve(a->ep, 10, &room));
    memcpy(room, "0123456789", 10);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(a->ep, 11, &msg));
    KS_ERR(KIRIM_ENOTCONN, kirim_endpoint_commit(a->ep, 10, NULL));
    msg.buf = &one;
    msg.buf_count = 1;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(a->ep, 10, &msg));
    msg.buf = NULL;
    msg.buf_count = 0;
    KS_OK(kirim_endpoint_commit(a->ep, 10, &msg));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(a->ep, 10, &msg)); /* used up */
    KS_EXPECT(b, "0123456789", 10);
    KS_EXPECT_END(b, a);
}

static void other_posts_void_a_reservation(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_msg to = { .peer = &b->addr };
    void *room = NULL;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(a->ep, 1, &to));
    KS_OK(kirim_endpoint_reserve(a->ep, 10, &room));
    KS_SEND(b, "elsewhere", 9, &a->addr); /* another endpoint's */
    memcpy(room, "ok", 2);
    KS_OK(kirim_endpoint_commit(a->ep, 2, &to));
    KS_OK(kirim_endpoint_reserve(a->ep, 10, &room));
    KS_SEND(a, "plain", 5, &b->addr);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(a->ep, 1, &to));
    KS_OK(kirim_endpoint_reserve(a->ep, 10, &room));
    KS_OK(kirim_endpoint_send_to(a->ep, "again", 5, &b->addr));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(a->ep, 1, &to));
    KS_OK(kirim_endpoint_reserve(a->ep, 10, &room));
    ks_turn(t);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(a->ep, 1, &to)); /* the turn has ended */
    KS_EXPECT(b, "ok", 2);
    KS_EXPECT(b, "plain", 5);
    KS_EXPECT(b, "again", 5);
    KS_EXPECT_END(b, a);
}

static void reserve_in_a_callback(struct ks_timer *timer)
{
    struct ks_node *a = timer->ctx;
    void *room = NULL;
    KS_OK(kirim_endpoint_reserve(a->ep, 10, &room));
}

static void commit_in_a_later_callback(struct ks_timer *timer)
{
    struct ks_node *a = timer->ctx;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(a->ep, 1, &(struct kirim_msg){ .peer = &a->addr }));
}

static void end_of_the_callback_voids_a_reservation(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_timer *first = ks_timer(t, 0);
    struct ks_timer *second = ks_timer(t, 0);
    first->ctx = a;
    first->hook = reserve_in_a_callback;
    second->ctx = a;
    second->hook = commit_in_a_later_callback;
    ks_arm_in(first, 0);
    ks_arm_in(second, 0);
    KS_UNTIL(t, second->fired_count == 1);
}

static void reserve_keeps_to_the_limit(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const size_t limit = kirim_endpoint_payload_bytes_max(a->ep, &b->addr);
    void *const untouched = &bytes;
    void *room = untouched;
    KS_ERR(KIRIM_EMSGSIZE, kirim_endpoint_reserve(a->ep, limit + 1, &room));
    KS_ERR(KIRIM_EMSGSIZE, kirim_endpoint_reserve(a->ep, SIZE_MAX, &room));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_reserve(NULL, 10, &room));
    KS_CHECK(room == untouched);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_reserve(a->ep, 10, NULL));
    KS_OK(kirim_endpoint_reserve(a->ep, limit, &room));
    memset(room, 'z', limit);
    KS_OK(kirim_endpoint_commit(a->ep, limit, &(struct kirim_msg){ .peer = &b->addr }));
    KS_UNTIL(t, b->rx_count == 1);
    KS_EQ(limit, b->rx[0].bytes);
}

static void reserve_keeps_to_the_bound(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.queue_count_max = 2;
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b = ks_node(t);
    const struct kirim_msg to = { .peer = &b->addr };
    void *room = NULL;
    ks_spy_block(t);
    for (int i = 0; i < 2; i++) {
        KS_OK(kirim_endpoint_reserve(a->ep, 4, &room));
        ks_number(room, (uint32_t)i);
        KS_OK(kirim_endpoint_commit(a->ep, 4, &to));
        ks_turn(t);
    }
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_reserve(a->ep, 4, &room));
    ks_spy_unblock(t);
    KS_EXPECT_NUMBERS(b, 0, 2);
    KS_UNTIL(t, a->writable_count == 1);
    KS_EXPECT_END(b, a);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct kc_case cases[] = {
    KC("lent_bytes_go_back_without_a_copy", "S4", lent_bytes_go_back, KC_LIVE, KC_MODES),
    KC("lent_bytes_are_writable_and_gathered", "S4", lent_bytes_are_writable, KC_LIVE, KC_MODES),
    KC_ARG("lent_bytes_outlive_a_full_system", "S52", lent_bytes_outlive_a_full_system, KC_SPY,
           KC_SPIED, 0),
    KC_ARG("lent_bytes_of_an_operation_outlive_a_full_system", "S52",
           lent_bytes_outlive_a_full_system, KC_SPY, KC_SPIED, 1),
    KC("lent_bytes_outside_of_received_are_refused", "", lent_outside_is_refused, KC_CHECKED,
       KC_MODES),
    KC("reply_answers_a_whole_batch_in_order", "S2 S24", reply_answers_a_whole_batch, KC_LIVE, 0),
    KC("reply_goes_through_another_endpoint", "S2", reply_through_another_endpoint, KC_LIVE, 0),
    KC("reply_refuses_nothing_and_null", "", reply_refuses_nothing_and_null, KC_CHECKED, 0),
    KC("reply_is_accepted_in_part_at_the_bound", "S46", reply_is_accepted_in_part, KC_SPY,
       KC_SPIED),
    KC("commit_sends_what_was_written", "S2", commit_trims, KC_LIVE, 0),
    KC("commit_needs_no_destination_if_connected", "S1 S2", commit_on_a_connected_endpoint, KC_LIVE,
       0),
    KC("reservation_survives_a_refused_commit", "S41", reservation_survives_a_refused_commit,
       KC_CHECKED, 0),
    KC("reservation_is_void_after_another_post", "", other_posts_void_a_reservation, KC_CHECKED,
       KC_MODES),
    KC("reservation_is_void_after_its_callback", "", end_of_the_callback_voids_a_reservation,
       KC_CHECKED, 0),
    KC("reservation_keeps_to_the_limit_of_a_datagram", "S6 S36", reserve_keeps_to_the_limit,
       KC_CHECKED, 0),
    KC("reservation_keeps_to_the_bound_of_the_queue", "S46", reserve_keeps_to_the_bound, KC_SPY,
       KC_SPIED),
};

const struct kc_subject kc_handover = KC_SUBJECT("handover", cases);
