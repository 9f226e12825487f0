/* SPDX-License-Identifier: MIT
 *
 * The same work on libevent, as its users write it: echo, sink and source.
 *
 *   drain   recvfrom and sendto until the socket is empty, in one callback
 *   one     one datagram for each event, as most examples do
 *
 * libevent tells when a socket is ready, and has nothing else for datagrams. A source sends in the
 * callback of a writable socket: 64 datagrams, or one. Owns its base and socket until exit. One
 * thread. Sources: event_base_new, event_new, event_base_loopbreak (event2/event.h); recvfrom(2).
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

enum { DRAIN_COUNT_MAX = 4096 }; /* then other events have their turn */

enum variant { VARIANT_DRAIN, VARIANT_ONE };

static const char *const variants[] = { "drain", "one", NULL };
static const struct bench_program program = { .name = "peer_libevent",
                                              .variants = variants,
                                              .mode_count = BENCH_MODE_COUNT };

struct peer {
    struct bench_options o;
    struct bench_counts counts;
    int fd;
    struct event_base *base;
    struct sockaddr_in *destinations;
    uint64_t sequence;
    uint64_t destination;
    uint8_t memory[BENCH_SLOT_BYTES];
};

static void count_sent(struct peer *p, ssize_t sent)
{
    p->counts.tx_calls++;
    p->counts.tx += sent >= 0;
    p->counts.drop += sent < 0;
}

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    struct peer *const p = user;
    const unsigned count_max = p->o.variant == VARIANT_DRAIN ? DRAIN_COUNT_MAX : 1;
    (void)what;
    for (unsigned i = 0; i < count_max; i++) {
        struct sockaddr_in from;
        socklen_t from_len = sizeof from;
        const ssize_t bytes =
            recvfrom(fd, p->memory, sizeof p->memory, 0, (struct sockaddr *)&from, &from_len);
        p->counts.rx_calls++;
        if (bytes < 0) {
            return; /* empty, or one datagram's error, with which the others have nothing to do */
        }
        p->counts.rx++;
        if (p->o.mode == BENCH_ECHO) {
            count_sent(p, sendto(fd, p->memory, (size_t)bytes, 0, (const struct sockaddr *)&from,
                                 from_len));
        }
    }
}

static void on_writable(evutil_socket_t fd, short what, void *user)
{
    struct peer *const p = user;
    const unsigned count_max = p->o.variant == VARIANT_DRAIN ? BENCH_BATCH_COUNT : 1;
    (void)what;
    for (unsigned i = 0; i < count_max; i++) {
        uint64_t header = p->sequence;
        struct iovec iovs[2] = {
            { .iov_base = &header, .iov_len = BENCH_HEADER_BYTES },
            { .iov_base = p->memory, .iov_len = p->o.payload_bytes - BENCH_HEADER_BYTES },
        };
        const struct msghdr msg = {
            .msg_name = &p->destinations[p->destination],
            .msg_namelen = sizeof p->destinations[0],
            .msg_iov = iovs,
            .msg_iovlen = 2,
        };
        const ssize_t sent = sendmsg(fd, &msg, 0);
        if (sent < 0 && errno == EAGAIN) {
            return; /* the next event says when there is room */
        }
        count_sent(p, sent);
        p->sequence++;
        p->destination = p->destination + 1 == p->o.peer_count ? 0 : p->destination + 1;
        if (p->sequence == p->o.count_max) {
            event_base_loopbreak(p->base);
            return;
        }
    }
}

static void on_stop(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(user);
}

static void add_event(struct event_base *base, int fd, short what, event_callback_fn fn, void *user)
{
    struct event *const e = event_new(base, fd, (short)(what | EV_PERSIST), fn, user);
    if (e == NULL || event_add(e, NULL) < 0) {
        bench_fail("event_new or event_add");
    }
}

int main(int argc, char **argv)
{
    static struct peer peer;
    bench_parse(&peer.o, &program, argc, argv);
    peer.fd = bench_open_bound(&peer.o);
    bench_catch_stop(&peer.o);
    peer.base = event_base_new();
    if (peer.base == NULL) {
        bench_fail("event_base_new");
    }
    add_event(peer.base, bench_stop_fd, EV_READ, on_stop, peer.base);
    if (peer.o.mode == BENCH_SOURCE) {
        peer.destinations = bench_make_destinations(&peer.o);
        add_event(peer.base, peer.fd, EV_WRITE, on_writable, &peer);
    } else {
        add_event(peer.base, peer.fd, EV_READ, on_readable, &peer);
    }
    bench_begin(peer.fd);
    event_base_dispatch(peer.base);
    bench_end(&peer.o, &peer.counts);
    return 0;
}
