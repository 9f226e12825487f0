/* SPDX-License-Identifier: MIT
 *
 * Claims about a forwarder on a simulated network: clients on two hosts, servers that may be dead,
 * links that lose, duplicate and reorder, and somebody who forges answers and lacks one secret
 * only. Each client gets one answer, the right one or SERVFAIL, in time; a forged one never. How
 * seeds are chosen: support/storm.h.
 */
#include "kit.h"
#include "protocols/dns/forward_endpoint.h"

#include <stdio.h>

#include "support/simnet.h"
#include "support/storm.h"

#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum {
    NAME_COUNT = 8,
    CLIENT_COUNT = 48,
    GIVE_UP_SECONDS = 2 + 4 + 8 + 16, /* of a client: longer than the forwarder takes */
    CACHE_BYTES = KIRIM_DNS_CACHE_BYTES_MIN,
    PENDING_MAX = 16,
    WAITER_MAX = 64,
    /* What a question under way and somebody who waits may take, and the tables. */
    MEMORY_MAX = CACHE_BYTES + PENDING_MAX * 8192 + WAITER_MAX * 512 + 65536
};

static const char zone_text[] = "$ORIGIN example.\n$TTL 2\n@ SOA a b 1 2 3 4 5\n@ NS a\n"
                                "a A 192.0.2.1\nn0 A 192.0.2.1\nn1 A 192.0.2.1\n"
                                "n2 A 192.0.2.1\nn3 A 192.0.2.1\nn4 A 192.0.2.1\n"
                                "n5 A 192.0.2.1\nn6 A 192.0.2.1\nn7 A 192.0.2.1\n";

enum { SERVER, FORWARDER, CLIENT_A, CLIENT_B, HOST_COUNT };

/* Four hosts; the server's endpoint is the test's own, so that it can forge. */
struct world {
    struct kit_memory memory, forwarder_memory;
    struct kirim_sim *sim;
    struct kirim_sim_host *host[HOST_COUNT];
    struct kirim_loop *loop[HOST_COUNT];
    struct kirim_dns_zone *zone;
    struct kirim_dns_guard guard;
    struct kirim_dns_server server;
    struct kirim_endpoint *server_endpoint, *other_endpoint;
    bool is_forging;
    bool is_deaf; /* to names with two digits */
    size_t forged, requests;
    struct kirim_dns_forward_options options;
    struct kirim_dns_forward forward;
    struct kirim_dns_forward_port port;
    struct kirim_dns_lookup lookup[CLIENT_COUNT];
    char name[CLIENT_COUNT][16];
    size_t started, ended, right, failed, timed_out;
};

/* ---- the server, and who stands beside it ---------------------------------------------------- */

static void send_forged(struct world *w, struct kirim_endpoint *ep, const struct kit_reply *reply,
                        const struct kirim_addr *peer)
{
    ck_assert_int_eq(kirim_endpoint_send_to(ep, reply->wire, reply->bytes, peer), KIRIM_OK);
    w->forged++;
}

/* Sends answers that are right but for one thing each, with an address of somebody else's. */
static void forge(struct world *w, const struct kit_reply *right, const struct kirim_addr *peer)
{
    static struct kit_reply forged;
    struct kirim_addr other_port = *peer;
    const size_t address_at = 12 + right->message.question_bytes + 12;
    forged = *right;
    memset(forged.wire + address_at, 6, 4);
    forged.wire[1] ^= 1; /* the identifier */
    send_forged(w, w->server_endpoint, &forged, peer);
    forged.wire[1] ^= 1;
    forged.wire[13] ^= 0x20; /* the case of the first letter */
    send_forged(w, w->server_endpoint, &forged, peer);
    forged.wire[13] ^= 0x20;
    forged.wire[14] ^= 1; /* the question */
    send_forged(w, w->server_endpoint, &forged, peer);
    forged.wire[14] ^= 1;
    forged.wire[forged.bytes - 24] ^= 1; /* the client's cookie */
    send_forged(w, w->server_endpoint, &forged, peer);
    forged.wire[forged.bytes - 24] ^= 1;
    send_forged(w, w->other_endpoint, &forged, peer); /* from another port */
    kirim_addr_set_port(&other_port, (uint16_t)(kirim_addr_port(peer) ^ 1));
    send_forged(w, w->server_endpoint, &forged, &other_port); /* to another port */
}

static void on_question(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct world *const w = user;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        const struct kirim_dns_request request = { { d->data, d->bytes },
                                                   &d->peer,
                                                   kirim_loop_now(w->loop[SERVER]) };
        static struct kit_reply reply;
        w->requests++;
        if (w->is_deaf && d->data[12] == 3) {
            continue;
        }
        kit_serve(&w->server, &request, &reply);
        ck_assert_uint_gt(reply.bytes, 0);
        if (w->is_forging && reply.message.record_count[KIRIM_DNS_SECTION_ANSWER] > 0) {
            forge(w, &reply, &d->peer);
        }
        ck_assert_int_eq(kirim_endpoint_send_to(ep, reply.wire, reply.bytes, &d->peer), KIRIM_OK);
    }
}

static const struct kirim_handler server_handler = { KIRIM_HANDLER_INIT, .received = on_question };

static struct kirim_endpoint *open_endpoint(struct world *w, const char *addr)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_endpoint *ep = NULL;
    options.local = kit_addr(addr);
    options.handler = &server_handler;
    options.user = w;
    ck_assert_int_eq(kirim_endpoint_open(w->loop[SERVER], &options, &ep), KIRIM_OK);
    return ep;
}

/* ---- the world ------------------------------------------------------------------------------- */

static void open_hosts(struct world *w, uint64_t seed)
{
    static const char *const names[] = { "server", "forwarder", "a", "b" };
    static const char *const addrs[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.4" };
    w->sim = simnet_open(seed, &w->memory);
    for (int i = 0; i < HOST_COUNT; i++) {
        w->host[i] = simnet_host(w->sim, names[i], addrs[i], NULL);
        w->loop[i] = simnet_loop(w->host[i], &w->memory);
    }
}

/* Opens the forwarder; `servers` are those that it asks. */
static void open_forwarder(struct world *w, const char *const *servers, size_t count)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    w->options = (struct kirim_dns_forward_options)KIRIM_DNS_FORWARD_OPTIONS_INIT;
    for (size_t i = 0; i < count; i++) {
        w->options.server[i] = kit_addr(servers[i]);
    }
    w->options.server_count = count;
    w->options.try_count = 2;
    w->options.forwarder.alloc = kit_alloc;
    w->options.forwarder.alloc_user = &w->forwarder_memory;
    w->options.forwarder.cache_bytes = CACHE_BYTES;
    w->options.forwarder.pending_max = PENDING_MAX;
    w->options.forwarder.waiter_max = WAITER_MAX;
    ck_assert_int_eq(kirim_dns_forward_open(&w->forward, w->loop[FORWARDER], &w->options),
                     KIRIM_OK);
    options.local = kit_addr("0.0.0.0:53");
    ck_assert_int_eq(kirim_dns_forward_listen(&w->port, &w->forward, &options), KIRIM_OK);
}

static struct world *open_world(uint64_t seed)
{
    static const char *const servers[] = { "10.0.0.1:53" };
    struct world *const w = calloc(1, sizeof *w);
    ck_assert_ptr_nonnull(w);
    open_hosts(w, seed);
    w->zone = kit_zone(&w->memory, zone_text);
    w->guard.cookies = KIRIM_DNS_COOKIES_ON;
    w->guard.keys.count = 1;
    kirim_dns_server_init(&w->server);
    w->server.guard = &w->guard;
    ck_assert_int_eq(kirim_dns_server_add(&w->server, w->zone), KIRIM_OK);
    w->server_endpoint = open_endpoint(w, "10.0.0.1:53");
    w->other_endpoint = open_endpoint(w, "10.0.0.1:54");
    open_forwarder(w, servers, 1);
    return w;
}

static void close_world(struct world *w)
{
    for (int i = 0; i < HOST_COUNT; i++) {
        ck_assert_int_eq(kirim_loop_close(w->loop[i]), KIRIM_OK);
    }
    kirim_dns_forward_close(&w->forward);
    ck_assert_int_eq(kirim_sim_close(w->sim), KIRIM_OK);
    kirim_dns_zone_close(w->zone);
    ck_assert_uint_eq(w->memory.blocks, 0);
    ck_assert_uint_eq(w->forwarder_memory.blocks, 0);
    ck_assert_uint_eq(w->ended, w->started);
    free(w);
}

static void set_links(struct world *w, const struct kirim_link_rules *link)
{
    simnet_link(w->sim, NULL, NULL, link);
}

static const struct kirim_dns_forwarder_stats *stats_of(const struct world *w)
{
    return kirim_dns_forwarder_stats(w->forward.forwarder);
}

/* ---- clients --------------------------------------------------------------------------------- */

/* The right answer, whatever is left of its time to live. */
static bool is_right(const struct world *w, const struct kirim_dns_lookup *lookup)
{
    const char *const name = w->name[lookup - w->lookup];
    const char *const found = kit_section(&lookup->query.answer, 1);
    for (int ttl = 0; ttl <= 2; ttl++) {
        char wanted[64];
        (void)snprintf(wanted, sizeof wanted, "%s %d A 192.0.2.1\n", name, ttl);
        if (strcmp(found, wanted) == 0) {
            return true;
        }
    }
    return false;
}

static void on_done(struct kirim_dns_lookup *lookup)
{
    struct world *const w = lookup->user;
    const struct kirim_dns_query *const query = &lookup->query;
    w->ended++;
    if (query->state != KIRIM_DNS_QUERY_ANSWERED) {
        w->timed_out += query->err == KIRIM_ETIMEDOUT ? 1 : 0;
        return;
    }
    const uint16_t rcode = kirim_dns_message_rcode(&query->answer);
    storm_note((uint64_t)(lookup - w->lookup), query->answer.wire.data, query->answer.wire.bytes);
    ck_assert_uint_le(lookup->ended_ns - lookup->started_ns, GIVE_UP_SECONDS * SECOND);
    ck_assert(rcode == KIRIM_DNS_NOERROR || rcode == KIRIM_DNS_SERVFAIL);
    ck_assert(rcode == KIRIM_DNS_SERVFAIL || is_right(w, lookup));
    w->right += rcode == KIRIM_DNS_NOERROR ? 1 : 0;
    w->failed += rcode == KIRIM_DNS_SERVFAIL ? 1 : 0;
    ck_assert_uint_le(stats_of(w)->pending_count, PENDING_MAX);
    ck_assert_uint_le(stats_of(w)->waiter_count, WAITER_MAX);
}

static void start_client_on(struct world *w, int host, unsigned name)
{
    struct kirim_dns_query_options options = KIRIM_DNS_QUERY_OPTIONS_INIT;
    const size_t index = w->started++;
    (void)snprintf(w->name[index], sizeof w->name[index], "n%u.example.", name);
    options.name = kit_name(w->name[index]);
    options.type = KIRIM_DNS_A;
    options.server[0] = kit_addr("10.0.0.2:53");
    options.server_count = 1;
    options.try_count = 4;
    w->lookup[index] = (struct kirim_dns_lookup)KIRIM_DNS_LOOKUP_INIT(on_done, w);
    ck_assert_int_eq(kirim_dns_lookup_start(&w->lookup[index], w->loop[host], &options), KIRIM_OK);
}

static void start_client(struct world *w, unsigned name)
{
    start_client_on(w, w->started % 2 == 0 ? CLIENT_A : CLIENT_B, name);
}

/* ---- storms ---------------------------------------------------------------------------------- */

/* A number below `bound` that the seed alone decides. */
static uint32_t draw(struct world *w, uint32_t bound)
{
    uint32_t number = 0;
    ck_assert_int_eq(kirim_loop_random(w->loop[SERVER], &number, sizeof number), KIRIM_OK);
    return number % bound;
}

static struct kirim_link_rules draw_link(struct world *w)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = draw(w, 200) * MS;
    link.jitter_ns = draw(w, 50) * MS;
    link.loss_ppm = draw(w, 200000);
    link.duplicate_ppm = draw(w, 300000);
    link.reorder_ppm = draw(w, 300000);
    link.reorder_ns = draw(w, 300) * MS;
    link.corrupt_ppm = draw(w, 20000);
    if (draw(w, 3) == 0) {
        link.mtu = 576;
        link.mtu_action = KIRIM_SIM_MTU_BLACK_HOLE;
    }
    return link;
}

static void check_counts(const struct world *w)
{
    const struct kirim_dns_forwarder_stats *const stats = stats_of(w);
    const struct kirim_dns_query_ignored *const ignored = &w->forward.stats.ignored;
    ck_assert_uint_eq(w->ended, CLIENT_COUNT);
    ck_assert_uint_eq(w->right + w->failed + w->timed_out, CLIENT_COUNT);
    ck_assert_uint_eq(stats->pending_count + stats->waiter_count, 0);
    ck_assert_uint_eq(stats->received, stats->hits + stats->misses + stats->coalesced +
                                           stats->repeated + stats->refused);
    ck_assert_uint_eq(stats->answered, stats->received - stats->repeated);
    /* Once for a try, and once more for each that lacked a cookie or met another. */
    ck_assert_uint_le(w->forward.stats.asked, 2 * stats->misses * w->options.try_count);
    ck_assert_uint_gt(ignored->id + ignored->question, 0);
    ck_assert_uint_le(w->forwarder_memory.bytes_peak, MEMORY_MAX);
}

/* What became of the clients of all storms. */
struct sum {
    size_t right, timed_out, forged;
};

static void run_storm(struct kirim_trial *trial, void *user)
{
    struct sum *const sum = user;
    struct world *const w = open_world(kirim_trial_seed(trial));
    const struct kirim_link_rules link = draw_link(w);
    set_links(w, &link);
    w->is_forging = true;
    w->guard.cookies = draw(w, 2) == 0 ? KIRIM_DNS_COOKIES_ON : KIRIM_DNS_COOKIES_REQUIRED;
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        start_client(w, draw(w, NAME_COUNT));
        simnet_run(w->sim, draw(w, 200) * MS);
    }
    simnet_run(w->sim, (GIVE_UP_SECONDS + 1) * SECOND);
    check_counts(w);
    sum->right += w->right;
    sum->timed_out += w->timed_out;
    sum->forged += w->forged;
    close_world(w);
}

START_TEST(everybody_gets_one_right_answer_or_servfail)
{
    struct sum sum = { 0 };
    const uint64_t count = storm_run(run_storm, &sum);
    const uint64_t all = 2 * count * CLIENT_COUNT; /* each twice */
    if (count >= STORM_SEEDS) {                    /* nearly all, over all */
        ck_assert_uint_ge(sum.right, all * 90 / 100);
        ck_assert_uint_le(sum.timed_out, all * 3 / 100);
        ck_assert_uint_gt(sum.forged, all);
    }
}
END_TEST

/* ---- one thing at a time --------------------------------------------------------------------- */

START_TEST(equal_questions_are_asked_once)
{
    struct world *const w = open_world(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 100 * MS;
    set_links(w, &link);
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        start_client(w, 0);
    }
    simnet_run(w->sim, SECOND);
    ck_assert_uint_eq(w->right, CLIENT_COUNT);
    ck_assert_uint_eq(w->requests, 1);
    ck_assert_uint_eq(stats_of(w)->coalesced, CLIENT_COUNT - 1);
    close_world(w);
}
END_TEST

START_TEST(dead_server_is_servfail_in_time)
{
    struct world *const w = open_world(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.is_down = true;
    ck_assert_int_eq(kirim_sim_link_set(w->sim, w->host[FORWARDER], w->host[SERVER], &link),
                     KIRIM_OK);
    for (unsigned i = 0; i < NAME_COUNT; i++) {
        start_client(w, i);
    }
    simnet_run(w->sim, (2 + 4) * SECOND - 1);
    ck_assert_uint_eq(w->ended, 0);
    simnet_run(w->sim, MS);
    ck_assert_uint_eq(w->failed, NAME_COUNT);
    start_client(w, 0); /* told again, not asked again */
    simnet_run(w->sim, SECOND);
    ck_assert_uint_eq(w->failed, NAME_COUNT + 1);
    ck_assert_uint_eq(w->forward.stats.asked, 2 * NAME_COUNT);
    close_world(w);
}
END_TEST

START_TEST(server_that_answers_is_asked_first)
{
    static const char *const servers[] = { "10.0.0.77:53", "10.0.0.4:53", "10.0.0.1:53" };
    struct world *const w = open_world(1);
    ck_assert_int_eq(kirim_endpoint_close(w->port.endpoint), KIRIM_OK);
    simnet_run(w->sim, MS);
    kirim_dns_forward_close(&w->forward);
    open_forwarder(w, servers, 3); /* nobody, a closed port, and the server */
    start_client(w, 0);
    simnet_run(w->sim, 3 * SECOND);
    ck_assert_uint_eq(w->right, 1);
    ck_assert_uint_eq(w->forward.first, 2);
    start_client(w, 1);
    simnet_run(w->sim, 10 * MS);
    ck_assert_uint_eq(w->right, 2);
    close_world(w);
}
END_TEST

/* Guesses at every port, with every identifier in turn, at a question that is not answered. */
START_TEST(flood_of_guesses_hits_nothing)
{
    struct world *const w = open_world(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    static struct kit_reply guess;
    const struct kit_question question = { .name = "n0.example.", .type = 1, .flags = 0x8400 };
    link.is_down = true;
    ck_assert_int_eq(kirim_sim_link_set(w->sim, w->host[FORWARDER], w->host[SERVER], &link),
                     KIRIM_OK);
    start_client(w, 0);
    guess.bytes = kit_build(&question, guess.wire, sizeof guess.wire);
    for (unsigned i = 0; i < 20000; i++) {
        struct kirim_addr peer = kit_addr("10.0.0.2:1");
        kirim_addr_set_port(&peer, (uint16_t)(1024 + draw(w, 64512)));
        guess.wire[0] = (uint8_t)(i >> 8);
        guess.wire[1] = (uint8_t)i;
        send_forged(w, w->server_endpoint, &guess, &peer);
        if (i % 500 == 0) {
            simnet_run(w->sim, 20 * MS);
        }
    }
    simnet_run(w->sim, 10 * SECOND);
    ck_assert_uint_eq(w->failed, 1);
    ck_assert_uint_eq(w->right, 0);
    close_world(w);
}
END_TEST

/* Everything comes twice, BADCOOKIE too. */
START_TEST(cookie_that_is_demanded_twice_is_no_failure)
{
    struct world *const w = open_world(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.duplicate_ppm = 1000000;
    link.jitter_ns = MS;
    set_links(w, &link);
    w->guard.cookies = KIRIM_DNS_COOKIES_REQUIRED;
    for (unsigned i = 0; i < NAME_COUNT; i++) {
        start_client(w, i);
        simnet_run(w->sim, SECOND);
        ck_assert_uint_eq(w->right, i + 1);
    }
    ck_assert_uint_eq(w->forward.stats.asked, NAME_COUNT + 1);
    close_world(w);
}
END_TEST

START_TEST(client_that_vanishes_stops_nobody)
{
    struct world *const w = open_world(1);
    for (unsigned i = 0; i < NAME_COUNT; i++) {
        start_client(w, i);
        kirim_dns_lookup_cancel(&w->lookup[w->started - 1]);
    }
    simnet_run(w->sim, SECOND);
    start_client(w, 3);
    simnet_run(w->sim, SECOND);
    ck_assert_uint_eq(w->right, 1);
    ck_assert_uint_eq(w->ended, NAME_COUNT + 1);
    close_world(w);
}
END_TEST

/* Somebody asks for names whose server is silent, as many as there are places. */
START_TEST(silent_names_keep_nobody_out)
{
    struct world *const w = open_world(1);
    w->is_deaf = true;
    for (unsigned i = 0; i < PENDING_MAX; i++) {
        start_client(w, 10 + i);
    }
    simnet_run(w->sim, 100 * MS);
    start_client(w, 0); /* all of them may still be answered */
    simnet_run(w->sim, 50 * MS);
    ck_assert_uint_eq(w->failed, 1);
    simnet_run(w->sim, 150 * MS);
    for (unsigned i = 1; i < 3; i++) { /* the place of the first is enough for both */
        start_client(w, i);
        simnet_run(w->sim, 50 * MS);
        ck_assert_uint_eq(w->right, i);
    }
    ck_assert_uint_eq(w->forward.stats.gave_way, 1);
    ck_assert_uint_eq(w->failed, 2);
    ck_assert_uint_eq(stats_of(w)->pending_count, PENDING_MAX - 1);
    close_world(w);
}
END_TEST

/* Likewise, and who asks is of another network: it does not have to wait until that is old. */
START_TEST(crowd_keeps_nobody_out)
{
    struct world *const w = open_world(1);
    w->is_deaf = true;
    for (unsigned i = 0; i < PENDING_MAX; i++) {
        start_client_on(w, CLIENT_A, 10 + i);
    }
    simnet_run(w->sim, 50 * MS);
    start_client_on(w, CLIENT_A, 0);
    simnet_run(w->sim, 50 * MS);
    ck_assert_uint_eq(w->failed, 1);
    start_client_on(w, CLIENT_B, 1);
    simnet_run(w->sim, 50 * MS);
    ck_assert_uint_eq(w->right, 1);
    ck_assert_uint_eq(w->failed, 2); /* of the crowd, told so */
    ck_assert_uint_eq(w->forward.stats.gave_way, 1);
    ck_assert_uint_eq(stats_of(w)->crowded, 1);
    close_world(w);
}
END_TEST

START_TEST(closing_in_the_middle_leaves_nothing)
{
    struct world *const w = open_world(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 100 * MS;
    set_links(w, &link);
    for (unsigned i = 0; i < NAME_COUNT; i++) {
        start_client(w, i);
    }
    simnet_run(w->sim, 150 * MS);
    ck_assert_uint_gt(stats_of(w)->pending_count, 0);
    close_world(w);
}
END_TEST

START_TEST(every_failed_allocation_leaves_nothing)
{
    for (size_t at = 1; at < 30; at++) {
        struct world *const w = open_world(1);
        w->forwarder_memory.fail_at = w->forwarder_memory.calls + at;
        for (unsigned i = 0; i < 4; i++) {
            start_client(w, i);
        }
        simnet_run(w->sim, GIVE_UP_SECONDS * SECOND);
        ck_assert_uint_eq(w->right + w->failed, 4);
        close_world(w);
    }
}
END_TEST

int main(int argc, char **argv)
{
    const struct kit_claim claims[] = {
        { everybody_gets_one_right_answer_or_servfail, 0 },
        { equal_questions_are_asked_once, 0 },
        { dead_server_is_servfail_in_time, 0 },
        { server_that_answers_is_asked_first, 0 },
        { flood_of_guesses_hits_nothing, 0 },
        { cookie_that_is_demanded_twice_is_no_failure, 0 },
        { client_that_vanishes_stops_nobody, 0 },
        { silent_names_keep_nobody_out, 0 },
        { crowd_keeps_nobody_out, 0 },
        { closing_in_the_middle_leaves_nothing, 0 },
        { every_failed_allocation_leaves_nothing, 0 },
        { NULL, 0 },
    };
    return storm_main(argc, argv, "protocols/dns forward world", claims);
}
