/* SPDX-License-Identifier: MIT
 *
 * Sockets of the POSIX reactors; see posix_socket.h for the order of the steps.
 *
 * Keeps true: every option is set before the bind; an address is bound with exclusive use unless
 * the caller shares it (Linux gives that by leaving SO_REUSEADDR and SO_REUSEPORT off); what was
 * changed on an adopted socket is noted before it is changed. Owns nothing beyond what the header
 * says. Loop thread. Sources: see posix_socket.h.
 */
#include "posix_socket.h"

#include "posix_map.h"
#include "posix_mtu.h"
#include "posix_multicast.h"
#include "posix_train.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/net_tstamp.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <time.h>

/* ---- options --------------------------------------------------------------------------------- */

int ki_posix_get_option(const struct ki_posix *r, int fd, int level, int name, int *value)
{
    socklen_t bytes = sizeof *value;
    *value = 0;
    return r->sys->getsockopt(fd, level, name, value, &bytes);
}

/* Notes what an option of an adopted socket is, before it is changed; what cannot be read is not
 * put back. */
static void save_option(const struct ki_posix *r, struct ki_posix_setup *setup, int level, int name)
{
    struct ki_posix_saved_option old = { level, name, 0 };
    if (setup->is_adopted && setup->saved_count < KI_SAVED_OPTIONS_MAX &&
        ki_posix_get_option(r, setup->fd, level, name, &old.value) == 0) {
        setup->saved[setup->saved_count++] = old;
    }
}

int ki_posix_set_option(const struct ki_posix *r, struct ki_posix_setup *setup, int level, int name,
                        int value)
{
    save_option(r, setup, level, name);
    return r->sys->setsockopt(setup->fd, level, name, &value, sizeof value);
}

static void restore_options(const struct ki_posix *r, struct ki_posix_setup *setup)
{
    while (setup->saved_count > 0) {
        const struct ki_posix_saved_option *old = &setup->saved[--setup->saved_count];
        /* Linux reads back twice what was set (socket(7)). */
        const bool is_size =
            old->level == SOL_SOCKET && (old->name == SO_RCVBUF || old->name == SO_SNDBUF);
        const int value = is_size ? old->value / 2 : old->value;
        (void)r->sys->setsockopt(setup->fd, old->level, old->name, &value, sizeof value);
    }
}

/* Sets the size of a buffer; 0 leaves the system's. Beyond the system's limit only if asked and
 * permitted. */
static kirim_err set_buffer(const struct ki_posix *r, struct ki_posix_setup *setup, int name,
                            int forced_name, uint32_t bytes)
{
    const int value = bytes < INT_MAX ? (int)bytes : INT_MAX;
    if (bytes == 0) {
        return KIRIM_OK;
    }
    save_option(r, setup, SOL_SOCKET, name);
    if ((setup->options->flags & KIRIM_ENDPOINT_FORCE_BUFFERS) != 0) {
        if (r->sys->setsockopt(setup->fd, SOL_SOCKET, forced_name, &value, sizeof value) == 0) {
            return KIRIM_OK;
        }
        const kirim_err err = ki_posix_failed(r->reactor.loop, "setsockopt: forced buffer size");
        if (err != KIRIM_EACCES) {
            return err;
        }
    }
    if (r->sys->setsockopt(setup->fd, SOL_SOCKET, name, &value, sizeof value) < 0) {
        return ki_posix_failed(r->reactor.loop, "setsockopt: buffer size");
    }
    return KIRIM_OK;
}

/* What an earlier owner may have switched on and what would break the promises of receive and
 * submit: trains without their sizes, datagrams cut or held back, control data for which there is
 * no room. */
static void reset_foreign_options(const struct ki_posix *r, struct ki_posix_setup *setup)
{
    static const struct {
        int level;
        int name;
    } foreign[] = {
        { IPPROTO_UDP, UDP_GRO },        { IPPROTO_UDP, UDP_SEGMENT },
        { IPPROTO_UDP, UDP_CORK },       { SOL_SOCKET, SO_PEEK_OFF },
        { SOL_SOCKET, SO_TIMESTAMP },    { SOL_SOCKET, SO_TIMESTAMPNS },
        { SOL_SOCKET, SO_TIMESTAMPING },
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        /* Not every socket has them all, and a system need not know them: what is missing is off.
         */
        int value;
        const bool is_offset = foreign[i].name == SO_PEEK_OFF && foreign[i].level == SOL_SOCKET;
        if (ki_posix_get_option(r, setup->fd, foreign[i].level, foreign[i].name, &value) == 0 &&
            value != (is_offset ? -1 : 0)) {
            (void)ki_posix_set_option(r, setup, foreign[i].level, foreign[i].name,
                                      is_offset ? -1 : 0);
        }
    }
}

static kirim_err set_options(const struct ki_posix *r, const struct ki_posix_port *p,
                             struct ki_posix_setup *setup)
{
    const struct kirim_endpoint_options *o = setup->options;
    struct kirim_loop *loop = r->reactor.loop;
    if (!setup->is_bound) {
        const int is_alone = (o->flags & KIRIM_ENDPOINT_DUAL_STACK) == 0;
        if (p->is_ipv6 != 0 &&
            ki_posix_set_option(r, setup, IPPROTO_IPV6, IPV6_V6ONLY, is_alone) < 0) {
            return ki_posix_failed(loop, "setsockopt: IPV6_V6ONLY");
        }
        if ((o->flags & KIRIM_ENDPOINT_SHARE_PORT) != 0 &&
            (ki_posix_set_option(r, setup, SOL_SOCKET, SO_REUSEADDR, 1) < 0 ||
             ki_posix_set_option(r, setup, SOL_SOCKET, SO_REUSEPORT, 1) < 0)) {
            return ki_posix_failed(loop, "setsockopt: SO_REUSEPORT");
        }
    }
    /* Of IPv6 sockets too: it holds for the IPv4 that a dual-stack socket sends. */
    if ((o->flags & KIRIM_ENDPOINT_BROADCAST) != 0 &&
        ki_posix_set_option(r, setup, SOL_SOCKET, SO_BROADCAST, 1) < 0) {
        return ki_posix_failed(loop, "setsockopt: SO_BROADCAST");
    }
    const kirim_err err = set_buffer(r, setup, SO_RCVBUF, SO_RCVBUFFORCE, o->receive_buffer_bytes);
    if (err < 0) {
        return err;
    }
    return set_buffer(r, setup, SO_SNDBUF, SO_SNDBUFFORCE, o->send_buffer_bytes);
}

/* Has the system keep not-before times, on the clock of ki_posix_now(). It cannot be taken back
 * from an adopted socket, and does nothing there until a datagram says a time. */
static kirim_err set_txtime(const struct ki_posix *r, struct ki_posix_port *p,
                            const struct ki_posix_setup *setup)
{
    const struct sock_txtime how = { .clockid = CLOCK_MONOTONIC };
    if ((setup->options->flags & KIRIM_ENDPOINT_TXTIME) == 0 || r->may_keep_times == 0) {
        return KIRIM_OK;
    }
    if (r->sys->setsockopt(setup->fd, SOL_SOCKET, SO_TXTIME, &how, sizeof how) < 0) {
        (void)ki_posix_failed(r->reactor.loop, "setsockopt: SO_TXTIME");
        return KIRIM_EOPNOTSUPP;
    }
    p->port.keeps_times = 1;
    return KIRIM_OK;
}

/* Has arrivals bring control data: their local address where only the system knows it, and what
 * else the caller asked for. A system that lacks an option leaves the field empty. */
static void set_control_options(const struct ki_posix *r, struct ki_posix_port *p,
                                struct ki_posix_setup *setup, bool wants_local)
{
    const bool wants_all = (setup->options->flags & KIRIM_ENDPOINT_RECEIVE_CONTROL) != 0;
    if (!wants_local && !wants_all) {
        return;
    }
    const struct {
        int level;
        int name;
        bool is_wanted;
    } wanted[] = {
        /* The IPv4 ones on an IPv6 socket too: it may be dual-stack, and refuses them if it is not.
         */
        { IPPROTO_IP, IP_PKTINFO, wants_local },
        { IPPROTO_IP, IP_RECVTOS, wants_all },
        { IPPROTO_IP, IP_RECVTTL, wants_all },
        { SOL_SOCKET, SO_TIMESTAMPNS, wants_all },
        { IPPROTO_IPV6, IPV6_RECVPKTINFO, wants_local && p->is_ipv6 != 0 },
        { IPPROTO_IPV6, IPV6_RECVTCLASS, wants_all && p->is_ipv6 != 0 },
        { IPPROTO_IPV6, IPV6_RECVHOPLIMIT, wants_all && p->is_ipv6 != 0 },
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (wanted[i].is_wanted &&
            ki_posix_set_option(r, setup, wanted[i].level, wanted[i].name, 1) < 0) {
            ki_log(r->reactor.loop, KIRIM_LOG_DEBUG, "setsockopt: receive control data", errno);
        }
    }
    p->has_control = 1;
}

/* ---- making and adopting --------------------------------------------------------------------- */

static kirim_err make_socket(const struct ki_posix *r, struct ki_posix_port *p,
                             struct ki_posix_setup *setup)
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
    const int inherit = (o->flags & KIRIM_ENDPOINT_INHERIT) != 0 ? 0 : SOCK_CLOEXEC;
    setup->fd = r->sys->socket(p->is_ipv6 != 0 ? AF_INET6 : AF_INET,
                               SOCK_DGRAM | SOCK_NONBLOCK | inherit, 0);
    return setup->fd < 0 ? ki_posix_failed(r->reactor.loop, "socket") : KIRIM_OK;
}

/* Reads the name that the socket is bound to. */
static kirim_err read_local(const struct ki_posix *r, int fd, struct kirim_addr *out)
{
    union ki_posix_name name = { .word = { 0, 0, 0, 0 } };
    socklen_t bytes = sizeof name;
    if (r->sys->getsockname(fd, &name.any, &bytes) < 0) {
        return ki_posix_failed(r->reactor.loop, "getsockname");
    }
    ki_name_read(&name, out);
    return KIRIM_OK;
}

/* Finds out what an adopted descriptor is; nothing is changed. */
static kirim_err inspect_socket(const struct ki_posix *r, struct ki_posix_port *p,
                                struct ki_posix_setup *setup)
{
    struct kirim_loop *loop = r->reactor.loop;
    struct kirim_addr local = { { 0, 0, 0 } };
    int type;
    int domain;
    if (ki_posix_get_option(r, setup->fd, SOL_SOCKET, SO_TYPE, &type) < 0) {
        return ki_posix_failed(loop, "adopt: getsockopt SO_TYPE");
    }
    if (type != SOCK_DGRAM && type != SOCK_RAW) {
        return KIRIM_EOPNOTSUPP;
    }
    if (ki_posix_get_option(r, setup->fd, SOL_SOCKET, SO_DOMAIN, &domain) < 0) {
        return ki_posix_failed(loop, "adopt: getsockopt SO_DOMAIN");
    }
    if (domain != AF_INET && domain != AF_INET6) {
        return KIRIM_EAFNOSUPPORT;
    }
    p->is_ipv6 = domain == AF_INET6;
    const kirim_err err = read_local(r, setup->fd, &local);
    if (err < 0) {
        return err;
    }
    /* A raw socket has a protocol for a port, and receives without a bind. */
    p->port.is_raw = type == SOCK_RAW;
    setup->is_bound = p->port.is_raw != 0 || kirim_addr_port(&local) != 0;
    if (!setup->is_bound && (setup->options->flags & KIRIM_ENDPOINT_BIND_ADOPTED) == 0) {
        return KIRIM_EINVAL;
    }
    return KIRIM_OK;
}

static kirim_err adopt_socket(const struct ki_posix *r, struct ki_posix_port *p,
                              struct ki_posix_setup *setup)
{
    struct kirim_loop *loop = r->reactor.loop;
    const int inherit = (setup->options->flags & KIRIM_ENDPOINT_INHERIT) != 0 ? 0 : FD_CLOEXEC;
    if (setup->options->adopt < 0 || setup->options->adopt > INT_MAX) {
        return KIRIM_ENOTSOCK;
    }
    setup->is_adopted = true;
    setup->fd = (int)setup->options->adopt;
    const kirim_err err = inspect_socket(r, p, setup);
    if (err < 0) {
        return err;
    }
    setup->status_flags = r->sys->fcntl(setup->fd, F_GETFL, 0);
    setup->descriptor_flags = r->sys->fcntl(setup->fd, F_GETFD, 0);
    if (setup->status_flags < 0 || setup->descriptor_flags < 0) {
        return ki_posix_failed(loop, "adopt: fcntl");
    }
    const int descriptor_flags = (setup->descriptor_flags & ~FD_CLOEXEC) | inherit;
    if (r->sys->fcntl(setup->fd, F_SETFL, setup->status_flags | O_NONBLOCK) < 0) {
        return ki_posix_failed(loop, "adopt: fcntl F_SETFL");
    }
    if (r->sys->fcntl(setup->fd, F_SETFD, descriptor_flags) < 0) {
        const kirim_err failure = ki_posix_failed(loop, "adopt: fcntl F_SETFD");
        (void)r->sys->fcntl(setup->fd, F_SETFL, setup->status_flags);
        return failure;
    }
    return KIRIM_OK;
}

kirim_err ki_posix_socket_open(struct ki_posix *r, struct ki_posix_port *p,
                               const struct kirim_endpoint_options *options,
                               struct ki_posix_setup *setup)
{
    *setup = (struct ki_posix_setup){ .options = options, .fd = -1 };
    const kirim_err err = (options->flags & KIRIM_ENDPOINT_ADOPT) != 0 ? adopt_socket(r, p, setup)
                                                                       : make_socket(r, p, setup);
    p->port.descriptor = err < 0 ? KIRIM_NO_DESCRIPTOR : setup->fd;
    return err;
}

/* ---- binding and connecting ------------------------------------------------------------------ */

static kirim_err bind_local(const struct ki_posix *r, const struct ki_posix_port *p,
                            const struct ki_posix_setup *setup)
{
    union ki_posix_name name;
    const socklen_t bytes = ki_name_write(&name, &setup->options->local, p->is_ipv6 != 0);
    if (bytes == 0) {
        /* An adopted socket is to be bound, and nobody said where; our own may just connect. */
        return setup->is_adopted ? KIRIM_EINVAL : KIRIM_OK;
    }
    if (r->sys->bind(setup->fd, &name.any, bytes) < 0) {
        return ki_posix_failed(r->reactor.loop, "bind");
    }
    return KIRIM_OK;
}

static kirim_err connect_remote(const struct ki_posix *r, const struct ki_posix_port *p,
                                const struct ki_posix_setup *setup)
{
    union ki_posix_name name;
    const socklen_t bytes = ki_name_write(&name, &setup->options->peer, p->is_ipv6 != 0);
    int result = 0;
    do {
        result = r->sys->connect(setup->fd, &name.any, bytes);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? ki_posix_failed(r->reactor.loop, "connect") : KIRIM_OK;
}

/* The peer of an adopted socket that its owner had connected, or none. */
static kirim_err read_remote(const struct ki_posix *r, int fd, struct kirim_addr *out)
{
    union ki_posix_name name = { .word = { 0, 0, 0, 0 } };
    socklen_t bytes = sizeof name;
    if (r->sys->getpeername(fd, &name.any, &bytes) < 0) {
        return errno == ENOTCONN ? KIRIM_OK : ki_posix_failed(r->reactor.loop, "getpeername");
    }
    ki_name_read(&name, out);
    return KIRIM_OK;
}

/* What the system has dropped of an adopted socket before it was ours is not counted. */
static uint32_t read_drops(const struct ki_posix *r, int fd, uint32_t otherwise)
{
    uint32_t info[SK_MEMINFO_VARS];
    socklen_t bytes = sizeof info;
    if (r->sys->getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &bytes) < 0 ||
        bytes < sizeof info[0] * (SK_MEMINFO_DROPS + 1)) {
        return otherwise;
    }
    return info[SK_MEMINFO_DROPS];
}

/* Whether arrivals have to tell whom they were sent to: the port will be bound to a wildcard, and
 * not connected. */
static bool wants_local(const struct ki_posix *r, const struct ki_posix_setup *setup)
{
    struct kirim_addr addr = setup->options->local;
    if (kirim_addr_family(&setup->options->peer) != KIRIM_FAMILY_NONE) {
        return false;
    }
    return !setup->is_bound || read_local(r, setup->fd, &addr) == KIRIM_OK
               ? kirim_addr_is_wildcard(&addr)
               : false;
}

/* Writes what the port has become, once it is bound. */
static kirim_err learn_local(const struct ki_posix *r, struct ki_posix_port *p,
                             const struct ki_posix_setup *setup)
{
    const kirim_err err = read_local(r, setup->fd, &p->port.local);
    if (err < 0) {
        return err;
    }
    if (p->port.is_raw != 0) {
        kirim_addr_set_port(&p->port.local, 0); /* The system shows the protocol there. */
    }
    int is_alone;
    p->port.is_dual_stack =
        setup->is_adopted && p->is_ipv6 != 0 && kirim_addr_is_wildcard(&p->port.local) &&
        ki_posix_get_option(r, setup->fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_alone) == 0 &&
        is_alone == 0;
    return KIRIM_OK;
}

kirim_err ki_posix_socket_bind(struct ki_posix *r, struct ki_posix_port *p,
                               struct ki_posix_setup *setup)
{
    const bool is_connecting = kirim_addr_family(&setup->options->peer) != KIRIM_FAMILY_NONE;
    if (setup->is_adopted) {
        reset_foreign_options(r, setup);
        p->drops_seen = read_drops(r, setup->fd, 0);
    }
    kirim_err err = set_options(r, p, setup);
    if (err < 0) {
        return err;
    }
    err = set_txtime(r, p, setup);
    if (err < 0) {
        return err;
    }
    set_control_options(r, p, setup, wants_local(r, setup));
    ki_posix_train_open(r, p, setup);
    ki_posix_error_open(r, p, setup);
    err = ki_posix_mtu_open(r, p, setup);
    if (err < 0) {
        return err;
    }
    if (!setup->is_adopted) {
        ki_posix_multicast_init(r, p, setup->fd);
    }
    if (!setup->is_bound) {
        err = bind_local(r, p, setup);
        if (err < 0) {
            return err;
        }
    }
    if (is_connecting) {
        err = connect_remote(r, p, setup);
        p->port.remote = setup->options->peer;
    } else if (setup->is_adopted) {
        err = read_remote(r, setup->fd, &p->port.remote);
    }
    if (err < 0) {
        return err;
    }
    return learn_local(r, p, setup);
}

/* ---- undoing and closing --------------------------------------------------------------------- */

void ki_posix_socket_undo(struct ki_posix *r, struct ki_posix_port *p, struct ki_posix_setup *setup)
{
    p->port.descriptor = KIRIM_NO_DESCRIPTOR;
    if (!setup->is_adopted) {
        (void)r->sys->close(setup->fd);
        return;
    }
    restore_options(r, setup);
    (void)r->sys->fcntl(setup->fd, F_SETFD, setup->descriptor_flags);
    (void)r->sys->fcntl(setup->fd, F_SETFL, setup->status_flags);
}

void ki_posix_socket_close(struct ki_posix *r, struct ki_posix_port *p)
{
    /* Linux has closed it whatever close() says, EINTR included (close(2)). */
    (void)r->sys->close((int)p->port.descriptor);
    p->port.descriptor = KIRIM_NO_DESCRIPTOR;
    ki_posix_rx_forget(r, p);
}

/* ---- measuring ------------------------------------------------------------------------------- */

kirim_err ki_posix_port_buffers(struct ki_reactor *reactor, struct ki_port *port,
                                uint32_t *receive_bytes, uint32_t *send_bytes)
{
    const struct ki_posix *r = (const struct ki_posix *)reactor;
    const int fd = (int)port->descriptor;
    int receive;
    int send;
    if (ki_posix_get_option(r, fd, SOL_SOCKET, SO_RCVBUF, &receive) < 0 ||
        ki_posix_get_option(r, fd, SOL_SOCKET, SO_SNDBUF, &send) < 0) {
        return ki_posix_map(errno);
    }
    *receive_bytes = (uint32_t)receive;
    *send_bytes = (uint32_t)send;
    return KIRIM_OK;
}

uint64_t ki_posix_port_drops(struct ki_reactor *reactor, struct ki_port *port)
{
    const struct ki_posix *r = (const struct ki_posix *)reactor;
    struct ki_posix_port *p = (struct ki_posix_port *)port;
    /* Asked for when statistics are, so that receiving pays nothing; the system's counter has 32
     * bits. */
    const uint32_t now = read_drops(r, (int)port->descriptor, p->drops_seen);
    p->drops += (uint32_t)(now - p->drops_seen);
    p->drops_seen = now;
    return p->drops;
}
