/* SPDX-License-Identifier: MIT
 *
 * Socket options of multicast; see posix_multicast.h.
 *
 * Keeps true: what the system says of a membership is told in the words of the contract, for it
 * has the same number for "joined already" and "no such address". Owns nothing. Loop thread.
 * Sources: see posix_multicast.h.
 */
#include "posix_multicast.h"

#include "posix_addr.h"
#include "posix_map.h"

#include <errno.h>
#include <string.h>

static int set_int(const struct ki_posix *r, int fd, int level, int name, int value)
{
    return r->sys->setsockopt(fd, level, name, &value, sizeof value);
}

/* By itself Linux hands a datagram for a group to every wildcard socket of its port as soon as
 * anybody on the host has joined: one endpoint would hear the groups of another, and of other
 * programs. This is for sockets of our own only: the owner of an adopted one may count on
 * memberships that others hold (an address with "autojoin" is such a one), and what kirim joins on
 * it is heard either way. A system without the option is as it always was. */
void ki_posix_multicast_init(const struct ki_posix *r, const struct ki_posix_port *p, int fd)
{
    if (set_int(r, fd, IPPROTO_IP, IP_MULTICAST_ALL, 0) < 0 ||
        (p->is_ipv6 != 0 && set_int(r, fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0) < 0)) {
        ki_log(r->reactor.loop, KIRIM_LOG_DEBUG, "setsockopt: only the groups it joins", errno);
    }
}

/* ---- memberships ----------------------------------------------------------------------------- */

static void write_name(struct sockaddr_storage *out, const struct kirim_addr *addr)
{
    union ki_posix_name name;
    const bool is_ipv6 = kirim_addr_family(addr) == KIRIM_IPV6;
    const socklen_t bytes = ki_name_write(&name, addr, is_ipv6);
    memset(out, 0, sizeof *out);
    memcpy(out, &name, bytes);
}

static int set_group(const struct ki_posix *r, int fd, const struct ki_membership *m,
                     bool is_joining)
{
    const int level = kirim_addr_family(&m->group) == KIRIM_IPV4 ? IPPROTO_IP : IPPROTO_IPV6;
    if (kirim_addr_family(&m->source) == KIRIM_FAMILY_NONE) {
        struct group_req request;
        memset(&request, 0, sizeof request);
        request.gr_interface = m->ifindex;
        write_name(&request.gr_group, &m->group);
        return r->sys->setsockopt(fd, level, is_joining ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP,
                                  &request, sizeof request);
    }
    struct group_source_req request;
    memset(&request, 0, sizeof request);
    request.gsr_interface = m->ifindex;
    write_name(&request.gsr_group, &m->group);
    write_name(&request.gsr_source, &m->source);
    return r->sys->setsockopt(fd, level,
                              is_joining ? MCAST_JOIN_SOURCE_GROUP : MCAST_LEAVE_SOURCE_GROUP,
                              &request, sizeof request);
}

/* What a failure to join or leave means. The core has sorted out what it knows of, so "already" and
 * "not" speak of what the earlier owner of an adopted socket did. */
static kirim_err judge(int sys_err, bool is_joining)
{
    switch (sys_err) {
    case ENODEV: /* no interface with this index, or 0 and no route */
    case ENXIO:
        return KIRIM_EADDRNOTAVAIL;
    case EADDRINUSE: /* the group is joined */
        return KIRIM_EEXIST;
    case EADDRNOTAVAIL: /* the source is joined; or the group or source is not */
        return is_joining ? KIRIM_EEXIST : KIRIM_ENOENT;
    default:
        return ki_posix_map(sys_err);
    }
}

kirim_err ki_posix_set_membership(struct ki_reactor *reactor, struct ki_port *port,
                                  const struct ki_membership *m, bool is_joining)
{
    const struct ki_posix *r = (const struct ki_posix *)reactor;
    if (set_group(r, (int)port->descriptor, m, is_joining) == 0) {
        return KIRIM_OK;
    }
    const int sys_err = errno;
    ki_log(reactor->loop, KIRIM_LOG_INFO,
           is_joining ? "setsockopt: join a group" : "setsockopt: leave a group", sys_err);
    return judge(sys_err, is_joining);
}

/* ---- sending --------------------------------------------------------------------------------- */

static int set_ipv4(const struct ki_posix *r, int fd, const struct kirim_multicast_options *o)
{
    const struct ip_mreqn interface = { .imr_ifindex = (int)o->ifindex };
    const int loops = (o->flags & KIRIM_MULTICAST_NO_LOOP) == 0;
    if (r->sys->setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof interface) < 0 ||
        set_int(r, fd, IPPROTO_IP, IP_MULTICAST_TTL, (int)o->ttl) < 0) {
        return -1;
    }
    return set_int(r, fd, IPPROTO_IP, IP_MULTICAST_LOOP, loops);
}

static int set_ipv6(const struct ki_posix *r, int fd, const struct kirim_multicast_options *o)
{
    const int loops = (o->flags & KIRIM_MULTICAST_NO_LOOP) == 0;
    if (set_int(r, fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)o->ifindex) < 0 ||
        set_int(r, fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, (int)o->ttl) < 0) {
        return -1;
    }
    return set_int(r, fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, loops);
}

kirim_err ki_posix_set_multicast(struct ki_reactor *reactor, struct ki_port *port,
                                 const struct kirim_multicast_options *options)
{
    const struct ki_posix *r = (const struct ki_posix *)reactor;
    const struct ki_posix_port *p = (const struct ki_posix_port *)port;
    const int fd = (int)port->descriptor;
    /* The interface comes first: it alone can be wrong, and then nothing has been set. IPv4 on an
     * IPv6 socket too, which may be dual-stack; a raw one has no second family. */
    int result = p->is_ipv6 != 0 ? set_ipv6(r, fd, options) : 0;
    if (result == 0 && (p->is_ipv6 == 0 || port->is_raw == 0)) {
        result = set_ipv4(r, fd, options);
    }
    if (result == 0) {
        return KIRIM_OK;
    }
    const int sys_err = errno;
    ki_log(reactor->loop, KIRIM_LOG_INFO, "setsockopt: multicast", sys_err);
    return sys_err == ENODEV || sys_err == ENXIO ? KIRIM_EADDRNOTAVAIL : ki_posix_map(sys_err);
}
