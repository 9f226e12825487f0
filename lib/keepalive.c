/* SPDX-License-Identifier: MIT
 *
 * Keep-alive: see kirim/keepalive.h. Owns nothing. One thread at a time.
 */
#include <kirim/keepalive.h>

#include "pack.h"

#define LIMIT_NS (UINT64_C(1) << 53)

enum { PERMILLE_MAX = 1000 };

/* Up to `jitter_permille` shorter, never 0. */
static uint64_t shorten(const struct kirim_keepalive_options *options, uint64_t random)
{
    const uint64_t longest_ns = options->interval_ns;
    const uint64_t cut_ns = ki_stretch(longest_ns, options->jitter_permille, random) - longest_ns;
    return cut_ns < longest_ns ? longest_ns - cut_ns : 1;
}

kirim_err kirim_keepalive_init(struct kirim_keepalive *k,
                               const struct kirim_keepalive_options *options, uint64_t now_ns,
                               uint64_t random)
{
    if (options->interval_ns == 0 || options->interval_ns > LIMIT_NS || options->retry_ns == 0 ||
        options->retry_ns > LIMIT_NS || options->jitter_permille > PERMILLE_MAX) {
        return KIRIM_EINVAL;
    }
    *k = (struct kirim_keepalive){ .options = options, .interval_ns = shorten(options, random) };
    k->deadline_ns = ki_after(now_ns, k->interval_ns);
    return KIRIM_OK;
}

void kirim_keepalive_sent(struct kirim_keepalive *k, uint64_t now_ns)
{
    if (k->unanswered == 0) {
        k->deadline_ns = ki_after(now_ns, k->interval_ns);
    }
}

void kirim_keepalive_heard(struct kirim_keepalive *k, uint64_t now_ns)
{
    if (k->unanswered > 0) {
        k->unanswered = 0;
        k->deadline_ns = ki_after(now_ns, k->interval_ns);
    }
}

int kirim_keepalive_expire(struct kirim_keepalive *k, uint64_t now_ns, uint64_t random)
{
    const struct kirim_keepalive_options *const options = k->options;
    if (now_ns < k->deadline_ns || k->deadline_ns == KIRIM_NEVER) {
        return KIRIM_KEEPALIVE_WAIT;
    }
    if (options->unanswered_max > 0 && k->unanswered >= options->unanswered_max) {
        k->deadline_ns = KIRIM_NEVER;
        return KIRIM_KEEPALIVE_GONE;
    }
    k->interval_ns = shorten(options, random);
    if (options->unanswered_max > 0) {
        k->unanswered++;
        k->deadline_ns = ki_after(now_ns, options->retry_ns);
    } else {
        k->deadline_ns = ki_after(now_ns, k->interval_ns);
    }
    return KIRIM_KEEPALIVE_SEND;
}
