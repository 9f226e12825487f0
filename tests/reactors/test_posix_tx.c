/* SPDX-License-Identifier: MIT
 *
 * Claims about the sending half of reactors/posix_tx.c, on loopback sockets behind a scripted
 * system-call table: what leaves, in how many system calls, and what a refusal says.
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

static void set_up(void)
{
    script_reset();
    rig_open(&rig, "epoll", NULL);
    from = rig_port(&rig, KIRIM_IPV4);
    to = rig_port(&rig, KIRIM_IPV4);
}

static void tear_down(void)
{
    rig_port_close(&rig, from);
    rig_port_close(&rig, to);
    rig_close(&rig);
}

START_TEST(batch_is_submitted_in_one_call)
{
    rig_send_numbers(&rig, from, to, 0, KI_BATCH_MAX);
    ck_assert_uint_eq(from->tx_calls, 1);
    ck_assert_uint_eq(script_count(SCRIPT_SENDMMSG), 1);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), KI_BATCH_MAX);
    rig_check_numbers(batch, 0, KI_BATCH_MAX);
}
END_TEST

START_TEST(one_is_submitted_by_sendmsg)
{
    rig_send_numbers(&rig, from, to, 0, 1);
    ck_assert_uint_eq(script_count(SCRIPT_SENDMSG), 1);
    ck_assert_uint_eq(script_count(SCRIPT_SENDMMSG), 0);
    ck_assert_uint_eq(from->tx_calls, 1);
}
END_TEST

START_TEST(partial_submit_goes_on_at_the_index) /* L57 */
{
    script_limit(SCRIPT_SENDMMSG, 20);
    script_limit(SCRIPT_SENDMMSG, 1);
    script_limit(SCRIPT_SENDMMSG, 42);
    rig_send_numbers(&rig, from, to, 0, KI_BATCH_MAX);
    ck_assert_uint_eq(from->tx_calls, 4);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), KI_BATCH_MAX);
    rig_check_numbers(batch, 0, KI_BATCH_MAX);
}
END_TEST

START_TEST(interrupted_submit_is_tried_again) /* S34 */
{
    struct ki_entry e = rig_entry("x", 1, &to->local);
    struct ki_refusal why;
    script_answer(SCRIPT_SENDMMSG, EINTR);
    script_answer(SCRIPT_SENDMMSG, EINTR);
    rig_send_numbers(&rig, from, to, 0, 3);
    ck_assert_uint_eq(from->tx_calls, 3);
    script_answer(SCRIPT_SENDMSG, EINTR);
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 1);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 4);
}
END_TEST

START_TEST(refused_entry_is_named_with_its_error) /* S36, L57 */
{
    struct ki_entry e[5];
    struct ki_refusal why = { KIRIM_OK, 0, 0, 0 };
    for (int i = 0; i < 5; i++) {
        e[i] = rig_entry(zeros, i == _i ? KIRIM_PAYLOAD_IPV4_BYTES_MAX + 1 : 4, &to->local);
    }
    ck_assert_uint_eq(rig_submit(&rig, from, e, 5, &why), (uint32_t)_i);
    ck_assert_int_eq(why.err, KIRIM_EMSGSIZE);
    ck_assert_int_eq(why.sys_err, EMSGSIZE);
    ck_assert_uint_eq(why.entries, 1);
    ck_assert_uint_eq(from->tx_calls, _i == 0 ? 1 : 2);
    ck_assert_uint_eq(rig_submit(&rig, from, &e[_i] + 1, (uint32_t)(4 - _i), &why),
                      (uint32_t)(4 - _i));
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 4);
}
END_TEST

START_TEST(pending_error_is_reported_and_not_swallowed) /* S31 */
{
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    struct ki_port *gone = rig_port(&rig, KIRIM_IPV4);
    o.peer = gone->local;
    rig_port_close(&rig, gone);
    struct ki_port *p = rig_port_with(&rig, &o);
    struct ki_entry e = rig_entry("x", 1, NULL);
    struct ki_refusal why = { KIRIM_OK, 0, 0, 0 };
    rig_send(&rig, p, "x", 1, NULL);
    ck_assert_uint_eq(rig_submit(&rig, p, &e, 1, &why), 0);
    ck_assert_int_eq(why.err, KIRIM_ECONNRESET);
    ck_assert_int_eq(why.sys_err, ECONNREFUSED);
    ck_assert_uint_eq(p->tx_calls, 2);
    rig_port_close(&rig, p);
}
END_TEST

START_TEST(full_system_is_waited_for)
{
    struct ki_entry e[2] = { rig_entry("x", 1, &to->local), rig_entry("y", 1, &to->local) };
    struct ki_refusal why;
    const uint64_t armings = script_count(SCRIPT_EPOLL_CTL);
    script_answer(SCRIPT_SENDMMSG, EAGAIN);
    script_answer(SCRIPT_SENDMMSG, EAGAIN);
    ck_assert_uint_eq(rig_submit(&rig, from, e, 2, &why), 0);
    ck_assert_int_eq(why.err, KIRIM_EWOULDBLOCK);
    ck_assert_uint_eq(script_count(SCRIPT_EPOLL_CTL) - armings, 1);
    ck_assert_uint_eq(rig_submit(&rig, from, e, 2, &why), 0);
    ck_assert_int_eq(why.err, KIRIM_EWOULDBLOCK);
    ck_assert_uint_eq(script_count(SCRIPT_EPOLL_CTL) - armings, 1); /* armed once */
}
END_TEST

START_TEST(lack_of_buffers_is_not_waited_for) /* S40, L54 */
{
    struct ki_entry e[3];
    struct ki_refusal why;
    const uint64_t armings = script_count(SCRIPT_EPOLL_CTL);
    for (int i = 0; i < 3; i++) {
        e[i] = rig_entry("x", 1, &to->local);
    }
    script_limit(SCRIPT_SENDMMSG, 1);
    script_answer(SCRIPT_SENDMMSG, 0);
    script_answer(SCRIPT_SENDMMSG, ENOBUFS);
    ck_assert_uint_eq(rig_submit(&rig, from, e, 3, &why), 1);
    ck_assert_int_eq(why.err, KIRIM_ENOBUFS);
    ck_assert_int_eq(why.sys_err, ENOBUFS);
    ck_assert_uint_eq(script_count(SCRIPT_EPOLL_CTL), armings);
}
END_TEST

START_TEST(full_system_that_cannot_be_watched_is_lack_of_buffers)
{
    struct ki_entry e = rig_entry("x", 1, &to->local);
    struct ki_refusal why;
    script_answer(SCRIPT_SENDMSG, EAGAIN);
    script_answer(SCRIPT_EPOLL_CTL, ENOMEM);
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 0);
    ck_assert_int_eq(why.err, KIRIM_ENOBUFS);
    ck_assert_int_eq(why.sys_err, EAGAIN);
}
END_TEST

START_TEST(gather_list_is_sent_in_order) /* S4 */
{
    char text[] = "gathered";
    struct kirim_buf list[] = { { text, 3 }, { NULL, 0 }, { text + 3, 5 } };
    struct ki_entry e[3] = {
        rig_entry("before", 6, &to->local),
        rig_entry(NULL, 8, &to->local),
        rig_entry("behind", 6, &to->local),
    };
    struct ki_refusal why;
    e[1].data = list;
    e[1].buf_count = 3;
    ck_assert_uint_eq(rig_submit(&rig, from, e, 3, &why), 3);
    rig_send_numbers(&rig, from, to, 0, 3); /* the headers are plain again */
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 6);
    ck_assert_mem_eq(batch[0].data, "before", 6);
    ck_assert_uint_eq(batch[1].bytes, 8);
    ck_assert_mem_eq(batch[1].data, "gathered", 8);
    ck_assert_mem_eq(batch[2].data, "behind", 6);
    rig_check_numbers(&batch[3], 0, 3);
}
END_TEST

START_TEST(longest_gather_list_is_sent) /* S4 */
{
    uint8_t bytes[KIRIM_BUF_COUNT_MAX];
    struct kirim_buf list[KIRIM_BUF_COUNT_MAX];
    struct ki_entry e = rig_entry(NULL, sizeof bytes, &to->local);
    struct ki_refusal why;
    for (int i = 0; i < KIRIM_BUF_COUNT_MAX; i++) {
        bytes[i] = (uint8_t)(i * 7);
        list[i] = (struct kirim_buf){ &bytes[i], 1 };
    }
    e.data = list;
    e.buf_count = KIRIM_BUF_COUNT_MAX;
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 1);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(batch[0].bytes, sizeof bytes);
    ck_assert_mem_eq(batch[0].data, bytes, sizeof bytes);
}
END_TEST

START_TEST(entries_not_to_be_routed_go_in_calls_of_their_own) /* S11 */
{
    static const bool is_direct[] = { false, false, true, true, false };
    static const char letters[] = "abcde";
    struct ki_entry e[5];
    struct ki_refusal why;
    for (int i = 0; i < 5; i++) {
        e[i] = rig_entry(&letters[i], 1, &to->local);
        e[i].status |= is_direct[i] ? (uint32_t)KI_DONTROUTE : 0;
    }
    ck_assert_uint_eq(rig_submit(&rig, from, e, 5, &why), 5);
    ck_assert_uint_eq(from->tx_calls, 3);
    ck_assert_int_eq(script_send_flags() & MSG_DONTROUTE, 0);
    ck_assert_uint_eq(rig_submit(&rig, from, e, 4, &why), 4);
    ck_assert_int_ne(script_send_flags() & MSG_DONTROUTE, 0);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 9);
    for (int i = 0; i < 5; i++) {
        ck_assert_mem_eq(batch[i].data, &letters[i], 1);
    }
}
END_TEST

START_TEST(refusal_among_unrouted_entries_names_its_entry)
{
    struct ki_entry e[4];
    struct ki_refusal why;
    for (int i = 0; i < 4; i++) {
        e[i] = rig_entry(zeros, i == 2 ? KIRIM_PAYLOAD_IPV4_BYTES_MAX + 1 : 4, &to->local);
        e[i].status |= i == 1 || i == 2 ? (uint32_t)KI_DONTROUTE : 0;
    }
    ck_assert_uint_eq(rig_submit(&rig, from, e, 4, &why), 2);
    ck_assert_int_eq(why.err, KIRIM_EMSGSIZE);
}
END_TEST

START_TEST(connected_port_needs_no_destination)
{
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    struct ki_entry e[2] = { rig_entry("a", 1, NULL), rig_entry("b", 1, NULL) };
    struct ki_refusal why;
    o.peer = to->local;
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert_uint_eq(rig_submit(&rig, p, e, 2, &why), 2);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 2);
    ck_assert(kirim_addr_equal(&batch[0].peer, &p->local));
    ck_assert_uint_eq(rig_submit(&rig, from, e, 2, &why), 0); /* not connected: S41 */
    ck_assert_int_eq(why.err, KIRIM_ENOTCONN);
    rig_port_close(&rig, p);
}
END_TEST

START_TEST(sends_never_block_and_raise_no_signal)
{
    rig_send_numbers(&rig, from, to, 0, 2);
    ck_assert_int_eq(script_send_flags(), MSG_DONTWAIT | MSG_NOSIGNAL);
}
END_TEST

static TCase *submit_cases(void)
{
    TCase *tcase = tcase_create("submit");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, batch_is_submitted_in_one_call);
    tcase_add_test(tcase, one_is_submitted_by_sendmsg);
    tcase_add_test(tcase, partial_submit_goes_on_at_the_index);
    tcase_add_test(tcase, interrupted_submit_is_tried_again);
    tcase_add_loop_test(tcase, refused_entry_is_named_with_its_error, 0, 5);
    tcase_add_test(tcase, pending_error_is_reported_and_not_swallowed);
    tcase_add_test(tcase, full_system_is_waited_for);
    tcase_add_test(tcase, lack_of_buffers_is_not_waited_for);
    tcase_add_test(tcase, full_system_that_cannot_be_watched_is_lack_of_buffers);
    tcase_add_test(tcase, gather_list_is_sent_in_order);
    tcase_add_test(tcase, longest_gather_list_is_sent);
    tcase_add_test(tcase, entries_not_to_be_routed_go_in_calls_of_their_own);
    tcase_add_test(tcase, refusal_among_unrouted_entries_names_its_entry);
    tcase_add_test(tcase, connected_port_needs_no_destination);
    tcase_add_test(tcase, sends_never_block_and_raise_no_signal);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("reactors/posix_tx");
    suite_add_tcase(suite, submit_cases());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
