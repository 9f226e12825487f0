/* SPDX-License-Identifier: MIT
 *
 * tftp: gets a file from a TFTP server, or puts one there (RFC 1350, 2347, 2348, 2349, 7440).
 *
 * The protocol is in protocols/tftp; tftp_endpoint.h puts a transfer on an endpoint. A get writes
 * beside the file and renames at its end, so that there is a whole file or none; then it waits a
 * little for a server that has not heard that all is there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tftp/tftp_endpoint.h>

#include "common/cli.h"
#include "common/stop.h"
#include "files.h"

enum { PATH_BYTES = 1024, GIVE_UP_SECONDS = 30, GIVE_UP_SECONDS_MAX = 86400 };

static const uint64_t NS_PER_SECOND = 1000000000;
static const uint64_t NS_PER_MS = 1000000;
static const uint64_t NS_PER_US = 1000;

struct program {
    struct cli cli;
    struct kirim_loop *loop;
    struct kirim_addr server;
    struct files files;
    struct kirim_tftp_client client;
    struct kirim_tftp_client_options options;
    const char *local;
    char directory[PATH_BYTES]; /* of the local file */
    const char *local_name;     /* in it */
    uint64_t blksize, windowsize, timeout_s, give_up_s, linger_ms;
    bool is_plain, is_text, is_json, is_ended;
};

/* What went, for people or for programs; a failure is told in any case. */
static int print_result(const struct program *p)
{
    const struct kirim_tftp_transfer *const t = &p->client.link.transfer;
    const bool is_done = t->state == KIRIM_TFTP_DONE;
    const uint64_t end_ns = p->client.moved_ns != 0 ? p->client.moved_ns : p->client.started_ns;
    const uint64_t took_us = (end_ns - p->client.started_ns) / NS_PER_US;
    if (p->is_json) {
        (void)printf("{\"done\": %s, \"bytes\": %" PRIu64 ", \"took_us\": %" PRIu64
                     ", \"blksize\": %" PRIu32 ", \"windowsize\": %" PRIu32 ", \"blocks\": %" PRIu64
                     ", \"resent\": %" PRIu64 ", \"timeouts\": %" PRIu64 ", \"code\": %d}\n",
                     is_done ? "true" : "false", t->moved_bytes, took_us, t->agreed.blksize,
                     t->agreed.windowsize, t->stats.blocks, t->stats.resent, t->stats.timeouts,
                     t->err == KIRIM_TFTP_EREMOTE ? t->peer_code : -1);
    } else if (is_done) {
        cli_say(&p->cli, "%" PRIu64 " bytes in %" PRIu64 ".%06" PRIu64 " s", t->moved_bytes,
                took_us / 1000000, took_us % 1000000);
    }
    if (!is_done && t->err == KIRIM_TFTP_EREMOTE) {
        cli_say(&p->cli, "the server says: %s (%s)", t->peer_text,
                kirim_tftp_code_text(t->peer_code));
    } else if (!is_done) {
        cli_say(&p->cli, "%s: %s (%s)", p->options.request.name, kirim_tftp_err_text(t->err),
                kirim_err_name(t->err));
    }
    return is_done ? CLI_SUCCESS : CLI_FAILURE;
}

static void on_done(struct kirim_tftp_client *client)
{
    struct program *const p = client->user;
    p->is_ended = true;
    kirim_loop_stop(p->loop);
}

static int transfer(struct program *p)
{
    if (!stop_catch(p->loop)) {
        return cli_fail(&p->cli, KIRIM_ESYSTEM, "signals");
    }
    p->client = (struct kirim_tftp_client)KIRIM_TFTP_CLIENT_INIT(on_done, p);
    kirim_err err = kirim_tftp_client_start(&p->client, p->loop, &p->server, &p->options);
    if (err < 0) {
        cli_say(&p->cli, "%s: %s (%s)", p->local, kirim_tftp_err_text(err), kirim_err_name(err));
        return CLI_FAILURE;
    }
    err = p->is_ended ? KIRIM_OK : kirim_loop_run(p->loop);
    if (!p->is_ended) {
        kirim_tftp_client_cancel(&p->client); /* the user has had enough: the server is told */
    }
    stop_release();
    (void)kirim_loop_close(p->loop);
    p->loop = NULL;
    return err < 0 ? cli_fail(&p->cli, err, "the loop ended") : print_result(p);
}

/* ---- the command line ------------------------------------------------------------------------ */

/* ADDR:PORT, or ADDR, which is port 69. */
static void parse_server(struct program *p, const char *text)
{
    if (kirim_addr_parse(text, &p->server) < 0) {
        cli_fail_usage(&p->cli, "'%s' is not a numeric address, such as 192.0.2.1:69", text);
    }
    if (kirim_addr_port(&p->server) == 0) {
        kirim_addr_set_port(&p->server, KIRIM_TFTP_PORT);
    }
}

/* The directory of the local file, and its name there. */
static void split_local(struct program *p)
{
    const char *const slash = files_last_separator(p->local);
    const size_t bytes = slash != NULL ? (size_t)(slash - p->local) : 0;
    if (bytes >= sizeof p->directory) {
        cli_fail_usage(&p->cli, "the local file's name is too long");
    }
    memcpy(p->directory, p->local, bytes);
    p->directory[bytes] = '\0';
    if (slash == NULL) {
        p->directory[0] = '.';
        p->directory[1] = '\0';
    } else if (bytes == 0) {
        p->directory[0] = '/';
        p->directory[1] = '\0';
    }
    p->local_name = slash != NULL ? slash + 1 : p->local;
    if (p->local_name[0] == '\0') {
        cli_fail_usage(&p->cli, "'%s' is no name of a file; say --local", p->local);
    }
}

static void fill_options(struct program *p)
{
    struct kirim_tftp_request *const request = &p->options.request;
    const char *const verb = p->cli.operand[0];
    p->options = (struct kirim_tftp_client_options)KIRIM_TFTP_CLIENT_OPTIONS_INIT;
    if (strcmp(verb, "put") == 0) {
        request->kind = KIRIM_TFTP_WRQ;
    } else if (strcmp(verb, "get") != 0) {
        cli_fail_usage(&p->cli, "'%s' is neither get nor put", verb);
    }
    parse_server(p, p->cli.operand[1]);
    request->name = p->cli.operand[2];
    request->mode = p->is_text ? KIRIM_TFTP_NETASCII : KIRIM_TFTP_OCTET;
    request->options.blksize = (uint32_t)p->blksize;
    request->options.windowsize = (uint32_t)p->windowsize;
    request->options.timeout_s = (uint32_t)p->timeout_s;
    request->options.has |= p->timeout_s > 0 ? KIRIM_TFTP_HAS_TIMEOUT : 0;
    if (p->is_plain) {
        request->options.has = 0;
    }
    if (p->local == NULL) {
        const char *const slash = strrchr(request->name, '/');
        p->local = request->kind == KIRIM_TFTP_RRQ && slash != NULL ? slash + 1 : request->name;
    }
    split_local(p);
    p->options.local_name = p->local_name;
    p->options.storage = &p->files.storage;
    p->options.give_up_ns = p->give_up_s * NS_PER_SECOND;
    p->options.linger_ns = p->linger_ms * NS_PER_MS;
}

static void parse_options(struct program *p, int argc, char **argv)
{
    const struct cli_option options[] = {
        { .name = "--local",
          .value = "FILE",
          .text = &p->local,
          .help = "the file here; default: of the same name, in this directory" },
        { .name = "--blksize",
          .value = "N",
          .number = &p->blksize,
          .number_min = KIRIM_TFTP_BLOCK_BYTES_MIN,
          .number_max = KIRIM_TFTP_BLOCK_BYTES_MAX,
          .help = "ask for blocks of so many bytes; default: 1428" },
        { .name = "--windowsize",
          .value = "N",
          .number = &p->windowsize,
          .number_min = 1,
          .number_max = KIRIM_TFTP_OWN_WINDOW_BLOCKS_MAX,
          .help = "ask for so many blocks at a time; default: 16" },
        { .name = "--timeout",
          .value = "S",
          .number = &p->timeout_s,
          .number_min = 1,
          .number_max = KIRIM_TFTP_TIMEOUT_SECONDS_MAX,
          .help = "ask to wait so long before sending again; default: as the path is" },
        { .name = "--no-options", .is_given = &p->is_plain, .help = "ask for none: RFC 1350" },
        { .name = "--netascii",
          .is_given = &p->is_text,
          .help = "a text: its lines end in CR LF on the way" },
        { .name = "--give-up",
          .value = "S",
          .number = &p->give_up_s,
          .number_min = 1,
          .number_max = GIVE_UP_SECONDS_MAX,
          .help = "end if nothing new has come for so long; default: 30" },
        { .name = "--linger-ms",
          .value = "T",
          .number = &p->linger_ms,
          .number_min = 1,
          .number_max = 60000,
          .help = "after a get: repeat the last ACK so long to who asks; default: 1500 and up" },
        { .name = "--json", .is_given = &p->is_json, .help = "print one JSON object" },
    };
    const struct cli_program program = {
        .name = "tftp",
        .operands = "get|put ADDR[:PORT] NAME",
        .summary = "Gets the file NAME from a TFTP server, or puts it there. The default port is\n"
                   "69. A file that is there already is replaced, when the new one is whole.",
        .is_without_stats = true, /* the endpoint is gone when there is something to say */
        .operand_min = 3,
        .operand_max = 3,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    p->blksize = 1428;
    p->windowsize = 16;
    p->give_up_s = GIVE_UP_SECONDS;
    cli_parse(&p->cli, &program, argc, argv);
    fill_options(p);
}

int main(int argc, char **argv)
{
    static struct program program;
    struct program *const p = &program;
    parse_options(p, argc, argv);
    if (!files_open(&p->files, p->directory)) {
        cli_say(&p->cli, "%s: not a directory that can be read", p->directory);
        return CLI_FAILURE;
    }
    p->files.is_overwriting = true;
    const struct kirim_loop_options options = cli_loop_options(&p->cli);
    const kirim_err err = kirim_loop_open(&options, &p->loop);
    if (err < 0) {
        return cli_fail(&p->cli, err, "cannot open a loop");
    }
    const int status = transfer(p);
    stop_release();
    (void)kirim_loop_close(p->loop);
    files_close(&p->files);
    return status;
}
