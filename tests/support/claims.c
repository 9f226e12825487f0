/* SPDX-License-Identifier: MIT
 *
 * Suites that are a list of claims: see claims.h.
 */
#include "claims.h"

#include <stdlib.h>

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
