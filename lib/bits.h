/* SPDX-License-Identifier: MIT
 *
 * Positions of bits in a word. gcc, clang and mingw have builtins, and make one or two instructions
 * of each; for other compilers there is a search by halves. Owns nothing. Any thread.
 */
#ifndef KI_BITS_H
#define KI_BITS_H

#include <stdint.h>

_Static_assert(sizeof(unsigned long long) == sizeof(uint64_t), "what the builtins take");

/* ki_highest_bit() in plain C. */
static inline unsigned ki_highest_bit_plain(uint64_t x)
{
    unsigned position = 0;
    for (unsigned half = 32; half > 0; half /= 2) {
        if (x >> half != 0) {
            x >>= half;
            position += half;
        }
    }
    return position;
}

/* ki_lowest_bit() in plain C: the highest bit of what has only the lowest one. */
static inline unsigned ki_lowest_bit_plain(uint64_t x)
{
    return ki_highest_bit_plain(x & (~x + 1));
}

/* Position of the highest bit set in `x`, which is not 0. */
static inline unsigned ki_highest_bit(uint64_t x)
{
#ifdef __GNUC__
    return 63U - (unsigned)__builtin_clzll(x);
#else
    return ki_highest_bit_plain(x);
#endif
}

/* Position of the lowest bit set in `x`, which is not 0. */
static inline unsigned ki_lowest_bit(uint64_t x)
{
#ifdef __GNUC__
    return (unsigned)__builtin_ctzll(x);
#else
    return ki_lowest_bit_plain(x);
#endif
}

#endif
