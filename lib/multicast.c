/* SPDX-License-Identifier: MIT
 *
 * Multicast: what an endpoint has joined, and what it may ask for.
 *
 * The list of memberships is kept here and not asked of the system, so that "joined twice" and "not
 * joined" are the same answers everywhere: Linux says EADDRINUSE, EADDRNOTAVAIL or EINVAL for them,
 * and takes a source joined beside a group as a change of the group. It hangs on the port, where
 * the reactor may read it, and ends with the endpoint. Loop thread. Sources: RFC 3678 section 5,
 * RFC 4607 section 4.
 */
#include "core.h"

enum { MEMBERSHIP_COUNT_MAX = 4096, TTL_MAX = 255, MULTICAST_FLAGS = KIRIM_MULTICAST_NO_LOOP };

/* The address without port and scope. */
static struct kirim_addr bare(const struct kirim_addr *a)
{
    uint8_t bytes[16];
    if (kirim_addr_bytes(a, bytes) == 4) {
        return kirim_addr_ipv4(bytes, 0);
    }
    return kirim_addr_ipv6(bytes, 0, 0);
}

/* Whether what is sent to the group reaches the endpoint at all: it is bound to every address, or
 * to the group. */
static bool can_hear(const struct kirim_endpoint *ep, const struct kirim_addr *group)
{
    const struct kirim_addr local = bare(&ep->port->local);
    return kirim_addr_is_wildcard(&local) || kirim_addr_equal(&local, group);
}

/* Whether the address can be the source of what the group gets. */
static bool is_source(const struct kirim_addr *source, int family)
{
    return kirim_addr_family(source) == family && !kirim_addr_is_multicast(source) &&
           !kirim_addr_is_wildcard(source);
}

/* Reads what is to be joined or left. */
static kirim_err read_membership(const struct kirim_endpoint *ep,
                                 const struct kirim_membership *from, struct ki_membership *out)
{
    const kirim_err err = ki_endpoint_check(ep);
    struct kirim_membership m;
    if (err < 0) {
        return err;
    }
    if (from == NULL || !ki_grown_copy(&m, sizeof m, from, from->size, sizeof m) ||
        m.ki_reserved != 0 || !kirim_addr_is_multicast(&m.group)) {
        return KIRIM_EINVAL;
    }
    const int family = kirim_addr_family(&m.group);
    const bool has_source = kirim_addr_family(&m.source) != KIRIM_FAMILY_NONE;
    const uint32_t scope = kirim_addr_scope(&m.group);
    if ((ep->families >> family & 1) == 0 || (has_source && !is_source(&m.source, family)) ||
        (scope != 0 && m.ifindex != 0 && scope != m.ifindex)) {
        return KIRIM_EINVAL;
    }
    *out = (struct ki_membership){ .group = bare(&m.group), .ifindex = m.ifindex };
    if (has_source) {
        out->source = bare(&m.source);
    }
    if (out->ifindex == 0) {
        out->ifindex = scope;
    }
    return can_hear(ep, &out->group) ? KIRIM_OK : KIRIM_EINVAL;
}

/* Whether one of the two is a part of the other, or might be: interface 0 may be any. */
static bool overlaps(const struct ki_membership *a, const struct ki_membership *b)
{
    const bool is_same_place = a->ifindex == b->ifindex;
    const bool is_same_source = kirim_addr_family(&a->source) == KIRIM_FAMILY_NONE ||
                                kirim_addr_family(&b->source) == KIRIM_FAMILY_NONE ||
                                kirim_addr_equal(&a->source, &b->source);
    return kirim_addr_equal(&a->group, &b->group) &&
           (is_same_place ? is_same_source : a->ifindex == 0 || b->ifindex == 0);
}

kirim_err kirim_endpoint_join(struct kirim_endpoint *ep, const struct kirim_membership *membership)
{
    struct ki_membership m;
    kirim_err err = read_membership(ep, membership, &m);
    if (err < 0) {
        return err;
    }
    struct kirim_loop *loop = ep->loop;
    size_t count = 0;
    for (const struct ki_membership *at = ep->port->memberships; at != NULL; at = at->next) {
        if (overlaps(at, &m)) {
            return KIRIM_EEXIST;
        }
        count++;
    }
    if (loop->ops->set_membership == NULL) {
        return KIRIM_EOPNOTSUPP;
    }
    if (count >= MEMBERSHIP_COUNT_MAX) {
        return KIRIM_ENOBUFS;
    }
    struct ki_membership *kept = ki_alloc(loop, sizeof *kept);
    if (kept == NULL) {
        return KIRIM_ENOMEM;
    }
    err = loop->ops->set_membership(loop->reactor, ep->port, &m, true);
    if (err < 0) {
        ki_free(loop, kept, sizeof *kept);
        return err;
    }
    *kept = m;
    kept->next = ep->port->memberships;
    ep->port->memberships = kept;
    return KIRIM_OK;
}

kirim_err kirim_endpoint_leave(struct kirim_endpoint *ep, const struct kirim_membership *membership)
{
    struct ki_membership m;
    kirim_err err = read_membership(ep, membership, &m);
    if (err < 0) {
        return err;
    }
    struct kirim_loop *loop = ep->loop;
    if (loop->ops->set_membership == NULL) {
        return KIRIM_EOPNOTSUPP;
    }
    struct ki_membership **at = &ep->port->memberships;
    while (*at != NULL && ((*at)->ifindex != m.ifindex || !overlaps(*at, &m) ||
                           !kirim_addr_equal(&(*at)->source, &m.source))) {
        at = &(*at)->next;
    }
    if (*at == NULL) {
        return KIRIM_ENOENT;
    }
    err = loop->ops->set_membership(loop->reactor, ep->port, &m, false);
    if (err < 0) {
        return err;
    }
    struct ki_membership *left = *at;
    *at = left->next;
    ki_free(loop, left, sizeof *left);
    return KIRIM_OK;
}

void ki_endpoint_forget_memberships(struct kirim_endpoint *ep)
{
    while (ep->port->memberships != NULL) {
        struct ki_membership *m = ep->port->memberships;
        ep->port->memberships = m->next;
        ki_free(ep->loop, m, sizeof *m);
    }
}

kirim_err kirim_endpoint_set_multicast(struct kirim_endpoint *ep,
                                       const struct kirim_multicast_options *options)
{
    const kirim_err err = ki_endpoint_check(ep);
    struct kirim_multicast_options o;
    if (err < 0) {
        return err;
    }
    if (options == NULL || !ki_grown_copy(&o, sizeof o, options, options->size, sizeof o) ||
        o.ttl > TTL_MAX || (o.flags & ~(uint32_t)MULTICAST_FLAGS) != 0 || o.ki_reserved != 0) {
        return KIRIM_EINVAL;
    }
    const struct ki_reactor_ops *ops = ep->loop->ops;
    return ops->set_multicast != NULL ? ops->set_multicast(ep->loop->reactor, ep->port, &o)
                                      : KIRIM_EOPNOTSUPP;
}
