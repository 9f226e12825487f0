/* SPDX-License-Identifier: MIT
 *
 * The look at a guest; see win_guest.h.
 */
#include "win_guest.h"

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
    if (r->sys->poll(&state, 1, 0) <= 0) {
        return 0;
    }
    const int came = state.revents;
    return ((came & POLLRDNORM) != 0 ? KIRIM_GUEST_READABLE : 0U) |
           ((came & POLLWRNORM) != 0 ? KIRIM_GUEST_WRITABLE : 0U) |
           ((came & (POLLERR | POLLHUP | POLLNVAL)) != 0 ? KIRIM_GUEST_FAILED : 0U);
}
