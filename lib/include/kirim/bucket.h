/* SPDX-License-Identifier: MIT
 *
 * Token buckets: so many units a second on average, and so many at once. What a unit is, a datagram
 * or a byte, is the caller's choice. The arithmetic is exact: over any span of time no more than
 * `burst` and what `per_second` gives in that span is let through, and no less to who asks for it.
 * 16 bytes each. Owns nothing.
 */
#ifndef KIRIM_BUCKET_H
#define KIRIM_BUCKET_H

#include <kirim/config.h>

/** A rate, shared by as many buckets as wished. */
struct kirim_rate {
    uint32_t per_second; /**< Units a second on average; 0: nothing after the first burst. */
    uint32_t burst;      /**< Units at once; 0: nothing at all. */
};

/** A bucket; zero-initialised (`{ 0, 0 }`) it is full. */
struct kirim_bucket {
    /** @privatesection The library's. */
    uint64_t ki_debt;  /**< What is missing until it is full, in 10^-9 units. */
    uint64_t ki_at_ns; /**< When that was so. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Takes units out of a bucket.
 *
 * @param bucket  The bucket.
 * @param rate    Its rate, the same in every call; it may be changed if that is meant.
 * @param now_ns  The time; if it goes back, it counts as standing still.
 * @param units   How many; 0 asks whether there is a debt beyond the burst, which there never is.
 * @return Whether they were there; if not, nothing was taken.
 * @note One thread at a time.
 */
KIRIM_API bool kirim_bucket_take(struct kirim_bucket *bucket, const struct kirim_rate *rate,
                                 uint64_t now_ns, uint32_t units);

/**
 * @brief When units will be there, if nobody takes any before.
 *
 * @param bucket  The bucket.
 * @param rate    Its rate.
 * @param now_ns  The time.
 * @param units   How many.
 * @return The first point in time at which kirim_bucket_take() gives them, `now_ns` at the least;
 *         KIRIM_NEVER if that is never.
 * @note One thread at a time.
 */
KIRIM_API uint64_t kirim_bucket_ready(const struct kirim_bucket *bucket,
                                      const struct kirim_rate *rate, uint64_t now_ns,
                                      uint32_t units);

KIRIM_END_DECLS

#endif
