/* SPDX-License-Identifier: MIT
 *
 * The amplification limit: see kirim/amplification.h. Owns nothing. One thread at a time.
 */
#include "amplification.h"

void kirim_amplification_receive(struct kirim_amplification *budget, size_t bytes)
{
    ki_amplification_receive(budget, bytes);
}

uint64_t kirim_amplification_allowance(const struct kirim_amplification *budget)
{
    return ki_amplification_allowance(budget);
}

bool kirim_amplification_send(struct kirim_amplification *budget, size_t bytes)
{
    if (bytes > ki_amplification_allowance(budget)) {
        return false;
    }
    ki_amplification_spend(budget, bytes);
    return true;
}

void kirim_amplification_validate(struct kirim_amplification *budget)
{
    budget->is_validated = 1;
}
