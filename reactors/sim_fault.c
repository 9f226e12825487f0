/* SPDX-License-Identifier: MIT
 *
 * Faults of hosts and of the network as a whole: partitions, crashes, pauses, clocks that jump.
 *
 * Nothing of it is left to chance: the caller says what happens, at the time at which he says it. A
 * partition is a bit in each host that stands on its one side. A crash takes the host's ports out
 * of the world; the loop stays with its owner, and nothing that it does is heard any more. The
 * world's thread.
 */
#include "sim.h"

/* ---- partitions ------------------------------------------------------------------------------ */

/* Ends what has healed by itself. */
static void heal_due(struct kirim_sim *sim)
{
    sim->next_heal_ns = KIRIM_NEVER;
    for (uint32_t i = 0; i < KI_SIM_PARTITION_COUNT; i++) {
        if ((sim->partitions >> i & 1U) == 0) {
            continue;
        }
        if (sim->heal_ns[i] <= sim->now_ns) {
            sim->partitions &= ~(UINT64_C(1) << i);
        } else if (sim->heal_ns[i] < sim->next_heal_ns) {
            sim->next_heal_ns = sim->heal_ns[i];
        }
    }
}

bool ki_sim_is_cut(const struct kirim_sim_host *from, const struct kirim_sim_host *to)
{
    struct kirim_sim *sim = from->sim;
    if (sim->partitions == 0) {
        return false;
    }
    if (sim->next_heal_ns <= sim->now_ns) {
        heal_due(sim);
    }
    return ((from->sides ^ to->sides) & sim->partitions) != 0;
}

static bool is_side(const struct kirim_sim *sim, struct kirim_sim_host *const *side, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (side[i] == NULL || side[i]->sim != sim) {
            return false;
        }
    }
    return true;
}

kirim_err kirim_sim_partition(struct kirim_sim *sim, struct kirim_sim_host *const *side,
                              size_t count, uint64_t heal_ns, uint32_t *out)
{
    if (sim == NULL || sim->is_private || out == NULL || side == NULL || count == 0 ||
        !is_side(sim, side, count)) {
        return KIRIM_EINVAL;
    }
    heal_due(sim);
    uint32_t number = 0;
    while (number < KI_SIM_PARTITION_COUNT && (sim->partitions >> number & 1U) != 0) {
        number++;
    }
    if (number == KI_SIM_PARTITION_COUNT) {
        return KIRIM_EBUSY;
    }
    const uint64_t bit = UINT64_C(1) << number;
    for (struct kirim_sim_host *host = sim->first_host; host != NULL; host = host->next) {
        host->sides &= ~bit;
    }
    for (size_t i = 0; i < count; i++) {
        side[i]->sides |= bit;
    }
    sim->partitions |= bit;
    sim->heal_ns[number] = heal_ns;
    heal_due(sim);
    *out = number;
    return KIRIM_OK;
}

kirim_err kirim_sim_heal(struct kirim_sim *sim, uint32_t partition)
{
    if (sim == NULL || partition >= KI_SIM_PARTITION_COUNT) {
        return KIRIM_EINVAL;
    }
    sim->partitions &= ~(UINT64_C(1) << partition);
    return KIRIM_OK;
}

/* ---- hosts ----------------------------------------------------------------------------------- */

kirim_err kirim_sim_host_crash(struct kirim_sim_host *host)
{
    if (host == NULL || host->sim->is_private || host->is_gateway) {
        return KIRIM_EINVAL;
    }
    struct ki_sim_reactor *r = host->reactor;
    if (r != NULL) {
        ki_sim_ports_lose(r);
        ki_sim_queue_take(host->sim, &host->turn);
        host->is_postponed = false;
        host->deadline_ns = KIRIM_NEVER; /* it may be in its turn */
        host->paused_ns = 0;
        host->reactor = NULL;
        r->is_dead = true;
    }
    return KIRIM_OK;
}

kirim_err kirim_sim_host_pause(struct kirim_sim_host *host, uint64_t until_ns)
{
    if (host == NULL || host->sim->is_private || host->is_gateway) {
        return KIRIM_EINVAL;
    }
    struct kirim_sim *sim = host->sim;
    host->paused_ns = until_ns;
    if (host->reactor == NULL) {
        return KIRIM_OK;
    }
    ki_sim_queue_take(sim, &host->turn);
    host->is_postponed = false;
    if (until_ns != KIRIM_NEVER) {
        ki_sim_queue_put(sim, &host->turn, until_ns > sim->now_ns ? until_ns : sim->now_ns);
    }
    return KIRIM_OK;
}

kirim_err kirim_sim_host_jump(struct kirim_sim_host *host, uint64_t ahead_ns)
{
    if (host == NULL || host->sim->is_private || host->is_gateway ||
        ahead_ns > KI_SIM_JUMP_NS_MAX || host->ahead_ns > KI_SIM_JUMP_NS_MAX - ahead_ns) {
        return KIRIM_EINVAL;
    }
    host->ahead_ns += ahead_ns;
    if (host->reactor != NULL) {
        ki_sim_host_turn_at(host, host->sim->now_ns);
    }
    return KIRIM_OK;
}
