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

/* Sends one message, not overlapped: 0, or the system's code. */
int ki_win_tx_send(struct ki_win_port *p, struct ki_win_out *out);

/* Says why entries were refused; what is full is to be told by r->want_writable(). */
void ki_win_tx_refuse(struct ki_win *r, struct ki_win_port *p, int sys_err, uint32_t entries,
                      struct ki_refusal *why);

/* Corrects what `why` says of the refused entry `e` where its source is at fault: "no route" of a
 * loopback address that is to leave the host, "not available" of an address that is not, or no
 * longer, this host's. Windows and Wine name both in many ways. */
void ki_win_tx_explain(const struct ki_win *r, const struct ki_win_port *p,
                       const struct ki_entry *e, struct ki_refusal *why);

/* Sees to it that an entry may be cut into fragments, or not. False: it cannot be said, which
 * `why` tells of the entry. */
bool ki_win_tx_set_fragments(struct ki_win *r, struct ki_win_port *p, const struct ki_entry *e,
                             struct ki_refusal *why);

/* Member of struct ki_reactor_ops. */
uint32_t ki_win_submit(struct ki_reactor *reactor, struct ki_port *port, struct ki_entry *e,
                       uint32_t n, struct ki_refusal *why);

#endif
