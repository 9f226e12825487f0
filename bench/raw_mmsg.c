/* SPDX-License-Identifier: MIT
 *
 * The hand-written reference of the benchmarks: echo, sink and source on one UDP socket.
 *
 * This is the loop that a careful engineer writes for one purpose and one system: level-triggered
 * epoll, recvmmsg and sendmmsg of 64, message headers filled once, no framework. What kirim costs
 * is its CPU time per datagram divided by this program's. It stays without GSO and GRO, so that a
 * framework that uses them shows a ratio below 1.
 *
 * True throughout: a short batch means an empty socket, so no call is spent on seeing EAGAIN; every
 * datagram that came in is sent or counted as dropped. Owns its socket, epoll and eventfd until
 * exit. One thread; the signal handler only stores a flag and writes to the eventfd.
 * Sources: recvmmsg(2), sendmmsg(2), epoll(7), udp(7), signal-safety(7).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_COUNT = 64,
    HEADER_BYTES = 8,
    PAYLOAD_BYTES_MAX = 65507, /* of a datagram over IPv4 */
    /* Any datagram fits; the odd cache line keeps the 64 slots out of one set of the cache. */
    SLOT_BYTES = 65536 + 64,
    PEER_COUNT_MAX = 65535,
    SECONDS_MAX = 86400,
    SOCKET_BUFFER_BYTES = 4 * 1024 * 1024,
};

enum mode { MODE_ECHO, MODE_SINK, MODE_SOURCE, MODE_COUNT };

static const char *const mode_names[MODE_COUNT] = { "echo", "sink", "source" };

struct options {
    enum mode mode;
    uint64_t port; /* own port of echo and sink, destination of source */
    uint64_t peer_count;
    uint64_t payload_bytes;
    uint64_t seconds;   /* 0: until a signal */
    uint64_t count_max; /* 0: no bound */
};

struct bench {
    int socket;
    int epoll;
    uint64_t rx_count;
    uint64_t tx_count;
    uint64_t drop_count;
    uint64_t rx_calls;
    uint64_t tx_calls;
    struct mmsghdr msgs[BATCH_COUNT];
    struct iovec iovs[BATCH_COUNT][2];
    struct sockaddr_in names[BATCH_COUNT];
    uint64_t headers[BATCH_COUNT];
    uint8_t slots[BATCH_COUNT][SLOT_BYTES];
};

/* Global because a signal handler has no other argument. */
static volatile sig_atomic_t is_stop_asked;
static int stop_fd = -1;

static void ask_stop(int signal_number)
{
    const int saved_errno = errno;
    const uint64_t one = 1;
    (void)signal_number;
    is_stop_asked = 1;
    /* The eventfd ends a wait that began after the flag was read; it cannot be full. */
    if (write(stop_fd, &one, sizeof one) < 0) {
        _exit(EXIT_FAILURE);
    }
    errno = saved_errno;
}

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void fail_usage(const char *what)
{
    fprintf(
        stderr,
        "raw_mmsg: %s\n"
        "usage: raw_mmsg echo --port P [--seconds T]\n"
        "       raw_mmsg sink --port P [--seconds T]\n"
        "       raw_mmsg source --dest-port P [--peers K] [--size S] [--seconds T | --count N]\n",
        what);
    exit(2);
}

static uint64_t parse_number(const char *text, uint64_t min, uint64_t max)
{
    uint64_t value = 0;
    const char *digit = text;
    for (; *digit >= '0' && *digit <= '9' && value <= max; digit++) {
        const uint64_t units = (uint64_t)(*digit - '0');
        if (value > (UINT64_MAX - units) / 10) {
            fail_usage("number too large");
        }
        value = value * 10 + units;
    }
    if (digit == text || *digit != '\0' || value < min || value > max) {
        fail_usage("a number is malformed or out of range");
    }
    return value;
}

static enum mode parse_mode(const char *text)
{
    for (int i = 0; i < MODE_COUNT; i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            return (enum mode)i;
        }
    }
    fail_usage("unknown mode");
    return MODE_COUNT;
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        { "port", required_argument, NULL, 'p' },
        { "dest-port", required_argument, NULL, 'd' },
        { "peers", required_argument, NULL, 'k' },
        { "size", required_argument, NULL, 's' },
        { "count", required_argument, NULL, 'n' },
        { "seconds", required_argument, NULL, 't' },
        { NULL, 0, NULL, 0 },
    };
    if (argc < 2) {
        fail_usage("a mode is missing");
    }
    struct options o = { .mode = parse_mode(argv[1]), .peer_count = 1, .payload_bytes = 1200 };
    const int port_option = o.mode == MODE_SOURCE ? 'd' : 'p';
    bool has_port = false;
    int found;
    optind = 2;
    while ((found = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (found == port_option) {
            o.port = parse_number(optarg, found == 'd' ? 1 : 0, UINT16_MAX);
            has_port = true;
        } else if (found == 't') {
            o.seconds = parse_number(optarg, 1, SECONDS_MAX);
        } else if (found == 'k' && o.mode == MODE_SOURCE) {
            o.peer_count = parse_number(optarg, 1, PEER_COUNT_MAX);
        } else if (found == 's' && o.mode == MODE_SOURCE) {
            o.payload_bytes = parse_number(optarg, HEADER_BYTES, PAYLOAD_BYTES_MAX);
        } else if (found == 'n' && o.mode == MODE_SOURCE) {
            o.count_max = parse_number(optarg, 1, UINT64_MAX);
        } else {
            fail_usage("an option that this mode does not know");
        }
    }
    if (!has_port || optind != argc) {
        fail_usage(has_port ? "unexpected argument" : "a port is missing");
    }
    return o;
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

static void open_socket(struct bench *b, uint16_t port)
{
    const struct sockaddr_in own = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    b->socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (b->socket < 0) {
        fail("socket");
    }
    set_buffer(b->socket, SO_RCVBUFFORCE, SO_RCVBUF);
    set_buffer(b->socket, SO_SNDBUFFORCE, SO_SNDBUF);
    if (bind(b->socket, (const struct sockaddr *)&own, sizeof own) < 0) {
        fail("bind");
    }
}

static void watch(struct bench *b, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        fail("epoll_ctl");
    }
}

static void open_events(struct bench *b, uint64_t seconds)
{
    const struct sigaction action = { .sa_handler = ask_stop };
    const struct itimerval timer = { .it_value.tv_sec = (time_t)seconds };
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->epoll < 0 || stop_fd < 0) {
        fail("epoll_create1 or eventfd");
    }
    watch(b, b->socket);
    watch(b, stop_fd);
    /* The time limit is a signal too, so that no turn has to read a clock. */
    if (sigaction(SIGTERM, &action, NULL) < 0 || sigaction(SIGINT, &action, NULL) < 0 ||
        sigaction(SIGALRM, &action, NULL) < 0 || setitimer(ITIMER_REAL, &timer, NULL) < 0) {
        fail("sigaction or setitimer");
    }
}

static void wait_writable(struct bench *b)
{
    struct pollfd fds[2] = {
        { .fd = b->socket, .events = POLLOUT },
        { .fd = stop_fd, .events = POLLIN },
    };
    if (poll(fds, 2, -1) < 0 && errno != EINTR) {
        fail("poll");
    }
}

/* Each pass sends, drops or waits for room; a stop ends the waiting. */
static void send_batch(struct bench *b, unsigned count)
{
    unsigned done = 0;
    while (done < count) {
        const int sent = sendmmsg(b->socket, b->msgs + done, count - done, 0);
        b->tx_calls++;
        if (sent > 0) {
            done += (unsigned)sent;
            b->tx_count += (unsigned)sent;
        } else if (errno == EAGAIN) {
            if (is_stop_asked) {
                break;
            }
            wait_writable(b);
        } else if (errno != EINTR) {
            done++; /* The error is the first datagram's; the others have done nothing wrong. */
            b->drop_count++;
        }
    }
    b->drop_count += count - done;
}

static unsigned receive_batch(struct bench *b)
{
    const int received = recvmmsg(b->socket, b->msgs, BATCH_COUNT, 0, NULL);
    b->rx_calls++;
    if (received < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            fail("recvmmsg");
        }
        return 0;
    }
    b->rx_count += (unsigned)received;
    return (unsigned)received;
}

static void set_receive_headers(struct bench *b)
{
    for (unsigned i = 0; i < BATCH_COUNT; i++) {
        b->iovs[i][0] = (struct iovec){ .iov_base = b->slots[i], .iov_len = SLOT_BYTES };
        b->msgs[i].msg_hdr = (struct msghdr){
            .msg_name = &b->names[i],
            .msg_namelen = sizeof b->names[i],
            .msg_iov = b->iovs[i],
            .msg_iovlen = 1,
        };
    }
}

/* Sends the batch from the headers and slots that it arrived in, and makes them ready again. */
static void echo_batch(struct bench *b, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        b->iovs[i][0].iov_len = b->msgs[i].msg_len;
    }
    send_batch(b, count);
    for (unsigned i = 0; i < count; i++) {
        b->iovs[i][0].iov_len = SLOT_BYTES;
    }
}

static void run_server(struct bench *b, bool is_echo)
{
    struct epoll_event events[2];
    set_receive_headers(b);
    while (!is_stop_asked) {
        if (epoll_wait(b->epoll, events, 2, -1) < 0 && errno != EINTR) {
            fail("epoll_wait");
        }
        unsigned count = BATCH_COUNT;
        while (count == BATCH_COUNT && !is_stop_asked) {
            count = receive_batch(b);
            if (is_echo && count > 0) {
                echo_batch(b, count);
            }
            for (unsigned i = 0; i < count; i++) {
                b->msgs[i].msg_hdr.msg_namelen = sizeof b->names[i];
            }
        }
    }
}

static struct sockaddr_in *make_destinations(const struct options *o)
{
    struct sockaddr_in *destinations = calloc(o->peer_count, sizeof *destinations);
    if (destinations == NULL) {
        fail("calloc");
    }
    for (uint32_t i = 0; i < o->peer_count; i++) {
        const uint32_t host = o->peer_count == 1 ? INADDR_LOOPBACK : 0x7f020001u + i;
        destinations[i] = (struct sockaddr_in){
            .sin_family = AF_INET,
            .sin_port = htons((uint16_t)o->port),
            .sin_addr.s_addr = htonl(host),
        };
    }
    return destinations;
}

static void run_source(struct bench *b, const struct options *o)
{
    struct sockaddr_in *destinations = make_destinations(o);
    uint64_t sequence = 0;
    uint64_t peer = 0;
    for (unsigned i = 0; i < BATCH_COUNT; i++) {
        b->iovs[i][0] = (struct iovec){ .iov_base = &b->headers[i], .iov_len = HEADER_BYTES };
        b->iovs[i][1] = (struct iovec){
            .iov_base = b->slots[0], /* the same rest for all: it is only read */
            .iov_len = o->payload_bytes - HEADER_BYTES,
        };
        b->msgs[i].msg_hdr = (struct msghdr){
            .msg_name = destinations,
            .msg_namelen = sizeof *destinations,
            .msg_iov = b->iovs[i],
            .msg_iovlen = 2,
        };
    }
    while (!is_stop_asked && (o->count_max == 0 || sequence < o->count_max)) {
        unsigned count = BATCH_COUNT;
        if (o->count_max != 0 && o->count_max - sequence < BATCH_COUNT) {
            count = (unsigned)(o->count_max - sequence);
        }
        for (unsigned i = 0; i < count; i++) {
            b->headers[i] = sequence++;
            b->msgs[i].msg_hdr.msg_name = &destinations[peer];
            peer = peer + 1 == o->peer_count ? 0 : peer + 1;
        }
        send_batch(b, count);
    }
    free(destinations);
}

static uint64_t read_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t read_cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec;
}

static void print_line_ready(const struct bench *b)
{
    struct sockaddr_in own;
    socklen_t own_len = sizeof own;
    if (getsockname(b->socket, (struct sockaddr *)&own, &own_len) < 0) {
        fail("getsockname");
    }
    printf("READY port=%u\n", (unsigned)ntohs(own.sin_port));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    const struct options o = parse_options(argc, argv);
    open_socket(&bench, o.mode == MODE_SOURCE ? 0 : (uint16_t)o.port);
    open_events(&bench, o.seconds);
    print_line_ready(&bench);
    const uint64_t start_wall_us = read_wall_us();
    const uint64_t start_cpu_us = read_cpu_us();
    if (o.mode == MODE_SOURCE) {
        run_source(&bench, &o);
    } else {
        run_server(&bench, o.mode == MODE_ECHO);
    }
    const uint64_t cpu_us = read_cpu_us() - start_cpu_us;
    const uint64_t wall_us = read_wall_us() - start_wall_us;
    printf("RESULT mode=%s rx=%" PRIu64 " tx=%" PRIu64 " drop=%" PRIu64 " rxcalls=%" PRIu64
           " txcalls=%" PRIu64 " wall_us=%" PRIu64 " cpu_us=%" PRIu64 "\n",
           mode_names[o.mode], bench.rx_count, bench.tx_count, bench.drop_count, bench.rx_calls,
           bench.tx_calls, wall_us, cpu_us);
    return EXIT_SUCCESS;
}
