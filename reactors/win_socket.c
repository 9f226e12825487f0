/* SPDX-License-Identifier: MIT
 *
 * Sockets of the Windows reactors; see win_socket.h for the order of the steps.
 *
 * Keeps true: every option is set before the bind, for Winsock refuses those of IPv4 on an IPv6
 * socket that is bound to one address (L42); an address is bound with exclusive use unless the
 * caller shares it, for without that option anybody could take the port over; what was changed on
 * an adopted socket is noted before it is changed. That its calls do not wait is set last of all,
 * since it can neither be asked for nor be known. Owns nothing beyond what the header says. Loop
 * thread. Sources: see win_socket.h.
 */
#include "win_socket.h"

#include "win_map.h"
#include "win_mtu.h"

#include <limits.h>

enum {
    DATAGRAM_BYTES_UNDECLARED = 65535,
    COALESCED_BYTES_MAX = 65527 /* 65,535 without the UDP header, as "URO" has no more */
};

/* ---- options --------------------------------------------------------------------------------- */

int ki_win_option_get(const struct ki_win *r, SOCKET s, int level, int name, DWORD *value)
{
    int bytes = sizeof *value;
    *value = 0;
    return r->sys->getsockopt(s, level, name, (char *)value, &bytes);
}

/* Notes what an option of an adopted socket is, before it is changed; what cannot be read is not
 * put back. */
static void save_option(const struct ki_win *r, struct ki_win_setup *setup, int level, int name)
{
    struct ki_win_saved_option old = { level, name, 0 };
    if (setup->is_adopted && setup->saved_count < KI_WIN_SAVED_OPTIONS_MAX &&
        ki_win_option_get(r, setup->s, level, name, &old.value) == 0) {
        setup->saved[setup->saved_count++] = old;
    }
}

int ki_win_option_set(const struct ki_win *r, struct ki_win_setup *setup, int level, int name,
                      DWORD value)
{
    save_option(r, setup, level, name);
    return r->sys->setsockopt(setup->s, level, name, (const char *)&value, sizeof value);
}

static void restore_options(const struct ki_win *r, struct ki_win_setup *setup)
{
    while (setup->saved_count > 0) {
        const struct ki_win_saved_option *old = &setup->saved[--setup->saved_count];
        (void)r->sys->setsockopt(setup->s, old->level, old->name, (const char *)&old->value,
                                 sizeof old->value);
    }
}

/* Sets the size of a buffer; 0 leaves the system's. There is no limit to force. */
static kirim_err set_buffer(const struct ki_win *r, struct ki_win_setup *setup, int name,
                            uint32_t bytes)
{
    if (bytes != 0 &&
        ki_win_option_set(r, setup, SOL_SOCKET, name, bytes < INT_MAX ? bytes : INT_MAX) != 0) {
        return ki_win_failed(r->reactor.loop, "setsockopt: buffer size");
    }
    return KIRIM_OK;
}

/* Who may bind the address beside this socket. Sharing is not that of Linux: which of the sockets
 * receives is the system's choice. The owner of an adopted socket may have chosen it already, and
 * one excludes the other. */
static kirim_err set_sharing(const struct ki_win *r, struct ki_win_setup *setup)
{
    const bool is_shared = (setup->options->flags & KIRIM_ENDPOINT_SHARE_PORT) != 0;
    DWORD was_shared;
    if (setup->is_adopted &&
        ki_win_option_get(r, setup->s, SOL_SOCKET, SO_REUSEADDR, &was_shared) == 0 &&
        was_shared != 0) {
        return KIRIM_OK;
    }
    if (ki_win_option_set(r, setup, SOL_SOCKET, is_shared ? SO_REUSEADDR : SO_EXCLUSIVEADDRUSE,
                          1) != 0) {
        return ki_win_failed(r->reactor.loop, is_shared ? "setsockopt: SO_REUSEADDR"
                                                        : "setsockopt: SO_EXCLUSIVEADDRUSE");
    }
    return KIRIM_OK;
}

static kirim_err set_options(const struct ki_win *r, const struct ki_win_port *p,
                             struct ki_win_setup *setup)
{
    const struct kirim_endpoint_options *o = setup->options;
    if (!setup->is_bound) {
        const bool is_alone = (o->flags & KIRIM_ENDPOINT_DUAL_STACK) == 0;
        if (p->is_ipv6 != 0 &&
            ki_win_option_set(r, setup, IPPROTO_IPV6, IPV6_V6ONLY, is_alone) != 0) {
            return ki_win_failed(r->reactor.loop, "setsockopt: IPV6_V6ONLY");
        }
        const kirim_err err = set_sharing(r, setup);
        if (err < 0) {
            return err;
        }
    }
    /* Of IPv6 sockets too: it holds for the IPv4 that a dual-stack socket sends (L76). */
    if ((o->flags & KIRIM_ENDPOINT_BROADCAST) != 0 &&
        ki_win_option_set(r, setup, SOL_SOCKET, SO_BROADCAST, 1) != 0) {
        return ki_win_failed(r->reactor.loop, "setsockopt: SO_BROADCAST");
    }
    const kirim_err err = set_buffer(r, setup, SO_RCVBUF, o->receive_buffer_bytes);
    return err < 0 ? err : set_buffer(r, setup, SO_SNDBUF, o->send_buffer_bytes);
}

/* Has arrivals bring control data: their local address where only the system knows it, and what
 * else the caller asked for. A system that lacks an option leaves the field empty. */
static void set_control_options(const struct ki_win *r, struct ki_win_port *p,
                                struct ki_win_setup *setup, bool wants_local)
{
    const bool wants_all = (setup->options->flags & KIRIM_ENDPOINT_RECEIVE_CONTROL) != 0;
    const bool is_ipv6 = p->is_ipv6 != 0;
    if (!wants_local && !wants_all) {
        return;
    }
    const struct {
        int level;
        int name;
        bool is_wanted;
    } wanted[] = {
        /* The IPv4 ones on an IPv6 socket too: it may be dual-stack, and each family tells only of
         * its own datagrams. */
        { IPPROTO_IP, IP_PKTINFO, wants_local },
        { IPPROTO_IP, IP_RECVTOS, wants_all },
        { IPPROTO_IP, KI_IP_RECVECN, wants_all },
        { IPPROTO_IP, IP_RECVTTL, wants_all },
        { IPPROTO_IPV6, IPV6_PKTINFO, wants_local && is_ipv6 },
        { IPPROTO_IPV6, IPV6_RECVTCLASS, wants_all && is_ipv6 },
        { IPPROTO_IPV6, KI_IPV6_RECVECN, wants_all && is_ipv6 },
        { IPPROTO_IPV6, IPV6_HOPLIMIT, wants_all && is_ipv6 },
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (wanted[i].is_wanted &&
            ki_win_option_set(r, setup, wanted[i].level, wanted[i].name, 1) != 0) {
            ki_log(r->reactor.loop, KIRIM_LOG_DEBUG, "setsockopt: receive control data",
                   WSAGetLastError());
        }
    }
    p->has_control = 1;
}

/* Has arrivals tell when they came, where the caller wants to know and the system has that, and its
 * administrator has switched it on. */
static void set_times(const struct ki_win *r, struct ki_win_port *p,
                      const struct ki_win_setup *setup)
{
    struct ki_win_timestamping config = { .flags = KI_TIMESTAMPING_FLAG_RX };
    DWORD bytes = 0;
    if ((setup->options->flags & KIRIM_ENDPOINT_RECEIVE_CONTROL) == 0 || p->port.is_raw != 0) {
        return;
    }
    p->has_times = r->sys->ioctl(setup->s, KI_SIO_TIMESTAMPING, &config, sizeof config, NULL, 0,
                                 &bytes, NULL, NULL) == 0;
}

/* Whether a "port unreachable" and a "time to live expired" that come in are told: by an error of
 * the next receive. They are by default, but for somebody who has switched that off. */
static void set_reports(const struct ki_win *r, const struct ki_win_setup *setup)
{
    const bool is_unwanted =
        r->may_report == 0 || (setup->options->flags & KIRIM_ENDPOINT_NO_ERROR_QUEUE) != 0;
    BOOL is_on = setup->is_connecting || !is_unwanted;
    DWORD bytes = 0;
    if (r->sys->ioctl(setup->s, KI_SIO_UDP_CONNRESET, &is_on, sizeof is_on, NULL, 0, &bytes, NULL,
                      NULL) != 0 ||
        r->sys->ioctl(setup->s, KI_SIO_UDP_NETRESET, &is_on, sizeof is_on, NULL, 0, &bytes, NULL,
                      NULL) != 0) {
        ki_log(r->reactor.loop, KIRIM_LOG_DEBUG, "WSAIoctl: reports of the network",
               WSAGetLastError());
    }
}

/* Switches offloads on, or off if an earlier owner had them: a segment size of the socket's own
 * would cut every datagram that comes without one (L8). */
static void set_offloads(const struct ki_win *r, struct ki_win_port *p, struct ki_win_setup *setup)
{
    DWORD value;
    p->port.tx_segments_max = p->port.is_raw == 0 ? r->segments_max : 1;
    if (setup->is_adopted &&
        ki_win_option_get(r, setup->s, IPPROTO_UDP, KI_UDP_SEND_MSG_SIZE, &value) == 0 &&
        value != 0) {
        (void)ki_win_option_set(r, setup, IPPROTO_UDP, KI_UDP_SEND_MSG_SIZE, 0);
    }
    /* Only where the largest datagram is declared can bytes without their size be told from a
     * datagram (L21). */
    const bool is_wanted = r->has_coalescing != 0 && p->port.wants_coalesced != 0 &&
                           p->port.is_raw == 0 &&
                           p->port.datagram_bytes_max < DATAGRAM_BYTES_UNDECLARED;
    if (is_wanted) {
        p->is_coalescing = ki_win_option_set(r, setup, IPPROTO_UDP, KI_UDP_RECV_MAX_COALESCED_SIZE,
                                             COALESCED_BYTES_MAX) == 0;
    } else if (setup->is_adopted &&
               ki_win_option_get(r, setup->s, IPPROTO_UDP, KI_UDP_RECV_MAX_COALESCED_SIZE,
                                 &value) == 0 &&
               value != 0) {
        (void)ki_win_option_set(r, setup, IPPROTO_UDP, KI_UDP_RECV_MAX_COALESCED_SIZE, 0);
    }
}

/* ---- making and adopting --------------------------------------------------------------------- */

SOCKET ki_win_socket_make(const struct ki_win *r, int family)
{
    return r->sys->socket(family, SOCK_DGRAM, IPPROTO_UDP, NULL, 0,
                          WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
}

int ki_win_socket_unblock(const struct ki_win *r, SOCKET s)
{
    u_long is_on = 1;
    DWORD bytes = 0;
    return r->sys->ioctl(s, (DWORD)FIONBIO, &is_on, sizeof is_on, NULL, 0, &bytes, NULL, NULL);
}

static kirim_err make_socket(const struct ki_win *r, struct ki_win_port *p,
                             struct ki_win_setup *setup)
{
    const struct kirim_endpoint_options *o = setup->options;
    const int local_family = kirim_addr_family(&o->local);
    const int family =
        local_family != KIRIM_FAMILY_NONE ? local_family : kirim_addr_family(&o->peer);
    if (family == KIRIM_FAMILY_NONE ||
        (family == KIRIM_IPV4 && (o->flags & KIRIM_ENDPOINT_DUAL_STACK) != 0)) {
        return KIRIM_EINVAL;
    }
    p->is_ipv6 = family == KIRIM_IPV6;
    const bool is_inherited = (o->flags & KIRIM_ENDPOINT_INHERIT) != 0;
    setup->s = r->sys->socket(
        p->is_ipv6 != 0 ? AF_INET6 : AF_INET, SOCK_DGRAM, IPPROTO_UDP, NULL, 0,
        WSA_FLAG_OVERLAPPED | (is_inherited ? 0U : (DWORD)WSA_FLAG_NO_HANDLE_INHERIT));
    if (setup->s == INVALID_SOCKET) {
        return ki_win_failed(r->reactor.loop, "WSASocketW");
    }
    p->calls = r->calls[p->is_ipv6 != 0];
    if (p->calls.send == NULL) {
        (void)r->sys->close(setup->s); /* The family came while the loop was open. */
        return KIRIM_EAFNOSUPPORT;
    }
    return KIRIM_OK;
}

/* Reads the name that the socket is bound to; "none" if it is not bound. */
static kirim_err read_local(const struct ki_win *r, SOCKET s, struct kirim_addr *out)
{
    union ki_win_name name;
    int bytes = sizeof name;
    memset(&name, 0, sizeof name);
    *out = (struct kirim_addr){ { 0, 0, 0 } };
    if (r->sys->getsockname(s, &name.any, &bytes) != 0) {
        return WSAGetLastError() == WSAEINVAL ? KIRIM_OK
                                              : ki_win_failed(r->reactor.loop, "getsockname");
    }
    ki_win_name_read(&name, out);
    return KIRIM_OK;
}

/* Finds out what an adopted socket is; nothing is changed. */
static kirim_err inspect_socket(const struct ki_win *r, struct ki_win_port *p,
                                struct ki_win_setup *setup)
{
    struct kirim_loop *loop = r->reactor.loop;
    WSAPROTOCOL_INFOW info;
    int info_bytes = sizeof info;
    struct kirim_addr local;
    DWORD type;
    if (ki_win_option_get(r, setup->s, SOL_SOCKET, SO_TYPE, &type) != 0) {
        return ki_win_failed(loop, "adopt: getsockopt SO_TYPE");
    }
    if (type != SOCK_DGRAM && type != SOCK_RAW) {
        return KIRIM_EOPNOTSUPP;
    }
    if (r->sys->getsockopt(setup->s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &info_bytes) !=
        0) {
        return ki_win_failed(loop, "adopt: getsockopt SO_PROTOCOL_INFOW");
    }
    if (info.iAddressFamily != AF_INET && info.iAddressFamily != AF_INET6) {
        return KIRIM_EAFNOSUPPORT;
    }
    p->is_ipv6 = info.iAddressFamily == AF_INET6;
    const kirim_err err = read_local(r, setup->s, &local);
    if (err < 0) {
        return err;
    }
    /* A raw socket has no port, and is bound if it has a name. */
    p->port.is_raw = type == SOCK_RAW;
    setup->is_bound = p->port.is_raw != 0 ? kirim_addr_family(&local) != KIRIM_FAMILY_NONE
                                          : kirim_addr_port(&local) != 0;
    if (!setup->is_bound && (setup->options->flags & KIRIM_ENDPOINT_BIND_ADOPTED) == 0) {
        return KIRIM_EINVAL;
    }
    return KIRIM_OK;
}

static kirim_err adopt_socket(const struct ki_win *r, struct ki_win_port *p,
                              struct ki_win_setup *setup)
{
    struct kirim_loop *loop = r->reactor.loop;
    const bool is_inherited = (setup->options->flags & KIRIM_ENDPOINT_INHERIT) != 0;
    setup->is_adopted = true;
    setup->s = (SOCKET)setup->options->adopt;
    const kirim_err err = inspect_socket(r, p, setup);
    if (err < 0) {
        return err;
    }
    /* Its provider may be another one than that of our own sockets (S12). */
    if (!ki_win_calls_fetch(r->sys, setup->s, &p->calls)) {
        (void)ki_win_failed(loop, "adopt: WSASendMsg, WSARecvMsg");
        return KIRIM_EOPNOTSUPP;
    }
    if (!r->sys->get_handle_information((HANDLE)setup->s, &setup->handle_flags) ||
        !r->sys->set_handle_information((HANDLE)setup->s, HANDLE_FLAG_INHERIT,
                                        is_inherited ? HANDLE_FLAG_INHERIT : 0)) {
        return ki_win_failed(loop, "adopt: SetHandleInformation");
    }
    return KIRIM_OK;
}

kirim_err ki_win_socket_open(struct ki_win *r, struct ki_win_port *p,
                             const struct kirim_endpoint_options *options,
                             struct ki_win_setup *setup)
{
    *setup = (struct ki_win_setup){
        .options = options,
        .s = INVALID_SOCKET,
        .is_connecting = kirim_addr_family(&options->peer) != KIRIM_FAMILY_NONE,
    };
    p->port.descriptor = KIRIM_NO_DESCRIPTOR;
    if ((options->flags & KIRIM_ENDPOINT_TXTIME) != 0) {
        return KIRIM_EOPNOTSUPP;
    }
    const kirim_err err = (options->flags & KIRIM_ENDPOINT_ADOPT) != 0 ? adopt_socket(r, p, setup)
                                                                       : make_socket(r, p, setup);
    if (err == KIRIM_OK) {
        p->port.descriptor = (intptr_t)setup->s;
    }
    return err;
}

/* ---- binding and connecting ------------------------------------------------------------------ */

static kirim_err bind_local(const struct ki_win *r, const struct ki_win_port *p,
                            const struct ki_win_setup *setup)
{
    struct kirim_addr local = setup->options->local;
    if (kirim_addr_family(&local) == KIRIM_FAMILY_NONE) {
        if (setup->is_adopted) {
            return KIRIM_EINVAL; /* It is to be bound, and nobody said where. */
        }
        return KIRIM_OK; /* Connecting binds it. */
    }
    union ki_win_name name;
    const int bytes = ki_win_name_write(&name, &local, p->is_ipv6 != 0);
    if (r->sys->bind(setup->s, &name.any, bytes) != 0) {
        /* An address that somebody has for himself alone is "no access" to Winsock; so is one that
         * an administrator has reserved, which for us comes to the same. */
        const kirim_err err = ki_win_failed(r->reactor.loop, "bind");
        return err == KIRIM_EACCES ? KIRIM_EADDRINUSE : err;
    }
    return KIRIM_OK;
}

static kirim_err connect_remote(const struct ki_win *r, const struct ki_win_port *p,
                                const struct ki_win_setup *setup)
{
    union ki_win_name name;
    const int bytes = ki_win_name_write(&name, &setup->options->peer, p->is_ipv6 != 0);
    return r->sys->connect(setup->s, &name.any, bytes) != 0
               ? ki_win_failed(r->reactor.loop, "connect")
               : KIRIM_OK;
}

/* The peer of an adopted socket that its owner had connected, or none. */
static kirim_err read_remote(const struct ki_win *r, SOCKET s, struct kirim_addr *out)
{
    union ki_win_name name;
    int bytes = sizeof name;
    memset(&name, 0, sizeof name);
    if (r->sys->getpeername(s, &name.any, &bytes) != 0) {
        return WSAGetLastError() == WSAENOTCONN ? KIRIM_OK
                                                : ki_win_failed(r->reactor.loop, "getpeername");
    }
    ki_win_name_read(&name, out);
    return KIRIM_OK;
}

/* Whether arrivals have to tell whom they were sent to: the port will be bound to a wildcard, and
 * not connected. */
static bool wants_local(const struct ki_win *r, const struct ki_win_setup *setup)
{
    struct kirim_addr addr = setup->options->local;
    if (setup->is_connecting) {
        return false;
    }
    if (setup->is_bound && read_local(r, setup->s, &addr) < 0) {
        return false;
    }
    return kirim_addr_is_wildcard(&addr);
}

/* Writes what the port has become, once it is bound. */
static kirim_err learn_local(const struct ki_win *r, struct ki_win_port *p,
                             const struct ki_win_setup *setup)
{
    const kirim_err err = read_local(r, setup->s, &p->port.local);
    if (err < 0) {
        return err;
    }
    if (p->port.is_raw != 0) {
        kirim_addr_set_port(&p->port.local, 0);
    }
    DWORD is_alone;
    p->port.is_dual_stack =
        setup->is_adopted && p->is_ipv6 != 0 && kirim_addr_is_wildcard(&p->port.local) &&
        ki_win_option_get(r, setup->s, IPPROTO_IPV6, IPV6_V6ONLY, &is_alone) == 0 && is_alone == 0;
    return KIRIM_OK;
}

/* Gives the socket its addresses. */
static kirim_err bind_and_connect(const struct ki_win *r, struct ki_win_port *p,
                                  const struct ki_win_setup *setup)
{
    kirim_err err = setup->is_bound ? KIRIM_OK : bind_local(r, p, setup);
    if (err < 0) {
        return err;
    }
    if (setup->is_connecting) {
        err = connect_remote(r, p, setup);
        p->port.remote = setup->options->peer;
    } else if (setup->is_adopted) {
        err = read_remote(r, setup->s, &p->port.remote);
    }
    return err;
}

kirim_err ki_win_socket_bind(struct ki_win *r, struct ki_win_port *p, struct ki_win_setup *setup)
{
    kirim_err err = set_options(r, p, setup);
    if (err < 0) {
        return err;
    }
    err = ki_win_mtu_open(r, p, setup);
    if (err < 0) {
        return err;
    }
    set_control_options(r, p, setup, wants_local(r, setup));
    set_times(r, p, setup);
    set_offloads(r, p, setup);
    set_reports(r, setup);
    err = bind_and_connect(r, p, setup);
    if (err < 0) {
        return err;
    }
    err = learn_local(r, p, setup);
    if (err < 0) {
        return err;
    }
    return ki_win_socket_unblock(r, setup->s) != 0
               ? ki_win_failed(r->reactor.loop, "WSAIoctl: FIONBIO")
               : KIRIM_OK;
}

/* ---- undoing and closing --------------------------------------------------------------------- */

void ki_win_socket_undo(struct ki_win *r, struct ki_win_port *p, struct ki_win_setup *setup)
{
    p->port.descriptor = KIRIM_NO_DESCRIPTOR;
    if (!setup->is_adopted) {
        (void)r->sys->close(setup->s);
        return;
    }
    restore_options(r, setup);
    (void)r->sys->set_handle_information((HANDLE)setup->s, HANDLE_FLAG_INHERIT,
                                         setup->handle_flags & HANDLE_FLAG_INHERIT);
}

void ki_win_socket_close(struct ki_win *r, struct ki_win_port *p)
{
    (void)r->sys->close((SOCKET)p->port.descriptor);
    p->port.descriptor = KIRIM_NO_DESCRIPTOR;
    ki_win_rx_forget(r, p);
}
