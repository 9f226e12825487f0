/* SPDX-License-Identifier: MIT
 *
 * The default table of system calls: the system's functions, none of them changed; and the
 * functions that a provider is asked for. Owns nothing. Any thread. Sources: see win_sys.h;
 * NtQueryInformationFile, FILE_MODE_INFORMATION.
 */
#include "win_sys.h"

#include <string.h>

const struct ki_win_sys ki_win_sys_default = {
    .startup = WSAStartup,
    .cleanup = WSACleanup,
    .socket = WSASocketW,
    .bind = bind,
    .connect = connect,
    .getsockname = getsockname,
    .getpeername = getpeername,
    .setsockopt = setsockopt,
    .getsockopt = getsockopt,
    .ioctl = WSAIoctl,
    .close = closesocket,
    .select = select,
    .poll = WSAPoll,
    .event_create = WSACreateEvent,
    .event_set = WSASetEvent,
    .event_reset = WSAResetEvent,
    .event_close = WSACloseEvent,
    .event_select = WSAEventSelect,
    .event_enum = WSAEnumNetworkEvents,
    .event_wait = WSAWaitForMultipleEvents,
    .cancel_io_ex = CancelIoEx,
    .sleep_ex = SleepEx,
    .queue_user_apc = QueueUserAPC,
    .wait_for_single_object = WaitForSingleObject,
    .duplicate_handle = DuplicateHandle,
    .close_handle = CloseHandle,
    .get_handle_information = GetHandleInformation,
    .set_handle_information = SetHandleInformation,
};

const struct ki_win_sys *ki_win_sys_of(const void *replacement)
{
    return replacement != NULL ? replacement : &ki_win_sys_default;
}

static bool fetch(const struct ki_win_sys *sys, SOCKET s, GUID id, void *out, DWORD out_bytes)
{
    DWORD bytes = 0;
    if (sys->ioctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof id, out, out_bytes, &bytes,
                   NULL, NULL) != 0) {
        return false;
    }
    return bytes == out_bytes;
}

bool ki_win_calls_fetch(const struct ki_win_sys *sys, SOCKET s, struct ki_win_calls *out)
{
    const GUID send_id = WSAID_WSASENDMSG;
    const GUID receive_id = WSAID_WSARECVMSG;
    *out = (struct ki_win_calls){ NULL, NULL };
    if (!fetch(sys, s, send_id, &out->send, sizeof out->send) ||
        !fetch(sys, s, receive_id, &out->receive, sizeof out->receive)) {
        return false;
    }
    if (out->send == NULL || out->receive == NULL) {
        WSASetLastError(WSAEOPNOTSUPP);
        return false;
    }
    return true;
}

/* Winsock has no question for the attribute. The system keeps it with the handle's file, as the
 * mode in which that was opened; the function is looked up, for no import library has to have it.
 */
bool ki_win_is_synchronous(SOCKET s)
{
    enum { FILE_MODE = 16, SYNCHRONOUS = 0x10 | 0x20 /* alertable or not */ };
    struct {
        ULONG_PTR status;
        ULONG_PTR bytes;
    } answer;
    typedef LONG(WINAPI * query_fn)(HANDLE file, void *answer, void *out, ULONG out_bytes,
                                    int what);
    const HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    query_fn query = NULL;
    ULONG mode = 0;
    if (ntdll != NULL) {
        const FARPROC found = GetProcAddress(ntdll, "NtQueryInformationFile");
        memcpy(&query, &found, sizeof query);
    }
    return query != NULL && query((HANDLE)s, &answer, &mode, sizeof mode, FILE_MODE) >= 0 &&
           (mode & SYNCHRONOUS) != 0;
}
