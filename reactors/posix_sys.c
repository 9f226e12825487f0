/* SPDX-License-Identifier: MIT
 *
 * The default table of system calls: the C library's functions, none of them changed. Those that
 * the C library declares with another type (variadic, or with its transparent union for addresses)
 * have a function of one line here. Owns nothing. Any thread.
 */
#include "posix_sys.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int call_bind(int fd, const struct sockaddr *name, socklen_t name_bytes)
{
    return bind(fd, name, name_bytes);
}

static int call_connect(int fd, const struct sockaddr *name, socklen_t name_bytes)
{
    return connect(fd, name, name_bytes);
}

static int call_getsockname(int fd, struct sockaddr *name, socklen_t *name_bytes)
{
    return getsockname(fd, name, name_bytes);
}

static int call_getpeername(int fd, struct sockaddr *name, socklen_t *name_bytes)
{
    return getpeername(fd, name, name_bytes);
}

static int call_fcntl(int fd, int what, int argument)
{
    return fcntl(fd, what, argument);
}

static int call_eventfd(unsigned count, int flags)
{
    return eventfd(count, flags);
}

const struct ki_posix_sys ki_posix_sys_default = {
    .recvmmsg = recvmmsg,
    .sendmmsg = sendmmsg,
    .recvmsg = recvmsg,
    .sendmsg = sendmsg,
    .epoll_create1 = epoll_create1,
    .epoll_ctl = epoll_ctl,
    .epoll_pwait = epoll_pwait,
    .epoll_pwait2 = epoll_pwait2,
    .select = select,
    .poll = poll,
    .socket = socket,
    .bind = call_bind,
    .connect = call_connect,
    .getsockname = call_getsockname,
    .getpeername = call_getpeername,
    .setsockopt = setsockopt,
    .getsockopt = getsockopt,
    .fcntl = call_fcntl,
    .eventfd = call_eventfd,
    .timerfd_create = timerfd_create,
    .timerfd_settime = timerfd_settime,
    .read = read,
    .write = write,
    .close = close,
    .clock_gettime = clock_gettime,
    .getrandom = getrandom,
    .getpid = getpid,
};

const struct ki_posix_sys *ki_posix_sys_of(const void *replacement)
{
    return replacement != NULL ? replacement : &ki_posix_sys_default;
}
