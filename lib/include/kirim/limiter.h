/* SPDX-License-Identifier: MIT
 *
 * A rate limiter per address prefix, in memory of a fixed size. Each prefix (an IPv4 /24, an IPv6
 * /56, or what is asked for) has a token bucket of its own; of what is over the rate, every n-th
 * may slip through as a short answer, so that who is spoofed, and asks himself, is not shut out.
 *
 * The table is hashed with a key, so nobody can choose whom he displaces. Where a place must be
 * given to a new prefix, the one of its set that owes least gives way, and the new one takes over
 * what it owed: whoever is pushed out and comes back gets no new burst, and no flood of prefixes
 * lets more through than one burst per slot and the rate. The price: in such a flood a new prefix
 * may be limited although it has sent nothing yet. Give a slot to each prefix that is expected
 * within the time of a burst (`burst` / `per_second`).
 *
 * Owns nothing: slots are the caller's. Sources: P. Vixie, V. Schryver, "DNS Response Rate
 * Limiting", ISC-TN-2012-1; A. Metwally, D. Agrawal, A. El Abbadi, "Efficient computation of
 * frequent and top-k elements in data streams", 2005.
 */
#ifndef KIRIM_LIMITER_H
#define KIRIM_LIMITER_H

#include <kirim/addr.h>
#include <kirim/bucket.h>
#include <kirim/config.h>
#include <kirim/error.h>
#include <kirim/siphash.h>

/** Slots of a set: a prefix has a place in one set, and may be in any of its slots. */
enum { KIRIM_LIMITER_WAYS = 8 };

/** A slot; 32 bytes, the caller's storage. */
struct kirim_limiter_slot {
    /** @privatesection The library's. */
    uint64_t ki_tag;               /**< Hash of the prefix; 0: empty. */
    struct kirim_bucket ki_bucket; /**< Its bucket. */
    uint32_t ki_refused;           /**< Since the last that slipped through. */
    uint32_t ki_reserved;          /**< Zero. */
};

/** How to limit; start from KIRIM_LIMITER_OPTIONS_INIT. */
struct kirim_limiter_options {
    struct kirim_rate rate; /**< Of each prefix. */
    uint8_t ipv4_bits;      /**< Prefix of an IPv4 address, at most 32; 24. */
    uint8_t ipv6_bits;      /**< Prefix of an IPv6 address, at most 128; 56. */
    uint16_t slip;          /**< Of what is over the rate, each `slip`-th slips; 0: none; 2. */
    uint32_t slot_count;    /**< Of `slots`; a multiple of KIRIM_LIMITER_WAYS, not 0. */
    struct kirim_limiter_slot *slots;     /**< Memory for the limiter, put until it is given up. */
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES]; /**< Random bytes. */
};

/** Initialises options: 100 a second, 100 at once. */
#define KIRIM_LIMITER_OPTIONS_INIT        \
    {                                     \
        { 100, 100 }, 24, 56, 2, 0, NULL, \
        {                                 \
            0                             \
        }                                 \
    }

/** What a limiter counted; the numbers only grow. */
struct kirim_limiter_stats {
    uint64_t passed;    /**< Let through. */
    uint64_t slipped;   /**< Over the rate, to be answered shortly. */
    uint64_t dropped;   /**< Over the rate. */
    uint64_t displaced; /**< Prefixes that gave way while they still owed something. */
};

/** A limiter; the caller's storage. */
struct kirim_limiter {
    struct kirim_limiter_options options; /**< As given; the rate may be changed at any time. */
    struct kirim_limiter_stats stats;     /**< What it counted. */
};

/** What is to be done with a datagram. */
enum {
    KIRIM_LIMITER_PASS = 0, /**< Within the rate. */
    KIRIM_LIMITER_SLIP = 1, /**< Over the rate: answer shortly, with a token or a truncated answer,
                                 never with more than what was asked. */
    KIRIM_LIMITER_DROP = 2  /**< Over the rate: no answer. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Begins with empty slots.
 *
 * @param limiter  Caller's storage.
 * @param options  Copied; the slots are used until the limiter is given up.
 * @retval KIRIM_OK      Ready.
 * @retval KIRIM_EINVAL  No slots, a count that is no multiple of KIRIM_LIMITER_WAYS, or a prefix
 *                       longer than its address.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_limiter_init(struct kirim_limiter *limiter,
                                       const struct kirim_limiter_options *options);

/**
 * @brief Judges a datagram, and counts it.
 *
 * @param limiter  The limiter.
 * @param peer     Whom it is from, or to; the port does not count.
 * @param now_ns   The time.
 * @param units    What it takes out of the bucket: 1 or its bytes.
 * @return KIRIM_LIMITER_PASS, KIRIM_LIMITER_SLIP or KIRIM_LIMITER_DROP.
 * @note One thread at a time.
 */
KIRIM_API int kirim_limiter_judge(struct kirim_limiter *limiter, const struct kirim_addr *peer,
                                  uint64_t now_ns, uint32_t units);

/**
 * @brief Judges as kirim_limiter_judge() does with 1 unit, but with a bucket for each topic of a
 *        prefix: for servers that limit how often they say the same to the same network.
 *
 * Each topic of each prefix takes a slot. Buckets of topics have nothing to do with that of
 * kirim_limiter_judge().
 *
 * @param limiter  The limiter.
 * @param peer     Whom it is to, or from; the port does not count.
 * @param topic    What it is about: a hash of it, keyed if the peer chooses it.
 * @param now_ns   The time.
 * @return KIRIM_LIMITER_PASS, KIRIM_LIMITER_SLIP or KIRIM_LIMITER_DROP.
 * @note One thread at a time.
 */
KIRIM_API int kirim_limiter_judge_topic(struct kirim_limiter *limiter,
                                        const struct kirim_addr *peer, uint64_t topic,
                                        uint64_t now_ns);

KIRIM_END_DECLS

#endif
