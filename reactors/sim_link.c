/* SPDX-License-Identifier: MIT
 *
 * Links: who is joined to whom under which rules, and what happens to a datagram on its way.
 *
 * Every decision is a function of (seed, names of both hosts, ordinal of the datagram on this link,
 * kind of fault) and of nothing else: a fault taken away leaves all other decisions as they were,
 * and so does a host that joins the world. Owns the links, which live as long as the world. The
 * world's thread.
 */
#include "sim.h"

enum { MILLION = 1000000, MTU_MIN = 576 };

static uint64_t hash_of(const struct kirim_sim_host *from, const struct kirim_sim_host *to)
{
    return ki_sim_mix(from->key + KI_SIM_GOLDEN * to->key);
}

static struct ki_sim_link *find(struct kirim_sim_host *from, struct kirim_sim_host *to)
{
    const struct ki_sim_table *links = &from->sim->links;
    struct ki_sim_node *node = ki_sim_table_first(links, hash_of(from, to));
    for (; node != NULL; node = ki_sim_table_next(node)) {
        struct ki_sim_link *link = (struct ki_sim_link *)(void *)node;
        if (link->from == from && link->to == to) {
            return link;
        }
    }
    return NULL;
}

struct ki_sim_link *ki_sim_link_get(struct kirim_sim_host *from, struct kirim_sim_host *to)
{
    struct kirim_sim *sim = from->sim;
    struct ki_sim_link *link = find(from, to);
    if (link != NULL || !ki_sim_table_reserve(sim, &sim->links, 1)) {
        return link;
    }
    link = ki_sim_alloc(sim, sizeof *link);
    if (link != NULL) {
        link->from = from;
        link->to = to;
        link->key = hash_of(from, to);
        ki_sim_table_add(&sim->links, &link->node, link->key);
    }
    return link;
}

const struct kirim_sim_link *ki_sim_link_rules(struct kirim_sim_host *from,
                                               struct kirim_sim_host *to,
                                               const struct ki_sim_link *link)
{
    const struct ki_sim_link *own = link != NULL ? link : find(from, to);
    if (own != NULL && own->has_rules) {
        return &own->rules;
    }
    return from == to ? &from->sim->loopback_rules : &from->sim->default_rules;
}

static bool strikes(uint64_t key, uint64_t kind, uint64_t ordinal, uint32_t ppm)
{
    return ppm != 0 && ki_sim_scale(ki_sim_draw(key, kind, ordinal), MILLION - 1) < ppm;
}

static uint64_t jitter(uint64_t key, uint64_t kind, uint64_t ordinal, uint64_t most_ns)
{
    return most_ns == 0 ? 0 : ki_sim_scale(ki_sim_draw(key, kind, ordinal), most_ns);
}

struct ki_sim_verdict ki_sim_link_decide(const struct kirim_sim_link *rules, uint64_t key,
                                         uint64_t ordinal)
{
    const uint64_t copy_jitter = jitter(key, KI_SIM_DRAW_COPY_JITTER, ordinal, rules->jitter_ns);
    return (struct ki_sim_verdict){
        .is_lost = strikes(key, KI_SIM_DRAW_LOSS, ordinal, rules->loss_ppm),
        .is_corrupt = strikes(key, KI_SIM_DRAW_CORRUPT, ordinal, rules->corrupt_ppm),
        .is_duplicate = strikes(key, KI_SIM_DRAW_DUPLICATE, ordinal, rules->duplicate_ppm),
        .is_reordered = strikes(key, KI_SIM_DRAW_REORDER, ordinal, rules->reorder_ppm),
        .delay_ns = rules->delay_ns + jitter(key, KI_SIM_DRAW_JITTER, ordinal, rules->jitter_ns),
        .copy_delay_ns = rules->delay_ns + copy_jitter,
    };
}

void ki_sim_rules_init(struct kirim_sim_link *rules, uint64_t delay_ns)
{
    *rules = (struct kirim_sim_link){ .size = sizeof *rules, .delay_ns = delay_ns };
}

static bool is_valid(const struct kirim_sim_link *link)
{
    return link->delay_ns <= KI_SIM_DELAY_NS_MAX && link->jitter_ns <= KI_SIM_DELAY_NS_MAX &&
           link->reorder_ns <= KI_SIM_DELAY_NS_MAX && link->loss_ppm <= MILLION &&
           link->duplicate_ppm <= MILLION && link->reorder_ppm <= MILLION &&
           link->corrupt_ppm <= MILLION && (link->mtu == 0 || link->mtu >= MTU_MIN) &&
           link->mtu_action <= KIRIM_SIM_MTU_FRAGMENT;
}

kirim_err kirim_sim_link_set(struct kirim_sim *sim, struct kirim_sim_host *from,
                             struct kirim_sim_host *to, const struct kirim_sim_link *link)
{
    struct kirim_sim_link rules;
    if (sim == NULL || link == NULL || (from == NULL) != (to == NULL) ||
        !ki_grown_copy(&rules, sizeof rules, link, link->size, sizeof rules) || !is_valid(&rules)) {
        return KIRIM_EINVAL;
    }
    if (from == NULL) {
        sim->default_rules = rules;
        return KIRIM_OK;
    }
    if (from->sim != sim || to->sim != sim) {
        return KIRIM_EINVAL;
    }
    struct ki_sim_link *own = ki_sim_link_get(from, to);
    if (own == NULL) {
        return KIRIM_ENOMEM;
    }
    own->rules = rules;
    own->has_rules = true;
    return KIRIM_OK;
}
