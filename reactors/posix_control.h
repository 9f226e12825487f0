/* SPDX-License-Identifier: MIT
 *
 * Control data of the POSIX reactors, both ways: struct kirim_control to control messages, control
 * messages to struct kirim_arrival.
 *
 * The level follows the destination, not the socket: IPv4, mapped or not, takes IPPROTO_IP. Linux
 * accepts the other level and ignores it (L29), so nothing but a receiving test tells the
 * difference. Datagrams and ports without control data never come here. Owns nothing. Loop thread.
 * Sources: ip(7), ipv6(7), cmsg(3), RFC 3542 sections 4 to 6, RFC 3168 section 5.
 */
#ifndef KI_POSIX_CONTROL_H
#define KI_POSIX_CONTROL_H

#include "posix_addr.h"
#include "posix_sys.h"
#include "reactor.h"

#include <sys/socket.h>

enum {
    /* Source and interface, traffic class, hop limit, don't-fragment, segment, time: all there can
       be in one message out. */
    KI_CONTROL_TX_BYTES = CMSG_SPACE(sizeof(struct in6_pktinfo)) + 3 * CMSG_SPACE(sizeof(int)) +
                          CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(uint64_t)),
    /* A dual-stack socket is told the local address of an IPv4 datagram twice, once in each family
       (L38). And the time. */
    KI_CONTROL_RX_BYTES = KI_CONTROL_TX_BYTES + CMSG_SPACE(sizeof(struct in_pktinfo)) +
                          CMSG_SPACE(sizeof(struct timespec))
};

/* Room for one message's control data, aligned as the macros of cmsg(3) want it. */
struct ki_posix_control_out {
    uint64_t words[KI_CONTROL_TX_BYTES / sizeof(uint64_t)];
};

struct ki_posix_control_in {
    uint64_t words[KI_CONTROL_RX_BYTES / sizeof(uint64_t)];
    struct kirim_arrival arrival; /* lent with the datagram */
};
_Static_assert(KI_CONTROL_TX_BYTES % sizeof(uint64_t) == 0 &&
                   KI_CONTROL_RX_BYTES % sizeof(uint64_t) == 0,
               "no byte of control data lies behind the words");

/* The clocks of one batch. The system stamps an arrival with wall time, and kirim tells it in loop
 * time: with one reading of both, and only if something has a stamp. */
struct ki_control_clock {
    const struct ki_posix_sys *sys;
    uint64_t turn_ns; /* the loop's time, if this turn has one: nothing has come later; or 0 */
    uint64_t wall_ns; /* both clocks at one moment; 0: not read yet */
    uint64_t now_ns;
};

/* Writes what `control` says to a peer of this family (KIRIM_IPV4 or KIRIM_IPV6). Returns the
 * length, which may be 0. A source is of the same family: the core has seen to that (S9). Linux has
 * no control data that keeps an IPv4 datagram whole: see posix_mtu.h. */
size_t ki_control_write(struct ki_posix_control_out *out, const struct kirim_control *control,
                        int family);

/* Appends the size of the segments that the system is to cut the bytes into, behind `bytes` of
 * control data. Returns the new length. */
size_t ki_control_add_segment(struct ki_posix_control_out *out, size_t bytes,
                              uint16_t segment_bytes);

/* Size of the segments of an arrival that the system has coalesced; 0: it has not. */
uint32_t ki_control_segment(const struct msghdr *header);

/* Reads what came with one datagram: the arrival, and ECN and KIRIM_RX_NO_LOCAL of the datagram.
 * `local` is the port's own address; if that is a wildcard, the system has to tell. */
void ki_control_read(const struct msghdr *header, const struct kirim_addr *local,
                     struct ki_control_clock *clock, struct kirim_arrival *arrival,
                     struct kirim_datagram *d);

#endif
