/* SPDX-License-Identifier: MIT
 *
 * The system calls of the POSIX reactors, as a table that a test can replace.
 *
 * Every system call of the reactors goes through it, and none beside it, so that a test can make
 * the n-th call fail, be partial, be late or lie. The members have the signatures of the manual and
 * set errno as the manual says. A loop gets its table from kirim_loop_options.system_calls, else
 * the default; a replacement starts as a copy of the default. Owns nothing. Any thread. Sources:
 * the manual pages of the calls, section 2.
 */
#ifndef KI_POSIX_SYS_H
#define KI_POSIX_SYS_H

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

struct ki_posix_sys {
    /* The four of every turn. */
    int (*recvmmsg)(int fd, struct mmsghdr *msgs, unsigned count, int flags,
                    struct timespec *limit);
    int (*sendmmsg)(int fd, struct mmsghdr *msgs, unsigned count, int flags);
    ssize_t (*recvmsg)(int fd, struct msghdr *msg, int flags);
    ssize_t (*sendmsg)(int fd, const struct msghdr *msg, int flags);

    /* Waiting. */
    int (*epoll_create1)(int flags);
    int (*epoll_ctl)(int epoll, int what, int fd, struct epoll_event *event);
    int (*epoll_pwait)(int epoll, struct epoll_event *events, int count, int timeout_ms,
                       const sigset_t *mask);
    int (*epoll_pwait2)(int epoll, struct epoll_event *events, int count,
                        const struct timespec *timeout, const sigset_t *mask);
    int (*select)(int fd_end, fd_set *readable, fd_set *writable, fd_set *exceptional,
                  struct timeval *timeout);
    int (*poll)(struct pollfd *fds, nfds_t count, int timeout_ms);

    /* Sockets. */
    int (*socket)(int domain, int type, int protocol);
    int (*bind)(int fd, const struct sockaddr *name, socklen_t name_bytes);
    int (*connect)(int fd, const struct sockaddr *name, socklen_t name_bytes);
    int (*getsockname)(int fd, struct sockaddr *name, socklen_t *name_bytes);
    int (*getpeername)(int fd, struct sockaddr *name, socklen_t *name_bytes);
    int (*setsockopt)(int fd, int level, int option, const void *value, socklen_t value_bytes);
    int (*getsockopt)(int fd, int level, int option, void *value, socklen_t *value_bytes);

    /* Descriptors, time and chance. */
    int (*fcntl)(int fd, int what, int argument);
    int (*eventfd)(unsigned count, int flags);
    int (*timerfd_create)(clockid_t clock, int flags);
    int (*timerfd_settime)(int timer, int flags, const struct itimerspec *when,
                           struct itimerspec *before);
    ssize_t (*read)(int fd, void *out, size_t bytes);
    ssize_t (*write)(int fd, const void *data, size_t bytes);
    int (*close)(int fd);
    int (*clock_gettime)(clockid_t clock, struct timespec *out);
    ssize_t (*getrandom)(void *out, size_t bytes, unsigned flags);
    pid_t (*getpid)(void);
};

/* The system's own calls. */
extern const struct ki_posix_sys ki_posix_sys_default;

/* The table of a loop: `replacement` (kirim_loop_options.system_calls), or the default. */
const struct ki_posix_sys *ki_posix_sys_of(const void *replacement);

#endif
