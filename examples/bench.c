/* SPDX-License-Identifier: MIT
 *
 * kirim-bench: echo, sink and source on one endpoint, on the public API as a user would write them.
 * What bench/raw_mmsg.c is by hand, with the same arguments and the same lines, so that the CPU
 * time of the two can be divided.
 *
 * True throughout: every datagram that came in (echo) or was made (source) is in `tx` or in `drop`
 * of the RESULT line. One thread; owns the list of destinations.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kirim/kirim.h>

#include "common/cli.h"
#include "common/report.h"
#include "common/stop.h"
#include "cputime.h"

enum {
    HEADER_BYTES = 8,
    FLUSH_COUNT = 108,     /* datagrams a source posts before it has them sent */
    TURN_COUNT_MAX = 4096, /* and before it lets the loop do something else */
    PEER_COUNT_MAX = 65535,
    SECONDS_MAX = 86400,
    BUFFER_BYTES = 4 * 1024 * 1024,
    REACTOR_BYTES_MAX = 32
};

static const uint64_t NS_PER_SECOND = 1000000000;
static const uint64_t NS_PER_US = 1000;

struct bench {
    struct cli cli;
    /* from the command line */
    bool is_source;
    bool is_echo;
    uint64_t port; /* own port of echo and sink, destination of source */
    uint64_t peer_count;
    uint64_t payload_bytes;
    uint64_t seconds;   /* 0: until a signal */
    uint64_t count_max; /* 0: no bound */
    const char *variant;
    char reactor[REACTOR_BYTES_MAX];
    uint64_t slot_count; /* 0: the library's default */
    uint64_t queue_count;
    /* the run */
    struct kirim_loop *loop;
    struct kirim_endpoint *ep;
    struct kirim_timer end;   /* --seconds have passed */
    struct kirim_timer again; /* a source goes on in the next turn */
    struct kirim_op last;     /* the last datagram of --count */
    struct kirim_addr *peers;
    uint64_t next_peer;
    uint64_t made_count;    /* datagrams a source has posted */
    uint64_t refused_count; /* answers the queue had no room for */
    uint64_t header;        /* number of the datagram */
    uint8_t rest[KIRIM_PAYLOAD_IPV4_BYTES_MAX];
};

/* Echo: the batch goes back as it lies. What the queue has no room for is dropped, and counted. */
static void on_echo(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    size_t accepted_count = 0;
    if (kirim_endpoint_reply(ep, batch->first, batch->count, &accepted_count) < 0) {
        ((struct bench *)user)->refused_count += batch->count - accepted_count;
    }
}

/* Sink: the library has counted it already. */
static void on_sink(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    (void)ep;
    (void)batch;
    (void)user;
}

/* The last one has left, and so have all before it: datagrams leave in the order of posting. */
static void on_last_sent(struct kirim_op *op, kirim_err err, size_t sent_bytes)
{
    (void)err;
    (void)sent_bytes;
    kirim_loop_stop((struct kirim_loop *)op->user);
}

static kirim_err make_datagram(struct bench *b)
{
    const bool is_last = b->made_count + 1 == b->count_max;
    const struct kirim_buf buf[2] = {
        { .data = &b->header, .bytes = HEADER_BYTES },
        { .data = b->rest, .bytes = (size_t)b->payload_bytes - HEADER_BYTES },
    };
    struct kirim_msg msg = KIRIM_MSG_INIT;
    msg.buf = buf;
    msg.buf_count = 2;
    msg.peer = &b->peers[b->next_peer];
    b->header = b->made_count;
    const kirim_err err = kirim_endpoint_send(b->ep, &msg, 0, is_last ? &b->last : NULL, NULL);
    if (err >= 0) {
        b->made_count++;
        b->next_peer = b->next_peer + 1 == b->peer_count ? 0 : b->next_peer + 1;
    }
    return err;
}

/* Source: keeps the socket full. A datagram that the queue refuses is made again in on_writable. */
static void fill(struct bench *b)
{
    for (unsigned i = 0; i < TURN_COUNT_MAX; i++) {
        if (b->made_count == b->count_max && b->count_max != 0) {
            return; /* on_last_sent ends the run */
        }
        const kirim_err err = make_datagram(b);
        if (err == KIRIM_EWOULDBLOCK) {
            return;
        }
        if (err < 0) {
            (void)cli_fail(&b->cli, err, "send");
            kirim_loop_stop(b->loop);
            return;
        }
        if (b->made_count % FLUSH_COUNT == 0) {
            (void)kirim_endpoint_flush(b->ep); /* what stays shows in the next EWOULDBLOCK */
        }
    }
    /* Timers armed by a timer fire in a later turn: so arrivals and the end have their chance. */
    (void)kirim_timer_arm(b->loop, &b->again, 0);
}

static void on_writable(struct kirim_endpoint *ep, void *user)
{
    (void)ep;
    fill((struct bench *)user);
}

static void on_again(struct kirim_timer *timer)
{
    fill((struct bench *)timer->user);
}

static void on_end(struct kirim_timer *timer)
{
    kirim_loop_stop((struct kirim_loop *)timer->user);
}

static const struct kirim_handler echo_handler = { KIRIM_HANDLER_INIT, .received = on_echo };
static const struct kirim_handler sink_handler = { KIRIM_HANDLER_INIT, .received = on_sink };
static const struct kirim_handler source_handler = { KIRIM_HANDLER_INIT, .writable = on_writable };

static kirim_err open_endpoint(struct bench *b)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    static const uint8_t loopback[4] = { 127, 0, 0, 1 };
    options.local = kirim_addr_ipv4(loopback, b->is_source ? 0 : (uint16_t)b->port);
    if (b->cli.listen_count > 0) {
        options.local = b->cli.listen[0];
    }
    options.handler = b->is_source ? &source_handler : b->is_echo ? &echo_handler : &sink_handler;
    options.user = b;
    options.queue_count_max = (uint32_t)b->queue_count;
    options.receive_buffer_bytes = BUFFER_BYTES;
    options.send_buffer_bytes = BUFFER_BYTES;
    options.flags = KIRIM_ENDPOINT_FORCE_BUFFERS;
    kirim_err err = kirim_endpoint_open(b->loop, &options, &b->ep);
    if (err == KIRIM_EACCES || err == KIRIM_EOPNOTSUPP) {
        options.flags = 0; /* no privilege to pass the system's limit: take what it gives */
        err = kirim_endpoint_open(b->loop, &options, &b->ep);
    }
    return err;
}

static bool make_peers(struct bench *b)
{
    b->peers = calloc((size_t)b->peer_count, sizeof b->peers[0]);
    if (b->peers == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < b->peer_count; i++) {
        /* 127.0.0.1 for one, else 127.2.0.1, 127.2.0.2 ... */
        const uint64_t host = b->peer_count == 1 ? 0x7f000001 : 0x7f020001 + i;
        const uint8_t bytes[4] = { (uint8_t)(host >> 24), (uint8_t)(host >> 16),
                                   (uint8_t)(host >> 8), (uint8_t)host };
        b->peers[i] = kirim_addr_ipv4(bytes, (uint16_t)b->port);
    }
    return true;
}

static const char *mode_name(const struct bench *b)
{
    return b->is_source ? "source" : b->is_echo ? "echo" : "sink";
}

static void print_result(struct bench *b, uint64_t wall_us, uint64_t cpu_us)
{
    struct kirim_endpoint_stats stats = KIRIM_ENDPOINT_STATS_INIT;
    /* What has not left by now never will: that makes the count final. */
    (void)kirim_endpoint_flush(b->ep);
    (void)kirim_endpoint_discard(b->ep, NULL);
    (void)kirim_endpoint_read_stats(b->ep, &stats);
    uint64_t drop = b->refused_count;
    for (unsigned reason = 0; reason < KIRIM_DROP_COUNT; reason++) {
        /* What the receive buffer had no room for never came in. */
        drop += reason != KIRIM_DROP_RECEIVE_FULL ? stats.drops[reason] : 0;
    }
    (void)printf("RESULT mode=%s rx=%" PRIu64 " tx=%" PRIu64 " drop=%" PRIu64 " rxcalls=%" PRIu64
                 " txcalls=%" PRIu64 " wall_us=%" PRIu64 " cpu_us=%" PRIu64 "\n",
                 mode_name(b), stats.rx_datagrams, stats.tx_datagrams, drop, stats.rx_calls,
                 stats.tx_calls, wall_us, cpu_us);
    (void)fflush(stdout);
}

static int run_bench(struct bench *b)
{
    struct report report;
    kirim_err err = open_endpoint(b);
    if (err < 0) {
        return cli_fail(&b->cli, err, "endpoint");
    }
    if (!stop_catch(b->loop)) {
        return cli_fail(&b->cli, KIRIM_ESYSTEM, "signals");
    }
    report_start(&report, &b->cli, b->loop);
    report_add(&report, b->ep);
    const struct kirim_addr local = kirim_endpoint_local(b->ep);
    (void)printf("READY port=%u\n", (unsigned)kirim_addr_port(&local));
    (void)fflush(stdout);
    const uint64_t start_ns = kirim_loop_now(b->loop);
    const uint64_t start_cpu_us = cputime_us();
    if (b->seconds != 0) {
        b->end = (struct kirim_timer)KIRIM_TIMER_INIT(on_end, b->loop);
        (void)kirim_timer_arm(b->loop, &b->end, start_ns + b->seconds * NS_PER_SECOND);
    }
    if (b->is_source) {
        b->again = (struct kirim_timer)KIRIM_TIMER_INIT(on_again, b);
        b->last = (struct kirim_op)KIRIM_OP_INIT(on_last_sent, b->loop);
        (void)kirim_timer_arm(b->loop, &b->again, 0);
    }
    err = kirim_loop_run(b->loop);
    const uint64_t cpu_us = cputime_us() - start_cpu_us;
    const uint64_t wall_us = (kirim_loop_now(b->loop) - start_ns) / NS_PER_US;
    print_result(b, wall_us, cpu_us);
    report_end(&report);
    return err < 0 ? cli_fail(&b->cli, err, "the loop ended") : CLI_SUCCESS;
}

/* REACTOR[,option=value]...: `slots` are receive buffers, `queue` is the bound of the send queue.
 */
static void parse_variant(struct bench *b)
{
    const char *word = b->variant;
    size_t len = strcspn(word, ",");
    if (len >= sizeof b->reactor) {
        cli_fail_usage(&b->cli, "--variant: the reactor's name is too long");
    }
    memcpy(b->reactor, word, len);
    if (len > 0) {
        cli_set_reactor(&b->cli, "--variant", b->reactor);
    }
    for (word += len; *word == ','; word += len) {
        char text[64];
        word++;
        len = strcspn(word, ",");
        const size_t kept = len < sizeof text ? len : sizeof text - 1;
        memcpy(text, word, kept);
        text[kept] = '\0';
        const bool is_good = strncmp(text, "slots=", 6) == 0
                                 ? cli_parse_number(text + 6, 64, 4096, &b->slot_count)
                                 : strncmp(text, "queue=", 6) == 0 &&
                                       cli_parse_number(text + 6, 1, 65536, &b->queue_count);
        if (!is_good) {
            cli_fail_usage(&b->cli, "--variant: '%s' is neither slots=64..4096 nor queue=1..65536",
                           text);
        }
    }
}

/* Which of the options that only some modes know were given. */
struct given {
    bool port;
    bool dest_port;
    bool source; /* --peers, --size or --count */
};

static void check_options(struct bench *b, const struct given *given)
{
    const char *const mode = b->cli.operand[0];
    b->is_source = strcmp(mode, "source") == 0;
    b->is_echo = strcmp(mode, "echo") == 0;
    if (!b->is_source && !b->is_echo && strcmp(mode, "sink") != 0) {
        cli_fail_usage(&b->cli, "'%s' is none of echo, sink, source", mode);
    }
    if (b->is_source && (!given->dest_port || given->port)) {
        cli_fail_usage(&b->cli, "source wants --dest-port, and chooses its own port");
    }
    if (!b->is_source && (!given->port || given->dest_port || given->source)) {
        cli_fail_usage(&b->cli,
                       "%s wants --port; --dest-port, --peers, --size and --count are for "
                       "source",
                       mode);
    }
    if (b->variant != NULL) {
        parse_variant(b);
    }
}

static void parse_options(struct bench *b, int argc, char **argv)
{
    struct given given = { false, false, false };
    const struct cli_option options[] = {
        { .name = "--port",
          .value = "P",
          .number = &b->port,
          .number_max = UINT16_MAX,
          .is_given = &given.port,
          .help = "echo, sink: own port on 127.0.0.1; 0: any" },
        { .name = "--dest-port",
          .value = "P",
          .number = &b->port,
          .number_min = 1,
          .number_max = UINT16_MAX,
          .is_given = &given.dest_port,
          .help = "source: where to send" },
        { .name = "--peers",
          .value = "K",
          .number = &b->peer_count,
          .number_min = 1,
          .number_max = PEER_COUNT_MAX,
          .is_given = &given.source,
          .help = "source: 127.0.0.1 for 1, else 127.2.0.1 and on; default: 1" },
        { .name = "--size",
          .value = "S",
          .number = &b->payload_bytes,
          .number_min = HEADER_BYTES,
          .number_max = KIRIM_PAYLOAD_IPV4_BYTES_MAX,
          .is_given = &given.source,
          .help = "source: bytes of a datagram; default: 1200" },
        { .name = "--seconds",
          .value = "T",
          .number = &b->seconds,
          .number_min = 1,
          .number_max = SECONDS_MAX,
          .help = "how long; default: until SIGTERM" },
        { .name = "--count",
          .value = "N",
          .number = &b->count_max,
          .number_min = 1,
          .number_max = UINT64_MAX,
          .is_given = &given.source,
          .help = "source: how many datagrams; default: no bound" },
        { .name = "--variant",
          .value = "REACTOR[,...]",
          .text = &b->variant,
          .help = "reactor, and slots=N (receive buffers), queue=N (datagrams)" },
    };
    const struct cli_program program = {
        .name = "kirim-bench",
        .operands = "echo|sink|source",
        .summary = "Moves datagrams on loopback and prints what it cost: READY port=P at the\n"
                   "start, RESULT and counts at the end.",
        .listen_help = "bind this address instead of 127.0.0.1",
        .listen_max = 1,
        .operand_min = 1,
        .operand_max = 1,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    b->peer_count = 1;
    b->payload_bytes = 1200;
    cli_parse(&b->cli, &program, argc, argv);
    check_options(b, &given);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct bench *const b = &bench;
    parse_options(b, argc, argv);
    struct kirim_loop_options options = cli_loop_options(&b->cli);
    options.receive_slot_count = (uint32_t)b->slot_count;
    int status = CLI_FAILURE;
    const kirim_err err = make_peers(b) ? kirim_loop_open(&options, &b->loop) : KIRIM_ENOMEM;
    if (err < 0) {
        (void)cli_fail(&b->cli, err, "cannot open a loop");
    } else {
        status = run_bench(b);
    }
    stop_release();
    (void)kirim_loop_close(b->loop);
    free(b->peers);
    return status;
}
