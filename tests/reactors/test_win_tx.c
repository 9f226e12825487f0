/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_tx.c and win_msg.c: what WSASendMsg is given, and what becomes of its
 * answer. A spy stands behind the pointer: no socket is used.
 */
#include "win_tx.h"

#include <check.h>
#include <stdlib.h>

enum { CALLS_MAX = 8, BUFS_MAX = 8 };

/* What the spy has seen, and what it answers. */
static struct call {
    struct sockaddr_in6 name;
    int name_bytes;
    bool has_name;
    WSABUF bufs[BUFS_MAX];
    DWORD buf_count;
    ULONG control_bytes;
    uint8_t control[KI_WIN_CONTROL_TX_BYTES];
    bool has_control;
    DWORD msg_flags;
    DWORD flags;
    bool has_count;
    bool has_overlapped;
} calls[CALLS_MAX];
static uint32_t call_count;
static int answers[CALLS_MAX];

static struct ki_win win;
static struct ki_win_port port;
static struct ki_refusal why;
static uint32_t wanted_count;
static kirim_err want_answer;

static INT WSAAPI spy_send(SOCKET s, LPWSAMSG msg, DWORD flags, LPDWORD sent,
                           LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    ck_assert_uint_eq(s, 1234);
    ck_assert_uint_lt(call_count, CALLS_MAX);
    ck_assert_uint_le(msg->dwBufferCount, BUFS_MAX);
    struct call *call = &calls[call_count];
    *call = (struct call){
        .name_bytes = msg->namelen,
        .has_name = msg->name != NULL,
        .buf_count = msg->dwBufferCount,
        .control_bytes = msg->Control.len,
        .has_control = msg->Control.buf != NULL,
        .msg_flags = msg->dwFlags,
        .flags = flags,
        .has_count = sent != NULL,
        .has_overlapped = overlapped != NULL || routine != NULL,
    };
    if (msg->name != NULL) {
        memcpy(&call->name, msg->name, (size_t)msg->namelen);
    }
    memcpy(call->bufs, msg->lpBuffers, msg->dwBufferCount * sizeof *msg->lpBuffers);
    if (msg->Control.buf != NULL) {
        memcpy(call->control, msg->Control.buf, msg->Control.len);
    }
    WSASetLastError(answers[call_count]);
    return answers[call_count++] == 0 ? 0 : SOCKET_ERROR;
}

static kirim_err want_writable(struct ki_win *r, struct ki_win_port *p)
{
    ck_assert_ptr_eq(r, &win);
    ck_assert_ptr_eq(p, &port);
    wanted_count++;
    return want_answer;
}

static void setup(void)
{
    memset(&win, 0, sizeof win);
    memset(&port, 0, sizeof port);
    memset(answers, 0, sizeof answers);
    call_count = 0;
    wanted_count = 0;
    want_answer = KIRIM_OK;
    win.want_writable = want_writable;
    port.calls.send = spy_send;
    port.port.descriptor = 1234;
    port.port.tx_segments_max = 1;
}

static struct ki_entry entry(const char *bytes, uint32_t count, const char *peer)
{
    struct ki_entry e = {
        .data = (void *)(uintptr_t)bytes,
        .bytes = count,
        .buf_count = 1,
    };
    if (peer != NULL) {
        ck_assert_int_eq(kirim_addr_parse(peer, &e.peer), KIRIM_OK);
    }
    return e;
}

static uint32_t submit(struct ki_entry *e, uint32_t n)
{
    return ki_win_submit(&win.reactor, &port.port, e, n, &why);
}

START_TEST(plain_datagram_has_a_name_and_nothing_else) /* S1, S10, S16, S32, S50 */
{
    static const uint8_t name[16] = { 2, 0, 0x30, 0x39, 192, 0, 2, 1 };
    struct ki_entry e = entry("abc", 3, "192.0.2.1:12345");
    ck_assert_uint_eq(submit(&e, 1), 1);
    ck_assert_uint_eq(call_count, 1);
    ck_assert_int_eq(calls[0].name_bytes, 16);
    ck_assert_mem_eq(&calls[0].name, name, sizeof name);
    ck_assert_uint_eq(calls[0].buf_count, 1);
    ck_assert_uint_eq(calls[0].bufs[0].len, 3);
    ck_assert_ptr_eq(calls[0].bufs[0].buf, e.data);
    ck_assert(!calls[0].has_control);
    ck_assert_uint_eq(calls[0].control_bytes, 0);
    ck_assert_uint_eq(calls[0].msg_flags, 0);
    ck_assert_uint_eq(calls[0].flags, 0);
    ck_assert(calls[0].has_count);
    ck_assert(!calls[0].has_overlapped);
    ck_assert_uint_eq(port.port.tx_calls, 1);
}
END_TEST

START_TEST(connected_port_gives_no_name) /* S1, S32 */
{
    struct ki_entry e = entry("", 0, NULL);
    ck_assert_uint_eq(submit(&e, 1), 1);
    ck_assert(!calls[0].has_name);
    ck_assert_int_eq(calls[0].name_bytes, 0);
    ck_assert_uint_eq(calls[0].bufs[0].len, 0);
}
END_TEST

START_TEST(ipv4_on_an_ipv6_socket_is_mapped_and_keeps_its_level) /* S9 */
{
    static const uint8_t name[28] = {
        23, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1,
    };
    static const uint8_t control_bytes[] = {
        24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0, 127, 0, 0, 2, 0, 0, 0, 0,
    };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct ki_entry e = entry("x", 1, "192.0.2.1:7");
    ck_assert_int_eq(kirim_addr_parse("127.0.0.2", &control.source), KIRIM_OK);
    e.control = &control;
    port.is_ipv6 = 1;
    ck_assert_uint_eq(submit(&e, 1), 1);
    ck_assert_int_eq(calls[0].name_bytes, 28);
    ck_assert_mem_eq(&calls[0].name, name, sizeof name);
    ck_assert_uint_eq(calls[0].control_bytes, sizeof control_bytes);
    ck_assert_mem_eq(calls[0].control, control_bytes, sizeof control_bytes);
}
END_TEST

START_TEST(gather_list_goes_down_in_order) /* S4 */
{
    char head[] = "ab";
    char tail[] = "cde";
    const struct kirim_buf list[] = { { head, 2 }, { NULL, 0 }, { tail, 3 } };
    struct ki_entry e = entry((const char *)list, 5, "192.0.2.1:7");
    e.buf_count = 3;
    e.status = KI_DONTROUTE;
    ck_assert_uint_eq(submit(&e, 1), 1);
    ck_assert_uint_eq(calls[0].buf_count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_ptr_eq(calls[0].bufs[i].buf, list[i].data);
        ck_assert_uint_eq(calls[0].bufs[i].len, list[i].bytes);
    }
    ck_assert_uint_eq(calls[0].flags, 4); /* S11: MSG_DONTROUTE */
}
END_TEST

START_TEST(neighbours_leave_as_one_train) /* L7 */
{
    static const char bytes[] = "aaaabbbbcc";
    static const uint8_t segment[] = {
        20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
    };
    struct ki_entry e[] = {
        entry(bytes, 4, "192.0.2.1:7"),
        entry(bytes + 4, 4, "192.0.2.1:7"),
        entry(bytes + 8, 2, "192.0.2.1:7"),
        entry(bytes, 4, "192.0.2.2:7"),
    };
    port.port.tx_segments_max = 128;
    ck_assert_uint_eq(submit(e, 4), 4);
    ck_assert_uint_eq(call_count, 2);
    ck_assert_uint_eq(calls[0].buf_count, 1);
    ck_assert_uint_eq(calls[0].bufs[0].len, 10);
    ck_assert_uint_eq(calls[0].control_bytes, sizeof segment);
    ck_assert_mem_eq(calls[0].control, segment, sizeof segment);
    ck_assert(!calls[1].has_control);
    ck_assert_uint_eq(port.port.tx_trains, 1);
}
END_TEST

START_TEST(train_of_one_says_no_size) /* L7 */
{
    struct ki_entry e = entry("abcd", 4, "192.0.2.1:7");
    e.segment_bytes = 4;
    ck_assert_uint_eq(submit(&e, 1), 1);
    ck_assert(!calls[0].has_control);
    e.segment_bytes = 3;
    ck_assert_uint_eq(submit(&e, 1), 1);
    ck_assert_uint_eq(calls[1].control[16], 3);
    ck_assert_uint_eq(port.port.tx_trains, 1);
}
END_TEST

START_TEST(refused_train_is_refused_together)
{
    struct ki_entry e[] = { entry("aa", 2, "192.0.2.1:7"), entry("bb", 2, "192.0.2.1:7") };
    port.port.tx_segments_max = 128;
    answers[0] = WSAEINVAL;
    ck_assert_uint_eq(submit(e, 2), 0);
    ck_assert_int_eq(why.err, KIRIM_EINVAL);
    ck_assert_int_eq(why.sys_err, WSAEINVAL);
    ck_assert_uint_eq(why.entries, 2);
    ck_assert_uint_eq(why.is_stale, 0);
}
END_TEST

START_TEST(full_socket_is_waited_for) /* S16, S46 */
{
    struct ki_entry e[] = { entry("a", 1, "192.0.2.1:7"), entry("b", 1, "192.0.2.1:7") };
    answers[1] = WSAEWOULDBLOCK;
    ck_assert_uint_eq(submit(e, 2), 1);
    ck_assert_int_eq(why.err, KIRIM_EWOULDBLOCK);
    ck_assert_uint_eq(wanted_count, 1);
    ck_assert_uint_eq(port.is_blocked, 1);
    want_answer = KIRIM_ENOMEM;
    answers[2] = WSAEWOULDBLOCK;
    ck_assert_uint_eq(submit(e, 1), 0);
    ck_assert_int_eq(why.err, KIRIM_ENOBUFS); /* no signal would ever come */
    ck_assert_uint_eq(port.is_blocked, 0);
}
END_TEST

START_TEST(no_buffers_is_not_waited_for) /* S40 */
{
    struct ki_entry e = entry("a", 1, "192.0.2.1:7");
    answers[0] = WSAENOBUFS;
    ck_assert_uint_eq(submit(&e, 1), 0);
    ck_assert_int_eq(why.err, KIRIM_ENOBUFS);
    ck_assert_uint_eq(wanted_count, 0);
}
END_TEST

START_TEST(interrupted_call_is_made_again) /* S34 */
{
    struct ki_entry e = entry("a", 1, "192.0.2.1:7");
    answers[0] = WSAEINTR;
    ck_assert_uint_eq(submit(&e, 1), 1);
    ck_assert_uint_eq(call_count, 2);
}
END_TEST

START_TEST(error_of_an_earlier_datagram_is_kept_for_receive) /* S31, S38 */
{
    static const struct {
        int sys_err;
        kirim_err err;
    } earlier[] = {
        { WSAECONNRESET, KIRIM_ECONNRESET },
        { WSAECONNREFUSED, KIRIM_ECONNRESET },
        { WSAENETRESET, KIRIM_ENETRESET },
    };
    struct ki_entry e = entry("a", 1, NULL);
    ck_assert_int_eq(kirim_addr_parse("192.0.2.1:7", &port.port.remote), KIRIM_OK);
    answers[0] = earlier[_i].sys_err;
    ck_assert_uint_eq(submit(&e, 1), 0);
    ck_assert_uint_eq(why.is_stale, 1);
    ck_assert_uint_eq(port.port.errors_waiting, 1);
    ck_assert_uint_eq(port.report.is_there, 1);
    ck_assert_int_eq(port.report.err, earlier[_i].err);
    ck_assert_int_eq(port.report.sys_err, earlier[_i].sys_err);
    ck_assert(kirim_addr_equal(&port.report.peer, &port.port.remote));
}
END_TEST

/* ---- what a refusal means -------------------------------------------------------------------- */

static struct sockaddr_in6 bound_to;
static int bind_error;
static uint32_t made_count, closed_count;

static SOCKET WSAAPI play_socket(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info,
                                 GROUP group, DWORD flags)
{
    (void)family;
    (void)type;
    (void)protocol;
    (void)info;
    (void)group;
    (void)flags;
    made_count++;
    return 77;
}

static int WSAAPI play_bind(SOCKET s, const struct sockaddr *name, int bytes)
{
    ck_assert_uint_eq(s, 77);
    memset(&bound_to, 0, sizeof bound_to);
    memcpy(&bound_to, name, (size_t)bytes);
    WSASetLastError(bind_error);
    return bind_error == 0 ? 0 : SOCKET_ERROR;
}

static int WSAAPI play_close(SOCKET s)
{
    ck_assert_uint_eq(s, 77);
    closed_count++;
    return 0;
}

/* The system refuses a datagram with `sys_err`, and a bind to its source with `bound`. */
static kirim_err meaning(int sys_err, const char *local, const char *source, const char *peer,
                         int bound)
{
    static struct ki_win_sys sys;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct ki_entry e = entry("abc", 3, peer);
    setup();
    sys = ki_win_sys_default;
    sys.socket = play_socket;
    sys.bind = play_bind;
    sys.close = play_close;
    win.sys = &sys;
    bind_error = bound;
    made_count = closed_count = 0;
    if (local != NULL) {
        ck_assert_int_eq(kirim_addr_parse(local, &port.port.local), KIRIM_OK);
    }
    if (source != NULL) {
        ck_assert_int_eq(kirim_addr_parse(source, &control.source), KIRIM_OK);
        control.ifindex = 3;
        e.control = &control;
    }
    answers[0] = sys_err;
    ck_assert_uint_eq(submit(&e, 1), 0);
    ck_assert_int_eq(why.sys_err, sys_err);
    ck_assert_uint_eq(made_count, closed_count);
    return why.err;
}

START_TEST(loopback_address_leads_nowhere_else) /* S39 */
{
    static const int codes[] = { WSAEINVAL, WSAENETUNREACH, WSAEHOSTUNREACH, WSAEADDRNOTAVAIL };
    const int code = codes[_i];
    ck_assert_int_eq(meaning(code, "127.0.0.1:7", NULL, "192.0.2.1:9", 0), KIRIM_ENETUNREACH);
    ck_assert_int_eq(meaning(code, "0.0.0.0:7", "127.0.0.1:0", "192.0.2.1:9", 0),
                     KIRIM_ENETUNREACH);
    ck_assert_int_eq(meaning(code, "[::1]:7", NULL, "[2001:db8::1]:9", 0), KIRIM_ENETUNREACH);
    ck_assert_uint_eq(made_count, 0);
}
END_TEST

START_TEST(foreign_source_is_told_as_what_it_is) /* S7, S8 */
{
    static const int codes[] = { WSAEINVAL, WSAENETUNREACH, WSAEHOSTUNREACH, WSAEADDRNOTAVAIL };
    const int code = codes[_i];
    ck_assert_int_eq(meaning(code, "0.0.0.0:7", "192.0.2.7:0", "192.0.2.1:9", WSAEADDRNOTAVAIL),
                     KIRIM_EADDRNOTAVAIL);
    ck_assert_uint_eq(made_count, 1);
    ck_assert_int_eq(meaning(code, "[2001:db8::7]:7", NULL, "[2001:db8::1]:9", WSAEADDRNOTAVAIL),
                     KIRIM_EADDRNOTAVAIL);
    ck_assert_uint_eq(bound_to.sin6_scope_id, 0);
    ck_assert_uint_eq(bound_to.sin6_port, 0);
}
END_TEST

START_TEST(link_local_source_is_asked_for_on_its_interface)
{
    (void)meaning(WSAEINVAL, "[::]:7", "[fe80::7]:0", "[2001:db8::1]:9", WSAEADDRNOTAVAIL);
    ck_assert_uint_eq(bound_to.sin6_scope_id, 3);
    (void)meaning(WSAEINVAL, "[::]:7", "[2001:db8::7]:0", "[2001:db8::1]:9", WSAEADDRNOTAVAIL);
    ck_assert_uint_eq(bound_to.sin6_scope_id, 0); /* there it breaks the bind (L43) */
}
END_TEST

START_TEST(own_source_and_other_errors_stay_what_they_are)
{
    ck_assert_int_eq(meaning(WSAEINVAL, "0.0.0.0:7", "192.0.2.7:0", "192.0.2.1:9", 0),
                     KIRIM_EINVAL);
    ck_assert_int_eq(meaning(WSAENETUNREACH, "192.0.2.7:7", NULL, "192.0.2.1:9", 0),
                     KIRIM_ENETUNREACH);
    ck_assert_int_eq(meaning(WSAEINVAL, "127.0.0.1:7", NULL, "127.0.0.1:9", 0), KIRIM_EINVAL);
    ck_assert_int_eq(meaning(WSAEINVAL, "0.0.0.0:7", NULL, "192.0.2.1:9", WSAEADDRNOTAVAIL),
                     KIRIM_EINVAL);
    ck_assert_int_eq(meaning(WSAEMSGSIZE, "127.0.0.1:7", NULL, "192.0.2.1:9", 0), KIRIM_EMSGSIZE);
    ck_assert_uint_eq(made_count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/win_tx");
    TCase *tcase = tcase_create("submit");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, plain_datagram_has_a_name_and_nothing_else);
    tcase_add_test(tcase, connected_port_gives_no_name);
    tcase_add_test(tcase, ipv4_on_an_ipv6_socket_is_mapped_and_keeps_its_level);
    tcase_add_test(tcase, gather_list_goes_down_in_order);
    tcase_add_test(tcase, neighbours_leave_as_one_train);
    tcase_add_test(tcase, train_of_one_says_no_size);
    tcase_add_test(tcase, refused_train_is_refused_together);
    tcase_add_test(tcase, full_socket_is_waited_for);
    tcase_add_test(tcase, no_buffers_is_not_waited_for);
    tcase_add_test(tcase, interrupted_call_is_made_again);
    tcase_add_loop_test(tcase, error_of_an_earlier_datagram_is_kept_for_receive, 0, 3);
    tcase_add_loop_test(tcase, loopback_address_leads_nowhere_else, 0, 4);
    tcase_add_loop_test(tcase, foreign_source_is_told_as_what_it_is, 0, 4);
    tcase_add_test(tcase, link_local_source_is_asked_for_on_its_interface);
    tcase_add_test(tcase, own_source_and_other_errors_stay_what_they_are);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
