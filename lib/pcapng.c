/* SPDX-License-Identifier: MIT
 *
 * Captures in the format pcapng: see kirim/pcapng.h.
 *
 * A block is written only when its whole length is known to fit, so that no write can fail in the
 * midst. Owns nothing. Any thread.
 */
#include <kirim/pcapng.h>

#include <string.h>

enum {
    SECTION = 0x0a0d0d0a,
    INTERFACE = 1,
    ENHANCED_PACKET = 6,
    BYTE_ORDER = 0x1a2b3c4d,
    LINKTYPE_RAW = 101, /* packets begin with IPv4 or IPv6 */
    OPTION_END = 0,
    OPTION_COMMENT = 1,
    OPTION_NAME = 2,       /* of an interface */
    OPTION_FLAGS = 2,      /* of a packet */
    OPTION_RESOLUTION = 9, /* of an interface's stamps */
    NANOSECONDS = 9,       /* 10^-9 */
    INBOUND = 1,
    OUTBOUND = 2,
    BLOCK_FRAME = 12, /* type, and the length twice */
    OPTION_HEADER = 4,
    SECTION_BODY = 16,
    INTERFACE_BODY = 8,
    PACKET_BODY = 20,
    IPV4_HEADER = 20,
    IPV6_HEADER = 40,
    UDP_HEADER = 8,
    UDP = 17,
    IP_BYTES_MAX = 65535
};

/* Where the next byte goes; there is room. */
struct writer {
    uint8_t *at;
};

static void put_le(struct writer *w, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        *w->at++ = (uint8_t)(value >> (8 * i));
    }
}

static void put_be16(struct writer *w, uint32_t value)
{
    *w->at++ = (uint8_t)(value >> 8);
    *w->at++ = (uint8_t)value;
}

static size_t padded(size_t bytes)
{
    return (bytes + 3) & ~(size_t)3;
}

static void put_bytes(struct writer *w, const void *data, size_t bytes)
{
    if (bytes > 0) {
        memcpy(w->at, data, bytes);
    }
    w->at += bytes;
}

/* Up to the next multiple of four after `bytes`. */
static void put_padding(struct writer *w, size_t bytes)
{
    const size_t rest = padded(bytes) - bytes;
    memset(w->at, 0, rest);
    w->at += rest;
}

static void put_option(struct writer *w, uint32_t code, const void *value, size_t bytes)
{
    put_le(w, code, 2);
    put_le(w, (uint32_t)bytes, 2);
    put_bytes(w, value, bytes);
    put_padding(w, bytes);
}

static size_t option_bytes(size_t bytes)
{
    return OPTION_HEADER + padded(bytes);
}

static size_t text_bytes(const char *text)
{
    size_t bytes = 0;
    while (bytes < KIRIM_PCAPNG_TEXT_BYTES_MAX && text[bytes] != '\0') {
        bytes++;
    }
    return bytes;
}

static void begin_block(struct writer *w, uint32_t type, size_t bytes)
{
    put_le(w, type, 4);
    put_le(w, (uint32_t)bytes, 4);
}

static size_t end_block(struct writer *w, size_t bytes)
{
    put_le(w, (uint32_t)bytes, 4);
    return bytes;
}

size_t kirim_pcapng_begin(uint8_t *out, size_t room)
{
    const size_t bytes = BLOCK_FRAME + SECTION_BODY;
    struct writer w = { out };
    if (room < bytes) {
        return 0;
    }
    begin_block(&w, SECTION, bytes);
    put_le(&w, BYTE_ORDER, 4);
    put_le(&w, 1, 2); /* version 1.0 */
    put_le(&w, 0, 2);
    put_le(&w, UINT32_MAX, 4); /* the length of the section is not known */
    put_le(&w, UINT32_MAX, 4);
    return end_block(&w, bytes);
}

size_t kirim_pcapng_interface(uint8_t *out, size_t room, const char *name)
{
    static const uint8_t resolution = NANOSECONDS;
    const size_t name_bytes = text_bytes(name);
    const size_t bytes = BLOCK_FRAME + INTERFACE_BODY + option_bytes(name_bytes) +
                         option_bytes(sizeof resolution) + OPTION_HEADER;
    struct writer w = { out };
    if (room < bytes) {
        return 0;
    }
    begin_block(&w, INTERFACE, bytes);
    put_le(&w, LINKTYPE_RAW, 2);
    put_le(&w, 0, 2);
    put_le(&w, 0, 4); /* packets are never cut */
    put_option(&w, OPTION_NAME, name, name_bytes);
    put_option(&w, OPTION_RESOLUTION, &resolution, sizeof resolution);
    put_option(&w, OPTION_END, NULL, 0);
    return end_block(&w, bytes);
}

/* ---- the packet itself ----------------------------------------------------------------------- */

/* The sum of 16-bit words in network order, of which a checksum is made; RFC 1071. */
static uint32_t sum_words(uint32_t sum, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i + 1 < bytes; i += 2) {
        sum += (uint32_t)data[i] << 8 | data[i + 1];
    }
    if (bytes % 2 != 0) {
        sum += (uint32_t)data[bytes - 1] << 8;
    }
    return (sum & 0xffff) + (sum >> 16);
}

static uint32_t checksum(uint32_t sum)
{
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum & 0xffff;
}

static void put_ipv4(struct writer *w, const struct kirim_pcapng_packet *p, size_t bytes)
{
    uint8_t addr[16];
    uint8_t *const header = w->at;
    *w->at++ = 0x45;
    *w->at++ = (uint8_t)(p->dscp << 2 | p->ecn);
    put_be16(w, (uint32_t)bytes);
    put_be16(w, 0); /* identification */
    put_be16(w, 0); /* no fragment */
    *w->at++ = p->ttl;
    *w->at++ = UDP;
    put_be16(w, 0);
    (void)kirim_addr_bytes(&p->source, addr);
    put_bytes(w, addr, 4);
    (void)kirim_addr_bytes(&p->dest, addr);
    put_bytes(w, addr, 4);
    struct writer sum = { header + 10 };
    put_be16(&sum, checksum(sum_words(0, header, IPV4_HEADER)));
}

static void put_ipv6(struct writer *w, const struct kirim_pcapng_packet *p, size_t bytes)
{
    uint8_t addr[16];
    const uint32_t traffic_class = (uint32_t)p->dscp << 2 | p->ecn;
    put_be16(w, 6U << 12 | traffic_class << 4);
    put_be16(w, 0); /* no flow label */
    put_be16(w, (uint32_t)(bytes - IPV6_HEADER));
    *w->at++ = UDP;
    *w->at++ = p->ttl;
    (void)kirim_addr_bytes(&p->source, addr);
    put_bytes(w, addr, 16);
    (void)kirim_addr_bytes(&p->dest, addr);
    put_bytes(w, addr, 16);
}

/* The datagram behind its IP header; the addresses are the last of that, and count as words. */
static void put_udp(struct writer *w, const struct kirim_pcapng_packet *p, size_t addrs_bytes)
{
    const uint32_t length = UDP_HEADER + p->bytes;
    uint8_t *const header = w->at;
    put_be16(w, kirim_addr_port(&p->source));
    put_be16(w, kirim_addr_port(&p->dest));
    put_be16(w, length);
    put_be16(w, 0);
    put_bytes(w, p->data, p->bytes);
    uint32_t sum = sum_words(UDP + length, header - addrs_bytes, addrs_bytes);
    sum = checksum(sum_words(sum, header, length));
    struct writer at = { header + 6 };
    put_be16(&at, sum == 0 ? 0xffff : sum); /* 0 would say that there is none */
}

/* Bytes of the whole IP packet; 0: there is none like that. */
static size_t packet_bytes(const struct kirim_pcapng_packet *p)
{
    const int family = kirim_addr_family(&p->source);
    if (family == KIRIM_FAMILY_NONE || family != kirim_addr_family(&p->dest)) {
        return 0;
    }
    const bool is_ipv4 = family == KIRIM_IPV4;
    const size_t most = IP_BYTES_MAX - (is_ipv4 ? (size_t)IPV4_HEADER : 0) - UDP_HEADER;
    if (p->bytes > most) {
        return 0;
    }
    return (is_ipv4 ? (size_t)IPV4_HEADER : (size_t)IPV6_HEADER) + UDP_HEADER + p->bytes;
}

size_t kirim_pcapng_packet(uint8_t *out, size_t room, const struct kirim_pcapng_packet *packet)
{
    const uint8_t flags[4] = { packet->is_sent ? OUTBOUND : INBOUND };
    const bool is_ipv4 = kirim_addr_family(&packet->source) == KIRIM_IPV4;
    const size_t whole = packet_bytes(packet);
    const size_t comment_bytes = packet->comment == NULL ? 0 : text_bytes(packet->comment);
    const size_t bytes = BLOCK_FRAME + PACKET_BODY + padded(whole) + option_bytes(sizeof flags) +
                         (comment_bytes > 0 ? option_bytes(comment_bytes) : 0) + OPTION_HEADER;
    struct writer w = { out };
    if (whole == 0 || room < bytes) {
        return 0;
    }
    begin_block(&w, ENHANCED_PACKET, bytes);
    put_le(&w, packet->interface_index, 4);
    put_le(&w, (uint32_t)(packet->time_ns >> 32), 4);
    put_le(&w, (uint32_t)packet->time_ns, 4);
    put_le(&w, (uint32_t)whole, 4);
    put_le(&w, (uint32_t)whole, 4);
    if (is_ipv4) {
        put_ipv4(&w, packet, whole);
        put_udp(&w, packet, 8);
    } else {
        put_ipv6(&w, packet, whole);
        put_udp(&w, packet, 32);
    }
    put_padding(&w, whole);
    put_option(&w, OPTION_FLAGS, flags, sizeof flags);
    if (comment_bytes > 0) {
        put_option(&w, OPTION_COMMENT, packet->comment, comment_bytes);
    }
    put_option(&w, OPTION_END, NULL, 0);
    return end_block(&w, bytes);
}
