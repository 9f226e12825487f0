/* SPDX-License-Identifier: MIT
 *
 * The scripted table; see win_script.h. State is static because the calls have no context argument.
 */
#include "support/win_script.h"

#include <check.h>
#include <stdatomic.h>
#include <string.h>

enum { AHEAD_MAX = 64, STEPS_MAX = 4096, OPTIONS_MAX = 16, SOCKETS_MAX = 4096 };

/* What comes next for one kind of call. */
struct line {
    int answers[AHEAD_MAX];
    unsigned answer_count, answer_next;
    int broken;
    void (*hook)(void);
    atomic_ulong count; /* other threads may wake */
};

/* An option that is made up (no `sys_err`), or refused. */
struct option {
    int level;
    int name;
    int sys_err;
    uint32_t value;
};

/* A socket that tells an event object what happens. */
struct watched {
    SOCKET s;
    WSAEVENT event;
    bool is_full; /* it was told "would block": FD_WRITE is owed */
};

static struct line lines[SCRIPT_CALL_COUNT];
static struct script_step steps[STEPS_MAX];
static atomic_int step_count;
static struct option options[OPTIONS_MAX];
static unsigned option_count;
static struct watched sockets[SOCKETS_MAX]; /* by number, which is a multiple of four */
static struct ki_win_calls real_calls;
static int open_handles;
static int open_events;
static bool select_had_writes;
static uint32_t select_reads;
static int64_t timeout;

static const struct ki_win_sys *system_calls(void)
{
    return &ki_win_sys_default;
}

/* Counts a call and notes it. True: it fails, and the last error says why. */
static bool is_refused(enum script_call call, SOCKET s, int level, int name, uint32_t value)
{
    struct line *line = &lines[call];
    line->count++;
    if (line->hook != NULL) {
        line->hook();
    }
    int sys_err = line->broken;
    if (line->answer_next < line->answer_count) {
        sys_err = line->answers[line->answer_next++];
    }
    const int index = step_count++;
    if (index < STEPS_MAX) {
        steps[index] = (struct script_step){
            .call = call,
            .s = s,
            .level = level,
            .name = name,
            .value = value,
            .is_refused = sys_err != 0,
        };
    }
    if (sys_err != 0) {
        WSASetLastError(sys_err);
    }
    return sys_err != 0;
}

static struct option *option_of(int level, int name)
{
    for (unsigned i = 0; i < option_count; i++) {
        if (options[i].level == level && options[i].name == name) {
            return &options[i];
        }
    }
    return NULL;
}

/* ---- the script ------------------------------------------------------------------------------ */

void script_reset(void)
{
    memset(lines, 0, sizeof lines);
    memset(sockets, 0, sizeof sockets);
    option_count = 0;
    open_handles = 0;
    open_events = 0;
    select_had_writes = false;
    select_reads = 0;
    timeout = 0;
    script_forget_steps();
}

void script_forget_steps(void)
{
    step_count = 0;
    timeout = 0;
    for (int i = 0; i < SCRIPT_CALL_COUNT; i++) {
        lines[i].count = 0;
    }
}

void script_answer(enum script_call call, int sys_err)
{
    struct line *line = &lines[call];
    ck_assert_uint_lt(line->answer_count, AHEAD_MAX);
    line->answers[line->answer_count++] = sys_err;
}

void script_break(enum script_call call, int sys_err)
{
    lines[call].broken = sys_err;
}

void script_hook(enum script_call call, void (*hook)(void))
{
    lines[call].hook = hook;
}

static void add_option(struct option option)
{
    ck_assert_uint_lt(option_count, OPTIONS_MAX);
    options[option_count++] = option;
}

void script_make_option(int level, int name, uint32_t value)
{
    add_option((struct option){ level, name, 0, value });
}

void script_refuse_option(int level, int name, int sys_err)
{
    add_option((struct option){ level, name, sys_err, 0 });
}

uint32_t script_option(int level, int name)
{
    const struct option *option = option_of(level, name);
    ck_assert_ptr_nonnull(option);
    return option->value;
}

uint64_t script_count(enum script_call call)
{
    return lines[call].count;
}

int script_find(enum script_call call, int level, int name, int from)
{
    for (int i = from; i < step_count && i < STEPS_MAX; i++) {
        if (steps[i].call == call && steps[i].level == level && steps[i].name == name) {
            return i;
        }
    }
    return -1;
}

int script_step_count(void)
{
    return step_count < STEPS_MAX ? step_count : STEPS_MAX;
}

const struct script_step *script_step_at(int index)
{
    ck_assert_int_ge(index, 0);
    return &steps[index];
}

int script_open_handles(void)
{
    return open_handles;
}

int script_open_events(void)
{
    return open_events;
}

void script_note_socket(void)
{
    open_handles++;
}

bool script_select_had_writes(void)
{
    return select_had_writes;
}

uint32_t script_select_reads(void)
{
    return select_reads;
}

int64_t script_timeout(void)
{
    return timeout;
}

/* ---- beginning, sockets ---------------------------------------------------------------------- */

static int WSAAPI script_startup(WORD version, LPWSADATA data)
{
    if (is_refused(SCRIPT_STARTUP, 0, 0, 0, version)) {
        return WSAGetLastError(); /* it answers the code itself */
    }
    const int answer = system_calls()->startup(version, data);
    open_handles += answer == 0;
    return answer;
}

static int WSAAPI script_cleanup(void)
{
    open_handles--;
    (void)is_refused(SCRIPT_CLEANUP, 0, 0, 0, 0);
    return system_calls()->cleanup();
}

static SOCKET WSAAPI script_socket(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info,
                                   GROUP group, DWORD flags)
{
    if (is_refused(SCRIPT_SOCKET, 0, family, type, flags)) {
        return INVALID_SOCKET;
    }
    const SOCKET s = system_calls()->socket(family, type, protocol, info, group, flags);
    open_handles += s != INVALID_SOCKET;
    return s;
}

static int WSAAPI script_bind(SOCKET s, const struct sockaddr *name, int name_bytes)
{
    return is_refused(SCRIPT_BIND, s, 0, 0, 0) ? SOCKET_ERROR
                                               : system_calls()->bind(s, name, name_bytes);
}

static int WSAAPI script_connect(SOCKET s, const struct sockaddr *name, int name_bytes)
{
    return is_refused(SCRIPT_CONNECT, s, 0, 0, 0) ? SOCKET_ERROR
                                                  : system_calls()->connect(s, name, name_bytes);
}

static int WSAAPI script_getsockname(SOCKET s, struct sockaddr *name, int *name_bytes)
{
    return is_refused(SCRIPT_GETSOCKNAME, s, 0, 0, 0)
               ? SOCKET_ERROR
               : system_calls()->getsockname(s, name, name_bytes);
}

static int WSAAPI script_getpeername(SOCKET s, struct sockaddr *name, int *name_bytes)
{
    return is_refused(SCRIPT_GETPEERNAME, s, 0, 0, 0)
               ? SOCKET_ERROR
               : system_calls()->getpeername(s, name, name_bytes);
}

static int WSAAPI script_setsockopt(SOCKET s, int level, int name, const char *value,
                                    int value_bytes)
{
    uint32_t word = 0;
    memcpy(&word, value, (size_t)value_bytes < sizeof word ? (size_t)value_bytes : sizeof word);
    const int index = step_count;
    const bool is_failing = is_refused(SCRIPT_SETSOCKOPT, s, level, name, word);
    if (index < STEPS_MAX) {
        steps[index].bytes = value_bytes;
        memcpy(steps[index].data, value,
               value_bytes < STEP_BYTES ? (size_t)value_bytes : STEP_BYTES);
    }
    if (is_failing) {
        return SOCKET_ERROR;
    }
    struct option *option = option_of(level, name);
    if (option == NULL) {
        return system_calls()->setsockopt(s, level, name, value, value_bytes);
    }
    option->value = word;
    WSASetLastError(option->sys_err);
    return option->sys_err == 0 ? 0 : SOCKET_ERROR;
}

static int WSAAPI script_getsockopt(SOCKET s, int level, int name, char *value, int *value_bytes)
{
    if (is_refused(SCRIPT_GETSOCKOPT, s, level, name, 0)) {
        return SOCKET_ERROR;
    }
    const struct option *option = option_of(level, name);
    if (option == NULL) {
        return system_calls()->getsockopt(s, level, name, value, value_bytes);
    }
    WSASetLastError(option->sys_err);
    if (option->sys_err != 0) {
        return SOCKET_ERROR;
    }
    ck_assert_int_ge(*value_bytes, (int)sizeof option->value);
    memcpy(value, &option->value, sizeof option->value);
    *value_bytes = sizeof option->value;
    return 0;
}

static int WSAAPI script_close(SOCKET s)
{
    open_handles--;
    (void)is_refused(SCRIPT_CLOSE, s, 0, 0, 0);
    return system_calls()->close(s);
}

static BOOL WINAPI script_get_handle(HANDLE handle, LPDWORD flags)
{
    return is_refused(SCRIPT_GET_HANDLE, (SOCKET)handle, 0, 0, 0)
               ? FALSE
               : system_calls()->get_handle_information(handle, flags);
}

static BOOL WINAPI script_set_handle(HANDLE handle, DWORD mask, DWORD flags)
{
    return is_refused(SCRIPT_SET_HANDLE, (SOCKET)handle, 0, 0, flags & mask)
               ? FALSE
               : system_calls()->set_handle_information(handle, mask, flags);
}

/* ---- datagrams ------------------------------------------------------------------------------- */

static struct watched *watched_of(SOCKET s)
{
    return &sockets[s / 4 % SOCKETS_MAX];
}

static INT WSAAPI script_send(SOCKET s, LPWSAMSG msg, DWORD flags, LPDWORD bytes,
                              LPWSAOVERLAPPED overlapped,
                              LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    struct watched *watched = watched_of(s);
    if (!is_refused(SCRIPT_SEND, s, 0, 0, flags)) {
        return real_calls.send(s, msg, flags, bytes, overlapped, routine);
    }
    if (WSAGetLastError() == WSAEWOULDBLOCK && watched->s == s && watched->event != NULL) {
        watched->is_full = true;
        (void)system_calls()->event_set(watched->event);
        WSASetLastError(WSAEWOULDBLOCK);
    }
    return SOCKET_ERROR;
}

static INT WSAAPI script_receive(SOCKET s, LPWSAMSG msg, LPDWORD bytes, LPWSAOVERLAPPED overlapped,
                                 LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    return is_refused(SCRIPT_RECEIVE, s, 0, 0, 0)
               ? SOCKET_ERROR
               : real_calls.receive(s, msg, bytes, overlapped, routine);
}

/* Puts itself in the place of what a provider is asked for. The one provider of UDP serves both
 * families, so one pair of pointers does. */
static void stand_between(const GUID *id, void *out)
{
    const GUID send_id = WSAID_WSASENDMSG;
    const LPFN_WSASENDMSG own_send = script_send;
    const LPFN_WSARECVMSG own_receive = script_receive;
    if (memcmp(id, &send_id, sizeof send_id) == 0) {
        memcpy(&real_calls.send, out, sizeof own_send);
        memcpy(out, &own_send, sizeof own_send);
    } else {
        memcpy(&real_calls.receive, out, sizeof own_receive);
        memcpy(out, &own_receive, sizeof own_receive);
    }
}

static int WSAAPI script_ioctl(SOCKET s, DWORD code, LPVOID in, DWORD in_bytes, LPVOID out,
                               DWORD out_bytes, LPDWORD bytes, LPWSAOVERLAPPED overlapped,
                               LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    uint32_t value = 0;
    if (in_bytes == sizeof value) {
        memcpy(&value, in, sizeof value);
    }
    if (is_refused(SCRIPT_IOCTL, s, 0, (int)code, value)) {
        return SOCKET_ERROR;
    }
    const int answer =
        system_calls()->ioctl(s, code, in, in_bytes, out, out_bytes, bytes, overlapped, routine);
    if (answer == 0 && code == SIO_GET_EXTENSION_FUNCTION_POINTER) {
        stand_between(in, out);
    }
    return answer;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int WSAAPI script_select(int unused, fd_set *readable, fd_set *writable, fd_set *exceptional,
                                PTIMEVAL limit)
{
    select_had_writes = writable != NULL;
    select_reads = readable != NULL ? readable->fd_count : 0;
    timeout = limit != NULL ? (int64_t)limit->tv_sec * 1000000 + limit->tv_usec : -1;
    return is_refused(SCRIPT_SELECT, 0, 0, 0, 0)
               ? SOCKET_ERROR
               : system_calls()->select(unused, readable, writable, exceptional, limit);
}

static int WSAAPI script_poll(WSAPOLLFD *fds, ULONG count, INT timeout_ms)
{
    return is_refused(SCRIPT_POLL, fds[0].fd, 0, 0, 0)
               ? SOCKET_ERROR
               : system_calls()->poll(fds, count, timeout_ms);
}

static WSAEVENT WSAAPI script_event_create(void)
{
    if (is_refused(SCRIPT_EVENT_CREATE, 0, 0, 0, 0)) {
        return WSA_INVALID_EVENT;
    }
    const WSAEVENT event = system_calls()->event_create();
    open_handles += event != WSA_INVALID_EVENT;
    open_events += event != WSA_INVALID_EVENT;
    return event;
}

static BOOL WSAAPI script_event_set(WSAEVENT event)
{
    return is_refused(SCRIPT_EVENT_SET, 0, 0, 0, 0) ? FALSE : system_calls()->event_set(event);
}

static BOOL WSAAPI script_event_reset(WSAEVENT event)
{
    return is_refused(SCRIPT_EVENT_RESET, 0, 0, 0, 0) ? FALSE : system_calls()->event_reset(event);
}

static BOOL WSAAPI script_event_close(WSAEVENT event)
{
    open_handles--;
    open_events--;
    (void)is_refused(SCRIPT_EVENT_CLOSE, 0, 0, 0, 0);
    return system_calls()->event_close(event);
}

/* long: the reference's */
static int WSAAPI script_event_select(SOCKET s, WSAEVENT event, long what)
{
    if (is_refused(SCRIPT_EVENT_SELECT, s, 0, 0, (uint32_t)what)) {
        return SOCKET_ERROR;
    }
    *watched_of(s) = (struct watched){ .s = s, .event = event };
    return system_calls()->event_select(s, event, what);
}

static int WSAAPI script_event_enum(SOCKET s, WSAEVENT event, LPWSANETWORKEVENTS out)
{
    struct watched *watched = watched_of(s);
    if (is_refused(SCRIPT_EVENT_ENUM, s, 0, 0, event != NULL)) {
        return SOCKET_ERROR;
    }
    const int answer = system_calls()->event_enum(s, event, out);
    if (answer == 0 && watched->s == s && watched->is_full) {
        watched->is_full = false;
        out->lNetworkEvents |= FD_WRITE;
    }
    return answer;
}

static DWORD WSAAPI script_event_wait(DWORD count, const WSAEVENT *events, BOOL all,
                                      DWORD timeout_ms, BOOL alertable)
{
    timeout = timeout_ms == WSA_INFINITE ? -1 : (int64_t)timeout_ms;
    ck_assert_uint_le(count, WSA_MAXIMUM_WAIT_EVENTS);
    return is_refused(SCRIPT_EVENT_WAIT, 0, 0, (int)count, timeout_ms)
               ? WSA_WAIT_FAILED
               : system_calls()->event_wait(count, events, all, timeout_ms, alertable);
}

/* It cannot fail: a refused one is not alertable, so that routines come late. */
static DWORD WINAPI script_sleep(DWORD timeout_ms, BOOL alertable)
{
    if (timeout_ms != 0 || alertable == FALSE) {
        timeout = timeout_ms == INFINITE ? -1 : (int64_t)timeout_ms;
    }
    const bool is_deaf = is_refused(SCRIPT_SLEEP, 0, 0, alertable, timeout_ms);
    return system_calls()->sleep_ex(timeout_ms, is_deaf ? FALSE : alertable);
}

const struct ki_win_sys *script_table(void)
{
    static struct ki_win_sys table;
    table = ki_win_sys_default; /* what has no place in the script passes through */
    table.startup = script_startup;
    table.cleanup = script_cleanup;
    table.socket = script_socket;
    table.bind = script_bind;
    table.connect = script_connect;
    table.getsockname = script_getsockname;
    table.getpeername = script_getpeername;
    table.setsockopt = script_setsockopt;
    table.getsockopt = script_getsockopt;
    table.ioctl = script_ioctl;
    table.close = script_close;
    table.select = script_select;
    table.poll = script_poll;
    table.event_create = script_event_create;
    table.event_set = script_event_set;
    table.event_reset = script_event_reset;
    table.event_close = script_event_close;
    table.event_select = script_event_select;
    table.event_enum = script_event_enum;
    table.event_wait = script_event_wait;
    table.sleep_ex = script_sleep;
    table.get_handle_information = script_get_handle;
    table.set_handle_information = script_set_handle;
    return &table;
}
