/* SPDX-License-Identifier: MIT
 *
 * The loop: opening with a chosen reactor, running, stopping, closing, time.
 *
 * Time is read from the reactor at most once a turn, and only if somebody asks. Closing drives the
 * last turns itself, without receiving, until every endpoint has had its last callback. Loop
 * thread, but for a close after that thread has ended.
 */
#include "core.h"

#include <stdlib.h>
#include <string.h>

enum {
    DATAGRAM_BYTES_MIN = 512,
    DATAGRAM_BYTES_MAX = 65535,
    SLOT_COUNT_DEFAULT = 128,
    SLOT_COUNT_MIN = 64,
    SLOT_COUNT_MAX = 4096
};

#define TRAIN_REFUSAL_NS UINT64_C(60000000000)

/* ---- whose thread ---------------------------------------------------------------------------- */

#if KIRIM_CHECKS
/* Its address differs in every thread that lives; nothing is ever stored in it. */
static _Thread_local const char thread_mark;

static const void *this_thread(void)
{
    return &thread_mark;
}
#else
static const void *this_thread(void)
{
    return NULL;
}
#endif

bool ki_loop_is_mine(struct kirim_loop *loop)
{
    return loop->thread == this_thread();
}

void kirim_loop_own(struct kirim_loop *loop)
{
    loop->thread = this_thread();
}

/* ---- opening --------------------------------------------------------------------------------- */

const char *kirim_reactor_name(size_t index)
{
    for (size_t i = 0; ki_reactors[i] != NULL; i++) {
        if (ki_reactors[i]->name[0] != 0 && index-- == 0) {
            return ki_reactors[i]->name;
        }
    }
    return NULL;
}

static kirim_err check_loop_options(struct kirim_loop_options *o)
{
    o->datagram_bytes_max = o->datagram_bytes_max == 0 ? DATAGRAM_BYTES_MAX : o->datagram_bytes_max;
    o->receive_slot_count = o->receive_slot_count == 0 ? SLOT_COUNT_DEFAULT : o->receive_slot_count;
    if (o->datagram_bytes_max < DATAGRAM_BYTES_MIN || o->datagram_bytes_max > DATAGRAM_BYTES_MAX ||
        o->receive_slot_count < SLOT_COUNT_MIN || o->receive_slot_count > SLOT_COUNT_MAX ||
        o->ki_reserved != 0) {
        return KIRIM_EINVAL;
    }
    if (o->reactor_context != NULL && o->reactor == NULL && o->reactor_ops == NULL) {
        return KIRIM_EINVAL; /* nobody knows whose it would be */
    }
    if (o->alloc == NULL) {
        o->alloc = ki_default_alloc;
    }
    return KIRIM_OK;
}

static void init_lists(struct kirim_loop *loop)
{
    loop->ready.last = &loop->ready.first;
    loop->dirty_last = &loop->dirty;
    loop->notices_last = &loop->notices;
    loop->closing_last = &loop->closing;
    loop->finished_last = &loop->finished;
    loop->guests_ready_last = &loop->guests_ready;
}

static struct kirim_loop *make_loop(const struct kirim_loop_options *o)
{
    struct kirim_loop *loop = o->alloc(o->alloc_user, NULL, 0, sizeof *loop);
    if (loop == NULL) {
        return NULL;
    }
    memset(loop, 0, sizeof *loop);
    init_lists(loop);
    loop->rearmed_ns = KIRIM_NEVER;
    loop->is_rearmed_idle = 1;
    loop->datagram_bytes_max = o->datagram_bytes_max;
    loop->train_refusal_ns = o->train_refusal_ns != 0 ? o->train_refusal_ns : TRAIN_REFUSAL_NS;
    loop->log_level = o->log_level;
    loop->log = o->log;
    loop->log_user = o->log_user;
    loop->alloc = o->alloc;
    loop->alloc_user = o->alloc_user;
    loop->thread = this_thread();
    return loop;
}

/* Opens one reactor on the loop. */
static kirim_err open_reactor(struct kirim_loop *loop, const struct kirim_loop_options *o,
                              const struct ki_reactor_ops *ops)
{
    loop->ops = ops;
    loop->caps = 0;
    const kirim_err err = ops->open(loop, o, &loop->reactor, &loop->caps);
    if (err == KIRIM_OK) {
        loop->reactor->ready = &loop->ready;
        loop->caps |= KIRIM_CAP_PACING; /* of the core, on every reactor (pace.c) */
    }
    return err;
}

/* Opens the reactor that was asked for, or the best one that opens. */
static kirim_err choose_reactor(struct kirim_loop *loop, const struct kirim_loop_options *o)
{
    if (o->reactor_ops != NULL) {
        return open_reactor(loop, o, o->reactor_ops);
    }
    const char *name = o->reactor != NULL ? o->reactor : getenv("KIRIM_REACTOR");
    kirim_err err = KIRIM_ENOENT;
    for (size_t i = 0; ki_reactors[i] != NULL; i++) {
        const struct ki_reactor_ops *ops = ki_reactors[i];
        const bool is_here = ops->name[0] != 0;
        if (is_here && (name != NULL ? strcmp(name, ops->name) == 0 : !ops->is_by_name_only)) {
            err = open_reactor(loop, o, ops);
            if (err == KIRIM_OK || name != NULL) {
                return err;
            }
        }
    }
    return err;
}

kirim_err kirim_loop_open(const struct kirim_loop_options *options, struct kirim_loop **out)
{
    static const struct kirim_loop_options defaults = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop_options o;
    if (options == NULL) {
        options = &defaults;
    }
    if (out == NULL || !ki_grown_copy(&o, sizeof o, options, options->size, sizeof o)) {
        return KIRIM_EINVAL;
    }
    kirim_err err = check_loop_options(&o);
    if (err < 0) {
        return err;
    }
    struct kirim_loop *loop = make_loop(&o);
    if (loop == NULL) {
        return KIRIM_ENOMEM;
    }
    err = choose_reactor(loop, &o);
    if (err < 0) {
        goto fail_loop;
    }
    loop->remote = ki_remote_open(loop);
    if (loop->remote == NULL) {
        err = KIRIM_ENOMEM;
        goto fail_reactor;
    }
    ki_wheel_init(&loop->wheel, loop->ops->now(loop->reactor));
    *out = loop;
    return KIRIM_OK;
fail_reactor:
    loop->ops->close(loop->reactor);
fail_loop:
    ki_free(loop, loop, sizeof *loop);
    return err;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* Turns without arrivals, until no endpoint is left. */
static void drain_endpoints(struct kirim_loop *loop)
{
    for (struct kirim_endpoint *ep = loop->endpoints; ep != NULL; ep = ep->next) {
        if (ep->state == KI_EP_OPEN) {
            (void)kirim_endpoint_close(ep);
        }
    }
    while (loop->endpoints != NULL) {
        ki_loop_turn(loop);
        loop->is_in_turn = 1;
        if (loop->endpoints != NULL && !ki_loop_has_work(loop)) {
            (void)loop->ops->wait(loop->reactor, KIRIM_NEVER);
        }
    }
}

kirim_err kirim_loop_close(struct kirim_loop *loop)
{
    if (loop == NULL) {
        return KIRIM_OK;
    }
    if (loop->is_in_turn != 0) {
        return KIRIM_EINVAL;
    }
    loop->thread = this_thread();
    loop->is_closing = 1;
    loop->is_in_turn = 1;
    if (loop->ops->begin_close != NULL) {
        loop->is_foreign = loop->ops->begin_close(loop->reactor) == KIRIM_ECLOSED;
    }
    struct kirim_timer *timer;
    while ((timer = ki_wheel_pop_any(&loop->wheel)) != NULL) {
        ki_timer_forget(timer);
    }
    ki_guests_remove_all(loop);
    drain_endpoints(loop);
    ki_remote_close(loop->remote, loop);
    loop->ops->close(loop->reactor);
    while (loop->tombstones != NULL) {
        struct kirim_endpoint *gone = loop->tombstones;
        loop->tombstones = gone->next;
        ki_endpoint_free(gone);
    }
    ki_grouper_close(loop);
    ki_free(loop, loop, sizeof *loop);
    return KIRIM_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

uint64_t kirim_loop_deadline(struct kirim_loop *loop)
{
    if (ki_loop_has_work(loop)) {
        return 0;
    }
    return loop->wheel.armed_count > 0 ? ki_wheel_next(&loop->wheel) : KIRIM_NEVER;
}

/* Whether anything is left that could cause a turn. */
static bool has_reason_to_run(struct kirim_loop *loop)
{
    return loop->endpoints != NULL || loop->wheel.armed_count > 0 || loop->guests != NULL ||
           ki_remote_is_held(loop->remote) || ki_loop_has_work(loop);
}

static void tell_driver(struct kirim_loop *loop, uint64_t deadline_ns, bool is_idle)
{
    loop->rearmed_ns = deadline_ns;
    loop->is_rearmed_idle = is_idle;
    loop->ops->rearm(loop->reactor, deadline_ns, is_idle);
}

void ki_loop_rearm(struct kirim_loop *loop)
{
    if ((loop->caps & KIRIM_CAP_DRIVEN) == 0 || loop->is_in_turn != 0 || loop->is_closing != 0) {
        return;
    }
    const uint64_t deadline_ns = kirim_loop_deadline(loop);
    const bool is_idle = !has_reason_to_run(loop);
    if (deadline_ns < loop->rearmed_ns || is_idle != (loop->is_rearmed_idle != 0)) {
        tell_driver(loop, deadline_ns, is_idle);
    }
}

void ki_loop_rearm_anew(struct kirim_loop *loop)
{
    if ((loop->caps & KIRIM_CAP_DRIVEN) != 0 && loop->is_closing == 0) {
        tell_driver(loop, kirim_loop_deadline(loop), !has_reason_to_run(loop));
    }
}

/* Whether the user may run turns now. */
static bool can_step(struct kirim_loop *loop)
{
    return loop != NULL && loop->is_in_turn == 0 && (loop->caps & KIRIM_CAP_DRIVEN) == 0 &&
           ki_loop_is_mine(loop);
}

/* Waits for at most `timeout_ns`, and runs a turn. */
static inline kirim_err step(struct kirim_loop *loop, uint64_t timeout_ns)
{
    if (loop->dirty != NULL) {
        ki_loop_flush(loop);
    }
    uint64_t deadline_ns = timeout_ns == 0 ? 0 : kirim_loop_deadline(loop);
    if (timeout_ns != KIRIM_NEVER && deadline_ns != 0) {
        const uint64_t now_ns = loop->ops->now(loop->reactor);
        const uint64_t limit_ns =
            now_ns + (timeout_ns < KIRIM_NEVER - now_ns ? timeout_ns : KIRIM_NEVER - now_ns);
        deadline_ns = limit_ns < deadline_ns ? limit_ns : deadline_ns;
    }
    loop->stats.waits++;
    const kirim_err err = loop->ops->wait(loop->reactor, deadline_ns);
    if (err < 0) {
        return err;
    }
    ki_loop_turn(loop);
    return KIRIM_OK;
}

kirim_err kirim_loop_step(struct kirim_loop *loop, uint64_t timeout_ns)
{
    return can_step(loop) ? step(loop, timeout_ns) : KIRIM_EINVAL;
}

bool kirim_loop_is_alive(struct kirim_loop *loop)
{
    return has_reason_to_run(loop);
}

kirim_err kirim_loop_run(struct kirim_loop *loop)
{
    if (!can_step(loop)) {
        return KIRIM_EINVAL;
    }
    kirim_err err = KIRIM_OK;
    while (err == KIRIM_OK && !kirim_loop_is_stopping(loop) && has_reason_to_run(loop)) {
        err = step(loop, KIRIM_NEVER);
    }
    loop->is_stopping = 0;
    return err;
}

void kirim_loop_stop(struct kirim_loop *loop)
{
    loop->is_stopping = 1;
}

bool kirim_loop_is_stopping(struct kirim_loop *loop)
{
    if (ki_remote_take_stop(loop->remote)) {
        loop->is_stopping = 1;
    }
    return loop->is_stopping != 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

uint64_t kirim_loop_now(struct kirim_loop *loop)
{
    if (loop->is_now_known == 0) {
        loop->now_ns = loop->ops->now(loop->reactor);
        loop->is_now_known = loop->is_in_turn;
        if (loop->is_in_turn != 0) {
            loop->reactor->turn_ns = loop->now_ns;
        }
    }
    return loop->now_ns;
}

int32_t kirim_loop_system_code(const struct kirim_loop *loop)
{
    return loop->system_code;
}

uint64_t kirim_loop_timer_resolution_ns(const struct kirim_loop *loop)
{
    return loop->reactor->timer_resolution_ns;
}

const char *kirim_loop_reactor(const struct kirim_loop *loop)
{
    return loop->ops->name;
}

struct ki_reactor *ki_loop_reactor(const struct kirim_loop *loop, const struct ki_reactor_ops *ops)
{
    return loop->ops == ops ? loop->reactor : NULL;
}

bool ki_loop_is_shared(struct kirim_loop *loop)
{
    return ki_remote_is_held(loop->remote);
}

uint32_t kirim_loop_caps(const struct kirim_loop *loop)
{
    return loop->caps;
}

const char *kirim_cap_name(uint32_t cap)
{
    static const char *const names[] = {
        "pollable",     "guests",    "batches", "adopt",         "dual-stack", "ipv6",
        "source",       "ecn",       "ttl",     "dont-fragment", "trains",     "pacing",
        "virtual-time", "alertable", "driven",  "coalesced",     "errors",     "multicast",
        "path-mtu",     "time",      "drops",
    };
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (cap == (uint32_t)1 << i && names[i] != NULL) {
            return names[i];
        }
    }
    return "?";
}

kirim_err kirim_loop_pollable(struct kirim_loop *loop, intptr_t *out)
{
    if (loop == NULL || out == NULL || !ki_loop_is_mine(loop)) {
        return KIRIM_EINVAL;
    }
    if (loop->ops->pollable == NULL) {
        return KIRIM_EOPNOTSUPP;
    }
    return loop->ops->pollable(loop->reactor, out);
}

kirim_err kirim_loop_random(struct kirim_loop *loop, void *out, size_t bytes)
{
    if (loop == NULL || (out == NULL && bytes > 0) || !ki_loop_is_mine(loop)) {
        return KIRIM_EINVAL;
    }
    if (bytes == 0) {
        return KIRIM_OK;
    }
    const kirim_err err = loop->ops->random(loop->reactor, out, bytes);
    if (err < 0) {
        memset(out, 0, bytes);
    }
    return err;
}
