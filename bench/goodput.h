/* SPDX-License-Identifier: MIT
 *
 * What the programs that measure goodput share: their command line, how long they send, and what
 * arrives in that time. One thread.
 *
 *     PROGRAM serve PORT SECONDS              counts from the first byte on, for so long; prints
 *                                             one JSON object at SIGTERM
 *     PROGRAM send ADDR PORT SECONDS [WAY]    sends messages until the time is over, and then some
 */
#ifndef BENCH_GOODPUT_H
#define BENCH_GOODPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GOODPUT_MESSAGE_BYTES = 16384, GOODPUT_TAIL_SECONDS = 1 };

struct goodput {
    const char *program, *addr, *way; /* `way` NULL: none was given */
    uint16_t port;
    uint64_t seconds;
    bool is_server;
    uint64_t first_ns, bytes, messages;
};

/* Ends the program if the words are wrong. From now on SIGTERM is noted. */
void goodput_parse(struct goodput *g, int argc, char **argv);

uint64_t goodput_now_ns(void);

/* The server waits for its peer: the other side may begin. */
void goodput_say_ready(const struct goodput *g);

/* So many bytes have arrived. */
void goodput_add(struct goodput *g, size_t bytes);
void goodput_print(const struct goodput *g);

/* SIGTERM has come. */
bool goodput_is_over(void);

/* Ends the program with what went wrong. */
_Noreturn void goodput_fail(const struct goodput *g, const char *what);

#endif
