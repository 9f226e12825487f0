/* SPDX-License-Identifier: MIT
 *
 * SipHash-2-4, a keyed hash for short inputs: who does not know the key can neither guess a hash
 * nor choose inputs that collide. For hash tables that face the network, for cookies and tokens,
 * and for numbers that nobody shall predict. It is not for data that must stay secret for years.
 *
 * Owns nothing; the same numbers on every machine. Sources: J.-P. Aumasson, D. J. Bernstein,
 * "SipHash: a fast short-input PRF", 2012; the authors' reference implementation, for 128 bits.
 */
#ifndef KIRIM_SIPHASH_H
#define KIRIM_SIPHASH_H

#include <kirim/config.h>

/** Sizes. */
enum {
    KIRIM_SIPHASH_KEY_BYTES = 16,     /**< Of a key: random bytes, kept to oneself. */
    KIRIM_SIPHASH_TAG_BYTES = 8,      /**< Of an ordinary hash. */
    KIRIM_SIPHASH_LONG_TAG_BYTES = 16 /**< Of a long one. */
};

/** A hash under way; a value, may be copied. */
struct kirim_siphash {
    /** @privatesection The library's. */
    uint64_t ki_v[4];     /**< The state. */
    uint64_t ki_tail;     /**< Bytes that do not make a word yet. */
    uint64_t ki_bytes;    /**< Taken in all. */
    uint32_t ki_is_long;  /**< Of 16 bytes. */
    uint32_t ki_reserved; /**< Zero. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief SipHash-2-4 of some bytes, as a number (the tag, read little-endian).
 *
 * @param key    The key.
 * @param data   `bytes` bytes; may be NULL if there are none.
 * @param bytes  How many.
 * @return The hash.
 * @note Any thread.
 */
KIRIM_API uint64_t kirim_siphash_number(const uint8_t key[KIRIM_SIPHASH_KEY_BYTES],
                                        const void *data, size_t bytes);

/**
 * @brief Begins a hash of several pieces.
 *
 * @param hash       Caller's storage.
 * @param key        The key; not used after the call.
 * @param tag_bytes  KIRIM_SIPHASH_TAG_BYTES or KIRIM_SIPHASH_LONG_TAG_BYTES; anything else is taken
 *                   for the first. The two share no bytes: one tells nothing of the other.
 * @note Any thread.
 */
KIRIM_API void kirim_siphash_begin(struct kirim_siphash *hash,
                                   const uint8_t key[KIRIM_SIPHASH_KEY_BYTES], size_t tag_bytes);

/**
 * @brief Takes a piece. Where one ends and the next begins does not count: say lengths yourself.
 *
 * @param hash   Begun.
 * @param data   `bytes` bytes; may be NULL if there are none.
 * @param bytes  How many.
 * @note Any thread.
 */
KIRIM_API void kirim_siphash_take(struct kirim_siphash *hash, const void *data, size_t bytes);

/**
 * @brief Ends a hash.
 *
 * @param hash  Begun; to be begun again before it is used again.
 * @param tag   Gets as many bytes as were asked for.
 * @note Any thread.
 */
KIRIM_API void kirim_siphash_end(struct kirim_siphash *hash, uint8_t *tag);

KIRIM_END_DECLS

#endif
