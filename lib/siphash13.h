/* SPDX-License-Identifier: MIT
 *
 * SipHash-1-3 of whole words, for tables whose keys strangers choose: short, and beyond the reach
 * of who does not know the key. Owns nothing. Any thread. Source: Aumasson and Bernstein, "SipHash:
 * a fast short-input PRF".
 */
#ifndef KI_SIPHASH13_H
#define KI_SIPHASH13_H

#include "siphash_round.h"

#include <stddef.h>

/* Hash of `count` words, read as they would lie in memory on a little-endian machine. */
static inline uint64_t ki_siphash13(const uint64_t key[2], const uint64_t *word, size_t count)
{
    struct ki_siphash s = ki_siphash_begin(key[0], key[1]);
    for (size_t i = 0; i < count; i++) {
        ki_siphash_word(&s, word[i], 1);
    }
    ki_siphash_word(&s, (uint64_t)(count * sizeof *word) << 56, 1);
    s.v[2] ^= 0xff;
    return ki_siphash_fold(&s, 3);
}

#endif
