/* SPDX-License-Identifier: MIT
 *
 * The scripted reactor's loop side: opening, the clock, waiting, waking, guests, driving. See
 * scripted.h. The loop's thread, but for wake.
 */
#include "scripted.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SLOT_COUNT = 128,
    CAPS_ALWAYS = KIRIM_CAP_GUESTS | KIRIM_CAP_IPV6 | KIRIM_CAP_VIRTUAL_TIME,
    PATIENCE_S = 30
};

/* ---- what every call must keep to ------------------------------------------------------------ */

void script_enter(struct script *s, char mark)
{
    const int name = mark != 0 ? mark : '?';
    KS_CHECK(s->reactor != NULL);
    KS_CHECK(!atomic_load(&s->is_closed));
    if (s->is_inside) {
        KS_FAIL("the core called '%c' from inside a call of the reactor", name);
    }
    if (pthread_equal(s->thread, pthread_self()) == 0) {
        KS_FAIL("the core called '%c' in another thread", name);
    }
    s->is_inside = true;
    if (s->is_traced && mark != 0) {
        ks_note(s->t, mark);
    }
}

void script_leave(struct script *s)
{
    s->is_inside = false;
}

/* ---- opening, closing, clock ----------------------------------------------------------------- */

static kirim_err on_open(struct kirim_loop *loop, const struct kirim_loop_options *options,
                         struct ki_reactor **out, uint32_t *caps)
{
    struct script *s = options->reactor_context;
    KS_CHECK(s->reactor == NULL);
    if (s->open_err != KIRIM_OK) {
        return s->open_err;
    }
    struct script_instance *i = ki_alloc(loop, sizeof *i);
    if (i == NULL) {
        return KIRIM_ENOMEM;
    }
    i->reactor.loop = loop;
    i->reactor.timer_resolution_ns = 1;
    i->script = s;
    s->reactor = &i->reactor;
    s->thread = pthread_self();
    s->has_begun_close = false;
    s->has_opened = false;
    atomic_store(&s->is_closed, false);
    *caps = s->caps;
    *out = s->reactor;
    return KIRIM_OK;
}

/* From here on another thread may call, if the loop's has ended. */
static kirim_err on_begin_close(struct ki_reactor *r)
{
    struct script *s = script_of(r);
    KS_CHECK(!s->has_begun_close);
    s->has_begun_close = true;
    s->thread = pthread_self();
    return s->is_foreign ? KIRIM_ECLOSED : KIRIM_OK;
}

static void on_close(struct ki_reactor *r)
{
    struct script *s = script_of(r);
    script_enter(s, 0);
    KS_CHECK(s->has_begun_close || !s->has_opened);
    for (const struct script_port *sp = s->ports; sp != NULL; sp = sp->next) {
        KS_CHECK(sp->port == NULL);
        KS_EQ(0, sp->flight_count);
    }
    KS_CHECK(s->guests == NULL);
    script_put_back(s);
    KS_CHECK(s->lent == NULL);
    atomic_store(&s->is_closed, true);
    script_leave(s);
    s->reactor = NULL;
    ki_free(r->loop, r, sizeof(struct script_instance));
}

static uint64_t on_now(struct ki_reactor *r)
{
    struct script *s = script_of(r);
    script_enter(s, 0);
    s->has_opened = true; /* asked first when the loop stands */
    s->now_count++;
    script_leave(s);
    return s->now_ns;
}

static kirim_err on_random(struct ki_reactor *r, void *out, size_t bytes)
{
    struct script *s = script_of(r);
    script_enter(s, 0);
    KS_CHECK(out != NULL && bytes > 0);
    ks_fill(out, bytes, s->random_seed);
    script_leave(s);
    return s->random_err;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool tell_guests(struct script *s)
{
    bool has_told = false;
    for (const struct script_guest *g = s->guests; g != NULL; g = g->next) {
        const uint32_t events = g->events & (g->guest->ki_events | KIRIM_GUEST_FAILED);
        if (events != 0) {
            ki_guest_ready(g->guest, events);
            has_told = true;
        }
    }
    return has_told;
}

static bool tell_all(struct script *s)
{
    bool has_told = false;
    for (struct script_port *sp = s->ports; sp != NULL; sp = sp->next) {
        has_told |= script_tell_port(sp);
    }
    return tell_guests(s) || has_told;
}

/* Waits for a wake; ends the test if none comes. */
static void wait_for_wake(struct script *s)
{
    struct timespec end;
    KS_CHECK(clock_gettime(CLOCK_REALTIME, &end) == 0);
    end.tv_sec += PATIENCE_S;
    while (!s->is_wake_due) {
        if (pthread_cond_timedwait(&s->woken, &s->lock, &end) != 0) {
            KS_FAIL("nobody woke the loop");
        }
    }
}

/* Takes a wake that has come; waits for one if there is nothing else to wait for. */
static void take_wake(struct script *s, bool has_told, uint64_t deadline_ns)
{
    pthread_mutex_lock(&s->lock);
    if (!has_told && !s->is_wake_due && deadline_ns == KIRIM_NEVER) {
        if (!s->is_patient) {
            KS_FAIL("a wait without an end");
        }
        wait_for_wake(s);
    }
    const bool is_woken = s->is_wake_due;
    s->is_wake_due = false;
    pthread_mutex_unlock(&s->lock);
    s->reactor->wake_count += is_woken;
    if (!is_woken && !has_told && deadline_ns > s->now_ns) {
        s->now_ns = deadline_ns;
    }
}

static kirim_err on_wait(struct ki_reactor *r, uint64_t deadline_ns)
{
    struct script *s = script_of(r);
    script_enter(s, 'W');
    s->wait_count++;
    s->wait_deadline_ns = deadline_ns;
    script_put_back(s);
    const kirim_err err = s->wait_err;
    s->wait_err = KIRIM_OK;
    if (err == KIRIM_OK) {
        take_wake(s, tell_all(s), deadline_ns);
    }
    script_leave(s);
    return err;
}

/* Any thread. */
static void on_wake(struct ki_reactor *r)
{
    struct script *s = script_of(r);
    KS_CHECK(!atomic_load(&s->is_closed));
    pthread_mutex_lock(&s->lock);
    s->is_wake_due = true;
    pthread_cond_broadcast(&s->woken);
    pthread_mutex_unlock(&s->lock);
}

static void on_release(struct ki_reactor *r)
{
    struct script *s = script_of(r);
    script_enter(s, 'L');
    KS_CHECK(s->is_starved);
    s->release_count++;
    script_put_back(s);
    script_leave(s);
}

/* Also from inside what the driver tells. */
static void on_rearm(struct ki_reactor *r, uint64_t deadline_ns, bool is_idle)
{
    struct script *s = script_of(r);
    KS_CHECK((s->caps & KIRIM_CAP_DRIVEN) != 0);
    KS_CHECK(!atomic_load(&s->is_closed));
    KS_CHECK(!is_idle || deadline_ns == KIRIM_NEVER);
    s->rearm_count++;
    s->rearm_ns = deadline_ns;
    s->is_rearmed_idle = is_idle;
    s->has_rearmed = true;
}

void script_drive(struct script *s)
{
    struct kirim_loop *loop = s->reactor->loop;
    script_enter(s, 'W');
    script_put_back(s);
    (void)tell_all(s);
    script_leave(s);
    s->has_rearmed = false;
    ki_loop_turn(loop);
    KS_CHECK(s->has_rearmed); /* at the end of every turn */
}

/* ---- guests ---------------------------------------------------------------------------------- */

static struct script_guest **find_guest(struct script *s, const struct kirim_guest *guest)
{
    struct script_guest **at = &s->guests;
    while (*at != NULL && (*at)->guest != guest) {
        at = &(*at)->next;
    }
    return at;
}

static kirim_err on_watch(struct ki_reactor *r, struct kirim_guest *guest, bool is_new)
{
    struct script *s = script_of(r);
    script_enter(s, 0);
    struct script_guest **at = find_guest(s, guest);
    KS_CHECK(is_new == (*at == NULL));
    if (is_new && s->watch_err == KIRIM_OK) {
        *at = calloc(1, sizeof **at);
        KS_CHECK(*at != NULL);
        (*at)->guest = guest;
    }
    script_leave(s);
    return s->watch_err;
}

static void on_unwatch(struct ki_reactor *r, struct kirim_guest *guest)
{
    struct script *s = script_of(r);
    script_enter(s, 0);
    struct script_guest **at = find_guest(s, guest);
    struct script_guest *gone = *at;
    KS_CHECK(gone != NULL);
    *at = gone->next;
    free(gone);
    script_leave(s);
}

void script_guest_events(struct script *s, struct kirim_guest *guest, uint32_t events)
{
    struct script_guest *g = *find_guest(s, guest);
    KS_CHECK(g != NULL);
    g->events = events;
}

/* ---- the script ------------------------------------------------------------------------------ */

struct script *script_new(struct ks *t, uint32_t caps)
{
    struct script *s = calloc(1, sizeof *s);
    KS_CHECK(s != NULL);
    s->t = t;
    s->caps = caps | CAPS_ALWAYS;
    s->now_ns = KS_SECOND_NS;
    s->random_seed = 7;
    s->slot_count = SLOT_COUNT;
    KS_EQ(0, pthread_mutex_init(&s->lock, NULL));
    KS_EQ(0, pthread_cond_init(&s->woken, NULL));
    s->ops = (struct ki_reactor_ops){
        .name = "scripted",
        .open = on_open,
        .begin_close = on_begin_close,
        .close = on_close,
        .now = on_now,
        .random = on_random,
        .release = on_release,
        .wait = on_wait,
        .wake = on_wake,
        .rearm = (caps & KIRIM_CAP_DRIVEN) != 0 ? on_rearm : NULL,
        .watch = on_watch,
        .unwatch = on_unwatch,
    };
    script_set_port_ops(&s->ops);
    return s;
}

void script_free(struct script *s)
{
    KS_CHECK(s->reactor == NULL);
    script_free_ports(s);
    KS_EQ(0, pthread_cond_destroy(&s->woken));
    KS_EQ(0, pthread_mutex_destroy(&s->lock));
    free(s);
}

kirim_err script_try_open(struct script *s, struct kirim_loop_options *options)
{
    options->reactor_ops = &s->ops;
    options->reactor_context = s;
    return ks_try_open(s->t, options);
}

void script_open(struct script *s)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    KS_OK(script_try_open(s, &options));
}
