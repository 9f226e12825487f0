/* SPDX-License-Identifier: MIT
 *
 * What --stats prints: one line for each endpoint, every so many seconds and at the end. Owns a
 * timer of the loop; everything runs in the loop's thread.
 */
#ifndef EXAMPLES_COMMON_REPORT_H
#define EXAMPLES_COMMON_REPORT_H

#include "cli.h"

/* The caller's storage; stays put from report_start() until the loop is closed. */
struct report {
    const struct cli *cli;
    struct kirim_loop *loop;
    struct kirim_endpoint *endpoint[CLI_LISTEN_MAX];
    size_t endpoint_count;
    struct kirim_timer timer;
};

/* Begins to report, if the command line asked for it. The endpoints must stay open until
 * report_end(). */
void report_start(struct report *report, const struct cli *cli, struct kirim_loop *loop);

/* One more endpoint, at most CLI_LISTEN_MAX. */
void report_add(struct report *report, struct kirim_endpoint *ep);

/* The same of a server's, and says where it listens: port 0 has become a real one. */
void report_listening(struct report *report, struct kirim_endpoint *ep);

/* Prints the last lines, before the loop is closed. */
void report_end(struct report *report);

#endif
