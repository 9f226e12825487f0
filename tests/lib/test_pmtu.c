/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/pmtu.c: the transitions of RFC 8899 section 5.2 one by one, and searches on
 * paths of every size.
 */
#include <kirim/pmtu.h>

#include <check.h>
#include <stdlib.h>

#include "support/random.h"

#define SECOND UINT64_C(1000000000)

enum { PROBE_S = 15, RAISE_S = 600, ROUND_COUNT_MAX = 200 };

/* Minimum 1,000, base 1,200, maximum 1,452. */
static struct kirim_pmtu_options options_of(void)
{
    struct kirim_pmtu_options options = KIRIM_PMTU_OPTIONS_INIT;
    options.min_bytes = 1000;
    return options;
}

/* A search and the path it is on. */
struct path {
    struct kirim_pmtu_options options;
    struct kirim_pmtu pmtu;
    uint64_t now_ns;
    uint32_t mtu_bytes; /* what gets through */
    unsigned sent, lost;
};

static void open_path(struct path *p, uint32_t mtu_bytes)
{
    *p = (struct path){ .options = options_of(), .mtu_bytes = mtu_bytes };
    ck_assert_int_eq(kirim_pmtu_init(&p->pmtu, &p->options), KIRIM_OK);
}

/* The next probe, at its time; it is acknowledged 50 ms later, if it gets through. */
static uint32_t step(struct path *p)
{
    if (p->pmtu.deadline_ns > p->now_ns) {
        p->now_ns = p->pmtu.deadline_ns;
    }
    const uint32_t bytes = kirim_pmtu_probe(&p->pmtu, p->now_ns);
    p->sent += bytes != 0 ? 1 : 0;
    if (bytes != 0 && bytes <= p->mtu_bytes) {
        p->now_ns += SECOND / 20;
        kirim_pmtu_acknowledge(&p->pmtu, bytes, p->now_ns);
    } else {
        p->lost += bytes != 0 ? 1 : 0;
    }
    return bytes;
}

static void run_until(struct path *p, uint32_t state)
{
    for (unsigned i = 0; i < ROUND_COUNT_MAX && p->pmtu.state != state; i++) {
        (void)step(p);
    }
    ck_assert_uint_eq(p->pmtu.state, state);
}

START_TEST(nothing_is_probed_before_the_start)
{
    struct path p;
    open_path(&p, 1452);
    ck_assert_uint_eq(p.pmtu.state, KIRIM_PMTU_DISABLED);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1200);
    ck_assert_uint_eq(p.pmtu.deadline_ns, KIRIM_NEVER);
    ck_assert_uint_eq(kirim_pmtu_probe(&p.pmtu, KIRIM_NEVER), 0);
    ck_assert(!kirim_pmtu_too_big(&p.pmtu, 1100, 0));
}
END_TEST

/* Base confirmed, then the largest at once: most paths take it. */
START_TEST(path_of_the_largest_size_takes_two_probes)
{
    struct path p;
    open_path(&p, 1452);
    kirim_pmtu_start(&p.pmtu, 0);
    ck_assert_uint_eq(p.pmtu.state, KIRIM_PMTU_BASE);
    ck_assert_uint_eq(step(&p), 1200);
    ck_assert_uint_eq(p.pmtu.state, KIRIM_PMTU_SEARCHING);
    ck_assert_uint_eq(step(&p), 1452);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1452);
    ck_assert_uint_eq(step(&p), 0);
    ck_assert_uint_eq(p.pmtu.state, KIRIM_PMTU_COMPLETE);
    ck_assert_uint_eq(p.pmtu.deadline_ns, p.now_ns + RAISE_S * SECOND);
}
END_TEST

START_TEST(search_finds_every_size_to_its_granularity)
{
    struct path p;
    open_path(&p, (uint32_t)_i);
    kirim_pmtu_start(&p.pmtu, 0);
    run_until(&p, KIRIM_PMTU_COMPLETE);
    ck_assert_uint_le(p.pmtu.plpmtu_bytes, p.mtu_bytes);
    ck_assert_uint_lt(p.mtu_bytes - p.pmtu.plpmtu_bytes, 16);
    ck_assert_uint_le(p.sent, 1 + 3 + 3 * 4 + 4); /* base; maximum; 252 / 16 is below 2^4 */
}
END_TEST

START_TEST(size_is_given_up_after_as_many_probes_as_said)
{
    struct path p;
    open_path(&p, 1200);
    kirim_pmtu_start(&p.pmtu, 0);
    (void)step(&p);
    const uint64_t begun_ns = p.now_ns;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(step(&p), 1452);
        ck_assert_uint_eq(p.now_ns, begun_ns + (uint64_t)i * PROBE_S * SECOND);
        ck_assert_uint_eq(kirim_pmtu_probe(&p.pmtu, p.pmtu.deadline_ns - 1), 0);
    }
    ck_assert_uint_eq(step(&p), 1200 + (1452 - 1200) / 2);
}
END_TEST

START_TEST(loss_that_is_known_needs_no_timer)
{
    struct path p;
    open_path(&p, 1200);
    kirim_pmtu_start(&p.pmtu, 0);
    (void)step(&p);
    const uint64_t now_ns = p.now_ns;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(kirim_pmtu_probe(&p.pmtu, now_ns), 1452);
        kirim_pmtu_lose(&p.pmtu, 1451, now_ns); /* no such probe */
        ck_assert_uint_eq(kirim_pmtu_probe(&p.pmtu, now_ns), 0);
        kirim_pmtu_lose(&p.pmtu, 1452, now_ns);
    }
    ck_assert_uint_eq(kirim_pmtu_probe(&p.pmtu, now_ns), 1326);
}
END_TEST

START_TEST(base_that_is_lost_is_an_error_until_it_gets_through)
{
    struct path p;
    open_path(&p, 1100);
    kirim_pmtu_start(&p.pmtu, 0);
    run_until(&p, KIRIM_PMTU_ERROR);
    ck_assert_uint_eq(p.sent, 3);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1000);
    for (unsigned i = 0; i < 30; i++) {
        (void)step(&p);
        ck_assert_uint_eq(p.pmtu.state, KIRIM_PMTU_ERROR);
        ck_assert_uint_le(p.pmtu.deadline_ns - p.now_ns, RAISE_S * SECOND);
    }
    p.mtu_bytes = 1452;
    run_until(&p, KIRIM_PMTU_COMPLETE);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1452);
}
END_TEST

START_TEST(probes_of_the_error_state_become_rare)
{
    static const uint64_t waits_s[] = { 30, 60, 120, 240, 480, 600, 600 };
    struct path p;
    open_path(&p, 0);
    kirim_pmtu_start(&p.pmtu, 0);
    run_until(&p, KIRIM_PMTU_ERROR);
    ck_assert_uint_eq(p.pmtu.deadline_ns - p.now_ns, PROBE_S * SECOND);
    for (unsigned i = 0; i < sizeof waits_s / sizeof waits_s[0]; i++) {
        for (unsigned probe = 0; probe < 3; probe++) {
            ck_assert_uint_eq(step(&p), 1200);
            ck_assert_uint_eq(p.pmtu.deadline_ns - p.now_ns, PROBE_S * SECOND);
        }
        ck_assert_uint_eq(step(&p), 0); /* the third is given up */
        ck_assert_uint_eq(p.pmtu.deadline_ns - p.now_ns, waits_s[i] * SECOND);
    }
}
END_TEST

START_TEST(larger_size_is_tried_again_after_its_time)
{
    struct path p;
    open_path(&p, 1300);
    kirim_pmtu_start(&p.pmtu, 0);
    run_until(&p, KIRIM_PMTU_COMPLETE);
    const uint32_t found = p.pmtu.plpmtu_bytes;
    p.mtu_bytes = 1452;
    ck_assert_uint_eq(kirim_pmtu_probe(&p.pmtu, p.now_ns + RAISE_S * SECOND - 1), 0);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, found);
    ck_assert_uint_eq(step(&p), 1452);
    run_until(&p, KIRIM_PMTU_COMPLETE);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1452);
}
END_TEST

START_TEST(black_hole_leads_back_to_the_base)
{
    struct path p;
    open_path(&p, 1452);
    kirim_pmtu_start(&p.pmtu, 0);
    run_until(&p, KIRIM_PMTU_COMPLETE);
    p.mtu_bytes = 1280;
    kirim_pmtu_black_hole(&p.pmtu, p.now_ns);
    ck_assert_uint_eq(p.pmtu.state, KIRIM_PMTU_BASE);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1200);
    kirim_pmtu_black_hole(&p.pmtu, p.now_ns); /* told twice */
    ck_assert_uint_eq(step(&p), 1200);
    ck_assert_uint_eq(step(&p), 1326); /* between the base and what has vanished */
    run_until(&p, KIRIM_PMTU_COMPLETE);
    ck_assert_uint_le(p.pmtu.plpmtu_bytes, 1280);
    ck_assert_uint_gt(p.pmtu.plpmtu_bytes, 1280 - 16);
}
END_TEST

START_TEST(confirmation_finds_a_black_hole)
{
    struct path p;
    open_path(&p, 1452);
    p.options.confirm_ns = 60 * SECOND;
    kirim_pmtu_start(&p.pmtu, 0);
    run_until(&p, KIRIM_PMTU_COMPLETE);
    kirim_pmtu_confirm(&p.pmtu, p.now_ns + 30 * SECOND);
    ck_assert_uint_eq(p.pmtu.deadline_ns, p.now_ns + 90 * SECOND);
    ck_assert_uint_eq(step(&p), 1452);
    ck_assert_uint_eq(p.pmtu.state, KIRIM_PMTU_COMPLETE);
    ck_assert_uint_eq(p.pmtu.deadline_ns, p.now_ns + 60 * SECOND);
    p.mtu_bytes = 1300;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(step(&p), 1452);
        ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1452);
    }
    ck_assert_uint_eq(step(&p), 1200);
    run_until(&p, KIRIM_PMTU_COMPLETE);
    ck_assert_uint_le(p.pmtu.plpmtu_bytes, 1300);
}
END_TEST

START_TEST(confirmations_do_not_put_off_the_raise)
{
    struct path p;
    open_path(&p, 1300);
    p.options.confirm_ns = 60 * SECOND;
    kirim_pmtu_start(&p.pmtu, 0);
    run_until(&p, KIRIM_PMTU_COMPLETE);
    const uint64_t raise_ns = p.now_ns + RAISE_S * SECOND;
    p.mtu_bytes = 1452;
    for (unsigned i = 0; i < 12 && p.pmtu.plpmtu_bytes < 1452; i++) {
        (void)step(&p);
    }
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1452);
    ck_assert_uint_le(p.now_ns, raise_ns + SECOND);
}
END_TEST

/* RFC 8899 section 4.6.2, with minimum 1,000, base 1,200, PLPMTU 1,326, probe 1,389. */
static const struct too_big_case {
    uint32_t bytes;
    bool is_told;
    uint32_t state, plpmtu_bytes, next_probe;
} too_bigs[] = {
    { 0, false, KIRIM_PMTU_SEARCHING, 1326, 0 },
    { 999, false, KIRIM_PMTU_SEARCHING, 1326, 0 },
    { 1000, true, KIRIM_PMTU_ERROR, 1000, 0 },
    { 1199, true, KIRIM_PMTU_ERROR, 1000, 0 },
    { 1200, true, KIRIM_PMTU_BASE, 1200, 1200 },
    { 1325, true, KIRIM_PMTU_BASE, 1200, 1200 },
    { 1326, true, KIRIM_PMTU_SEARCHING, 1326, 0 },
    { 1350, true, KIRIM_PMTU_SEARCHING, 1326, 1350 },
    { 1388, true, KIRIM_PMTU_SEARCHING, 1326, 1388 },
    { 1389, false, KIRIM_PMTU_SEARCHING, 1326, 0 },
    { UINT32_MAX, false, KIRIM_PMTU_SEARCHING, 1326, 0 },
};

enum { TOO_BIG_COUNT = sizeof too_bigs / sizeof too_bigs[0] };

START_TEST(packet_too_big_is_taken_for_what_it_can_be)
{
    const struct too_big_case *const c = &too_bigs[_i];
    struct path p;
    open_path(&p, 1330);
    kirim_pmtu_start(&p.pmtu, 0);
    while (p.pmtu.probed_bytes != 1389) {
        ck_assert_uint_lt(p.sent, ROUND_COUNT_MAX);
        (void)step(&p);
    }
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1326);
    ck_assert(kirim_pmtu_too_big(&p.pmtu, c->bytes, p.now_ns) == c->is_told);
    ck_assert_uint_eq(p.pmtu.state, c->state);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, c->plpmtu_bytes);
    ck_assert_uint_eq(kirim_pmtu_probe(&p.pmtu, p.now_ns), c->next_probe);
}
END_TEST

START_TEST(packet_too_big_tells_nothing_new_in_the_error_state)
{
    struct path p;
    open_path(&p, 1100);
    kirim_pmtu_start(&p.pmtu, 0);
    run_until(&p, KIRIM_PMTU_ERROR);
    ck_assert_uint_eq(step(&p), 1200);
    const uint64_t deadline_ns = p.pmtu.deadline_ns;
    ck_assert(kirim_pmtu_too_big(&p.pmtu, 1100, p.now_ns + SECOND));
    ck_assert_uint_eq(p.pmtu.probed_bytes, 1200);
    ck_assert_uint_eq(p.pmtu.deadline_ns, deadline_ns);
}
END_TEST

START_TEST(packet_too_big_spares_the_search)
{
    struct path p;
    open_path(&p, 1371);
    kirim_pmtu_start(&p.pmtu, 0);
    (void)step(&p);
    ck_assert_uint_eq(step(&p), 1452);
    ck_assert(kirim_pmtu_too_big(&p.pmtu, 1371, p.now_ns));
    ck_assert_uint_eq(step(&p), 1371);
    ck_assert_uint_eq(step(&p), 0);
    ck_assert_uint_eq(p.pmtu.state, KIRIM_PMTU_COMPLETE);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1371); /* to the byte */
    p.mtu_bytes = 1250;
    ck_assert(kirim_pmtu_too_big(&p.pmtu, 1250, p.now_ns));
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1200);
    run_until(&p, KIRIM_PMTU_COMPLETE);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1250);
}
END_TEST

START_TEST(acknowledgement_of_anything_else_is_ignored)
{
    struct path p;
    open_path(&p, 1452);
    kirim_pmtu_start(&p.pmtu, 0);
    kirim_pmtu_acknowledge(&p.pmtu, 0, 0);
    kirim_pmtu_acknowledge(&p.pmtu, 1200, 0); /* not sent yet */
    ck_assert_uint_eq(p.pmtu.state, KIRIM_PMTU_BASE);
    ck_assert_uint_eq(kirim_pmtu_probe(&p.pmtu, 0), 1200);
    kirim_pmtu_acknowledge(&p.pmtu, 1452, 0);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1200);
    ck_assert_uint_eq(p.pmtu.state, KIRIM_PMTU_BASE);
}
END_TEST

START_TEST(range_of_one_size_is_complete_at_once)
{
    struct path p;
    open_path(&p, 9000);
    p.options.max_bytes = 1200;
    kirim_pmtu_start(&p.pmtu, 0);
    (void)step(&p);
    ck_assert_uint_eq(step(&p), 0);
    ck_assert_uint_eq(p.pmtu.state, KIRIM_PMTU_COMPLETE);
    ck_assert_uint_eq(p.pmtu.plpmtu_bytes, 1200);
}
END_TEST

START_TEST(bounds_are_kept)
{
    struct kirim_pmtu pmtu;
    for (int i = 0; i < 12; i++) {
        struct kirim_pmtu_options o = options_of();
        o.min_bytes = i == 0 ? 0 : i == 1 ? 1201 : o.min_bytes;
        o.max_bytes = i == 2 ? 1199 : i == 3 ? UINT32_C(1) << 31 : o.max_bytes;
        o.probe_count_max = i == 4 ? 0 : i == 5 ? 256 : o.probe_count_max;
        o.granularity_bytes = i == 6 ? 0 : o.granularity_bytes;
        o.probe_ns = i == 7 ? SECOND - 1 : i == 8 ? (UINT64_C(1) << 53) + 1 : o.probe_ns;
        o.raise_ns = i == 9 ? 0 : i == 10 ? (UINT64_C(1) << 53) + 1 : o.raise_ns;
        o.confirm_ns = i == 11 ? (UINT64_C(1) << 53) + 1 : o.confirm_ns;
        ck_assert_int_eq(kirim_pmtu_init(&pmtu, &o), KIRIM_EINVAL);
    }
}
END_TEST

/* A path that changes, loses one probe in ten by chance, and speaks or does not: the size in use is
 * within its range always, and right in the end. */
START_TEST(random_path_is_found_again)
{
    struct test_random r = test_random_start("pmtu");
    for (unsigned run = 0; run < 300; run++) {
        struct path p;
        open_path(&p, 1452);
        p.options.confirm_ns = 60 * SECOND;
        p.options.granularity_bytes = 1 + (uint32_t)test_random_below(&r, 40);
        kirim_pmtu_start(&p.pmtu, 0);
        for (unsigned i = 0; i < 200; i++) {
            if (test_random_below(&r, 20) == 0) {
                p.mtu_bytes = 900 + (uint32_t)test_random_below(&r, 700);
            }
            const uint32_t mtu_bytes = p.mtu_bytes;
            p.mtu_bytes = test_random_below(&r, 10) == 0 ? 0 : mtu_bytes;
            const uint32_t bytes = step(&p);
            p.mtu_bytes = mtu_bytes;
            if (bytes > mtu_bytes && test_random_below(&r, 2) == 0) {
                (void)kirim_pmtu_too_big(&p.pmtu, mtu_bytes, p.now_ns);
            }
            ck_assert_uint_ge(p.pmtu.plpmtu_bytes, 1000);
            ck_assert_uint_le(p.pmtu.plpmtu_bytes, 1452);
        }
        p.mtu_bytes = 1200 + (uint32_t)test_random_below(&r, 253);
        const uint64_t end_ns = p.now_ns + UINT64_C(3) * RAISE_S * SECOND;
        while (p.now_ns < end_ns || p.pmtu.state != KIRIM_PMTU_COMPLETE) {
            (void)step(&p);
        }
        ck_assert_uint_le(p.pmtu.plpmtu_bytes, p.mtu_bytes);
        ck_assert_uint_lt(p.mtu_bytes - p.pmtu.plpmtu_bytes, p.options.granularity_bytes);
    }
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("pmtu");
    TCase *const t = tcase_create("pmtu");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, nothing_is_probed_before_the_start);
    tcase_add_test(t, path_of_the_largest_size_takes_two_probes);
    tcase_add_loop_test(t, search_finds_every_size_to_its_granularity, 1200, 1453);
    tcase_add_test(t, size_is_given_up_after_as_many_probes_as_said);
    tcase_add_test(t, loss_that_is_known_needs_no_timer);
    tcase_add_test(t, base_that_is_lost_is_an_error_until_it_gets_through);
    tcase_add_test(t, probes_of_the_error_state_become_rare);
    tcase_add_test(t, larger_size_is_tried_again_after_its_time);
    tcase_add_test(t, black_hole_leads_back_to_the_base);
    tcase_add_test(t, confirmation_finds_a_black_hole);
    tcase_add_test(t, confirmations_do_not_put_off_the_raise);
    tcase_add_loop_test(t, packet_too_big_is_taken_for_what_it_can_be, 0, TOO_BIG_COUNT);
    tcase_add_test(t, packet_too_big_tells_nothing_new_in_the_error_state);
    tcase_add_test(t, packet_too_big_spares_the_search);
    tcase_add_test(t, acknowledgement_of_anything_else_is_ignored);
    tcase_add_test(t, range_of_one_size_is_complete_at_once);
    tcase_add_test(t, bounds_are_kept);
    tcase_add_test(t, random_path_is_found_again);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
