/* SPDX-License-Identifier: MIT
 *
 * A preloaded shim in the kernel's place, to measure a program's own work per echoed datagram.
 *
 * Replaces the waiting, receiving and sending calls of a UDP echo server: every wait finds the socket readable at once, every receive
 * hands over the next part of a burst of SHIM_BURST datagrams of 64 bytes from one peer, every send succeeds. After SHIM_COUNT
 * datagrams the process gets SIGTERM. The socket itself is real, and silent. One thread. Use:
 *
 *     SHIM_BURST=64 SHIM_COUNT=20000000 LD_PRELOAD=build/bin/libshim.so build/bin/raw_mmsg echo --port 0
 *
 * Sources: recvmmsg(2), sendmmsg(2), epoll_wait(2), select(2), ld.so(8).
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PAYLOAD_BYTES = 64,
    PEER_PORT = 4000,
    EPOLL_COUNT_MAX = 16
};

static uint64_t burst = 64;
static uint64_t count_left = 20000000;
static uint64_t burst_left;
static int udp_fd = -1;
static struct epoll_event udp_event;
static struct sockaddr_in peer;

__attribute__((constructor)) static void read_environment(void)
{
    const char *text = getenv("SHIM_BURST");
    burst = text != NULL ? strtoull(text, NULL, 10) : burst;
    text = getenv("SHIM_COUNT");
    count_left = text != NULL ? strtoull(text, NULL, 10) : count_left;
    peer.sin_family = AF_INET;
    peer.sin_port = htons(PEER_PORT);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

/* A new burst is there; behind the last one the process is told to end. */
static void begin_burst(void)
{
    if (count_left == 0) {
        raise(SIGTERM);
    }
    burst_left = burst < count_left ? burst : count_left;
    count_left -= burst_left;
}

static bool is_udp(int fd)
{
    int type = 0;
    socklen_t bytes = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type == SOCK_DGRAM;
}

/* ---- waiting ---------------------------------------------------------------------------------------- */

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    static int (*real)(int, int, int, struct epoll_event *);
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "epoll_ctl");
    }
    if (operation == EPOLL_CTL_ADD && udp_fd < 0 && is_udp(fd)) {
        udp_fd = fd;
        udp_event = *event;
    }
    return real(epoll, operation, fd, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    (void)epoll;
    (void)max;
    (void)timeout_ms;
    begin_burst();
    events[0] = udp_event;
    events[0].events = EPOLLIN;
    return 1;
}

int epoll_pwait(int epoll, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
    (void)mask;
    return epoll_wait(epoll, events, max, timeout_ms);
}

int epoll_pwait2(int epoll, struct epoll_event *events, int max, const struct timespec *timeout,
                 const sigset_t *mask)
{
    (void)timeout;
    (void)mask;
    return epoll_wait(epoll, events, max, -1);
}

/* All descriptors that were asked for stay set: a program looks at its own. */
int select(int fd_count, fd_set *readable, fd_set *writable, fd_set *failed, struct timeval *timeout)
{
    (void)fd_count;
    (void)readable;
    (void)timeout;
    begin_burst();
    if (writable != NULL) {
        memset(writable, 0, sizeof *writable);
    }
    if (failed != NULL) {
        memset(failed, 0, sizeof *failed);
    }
    return 1;
}

/* ---- receiving -------------------------------------------------------------------------------------- */

static void fill_name(struct msghdr *header)
{
    if (header->msg_name != NULL) {
        memcpy(header->msg_name, &peer, sizeof peer);
        header->msg_namelen = sizeof peer;
    }
    header->msg_controllen = 0;
    header->msg_flags = 0;
}

int recvmmsg(int fd, struct mmsghdr *headers, unsigned max, int flags, struct timespec *timeout)
{
    (void)fd;
    (void)flags;
    (void)timeout;
    const unsigned count = max < burst_left ? max : (unsigned)burst_left;
    for (unsigned i = 0; i < count; i++) {
        fill_name(&headers[i].msg_hdr);
        headers[i].msg_len = PAYLOAD_BYTES;
    }
    burst_left -= count;
    if (count == 0) {
        errno = EAGAIN;
        return -1;
    }
    return (int)count;
}

ssize_t recvmsg(int fd, struct msghdr *header, int flags)
{
    (void)fd;
    (void)flags;
    if (burst_left == 0) {
        errno = EAGAIN;
        return -1;
    }
    burst_left--;
    fill_name(header);
    return PAYLOAD_BYTES;
}

/* ---- sending ---------------------------------------------------------------------------------------- */

int sendmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags)
{
    (void)fd;
    (void)flags;
    for (unsigned i = 0; i < count; i++) {
        headers[i].msg_len = PAYLOAD_BYTES;
    }
    return (int)count;
}

ssize_t sendmsg(int fd, const struct msghdr *header, int flags)
{
    (void)fd;
    (void)flags;
    (void)header;
    return PAYLOAD_BYTES;
}
