/* SPDX-License-Identifier: MIT
 *
 * struct kirim_addr to struct sockaddr and back, for Winsock.
 *
 * Inside the library there is no IPv4-mapped address: it is unmapped when a name is read, and made
 * again when an IPv4 address is written for an AF_INET6 socket. A scope id is written only where
 * the address has one: on a global address it breaks bind (L43). Owns nothing. Any thread.
 * Sources: the reference pages of sockaddr_in and sockaddr_in6, RFC 3493, RFC 4291.
 */
#ifndef KI_WIN_ADDR_H
#define KI_WIN_ADDR_H

#include "win_const.h"

#include <kirim/addr.h>
#include <string.h>

/* Room for the name of either family. */
union ki_win_name {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

/* Reads a name that the system wrote; one of another family gives "none". */
static inline void ki_win_name_read(const union ki_win_name *name, struct kirim_addr *out)
{
    if (name->any.sa_family == AF_INET) {
        uint8_t bytes[4];
        memcpy(bytes, &name->ipv4.sin_addr, sizeof bytes);
        *out = kirim_addr_ipv4(bytes, ntohs(name->ipv4.sin_port));
    } else if (name->any.sa_family == AF_INET6) {
        /* Unmaps what is mapped, and drops the scope of an address that has none. */
        *out = kirim_addr_ipv6((const uint8_t *)&name->ipv6.sin6_addr, ntohs(name->ipv6.sin6_port),
                               name->ipv6.sin6_scope_id);
    } else {
        *out = (struct kirim_addr){ { 0, 0, 0 } };
    }
}

/* Writes an address for a socket of AF_INET6 (`is_ipv6`) or AF_INET, all of its bytes. Returns the
 * name's length, 0 for "none". An IPv6 address is written as such to either: the system refuses it.
 */
static inline int ki_win_name_write(union ki_win_name *name, const struct kirim_addr *addr,
                                    bool is_ipv6)
{
    const int family = kirim_addr_family(addr);
    const uint16_t net_port = htons(kirim_addr_port(addr));
    memset(name, 0, sizeof *name);
    if (family == KIRIM_IPV4 && !is_ipv6) {
        name->ipv4.sin_family = AF_INET;
        name->ipv4.sin_port = net_port;
        memcpy(&name->ipv4.sin_addr, addr->word, sizeof name->ipv4.sin_addr);
        return sizeof name->ipv4;
    }
    if (family == KIRIM_FAMILY_NONE) {
        return 0;
    }
    uint8_t *const bytes = (uint8_t *)&name->ipv6.sin6_addr;
    name->ipv6.sin6_family = AF_INET6;
    name->ipv6.sin6_port = net_port;
    if (family == KIRIM_IPV4) {
        bytes[10] = 0xff; /* ::ffff:a.b.c.d */
        bytes[11] = 0xff;
        memcpy(bytes + 12, addr->word, 4);
    } else {
        memcpy(bytes, addr->word, sizeof name->ipv6.sin6_addr);
        name->ipv6.sin6_scope_id = kirim_addr_scope(addr);
    }
    return sizeof name->ipv6;
}

#endif
