/* SPDX-License-Identifier: MIT
 *
 * Token buckets: see kirim/bucket.h. What is missing is counted in 10^-9 units, of which a rate
 * gives back `per_second` each nanosecond: no division, no rounding. 2^32 units are 4.3 * 10^18 of
 * them, so sums of two fit in 64 bits. Owns nothing. One thread at a time.
 */
#include "bucket.h"

#include "pack.h"

#define SCALE UINT64_C(1000000000)

uint64_t ki_bucket_debt(const struct kirim_bucket *bucket, const struct kirim_rate *rate,
                        uint64_t now_ns)
{
    if (now_ns <= bucket->ki_at_ns || bucket->ki_debt == 0 || rate->per_second == 0) {
        return bucket->ki_debt;
    }
    const uint64_t elapsed_ns = now_ns - bucket->ki_at_ns;
    if (elapsed_ns > bucket->ki_debt / rate->per_second) {
        return 0;
    }
    return bucket->ki_debt - elapsed_ns * rate->per_second;
}

bool kirim_bucket_take(struct kirim_bucket *bucket, const struct kirim_rate *rate, uint64_t now_ns,
                       uint32_t units)
{
    const uint64_t debt = ki_bucket_debt(bucket, rate, now_ns);
    const uint64_t cost = units * SCALE;
    const uint64_t most = rate->burst * SCALE;
    if (cost > most || debt > most - cost) {
        return false;
    }
    bucket->ki_debt = debt + cost;
    bucket->ki_at_ns = now_ns > bucket->ki_at_ns ? now_ns : bucket->ki_at_ns;
    return true;
}

uint64_t kirim_bucket_ready(const struct kirim_bucket *bucket, const struct kirim_rate *rate,
                            uint64_t now_ns, uint32_t units)
{
    const uint64_t debt = ki_bucket_debt(bucket, rate, now_ns);
    const uint64_t cost = units * SCALE;
    const uint64_t most = rate->burst * SCALE;
    if (cost > most) {
        return KIRIM_NEVER;
    }
    if (debt <= most - cost) {
        return now_ns;
    }
    if (rate->per_second == 0) {
        return KIRIM_NEVER;
    }
    const uint64_t missing = debt - (most - cost);
    const uint64_t wait_ns = missing / rate->per_second + (missing % rate->per_second > 0 ? 1 : 0);
    const uint64_t from_ns = now_ns > bucket->ki_at_ns ? now_ns : bucket->ki_at_ns;
    return ki_after(from_ns, wait_ns);
}
