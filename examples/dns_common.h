/* SPDX-License-Identifier: MIT
 *
 * What the programs that answer DNS questions share: files read whole, counters of their answers,
 * and the guard that --cookies and --rrl ask for, with its keys, its clock and its counters.
 * Everything runs in the loop's thread.
 */
#ifndef EXAMPLES_DNS_COMMON_H
#define EXAMPLES_DNS_COMMON_H

#include <dns/guard.h>

#include "common/cli.h"

/* A guard with what it needs; the caller's storage, zero at first, put until dns_guard_end(). */
struct dns_guard {
    const char *mode; /* as the command line says it */
    const char *secret_file;
    uint64_t rrl, rrl_slip;
    bool is_rrl, is_slip;
    struct kirim_dns_guard guard;
    struct kirim_limiter limiter;
    struct kirim_limiter_slot *slots;
    const struct cli *cli;
    struct kirim_loop *loop;
    struct kirim_timer timer; /* the clock and the keys are looked at anew */
    uint64_t rotation_ns;     /* when the next key of our own is made */
};

/* The options of a guard, to stand among those of a program. */
/* clang-format off */
#define DNS_GUARD_OPTIONS(g)                                                                       \
    { .name = "--cookies", .value = "MODE", .text = &(g)->mode,                                    \
      .help = "DNS cookies: off, on, or require: answer good ones only; default: on" },            \
    { .name = "--cookie-secret-file", .value = "FILE", .text = &(g)->secret_file,                  \
      .help = "one or two keys of 32 hexadecimal digits; default: random ones" },                  \
    { .name = "--rrl", .value = "N", .number = &(g)->rrl,                                          \
      .number_min = 1, .number_max = 1000000, .is_given = &(g)->is_rrl,                            \
      .help = "identical answers a second to a /24 or /56 without good cookies; default: any" },   \
    { .name = "--rrl-slip", .value = "N", .number = &(g)->rrl_slip,                                \
      .number_max = 100, .is_given = &(g)->is_slip,                                                \
      .help = "of what is over that, answer every Nth shortly; 0: none; default: 2" }
/* clang-format on */

/* Checks what the command line said; wrong usage ends the program. */
void dns_guard_check(struct dns_guard *g, const struct cli *cli);

/* Makes keys and limits; `guard` is ready then. False: it was said why. */
bool dns_guard_start(struct dns_guard *g, struct kirim_loop *loop);

/* Gives memory back, after the loop was closed. */
void dns_guard_end(struct dns_guard *g);

/* What the guard counted, as a line of the log. */
void dns_guard_print(const struct dns_guard *g);

/* How often each of the KIRIM_DNS_RCODE_COUNT codes was answered, a line for each that was. */
void dns_rcodes_print(const struct cli *cli, const uint64_t *rcode);

/* The bytes of a file, to be freed; NULL if it cannot be read or has more than `bytes_max`, which
 * was said then. */
uint8_t *dns_load_file(const struct cli *cli, const char *path, size_t bytes_max, size_t *bytes);

#endif
