/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_socket.c: the order of its steps, who may have the address besides,
 * what becomes of an adopted socket, and what is refused. Real sockets, behind a table that notes
 * and fails.
 */
#include "support/win_bench.h"

#include <stdlib.h>
#include <string.h>

enum { RECEIVE_BYTES = 200000, SEND_BYTES = 100000, DATAGRAM_BYTES = 1500 };

/* They outlive the test function: their last callback comes with the loop's end. */
static struct heard one;
static struct heard two;

static void set_up(void)
{
    script_reset();
    bench_open("select", NULL);
}

static void tear_down(void)
{
    bench_close();
}

static SOCKET socket_of(const struct heard *h)
{
    return (SOCKET)kirim_endpoint_descriptor(h->ep);
}

static bool is_inheritable(SOCKET s)
{
    DWORD flags = 0;
    ck_assert(GetHandleInformation((HANDLE)s, &flags));
    return (flags & HANDLE_FLAG_INHERIT) != 0;
}

/* ---- the order of the steps ------------------------------------------------------------------ */

START_TEST(every_option_is_set_before_the_bind) /* L42 */
{
    static const struct {
        enum script_call call;
        int level;
        int name;
        uint32_t value;
    } wanted[] = {
        { SCRIPT_SETSOCKOPT, IPPROTO_IPV6, IPV6_V6ONLY, 0 },
        { SCRIPT_SETSOCKOPT, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1 },
        { SCRIPT_SETSOCKOPT, SOL_SOCKET, SO_BROADCAST, 1 },
        { SCRIPT_SETSOCKOPT, SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES },
        { SCRIPT_SETSOCKOPT, SOL_SOCKET, SO_SNDBUF, SEND_BYTES },
        { SCRIPT_SETSOCKOPT, IPPROTO_IP, IP_PKTINFO, 1 },
        { SCRIPT_SETSOCKOPT, IPPROTO_IP, IP_RECVTOS, 1 },
        { SCRIPT_SETSOCKOPT, IPPROTO_IP, KI_IP_RECVECN, 1 },
        { SCRIPT_SETSOCKOPT, IPPROTO_IP, IP_RECVTTL, 1 },
        { SCRIPT_SETSOCKOPT, IPPROTO_IPV6, IPV6_PKTINFO, 1 },
        { SCRIPT_SETSOCKOPT, IPPROTO_IPV6, IPV6_RECVTCLASS, 1 },
        { SCRIPT_SETSOCKOPT, IPPROTO_IPV6, KI_IPV6_RECVECN, 1 },
        { SCRIPT_SETSOCKOPT, IPPROTO_IPV6, IPV6_HOPLIMIT, 1 },
        { SCRIPT_IOCTL, 0, (int)KI_SIO_UDP_CONNRESET, 1 },
    };
    struct kirim_endpoint_options o =
        bench_at("[::]:0", KIRIM_ENDPOINT_DUAL_STACK | KIRIM_ENDPOINT_BROADCAST |
                               KIRIM_ENDPOINT_RECEIVE_CONTROL);
    o.receive_buffer_bytes = RECEIVE_BYTES;
    o.send_buffer_bytes = SEND_BYTES;
    ck_assert_int_eq(bench_try(&one, &o), KIRIM_OK);
    const int bound_at = script_find(SCRIPT_BIND, 0, 0, 0);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const int at = script_find(wanted[i].call, wanted[i].level, wanted[i].name, 0);
        ck_assert_msg(at >= 0 && at < bound_at, "number %u", (unsigned)i);
        ck_assert_uint_eq(script_step_at(at)->value, wanted[i].value);
    }
    for (int at = bound_at; at < script_step_count(); at++) {
        ck_assert_int_ne(script_step_at(at)->call, SCRIPT_SETSOCKOPT);
    }
}
END_TEST

START_TEST(socket_stops_waiting_last_of_all)
{
    bench_listen(&one);
    const int at = script_find(SCRIPT_IOCTL, 0, (int)FIONBIO, 0);
    ck_assert_int_eq(at, script_step_count() - 1);
    ck_assert_uint_eq(script_step_at(at)->value, 1);
}
END_TEST

START_TEST(arrivals_tell_their_local_address_where_it_is_not_known)
{
    bench_listen(&one);
    ck_assert_int_lt(script_find(SCRIPT_SETSOCKOPT, IPPROTO_IP, IP_PKTINFO, 0), 0);
    bench_listen_at(&two, "0.0.0.0:0", 0);
    ck_assert_int_ge(script_find(SCRIPT_SETSOCKOPT, IPPROTO_IP, IP_PKTINFO, 0), 0);
    ck_assert_int_lt(script_find(SCRIPT_SETSOCKOPT, IPPROTO_IP, IP_RECVTOS, 0), 0);
}
END_TEST

START_TEST(reports_of_the_network_are_told_unless_unwanted) /* L44 */
{
    bench_listen_at(&one, "127.0.0.1:0", KIRIM_ENDPOINT_NO_ERROR_QUEUE);
    int at = script_find(SCRIPT_IOCTL, 0, (int)KI_SIO_UDP_CONNRESET, 0);
    ck_assert_uint_eq(script_step_at(at)->value, 0);
    script_forget_steps();
    struct kirim_endpoint_options o = bench_at(NULL, KIRIM_ENDPOINT_NO_ERROR_QUEUE);
    o.peer = one.addr;
    ck_assert_int_eq(bench_try(&two, &o), KIRIM_OK); /* the peer's, of a connected socket */
    at = script_find(SCRIPT_IOCTL, 0, (int)KI_SIO_UDP_CONNRESET, 0);
    ck_assert_uint_eq(script_step_at(at)->value, 1);
}
END_TEST

START_TEST(ipv6_is_alone_unless_dual_stack_is_asked_for)
{
    bench_listen_at(&one, "[::]:0", 0);
    ck_assert_uint_eq(bench_option(socket_of(&one), IPPROTO_IPV6, IPV6_V6ONLY) & 0xff, 1);
    bench_listen_at(&two, "[::]:0", KIRIM_ENDPOINT_DUAL_STACK);
    ck_assert_uint_eq(bench_option(socket_of(&two), IPPROTO_IPV6, IPV6_V6ONLY) & 0xff, 0);
}
END_TEST

/* ---- who may have the address ---------------------------------------------------------------- */

/* Tries to bind a socket of somebody else's to an endpoint's address, by force. */
static int take_over(const struct heard *h)
{
    const DWORD is_on = 1;
    struct sockaddr_in name = { .sin_family = AF_INET };
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = htons(kirim_addr_port(&h->addr));
    const SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    ck_assert_int_eq(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, (const char *)&is_on, sizeof is_on),
                     0);
    const int answer = bind(s, (const struct sockaddr *)&name, sizeof name);
    ck_assert_int_eq(closesocket(s), 0);
    return answer;
}

START_TEST(address_is_the_endpoints_own)
{
    bench_listen(&one);
    ck_assert_int_ne(take_over(&one), 0);
    struct kirim_endpoint_options o = bench_at(NULL, KIRIM_ENDPOINT_SHARE_PORT);
    o.local = one.addr;
    ck_assert_int_eq(bench_try(&two, &o), KIRIM_EADDRINUSE);
    ck_assert_int_ge(script_find(SCRIPT_SETSOCKOPT, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 0), 0);
}
END_TEST

START_TEST(address_is_shared_if_asked_for)
{
    bench_listen_at(&one, "127.0.0.1:0", KIRIM_ENDPOINT_SHARE_PORT);
    struct kirim_endpoint_options o = bench_at(NULL, KIRIM_ENDPOINT_SHARE_PORT);
    o.local = one.addr;
    ck_assert_int_eq(bench_try(&two, &o), KIRIM_OK);
    ck_assert_int_lt(script_find(SCRIPT_SETSOCKOPT, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 0), 0);
    ck_assert_int_eq(take_over(&one), 0);
}
END_TEST

START_TEST(address_that_cannot_be_kept_for_oneself_is_not_bound)
{
    script_refuse_option(SOL_SOCKET, SO_EXCLUSIVEADDRUSE, WSAENOPROTOOPT);
    struct kirim_endpoint_options o = bench_at("127.0.0.1:0", 0);
    ck_assert_int_eq(bench_try(&one, &o), KIRIM_EOPNOTSUPP);
    ck_assert_uint_eq(script_count(SCRIPT_BIND), 0);
}
END_TEST

START_TEST(address_that_is_somebody_elses_is_in_use)
{
    script_answer(SCRIPT_BIND, WSAEACCES);
    struct kirim_endpoint_options o = bench_at("127.0.0.1:0", 0);
    ck_assert_int_eq(bench_try(&one, &o), KIRIM_EADDRINUSE);
}
END_TEST

START_TEST(child_inherits_only_what_it_is_meant_to)
{
    bench_listen(&one);
    ck_assert(!is_inheritable(socket_of(&one)));
    bench_listen_at(&two, "127.0.0.1:0", KIRIM_ENDPOINT_INHERIT);
    ck_assert(is_inheritable(socket_of(&two)));
    int at = script_find(SCRIPT_SOCKET, AF_INET, SOCK_DGRAM, 0);
    ck_assert_uint_eq(script_step_at(at)->value, 0x81); /* overlapped, not inherited */
    at = script_find(SCRIPT_SOCKET, AF_INET, SOCK_DGRAM, at + 1);
    ck_assert_uint_eq(script_step_at(at)->value, 0x01);
}
END_TEST

/* ---- adopting -------------------------------------------------------------------------------- */

static kirim_err adopt(struct heard *h, SOCKET s, uint32_t flags)
{
    struct kirim_endpoint_options o = bench_at(NULL, KIRIM_ENDPOINT_ADOPT | flags);
    o.adopt = (intptr_t)s;
    const kirim_err err = bench_try(h, &o);
    if (err == KIRIM_OK) {
        script_note_socket();
    }
    return err;
}

START_TEST(adopted_socket_tells_its_addresses)
{
    const SOCKET s = bench_socket();
    ck_assert_int_eq(adopt(&one, s, 0), KIRIM_OK);
    const struct kirim_addr peer = kirim_endpoint_peer(one.ep);
    ck_assert(socket_of(&one) == s);
    ck_assert_int_eq(kirim_addr_family(&one.addr), KIRIM_IPV4);
    ck_assert_uint_ne(kirim_addr_port(&one.addr), 0);
    ck_assert(kirim_addr_equal(&peer, &one.addr)); /* it is connected to itself */
    ck_assert_int_eq(kirim_endpoint_send_to(one.ep, "x", 1, NULL), KIRIM_OK);
    bench_until(&one.datagrams, 1);
    ck_assert_uint_eq(script_count(SCRIPT_BIND), 0);
}
END_TEST

START_TEST(adopted_socket_is_no_longer_inherited)
{
    const SOCKET s = bench_socket();
    ck_assert(SetHandleInformation((HANDLE)s, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT));
    ck_assert_int_eq(adopt(&one, s, 0), KIRIM_OK);
    ck_assert(!is_inheritable(s));
    const SOCKET other = bench_socket();
    ck_assert_int_eq(adopt(&two, other, KIRIM_ENDPOINT_INHERIT), KIRIM_OK);
    ck_assert(is_inheritable(other));
}
END_TEST

START_TEST(adopted_socket_is_bound_if_asked_for)
{
    const SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    ck_assert_int_eq(adopt(&one, s, 0), KIRIM_EINVAL);
    ck_assert_int_eq(adopt(&one, s, KIRIM_ENDPOINT_BIND_ADOPTED), KIRIM_EINVAL); /* where? */
    struct kirim_endpoint_options o =
        bench_at("127.0.0.1:0", KIRIM_ENDPOINT_ADOPT | KIRIM_ENDPOINT_BIND_ADOPTED);
    o.adopt = (intptr_t)s;
    ck_assert_int_eq(bench_try(&one, &o), KIRIM_OK);
    script_note_socket();
    ck_assert_uint_ne(kirim_addr_port(&one.addr), 0);
}
END_TEST

START_TEST(adopted_socket_that_is_shared_stays_so)
{
    const DWORD is_on = 1;
    const SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    ck_assert_int_eq(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, (const char *)&is_on, sizeof is_on),
                     0);
    struct kirim_endpoint_options o =
        bench_at("127.0.0.1:0", KIRIM_ENDPOINT_ADOPT | KIRIM_ENDPOINT_BIND_ADOPTED);
    o.adopt = (intptr_t)s;
    ck_assert_int_eq(bench_try(&one, &o), KIRIM_OK);
    script_note_socket();
    ck_assert_int_lt(script_find(SCRIPT_SETSOCKOPT, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 0), 0);
    ck_assert_int_eq(take_over(&one), 0);
}
END_TEST

START_TEST(what_is_no_datagram_socket_is_not_adopted)
{
    SOCKET pair[2];
    bench_stream(pair);
    ck_assert_int_eq(adopt(&one, pair[0], 0), KIRIM_EOPNOTSUPP);
    (void)closesocket(pair[0]);
    (void)closesocket(pair[1]);
    ck_assert_int_eq(adopt(&one, pair[0], 0), KIRIM_ENOTSOCK);
    ck_assert_uint_eq(script_count(SCRIPT_SETSOCKOPT), 0);
}
END_TEST

START_TEST(adopted_socket_needs_a_provider_with_both_functions) /* S12 */
{
    const SOCKET s = bench_socket();
    script_answer(SCRIPT_IOCTL, 0);
    script_answer(SCRIPT_IOCTL, WSAEINVAL); /* no WSARecvMsg */
    ck_assert_int_eq(adopt(&one, s, 0), KIRIM_EOPNOTSUPP);
    ck_assert_uint_eq(script_count(SCRIPT_SETSOCKOPT), 0);
    ck_assert_uint_eq(script_count(SCRIPT_SET_HANDLE), 0);
    ck_assert_int_eq(closesocket(s), 0);
}
END_TEST

/* Fails one of the late steps, and looks at what the caller gets back. */
START_TEST(refused_socket_goes_back_as_it_was)
{
    static const enum script_call late[] = { SCRIPT_GETPEERNAME, SCRIPT_GETSOCKNAME };
    const SOCKET s = bench_socket();
    const uint32_t receive_bytes = bench_option(s, SOL_SOCKET, SO_RCVBUF);
    const uint32_t send_bytes = bench_option(s, SOL_SOCKET, SO_SNDBUF);
    ck_assert(SetHandleInformation((HANDLE)s, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT));
    script_make_option(IPPROTO_UDP, KI_UDP_SEND_MSG_SIZE, 1200);
    script_make_option(IPPROTO_UDP, KI_UDP_RECV_MAX_COALESCED_SIZE, 9000);
    struct kirim_endpoint_options o = bench_at(
        NULL, KIRIM_ENDPOINT_ADOPT | KIRIM_ENDPOINT_BROADCAST | KIRIM_ENDPOINT_RECEIVE_CONTROL);
    o.adopt = (intptr_t)s;
    o.receive_buffer_bytes = receive_bytes * 2;
    o.send_buffer_bytes = send_bytes * 2;
    /* The name is read before anything is changed, and to know whether arrivals must tell it. */
    script_answer(SCRIPT_GETSOCKNAME, 0);
    script_answer(SCRIPT_GETSOCKNAME, 0);
    script_answer(late[_i], WSAENETDOWN);
    ck_assert_int_eq(bench_try(&one, &o), KIRIM_ENETDOWN);
    ck_assert_uint_eq(bench_option(s, SOL_SOCKET, SO_RCVBUF), receive_bytes);
    ck_assert_uint_eq(bench_option(s, SOL_SOCKET, SO_SNDBUF), send_bytes);
    ck_assert_uint_eq(bench_option(s, SOL_SOCKET, SO_BROADCAST), 0);
    ck_assert_uint_eq(bench_option(s, IPPROTO_IP, IP_RECVTTL) & 0xff, 0);
    ck_assert_uint_eq(script_option(IPPROTO_UDP, KI_UDP_SEND_MSG_SIZE), 1200);
    ck_assert_uint_eq(script_option(IPPROTO_UDP, KI_UDP_RECV_MAX_COALESCED_SIZE), 9000);
    ck_assert(is_inheritable(s));
    ck_assert_int_lt(script_find(SCRIPT_IOCTL, 0, (int)FIONBIO, 0), 0); /* it still waits */
    ck_assert_uint_eq(script_count(SCRIPT_CLOSE), 0);
    ck_assert_int_eq(closesocket(s), 0);
}
END_TEST

START_TEST(offloads_of_an_earlier_owner_are_switched_off) /* L8 */
{
    const SOCKET s = bench_socket();
    script_make_option(IPPROTO_UDP, KI_UDP_SEND_MSG_SIZE, 1200);
    script_make_option(IPPROTO_UDP, KI_UDP_RECV_MAX_COALESCED_SIZE, 9000);
    ck_assert_int_eq(adopt(&one, s, 0), KIRIM_OK);
    ck_assert_uint_eq(script_option(IPPROTO_UDP, KI_UDP_SEND_MSG_SIZE), 0);
    ck_assert_uint_eq(script_option(IPPROTO_UDP, KI_UDP_RECV_MAX_COALESCED_SIZE), 0);
}
END_TEST

/* Reading a raw socket needs more rights than a test has: a datagram socket says it were one. */
START_TEST(raw_socket_has_no_ports_and_no_offloads)
{
    const SOCKET s = bench_socket();
    script_make_option(SOL_SOCKET, SO_TYPE, SOCK_RAW);
    ck_assert_int_eq(adopt(&one, s, 0), KIRIM_OK);
    ck_assert_uint_eq(kirim_addr_port(&one.addr), 0);
    struct kirim_addr to;
    ck_assert_int_eq(kirim_addr_parse("127.0.0.1", &to), KIRIM_OK);
    ck_assert_int_eq(kirim_endpoint_send_to(one.ep, "x", 1, &to), KIRIM_OK); /* no port is fine */
    ck_assert_int_eq(kirim_endpoint_discard(one.ep, NULL), KIRIM_OK);
}
END_TEST

/* ---- offloads, buffers, refusals ------------------------------------------------------------- */

START_TEST(coalescing_is_for_who_asked_and_said_how_long)
{
    /* Undeclared, unwanted, and as it should be. */
    static const struct {
        uint32_t datagram_bytes_max;
        uint32_t flags;
        uint32_t wanted;
    } cases[] = {
        { 0, 0, 1 },
        { DATAGRAM_BYTES, KIRIM_ENDPOINT_NO_COALESCING, 1 },
        { DATAGRAM_BYTES, 0, 65527 },
    };
    bench_close();
    script_reset();
    script_make_option(IPPROTO_UDP, KI_UDP_RECV_MAX_COALESCED_SIZE, 1);
    ck_assert_int_eq(_putenv("KIRIM_GRO=1"), 0);
    bench_open("select", NULL);
    ck_assert_int_eq(_putenv("KIRIM_GRO="), 0);
    ck_assert_uint_ne(kirim_loop_caps(bench_loop()) & KIRIM_CAP_COALESCED, 0);
    struct kirim_endpoint_options o = bench_at("127.0.0.1:0", cases[_i].flags);
    o.datagram_bytes_max = cases[_i].datagram_bytes_max;
    ck_assert_int_eq(bench_try(&one, &o), KIRIM_OK);
    ck_assert_uint_eq(script_option(IPPROTO_UDP, KI_UDP_RECV_MAX_COALESCED_SIZE), cases[_i].wanted);
}
END_TEST

START_TEST(offloads_that_the_system_lacks_are_not_told) /* L9, L21 */
{
    static const char *const gso[] = { "KIRIM_GSO=", "KIRIM_GSO=0", "KIRIM_GSO=" };
    static const int known[] = { 1, 1, 0 };
    bench_close();
    script_reset();
    if (known[_i]) {
        script_make_option(IPPROTO_UDP, KI_UDP_SEND_MSG_SIZE, 0);
    } else {
        script_refuse_option(IPPROTO_UDP, KI_UDP_SEND_MSG_SIZE, WSAEINVAL);
    }
    script_make_option(IPPROTO_UDP, KI_UDP_RECV_MAX_COALESCED_SIZE, 0);
    ck_assert_int_eq(_putenv(gso[_i]), 0);
    bench_open("select", NULL);
    ck_assert_int_eq(_putenv("KIRIM_GSO="), 0);
    const uint32_t caps = kirim_loop_caps(bench_loop());
    ck_assert_int_eq((caps & KIRIM_CAP_TRAINS) != 0, _i == 0);
    ck_assert_uint_eq(caps & KIRIM_CAP_COALESCED, 0); /* nobody asked for it */
    ck_assert_uint_eq(script_option(IPPROTO_UDP, KI_UDP_RECV_MAX_COALESCED_SIZE), 0);
}
END_TEST

START_TEST(buffers_are_told_as_the_system_has_them)
{
    uint32_t receive_bytes = 0;
    uint32_t send_bytes = 0;
    struct kirim_endpoint_options o = bench_at("127.0.0.1:0", 0);
    o.receive_buffer_bytes = RECEIVE_BYTES;
    o.send_buffer_bytes = UINT32_MAX; /* an int to Winsock */
    script_make_option(SOL_SOCKET, SO_SNDBUF, 0);
    ck_assert_int_eq(bench_try(&one, &o), KIRIM_OK);
    ck_assert_int_eq(kirim_endpoint_buffers(one.ep, &receive_bytes, &send_bytes), KIRIM_OK);
    ck_assert_uint_eq(receive_bytes, bench_option(socket_of(&one), SOL_SOCKET, SO_RCVBUF));
    ck_assert_uint_ge(receive_bytes, RECEIVE_BYTES);
    ck_assert_uint_eq(send_bytes, INT32_MAX);
    script_refuse_option(SOL_SOCKET, SO_RCVBUF, WSAENETDOWN);
    ck_assert_int_eq(kirim_endpoint_buffers(one.ep, &receive_bytes, &send_bytes), KIRIM_ENETDOWN);
}
END_TEST

START_TEST(what_winsock_cannot_do_is_refused_before_a_socket_is_made)
{
    struct kirim_endpoint_options o = bench_at("127.0.0.1:0", KIRIM_ENDPOINT_TXTIME);
    ck_assert_int_eq(bench_try(&one, &o), KIRIM_EOPNOTSUPP);
    ck_assert_uint_eq(script_count(SCRIPT_SOCKET), 0);
}
END_TEST

START_TEST(open_that_fails_closes_its_socket)
{
    static const enum script_call calls[] = { SCRIPT_SETSOCKOPT, SCRIPT_BIND, SCRIPT_GETSOCKNAME };
    struct kirim_endpoint_options o = bench_at("127.0.0.1:0", 0);
    const int open_count = script_open_handles();
    script_answer(calls[_i], WSAENOBUFS);
    ck_assert_int_eq(bench_try(&one, &o), KIRIM_ENOBUFS);
    ck_assert_int_eq(script_open_handles(), open_count);
    ck_assert_int_eq(bench_try(&one, &o), KIRIM_OK);
}
END_TEST

START_TEST(loop_needs_a_provider_with_both_functions) /* S12 */
{
    struct kirim_loop *loop = NULL;
    struct kirim_loop_options o = KIRIM_LOOP_OPTIONS_INIT;
    script_reset();
    o.reactor = "select";
    o.system_calls = script_table();
    script_break(SCRIPT_IOCTL, WSAEINVAL);
    ck_assert_int_eq(kirim_loop_open(&o, &loop), KIRIM_EOPNOTSUPP);
    ck_assert_ptr_null(loop);
    ck_assert_int_eq(script_open_handles(), 0);
}
END_TEST

static void add_cases(TCase *tcase)
{
    tcase_add_test(tcase, every_option_is_set_before_the_bind);
    tcase_add_test(tcase, socket_stops_waiting_last_of_all);
    tcase_add_test(tcase, arrivals_tell_their_local_address_where_it_is_not_known);
    tcase_add_test(tcase, reports_of_the_network_are_told_unless_unwanted);
    tcase_add_test(tcase, ipv6_is_alone_unless_dual_stack_is_asked_for);
    tcase_add_test(tcase, address_is_the_endpoints_own);
    tcase_add_test(tcase, address_is_shared_if_asked_for);
    tcase_add_test(tcase, address_that_cannot_be_kept_for_oneself_is_not_bound);
    tcase_add_test(tcase, address_that_is_somebody_elses_is_in_use);
    tcase_add_test(tcase, child_inherits_only_what_it_is_meant_to);
    tcase_add_test(tcase, adopted_socket_tells_its_addresses);
    tcase_add_test(tcase, adopted_socket_is_no_longer_inherited);
    tcase_add_test(tcase, adopted_socket_is_bound_if_asked_for);
    tcase_add_test(tcase, adopted_socket_that_is_shared_stays_so);
    tcase_add_test(tcase, what_is_no_datagram_socket_is_not_adopted);
    tcase_add_test(tcase, adopted_socket_needs_a_provider_with_both_functions);
    tcase_add_loop_test(tcase, refused_socket_goes_back_as_it_was, 0, 2);
    tcase_add_test(tcase, offloads_of_an_earlier_owner_are_switched_off);
    tcase_add_test(tcase, raw_socket_has_no_ports_and_no_offloads);
    tcase_add_loop_test(tcase, coalescing_is_for_who_asked_and_said_how_long, 0, 3);
    tcase_add_loop_test(tcase, offloads_that_the_system_lacks_are_not_told, 0, 3);
    tcase_add_test(tcase, buffers_are_told_as_the_system_has_them);
    tcase_add_test(tcase, what_winsock_cannot_do_is_refused_before_a_socket_is_made);
    tcase_add_loop_test(tcase, open_that_fails_closes_its_socket, 0, 3);
}

int main(void)
{
    Suite *suite = suite_create("reactors/win_socket");
    TCase *tcase = tcase_create("socket");
    TCase *loop = tcase_create("loop");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    add_cases(tcase);
    tcase_add_test(loop, loop_needs_a_provider_with_both_functions);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, loop);
    return bench_run(suite);
}
