/* SPDX-License-Identifier: MIT
 *
 * Ends a loop's run when the user asks for it: SIGINT, SIGTERM or SIGHUP, on Windows Ctrl-C,
 * Ctrl-Break or the closing of the console. One loop at a time; signals_posix.c and
 * signals_windows.c.
 */
#ifndef EXAMPLES_COMMON_STOP_H
#define EXAMPLES_COMMON_STOP_H

#include <kirim/loop.h>

/* From now on a request to end makes kirim_loop_run() of this loop return. False if the system
 * refuses. While it holds, kirim_loop_run() does not return for want of work. */
bool stop_catch(struct kirim_loop *loop);

/* Lets the loop go, before or after it is closed. Requests are still caught. */
void stop_release(void);

/* Whether the user has asked. */
bool stop_is_asked(void);

#endif
