/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/reply.c: room that is reserved and committed, and replies. On the scripted
 * reactor.
 */
#include "support/stage.h"

#include <string.h>

/* Reserves room and writes a number into it. */
static void *reserve_number(struct ks_node *n, uint32_t number, size_t bytes_max)
{
    void *room = NULL;
    KS_OK(kirim_endpoint_reserve(n->ep, bytes_max, &room));
    memset(room, 0x5a, bytes_max);
    ks_number(room, number);
    return room;
}

static kirim_err commit_to(struct stage *x, size_t bytes)
{
    const struct kirim_msg msg = { NULL, &x->to, NULL, 0, 0 };
    return kirim_endpoint_commit(x->n->ep, bytes, &msg);
}

START_TEST(what_is_committed_leaves_from_where_it_was_written)
{
    struct stage *x = stage_open(0);
    const void *room = reserve_number(x->n, 0, 100);
    KS_OK(commit_to(x, 60));
    ks_send_number(x->n, 1, &x->to);
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 2);
    KS_CHECK(x->p->sent[0].data == room);
    KS_EQ(60, x->p->sent[0].bytes);
    stage_close(x);
}
END_TEST

START_TEST(a_reservation_that_is_not_committed_costs_nothing)
{
    struct stage *x = stage_open(0);
    (void)reserve_number(x->n, 9, 1000);
    (void)reserve_number(x->n, 0, 1000);
    KS_OK(commit_to(x, 1000));
    (void)reserve_number(x->n, 9, 1000);
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 1);
    KS_EQ(0, kirim_endpoint_queued_count(x->n->ep));
    stage_close(x);
}
END_TEST

START_TEST(control_data_of_a_commit_is_captured)
{
    struct stage *x = stage_open(KIRIM_CAP_ECN);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.ecn = 2;
    const struct kirim_msg msg = { NULL, &x->to, &control, 0, 0 };
    static const size_t sizes[] = { 0, 4, 5, 8 };
    for (size_t i = 0; i < 4; i++) {
        void *room = NULL;
        KS_OK(kirim_endpoint_reserve(x->n->ep, sizes[i], &room));
        KS_OK(kirim_endpoint_commit(x->n->ep, sizes[i], &msg));
    }
    control.ecn = 0;
    ks_turn(&x->t);
    KS_EQ(4, x->p->sent_count);
    for (size_t i = 0; i < 4; i++) {
        KS_EQ(2, x->p->sent[i].control.ecn);
        KS_EQ(sizes[i], x->p->sent[i].bytes);
    }
    stage_close(x);
}
END_TEST

START_TEST(anything_else_that_is_posted_voids_a_reservation)
{
    struct stage *x = stage_open(0);
    (void)reserve_number(x->n, 9, 100);
    switch (_i) {
    case 0:
        ks_send_number(x->n, 0, &x->to);
        break;
    case 1:
        KS_OK(kirim_endpoint_flush(x->n->ep));
        break;
    case 2:
        KS_OK(kirim_endpoint_discard(x->n->ep, NULL));
        break;
    default:
        x->t.mode = KIRIM_SEND_NOW;
        ks_send_number(x->n, 0, &x->to);
        break;
    }
    KS_ERR(KIRIM_EINVAL, commit_to(x, 4));
    stage_close(x);
}
END_TEST

START_TEST(a_reservation_ends_with_the_turn)
{
    struct stage *x = stage_open(0);
    ks_send_number(x->n, 0, &x->to);
    (void)reserve_number(x->n, 9, 100);
    ks_turn(&x->t);
    KS_ERR(KIRIM_EINVAL, commit_to(x, 4));
    (void)reserve_number(x->n, 9, 100);
    ks_turn(&x->t); /* which flushes nothing */
    KS_ERR(KIRIM_EINVAL, commit_to(x, 4));
    stage_close(x);
}
END_TEST

START_TEST(cancelling_keeps_a_reservation_and_its_bytes)
{
    struct stage *x = stage_open(KIRIM_CAP_TTL);
    struct ks_op *o = ks_op(&x->t, 'a');
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.ttl = 3;
    const struct kirim_msg msg = { NULL, &x->to, &control, 0, 0 };
    KS_ERR(KIRIM_PENDING, ks_post_msg(x->n, &msg, 0, o)); /* its control data is stored */
    (void)reserve_number(x->n, 0, 100);
    KS_OK(kirim_op_cancel(&o->op)); /* now nothing is */
    KS_OK(commit_to(x, 100));
    uint8_t written[100];
    memset(written, 0x5a, sizeof written);
    ks_number(written, 0);
    for (uint32_t i = 1; i < 50; i++) {
        ks_send_number(x->n, i, &x->to);
    }
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 50);
    KS_EQ(ks_digest(written, sizeof written), x->p->sent[0].digest);
    stage_close(x);
}
END_TEST

START_TEST(a_failed_commit_keeps_the_reservation)
{
    struct stage *x = stage_open(0);
    struct kirim_buf buf = { NULL, 0 };
    const struct kirim_msg with_buf = { &buf, &x->to, NULL, 1, 0 };
    (void)reserve_number(x->n, 0, 100);
    KS_ERR(KIRIM_EINVAL, commit_to(x, 101));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(x->n->ep, 4, &with_buf));
    KS_ERR(KIRIM_ENOTCONN, kirim_endpoint_commit(x->n->ep, 4, NULL));
    x->t.memory.fail_at = 1;
    KS_ERR(KIRIM_ENOMEM, commit_to(x, 4)); /* of the ring */
    x->t.memory.fail_at = 0;
    KS_OK(commit_to(x, 4));
    KS_ERR(KIRIM_EINVAL, commit_to(x, 4)); /* once */
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 1);
    stage_close(x);
}
END_TEST

START_TEST(an_empty_queue_takes_a_datagram_above_its_bound_in_bytes)
{
    struct ks t;
    ks_init(&t, "scripted", KIRIM_IPV4);
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.queue_bytes_max = 100;
    struct stage *x = stage_open_with(0, &options);
    static uint8_t bytes[101];
    void *room;
    x->p->room = 0;
    KS_OK(kirim_endpoint_send_to(x->n->ep, bytes, 101, &x->to));
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_send_to(x->n->ep, bytes, 1, &x->to));
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_reserve(x->n->ep, 1, &room));
    ks_turn(&x->t);
    ks_turn(&x->t);
    KS_EQ(0, x->n->writable_count);
    x->p->room = SCRIPT_NO_LIMIT;
    ks_turn(&x->t);
    ks_turn(&x->t);
    KS_EQ(1, x->n->writable_count);
    KS_OK(kirim_endpoint_send_to(x->n->ep, bytes, 60, &x->to));
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_send_to(x->n->ep, bytes, 41, &x->to));
    KS_OK(kirim_endpoint_send_to(x->n->ep, bytes, 40, &x->to));
    ks_turn(&x->t);
    ks_turn(&x->t);
    KS_EQ(2, x->n->writable_count);
    KS_EQ(2, ks_stats(x->n).tx_refused - 1);
    stage_close(x);
}
END_TEST

/* ---- replies --------------------------------------------------------------------------------- */

static void reply_all(struct ks_node *n, const struct kirim_batch *batch)
{
    size_t accepted_count = KS_UNTOUCHED;
    const kirim_err err = kirim_endpoint_reply(n->ep, batch->first, batch->count, &accepted_count);
    if (n->ctx != NULL) {
        KS_ERR(KIRIM_EWOULDBLOCK, err);
        KS_EQ(*(size_t *)n->ctx, accepted_count);
    } else {
        KS_OK(err);
        KS_EQ(batch->count, accepted_count);
    }
}

START_TEST(a_reply_is_accepted_up_to_the_bound_of_the_queue)
{
    struct ks t;
    ks_init(&t, "scripted", KIRIM_IPV4);
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.queue_count_max = 5;
    struct stage *x = stage_open_with(0, &options);
    size_t wanted = 5;
    x->n->on_received = reply_all;
    x->n->ctx = &wanted;
    script_arrive_numbers(x->p, 0, 8, &x->to);
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 5);
    ks_turn(&x->t);
    KS_EQ(1, x->n->writable_count);
    stage_close(x);
}
END_TEST

START_TEST(a_reply_names_the_address_that_was_asked_where_the_endpoint_is_bound_to_all)
{
    struct ks t;
    ks_init(&t, "scripted", KIRIM_IPV4);
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.local = ks_wildcard(KIRIM_IPV4, 99);
    struct stage *x = stage_open_with(_i < 2 ? (uint32_t)KIRIM_CAP_SOURCE : 0, &options);
    const struct kirim_addr asked = ks_loopback(KIRIM_IPV4, 99);
    x->n->on_received = reply_all;
    x->p->local = asked;
    x->s->tells_no_local = _i == 1;
    x->p->room = 3;
    script_arrive_numbers(x->p, 0, 10, &x->to);
    ks_turn(&x->t);
    x->p->room = SCRIPT_NO_LIMIT;
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 10);
    for (size_t i = 0; i < 10; i++) {
        KS_CHECK(x->p->sent[i].has_control == (_i == 0));
        KS_CHECK(_i != 0 || kirim_addr_equal(&asked, &x->p->sent[i].control.source));
    }
    stage_close(x);
}
END_TEST

START_TEST(lent_bytes_are_only_accepted_while_they_are_lent)
{
    struct stage *x = stage_open(0);
    const struct kirim_datagram d = { .data = (uint8_t *)x, .bytes = 1, .peer = x->to };
    struct kirim_buf buf = { x, 1 };
    const struct kirim_msg msg = { &buf, &x->to, NULL, 1, 0 };
    size_t accepted_count = KS_UNTOUCHED;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_reply(x->n->ep, &d, 1, &accepted_count));
    KS_EQ(0, accepted_count);
    KS_ERR(KIRIM_EINVAL, ks_post_msg(x->n, &msg, KIRIM_SEND_LENT, NULL));
    stage_close(x);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("reserve");
    TCase *const tcase = tcase_create("reserve");
    tcase_add_test(tcase, what_is_committed_leaves_from_where_it_was_written);
    tcase_add_test(tcase, a_reservation_that_is_not_committed_costs_nothing);
    tcase_add_test(tcase, control_data_of_a_commit_is_captured);
    tcase_add_loop_test(tcase, anything_else_that_is_posted_voids_a_reservation, 0, 4);
    tcase_add_test(tcase, a_reservation_ends_with_the_turn);
    tcase_add_test(tcase, cancelling_keeps_a_reservation_and_its_bytes);
    tcase_add_test(tcase, a_failed_commit_keeps_the_reservation);
    tcase_add_test(tcase, an_empty_queue_takes_a_datagram_above_its_bound_in_bytes);
    suite_add_tcase(suite, tcase);
    TCase *const reply = tcase_create("reply");
    tcase_add_test(reply, a_reply_is_accepted_up_to_the_bound_of_the_queue);
    tcase_add_loop_test(
        reply, a_reply_names_the_address_that_was_asked_where_the_endpoint_is_bound_to_all, 0, 3);
    tcase_add_test(reply, lent_bytes_are_only_accepted_while_they_are_lent);
    suite_add_tcase(suite, reply);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
