/* SPDX-License-Identifier: MIT
 *
 * Guests of the Windows reactors; see win_guest.h.
 */
#include "win_guest.h"

enum { GUESTS_AT_FIRST = 16 };

struct ki_win_guest_item {
    struct kirim_guest *guest;
    uint16_t is_hot;     /* it may have something: to be asked before the next sleep */
    uint16_t has_failed; /* its connect has, which may be told only once */
};

/* ---- one guest ------------------------------------------------------------------------------- */

kirim_err ki_win_guest_judge(const struct ki_win *r, const struct kirim_guest *guest)
{
    DWORD type;
    DWORD flags;
    int bytes = sizeof type;
    if (r->sys->getsockopt((SOCKET)guest->ki_descriptor, SOL_SOCKET, SO_TYPE, (char *)&type,
                           &bytes) == 0) {
        return KIRIM_OK;
    }
    return r->sys->get_handle_information((HANDLE)guest->ki_descriptor, &flags) ? KIRIM_EOPNOTSUPP
                                                                                : KIRIM_EINVAL;
}

uint32_t ki_win_guest_look(const struct ki_win *r, const struct kirim_guest *guest)
{
    const bool is_reader = (guest->ki_events & KIRIM_GUEST_READABLE) != 0;
    const bool is_writer = (guest->ki_events & KIRIM_GUEST_WRITABLE) != 0;
    WSAPOLLFD state = {
        .fd = (SOCKET)guest->ki_descriptor,
        .events = (SHORT)((is_reader ? POLLRDNORM : 0) | (is_writer ? POLLWRNORM : 0)),
    };
    const int answer = r->sys->poll(&state, 1, 0);
    if (answer <= 0) {
        /* Closed before it was removed: of one socket that is an error, and no event. */
        const bool is_gone = answer < 0 && WSAGetLastError() == WSAENOTSOCK;
        return is_gone ? KIRIM_GUEST_FAILED : 0;
    }
    const int came = state.revents;
    return ((came & POLLRDNORM) != 0 ? KIRIM_GUEST_READABLE : 0U) |
           ((came & POLLWRNORM) != 0 ? KIRIM_GUEST_WRITABLE : 0U) |
           ((came & (POLLERR | POLLHUP | POLLNVAL)) != 0 ? KIRIM_GUEST_FAILED : 0U);
}

/* ---- the table ------------------------------------------------------------------------------- */

static kirim_err reserve(const struct ki_win *r, struct ki_win_guests *guests)
{
    struct kirim_loop *loop = r->reactor.loop;
    if (guests->count < guests->room) {
        return KIRIM_OK;
    }
    const uint32_t room = guests->room != 0 ? guests->room * 2 : GUESTS_AT_FIRST;
    struct ki_win_guest_item *items = ki_alloc(loop, room * sizeof *items);
    if (items == NULL) {
        return KIRIM_ENOMEM;
    }
    if (guests->count != 0) {
        memcpy(items, guests->items, guests->count * sizeof *items);
    }
    ki_free(loop, guests->items, guests->room * sizeof *items);
    guests->items = items;
    guests->room = room;
    return KIRIM_OK;
}

static bool is_watched(const struct ki_win_guests *guests, intptr_t descriptor)
{
    for (uint32_t i = 0; i < guests->count; i++) {
        if (guests->items[i].guest->ki_descriptor == descriptor) {
            return true;
        }
    }
    return false;
}

/* Selects what a guest waits for: 0, or -1 and the last error. */
static int select_guest(const struct ki_win *r, const struct ki_win_guests *guests,
                        const struct kirim_guest *guest)
{
    const bool is_reader = (guest->ki_events & KIRIM_GUEST_READABLE) != 0;
    const bool is_writer = (guest->ki_events & KIRIM_GUEST_WRITABLE) != 0;
    /* long: the reference's */
    const long wanted = (is_reader ? FD_READ | FD_ACCEPT : 0L) |
                        (is_writer ? FD_WRITE | FD_CONNECT : 0L) | FD_CLOSE;
    return r->sys->event_select((SOCKET)guest->ki_descriptor, guests->event, wanted);
}

kirim_err ki_win_guests_watch(const struct ki_win *r, struct ki_win_guests *guests,
                              struct kirim_guest *guest, bool is_new, bool is_port)
{
    kirim_err err = ki_win_guest_judge(r, guest);
    if (err < 0) {
        return err;
    }
    if (is_new) {
        if (is_port || is_watched(guests, guest->ki_descriptor)) {
            return KIRIM_EEXIST;
        }
        err = reserve(r, guests);
        if (err < 0) {
            return err;
        }
    }
    if (select_guest(r, guests, guest) != 0) {
        return ki_win_failed(r->reactor.loop, "WSAEventSelect: a guest");
    }
    if (is_new) {
        guest->ki_slot = guests->count;
        guests->items[guests->count++] = (struct ki_win_guest_item){ .guest = guest };
    }
    guests->items[guest->ki_slot].is_hot = 1;
    return KIRIM_OK;
}

void ki_win_guests_unwatch(const struct ki_win *r, struct ki_win_guests *guests,
                           const struct kirim_guest *guest)
{
    const uint64_t slot = guest->ki_slot;
    (void)r->sys->event_select((SOCKET)guest->ki_descriptor, NULL, 0);
    guests->count--;
    if (slot != guests->count) {
        guests->items[slot] = guests->items[guests->count];
        guests->items[slot].guest->ki_slot = slot;
    }
}

bool ki_win_guests_look(const struct ki_win *r, struct ki_win_guests *guests)
{
    bool is_any = false;
    guests->blocked_count = 0;
    for (uint32_t i = 0; i < guests->count; i++) {
        struct ki_win_guest_item *item = &guests->items[i];
        if (item->is_hot == 0) {
            continue;
        }
        const uint32_t events =
            ki_win_guest_look(r, item->guest) | (item->has_failed != 0 ? KIRIM_GUEST_FAILED : 0U);
        const bool is_blocked = (item->guest->ki_events & ~events & KIRIM_GUEST_WRITABLE) != 0;
        guests->blocked_count += is_blocked;
        item->is_hot = events != 0 || is_blocked;
        if (events != 0) {
            ki_guest_ready(item->guest, events);
            is_any = true;
        }
    }
    return is_any;
}

bool ki_win_guests_move(const struct ki_win *r, struct ki_win_guests *guests, WSAEVENT event)
{
    guests->event = event;
    for (uint32_t i = 0; i < guests->count; i++) {
        if (select_guest(r, guests, guests->items[i].guest) != 0) {
            return false;
        }
        guests->items[i].is_hot = 1;
    }
    return true;
}

void ki_win_guests_dispatch(const struct ki_win *r, struct ki_win_guests *guests)
{
    for (uint32_t i = 0; i < guests->count; i++) {
        struct ki_win_guest_item *item = &guests->items[i];
        WSANETWORKEVENTS record;
        if (r->sys->event_enum((SOCKET)item->guest->ki_descriptor, NULL, &record) != 0) {
            item->has_failed = 1; /* It was closed before it was removed. */
            item->is_hot = 1;
        } else if (record.lNetworkEvents != 0) {
            item->is_hot = 1;
            item->has_failed |=
                (record.lNetworkEvents & FD_CONNECT) != 0 && record.iErrorCode[FD_CONNECT_BIT] != 0;
        }
    }
}

void ki_win_guests_close(const struct ki_win *r, struct ki_win_guests *guests)
{
    ki_free(r->reactor.loop, guests->items, guests->room * sizeof *guests->items);
}
