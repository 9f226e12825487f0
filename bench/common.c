/* SPDX-License-Identifier: MIT
 *
 * See common.h. Sources: getopt_long(3), getrusage(2), setitimer(2), eventfd(2).
 */
#define _GNU_SOURCE
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SOCKET_BUFFER_BYTES = 4 * 1024 * 1024 };

#define FIRST_OF_MANY_HOSTS 0x7f020001U /* 127.2.0.1 */

static const char *const mode_names[BENCH_MODE_COUNT + 1] = { "echo", "sink", "source", NULL };

volatile sig_atomic_t bench_is_stop_asked;
int bench_stop_fd = -1;

static const struct bench_program *running;
static uint64_t start_wall_us;
static uint64_t start_cpu_us;

/* ---- command line ---------------------------------------------------------------------------- */

void bench_fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

void bench_set_program(const struct bench_program *program)
{
    running = program;
}

static void print_usage(void)
{
    const bool has_variants = running->variants != NULL;
    for (int i = 0; i < BENCH_MODE_COUNT && i < running->mode_count; i++) {
        const bool is_source = i == BENCH_SOURCE;
        fprintf(stderr, "%s %s %s %s [--seconds T]%s%s\n", i == 0 ? "usage:" : "      ",
                running->name, mode_names[i], is_source ? "--dest-port P" : "--port P",
                is_source ? " [--peers K] [--size S] [--count N]" : "",
                has_variants ? " [--variant V]" : "");
    }
    for (int i = 0; has_variants && running->variants[i] != NULL; i++) {
        fprintf(stderr, "%s%s", i == 0 ? "variants (the first is the default): " : ", ",
                running->variants[i]);
    }
    fputs(has_variants ? "\n" : "", stderr);
}

void bench_fail_usage(const char *what)
{
    fprintf(stderr, "%s: %s\n", running->name, what);
    if (running->usage != NULL) {
        fputs(running->usage, stderr);
    } else {
        print_usage();
    }
    exit(2);
}

uint64_t bench_parse_number(const char *text, uint64_t min, uint64_t max)
{
    uint64_t value = 0;
    const char *digit = text;
    for (; *digit >= '0' && *digit <= '9' && value <= max; digit++) {
        const uint64_t units = (uint64_t)(*digit - '0');
        if (value > (UINT64_MAX - units) / 10) {
            bench_fail_usage("a number is too large");
        }
        value = value * 10 + units;
    }
    if (digit == text || *digit != '\0' || value < min || value > max) {
        bench_fail_usage("a number is malformed or out of range");
    }
    return value;
}

/* Index of a word in a list that ends with NULL. */
static int find_word(const char *const *words, const char *word, const char *complaint)
{
    for (int i = 0; words != NULL && words[i] != NULL; i++) {
        if (strcmp(word, words[i]) == 0) {
            return i;
        }
    }
    bench_fail_usage(complaint);
}

static void parse_option(struct bench_options *o, int found)
{
    const bool is_source = o->mode == BENCH_SOURCE;
    if (found == (is_source ? 'd' : 'p')) {
        o->port = bench_parse_number(optarg, is_source ? 1 : 0, UINT16_MAX);
    } else if (found == 't') {
        o->seconds = bench_parse_number(optarg, 1, BENCH_SECONDS_MAX);
    } else if (found == 'v') {
        o->variant = find_word(running->variants, optarg, "an unknown variant");
    } else if (found == 'k' && is_source) {
        o->peer_count = bench_parse_number(optarg, 1, BENCH_PEER_COUNT_MAX);
    } else if (found == 's' && is_source) {
        o->payload_bytes = bench_parse_number(optarg, BENCH_HEADER_BYTES, BENCH_PAYLOAD_BYTES_MAX);
    } else if (found == 'n' && is_source) {
        o->count_max = bench_parse_number(optarg, 1, UINT64_MAX);
    } else {
        bench_fail_usage("an option that this mode does not know");
    }
}

void bench_parse(struct bench_options *o, const struct bench_program *program, int argc,
                 char **argv)
{
    static const struct option known[] = {
        { "port", required_argument, NULL, 'p' },    { "dest-port", required_argument, NULL, 'd' },
        { "peers", required_argument, NULL, 'k' },   { "size", required_argument, NULL, 's' },
        { "count", required_argument, NULL, 'n' },   { "seconds", required_argument, NULL, 't' },
        { "variant", required_argument, NULL, 'v' }, { NULL, 0, NULL, 0 },
    };
    bench_set_program(program);
    if (argc < 2) {
        bench_fail_usage("a mode is missing");
    }
    *o = (struct bench_options){ .port = UINT64_MAX, .peer_count = 1, .payload_bytes = 1200 };
    o->mode = (enum bench_mode)find_word(mode_names, argv[1], "an unknown mode");
    if ((int)o->mode >= program->mode_count) {
        bench_fail_usage("a mode that this program does not have");
    }
    int found;
    optind = 2;
    while ((found = getopt_long(argc, argv, "", known, NULL)) != -1) {
        parse_option(o, found);
    }
    if (o->port == UINT64_MAX || optind != argc) {
        bench_fail_usage(optind != argc ? "unexpected argument" : "a port is missing");
    }
}

/* ---- sockets --------------------------------------------------------------------------------- */

/* The forced form passes the system's limit but needs a privilege; the plain one is cut to it. */
static void set_buffer(int fd, int forced_option, int plain_option)
{
    const int bytes = SOCKET_BUFFER_BYTES;
    if (setsockopt(fd, SOL_SOCKET, forced_option, &bytes, sizeof bytes) < 0 &&
        setsockopt(fd, SOL_SOCKET, plain_option, &bytes, sizeof bytes) < 0) {
        bench_fail("setsockopt");
    }
}

int bench_open_socket(void)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        bench_fail("socket");
    }
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
    return fd;
}

int bench_open_bound(const struct bench_options *o)
{
    const struct sockaddr_in own =
        bench_make_name(INADDR_LOOPBACK, o->mode == BENCH_SOURCE ? 0 : o->port);
    const int fd = bench_open_socket();
    if (bind(fd, (const struct sockaddr *)&own, sizeof own) < 0) {
        bench_fail("bind");
    }
    return fd;
}

struct sockaddr_in bench_make_name(uint32_t host, uint64_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(host),
    };
}

struct sockaddr_in *bench_make_destinations(const struct bench_options *o)
{
    struct sockaddr_in *destinations = calloc(o->peer_count, sizeof *destinations);
    if (destinations == NULL) {
        bench_fail("calloc");
    }
    for (uint32_t i = 0; i < o->peer_count; i++) {
        const uint32_t host = o->peer_count == 1 ? INADDR_LOOPBACK : FIRST_OF_MANY_HOSTS + i;
        destinations[i] = bench_make_name(host, o->port);
    }
    return destinations;
}

void bench_wait_writable(int fd)
{
    struct pollfd fds[2] = {
        { .fd = fd, .events = POLLOUT },
        { .fd = bench_stop_fd, .events = POLLIN },
    };
    if (poll(fds, 2, -1) < 0 && errno != EINTR) {
        bench_fail("poll");
    }
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void ask_stop(int signal_number)
{
    const int saved_errno = errno;
    const uint64_t one = 1;
    (void)signal_number;
    bench_is_stop_asked = 1;
    /* The eventfd ends a wait that began after the flag was read; it cannot be full. */
    if (write(bench_stop_fd, &one, sizeof one) < 0) {
        _exit(EXIT_FAILURE);
    }
    errno = saved_errno;
}

void bench_catch_stop(const struct bench_options *o)
{
    const struct sigaction action = { .sa_handler = ask_stop };
    const struct itimerval timer = { .it_value.tv_sec = (time_t)o->seconds };
    bench_stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bench_stop_fd < 0) {
        bench_fail("eventfd");
    }
    /* The time limit is a signal too, so that no turn has to read a clock. */
    if (sigaction(SIGTERM, &action, NULL) < 0 || sigaction(SIGINT, &action, NULL) < 0 ||
        sigaction(SIGALRM, &action, NULL) < 0 || setitimer(ITIMER_REAL, &timer, NULL) < 0) {
        bench_fail("sigaction or setitimer");
    }
}

uint64_t bench_read_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t read_cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec;
}

void bench_begin(int fd)
{
    struct sockaddr_in own = { 0 };
    socklen_t own_len = sizeof own;
    if (getsockname(fd, (struct sockaddr *)&own, &own_len) < 0) {
        bench_fail("getsockname");
    }
    printf("READY port=%u\n", (unsigned)ntohs(own.sin_port));
    fflush(stdout);
    start_wall_us = bench_read_clock_ns() / 1000;
    start_cpu_us = read_cpu_us();
}

void bench_end(const struct bench_options *o, const struct bench_counts *counts)
{
    const uint64_t cpu_us = read_cpu_us() - start_cpu_us;
    const uint64_t wall_us = bench_read_clock_ns() / 1000 - start_wall_us;
    printf("RESULT mode=%s rx=%" PRIu64 " tx=%" PRIu64 " drop=%" PRIu64 " rxcalls=%" PRIu64
           " txcalls=%" PRIu64 " wall_us=%" PRIu64 " cpu_us=%" PRIu64 "\n",
           mode_names[o->mode], counts->rx, counts->tx, counts->drop, counts->rx_calls,
           counts->tx_calls, wall_us, cpu_us);
    fflush(stdout);
}
