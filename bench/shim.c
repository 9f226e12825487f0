/* SPDX-License-Identifier: MIT
 *
 * A preloaded shim in the kernel's place, to measure a program's own work per echoed datagram.
 *
 * Replaces the waiting, receiving and sending calls of a UDP echo server. Each wait finds the
 * socket readable at once; if the burst before is used up, a new one of SHIM_BURST datagrams of 64
 * bytes has come, from SHIM_PEERS peers in turn; each send succeeds. With SHIM_TRAIN they come
 * coalesced, so many in one message, to whoever has room for UDP_GRO's control data. After
 * SHIM_COUNT datagrams the process gets SIGTERM, and the shim steps aside: from then on all calls
 * are real, so that the program ends in its own way. The socket is real throughout, bound and
 * silent. Use:
 *
 *     SHIM_BURST=8 SHIM_COUNT=5000000 LD_PRELOAD=build/bin/libshim.so \
 *         build/bin/raw_mmsg echo --port 0
 *
 * Serves one socket: the first UDP socket that is waited for. `syscall` stands here because libuv
 * calls recvmmsg by its number. Not for sanitized builds, whose runtime must be loaded first. One
 * thread. Sources: recvmmsg(2), sendmmsg(2), epoll_wait(2), select(2), dlsym(3), ld.so(8).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    PAYLOAD_BYTES = 64,
    FIRST_PORT = 4000,
    PEER_COUNT_MAX = 1024,
    TRAIN_COUNT_MAX = 1000, /* of 64 bytes each */
    SET_WORD_BITS = 64,
    SYSCALL_ARGUMENTS = 6
};

static uint64_t burst = 64;
static uint64_t count_left = 5000000;
static uint64_t burst_left;
static uint64_t train = 1;
static bool is_over;
static int udp_fd = -1;
static struct epoll_event udp_event;
static struct sockaddr_in peers[PEER_COUNT_MAX];
static uint64_t peer_count = 64;
static uint64_t next_peer;

/* The functions that stand behind this library's. long: syscall's */
static struct {
    int (*epoll_ctl)(int, int, int, struct epoll_event *);
    int (*epoll_pwait)(int, struct epoll_event *, int, int, const sigset_t *);
    int (*epoll_pwait2)(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);
    int (*select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
    ssize_t (*recvmsg)(int, struct msghdr *, int);
    ssize_t (*sendmsg)(int, const struct msghdr *, int);
    long (*syscall)(long, ...);
} real;

/* ---- the state ------------------------------------------------------------------------------- */

static uint64_t read_number(const char *name, uint64_t otherwise, uint64_t max)
{
    const char *const text = getenv(name);
    const uint64_t value = text != NULL ? strtoull(text, NULL, 10) : otherwise;
    return value < 1 ? 1 : value < max ? value : max;
}

/* A pointer to data and one to a function are alike here, though C does not say so. */
static void find_real(void *function, const char *name)
{
    void *const found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, sizeof found);
}

__attribute__((constructor)) static void begin(void)
{
    find_real(&real.epoll_ctl, "epoll_ctl");
    find_real(&real.epoll_pwait, "epoll_pwait");
    find_real(&real.epoll_pwait2, "epoll_pwait2");
    find_real(&real.select, "select");
    find_real(&real.recvmsg, "recvmsg");
    find_real(&real.sendmsg, "sendmsg");
    find_real(&real.syscall, "syscall");
    burst = read_number("SHIM_BURST", burst, UINT32_MAX);
    train = read_number("SHIM_TRAIN", train, TRAIN_COUNT_MAX);
    count_left = read_number("SHIM_COUNT", count_left, UINT64_MAX);
    peer_count = read_number("SHIM_PEERS", peer_count, PEER_COUNT_MAX);
    for (uint64_t i = 0; i < peer_count; i++) {
        peers[i].sin_family = AF_INET;
        peers[i].sin_port = htons((uint16_t)(FIRST_PORT + i));
        peers[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
}

/* Whether the socket is readable, as it is until all datagrams have come. */
static bool begin_burst(void)
{
    if (burst_left == 0) {
        burst_left = burst < count_left ? burst : count_left;
        count_left -= burst_left;
        if (burst_left == 0) {
            is_over = true;
            raise(SIGTERM);
        }
    }
    return !is_over;
}

static bool is_udp(int fd)
{
    int type = 0;
    socklen_t bytes = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type == SOCK_DGRAM;
}

/* ---- waiting --------------------------------------------------------------------------------- */

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    if (udp_fd < 0 && op == EPOLL_CTL_ADD && is_udp(fd)) {
        udp_fd = fd;
    }
    if (fd == udp_fd && event != NULL) {
        udp_event = *event;
        udp_event.events = EPOLLIN;
    }
    return real.epoll_ctl(epfd, op, fd, event);
}

int epoll_pwait(int epfd, struct epoll_event *events, int maxevents, int timeout,
                const sigset_t *ss)
{
    if (is_over || !begin_burst()) {
        return real.epoll_pwait(epfd, events, maxevents, timeout, ss);
    }
    events[0] = udp_event;
    return 1;
}

int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
{
    return epoll_pwait(epfd, events, maxevents, timeout, NULL);
}

int epoll_pwait2(int epfd, struct epoll_event *events, int maxevents,
                 const struct timespec *timeout, const sigset_t *ss)
{
    if (is_over || !begin_burst()) {
        return real.epoll_pwait2(epfd, events, maxevents, timeout, ss);
    }
    events[0] = udp_event;
    return 1;
}

static void clear_set(fd_set *set, int fd_end)
{
    if (set != NULL) {
        memset(set, 0, ((size_t)fd_end + SET_WORD_BITS - 1) / SET_WORD_BITS * sizeof(uint64_t));
    }
}

/* A set may be shorter or longer than an fd_set: as long as the highest descriptor asks. */
static uint64_t *word_of(fd_set *set, int fd)
{
    return (uint64_t *)(void *)set + fd / SET_WORD_BITS;
}

static void find_udp(fd_set *set, int fd_end)
{
    for (int fd = 0; fd < fd_end && udp_fd < 0; fd++) {
        if ((*word_of(set, fd) >> fd % SET_WORD_BITS & 1) != 0 && is_udp(fd)) {
            udp_fd = fd;
        }
    }
}

int select(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds, struct timeval *timeout)
{
    if (is_over || !begin_burst()) {
        return real.select(nfds, readfds, writefds, exceptfds, timeout);
    }
    if (udp_fd < 0) {
        find_udp(readfds, nfds);
    }
    clear_set(readfds, nfds);
    clear_set(writefds, nfds);
    clear_set(exceptfds, nfds);
    *word_of(readfds, udp_fd) |= (uint64_t)1 << udp_fd % SET_WORD_BITS;
    return 1;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void take_name(void *name)
{
    memcpy(name, &peers[next_peer], sizeof peers[0]);
    next_peer = next_peer + 1 == peer_count ? 0 : next_peer + 1;
}

/* Says that a message is a train. */
static void write_segment(struct msghdr *header)
{
    static const int segment_bytes = PAYLOAD_BYTES;
    struct cmsghdr *const c = header->msg_control;
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_GRO;
    c->cmsg_len = CMSG_LEN(sizeof segment_bytes);
    memcpy(CMSG_DATA(c), &segment_bytes, sizeof segment_bytes);
    header->msg_controllen = CMSG_SPACE(sizeof segment_bytes);
}

/* Fills in one message of what is left of the burst. Returns its length. */
static unsigned fill_header(struct msghdr *header)
{
    const bool has_room =
        header->msg_control != NULL && header->msg_controllen >= CMSG_SPACE(sizeof(int));
    const uint64_t most = has_room ? train : 1;
    const uint64_t count = most < burst_left ? most : burst_left;
    if (header->msg_name != NULL) {
        take_name(header->msg_name);
        header->msg_namelen = sizeof peers[0];
    }
    header->msg_controllen = 0;
    header->msg_flags = 0;
    if (count > 1) {
        write_segment(header);
    }
    burst_left -= count;
    return (unsigned)count * PAYLOAD_BYTES;
}

static int answer_empty(void)
{
    errno = EAGAIN;
    return -1;
}

int recvmmsg(int fd, struct mmsghdr *vmessages, unsigned vlen, int flags, struct timespec *tmo)
{
    unsigned count = 0;
    (void)fd;
    (void)flags;
    (void)tmo;
    while (count < vlen && burst_left > 0) {
        vmessages[count].msg_len = fill_header(&vmessages[count].msg_hdr);
        count++;
    }
    return count != 0 ? (int)count : answer_empty();
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    if (fd != udp_fd) {
        return real.recvmsg(fd, message, flags);
    }
    if (burst_left == 0) {
        return answer_empty();
    }
    return (ssize_t)fill_header(message);
}

/* The C library declares these two with a union of all kinds of addresses: so they get their names
 * where the linker sees them. */
ssize_t shim_recvfrom(int fd, void *data, size_t bytes, int flags, struct sockaddr *name,
                      socklen_t *name_len) __asm__("recvfrom");
ssize_t shim_sendto(int fd, const void *data, size_t bytes, int flags, const struct sockaddr *name,
                    socklen_t name_len) __asm__("sendto");

ssize_t shim_recvfrom(int fd, void *data, size_t bytes, int flags, struct sockaddr *name,
                      socklen_t *name_len)
{
    (void)fd;
    (void)data;
    (void)bytes;
    (void)flags;
    if (burst_left == 0) {
        return answer_empty();
    }
    burst_left--;
    if (name != NULL) {
        take_name(name);
        *name_len = sizeof peers[0];
    }
    return PAYLOAD_BYTES;
}

/* ---- sending --------------------------------------------------------------------------------- */

int sendmmsg(int fd, struct mmsghdr *vmessages, unsigned vlen, int flags)
{
    (void)fd;
    (void)flags;
    for (unsigned i = 0; i < vlen; i++) {
        vmessages[i].msg_len = PAYLOAD_BYTES;
    }
    return (int)vlen;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return fd == udp_fd ? PAYLOAD_BYTES : real.sendmsg(fd, message, flags);
}

ssize_t shim_sendto(int fd, const void *data, size_t bytes, int flags, const struct sockaddr *name,
                    socklen_t name_len)
{
    (void)fd;
    (void)data;
    (void)flags;
    (void)name;
    (void)name_len;
    return (ssize_t)bytes;
}

/* long: syscall's. No call has more arguments, and those that are not there are not looked at. */
long syscall(long sysno, ...)
{
    long a[SYSCALL_ARGUMENTS];
    va_list arguments;
    va_start(arguments, sysno);
    for (int i = 0; i < SYSCALL_ARGUMENTS; i++) {
        a[i] = va_arg(arguments, long);
    }
    va_end(arguments);
    if (sysno == SYS_recvmmsg) {
        return recvmmsg((int)a[0], (void *)(intptr_t)a[1], (unsigned)a[2], (int)a[3], NULL);
    }
    if (sysno == SYS_sendmmsg) {
        return sendmmsg((int)a[0], (void *)(intptr_t)a[1], (unsigned)a[2], (int)a[3]);
    }
    return real.syscall(sysno, a[0], a[1], a[2], a[3], a[4], a[5]);
}
