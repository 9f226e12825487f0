/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/siphash.c: the published vectors, and pieces of any length.
 */
#include <kirim/siphash.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "siphash_vectors.h"

static const uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = { 0, 1, 2,  3,  4,  5,  6,  7,
                                                      8, 9, 10, 11, 12, 13, 14, 15 };
static const uint8_t input[SIPHASH_VECTOR_COUNT] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
    44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
};

static uint64_t load(const uint8_t *tag)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        word |= (uint64_t)tag[i] << (8 * i);
    }
    return word;
}

START_TEST(hash_is_that_of_the_vectors)
{
    ck_assert_uint_eq(kirim_siphash_number(key, input, (size_t)_i), siphash_64_vectors[_i]);
}
END_TEST

START_TEST(long_tag_is_that_of_the_vectors)
{
    uint8_t tag[KIRIM_SIPHASH_LONG_TAG_BYTES];
    struct kirim_siphash hash;
    kirim_siphash_begin(&hash, key, sizeof tag);
    kirim_siphash_take(&hash, input, (size_t)_i);
    kirim_siphash_end(&hash, tag);
    ck_assert_uint_eq(load(tag), siphash_128_vectors[_i][0]);
    ck_assert_uint_eq(load(tag + 8), siphash_128_vectors[_i][1]);
}
END_TEST

/* Three pieces, cut at every pair of places. */
START_TEST(pieces_are_hashed_as_one)
{
    for (size_t first = 0; first <= (size_t)_i; first++) {
        for (size_t second = first; second <= (size_t)_i; second++) {
            uint8_t tag[KIRIM_SIPHASH_TAG_BYTES];
            struct kirim_siphash hash;
            kirim_siphash_begin(&hash, key, sizeof tag);
            kirim_siphash_take(&hash, input, first);
            kirim_siphash_take(&hash, input + first, second - first);
            kirim_siphash_take(&hash, input + second, (size_t)_i - second);
            kirim_siphash_end(&hash, tag);
            ck_assert_uint_eq(load(tag), siphash_64_vectors[_i]);
        }
    }
}
END_TEST

START_TEST(short_tag_writes_eight_bytes)
{
    uint8_t tag[KIRIM_SIPHASH_LONG_TAG_BYTES];
    struct kirim_siphash hash;
    memset(tag, 0xa5, sizeof tag);
    kirim_siphash_begin(&hash, key, KIRIM_SIPHASH_TAG_BYTES);
    kirim_siphash_end(&hash, tag);
    ck_assert_uint_eq(load(tag), siphash_64_vectors[0]);
    ck_assert_uint_eq(load(tag + 8), UINT64_C(0xa5a5a5a5a5a5a5a5));
}
END_TEST

START_TEST(nothing_may_be_null)
{
    ck_assert_uint_eq(kirim_siphash_number(key, NULL, 0), siphash_64_vectors[0]);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("siphash");
    TCase *const t = tcase_create("siphash");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, hash_is_that_of_the_vectors, 0, SIPHASH_VECTOR_COUNT);
    tcase_add_loop_test(t, long_tag_is_that_of_the_vectors, 0, SIPHASH_VECTOR_COUNT);
    tcase_add_loop_test(t, pieces_are_hashed_as_one, 0, 24);
    tcase_add_test(t, short_tag_writes_eight_bytes);
    tcase_add_test(t, nothing_may_be_null);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
