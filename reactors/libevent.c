/* SPDX-License-Identifier: MIT
 *
 * Reactor over libevent: on a base of its own, or joined to the caller's.
 *
 * Events only take notes: no function of the user's runs below one, but for the turn event of a
 * joined base, which runs the whole turn. libevent runs it behind the other events of the same
 * pass. Work that a turn leaves over goes through a time-out of 0, never through event_active(): an
 * event that activates itself keeps the pass from ending.
 *
 * The timer is a timerfd of our own, set only when the deadline moves nearer or it has fired. So it
 * is precise on any base, the caller's included, and costs a wait neither a look at the clock nor a
 * system call: EVENT_BASE_FLAG_PRECISE_TIMER costs every wait one. Level-triggered, as epoll.c is.
 *
 * Keeps true: on a joined base an event of ours is pending only if it can cause a turn, so that
 * event_base_dispatch() returns when nothing of ours is left. Owns its base, unless it joined the
 * caller's, the timerfd and the records of guests. System calls of libevent's own go past the
 * table. Loop thread, but for wake. Sources: event_new, event_active, event_base_loop and
 * event_reinit of libevent 2.1; timerfd_create(2), eventfd(2).
 */
#include "builtin.h"
#include "posix.h"
#include "posix_guest.h"
#include "posix_map.h"
#include "posix_mtu.h"
#include "posix_multicast.h"
#include "posix_socket.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

enum {
    NS_PER_SECOND = 1000000000,
    SECONDS_MAX = INT32_MAX, /* fits every time_t; the timer may fire early */
    RETRY_US = 10000,        /* until the system is asked again for what it refused to a driver */
    BASE_FD_COUNT = 4,       /* more than a base opens */
    RESOLUTION_NS = 60000    /* see docs/libevent.md */
};

/* What `timer_ns` says beside a deadline. */
#define TIMER_FIRED ((uint64_t)0)
#define TIMER_OFF   KIRIM_NEVER

struct libevent_reactor {
    struct ki_posix posix;
    struct event_base *base;
    struct libevent_guest *guests;
    uint64_t is_joined;
    uint64_t is_pending;  /* the events of wake and timer are in the base */
    uint64_t is_turning;  /* the turn event runs */
    uint64_t is_turn_due; /* the turn event is active; always, on a base of our own */
    uint64_t timer_ns;    /* when the timer fires; TIMER_FIRED: it is readable until set again */
    int timer;
    struct event wake_event, timer_event, turn_event;
};

struct libevent_port {
    struct ki_posix_port posix;
    struct libevent_reactor *reactor;
    struct event readable, writable;
};

/* A guest that is watched. */
struct libevent_guest {
    struct kirim_guest *guest;
    struct libevent_reactor *reactor;
    struct libevent_guest *next, *prev;
    uint32_t events; /* which of the two are pending */
    struct event readable, writable;
};

static struct libevent_reactor *reactor_of(struct ki_reactor *reactor)
{
    return (struct libevent_reactor *)reactor;
}

/* ---- notes ----------------------------------------------------------------------------------- */

/* There is something for a turn. */
static void note(struct libevent_reactor *r)
{
    if (r->is_turn_due == 0) {
        r->is_turn_due = 1;
        event_active(&r->turn_event, EV_READ, 1);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct libevent_port *p = arg;
    (void)fd;
    (void)what;
    p->posix.errors.is_suspected = 1; /* which is the same to libevent */
    ki_port_ready(&p->reactor->posix.reactor, &p->posix.port);
    note(p->reactor);
}

/* Not persistent: libevent has taken it off the base. */
static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct libevent_port *p = arg;
    (void)fd;
    (void)what;
    if (p->posix.is_blocked != 0) {
        p->posix.is_blocked = 0;
        ki_port_writable(&p->posix.port);
        note(p->reactor);
    }
}

static void on_guest(evutil_socket_t fd, short what, void *arg)
{
    struct libevent_guest *g = arg;
    (void)fd;
    (void)what;
    ki_posix_guest_look(&g->reactor->posix, g->guest);
    note(g->reactor);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct libevent_reactor *r = arg;
    (void)fd;
    (void)what;
    if (ki_posix_wake_drain(&r->posix.wake)) {
        r->posix.reactor.wake_count++;
        note(r);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct libevent_reactor *r = arg;
    (void)fd;
    (void)what;
    r->timer_ns = TIMER_FIRED;
    note(r);
}

/* The one place where a joined base runs what is the user's. */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct libevent_reactor *r = arg;
    (void)fd;
    (void)what;
    r->is_turn_due = 0;
    r->is_turning = 1;
    ki_posix_rx_take_back(&r->posix);
    ki_loop_turn(r->posix.reactor.loop);
    r->is_turning = 0;
}

/* ---- the timer and the driver ---------------------------------------------------------------- */

/* Sees to it that the timer fires at `deadline_ns` or earlier, and is not readable before. One that
 * fires too early is left: that costs an empty turn, setting it costs a call each time. A child
 * process shares the timer with its parent, and leaves it alone. */
static kirim_err set_timer(struct libevent_reactor *r, uint64_t deadline_ns)
{
    /* TIMER_FIRED - 1 is the largest number there is. */
    if (r->timer_ns - 1 < deadline_ns || r->posix.is_forked != 0) {
        return KIRIM_OK;
    }
    const uint64_t at_ns = deadline_ns != TIMER_OFF ? deadline_ns : 0;
    const uint64_t seconds = at_ns / NS_PER_SECOND;
    const struct itimerspec when = {
        .it_value = {
            .tv_sec = (time_t)(seconds < SECONDS_MAX ? seconds : SECONDS_MAX),
            .tv_nsec = (int32_t)(at_ns % NS_PER_SECOND),
        },
    };
    if (r->posix.sys->timerfd_settime(r->timer, TFD_TIMER_ABSTIME, &when, NULL) < 0) {
        return ki_posix_failed(r->posix.reactor.loop, "timerfd_settime");
    }
    r->timer_ns = deadline_ns;
    return KIRIM_OK;
}

/* Adds the events of wake and timer to the base. */
static kirim_err add_own_events(struct libevent_reactor *r)
{
    if (r->is_pending != 0) {
        return KIRIM_OK;
    }
    if (event_add(&r->wake_event, NULL) < 0) {
        return ki_posix_failed(r->posix.reactor.loop, "event_add: wake");
    }
    if (event_add(&r->timer_event, NULL) < 0) {
        const kirim_err err = ki_posix_failed(r->posix.reactor.loop, "event_add: timer");
        (void)event_del(&r->wake_event);
        return err;
    }
    r->is_pending = 1;
    return KIRIM_OK;
}

/* Takes all but the ports' and guests' events off the base. */
static void remove_own_events(struct libevent_reactor *r)
{
    (void)event_del(&r->wake_event);
    (void)event_del(&r->timer_event);
    (void)event_del(&r->turn_event);
    r->is_pending = 0;
    r->is_turn_due = r->is_joined == 0;
}

static void libevent_rearm(struct ki_reactor *reactor, uint64_t deadline_ns, bool is_idle)
{
    static const struct timeval none = { 0, 0 };
    static const struct timeval retry = { 0, RETRY_US };
    struct libevent_reactor *r = reactor_of(reactor);
    if (is_idle) {
        remove_own_events(r);
        return;
    }
    if (add_own_events(r) < 0 || set_timer(r, deadline_ns == 0 ? KIRIM_NEVER : deadline_ns) < 0) {
        /* Nobody can be told. A time-out of libevent's own needs no descriptor. */
        (void)event_add(&r->turn_event, &retry);
    }
    if (deadline_ns != 0) {
        return;
    }
    /* In a turn only for want of memory: better in this pass than never. */
    if (r->is_turning == 0 || event_add(&r->turn_event, &none) < 0) {
        note(r);
    }
}

/* ---- opening and closing --------------------------------------------------------------------- */

static kirim_err want_writable(struct ki_posix *posix, struct ki_posix_port *port)
{
    struct libevent_port *p = (struct libevent_port *)port;
    return event_add(&p->writable, NULL) < 0 ? ki_posix_failed(posix->reactor.loop, "event_add")
                                             : KIRIM_OK;
}

/* Making a base ends the process if no descriptor is left for its pipe: finds out before. */
static kirim_err probe_descriptors(const struct ki_posix *r)
{
    int fds[BASE_FD_COUNT];
    int count = 0;
    kirim_err err = KIRIM_OK;
    while (err == KIRIM_OK && count < BASE_FD_COUNT) {
        fds[count] = r->sys->eventfd(0, EFD_CLOEXEC);
        if (fds[count] < 0) {
            err = ki_posix_failed(r->reactor.loop, "room for a base: eventfd");
        } else {
            count++;
        }
    }
    while (count > 0) {
        count--;
        (void)r->sys->close(fds[count]);
    }
    return err;
}

static kirim_err make_base(struct libevent_reactor *r)
{
    const int flags = EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME;
    const kirim_err err = probe_descriptors(&r->posix);
    if (err < 0) {
        return err;
    }
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return KIRIM_ENOMEM;
    }
    (void)event_config_set_flag(config, flags);
    r->base = event_base_new_with_config(config);
    event_config_free(config);
    return r->base == NULL ? KIRIM_ENOMEM : KIRIM_OK;
}

static void forget_event(struct event *event)
{
    (void)event_del(event);
    event_debug_unassign(event);
}

static void free_base(struct libevent_reactor *r)
{
    remove_own_events(r);
    event_debug_unassign(&r->wake_event);
    event_debug_unassign(&r->timer_event);
    event_debug_unassign(&r->turn_event);
    if (r->is_joined == 0) {
        event_base_free(r->base);
    }
}

/* Gets the base, and sets up the events of wake, timer and turn. */
static kirim_err open_base(struct libevent_reactor *r, struct event_base *callers)
{
    const short events = EV_READ | EV_PERSIST;
    r->is_joined = callers != NULL;
    r->base = callers;
    if (r->is_joined == 0) {
        const kirim_err err = make_base(r);
        if (err < 0) {
            return err;
        }
    }
    (void)event_assign(&r->wake_event, r->base, r->posix.wake.fd, events, on_wake, r);
    (void)event_assign(&r->timer_event, r->base, r->timer, events, on_timer, r);
    (void)event_assign(&r->turn_event, r->base, -1, 0, on_turn, r);
    r->is_turn_due = r->is_joined == 0;
    /* A joined base gets them when there is something to run for. */
    const kirim_err err = r->is_joined == 0 ? add_own_events(r) : KIRIM_OK;
    if (err < 0) {
        free_base(r);
    }
    return err;
}

static kirim_err libevent_open(struct kirim_loop *loop, const struct kirim_loop_options *options,
                               struct ki_reactor **out, uint32_t *caps)
{
    struct libevent_reactor *r = ki_alloc(loop, sizeof *r);
    if (r == NULL) {
        return KIRIM_ENOMEM;
    }
    kirim_err err = ki_posix_open(&r->posix, loop, options, caps);
    if (err < 0) {
        goto fail_free;
    }
    const struct ki_posix_sys *sys = r->posix.sys;
    r->timer_ns = TIMER_OFF;
    r->timer = sys->timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (r->timer < 0) {
        err = ki_posix_failed(loop, "timerfd_create");
        goto fail_posix;
    }
    err = open_base(r, options->reactor_context);
    if (err < 0) {
        goto fail_timer;
    }
    r->posix.reactor.timer_resolution_ns = RESOLUTION_NS;
    r->posix.want_writable = want_writable;
    *caps |= r->is_joined != 0 ? (uint32_t)KIRIM_CAP_DRIVEN : 0;
    *out = &r->posix.reactor;
    return KIRIM_OK;
fail_timer:
    (void)sys->close(r->timer);
fail_posix:
    ki_posix_close(&r->posix);
fail_free:
    ki_free(loop, r, sizeof *r);
    return err;
}

/* A child process shares what its parent's base is built on, and taking events off it would take
 * them off the parent's. The caller has seen to a base of its own (docs/libevent.md). */
static kirim_err libevent_begin_close(struct ki_reactor *reactor)
{
    struct libevent_reactor *r = reactor_of(reactor);
    const kirim_err err = ki_posix_begin_close(reactor);
    if (err == KIRIM_ECLOSED && r->is_joined == 0 && event_reinit(r->base) < 0) {
        ki_log(reactor->loop, KIRIM_LOG_ERROR, "event_reinit", errno);
    }
    return err;
}

static void libevent_close(struct ki_reactor *reactor)
{
    struct libevent_reactor *r = reactor_of(reactor);
    free_base(r);
    (void)r->posix.sys->close(r->timer);
    ki_posix_close(&r->posix);
    ki_free(reactor->loop, r, sizeof *r);
}

/* ---- ports ----------------------------------------------------------------------------------- */

static void forget_port(struct libevent_port *p)
{
    forget_event(&p->readable);
    forget_event(&p->writable);
}

static kirim_err libevent_port_open(struct ki_reactor *reactor, struct ki_port *port,
                                    const struct kirim_endpoint_options *options)
{
    struct libevent_reactor *r = reactor_of(reactor);
    struct libevent_port *p = (struct libevent_port *)port;
    struct ki_posix_setup setup;
    kirim_err err = ki_posix_socket_open(&r->posix, &p->posix, options, &setup);
    if (err < 0) {
        return err;
    }
    p->reactor = r;
    (void)event_assign(&p->readable, r->base, setup.fd, EV_READ | EV_PERSIST, on_readable, p);
    (void)event_assign(&p->writable, r->base, setup.fd, EV_WRITE, on_writable, p);
    if (event_add(&p->readable, NULL) < 0) {
        err = ki_posix_failed(reactor->loop, "event_add: port");
        goto fail;
    }
    err = ki_posix_socket_bind(&r->posix, &p->posix, &setup);
    if (err < 0) {
        goto fail;
    }
    return KIRIM_OK;
fail:
    forget_port(p);
    ki_posix_socket_undo(&r->posix, &p->posix, &setup);
    return err;
}

static kirim_err libevent_port_close(struct ki_reactor *reactor, struct ki_port *port)
{
    struct libevent_port *p = (struct libevent_port *)port;
    forget_port(p);
    ki_posix_socket_close(&reactor_of(reactor)->posix, &p->posix);
    return KIRIM_OK;
}

/* ---- guests ---------------------------------------------------------------------------------- */

/* Whether a descriptor is an endpoint's or a guest's already: libevent would not mind. */
static bool is_watched(const struct libevent_reactor *r, intptr_t descriptor)
{
    const struct kirim_loop *loop = r->posix.reactor.loop;
    const struct kirim_endpoint *ep = NULL;
    for (const struct libevent_guest *g = r->guests; g != NULL; g = g->next) {
        if (g->guest->ki_descriptor == descriptor) {
            return true;
        }
    }
    while ((ep = kirim_loop_endpoint_next(loop, ep)) != NULL) {
        if (kirim_endpoint_descriptor(ep) == descriptor) {
            return true;
        }
    }
    return false;
}

/* Changes what is waited for; all of it, or nothing. */
static kirim_err set_guest_events(struct libevent_guest *g, uint32_t events)
{
    const uint32_t added = events & ~g->events;
    if (((added & KIRIM_GUEST_READABLE) != 0 && event_add(&g->readable, NULL) < 0) ||
        ((added & KIRIM_GUEST_WRITABLE) != 0 && event_add(&g->writable, NULL) < 0)) {
        const int sys_err = errno;
        if ((added & KIRIM_GUEST_READABLE) != 0) {
            (void)event_del(&g->readable);
        }
        errno = sys_err;
        /* EPERM: a file, which is always ready. */
        return sys_err == EPERM
                   ? KIRIM_EOPNOTSUPP
                   : ki_posix_failed(g->reactor->posix.reactor.loop, "event_add: guest");
    }
    const uint32_t removed = g->events & ~events;
    if ((removed & KIRIM_GUEST_READABLE) != 0) {
        (void)event_del(&g->readable);
    }
    if ((removed & KIRIM_GUEST_WRITABLE) != 0) {
        (void)event_del(&g->writable);
    }
    g->events = events;
    return KIRIM_OK;
}

static void free_guest(struct libevent_guest *g)
{
    forget_event(&g->readable);
    forget_event(&g->writable);
    ki_free(g->reactor->posix.reactor.loop, g, sizeof *g);
}

static kirim_err add_guest(struct libevent_reactor *r, struct kirim_guest *guest)
{
    const int fd = (int)guest->ki_descriptor;
    if (guest->ki_descriptor < 0 || guest->ki_descriptor > INT_MAX ||
        r->posix.sys->fcntl(fd, F_GETFD, 0) < 0) {
        return KIRIM_EINVAL;
    }
    if (is_watched(r, guest->ki_descriptor)) {
        return KIRIM_EEXIST;
    }
    struct libevent_guest *g = ki_alloc(r->posix.reactor.loop, sizeof *g);
    if (g == NULL) {
        return KIRIM_ENOMEM;
    }
    g->guest = guest;
    g->reactor = r;
    (void)event_assign(&g->readable, r->base, fd, EV_READ | EV_PERSIST, on_guest, g);
    (void)event_assign(&g->writable, r->base, fd, EV_WRITE | EV_PERSIST, on_guest, g);
    const kirim_err err = set_guest_events(g, guest->ki_events);
    if (err < 0) {
        free_guest(g);
        return err;
    }
    g->next = r->guests;
    if (g->next != NULL) {
        g->next->prev = g;
    }
    r->guests = g;
    guest->ki_slot = (uintptr_t)g;
    return KIRIM_OK;
}

static kirim_err libevent_watch(struct ki_reactor *reactor, struct kirim_guest *guest, bool is_new)
{
    if (is_new) {
        return add_guest(reactor_of(reactor), guest);
    }
    struct libevent_guest *g = (struct libevent_guest *)(uintptr_t)guest->ki_slot;
    return set_guest_events(g, guest->ki_events);
}

static void libevent_unwatch(struct ki_reactor *reactor, struct kirim_guest *guest)
{
    struct libevent_guest *g = (struct libevent_guest *)(uintptr_t)guest->ki_slot;
    if (g->prev != NULL) {
        g->prev->next = g->next;
    } else {
        reactor_of(reactor)->guests = g->next;
    }
    if (g->next != NULL) {
        g->next->prev = g->prev;
    }
    free_guest(g);
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* A joined instance is asked only by the close of its loop, which has nothing to wait for: nothing
 * is ever in flight, and the base may be running. */
static kirim_err libevent_wait(struct ki_reactor *reactor, uint64_t deadline_ns)
{
    struct libevent_reactor *r = reactor_of(reactor);
    ki_posix_rx_take_back(&r->posix);
    if (r->is_joined != 0) {
        return KIRIM_OK;
    }
    int flags = EVLOOP_ONCE;
    if (deadline_ns == 0) {
        flags |= EVLOOP_NONBLOCK;
    } else {
        const kirim_err err = set_timer(r, deadline_ns);
        if (err < 0) {
            return err;
        }
    }
    if (event_base_loop(r->base, flags) < 0) {
        return ki_posix_failed(reactor->loop, "event_base_loop");
    }
    return KIRIM_OK;
}

const struct ki_reactor_ops ki_reactor_libevent = {
    .name = "libevent",
    .port_bytes = sizeof(struct libevent_port),
    .open = libevent_open,
    .begin_close = libevent_begin_close,
    .close = libevent_close,
    .now = ki_posix_now,
    .random = ki_posix_random,
    .port_open = libevent_port_open,
    .port_close = libevent_port_close,
    .port_buffers = ki_posix_port_buffers,
    .port_drops = ki_posix_port_drops,
    .set_membership = ki_posix_set_membership,
    .set_multicast = ki_posix_set_multicast,
    .path_mtu = ki_posix_path_mtu,
    .receive = ki_posix_receive,
    .submit = ki_posix_submit,
    .release = ki_posix_release,
    .wait = libevent_wait,
    .wake = ki_posix_wake,
    .rearm = libevent_rearm,
    .watch = libevent_watch,
    .unwatch = libevent_unwatch,
};
