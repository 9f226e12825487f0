/* SPDX-License-Identifier: MIT
 *
 * Ends: closing and discarding (S26, S27, S49). See cases_place.c for closes inside callbacks.
 */
#include "conformance.h"
#include "support/ks_spy.h"

static void close_submits_once(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    uint8_t numbers[100][KS_NUMBER_BYTES];
    t->mode = 0;
    a->mark = 'c';
    for (uint32_t i = 0; i < 100; i++) {
        if (i % 10 == 3) {
            ks_number(numbers[i], i);
            KS_SEND_OP(a, numbers[i], KS_NUMBER_BYTES, &b->addr, ks_op(t, 'o'));
        } else {
            ks_send_number(a, i, &b->addr);
        }
    }
    ks_node_close(a);
    KS_EQ(0, t->trace_count);
    KS_UNTIL(t, a->closed_count == 1);
    KS_TRACE(t, "ooooooooooc");
    for (const struct ks_op *o = t->ops; o != NULL; o = o->next) {
        KS_OK(o->err);
        KS_EQ(KS_NUMBER_BYTES, o->sent_bytes);
    }
    KS_EXPECT_NUMBERS(b, 0, 100);
    KS_EQ(100, a->last_stats.tx_datagrams);
}

static void close_aborts_the_rest(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *ops[6];
    a->mark = 'c';
    ks_spy_set_room(t, 2);
    for (int i = 0; i < 6; i++) {
        ops[i] = ks_op(t, 'o');
        KS_CHECK(ks_send(a, &"012345"[i], 1, &b -> addr, ops[i]) >= 0);
    }
    if (t->mode == 0) {
        KS_OK(kirim_endpoint_send_to(a->ep, "plain", 5, &b->addr));
    }
    ks_node_close(a);
    KS_UNTIL(t, a->closed_count == 1);
    KS_TRACE(t, "ooooooc");
    for (int i = 0; i < 6; i++) {
        KS_EQ(1, ops[i]->done_count);
        KS_ERR(i < 2 ? KIRIM_OK : KIRIM_EABORTED, ops[i]->err);
    }
    KS_EQ(t->mode == 0 ? 5 : 4, a->last_stats.drops[KIRIM_DROP_CLOSED]);
    ks_spy_unblock(t);
    KS_EXPECT(b, "0", 1);
    KS_EXPECT(b, "1", 1);
    KS_EXPECT_END(b, b);
    KS_EQ(0, a->failed_count);
}

static void calls_while_closing(struct ks *t)
{
    struct ks_node *b = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    struct ks_timer *timer = ks_timer(t, 0);
    struct kirim_endpoint_stats stats = KIRIM_ENDPOINT_STATS_INIT;
    void *room = NULL;
    size_t dropped = KS_UNTOUCHED;
    uint32_t size = 7;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_close(NULL));
    KS_OK(kirim_endpoint_reserve(a->ep, 10, &room));
    ks_node_close(a);
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_close(a->ep));
    KS_ERR(KIRIM_ECLOSED, ks_send(a, "x", 1, NULL, NULL));
    KS_ERR(KIRIM_ECLOSED, ks_send(a, "x", 1, NULL, ks_op(t, 0)));
    t->mode = KIRIM_SEND_NOW;
    KS_ERR(KIRIM_ECLOSED, ks_send(a, "x", 1, NULL, NULL));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_send_to(a->ep, "x", 1, NULL));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_commit(a->ep, 1, NULL));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_reserve(a->ep, 1, &room));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_flush(a->ep));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_discard(a->ep, &dropped));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_buffers(a->ep, &size, &size));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_timer_arm(a->ep, &timer->timer, 1));
    KS_OK(kirim_endpoint_read_stats(a->ep, &stats));
    KS_EQ(KS_UNTOUCHED, dropped);
    KS_EQ(7, size);
    KS_UNTIL(t, a->closed_count == 1);
    KS_EXPECT_END(b, b);
}

static void close_neighbours(struct ks_node *n, const struct kirim_batch *batch)
{
    struct ks_node *const *all = n->ctx;
    (void)batch;
    for (size_t i = 0; i < 8; i++) {
        if (all[i] != n) {
            ks_node_close(all[i]);
        }
    }
}

/* All are ready in the same turn; the first one closes the others. */
static void ready_neighbours_are_closed(struct ks *t)
{
    struct ks_node *all[8];
    struct ks_node *sender = ks_node(t);
    for (size_t i = 0; i < 8; i++) {
        all[i] = ks_node(t);
        all[i]->ctx = all;
        all[i]->on_received = close_neighbours;
        for (int k = 0; k < 3; k++) {
            KS_SEND(sender, "hello", 5, &all[i]->addr);
        }
    }
    KS_OK(kirim_endpoint_flush(sender->ep));
    size_t received = 0;
    size_t closed = 0;
    const uint64_t end_ns = ks_patience_end(t);
    while (closed < 7) {
        KS_CHECK(ks_wait(t, end_ns));
        received = 0;
        closed = 0;
        for (size_t i = 0; i < 8; i++) {
            received += all[i]->batch_count;
            closed += all[i]->closed_count;
        }
    }
    KS_EQ(1, received);
}

/* Datagrams that are there already are not handed over any more. */
static void nothing_is_received_after_close(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (int i = 0; i < 10; i++) {
        KS_SEND(a, "x", 1, &b->addr);
    }
    KS_OK(kirim_endpoint_flush(a->ep));
    ks_node_close_and_wait(b);
    KS_EQ(0, b->rx_count);
}

static void port_is_free_after_close(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct ks_node *n = ks_node(t);
    options.local = n->addr;
    for (int i = 0; i < 100; i++) {
        ks_node_close_and_wait(n);
        n = ks_node_with(t, &options);
        KS_CHECK(kirim_addr_equal(&n->addr, &options.local));
    }
    KS_EXPECT_END(n, n);
}

static void nobody_listens(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct kirim_endpoint *deaf = NULL;
    const struct kirim_endpoint_options options = ks_endpoint_options(t);
    KS_OK(kirim_endpoint_open(t->loop, &options, &deaf));
    const struct kirim_addr addr = kirim_endpoint_local(deaf);
    KS_CHECK(kirim_endpoint_user(deaf) == NULL);
    KS_CHECK(kirim_endpoint_loop(deaf) == t->loop);
    KS_SEND(a, "hello?", 6, &addr);
    KS_OK(kirim_endpoint_send_to(deaf, "I am deaf", 9, &a->addr));
    KS_EXPECT(a, "I am deaf", 9);
    ks_settle(t);
    KS_OK(kirim_endpoint_close(deaf));
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    KS_UNTIL(t, kirim_loop_read_stats(t->loop, &stats) == KIRIM_OK && stats.endpoint_count == 1);
    KS_OK(kirim_endpoint_open(t->loop, &options, &deaf)); /* left to the end of the loop */
}

static void loop_close_ends_everything(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *ops[3];
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    struct ks_post *post = ks_post(t, 0);
    ks_spy_set_room(t, 1);
    for (int i = 0; i < 3; i++) {
        ops[i] = ks_op(t, 0);
        KS_ERR(KIRIM_PENDING, ks_send(a, "x", 1, &b->addr, ops[i]));
    }
    ks_arm_in(ks_timer(t, 'X'), 0);
    KS_OK(kirim_endpoint_timer_arm(b->ep, &ks_timer(t, 'X')->timer, 0));
    KS_OK(kirim_remote_post(remote, &post->post));
    ks_node_close(b);
    ks_close_loop(t);
    KS_OK(ops[0]->err);
    KS_ERR(KIRIM_EABORTED, ops[1]->err);
    KS_ERR(KIRIM_EABORTED, ops[2]->err);
    KS_EQ(1, post->run_count);
    KS_ERR(KIRIM_ECLOSED, post->err);
    KS_TRACE(t, "");
    KS_ERR(KIRIM_ECLOSED, kirim_remote_wake(remote));
    kirim_remote_release(remote);
}

static void polled_operation_ends_with_the_loop(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op_polled(t);
    ks_spy_block(t);
    KS_ERR(KIRIM_PENDING, ks_send(a, "x", 1, &b->addr, o));
    ks_close_loop(t);
    KS_ERR(KIRIM_EABORTED, kirim_op_result(&o->op, NULL));
}

static void discard_aborts(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    size_t dropped = KS_UNTOUCHED;
    KS_OK(kirim_endpoint_discard(a->ep, &dropped));
    KS_EQ(0, dropped);
    ks_spy_set_room(t, 1);
    ks_send_number(a, 1, &b->addr);
    ks_send_number(a, 2, &b->addr);
    KS_ERR(KIRIM_PENDING, ks_send(a, "three", 5, &b->addr, o));
    ks_turn(t);
    ks_send_number(a, 4, &b->addr);
    KS_OK(kirim_endpoint_discard(a->ep, &dropped));
    KS_EQ(3, dropped);
    KS_EQ(0, kirim_endpoint_queued_count(a->ep));
    KS_EQ(0, o->done_count);
    KS_UNTIL(t, o->done_count == 1);
    KS_ERR(KIRIM_EABORTED, o->err);
    KS_EQ(3, ks_stats(a).drops[KIRIM_DROP_DISCARDED]);
    ks_spy_unblock(t);
    ks_turn(t);
    KS_EXPECT_NUMBERS(b, 1, 1);
    KS_EXPECT_END(b, a);
    KS_EQ(0, a->failed_count);
    KS_OK(kirim_endpoint_discard(a->ep, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_discard(NULL, &dropped));
}

static void discarded_in_time(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 'o');
    size_t dropped = KS_UNTOUCHED;
    ks_send_number(a, 1, &b->addr);
    KS_ERR(KIRIM_PENDING, ks_send(a, "two", 3, &b->addr, o));
    ks_send_number(a, 3, &b->addr);
    KS_OK(kirim_endpoint_discard(a->ep, &dropped));
    KS_EQ(3, dropped);
    ks_send_number(a, 4, &b->addr);
    KS_EXPECT_NUMBERS(b, 4, 1);
    KS_EQ(1, o->done_count);
    KS_ERR(KIRIM_EABORTED, o->err);
    KS_EXPECT_END(b, a);
}

static const struct kc_case cases[] = {
    KC("close_submits_what_is_queued_and_is_last", "S26", close_submits_once, KC_LIVE, 0),
    KC("close_aborts_what_the_system_does_not_take", "S26 S49", close_aborts_the_rest, KC_SPY,
       KC_MODES | KC_SPIED),
    KC("calls_on_a_closing_endpoint_are_refused", "S26", calls_while_closing, KC_CHECKED, 0),
    KC("ready_neighbours_are_closed_in_one_turn", "S26", ready_neighbours_are_closed, KC_LIVE, 0),
    KC("nothing_is_received_after_close", "S26", nothing_is_received_after_close, KC_LIVE, 0),
    KC("port_is_free_after_the_last_callback", "", port_is_free_after_close, KC_LIVE, 0),
    KC("endpoint_without_a_handler_is_no_trouble", "", nobody_listens, KC_LIVE, 0),
    KC("loop_close_ends_everything_once", "S26 S49", loop_close_ends_everything, KC_SPY, KC_SPIED),
    KC("polled_operation_ends_with_the_loop", "S26", polled_operation_ends_with_the_loop, KC_SPY,
       KC_SPIED),
    KC("discarded_datagrams_never_leave", "S27 S49", discarded_in_time, KC_LIVE, 0),
    KC("discard_aborts_what_is_queued", "S27 S49", discard_aborts, KC_SPY, KC_SPIED),
};

const struct kc_subject kc_close = KC_SUBJECT("close", cases);
