/* SPDX-License-Identifier: MIT
 *
 * Test support: a network namespace with a narrow network. Its loopback interface takes packets of
 * 1,500 bytes, and a route by it to a network that is not there takes 1,300. It also has a
 * link-local address.
 *
 * A process cannot leave the namespace that it has entered, so this is for tests that Check runs in
 * a child. Packets by the route are lost, as nobody has their destination. Owns nothing.
 */
#ifndef NARROW_NET_H
#define NARROW_NET_H

#include <kirim/addr.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    NARROW_MTU = 1500,
    NARROW_ROUTE_MTU = 1300,
    /* What is left of them for the payload of a datagram. */
    NARROW_IPV4_HEADERS = 20 + 8,
    NARROW_IPV6_HEADERS = 40 + 8
};

/* Whether a child of this process could enter; a process that does not fork cannot. */
bool narrow_net_is_permitted(void);

/* Moves the process into one. False: it is not permitted, and the process is of no use any more. */
bool narrow_net_enter(void);

/* Gives the route another MTU. */
bool narrow_net_change_route(unsigned mtu);

/* An address behind the route; its port is 9. */
struct kirim_addr narrow_net_far(int family);

/* The link-local address, port 0; its scope is the interface. */
struct kirim_addr narrow_net_link_local(void);

/* Largest payload of a datagram of this family that fits an MTU. */
static inline size_t narrow_net_payload(int family, size_t mtu)
{
    return mtu - (family == KIRIM_IPV4 ? NARROW_IPV4_HEADERS : NARROW_IPV6_HEADERS);
}

#endif
