/* SPDX-License-Identifier: MIT
 *
 * errno to kirim_err: the one place where a POSIX error gets its name. Owns nothing. Any thread.
 * Sources: errno(3), udp(7), ip(7), the error table of the WSASendMsg reference page (S30..S49).
 */
#ifndef KI_POSIX_MAP_H
#define KI_POSIX_MAP_H

#include <kirim/error.h>

/* The error that `sys_err`, a value of errno, stands for; KIRIM_ESYSTEM if it has no name. */
kirim_err ki_posix_map(int sys_err);

#endif
