/* SPDX-License-Identifier: MIT
 *
 * Receiving: the modelled receive buffer of a port, and what the core is lent of it.
 *
 * A port with something in its buffer stands on its loop's list of pending ports, and is announced
 * before every turn until it is empty. What receive() hands over has left the buffer, as with a
 * system, and stays on the loop's list of lent packets until the next turn. Reports stand in line
 * with datagrams. The world's thread.
 */
#include "sim.h"

static void set_pending(struct ki_sim_port *p)
{
    struct ki_sim_reactor *r = p->reactor;
    if (p->pending_link != NULL) {
        return;
    }
    p->pending_next = r->pending;
    p->pending_link = &r->pending;
    if (r->pending != NULL) {
        r->pending->pending_link = &p->pending_next;
    }
    r->pending = p;
}

static void clear_pending(struct ki_sim_port *p)
{
    if (p->pending_link == NULL) {
        return;
    }
    *p->pending_link = p->pending_next;
    if (p->pending_next != NULL) {
        p->pending_next->pending_link = p->pending_link;
    }
    p->pending_link = NULL;
}

void ki_sim_port_push(struct ki_sim_port *p, struct ki_sim_packet *pk)
{
    struct kirim_sim *sim = p->host->sim;
    const bool is_report = pk->event.kind == KI_SIM_REPORT;
    if (p->rx_used != 0 && p->rx_used + pk->charge > p->rx_limit) {
        if (!is_report) {
            p->rx_drops++;
            ki_sim_note(sim, KI_SIM_NOTE_RECEIVE_FULL, pk);
            ki_sim_show_arrived(sim, pk, KI_SIM_NOTE_RECEIVE_FULL);
        }
        ki_sim_packet_free(sim, pk);
        return;
    }
    ki_sim_note(sim, is_report ? KI_SIM_NOTE_REPORTED : KI_SIM_NOTE_DELIVERED, pk);
    if (!is_report) {
        ki_sim_show_arrived(sim, pk, KI_SIM_NOTE_DELIVERED);
    }
    p->rx_used += pk->charge;
    pk->next = NULL;
    *p->rx_last = pk;
    p->rx_last = &pk->next;
    set_pending(p);
    if (p->reactor->is_driven) {
        ki_sim_host_turn_at(p->host, sim->now_ns);
    }
}

static struct ki_sim_packet *pop(struct ki_sim_port *p)
{
    struct ki_sim_packet *pk = p->rx_first;
    p->rx_first = pk->next;
    if (p->rx_first == NULL) {
        p->rx_last = &p->rx_first;
    }
    p->rx_used -= pk->charge;
    return pk;
}

void ki_sim_port_drain(struct ki_sim_port *p)
{
    while (p->rx_first != NULL) {
        ki_sim_packet_free(p->host->sim, pop(p));
    }
    clear_pending(p);
}

/* Without KIRIM_ENDPOINT_RECEIVE_CONTROL it tells no more than a system would: who relies on the
 * rest shall find out here. */
static void lend(struct ki_sim_reactor *r, const struct ki_sim_port *port, struct ki_sim_packet *pk,
                 struct kirim_datagram *d)
{
    const struct ki_port *p = &port->port;
    const bool is_cut = pk->bytes > p->datagram_bytes_max;
    const bool is_broadcast = pk->is_for_many && !kirim_addr_is_multicast(&pk->dest);
    const bool has_arrival = port->has_control || port->is_wildcard;
    if (!port->has_control) {
        pk->ecn = 0;
        pk->arrival.ttl = 0;
        pk->arrival.dscp = 0;
        pk->arrival.time_ns = 0;
    }
    *d = (struct kirim_datagram){
        .data = pk->data,
        .bytes = is_cut ? (uint32_t)p->datagram_bytes_max : pk->bytes,
        .ecn = (uint8_t)pk->ecn,
        .flags = (uint8_t)((is_cut ? KIRIM_RX_TRUNCATED : 0) |
                           (is_broadcast && has_arrival ? KIRIM_RX_BROADCAST : 0)),
        .peer = pk->source,
        .arrival = has_arrival ? &pk->arrival : NULL,
    };
    pk->next = r->lent;
    r->lent = pk;
}

/* As the ICMP message of a system would tell it: a closed port, or a datagram too long. */
static void tell_report(struct ki_port *p, const struct ki_sim_packet *pk)
{
    enum { UNREACHABLE = 3, PORT = 3, TOO_LONG = 4 };          /* RFC 792 */
    enum { UNREACHABLE_V6 = 1, TOO_LONG_V6 = 2, PORT_V6 = 4 }; /* RFC 4443 */
    const bool is_ipv4 = kirim_addr_family(&pk->dest) == KIRIM_IPV4;
    const bool is_too_long = pk->path_mtu != 0;
    p->rx_flags = KI_RX_ERROR;
    p->rx_error.peer = pk->sent_dest;
    p->rx_error.err = pk->err;
    p->rx_error.sys_err = 0;
    p->rx_error.path_mtu = pk->path_mtu;
    if (is_ipv4) {
        p->rx_error.origin = KIRIM_ORIGIN_ICMP;
        p->rx_error.icmp_type = UNREACHABLE;
        p->rx_error.icmp_code = is_too_long ? TOO_LONG : PORT;
        return;
    }
    p->rx_error.origin = KIRIM_ORIGIN_ICMPV6;
    p->rx_error.icmp_type = is_too_long ? TOO_LONG_V6 : UNREACHABLE_V6;
    p->rx_error.icmp_code = is_too_long ? 0 : PORT_V6;
}

uint32_t ki_sim_receive(struct ki_reactor *r, struct ki_port *p, struct kirim_datagram *d,
                        uint32_t max)
{
    struct ki_sim_reactor *reactor = (struct ki_sim_reactor *)r;
    struct ki_sim_port *port = (struct ki_sim_port *)p;
    uint32_t count = 0;
    p->rx_calls++;
    p->rx_flags = 0;
    while (count < max && port->rx_first != NULL) {
        struct ki_sim_packet *pk = pop(port);
        if (pk->event.kind == KI_SIM_REPORT) {
            tell_report(p, pk);
            ki_sim_packet_free(reactor->sim, pk);
            break;
        }
        lend(reactor, port, pk, &d[count]);
        count++;
    }
    if (port->rx_first != NULL) {
        p->rx_flags |= KI_RX_MORE;
    } else {
        clear_pending(port);
    }
    return count;
}

void ki_sim_release(struct ki_reactor *r)
{
    struct ki_sim_reactor *reactor = (struct ki_sim_reactor *)r;
    while (reactor->lent != NULL) {
        struct ki_sim_packet *pk = reactor->lent;
        reactor->lent = pk->next;
        ki_sim_packet_free(reactor->sim, pk);
    }
}

bool ki_sim_announce(struct ki_sim_reactor *r)
{
    for (struct ki_sim_port *p = r->pending; p != NULL; p = p->pending_next) {
        ki_port_ready(&r->reactor, &p->port);
    }
    return r->pending != NULL;
}
