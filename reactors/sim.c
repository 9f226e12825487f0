/* SPDX-License-Identifier: MIT
 *
 * The reactor of a simulated host: no socket, no system clock, a network that is a queue of events.
 *
 * A loop of a world is driven: the world calls its turns, and wait() has nothing to wait for. A
 * loop that brings no host gets a private world, runs by itself, and lets the clock jump to what
 * happens next whenever nothing is due. Nothing stays in flight and nothing is adopted. Owns a
 * private world, and what it lent. The world's thread, but for wake().
 */
#include "sim.h"

/* ---- opening and closing --------------------------------------------------------------------- */

static kirim_err join_world(struct ki_sim_reactor *r, struct kirim_sim_host *host)
{
    if (host->is_gateway) {
        return KIRIM_EINVAL;
    }
    if (host->reactor != NULL) {
        return KIRIM_EBUSY;
    }
    if (!ki_sim_queue_promise(host->sim)) {
        return KIRIM_ENOMEM;
    }
    r->is_driven = true;
    r->sim = host->sim;
    r->host = host;
    return KIRIM_OK;
}

static kirim_err make_world(struct ki_sim_reactor *r, struct kirim_loop *loop)
{
    kirim_err err = ki_sim_park_open(loop, &r->park);
    if (err < 0) {
        return err;
    }
    err = ki_sim_open_private(loop, &r->sim);
    if (err < 0) {
        ki_sim_park_close(loop, r->park);
        return err;
    }
    r->host = r->sim->first_host;
    return KIRIM_OK;
}

static kirim_err sim_open(struct kirim_loop *loop, const struct kirim_loop_options *options,
                          struct ki_reactor **out, uint32_t *caps)
{
    struct ki_sim_reactor *r = ki_alloc(loop, sizeof *r);
    if (r == NULL) {
        return KIRIM_ENOMEM;
    }
    atomic_init(&r->is_woken, 0);
    r->reactor.loop = loop;
    r->reactor.timer_resolution_ns = 1;
    const kirim_err err = options->reactor_context != NULL ? join_world(r, options->reactor_context)
                                                           : make_world(r, loop);
    if (err < 0) {
        ki_free(loop, r, sizeof *r);
        return err;
    }
    r->host->reactor = r;
    r->sim->loop_count++;
    *caps = KIRIM_CAP_DUAL_STACK | KIRIM_CAP_IPV6 | KIRIM_CAP_SOURCE | KIRIM_CAP_ECN |
            KIRIM_CAP_TTL | KIRIM_CAP_DONT_FRAGMENT | KIRIM_CAP_VIRTUAL_TIME | KIRIM_CAP_MULTICAST |
            KIRIM_CAP_ERRORS | KIRIM_CAP_PATH_MTU | KIRIM_CAP_TIME | KIRIM_CAP_DROPS |
            (r->is_driven ? (uint32_t)KIRIM_CAP_DRIVEN : 0);
    *out = &r->reactor;
    return KIRIM_OK;
}

static void sim_close(struct ki_reactor *base)
{
    struct ki_sim_reactor *r = (struct ki_sim_reactor *)base;
    struct kirim_loop *loop = base->loop;
    struct kirim_sim *sim = r->sim;
    ki_sim_release(base);
    if (r->is_driven) {
        ki_sim_take_wakes(sim); /* no wake comes any more, but one may stand in the list */
        ki_sim_queue_unpromise(sim);
    }
    if (!r->is_dead) { /* else the host may have another loop already */
        ki_sim_queue_take(sim, &r->host->turn);
        r->host->is_postponed = false;
        r->host->reactor = NULL;
    }
    sim->loop_count--;
    if (!r->is_driven) {
        ki_sim_end(sim);
        ki_sim_park_close(loop, r->park);
    }
    ki_free(loop, r, sizeof *r);
}

/* ---- time and chance ------------------------------------------------------------------------- */

static uint64_t sim_now(struct ki_reactor *base)
{
    return ki_sim_host_now(((struct ki_sim_reactor *)base)->host);
}

/* The stream belongs to the host, so a loop that is opened again goes on with it. */
static kirim_err sim_random(struct ki_reactor *base, void *out, size_t bytes)
{
    struct kirim_sim_host *host = ((struct ki_sim_reactor *)base)->host;
    uint8_t *at = out;
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = ki_draw(host->key, KI_DRAW_RANDOM, host->random_count++);
        for (size_t k = i; k < bytes && k < i + 8; k++) {
            at[k] = (uint8_t)word;
            word >>= 8;
        }
    }
    return KIRIM_OK;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void note_wake(struct ki_sim_reactor *r)
{
    atomic_store(&r->is_woken, 0);
    r->reactor.wake_count++;
}

/* Takes a wake, if there is one: every wake that set the flag unparks once, earlier or later. */
static bool take_wake(struct ki_sim_reactor *r)
{
    if (atomic_load(&r->is_woken) == 0) {
        return false;
    }
    ki_sim_park(r->park);
    note_wake(r);
    return true;
}

static void catch_up(struct ki_sim_reactor *r)
{
    ki_sim_catch_up(r->sim);
    r->has_told = ki_sim_announce(r) || r->has_told;
}

/* How far the clock moves on its way over `idle_ns` without an event. As a rule it jumps. But other
 * threads live in real time: while one may post, the clock does not outrun theirs. */
static uint64_t spend(struct ki_sim_reactor *r, uint64_t idle_ns)
{
    if (!ki_loop_is_shared(r->reactor.loop)) {
        return idle_ns;
    }
    const uint64_t wait_ns = idle_ns < KI_SIM_PARK_NS_MAX ? idle_ns : KI_SIM_PARK_NS_MAX;
    uint64_t elapsed_ns;
    if (!ki_sim_park_for(r->park, wait_ns, &elapsed_ns)) {
        return wait_ns;
    }
    note_wake(r);
    return elapsed_ns < wait_ns ? elapsed_ns : wait_ns;
}

/* Nothing is due: lets the clock go on to the next event or deadline; without any, waits for
 * another thread. */
static void pass_time(struct ki_sim_reactor *r, uint64_t deadline_ns)
{
    struct kirim_sim *sim = r->sim;
    const struct ki_sim_event *event = ki_sim_queue_first(sim);
    const uint64_t event_ns = event != NULL ? event->time_ns : KIRIM_NEVER;
    const uint64_t until_ns = event_ns < deadline_ns ? event_ns : deadline_ns;
    if (until_ns == KIRIM_NEVER) {
        ki_sim_park(r->park);
        note_wake(r);
    } else if (until_ns > sim->now_ns) {
        r->busy_count = 0;
        sim->now_ns += spend(r, until_ns - sim->now_ns);
        catch_up(r);
    }
}

static kirim_err sim_wait(struct ki_reactor *base, uint64_t deadline_ns)
{
    struct ki_sim_reactor *r = (struct ki_sim_reactor *)base;
    ki_sim_release(base);
    if (r->is_driven) {
        (void)ki_sim_announce(r);
        return KIRIM_OK;
    }
    r->has_told = take_wake(r);
    r->busy_count++;
    if (r->busy_count > KI_SIM_TURNS_PER_INSTANT) {
        r->sim->now_ns += KI_SIM_TURN_COST_NS;
    }
    catch_up(r);
    if (!r->has_told) {
        pass_time(r, deadline_ns);
    }
    return KIRIM_OK;
}

static void sim_wake(struct ki_reactor *base)
{
    struct ki_sim_reactor *r = (struct ki_sim_reactor *)base;
    if (atomic_exchange(&r->is_woken, 1) != 0) {
        return;
    }
    if (!r->is_driven) {
        ki_sim_unpark(r->park);
        return;
    }
    struct ki_sim_reactor *first = atomic_load(&r->sim->woken);
    do {
        r->woken_next = first;
    } while (!atomic_compare_exchange_weak(&r->sim->woken, &first, r));
}

/* A world ends when its user says so, whoever is idle. */
static void sim_rearm(struct ki_reactor *base, uint64_t deadline_ns, bool is_idle)
{
    (void)is_idle;
    struct ki_sim_reactor *r = (struct ki_sim_reactor *)base;
    struct kirim_sim_host *host = r->host;
    const uint64_t now_ns = r->sim->now_ns;
    if (r->is_dead) {
        return;
    }
    if (deadline_ns != KIRIM_NEVER) { /* from the host's clock to the world's */
        deadline_ns = deadline_ns > host->ahead_ns ? deadline_ns - host->ahead_ns : 0;
    }
    if (host->is_in_turn) {
        host->deadline_ns = deadline_ns; /* the turn is the last to speak: see run_turn() */
        return;
    }
    ki_sim_host_turn_at(host, deadline_ns > now_ns ? deadline_ns : now_ns);
}

/* ---- ports ----------------------------------------------------------------------------------- */

static kirim_err sim_port_buffers(struct ki_reactor *base, struct ki_port *p,
                                  uint32_t *receive_bytes, uint32_t *send_bytes)
{
    const struct ki_sim_port *port = (const struct ki_sim_port *)p;
    (void)base;
    *receive_bytes = (uint32_t)port->rx_limit;
    *send_bytes = (uint32_t)port->tx_limit;
    return KIRIM_OK;
}

static uint64_t sim_port_drops(struct ki_reactor *base, struct ki_port *p)
{
    (void)base;
    return ((const struct ki_sim_port *)p)->rx_drops;
}

const struct ki_reactor_ops ki_reactor_sim = {
    .name = "sim",
    .port_bytes = sizeof(struct ki_sim_port),
    .is_by_name_only = true,
    .open = sim_open,
    .close = sim_close,
    .now = sim_now,
    .random = sim_random,
    .port_open = ki_sim_port_open,
    .port_close = ki_sim_port_close,
    .port_buffers = sim_port_buffers,
    .port_drops = sim_port_drops,
    .set_membership = ki_sim_set_membership,
    .set_multicast = ki_sim_set_multicast,
    .path_mtu = ki_sim_path_mtu,
    .receive = ki_sim_receive,
    .submit = ki_sim_submit,
    .release = ki_sim_release,
    .wait = sim_wait,
    .wake = sim_wake,
    .rearm = sim_rearm,
};

struct kirim_sim *kirim_loop_sim(struct kirim_loop *loop)
{
    struct ki_reactor *r = ki_loop_reactor(loop, &ki_reactor_sim);
    return r == NULL ? NULL : ((struct ki_sim_reactor *)r)->sim;
}
