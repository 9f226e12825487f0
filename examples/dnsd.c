/* SPDX-License-Identifier: MIT
 *
 * dnsd: an authoritative DNS server for zone files (RFC 1035), over UDP.
 *
 * Zones are read before anything is opened; an error is told as FILE:LINE:COLUMN. All the protocol
 * is in protocols/dns: zonefile.h makes zones of bytes, server.h answers datagrams, dns_endpoint.h
 * puts that on endpoints of a loop. Everything runs in one thread. What is too long for UDP is cut,
 * and says so: there is no TCP here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <dns/dns_endpoint.h>
#include <dns/zonefile.h>

#include "common/cli.h"
#include "common/report.h"
#include "common/stop.h"
#include "dns_common.h"

enum {
    ZONE_FILE_BYTES_MAX = 64 << 20,
    RECEIVE_BUFFER_BYTES = 1 << 20 /* for bursts; the system may give less */
};

struct daemon {
    struct cli cli;
    const char *zone_file[KIRIM_DNS_ZONE_COUNT_MAX];
    struct cli_list zone_files;
    const char *version;
    struct kirim_loop *loop;
    struct report report;
    struct dns_guard guard;
    struct kirim_dns_zone *zone[KIRIM_DNS_ZONE_COUNT_MAX];
    struct kirim_dns_server server;
    struct kirim_dns_service service[CLI_LISTEN_MAX];
    size_t service_count;
};

/* Zones take their memory from the C library. */
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

static bool add_zone(struct daemon *d, const char *path, struct kirim_dns_zone **zone)
{
    struct kirim_dns_zonefile_options options = KIRIM_DNS_ZONEFILE_OPTIONS_INIT;
    struct kirim_dns_zonefile_error error;
    char name[KIRIM_DNS_NAME_TEXT_BYTES];
    size_t bytes = 0;
    uint8_t *const data = dns_load_file(&d->cli, path, ZONE_FILE_BYTES_MAX, &bytes);
    if (data == NULL) {
        return false;
    }
    options.file = path;
    options.zone.alloc = allocate;
    kirim_err err = kirim_loop_random(d->loop, options.zone.hash_key, sizeof options.zone.hash_key);
    if (err < 0) {
        free(data);
        return cli_fail(&d->cli, err, "random bytes") == CLI_SUCCESS;
    }
    const struct kirim_dns_span text = { data, bytes };
    err = kirim_dns_zonefile_read(text, &options, zone, &error);
    free(data);
    if (err < 0) {
        (void)fprintf(stderr, "%s:%" PRIu32 ":%" PRIu32 ": %s\n", error.file, error.line,
                      error.column, error.text);
        return false;
    }
    err = kirim_dns_server_add(&d->server, *zone);
    if (err < 0) {
        cli_say(&d->cli, "%s: there is another zone of the same name", path);
        return false;
    }
    (void)kirim_dns_name_format(kirim_dns_zone_origin(*zone), name, sizeof name);
    cli_say(&d->cli, "zone %s: %" PRIu32 " records", name, kirim_dns_zone_record_count(*zone));
    return true;
}

static kirim_err listen_on(struct daemon *d, const struct kirim_addr *addr)
{
    struct kirim_dns_service *const service = &d->service[d->service_count];
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.local = *addr;
    options.receive_buffer_bytes = RECEIVE_BUFFER_BYTES;
    const kirim_err err = kirim_dns_service_open(service, d->loop, &d->server, &options);
    if (err < 0) {
        return cli_fail_addr(&d->cli, err, addr);
    }
    d->service_count++;
    report_listening(&d->report, service->endpoint);
    return KIRIM_OK;
}

/* What the server counted; kirim's own counters are in the report. */
static void print_counters(const struct daemon *d)
{
    const struct kirim_dns_server_stats *const stats = &d->server.stats;
    struct kirim_dns_service_stats sum = { 0, 0, 0 };
    for (size_t i = 0; i < d->service_count; i++) {
        sum.too_long += d->service[i].stats.too_long;
        sum.forged += d->service[i].stats.forged;
        sum.unanswered += d->service[i].stats.unanswered;
    }
    cli_say(&d->cli,
            "dns received=%" PRIu64 " answered=%" PRIu64 " dropped=%" PRIu64 " withheld=%" PRIu64
            " truncated=%" PRIu64 " too_long=%" PRIu64 " forged=%" PRIu64 " unanswered=%" PRIu64,
            stats->received, stats->answered, stats->dropped, stats->withheld, stats->truncated,
            sum.too_long, sum.forged, sum.unanswered);
    dns_guard_print(&d->guard);
    dns_rcodes_print(&d->cli, stats->rcode);
}

static int serve(struct daemon *d, bool is_default)
{
    const struct cli *cli = &d->cli;
    for (size_t i = 0; i < d->zone_files.count; i++) {
        if (!add_zone(d, d->zone_file[i], &d->zone[i])) {
            return CLI_FAILURE;
        }
    }
    if (!dns_guard_start(&d->guard, d->loop)) {
        return CLI_FAILURE;
    }
    report_start(&d->report, cli, d->loop);
    if (!stop_catch(d->loop)) {
        return cli_fail(cli, KIRIM_ESYSTEM, "signals");
    }
    for (size_t i = 0; i < cli->listen_count; i++) {
        const kirim_err err = listen_on(d, &cli->listen[i]);
        /* A host without IPv6 is served over IPv4, unless the user named the address. */
        if (err < 0 && !(is_default && err == KIRIM_EAFNOSUPPORT)) {
            return CLI_FAILURE;
        }
    }
    const kirim_err err = kirim_loop_run(d->loop);
    report_end(&d->report);
    if (cli->has_stats) {
        print_counters(d);
    }
    return err < 0 ? cli_fail(cli, err, "the loop ended") : CLI_SUCCESS;
}

static void parse_options(struct daemon *d, int argc, char **argv)
{
    const struct cli_option options[] = {
        { .name = "--zone",
          .value = "FILE",
          .list = &d->zone_files,
          .help = "serve this zone file (RFC 1035); repeatable" },
        { .name = "--version-text",
          .value = "TEXT",
          .text = &d->version,
          .help = "what to tell who asks for version.bind; default: they are refused" },
        DNS_GUARD_OPTIONS(&d->guard),
    };
    const struct cli_program program = {
        .name = "dnsd",
        .summary = "Serves DNS zones over UDP. Without --listen it serves 0.0.0.0:53 and [::]:53;\n"
                   "ports below 1024 need a privilege.",
        .listen_help = "serve this address; repeatable; default: port 53, all addresses",
        .listen_max = CLI_LISTEN_MAX,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    d->zone_files = (struct cli_list){ d->zone_file, 0, KIRIM_DNS_ZONE_COUNT_MAX };
    cli_parse(&d->cli, &program, argc, argv);
    if (d->zone_files.count == 0) {
        cli_fail_usage(&d->cli, "--zone is missing");
    }
    dns_guard_check(&d->guard, &d->cli);
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    struct daemon *const d = &daemon;
    parse_options(d, argc, argv);
    const bool is_default = d->cli.listen_count == 0;
    if (is_default) {
        (void)kirim_addr_parse("0.0.0.0:53", &d->cli.listen[0]);
        (void)kirim_addr_parse("[::]:53", &d->cli.listen[1]);
        d->cli.listen_count = 2;
    }
    kirim_dns_server_init(&d->server);
    d->server.version = d->version;
    d->server.guard = &d->guard.guard;
    const struct kirim_loop_options options = cli_loop_options(&d->cli);
    const kirim_err err = kirim_loop_open(&options, &d->loop);
    if (err < 0) {
        return cli_fail(&d->cli, err, "cannot open a loop");
    }
    const int status = serve(d, is_default);
    stop_release();
    (void)kirim_loop_close(d->loop);
    dns_guard_end(&d->guard);
    for (size_t i = 0; i < d->zone_files.count; i++) {
        kirim_dns_zone_close(d->zone[i]);
    }
    return status;
}
