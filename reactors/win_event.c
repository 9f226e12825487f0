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
 * block". Guests want levels: one that may have something is "hot", and is asked by WSAPoll before
 * each sleep until it has nothing. A guest that could not write and was not told "would block" gets
 * no edge: while there is such a one no sleep is long.
 *
 * FD_CLOSE is not asked for on ports: there are systems that report it in place of FD_READ when a
 * peer's port is closed. Owns its event objects. Loop thread, but for wake. Sources:
 * WSAEventSelect, WSAEnumNetworkEvents, WSAWaitForMultipleEvents, WSAPoll.
 */
#include "builtin.h"
#include "win.h"
#include "win_guest.h"
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
    GUESTS_AT_FIRST = 16,
    NS_PER_MS = 1000000,
    MS_MAX = 1 << 30,    /* a wait may end early */
    BLOCKED_WAIT_MS = 16 /* longest sleep while a guest cannot write */
};

struct event_port {
    struct ki_win_port win;
    struct event_port *next; /* in its group */
    struct event_port **link;
    struct event_port *fresh_next; /* ports to be received from without having been told */
    uint64_t is_fresh;
    uint64_t group; /* index of its event */
};

struct guest_item {
    struct kirim_guest *guest;
    uint16_t is_hot;     /* it may have something: to be asked before the next sleep */
    uint16_t has_failed; /* its connect has, which may be told only once */
};

struct event_reactor {
    struct ki_win win;
    uint32_t event_count; /* objects there are */
    uint32_t guest_count;
    uint32_t guest_room;
    uint32_t blocked_count; /* guests that wait to write and cannot; of the last look */
    WSAEVENT events[EVENTS_MAX];
    struct event_port *groups[EVENTS_MAX]; /* first port of each */
    uint32_t group_counts[EVENTS_MAX];
    struct guest_item *guests;
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

static void close_events(struct event_reactor *r)
{
    while (r->event_count > 0) {
        (void)r->win.sys->event_close(r->events[--r->event_count]);
    }
}

/* The group that a new port shall join: the smallest one, or a new one if that is not small. An
 * object that cannot be made is no reason to refuse the port, unless it would be the first. */
static kirim_err choose_group(struct event_reactor *r, uint32_t *out)
{
    uint32_t best = EVENT_PORTS;
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
    *out = &r->win.reactor;
    return KIRIM_OK;
fail_events:
    close_events(r);
    ki_win_close(&r->win);
fail_free:
    ki_free(loop, r, sizeof *r);
    return err;
}

static void event_close(struct ki_reactor *reactor)
{
    struct event_reactor *r = reactor_of(reactor);
    ki_free(reactor->loop, r->guests, r->guest_room * sizeof *r->guests);
    close_events(r);
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
    /* The flag is cleared behind the event: the other order loses a wake. */
    (void)r->win.sys->event_reset(r->events[EVENT_WAKE]);
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
    if (r->win.sys->event_select(setup.s, r->events[group], FD_READ | FD_WRITE) != 0) {
        err = ki_win_failed(reactor->loop, "WSAEventSelect");
        goto fail_socket;
    }
    join_group(r, p, group);
    /* What had come before is not told by every system. */
    p->is_fresh = 1;
    p->fresh_next = r->fresh;
    r->fresh = p;
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
    /* Before the close: the socket may live on in another process that has a duplicate. */
    (void)r->win.sys->event_select((SOCKET)port->descriptor, NULL, 0);
    ki_win_socket_close(&r->win, &p->win);
    return KIRIM_OK;
}

/* ---- guests ---------------------------------------------------------------------------------- */

static kirim_err reserve_guest(struct event_reactor *r)
{
    struct kirim_loop *loop = r->win.reactor.loop;
    if (r->guest_count < r->guest_room) {
        return KIRIM_OK;
    }
    const uint32_t room = r->guest_room != 0 ? r->guest_room * 2 : GUESTS_AT_FIRST;
    struct guest_item *guests = ki_alloc(loop, room * sizeof *guests);
    if (guests == NULL) {
        return KIRIM_ENOMEM;
    }
    if (r->guest_count != 0) {
        memcpy(guests, r->guests, r->guest_count * sizeof *guests);
    }
    ki_free(loop, r->guests, r->guest_room * sizeof *r->guests);
    r->guests = guests;
    r->guest_room = room;
    return KIRIM_OK;
}

/* Whether a socket is one of the loop's own, or another guest's. */
static bool is_watched(const struct event_reactor *r, intptr_t descriptor)
{
    for (uint32_t i = 0; i < r->guest_count; i++) {
        if (r->guests[i].guest->ki_descriptor == descriptor) {
            return true;
        }
    }
    for (uint32_t i = EVENT_PORTS; i < r->event_count; i++) {
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
    const bool is_reader = (guest->ki_events & KIRIM_GUEST_READABLE) != 0;
    const bool is_writer = (guest->ki_events & KIRIM_GUEST_WRITABLE) != 0;
    /* long: the reference's */
    const long wanted = (is_reader ? FD_READ | FD_ACCEPT : 0L) |
                        (is_writer ? FD_WRITE | FD_CONNECT : 0L) | FD_CLOSE;
    kirim_err err = ki_win_guest_judge(&r->win, guest);
    if (err < 0) {
        return err;
    }
    if (is_new) {
        if (is_watched(r, guest->ki_descriptor)) {
            return KIRIM_EEXIST;
        }
        err = reserve_guest(r);
        if (err < 0) {
            return err;
        }
    }
    if (r->win.sys->event_select((SOCKET)guest->ki_descriptor, r->events[EVENT_GUESTS], wanted) !=
        0) {
        return ki_win_failed(reactor->loop, "WSAEventSelect: a guest");
    }
    if (is_new) {
        guest->ki_slot = r->guest_count;
        r->guests[r->guest_count++] = (struct guest_item){ .guest = guest };
    }
    r->guests[guest->ki_slot].is_hot = 1;
    return KIRIM_OK;
}

static void event_unwatch(struct ki_reactor *reactor, struct kirim_guest *guest)
{
    struct event_reactor *r = reactor_of(reactor);
    const uint64_t slot = guest->ki_slot;
    (void)r->win.sys->event_select((SOCKET)guest->ki_descriptor, NULL, 0);
    r->guest_count--;
    if (slot != r->guest_count) {
        r->guests[slot] = r->guests[r->guest_count];
        r->guests[slot].guest->ki_slot = slot;
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Asks the hot guests. Returns whether there is anything to tell. */
static bool look_at_guests(struct event_reactor *r)
{
    bool is_any = false;
    r->blocked_count = 0;
    for (uint32_t i = 0; i < r->guest_count; i++) {
        struct guest_item *item = &r->guests[i];
        if (item->is_hot == 0) {
            continue;
        }
        const uint32_t events = ki_win_guest_look(&r->win, item->guest) |
                                (item->has_failed != 0 ? KIRIM_GUEST_FAILED : 0U);
        const bool is_blocked = (item->guest->ki_events & ~events & KIRIM_GUEST_WRITABLE) != 0;
        r->blocked_count += is_blocked;
        item->is_hot = events != 0 || is_blocked;
        if (events != 0) {
            ki_guest_ready(item->guest, events);
            is_any = true;
        }
    }
    return is_any;
}

/* Notes which guests have recorded something. */
static void dispatch_guests(struct event_reactor *r)
{
    (void)r->win.sys->event_reset(r->events[EVENT_GUESTS]);
    for (uint32_t i = 0; i < r->guest_count; i++) {
        struct guest_item *item = &r->guests[i];
        WSANETWORKEVENTS record;
        if (r->win.sys->event_enum((SOCKET)item->guest->ki_descriptor, NULL, &record) != 0) {
            item->has_failed = 1; /* It was closed before it was removed. */
            item->is_hot = 1;
        } else if (record.lNetworkEvents != 0) {
            item->is_hot = 1;
            item->has_failed |=
                (record.lNetworkEvents & FD_CONNECT) != 0 && record.iErrorCode[FD_CONNECT_BIT] != 0;
        }
    }
}

static void dispatch_ports(struct event_reactor *r, uint32_t group)
{
    (void)r->win.sys->event_reset(r->events[group]);
    for (struct event_port *p = r->groups[group]; p != NULL; p = p->next) {
        WSANETWORKEVENTS record;
        struct ki_port *port = &p->win.port;
        if (r->win.sys->event_enum((SOCKET)port->descriptor, NULL, &record) != 0) {
            ki_port_ready(&r->win.reactor, port); /* receive() will say what is wrong */
            continue;
        }
        if ((record.lNetworkEvents & FD_READ) != 0) {
            ki_port_ready(&r->win.reactor, port); /* an error in the record as well */
        }
        if ((record.lNetworkEvents & FD_WRITE) != 0 && p->win.is_blocked != 0) {
            p->win.is_blocked = 0;
            ki_port_writable(port);
        }
    }
}

static void dispatch(struct event_reactor *r, uint32_t index)
{
    if (index == EVENT_WAKE) {
        take_wake(r);
    } else if (index == EVENT_GUESTS) {
        dispatch_guests(r);
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

/* The time-out for a deadline. */
static DWORD timeout_for(uint64_t deadline_ns)
{
    if (deadline_ns == KIRIM_NEVER) {
        return WSA_INFINITE;
    }
    if (deadline_ns == 0) {
        return 0;
    }
    const uint64_t delay_ns = ki_win_remaining_ns(deadline_ns);
    const uint64_t delay_ms = delay_ns / NS_PER_MS + (delay_ns % NS_PER_MS != 0);
    return (DWORD)(delay_ms < MS_MAX ? delay_ms : MS_MAX);
}

static kirim_err event_wait(struct ki_reactor *reactor, uint64_t deadline_ns)
{
    struct event_reactor *r = reactor_of(reactor);
    kirim_err err = KIRIM_OK;
    ki_win_rx_take_back(&r->win);
    const bool has_work = look_at_guests(r) || r->fresh != NULL;
    tell_fresh(r);
    DWORD timeout_ms = has_work ? 0 : timeout_for(deadline_ns);
    if (r->blocked_count != 0 && timeout_ms > BLOCKED_WAIT_MS) {
        timeout_ms = BLOCKED_WAIT_MS;
    }
    /* The lowest index is told: those behind it are asked, too. */
    uint32_t index = wait_from(r, 0, timeout_ms, &err);
    while (index < r->event_count) {
        dispatch(r, index);
        index = wait_from(r, index + 1, 0, &err);
    }
    if (r->guest_count != 0 && !has_work) {
        (void)look_at_guests(r);
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
    .set_membership = ki_win_set_membership,
    .set_multicast = ki_win_set_multicast,
    .receive = ki_win_receive,
    .submit = ki_win_submit,
    .release = ki_win_release,
    .wait = event_wait,
    .wake = event_wake,
    .watch = event_watch,
    .unwatch = event_unwatch,
};
