/* SPDX-License-Identifier: MIT
 *
 * relay: hands UDP datagrams on to a server and its answers back, whatever they carry; relay.h does
 * all of it. One thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/cli.h"
#include "common/descriptors.h"
#include "common/report.h"
#include "common/stop.h"
#include "relay.h"
#include "relay_report.h"

enum {
    RECEIVE_BUFFER_BYTES = 1 << 20, /* for bursts of all peers together; the system may give less */
    DESCRIPTORS_BESIDE = 96,        /* those of the loop, and sockets that are still closing */
    IDLE_SECONDS = 120,             /* RFC 4787, REQ-5 */
    IDLE_SECONDS_MAX = 86400
};

static const uint64_t NS_PER_SECOND = 1000000000;

struct program {
    struct cli cli;
    const char *to_text;
    struct kirim_addr to;
    uint64_t idle_seconds, peer_count_max, new_per_second, amplification;
    bool is_fragmenting, is_unmarked, is_logging;
    struct kirim_loop *loop;
    struct report report;
    struct kirim_timer timer; /* prints what the report does not know of */
    struct relay relay[CLI_LISTEN_MAX];
    size_t relay_count;
};

/* ---- what is printed ------------------------------------------------------------------------- */

static void on_peer(struct relay *relay, const struct kirim_addr *peer, int end)
{
    const struct program *const p = relay->options.user;
    char text[KIRIM_ADDR_TEXT_BYTES];
    (void)kirim_addr_format(peer, text, sizeof text);
    if (end < 0) {
        cli_say(&p->cli, "began peer=%s", text);
    } else {
        cli_say(&p->cli, "ended peer=%s: %s", text, relay_end_name(end));
    }
}

static void print_counters(const struct program *p)
{
    for (size_t i = 0; i < p->relay_count; i++) {
        relay_report_way(&p->cli, "up", &p->relay[i].stats.up);
        relay_report_way(&p->cli, "down", &p->relay[i].stats.down);
        relay_report_peers(&p->cli, &p->relay[i]);
        relay_report_upstream(&p->cli, &p->relay[i]);
    }
}

static void on_time(struct kirim_timer *timer)
{
    struct program *const p = timer->user;
    print_counters(p);
    (void)kirim_timer_arm(p->loop, timer,
                          timer->deadline_ns + p->cli.stats_seconds * NS_PER_SECOND);
}

/* ---- the program ----------------------------------------------------------------------------- */

static kirim_err listen_on(struct program *p, const struct kirim_addr *addr)
{
    char text[KIRIM_ADDR_TEXT_BYTES];
    char to[KIRIM_ADDR_TEXT_BYTES];
    struct relay *const relay = &p->relay[p->relay_count];
    relay_init(relay);
    relay->options.listen = *addr;
    relay->options.to = p->to;
    relay->options.idle_ns = p->idle_seconds * NS_PER_SECOND;
    relay->options.peer_count_max = (uint32_t)p->peer_count_max;
    relay->options.new_per_second = (uint32_t)p->new_per_second;
    relay->options.amplification = (uint32_t)p->amplification;
    relay->options.is_fragmenting = p->is_fragmenting;
    relay->options.is_unmarked = p->is_unmarked;
    relay->options.receive_buffer_bytes = RECEIVE_BUFFER_BYTES;
    relay->options.on_peer = p->is_logging ? on_peer : NULL;
    relay->options.user = p;
    const kirim_err err = relay_open(relay, p->loop);
    if (err < 0) {
        return cli_fail_addr(&p->cli, err, addr);
    }
    p->relay_count++;
    report_add(&p->report, relay_endpoint(relay));
    const struct kirim_addr local = kirim_endpoint_local(relay_endpoint(relay));
    (void)kirim_addr_format(&local, text, sizeof text);
    (void)kirim_addr_format(&p->to, to, sizeof to);
    cli_say(&p->cli, "listening on %s (%s), to %s", text, kirim_loop_reactor(p->loop), to);
    return KIRIM_OK;
}

static int serve(struct program *p)
{
    const struct cli *const cli = &p->cli;
    report_start(&p->report, cli, p->loop);
    p->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_time, p);
    if (cli->has_stats && cli->stats_seconds != 0) {
        (void)kirim_timer_arm_after(p->loop, &p->timer, cli->stats_seconds * NS_PER_SECOND);
    }
    if (!stop_catch(p->loop)) {
        return cli_fail(cli, KIRIM_ESYSTEM, "signals");
    }
    for (size_t i = 0; i < cli->listen_count; i++) {
        if (listen_on(p, &cli->listen[i]) < 0) {
            return CLI_FAILURE;
        }
    }
    const kirim_err err = kirim_loop_run(p->loop);
    report_end(&p->report);
    if (cli->has_stats) {
        print_counters(p);
    }
    return err < 0 ? cli_fail(cli, err, "the loop ended") : CLI_SUCCESS;
}

static void parse(struct program *p, int argc, char **argv)
{
    const struct cli_option options[] = {
        { .name = "--to",
          .value = "ADDR:PORT",
          .text = &p->to_text,
          .help = "the server behind the relay" },
        { .name = "--idle",
          .value = "SECONDS",
          .number = &p->idle_seconds,
          .number_min = 1,
          .number_max = IDLE_SECONDS_MAX,
          .help = "silence in both directions that ends a peer; default: 120" },
        { .name = "--peers-max",
          .value = "N",
          .number = &p->peer_count_max,
          .number_min = 1,
          .number_max = RELAY_PEER_COUNT_MAX,
          .help = "so many for each --listen; then the most silent makes room; default: 1024" },
        { .name = "--new-per-second",
          .value = "N",
          .number = &p->new_per_second,
          .number_max = 1000000,
          .help = "new peers of one IPv4 /24 or IPv6 /56; 0: no limit; default: 100" },
        { .name = "--amplification",
          .value = "N",
          .number = &p->amplification,
          .number_max = 1000000,
          .help = "a peer gets at most N times the bytes that it sent; default: 0, no limit" },
        { .name = "--fragments",
          .is_given = &p->is_fragmenting,
          .help = "what is too long for the path leaves in fragments, not at all without this" },
        { .name = "--unmarked",
          .is_given = &p->is_unmarked,
          .help = "do not carry ECN and DSCP, which costs a little" },
        { .name = "--log", .is_given = &p->is_logging, .help = "tell who begins and ends" },
    };
    const struct cli_program program = {
        .name = "relay",
        .summary =
            "Hands datagrams on to the server --to, and its answers back, through a socket for\n"
            "each peer. It changes, joins and cuts none of them, and knows no protocol.",
        .listen_help = "where peers speak to it; repeatable; required",
        .listen_max = CLI_LISTEN_MAX,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    p->idle_seconds = IDLE_SECONDS;
    p->peer_count_max = RELAY_PEER_COUNT;
    p->new_per_second = RELAY_NEW_PER_SECOND;
    cli_parse(&p->cli, &program, argc, argv);
    if (p->cli.listen_count == 0) {
        cli_fail_usage(&p->cli, "--listen is missing");
    }
    if (p->to_text == NULL) {
        cli_fail_usage(&p->cli, "--to is missing");
    }
    if (!cli_parse_peer(p->to_text, &p->to)) {
        cli_fail_usage(&p->cli, "--to: '%s' is not ADDR:PORT, such as 192.0.2.1:51820", p->to_text);
    }
}

int main(int argc, char **argv)
{
    static struct program program;
    struct program *const p = &program;
    parse(p, argc, argv);
    const uint64_t wanted = p->cli.listen_count * p->peer_count_max + DESCRIPTORS_BESIDE;
    const uint64_t allowed = descriptors_allow(wanted);
    if (allowed < wanted) {
        cli_say(&p->cli,
                "warning: %" PRIu64 " descriptors are permitted, %" PRIu64
                " are wanted: new peers will be refused before the cap",
                allowed, wanted);
    }
    const struct kirim_loop_options options = cli_loop_options(&p->cli);
    const kirim_err err = kirim_loop_open(&options, &p->loop);
    if (err < 0) {
        return cli_fail(&p->cli, err, "cannot open a loop");
    }
    const int status = serve(p);
    stop_release();
    (void)kirim_loop_close(p->loop);
    return status;
}
