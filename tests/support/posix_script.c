/* SPDX-License-Identifier: MIT
 *
 * The scripted table; see posix_script.h. State is static because the calls have no context
 * argument.
 */
#include "support/posix_script.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { AHEAD_MAX = 64 };

/* What comes next for one kind of call. */
struct line {
    int answers[AHEAD_MAX];
    unsigned answer_count, answer_next;
    int limits[AHEAD_MAX];
    unsigned limit_count, limit_next;
    int broken;
    atomic_ulong count; /* other threads may wake */
};

static struct line lines[SCRIPT_CALL_COUNT];
static atomic_ulong total;
static uint64_t fail_at;
static int fail_err;
static int open_descriptors;
static int send_flags;
static bool select_had_writes;

static const struct ki_posix_sys *system_calls(void)
{
    return &ki_posix_sys_default;
}

/* Counts a call. True: it fails, and errno says why. */
static bool is_refused(enum script_call call)
{
    struct line *line = &lines[call];
    line->count++;
    int sys_err = line->broken;
    if (line->answer_next < line->answer_count) {
        sys_err = line->answers[line->answer_next++];
    }
    if (call != SCRIPT_CLOSE && call != SCRIPT_CLOCK_GETTIME && ++total == fail_at) {
        sys_err = fail_err;
    }
    errno = sys_err;
    return sys_err != 0;
}

/* How many of `count` the next call of this kind may do. */
static unsigned limited(enum script_call call, unsigned count)
{
    struct line *line = &lines[call];
    if (line->limit_next < line->limit_count) {
        const unsigned limit = (unsigned)line->limits[line->limit_next++];
        return limit < count ? limit : count;
    }
    return count;
}

static int given(int fd)
{
    open_descriptors += fd >= 0;
    return fd;
}

static int do_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
                       struct timespec *limit)
{
    if (is_refused(SCRIPT_RECVMMSG)) {
        return -1;
    }
    return system_calls()->recvmmsg(fd, msgs, limited(SCRIPT_RECVMMSG, count), flags, limit);
}

static int do_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    send_flags = flags;
    if (is_refused(SCRIPT_SENDMMSG)) {
        return -1;
    }
    return system_calls()->sendmmsg(fd, msgs, limited(SCRIPT_SENDMMSG, count), flags);
}

static ssize_t do_recvmsg(int fd, struct msghdr *msg, int flags)
{
    return is_refused(SCRIPT_RECVMSG) ? -1 : system_calls()->recvmsg(fd, msg, flags);
}

static ssize_t do_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    send_flags = flags;
    return is_refused(SCRIPT_SENDMSG) ? -1 : system_calls()->sendmsg(fd, msg, flags);
}

static int do_epoll_create1(int flags)
{
    return is_refused(SCRIPT_EPOLL_CREATE1) ? -1 : given(system_calls()->epoll_create1(flags));
}

static int do_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    return is_refused(SCRIPT_EPOLL_CTL) ? -1 : system_calls()->epoll_ctl(epoll, what, fd, event);
}

static int do_epoll_pwait(int epoll, struct epoll_event *events, int count, int timeout_ms,
                          const sigset_t *mask)
{
    if (is_refused(SCRIPT_EPOLL_PWAIT)) {
        return -1;
    }
    return system_calls()->epoll_pwait(epoll, events, count, timeout_ms, mask);
}

static int do_epoll_pwait2(int epoll, struct epoll_event *events, int count,
                           const struct timespec *timeout, const sigset_t *mask)
{
    if (is_refused(SCRIPT_EPOLL_PWAIT2)) {
        return -1;
    }
    return system_calls()->epoll_pwait2(epoll, events, count, timeout, mask);
}

static int do_select(int fd_end, fd_set *readable, fd_set *writable, fd_set *exceptional,
                     struct timeval *timeout)
{
    select_had_writes = writable != NULL;
    if (is_refused(SCRIPT_SELECT)) {
        return -1;
    }
    return system_calls()->select(fd_end, readable, writable, exceptional, timeout);
}

static int do_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    return is_refused(SCRIPT_POLL) ? -1 : system_calls()->poll(fds, count, timeout_ms);
}

static int do_socket(int domain, int type, int protocol)
{
    return is_refused(SCRIPT_SOCKET) ? -1 : given(system_calls()->socket(domain, type, protocol));
}

static int do_bind(int fd, const struct sockaddr *name, socklen_t bytes)
{
    return is_refused(SCRIPT_BIND) ? -1 : system_calls()->bind(fd, name, bytes);
}

static int do_connect(int fd, const struct sockaddr *name, socklen_t bytes)
{
    return is_refused(SCRIPT_CONNECT) ? -1 : system_calls()->connect(fd, name, bytes);
}

static int do_getsockname(int fd, struct sockaddr *name, socklen_t *bytes)
{
    return is_refused(SCRIPT_GETSOCKNAME) ? -1 : system_calls()->getsockname(fd, name, bytes);
}

static int do_getpeername(int fd, struct sockaddr *name, socklen_t *bytes)
{
    return is_refused(SCRIPT_GETPEERNAME) ? -1 : system_calls()->getpeername(fd, name, bytes);
}

static int do_setsockopt(int fd, int level, int option, const void *value, socklen_t bytes)
{
    if (is_refused(SCRIPT_SETSOCKOPT)) {
        return -1;
    }
    return system_calls()->setsockopt(fd, level, option, value, bytes);
}

static int do_getsockopt(int fd, int level, int option, void *value, socklen_t *bytes)
{
    if (is_refused(SCRIPT_GETSOCKOPT)) {
        return -1;
    }
    return system_calls()->getsockopt(fd, level, option, value, bytes);
}

static int do_fcntl(int fd, int what, int argument)
{
    return is_refused(SCRIPT_FCNTL) ? -1 : system_calls()->fcntl(fd, what, argument);
}

static int do_eventfd(unsigned count, int flags)
{
    return is_refused(SCRIPT_EVENTFD) ? -1 : given(system_calls()->eventfd(count, flags));
}

static int do_timerfd_create(clockid_t clock, int flags)
{
    return is_refused(SCRIPT_TIMERFD_CREATE) ? -1
                                             : given(system_calls()->timerfd_create(clock, flags));
}

static int do_timerfd_settime(int timer, int flags, const struct itimerspec *when,
                              struct itimerspec *before)
{
    return is_refused(SCRIPT_TIMERFD_SETTIME)
               ? -1
               : system_calls()->timerfd_settime(timer, flags, when, before);
}

static ssize_t do_read(int fd, void *out, size_t bytes)
{
    return is_refused(SCRIPT_READ) ? -1 : system_calls()->read(fd, out, bytes);
}

static ssize_t do_write(int fd, const void *data, size_t bytes)
{
    return is_refused(SCRIPT_WRITE) ? -1 : system_calls()->write(fd, data, bytes);
}

static int do_close(int fd)
{
    /* Linux closes the descriptor whatever it answers. */
    const bool is_failing = is_refused(SCRIPT_CLOSE);
    const int sys_err = errno;
    const int result = system_calls()->close(fd);
    open_descriptors -= result == 0;
    errno = is_failing ? sys_err : errno;
    return is_failing ? -1 : result;
}

static int do_clock_gettime(clockid_t clock, struct timespec *out)
{
    return is_refused(SCRIPT_CLOCK_GETTIME) ? -1 : system_calls()->clock_gettime(clock, out);
}

static ssize_t do_getrandom(void *out, size_t bytes, unsigned flags)
{
    if (is_refused(SCRIPT_GETRANDOM)) {
        return -1;
    }
    return system_calls()->getrandom(out, limited(SCRIPT_GETRANDOM, (unsigned)bytes), flags);
}

static const struct ki_posix_sys table = {
    .recvmmsg = do_recvmmsg,
    .sendmmsg = do_sendmmsg,
    .recvmsg = do_recvmsg,
    .sendmsg = do_sendmsg,
    .epoll_create1 = do_epoll_create1,
    .epoll_ctl = do_epoll_ctl,
    .epoll_pwait = do_epoll_pwait,
    .epoll_pwait2 = do_epoll_pwait2,
    .select = do_select,
    .poll = do_poll,
    .socket = do_socket,
    .bind = do_bind,
    .connect = do_connect,
    .getsockname = do_getsockname,
    .getpeername = do_getpeername,
    .setsockopt = do_setsockopt,
    .getsockopt = do_getsockopt,
    .fcntl = do_fcntl,
    .eventfd = do_eventfd,
    .timerfd_create = do_timerfd_create,
    .timerfd_settime = do_timerfd_settime,
    .read = do_read,
    .write = do_write,
    .close = do_close,
    .clock_gettime = do_clock_gettime,
    .getrandom = do_getrandom,
    .getpid = getpid,
};

const struct ki_posix_sys *script_table(void)
{
    return &table;
}

void script_reset(void)
{
    for (int i = 0; i < SCRIPT_CALL_COUNT; i++) {
        lines[i].answer_count = lines[i].answer_next = 0;
        lines[i].limit_count = lines[i].limit_next = 0;
        lines[i].broken = 0;
        lines[i].count = 0;
    }
    total = 0;
    fail_at = 0;
    open_descriptors = 0;
    send_flags = 0;
}

void script_forget_counts(void)
{
    for (int i = 0; i < SCRIPT_CALL_COUNT; i++) {
        lines[i].count = 0;
    }
}

void script_answer(enum script_call call, int sys_err)
{
    lines[call].answers[lines[call].answer_count++] = sys_err;
}

void script_limit(enum script_call call, int count)
{
    lines[call].limits[lines[call].limit_count++] = count;
}

void script_break(enum script_call call, int sys_err)
{
    lines[call].broken = sys_err;
}

void script_fail_at(uint64_t n, int sys_err)
{
    fail_at = n;
    fail_err = sys_err;
}

uint64_t script_count(enum script_call call)
{
    return lines[call].count;
}

uint64_t script_total(void)
{
    return total;
}

int script_open_descriptors(void)
{
    return open_descriptors;
}

void script_note_descriptor(void)
{
    open_descriptors++;
}

bool script_select_had_writes(void)
{
    return select_had_writes;
}

int script_send_flags(void)
{
    return send_flags;
}
