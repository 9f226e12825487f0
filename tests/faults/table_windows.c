/* SPDX-License-Identifier: MIT
 *
 * A table of Winsock calls in which the n-th call fails: with a code that the reference knows for
 * it, or (the waits) by ending without having seen anything. Counts sockets, event objects,
 * startups and datagrams. See faults.h. One thread. Sources: the reference pages of the calls.
 *
 * A call that fails leaves behind what it would have left: a receive that fails makes the next
 * FD_READ possible, and one that tells "would block" of a send is followed by FD_WRITE.
 */
#include "faults.h"

#include "win_sys.h"

#include <stddef.h>
#include <string.h>

enum {
    HANDLES_MAX = 128,
    HANDLE_VALUE_MAX = 4096,
    HANDLE_VALUE_STEP = 4,
    FLIGHTS_MAX = 1024,
    WAKE_BYTES = 1
};

const struct fault_code fault_codes[] = {
    { WSAEMFILE, "WSAEMFILE" },
    { WSA_NOT_ENOUGH_MEMORY, "WSA_NOT_ENOUGH_MEMORY" },
    { WSAENOBUFS, "WSAENOBUFS" },
    { WSAEWOULDBLOCK, "WSAEWOULDBLOCK" },
    { WSAEINTR, "WSAEINTR" },
    { WSAECONNRESET, "WSAECONNRESET" },
    { WSAENETRESET, "WSAENETRESET" },
    { WSAEACCES, "WSAEACCES" },
    { WSAEMSGSIZE, "WSAEMSGSIZE" },
    { WSAENETUNREACH, "WSAENETUNREACH" },
    { WSAENETDOWN, "WSAENETDOWN" },
    { WSASYSNOTREADY, "WSASYSNOTREADY" },
    { WSAEADDRINUSE, "WSAEADDRINUSE" },
    { WSAEAFNOSUPPORT, "WSAEAFNOSUPPORT" },
    { WSAENOPROTOOPT, "WSAENOPROTOOPT" },
    { WSAEOPNOTSUPP, "WSAEOPNOTSUPP" },
    { 0, NULL },
};

/* What each call may answer. */
static const int of_startup[] = { WSASYSNOTREADY, WSAEMFILE, 0 };
static const int of_cleanup[] = { WSAENETDOWN, 0 };
static const int of_receive[] = { WSAEWOULDBLOCK, WSAEINTR, WSAECONNRESET, WSAENETRESET, WSAENOBUFS,
                                  WSAENETDOWN,    0 };
static const int of_send[] = { WSAEWOULDBLOCK, WSAEINTR,    WSAECONNRESET,  WSAENETRESET, WSAEACCES,
                               WSAENOBUFS,     WSAEMSGSIZE, WSAENETUNREACH, WSAENETDOWN,  0 };
static const int of_socket[] = { WSAEMFILE, WSAENOBUFS, WSAEAFNOSUPPORT, WSAENETDOWN, 0 };
static const int of_bind[] = { WSAEADDRINUSE, WSAEACCES, WSAENOBUFS, WSAENETDOWN, 0 };
static const int of_connect[] = { WSAENETUNREACH, WSAENOBUFS, WSAEACCES, WSAENETDOWN, 0 };
static const int of_getname[] = { WSAENETDOWN, 0 };
static const int of_option[] = { WSAENOPROTOOPT, WSAENOBUFS, WSAENETDOWN, 0 };
static const int of_ioctl[] = { WSAEOPNOTSUPP, WSAENOBUFS, WSAENETDOWN, 0 };
static const int of_close[] = { WSAEWOULDBLOCK, WSAENETDOWN, 0 };
static const int of_select[] = { WSAEINTR, WSAENOBUFS, WSAENETDOWN, 0 };
static const int of_poll[] = { WSAENOBUFS, WSAENETDOWN, 0 };
static const int of_event[] = { WSA_NOT_ENOUGH_MEMORY, WSAENETDOWN, 0 };
static const int of_handle[] = { WSA_NOT_ENOUGH_MEMORY, 0 };

/* Whether this call may answer what the plan says, and does. */
static bool fails_quietly(const int *codes)
{
    if (fault_plan.kind != FAULT_CALL) {
        return false;
    }
    while (*codes != 0 && *codes != fault_plan.code) {
        codes++;
    }
    return *codes != 0 && fault_strikes();
}

/* The same, with the last error set. */
static bool fails(const int *codes)
{
    const bool is_failing = fails_quietly(codes);
    if (is_failing) {
        WSASetLastError(fault_plan.code);
    }
    return is_failing;
}

/* Whether this wait ends before it has looked. */
static bool is_cut_short(void)
{
    return fault_plan.kind == FAULT_PARTIAL && fault_strikes();
}

bool fault_code_is_passing(int code)
{
    return code == WSAEINTR;
}

/* ---- what is open -----------------------------------------------------------------------------
 */

/* A socket or an event object, and of a socket what its events need. */
struct handle {
    uintptr_t value; /* 0: nothing */
    WSAEVENT event;  /* that it tells */
    bool is_full;    /* it was told so: FD_WRITE is owed */
};
static struct handle handles[HANDLES_MAX];

static struct handle *find(uintptr_t value)
{
    for (size_t i = 0; i < HANDLES_MAX; i++) {
        if (handles[i].value == value) {
            return &handles[i];
        }
    }
    fault_fail("%s", value == 0 ? "too many handles" : "a call on what is not open");
}

static void note_opened(uintptr_t value)
{
    *find(0) = (struct handle){ .value = value };
    fault_plan.descriptor_count++;
}

static void note_closed(uintptr_t value)
{
    *find(value) = (struct handle){ .value = 0 };
    fault_plan.descriptor_count--;
}

static int WSAAPI fault_startup(WORD version, LPWSADATA data)
{
    if (fails_quietly(of_startup)) {
        return fault_plan.code; /* the last error cannot be set before it */
    }
    const int answer = ki_win_sys_default.startup(version, data);
    fault_plan.descriptor_count += answer == 0;
    return answer;
}

static int WSAAPI fault_cleanup(void)
{
    fault_plan.descriptor_count--;
    const int answer = ki_win_sys_default.cleanup();
    return fails(of_cleanup) ? SOCKET_ERROR : answer;
}

static SOCKET WSAAPI fault_socket(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info,
                                  GROUP group, DWORD flags)
{
    if (fails(of_socket)) {
        return INVALID_SOCKET;
    }
    const SOCKET s = ki_win_sys_default.socket(family, type, protocol, info, group, flags);
    if (s != INVALID_SOCKET) {
        note_opened(s);
    }
    return s;
}

/* The socket is gone, whatever the answer. */
static int WSAAPI fault_close(SOCKET s)
{
    note_closed(s);
    const int answer = ki_win_sys_default.close(s);
    return fails(of_close) ? SOCKET_ERROR : answer;
}

static WSAEVENT WSAAPI fault_event_create(void)
{
    if (fails(of_event)) {
        return WSA_INVALID_EVENT;
    }
    const WSAEVENT event = ki_win_sys_default.event_create();
    if (event != WSA_INVALID_EVENT) {
        note_opened((uintptr_t)event);
    }
    return event;
}

static BOOL WSAAPI fault_event_close(WSAEVENT event)
{
    note_closed((uintptr_t)event);
    return ki_win_sys_default.event_close(event);
}

/* ---- datagrams --------------------------------------------------------------------------------
 */

static struct ki_win_calls real_calls[2]; /* of IPv4, of IPv6 */

/* How many datagrams a message of `bytes` is, if the system cuts or has joined them. */
static uint64_t datagrams_of(const WSAMSG *msg, DWORD bytes)
{
    const size_t align = sizeof(size_t) - 1;
    WSACMSGHDR head;
    for (size_t at = 0; at + sizeof head < msg->Control.len;
         at += (head.cmsg_len + align) & ~align) {
        memcpy(&head, msg->Control.buf + at, sizeof head);
        DWORD size = 0;
        if (head.cmsg_level == IPPROTO_UDP &&
            (head.cmsg_type == KI_UDP_SEND_MSG_SIZE || head.cmsg_type == KI_UDP_COALESCED_INFO)) {
            memcpy(&size, msg->Control.buf + at + sizeof head, sizeof size);
            return (bytes + size - 1) / size;
        }
    }
    return 1;
}

/* No datagram of the scenario is as short as those that wake a select. */
static bool is_own(const WSAMSG *msg)
{
    DWORD bytes = 0;
    for (DWORD i = 0; i < msg->dwBufferCount; i++) {
        bytes += msg->lpBuffers[i].len;
    }
    return bytes != WAKE_BYTES;
}

/* FD_READ comes again behind each receive, one that has failed as well. */
static void allow_event(SOCKET s)
{
    char byte;
    const int last_error = WSAGetLastError();
    (void)recv(s, &byte, sizeof byte, MSG_PEEK);
    WSASetLastError(last_error);
}

/* An overlapped operation that is out. Its routine is told what the system tells ours. */
struct flight {
    LPWSAOVERLAPPED overlapped; /* NULL: none */
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine;
    uint64_t *count;    /* of the plan: what leaves or arrives; NULL: it has been counted */
    const WSAMSG *msg;  /* of a receive */
    uint64_t datagrams; /* of a send */
};
static struct flight flights[FLIGHTS_MAX];

static struct flight *find_flight(const WSAOVERLAPPED *overlapped)
{
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        if (flights[i].overlapped == overlapped) {
            return &flights[i];
        }
    }
    fault_fail("%s", overlapped == NULL ? "too many operations are out" : "a routine comes twice");
}

static void CALLBACK land(DWORD sys_err, DWORD bytes, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    struct flight *flight = find_flight(overlapped);
    const struct flight landed = *flight;
    flight->overlapped = NULL;
    if (sys_err == 0 && landed.count != NULL) {
        *landed.count += landed.msg != NULL ? datagrams_of(landed.msg, bytes) : landed.datagrams;
    }
    landed.routine(sys_err, bytes, overlapped, flags);
}

static INT receive(int family, SOCKET s, LPWSAMSG msg, LPDWORD bytes, LPWSAOVERLAPPED overlapped,
                   LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    const bool is_counted = is_own(msg);
    if (fails(of_receive)) {
        if (overlapped == NULL) {
            allow_event(s);
        }
        return SOCKET_ERROR;
    }
    if (routine == NULL) {
        const INT answer = real_calls[family].receive(s, msg, bytes, overlapped, NULL);
        fault_plan.arrived_count += answer == 0 && is_counted ? datagrams_of(msg, *bytes) : 0;
        return answer;
    }
    fault_plan.is_posting = true;
    struct flight *flight = find_flight(NULL);
    *flight = (struct flight){ overlapped, routine, &fault_plan.arrived_count, msg, 0 };
    const INT answer = real_calls[family].receive(s, msg, bytes, overlapped, land);
    if (answer != 0 && WSAGetLastError() != WSA_IO_PENDING && WSAGetLastError() != WSAEMSGSIZE) {
        flight->overlapped = NULL; /* Wine lands what is too long for its buffers all the same. */
    }
    return answer;
}

/* A send is told that it fails, and what follows from that. */
static INT refuse_send(SOCKET s)
{
    struct handle *handle = find(s);
    handle->is_full = fault_plan.code == WSAEWOULDBLOCK;
    if (handle->is_full && handle->event != NULL) {
        (void)ki_win_sys_default.event_set(handle->event);
        WSASetLastError(fault_plan.code);
    }
    return SOCKET_ERROR;
}

static INT send_one(int family, SOCKET s, LPWSAMSG msg, DWORD flags, LPDWORD bytes,
                    LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    DWORD sent = 0;
    for (DWORD i = 0; i < msg->dwBufferCount; i++) {
        sent += msg->lpBuffers[i].len;
    }
    const uint64_t datagrams = is_own(msg) ? datagrams_of(msg, sent) : 0;
    if (fails(of_send)) {
        return refuse_send(s);
    }
    if (routine == NULL) {
        const INT answer = real_calls[family].send(s, msg, flags, bytes, overlapped, NULL);
        fault_plan.left_count += answer == 0 ? datagrams : 0;
        return answer;
    }
    struct flight *flight = find_flight(NULL);
    *flight = (struct flight){ overlapped, routine, &fault_plan.left_count, NULL, datagrams };
    const INT answer = real_calls[family].send(s, msg, flags, bytes, overlapped, land);
    if (answer == 0) {
        fault_plan.left_count += datagrams; /* it has left, whatever its routine says */
        flight->count = NULL;
    } else if (WSAGetLastError() != WSA_IO_PENDING && WSAGetLastError() != WSAEMSGSIZE) {
        flight->overlapped = NULL;
    }
    return answer;
}

static INT WSAAPI fault_receive_ipv4(SOCKET s, LPWSAMSG msg, LPDWORD bytes, LPWSAOVERLAPPED o,
                                     LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    return receive(0, s, msg, bytes, o, routine);
}

static INT WSAAPI fault_receive_ipv6(SOCKET s, LPWSAMSG msg, LPDWORD bytes, LPWSAOVERLAPPED o,
                                     LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    return receive(1, s, msg, bytes, o, routine);
}

static INT WSAAPI fault_send_ipv4(SOCKET s, LPWSAMSG msg, DWORD flags, LPDWORD bytes,
                                  LPWSAOVERLAPPED o, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    return send_one(0, s, msg, flags, bytes, o, routine);
}

static INT WSAAPI fault_send_ipv6(SOCKET s, LPWSAMSG msg, DWORD flags, LPDWORD bytes,
                                  LPWSAOVERLAPPED o, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    return send_one(1, s, msg, flags, bytes, o, routine);
}

/* Puts itself in the place of what a provider is asked for. */
static void stand_between(SOCKET s, const GUID *id, void *out)
{
    const GUID send_id = WSAID_WSASENDMSG;
    WSAPROTOCOL_INFOW info;
    int info_bytes = sizeof info;
    FAULT_CHECK(getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &info_bytes) == 0);
    const int family = info.iAddressFamily == AF_INET6;
    if (memcmp(id, &send_id, sizeof send_id) == 0) {
        const LPFN_WSASENDMSG own = family != 0 ? fault_send_ipv6 : fault_send_ipv4;
        memcpy(&real_calls[family].send, out, sizeof own);
        memcpy(out, &own, sizeof own);
    } else {
        const LPFN_WSARECVMSG own = family != 0 ? fault_receive_ipv6 : fault_receive_ipv4;
        memcpy(&real_calls[family].receive, out, sizeof own);
        memcpy(out, &own, sizeof own);
    }
}

static int WSAAPI fault_ioctl(SOCKET s, DWORD code, LPVOID in, DWORD in_bytes, LPVOID out,
                              DWORD out_bytes, LPDWORD bytes, LPWSAOVERLAPPED overlapped,
                              LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    if (fails(of_ioctl)) {
        return SOCKET_ERROR;
    }
    const int answer =
        ki_win_sys_default.ioctl(s, code, in, in_bytes, out, out_bytes, bytes, overlapped, routine);
    if (answer == 0 && code == SIO_GET_EXTENSION_FUNCTION_POINTER) {
        stand_between(s, in, out);
    }
    return answer;
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

static int WSAAPI fault_select(int unused, fd_set *readable, fd_set *writable, fd_set *exceptional,
                               PTIMEVAL timeout)
{
    if (fails(of_select)) {
        return SOCKET_ERROR;
    }
    if (is_cut_short()) {
        fd_set *const sets[] = { readable, writable, exceptional };
        for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
            if (sets[i] != NULL) {
                sets[i]->fd_count = 0;
            }
        }
        return 0;
    }
    return ki_win_sys_default.select(unused, readable, writable, exceptional, timeout);
}

static int WSAAPI fault_poll(WSAPOLLFD *fds, ULONG count, INT timeout_ms)
{
    return fails(of_poll) ? SOCKET_ERROR : ki_win_sys_default.poll(fds, count, timeout_ms);
}

static BOOL WSAAPI fault_event_set(WSAEVENT event)
{
    return fails(of_event) ? FALSE : ki_win_sys_default.event_set(event);
}

static BOOL WSAAPI fault_event_reset(WSAEVENT event)
{
    return fails(of_event) ? FALSE : ki_win_sys_default.event_reset(event);
}

static int WSAAPI fault_event_select(SOCKET s, WSAEVENT event,
                                     long what) /* long: the reference's */
{
    if (fails(of_event)) {
        return SOCKET_ERROR;
    }
    const int answer = ki_win_sys_default.event_select(s, event, what);
    for (size_t i = 0; i < HANDLES_MAX && answer == 0; i++) {
        if (handles[i].value == s) { /* no guest */
            handles[i].event = event;
        }
    }
    return answer;
}

static int WSAAPI fault_event_enum(SOCKET s, WSAEVENT event, LPWSANETWORKEVENTS out)
{
    if (fails(of_event)) {
        return SOCKET_ERROR;
    }
    const int answer = ki_win_sys_default.event_enum(s, event, out);
    for (size_t i = 0; i < HANDLES_MAX && answer == 0; i++) {
        if (handles[i].value == s && handles[i].is_full) {
            handles[i].is_full = false;
            out->lNetworkEvents |= FD_WRITE;
        }
    }
    return answer;
}

static DWORD WSAAPI fault_event_wait(DWORD count, const WSAEVENT *events, BOOL all,
                                     DWORD timeout_ms, BOOL alertable)
{
    if (fails(of_event)) {
        return WSA_WAIT_FAILED;
    }
    return is_cut_short()
               ? WSA_WAIT_TIMEOUT
               : ki_win_sys_default.event_wait(count, events, all, timeout_ms, alertable);
}

/* ---- overlapped operations ---------------------------------------------------------------------
 */

static BOOL WINAPI fault_cancel_io_ex(HANDLE handle, LPOVERLAPPED overlapped)
{
    return fails(of_handle) ? FALSE : ki_win_sys_default.cancel_io_ex(handle, overlapped);
}

static DWORD WINAPI fault_sleep_ex(DWORD timeout_ms, BOOL alertable)
{
    /* Routines that are queued run all the same: no system forgets them for ever. */
    return ki_win_sys_default.sleep_ex(is_cut_short() ? 0 : timeout_ms, alertable);
}

static DWORD WINAPI fault_queue_user_apc(PAPCFUNC routine, HANDLE thread, ULONG_PTR context)
{
    return fails(of_handle) ? 0 : ki_win_sys_default.queue_user_apc(routine, thread, context);
}

static BOOL WINAPI fault_duplicate_handle(HANDLE from_process, HANDLE from, HANDLE to_process,
                                          LPHANDLE to, DWORD access, BOOL inherit, DWORD options)
{
    if (fails(of_handle)) {
        return FALSE;
    }
    const BOOL is_made = ki_win_sys_default.duplicate_handle(from_process, from, to_process, to,
                                                             access, inherit, options);
    if (is_made) {
        note_opened((uintptr_t)*to);
    }
    return is_made;
}

static BOOL WINAPI fault_close_handle(HANDLE handle)
{
    note_closed((uintptr_t)handle);
    return ki_win_sys_default.close_handle(handle);
}

/* ---- sockets ----------------------------------------------------------------------------------
 */

static int WSAAPI fault_bind(SOCKET s, const struct sockaddr *name, int name_bytes)
{
    return fails(of_bind) ? SOCKET_ERROR : ki_win_sys_default.bind(s, name, name_bytes);
}

static int WSAAPI fault_connect(SOCKET s, const struct sockaddr *name, int name_bytes)
{
    return fails(of_connect) ? SOCKET_ERROR : ki_win_sys_default.connect(s, name, name_bytes);
}

static int WSAAPI fault_getsockname(SOCKET s, struct sockaddr *name, int *name_bytes)
{
    return fails(of_getname) ? SOCKET_ERROR : ki_win_sys_default.getsockname(s, name, name_bytes);
}

static int WSAAPI fault_getpeername(SOCKET s, struct sockaddr *name, int *name_bytes)
{
    return fails(of_getname) ? SOCKET_ERROR : ki_win_sys_default.getpeername(s, name, name_bytes);
}

static int WSAAPI fault_setsockopt(SOCKET s, int level, int option, const char *value,
                                   int value_bytes)
{
    return fails(of_option) ? SOCKET_ERROR
                            : ki_win_sys_default.setsockopt(s, level, option, value, value_bytes);
}

static int WSAAPI fault_getsockopt(SOCKET s, int level, int option, char *value, int *value_bytes)
{
    return fails(of_option) ? SOCKET_ERROR
                            : ki_win_sys_default.getsockopt(s, level, option, value, value_bytes);
}

static BOOL WINAPI fault_get_handle_information(HANDLE handle, LPDWORD flags)
{
    return fails(of_handle) ? FALSE : ki_win_sys_default.get_handle_information(handle, flags);
}

static BOOL WINAPI fault_set_handle_information(HANDLE handle, DWORD mask, DWORD flags)
{
    return fails(of_handle) ? FALSE
                            : ki_win_sys_default.set_handle_information(handle, mask, flags);
}

const void *fault_system_calls(void)
{
    static struct ki_win_sys table;
    table = ki_win_sys_default;
    table.startup = fault_startup;
    table.cleanup = fault_cleanup;
    table.socket = fault_socket;
    table.bind = fault_bind;
    table.connect = fault_connect;
    table.getsockname = fault_getsockname;
    table.getpeername = fault_getpeername;
    table.setsockopt = fault_setsockopt;
    table.getsockopt = fault_getsockopt;
    table.ioctl = fault_ioctl;
    table.close = fault_close;
    table.select = fault_select;
    table.poll = fault_poll;
    table.event_create = fault_event_create;
    table.event_set = fault_event_set;
    table.event_reset = fault_event_reset;
    table.event_close = fault_event_close;
    table.event_select = fault_event_select;
    table.event_enum = fault_event_enum;
    table.event_wait = fault_event_wait;
    table.cancel_io_ex = fault_cancel_io_ex;
    table.sleep_ex = fault_sleep_ex;
    table.queue_user_apc = fault_queue_user_apc;
    table.duplicate_handle = fault_duplicate_handle;
    table.close_handle = fault_close_handle;
    table.get_handle_information = fault_get_handle_information;
    table.set_handle_information = fault_set_handle_information;
    return &table;
}

/* ---- what the scenario needs ------------------------------------------------------------------
 */

static SOCKET guest_socket;

/* A guest is a socket here, connected to itself. */
intptr_t fault_guest_open(void)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int name_bytes = sizeof name;
    WSADATA data;
    FAULT_CHECK(WSAStartup(MAKEWORD(2, 2), &data) == 0);
    guest_socket = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    FAULT_CHECK(guest_socket != INVALID_SOCKET);
    FAULT_CHECK(bind(guest_socket, (const struct sockaddr *)&name, sizeof name) == 0);
    FAULT_CHECK(getsockname(guest_socket, (struct sockaddr *)&name, &name_bytes) == 0);
    FAULT_CHECK(connect(guest_socket, (const struct sockaddr *)&name, name_bytes) == 0);
    FAULT_CHECK(send(guest_socket, "g", 1, 0) == 1);
    return (intptr_t)guest_socket;
}

void fault_guest_close(void)
{
    FAULT_CHECK(closesocket(guest_socket) == 0);
    FAULT_CHECK(WSACleanup() == 0);
}

/* Wine knows no indices in the place of IPv4 addresses. */
uint32_t fault_group_ifindex(void)
{
    const DWORD first = htonl(1);
    return setsockopt(guest_socket, IPPROTO_IP, IP_MULTICAST_IF, (const char *)&first,
                      sizeof first) == 0;
}

void fault_table_reset(void)
{
    memset(handles, 0, sizeof handles);
    memset(flights, 0, sizeof flights);
}

/* Wine counts none: there the low values are tried, which it gives out first. */
uint64_t fault_count_open(void)
{
    DWORD count = 0;
    DWORD flags;
    if (GetProcessHandleCount(GetCurrentProcess(), &count) && count != 0) {
        return count;
    }
    for (uintptr_t value = HANDLE_VALUE_STEP; value < HANDLE_VALUE_MAX;
         value += HANDLE_VALUE_STEP) {
        count += GetHandleInformation((HANDLE)value, &flags) != FALSE;
    }
    return count;
}
