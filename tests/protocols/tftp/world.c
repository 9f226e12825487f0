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

struct kirim_addr world_addr(const char *text)
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

struct world *world_open(uint64_t seed)
{
    static struct world world;
    struct world *const w = &world;
    struct kirim_sim_options options = KIRIM_SIM_OPTIONS_INIT;
    struct kirim_endpoint_options endpoint_options = KIRIM_ENDPOINT_OPTIONS_INIT;
    const struct kirim_addr server[2] = { world_addr("10.0.0.1"), world_addr("10.0.0.9") };
    const struct kirim_addr client = world_addr("10.0.0.2");
    const struct kirim_addr other = world_addr("10.9.0.2");
    memset(w, 0, sizeof *w);
    options.seed = seed;
    options.alloc = kit_alloc;
    options.alloc_user = &w->memory[0];
    w->draw = (uint32_t)seed * 2654435761U + 1;
    ck_assert_int_eq(kirim_sim_open(&options, &w->sim), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_host_add(w->sim, "server", server, 2, &w->server_host), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_host_add(w->sim, "client", &client, 1, &w->client_host), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_host_add(w->sim, "other", &other, 1, &w->other_host), KIRIM_OK);
    w->server_loop = open_loop(w->server_host, &w->memory[1]);
    w->client_loop = open_loop(w->client_host, &w->memory[2]);
    w->other_loop = open_loop(w->other_host, &w->memory[3]);
    kit_store_init(&w->there);
    kit_store_init(&w->here);
    kirim_tftp_server_init(&w->server, &w->there.storage);
    w->server.is_writable = true;
    kirim_tftp_service_init(&w->service, &w->server);
    w->service.ended = on_ended;
    w->service.user = w;
    endpoint_options.local = world_addr("0.0.0.0:69");
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
    ck_assert_int_eq(kirim_sim_link_set(w->sim, w->client_host, w->server_host, link), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_link_set(w->sim, w->server_host, w->client_host, link), KIRIM_OK);
}

void world_run(struct world *w, uint64_t ns)
{
    ck_assert_int_eq(kirim_sim_run(w->sim, kirim_sim_now(w->sim) + ns), KIRIM_OK);
}

uint32_t world_draw(struct world *w, uint32_t most)
{
    w->draw ^= w->draw << 13;
    w->draw ^= w->draw >> 17;
    w->draw ^= w->draw << 5;
    return w->draw % most;
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
    const struct kirim_addr at = world_addr(server);
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
