/* SPDX-License-Identifier: MIT
 *
 * Claims about DTLS on a simulated network: clients that shake hands, talk, resume and crash, over
 * links that delay, lose, duplicate and reorder, and carry 576 bytes. Whatever happens, what
 * arrives is right, and what was begun ends. How seeds are chosen: support/storm.h.
 */
#include "kit.h"

#include "support/random.h"
#include "support/storm.h"

enum {
    STORM_CLIENTS = 4,
    CRASH_PORT = 5000,
    STORM_SECONDS = 200,
    IP_UDP_BYTES = 28,
    MTU_MIN = 576,
    MEMORY_BYTES_MAX = 128 << 10 /* of the server, without OpenSSL's */
};

static struct test_random chance;

/* 0 .. most - 1, by the storm's seed. */
static uint32_t draw(uint32_t most)
{
    return (uint32_t)test_random_below(&chance, most);
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
    storm_note(c->why == KIRIM_OK, NULL, 0);
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

static void run_storm(struct kirim_trial *trial, void *user)
{
    static const uint32_t sizes[] = { 500, 548, 1200 };
    struct kit_setup setup = { .seed = kirim_trial_seed(trial), .server_idle_ns = 60 * SECOND };
    struct outcome *const sum = user;
    const size_t done_before = sum->done;
    chance.state = setup.seed;
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
    KIRIM_TRIAL_EXPECT(trial, kit_set_stats(w).count == 0);
    KIRIM_TRIAL_EXPECT(trial, kit_server_stats(w).open + kit_server_stats(w).half_open == 0);
    KIRIM_TRIAL_EXPECT(trial, sum->done - done_before >= STORM_CLIENTS / 2);
    KIRIM_TRIAL_EXPECT(trial, w->memory[0].bytes_peak <= MEMORY_BYTES_MAX);
    kit_close(w);
}

START_TEST(what_is_said_arrives_or_the_end_is_told)
{
    struct outcome sum = { 0 };
    const uint64_t runs = 2 * storm_run(run_storm, &sum);
    if (runs >= 2 * STORM_SEEDS) { /* nearly all, over all */
        ck_assert_uint_ge(sum.done, runs * (STORM_CLIENTS + 2) * 95 / 100);
        ck_assert_uint_ge(sum.resumed, runs * 3 / 4);
        ck_assert_uint_ge(sum.replaced, 1);
    }
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
    const struct kit_claim claims[] = {
        { what_is_said_arrives_or_the_end_is_told, 0 },
        { dead_link_ends_both_ends, 12 },
        { NULL, 0 },
    };
    return storm_main(argc, argv, "protocols/dtls world", claims);
}
