/* SPDX-License-Identifier: MIT
 *
 * Guests of the Windows reactors: what they are, and what they have. Guests are sockets here.
 * Owns nothing. Loop thread. Sources: WSAPoll, GetHandleInformation.
 */
#ifndef KI_WIN_GUEST_H
#define KI_WIN_GUEST_H

#include "win.h"

/* What a guest's descriptor is: KIRIM_OK for a socket, KIRIM_EOPNOTSUPP for some other handle,
 * KIRIM_EINVAL if it is not open. */
kirim_err ki_win_guest_judge(const struct ki_win *r, const struct kirim_guest *guest);

/* What a guest has of what it waits for, as KIRIM_GUEST_ bits, and whether it has failed. A connect
 * that failed does not show here on systems before Windows 10 2004. */
uint32_t ki_win_guest_look(const struct ki_win *r, const struct kirim_guest *guest);

#endif
