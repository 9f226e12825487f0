/* SPDX-License-Identifier: MIT
 *
 * A system-call table that follows a script: it passes every call on to the system, counts it, and
 * where the test says so lets it fail, or do less than it was asked.
 *
 * Every descriptor that the calls give and take back is counted, so that a leak shows. The state is
 * the program's, as the calls have no place for a context: one loop at a time. Loop thread, but for
 * write(), which a wake of another thread makes.
 */
#ifndef POSIX_SCRIPT_H
#define POSIX_SCRIPT_H

#include "posix_sys.h"

#include <stdbool.h>
#include <stdint.h>

enum script_call {
    SCRIPT_RECVMMSG,
    SCRIPT_SENDMMSG,
    SCRIPT_RECVMSG,
    SCRIPT_SENDMSG,
    SCRIPT_EPOLL_CREATE1,
    SCRIPT_EPOLL_CTL,
    SCRIPT_EPOLL_PWAIT,
    SCRIPT_EPOLL_PWAIT2,
    SCRIPT_SELECT,
    SCRIPT_POLL,
    SCRIPT_SOCKET,
    SCRIPT_BIND,
    SCRIPT_CONNECT,
    SCRIPT_GETSOCKNAME,
    SCRIPT_GETPEERNAME,
    SCRIPT_SETSOCKOPT,
    SCRIPT_GETSOCKOPT,
    SCRIPT_FCNTL,
    SCRIPT_EVENTFD,
    SCRIPT_TIMERFD_CREATE,
    SCRIPT_TIMERFD_SETTIME,
    SCRIPT_READ,
    SCRIPT_WRITE,
    SCRIPT_CLOSE,
    SCRIPT_CLOCK_GETTIME,
    SCRIPT_GETRANDOM,
    SCRIPT_CALL_COUNT
};

/* Forgets script and counts. */
void script_reset(void);

/* Forgets the counts of each kind: what the reactor probed the system with is nobody's. */
void script_forget_counts(void);

/* For kirim_loop_options.system_calls. */
const struct ki_posix_sys *script_table(void);

/* The next call of this kind that has no answer yet fails with `sys_err`; 0 lets it through. At
 * most 64 ahead. */
void script_answer(enum script_call call, int sys_err);

/* The next recvmmsg, sendmmsg, recvmsg (of bytes: getrandom, read) does at most so much; at most 64
 * ahead. */
void script_limit(enum script_call call, int count);

/* Every call of this kind fails, from now on. 0: none. */
void script_break(enum script_call call, int sys_err);

/* Call number `n` of all, counted from 1 since the reset, fails, whatever it is; close() and
 * clock_gettime() are not counted, as they cannot fail. 0: none. */
void script_fail_at(uint64_t n, int sys_err);

uint64_t script_count(enum script_call call); /* of this kind */
uint64_t script_total(void);                  /* of those that script_fail_at() counts */

/* Descriptors that were made and not closed. */
int script_open_descriptors(void);

/* The calls will close one that they did not make. */
void script_note_descriptor(void);

/* Whether the last select() was given a set of descriptors to write to. */
bool script_select_had_writes(void);

/* Flags of the last sendmsg or sendmmsg. */
int script_send_flags(void);

#endif
