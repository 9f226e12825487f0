/* SPDX-License-Identifier: MIT
 *
 * Waking a select from elsewhere: a UDP socket connected to itself, behind an atomic flag.
 *
 * The flag is the wake, and the datagram only ends a sleep: whoever waits looks at the flag before,
 * and takes it behind. So wakes merge, one that comes between the two is not lost, and a datagram
 * that comes late costs an empty turn. Owns the socket. Raising: any thread; all else: loop thread.
 * Sources: WSASendMsg, "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE".
 */
#ifndef KI_WIN_WAKE_H
#define KI_WIN_WAKE_H

#include "win.h"

#include <stdatomic.h>

struct ki_win_wake {
    SOCKET s;
    struct ki_win_calls calls;
    atomic_uint is_raised;
};

/* Opens the socket, of a family that the instance has. Fails without leaving anything behind. */
kirim_err ki_win_wake_open(struct ki_win_wake *wake, const struct ki_win *r);
void ki_win_wake_close(struct ki_win_wake *wake, const struct ki_win *r);

/* Makes the socket readable, if it is not about to be. Any thread; keeps the last error. */
void ki_win_wake_raise(struct ki_win_wake *wake);

/* Whether a wake is there: the next wait shall only look. */
bool ki_win_wake_is_raised(const struct ki_win_wake *wake);

/* Takes the wake, and what has ended the sleep; tells whether there was one. */
bool ki_win_wake_take(struct ki_win_wake *wake);

#endif
