/* SPDX-License-Identifier: MIT
 *
 * The map against a model: an array of what is in it. Hashes are few, so that additions, removals
 * and searches meet, and many of them want the same place. And the keyed hash, against the value
 * that its authors' code gives for nothing.
 */
#include "map.h"
#include "siphash13.h"
#include "support/ks.h"
#include "support/random.h"

#include <stdlib.h>
#include <string.h>

enum { HASH_COUNT = 6000, OPERATION_COUNT = 300000, CROWDED_BITS = 20 };

struct model {
    struct ks t;
    struct ki_map map;
    uint64_t hash[HASH_COUNT];
    uint64_t value[HASH_COUNT]; /* 0: it is not there */
    uint64_t count;
    struct test_random random;
};

static struct model *model_new(void)
{
    struct model *m = calloc(1, sizeof *m);
    KS_CHECK(m != NULL);
    ks_init(&m->t, "sim", KIRIM_IPV4);
    ks_open(&m->t);
    ki_map_init(&m->map, m->t.loop);
    m->random = (struct test_random){ 7 };
    for (size_t i = 0; i < HASH_COUNT; i++) {
        /* Distinct, and half of them want one of a few neighbouring places. */
        const uint64_t high = (uint64_t)(i + 1) << CROWDED_BITS;
        m->hash[i] =
            high | (i % 2 == 0 ? i % 32 : test_random_next(&m->random) % (1U << CROWDED_BITS));
    }
    return m;
}

static void model_free(struct model *m)
{
    ki_map_fini(&m->map);
    ks_close(&m->t);
    free(m);
}

static void check_one(const struct model *m, size_t i)
{
    const uint64_t *value = ki_map_find(&m->map, m->hash[i]);
    KS_EQ(m->value[i], value != NULL ? *value : 0);
}

static void toggle(struct model *m, size_t i)
{
    check_one(m, i);
    if (m->value[i] != 0) {
        ki_map_remove(&m->map, m->hash[i]);
        m->value[i] = 0;
        m->count--;
    } else {
        m->value[i] = test_random_next(&m->random) | 1;
        KS_CHECK(ki_map_add(&m->map, m->hash[i], m->value[i]));
        m->count++;
    }
    check_one(m, i);
    KS_EQ(m->count, m->map.count);
}

START_TEST(map_is_what_the_model_is)
{
    struct model *m = model_new();
    for (size_t n = 0; n < OPERATION_COUNT; n++) {
        /* The range of what is touched swells, so that the tables follow each other. */
        const size_t range = 1 + n * HASH_COUNT / OPERATION_COUNT;
        toggle(m, test_random_next(&m->random) % range);
        check_one(m, test_random_next(&m->random) % HASH_COUNT);
    }
    for (size_t i = 0; i < HASH_COUNT; i++) {
        check_one(m, i);
    }
    model_free(m);
}
END_TEST

START_TEST(nothing_is_lost_while_tables_change)
{
    struct model *m = model_new();
    for (size_t i = 0; i < HASH_COUNT; i++) {
        toggle(m, i);
        check_one(m, i / 2); /* somewhere among those that may be moving */
    }
    for (size_t i = 0; i < HASH_COUNT; i++) {
        check_one(m, i);
    }
    for (size_t i = 0; i < HASH_COUNT; i++) {
        toggle(m, i);
    }
    KS_EQ(0, m->map.count);
    model_free(m);
}
END_TEST

START_TEST(map_without_memory_keeps_what_it_has)
{
    struct model *m = model_new();
    m->t.memory.fail_at = m->t.memory.calls + 1;
    KS_CHECK(!ki_map_add(&m->map, m->hash[0], 1));
    m->t.memory.fail_at = 0;
    size_t count = 0;
    for (; count < 40; count++) {
        toggle(m, count);
    }
    m->t.memory.fail_at = m->t.memory.calls + 1;
    while (count < HASH_COUNT && ki_map_add(&m->map, m->hash[count], 1)) {
        m->value[count++] = 1;
        m->count++;
    }
    KS_CHECK(count < HASH_COUNT);
    for (size_t i = 0; i < HASH_COUNT; i++) {
        check_one(m, i);
    }
    m->t.memory.fail_at = 0;
    toggle(m, HASH_COUNT - 1); /* which is not among them */
    model_free(m);
}
END_TEST

START_TEST(value_can_be_changed_in_place)
{
    struct model *m = model_new();
    KS_CHECK(ki_map_find(&m->map, m->hash[0]) == NULL);
    toggle(m, 0);
    ++*ki_map_find(&m->map, m->hash[0]);
    m->value[0]++;
    check_one(m, 0);
    model_free(m);
}
END_TEST

START_TEST(hash_of_nothing_is_the_published_one)
{
    const uint64_t key[2] = { UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908) };
    KS_EQ(UINT64_C(0xabac0158050fc4dc), ki_siphash13(key, NULL, 0));
}
END_TEST

START_TEST(hash_hangs_on_every_bit)
{
    uint64_t key[2] = { 1, 2 };
    uint64_t word[3] = { 3, 4, 5 };
    const uint64_t before = ki_siphash13(key, word, 3);
    for (unsigned i = 0; i < 3 * 64; i++) {
        word[i / 64] ^= UINT64_C(1) << i % 64;
        KS_CHECK(ki_siphash13(key, word, 3) != before);
        word[i / 64] ^= UINT64_C(1) << i % 64;
    }
    KS_CHECK(ki_siphash13(key, word, 2) != before);
    key[0] ^= 1;
    KS_CHECK(ki_siphash13(key, word, 3) != before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("map");
    TCase *tcase = tcase_create("map");
    tcase_add_test(tcase, map_is_what_the_model_is);
    tcase_add_test(tcase, nothing_is_lost_while_tables_change);
    tcase_add_test(tcase, map_without_memory_keeps_what_it_has);
    tcase_add_test(tcase, value_can_be_changed_in_place);
    tcase_add_test(tcase, hash_of_nothing_is_the_published_one);
    tcase_add_test(tcase, hash_hangs_on_every_bit);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
