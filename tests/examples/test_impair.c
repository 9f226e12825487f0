/* SPDX-License-Identifier: MIT
 *
 * The bad network of the example, in the simulator: between a client and a server that have clean
 * links. What it does is compared with the model that it is made of, to the nanosecond, and with a
 * simulated world that has the same rules on its own link. How seeds are chosen: support/storm.h.
 */
#include "../../examples/impair.h"
#include "../reactors/sim_kit.h"
#include "support/random.h"
#include "support/storm.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT = 400, BYTES_MAX = 1200, PPM = 1000000, ECT0 = 2, CE = 3 };

/* What arrived at one end. */
struct record {
    size_t count;
    uint32_t number[2 * COUNT];
    uint64_t time_ns[2 * COUNT];
    uint8_t ecn[2 * COUNT];
    uint32_t flipped[2 * COUNT]; /* bits that are not what they were */
};

struct world {
    struct kit k;
    struct kit_host *client_host, *middle_host, *server_host;
    struct kit_end *client, *server;
    struct kirim_addr to, upstream; /* where the client sends; who the client is to the server */
    struct impair impair;
    struct record at_server, at_client;
    uint64_t sent_ns[COUNT];
    uint32_t sent;
    struct test_random random;
};

static uint32_t draw(struct world *w, uint32_t most)
{
    return (uint32_t)test_random_below(&w->random, most);
}

/* ---- datagrams ------------------------------------------------------------------------------- */

/* Another one for each number, so that the number is known whichever bits were flipped. */
static uint32_t length_of(uint32_t number)
{
    return 12 + number * 7919 % (BYTES_MAX - 12);
}

static uint32_t number_of(uint32_t bytes)
{
    uint32_t number = 0;
    while (number < COUNT && length_of(number) != bytes) {
        number++;
    }
    ck_assert_uint_lt(number, COUNT);
    return number;
}

static uint8_t byte_of(uint32_t number, uint32_t at)
{
    return (uint8_t)(number * 31 + at);
}

static uint32_t count_flips(const struct kirim_datagram *d, uint32_t number)
{
    uint32_t flips = 0;
    for (uint32_t i = 0; i < d->bytes; i++) {
        for (unsigned bits = d->data[i] ^ byte_of(number, i); bits != 0; bits &= bits - 1) {
            flips++;
        }
    }
    return flips;
}

static void note(struct record *r, struct kirim_loop *loop, const struct kirim_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        ck_assert(r->count < 2 * COUNT);
        storm_note(d->ecn, d->data, d->bytes);
        r->number[r->count] = number_of(d->bytes);
        r->flipped[r->count] = count_flips(d, r->number[r->count]);
        r->time_ns[r->count] = kirim_loop_now(loop);
        r->ecn[r->count] = d->ecn;
        r->count++;
    }
}

static void take_at_server(struct kit_end *end, const struct kirim_batch *batch)
{
    struct world *const w = end->ctx;
    w->upstream = kirim_batch_at(batch, 0)->peer;
    note(&w->at_server, end->loop, batch);
}

static void take_at_client(struct kit_end *end, const struct kirim_batch *batch)
{
    struct world *const w = end->ctx;
    note(&w->at_client, end->loop, batch);
}

/* The next number, from one end or the other. */
static void send_next(struct world *w, struct kit_end *from, const struct kirim_addr *to)
{
    uint8_t data[BYTES_MAX];
    const uint32_t number = w->sent++;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_buf buf = { data, length_of(number) };
    const struct kirim_msg msg = { &buf, to, &control, 1, 0 };
    control.ecn = ECT0;
    for (uint32_t i = 0; i < length_of(number); i++) {
        data[i] = byte_of(number, i);
    }
    w->sent_ns[number] = kirim_sim_now(w->k.sim);
    ck_assert_int_eq(kirim_endpoint_send(from->ep, &msg, 0, NULL, NULL), KIRIM_OK);
}

/* ---- worlds ---------------------------------------------------------------------------------- */

static struct world *open_hosts(uint64_t seed)
{
    static struct world world;
    struct world *const w = &world;
    struct kirim_link_rules clean = KIRIM_SIM_LINK_INIT;
    memset(w, 0, sizeof *w);
    w->random.state = seed;
    kit_open(&w->k, seed);
    storm_join(w->k.sim);
    clean.delay_ns = 0;
    kit_link(&w->k, NULL, NULL, clean);
    w->client_host = kit_host(&w->k, "client", "10.0.0.1", NULL);
    w->middle_host = kit_host(&w->k, "middle", "10.0.1.1", NULL);
    w->server_host = kit_host(&w->k, "server", "10.0.2.1", NULL);
    w->client = kit_bind(w->client_host, "10.0.0.1:0", KIRIM_ENDPOINT_RECEIVE_CONTROL);
    w->server = kit_bind(w->server_host, "10.0.2.1:7", KIRIM_ENDPOINT_RECEIVE_CONTROL);
    w->client->ctx = w;
    w->server->ctx = w;
    w->client->on_received = take_at_client;
    w->server->on_received = take_at_server;
    w->to = kit_addr("10.0.1.1:9");
    impair_init(&w->impair);
    w->impair.relay.options.listen = w->to;
    w->impair.relay.options.to = kit_addr("10.0.2.1:7");
    return w;
}

static struct world *open_world(uint64_t seed, const struct kirim_link_rules *up,
                                const struct kirim_link_rules *down)
{
    struct world *const w = open_hosts(seed);
    w->impair.rules[IMPAIR_UP] = *up;
    w->impair.rules[IMPAIR_DOWN] = *down;
    ck_assert_int_eq(impair_open(&w->impair, w->middle_host->loop, seed), KIRIM_OK);
    return w;
}

static void close_world(struct world *w)
{
    relay_close(&w->impair.relay);
    kit_run(&w->k, SECOND);
    ck_assert_uint_eq(w->impair.relay.stats.peer_count, 0);
    kit_close(&w->k);
}

static struct kirim_link_rules no_rules(void)
{
    return (struct kirim_link_rules)KIRIM_LINK_RULES_INIT;
}

static struct kirim_link_rules drawn_rules(struct world *w)
{
    struct kirim_link_rules rules = no_rules();
    rules.delay_ns = draw(w, 60) * MS;
    rules.jitter_ns = draw(w, 30) * MS;
    rules.loss_ppm = draw(w, PPM / 5);
    rules.burst_ppm = draw(w, PPM / 20);
    rules.burst_end_ppm = PPM / 8 + draw(w, PPM / 4);
    rules.burst_loss_ppm = draw(w, PPM);
    rules.duplicate_ppm = draw(w, PPM / 5);
    rules.reorder_ppm = draw(w, PPM / 5);
    rules.reorder_ns = draw(w, 100) * MS;
    rules.corrupt_ppm = draw(w, PPM / 10);
    rules.corrupt_action = draw(w, 2) == 0 ? KIRIM_LINK_CORRUPT_DROP : KIRIM_LINK_CORRUPT_DELIVER;
    rules.flip_count = draw(w, 4);
    rules.rate_bps = draw(w, 2) == 0 ? 0 : 500000 + draw(w, 5000000);
    rules.queue_bytes = draw(w, 50000);
    rules.mark_bytes = draw(w, 20000);
    rules.mtu = draw(w, 2) == 0 ? 0 : 576 + draw(w, 800);
    rules.mtu_action = KIRIM_LINK_MTU_BLACK_HOLE;
    return rules;
}

/* ---- against the model ----------------------------------------------------------------------- */

struct arrival {
    uint64_t time_ns;
    uint32_t number, ecn, flips;
};

static int by_time(const void *one, const void *other)
{
    const struct arrival *const a = one;
    const struct arrival *const b = other;
    return a->time_ns != b->time_ns ? (a->time_ns < b->time_ns ? -1 : 1)
                                    : (a->number > b->number) - (a->number < b->number);
}

/* What arrived is what a link of its own makes of what was sent at those times. */
static void check_record(const struct world *w, const struct record *r, uint32_t first,
                         uint32_t end, const char *from, const char *to,
                         const struct kirim_link_rules *rules, uint64_t seed)
{
    static struct arrival wanted[2 * COUNT];
    static struct arrival found[2 * COUNT];
    struct kirim_link link;
    size_t count = 0;
    bool are_equal = true;
    kirim_link_init(&link, kirim_link_key(seed, from, to));
    for (uint32_t number = first; number < end; number++) {
        const struct kirim_link_datagram d = { w->sent_ns[number], length_of(number), 28, ECT0,
                                               false };
        struct kirim_link_fate fate;
        kirim_link_send(&link, rules, &d, &fate);
        for (uint32_t i = 0; i < fate.copy_count; i++) {
            wanted[count++] =
                (struct arrival){ fate.arrival_ns[i], number, fate.ecn, fate.flip_count };
        }
    }
    ck_assert_uint_eq(r->count, count);
    for (size_t i = 0; i < count; i++) {
        found[i] = (struct arrival){ r->time_ns[i], r->number[i], r->ecn[i], r->flipped[i] };
    }
    qsort(wanted, count, sizeof *wanted, by_time);
    qsort(found, count, sizeof *found, by_time);
    for (size_t i = 0; i < count; i++) {
        are_equal = are_equal && found[i].time_ns == wanted[i].time_ns &&
                    found[i].number == wanted[i].number && found[i].ecn == wanted[i].ecn &&
                    found[i].flips == wanted[i].flips;
    }
    ck_assert(are_equal);
}

/* Every datagram has an outcome; what was passed on has left, or is counted. */
static void check_counts(const struct world *w, const struct relay_way *way, int direction)
{
    const struct impair_counts *const counts = &w->impair.counts[direction];
    uint64_t outcomes = 0;
    for (int i = 0; i < IMPAIR_OUTCOME_COUNT; i++) {
        outcomes += counts->outcomes[i];
    }
    ck_assert_uint_eq(outcomes, way->datagrams);
    ck_assert_uint_eq(way->passed + way->drops[RELAY_DROP_FULL],
                      counts->outcomes[KIRIM_LINK_CARRIED] + counts->duplicated);
    ck_assert_uint_eq(way->drops[RELAY_DROP_JUDGED],
                      outcomes - counts->outcomes[KIRIM_LINK_CARRIED]);
}

/* Half of the datagrams up, then half of them down. */
static void run_storm(struct kirim_trial *trial, void *user)
{
    const uint64_t seed = kirim_trial_seed(trial);
    struct world *const w = open_hosts(seed);
    const struct kirim_link_rules up = drawn_rules(w);
    const struct kirim_link_rules down = drawn_rules(w);
    (void)user;
    w->impair.rules[IMPAIR_UP] = up;
    w->impair.rules[IMPAIR_DOWN] = down;
    ck_assert_int_eq(impair_open(&w->impair, w->middle_host->loop, seed), KIRIM_OK);
    while (w->sent < COUNT / 2) {
        send_next(w, w->client, &w->to);
        kit_run(&w->k, draw(w, 10) * MS);
    }
    kit_run(&w->k, 60 * SECOND);
    while (w->sent < COUNT) {
        send_next(w, w->server, &w->upstream);
        kit_run(&w->k, draw(w, 10) * MS);
    }
    kit_run(&w->k, 60 * SECOND);
    check_record(w, &w->at_server, 0, COUNT / 2, "client", "server", &up, seed);
    check_record(w, &w->at_client, COUNT / 2, COUNT, "server", "client", &down, seed);
    check_counts(w, &w->impair.relay.stats.up, IMPAIR_UP);
    check_counts(w, &w->impair.relay.stats.down, IMPAIR_DOWN);
    close_world(w);
}

START_TEST(network_is_the_model_to_the_nanosecond)
{
    (void)storm_run(run_storm, NULL);
}
END_TEST

/* ---- against a simulated link ---------------------------------------------------------------- */

static void send_all(struct world *w)
{
    while (w->sent < COUNT) {
        send_next(w, w->client, &w->to);
        kit_run(&w->k, MS);
    }
    kit_run(&w->k, 10 * SECOND);
}

START_TEST(survivors_are_those_of_a_simulated_world)
{
    static struct record through, direct;
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kirim_link_rules rules = no_rules();
    const struct kirim_link_rules clean = no_rules();
    rules.loss_ppm = link.loss_ppm = PPM / 10;
    rules.duplicate_ppm = link.duplicate_ppm = PPM / 10;
    rules.reorder_ppm = link.reorder_ppm = PPM / 10;
    rules.reorder_ns = link.reorder_ns = 30 * MS;
    rules.jitter_ns = link.jitter_ns = 10 * MS;
    rules.delay_ns = link.delay_ns = 5 * MS;
    struct world *w = open_world(7, &rules, &clean);
    send_all(w);
    through = w->at_server;
    close_world(w);
    w = open_hosts(7);
    w->to = w->impair.relay.options.to;
    kit_link(&w->k, w->client_host, w->server_host, link);
    send_all(w);
    direct = w->at_server;
    kit_close(&w->k);
    ck_assert_uint_gt(through.count, COUNT / 2);
    ck_assert_uint_eq(through.count, direct.count);
    ck_assert_mem_eq(through.number, direct.number, sizeof through.number);
    ck_assert_mem_eq(through.time_ns, direct.time_ns, sizeof through.time_ns);
}
END_TEST

/* ---- one by one ------------------------------------------------------------------------------ */

START_TEST(directions_have_rules_and_chances_of_their_own)
{
    struct kirim_link_rules rules = no_rules();
    const struct kirim_link_rules clean = no_rules();
    rules.loss_ppm = PPM;
    struct world *const w = open_world(1, &clean, &rules);
    send_next(w, w->client, &w->to);
    kit_run(&w->k, MS);
    send_next(w, w->server, &w->upstream);
    kit_run(&w->k, MS);
    ck_assert_uint_eq(w->at_server.count, 1);
    ck_assert_uint_eq(w->at_client.count, 0);
    ck_assert_uint_eq(w->impair.counts[IMPAIR_DOWN].outcomes[KIRIM_LINK_LOST], 1);
    ck_assert(w->impair.links[IMPAIR_UP].key != w->impair.links[IMPAIR_DOWN].key);
    close_world(w);
}
END_TEST

START_TEST(what_is_held_has_a_bound)
{
    struct kirim_link_rules rules = no_rules();
    const struct kirim_link_rules clean = no_rules();
    rules.delay_ns = SECOND;
    struct world *const w = open_hosts(1);
    w->impair.rules[IMPAIR_UP] = rules;
    w->impair.rules[IMPAIR_DOWN] = clean;
    w->impair.relay.options.queue_count_max = 10;
    ck_assert_int_eq(impair_open(&w->impair, w->middle_host->loop, 1), KIRIM_OK);
    for (int i = 0; i < 40; i++) {
        send_next(w, w->client, &w->to);
        kit_run(&w->k, MS);
    }
    kit_run(&w->k, 2 * SECOND);
    ck_assert_uint_eq(w->at_server.count, 10);
    ck_assert_uint_eq(w->impair.relay.stats.up.drops[RELAY_DROP_FULL], 30);
    close_world(w);
}
END_TEST

/* A peer that ends takes along what it has under way. */
START_TEST(end_of_a_peer_drops_what_is_held_and_counts_it)
{
    struct kirim_link_rules rules = no_rules();
    const struct kirim_link_rules clean = no_rules();
    struct kirim_endpoint_stats upstream;
    rules.delay_ns = 100 * SECOND;
    struct world *const w = open_hosts(1);
    w->impair.rules[IMPAIR_UP] = rules;
    w->impair.rules[IMPAIR_DOWN] = clean;
    w->impair.relay.options.idle_ns = 10 * SECOND;
    ck_assert_int_eq(impair_open(&w->impair, w->middle_host->loop, 1), KIRIM_OK);
    send_next(w, w->client, &w->to);
    kit_run(&w->k, 11 * SECOND);
    relay_read_upstream(&w->impair.relay, &upstream);
    ck_assert_uint_eq(upstream.drops[KIRIM_DROP_CLOSED], 1);
    close_world(w);
}
END_TEST

START_TEST(rules_that_are_none_are_refused)
{
    struct world *const w = open_hosts(1);
    w->impair.rules[IMPAIR_DOWN].loss_ppm = PPM + 1;
    ck_assert_int_eq(impair_open(&w->impair, w->middle_host->loop, 1), KIRIM_EINVAL);
    kit_close(&w->k);
}
END_TEST

int main(int argc, char **argv)
{
    const struct kit_claim claims[] = {
        { network_is_the_model_to_the_nanosecond, 0 },
        { survivors_are_those_of_a_simulated_world, 0 },
        { directions_have_rules_and_chances_of_their_own, 0 },
        { what_is_held_has_a_bound, 0 },
        { end_of_a_peer_drops_what_is_held_and_counts_it, 0 },
        { rules_that_are_none_are_refused, 0 },
        { NULL, 0 },
    };
    return storm_main(argc, argv, "impair in the simulator", claims);
}
