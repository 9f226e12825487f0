/* SPDX-License-Identifier: MIT
 *
 * Suites that are a list of claims: see claims.h.
 */
#include "claims.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#undef _ck_assert_failed
#undef _mark_point

enum { TEXT_BYTES = 512 };

static claims_failed_fn diverted;

void claims_divert(claims_failed_fn fn)
{
    diverted = fn;
}

void claims_mark(const char *file, int line)
{
    if (diverted == NULL) {
        _mark_point(file, line);
    }
}

void claims_fail(const char *file, int line, const char *expr, const char *msg, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;
    (void)snprintf(text, sizeof text, "%s", expr);
    if (msg != NULL) {
        va_start(arguments, msg);
        (void)vsnprintf(text, sizeof text, msg, arguments);
        va_end(arguments);
    }
    if (diverted != NULL) {
        diverted(file, line, text);
    }
    _ck_assert_failed(file, line, expr, "%s", text);
    abort(); /* unreached: it has left the process or jumped, though not every build says so */
}

int claims_run(const char *name, const struct kit_claim *claims, double seconds_max)
{
    Suite *const suite = suite_create(name);
    TCase *const tcase = tcase_create("claims");
    tcase_set_timeout(tcase, seconds_max);
    for (; claims->test != NULL; claims++) {
        tcase_add_loop_test(tcase, claims->test, 0, claims->count > 0 ? claims->count : 1);
    }
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
