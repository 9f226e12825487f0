/* SPDX-License-Identifier: MIT
 *
 * Multicast: the groups that an endpoint belongs to, and how it sends to groups.
 *
 * An endpoint that kirim made hears the groups that it has joined and no other, whatever other
 * programs of the host have joined; an adopted socket keeps what its owner had set. To hear a group
 * an endpoint is bound to the group's port at the wildcard address; several share the port with
 * KIRIM_ENDPOINT_SHARE_PORT, and then each of them gets every datagram of the groups that it has
 * joined. An arrival tells the group as its local address; a reply to it leaves from the address
 * that the route chooses. Sending to a group needs no membership, but a route; on Linux an
 * interface that is named does for one over IPv4. What Linux sends to an IPv4 group by the loopback
 * interface has no source (0.0.0.0) unless the message or the bound address says one. Everything
 * here needs KIRIM_CAP_MULTICAST. Sources: RFC 1112, RFC 3678, RFC 4607, RFC 8085 section 4.
 */
#ifndef KIRIM_MULTICAST_H
#define KIRIM_MULTICAST_H

#include <kirim/addr.h>

struct kirim_endpoint;

/** What an endpoint joins or leaves; start from KIRIM_MEMBERSHIP_INIT. */
struct kirim_membership {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** The multicast address, of a family that the endpoint serves; its port is ignored. An
     * endpoint with both stacks joins IPv4 groups too. */
    struct kirim_addr group;
    /** Source-specific (RFC 4607): only what this address sends, port ignored. None: whoever. */
    struct kirim_addr source;
    /** Index of the interface, in both families. 0: the scope of `group`, else the interface that
     * the system's route to the group leads to. */
    uint32_t ifindex;
    /** 0. */
    uint32_t ki_reserved;
};

/** Initialises a membership of no group. */
#define KIRIM_MEMBERSHIP_INIT                                                   \
    {                                                                           \
        sizeof(struct kirim_membership), { { 0, 0, 0 } }, { { 0, 0, 0 } }, 0, 0 \
    }

/** Flags of kirim_multicast_options. */
enum {
    /** What is sent is not heard on this host itself. On Windows, by its documentation, the word of
     * the hearing endpoint counts instead: one with this flag hears nothing that this host sends to
     * its groups, itself included; one without it hears all of it. */
    KIRIM_MULTICAST_NO_LOOP = 1
};

/** How an endpoint sends to groups; start from KIRIM_MULTICAST_OPTIONS_INIT, which is what an
 * endpoint begins with. */
struct kirim_multicast_options {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** Index of the outgoing interface; 0: by route. `ifindex` of a message goes before it. */
    uint32_t ifindex;
    /** Time to live or hop limit, 0..255. 0: stays on this host; 1: on the network. `ttl` of a
     * message goes before it. */
    uint32_t ttl;
    /** KIRIM_MULTICAST_... */
    uint32_t flags;
    /** 0. */
    uint32_t ki_reserved;
};

/** Initialises options: by route, on the network, heard on this host too. */
#define KIRIM_MULTICAST_OPTIONS_INIT                       \
    {                                                      \
        sizeof(struct kirim_multicast_options), 0, 1, 0, 0 \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief Joins a group, from any source or from one.
 *
 * Of one group and interface an endpoint joins either any source or single ones, and names the
 * interface always or never. On Linux an IPv6 endpoint that has joined a group on one interface
 * also hears it on others where somebody else of the host has joined it; the arrival's `ifindex`
 * tells. Memberships end with the endpoint.
 *
 * @param ep          Open endpoint, bound to the wildcard address or to the group itself: others
 *                    would hear nothing.
 * @param membership  Read during the call.
 * @retval KIRIM_OK             Joined.
 * @retval KIRIM_EINVAL         NULL, a size that no version had, no multicast group, a group or a
 *                              source of a family that does not fit, a source that is a wildcard or
 *                              a group, an interface that is not that of the group's scope, or an
 *                              endpoint that is bound to an address of one host or connected.
 * @retval KIRIM_EEXIST         Joined already; or any source was joined and one is asked, or the
 *                              other way round; or the interface was named and is not, or the other
 *                              way round.
 * @retval KIRIM_EADDRNOTAVAIL  No such interface, or none that a route to the group leads to.
 * @retval KIRIM_ENOBUFS        More groups or sources than the system permits for one socket
 * (Linux: 20 groups of IPv4 and 10 sources of each, see ip(7)), or 4,096.
 * @retval KIRIM_EOPNOTSUPP     The reactor has no multicast.
 * @retval KIRIM_ECLOSED        The endpoint is closing.
 * @retval KIRIM_ENOMEM         Out of memory.
 * @return Also another error of the system.
 * @note Loop thread; callable from any callback. Source: RFC 3678 section 5, MCAST_JOIN_GROUP and
 * MCAST_JOIN_SOURCE_GROUP.
 */
KIRIM_API kirim_err kirim_endpoint_join(struct kirim_endpoint *ep,
                                        const struct kirim_membership *membership);

/**
 * @brief Leaves what kirim_endpoint_join() has joined: the same group, source and interface.
 *
 * What has arrived before and was not handed over yet is still received.
 *
 * @param ep          Open endpoint.
 * @param membership  Read during the call.
 * @retval KIRIM_OK          Left.
 * @retval KIRIM_EINVAL      As for kirim_endpoint_join().
 * @retval KIRIM_ENOENT      Not joined in this way by this endpoint; what the owner of an adopted
 *                           socket had joined before is not known here.
 * @retval KIRIM_EOPNOTSUPP  The reactor has no multicast.
 * @retval KIRIM_ECLOSED     The endpoint is closing.
 * @return Also another error of the system; the endpoint is still a member then.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_endpoint_leave(struct kirim_endpoint *ep,
                                         const struct kirim_membership *membership);

/**
 * @brief Sets how an endpoint sends to groups, in both families if it has both.
 *
 * @param ep       Open endpoint.
 * @param options  Read during the call; all of them are set.
 * @retval KIRIM_OK             Set, for what leaves from now on; what is queued is submitted
 *                              later, and leaves so too.
 * @retval KIRIM_EINVAL         NULL, a size that no version had, unknown flags, or a `ttl` over
 * 255.
 * @retval KIRIM_EADDRNOTAVAIL  No such interface; nothing was set.
 * @retval KIRIM_EOPNOTSUPP     The reactor has no multicast.
 * @retval KIRIM_ECLOSED        The endpoint is closing.
 * @return Also another error of the system; some of the options may have been set then.
 * @note Loop thread; callable from any callback. Source: RFC 3493 section 5.2, ip(7).
 */
KIRIM_API kirim_err kirim_endpoint_set_multicast(struct kirim_endpoint *ep,
                                                 const struct kirim_multicast_options *options);

KIRIM_END_DECLS

#endif
