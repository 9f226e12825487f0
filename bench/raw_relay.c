/* SPDX-License-Identifier: MIT
 *
 * The hand-written reference for a relay: one connected socket to the server for each peer.
 *
 *   raw_relay                   datagrams alone
 *   raw_relay --variant whole   trains (UDP_GRO, UDP_SEGMENT) and ECN and DSCP as they came, which
 *                               is the work of kirim's relay
 *
 * Level-triggered epoll, recvmmsg of 64. What came from peers leaves with a sendmmsg for each
 * socket, what came from the server on whichever socket with one sendmmsg for all. Peers stay until
 * the end: no time-out, no order of silence, no cap but PEER_COUNT_MAX.
 *
 * True throughout: every datagram that came in is sent or counted as dropped. Owns its sockets and
 * epoll until exit. One thread. Sources: udp(7), ip(7) (IP_TOS), cmsg(3), epoll(7).
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum {
    PEER_COUNT_MAX = 32768,
    BUCKET_COUNT = 2 * PEER_COUNT_MAX,
    EVENT_COUNT_MAX = 64,
    CONTROL_BYTES = 2 * CMSG_SPACE(sizeof(int))
};

/* Packets on their way through: received, and sent from where they lie. */
struct batch {
    unsigned count;
    struct mmsghdr msgs[BENCH_BATCH_COUNT];
    struct iovec iovs[BENCH_BATCH_COUNT];
    struct sockaddr_in names[BENCH_BATCH_COUNT];
    unsigned datagram_counts[BENCH_BATCH_COUNT];
    _Alignas(struct cmsghdr) uint8_t controls[BENCH_BATCH_COUNT][CONTROL_BYTES];
    uint8_t slots[BENCH_BATCH_COUNT][BENCH_SLOT_BYTES];
};

struct peer {
    struct sockaddr_in name;
    int fd; /* 0: none */
    unsigned waiting_count;
    uint8_t waiting[BENCH_BATCH_COUNT]; /* packets of the batch that are its own */
};

struct raw_relay {
    int fd;
    int epoll;
    bool is_whole;
    struct sockaddr_in server;
    struct bench_counts counts;
    struct peer *buckets[BUCKET_COUNT];
    unsigned peer_count;
    struct peer *waiting[BENCH_BATCH_COUNT]; /* those with packets */
    struct mmsghdr out[BENCH_BATCH_COUNT];
    struct batch up, down;
};

static const char *const variants[] = { "plain", "whole", NULL };
static const struct bench_program program = {
    .name = "raw_relay",
    .variants = variants,
    .usage = "usage: raw_relay --port P --dest-port P [--variant plain|whole]\n",
};

static void set_flag(int fd, int level, int name, const char *what)
{
    const int yes = 1;
    if (setsockopt(fd, level, name, &yes, sizeof yes) < 0) {
        bench_fail(what);
    }
}

static void watch(const struct raw_relay *r, int fd, void *data)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = data };
    if (r->is_whole && fd != bench_stop_fd) {
        set_flag(fd, IPPROTO_UDP, UDP_GRO, "UDP_GRO");
        set_flag(fd, IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS");
    }
    if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        bench_fail("epoll_ctl");
    }
}

/* ---- packets --------------------------------------------------------------------------------- */

static void reset_packet(const struct raw_relay *r, struct batch *b, unsigned i)
{
    struct msghdr *const header = &b->msgs[i].msg_hdr;
    b->iovs[i] = (struct iovec){ .iov_base = b->slots[i], .iov_len = BENCH_SLOT_BYTES };
    *header = (struct msghdr){ .msg_name = &b->names[i],
                               .msg_namelen = sizeof b->names[i],
                               .msg_iov = &b->iovs[i],
                               .msg_iovlen = 1 };
    if (r->is_whole) {
        header->msg_control = b->controls[i];
        header->msg_controllen = CONTROL_BYTES;
    }
}

static void put_control(struct msghdr *header, int level, int type, const void *data, size_t bytes)
{
    struct cmsghdr *const c =
        (void *)((uint8_t *)header->msg_control + header->msg_controllen); /* all of one size */
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(c), data, bytes);
    header->msg_controllen += CMSG_SPACE(bytes);
}

/* Makes a packet that came ready to leave as it came. */
static void turn_packet(const struct raw_relay *r, struct batch *b, unsigned i)
{
    struct msghdr *const header = &b->msgs[i].msg_hdr;
    const unsigned bytes = b->msgs[i].msg_len;
    int segment = 0;
    int tos = 0;
    b->iovs[i].iov_len = bytes;
    b->datagram_counts[i] = 1;
    if (!r->is_whole) {
        return;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            memcpy(&segment, CMSG_DATA(c), sizeof segment);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            tos = *CMSG_DATA(c);
        }
    }
    header->msg_controllen = 0;
    if (tos != 0) {
        put_control(header, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    }
    if (segment != 0 && bytes > (unsigned)segment) {
        const uint16_t value = (uint16_t)segment;
        b->datagram_counts[i] = (bytes + (unsigned)segment - 1) / (unsigned)segment;
        put_control(header, IPPROTO_UDP, UDP_SEGMENT, &value, sizeof value);
    }
    if (header->msg_controllen == 0) {
        header->msg_control = NULL;
    }
}

/* Each pass sends, drops or waits for room; `whose` tells the packet of each message. */
static void send_packets(struct raw_relay *r, int fd, struct mmsghdr *msgs, unsigned count,
                         const struct batch *b, const uint8_t *whose)
{
    unsigned done = 0;
    while (done < count) {
        const int sent = sendmmsg(fd, msgs + done, count - done, 0);
        const int sent_errno = errno;
        r->counts.tx_calls++;
        for (int i = 0; i < sent; i++, done++) {
            r->counts.tx += b->datagram_counts[whose != NULL ? whose[done] : done];
        }
        if (sent > 0 || sent_errno == EINTR) {
            continue;
        }
        if (sent_errno == EAGAIN && !bench_is_stop_asked) {
            bench_wait_writable(fd);
        } else {
            r->counts.drop += b->datagram_counts[whose != NULL ? whose[done] : done];
            done++;
        }
    }
}

/* Receives behind what the batch holds; returns how many packets came. */
static unsigned receive(struct raw_relay *r, struct batch *b, int fd)
{
    const unsigned room = BENCH_BATCH_COUNT - b->count;
    const int received = recvmmsg(fd, &b->msgs[b->count], room, 0, NULL);
    r->counts.rx_calls++;
    if (received < 0) {
        return 0; /* nothing, or what the network says of a peer, which is over then */
    }
    for (unsigned i = b->count; i < b->count + (unsigned)received; i++) {
        turn_packet(r, b, i);
        r->counts.rx += b->datagram_counts[i];
    }
    b->count += (unsigned)received;
    return (unsigned)received;
}

/* ---- to the server --------------------------------------------------------------------------- */

static struct peer *open_peer(struct raw_relay *r, struct peer **bucket,
                              const struct sockaddr_in *name)
{
    struct peer *const p = calloc(1, sizeof *p);
    if (p == NULL || r->peer_count == PEER_COUNT_MAX) {
        bench_fail("a peer more");
    }
    p->name = *name;
    p->fd = bench_open_socket();
    if (connect(p->fd, (const struct sockaddr *)&r->server, sizeof r->server) < 0) {
        bench_fail("connect");
    }
    watch(r, p->fd, p);
    r->peer_count++;
    *bucket = p;
    return p;
}

static struct peer *find_peer(struct raw_relay *r, const struct sockaddr_in *name)
{
    const uint64_t key = (uint64_t)name->sin_addr.s_addr << 16 | name->sin_port;
    uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 48;
    for (;; at++) {
        struct peer **const bucket = &r->buckets[at % BUCKET_COUNT];
        struct peer *const p = *bucket;
        if (p == NULL) {
            return open_peer(r, bucket, name);
        }
        if (p->name.sin_addr.s_addr == name->sin_addr.s_addr &&
            p->name.sin_port == name->sin_port) {
            return p;
        }
    }
}

static void send_up(struct raw_relay *r, struct peer *p)
{
    for (unsigned i = 0; i < p->waiting_count; i++) {
        r->out[i] = r->up.msgs[p->waiting[i]];
        r->out[i].msg_hdr.msg_name = NULL;
        r->out[i].msg_hdr.msg_namelen = 0;
    }
    send_packets(r, p->fd, r->out, p->waiting_count, &r->up, p->waiting);
    p->waiting_count = 0;
}

static void serve_peers(struct raw_relay *r)
{
    struct batch *const b = &r->up;
    do {
        unsigned waiting_count = 0;
        b->count = 0;
        (void)receive(r, b, r->fd);
        for (unsigned i = 0; i < b->count; i++) {
            struct peer *const p = find_peer(r, &b->names[i]);
            if (p->waiting_count == 0) {
                r->waiting[waiting_count++] = p;
            }
            p->waiting[p->waiting_count++] = (uint8_t)i;
        }
        for (unsigned i = 0; i < waiting_count; i++) {
            send_up(r, r->waiting[i]);
        }
        for (unsigned i = 0; i < b->count; i++) {
            reset_packet(r, b, i);
        }
    } while (b->count == BENCH_BATCH_COUNT && !bench_is_stop_asked);
}

/* ---- to the peers ---------------------------------------------------------------------------- */

static void send_down(struct raw_relay *r)
{
    struct batch *const b = &r->down;
    send_packets(r, r->fd, b->msgs, b->count, b, NULL);
    for (unsigned i = 0; i < b->count; i++) {
        reset_packet(r, b, i);
    }
    b->count = 0;
}

static void serve_server(struct raw_relay *r, const struct peer *p)
{
    struct batch *const b = &r->down;
    bool is_empty = false;
    while (!is_empty && !bench_is_stop_asked) {
        const unsigned room = BENCH_BATCH_COUNT - b->count;
        const unsigned received = receive(r, b, p->fd);
        for (unsigned i = b->count - received; i < b->count; i++) {
            b->names[i] = p->name;
            b->msgs[i].msg_hdr.msg_namelen = sizeof b->names[i];
        }
        is_empty = received < room;
        if (b->count == BENCH_BATCH_COUNT) {
            send_down(r);
        }
    }
}

static void serve(struct raw_relay *r)
{
    struct epoll_event events[EVENT_COUNT_MAX];
    while (!bench_is_stop_asked) {
        const int count = epoll_wait(r->epoll, events, EVENT_COUNT_MAX, -1);
        if (count < 0 && errno != EINTR) {
            bench_fail("epoll_wait");
        }
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == r) {
                serve_peers(r);
            } else if (events[i].data.ptr != &bench_stop_fd) {
                serve_server(r, events[i].data.ptr);
            }
        }
        send_down(r);
    }
}

static void parse(struct raw_relay *r, struct bench_options *o, int argc, char **argv)
{
    static const struct option known[] = { { "port", required_argument, NULL, 'p' },
                                           { "dest-port", required_argument, NULL, 'd' },
                                           { "variant", required_argument, NULL, 'v' },
                                           { NULL, 0, NULL, 0 } };
    uint64_t dest_port = 0;
    int found;
    while ((found = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (found == 'p') {
            o->port = bench_parse_number(optarg, 0, UINT16_MAX);
        } else if (found == 'd') {
            dest_port = bench_parse_number(optarg, 1, UINT16_MAX);
        } else if (found == 'v' && strcmp(optarg, variants[1]) == 0) {
            r->is_whole = true;
        } else if (found != 'v' || strcmp(optarg, variants[0]) != 0) {
            bench_fail_usage("an option that is not known");
        }
    }
    if (dest_port == 0 || optind != argc) {
        bench_fail_usage("--dest-port is missing, or something is too much");
    }
    r->server = bench_make_name(INADDR_LOOPBACK, dest_port);
}

int main(int argc, char **argv)
{
    static struct raw_relay relay;
    struct raw_relay *const r = &relay;
    struct bench_options o = { .mode = BENCH_ECHO };
    struct rlimit limit;
    bench_set_program(&program);
    parse(r, &o, argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    r->fd = bench_open_bound(&o);
    bench_catch_stop(&o);
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (r->epoll < 0) {
        bench_fail("epoll_create1");
    }
    watch(r, r->fd, r);
    watch(r, bench_stop_fd, &bench_stop_fd);
    for (unsigned i = 0; i < BENCH_BATCH_COUNT; i++) {
        reset_packet(r, &r->up, i);
        reset_packet(r, &r->down, i);
    }
    bench_begin(r->fd);
    serve(r);
    bench_end(&o, &r->counts);
    return 0;
}
