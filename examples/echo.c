/* SPDX-License-Identifier: MIT
 *
 * echo: a UDP echo client (RFC 862). Sends datagrams, checks that the very bytes come back, and
 * measures loss and round trips.
 *
 * The endpoint is connected, so only the server's datagrams arrive. Byte i of datagram n is the
 * i-th of n's eight bytes (lowest first), and n + i behind them: an answer names the datagram it
 * belongs to and can be checked without keeping what was sent. Every datagram ends once: echoed,
 * mismatched or lost; what comes after its time-out is late and stays lost. Round trips are taken
 * on the loop's clock, which stands still within a turn, so our own share of a turn counts too. One
 * thread. Owns three arrays of --count or --size elements.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kirim/kirim.h>

#include "common/cli.h"
#include "common/report.h"
#include "common/stop.h"

enum { NUMBER_BYTES = 8 };

static const uint64_t COUNT_MAX = 10000000; /* 160 MB of times */
static const uint64_t NS_PER_US = 1000;
static const uint64_t NS_PER_MS = 1000000;

struct client {
    struct cli cli;
    /* from the command line */
    struct kirim_addr remote;
    uint64_t count;
    uint64_t payload_bytes;
    uint64_t interval_us;
    uint64_t window;
    uint64_t timeout_ms;
    bool is_json;
    /* the run */
    struct kirim_loop *loop;
    struct kirim_endpoint *ep;
    struct kirim_timer timeout; /* the oldest datagram under way has waited long enough */
    struct kirim_timer pace;    /* --interval-us has passed */
    uint8_t *payload;           /* one datagram */
    uint64_t *sent_ns;          /* of each datagram, the time; 0: it has ended */
    uint64_t *rtt_ns;           /* of each echoed one */
    uint64_t sent;              /* also the number of the next */
    uint64_t oldest;            /* all before it have ended */
    uint64_t underway;
    uint64_t pace_ns; /* no send before it */
    uint64_t echoed, lost, mismatched, late;
    bool is_failed; /* the run cannot go on */
    bool is_told;   /* the first error was said; the others are counted as losses */
};

static void fill_payload(const struct client *c, uint64_t number)
{
    for (uint64_t i = 0; i < c->payload_bytes; i++) {
        c->payload[i] = (uint8_t)(i < NUMBER_BYTES ? number >> (8 * i) : number + i);
    }
}

static void end_datagram(struct client *c, uint64_t number)
{
    c->sent_ns[number] = 0;
    c->underway--;
    while (c->oldest < c->sent && c->sent_ns[c->oldest] == 0) {
        c->oldest++;
    }
}

/* Every datagram under way will stay without an answer. */
static void lose_all(struct client *c)
{
    for (uint64_t number = c->oldest; number < c->sent; number++) {
        if (c->sent_ns[number] != 0) {
            c->lost++;
            end_datagram(c, number);
        }
    }
}

static void fail_run(struct client *c, kirim_err err, const char *what)
{
    (void)cli_fail(&c->cli, err, what);
    c->is_failed = true;
    kirim_loop_stop(c->loop);
}

/* Sends as much as window and pace permit, or ends the run if nothing is left to do. */
static void go_on(struct client *c)
{
    const uint64_t now = kirim_loop_now(c->loop);
    while (c->sent < c->count && c->underway < c->window) {
        if (now < c->pace_ns) {
            (void)kirim_timer_arm(c->loop, &c->pace, c->pace_ns);
            break;
        }
        fill_payload(c, c->sent);
        const kirim_err err = kirim_endpoint_send_to(c->ep, c->payload, c->payload_bytes, NULL);
        if (err == KIRIM_EWOULDBLOCK) {
            break; /* on_writable goes on */
        }
        if (err < 0) {
            fail_run(c, err, "send");
            return;
        }
        c->sent_ns[c->sent++] = now;
        c->underway++;
        c->pace_ns = now + c->interval_us * NS_PER_US;
    }
    if (c->underway > 0 && !kirim_timer_is_armed(&c->timeout)) {
        (void)kirim_timer_arm(c->loop, &c->timeout,
                              c->sent_ns[c->oldest] + c->timeout_ms * NS_PER_MS);
    }
    if (c->sent == c->count && c->underway == 0) {
        kirim_loop_stop(c->loop);
    }
}

static void on_pace(struct kirim_timer *timer)
{
    go_on((struct client *)timer->user);
}

static void on_timeout(struct kirim_timer *timer)
{
    struct client *c = (struct client *)timer->user;
    const uint64_t now = kirim_loop_now(c->loop);
    while (c->oldest < c->sent && c->sent_ns[c->oldest] + c->timeout_ms * NS_PER_MS <= now) {
        c->lost++;
        end_datagram(c, c->oldest);
    }
    go_on(c);
}

/* The number that an answer claims. One too short to hold a whole number belongs to the oldest
 * datagram: there is but one under way then (see parse_options). */
static uint64_t read_number(const struct client *c, const struct kirim_datagram *d)
{
    uint64_t number = 0;
    if (c->payload_bytes < NUMBER_BYTES) {
        return c->oldest;
    }
    for (uint32_t i = 0; i < NUMBER_BYTES && i < d->bytes; i++) {
        number |= (uint64_t)d->data[i] << (8 * i);
    }
    return number;
}

static void take_answer(struct client *c, const struct kirim_datagram *d)
{
    const uint64_t number = read_number(c, d);
    const bool is_underway = number < c->sent && c->sent_ns[number] != 0;
    fill_payload(c, number);
    if (number >= c->sent || d->bytes != c->payload_bytes ||
        memcmp(d->data, c->payload, d->bytes) != 0) {
        c->mismatched++;
    } else if (is_underway) {
        c->rtt_ns[c->echoed++] = kirim_loop_now(c->loop) - c->sent_ns[number];
    } else {
        c->late++; /* or the second copy */
    }
    if (is_underway) {
        end_datagram(c, number);
    }
}

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct client *c = (struct client *)user;
    (void)ep;
    for (size_t i = 0; i < batch->count; i++) {
        take_answer(c, kirim_batch_at(batch, i));
    }
    go_on(c);
}

static void on_writable(struct kirim_endpoint *ep, void *user)
{
    (void)ep;
    go_on((struct client *)user);
}

static void on_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct client *c = (struct client *)user;
    (void)ep;
    if (!c->is_told) {
        c->is_told = true;
        (void)cli_fail(&c->cli, event->err, c->cli.operand[0]);
    }
    /* A closed port that has never answered will not begin to. One that has may come back, as when
     * a server is started anew: what is under way is then left to its time-out. */
    if (event->err == KIRIM_ECONNRESET && c->echoed == 0) {
        lose_all(c);
        c->is_failed = true;
        kirim_loop_stop(c->loop);
    }
}

static int compare_times(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* The smallest round trip that `percent` of a hundred do not pass, in microseconds. */
static double percentile_us(const struct client *c, uint64_t percent)
{
    const uint64_t rank = (c->echoed * percent + 99) / 100;
    return (double)c->rtt_ns[rank > 0 ? rank - 1 : 0] / (double)NS_PER_US;
}

static void print_json(const struct client *c)
{
    static const struct {
        const char *name;
        uint64_t percent;
    } times[] = { { "min", 0 }, { "median", 50 }, { "p99", 99 }, { "max", 100 } };
    (void)printf("{\"sent\":%" PRIu64 ",\"echoed\":%" PRIu64 ",\"lost\":%" PRIu64
                 ",\"mismatched\":%" PRIu64,
                 c->sent, c->echoed, c->lost, c->mismatched);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (c->echoed > 0) {
            (void)printf(",\"%s_rtt_us\":%.1f", times[i].name, percentile_us(c, times[i].percent));
        } else {
            (void)printf(",\"%s_rtt_us\":null", times[i].name);
        }
    }
    (void)printf("}\n");
}

static void print_text(const struct client *c)
{
    (void)printf("%s: %" PRIu64 " sent, %" PRIu64 " echoed, %" PRIu64 " lost (%.1f %%), %" PRIu64
                 " mismatched",
                 c->cli.operand[0], c->sent, c->echoed, c->lost,
                 c->sent > 0 ? 100.0 * (double)c->lost / (double)c->sent : 0.0, c->mismatched);
    if (c->late > 0) {
        (void)printf(", %" PRIu64 " late or twice", c->late);
    }
    if (c->underway > 0) {
        (void)printf(", %" PRIu64 " still under way", c->underway);
    }
    (void)printf("\n");
    if (c->echoed > 0) {
        (void)printf("round trip min/median/p99/max: %.1f/%.1f/%.1f/%.1f us\n", percentile_us(c, 0),
                     percentile_us(c, 50), percentile_us(c, 99), percentile_us(c, 100));
    }
}

static const struct kirim_handler handler = {
    KIRIM_HANDLER_INIT,
    .received = on_received,
    .writable = on_writable,
    .failed = on_failed,
};

static kirim_err open_endpoint(struct client *c)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    if (c->cli.listen_count > 0) {
        options.local = c->cli.listen[0];
    }
    options.peer = c->remote;
    options.handler = &handler;
    options.user = c;
    options.queue_count_max = (uint32_t)c->window;
    return kirim_endpoint_open(c->loop, &options, &c->ep);
}

static int run_client(struct client *c)
{
    struct report report;
    c->timeout = (struct kirim_timer)KIRIM_TIMER_INIT(on_timeout, c);
    c->pace = (struct kirim_timer)KIRIM_TIMER_INIT(on_pace, c);
    kirim_err err = open_endpoint(c);
    if (err < 0) {
        return cli_fail(&c->cli, err, c->cli.operand[0]);
    }
    const size_t bytes_max = kirim_endpoint_payload_bytes_max(c->ep, NULL);
    if (c->payload_bytes > bytes_max) {
        cli_fail_usage(&c->cli, "--size: at most %zu to this address", bytes_max);
    }
    if (!stop_catch(c->loop)) {
        return cli_fail(&c->cli, KIRIM_ESYSTEM, "signals");
    }
    report_start(&report, &c->cli, c->loop);
    report_add(&report, c->ep);
    go_on(c);
    err = kirim_loop_run(c->loop);
    report_end(&report);
    if (err < 0) {
        return cli_fail(&c->cli, err, "the loop ended");
    }
    qsort(c->rtt_ns, (size_t)c->echoed, sizeof c->rtt_ns[0], compare_times);
    if (c->is_json) {
        print_json(c);
    } else {
        print_text(c);
    }
    return c->is_failed || c->lost > 0 || c->mismatched > 0 ? CLI_FAILURE : CLI_SUCCESS;
}

static void parse_options(struct client *c, int argc, char **argv)
{
    const struct cli_option options[] = {
        { .name = "--count",
          .value = "N",
          .number = &c->count,
          .number_min = 1,
          .number_max = COUNT_MAX,
          .help = "datagrams to send; default: 1000" },
        { .name = "--size",
          .value = "S",
          .number = &c->payload_bytes,
          .number_max = KIRIM_PAYLOAD_IPV6_BYTES_MAX,
          .help = "bytes of each; below 8 only with --window 1; default: 64" },
        { .name = "--interval-us",
          .value = "U",
          .number = &c->interval_us,
          .number_max = 3600000000,
          .help = "time between two of them; default: 0, none" },
        { .name = "--window",
          .value = "W",
          .number = &c->window,
          .number_min = 1,
          .number_max = 65536,
          .help = "most datagrams under way at a time; default: 16" },
        { .name = "--timeout-ms",
          .value = "T",
          .number = &c->timeout_ms,
          .number_min = 1,
          .number_max = 3600000,
          .help = "a datagram is lost after it; default: 1000" },
        { .name = "--json", .is_given = &c->is_json, .help = "print one JSON object" },
    };
    const struct cli_program program = {
        .name = "echo",
        .operands = "ADDR:PORT",
        .summary = "Sends UDP datagrams to an echo server (RFC 862) and checks what comes back.\n"
                   "Fails if any is lost or comes back changed.",
        .listen_help = "send from this address; default: the system chooses",
        .listen_max = 1,
        .operand_min = 1,
        .operand_max = 1,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    c->count = 1000;
    c->payload_bytes = 64;
    c->window = 16;
    c->timeout_ms = 1000;
    cli_parse(&c->cli, &program, argc, argv);
    if (!cli_parse_peer(c->cli.operand[0], &c->remote)) {
        cli_fail_usage(&c->cli,
                       "'%s' is not a numeric address with a port, such as 192.0.2.1:7 "
                       "or [2001:db8::1]:7",
                       c->cli.operand[0]);
    }
    if (c->payload_bytes < NUMBER_BYTES && c->window > 1) {
        cli_fail_usage(&c->cli, "--size below %d holds no whole number: give --window 1",
                       NUMBER_BYTES);
    }
}

int main(int argc, char **argv)
{
    static struct client client;
    struct client *const c = &client;
    parse_options(c, argc, argv);
    c->payload = malloc((size_t)c->payload_bytes + 1);
    c->sent_ns = calloc((size_t)c->count, sizeof c->sent_ns[0]);
    c->rtt_ns = calloc((size_t)c->count, sizeof c->rtt_ns[0]);
    const struct kirim_loop_options options = cli_loop_options(&c->cli);
    kirim_err err = KIRIM_ENOMEM;
    if (c->payload != NULL && c->sent_ns != NULL && c->rtt_ns != NULL) {
        err = kirim_loop_open(&options, &c->loop);
    }
    int status = CLI_FAILURE;
    if (err < 0) {
        (void)cli_fail(&c->cli, err, "cannot open a loop");
    } else {
        status = run_client(c);
    }
    stop_release();
    (void)kirim_loop_close(c->loop);
    free(c->payload);
    free(c->sent_ns);
    free(c->rtt_ns);
    return status;
}
