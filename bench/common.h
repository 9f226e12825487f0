/* SPDX-License-Identifier: MIT
 *
 * What the hand-written loops and the peers share: command line, socket, ending, the two lines.
 *
 * Nothing here runs between two datagrams, so that a loop's cost is its own. One run per process:
 * the state behind a signal handler is global. One thread. Sources: socket(7), signal-safety(7).
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BENCH_BATCH_COUNT = 64,
    BENCH_SEGMENT_COUNT_MAX = 64, /* of a GSO packet, on kernels before 6.9 */
    BENCH_HEADER_BYTES = 8,
    BENCH_PAYLOAD_BYTES_MAX = 65507, /* of a datagram over IPv4 */
    /* Any datagram or GRO packet fits; the odd cache line keeps the slots out of one cache set. */
    BENCH_SLOT_BYTES = 65536 + 64,
    BENCH_PEER_COUNT_MAX = 65535,
    BENCH_SECONDS_MAX = 86400
};

enum bench_mode { BENCH_ECHO, BENCH_SINK, BENCH_SOURCE, BENCH_MODE_COUNT };

/* What a program is called and can do, for its command line. */
struct bench_program {
    const char *name;
    const char *const *variants; /* ends with NULL; the first is the default. NULL: has none */
    int mode_count;              /* of enum bench_mode, from the first on */
    const char *usage;           /* of a program with a command line of its own */
};

struct bench_options {
    enum bench_mode mode;
    int variant;   /* index in the program's list */
    uint64_t port; /* own port of echo and sink, destination of source */
    uint64_t peer_count;
    uint64_t payload_bytes;
    uint64_t seconds;   /* 0: until a signal */
    uint64_t count_max; /* 0: no bound */
};

struct bench_counts {
    uint64_t rx;
    uint64_t tx;
    uint64_t drop;
    uint64_t rx_calls;
    uint64_t tx_calls;
};

/* Set by SIGTERM, SIGINT and the end of --seconds; then bench_stop_fd is readable, too. */
extern volatile sig_atomic_t bench_is_stop_asked;
extern int bench_stop_fd;

/* Prints errno's text, and ends the process. */
void bench_fail(const char *what) __attribute__((noreturn));

/* Sets the program that is named in messages. */
void bench_set_program(const struct bench_program *program);

/* Prints what is wrong with the command line and what it may be, and ends the process. */
void bench_fail_usage(const char *what) __attribute__((noreturn));

/* A decimal number within its bounds, or the end of the process. */
uint64_t bench_parse_number(const char *text, uint64_t min, uint64_t max);

/* Reads MODE and the options behind it. */
void bench_parse(struct bench_options *o, const struct bench_program *program, int argc,
                 char **argv);

/* A socket that does not block, with large buffers. */
int bench_open_socket(void);

/* The same, bound to 127.0.0.1 and the port of an echo or a sink; any port for a source. */
int bench_open_bound(const struct bench_options *o);

/* An address and port in the order of the network. */
struct sockaddr_in bench_make_name(uint32_t host, uint64_t port);

/* Where a source sends: 127.0.0.1 for one peer, else 127.2.0.1 and on. To be freed. */
struct sockaddr_in *bench_make_destinations(const struct bench_options *o);

uint64_t bench_read_clock_ns(void);

/* From here on a signal ends the run, and so do --seconds. */
void bench_catch_stop(const struct bench_options *o);

/* Prints READY with the socket's port, and begins to measure. */
void bench_begin(int fd);

/* Prints RESULT. */
void bench_end(const struct bench_options *o, const struct bench_counts *counts);

/* Returns when the socket takes another datagram, or the end is asked for. */
void bench_wait_writable(int fd);

#ifdef __cplusplus
}
#endif

#endif
