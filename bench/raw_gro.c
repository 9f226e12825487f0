/* SPDX-License-Identifier: MIT
 *
 * The hand-written reference for trains: echo, sink and source with UDP_GRO and UDP_SEGMENT.
 *
 * Level-triggered epoll and recvmmsg/sendmmsg as raw_mmsg.c, but a run of datagrams of one peer
 * passes through the system as one packet: it is received whole, an echo sends it back whole, and a
 * source with one peer makes it of as many segments as a packet takes. What is not such a run costs
 * what it costs in raw_mmsg. An echo does not join what arrived apart.
 *
 * True throughout: every datagram that came in is sent or counted as dropped. Owns its socket and
 * epoll until exit. One thread. Sources: udp(7) (UDP_GRO, UDP_SEGMENT), cmsg(3), sendmmsg(2).
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    PACKET_COUNT = BENCH_BATCH_COUNT,
    TRAIN_COUNT = 4 /* packets in one call of a source; more gain nothing */
};

/* Control data of one packet: its segment size, an int on receive and 16 bits wide on send. */
struct control {
    _Alignas(struct cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

struct gro {
    int fd;
    int epoll;
    struct bench_counts counts;
    struct mmsghdr msgs[PACKET_COUNT];
    struct iovec iovs[PACKET_COUNT];
    struct sockaddr_in names[PACKET_COUNT];
    struct control controls[PACKET_COUNT];
    unsigned datagram_counts[PACKET_COUNT]; /* in each packet */
    uint8_t slots[PACKET_COUNT][BENCH_SLOT_BYTES];
};

static const struct bench_program program = { .name = "raw_gro", .mode_count = BENCH_MODE_COUNT };

static void watch(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        bench_fail("epoll_ctl");
    }
}

static void open_events(struct gro *g)
{
    const int yes = 1;
    if (setsockopt(g->fd, IPPROTO_UDP, UDP_GRO, &yes, sizeof yes) < 0) {
        bench_fail("UDP_GRO");
    }
    g->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (g->epoll < 0) {
        bench_fail("epoll_create1");
    }
    watch(g->epoll, g->fd);
    watch(g->epoll, bench_stop_fd);
}

/* Makes the header of a packet ready for a send in segments; it has none if it is one datagram. */
static void set_segments(struct gro *g, unsigned i, size_t segment_bytes, unsigned count)
{
    struct msghdr *const header = &g->msgs[i].msg_hdr;
    const uint16_t value = (uint16_t)segment_bytes;
    g->datagram_counts[i] = count;
    header->msg_controllen = 0;
    if (count > 1) {
        struct cmsghdr *const c = (void *)g->controls[i].bytes;
        c->cmsg_level = IPPROTO_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof value);
        memcpy(CMSG_DATA(c), &value, sizeof value);
        header->msg_control = c;
        header->msg_controllen = CMSG_SPACE(sizeof value);
    }
}

/* ---- echo and sink --------------------------------------------------------------------------- */

/* Each pass sends, drops or waits for room; a stop ends the waiting. */
static void send_packets(struct gro *g, unsigned count)
{
    unsigned done = 0;
    while (done < count) {
        const int sent = sendmmsg(g->fd, g->msgs + done, count - done, 0);
        const int sent_errno = errno;
        g->counts.tx_calls++;
        for (int i = 0; i < sent; i++) {
            g->counts.tx += g->datagram_counts[done++];
        }
        if (sent > 0 || sent_errno == EINTR) {
            continue;
        }
        if (sent_errno == EAGAIN && !bench_is_stop_asked) {
            bench_wait_writable(g->fd);
        } else {
            g->counts.drop += g->datagram_counts[done++]; /* the others have done nothing wrong */
        }
    }
}

static void reset_header(struct gro *g, unsigned i)
{
    struct msghdr *const header = &g->msgs[i].msg_hdr;
    g->iovs[i].iov_len = BENCH_SLOT_BYTES;
    header->msg_namelen = sizeof g->names[i];
    header->msg_control = &g->controls[i];
    header->msg_controllen = sizeof g->controls[i];
}

/* Reads how many datagrams a packet holds, and prepares it to be sent back as such. */
static void take_packet(struct gro *g, unsigned i)
{
    const struct cmsghdr *const c = CMSG_FIRSTHDR(&g->msgs[i].msg_hdr);
    const size_t bytes = g->msgs[i].msg_len;
    unsigned count = 1;
    int segment_bytes = 0;
    if (c != NULL && c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
        memcpy(&segment_bytes, CMSG_DATA(c), sizeof segment_bytes);
    }
    if (segment_bytes > 0 && bytes > (size_t)segment_bytes) {
        count = (unsigned)((bytes + (size_t)segment_bytes - 1) / (size_t)segment_bytes);
    }
    g->counts.rx += count;
    g->iovs[i].iov_len = bytes;
    set_segments(g, i, (size_t)segment_bytes, count);
}

static unsigned serve_batch(struct gro *g, bool is_echo)
{
    const int received = recvmmsg(g->fd, g->msgs, PACKET_COUNT, 0, NULL);
    g->counts.rx_calls++;
    if (received < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            bench_fail("recvmmsg");
        }
        return 0;
    }
    const unsigned count = (unsigned)received;
    for (unsigned i = 0; i < count; i++) {
        take_packet(g, i);
    }
    if (is_echo && count > 0) {
        send_packets(g, count);
    }
    for (unsigned i = 0; i < count; i++) {
        reset_header(g, i);
    }
    return count;
}

static void run_server(struct gro *g, bool is_echo)
{
    struct epoll_event events[2];
    for (unsigned i = 0; i < PACKET_COUNT; i++) {
        g->iovs[i].iov_base = g->slots[i];
        g->msgs[i].msg_hdr.msg_name = &g->names[i];
        g->msgs[i].msg_hdr.msg_iov = &g->iovs[i];
        g->msgs[i].msg_hdr.msg_iovlen = 1;
        reset_header(g, i);
    }
    while (!bench_is_stop_asked) {
        if (epoll_wait(g->epoll, events, 2, -1) < 0 && errno != EINTR) {
            bench_fail("epoll_wait");
        }
        unsigned count = PACKET_COUNT;
        while (count == PACKET_COUNT && !bench_is_stop_asked) {
            count = serve_batch(g, is_echo);
        }
    }
}

/* ---- source ---------------------------------------------------------------------------------- */

/* A train for each of some packets if there is one peer, else a datagram for each peer in turn;
 * every datagram is gathered from a header of its own and the common rest. */
struct source {
    struct gro *gro;
    const struct bench_options *o;
    struct sockaddr_in *destinations;
    unsigned packet_count;
    unsigned segment_count_max;
    uint64_t sequence;
    uint64_t peer;
    struct iovec iovs[PACKET_COUNT][BENCH_SEGMENT_COUNT_MAX][2];
    uint64_t headers[PACKET_COUNT][BENCH_SEGMENT_COUNT_MAX];
};

static void init_source(struct source *s, struct gro *g, const struct bench_options *o)
{
    const uint64_t fitting = BENCH_PAYLOAD_BYTES_MAX / o->payload_bytes;
    const bool is_one_peer = o->peer_count == 1;
    s->gro = g;
    s->o = o;
    s->destinations = bench_make_destinations(o);
    s->segment_count_max = !is_one_peer                        ? 1
                           : fitting < BENCH_SEGMENT_COUNT_MAX ? (unsigned)fitting
                                                               : BENCH_SEGMENT_COUNT_MAX;
    s->packet_count = s->segment_count_max > 1 ? TRAIN_COUNT : PACKET_COUNT;
    for (unsigned i = 0; i < s->packet_count; i++) {
        struct msghdr *const header = &g->msgs[i].msg_hdr;
        for (unsigned k = 0; k < s->segment_count_max; k++) {
            s->iovs[i][k][0].iov_base = &s->headers[i][k];
            s->iovs[i][k][0].iov_len = BENCH_HEADER_BYTES;
            s->iovs[i][k][1].iov_base = g->slots[0]; /* the same rest for all: it is only read */
            s->iovs[i][k][1].iov_len = o->payload_bytes - BENCH_HEADER_BYTES;
        }
        header->msg_namelen = sizeof s->destinations[0];
        header->msg_iov = s->iovs[i][0];
        header->msg_iovlen = 2 * (size_t)s->segment_count_max;
        set_segments(g, i, o->payload_bytes, s->segment_count_max);
    }
}

/* Numbers the datagrams of one packet; fewer than a full train only at the end of --count. */
static void make_packet(struct source *s, unsigned i)
{
    const uint64_t left =
        s->o->count_max != 0 ? s->o->count_max - s->sequence : s->segment_count_max;
    if (left < s->segment_count_max) {
        s->gro->msgs[i].msg_hdr.msg_iovlen = 2 * (size_t)left;
        set_segments(s->gro, i, s->o->payload_bytes, (unsigned)left);
    }
    for (unsigned k = 0; k < s->gro->datagram_counts[i]; k++) {
        s->headers[i][k] = s->sequence++;
    }
    s->gro->msgs[i].msg_hdr.msg_name = &s->destinations[s->peer];
    s->peer = s->peer + 1 == s->o->peer_count ? 0 : s->peer + 1;
}

static bool is_source_done(const struct source *s)
{
    return s->o->count_max != 0 && s->sequence >= s->o->count_max;
}

static void run_source(struct source *s)
{
    while (!bench_is_stop_asked && !is_source_done(s)) {
        unsigned count = 0;
        while (count < s->packet_count && !is_source_done(s)) {
            make_packet(s, count++);
        }
        send_packets(s->gro, count);
    }
}

int main(int argc, char **argv)
{
    static struct gro gro;
    static struct source source;
    struct bench_options o;
    bench_parse(&o, &program, argc, argv);
    gro.fd = bench_open_bound(&o);
    bench_catch_stop(&o);
    open_events(&gro);
    if (o.mode == BENCH_SOURCE) {
        init_source(&source, &gro, &o);
        bench_begin(gro.fd);
        run_source(&source);
    } else {
        bench_begin(gro.fd);
        run_server(&gro, o.mode == BENCH_ECHO);
    }
    bench_end(&o, &gro.counts);
    return 0;
}
