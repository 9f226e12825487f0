/* SPDX-License-Identifier: MIT
 *
 * A simulated network with a TFTP server and clients: see world.h.
 */
#include "world.h"

#include <stdio.h>

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

struct world *world_open(uint64_t seed)
{
    static struct world world;
    struct world *const w = &world;
    struct kirim_endpoint_options endpoint_options = KIRIM_ENDPOINT_OPTIONS_INIT;
    memset(w, 0, sizeof *w);
    w->random.state = seed;
    w->sim = simnet_open(seed, &w->memory[0]);
    w->server_host = simnet_host(w->sim, "server", "10.0.0.1", "10.0.0.9");
    w->client_host = simnet_host(w->sim, "client", "10.0.0.2", NULL);
    w->other_host = simnet_host(w->sim, "other", "10.9.0.2", NULL);
    w->server_loop = simnet_loop(w->server_host, &w->memory[1]);
    w->client_loop = simnet_loop(w->client_host, &w->memory[2]);
    w->other_loop = simnet_loop(w->other_host, &w->memory[3]);
    kit_store_init(&w->there);
    kit_store_init(&w->here);
    kirim_tftp_server_init(&w->server, &w->there.storage);
    w->server.is_writable = true;
    kirim_tftp_service_init(&w->service, &w->server);
    w->service.ended = on_ended;
    w->service.user = w;
    endpoint_options.local = simnet_addr("0.0.0.0:69");
    ck_assert_int_eq(kirim_tftp_service_open(&w->service, w->server_loop, &endpoint_options),
                     KIRIM_OK);
    return w;
}

void world_close(struct world *w)
{
    ck_assert_int_eq(kirim_loop_close(w->other_loop), KIRIM_OK);
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

void world_set_links(struct world *w, const struct kirim_link_rules *link)
{
    simnet_link(w->sim, w->client_host, w->server_host, link);
}

void world_run(struct world *w, uint64_t ns)
{
    simnet_run(w->sim, ns);
}

uint32_t world_draw(struct world *w, uint32_t most)
{
    return (uint32_t)test_random_below(&w->random, most);
}

struct kirim_tftp_client_options world_options(struct world *w, uint16_t kind)
{
    struct kirim_tftp_client_options options = KIRIM_TFTP_CLIENT_OPTIONS_INIT;
    options.request.kind = kind;
    options.request.name = w->name[w->started];
    options.local_name = w->name[w->started];
    options.storage = &w->here.storage;
    return options;
}

struct kirim_tftp_client *world_start(struct world *w,
                                      const struct kirim_tftp_client_options *options,
                                      const char *server)
{
    struct kirim_tftp_client *const client = &w->client[w->started++];
    const struct kirim_addr at = simnet_addr(server);
    *client = (struct kirim_tftp_client)KIRIM_TFTP_CLIENT_INIT(on_done, w);
    ck_assert_int_eq(kirim_tftp_client_start(client, w->client_loop, &at, options), KIRIM_OK);
    return client;
}

struct kirim_tftp_client *world_start_plain(struct world *w, uint16_t kind, size_t bytes)
{
    const struct kirim_tftp_client_options options = world_options(w, kind);
    char *const name = w->name[w->started];
    (void)snprintf(name, sizeof w->name[0], "f%zu", w->started);
    (void)kit_put_pattern(kind == KIRIM_TFTP_RRQ ? &w->there : &w->here, name, bytes);
    return world_start(w, &options, "10.0.0.1:69");
}
