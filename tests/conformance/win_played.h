/* SPDX-License-Identifier: MIT
 *
 * WSASendMsg and WSARecvMsg, played: what a provider answers when it is asked for them, and what
 * they were given.
 *
 * The loop's table of system calls is the default one but for WSAIoctl. One loop at a time; loop
 * thread. Sources: WSAIoctl, WSASendMsg, LPFN_WSARECVMSG.
 */
#ifndef KC_WIN_PLAYED_H
#define KC_WIN_PLAYED_H

#include "support/ks.h"
#include "win_sys.h"

enum { KC_PLAYED_CONTROL_BYTES = 128, KC_PLAYED_BUFS_MAX = 128 };

struct kc_played {
    /* what it plays */
    int send_err;  /* sends fail with it ... */
    int send_skip; /* ... after so many, */
    int send_count;
    int receive_err;
    int receive_count;
    bool lacks_send; /* the provider does not know the one, or the other */
    bool lacks_receive;

    /* what it saw */
    uint32_t fetched[2]; /* of sockets of IPv4 and of IPv6 */
    size_t send_calls;
    DWORD flags_all; /* of all sends */
    DWORD flags_any;
    DWORD message_flags_any;
    size_t miscounted; /* calls that are overlapped and want the count, or neither */
    size_t misrouted;  /* calls with one of the overlapped pointers */
    /* of the last send */
    DWORD buf_count;
    const void *bufs[KC_PLAYED_BUFS_MAX];
    ULONG control_bytes;
    uint8_t control[KC_PLAYED_CONTROL_BYTES];
    int family; /* of its name; 0: it has none */

    struct ki_win_calls real;
};

extern struct kc_played kc_played;

/* Opens the fixture's loop with them; or tries to, with what `kc_played` has been told to lack. */
void kc_open_played(struct ks *t);
kirim_err kc_try_open_played(struct ks *t);

/* Refuses `count` sends behind `skip`. */
void kc_refuse(int sys_err, int skip, int count);

#endif
