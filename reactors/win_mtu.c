/* SPDX-License-Identifier: MIT
 *
 * Don't-fragment and the path MTU; see win_mtu.h.
 *
 * Keeps true: a family whose state is KI_WIN_MTU_PLAIN or KI_WIN_MTU_UNASKED has the option as it
 * was opened with, or as its owner has set it meanwhile. Owns nothing. Loop thread. Sources: see
 * win_mtu.h.
 */
#include "win_mtu.h"

#include "win_map.h"

enum {
    /* What a packet can have at most: the system says more of interfaces that have no limit. */
    IPV4_BYTES_MAX = 65535,
    IPV6_BYTES_MAX = 65535 + 40
};

/* ---- options --------------------------------------------------------------------------------- */

static int level_of(bool is_ipv6)
{
    return is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
}

/* The option that says it, whose numbers are those of both families. */
static int option_of(const struct ki_win *r, bool is_ipv6)
{
    return r->has_discovery[is_ipv6] != 0 ? KI_IP_MTU_DISCOVER : KI_IP_DONTFRAGMENT;
}

/* Whether a value of that option keeps datagrams whole. */
static bool is_whole(const struct ki_win *r, bool is_ipv6, DWORD value)
{
    return r->has_discovery[is_ipv6] != 0
               ? value == KI_IP_PMTUDISC_DO || value == KI_IP_PMTUDISC_PROBE
               : value != 0;
}

/* The value that does; without discovery the option is a BOOL. */
static DWORD whole_value(void)
{
    return KI_IP_PMTUDISC_DO;
}

/* ---- opening --------------------------------------------------------------------------------- */

uint32_t ki_win_mtu_probe(struct ki_win *r, SOCKET s, bool is_ipv6)
{
    const int level = level_of(is_ipv6);
    DWORD value;
    r->has_discovery[is_ipv6] = ki_win_option_get(r, s, level, KI_IP_MTU_DISCOVER, &value) == 0;
    if (r->has_discovery[is_ipv6] == 0) {
        return ki_win_option_get(r, s, level, KI_IP_DONTFRAGMENT, &value) == 0
                   ? KIRIM_CAP_DONT_FRAGMENT
                   : 0U;
    }
    /* Only of a connected socket is there an answer; but a system that lacks the option says so. */
    const bool tells =
        ki_win_option_get(r, s, level, is_ipv6 ? KI_IPV6_MTU : KI_IP_MTU, &value) == 0 ||
        ki_win_map(WSAGetLastError()) != KIRIM_EOPNOTSUPP;
    return KIRIM_CAP_DONT_FRAGMENT | (tells ? KIRIM_CAP_PATH_MTU : 0U);
}

/* Whether the socket sends IPv4, as one with both stacks does, too. Of another one Winsock refuses
 * IPv4's options once it is bound (L42). */
static bool sends_ipv4(const struct ki_win *r, const struct ki_win_port *p,
                       const struct ki_win_setup *setup)
{
    DWORD is_alone;
    return p->is_ipv6 == 0 ||
           (p->port.is_raw == 0 &&
            ki_win_option_get(r, setup->s, IPPROTO_IPV6, IPV6_V6ONLY, &is_alone) == 0 &&
            is_alone == 0);
}

kirim_err ki_win_mtu_open(const struct ki_win *r, const struct ki_win_port *p,
                          struct ki_win_setup *setup)
{
    const uint32_t flags = setup->options->flags;
    const bool is_probing = (flags & KIRIM_ENDPOINT_PROBE_MTU) != 0;
    if (!is_probing && (flags & KIRIM_ENDPOINT_DONT_FRAGMENT) == 0) {
        return KIRIM_OK;
    }
    const DWORD value = is_probing ? KI_IP_PMTUDISC_PROBE : whole_value();
    if (p->is_ipv6 != 0 &&
        ki_win_option_set(r, setup, IPPROTO_IPV6, option_of(r, true), value) != 0) {
        return ki_win_failed(r->reactor.loop, "setsockopt: no fragments, IPv6");
    }
    if (sends_ipv4(r, p, setup) &&
        ki_win_option_set(r, setup, IPPROTO_IP, option_of(r, false), value) != 0) {
        return ki_win_failed(r->reactor.loop, "setsockopt: no fragments, IPv4");
    }
    return KIRIM_OK;
}

/* ---- switching ------------------------------------------------------------------------------- */

static bool wants_whole(const struct ki_entry *e)
{
    return e->control != NULL && (e->control->flags & KIRIM_CONTROL_DONT_FRAGMENT) != 0;
}

static bool is_entry_ipv6(const struct ki_win_port *p, const struct ki_entry *e)
{
    const int family = kirim_addr_family(&e->peer);
    return (family != KIRIM_FAMILY_NONE ? family : kirim_addr_family(&p->port.remote)) ==
           KIRIM_IPV6;
}

/* Finds out what the socket does by itself: the system's default, or what the owner of an adopted
 * one has chosen. */
static kirim_err ask_mode(const struct ki_win *r, struct ki_win_port *p, bool is_ipv6)
{
    DWORD mode;
    if (ki_win_option_get(r, (SOCKET)p->port.descriptor, level_of(is_ipv6), option_of(r, is_ipv6),
                          &mode) != 0) {
        return ki_win_failed(r->reactor.loop, "getsockopt: fragments");
    }
    p->mtu_mode[is_ipv6] = mode;
    p->mtu_state[is_ipv6] = is_whole(r, is_ipv6, mode) ? KI_WIN_MTU_ALWAYS : KI_WIN_MTU_PLAIN;
    return KIRIM_OK;
}

bool ki_win_mtu_changes(const struct ki_win_port *p, const struct ki_entry *e)
{
    const uint64_t state = p->mtu_state[is_entry_ipv6(p, e)];
    return wants_whole(e) ? state < KI_WIN_MTU_WHOLE : state == KI_WIN_MTU_WHOLE;
}

kirim_err ki_win_mtu_set(struct ki_win *r, struct ki_win_port *p, const struct ki_entry *e)
{
    const bool is_ipv6 = is_entry_ipv6(p, e);
    const bool wanted = wants_whole(e);
    if (wanted && p->mtu_state[is_ipv6] == KI_WIN_MTU_UNASKED) {
        const kirim_err err = ask_mode(r, p, is_ipv6);
        if (err < 0) {
            return err;
        }
    }
    if (!ki_win_mtu_changes(p, e)) {
        return KIRIM_OK;
    }
    const DWORD value = wanted ? whole_value() : p->mtu_mode[is_ipv6];
    if (r->sys->setsockopt((SOCKET)p->port.descriptor, level_of(is_ipv6), option_of(r, is_ipv6),
                           (const char *)&value, sizeof value) != 0) {
        return ki_win_failed(r->reactor.loop, "setsockopt: fragments");
    }
    p->mtu_state[is_ipv6] = wanted ? KI_WIN_MTU_WHOLE : KI_WIN_MTU_PLAIN;
    return KIRIM_OK;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Reads the path MTU of a connected socket; the option's level is that of its peer's family. */
static kirim_err read_mtu(const struct ki_win *r, SOCKET s, bool is_ipv6, uint32_t *out)
{
    const DWORD most = is_ipv6 ? IPV6_BYTES_MAX : IPV4_BYTES_MAX;
    DWORD value;
    if (ki_win_option_get(r, s, level_of(is_ipv6), is_ipv6 ? KI_IPV6_MTU : KI_IP_MTU, &value) !=
        0) {
        return ki_win_failed(r->reactor.loop, "getsockopt: path MTU");
    }
    *out = value < most ? value : most;
    return KIRIM_OK;
}

/* Connects a socket that is there for nothing else, and asks it. */
static kirim_err ask_anew(const struct ki_win *r, const struct kirim_addr *peer, uint32_t *out)
{
    static const uint16_t any_port = 9; /* Winsock connects to none with port 0 */
    const bool is_ipv6 = kirim_addr_family(peer) == KIRIM_IPV6;
    struct kirim_addr host = *peer;
    union ki_win_name name;
    kirim_addr_set_port(&host, any_port);
    const int bytes = ki_win_name_write(&name, &host, is_ipv6);
    const SOCKET s = ki_win_socket_make(r, is_ipv6 ? AF_INET6 : AF_INET);
    if (s == INVALID_SOCKET) {
        return ki_win_failed(r->reactor.loop, "path MTU: WSASocketW");
    }
    const kirim_err err = r->sys->connect(s, &name.any, bytes) != 0
                              ? ki_win_failed(r->reactor.loop, "path MTU: connect")
                              : read_mtu(r, s, is_ipv6, out);
    (void)r->sys->close(s);
    return err;
}

/* Whether both are one address, whatever their ports. */
static bool is_same_host(struct kirim_addr a, struct kirim_addr b)
{
    kirim_addr_set_port(&a, 0);
    kirim_addr_set_port(&b, 0);
    return kirim_addr_equal(&a, &b);
}

kirim_err ki_win_path_mtu(struct ki_reactor *reactor, struct ki_port *port,
                          const struct kirim_addr *peer, uint32_t *out)
{
    const struct ki_win *r = (const struct ki_win *)reactor;
    if (is_same_host(*peer, port->remote)) {
        const kirim_err err =
            read_mtu(r, (SOCKET)port->descriptor, kirim_addr_family(peer) == KIRIM_IPV6, out);
        if (err != KIRIM_ENOTCONN) {
            return err;
        }
    }
    return ask_anew(r, peer, out);
}
