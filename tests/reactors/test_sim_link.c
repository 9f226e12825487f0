/* SPDX-License-Identifier: MIT
 *
 * Claims about links: delay and order, each fault with its rate, and that none disturbs another.
 */
#include "sim.h"
#include "sim_kit.h"

#include <string.h>

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

enum { RATE_COUNT = 10000, TENTH = 100000, ALWAYS = 1000000 };

/* Two hosts and an endpoint on each; what `a` sends goes over the link under test. */
struct pair {
    struct kit k;
    struct kit_host *from, *to;
    struct kit_end *a, *b;
};

static void pair_open(struct pair *p, uint64_t seed, struct kirim_link_rules link)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    kit_open(&p->k, seed);
    p->from = kit_host(&p->k, "from", "10.0.0.1", "2001:db8::1");
    p->to = kit_host(&p->k, "to", "10.0.0.2", "2001:db8::2");
    kit_link(&p->k, p->from, p->to, link);
    options.local = kit_addr("[::]:1");
    options.flags = KIRIM_ENDPOINT_DUAL_STACK | KIRIM_ENDPOINT_RECEIVE_CONTROL;
    options.receive_buffer_bytes = 64 << 20;
    p->b = kit_end(p->to, &options);
    p->a = kit_bind(p->from, "[::]:1", KIRIM_ENDPOINT_DUAL_STACK);
}

/* Sends numbers, one each microsecond, and waits for the last. */
static void send_numbers(struct pair *p, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        kit_send_number(p->a, i, "10.0.0.2:1");
        kit_run(&p->k, US);
    }
    kit_run(&p->k, SECOND);
}

/* ---- delay and order ------------------------------------------------------------------------- */

START_TEST(delay_is_kept_to_the_nanosecond)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct pair p;
    link.delay_ns = 123456789;
    pair_open(&p, 1, link);
    kit_send(p.a, "x", "10.0.0.2:1");
    kit_run(&p.k, SECOND);
    ck_assert_uint_eq(p.b->rx[0].time_ns, SECOND + 123456789);
    ck_assert_uint_eq(p.b->rx[0].arrival_ns, SECOND + 123456789);
    kit_close(&p.k);
}
END_TEST

START_TEST(default_link_is_for_all_without_rules_of_their_own)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct pair p;
    pair_open(&p, 1, link);
    link.delay_ns = 7 * MS;
    kit_link(&p.k, NULL, NULL, link);
    p.b->on_received = kit_echo;
    kit_send(p.a, "x", "10.0.0.2:1"); /* over the link with its own rules, back over the default */
    kit_send(p.a, "x", "127.0.0.1:1");
    kit_run(&p.k, SECOND);
    ck_assert_uint_eq(p.a->rx_count, 2);
    ck_assert_uint_eq(p.a->rx[0].time_ns, SECOND); /* loopback has none of it */
    ck_assert_uint_eq(p.b->rx[0].time_ns, SECOND + 50 * US);
    ck_assert_uint_eq(p.a->rx[1].time_ns, SECOND + 50 * US + 7 * MS);
    kit_close(&p.k);
}
END_TEST

START_TEST(jitter_spreads_over_its_range_and_keeps_the_order)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct pair p;
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    link.jitter_ns = MS;
    pair_open(&p, 1, link);
    send_numbers(&p, 5000);
    ck_assert_uint_eq(p.b->rx_count, 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        const uint64_t delay = p.b->rx[i].arrival_ns - (SECOND + i * US);
        ck_assert_uint_eq(p.b->rx[i].number, i);
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    ck_assert_uint_ge(least, 50 * US);
    ck_assert_uint_le(most, 50 * US + MS);
    ck_assert_uint_gt(most, 50 * US + MS - 10 * US);
    kit_close(&p.k);
}
END_TEST

START_TEST(what_is_under_way_keeps_its_delay_and_is_not_overtaken)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct pair p;
    link.delay_ns = 10 * MS;
    pair_open(&p, 1, link);
    kit_send(p.a, "slow", "10.0.0.2:1");
    kit_run(&p.k, MS);
    link.delay_ns = US;
    kit_link(&p.k, p.from, p.to, link);
    kit_send(p.a, "fast", "10.0.0.2:1");
    kit_run(&p.k, SECOND);
    ck_assert_str_eq(p.b->rx[0].text, "slow");
    ck_assert_str_eq(p.b->rx[1].text, "fast");
    ck_assert_uint_eq(p.b->rx[0].time_ns, SECOND + 10 * MS);
    ck_assert_uint_eq(p.b->rx[1].time_ns, SECOND + 10 * MS);
    kit_close(&p.k);
}
END_TEST

/* ---- rates ----------------------------------------------------------------------------------- */

struct rate {
    struct kirim_link_rules link;
    struct kirim_sim_stats wanted; /* what is not 0 */
};

static const struct rate rates[] = {
    { { .loss_ppm = TENTH }, { .lost = 998, .delivered = RATE_COUNT - 998 } },
    { { .duplicate_ppm = TENTH }, { .duplicated = 1000, .delivered = RATE_COUNT + 1000 } },
    { { .reorder_ppm = TENTH, .reorder_ns = 10 * MS },
      { .reordered = 1030, .delivered = RATE_COUNT } },
    { { .corrupt_ppm = TENTH }, { .corrupted = 1015, .delivered = RATE_COUNT - 1015 } },
    { { .loss_ppm = ALWAYS }, { .lost = RATE_COUNT } },
    { { .duplicate_ppm = ALWAYS },
      { .duplicated = RATE_COUNT, .delivered = RATE_COUNT + RATE_COUNT } },
    { { .corrupt_ppm = ALWAYS }, { .corrupted = RATE_COUNT } },
    { { .is_down = true }, { .lost = RATE_COUNT } },
    { { .loss_ppm = 0 }, { .delivered = RATE_COUNT } },
    { { .burst_ppm = 10000, .burst_end_ppm = TENTH, .burst_loss_ppm = ALWAYS },
      { .burst = 826, .delivered = RATE_COUNT - 826 } },
    { { .corrupt_ppm = TENTH, .corrupt_action = KIRIM_LINK_CORRUPT_DELIVER },
      { .flipped = 1015, .delivered = RATE_COUNT } },
    /* One packet of 32 bytes each microsecond, and a line for half of that. */
    { { .rate_bps = 128000000, .queue_bytes = 3200 },
      { .queue_full = 4901, .delivered = RATE_COUNT - 4901 } },
    { { .rate_bps = 128000000, .mark_bytes = 3200 },
      { .congested = 4900, .delivered = RATE_COUNT - 4900 } },
};

START_TEST(fault_strikes_as_often_as_it_should)
{
    const struct rate *r = &rates[_i];
    struct kirim_link_rules link = r->link;
    struct pair p;
    link.size = sizeof link;
    link.delay_ns = 50 * US;
    pair_open(&p, 1, link);
    send_numbers(&p, RATE_COUNT);
    const struct kirim_sim_stats s = kit_stats(&p.k);
    ck_assert_uint_eq(s.sent, RATE_COUNT);
    ck_assert_uint_eq(s.lost, r->wanted.lost);
    ck_assert_uint_eq(s.duplicated, r->wanted.duplicated);
    ck_assert_uint_eq(s.reordered, r->wanted.reordered);
    ck_assert_uint_eq(s.corrupted, r->wanted.corrupted);
    ck_assert_uint_eq(s.burst, r->wanted.burst);
    ck_assert_uint_eq(s.flipped, r->wanted.flipped);
    ck_assert_uint_eq(s.queue_full, r->wanted.queue_full);
    ck_assert_uint_eq(s.congested, r->wanted.congested);
    ck_assert_uint_eq(s.delivered, r->wanted.delivered);
    ck_assert_uint_eq(p.b->rx_count, r->wanted.delivered);
    kit_close(&p.k);
}
END_TEST

START_TEST(duplicate_is_a_second_whole_datagram)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct pair p;
    link.duplicate_ppm = ALWAYS;
    pair_open(&p, 1, link);
    kit_send(p.a, "twice", "10.0.0.2:1");
    kit_run(&p.k, SECOND);
    ck_assert_uint_eq(p.b->rx_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct kirim_addr sender = kit_addr("10.0.0.1:1");
        ck_assert_str_eq(p.b->rx[i].text, "twice");
        ck_assert(kirim_addr_equal(&p.b->rx[i].peer, &sender));
    }
    kit_close(&p.k);
}
END_TEST

START_TEST(reordered_datagram_is_overtaken)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct pair p;
    link.reorder_ppm = ALWAYS;
    link.reorder_ns = 10 * MS;
    pair_open(&p, 1, link);
    kit_send(p.a, "first", "10.0.0.2:1");
    kit_run(&p.k, MS);
    link.reorder_ppm = 0;
    kit_link(&p.k, p.from, p.to, link);
    kit_send(p.a, "second", "10.0.0.2:1");
    kit_run(&p.k, SECOND);
    ck_assert_str_eq(p.b->rx[0].text, "second");
    ck_assert_str_eq(p.b->rx[1].text, "first");
    ck_assert_uint_eq(p.b->rx[1].time_ns, SECOND + 10 * MS + 50 * US);
    kit_close(&p.k);
}
END_TEST

START_TEST(link_that_is_up_again_carries)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct pair p;
    link.is_down = true;
    pair_open(&p, 1, link);
    kit_send(p.a, "one", "10.0.0.2:1");
    kit_run(&p.k, MS);
    link.is_down = false;
    kit_link(&p.k, p.from, p.to, link);
    kit_send(p.a, "two", "10.0.0.2:1");
    kit_run(&p.k, MS);
    kit_expect(p.b, "two", NULL);
    kit_close(&p.k);
}
END_TEST

/* ---- independence ---------------------------------------------------------------------------- */

static struct kirim_link_rules all_faults(void)
{
    return (struct kirim_link_rules){ .size = sizeof(struct kirim_link_rules),
                                      .delay_ns = 50 * US,
                                      .jitter_ns = 100 * US,
                                      .loss_ppm = TENTH,
                                      .duplicate_ppm = TENTH,
                                      .reorder_ppm = TENTH,
                                      .corrupt_ppm = TENTH,
                                      .reorder_ns = MS };
}

/* The rules with one fault, number 0 to 4, taken out. */
static struct kirim_link_rules all_but(int fault)
{
    struct kirim_link_rules rules = all_faults();
    rules.loss_ppm = fault == 0 ? 0 : rules.loss_ppm;
    rules.duplicate_ppm = fault == 1 ? 0 : rules.duplicate_ppm;
    rules.reorder_ppm = fault == 2 ? 0 : rules.reorder_ppm;
    rules.corrupt_ppm = fault == 3 ? 0 : rules.corrupt_ppm;
    rules.jitter_ns = fault == 4 ? 0 : rules.jitter_ns;
    return rules;
}

/* How often each number arrived. */
static void count_arrivals(const struct pair *p, uint8_t *count)
{
    memset(count, 0, RATE_COUNT);
    for (size_t i = 0; i < p->b->rx_count; i++) {
        count[p->b->rx[i].number]++;
    }
}

START_TEST(lost_datagrams_are_the_same_without_duplication)
{
    static uint8_t with[RATE_COUNT];
    static uint8_t without[RATE_COUNT];
    struct pair p;
    pair_open(&p, 1, all_faults());
    send_numbers(&p, RATE_COUNT);
    count_arrivals(&p, with);
    kit_close(&p.k);
    pair_open(&p, 1, all_but(1));
    send_numbers(&p, RATE_COUNT);
    count_arrivals(&p, without);
    kit_close(&p.k);
    for (size_t i = 0; i < RATE_COUNT; i++) {
        ck_assert_uint_le(without[i], 1);
        ck_assert_int_eq(with[i] != 0, without[i] != 0);
    }
}
END_TEST

START_TEST(decisions_of_one_link_do_not_depend_on_other_traffic)
{
    static uint8_t alone[RATE_COUNT];
    static uint8_t among[RATE_COUNT];
    struct pair p;
    pair_open(&p, 1, all_faults());
    send_numbers(&p, RATE_COUNT);
    count_arrivals(&p, alone);
    kit_close(&p.k);
    pair_open(&p, 1, all_faults());
    struct kit_end *other =
        kit_connect(kit_host(&p.k, "other", "10.0.0.3", NULL), NULL, "10.0.0.1:1");
    kit_link(&p.k, NULL, NULL, all_faults());
    for (uint32_t i = 0; i < RATE_COUNT; i++) {
        kit_send_number(p.a, i, "10.0.0.2:1");
        kit_send(other, "noise", NULL);
        kit_run(&p.k, US);
    }
    kit_run(&p.k, SECOND);
    count_arrivals(&p, among);
    ck_assert_mem_eq(alone, among, RATE_COUNT);
    kit_close(&p.k);
}
END_TEST

START_TEST(both_directions_of_a_link_and_other_seeds_decide_differently)
{
    static uint8_t with[RATE_COUNT];
    static uint8_t without[RATE_COUNT];
    struct pair p;
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.loss_ppm = TENTH;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        pair_open(&p, seed, link);
        send_numbers(&p, RATE_COUNT);
        count_arrivals(&p, seed == 1 ? with : without);
        kit_close(&p.k);
    }
    ck_assert_mem_ne(with, without, RATE_COUNT);
    pair_open(&p, 1, link);
    const struct ki_sim_link *there = ki_sim_link_get(p.from->host, p.to->host);
    const struct ki_sim_link *back = ki_sim_link_get(p.to->host, p.from->host);
    ck_assert_uint_ne(there->model.key, back->model.key);
    kit_close(&p.k);
}
END_TEST

/* ---- MTU ------------------------------------------------------------------------------------- */

enum { MTU = 1280, MOST_IPV4 = MTU - 28, MOST_IPV6 = MTU - 48 };

static struct kirim_link_rules narrow(uint32_t action)
{
    return (struct kirim_link_rules){ .size = sizeof(struct kirim_link_rules),
                                      .delay_ns = 50 * US,
                                      .mtu = MTU,
                                      .mtu_action = action };
}

START_TEST(mtu_counts_the_headers_of_each_family)
{
    struct pair p;
    pair_open(&p, 1, narrow(KIRIM_SIM_MTU_ERROR));
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4, "10.0.0.2:1", NULL), KIRIM_OK);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4 + 1, "10.0.0.2:1", NULL), KIRIM_EMSGSIZE);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV6, "[2001:db8::2]:1", NULL), KIRIM_OK);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV6 + 1, "[2001:db8::2]:1", NULL), KIRIM_EMSGSIZE);
    kit_run(&p.k, MS);
    ck_assert_uint_eq(p.b->rx_count, 2);
    ck_assert_uint_eq(kit_stats(&p.k).too_large, 2);
    kit_close(&p.k);
}
END_TEST

START_TEST(refused_send_of_the_queue_fails_with_an_event)
{
    struct pair p;
    pair_open(&p, 1, narrow(KIRIM_SIM_MTU_ERROR));
    kit_send_bytes(p.a, MOST_IPV4 + 1, "10.0.0.2:1");
    kit_send(p.a, "next", "10.0.0.2:1");
    kit_run(&p.k, MS);
    ck_assert_uint_eq(p.a->failed_count, 1);
    ck_assert_uint_eq(p.a->event.kind, KIRIM_EVENT_SEND_FAILED);
    ck_assert_int_eq(p.a->event.err, KIRIM_EMSGSIZE);
    kit_expect(p.b, "next", NULL);
    kit_close(&p.k);
}
END_TEST

START_TEST(too_large_is_reported_with_the_path_mtu_after_a_round_trip)
{
    const struct kirim_addr peer = kit_addr("10.0.0.2:1");
    struct pair p;
    pair_open(&p, 1, narrow(KIRIM_SIM_MTU_REPORT));
    kit_send_bytes(p.a, MOST_IPV4 + 1, "10.0.0.2:1");
    kit_run(&p.k, MS);
    ck_assert_uint_eq(p.b->rx_count, 0);
    ck_assert_uint_eq(p.a->failed_count, 1);
    ck_assert_uint_eq(p.a->event.kind, KIRIM_EVENT_PEER_ERROR);
    ck_assert_int_eq(p.a->event.err, KIRIM_EMSGSIZE);
    ck_assert_uint_eq(p.a->event.path_mtu, MTU);
    ck_assert(kirim_addr_equal(&p.a->event.peer, &peer));
    ck_assert_uint_eq(p.a->event_ns, SECOND + 100 * US);
    kit_close(&p.k);
}
END_TEST

START_TEST(too_large_vanishes_in_a_black_hole)
{
    struct pair p;
    pair_open(&p, 1, narrow(KIRIM_SIM_MTU_BLACK_HOLE));
    kit_send_bytes(p.a, MOST_IPV4 + 1, "10.0.0.2:1");
    kit_send_bytes(p.a, MOST_IPV4, "10.0.0.2:1");
    kit_run(&p.k, MS);
    ck_assert_uint_eq(p.b->rx_count, 1);
    ck_assert_uint_eq(p.a->failed_count, 0);
    ck_assert_uint_eq(kit_stats(&p.k).too_large, 1);
    kit_close(&p.k);
}
END_TEST

START_TEST(too_large_passes_in_fragments_unless_it_must_not)
{
    struct kirim_control whole = KIRIM_CONTROL_INIT;
    struct pair p;
    whole.flags = KIRIM_CONTROL_DONT_FRAGMENT;
    pair_open(&p, 1, narrow(KIRIM_SIM_MTU_FRAGMENT));
    ck_assert_int_eq(kit_try_send(p.a, 9000, "10.0.0.2:1", NULL), KIRIM_OK);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4, "10.0.0.2:1", &whole), KIRIM_OK);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4 + 1, "10.0.0.2:1", &whole), KIRIM_EMSGSIZE);
    kit_run(&p.k, MS);
    ck_assert_uint_eq(p.b->rx_count, 2);
    ck_assert_uint_eq(p.b->rx[0].bytes, 9000);
    kit_close(&p.k);
}
END_TEST

/* ---- what crosses ---------------------------------------------------------------------------- */

START_TEST(control_data_crosses_the_link)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct pair p;
    control.ecn = 3;
    control.ttl = 7;
    pair_open(&p, 1, all_but(0));
    kit_link(&p.k, p.from, p.to, narrow(0));
    ck_assert_int_eq(kit_try_send(p.a, 1, "10.0.0.2:1", &control), KIRIM_OK);
    ck_assert_int_eq(kit_try_send(p.a, 1, "10.0.0.2:1", NULL), KIRIM_OK);
    kit_run(&p.k, MS);
    const struct kirim_addr local = kit_addr("10.0.0.2:1");
    ck_assert_uint_eq(p.b->rx[0].ecn, 3);
    ck_assert_uint_eq(p.b->rx[0].ttl, 7);
    ck_assert_uint_eq(p.b->rx[0].ifindex, KI_SIM_IFINDEX);
    ck_assert(kirim_addr_equal(&p.b->rx[0].local, &local));
    ck_assert_uint_eq(p.b->rx[1].ecn, 0);
    ck_assert_uint_eq(p.b->rx[1].ttl, KI_SIM_TTL);
    kit_close(&p.k);
}
END_TEST

START_TEST(queue_marks_what_says_ect)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct pair p;
    link.rate_bps = 224000; /* an empty datagram takes a millisecond */
    link.mark_bytes = 56;
    link.duplicate_ppm = ALWAYS;
    pair_open(&p, 1, link);
    control.ecn = 2;
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(kit_try_send(p.a, 0, "10.0.0.2:1", &control), KIRIM_OK);
    }
    ck_assert_int_eq(kit_try_send(p.a, 0, "10.0.0.2:1", NULL), KIRIM_OK);
    kit_run(&p.k, SECOND);
    ck_assert_uint_eq(p.b->rx_count, 10);
    for (size_t i = 0; i < 10; i++) { /* both copies */
        ck_assert_uint_eq(p.b->rx[i].ecn, i < 6 ? 2 : 3);
        ck_assert_uint_eq(p.b->rx[i].arrival_ns, SECOND + 50 * US + (i / 2 + 1) * MS);
    }
    ck_assert_uint_eq(kit_stats(&p.k).marked, 2);
    ck_assert_uint_eq(kit_stats(&p.k).congested, 1);
    kit_close(&p.k);
}
END_TEST

START_TEST(corruption_that_is_delivered_changes_a_bit)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct pair p;
    link.corrupt_ppm = ALWAYS;
    link.corrupt_action = KIRIM_LINK_CORRUPT_DELIVER;
    link.duplicate_ppm = ALWAYS;
    pair_open(&p, 1, link);
    kit_send(p.a, "????", "10.0.0.2:1");
    kit_run(&p.k, MS);
    ck_assert_uint_eq(p.b->rx_count, 2);
    const uint32_t flipped = p.b->rx[0].number ^ 0x3f3f3f3f;
    ck_assert_uint_ne(flipped, 0);
    ck_assert_uint_eq(flipped & (flipped - 1), 0);
    ck_assert_uint_eq(p.b->rx[1].number, p.b->rx[0].number);
    kit_close(&p.k);
}
END_TEST

/* What a world does to datagrams is what the model does alone, with the same names. */
START_TEST(model_alone_has_the_same_survivors)
{
    const struct kirim_link_rules link = all_faults();
    struct kirim_link model;
    struct pair p;
    uint8_t count[RATE_COUNT];
    pair_open(&p, 77, link);
    send_numbers(&p, RATE_COUNT);
    count_arrivals(&p, count);
    kirim_link_init(&model, kirim_link_key(77, "from", "to"));
    for (uint32_t i = 0; i < RATE_COUNT; i++) {
        const struct kirim_link_datagram d = { .time_ns = i, .bytes = 4, .header_bytes = 28 };
        struct kirim_link_fate fate;
        kirim_link_send(&model, &link, &d, &fate);
        ck_assert_uint_eq(count[i], fate.copy_count);
    }
    kit_close(&p.k);
}
END_TEST

/* ---- rules that are none --------------------------------------------------------------------- */

static const struct kirim_link_rules wrong[] = {
    { .loss_ppm = ALWAYS + 1 },
    { .duplicate_ppm = ALWAYS + 1 },
    { .reorder_ppm = ALWAYS + 1 },
    { .corrupt_ppm = ALWAYS + 1 },
    { .mtu = 575 },
    { .mtu_action = KIRIM_SIM_MTU_FRAGMENT + 1 },
    { .delay_ns = (UINT64_C(1) << 60) + 1 },
    { .jitter_ns = (UINT64_C(1) << 60) + 1 },
    { .reorder_ns = (UINT64_C(1) << 60) + 1 },
};

START_TEST(rules_out_of_range_are_refused)
{
    struct kirim_link_rules link = wrong[_i];
    struct kit k;
    kit_open(&k, 1);
    link.size = sizeof link;
    ck_assert_int_eq(kirim_sim_link_set(k.sim, NULL, NULL, &link), KIRIM_EINVAL);
    kit_close(&k);
}
END_TEST

START_TEST(rules_at_their_bounds_are_taken)
{
    const struct kirim_link_rules most = { .size = sizeof most,
                                           .delay_ns = UINT64_C(1) << 60,
                                           .jitter_ns = UINT64_C(1) << 60,
                                           .reorder_ns = UINT64_C(1) << 60,
                                           .reorder_ppm = ALWAYS,
                                           .duplicate_ppm = ALWAYS,
                                           .mtu = 576,
                                           .mtu_action = KIRIM_SIM_MTU_FRAGMENT };
    struct pair p;
    pair_open(&p, 1, most);
    kit_send(p.a, "after many years", "10.0.0.2:1");
    ck_assert_int_eq(kirim_sim_run(p.k.sim, KIRIM_NEVER), KIRIM_OK);
    ck_assert_uint_eq(p.b->rx_count, 2);
    ck_assert_uint_gt(kirim_sim_now(p.k.sim), UINT64_C(1) << 61);
    kit_close(&p.k);
}
END_TEST

START_TEST(link_joins_two_hosts_of_its_world)
{
    const struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kit k;
    struct kit other;
    kit_open(&k, 1);
    kit_open(&other, 1);
    struct kirim_sim_host *a = kit_host(&k, "a", NULL, NULL)->host;
    struct kirim_sim_host *b = kit_host(&other, "b", NULL, NULL)->host;
    ck_assert_int_eq(kirim_sim_link_set(k.sim, a, a, &link), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_link_set(k.sim, a, b, &link), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_link_set(k.sim, b, a, &link), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_link_set(k.sim, a, NULL, &link), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_link_set(k.sim, NULL, a, &link), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_link_set(k.sim, a, a, NULL), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_link_set(NULL, a, a, &link), KIRIM_EINVAL);
    kit_close(&other);
    kit_close(&k);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { delay_is_kept_to_the_nanosecond, 0 },
        { default_link_is_for_all_without_rules_of_their_own, 0 },
        { jitter_spreads_over_its_range_and_keeps_the_order, 0 },
        { what_is_under_way_keeps_its_delay_and_is_not_overtaken, 0 },
        { fault_strikes_as_often_as_it_should, COUNT_OF(rates) },
        { duplicate_is_a_second_whole_datagram, 0 },
        { reordered_datagram_is_overtaken, 0 },
        { link_that_is_up_again_carries, 0 },
        { lost_datagrams_are_the_same_without_duplication, 0 },
        { decisions_of_one_link_do_not_depend_on_other_traffic, 0 },
        { both_directions_of_a_link_and_other_seeds_decide_differently, 0 },
        { mtu_counts_the_headers_of_each_family, 0 },
        { refused_send_of_the_queue_fails_with_an_event, 0 },
        { too_large_is_reported_with_the_path_mtu_after_a_round_trip, 0 },
        { too_large_vanishes_in_a_black_hole, 0 },
        { too_large_passes_in_fragments_unless_it_must_not, 0 },
        { control_data_crosses_the_link, 0 },
        { queue_marks_what_says_ect, 0 },
        { corruption_that_is_delivered_changes_a_bit, 0 },
        { model_alone_has_the_same_survivors, 0 },
        { rules_out_of_range_are_refused, COUNT_OF(wrong) },
        { rules_at_their_bounds_are_taken, 0 },
        { link_joins_two_hosts_of_its_world, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_link", claims);
}
