/* SPDX-License-Identifier: MIT
 *
 * The spy's table and its sends. See win_spy.h.
 *
 * Keeps true: no call passes without what the reference asks of it having been checked, and every
 * routine that was accepted runs once, in the thread that issued it. Loop thread, but for sends of
 * sockets that are not spied on, which pass through. Sources: see win_spy.h.
 */
#include "win_spy_parts.h"

#include <stdlib.h>
#include <string.h>

#include "reactor.h"

struct win_spy *win_spy_state;

/* NTSTATUS, which Internal holds. */
static const ULONG_PTR status_pending = 0x103;
static const ULONG_PTR status_cancelled = 0xC0000120;
static const ULONG_PTR status_unsuccessful = 0xC0000001;

/* ---- sockets --------------------------------------------------------------------------------- */

struct win_spy_socket *win_spy_socket_of(SOCKET s)
{
    for (int i = 0; i < SOCKETS_MAX; i++) {
        if (win_spy_state->sockets[i].s == s && s != INVALID_SOCKET) {
            return &win_spy_state->sockets[i];
        }
    }
    return NULL;
}

static struct win_spy_socket *socket_of_node(const struct ks_node *n)
{
    struct win_spy_socket *found = win_spy_socket_of((SOCKET)kirim_endpoint_descriptor(n->ep));
    KS_CHECK(found != NULL);
    return found;
}

static void begin_to_spy(SOCKET s)
{
    for (int i = 0; i < SOCKETS_MAX; i++) {
        if (win_spy_state->sockets[i].s == INVALID_SOCKET) {
            win_spy_state->sockets[i] = (struct win_spy_socket){ .s = s };
            return;
        }
    }
    KS_FAIL("more than %d sockets", SOCKETS_MAX);
}

static SOCKET WSAAPI spy_socket(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info,
                                GROUP group, DWORD flags)
{
    const SOCKET s = ki_win_sys_default.socket(family, type, protocol, info, group, flags);
    if (win_spy_state->is_armed && s != INVALID_SOCKET) {
        begin_to_spy(s);
    }
    return s;
}

/* ---- what every call has to keep to ---------------------------------------------------------- */

bool win_spy_is_in_use(const WSAOVERLAPPED *overlapped)
{
    for (int i = 0; i < FLIGHTS_MAX; i++) {
        if (win_spy_state->flights[i].overlapped == overlapped) {
            return true;
        }
    }
    for (int i = 0; i < POSTS_MAX; i++) {
        if (win_spy_state->posts[i].overlapped == overlapped) {
            return true;
        }
    }
    return false;
}

/* Control messages one behind the other, aligned, none of them cut (WSAMSG, WSA_CMSG_ macros). */
static void check_control_form(const uint8_t *control, ULONG bytes)
{
    ULONG at = 0;
    while (at < bytes) {
        uint64_t length;
        KS_CHECK(bytes - at >= 16);
        memcpy(&length, control + at, sizeof length);
        KS_CHECK(length > 16 && length <= bytes - at);
        const ULONG space = (ULONG)(length + 7) / 8 * 8;
        KS_CHECK(space <= bytes - at);
        for (ULONG i = at + (ULONG)length; i < at + space; i++) {
            KS_EQ(0, control[i]); /* nothing of anybody's memory leaves with the padding */
        }
        at += space;
    }
    KS_EQ(bytes, at);
}

static void check_send(LPWSAMSG msg, DWORD flags, LPDWORD sent, LPWSAOVERLAPPED overlapped,
                       LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    KS_CHECK((msg->name == NULL) == (msg->namelen == 0));            /* S32 */
    KS_CHECK((msg->Control.buf == NULL) == (msg->Control.len == 0)); /* S32, and its mirror */
    KS_EQ(0, msg->dwFlags);                                          /* S10 */
    KS_EQ(0, flags & ~(DWORD)MSG_DONTROUTE);                         /* S11 */
    KS_CHECK((overlapped == NULL) == (routine == NULL));             /* S17 */
    KS_CHECK((overlapped == NULL) == (sent != NULL));                /* S50 */
    KS_CHECK(overlapped == NULL || !win_spy_is_in_use(overlapped));  /* S19 */
    KS_CHECK(msg->lpBuffers != NULL && msg->dwBufferCount >= 1);     /* S4 */
    KS_CHECK(msg->dwBufferCount <= KIRIM_BUF_COUNT_MAX);
    for (DWORD i = 0; i < msg->dwBufferCount; i++) {
        KS_CHECK(msg->lpBuffers[i].buf != NULL || msg->lpBuffers[i].len == 0);
    }
    check_control_form((const uint8_t *)msg->Control.buf, msg->Control.len);
}

/* ---- what was passed ------------------------------------------------------------------------- */

static void write_down(struct win_spy_send *out, SOCKET s, const WSAMSG *msg, DWORD flags,
                       bool is_overlapped)
{
    *out = (struct win_spy_send){
        .s = s,
        .name_bytes = msg->namelen,
        .buf_count = msg->dwBufferCount,
        .control_bytes = msg->Control.len,
        .flags = flags,
        .is_overlapped = is_overlapped,
    };
    KS_CHECK(msg->namelen >= 0 && msg->namelen <= WIN_SPY_NAME_BYTES);
    KS_CHECK(msg->Control.len <= WIN_SPY_CONTROL_BYTES);
    if (msg->name != NULL) {
        memcpy(out->name, msg->name, (size_t)msg->namelen);
    }
    if (msg->Control.buf != NULL) {
        memcpy(out->control, msg->Control.buf, msg->Control.len);
    }
    for (DWORD i = 0; i < msg->dwBufferCount; i++) {
        const WSABUF *buf = &msg->lpBuffers[i];
        if (i < WIN_SPY_BUFS_MAX) {
            out->bufs[i] = *buf;
        }
        if (out->byte_count < WIN_SPY_HEAD_BYTES && buf->len > 0) {
            const size_t room = WIN_SPY_HEAD_BYTES - out->byte_count;
            memcpy(out->bytes + out->byte_count, buf->buf, buf->len < room ? buf->len : room);
        }
        out->byte_count += buf->len;
    }
}

static uint64_t digest_bufs(const WSABUF *bufs, DWORD count)
{
    uint64_t digest = 0;
    for (DWORD i = 0; i < count; i++) {
        digest = digest * 31 + ks_digest(bufs[i].buf, bufs[i].len);
    }
    return digest;
}

/* ---- flights --------------------------------------------------------------------------------- */

static struct win_spy_flight *flight_of(const WSAOVERLAPPED *overlapped)
{
    for (int i = 0; i < FLIGHTS_MAX; i++) {
        if (win_spy_state->flights[i].overlapped == overlapped) {
            return &win_spy_state->flights[i];
        }
    }
    KS_FAIL("a completion of nothing");
    return NULL;
}

/* What must stay as long as a send is outstanding: its OVERLAPPED, name, control data, payload (S5,
 * S19, S52). The array of buffers need not. */
static void check_untouched(const struct win_spy_flight *f)
{
    KS_CHECK(f->overlapped->hEvent == f->event);
    if (f->is_ours) {
        KS_CHECK(f->overlapped->Internal == f->status);
    }
    if (f->seen.name_bytes != 0) {
        KS_CHECK(memcmp(f->name_at, f->seen.name, (size_t)f->seen.name_bytes) == 0);
    }
    if (f->seen.control_bytes != 0) {
        KS_CHECK(memcmp(f->control_at, f->seen.control, f->seen.control_bytes) == 0);
    }
}

static void end_flight(struct win_spy_flight *f)
{
    f->overlapped = NULL;
    free(f->bufs);
    f->bufs = NULL;
}

/* Calls the routine. The record is free before, for a routine may send again. */
static void complete(struct win_spy_flight *f, DWORD err, DWORD bytes, DWORD flags)
{
    LPWSAOVERLAPPED const overlapped = f->overlapped;
    LPWSAOVERLAPPED_COMPLETION_ROUTINE const routine = f->routine;
    KS_EQ(f->thread_id, GetCurrentThreadId());
    end_flight(f);
    routine(err, bytes, overlapped, flags);
}

/* A send that the system knew of. */
static void CALLBACK on_sent(DWORD err, DWORD bytes, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    struct win_spy_flight *f = flight_of(overlapped);
    check_untouched(f);
    complete(f, err, bytes, flags);
}

/* One that it did not. */
static void CALLBACK on_landed(ULONG_PTR context)
{
    struct win_spy_flight *f = (struct win_spy_flight *)context;
    const DWORD err = (DWORD)f->sys_err;
    check_untouched(f);
    complete(f, err, err == 0 ? (DWORD)f->seen.byte_count : 0, 0);
}

/* Sends what was pending, now. */
static void let_leave(struct win_spy_flight *f)
{
    DWORD sent = 0;
    WSAMSG msg = {
        .name = f->seen.name_bytes != 0 ? f->name_at : NULL,
        .namelen = f->seen.name_bytes,
        .lpBuffers = f->bufs,
        .dwBufferCount = f->seen.buf_count,
        .Control = { f->seen.control_bytes, f->control_at },
    };
    if (win_spy_state->real.send(f->s, &msg, f->seen.flags, &sent, NULL, NULL) != 0) {
        f->sys_err = WSAGetLastError();
    }
}

/* Ends a send: writes down how, and has the routine run in the next alertable wait of the thread
 * that issued the call. If that has ended it never will. */
static void land_flight(struct win_spy_flight *f)
{
    check_untouched(f);
    if (f->is_late && f->sys_err == 0) {
        KS_CHECK(digest_bufs(f->bufs, f->seen.buf_count) == f->digest);
        let_leave(f); /* out of the memory that it lay in all the time */
    }
    f->is_late = false;
    f->status = f->sys_err == 0                       ? 0
                : f->sys_err == WSA_OPERATION_ABORTED ? status_cancelled
                                                      : status_unsuccessful;
    f->overlapped->Internal = f->status;
    f->overlapped->InternalHigh = f->sys_err == 0 ? f->seen.byte_count : 0;
    HANDLE thread = OpenThread(THREAD_SET_CONTEXT, FALSE, f->thread_id);
    if (thread == NULL || QueueUserAPC(on_landed, thread, (ULONG_PTR)f) == 0) {
        end_flight(f);
    }
    if (thread != NULL) {
        (void)CloseHandle(thread);
    }
}

/* Ends what is held of a socket, or one of it, as aborted. */
static bool abort_late(SOCKET s, const OVERLAPPED *which)
{
    bool is_any = false;
    for (int i = 0; i < FLIGHTS_MAX; i++) {
        struct win_spy_flight *f = &win_spy_state->flights[i];
        if (f->overlapped != NULL && f->s == s && f->is_late &&
            (which == NULL || which == f->overlapped)) {
            f->sys_err = WSA_OPERATION_ABORTED;
            land_flight(f);
            is_any = true;
        }
    }
    return is_any;
}

static struct win_spy_flight *begin_flight(const struct win_spy_send *seen, const WSAMSG *msg,
                                           LPWSAOVERLAPPED overlapped,
                                           LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    struct win_spy_flight *f = flight_of(NULL);
    const size_t array_bytes = msg->dwBufferCount * sizeof *f->bufs;
    *f = (struct win_spy_flight){
        .overlapped = overlapped,
        .routine = routine,
        .s = seen->s,
        .thread_id = GetCurrentThreadId(),
        .order = win_spy_state->flight_total++,
        .seen = *seen,
        .name_at = msg->name,
        .control_at = msg->Control.buf,
        .bufs = malloc(array_bytes),
        .digest = digest_bufs(msg->lpBuffers, msg->dwBufferCount),
        .event = overlapped->hEvent,
    };
    KS_CHECK(f->bufs != NULL);
    memcpy(f->bufs, msg->lpBuffers, array_bytes);
    return f;
}

/* ---- answers --------------------------------------------------------------------------------- */

static enum win_spy_how next_answer(SOCKET s, int *sys_err)
{
    struct win_spy *spy = win_spy_state;
    if (win_spy_socket_of(s)->is_blocked) {
        *sys_err = WSAEWOULDBLOCK;
        return WIN_SPY_REFUSED;
    }
    if (spy->answer_next < spy->answer_count) {
        *sys_err = spy->answers[spy->answer_next].sys_err;
        return spy->answers[spy->answer_next++].how;
    }
    *sys_err = spy->rest.sys_err;
    return spy->rest.how;
}

static INT refuse(int sys_err)
{
    WSASetLastError(sys_err);
    return SOCKET_ERROR;
}

/* Answers a send that is not overlapped. */
static INT answer_plain(const struct win_spy_send *seen, LPWSAMSG msg, LPDWORD sent,
                        enum win_spy_how how, int sys_err)
{
    if (how == WIN_SPY_THROUGH || (how == WIN_SPY_LATE && sys_err == 0)) {
        return win_spy_state->real.send(seen->s, msg, seen->flags, sent, NULL, NULL);
    }
    if (how == WIN_SPY_SENT) {
        *sent = (DWORD)seen->byte_count;
        return 0;
    }
    return refuse(sys_err);
}

static INT answer_overlapped(const struct win_spy_send *seen, LPWSAMSG msg,
                             LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
                             enum win_spy_how how, int sys_err)
{
    if (how == WIN_SPY_REFUSED) {
        return refuse(sys_err);
    }
    struct win_spy_flight *f = begin_flight(seen, msg, overlapped, routine);
    if (how == WIN_SPY_THROUGH) {
        const INT answer =
            win_spy_state->real.send(seen->s, msg, seen->flags, NULL, overlapped, on_sent);
        const int err = answer == 0 ? 0 : WSAGetLastError();
        if (err != 0 && err != WSA_IO_PENDING && err != WSAEMSGSIZE) {
            end_flight(f); /* no completion will come; of WSAEMSGSIZE it does come in Wine */
        }
        f->is_slow = err == WSA_IO_PENDING;
        WSASetLastError(err);
        return answer;
    }
    f->is_ours = true;
    f->is_late = how == WIN_SPY_LATE;
    f->sys_err = how == WIN_SPY_SENT ? 0 : sys_err;
    f->status = status_pending;
    overlapped->Internal = f->status;
    overlapped->InternalHigh = 0;
    if (how == WIN_SPY_LATE) {
        return refuse(WSA_IO_PENDING);
    }
    land_flight(f);
    return how == WIN_SPY_SENT ? 0 : refuse(sys_err);
}

static INT WSAAPI spy_send(SOCKET s, LPWSAMSG msg, DWORD flags, LPDWORD sent,
                           LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    struct win_spy *spy = win_spy_state;
    if (win_spy_socket_of(s) == NULL) {
        return spy->real.send(s, msg, flags, sent, overlapped, routine);
    }
    check_send(msg, flags, sent, overlapped, routine);
    KS_CHECK(spy->send_count < WIN_SPY_SENDS_MAX);
    struct win_spy_send *seen = &spy->sends[spy->send_count++];
    write_down(seen, s, msg, flags, overlapped != NULL);
    const struct win_spy_socket *known = win_spy_socket_of(s);
    for (int i = 0; i < 2; i++) {
        const int level = i == 0 ? IPPROTO_IP : IPPROTO_IPV6;
        seen->dont_fragment[i] =
            win_spy_option_value(known, level, 71, win_spy_option_value(known, level, 14, -1));
    }
    int sys_err;
    const enum win_spy_how how = next_answer(s, &sys_err);
    return overlapped == NULL ? answer_plain(seen, msg, sent, how, sys_err)
                              : answer_overlapped(seen, msg, overlapped, routine, how, sys_err);
}

/* ---- the rest of the table ------------------------------------------------------------------- */

static bool is_outstanding(SOCKET s)
{
    for (int i = 0; i < FLIGHTS_MAX; i++) {
        const struct win_spy_flight *f = &win_spy_state->flights[i];
        if (f->overlapped != NULL && f->s == s && (f->is_late || f->is_slow)) {
            return true;
        }
    }
    for (int i = 0; i < POSTS_MAX; i++) {
        if (win_spy_state->posts[i].overlapped != NULL && win_spy_state->posts[i].s == s) {
            return true;
        }
    }
    return false;
}

/* What is outstanding is cancelled before: without that there are systems that let sends wait for
 * room, or tell another error (S26). */
static int WSAAPI spy_close(SOCKET s)
{
    struct win_spy_socket *known = win_spy_socket_of(s);
    if (known != NULL) {
        KS_CHECK(known->is_cancelled || !is_outstanding(s));
        (void)abort_late(s, NULL);
        known->s = INVALID_SOCKET;
    }
    return ki_win_sys_default.close(s);
}

static BOOL WINAPI spy_cancel_io_ex(HANDLE handle, LPOVERLAPPED overlapped)
{
    struct win_spy_socket *known = win_spy_socket_of((SOCKET)handle);
    const bool is_any = abort_late((SOCKET)handle, overlapped);
    if (known != NULL && overlapped == NULL) {
        known->is_cancelled = true;
    }
    return ki_win_sys_default.cancel_io_ex(handle, overlapped) || is_any;
}

/* Options that Wine has not, and those on which Windows 10 2004 has them. */
static bool is_taken_note_of(int level, int name)
{
    return level == IPPROTO_UDP || ((level == IPPROTO_IP || level == IPPROTO_IPV6) && name == 50);
}

static void note_option(struct win_spy_socket *known, int level, int name, const void *value)
{
    uint32_t i = 0;
    while (i < known->option_count &&
           (known->options[i].level != level || known->options[i].name != name)) {
        i++;
    }
    KS_CHECK(i < OPTIONS_MAX);
    known->option_count += i == known->option_count;
    known->options[i].level = level;
    known->options[i].name = name;
    memcpy(&known->options[i].value, value, sizeof(int));
}

static int WSAAPI spy_setsockopt(SOCKET s, int level, int name, const char *value, int value_bytes)
{
    struct win_spy_socket *known = win_spy_socket_of(s);
    int answer = ki_win_sys_default.setsockopt(s, level, name, value, value_bytes);
    if (answer != 0 && is_taken_note_of(level, name)) {
        answer = 0;
    }
    if (known != NULL && answer == 0 && value_bytes >= (int)sizeof(int)) {
        known->late_count += known->is_bound;
        note_option(known, level, name, value);
    }
    return answer;
}

static int WSAAPI spy_bind(SOCKET s, const struct sockaddr *name, int name_bytes)
{
    struct win_spy_socket *known = win_spy_socket_of(s);
    const int answer = ki_win_sys_default.bind(s, name, name_bytes);
    if (known != NULL && answer == 0) {
        known->is_bound = true;
    }
    return answer;
}

/* The provider's functions are asked for: ours stand in front of them. */
static void stand_in_front(const void *id, void *out)
{
    static const GUID send_id = WSAID_WSASENDMSG;
    static const GUID receive_id = WSAID_WSARECVMSG;
    if (memcmp(id, &send_id, sizeof send_id) == 0) {
        const LPFN_WSASENDMSG mine = spy_send;
        memcpy(&win_spy_state->real.send, out, sizeof mine);
        memcpy(out, &mine, sizeof mine);
    } else if (memcmp(id, &receive_id, sizeof receive_id) == 0) {
        const LPFN_WSARECVMSG mine = win_spy_receive;
        memcpy(&win_spy_state->real.receive, out, sizeof mine);
        memcpy(out, &mine, sizeof mine);
    }
}

static int WSAAPI spy_ioctl(SOCKET s, DWORD code, LPVOID in, DWORD in_bytes, LPVOID out,
                            DWORD out_bytes, LPDWORD bytes, LPWSAOVERLAPPED overlapped,
                            LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    struct win_spy_socket *known = win_spy_socket_of(s);
    const int answer =
        ki_win_sys_default.ioctl(s, code, in, in_bytes, out, out_bytes, bytes, overlapped, routine);
    if (code == SIO_GET_EXTENSION_FUNCTION_POINTER && answer == 0) {
        stand_in_front(in, out);
    }
    const bool is_noted = code == _WSAIOW(IOC_VENDOR, 12) || /* SIO_UDP_CONNRESET */
                          code == _WSAIOW(IOC_VENDOR, 15) || /* SIO_UDP_NETRESET */
                          code == _WSAIOW(IOC_VENDOR, 235);  /* SIO_TIMESTAMPING */
    if (known == NULL || !is_noted) {
        return answer;
    }
    note_option(known, WIN_SPY_IOCTL, (int)code, in);
    return 0;
}

int win_spy_option_value(const struct win_spy_socket *known, int level, int name, int otherwise)
{
    for (uint32_t i = 0; known != NULL && i < known->option_count; i++) {
        if (known->options[i].level == level && known->options[i].name == name) {
            return known->options[i].value;
        }
    }
    return otherwise;
}

static int WSAAPI spy_getsockopt(SOCKET s, int level, int name, char *value, int *value_bytes)
{
    const int room = *value_bytes;
    const int answer = ki_win_sys_default.getsockopt(s, level, name, value, value_bytes);
    if (answer == 0 || !is_taken_note_of(level, name) || room < (int)sizeof(int)) {
        return answer;
    }
    const int known = win_spy_option_value(win_spy_socket_of(s), level, name, 0);
    memcpy(value, &known, sizeof known);
    *value_bytes = sizeof known;
    return 0;
}

/* ---- full sockets ---------------------------------------------------------------------------- */

/* long: the reference's */
static int WSAAPI spy_event_select(SOCKET s, WSAEVENT event, long what)
{
    struct win_spy_socket *known = win_spy_socket_of(s);
    if (known != NULL) {
        known->event = event;
    }
    return ki_win_sys_default.event_select(s, event, what);
}

/* FD_WRITE is recorded once the socket can write again, behind a WSAEWOULDBLOCK. */
static int WSAAPI spy_event_enum(SOCKET s, WSAEVENT event, LPWSANETWORKEVENTS out)
{
    struct win_spy_socket *known = win_spy_socket_of(s);
    const int answer = ki_win_sys_default.event_enum(s, event, out);
    if (answer == 0 && known != NULL && known->is_blocked) {
        out->lNetworkEvents &= ~FD_WRITE;
    }
    if (answer == 0 && known != NULL && known->is_announced) {
        known->is_announced = false;
        out->lNetworkEvents |= FD_WRITE;
        out->iErrorCode[FD_WRITE_BIT] = 0;
    }
    return answer;
}

/* A full socket is not writable. */
static int WSAAPI spy_select(int unused, fd_set *readable, fd_set *writable, fd_set *exceptional,
                             PTIMEVAL timeout)
{
    u_int kept = 0;
    for (u_int i = 0; writable != NULL && i < writable->fd_count; i++) {
        const struct win_spy_socket *known = win_spy_socket_of(writable->fd_array[i]);
        if (known == NULL || !known->is_blocked) {
            writable->fd_array[kept++] = writable->fd_array[i];
        }
    }
    if (writable != NULL) {
        writable->fd_count = kept;
    }
    return ki_win_sys_default.select(unused, readable, kept != 0 ? writable : NULL, exceptional,
                                     timeout);
}

void win_spy_block(const struct ks_node *n)
{
    socket_of_node(n)->is_blocked = true;
}

void win_spy_unblock(const struct ks_node *n)
{
    struct win_spy_socket *known = socket_of_node(n);
    known->is_blocked = false;
    if (known->event != NULL) {
        known->is_announced = true;
        KS_CHECK(WSASetEvent(known->event));
    }
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* The reactor number `wanted` over Winsock, or how many there are. */
static int find_reactor(int wanted, const char **name)
{
    int count = 0;
    for (size_t i = 0; ki_reactors[i] != NULL; i++) {
        const char *const each = ki_reactors[i]->name;
        if (each[0] != 0 && strcmp(each, "sim") != 0 && count++ == wanted) {
            *name = each;
        }
    }
    return count;
}

int win_spy_reactor_count(void)
{
    const char *name;
    return find_reactor(-1, &name);
}

bool win_spy_is_overlapped(const struct ks *t)
{
    return (t->caps & KIRIM_CAP_ALERTABLE) != 0;
}

void win_spy_open(struct ks *t, int reactor, int family)
{
    const char *name = NULL;
    (void)find_reactor(reactor, &name);
    KS_CHECK(name != NULL);
    free(win_spy_state); /* of a case that has failed */
    win_spy_state = calloc(1, sizeof *win_spy_state);
    KS_CHECK(win_spy_state != NULL);
    struct win_spy *spy = win_spy_state;
    for (int i = 0; i < SOCKETS_MAX; i++) {
        spy->sockets[i].s = INVALID_SOCKET;
    }
    spy->origins[0] = INVALID_SOCKET;
    spy->origins[1] = INVALID_SOCKET;
    spy->sys = ki_win_sys_default;
    spy->sys.socket = spy_socket;
    spy->sys.close = spy_close;
    spy->sys.bind = spy_bind;
    spy->sys.ioctl = spy_ioctl;
    spy->sys.setsockopt = spy_setsockopt;
    spy->sys.getsockopt = spy_getsockopt;
    spy->sys.select = spy_select;
    spy->sys.cancel_io_ex = spy_cancel_io_ex;
    spy->sys.event_select = spy_event_select;
    spy->sys.event_enum = spy_event_enum;
    ks_init(t, name, family);
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    options.system_calls = &spy->sys;
    KS_OK(ks_try_open(t, &options));
    spy->is_armed = true;
}

void win_spy_close(struct ks *t)
{
    struct win_spy *spy = win_spy_state;
    ks_close(t);
    for (int i = 0; i < FLIGHTS_MAX; i++) {
        KS_CHECK(spy->flights[i].overlapped == NULL ||
                 spy->flights[i].thread_id != GetCurrentThreadId());
    }
    KS_EQ(0, win_spy_posted_count());
    for (int i = 0; i < 2; i++) {
        if (spy->origins[i] != INVALID_SOCKET) {
            (void)closesocket(spy->origins[i]);
        }
    }
    free(spy);
    win_spy_state = NULL;
}

/* ---- for the test ---------------------------------------------------------------------------- */

void win_spy_answer(enum win_spy_how how, int sys_err, uint32_t count)
{
    struct win_spy *spy = win_spy_state;
    for (uint32_t i = 0; i < count; i++) {
        KS_CHECK(spy->answer_count < ANSWERS_MAX);
        spy->answers[spy->answer_count].how = how;
        spy->answers[spy->answer_count++].sys_err = sys_err;
    }
}

void win_spy_answer_rest(enum win_spy_how how, int sys_err)
{
    win_spy_state->rest.how = how;
    win_spy_state->rest.sys_err = sys_err;
}

static uint32_t land(uint32_t count, bool is_last_first)
{
    uint32_t landed = 0;
    while (landed < count) {
        struct win_spy_flight *next = NULL;
        for (int i = 0; i < FLIGHTS_MAX; i++) {
            struct win_spy_flight *f = &win_spy_state->flights[i];
            if (f->overlapped != NULL && f->is_late &&
                (next == NULL || (f->order < next->order) != is_last_first)) {
                next = f;
            }
        }
        if (next == NULL) {
            break;
        }
        land_flight(next);
        landed++;
    }
    return landed;
}

uint32_t win_spy_land(uint32_t count)
{
    return land(count, false);
}

uint32_t win_spy_land_last_first(uint32_t count)
{
    return land(count, true);
}

uint32_t win_spy_late_count(void)
{
    uint32_t count = 0;
    for (int i = 0; i < FLIGHTS_MAX; i++) {
        const struct win_spy_flight *f = &win_spy_state->flights[i];
        count += f->overlapped != NULL && f->is_late;
    }
    return count;
}

uint32_t win_spy_send_count(void)
{
    return win_spy_state->send_count;
}

const struct win_spy_send *win_spy_send_at(uint32_t index)
{
    KS_CHECK(index < win_spy_state->send_count);
    return &win_spy_state->sends[index];
}

void win_spy_forget_sends(void)
{
    win_spy_state->send_count = 0;
}

int win_spy_option(const struct ks_node *n, int level, int name)
{
    return win_spy_option_value(socket_of_node(n), level, name, -1);
}

uint32_t win_spy_late_option_count(const struct ks_node *n)
{
    return socket_of_node(n)->late_count;
}
