/* SPDX-License-Identifier: MIT
 *
 * Claims about DTLS on a simulated network: clients that shake hands, talk, resume and crash, over
 * links that delay, lose, duplicate and reorder, and carry 576 bytes. Whatever happens, what
 * arrives is right, what was begun ends, and a seed's second run is its first.
 *
 *     test_protocols_dtls_world            seeds 1 .. 50
 *     test_protocols_dtls_world 1000       seeds 1 .. 1000
 *     test_protocols_dtls_world 1 731      seed 731 alone
 *
 * A storm that fails is named with its number, from 0; the seed is one more.
 */
#include "kit.h"

#include <stdio.h>

enum {
    SEED_COUNT = 50,
    STORM_CLIENTS = 4,
    CRASH_PORT = 5000,
    STORM_SECONDS = 200,
    IP_UDP_BYTES = 28,
    MTU_MIN = 576
};

static uint64_t first_seed = 1;
static uint64_t seed_count = SEED_COUNT;
static uint32_t draw_state;

/* 0 .. most - 1, by the storm's seed. */
static uint32_t draw(uint32_t most)
{
    draw_state ^= draw_state << 13;
    draw_state ^= draw_state >> 17;
    draw_state ^= draw_state << 5;
    return draw_state % most;
}

static struct kirim_link_rules drawn_link(uint32_t payload_bytes_max)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = (1 + draw(150)) * MS;
    link.jitter_ns = draw(50) * MS;
    link.loss_ppm = draw(150000);
    link.duplicate_ppm = draw(150000);
    link.reorder_ppm = draw(150000);
    link.reorder_ns = draw(300) * MS;
    link.corrupt_ppm = draw(10000);
    /* The path carries what the layer was told, and loses all that is longer. */
    link.mtu =
        payload_bytes_max + IP_UDP_BYTES > MTU_MIN ? payload_bytes_max + IP_UDP_BYTES : MTU_MIN;
    link.mtu_action = KIRIM_SIM_MTU_BLACK_HOLE;
    return link;
}

static struct kit_client *start(struct kit_world *w, uint16_t port, const struct kirim_buf *session)
{
    struct kit_client *const c = kit_connect_from(w, port, NULL, session);
    c->to_send = 1 + draw(10);
    c->message_bytes = 1 + draw(w->payload_bytes_max - KIRIM_DTLS_OVERHEAD_BYTES);
    c->is_draining_after = true;
    return c;
}

/* What a storm's clients came to. */
struct outcome {
    size_t done, timed_out, resumed, replaced, spoiled;
};

/* One has said all it wanted, or its handshake took too long. */
static void check_client(const struct kit_client *c, struct outcome *sum)
{
    ck_assert_uint_eq(c->closed_count, 1);
    ck_assert_uint_eq(c->wrong_count, 0);
    ck_assert_uint_le(c->sent_bytes_max, c->world->payload_bytes_max);
    if (c->why == KIRIM_OK) {
        ck_assert_uint_eq(c->to_send, 0);
        sum->done++;
        sum->resumed += c->info.is_resumed;
    } else {
        ck_assert_int_eq(c->why, KIRIM_ETIMEDOUT);
        ck_assert_uint_eq(c->ready_count, 0);
        sum->timed_out++;
    }
}

/* One that crashes when it has begun, or later; its port is in use again at once. What was on its
 * way to the one before is in the clear, and can spoil the handshake of the next: then it tries
 * once more. */
static void crash_and_return(struct kit_world *w, struct outcome *sum)
{
    struct kit_client *const first = start(w, CRASH_PORT, NULL);
    kit_run(w, draw(3000) * MS);
    if (first->stack != NULL) {
        (void)kirim_stack_close(first->stack, KIRIM_EABORTED);
    }
    kit_run(w, MS);
    const struct kit_client *second = start(w, CRASH_PORT, NULL);
    kit_run(w, STORM_SECONDS * SECOND);
    ck_assert_uint_eq(first->closed_count, 1);
    if (second->why == KIRIM_ESYSTEM && second->ready_count == 0) {
        sum->spoiled++;
        second = start(w, CRASH_PORT, NULL);
        kit_run(w, STORM_SECONDS * SECOND);
    }
    check_client(second, sum);
    sum->replaced += (size_t)kit_server_stats(w).replaced;
}

static uint64_t run_storm(uint64_t seed, struct outcome *sum)
{
    static const uint32_t sizes[] = { 500, 548, 1200 };
    struct kit_setup setup = { .seed = seed, .server_idle_ns = 60 * SECOND };
    draw_state = (uint32_t)seed * 2654435761U + 1;
    setup.payload_bytes_max = sizes[draw(COUNT_OF(sizes))];
    if (draw(3) == 0) {
        setup.server = kit_psk_options();
        setup.client = kit_psk_options();
    }
    struct kit_world *const w = kit_open(&setup);
    const struct kirim_link_rules link = drawn_link(setup.payload_bytes_max);
    kit_set_links(w, &link);
    for (size_t i = 0; i < STORM_CLIENTS; i++) {
        (void)start(w, 0, NULL);
    }
    kit_run(w, STORM_SECONDS * SECOND);
    for (size_t i = 0; i < STORM_CLIENTS; i++) {
        check_client(&w->client[i], sum);
    }
    if (w->client[0].session_bytes > 0) {
        const struct kirim_buf session = { w->client[0].session, w->client[0].session_bytes };
        const struct kit_client *const c = start(w, 0, &session);
        kit_run(w, STORM_SECONDS * SECOND);
        check_client(c, sum);
    }
    crash_and_return(w, sum);
    ck_assert_uint_eq(kit_set_stats(w).count, 0);
    ck_assert_uint_eq(kit_server_stats(w).open + kit_server_stats(w).half_open, 0);
    const uint64_t digest = kirim_sim_digest(w->sim);
    kit_close(w);
    return digest;
}

START_TEST(what_is_said_arrives_or_the_end_is_told)
{
    const uint64_t seed = first_seed + (uint64_t)_i;
    struct outcome first = { 0 };
    struct outcome second = { 0 };
    const uint64_t digest = run_storm(seed, &first);
    ck_assert_uint_eq(run_storm(seed, &second), digest); /* twins */
    ck_assert_mem_eq(&first, &second, sizeof first);
    ck_assert_uint_ge(first.done, STORM_CLIENTS / 2);
}
END_TEST

START_TEST(nearly_all_arrive_over_all_seeds)
{
    struct outcome sum = { 0 };
    for (uint64_t seed = 1; seed <= 20; seed++) {
        (void)run_storm(seed, &sum);
    }
    ck_assert_uint_ge(sum.done, 20 * (STORM_CLIENTS + 2) * 95 / 100);
    ck_assert_uint_ge(sum.resumed, 15);
    ck_assert_uint_ge(sum.replaced, 1);
}
END_TEST

/* The server is silent from some moment on: each client ends within the handshake's time, and so
 * does what the server has begun. */
START_TEST(dead_link_ends_both_ends)
{
    struct kit_world *const w = kit_open_plain();
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 20 * MS;
    kit_set_links(w, &link);
    const struct kit_client *const c = kit_connect(w);
    kit_run(w, (uint64_t)_i * 15 * MS);
    link.is_down = true;
    kit_set_links(w, &link);
    kit_run(w, 70 * SECOND);
    if (c->ready_count == 0) {
        ck_assert_int_eq(c->why, KIRIM_ETIMEDOUT);
    }
    ck_assert_uint_eq(w->server_closed, w->server_opened);
    ck_assert_uint_eq(kit_set_stats(w).count, 0);
    kit_close(w);
}
END_TEST

int main(int argc, char **argv)
{
    seed_count = argc > 1 ? strtoull(argv[1], NULL, 10) : SEED_COUNT;
    first_seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    if (seed_count == 0 || seed_count > 1000000) {
        return EXIT_FAILURE;
    }
    const struct kit_claim claims[] = {
        { what_is_said_arrives_or_the_end_is_told, (int)seed_count },
        { argc > 1 ? NULL : nearly_all_arrive_over_all_seeds, 0 },
        { dead_link_ends_both_ends, 12 },
        { NULL, 0 },
    };
    return kit_main("protocols_dtls_world", claims);
}
