/* SPDX-License-Identifier: MIT
 *
 * stop.h for POSIX systems. The state is global because a signal handler has no other argument; it
 * is written in the loop's thread, where the handler runs too. The handler may only do what is
 * async-signal-safe, which kirim_remote_stop() is. Sources: sigaction(2), signal-safety(7).
 */
#define _POSIX_C_SOURCE 200809L
#include "stop.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

#include <kirim/remote.h>

static struct kirim_remote *_Atomic stop_remote;
static volatile sig_atomic_t is_asked;

static void on_signal(int signal_number)
{
    const int saved_errno = errno;
    struct kirim_remote *const remote = atomic_load(&stop_remote);
    (void)signal_number;
    is_asked = 1;
    if (remote != NULL) {
        (void)kirim_remote_stop(remote);
    }
    errno = saved_errno;
}

/* The terminal has gone; who was told not to care (nohup) does not. */
static bool catch_hangup(const struct sigaction *action)
{
    struct sigaction old;
    return sigaction(SIGHUP, NULL, &old) == 0 &&
           (old.sa_handler == SIG_IGN || sigaction(SIGHUP, action, NULL) == 0);
}

bool stop_catch(struct kirim_loop *loop)
{
    struct sigaction action = { .sa_handler = on_signal };
    stop_release();
    atomic_store(&stop_remote, kirim_loop_remote(loop));
    return sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0 &&
           catch_hangup(&action);
}

void stop_release(void)
{
    kirim_remote_release(atomic_exchange(&stop_remote, NULL));
}

bool stop_is_asked(void)
{
    return is_asked != 0;
}
