/* SPDX-License-Identifier: MIT
 *
 * Suites that are a list of claims, each a test of Check, made once or for a range of numbers.
 */
#ifndef TEST_CLAIMS_H
#define TEST_CLAIMS_H

#include <check.h>

/* A claim of a suite, made once, or for each number 0 .. count-1 if count is not 0. */
struct kit_claim {
    const TTest *test;
    int count;
};

/* Runs the claims of one suite, up to one without a test, none of them for longer than so many
 * seconds; returns what main() returns. */
int claims_run(const char *name, const struct kit_claim *claims, double seconds_max);

#endif
