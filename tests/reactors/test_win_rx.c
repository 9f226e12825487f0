/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_rx.c: what WSARecvMsg is given, and what its answers become. A script
 * stands behind the pointer, with the behaviour that the reference describes: no socket is used.
 */
#include "win_rx.h"

#include "win.h"
#include "win_clock.h"
#include "win_tx.h"

#include <check.h>
#include <stdlib.h>

enum { STEPS_MAX = 16, SLOT_BYTES = 2048, SLOT_COUNT = 6 };

/* One answer of the script. */
struct step {
    int sys_err;
    uint32_t bytes;
    uint16_t from_port; /* of 192.0.2.1; 0: the name stays as it was */
    uint32_t segment_bytes;
    uint64_t ticks; /* of its arrival; 0: not told */
};

static struct step script[STEPS_MAX];
static uint32_t step_count; /* made */
static struct ki_win_slot slots[SLOT_COUNT];
static uint8_t data[SLOT_COUNT][SLOT_BYTES];
static struct ki_win win;
static struct ki_win_port port;
static struct ki_win_port other;
static struct kirim_datagram batch[KI_BATCH_MAX];

static void answer_control(LPWSAMSG msg, uint32_t segment_bytes)
{
    const uint8_t bytes[24] = { 20, [8] = 17, [12] = 3, [16] = (uint8_t)segment_bytes };
    if (msg->Control.len < sizeof bytes || segment_bytes == 0) {
        msg->Control.len = 0;
        return;
    }
    memcpy(msg->Control.buf, bytes, sizeof bytes);
    msg->Control.len = sizeof bytes;
}

/* SO_TIMESTAMP of SOL_SOCKET, a UINT64. */
static void answer_ticks(LPWSAMSG msg, uint64_t ticks)
{
    const uint8_t header[16] = { 24, [8] = 0xff, [9] = 0xff, [12] = 0x0a, [13] = 0x30 };
    ck_assert_uint_ge(msg->Control.len, sizeof header + sizeof ticks);
    memcpy(msg->Control.buf, header, sizeof header);
    memcpy(msg->Control.buf + sizeof header, &ticks, sizeof ticks);
    msg->Control.len = sizeof header + sizeof ticks;
}

static INT WSAAPI scripted_receive(SOCKET s, LPWSAMSG msg, LPDWORD received,
                                   LPWSAOVERLAPPED overlapped,
                                   LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    ck_assert_uint_eq(s, 1234);
    ck_assert_ptr_null(overlapped);
    ck_assert(routine == NULL);
    ck_assert_uint_eq(msg->dwFlags, 0);
    ck_assert_uint_eq(msg->dwBufferCount, 1);
    ck_assert_uint_eq(msg->lpBuffers[0].len, SLOT_BYTES);
    ck_assert(msg->Control.buf != NULL || msg->Control.len == 0);
    ck_assert_uint_lt(step_count, STEPS_MAX);
    const struct step *step = &script[step_count++];
    if (step->from_port != 0) {
        const struct sockaddr_in from = {
            .sin_family = AF_INET,
            .sin_port = htons(step->from_port),
            .sin_addr.s_addr = htonl(0xc0000201),
        };
        memcpy(msg->name, &from, sizeof from);
        msg->namelen = sizeof from;
    }
    if (step->sys_err != 0) {
        WSASetLastError(step->sys_err);
        return SOCKET_ERROR;
    }
    for (uint32_t i = 0; i < step->bytes; i++) {
        msg->lpBuffers[0].buf[i] = (char)i;
    }
    if (step->ticks != 0) {
        answer_ticks(msg, step->ticks);
    } else {
        answer_control(msg, step->segment_bytes);
    }
    *received = step->bytes;
    return 0;
}

static void setup(void)
{
    memset(&win, 0, sizeof win);
    memset(&port, 0, sizeof port);
    memset(script, 0, sizeof script);
    for (uint32_t i = 0; i < STEPS_MAX; i++) {
        script[i].sys_err = WSAEWOULDBLOCK;
    }
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        slots[i].data = data[i];
    }
    step_count = 0;
    win.rx.slots = slots;
    win.rx.slot_bytes = SLOT_BYTES;
    win.rx.slot_count = SLOT_COUNT;
    win.rx.last = &win.rx.first;
    port.calls.receive = scripted_receive;
    port.port.descriptor = 1234;
    port.port.datagram_bytes_max = SLOT_BYTES;
    other = port;
}

static uint32_t receive(struct ki_win_port *p, uint32_t max)
{
    memset(batch, 0xaa, sizeof batch);
    return ki_win_receive(&win.reactor, &p->port, batch, max);
}

START_TEST(batch_ends_with_would_block)
{
    script[0] = (struct step){ .bytes = 3, .from_port = 7 };
    script[1] = (struct step){ .bytes = 0, .from_port = 8 };
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 2);
    ck_assert_uint_eq(port.port.rx_flags, 0);
    ck_assert_uint_eq(port.port.rx_calls, 3);
    ck_assert_uint_eq(batch[0].bytes, 3);
    ck_assert_uint_eq(kirim_addr_port(&batch[0].peer), 7);
    ck_assert_ptr_null(batch[0].arrival);
    ck_assert_uint_eq(batch[1].bytes, 0); /* an empty datagram is one */
    ck_assert_ptr_nonnull(batch[1].data);
}
END_TEST

START_TEST(full_batch_asks_for_more) /* L65, L66 */
{
    script[0] = (struct step){ .bytes = 3, .from_port = 7 };
    script[1] = script[0];
    ck_assert_uint_eq(receive(&port, 2), 2);
    ck_assert_uint_eq(port.port.rx_flags, KI_RX_MORE);
    ck_assert_uint_eq(step_count, 2);
}
END_TEST

START_TEST(without_slots_it_starves)
{
    for (uint32_t i = 0; i < STEPS_MAX; i++) {
        script[i] = (struct step){ .bytes = 1, .from_port = 7 };
    }
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), SLOT_COUNT);
    ck_assert_uint_eq(port.port.rx_flags, KI_RX_MORE | KI_RX_STARVED);
    ki_win_release(&win.reactor);
    ck_assert_uint_eq(receive(&port, 2), 2);
}
END_TEST

START_TEST(message_size_is_a_cut_datagram) /* L51 */
{
    script[0] = (struct step){ .sys_err = WSAEMSGSIZE, .from_port = 7 };
    script[1] = (struct step){ .bytes = 3, .from_port = 7 };
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 2);
    ck_assert_uint_eq(batch[0].bytes, SLOT_BYTES);
    ck_assert_uint_eq(batch[0].flags, KIRIM_RX_TRUNCATED);
    ck_assert_uint_eq(batch[1].flags, 0);
}
END_TEST

START_TEST(longer_than_the_endpoint_expects_is_cut)
{
    port.port.datagram_bytes_max = 100;
    script[0] = (struct step){ .bytes = 100, .from_port = 7 };
    script[1] = (struct step){ .bytes = 101, .from_port = 7 };
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 2);
    ck_assert_uint_eq(batch[0].flags, 0);
    ck_assert_uint_eq(batch[1].bytes, 100);
    ck_assert_uint_eq(batch[1].flags, KIRIM_RX_TRUNCATED);
}
END_TEST

START_TEST(report_comes_behind_what_arrived_and_names_its_peer) /* S31, S38, L44, L45 */
{
    static const struct {
        int sys_err;
        kirim_err err;
    } reports[] = {
        { WSAECONNRESET, KIRIM_ECONNRESET },
        { WSAECONNREFUSED, KIRIM_ECONNRESET },
        { WSAENETRESET, KIRIM_ENETRESET },
    };
    script[0] = (struct step){ .bytes = 3, .from_port = 7 };
    script[1] = (struct step){ .sys_err = reports[_i].sys_err, .from_port = 9 };
    script[2] = (struct step){ .bytes = 4, .from_port = 7 };
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(port.port.rx_flags, KI_RX_ERROR | KI_RX_MORE);
    ck_assert_int_eq(port.port.rx_error.err, reports[_i].err);
    ck_assert_int_eq(port.port.rx_error.sys_err, reports[_i].sys_err);
    ck_assert_uint_eq(kirim_addr_port(&port.port.rx_error.peer), 9);
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 1); /* no end of the port */
    ck_assert_uint_eq(port.port.rx_flags, 0);
}
END_TEST

START_TEST(report_without_a_name_is_of_the_connected_peer)
{
    ck_assert_int_eq(kirim_addr_parse("192.0.2.5:5", &port.port.remote), KIRIM_OK);
    script[0] = (struct step){ .sys_err = WSAECONNRESET };
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 0);
    ck_assert(kirim_addr_equal(&port.port.rx_error.peer, &port.port.remote));
}
END_TEST

START_TEST(other_errors_are_told_and_not_asked_again)
{
    script[0] = (struct step){ .sys_err = WSAENETDOWN };
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(port.port.rx_flags, KI_RX_ERROR);
    ck_assert_int_eq(port.port.rx_error.err, KIRIM_ENETDOWN);
}
END_TEST

START_TEST(interrupted_receive_is_made_again) /* S34 */
{
    script[0] = (struct step){ .sys_err = WSAEINTR };
    script[1] = (struct step){ .bytes = 3, .from_port = 7 };
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(port.port.rx_flags, 0);
}
END_TEST

START_TEST(what_a_send_was_told_is_told_once)
{
    ck_assert_int_eq(kirim_addr_parse("192.0.2.5:5", &port.port.remote), KIRIM_OK);
    ck_assert(ki_win_tx_is_stale(&port, WSAECONNRESET));
    ck_assert(!ki_win_tx_is_stale(&port, WSAEACCES));
    script[0] = (struct step){ .bytes = 3, .from_port = 7 };
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(port.port.rx_flags, KI_RX_ERROR | KI_RX_MORE);
    ck_assert(kirim_addr_equal(&port.port.rx_error.peer, &port.port.remote));
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 0);
    ck_assert_uint_eq(port.port.rx_flags, 0);
}
END_TEST

/* The time of one arrival that came `age_ns` ago. */
static uint64_t time_of(int64_t age_ns)
{
    LARGE_INTEGER ticks, frequency;
    ck_assert(QueryPerformanceCounter(&ticks));
    ck_assert(QueryPerformanceFrequency(&frequency));
    const int64_t age = age_ns / 1000 * frequency.QuadPart / 1000000;
    setup();
    port.has_control = 1;
    port.has_times = 1;
    script[0] = (struct step){ .bytes = 3, .from_port = 7 };
    script[0].ticks = (uint64_t)(ticks.QuadPart - age);
    ck_assert_uint_eq(receive(&port, 1), 1);
    ck_assert_ptr_nonnull(batch[0].arrival);
    return batch[0].arrival->time_ns;
}

START_TEST(time_of_an_arrival_is_told_in_loop_time)
{
    static const int64_t age_ns = 1000000;
    const uint64_t before_ns = ki_win_now();
    const uint64_t time_ns = time_of(age_ns);
    const uint64_t now_ns = ki_win_now();
    ck_assert_uint_ge(time_ns + (uint64_t)age_ns + 1000, before_ns);
    ck_assert_uint_le(time_ns + (uint64_t)age_ns, now_ns + 1000);
}
END_TEST

START_TEST(time_that_is_another_clocks_is_not_told)
{
    ck_assert_uint_ne(time_of(INT64_C(9000000000)), 0);
    ck_assert_uint_eq(time_of(INT64_C(11000000000)), 0);
    ck_assert_uint_eq(time_of(INT64_C(-1000000000)), 0); /* still to come */
    script[1] = (struct step){ .bytes = 3, .from_port = 7 };
    ck_assert_uint_eq(receive(&port, 1), 1); /* one that has none */
    ck_assert_uint_eq(batch[0].arrival->time_ns, 0);
}
END_TEST

START_TEST(arrival_is_never_later_than_the_turn)
{
    const uint64_t turn_ns = ki_win_now() - 1;
    (void)time_of(0);
    win.reactor.turn_ns = turn_ns;
    script[1] = script[0];
    script[1].ticks = script[0].ticks;
    ck_assert_uint_eq(receive(&port, 1), 1);
    ck_assert_uint_eq(batch[0].arrival->time_ns, turn_ns);
}
END_TEST

START_TEST(train_is_cut_into_its_datagrams)
{
    port.is_coalescing = 1;
    script[0] = (struct step){ .bytes = 250, .from_port = 7, .segment_bytes = 100 };
    script[1] = (struct step){ .bytes = 50, .from_port = 8 };
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 4);
    ck_assert_uint_eq(batch[0].bytes, 100);
    ck_assert_uint_eq(batch[0].flags, KIRIM_RX_TRAIN_HEAD);
    ck_assert_uint_eq(batch[1].flags, 0);
    ck_assert_uint_eq(batch[1].data[0], 100);
    ck_assert_uint_eq(batch[2].bytes, 50);
    ck_assert_uint_eq(batch[2].data[0], 200);
    ck_assert_uint_eq(batch[3].bytes, 50);
    ck_assert_uint_eq(kirim_addr_port(&batch[3].peer), 8);
    ck_assert_uint_eq(port.port.rx_trains, 1);
}
END_TEST

START_TEST(rest_of_a_train_survives_the_take_back)
{
    port.is_coalescing = 1;
    other.is_coalescing = 1;
    script[0] = (struct step){ .bytes = 250, .from_port = 7, .segment_bytes = 100 };
    script[1] = (struct step){ .bytes = 90, .from_port = 8, .segment_bytes = 30 };
    ck_assert_uint_eq(receive(&port, 2), 2);
    ck_assert_uint_eq(port.port.rx_flags, KI_RX_MORE);
    ck_assert_uint_eq(receive(&other, 1), 1);
    ki_win_rx_forget(&win, &port); /* the first slot is free: the other rest moves there */
    ki_win_release(&win.reactor);
    ck_assert_uint_eq(win.rx.slot_next, 1);
    ck_assert_uint_eq(receive(&other, KI_BATCH_MAX), 2);
    ck_assert_uint_eq(batch[0].data[0], 30);
    ck_assert_uint_eq(batch[1].data[0], 60);
    ck_assert_uint_eq(batch[1].flags, 0);
    ck_assert_uint_eq(other.port.rx_flags, 0);
    ki_win_release(&win.reactor);
    ck_assert_uint_eq(win.rx.slot_next, 0);
}
END_TEST

START_TEST(whole_train_is_one_datagram)
{
    port.is_coalescing = 1;
    port.port.wants_whole = 1;
    script[0] = (struct step){ .bytes = 250, .from_port = 7, .segment_bytes = 100 };
    ck_assert_uint_eq(receive(&port, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(batch[0].bytes, 250);
    ck_assert_uint_eq(batch[0].segment_bytes, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/win_rx");
    TCase *tcase = tcase_create("receive");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, batch_ends_with_would_block);
    tcase_add_test(tcase, full_batch_asks_for_more);
    tcase_add_test(tcase, without_slots_it_starves);
    tcase_add_test(tcase, message_size_is_a_cut_datagram);
    tcase_add_test(tcase, longer_than_the_endpoint_expects_is_cut);
    tcase_add_loop_test(tcase, report_comes_behind_what_arrived_and_names_its_peer, 0, 3);
    tcase_add_test(tcase, report_without_a_name_is_of_the_connected_peer);
    tcase_add_test(tcase, other_errors_are_told_and_not_asked_again);
    tcase_add_test(tcase, interrupted_receive_is_made_again);
    tcase_add_test(tcase, what_a_send_was_told_is_told_once);
    tcase_add_test(tcase, time_of_an_arrival_is_told_in_loop_time);
    tcase_add_test(tcase, time_that_is_another_clocks_is_not_told);
    tcase_add_test(tcase, arrival_is_never_later_than_the_turn);
    tcase_add_test(tcase, train_is_cut_into_its_datagrams);
    tcase_add_test(tcase, rest_of_a_train_survives_the_take_back);
    tcase_add_test(tcase, whole_train_is_one_datagram);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
