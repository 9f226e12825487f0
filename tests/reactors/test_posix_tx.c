/* SPDX-License-Identifier: MIT
 *
 * Claims about the sending half of reactors/posix_tx.c, on loopback sockets behind a scripted
 * system-call table: what leaves, in how many system calls, and what a refusal says.
 */
#include "support/posix_rig.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
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

/* ---- trains: what the system is given, and nothing leaves ------------------------------------ */

enum { SEEN_MAX = 256, LINES_MAX = 8 };

/* One message header as the system got it. */
struct seen {
    size_t piece_count;
    size_t bytes;
    size_t control_bytes;
    uint8_t control[128];
    uint16_t port; /* where it goes, in network order */
};

static struct seen seen[SEEN_MAX];
static size_t seen_count;
static size_t call_count;
static int answers[LINES_MAX]; /* headers that a call takes; below 0: its error; 0: all */
static struct ki_posix_sys sys_seeing;

static void see(const struct msghdr *header)
{
    ck_assert_uint_lt(seen_count, SEEN_MAX);
    struct seen *s = &seen[seen_count];
    seen_count++;
    *s =
        (struct seen){ .piece_count = header->msg_iovlen, .control_bytes = header->msg_controllen };
    for (size_t i = 0; i < header->msg_iovlen; i++) {
        s->bytes += header->msg_iov[i].iov_len;
    }
    ck_assert_uint_le(s->control_bytes, sizeof s->control);
    ck_assert_int_eq(header->msg_control == NULL, s->control_bytes == 0);
    if (s->control_bytes > 0) {
        memcpy(s->control, header->msg_control, s->control_bytes);
    }
    s->port = ((const struct sockaddr_in *)header->msg_name)->sin_port;
}

static int take_headers(const struct mmsghdr *headers, unsigned count)
{
    const int answer = call_count < LINES_MAX ? answers[call_count] : 0;
    call_count++;
    if (answer < 0) {
        errno = -answer;
        return -1;
    }
    const unsigned n = answer == 0 || (unsigned)answer > count ? count : (unsigned)answer;
    for (unsigned i = 0; i < n; i++) {
        see(&headers[i].msg_hdr);
    }
    return (int)n;
}

static int seeing_sendmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags)
{
    (void)fd;
    (void)flags;
    return take_headers(headers, count);
}

static ssize_t seeing_sendmsg(int fd, const struct msghdr *header, int flags)
{
    const struct mmsghdr one = { .msg_hdr = *header };
    (void)fd;
    (void)flags;
    return take_headers(&one, 1);
}

static void set_up_seeing(void)
{
    script_reset();
    rig_open(&rig, "epoll", NULL);
    rig.wants_trains = true;
    from = rig_port(&rig, KIRIM_IPV4);
    to = rig_port(&rig, KIRIM_IPV4);
    from->tx_segments_max = KIRIM_TRAIN_SEGMENTS_MAX;
    sys_seeing = *script_table();
    sys_seeing.sendmmsg = seeing_sendmmsg;
    sys_seeing.sendmsg = seeing_sendmsg;
    ((struct ki_posix *)(void *)rig.reactor)->sys = &sys_seeing;
    seen_count = call_count = 0;
    memset(answers, 0, sizeof answers);
}

/* `count` entries of `bytes` that lie `stride` apart. */
static void fill_entries(struct ki_entry *e, uint32_t count, uint32_t bytes, uint32_t stride,
                         const struct kirim_addr *peer)
{
    for (uint32_t i = 0; i < count; i++) {
        e[i] = rig_entry(zeros + (size_t)i * stride, bytes, peer);
    }
}

static void submit_all(struct ki_entry *e, uint32_t count)
{
    struct ki_refusal why;
    ck_assert_uint_eq(rig_submit(&rig, from, e, count, &why), count);
}

/* The control data of header `i` is the size of segments alone, or nothing. */
static void check_segment(size_t i, uint16_t segment_bytes)
{
    struct {
        size_t bytes;
        int level;
        int type;
        uint16_t value;
        uint8_t padding[6];
    } wanted = {
        sizeof(size_t) + 2 * sizeof(int) + sizeof(uint16_t), 17, 103, segment_bytes, { 0 }
    };
    if (segment_bytes == 0) {
        ck_assert_uint_eq(seen[i].control_bytes, 0);
        return;
    }
    ck_assert_uint_eq(seen[i].control_bytes, sizeof wanted);
    ck_assert_mem_eq(seen[i].control, &wanted, wanted.bytes);
}

START_TEST(train_is_one_header)
{
    struct ki_entry e[5];
    fill_entries(e, 5, 100, 200, &to->local);
    e[4].bytes = 30;
    submit_all(e, 5);
    ck_assert_uint_eq(seen_count, 1);
    ck_assert_uint_eq(seen[0].piece_count, 5);
    ck_assert_uint_eq(seen[0].bytes, 430);
    check_segment(0, 100);
    ck_assert_uint_eq(from->tx_trains, 1);
    ck_assert_uint_eq(from->tx_calls, 1);
    submit_all(e, 1); /* and the header is plain again */
    ck_assert_uint_eq(seen[1].bytes, 100);
    check_segment(1, 0);
    ck_assert_uint_eq(from->tx_trains, 1);
}
END_TEST

START_TEST(one_segment_says_no_size) /* L7 */
{
    struct ki_entry e = rig_entry(zeros, 99 + (size_t)_i, &to->local);
    e.segment_bytes = 100;
    submit_all(&e, 1);
    check_segment(0, _i < 2 ? 0 : 100);
    ck_assert_uint_eq(from->tx_trains, _i < 2 ? 0 : 1);
}
END_TEST

START_TEST(buffers_that_touch_become_one)
{
    struct ki_entry e[6];
    struct kirim_buf list[2] = { { (void *)(uintptr_t)(zeros + 9000), 60 },
                                 { (void *)(uintptr_t)(zeros + 9100), 40 } };
    fill_entries(e, 6, 100, 100, &to->local);
    e[3].data = list; /* 3 pieces: 0-2, the list, and 4 goes on where the list ends */
    e[3].buf_count = 2;
    e[4].data = (void *)(uintptr_t)(zeros + 9140);
    submit_all(e, 6);
    ck_assert_uint_eq(seen_count, 1);
    ck_assert_uint_eq(seen[0].bytes, 600);
    ck_assert_uint_eq(seen[0].piece_count, 4); /* and 5 lies elsewhere */
    ck_assert_uint_eq(list[1].bytes, 40);      /* the caller's list is as it was */
    check_segment(0, 100);
}
END_TEST

START_TEST(empty_buffers_of_a_list_do_no_harm)
{
    struct ki_entry e[3];
    struct kirim_buf list[3] = { { NULL, 0 }, { (void *)(uintptr_t)zeros, 100 }, { NULL, 0 } };
    fill_entries(e, 3, 100, 300, &to->local);
    e[0].data = e[1].data = list;
    e[0].buf_count = e[1].buf_count = 3;
    submit_all(e, 3);
    ck_assert_uint_eq(seen_count, 1);
    ck_assert_uint_eq(seen[0].piece_count, 7);
    ck_assert_uint_eq(seen[0].bytes, 300);
}
END_TEST

START_TEST(train_has_at_most_so_many_segments)
{
    static const uint32_t limits[] = { 2, 64, 128 };
    const uint32_t limit = limits[_i];
    static struct ki_entry e[129];
    from->tx_segments_max = limit;
    for (uint32_t n = limit - 1; n <= limit + 1; n++) {
        seen_count = 0;
        fill_entries(e, n, 1, 1, &to->local);
        submit_all(e, n);
        ck_assert_uint_eq(seen_count, n <= limit ? 1 : 2);
        ck_assert_uint_eq(seen[0].bytes, n < limit ? n : limit);
        check_segment(0, n == 1 ? 0 : 1);
    }
    check_segment(1, 0);
}
END_TEST

START_TEST(train_has_at_most_so_many_bytes)
{
    static struct ki_entry e[100];
    const uint32_t bytes = 655 + (uint32_t)_i; /* 100 times 655 are 65,500; 99 times 656 64,944 */
    fill_entries(e, 100, bytes, 0, &to->local);
    submit_all(e, 100);
    ck_assert_uint_eq(seen_count, 1 + (size_t)_i);
    ck_assert_uint_eq(seen[0].bytes, (100 - (size_t)_i) * bytes);
}
END_TEST

START_TEST(halves_of_the_longest_train_make_one)
{
    struct ki_entry e[2];
    fill_entries(e, 2, 32753 + (uint32_t)_i, 0, &to->local); /* 65,506 and 65,508 */
    submit_all(e, 2);
    ck_assert_uint_eq(seen_count, 1 + (size_t)_i);
}
END_TEST

START_TEST(train_has_at_most_so_many_buffers)
{
    enum { BUFS = 8, COUNT = KI_TX_TRAIN_BUFS_MAX / BUFS };
    static struct ki_entry e[COUNT + 1];
    struct kirim_buf list[BUFS];
    for (size_t i = 0; i < BUFS; i++) {
        list[i] = (struct kirim_buf){ (void *)(uintptr_t)(zeros + 20 * i), 10 };
    }
    for (uint32_t n = COUNT - 1; n <= COUNT + 1; n++) {
        seen_count = 0;
        fill_entries(e, n, 10 * BUFS, 0, &to->local);
        for (uint32_t i = 0; i < n; i++) {
            e[i].data = list;
            e[i].buf_count = BUFS;
        }
        submit_all(e, n);
        ck_assert_uint_eq(seen_count, n <= COUNT ? 1 : 2);
        ck_assert_uint_eq(seen[0].piece_count, (n <= COUNT ? n : COUNT) * BUFS);
    }
}
END_TEST

START_TEST(list_of_more_buffers_than_a_train_has_leaves_alone)
{
    static struct kirim_buf list[KI_TX_TRAIN_BUFS_MAX + 1];
    struct ki_entry e[3];
    for (size_t i = 0; i < KI_TX_TRAIN_BUFS_MAX + 1; i++) {
        list[i] = (struct kirim_buf){ (void *)(uintptr_t)zeros, 1 };
    }
    fill_entries(e, 3, KI_TX_TRAIN_BUFS_MAX + 1, 0, &to->local);
    e[_i].data = list;
    e[_i].buf_count = KI_TX_TRAIN_BUFS_MAX + 1;
    submit_all(e, 3);
    size_t bytes = 0;
    for (size_t i = 0; i < seen_count; i++) {
        bytes += seen[i].bytes;
    }
    ck_assert_uint_eq(bytes, 3 * (KI_TX_TRAIN_BUFS_MAX + 1));
    ck_assert_uint_eq(seen_count, _i == 1 ? 3 : 2);
    ck_assert_uint_eq(from->tx_trains, _i == 1 ? 0 : 1);
}
END_TEST

START_TEST(one_call_gathers_so_many_buffers)
{
    enum { BUFS = 8, COUNT = KI_TX_TRAIN_BUFS_MAX / BUFS };
    static struct ki_entry e[3 * COUNT];
    struct kirim_buf list[BUFS];
    for (size_t i = 0; i < BUFS; i++) {
        list[i] = (struct kirim_buf){ (void *)(uintptr_t)(zeros + 20 * i), 10 };
    }
    for (uint32_t i = 0; i < 3 * COUNT; i++) {
        struct kirim_addr peer = to->local;
        kirim_addr_set_port(&peer, (uint16_t)(1000 + i / COUNT));
        e[i] = rig_entry(NULL, 10 * BUFS, &peer);
        e[i].data = list;
        e[i].buf_count = BUFS;
    }
    submit_all(e, 3 * COUNT);
    size_t bytes = 0;
    for (size_t i = 0; i < seen_count; i++) {
        bytes += seen[i].bytes;
    }
    ck_assert_uint_eq(bytes, (size_t)3 * COUNT * BUFS * 10);
    ck_assert_uint_eq(seen[0].piece_count, KI_TX_TRAIN_BUFS_MAX);
    ck_assert_uint_eq(seen[1].piece_count, KI_TX_TRAIN_BUFS_MAX);
    ck_assert_uint_eq(seen[2].piece_count, BUFS);                  /* none is left in this call */
    ck_assert_uint_eq(seen[seen_count - 1].piece_count, 2 * BUFS); /* the next one has them all */
    ck_assert_uint_eq(call_count, 2);
    ck_assert_uint_eq(from->tx_trains, 3);
}
END_TEST

/* What does not belong together: entry 2 differs from those beside it. */
START_TEST(trains_end_where_something_differs)
{
    static const struct kirim_control other = { .size = sizeof other, .ttl = 7 };
    static const size_t wanted[] = { 1, 3, 2, 3, 3, 3, 2, 3, 2, 3 };
    struct ki_entry e[5];
    fill_entries(e, 5, 100, 200, &to->local);
    switch (_i) {
    case 1:
        e[2].status |= KI_ALONE;
        break;
    case 2:
        e[2].status |= KI_TRAIN_HEAD;
        break;
    case 3:
        e[2].status |= KI_DONTROUTE;
        break;
    case 4:
        e[2].segment_bytes = 50;
        break;
    case 5:
        e[2].control = &other;
        break;
    case 6:
        e[2].bytes = 99;
        break;
    case 7:
        e[2].bytes = 0;
        break;
    case 8:
        e[2].bytes = 101;
        break; /* it begins one, of which the next is the last */
    case 9:
        kirim_addr_set_port(&e[2].peer, 7);
        break;
    default:
        break;
    }
    submit_all(e, 5);
    ck_assert_uint_eq(seen_count, wanted[_i] + (_i == 8));
    size_t bytes = 0;
    for (size_t i = 0; i < seen_count; i++) {
        bytes += seen[i].bytes;
    }
    ck_assert_uint_eq(bytes, 400 + e[2].bytes);
}
END_TEST

START_TEST(same_control_data_elsewhere_is_the_same)
{
    struct kirim_control control[2] = { { .size = sizeof control[0], .ttl = 7, .tag = 1 },
                                        { .size = sizeof control[0], .ttl = 7, .tag = 2 } };
    struct ki_entry e[2];
    fill_entries(e, 2, 100, 200, &to->local);
    e[0].control = &control[0];
    e[1].control = &control[1];
    control[1].ttl += (uint8_t)_i;
    submit_all(e, 2);
    ck_assert_uint_eq(seen_count, 1 + (size_t)_i);
    ck_assert_uint_gt(seen[0].control_bytes, 24 * (size_t)(_i == 0)); /* the size behind the TTL */
}
END_TEST

/* ---- trains that do not leave ---------------------------------------------------------------- */

/* Three trains: 3, 4 and 5 entries. */
static void fill_three(struct ki_entry *e)
{
    fill_entries(e, 12, 100, 200, &to->local);
    e[3].status |= KI_TRAIN_HEAD;
    e[7].status |= KI_TRAIN_HEAD;
}

START_TEST(refusal_speaks_of_the_whole_train)
{
    static const uint32_t at[] = { 0, 3, 7 };
    static const uint32_t length[] = { 3, 4, 5 };
    struct ki_entry e[12];
    struct ki_refusal why = { KIRIM_OK, 0, 0, 0 };
    fill_three(e);
    answers[0] = _i == 0 ? -EIO : _i;
    answers[1] = -EIO;
    ck_assert_uint_eq(rig_submit(&rig, from, e, 12, &why), at[_i]);
    ck_assert_uint_eq(why.entries, length[_i]);
    ck_assert_int_eq(why.err, KIRIM_ESYSTEM);
    ck_assert_int_eq(why.sys_err, EIO);
    ck_assert_uint_eq(from->tx_trains, (uint64_t)_i);
    ck_assert_uint_eq(seen_count, (size_t)_i);
}
END_TEST

START_TEST(partial_submit_goes_on_at_the_next_train)
{
    struct ki_entry e[12];
    fill_three(e);
    answers[0] = 1 + _i;
    submit_all(e, 12);
    ck_assert_uint_eq(call_count, 2);
    ck_assert_uint_eq(seen_count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(seen[i].bytes, 300 + 100 * i);
        check_segment(i, 100);
    }
    ck_assert_uint_eq(from->tx_trains, 3);
}
END_TEST

START_TEST(refused_train_behind_the_first_call_is_named)
{
    static struct ki_entry e[KI_BATCH_MAX + 6];
    struct ki_refusal why = { KIRIM_OK, 0, 0, 0 };
    for (uint32_t i = 0; i < KI_BATCH_MAX + 6; i++) {
        struct kirim_addr peer = to->local;
        kirim_addr_set_port(&peer, (uint16_t)(i < KI_BATCH_MAX ? 1000 + i : 5));
        e[i] = rig_entry(zeros, 10, &peer);
    }
    answers[1] = -EINVAL;
    ck_assert_uint_eq(rig_submit(&rig, from, e, KI_BATCH_MAX + 6, &why), KI_BATCH_MAX);
    ck_assert_uint_eq(why.entries, 6);
}
END_TEST

static TCase *train_cases(void)
{
    TCase *tcase = tcase_create("train");
    tcase_add_checked_fixture(tcase, set_up_seeing, tear_down);
    tcase_add_test(tcase, train_is_one_header);
    tcase_add_loop_test(tcase, one_segment_says_no_size, 0, 3);
    tcase_add_test(tcase, buffers_that_touch_become_one);
    tcase_add_test(tcase, empty_buffers_of_a_list_do_no_harm);
    tcase_add_loop_test(tcase, train_has_at_most_so_many_segments, 0, 3);
    tcase_add_loop_test(tcase, train_has_at_most_so_many_bytes, 0, 2);
    tcase_add_loop_test(tcase, halves_of_the_longest_train_make_one, 0, 2);
    tcase_add_test(tcase, train_has_at_most_so_many_buffers);
    tcase_add_loop_test(tcase, list_of_more_buffers_than_a_train_has_leaves_alone, 0, 3);
    tcase_add_test(tcase, one_call_gathers_so_many_buffers);
    tcase_add_loop_test(tcase, trains_end_where_something_differs, 0, 10);
    tcase_add_loop_test(tcase, same_control_data_elsewhere_is_the_same, 0, 2);
    tcase_add_loop_test(tcase, refusal_speaks_of_the_whole_train, 0, 3);
    tcase_add_loop_test(tcase, partial_submit_goes_on_at_the_next_train, 0, 2);
    tcase_add_test(tcase, refused_train_behind_the_first_call_is_named);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("reactors/posix_tx");
    suite_add_tcase(suite, submit_cases());
    suite_add_tcase(suite, train_cases());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
