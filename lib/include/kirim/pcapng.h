/* SPDX-License-Identifier: MIT
 *
 * Captures in the format pcapng, as bytes: what Wireshark and its kin read. The caller has the
 * file, or whatever the bytes go to, and gives a buffer for each block. Datagrams are given as they
 * are known above the network, and get IP and UDP headers that say the same, with right checksums.
 * Stamps are nanoseconds. All blocks are in little-endian order, on every machine. Owns nothing.
 * Sources: draft-ietf-opsawg-pcapng (sections 3.5, 4.1, 4.2, 4.3), LINKTYPE_RAW, RFC 768, RFC 791,
 * RFC 8200.
 */
#ifndef KIRIM_PCAPNG_H
#define KIRIM_PCAPNG_H

#include <kirim/addr.h>
#include <kirim/config.h>

enum {
    KIRIM_PCAPNG_TEXT_BYTES_MAX = 255,   /**< Of a name or a comment; what is longer is cut. */
    KIRIM_PCAPNG_BLOCK_BYTES_MAX = 66000 /**< No block is larger. */
};

/** A datagram for a capture. */
struct kirim_pcapng_packet {
    uint64_t time_ns;    /**< Stamp: nanoseconds since the beginning of 1970, or of anything. */
    const uint8_t *data; /**< Payload. */
    uint32_t bytes;      /**< Of it; at most KIRIM_PAYLOAD_IPV4_BYTES_MAX or its sibling. */
    uint32_t interface_index; /**< Number of its interface, in the order of their blocks, from 0. */
    struct kirim_addr source; /**< Where it is from, */
    struct kirim_addr dest;   /**< and for, of the same family. */
    const char *comment;      /**< UTF-8; NULL: none. */
    uint8_t ecn;              /**< Two bits. */
    uint8_t dscp;             /**< Six bits. */
    uint8_t ttl;              /**< Time to live, or hop limit. */
    bool is_sent;             /**< Outbound at this interface, else inbound. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Writes the block that a capture begins with.
 *
 * @param out   Buffer.
 * @param room  Its bytes.
 * @return Bytes written; 0: there was no room, nothing was written.
 * @note Any thread.
 */
KIRIM_API size_t kirim_pcapng_begin(uint8_t *out, size_t room);

/**
 * @brief Writes the block of an interface; interfaces may come at any time, each before its
 * packets.
 *
 * @param out   Buffer.
 * @param room  Its bytes.
 * @param name  UTF-8.
 * @return Bytes written; 0: there was no room, nothing was written.
 * @note Any thread.
 */
KIRIM_API size_t kirim_pcapng_interface(uint8_t *out, size_t room, const char *name);

/**
 * @brief Writes the block of a datagram.
 *
 * @param out     Buffer.
 * @param room    Its bytes; KIRIM_PCAPNG_BLOCK_BYTES_MAX always do.
 * @param packet  The datagram.
 * @return Bytes written; 0: there was no room, or the packet has no two addresses of one family, or
 *         is too long; nothing was written.
 * @note Any thread.
 */
KIRIM_API size_t kirim_pcapng_packet(uint8_t *out, size_t room,
                                     const struct kirim_pcapng_packet *packet);

KIRIM_END_DECLS

#endif
