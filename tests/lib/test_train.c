/* SPDX-License-Identifier: MIT
 *
 * Claims about trains that a port does not take: how they are cut, what ends them in the middle,
 * and which routes get none any more. On the scripted reactor.
 */
#include <stdio.h>

#include "core.h"
#include "support/stage.h"

enum { SEGMENTS_MAX = 64, TRAIN = 5, LONG_TRAIN = 40 };

static uint64_t drops(const struct stage *x, unsigned reason)
{
    return ks_stats(x->n).drops[reason];
}

static uint64_t routes(const struct stage *x)
{
    return x->t.loop->refused_routes.count;
}

/* Sends the numbers first .. first + count - 1 as one train. */
static kirim_err send_train(struct stage *x, uint8_t *bytes, uint32_t first, uint32_t count,
                            uint32_t flags, struct ks_op *o)
{
    for (uint32_t i = 0; i < count; i++) {
        ks_number(bytes + (size_t)i * KS_NUMBER_BYTES, first + i);
    }
    const struct kirim_buf one = { bytes, (size_t)count * KS_NUMBER_BYTES };
    const struct kirim_msg msg = { &one, &x->to, NULL, 1, KS_NUMBER_BYTES };
    return ks_post_msg(x->n, &msg, flags, o);
}

static void send_numbers(struct stage *x, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ks_send_number(x->n, first + i, &x->to);
    }
}

/* Refuses so many entries together, once. */
static void refuse_train(struct stage *x, uint32_t skip, uint32_t entries, kirim_err err)
{
    script_refuse(x->p, skip, 1, err, 5);
    x->p->refusals[x->p->refusal_count - 1].entries = entries;
}

/* ---- cutting --------------------------------------------------------------------------------- */

START_TEST(a_train_is_cut_for_a_port_without_trains)
{
    struct stage *x = stage_open(0);
    uint8_t bytes[LONG_TRAIN * KS_NUMBER_BYTES];
    KS_OK(send_train(x, bytes, 0, LONG_TRAIN, 0, NULL));
    ks_turn(&x->t);
    script_check_sent(x->p, 0, LONG_TRAIN);
    for (size_t i = 0; i < LONG_TRAIN; i++) {
        KS_EQ(KS_NUMBER_BYTES, x->p->sent[i].bytes);
        KS_EQ(KI_TX_NOW, x->p->sent[i].tx_flags);
    }
    KS_EQ(LONG_TRAIN, ks_stats(x->n).tx_datagrams);
    stage_close(x);
}
END_TEST

START_TEST(a_train_is_cut_if_it_is_longer_than_the_port_takes)
{
    struct stage *x = stage_open(0);
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    x->p->port->tx_segments_max = TRAIN - 1 + (uint64_t)_i;
    KS_OK(send_train(x, bytes, 0, TRAIN, 0, NULL));
    ks_turn(&x->t);
    KS_EQ(_i == 0 ? TRAIN : 1, x->p->sent_count);
    KS_EQ(TRAIN, ks_stats(x->n).tx_datagrams);
    stage_close(x);
}
END_TEST

START_TEST(a_cut_waits_for_the_last_flight)
{
    struct stage *x = stage_open(0);
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    x->p->fly_every = 1;
    send_numbers(x, 0, 2);
    KS_OK(send_train(x, bytes, 2, TRAIN, 0, NULL));
    send_numbers(x, 2 + TRAIN, 1);
    ks_turn(&x->t);
    KS_EQ(2, x->p->sent_count);
    script_end(x->p, 1, KIRIM_OK, 0);
    ks_turn(&x->t);
    KS_EQ(2, x->p->sent_count);
    script_end(x->p, 0, KIRIM_OK, 0);
    ks_turn(&x->t);
    KS_EQ(3 + TRAIN, x->p->sent_count);
    script_check_sent(x->p, 0, 3 + TRAIN);
    script_end_all(x->p, KIRIM_OK);
    ks_settle(&x->t);
    stage_close(x);
}
END_TEST

START_TEST(a_train_sent_now_does_not_overtake_what_flies)
{
    struct stage *x = stage_open(0);
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    struct ks_op *o = ks_op(&x->t, 0);
    x->p->fly_every = 1;
    send_numbers(x, 0, 1);
    ks_turn(&x->t);
    KS_ERR(KIRIM_EWOULDBLOCK, send_train(x, bytes, 1, TRAIN, KIRIM_SEND_NOW, NULL));
    KS_ERR(KIRIM_PENDING, send_train(x, bytes, 1, TRAIN, KIRIM_SEND_NOW, o));
    KS_EQ(1, x->p->sent_count);
    ks_turn(&x->t);
    KS_EQ(1, x->p->sent_count);
    script_end_all(x->p, KIRIM_OK);
    ks_settle(&x->t);
    script_check_sent(x->p, 0, 1 + TRAIN);
    KS_OK(o->err);
    stage_close(x);
}
END_TEST

START_TEST(a_train_that_waits_counts_as_its_datagrams)
{
    struct stage *x = stage_open(0);
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    x->p->fly_every = 1;
    x->p->room = (uint32_t)_i;
    KS_OK(send_train(x, bytes, 0, TRAIN, 0, NULL));
    send_numbers(x, TRAIN, 1);
    KS_EQ(TRAIN + 1, ks_stats(x->n).tx_queued);
    ks_turn(&x->t);
    KS_EQ(TRAIN + 1, ks_stats(x->n).tx_queued); /* it waits, or it flies */
    x->p->room = SCRIPT_NO_LIMIT;
    ks_turn(&x->t);
    script_end_all(x->p, KIRIM_OK);
    ks_settle(&x->t);
    KS_EQ(TRAIN + 1, ks_stats(x->n).tx_datagrams);
    stage_close(x);
}
END_TEST

/* ---- ends in the middle ---------------------------------------------------------------------- */

/* A train with an operation of which 2 datagrams have left, and a number behind it. */
static struct stage *cut_in_two(struct ks_op **o, uint8_t *bytes, uint64_t deadline_ns)
{
    struct stage *x = stage_open(0);
    *o = ks_op(&x->t, 'a');
    (*o)->op.deadline_ns = deadline_ns;
    x->p->room = 2;
    KS_ERR(KIRIM_PENDING, send_train(x, bytes, 0, TRAIN, 0, *o));
    send_numbers(x, 2, 1);
    ks_turn(&x->t);
    KS_EQ(2, x->p->sent_count);
    KS_EQ(TRAIN + 1, ks_stats(x->n).tx_queued);
    return x;
}

static void check_end(struct stage *x, const struct ks_op *o, kirim_err err, unsigned reason)
{
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    KS_EQ(1, o->done_count);
    KS_ERR(err, o->err);
    KS_EQ(0, o->sent_bytes);
    KS_EQ(TRAIN - 2, drops(x, reason));
    KS_EQ(3, ks_stats(x->n).tx_datagrams);
    KS_EQ(3 * KS_NUMBER_BYTES, ks_stats(x->n).tx_bytes);
    script_check_sent(x->p, 0, 3);
    stage_close(x);
}

START_TEST(the_rest_of_a_cut_train_is_cancelled)
{
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    struct ks_op *o;
    struct stage *x = cut_in_two(&o, bytes, 0);
    KS_OK(kirim_op_cancel(&o->op));
    check_end(x, o, KIRIM_EABORTED, KIRIM_DROP_CANCELLED);
}
END_TEST

START_TEST(the_rest_of_a_cut_train_expires)
{
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    struct ks_op *o;
    struct stage *x = cut_in_two(&o, bytes, 2 * KS_SECOND_NS);
    x->s->now_ns = 3 * (uint64_t)KS_SECOND_NS;
    ks_turn(&x->t);
    check_end(x, o, KIRIM_ETIMEDOUT, KIRIM_DROP_DEADLINE);
}
END_TEST

START_TEST(the_rest_of_a_cut_train_is_refused)
{
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    struct ks_op *o;
    struct stage *x = cut_in_two(&o, bytes, 0);
    script_refuse(x->p, 0, 1, KIRIM_EMSGSIZE, 90);
    check_end(x, o, KIRIM_EMSGSIZE, KIRIM_DROP_TOO_LONG);
}
END_TEST

START_TEST(closing_drops_the_rest_of_a_cut_train)
{
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    struct ks_op *o;
    struct stage *x = cut_in_two(&o, bytes, 0);
    ks_node_close_and_wait(x->n);
    KS_ERR(KIRIM_EABORTED, o->err);
    KS_EQ(TRAIN - 2 + 1, x->n->last_stats.drops[KIRIM_DROP_CLOSED]);
    KS_EQ(2, x->n->last_stats.tx_datagrams);
    stage_close(x);
}
END_TEST

START_TEST(an_operation_sent_now_is_not_refused_once_a_part_has_left)
{
    struct stage *x = stage_open(0);
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    struct ks_op *o = ks_op(&x->t, 0);
    script_refuse(x->p, 2, 1, KIRIM_EMSGSIZE, 90);
    KS_ERR(KIRIM_PENDING, send_train(x, bytes, 0, TRAIN, KIRIM_SEND_NOW, o));
    ks_turn(&x->t);
    KS_EQ(1, o->done_count);
    KS_ERR(KIRIM_EMSGSIZE, o->err);
    KS_EQ(TRAIN, ks_stats(x->n).tx_accepted);
    KS_EQ(2, ks_stats(x->n).tx_datagrams);
    KS_EQ(TRAIN - 2, drops(x, KIRIM_DROP_TOO_LONG));
    stage_close(x);
}
END_TEST

START_TEST(a_train_sent_now_says_how_far_it_came)
{
    struct stage *x = stage_open(0);
    const uint8_t bytes[TRAIN * KS_NUMBER_BYTES] = { 0 };
    const struct kirim_buf one = { (void *)(uintptr_t)bytes, sizeof bytes };
    const struct kirim_msg msg = { &one, &x->to, NULL, 1, KS_NUMBER_BYTES };
    const bool is_full = _i != 0;
    size_t sent_bytes = KS_UNTOUCHED;
    if (is_full) {
        x->p->room = 2;
    } else {
        script_refuse(x->p, 2, 1, KIRIM_EMSGSIZE, 90);
    }
    KS_OK(kirim_endpoint_send(x->n->ep, &msg, KIRIM_SEND_NOW, NULL, &sent_bytes));
    KS_EQ(2 * KS_NUMBER_BYTES, sent_bytes);
    KS_EQ(2, ks_stats(x->n).tx_accepted);
    KS_EQ(2, ks_stats(x->n).tx_datagrams);
    KS_EQ(0, kirim_endpoint_queued_count(x->n->ep));
    stage_close(x);
}
END_TEST

/* ---- refusals -------------------------------------------------------------------------------- */

START_TEST(what_was_refused_as_a_train_leaves_one_by_one)
{
    struct stage *x = stage_open(0);
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    send_numbers(x, 0, 10);
    refuse_train(x, 2, 4, KIRIM_ESYSTEM);
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 10);
    for (size_t i = 0; i < 6; i++) {
        KS_EQ(i < 2 ? 0 : KI_ALONE, x->p->sent[i].status & KI_ALONE);
    }
    KS_EQ(1, ks_stats(x->n).tx_trains_refused);
    KS_EQ(1, routes(x));
    send_numbers(x, 10, 2);
    ks_turn(&x->t);
    KS_EQ(KI_ALONE, x->p->sent[10].status & KI_ALONE);
    stage_close(x);
}
END_TEST

START_TEST(a_route_is_found_out_once)
{
    struct stage *x = stage_open(0);
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    send_numbers(x, 0, 12);
    refuse_train(x, 0, 4, KIRIM_ESYSTEM); /* then these 4 leave, ... */
    refuse_train(x, 4, 4, KIRIM_ESYSTEM); /* ... the next 4 do not as a train either, ... */
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 12);
    KS_EQ(1, routes(x)); /* ... and it is one route all the same */
    for (size_t i = 0; i < 12; i++) {
        KS_EQ(KI_ALONE, x->p->sent[i].status & KI_ALONE);
    }
    stage_close(x);
}
END_TEST

START_TEST(a_train_without_buffers_is_lost_together)
{
    struct stage *x = stage_open(0);
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    send_numbers(x, 0, 4);
    send_numbers(x, 0, 2);
    refuse_train(x, 0, 4, _i == 0 ? KIRIM_ENOBUFS : KIRIM_ENOMEM);
    ks_turn(&x->t);
    KS_EQ(4, drops(x, KIRIM_DROP_NO_BUFFERS));
    script_check_sent(x->p, 0, 2);
    KS_EQ(0, ks_stats(x->n).tx_trains_refused);
    KS_EQ(0, routes(x));
    ks_turn(&x->t);
    KS_EQ(4, x->n->failed_count);
    stage_close(x);
}
END_TEST

START_TEST(a_route_is_not_to_blame_if_the_datagram_is_refused_too)
{
    struct stage *x = stage_open(0);
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    send_numbers(x, 0, 4);
    refuse_train(x, 0, 4, KIRIM_EMSGSIZE);
    script_refuse(x->p, 0, 4, KIRIM_EMSGSIZE, 90);
    ks_turn(&x->t);
    KS_EQ(4, drops(x, KIRIM_DROP_TOO_LONG));
    KS_EQ(0, routes(x));
    stage_close(x);
}
END_TEST

START_TEST(an_error_that_is_not_the_offloads_blames_no_route)
{
    struct stage *x = stage_open(0);
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    send_numbers(x, 0, 4);
    refuse_train(x, 0, 4, KIRIM_ENETDOWN);
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 4);
    KS_EQ(1, ks_stats(x->n).tx_trains_refused);
    KS_EQ(0, routes(x));
    stage_close(x);
}
END_TEST

START_TEST(a_train_that_leaves_later_blames_no_route)
{
    struct stage *x = stage_open(0);
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    x->p->room = 0;
    send_numbers(x, 0, 4);
    refuse_train(x, 0, 4, KIRIM_ESYSTEM);
    ks_turn(&x->t);
    KS_EQ(1, ks_stats(x->n).tx_trains_refused);
    KS_OK(kirim_endpoint_discard(x->n->ep, NULL)); /* none of them has left by itself */
    x->p->room = SCRIPT_NO_LIMIT;
    ks_turn(&x->t);
    KS_OK(send_train(x, bytes, 0, TRAIN, 0, NULL));
    ks_turn(&x->t);
    KS_EQ(1, x->p->sent_count);
    KS_EQ(0, routes(x));
    stage_close(x);
}
END_TEST

START_TEST(a_built_train_that_is_refused_is_cut)
{
    struct stage *x = stage_open(0);
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    KS_OK(send_train(x, bytes, 0, TRAIN, 0, NULL));
    refuse_train(x, 0, 1, KIRIM_ESYSTEM);
    ks_turn(&x->t);
    script_check_sent(x->p, 0, TRAIN);
    KS_EQ(1, ks_stats(x->n).tx_trains_refused);
    KS_EQ(1, routes(x));
    KS_OK(send_train(x, bytes, TRAIN, TRAIN, _i == 0 ? 0 : (uint32_t)KIRIM_SEND_NOW, NULL));
    ks_turn(&x->t);
    script_check_sent(x->p, 0, (size_t)2 * TRAIN); /* cut at once */
    stage_close(x);
}
END_TEST

START_TEST(what_was_never_tried_as_a_train_is_not_split)
{
    struct stage *x = stage_open(0);
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    x->p->port->tx_segments_max = TRAIN - 1;
    KS_OK(send_train(x, bytes, 0, TRAIN, 0, NULL));
    script_refuse(x->p, 0, 1, KIRIM_EMSGSIZE, 90);
    ks_turn(&x->t);
    KS_EQ(TRAIN, drops(x, KIRIM_DROP_TOO_LONG));
    KS_EQ(0, ks_stats(x->n).tx_trains_refused);
    KS_EQ(1, x->p->submit_count);
    stage_close(x);
}
END_TEST

/* ---- late refusals --------------------------------------------------------------------------- */

/* A port that keeps all it takes in flight, as trains. */
static struct stage *flying_stage(void)
{
    struct stage *x = stage_open(0);
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    x->p->fly_every = 1;
    x->p->flies_in_trains = true;
    return x;
}

START_TEST(train_that_is_refused_late_leaves_one_by_one)
{
    struct stage *x = flying_stage();
    send_numbers(x, 0, 6);
    ks_turn(&x->t);
    KS_EQ(6, x->p->flight_count);
    x->p->fly_every = 0;
    script_end_all(x->p, KIRIM_EMSGSIZE);
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 6);
    for (size_t i = 6; i < 12; i++) {
        KS_EQ(KI_ALONE, x->p->sent[i].status & KI_ALONE);
    }
    KS_EQ(1, ks_stats(x->n).tx_trains_refused);
    KS_EQ(6, ks_stats(x->n).tx_datagrams);
    KS_EQ(0, x->n->failed_count);
    KS_EQ(1, routes(x));
    stage_close(x);
}
END_TEST

START_TEST(built_train_that_is_refused_late_is_cut)
{
    struct stage *x = flying_stage();
    uint8_t bytes[TRAIN * KS_NUMBER_BYTES];
    KS_OK(send_train(x, bytes, 0, TRAIN, 0, NULL));
    ks_turn(&x->t);
    x->p->fly_every = 0;
    script_end_all(x->p, KIRIM_ESYSTEM);
    ks_turn(&x->t);
    ks_turn(&x->t);
    script_check_sent(x->p, 0, TRAIN);
    KS_EQ(1, ks_stats(x->n).tx_trains_refused);
    KS_EQ(1, routes(x));
    stage_close(x);
}
END_TEST

START_TEST(datagram_of_a_fallen_train_that_is_refused_again_is_lost)
{
    struct stage *x = flying_stage();
    send_numbers(x, 0, 3);
    ks_turn(&x->t);
    script_end_all(x->p, KIRIM_EMSGSIZE);
    ks_turn(&x->t);
    KS_EQ(3, x->p->flight_count); /* each by itself */
    script_end_all(x->p, KIRIM_EMSGSIZE);
    ks_turn(&x->t);
    KS_EQ(3, drops(x, KIRIM_DROP_TOO_LONG));
    KS_EQ(1, ks_stats(x->n).tx_trains_refused);
    KS_EQ(0, routes(x)); /* it is not the offload's fault */
    stage_close(x);
}
END_TEST

START_TEST(fallen_train_behind_which_something_was_submitted_is_lost)
{
    struct stage *x = flying_stage();
    send_numbers(x, 0, 2);
    ks_turn(&x->t);
    send_numbers(x, 2, 1);
    ks_turn(&x->t);
    script_end(x->p, 0, KIRIM_EMSGSIZE, 90);
    script_end(x->p, 1, KIRIM_EMSGSIZE, 90);
    ks_turn(&x->t);
    KS_EQ(2, drops(x, KIRIM_DROP_TOO_LONG));
    KS_EQ(0, ks_stats(x->n).tx_trains_refused);
    script_end_all(x->p, KIRIM_OK);
    ks_turn(&x->t);
    stage_close(x);
}
END_TEST

START_TEST(fallen_train_without_buffers_is_lost_together)
{
    struct stage *x = flying_stage();
    send_numbers(x, 0, 4);
    ks_turn(&x->t);
    script_end_all(x->p, KIRIM_ENOBUFS);
    ks_turn(&x->t);
    KS_EQ(4, drops(x, KIRIM_DROP_NO_BUFFERS));
    KS_EQ(0, ks_stats(x->n).tx_trains_refused);
    stage_close(x);
}
END_TEST

/* ---- replies --------------------------------------------------------------------------------- */

static void reply_all(struct ks_node *n, const struct kirim_batch *batch)
{
    size_t done = 0;
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, batch->count, &done));
    KS_EQ(batch->count, done);
}

START_TEST(answers_to_two_trains_stay_two)
{
    enum { COUNT = 4 };
    static const uint8_t flags[COUNT] = { KIRIM_RX_TRAIN_HEAD, 0, KIRIM_RX_TRAIN_HEAD, 0 };
    struct stage *x = stage_open(0);
    x->n->on_received = reply_all;
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    for (uint32_t i = 0; i < COUNT; i++) {
        script_arrive(x->p, "data", 4, flags[i], &x->to);
    }
    ks_turn(&x->t);
    KS_EQ(COUNT, x->p->sent_count);
    for (size_t i = 0; i < COUNT; i++) {
        KS_EQ(flags[i] != 0 ? KI_TRAIN_HEAD : 0, x->p->sent[i].status & KI_TRAIN_HEAD);
    }
    stage_close(x);
}
END_TEST

/* ---- routes ---------------------------------------------------------------------------------- */

static void refuse_route(struct stage *x, uint32_t host)
{
    char text[32];
    (void)snprintf(text, sizeof text, "10.0.0.%u:7", host);
    KS_OK(kirim_addr_parse(text, &x->to));
    send_numbers(x, 0, 2);
    refuse_train(x, 0, 2, KIRIM_ESYSTEM);
    ks_turn(&x->t);
}

/* Whether what goes to `host` leaves one by one. */
static bool is_barred(struct stage *x, uint32_t host, uint32_t port)
{
    char text[32];
    (void)snprintf(text, sizeof text, "10.0.0.%u:%u", host, port);
    KS_OK(kirim_addr_parse(text, &x->to));
    send_numbers(x, 0, 1);
    ks_turn(&x->t);
    return (x->p->sent[x->p->sent_count - 1].status & KI_ALONE) != 0;
}

START_TEST(the_route_that_was_noted_first_makes_room)
{
    struct stage *x = stage_open(0);
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    for (uint32_t host = 1; host <= KI_REFUSED_ROUTES_MAX + 3; host++) {
        refuse_route(x, host);
        KS_EQ(host < KI_REFUSED_ROUTES_MAX ? host : KI_REFUSED_ROUTES_MAX, routes(x));
    }
    for (uint32_t host = 1; host <= KI_REFUSED_ROUTES_MAX + 3; host++) {
        KS_EQ(host > 3, is_barred(x, host, 7));
        KS_EQ(host > 3, is_barred(x, host, 8)); /* a port is no route */
    }
    stage_close(x);
}
END_TEST

START_TEST(routes_are_forgotten_in_the_order_of_their_times)
{
    struct stage *x = stage_open(0);
    x->p->port->tx_segments_max = SEGMENTS_MAX;
    const uint64_t period_ns = x->t.loop->train_refusal_ns;
    const uint64_t start_ns = x->s->now_ns;
    refuse_route(x, 1);
    x->s->now_ns = start_ns + 1;
    refuse_route(x, 2);
    x->s->now_ns = start_ns + period_ns - 1;
    KS_CHECK(is_barred(x, 1, 7));
    x->s->now_ns = start_ns + period_ns;
    KS_CHECK(!is_barred(x, 1, 7));
    KS_CHECK(is_barred(x, 2, 7));
    x->s->now_ns = start_ns + period_ns + 1;
    KS_CHECK(!is_barred(x, 2, 7));
    KS_EQ(0, routes(x));
    refuse_route(x, 2);
    KS_CHECK(is_barred(x, 2, 7));
    stage_close(x);
}
END_TEST

static TCase *cut_cases(void)
{
    TCase *tcase = tcase_create("cut");
    tcase_add_test(tcase, a_train_is_cut_for_a_port_without_trains);
    tcase_add_loop_test(tcase, a_train_is_cut_if_it_is_longer_than_the_port_takes, 0, 2);
    tcase_add_test(tcase, a_cut_waits_for_the_last_flight);
    tcase_add_test(tcase, a_train_sent_now_does_not_overtake_what_flies);
    tcase_add_loop_test(tcase, a_train_that_waits_counts_as_its_datagrams, 0, 3);
    tcase_add_test(tcase, the_rest_of_a_cut_train_is_cancelled);
    tcase_add_test(tcase, the_rest_of_a_cut_train_expires);
    tcase_add_test(tcase, the_rest_of_a_cut_train_is_refused);
    tcase_add_test(tcase, closing_drops_the_rest_of_a_cut_train);
    tcase_add_test(tcase, an_operation_sent_now_is_not_refused_once_a_part_has_left);
    tcase_add_loop_test(tcase, a_train_sent_now_says_how_far_it_came, 0, 2);
    return tcase;
}

static TCase *refusal_cases(void)
{
    TCase *tcase = tcase_create("refusal");
    tcase_add_test(tcase, what_was_refused_as_a_train_leaves_one_by_one);
    tcase_add_test(tcase, a_route_is_found_out_once);
    tcase_add_loop_test(tcase, a_train_without_buffers_is_lost_together, 0, 2);
    tcase_add_test(tcase, a_route_is_not_to_blame_if_the_datagram_is_refused_too);
    tcase_add_test(tcase, an_error_that_is_not_the_offloads_blames_no_route);
    tcase_add_test(tcase, a_train_that_leaves_later_blames_no_route);
    tcase_add_loop_test(tcase, a_built_train_that_is_refused_is_cut, 0, 2);
    tcase_add_test(tcase, what_was_never_tried_as_a_train_is_not_split);
    tcase_add_test(tcase, train_that_is_refused_late_leaves_one_by_one);
    tcase_add_test(tcase, built_train_that_is_refused_late_is_cut);
    tcase_add_test(tcase, datagram_of_a_fallen_train_that_is_refused_again_is_lost);
    tcase_add_test(tcase, fallen_train_behind_which_something_was_submitted_is_lost);
    tcase_add_test(tcase, fallen_train_without_buffers_is_lost_together);
    tcase_add_test(tcase, answers_to_two_trains_stay_two);
    tcase_add_test(tcase, the_route_that_was_noted_first_makes_room);
    tcase_add_test(tcase, routes_are_forgotten_in_the_order_of_their_times);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("lib/train");
    suite_add_tcase(suite, cut_cases());
    suite_add_tcase(suite, refusal_cases());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
