/* SPDX-License-Identifier: MIT
 *
 * The narrow network; see narrow_net.h. By unshare(2) with the program's own rights if they
 * suffice, else those of a user namespace. Sources: network_namespaces(7), user_namespaces(7),
 * netdevice(7), rtnetlink(7).
 */
#include "support/narrow_net.h"

#include "support/netlink.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* 192.0.2.0/24 and 2001:db8::/32, which are nobody's (RFC 5737, RFC 3849). */
static const uint8_t far_ipv4[4] = { 192, 0, 2, 1 };
static const uint8_t far_ipv6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };

static const uint8_t link_local[16] = { 0xfe, 0x80, [15] = 5 };

static bool set_interface(void)
{
    struct ifreq request;
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, "lo", 3);
    request.ifr_mtu = NARROW_MTU;
    bool is_set = fd >= 0 && ioctl(fd, SIOCSIFMTU, &request) == 0;
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    is_set = is_set && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_set;
}

/* Sends a request on a socket of its own. */
static bool ask_kernel(const struct netlink_request *r)
{
    const int fd = netlink_open(0);
    const bool is_done = fd >= 0 && netlink_ask(fd, r) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_done;
}

static bool set_route(int family, unsigned mtu)
{
    const bool is_ipv4 = family == KIRIM_IPV4;
    const struct rtmsg body = {
        .rtm_family = is_ipv4 ? AF_INET : AF_INET6,
        .rtm_dst_len = is_ipv4 ? 24 : 32,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_scope = RT_SCOPE_UNIVERSE,
        .rtm_type = RTN_UNICAST,
    };
    const size_t bytes = is_ipv4 ? sizeof far_ipv4 : sizeof far_ipv6;
    const uint32_t interface = if_nametoindex("lo");
    struct netlink_request r;
    uint8_t network[16];
    netlink_begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
    memcpy(network, is_ipv4 ? far_ipv4 : far_ipv6, bytes);
    network[bytes - 1] = 0;
    (void)netlink_add(&r, RTA_DST, network, bytes);
    (void)netlink_add(&r, RTA_OIF, &interface, sizeof interface);
    struct rtattr *metrics = netlink_add(&r, RTA_METRICS, NULL, 0);
    (void)netlink_add(&r, RTAX_MTU, &mtu, sizeof mtu);
    netlink_end(&r, metrics);
    return ask_kernel(&r);
}

static bool add_link_local(void)
{
    const struct ifaddrmsg body = {
        .ifa_family = AF_INET6,
        .ifa_prefixlen = 64,
        .ifa_flags = IFA_F_NODAD, /* it can be used at once */
        .ifa_scope = RT_SCOPE_LINK,
        .ifa_index = if_nametoindex("lo"),
    };
    struct netlink_request r;
    netlink_begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
    (void)netlink_add(&r, IFA_LOCAL, link_local, sizeof link_local);
    return ask_kernel(&r);
}

/* The system makes the route to a new address by and by: it is there once a datagram arrives. */
static bool wait_for_link_local(void)
{
    enum { TRY_COUNT = 1000, TRY_MS = 20 };
    struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_scope_id = if_nametoindex("lo") };
    socklen_t bytes = sizeof name;
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct pollfd arrival = { .fd = fd, .events = POLLIN };
    memcpy(&name.sin6_addr, link_local, sizeof link_local);
    bool is_there = false;
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof name) == 0 &&
        getsockname(fd, (struct sockaddr *)&name, &bytes) == 0) {
        for (int i = 0; i < TRY_COUNT && !is_there; i++) {
            is_there = sendto(fd, "x", 1, 0, (const struct sockaddr *)&name, bytes) == 1 &&
                       poll(&arrival, 1, TRY_MS) == 1;
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_there;
}

/* A host without IPv6 has the rest. */
static bool has_ipv6(void)
{
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)close(fd);
    }
    return fd >= 0;
}

bool narrow_net_change_route(unsigned mtu)
{
    return set_route(KIRIM_IPV4, mtu) && (!has_ipv6() || set_route(KIRIM_IPV6, mtu));
}

bool narrow_net_enter(void)
{
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        return false;
    }
    return set_interface() && narrow_net_change_route(NARROW_ROUTE_MTU) &&
           (!has_ipv6() || (add_link_local() && wait_for_link_local()));
}

bool narrow_net_is_permitted(void)
{
    const pid_t pid = fork();
    if (pid == 0) {
        _exit(narrow_net_enter() ? 0 : 1);
    }
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

struct kirim_addr narrow_net_far(int family)
{
    return family == KIRIM_IPV4 ? kirim_addr_ipv4(far_ipv4, 9) : kirim_addr_ipv6(far_ipv6, 9, 0);
}

struct kirim_addr narrow_net_link_local(void)
{
    return kirim_addr_ipv6(link_local, 0, if_nametoindex("lo"));
}
