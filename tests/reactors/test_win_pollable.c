/* SPDX-License-Identifier: MIT
 *
 * Claims about the handle of the reactor wsaevent: a host that waits for nothing else is woken by
 * whatever a step can do, and by nothing else. Real sockets, behind a table whose WSAEventSelect
 * can be made to fail.
 */
#include <check.h>
#include <kirim/endpoint.h>
#include <kirim/guest.h>
#include <kirim/loop.h>
#include <kirim/remote.h>
#include <stdlib.h>
#include <string.h>

#include "win_sys.h"

enum { LIMIT_MS = 30000, STEPS_MAX = 100, PORT_COUNT = 40, NOT_YET = -1 };

static struct kirim_loop *loop;
static struct ki_win_sys sys;
static int selects_until_failure; /* NOT_YET: none fails */
static HANDLE handle;
static uint32_t received_count;
static uint32_t guest_count;
static uint32_t post_count;
static SOCKET out; /* sends to ports and guests */

static int WSAAPI counted_select(SOCKET s, WSAEVENT event, long what) /* long: the reference's */
{
    if (selects_until_failure == 0) {
        selects_until_failure = NOT_YET;
        WSASetLastError(WSAENOBUFS);
        return SOCKET_ERROR;
    }
    selects_until_failure -= selects_until_failure > 0;
    return WSAEventSelect(s, event, what);
}

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    (void)ep;
    (void)user;
    received_count += (uint32_t)batch->count;
}

static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = on_received };

static SOCKET udp_socket(struct sockaddr_in *name)
{
    int bytes = sizeof *name;
    const SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    memset(name, 0, sizeof *name);
    name->sin_family = AF_INET;
    name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert(s != INVALID_SOCKET);
    ck_assert_int_eq(bind(s, (struct sockaddr *)name, sizeof *name), 0);
    ck_assert_int_eq(getsockname(s, (struct sockaddr *)name, &bytes), 0);
    return s;
}

static void setup(void)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct sockaddr_in name;
    sys = ki_win_sys_default;
    sys.event_select = counted_select;
    selects_until_failure = NOT_YET;
    received_count = guest_count = post_count = 0;
    options.reactor = "wsaevent";
    options.system_calls = &sys;
    ck_assert_int_eq(kirim_loop_open(&options, &loop), KIRIM_OK);
    out = udp_socket(&name);
}

static void teardown(void)
{
    (void)closesocket(out);
    ck_assert_int_eq(kirim_loop_close(loop), KIRIM_OK);
}

static struct kirim_endpoint *endpoint(void)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_endpoint *ep = NULL;
    ck_assert_int_eq(kirim_addr_parse("127.0.0.1:0", &options.local), KIRIM_OK);
    options.handler = &handler;
    ck_assert_int_eq(kirim_endpoint_open(loop, &options, &ep), KIRIM_OK);
    return ep;
}

static void send_to(uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    ck_assert_int_eq(sendto(out, "x", 1, 0, (const struct sockaddr *)&to, sizeof to), 1);
}

static void send_to_endpoint(const struct kirim_endpoint *ep)
{
    const struct kirim_addr local = kirim_endpoint_local(ep);
    send_to(kirim_addr_port(&local));
}

static void ask_for_handle(void)
{
    intptr_t answer = 0;
    ck_assert_int_eq(kirim_loop_pollable(loop, &answer), KIRIM_OK);
    handle = (HANDLE)answer;
    ck_assert_int_eq(kirim_loop_pollable(loop, &answer), KIRIM_OK);
    ck_assert_ptr_eq(handle, (HANDLE)answer);
}

static bool is_signalled(void)
{
    return WaitForSingleObject(handle, 0) == WAIT_OBJECT_0;
}

/* Steps as a host does, until the count is there. */
static void host_until(const uint32_t *count, uint32_t wanted)
{
    while (*count < wanted) {
        if (kirim_loop_deadline(loop) != 0) {
            ck_assert_uint_eq(WaitForSingleObject(handle, LIMIT_MS), WAIT_OBJECT_0);
        }
        ck_assert_int_eq(kirim_loop_step(loop, 0), KIRIM_OK);
    }
}

/* Steps until the handle is at rest, which it must be soon. */
static void settle(void)
{
    int steps = 0;
    while (is_signalled() || kirim_loop_deadline(loop) == 0) {
        ck_assert_int_lt(steps, STEPS_MAX);
        ck_assert_int_eq(kirim_loop_step(loop, 0), KIRIM_OK);
        steps++;
    }
}

START_TEST(datagrams_wake_the_host)
{
    struct kirim_endpoint *before = endpoint();
    ask_for_handle();
    struct kirim_endpoint *behind = endpoint();
    ck_assert_uint_ne(kirim_loop_caps(loop) & KIRIM_CAP_POLLABLE, 0);
    settle();
    for (uint32_t i = 1; i <= 10; i++) {
        send_to_endpoint(i % 2 == 0 ? before : behind);
        host_until(&received_count, i);
    }
    settle();
}
END_TEST

START_TEST(what_was_there_when_it_was_asked_for_is_not_forgotten)
{
    struct kirim_endpoint *ep[PORT_COUNT];
    for (size_t i = 0; i < PORT_COUNT; i++) {
        ep[i] = endpoint();
    }
    for (size_t i = 0; i < PORT_COUNT; i++) {
        send_to_endpoint(ep[i]);
    }
    ask_for_handle();
    host_until(&received_count, PORT_COUNT);
    for (size_t i = 0; i < PORT_COUNT; i += 2) {
        ck_assert_int_eq(kirim_endpoint_close(ep[i]), KIRIM_OK);
    }
    settle();
    for (size_t i = 1; i < PORT_COUNT; i += 2) {
        send_to_endpoint(ep[i]);
    }
    host_until(&received_count, PORT_COUNT + PORT_COUNT / 2);
}
END_TEST

static void on_post(struct kirim_post *post, struct kirim_loop *of, kirim_err err)
{
    (void)post;
    (void)of;
    ck_assert_int_eq(err, KIRIM_OK);
    post_count++;
}

START_TEST(wakes_wake_the_host)
{
    struct kirim_remote *remote = kirim_loop_remote(loop);
    struct kirim_post post = KIRIM_POST_INIT(on_post, NULL);
    ask_for_handle();
    settle();
    for (uint32_t i = 1; i <= 10; i++) {
        ck_assert_int_eq(kirim_remote_post(remote, &post), KIRIM_OK);
        host_until(&post_count, i);
        settle();
    }
    kirim_remote_release(remote);
}
END_TEST

/* Reads one datagram of a guest's each time, as a program may. */
static void on_guest(struct kirim_guest *guest, uint32_t events)
{
    char byte;
    ck_assert_uint_ne(events & KIRIM_GUEST_READABLE, 0);
    ck_assert_int_eq(recv(*(const SOCKET *)guest->user, &byte, 1, 0), 1);
    guest_count++;
}

START_TEST(guests_wake_the_host_while_they_have_something)
{
    struct sockaddr_in name;
    SOCKET s = udp_socket(&name);
    struct kirim_guest guest = { .ready = on_guest, .user = &s };
    const bool is_late = _i != 0;
    if (is_late) {
        ask_for_handle();
    }
    for (int i = 0; i < 3; i++) {
        send_to(ntohs(name.sin_port));
    }
    ck_assert_int_eq(kirim_guest_watch(loop, &guest, (intptr_t)s, KIRIM_GUEST_READABLE), KIRIM_OK);
    if (!is_late) {
        ask_for_handle();
    }
    host_until(&guest_count, 3); /* one a turn */
    settle();
    send_to(ntohs(name.sin_port));
    host_until(&guest_count, 4);
    settle();
    kirim_guest_remove(&guest);
    (void)closesocket(s);
}
END_TEST

/* Leaves its datagram where it is at first. */
static void on_lazy_guest(struct kirim_guest *guest, uint32_t events)
{
    char byte;
    ck_assert_uint_ne(events & KIRIM_GUEST_READABLE, 0);
    guest_count++;
    if (guest_count == 5) {
        ck_assert_int_eq(recv(*(const SOCKET *)guest->user, &byte, 1, 0), 1);
    }
}

/* There is no new record for what is not read: guests want levels all the same. */
START_TEST(guest_that_reads_nothing_wakes_the_host_again)
{
    struct sockaddr_in name;
    SOCKET s = udp_socket(&name);
    struct kirim_guest guest = { .ready = on_lazy_guest, .user = &s };
    ask_for_handle();
    ck_assert_int_eq(kirim_guest_watch(loop, &guest, (intptr_t)s, KIRIM_GUEST_READABLE), KIRIM_OK);
    settle();
    send_to(ntohs(name.sin_port));
    host_until(&guest_count, 5);
    settle();
    ck_assert_uint_eq(guest_count, 5);
    kirim_guest_remove(&guest);
    (void)closesocket(s);
}
END_TEST

/* The n-th selection fails: all is as before, and the next try succeeds. */
START_TEST(failure_to_move_changes_nothing)
{
    struct sockaddr_in name;
    SOCKET s = udp_socket(&name);
    struct kirim_guest guest = { .ready = on_guest, .user = &s };
    struct kirim_endpoint *a = endpoint();
    struct kirim_endpoint *b = endpoint();
    intptr_t answer = 77;
    ck_assert_int_eq(kirim_guest_watch(loop, &guest, (intptr_t)s, KIRIM_GUEST_READABLE), KIRIM_OK);
    selects_until_failure = _i;
    ck_assert_int_eq(kirim_loop_pollable(loop, &answer), KIRIM_ENOBUFS);
    ck_assert_int_eq((int)answer, 77);
    send_to_endpoint(a);
    send_to_endpoint(b);
    send_to(ntohs(name.sin_port));
    while (received_count < 2 || guest_count < 1) {
        ck_assert_int_eq(kirim_loop_step(loop, UINT64_C(30000000000)), KIRIM_OK);
    }
    ask_for_handle();
    settle();
    send_to_endpoint(a);
    host_until(&received_count, 3);
    kirim_guest_remove(&guest);
    (void)closesocket(s);
}
END_TEST

/* Without a host the loop runs on as it did. */
START_TEST(loop_still_waits_by_itself)
{
    struct kirim_endpoint *ep = endpoint();
    ask_for_handle();
    settle();
    for (uint32_t i = 1; i <= 10; i++) {
        send_to_endpoint(ep);
        while (received_count < i) {
            ck_assert_int_eq(kirim_loop_step(loop, UINT64_C(30000000000)), KIRIM_OK);
        }
    }
}
END_TEST

int main(void)
{
    WSADATA data;
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        return EXIT_FAILURE;
    }
    Suite *suite = suite_create("reactors/win_pollable");
    TCase *tcase = tcase_create("handle");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, datagrams_wake_the_host);
    tcase_add_test(tcase, what_was_there_when_it_was_asked_for_is_not_forgotten);
    tcase_add_test(tcase, wakes_wake_the_host);
    tcase_add_loop_test(tcase, guests_wake_the_host_while_they_have_something, 0, 2);
    tcase_add_test(tcase, guest_that_reads_nothing_wakes_the_host_again);
    tcase_add_loop_test(tcase, failure_to_move_changes_nothing, 0, 3);
    tcase_add_test(tcase, loop_still_waits_by_itself);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    (void)WSACleanup();
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
