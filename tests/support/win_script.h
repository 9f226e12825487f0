/* SPDX-License-Identifier: MIT
 *
 * A table of Winsock calls that follows a script: it passes every call on to the system, counts it
 * and notes it, and where the test says so lets it fail. It stands behind the WSASendMsg and
 * WSARecvMsg of the providers too. Options can be made up, for those that the system at hand lacks.
 *
 * Sockets, event objects and startups are counted, so that a leak shows. A send that is told "would
 * block" is followed by FD_WRITE, as the reference promises. The state is the program's, as the
 * calls have no place for a context: one loop at a time. Loop thread, but for what a wake calls.
 */
#ifndef WIN_SCRIPT_H
#define WIN_SCRIPT_H

#include "win_sys.h"

#include <stdbool.h>
#include <stdint.h>

enum script_call {
    SCRIPT_STARTUP,
    SCRIPT_CLEANUP,
    SCRIPT_SOCKET,
    SCRIPT_BIND,
    SCRIPT_CONNECT,
    SCRIPT_GETSOCKNAME,
    SCRIPT_GETPEERNAME,
    SCRIPT_SETSOCKOPT,
    SCRIPT_GETSOCKOPT,
    SCRIPT_IOCTL,
    SCRIPT_CLOSE,
    SCRIPT_SELECT,
    SCRIPT_POLL,
    SCRIPT_EVENT_CREATE,
    SCRIPT_EVENT_SET,
    SCRIPT_EVENT_RESET,
    SCRIPT_EVENT_CLOSE,
    SCRIPT_EVENT_SELECT,
    SCRIPT_EVENT_ENUM,
    SCRIPT_EVENT_WAIT,
    SCRIPT_SLEEP,
    SCRIPT_GET_HANDLE,
    SCRIPT_SET_HANDLE,
    SCRIPT_SEND,
    SCRIPT_RECEIVE,
    SCRIPT_CALL_COUNT
};

enum { STEP_BYTES = 32 };

/* A call as it was made. */
struct script_step {
    enum script_call call;
    SOCKET s;
    int level;      /* of an option */
    int name;       /* of an option, or the code of an ioctl */
    uint32_t value; /* set, or the flags of a socket, the events of WSAEventSelect, ... */
    bool is_refused;
    int bytes;                /* of an option's value */
    uint8_t data[STEP_BYTES]; /* of it, as far as there is room */
};

/* Forgets script, notes and counts; forgets the notes alone. */
void script_reset(void);
void script_forget_steps(void);

/* For kirim_loop_options.system_calls. */
const struct ki_win_sys *script_table(void);

/* The next call of this kind that has no answer yet fails with `sys_err`; 0 lets it through. At
 * most 64 ahead. */
void script_answer(enum script_call call, int sys_err);

/* Every call of this kind fails, from now on. 0: none. */
void script_break(enum script_call call, int sys_err);

/* Makes an option up: it can be read and set, and the system is not asked. */
void script_make_option(int level, int name, uint32_t value);
uint32_t script_option(int level, int name);

/* Setting or reading an option fails with `sys_err`. */
void script_refuse_option(int level, int name, int sys_err);

/* Runs before each call of this kind is made, on the thread that makes it; NULL: nothing does. */
void script_hook(enum script_call call, void (*hook)(void));

uint64_t script_count(enum script_call call); /* of this kind */

/* The index of the first step of this kind from `from` on, for an option or an ioctl with this
 * level and name; -1: there is none. */
int script_find(enum script_call call, int level, int name, int from);
const struct script_step *script_step_at(int index);
int script_step_count(void);

/* Sockets, event objects and startups that were made and not ended. */
int script_open_handles(void);
int script_open_events(void); /* event objects alone */

/* The calls will close a socket that they did not make. */
void script_note_socket(void);

/* Whether the last select() was given a set of the writable; how many sockets it was to read. */
bool script_select_had_writes(void);
uint32_t script_select_reads(void);

/* The time-out of the last wait: of a select in microseconds, else in milliseconds; -1: none; 0:
 * it only looked, or there was no wait since the steps were forgotten. */
int64_t script_timeout(void);

#endif
