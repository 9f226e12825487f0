/* SPDX-License-Identifier: MIT
 *
 * Claims about the simulated world: hosts, clock, the order of events, driven loops.
 */
#include "sim.h"
#include "sim_kit.h"

#include <stdlib.h>
#include <string.h>

/* ---- worlds and hosts ------------------------------------------------------------------------ */

START_TEST(world_begins_at_one_second_with_seed_one)
{
    struct kirim_sim *sim;
    ck_assert_int_eq(kirim_sim_open(NULL, &sim), KIRIM_OK);
    ck_assert_uint_eq(kirim_sim_now(sim), SECOND);
    ck_assert_uint_eq(kirim_sim_seed(sim), 1);
    ck_assert_int_eq(kirim_sim_close(sim), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_close(NULL), KIRIM_OK);
}
END_TEST

START_TEST(world_begins_when_and_with_the_seed_it_is_told)
{
    struct kirim_sim_options options = KIRIM_SIM_OPTIONS_INIT;
    struct kirim_sim *sim;
    options.start_ns = 5;
    options.seed = 77;
    ck_assert_int_eq(kirim_sim_open(&options, &sim), KIRIM_OK);
    ck_assert_uint_eq(kirim_sim_now(sim), 5);
    ck_assert_uint_eq(kirim_sim_seed(sim), 77);
    ck_assert_int_eq(kirim_sim_close(sim), KIRIM_OK);
}
END_TEST

START_TEST(structures_of_unknown_size_are_refused)
{
    struct kit k;
    kit_open(&k, 1);
    struct kirim_sim_options options = KIRIM_SIM_OPTIONS_INIT;
    struct kirim_sim *sim;
    options.size--;
    ck_assert_int_eq(kirim_sim_open(&options, &sim), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_open(NULL, NULL), KIRIM_EINVAL);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.size--;
    ck_assert_int_eq(kirim_sim_link_set(k.sim, NULL, NULL, &link), KIRIM_EINVAL);
    struct kirim_sim_stats stats = KIRIM_SIM_STATS_INIT;
    stats.size--;
    ck_assert_int_eq(kirim_sim_read_stats(k.sim, &stats), KIRIM_EINVAL);
    kit_close(&k);
}
END_TEST

static kirim_err add(struct kit *k, const char *name, const char *addr)
{
    const struct kirim_addr a = kit_addr(addr);
    struct kirim_sim_host *host;
    return kirim_sim_host_add(k->sim, name, &a, addr != NULL, &host);
}

START_TEST(names_of_hosts_are_1_to_31_bytes_and_unique)
{
    struct kit k;
    kit_open(&k, 1);
    ck_assert_int_eq(add(&k, NULL, NULL), KIRIM_EINVAL);
    ck_assert_int_eq(add(&k, "", NULL), KIRIM_EINVAL);
    ck_assert_int_eq(add(&k, "a", NULL), KIRIM_OK);
    ck_assert_int_eq(add(&k, "a", NULL), KIRIM_EEXIST);
    ck_assert_int_eq(add(&k, "1234567890123456789012345678901", NULL), KIRIM_OK);
    ck_assert_int_eq(add(&k, "12345678901234567890123456789012", NULL), KIRIM_EINVAL);
    kit_close(&k);
}
END_TEST

START_TEST(addresses_of_hosts_are_unicast_and_unique)
{
    static const char *const refused[] = { "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255",
                                           "::",      "::1",       "ff02::1" };
    struct kit k;
    kit_open(&k, 1);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        ck_assert_int_eq(add(&k, "a", refused[i]), KIRIM_EINVAL);
    }
    const struct kirim_addr none = { { 0, 0, 0 } };
    struct kirim_sim_host *host;
    ck_assert_int_eq(kirim_sim_host_add(k.sim, "a", &none, 1, &host), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_host_add(k.sim, "a", NULL, 1, &host), KIRIM_EINVAL);
    ck_assert_int_eq(add(&k, "a", "10.0.0.1:80"), KIRIM_OK);
    ck_assert_int_eq(add(&k, "b", "10.0.0.1:81"), KIRIM_EEXIST);
    const struct kirim_addr twice[2] = { kit_addr("10.0.0.2"), kit_addr("10.0.0.2:1") };
    ck_assert_int_eq(kirim_sim_host_add(k.sim, "b", twice, 2, &host), KIRIM_EEXIST);
    ck_assert_ptr_null(kirim_sim_host_find(k.sim, "b"));
    kit_close(&k);
}
END_TEST

START_TEST(host_has_up_to_16_addresses)
{
    struct kirim_addr addrs[17];
    struct kirim_sim_host *host;
    struct kit k;
    kit_open(&k, 1);
    for (uint8_t i = 0; i < 17; i++) {
        const uint8_t bytes[4] = { 10, 0, 0, i };
        addrs[i] = kirim_addr_ipv4(bytes, 0);
    }
    ck_assert_int_eq(kirim_sim_host_add(k.sim, "a", addrs, 17, &host), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_host_add(k.sim, "a", addrs, 16, &host), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_host_add(k.sim, "b", &addrs[15], 1, &host), KIRIM_EEXIST);
    ck_assert_int_eq(kirim_sim_host_add(k.sim, "b", &addrs[16], 1, &host), KIRIM_OK);
    kit_close(&k);
}
END_TEST

START_TEST(host_is_found_by_its_name)
{
    struct kit k;
    kit_open(&k, 1);
    const struct kit_host *a = kit_host(&k, "a", NULL, NULL);
    ck_assert_ptr_eq(kirim_sim_host_find(k.sim, "a"), a->host);
    ck_assert_str_eq(kirim_sim_host_name(a->host), "a");
    ck_assert_ptr_null(kirim_sim_host_find(k.sim, "b"));
    ck_assert_ptr_null(kirim_sim_host_find(k.sim, NULL));
    kit_close(&k);
}
END_TEST

START_TEST(host_has_one_loop_at_a_time)
{
    struct kit k;
    kit_open(&k, 1);
    struct kit_host *a = kit_host(&k, "a", NULL, NULL);
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *second;
    options.reactor = "sim";
    options.reactor_context = a->host;
    ck_assert_int_eq(kirim_loop_open(&options, &second), KIRIM_EBUSY);
    kit_loop_close(a);
    kit_loop_open(a);
    kit_close(&k);
}
END_TEST

START_TEST(world_with_open_loops_is_not_closed)
{
    struct kit k;
    kit_open(&k, 1);
    (void)kit_host(&k, "a", NULL, NULL);
    ck_assert_int_eq(kirim_sim_close(k.sim), KIRIM_EBUSY);
    kit_close(&k);
}
END_TEST

START_TEST(loop_knows_its_world)
{
    struct kit k;
    kit_open(&k, 1);
    const struct kit_host *a = kit_host(&k, "a", NULL, NULL);
    ck_assert_ptr_eq(kirim_loop_sim(a->loop), k.sim);
    ck_assert_str_eq(kirim_loop_reactor(a->loop), "sim");
    kit_close(&k);
}
END_TEST

/* ---- the clock ------------------------------------------------------------------------------- */

START_TEST(clock_stands_where_the_run_was_to_end)
{
    struct kit k;
    kit_open(&k, 1);
    (void)kit_host(&k, "a", NULL, NULL);
    ck_assert_int_eq(kirim_sim_run(k.sim, 5 * SECOND), KIRIM_OK);
    ck_assert_uint_eq(kirim_sim_now(k.sim), 5 * SECOND);
    ck_assert_int_eq(kirim_sim_run(k.sim, 4 * SECOND), KIRIM_OK); /* the past: nothing happens */
    ck_assert_uint_eq(kirim_sim_now(k.sim), 5 * SECOND);
    kit_close(&k);
}
END_TEST

START_TEST(run_without_end_stops_at_the_last_event)
{
    struct kit_alarm alarm;
    struct kit k;
    kit_open(&k, 1);
    kit_alarm_set(&alarm, kit_host(&k, "a", NULL, NULL), kit_alarm_note, 3 * SECOND);
    ck_assert_int_eq(kirim_sim_run(k.sim, KIRIM_NEVER), KIRIM_OK);
    ck_assert_uint_eq(alarm.fired_ns, 4 * SECOND);
    ck_assert_uint_eq(kirim_sim_now(k.sim), 4 * SECOND);
    kit_close(&k);
}
END_TEST

START_TEST(timers_fire_at_their_very_nanosecond)
{
    struct kit_alarm early;
    struct kit_alarm late;
    struct kit k;
    kit_open(&k, 1);
    kit_alarm_set(&late, kit_host(&k, "a", NULL, NULL), kit_alarm_note, 1234567891);
    kit_alarm_set(&early, kit_host(&k, "b", NULL, NULL), kit_alarm_note, 1234567890);
    ck_assert_int_eq(kirim_sim_run(k.sim, SECOND + 1234567889), KIRIM_OK);
    ck_assert_uint_eq(early.count + late.count, 0);
    ck_assert_int_eq(kirim_sim_run(k.sim, SECOND + 1234567890), KIRIM_OK);
    ck_assert_uint_eq(early.fired_ns, SECOND + 1234567890);
    ck_assert_uint_eq(late.count, 0);
    kit_run(&k, 1);
    ck_assert_uint_eq(late.fired_ns, SECOND + 1234567891);
    kit_close(&k);
}
END_TEST

static void stop_world(struct kirim_timer *timer)
{
    kit_alarm_note(timer);
    kirim_sim_stop(((struct kit_alarm *)timer->user)->kit->sim);
}

START_TEST(stop_ends_the_run_at_the_event_that_asked_for_it)
{
    struct kit_alarm stopper;
    struct kit_alarm later;
    struct kit k;
    kit_open(&k, 1);
    kit_alarm_set(&stopper, kit_host(&k, "a", NULL, NULL), stop_world, SECOND);
    kit_alarm_set(&later, kit_host(&k, "b", NULL, NULL), kit_alarm_note, SECOND + 1);
    kit_run(&k, 10 * SECOND);
    ck_assert_uint_eq(kirim_sim_now(k.sim), 2 * SECOND);
    ck_assert_uint_eq(later.count, 0);
    kirim_sim_stop(k.sim); /* it does not run: forgotten */
    kit_run(&k, 10 * SECOND);
    ck_assert_uint_eq(later.count, 1);
    kit_close(&k);
}
END_TEST

static void run_nested(struct kirim_timer *timer)
{
    struct kit_alarm *a = timer->user;
    kit_alarm_note(timer);
    ck_assert_int_eq(kirim_sim_run(a->kit->sim, KIRIM_NEVER), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_close(a->kit->sim), KIRIM_EINVAL);
}

START_TEST(running_world_is_neither_run_nor_closed)
{
    struct kit_alarm alarm;
    struct kit k;
    kit_open(&k, 1);
    kit_alarm_set(&alarm, kit_host(&k, "a", NULL, NULL), run_nested, 1);
    kit_run(&k, 1);
    ck_assert_uint_eq(alarm.count, 1);
    kit_close(&k);
}
END_TEST

START_TEST(driven_loop_is_neither_run_nor_stepped)
{
    struct kit k;
    kit_open(&k, 1);
    const struct kit_host *a = kit_host(&k, "a", NULL, NULL);
    ck_assert_uint_ne(kirim_loop_caps(a->loop) & KIRIM_CAP_DRIVEN, 0);
    ck_assert_int_eq(kirim_loop_run(a->loop), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_loop_step(a->loop, 0), KIRIM_EINVAL);
    kit_close(&k);
}
END_TEST

/* ---- the order of events --------------------------------------------------------------------- */

START_TEST(all_datagrams_of_one_instant_reach_a_host_in_one_turn)
{
    struct kit k;
    kit_open(&k, 1);
    struct kit_end *a = kit_bind(kit_host(&k, "a", "10.0.0.1", NULL), "10.0.0.1:1", 0);
    struct kit_end *b = kit_bind(kit_host(&k, "b", "10.0.0.2", NULL), "10.0.0.2:1", 0);
    struct kit_end *c = kit_bind(kit_host(&k, "c", "10.0.0.3", NULL), "10.0.0.3:1", 0);
    for (uint32_t i = 0; i < 10; i++) {
        kit_send_number(a, i, "10.0.0.3:1");
        kit_send_number(b, i, "10.0.0.3:1");
    }
    kit_run(&k, MS);
    ck_assert_uint_eq(c->rx_count, 20);
    ck_assert_uint_eq(c->batch_count, 1);
    ck_assert_uint_eq(c->rx[0].time_ns, SECOND + 50 * US);
    kit_close(&k);
}
END_TEST

START_TEST(datagrams_are_sent_from_outside_of_turns_too)
{
    struct kit k;
    kit_open(&k, 1);
    struct kit_end *a = kit_bind(kit_host(&k, "a", "10.0.0.1", NULL), "10.0.0.1:1", 0);
    struct kit_end *b = kit_bind(kit_host(&k, "b", "10.0.0.2", NULL), "10.0.0.2:1", 0);
    b->on_received = kit_echo;
    kit_send(a, "hello", "10.0.0.2:1");
    kit_run(&k, MS);
    kit_expect(b, "hello", "10.0.0.1:1");
    kit_expect(a, "hello", "10.0.0.2:1");
    ck_assert_uint_eq(a->rx[0].time_ns, SECOND + 100 * US);
    kit_close(&k);
}
END_TEST

START_TEST(loopback_arrives_at_the_same_instant_but_not_in_the_same_turn)
{
    struct kit k;
    kit_open(&k, 1);
    struct kit_host *h = kit_host(&k, "a", NULL, NULL);
    struct kit_end *a = kit_bind(h, "127.0.0.1:1", 0);
    struct kit_end *b = kit_bind(h, "[::1]:2", 0);
    kit_send(a, "four", "127.0.0.1:1");
    kit_send(b, "six", "[::1]:2");
    kit_run(&k, 0);
    kit_expect(a, "four", "127.0.0.1:1");
    kit_expect(b, "six", "[::1]:2");
    ck_assert_uint_eq(a->rx[0].time_ns, SECOND);
    ck_assert_uint_eq(kit_stats(&k).events, 4); /* turn, two arrivals, turn */
    kit_close(&k);
}
END_TEST

static void close_other(struct kirim_timer *timer)
{
    kit_alarm_note(timer);
    kit_loop_close(((struct kit_alarm *)timer->user)->host);
}

START_TEST(host_crashes_and_comes_back_in_the_midst_of_traffic)
{
    struct kit_alarm alarm;
    struct kit k;
    kit_open(&k, 1);
    struct kit_host *b = kit_host(&k, "b", "10.0.0.2", NULL);
    struct kit_end *a = kit_connect(kit_host(&k, "a", "10.0.0.1", NULL), NULL, "10.0.0.2:1");
    struct kit_end *first = kit_bind(b, "10.0.0.2:1", 0);
    kit_alarm_set(&alarm, &k.hosts[1], close_other, MS);
    alarm.host = b;
    kit_send(a, "one", NULL);
    kit_run(&k, 2 * MS);
    ck_assert_uint_eq(first->closed_count, 1);
    kit_send(a, "two", NULL);
    kit_run(&k, MS);
    ck_assert_uint_eq(kit_stats(&k).host_down, 1);
    ck_assert_uint_eq(a->failed_count, 0);
    kit_loop_open(b);
    struct kit_end *second = kit_bind(b, "10.0.0.2:1", 0);
    kit_send(a, "three", NULL);
    kit_run(&k, MS);
    kit_expect(first, "one", NULL);
    kit_expect(second, "three", NULL);
    kit_close(&k);
}
END_TEST

START_TEST(what_arrives_for_a_closed_loop_is_given_back)
{
    struct kit k;
    kit_open(&k, 1);
    struct kit_host *b = kit_host(&k, "b", "10.0.0.2", NULL);
    struct kit_end *a = kit_bind(kit_host(&k, "a", "10.0.0.1", NULL), "10.0.0.1:1", 0);
    (void)kit_bind(b, "10.0.0.2:1", 0);
    kit_send(a, "under way", "10.0.0.2:1");
    kit_run(&k, 0);
    kit_loop_close(b);
    kit_close(&k); /* checks that all memory came back */
}
END_TEST

START_TEST(endless_traffic_without_delay_does_not_stop_the_time)
{
    struct kit_alarm alarm;
    struct kit k;
    kit_open(&k, 1);
    struct kit_host *h = kit_host(&k, "a", NULL, NULL);
    struct kit_end *a = kit_bind(h, "127.0.0.1:1", 0);
    a->on_received = kit_echo;
    kit_alarm_set(&alarm, h, stop_world, MS);
    kit_send(a, "for ever", "127.0.0.1:1");
    ck_assert_int_eq(kirim_sim_run(k.sim, KIRIM_NEVER), KIRIM_OK);
    ck_assert_uint_eq(alarm.count, 1);
    ck_assert_uint_ge(alarm.fired_ns, SECOND + MS);
    ck_assert_uint_le(alarm.fired_ns, SECOND + MS + KI_SIM_TURN_COST_NS);
    kit_close(&k);
}
END_TEST

START_TEST(hosts_without_delay_between_them_do_not_stop_the_time_either)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kit_alarm alarm;
    struct kit k;
    kit_open(&k, 1);
    struct kit_end *a = kit_bind(kit_host(&k, "a", "10.0.0.1", NULL), "10.0.0.1:1", 0);
    struct kit_end *b = kit_bind(kit_host(&k, "b", "10.0.0.2", NULL), "10.0.0.2:1", 0);
    link.delay_ns = 0;
    kit_link(&k, NULL, NULL, link);
    a->on_received = kit_echo;
    b->on_received = kit_echo;
    kit_alarm_set(&alarm, kit_host(&k, "c", NULL, NULL), stop_world, MS);
    for (uint32_t i = 0; i < 10; i++) {
        kit_send_number(a, i, "10.0.0.2:1");
        kit_send_number(b, i, "10.0.0.1:1");
    }
    ck_assert_int_eq(kirim_sim_run(k.sim, KIRIM_NEVER), KIRIM_OK);
    ck_assert_uint_eq(alarm.fired_ns, SECOND + MS);
    kit_close(&k);
}
END_TEST

static void send_from_timer(struct kirim_timer *timer)
{
    kit_alarm_note(timer);
    kit_send(&((struct kit_alarm *)timer->user)->kit->ends[1], "hello", "10.0.0.1:2");
}

START_TEST(turn_that_was_put_off_is_not_hurried_by_arrivals)
{
    const uint64_t cost_ns = KI_SIM_TURN_COST_NS;
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kit_alarm alarm;
    struct kit k;
    kit_open(&k, 1);
    struct kit_host *busy = kit_host(&k, "a", "10.0.0.1", NULL);
    struct kit_host *other = kit_host(&k, "b", "10.0.0.2", NULL);
    struct kit_end *a = kit_bind(busy, "127.0.0.1:1", 0);
    (void)kit_bind(other, "10.0.0.2:1", 0);
    struct kit_end *quiet = kit_bind(busy, "10.0.0.1:2", 0);
    link.delay_ns = 0;
    kit_link(&k, NULL, NULL, link);
    a->on_received = kit_echo;
    kit_alarm_set(&alarm, other, send_from_timer, 3 * cost_ns / 2);
    kit_send(a, "for ever", "127.0.0.1:1");
    kit_run(&k, 10 * cost_ns);
    kit_expect(quiet, "hello", NULL);
    ck_assert_uint_eq(alarm.fired_ns, SECOND + 3 * cost_ns / 2);
    ck_assert_uint_eq(quiet->rx[0].time_ns, SECOND + 2 * cost_ns);
    kit_close(&k);
}
END_TEST

START_TEST(busy_host_takes_no_time_from_another)
{
    struct kit_alarm alarm;
    struct kit k;
    kit_open(&k, 1);
    struct kit_end *a = kit_bind(kit_host(&k, "a", NULL, NULL), "127.0.0.1:1", 0);
    a->on_received = kit_echo;
    kit_alarm_set(&alarm, kit_host(&k, "b", NULL, NULL), kit_alarm_note, 100 * US);
    kit_send(a, "for ever", "127.0.0.1:1");
    kit_run(&k, 100 * US);
    ck_assert_uint_eq(alarm.fired_ns, SECOND + 100 * US);
    kit_close(&k);
}
END_TEST

/* ---- wakes ----------------------------------------------------------------------------------- */

START_TEST(post_to_a_driven_loop_is_a_turn_of_its_own)
{
    struct kit_message m[3];
    struct kit k;
    kit_open(&k, 1);
    for (size_t i = 0; i < 3; i++) {
        const char name[2] = { (char)('a' + i), '\0' };
        kit_message_init(&m[i], kit_host(&k, name, NULL, NULL));
        kit_message_post_in_thread(&m[i]);
    }
    ck_assert_int_eq(kirim_sim_run(k.sim, KIRIM_NEVER), KIRIM_OK);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(m[i].count, 1);
        ck_assert_uint_eq(m[i].run_ns, SECOND);
        kirim_remote_release(m[i].remote);
    }
    kit_close(&k);
}
END_TEST

START_TEST(post_that_did_not_run_is_told_when_its_loop_closes)
{
    struct kit_message m;
    struct kit k;
    kit_open(&k, 1);
    struct kit_host *a = kit_host(&k, "a", NULL, NULL);
    kit_message_init(&m, a);
    (void)kit_message_post(&m);
    kit_loop_close(a);
    ck_assert_int_eq(m.err, KIRIM_ECLOSED);
    ck_assert_int_eq(kirim_sim_run(k.sim, KIRIM_NEVER), KIRIM_OK);
    kirim_remote_release(m.remote);
    kit_close(&k);
}
END_TEST

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t random_word(const struct kit_host *h)
{
    uint8_t bytes[8];
    uint64_t word = 0;
    ck_assert_int_eq(kirim_loop_random(h->loop, bytes, sizeof bytes), KIRIM_OK);
    for (size_t i = 0; i < 8; i++) {
        word = word << 8 | bytes[i];
    }
    return word;
}

static uint64_t first_random_word(uint64_t seed, const char *name)
{
    struct kit k;
    kit_open(&k, seed);
    const uint64_t word = random_word(kit_host(&k, name, NULL, NULL));
    kit_close(&k);
    return word;
}

START_TEST(random_stream_is_that_of_the_seed_and_the_name)
{
    ck_assert_uint_eq(first_random_word(1, "a"), UINT64_C(0x80fd967e8a9dfb84));
    ck_assert_uint_eq(first_random_word(1, "a"), first_random_word(1, "a"));
    ck_assert_uint_ne(first_random_word(1, "a"), first_random_word(1, "b"));
    ck_assert_uint_ne(first_random_word(1, "a"), first_random_word(2, "a"));
}
END_TEST

START_TEST(restarted_host_goes_on_with_its_stream)
{
    struct kit k;
    kit_open(&k, 1);
    struct kit_host *a = kit_host(&k, "a", NULL, NULL);
    const uint64_t first = random_word(a);
    const uint64_t second = random_word(a);
    kit_loop_close(a);
    kit_loop_open(a);
    const uint64_t third = random_word(a);
    ck_assert(first != second && second != third && first != third);
    kit_close(&k);
}
END_TEST

START_TEST(random_bytes_fill_any_length)
{
    struct kit k;
    kit_open(&k, 1);
    const struct kit_host *a = kit_host(&k, "a", NULL, NULL);
    for (size_t length = 0; length < 20; length++) {
        uint8_t bytes[32];
        memset(bytes, 0xee, sizeof bytes);
        ck_assert_int_eq(kirim_loop_random(a->loop, bytes, length), KIRIM_OK);
        for (size_t i = length; i < sizeof bytes; i++) {
            ck_assert_uint_eq(bytes[i], 0xee);
        }
    }
    kit_close(&k);
}
END_TEST

/* ---- many hosts ------------------------------------------------------------------------------ */

enum { CROWD_COUNT = 10000 };

struct member {
    struct kirim_sim_host *host;
    struct kirim_loop *loop;
    struct kirim_endpoint *ep;
    size_t count;
};

static void count_answers(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct member *m = user;
    (void)ep;
    m->count += batch->count;
}

static const struct kirim_handler member_handler = { KIRIM_HANDLER_INIT,
                                                     .received = count_answers };

static void open_member(struct kit *k, struct member *m, uint32_t i,
                        const struct kirim_addr *server)
{
    const uint8_t bytes[4] = { 10, 1, (uint8_t)(i >> 8), (uint8_t)i };
    const struct kirim_addr addr = kirim_addr_ipv4(bytes, 0);
    const char name[6] = { 'm',
                           (char)('a' + i / 1000),
                           (char)('0' + i / 100 % 10),
                           (char)('0' + i / 10 % 10),
                           (char)('0' + i % 10),
                           '\0' };
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_endpoint_options ep_options = KIRIM_ENDPOINT_OPTIONS_INIT;
    ck_assert_int_eq(kirim_sim_host_add(k->sim, name, &addr, 1, &m->host), KIRIM_OK);
    options.reactor = "sim";
    options.reactor_context = m->host;
    ck_assert_int_eq(kirim_loop_open(&options, &m->loop), KIRIM_OK);
    ep_options.peer = *server;
    ep_options.handler = &member_handler;
    ep_options.user = m;
    ck_assert_int_eq(kirim_endpoint_open(m->loop, &ep_options, &m->ep), KIRIM_OK);
}

START_TEST(ten_thousand_hosts_ask_one_server)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct member *members = calloc(CROWD_COUNT, sizeof *members);
    ck_assert_ptr_nonnull(members);
    struct kit k;
    kit_open(&k, 1);
    options.local = kit_addr("10.0.0.1:53");
    options.receive_buffer_bytes = 64 << 20;
    options.queue_count_max = 65536;
    struct kit_end *server = kit_end(kit_host(&k, "server", "10.0.0.1", NULL), &options);
    server->on_received = kit_echo;
    for (uint32_t i = 0; i < CROWD_COUNT; i++) {
        open_member(&k, &members[i], i, &options.local);
        ck_assert_int_eq(kirim_endpoint_send_to(members[i].ep, "?", 1, NULL), KIRIM_OK);
    }
    ck_assert_int_eq(kirim_sim_run(k.sim, KIRIM_NEVER), KIRIM_OK);
    ck_assert_uint_eq(server->rx_count, CROWD_COUNT);
    for (uint32_t i = 0; i < CROWD_COUNT; i++) {
        ck_assert_uint_eq(members[i].count, 1);
        ck_assert_int_eq(kirim_loop_close(members[i].loop), KIRIM_OK);
    }
    free(members);
    kit_close(&k);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { world_begins_at_one_second_with_seed_one, 0 },
        { world_begins_when_and_with_the_seed_it_is_told, 0 },
        { structures_of_unknown_size_are_refused, 0 },
        { names_of_hosts_are_1_to_31_bytes_and_unique, 0 },
        { addresses_of_hosts_are_unicast_and_unique, 0 },
        { host_has_up_to_16_addresses, 0 },
        { host_is_found_by_its_name, 0 },
        { host_has_one_loop_at_a_time, 0 },
        { world_with_open_loops_is_not_closed, 0 },
        { loop_knows_its_world, 0 },
        { clock_stands_where_the_run_was_to_end, 0 },
        { run_without_end_stops_at_the_last_event, 0 },
        { timers_fire_at_their_very_nanosecond, 0 },
        { stop_ends_the_run_at_the_event_that_asked_for_it, 0 },
        { running_world_is_neither_run_nor_closed, 0 },
        { driven_loop_is_neither_run_nor_stepped, 0 },
        { all_datagrams_of_one_instant_reach_a_host_in_one_turn, 0 },
        { datagrams_are_sent_from_outside_of_turns_too, 0 },
        { loopback_arrives_at_the_same_instant_but_not_in_the_same_turn, 0 },
        { host_crashes_and_comes_back_in_the_midst_of_traffic, 0 },
        { what_arrives_for_a_closed_loop_is_given_back, 0 },
        { endless_traffic_without_delay_does_not_stop_the_time, 0 },
        { hosts_without_delay_between_them_do_not_stop_the_time_either, 0 },
        { turn_that_was_put_off_is_not_hurried_by_arrivals, 0 },
        { busy_host_takes_no_time_from_another, 0 },
        { post_to_a_driven_loop_is_a_turn_of_its_own, 0 },
        { post_that_did_not_run_is_told_when_its_loop_closes, 0 },
        { random_stream_is_that_of_the_seed_and_the_name, 0 },
        { restarted_host_goes_on_with_its_stream, 0 },
        { random_bytes_fill_any_length, 0 },
        { ten_thousand_hosts_ask_one_server, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_world", claims);
}
