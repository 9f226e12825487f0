/* SPDX-License-Identifier: MIT
 *
 * What Winsock's reference defines and the headers of mingw-w64 10 lack, or have under an older
 * name.
 *
 * The names are our own, so that newer headers may bring theirs. The numbers are those of
 * ws2ipdef.h and mstcpip.h of the Windows SDK 10.0.20348. Owns nothing. Any thread. Sources: the
 * reference pages "IPPROTO_IP socket options", "IPPROTO_IPV6 socket options", "IPPROTO_UDP socket
 * options", "Winsock IOCTLs".
 */
#ifndef KI_WIN_CONST_H
#define KI_WIN_CONST_H

#include <winsock2.h>

/* Order: these two need the first one. */
#include <mswsock.h>
#include <ws2tcpip.h>

enum {
    /* Level IPPROTO_UDP, Windows 10 2004. The first is an option and a control message, the second
     * an option, the third a control message; all are DWORDs. */
    KI_UDP_SEND_MSG_SIZE = 2,
    KI_UDP_RECV_MAX_COALESCED_SIZE = 3,
    KI_UDP_COALESCED_INFO = 3,

    /* Arrivals tell ECN: an option of IPPROTO_IP and of IPPROTO_IPV6. The control message, in and
     * out, has the same number, IP_ECN and IPV6_ECN; an INT. */
    KI_IP_RECVECN = 50,
    KI_IPV6_RECVECN = 50,
    KI_IP_ECN = 50,
    KI_IPV6_ECN = 50,

    /* Of IPPROTO_IP and of IPPROTO_IPV6 under one number: a PMTUD_STATE, and, on every system, a
     * BOOL. */
    KI_IP_MTU_DISCOVER = 71,
    KI_IP_DONTFRAGMENT = 14,
    /* PMTUD_STATE. */
    KI_IP_PMTUDISC_DO = 1,
    KI_IP_PMTUDISC_PROBE = 3,
    /* A DWORD, of a connected socket. */
    KI_IP_MTU = 73,
    KI_IPV6_MTU = 72,

    /* Level SOL_SOCKET: when an arrival came, a UINT64 of the performance counter, or of a clock of
     * the network card. Windows 10 20348. */
    KI_SO_TIMESTAMP = 0x300A,
    KI_TIMESTAMPING_FLAG_RX = 1
};

/* Of KI_SIO_TIMESTAMPING: TIMESTAMPING_CONFIG. */
struct ki_win_timestamping {
    ULONG flags; /* KI_TIMESTAMPING_FLAG_... */
    USHORT tx_buffered;
};

/* ioctl: what is time-stamped. */
#define KI_SIO_TIMESTAMPING _WSAIOW(IOC_VENDOR, 235)

/* ioctl: whether an arrived "time to live expired" fails a receive; a BOOL. */
#define KI_SIO_UDP_NETRESET _WSAIOW(IOC_VENDOR, 15)

/* ioctl: whether an arrived "port unreachable" fails a receive; a BOOL. */
#define KI_SIO_UDP_CONNRESET _WSAIOW(IOC_VENDOR, 12)

#endif
