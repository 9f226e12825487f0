/* SPDX-License-Identifier: MIT
 *
 * Calls that are played; see win_played.h.
 */
#include "win_played.h"

#include <string.h>

struct kc_played kc_played;

static void look_at(const WSAMSG *msg, DWORD flags)
{
    struct kc_played *p = &kc_played;
    p->send_calls++;
    p->flags_all &= flags;
    p->flags_any |= flags;
    p->message_flags_any |= msg->dwFlags;
    p->buf_count = msg->dwBufferCount;
    for (DWORD i = 0; i < msg->dwBufferCount && i < KC_PLAYED_BUFS_MAX; i++) {
        p->bufs[i] = msg->lpBuffers[i].buf;
    }
    KS_CHECK(msg->Control.len <= sizeof p->control);
    p->control_bytes = msg->Control.len;
    if (msg->Control.len != 0) {
        memcpy(p->control, msg->Control.buf, msg->Control.len);
    }
    p->family = msg->name != NULL ? msg->name->sa_family : 0;
}

static void check_pointers(const DWORD *count, const WSAOVERLAPPED *overlapped, bool has_routine)
{
    kc_played.miscounted += (overlapped == NULL) != (count != NULL);
    kc_played.misrouted += (overlapped == NULL) == has_routine;
}

static INT WSAAPI play_send(SOCKET s, LPWSAMSG msg, DWORD flags, LPDWORD sent,
                            LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    struct kc_played *p = &kc_played;
    look_at(msg, flags);
    check_pointers(sent, overlapped, routine != NULL);
    if (p->send_count > 0 && p->send_skip == 0) {
        p->send_count--;
        WSASetLastError(p->send_err);
        return SOCKET_ERROR;
    }
    p->send_skip -= p->send_count > 0;
    return p->real.send(s, msg, flags, sent, overlapped, routine);
}

static INT WSAAPI play_receive(SOCKET s, LPWSAMSG msg, LPDWORD bytes, LPWSAOVERLAPPED overlapped,
                               LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    struct kc_played *p = &kc_played;
    if (p->receive_count > 0) {
        p->receive_count--;
        WSASetLastError(p->receive_err);
        return SOCKET_ERROR;
    }
    return p->real.receive(s, msg, bytes, overlapped, routine);
}

static bool is_the_same(const void *in, DWORD in_bytes, const GUID *id)
{
    return in_bytes == sizeof *id && memcmp(in, id, sizeof *id) == 0;
}

static int WSAAPI play_ioctl(SOCKET s, DWORD code, LPVOID in, DWORD in_bytes, LPVOID out,
                             DWORD out_bytes, LPDWORD bytes, LPWSAOVERLAPPED overlapped,
                             LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    static const GUID send_id = WSAID_WSASENDMSG;
    static const GUID receive_id = WSAID_WSARECVMSG;
    struct kc_played *p = &kc_played;
    const bool is_send =
        code == SIO_GET_EXTENSION_FUNCTION_POINTER && is_the_same(in, in_bytes, &send_id);
    const bool is_receive =
        code == SIO_GET_EXTENSION_FUNCTION_POINTER && is_the_same(in, in_bytes, &receive_id);
    if ((is_send && p->lacks_send) || (is_receive && p->lacks_receive)) {
        WSASetLastError(WSAEINVAL); /* the reference: the provider does not know it */
        return SOCKET_ERROR;
    }
    const int answer =
        ki_win_sys_default.ioctl(s, code, in, in_bytes, out, out_bytes, bytes, overlapped, routine);
    if (answer != 0 || (!is_send && !is_receive)) {
        return answer;
    }
    WSAPROTOCOL_INFOW info;
    int info_bytes = sizeof info;
    KS_EQ(0, getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &info_bytes));
    p->fetched[info.iAddressFamily == AF_INET6]++;
    const struct ki_win_calls played = { play_send, play_receive };
    if (is_send) {
        memcpy(&p->real.send, out, sizeof p->real.send);
        memcpy(out, &played.send, sizeof played.send);
    } else {
        memcpy(&p->real.receive, out, sizeof p->real.receive);
        memcpy(out, &played.receive, sizeof played.receive);
    }
    return 0;
}

kirim_err kc_try_open_played(struct ks *t)
{
    static struct ki_win_sys table;
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    table = ki_win_sys_default;
    table.ioctl = play_ioctl;
    options.system_calls = &table;
    kc_played.flags_all = ~(DWORD)0;
    return ks_try_open(t, &options);
}

void kc_open_played(struct ks *t)
{
    memset(&kc_played, 0, sizeof kc_played);
    KS_OK(kc_try_open_played(t));
}

void kc_refuse(int sys_err, int skip, int count)
{
    kc_played.send_err = sys_err;
    kc_played.send_skip = skip;
    kc_played.send_count = count;
}
