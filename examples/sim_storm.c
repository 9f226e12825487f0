/* SPDX-License-Identifier: MIT
 *
 * sim_storm: a protocol under a thousand storms, in the simulated network (docs/simulator.md).
 *
 * A client asks, and asks again until the answer is here, over a path that loses, repeats and
 * disorders; each seed is another storm, in a world of its own. The handlers and the
 * timer are as on sockets. The trials (kirim/trial.h) run each seed twice, and have one line for
 * each that fails: the command that runs it again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <kirim/kirim.h>
#include <kirim/sim.h>
#include <kirim/trial.h>

#include "common/cli.h"

enum { QUESTION_COUNT = 20, RETRY_NS = 50000000, STORM_PPM = 100000 };

struct client {
    struct kirim_endpoint *ep;
    struct kirim_timer retry;
    uint64_t tries, tries_max; /* of one question */
    uint8_t number;            /* the question; all before it are answered */
};

/* The server: every number comes back with all its bits turned. */
static void on_question(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    (void)user;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        for (uint32_t at = 0; at < d->bytes; at++) {
            d->data[at] ^= 0xff;
        }
    }
    (void)kirim_endpoint_reply(ep, batch->first, batch->count, NULL);
}

static void ask(struct kirim_timer *retry)
{
    struct client *c = retry->user;
    if (c->number < QUESTION_COUNT && c->tries++ < c->tries_max) {
        (void)kirim_endpoint_send_to(c->ep, &c->number, sizeof c->number, NULL);
        (void)kirim_timer_arm_after(kirim_endpoint_loop(c->ep), retry, RETRY_NS);
    }
}

static void on_answer(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct client *c = user;
    (void)ep;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        if (d->bytes == 1 && (d->data[0] ^ c->number) == 0xff) {
            c->number++; /* other answers are copies, of earlier questions too */
            c->tries = 0;
            ask(&c->retry);
        }
    }
}

static void must(kirim_err err)
{
    if (err < 0) {
        (void)fprintf(stderr, "sim_storm: %s\n", kirim_err_text(err));
        exit(CLI_FAILURE);
    }
}

/* A host, its loop, and one endpoint there. */
static void add_host(struct kirim_sim *sim, const char *addr,
                     struct kirim_endpoint_options *options, struct kirim_endpoint **ep)
{
    struct kirim_loop_options loop_options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_sim_host *host = NULL;
    struct kirim_loop *loop = NULL;
    must(kirim_addr_parse(addr, &options->local));
    must(kirim_sim_host_add(sim, addr, &options->local, 1, &host));
    loop_options.reactor = "sim";
    loop_options.reactor_context = host;
    must(kirim_loop_open(&loop_options, &loop));
    must(kirim_endpoint_open(loop, options, ep));
}

/* The storm of one seed: the client is to get all its answers. */
static void run_storm(struct kirim_trial *trial, void *user)
{
    static const struct kirim_handler server = { KIRIM_HANDLER_INIT, .received = on_question };
    static const struct kirim_handler client = { KIRIM_HANDLER_INIT, .received = on_answer };
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct client c = { .tries_max = *(const uint64_t *)user, .retry = KIRIM_TIMER_INIT(ask, &c) };
    struct kirim_endpoint *server_ep = NULL;
    struct kirim_sim *sim = NULL;
    must(kirim_trial_open(trial, NULL, &sim));
    link.delay_ns = link.jitter_ns = link.reorder_ns = RETRY_NS / 5;
    link.loss_ppm = link.duplicate_ppm = link.reorder_ppm = STORM_PPM;
    must(kirim_sim_link_set(sim, NULL, NULL, &link));
    options.handler = &server;
    add_host(sim, "10.0.0.1:7", &options, &server_ep);
    options.handler = &client;
    options.user = &c;
    options.peer = options.local;
    add_host(sim, "10.0.0.2:0", &options, &c.ep);
    ask(&c.retry);
    must(kirim_sim_run(sim, KIRIM_NEVER)); /* until nothing is left to happen */
    if (c.number != QUESTION_COUNT) {
        char text[32];
        (void)snprintf(text, sizeof text, "%d answers of %d", c.number, (int)QUESTION_COUNT);
        kirim_trial_fail(trial, text, NULL, 0);
    }
    must(kirim_loop_close(kirim_endpoint_loop(c.ep)));
    must(kirim_loop_close(kirim_endpoint_loop(server_ep)));
    must(kirim_sim_close(sim));
}

static void print_line(void *user, const char *line)
{
    (void)user;
    (void)puts(line);
}

int main(int argc, char **argv)
{
    struct cli cli;
    uint64_t value[3] = { 1000, 1, 10 };
    char command[1024];
    struct kirim_trials_options trials = KIRIM_TRIALS_OPTIONS_INIT;
    struct kirim_trials_result result = KIRIM_TRIALS_RESULT_INIT;
    const struct cli_program program = {
        .name = "sim_storm",
        .operands = "[SEEDS [FIRST [TRIES]]]",
        .summary =
            "Runs a protocol in the simulated network, in SEEDS storms from seed FIRST on, and\n"
            "prints a line for each in which TRIES do not get a question answered: the command\n"
            "that runs it again. With KIRIM_PCAP=FILE it also writes what the hosts saw of the\n"
            "first of them. Default: 1000 1 10.",
        .operand_max = 3,
        .is_without_reactor = true,
        .is_without_stats = true,
    };
    cli_parse(&cli, &program, argc, argv);
    for (size_t i = 0; i < cli.operand_count; i++) {
        if (!cli_parse_number(cli.operand[i], 1, UINT32_MAX, &value[i])) {
            cli_fail_usage(&cli, "'%s' is not a number from 1 to %" PRIu32, cli.operand[i],
                           UINT32_MAX);
        }
    }
    (void)snprintf(command, sizeof command, "%s %" PRIu64 " %" PRIu64 " %" PRIu64, argv[0],
                   value[0], value[1], value[2]);
    trials.command = command;
    trials.seed_count = value[0];
    trials.first_seed = value[1];
    trials.print = print_line;
    const kirim_err err = kirim_trials_run(&trials, run_storm, &value[2], &result);
    if (err < 0 && err != KIRIM_EABORTED) {
        return CLI_USAGE;
    }
    (void)printf("%" PRIu64 " of %" PRIu64 " seeds failed\n", result.failed_count,
                 result.run_count);
    return result.failed_count > 0 ? CLI_FAILURE : CLI_SUCCESS;
}
