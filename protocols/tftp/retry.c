/* SPDX-License-Identifier: MIT
 *
 * When to send again: see retry.h.
 */
#include "retry.h"

#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

/* A disk or a scheduler may hold an answer up for some 10 ms on a path without any delay. */
static const uint64_t first_ns = SECOND;
static const uint64_t least_ns = 50 * MS;
static const uint64_t most_ns = 8 * SECOND;

static uint64_t clamp(uint64_t value, const struct kirim_tftp_retry *retry)
{
    if (value < retry->delay_ns_min) {
        return retry->delay_ns_min;
    }
    return value > retry->delay_ns_max ? retry->delay_ns_max : value;
}

void kirim_tftp_retry_init(struct kirim_tftp_retry *retry)
{
    *retry = (struct kirim_tftp_retry){ .delay_ns = first_ns,
                                        .delay_ns_min = least_ns,
                                        .delay_ns_max = most_ns };
}

void kirim_tftp_retry_agree(struct kirim_tftp_retry *retry, uint32_t seconds)
{
    retry->delay_ns_min = seconds * SECOND;
    if (retry->delay_ns_max < retry->delay_ns_min) {
        retry->delay_ns_max = retry->delay_ns_min;
    }
    retry->delay_ns = retry->delay_ns_min;
}

void kirim_tftp_retry_measure(struct kirim_tftp_retry *retry, uint64_t rtt_ns)
{
    if (retry->smooth_ns == 0) {
        retry->smooth_ns = rtt_ns > 0 ? rtt_ns : 1;
        retry->spread_ns = rtt_ns / 2;
    } else {
        const uint64_t error_ns =
            rtt_ns > retry->smooth_ns ? rtt_ns - retry->smooth_ns : retry->smooth_ns - rtt_ns;
        retry->spread_ns = retry->spread_ns - retry->spread_ns / 4 + error_ns / 4;
        retry->smooth_ns = retry->smooth_ns - retry->smooth_ns / 8 + rtt_ns / 8;
    }
    retry->delay_ns = clamp(retry->smooth_ns + 4 * retry->spread_ns, retry);
}

void kirim_tftp_retry_double(struct kirim_tftp_retry *retry)
{
    retry->delay_ns = clamp(2 * retry->delay_ns, retry);
}
