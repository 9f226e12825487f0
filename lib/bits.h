/* SPDX-License-Identifier: MIT
 *
 * Positions of bits in a word. gcc, clang and mingw have the builtins below, and make one or two
 * instructions of each. Owns nothing. Any thread.
 */
#ifndef KI_BITS_H
#define KI_BITS_H

#include <stdint.h>

_Static_assert(sizeof(unsigned long long) == sizeof(uint64_t), "what the builtins take");

/* Position of the highest bit set in `x`, which is not 0. */
static inline unsigned ki_highest_bit(uint64_t x)
{
    return 63U - (unsigned)__builtin_clzll(x);
}

/* Position of the lowest bit set in `x`, which is not 0. */
static inline unsigned ki_lowest_bit(uint64_t x)
{
    return (unsigned)__builtin_ctzll(x);
}

#endif
