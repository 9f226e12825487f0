/* SPDX-License-Identifier: MIT
 *
 * What Wine does not show although Windows, by its reference, does.
 *
 * A gap is one only if Wine is there and the behaviour was asked for in vain: so nothing is skipped
 * on Windows, and on a Wine that has learned it the cases run. Asked once for each process. Owns
 * nothing; one thread. Sources: WSASendMsg, IN_PKTINFO, "IPPROTO_IP socket options", bind.
 */
#include <string.h>

#include "conformance.h"
#include "gaps_windows.h"
#include "win_addr.h"
#include "win_sys.h"

enum { MARKED_TTL = 7, CONTROL_BYTES = 128 };

bool kc_is_wine(void)
{
    const HMODULE ntdll = GetModuleHandleA("ntdll.dll");
    return ntdll != NULL && GetProcAddress(ntdll, "wine_get_version") != NULL;
}

const char *kc_gap_judge(struct kc_question *q, bool (*ask)(void), const char *reason)
{
    if (!q->is_asked) {
        WSADATA data;
        const bool is_started = WSAStartup(MAKEWORD(2, 2), &data) == 0;
        q->is_so = !kc_is_wine() || (is_started && ask());
        q->is_asked = true;
        if (is_started) {
            (void)WSACleanup();
        }
    }
    return q->is_so ? NULL : reason;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* A socket at an address, whose name is read back; INVALID_SOCKET: it cannot be bound there. */
static SOCKET make_socket(const char *text, union ki_win_name *name)
{
    struct kirim_addr local = { { 0, 0, 0 } };
    const SOCKET s = WSASocketW(AF_INET, SOCK_DGRAM, IPPROTO_UDP, NULL, 0, WSA_FLAG_OVERLAPPED);
    int bytes = sizeof *name;
    (void)kirim_addr_parse(text, &local);
    const int name_bytes = ki_win_name_write(name, &local, false);
    if (s != INVALID_SOCKET &&
        (bind(s, &name->any, name_bytes) != 0 || getsockname(s, &name->any, &bytes) != 0)) {
        (void)closesocket(s);
        return INVALID_SOCKET;
    }
    return s;
}

/* Sends a datagram with a time to live of its own. */
static bool send_marked(const struct ki_win_calls *calls, SOCKET s, const union ki_win_name *to)
{
    struct {
        WSACMSGHDR header;
        INT ttl;
        INT padding;
    } control = { { sizeof(WSACMSGHDR) + sizeof(INT), IPPROTO_IP, IP_TTL }, MARKED_TTL, 0 };
    char byte = 'x';
    union ki_win_name name = *to;
    WSABUF buf = { 1, &byte };
    WSAMSG msg = {
        .name = &name.any,
        .namelen = sizeof name.ipv4,
        .lpBuffers = &buf,
        .dwBufferCount = 1,
        .Control = { sizeof control, (char *)&control },
    };
    DWORD sent = 0;
    return calls->send(s, &msg, 0, &sent, NULL, NULL) == 0;
}

/* Whether a datagram arrives with that time to live. */
static bool receive_marked(const struct ki_win_calls *calls, SOCKET s)
{
    struct {
        WSACMSGHDR header;
        char bytes[CONTROL_BYTES];
    } control;
    char byte;
    WSABUF buf = { 1, &byte };
    WSAMSG msg = {
        .lpBuffers = &buf,
        .dwBufferCount = 1,
        .Control = { sizeof control, (char *)&control },
    };
    DWORD got = 0;
    DWORD limit_ms = 10000;
    INT ttl = 0;
    if (setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&limit_ms, sizeof limit_ms) != 0 ||
        calls->receive(s, &msg, &got, NULL, NULL) != 0 || msg.Control.len < sizeof control.header) {
        return false;
    }
    memcpy(&ttl, control.bytes, sizeof ttl);
    return ttl == MARKED_TTL;
}

static bool honours_control(void)
{
    union ki_win_name from;
    union ki_win_name to;
    struct ki_win_calls calls;
    DWORD on = 1;
    const SOCKET a = make_socket("127.0.0.1:0", &from);
    const SOCKET b = make_socket("127.0.0.1:0", &to);
    const bool is_so = a != INVALID_SOCKET && b != INVALID_SOCKET &&
                       setsockopt(b, IPPROTO_IP, IP_RECVTTL, (char *)&on, sizeof on) == 0 &&
                       ki_win_calls_fetch(&ki_win_sys_default, a, &calls) &&
                       send_marked(&calls, a, &to) && receive_marked(&calls, b);
    (void)closesocket(a);
    (void)closesocket(b);
    return is_so;
}

/* 192.0.2.0/24 is nobody's (RFC 5737). */
static bool binds_own_addresses_only(void)
{
    union ki_win_name name;
    const SOCKET s = make_socket("192.0.2.1:0", &name);
    if (s == INVALID_SOCKET) {
        return true;
    }
    (void)closesocket(s);
    return false;
}

/* ---- answers --------------------------------------------------------------------------------- */

const char *kc_gap_send_control(const struct kc_where *where)
{
    static struct kc_question q;
    (void)where;
    return kc_gap_judge(&q, honours_control, "wine-ignores-control-data-on-send");
}

const char *kc_gap_bind(const struct kc_where *where)
{
    static struct kc_question q;
    return where->family == KIRIM_IPV4
               ? kc_gap_judge(&q, binds_own_addresses_only, "wine-binds-foreign-addresses")
               : NULL;
}

/* It cannot be asked for: Wine's server takes the error from the socket to wake whoever waits, and
 * who sends or receives then races with it. A receive that is pending gets it always; who selects
 * FD_CLOSE is given it with that record. */
const char *kc_gap_port_unreachable(const struct kc_where *where)
{
    const bool is_pending = (where->caps & KIRIM_CAP_ALERTABLE) != 0;
    const bool has_record = strcmp(where->reactor, "wsaevent") == 0;
    return kc_is_wine() && !is_pending && !has_record ? "wine-loses-port-unreachable" : NULL;
}
