/* SPDX-License-Identifier: MIT
 *
 * Random numbers for tests: the same on every machine for the same seed, which is fixed, unless the
 * environment sets KIRIM_TEST_SEED, and is printed. Source: splitmix64, S. Vigna.
 */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define TEST_SEED_DEFAULT UINT64_C(20240229)

struct test_random {
    uint64_t state;
};

/* Starts a sequence, and prints how to have it again. */
static inline struct test_random test_random_start(const char *what)
{
    const char *const text = getenv("KIRIM_TEST_SEED");
    const uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : TEST_SEED_DEFAULT;
    printf("%s: KIRIM_TEST_SEED=%" PRIu64 "\n", what, seed);
    fflush(stdout);
    return (struct test_random){ seed };
}

static inline uint64_t test_random_next(struct test_random *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = r->state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* One of 0 .. bound-1, evenly enough for a test. */
static inline uint64_t test_random_below(struct test_random *r, uint64_t bound)
{
    return test_random_next(r) % bound;
}

/* A number of a random length, so that small ones are as common as large ones: below 2^bits_max. */
static inline uint64_t test_random_magnitude(struct test_random *r, unsigned bits_max)
{
    const uint64_t bits = test_random_below(r, (uint64_t)bits_max + 1);
    return bits == 0 ? 0 : test_random_next(r) >> (64 - bits);
}

#endif
