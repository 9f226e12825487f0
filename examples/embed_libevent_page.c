/* SPDX-License-Identifier: MIT
 *
 * Writes kirim's statistics as an HTML table and as OpenMetrics text.
 *
 * One table says which counters there are; both pages are made from it. Figures stand as long as
 * the program runs. Sources: OpenMetrics 1.0.0, sections "Text Format" and "Counter";
 * kirim/stats.h.
 */
#include "embed_libevent_page.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>

#include "common/cli.h"

static const double NS_PER_SECOND = 1e9;

/* A page that is being written. */
struct page {
    struct evbuffer *out;
    bool is_short; /* memory has run out */
};

/* A figure of an endpoint or of a loop. */
struct figure {
    const char *name; /* without the prefix, and without the _total of a counter */
    const char *unit; /* that the name ends with, or NULL */
    const char *help;
    bool is_level; /* may fall; else it counts up */
    size_t offset; /* of a uint64_t */
};

#define ENDPOINT(field) offsetof(struct kirim_endpoint_stats, field)
#define LOOP(field)     offsetof(struct kirim_loop_stats, field)

static const struct figure endpoint_figures[] = {
    { "received_datagrams", "datagrams", "Handed to the program.", false, ENDPOINT(rx_datagrams) },
    { "received_bytes", "bytes", "Payload of those.", false, ENDPOINT(rx_bytes) },
    { "truncated_datagrams", "datagrams", "Of those, cut.", false, ENDPOINT(rx_truncated) },
    { "receive_calls", NULL, "System calls that received.", false, ENDPOINT(rx_calls) },
    { "receive_errors", NULL, "Errors that receiving reported.", false, ENDPOINT(rx_errors) },
    { "sent_datagrams", "datagrams", "Taken by the system.", false, ENDPOINT(tx_datagrams) },
    { "sent_bytes", "bytes", "Payload of those.", false, ENDPOINT(tx_bytes) },
    { "send_calls", NULL, "System calls that sent.", false, ENDPOINT(tx_calls) },
    { "send_blocked", NULL, "Times the system was full.", false, ENDPOINT(tx_blocked) },
    { "send_refused", NULL, "Sends refused by a full queue.", false, ENDPOINT(tx_refused) },
    { "queued_datagrams", "datagrams", "Waiting now.", true, ENDPOINT(tx_queued) },
};

static const struct figure loop_figures[] = {
    { "turns", NULL, "Turns run.", false, LOOP(turns) },
    { "timers_fired", NULL, "Timer callbacks.", false, LOOP(timers_fired) },
    { "timers_armed", NULL, "Armed now.", true, LOOP(timers_armed) },
    { "posts", NULL, "Posts of other threads that have run.", false, LOOP(posts) },
    { "wakes", NULL, "Times another thread woke the loop.", false, LOOP(wakes) },
    { "starved", NULL, "Times the receive buffers ran out.", false, LOOP(starved) },
};

enum {
    ENDPOINT_FIGURE_COUNT = sizeof endpoint_figures / sizeof endpoint_figures[0],
    LOOP_FIGURE_COUNT = sizeof loop_figures / sizeof loop_figures[0]
};

static void put(struct page *page, const char *format, ...) CLI_FORMAT(2, 3);

static void put(struct page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    page->is_short = evbuffer_add_vprintf(page->out, format, arguments) < 0 || page->is_short;
    va_end(arguments);
}

static uint64_t read_figure(const struct figure *f, const void *stats)
{
    return *(const uint64_t *)(const void *)((const char *)stats + f->offset);
}

/* An endpoint and what its pages say of it. The address is numeric: nothing in it needs quoting. */
struct endpoint_report {
    struct kirim_endpoint_stats stats;
    char local[KIRIM_ADDR_TEXT_BYTES];
};

static struct endpoint_report report_on(struct kirim_endpoint *ep)
{
    struct endpoint_report report = { .stats = KIRIM_ENDPOINT_STATS_INIT };
    const struct kirim_addr local = kirim_endpoint_local(ep);
    (void)kirim_addr_format(&local, report.local, sizeof report.local);
    (void)kirim_endpoint_read_stats(ep, &report.stats);
    return report;
}

/* ---- for people ------------------------------------------------------------------------------ */

static void put_endpoint_row(struct page *page, struct kirim_endpoint *ep)
{
    const struct endpoint_report report = report_on(ep);
    uint64_t dropped = 0;
    for (unsigned i = 0; i < KIRIM_DROP_COUNT && i < report.stats.drop_count; i++) {
        dropped += report.stats.drops[i];
    }
    put(page, "<tr><th>%s</th>", report.local);
    for (size_t i = 0; i < ENDPOINT_FIGURE_COUNT; i++) {
        put(page, "<td>%" PRIu64 "</td>", read_figure(&endpoint_figures[i], &report.stats));
    }
    put(page, "<td>%" PRIu64 "</td></tr>\n", dropped);
}

bool page_write_html(struct evbuffer *out, struct kirim_loop *loop)
{
    struct page page = { .out = out };
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    struct kirim_endpoint *ep = NULL;
    (void)kirim_loop_read_stats(loop, &stats);
    put(&page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
        "<title>embed_libevent</title></head>\n<body>\n<h1>embed_libevent</h1>\n"
        "<p>kirim %s, reactor %s. The same <a href=\"/metrics\">for collectors</a>.</p>\n"
        "<table>\n<tr><th></th>",
        kirim_version(), kirim_loop_reactor(loop));
    for (size_t i = 0; i < ENDPOINT_FIGURE_COUNT; i++) {
        const struct figure *f = &endpoint_figures[i];
        put(&page, "<th title=\"%s\">%s</th>", f->help, f->name);
    }
    put(&page, "<th>dropped</th></tr>\n");
    while ((ep = kirim_loop_endpoint_next(loop, ep)) != NULL) {
        put_endpoint_row(&page, ep);
    }
    put(&page, "</table>\n<ul>\n");
    for (size_t i = 0; i < LOOP_FIGURE_COUNT; i++) {
        const struct figure *f = &loop_figures[i];
        put(&page, "<li title=\"%s\">%s: %" PRIu64 "</li>\n", f->help, f->name,
            read_figure(f, &stats));
    }
    put(&page, "</ul>\n</body>\n</html>\n");
    return !page.is_short;
}

/* ---- for collectors -------------------------------------------------------------------------- */

/* The lines that come before a metric's values. */
static void put_head(struct page *page, const char *prefix, const struct figure *f)
{
    put(page, "# TYPE kirim_%s_%s %s\n", prefix, f->name, f->is_level ? "gauge" : "counter");
    if (f->unit != NULL) {
        put(page, "# UNIT kirim_%s_%s %s\n", prefix, f->name, f->unit);
    }
    put(page, "# HELP kirim_%s_%s %s\n", prefix, f->name, f->help);
}

static void put_endpoint_metric(struct page *page, struct kirim_loop *loop, const struct figure *f)
{
    struct kirim_endpoint *ep = NULL;
    put_head(page, "endpoint", f);
    while ((ep = kirim_loop_endpoint_next(loop, ep)) != NULL) {
        const struct endpoint_report report = report_on(ep);
        put(page, "kirim_endpoint_%s%s{local=\"%s\"} %" PRIu64 "\n", f->name,
            f->is_level ? "" : "_total", report.local, read_figure(f, &report.stats));
    }
}

static void put_drops(struct page *page, struct kirim_loop *loop)
{
    static const struct figure dropped = { "dropped_datagrams", "datagrams",
                                           "Lost here, by reason.", false, 0 };
    struct kirim_endpoint *ep = NULL;
    put_head(page, "endpoint", &dropped);
    while ((ep = kirim_loop_endpoint_next(loop, ep)) != NULL) {
        const struct endpoint_report report = report_on(ep);
        for (unsigned i = 0; i < KIRIM_DROP_COUNT && i < report.stats.drop_count; i++) {
            put(page,
                "kirim_endpoint_dropped_datagrams_total{local=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
                report.local, kirim_drop_name(i), report.stats.drops[i]);
        }
    }
}

bool page_write_metrics(struct evbuffer *out, struct kirim_loop *loop)
{
    static const struct figure lag = { "timer_lag_max_seconds", "seconds",
                                       "Longest delay of a timer.", true, 0 };
    struct page page = { .out = out };
    struct kirim_loop_stats stats = KIRIM_LOOP_STATS_INIT;
    (void)kirim_loop_read_stats(loop, &stats);
    for (size_t i = 0; i < ENDPOINT_FIGURE_COUNT; i++) {
        put_endpoint_metric(&page, loop, &endpoint_figures[i]);
    }
    put_drops(&page, loop);
    for (size_t i = 0; i < LOOP_FIGURE_COUNT; i++) {
        const struct figure *f = &loop_figures[i];
        put_head(&page, "loop", f);
        put(&page, "kirim_loop_%s%s %" PRIu64 "\n", f->name, f->is_level ? "" : "_total",
            read_figure(f, &stats));
    }
    put_head(&page, "loop", &lag);
    put(&page, "kirim_loop_timer_lag_max_seconds %.9f\n# EOF\n",
        (double)stats.lag_ns_max / NS_PER_SECOND);
    return !page.is_short;
}
