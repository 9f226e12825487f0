/* SPDX-License-Identifier: MIT
 *
 * Claims about partitions, crashes, pauses, and clocks that jump.
 */
#include "sim_kit.h"

#include <string.h>

enum { HOST_COUNT = 4 };

/* Four hosts, and an endpoint on each. */
struct scene {
    struct kit k;
    struct kit_host *host[HOST_COUNT];
    struct kit_end *end[HOST_COUNT];
};

static const char *const addrs[HOST_COUNT] = { "10.0.0.1:7", "10.0.0.2:7", "10.0.0.3:7",
                                               "10.0.0.4:7" };

static void scene_open(struct scene *s)
{
    static const char *const names[HOST_COUNT] = { "a", "b", "c", "d" };
    kit_open(&s->k, 1);
    for (size_t i = 0; i < HOST_COUNT; i++) {
        s->host[i] = kit_host(&s->k, names[i], addrs[i], NULL);
        s->end[i] = kit_bind(s->host[i], addrs[i], KIRIM_ENDPOINT_RECEIVE_CONTROL);
    }
}

/* Sends from one to the other and back: whether each way is open. */
static bool passes(struct scene *s, size_t from, size_t to)
{
    const size_t count = s->end[to]->rx_count;
    kit_send(s->end[from], "x", addrs[to]);
    kit_run(&s->k, MS);
    return s->end[to]->rx_count > count;
}

static uint32_t partition(struct scene *s, size_t first, size_t count, uint64_t heal_ns)
{
    struct kirim_sim_host *side[HOST_COUNT];
    uint32_t number = 99;
    for (size_t i = 0; i < count; i++) {
        side[i] = s->host[first + i]->host;
    }
    ck_assert_int_eq(kirim_sim_partition(s->k.sim, side, count, heal_ns, &number), KIRIM_OK);
    return number;
}

/* ---- partitions ------------------------------------------------------------------------------ */

START_TEST(partition_stands_between_its_sides_alone)
{
    struct scene s;
    scene_open(&s);
    const uint32_t number = partition(&s, 0, 2, KIRIM_NEVER);
    for (size_t from = 0; from < HOST_COUNT; from++) {
        for (size_t to = 0; to < HOST_COUNT; to++) {
            ck_assert_int_eq(passes(&s, from, to), from / 2 == to / 2);
        }
    }
    ck_assert_uint_eq(kit_stats(&s.k).partitioned, 8);
    ck_assert_uint_eq(kit_stats(&s.k).lost, 0);
    ck_assert_int_eq(kirim_sim_heal(s.k.sim, number), KIRIM_OK);
    ck_assert(passes(&s, 0, 3));
    kit_close(&s.k);
}
END_TEST

START_TEST(partition_heals_at_its_time)
{
    struct scene s;
    scene_open(&s);
    (void)partition(&s, 0, 1, 2 * SECOND);
    ck_assert_int_eq(kirim_sim_run(s.k.sim, 2 * SECOND - 1), KIRIM_OK);
    kit_send(s.end[0], "early", addrs[1]);
    ck_assert_int_eq(kirim_sim_run(s.k.sim, 2 * SECOND), KIRIM_OK);
    kit_send(s.end[0], "due", addrs[1]);
    kit_run(&s.k, MS);
    kit_expect(s.end[1], "due", NULL);
    kit_close(&s.k);
}
END_TEST

START_TEST(partitions_overlap_and_end_each_by_itself)
{
    struct scene s;
    scene_open(&s);
    const uint32_t first = partition(&s, 0, 2, KIRIM_NEVER);
    const uint32_t second = partition(&s, 1, 2, SECOND + 100 * MS);
    ck_assert(!passes(&s, 0, 1));
    ck_assert(!passes(&s, 1, 2));
    ck_assert(!passes(&s, 0, 3));
    ck_assert_int_eq(kirim_sim_heal(s.k.sim, first), KIRIM_OK);
    ck_assert(!passes(&s, 0, 1));
    ck_assert(passes(&s, 1, 2));
    kit_run(&s.k, 100 * MS);
    ck_assert(passes(&s, 0, 1));
    ck_assert_int_eq(kirim_sim_heal(s.k.sim, second), KIRIM_OK); /* it has ended already */
    ck_assert_uint_eq(partition(&s, 3, 1, KIRIM_NEVER), first);  /* numbers come back */
    ck_assert(passes(&s, 0, 1));
    ck_assert(!passes(&s, 3, 1));
    kit_close(&s.k);
}
END_TEST

START_TEST(broadcasts_and_reports_are_cut_too)
{
    struct scene s;
    scene_open(&s);
    struct kit_end *from = kit_bind(s.host[0], "0.0.0.0:9", KIRIM_ENDPOINT_BROADCAST);
    struct kit_end *there = kit_bind(s.host[1], "0.0.0.0:9", 0);
    struct kit_end *beyond = kit_bind(s.host[2], "0.0.0.0:9", 0);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 10 * MS;
    kit_link(&s.k, s.host[0], s.host[2], link);
    kit_send(s.end[0], "x", "10.0.0.3:99"); /* arrives, but what it causes does not */
    kit_run(&s.k, MS);
    (void)partition(&s, 0, 2, KIRIM_NEVER);
    kit_send(from, "all", "255.255.255.255:9");
    kit_run(&s.k, SECOND);
    ck_assert_uint_eq(there->rx_count, 1);
    ck_assert_uint_eq(beyond->rx_count, 0);
    ck_assert_uint_eq(kit_stats(&s.k).no_port, 1);
    ck_assert_uint_eq(s.end[0]->failed_count, 0);
    kit_close(&s.k);
}
END_TEST

START_TEST(partition_leaves_the_decisions_of_links)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    bool passed[2][200];
    link.loss_ppm = 300000;
    for (size_t round = 0; round < 2; round++) {
        struct scene s;
        scene_open(&s);
        kit_link(&s.k, NULL, NULL, link);
        for (size_t i = 0; i < 200; i++) {
            if (round == 1 && i == 50) {
                (void)partition(&s, 0, 1, kirim_sim_now(s.k.sim) + 50 * MS);
            }
            passed[round][i] = passes(&s, 0, 1);
        }
        kit_close(&s.k);
    }
    for (size_t i = 0; i < 200; i++) {
        ck_assert_int_eq(passed[1][i], passed[0][i] && (i < 50 || i >= 100));
    }
}
END_TEST

START_TEST(there_are_64_partitions)
{
    struct scene s;
    struct kirim_sim_host *side[2];
    uint32_t number;
    scene_open(&s);
    side[0] = s.host[0]->host;
    side[1] = NULL;
    for (uint32_t i = 0; i < 64; i++) {
        ck_assert_uint_eq(partition(&s, 0, 1, SECOND + MS + i), i);
    }
    ck_assert_int_eq(kirim_sim_partition(s.k.sim, side, 1, KIRIM_NEVER, &number), KIRIM_EBUSY);
    kit_run(&s.k, 2 * MS);
    ck_assert(passes(&s, 0, 1));
    ck_assert_int_eq(kirim_sim_partition(s.k.sim, side, 2, KIRIM_NEVER, &number), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_partition(s.k.sim, side, 0, KIRIM_NEVER, &number), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_partition(s.k.sim, NULL, 1, KIRIM_NEVER, &number), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_partition(s.k.sim, side, 1, KIRIM_NEVER, NULL), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_partition(NULL, side, 1, KIRIM_NEVER, &number), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_heal(s.k.sim, 64), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_heal(NULL, 0), KIRIM_EINVAL);
    kit_close(&s.k);
}
END_TEST

/* ---- crashes --------------------------------------------------------------------------------- */

static void crash(struct kit_host *h)
{
    ck_assert_int_eq(kirim_sim_host_crash(h->host), KIRIM_OK);
}

/* The loop of a crashed host, given up; `h` gets another one. */
static struct kirim_loop *restart(struct kit_host *h)
{
    struct kirim_loop *dead = h->loop;
    kit_loop_open(h);
    return dead;
}

START_TEST(crashed_host_has_no_last_word)
{
    struct scene s;
    scene_open(&s);
    kit_send(s.end[0], "queued, and never sent", addrs[1]);
    crash(s.host[0]);
    kit_send(s.end[0], "nor this", addrs[1]);
    ck_assert_int_eq(kirim_endpoint_close(s.end[0]->ep), KIRIM_OK);
    kit_run(&s.k, SECOND);
    ck_assert_uint_eq(s.end[1]->rx_count, 0);
    ck_assert_uint_eq(kit_stats(&s.k).sent, 0);
    kit_close(&s.k); /* its owner gets his last callback all the same */
}
END_TEST

START_TEST(what_is_under_way_to_a_crashed_host_is_lost_or_answered_later)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct scene s;
    scene_open(&s);
    link.delay_ns = 100 * MS;
    kit_link(&s.k, s.host[1], s.host[0], link);
    kit_send(s.end[1], "lost", addrs[0]);
    kit_run(&s.k, 50 * MS);
    kit_send(s.end[1], "answered", addrs[0]);
    kit_run(&s.k, 10 * MS);
    crash(s.host[0]);
    kit_run(&s.k, 45 * MS); /* the first arrives at nothing */
    struct kirim_loop *dead = restart(s.host[0]);
    kit_run(&s.k, SECOND);
    ck_assert_uint_eq(s.end[0]->rx_count, 0);
    ck_assert_uint_eq(kit_stats(&s.k).host_down, 1);
    ck_assert_uint_eq(kit_stats(&s.k).no_port, 1);
    ck_assert_uint_eq(s.end[1]->failed_count, 1);
    ck_assert_int_eq(s.end[1]->event.err, KIRIM_ECONNRESET);
    ck_assert_int_eq(kirim_loop_close(dead), KIRIM_OK);
    kit_close(&s.k);
}
END_TEST

START_TEST(ports_of_a_crashed_host_are_free_at_once)
{
    struct kit_alarm alarm;
    struct scene s;
    scene_open(&s);
    kit_alarm_set(&alarm, s.host[0], kit_alarm_note, 10 * MS);
    kit_send(s.end[1], "in the buffer", addrs[0]);
    kit_run(&s.k, 50 * US);
    crash(s.host[0]);
    crash(s.host[0]); /* it is down */
    struct kit_end *nobody;
    ck_assert_int_eq(kit_try(s.host[0], "10.0.0.1:8", NULL, 0, &nobody), KIRIM_ENETDOWN);
    struct kirim_loop *dead = restart(s.host[0]);
    struct kit_end *fresh = kit_bind(s.host[0], addrs[0], 0);
    ck_assert_int_eq(kirim_loop_close(dead), KIRIM_OK); /* takes nothing of the new one with it */
    kit_send(s.end[1], "new", addrs[0]);
    kit_run(&s.k, SECOND);
    kit_expect(fresh, "new", NULL);
    kit_send(fresh, "here", addrs[1]);
    kit_run(&s.k, SECOND);
    kit_expect(s.end[1], "here", NULL);
    ck_assert_uint_eq(alarm.count, 0);
    kit_close(&s.k);
}
END_TEST

static void crash_itself(struct kit_end *end, const struct kirim_batch *batch)
{
    struct kit_host *h = end->ctx;
    kit_echo(end, batch); /* the answer is queued, and goes down with it */
    crash(h);
}

START_TEST(host_crashes_in_its_own_turn)
{
    struct scene s;
    scene_open(&s);
    s.end[0]->on_received = crash_itself;
    s.end[0]->ctx = s.host[0];
    kit_send(s.end[1], "poison", addrs[0]);
    kit_send(s.end[1], "more", addrs[0]);
    kit_run(&s.k, SECOND);
    kit_send(s.end[1], "nobody", addrs[0]);
    kit_run(&s.k, SECOND);
    ck_assert_uint_eq(s.end[1]->rx_count, 0);
    ck_assert_uint_eq(kit_stats(&s.k).host_down, 1);
    kit_close(&s.k);
}
END_TEST

/* What a host that restarts in its own turn was and is. */
struct phoenix {
    struct kit_host *host;
    struct kirim_loop *dead;
    struct kit_alarm before, after;
    bool is_restarted;
};

static void crash_and_restart(struct kit_end *end, const struct kirim_batch *batch)
{
    struct phoenix *p = end->ctx;
    (void)batch;
    kit_alarm_set(&p->before, p->host, kit_alarm_note, 5 * MS);
    crash(p->host);
    if (p->is_restarted) {
        p->dead = restart(p->host);
        kit_alarm_set(&p->after, p->host, kit_alarm_note, 7 * MS);
    }
}

START_TEST(timers_of_what_crashed_in_its_turn_do_not_fire_but_those_of_its_successor)
{
    struct phoenix p = { .is_restarted = _i == 1 };
    struct scene s;
    scene_open(&s);
    p.host = s.host[0];
    s.end[0]->on_received = crash_and_restart;
    s.end[0]->ctx = &p;
    kit_send(s.end[1], "x", addrs[0]);
    kit_run(&s.k, SECOND);
    ck_assert_uint_eq(p.before.count, 0);
    ck_assert_uint_eq(p.after.count, p.is_restarted ? 1 : 0);
    ck_assert_uint_eq(p.after.fired_ns, p.is_restarted ? SECOND + 50 * US + 7 * MS : 0);
    ck_assert_int_eq(kirim_loop_close(p.dead), KIRIM_OK);
    kit_close(&s.k);
}
END_TEST

START_TEST(message_for_a_crashed_host_is_given_back_when_its_loop_closes)
{
    struct kit_message message;
    struct scene s;
    scene_open(&s);
    kit_message_init(&message, s.host[0]);
    crash(s.host[0]);
    (void)kit_message_post(&message);
    kit_run(&s.k, SECOND);
    ck_assert_uint_eq(message.count, 0);
    struct kirim_loop *dead = restart(s.host[0]);
    ck_assert_int_eq(kirim_loop_close(dead), KIRIM_OK);
    ck_assert_uint_eq(message.count, 1);
    ck_assert_int_eq(message.err, KIRIM_ECLOSED);
    kirim_remote_release(message.remote);
    kit_close(&s.k);
}
END_TEST

/* ---- pauses ---------------------------------------------------------------------------------- */

static void pause_until(const struct kit_host *h, uint64_t until_ns)
{
    ck_assert_int_eq(kirim_sim_host_pause(h->host, until_ns), KIRIM_OK);
}

START_TEST(paused_host_does_nothing_and_then_all_at_once)
{
    struct kit_alarm alarm;
    struct scene s;
    scene_open(&s);
    kit_alarm_set(&alarm, s.host[0], kit_alarm_note, 10 * MS);
    pause_until(s.host[0], 2 * SECOND);
    for (size_t i = 0; i < 5; i++) {
        kit_send(s.end[1], "x", addrs[0]);
        kit_run(&s.k, 20 * MS);
    }
    ck_assert_uint_eq(s.end[0]->rx_count, 0);
    ck_assert_uint_eq(alarm.count, 0);
    kit_run(&s.k, 2 * SECOND);
    ck_assert_uint_eq(alarm.fired_ns, 2 * SECOND);
    ck_assert_uint_eq(s.end[0]->rx_count, 5);
    ck_assert_uint_eq(s.end[0]->batch_count, 1);
    ck_assert_uint_eq(s.end[0]->rx[4].time_ns, 2 * SECOND);
    ck_assert_uint_eq(s.end[0]->rx[1].arrival_ns, SECOND + 20 * MS + 50 * US);
    kit_close(&s.k);
}
END_TEST

START_TEST(receive_buffer_of_a_paused_host_overflows)
{
    struct scene s;
    scene_open(&s);
    pause_until(s.host[0], KIRIM_NEVER);
    for (size_t i = 0; i < 300; i++) {
        kit_send(s.end[1], "x", addrs[0]);
        kit_run(&s.k, MS);
    }
    ck_assert_uint_eq(kit_stats(&s.k).receive_full, 300 - 256);
    ck_assert_int_eq(kirim_sim_run(s.k.sim, KIRIM_NEVER), KIRIM_OK);
    ck_assert_uint_eq(s.end[0]->rx_count, 0);
    pause_until(s.host[0], 0);
    kit_run(&s.k, MS);
    ck_assert_uint_eq(s.end[0]->rx_count, 256);
    kit_close(&s.k);
}
END_TEST

static void pause_itself(struct kirim_timer *timer)
{
    struct kit_alarm *a = timer->user;
    kit_alarm_note(timer);
    pause_until(a->host, kirim_sim_now(a->kit->sim) + SECOND);
}

START_TEST(host_pauses_in_its_own_turn_and_a_pause_can_be_changed)
{
    struct kit_alarm first;
    struct kit_alarm second;
    struct scene s;
    scene_open(&s);
    kit_alarm_set(&first, s.host[0], pause_itself, 10 * MS);
    kit_alarm_set(&second, s.host[0], kit_alarm_note, 11 * MS);
    kit_run(&s.k, 500 * MS);
    ck_assert_uint_eq(first.count, 1);
    ck_assert_uint_eq(second.count, 0);
    pause_until(s.host[0], SECOND + 600 * MS); /* sooner than it was to end */
    kit_run(&s.k, 200 * MS);
    ck_assert_uint_eq(second.fired_ns, SECOND + 600 * MS);
    pause_until(s.host[0], 3 * SECOND);
    crash(s.host[0]); /* what is started again is not paused */
    struct kirim_loop *dead = restart(s.host[0]);
    struct kit_end *end = kit_bind(s.host[0], addrs[0], 0);
    kit_send(s.end[1], "awake", addrs[0]);
    kit_run(&s.k, MS);
    kit_expect(end, "awake", NULL);
    ck_assert_int_eq(kirim_loop_close(dead), KIRIM_OK);
    kit_close(&s.k);
}
END_TEST

/* ---- clocks ---------------------------------------------------------------------------------- */

START_TEST(clock_that_jumps_fires_what_was_due_meanwhile)
{
    struct kit_alarm soon;
    struct kit_alarm later;
    struct kit_alarm elsewhere;
    struct scene s;
    scene_open(&s);
    kit_alarm_set(&soon, s.host[0], kit_alarm_note, 10 * SECOND);
    kit_alarm_set(&later, s.host[0], kit_alarm_note, 100 * SECOND);
    kit_alarm_set(&elsewhere, s.host[1], kit_alarm_note, 10 * SECOND);
    kit_run(&s.k, SECOND);
    ck_assert_int_eq(kirim_sim_host_jump(s.host[0]->host, 50 * SECOND), KIRIM_OK);
    kit_run(&s.k, MS);
    ck_assert_uint_eq(soon.fired_ns, 52 * SECOND); /* by its own clock */
    ck_assert_uint_eq(later.count, 0);
    ck_assert_uint_eq(elsewhere.count, 0);
    ck_assert_uint_eq(kirim_sim_now(s.k.sim), 2 * SECOND + MS);
    kit_send(s.end[1], "x", addrs[0]);
    kit_run(&s.k, MS);
    ck_assert_uint_eq(s.end[0]->rx[0].arrival_ns, 52 * SECOND + MS + 50 * US);
    ck_assert_int_eq(kirim_sim_run(s.k.sim, 51 * SECOND - 1), KIRIM_OK);
    ck_assert_uint_eq(later.count, 0);
    ck_assert_int_eq(kirim_sim_run(s.k.sim, 51 * SECOND), KIRIM_OK);
    ck_assert_uint_eq(later.fired_ns, 101 * SECOND);
    ck_assert_uint_eq(elsewhere.fired_ns, 11 * SECOND);
    kit_close(&s.k);
}
END_TEST

START_TEST(clock_of_a_host_outlives_its_loop)
{
    struct scene s;
    scene_open(&s);
    ck_assert_int_eq(kirim_sim_host_jump(s.host[0]->host, SECOND), KIRIM_OK);
    crash(s.host[0]);
    struct kirim_loop *dead = restart(s.host[0]);
    ck_assert_uint_eq(kirim_loop_now(s.host[0]->loop), 2 * SECOND);
    ck_assert_int_eq(kirim_sim_host_jump(s.host[0]->host, UINT64_C(1) << 62), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_loop_close(dead), KIRIM_OK);
    kit_close(&s.k);
}
END_TEST

START_TEST(private_worlds_have_none_of_it)
{
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    struct kirim_sim *sim = kirim_loop_sim(h->loop);
    uint32_t number;
    ck_assert_int_eq(kirim_sim_host_crash(h->host), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_host_pause(h->host, 0), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_host_jump(h->host, 0), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_nat_attach(NULL, h->host), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_partition(sim, &h->host, 1, 0, &number), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_host_crash(NULL), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_host_pause(NULL, 0), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_host_jump(NULL, 0), KIRIM_EINVAL);
    kit_close(&k);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { partition_stands_between_its_sides_alone, 0 },
        { partition_heals_at_its_time, 0 },
        { partitions_overlap_and_end_each_by_itself, 0 },
        { broadcasts_and_reports_are_cut_too, 0 },
        { partition_leaves_the_decisions_of_links, 0 },
        { there_are_64_partitions, 0 },
        { crashed_host_has_no_last_word, 0 },
        { what_is_under_way_to_a_crashed_host_is_lost_or_answered_later, 0 },
        { ports_of_a_crashed_host_are_free_at_once, 0 },
        { host_crashes_in_its_own_turn, 0 },
        { timers_of_what_crashed_in_its_turn_do_not_fire_but_those_of_its_successor, 2 },
        { message_for_a_crashed_host_is_given_back_when_its_loop_closes, 0 },
        { paused_host_does_nothing_and_then_all_at_once, 0 },
        { receive_buffer_of_a_paused_host_overflows, 0 },
        { host_pauses_in_its_own_turn_and_a_pause_can_be_changed, 0 },
        { clock_that_jumps_fires_what_was_due_meanwhile, 0 },
        { clock_of_a_host_outlives_its_loop, 0 },
        { private_worlds_have_none_of_it, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_fault", claims);
}
