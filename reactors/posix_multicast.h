/* SPDX-License-Identifier: MIT
 *
 * Multicast of the POSIX reactors: memberships and how groups are sent to.
 *
 * The protocol-independent options of RFC 3678 join by an interface's index in both families; those
 * that ip(7) begins with want an address of it. A dual-stack socket takes the options of both
 * levels, each for its own family. Owns nothing. Loop thread. Sources: ip(7), ipv6(7), RFC 3678
 * section 5, RFC 3493 section 5.2.
 */
#ifndef KI_POSIX_MULTICAST_H
#define KI_POSIX_MULTICAST_H

#include "posix.h"

/* Has a fresh socket of our own hear the groups that it joins and no others. */
void ki_posix_multicast_init(const struct ki_posix *r, const struct ki_posix_port *p, int fd);

/* Members of struct ki_reactor_ops. */
kirim_err ki_posix_set_membership(struct ki_reactor *reactor, struct ki_port *port,
                                  const struct ki_membership *m, bool is_joining);
kirim_err ki_posix_set_multicast(struct ki_reactor *reactor, struct ki_port *port,
                                 const struct kirim_multicast_options *options);

#endif
