/* SPDX-License-Identifier: MIT
 *
 * Claims about whose the bytes of a send are: lent ones stay as long as they fly and are copied if
 * they have to wait, borrowed ones are not touched, lists and control data are captured. On the
 * scripted reactor.
 */
#include "support/stage.h"

#include <string.h>

static void check_op(const struct ks_op *o, kirim_err err, size_t sent_bytes)
{
    KS_EQ(1, o->done_count);
    KS_ERR(err, o->err);
    KS_EQ(sent_bytes, o->sent_bytes);
}

static uint64_t drops(const struct stage *x, unsigned reason)
{
    return ks_stats(x->n).drops[reason];
}

static void reply_all(struct ks_node *n, const struct kirim_batch *batch)
{
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, batch->count, NULL));
}

START_TEST(lent_bytes_stay_as_long_as_they_fly)
{
    struct stage *x = stage_open(0);
    x->n->on_received = reply_all;
    x->p->fly_every = 1;
    script_arrive_numbers(x->p, 0, 3, &x->to);
    ks_turn(&x->t);
    KS_EQ(3, x->p->flight_count);
    ks_turn(&x->t); /* the wait of which takes back what was lent */
    ks_turn(&x->t);
    script_end_all(x->p, KIRIM_OK); /* the script looks at the bytes */
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 3);
    KS_EQ(0, ks_stats(x->n).tx_copied);
    stage_close(x);
}
END_TEST

START_TEST(lent_bytes_that_were_not_taken_are_copied)
{
    struct stage *x = stage_open(0);
    x->n->on_received = reply_all;
    x->p->room = 1;
    script_arrive_numbers(x->p, 0, 5, &x->to);
    ks_turn(&x->t);
    KS_EQ(4, ks_stats(x->n).tx_copied);
    ks_turn(&x->t);
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    script_check_sent(x->p, 0, 5);
    KS_EQ(KI_LENT, x->p->sent[0].status & (KI_LENT | KI_COPIED));
    KS_EQ(KI_COPIED, x->p->sent[1].status & (KI_LENT | KI_COPIED));
    stage_close(x);
}
END_TEST

static void send_now_lent(struct ks_node *n, const struct kirim_batch *batch)
{
    const struct kirim_datagram *d = kirim_batch_at(batch, 0);
    struct kirim_buf buf = { d->data, d->bytes };
    const struct kirim_msg msg = { &buf, &d->peer, NULL, 1, 0 };
    const uint32_t flags = KIRIM_SEND_NOW | KIRIM_SEND_LENT;
    KS_ERR(KIRIM_PENDING, ks_post_msg(n, &msg, flags, n->ctx));
}

START_TEST(lent_bytes_of_a_now_that_has_to_wait_are_copied)
{
    struct stage *x = stage_open(0);
    x->n->on_received = send_now_lent;
    x->n->ctx = ks_op(&x->t, 'a');
    x->p->room = 0;
    script_arrive_numbers(x->p, 0, 1, &x->to);
    ks_turn(&x->t);
    KS_EQ(1, ks_stats(x->n).tx_copied);
    ks_turn(&x->t);
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    script_check_sent(x->p, 0, 1);
    check_op(x->n->ctx, KIRIM_OK, KS_NUMBER_BYTES);
    stage_close(x);
}
END_TEST

START_TEST(lent_bytes_that_are_refused_late_are_lost_and_counted)
{
    struct stage *x = stage_open(0);
    x->n->on_received = reply_all;
    x->p->fly_every = 1;
    script_arrive_numbers(x->p, 0, 1, &x->to);
    ks_turn(&x->t);
    script_end_all(x->p, KIRIM_ECONNRESET);
    ks_turn(&x->t);
    KS_EQ(0, x->p->flight_count);
    KS_EQ(1, drops(x, KIRIM_DROP_LATE));
    KS_EQ(1, x->n->failed_count);
    stage_close(x);
}
END_TEST

START_TEST(lent_bytes_without_memory_are_lost_and_counted)
{
    struct stage *x = stage_open(0);
    x->n->on_received = reply_all;
    x->p->room = 1;
    ks_send_number(x->n, 100, &x->to);
    ks_turn(&x->t); /* the queue has its ring */
    x->p->room = 0;
    script_arrive_numbers(x->p, 0, 2, &x->to);
    x->t.memory.fail_at = 1;
    ks_turn(&x->t);
    x->t.memory.fail_at = 0;
    KS_EQ(2, drops(x, KIRIM_DROP_NO_MEMORY));
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    script_check_sent(x->p, 100, 1);
    stage_close(x);
}
END_TEST

START_TEST(gather_list_and_control_are_captured_for_the_flight)
{
    struct stage *x = stage_open(KIRIM_CAP_TTL);
    struct ks_op *o = ks_op(&x->t, 'a');
    uint8_t parts[3][4] = { "one", "two", "end" };
    struct kirim_buf bufs[4] = { { parts[0], 4 }, { NULL, 0 }, { parts[1], 4 }, { parts[2], 4 } };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.ttl = 9;
    const struct kirim_msg msg = { bufs, &x->to, &control, 4, 0 };
    x->p->fly_every = 1;
    KS_ERR(KIRIM_PENDING, ks_post_msg(x->n, &msg, 0, o));
    memset(bufs, 0, sizeof bufs);
    memset(&control, 0, sizeof control);
    ks_turn(&x->t);
    KS_EQ(1, x->p->sent_count);
    KS_EQ(12, x->p->sent[0].bytes);
    KS_EQ(ks_digest(parts, sizeof parts), x->p->sent[0].digest);
    KS_CHECK(x->p->sent[0].data == parts[0]); /* borrowed, not copied */
    KS_EQ(9, x->p->sent[0].control.ttl);
    for (int i = 0; i < 100; i++) { /* and kept while others come and go */
        x->p->fly_every = 0;
        ks_send_number(x->n, 7, &x->to);
        ks_turn(&x->t);
    }
    script_end_all(x->p, KIRIM_OK);
    ks_turn(&x->t);
    check_op(o, KIRIM_OK, 12);
    stage_close(x);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("lent");
    TCase *const tcase = tcase_create("lent");
    tcase_add_test(tcase, lent_bytes_stay_as_long_as_they_fly);
    tcase_add_test(tcase, lent_bytes_that_were_not_taken_are_copied);
    tcase_add_test(tcase, lent_bytes_of_a_now_that_has_to_wait_are_copied);
    tcase_add_test(tcase, lent_bytes_that_are_refused_late_are_lost_and_counted);
    tcase_add_test(tcase, lent_bytes_without_memory_are_lost_and_counted);
    tcase_add_test(tcase, gather_list_and_control_are_captured_for_the_flight);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
