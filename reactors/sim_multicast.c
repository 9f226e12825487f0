/* SPDX-License-Identifier: MIT
 *
 * Multicast in the simulator: memberships, and which hosts and ports hear what is sent to many.
 *
 * The network is one segment that knows who listens, as a switch does that watches memberships: a
 * datagram for a group goes to the hosts where a port hears it when it is sent, over the link to
 * each, and there to every port that hears it when it arrives. A broadcast goes to every host that
 * has an address. Nobody routes, so that a time to live of 1 reaches all; one of 0 stays on the
 * host. The list of memberships is the core's. The world's thread. Sources: RFC 1112, RFC 4541,
 * RFC 4607.
 */
#include "sim.h"

kirim_err ki_sim_set_membership(struct ki_reactor *r, struct ki_port *p,
                                const struct ki_membership *m, bool is_joining)
{
    (void)r;
    (void)p;
    /* What is joined stays so, and there is one interface that neither comes nor goes. */
    return is_joining && m->ifindex > KI_SIM_IFINDEX ? KIRIM_EADDRNOTAVAIL : KIRIM_OK;
}

kirim_err ki_sim_set_multicast(struct ki_reactor *r, struct ki_port *p,
                               const struct kirim_multicast_options *options)
{
    struct ki_sim_port *port = (struct ki_sim_port *)p;
    (void)r;
    if (options->ifindex > KI_SIM_IFINDEX) {
        return KIRIM_EADDRNOTAVAIL;
    }
    port->group_ttl = options->ttl;
    port->is_group_looped = (options->flags & KIRIM_MULTICAST_NO_LOOP) == 0;
    return KIRIM_OK;
}

bool ki_sim_port_hears(const struct ki_sim_port *p, const struct kirim_addr *group,
                       const struct kirim_addr *source)
{
    for (const struct ki_membership *m = p->port.memberships; m != NULL; m = m->next) {
        const bool is_from_any = kirim_addr_family(&m->source) == KIRIM_FAMILY_NONE;
        if (ki_sim_same_addr(&m->group, group) &&
            (is_from_any || ki_sim_same_addr(&m->source, source))) {
            return true;
        }
    }
    return false;
}

bool ki_sim_host_hears(struct kirim_sim_host *host, const struct ki_sim_port *p,
                       const struct kirim_addr *dest, const struct kirim_addr *source, uint32_t ttl)
{
    const bool is_group = kirim_addr_is_multicast(dest);
    if (host == p->host) {
        return !is_group ||
               (p->is_group_looped && ki_sim_port_find_next(host, dest, source, 0) != NULL);
    }
    struct kirim_addr own;
    const int family = kirim_addr_family(dest);
    if (ki_sim_nat_of(host, family) != ki_sim_nat_of(p->host, family)) {
        return false; /* what is for many stays on its side */
    }
    const bool is_reached =
        ttl > 0 && !kirim_addr_is_loopback(source) && ki_sim_host_source(host, family, &own);
    return is_reached && (!is_group || ki_sim_port_find_next(host, dest, source, 0) != NULL);
}
