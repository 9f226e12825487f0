/* SPDX-License-Identifier: MIT
 *
 * impair: a UDP proxy with a bad network in it, the same one each time for the same seed; impair.h
 * does all of it. One thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/cli.h"
#include "common/descriptors.h"
#include "common/report.h"
#include "common/stop.h"
#include "impair.h"
#include "relay_report.h"

enum {
    DESCRIPTORS_BESIDE = 96,
    RECEIVE_BUFFER_BYTES = 1 << 20,
    IDLE_SECONDS_MAX = 86400,
    PPM = 1000000,
    BURST_LENGTH = 4,      /* default: datagrams in a burst, on average */
    REORDER_DELAY_MS = 20, /* default */
    MTU_MIN = 576,
    BYTES_MAX = 0x7fffffff,
    DECIMALS_MAX = 6
};

static const uint64_t NS_PER_SECOND = 1000000000;
static const uint64_t NS_PER_MS = 1000000;
static const uint64_t MS_MAX = 3600000;

static const char *const direction_names[] = { "up", "down" };

/* What the command line says, as text where it may have a fraction. */
struct faults {
    const char *loss, *burst, *burst_loss, *reorder, *duplicate, *corrupt; /* percent */
    const char *delay, *jitter, *reorder_delay;                            /* ms */
    const char *only;
    uint64_t burst_length, corrupt_bits, rate_kbps, queue_bytes, ecn_bytes, mtu;
    bool is_checksummed;
};

struct program {
    struct cli cli;
    const char *to_text;
    struct faults faults;
    uint64_t seed, idle_seconds, peer_count_max, held_count_max;
    bool is_logging;
    struct kirim_loop *loop;
    struct report report;
    struct kirim_timer timer; /* prints what the report does not know of */
    struct impair impair;
};

/* ---- what is printed ------------------------------------------------------------------------- */

static void on_fate(struct impair *impair, int direction, uint64_t ordinal,
                    const struct kirim_link_fate *fate)
{
    const struct program *const p = impair->user;
    const struct relay *const relay = &impair->relay;
    const uint64_t now_ns = kirim_loop_now(relay->loop);
    const uint64_t after_ns = fate->arrival_ns[0] > now_ns ? fate->arrival_ns[0] - now_ns : 0;
    if (fate->copy_count == 0) {
        cli_say(&p->cli, "%s %" PRIu64 ": %s", direction_names[direction], ordinal,
                kirim_link_outcome_text(fate->outcome));
    } else {
        cli_say(&p->cli, "%s %" PRIu64 ": passes after %" PRIu64 " us%s%s%s",
                direction_names[direction], ordinal, after_ns / 1000,
                fate->copy_count > 1 ? ", twice" : "", fate->is_reordered ? ", out of order" : "",
                fate->flip_count > 0 ? ", with flipped bits" : "");
    }
}

static void print_direction(const struct program *p, int direction)
{
    static const char *const names[IMPAIR_OUTCOME_COUNT] = { "carried",   "refused",  "down",
                                                             "too_large", "reported", "full",
                                                             "congested", "lost",     "burst",
                                                             "corrupted" };
    const struct impair_counts *const counts = &p->impair.counts[direction];
    const struct relay_way *const way =
        direction == IMPAIR_UP ? &p->impair.relay.stats.up : &p->impair.relay.stats.down;
    char line[256] = "";
    size_t used = 0;
    for (int i = 0; i < IMPAIR_OUTCOME_COUNT; i++) {
        if (counts->outcomes[i] != 0 && used < sizeof line) {
            used += (size_t)snprintf(line + used, sizeof line - used, " %s=%" PRIu64, names[i],
                                     counts->outcomes[i]);
        }
    }
    cli_say(&p->cli,
            "%s datagrams=%" PRIu64 " passed=%" PRIu64 "%s duplicated=%" PRIu64
            " reordered=%" PRIu64 " flipped=%" PRIu64 " marked=%" PRIu64 " drop_held=%" PRIu64
            " drop_other=%" PRIu64,
            direction_names[direction], way->datagrams, way->passed, line, counts->duplicated,
            counts->reordered, counts->flipped, counts->marked, way->drops[RELAY_DROP_FULL],
            way->drops[RELAY_DROP_TRUNCATED] + way->drops[RELAY_DROP_REFUSED]);
}

static void print_counters(const struct program *p)
{
    print_direction(p, IMPAIR_UP);
    print_direction(p, IMPAIR_DOWN);
    relay_report_peers(&p->cli, &p->impair.relay);
    relay_report_upstream(&p->cli, &p->impair.relay);
}

static void on_time(struct kirim_timer *timer)
{
    struct program *const p = timer->user;
    print_counters(p);
    (void)kirim_timer_arm(p->loop, timer,
                          timer->deadline_ns + p->cli.stats_seconds * NS_PER_SECOND);
}

/* ---- the program ----------------------------------------------------------------------------- */

static int serve(struct program *p)
{
    const struct cli *const cli = &p->cli;
    struct relay *const relay = &p->impair.relay;
    char text[KIRIM_ADDR_TEXT_BYTES];
    char to[KIRIM_ADDR_TEXT_BYTES];
    (void)kirim_addr_format(&relay->options.listen, text, sizeof text);
    (void)kirim_addr_format(&relay->options.to, to, sizeof to);
    report_start(&p->report, cli, p->loop);
    p->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_time, p);
    if (cli->has_stats && cli->stats_seconds != 0) {
        (void)kirim_timer_arm_after(p->loop, &p->timer, cli->stats_seconds * NS_PER_SECOND);
    }
    if (!stop_catch(p->loop)) {
        return cli_fail(cli, KIRIM_ESYSTEM, "signals");
    }
    kirim_err err = impair_open(&p->impair, p->loop, p->seed);
    if (err < 0) {
        return cli_fail(cli, err, text);
    }
    report_add(&p->report, relay_endpoint(relay));
    const struct kirim_addr local = kirim_endpoint_local(relay_endpoint(relay));
    (void)kirim_addr_format(&local, text, sizeof text);
    cli_say(cli, "listening on %s (%s), to %s, seed %" PRIu64, text, kirim_loop_reactor(p->loop),
            to, p->seed);
    err = kirim_loop_run(p->loop);
    report_end(&p->report);
    if (cli->has_stats) {
        print_counters(p);
    }
    return err < 0 ? cli_fail(cli, err, "the loop ended") : CLI_SUCCESS;
}

/* ---- the command line ------------------------------------------------------------------------ */

/* A number with up to six decimals, in units of which `scale` make one: "2.5" of a scale of 10 is
 * 25. The end of the program if it is none, or more than `max`. */
static uint64_t parse_decimal(const struct cli *cli, const char *name, const char *text,
                              uint64_t scale, uint64_t max)
{
    char digits[32];
    uint64_t whole = 0;
    uint64_t value = 0;
    const char *const dot = strchr(text, '.');
    const size_t len = dot != NULL ? (size_t)(dot - text) : strlen(text);
    bool is_number = len > 0 && len < sizeof digits;
    if (is_number) {
        memcpy(digits, text, len);
        digits[len] = '\0';
        is_number = cli_parse_number(digits, 0, max, &whole);
        value = whole * scale;
    }
    if (is_number && dot != NULL) {
        const size_t count = strlen(dot + 1);
        uint64_t fraction = 0;
        is_number = count <= DECIMALS_MAX && cli_parse_number(dot + 1, 0, UINT64_MAX, &fraction);
        uint64_t unit = scale * fraction;
        for (size_t i = 0; i < count; i++) {
            unit /= 10;
        }
        value += unit;
    }
    if (!is_number || value > max * scale) {
        cli_fail_usage(cli, "%s: '%s' is not a number from 0 to %" PRIu64, name, text, max);
    }
    return value;
}

/* Percent as parts of a million. */
static uint32_t parse_share(const struct cli *cli, const char *name, const char *text)
{
    return text != NULL ? (uint32_t)parse_decimal(cli, name, text, PPM / 100, 100) : 0;
}

static uint64_t parse_ms(const struct cli *cli, const char *name, const char *text)
{
    return text != NULL ? parse_decimal(cli, name, text, NS_PER_MS, MS_MAX) : 0;
}

static void set_rules(struct program *p)
{
    const struct cli *const cli = &p->cli;
    const struct faults *const f = &p->faults;
    struct kirim_link_rules rules = KIRIM_LINK_RULES_INIT;
    rules.loss_ppm = parse_share(cli, "--loss", f->loss);
    rules.burst_ppm = parse_share(cli, "--burst", f->burst);
    rules.burst_end_ppm = (uint32_t)(PPM / f->burst_length);
    rules.burst_loss_ppm =
        f->burst_loss != NULL ? parse_share(cli, "--burst-loss", f->burst_loss) : PPM;
    rules.delay_ns = parse_ms(cli, "--delay", f->delay);
    rules.jitter_ns = parse_ms(cli, "--jitter", f->jitter);
    rules.reorder_ppm = parse_share(cli, "--reorder", f->reorder);
    rules.reorder_ns = f->reorder_delay != NULL ? parse_ms(cli, "--reorder-delay", f->reorder_delay)
                                                : REORDER_DELAY_MS * NS_PER_MS;
    rules.duplicate_ppm = parse_share(cli, "--duplicate", f->duplicate);
    rules.corrupt_ppm = parse_share(cli, "--corrupt", f->corrupt);
    rules.corrupt_action = f->is_checksummed ? KIRIM_LINK_CORRUPT_DROP : KIRIM_LINK_CORRUPT_DELIVER;
    rules.flip_count = (uint32_t)f->corrupt_bits;
    rules.rate_bps = f->rate_kbps * 1000;
    rules.queue_bytes = (uint32_t)f->queue_bytes;
    rules.mark_bytes = (uint32_t)f->ecn_bytes;
    rules.mtu = (uint32_t)f->mtu;
    rules.mtu_action = KIRIM_LINK_MTU_BLACK_HOLE; /* nobody may send ICMP without a privilege */
    for (int i = IMPAIR_UP; i <= IMPAIR_DOWN; i++) {
        if (f->only == NULL || strcmp(f->only, direction_names[i]) == 0) {
            p->impair.rules[i] = rules;
        }
    }
}

static void check(struct program *p)
{
    const struct cli *const cli = &p->cli;
    struct relay_options *const options = &p->impair.relay.options;
    if (cli->listen_count == 0) {
        cli_fail_usage(cli, "--listen is missing");
    }
    if (p->to_text == NULL) {
        cli_fail_usage(cli, "--to is missing");
    }
    if (!cli_parse_peer(p->to_text, &options->to)) {
        cli_fail_usage(cli, "--to: '%s' is not ADDR:PORT, such as 192.0.2.1:7", p->to_text);
    }
    if (p->faults.only != NULL && strcmp(p->faults.only, "up") != 0 &&
        strcmp(p->faults.only, "down") != 0) {
        cli_fail_usage(cli, "--only: '%s' is neither up nor down", p->faults.only);
    }
    if (p->faults.mtu != 0 && p->faults.mtu < MTU_MIN) {
        cli_fail_usage(cli, "--mtu: not below %d", MTU_MIN);
    }
    if (p->faults.rate_kbps == 0 && (p->faults.queue_bytes != 0 || p->faults.ecn_bytes != 0)) {
        cli_fail_usage(cli, "--queue and --ecn need a --rate");
    }
    set_rules(p);
    options->listen = cli->listen[0];
    options->idle_ns = p->idle_seconds * NS_PER_SECOND;
    options->peer_count_max = (uint32_t)p->peer_count_max;
    options->queue_count_max = (uint32_t)p->held_count_max;
    options->receive_buffer_bytes = RECEIVE_BUFFER_BYTES;
}

static struct cli_option text_option(const char *name, const char *value, const char **text,
                                     const char *help)
{
    return (struct cli_option){ .name = name, .value = value, .help = help, .text = text };
}

static struct cli_option number_option(const char *name, const char *value, uint64_t *number,
                                       uint64_t max, const char *help)
{
    return (struct cli_option){
        .name = name, .value = value, .help = help, .number = number, .number_max = max
    };
}

/* The same, and not 0. */
static struct cli_option count_option(const char *name, const char *value, uint64_t *number,
                                      uint64_t max, const char *help)
{
    struct cli_option option = number_option(name, value, number, max, help);
    option.number_min = 1;
    return option;
}

enum { FAULT_OPTION_COUNT = 17, OTHER_OPTION_COUNT = 6 };

static void list_faults(struct cli_option *out, struct faults *f)
{
    const struct cli_option options[FAULT_OPTION_COUNT] = {
        text_option("--loss", "PERCENT", &f->loss, "lost, each by itself"),
        text_option("--burst", "PERCENT", &f->burst, "a burst of loss begins"),
        count_option("--burst-length", "N", &f->burst_length, 100000,
                     "datagrams in a burst, on average; default: 4"),
        text_option("--burst-loss", "PERCENT", &f->burst_loss, "lost within a burst; default: 100"),
        text_option("--delay", "MS", &f->delay, "added to each"),
        text_option("--jitter", "MS", &f->jitter, "added too, even over 0 to this; order is kept"),
        text_option("--reorder", "PERCENT", &f->reorder, "delayed more, and overtaken"),
        text_option("--reorder-delay", "MS", &f->reorder_delay, "by so much; default: 20"),
        text_option("--duplicate", "PERCENT", &f->duplicate, "arrive twice"),
        text_option("--corrupt", "PERCENT", &f->corrupt, "arrive with flipped bits"),
        count_option("--corrupt-bits", "N", &f->corrupt_bits, KIRIM_LINK_FLIP_MAX,
                     "so many, 1 to 8; default: 1"),
        { .name = "--checksum",
          .is_given = &f->is_checksummed,
          .help = "a checksum finds those: they are lost" },
        number_option("--rate", "KBPS", &f->rate_kbps, 100000000,
                      "kbit/s of IP packets, with a queue before it"),
        number_option("--queue", "BYTES", &f->queue_bytes, BYTES_MAX,
                      "what does not fit into that is lost; default: no bound"),
        number_option("--ecn", "BYTES", &f->ecn_bytes, BYTES_MAX,
                      "with more than so much in it, mark CE who says ECT, drop the others"),
        number_option("--mtu", "BYTES", &f->mtu, 65535,
                      "larger IP packets are lost, and nobody is told"),
        text_option("--only", "up|down", &f->only,
                    "faults in this direction alone: to the server, or back"),
    };
    memcpy(out, options, sizeof options);
}

static void list_others(struct cli_option *out, struct program *p)
{
    const struct cli_option options[OTHER_OPTION_COUNT] = {
        text_option("--to", "ADDR:PORT", &p->to_text, "the server behind the network"),
        number_option("--seed", "N", &p->seed, UINT64_MAX,
                      "the same faults for the same seed; default: 1"),
        count_option("--idle", "SECONDS", &p->idle_seconds, IDLE_SECONDS_MAX,
                     "silence in both directions that ends a peer; default: 120"),
        count_option("--peers-max", "N", &p->peer_count_max, RELAY_PEER_COUNT_MAX,
                     "so many; then the most silent makes room; default: 64"),
        count_option("--held-max", "N", &p->held_count_max, IMPAIR_HELD_COUNT_MAX,
                     "datagrams under way from each socket; default: 16384"),
        { .name = "--log", .is_given = &p->is_logging, .help = "tell the fate of each datagram" },
    };
    memcpy(out, options, sizeof options);
}

static void parse(struct program *p, int argc, char **argv)
{
    struct cli_option options[OTHER_OPTION_COUNT + FAULT_OPTION_COUNT];
    const struct cli_program program = {
        .name = "impair",
        .summary = "Hands datagrams on to the server --to, and its answers back, over a network\n"
                   "that does to them what the options say, in both directions. Which of them it\n"
                   "strikes depends on the seed and on how many went before it, not on time.",
        .listen_help = "where clients speak to it; required",
        .listen_max = 1,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    list_others(options, p);
    list_faults(options + OTHER_OPTION_COUNT, &p->faults);
    p->seed = 1;
    p->idle_seconds = p->impair.relay.options.idle_ns / NS_PER_SECOND;
    p->peer_count_max = p->impair.relay.options.peer_count_max;
    p->held_count_max = p->impair.relay.options.queue_count_max;
    p->faults.burst_length = BURST_LENGTH;
    p->faults.corrupt_bits = 1;
    cli_parse(&p->cli, &program, argc, argv);
    check(p);
}

int main(int argc, char **argv)
{
    static struct program program;
    struct program *const p = &program;
    impair_init(&p->impair);
    p->impair.user = p;
    parse(p, argc, argv);
    p->impair.on_fate = p->is_logging ? on_fate : NULL;
    (void)descriptors_allow(p->peer_count_max + DESCRIPTORS_BESIDE);
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
