/* SPDX-License-Identifier: MIT
 *
 * The way of a datagram: from an endpoint's queue over a link to a port, and back as a report.
 *
 * What submit() takes has been copied when it returns; nothing is ever in flight in the core's
 * sense. A datagram either enters its link whole, with everything it may become, or is refused and
 * leaves no trace: all that can fail comes first. Packets belong to the queue of events while they
 * travel. The world's thread. Sources: RFC 768, RFC 1122 section 4.1.3, RFC 1191.
 */
#include "sim.h"

#include <string.h>

enum { IPV4_HEADER = 20, IPV6_HEADER = 40, UDP_HEADER = 8 };

/* What is known of a datagram before anything is allocated. */
struct launch {
    const struct ki_sim_route *route;
    const struct kirim_sim_link *rules;
    struct kirim_addr source;
    bool is_too_large;
};

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
    route.link = ki_sim_link_get(p->host, route.to);
    if (route.link == NULL) {
        return KIRIM_ENOBUFS;
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
    if (route->to != p->host && kirim_addr_is_loopback(out)) {
        return KIRIM_ENETUNREACH;
    }
    return KIRIM_OK;
}

/* Whether the datagram fits: into one of its family, and over the link if that says so at once. */
static kirim_err check_size(struct ki_sim_port *p, const struct ki_entry *e, struct launch *out)
{
    const bool is_ipv4 = kirim_addr_family(&p->route.dest) == KIRIM_IPV4;
    if (e->bytes > (is_ipv4 ? KIRIM_PAYLOAD_IPV4_BYTES_MAX : KIRIM_PAYLOAD_IPV6_BYTES_MAX)) {
        return KIRIM_EMSGSIZE;
    }
    const uint32_t whole = e->bytes + UDP_HEADER + (is_ipv4 ? IPV4_HEADER : IPV6_HEADER);
    out->is_too_large = out->rules->mtu != 0 && whole > out->rules->mtu;
    if (!out->is_too_large) {
        return KIRIM_OK;
    }
    const uint32_t action = out->rules->mtu_action;
    const bool is_whole_or_not =
        e->control != NULL && (e->control->flags & KIRIM_CONTROL_DONT_FRAGMENT) != 0;
    if (action == KIRIM_SIM_MTU_FRAGMENT && !is_whole_or_not) {
        out->is_too_large = false;
        return KIRIM_OK;
    }
    if (action == KIRIM_SIM_MTU_REPORT || action == KIRIM_SIM_MTU_BLACK_HOLE) {
        return KIRIM_OK;
    }
    p->host->sim->stats.too_large++;
    return KIRIM_EMSGSIZE;
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

/* ---- under way ------------------------------------------------------------------------------- */

static uint64_t later(uint64_t time_ns, uint64_t delay_ns)
{
    return time_ns < KIRIM_NEVER - 1 - delay_ns ? time_ns + delay_ns : KIRIM_NEVER - 1;
}

static void gather(uint8_t *out, const struct ki_entry *e)
{
    if (e->buf_count == 1) {
        if (e->bytes > 0) {
            memcpy(out, e->data, e->bytes);
        }
        return;
    }
    const struct kirim_buf *buf = e->data;
    for (uint32_t i = 0; i < e->buf_count; i++) {
        if (buf[i].bytes > 0) {
            memcpy(out, buf[i].data, buf[i].bytes);
            out += buf[i].bytes;
        }
    }
}

static void fill(struct ki_sim_packet *pk, const struct launch *l, const struct ki_entry *e)
{
    const struct kirim_control *control = e->control;
    const uint32_t room_class = pk->room_class;
    *pk = (struct ki_sim_packet){
        .event = { .kind = KI_SIM_PACKET },
        .from = l->route->link->from,
        .to = l->route->to,
        .source = l->source,
        .dest = l->route->dest,
        .arrival = { .local = l->route->dest,
                     .ifindex = KI_SIM_IFINDEX,
                     .ttl = control != NULL && control->ttl != 0 ? control->ttl : KI_SIM_TTL },
        .bytes = e->bytes,
        .room_class = room_class,
        .charge = ki_sim_charge(e->bytes),
        .ecn = control != NULL ? control->ecn : 0,
        .is_broadcast = l->route->is_broadcast,
    };
    gather(pk->data, e);
    ki_sim_packet_mark(pk);
}

/* Sends the report of `pk` back to its sender, in the same memory. Reports keep the delay of the
 * way back but are no datagrams of that link: they take no ordinal and no fault but its being down.
 * There is a slot for it. */
static void send_report(struct kirim_sim *sim, struct ki_sim_packet *pk, uint64_t from_ns)
{
    const struct kirim_sim_link *back = ki_sim_link_rules(pk->to, pk->from, NULL);
    if (back->is_down) {
        ki_sim_packet_free(sim, pk);
        return;
    }
    pk->event.kind = KI_SIM_REPORT;
    pk->charge = KI_SIM_REPORT_CHARGE;
    ki_sim_queue_put(sim, &pk->event, later(from_ns, back->delay_ns));
}

/* Puts one packet on its way to its host. What is not reordered arrives in the order of leaving. */
static void carry(struct kirim_sim *sim, struct ki_sim_link *link, struct ki_sim_packet *pk,
                  uint64_t delay_ns, uint64_t reorder_ns)
{
    uint64_t arrival_ns = later(sim->now_ns, delay_ns);
    if (arrival_ns < link->last_arrival_ns) {
        arrival_ns = link->last_arrival_ns;
    }
    if (reorder_ns == 0) {
        link->last_arrival_ns = arrival_ns;
    }
    ki_sim_queue_put(sim, &pk->event, later(arrival_ns, reorder_ns));
}

/* What the rules let come of a datagram that has left; `copy` is there if there are to be two. */
static void meet_faults(struct kirim_sim *sim, const struct launch *l, struct ki_sim_packet *pk,
                        struct ki_sim_packet *copy, const struct ki_sim_verdict *v)
{
    const struct kirim_sim_link *rules = l->rules;
    if (rules->is_down || v->is_lost || v->is_corrupt || l->is_too_large) {
        const bool is_lost = rules->is_down || (v->is_lost && !l->is_too_large);
        const uint64_t note = is_lost           ? KI_SIM_NOTE_LOST
                              : l->is_too_large ? KI_SIM_NOTE_TOO_LARGE
                                                : KI_SIM_NOTE_CORRUPTED;
        ki_sim_note(sim, note, pk);
        if (note == KI_SIM_NOTE_TOO_LARGE && rules->mtu_action == KIRIM_SIM_MTU_REPORT) {
            pk->err = KIRIM_EMSGSIZE;
            pk->path_mtu = rules->mtu;
            send_report(sim, pk, later(sim->now_ns, rules->delay_ns));
        } else {
            ki_sim_packet_free(sim, pk);
        }
        return;
    }
    if (v->is_reordered) {
        ki_sim_note(sim, KI_SIM_NOTE_REORDERED, pk);
    }
    carry(sim, l->route->link, pk, v->delay_ns, v->is_reordered ? rules->reorder_ns : 0);
    if (copy != NULL) {
        ki_sim_note(sim, KI_SIM_NOTE_DUPLICATED, copy);
        carry(sim, l->route->link, copy, v->copy_delay_ns, 0);
    }
}

/* Everything is known and permitted: memory is all that can still be missing. */
static kirim_err launch(struct ki_sim_port *p, const struct launch *l, const struct ki_entry *e)
{
    struct kirim_sim *sim = p->host->sim;
    struct ki_sim_link *link = l->route->link;
    const struct ki_sim_verdict v = ki_sim_link_decide(l->rules, link->key, link->ordinal);
    const bool is_double =
        v.is_duplicate && !v.is_lost && !v.is_corrupt && !l->is_too_large && !l->rules->is_down;
    struct ki_sim_packet *pk = ki_sim_packet_alloc(sim, e->bytes);
    if (pk == NULL) {
        return KIRIM_ENOBUFS;
    }
    fill(pk, l, e);
    struct ki_sim_packet *copy = is_double ? ki_sim_packet_copy(sim, pk) : NULL;
    if ((is_double && copy == NULL) || !ki_sim_queue_reserve(sim, 2)) {
        goto fail_packets;
    }
    link->ordinal++;
    p->tx_used += pk->charge;
    ki_sim_note(sim, KI_SIM_NOTE_SENT, pk);
    meet_faults(sim, l, pk, copy, &v);
    return KIRIM_OK;
fail_packets:
    if (copy != NULL) {
        ki_sim_packet_free(sim, copy);
    }
    ki_sim_packet_free(sim, pk);
    return KIRIM_ENOBUFS;
}

static kirim_err submit_one(struct ki_sim_port *p, const struct ki_entry *e)
{
    const bool has_peer = kirim_addr_family(&e->peer) != KIRIM_FAMILY_NONE;
    const struct kirim_addr *dest = has_peer ? &e->peer : &p->port.remote;
    struct launch l = { .route = &p->route };
    kirim_err err = check_family(p, dest);
    if (err < 0 || (err = take_route(p, dest)) < 0) {
        return err;
    }
    l.rules = ki_sim_link_rules(p->host, p->route.to, p->route.link);
    if ((err = choose_source(p, e->control, &l.source)) < 0 || (err = check_size(p, e, &l)) < 0 ||
        (err = check_room(p, ki_sim_charge(e->bytes))) < 0) {
        return err;
    }
    return launch(p, &l, e);
}

uint32_t ki_sim_submit(struct ki_reactor *r, struct ki_port *p, struct ki_entry *e, uint32_t n,
                       struct ki_refusal *why)
{
    struct ki_sim_port *port = (struct ki_sim_port *)p;
    (void)r;
    p->tx_calls++;
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

/* ---- arriving -------------------------------------------------------------------------------- */

/* A copy for every port that listens. One that there is no memory for counts as dropped by its
 * port. */
static void spread(struct kirim_sim *sim, struct ki_sim_packet *pk)
{
    struct ki_sim_port *p = ki_sim_port_find_next(pk->to, &pk->dest, &pk->source, 0);
    while (p != NULL) {
        struct ki_sim_packet *copy = ki_sim_packet_copy(sim, pk);
        if (copy != NULL) {
            ki_sim_port_push(p, copy);
        } else {
            p->rx_drops++;
            ki_sim_note(sim, KI_SIM_NOTE_RECEIVE_FULL, pk);
        }
        p = ki_sim_port_find_next(pk->to, &pk->dest, &pk->source, p->number);
    }
    ki_sim_packet_free(sim, pk);
}

void ki_sim_packet_arrive(struct kirim_sim *sim, struct ki_sim_packet *pk)
{
    pk->arrival.time_ns = pk->event.time_ns;
    if (pk->to->reactor == NULL) {
        ki_sim_note(sim, KI_SIM_NOTE_HOST_DOWN, pk);
        ki_sim_packet_free(sim, pk);
        return;
    }
    if (pk->is_broadcast) {
        spread(sim, pk);
        return;
    }
    struct ki_sim_port *p = ki_sim_port_find(pk->to, &pk->dest, &pk->source);
    if (p != NULL) {
        ki_sim_port_push(p, pk);
        return;
    }
    ki_sim_note(sim, KI_SIM_NOTE_NO_PORT, pk);
    pk->err = KIRIM_ECONNRESET;
    send_report(sim, pk, pk->event.time_ns);
}

void ki_sim_report_arrive(struct kirim_sim *sim, struct ki_sim_packet *pk)
{
    struct ki_sim_port *p =
        pk->from->reactor == NULL ? NULL : ki_sim_port_find(pk->from, &pk->source, &pk->dest);
    const bool is_for_all = pk->path_mtu != 0 || KI_SIM_REPORTS_TO_UNCONNECTED != 0;
    if (p == NULL || (!is_for_all && kirim_addr_family(&p->port.remote) == KIRIM_FAMILY_NONE)) {
        ki_sim_packet_free(sim, pk);
        return;
    }
    ki_sim_port_push(p, pk);
}
