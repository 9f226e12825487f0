/* SPDX-License-Identifier: MIT
 *
 * Control data on Windows, both ways: struct kirim_control to control messages, control messages to
 * struct kirim_arrival.
 *
 * The level follows the destination, not the socket: IPv4, mapped or not, takes IPPROTO_IP (S9).
 * Datagrams and ports without control data never come here. Owns nothing. Loop thread. Sources:
 * the reference pages of WSASendMsg, LPFN_WSARECVMSG, WSAMSG, IN_PKTINFO, IN6_PKTINFO, "IPPROTO_IP
 * socket options", "IPPROTO_IPV6 socket options", "IPPROTO_UDP socket options", "Winsock Explicit
 * Congestion Notification (ECN)".
 */
#ifndef KI_WIN_CONTROL_H
#define KI_WIN_CONTROL_H

#include "reactor.h"
#include "win_addr.h"

/* The macros of mswsock.h, as constants and in size_t: theirs are signed offsets. A machine's
 * natural alignment is that of its SIZE_T. */
#define KI_WIN_CMSG_ALIGN(bytes) (((bytes) + sizeof(SIZE_T) - 1) / sizeof(SIZE_T) * sizeof(SIZE_T))
#define KI_WIN_CMSG_LEN(bytes)   (KI_WIN_CMSG_ALIGN(sizeof(WSACMSGHDR)) + (bytes))
#define KI_WIN_CMSG_SPACE(bytes) KI_WIN_CMSG_ALIGN(KI_WIN_CMSG_LEN(bytes))

enum {
    /* Source and interface, traffic class, hop limit, segment: all there can be in one message
       out. */
    KI_WIN_CONTROL_TX_BYTES =
        (int)(KI_WIN_CMSG_SPACE(sizeof(IN6_PKTINFO)) + 3 * KI_WIN_CMSG_SPACE(sizeof(INT))),
    /* A dual-stack socket is told the local address of an IPv4 datagram twice, once in each family
       (L38), and may be told ECN and the whole octet. With room to spare: what does not fit fails
       the receive. */
    KI_WIN_CONTROL_RX_BYTES = 256
};

/* Room for one message's control data, aligned as the WSA_CMSG_ macros want it. */
struct ki_win_control_out {
    uint64_t words[KI_WIN_CONTROL_TX_BYTES / sizeof(uint64_t)];
};

struct ki_win_control_in {
    uint64_t words[KI_WIN_CONTROL_RX_BYTES / sizeof(uint64_t)];
};
_Static_assert(KI_WIN_CONTROL_TX_BYTES % sizeof(uint64_t) == 0 &&
                   KI_WIN_CONTROL_RX_BYTES % sizeof(uint64_t) == 0,
               "no byte of control data lies behind the words");

/* Writes what `control` says to a peer of this family (KIRIM_IPV4 or KIRIM_IPV6). Returns the
 * length, which may be 0. A source is of the same family: the core has seen to that (S9). */
ULONG ki_win_control_write(struct ki_win_control_out *out, const struct kirim_control *control,
                           int family);

/* Appends the size of the segments that the system is to cut the bytes into, behind `bytes` of
 * control data. Returns the new length. */
ULONG ki_win_control_add_segment(struct ki_win_control_out *out, ULONG bytes,
                                 uint32_t segment_bytes);

/* Size of the segments of an arrival that the system has coalesced; 0: it has not. */
uint32_t ki_win_control_segment(const WSABUF *control);

/* When the datagram came, as the system counts; 0: it does not tell. */
uint64_t ki_win_control_ticks(const WSABUF *control);

/* Reads what came with one datagram: the arrival, and ECN and KIRIM_RX_NO_LOCAL of the datagram.
 * `msg` is as WSARecvMsg has left it; of a broadcast (MSG_BCAST) no local address is told, for that
 * of the broadcast is nobody's source, and the own one is not known here. `local` is the port's own
 * address; if that is a wildcard, the system has to tell. */
void ki_win_control_read(const WSAMSG *msg, const struct kirim_addr *local,
                         struct kirim_arrival *arrival, struct kirim_datagram *d);

#endif
