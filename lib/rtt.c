/* SPDX-License-Identifier: MIT
 *
 * The estimator of RFC 6298. Samples and limits are below 2^53, so no sum here overflows. Owns
 * nothing. One thread at a time.
 */
#include <kirim/rtt.h>

#define LIMIT_NS (UINT64_C(1) << 53)

/* RFC 6298, section 2: alpha is 1/8, beta 1/4, K 4. */
enum { ALPHA = 8, BETA = 4, K = 4 };

static uint64_t clamp(const struct kirim_rtt_options *options, uint64_t ns)
{
    if (ns < options->min_ns) {
        return options->min_ns;
    }
    return ns < options->max_ns ? ns : options->max_ns;
}

void kirim_rtt_reset(struct kirim_rtt *rtt)
{
    const struct kirim_rtt_options options = rtt->options;
    *rtt = (struct kirim_rtt){ .options = options,
                               .least_ns = KIRIM_NEVER,
                               .timeout_ns = clamp(&options, options.initial_ns) };
}

kirim_err kirim_rtt_init(struct kirim_rtt *rtt, const struct kirim_rtt_options *options)
{
    if (options->min_ns == 0 || options->min_ns > options->max_ns || options->max_ns > LIMIT_NS ||
        options->granularity_ns > options->max_ns) {
        return KIRIM_EINVAL;
    }
    rtt->options = *options;
    kirim_rtt_reset(rtt);
    return KIRIM_OK;
}

void kirim_rtt_sample(struct kirim_rtt *rtt, uint64_t sample_ns)
{
    const struct kirim_rtt_options *const options = &rtt->options;
    /* 0 would say "no sample": the clock is not that fine. */
    const uint64_t floor_ns = sample_ns > 0 ? sample_ns : 1;
    const uint64_t r = floor_ns < options->max_ns ? floor_ns : options->max_ns;
    if (rtt->smoothed_ns == 0) {
        rtt->smoothed_ns = r;
        rtt->variation_ns = r / 2;
    } else {
        const uint64_t error = rtt->smoothed_ns > r ? rtt->smoothed_ns - r : r - rtt->smoothed_ns;
        rtt->variation_ns = ((BETA - 1) * rtt->variation_ns + error) / BETA;
        rtt->smoothed_ns = ((ALPHA - 1) * rtt->smoothed_ns + r) / ALPHA;
    }
    const uint64_t spread = K * rtt->variation_ns;
    rtt->latest_ns = r;
    rtt->least_ns = r < rtt->least_ns ? r : rtt->least_ns;
    rtt->timeout_ns =
        clamp(options, rtt->smoothed_ns +
                           (spread > options->granularity_ns ? spread : options->granularity_ns));
    rtt->backoff_count = 0;
}

void kirim_rtt_back_off(struct kirim_rtt *rtt)
{
    rtt->timeout_ns = clamp(&rtt->options, rtt->timeout_ns * 2);
    rtt->backoff_count += rtt->backoff_count < UINT32_MAX ? 1 : 0;
}
