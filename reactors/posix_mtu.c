/* SPDX-License-Identifier: MIT
 *
 * Don't-fragment and the path MTU; see posix_mtu.h.
 *
 * Keeps true: a port whose state is KI_MTU_PLAIN or KI_MTU_UNASKED has the option as it was opened
 * with, or as its owner has set it meanwhile. Owns nothing. Loop thread. Sources: see posix_mtu.h.
 */
#include "posix_mtu.h"

#include "posix.h"
#include "posix_socket.h"

#include <errno.h>

/* ---- opening --------------------------------------------------------------------------------- */

void ki_posix_mtu_probe(const struct ki_posix *r, uint32_t *caps)
{
    /* One socket answers for both families: that of IPv6 has IPv4's options too. */
    const bool has_ipv6 = (*caps & KIRIM_CAP_IPV6) != 0;
    const int fd = ki_posix_udp_socket(r, has_ipv6);
    int value;
    if (fd < 0) {
        ki_log(r->reactor.loop, KIRIM_LOG_DEBUG, "path MTU: socket", errno);
        return;
    }
    if (ki_posix_get_option(r, fd, IPPROTO_IP, IP_MTU_DISCOVER, &value) == 0 &&
        (!has_ipv6 || ki_posix_get_option(r, fd, IPPROTO_IPV6, IPV6_DONTFRAG, &value) == 0)) {
        *caps |= KIRIM_CAP_DONT_FRAGMENT | KIRIM_CAP_PATH_MTU;
    }
    (void)r->sys->close(fd);
}

kirim_err ki_posix_mtu_open(const struct ki_posix *r, const struct ki_posix_port *p,
                            struct ki_posix_setup *setup)
{
    const uint32_t flags = setup->options->flags;
    const bool is_probing = (flags & KIRIM_ENDPOINT_PROBE_MTU) != 0;
    if (!is_probing && (flags & KIRIM_ENDPOINT_DONT_FRAGMENT) == 0) {
        return KIRIM_OK;
    }
    const int ipv4_mode = is_probing ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DO;
    const int ipv6_mode = is_probing ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DO;
    if (p->is_ipv6 != 0 &&
        ki_posix_set_option(r, setup, IPPROTO_IPV6, IPV6_MTU_DISCOVER, ipv6_mode) < 0) {
        return ki_posix_failed(r->reactor.loop, "setsockopt: IPV6_MTU_DISCOVER");
    }
    /* Of IPv6 sockets too, for the IPv4 that one with both stacks sends. A raw one has none, and
     * refuses it. */
    if (ki_posix_set_option(r, setup, IPPROTO_IP, IP_MTU_DISCOVER, ipv4_mode) < 0 &&
        (p->is_ipv6 == 0 || p->port.is_raw == 0)) {
        return ki_posix_failed(r->reactor.loop, "setsockopt: IP_MTU_DISCOVER");
    }
    return KIRIM_OK;
}

/* ---- switching ------------------------------------------------------------------------------- */

static kirim_err set_discovery(struct ki_posix *r, const struct ki_posix_port *p, int mode)
{
    if (r->sys->setsockopt((int)p->port.descriptor, IPPROTO_IP, IP_MTU_DISCOVER, &mode,
                           sizeof mode) < 0) {
        return ki_posix_failed(r->reactor.loop, "setsockopt: IP_MTU_DISCOVER");
    }
    return KIRIM_OK;
}

/* Finds out what the socket does by itself: the system's default, which its administrator can
 * change, or what the owner of an adopted one has chosen. */
static kirim_err ask_mode(struct ki_posix *r, struct ki_posix_port *p)
{
    int mode;
    if (ki_posix_get_option(r, (int)p->port.descriptor, IPPROTO_IP, IP_MTU_DISCOVER, &mode) < 0) {
        return ki_posix_failed(r->reactor.loop, "getsockopt: IP_MTU_DISCOVER");
    }
    p->mtu_mode = mode;
    const bool is_whole = mode == IP_PMTUDISC_DO || mode == IP_PMTUDISC_PROBE;
    p->mtu_state = is_whole ? KI_MTU_ALWAYS : KI_MTU_PLAIN;
    return KIRIM_OK;
}

kirim_err ki_posix_mtu_set(struct ki_posix *r, struct ki_posix_port *p, bool is_whole)
{
    if (is_whole && p->mtu_state == KI_MTU_UNASKED) {
        const kirim_err err = ask_mode(r, p);
        if (err < 0) {
            return err;
        }
    }
    const uint64_t from = is_whole ? KI_MTU_PLAIN : KI_MTU_WHOLE;
    if (p->mtu_state != from) {
        return KIRIM_OK;
    }
    const kirim_err err = set_discovery(r, p, is_whole ? IP_PMTUDISC_DO : p->mtu_mode);
    if (err == KIRIM_OK) {
        p->mtu_state = is_whole ? KI_MTU_WHOLE : KI_MTU_PLAIN;
    }
    return err;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Reads the path MTU of a connected socket; the option's level is that of its peer's family. */
static kirim_err read_mtu(const struct ki_posix *r, int fd, int family, uint32_t *out)
{
    int value;
    const int result = family == KIRIM_IPV4
                           ? ki_posix_get_option(r, fd, IPPROTO_IP, IP_MTU, &value)
                           : ki_posix_get_option(r, fd, IPPROTO_IPV6, IPV6_MTU, &value);
    if (result < 0) {
        return ki_posix_failed(r->reactor.loop, "getsockopt: path MTU");
    }
    *out = (uint32_t)value;
    return KIRIM_OK;
}

/* Connects a socket that is there for nothing else, and asks it. */
static kirim_err ask_anew(const struct ki_posix *r, const struct kirim_addr *peer, uint32_t *out)
{
    struct kirim_loop *loop = r->reactor.loop;
    const int family = kirim_addr_family(peer);
    const bool is_ipv6 = family == KIRIM_IPV6;
    union ki_posix_name name;
    const socklen_t bytes = ki_name_write(&name, peer, is_ipv6);
    const int fd = ki_posix_udp_socket(r, is_ipv6);
    if (fd < 0) {
        return ki_posix_failed(loop, "path MTU: socket");
    }
    int result;
    do {
        result = r->sys->connect(fd, &name.any, bytes);
    } while (result < 0 && errno == EINTR);
    const kirim_err err =
        result < 0 ? ki_posix_failed(loop, "path MTU: connect") : read_mtu(r, fd, family, out);
    (void)r->sys->close(fd);
    return err;
}

/* Whether both are one address, whatever their ports. */
static bool is_same_host(const struct kirim_addr *a, const struct kirim_addr *b)
{
    struct kirim_addr x = *a;
    struct kirim_addr y = *b;
    kirim_addr_set_port(&x, 0);
    kirim_addr_set_port(&y, 0);
    return kirim_addr_equal(&x, &y);
}

kirim_err ki_posix_path_mtu(struct ki_reactor *reactor, struct ki_port *port,
                            const struct kirim_addr *peer, uint32_t *out)
{
    const struct ki_posix *r = (const struct ki_posix *)reactor;
    if (is_same_host(peer, &port->remote)) {
        const kirim_err err = read_mtu(r, (int)port->descriptor, kirim_addr_family(peer), out);
        /* A socket has no route from a send that found none to the next that finds one. */
        if (err != KIRIM_ENOTCONN) {
            return err;
        }
    }
    return ask_anew(r, peer, out);
}
