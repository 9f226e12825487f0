/* SPDX-License-Identifier: MIT
 *
 * Claims about transfers on a simulated network: clients and a server on hosts of their own, and
 * links that delay, lose, duplicate and reorder. Whatever happens, a file that is there is the
 * right one, what was begun ends, and memory is bounded.
 *
 *     test_protocols_tftp_world            seeds 1 .. 50
 *     test_protocols_tftp_world 1000       seeds 1 .. 1000
 *     test_protocols_tftp_world 1 731      seed 731 alone
 *
 * A storm that fails is named with its number, from 0; the seed is one more.
 */
#include "kit.h"
#include "protocols/tftp/tftp_endpoint.h"

#include <stdio.h>

#include <kirim/sim.h>

enum {
    SEED_COUNT = 50,
    CLIENT_MAX = 1000,
    STORM_CLIENTS = 6,
    PPM = 1000000,
    STORM_SECONDS = 3600,
    MEMORY_BYTES_MAX = 4 << 20
};

static uint64_t first_seed = 1;
static uint64_t seed_count = SEED_COUNT;

/* "server" with two addresses and a service on all of them, "client" with transfers. */
struct world {
    struct kit_memory memory[3]; /* of the world, the server, the client */
    struct kirim_sim *sim;
    struct kirim_sim_host *server_host, *client_host;
    struct kirim_loop *server_loop, *client_loop;
    struct kit_store there, here;
    struct kirim_tftp_server server;
    struct kirim_tftp_service service;
    struct kirim_tftp_client client[CLIENT_MAX];
    char name[CLIENT_MAX][16];
    uint32_t draw;
    size_t started, ended, done, failed, service_ended;
};

static void on_done(struct kirim_tftp_client *client)
{
    struct world *const w = client->user;
    const struct kirim_tftp_transfer *const t = &client->link.transfer;
    w->ended++;
    w->done += t->state == KIRIM_TFTP_DONE ? 1 : 0;
    w->failed += t->state == KIRIM_TFTP_FAILED ? 1 : 0;
    ck_assert(kirim_tftp_transfer_has_ended(t));
}

static void on_ended(struct kirim_tftp_service *service, const struct kirim_tftp_transfer *t,
                     const struct kirim_addr *peer)
{
    struct world *const w = service->user;
    ck_assert(kirim_tftp_transfer_has_ended(t));
    ck_assert_uint_ne(kirim_addr_port(peer), 0);
    w->service_ended++;
}

static struct kirim_addr addr_of(const char *text)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(text, &addr), KIRIM_OK);
    return addr;
}

static struct kirim_loop *open_loop(struct kirim_sim_host *host, struct kit_memory *memory)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop = NULL;
    options.reactor = "sim";
    options.reactor_context = host;
    options.alloc = kit_alloc;
    options.alloc_user = memory;
    ck_assert_int_eq(kirim_loop_open(&options, &loop), KIRIM_OK);
    return loop;
}

static struct world *open_world(uint64_t seed)
{
    static struct world world;
    struct world *const w = &world;
    struct kirim_sim_options options = KIRIM_SIM_OPTIONS_INIT;
    struct kirim_endpoint_options endpoint_options = KIRIM_ENDPOINT_OPTIONS_INIT;
    const struct kirim_addr server[2] = { addr_of("10.0.0.1"), addr_of("10.0.0.9") };
    const struct kirim_addr client = addr_of("10.0.0.2");
    memset(w, 0, sizeof *w);
    options.seed = seed;
    options.alloc = kit_alloc;
    options.alloc_user = &w->memory[0];
    w->draw = (uint32_t)seed * 2654435761U + 1;
    ck_assert_int_eq(kirim_sim_open(&options, &w->sim), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_host_add(w->sim, "server", server, 2, &w->server_host), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_host_add(w->sim, "client", &client, 1, &w->client_host), KIRIM_OK);
    w->server_loop = open_loop(w->server_host, &w->memory[1]);
    w->client_loop = open_loop(w->client_host, &w->memory[2]);
    kit_store_init(&w->there);
    kit_store_init(&w->here);
    kirim_tftp_server_init(&w->server, &w->there.storage);
    w->server.is_writable = true;
    kirim_tftp_service_init(&w->service, &w->server);
    w->service.ended = on_ended;
    w->service.user = w;
    endpoint_options.local = addr_of("0.0.0.0:69");
    ck_assert_int_eq(kirim_tftp_service_open(&w->service, w->server_loop, &endpoint_options),
                     KIRIM_OK);
    return w;
}

static void close_world(struct world *w)
{
    ck_assert_int_eq(kirim_loop_close(w->client_loop), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_close(w->server_loop), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_close(w->sim), KIRIM_OK);
    ck_assert_uint_eq(w->ended, w->started);
    ck_assert_uint_eq(w->service.transfer_count, 0);
    ck_assert_uint_eq(w->service.stats.done + w->service.stats.failed, w->service.stats.accepted);
    ck_assert_uint_eq(w->service_ended, w->service.stats.accepted);
    kit_store_fini(&w->there);
    kit_store_fini(&w->here);
    for (size_t i = 0; i < COUNT_OF(w->memory); i++) {
        ck_assert_uint_eq(w->memory[i].blocks, 0);
    }
}

/* Both directions. */
static void set_links(struct world *w, const struct kirim_sim_link *link)
{
    ck_assert_int_eq(kirim_sim_link_set(w->sim, w->client_host, w->server_host, link), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_link_set(w->sim, w->server_host, w->client_host, link), KIRIM_OK);
}

static void run_world(struct world *w, uint64_t ns)
{
    ck_assert_int_eq(kirim_sim_run(w->sim, kirim_sim_now(w->sim) + ns), KIRIM_OK);
}

/* 0 .. most - 1, by the world's seed. */
static uint32_t draw(struct world *w, uint32_t most)
{
    w->draw ^= w->draw << 13;
    w->draw ^= w->draw >> 17;
    w->draw ^= w->draw << 5;
    return w->draw % most;
}

static struct kirim_tftp_client_options options_of(struct world *w, uint16_t kind)
{
    struct kirim_tftp_client_options options = KIRIM_TFTP_CLIENT_OPTIONS_INIT;
    options.request.kind = kind;
    options.request.name = w->name[w->started];
    options.local_name = w->name[w->started];
    options.storage = &w->here.storage;
    return options;
}

static struct kirim_tftp_client *start(struct world *w,
                                       const struct kirim_tftp_client_options *options,
                                       const char *server)
{
    struct kirim_tftp_client *const client = &w->client[w->started++];
    const struct kirim_addr at = addr_of(server);
    *client = (struct kirim_tftp_client)KIRIM_TFTP_CLIENT_INIT(on_done, w);
    ck_assert_int_eq(kirim_tftp_client_start(client, w->client_loop, &at, options), KIRIM_OK);
    return client;
}

/* A transfer of `bytes` under the next name, with the usual options. */
static struct kirim_tftp_client *start_plain(struct world *w, uint16_t kind, size_t bytes)
{
    const struct kirim_tftp_client_options options = options_of(w, kind);
    char *const name = w->name[w->started];
    (void)snprintf(name, sizeof w->name[0], "f%zu", w->started);
    (void)kit_put_pattern(kind == KIRIM_TFTP_RRQ ? &w->there : &w->here, name, bytes);
    return start(w, &options, "10.0.0.1:69");
}

/* ---- storms ---------------------------------------------------------------------------------- */

/* Text with many ends of lines. */
static void put_text(struct kit_store *store, const char *name, size_t bytes)
{
    static const char letters[] = "ab\n\rc";
    struct kit_file *const file = kit_put_pattern(store, name, bytes);
    for (size_t i = 0; i < bytes; i++) {
        file->data[i] = (uint8_t)letters[file->data[i] % 5];
    }
}

static void start_drawn(struct world *w)
{
    static const uint32_t blksize[] = { 8, 64, 512, 1024, 1428, 8192 };
    const uint16_t kind = draw(w, 2) == 0 ? KIRIM_TFTP_RRQ : KIRIM_TFTP_WRQ;
    struct kirim_tftp_client_options options = options_of(w, kind);
    struct kirim_tftp_options *const wanted = &options.request.options;
    struct kit_store *const from = kind == KIRIM_TFTP_RRQ ? &w->there : &w->here;
    char *const name = w->name[w->started];
    (void)snprintf(name, sizeof w->name[0], "f%zu", w->started);
    wanted->blksize = blksize[draw(w, COUNT_OF(blksize))];
    wanted->windowsize = 1 + draw(w, 32);
    wanted->has = draw(w, 8) == 0 ? 0 : 1 + draw(w, 15);
    wanted->has &= ~(uint32_t)KIRIM_TFTP_HAS_TIMEOUT;
    const uint32_t block = (wanted->has & KIRIM_TFTP_HAS_BLKSIZE) != 0 ? wanted->blksize : 512;
    const size_t bytes = draw(w, 4) == 0 ? (size_t)block * draw(w, 60) : draw(w, block * 60);
    if (draw(w, 3) == 0) {
        options.request.mode = KIRIM_TFTP_NETASCII;
        put_text(from, name, bytes);
    } else {
        (void)kit_put_pattern(from, name, bytes);
    }
    (void)start(w, &options, draw(w, 2) == 0 ? "10.0.0.1:69" : "10.0.0.9:69");
}

static struct kirim_sim_link drawn_link(struct world *w)
{
    struct kirim_sim_link link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = (1 + draw(w, 60)) * MS;
    link.jitter_ns = draw(w, 30) * MS;
    link.loss_ppm = draw(w, 150000);
    link.duplicate_ppm = draw(w, 150000);
    link.reorder_ppm = draw(w, 150000);
    link.reorder_ns = draw(w, 200) * MS;
    link.corrupt_ppm = draw(w, 10000);
    return link;
}

/* Who says that it went well has, or gave, the right bytes; who does not has left nothing. */
static void check_client(struct world *w, size_t index)
{
    const struct kirim_tftp_transfer *const t = &w->client[index].link.transfer;
    const bool is_get = t->request.kind == KIRIM_TFTP_RRQ;
    if (t->state == KIRIM_TFTP_DONE) {
        kit_check_same(&w->there, w->name[index], &w->here, w->name[index]);
        return;
    }
    ck_assert(t->err == KIRIM_ETIMEDOUT || t->err == KIRIM_TFTP_EREMOTE ||
              t->err == KIRIM_ECONNRESET);
    if (is_get) {
        ck_assert_ptr_null(kit_find(&w->here, w->name[index]));
    } else if (kit_find(&w->there, w->name[index]) != NULL) {
        kit_check_same(&w->there, w->name[index], &w->here, w->name[index]);
    }
}

static uint64_t run_storm(uint64_t seed, size_t *done)
{
    struct world *const w = open_world(seed);
    const struct kirim_sim_link link = drawn_link(w);
    set_links(w, &link);
    for (size_t i = 0; i < STORM_CLIENTS; i++) {
        start_drawn(w);
    }
    run_world(w, STORM_SECONDS * SECOND);
    ck_assert_uint_eq(w->ended, w->started);
    ck_assert_uint_eq(w->service.transfer_count, 0);
    ck_assert_uint_eq(w->here.open_count + w->there.open_count, 0);
    for (size_t i = 0; i < w->started; i++) {
        check_client(w, i);
    }
    ck_assert_uint_le(w->memory[1].bytes_peak, MEMORY_BYTES_MAX);
    ck_assert_uint_le(w->memory[2].bytes_peak, MEMORY_BYTES_MAX);
    *done += w->done;
    const uint64_t digest = kirim_sim_digest(w->sim);
    close_world(w);
    return digest;
}

START_TEST(files_arrive_whole_or_not_at_all)
{
    const uint64_t seed = first_seed + (uint64_t)_i;
    size_t done = 0;
    const uint64_t digest = run_storm(seed, &done);
    ck_assert_uint_eq(run_storm(seed, &done), digest); /* twins */
    ck_assert_uint_ge(done, STORM_CLIENTS);            /* of twice as many */
}
END_TEST

START_TEST(nearly_all_arrive_over_all_seeds)
{
    size_t done = 0;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        (void)run_storm(seed, &done);
    }
    ck_assert_uint_ge(done, SEED_COUNT * STORM_CLIENTS * 98 / 100);
}
END_TEST

/* ---- single faults --------------------------------------------------------------------------- */

/* Every datagram comes twice, and none is sent for the second one. */
START_TEST(doubled_datagrams_are_not_doubled_again)
{
    static const uint16_t kinds[] = { KIRIM_TFTP_RRQ, KIRIM_TFTP_WRQ };
    struct world *const w = open_world(1);
    struct kirim_sim_link link = KIRIM_SIM_LINK_INIT;
    struct kirim_sim_stats stats = KIRIM_SIM_STATS_INIT;
    link.delay_ns = 5 * MS;
    link.duplicate_ppm = PPM;
    set_links(w, &link);
    (void)start_plain(w, kinds[_i], 100000);
    run_world(w, 20 * SECOND);
    ck_assert_uint_eq(w->done, 1);
    ck_assert_uint_eq(w->client[0].link.transfer.stats.resent, 0);
    ck_assert_int_eq(kirim_sim_read_stats(w->sim, &stats), KIRIM_OK);
    /* 71 blocks in 5 windows, and some ACKs for what came twice. */
    ck_assert_uint_le(stats.sent, 71 + 2 * 6 + 4);
    ck_assert_uint_eq(w->service.stats.accepted, 1);
    ck_assert_uint_eq(w->service.stats.duplicates, 1);
    kit_check_same(&w->there, "f0", &w->here, "f0");
    close_world(w);
}
END_TEST

START_TEST(dead_link_ends_both_ends_and_leaves_nothing)
{
    static const uint16_t kinds[] = { KIRIM_TFTP_RRQ, KIRIM_TFTP_WRQ };
    struct world *const w = open_world(1);
    struct kirim_sim_link link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 20 * MS;
    set_links(w, &link);
    (void)start_plain(w, kinds[_i], 1000000);
    run_world(w, SECOND);
    ck_assert_uint_eq(w->service.transfer_count, 1);
    link.is_down = true;
    set_links(w, &link);
    run_world(w, 31 * SECOND);
    ck_assert_uint_eq(w->failed, 1);
    ck_assert_int_eq(w->client[0].link.transfer.err, KIRIM_ETIMEDOUT);
    ck_assert_uint_eq(w->service.transfer_count, 0);
    ck_assert_uint_eq(w->service.stats.failed, 1);
    ck_assert_ptr_null(kit_find(_i == 0 ? &w->here : &w->there, "f0"));
    close_world(w);
}
END_TEST

START_TEST(client_that_dies_is_known_by_its_closed_port)
{
    struct world *const w = open_world(1);
    struct kirim_sim_link link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 20 * MS;
    set_links(w, &link);
    (void)start_plain(w, KIRIM_TFTP_RRQ, 1000000);
    run_world(w, SECOND);
    ck_assert_int_eq(kirim_endpoint_close(w->client[0].link.endpoint), KIRIM_OK); /* no ERROR */
    run_world(w, SECOND);
    ck_assert_uint_eq(w->service.transfer_count, 0);
    ck_assert_int_eq(w->client[0].link.transfer.err, KIRIM_EABORTED);
    close_world(w);
}
END_TEST

START_TEST(cancelled_transfer_is_told)
{
    struct world *const w = open_world(1);
    (void)start_plain(w, KIRIM_TFTP_WRQ, 1000000);
    (void)start_plain(w, KIRIM_TFTP_RRQ, 1000000);
    struct kirim_sim_link link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 20 * MS;
    set_links(w, &link);
    run_world(w, SECOND / 2);
    kirim_tftp_client_cancel(&w->client[0]);
    kirim_tftp_client_cancel(&w->client[0]);
    run_world(w, SECOND / 10);
    ck_assert_uint_eq(w->service.transfer_count, 1);
    kirim_tftp_service_close(&w->service);
    run_world(w, SECOND);
    ck_assert_uint_eq(w->ended, 2);
    ck_assert_int_eq(w->client[1].link.transfer.err, KIRIM_TFTP_EREMOTE);
    ck_assert_str_eq(w->client[1].link.transfer.peer_text, "cancelled");
    ck_assert_ptr_null(w->service.endpoint);
    close_world(w);
}
END_TEST

/* At 50 ms there and back a window of 16 is some sixteen times as fast as one block. */
START_TEST(windows_fill_a_long_path)
{
    uint64_t took_ns[2];
    for (size_t i = 0; i < 2; i++) {
        struct world *const w = open_world(1);
        struct kirim_sim_link link = KIRIM_SIM_LINK_INIT;
        struct kirim_tftp_client_options options = options_of(w, KIRIM_TFTP_RRQ);
        link.delay_ns = 25 * MS;
        set_links(w, &link);
        (void)snprintf(w->name[0], sizeof w->name[0], "f");
        (void)kit_put_pattern(&w->there, "f", 1 << 20);
        options.request.options.windowsize = i == 0 ? 1 : 16;
        const struct kirim_tftp_client *const client = start(w, &options, "10.0.0.1:69");
        run_world(w, 100 * SECOND);
        ck_assert_uint_eq(w->done, 1);
        ck_assert_uint_eq(client->link.transfer.stats.duplicates, 0);
        took_ns[i] = client->moved_ns - client->started_ns;
        close_world(w);
    }
    ck_assert_uint_ge(took_ns[0], 735 * 50 * MS);
    ck_assert_uint_le(took_ns[1], 48 * 50 * MS);
}
END_TEST

START_TEST(thousand_transfers_at_once)
{
    struct world *const w = open_world(1);
    struct kirim_sim_link link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 10 * MS;
    set_links(w, &link);
    (void)kit_put_pattern(&w->there, "f", 20000);
    w->here.is_overwriting = true;
    for (size_t i = 0; i < CLIENT_MAX; i++) {
        struct kirim_tftp_client_options options = options_of(w, KIRIM_TFTP_RRQ);
        options.request.name = "f";
        options.local_name = "f";
        (void)start(w, &options, "10.0.0.1:69");
        if (i % 50 == 49) {
            run_world(w, 2 * MS);
        }
    }
    run_world(w, 60 * SECOND);
    ck_assert_uint_eq(w->done, CLIENT_MAX);
    ck_assert_uint_eq(w->service.stats.done, CLIENT_MAX);
    kit_check_same(&w->there, "f", &w->here, "f");
    close_world(w);
}
END_TEST

/* ---- who may ask, and who not ---------------------------------------------------------------- */

/* A peer that says what a test wants, and keeps the last answer. */
struct raw {
    struct kirim_endpoint *ep;
    size_t count;
    uint8_t data[2048];
    size_t bytes;
    struct kirim_addr from;
};

static void on_raw(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct raw *const raw = user;
    (void)ep;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        raw->count++;
        raw->bytes = d->bytes;
        raw->from = d->peer;
        memcpy(raw->data, d->data, d->bytes < sizeof raw->data ? d->bytes : sizeof raw->data);
    }
}

static void open_raw(struct world *w, struct raw *raw)
{
    static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = on_raw };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    memset(raw, 0, sizeof *raw);
    options.local = addr_of("10.0.0.2:0");
    options.flags = KIRIM_ENDPOINT_BROADCAST;
    options.handler = &handler;
    options.user = raw;
    ck_assert_int_eq(kirim_endpoint_open(w->client_loop, &options, &raw->ep), KIRIM_OK);
}

static void say(struct world *w, struct raw *raw, const char *data, size_t bytes,
                const struct kirim_addr *to)
{
    ck_assert_int_eq(kirim_endpoint_send_to(raw->ep, data, bytes, to), KIRIM_OK);
    run_world(w, 10 * MS);
}

static const char rrq[] = "\0\1f\0octet";

START_TEST(transfer_has_its_port_and_the_address_that_was_asked)
{
    struct world *const w = open_world(1);
    struct raw raw;
    const struct kirim_addr second = addr_of("10.0.0.9:69");
    (void)kit_put_pattern(&w->there, "f", 600);
    open_raw(w, &raw);
    say(w, &raw, rrq, sizeof rrq, &second);
    ck_assert_uint_eq(raw.count, 1);
    ck_assert_uint_eq(raw.bytes, 516);
    ck_assert_uint_ne(kirim_addr_port(&raw.from), 69);
    struct kirim_addr at = raw.from;
    kirim_addr_set_port(&at, 69);
    ck_assert(kirim_addr_equal(&at, &second));
    say(w, &raw, rrq, sizeof rrq, &second); /* once more: no second transfer */
    ck_assert_uint_eq(w->service.stats.duplicates, 1);
    ck_assert_uint_eq(raw.count, 1);
    say(w, &raw, "\0\4\0\1", 4, &raw.from);
    say(w, &raw, "\0\4\0\2", 4, &raw.from);
    ck_assert_uint_eq(raw.count, 2);
    ck_assert_uint_eq(w->service.stats.done, 1);
    say(w, &raw, rrq, sizeof rrq, &second); /* from now on it is a new one */
    ck_assert_uint_eq(w->service.stats.accepted, 2);
    close_world(w);
}
END_TEST

START_TEST(stranger_is_told_and_disturbs_nothing)
{
    struct world *const w = open_world(1);
    struct raw raw;
    struct raw stranger;
    const struct kirim_addr server = addr_of("10.0.0.1:69");
    (void)kit_put_pattern(&w->there, "f", 600);
    open_raw(w, &raw);
    open_raw(w, &stranger);
    say(w, &raw, rrq, sizeof rrq, &server);
    say(w, &stranger, "\0\4\0\1", 4, &raw.from);
    ck_assert_uint_eq(stranger.count, 1);
    ck_assert_int_eq(memcmp(stranger.data, "\0\5\0\5", 4), 0);
    say(w, &stranger, "\0\5\0\1no", 7, &raw.from); /* an ERROR is never answered */
    say(w, &stranger, "x", 1, &raw.from);
    ck_assert_uint_eq(stranger.count, 1);
    ck_assert_uint_eq(raw.count, 1);
    say(w, &raw, "\0\4\0\1", 4, &raw.from);
    ck_assert_uint_eq(raw.count, 2);
    say(w, &raw, "\0\4\0\2", 4, &raw.from);
    ck_assert_uint_eq(w->service.stats.done, 1);
    ck_assert_uint_eq(w->service.stats.strangers, 3);
    close_world(w);
}
END_TEST

START_TEST(who_asks_everybody_is_not_answered)
{
    struct world *const w = open_world(1);
    struct raw raw;
    const struct kirim_addr all = addr_of("255.255.255.255:69");
    (void)kit_put_pattern(&w->there, "f", 600);
    open_raw(w, &raw);
    say(w, &raw, rrq, sizeof rrq, &all);
    ck_assert_uint_eq(raw.count, 0);
    ck_assert_uint_eq(w->service.stats.forged, 1);
    close_world(w);
}
END_TEST

/* What a server says to a request, by its code; -1: nothing. */
static const struct {
    const char *wire;
    size_t bytes;
    int code;
} refusals[] = {
#define SAYS(text, number)             \
    {                                  \
        text, sizeof(text) - 1, number \
    }
    SAYS("\0\1nothing\0octet\0", 1),
    SAYS("\0\1../f\0octet\0", 2),
    SAYS("\0\1f\0mail\0", 4),
    SAYS("\0\1f\0octet", 4),
    SAYS("\0\1", 4),
    SAYS("\0\2f\0octet\0", 6),
    SAYS("\0\2big\0octet\0tsize\0"
         "1001\0",
         3),
    SAYS("\0\3\0\1data", -1),
    SAYS("\0\4\0\1", -1),
    SAYS("\0\5\0\1x\0", -1),
    SAYS("\0\6", -1),
    SAYS("\1\1f\0octet\0", -1),
    SAYS("\0", -1),
    SAYS("", -1),
};

START_TEST(refusals_have_their_codes)
{
    struct world *const w = open_world(1);
    struct raw raw;
    const struct kirim_addr server = addr_of("10.0.0.1:69");
    w->server.upload_bytes_max = 1000;
    (void)kit_put_pattern(&w->there, "f", 600);
    open_raw(w, &raw);
    say(w, &raw, refusals[_i].wire, refusals[_i].bytes, &server);
    ck_assert_uint_eq(raw.count, refusals[_i].code < 0 ? 0 : 1);
    if (refusals[_i].code >= 0) {
        ck_assert_uint_eq(raw.data[1], KIRIM_TFTP_ERROR);
        ck_assert_int_eq(raw.data[3], refusals[_i].code);
        ck_assert_uint_eq(w->service.stats.refused, 1);
    }
    ck_assert_uint_eq(w->service.transfer_count, 0);
    close_world(w);
}
END_TEST

START_TEST(server_that_only_gives_takes_nothing)
{
    struct world *const w = open_world(1);
    w->server.is_writable = false;
    (void)start_plain(w, KIRIM_TFTP_WRQ, 100);
    run_world(w, SECOND);
    ck_assert_int_eq(w->client[0].link.transfer.err, KIRIM_TFTP_EREMOTE);
    ck_assert_uint_eq(w->client[0].link.transfer.peer_code, KIRIM_TFTP_CODE_ACCESS);
    close_world(w);
}
END_TEST

START_TEST(transfers_are_capped)
{
    struct world *const w = open_world(1);
    struct kirim_sim_link link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 20 * MS;
    set_links(w, &link);
    w->service.transfer_count_max = 2;
    for (size_t i = 0; i < 3; i++) {
        (void)start_plain(w, KIRIM_TFTP_RRQ, 200000);
    }
    run_world(w, 30 * SECOND);
    ck_assert_uint_eq(w->done, 2);
    ck_assert_str_eq(w->client[2].link.transfer.peer_text, "too many transfers");
    close_world(w);
}
END_TEST

START_TEST(blocks_fit_the_path_unless_they_may_be_cut)
{
    struct world *const w = open_world(1);
    struct kirim_sim_link link = KIRIM_SIM_LINK_INIT;
    struct kirim_tftp_client_options options = options_of(w, KIRIM_TFTP_RRQ);
    link.mtu = 1500;
    link.mtu_action = KIRIM_SIM_MTU_FRAGMENT;
    set_links(w, &link);
    w->service.is_fragmenting = _i == 1;
    (void)snprintf(w->name[0], sizeof w->name[0], "f");
    (void)kit_put_pattern(&w->there, "f", 100000);
    options.request.options.blksize = 60000;
    (void)start(w, &options, "10.0.0.1:69");
    run_world(w, 10 * SECOND);
    ck_assert_uint_eq(w->done, 1);
    const uint32_t got = w->client[0].link.transfer.agreed.blksize;
    ck_assert(_i == 1 ? got == 60000 : got <= 1468);
    close_world(w);
}
END_TEST

START_TEST(every_failed_allocation_leaves_nothing)
{
    for (size_t at = 1; at < 40; at++) {
        struct world *const w = open_world(1);
        w->memory[1].fail_at = w->memory[1].calls + at;
        (void)start_plain(w, KIRIM_TFTP_WRQ, 5000);
        (void)start_plain(w, KIRIM_TFTP_RRQ, 5000);
        run_world(w, 100 * SECOND);
        ck_assert_uint_eq(w->ended, 2);
        ck_assert_uint_eq(w->there.open_count, 0);
        close_world(w);
    }
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1) {
        seed_count = strtoull(argv[1], NULL, 10);
    }
    if (argc > 2) {
        first_seed = strtoull(argv[2], NULL, 10);
    }
    const struct kit_claim claims[] = {
        { files_arrive_whole_or_not_at_all, (int)seed_count },
        { nearly_all_arrive_over_all_seeds, 0 },
        { doubled_datagrams_are_not_doubled_again, 2 },
        { dead_link_ends_both_ends_and_leaves_nothing, 2 },
        { client_that_dies_is_known_by_its_closed_port, 0 },
        { cancelled_transfer_is_told, 0 },
        { windows_fill_a_long_path, 0 },
        { thousand_transfers_at_once, 0 },
        { transfer_has_its_port_and_the_address_that_was_asked, 0 },
        { stranger_is_told_and_disturbs_nothing, 0 },
        { who_asks_everybody_is_not_answered, 0 },
        { refusals_have_their_codes, COUNT_OF(refusals) },
        { server_that_only_gives_takes_nothing, 0 },
        { transfers_are_capped, 0 },
        { blocks_fit_the_path_unless_they_may_be_cut, 2 },
        { every_failed_allocation_leaves_nothing, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp world", claims);
}
