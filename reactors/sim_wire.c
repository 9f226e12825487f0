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
    const struct ki_sim_route *route; /* to one host, with its link */
    struct ki_sim_route aimed;        /* what `route` points to, if it is to one of many */
    const struct kirim_link_rules *rules;
    struct kirim_addr source;            /* the host's own */
    struct kirim_addr mapped;            /* as it leaves: of a translator, or the same */
    struct kirim_link_datagram datagram; /* as the model takes it */
    uint32_t ttl;
    uint64_t cut; /* what is noted as there is no way at all; 0: there is one */
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

/* Whether the datagram fits: into one of its family, and over the link if that says so at once. */
static kirim_err check_size(struct ki_sim_port *p, const struct ki_entry *e, struct launch *out)
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

static uint32_t ttl_of(const struct ki_sim_port *p, const struct kirim_control *control)
{
    if (control != NULL && control->ttl != 0) {
        return control->ttl;
    }
    return kirim_addr_is_multicast(&p->route.dest) ? p->group_ttl : (uint32_t)KI_SIM_TTL;
}

/* What the receiver is told it was sent to. For a broadcast that is the address that would answer
 * it, as on Linux: a broadcast address is nobody's source. */
static struct kirim_addr local_of(const struct ki_sim_route *route)
{
    struct kirim_addr local = route->dest;
    if (route->is_for_many && !kirim_addr_is_multicast(&local)) {
        local = route->source;
        if (route->to != route->link->from) {
            (void)ki_sim_host_source(route->to, KIRIM_IPV4, &local);
        }
        kirim_addr_set_port(&local, kirim_addr_port(&route->dest));
    }
    return local;
}

static void fill(struct ki_sim_packet *pk, const struct launch *l, const struct ki_entry *e)
{
    const struct kirim_control *control = e->control;
    const uint32_t room_class = pk->room_class;
    *pk = (struct ki_sim_packet){
        .event = { .kind = KI_SIM_PACKET },
        .from = l->route->link->from,
        .to = l->route->to,
        .source = l->mapped,
        .dest = l->route->dest,
        .sent_source = l->source,
        .sent_dest = l->route->dest,
        .nat = l->route->nat,
        .arrival = { .local = local_of(l->route),
                     .ifindex = KI_SIM_IFINDEX,
                     .ttl = l->ttl,
                     .dscp = control != NULL ? control->dscp : 0 },
        .bytes = e->bytes,
        .room_class = room_class,
        .charge = ki_sim_charge(e->bytes),
        .ecn = control != NULL ? control->ecn : 0,
        .is_for_many = l->route->is_for_many,
    };
    gather(pk->data, e);
    ki_sim_packet_mark(pk);
}

/* Sends the report of `pk` back to its sender, in the same memory. Reports keep the delay of the
 * way back but are no datagrams of that link: they take no ordinal and no fault but its being down.
 * There is a slot for it. */
static void send_report(struct kirim_sim *sim, struct ki_sim_packet *pk, uint64_t from_ns)
{
    const struct kirim_link_rules *back = ki_sim_link_rules(pk->to, pk->from, NULL);
    if (back->is_down || ki_sim_is_cut(pk->to, pk->from)) {
        ki_sim_packet_free(sim, pk);
        return;
    }
    pk->event.kind = KI_SIM_REPORT;
    pk->charge = KI_SIM_REPORT_CHARGE;
    ki_sim_queue_put(sim, &pk->event, later(from_ns, back->delay_ns));
}

/* What is noted of a datagram that does not arrive. */
static uint64_t note_of(uint32_t outcome)
{
    switch (outcome) {
    case KIRIM_LINK_TOO_LARGE:
    case KIRIM_LINK_REPORTED:
        return KI_SIM_NOTE_TOO_LARGE;
    case KIRIM_LINK_FULL:
        return KI_SIM_NOTE_QUEUE_FULL;
    case KIRIM_LINK_CONGESTED:
        return KI_SIM_NOTE_CONGESTED;
    case KIRIM_LINK_BURST:
        return KI_SIM_NOTE_BURST;
    case KIRIM_LINK_CORRUPTED:
        return KI_SIM_NOTE_CORRUPTED;
    default:
        return KI_SIM_NOTE_LOST;
    }
}

/* It does not arrive. RFC 1122, section 3.2.2: no report about what many get. */
static void drop(struct kirim_sim *sim, const struct launch *l, struct ki_sim_packet *pk,
                 const struct kirim_link_fate *fate)
{
    ki_sim_note(sim, l->cut != 0 ? l->cut : note_of(fate->outcome), pk);
    if (fate->outcome == KIRIM_LINK_REPORTED && !pk->is_for_many) {
        pk->err = KIRIM_EMSGSIZE;
        pk->path_mtu = l->rules->mtu;
        send_report(sim, pk, fate->arrival_ns[0]);
    } else {
        ki_sim_packet_free(sim, pk);
    }
}

/* What the link writes into a datagram that arrives. */
static void change(struct ki_sim_packet *pk, const struct kirim_link_fate *fate)
{
    pk->ecn = fate->ecn;
    kirim_link_corrupt(fate, pk->data);
    ki_sim_packet_mark(pk);
}

/* What the link lets come of a datagram that has left; `copy` is there if there are to be two. */
static void meet_fate(struct kirim_sim *sim, const struct launch *l, struct ki_sim_packet *pk,
                      struct ki_sim_packet *copy, const struct kirim_link_fate *fate)
{
    if (fate->copy_count == 0) {
        drop(sim, l, pk, fate);
        return;
    }
    const bool is_marked = fate->ecn != pk->ecn;
    if (is_marked || fate->flip_count > 0) {
        change(pk, fate);
        if (copy != NULL) {
            change(copy, fate);
        }
        if (is_marked) {
            ki_sim_note(sim, KI_SIM_NOTE_MARKED, pk);
        }
        if (fate->flip_count > 0) {
            ki_sim_note(sim, KI_SIM_NOTE_FLIPPED, pk);
        }
    }
    if (fate->is_reordered) {
        ki_sim_note(sim, KI_SIM_NOTE_REORDERED, pk);
    }
    ki_sim_queue_put(sim, &pk->event, fate->arrival_ns[0]);
    if (copy != NULL) {
        ki_sim_note(sim, KI_SIM_NOTE_DUPLICATED, copy);
        ki_sim_queue_put(sim, &copy->event, fate->arrival_ns[1]);
    }
}

/* What the link will do, and what it will be then: nothing has happened yet. */
static struct kirim_link decide(const struct launch *l, struct kirim_link_fate *out)
{
    struct kirim_link model = l->route->link->model;
    if (l->cut != 0) { /* it has its ordinal all the same */
        struct kirim_link_rules cut = *l->rules;
        cut.is_down = true;
        kirim_link_send(&model, &cut, &l->datagram, out);
    } else {
        kirim_link_send(&model, l->rules, &l->datagram, out);
    }
    return model;
}

/* Passes the sender's translator, if there is one between the two, and finds out whether there is a
 * way at all. KIRIM_ENOBUFS: no memory for a mapping. */
static kirim_err leave_side(struct launch *l)
{
    const struct ki_sim_route *route = l->route;
    struct kirim_sim_host *from = route->link->from;
    const int family = kirim_addr_family(&route->dest);
    struct kirim_sim_nat *own = ki_sim_nat_of(from, family);
    const bool is_direct = route->nat == NULL;
    l->mapped = l->source;
    l->cut = ki_sim_is_cut(from, route->to) ? (uint64_t)KI_SIM_NOTE_PARTITIONED : 0;
    if (from == route->to && is_direct) {
        return KIRIM_OK;
    }
    const struct kirim_sim_nat *other = ki_sim_nat_of(route->to, family);
    if (is_direct && other == own) {
        return KIRIM_OK; /* both behind the same, or behind none */
    }
    if (is_direct && other != NULL) {
        l->cut = KI_SIM_NOTE_NAT; /* nobody beyond knows the way to an address behind it */
        return KIRIM_OK;
    }
    if (own == NULL) {
        return KIRIM_OK;
    }
    const kirim_err err = ki_sim_nat_leave(own, from, &route->dest, &l->mapped);
    if (err == KIRIM_EADDRINUSE) {
        l->cut = KI_SIM_NOTE_NAT;
        return KIRIM_OK;
    }
    return err;
}

/* Everything is known and permitted: memory is all that can still be missing. */
static kirim_err launch(struct ki_sim_port *p, struct launch *l, const struct ki_entry *e)
{
    struct kirim_sim *sim = p->host->sim;
    struct ki_sim_link *link = l->route->link;
    const kirim_err err = leave_side(l);
    if (err < 0) {
        return err;
    }
    struct kirim_link_fate fate;
    const struct kirim_link model = decide(l, &fate);
    const bool is_twice = fate.copy_count == 2;
    struct ki_sim_packet *pk = ki_sim_packet_alloc(sim, e->bytes);
    if (pk == NULL) {
        return KIRIM_ENOBUFS;
    }
    fill(pk, l, e);
    struct ki_sim_packet *copy = is_twice ? ki_sim_packet_copy(sim, pk) : NULL;
    if ((is_twice && copy == NULL) || !ki_sim_queue_reserve(sim, 2)) {
        goto fail_packets;
    }
    link->model = model;
    p->tx_used += pk->charge;
    ki_sim_note(sim, KI_SIM_NOTE_SENT, pk);
    ki_sim_show_sent(sim, pk, l->cut, &fate);
    meet_fate(sim, l, pk, copy, &fate);
    return KIRIM_OK;
fail_packets:
    if (copy != NULL) {
        ki_sim_packet_free(sim, copy);
    }
    ki_sim_packet_free(sim, pk);
    return KIRIM_ENOBUFS;
}

/* ---- to many --------------------------------------------------------------------------------- */

/* Aims at one of the many hosts. */
static kirim_err aim(struct ki_sim_port *p, struct kirim_sim_host *to, struct launch *l)
{
    struct ki_sim_route *route = &l->aimed;
    *route = p->route;
    route->to = to;
    route->link = ki_sim_link_get(p->host, to);
    if (route->link == NULL) {
        return KIRIM_ENOBUFS;
    }
    l->route = route;
    l->rules = ki_sim_link_rules(p->host, to, route->link);
    l->mapped = l->source;
    l->cut = ki_sim_is_cut(p->host, to) ? (uint64_t)KI_SIM_NOTE_PARTITIONED : 0;
    return KIRIM_OK;
}

/* Makes the packet for one host and puts it before those of `*list`; behind it stands the second
 * one if its link doubles it. */
static kirim_err prepare_host(struct ki_sim_port *p, const struct ki_entry *e,
                              struct kirim_sim_host *to, struct launch *l,
                              struct ki_sim_packet **list)
{
    struct kirim_sim *sim = p->host->sim;
    kirim_err err = aim(p, to, l);
    if (err < 0 || (err = check_size(p, e, l)) < 0) {
        return err;
    }
    struct ki_sim_packet *pk = ki_sim_packet_alloc(sim, e->bytes);
    if (pk == NULL) {
        return KIRIM_ENOBUFS;
    }
    fill(pk, l, e);
    struct kirim_link_fate fate;
    (void)decide(l, &fate);
    const bool is_twice = fate.copy_count == 2;
    struct ki_sim_packet *copy = is_twice ? ki_sim_packet_copy(sim, pk) : NULL;
    pk->next = *list;
    *list = pk;
    if (copy != NULL) {
        copy->next = pk->next;
        pk->next = copy;
    }
    return is_twice && copy == NULL ? KIRIM_ENOBUFS : KIRIM_OK;
}

/* Everything is there: each packet enters its link. */
static void launch_list(struct ki_sim_port *p, const struct ki_entry *e, struct launch *l,
                        struct ki_sim_packet *list)
{
    while (list != NULL) {
        struct ki_sim_packet *pk = list;
        struct ki_sim_packet *copy = NULL;
        list = pk->next;
        (void)aim(p, pk->to, l);
        (void)check_size(p, e, l);
        struct kirim_link_fate fate;
        l->route->link->model = decide(l, &fate);
        if (fate.copy_count == 2 && list != NULL) {
            copy = list;
            list = copy->next;
        }
        meet_fate(p->host->sim, l, pk, copy, &fate);
    }
}

static void drop_list(struct kirim_sim *sim, struct ki_sim_packet *list)
{
    while (list != NULL) {
        struct ki_sim_packet *pk = list;
        list = pk->next;
        ki_sim_packet_free(sim, pk);
    }
}

/* Sends a datagram to every host that hears it, in the order in which they joined the world: to
 * none, perhaps, and then it has left all the same. It is sent once, whoever gets it. */
static kirim_err fan_out(struct ki_sim_port *p, const struct ki_entry *e, struct launch *l)
{
    struct kirim_sim *sim = p->host->sim;
    struct ki_sim_packet *list = NULL;
    kirim_err err = aim(p, p->host, l);
    struct ki_sim_packet *whole = err < 0 ? NULL : ki_sim_packet_alloc(sim, e->bytes);
    if (whole == NULL) {
        return KIRIM_ENOBUFS;
    }
    fill(whole, l, e);
    size_t count = 0;
    for (struct kirim_sim_host *to = sim->first_host; to != NULL && err == KIRIM_OK;
         to = to->next) {
        if (ki_sim_host_hears(to, p, &whole->dest, &whole->source, l->ttl)) {
            err = prepare_host(p, e, to, l, &list);
            count += 2; /* with its second one */
        }
    }
    if (err == KIRIM_OK && !ki_sim_queue_reserve(sim, count)) {
        err = KIRIM_ENOBUFS;
    }
    if (err == KIRIM_OK) {
        p->tx_used += whole->charge;
        ki_sim_note(sim, KI_SIM_NOTE_SENT, whole);
        ki_sim_show_sent(sim, whole, 0, NULL);
        launch_list(p, e, l, list);
    } else {
        drop_list(sim, list);
    }
    ki_sim_packet_free(sim, whole);
    return err;
}

/* ---- out of the queue ------------------------------------------------------------------------ */

static kirim_err submit_one(struct ki_sim_port *p, const struct ki_entry *e)
{
    const bool has_peer = kirim_addr_family(&e->peer) != KIRIM_FAMILY_NONE;
    const struct kirim_addr *dest = has_peer ? &e->peer : &p->port.remote;
    struct launch l = { .route = &p->route };
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
        return fan_out(p, e, &l);
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
            ki_sim_show_arrived(sim, pk, KI_SIM_NOTE_RECEIVE_FULL);
        }
        p = ki_sim_port_find_next(pk->to, &pk->dest, &pk->source, p->number);
    }
    ki_sim_packet_free(sim, pk);
}

void ki_sim_packet_arrive(struct kirim_sim *sim, struct ki_sim_packet *pk)
{
    pk->arrival.time_ns = pk->event.time_ns + pk->to->ahead_ns;
    if (pk->nat != NULL && !ki_sim_nat_enter(pk->nat, pk)) {
        ki_sim_note(sim, KI_SIM_NOTE_NAT, pk);
        ki_sim_show_arrived(sim, pk, KI_SIM_NOTE_NAT);
        ki_sim_packet_free(sim, pk);
        return;
    }
    if (pk->to->reactor == NULL) {
        ki_sim_note(sim, KI_SIM_NOTE_HOST_DOWN, pk);
        ki_sim_show_arrived(sim, pk, KI_SIM_NOTE_HOST_DOWN);
        ki_sim_packet_free(sim, pk);
        return;
    }
    if (pk->is_for_many) {
        spread(sim, pk);
        return;
    }
    struct ki_sim_port *p = ki_sim_port_find(pk->to, &pk->dest, &pk->source);
    if (p != NULL) {
        ki_sim_port_push(p, pk);
        return;
    }
    ki_sim_note(sim, KI_SIM_NOTE_NO_PORT, pk);
    ki_sim_show_arrived(sim, pk, KI_SIM_NOTE_NO_PORT);
    pk->err = KIRIM_ECONNRESET;
    send_report(sim, pk, pk->event.time_ns);
}

void ki_sim_report_arrive(struct kirim_sim *sim, struct ki_sim_packet *pk)
{
    struct ki_sim_port *p = pk->from->reactor == NULL
                                ? NULL
                                : ki_sim_port_find(pk->from, &pk->sent_source, &pk->sent_dest);
    if (p != NULL && pk->path_mtu != 0) {
        /* It is there: the datagram has crossed it. */
        ki_sim_link_get(pk->from, pk->to)->told_mtu = pk->path_mtu;
    }
    if (p == NULL || (p->is_deaf && kirim_addr_family(&p->port.remote) == KIRIM_FAMILY_NONE)) {
        ki_sim_packet_free(sim, pk);
        return;
    }
    ki_sim_port_push(p, pk);
}
