/* SPDX-License-Identifier: MIT
 *
 * The network of namespace_multicast.h on Windows, where a program cannot make one: the loopback
 * interface, unless tests/windows/two-networks has put the whole program into a network such as a
 * case makes for itself on Linux. There a program of that script is the other host, and does what
 * it is told by datagrams.
 *
 * Windows takes the index of an interface wherever IPv4's options of multicast have room for an
 * address: "any address in 0.0.0.0/8 but the first". Wine hands it on as an address, which nobody
 * has, and takes an ip_mreq_source for the one of Linux, whose members stand in another order. So
 * that something is shown there at all, the loop's setsockopt says to Wine the same in words that
 * it understands. On Windows, or on a Wine that has learned it, nothing stands in between. Owns a
 * socket to the other host, for ever. One thread. Sources: IP_ADD_MEMBERSHIP, IP_MULTICAST_IF,
 * ip_mreq_source, "IPPROTO_IP socket options" (IP_MULTICAST_LOOP).
 */
#include "namespace_multicast.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gaps_windows.h"
#include "win_addr.h"
#include "win_sys.h"

enum {
    SEGMENT_COUNT = 2,
    LOOPBACK_IFINDEX = 1, /* always */
    NEAR_IFINDEX = 70,    /* as tests/windows/two-networks makes them */
    CONTROL_PORT = 7701,
    TEXT_BYTES = 128,
    WAIT_MS_MAX = 10000
};

static bool has_two_networks(void)
{
    const char *text = getenv("KIRIM_TEST_TWO_NETWORKS");
    return text != NULL && strcmp(text, "1") == 0;
}

const char *kc_segments_obstacle(void)
{
    return has_two_networks() ? NULL : "two-networks";
}

const char *kc_segment_obstacle(void)
{
    return NULL;
}

/* IP_MULTICAST_LOOP of Winsock is about what the socket hears, not about what it sends. */
const char *kc_unlooped_obstacle(void)
{
    return "loop-is-the-receivers";
}

bool kc_broadcast_is_told_in_full(void)
{
    return false; /* IN_PKTINFO has the address of the broadcast, and MSG_BCAST says so */
}

/* ---- the other host -------------------------------------------------------------------------- */

static struct kirim_addr address(int family, int segment, uint8_t host)
{
    const uint8_t ipv4[4] = { 10, 77, (uint8_t)segment, host };
    const uint8_t ipv6[16] = { 0xfd, 0x77, [7] = (uint8_t)segment, [15] = host };
    return family == KIRIM_IPV4 ? kirim_addr_ipv4(ipv4, 0) : kirim_addr_ipv6(ipv6, 0, 0);
}

static SOCKET open_control(void)
{
    WSADATA data;
    union ki_win_name name;
    const DWORD limit_ms = WAIT_MS_MAX;
    struct kirim_addr far_host = address(KIRIM_IPV4, 0, 9);
    kirim_addr_set_port(&far_host, CONTROL_PORT);
    KS_EQ(0, WSAStartup(MAKEWORD(2, 2), &data));
    const SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    const int bytes = ki_win_name_write(&name, &far_host, false);
    KS_EQ(0, setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&limit_ms, sizeof limit_ms));
    KS_EQ(0, connect(s, &name.any, bytes));
    return s;
}

/* Tells the other host what to do, and waits for its answer, of which it returns the length; what
 * there is no room for is cut. */
static int tell(const char *request, char *answer, int room)
{
    static SOCKET control = INVALID_SOCKET;
    if (control == INVALID_SOCKET) {
        control = open_control();
    }
    KS_EQ(strlen(request), send(control, request, (int)strlen(request), 0));
    return recv(control, answer, room, 0);
}

static void tell_and_expect(const char *request)
{
    char answer[TEXT_BYTES];
    const int bytes = tell(request, answer, sizeof answer);
    KS_CHECK(bytes == 4 && memcmp(answer, "done", 4) == 0);
}

void kc_far_join(const struct kc_segment *segment, const struct kirim_addr *group)
{
    char name[KIRIM_ADDR_TEXT_BYTES];
    char request[TEXT_BYTES];
    KS_OK(kirim_addr_format(group, name, sizeof name));
    (void)snprintf(request, sizeof request, "join %d %s", segment->far_fd, name);
    tell_and_expect(request);
}

void kc_far_send(const struct kc_segment *segment, const void *data, size_t bytes,
                 const struct kirim_addr *to)
{
    char name[KIRIM_ADDR_TEXT_BYTES];
    char request[TEXT_BYTES];
    KS_OK(kirim_addr_format(to, name, sizeof name));
    (void)snprintf(request, sizeof request, "send %d %s %.*s", segment->far_fd, name, (int)bytes,
                   (const char *)data);
    tell_and_expect(request);
}

int kc_far_receive(const struct kc_segment *segment, void *out, size_t bytes)
{
    char request[TEXT_BYTES];
    (void)snprintf(request, sizeof request, "receive %d", segment->far_fd);
    return tell(request, out, (int)bytes);
}

/* ---- what Wine is told ----------------------------------------------------------------------- */

static struct kc_segment entered[SEGMENT_COUNT];

/* Whether Wine takes what is a source for an interface: 240.0.0.1 is nobody's. */
static bool keeps_order_of_source(void)
{
    struct ip_mreq_source request;
    const SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    struct sockaddr_in name = { .sin_family = AF_INET };
    const struct kirim_addr group = kirim_addr_ipv4((const uint8_t[4]){ 239, 1, 2, 5 }, 0);
    const struct kirim_addr source = kirim_addr_ipv4((const uint8_t[4]){ 240, 0, 0, 1 }, 0);
    memcpy(&request.imr_multiaddr, group.word, 4);
    memcpy(&request.imr_sourceaddr, source.word, 4);
    memcpy(&request.imr_interface, entered[0].own[0].word, 4);
    const bool keeps = bind(s, (const struct sockaddr *)&name, sizeof name) == 0 &&
                       setsockopt(s, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, (const char *)&request,
                                  sizeof request) == 0;
    (void)closesocket(s);
    return keeps;
}

/* Puts an interface's first address in the place of its index. */
static bool name_interface(struct in_addr *via)
{
    const uint32_t index = ntohl(via->s_addr);
    if (index == 0 || index >> 24 != 0) {
        return true;
    }
    for (size_t i = 0; i < SEGMENT_COUNT; i++) {
        if (entered[i].ifindex == index) {
            memcpy(via, entered[i].own[0].word, sizeof *via);
            return true;
        }
    }
    return false;
}

static int WSAAPI set_option(SOCKET s, int level, int option, const char *value, int value_bytes)
{
    static struct kc_question order;
    union {
        struct in_addr address;
        struct ip_mreq group;
        struct ip_mreq_source source;
        char bytes[sizeof(struct ip_mreq_source)];
    } to;
    struct in_addr *via = NULL;
    const bool is_source =
        option == IP_ADD_SOURCE_MEMBERSHIP || option == IP_DROP_SOURCE_MEMBERSHIP;
    if (option == IP_MULTICAST_IF) {
        via = &to.address;
    } else if (option == IP_ADD_MEMBERSHIP || option == IP_DROP_MEMBERSHIP) {
        via = &to.group.imr_interface;
    } else if (is_source) {
        via = &to.source.imr_interface;
    }
    if (level != IPPROTO_IP || via == NULL) {
        return ki_win_sys_default.setsockopt(s, level, option, value, value_bytes);
    }
    KS_CHECK((size_t)value_bytes <= sizeof to);
    memcpy(to.bytes, value, (size_t)value_bytes);
    if (!name_interface(via)) {
        WSASetLastError(WSAEADDRNOTAVAIL); /* as Windows says of an index that is none */
        return SOCKET_ERROR;
    }
    if (is_source && kc_gap_judge(&order, keeps_order_of_source, "") != NULL) {
        const struct in_addr source = to.source.imr_sourceaddr;
        to.source.imr_sourceaddr = to.source.imr_interface;
        to.source.imr_interface = source;
    }
    return ki_win_sys_default.setsockopt(s, level, option, to.bytes, value_bytes);
}

/* Whether an index is understood. */
static bool takes_an_index(void)
{
    const DWORD index = htonl(entered[0].ifindex);
    const SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    const bool takes =
        setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, (const char *)&index, sizeof index) == 0;
    (void)closesocket(s);
    return takes;
}

/* ---- entering -------------------------------------------------------------------------------- */

void kc_segments_enter(struct kc_segment segment[2], int family)
{
    char request[TEXT_BYTES];
    memset(entered, 0, sizeof entered);
    memset(segment, 0, sizeof entered);
    if (!has_two_networks()) {
        entered[0].ifindex = LOOPBACK_IFINDEX;
        entered[0].own[0] = ks_loopback(KIRIM_IPV4, 0);
        segment[0].ifindex = LOOPBACK_IFINDEX;
        segment[0].own[0] = ks_loopback(family, 0);
        segment[0].own[1] = segment[0].own[0];
        return;
    }
    for (int i = 0; i < SEGMENT_COUNT; i++) {
        struct kc_segment *s = &segment[i];
        s->ifindex = (uint32_t)(NEAR_IFINDEX + i);
        s->own[0] = address(family, i, 1);
        s->own[1] = address(family, i, 2);
        s->far_addr = address(family, i, 9);
        s->to_all = address(KIRIM_IPV4, i, 255);
        s->far_fd = i;
        entered[i].ifindex = s->ifindex;
        entered[i].own[0] = address(KIRIM_IPV4, i, 1);
    }
    (void)snprintf(request, sizeof request, "open %d", family == KIRIM_IPV4 ? 4 : 6);
    tell_and_expect(request);
}

void kc_segments_open(struct ks *t)
{
    static struct kc_question index;
    static struct ki_win_sys table;
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    if (strcmp(t->reactor, "sim") != 0 && kc_gap_judge(&index, takes_an_index, "") != NULL) {
        table = ki_win_sys_default;
        table.setsockopt = set_option;
        options.system_calls = &table;
    }
    KS_OK(ks_try_open(t, &options));
}
