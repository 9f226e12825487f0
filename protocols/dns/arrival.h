/* SPDX-License-Identifier: MIT
 *
 * What the bindings of servers ask of a datagram before they answer it. Owns nothing. Loop thread.
 */
#ifndef KI_DNS_ARRIVAL_H
#define KI_DNS_ARRIVAL_H

#include <kirim/kirim.h>

/* The address that was asked, if `names_source` and it can be answered from; else `out` stays. */
static inline bool ki_dns_source(bool names_source, const struct kirim_datagram *d,
                                 struct kirim_addr *out)
{
    if (!names_source || d->arrival == NULL || (d->flags & KIRIM_RX_NO_LOCAL) != 0 ||
        kirim_addr_family(&d->arrival->local) != kirim_addr_family(&d->peer) ||
        kirim_addr_is_multicast(&d->arrival->local)) {
        return false;
    }
    *out = d->arrival->local;
    return true;
}

#endif
