/* SPDX-License-Identifier: MIT
 *
 * SipHash-1-3 of whole words, for tables whose keys strangers choose: short, and beyond the reach
 * of who does not know the key. Owns nothing. Any thread. Source: Aumasson and Bernstein, "SipHash:
 * a fast short-input PRF".
 */
#ifndef KI_SIPHASH13_H
#define KI_SIPHASH13_H

#include <stddef.h>
#include <stdint.h>

struct ki_siphash {
    uint64_t v[4];
};

static inline uint64_t ki_rotated(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void ki_siphash_round(struct ki_siphash *s)
{
    s->v[0] += s->v[1];
    s->v[2] += s->v[3];
    s->v[1] = ki_rotated(s->v[1], 13) ^ s->v[0];
    s->v[3] = ki_rotated(s->v[3], 16) ^ s->v[2];
    s->v[0] = ki_rotated(s->v[0], 32) + s->v[3];
    s->v[2] += s->v[1];
    s->v[1] = ki_rotated(s->v[1], 17) ^ s->v[2];
    s->v[3] = ki_rotated(s->v[3], 21) ^ s->v[0];
    s->v[2] = ki_rotated(s->v[2], 32);
}

static inline void ki_siphash_word(struct ki_siphash *s, uint64_t word)
{
    s->v[3] ^= word;
    ki_siphash_round(s);
    s->v[0] ^= word;
}

/* Hash of `count` words, read as they would lie in memory on a little-endian machine. */
static inline uint64_t ki_siphash13(const uint64_t key[2], const uint64_t *word, size_t count)
{
    struct ki_siphash s = {
        { key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
          key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573) }
    };
    for (size_t i = 0; i < count; i++) {
        ki_siphash_word(&s, word[i]);
    }
    ki_siphash_word(&s, (uint64_t)(count * sizeof *word) << 56);
    s.v[2] ^= 0xff;
    ki_siphash_round(&s);
    ki_siphash_round(&s);
    ki_siphash_round(&s);
    return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}

#endif
