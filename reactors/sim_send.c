/* SPDX-License-Identifier: MIT
 *
 * Datagrams out of an endpoint's queue: whether one may leave, where it goes and from which
 * address, and whether it fits. What submit() takes has been copied when it returns; nothing is
 * ever in flight in the core's sense. What happens to it then is sim_wire.c's. The world's thread.
 * Sources: RFC 768, RFC 1122 section 4.1.3, RFC 1191.
 */
#include "sim_wire.h"

enum { IPV4_HEADER = 20, IPV6_HEADER = 40, UDP_HEADER = 8 };

/* ---- may it leave? --------------------------------------------------------------------------- */

/* Finds the route to `dest`, or the one that was kept; it stays in the port. */
static kirim_err take_route(struct ki_sim_port *p, const struct kirim_addr *dest)
{
    if (kirim_addr_family(&p->route.asked) != KIRIM_FAMILY_NONE &&
        kirim_addr_equal(&p->route.asked, dest)) {
        return KIRIM_OK;
    }
    struct ki_sim_route route;
    kirim_err err = ki_sim_route_find(p->host, dest, p->may_broadcast, &route);
    if (err < 0) {
        return err;
    }
    if (route.to != NULL) {
        route.link = ki_sim_link_get(p->host, route.to);
        if (route.link == NULL) {
            return KIRIM_ENOBUFS;
        }
    }
    p->route = route;
    return KIRIM_OK;
}

/* The families that the port can send to: that of its address, and IPv4 if it has both stacks. */
static kirim_err check_family(const struct ki_sim_port *p, const struct kirim_addr *dest)
{
    const int own = kirim_addr_family(&p->port.local);
    const int family = kirim_addr_family(dest);
    if (own == family || (p->is_dual && family == KIRIM_IPV4)) {
        return KIRIM_OK;
    }
    return own == KIRIM_IPV4 ? KIRIM_EAFNOSUPPORT : KIRIM_ENETUNREACH;
}

static kirim_err choose_source(const struct ki_sim_port *p, const struct kirim_control *control,
                               struct kirim_addr *out)
{
    const struct ki_sim_route *route = &p->route;
    *out = p->is_wildcard ? route->source : p->port.local;
    if (control != NULL && kirim_addr_family(&control->source) != KIRIM_FAMILY_NONE) {
        *out = control->source;
        if (kirim_addr_family(out) != kirim_addr_family(&route->dest) ||
            !ki_sim_host_has(p->host, out)) {
            return KIRIM_EADDRNOTAVAIL;
        }
    }
    if (control != NULL && control->ifindex > KI_SIM_IFINDEX) {
        return KIRIM_EADDRNOTAVAIL;
    }
    kirim_addr_set_port(out, kirim_addr_port(&p->port.local));
    if (route->to != NULL && route->to != p->host && kirim_addr_is_loopback(out)) {
        return KIRIM_ENETUNREACH;
    }
    return KIRIM_OK;
}

/* Whether the sender has been told of the MTU that is in force behind its own interface. */
static bool is_mtu_told(const struct ki_sim_link *link, const struct kirim_link_rules *rules)
{
    return rules->mtu_action == KIRIM_SIM_MTU_REPORT && rules->mtu != 0 &&
           link->told_mtu == rules->mtu;
}

/* The MTU of a link that refuses or cuts is that of the sender's own interface. One further on is
 * known once it was told, and a black hole never tells. */
kirim_err ki_sim_path_mtu(struct ki_reactor *r, struct ki_port *p, const struct kirim_addr *peer,
                          uint32_t *out)
{
    const struct ki_sim_port *port = (const struct ki_sim_port *)p;
    struct ki_sim_route route;
    (void)r;
    const kirim_err err = ki_sim_route_find(port->host, peer, port->may_broadcast, &route);
    if (err < 0) {
        return err;
    }
    if (route.to == NULL) {
        return KIRIM_EOPNOTSUPP; /* many, each with a path of its own */
    }
    const struct ki_sim_link *link = ki_sim_link_get(port->host, route.to);
    if (link == NULL) {
        return KIRIM_ENOMEM;
    }
    const struct kirim_link_rules *rules = ki_sim_link_rules(port->host, route.to, link);
    const uint32_t action = rules->mtu_action;
    const bool is_known = action == KIRIM_SIM_MTU_ERROR || action == KIRIM_SIM_MTU_FRAGMENT ||
                          is_mtu_told(link, rules);
    const uint32_t largest = kirim_addr_family(peer) == KIRIM_IPV4
                                 ? KIRIM_PAYLOAD_IPV4_BYTES_MAX + UDP_HEADER + IPV4_HEADER
                                 : KIRIM_PAYLOAD_IPV6_BYTES_MAX + UDP_HEADER + IPV6_HEADER;
    *out = is_known && rules->mtu != 0 ? rules->mtu : largest;
    return KIRIM_OK;
}

kirim_err ki_sim_check_size(struct ki_sim_port *p, const struct ki_entry *e,
                            struct ki_sim_launch *out)
{
    const bool is_ipv4 = kirim_addr_family(&p->route.dest) == KIRIM_IPV4;
    const struct kirim_control *control = e->control;
    if (e->bytes > (is_ipv4 ? KIRIM_PAYLOAD_IPV4_BYTES_MAX : KIRIM_PAYLOAD_IPV6_BYTES_MAX)) {
        return KIRIM_EMSGSIZE;
    }
    out->datagram = (struct kirim_link_datagram){
        .time_ns = p->host->sim->now_ns,
        .bytes = e->bytes,
        .header_bytes = UDP_HEADER + (is_ipv4 ? (uint32_t)IPV4_HEADER : (uint32_t)IPV6_HEADER),
        .ecn = control != NULL ? control->ecn : 0,
        .is_whole =
            p->is_whole || (control != NULL && (control->flags & KIRIM_CONTROL_DONT_FRAGMENT) != 0),
    };
    const uint32_t fit = kirim_link_fit(out->rules, &out->datagram);
    const bool is_told =
        out->datagram.is_whole && !p->is_probing && is_mtu_told(out->route->link, out->rules);
    if (fit == KIRIM_LINK_REFUSED || (fit == KIRIM_LINK_REPORTED && is_told)) {
        p->host->sim->stats.too_large++;
        return KIRIM_EMSGSIZE;
    }
    return KIRIM_OK;
}

/* Whether the send buffer has room; if not the port will be told when it has. An empty one takes
 * anything. */
static kirim_err check_room(struct ki_sim_port *p, uint32_t charge)
{
    struct kirim_sim *sim = p->host->sim;
    if (p->tx_epoch != sim->epoch) {
        p->tx_epoch = sim->epoch;
        p->tx_used = 0;
    }
    if (p->tx_used == 0 || p->tx_used + charge <= p->tx_limit) {
        return KIRIM_OK;
    }
    if (!p->is_blocked) {
        p->is_blocked = true;
        ki_sim_queue_put(sim, &p->leave, sim->now_ns);
    }
    return KIRIM_EWOULDBLOCK;
}

/* ---- out of the queue ------------------------------------------------------------------------ */

static uint32_t ttl_of(const struct ki_sim_port *p, const struct kirim_control *control)
{
    if (control != NULL && control->ttl != 0) {
        return control->ttl;
    }
    return kirim_addr_is_multicast(&p->route.dest) ? p->group_ttl : (uint32_t)KI_SIM_TTL;
}

static kirim_err submit_one(struct ki_sim_port *p, const struct ki_entry *e)
{
    const bool has_peer = kirim_addr_family(&e->peer) != KIRIM_FAMILY_NONE;
    const struct kirim_addr *dest = has_peer ? &e->peer : &p->port.remote;
    struct ki_sim_launch l = { .route = &p->route };
    kirim_err err = check_family(p, dest);
    if (err < 0 || (err = take_route(p, dest)) < 0) {
        return err;
    }
    l.ttl = ttl_of(p, e->control);
    if (p->route.to == NULL) {
        if ((err = choose_source(p, e->control, &l.source)) < 0 ||
            (err = check_room(p, ki_sim_charge(e->bytes))) < 0) {
            return err;
        }
        return ki_sim_launch_to_many(p, e, &l);
    }
    l.rules = ki_sim_link_rules(p->host, p->route.to, p->route.link);
    if ((err = choose_source(p, e->control, &l.source)) < 0 ||
        (err = ki_sim_check_size(p, e, &l)) < 0 ||
        (err = check_room(p, ki_sim_charge(e->bytes))) < 0) {
        return err;
    }
    return ki_sim_launch(p, &l, e);
}

uint32_t ki_sim_submit(struct ki_reactor *r, struct ki_port *p, struct ki_entry *e, uint32_t n,
                       struct ki_refusal *why)
{
    struct ki_sim_port *port = (struct ki_sim_port *)p;
    (void)r;
    p->tx_calls++;
    if (port->is_lost) {
        return n; /* its host has crashed: it has left, and nobody hears it */
    }
    for (uint32_t i = 0; i < n; i++) {
        const kirim_err err = submit_one(port, &e[i]);
        if (err < 0) {
            /* The core tries a route twice before it believes that there is none. */
            port->host->sim->stats.no_host +=
                err == KIRIM_ENETUNREACH && (e[i].status & KI_RETRIED) == 0;
            *why = (struct ki_refusal){ .err = err, .entries = 1 };
            return i;
        }
    }
    return n;
}
