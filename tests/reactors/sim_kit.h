/* SPDX-License-Identifier: MIT
 *
 * What the simulator's suites share: a world with hosts and endpoints that write down what happens
 * to them, and an allocator that counts and can fail.
 *
 * Everything is opened with a verdict of its own, so a test says only what it is about. Objects
 * live until kit_close(), which also checks that all memory came back. One thread.
 */
#ifndef SIM_KIT_H
#define SIM_KIT_H

#include <check.h>
#include <kirim/kirim.h>
#include <kirim/sim.h>

#include "support/claims.h"
#include "support/memory.h"

#define US     UINT64_C(1000)
#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum { KIT_HOST_MAX = 8, KIT_END_MAX = 32, KIT_TEXT_BYTES = 16 };

struct kit;

struct kit_host {
    struct kit *kit;
    struct kirim_sim_host *host;
    struct kirim_loop *loop;
};

/* A received datagram, as written down. */
struct kit_rx {
    uint64_t time_ns;    /* of the callback */
    uint64_t arrival_ns; /* as told */
    struct kirim_addr peer, local;
    uint32_t bytes, ttl, ifindex;
    uint8_t ecn, flags;
    size_t batch;              /* number of the callback */
    uint32_t number;           /* first four bytes, as kit_send_number() sends them */
    char text[KIT_TEXT_BYTES]; /* first bytes, with a zero behind them */
};

struct kit_end {
    struct kirim_endpoint *ep;
    struct kirim_loop *loop;
    struct kit_rx *rx;
    size_t rx_count, rx_room, batch_count;
    size_t failed_count, writable_count, closed_count;
    struct kirim_event event; /* the last one */
    uint64_t event_ns;
    void (*on_received)(struct kit_end *end, const struct kirim_batch *batch);
    void (*on_writable)(struct kit_end *end);
    void *ctx;
};

struct kit {
    struct kirim_sim *sim;
    struct kit_memory memory;
    struct kit_host hosts[KIT_HOST_MAX];
    size_t host_count;
    struct kit_end ends[KIT_END_MAX];
    size_t end_count;
};

/* ---- worlds ---------------------------------------------------------------------------------- */

void kit_open(struct kit *k, uint64_t seed);
void kit_close(struct kit *k);

/* Adds a host with up to two addresses (NULL: none) and opens its loop. */
struct kit_host *kit_host(struct kit *k, const char *name, const char *addr, const char *second);

/* Opens and closes the host's loop. */
void kit_loop_open(struct kit_host *h);
void kit_loop_close(struct kit_host *h);

/* Runs the world for so long. */
void kit_run(struct kit *k, uint64_t ns);

/* Sets the link between two hosts, this direction only; NULL, NULL: the world's default. */
void kit_link(struct kit *k, const struct kit_host *from, const struct kit_host *to,
              struct kirim_link_rules link);

struct kirim_sim_stats kit_stats(const struct kit *k);

/* A private world: `h` gets its loop, `k` has no world of its own. */
struct kit_host *kit_open_private(struct kit *k);

/* ---- endpoints ------------------------------------------------------------------------------- */

struct kirim_addr kit_addr(const char *text);

/* Opens an endpoint; what it is given are options, "local" and "remote" as text or NULL. */
struct kit_end *kit_bind(struct kit_host *h, const char *local, uint32_t flags);
struct kit_end *kit_connect(struct kit_host *h, const char *local, const char *remote);
struct kit_end *kit_end(struct kit_host *h, const struct kirim_endpoint_options *options);

/* The same, for what may be refused; `*out` is NULL then. */
kirim_err kit_try(struct kit_host *h, const char *local, const char *remote, uint32_t flags,
                  struct kit_end **out);

/* Closes an endpoint; its last callback comes with the next turn. */
void kit_end_close(struct kit_end *end);

struct kirim_addr kit_local(const struct kit_end *end);
uint16_t kit_port(const struct kit_end *end);

/* ---- sending --------------------------------------------------------------------------------- */

/* Queues; `to` NULL: connected. */
void kit_send(struct kit_end *end, const char *text, const char *to);
void kit_send_bytes(struct kit_end *end, size_t bytes, const char *to);
void kit_send_number(struct kit_end *end, uint32_t number, const char *to);

/* Sends at once, with control data or NULL, and says what the simulator said. */
kirim_err kit_try_send(struct kit_end *end, size_t bytes, const char *to,
                       const struct kirim_control *control);

/* The only thing that `end` received is this text from `peer` (NULL: whoever). */
void kit_expect(const struct kit_end *end, const char *text, const char *peer);

/* Sends every datagram back. */
void kit_echo(struct kit_end *end, const struct kirim_batch *batch);

/* ---- timers and posts ------------------------------------------------------------------------ */

/* A timer that writes down when it fired. */
struct kit_alarm {
    struct kirim_timer timer;
    struct kirim_loop *loop;
    struct kit *kit;
    struct kit_host *host;
    uint64_t fired_ns;
    size_t count;
};

/* Arms it with `fn`, which is kit_alarm_note() or calls that. */
void kit_alarm_set(struct kit_alarm *a, struct kit_host *h, kirim_timer_fn fn, uint64_t delay_ns);
void kit_alarm_note(struct kirim_timer *timer);

/* A post that writes down when it ran; holds a remote until the test gives it back. */
struct kit_message {
    struct kirim_post post;
    struct kirim_remote *remote;
    size_t count;
    kirim_err err;
    uint64_t run_ns;
};

void kit_message_init(struct kit_message *m, struct kit_host *h);

/* Posts it; as a thread's function, and in a thread that has ended when it returns. */
void *kit_message_post(void *message);
void kit_message_post_in_thread(struct kit_message *m);

/* ---- running suites -------------------------------------------------------------------------- */

/* Runs the claims of one suite; returns what main() returns. */
static inline int kit_main(const char *name, const struct kit_claim *claims)
{
    return claims_run(name, claims, 60);
}

#endif
