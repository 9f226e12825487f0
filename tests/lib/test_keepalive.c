/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/keepalive.c.
 */
#include <kirim/keepalive.h>

#include <check.h>
#include <stdlib.h>

#include "support/random.h"

#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static const struct kirim_keepalive_options plain = { .interval_ns = 15 * SECOND,
                                                      .retry_ns = 2 * SECOND,
                                                      .unanswered_max = 3 };

static struct kirim_keepalive open_keepalive(const struct kirim_keepalive_options *options)
{
    struct kirim_keepalive k;
    ck_assert_int_eq(kirim_keepalive_init(&k, options, 0, 0), KIRIM_OK);
    return k;
}

START_TEST(what_is_sent_puts_it_off)
{
    struct kirim_keepalive k = open_keepalive(&plain);
    ck_assert_uint_eq(k.deadline_ns, 15 * SECOND);
    kirim_keepalive_sent(&k, 14 * SECOND);
    ck_assert_int_eq(kirim_keepalive_expire(&k, 29 * SECOND - 1, 0), KIRIM_KEEPALIVE_WAIT);
    ck_assert_int_eq(kirim_keepalive_expire(&k, 29 * SECOND, 0), KIRIM_KEEPALIVE_SEND);
}
END_TEST

START_TEST(what_is_heard_does_not_put_it_off)
{
    struct kirim_keepalive k = open_keepalive(&plain);
    kirim_keepalive_heard(&k, 14 * SECOND);
    ck_assert_uint_eq(k.deadline_ns, 15 * SECOND);
}
END_TEST

START_TEST(silent_peer_is_gone_after_as_many_as_allowed)
{
    struct kirim_keepalive k = open_keepalive(&plain);
    for (uint64_t i = 0; i < 3; i++) {
        ck_assert_int_eq(kirim_keepalive_expire(&k, (15 + 2 * i) * SECOND, 0),
                         KIRIM_KEEPALIVE_SEND);
        kirim_keepalive_sent(&k, (15 + 2 * i) * SECOND + MS); /* no sign of the peer */
        ck_assert_uint_eq(k.deadline_ns, (17 + 2 * i) * SECOND);
    }
    ck_assert_int_eq(kirim_keepalive_expire(&k, 21 * SECOND - 1, 0), KIRIM_KEEPALIVE_WAIT);
    ck_assert_int_eq(kirim_keepalive_expire(&k, 21 * SECOND, 0), KIRIM_KEEPALIVE_GONE);
    ck_assert_uint_eq(k.deadline_ns, KIRIM_NEVER);
    ck_assert_int_eq(kirim_keepalive_expire(&k, KIRIM_NEVER, 0), KIRIM_KEEPALIVE_WAIT);
}
END_TEST

START_TEST(sign_of_the_peer_begins_anew)
{
    struct kirim_keepalive k = open_keepalive(&plain);
    ck_assert_int_eq(kirim_keepalive_expire(&k, 15 * SECOND, 0), KIRIM_KEEPALIVE_SEND);
    ck_assert_int_eq(kirim_keepalive_expire(&k, 17 * SECOND, 0), KIRIM_KEEPALIVE_SEND);
    kirim_keepalive_heard(&k, 18 * SECOND);
    ck_assert_uint_eq(k.unanswered, 0);
    ck_assert_uint_eq(k.deadline_ns, 33 * SECOND);
}
END_TEST

START_TEST(peer_that_need_not_answer_is_never_gone)
{
    struct kirim_keepalive_options options = plain;
    options.unanswered_max = 0;
    struct kirim_keepalive k = open_keepalive(&options);
    for (uint64_t i = 1; i < 1000; i++) {
        ck_assert_int_eq(kirim_keepalive_expire(&k, 15 * i * SECOND, 0), KIRIM_KEEPALIVE_SEND);
    }
}
END_TEST

START_TEST(jitter_shortens_up_to_its_share)
{
    struct kirim_keepalive_options options = plain;
    struct test_random r = test_random_start("keepalive");
    uint64_t least_ns = KIRIM_NEVER;
    uint64_t most_ns = 0;
    options.jitter_permille = 200;
    for (unsigned i = 0; i < 10000; i++) {
        struct kirim_keepalive k;
        ck_assert_int_eq(kirim_keepalive_init(&k, &options, 0, test_random_next(&r)), KIRIM_OK);
        least_ns = k.deadline_ns < least_ns ? k.deadline_ns : least_ns;
        most_ns = k.deadline_ns > most_ns ? k.deadline_ns : most_ns;
    }
    ck_assert_uint_eq(least_ns, 12 * SECOND);
    ck_assert_uint_eq(most_ns, 15 * SECOND);
}
END_TEST

START_TEST(interval_is_never_nothing)
{
    struct kirim_keepalive k;
    const struct kirim_keepalive_options options = { .interval_ns = 1,
                                                     .retry_ns = 1,
                                                     .jitter_permille = 1000 };
    ck_assert_int_eq(kirim_keepalive_init(&k, &options, 0, UINT64_MAX), KIRIM_OK);
    ck_assert_uint_eq(k.deadline_ns, 1);
}
END_TEST

START_TEST(bounds_are_kept)
{
    const uint64_t over = (UINT64_C(1) << 53) + 1;
    const struct kirim_keepalive_options bad[] = {
        { 0, 1, 0, 0 }, { 1, 0, 0, 0 }, { over, 1, 0, 0 }, { 1, over, 0, 0 }, { 1, 1, 1001, 0 },
    };
    struct kirim_keepalive k;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(kirim_keepalive_init(&k, &bad[i], 0, 0), KIRIM_EINVAL);
    }
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("keepalive");
    TCase *const t = tcase_create("keepalive");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, what_is_sent_puts_it_off);
    tcase_add_test(t, what_is_heard_does_not_put_it_off);
    tcase_add_test(t, silent_peer_is_gone_after_as_many_as_allowed);
    tcase_add_test(t, sign_of_the_peer_begins_anew);
    tcase_add_test(t, peer_that_need_not_answer_is_never_gone);
    tcase_add_test(t, jitter_shortens_up_to_its_share);
    tcase_add_test(t, interval_is_never_nothing);
    tcase_add_test(t, bounds_are_kept);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
