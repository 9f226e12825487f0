/* SPDX-License-Identifier: MIT
 *
 * struct kirim_addr to struct sockaddr and back.
 *
 * Inside the library there is no IPv4-mapped address: it is unmapped when a name is read, and made
 * again when an IPv4 address is written for an AF_INET6 socket. Names are read and written in whole
 * words, for this is done for every datagram. Owns nothing. Any thread.
 * Sources: ip(7), ipv6(7), RFC 3493 section 3, RFC 4291 section 2.5.5.2.
 */
#ifndef KI_POSIX_ADDR_H
#define KI_POSIX_ADDR_H

#include <arpa/inet.h>
#include <kirim/addr.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

/* Room for the name of either family. */
union ki_posix_name {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    uint64_t word[4];
};
_Static_assert(sizeof(union ki_posix_name) == 32, "two names fill one cache line");
_Static_assert(offsetof(struct sockaddr_in, sin_port) == 2 &&
                   offsetof(struct sockaddr_in, sin_addr) == 4 &&
                   offsetof(struct sockaddr_in6, sin6_port) == 2 &&
                   offsetof(struct sockaddr_in6, sin6_flowinfo) == 4 &&
                   offsetof(struct sockaddr_in6, sin6_addr) == 8 &&
                   offsetof(struct sockaddr_in6, sin6_scope_id) == 24 && sizeof(sa_family_t) == 2,
               "the words below are composed of these fields");

enum {
    KI_IS_LITTLE_ENDIAN = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
    KI_MAPPED_PREFIX = 0xffff /* the four bytes before the IPv4 address in a mapped one */
};

/* The word whose first four bytes in memory are `first`, and the next four `second`. */
static inline uint64_t ki_word_of(uint32_t first, uint32_t second)
{
    return KI_IS_LITTLE_ENDIAN ? (uint64_t)second << 32 | first : (uint64_t)first << 32 | second;
}

/* The word that a name of this family and port begins with. */
static inline uint64_t ki_name_head(uint16_t family, uint16_t port, uint32_t rest)
{
    const uint32_t net_port = htons(port);
    return ki_word_of(
        KI_IS_LITTLE_ENDIAN ? net_port << 16 | family : (uint32_t)family << 16 | net_port, rest);
}

static inline uint32_t ki_word_first(uint64_t word)
{
    return (uint32_t)(KI_IS_LITTLE_ENDIAN ? word : word >> 32);
}

static inline uint32_t ki_word_second(uint64_t word)
{
    return (uint32_t)(KI_IS_LITTLE_ENDIAN ? word >> 32 : word);
}

/* The third word of an address. */
static inline uint64_t ki_addr_tail(int family, uint16_t net_port, uint32_t scope)
{
    return (uint64_t)family << 48 | (uint64_t)ntohs(net_port) << 32 | scope;
}

/* An address from the 16 bytes of an IPv6 one, a mapped one unmapped. */
static inline void ki_addr_from_ipv6(struct kirim_addr *out, uint64_t word0, uint64_t word1,
                                     uint16_t net_port, uint32_t scope)
{
    if (word0 == 0 && ki_word_first(word1) == htonl(KI_MAPPED_PREFIX)) {
        out->word[0] = ki_word_of(ki_word_second(word1), 0);
        out->word[1] = 0;
        out->word[2] = ki_addr_tail(KIRIM_IPV4, net_port, 0);
        return;
    }
    out->word[0] = word0;
    out->word[1] = word1;
    out->word[2] = ki_addr_tail(KIRIM_IPV6, net_port, 0);
    if (scope != 0) {
        /* Rare: addr.c alone decides which addresses keep a scope, or equal ones would differ. */
        const uint64_t bytes[2] = { word0, word1 };
        *out = kirim_addr_ipv6((const uint8_t *)bytes, ntohs(net_port), scope);
    }
}

/* Reads a name that the system wrote; one of another family gives "none". */
static inline void ki_name_read(const union ki_posix_name *name, struct kirim_addr *out)
{
    if (name->any.sa_family == AF_INET) {
        out->word[0] = ki_word_of(name->ipv4.sin_addr.s_addr, 0);
        out->word[1] = 0;
        out->word[2] = ki_addr_tail(KIRIM_IPV4, name->ipv4.sin_port, 0);
    } else if (name->any.sa_family == AF_INET6) {
        ki_addr_from_ipv6(out, name->word[1], name->word[2], name->ipv6.sin6_port,
                          name->ipv6.sin6_scope_id);
    } else {
        *out = (struct kirim_addr){ { 0, 0, 0 } };
    }
}

/* Writes an address for a socket of AF_INET6 (`is_ipv6`) or AF_INET, all of its bytes. Returns the
 * name's length, 0 for "none". An IPv6 address is written as such to either: the system refuses it.
 */
static inline socklen_t ki_name_write(union ki_posix_name *name, const struct kirim_addr *addr,
                                      bool is_ipv6)
{
    const int family = kirim_addr_family(addr);
    const uint16_t port = kirim_addr_port(addr);
    if (family == KIRIM_IPV4) {
        const uint32_t bytes = ki_word_first(addr->word[0]);
        if (!is_ipv6) {
            name->word[0] = ki_name_head(AF_INET, port, bytes);
            name->word[1] = 0;
            return sizeof name->ipv4;
        }
        name->word[0] = ki_name_head(AF_INET6, port, 0);
        name->word[1] = 0;
        name->word[2] = ki_word_of(htonl(KI_MAPPED_PREFIX), bytes);
        name->word[3] = 0;
        return sizeof name->ipv6;
    }
    name->word[0] = ki_name_head(AF_INET6, port, 0);
    name->word[1] = addr->word[0];
    name->word[2] = addr->word[1];
    name->word[3] = ki_word_of(kirim_addr_scope(addr), 0);
    return family == KIRIM_IPV6 ? sizeof name->ipv6 : 0;
}

#endif
