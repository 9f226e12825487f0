/* SPDX-License-Identifier: MIT
 *
 * The network of namespace_multicast.h: two namespaces with two pairs of virtual Ethernet devices
 * between them.
 *
 * The process enters the far namespace, opens there what it needs of it (sockets stay where they
 * were opened) and goes on to the near one. Devices are ready when the system says so, for it
 * brings them up in its own time, and the addresses of IPv6 too. Sources: rtnetlink(7), veth(4),
 * network_namespaces(7), ip(7), ipv6(7).
 */
#include "namespace_multicast.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/veth.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "namespace.h"
#include "plan.h"
#include "posix_addr.h"
#include "support/netlink.h"

enum {
    WAIT_MS_MAX = 10000,
    SEGMENT_COUNT = 2,
    NEAR_IFINDEX = 70,
    IPV4_PREFIX = 24,
    IPV6_PREFIX = 64,
    NEW = NLM_F_CREATE | NLM_F_EXCL
};

/* ---- devices --------------------------------------------------------------------------------- */

/* Makes a pair of devices, the other end of which is in the namespace `far_ns`. Their indices
 * differ: Linux takes a second longer to bring up a pair of equal ones. */
static bool make_pair(int fd, int ifindex, const char *near_name, const char *far_name, int far_ns)
{
    struct netlink_request r;
    const struct ifinfomsg near = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    netlink_begin(&r, RTM_NEWLINK, NEW, &near, sizeof near);
    (void)netlink_add(&r, IFLA_IFNAME, near_name, strlen(near_name) + 1);
    struct rtattr *kind = netlink_add(&r, IFLA_LINKINFO, NULL, 0);
    (void)netlink_add(&r, IFLA_INFO_KIND, "veth", 5);
    struct rtattr *data = netlink_add(&r, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *peer = netlink_add(&r, VETH_INFO_PEER, &none, sizeof none);
    (void)netlink_add(&r, IFLA_IFNAME, far_name, strlen(far_name) + 1);
    (void)netlink_add(&r, IFLA_NET_NS_FD, &far_ns, sizeof far_ns);
    netlink_end(&r, peer);
    netlink_end(&r, data);
    netlink_end(&r, kind);
    return netlink_ask(fd, &r) == 0;
}

static bool raise_device(int fd, int ifindex)
{
    struct netlink_request r;
    const struct ifinfomsg up = { .ifi_index = ifindex, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
    netlink_begin(&r, RTM_NEWLINK, 0, &up, sizeof up);
    return netlink_ask(fd, &r) == 0;
}

/* What is open in one of the namespaces. */
struct place {
    int control_fd; /* netlink: requests */
    int events_fd;  /* netlink: what has come to be */
};

/* Whether a message says that the address has become one of this host's. */
static bool leads_here(const struct nlmsghdr *header, const void *addr)
{
    uint8_t bytes[16];
    const size_t length = kirim_addr_bytes(addr, bytes);
    const struct rtmsg *route = (const void *)(header + 1);
    const void *to = netlink_find(header, sizeof *route, RTA_DST);
    return header->nlmsg_type == RTM_NEWROUTE && route->rtm_type == RTN_LOCAL && to != NULL &&
           route->rtm_dst_len == 8 * length && memcmp(to, bytes, length) == 0;
}

/* Gives a device an address, and waits until it is good for both directions; the system prefers
 * others for a source if it is a spare one. */
static bool add_address(const struct place *at, int ifindex, const struct kirim_addr *addr,
                        const struct kirim_addr *to_all, bool is_spare)
{
    struct netlink_request r;
    const struct ifa_cacheinfo life = { .ifa_prefered = is_spare ? 0 : UINT32_MAX,
                                        .ifa_valid = UINT32_MAX };
    uint8_t bytes[16];
    const size_t length = kirim_addr_bytes(addr, bytes);
    const struct ifaddrmsg body = {
        .ifa_family = length == 4 ? AF_INET : AF_INET6,
        .ifa_prefixlen = length == 4 ? IPV4_PREFIX : IPV6_PREFIX,
        .ifa_flags = IFA_F_NODAD,
        .ifa_index = (uint32_t)ifindex,
    };
    netlink_begin(&r, RTM_NEWADDR, NEW, &body, sizeof body);
    (void)netlink_add(&r, IFA_LOCAL, bytes, length);
    (void)netlink_add(&r, IFA_ADDRESS, bytes, length);
    (void)netlink_add(&r, IFA_CACHEINFO, &life, sizeof life);
    if (length == 4) {
        (void)netlink_add(&r, IFA_BROADCAST, bytes, kirim_addr_bytes(to_all, bytes));
    }
    return netlink_ask(at->control_fd, &r) == 0 && netlink_wait(at->events_fd, leads_here, addr);
}

/* Leads all groups of IPv4 to a device; those of IPv6 lead to the first device by themselves. */
static bool route_groups(int fd, int ifindex)
{
    static const uint8_t groups[4] = { 224, 0, 0, 0 };
    struct netlink_request r;
    const struct rtmsg body = {
        .rtm_family = AF_INET,
        .rtm_dst_len = 4,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_scope = RT_SCOPE_LINK,
        .rtm_type = RTN_UNICAST,
    };
    netlink_begin(&r, RTM_NEWROUTE, NEW, &body, sizeof body);
    (void)netlink_add(&r, RTA_DST, groups, sizeof groups);
    (void)netlink_add(&r, RTA_OIF, &ifindex, sizeof ifindex);
    return netlink_ask(fd, &r) == 0;
}

/* Index of a device in the namespace of the socket. */
static int index_of(int fd, const char *name)
{
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, strlen(name));
    return ioctl(fd, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : -1;
}

/* ---- the network ----------------------------------------------------------------------------- */

static bool open_place(struct place *p)
{
    p->control_fd = netlink_open(0);
    p->events_fd = netlink_open(RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE);
    return p->control_fd >= 0 && p->events_fd >= 0;
}

static struct kirim_addr address(int family, int segment, uint8_t host)
{
    const uint8_t ipv4[4] = { 10, 77, (uint8_t)segment, host };
    const uint8_t ipv6[16] = { 0xfd, 0x77, [7] = (uint8_t)segment, [15] = host };
    return family == KIRIM_IPV4 ? kirim_addr_ipv4(ipv4, 0) : kirim_addr_ipv6(ipv6, 0, 0);
}

/* Joins the two namespaces by one pair, and brings up both of its ends. */
static bool build(const struct place *near, const struct place *far, int far_ns, int number,
                  struct kc_segment *s, int family)
{
    static const char *const near_names[SEGMENT_COUNT] = { "near0", "near1" };
    static const char *const far_names[SEGMENT_COUNT] = { "far0", "far1" };
    const int near_index = NEAR_IFINDEX + number;
    if (!make_pair(near->control_fd, near_index, near_names[number], far_names[number], far_ns)) {
        return false;
    }
    const int far_index = index_of(s->far_fd, far_names[number]);
    s->ifindex = (uint32_t)near_index;
    s->far_ifindex = (uint32_t)far_index;
    s->own[0] = address(family, number, 1);
    s->own[1] = address(family, number, 2);
    s->far_addr = address(family, number, 9);
    s->to_all = address(KIRIM_IPV4, number, 255);
    return raise_device(near->control_fd, near_index) && raise_device(far->control_fd, far_index) &&
           netlink_wait_up(near->events_fd, near_index) &&
           netlink_wait_up(far->events_fd, far_index) &&
           add_address(near, near_index, &s->own[0], &s->to_all, false) &&
           add_address(near, near_index, &s->own[1], &s->to_all, true) &&
           add_address(far, far_index, &s->far_addr, &s->to_all, false);
}

/* Opens the far end's socket, in the namespace that the process is in. */
static bool open_far(struct kc_segment *s, int family)
{
    const struct timeval limit = { WAIT_MS_MAX / 1000, 0 };
    s->far_fd = socket(family == KIRIM_IPV4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return s->far_fd >= 0 &&
           setsockopt(s->far_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0;
}

static bool enter_segments(struct kc_segment segment[SEGMENT_COUNT], int family)
{
    struct place near;
    struct place far;
    kc_namespace_enter();
    const int far_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (far_ns < 0 || !open_place(&far) || !open_far(&segment[0], family) ||
        !open_far(&segment[1], family)) {
        return false;
    }
    kc_namespace_enter();
    return open_place(&near) && build(&near, &far, far_ns, 0, &segment[0], family) &&
           build(&near, &far, far_ns, 1, &segment[1], family) &&
           route_groups(near.control_fd, (int)segment[0].ifindex);
}

const char *kc_segments_obstacle(void)
{
    static int answer; /* 0: not asked yet */
    if (kc_namespace_obstacle() != NULL) {
        return kc_namespace_obstacle();
    }
    if (answer == 0) {
        const pid_t pid = fork();
        if (pid == 0) {
            struct kc_segment segment[SEGMENT_COUNT];
            _exit(enter_segments(segment, KIRIM_IPV4) ? 0 : 1);
        }
        int status = 1;
        const bool is_known = pid > 0 && waitpid(pid, &status, 0) == pid;
        answer = is_known && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 1 : 2;
    }
    return answer == 1 ? NULL : "not-permitted: virtual devices";
}

const char *kc_segment_obstacle(void)
{
    return kc_segments_obstacle();
}

const char *kc_unlooped_obstacle(void)
{
    return kc_segments_obstacle();
}

void kc_segments_enter(struct kc_segment segment[2], int family)
{
    KS_CHECK(enter_segments(segment, family));
}

bool kc_broadcast_is_told_in_full(void)
{
    return true;
}

void kc_segments_open(struct ks *t)
{
    ks_open(t);
}

/* ---- the other host -------------------------------------------------------------------------- */

void kc_far_join(const struct kc_segment *segment, const struct kirim_addr *group)
{
    union ki_posix_name name;
    struct group_req request;
    const int family = kirim_addr_family(group);
    const struct kirim_addr wildcard = ks_wildcard(family, kirim_addr_port(group));
    socklen_t bytes = ki_name_write(&name, &wildcard, family == KIRIM_IPV6);
    KS_EQ(0, bind(segment->far_fd, &name.any, bytes));
    memset(&request, 0, sizeof request);
    request.gr_interface = segment->far_ifindex;
    bytes = ki_name_write(&name, group, family == KIRIM_IPV6);
    memcpy(&request.gr_group, &name, bytes);
    KS_EQ(0, setsockopt(segment->far_fd, family == KIRIM_IPV4 ? IPPROTO_IP : IPPROTO_IPV6,
                        MCAST_JOIN_GROUP, &request, sizeof request));
}

void kc_far_send(const struct kc_segment *segment, const void *data, size_t bytes,
                 const struct kirim_addr *to)
{
    union ki_posix_name name;
    const bool is_ipv6 = kirim_addr_family(to) == KIRIM_IPV6;
    const socklen_t name_bytes = ki_name_write(&name, to, is_ipv6);
    const struct ip_mreqn interface = { .imr_ifindex = (int)segment->far_ifindex };
    if (is_ipv6) {
        KS_EQ(0, setsockopt(segment->far_fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &segment->far_ifindex,
                            sizeof segment->far_ifindex));
    } else {
        KS_EQ(0, setsockopt(segment->far_fd, IPPROTO_IP, IP_MULTICAST_IF, &interface,
                            sizeof interface));
    }
    KS_EQ(bytes, sendto(segment->far_fd, data, bytes, 0, &name.any, name_bytes));
}

int kc_far_receive(const struct kc_segment *segment, void *out, size_t bytes)
{
    return (int)recv(segment->far_fd, out, bytes, 0);
}
