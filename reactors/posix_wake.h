/* SPDX-License-Identifier: MIT
 *
 * Waking a wait from elsewhere: an eventfd behind an atomic flag.
 *
 * Wakes merge: only the first one after a drain writes. The flag is cleared only after a write has
 * been read, so no wake is lost between the two. A child of fork() shares the eventfd and has a
 * flag of its own: a readable eventfd is always read. The reactor watches `fd` and calls
 * ki_posix_wake_drain() inside wait(), before the core looks at what other threads posted. Owns the
 * eventfd. Raising: any thread and signal handlers; all else: loop thread. Sources: eventfd(2),
 * signal-safety(7).
 */
#ifndef KI_POSIX_WAKE_H
#define KI_POSIX_WAKE_H

#include "posix_sys.h"

#include <kirim/error.h>
#include <stdatomic.h>
#include <stdbool.h>

struct ki_posix_wake {
    const struct ki_posix_sys *sys;
    int fd;
    atomic_uint is_raised;
};

/* Opens the eventfd. On failure nothing is left open, and errno says why. */
kirim_err ki_posix_wake_open(struct ki_posix_wake *wake, const struct ki_posix_sys *sys);
void ki_posix_wake_close(struct ki_posix_wake *wake);

/* Makes `fd` readable, if it is not already. Any thread, async-signal-safe; keeps errno. */
void ki_posix_wake_raise(struct ki_posix_wake *wake);

/* To be called when `fd` was reported readable: takes the wake back, and tells whether there was
 * one. */
bool ki_posix_wake_drain(struct ki_posix_wake *wake);

#endif
