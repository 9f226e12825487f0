/* SPDX-License-Identifier: MIT
 *
 * Reactor over WSAEventSelect, for Winsock.
 *
 * A wait takes 64 event objects at most, so sockets share them: one object for wake, one for all
 * guests, and one for each group of ports. Groups grow once there is an object for each that can
 * be. When an object is signalled it is reset first, and then each socket of its group is asked
 * what it has recorded: what comes in between signals it again, so nothing is lost, and a wait more
 * is the price.
 *
 * Records are edges. A port's FD_READ is recorded anew by each receive that leaves something, and
 * the core receives until there is nothing, or asks by itself; FD_WRITE comes behind a "would
 * block". Guests want levels: see win_guest.h.
 *
 * No system has a reason to record FD_CLOSE for a datagram socket. Wine does, in place of FD_READ,
 * when a peer's port is closed, and from then on records nothing of that socket any more: such a
 * port is "deaf", and is received from in each wait, of which none is long then.
 *
 * A loop that was asked for its handle has one object for everything: the first to ask moves all
 * there is to that of wake. What the system does not signal itself is signalled here: a port that
 * is new, a guest that is, and one that still has what it had. What no edge tells (a deaf port, and
 * a guest that cannot write and was not told "would block") does not wake the handle. Owns its
 * event objects. Loop thread, but for wake. Sources:
 * WSAEventSelect, WSAEnumNetworkEvents, WSAWaitForMultipleEvents.
 */
#include "builtin.h"
#include "win.h"
#include "win_guest.h"
#include "win_map.h"
#include "win_mtu.h"
#include "win_multicast.h"
#include "win_socket.h"
#include "win_tx.h"

#include <stdatomic.h>

enum {
    EVENTS_MAX = WSA_MAXIMUM_WAIT_EVENTS,
    EVENT_WAKE = 0,
    EVENT_GUESTS = 1,
    EVENT_PORTS = 2,      /* and those behind it */
    GROUP_PORTS_LOW = 16, /* ports of a group before another one is begun */
    PORT_EVENTS = FD_READ | FD_WRITE | FD_CLOSE
};

struct event_port {
    struct ki_win_port win;
    struct event_port *next; /* in its group */
    struct event_port **link;
    struct event_port *fresh_next; /* ports to be received from without having been told */
    uint64_t is_fresh;
    uint64_t is_deaf;
    uint64_t group; /* index of its event, or what was one */
};

struct event_reactor {
    struct ki_win win;
    uint32_t event_count; /* objects there are */
    uint32_t is_single;   /* one object for all: somebody has its handle */
    uint32_t deaf_count;  /* ports */
    WSAEVENT events[EVENTS_MAX];
    struct event_port *groups[EVENTS_MAX]; /* first port of each */
    uint32_t group_counts[EVENTS_MAX];
    struct ki_win_guests guests;
    struct event_port *fresh;
    atomic_uint is_raised;
};

static struct event_reactor *reactor_of(struct ki_reactor *reactor)
{
    return (struct event_reactor *)reactor;
}

/* ---- event objects --------------------------------------------------------------------------- */

/* Makes one more event object. */
static kirim_err add_event(struct event_reactor *r)
{
    const WSAEVENT event = r->win.sys->event_create();
    if (event == WSA_INVALID_EVENT) {
        return ki_win_failed(r->win.reactor.loop, "WSACreateEvent");
    }
    r->events[r->event_count++] = event;
    return KIRIM_OK;
}

/* Closes all but the first `keep`. */
static void close_events(struct event_reactor *r, uint32_t keep)
{
    while (r->event_count > keep) {
        (void)r->win.sys->event_close(r->events[--r->event_count]);
    }
}

/* The object of a group of ports, or of the guests. */
static WSAEVENT event_of(const struct event_reactor *r, uint64_t group)
{
    return r->events[r->is_single != 0 ? EVENT_WAKE : group];
}

/* Has the next wait of a host come back at once. */
static void signal_host(struct event_reactor *r)
{
    if (r->is_single != 0) {
        (void)r->win.sys->event_set(r->events[EVENT_WAKE]);
    }
}

/* The group that a new port shall join: the smallest one, or a new one if that is not small. An
 * object that cannot be made is no reason to refuse the port, unless it would be the first. */
static kirim_err choose_group(struct event_reactor *r, uint32_t *out)
{
    uint32_t best = EVENT_PORTS;
    if (r->is_single != 0) {
        *out = best;
        return KIRIM_OK;
    }
    for (uint32_t i = EVENT_PORTS; i < r->event_count; i++) {
        best = r->group_counts[i] < r->group_counts[best] ? i : best;
    }
    const bool has_groups = r->event_count > EVENT_PORTS;
    if (!has_groups || (r->group_counts[best] >= GROUP_PORTS_LOW && r->event_count < EVENTS_MAX)) {
        const kirim_err err = add_event(r);
        if (err == KIRIM_OK) {
            best = r->event_count - 1;
        } else if (!has_groups) {
            return err;
        }
    }
    *out = best;
    return KIRIM_OK;
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* The "would block" that the port was answered has armed FD_WRITE. */
static kirim_err want_writable(struct ki_win *win, struct ki_win_port *port)
{
    (void)win;
    (void)port;
    return KIRIM_OK;
}

static kirim_err event_open(struct kirim_loop *loop, const struct kirim_loop_options *options,
                            struct ki_reactor **out, uint32_t *caps)
{
    if (options->reactor_context != NULL) {
        return KIRIM_EINVAL; /* it takes none: another reactor was meant */
    }
    struct event_reactor *r = ki_alloc(loop, sizeof *r);
    if (r == NULL) {
        return KIRIM_ENOMEM;
    }
    atomic_init(&r->is_raised, 0);
    kirim_err err = ki_win_open(&r->win, loop, options, caps);
    if (err < 0) {
        goto fail_free;
    }
    while (r->event_count < EVENT_PORTS) {
        err = add_event(r);
        if (err < 0) {
            goto fail_events;
        }
    }
    r->win.want_writable = want_writable;
    *caps |= KIRIM_CAP_POLLABLE;
    *out = &r->win.reactor;
    return KIRIM_OK;
fail_events:
    close_events(r, 0);
    ki_win_close(&r->win);
fail_free:
    ki_free(loop, r, sizeof *r);
    return err;
}

static void event_close(struct ki_reactor *reactor)
{
    struct event_reactor *r = reactor_of(reactor);
    ki_win_guests_close(&r->win, &r->guests);
    close_events(r, 0);
    ki_win_close(&r->win);
    ki_free(reactor->loop, r, sizeof *r);
}

/* ---- wake ------------------------------------------------------------------------------------ */

static void event_wake(struct ki_reactor *reactor)
{
    struct event_reactor *r = reactor_of(reactor);
    if (atomic_exchange_explicit(&r->is_raised, 1, memory_order_acq_rel) != 0) {
        return;
    }
    const int last_error = WSAGetLastError();
    if (!r->win.sys->event_set(r->events[EVENT_WAKE])) {
        /* No system does this. The next wake shall try again rather than trust this one. */
        atomic_store_explicit(&r->is_raised, 0, memory_order_release);
    }
    WSASetLastError(last_error);
}

static void take_wake(struct event_reactor *r)
{
    /* The flag is cleared behind the event, which is reset: the other order loses a wake. */
    if (atomic_exchange_explicit(&r->is_raised, 0, memory_order_acq_rel) != 0) {
        r->win.reactor.wake_count++;
    }
}

/* ---- ports ----------------------------------------------------------------------------------- */

static void join_group(struct event_reactor *r, struct event_port *p, uint32_t group)
{
    p->group = group;
    p->next = r->groups[group];
    p->link = &r->groups[group];
    if (p->next != NULL) {
        p->next->link = &p->next;
    }
    r->groups[group] = p;
    r->group_counts[group]++;
}

static void leave_group(struct event_reactor *r, struct event_port *p)
{
    *p->link = p->next;
    if (p->next != NULL) {
        p->next->link = p->link;
    }
    r->group_counts[p->group]--;
}

/* Has a port be received from once without having been told: what had come before its selection is
 * not told by every system. */
static void mark_fresh(struct event_reactor *r, struct event_port *p)
{
    if (p->is_fresh == 0) {
        p->is_fresh = 1;
        p->fresh_next = r->fresh;
        r->fresh = p;
    }
}

static void forget_fresh(struct event_reactor *r, const struct event_port *p)
{
    struct event_port **at = &r->fresh;
    while (p->is_fresh != 0 && *at != p) {
        at = &(*at)->fresh_next;
    }
    if (p->is_fresh != 0) {
        *at = p->fresh_next;
    }
}

static kirim_err event_port_open(struct ki_reactor *reactor, struct ki_port *port,
                                 const struct kirim_endpoint_options *options)
{
    struct event_reactor *r = reactor_of(reactor);
    struct event_port *p = (struct event_port *)port;
    struct ki_win_setup setup;
    uint32_t group = EVENT_PORTS;
    kirim_err err = ki_win_socket_open(&r->win, &p->win, options, &setup);
    if (err < 0) {
        return err;
    }
    err = choose_group(r, &group);
    if (err < 0) {
        goto fail_socket;
    }
    err = ki_win_socket_bind(&r->win, &p->win, &setup);
    if (err < 0) {
        goto fail_socket;
    }
    if (r->win.sys->event_select(setup.s, event_of(r, group), PORT_EVENTS) != 0) {
        err = ki_win_failed(reactor->loop, "WSAEventSelect");
        goto fail_socket;
    }
    join_group(r, p, group);
    mark_fresh(r, p);
    signal_host(r);
    return KIRIM_OK;
fail_socket:
    ki_win_socket_undo(&r->win, &p->win, &setup);
    return err;
}

static kirim_err event_port_close(struct ki_reactor *reactor, struct ki_port *port)
{
    struct event_reactor *r = reactor_of(reactor);
    struct event_port *p = (struct event_port *)port;
    forget_fresh(r, p);
    leave_group(r, p);
    r->deaf_count -= (uint32_t)p->is_deaf;
    /* Before the close: the socket may live on in another process that has a duplicate. */
    (void)r->win.sys->event_select((SOCKET)port->descriptor, NULL, 0);
    ki_win_socket_close(&r->win, &p->win);
    return KIRIM_OK;
}

/* ---- guests ---------------------------------------------------------------------------------- */

/* Whether a socket is one of the loop's own. */
static bool is_port(const struct event_reactor *r, intptr_t descriptor)
{
    for (uint32_t i = EVENT_PORTS; i < EVENTS_MAX; i++) {
        for (const struct event_port *p = r->groups[i]; p != NULL; p = p->next) {
            if (p->win.port.descriptor == descriptor) {
                return true;
            }
        }
    }
    return false;
}

static kirim_err event_watch(struct ki_reactor *reactor, struct kirim_guest *guest, bool is_new)
{
    struct event_reactor *r = reactor_of(reactor);
    r->guests.event = event_of(r, EVENT_GUESTS);
    const kirim_err err = ki_win_guests_watch(&r->win, &r->guests, guest, is_new,
                                              is_new && is_port(r, guest->ki_descriptor));
    if (err == KIRIM_OK) {
        signal_host(r);
    }
    return err;
}

static void event_unwatch(struct ki_reactor *reactor, struct kirim_guest *guest)
{
    struct event_reactor *r = reactor_of(reactor);
    ki_win_guests_unwatch(&r->win, &r->guests, guest);
}

/* ---- one object for all ---------------------------------------------------------------------- */

/* Selects all ports and guests for the objects that they belong to now. False: the last error says
 * why one of them could not be. */
static bool select_all(struct event_reactor *r)
{
    for (uint32_t i = EVENT_PORTS; i < EVENTS_MAX; i++) {
        for (const struct event_port *p = r->groups[i]; p != NULL; p = p->next) {
            if (r->win.sys->event_select((SOCKET)p->win.port.descriptor, event_of(r, i),
                                         PORT_EVENTS) != 0) {
                return false;
            }
        }
    }
    return ki_win_guests_move(&r->win, &r->guests, event_of(r, EVENT_GUESTS));
}

/* Everything gets the object of wake. If that fails all is as it was, but for a socket that
 * somebody has closed. */
static kirim_err make_single(struct event_reactor *r)
{
    kirim_err err = KIRIM_OK;
    r->is_single = 1;
    if (!select_all(r)) {
        err = ki_win_failed(r->win.reactor.loop, "WSAEventSelect: one object for all");
        r->is_single = 0;
        (void)select_all(r);
    } else {
        close_events(r, EVENT_WAKE + 1);
    }
    /* What had been recorded may be forgotten by now. */
    for (uint32_t i = EVENT_PORTS; i < EVENTS_MAX; i++) {
        for (struct event_port *p = r->groups[i]; p != NULL; p = p->next) {
            mark_fresh(r, p);
        }
    }
    signal_host(r);
    return err;
}

static kirim_err event_pollable(struct ki_reactor *reactor, intptr_t *out)
{
    struct event_reactor *r = reactor_of(reactor);
    const kirim_err err = r->is_single != 0 ? KIRIM_OK : make_single(r);
    if (err == KIRIM_OK) {
        *out = (intptr_t)r->events[EVENT_WAKE];
    }
    return err;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* FD_CLOSE was recorded: a closed port was reported, and there will be no other record. */
static KI_COLD void note_deaf(struct event_reactor *r, struct event_port *p, int sys_err)
{
    r->deaf_count += p->is_deaf == 0;
    p->is_deaf = 1;
    if (ki_win_rx_is_report(sys_err)) {
        p->win.report = (struct ki_win_report){
            .is_there = 1,
            .peer = p->win.port.remote,
            .err = ki_win_map(sys_err),
            .sys_err = sys_err,
        };
    }
}

static KI_COLD void tell_deaf(struct event_reactor *r)
{
    for (uint32_t i = EVENT_PORTS; i < EVENTS_MAX; i++) {
        for (struct event_port *p = r->groups[i]; p != NULL; p = p->next) {
            if (p->is_deaf != 0) {
                ki_port_ready(&r->win.reactor, &p->win.port);
            }
        }
    }
}

static void dispatch_ports(struct event_reactor *r, uint32_t group)
{
    for (struct event_port *p = r->groups[group]; p != NULL; p = p->next) {
        WSANETWORKEVENTS record;
        struct ki_port *port = &p->win.port;
        if (r->win.sys->event_enum((SOCKET)port->descriptor, NULL, &record) != 0) {
            /* receive() will say what is wrong, and so will a send that was blocked: its FD_WRITE
             * may be in the record that could not be read, and is told once. */
            ki_port_ready(&r->win.reactor, port);
            record = (WSANETWORKEVENTS){ .lNetworkEvents = FD_WRITE };
        }
        if ((record.lNetworkEvents & FD_READ) != 0) {
            ki_port_ready(&r->win.reactor, port); /* an error in the record as well */
        }
        if ((record.lNetworkEvents & FD_WRITE) != 0 && p->win.is_blocked != 0) {
            p->win.is_blocked = 0;
            ki_port_writable(port);
        }
        if ((record.lNetworkEvents & FD_CLOSE) != 0) {
            note_deaf(r, p, record.iErrorCode[FD_CLOSE_BIT]);
        }
    }
}

static void dispatch(struct event_reactor *r, uint32_t index)
{
    (void)r->win.sys->event_reset(r->events[index]);
    if (r->is_single != 0) {
        take_wake(r);
        ki_win_guests_dispatch(&r->win, &r->guests);
        for (uint32_t i = EVENT_PORTS; i < EVENTS_MAX; i++) {
            dispatch_ports(r, i);
        }
    } else if (index == EVENT_WAKE) {
        take_wake(r);
    } else if (index == EVENT_GUESTS) {
        ki_win_guests_dispatch(&r->win, &r->guests);
    } else {
        dispatch_ports(r, index);
    }
}

/* Waits for the events from `first` on. Returns the index of one that is signalled, or
 * `r->event_count`: none; `*err` tells if there cannot be one any more. */
static uint32_t wait_from(struct event_reactor *r, uint32_t first, DWORD timeout_ms, kirim_err *err)
{
    const DWORD count = r->event_count - first;
    if (count == 0) {
        return r->event_count;
    }
    const DWORD answer = r->win.sys->event_wait(count, &r->events[first], FALSE, timeout_ms, FALSE);
    if (answer == WSA_WAIT_FAILED) {
        *err = ki_win_failed(r->win.reactor.loop, "WSAWaitForMultipleEvents");
        return r->event_count;
    }
    return answer < WSA_WAIT_EVENT_0 + count ? first + (answer - WSA_WAIT_EVENT_0) : r->event_count;
}

/* Tells the ports that were opened since the last wait. */
static void tell_fresh(struct event_reactor *r)
{
    for (struct event_port *p = r->fresh; p != NULL; p = p->fresh_next) {
        p->is_fresh = 0;
        ki_port_ready(&r->win.reactor, &p->win.port);
    }
    r->fresh = NULL;
}

static kirim_err event_wait(struct ki_reactor *reactor, uint64_t deadline_ns)
{
    struct event_reactor *r = reactor_of(reactor);
    kirim_err err = KIRIM_OK;
    ki_win_rx_take_back(&r->win);
    bool has_guests = ki_win_guests_look(&r->win, &r->guests);
    const bool has_work = has_guests || r->fresh != NULL;
    tell_fresh(r);
    DWORD timeout_ms = has_work ? 0 : ki_win_timeout_ms(deadline_ns);
    if ((r->guests.blocked_count | r->deaf_count) != 0 && timeout_ms > KI_WIN_BLOCKED_WAIT_MS) {
        timeout_ms = KI_WIN_BLOCKED_WAIT_MS;
    }
    /* The lowest index is told: those behind it are asked, too. */
    uint32_t index = wait_from(r, 0, timeout_ms, &err);
    while (index < r->event_count) {
        dispatch(r, index);
        index = wait_from(r, index + 1, 0, &err);
    }
    if (r->guests.count != 0 && !has_work) {
        has_guests = ki_win_guests_look(&r->win, &r->guests);
    }
    if (r->deaf_count != 0) {
        tell_deaf(r);
    }
    if (has_guests) {
        signal_host(r); /* they may have it still when the host waits again */
    }
    return err;
}

const struct ki_reactor_ops ki_reactor_wsaevent = {
    .name = "wsaevent",
    .port_bytes = sizeof(struct event_port),
    .open = event_open,
    .close = event_close,
    .now = ki_win_reactor_now,
    .random = ki_win_reactor_random,
    .port_open = event_port_open,
    .port_close = event_port_close,
    .port_buffers = ki_win_port_buffers,
    .port_drops = ki_win_port_drops,
    .path_mtu = ki_win_path_mtu,
    .set_membership = ki_win_set_membership,
    .set_multicast = ki_win_set_multicast,
    .receive = ki_win_receive,
    .submit = ki_win_submit,
    .release = ki_win_release,
    .wait = event_wait,
    .wake = event_wake,
    .pollable = event_pollable,
    .watch = event_watch,
    .unwatch = event_unwatch,
};
