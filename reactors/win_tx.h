/* SPDX-License-Identifier: MIT
 *
 * Submitting, for the Windows readiness reactors: WSASendMsg, once for each entry or train, with
 * both overlapped pointers NULL. Loop thread. Sources: WSASendMsg.
 */
#ifndef KI_WIN_TX_H
#define KI_WIN_TX_H

#include "win.h"

/* Whether the system's answer to a send is that to an earlier one, which met a closed port or lived
 * too long. Then it is kept for receive(), and the entry has not been tried. */
bool ki_win_tx_is_stale(struct ki_win_port *p, int sys_err);

/* Member of struct ki_reactor_ops. */
uint32_t ki_win_submit(struct ki_reactor *reactor, struct ki_port *port, struct ki_entry *e,
                       uint32_t n, struct ki_refusal *why);

#endif
