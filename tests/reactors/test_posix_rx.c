/* SPDX-License-Identifier: MIT
 *
 * Claims about the receiving half of reactors/posix_rx.c, on loopback sockets behind a scripted
 * system-call table: what is received, and in how many system calls.
 */
#include "support/posix_rig.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;
static struct ki_port *from;
static struct ki_port *to;
static struct kirim_datagram batch[KI_BATCH_MAX];
static const uint8_t zeros[70000];

static void open_rig(const struct kirim_loop_options *options)
{
    script_reset();
    rig_open(&rig, "epoll", options);
    from = rig_port(&rig, KIRIM_IPV4);
    to = rig_port(&rig, KIRIM_IPV4);
}

static void set_up(void)
{
    open_rig(NULL);
}

static void tear_down(void)
{
    rig_port_close(&rig, from);
    rig_port_close(&rig, to);
    rig_close(&rig);
}

/* Opens the rig anew with other options. */
static void set_up_again(const struct kirim_loop_options *options)
{
    tear_down();
    open_rig(options);
}

START_TEST(batch_is_handed_over_in_order)
{
    rig_send_numbers(&rig, from, to, 7, 5);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 5);
    rig_check_numbers(batch, 7, 5);
    for (int i = 0; i < 5; i++) {
        ck_assert(kirim_addr_equal(&batch[i].peer, &from->local));
        ck_assert_uint_eq(batch[i].segment_bytes, 0);
        ck_assert_uint_eq(batch[i].ecn, 0);
        ck_assert_uint_eq(batch[i].flags, 0);
        ck_assert_ptr_null(batch[i].arrival);
    }
}
END_TEST

START_TEST(short_batch_makes_no_further_call)
{
    rig_send_numbers(&rig, from, to, 0, 5);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 5);
    ck_assert_uint_eq(to->rx_flags, 0);
    ck_assert_uint_eq(to->rx_calls, 1);
    ck_assert_uint_eq(script_count(SCRIPT_RECVMSG), 0);
}
END_TEST

START_TEST(only_a_full_batch_says_more)
{
    const uint32_t sent = KI_BATCH_MAX - 1 + (uint32_t)_i; /* one less, as many, one more */
    const uint32_t wanted = sent < KI_BATCH_MAX ? sent : KI_BATCH_MAX;
    rig_send_numbers(&rig, from, to, 0, sent);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), wanted);
    ck_assert_uint_eq(to->rx_flags, wanted == KI_BATCH_MAX ? KI_RX_MORE : 0);
}
END_TEST

START_TEST(nothing_there_is_no_error)
{
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, to, batch, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(to->rx_flags, 0);
}
END_TEST

START_TEST(interrupted_receive_is_tried_again)
{
    rig_send_numbers(&rig, from, to, 3, 2);
    script_answer(SCRIPT_RECVMMSG, EINTR);
    script_answer(SCRIPT_RECVMMSG, EINTR);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 2);
    rig_check_numbers(batch, 3, 2);
    ck_assert_uint_eq(to->rx_calls, 3);
}
END_TEST

START_TEST(error_is_an_event_about_the_peer_and_not_the_end) /* S31 */
{
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    struct ki_port *gone = rig_port(&rig, KIRIM_IPV4);
    o.peer = gone->local;
    rig_port_close(&rig, gone);
    struct ki_port *p = rig_port_with(&rig, &o);
    rig_send(&rig, p, "x", 1, NULL);
    ck_assert_uint_eq(rig_receive(&rig, p, batch, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(p->rx_flags, KI_RX_ERROR);
    ck_assert_int_eq(p->rx_error.err, KIRIM_ECONNRESET);
    ck_assert_int_eq(p->rx_error.sys_err, ECONNREFUSED);
    ck_assert(kirim_addr_equal(&p->rx_error.peer, &o.peer));
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, p, batch, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(p->rx_flags, 0);
    rig_port_close(&rig, p);
}
END_TEST

START_TEST(longer_than_expected_arrives_cut)
{
    enum { SLOT_BYTES = 512, PORT_BYTES = 100 };
    static const uint32_t sizes[] = { PORT_BYTES - 1, PORT_BYTES,     PORT_BYTES + 1,
                                      SLOT_BYTES,     SLOT_BYTES + 1, 60000 };
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    options.datagram_bytes_max = SLOT_BYTES;
    set_up_again(&options);
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    o.datagram_bytes_max = PORT_BYTES;
    struct ki_port *p = rig_port_with(&rig, &o);
    rig_send(&rig, from, zeros, sizes[_i], &p->local);
    rig_send(&rig, from, "behind", 6, &p->local);
    ck_assert_uint_eq(rig_receive(&rig, p, batch, KI_BATCH_MAX), 2);
    const bool is_cut = sizes[_i] > PORT_BYTES;
    ck_assert_uint_eq(batch[0].bytes, is_cut ? PORT_BYTES : sizes[_i]);
    ck_assert_uint_eq(batch[0].flags, is_cut ? KIRIM_RX_TRUNCATED : 0);
    ck_assert_uint_eq(batch[1].bytes, 6);
    ck_assert_uint_eq(batch[1].flags, 0);
    ck_assert_mem_eq(batch[1].data, "behind", 6);
    rig_port_close(&rig, p);
}
END_TEST

START_TEST(largest_datagram_arrives_whole)
{
    rig_send(&rig, from, zeros, KIRIM_PAYLOAD_IPV4_BYTES_MAX, &to->local);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(batch[0].bytes, KIRIM_PAYLOAD_IPV4_BYTES_MAX);
    ck_assert_uint_eq(batch[0].flags, 0);
}
END_TEST

START_TEST(empty_datagram_arrives)
{
    rig_send(&rig, from, NULL, 0, &to->local);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(batch[0].bytes, 0);
    ck_assert_ptr_nonnull(batch[0].data);
    ck_assert_uint_eq(batch[0].flags, 0);
}
END_TEST

START_TEST(batches_of_one_turn_stay_lent_together)
{
    struct kirim_datagram second[KI_BATCH_MAX];
    rig_send_numbers(&rig, from, to, 0, 2 * KI_BATCH_MAX);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), KI_BATCH_MAX);
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, to, second, KI_BATCH_MAX), KI_BATCH_MAX);
    rig_check_numbers(batch, 0, KI_BATCH_MAX);
    rig_check_numbers(second, KI_BATCH_MAX, KI_BATCH_MAX);
}
END_TEST

START_TEST(lent_bytes_may_be_written_to_the_end_of_the_slot)
{
    rig_send_numbers(&rig, from, to, 0, KI_BATCH_MAX);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), KI_BATCH_MAX);
    for (int i = 0; i < KI_BATCH_MAX; i += 2) {
        memset(batch[i].data, 0xff, UINT16_MAX);
    }
    for (uint32_t i = 1; i < KI_BATCH_MAX; i += 2) {
        rig_check_numbers(&batch[i], i, 1);
    }
}
END_TEST

START_TEST(few_free_slots_are_starvation_until_release)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    options.receive_slot_count = 64;
    set_up_again(&options);
    rig_send_numbers(&rig, from, to, 0, 100);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, 33), 33); /* 31 are left */
    ck_assert_uint_eq(to->rx_flags, KI_RX_MORE | KI_RX_STARVED);
    const uint64_t calls = to->rx_calls;
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, to, batch, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(to->rx_flags, KI_RX_MORE | KI_RX_STARVED);
    ck_assert_uint_eq(to->rx_calls, calls);
    rig.ops->release(rig.reactor);
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, to, batch, KI_BATCH_MAX), KI_BATCH_MAX);
    rig_check_numbers(batch, 33, KI_BATCH_MAX);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 3); /* wait() released, too */
    rig_check_numbers(batch, 97, 3);
}
END_TEST

START_TEST(enough_free_slots_are_a_smaller_batch)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    options.receive_slot_count = 64;
    set_up_again(&options);
    rig_send_numbers(&rig, from, to, 0, 100);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, 32), 32); /* 32 are left */
    ck_assert_uint_eq(to->rx_flags, KI_RX_MORE);
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, to, batch, KI_BATCH_MAX), 32);
    ck_assert_uint_eq(to->rx_flags, KI_RX_MORE | KI_RX_STARVED);
    rig_check_numbers(batch, 32, 32);
}
END_TEST

START_TEST(single_datagrams_are_received_singly_most_of_the_time)
{
    /* A batch, 1 single, a batch, 2, a batch, 4, a batch, 8, a batch, 8 ... */
    static const char wanted[] = "b1b12b1234b12345678b12345678b";
    for (size_t i = 0; i < sizeof wanted - 1; i++) {
        const uint64_t batches = script_count(SCRIPT_RECVMMSG);
        rig_send_numbers(&rig, from, to, (uint32_t)i, 1);
        ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
        rig_check_numbers(batch, (uint32_t)i, 1);
        ck_assert_uint_eq(to->rx_flags, 0);
        ck_assert_uint_eq(script_count(SCRIPT_RECVMMSG) - batches, wanted[i] == 'b');
    }
    ck_assert_uint_eq(to->rx_calls, sizeof wanted - 1);
}
END_TEST

START_TEST(burst_behind_a_single_is_told_by_the_next_wait)
{
    rig_send_numbers(&rig, from, to, 0, 1);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
    rig_send_numbers(&rig, from, to, 1, 10);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1); /* singly */
    ck_assert_uint_eq(to->rx_flags, 0);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 9);
    rig_check_numbers(batch, 2, 9);
    rig_send_numbers(&rig, from, to, 11, 1);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(script_count(SCRIPT_RECVMMSG), 3); /* no single follows a burst */
}
END_TEST

START_TEST(system_without_batches_is_served_one_by_one)
{
    tear_down();
    script_reset();
    script_break(SCRIPT_RECVMMSG, ENOSYS);
    script_break(SCRIPT_SENDMMSG, ENOSYS);
    rig_open(&rig, "epoll", NULL);
    from = rig_port(&rig, KIRIM_IPV4);
    to = rig_port(&rig, KIRIM_IPV4);
    ck_assert_uint_eq(rig.caps & KIRIM_CAP_BATCHES, 0);
    rig_send_numbers(&rig, from, to, 0, 3);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
        ck_assert_uint_eq(to->rx_flags, KI_RX_MORE);
        rig_check_numbers(batch, i, 1);
    }
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, to, batch, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(to->rx_flags, 0);
}
END_TEST

START_TEST(ipv4_peers_of_a_dual_stack_port_are_unmapped)
{
    if (!rig_has_ipv6()) {
        return;
    }
    struct kirim_endpoint_options o = rig_at("[::]:0");
    o.flags = KIRIM_ENDPOINT_DUAL_STACK;
    struct ki_port *dual = rig_port_with(&rig, &o);
    struct kirim_addr at = rig_addr("127.0.0.1:0");
    kirim_addr_set_port(&at, kirim_addr_port(&dual->local));
    rig_send(&rig, from, "in", 2, &at);
    ck_assert_uint_eq(rig_receive(&rig, dual, batch, KI_BATCH_MAX), 1);
    ck_assert(kirim_addr_equal(&batch[0].peer, &from->local));
    rig_send(&rig, dual, "out", 3, &from->local);
    ck_assert_uint_eq(rig_receive(&rig, from, batch, KI_BATCH_MAX), 1);
    ck_assert(kirim_addr_equal(&batch[0].peer, &at));
    rig_port_close(&rig, dual);
}
END_TEST

static TCase *receive_cases(void)
{
    TCase *tcase = tcase_create("receive");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, batch_is_handed_over_in_order);
    tcase_add_test(tcase, short_batch_makes_no_further_call);
    tcase_add_loop_test(tcase, only_a_full_batch_says_more, 0, 3);
    tcase_add_test(tcase, nothing_there_is_no_error);
    tcase_add_test(tcase, interrupted_receive_is_tried_again);
    tcase_add_test(tcase, error_is_an_event_about_the_peer_and_not_the_end);
    tcase_add_loop_test(tcase, longer_than_expected_arrives_cut, 0, 6);
    tcase_add_test(tcase, largest_datagram_arrives_whole);
    tcase_add_test(tcase, empty_datagram_arrives);
    tcase_add_test(tcase, batches_of_one_turn_stay_lent_together);
    tcase_add_test(tcase, lent_bytes_may_be_written_to_the_end_of_the_slot);
    tcase_add_test(tcase, few_free_slots_are_starvation_until_release);
    tcase_add_test(tcase, enough_free_slots_are_a_smaller_batch);
    tcase_add_test(tcase, single_datagrams_are_received_singly_most_of_the_time);
    tcase_add_test(tcase, burst_behind_a_single_is_told_by_the_next_wait);
    tcase_add_test(tcase, system_without_batches_is_served_one_by_one);
    tcase_add_test(tcase, ipv4_peers_of_a_dual_stack_port_are_unmapped);
    return tcase;
}

/* ---- trains that arrive in one piece --------------------------------------------------------- */

enum { NUMBER_BYTES = 4, TRAIN_COUNT = 100, TRAIN_BYTES = TRAIN_COUNT * NUMBER_BYTES };

static void set_up_trains(void)
{
    script_reset();
    rig_open(&rig, "epoll", NULL);
    rig.wants_trains = true;
    from = rig_port(&rig, KIRIM_IPV4);
    to = rig_port(&rig, KIRIM_IPV4);
}

/* Whether the system brings trains in one piece; without that these tests have nothing to see. */
static bool has_trains(void)
{
    const uint32_t wanted = KIRIM_CAP_TRAINS | KIRIM_CAP_COALESCED;
    return (rig.caps & wanted) == wanted && from->tx_segments_max >= TRAIN_COUNT;
}

/* Sends the numbers first .. first + TRAIN_COUNT - 1 as one train. */
static void send_train(struct ki_port *p, uint32_t first)
{
    uint32_t numbers[TRAIN_COUNT] = { 0 };
    struct ki_entry e = rig_entry(numbers, sizeof numbers, &p->local);
    struct ki_refusal why;
    for (uint32_t i = 0; i < TRAIN_COUNT; i++) {
        numbers[i] = first + i;
    }
    e.segment_bytes = NUMBER_BYTES;
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 1);
}

static void receive_numbers(struct ki_port *p, uint32_t max, uint32_t first, uint32_t count)
{
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, p, batch, max), count);
    rig_check_numbers(batch, first, count);
    for (uint32_t i = 0; i < count; i++) {
        const bool is_head = (first + i) % TRAIN_COUNT == 0;
        ck_assert_uint_eq(batch[i].flags, is_head ? KIRIM_RX_TRAIN_HEAD : 0);
        ck_assert_uint_eq(batch[i].segment_bytes, 0);
        ck_assert(kirim_addr_equal(&batch[i].peer, &from->local));
    }
}

/* Makes all slots free that may be: by a wait, or by a release. */
static void take_back(bool is_wait)
{
    if (is_wait) {
        ck_assert_int_eq(rig.ops->wait(rig.reactor, 0), KIRIM_OK);
    } else {
        rig.ops->release(rig.reactor);
    }
}

START_TEST(train_is_cut_into_its_datagrams)
{
    if (!has_trains()) {
        return;
    }
    send_train(to, 0);
    rig_wait_ready(&rig, to);
    receive_numbers(to, KI_BATCH_MAX, 0, KI_BATCH_MAX);
    ck_assert_uint_eq(to->rx_flags, KI_RX_MORE);
    receive_numbers(to, KI_BATCH_MAX, KI_BATCH_MAX, TRAIN_COUNT - KI_BATCH_MAX);
    ck_assert_uint_eq(to->rx_flags, 0);
    ck_assert_uint_eq(to->rx_trains, 1);
    ck_assert_uint_eq(to->rx_calls, 1);
}
END_TEST

START_TEST(what_was_not_handed_over_survives)
{
    if (!has_trains()) {
        return;
    }
    send_train(to, 0);
    send_train(to, TRAIN_COUNT);
    send_train(to, 2 * TRAIN_COUNT);
    rig_wait_ready(&rig, to);
    for (uint32_t at = 0; at < 3 * TRAIN_COUNT; at += 50) {
        receive_numbers(to, 50, at, 50);
        take_back(_i == 0);
    }
    ck_assert_uint_eq(to->rx_trains, 3);
}
END_TEST

START_TEST(rests_of_several_ports_keep_apart)
{
    if (!has_trains()) {
        return;
    }
    struct ki_port *p[3] = { to, rig_port(&rig, KIRIM_IPV4), rig_port(&rig, KIRIM_IPV4) };
    uint32_t at[3] = { 0, 0, 0 };
    for (int i = 0; i < 3; i++) {
        send_train(p[i], 0);
        send_train(p[i], TRAIN_COUNT);
        rig_wait_ready(&rig, p[i]);
        receive_numbers(p[i], 10, 0, 10);
        at[i] = 10;
    }
    for (uint32_t round = 0; round < 15; round++) {
        const uint32_t i = (round * 2 + (uint32_t)_i) % 3;
        const uint32_t left = 2 * TRAIN_COUNT - at[i];
        const uint32_t count = left < 38 ? left : 38;
        if (count > 0) {
            receive_numbers(p[i], 38, at[i], count);
            at[i] += count;
        }
        take_back(round % 2 == 0);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(at[i], 2 * TRAIN_COUNT);
    }
    rig_port_close(&rig, p[1]);
    rig_port_close(&rig, p[2]);
}
END_TEST

START_TEST(slots_of_a_rest_are_not_filled_again)
{
    if (!has_trains()) {
        return;
    }
    struct ki_port *other = rig_port(&rig, KIRIM_IPV4);
    send_train(to, 0);
    rig_send_numbers(&rig, from, other, 7, 3);
    rig_wait_ready(&rig, to);
    receive_numbers(to, 10, 0, 10);
    for (uint32_t at = 10; at < TRAIN_COUNT; at += 10) {
        struct kirim_datagram d[KI_BATCH_MAX];
        take_back(_i == 0);
        rig_send_numbers(&rig, from, other, 7, 3);
        ck_assert_uint_ge(rig_receive(&rig, other, d, KI_BATCH_MAX), 1);
        rig_check_numbers(d, 7, 1);
        receive_numbers(to, 10, at, 10);
    }
    rig_port_close(&rig, other);
}
END_TEST

START_TEST(closed_port_leaves_no_rest)
{
    if (!has_trains()) {
        return;
    }
    struct ki_port *p[3] = { rig_port(&rig, KIRIM_IPV4), rig_port(&rig, KIRIM_IPV4),
                             rig_port(&rig, KIRIM_IPV4) };
    for (int i = 0; i < 3; i++) {
        send_train(p[i], 0);
        rig_wait_ready(&rig, p[i]);
        receive_numbers(p[i], 10, 0, 10);
    }
    rig_port_close(&rig, p[_i]);
    take_back(true);
    send_train(to, 0);
    rig_wait_ready(&rig, to);
    receive_numbers(to, 10, 0, 10);
    for (int i = 0; i < 3; i++) {
        if (i != _i) {
            receive_numbers(p[i], KI_BATCH_MAX, 10, KI_BATCH_MAX);
            take_back(false);
            receive_numbers(p[i], KI_BATCH_MAX, 10 + KI_BATCH_MAX, TRAIN_COUNT - 10 - KI_BATCH_MAX);
            rig_port_close(&rig, p[i]);
        }
    }
    receive_numbers(to, KI_BATCH_MAX, 10, KI_BATCH_MAX);
}
END_TEST

START_TEST(datagrams_beside_trains_keep_their_places)
{
    if (!has_trains()) {
        return;
    }
    static const char alone[] = "alone";
    rig_send(&rig, from, alone, 5, &to->local);
    send_train(to, 0);
    rig_send(&rig, from, alone, 5, &to->local);
    rig_send(&rig, from, NULL, 0, &to->local);
    rig_wait_ready(&rig, to);
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, to, batch, 1), 1);
    ck_assert_mem_eq(batch[0].data, alone, 5);
    take_back(true);
    receive_numbers(to, KI_BATCH_MAX, 0, KI_BATCH_MAX);
    take_back(true);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), TRAIN_COUNT - KI_BATCH_MAX + 2);
    rig_check_numbers(batch, KI_BATCH_MAX, TRAIN_COUNT - KI_BATCH_MAX);
    ck_assert_mem_eq(batch[TRAIN_COUNT - KI_BATCH_MAX].data, alone, 5);
    ck_assert_uint_eq(batch[TRAIN_COUNT - KI_BATCH_MAX + 1].bytes, 0);
}
END_TEST

START_TEST(whole_train_is_one_view)
{
    if (!has_trains()) {
        return;
    }
    to->wants_whole = 1;
    send_train(to, 0);
    send_train(to, TRAIN_COUNT);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, 1), 1);
    take_back(true);
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, to, &batch[1], 1), 1);
    ck_assert_uint_eq(batch[1].bytes, TRAIN_BYTES);
    ck_assert_uint_eq(batch[1].segment_bytes, NUMBER_BYTES);
    for (uint32_t i = 0; i < TRAIN_COUNT; i++) {
        const uint32_t wanted = TRAIN_COUNT + i;
        ck_assert_mem_eq(batch[1].data + (size_t)i * NUMBER_BYTES, &wanted, sizeof wanted);
    }
}
END_TEST

START_TEST(datagrams_of_a_train_are_cut_like_others)
{
    if (!has_trains()) {
        return;
    }
    to->datagram_bytes_max = NUMBER_BYTES - 1 + (uint64_t)_i;
    to->wants_whole = 1; /* not if each would have to be cut */
    send_train(to, 0);
    const uint32_t count = rig_receive(&rig, to, batch, KI_BATCH_MAX);
    ck_assert_uint_eq(count, _i == 0 ? KI_BATCH_MAX : 1);
    ck_assert_uint_eq(batch[0].bytes, _i == 0 ? NUMBER_BYTES - 1 : TRAIN_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq((batch[i].flags & KIRIM_RX_TRUNCATED) != 0, _i == 0);
    }
}
END_TEST

START_TEST(what_is_no_train_may_be_as_long_as_one)
{
    rig_send(&rig, from, zeros, 60000, &to->local);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(batch[0].bytes, 60000);
    ck_assert_uint_eq(batch[0].segment_bytes, 0);
    ck_assert_uint_eq(batch[0].flags, 0);
    ck_assert_uint_eq(to->rx_trains, 0);
}
END_TEST

START_TEST(trains_are_received_one_by_one_too)
{
    tear_down();
    script_reset();
    script_break(SCRIPT_RECVMMSG, ENOSYS);
    rig_open(&rig, "epoll", NULL);
    rig.wants_trains = true;
    from = rig_port(&rig, KIRIM_IPV4);
    to = rig_port(&rig, KIRIM_IPV4);
    if (!has_trains()) {
        return;
    }
    send_train(to, 0);
    send_train(to, TRAIN_COUNT);
    rig_wait_ready(&rig, to);
    for (uint32_t at = 0; at < 2 * TRAIN_COUNT; at += 50) {
        receive_numbers(to, 50, at, 50);
        ck_assert_uint_eq(to->rx_flags, KI_RX_MORE);
    }
    ck_assert_uint_eq(rig.ops->receive(rig.reactor, to, batch, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(to->rx_flags, 0);
}
END_TEST

static TCase *train_cases(void)
{
    TCase *tcase = tcase_create("train");
    tcase_add_checked_fixture(tcase, set_up_trains, tear_down);
    tcase_add_test(tcase, train_is_cut_into_its_datagrams);
    tcase_add_loop_test(tcase, what_was_not_handed_over_survives, 0, 2);
    tcase_add_loop_test(tcase, rests_of_several_ports_keep_apart, 0, 3);
    tcase_add_loop_test(tcase, slots_of_a_rest_are_not_filled_again, 0, 2);
    tcase_add_loop_test(tcase, closed_port_leaves_no_rest, 0, 3);
    tcase_add_test(tcase, datagrams_beside_trains_keep_their_places);
    tcase_add_test(tcase, whole_train_is_one_view);
    tcase_add_loop_test(tcase, datagrams_of_a_train_are_cut_like_others, 0, 2);
    tcase_add_test(tcase, what_is_no_train_may_be_as_long_as_one);
    tcase_add_test(tcase, trains_are_received_one_by_one_too);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("reactors/posix_rx");
    suite_add_tcase(suite, receive_cases());
    suite_add_tcase(suite, train_cases());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
