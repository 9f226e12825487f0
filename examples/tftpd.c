/* SPDX-License-Identifier: MIT
 *
 * tftpd: a TFTP server for the files of one directory (RFC 1350, 2347, 2348, 2349, 7440).
 *
 * All the protocol is in protocols/tftp: server.h answers requests, transfer.h moves a file,
 * tftp_endpoint.h puts that on endpoints of a loop, one for each transfer. The files are those of
 * files.h. Everything runs in one thread, reading and writing of files too.
 */
#include <inttypes.h>
#include <stdio.h>

#include <tftp/tftp_endpoint.h>

#include "common/cli.h"
#include "common/report.h"
#include "common/stop.h"
#include "files.h"

enum {
    RECEIVE_BUFFER_BYTES = 1 << 20, /* for bursts of requests; the system may give less */
    TRANSFER_COUNT_MAX = 65536,
    LIMITER_SLOT_COUNT = 1024, /* prefixes that are told apart within a second */
    RATE_MAX = 1000000
};

struct daemon {
    struct cli cli;
    const char *root;
    bool is_writable, is_overwriting, is_fragmenting, is_logging;
    uint64_t transfer_count_max, prefix_count_max, rate, upload_bytes_max, blksize_max,
        windowsize_max;
    struct kirim_loop *loop;
    struct report report;
    struct files files;
    struct kirim_tftp_server server;
    struct kirim_limiter limiter;
    struct kirim_limiter_slot slots[LIMITER_SLOT_COUNT];
    struct kirim_tftp_service service[CLI_LISTEN_MAX];
    size_t service_count;
};

/* A transfer has ended: one line, if the user wants to see it. */
static void on_ended(struct kirim_tftp_service *service, const struct kirim_tftp_transfer *t,
                     const struct kirim_addr *peer)
{
    const struct daemon *const d = service->user;
    char text[KIRIM_ADDR_TEXT_BYTES];
    if (!d->is_logging) {
        return;
    }
    (void)kirim_addr_format(peer, text, sizeof text);
    const char *end = "done";
    if (t->err == KIRIM_TFTP_EREMOTE) {
        end = t->peer_text;
    } else if (t->state == KIRIM_TFTP_FAILED) {
        end = kirim_tftp_err_text(t->err);
    }
    cli_say(&d->cli,
            "%s peer=%s bytes=%" PRIu64 " blksize=%" PRIu32 " windowsize=%" PRIu32
            " blocks=%" PRIu64 " resent=%" PRIu64 " timeouts=%" PRIu64 ": %s",
            t->request.kind == KIRIM_TFTP_RRQ ? "sent" : "received", text, t->moved_bytes,
            t->agreed.blksize, t->agreed.windowsize, t->stats.blocks, t->stats.resent,
            t->stats.timeouts, end);
}

static kirim_err listen_on(struct daemon *d, const struct kirim_addr *addr)
{
    struct kirim_tftp_service *const service = &d->service[d->service_count];
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    kirim_tftp_service_init(service, &d->server);
    service->transfer_count_max = (uint32_t)d->transfer_count_max;
    service->prefix_count_max = (uint32_t)d->prefix_count_max;
    service->limiter = d->rate != 0 ? &d->limiter : NULL;
    service->is_fragmenting = d->is_fragmenting;
    service->ended = on_ended;
    service->user = d;
    options.local = *addr;
    options.receive_buffer_bytes = RECEIVE_BUFFER_BYTES;
    const kirim_err err = kirim_tftp_service_open(service, d->loop, &options);
    if (err < 0) {
        return cli_fail_addr(&d->cli, err, addr);
    }
    d->service_count++;
    report_listening(&d->report, service->endpoint);
    return KIRIM_OK;
}

/* What the services counted; kirim's own counters are in the report. */
static void print_counters(const struct daemon *d)
{
    struct kirim_tftp_service_stats sum = { 0 };
    for (size_t i = 0; i < d->service_count; i++) {
        const struct kirim_tftp_service_stats *const stats = &d->service[i].stats;
        sum.accepted += stats->accepted;
        sum.refused += stats->refused;
        sum.duplicates += stats->duplicates;
        sum.dropped += stats->dropped;
        sum.limited += stats->limited;
        sum.forged += stats->forged;
        sum.strangers += stats->strangers;
        sum.done += stats->done;
        sum.failed += stats->failed;
        sum.sent_bytes += stats->sent_bytes;
        sum.received_bytes += stats->received_bytes;
    }
    cli_say(&d->cli,
            "tftp accepted=%" PRIu64 " refused=%" PRIu64 " duplicates=%" PRIu64 " dropped=%" PRIu64
            " limited=%" PRIu64 " forged=%" PRIu64 " strangers=%" PRIu64 " done=%" PRIu64
            " failed=%" PRIu64 " sent_bytes=%" PRIu64 " received_bytes=%" PRIu64,
            sum.accepted, sum.refused, sum.duplicates, sum.dropped, sum.limited, sum.forged,
            sum.strangers, sum.done, sum.failed, sum.sent_bytes, sum.received_bytes);
}

/* As many at once as in a second. */
static kirim_err start_limiter(struct daemon *d)
{
    struct kirim_limiter_options options = KIRIM_LIMITER_OPTIONS_INIT;
    const kirim_err err = kirim_loop_random(d->loop, options.key, sizeof options.key);
    options.rate = (struct kirim_rate){ (uint32_t)d->rate, (uint32_t)d->rate };
    options.slots = d->slots;
    options.slot_count = LIMITER_SLOT_COUNT;
    return err < 0 ? err : kirim_limiter_init(&d->limiter, &options);
}

static int serve(struct daemon *d, bool is_default)
{
    const struct cli *cli = &d->cli;
    report_start(&d->report, cli, d->loop);
    if (!stop_catch(d->loop)) {
        return cli_fail(cli, KIRIM_ESYSTEM, "signals");
    }
    kirim_err err = start_limiter(d);
    if (err < 0) {
        return cli_fail(cli, err, "random numbers");
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
    for (size_t i = 0; i < d->service_count; i++) {
        kirim_tftp_service_close(&d->service[i]); /* those under way are told */
    }
    return err < 0 ? cli_fail(cli, err, "the loop ended") : CLI_SUCCESS;
}

static void check_options(const struct daemon *d)
{
    if (d->root == NULL) {
        cli_fail_usage(&d->cli, "--root is missing");
    }
    if (!d->is_writable && (d->is_overwriting || d->upload_bytes_max != KIRIM_NEVER)) {
        cli_fail_usage(&d->cli, "--overwrite and --upload-bytes-max need --write");
    }
}

static void parse_options(struct daemon *d, int argc, char **argv)
{
    const struct cli_option options[] = {
        { .name = "--root",
          .value = "DIR",
          .text = &d->root,
          .help = "serve the files of this directory; nothing outside of it is reached" },
        { .name = "--write",
          .is_given = &d->is_writable,
          .help = "take new files too, from everybody" },
        { .name = "--overwrite",
          .is_given = &d->is_overwriting,
          .help = "with --write: files that are there may be replaced" },
        { .name = "--upload-bytes-max",
          .value = "N",
          .number = &d->upload_bytes_max,
          .number_max = UINT64_MAX,
          .help = "take no longer file; default: what the disk has room for" },
        { .name = "--transfers-max",
          .value = "N",
          .number = &d->transfer_count_max,
          .number_min = 1,
          .number_max = TRANSFER_COUNT_MAX,
          .help = "so many transfers at once for each --listen; default: 1024" },
        { .name = "--prefix-transfers-max",
          .value = "N",
          .number = &d->prefix_count_max,
          .number_max = TRANSFER_COUNT_MAX,
          .help = "of these, from one IPv4 /24 or IPv6 /56; 0: no cap; default: 512" },
        { .name = "--prefix-rate",
          .value = "N",
          .number = &d->rate,
          .number_min = 1,
          .number_max = RATE_MAX,
          .help = "hear no more requests a second from there; default: all" },
        { .name = "--blksize-max",
          .value = "N",
          .number = &d->blksize_max,
          .number_min = KIRIM_TFTP_BLOCK_BYTES_MIN,
          .number_max = KIRIM_TFTP_BLOCK_BYTES_MAX,
          .help = "agree to no larger blocks" },
        { .name = "--windowsize-max",
          .value = "N",
          .number = &d->windowsize_max,
          .number_min = 1,
          .number_max = KIRIM_TFTP_OWN_WINDOW_BLOCKS_MAX,
          .help = "agree to no larger windows; default: 64" },
        { .name = "--fragments",
          .is_given = &d->is_fragmenting,
          .help = "agree to blocks that the path carries in fragments only" },
        { .name = "--log", .is_given = &d->is_logging, .help = "tell how each transfer ended" },
    };
    const struct cli_program program = {
        .name = "tftpd",
        .summary = "Serves files over TFTP. Without --listen it serves 0.0.0.0:69 and [::]:69;\n"
                   "ports below 1024 need a privilege.",
        .listen_help = "serve this address; repeatable; default: port 69, all addresses",
        .listen_max = CLI_LISTEN_MAX,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    d->transfer_count_max = KIRIM_TFTP_TRANSFER_COUNT;
    d->prefix_count_max = KIRIM_TFTP_PREFIX_COUNT;
    d->upload_bytes_max = KIRIM_NEVER;
    d->blksize_max = d->server.blksize_max;
    d->windowsize_max = d->server.windowsize_max;
    cli_parse(&d->cli, &program, argc, argv);
    check_options(d);
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    struct daemon *const d = &daemon;
    kirim_tftp_server_init(&d->server, &d->files.storage);
    parse_options(d, argc, argv);
    const bool is_default = d->cli.listen_count == 0;
    if (is_default) {
        (void)kirim_addr_parse("0.0.0.0:69", &d->cli.listen[0]);
        (void)kirim_addr_parse("[::]:69", &d->cli.listen[1]);
        d->cli.listen_count = 2;
    }
    if (!files_open(&d->files, d->root)) {
        cli_say(&d->cli, "%s: not a directory that can be read", d->root);
        return CLI_FAILURE;
    }
    d->files.is_overwriting = d->is_overwriting;
    d->server.is_writable = d->is_writable;
    d->server.upload_bytes_max = d->upload_bytes_max;
    d->server.blksize_max = (uint32_t)d->blksize_max;
    d->server.windowsize_max = (uint32_t)d->windowsize_max;
    const struct kirim_loop_options options = cli_loop_options(&d->cli);
    const kirim_err err = kirim_loop_open(&options, &d->loop);
    if (err < 0) {
        return cli_fail(&d->cli, err, "cannot open a loop");
    }
    const int status = serve(d, is_default);
    stop_release();
    (void)kirim_loop_close(d->loop);
    if (d->cli.has_stats) {
        print_counters(d);
    }
    files_close(&d->files);
    return status;
}
