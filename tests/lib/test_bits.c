/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/bits.h: the positions that the compiler's builtins find are those that are found
 * without them.
 */
#include "bits.h"

#include <check.h>
#include <stdlib.h>

/* Words with nothing, something and everything set between the two bits. */
static void check_word(uint64_t x, unsigned lowest, unsigned highest)
{
    ck_assert_uint_eq(ki_lowest_bit(x), lowest);
    ck_assert_uint_eq(ki_lowest_bit_plain(x), lowest);
    ck_assert_uint_eq(ki_highest_bit(x), highest);
    ck_assert_uint_eq(ki_highest_bit_plain(x), highest);
}

START_TEST(every_pair_of_bits_is_found)
{
    for (unsigned highest = 0; highest < 64; highest++) {
        const uint64_t top = UINT64_C(1) << highest;
        for (unsigned lowest = 0; lowest <= highest; lowest++) {
            const uint64_t bottom = UINT64_C(1) << lowest;
            check_word(top | bottom, lowest, highest);
            check_word((top - bottom) | top | bottom, lowest, highest);
        }
    }
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("bits");
    TCase *const tcase = tcase_create("bits");
    tcase_add_test(tcase, every_pair_of_bits_is_found);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
