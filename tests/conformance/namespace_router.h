/* SPDX-License-Identifier: MIT
 *
 * A network with a router in it: this host, the router on its link, and what the router says of
 * destinations behind it.
 */
#ifndef KC_NAMESPACE_ROUTER_H
#define KC_NAMESPACE_ROUTER_H

#include <kirim/addr.h>

enum { KC_FAR_MTU = 1280 };

/* Addresses of the case's family; port 9. */
struct kc_router {
    struct kirim_addr own;
    struct kirim_addr router;      /* where every port is closed */
    struct kirim_addr far;         /* a host that is not there, behind a link with an MTU of
                                      KC_FAR_MTU; IPv4 has no answer for it, IPv6 neither */
    struct kirim_addr prohibited;  /* where the router lets nobody pass */
    struct kirim_addr unreachable; /* where it knows no way */
};

/* Why a case could not enter such a network: a reason that begins with "not-permitted", or NULL. */
const char *kc_router_obstacle(void);

/* Moves the process there; for cases that run in a child. */
void kc_router_enter(struct kc_router *net, int family);

#endif
