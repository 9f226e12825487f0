/* SPDX-License-Identifier: MIT
 *
 * Claims about runs: one seed gives one run, on every compiler and system, and without memory
 * nothing is lost unsaid.
 *
 * The golden digests hold every build to the same run. They change only if the model does, or the
 * order in which a turn of the core sends; say so in the change.
 */
#include "sim.h"
#include "sim_kit.h"

#include <string.h>

enum {
    CLIENT_COUNT = 3,
    TICK_COUNT = 400,
    PAYLOAD_BYTES_MAX = 1500,
    ACCEPTABLE_CALLS_MAX = 10000,
    BURST_COUNT = 20
};

#define GOLDEN_DIGEST         UINT64_C(0x5f7abc498431f34a)
#define GOLDEN_HARSH_DIGEST   UINT64_C(0x68c37deda2a40e35)
#define GOLDEN_PRIVATE_DIGEST UINT64_C(0x97642380dbe3b56e)

/* ---- the scenario ---------------------------------------------------------------------------- */

/* A server that echoes, and clients that send random datagrams at random times, to the server, to
 * each other and to closed ports, over links with every fault. */
struct client {
    struct kit_host *host;
    struct kit_end *end;
    struct kirim_timer timer;
    size_t tick_count;
};

struct run {
    struct kit k;
    struct kit_end *server;
    struct client clients[CLIENT_COUNT];
};

static const char *const destinations[] = { "10.0.0.1:7", "[2001:db8::1]:7", "10.0.1.1:1",
                                            "10.0.1.2:1", "10.0.1.3:1",      "10.0.0.1:8" };

static void tick(struct kirim_timer *timer)
{
    struct client *c = timer->user;
    uint8_t chance[4];
    uint8_t payload[PAYLOAD_BYTES_MAX];
    ck_assert_int_eq(kirim_loop_random(c->host->loop, chance, sizeof chance), KIRIM_OK);
    const size_t bytes = (chance[0] * 256U + chance[1]) % PAYLOAD_BYTES_MAX;
    ck_assert_int_eq(kirim_loop_random(c->host->loop, payload, bytes), KIRIM_OK);
    const struct kirim_addr to = kit_addr(destinations[chance[2] % 6]);
    for (int i = 0; i <= chance[3] % 4; i++) {
        ck_assert_int_eq(kirim_endpoint_send_to(c->end->ep, payload, bytes, &to), KIRIM_OK);
    }
    c->tick_count++;
    if (c->tick_count < TICK_COUNT) {
        const uint64_t next_ns = kirim_loop_now(c->host->loop) + 20 * US * chance[3];
        ck_assert_int_eq(kirim_timer_arm(c->host->loop, timer, next_ns), KIRIM_OK);
    }
}

static void run_open(struct run *r, uint64_t seed)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    static const char *const addrs[CLIENT_COUNT][2] = { { "10.0.1.1", "2001:db8::1:1" },
                                                        { "10.0.1.2", "2001:db8::1:2" },
                                                        { "10.0.1.3", "2001:db8::1:3" } };
    memset(r, 0, sizeof *r);
    kit_open(&r->k, seed);
    link.jitter_ns = 500 * US;
    link.loss_ppm = 50000;
    link.duplicate_ppm = 30000;
    link.reorder_ppm = 40000;
    link.reorder_ns = 2 * MS;
    link.corrupt_ppm = 10000;
    kit_link(&r->k, NULL, NULL, link);
    r->server = kit_bind(kit_host(&r->k, "server", "10.0.0.1", "2001:db8::1"), "[::]:7",
                         KIRIM_ENDPOINT_DUAL_STACK);
    r->server->on_received = kit_echo;
    r->server->ctx = kirim_sim_host_find(r->k.sim, "server");
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        struct client *c = &r->clients[i];
        const char name[3] = { 'c', (char)('1' + i), '\0' };
        c->host = kit_host(&r->k, name, addrs[i][0], addrs[i][1]);
        c->end = kit_bind(c->host, "[::]:1", KIRIM_ENDPOINT_DUAL_STACK);
        c->timer = (struct kirim_timer)KIRIM_TIMER_INIT(tick, c);
        ck_assert_int_eq(kirim_timer_arm(c->host->loop, &c->timer, SECOND + i), KIRIM_OK);
    }
    link.mtu = 1280;
    link.mtu_action = KIRIM_SIM_MTU_REPORT;
    kit_link(&r->k, r->clients[0].host, r->clients[1].host, link);
}

static uint64_t run_close(struct run *r)
{
    const uint64_t digest = kirim_sim_digest(r->k.sim);
    kit_close(&r->k);
    return digest;
}

static uint64_t run_whole(uint64_t seed)
{
    static struct run r;
    run_open(&r, seed);
    ck_assert_int_eq(kirim_sim_run(r.k.sim, KIRIM_NEVER), KIRIM_OK);
    return run_close(&r);
}

/* ---- one seed, one run ----------------------------------------------------------------------- */

START_TEST(run_is_the_same_on_every_compiler_and_system)
{
    static struct run r;
    run_open(&r, 1);
    ck_assert_int_eq(kirim_sim_run(r.k.sim, KIRIM_NEVER), KIRIM_OK);
    const struct kirim_sim_stats s = kit_stats(&r.k);
    ck_assert_uint_eq(s.sent, 3922);
    ck_assert_uint_eq(s.delivered, 3306);
    ck_assert_uint_eq(s.lost, 166);
    ck_assert_uint_eq(s.duplicated, 105);
    ck_assert_uint_eq(s.reordered, 131);
    ck_assert_uint_eq(s.corrupted, 33);
    ck_assert_uint_eq(s.too_large, 12);
    ck_assert_uint_eq(s.no_port, 510);
    ck_assert_uint_eq(s.reported, 522);
    ck_assert_uint_eq(kirim_sim_now(r.k.sim), 2017253029);
    ck_assert_uint_eq(run_close(&r), GOLDEN_DIGEST);
}
END_TEST

/* The same with all that can go wrong beside single datagrams. */
static uint64_t run_harsh(struct kirim_sim_stats *stats)
{
    static struct run r;
    struct kirim_sim_nat_options options = KIRIM_SIM_NAT_OPTIONS_INIT;
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    const struct kirim_addr addrs[2] = { kit_addr("198.51.100.1"), kit_addr("198.51.100.2") };
    struct kirim_sim_nat *nat = NULL;
    uint32_t number;
    run_open(&r, 1);
    link.burst_ppm = 10000;
    link.burst_end_ppm = 200000;
    link.burst_loss_ppm = 800000;
    link.corrupt_ppm = 20000;
    link.corrupt_action = KIRIM_LINK_CORRUPT_DELIVER;
    link.flip_count = 3;
    link.rate_bps = 2000000;
    link.queue_bytes = 6000;
    link.mark_bytes = 4000;
    kit_link(&r.k, NULL, NULL, link);
    options.name = "nat";
    options.addrs = addrs;
    options.addr_count = 2;
    ck_assert_int_eq(kirim_sim_nat_add(r.k.sim, &options, &nat), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_nat_attach(nat, r.clients[0].host->host), KIRIM_OK);
    kit_run(&r.k, 200 * MS);
    ck_assert_int_eq(kirim_sim_nat_rebind(nat), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_partition(r.k.sim, &r.clients[1].host->host, 1,
                                         kirim_sim_now(r.k.sim) + 100 * MS, &number),
                     KIRIM_OK);
    kit_run(&r.k, 200 * MS);
    ck_assert_int_eq(
        kirim_sim_host_pause(r.clients[2].host->host, kirim_sim_now(r.k.sim) + 50 * MS), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_host_jump(r.clients[0].host->host, 50 * MS), KIRIM_OK);
    kit_run(&r.k, 200 * MS);
    ck_assert_int_eq(kirim_sim_host_crash(r.server->ctx), KIRIM_OK);
    kit_run(&r.k, KIRIM_NEVER - 10 * SECOND);
    *stats = kit_stats(&r.k);
    return run_close(&r);
}

START_TEST(harsh_run_is_the_same_everywhere_too)
{
    struct kirim_sim_stats first;
    struct kirim_sim_stats second;
    const uint64_t digest = run_harsh(&first);
    ck_assert_uint_eq(run_harsh(&second), digest);
    ck_assert_mem_eq(&first, &second, sizeof first);
    ck_assert_uint_gt(first.burst, 0);
    ck_assert_uint_gt(first.flipped, 0);
    ck_assert_uint_gt(first.queue_full + first.congested, 0);
    ck_assert_uint_gt(first.partitioned, 0);
    ck_assert_uint_gt(first.nat_dropped, 0);
    ck_assert_uint_gt(first.host_down, 0);
    ck_assert_uint_eq(digest, GOLDEN_HARSH_DIGEST);
}
END_TEST

START_TEST(equal_seeds_have_equal_digests)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        ck_assert_uint_eq(run_whole(seed), run_whole(seed));
    }
}
END_TEST

START_TEST(different_seeds_have_different_digests)
{
    uint64_t digests[20];
    for (uint64_t seed = 0; seed < 20; seed++) {
        digests[seed] = run_whole(seed);
        for (uint64_t other = 0; other < seed; other++) {
            ck_assert_uint_ne(digests[seed], digests[other]);
        }
    }
}
END_TEST

START_TEST(run_in_small_pieces_is_the_same_run)
{
    static struct run r;
    run_open(&r, 1);
    uint64_t until_ns = SECOND;
    for (size_t i = 0; i < 100000; i++) {
        until_ns += 30 * US;
        ck_assert_int_eq(kirim_sim_run(r.k.sim, until_ns), KIRIM_OK);
    }
    ck_assert_uint_eq(run_close(&r), run_whole(1));
}
END_TEST

START_TEST(worlds_beside_each_other_do_not_disturb_each_other)
{
    static struct run a;
    static struct run b;
    run_open(&a, 1);
    run_open(&b, 2);
    for (uint64_t t_ns = SECOND; t_ns < 5 * SECOND; t_ns += MS) {
        ck_assert_int_eq(kirim_sim_run(a.k.sim, t_ns), KIRIM_OK);
        ck_assert_int_eq(kirim_sim_run(b.k.sim, t_ns), KIRIM_OK);
    }
    const uint64_t digest_a = run_close(&a);
    const uint64_t digest_b = run_close(&b);
    ck_assert_uint_eq(digest_a, run_whole(1));
    ck_assert_uint_eq(digest_b, run_whole(2));
}
END_TEST

START_TEST(idle_host_changes_nothing)
{
    static struct run r;
    run_open(&r, 1);
    (void)kit_host(&r.k, "idle", "10.9.9.9", NULL);
    ck_assert_int_eq(kirim_sim_run(r.k.sim, KIRIM_NEVER), KIRIM_OK);
    ck_assert_uint_eq(run_close(&r), run_whole(1));
}
END_TEST

/* Two hosts, one datagram; `variant` changes one thing of it. */
static uint64_t digest_of_one(int variant)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct kit k;
    kit_open(&k, 1);
    struct kit_host *a = kit_host(&k, variant == 1 ? "c" : "a", "10.0.0.1", NULL);
    struct kit_host *b = kit_host(&k, "b", "10.0.0.2", "10.0.0.3");
    struct kit_end *from = kit_bind(a, variant == 2 ? "10.0.0.1:2" : "10.0.0.1:1", 0);
    (void)kit_bind(b, "0.0.0.0:1", 0);
    link.delay_ns += variant == 3;
    link.loss_ppm = variant == 4 ? 1000000 : 0;
    kit_link(&k, NULL, NULL, link);
    control.ecn = variant == 5;
    control.ttl = variant == 6 ? 63 : 0;
    const char *to = variant == 7 ? "10.0.0.3:1" : "10.0.0.2:1";
    ck_assert_int_eq(kit_try_send(from, variant == 8 ? 101 : 100, to, &control), KIRIM_OK);
    kit_run(&k, MS);
    const uint64_t digest = kirim_sim_digest(k.sim);
    kit_close(&k);
    return digest;
}

START_TEST(digest_tells_times_hosts_addresses_bytes_and_drops)
{
    uint64_t digests[9];
    for (int i = 0; i < 9; i++) {
        digests[i] = digest_of_one(i);
        for (int k = 0; k < i; k++) {
            ck_assert_uint_ne(digests[i], digests[k]);
        }
    }
}
END_TEST

static uint64_t run_private(void)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kit k;
    struct kit_host *h = kit_open_private(&k);
    struct kirim_sim *sim = kirim_loop_sim(h->loop);
    link.loss_ppm = 100000;
    link.jitter_ns = 100 * US;
    ck_assert_int_eq(kirim_sim_link_set(sim, h->host, h->host, &link), KIRIM_OK);
    struct kit_end *a = kit_bind(h, "127.0.0.1:1", 0);
    struct kit_end *b = kit_bind(h, "127.0.0.1:2", 0);
    b->on_received = kit_echo;
    for (uint32_t i = 0; i < 1000; i++) {
        kit_send_number(a, i, "127.0.0.1:2");
        ck_assert_int_eq(kirim_loop_step(h->loop, 10 * US), KIRIM_OK);
    }
    ck_assert_int_eq(kirim_loop_step(h->loop, SECOND), KIRIM_OK);
    const uint64_t digest = kirim_sim_digest(sim);
    kit_close(&k);
    return digest;
}

START_TEST(private_run_is_the_same_everywhere_too)
{
    ck_assert_uint_eq(run_private(), GOLDEN_PRIVATE_DIGEST);
    ck_assert_uint_eq(run_private(), GOLDEN_PRIVATE_DIGEST);
}
END_TEST

/* ---- without memory -------------------------------------------------------------------------- */

/* What was opened of a small world; everything may be missing. */
struct small {
    struct kit_memory memory;
    struct kirim_sim *sim;
    struct kirim_sim_host *host[2];
    struct kirim_loop *loop[2];
    struct kirim_endpoint *ep[2];
    uint64_t accepted_count, failed_count;
};

static void check(kirim_err err)
{
    ck_assert_msg(err == KIRIM_OK || err == KIRIM_ENOMEM, "%s", kirim_err_name(err));
}

static void count_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct small *s = user;
    (void)ep;
    if (event->kind == KIRIM_EVENT_PEER_ERROR) { /* there was no memory for the peer */
        ck_assert_int_eq(event->err, KIRIM_ECONNRESET);
        return;
    }
    ck_assert_uint_eq(event->kind, KIRIM_EVENT_SEND_FAILED);
    ck_assert_int_eq(event->err, s->host[1] != NULL ? KIRIM_ENOBUFS : KIRIM_ENETUNREACH);
    s->failed_count++;
}

static const struct kirim_handler small_handler = { KIRIM_HANDLER_INIT, .failed = count_failed };

static void open_small(struct small *s, size_t i)
{
    const struct kirim_addr addrs[2] = { kit_addr("10.0.0.1:1"), kit_addr("10.0.0.2:1") };
    struct kirim_loop_options loop_options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    if (s->sim != NULL) {
        check(kirim_sim_host_add(s->sim, i == 0 ? "a" : "b", &addrs[i], 1, &s->host[i]));
    }
    loop_options.reactor = "sim";
    loop_options.reactor_context = s->host[i];
    loop_options.alloc = kit_alloc;
    loop_options.alloc_user = &s->memory;
    if (s->host[i] != NULL) {
        check(kirim_loop_open(&loop_options, &s->loop[i]));
    }
    options.local = addrs[i];
    options.handler = &small_handler;
    options.user = s;
    options.flags = KIRIM_ENDPOINT_BROADCAST;
    options.send_buffer_bytes = 1 << 20;
    if (s->loop[i] != NULL) {
        check(kirim_endpoint_open(s->loop[i], &options, &s->ep[i]));
    }
}

static void send_small(struct small *s)
{
    const struct kirim_addr to[3] = { kit_addr("10.0.0.2:1"), kit_addr("10.0.0.2:2"),
                                      kit_addr("127.255.255.255:1") };
    for (size_t i = 0; i < (size_t)3 * BURST_COUNT; i++) {
        const kirim_err err = kirim_endpoint_send_to(s->ep[0], "hello", 5, &to[i % 3]);
        check(err);
        s->accepted_count += err == KIRIM_OK;
    }
}

/* Puts the sender behind a translator. */
static void add_small_nat(struct small *s)
{
    struct kirim_sim_nat_options options = KIRIM_SIM_NAT_OPTIONS_INIT;
    const struct kirim_addr addr = kit_addr("198.51.100.1");
    struct kirim_sim_nat *nat = NULL;
    options.name = "nat";
    options.addrs = &addr;
    options.addr_count = 1;
    if (s->sim != NULL && s->host[0] != NULL) {
        check(kirim_sim_nat_add(s->sim, &options, &nat));
        ck_assert_int_eq(kirim_sim_nat_attach(nat, s->host[0]), KIRIM_OK);
    }
}

static uint64_t run_small(uint64_t fail_at)
{
    struct small s = { .memory = { .fail_at = fail_at } };
    struct kirim_sim_options options = KIRIM_SIM_OPTIONS_INIT;
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    options.alloc = kit_alloc;
    options.alloc_user = &s.memory;
    check(kirim_sim_open(&options, &s.sim));
    open_small(&s, 0);
    open_small(&s, 1);
    link.duplicate_ppm = 500000;
    add_small_nat(&s);
    if (s.host[0] != NULL && s.host[1] != NULL) {
        check(kirim_sim_link_set(s.sim, s.host[0], s.host[1], &link));
    }
    if (s.ep[0] != NULL) {
        send_small(&s);
        ck_assert_int_eq(kirim_sim_run(s.sim, 2 * SECOND), KIRIM_OK);
        struct kirim_sim_stats stats = KIRIM_SIM_STATS_INIT;
        ck_assert_int_eq(kirim_sim_read_stats(s.sim, &stats), KIRIM_OK);
        ck_assert_uint_eq(s.accepted_count, stats.sent + s.failed_count);
    }
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(kirim_loop_close(s.loop[i]), KIRIM_OK);
    }
    ck_assert_int_eq(kirim_sim_close(s.sim), KIRIM_OK);
    ck_assert_uint_eq(s.memory.blocks, 0);
    return s.memory.calls;
}

START_TEST(every_failing_allocation_is_told_and_leaks_nothing)
{
    const uint64_t calls = run_small(0);
    ck_assert_uint_gt(calls, 20);
    ck_assert_uint_lt(calls, ACCEPTABLE_CALLS_MAX);
    for (uint64_t n = 1; n <= calls; n++) {
        (void)run_small(n);
    }
}
END_TEST

static uint64_t open_private(uint64_t fail_at)
{
    struct kit_memory memory = { .fail_at = fail_at };
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop = NULL;
    options.reactor = "sim";
    options.alloc = kit_alloc;
    options.alloc_user = &memory;
    const kirim_err err = kirim_loop_open(&options, &loop);
    ck_assert_int_eq(err, fail_at != 0 ? KIRIM_ENOMEM : KIRIM_OK);
    ck_assert_int_eq(kirim_loop_close(loop), KIRIM_OK);
    ck_assert_uint_eq(memory.blocks, 0);
    return memory.calls;
}

START_TEST(private_world_opens_whole_or_not_at_all)
{
    const uint64_t calls = open_private(0);
    for (uint64_t n = 1; n <= calls; n++) {
        (void)open_private(n);
    }
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { run_is_the_same_on_every_compiler_and_system, 0 },
        { harsh_run_is_the_same_everywhere_too, 0 },
        { equal_seeds_have_equal_digests, 0 },
        { different_seeds_have_different_digests, 0 },
        { run_in_small_pieces_is_the_same_run, 0 },
        { worlds_beside_each_other_do_not_disturb_each_other, 0 },
        { idle_host_changes_nothing, 0 },
        { digest_tells_times_hosts_addresses_bytes_and_drops, 0 },
        { private_run_is_the_same_everywhere_too, 0 },
        { every_failing_allocation_is_told_and_leaks_nothing, 0 },
        { private_world_opens_whole_or_not_at_all, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_determinism", claims);
}
