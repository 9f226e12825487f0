/* SPDX-License-Identifier: MIT
 *
 * Address translators: mappings, filters, and how they end.
 *
 * A translator has no way of its own: a datagram keeps the link between the two hosts that it goes
 * between, and is rewritten where it enters and leaves that. What is sent to a mapping goes to the
 * host that has it at that moment, and is judged when it arrives. What is sent to nobody's port
 * goes to the gateway, a host without addresses that never has a loop, and ends there. Mappings
 * are found by tables, and expired ones removed when one is found or before the tables grow. Owns
 * translators and what hangs on them. The world's thread. Source: RFC 4787, sections 4 to 6, whose
 * words these are.
 */
#include "sim.h"

#include <string.h>

enum {
    PORT_FIRST = 1024,
    PORT_COUNT = 65536 - PORT_FIRST,
    SWEEP_MIN = 64 /* mappings, before expired ones are looked for */
};

/* What may come in to a mapping. */
struct permit {
    struct ki_sim_node node; /* by mapping and remote */
    struct permit *next;     /* of the mapping */
    const struct mapping *mapping;
    struct kirim_addr remote;
    uint64_t last_ns; /* when something was sent there */
};

struct mapping {
    struct ki_sim_node node;   /* by source and remote */
    struct ki_sim_node mapped; /* by address */
    struct mapping *next;      /* of the translator */
    struct permit *permits;
    struct kirim_sim_host *host;
    struct kirim_addr source; /* the host's */
    struct kirim_addr remote; /* as far as the mapping depends on it */
    struct kirim_addr addr;   /* its own */
    uint64_t number;          /* of its making */
    uint64_t last_ns;         /* when it was used last */
};

static struct mapping *of_mapped(struct ki_sim_node *node)
{
    return (struct mapping *)(void *)((char *)node - offsetof(struct mapping, mapped));
}

/* ---- what is alike --------------------------------------------------------------------------- */

/* As much of the address as the behaviour looks at. */
static struct kirim_addr part_of(const struct kirim_addr *addr, uint32_t behaviour)
{
    struct kirim_addr part = { { 0, 0, 0 } };
    if (behaviour != KIRIM_SIM_NAT_ENDPOINT_INDEPENDENT) {
        part = *addr;
        if (behaviour == KIRIM_SIM_NAT_ADDRESS_DEPENDENT) {
            kirim_addr_set_port(&part, 0);
        }
    }
    return part;
}

static bool is_same(const struct kirim_addr *a, const struct kirim_addr *b)
{
    return ki_sim_same_addr(a, b) && kirim_addr_port(a) == kirim_addr_port(b);
}

static uint64_t hash_of(const struct kirim_addr *a)
{
    return kirim_addr_family(a) == KIRIM_FAMILY_NONE ? 0 : ki_sim_hash_addr(a, true);
}

static uint64_t hash_pair(const struct kirim_addr *source, const struct kirim_addr *remote)
{
    return ki_mix(hash_of(source) + KI_GOLDEN * hash_of(remote));
}

static uint64_t hash_permit(const struct mapping *m, const struct kirim_addr *remote)
{
    return ki_mix(hash_of(remote) + KI_GOLDEN * m->number);
}

/* ---- mappings -------------------------------------------------------------------------------- */

static bool has_expired(const struct kirim_sim_nat *nat, uint64_t last_ns)
{
    return nat->gateway->sim->now_ns - last_ns >= nat->expiry_ns;
}

/* Whether the mapping still holds: it is used, and its host has not moved elsewhere. */
static bool is_alive(const struct kirim_sim_nat *nat, const struct mapping *m)
{
    return !has_expired(nat, m->last_ns) && m->host->nat == nat;
}

static void free_mapping(struct kirim_sim_nat *nat, struct mapping *m)
{
    struct kirim_sim *sim = nat->gateway->sim;
    while (m->permits != NULL) {
        struct permit *permit = m->permits;
        m->permits = permit->next;
        ki_sim_table_remove(&nat->permits, &permit->node);
        ki_sim_free(sim, permit, sizeof *permit);
    }
    ki_sim_table_remove(&nat->by_source, &m->node);
    ki_sim_table_remove(&nat->by_mapped, &m->mapped);
    ki_sim_free(sim, m, sizeof *m);
}

/* Frees those that have expired, or all. */
static void sweep(struct kirim_sim_nat *nat, bool is_all)
{
    struct mapping **link = &nat->mappings;
    while (*link != NULL) {
        struct mapping *m = *link;
        if (is_all || !is_alive(nat, m)) {
            *link = m->next;
            free_mapping(nat, m);
        } else {
            link = &m->next;
        }
    }
    nat->sweep_count =
        2 * nat->by_source.count < SWEEP_MIN ? (size_t)SWEEP_MIN : 2 * nat->by_source.count;
}

static struct mapping *find_mapped(const struct kirim_sim_nat *nat, const struct kirim_addr *addr)
{
    struct ki_sim_node *node = ki_sim_table_first(&nat->by_mapped, hash_of(addr));
    for (; node != NULL; node = ki_sim_table_next(node)) {
        struct mapping *m = of_mapped(node);
        if (is_same(&m->addr, addr) && is_alive(nat, m)) {
            return m;
        }
    }
    return NULL;
}

static struct mapping *find_source(const struct kirim_sim_nat *nat,
                                   const struct kirim_sim_host *host,
                                   const struct kirim_addr *source, const struct kirim_addr *remote)
{
    struct ki_sim_node *node = ki_sim_table_first(&nat->by_source, hash_pair(source, remote));
    for (; node != NULL; node = ki_sim_table_next(node)) {
        struct mapping *m = (struct mapping *)(void *)node;
        if (m->host == host && is_same(&m->source, source) && is_same(&m->remote, remote) &&
            is_alive(nat, m)) {
            return m;
        }
    }
    return NULL;
}

/* The address in use of the family: the next one after each rebinding. */
static struct kirim_addr address_in_use(const struct kirim_sim_nat *nat, int family)
{
    size_t count = 0;
    for (size_t i = 0; i < nat->home_count; i++) {
        count += kirim_addr_family(&nat->home[i].addr) == family;
    }
    size_t left = count == 0 ? 0 : nat->rebind_count % count;
    size_t i = 0;
    while (i + 1 < nat->home_count &&
           (kirim_addr_family(&nat->home[i].addr) != family || left > 0)) {
        left -= kirim_addr_family(&nat->home[i].addr) == family;
        i++;
    }
    return nat->home[i].addr;
}

/* A port that no mapping has: one after the other, so that none comes back soon. */
static bool choose_addr(struct kirim_sim_nat *nat, int family, struct kirim_addr *out)
{
    *out = address_in_use(nat, family);
    for (uint32_t i = 0; i < PORT_COUNT; i++) {
        kirim_addr_set_port(out, (uint16_t)(PORT_FIRST + nat->port_offset));
        nat->port_offset = (nat->port_offset + 1) % PORT_COUNT;
        if (find_mapped(nat, out) == NULL) {
            return true;
        }
    }
    return false;
}

static struct mapping *make_mapping(struct kirim_sim_nat *nat, struct kirim_sim_host *host,
                                    const struct kirim_addr *source,
                                    const struct kirim_addr *remote, const struct kirim_addr *addr)
{
    struct kirim_sim *sim = host->sim;
    if (!ki_sim_table_reserve(sim, &nat->by_source, 1) ||
        !ki_sim_table_reserve(sim, &nat->by_mapped, 1)) {
        return NULL;
    }
    struct mapping *m = ki_sim_alloc(sim, sizeof *m);
    if (m != NULL) {
        m->host = host;
        m->source = *source;
        m->remote = *remote;
        m->addr = *addr;
        m->number = ++nat->mapping_count;
        m->next = nat->mappings;
        nat->mappings = m;
        ki_sim_table_add(&nat->by_source, &m->node, hash_pair(source, remote));
        ki_sim_table_add(&nat->by_mapped, &m->mapped, hash_of(addr));
    }
    return m;
}

/* ---- filters --------------------------------------------------------------------------------- */

static struct permit *find_permit(const struct kirim_sim_nat *nat, const struct mapping *m,
                                  const struct kirim_addr *remote)
{
    struct ki_sim_node *node = ki_sim_table_first(&nat->permits, hash_permit(m, remote));
    for (; node != NULL; node = ki_sim_table_next(node)) {
        struct permit *permit = (struct permit *)(void *)node;
        if (permit->mapping == m && is_same(&permit->remote, remote)) {
            return permit;
        }
    }
    return NULL;
}

/* What is sent to `dest` permits answers; false: no memory. */
static bool permit(struct kirim_sim_nat *nat, struct mapping *m, const struct kirim_addr *dest)
{
    struct kirim_sim *sim = m->host->sim;
    if (nat->filtering == KIRIM_SIM_NAT_ENDPOINT_INDEPENDENT) {
        return true;
    }
    const struct kirim_addr remote = part_of(dest, nat->filtering);
    struct permit *p = find_permit(nat, m, &remote);
    if (p == NULL) {
        if (!ki_sim_table_reserve(sim, &nat->permits, 1) ||
            (p = ki_sim_alloc(sim, sizeof *p)) == NULL) {
            return false;
        }
        p->mapping = m;
        p->remote = remote;
        p->next = m->permits;
        m->permits = p;
        ki_sim_table_add(&nat->permits, &p->node, hash_permit(m, &remote));
    }
    p->last_ns = sim->now_ns;
    return true;
}

static bool is_permitted(const struct kirim_sim_nat *nat, const struct mapping *m,
                         const struct kirim_addr *source)
{
    if (nat->filtering == KIRIM_SIM_NAT_ENDPOINT_INDEPENDENT) {
        return true;
    }
    const struct kirim_addr remote = part_of(source, nat->filtering);
    const struct permit *p = find_permit(nat, m, &remote);
    return p != NULL && !has_expired(nat, p->last_ns);
}

/* ---- what datagrams ask ---------------------------------------------------------------------- */

struct kirim_sim_nat *ki_sim_nat_of(const struct kirim_sim_host *host, int family)
{
    struct kirim_sim_nat *nat = host->nat;
    return nat != NULL && (nat->families & (1U << family)) != 0 ? nat : NULL;
}

struct kirim_sim_host *ki_sim_nat_target(const struct kirim_sim_nat *nat,
                                         const struct kirim_addr *dest)
{
    const struct mapping *m = find_mapped(nat, dest);
    return m == NULL ? nat->gateway : m->host;
}

kirim_err ki_sim_nat_leave(struct kirim_sim_nat *nat, struct kirim_sim_host *host,
                           const struct kirim_addr *dest, struct kirim_addr *source)
{
    const struct kirim_addr remote = part_of(dest, nat->mapping);
    struct mapping *m = find_source(nat, host, source, &remote);
    if (m == NULL) {
        struct kirim_addr addr;
        if (nat->by_source.count >= nat->sweep_count) {
            sweep(nat, false);
        }
        if (!choose_addr(nat, kirim_addr_family(source), &addr)) {
            return KIRIM_EADDRINUSE;
        }
        m = make_mapping(nat, host, source, &remote, &addr);
    }
    if (m == NULL || !permit(nat, m, dest)) {
        return KIRIM_ENOBUFS;
    }
    m->last_ns = host->sim->now_ns;
    *source = m->addr;
    return KIRIM_OK;
}

bool ki_sim_nat_enter(struct kirim_sim_nat *nat, struct ki_sim_packet *pk)
{
    struct mapping *m = find_mapped(nat, &pk->dest);
    if (m == NULL || m->host != pk->to || !is_permitted(nat, m, &pk->source)) {
        return false;
    }
    if (nat->is_refreshed_inward) {
        m->last_ns = pk->to->sim->now_ns;
    }
    pk->dest = m->source;
    pk->arrival.local = m->source;
    ki_sim_packet_mark(pk);
    return true;
}

/* ---- translators ----------------------------------------------------------------------------- */

static kirim_err check_options(const struct kirim_sim_nat_options *options,
                               struct kirim_sim_nat_options *out)
{
    if (options == NULL || !ki_grown_copy(out, sizeof *out, options, options->size, sizeof *out) ||
        out->addrs == NULL || out->addr_count == 0 || out->addr_count > KI_SIM_ADDR_COUNT_MAX ||
        out->mapping > KIRIM_SIM_NAT_ADDRESS_AND_PORT_DEPENDENT ||
        out->filtering > KIRIM_SIM_NAT_ADDRESS_AND_PORT_DEPENDENT || out->expiry_ns == 0) {
        return KIRIM_EINVAL;
    }
    return KIRIM_OK;
}

static size_t nat_bytes(size_t addr_count)
{
    return sizeof(struct kirim_sim_nat) + addr_count * sizeof(struct ki_sim_home);
}

kirim_err kirim_sim_nat_add(struct kirim_sim *sim, const struct kirim_sim_nat_options *options,
                            struct kirim_sim_nat **out)
{
    struct kirim_sim_nat_options o;
    struct kirim_sim_host *gateway;
    kirim_err err = sim == NULL || out == NULL ? KIRIM_EINVAL : check_options(options, &o);
    if (err < 0 || (err = ki_sim_check_addrs(sim, o.addrs, o.addr_count)) < 0) {
        return err;
    }
    struct kirim_sim_nat *nat = ki_sim_alloc(sim, nat_bytes(o.addr_count));
    if (nat == NULL || !ki_sim_table_reserve(sim, &sim->homes, o.addr_count)) {
        ki_sim_free(sim, nat, nat_bytes(o.addr_count));
        return KIRIM_ENOMEM;
    }
    err = kirim_sim_host_add(sim, o.name, NULL, 0, &gateway);
    if (err < 0) {
        ki_sim_free(sim, nat, nat_bytes(o.addr_count));
        return err;
    }
    gateway->is_gateway = true;
    nat->gateway = gateway;
    nat->mapping = o.mapping;
    nat->filtering = o.filtering;
    nat->expiry_ns = o.expiry_ns;
    nat->is_refreshed_inward = o.is_refreshed_inward;
    nat->port_offset = (uint32_t)(ki_draw(gateway->key, KI_DRAW_NAT, 0) % PORT_COUNT);
    nat->sweep_count = SWEEP_MIN;
    nat->home_count = o.addr_count;
    for (size_t i = 0; i < o.addr_count; i++) {
        ki_sim_home_add(sim, &nat->home[i], &o.addrs[i]);
        nat->home[i].nat = nat;
        nat->families |= 1U << kirim_addr_family(&o.addrs[i]);
    }
    nat->next = sim->first_nat;
    sim->first_nat = nat;
    *out = nat;
    return KIRIM_OK;
}

kirim_err kirim_sim_nat_attach(struct kirim_sim_nat *nat, struct kirim_sim_host *host)
{
    if (host == NULL || host->is_gateway || host->sim->is_private ||
        (nat != NULL && nat->gateway->sim != host->sim)) {
        return KIRIM_EINVAL;
    }
    host->nat = nat;
    return KIRIM_OK;
}

kirim_err kirim_sim_nat_rebind(struct kirim_sim_nat *nat)
{
    if (nat == NULL) {
        return KIRIM_EINVAL;
    }
    sweep(nat, true);
    nat->rebind_count++;
    return KIRIM_OK;
}

void ki_sim_nats_fini(struct kirim_sim *sim)
{
    while (sim->first_nat != NULL) {
        struct kirim_sim_nat *nat = sim->first_nat;
        sim->first_nat = nat->next;
        sweep(nat, true);
        ki_sim_table_fini(sim, &nat->by_source);
        ki_sim_table_fini(sim, &nat->by_mapped);
        ki_sim_table_fini(sim, &nat->permits);
        ki_sim_free(sim, nat, nat_bytes(nat->home_count));
    }
}
