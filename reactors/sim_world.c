/* SPDX-License-Identifier: MIT
 *
 * The world: its hosts, its clock, and the order in which things happen.
 *
 * What is due at one instant happens in this order: everything of the network, in the order in
 * which it was caused; then a turn of each host that has reason for one, in the order in which they
 * got it. What a turn causes at the same instant is worked off before the next host's turn. Nothing
 * is nested: kirim_sim_run() calls turns, turns put events into the queue. Owns the hosts and
 * everything that hangs on them. One thread, but for wakes.
 */
#include "sim.h"

#include <stddef.h>
#include <string.h>

enum { START_NS = 1000000000 };

/* ---- memory ---------------------------------------------------------------------------------- */

void *ki_sim_alloc(struct kirim_sim *sim, size_t bytes)
{
    void *block = sim->alloc(sim->alloc_user, NULL, 0, bytes);
    if (block != NULL) {
        memset(block, 0, bytes);
    }
    return block;
}

void ki_sim_free(struct kirim_sim *sim, void *block, size_t bytes)
{
    if (block != NULL) {
        (void)sim->alloc(sim->alloc_user, block, bytes, 0);
    }
}

/* ---- opening and closing --------------------------------------------------------------------- */

static kirim_err open_world(const struct kirim_sim_options *options, struct kirim_sim **out)
{
    struct kirim_sim *sim = options->alloc(options->alloc_user, NULL, 0, sizeof *sim);
    if (sim == NULL) {
        return KIRIM_ENOMEM;
    }
    memset(sim, 0, sizeof *sim);
    sim->alloc = options->alloc;
    sim->alloc_user = options->alloc_user;
    sim->seed = options->seed;
    sim->now_ns = options->start_ns != 0 ? options->start_ns : START_NS;
    sim->epoch = 1;
    sim->digest = ki_mix(options->seed);
    sim->stats.size = sizeof sim->stats;
    sim->default_rules = (struct kirim_link_rules)KIRIM_SIM_LINK_INIT;
    sim->loopback_rules = (struct kirim_link_rules)KIRIM_LINK_RULES_INIT;
    atomic_init(&sim->woken, NULL);
    *out = sim;
    return KIRIM_OK;
}

kirim_err kirim_sim_open(const struct kirim_sim_options *options, struct kirim_sim **out)
{
    static const struct kirim_sim_options defaults = KIRIM_SIM_OPTIONS_INIT;
    struct kirim_sim_options given;
    if (options == NULL) {
        options = &defaults;
    }
    if (out == NULL || !ki_grown_copy(&given, sizeof given, options, options->size, sizeof given)) {
        return KIRIM_EINVAL;
    }
    if (given.alloc == NULL) {
        given.alloc = ki_default_alloc;
    }
    return open_world(&given, out);
}

static void *alloc_from_loop(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    return kirim_loop_alloc(user, old, old_bytes, new_bytes);
}

static kirim_err add_host(struct kirim_sim *sim, const char *name, const struct kirim_addr *addrs,
                          size_t addr_count, struct kirim_sim_host **out);

kirim_err ki_sim_open_private(struct kirim_loop *loop, struct kirim_sim **out)
{
    struct kirim_sim_options options = KIRIM_SIM_OPTIONS_INIT;
    struct kirim_sim *sim;
    struct kirim_sim_host *host;
    options.alloc = alloc_from_loop;
    options.alloc_user = loop;
    kirim_err err = open_world(&options, &sim);
    if (err < 0) {
        return err;
    }
    sim->is_private = true;
    err = add_host(sim, "localhost", NULL, 0, &host);
    if (err < 0) {
        ki_sim_end(sim);
        return err;
    }
    *out = sim;
    return KIRIM_OK;
}

static void free_links(struct kirim_sim *sim)
{
    for (size_t i = 0; i < sim->links.bucket_count; i++) {
        while (sim->links.bucket[i] != NULL) {
            struct ki_sim_node *node = sim->links.bucket[i];
            sim->links.bucket[i] = node->next;
            ki_sim_free(sim, node, sizeof(struct ki_sim_link));
        }
    }
}

static size_t host_bytes(size_t addr_count)
{
    return sizeof(struct kirim_sim_host) + addr_count * sizeof(struct ki_sim_home);
}

void ki_sim_end(struct kirim_sim *sim)
{
    if (sim->watcher.ended != NULL) {
        sim->watcher.ended(sim->watcher.user, sim->digest);
    }
    for (size_t i = 0; i < sim->queue.count; i++) {
        /* Turns and leaves went with their loops: what is left are packets, whose first member the
         * event is. */
        ki_sim_packet_free(sim, (struct ki_sim_packet *)(void *)sim->queue.slot[i].event);
    }
    ki_sim_packets_fini(sim);
    free_links(sim);
    ki_sim_nats_fini(sim);
    while (sim->first_host != NULL) {
        struct kirim_sim_host *host = sim->first_host;
        sim->first_host = host->next;
        ki_sim_free(sim, host, host_bytes(host->home_count));
    }
    ki_sim_table_fini(sim, &sim->hosts);
    ki_sim_table_fini(sim, &sim->homes);
    ki_sim_table_fini(sim, &sim->links);
    ki_sim_table_fini(sim, &sim->ports);
    ki_sim_free(sim, sim->queue.slot, sim->queue.capacity * sizeof(struct ki_sim_slot));
    ki_sim_free(sim, sim, sizeof *sim);
}

kirim_err kirim_sim_close(struct kirim_sim *sim)
{
    if (sim == NULL) {
        return KIRIM_OK;
    }
    if (sim->is_running || sim->is_private) {
        return KIRIM_EINVAL;
    }
    if (sim->loop_count > 0) {
        return KIRIM_EBUSY;
    }
    ki_sim_end(sim);
    return KIRIM_OK;
}

/* ---- hosts ----------------------------------------------------------------------------------- */

struct ki_sim_home *ki_sim_home_find(struct kirim_sim *sim, const struct kirim_addr *addr)
{
    struct ki_sim_node *node = ki_sim_table_first(&sim->homes, ki_sim_hash_addr(addr, false));
    for (; node != NULL; node = ki_sim_table_next(node)) {
        struct ki_sim_home *home = (struct ki_sim_home *)(void *)node;
        if (ki_sim_same_addr(&home->addr, addr)) {
            return home;
        }
    }
    return NULL;
}

static uint64_t hash_name(const struct kirim_sim *sim, const char *name)
{
    return ki_party_key(sim->seed, name);
}

/* Whether `name` is one to 31 bytes. */
static bool is_name(const char *name)
{
    return name != NULL && name[0] != '\0' && memchr(name, '\0', KI_SIM_NAME_BYTES) != NULL;
}

struct kirim_sim_host *kirim_sim_host_find(struct kirim_sim *sim, const char *name)
{
    if (sim == NULL || !is_name(name)) {
        return NULL;
    }
    struct ki_sim_node *node = ki_sim_table_first(&sim->hosts, hash_name(sim, name));
    for (; node != NULL; node = ki_sim_table_next(node)) {
        struct kirim_sim_host *host = (struct kirim_sim_host *)(void *)node;
        if (strcmp(host->name, name) == 0) {
            return host;
        }
    }
    return NULL;
}

const char *kirim_sim_host_name(const struct kirim_sim_host *host)
{
    return host == NULL ? "" : host->name;
}

/* As the world keeps it: without a port, a link-local one with the only interface there is. */
static struct kirim_addr home_addr(const struct kirim_addr *a)
{
    uint8_t bytes[16];
    if (kirim_addr_bytes(a, bytes) == 4) {
        return kirim_addr_ipv4(bytes, 0);
    }
    return kirim_addr_ipv6(bytes, 0, KI_SIM_IFINDEX);
}

static bool is_home(const struct kirim_addr *a)
{
    static const uint8_t everybody[4] = { 255, 255, 255, 255 };
    const struct kirim_addr broadcast = kirim_addr_ipv4(everybody, 0);
    return kirim_addr_family(a) != KIRIM_FAMILY_NONE && !kirim_addr_is_wildcard(a) &&
           !kirim_addr_is_loopback(a) && !kirim_addr_is_multicast(a) &&
           !ki_sim_same_addr(a, &broadcast);
}

kirim_err ki_sim_check_addrs(struct kirim_sim *sim, const struct kirim_addr *addrs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_home(&addrs[i])) {
            return KIRIM_EINVAL;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (ki_sim_home_find(sim, &addrs[i]) != NULL) {
            return KIRIM_EEXIST;
        }
        for (size_t k = 0; k < i; k++) {
            if (ki_sim_same_addr(&addrs[i], &addrs[k])) {
                return KIRIM_EEXIST;
            }
        }
    }
    return KIRIM_OK;
}

void ki_sim_home_add(struct kirim_sim *sim, struct ki_sim_home *home, const struct kirim_addr *addr)
{
    home->addr = home_addr(addr);
    ki_sim_table_add(&sim->homes, &home->node, ki_sim_hash_addr(&home->addr, false));
}

static kirim_err add_host(struct kirim_sim *sim, const char *name, const struct kirim_addr *addrs,
                          size_t addr_count, struct kirim_sim_host **out)
{
    if (!ki_sim_table_reserve(sim, &sim->hosts, 1) ||
        !ki_sim_table_reserve(sim, &sim->homes, addr_count)) {
        return KIRIM_ENOMEM;
    }
    struct kirim_sim_host *host = ki_sim_alloc(sim, host_bytes(addr_count));
    if (host == NULL) {
        return KIRIM_ENOMEM;
    }
    memcpy(host->name, name, strlen(name));
    host->sim = sim;
    host->number = sim->host_count++;
    host->key = hash_name(sim, name);
    host->ephemeral = ki_draw(host->key, KI_DRAW_EPHEMERAL, 0) % KI_SIM_EPHEMERAL_COUNT;
    host->turn.kind = KI_SIM_TURN;
    host->home_count = addr_count;
    for (size_t i = 0; i < addr_count; i++) {
        host->home[i].host = host;
        ki_sim_home_add(sim, &host->home[i], &addrs[i]);
    }
    ki_sim_table_add(&sim->hosts, &host->node, host->key);
    host->next = sim->first_host;
    sim->first_host = host;
    *out = host;
    return KIRIM_OK;
}

kirim_err kirim_sim_host_add(struct kirim_sim *sim, const char *name,
                             const struct kirim_addr *addrs, size_t addr_count,
                             struct kirim_sim_host **out)
{
    if (sim == NULL || sim->is_private || out == NULL || !is_name(name) ||
        addr_count > KI_SIM_ADDR_COUNT_MAX || (addrs == NULL && addr_count > 0)) {
        return KIRIM_EINVAL;
    }
    const kirim_err err = ki_sim_check_addrs(sim, addrs, addr_count);
    if (err < 0) {
        return err;
    }
    if (kirim_sim_host_find(sim, name) != NULL) {
        return KIRIM_EEXIST;
    }
    return add_host(sim, name, addrs, addr_count, out);
}

/* ---- what happens ---------------------------------------------------------------------------- */

void ki_sim_host_turn_at(struct kirim_sim_host *host, uint64_t time_ns)
{
    const bool is_queued = host->turn.place != 0;
    if (time_ns < host->paused_ns) {
        time_ns = host->paused_ns;
    }
    if (time_ns == KIRIM_NEVER ||
        (is_queued && (host->is_postponed || host->turn.time_ns <= time_ns))) {
        return; /* what was put off stays put off, whatever arrives */
    }
    ki_sim_queue_put(host->sim, &host->turn, time_ns);
}

/* Puts the turn off if the host has run too many at one instant. */
static bool postpone(struct kirim_sim *sim, struct kirim_sim_host *host)
{
    const bool goes_on = host->is_postponed || host->last_turn_ns == sim->now_ns;
    host->turn_count = goes_on ? host->turn_count + 1 : 0;
    host->is_postponed = !host->is_postponed && host->turn_count > KI_SIM_TURNS_PER_INSTANT;
    if (host->is_postponed) {
        ki_sim_queue_put(sim, &host->turn, sim->now_ns + KI_SIM_TURN_COST_NS);
    }
    return host->is_postponed;
}

static void run_turn(struct kirim_sim *sim, struct kirim_sim_host *host)
{
    struct ki_sim_reactor *r = host->reactor;
    if (postpone(sim, host)) {
        return;
    }
    host->last_turn_ns = sim->now_ns;
    host->deadline_ns = KIRIM_NEVER;
    ki_sim_release(&r->reactor);
    (void)ki_sim_announce(r);
    host->is_in_turn = true;
    ki_loop_turn(r->reactor.loop);
    host->is_in_turn = false;
    if (host->deadline_ns < sim->now_ns) {
        host->deadline_ns = sim->now_ns;
    }
    ki_sim_host_turn_at(host, host->deadline_ns);
}

static void leave(struct ki_sim_port *p)
{
    p->is_blocked = false;
    p->reactor->has_told = true;
    ki_port_writable(&p->port);
    if (p->reactor->is_driven) {
        ki_sim_host_turn_at(p->host, p->host->sim->now_ns);
    }
}

/* Takes an event off the queue and works it off. */
static void work_off(struct kirim_sim *sim, struct ki_sim_event *event)
{
    ki_sim_queue_take(sim, event);
    if (event->time_ns > sim->now_ns) {
        sim->now_ns = event->time_ns;
    }
    sim->epoch++;
    sim->stats.events++;
    switch (event->kind) {
    case KI_SIM_PACKET:
        ki_sim_packet_arrive(sim, (struct ki_sim_packet *)(void *)event);
        break;
    case KI_SIM_REPORT:
        ki_sim_report_arrive(sim, (struct ki_sim_packet *)(void *)event);
        break;
    case KI_SIM_LEAVE:
        leave((struct ki_sim_port *)(void *)((char *)event - offsetof(struct ki_sim_port, leave)));
        break;
    default:
        run_turn(sim, (struct kirim_sim_host *)(void *)((char *)event -
                                                        offsetof(struct kirim_sim_host, turn)));
        break;
    }
}

void ki_sim_catch_up(struct kirim_sim *sim)
{
    sim->epoch++;
    struct ki_sim_event *event = ki_sim_queue_first(sim);
    while (event != NULL && event->time_ns <= sim->now_ns) {
        work_off(sim, event);
        event = ki_sim_queue_first(sim);
    }
}

void ki_sim_take_wakes(struct kirim_sim *sim)
{
    if (atomic_load_explicit(&sim->woken, memory_order_acquire) == NULL) {
        return;
    }
    struct ki_sim_reactor *r = atomic_exchange(&sim->woken, NULL);
    while (r != NULL) {
        struct ki_sim_reactor *next = r->woken_next;
        atomic_store(&r->is_woken, 0); /* from here on it may be on the list again */
        r->reactor.wake_count++;
        if (!r->is_dead) {
            ki_sim_host_turn_at(r->host, sim->now_ns);
        }
        r = next;
    }
}

kirim_err kirim_sim_run(struct kirim_sim *sim, uint64_t until_ns)
{
    if (sim == NULL || sim->is_running || sim->is_private) {
        return KIRIM_EINVAL;
    }
    sim->is_running = true;
    sim->is_stopping = false;
    while (!sim->is_stopping) {
        ki_sim_take_wakes(sim);
        struct ki_sim_event *event = ki_sim_queue_first(sim);
        if (event == NULL || event->time_ns > until_ns) {
            break;
        }
        work_off(sim, event);
    }
    if (!sim->is_stopping && until_ns != KIRIM_NEVER && sim->now_ns < until_ns) {
        sim->now_ns = until_ns;
    }
    sim->is_running = false;
    return KIRIM_OK;
}

void kirim_sim_stop(struct kirim_sim *sim)
{
    sim->is_stopping = true;
}

/* ---- looking --------------------------------------------------------------------------------- */

uint64_t kirim_sim_now(const struct kirim_sim *sim)
{
    return sim->now_ns;
}

uint64_t kirim_sim_digest(const struct kirim_sim *sim)
{
    return sim->digest;
}

uint64_t kirim_sim_seed(const struct kirim_sim *sim)
{
    return sim->seed;
}

kirim_err kirim_sim_read_stats(const struct kirim_sim *sim, struct kirim_sim_stats *out)
{
    if (sim == NULL || out == NULL || out->size < sizeof *out) {
        return KIRIM_EINVAL;
    }
    const size_t size = out->size; /* may be larger, of a later version */
    *out = sim->stats;
    out->size = size;
    return KIRIM_OK;
}
