/* SPDX-License-Identifier: MIT
 *
 * The relay in storms: clients of two hosts and a server that echoes, over links that lose, repeat
 * and disorder; the server dies and comes back, and so do clients. Nobody gets what is another's,
 * nothing is changed, the cap holds, every datagram stands under a counter, and silence ends all.
 * How seeds are chosen: support/storm.h.
 */
#include "../../examples/relay.h"
#include "../reactors/sim_kit.h"
#include "support/random.h"
#include "support/storm.h"

#include <stdlib.h>
#include <string.h>

enum {
    CLIENT_COUNT = 24,
    CAP = 16,
    ROUNDS = 60,
    BYTES_MAX = 1400,
    STORM_PPM = 150000,
    RELAY_BYTES_MAX = 4 << 20,
    HEAD_BYTES = 8, /* client, number: the rest is made of them */
};

struct client {
    struct kit_end *end;
    uint32_t id, sent, answered, lives;
    struct kirim_addr asked; /* one of the relay's two addresses */
};

struct world {
    struct kit k;
    struct kit_host *hosts[2], *relay_host, *server_host;
    struct kit_end *server;
    struct relay relay;
    struct client clients[CLIENT_COUNT];
    size_t bytes, bytes_peak; /* of the relay's memory */
    struct test_random random;
    uint64_t echoed;
};

static uint32_t draw(struct world *w, uint32_t most)
{
    return (uint32_t)test_random_below(&w->random, most);
}

/* The relay's allocator. */
static void *counted_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    struct world *const w = user;
    void *const found = kit_alloc(&w->k.memory, old, old_bytes, new_bytes);
    if (new_bytes == 0 || found != NULL) {
        w->bytes += new_bytes - (old != NULL ? old_bytes : 0);
        w->bytes_peak = w->bytes > w->bytes_peak ? w->bytes : w->bytes_peak;
    }
    return found;
}

/* ---- datagrams ------------------------------------------------------------------------------- */

static void put32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t length_of(uint32_t id, uint32_t number)
{
    return HEAD_BYTES + (id * 7919 + number * 104729) % (BYTES_MAX - HEAD_BYTES);
}

static void write_datagram(uint8_t *out, uint32_t id, uint32_t number)
{
    put32(out, id);
    put32(out + 4, number);
    for (uint32_t i = HEAD_BYTES; i < length_of(id, number); i++) {
        out[i] = (uint8_t)(i * 31 + id + number);
    }
}

/* Whether it is one that was sent, unchanged; its marks are those of its sender. */
static void check_datagram(const struct kirim_datagram *d)
{
    uint8_t wanted[BYTES_MAX];
    ck_assert_uint_ge(d->bytes, HEAD_BYTES);
    const uint32_t id = get32(d->data);
    const uint32_t number = get32(d->data + 4);
    ck_assert_uint_eq(d->bytes, length_of(id, number));
    write_datagram(wanted, id, number);
    ck_assert_mem_eq(d->data, wanted, d->bytes);
    ck_assert_uint_eq(d->ecn, number % 4);
    ck_assert_uint_eq(d->arrival->dscp, id);
}

static void send_marked(struct kit_end *end, const uint8_t *data, uint32_t bytes,
                        const struct kirim_addr *to)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_buf buf = { (void *)(uintptr_t)data, bytes };
    const struct kirim_msg msg = { &buf, to, &control, 1, 0 };
    control.ecn = (uint8_t)(get32(data + 4) % 4);
    control.dscp = (uint8_t)get32(data);
    ck_assert_int_eq(kirim_endpoint_send(end->ep, &msg, 0, NULL, NULL), KIRIM_OK);
}

/* ---- both ends ------------------------------------------------------------------------------- */

static void echo(struct kit_end *end, const struct kirim_batch *batch)
{
    struct world *const w = end->ctx;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        check_datagram(d);
        storm_note(w->echoed++, d->data, d->bytes);
        send_marked(end, d->data, d->bytes, &d->peer);
    }
}

static void take_answers(struct kit_end *end, const struct kirim_batch *batch)
{
    struct client *const c = end->ctx;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        check_datagram(d);
        ck_assert_uint_eq(get32(d->data), c->id); /* its own, and nobody else's */
        ck_assert_uint_lt(get32(d->data + 4), c->sent);
        ck_assert(kirim_addr_equal(&d->peer, &c->asked));
        c->answered++;
        storm_note(c->id, d->data, d->bytes);
    }
}

static void open_server(struct world *w)
{
    w->server = kit_bind(w->server_host, "10.0.2.1:7", KIRIM_ENDPOINT_RECEIVE_CONTROL);
    w->server->ctx = w;
    w->server->on_received = echo;
}

static void open_client(struct world *w, struct client *c)
{
    c->end = kit_bind(w->hosts[c->id % 2], c->id % 2 == 0 ? "10.0.0.1:0" : "10.1.0.1:0",
                      KIRIM_ENDPOINT_RECEIVE_CONTROL);
    c->end->ctx = c;
    c->end->on_received = take_answers;
    c->asked = kit_addr(draw(w, 2) == 0 ? "10.0.1.1:9" : "10.0.1.9:9");
}

static void send_next(struct client *c)
{
    uint8_t data[BYTES_MAX];
    const uint32_t number = c->sent++;
    write_datagram(data, c->id, number);
    send_marked(c->end, data, length_of(c->id, number), &c->asked);
}

/* ---- the world ------------------------------------------------------------------------------- */

static struct world *open_world(uint64_t seed, uint32_t cap)
{
    static struct world world;
    struct world *const w = &world;
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    memset(w, 0, sizeof *w);
    w->random.state = seed;
    kit_open(&w->k, seed);
    storm_join(w->k.sim);
    w->hosts[0] = kit_host(&w->k, "a", "10.0.0.1", NULL);
    w->hosts[1] = kit_host(&w->k, "b", "10.1.0.1", NULL);
    w->relay_host = kit_host(&w->k, "relay", "10.0.1.1", "10.0.1.9");
    w->server_host = kit_host(&w->k, "server", "10.0.2.1", NULL);
    kit_loop_close(w->relay_host);
    options.reactor = "sim";
    options.reactor_context = w->relay_host->host;
    options.alloc = counted_alloc;
    options.alloc_user = w;
    ck_assert_int_eq(kirim_loop_open(&options, &w->relay_host->loop), KIRIM_OK);
    relay_init(&w->relay);
    w->relay.options.listen = kit_addr("0.0.0.0:9");
    w->relay.options.to = kit_addr("10.0.2.1:7");
    w->relay.options.peer_count_max = cap;
    w->relay.options.idle_ns = 30 * SECOND;
    ck_assert_int_eq(relay_open(&w->relay, w->relay_host->loop), KIRIM_OK);
    open_server(w);
    for (uint32_t i = 0; i < CLIENT_COUNT; i++) {
        w->clients[i].id = i;
        open_client(w, &w->clients[i]);
    }
    return w;
}

static uint64_t sum_of(const uint64_t *numbers, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += numbers[i];
    }
    return sum;
}

/* Every datagram that came, and every one that was passed on, stands under a counter. */
static void check_counts(struct world *w)
{
    const struct relay_stats *const stats = &w->relay.stats;
    struct kirim_endpoint_stats in = KIRIM_ENDPOINT_STATS_INIT;
    struct kirim_sessions_stats set = KIRIM_SESSIONS_STATS_INIT;
    struct kirim_endpoint_stats out;
    relay_read_upstream(&w->relay, &out);
    ck_assert_int_eq(kirim_endpoint_read_stats(relay_endpoint(&w->relay), &in), KIRIM_OK);
    ck_assert_int_eq(kirim_sessions_read_stats(w->relay.set, &set), KIRIM_OK);
    ck_assert_uint_eq(in.rx_datagrams, stats->up.datagrams + set.rx_dropped + set.refused);
    ck_assert_uint_eq(stats->up.datagrams,
                      stats->up.passed + sum_of(stats->up.drops, RELAY_DROP_COUNT));
    ck_assert_uint_eq(stats->down.datagrams,
                      stats->down.passed + sum_of(stats->down.drops, RELAY_DROP_COUNT));
    ck_assert_uint_eq(stats->up.passed,
                      out.tx_datagrams + sum_of(out.drops, KIRIM_DROP_RECEIVE_FULL));
    ck_assert_uint_eq(stats->down.passed,
                      in.tx_datagrams + sum_of(in.drops, KIRIM_DROP_RECEIVE_FULL));
    ck_assert_uint_ge(out.rx_datagrams, stats->down.datagrams);
    ck_assert_uint_eq(stats->began, sum_of(stats->ended, RELAY_END_COUNT) + stats->peer_count);
    ck_assert_uint_eq(set.refused, stats->limited);
}

static void close_world(struct world *w)
{
    kit_run(&w->k, 60 * SECOND); /* all fall silent */
    check_counts(w);
    ck_assert_uint_eq(w->relay.stats.peer_count, 0);
    ck_assert_uint_le(w->bytes_peak, RELAY_BYTES_MAX);
    relay_close(&w->relay);
    kit_run(&w->k, SECOND);
    kit_close(&w->k);
    ck_assert_uint_eq(w->bytes, 0);
}

static struct kirim_link_rules drawn_link(struct world *w)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = (1 + draw(w, 40)) * MS;
    link.jitter_ns = draw(w, 20) * MS;
    link.loss_ppm = draw(w, STORM_PPM);
    link.duplicate_ppm = draw(w, STORM_PPM);
    link.reorder_ppm = draw(w, STORM_PPM);
    link.reorder_ns = draw(w, 100) * MS;
    link.corrupt_ppm = draw(w, STORM_PPM / 10);
    return link;
}

/* The server's port closes and opens; a client comes back with another port. */
static void disturb(struct world *w)
{
    if (draw(w, 20) == 0) {
        kit_end_close(w->server);
        kit_run(&w->k, draw(w, 300) * MS);
        open_server(w);
    }
    struct client *const c = &w->clients[draw(w, CLIENT_COUNT)];
    if (draw(w, 8) == 0 && c->lives == 0 && w->k.end_count + 4 < KIT_END_MAX) {
        c->lives++;
        kit_end_close(c->end);
        kit_run(&w->k, MS);
        open_client(w, c);
    }
}

static void run_storm(struct kirim_trial *trial, void *user)
{
    struct world *const w = open_world(kirim_trial_seed(trial), CAP);
    uint64_t answered = 0;
    (void)user;
    for (size_t i = 0; i < 2; i++) {
        kit_link(&w->k, w->hosts[i], w->relay_host, drawn_link(w));
        kit_link(&w->k, w->relay_host, w->hosts[i], drawn_link(w));
    }
    kit_link(&w->k, w->relay_host, w->server_host, drawn_link(w));
    kit_link(&w->k, w->server_host, w->relay_host, drawn_link(w));
    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t burst = 1 + draw(w, 12);
        const uint32_t present = 1 + draw(w, CLIENT_COUNT); /* at times more than the cap */
        for (uint32_t i = 0; i < burst; i++) {
            send_next(&w->clients[draw(w, present)]);
        }
        kit_run(&w->k, draw(w, 200) * MS);
        ck_assert_uint_le(w->relay.stats.peer_count_max, CAP);
        if (w->k.end_count + 4 < KIT_END_MAX) {
            disturb(w);
        }
    }
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        answered += w->clients[i].answered;
    }
    KIRIM_TRIAL_EXPECT(trial, answered > 0);
    close_world(w);
}

START_TEST(storms_change_and_mix_up_nothing)
{
    (void)storm_run(run_storm, NULL);
}
END_TEST

/* Without faults, and with room for all, each datagram is answered once. */
START_TEST(calm_world_loses_nothing)
{
    struct world *const w = open_world(1, CLIENT_COUNT);
    uint32_t sent = 0;
    uint32_t answered = 0;
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < CLIENT_COUNT; i++) {
            send_next(&w->clients[i]);
        }
        kit_run(&w->k, MS + draw(w, 3) * MS); /* no socket buffer is filled */
    }
    kit_run(&w->k, SECOND);
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        sent += w->clients[i].sent;
        answered += w->clients[i].answered;
        ck_assert_uint_eq(w->clients[i].answered, w->clients[i].sent);
    }
    ck_assert(sent == 100 * CLIENT_COUNT);
    ck_assert_uint_eq(answered, sent);
    ck_assert_uint_eq(w->relay.stats.began, CLIENT_COUNT);
    close_world(w);
}
END_TEST

int main(int argc, char **argv)
{
    const struct kit_claim claims[] = {
        { storms_change_and_mix_up_nothing, 0 },
        { calm_world_loses_nothing, 0 },
        { NULL, 0 },
    };
    return storm_main(argc, argv, "relay world", claims);
}
