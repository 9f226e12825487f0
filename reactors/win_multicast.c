/* SPDX-License-Identifier: MIT
 *
 * Socket options of multicast; see win_multicast.h.
 *
 * Keeps true: what the system says of a membership is told in the words of the contract. The older
 * options are used where they say all there is to say, since more systems have them. Owns nothing.
 * Loop thread. Sources: see win_multicast.h.
 */
#include "win_multicast.h"

#include "win_map.h"

static int set_dword(const struct ki_win *r, SOCKET s, int level, int name, DWORD value)
{
    return r->sys->setsockopt(s, level, name, (const char *)&value, sizeof value);
}

/* ---- memberships ----------------------------------------------------------------------------- */

static int set_group_ipv4(const struct ki_win *r, SOCKET s, const struct ki_membership *m,
                          bool is_joining)
{
    if (kirim_addr_family(&m->source) == KIRIM_FAMILY_NONE) {
        struct ip_mreq request;
        request.imr_interface.s_addr = htonl(m->ifindex);
        memcpy(&request.imr_multiaddr, m->group.word, sizeof request.imr_multiaddr);
        return r->sys->setsockopt(s, IPPROTO_IP,
                                  is_joining ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP,
                                  (const char *)&request, sizeof request);
    }
    struct ip_mreq_source request;
    request.imr_interface.s_addr = htonl(m->ifindex);
    memcpy(&request.imr_multiaddr, m->group.word, sizeof request.imr_multiaddr);
    memcpy(&request.imr_sourceaddr, m->source.word, sizeof request.imr_sourceaddr);
    return r->sys->setsockopt(s, IPPROTO_IP,
                              is_joining ? IP_ADD_SOURCE_MEMBERSHIP : IP_DROP_SOURCE_MEMBERSHIP,
                              (const char *)&request, sizeof request);
}

static void write_name(struct sockaddr_storage *out, const struct kirim_addr *addr)
{
    union ki_win_name name;
    const int bytes = ki_win_name_write(&name, addr, true);
    memset(out, 0, sizeof *out);
    memcpy(out, &name, (size_t)bytes);
}

static int set_group_ipv6(const struct ki_win *r, SOCKET s, const struct ki_membership *m,
                          bool is_joining)
{
    if (kirim_addr_family(&m->source) == KIRIM_FAMILY_NONE) {
        struct ipv6_mreq request = { .ipv6mr_interface = m->ifindex };
        memcpy(&request.ipv6mr_multiaddr, m->group.word, sizeof request.ipv6mr_multiaddr);
        return r->sys->setsockopt(s, IPPROTO_IPV6,
                                  is_joining ? IPV6_ADD_MEMBERSHIP : IPV6_DROP_MEMBERSHIP,
                                  (const char *)&request, sizeof request);
    }
    struct group_source_req request;
    memset(&request, 0, sizeof request);
    request.gsr_interface = m->ifindex;
    write_name(&request.gsr_group, &m->group);
    write_name(&request.gsr_source, &m->source);
    return r->sys->setsockopt(s, IPPROTO_IPV6,
                              is_joining ? MCAST_JOIN_SOURCE_GROUP : MCAST_LEAVE_SOURCE_GROUP,
                              (const char *)&request, sizeof request);
}

/* What a failure to join or leave means. The core has sorted out what it knows of, so "already" and
 * "not" speak of what the earlier owner of an adopted socket did. */
static kirim_err judge(int sys_err, bool is_joining)
{
    if (sys_err == WSAEADDRINUSE) {
        return KIRIM_EEXIST;
    }
    if (sys_err == WSAEADDRNOTAVAIL) {
        return is_joining ? KIRIM_EADDRNOTAVAIL : KIRIM_ENOENT;
    }
    return ki_win_map(sys_err);
}

kirim_err ki_win_set_membership(struct ki_reactor *reactor, struct ki_port *port,
                                const struct ki_membership *m, bool is_joining)
{
    const struct ki_win *r = (const struct ki_win *)reactor;
    const SOCKET s = (SOCKET)port->descriptor;
    const int result = kirim_addr_family(&m->group) == KIRIM_IPV4
                           ? set_group_ipv4(r, s, m, is_joining)
                           : set_group_ipv6(r, s, m, is_joining);
    if (result == 0) {
        return KIRIM_OK;
    }
    const int sys_err = WSAGetLastError();
    ki_log(reactor->loop, KIRIM_LOG_INFO,
           is_joining ? "setsockopt: join a group" : "setsockopt: leave a group", sys_err);
    return judge(sys_err, is_joining);
}

/* ---- sending --------------------------------------------------------------------------------- */

static int set_ipv4(const struct ki_win *r, SOCKET s, const struct kirim_multicast_options *o)
{
    const bool loops = (o->flags & KIRIM_MULTICAST_NO_LOOP) == 0;
    if (set_dword(r, s, IPPROTO_IP, IP_MULTICAST_IF, htonl(o->ifindex)) != 0 ||
        set_dword(r, s, IPPROTO_IP, IP_MULTICAST_TTL, o->ttl) != 0) {
        return -1;
    }
    return set_dword(r, s, IPPROTO_IP, IP_MULTICAST_LOOP, loops);
}

static int set_ipv6(const struct ki_win *r, SOCKET s, const struct kirim_multicast_options *o)
{
    const bool loops = (o->flags & KIRIM_MULTICAST_NO_LOOP) == 0;
    if (set_dword(r, s, IPPROTO_IPV6, IPV6_MULTICAST_IF, o->ifindex) != 0 ||
        set_dword(r, s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, o->ttl) != 0) {
        return -1;
    }
    return set_dword(r, s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, loops);
}

/* Whether the port can send to IPv4 groups. */
static bool sends_ipv4(const struct ki_win *r, const struct ki_win_port *p)
{
    DWORD is_alone = 0;
    int bytes = sizeof is_alone;
    if (p->is_ipv6 == 0) {
        return true;
    }
    return p->port.is_raw == 0 &&
           r->sys->getsockopt((SOCKET)p->port.descriptor, IPPROTO_IPV6, IPV6_V6ONLY,
                              (char *)&is_alone, &bytes) == 0 &&
           is_alone == 0;
}

kirim_err ki_win_set_multicast(struct ki_reactor *reactor, struct ki_port *port,
                               const struct kirim_multicast_options *options)
{
    const struct ki_win *r = (const struct ki_win *)reactor;
    const struct ki_win_port *p = (const struct ki_win_port *)port;
    const SOCKET s = (SOCKET)port->descriptor;
    /* The interface comes first: it alone can be wrong, and then nothing has been set. */
    int result = p->is_ipv6 != 0 ? set_ipv6(r, s, options) : 0;
    if (result == 0 && sends_ipv4(r, p)) {
        result = set_ipv4(r, s, options);
    }
    if (result == 0) {
        return KIRIM_OK;
    }
    return ki_win_failed(reactor->loop, "setsockopt: multicast");
}
