/* SPDX-License-Identifier: MIT
 *
 * Simulated networks in few lines: see simnet.h.
 */
#include "simnet.h"

#include "storm.h"

struct kirim_sim *simnet_open(uint64_t seed, struct kit_memory *memory)
{
    struct kirim_sim_options options = KIRIM_SIM_OPTIONS_INIT;
    struct kirim_sim *sim = NULL;
    options.seed = seed;
    if (memory != NULL) {
        options.alloc = kit_alloc;
        options.alloc_user = memory;
    }
    ck_assert_int_eq(kirim_sim_open(&options, &sim), KIRIM_OK);
    storm_join(sim);
    return sim;
}

struct kirim_sim_host *simnet_host(struct kirim_sim *sim, const char *name, const char *addr,
                                   const char *second)
{
    struct kirim_addr addrs[2] = { simnet_addr(addr) };
    struct kirim_sim_host *host = NULL;
    if (second != NULL) {
        addrs[1] = simnet_addr(second);
    }
    ck_assert_int_eq(kirim_sim_host_add(sim, name, addrs, second != NULL ? 2 : 1, &host), KIRIM_OK);
    return host;
}

struct kirim_loop *simnet_loop(struct kirim_sim_host *host, struct kit_memory *memory)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop = NULL;
    options.reactor = "sim";
    options.reactor_context = host;
    if (memory != NULL) {
        options.alloc = kit_alloc;
        options.alloc_user = memory;
    }
    ck_assert_int_eq(kirim_loop_open(&options, &loop), KIRIM_OK);
    return loop;
}

void simnet_link(struct kirim_sim *sim, struct kirim_sim_host *a, struct kirim_sim_host *b,
                 const struct kirim_link_rules *link)
{
    ck_assert_int_eq(kirim_sim_link_set(sim, a, b, link), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_link_set(sim, b, a, link), KIRIM_OK);
}

void simnet_run(struct kirim_sim *sim, uint64_t ns)
{
    ck_assert_int_eq(kirim_sim_run(sim, kirim_sim_now(sim) + ns), KIRIM_OK);
}

struct kirim_addr simnet_addr(const char *text)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(text, &addr), KIRIM_OK);
    return addr;
}
