/* SPDX-License-Identifier: MIT
 *
 * A keyed hash: who does not know the key cannot choose inputs that collide. Owns nothing. Any
 * thread. Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012.
 */
#ifndef KI_DNS_HASH_H
#define KI_DNS_HASH_H

#include <kirim/config.h>

enum { KI_DNS_HASH_KEY_BYTES = 16 };

/* SipHash-2-4 of `bytes` bytes at `data`. */
uint64_t ki_dns_hash(const uint8_t key[KI_DNS_HASH_KEY_BYTES], const uint8_t *data, size_t bytes);

#endif
