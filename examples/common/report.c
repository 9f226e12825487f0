/* SPDX-License-Identifier: MIT
 *
 * Prints an endpoint's statistics as words of the form name=number, which programs can read too.
 * The figures stand as long as the program runs: two lines subtracted give what happened between.
 * What is zero and seldom otherwise (drops, refusals, errors) is left out.
 */
#include "report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { LINE_BYTES = 960 }; /* 32 words of name and number fit */

static const uint64_t NS_PER_SECOND = 1000000000;

struct line {
    char text[LINE_BYTES];
    size_t used;
};

static void append(struct line *line, const char *format, ...) CLI_FORMAT(2, 3);

static void append(struct line *line, const char *format, ...)
{
    const size_t room = sizeof line->text - line->used;
    va_list arguments;
    va_start(arguments, format);
    const int len = vsnprintf(line->text + line->used, room, format, arguments);
    va_end(arguments);
    if (len > 0) {
        line->used += (size_t)len < room ? (size_t)len : room - 1;
    }
}

static void append_unless_zero(struct line *line, const char *name, uint64_t value)
{
    if (value != 0) {
        append(line, " %s=%" PRIu64, name, value);
    }
}

static void print_endpoint(const struct report *report, struct kirim_endpoint *ep)
{
    struct kirim_endpoint_stats stats = KIRIM_ENDPOINT_STATS_INIT;
    struct line line = { .used = 0 };
    char addr[KIRIM_ADDR_TEXT_BYTES];
    const struct kirim_addr local = kirim_endpoint_local(ep);
    (void)kirim_addr_format(&local, addr, sizeof addr);
    const kirim_err err = kirim_endpoint_read_stats(ep, &stats);
    if (err < 0) {
        (void)cli_fail(report->cli, err, addr);
        return;
    }
    const uint64_t calls = stats.rx_calls + stats.tx_calls;
    const uint64_t datagrams = stats.rx_datagrams + stats.tx_datagrams;
    append(&line,
           "stats endpoint=%s rx=%" PRIu64 " tx=%" PRIu64 " rx_bytes=%" PRIu64 " tx_bytes=%" PRIu64
           " rx_calls=%" PRIu64 " tx_calls=%" PRIu64 " datagrams_per_call=%.1f",
           addr, stats.rx_datagrams, stats.tx_datagrams, stats.rx_bytes, stats.tx_bytes,
           stats.rx_calls, stats.tx_calls, calls != 0 ? (double)datagrams / (double)calls : 0.0);
    append_unless_zero(&line, "rx_trains", stats.rx_trains);
    append_unless_zero(&line, "tx_trains", stats.tx_trains);
    append_unless_zero(&line, "truncated", stats.rx_truncated);
    append_unless_zero(&line, "rx_errors", stats.rx_errors);
    append_unless_zero(&line, "blocked", stats.tx_blocked);
    append_unless_zero(&line, "refused", stats.tx_refused);
    append_unless_zero(&line, "queued", stats.tx_queued);
    for (unsigned reason = 0; reason < KIRIM_DROP_COUNT && reason < stats.drop_count; reason++) {
        if (stats.drops[reason] != 0) {
            append(&line, " drop_%s=%" PRIu64, kirim_drop_name(reason), stats.drops[reason]);
        }
    }
    cli_say(report->cli, "%s", line.text);
}

static void print_all(const struct report *report)
{
    for (size_t i = 0; i < report->endpoint_count; i++) {
        print_endpoint(report, report->endpoint[i]);
    }
}

static void on_time(struct kirim_timer *timer)
{
    struct report *report = (struct report *)timer->user;
    print_all(report);
    /* From the deadline, not from now: the lines keep their distance however late this one is. */
    (void)kirim_timer_arm(report->loop, timer,
                          timer->deadline_ns + report->cli->stats_seconds * NS_PER_SECOND);
}

void report_start(struct report *report, const struct cli *cli, struct kirim_loop *loop)
{
    *report = (struct report){
        .cli = cli,
        .loop = loop,
        .timer = KIRIM_TIMER_INIT(on_time, report),
    };
    if (cli->has_stats && cli->stats_seconds != 0) {
        (void)kirim_timer_arm(loop, &report->timer,
                              kirim_loop_now(loop) + cli->stats_seconds * NS_PER_SECOND);
    }
}

void report_add(struct report *report, struct kirim_endpoint *ep)
{
    if (report->endpoint_count < CLI_LISTEN_MAX) {
        report->endpoint[report->endpoint_count++] = ep;
    }
}

void report_listening(struct report *report, struct kirim_endpoint *ep)
{
    char text[KIRIM_ADDR_TEXT_BYTES];
    const struct kirim_addr local = kirim_endpoint_local(ep);
    (void)kirim_addr_format(&local, text, sizeof text);
    report_add(report, ep);
    cli_say(report->cli, "listening on %s (%s)", text, kirim_loop_reactor(report->loop));
}

void report_end(struct report *report)
{
    kirim_timer_cancel(&report->timer);
    if (report->cli->has_stats) {
        print_all(report);
    }
}
