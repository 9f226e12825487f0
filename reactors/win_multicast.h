/* SPDX-License-Identifier: MIT
 *
 * Socket options of multicast, for the Windows reactors. The core keeps what has been joined; what
 * is here only asks the system. Interfaces are indices, which IPv4's options take in the place of
 * an address, as one of the network 0. Owns nothing. Loop thread. Sources: "IPPROTO_IP socket
 * options" (IP_ADD_MEMBERSHIP, IP_MULTICAST_IF), "IPPROTO_IPV6 socket options", RFC 3678.
 */
#ifndef KI_WIN_MULTICAST_H
#define KI_WIN_MULTICAST_H

#include "win.h"

/* Members of struct ki_reactor_ops. */
kirim_err ki_win_set_membership(struct ki_reactor *reactor, struct ki_port *port,
                                const struct ki_membership *m, bool is_joining);
kirim_err ki_win_set_multicast(struct ki_reactor *reactor, struct ki_port *port,
                               const struct kirim_multicast_options *options);

#endif
