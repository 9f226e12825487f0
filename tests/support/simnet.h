/* SPDX-License-Identifier: MIT
 *
 * Simulated networks in few lines, for the suites of protocols: each call checks its verdict. One
 * thread.
 */
#ifndef TEST_SIMNET_H
#define TEST_SIMNET_H

#include <kirim/kirim.h>
#include <kirim/sim.h>

#include "support/memory.h"

/* Opens a world with this seed, and with memory of its own (NULL: the C library's). That of a storm
 * under way joins it. */
struct kirim_sim *simnet_open(uint64_t seed, struct kit_memory *memory);

/* Adds a host with one address, or two (else NULL). */
struct kirim_sim_host *simnet_host(struct kirim_sim *sim, const char *name, const char *addr,
                                   const char *second);

/* Opens the loop of a host. */
struct kirim_loop *simnet_loop(struct kirim_sim_host *host, struct kit_memory *memory);

/* Both directions between two hosts, or all of the world that have no rules of their own (NULL). */
void simnet_link(struct kirim_sim *sim, struct kirim_sim_host *a, struct kirim_sim_host *b,
                 const struct kirim_link_rules *link);

/* Lets so much time pass. */
void simnet_run(struct kirim_sim *sim, uint64_t ns);

/* An address from its text. */
struct kirim_addr simnet_addr(const char *text);

#endif
