/* SPDX-License-Identifier: MIT
 *
 * Claims about lookups on a simulated network: a client and a server on two hosts, and links that
 * lose, duplicate, reorder and corrupt. Each lookup is answered, or gives up when it said it would.
 * The seeds are 1..50, each run twice; one that fails has a line that says how to run it again.
 *
 *     test_protocols_dns_world                    seeds 1 .. 50
 *     KIRIM_SEEDS=1000 test_protocols_dns_world   seeds 1 .. 1000
 *     KIRIM_SEED=731 test_protocols_dns_world     seed 731 alone
 */
#include "kit.h"
#include "protocols/dns/dns_endpoint.h"

#include <kirim/sim.h>
#include <kirim/trial.h>

#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum {
    LOOKUP_COUNT = 20,
    GIVE_UP_SECONDS = 2 + 4 + 8,
    MEMORY_BYTES_MAX = 2 << 20 /* the world with all that flies in it */
};

/* What a storm expects fails its seed, what another test expects fails the test. */
#define EXPECT(w, claim) \
    ((w)->trial != NULL ? KIRIM_TRIAL_EXPECT((w)->trial, claim) : ck_assert(claim))

static const char zone_text[] = "$ORIGIN example.\n$TTL 5\n@ SOA a b 1 2 3 4 5\n@ NS a\n"
                                "a A 192.0.2.1\n";

/* Two hosts: "server" with two addresses and a service on all of them, "client" with lookups. */
struct world {
    struct kirim_trial *trial; /* NULL: none */
    struct kit_memory memory;
    struct kirim_sim *sim;
    struct kirim_sim_host *server_host, *client_host;
    struct kirim_loop *server_loop, *client_loop;
    struct kirim_dns_zone *zone;
    struct kirim_dns_server server;
    struct kirim_dns_service service;
    struct kirim_dns_lookup lookup[LOOKUP_COUNT];
    size_t started, answered, failed;
};

static void on_done(struct kirim_dns_lookup *lookup)
{
    struct world *const w = lookup->user;
    const uint64_t waited_ns = lookup->ended_ns - lookup->started_ns;
    EXPECT(w, waited_ns <= GIVE_UP_SECONDS * SECOND);
    if (lookup->query.state == KIRIM_DNS_QUERY_ANSWERED) {
        w->answered++;
        const char *const found = kit_section(&lookup->query.answer, 1);
        EXPECT(w, strcmp(found, "a.example. 5 A 192.0.2.1\n") == 0);
    } else {
        w->failed++;
        EXPECT(w, lookup->query.err == KIRIM_ETIMEDOUT);
        EXPECT(w, waited_ns == GIVE_UP_SECONDS * SECOND);
        EXPECT(w, lookup->query.sent_count == 3);
    }
}

static struct kirim_addr addr_of(const char *text)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(text, &addr), KIRIM_OK);
    return addr;
}

static struct kirim_loop *open_loop(struct world *w, struct kirim_sim_host *host)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop = NULL;
    options.reactor = "sim";
    options.reactor_context = host;
    options.alloc = kit_alloc;
    options.alloc_user = &w->memory;
    ck_assert_int_eq(kirim_loop_open(&options, &loop), KIRIM_OK);
    return loop;
}

/* The world of a trial, or one by itself. */
static void open_world(struct world *w, struct kirim_trial *trial)
{
    struct kirim_sim_options options = KIRIM_SIM_OPTIONS_INIT;
    struct kirim_endpoint_options endpoint_options = KIRIM_ENDPOINT_OPTIONS_INIT;
    const struct kirim_addr server[2] = { addr_of("10.0.0.1"), addr_of("10.0.0.9") };
    const struct kirim_addr client = addr_of("10.0.0.2");
    memset(w, 0, sizeof *w);
    w->trial = trial;
    options.alloc = kit_alloc;
    options.alloc_user = &w->memory;
    ck_assert_int_eq(trial != NULL ? kirim_trial_open(trial, &options, &w->sim)
                                   : kirim_sim_open(&options, &w->sim),
                     KIRIM_OK);
    ck_assert_int_eq(kirim_sim_host_add(w->sim, "server", server, 2, &w->server_host), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_host_add(w->sim, "client", &client, 1, &w->client_host), KIRIM_OK);
    w->server_loop = open_loop(w, w->server_host);
    w->client_loop = open_loop(w, w->client_host);
    w->zone = kit_zone(&w->memory, zone_text);
    kirim_dns_server_init(&w->server);
    ck_assert_int_eq(kirim_dns_server_add(&w->server, w->zone), KIRIM_OK);
    endpoint_options.local = addr_of("0.0.0.0:53");
    ck_assert_int_eq(
        kirim_dns_service_open(&w->service, w->server_loop, &w->server, &endpoint_options),
        KIRIM_OK);
}

static void close_world(struct world *w)
{
    ck_assert_int_eq(kirim_loop_close(w->client_loop), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_close(w->server_loop), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_close(w->sim), KIRIM_OK);
    kirim_dns_zone_close(w->zone);
    ck_assert_uint_eq(w->memory.blocks, 0);
}

/* Both directions. */
static void set_links(struct world *w, const struct kirim_link_rules *link)
{
    ck_assert_int_eq(kirim_sim_link_set(w->sim, w->client_host, w->server_host, link), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_link_set(w->sim, w->server_host, w->client_host, link), KIRIM_OK);
}

static void start_lookups(struct world *w, size_t count, const char *first, const char *second)
{
    struct kirim_dns_query_options options = KIRIM_DNS_QUERY_OPTIONS_INIT;
    options.name = kit_name("a.example.");
    options.type = KIRIM_DNS_A;
    options.server[0] = addr_of(first);
    options.server_count = 1;
    if (second != NULL) {
        options.server[1] = addr_of(second);
        options.server_count = 2;
    }
    for (size_t i = 0; i < count; i++) {
        struct kirim_dns_lookup *const lookup = &w->lookup[w->started++];
        *lookup = (struct kirim_dns_lookup)KIRIM_DNS_LOOKUP_INIT(on_done, w);
        ck_assert_int_eq(kirim_dns_lookup_start(lookup, w->client_loop, &options), KIRIM_OK);
    }
}

static void run_world(struct world *w, uint64_t ns)
{
    ck_assert_int_eq(kirim_sim_run(w->sim, kirim_sim_now(w->sim) + ns), KIRIM_OK);
}

static struct kirim_link_rules bad_link(void)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 20 * MS;
    link.jitter_ns = 10 * MS;
    link.loss_ppm = 300000;
    link.duplicate_ppm = 200000;
    link.reorder_ppm = 200000;
    link.reorder_ns = 50 * MS;
    link.corrupt_ppm = 10000;
    link.mtu = 576;
    link.mtu_action = KIRIM_SIM_MTU_BLACK_HOLE;
    return link;
}

/* Loses three of ten each way: a try gets through with 0.49, three with 0.87. */
static void run_bad_world(struct kirim_trial *trial, void *answered)
{
    const struct kirim_link_rules link = bad_link();
    struct world w;
    open_world(&w, trial);
    set_links(&w, &link);
    start_lookups(&w, LOOKUP_COUNT, "10.0.0.1:53", NULL);
    run_world(&w, (GIVE_UP_SECONDS + 1) * SECOND);
    EXPECT(&w, w.answered + w.failed == LOOKUP_COUNT);
    EXPECT(&w, w.answered >= LOOKUP_COUNT / 2);
    EXPECT(&w, w.memory.bytes_peak <= MEMORY_BYTES_MAX);
    *(size_t *)answered += w.answered;
    close_world(&w);
}

START_TEST(every_lookup_is_answered_or_gives_up_in_time)
{
    struct kirim_trials_options options = KIRIM_TRIALS_OPTIONS_INIT;
    struct kirim_trials_result result = KIRIM_TRIALS_RESULT_INIT;
    size_t answered = 0;
    options.command = "test_protocols_dns_world";
    ck_assert_int_eq(kirim_trials_run(&options, run_bad_world, &answered, &result), KIRIM_OK);
    if (result.run_count >= options.seed_count) { /* each twice */
        const uint64_t asked = 2 * result.run_count * LOOKUP_COUNT;
        ck_assert_uint_ge(answered, asked * 80 / 100);
        ck_assert_uint_le(answered, asked * 95 / 100);
    }
}
END_TEST

START_TEST(dead_link_is_given_up_to_the_nanosecond)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct world w;
    open_world(&w, NULL);
    link.is_down = true;
    set_links(&w, &link);
    start_lookups(&w, 1, "10.0.0.1:53", NULL);
    run_world(&w, GIVE_UP_SECONDS * SECOND - 1);
    ck_assert_uint_eq(w.failed, 0);
    run_world(&w, 1);
    ck_assert_uint_eq(w.failed, 1);
    close_world(&w);
}
END_TEST

START_TEST(link_that_comes_back_is_used)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct world w;
    open_world(&w, NULL);
    link.is_down = true;
    set_links(&w, &link);
    start_lookups(&w, 1, "10.0.0.1:53", NULL);
    run_world(&w, 3 * SECOND);
    link.is_down = false;
    set_links(&w, &link);
    run_world(&w, 4 * SECOND);
    ck_assert_uint_eq(w.answered, 1);
    ck_assert_uint_eq(w.lookup[0].query.sent_count, 3);
    close_world(&w);
}
END_TEST

/* The answer of the first try comes after the second was sent: it counts, and the answer to the
 * second finds nobody. */
START_TEST(late_answer_counts)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct world w;
    open_world(&w, NULL);
    link.delay_ns = 1500 * MS;
    set_links(&w, &link);
    start_lookups(&w, 1, "10.0.0.1:53", NULL);
    run_world(&w, 10 * SECOND);
    ck_assert_uint_eq(w.answered, 1);
    ck_assert_uint_eq(w.lookup[0].query.sent_count, 2);
    ck_assert_uint_eq(w.lookup[0].ended_ns - w.lookup[0].started_ns, 3 * SECOND);
    close_world(&w);
}
END_TEST

START_TEST(second_server_is_asked_when_the_first_is_silent)
{
    struct world w;
    open_world(&w, NULL);
    start_lookups(&w, 1, "10.0.0.77:53", "10.0.0.1:53"); /* nobody has the first address */
    run_world(&w, 20 * SECOND);
    ck_assert_uint_eq(w.answered, 1);
    ck_assert_uint_eq(w.lookup[0].query.server_index, 1);
    close_world(&w);
}
END_TEST

/* The lookup is connected: an answer from the host's first address would not reach it. */
START_TEST(answer_comes_from_the_address_that_was_asked)
{
    struct world w;
    open_world(&w, NULL);
    start_lookups(&w, 1, "10.0.0.9:53", NULL);
    run_world(&w, SECOND);
    ck_assert_uint_eq(w.answered, 1);
    ck_assert_uint_eq(w.lookup[0].query.sent_count, 1);
    close_world(&w);
}
END_TEST

START_TEST(each_lookup_has_its_port_and_identifier)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct world w;
    open_world(&w, NULL);
    link.is_down = true;
    set_links(&w, &link);
    start_lookups(&w, LOOKUP_COUNT, "10.0.0.1:53", NULL);
    size_t equal_id_count = 0;
    for (size_t i = 0; i < LOOKUP_COUNT; i++) {
        const struct kirim_addr a = kirim_endpoint_local(w.lookup[i].endpoint);
        for (size_t k = 0; k < i; k++) {
            const struct kirim_addr b = kirim_endpoint_local(w.lookup[k].endpoint);
            ck_assert_uint_ne(kirim_addr_port(&a), kirim_addr_port(&b));
            equal_id_count += w.lookup[i].query.id == w.lookup[k].query.id ? 1 : 0;
        }
    }
    ck_assert_uint_le(equal_id_count, 1); /* of 190 pairs and 65,536 numbers */
    run_world(&w, (GIVE_UP_SECONDS + 1) * SECOND);
    ck_assert_uint_eq(w.failed, LOOKUP_COUNT);
    close_world(&w);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { every_lookup_is_answered_or_gives_up_in_time, 0 },
        { dead_link_is_given_up_to_the_nanosecond, 0 },
        { link_that_comes_back_is_used, 0 },
        { late_answer_counts, 0 },
        { second_server_is_asked_when_the_first_is_silent, 0 },
        { answer_comes_from_the_address_that_was_asked, 0 },
        { each_lookup_has_its_port_and_identifier, 0 },
        { NULL, 0 },
    };
    return claims_run("protocols/dns world", claims, 600);
}
