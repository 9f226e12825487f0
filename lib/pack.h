/* SPDX-License-Identifier: MIT
 *
 * What the building blocks share: numbers and addresses as bytes that are the same on every
 * machine, and points in time that do not wrap. Owns nothing. Any thread.
 */
#ifndef KI_PACK_H
#define KI_PACK_H

#include <kirim/addr.h>

/* Bytes of a packed address: address 16, scope 4, port 2, family 1. */
enum { KI_PACKED_ADDR_BYTES = 23 };

/* `now_ns` and a delay; KIRIM_NEVER if the clock does not go so far. */
static inline uint64_t ki_after(uint64_t now_ns, uint64_t delay_ns)
{
    return delay_ns < KIRIM_NEVER - now_ns ? now_ns + delay_ns : KIRIM_NEVER;
}

/* Written out, for then compilers make one load of it; a loop they do not see through. */
static inline uint64_t ki_load_le64(const uint8_t *b)
{
    return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 |
           (uint64_t)b[4] << 32 | (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 |
           (uint64_t)b[7] << 56;
}

static inline void ki_store_le64(uint8_t *bytes, uint64_t word)
{
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(word >> (8 * i));
    }
}

static inline uint32_t ki_load_be32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
           (uint32_t)bytes[3];
}

static inline void ki_store_be32(uint8_t *bytes, uint32_t word)
{
    bytes[0] = (uint8_t)(word >> 24);
    bytes[1] = (uint8_t)(word >> 16);
    bytes[2] = (uint8_t)(word >> 8);
    bytes[3] = (uint8_t)word;
}

/* All of an address: two are packed alike exactly if they are equal. */
static inline void ki_pack_addr(const struct kirim_addr *addr, uint8_t out[KI_PACKED_ADDR_BYTES])
{
    const uint16_t port = kirim_addr_port(addr);
    (void)kirim_addr_bytes(addr, out);
    ki_store_be32(out + 16, kirim_addr_scope(addr));
    out[20] = (uint8_t)(port >> 8);
    out[21] = (uint8_t)port;
    out[22] = (uint8_t)kirim_addr_family(addr);
}

/* Clears what of an address, as it lies on the wire, is behind its first `bits` bits. */
static inline void ki_keep_prefix(uint8_t addr[16], unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        const unsigned kept = bits > 8 * i ? bits - 8 * i : 0;
        addr[i] &= (uint8_t)(kept >= 8 ? 0xffU : 0xff00U >> kept & 0xffU);
    }
}

/* The prefix of an address, of so many bits by its family, as ki_pack_addr() packs addresses. */
static inline void ki_pack_prefix(const struct kirim_addr *addr, unsigned ipv4_bits,
                                  unsigned ipv6_bits, uint8_t out[KI_PACKED_ADDR_BYTES])
{
    struct kirim_addr host = *addr;
    kirim_addr_set_port(&host, 0);
    ki_pack_addr(&host, out);
    ki_keep_prefix(out, kirim_addr_family(addr) == KIRIM_IPV6 ? ipv6_bits : ipv4_bits);
}

/* A place among `count`, evenly by the upper half of a hash: no division, and any count. */
static inline uint32_t ki_place_of(uint64_t hash, uint32_t count)
{
    return (uint32_t)((hash >> 32) * count >> 32);
}

/* `value` and up to `permille` thousandths of it more, the share by `random`. `value` is at most
 * 2^53 (104 days in nanoseconds) and `permille` at most 1,000, so that nothing overflows. */
static inline uint64_t ki_stretch(uint64_t value, uint32_t permille, uint64_t random)
{
    const uint64_t share = (random >> 32) * ((uint64_t)permille + 1) >> 32;
    return value + value * share / 1000;
}

#endif
