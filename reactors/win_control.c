/* SPDX-License-Identifier: MIT
 *
 * Encoding and decoding of control messages; see win_control.h.
 *
 * Keeps true: every byte handed to the system is written, padding included; what a system writes
 * shorter or longer than expected is not believed. Every value is an INT or a DWORD of 32 bits, in
 * both directions. Owns nothing. Loop thread. Sources: see win_control.h.
 */
#include "win_control.h"

enum {
    ECN_MASK = 3,
    DSCP_SHIFT = 2,
    /* fe80::/10 and the multicast addresses: the only ones whose meaning depends on an interface.
     */
    SCOPED_FIRST_BYTE = 0xfe
};

/* ---- out ------------------------------------------------------------------------------------- */

/* Appends one control message at `bytes`. Returns the new length. */
static ULONG append(struct ki_win_control_out *out, ULONG bytes, int level, int type,
                    const void *data, size_t data_bytes)
{
    uint8_t *at = (uint8_t *)out->words + bytes;
    const WSACMSGHDR header = {
        .cmsg_len = KI_WIN_CMSG_LEN(data_bytes),
        .cmsg_level = level,
        .cmsg_type = type,
    };
    memset(at, 0, KI_WIN_CMSG_SPACE(data_bytes));
    memcpy(at, &header, sizeof header);
    memcpy(at + KI_WIN_CMSG_LEN(0), data, data_bytes);
    return bytes + (ULONG)KI_WIN_CMSG_SPACE(data_bytes);
}

static ULONG append_int(struct ki_win_control_out *out, ULONG bytes, int level, int type, INT value)
{
    return append(out, bytes, level, type, &value, sizeof value);
}

static ULONG write_source_ipv4(struct ki_win_control_out *out, const struct kirim_control *control)
{
    /* There is no ipi_spec_dst here: the one address is the source of what is sent. */
    IN_PKTINFO info = { .ipi_ifindex = control->ifindex };
    memcpy(&info.ipi_addr, control->source.word, sizeof info.ipi_addr);
    return append(out, 0, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
}

static ULONG write_source_ipv6(struct ki_win_control_out *out, const struct kirim_control *control)
{
    const uint32_t scope = kirim_addr_scope(&control->source);
    IN6_PKTINFO info = { .ipi6_ifindex = control->ifindex != 0 ? control->ifindex : scope };
    memcpy(&info.ipi6_addr, control->source.word, sizeof info.ipi6_addr);
    return append(out, 0, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

/* ECN has a control message of its own, older and wider spread than that of the whole octet, which
 * is therefore said only if there is a DSCP in it. */
static ULONG write_octet(struct ki_win_control_out *out, ULONG bytes,
                         const struct kirim_control *control, bool is_ipv4)
{
    const int level = is_ipv4 ? IPPROTO_IP : IPPROTO_IPV6;
    if (control->dscp == 0) {
        return append_int(out, bytes, level, is_ipv4 ? KI_IP_ECN : KI_IPV6_ECN, control->ecn);
    }
    return append_int(out, bytes, level, is_ipv4 ? IP_TOS : IPV6_TCLASS,
                      control->dscp << DSCP_SHIFT | control->ecn);
}

ULONG ki_win_control_write(struct ki_win_control_out *out, const struct kirim_control *control,
                           int family)
{
    const bool is_ipv4 = family == KIRIM_IPV4;
    ULONG bytes = 0;
    if (control->ifindex != 0 || kirim_addr_family(&control->source) != KIRIM_FAMILY_NONE) {
        bytes = is_ipv4 ? write_source_ipv4(out, control) : write_source_ipv6(out, control);
    }
    if ((control->ecn | control->dscp) != 0) {
        bytes = write_octet(out, bytes, control, is_ipv4);
    }
    if (control->ttl != 0) {
        bytes = append_int(out, bytes, is_ipv4 ? IPPROTO_IP : IPPROTO_IPV6,
                           is_ipv4 ? IP_TTL : IPV6_HOPLIMIT, control->ttl);
    }
    return bytes;
}

ULONG ki_win_control_add_segment(struct ki_win_control_out *out, ULONG bytes,
                                 uint32_t segment_bytes)
{
    const DWORD value = segment_bytes;
    return append(out, bytes, IPPROTO_UDP, KI_UDP_SEND_MSG_SIZE, &value, sizeof value);
}

/* ---- in -------------------------------------------------------------------------------------- */

/* One control message of an arrival. */
struct message {
    WSACMSGHDR header;
    const uint8_t *data;
    size_t data_bytes;
};

/* Reads the message at `*at` and moves on; false: there is none, or none that is whole. */
static bool next_message(const WSABUF *control, size_t *at, struct message *out)
{
    const size_t left = control->len > *at ? control->len - *at : 0;
    if (left < KI_WIN_CMSG_LEN(0)) {
        return false;
    }
    const uint8_t *bytes = (const uint8_t *)control->buf + *at;
    memcpy(&out->header, bytes, sizeof out->header);
    if (out->header.cmsg_len < KI_WIN_CMSG_LEN(0) || out->header.cmsg_len > left) {
        return false;
    }
    out->data = bytes + KI_WIN_CMSG_LEN(0);
    out->data_bytes = out->header.cmsg_len - KI_WIN_CMSG_LEN(0);
    *at += KI_WIN_CMSG_ALIGN(out->header.cmsg_len);
    return true;
}

/* Copies the data of a control message; false if it is not of this length. */
static bool copy_data(const struct message *m, void *out, size_t bytes)
{
    if (m->data_bytes != bytes) {
        return false;
    }
    memcpy(out, m->data, bytes);
    return true;
}

/* The address that an IPv4 datagram was sent to; that of all hosts is a broadcast, flag or no flag,
 * and not told. */
static void read_local_ipv4(const struct message *m, uint16_t port, struct kirim_arrival *arrival,
                            struct kirim_datagram *d)
{
    IN_PKTINFO info;
    if (copy_data(m, &info, sizeof info)) {
        uint8_t bytes[4];
        memcpy(bytes, &info.ipi_addr, sizeof bytes);
        if (info.ipi_addr.s_addr == INADDR_BROADCAST) {
            d->flags |= KIRIM_RX_BROADCAST;
        } else {
            arrival->local = kirim_addr_ipv4(bytes, port);
        }
        arrival->ifindex = info.ipi_ifindex;
    }
}

static void read_local_ipv6(const struct message *m, uint16_t port, struct kirim_arrival *arrival)
{
    IN6_PKTINFO info;
    if (copy_data(m, &info, sizeof info)) {
        const uint8_t *bytes = (const uint8_t *)&info.ipi6_addr;
        arrival->local =
            kirim_addr_ipv6(bytes, port, bytes[0] >= SCOPED_FIRST_BYTE ? info.ipi6_ifindex : 0);
        arrival->ifindex = info.ipi6_ifindex;
    }
}

static void read_octet(const struct message *m, struct kirim_arrival *arrival,
                       struct kirim_datagram *d)
{
    INT value;
    if (copy_data(m, &value, sizeof value)) {
        const uint8_t octet = (uint8_t)value;
        d->ecn = octet & ECN_MASK;
        arrival->dscp = octet >> DSCP_SHIFT;
    }
}

static void read_ecn(const struct message *m, struct kirim_datagram *d)
{
    INT value;
    if (copy_data(m, &value, sizeof value)) {
        d->ecn = (uint8_t)(value & ECN_MASK);
    }
}

static void read_ttl(const struct message *m, struct kirim_arrival *arrival)
{
    INT value;
    if (copy_data(m, &value, sizeof value)) {
        arrival->ttl = (uint32_t)value;
    }
}

static void read_ipv4(const struct message *m, uint16_t port, struct kirim_arrival *arrival,
                      struct kirim_datagram *d)
{
    if (m->header.cmsg_type == IP_PKTINFO) {
        read_local_ipv4(m, port, arrival, d);
    } else if (m->header.cmsg_type == IP_TOS) {
        read_octet(m, arrival, d);
    } else if (m->header.cmsg_type == KI_IP_ECN) {
        read_ecn(m, d);
    } else if (m->header.cmsg_type == IP_TTL || m->header.cmsg_type == IP_HOPLIMIT) {
        read_ttl(m, arrival); /* the option is the one, the message either */
    }
}

static void read_ipv6(const struct message *m, uint16_t port, struct kirim_arrival *arrival,
                      struct kirim_datagram *d)
{
    if (m->header.cmsg_type == IPV6_PKTINFO) {
        /* Of an IPv4 datagram both families tell: the other one says the same. */
        if (kirim_addr_family(&arrival->local) == KIRIM_FAMILY_NONE) {
            read_local_ipv6(m, port, arrival);
        }
    } else if (m->header.cmsg_type == IPV6_TCLASS) {
        read_octet(m, arrival, d);
    } else if (m->header.cmsg_type == KI_IPV6_ECN) {
        read_ecn(m, d);
    } else if (m->header.cmsg_type == IPV6_HOPLIMIT) {
        read_ttl(m, arrival);
    }
}

uint32_t ki_win_control_segment(const WSABUF *control)
{
    struct message m;
    size_t at = 0;
    while (next_message(control, &at, &m)) {
        DWORD bytes;
        if (m.header.cmsg_level == IPPROTO_UDP && m.header.cmsg_type == KI_UDP_COALESCED_INFO &&
            copy_data(&m, &bytes, sizeof bytes)) {
            return bytes;
        }
    }
    return 0;
}

uint64_t ki_win_control_ticks(const WSABUF *control)
{
    struct message m;
    size_t at = 0;
    while (next_message(control, &at, &m)) {
        uint64_t ticks;
        if (m.header.cmsg_level == SOL_SOCKET && m.header.cmsg_type == KI_SO_TIMESTAMP &&
            copy_data(&m, &ticks, sizeof ticks)) {
            return ticks;
        }
    }
    return 0;
}

void ki_win_control_read(const WSAMSG *msg, const struct kirim_addr *local,
                         struct kirim_arrival *arrival, struct kirim_datagram *d)
{
    const uint16_t port = kirim_addr_port(local);
    struct message m;
    size_t at = 0;
    *arrival = (struct kirim_arrival){ .ifindex = 0 };
    while (next_message(&msg->Control, &at, &m)) {
        if (m.header.cmsg_level == IPPROTO_IP) {
            read_ipv4(&m, port, arrival, d);
        } else if (m.header.cmsg_level == IPPROTO_IPV6) {
            read_ipv6(&m, port, arrival, d);
        }
    }
    if ((msg->dwFlags & MSG_BCAST) != 0) {
        arrival->local = (struct kirim_addr){ { 0, 0, 0 } };
        d->flags |= KIRIM_RX_BROADCAST;
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
