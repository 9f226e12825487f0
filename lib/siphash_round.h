/* SPDX-License-Identifier: MIT
 *
 * What SipHash is made of, whatever its counts of rounds: its state, how that begins, a round, and
 * how it is folded. A copy of the state in a local variable stays in registers. Owns nothing. Any
 * thread. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF".
 */
#ifndef KI_SIPHASH_ROUND_H
#define KI_SIPHASH_ROUND_H

#include <stdint.h>

struct ki_siphash {
    uint64_t v[4];
};

static inline struct ki_siphash ki_siphash_begin(uint64_t key_low, uint64_t key_high)
{
    return (struct ki_siphash){
        { key_low ^ UINT64_C(0x736f6d6570736575), key_high ^ UINT64_C(0x646f72616e646f6d),
          key_low ^ UINT64_C(0x6c7967656e657261), key_high ^ UINT64_C(0x7465646279746573) }
    };
}

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

/* Takes a word in, with `rounds` of them. */
static inline void ki_siphash_word(struct ki_siphash *s, uint64_t word, unsigned rounds)
{
    s->v[3] ^= word;
    for (unsigned i = 0; i < rounds; i++) {
        ki_siphash_round(s);
    }
    s->v[0] ^= word;
}

/* `rounds` at the end, and what has come out of it. */
static inline uint64_t ki_siphash_fold(struct ki_siphash *s, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        ki_siphash_round(s);
    }
    return s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
}

#endif
