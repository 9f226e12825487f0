/* SPDX-License-Identifier: MIT
 *
 * Claims about guests that hold for every reactor over Winsock: levels out of whatever the system
 * tells, failures, what is refused, and leaving at any time. The program runs them for each reactor
 * of this build but the simulator.
 */
#include "reactor.h"
#include "support/win_bench.h"

#include <string.h>

enum { CROWD_COUNT = 40, TURNS_COUNT = 5 };

static const char *reactor;
static struct guest guest; /* outlives the test function */
static struct heard from;
static struct heard to;

static void set_up(void)
{
    script_reset();
    memset(&guest, 0, sizeof guest);
    bench_open(reactor, NULL);
}

static void tear_down(void)
{
    bench_close();
}

static void turn_some(void)
{
    for (int i = 0; i < TURNS_COUNT; i++) {
        bench_turn();
    }
}

static void take_one(SOCKET s)
{
    char bytes[16];
    ck_assert_int_ge(recv(s, bytes, sizeof bytes, 0), 0);
}

static void end(struct guest *g)
{
    kirim_guest_remove(&g->guest);
    ck_assert_int_eq(closesocket(g->s), 0);
}

START_TEST(guest_is_told_while_it_is_readable)
{
    ck_assert_int_eq(bench_watch(&guest, bench_socket(), KIRIM_GUEST_READABLE), KIRIM_OK);
    turn_some();
    ck_assert_uint_eq(guest.calls, 0);
    ck_assert_int_eq(send(guest.s, "ab", 2, 0), 2);
    bench_until(&guest.calls, 3); /* nobody reads: it goes on */
    ck_assert_uint_eq(guest.events, KIRIM_GUEST_READABLE);
    take_one(guest.s);
    bench_turn();
    const uint64_t calls = guest.calls;
    turn_some();
    ck_assert_uint_eq(guest.calls, calls);
    ck_assert_int_eq(send(guest.s, "ab", 2, 0), 2);
    bench_until(&guest.calls, calls + 1);
    end(&guest);
}
END_TEST

START_TEST(guest_that_reads_one_of_two_is_told_again)
{
    ck_assert_int_eq(bench_watch(&guest, bench_socket(), KIRIM_GUEST_READABLE), KIRIM_OK);
    ck_assert_int_eq(send(guest.s, "a", 1, 0), 1);
    ck_assert_int_eq(send(guest.s, "b", 1, 0), 1);
    bench_until(&guest.calls, 1);
    take_one(guest.s);
    const uint64_t calls = guest.calls;
    bench_until(&guest.calls, calls + 2);
    end(&guest);
}
END_TEST

START_TEST(what_had_come_before_is_told)
{
    ck_assert_int_eq(bench_watch(&guest, bench_readable_socket(), KIRIM_GUEST_READABLE), KIRIM_OK);
    bench_until(&guest.calls, 1);
    ck_assert_uint_eq(guest.events, KIRIM_GUEST_READABLE);
    end(&guest);
}
END_TEST

START_TEST(guest_is_told_what_it_asks_for)
{
    const SOCKET s = bench_readable_socket();
    ck_assert_int_eq(bench_watch(&guest, s, KIRIM_GUEST_WRITABLE), KIRIM_OK);
    bench_until(&guest.calls, 2);
    ck_assert_uint_eq(guest.events, KIRIM_GUEST_WRITABLE);
    ck_assert_int_eq(bench_watch(&guest, s, KIRIM_GUEST_WRITABLE | KIRIM_GUEST_READABLE), KIRIM_OK);
    bench_until(&guest.calls, guest.calls + 2);
    ck_assert_uint_eq(guest.events, KIRIM_GUEST_WRITABLE | KIRIM_GUEST_READABLE);
    ck_assert_int_eq(bench_watch(&guest, s, 0), KIRIM_OK); /* a pause */
    const uint64_t calls = guest.calls;
    turn_some();
    ck_assert_uint_eq(guest.calls, calls);
    ck_assert_int_eq(bench_watch(&guest, s, KIRIM_GUEST_READABLE), KIRIM_OK);
    bench_until(&guest.calls, calls + 1);
    ck_assert_uint_eq(guest.events, KIRIM_GUEST_READABLE);
    end(&guest);
}
END_TEST

START_TEST(connection_that_is_there_to_be_accepted_is_readable)
{
    struct sockaddr_in name = { .sin_family = AF_INET };
    int bytes = sizeof name;
    const SOCKET listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    const SOCKET caller = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(listener, (const struct sockaddr *)&name, sizeof name), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&name, &bytes), 0);
    ck_assert_int_eq(bench_watch(&guest, listener, KIRIM_GUEST_READABLE), KIRIM_OK);
    turn_some();
    ck_assert_uint_eq(guest.calls, 0);
    ck_assert_int_eq(connect(caller, (const struct sockaddr *)&name, bytes), 0);
    bench_until(&guest.calls, 1);
    ck_assert_uint_eq(guest.events, KIRIM_GUEST_READABLE);
    ck_assert_int_eq(closesocket(caller), 0);
    end(&guest);
}
END_TEST

START_TEST(end_of_a_connection_is_told)
{
    SOCKET pair[2];
    bench_stream(pair);
    ck_assert_int_eq(bench_watch(&guest, pair[0], KIRIM_GUEST_READABLE), KIRIM_OK);
    turn_some();
    ck_assert_uint_eq(guest.calls, 0);
    ck_assert_int_eq(closesocket(pair[1]), 0);
    bench_until(&guest.calls, 1);
    ck_assert_uint_ne(guest.events & (KIRIM_GUEST_READABLE | KIRIM_GUEST_FAILED), 0);
    end(&guest);
}
END_TEST

START_TEST(connect_that_fails_is_told)
{
    struct sockaddr_in name = { .sin_family = AF_INET };
    int bytes = sizeof name;
    const SOCKET holder = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP); /* bound, and listens not */
    const SOCKET caller = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(holder, (const struct sockaddr *)&name, sizeof name), 0);
    ck_assert_int_eq(getsockname(holder, (struct sockaddr *)&name, &bytes), 0);
    bench_unblock(caller, true);
    ck_assert_int_eq(bench_watch(&guest, caller, KIRIM_GUEST_WRITABLE), KIRIM_OK);
    (void)connect(caller, (const struct sockaddr *)&name, bytes);
    while ((guest.events & KIRIM_GUEST_FAILED) == 0) {
        bench_until(&guest.calls, guest.calls + 1);
    }
    ck_assert_int_eq(closesocket(holder), 0);
    end(&guest);
}
END_TEST

/* Fills a connection until the system takes no more. */
static void fill(SOCKET s)
{
    static const char bytes[65536];
    bench_unblock(s, true);
    while (send(s, bytes, sizeof bytes, 0) > 0) {}
    ck_assert_int_eq(WSAGetLastError(), WSAEWOULDBLOCK);
}

START_TEST(full_connection_is_told_when_it_has_room)
{
    static char bytes[65536];
    SOCKET pair[2];
    bench_stream(pair);
    fill(pair[0]);
    ck_assert_int_eq(bench_watch(&guest, pair[0], KIRIM_GUEST_WRITABLE), KIRIM_OK);
    turn_some();
    ck_assert_uint_eq(guest.calls, 0);
    bench_unblock(pair[1], true);
    while (guest.calls == 0) {
        (void)recv(pair[1], bytes, sizeof bytes, 0);
        bench_turn();
    }
    ck_assert_uint_eq(guest.events, KIRIM_GUEST_WRITABLE);
    ck_assert_int_eq(closesocket(pair[1]), 0);
    end(&guest);
}
END_TEST

START_TEST(socket_is_watched_once)
{
    struct guest second = { .s = 0 };
    const SOCKET s = bench_socket();
    bench_listen(&from);
    ck_assert_int_eq(bench_watch(&guest, s, KIRIM_GUEST_READABLE), KIRIM_OK);
    ck_assert_int_eq(bench_watch(&second, s, KIRIM_GUEST_READABLE), KIRIM_EEXIST);
    const SOCKET own = (SOCKET)kirim_endpoint_descriptor(from.ep);
    ck_assert_int_eq(bench_watch(&second, own, KIRIM_GUEST_READABLE), KIRIM_EEXIST);
    kirim_guest_remove(&guest.guest);
    ck_assert_int_eq(bench_watch(&second, s, KIRIM_GUEST_READABLE), KIRIM_OK);
    end(&second);
}
END_TEST

START_TEST(what_is_no_open_socket_is_not_watched)
{
    const HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    ck_assert_int_eq(bench_watch(&guest, (SOCKET)event, KIRIM_GUEST_READABLE), KIRIM_EOPNOTSUPP);
    ck_assert(CloseHandle(event));
    const SOCKET s = bench_socket();
    ck_assert_int_eq(closesocket(s), 0);
    ck_assert_int_eq(bench_watch(&guest, s, KIRIM_GUEST_READABLE), KIRIM_EINVAL);
}
END_TEST

START_TEST(guest_closed_too_early_fails_alone)
{
    bench_listen(&from);
    bench_listen(&to);
    ck_assert_int_eq(bench_watch(&guest, bench_readable_socket(), KIRIM_GUEST_READABLE), KIRIM_OK);
    bench_until(&guest.calls, 1);
    ck_assert_int_eq(closesocket(guest.s), 0);
    bench_until(&guest.calls, guest.calls + 1);
    ck_assert_uint_eq(guest.events, KIRIM_GUEST_FAILED);
    kirim_guest_remove(&guest.guest);
    ck_assert_int_eq(bench_send(&from, &to), KIRIM_OK);
    bench_until(&to.datagrams, 1);
}
END_TEST

static void leave(struct guest *g)
{
    end(g);
}

START_TEST(guest_may_leave_inside_its_callback)
{
    guest.hook = leave;
    ck_assert_int_eq(bench_watch(&guest, bench_readable_socket(), KIRIM_GUEST_READABLE), KIRIM_OK);
    bench_until(&guest.calls, 1);
    turn_some();
    ck_assert_uint_eq(guest.calls, 1);
}
END_TEST

START_TEST(guest_that_left_is_its_owners_alone)
{
    const SOCKET s = bench_socket();
    ck_assert_int_eq(bench_watch(&guest, s, KIRIM_GUEST_READABLE), KIRIM_OK);
    kirim_guest_remove(&guest.guest);
    ck_assert_int_eq(send(s, "x", 1, 0), 1);
    turn_some();
    ck_assert_uint_eq(guest.calls, 0);
    bench_unblock(s, false); /* refused while somebody has its events */
    take_one(s);
    ck_assert_int_eq(closesocket(s), 0);
}
END_TEST

START_TEST(each_of_a_crowd_is_told_its_own)
{
    static struct guest crowd[CROWD_COUNT];
    memset(crowd, 0, sizeof crowd);
    for (int i = 0; i < CROWD_COUNT; i++) {
        ck_assert_int_eq(bench_watch(&crowd[i], bench_socket(), KIRIM_GUEST_READABLE), KIRIM_OK);
    }
    /* Every third one leaves: the last ones take their places. */
    for (int i = 0; i < CROWD_COUNT; i += 3) {
        end(&crowd[i]);
    }
    for (int i = 1; i < CROWD_COUNT; i += 3) {
        ck_assert_int_eq(send(crowd[i].s, "x", 1, 0), 1);
        bench_until(&crowd[i].calls, 1);
    }
    for (int i = 2; i < CROWD_COUNT; i += 3) {
        ck_assert_uint_eq(crowd[i].calls, 0);
        end(&crowd[i]);
    }
    for (int i = 1; i < CROWD_COUNT; i += 3) {
        end(&crowd[i]);
    }
}
END_TEST

static TCase *cases(void)
{
    TCase *tcase = tcase_create(reactor);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, guest_is_told_while_it_is_readable);
    tcase_add_test(tcase, guest_that_reads_one_of_two_is_told_again);
    tcase_add_test(tcase, what_had_come_before_is_told);
    tcase_add_test(tcase, guest_is_told_what_it_asks_for);
    tcase_add_test(tcase, connection_that_is_there_to_be_accepted_is_readable);
    tcase_add_test(tcase, end_of_a_connection_is_told);
    tcase_add_test(tcase, connect_that_fails_is_told);
    tcase_add_test(tcase, full_connection_is_told_when_it_has_room);
    tcase_add_test(tcase, socket_is_watched_once);
    tcase_add_test(tcase, what_is_no_open_socket_is_not_watched);
    tcase_add_test(tcase, guest_closed_too_early_fails_alone);
    tcase_add_test(tcase, guest_may_leave_inside_its_callback);
    tcase_add_test(tcase, guest_that_left_is_its_owners_alone);
    tcase_add_test(tcase, each_of_a_crowd_is_told_its_own);
    return tcase;
}

int main(void)
{
    int status = 0;
    for (size_t i = 0; ki_reactors[i] != NULL; i++) {
        reactor = ki_reactors[i]->name;
        if (reactor[0] != 0 && strcmp(reactor, "sim") != 0) {
            Suite *suite = suite_create("reactors/win_guest");
            suite_add_tcase(suite, cases());
            status |= bench_run(suite);
        }
    }
    return status;
}
