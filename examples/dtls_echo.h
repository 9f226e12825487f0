/* SPDX-License-Identifier: MIT
 *
 * What the two ends of dtls_echo share: the command line. One thread.
 */
#ifndef EXAMPLES_DTLS_ECHO_H
#define EXAMPLES_DTLS_ECHO_H

#include <dtls/dtls.h>

#include "common/cli.h"
#include "common/report.h"
#include "common/stop.h"

struct dtls_echo {
    struct cli cli;
    struct kirim_addr remote; /* of a client; none: a server */
    const char *connect, *host, *session_file, *text;
    uint64_t count, payload_bytes, timeout_ms, datagram_bytes, session_count_max, idle_s;
    bool is_json, is_logging;
    struct kirim_loop *loop;
    struct kirim_dtls *dtls;
};

/* Both return what main() returns; the loop is open before and after. */
int dtls_echo_serve(struct dtls_echo *p);
int dtls_echo_ask(struct dtls_echo *p);

/* A file's bytes, with a zero behind them, to be freed. NULL: it was said why not. */
void *dtls_echo_read_file(const struct cli *cli, const char *name, size_t *bytes);

/* What the context counted, to stderr. */
void dtls_echo_print_counters(const struct dtls_echo *p);

#endif
