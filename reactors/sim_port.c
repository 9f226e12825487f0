/* SPDX-License-Identifier: MIT
 *
 * Ports: binding, connecting, and who gets what arrives.
 *
 * Binding follows Linux without SO_REUSEADDR: two addresses on one port number exclude each other
 * if one of them is a wildcard that covers the other, unless both are shared. What arrives goes to
 * the closest match: a bound address before a wildcard, a connected port before one that is not,
 * IPv4 before both stacks; among equals that share the port the sender's address decides. All ports
 * of a world stand in one table. The world's thread. Sources: ip(7), ipv6(7), udp(7), RFC 3493
 * section 5.3.
 */
#include "sim.h"

#include <stddef.h>

/* ---- finding --------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct kirim_sim_host *host, uint16_t number)
{
    return ki_mix(host->key + KI_GOLDEN * number);
}

static struct ki_sim_port *port_of(struct ki_sim_node *node)
{
    return (struct ki_sim_port *)(void *)((char *)node - offsetof(struct ki_sim_port, node));
}

/* The next of the host's ports with this number, from `node` on. */
static struct ki_sim_port *next_port(struct ki_sim_node *node, const struct kirim_sim_host *host,
                                     uint16_t number)
{
    for (; node != NULL; node = ki_sim_table_next(node)) {
        struct ki_sim_port *p = port_of(node);
        if (p->host == host && kirim_addr_port(&p->port.local) == number) {
            return p;
        }
    }
    return NULL;
}

static struct ki_sim_port *first_port(const struct kirim_sim_host *host, uint16_t number)
{
    return next_port(ki_sim_table_first(&host->sim->ports, hash_of(host, number)), host, number);
}

static struct ki_sim_port *port_after(const struct ki_sim_port *p)
{
    return next_port(ki_sim_table_next(&p->node), p->host, kirim_addr_port(&p->port.local));
}

/* How closely the port matches what comes from `remote` for `local`; 0: not at all. */
static unsigned closeness(const struct ki_sim_port *p, const struct kirim_addr *local,
                          const struct kirim_addr *remote)
{
    enum { MATCHES = 1, IS_OF_FAMILY = 2, IS_CONNECTED = 4, IS_BOUND = 8 };
    const bool is_of_family = kirim_addr_family(&p->port.local) == kirim_addr_family(local);
    unsigned close = MATCHES + (is_of_family ? (unsigned)IS_OF_FAMILY : 0U);
    if (!is_of_family && !(p->is_dual && kirim_addr_family(local) == KIRIM_IPV4)) {
        return 0;
    }
    if (!p->is_wildcard) {
        if (!ki_sim_same_addr(&p->port.local, local)) {
            return 0;
        }
        close += IS_BOUND;
    }
    if (kirim_addr_family(&p->port.remote) != KIRIM_FAMILY_NONE) {
        if (!ki_sim_same_addr(&p->port.remote, remote) ||
            kirim_addr_port(&p->port.remote) != kirim_addr_port(remote)) {
            return 0;
        }
        close += IS_CONNECTED;
    }
    return close;
}

/* The port's claim on a sender among equals: the highest wins, so that only those of a port that
 * goes move. */
static uint64_t claim(const struct ki_sim_port *p, const struct kirim_addr *remote)
{
    return ki_draw(p->host->key ^ ki_sim_hash_addr(remote, true), KI_DRAW_SHARE, p->number);
}

struct ki_sim_port *ki_sim_port_find(struct kirim_sim_host *host, const struct kirim_addr *local,
                                     const struct kirim_addr *remote)
{
    struct ki_sim_port *best = NULL;
    unsigned closest = 0;
    struct ki_sim_port *p = first_port(host, kirim_addr_port(local));
    for (; p != NULL; p = port_after(p)) {
        const unsigned close = closeness(p, local, remote);
        if (close > closest ||
            (close != 0 && close == closest && claim(p, remote) > claim(best, remote))) {
            best = p;
            closest = close;
        }
    }
    return best;
}

struct ki_sim_port *ki_sim_port_find_next(struct kirim_sim_host *host,
                                          const struct kirim_addr *local,
                                          const struct kirim_addr *remote, uint64_t after)
{
    struct ki_sim_port *next = NULL;
    struct ki_sim_port *p = first_port(host, kirim_addr_port(local));
    for (; p != NULL; p = port_after(p)) {
        if (p->number > after && (next == NULL || p->number < next->number) &&
            closeness(p, local, remote) != 0 &&
            (!kirim_addr_is_multicast(local) || ki_sim_port_hears(p, local, remote))) {
            next = p;
        }
    }
    return next;
}

/* ---- binding --------------------------------------------------------------------------------- */

/* Whether two ports of one number would claim the same datagrams. */
static bool overlaps(const struct ki_sim_port *a, const struct ki_sim_port *b)
{
    const int family_a = kirim_addr_family(&a->port.local);
    const int family_b = kirim_addr_family(&b->port.local);
    if (family_a != family_b) {
        return family_a == KIRIM_IPV6 ? a->is_dual : b->is_dual;
    }
    return a->is_wildcard || b->is_wildcard || ki_sim_same_addr(&a->port.local, &b->port.local);
}

static bool is_free(const struct ki_sim_port *wanted, uint16_t number)
{
    const struct ki_sim_port *p = first_port(wanted->host, number);
    for (; p != NULL; p = port_after(p)) {
        if (overlaps(wanted, p) && !(wanted->is_shared && p->is_shared)) {
            return false;
        }
    }
    return true;
}

/* A free number of the dynamic range: one after the other, from a place that is the host's own. */
static bool choose_number(struct ki_sim_port *p)
{
    struct kirim_sim_host *host = p->host;
    const bool is_shared = p->is_shared;
    p->is_shared = false; /* a number that the system chooses is nobody else's */
    uint16_t number = 0;
    for (uint32_t i = 0; i < KI_SIM_EPHEMERAL_COUNT && number == 0; i++) {
        const uint64_t offset = (host->ephemeral + i) % KI_SIM_EPHEMERAL_COUNT;
        const uint16_t candidate = (uint16_t)(KI_SIM_EPHEMERAL_FIRST + offset);
        if (is_free(p, candidate)) {
            number = candidate;
            host->ephemeral = offset + 1;
        }
    }
    p->is_shared = is_shared;
    kirim_addr_set_port(&p->port.local, number);
    return number != 0;
}

static struct kirim_addr wildcard_of(int family)
{
    static const uint8_t zero[16] = { 0 };
    return family == KIRIM_IPV4 ? kirim_addr_ipv4(zero, 0) : kirim_addr_ipv6(zero, 0, 0);
}

static kirim_err bind_port(struct ki_sim_port *p, const struct kirim_endpoint_options *options)
{
    p->port.local = options->local;
    if (kirim_addr_family(&options->local) == KIRIM_FAMILY_NONE) {
        p->port.local = wildcard_of(kirim_addr_family(&options->peer));
    }
    p->is_wildcard = kirim_addr_is_wildcard(&p->port.local);
    if (!p->is_wildcard && !ki_sim_host_has(p->host, &p->port.local)) {
        return KIRIM_EADDRNOTAVAIL;
    }
    p->is_dual = p->is_wildcard && kirim_addr_family(&p->port.local) == KIRIM_IPV6 &&
                 (options->flags & KIRIM_ENDPOINT_DUAL_STACK) != 0;
    const uint16_t number = kirim_addr_port(&p->port.local);
    const bool is_bound = number == 0 ? choose_number(p) : is_free(p, number);
    return is_bound ? KIRIM_OK : KIRIM_EADDRINUSE;
}

/* Connecting narrows the local address to the one that the route to `remote` begins with, as on
 * Linux. */
static kirim_err connect_port(struct ki_sim_port *p, const struct kirim_addr *remote)
{
    if (kirim_addr_family(&p->port.local) != kirim_addr_family(remote) && !p->is_dual) {
        return KIRIM_EINVAL;
    }
    struct ki_sim_route route;
    const kirim_err err = ki_sim_route_find(p->host, remote, p->may_broadcast, &route);
    if (err < 0) {
        return err;
    }
    if (p->is_wildcard) {
        const uint16_t number = kirim_addr_port(&p->port.local);
        p->port.local = route.source;
        kirim_addr_set_port(&p->port.local, number);
        p->is_wildcard = false;
        p->is_dual = false;
    } else if (route.to != NULL && route.to != p->host && kirim_addr_is_loopback(&p->port.local)) {
        return KIRIM_ENETUNREACH;
    }
    p->port.remote = route.dest;
    return KIRIM_OK;
}

/* Size of a socket buffer: twice what was asked, as Linux counts its own overhead. */
static uint64_t buffer_limit(uint32_t asked, uint64_t least)
{
    if (asked == 0) {
        return KI_SIM_BUFFER_BYTES;
    }
    const uint64_t limit = (uint64_t)asked * 2;
    return limit < least                     ? least
           : limit > KI_SIM_BUFFER_BYTES_MAX ? (uint64_t)KI_SIM_BUFFER_BYTES_MAX
                                             : limit;
}

kirim_err ki_sim_port_open(struct ki_reactor *r, struct ki_port *p,
                           const struct kirim_endpoint_options *options)
{
    struct ki_sim_reactor *reactor = (struct ki_sim_reactor *)r;
    struct ki_sim_port *port = (struct ki_sim_port *)p;
    struct kirim_sim *sim = reactor->sim;
    const bool has_remote = kirim_addr_family(&options->peer) != KIRIM_FAMILY_NONE;
    if (reactor->is_dead) {
        return KIRIM_ENETDOWN;
    }
    const uint32_t lacking = KIRIM_ENDPOINT_ADOPT | KIRIM_ENDPOINT_INHERIT | KIRIM_ENDPOINT_TXTIME;
    if ((options->flags & lacking) != 0) {
        return KIRIM_EOPNOTSUPP; /* there are no sockets here, no processes, no queues of routes */
    }
    if (!has_remote && kirim_addr_family(&options->local) == KIRIM_FAMILY_NONE) {
        return KIRIM_EINVAL;
    }
    port->reactor = reactor;
    port->host = reactor->host;
    port->is_shared = (options->flags & KIRIM_ENDPOINT_SHARE_PORT) != 0;
    port->has_control = (options->flags & KIRIM_ENDPOINT_RECEIVE_CONTROL) != 0;
    port->is_deaf = (options->flags & KIRIM_ENDPOINT_NO_ERROR_QUEUE) != 0;
    port->is_probing = (options->flags & KIRIM_ENDPOINT_PROBE_MTU) != 0;
    port->is_whole = port->is_probing || (options->flags & KIRIM_ENDPOINT_DONT_FRAGMENT) != 0;
    port->may_broadcast = (options->flags & KIRIM_ENDPOINT_BROADCAST) != 0;
    port->is_group_looped = true;
    port->group_ttl = KI_SIM_GROUP_TTL;
    port->rx_last = &port->rx_first;
    port->rx_limit = buffer_limit(options->receive_buffer_bytes, KI_SIM_RECEIVE_BYTES_MIN);
    port->tx_limit = buffer_limit(options->send_buffer_bytes, KI_SIM_SEND_BYTES_MIN);
    port->leave.kind = KI_SIM_LEAVE;
    p->descriptor = KIRIM_NO_DESCRIPTOR;
    kirim_err err = bind_port(port, options);
    if (err == KIRIM_OK && has_remote) {
        err = connect_port(port, &options->peer);
    }
    if (err < 0) {
        return err;
    }
    if (!ki_sim_table_reserve(sim, &sim->ports, 1) || !ki_sim_queue_promise(sim)) {
        return KIRIM_ENOMEM;
    }
    port->number = ++port->host->port_count;
    ki_sim_table_add(&sim->ports, &port->node, hash_of(port->host, kirim_addr_port(&p->local)));
    return KIRIM_OK;
}

/* Takes the port out of the world, if it is still there. */
static void lose(struct ki_sim_port *p)
{
    if (!p->is_lost) {
        ki_sim_port_drain(p);
        ki_sim_queue_take(p->host->sim, &p->leave);
        ki_sim_table_remove(&p->host->sim->ports, &p->node);
        p->is_lost = true;
    }
}

void ki_sim_ports_lose(struct ki_sim_reactor *r)
{
    const struct ki_sim_table *ports = &r->sim->ports;
    for (size_t i = 0; i < ports->bucket_count; i++) {
        struct ki_sim_node *node = ports->bucket[i];
        while (node != NULL) {
            struct ki_sim_port *p = port_of(node);
            node = node->next;
            if (p->reactor == r) {
                lose(p);
            }
        }
    }
}

kirim_err ki_sim_port_close(struct ki_reactor *r, struct ki_port *p)
{
    struct kirim_sim *sim = ((struct ki_sim_reactor *)r)->sim;
    struct ki_sim_port *port = (struct ki_sim_port *)p;
    lose(port);
    ki_sim_queue_unpromise(sim);
    return KIRIM_OK;
}
