/* SPDX-License-Identifier: MIT
 *
 * SipHash-2-4: two rounds per word, four at the end; the long tag has four more for its second
 * half. Owns nothing. Any thread. Sources: see kirim/siphash.h.
 */
#include <kirim/siphash.h>

#include "pack.h"

static inline uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void mix(uint64_t v[4], unsigned rounds)
{
    uint64_t v0 = v[0];
    uint64_t v1 = v[1];
    uint64_t v2 = v[2];
    uint64_t v3 = v[3];
    for (unsigned i = 0; i < rounds; i++) {
        v0 += v1;
        v2 += v3;
        v1 = rotate(v1, 13) ^ v0;
        v3 = rotate(v3, 16) ^ v2;
        v0 = rotate(v0, 32) + v3;
        v2 += v1;
        v1 = rotate(v1, 17) ^ v2;
        v3 = rotate(v3, 21) ^ v0;
        v2 = rotate(v2, 32);
    }
    v[0] = v0;
    v[1] = v1;
    v[2] = v2;
    v[3] = v3;
}

static inline void take_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    mix(v, 2);
    v[0] ^= word;
}

static inline uint64_t fold(const uint64_t v[4])
{
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void kirim_siphash_begin(struct kirim_siphash *hash, const uint8_t key[KIRIM_SIPHASH_KEY_BYTES],
                         size_t tag_bytes)
{
    const uint64_t k0 = ki_load_le64(key);
    const uint64_t k1 = ki_load_le64(key + 8);
    const bool is_long = tag_bytes == KIRIM_SIPHASH_LONG_TAG_BYTES;
    *hash = (struct kirim_siphash){
        .ki_v = { k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                  k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573) },
        .ki_is_long = is_long ? 1 : 0,
    };
    hash->ki_v[1] ^= is_long ? 0xee : 0;
}

void kirim_siphash_take(struct kirim_siphash *hash, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    const uint8_t *const end = bytes > 0 ? at + bytes : at;
    unsigned held = (unsigned)(hash->ki_bytes % 8);
    hash->ki_bytes += bytes;
    for (; held != 0 && at != end; at++) {
        hash->ki_tail |= (uint64_t)*at << (8 * held);
        held = (held + 1) % 8;
        if (held == 0) {
            take_word(hash->ki_v, hash->ki_tail);
            hash->ki_tail = 0;
        }
    }
    for (; end - at >= 8; at += 8) {
        take_word(hash->ki_v, ki_load_le64(at));
    }
    for (; at != end; at++, held++) {
        hash->ki_tail |= (uint64_t)*at << (8 * held);
    }
}

/* The first half of the tag. */
static uint64_t end_hash(struct kirim_siphash *hash)
{
    take_word(hash->ki_v, hash->ki_tail | hash->ki_bytes << 56);
    hash->ki_v[2] ^= hash->ki_is_long != 0 ? 0xee : 0xff;
    mix(hash->ki_v, 4);
    return fold(hash->ki_v);
}

void kirim_siphash_end(struct kirim_siphash *hash, uint8_t *tag)
{
    ki_store_le64(tag, end_hash(hash));
    if (hash->ki_is_long != 0) {
        hash->ki_v[1] ^= 0xdd;
        mix(hash->ki_v, 4);
        ki_store_le64(tag + KIRIM_SIPHASH_TAG_BYTES, fold(hash->ki_v));
    }
}

uint64_t kirim_siphash_number(const uint8_t key[KIRIM_SIPHASH_KEY_BYTES], const void *data,
                              size_t bytes)
{
    struct kirim_siphash hash;
    kirim_siphash_begin(&hash, key, KIRIM_SIPHASH_TAG_BYTES);
    kirim_siphash_take(&hash, data, bytes);
    return end_hash(&hash);
}
