/* SPDX-License-Identifier: MIT
 *
 * The look at a guest that a wait reported; see posix_guest.h.
 */
#include "posix_guest.h"

void ki_posix_guest_look(const struct ki_posix *r, struct kirim_guest *guest)
{
    struct pollfd state = { .fd = (int)guest->ki_descriptor };
    if ((guest->ki_events & KIRIM_GUEST_READABLE) != 0) {
        state.events |= POLLIN;
    }
    if ((guest->ki_events & KIRIM_GUEST_WRITABLE) != 0) {
        state.events |= POLLOUT;
    }
    if (r->sys->poll(&state, 1, 0) <= 0) {
        return; /* It was ready a moment ago: if it still is, the next wait says so. */
    }
    const int came = state.revents;
    ki_guest_ready(guest,
                   ((came & POLLIN) != 0 ? KIRIM_GUEST_READABLE : 0) |
                       ((came & POLLOUT) != 0 ? KIRIM_GUEST_WRITABLE : 0) |
                       ((came & (POLLERR | POLLHUP | POLLNVAL)) != 0 ? KIRIM_GUEST_FAILED : 0));
}
