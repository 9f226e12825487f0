/* SPDX-License-Identifier: MIT
 *
 * The path MTU of the POSIX reactors: whether datagrams may be cut into fragments, and what the
 * system knows of the way to a peer.
 *
 * Don't-fragment is said in one of three ways. Of a whole socket, in both families: an option that
 * is set when the port opens. Of one IPv6 datagram: control data, IPV6_DONTFRAG. Of one IPv4
 * datagram, mapped or not: Linux has no control data for it, so the socket's own option is switched
 * before the call that sends it, and stays so until a datagram that may be cut asks for the other
 * state. Owns nothing. Loop thread. Sources: ip(7) IP_MTU_DISCOVER and IP_MTU, ipv6(7)
 * IPV6_MTU_DISCOVER and IPV6_MTU, RFC 3542 section 11.2, RFC 8899.
 */
#ifndef KI_POSIX_MTU_H
#define KI_POSIX_MTU_H

#include "reactor.h"

struct ki_posix;
struct ki_posix_port;
struct ki_posix_setup;

/* What a port's IPv4 datagrams do, in `ki_posix_port.mtu_state`. */
enum {
    KI_MTU_UNASKED = 0, /* as the socket was opened, and nobody has looked */
    KI_MTU_PLAIN = 1,   /* as it was opened, which is known and permits fragments */
    KI_MTU_WHOLE = 2,   /* switched: no fragments; a bit of its own */
    KI_MTU_ALWAYS = 4   /* as it was opened, and that means no fragments: never switched */
};

/* Finds out whether the system can keep datagrams whole, and then it tells the path MTU, too:
 * KIRIM_CAP_DONT_FRAGMENT and KIRIM_CAP_PATH_MTU. `*caps` has KIRIM_CAP_IPV6 already if there is
 * any. */
void ki_posix_mtu_probe(const struct ki_posix *r, uint32_t *caps);

/* Sets what the endpoint's flags say of all its datagrams, in both families if it has both. */
kirim_err ki_posix_mtu_open(const struct ki_posix *r, const struct ki_posix_port *p,
                            struct ki_posix_setup *setup);

/* Whether an entry is an IPv4 datagram that must not be cut: what goes to ki_posix_mtu_set(), and
 * must not share a system call with one that differs. IPv6 has control data for it. */
static inline bool ki_posix_mtu_is_whole(const struct ki_entry *e, const struct kirim_addr *remote)
{
    if (e->control == NULL || (e->control->flags & KIRIM_CONTROL_DONT_FRAGMENT) == 0) {
        return false;
    }
    const int family = kirim_addr_family(&e->peer);
    return (family != KIRIM_FAMILY_NONE ? family : kirim_addr_family(remote)) == KIRIM_IPV4;
}

/* Sees to it that the IPv4 datagrams of the next calls may be cut into fragments, or not. Costs a
 * system call only if that changes. On failure the port is as it was. */
kirim_err ki_posix_mtu_set(struct ki_posix *r, struct ki_posix_port *p, bool is_whole);

/* Member of struct ki_reactor_ops. */
kirim_err ki_posix_path_mtu(struct ki_reactor *reactor, struct ki_port *port,
                            const struct kirim_addr *peer, uint32_t *out);

#endif
