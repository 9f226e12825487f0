/* SPDX-License-Identifier: MIT
 *
 * Claims about channels on a simulated network: a listener and clients on hosts of their own, links
 * that lose, repeat, disorder, mark and cut off, and a translator that gives the clients new ports.
 * Whatever happens, reliable messages arrive once, in order and unchanged, sequenced ones never go
 * back, what was begun ends, and memory is bounded. How seeds are chosen: support/storm.h.
 */
#include "kit.h"

#include "protocols/channel/channel_endpoint.h"
#include "support/simnet.h"
#include "support/storm.h"

enum {
    CLIENT_MAX = 3,
    STREAMS = 6, /* two of each mode; 1 and 4 carry large messages */
    PACE_MS = 30,
    STORM_SECONDS = 1200,
    MESSAGE_MAX = 60,
    MEMORY_BYTES_MAX = 16 << 20,
    HUGE_BYTES_MAX = 16 << 20, /* the longest message there may be */
    HUGE_SLACK_BYTES = 64 << 10
};

struct world;

/* One end of one channel. */
struct peer {
    struct world *world;
    struct kirim_channel *channel;
    struct kit_ledger ledger;
    struct peer *other;
    uint64_t number; /* its own, for the digest */
    uint64_t sent[KIT_STREAMS];
    uint64_t wanted; /* messages of each stream */
};

struct world {
    struct kit_memory memory[3]; /* of the world, the server, the clients */
    struct kirim_sim *sim;
    struct kirim_sim_host *server_host, *client_host;
    struct kirim_sim_nat *nat; /* NULL: the clients are reached directly */
    struct kirim_loop *server_loop, *client_loop;
    struct kirim_channel_listener listener;
    struct peer client[CLIENT_MAX], server[CLIENT_MAX];
    struct kirim_timer send_timer, move_timer;
    struct test_random random;
    bool has_bursts;
    uint32_t queue_count_max; /* of clients' endpoints; 0: the default */
    size_t client_count, accepted, moves_left, listener_closed;
};

static size_t large_bytes_now; /* of the world that runs */
static size_t huge_bytes_now;  /* of its first messages of streams 0 and 1; 0: none is */

static size_t length_of(uint32_t stream, uint64_t number)
{
    if (huge_bytes_now > 0 && stream < 2 && number == 0) {
        return huge_bytes_now;
    }
    const uint64_t x = number * 2654435761U + stream * 40503U;
    return stream == 1 || stream == 4 ? (size_t)(x % large_bytes_now) : (size_t)(x % 300);
}

static uint32_t mode_of(uint32_t stream)
{
    return stream % 3;
}

/* ---- channels -------------------------------------------------------------------------------- */

static void on_ready(struct kirim_channel *ch, void *user)
{
    struct peer *const p = user;
    (void)ch;
    p->ledger.ready++;
}

static void on_received(struct kirim_channel *ch, const struct kirim_channel_message *m, void *user)
{
    struct peer *const p = user;
    (void)ch;
    ck_assert_uint_eq(m->mode, mode_of(m->stream));
    kit_note(&p->ledger, m, length_of);
    storm_note(p->number << 32 | m->stream, m->data, m->bytes);
}

static void send_more(struct peer *p)
{
    static uint8_t room[HUGE_BYTES_MAX];
    for (uint32_t s = 0; s < STREAMS && p->ledger.closed == 0; s++) {
        while (p->sent[s] < p->wanted) {
            const size_t bytes = length_of(s, p->sent[s]);
            kit_fill(room, s, p->sent[s], bytes);
            const kirim_err err = kirim_channel_send(p->channel, s, mode_of(s), room, bytes);
            if (err == KIRIM_EWOULDBLOCK || err == KIRIM_ECLOSED) {
                return; /* closed: `closed` is told in a step of its own, and is judged then */
            }
            ck_assert_int_eq(err, KIRIM_OK);
            p->sent[s]++;
            if (mode_of(s) == KIRIM_CHANNEL_SEQUENCED &&
                test_random_below(&p->world->random, 3) == 0) {
                break;
            }
        }
    }
}

static void on_writable(struct kirim_channel *ch, void *user)
{
    (void)ch;
    send_more(user);
}

static void on_closed(struct kirim_channel *ch, const struct kirim_channel_end *end, void *user)
{
    struct peer *const p = user;
    (void)ch;
    p->ledger.closed++;
    p->ledger.end = *end;
    storm_note(p->number << 32 | end->code, NULL, 0);
    p->channel = NULL;
}

static const struct kirim_channel_handler handler = {
    KIRIM_CHANNEL_HANDLER_INIT, on_ready, on_received, on_writable, NULL, on_closed,
};

/* Clients begin one after the other. */
static void on_accepted(struct kirim_channel_listener *l, struct kirim_channel *ch, void *user)
{
    struct world *const w = user;
    struct peer *const p = &w->server[w->accepted++];
    ck_assert_ptr_eq(l, &w->listener);
    ck_assert_uint_le(w->accepted, CLIENT_MAX);
    p->channel = ch;
    kirim_channel_set_user(ch, p);
}

static void on_listener_closed(struct kirim_channel_listener *l, void *user)
{
    struct world *const w = user;
    ck_assert_ptr_eq(l, &w->listener);
    w->listener_closed++;
}

/* ---- worlds ---------------------------------------------------------------------------------- */

static void open_hosts(struct world *w)
{
    w->server_host = simnet_host(w->sim, "server", "10.0.0.1", NULL);
    w->client_host = simnet_host(w->sim, "client", "10.0.0.2", NULL);
    w->server_loop = simnet_loop(w->server_host, &w->memory[1]);
    w->client_loop = simnet_loop(w->client_host, &w->memory[2]);
}

/* Puts the clients behind a translator. */
static void translate(struct world *w)
{
    struct kirim_sim_nat_options options = KIRIM_SIM_NAT_OPTIONS_INIT;
    const struct kirim_addr outer = simnet_addr("10.0.0.3");
    options.name = "nat";
    options.addrs = &outer;
    options.addr_count = 1;
    ck_assert_int_eq(kirim_sim_nat_add(w->sim, &options, &w->nat), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_nat_attach(w->nat, w->client_host), KIRIM_OK);
}

static void set_up_channel(struct kirim_channel_options *o, void *user)
{
    o->handler = &handler;
    o->user = user;
    o->send_bytes_max = 256 << 10;
    o->params.stream_count = KIT_STREAMS;
    if (huge_bytes_now > 0) { /* no more than one of them at a time */
        o->params.message_bytes_max = (uint32_t)huge_bytes_now;
        o->params.stream_window_bytes = (uint32_t)huge_bytes_now + KI_CHANNEL_COST;
        o->params.window_bytes = o->params.stream_window_bytes;
    }
}

static void listen(struct world *w, const uint8_t *reset_key)
{
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_listen_options o = KIRIM_CHANNEL_LISTEN_OPTIONS_INIT;
    ep.local = simnet_addr("0.0.0.0:7");
    o.endpoint = &ep;
    set_up_channel(&o.channel, w);
    o.user = w;
    o.accepted = on_accepted;
    o.closed = on_listener_closed;
    o.reset_key = reset_key;
    if (huge_bytes_now > 0) {
        o.reassembly_bytes_max = 2 * (huge_bytes_now + HUGE_SLACK_BYTES); /* half is for one */
    }
    ck_assert_int_eq(kirim_channel_listen(&w->listener, w->server_loop, &o), KIRIM_OK);
}

static struct world *open_world(uint64_t seed)
{
    static struct world world;
    struct world *const w = &world;
    memset(w, 0, sizeof *w);
    w->random.state = seed;
    large_bytes_now = 3000;
    w->sim = simnet_open(seed, &w->memory[0]);
    open_hosts(w);
    listen(w, NULL);
    for (size_t i = 0; i < CLIENT_MAX; i++) {
        w->client[i].world = w->server[i].world = w;
        w->client[i].other = &w->server[i];
        w->server[i].number = CLIENT_MAX + i;
        w->client[i].number = i;
        w->server[i].other = &w->client[i];
    }
    return w;
}

static void close_world(struct world *w)
{
    ck_assert_int_eq(kirim_loop_close(w->client_loop), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_close(w->server_loop), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_close(w->sim), KIRIM_OK);
    ck_assert_uint_eq(w->listener.budget.bytes, 0);
    ck_assert_uint_eq(w->listener_closed, 1);
    for (size_t i = 0; i < COUNT_OF(w->memory); i++) {
        ck_assert_uint_eq(w->memory[i].blocks, 0);
    }
}

/* Between all hosts, both ways. */
static void set_links(struct world *w, const struct kirim_link_rules *link)
{
    simnet_link(w->sim, NULL, NULL, link);
}

static struct peer *start(struct world *w)
{
    struct peer *const p = &w->client[w->client_count++];
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_open_options o = KIRIM_CHANNEL_OPEN_OPTIONS_INIT;
    ep.peer = simnet_addr("10.0.0.1:7");
    ep.queue_count_max = w->queue_count_max;
    o.endpoint = &ep;
    set_up_channel(&o.channel, p);
    ck_assert_int_eq(kirim_channel_open(w->client_loop, &o, &p->channel), KIRIM_OK);
    return p;
}

/* ---- storms ---------------------------------------------------------------------------------- */

static uint32_t draw(struct world *w, uint32_t most)
{
    return (uint32_t)test_random_below(&w->random, most);
}

/* Sends from time to time, so that sequenced messages are spread. */
static void send_again(struct kirim_timer *timer)
{
    struct world *const w = timer->user;
    bool has_more = false;
    for (size_t i = 0; i < CLIENT_MAX; i++) {
        struct peer *const ends[2] = { &w->client[i], &w->server[i] };
        for (size_t e = 0; e < 2; e++) {
            if (ends[e]->channel != NULL) {
                send_more(ends[e]);
            }
            for (uint32_t s = 0; s < STREAMS; s++) {
                has_more = has_more || ends[e]->sent[s] < ends[e]->wanted;
            }
        }
    }
    if (has_more) {
        (void)kirim_timer_arm_after(w->client_loop, timer, PACE_MS * MS);
    }
}

static void move(struct kirim_timer *timer)
{
    struct world *const w = timer->user;
    ck_assert_int_eq(kirim_sim_nat_rebind(w->nat), KIRIM_OK);
    if (--w->moves_left > 0) {
        (void)kirim_timer_arm_after(w->server_loop, timer, SECOND);
    }
}

static struct kirim_link_rules drawn_link(struct world *w)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = draw(w, 80) * MS;
    link.jitter_ns = draw(w, 2) * draw(w, 10) * MS;
    link.loss_ppm = draw(w, 2) * draw(w, 200001);
    link.duplicate_ppm = draw(w, 2) * draw(w, 50000);
    link.reorder_ppm = draw(w, 2) * draw(w, 50000);
    link.reorder_ns = draw(w, 30) * MS;
    if (draw(w, 3) == 0) {
        link.mtu = 1228 + draw(w, 300);
        link.mtu_action = draw(w, 2) == 0 ? KIRIM_SIM_MTU_BLACK_HOLE : KIRIM_SIM_MTU_REPORT;
    }
    if (draw(w, 4) == 0) {
        link.burst_ppm = draw(w, 10000);
        link.burst_end_ppm = 100000;
        link.burst_loss_ppm = 800000;
    }
    if (draw(w, 3) == 0) {
        link.rate_bps = 1000000 + draw(w, 20) * 1000000;
        link.queue_bytes = 20000 + draw(w, 50000);
        link.mark_bytes = draw(w, 2) * 15000;
    }
    return link;
}

/* A burst may last longer than either end waits: then both have been told. */
static bool was_told(const struct peer *p)
{
    return p->world->has_bursts && p->ledger.closed == 1 && p->other->ledger.closed == 1 &&
           p->ledger.end.err < 0 && p->other->ledger.end.err < 0;
}

static bool is_complete(const struct peer *p)
{
    if (was_told(p)) {
        return true;
    }
    for (uint32_t s = 0; s < STREAMS; s++) {
        if (mode_of(s) != KIRIM_CHANNEL_SEQUENCED && p->ledger.count[s] < p->other->wanted) {
            return false;
        }
    }
    return true;
}

static void check_peer(const struct peer *p)
{
    for (uint32_t s = 0; s < STREAMS && !was_told(p); s++) {
        if (mode_of(s) != KIRIM_CHANNEL_SEQUENCED) {
            ck_assert_uint_eq(p->ledger.count[s], p->other->wanted);
        }
    }
    ck_assert_uint_eq(p->ledger.ready, 1);
}

/* Begins a client; over a quiet network if the storm did not let its handshake through. */
static void begin(struct world *w, size_t index, const struct kirim_link_rules *link)
{
    const struct kirim_link_rules quiet = KIRIM_SIM_LINK_INIT;
    struct peer *p = start(w);
    p->wanted = draw(w, MESSAGE_MAX);
    p->other->wanted = draw(w, MESSAGE_MAX);
    send_more(p);
    simnet_run(w->sim, 11 * SECOND); /* so that it is known which end is whose */
    if (w->accepted <= index) {
        ck_assert_uint_eq(p->ledger.closed, 1);
        ck_assert_int_eq(p->ledger.end.err, KIRIM_ETIMEDOUT);
        memset(&p->ledger, 0, sizeof p->ledger);
        memset(p->sent, 0, sizeof p->sent);
        set_links(w, &quiet);
        w->client_count--;
        (void)start(w);
        simnet_run(w->sim, SECOND);
        set_links(w, link);
    }
}

/* Waits until all that was promised is there. */
static void await_all(struct world *w, size_t count)
{
    const uint64_t limit_ns = kirim_sim_now(w->sim) + STORM_SECONDS * SECOND;
    bool is_over = false;
    while (!is_over && kirim_sim_now(w->sim) < limit_ns) {
        simnet_run(w->sim, SECOND);
        is_over = true;
        for (size_t i = 0; i < count; i++) {
            is_over = is_over && is_complete(&w->client[i]) && is_complete(&w->server[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        check_peer(&w->client[i]);
        check_peer(&w->server[i]);
    }
}

static void run_storm(struct kirim_trial *trial, void *user)
{
    struct world *const w = open_world(kirim_trial_seed(trial));
    const size_t count = 1 + draw(w, CLIENT_MAX);
    const struct kirim_link_rules link = drawn_link(w);
    (void)user;
    w->has_bursts = link.burst_ppm > 0;
    large_bytes_now = 1 + draw(w, 2) * 20000 + draw(w, 6000);
    set_links(w, &link);
    if (draw(w, 2) == 0) {
        translate(w);
        w->moves_left = draw(w, 3);
    }
    for (size_t i = 0; i < count; i++) {
        begin(w, i, &link);
    }
    w->send_timer = (struct kirim_timer)KIRIM_TIMER_INIT(send_again, w);
    (void)kirim_timer_arm_after(w->client_loop, &w->send_timer, 0);
    w->move_timer = (struct kirim_timer)KIRIM_TIMER_INIT(move, w);
    if (w->moves_left > 0) {
        (void)kirim_timer_arm_after(w->server_loop, &w->move_timer, draw(w, 500) * MS);
    }
    await_all(w, count);
    for (size_t i = 0; i < count; i++) {
        if (w->client[i].channel != NULL) {
            (void)kirim_channel_finish(w->client[i].channel);
        }
    }
    simnet_run(w->sim, 120 * SECOND);
    for (size_t i = 0; i < count; i++) {
        KIRIM_TRIAL_EXPECT(trial, w->client[i].ledger.closed == 1);
        KIRIM_TRIAL_EXPECT(trial, w->server[i].ledger.closed == 1);
    }
    ck_assert_int_eq(kirim_channel_listener_close(&w->listener, KIRIM_NEVER), KIRIM_OK);
    simnet_run(w->sim, SECOND);
    for (size_t i = 0; i < COUNT_OF(w->memory); i++) {
        KIRIM_TRIAL_EXPECT(trial, w->memory[i].bytes_peak <= MEMORY_BYTES_MAX);
    }
    close_world(w);
}

START_TEST(storms_end_with_every_message_once)
{
    (void)storm_run(run_storm, NULL);
}
END_TEST

/* ---- single claims --------------------------------------------------------------------------- */

START_TEST(channel_follows_a_client_behind_a_new_port)
{
    struct world *const w = open_world(7);
    struct kirim_channel_stats stats;
    translate(w);
    struct peer *const p = start(w);
    p->wanted = 10;
    send_more(p);
    simnet_run(w->sim, SECOND);
    ck_assert_int_eq(kirim_sim_nat_rebind(w->nat), KIRIM_OK);
    p->wanted = 20;
    send_more(p);
    simnet_run(w->sim, SECOND);
    p->other->wanted = 20;
    send_more(p->other);
    simnet_run(w->sim, SECOND);
    ck_assert(is_complete(p) && is_complete(p->other));
    kirim_channel_read_stats(w->server[0].channel, &stats);
    ck_assert_uint_eq(stats.moves, 1);
    ck_assert_uint_eq(stats.challenges, 1);
    ck_assert_int_eq(kirim_channel_listener_close(&w->listener, KIRIM_NEVER), KIRIM_OK);
    simnet_run(w->sim, 10 * SECOND);
    ck_assert_uint_eq(p->ledger.end.code, KIRIM_CHANNEL_CODE_SHUTDOWN);
    ck_assert(p->ledger.end.is_by_peer);
    close_world(w);
}
END_TEST

START_TEST(server_that_restarts_says_so)
{
    static const uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = "the same always";
    struct world *const w = open_world(8);
    ck_assert_int_eq(kirim_loop_close(w->server_loop), KIRIM_OK);
    w->server_loop = simnet_loop(w->server_host, &w->memory[1]);
    listen(w, key);
    struct peer *const p = start(w);
    simnet_run(w->sim, SECOND);
    ck_assert_uint_eq(p->ledger.ready, 1);
    ck_assert_int_eq(kirim_sim_host_crash(w->server_host), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_close(w->server_loop), KIRIM_OK);
    w->server_loop = simnet_loop(w->server_host, &w->memory[1]);
    listen(w, key);
    p->wanted = 1;
    send_more(p);
    simnet_run(w->sim, SECOND);
    ck_assert_uint_eq(p->ledger.closed, 1);
    ck_assert_int_eq(p->ledger.end.err, KIRIM_ECONNRESET);
    w->listener_closed = 0;
    close_world(w);
}
END_TEST

START_TEST(marks_slow_a_sender_down_and_nothing_is_lost)
{
    struct world *const w = open_world(9);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kirim_channel_stats stats;
    link.delay_ns = 10 * MS;
    link.rate_bps = 10000000;
    link.mark_bytes = 30000;
    set_links(w, &link);
    large_bytes_now = 60000;
    struct peer *const p = start(w);
    p->wanted = 60;
    send_more(p);
    simnet_run(w->sim, 20 * SECOND);
    ck_assert(is_complete(p->other));
    kirim_channel_read_stats(p->channel, &stats);
    ck_assert_uint_gt(stats.congestion_ce, 0);
    ck_assert_uint_eq(stats.tx_lost, 0);
    ck_assert_uint_eq(stats.ecn_failed, 0);
    close_world(w);
}
END_TEST

/* A queue of two datagrams: what finds no room waits, and is not lost. */
START_TEST(full_queue_below_loses_nothing)
{
    struct world *const w = open_world(11);
    struct kirim_channel_stats stats;
    w->queue_count_max = 2;
    large_bytes_now = 30000;
    struct peer *const p = start(w);
    p->wanted = 40;
    send_more(p);
    simnet_run(w->sim, 20 * SECOND);
    ck_assert(is_complete(p->other));
    kirim_channel_read_stats(p->channel, &stats);
    ck_assert_uint_eq(stats.tx_lost, 0);
    close_world(w);
}
END_TEST

static const size_t huge_bytes[] = { 1 << 20, HUGE_BYTES_MAX };

/* Neither end ever takes memory for two of them. */
START_TEST(longest_messages_cross_a_path_that_loses)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    huge_bytes_now = huge_bytes[_i];
    struct world *const w = open_world(12);
    link.delay_ns = 5 * MS;
    link.loss_ppm = 10000;
    set_links(w, &link);
    struct peer *const p = start(w);
    p->wanted = 3;
    p->other->wanted = 0;
    send_more(p);
    for (size_t i = 0; i < STORM_SECONDS && !is_complete(p->other); i++) {
        simnet_run(w->sim, SECOND);
    }
    ck_assert(is_complete(p->other));
    ck_assert_uint_eq(p->ledger.closed + p->other->ledger.closed, 0);
    ck_assert_uint_eq(w->listener.budget.refused, 0);
    ck_assert_uint_lt(w->memory[1].bytes_peak, huge_bytes_now + (4 << 20));
    ck_assert_uint_lt(w->memory[2].bytes_peak, huge_bytes_now + (4 << 20));
    close_world(w);
    huge_bytes_now = 0;
}
END_TEST

START_TEST(partition_that_heals_is_survived)
{
    struct world *const w = open_world(10);
    struct kirim_sim_host *const side[] = { w->client_host };
    uint32_t partition = 0;
    large_bytes_now = 60000;
    struct peer *const p = start(w);
    p->wanted = 60;
    send_more(p);
    simnet_run(w->sim, MS);
    ck_assert_int_eq(
        kirim_sim_partition(w->sim, side, 1, kirim_sim_now(w->sim) + 20 * SECOND, &partition),
        KIRIM_OK);
    simnet_run(w->sim, 19 * SECOND);
    ck_assert(!is_complete(p->other));
    simnet_run(w->sim, 40 * SECOND);
    ck_assert(is_complete(p->other));
    close_world(w);
}
END_TEST

int main(int argc, char **argv)
{
    const struct kit_claim claims[] = {
        { storms_end_with_every_message_once, 0 },
        { channel_follows_a_client_behind_a_new_port, 0 },
        { server_that_restarts_says_so, 0 },
        { marks_slow_a_sender_down_and_nothing_is_lost, 0 },
        { full_queue_below_loses_nothing, 0 },
        { longest_messages_cross_a_path_that_loses, COUNT_OF(huge_bytes) },
        { partition_that_heals_is_survived, 0 },
        { NULL, 0 },
    };
    return storm_main(argc, argv, "protocols/channel world", claims);
}
