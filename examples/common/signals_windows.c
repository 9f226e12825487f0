/* SPDX-License-Identifier: MIT
 *
 * stop.h for Windows. The system calls the handler in a thread of its own, so the remote is behind
 * a lock. Global because the handler has no other argument. Source: SetConsoleCtrlHandler,
 * HandlerRoutine.
 */
#include "stop.h"

#include <windows.h>

#include <kirim/remote.h>

enum { END_MS_MAX = 2000 }; /* how long the closing console waits for the program */

static SRWLOCK lock = SRWLOCK_INIT;
static struct kirim_remote *stop_remote;
static volatile LONG is_asked;

static BOOL WINAPI on_console_event(DWORD event)
{
    (void)InterlockedExchange(&is_asked, 1);
    AcquireSRWLockShared(&lock);
    if (stop_remote != NULL) {
        (void)kirim_remote_stop(stop_remote);
    }
    ReleaseSRWLockShared(&lock);
    /* After a close the system ends the process as soon as this returns: let main() end it first.
     */
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) {
        Sleep(END_MS_MAX);
    }
    return TRUE;
}

bool stop_catch(struct kirim_loop *loop)
{
    stop_release();
    AcquireSRWLockExclusive(&lock);
    stop_remote = kirim_loop_remote(loop);
    ReleaseSRWLockExclusive(&lock);
    return SetConsoleCtrlHandler(on_console_event, TRUE) != 0;
}

void stop_release(void)
{
    AcquireSRWLockExclusive(&lock);
    kirim_remote_release(stop_remote);
    stop_remote = NULL;
    ReleaseSRWLockExclusive(&lock);
}

bool stop_is_asked(void)
{
    return InterlockedCompareExchange(&is_asked, 0, 0) != 0;
}
