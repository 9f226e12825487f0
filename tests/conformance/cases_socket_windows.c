/* SPDX-License-Identifier: MIT
 *
 * What needs sockets of the caller's own, and other things of Windows: adopting, raw sockets,
 * inheritance, exclusive use of an address, the environment (S3, S29, S35, S42, S44, S51).
 */
#include <string.h>

#include "conformance.h"
#include "gaps_windows.h"
#include "win_addr.h"

/* A blocking socket of the caller's, as WSASocketW makes it. */
static SOCKET make_socket(const struct ks *t, int type, int protocol, DWORD flags, bool is_bound)
{
    union ki_win_name name;
    const struct kirim_addr local = ks_loopback(t->family, 0);
    const int bytes = ki_win_name_write(&name, &local, t->family == KIRIM_IPV6);
    const SOCKET s =
        WSASocketW(t->family == KIRIM_IPV4 ? AF_INET : AF_INET6, type, protocol, NULL, 0, flags);
    KS_CHECK(s != INVALID_SOCKET);
    if (is_bound) {
        KS_EQ(0, bind(s, &name.any, bytes));
    }
    return s;
}

static SOCKET make_datagram_socket(const struct ks *t, bool is_bound)
{
    return make_socket(t, SOCK_DGRAM, IPPROTO_UDP, WSA_FLAG_OVERLAPPED, is_bound);
}

static void connect_socket(SOCKET s, const struct ks_node *n)
{
    union ki_win_name name;
    const int bytes = ki_win_name_write(&name, &n->addr, n->t->family == KIRIM_IPV6);
    KS_EQ(0, connect(s, &name.any, bytes));
}

static struct kirim_endpoint_options adopting(SOCKET s)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.adopt = (intptr_t)s;
    options.flags = KIRIM_ENDPOINT_ADOPT;
    return options;
}

static bool is_open(SOCKET s)
{
    int type;
    int bytes = sizeof type;
    return getsockopt(s, SOL_SOCKET, SO_TYPE, (char *)&type, &bytes) == 0;
}

static bool is_inherited(SOCKET s)
{
    DWORD flags = 0;
    KS_CHECK(GetHandleInformation((HANDLE)s, &flags));
    return (flags & HANDLE_FLAG_INHERIT) != 0;
}

static int option_of(SOCKET s, int name)
{
    int value = 0;
    int bytes = sizeof value;
    KS_EQ(0, getsockopt(s, SOL_SOCKET, name, (char *)&value, &bytes));
    return value;
}

/* Whether a receive of a socket without datagrams waits: a blocking one does until its time-out. */
static bool is_blocking(SOCKET s)
{
    char byte;
    DWORD limit_ms = 20;
    KS_EQ(0, setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&limit_ms, sizeof limit_ms));
    KS_EQ(SOCKET_ERROR, recv(s, &byte, 1, 0));
    return WSAGetLastError() != WSAEWOULDBLOCK;
}

/* Refused, and the socket stays the caller's, open, as it was. */
static void is_refused(struct ks *t, SOCKET s, const struct kirim_endpoint_options *options,
                       kirim_err err)
{
    struct ks_node *n = NULL;
    const bool was_inherited = is_inherited(s);
    const int receive_bytes = option_of(s, SO_RCVBUF);
    KS_ERR(err, ks_node_try(t, options, &n));
    KS_CHECK(is_open(s));
    KS_EQ(was_inherited, is_inherited(s));
    KS_EQ(receive_bytes, option_of(s, SO_RCVBUF));
    KS_EQ(0, option_of(s, SO_BROADCAST));
    KS_EQ(0, option_of(s, SO_EXCLUSIVEADDRUSE));
    (void)closesocket(s);
}

/* ---- adopting -------------------------------------------------------------------------------- */

static void stream_is_refused(struct ks *t)
{
    const SOCKET s = make_socket(t, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED, true);
    struct kirim_endpoint_options options = adopting(s);
    options.receive_buffer_bytes = 100000;
    options.flags |= KIRIM_ENDPOINT_BROADCAST;
    is_refused(t, s, &options, KIRIM_EOPNOTSUPP);
}

static void no_socket_is_refused(struct ks *t)
{
    struct ks_node *n = NULL;
    const HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    const SOCKET s = make_datagram_socket(t, true);
    KS_CHECK(event != NULL);
    struct kirim_endpoint_options options = adopting((SOCKET)event);
    KS_ERR(KIRIM_ENOTSOCK, ks_node_try(t, &options, &n));
    KS_CHECK(CloseHandle(event)); /* it was there still */
    KS_ERR(KIRIM_ENOTSOCK, ks_node_try(t, &options, &n));
    (void)closesocket(s);
    options = adopting(s);
    KS_ERR(KIRIM_ENOTSOCK, ks_node_try(t, &options, &n));
    options = adopting(INVALID_SOCKET);
    KS_ERR(KIRIM_ENOTSOCK, ks_node_try(t, &options, &n));
    options.adopt = INTPTR_MAX;
    KS_ERR(KIRIM_ENOTSOCK, ks_node_try(t, &options, &n));
}

static void unbound_is_refused(struct ks *t)
{
    const SOCKET s = make_datagram_socket(t, false);
    struct kirim_endpoint_options options = adopting(s);
    is_refused(t, s, &options, KIRIM_EINVAL);
    options = adopting(make_datagram_socket(t, false));
    options.flags |= KIRIM_ENDPOINT_BIND_ADOPTED;
    options.local = ks_loopback(t->family, 0);
    struct ks_node *a = ks_node_with(t, &options);
    KS_CHECK(kirim_addr_port(&a->addr) != 0);
    KS_EQ(1, option_of((SOCKET)options.adopt, SO_EXCLUSIVEADDRUSE));
    KS_EXPECT_END(a, a);
}

/* A failure behind the first changes puts everything back: an address that is taken. */
static void failure_leaves_it_as_it_was(struct ks *t)
{
    const struct ks_node *other = ks_node(t);
    const SOCKET s = make_datagram_socket(t, false);
    struct kirim_endpoint_options options = adopting(s);
    options.flags |= KIRIM_ENDPOINT_BIND_ADOPTED | KIRIM_ENDPOINT_BROADCAST;
    options.local = other->addr;
    options.receive_buffer_bytes = 100000;
    is_refused(t, s, &options, KIRIM_EADDRINUSE);
}

static void adopted_serves(struct ks *t)
{
    const SOCKET s = make_datagram_socket(t, true);
    KS_CHECK(is_blocking(s));
    const struct kirim_endpoint_options options = adopting(s);
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b = ks_node(t);
    KS_CHECK((intptr_t)s == kirim_endpoint_descriptor(a->ep));
    KS_CHECK(!is_blocking(s));
    KS_CHECK(!is_inherited(s));
    KS_SEND(b, "hello", 5, &a->addr);
    KS_EXPECT(a, "hello", 5);
    KS_SEND_OP(a, "you", 3, &b->addr, ks_op(t, 0));
    KS_EXPECT(b, "you", 3);
    ks_node_close_and_wait(a);
    KS_CHECK(!is_open(s)); /* it was the endpoint's */
}

/* Who wants completions needs what WSA_FLAG_OVERLAPPED gives a socket; the others do not. */
static void unoverlapped_is_refused_or_serves(struct ks *t)
{
    const SOCKET s = make_socket(t, SOCK_DGRAM, IPPROTO_UDP, 0, true);
    const struct kirim_endpoint_options options = adopting(s);
    if ((t->caps & KIRIM_CAP_ALERTABLE) != 0) {
        is_refused(t, s, &options, KIRIM_EINVAL);
        return;
    }
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b = ks_node(t);
    KS_CHECK(!is_blocking(s));
    KS_SEND(b, "hello", 5, &a->addr);
    KS_EXPECT(a, "hello", 5);
    KS_SEND(a, "you", 3, &b->addr);
    KS_EXPECT(b, "you", 3);
}

static void adopted_stays_connected(struct ks *t)
{
    const SOCKET s = make_datagram_socket(t, true);
    struct ks_node *b = ks_node(t);
    struct ks_node *other = ks_node(t);
    connect_socket(s, b);
    const struct kirim_endpoint_options options = adopting(s);
    struct ks_node *a = ks_node_with(t, &options);
    const struct kirim_addr peer = kirim_endpoint_peer(a->ep);
    KS_CHECK(kirim_addr_equal(&b->addr, &peer));
    KS_SEND(other, "not for you", 11, &a->addr);
    ks_settle(t);
    KS_SEND(a, "hello", 5, NULL);
    KS_EXPECT(b, "hello", 5);
    KS_EXPECT_END(a, b);
}

static void shut_down_is_told(struct ks *t)
{
    const SOCKET s = make_datagram_socket(t, true);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    connect_socket(s, b);
    KS_EQ(0, shutdown(s, SD_SEND));
    const struct kirim_endpoint_options options = adopting(s);
    struct ks_node *a = ks_node_with(t, &options);
    t->mode = KIRIM_SEND_NOW;
    KS_ERR(KIRIM_ESHUTDOWN, ks_send(a, "x", 1, NULL, NULL));
    t->mode = 0;
    KS_OK(ks_send(a, "x", 1, NULL, NULL));
    KS_ERR(KIRIM_PENDING, ks_send(a, "x", 1, NULL, o));
    KS_UNTIL(t, a->failed_count == 1 && o->done_count == 1);
    KS_ERR(KIRIM_ESHUTDOWN, o->err);
    KS_ERR(KIRIM_ESHUTDOWN, a->event.err);
    KS_EQ(WSAESHUTDOWN, a->event.system_code);
    KS_EQ(KIRIM_DROP_SHUTDOWN, a->event.drop_reason);
    KS_SEND(b, "still here?", 11, &a->addr); /* the other side is not concerned */
    KS_EXPECT(a, "still here?", 11);
}

static void own_sockets_do_not_block(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct ks_node *a = ks_node(t);
    options.flags = KIRIM_ENDPOINT_INHERIT;
    struct ks_node *b = ks_node_with(t, &options);
    const SOCKET s = (SOCKET)kirim_endpoint_descriptor(a->ep);
    KS_CHECK(!is_blocking(s));
    KS_CHECK(!is_inherited(s));
    KS_CHECK(is_inherited((SOCKET)kirim_endpoint_descriptor(b->ep)));
}

/* Nobody else gets the port, not even who asks to share it; but where both share. */
static void address_is_ones_own(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    union ki_win_name name;
    DWORD on = 1;
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        options.flags = is_shared != 0 ? (uint32_t)KIRIM_ENDPOINT_SHARE_PORT : 0;
        const struct ks_node *a = ks_node_with(t, &options);
        const SOCKET theirs = make_datagram_socket(t, false);
        const int bytes = ki_win_name_write(&name, &a->addr, t->family == KIRIM_IPV6);
        KS_EQ(0, setsockopt(theirs, SOL_SOCKET, SO_REUSEADDR, (char *)&on, sizeof on));
        KS_EQ(is_shared != 0 ? 0 : SOCKET_ERROR, bind(theirs, &name.any, bytes));
        (void)closesocket(theirs);
        KS_EQ(is_shared == 0,
              option_of((SOCKET)kirim_endpoint_descriptor(a->ep), SO_EXCLUSIVEADDRUSE) != 0);
    }
}

/* ---- raw sockets ----------------------------------------------------------------------------- */

enum { ECHO_BYTES = 16, ECHO_ID = 0x4b52 };

/* The error of making a raw socket; 0: it can be made. */
static int try_raw(int family, int protocol)
{
    WSADATA data;
    int err = WSAStartup(MAKEWORD(2, 2), &data);
    if (err == 0) {
        const SOCKET s = WSASocketW(family, SOCK_RAW, protocol, NULL, 0, WSA_FLAG_OVERLAPPED);
        err = s == INVALID_SOCKET ? WSAGetLastError() : 0;
        (void)closesocket(s);
        (void)WSACleanup();
    }
    return err;
}

/* Raw sockets are an administrator's. */
static const char *raw_obstacle(void)
{
    return try_raw(AF_INET, IPPROTO_ICMP) == WSAEACCES ? "not-permitted: a raw socket" : NULL;
}

static const char *raw_gap(const struct kc_where *where)
{
    return where->family == KIRIM_IPV6 && kc_is_wine() && try_raw(AF_INET6, IPPROTO_ICMPV6) != 0
               ? "wine-makes-no-raw-icmpv6-socket"
               : NULL;
}

/* An echo request of IPv4; of IPv6 the checksum is the system's task. */
static void make_echo(uint8_t out[ECHO_BYTES], int family)
{
    memset(out, 0, ECHO_BYTES);
    out[0] = family == KIRIM_IPV4 ? 8 : 128;
    out[4] = ECHO_ID >> 8;
    out[5] = ECHO_ID & 0xff;
    memcpy(out + 8, "kirim", 5);
    uint32_t sum = 0;
    for (int i = 0; i < ECHO_BYTES; i += 2) {
        sum += (uint32_t)out[i] << 8 | out[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~(sum + (sum >> 16)) & 0xffff;
    if (family == KIRIM_IPV4) {
        out[2] = (uint8_t)(sum >> 8);
        out[3] = (uint8_t)sum;
    }
}

static void look_for_reply(struct ks_node *n, const struct kirim_batch *batch)
{
    const bool is_ipv4 = n->t->family == KIRIM_IPV4;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        const size_t header = is_ipv4 ? (size_t)(d->data[0] & 15) * 4 : 0; /* IPv4 has its own */
        const uint8_t *icmp = d->data + header;
        if (d->bytes >= header + ECHO_BYTES && icmp[0] == (is_ipv4 ? 0 : 129) &&
            (icmp[4] << 8 | icmp[5]) == ECHO_ID && memcmp(icmp + 8, "kirim", 5) == 0) {
            n->ctx = n;
        }
    }
}

static void raw_socket_sends_an_echo(struct ks *t)
{
    const int protocol = t->family == KIRIM_IPV4 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6;
    const SOCKET s = make_socket(t, SOCK_RAW, protocol, WSA_FLAG_OVERLAPPED, true);
    const struct kirim_endpoint_options options = adopting(s);
    struct ks_node *a = ks_node_with(t, &options);
    const struct kirim_addr to = ks_loopback(t->family, 0);
    uint8_t echo[ECHO_BYTES];
    make_echo(echo, t->family);
    a->on_received = look_for_reply;
    KS_SEND(a, echo, sizeof echo, &to);
    KS_UNTIL(t, a->ctx == a);
}

/* ---- the environment ------------------------------------------------------------------------- */

static void environment_names_the_reactor(struct ks *t)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop = NULL;
    KS_EQ(0, _putenv_s("KIRIM_REACTOR", t->reactor));
    KS_OK(kirim_loop_open(NULL, &loop));
    KS_CHECK(strcmp(kirim_loop_reactor(loop), t->reactor) == 0);
    KS_OK(kirim_loop_close(loop));
    KS_EQ(0, _putenv_s("KIRIM_REACTOR", "no such reactor"));
    loop = NULL;
    KS_ERR(KIRIM_ENOENT, kirim_loop_open(&options, &loop));
    KS_CHECK(loop == NULL);
    options.reactor = t->reactor; /* a name in the options goes before */
    KS_OK(kirim_loop_open(&options, &loop));
    KS_OK(kirim_loop_close(loop));
    KS_EQ(0, _putenv_s("KIRIM_REACTOR", "")); /* takes it out again */
}

static const struct kc_case cases[] = {
    KC_CAPS("stream_socket_is_refused", "S3", stream_is_refused, KC_LIVE, 0, KIRIM_CAP_ADOPT),
    KC_CAPS("handle_that_is_no_socket_is_refused", "S42", no_socket_is_refused, KC_LIVE, 0,
            KIRIM_CAP_ADOPT),
    KC_CAPS("unbound_socket_is_refused_or_bound_on_request", "S35", unbound_is_refused, KC_LIVE, 0,
            KIRIM_CAP_ADOPT),
    KC_CAPS("failure_leaves_an_adopted_socket_as_it_was", "S35", failure_leaves_it_as_it_was,
            KC_LIVE, KC_EXTRA, KIRIM_CAP_ADOPT),
    KC_CAPS("adopted_socket_serves_and_does_not_block", "S51", adopted_serves, KC_LIVE, KC_MODES,
            KIRIM_CAP_ADOPT),
    KC_CAPS("socket_that_is_not_overlapped_is_refused_or_serves", "S35 S51",
            unoverlapped_is_refused_or_serves, KC_LIVE, 0, KIRIM_CAP_ADOPT),
    KC_CAPS("adopted_socket_stays_connected", "S1", adopted_stays_connected, KC_LIVE,
            KC_MODES | KC_EXTRA, KIRIM_CAP_ADOPT),
    KC_CAPS("socket_that_was_shut_down_is_told", "S44", shut_down_is_told, KC_LIVE, 0,
            KIRIM_CAP_ADOPT),
    KC_CAPS("own_sockets_do_not_block_and_are_not_inherited", "S29", own_sockets_do_not_block,
            KC_LIVE, KC_SYSTEM | KC_EXTRA, 0),
    KC_CAPS("address_is_ones_own_unless_all_share_it", "", address_is_ones_own, KC_LIVE, KC_SYSTEM,
            0),
    { .name = "raw_socket_sends_an_icmp_echo",
      .rows = "S3",
      .run = raw_socket_sends_an_echo,
      .kind = KC_LIVE,
      .flags = KC_MODES,
      .caps = KIRIM_CAP_ADOPT,
      .obstacle = raw_obstacle,
      .gap = raw_gap },
    KC("environment_names_the_reactor", "", environment_names_the_reactor, KC_LIVE, KC_UNOPENED),
};

const struct kc_subject kc_socket = KC_SUBJECT("socket", cases);
