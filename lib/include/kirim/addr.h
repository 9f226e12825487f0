/* SPDX-License-Identifier: MIT
 *
 * Addresses as plain values: 24 bytes, comparable word by word, the same on every system. An
 * IPv4-mapped IPv6 address is unmapped once, where it enters the library; inside there is only the
 * IPv4 form. Numeric text only: name resolution is none of the core's business. Owns nothing.
 * Sources: RFC 4291, RFC 5952, RFC 4007 section 11.
 */
#ifndef KIRIM_ADDR_H
#define KIRIM_ADDR_H

#include <kirim/config.h>
#include <kirim/error.h>

/** Address families, as kirim_addr_family() gives them. */
enum {
    KIRIM_FAMILY_NONE = 0, /**< The all-zero address: none given. */
    KIRIM_IPV4 = 4,        /**< An IPv4 address. */
    KIRIM_IPV6 = 6         /**< An IPv6 address, never a mapped one. */
};

/**
 * @brief An address with its port; a value, copied freely.
 *
 * Canonical: equal addresses have equal words. All zero means "none". Read it with the functions
 * below: the packing is the library's own.
 */
struct kirim_addr {
    /** [0] and [1]: the address bytes as they lie on the wire (IPv4: the first four, the rest
     * zero); [2]: scope id in bits 0-31, port in bits 32-47, family in bits 48-63. */
    uint64_t word[3];
};

/** Bytes that every formatted address fits in, the closing zero included. */
#define KIRIM_ADDR_TEXT_BYTES 64

KIRIM_BEGIN_DECLS

/** @brief Family of `a`: KIRIM_IPV4, KIRIM_IPV6 or KIRIM_FAMILY_NONE. Any thread. */
static inline int kirim_addr_family(const struct kirim_addr *a)
{
    return (int)(a->word[2] >> 48);
}

/** @brief Port of `a`, in the machine's byte order. Any thread. */
static inline uint16_t kirim_addr_port(const struct kirim_addr *a)
{
    return (uint16_t)(a->word[2] >> 32);
}

/** @brief Scope id of `a` (the interface index of a link-local address), or 0. Any thread. */
static inline uint32_t kirim_addr_scope(const struct kirim_addr *a)
{
    return (uint32_t)a->word[2];
}

/** @brief Sets the port of `a`; everything else stays. Any thread. */
static inline void kirim_addr_set_port(struct kirim_addr *a, uint16_t port)
{
    a->word[2] = (a->word[2] & ~((uint64_t)0xffff << 32)) | (uint64_t)port << 32;
}

/** @brief Whether `a` and `b` are the same address, port and scope. Any thread. */
static inline bool kirim_addr_equal(const struct kirim_addr *a, const struct kirim_addr *b)
{
    return ((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) | (a->word[2] ^ b->word[2])) == 0;
}

/**
 * @brief Makes an IPv4 address.
 *
 * @param bytes  The 4 address bytes in network order.
 * @param port   In the machine's byte order.
 * @return The address.
 * @note Any thread.
 */
KIRIM_API struct kirim_addr kirim_addr_ipv4(const uint8_t bytes[4], uint16_t port);

/**
 * @brief Makes an IPv6 address; a mapped one (::ffff:a.b.c.d) becomes the IPv4 address in it.
 *
 * @param bytes  The 16 address bytes in network order.
 * @param port   In the machine's byte order.
 * @param scope  Scope id; kept for the addresses that need one, else dropped: fe80::/10, and
 *               multicast to the interface or the link (ffx1::/16 and ffx2::/16).
 * @return The address.
 * @note Any thread.
 */
KIRIM_API struct kirim_addr kirim_addr_ipv6(const uint8_t bytes[16], uint16_t port, uint32_t scope);

/**
 * @brief The address bytes of `a`, in network order.
 *
 * @param a      Any address.
 * @param bytes  Gets 16 bytes; of an IPv4 address the first four, the rest zero.
 * @return How many of them count: 4, 16, or 0 for no address.
 * @note Any thread.
 */
KIRIM_API size_t kirim_addr_bytes(const struct kirim_addr *a, uint8_t bytes[16]);

/**
 * @brief Reads an address from text, numeric forms only.
 *
 * Takes `192.0.2.1`, `192.0.2.1:53`, `2001:db8::1`, `fe80::1%3`, `[2001:db8::1]`,
 * `[2001:db8::1]:53`, `[fe80::1%3]:53`; the last 32 bits of an IPv6 address may be written as an
 * IPv4 address (`64:ff9b::192.0.2.1`). Octets, port (0..65535) and scope are decimal without
 * leading zeros. A mapped address is unmapped. Refused are names, blanks, anything behind the
 * address, and a scope for an address that keeps none (see kirim_addr_ipv6()).
 *
 * @param text  Zero-terminated.
 * @param out   The address, its port 0 if none is given; written on success only.
 * @retval KIRIM_OK      `out` is set.
 * @retval KIRIM_EINVAL  Not such a text, or NULL.
 * @note Any thread.
 */
KIRIM_API kirim_err kirim_addr_parse(const char *text, struct kirim_addr *out);

/**
 * @brief Writes an address as text: `192.0.2.1:53`, `[2001:db8::1]:53`, `[fe80::1%3]:53`.
 *
 * The port is written even if it is 0. IPv6 is in the form of RFC 5952, its section 5 included:
 * `[64:ff9b::192.0.2.1]:53`. No address is written as "-".
 *
 * @param a     Any address.
 * @param text  Gets the text, always zero-terminated.
 * @param bytes Room at `text`; KIRIM_ADDR_TEXT_BYTES suffices for every address.
 * @retval KIRIM_OK        Written.
 * @retval KIRIM_EMSGSIZE  `bytes` is too small; `text` is "" if there is room for that.
 * @note Any thread.
 */
KIRIM_API kirim_err kirim_addr_format(const struct kirim_addr *a, char *text, size_t bytes);

/** @brief Whether `a` is the wildcard (0.0.0.0 or ::), whatever its port. Any thread. */
KIRIM_API bool kirim_addr_is_wildcard(const struct kirim_addr *a);

/** @brief Whether `a` is a loopback address (127.0.0.0/8 or ::1). Any thread. */
KIRIM_API bool kirim_addr_is_loopback(const struct kirim_addr *a);

/** @brief Whether `a` is a multicast address (224.0.0.0/4 or ff00::/8). Any thread. */
KIRIM_API bool kirim_addr_is_multicast(const struct kirim_addr *a);

KIRIM_END_DECLS

#endif
