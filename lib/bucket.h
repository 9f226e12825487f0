/* SPDX-License-Identifier: MIT
 *
 * What a table of buckets needs to know of one. Owns nothing. One thread at a time.
 */
#ifndef KI_BUCKET_H
#define KI_BUCKET_H

#include <kirim/bucket.h>

/* The debt at `now_ns`, in 10^-9 units. */
uint64_t ki_bucket_debt(const struct kirim_bucket *bucket, const struct kirim_rate *rate,
                        uint64_t now_ns);

#endif
