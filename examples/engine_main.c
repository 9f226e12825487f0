/* SPDX-License-Identifier: MIT
 *
 * engine: bulk transfers by a foreign protocol engine on one kirim endpoint.
 *
 * The program around engine.c. A server takes what comes and prints the digest of each transfer; a
 * client sends made-up bytes and prints the same. One thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <kirim/kirim.h>

#include "common/cli.h"
#include "common/report.h"
#include "common/stop.h"
#include "engine.h"

enum { BYTES_DEFAULT = 1000000 };

static const uint64_t BYTES_MAX = 1000000000;

struct program {
    struct cli cli;
    struct kirim_addr remote; /* client */
    uint64_t bytes, transfers;
    uint8_t *data;
    uint64_t ended_count, failed_count;
    struct kirim_loop *loop;
    struct engine_io io;
};

/* A transfer has ended; a client that has none left ends too. */
static void on_event(struct engine_io *io, const struct engine_event *event)
{
    static const char *const words[] = { "sent", "received", "failed" };
    struct program *p = io->user;
    char peer[KIRIM_ADDR_TEXT_BYTES];
    const struct kirim_addr addr = engine_io_addr(&event->peer);
    (void)kirim_addr_format(&addr, peer, sizeof peer);
    (void)printf("%s peer=%s bytes=%" PRIu64 " digest=%016" PRIx64 " packets=%" PRIu64
                 " lost=%" PRIu64 " ce=%" PRIu64 "\n",
                 words[event->outcome], peer, event->bytes, event->digest, event->packet_count,
                 event->lost_count, event->ce_count);
    (void)fflush(stdout); /* the lines of a server are read while it runs */
    p->ended_count++;
    p->failed_count += event->outcome == ENGINE_FAILED;
    if (p->data != NULL && p->ended_count == p->transfers) {
        kirim_loop_stop(p->loop);
    }
}

/* Begins all transfers of a client at once, over the one endpoint. */
static int begin(struct program *p)
{
    const struct engine_addr peer = engine_io_from(&p->remote);
    p->data = malloc((size_t)p->bytes + 1);
    for (uint64_t i = 0; p->data != NULL && i < p->bytes; i++) {
        p->data[i] = (uint8_t)((i * 2654435761U) >> 16);
    }
    for (uint64_t i = 0; i < p->transfers; i++) {
        uint64_t id = 0;
        const kirim_err err = kirim_loop_random(p->loop, &id, sizeof id);
        if (err < 0) {
            return cli_fail(&p->cli, err, "random numbers");
        }
        if (p->data == NULL ||
            !engine_send(p->io.engine, id, &peer, p->data, p->bytes, kirim_loop_now(p->loop))) {
            return cli_fail(&p->cli, KIRIM_ENOMEM, "cannot begin a transfer");
        }
    }
    engine_io_pump(&p->io);
    return CLI_SUCCESS;
}

static int run(struct program *p, const struct kirim_addr *at)
{
    struct report report;
    char text[KIRIM_ADDR_TEXT_BYTES];
    (void)kirim_addr_format(at, text, sizeof text);
    p->io.engine = engine_open();
    kirim_err err = p->io.engine == NULL ? KIRIM_ENOMEM : engine_io_open(&p->io, p->loop, at);
    if (err < 0) {
        return cli_fail(&p->cli, err, text);
    }
    if (!stop_catch(p->loop)) {
        return cli_fail(&p->cli, KIRIM_ESYSTEM, "signals");
    }
    report_start(&report, &p->cli, p->loop);
    if (p->cli.operand_count > 0) {
        report_add(&report, p->io.ep);
        if (begin(p) != CLI_SUCCESS) {
            return CLI_FAILURE;
        }
    } else {
        report_listening(&report, p->io.ep);
    }
    err = kirim_loop_run(p->loop);
    report_end(&report);
    const bool is_unfinished = p->data != NULL && p->ended_count < p->transfers;
    return err < 0 ? cli_fail(&p->cli, err, "the loop ended")
           : (p->data != NULL && p->failed_count > 0) || is_unfinished ? CLI_FAILURE
                                                                       : CLI_SUCCESS;
}

static void parse(struct program *p, int argc, char **argv)
{
    const struct cli_option options[] = {
        { .name = "--bytes",
          .value = "N",
          .number = &p->bytes,
          .number_max = BYTES_MAX,
          .help = "client: bytes of each transfer; default: 1000000" },
        { .name = "--transfers",
          .value = "K",
          .number = &p->transfers,
          .number_min = 1,
          .number_max = 16,
          .help = "client: so many at once; default: 1" },
    };
    const struct cli_program program = {
        .name = "engine",
        .operands = "[ADDR:PORT]",
        .summary =
            "Runs a foreign protocol engine on one endpoint. With ADDR:PORT it sends bytes to the\n"
            "server there, without it is the server. Both print a digest of each transfer.",
        .listen_help = "bind this address; default: 127.0.0.1:7009, client: any",
        .listen_max = 1,
        .operand_max = 1,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    p->bytes = BYTES_DEFAULT;
    p->transfers = 1;
    cli_parse(&p->cli, &program, argc, argv);
    if (p->cli.operand_count > 0 && !cli_parse_peer(p->cli.operand[0], &p->remote)) {
        cli_fail_usage(&p->cli, "'%s' is not ADDR:PORT, such as 192.0.2.1:7009", p->cli.operand[0]);
    }
}

int main(int argc, char **argv)
{
    static struct program program;
    struct program *const p = &program;
    parse(p, argc, argv);
    struct kirim_addr at = p->cli.listen[0];
    if (p->cli.listen_count == 0) {
        const bool is_ipv6 = kirim_addr_family(&p->remote) == KIRIM_IPV6;
        const char *any = is_ipv6 ? "[::]:0" : "0.0.0.0:0";
        (void)kirim_addr_parse(p->cli.operand_count == 0 ? "127.0.0.1:7009" : any, &at);
    }
    p->io.on_event = on_event;
    p->io.user = p;
    const struct kirim_loop_options options = cli_loop_options(&p->cli);
    const kirim_err err = kirim_loop_open(&options, &p->loop);
    if (err < 0) {
        return cli_fail(&p->cli, err, "cannot open a loop");
    }
    const int status = run(p, &at);
    stop_release();
    (void)kirim_loop_close(p->loop);
    engine_close(p->io.engine);
    free(p->data);
    return status;
}
