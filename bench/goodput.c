/* SPDX-License-Identifier: MIT
 *
 * The command line, the clock and the counting of the programs that measure goodput: see
 * goodput.h.
 */
#define _GNU_SOURCE
#include "goodput.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const uint64_t NS_PER_SECOND = 1000000000;

static volatile sig_atomic_t is_over;

static void on_signal(int number)
{
    (void)number;
    is_over = 1;
}

bool goodput_is_over(void)
{
    return is_over != 0;
}

uint64_t goodput_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

void goodput_fail(const struct goodput *g, const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", g->program, what);
    exit(EXIT_FAILURE);
}

void goodput_parse(struct goodput *g, int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_signal };
    *g = (struct goodput){ .program = argv[0], .is_server = argc == 4 };
    const int at = g->is_server ? 2 : 3;
    if (argc < 4 || argc > 6 || strcmp(argv[1], g->is_server ? "serve" : "send") != 0) {
        goodput_fail(g, "usage: serve PORT SECONDS | send ADDR PORT SECONDS [WAY]");
    }
    g->addr = g->is_server ? "0.0.0.0" : argv[2];
    g->port = (uint16_t)strtoul(argv[at], NULL, 10);
    g->seconds = argc > at + 1 ? strtoull(argv[at + 1], NULL, 10) : 0;
    g->way = argc > at + 2 ? argv[at + 2] : NULL;
    if (g->port == 0 || g->seconds == 0) {
        goodput_fail(g, "no port, or no time");
    }
    (void)sigaction(SIGTERM, &action, NULL);
}

void goodput_say_ready(const struct goodput *g)
{
    (void)fprintf(stderr, "%s: listening\n", g->program);
}

void goodput_add(struct goodput *g, size_t bytes)
{
    const uint64_t now_ns = goodput_now_ns();
    if (g->first_ns == 0) {
        g->first_ns = now_ns;
    }
    if (now_ns - g->first_ns <= g->seconds * NS_PER_SECOND) {
        g->bytes += bytes;
        g->messages++;
    }
}

void goodput_print(const struct goodput *g)
{
    (void)printf("{\"bytes\": %" PRIu64 ", \"pieces\": %" PRIu64 ", \"seconds\": %" PRIu64 "}\n",
                 g->bytes, g->messages, g->seconds);
}
