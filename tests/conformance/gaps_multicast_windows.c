/* SPDX-License-Identifier: MIT
 *
 * What Wine does not show of multicast, most of which is Linux below it: a socket there hears what
 * anybody on the host has joined (IP_MULTICAST_ALL), the loopback interface leads IPv6 groups
 * nowhere, and what is sent to a group over it comes back whatever the sender said. Asked as in
 * gaps_windows.c, with addresses for interfaces, as Wine wants it. Owns nothing; one thread.
 * Sources: ip(7), "IPPROTO_IP socket options".
 */
#include <string.h>

#include "conformance.h"
#include "gaps_windows.h"
#include "namespace_multicast.h"
#include "win_addr.h"
#include "win_sys.h"

enum { FIRST_GROUP = 1, SECOND_GROUP = 2, NO_IFINDEX = 9999, LIMIT_MS = 10000 };

/* A group, or an address of this host with the port of a socket. */
static union ki_win_name name_of(struct kirim_addr addr, SOCKET s)
{
    union ki_win_name name;
    int bytes = sizeof name;
    struct kirim_addr bound = { { 0, 0, 0 } };
    (void)getsockname(s, &name.any, &bytes);
    ki_win_name_read(&name, &bound);
    kirim_addr_set_port(&addr, kirim_addr_port(&bound));
    (void)ki_win_name_write(&name, &addr, false);
    return name;
}

static struct kirim_addr group_addr(int which)
{
    const uint8_t bytes[4] = { 239, 1, 2, (uint8_t)(100 + which) };
    return kirim_addr_ipv4(bytes, 0);
}

/* A socket at the port of another one, or at one of its own. */
static SOCKET make_socket(SOCKET at_port_of)
{
    union ki_win_name name;
    struct kirim_addr any = ks_wildcard(KIRIM_IPV4, 0);
    const DWORD on = 1;
    const DWORD limit_ms = LIMIT_MS;
    const SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    (void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, (const char *)&on, sizeof on);
    (void)setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&limit_ms, sizeof limit_ms);
    (void)ki_win_name_write(&name, &any, false);
    if (at_port_of != INVALID_SOCKET) {
        name = name_of(any, at_port_of);
    }
    (void)bind(s, &name.any, sizeof name.ipv4);
    return s;
}

static void join(SOCKET s, int which, const struct kirim_addr *via)
{
    const struct kirim_addr group = group_addr(which);
    struct ip_mreq request;
    memcpy(&request.imr_multiaddr, group.word, sizeof request.imr_multiaddr);
    memcpy(&request.imr_interface, via->word, sizeof request.imr_interface);
    (void)setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, (const char *)&request, sizeof request);
    (void)setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, (const char *)via->word, 4);
}

static void send_byte(SOCKET s, char byte, const union ki_win_name *to)
{
    (void)sendto(s, &byte, 1, 0, &to->any, sizeof to->ipv4);
}

static char first_byte(SOCKET s)
{
    char byte = 0;
    return recv(s, &byte, 1, 0) == 1 ? byte : 0;
}

/* A member of the other group hears that first, unless it hears both. */
static bool hears_its_own_alone(void)
{
    struct kc_segment segment[2];
    kc_segments_enter(segment, KIRIM_IPV4);
    const SOCKET a = make_socket(INVALID_SOCKET);
    const SOCKET b = make_socket(a);
    const union ki_win_name group = name_of(group_addr(FIRST_GROUP), a);
    const union ki_win_name other = name_of(group_addr(SECOND_GROUP), a);
    join(a, FIRST_GROUP, &segment[0].own[0]);
    join(b, SECOND_GROUP, &segment[0].own[0]);
    send_byte(a, 'g', &group);
    send_byte(a, 'o', &other);
    const bool is_so = first_byte(b) == 'o';
    (void)closesocket(a);
    (void)closesocket(b);
    return is_so;
}

/* Who does not want to hear itself hears only what it sends to its address. */
static bool keeps_out_of_the_loop(void)
{
    struct kc_segment segment[2];
    const DWORD off = 0;
    kc_segments_enter(segment, KIRIM_IPV4);
    const SOCKET s = make_socket(INVALID_SOCKET);
    const union ki_win_name group = name_of(group_addr(FIRST_GROUP), s);
    const union ki_win_name direct = name_of(segment[0].own[0], s);
    join(s, FIRST_GROUP, &segment[0].own[0]);
    (void)setsockopt(s, IPPROTO_IP, IP_MULTICAST_LOOP, (const char *)&off, sizeof off);
    send_byte(s, 'g', &group);
    send_byte(s, 'd', &direct);
    const bool is_so = first_byte(s) == 'd';
    (void)closesocket(s);
    return is_so;
}

static bool sends_to_ipv6_groups(void)
{
    struct kc_segment segment[2];
    kc_segments_enter(segment, KIRIM_IPV6);
    struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
    const DWORD index = segment[0].ifindex;
    const SOCKET s = socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
    name.sin6_addr.s6_addr[0] = 0xff;
    name.sin6_addr.s6_addr[1] = 0x11; /* of this interface alone */
    name.sin6_addr.s6_addr[15] = 1;
    (void)setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, (const char *)&index, sizeof index);
    const bool is_so = sendto(s, "x", 1, 0, (const struct sockaddr *)&name, sizeof name) == 1;
    (void)closesocket(s);
    return is_so;
}

/* A request of no bytes is refused in any case; by this code if the option is none. */
static bool has_ipv6_sources(void)
{
    const SOCKET s = socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
    const bool is_so = setsockopt(s, IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, "", 0) == 0 ||
                       WSAGetLastError() != WSAENOPROTOOPT;
    (void)closesocket(s);
    return is_so;
}

static bool knows_no_interface(void)
{
    struct ipv6_mreq request;
    memset(&request, 0, sizeof request);
    request.ipv6mr_multiaddr.s6_addr[0] = 0xff;
    request.ipv6mr_multiaddr.s6_addr[1] = 0x15;
    request.ipv6mr_multiaddr.s6_addr[15] = 1;
    request.ipv6mr_interface = NO_IFINDEX;
    const SOCKET s = socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
    const bool is_so = setsockopt(s, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, (const char *)&request,
                                  sizeof request) != 0 &&
                       WSAGetLastError() == WSAEADDRNOTAVAIL;
    (void)closesocket(s);
    return is_so;
}

static bool marks_broadcasts(void)
{
    struct ki_win_calls calls;
    const DWORD on = 1;
    char byte;
    WSABUF buf = { 1, &byte };
    WSAMSG msg = { .lpBuffers = &buf, .dwBufferCount = 1 };
    DWORD got = 0;
    const SOCKET s = make_socket(INVALID_SOCKET);
    const struct kirim_addr everybody =
        kirim_addr_ipv4((const uint8_t[4]){ 127, 255, 255, 255 }, 0);
    const union ki_win_name to = name_of(everybody, s);
    (void)setsockopt(s, SOL_SOCKET, SO_BROADCAST, (const char *)&on, sizeof on);
    send_byte(s, 'b', &to);
    const bool is_so = ki_win_calls_fetch(&ki_win_sys_default, s, &calls) &&
                       calls.receive(s, &msg, &got, NULL, NULL) == 0 &&
                       (msg.dwFlags & MSG_BCAST) != 0;
    (void)closesocket(s);
    return is_so;
}

/* ---- answers --------------------------------------------------------------------------------- */

const char *kc_gap_groups(const struct kc_where *where)
{
    static struct kc_question q;
    return where->family == KIRIM_IPV6
               ? kc_gap_judge(&q, sends_to_ipv6_groups, "wine-ipv6-loopback-multicast")
               : NULL;
}

const char *kc_gap_groups_of_others(const struct kc_where *where)
{
    static struct kc_question q;
    const char *reason = kc_gap_groups(where);
    return reason != NULL ? reason
                          : kc_gap_judge(&q, hears_its_own_alone, "wine-hears-groups-of-others");
}

const char *kc_gap_sources(const struct kc_where *where)
{
    static struct kc_question q;
    const char *reason = kc_gap_groups(where);
    return reason != NULL || where->family == KIRIM_IPV4
               ? reason
               : kc_gap_judge(&q, has_ipv6_sources, "wine-lacks-ipv6-sources");
}

const char *kc_gap_sources_of_others(const struct kc_where *where)
{
    const char *reason = kc_gap_sources(where);
    return reason != NULL ? reason : kc_gap_groups_of_others(where);
}

const char *kc_gap_groups_by_control(const struct kc_where *where)
{
    const char *reason = kc_gap_groups(where);
    return reason != NULL ? reason : kc_gap_send_control(where);
}

const char *kc_gap_groups_unlooped(const struct kc_where *where)
{
    static struct kc_question q;
    const char *reason = kc_gap_groups(where);
    return reason != NULL ? reason
                          : kc_gap_judge(&q, keeps_out_of_the_loop, "wine-loops-on-loopback");
}

const char *kc_gap_broadcast_mark(const struct kc_where *where)
{
    static struct kc_question q;
    (void)where;
    return kc_gap_judge(&q, marks_broadcasts, "wine-does-not-mark-broadcasts");
}

/* Of IPv4 it is namespace_multicast_windows.c that answers, as no index is understood there. */
const char *kc_gap_no_interface(const struct kc_where *where)
{
    static struct kc_question q;
    const char *reason = kc_gap_sources(where);
    return reason != NULL || where->family == KIRIM_IPV4
               ? reason
               : kc_gap_judge(&q, knows_no_interface, "wine-mistakes-an-interface");
}
