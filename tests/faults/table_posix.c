/* SPDX-License-Identifier: MIT
 *
 * A table of system calls in which the n-th call fails: with a code that the manual knows for it,
 * or by doing less than it was asked for. Counts descriptors and datagrams. See faults.h. One
 * thread. Sources: the manual pages of the calls, section 2.
 */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "posix_sys.h"

enum { CODES_MAX = 10, FD_MAX = 1024 };

const struct fault_code fault_codes[] = {
    { EMFILE, "EMFILE" },
    { ENFILE, "ENFILE" },
    { ENOMEM, "ENOMEM" },
    { ENOBUFS, "ENOBUFS" },
    { EAGAIN, "EAGAIN" },
    { EINTR, "EINTR" },
    { EPERM, "EPERM" },
    { ECONNREFUSED, "ECONNREFUSED" },
    { EACCES, "EACCES" },
    { EMSGSIZE, "EMSGSIZE" },
    { ENETUNREACH, "ENETUNREACH" },
    { ENOSPC, "ENOSPC" },
    { EADDRINUSE, "EADDRINUSE" },
    { EAFNOSUPPORT, "EAFNOSUPPORT" },
    { ENOPROTOOPT, "ENOPROTOOPT" },
    { ENOSYS, "ENOSYS" },
    { 0, NULL },
};

/* What each call may answer. */
static const int of_receive[] = { EAGAIN, EINTR, ECONNREFUSED, ENOMEM, ENETUNREACH, 0 };
static const int of_send[] = { EAGAIN, EINTR,  ECONNREFUSED, EPERM,       ENOBUFS,
                               ENOMEM, EACCES, EMSGSIZE,     ENETUNREACH, 0 };
static const int of_creation[] = { EMFILE, ENFILE, ENOMEM, 0 };
static const int of_epoll_ctl[] = { ENOMEM, ENOSPC, 0 };
static const int of_epoll_wait[] = { EINTR, 0 };
static const int of_epoll_pwait2[] = { EINTR, ENOSYS, EPERM, 0 };
static const int of_select[] = { EINTR, ENOMEM, 0 };
static const int of_socket[] = { EMFILE, ENFILE, ENOMEM, ENOBUFS, EACCES, EAFNOSUPPORT, 0 };
static const int of_bind[] = { EADDRINUSE, EACCES, 0 };
static const int of_connect[] = { EINTR, EAGAIN, EPERM, EACCES, ENETUNREACH, ECONNREFUSED, 0 };
static const int of_getname[] = { ENOBUFS, 0 };
static const int of_setsockopt[] = { ENOMEM, EPERM, ENOPROTOOPT, 0 };
static const int of_getsockopt[] = { ENOPROTOOPT, 0 };
static const int of_fcntl[] = { EPERM, 0 };
static const int of_read[] = { EAGAIN, EINTR, 0 };
static const int of_close[] = { EINTR, 0 };
static const int of_random[] = { EINTR, EAGAIN, ENOSYS, 0 };

/* Whether this call fails, with errno set. */
static bool fails(const int *codes)
{
    if (fault_plan.kind != FAULT_CALL) {
        return false;
    }
    while (*codes != 0 && *codes != fault_plan.code) {
        codes++;
    }
    if (*codes == 0 || !fault_strikes()) {
        return false;
    }
    errno = fault_plan.code;
    return true;
}

/* How much of `count` this call does. */
static unsigned cut(unsigned count)
{
    const bool is_cut = fault_plan.kind == FAULT_PARTIAL && count > 1 && fault_strikes();
    return is_cut ? count / 2 : count;
}

bool fault_code_is_passing(int code)
{
    return code == EINTR;
}

/* ---- descriptors ------------------------------------------------------------------------------
 */

static bool is_open[FD_MAX];

static int note_opened(int fd)
{
    if (fd >= 0) {
        FAULT_CHECK(fd < FD_MAX);
        FAULT_CHECK(!is_open[fd]);
        is_open[fd] = true;
        fault_plan.descriptor_count++;
    }
    return fd;
}

static int fault_socket(int domain, int type, int protocol)
{
    return fails(of_socket) ? -1 : note_opened(ki_posix_sys_default.socket(domain, type, protocol));
}

static int fault_epoll_create1(int flags)
{
    return fails(of_creation) ? -1 : note_opened(ki_posix_sys_default.epoll_create1(flags));
}

static int fault_eventfd(unsigned count, int flags)
{
    return fails(of_creation) ? -1 : note_opened(ki_posix_sys_default.eventfd(count, flags));
}

static int fault_timerfd_create(clockid_t clock, int flags)
{
    return fails(of_creation) ? -1 : note_opened(ki_posix_sys_default.timerfd_create(clock, flags));
}

/* The descriptor is gone, whatever the answer (close(2)). */
static int fault_close(int fd)
{
    FAULT_CHECK(fd >= 0 && fd < FD_MAX && is_open[fd]);
    is_open[fd] = false;
    fault_plan.descriptor_count--;
    const int result = ki_posix_sys_default.close(fd);
    return fails(of_close) ? -1 : result;
}

/* ---- datagrams --------------------------------------------------------------------------------
 */

/* How many datagrams a message of `bytes` is, if the system cuts or has joined them. */
static uint64_t datagrams_of(const struct msghdr *msg, size_t bytes)
{
    struct msghdr copy = *msg; /* the macros take it without const, and do not write to it */
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c != NULL; c = CMSG_NXTHDR(&copy, c)) {
        uint16_t out = 0;
        int in = 0;
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT) {
            memcpy(&out, CMSG_DATA(c), sizeof out);
            return (bytes + out - 1) / out;
        }
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            memcpy(&in, CMSG_DATA(c), sizeof in);
            return (bytes + (size_t)in - 1) / (size_t)in;
        }
    }
    return 1;
}

static int fault_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
                          struct timespec *limit)
{
    if (fd >= 0 && fails(of_receive)) {
        return -1;
    }
    const int n =
        ki_posix_sys_default.recvmmsg(fd, msgs, fd >= 0 ? cut(count) : count, flags, limit);
    for (int i = 0; i < n; i++) {
        fault_plan.arrived_count += datagrams_of(&msgs[i].msg_hdr, msgs[i].msg_len);
    }
    return n;
}

static int fault_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    if (fd >= 0 && fails(of_send)) {
        return -1;
    }
    const int n = ki_posix_sys_default.sendmmsg(fd, msgs, fd >= 0 ? cut(count) : count, flags);
    for (int i = 0; i < n; i++) {
        fault_plan.left_count += datagrams_of(&msgs[i].msg_hdr, msgs[i].msg_len);
    }
    return n;
}

static ssize_t fault_recvmsg(int fd, struct msghdr *msg, int flags)
{
    if (fails(of_receive)) {
        return -1;
    }
    const ssize_t n = ki_posix_sys_default.recvmsg(fd, msg, flags);
    const bool is_arrival = n >= 0 && (flags & MSG_ERRQUEUE) == 0;
    fault_plan.arrived_count += is_arrival ? datagrams_of(msg, (size_t)n) : 0;
    return n;
}

static ssize_t fault_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (fails(of_send)) {
        return -1;
    }
    const ssize_t n = ki_posix_sys_default.sendmsg(fd, msg, flags);
    fault_plan.left_count += n >= 0 ? datagrams_of(msg, (size_t)n) : 0;
    return n;
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

static int fault_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    /* Taking off needs no memory. */
    const bool is_failing = what != EPOLL_CTL_DEL && fails(of_epoll_ctl);
    return is_failing ? -1 : ki_posix_sys_default.epoll_ctl(epoll, what, fd, event);
}

static int fault_epoll_pwait(int epoll, struct epoll_event *events, int count, int timeout_ms,
                             const sigset_t *mask)
{
    if (fails(of_epoll_wait)) {
        return -1;
    }
    return ki_posix_sys_default.epoll_pwait(epoll, events, (int)cut((unsigned)count), timeout_ms,
                                            mask);
}

static int fault_epoll_pwait2(int epoll, struct epoll_event *events, int count,
                              const struct timespec *timeout, const sigset_t *mask)
{
    if (fails(of_epoll_pwait2)) {
        return -1;
    }
    return ki_posix_sys_default.epoll_pwait2(epoll, events, (int)cut((unsigned)count), timeout,
                                             mask);
}

static int fault_select(int fd_end, fd_set *readable, fd_set *writable, fd_set *exceptional,
                        struct timeval *timeout)
{
    if (fails(of_select)) {
        return -1;
    }
    return ki_posix_sys_default.select(fd_end, readable, writable, exceptional, timeout);
}

static int fault_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    return fails(of_select) ? -1 : ki_posix_sys_default.poll(fds, count, timeout_ms);
}

/* ---- sockets ----------------------------------------------------------------------------------
 */

static int fault_bind(int fd, const struct sockaddr *name, socklen_t name_bytes)
{
    return fails(of_bind) ? -1 : ki_posix_sys_default.bind(fd, name, name_bytes);
}

static int fault_connect(int fd, const struct sockaddr *name, socklen_t name_bytes)
{
    return fails(of_connect) ? -1 : ki_posix_sys_default.connect(fd, name, name_bytes);
}

static int fault_getsockname(int fd, struct sockaddr *name, socklen_t *name_bytes)
{
    return fails(of_getname) ? -1 : ki_posix_sys_default.getsockname(fd, name, name_bytes);
}

static int fault_getpeername(int fd, struct sockaddr *name, socklen_t *name_bytes)
{
    return fails(of_getname) ? -1 : ki_posix_sys_default.getpeername(fd, name, name_bytes);
}

static int fault_setsockopt(int fd, int level, int option, const void *value, socklen_t value_bytes)
{
    return fails(of_setsockopt)
               ? -1
               : ki_posix_sys_default.setsockopt(fd, level, option, value, value_bytes);
}

static int fault_getsockopt(int fd, int level, int option, void *value, socklen_t *value_bytes)
{
    return fails(of_getsockopt)
               ? -1
               : ki_posix_sys_default.getsockopt(fd, level, option, value, value_bytes);
}

/* ---- the rest ---------------------------------------------------------------------------------
 */

static int fault_fcntl(int fd, int what, int argument)
{
    return fails(of_fcntl) ? -1 : ki_posix_sys_default.fcntl(fd, what, argument);
}

static ssize_t fault_read(int fd, void *out, size_t bytes)
{
    return fails(of_read) ? -1 : ki_posix_sys_default.read(fd, out, bytes);
}

static ssize_t fault_write(int fd, const void *data, size_t bytes)
{
    return fails(of_read) ? -1 : ki_posix_sys_default.write(fd, data, bytes);
}

static ssize_t fault_getrandom(void *out, size_t bytes, unsigned flags)
{
    return fails(of_random) ? -1 : ki_posix_sys_default.getrandom(out, cut((unsigned)bytes), flags);
}

/* The clock and the process number cannot fail. */
const void *fault_system_calls(void)
{
    static struct ki_posix_sys table;
    table = ki_posix_sys_default;
    table.recvmmsg = fault_recvmmsg;
    table.sendmmsg = fault_sendmmsg;
    table.recvmsg = fault_recvmsg;
    table.sendmsg = fault_sendmsg;
    table.epoll_create1 = fault_epoll_create1;
    table.epoll_ctl = fault_epoll_ctl;
    table.epoll_pwait = fault_epoll_pwait;
    table.epoll_pwait2 = fault_epoll_pwait2;
    table.select = fault_select;
    table.poll = fault_poll;
    table.socket = fault_socket;
    table.bind = fault_bind;
    table.connect = fault_connect;
    table.getsockname = fault_getsockname;
    table.getpeername = fault_getpeername;
    table.setsockopt = fault_setsockopt;
    table.getsockopt = fault_getsockopt;
    table.fcntl = fault_fcntl;
    table.eventfd = fault_eventfd;
    table.timerfd_create = fault_timerfd_create;
    table.read = fault_read;
    table.write = fault_write;
    table.close = fault_close;
    table.getrandom = fault_getrandom;
    return &table;
}

/* ---- what the scenario needs ------------------------------------------------------------------
 */

static int guest_pipe[2];

intptr_t fault_guest_open(void)
{
    FAULT_CHECK(pipe(guest_pipe) == 0);
    FAULT_CHECK(write(guest_pipe[1], "g", 1) == 1);
    return guest_pipe[0];
}

void fault_guest_close(void)
{
    (void)close(guest_pipe[0]);
    (void)close(guest_pipe[1]);
}

uint32_t fault_group_ifindex(void)
{
    return 1;
}

void fault_table_reset(void)
{
    memset(is_open, 0, sizeof is_open);
}

uint64_t fault_count_open(void)
{
    uint64_t count = 0;
    for (int fd = 0; fd < FD_MAX; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}
