/* SPDX-License-Identifier: MIT
 *
 * WSAMSG out of entries of a send queue, for all Windows reactors.
 *
 * One message is one entry or one train. The array of buffers may be anybody's scratch, for the
 * call captures it (S5); name and control data belong to the message and stay put as long as it is
 * in flight. Owns nothing. Loop thread. Sources: WSAMSG, WSASendMsg.
 */
#ifndef KI_WIN_MSG_H
#define KI_WIN_MSG_H

#include "reactor.h"
#include "win_addr.h"
#include "win_control.h"

struct ki_win_port;

enum {
    KI_WIN_BUFS_MAX = KIRIM_BUF_COUNT_MAX /* of one message; more than one entry may have */
};

struct ki_win_out {
    WSAMSG msg;
    DWORD flags;      /* of the call */
    uint32_t entries; /* that it sends; more than 1: a train */
    uint32_t is_train;
    union ki_win_name name;
    struct ki_win_control_out control;
};

/* Writes the message that begins with e[0], and is a train if entries up to e[n-1] may follow in
 * it. `bufs` is room for KI_WIN_BUFS_MAX buffers. */
void ki_win_encode(struct ki_win_out *out, WSABUF *bufs, const struct ki_win_port *p,
                   const struct ki_entry *e, uint32_t n);

#endif
