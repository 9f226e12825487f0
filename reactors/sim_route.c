/* SPDX-License-Identifier: MIT
 *
 * Routes of a host: which addresses are its own, where a destination leads, and which source it
 * would choose.
 *
 * A world is one network: every address of every host is reached directly. Loopback addresses never
 * leave the host. A group and the limited broadcast lead to every host that hears them; the
 * broadcast of the loopback network stays on the host. The world's thread. Sources: RFC 1122
 * section 3.2.1.3, RFC 6724 in its simplest case, ip-route(8) for the sources of local
 * destinations.
 */
#include "sim.h"

static bool is_ipv4(const struct kirim_addr *a, uint8_t first, uint8_t rest)
{
    const uint8_t bytes[4] = { first, rest, rest, rest };
    const struct kirim_addr other = kirim_addr_ipv4(bytes, 0);
    return ki_sim_same_addr(a, &other);
}

static struct kirim_addr loopback_of(int family)
{
    static const uint8_t ipv4[4] = { 127, 0, 0, 1 };
    static const uint8_t ipv6[16] = { [15] = 1 };
    return family == KIRIM_IPV4 ? kirim_addr_ipv4(ipv4, 0) : kirim_addr_ipv6(ipv6, 0, 0);
}

bool ki_sim_host_has(const struct kirim_sim_host *host, const struct kirim_addr *addr)
{
    for (size_t i = 0; i < host->home_count; i++) {
        if (ki_sim_same_addr(&host->home[i].addr, addr)) {
            return true;
        }
    }
    return kirim_addr_is_loopback(addr);
}

bool ki_sim_host_source(const struct kirim_sim_host *host, int family, struct kirim_addr *out)
{
    for (size_t i = 0; i < host->home_count; i++) {
        if (kirim_addr_family(&host->home[i].addr) == family) {
            *out = host->home[i].addr;
            return true;
        }
    }
    return false;
}

static kirim_err find_broadcast(struct kirim_sim_host *host, bool may_broadcast, bool is_limited,
                                struct ki_sim_route *out)
{
    if (!may_broadcast) {
        return KIRIM_EACCES;
    }
    out->is_for_many = true;
    if (is_limited) {
        return ki_sim_host_source(host, KIRIM_IPV4, &out->source) ? KIRIM_OK : KIRIM_ENETUNREACH;
    }
    out->to = host;
    out->source = loopback_of(KIRIM_IPV4);
    return KIRIM_OK;
}

/* A group: a host that has no address of the family sends from its loopback, to itself alone. */
static void find_group(const struct kirim_sim_host *host, struct ki_sim_route *out)
{
    uint8_t bytes[16];
    const int family = kirim_addr_family(&out->dest);
    (void)kirim_addr_bytes(&out->dest, bytes);
    if (family == KIRIM_IPV6) { /* those that need a scope have that of the only interface */
        out->dest = kirim_addr_ipv6(bytes, kirim_addr_port(&out->dest), KI_SIM_IFINDEX);
    }
    out->is_for_many = true;
    if (!ki_sim_host_source(host, family, &out->source)) {
        out->source = loopback_of(family);
    }
}

kirim_err ki_sim_route_find(struct kirim_sim_host *host, const struct kirim_addr *dest,
                            bool may_broadcast, struct ki_sim_route *out)
{
    const int family = kirim_addr_family(dest);
    *out = (struct ki_sim_route){ .asked = *dest, .dest = *dest };
    if (is_ipv4(dest, 255, 255) || is_ipv4(dest, 127, 255)) {
        return find_broadcast(host, may_broadcast, is_ipv4(dest, 255, 255), out);
    }
    if (kirim_addr_is_multicast(dest)) {
        find_group(host, out);
        return KIRIM_OK;
    }
    if (kirim_addr_is_wildcard(dest)) {
        /* As Linux has it: nowhere is here. */
        out->dest = loopback_of(family);
        kirim_addr_set_port(&out->dest, kirim_addr_port(dest));
    }
    if (kirim_addr_is_loopback(&out->dest)) {
        out->to = host;
        out->source = loopback_of(family);
        return KIRIM_OK;
    }
    const struct ki_sim_home *home = ki_sim_home_find(host->sim, dest);
    if (home == NULL) {
        return KIRIM_ENETUNREACH;
    }
    if (home->nat != NULL) {
        out->asked = (struct kirim_addr){ { 0, 0, 0 } }; /* mappings come and go */
        out->nat = home->nat;
        out->to = ki_sim_nat_target(home->nat, dest);
        return ki_sim_host_source(host, family, &out->source) ? KIRIM_OK : KIRIM_ENETUNREACH;
    }
    out->to = home->host;
    if (home->host == host) {
        out->source = home->addr;
        return KIRIM_OK;
    }
    return ki_sim_host_source(host, family, &out->source) ? KIRIM_OK : KIRIM_ENETUNREACH;
}
