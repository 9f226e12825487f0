/* SPDX-License-Identifier: MIT
 *
 * Claims about private worlds: a loop of its own with a clock that jumps, and threads that wake it.
 */
#include "sim.h"
#include "sim_kit.h"

#include <pthread.h>

START_TEST(private_world_belongs_to_its_loop)
{
    struct kit k;
    const struct kit_host *h = kit_open_private(&k);
    struct kirim_sim *sim = kirim_loop_sim(h->loop);
    struct kirim_sim_host *host;
    ck_assert_int_eq(kirim_sim_run(sim, KIRIM_NEVER), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_close(sim), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_host_add(sim, "b", NULL, 0, &host), KIRIM_EINVAL);
    ck_assert_uint_eq(kirim_loop_caps(h->loop) & KIRIM_CAP_DRIVEN, 0);
    kit_close(&k);
}
END_TEST

START_TEST(private_clock_jumps_to_the_next_timer)
{
    struct kit_alarm alarm;
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    kit_alarm_set(&alarm, h, kit_alarm_note, 3600 * SECOND);
    ck_assert_int_eq(kirim_loop_run(h->loop), KIRIM_OK);
    ck_assert_uint_eq(alarm.fired_ns, 3601 * SECOND);
    kit_close(&k);
}
END_TEST

START_TEST(private_clock_jumps_to_the_end_of_a_step)
{
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    ck_assert_int_eq(kirim_loop_step(h->loop, 5 * SECOND), KIRIM_OK);
    ck_assert_uint_eq(kirim_loop_now(h->loop), 6 * SECOND);
    kit_close(&k);
}
END_TEST

START_TEST(step_that_only_looks_finds_what_was_sent)
{
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    struct kit_end *a = kit_bind(h, "127.0.0.1:1", 0);
    kit_send(a, "hello", "127.0.0.1:1");
    ck_assert_int_eq(kirim_loop_step(h->loop, 0), KIRIM_OK);
    kit_expect(a, "hello", "127.0.0.1:1");
    ck_assert_uint_eq(kirim_loop_now(h->loop), SECOND);
    kit_close(&k);
}
END_TEST

START_TEST(private_loopback_can_have_a_delay)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    ck_assert_int_eq(kirim_sim_link_set(kirim_loop_sim(h->loop), h->host, h->host, &link),
                     KIRIM_OK);
    struct kit_end *a = kit_bind(h, "127.0.0.1:1", 0);
    kit_send(a, "hello", "127.0.0.1:1");
    ck_assert_int_eq(kirim_loop_step(h->loop, 49 * US), KIRIM_OK);
    ck_assert_uint_eq(a->rx_count, 0);
    ck_assert_int_eq(kirim_loop_step(h->loop, SECOND), KIRIM_OK);
    kit_expect(a, "hello", "127.0.0.1:1");
    ck_assert_uint_eq(kirim_loop_now(h->loop), SECOND + 50 * US);
    kit_close(&k);
}
END_TEST

START_TEST(looking_without_end_lets_the_time_go_on)
{
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    const uint64_t end_ns = kirim_loop_now(h->loop) + 10 * MS;
    size_t count = 0;
    while (kirim_loop_now(h->loop) < end_ns) {
        ck_assert_int_eq(kirim_loop_step(h->loop, 0), KIRIM_OK);
        count++;
    }
    ck_assert_uint_eq(count, KI_SIM_TURNS_PER_INSTANT + 10 * MS / KI_SIM_TURN_COST_NS);
    kit_close(&k);
}
END_TEST

static void stop_loop(struct kirim_timer *timer)
{
    kit_alarm_note(timer);
    kirim_loop_stop(((struct kit_alarm *)timer->user)->loop);
}

START_TEST(endless_traffic_in_a_private_world_does_not_stop_its_time)
{
    struct kit_alarm alarm;
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    struct kit_end *a = kit_bind(h, "127.0.0.1:1", 0);
    a->on_received = kit_echo;
    kit_alarm_set(&alarm, h, stop_loop, MS);
    kit_send(a, "for ever", "127.0.0.1:1");
    ck_assert_int_eq(kirim_loop_run(h->loop), KIRIM_OK);
    ck_assert_uint_le(alarm.fired_ns, SECOND + MS + KI_SIM_TURN_COST_NS);
    kit_close(&k);
}
END_TEST

START_TEST(post_of_another_thread_ends_an_endless_wait)
{
    struct kit_message m;
    pthread_t thread;
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    kit_message_init(&m, h);
    ck_assert_int_eq(pthread_create(&thread, NULL, kit_message_post, &m), 0);
    while (m.count == 0) {
        ck_assert_int_eq(kirim_loop_step(h->loop, KIRIM_NEVER), KIRIM_OK);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    kirim_remote_release(m.remote);
    kit_close(&k);
}
END_TEST

START_TEST(clock_does_not_outrun_a_thread_that_may_post)
{
    struct kit_message m;
    struct kit_alarm alarm;
    pthread_t thread;
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    kit_message_init(&m, h);
    kit_alarm_set(&alarm, h, kit_alarm_note,
                  50 * SECOND); /* of real time, while the remote is held */
    ck_assert_int_eq(pthread_create(&thread, NULL, kit_message_post, &m), 0);
    while (m.count == 0) {
        ck_assert_int_eq(kirim_loop_step(h->loop, KIRIM_NEVER), KIRIM_OK);
    }
    ck_assert_uint_eq(alarm.count, 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    kirim_remote_release(m.remote);
    ck_assert_int_eq(kirim_loop_run(h->loop), KIRIM_OK); /* nobody may post any more: it jumps */
    ck_assert_uint_eq(alarm.fired_ns, 51 * SECOND);
    kit_close(&k);
}
END_TEST

START_TEST(deadlines_come_while_a_thread_may_post)
{
    struct kit_message m;
    struct kit_alarm alarm;
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    kit_message_init(&m, h);
    kit_alarm_set(&alarm, h, stop_loop, MS);
    ck_assert_int_eq(kirim_loop_run(h->loop), KIRIM_OK);
    ck_assert_uint_eq(alarm.fired_ns, SECOND + MS);
    kirim_remote_release(m.remote);
    kit_close(&k);
}
END_TEST

START_TEST(wakes_before_a_wait_make_it_only_look)
{
    struct kit_message m;
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    kit_message_init(&m, h);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(kirim_remote_wake(m.remote), KIRIM_OK);
    }
    ck_assert_int_eq(kirim_loop_step(h->loop, KIRIM_NEVER), KIRIM_OK);
    ck_assert_uint_eq(kirim_loop_now(h->loop), SECOND);
    ck_assert_int_eq(kirim_loop_step(h->loop, MS), KIRIM_OK); /* they are used up: it waits */
    ck_assert_uint_eq(kirim_loop_now(h->loop), SECOND + MS);
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    ck_assert_int_eq(kirim_loop_read_stats(h->loop, &stats), KIRIM_OK);
    ck_assert_uint_eq(stats.wakes, 1);
    kirim_remote_release(m.remote);
    kit_close(&k);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { private_world_belongs_to_its_loop, 0 },
        { private_clock_jumps_to_the_next_timer, 0 },
        { private_clock_jumps_to_the_end_of_a_step, 0 },
        { step_that_only_looks_finds_what_was_sent, 0 },
        { private_loopback_can_have_a_delay, 0 },
        { looking_without_end_lets_the_time_go_on, 0 },
        { endless_traffic_in_a_private_world_does_not_stop_its_time, 0 },
        { post_of_another_thread_ends_an_endless_wait, 0 },
        { clock_does_not_outrun_a_thread_that_may_post, 0 },
        { deadlines_come_while_a_thread_may_post, 0 },
        { wakes_before_a_wait_make_it_only_look, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_private", claims);
}
