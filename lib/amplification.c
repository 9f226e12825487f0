/* SPDX-License-Identifier: MIT
 *
 * The amplification limit: see kirim/amplification.h. Counters stop at their end instead of
 * beginning anew. Owns nothing. One thread at a time.
 */
#include <kirim/amplification.h>

static uint64_t add(uint64_t a, uint64_t b)
{
    return a < UINT64_MAX - b ? a + b : UINT64_MAX;
}

void kirim_amplification_receive(struct kirim_amplification *budget, size_t bytes)
{
    budget->received_bytes = add(budget->received_bytes, bytes);
}

uint64_t kirim_amplification_allowance(const struct kirim_amplification *budget)
{
    if (budget->is_validated != 0) {
        return UINT64_MAX;
    }
    const uint64_t most = budget->received_bytes < UINT64_MAX / KIRIM_AMPLIFICATION_FACTOR
                              ? budget->received_bytes * KIRIM_AMPLIFICATION_FACTOR
                              : UINT64_MAX;
    return most > budget->sent_bytes ? most - budget->sent_bytes : 0;
}

bool kirim_amplification_send(struct kirim_amplification *budget, size_t bytes)
{
    if (bytes > kirim_amplification_allowance(budget)) {
        return false;
    }
    if (budget->is_validated == 0) {
        budget->sent_bytes = add(budget->sent_bytes, bytes);
    }
    return true;
}

void kirim_amplification_validate(struct kirim_amplification *budget)
{
    budget->is_validated = 1;
}
