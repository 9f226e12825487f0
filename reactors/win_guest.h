/* SPDX-License-Identifier: MIT
 *
 * Guests of the Windows reactors: what they are, what they have, and those that are watched by one
 * event object.
 *
 * WSAEventSelect's records are edges, and guests want levels: a guest that may have something is
 * "hot", and is asked by WSAPoll before each sleep until it has nothing. One that could not write
 * and was not told "would block" gets no edge: while there is such a one no sleep is long. Guests
 * are sockets here. Owns the table, not the event. Loop thread. Sources: WSAEventSelect,
 * WSAEnumNetworkEvents, WSAPoll, GetHandleInformation.
 */
#ifndef KI_WIN_GUEST_H
#define KI_WIN_GUEST_H

#include "win.h"

enum {
    KI_WIN_BLOCKED_WAIT_MS = 16 /* longest sleep while a guest cannot write */
};

struct ki_win_guest_item;

struct ki_win_guests {
    WSAEVENT event; /* of whoever has the table: it resets it before a dispatch */
    struct ki_win_guest_item *items;
    uint32_t count;
    uint32_t room;
    uint32_t blocked_count; /* that wait to write and cannot; of the last look */
};

/* What a guest's descriptor is: KIRIM_OK for a socket, KIRIM_EOPNOTSUPP for some other handle,
 * KIRIM_EINVAL if it is not open. */
kirim_err ki_win_guest_judge(const struct ki_win *r, const struct kirim_guest *guest);

/* What a guest has of what it waits for, as KIRIM_GUEST_ bits, and whether it has failed. A connect
 * that failed does not show here on systems before Windows 10 2004. */
uint32_t ki_win_guest_look(const struct ki_win *r, const struct kirim_guest *guest);

/* Watches a guest, or changes what it waits for. `is_port`: its descriptor is that of a port. */
kirim_err ki_win_guests_watch(const struct ki_win *r, struct ki_win_guests *guests,
                              struct kirim_guest *guest, bool is_new, bool is_port);
void ki_win_guests_unwatch(const struct ki_win *r, struct ki_win_guests *guests,
                           const struct kirim_guest *guest);

/* Asks the hot ones, and tells the core. Returns whether any has something. */
bool ki_win_guests_look(const struct ki_win *r, struct ki_win_guests *guests);

/* Has another event object tell of them: all are hot then. False: one could not be selected, and
 * the last error says why. */
bool ki_win_guests_move(const struct ki_win *r, struct ki_win_guests *guests, WSAEVENT event);

/* Notes which of them have recorded something. */
void ki_win_guests_dispatch(const struct ki_win *r, struct ki_win_guests *guests);

/* Frees the table; nobody is watched any more. */
void ki_win_guests_close(const struct ki_win *r, struct ki_win_guests *guests);

#endif
