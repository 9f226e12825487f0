/* SPDX-License-Identifier: MIT
 *
 * What the suites of select, epoll and libevent share: a loop on the public API behind the scripted
 * table, endpoints that count, guests that note, and the claims that hold for all of them. One at a
 * time, in static storage.
 */
#ifndef READINESS_H
#define READINESS_H

#include <check.h>
#include <kirim/kirim.h>

#include "support/posix_script.h"

/* An endpoint and what it was told. */
struct heard {
    struct kirim_addr peer; /* if set: only what comes from it counts */
    struct kirim_endpoint *ep;
    struct kirim_addr addr;
    uint64_t datagrams;
    uint64_t writables;
    uint64_t errors;
    uint64_t ends;
};

/* A guest and what it was told. */
struct guest {
    struct kirim_guest guest;
    uint32_t events; /* of the last call */
    uint64_t calls;
    void (*hook)(struct guest *g);
};

struct kirim_loop *readiness_loop(void);

/* Opens and closes the loop over a reactor; closing checks that no descriptor is left. */
void readiness_open(const char *reactor, const struct kirim_loop_options *options);
void readiness_close(void);

/* Opens an endpoint on the IPv4 loopback address. */
void readiness_listen(struct heard *h);

/* Runs turns until `*count` is at least `wanted`; Check ends a wait in vain. */
void readiness_until(const uint64_t *count, uint64_t wanted);
void readiness_turn(void);

/* Makes a guest that notes; watches it. */
struct guest readiness_guest(void);
kirim_err readiness_watch(struct guest *g, int fd, uint32_t events);

/* Adds the claims that hold for every readiness reactor; and, where its waiting goes through the
 * table, those that need that too. */
void readiness_add_cases(TCase *tcase);
void readiness_add_wait_cases(TCase *tcase);

#endif
