/* SPDX-License-Identifier: MIT
 *
 * Reactor over select, for Winsock.
 *
 * A set of Winsock is a count and an array of sockets. FD_SETSIZE bounds the declaration of that
 * array, not the call: the sets here are as long as they must be, and are written anew from the
 * table of what is watched in each wait, as select overwrites them anyway. Blocked ports only are
 * in the set of the writable. A guest's failure is asked of WSAPoll, but for a connect that failed,
 * which only the third set tells on older systems. Level-triggered by nature. No pollable handle.
 *
 * Keeps true: the first item is the wake socket, so that no wait is without a socket, which Winsock
 * refuses; an item's owner knows its place; no two items with an owner have one socket. Owns its
 * table and sets. Loop thread, but for wake. Sources: select, fd_set, WSAPoll.
 */
#include "builtin.h"
#include "win.h"
#include "win_guest.h"
#include "win_mtu.h"
#include "win_multicast.h"
#include "win_socket.h"
#include "win_tx.h"
#include "win_wake.h"

#include <stddef.h>

enum {
    ITEMS_AT_FIRST = 64,
    NS_PER_US = 1000,
    US_PER_SECOND = 1000000,
    SECONDS_MAX = 1 << 30 /* a wait may end early */
};

/* The sets, and the bits for them: of an item, what it waits for, and what has come. */
enum { SET_READ, SET_WRITE, SET_EXCEPT, SET_COUNT };
enum { IN_READ = 1 << SET_READ, IN_WRITE = 1 << SET_WRITE, IN_EXCEPT = 1 << SET_EXCEPT };

/* Whom an item belongs to. */
enum { OWNER_NOBODY, OWNER_WAKE, OWNER_PORT, OWNER_GUEST };

struct item {
    SOCKET s;
    void *owner;
    uint16_t kind; /* OWNER_... */
    uint8_t wants;
    uint8_t came;
};

/* As the system's fd_set, with room for more. */
struct socket_set {
    u_int count;
    SOCKET s[];
};
_Static_assert(offsetof(struct socket_set, s) == offsetof(fd_set, fd_array) &&
                   offsetof(struct socket_set, count) == offsetof(fd_set, fd_count),
               "a set is handed to the system as it is");

struct select_port {
    struct ki_win_port win;
    uint64_t place; /* of its item */
};

struct select_reactor {
    struct ki_win win;
    uint32_t item_count;
    uint32_t item_room;
    uint32_t set_counts[SET_COUNT]; /* items that want each */
    struct item *items;
    struct socket_set *sets[SET_COUNT];
    struct ki_win_wake wake;
};

static struct select_reactor *reactor_of(struct ki_reactor *reactor)
{
    return (struct select_reactor *)reactor;
}

/* ---- the table ------------------------------------------------------------------------------- */

static size_t set_bytes(uint32_t room)
{
    return offsetof(struct socket_set, s) + room * sizeof(SOCKET);
}

static size_t table_bytes(uint32_t room)
{
    return room * sizeof(struct item) + SET_COUNT * set_bytes(room);
}

/* Makes room for one more item. Items and sets lie in one block: all of them grow, or none. */
static kirim_err reserve(struct select_reactor *r)
{
    struct kirim_loop *loop = r->win.reactor.loop;
    if (r->item_count < r->item_room) {
        return KIRIM_OK;
    }
    const uint32_t room = r->item_room != 0 ? r->item_room * 2 : ITEMS_AT_FIRST;
    struct item *items = ki_alloc(loop, table_bytes(room));
    if (items == NULL) {
        return KIRIM_ENOMEM;
    }
    if (r->item_count != 0) {
        memcpy(items, r->items, r->item_count * sizeof *items);
    }
    ki_free(loop, r->items, table_bytes(r->item_room));
    uint8_t *set = (uint8_t *)(items + room);
    for (int i = 0; i < SET_COUNT; i++, set += set_bytes(room)) {
        r->sets[i] = (struct socket_set *)(void *)set;
    }
    r->items = items;
    r->item_room = room;
    return KIRIM_OK;
}

/* The item of a socket, or NULL. Looked for from `*from` on, and around: what select leaves in a
 * set is in the order in which it was put there, though nobody promises that. */
static struct item *find(struct select_reactor *r, SOCKET s, uint32_t *from)
{
    for (uint32_t i = 0; i < r->item_count; i++) {
        struct item *item = &r->items[*from];
        *from = *from + 1 < r->item_count ? *from + 1 : 0;
        if (item->s == s) {
            return item;
        }
    }
    return NULL;
}

static void want(struct select_reactor *r, struct item *item, uint32_t wants)
{
    const uint32_t before = item->wants;
    for (int i = 0; i < SET_COUNT; i++) {
        r->set_counts[i] += (wants >> i & 1) - (before >> i & 1);
    }
    item->wants = (uint8_t)wants;
}

static void note_place(struct item *item, uint32_t place)
{
    if (item->kind == OWNER_PORT) {
        ((struct select_port *)item->owner)->place = place;
    } else if (item->kind == OWNER_GUEST) {
        ((struct kirim_guest *)item->owner)->ki_slot = place;
    }
}

/* Begins to watch a socket, for which there is room. Whoever had its number before has closed it.
 */
static void add(struct select_reactor *r, SOCKET s, void *owner, uint16_t kind, uint32_t wants)
{
    uint32_t from = 0;
    struct item *old = find(r, s, &from);
    if (old != NULL) {
        want(r, old, 0);
        old->s = INVALID_SOCKET;
    }
    struct item *item = &r->items[r->item_count];
    *item = (struct item){ .s = s, .owner = owner, .kind = kind };
    want(r, item, wants);
    note_place(item, r->item_count);
    r->item_count++;
}

/* Watches an item no more; the last one takes its place. */
static void drop(struct select_reactor *r, uint64_t place)
{
    struct item *item = &r->items[place];
    want(r, item, 0);
    r->item_count--;
    if (place != r->item_count) {
        *item = r->items[r->item_count];
        note_place(item, (uint32_t)place);
    }
}

/* ---- opening and closing --------------------------------------------------------------------- */

static kirim_err want_writable(struct ki_win *win, struct ki_win_port *port)
{
    struct select_reactor *r = (struct select_reactor *)win;
    struct item *item = &r->items[((struct select_port *)port)->place];
    want(r, item, item->wants | IN_WRITE);
    return KIRIM_OK;
}

static kirim_err select_open(struct kirim_loop *loop, const struct kirim_loop_options *options,
                             struct ki_reactor **out, uint32_t *caps)
{
    if (options->reactor_context != NULL) {
        return KIRIM_EINVAL; /* it takes none: another reactor was meant */
    }
    struct select_reactor *r = ki_alloc(loop, sizeof *r);
    if (r == NULL) {
        return KIRIM_ENOMEM;
    }
    kirim_err err = ki_win_open(&r->win, loop, options, caps);
    if (err < 0) {
        goto fail_free;
    }
    err = ki_win_wake_open(&r->wake, &r->win);
    if (err < 0) {
        goto fail_win;
    }
    err = reserve(r);
    if (err < 0) {
        goto fail_wake;
    }
    add(r, r->wake.s, NULL, OWNER_WAKE, IN_READ);
    r->win.want_writable = want_writable;
    *out = &r->win.reactor;
    return KIRIM_OK;
fail_wake:
    ki_win_wake_close(&r->wake, &r->win);
fail_win:
    ki_win_close(&r->win);
fail_free:
    ki_free(loop, r, sizeof *r);
    return err;
}

static void select_close(struct ki_reactor *reactor)
{
    struct select_reactor *r = reactor_of(reactor);
    ki_free(reactor->loop, r->items, table_bytes(r->item_room));
    ki_win_wake_close(&r->wake, &r->win);
    ki_win_close(&r->win);
    ki_free(reactor->loop, r, sizeof *r);
}

static void select_wake(struct ki_reactor *reactor)
{
    ki_win_wake_raise(&reactor_of(reactor)->wake);
}

/* ---- ports and guests ------------------------------------------------------------------------ */

static kirim_err select_port_open(struct ki_reactor *reactor, struct ki_port *port,
                                  const struct kirim_endpoint_options *options)
{
    struct select_reactor *r = reactor_of(reactor);
    struct ki_win_port *p = (struct ki_win_port *)port;
    struct ki_win_setup setup;
    kirim_err err = ki_win_socket_open(&r->win, p, options, &setup);
    if (err < 0) {
        return err;
    }
    err = reserve(r);
    if (err < 0) {
        goto fail_socket;
    }
    err = ki_win_socket_bind(&r->win, p, &setup);
    if (err < 0) {
        goto fail_socket;
    }
    add(r, setup.s, p, OWNER_PORT, IN_READ);
    return KIRIM_OK;
fail_socket:
    ki_win_socket_undo(&r->win, p, &setup);
    return err;
}

static kirim_err select_port_close(struct ki_reactor *reactor, struct ki_port *port)
{
    struct select_reactor *r = reactor_of(reactor);
    drop(r, ((struct select_port *)port)->place);
    ki_win_socket_close(&r->win, (struct ki_win_port *)port);
    return KIRIM_OK;
}

static kirim_err select_watch(struct ki_reactor *reactor, struct kirim_guest *guest, bool is_new)
{
    struct select_reactor *r = reactor_of(reactor);
    const SOCKET s = (SOCKET)guest->ki_descriptor;
    const bool is_writer = (guest->ki_events & KIRIM_GUEST_WRITABLE) != 0;
    const uint32_t wants = ((guest->ki_events & KIRIM_GUEST_READABLE) != 0 ? IN_READ : 0U) |
                           (is_writer ? IN_WRITE | IN_EXCEPT : 0U);
    /* One closed socket would fail the wait for all the others: look before it is added. */
    kirim_err err = ki_win_guest_judge(&r->win, guest);
    if (err < 0) {
        return err;
    }
    if (!is_new) {
        struct item *item = &r->items[guest->ki_slot];
        if (item->s != s) {
            return KIRIM_EINVAL; /* It was closed, and its number has another owner by now. */
        }
        want(r, item, wants);
        return KIRIM_OK;
    }
    uint32_t from = 0;
    if (find(r, s, &from) != NULL) {
        return KIRIM_EEXIST;
    }
    err = reserve(r);
    if (err < 0) {
        return err;
    }
    add(r, s, guest, OWNER_GUEST, wants);
    return KIRIM_OK;
}

static void select_unwatch(struct ki_reactor *reactor, struct kirim_guest *guest)
{
    drop(reactor_of(reactor), guest->ki_slot);
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Tells a guest what there is. It was ready a moment ago: if it still is and nothing is told now,
 * the next wait tells it. */
static void tell_guest(const struct select_reactor *r, const struct item *item)
{
    const uint32_t events = ki_win_guest_look(&r->win, item->owner) |
                            ((item->came & IN_EXCEPT) != 0 ? KIRIM_GUEST_FAILED : 0U);
    if (events != 0) {
        ki_guest_ready(item->owner, events);
    }
}

static void dispatch(struct select_reactor *r, struct item *item)
{
    if (item->kind == OWNER_PORT) {
        struct ki_win_port *p = item->owner;
        if ((item->came & IN_READ) != 0) {
            ki_port_ready(&r->win.reactor, &p->port);
        }
        if ((item->came & IN_WRITE) != 0 && p->is_blocked != 0) {
            want(r, item, item->wants & ~(uint32_t)IN_WRITE);
            p->is_blocked = 0;
            ki_port_writable(&p->port);
        }
    } else if (item->kind == OWNER_GUEST) {
        tell_guest(r, item);
    } else if (item->kind == OWNER_WAKE) {
        r->win.reactor.wake_count += ki_win_wake_take(&r->wake);
    }
    item->came = 0;
}

static void dispatch_all(struct select_reactor *r)
{
    for (int i = 0; i < SET_COUNT; i++) {
        const struct socket_set *set = r->sets[i];
        uint32_t from = 0;
        for (u_int k = 0; k < set->count; k++) {
            struct item *item = find(r, set->s[k], &from);
            if (item != NULL) {
                item->came |= (uint8_t)(1 << i);
            }
        }
    }
    for (uint32_t i = 0; i < r->item_count; i++) {
        if (r->items[i].came != 0) {
            dispatch(r, &r->items[i]);
        }
    }
}

/* Somebody closed a socket that we watch. Finds it, and watches it no more: its owner is told, and
 * the others go on. */
static KI_COLD void drop_closed(struct select_reactor *r)
{
    for (uint32_t i = 0; i < r->item_count; i++) {
        struct item *item = &r->items[i];
        DWORD type;
        int bytes = sizeof type;
        if (item->wants == 0 ||
            r->win.sys->getsockopt(item->s, SOL_SOCKET, SO_TYPE, (char *)&type, &bytes) == 0 ||
            WSAGetLastError() != WSAENOTSOCK) {
            continue;
        }
        ki_log(r->win.reactor.loop, KIRIM_LOG_ERROR, "select: a watched socket was closed",
               WSAENOTSOCK);
        want(r, item, 0);
        if (item->kind == OWNER_PORT) {
            ki_port_ready(&r->win.reactor, item->owner);
        } else if (item->kind == OWNER_GUEST) {
            ki_guest_ready(item->owner, KIRIM_GUEST_FAILED);
        }
    }
}

/* Writes the sets for a wait. */
static void fill_sets(struct select_reactor *r)
{
    for (int i = 0; i < SET_COUNT; i++) {
        struct socket_set *set = r->sets[i];
        set->count = 0;
        for (uint32_t k = 0; r->set_counts[i] != set->count && k < r->item_count; k++) {
            if ((r->items[k].wants >> i & 1) != 0) {
                set->s[set->count++] = r->items[k].s;
            }
        }
    }
}

/* A set as the system takes it: NULL if it is empty. */
static fd_set *system_set(const struct select_reactor *r, int i)
{
    return r->sets[i]->count != 0 ? (fd_set *)(void *)r->sets[i] : NULL;
}

/* The time-out for a deadline, in `*out`; NULL if there is no limit. */
static TIMEVAL *timeout_for(uint64_t deadline_ns, TIMEVAL *out)
{
    *out = (TIMEVAL){ 0, 0 };
    if (deadline_ns == KIRIM_NEVER) {
        return NULL;
    }
    if (deadline_ns != 0) {
        const uint64_t delay_ns = ki_win_remaining_ns(deadline_ns);
        const uint64_t delay_us = delay_ns / NS_PER_US + (delay_ns % NS_PER_US != 0);
        const uint64_t seconds = delay_us / US_PER_SECOND;
        out->tv_sec = (long)(seconds < SECONDS_MAX ? seconds : SECONDS_MAX); /* long: TIMEVAL's */
        out->tv_usec = (long)(delay_us % US_PER_SECOND);                     /* long: TIMEVAL's */
    }
    return out;
}

static kirim_err select_wait(struct ki_reactor *reactor, uint64_t deadline_ns)
{
    struct select_reactor *r = reactor_of(reactor);
    TIMEVAL timeout;
    ki_win_rx_take_back(&r->win);
    fill_sets(r);
    TIMEVAL *limit = timeout_for(ki_win_wake_is_raised(&r->wake) ? 0 : deadline_ns, &timeout);
    const int n = r->win.sys->select(0, system_set(r, SET_READ), system_set(r, SET_WRITE),
                                     system_set(r, SET_EXCEPT), limit);
    const int sys_err = n == SOCKET_ERROR ? WSAGetLastError() : 0;
    if (n > 0) {
        dispatch_all(r);
    } else if (sys_err == WSAENOTSOCK) {
        drop_closed(r);
    } else if (sys_err != 0 && sys_err != WSAEINTR) {
        return ki_win_failed(reactor->loop, "select");
    }
    /* The flag is the wake, even if the datagram is still to come. */
    if (ki_win_wake_is_raised(&r->wake)) {
        reactor->wake_count += ki_win_wake_take(&r->wake);
    }
    return KIRIM_OK;
}

const struct ki_reactor_ops ki_reactor_select = {
    .name = "select",
    .port_bytes = sizeof(struct select_port),
    .open = select_open,
    .close = select_close,
    .now = ki_win_reactor_now,
    .random = ki_win_reactor_random,
    .port_open = select_port_open,
    .port_close = select_port_close,
    .port_buffers = ki_win_port_buffers,
    .port_drops = ki_win_port_drops,
    .path_mtu = ki_win_path_mtu,
    .set_membership = ki_win_set_membership,
    .set_multicast = ki_win_set_multicast,
    .receive = ki_win_receive,
    .submit = ki_win_submit,
    .release = ki_win_release,
    .wait = select_wait,
    .wake = select_wake,
    .watch = select_watch,
    .unwatch = select_unwatch,
};
