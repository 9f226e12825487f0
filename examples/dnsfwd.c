/* SPDX-License-Identifier: MIT
 *
 * dnsfwd: a caching DNS forwarder over UDP.
 *
 * Whoever asks gets the answer from the cache, or from one of the servers that --upstream names;
 * equal questions are asked once, each from a port of its own. All the protocol is in
 * protocols/dns: forwarder.h is the state machine, forward_endpoint.h puts it on a loop. Everything
 * runs in one thread. What is too long for UDP is cut, and says so: there is no TCP here.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <dns/forward_endpoint.h>

#include "common/cli.h"
#include "common/report.h"
#include "common/stop.h"
#include "dns_common.h"

enum { RECEIVE_BUFFER_BYTES = 1 << 20 /* for bursts; the system may give less */ };

static const uint64_t NS_PER_MS = 1000000;

struct daemon {
    struct cli cli;
    const char *upstream;
    uint64_t cache_bytes, pending, timeout_ms, retries;
    bool is_without_cookies;
    struct kirim_loop *loop;
    struct report report;
    struct dns_guard guard;
    struct kirim_dns_forward_options options;
    struct kirim_dns_forward forward;
    struct kirim_dns_forward_port port[CLI_LISTEN_MAX];
    size_t port_count;
};

/* The cache takes its memory from the C library. */
static void *allocate(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    (void)user;
    (void)old_bytes;
    if (new_bytes == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_bytes);
}

static kirim_err listen_on(struct daemon *d, const struct kirim_addr *addr)
{
    struct kirim_dns_forward_port *const port = &d->port[d->port_count];
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.local = *addr;
    options.receive_buffer_bytes = RECEIVE_BUFFER_BYTES;
    const kirim_err err = kirim_dns_forward_listen(port, &d->forward, &options);
    if (err < 0) {
        return cli_fail_addr(&d->cli, err, addr);
    }
    d->port_count++;
    report_listening(&d->report, port->endpoint);
    return KIRIM_OK;
}

/* What was counted; kirim's own counters are in the report. */
static void print_counters(const struct daemon *d)
{
    const struct kirim_dns_forwarder_stats *const stats =
        kirim_dns_forwarder_stats(d->forward.forwarder);
    const struct kirim_dns_cache_stats *const cache =
        kirim_dns_forwarder_cache_stats(d->forward.forwarder);
    const struct kirim_dns_forward_stats *const outer = &d->forward.stats;
    cli_say(&d->cli,
            "dns received=%" PRIu64 " answered=%" PRIu64 " dropped=%" PRIu64 " withheld=%" PRIu64
            " truncated=%" PRIu64 " too_long=%" PRIu64 " forged=%" PRIu64 " unanswered=%" PRIu64,
            stats->received, stats->answered, stats->dropped, stats->withheld, stats->truncated,
            outer->too_long, outer->forged, outer->unanswered);
    cli_say(&d->cli,
            "cache hits=%" PRIu64 " misses=%" PRIu64 " coalesced=%" PRIu64 " repeated=%" PRIu64
            " refused=%" PRIu64 " displaced=%" PRIu64 " crowded=%" PRIu64 " entries=%" PRIu64
            " bytes=%" PRIu64 " stored=%" PRIu64 " evicted=%" PRIu64 " expired=%" PRIu64,
            stats->hits, stats->misses, stats->coalesced, stats->repeated, stats->refused,
            stats->displaced, stats->crowded, cache->entry_count, cache->bytes, cache->stored,
            cache->evicted, cache->expired);
    cli_say(&d->cli,
            "upstream asked=%" PRIu64 " answered=%" PRIu64 " failed=%" PRIu64 " unusable=%" PRIu64
            " wrong_peer=%" PRIu32 " wrong_id=%" PRIu32 " malformed=%" PRIu32
            " wrong_question=%" PRIu32 " wrong_cookie=%" PRIu32 " gave_way=%" PRIu64,
            outer->asked, outer->answered, stats->failed, stats->malformed, outer->ignored.peer,
            outer->ignored.id, outer->ignored.malformed, outer->ignored.question,
            outer->ignored.cookie, outer->gave_way);
    dns_guard_print(&d->guard);
    dns_rcodes_print(&d->cli, stats->rcode);
}

static int serve(struct daemon *d, bool is_default)
{
    const struct cli *cli = &d->cli;
    if (!dns_guard_start(&d->guard, d->loop)) {
        return CLI_FAILURE;
    }
    kirim_err err = kirim_dns_forward_open(&d->forward, d->loop, &d->options);
    if (err < 0) {
        return cli_fail(cli, err, "cannot open the forwarder");
    }
    report_start(&d->report, cli, d->loop);
    if (!stop_catch(d->loop)) {
        return cli_fail(cli, KIRIM_ESYSTEM, "signals");
    }
    for (size_t i = 0; i < cli->listen_count; i++) {
        err = listen_on(d, &cli->listen[i]);
        /* A host without IPv6 is served over IPv4, unless the user named the address. */
        if (err < 0 && !(is_default && err == KIRIM_EAFNOSUPPORT)) {
            return CLI_FAILURE;
        }
    }
    err = kirim_loop_run(d->loop);
    report_end(&d->report);
    if (cli->has_stats) {
        print_counters(d);
    }
    return err < 0 ? cli_fail(cli, err, "the loop ended") : CLI_SUCCESS;
}

/* ---- the command line ------------------------------------------------------------------------ */

/* Addresses between commas; a port that is not given is 53. */
static void parse_upstream(struct daemon *d)
{
    const char *at = d->upstream;
    while (at != NULL) {
        const size_t bytes = strcspn(at, ",");
        char text[KIRIM_ADDR_TEXT_BYTES];
        struct kirim_addr addr;
        if (d->options.server_count == KIRIM_DNS_QUERY_SERVER_COUNT_MAX) {
            cli_fail_usage(&d->cli, "--upstream: at most %d", KIRIM_DNS_QUERY_SERVER_COUNT_MAX);
        }
        const size_t kept = bytes < sizeof text ? bytes : sizeof text - 1;
        memcpy(text, at, kept);
        text[kept] = '\0';
        if (kirim_addr_parse(text, &addr) < 0 || kirim_addr_is_wildcard(&addr) ||
            kirim_addr_is_multicast(&addr)) {
            cli_fail_usage(&d->cli, "'%s' is not the numeric address of a server", text);
        }
        if (kirim_addr_port(&addr) == 0) {
            kirim_addr_set_port(&addr, 53);
        }
        d->options.server[d->options.server_count++] = addr;
        at = at[bytes] == ',' ? at + bytes + 1 : NULL;
    }
}

static void use_options(struct daemon *d)
{
    if (d->upstream == NULL) {
        cli_fail_usage(&d->cli, "--upstream is missing");
    }
    dns_guard_check(&d->guard, &d->cli);
    d->options = (struct kirim_dns_forward_options)KIRIM_DNS_FORWARD_OPTIONS_INIT;
    parse_upstream(d);
    d->options.timeout_ns = d->timeout_ms * NS_PER_MS;
    d->options.try_count = (uint32_t)d->retries + 1;
    d->options.is_without_cookies = d->is_without_cookies;
    d->options.forwarder.alloc = allocate;
    d->options.forwarder.cache_bytes = (size_t)d->cache_bytes;
    d->options.forwarder.pending_max = (uint32_t)d->pending;
    if (d->options.forwarder.waiter_max < d->options.forwarder.pending_max) {
        d->options.forwarder.waiter_max = d->options.forwarder.pending_max; /* who asked first */
    }
    d->options.forwarder.guard = &d->guard.guard;
}

static void parse_options(struct daemon *d, int argc, char **argv)
{
    const struct cli_option options[] = {
        { .name = "--upstream",
          .value = "ADDR,...",
          .text = &d->upstream,
          .help = "the servers to ask, at most 4; without a port: 53" },
        { .name = "--cache-bytes",
          .value = "MEMORY",
          .number = &d->cache_bytes,
          .number_min = KIRIM_DNS_CACHE_BYTES_MIN,
          .number_max = UINT64_C(1) << 30,
          .help = "bytes of the cache; default: 4194304" },
        { .name = "--pending",
          .value = "N",
          .number = &d->pending,
          .number_min = 1,
          .number_max = 65536,
          .help = "questions under way at a time, each has a socket; default: 512" },
        { .name = "--timeout-ms",
          .value = "T",
          .number = &d->timeout_ms,
          .number_min = 1,
          .number_max = 60000,
          .help = "wait so long for the first try, twice as long for each further; default: 2000" },
        { .name = "--retries",
          .value = "R",
          .number = &d->retries,
          .number_max = KIRIM_DNS_QUERY_TRY_COUNT_MAX - 1,
          .help = "ask all servers again so often; default: 2" },
        { .name = "--no-upstream-cookie",
          .is_given = &d->is_without_cookies,
          .help = "ask the servers without DNS cookies" },
        DNS_GUARD_OPTIONS(&d->guard),
    };
    const struct cli_program program = {
        .name = "dnsfwd",
        .summary =
            "Answers DNS questions over UDP with what other servers say, and keeps it. Without\n"
            "--listen it serves 127.0.0.1:53 and [::1]:53; ports below 1024 need a privilege.",
        .listen_help = "serve this address; repeatable; default: port 53, loopback",
        .listen_max = CLI_LISTEN_MAX,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    d->cache_bytes = 4U << 20;
    d->pending = 512;
    d->timeout_ms = 2000;
    d->retries = 2;
    cli_parse(&d->cli, &program, argc, argv);
    use_options(d);
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    struct daemon *const d = &daemon;
    parse_options(d, argc, argv);
    const bool is_default = d->cli.listen_count == 0;
    if (is_default) {
        (void)kirim_addr_parse("127.0.0.1:53", &d->cli.listen[0]);
        (void)kirim_addr_parse("[::1]:53", &d->cli.listen[1]);
        d->cli.listen_count = 2;
    }
    const struct kirim_loop_options options = cli_loop_options(&d->cli);
    const kirim_err err = kirim_loop_open(&options, &d->loop);
    if (err < 0) {
        return cli_fail(&d->cli, err, "cannot open a loop");
    }
    const int status = serve(d, is_default);
    stop_release();
    (void)kirim_loop_close(d->loop);
    kirim_dns_forward_close(&d->forward);
    dns_guard_end(&d->guard);
    return status;
}
