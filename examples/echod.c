/* SPDX-License-Identifier: MIT
 *
 * echod: a UDP echo server (RFC 862). Whatever arrives goes back to where it came from.
 *
 * A first program on kirim: open a loop, open an endpoint on each address, run until the user
 * ends it. A service manager may have opened the sockets before (--activated): then the endpoints
 * adopt them. Everything runs in one thread. The command line, the signals and the statistics are
 * in common/, as all example programs share them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <kirim/kirim.h>

#include "common/cli.h"
#include "common/report.h"
#include "common/stop.h"

/* What the server counts itself; kirim counts the rest (--stats). */
struct server {
    const struct cli *cli;
    struct report report;
    uint64_t ignored_count;    /* would have been answered to another server */
    uint64_t unanswered_count; /* found the send queue full */
    bool is_full_told;
    bool is_activated; /* --activated was given */
};

/* Two echo servers would play one forged datagram back and forth for ever. So what comes from a
 * port where servers live is not answered: those below 1024, and the port that we serve. */
static bool is_from_server(const struct kirim_datagram *d, uint16_t own_port)
{
    const uint16_t port = kirim_addr_port(&d->peer);
    return port < 1024 || port == own_port;
}

/* Datagrams arrived: up to 64 in one call. They are lent to us until we return; a reply sends them
 * back from where they lie, without a copy, and they leave together at the end of the turn. */
static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct server *server = (struct server *)user;
    const struct kirim_addr local = kirim_endpoint_local(ep);
    const uint16_t own_port = kirim_addr_port(&local);
    size_t first = 0;
    while (first < batch->count) {
        size_t end = first;
        while (end < batch->count && !is_from_server(kirim_batch_at(batch, end), own_port)) {
            end++;
        }
        const size_t count = end - first;
        size_t accepted_count = 0;
        if (count > 0 &&
            kirim_endpoint_reply(ep, kirim_batch_at(batch, first), count, &accepted_count) < 0) {
            /* The network is slower than our peers. An echo server has nothing to keep for later:
             * UDP permits loss. But it is counted, so that the loss can be seen. */
            server->unanswered_count += count - accepted_count;
        }
        server->ignored_count += end < batch->count ? 1 : 0;
        first = end + 1;
    }
}

/* The queue that was full has room again. A program that had kept something would send it now. */
static void on_writable(struct kirim_endpoint *ep, void *user)
{
    struct server *server = (struct server *)user;
    (void)ep;
    if (!server->is_full_told) { /* once: a line each time would make it worse */
        server->is_full_told = true;
        cli_say(server->cli, "the send queue was full: %" PRIu64 " not answered so far",
                server->unanswered_count);
    }
}

static const struct kirim_handler handler = {
    KIRIM_HANDLER_INIT,
    .received = on_received,
    .writable = on_writable,
};

/* Opens an endpoint as `options` say; `what` names it if it fails. */
static kirim_err open_endpoint(struct kirim_loop *loop, struct kirim_endpoint_options *options,
                               const char *what, struct server *server)
{
    struct kirim_endpoint *ep = NULL;
    options->handler = &handler;
    options->user = server;
    const kirim_err err = kirim_endpoint_open(loop, options, &ep);
    if (err < 0) {
        (void)cli_fail(server->cli, err, what);
        return err;
    }
    report_listening(&server->report, ep);
    return KIRIM_OK;
}

static kirim_err listen_on(struct kirim_loop *loop, const struct kirim_addr *addr,
                           struct server *server)
{
    char text[KIRIM_ADDR_TEXT_BYTES];
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.local = *addr;
    (void)kirim_addr_format(addr, text, sizeof text);
    return open_endpoint(loop, &options, text, server);
}

/* Adopts the sockets that a service manager has handed over. One that cannot echo, a stream say, is
 * a mistake of the manager's configuration, which is better told than served around. */
static kirim_err adopt_all(struct kirim_loop *loop, struct server *server)
{
    const size_t count = kirim_activation_count();
    if (count == 0) {
        (void)cli_fail(server->cli, KIRIM_ENOENT, "no socket was handed over (LISTEN_FDS)");
        return KIRIM_ENOENT;
    }
    for (size_t i = 0; i < count; i++) {
        char what[64 + KIRIM_ACTIVATION_NAME_BYTES];
        char name[KIRIM_ACTIVATION_NAME_BYTES];
        struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
        options.flags = KIRIM_ENDPOINT_ADOPT;
        if (kirim_activation_name(i, name, sizeof name) < 0) {
            name[0] = 0; /* not every manager gives names */
        }
        kirim_err err = kirim_activation_descriptor(i, &options.adopt);
        (void)snprintf(what, sizeof what, "descriptor %d (%s)", (int)options.adopt, name);
        err = err < 0 ? err : open_endpoint(loop, &options, what, server);
        if (err < 0) {
            return err;
        }
    }
    return KIRIM_OK;
}

static int serve(struct server *server, bool is_default, struct kirim_loop *loop)
{
    const struct cli *cli = server->cli;
    report_start(&server->report, cli, loop);
    if (!stop_catch(loop)) {
        return cli_fail(cli, KIRIM_ESYSTEM, "signals");
    }
    if (server->is_activated && adopt_all(loop, server) < 0) {
        return CLI_FAILURE;
    }
    for (size_t i = 0; i < cli->listen_count; i++) {
        const kirim_err err = listen_on(loop, &cli->listen[i], server);
        /* A host without IPv6 is served over IPv4, unless the user named the address. */
        if (err < 0 && !(is_default && err == KIRIM_EAFNOSUPPORT)) {
            return CLI_FAILURE;
        }
    }
    const kirim_err err = kirim_loop_run(loop);
    report_end(&server->report);
    if (server->unanswered_count + server->ignored_count > 0) {
        cli_say(cli, "not answered: %" PRIu64 " (queue full), %" PRIu64 " (from a server's port)",
                server->unanswered_count, server->ignored_count);
    }
    return err < 0 ? cli_fail(cli, err, "the loop ended") : CLI_SUCCESS;
}

int main(int argc, char **argv)
{
    struct cli cli;
    struct server server = { .cli = &cli };
    const struct cli_option options[] = {
        { .name = "--activated",
          .is_given = &server.is_activated,
          .help = "serve the sockets that a service manager handed over (LISTEN_FDS)" },
    };
    const struct cli_program program = {
        .name = "echod",
        .summary =
            "Sends every UDP datagram back to where it came from (RFC 862). Without --listen and\n"
            "--activated it serves 0.0.0.0:7 and [::]:7; ports below 1024 need a privilege.\n"
            "What comes from a port below 1024, or the own one, is not answered: another server\n"
            "may be there, and the two would never end.",
        .listen_help = "serve this address; repeatable; default: port 7, all addresses",
        .listen_max = CLI_LISTEN_MAX,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    cli_parse(&cli, &program, argc, argv);
    const bool is_default = cli.listen_count == 0 && !server.is_activated;
    if (is_default) {
        (void)kirim_addr_parse("0.0.0.0:7", &cli.listen[0]);
        (void)kirim_addr_parse("[::]:7", &cli.listen[1]);
        cli.listen_count = 2;
    }
    struct kirim_loop *loop = NULL;
    const struct kirim_loop_options loop_options = cli_loop_options(&cli);
    const kirim_err err = kirim_loop_open(&loop_options, &loop);
    if (err < 0) {
        return cli_fail(&cli, err, "cannot open a loop");
    }
    const int status = serve(&server, is_default, loop);
    stop_release();
    (void)kirim_loop_close(loop);
    return status;
}
