/* SPDX-License-Identifier: MIT
 *
 * Claims about queues that run for long: what a datagram took of memory and of bounds comes back
 * with it, whatever became of it, and counters stay exact. On the scripted reactor.
 */
#include "support/stage.h"

#include <inttypes.h>
#include <string.h>

enum { WARM_COUNT = 30, CYCLE_COUNT = 300, BYTES = 500, BATCH = 3 };

/* One cycle; behind it the queue is empty. */
typedef void (*cycle_fn)(struct stage *x);

static void settle(struct stage *x)
{
    x->p->room = SCRIPT_NO_LIMIT;
    for (int i = 0; i < 3; i++) {
        script_end_all(x->p, KIRIM_OK);
        ks_turn(&x->t);
    }
    KS_EQ(0, kirim_endpoint_queued_count(x->n->ep));
    x->p->sent_count = 0; /* it would be much in the end */
}

static uint8_t payload[BYTES];

static void send_some(struct stage *x)
{
    for (int i = 0; i < BATCH; i++) {
        KS_OK(kirim_endpoint_send_to(x->n->ep, payload, BYTES, &x->to));
    }
}

/* With control data and a gather list, both of which are stored. */
static kirim_err send_gathered(struct stage *x, uint32_t flags, struct kirim_op *op)
{
    struct kirim_buf buf[2] = { { payload, 100 }, { payload + 100, BYTES - 100 } };
    const struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_msg msg = { buf, &x->to, &control, 2, 0 };
    return kirim_endpoint_send(x->n->ep, &msg, flags, op, NULL);
}

static void cycle_plain(struct stage *x)
{
    send_some(x);
}

static void cycle_partial(struct stage *x)
{
    send_some(x);
    x->p->room = 1;
    ks_turn(&x->t);
}

static void cycle_gathered(struct stage *x)
{
    KS_OK(send_gathered(x, 0, NULL));
    send_some(x);
}

static struct kirim_op cycle_op; /* polled, idle between cycles */

static void cycle_with_op(struct stage *x)
{
    send_some(x);
    KS_ERR(KIRIM_PENDING, send_gathered(x, 0, &cycle_op));
    send_some(x);
}

static void cycle_flying(struct stage *x)
{
    x->p->fly_every = 2;
    cycle_with_op(x);
    ks_turn(&x->t);
    script_end(x->p, x->p->flight_count - 1, KIRIM_OK, 0);
    ks_turn(&x->t);
}

static void cycle_refused_late(struct stage *x)
{
    x->p->fly_every = 1;
    send_some(x);
    ks_turn(&x->t);
    script_end_all(x->p, KIRIM_ECONNRESET);
    ks_turn(&x->t);
}

static void cycle_lost(struct stage *x)
{
    script_refuse(x->p, 1, 1, KIRIM_EMSGSIZE, 90);
    KS_OK(send_gathered(x, 0, NULL));
    send_some(x);
}

static void cycle_cancelled(struct stage *x)
{
    x->p->room = 0;
    send_some(x);
    KS_ERR(KIRIM_PENDING, send_gathered(x, 0, &cycle_op));
    ks_turn(&x->t);
    KS_OK(kirim_op_cancel(&cycle_op));
}

static void cycle_discarded(struct stage *x)
{
    send_some(x);
    KS_OK(send_gathered(x, 0, NULL));
    size_t dropped_count = 0;
    KS_OK(kirim_endpoint_discard(x->n->ep, &dropped_count));
    KS_EQ(BATCH + 1, dropped_count);
}

static void cycle_now_refused(struct stage *x)
{
    script_refuse(x->p, 0, 1, KIRIM_EMSGSIZE, 90);
    KS_ERR(KIRIM_EMSGSIZE, send_gathered(x, KIRIM_SEND_NOW, &cycle_op));
    script_refuse(x->p, 0, 1, KIRIM_EMSGSIZE, 90);
    KS_ERR(KIRIM_EMSGSIZE, send_gathered(x, KIRIM_SEND_NOW, NULL));
    KS_OK(send_gathered(x, KIRIM_SEND_NOW, NULL));
}

static void cycle_reserved(struct stage *x)
{
    const struct kirim_msg msg = { NULL, &x->to, NULL, 0, 0 };
    void *room;
    for (int i = 0; i < BATCH; i++) {
        KS_OK(kirim_endpoint_reserve(x->n->ep, BYTES, &room));
        memset(room, i, BYTES);
    }
    KS_OK(kirim_endpoint_commit(x->n->ep, BYTES, &msg));
}

static void reply_all(struct ks_node *n, const struct kirim_batch *batch)
{
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, batch->count, NULL));
}

static void cycle_replied(struct stage *x)
{
    x->n->on_received = reply_all;
    script_arrive_numbers(x->p, 0, BATCH, &x->to);
    ks_turn(&x->t);
}

static void cycle_copied(struct stage *x)
{
    x->p->room = 1;
    cycle_replied(x);
}

static const cycle_fn cycles[] = {
    cycle_plain,        cycle_partial, cycle_gathered,  cycle_with_op,   cycle_flying,
    cycle_refused_late, cycle_lost,    cycle_cancelled, cycle_discarded, cycle_now_refused,
    cycle_reserved,     cycle_replied, cycle_copied,
};

enum { CYCLE_KIND_COUNT = sizeof cycles / sizeof cycles[0] };

static struct stage *open_narrow(bool is_bound_to_all)
{
    struct ks t;
    ks_init(&t, "scripted", KIRIM_IPV4);
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.queue_count_max = 3 * BATCH;
    options.queue_bytes_max = (uint32_t)3 * BATCH * BYTES;
    if (is_bound_to_all) {
        options.local = ks_wildcard(KIRIM_IPV4, 99);
    }
    struct stage *x = stage_open_with(KIRIM_CAP_SOURCE, &options);
    x->p->local = ks_loopback(KIRIM_IPV4, 99);
    return x;
}

START_TEST(nothing_grows_however_long_a_queue_runs)
{
    struct stage *x = open_narrow(true); /* replies name their source */
    size_t blocks = 0;
    uint64_t calls = 0;
    for (int i = 0; i < WARM_COUNT + CYCLE_COUNT; i++) {
        cycles[_i](x);
        settle(x);
        if (i == WARM_COUNT) {
            blocks = x->t.memory.blocks;
            calls = x->t.memory.calls;
        }
    }
    KS_EQ(blocks, x->t.memory.blocks);
    KS_EQ(calls, x->t.memory.calls);
    stage_close(x); /* the statistics add up */
}
END_TEST

START_TEST(bytes_are_counted_exactly_whatever_the_system_takes)
{
    struct stage *x = open_narrow(false);
    uint64_t sent_bytes = 0;
    for (int i = 0; i < 50; i++) {
        send_some(x);
        x->p->room = (uint32_t)(i % (BATCH + 1));
        ks_turn(&x->t);
        settle(x);
        sent_bytes += (uint64_t)BATCH * BYTES;
        const struct kirim_endpoint_stats s = ks_stats(x->n);
        KS_EQ(sent_bytes, s.tx_bytes);
        KS_EQ((uint64_t)(i + 1) * BATCH, s.tx_datagrams);
    }
    stage_close(x);
}
END_TEST

START_TEST(a_full_system_is_not_asked_again_before_it_says_so)
{
    struct stage *x = stage_open(0);
    x->p->room = 0;
    for (uint32_t i = 0; i < 5; i++) {
        ks_send_number(x->n, i, &x->to);
        ks_turn(&x->t);
    }
    KS_EQ(1, x->p->submit_count);
    KS_EQ(1, ks_stats(x->n).tx_blocked);
    x->p->room = SCRIPT_NO_LIMIT;
    ks_turn(&x->t);
    KS_EQ(2, x->p->submit_count);
    script_check_sent(x->p, 0, 5);
    stage_close(x);
}
END_TEST

START_TEST(places_of_what_timed_out_are_free_at_once)
{
    struct stage *x = open_narrow(false);
    struct ks_op *o[3 * BATCH];
    x->p->room = 0;
    for (int i = 0; i < 3 * BATCH; i++) {
        o[i] = ks_op(&x->t, 0);
        o[i]->op.deadline_ns = kirim_loop_now(x->t.loop) + 10;
        KS_SEND_OP(x->n, "late", 4, &x->to, o[i]);
    }
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_send_to(x->n->ep, "more", 4, &x->to));
    KS_UNTIL(&x->t, o[0]->done_count == 1);
    KS_EQ(0, kirim_endpoint_queued_count(x->n->ep));
    KS_OK(kirim_endpoint_send_to(x->n->ep, "more", 4, &x->to));
    stage_close(x);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("steady");
    TCase *const tcase = tcase_create("steady");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, nothing_grows_however_long_a_queue_runs, 0, CYCLE_KIND_COUNT);
    tcase_add_test(tcase, bytes_are_counted_exactly_whatever_the_system_takes);
    tcase_add_test(tcase, a_full_system_is_not_asked_again_before_it_says_so);
    tcase_add_test(tcase, places_of_what_timed_out_are_free_at_once);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
