/* SPDX-License-Identifier: MIT
 *
 * What the suites of the Winsock reactors share: a loop on the public API behind the scripted
 * table, endpoints that count, guests that note, sockets of the test's own. One at a time, in
 * static storage.
 */
#ifndef WIN_BENCH_H
#define WIN_BENCH_H

#include <check.h>
#include <kirim/kirim.h>

#include "support/win_script.h"

/* An endpoint and what it was told. */
struct heard {
    struct kirim_addr peer; /* if set: only what comes from it counts */
    struct kirim_endpoint *ep;
    struct kirim_addr addr;
    uint64_t datagrams;
    uint64_t errors;
    uint64_t ends;
    kirim_err err; /* of the last error */
};

/* A guest and what it was told. */
struct guest {
    struct kirim_guest guest;
    SOCKET s;
    uint32_t events; /* of the last call */
    uint64_t calls;
    void (*hook)(struct guest *g);
};

struct kirim_loop *bench_loop(void);

/* Opens and closes the loop over a reactor; closing checks that nothing is left open. */
void bench_open(const char *reactor, const struct kirim_loop_options *options);
void bench_close(void);

/* Opens an endpoint: on the IPv4 loopback address, at an address, with options. */
void bench_listen(struct heard *h);
void bench_listen_at(struct heard *h, const char *local, uint32_t flags);
kirim_err bench_try(struct heard *h, struct kirim_endpoint_options *o);
struct kirim_endpoint_options bench_at(const char *local, uint32_t flags);

/* Sends a byte, and it leaves in the call. */
kirim_err bench_send(struct heard *from, const struct heard *to);

/* Runs turns until `*count` is at least `wanted`; ends the test if that takes half a minute, or the
 * seconds that KIRIM_TEST_PATIENCE_S says. */
void bench_until(const uint64_t *count, uint64_t wanted);
void bench_turn(void);

/* A UDP socket of the test's own, bound to the IPv4 loopback address and connected to itself; one
 * with a datagram of its own in it. */
SOCKET bench_socket(void);
SOCKET bench_readable_socket(void);

/* Has the calls of a socket wait no more, or wait again. */
void bench_unblock(SOCKET s, bool is_on);

/* A stream connection between two sockets. */
void bench_stream(SOCKET out[2]);

kirim_err bench_watch(struct guest *g, SOCKET s, uint32_t events);

/* A socket's option; ends the test if the system does not tell. */
uint32_t bench_option(SOCKET s, int level, int name);

/* Makes `suite` and runs it; the program's exit status. */
int bench_run(Suite *suite);

#endif
