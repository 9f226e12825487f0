/* SPDX-License-Identifier: MIT
 *
 * SipHash-2-4: two rounds per word, four at the end; the long tag has four more for its second
 * half. Owns nothing. Any thread. Sources: see kirim/siphash.h.
 */
#include <kirim/siphash.h>

#include "pack.h"
#include "siphash_round.h"

enum { WORD_ROUNDS = 2, END_ROUNDS = 4 };

static inline struct ki_siphash load(const struct kirim_siphash *hash)
{
    return (struct ki_siphash){ { hash->ki_v[0], hash->ki_v[1], hash->ki_v[2], hash->ki_v[3] } };
}

static inline void store(struct kirim_siphash *hash, const struct ki_siphash *s)
{
    for (unsigned i = 0; i < 4; i++) {
        hash->ki_v[i] = s->v[i];
    }
}

void kirim_siphash_begin(struct kirim_siphash *hash, const uint8_t key[KIRIM_SIPHASH_KEY_BYTES],
                         size_t tag_bytes)
{
    const struct ki_siphash s = ki_siphash_begin(ki_load_le64(key), ki_load_le64(key + 8));
    const bool is_long = tag_bytes == KIRIM_SIPHASH_LONG_TAG_BYTES;
    *hash = (struct kirim_siphash){ .ki_is_long = is_long ? 1 : 0 };
    store(hash, &s);
    hash->ki_v[1] ^= is_long ? 0xee : 0;
}

void kirim_siphash_take(struct kirim_siphash *hash, const void *data, size_t bytes)
{
    struct ki_siphash s = load(hash);
    const uint8_t *at = data;
    const uint8_t *const end = bytes > 0 ? at + bytes : at;
    unsigned held = (unsigned)(hash->ki_bytes % 8);
    hash->ki_bytes += bytes;
    for (; held != 0 && at != end; at++) {
        hash->ki_tail |= (uint64_t)*at << (8 * held);
        held = (held + 1) % 8;
        if (held == 0) {
            ki_siphash_word(&s, hash->ki_tail, WORD_ROUNDS);
            hash->ki_tail = 0;
        }
    }
    for (; end - at >= 8; at += 8) {
        ki_siphash_word(&s, ki_load_le64(at), WORD_ROUNDS);
    }
    for (; at != end; at++, held++) {
        hash->ki_tail |= (uint64_t)*at << (8 * held);
    }
    store(hash, &s);
}

/* The first half of the tag. */
static uint64_t end_hash(struct kirim_siphash *hash)
{
    struct ki_siphash s = load(hash);
    ki_siphash_word(&s, hash->ki_tail | hash->ki_bytes << 56, WORD_ROUNDS);
    s.v[2] ^= hash->ki_is_long != 0 ? 0xee : 0xff;
    const uint64_t half = ki_siphash_fold(&s, END_ROUNDS);
    store(hash, &s);
    return half;
}

void kirim_siphash_end(struct kirim_siphash *hash, uint8_t *tag)
{
    ki_store_le64(tag, end_hash(hash));
    if (hash->ki_is_long != 0) {
        struct ki_siphash s = load(hash);
        s.v[1] ^= 0xdd;
        ki_store_le64(tag + KIRIM_SIPHASH_TAG_BYTES, ki_siphash_fold(&s, END_ROUNDS));
        store(hash, &s);
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
