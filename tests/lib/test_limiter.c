/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/limiter.c: prefixes, slip, and what a flood of prefixes can do.
 */
#include <kirim/limiter.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "support/random.h"

#define SECOND UINT64_C(1000000000)

enum { SLOT_COUNT = 64, FLOOD_COUNT = 100000 };

static struct kirim_limiter_slot slots[SLOT_COUNT];

static struct kirim_limiter open_limiter(uint32_t per_second, uint32_t burst, uint16_t slip)
{
    struct kirim_limiter_options options = KIRIM_LIMITER_OPTIONS_INIT;
    struct kirim_limiter limiter;
    options.rate = (struct kirim_rate){ per_second, burst };
    options.slip = slip;
    options.slots = slots;
    options.slot_count = SLOT_COUNT;
    memcpy(options.key, "sixteen byte key", sizeof options.key);
    ck_assert_int_eq(kirim_limiter_init(&limiter, &options), KIRIM_OK);
    return limiter;
}

static int judge(struct kirim_limiter *limiter, const char *peer, uint64_t now_ns)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(peer, &addr), KIRIM_OK);
    return kirim_limiter_judge(limiter, &addr, now_ns, 1);
}

static const struct prefix_case {
    const char *a;
    const char *b;
    uint8_t ipv4_bits, ipv6_bits;
    bool is_same;
} prefixes[] = {
    { "192.0.2.1:1", "192.0.2.1:2", 24, 56, true },
    { "192.0.2.0", "192.0.2.255", 24, 56, true },
    { "192.0.2.1", "192.0.3.1", 24, 56, false },
    { "192.0.2.1", "192.0.2.1", 32, 56, true },
    { "192.0.2.0", "192.0.2.1", 32, 56, false },
    { "192.0.2.1", "192.0.3.1", 23, 56, true },
    { "192.0.1.1", "192.0.2.1", 23, 56, false },
    { "1.2.3.4", "223.0.0.1", 0, 56, true },
    { "127.0.0.1", "128.0.0.1", 1, 56, false },
    { "2001:db8:0:1200::", "2001:db8:0:12ff:ffff::1", 24, 56, true },
    { "2001:db8:0:1200::", "2001:db8:0:1300::", 24, 56, false },
    { "2001:db8::", "2001:db8::1", 24, 128, false },
    { "2001:db8::", "2001:db8::1", 24, 127, true },
    { "2001:db8::1", "2001:db8:0:1::1", 24, 64, false },
    { "2001:db8::1", "fe80::1", 24, 0, true },
    { "0.0.0.0", "::", 0, 0, false }, /* families share nothing */
    { "::ffff:192.0.2.1", "192.0.2.2", 24, 56, true },
    { "fe80::1%1", "fe80::1%2", 24, 56, false },
};

enum { PREFIX_COUNT = sizeof prefixes / sizeof prefixes[0] };

START_TEST(bucket_is_that_of_the_prefix)
{
    const struct prefix_case *const c = &prefixes[_i];
    struct kirim_limiter limiter = open_limiter(1, 1, 0);
    limiter.options.ipv4_bits = c->ipv4_bits;
    limiter.options.ipv6_bits = c->ipv6_bits;
    ck_assert_int_eq(judge(&limiter, c->a, SECOND), KIRIM_LIMITER_PASS);
    ck_assert_int_eq(judge(&limiter, c->b, SECOND),
                     c->is_same ? KIRIM_LIMITER_DROP : KIRIM_LIMITER_PASS);
}
END_TEST

START_TEST(each_topic_of_a_prefix_has_its_bucket)
{
    struct kirim_limiter limiter = open_limiter(1, 1, 2);
    struct kirim_addr addr[2];
    ck_assert_int_eq(kirim_addr_parse("192.0.2.1", &addr[0]), KIRIM_OK);
    ck_assert_int_eq(kirim_addr_parse("192.0.3.1", &addr[1]), KIRIM_OK);
    for (uint64_t topic = 0; topic < 3; topic++) {
        for (size_t i = 0; i < 2; i++) {
            ck_assert_int_eq(kirim_limiter_judge_topic(&limiter, &addr[i], topic, SECOND),
                             KIRIM_LIMITER_PASS);
        }
    }
    ck_assert_int_eq(judge(&limiter, "192.0.2.1", SECOND), KIRIM_LIMITER_PASS); /* no topic */
    ck_assert_int_eq(kirim_limiter_judge_topic(&limiter, &addr[0], 1, SECOND), KIRIM_LIMITER_DROP);
    ck_assert_int_eq(kirim_limiter_judge_topic(&limiter, &addr[0], 1, SECOND), KIRIM_LIMITER_SLIP);
    ck_assert_int_eq(kirim_limiter_judge_topic(&limiter, &addr[1], 2, SECOND), KIRIM_LIMITER_DROP);
    ck_assert_int_eq(kirim_limiter_judge_topic(&limiter, &addr[0], UINT64_C(1) << 63, SECOND),
                     KIRIM_LIMITER_PASS);
    ck_assert_int_eq(kirim_limiter_judge_topic(&limiter, &addr[0], 1, 2 * SECOND),
                     KIRIM_LIMITER_PASS);
}
END_TEST

START_TEST(every_nth_over_the_rate_slips)
{
    struct kirim_limiter limiter = open_limiter(1, 2, 3);
    static const int expected[] = { KIRIM_LIMITER_PASS, KIRIM_LIMITER_PASS, KIRIM_LIMITER_DROP,
                                    KIRIM_LIMITER_DROP, KIRIM_LIMITER_SLIP, KIRIM_LIMITER_DROP,
                                    KIRIM_LIMITER_DROP, KIRIM_LIMITER_SLIP };
    for (unsigned i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        ck_assert_int_eq(judge(&limiter, "192.0.2.1", SECOND), expected[i]);
    }
    ck_assert_int_eq(judge(&limiter, "192.0.2.1", 2 * SECOND), KIRIM_LIMITER_PASS);
    ck_assert_uint_eq(limiter.stats.passed, 3);
    ck_assert_uint_eq(limiter.stats.slipped, 2);
    ck_assert_uint_eq(limiter.stats.dropped, 4);
}
END_TEST

START_TEST(slip_of_one_drops_none_and_of_zero_drops_all)
{
    struct kirim_limiter limiter = open_limiter(0, 0, 1);
    ck_assert_int_eq(judge(&limiter, "192.0.2.1", 0), KIRIM_LIMITER_SLIP);
    limiter = open_limiter(0, 0, 0);
    ck_assert_int_eq(judge(&limiter, "192.0.2.1", 0), KIRIM_LIMITER_DROP);
}
END_TEST

START_TEST(prefix_does_not_slip_in_place_of_another)
{
    struct kirim_limiter limiter = open_limiter(0, 0, 2);
    limiter.options.slot_count = KIRIM_LIMITER_WAYS;
    ck_assert_int_eq(judge(&limiter, "192.0.2.1", 0), KIRIM_LIMITER_DROP);
    ck_assert_int_eq(judge(&limiter, "198.51.100.1", 0), KIRIM_LIMITER_DROP);
    ck_assert_int_eq(judge(&limiter, "203.0.113.1", 0), KIRIM_LIMITER_DROP);
    ck_assert_int_eq(judge(&limiter, "203.0.113.1", 0), KIRIM_LIMITER_SLIP);
}
END_TEST

static struct kirim_addr random_addr(struct test_random *r)
{
    uint8_t bytes[4];
    const uint64_t word = test_random_next(r);
    memcpy(bytes, &word, sizeof bytes);
    return kirim_addr_ipv4(bytes, 1);
}

/* However many prefixes come: a burst for each slot, and the rate of each slot. */
START_TEST(flood_of_prefixes_gets_no_more_than_the_slots)
{
    struct kirim_limiter limiter = open_limiter(10, 5, 2);
    struct test_random r = test_random_start("limiter");
    uint64_t now_ns = SECOND;
    for (unsigned i = 0; i < FLOOD_COUNT; i++) {
        const struct kirim_addr addr = random_addr(&r);
        now_ns += 10000; /* 100,000 a second, for a second */
        (void)kirim_limiter_judge(&limiter, &addr, now_ns, 1);
    }
    ck_assert_uint_le(limiter.stats.passed, (uint64_t)SLOT_COUNT * (5 + 10));
    ck_assert_uint_ge(limiter.stats.passed, (uint64_t)SLOT_COUNT * (5 + 9));
    ck_assert_uint_gt(limiter.stats.displaced, 0);
    ck_assert_uint_eq(limiter.stats.passed + limiter.stats.slipped + limiter.stats.dropped,
                      FLOOD_COUNT);
}
END_TEST

/* A loud prefix among many quiet ones stays known, and limited. */
START_TEST(loud_prefix_is_not_forgotten_for_quiet_ones)
{
    struct kirim_limiter limiter = open_limiter(10, 20, 0);
    struct test_random r = test_random_start("limiter");
    unsigned passed = 0;
    for (unsigned i = 0; i < 10000; i++) {
        const struct kirim_addr addr = random_addr(&r);
        const uint64_t now_ns = SECOND + i * UINT64_C(1000000);
        passed += judge(&limiter, "192.0.2.1", now_ns) == KIRIM_LIMITER_PASS ? 1 : 0;
        if (i % 8 == 0) {
            (void)kirim_limiter_judge(&limiter, &addr, now_ns, 1);
        }
    }
    ck_assert_uint_le(passed, 20 + 10 * 10);
    ck_assert_uint_ge(passed, 20 + 10 * 9);
}
END_TEST

START_TEST(bounds_are_kept)
{
    struct kirim_limiter_options options = KIRIM_LIMITER_OPTIONS_INIT;
    struct kirim_limiter limiter;
    ck_assert_int_eq(kirim_limiter_init(&limiter, &options), KIRIM_EINVAL);
    options.slots = slots;
    ck_assert_int_eq(kirim_limiter_init(&limiter, &options), KIRIM_EINVAL);
    options.slot_count = KIRIM_LIMITER_WAYS + 1;
    ck_assert_int_eq(kirim_limiter_init(&limiter, &options), KIRIM_EINVAL);
    options.slot_count = KIRIM_LIMITER_WAYS;
    ck_assert_int_eq(kirim_limiter_init(&limiter, &options), KIRIM_OK);
    options.ipv4_bits = 33;
    ck_assert_int_eq(kirim_limiter_init(&limiter, &options), KIRIM_EINVAL);
    options.ipv4_bits = 32;
    options.ipv6_bits = 129;
    ck_assert_int_eq(kirim_limiter_init(&limiter, &options), KIRIM_EINVAL);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("limiter");
    TCase *const t = tcase_create("limiter");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, bucket_is_that_of_the_prefix, 0, PREFIX_COUNT);
    tcase_add_test(t, each_topic_of_a_prefix_has_its_bucket);
    tcase_add_test(t, every_nth_over_the_rate_slips);
    tcase_add_test(t, slip_of_one_drops_none_and_of_zero_drops_all);
    tcase_add_test(t, prefix_does_not_slip_in_place_of_another);
    tcase_add_test(t, flood_of_prefixes_gets_no_more_than_the_slots);
    tcase_add_test(t, loud_prefix_is_not_forgotten_for_quiet_ones);
    tcase_add_test(t, bounds_are_kept);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
