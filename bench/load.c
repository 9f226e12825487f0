/* SPDX-License-Identifier: MIT
 *
 * The other end of the benchmarks: load for an echo server or a sink, and a receiver for a source.
 *
 *   load --dest-port P --peers K --size S --window W --seconds T    closed loop against an echo
 *   load --flood --dest-port P --peers K --size S --seconds T       GSO trains to a sink, no answer
 *   load --drain --port P --peers K --size S --seconds T            takes in what a source sends
 *
 * Closed loop: K connected sockets are K peers, with W datagrams outstanding in all. The window is
 * split into min(K, W) lanes; each lane holds its share on one peer at a time and, if there are
 * more peers than lanes, goes on to its next peer when all answers are in. Each datagram begins
 * with the lane's sequence number: an answer that skips numbers counts the skipped ones as dropped,
 * as the path is loopback and keeps the order; a lane that hears nothing for 100 ms counts all it
 * has outstanding as dropped. Either way the window is filled up again.
 *
 * It spins instead of waiting, on purpose: a generator that sleeps makes the server pay for waking
 * it, and by chance. So pin it to a CPU of its own. Only loopback traffic. One thread; owns its
 * sockets and slots until exit. Sources: sendmmsg(2), recvmmsg(2), udp(7), socket(7).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_COUNT = 64,
    HEADER_BYTES = 8,
    PAYLOAD_BYTES_MAX = 65507, /* of a datagram over IPv4 */
    SLOT_BYTES = 65536 + 64,   /* any datagram or GRO packet, and no two slots in one cache set */
    SEGMENT_COUNT_MAX = 64,    /* of a GSO packet, on kernels before 6.9 */
    PEER_COUNT_MAX = 65535,
    WINDOW_MAX = 65535,
    SECONDS_MAX = 86400,
    SOCKET_BUFFER_BYTES = 4 * 1024 * 1024,
    ANSWER_TIMEOUT_NS = 100 * 1000 * 1000,
    DRAIN_DELAY_NS = 20 * 1000, /* some datagrams to a call, far from filling the buffer */
};

enum mode { MODE_LOAD, MODE_FLOOD, MODE_DRAIN };

static const char *const mode_names[] = { "load", "flood", "drain" };

struct options {
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
    struct options options;
    int *sockets;
    uint32_t socket_count;
    struct lane *lanes;
    uint32_t lane_count;
    uint64_t rx_count;
    uint64_t tx_count;
    uint64_t drop_count;
    struct mmsghdr rx_msgs[BATCH_COUNT];
    struct mmsghdr tx_msgs[BATCH_COUNT];
    struct iovec rx_iovs[BATCH_COUNT];
    struct iovec tx_iovs[BATCH_COUNT];
    uint8_t rx_slots[BATCH_COUNT][SLOT_BYTES];
    uint8_t tx_slots[BATCH_COUNT][SLOT_BYTES];
};

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void fail_usage(const char *what)
{
    fprintf(stderr,
            "load: %s\n"
            "usage: load --dest-port P [--peers K] [--size S] [--window W] [--seconds T]\n"
            "       load --flood --dest-port P [--peers K] [--size S] [--seconds T]\n"
            "       load --drain --port P [--peers K] [--size S] [--seconds T]\n",
            what);
    exit(2);
}

static uint64_t parse_number(const char *text, uint64_t min, uint64_t max)
{
    uint64_t value = 0;
    const char *digit = text;
    for (; *digit >= '0' && *digit <= '9' && value <= max; digit++) {
        value = value * 10 + (uint64_t)(*digit - '0'); /* no bound here is near the type's */
    }
    if (digit == text || *digit != '\0' || value < min || value > max) {
        fail_usage("a number is malformed or out of range");
    }
    return value;
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        { "flood", no_argument, NULL, 'f' },
        { "drain", no_argument, NULL, 'r' },
        { "port", required_argument, NULL, 'p' },
        { "dest-port", required_argument, NULL, 'd' },
        { "peers", required_argument, NULL, 'k' },
        { "size", required_argument, NULL, 's' },
        { "window", required_argument, NULL, 'w' },
        { "seconds", required_argument, NULL, 't' },
        { NULL, 0, NULL, 0 },
    };
    struct options o = { .peer_count = 64, .payload_bytes = 64, .window = 256, .seconds = 1 };
    int port_option = 0;
    int found;
    while ((found = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (found) {
        case 'f':
        case 'r':
            o.mode = found == 'f' ? MODE_FLOOD : MODE_DRAIN;
            break;
        case 'p':
        case 'd':
            o.port = parse_number(optarg, found == 'd' ? 1 : 0, UINT16_MAX);
            port_option = found;
            break;
        case 'k':
            o.peer_count = parse_number(optarg, 1, PEER_COUNT_MAX);
            break;
        case 's':
            o.payload_bytes = parse_number(optarg, HEADER_BYTES, PAYLOAD_BYTES_MAX);
            break;
        case 'w':
            o.window = parse_number(optarg, 1, WINDOW_MAX);
            break;
        case 't':
            o.seconds = parse_number(optarg, 1, SECONDS_MAX);
            break;
        default:
            fail_usage("an option that is not known");
        }
    }
    if (port_option != (o.mode == MODE_DRAIN ? 'p' : 'd') || optind != argc) {
        fail_usage(optind != argc ? "unexpected argument" : "a port is missing");
    }
    return o;
}

static uint64_t read_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The forced form passes the system's limit but needs a privilege; the plain one is cut to it. */
static void set_buffer(int fd, int forced_option, int plain_option)
{
    const int bytes = SOCKET_BUFFER_BYTES;
    if (setsockopt(fd, SOL_SOCKET, forced_option, &bytes, sizeof bytes) < 0 &&
        setsockopt(fd, SOL_SOCKET, plain_option, &bytes, sizeof bytes) < 0) {
        fail("setsockopt");
    }
}

static int open_socket(void)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail("socket");
    }
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
    return fd;
}

static struct sockaddr_in make_name(uint32_t host, uint64_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(host),
    };
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        fail("getrlimit");
    }
    limit.rlim_cur = limit.rlim_max; /* if that is too few, socket() says so */
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        fail("setrlimit");
    }
}

/* One socket for each peer, and the server's address in all of them: a connected send is cheaper.
 */
static void open_peers(struct load *l)
{
    const struct sockaddr_in server = make_name(INADDR_LOOPBACK, l->options.port);
    raise_descriptor_limit();
    l->socket_count = (uint32_t)l->options.peer_count;
    l->sockets = calloc(l->socket_count, sizeof *l->sockets);
    if (l->sockets == NULL) {
        fail("calloc");
    }
    for (uint32_t i = 0; i < l->socket_count; i++) {
        l->sockets[i] = open_socket();
        if (connect(l->sockets[i], (const struct sockaddr *)&server, sizeof server) < 0) {
            fail("connect");
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
        make_name(is_one_peer ? INADDR_LOOPBACK : INADDR_ANY, l->options.port);
    l->socket_count = 1;
    l->sockets = calloc(1, sizeof *l->sockets);
    if (l->sockets == NULL) {
        fail("calloc");
    }
    l->sockets[0] = open_socket();
    if (!is_one_peer &&
        setsockopt(l->sockets[0], SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo") < 0) {
        fail("SO_BINDTODEVICE");
    }
    if (setsockopt(l->sockets[0], IPPROTO_UDP, UDP_GRO, &yes, sizeof yes) < 0) {
        fprintf(stderr, "load: no GRO: trains are taken apart at the sender's cost\n");
    }
    if (bind(l->sockets[0], (const struct sockaddr *)&own, sizeof own) < 0) {
        fail("bind");
    }
}

static void set_headers(struct load *l)
{
    for (unsigned i = 0; i < BATCH_COUNT; i++) {
        l->rx_iovs[i] = (struct iovec){ .iov_base = l->rx_slots[i], .iov_len = SLOT_BYTES };
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
        fail("calloc");
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

static void count_answer(struct load *l, struct lane *lane, const uint8_t *payload, size_t bytes)
{
    uint64_t sequence; /* in the host's order: nobody but this process reads it */
    if (bytes != l->options.payload_bytes) {
        return; /* no answer of ours */
    }
    memcpy(&sequence, payload, sizeof sequence);
    if (sequence < lane->sequence_answered || sequence >= lane->sequence_next) {
        return; /* late: it is counted as dropped already */
    }
    l->drop_count += sequence - lane->sequence_answered;
    l->rx_count++;
    lane->sequence_answered = sequence + 1;
}

/* Asks for no more than can come, which saves the kernel's look at an empty queue. The plain calls
 * for a single datagram are cheaper than the batched ones: the generator has to outrun the server.
 */
static int receive_batch(struct load *l, int fd, unsigned count)
{
    if (count != 1) {
        return count == 0 ? 0 : recvmmsg(fd, l->rx_msgs, count, 0, NULL);
    }
    const ssize_t bytes = recv(fd, l->rx_slots[0], SLOT_BYTES, 0);
    if (bytes < 0) {
        return -1;
    }
    l->rx_msgs[0].msg_len = (unsigned)bytes;
    return 1;
}

static int send_batch(struct load *l, int fd, unsigned count)
{
    if (count != 1) {
        return sendmmsg(fd, l->tx_msgs, count, 0);
    }
    return send(fd, l->tx_slots[0], l->options.payload_bytes, 0) < 0 ? -1 : 1;
}

/* Bound: no more calls than the lane's quota has batches. */
static bool take_answers(struct load *l, struct lane *lane)
{
    const uint64_t sequence_before = lane->sequence_answered;
    for (uint32_t i = 0; i <= lane->quota / BATCH_COUNT; i++) {
        const uint64_t outstanding = lane->sequence_next - lane->sequence_answered;
        const unsigned asked = outstanding < BATCH_COUNT ? (unsigned)outstanding : BATCH_COUNT;
        const int received = receive_batch(l, l->sockets[lane->peer], asked);
        for (int k = 0; k < received; k++) {
            count_answer(l, lane, l->rx_slots[k], l->rx_msgs[k].msg_len);
        }
        if (received < BATCH_COUNT) {
            break; /* An error (a refused port) is an answer that did not come: see the time-out. */
        }
    }
    return lane->sequence_answered != sequence_before;
}

/* What cannot be sent counts as outstanding all the same: the time-out turns it into a drop, and a
 * dead server does not become a storm. */
static void fill_window(struct load *l, struct lane *lane)
{
    for (uint32_t i = 0; i <= lane->quota / BATCH_COUNT; i++) {
        const uint64_t outstanding = lane->sequence_next - lane->sequence_answered;
        const uint64_t room = lane->quota - outstanding;
        const unsigned count = room < BATCH_COUNT ? (unsigned)room : BATCH_COUNT;
        if (count == 0) {
            break;
        }
        for (unsigned k = 0; k < count; k++) {
            const uint64_t sequence = lane->sequence_next++;
            memcpy(l->tx_slots[k], &sequence, sizeof sequence);
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
    uint64_t now_ns = read_clock_ns();
    for (uint32_t i = 0; i < l->lane_count; i++) {
        l->lanes[i].progress_ns = now_ns;
        fill_window(l, &l->lanes[i]);
    }
    while (now_ns < end_ns) {
        for (uint32_t i = 0; i < l->lane_count; i++) {
            turn_lane(l, &l->lanes[i], now_ns);
        }
        now_ns = read_clock_ns();
    }
}

/* Segmented behind this process's sendmsg, so the sender outruns any receiver without GRO. */
static void run_flood(struct load *l, uint64_t end_ns)
{
    const int segment_bytes = (int)l->options.payload_bytes;
    size_t segment_count = PAYLOAD_BYTES_MAX / l->options.payload_bytes;
    segment_count = segment_count < SEGMENT_COUNT_MAX ? segment_count : SEGMENT_COUNT_MAX;
    for (uint32_t i = 0; i < l->socket_count; i++) {
        if (setsockopt(l->sockets[i], IPPROTO_UDP, UDP_SEGMENT, &segment_bytes,
                       sizeof segment_bytes) < 0) {
            fail("UDP_SEGMENT");
        }
    }
    const size_t train_bytes = segment_count * l->options.payload_bytes;
    uint32_t peer = 0;
    while (read_clock_ns() < end_ns) {
        if (send(l->sockets[peer], l->tx_slots[0], train_bytes, 0) >= 0) {
            l->tx_count += segment_count;
        } else if (errno == EINVAL || errno == EMSGSIZE || errno == EIO) {
            fail("send of a train");
        }
        peer = peer + 1 == l->socket_count ? 0 : peer + 1;
    }
}

/* Looks at the socket at intervals only, and never sleeps: the source under test pays neither for
 * waking its receiver nor for sharing the queue's lock with it all the time. */
static void run_drain(struct load *l, uint64_t end_ns)
{
    uint64_t look_ns = 0;
    for (uint64_t now_ns = read_clock_ns(); now_ns < end_ns; now_ns = read_clock_ns()) {
        if (now_ns < look_ns) {
            continue;
        }
        const int received = recvmmsg(l->sockets[0], l->rx_msgs, BATCH_COUNT, 0, NULL);
        for (int i = 0; i < received; i++) {
            const uint64_t bytes = l->rx_msgs[i].msg_len; /* a GRO packet: of equal datagrams */
            l->rx_count += (bytes + l->options.payload_bytes - 1) / l->options.payload_bytes;
        }
        look_ns = received == BATCH_COUNT ? 0 : now_ns + DRAIN_DELAY_NS;
    }
}

static void print_line_ready(const struct load *l)
{
    struct sockaddr_in own;
    socklen_t own_len = sizeof own;
    if (l->options.mode != MODE_DRAIN) {
        puts("READY");
    } else if (getsockname(l->sockets[0], (struct sockaddr *)&own, &own_len) < 0) {
        fail("getsockname");
    } else {
        printf("READY port=%u\n", (unsigned)ntohs(own.sin_port));
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct load load;
    load.options = parse_options(argc, argv);
    if (load.options.mode == MODE_DRAIN) {
        open_drain(&load);
    } else {
        open_peers(&load);
    }
    set_headers(&load);
    make_lanes(&load);
    print_line_ready(&load);
    const uint64_t start_ns = read_clock_ns();
    const uint64_t end_ns = start_ns + load.options.seconds * 1000000000;
    if (load.options.mode == MODE_LOAD) {
        run_load(&load, end_ns);
    } else if (load.options.mode == MODE_FLOOD) {
        run_flood(&load, end_ns);
    } else {
        run_drain(&load, end_ns);
    }
    const uint64_t wall_us = (read_clock_ns() - start_ns) / 1000;
    printf("RESULT mode=%s rx=%" PRIu64 " tx=%" PRIu64 " drop=%" PRIu64 " wall_us=%" PRIu64 "\n",
           mode_names[load.options.mode], load.rx_count, load.tx_count, load.drop_count, wall_us);
    return EXIT_SUCCESS;
}
