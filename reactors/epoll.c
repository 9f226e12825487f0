/* SPDX-License-Identifier: MIT
 *
 * Reactor over epoll, for Linux: the default there.
 *
 * Level-triggered: what was not received in a turn is told again by the next wait, so that the core
 * may stop anywhere. One wait takes at most EVENTS_MAX events; the system keeps its ready list in
 * turn, so those left over come first in the next one. Write interest is armed only while a port is
 * blocked. The pointers in the events are used inside wait() alone, where nothing can be closed,
 * and never kept. Finite waits use epoll_pwait2 and its nanoseconds; where the system does not know
 * it, epoll_pwait with its milliseconds, rounded up. The epoll descriptor is the pollable handle,
 * the wake descriptor in it. Owns the epoll descriptor. Loop thread, but for wake. Sources:
 * epoll(7), epoll_ctl(2), epoll_wait(2), prctl(2) PR_SET_TIMERSLACK.
 */
#include "builtin.h"
#include "posix.h"
#include "posix_map.h"
#include "posix_mtu.h"
#include "posix_multicast.h"
#include "posix_socket.h"

#include <errno.h>
#include <limits.h>

enum {
    EVENTS_MAX = 64,
    NS_PER_SECOND = 1000000000,
    NS_PER_MS = 1000000,
    SECONDS_MAX = 1 << 30, /* fits every time_t; a wait may end early */
    /* The timer slack of Linux is 50 us (prctl(2)), and the waking comes on top. Timers of 1 ms on
     * a 2-core guest were late by 87 us in the median and 200 to 450 us in the worst hundredth, and
     * so was a bare epoll_pwait2: there is nothing of ours in it. */
    RESOLUTION_NS = 100000,
    RESOLUTION_COARSE_NS = NS_PER_MS + RESOLUTION_NS
};

/* What an event belongs to: the lowest bits of its datum, a pointer above them. */
enum { TAG_PORT = 0, TAG_GUEST = 1, TAG_WAKE = 2, TAG_MASK = 3 };

struct epoll_port {
    struct ki_posix_port posix;
    uint32_t events; /* as the system has them */
};

struct epoll_reactor {
    struct ki_posix posix;
    int epoll;
    bool has_pwait2;
    struct epoll_event events[EVENTS_MAX];
};

static struct epoll_reactor *reactor_of(struct ki_reactor *reactor)
{
    return (struct epoll_reactor *)reactor;
}

static int control(const struct epoll_reactor *r, int what, int fd, uint32_t events, void *object,
                   unsigned tag)
{
    struct epoll_event event = { .events = events, .data.u64 = (uintptr_t)object | tag };
    return r->posix.sys->epoll_ctl(r->epoll, what, fd, &event);
}

/* Watches a descriptor no more; it may be closed already. A child process shares the epoll instance
 * with its parent, and leaves it alone. */
static void forget(const struct epoll_reactor *r, int fd)
{
    if (r->posix.is_forked == 0) {
        (void)control(r, EPOLL_CTL_DEL, fd, 0, NULL, TAG_PORT);
    }
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* Changes what a port waits for. */
static kirim_err set_port_events(struct epoll_reactor *r, struct epoll_port *p, uint32_t events)
{
    if (p->events == events) {
        return KIRIM_OK;
    }
    if (control(r, EPOLL_CTL_MOD, (int)p->posix.port.descriptor, events, p, TAG_PORT) < 0) {
        return ki_posix_failed(r->posix.reactor.loop, "epoll_ctl: modify");
    }
    p->events = events;
    return KIRIM_OK;
}

static kirim_err want_writable(struct ki_posix *posix, struct ki_posix_port *port)
{
    struct epoll_port *p = (struct epoll_port *)port;
    return set_port_events((struct epoll_reactor *)posix, p, p->events | EPOLLOUT);
}

/* A sandbox that does not know the call answers ENOSYS or EPERM. */
static bool probe_pwait2(struct epoll_reactor *r)
{
    const struct timespec none = { 0, 0 };
    const int n = r->posix.sys->epoll_pwait2(r->epoll, r->events, EVENTS_MAX, &none, NULL);
    return n >= 0 || (errno != ENOSYS && errno != EPERM);
}

static kirim_err epoll_open(struct kirim_loop *loop, const struct kirim_loop_options *options,
                            struct ki_reactor **out, uint32_t *caps)
{
    if (options->reactor_context != NULL) {
        return KIRIM_EINVAL; /* it takes none: another reactor was meant */
    }
    struct epoll_reactor *r = ki_alloc(loop, sizeof *r);
    if (r == NULL) {
        return KIRIM_ENOMEM;
    }
    kirim_err err = ki_posix_open(&r->posix, loop, options, caps);
    if (err < 0) {
        goto fail_free;
    }
    const struct ki_posix_sys *sys = r->posix.sys;
    r->epoll = sys->epoll_create1(EPOLL_CLOEXEC);
    if (r->epoll < 0) {
        err = ki_posix_failed(loop, "epoll_create1");
        goto fail_posix;
    }
    if (control(r, EPOLL_CTL_ADD, r->posix.wake.fd, EPOLLIN, NULL, TAG_WAKE) < 0) {
        err = ki_posix_failed(loop, "epoll_ctl: wake");
        goto fail_epoll;
    }
    r->has_pwait2 = probe_pwait2(r);
    if (!r->has_pwait2) {
        ki_log(loop, KIRIM_LOG_WARNING, "no epoll_pwait2: timers to the millisecond", errno);
    }
    r->posix.reactor.timer_resolution_ns = r->has_pwait2 ? RESOLUTION_NS : RESOLUTION_COARSE_NS;
    r->posix.want_writable = want_writable;
    *caps |= KIRIM_CAP_POLLABLE;
    *out = &r->posix.reactor;
    return KIRIM_OK;
fail_epoll:
    (void)sys->close(r->epoll);
fail_posix:
    ki_posix_close(&r->posix);
fail_free:
    ki_free(loop, r, sizeof *r);
    return err;
}

static void epoll_close(struct ki_reactor *reactor)
{
    struct epoll_reactor *r = reactor_of(reactor);
    (void)r->posix.sys->close(r->epoll);
    ki_posix_close(&r->posix);
    ki_free(reactor->loop, r, sizeof *r);
}

static kirim_err epoll_pollable(struct ki_reactor *reactor, intptr_t *out)
{
    *out = reactor_of(reactor)->epoll;
    return KIRIM_OK;
}

/* ---- ports and guests ------------------------------------------------------------------------ */

static kirim_err epoll_port_open(struct ki_reactor *reactor, struct ki_port *port,
                                 const struct kirim_endpoint_options *options)
{
    struct epoll_reactor *r = reactor_of(reactor);
    struct epoll_port *p = (struct epoll_port *)port;
    struct ki_posix_setup setup;
    kirim_err err = ki_posix_socket_open(&r->posix, &p->posix, options, &setup);
    if (err < 0) {
        return err;
    }
    p->events = EPOLLIN | EPOLLRDHUP;
    if (control(r, EPOLL_CTL_ADD, setup.fd, p->events, p, TAG_PORT) < 0) {
        err = ki_posix_failed(reactor->loop, "epoll_ctl: add");
        goto fail_socket;
    }
    err = ki_posix_socket_bind(&r->posix, &p->posix, &setup);
    if (err < 0) {
        goto fail_added;
    }
    return KIRIM_OK;
fail_added:
    forget(r, setup.fd);
fail_socket:
    ki_posix_socket_undo(&r->posix, &p->posix, &setup);
    return err;
}

static kirim_err epoll_port_close(struct ki_reactor *reactor, struct ki_port *port)
{
    struct epoll_reactor *r = reactor_of(reactor);
    struct epoll_port *p = (struct epoll_port *)port;
    /* Closing alone would not do: a child process that inherited the socket keeps it, and its
     * events, alive. */
    forget(r, (int)port->descriptor);
    ki_posix_socket_close(&r->posix, &p->posix);
    return KIRIM_OK;
}

static uint32_t epoll_events_of(uint32_t guest_events)
{
    return ((guest_events & KIRIM_GUEST_READABLE) != 0 ? (uint32_t)EPOLLIN : 0) |
           ((guest_events & KIRIM_GUEST_WRITABLE) != 0 ? (uint32_t)EPOLLOUT : 0);
}

static kirim_err epoll_watch(struct ki_reactor *reactor, struct kirim_guest *guest, bool is_new)
{
    const struct epoll_reactor *r = reactor_of(reactor);
    const int what = is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (guest->ki_descriptor < 0 || guest->ki_descriptor > INT_MAX) {
        return KIRIM_EINVAL;
    }
    if (control(r, what, (int)guest->ki_descriptor, epoll_events_of(guest->ki_events), guest,
                TAG_GUEST) == 0) {
        return KIRIM_OK;
    }
    if (errno == EPERM) {
        return KIRIM_EOPNOTSUPP; /* a file, which is always ready */
    }
    return errno == EBADF ? KIRIM_EINVAL : ki_posix_failed(reactor->loop, "epoll_ctl: guest");
}

static void epoll_unwatch(struct ki_reactor *reactor, struct kirim_guest *guest)
{
    forget(reactor_of(reactor), (int)guest->ki_descriptor);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void dispatch_port(struct epoll_reactor *r, struct epoll_port *p, uint32_t events)
{
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
        ki_port_ready(&r->posix.reactor, &p->posix.port);
    }
    if ((events & EPOLLERR) != 0) {
        p->posix.errors.is_known = 1;
    }
    if ((events & (EPOLLHUP | EPOLLRDHUP)) != 0) {
        /* Shut down for receiving, which no later event can end: be told of changes only, and
         * never leave anything to the next wait. */
        p->posix.singles_left = 0;
        (void)set_port_events(r, p, p->events | EPOLLET);
    }
    if ((events & EPOLLOUT) != 0) {
        /* Fails at worst for want of memory: then the event comes again, and so does this. */
        (void)set_port_events(r, p, p->events & ~(uint32_t)EPOLLOUT);
        if (p->posix.is_blocked != 0) {
            p->posix.is_blocked = 0;
            ki_port_writable(&p->posix.port);
        }
    }
}

static void dispatch_guest(struct kirim_guest *guest, uint32_t events)
{
    ki_guest_ready(guest, ((events & EPOLLIN) != 0 ? KIRIM_GUEST_READABLE : 0) |
                              ((events & EPOLLOUT) != 0 ? KIRIM_GUEST_WRITABLE : 0) |
                              ((events & (EPOLLERR | EPOLLHUP)) != 0 ? KIRIM_GUEST_FAILED : 0));
}

static void dispatch(struct epoll_reactor *r, const struct epoll_event *event)
{
    const uintptr_t datum = (uintptr_t)event->data.u64;
    void *object = (void *)(datum & ~(uintptr_t)TAG_MASK);
    if ((datum & TAG_MASK) == TAG_PORT) {
        dispatch_port(r, object, event->events);
    } else if ((datum & TAG_MASK) == TAG_GUEST) {
        dispatch_guest(object, event->events);
    } else if (ki_posix_wake_drain(&r->posix.wake)) {
        r->posix.reactor.wake_count++;
    }
}

/* Waits until `deadline_ns`, which is neither 0 nor KIRIM_NEVER. */
static int wait_until(struct epoll_reactor *r, uint64_t deadline_ns)
{
    const uint64_t delay_ns = ki_posix_remaining_ns(&r->posix, deadline_ns);
    if (r->has_pwait2) {
        const uint64_t seconds = delay_ns / NS_PER_SECOND;
        const struct timespec timeout = {
            .tv_sec = (time_t)(seconds < SECONDS_MAX ? seconds : SECONDS_MAX),
            .tv_nsec = (int32_t)(delay_ns % NS_PER_SECOND),
        };
        return r->posix.sys->epoll_pwait2(r->epoll, r->events, EVENTS_MAX, &timeout, NULL);
    }
    const uint64_t delay_ms = delay_ns / NS_PER_MS + (delay_ns % NS_PER_MS != 0);
    return r->posix.sys->epoll_pwait(r->epoll, r->events, EVENTS_MAX,
                                     delay_ms < INT_MAX ? (int)delay_ms : INT_MAX, NULL);
}

static kirim_err epoll_wait_events(struct ki_reactor *reactor, uint64_t deadline_ns)
{
    struct epoll_reactor *r = reactor_of(reactor);
    ki_posix_rx_take_back(&r->posix);
    int n;
    if (deadline_ns == 0 || deadline_ns == KIRIM_NEVER) {
        const int timeout_ms = deadline_ns == 0 ? 0 : -1;
        n = r->posix.sys->epoll_pwait(r->epoll, r->events, EVENTS_MAX, timeout_ms, NULL);
    } else {
        n = wait_until(r, deadline_ns);
    }
    if (n < 0) {
        return errno == EINTR ? KIRIM_OK : ki_posix_failed(reactor->loop, "epoll_wait");
    }
    for (int i = 0; i < n; i++) {
        dispatch(r, &r->events[i]);
    }
    return KIRIM_OK;
}

const struct ki_reactor_ops ki_reactor_epoll = {
    .name = "epoll",
    .port_bytes = sizeof(struct epoll_port),
    .open = epoll_open,
    .begin_close = ki_posix_begin_close,
    .close = epoll_close,
    .now = ki_posix_now,
    .random = ki_posix_random,
    .port_open = epoll_port_open,
    .port_close = epoll_port_close,
    .port_buffers = ki_posix_port_buffers,
    .port_drops = ki_posix_port_drops,
    .set_membership = ki_posix_set_membership,
    .set_multicast = ki_posix_set_multicast,
    .path_mtu = ki_posix_path_mtu,
    .receive = ki_posix_receive,
    .submit = ki_posix_submit,
    .release = ki_posix_release,
    .wait = epoll_wait_events,
    .wake = ki_posix_wake,
    .pollable = epoll_pollable,
    .watch = epoll_watch,
    .unwatch = epoll_unwatch,
};
