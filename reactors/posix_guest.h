/* SPDX-License-Identifier: MIT
 *
 * Guests of the POSIX reactors whose wait tells a failure as readable or writable (select,
 * libevent): poll tells them apart. Owns nothing. Loop thread, inside wait(). Source: poll(2).
 */
#ifndef KI_POSIX_GUEST_H
#define KI_POSIX_GUEST_H

#include "posix.h"

/* Looks at what a guest's descriptor has, and tells the core. */
void ki_posix_guest_look(const struct ki_posix *r, struct kirim_guest *guest);

#endif
