/* SPDX-License-Identifier: MIT
 *
 * The network of namespace_router.h: two namespaces with a pair of virtual Ethernet devices between
 * them, and a second pair with both ends in the router's.
 *
 * The process enters the router's namespace first, has it forward, keeps a socket and a descriptor
 * of it, and goes on to its own. Sources: rtnetlink(7), veth(4), network_namespaces(7),
 * ip-sysctl.
 */
#include "namespace_router.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/veth.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "namespace.h"
#include "plan.h"
#include "support/netlink.h"

/* The networks: third byte of an IPv4 address, last but one group of an IPv6 one. */
enum { NET_LINK, NET_FAR, NET_PROHIBITED, NET_UNREACHABLE };

enum { IPV4_PREFIX = 24, IPV6_PREFIX = 64, IPV4_ALL = 16, IPV6_ALL = 32, PORT = 9 };

/* 198.18.0.0/15 is for tests of routers (RFC 2544). */
static struct kirim_addr address(int family, uint8_t net, uint8_t host)
{
    const uint8_t ipv4[4] = { 198, 18, net, host };
    const uint8_t ipv6[16] = { 0xfd, 0x18, [7] = net, [15] = host };
    return family == KIRIM_IPV4 ? kirim_addr_ipv4(ipv4, PORT) : kirim_addr_ipv6(ipv6, PORT, 0);
}

/* ---- devices --------------------------------------------------------------------------------- */

/* What is open in a namespace. */
struct place {
    int ask_fd;   /* netlink: requests */
    int hear_fd;  /* netlink: devices */
    int index_fd; /* for ioctls */
};

static bool open_place(struct place *p)
{
    p->ask_fd = netlink_open(0);
    p->hear_fd = netlink_open(RTMGRP_LINK);
    p->index_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return p->ask_fd >= 0 && p->hear_fd >= 0 && p->index_fd >= 0;
}

static int index_of(const struct place *p, const char *name)
{
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, strlen(name));
    return ioctl(p->index_fd, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : 0;
}

/* Makes a pair of devices in the namespace of `p`; the other end is in that of `other_ns`, or
 * beside the first one if that is -1. */
static bool make_pair(const struct place *p, const char *name, const char *other_name, int other_ns,
                      uint32_t mtu)
{
    struct netlink_request r;
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    netlink_begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &none, sizeof none);
    (void)netlink_add(&r, IFLA_IFNAME, name, strlen(name) + 1);
    (void)netlink_add(&r, IFLA_MTU, &mtu, sizeof mtu);
    struct rtattr *kind = netlink_add(&r, IFLA_LINKINFO, NULL, 0);
    (void)netlink_add(&r, IFLA_INFO_KIND, "veth", 5);
    struct rtattr *data = netlink_add(&r, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *peer = netlink_add(&r, VETH_INFO_PEER, &none, sizeof none);
    (void)netlink_add(&r, IFLA_IFNAME, other_name, strlen(other_name) + 1);
    if (other_ns >= 0) {
        (void)netlink_add(&r, IFLA_NET_NS_FD, &other_ns, sizeof other_ns);
    }
    netlink_end(&r, peer);
    netlink_end(&r, data);
    netlink_end(&r, kind);
    return netlink_ask(p->ask_fd, &r) == 0;
}

static bool raise_device(const struct place *p, const char *name)
{
    struct netlink_request r;
    const struct ifinfomsg up = {
        .ifi_index = index_of(p, name),
        .ifi_flags = IFF_UP,
        .ifi_change = IFF_UP,
    };
    netlink_begin(&r, RTM_NEWLINK, 0, &up, sizeof up);
    return netlink_ask(p->ask_fd, &r) == 0;
}

/* Raises both ends of a pair, and waits until they work. */
static bool raise_pair(const struct place *p, const char *name, const struct place *other,
                       const char *other_name)
{
    return raise_device(p, name) && raise_device(other, other_name) &&
           netlink_wait_up(p->hear_fd, index_of(p, name)) &&
           netlink_wait_up(other->hear_fd, index_of(other, other_name));
}

/* ---- addresses and routes -------------------------------------------------------------------- */

/* Gives a device an address, which is usable at once. */
static bool add_address(const struct place *p, const char *device, const struct kirim_addr *addr)
{
    struct netlink_request r;
    uint8_t bytes[16];
    const size_t length = kirim_addr_bytes(addr, bytes);
    const struct ifaddrmsg body = {
        .ifa_family = length == 4 ? AF_INET : AF_INET6,
        .ifa_prefixlen = length == 4 ? IPV4_PREFIX : IPV6_PREFIX,
        .ifa_flags = IFA_F_NODAD,
        .ifa_index = (uint32_t)index_of(p, device),
    };
    netlink_begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
    (void)netlink_add(&r, IFA_LOCAL, bytes, length);
    (void)netlink_add(&r, IFA_ADDRESS, bytes, length);
    return netlink_ask(p->ask_fd, &r) == 0;
}

/* Leads a network, or all of them (`prefix` is shorter), to a next hop; without one the network is
 * of that type. */
static bool add_route(const struct place *p, const struct kirim_addr *net, uint8_t prefix,
                      const struct kirim_addr *hop, uint8_t type)
{
    struct netlink_request r;
    uint8_t bytes[16];
    const size_t length = kirim_addr_bytes(net, bytes);
    const struct rtmsg body = {
        .rtm_family = length == 4 ? AF_INET : AF_INET6,
        .rtm_dst_len = prefix,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_scope = RT_SCOPE_UNIVERSE,
        .rtm_type = type,
    };
    memset(bytes + prefix / 8, 0, length - prefix / 8);
    netlink_begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
    (void)netlink_add(&r, RTA_DST, bytes, length);
    if (hop != NULL) {
        (void)netlink_add(&r, RTA_GATEWAY, bytes, kirim_addr_bytes(hop, bytes));
    }
    return netlink_ask(p->ask_fd, &r) == 0;
}

static bool write_word(const char *path, const char *word)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool is_written = fd >= 0 && write(fd, word, strlen(word)) == (ssize_t)strlen(word);
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_written;
}

/* ---- the network ----------------------------------------------------------------------------- */

static bool set_up_router(const struct place *router, int family)
{
    const struct kirim_addr link = address(family, NET_LINK, 2);
    const struct kirim_addr far = address(family, NET_FAR, 1);
    const struct kirim_addr prohibited = address(family, NET_PROHIBITED, 1);
    const struct kirim_addr unreachable = address(family, NET_UNREACHABLE, 1);
    const uint8_t prefix = family == KIRIM_IPV4 ? IPV4_PREFIX : IPV6_PREFIX;
    return add_address(router, "link1", &link) && add_address(router, "far0", &far) &&
           add_route(router, &prohibited, prefix, NULL, RTN_PROHIBIT) &&
           add_route(router, &unreachable, prefix, NULL, RTN_UNREACHABLE);
}

static bool enter_routed(int family)
{
    struct place own;
    struct place router;
    struct place behind; /* the far end of the router's other link, in its namespace too */
    const struct kirim_addr own_addr = address(family, NET_LINK, 1);
    const struct kirim_addr hop = address(family, NET_LINK, 2);
    const uint8_t all = family == KIRIM_IPV4 ? IPV4_ALL : IPV6_ALL;
    kc_namespace_enter();
    const int router_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (router_ns < 0 || !open_place(&router) || !open_place(&behind) ||
        !write_word(family == KIRIM_IPV4 ? "/proc/sys/net/ipv4/ip_forward"
                                         : "/proc/sys/net/ipv6/conf/all/forwarding",
                    "1")) {
        return false;
    }
    kc_namespace_enter();
    return open_place(&own) && make_pair(&own, "link0", "link1", router_ns, 1500) &&
           make_pair(&router, "far0", "far1", -1, KC_FAR_MTU) &&
           raise_pair(&own, "link0", &router, "link1") &&
           raise_pair(&router, "far0", &behind, "far1") && set_up_router(&router, family) &&
           add_address(&own, "link0", &own_addr) &&
           add_route(&own, &own_addr, all, &hop, RTN_UNICAST);
}

const char *kc_router_obstacle(void)
{
    static int answer; /* 0: not asked yet */
    if (kc_namespace_obstacle() != NULL) {
        return kc_namespace_obstacle();
    }
    if (answer == 0) {
        const pid_t pid = fork();
        if (pid == 0) {
            _exit(enter_routed(KIRIM_IPV4) ? 0 : 1);
        }
        int status = 1;
        const bool is_known = pid > 0 && waitpid(pid, &status, 0) == pid;
        answer = is_known && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 1 : 2;
    }
    return answer == 1 ? NULL : "not-permitted: virtual devices";
}

void kc_router_enter(struct kc_router *net, int family)
{
    KS_CHECK(enter_routed(family));
    net->own = address(family, NET_LINK, 1);
    net->router = address(family, NET_LINK, 2);
    net->far = address(family, NET_FAR, 7);
    net->prohibited = address(family, NET_PROHIBITED, 7);
    net->unreachable = address(family, NET_UNREACHABLE, 7);
    kirim_addr_set_port(&net->own, 0);
}
