/* SPDX-License-Identifier: MIT
 *
 * The eventfd behind wake. Keeps true: while the flag is set, one write has been made or is being
 * made; the flag is cleared after that write was read. Threads and sources: see posix_wake.h.
 */
#include "posix_wake.h"

#include "posix_map.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>

enum {
    WRITE_TRIES_MAX = 8 /* a signal handler may not loop for ever */
};

kirim_err ki_posix_wake_open(struct ki_posix_wake *wake, const struct ki_posix_sys *sys)
{
    wake->sys = sys;
    atomic_init(&wake->is_raised, 0);
    wake->fd = sys->eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return wake->fd < 0 ? ki_posix_map(errno) : KIRIM_OK;
}

void ki_posix_wake_close(struct ki_posix_wake *wake)
{
    (void)wake->sys->close(wake->fd);
}

void ki_posix_wake_raise(struct ki_posix_wake *wake)
{
    /* Release, for what the caller posted before; acquire is not needed to write one number. */
    if (atomic_exchange_explicit(&wake->is_raised, 1, memory_order_acq_rel) != 0) {
        return;
    }
    const int caller_errno = errno;
    const uint64_t one = 1;
    int tries = 0;
    while (wake->sys->write(wake->fd, &one, sizeof one) < 0 && ++tries < WRITE_TRIES_MAX) {}
    if (tries == WRITE_TRIES_MAX) {
        /* No system does this. The next wake shall try again rather than trust this one. */
        atomic_store_explicit(&wake->is_raised, 0, memory_order_release);
    }
    errno = caller_errno;
}

bool ki_posix_wake_drain(struct ki_posix_wake *wake)
{
    /* Whatever the flag says: a child of fork() shares the eventfd, and has a flag of its own. */
    uint64_t count = 0;
    if (wake->sys->read(wake->fd, &count, sizeof count) != (ssize_t)sizeof count) {
        return false; /* The write is still to come, or the read was interrupted: next wait. */
    }
    /* Acquire: what was posted before a wake that found the flag set is visible from here on. */
    (void)atomic_exchange_explicit(&wake->is_raised, 0, memory_order_acq_rel);
    return true;
}
