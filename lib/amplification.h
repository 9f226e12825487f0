/* SPDX-License-Identifier: MIT
 *
 * The arithmetic of the amplification limit, for the budgets of callers (kirim/amplification.h) and
 * for the paths of sessions. Counters stop at their end instead of beginning anew. Owns nothing.
 * One thread at a time.
 */
#ifndef KI_AMPLIFICATION_H
#define KI_AMPLIFICATION_H

#include <kirim/amplification.h>

static inline uint64_t ki_sum_capped(uint64_t a, uint64_t b)
{
    return a < UINT64_MAX - b ? a + b : UINT64_MAX;
}

static inline void ki_amplification_receive(struct kirim_amplification *budget, uint64_t bytes)
{
    budget->received_bytes = ki_sum_capped(budget->received_bytes, bytes);
}

static inline uint64_t ki_amplification_allowance(const struct kirim_amplification *budget)
{
    if (budget->is_validated != 0) {
        return UINT64_MAX;
    }
    const uint64_t factor = budget->factor != 0 ? budget->factor : KIRIM_AMPLIFICATION_FACTOR;
    const uint64_t most = budget->received_bytes <= UINT64_MAX / factor
                              ? budget->received_bytes * factor
                              : UINT64_MAX;
    return most > budget->sent_bytes ? most - budget->sent_bytes : 0;
}

/* Notes what was sent; who is validated owes nothing. */
static inline void ki_amplification_spend(struct kirim_amplification *budget, uint64_t bytes)
{
    if (budget->is_validated == 0) {
        budget->sent_bytes = ki_sum_capped(budget->sent_bytes, bytes);
    }
}

#endif
