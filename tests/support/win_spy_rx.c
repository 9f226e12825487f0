/* SPDX-License-Identifier: MIT
 *
 * The spy's receives, and its verdicts on what was sent. See win_spy.h.
 *
 * A receive is made for real; if a datagram came and something was to arrive, that takes its place.
 * Loop thread. Sources: see win_spy.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "win_spy_parts.h"

/* ---- what arrives ---------------------------------------------------------------------------- */

/* Takes what is to arrive next at a socket, if that is so (`at_once`: told in the call). */
static bool next_arrival(SOCKET s, bool at_once, struct win_spy_arrival *out)
{
    struct win_spy *spy = win_spy_state;
    for (uint32_t i = 0; i < spy->arrival_count; i++) {
        if (spy->arrivals[i].s == s) {
            *out = spy->arrivals[i].arrival;
            if (at_once && !out->is_at_once) {
                return false;
            }
            spy->arrivals[i].s = INVALID_SOCKET;
            return true;
        }
    }
    return false;
}

static void write_name(LPWSAMSG msg, const struct win_spy_arrival *a)
{
    if (a->is_nameless) {
        memset(msg->name, 0, WIN_SPY_NAME_BYTES);
        msg->namelen = 0;
    } else if (a->name != NULL) {
        memcpy(msg->name, a->name, (size_t)a->name_bytes);
        msg->namelen = a->name_bytes;
    }
}

/* Writes an arrival over what the system wrote. Returns the error, and how many bytes there are. */
static int write_arrival(LPWSAMSG msg, ULONG control_room, const struct win_spy_arrival *a,
                         DWORD *bytes)
{
    const ULONG room = msg->lpBuffers[0].len;
    const ULONG count = a->byte_count < room ? a->byte_count : room;
    write_name(msg, a);
    msg->dwFlags = a->flags;
    msg->Control.len = 0;
    if (a->sys_err != 0 && a->sys_err != WSAEMSGSIZE) {
        return a->sys_err;
    }
    if (count != 0) {
        memcpy(msg->lpBuffers[0].buf, a->bytes, count);
    }
    if (a->control_bytes > control_room) {
        msg->dwFlags |= MSG_CTRUNC;
        return WSAEMSGSIZE;
    }
    if (a->control_bytes != 0) {
        memcpy(msg->Control.buf, a->control, a->control_bytes);
        msg->Control.len = a->control_bytes;
    }
    *bytes = count;
    return a->byte_count > room ? WSAEMSGSIZE : a->sys_err;
}

/* ---- receives -------------------------------------------------------------------------------- */

static void check_receive(const WSAMSG *msg, const DWORD *bytes, const WSAOVERLAPPED *overlapped,
                          LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    KS_CHECK(msg->name != NULL && msg->namelen >= WIN_SPY_NAME_BYTES);
    KS_CHECK(msg->lpBuffers != NULL && msg->dwBufferCount == 1);
    KS_CHECK(msg->lpBuffers[0].buf != NULL && msg->lpBuffers[0].len != 0);
    KS_CHECK((msg->Control.buf == NULL) == (msg->Control.len == 0));
    KS_EQ(0, msg->dwFlags);
    KS_CHECK((overlapped == NULL) == (routine == NULL));
    KS_CHECK((overlapped == NULL) == (bytes != NULL)); /* S50, of receives */
    KS_CHECK(overlapped == NULL || !win_spy_is_in_use(overlapped));
}

static struct win_spy_post *post_of(const WSAOVERLAPPED *overlapped)
{
    for (int i = 0; i < POSTS_MAX; i++) {
        if (win_spy_state->posts[i].overlapped == overlapped) {
            return &win_spy_state->posts[i];
        }
    }
    KS_FAIL("a completion of nothing");
    return NULL;
}

/* A receive has ended. Its WSAMSG and its buffer must be where they were. */
static void CALLBACK on_received(DWORD err, DWORD bytes, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    struct win_spy_post *found = post_of(overlapped);
    const struct win_spy_post p = *found;
    struct win_spy_arrival a;
    found->overlapped = NULL;
    KS_EQ(p.thread_id, GetCurrentThreadId());
    KS_CHECK(p.msg->lpBuffers[0].buf == p.buf.buf && p.msg->lpBuffers[0].len == p.buf.len);
    if (p.is_told) {
        if (p.is_twice) {
            p.routine(p.told_err, p.told_bytes, overlapped, flags);
        }
        return;
    }
    if (err == 0 && next_arrival(p.s, false, &a)) {
        bytes = 0;
        err = (DWORD)write_arrival(p.msg, p.control_room, &a, &bytes);
        overlapped->InternalHigh = bytes;
    }
    p.routine(err, bytes, overlapped, flags);
}

static INT post(SOCKET s, LPWSAMSG msg, LPWSAOVERLAPPED overlapped,
                LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    struct win_spy_post *p = post_of(NULL);
    *p = (struct win_spy_post){
        .overlapped = overlapped,
        .routine = routine,
        .msg = msg,
        .buf = msg->lpBuffers[0],
        .control_room = msg->Control.len,
        .s = s,
        .thread_id = GetCurrentThreadId(),
    };
    const INT answer = win_spy_state->real.receive(s, msg, NULL, overlapped, on_received);
    const int sys_err = answer == 0 ? 0 : WSAGetLastError();
    if (sys_err != 0 && sys_err != WSA_IO_PENDING && sys_err != WSAEMSGSIZE) {
        p->overlapped = NULL; /* no completion will come; of WSAEMSGSIZE it does come in Wine */
    }
    struct win_spy_arrival a;
    if (answer == 0 && next_arrival(s, true, &a)) {
        win_spy_state->told_count++;
        p->is_told = true;
        p->is_twice = a.is_twice;
        p->told_err = (DWORD)write_arrival(msg, p->control_room, &a, &p->told_bytes);
        WSASetLastError((int)p->told_err);
        return SOCKET_ERROR;
    }
    WSASetLastError(sys_err);
    return answer;
}

INT WSAAPI win_spy_receive(SOCKET s, LPWSAMSG msg, LPDWORD bytes, LPWSAOVERLAPPED overlapped,
                           LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    struct win_spy *spy = win_spy_state;
    if (win_spy_socket_of(s) == NULL) {
        return spy->real.receive(s, msg, bytes, overlapped, routine);
    }
    check_receive(msg, bytes, overlapped, routine);
    if (overlapped != NULL) {
        return post(s, msg, overlapped, routine);
    }
    const ULONG control_room = msg->Control.len;
    const DWORD untouched = *bytes;
    const INT answer = spy->real.receive(s, msg, bytes, NULL, NULL);
    struct win_spy_arrival a;
    if (answer != 0 || !next_arrival(s, false, &a)) {
        return answer;
    }
    DWORD count = 0;
    const int sys_err = write_arrival(msg, control_room, &a, &count);
    /* Of a datagram that was cut the count says nothing (L51). */
    *bytes = sys_err == 0 ? count : untouched;
    WSASetLastError(sys_err);
    return sys_err == 0 ? 0 : SOCKET_ERROR;
}

uint32_t win_spy_told_count(void)
{
    return win_spy_state->told_count;
}

uint32_t win_spy_posted_count(void)
{
    uint32_t count = 0;
    for (int i = 0; i < POSTS_MAX; i++) {
        const struct win_spy_post *p = &win_spy_state->posts[i];
        count += p->overlapped != NULL && p->thread_id == GetCurrentThreadId();
    }
    return count;
}

/* ---- for the test ---------------------------------------------------------------------------- */

static int write_loopback(struct sockaddr_storage *name, int family, uint16_t port)
{
    memset(name, 0, sizeof *name);
    if (family == KIRIM_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)name;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)name;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    in6->sin6_addr.s6_addr[15] = 1;
    return sizeof *in6;
}

/* The socket that real datagrams come from. */
static SOCKET origin(int family)
{
    SOCKET *s = &win_spy_state->origins[family == KIRIM_IPV6];
    if (*s == INVALID_SOCKET) {
        struct sockaddr_storage name;
        const int bytes = write_loopback(&name, family, 0);
        *s = socket(family == KIRIM_IPV4 ? AF_INET : AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
        KS_CHECK(*s != INVALID_SOCKET);
        KS_CHECK(bind(*s, (struct sockaddr *)&name, bytes) == 0);
    }
    return *s;
}

struct kirim_addr win_spy_origin(int family)
{
    struct sockaddr_storage name;
    int bytes = sizeof name;
    KS_CHECK(getsockname(origin(family), (struct sockaddr *)&name, &bytes) == 0);
    const uint16_t port = ntohs(family == KIRIM_IPV4 ? ((struct sockaddr_in *)&name)->sin_port
                                                     : ((struct sockaddr_in6 *)&name)->sin6_port);
    return ks_loopback(family, port);
}

void win_spy_arrive(const struct ks_node *n, const struct win_spy_arrival *arrival)
{
    struct win_spy *spy = win_spy_state;
    const int family = kirim_addr_family(&n->addr);
    struct sockaddr_storage name;
    const int bytes = write_loopback(&name, family, kirim_addr_port(&n->addr));
    KS_CHECK(spy->arrival_count < ARRIVALS_MAX);
    spy->arrivals[spy->arrival_count].s = (SOCKET)kirim_endpoint_descriptor(n->ep);
    spy->arrivals[spy->arrival_count++].arrival = *arrival;
    KS_EQ(1, sendto(origin(family), "?", 1, 0, (struct sockaddr *)&name, bytes));
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* Compares, and says where the first difference is. */
static void check_same(const uint8_t *got, size_t got_count, const void *wanted,
                       size_t wanted_count, const char *what, const char *file, int line)
{
    const uint8_t *right = wanted;
    if (got_count != wanted_count) {
        _ck_assert_failed(file, line, "Failed", "%s of %zu bytes, not %zu", what, got_count,
                          wanted_count);
    }
    for (size_t i = 0; i < wanted_count; i++) {
        if (got[i] != right[i]) {
            _ck_assert_failed(file, line, "Failed", "%s: byte %zu is 0x%02x, not 0x%02x", what, i,
                              got[i], right[i]);
        }
    }
}

void win_spy_check_control(uint32_t index, const void *bytes, size_t count, const char *file,
                           int line)
{
    const struct win_spy_send *seen = win_spy_send_at(index);
    check_same(seen->control, seen->control_bytes, bytes, count, "control data", file, line);
}

void win_spy_check_name(uint32_t index, const void *bytes, size_t count, const char *file, int line)
{
    const struct win_spy_send *seen = win_spy_send_at(index);
    check_same(seen->name, (size_t)seen->name_bytes, bytes, count, "a name", file, line);
}

void win_spy_check_bytes(uint32_t index, const void *bytes, size_t count, const char *file,
                         int line)
{
    const struct win_spy_send *seen = win_spy_send_at(index);
    check_same(seen->bytes, seen->byte_count, bytes, count, "a payload", file, line);
}
