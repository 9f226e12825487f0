/* SPDX-License-Identifier: MIT
 *
 * The path MTU of the Windows reactors: whether datagrams may be cut into fragments, and what the
 * system knows of the way to a peer.
 *
 * Winsock documents no control data for it, so don't-fragment is a state of the socket in either
 * family: set for good when the port opens, or switched before the call that sends a datagram that
 * asks for it, and back before one that does not. Where the system has IP_MTU_DISCOVER that is what
 * is switched, else IP_DONTFRAGMENT, which cannot say "only the interface is a limit". Owns
 * nothing. Loop thread. Sources: "IPPROTO_IP socket options" and "IPPROTO_IPV6 socket options"
 * (IP_MTU_DISCOVER, IP_MTU, IP_DONTFRAGMENT and theirs), enum PMTUD_STATE, RFC 8899.
 */
#ifndef KI_WIN_MTU_H
#define KI_WIN_MTU_H

#include "win.h"
#include "win_socket.h"

/* What a port's datagrams of one family do, in `ki_win_port.mtu_state`. */
enum {
    KI_WIN_MTU_UNASKED = 0, /* as the socket was opened, and nobody has looked */
    KI_WIN_MTU_PLAIN = 1,   /* as it was opened, which is known and permits fragments */
    KI_WIN_MTU_WHOLE = 2,   /* switched: no fragments; a bit of its own */
    KI_WIN_MTU_ALWAYS = 4   /* as it was opened, and that means no fragments: never switched */
};

/* Asks a socket of one family for what the system has: KIRIM_CAP_DONT_FRAGMENT and
 * KIRIM_CAP_PATH_MTU, or neither, or the first. Notes by which option it is said. */
uint32_t ki_win_mtu_probe(struct ki_win *r, SOCKET s, bool is_ipv6);

/* Sets what the endpoint's flags say of all its datagrams, in both families if it has both.
 * KIRIM_ENDPOINT_PROBE_MTU needs KIRIM_CAP_PATH_MTU: the core has seen to that. */
kirim_err ki_win_mtu_open(const struct ki_win *r, const struct ki_win_port *p,
                          struct ki_win_setup *setup);

/* Whether an entry may need another state than that which the socket is in. */
static inline bool ki_win_mtu_is_due(const struct ki_win_port *p, const struct ki_entry *e)
{
    return ((p->mtu_state[0] | p->mtu_state[1]) & KI_WIN_MTU_WHOLE) != 0 ||
           (e->control != NULL && (e->control->flags & KIRIM_CONTROL_DONT_FRAGMENT) != 0);
}

/* Sees to it that the datagrams of the next calls may be cut, or not, as this entry says. Costs a
 * system call only if that changes. What is in flight may be cut by the new state: a reactor that
 * leaves entries in flight waits for their end first, if ki_win_mtu_changes(). On failure the port
 * is as it was, and the last error says why. */
kirim_err ki_win_mtu_set(struct ki_win *r, struct ki_win_port *p, const struct ki_entry *e);
bool ki_win_mtu_changes(const struct ki_win_port *p, const struct ki_entry *e);

/* Member of struct ki_reactor_ops. */
kirim_err ki_win_path_mtu(struct ki_reactor *reactor, struct ki_port *port,
                          const struct kirim_addr *peer, uint32_t *out);

#endif
