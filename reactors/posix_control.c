/* SPDX-License-Identifier: MIT
 *
 * Encoding and decoding of control messages; see posix_control.h.
 *
 * Keeps true: every byte handed to the system is written, padding included; what a system writes
 * shorter or longer than expected is not believed. Traffic class and hop limit are ints on the way
 * out in both families (Linux refuses a byte for IPv6, L27); on the way in IPv4's traffic class is
 * a byte. Owns nothing. Loop thread. Sources: see posix_control.h.
 */
#include "posix_control.h"

#include <netinet/udp.h>
#include <string.h>

enum {
    NS_PER_SECOND = 1000000000,
    ECN_MASK = 3,
    DSCP_SHIFT = 2,
    /* fe80::/10 and the multicast addresses: the only ones whose meaning depends on an interface.
     */
    SCOPED_FIRST_BYTE = 0xfe
};

/* ---- out ------------------------------------------------------------------------------------- */

/* Appends one control message at `bytes`. Returns the new length. */
static size_t append(struct ki_posix_control_out *out, size_t bytes, int level, int type,
                     const void *data, size_t data_bytes)
{
    uint8_t *at = (uint8_t *)out->words + bytes;
    const struct cmsghdr header = {
        .cmsg_len = CMSG_LEN(data_bytes),
        .cmsg_level = level,
        .cmsg_type = type,
    };
    memset(at, 0, CMSG_SPACE(data_bytes));
    memcpy(at, &header, sizeof header);
    memcpy(at + CMSG_LEN(0), data, data_bytes);
    return bytes + CMSG_SPACE(data_bytes);
}

static size_t write_source_ipv4(struct ki_posix_control_out *out,
                                const struct kirim_control *control)
{
    /* The source goes into ipi_spec_dst; Linux ignores ipi_addr here (L34). */
    const struct in_pktinfo info = {
        .ipi_ifindex = (int)control->ifindex,
        .ipi_spec_dst.s_addr = ki_word_first(control->source.word[0]),
    };
    return append(out, 0, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
}

static size_t write_source_ipv6(struct ki_posix_control_out *out,
                                const struct kirim_control *control)
{
    const uint32_t scope = kirim_addr_scope(&control->source);
    struct in6_pktinfo info = { .ipi6_ifindex = control->ifindex != 0 ? control->ifindex : scope };
    memcpy(&info.ipi6_addr, control->source.word, sizeof info.ipi6_addr);
    return append(out, 0, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

size_t ki_control_write(struct ki_posix_control_out *out, const struct kirim_control *control,
                        int family)
{
    const bool is_ipv4 = family == KIRIM_IPV4;
    const int level = is_ipv4 ? IPPROTO_IP : IPPROTO_IPV6;
    size_t bytes = 0;
    if (control->ifindex != 0 || kirim_addr_family(&control->source) != KIRIM_FAMILY_NONE) {
        bytes = is_ipv4 ? write_source_ipv4(out, control) : write_source_ipv6(out, control);
    }
    if ((control->ecn | control->dscp) != 0) {
        const int octet = control->dscp << DSCP_SHIFT | control->ecn;
        bytes = append(out, bytes, level, is_ipv4 ? IP_TOS : IPV6_TCLASS, &octet, sizeof octet);
    }
    if (control->ttl != 0) {
        const int ttl = control->ttl;
        bytes = append(out, bytes, level, is_ipv4 ? IP_TTL : IPV6_HOPLIMIT, &ttl, sizeof ttl);
    }
    if (!is_ipv4 && (control->flags & KIRIM_CONTROL_DONT_FRAGMENT) != 0) {
        const int is_whole = 1;
        bytes = append(out, bytes, level, IPV6_DONTFRAG, &is_whole, sizeof is_whole);
    }
    if (control->not_before_ns != 0) { /* the loop's clock is the socket's (posix_socket.c) */
        bytes = append(out, bytes, SOL_SOCKET, SCM_TXTIME, &control->not_before_ns,
                       sizeof control->not_before_ns);
    }
    return bytes;
}

size_t ki_control_add_segment(struct ki_posix_control_out *out, size_t bytes,
                              uint16_t segment_bytes)
{
    /* 16 bits wide on the way out, an int on the way in (udp(7), L24). */
    return append(out, bytes, IPPROTO_UDP, UDP_SEGMENT, &segment_bytes, sizeof segment_bytes);
}

/* ---- in -------------------------------------------------------------------------------------- */

/* Copies the data of a control message; false if it is not of this length. */
static bool copy_data(const struct cmsghdr *c, void *out, size_t bytes)
{
    if (c->cmsg_len != CMSG_LEN(bytes)) {
        return false;
    }
    memcpy(out, CMSG_DATA(c), bytes);
    return true;
}

/* The address that an IPv4 datagram was sent to. For a broadcast it is the one of our own that
 * would answer it: a broadcast address is nobody's source. */
static void read_local_ipv4(const struct cmsghdr *c, uint16_t net_port,
                            struct kirim_arrival *arrival, struct kirim_datagram *d)
{
    struct in_pktinfo info;
    if (copy_data(c, &info, sizeof info)) {
        const bool is_multicast = IN_MULTICAST(ntohl(info.ipi_addr.s_addr));
        const uint32_t bytes = is_multicast || info.ipi_spec_dst.s_addr == 0
                                   ? info.ipi_addr.s_addr
                                   : info.ipi_spec_dst.s_addr;
        arrival->local.word[0] = ki_word_of(bytes, 0);
        arrival->local.word[1] = 0;
        arrival->local.word[2] = ki_addr_tail(KIRIM_IPV4, net_port, 0);
        arrival->ifindex = (uint32_t)info.ipi_ifindex;
        if (!is_multicast && info.ipi_addr.s_addr != bytes) {
            d->flags |= KIRIM_RX_BROADCAST;
        }
    }
}

static void read_local_ipv6(const struct cmsghdr *c, uint16_t net_port,
                            struct kirim_arrival *arrival)
{
    struct in6_pktinfo info;
    if (copy_data(c, &info, sizeof info)) {
        const uint32_t scope =
            info.ipi6_addr.s6_addr[0] >= SCOPED_FIRST_BYTE ? (uint32_t)info.ipi6_ifindex : 0;
        uint64_t word[2];
        memcpy(word, &info.ipi6_addr, sizeof word);
        ki_addr_from_ipv6(&arrival->local, word[0], word[1], net_port, scope);
        arrival->ifindex = (uint32_t)info.ipi6_ifindex;
    }
}

static void read_octet(const struct cmsghdr *c, struct kirim_arrival *arrival,
                       struct kirim_datagram *d)
{
    uint8_t octet;
    int value;
    if (!copy_data(c, &octet, sizeof octet)) {
        if (!copy_data(c, &value, sizeof value)) {
            return;
        }
        octet = (uint8_t)value;
    }
    d->ecn = octet & ECN_MASK;
    arrival->dscp = octet >> DSCP_SHIFT;
}

static void read_ttl(const struct cmsghdr *c, struct kirim_arrival *arrival)
{
    int value;
    if (copy_data(c, &value, sizeof value)) {
        arrival->ttl = (uint32_t)value;
    }
}

static uint64_t ns_of(const struct timespec *time)
{
    return time->tv_sec < 0 ? 0 : (uint64_t)time->tv_sec * NS_PER_SECOND + (uint64_t)time->tv_nsec;
}

/* Reads both clocks. Wall time comes first: what passes between the two then makes an arrival seem
 * later, and never earlier than it was. */
static void read_clocks(struct ki_control_clock *clock)
{
    struct timespec wall;
    struct timespec now;
    if (clock->sys->clock_gettime(CLOCK_REALTIME, &wall) == 0 &&
        clock->sys->clock_gettime(CLOCK_MONOTONIC, &now) == 0) {
        clock->wall_ns = ns_of(&wall);
        clock->now_ns = ns_of(&now);
    }
}

/* When a stamp was made, in loop time: as long ago as it is by the wall clock. That one may have
 * been set meanwhile, so the result is bounded by the loop's own present and by its beginning. */
static void read_time(const struct cmsghdr *c, struct ki_control_clock *clock,
                      struct kirim_arrival *arrival)
{
    struct timespec stamp;
    if (!copy_data(c, &stamp, sizeof stamp)) {
        return;
    }
    if (clock->wall_ns == 0) {
        read_clocks(clock);
    }
    const uint64_t stamp_ns = ns_of(&stamp);
    const uint64_t age_ns = stamp_ns < clock->wall_ns ? clock->wall_ns - stamp_ns : 0;
    const uint64_t time_ns = age_ns < clock->now_ns ? clock->now_ns - age_ns : 0;
    arrival->time_ns = clock->turn_ns != 0 && clock->turn_ns < time_ns ? clock->turn_ns : time_ns;
}

static void read_one(const struct cmsghdr *c, uint16_t net_port, struct ki_control_clock *clock,
                     struct kirim_arrival *arrival, struct kirim_datagram *d)
{
    if (c->cmsg_level == SOL_SOCKET) {
        if (c->cmsg_type == SCM_TIMESTAMPNS) {
            read_time(c, clock, arrival);
        }
    } else if (c->cmsg_level == IPPROTO_IP) {
        if (c->cmsg_type == IP_PKTINFO) {
            read_local_ipv4(c, net_port, arrival, d);
        } else if (c->cmsg_type == IP_TOS) {
            read_octet(c, arrival, d);
        } else if (c->cmsg_type == IP_TTL) {
            read_ttl(c, arrival);
        }
    } else if (c->cmsg_level == IPPROTO_IPV6) {
        if (c->cmsg_type == IPV6_PKTINFO) {
            /* Of an IPv4 datagram both families tell: the other one knows more. */
            if (kirim_addr_family(&arrival->local) == KIRIM_FAMILY_NONE) {
                read_local_ipv6(c, net_port, arrival);
            }
        } else if (c->cmsg_type == IPV6_TCLASS) {
            read_octet(c, arrival, d);
        } else if (c->cmsg_type == IPV6_HOPLIMIT) {
            read_ttl(c, arrival);
        }
    }
}

uint32_t ki_control_segment(const struct msghdr *header)
{
    /* The macro takes the header without const, and does not write to it. */
    struct msghdr copy = *header;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c != NULL; c = CMSG_NXTHDR(&copy, c)) {
        int bytes;
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO &&
            copy_data(c, &bytes, sizeof bytes) && bytes > 0) {
            return (uint32_t)bytes;
        }
    }
    return 0;
}

void ki_control_read(const struct msghdr *header, const struct kirim_addr *local,
                     struct ki_control_clock *clock, struct kirim_arrival *arrival,
                     struct kirim_datagram *d)
{
    const uint16_t net_port = htons(kirim_addr_port(local));
    *arrival = (struct kirim_arrival){ .ifindex = 0 };
    /* The macro takes the header without const, and does not write to it. */
    struct msghdr copy = *header;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c != NULL; c = CMSG_NXTHDR(&copy, c)) {
        read_one(c, net_port, clock, arrival, d);
    }
    if (kirim_addr_family(&arrival->local) == KIRIM_FAMILY_NONE) {
        if (kirim_addr_is_wildcard(local)) {
            d->flags |= KIRIM_RX_NO_LOCAL;
        } else {
            arrival->local = *local;
        }
    }
    d->arrival = arrival;
}
