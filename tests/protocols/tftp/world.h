/* SPDX-License-Identifier: MIT
 *
 * A simulated network with a TFTP server on one host and clients on another, for the suites that
 * need one. There is one at a time. One thread.
 */
#ifndef TFTP_WORLD_H
#define TFTP_WORLD_H

#include "kit.h"
#include "protocols/tftp/tftp_endpoint.h"
#include "support/random.h"
#include "support/simnet.h"

enum { WORLD_CLIENT_MAX = 1000, PPM = 1000000 };

/* "server" with two addresses and a service on all of them, "client" with transfers, and somebody
 * of another prefix. */
struct world {
    struct kit_memory memory[4]; /* of the world, the server, the client, the other */
    struct kirim_sim *sim;
    struct kirim_sim_host *server_host, *client_host, *other_host;
    struct kirim_loop *server_loop, *client_loop, *other_loop;
    struct kit_store there, here;
    struct kirim_tftp_server server;
    struct kirim_tftp_service service;
    struct kirim_tftp_client client[WORLD_CLIENT_MAX];
    char name[WORLD_CLIENT_MAX][16];
    struct test_random random;
    size_t started, ended, done, failed, service_ended;
};

/* The server takes files too, and is at port 69 of 10.0.0.1 and 10.0.0.9; the client is at
 * 10.0.0.2, the other at 10.9.0.2. The links are whole and without delay. */
struct world *world_open(uint64_t seed);

/* Checks that all that began has ended and that no memory is left. */
void world_close(struct world *w);

/* Both directions between the client and the server. */
void world_set_links(struct world *w, const struct kirim_link_rules *link);
void world_run(struct world *w, uint64_t ns);

/* 0 .. most - 1, by the world's seed. */
uint32_t world_draw(struct world *w, uint32_t most);

/* Options of the next client, whose name here and there is that of its place in `name`. */
struct kirim_tftp_client_options world_options(struct world *w, uint16_t kind);
struct kirim_tftp_client *world_start(struct world *w,
                                      const struct kirim_tftp_client_options *options,
                                      const char *server);

/* A transfer of so many bytes under the next name, with the usual options. */
struct kirim_tftp_client *world_start_plain(struct world *w, uint16_t kind, size_t bytes);

#endif
