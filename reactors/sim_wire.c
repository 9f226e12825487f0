/* SPDX-License-Identifier: MIT
 *
 * The way of a datagram over a link to a port, and back as a report; to one host or to many.
 *
 * A datagram either enters its link whole, with everything it may become, or is refused and leaves
 * no trace: all that can fail comes first. Packets belong to the queue of events while they travel.
 * The world's thread. Sources: RFC 1122 section 3.2.2, RFC 1191.
 */
#include "sim_wire.h"

#include <string.h>

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

static void fill(struct ki_sim_packet *pk, const struct ki_sim_launch *l, const struct ki_entry *e)
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
static void drop(struct kirim_sim *sim, const struct ki_sim_launch *l, struct ki_sim_packet *pk,
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
static void meet_fate(struct kirim_sim *sim, const struct ki_sim_launch *l,
                      struct ki_sim_packet *pk, struct ki_sim_packet *copy,
                      const struct kirim_link_fate *fate)
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
static struct kirim_link decide(const struct ki_sim_launch *l, struct kirim_link_fate *out)
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
static kirim_err leave_side(struct ki_sim_launch *l)
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

kirim_err ki_sim_launch(struct ki_sim_port *p, struct ki_sim_launch *l, const struct ki_entry *e)
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
static kirim_err aim(struct ki_sim_port *p, struct kirim_sim_host *to, struct ki_sim_launch *l)
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
                              struct kirim_sim_host *to, struct ki_sim_launch *l,
                              struct ki_sim_packet **list)
{
    struct kirim_sim *sim = p->host->sim;
    kirim_err err = aim(p, to, l);
    if (err < 0 || (err = ki_sim_check_size(p, e, l)) < 0) {
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
static void launch_list(struct ki_sim_port *p, const struct ki_entry *e, struct ki_sim_launch *l,
                        struct ki_sim_packet *list)
{
    while (list != NULL) {
        struct ki_sim_packet *pk = list;
        struct ki_sim_packet *copy = NULL;
        list = pk->next;
        (void)aim(p, pk->to, l);
        (void)ki_sim_check_size(p, e, l);
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

kirim_err ki_sim_launch_to_many(struct ki_sim_port *p, const struct ki_entry *e,
                                struct ki_sim_launch *l)
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
