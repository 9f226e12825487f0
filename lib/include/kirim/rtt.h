/* SPDX-License-Identifier: MIT
 *
 * Round-trip time and retransmission timeout of a path, as TCP estimates them. Integers only, so
 * the same on every machine. Owns nothing; a value. Sources: RFC 6298 section 2 and 5, RFC 8085
 * section 3.1.1.
 */
#ifndef KIRIM_RTT_H
#define KIRIM_RTT_H

#include <kirim/config.h>
#include <kirim/error.h>

/** Bounds of a timeout, in nanoseconds; start from KIRIM_RTT_OPTIONS_INIT. */
struct kirim_rtt_options {
    uint64_t initial_ns;     /**< Before the first sample; 1 s. */
    uint64_t min_ns;         /**< At the least, not 0; 1 s. Who lowers it, knows the path, and how
                                  late its peer may answer. */
    uint64_t max_ns;         /**< At the most, up to 2^53 (104 days); 60 s. */
    uint64_t granularity_ns; /**< Of the clock; 1 ms. */
};

/** Initialises options as RFC 6298 has them. */
#define KIRIM_RTT_OPTIONS_INIT                                                     \
    {                                                                              \
        UINT64_C(1000000000), UINT64_C(1000000000), UINT64_C(60000000000), 1000000 \
    }

/** An estimator. */
struct kirim_rtt {
    struct kirim_rtt_options options; /**< As given. */
    uint64_t smoothed_ns;             /**< SRTT; 0: no sample yet. */
    uint64_t variation_ns;            /**< RTTVAR. */
    uint64_t latest_ns;               /**< The last sample. */
    uint64_t least_ns;                /**< The smallest sample; KIRIM_NEVER: none yet. */
    uint64_t timeout_ns;              /**< RTO, backed off if so. Read only, as are the others. */
    uint32_t backoff_count;           /**< Times it was doubled since the last sample. */
    uint32_t ki_reserved;             /**< Zero. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Begins without a sample.
 *
 * @param rtt      Caller's storage.
 * @param options  Copied.
 * @retval KIRIM_OK      Ready.
 * @retval KIRIM_EINVAL  `min_ns` is 0 or over `max_ns`, `max_ns` is over 2^53, or `granularity_ns`
 *                       is over `max_ns`. `initial_ns` is brought between the two.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_rtt_init(struct kirim_rtt *rtt, const struct kirim_rtt_options *options);

/**
 * @brief Takes a sample; a backed off timeout ends.
 *
 * Only of what was sent once, or of an answer that says which transmission it is for (Karn): who
 * cannot tell has no sample. kirim/retransmit.h sees to that.
 *
 * @param rtt        The estimator.
 * @param sample_ns  Time from a transmission to its answer; more than `max_ns` counts as that.
 * @note One thread at a time.
 */
KIRIM_API void kirim_rtt_sample(struct kirim_rtt *rtt, uint64_t sample_ns);

/**
 * @brief Doubles the timeout, up to `max_ns`: a timer has expired.
 *
 * @param rtt  The estimator.
 * @note One thread at a time.
 */
KIRIM_API void kirim_rtt_back_off(struct kirim_rtt *rtt);

/**
 * @brief Forgets all samples: the path has changed.
 *
 * @param rtt  The estimator.
 * @note One thread at a time.
 */
KIRIM_API void kirim_rtt_reset(struct kirim_rtt *rtt);

KIRIM_END_DECLS

#endif
