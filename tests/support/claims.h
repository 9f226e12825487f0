/* SPDX-License-Identifier: MIT
 *
 * Suites that are a list of claims, each a test of Check, made once or for a range of numbers.
 */
#ifndef TEST_CLAIMS_H
#define TEST_CLAIMS_H

#include <check.h>

/* What the assertions of Check call is answered here, so that a failure can be diverted. Where
 * nobody diverts it, Check has it. */
#define _ck_assert_failed claims_fail
#define _mark_point       claims_mark

void claims_fail(const char *file, int line, const char *expr, const char *msg,
                 ...) CK_ATTRIBUTE_NORETURN CK_ATTRIBUTE_FORMAT(printf, 4, 5);
void claims_mark(const char *file, int line);

/* Gets assertions that fail, and does not return; NULL: Check has them again. Until then no place
 * that was passed is marked, so that of a program that dies Check tells the last one before. */
typedef void (*claims_failed_fn)(const char *file, int line, const char *text);
void claims_divert(claims_failed_fn fn);

/* A claim of a suite, made once, or for each number 0 .. count-1 if count is not 0. */
struct kit_claim {
    const TTest *test;
    int count;
};

/* Runs the claims of one suite, up to one without a test, none of them for longer than so many
 * seconds; returns what main() returns. */
int claims_run(const char *name, const struct kit_claim *claims, double seconds_max);

#endif
