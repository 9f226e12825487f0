/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/link.c: each fault with its rate, that none disturbs another, the queue, and
 * numbers that no build may change.
 */
#include <kirim/link.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define MS              UINT64_C(1000000)
#define LONGEST         (UINT64_C(1) << 60)

enum {
    KEY = 5,
    TENTH = 100000,
    ALWAYS = 1000000,
    DECISION_COUNT = 20000,
    HEADERS = 28,
    BYTES = 972, /* a packet of 1,000 bytes */
    ECT = 2,
    CE = 3
};

static struct kirim_link_rules rules_of(void)
{
    return (struct kirim_link_rules)KIRIM_LINK_RULES_INIT;
}

static struct kirim_link begin(uint64_t key)
{
    struct kirim_link link;
    kirim_link_init(&link, key);
    return link;
}

/* The fate of a datagram of BYTES, sent at `time_ns`. */
static struct kirim_link_fate send_ecn(struct kirim_link *link,
                                       const struct kirim_link_rules *rules, uint64_t time_ns,
                                       uint32_t ecn)
{
    const struct kirim_link_datagram d = {
        .time_ns = time_ns, .bytes = BYTES, .header_bytes = HEADERS, .ecn = ecn
    };
    struct kirim_link_fate fate;
    kirim_link_send(link, rules, &d, &fate);
    return fate;
}

static struct kirim_link_fate send_at(struct kirim_link *link, const struct kirim_link_rules *rules,
                                      uint64_t time_ns)
{
    return send_ecn(link, rules, time_ns, 0);
}

/* ---- delay ----------------------------------------------------------------------------------- */

START_TEST(link_without_rules_carries_at_once)
{
    const struct kirim_link_rules rules = rules_of();
    struct kirim_link link = begin(KEY);
    const struct kirim_link_fate fate = send_ecn(&link, &rules, 77, 1);
    ck_assert_uint_eq(fate.outcome, KIRIM_LINK_CARRIED);
    ck_assert_uint_eq(fate.copy_count, 1);
    ck_assert_uint_eq(fate.arrival_ns[0], 77);
    ck_assert_uint_eq(fate.ecn, 1);
    ck_assert_uint_eq(link.ordinal, 1);
}
END_TEST

START_TEST(jitter_is_even_over_its_range)
{
    struct kirim_link_rules rules = rules_of();
    size_t count[10] = { 0 };
    rules.delay_ns = 100;
    rules.jitter_ns = 9;
    for (uint64_t i = 0; i < DECISION_COUNT; i++) {
        struct kirim_link link = { .key = 99, .ordinal = i };
        const struct kirim_link_fate fate = send_at(&link, &rules, 1000);
        ck_assert_uint_ge(fate.arrival_ns[0], 1100);
        ck_assert_uint_le(fate.arrival_ns[0], 1109);
        count[fate.arrival_ns[0] - 1100]++;
    }
    for (size_t i = 0; i < 10; i++) {
        ck_assert_uint_gt(count[i], DECISION_COUNT / 10 - 200);
        ck_assert_uint_lt(count[i], DECISION_COUNT / 10 + 200);
    }
}
END_TEST

START_TEST(order_is_kept_but_for_what_is_reordered)
{
    struct kirim_link_rules rules = rules_of();
    struct kirim_link link = begin(KEY);
    uint64_t last_ns = 0;
    size_t overtaken = 0;
    rules.jitter_ns = MS;
    rules.reorder_ppm = TENTH;
    rules.reorder_ns = 2 * MS;
    for (uint64_t i = 0; i < DECISION_COUNT; i++) {
        const struct kirim_link_fate fate = send_at(&link, &rules, 1000 * i);
        if (fate.is_reordered) {
            overtaken++;
            ck_assert_uint_ge(fate.arrival_ns[0], last_ns + 2 * MS);
        } else {
            ck_assert_uint_ge(fate.arrival_ns[0], last_ns);
            last_ns = fate.arrival_ns[0];
        }
    }
    ck_assert_uint_gt(overtaken, DECISION_COUNT / 10 - 200);
    ck_assert_uint_lt(overtaken, DECISION_COUNT / 10 + 200);
}
END_TEST

START_TEST(clock_does_not_wrap)
{
    struct kirim_link_rules rules = rules_of();
    struct kirim_link link = begin(KEY);
    rules.delay_ns = LONGEST;
    rules.jitter_ns = LONGEST;
    rules.reorder_ns = LONGEST;
    rules.reorder_ppm = ALWAYS;
    rules.duplicate_ppm = ALWAYS;
    rules.rate_bps = 1;
    const struct kirim_link_fate fate = send_at(&link, &rules, KIRIM_NEVER - 10);
    ck_assert_uint_eq(fate.copy_count, 2);
    ck_assert_uint_eq(fate.leave_ns, KIRIM_NEVER - 1);
    ck_assert_uint_eq(fate.arrival_ns[0], KIRIM_NEVER - 1);
    ck_assert_uint_eq(fate.arrival_ns[1], KIRIM_NEVER - 1);
}
END_TEST

/* ---- chance ---------------------------------------------------------------------------------- */

START_TEST(one_of_a_million_is_one_of_a_million)
{
    struct kirim_link_rules rules = rules_of();
    struct kirim_link link = begin(7);
    size_t count = 0;
    rules.loss_ppm = 1;
    for (uint64_t i = 0; i < (uint64_t)5 * ALWAYS; i++) {
        count += send_at(&link, &rules, i).outcome == KIRIM_LINK_LOST;
    }
    ck_assert_uint_eq(count, 2);
}
END_TEST

/* Every fault that strikes by chance. */
static struct kirim_link_rules all_faults(void)
{
    struct kirim_link_rules rules = rules_of();
    rules.delay_ns = MS;
    rules.jitter_ns = MS;
    rules.reorder_ns = MS;
    rules.loss_ppm = TENTH;
    rules.duplicate_ppm = TENTH;
    rules.reorder_ppm = TENTH;
    rules.corrupt_ppm = TENTH;
    rules.burst_ppm = TENTH / 2;
    rules.burst_end_ppm = 2 * TENTH;
    rules.burst_loss_ppm = 9 * TENTH;
    return rules;
}

/* The rules with one fault, number 0 to 6, taken out. */
static struct kirim_link_rules all_but(int fault)
{
    struct kirim_link_rules rules = all_faults();
    rules.loss_ppm = fault == 0 ? 0 : rules.loss_ppm;
    rules.burst_ppm = fault == 1 ? 0 : rules.burst_ppm;
    rules.corrupt_ppm = fault == 2 ? 0 : rules.corrupt_ppm;
    rules.duplicate_ppm = fault == 3 ? 0 : rules.duplicate_ppm;
    rules.reorder_ppm = fault == 4 ? 0 : rules.reorder_ppm;
    rules.jitter_ns = fault == 5 ? 0 : rules.jitter_ns;
    rules.delay_ns = fault == 6 ? 0 : rules.delay_ns;
    return rules;
}

/* Datagrams far enough from each other that none is held up by one before it. */
START_TEST(taking_one_fault_away_leaves_all_other_decisions)
{
    static const uint32_t losses[] = { KIRIM_LINK_LOST, KIRIM_LINK_BURST, KIRIM_LINK_CORRUPTED };
    const struct kirim_link_rules all = all_faults();
    const struct kirim_link_rules fewer = all_but(_i);
    struct kirim_link with = begin(KEY);
    struct kirim_link without = begin(KEY);
    size_t struck = 0;
    for (uint64_t i = 0; i < DECISION_COUNT; i++) {
        const struct kirim_link_fate a = send_at(&with, &all, 10 * MS * i);
        const struct kirim_link_fate b = send_at(&without, &fewer, 10 * MS * i);
        if (_i < 3 && a.outcome == losses[_i]) {
            ck_assert_uint_ne(b.outcome, losses[_i]);
            struck++;
            continue;
        }
        ck_assert_uint_eq(a.outcome, b.outcome);
        if (a.outcome == KIRIM_LINK_CARRIED) {
            ck_assert_int_eq(b.is_reordered, _i == 4 ? false : a.is_reordered);
            ck_assert_uint_eq(b.copy_count, _i == 3 ? 1 : a.copy_count);
        }
        if (a.outcome == KIRIM_LINK_CARRIED && _i < 4) {
            ck_assert_uint_eq(a.arrival_ns[0], b.arrival_ns[0]);
        }
    }
    ck_assert(_i >= 3 || struck > DECISION_COUNT / 20);
}
END_TEST

START_TEST(a_copy_is_a_snapshot)
{
    const struct kirim_link_rules all = all_faults();
    struct kirim_link link = begin(KEY);
    for (uint64_t i = 0; i < 1000; i++) {
        struct kirim_link copy = link;
        const struct kirim_link_fate a = send_at(&copy, &all, i);
        const struct kirim_link_fate b = send_at(&link, &all, i);
        ck_assert_mem_eq(&a, &b, sizeof a);
        ck_assert_mem_eq(&copy, &link, sizeof copy);
    }
}
END_TEST

START_TEST(time_does_not_choose_survivors)
{
    const struct kirim_link_rules all = all_faults();
    struct kirim_link early = begin(KEY);
    struct kirim_link late = begin(KEY);
    for (uint64_t i = 0; i < 1000; i++) {
        const struct kirim_link_fate a = send_at(&early, &all, i);
        const struct kirim_link_fate b = send_at(&late, &all, 100 * MS * i * i);
        ck_assert_uint_eq(a.outcome, b.outcome);
        ck_assert_uint_eq(a.copy_count, b.copy_count);
    }
}
END_TEST

/* Losses as a string of letters, for a run that no build may change. */
static void write_outcomes(uint64_t key, const struct kirim_link_rules *rules, char *out,
                           size_t count)
{
    static const char letter[] = ".r-xmfcLBK";
    struct kirim_link link = begin(key);
    for (size_t i = 0; i < count; i++) {
        const struct kirim_link_fate fate = send_at(&link, rules, i * 10 * MS);
        out[i] = letter[fate.outcome];
        if (fate.is_reordered || fate.copy_count == 2) {
            out[i] = fate.copy_count == 2 ? ':' : '^';
        }
    }
    out[count] = '\0';
}

START_TEST(run_is_the_same_on_every_machine)
{
    const struct kirim_link_rules all = all_faults();
    char text[61];
    write_outcomes(kirim_link_key(1, "a", "b"), &all, text, 60);
    ck_assert_str_eq(text, ".L....BBBBBL..K.L^L.K.L.:...LK..L.K^^.K......:.BL.L.^......:");
    write_outcomes(kirim_link_key(1, "b", "a"), &all, text, 60);
    ck_assert_str_eq(text, ".LK.:L^..:....:^..L:.:^L.^..:^......^......BBBLK....K:...:^^");
}
END_TEST

/* ---- bursts ---------------------------------------------------------------------------------- */

START_TEST(bursts_have_their_share_and_their_length)
{
    struct kirim_link_rules rules = rules_of();
    struct kirim_link link = begin(KEY);
    size_t within = 0;
    size_t lost = 0;
    size_t begun = 0;
    bool was_in_burst = false;
    rules.burst_ppm = 10000;
    rules.burst_end_ppm = 100000; /* of 11 datagrams one is within, in bursts of 10 */
    rules.burst_loss_ppm = 500000;
    for (uint64_t i = 0; i < ALWAYS; i++) {
        const struct kirim_link_fate fate = send_at(&link, &rules, i);
        within += fate.is_in_burst;
        lost += fate.outcome == KIRIM_LINK_BURST;
        begun += fate.is_in_burst && !was_in_burst;
        was_in_burst = fate.is_in_burst;
        ck_assert(fate.is_in_burst || fate.outcome == KIRIM_LINK_CARRIED);
    }
    ck_assert_uint_gt(within, ALWAYS / 11 - 2500);
    ck_assert_uint_lt(within, ALWAYS / 11 + 2500);
    ck_assert_uint_gt(within / begun, 8);
    ck_assert_uint_lt(within / begun, 11);
    ck_assert_uint_gt(lost, within / 2 - 1000);
    ck_assert_uint_lt(lost, within / 2 + 1000);
}
END_TEST

START_TEST(burst_ends_when_its_rule_does)
{
    struct kirim_link_rules rules = rules_of();
    struct kirim_link link = begin(KEY);
    rules.burst_ppm = ALWAYS;
    rules.burst_end_ppm = 1;
    rules.burst_loss_ppm = ALWAYS;
    ck_assert_uint_eq(send_at(&link, &rules, 0).outcome, KIRIM_LINK_BURST);
    rules.burst_ppm = 0;
    ck_assert_uint_eq(send_at(&link, &rules, 0).outcome, KIRIM_LINK_CARRIED);
    ck_assert_uint_eq(link.is_in_burst, 0);
}
END_TEST

/* ---- corruption ------------------------------------------------------------------------------ */

START_TEST(as_many_bits_are_flipped_as_were_asked)
{
    struct kirim_link_rules rules = rules_of();
    struct kirim_link link = begin(KEY);
    rules.corrupt_ppm = ALWAYS;
    rules.corrupt_action = KIRIM_LINK_CORRUPT_DELIVER;
    for (uint32_t wanted = 0; wanted <= KIRIM_LINK_FLIP_MAX; wanted++) {
        rules.flip_count = wanted;
        for (uint32_t bytes = 0; bytes < 20; bytes++) {
            const struct kirim_link_datagram d = { .bytes = bytes, .header_bytes = HEADERS };
            struct kirim_link_fate fate;
            uint8_t data[20] = { 0 };
            uint32_t count = 0;
            kirim_link_send(&link, &rules, &d, &fate);
            kirim_link_corrupt(&fate, data);
            for (size_t i = 0; i < sizeof data; i++) {
                for (uint32_t bit = 0; bit < 8; bit++) {
                    count += ((unsigned)data[i] >> bit & 1U) != 0 ? 1U : 0U;
                }
                ck_assert(i < bytes || data[i] == 0);
            }
            ck_assert_uint_eq(fate.outcome, bytes > 0 ? KIRIM_LINK_CARRIED : KIRIM_LINK_CORRUPTED);
            ck_assert_uint_eq(count, bytes == 0 ? 0 : wanted == 0 ? 1 : wanted);
            ck_assert_uint_eq(fate.flip_count, count);
        }
    }
}
END_TEST

/* ---- rate and queue -------------------------------------------------------------------------- */

/* 8 Mbit/s: a packet of 1,000 bytes takes a millisecond. */
static struct kirim_link_rules narrow(void)
{
    struct kirim_link_rules rules = rules_of();
    rules.rate_bps = 8000000;
    rules.delay_ns = 5 * MS;
    return rules;
}

START_TEST(rate_spaces_what_comes_at_once)
{
    const struct kirim_link_rules rules = narrow();
    struct kirim_link link = begin(KEY);
    for (uint64_t i = 1; i <= 10; i++) {
        const struct kirim_link_fate fate = send_at(&link, &rules, 0);
        ck_assert_uint_eq(fate.leave_ns, i * MS);
        ck_assert_uint_eq(fate.arrival_ns[0], (i + 5) * MS);
    }
    ck_assert_uint_eq(send_at(&link, &rules, 9 * MS + 1).leave_ns, 11 * MS);
    ck_assert_uint_eq(send_at(&link, &rules, 20 * MS).leave_ns, 21 * MS);
}
END_TEST

START_TEST(queue_drops_what_does_not_fit)
{
    struct kirim_link_rules rules = narrow();
    struct kirim_link link = begin(KEY);
    rules.queue_bytes = 3000;
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(send_at(&link, &rules, 0).outcome, KIRIM_LINK_CARRIED);
    }
    ck_assert_uint_eq(send_at(&link, &rules, 0).outcome, KIRIM_LINK_FULL);
    ck_assert_uint_eq(send_at(&link, &rules, MS - 1).outcome, KIRIM_LINK_FULL);
    ck_assert_uint_eq(send_at(&link, &rules, MS).outcome, KIRIM_LINK_CARRIED);
    ck_assert_uint_eq(send_at(&link, &rules, MS).outcome, KIRIM_LINK_FULL);
    ck_assert_uint_eq(link.ordinal, 7);
    rules.queue_bytes = 10; /* less than one of them: only an empty queue takes it */
    ck_assert_uint_eq(send_at(&link, &rules, 4 * MS - 1).outcome, KIRIM_LINK_FULL);
    ck_assert_uint_eq(send_at(&link, &rules, 4 * MS).outcome, KIRIM_LINK_CARRIED);
}
END_TEST

START_TEST(queue_above_its_threshold_marks_or_drops)
{
    struct kirim_link_rules rules = narrow();
    struct kirim_link link = begin(KEY);
    rules.mark_bytes = 2000;
    for (int i = 0; i < 3; i++) { /* before the third there were 2,000: not more than that */
        ck_assert_uint_eq(send_ecn(&link, &rules, 0, ECT).ecn, ECT);
    }
    for (uint32_t ecn = 1; ecn <= CE; ecn++) {
        const struct kirim_link_fate fate = send_ecn(&link, &rules, 0, ecn);
        ck_assert_uint_eq(fate.outcome, KIRIM_LINK_CARRIED);
        ck_assert_uint_eq(fate.ecn, CE);
    }
    ck_assert_uint_eq(send_at(&link, &rules, 0).outcome, KIRIM_LINK_CONGESTED);
    ck_assert_uint_eq(send_at(&link, &rules, 4 * MS - 1).outcome, KIRIM_LINK_CONGESTED);
    ck_assert_uint_eq(send_at(&link, &rules, 4 * MS).outcome, KIRIM_LINK_CARRIED);
}
END_TEST

START_TEST(what_is_lost_on_the_line_has_taken_its_time)
{
    struct kirim_link_rules rules = narrow();
    struct kirim_link link = begin(KEY);
    rules.loss_ppm = ALWAYS;
    for (uint64_t i = 1; i <= 5; i++) {
        const struct kirim_link_fate fate = send_at(&link, &rules, 0);
        ck_assert_uint_eq(fate.outcome, KIRIM_LINK_LOST);
        ck_assert_uint_eq(fate.leave_ns, i * MS);
    }
    rules.is_down = true; /* but nothing enters the queue of a link that is down */
    ck_assert_uint_eq(send_at(&link, &rules, 0).outcome, KIRIM_LINK_DOWN);
    ck_assert_uint_eq(link.free_ns, 5 * MS);
    ck_assert_uint_eq(link.ordinal, 6); /* it has its number all the same */
}
END_TEST

START_TEST(largest_numbers_do_not_overflow)
{
    const struct kirim_link_datagram largest = { .bytes = UINT32_MAX >> 1, .header_bytes = 0 };
    struct kirim_link_rules rules = rules_of();
    struct kirim_link link = begin(KEY);
    struct kirim_link_fate fate;
    rules.rate_bps = 1;
    rules.queue_bytes = UINT32_MAX >> 1;
    rules.mark_bytes = UINT32_MAX >> 1;
    kirim_link_send(&link, &rules, &largest, &fate);
    ck_assert_uint_eq(fate.leave_ns, (UINT64_C(1) << 31) * UINT64_C(8000000000) - 8000000000U);
    kirim_link_send(&link, &rules, &largest, &fate);
    ck_assert_uint_eq(fate.outcome, KIRIM_LINK_FULL);
    rules.queue_bytes = 0;
    kirim_link_send(&link, &rules, &largest, &fate);
    ck_assert_uint_eq(fate.leave_ns, KIRIM_NEVER - 1);
    rules.rate_bps = UINT64_MAX;
    link = begin(KEY);
    kirim_link_send(&link, &rules, &largest, &fate);
    ck_assert_uint_eq(fate.leave_ns, 1);
}
END_TEST

/* ---- MTU ------------------------------------------------------------------------------------- */

static const struct {
    uint32_t action, bytes;
    bool is_whole;
    uint32_t outcome;
} sizes[] = {
    { KIRIM_LINK_MTU_ERROR, 1252, true, KIRIM_LINK_CARRIED },
    { KIRIM_LINK_MTU_ERROR, 1253, false, KIRIM_LINK_REFUSED },
    { KIRIM_LINK_MTU_REPORT, 1252, true, KIRIM_LINK_CARRIED },
    { KIRIM_LINK_MTU_REPORT, 1253, false, KIRIM_LINK_REPORTED },
    { KIRIM_LINK_MTU_BLACK_HOLE, 1253, false, KIRIM_LINK_TOO_LARGE },
    { KIRIM_LINK_MTU_FRAGMENT, 1253, false, KIRIM_LINK_CARRIED },
    { KIRIM_LINK_MTU_FRAGMENT, 1252, true, KIRIM_LINK_CARRIED },
    { KIRIM_LINK_MTU_FRAGMENT, 1253, true, KIRIM_LINK_REFUSED },
};

START_TEST(mtu_refuses_loses_reports_or_cuts)
{
    const struct kirim_link_datagram d = { .time_ns = 7,
                                           .bytes = sizes[_i].bytes,
                                           .header_bytes = HEADERS,
                                           .is_whole = sizes[_i].is_whole };
    struct kirim_link_rules rules = rules_of();
    struct kirim_link link = begin(KEY);
    struct kirim_link_fate fate;
    rules.delay_ns = MS;
    rules.mtu = 1280;
    rules.mtu_action = sizes[_i].action;
    ck_assert_uint_eq(kirim_link_fit(&rules, &d), sizes[_i].outcome);
    kirim_link_send(&link, &rules, &d, &fate);
    ck_assert_uint_eq(fate.outcome, sizes[_i].outcome);
    ck_assert_uint_eq(fate.copy_count, fate.outcome == KIRIM_LINK_CARRIED);
    ck_assert_uint_eq(link.ordinal, fate.outcome == KIRIM_LINK_REFUSED ? 0 : 1);
    if (fate.outcome == KIRIM_LINK_REPORTED) {
        ck_assert_uint_eq(fate.arrival_ns[0], MS + 7);
    }
}
END_TEST

/* ---- rules ----------------------------------------------------------------------------------- */

static const struct kirim_link_rules wrong[] = {
    { .loss_ppm = ALWAYS + 1 },
    { .duplicate_ppm = ALWAYS + 1 },
    { .reorder_ppm = ALWAYS + 1 },
    { .corrupt_ppm = ALWAYS + 1 },
    { .burst_ppm = ALWAYS + 1, .burst_end_ppm = 1 },
    { .burst_end_ppm = ALWAYS + 1 },
    { .burst_loss_ppm = ALWAYS + 1 },
    { .burst_ppm = 1 },
    { .mtu = 575 },
    { .mtu_action = KIRIM_LINK_MTU_FRAGMENT + 1 },
    { .corrupt_action = KIRIM_LINK_CORRUPT_DELIVER + 1 },
    { .flip_count = KIRIM_LINK_FLIP_MAX + 1 },
    { .queue_bytes = (UINT32_MAX >> 1) + 1 },
    { .mark_bytes = (UINT32_MAX >> 1) + 1 },
    { .delay_ns = LONGEST + 1 },
    { .jitter_ns = LONGEST + 1 },
    { .reorder_ns = LONGEST + 1 },
};

START_TEST(rules_out_of_range_are_refused)
{
    struct kirim_link_rules rules = wrong[_i];
    rules.size = sizeof rules;
    ck_assert_int_eq(kirim_link_check(&rules), KIRIM_EINVAL);
}
END_TEST

START_TEST(rules_have_a_size)
{
    struct {
        struct kirim_link_rules rules;
        uint64_t later;
    } grown = { .rules = KIRIM_LINK_RULES_INIT };
    ck_assert_int_eq(kirim_link_check(NULL), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_link_check(&grown.rules), KIRIM_OK);
    grown.rules.size = sizeof grown;
    ck_assert_int_eq(kirim_link_check(&grown.rules), KIRIM_OK);
    grown.later = 1;
    ck_assert_int_eq(kirim_link_check(&grown.rules), KIRIM_EINVAL);
    grown.rules.size = sizeof grown.rules - 1;
    ck_assert_int_eq(kirim_link_check(&grown.rules), KIRIM_EINVAL);
}
END_TEST

START_TEST(rules_at_their_bounds_are_taken)
{
    struct kirim_link_rules rules = all_faults();
    rules.delay_ns = rules.jitter_ns = rules.reorder_ns = LONGEST;
    rules.loss_ppm = rules.duplicate_ppm = rules.reorder_ppm = rules.corrupt_ppm = ALWAYS;
    rules.burst_ppm = rules.burst_end_ppm = rules.burst_loss_ppm = ALWAYS;
    rules.queue_bytes = rules.mark_bytes = UINT32_MAX >> 1;
    rules.mtu = 576;
    rules.mtu_action = KIRIM_LINK_MTU_FRAGMENT;
    rules.flip_count = KIRIM_LINK_FLIP_MAX;
    rules.rate_bps = UINT64_MAX;
    ck_assert_int_eq(kirim_link_check(&rules), KIRIM_OK);
}
END_TEST

START_TEST(keys_tell_seeds_names_and_directions)
{
    ck_assert_uint_eq(kirim_link_key(1, "a", "b"), kirim_link_key(1, "a", "b"));
    ck_assert_uint_ne(kirim_link_key(1, "a", "b"), kirim_link_key(1, "b", "a"));
    ck_assert_uint_ne(kirim_link_key(1, "a", "b"), kirim_link_key(2, "a", "b"));
    ck_assert_uint_ne(kirim_link_key(1, "a", "b"), kirim_link_key(1, "", "b"));
}
END_TEST

START_TEST(outcomes_have_words)
{
    for (uint32_t i = 0; i <= KIRIM_LINK_CORRUPTED; i++) {
        ck_assert_str_ne(kirim_link_outcome_text(i), "unknown");
    }
    ck_assert_str_eq(kirim_link_outcome_text(KIRIM_LINK_CORRUPTED + 1), "unknown");
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("link");
    TCase *const t = tcase_create("link");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, link_without_rules_carries_at_once);
    tcase_add_test(t, jitter_is_even_over_its_range);
    tcase_add_test(t, order_is_kept_but_for_what_is_reordered);
    tcase_add_test(t, clock_does_not_wrap);
    tcase_add_test(t, one_of_a_million_is_one_of_a_million);
    tcase_add_loop_test(t, taking_one_fault_away_leaves_all_other_decisions, 0, 7);
    tcase_add_test(t, a_copy_is_a_snapshot);
    tcase_add_test(t, time_does_not_choose_survivors);
    tcase_add_test(t, run_is_the_same_on_every_machine);
    tcase_add_test(t, bursts_have_their_share_and_their_length);
    tcase_add_test(t, burst_ends_when_its_rule_does);
    tcase_add_test(t, as_many_bits_are_flipped_as_were_asked);
    tcase_add_test(t, rate_spaces_what_comes_at_once);
    tcase_add_test(t, queue_drops_what_does_not_fit);
    tcase_add_test(t, queue_above_its_threshold_marks_or_drops);
    tcase_add_test(t, what_is_lost_on_the_line_has_taken_its_time);
    tcase_add_test(t, largest_numbers_do_not_overflow);
    tcase_add_loop_test(t, mtu_refuses_loses_reports_or_cuts, 0, COUNT_OF(sizes));
    tcase_add_loop_test(t, rules_out_of_range_are_refused, 0, COUNT_OF(wrong));
    tcase_add_test(t, rules_have_a_size);
    tcase_add_test(t, rules_at_their_bounds_are_taken);
    tcase_add_test(t, keys_tell_seeds_names_and_directions);
    tcase_add_test(t, outcomes_have_words);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
