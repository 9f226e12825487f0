/* SPDX-License-Identifier: MIT
 *
 * The foreign engine in the simulator: the very binding of the example, on a network that loses,
 * repeats, disorders and marks.
 *
 * Between client and server stands a router, an endpoint that sends on what it gets and marks some
 * of it as routers mark congestion; so it also sees what is on the wire. How seeds are chosen:
 * support/storm.h.
 */
#include "../../examples/engine.h"
#include "../reactors/sim_kit.h"
#include "../support/storm.h"

#include <stdlib.h>

enum { BYTES = 300000, TRAIN_PACKETS_MAX = 16, PPM = 1000000 };

struct side {
    struct engine_io io;
    struct engine_event event; /* the last one */
    size_t event_count;
    uint64_t event_ns;
};

struct path {
    struct kit k;
    struct kit_host *client_host, *router_host, *server_host;
    struct kit_end *router;
    struct side client, server;
    struct kirim_addr client_addr, server_addr, router_addr;
    uint64_t mark_ppm;
    size_t instant_count, instant_count_max; /* data that came to the router at one instant */
    uint64_t instant_ns, first_ns;           /* the last and the first of them */
    uint8_t data[BYTES];
};

static void on_event(struct engine_io *io, const struct engine_event *event)
{
    struct side *side = io->user;
    side->event = *event;
    side->event_count++;
    side->event_ns = kirim_loop_now(kirim_endpoint_loop(io->ep));
}

static void open_side(struct side *side, struct kit_host *h, const char *local)
{
    const struct kirim_addr at = kit_addr(local);
    side->io.engine = engine_open();
    side->io.on_event = on_event;
    side->io.user = side;
    ck_assert_ptr_nonnull(side->io.engine);
    ck_assert_int_eq(engine_io_open(&side->io, h->loop, &at), KIRIM_OK);
}

/* Sends a datagram on, perhaps with a mark. */
static void send_on(struct path *p, const struct kirim_datagram *d, bool is_of_server)
{
    const struct kirim_buf buf = { d->data, d->bytes };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct kirim_msg msg = KIRIM_MSG_INIT;
    uint32_t chance = 0;
    (void)kirim_loop_random(p->router->loop, &chance, sizeof chance);
    control.ecn = d->ecn != 0 && chance % PPM < p->mark_ppm ? ENGINE_ECN_CE : d->ecn;
    msg.buf = &buf;
    msg.buf_count = 1;
    msg.peer = is_of_server ? &p->client_addr : &p->server_addr;
    msg.control = &control;
    ck_assert_int_eq(kirim_endpoint_send(p->router->ep, &msg, 0, NULL, NULL), KIRIM_OK);
}

static void route(struct kit_end *router, const struct kirim_batch *batch)
{
    struct path *p = router->ctx;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        const bool is_of_server = kirim_addr_port(&d->peer) == kirim_addr_port(&p->server_addr);
        if (is_of_server) { /* it was asked at its second address, and must answer from there */
            ck_assert(kirim_addr_equal(&d->peer, &p->server_addr));
        } else {
            ck_assert_uint_eq(d->ecn, ENGINE_ECN_ECT0);
            p->client_addr = d->peer;
            const uint64_t now_ns = kirim_loop_now(router->loop);
            p->instant_count = now_ns == p->instant_ns ? p->instant_count + 1 : 1;
            p->instant_ns = now_ns;
            p->first_ns = p->first_ns == 0 ? now_ns : p->first_ns;
            p->instant_count_max =
                p->instant_count > p->instant_count_max ? p->instant_count : p->instant_count_max;
        }
        send_on(p, d, is_of_server);
    }
}

static struct path *open_path(uint64_t seed)
{
    struct path *p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    for (size_t i = 0; i < BYTES; i++) {
        p->data[i] = (uint8_t)(i * 31 + i / 256);
    }
    kit_open(&p->k, seed);
    p->client_host = kit_host(&p->k, "client", "10.0.0.1", NULL);
    p->router_host = kit_host(&p->k, "router", "10.0.0.2", NULL);
    p->server_host = kit_host(&p->k, "server", "10.0.0.3", "10.0.0.4");
    p->router_addr = kit_addr("10.0.0.2:9");
    p->server_addr = kit_addr("10.0.0.4:7009");
    p->router = kit_bind(p->router_host, "10.0.0.2:9", KIRIM_ENDPOINT_RECEIVE_CONTROL);
    p->router->ctx = p;
    p->router->on_received = route;
    open_side(&p->client, p->client_host, "0.0.0.0:0");
    open_side(&p->server, p->server_host, "0.0.0.0:7009");
    return p;
}

static void close_path(struct path *p)
{
    kit_close(&p->k);
    engine_close(p->client.io.engine);
    engine_close(p->server.io.engine);
    free(p);
}

/* Every link gets these rules. */
static void set_links(struct path *p, struct kirim_link_rules link)
{
    kit_link(&p->k, NULL, NULL, link);
}

static struct kirim_link_rules calm_link(void)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 10 * MS;
    return link;
}

static void start(struct path *p, const struct kirim_addr *peer, uint64_t bytes)
{
    struct engine_io *io = &p->client.io;
    const struct engine_addr to = engine_io_from(peer);
    ck_assert(engine_send(io->engine, 1, &to, p->data, bytes, kirim_sim_now(p->k.sim)));
    engine_io_pump(io);
}

/* Transfers all bytes; whether they have arrived. */
static bool is_transferred(struct path *p)
{
    start(p, &p->router_addr, BYTES);
    kit_run(&p->k, 60 * SECOND);
    return p->client.event_count == 1 && p->server.event_count == 1 &&
           p->client.event.outcome == ENGINE_SENT && p->server.event.outcome == ENGINE_RECEIVED &&
           p->server.event.bytes == BYTES && p->server.event.digest == p->client.event.digest;
}

/* Returns how long it took. */
static uint64_t transfer(struct path *p)
{
    const uint64_t begin_ns = kirim_sim_now(p->k.sim);
    ck_assert(is_transferred(p));
    return p->client.event_ns - begin_ns;
}

static void run_bad_path(struct kirim_trial *trial, void *user)
{
    struct path *p = open_path(kirim_trial_seed(trial));
    struct kirim_link_rules link = calm_link();
    (void)user;
    storm_join(p->k.sim);
    link.jitter_ns = 1 * MS;
    link.loss_ppm = 20000;
    link.duplicate_ppm = 20000;
    link.reorder_ppm = 50000;
    link.reorder_ns = 5 * MS;
    link.corrupt_ppm = 1000;
    set_links(p, link);
    p->mark_ppm = 20000;
    KIRIM_TRIAL_EXPECT(trial, is_transferred(p));
    const struct kirim_sim_stats stats = kit_stats(&p->k);
    KIRIM_TRIAL_EXPECT(trial, stats.lost > 0);
    KIRIM_TRIAL_EXPECT(trial, stats.duplicated > 0);
    KIRIM_TRIAL_EXPECT(trial, stats.reordered > 0);
    KIRIM_TRIAL_EXPECT(trial, p->client.event.lost_count > 0);
    close_path(p);
}

START_TEST(bytes_arrive_over_a_path_with_every_fault)
{
    (void)storm_run(run_bad_path, NULL);
}
END_TEST

/* Over a short path, so that several are handed over before the first of them may leave. */
START_TEST(trains_are_paced)
{
    struct path *p = open_path(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 1 * MS;
    set_links(p, link);
    (void)transfer(p);
    ck_assert_uint_eq(p->client.event.lost_count, 0);
    ck_assert_uint_le(p->instant_count_max, TRAIN_PACKETS_MAX);
    close_path(p);
}
END_TEST

START_TEST(marks_slow_the_sender_down)
{
    uint64_t took_ns[2];
    for (size_t i = 0; i < 2; i++) {
        struct path *p = open_path(1);
        set_links(p, calm_link());
        p->mark_ppm = i == 0 ? 0 : 50000;
        took_ns[i] = transfer(p);
        ck_assert_uint_eq(p->client.event.lost_count, 0);
        ck_assert_uint_eq(p->client.event.ce_count, p->server.event.ce_count);
        ck_assert(i == 0 ? p->client.event.ce_count == 0 : p->client.event.ce_count > 0);
        close_path(p);
    }
    ck_assert_uint_gt(took_ns[1], took_ns[0]);
}
END_TEST

/* Refused by the own interface, reported by a router, each with its path MTU. */
START_TEST(packets_shrink_to_the_path)
{
    static const uint32_t actions[] = { KIRIM_SIM_MTU_ERROR, KIRIM_SIM_MTU_REPORT };
    struct path *p = open_path(1);
    struct kirim_link_rules link = calm_link();
    link.mtu = 1000;
    link.mtu_action = actions[_i];
    set_links(p, link);
    (void)transfer(p);
    ck_assert_uint_gt(p->client.event.lost_count, 0);
    ck_assert_uint_gt(kit_stats(&p->k).too_large, 0);
    for (size_t i = 0; i < p->router->rx_count; i++) {
        ck_assert_uint_le(p->router->rx[i].bytes, 1000 - 28);
    }
    close_path(p);
}
END_TEST

START_TEST(closed_port_ends_a_transfer_at_once)
{
    struct path *p = open_path(1);
    const struct kirim_addr closed = kit_addr("10.0.0.3:9");
    const uint64_t begin_ns = kirim_sim_now(p->k.sim);
    set_links(p, calm_link());
    start(p, &closed, BYTES);
    kit_run(&p->k, SECOND);
    ck_assert_uint_eq(p->client.event_count, 1);
    ck_assert_int_eq(p->client.event.outcome, ENGINE_FAILED);
    ck_assert_uint_eq(p->client.event_ns - begin_ns, 20 * MS);
    close_path(p);
}
END_TEST

START_TEST(silent_peer_ends_a_transfer_at_its_deadline)
{
    struct path *p = open_path(1);
    struct kirim_link_rules link = calm_link();
    const uint64_t begin_ns = kirim_sim_now(p->k.sim);
    link.is_down = true;
    set_links(p, link);
    start(p, &p->router_addr, BYTES);
    kit_run(&p->k, 60 * SECOND);
    ck_assert_uint_eq(p->client.event_count, 1);
    ck_assert_int_eq(p->client.event.outcome, ENGINE_FAILED);
    ck_assert_uint_eq(p->client.event_ns - begin_ns, 10 * SECOND);
    ck_assert_uint_eq(kirim_loop_deadline(p->client_host->loop), KIRIM_NEVER);
    close_path(p);
}
END_TEST

/* 1,024 datagrams that wait for their time are all that the queue takes. */
START_TEST(output_goes_on_when_the_queue_has_room_again)
{
    struct path *p = open_path(1);
    const struct kirim_addr peer = kit_addr("10.0.0.3:7009");
    const uint64_t begin_ns = kirim_sim_now(p->k.sim);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct kirim_msg msg = KIRIM_MSG_INIT;
    kirim_err err = KIRIM_OK;
    set_links(p, calm_link());
    control.not_before_ns = begin_ns + 55 * MS;
    msg.peer = &peer;
    msg.control = &control;
    while (err == KIRIM_OK) {
        err = kirim_endpoint_send(p->client.io.ep, &msg, 0, NULL, NULL);
    }
    ck_assert_int_eq(err, KIRIM_EWOULDBLOCK);
    (void)transfer(p);
    ck_assert_uint_eq(p->first_ns, begin_ns + 65 * MS);
    close_path(p);
}
END_TEST

/* Of nothing, of one byte, of chunks and packets that are just full, and one more. */
START_TEST(every_length_arrives)
{
    static const uint64_t lengths[] = { 0, 1, 351, 352, 353, 1407, 1408, 1409, 2816, 22528, 22529 };
    struct path *p = open_path(1);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const struct engine_addr to = engine_io_from(&p->router_addr);
        ck_assert(engine_send(p->client.io.engine, i + 2, &to, p->data, lengths[i],
                              kirim_sim_now(p->k.sim)));
        engine_io_pump(&p->client.io);
        kit_run(&p->k, SECOND);
        ck_assert_uint_eq(p->server.event_count, i + 1);
        ck_assert_uint_eq(p->client.event_count, i + 1);
        ck_assert_uint_eq(p->server.event.bytes, lengths[i]);
        ck_assert_uint_eq(p->server.event.digest, p->client.event.digest);
    }
    close_path(p);
}
END_TEST

int main(int argc, char **argv)
{
    const struct kit_claim claims[] = {
        { bytes_arrive_over_a_path_with_every_fault, 0 },
        { trains_are_paced, 0 },
        { marks_slow_the_sender_down, 0 },
        { packets_shrink_to_the_path, 2 },
        { closed_port_ends_a_transfer_at_once, 0 },
        { silent_peer_ends_a_transfer_at_its_deadline, 0 },
        { output_goes_on_when_the_queue_has_room_again, 0 },
        { every_length_arrives, 0 },
        { NULL, 0 },
    };
    return storm_main(argc, argv, "engine in the simulator", claims);
}
