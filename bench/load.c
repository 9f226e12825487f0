/* SPDX-License-Identifier: MIT
 *
 * The other end of the benchmarks: load for an echo server or a sink, and a receiver for a source.
 *
 *   load           closed loop against an echo
 *   load --trains  the same, in trains: GSO on the way out, GRO on the way back
 *   load --flood   GSO trains to a sink, which does not answer
 *   load --drain   takes in what a source sends
 *
 * Closed loop: K connected sockets are K peers, with W datagrams outstanding in all. The window is
 * split into min(K, W) lanes; each lane holds its share on one peer at a time and, if there are
 * more peers than lanes, goes on to its next peer when all answers are in. Each datagram begins
 * with the lane's sequence number: an answer that skips numbers counts the skipped ones as dropped,
 * as the path is loopback and keeps the order; a lane that hears nothing for 100 ms counts all it
 * has outstanding as dropped. Either way the window is filled up again; with --trains not before
 * half of it is free, so that a train is never shorter than that (or than the system allows).
 *
 * It spins instead of waiting, on purpose: a generator that sleeps makes the server pay for waking
 * it, and by chance. So pin it to a CPU of its own. Only loopback traffic. One thread; owns its
 * sockets and slots until exit. Sources: sendmmsg(2), recvmmsg(2), udp(7), socket(7).
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    WINDOW_MAX = 65535,
    ANSWER_TIMEOUT_NS = 100 * 1000 * 1000,
    DRAIN_DELAY_NS = 20 * 1000, /* some datagrams to a call, far from filling the buffer */
};

enum mode { MODE_LOAD, MODE_TRAINS, MODE_FLOOD, MODE_DRAIN };

static const char *const mode_names[] = { "load", "trains", "flood", "drain" };

static const struct bench_program program = {
    .name = "load",
    .usage = "usage: load [--trains] --dest-port P [--peers K] [--size S] [--window W] "
             "[--seconds T]\n"
             "       load --flood --dest-port P [--peers K] [--size S] [--seconds T]\n"
             "       load --drain --port P [--peers K] [--size S] [--seconds T]\n",
};

struct load_options {
    enum mode mode;
    uint64_t port;
    uint64_t peer_count;
    uint64_t payload_bytes;
    uint64_t window;
    uint64_t seconds;
};

struct lane {
    uint32_t first_peer;
    uint32_t peer;
    uint32_t quota;
    uint64_t sequence_answered; /* all below are answered or given up */
    uint64_t sequence_next;
    uint64_t progress_ns;
};

struct load {
    struct load_options options;
    int *sockets;
    uint32_t socket_count;
    struct lane *lanes;
    uint32_t lane_count;
    uint32_t batch_count_max; /* datagrams in a send call */
    size_t tx_stride;         /* from one of them to the next */
    uint64_t rx_count;
    uint64_t tx_count;
    uint64_t drop_count;
    struct mmsghdr rx_msgs[BENCH_BATCH_COUNT];
    struct mmsghdr tx_msgs[BENCH_BATCH_COUNT];
    struct iovec rx_iovs[BENCH_BATCH_COUNT];
    struct iovec tx_iovs[BENCH_BATCH_COUNT];
    uint8_t rx_slots[BENCH_BATCH_COUNT][BENCH_SLOT_BYTES];
    uint8_t tx_slots[BENCH_BATCH_COUNT][BENCH_SLOT_BYTES];
};

static struct load_options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        { "trains", no_argument, NULL, 'g' },          { "flood", no_argument, NULL, 'f' },
        { "drain", no_argument, NULL, 'r' },           { "port", required_argument, NULL, 'p' },
        { "dest-port", required_argument, NULL, 'd' }, { "peers", required_argument, NULL, 'k' },
        { "size", required_argument, NULL, 's' },      { "window", required_argument, NULL, 'w' },
        { "seconds", required_argument, NULL, 't' },   { NULL, 0, NULL, 0 },
    };
    struct load_options o = { .peer_count = 64, .payload_bytes = 64, .window = 256, .seconds = 1 };
    int port_option = 0;
    int found;
    while ((found = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (found) {
        case 'g':
            o.mode = MODE_TRAINS;
            break;
        case 'f':
            o.mode = MODE_FLOOD;
            break;
        case 'r':
            o.mode = MODE_DRAIN;
            break;
        case 'p':
        case 'd':
            o.port = bench_parse_number(optarg, found == 'd' ? 1 : 0, UINT16_MAX);
            port_option = found;
            break;
        case 'k':
            o.peer_count = bench_parse_number(optarg, 1, BENCH_PEER_COUNT_MAX);
            break;
        case 's':
            o.payload_bytes =
                bench_parse_number(optarg, BENCH_HEADER_BYTES, BENCH_PAYLOAD_BYTES_MAX);
            break;
        case 'w':
            o.window = bench_parse_number(optarg, 1, WINDOW_MAX);
            break;
        case 't':
            o.seconds = bench_parse_number(optarg, 1, BENCH_SECONDS_MAX);
            break;
        default:
            bench_fail_usage("an option that is not known");
        }
    }
    if (port_option != (o.mode == MODE_DRAIN ? 'p' : 'd') || optind != argc) {
        bench_fail_usage(optind != argc ? "unexpected argument" : "a port is missing");
    }
    return o;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        bench_fail("getrlimit");
    }
    limit.rlim_cur = limit.rlim_max; /* if that is too few, socket() says so */
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        bench_fail("setrlimit");
    }
}

static uint32_t count_segments_max(const struct load *l)
{
    const uint64_t fitting = BENCH_PAYLOAD_BYTES_MAX / l->options.payload_bytes;
    return fitting < BENCH_SEGMENT_COUNT_MAX ? (uint32_t)fitting : BENCH_SEGMENT_COUNT_MAX;
}

static void set_trains(const struct load *l, int fd)
{
    const int segment_bytes = (int)l->options.payload_bytes;
    const int yes = 1;
    if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment_bytes, sizeof segment_bytes) < 0 ||
        setsockopt(fd, IPPROTO_UDP, UDP_GRO, &yes, sizeof yes) < 0) {
        bench_fail("UDP_SEGMENT or UDP_GRO");
    }
}

/* One socket for each peer, and the server's address in all: a connected send is cheaper. */
static void open_peers(struct load *l)
{
    const struct sockaddr_in server = bench_make_name(INADDR_LOOPBACK, l->options.port);
    raise_descriptor_limit();
    l->socket_count = (uint32_t)l->options.peer_count;
    l->sockets = calloc(l->socket_count, sizeof *l->sockets);
    if (l->sockets == NULL) {
        bench_fail("calloc");
    }
    for (uint32_t i = 0; i < l->socket_count; i++) {
        l->sockets[i] = bench_open_socket();
        if (l->options.mode != MODE_LOAD) {
            set_trains(l, l->sockets[i]);
        }
        if (connect(l->sockets[i], (const struct sockaddr *)&server, sizeof server) < 0) {
            bench_fail("connect");
        }
    }
}

/* A source with one peer sends to 127.0.0.1, with more of them to 127.2.x.y: then the socket takes
 * every address, but of the loopback device only. GRO takes a train whole, as a device would. */
static void open_drain(struct load *l)
{
    const int yes = 1;
    const bool is_one_peer = l->options.peer_count == 1;
    const struct sockaddr_in own =
        bench_make_name(is_one_peer ? INADDR_LOOPBACK : INADDR_ANY, l->options.port);
    l->socket_count = 1;
    l->sockets = calloc(1, sizeof *l->sockets);
    if (l->sockets == NULL) {
        bench_fail("calloc");
    }
    l->sockets[0] = bench_open_socket();
    if (!is_one_peer &&
        setsockopt(l->sockets[0], SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo") < 0) {
        bench_fail("SO_BINDTODEVICE");
    }
    if (setsockopt(l->sockets[0], IPPROTO_UDP, UDP_GRO, &yes, sizeof yes) < 0) {
        fprintf(stderr, "load: no GRO: trains are taken apart at the sender's cost\n");
    }
    if (bind(l->sockets[0], (const struct sockaddr *)&own, sizeof own) < 0) {
        bench_fail("bind");
    }
}

static void set_headers(struct load *l)
{
    const bool is_train = l->options.mode == MODE_TRAINS;
    l->batch_count_max = is_train ? count_segments_max(l) : BENCH_BATCH_COUNT;
    l->tx_stride = is_train ? l->options.payload_bytes : sizeof l->tx_slots[0];
    for (unsigned i = 0; i < BENCH_BATCH_COUNT; i++) {
        l->rx_iovs[i] = (struct iovec){ .iov_base = l->rx_slots[i], .iov_len = BENCH_SLOT_BYTES };
        l->tx_iovs[i] =
            (struct iovec){ .iov_base = l->tx_slots[i], .iov_len = l->options.payload_bytes };
        l->rx_msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &l->rx_iovs[i], .msg_iovlen = 1 };
        l->tx_msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &l->tx_iovs[i], .msg_iovlen = 1 };
    }
}

static void make_lanes(struct load *l)
{
    const uint32_t window = (uint32_t)l->options.window;
    l->lane_count = l->socket_count < window ? l->socket_count : window;
    l->lanes = calloc(l->lane_count, sizeof *l->lanes);
    if (l->lanes == NULL) {
        bench_fail("calloc");
    }
    for (uint32_t i = 0; i < l->lane_count; i++) {
        const uint32_t extra = i < window % l->lane_count ? 1 : 0;
        l->lanes[i] = (struct lane){
            .first_peer = i,
            .peer = i,
            .quota = window / l->lane_count + extra,
        };
    }
}

static void count_answer(struct load *l, struct lane *lane, const uint8_t *payload)
{
    uint64_t sequence; /* in the host's order: nobody but this process reads it */
    memcpy(&sequence, payload, sizeof sequence);
    if (sequence < lane->sequence_answered || sequence >= lane->sequence_next) {
        return; /* late: it is counted as dropped already */
    }
    l->drop_count += sequence - lane->sequence_answered;
    l->rx_count++;
    lane->sequence_answered = sequence + 1;
}

/* A GRO packet holds several; what has another length is no answer of ours. */
static void count_answers(struct load *l, struct lane *lane, const uint8_t *packet, size_t bytes)
{
    const size_t payload_bytes = l->options.payload_bytes;
    if (bytes % payload_bytes != 0) {
        return;
    }
    for (size_t offset = 0; offset < bytes; offset += payload_bytes) {
        count_answer(l, lane, packet + offset);
    }
}

/* Asks for no more than can come, which saves the kernel's look at an empty queue. Plain calls for
 * a single datagram are cheaper than batched ones: the generator has to outrun the server. */
static int receive_batch(struct load *l, int fd, unsigned count)
{
    if (count != 1) {
        return count == 0 ? 0 : recvmmsg(fd, l->rx_msgs, count, 0, NULL);
    }
    const ssize_t bytes = recv(fd, l->rx_slots[0], BENCH_SLOT_BYTES, 0);
    if (bytes < 0) {
        return -1;
    }
    l->rx_msgs[0].msg_len = (unsigned)bytes;
    return 1;
}

static int send_batch(struct load *l, int fd, unsigned count)
{
    if (l->options.mode == MODE_TRAINS) {
        return send(fd, l->tx_slots[0], count * l->tx_stride, 0) < 0 ? -1 : (int)count;
    }
    if (count != 1) {
        return sendmmsg(fd, l->tx_msgs, count, 0);
    }
    return send(fd, l->tx_slots[0], l->options.payload_bytes, 0) < 0 ? -1 : 1;
}

/* Bound: no more calls than the lane's quota has batches. */
static bool take_answers(struct load *l, struct lane *lane)
{
    const uint64_t sequence_before = lane->sequence_answered;
    for (uint32_t i = 0; i <= lane->quota / BENCH_BATCH_COUNT; i++) {
        const uint64_t outstanding = lane->sequence_next - lane->sequence_answered;
        const unsigned asked =
            outstanding < BENCH_BATCH_COUNT ? (unsigned)outstanding : BENCH_BATCH_COUNT;
        const int received = receive_batch(l, l->sockets[lane->peer], asked);
        for (int k = 0; k < received; k++) {
            count_answers(l, lane, l->rx_slots[k], l->rx_msgs[k].msg_len);
        }
        if (received < BENCH_BATCH_COUNT) {
            break; /* An error (a refused port) is an answer that did not come: see the time-out. */
        }
    }
    return lane->sequence_answered != sequence_before;
}

/* What cannot be sent counts as outstanding all the same: the time-out turns it into a drop, and a
 * dead server does not become a storm. */
static void fill_window(struct load *l, struct lane *lane)
{
    const uint64_t room_at_first = lane->quota - (lane->sequence_next - lane->sequence_answered);
    if (l->options.mode == MODE_TRAINS && room_at_first < lane->quota / 2) {
        return;
    }
    for (uint32_t i = 0; i <= lane->quota / l->batch_count_max; i++) {
        const uint64_t outstanding = lane->sequence_next - lane->sequence_answered;
        const uint64_t room = lane->quota - outstanding;
        const unsigned count = room < l->batch_count_max ? (unsigned)room : l->batch_count_max;
        if (count == 0) {
            break;
        }
        for (unsigned k = 0; k < count; k++) {
            const uint64_t sequence = lane->sequence_next++;
            memcpy(l->tx_slots[0] + k * l->tx_stride, &sequence, sizeof sequence);
        }
        const int sent = send_batch(l, l->sockets[lane->peer], count);
        l->tx_count += sent > 0 ? (unsigned)sent : 0;
    }
}

static void turn_lane(struct load *l, struct lane *lane, uint64_t now_ns)
{
    if (take_answers(l, lane)) {
        lane->progress_ns = now_ns;
    } else if (now_ns - lane->progress_ns > ANSWER_TIMEOUT_NS) {
        l->drop_count += lane->sequence_next - lane->sequence_answered;
        lane->sequence_answered = lane->sequence_next;
        lane->progress_ns = now_ns;
    }
    if (lane->sequence_answered == lane->sequence_next && l->socket_count > l->lane_count) {
        lane->peer += l->lane_count;
        lane->peer = lane->peer < l->socket_count ? lane->peer : lane->first_peer;
    }
    fill_window(l, lane);
}

static void run_load(struct load *l, uint64_t end_ns)
{
    uint64_t now_ns = bench_read_clock_ns();
    for (uint32_t i = 0; i < l->lane_count; i++) {
        l->lanes[i].progress_ns = now_ns;
        fill_window(l, &l->lanes[i]);
    }
    while (now_ns < end_ns) {
        for (uint32_t i = 0; i < l->lane_count; i++) {
            turn_lane(l, &l->lanes[i], now_ns);
        }
        now_ns = bench_read_clock_ns();
    }
}

/* Segmented behind this process's sendmsg, so the sender outruns any receiver without GRO. */
static void run_flood(struct load *l, uint64_t end_ns)
{
    const size_t segment_count = count_segments_max(l);
    const size_t train_bytes = segment_count * l->options.payload_bytes;
    uint32_t peer = 0;
    while (bench_read_clock_ns() < end_ns) {
        if (send(l->sockets[peer], l->tx_slots[0], train_bytes, 0) >= 0) {
            l->tx_count += segment_count;
        } else if (errno == EINVAL || errno == EMSGSIZE || errno == EIO) {
            bench_fail("send of a train");
        }
        peer = peer + 1 == l->socket_count ? 0 : peer + 1;
    }
}

/* Looks at the socket at intervals only, and never sleeps: the source under test pays neither for
 * waking its receiver nor for sharing the queue's lock with it all the time. */
static void run_drain(struct load *l, uint64_t end_ns)
{
    uint64_t look_ns = 0;
    for (uint64_t now_ns = bench_read_clock_ns(); now_ns < end_ns; now_ns = bench_read_clock_ns()) {
        if (now_ns < look_ns) {
            continue;
        }
        const int received = recvmmsg(l->sockets[0], l->rx_msgs, BENCH_BATCH_COUNT, 0, NULL);
        for (int i = 0; i < received; i++) {
            const uint64_t bytes = l->rx_msgs[i].msg_len; /* a GRO packet: of equal datagrams */
            l->rx_count += (bytes + l->options.payload_bytes - 1) / l->options.payload_bytes;
        }
        look_ns = received == BENCH_BATCH_COUNT ? 0 : now_ns + DRAIN_DELAY_NS;
    }
}

static void print_line_ready(const struct load *l)
{
    struct sockaddr_in own = { 0 };
    socklen_t own_len = sizeof own;
    if (l->options.mode != MODE_DRAIN) {
        puts("READY");
    } else if (getsockname(l->sockets[0], (struct sockaddr *)&own, &own_len) < 0) {
        bench_fail("getsockname");
    } else {
        printf("READY port=%u\n", (unsigned)ntohs(own.sin_port));
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct load load;
    bench_set_program(&program);
    load.options = parse_options(argc, argv);
    if (load.options.mode == MODE_DRAIN) {
        open_drain(&load);
    } else {
        open_peers(&load);
    }
    set_headers(&load);
    make_lanes(&load);
    print_line_ready(&load);
    const uint64_t start_ns = bench_read_clock_ns();
    const uint64_t end_ns = start_ns + load.options.seconds * 1000000000;
    if (load.options.mode == MODE_LOAD || load.options.mode == MODE_TRAINS) {
        run_load(&load, end_ns);
    } else if (load.options.mode == MODE_FLOOD) {
        run_flood(&load, end_ns);
    } else {
        run_drain(&load, end_ns);
    }
    const uint64_t wall_us = (bench_read_clock_ns() - start_ns) / 1000;
    printf("RESULT mode=%s rx=%" PRIu64 " tx=%" PRIu64 " drop=%" PRIu64 " wall_us=%" PRIu64 "\n",
           mode_names[load.options.mode], load.rx_count, load.tx_count, load.drop_count, wall_us);
    return EXIT_SUCCESS;
}
