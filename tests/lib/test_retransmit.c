/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/retransmit.c: the schedules of the documents that define them, and what messages
 * of one path have in common.
 */
#include <kirim/retransmit.h>

#include <check.h>
#include <stdlib.h>

#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static struct kirim_path open_path(uint32_t outstanding_max)
{
    const struct kirim_rtt_options options = KIRIM_RTT_OPTIONS_INIT;
    struct kirim_path path;
    ck_assert_int_eq(kirim_path_init(&path, &options, outstanding_max), KIRIM_OK);
    return path;
}

/* Runs a message that nobody answers; times of its transmissions, then that of its end, in ms. */
static unsigned run_unanswered(struct kirim_retransmit *r, uint64_t random, uint64_t times_ms[16])
{
    const uint64_t start_ns = 1000 * SECOND;
    unsigned count = 0;
    ck_assert_int_eq(kirim_retransmit_start(r, start_ns, random), KIRIM_OK);
    times_ms[count++] = 0;
    for (;;) {
        const uint64_t now_ns = r->deadline_ns;
        ck_assert_int_eq(kirim_retransmit_expire(r, now_ns - 1), KIRIM_RETRANSMIT_WAIT);
        const int verdict = kirim_retransmit_expire(r, now_ns);
        ck_assert_int_ne(verdict, KIRIM_RETRANSMIT_WAIT);
        ck_assert_uint_lt(count, 16);
        times_ms[count++] = (now_ns - start_ns) / MS;
        if (verdict == KIRIM_RETRANSMIT_GIVE_UP) {
            ck_assert_uint_eq(r->deadline_ns, KIRIM_NEVER);
            return count;
        }
    }
}

/* RFC 8489 section 6.2.1: at 0, 500, 1500, 3500, 7500, 15500 and 31500 ms, failed at 39500. */
START_TEST(stun_request_is_sent_as_its_document_says)
{
    static const uint64_t expected_ms[] = { 0, 500, 1500, 3500, 7500, 15500, 31500, 39500 };
    const struct kirim_retransmit_options options = KIRIM_RETRANSMIT_STUN_INIT;
    struct kirim_path path = open_path(1);
    struct kirim_retransmit r = KIRIM_RETRANSMIT_INIT(&options, &path);
    uint64_t times_ms[16];
    ck_assert_uint_eq(run_unanswered(&r, UINT64_MAX, times_ms), 8);
    ck_assert_mem_eq(times_ms, expected_ms, sizeof expected_ms);
}
END_TEST

/* RFC 7252 section 4.8.2: MAX_TRANSMIT_SPAN is 45 s and MAX_TRANSMIT_WAIT 93 s at the most. */
START_TEST(coap_message_is_sent_as_its_document_says)
{
    static const uint64_t shortest_ms[] = { 0, 2000, 6000, 14000, 30000, 62000 };
    static const uint64_t longest_ms[] = { 0, 3000, 9000, 21000, 45000, 93000 };
    const struct kirim_retransmit_options options = KIRIM_RETRANSMIT_COAP_INIT;
    struct kirim_path path = open_path(1);
    struct kirim_retransmit r = KIRIM_RETRANSMIT_INIT(&options, &path);
    uint64_t times_ms[16];
    ck_assert_uint_eq(run_unanswered(&r, 0, times_ms), 6);
    ck_assert_mem_eq(times_ms, shortest_ms, sizeof shortest_ms);
    ck_assert_uint_eq(run_unanswered(&r, UINT64_MAX, times_ms), 6);
    ck_assert_mem_eq(times_ms, longest_ms, sizeof longest_ms);
}
END_TEST

START_TEST(message_ends_with_its_total_time)
{
    static const uint64_t expected_ms[] = { 0, 1000, 3000, 5000 };
    const struct kirim_retransmit_options options = { .max_ns = 60 * SECOND,
                                                      .total_ns = 5 * SECOND,
                                                      .send_count_max = 100 };
    struct kirim_path path = open_path(1);
    struct kirim_retransmit r = KIRIM_RETRANSMIT_INIT(&options, &path);
    uint64_t times_ms[16];
    ck_assert_uint_eq(run_unanswered(&r, 0, times_ms), 4);
    ck_assert_mem_eq(times_ms, expected_ms, sizeof expected_ms);
}
END_TEST

START_TEST(timeout_stops_growing_at_its_limit)
{
    static const uint64_t expected_ms[] = { 0, 1000, 3000, 6000, 9000, 12000 };
    const struct kirim_retransmit_options options = {
        .initial_ns = SECOND, .max_ns = 3 * SECOND, .total_ns = KIRIM_NEVER, .send_count_max = 5
    };
    struct kirim_path path = open_path(1);
    struct kirim_retransmit r = KIRIM_RETRANSMIT_INIT(&options, &path);
    uint64_t times_ms[16];
    ck_assert_uint_eq(run_unanswered(&r, 0, times_ms), 6);
    ck_assert_mem_eq(times_ms, expected_ms, sizeof expected_ms);
}
END_TEST

START_TEST(answer_to_one_transmission_is_a_sample)
{
    const struct kirim_retransmit_options options = KIRIM_RETRANSMIT_OPTIONS_INIT;
    struct kirim_path path = open_path(1);
    struct kirim_retransmit r = KIRIM_RETRANSMIT_INIT(&options, &path);
    ck_assert_int_eq(kirim_retransmit_start(&r, SECOND, 0), KIRIM_OK);
    kirim_retransmit_answer(&r, SECOND + 30 * MS);
    ck_assert_uint_eq(path.rtt.smoothed_ns, 30 * MS);
    ck_assert_uint_eq(path.outstanding, 0);
    ck_assert_uint_eq(r.deadline_ns, KIRIM_NEVER);
    kirim_retransmit_answer(&r, SECOND + 90 * MS); /* idle: nothing happens */
    ck_assert_uint_eq(path.rtt.smoothed_ns, 30 * MS);
    ck_assert_uint_eq(path.outstanding, 0);
}
END_TEST

/* Karn: nobody knows which of the two was answered. The doubled timeout stays for the next. */
START_TEST(answer_to_two_transmissions_is_no_sample)
{
    const struct kirim_retransmit_options options = { .max_ns = 60 * SECOND,
                                                      .total_ns = KIRIM_NEVER,
                                                      .send_count_max = 5 };
    struct kirim_path path = open_path(1);
    struct kirim_retransmit r = KIRIM_RETRANSMIT_INIT(&options, &path);
    ck_assert_int_eq(kirim_retransmit_start(&r, 0, 0), KIRIM_OK);
    ck_assert_int_eq(kirim_retransmit_expire(&r, SECOND), KIRIM_RETRANSMIT_SEND);
    kirim_retransmit_answer(&r, SECOND + 10 * MS);
    ck_assert_uint_eq(path.rtt.smoothed_ns, 0);
    ck_assert_int_eq(kirim_retransmit_start(&r, 2 * SECOND, 0), KIRIM_OK);
    ck_assert_uint_eq(r.deadline_ns, 4 * SECOND);
}
END_TEST

START_TEST(path_limits_what_is_outstanding)
{
    const struct kirim_retransmit_options options = KIRIM_RETRANSMIT_OPTIONS_INIT;
    struct kirim_path path = open_path(2);
    struct kirim_retransmit r[3];
    for (unsigned i = 0; i < 3; i++) {
        r[i] = (struct kirim_retransmit)KIRIM_RETRANSMIT_INIT(&options, &path);
    }
    ck_assert_int_eq(kirim_retransmit_start(&r[0], 0, 0), KIRIM_OK);
    ck_assert_int_eq(kirim_retransmit_start(&r[0], 0, 0), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_retransmit_start(&r[1], 0, 0), KIRIM_OK);
    ck_assert_int_eq(kirim_retransmit_start(&r[2], 0, 0), KIRIM_EBUSY);
    kirim_retransmit_cancel(&r[0]);
    kirim_retransmit_cancel(&r[0]);
    ck_assert_uint_eq(path.outstanding, 1);
    ck_assert_int_eq(kirim_retransmit_start(&r[2], 0, 0), KIRIM_OK);
}
END_TEST

START_TEST(losses_at_one_time_back_off_once)
{
    const struct kirim_retransmit_options options = { .max_ns = 60 * SECOND,
                                                      .total_ns = KIRIM_NEVER,
                                                      .send_count_max = 5 };
    struct kirim_path path = open_path(4);
    struct kirim_retransmit r[4];
    for (unsigned i = 0; i < 4; i++) {
        r[i] = (struct kirim_retransmit)KIRIM_RETRANSMIT_INIT(&options, &path);
        ck_assert_int_eq(kirim_retransmit_start(&r[i], i * MS, 0), KIRIM_OK);
    }
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(kirim_retransmit_expire(&r[i], SECOND + i * MS), KIRIM_RETRANSMIT_SEND);
    }
    ck_assert_uint_eq(path.rtt.timeout_ns, 2 * SECOND);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(kirim_retransmit_expire(&r[i], 3 * SECOND + i * MS),
                         KIRIM_RETRANSMIT_SEND);
    }
    ck_assert_uint_eq(path.rtt.timeout_ns, 4 * SECOND);
}
END_TEST

START_TEST(pace_is_one_in_three_seconds_or_in_a_round_trip)
{
    struct kirim_path path = open_path(1);
    ck_assert(kirim_path_pace(&path, SECOND));
    ck_assert(!kirim_path_pace(&path, 4 * SECOND - 1));
    ck_assert_uint_eq(path.next_ns, 4 * SECOND);
    kirim_rtt_sample(&path.rtt, 50 * MS);
    ck_assert(kirim_path_pace(&path, 4 * SECOND));
    ck_assert(!kirim_path_pace(&path, 4 * SECOND + 50 * MS - 1));
    ck_assert(kirim_path_pace(&path, 4 * SECOND + 50 * MS));
}
END_TEST

START_TEST(bounds_are_kept)
{
    const struct kirim_retransmit_options bad[] = {
        { .max_ns = SECOND, .send_count_max = 0 },
        { .max_ns = 0, .send_count_max = 1 },
        { .max_ns = (UINT64_C(1) << 53) + 1, .send_count_max = 1 },
        { .max_ns = SECOND, .send_count_max = 1, .jitter_permille = 1001 },
        { .max_ns = SECOND, .send_count_max = 1, .last_factor = 1001 },
    };
    struct kirim_path path = open_path(1);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct kirim_retransmit r = KIRIM_RETRANSMIT_INIT(&bad[i], &path);
        ck_assert_int_eq(kirim_retransmit_start(&r, 0, 0), KIRIM_EINVAL);
    }
    ck_assert_uint_eq(path.outstanding, 0);
    const struct kirim_rtt_options options = KIRIM_RTT_OPTIONS_INIT;
    ck_assert_int_eq(kirim_path_init(&path, &options, 0), KIRIM_EINVAL);
}
END_TEST

START_TEST(end_of_the_clock_is_no_beginning)
{
    const struct kirim_retransmit_options options = { .initial_ns = UINT64_C(1) << 53,
                                                      .max_ns = UINT64_C(1) << 53,
                                                      .total_ns = KIRIM_NEVER,
                                                      .send_count_max = 3,
                                                      .jitter_permille = 1000,
                                                      .last_factor = 1000 };
    struct kirim_path path = open_path(1);
    struct kirim_retransmit r = KIRIM_RETRANSMIT_INIT(&options, &path);
    ck_assert_int_eq(kirim_retransmit_start(&r, KIRIM_NEVER - 5, UINT64_MAX), KIRIM_OK);
    ck_assert_uint_eq(r.deadline_ns, KIRIM_NEVER);
    ck_assert_int_eq(kirim_retransmit_expire(&r, KIRIM_NEVER - 1), KIRIM_RETRANSMIT_WAIT);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("retransmit");
    TCase *const t = tcase_create("retransmit");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, stun_request_is_sent_as_its_document_says);
    tcase_add_test(t, coap_message_is_sent_as_its_document_says);
    tcase_add_test(t, message_ends_with_its_total_time);
    tcase_add_test(t, timeout_stops_growing_at_its_limit);
    tcase_add_test(t, answer_to_one_transmission_is_a_sample);
    tcase_add_test(t, answer_to_two_transmissions_is_no_sample);
    tcase_add_test(t, path_limits_what_is_outstanding);
    tcase_add_test(t, losses_at_one_time_back_off_once);
    tcase_add_test(t, pace_is_one_in_three_seconds_or_in_a_round_trip);
    tcase_add_test(t, bounds_are_kept);
    tcase_add_test(t, end_of_the_clock_is_no_beginning);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
