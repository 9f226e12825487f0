/* SPDX-License-Identifier: MIT
 *
 * Guests: foreign descriptors among the loop's own. The reactor watches; a turn calls. Loop thread.
 */
#include "core.h"

enum { GUEST_EVENTS = KIRIM_GUEST_READABLE | KIRIM_GUEST_WRITABLE };

static void link_guest(struct kirim_loop *loop, struct kirim_guest *guest)
{
    guest->ki_prev = NULL;
    guest->ki_next = loop->guests;
    if (loop->guests != NULL) {
        loop->guests->ki_prev = guest;
    }
    loop->guests = guest;
}

static void unlink_guest(struct kirim_loop *loop, struct kirim_guest *guest)
{
    if (guest->ki_prev != NULL) {
        guest->ki_prev->ki_next = guest->ki_next;
    } else {
        loop->guests = guest->ki_next;
    }
    if (guest->ki_next != NULL) {
        guest->ki_next->ki_prev = guest->ki_prev;
    }
}

/* Has the reactor watch for `events`; it watches only those that wait for something. */
static kirim_err change_events(struct kirim_loop *loop, struct kirim_guest *guest,
                               intptr_t descriptor, uint32_t events)
{
    const uint32_t before = guest->ki_events;
    kirim_err err = KIRIM_OK;
    guest->ki_descriptor = descriptor;
    guest->ki_events = events;
    if (events != 0) {
        err = loop->ops->watch(loop->reactor, guest, before == 0);
    } else if (before != 0) {
        loop->ops->unwatch(loop->reactor, guest);
    }
    if (err < 0) {
        guest->ki_events = before;
    }
    return err;
}

kirim_err kirim_guest_watch(struct kirim_loop *loop, struct kirim_guest *guest, intptr_t descriptor,
                            uint32_t events)
{
    if (loop == NULL || guest == NULL || guest->ready == NULL || !ki_loop_is_mine(loop) ||
        (events & ~(uint32_t)GUEST_EVENTS) != 0) {
        return KIRIM_EINVAL;
    }
    if (loop->is_closing != 0) {
        return KIRIM_ECLOSED;
    }
    if (loop->ops->watch == NULL) {
        return KIRIM_EOPNOTSUPP;
    }
    const bool is_new = guest->ki_loop == NULL;
    if (!is_new && (guest->ki_loop != loop || guest->ki_descriptor != descriptor)) {
        return KIRIM_EINVAL;
    }
    const kirim_err err = change_events(loop, guest, descriptor, events);
    if (err == KIRIM_OK && is_new) {
        guest->ki_loop = loop;
        link_guest(loop, guest);
        ki_loop_rearm(loop);
    }
    return err;
}

/* Takes a guest off a list of ready ones, whose end `last` points to (NULL: nobody adds to it). */
static void unlink_ready(struct kirim_guest **from, struct kirim_guest ***last,
                         const struct kirim_guest *guest)
{
    for (struct kirim_guest **at = from; *at != NULL; at = &(*at)->ki_ready_next) {
        if (*at == guest) {
            *at = guest->ki_ready_next;
            if (last != NULL && *at == NULL) {
                *last = at;
            }
            return;
        }
    }
}

void kirim_guest_remove(struct kirim_guest *guest)
{
    if (guest == NULL || guest->ki_loop == NULL) {
        return;
    }
    struct kirim_loop *loop = guest->ki_loop;
    if (guest->ki_events != 0) {
        loop->ops->unwatch(loop->reactor, guest);
        guest->ki_events = 0;
    }
    if (guest->ki_ready != 0) {
        unlink_ready(&loop->guests_ready, &loop->guests_ready_last, guest);
        unlink_ready(&loop->guests_calling, NULL, guest);
        guest->ki_ready = 0;
    }
    unlink_guest(loop, guest);
    guest->ki_loop = NULL;
    ki_loop_rearm(loop);
}

void ki_guests_remove_all(struct kirim_loop *loop)
{
    while (loop->guests != NULL) {
        kirim_guest_remove(loop->guests);
    }
}

void ki_guest_ready(struct kirim_guest *guest, uint32_t events)
{
    struct kirim_loop *loop = guest->ki_loop;
    if (guest->ki_ready == 0) {
        guest->ki_ready_next = NULL;
        *loop->guests_ready_last = guest;
        loop->guests_ready_last = &guest->ki_ready_next;
    }
    guest->ki_ready |= events;
}

void ki_guests_call(struct kirim_loop *loop)
{
    loop->guests_calling = loop->guests_ready;
    loop->guests_ready = NULL;
    loop->guests_ready_last = &loop->guests_ready;
    while (loop->guests_calling != NULL) {
        struct kirim_guest *guest = loop->guests_calling;
        loop->guests_calling = guest->ki_ready_next;
        const uint32_t wanted = guest->ki_events != 0 ? guest->ki_events | KIRIM_GUEST_FAILED : 0;
        const uint32_t events = guest->ki_ready & wanted;
        guest->ki_ready = 0;
        if (events != 0) {
            loop->stats.guests_called++;
            guest->ready(guest, events);
            loop->moment++;
        }
    }
}
