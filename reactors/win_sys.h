/* SPDX-License-Identifier: MIT
 *
 * The system calls of the Windows reactors, as a table that a test can replace.
 *
 * Every call of the reactors that can fail goes through it, and none beside it, so that a test can
 * make the n-th call fail, be late or lie. The members have the signatures of the reference; those
 * of Winsock set the last error as it says. A loop gets its table from
 * kirim_loop_options.system_calls, else the default; a replacement starts as a copy of the default.
 *
 * WSASendMsg and WSARecvMsg are no members: each provider has its own, and they are asked for by
 * WSAIoctl with SIO_GET_EXTENSION_FUNCTION_POINTER (S12). Who wants to stand behind them answers
 * that ioctl. Owns nothing. Any thread. Sources: the reference pages of the calls.
 */
#ifndef KI_WIN_SYS_H
#define KI_WIN_SYS_H

#include "win_const.h"

#include <stdbool.h>

struct ki_win_sys {
    /* Beginning and end. */
    int(WSAAPI *startup)(WORD version, LPWSADATA data);
    int(WSAAPI *cleanup)(void);

    /* Sockets. */
    SOCKET(WSAAPI *socket)
    (int family, int type, int protocol, LPWSAPROTOCOL_INFOW info, GROUP group, DWORD flags);
    int(WSAAPI *bind)(SOCKET s, const struct sockaddr *name, int name_bytes);
    int(WSAAPI *connect)(SOCKET s, const struct sockaddr *name, int name_bytes);
    int(WSAAPI *getsockname)(SOCKET s, struct sockaddr *name, int *name_bytes);
    int(WSAAPI *getpeername)(SOCKET s, struct sockaddr *name, int *name_bytes);
    int(WSAAPI *setsockopt)(SOCKET s, int level, int option, const char *value, int value_bytes);
    int(WSAAPI *getsockopt)(SOCKET s, int level, int option, char *value, int *value_bytes);
    int(WSAAPI *ioctl)(SOCKET s, DWORD code, LPVOID in, DWORD in_bytes, LPVOID out, DWORD out_bytes,
                       LPDWORD bytes, LPWSAOVERLAPPED overlapped,
                       LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);
    int(WSAAPI *close)(SOCKET s);

    /* Waiting. */
    int(WSAAPI *select)(int unused, fd_set *readable, fd_set *writable, fd_set *exceptional,
                        PTIMEVAL timeout);
    int(WSAAPI *poll)(WSAPOLLFD *fds, ULONG count, INT timeout_ms);
    WSAEVENT(WSAAPI *event_create)(void);
    BOOL(WSAAPI *event_set)(WSAEVENT event);
    BOOL(WSAAPI *event_reset)(WSAEVENT event);
    BOOL(WSAAPI *event_close)(WSAEVENT event);
    int(WSAAPI *event_select)(SOCKET s, WSAEVENT event, long what); /* long: the reference's */
    int(WSAAPI *event_enum)(SOCKET s, WSAEVENT event, LPWSANETWORKEVENTS out);
    DWORD(WSAAPI *event_wait)
    (DWORD count, const WSAEVENT *events, BOOL all, DWORD timeout_ms, BOOL alertable);

    /* Overlapped operations, and the thread that their routines run in. */
    BOOL(WINAPI *cancel_io_ex)(HANDLE handle, LPOVERLAPPED overlapped);
    DWORD(WINAPI *sleep_ex)(DWORD timeout_ms, BOOL alertable);
    DWORD(WINAPI *queue_user_apc)(PAPCFUNC routine, HANDLE thread, ULONG_PTR context);
    DWORD(WINAPI *wait_for_single_object)(HANDLE handle, DWORD timeout_ms);

    /* Handles. */
    BOOL(WINAPI *duplicate_handle)
    (HANDLE from_process, HANDLE from, HANDLE to_process, LPHANDLE to, DWORD access, BOOL inherit,
     DWORD options);
    BOOL(WINAPI *close_handle)(HANDLE handle);
    BOOL(WINAPI *get_handle_information)(HANDLE handle, LPDWORD flags);
    BOOL(WINAPI *set_handle_information)(HANDLE handle, DWORD mask, DWORD flags);
};

/* The system's own calls. */
extern const struct ki_win_sys ki_win_sys_default;

/* The table of a loop: `replacement` (kirim_loop_options.system_calls), or the default. */
const struct ki_win_sys *ki_win_sys_of(const void *replacement);

/* What a provider is asked for (S12). */
struct ki_win_calls {
    LPFN_WSASENDMSG send;
    LPFN_WSARECVMSG receive;
};

/* Fetches both from the provider of a socket. False, and the last error says why: it has not both.
 */
bool ki_win_calls_fetch(const struct ki_win_sys *sys, SOCKET s, struct ki_win_calls *out);

/* Whether a socket was made without WSA_FLAG_OVERLAPPED: its calls wait, and ask for no routine
 * (S51). False also where the system does not tell. */
bool ki_win_is_synchronous(SOCKET s);

#endif
