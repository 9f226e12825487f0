/* SPDX-License-Identifier: MIT
 *
 * SipHash-2-4: see hash.h.
 */
#include "hash.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t load64(const uint8_t *data)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        word |= (uint64_t)data[i] << (8 * i);
    }
    return word;
}

static uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void mix(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static void take_word(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    mix(s);
    mix(s);
    s->v0 ^= word;
}

uint64_t ki_dns_hash(const uint8_t key[KI_DNS_HASH_KEY_BYTES], const uint8_t *data, size_t bytes)
{
    const uint64_t k0 = load64(key);
    const uint64_t k1 = load64(key + 8);
    struct state s = { k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                       k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573) };
    const size_t whole = bytes - bytes % 8;
    for (size_t at = 0; at < whole; at += 8) {
        take_word(&s, load64(data + at));
    }
    uint64_t last = (uint64_t)bytes << 56;
    for (size_t i = 0; i < bytes % 8; i++) {
        last |= (uint64_t)data[whole + i] << (8 * i);
    }
    take_word(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++) {
        mix(&s);
    }
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
