/* SPDX-License-Identifier: MIT
 *
 * Links: who is joined to whom under which rules. What happens to a datagram on its way is the
 * model's affair (lib/link.c), whose key is made here: of the seed and the names of both hosts, so
 * that a host that joins the world changes nothing for the others. Owns the links, which live as
 * long as the world. The world's thread.
 */
#include "sim.h"

static uint64_t hash_of(const struct kirim_sim_host *from, const struct kirim_sim_host *to)
{
    return ki_path_key(from->key, to->key);
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
        kirim_link_init(&link->model, hash_of(from, to));
        ki_sim_table_add(&sim->links, &link->node, link->model.key);
    }
    return link;
}

const struct kirim_link_rules *ki_sim_link_rules(struct kirim_sim_host *from,
                                                 struct kirim_sim_host *to,
                                                 const struct ki_sim_link *link)
{
    const struct ki_sim_link *own = link != NULL ? link : find(from, to);
    if (own != NULL && own->has_rules) {
        return &own->rules;
    }
    return from == to ? &from->sim->loopback_rules : &from->sim->default_rules;
}

kirim_err kirim_sim_link_set(struct kirim_sim *sim, struct kirim_sim_host *from,
                             struct kirim_sim_host *to, const struct kirim_link_rules *link)
{
    struct kirim_link_rules rules;
    if (sim == NULL || link == NULL || (from == NULL) != (to == NULL) ||
        kirim_link_check(link) < 0 ||
        !ki_grown_copy(&rules, sizeof rules, link, link->size, sizeof rules)) {
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
