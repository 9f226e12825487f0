/* SPDX-License-Identifier: MIT
 *
 * The hand-written reference of the benchmarks: echo, sink and source on one UDP socket.
 *
 * This is the loop that a careful engineer writes for one purpose and one system: level-triggered
 * epoll, recvmmsg and sendmmsg of 64 (mmsg.h), no framework. What kirim costs is its CPU time per
 * datagram divided by this program's. It stays without GSO and GRO, so that a framework that uses
 * them shows a ratio below 1; raw_gro.c is the reference for those.
 *
 * Owns its socket and epoll until exit. One thread. Sources: epoll(7), sendmmsg(2).
 */
#define _GNU_SOURCE
#include "common.h"
#include "mmsg.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>

static const struct bench_program program = { .name = "raw_mmsg", .mode_count = BENCH_MODE_COUNT };

static void watch(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        bench_fail("epoll_ctl");
    }
}

static int open_epoll(int fd)
{
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) {
        bench_fail("epoll_create1");
    }
    watch(epoll, fd);
    watch(epoll, bench_stop_fd);
    return epoll;
}

static void run_server(struct mmsg *m, int epoll, bool is_echo)
{
    struct epoll_event events[2];
    while (!bench_is_stop_asked) {
        if (epoll_wait(epoll, events, 2, -1) < 0 && errno != EINTR) {
            bench_fail("epoll_wait");
        }
        mmsg_serve(m, is_echo);
    }
}

static void run_source(struct mmsg *m, const struct bench_options *o)
{
    static struct iovec iovs[BENCH_BATCH_COUNT][2];
    static uint64_t headers[BENCH_BATCH_COUNT];
    struct sockaddr_in *const destinations = bench_make_destinations(o);
    uint64_t sequence = 0;
    uint64_t peer = 0;
    for (unsigned i = 0; i < BENCH_BATCH_COUNT; i++) {
        iovs[i][0] = (struct iovec){ .iov_base = &headers[i], .iov_len = BENCH_HEADER_BYTES };
        iovs[i][1] = (struct iovec){
            .iov_base = m->slots[0], /* the same rest for all: it is only read */
            .iov_len = o->payload_bytes - BENCH_HEADER_BYTES,
        };
        m->msgs[i].msg_hdr.msg_iov = iovs[i];
        m->msgs[i].msg_hdr.msg_iovlen = 2;
    }
    while (!bench_is_stop_asked && (o->count_max == 0 || sequence < o->count_max)) {
        unsigned count = BENCH_BATCH_COUNT;
        if (o->count_max != 0 && o->count_max - sequence < BENCH_BATCH_COUNT) {
            count = (unsigned)(o->count_max - sequence);
        }
        for (unsigned i = 0; i < count; i++) {
            headers[i] = sequence++;
            m->msgs[i].msg_hdr.msg_name = &destinations[peer];
            peer = peer + 1 == o->peer_count ? 0 : peer + 1;
        }
        mmsg_send(m, count);
    }
    free(destinations);
}

int main(int argc, char **argv)
{
    static struct mmsg mmsg;
    struct bench_options o;
    bench_parse(&o, &program, argc, argv);
    mmsg_init(&mmsg, bench_open_bound(&o));
    bench_catch_stop(&o);
    const int epoll = open_epoll(mmsg.fd);
    bench_begin(mmsg.fd);
    if (o.mode == BENCH_SOURCE) {
        run_source(&mmsg, &o);
    } else {
        run_server(&mmsg, epoll, o.mode == BENCH_ECHO);
    }
    bench_end(&o, &mmsg.counts);
    return 0;
}
