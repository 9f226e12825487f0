/* SPDX-License-Identifier: MIT
 *
 * Winsock's error codes to kirim_err: the one place where a Windows error gets its name. Owns
 * nothing. Any thread. Sources: the reference page "Windows Sockets error codes", the error table
 * of the WSASendMsg page (S30..S49).
 */
#ifndef KI_WIN_MAP_H
#define KI_WIN_MAP_H

#include <kirim/error.h>

/* The error that `sys_err`, of WSAGetLastError(), stands for; KIRIM_ESYSTEM if it has no name. */
kirim_err ki_win_map(int sys_err);

#endif
