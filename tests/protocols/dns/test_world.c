/* SPDX-License-Identifier: MIT
 *
 * Claims about lookups on a simulated network: a client and a server on two hosts, and links that
 * lose, duplicate, reorder and corrupt. Each lookup is answered, or gives up when it said it would.
 * How seeds are chosen: support/storm.h.
 */
#include "kit.h"
#include "protocols/dns/dns_endpoint.h"

#include "support/simnet.h"
#include "support/storm.h"

#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum {
    LOOKUP_COUNT = 20,
    GIVE_UP_SECONDS = 2 + 4 + 8,
    MEMORY_BYTES_MAX = 2 << 20 /* the world with all that flies in it */
};

static const char zone_text[] = "$ORIGIN example.\n$TTL 5\n@ SOA a b 1 2 3 4 5\n@ NS a\n"
                                "a A 192.0.2.1\n";

/* Two hosts: "server" with two addresses and a service on all of them, "client" with lookups. */
struct world {
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
    ck_assert_uint_le(waited_ns, GIVE_UP_SECONDS * SECOND);
    if (lookup->query.state == KIRIM_DNS_QUERY_ANSWERED) {
        const char *const answer = kit_section(&lookup->query.answer, 1);
        w->answered++;
        ck_assert_str_eq(answer, "a.example. 5 A 192.0.2.1\n");
        storm_note((uint64_t)(lookup - w->lookup), answer, strlen(answer));
    } else {
        w->failed++;
        ck_assert_int_eq(lookup->query.err, KIRIM_ETIMEDOUT);
        ck_assert_uint_eq(waited_ns, GIVE_UP_SECONDS * SECOND);
        ck_assert_uint_eq(lookup->query.sent_count, 3);
    }
}

static void open_world(struct world *w, uint64_t seed)
{
    struct kirim_endpoint_options endpoint_options = KIRIM_ENDPOINT_OPTIONS_INIT;
    memset(w, 0, sizeof *w);
    w->sim = simnet_open(seed, &w->memory);
    w->server_host = simnet_host(w->sim, "server", "10.0.0.1", "10.0.0.9");
    w->client_host = simnet_host(w->sim, "client", "10.0.0.2", NULL);
    w->server_loop = simnet_loop(w->server_host, &w->memory);
    w->client_loop = simnet_loop(w->client_host, &w->memory);
    w->zone = kit_zone(&w->memory, zone_text);
    kirim_dns_server_init(&w->server);
    ck_assert_int_eq(kirim_dns_server_add(&w->server, w->zone), KIRIM_OK);
    endpoint_options.local = simnet_addr("0.0.0.0:53");
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

static void set_links(struct world *w, const struct kirim_link_rules *link)
{
    simnet_link(w->sim, w->client_host, w->server_host, link);
}

static void start_lookups(struct world *w, size_t count, const char *first, const char *second)
{
    struct kirim_dns_query_options options = KIRIM_DNS_QUERY_OPTIONS_INIT;
    options.name = kit_name("a.example.");
    options.type = KIRIM_DNS_A;
    options.server[0] = simnet_addr(first);
    options.server_count = 1;
    if (second != NULL) {
        options.server[1] = simnet_addr(second);
        options.server_count = 2;
    }
    for (size_t i = 0; i < count; i++) {
        struct kirim_dns_lookup *const lookup = &w->lookup[w->started++];
        *lookup = (struct kirim_dns_lookup)KIRIM_DNS_LOOKUP_INIT(on_done, w);
        ck_assert_int_eq(kirim_dns_lookup_start(lookup, w->client_loop, &options), KIRIM_OK);
    }
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
    open_world(&w, kirim_trial_seed(trial));
    set_links(&w, &link);
    start_lookups(&w, LOOKUP_COUNT, "10.0.0.1:53", NULL);
    simnet_run(w.sim, (GIVE_UP_SECONDS + 1) * SECOND);
    KIRIM_TRIAL_EXPECT(trial, w.answered + w.failed == LOOKUP_COUNT);
    KIRIM_TRIAL_EXPECT(trial, w.answered >= LOOKUP_COUNT / 2);
    KIRIM_TRIAL_EXPECT(trial, w.memory.bytes_peak <= MEMORY_BYTES_MAX);
    *(size_t *)answered += w.answered;
    close_world(&w);
}

START_TEST(every_lookup_is_answered_or_gives_up_in_time)
{
    size_t answered = 0;
    const uint64_t count = storm_run(run_bad_world, &answered);
    if (count >= STORM_SEEDS) { /* each twice */
        ck_assert_uint_ge(answered, 2 * count * LOOKUP_COUNT * 80 / 100);
        ck_assert_uint_le(answered, 2 * count * LOOKUP_COUNT * 95 / 100);
    }
}
END_TEST

START_TEST(dead_link_is_given_up_to_the_nanosecond)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct world w;
    open_world(&w, 1);
    link.is_down = true;
    set_links(&w, &link);
    start_lookups(&w, 1, "10.0.0.1:53", NULL);
    simnet_run(w.sim, GIVE_UP_SECONDS * SECOND - 1);
    ck_assert_uint_eq(w.failed, 0);
    simnet_run(w.sim, 1);
    ck_assert_uint_eq(w.failed, 1);
    close_world(&w);
}
END_TEST

START_TEST(link_that_comes_back_is_used)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct world w;
    open_world(&w, 1);
    link.is_down = true;
    set_links(&w, &link);
    start_lookups(&w, 1, "10.0.0.1:53", NULL);
    simnet_run(w.sim, 3 * SECOND);
    link.is_down = false;
    set_links(&w, &link);
    simnet_run(w.sim, 4 * SECOND);
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
    open_world(&w, 1);
    link.delay_ns = 1500 * MS;
    set_links(&w, &link);
    start_lookups(&w, 1, "10.0.0.1:53", NULL);
    simnet_run(w.sim, 10 * SECOND);
    ck_assert_uint_eq(w.answered, 1);
    ck_assert_uint_eq(w.lookup[0].query.sent_count, 2);
    ck_assert_uint_eq(w.lookup[0].ended_ns - w.lookup[0].started_ns, 3 * SECOND);
    close_world(&w);
}
END_TEST

START_TEST(second_server_is_asked_when_the_first_is_silent)
{
    struct world w;
    open_world(&w, 1);
    start_lookups(&w, 1, "10.0.0.77:53", "10.0.0.1:53"); /* nobody has the first address */
    simnet_run(w.sim, 20 * SECOND);
    ck_assert_uint_eq(w.answered, 1);
    ck_assert_uint_eq(w.lookup[0].query.server_index, 1);
    close_world(&w);
}
END_TEST

/* The lookup is connected: an answer from the host's first address would not reach it. */
START_TEST(answer_comes_from_the_address_that_was_asked)
{
    struct world w;
    open_world(&w, 1);
    start_lookups(&w, 1, "10.0.0.9:53", NULL);
    simnet_run(w.sim, SECOND);
    ck_assert_uint_eq(w.answered, 1);
    ck_assert_uint_eq(w.lookup[0].query.sent_count, 1);
    close_world(&w);
}
END_TEST

START_TEST(each_lookup_has_its_port_and_identifier)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct world w;
    open_world(&w, 1);
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
    simnet_run(w.sim, (GIVE_UP_SECONDS + 1) * SECOND);
    ck_assert_uint_eq(w.failed, LOOKUP_COUNT);
    close_world(&w);
}
END_TEST

int main(int argc, char **argv)
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
    return storm_main(argc, argv, "protocols/dns world", claims);
}
