/* SPDX-License-Identifier: MIT
 *
 * dnsq: asks a DNS server a question and prints the answer.
 *
 * Each question is a lookup of protocols/dns/dns_endpoint.h: an endpoint of its own with a port
 * that the system chooses, a random identifier, letters in random case, and retries. With --count
 * the same question is asked several times, a few at a time, and the round trips are measured on
 * the loop's clock. One thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dns/dns_endpoint.h>

#include "common/cli.h"
#include "common/stop.h"

enum {
    COUNT_MAX = 10000,
    LANE_COUNT = 16, /* questions under way at a time */
    DATA_BYTES_MAX = KIRIM_DNS_UDP_BYTES + 2 * KIRIM_DNS_NAME_BYTES_MAX, /* names uncompressed */
    DATA_TEXT_BYTES = 8192
};

static const uint64_t NS_PER_MS = 1000000;
static const double NS_PER_US = 1000;

struct client {
    struct cli cli;
    struct kirim_dns_query_options options;
    uint64_t count, timeout_ms, retries;
    bool is_json, is_iterative, is_without_cookies;
    struct kirim_loop *loop;
    struct kirim_dns_lookup lane[LANE_COUNT];
    uint64_t started, ended, answered;
    uint64_t rtt_ns[COUNT_MAX];
    bool is_printed; /* the first answer was kept and printed */
    int status;
};

/* ---- printing -------------------------------------------------------------------------------- */

/* Text as a JSON string; all of it is printable ASCII. */
static void print_json_string(const char *text)
{
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            (void)putchar('\\');
        }
        (void)putchar(*text);
    }
    (void)putchar('"');
}

static void print_record(const struct client *c, const struct kirim_dns_name *owner,
                         const struct kirim_dns_record *record, bool is_first)
{
    char name[KIRIM_DNS_NAME_TEXT_BYTES];
    char type[KIRIM_DNS_TYPE_TEXT_BYTES];
    static char data[DATA_TEXT_BYTES];
    (void)kirim_dns_name_format(owner, name, sizeof name);
    kirim_dns_type_format(record->type, type);
    (void)kirim_dns_rdata_format(record, data, sizeof data);
    if (!c->is_json) {
        (void)printf("%s\t%" PRIu32 "\tIN\t%s\t%s\n", name, record->ttl, type, data);
        return;
    }
    (void)printf("%s{\"name\":", is_first ? "" : ",");
    print_json_string(name);
    (void)printf(",\"ttl\":%" PRIu32 ",\"type\":\"%s\",\"data\":", record->ttl, type);
    print_json_string(data);
    (void)printf("}");
}

/* The records of one section; OPT is not one of people's. */
static void print_section(const struct client *c, const struct kirim_dns_message *answer,
                          int section, const char *title)
{
    struct kirim_dns_walk walk = kirim_dns_message_walk(answer);
    struct kirim_dns_name owner;
    struct kirim_dns_record record;
    size_t count = 0;
    if (c->is_json) {
        (void)printf(",\"%s\":[", title);
    }
    while (kirim_dns_walk_next(&walk, &owner, &record)) {
        static uint8_t data[DATA_BYTES_MAX];
        struct kirim_dns_room room = { data, sizeof data, 0 };
        if (walk.section != section || record.type == KIRIM_DNS_OPT ||
            kirim_dns_rdata_read(answer->wire, &record, &room) < 0) {
            continue;
        }
        record.rdata = data;
        record.rdata_bytes = (uint16_t)room.bytes;
        if (count == 0 && !c->is_json) {
            (void)printf("; %s\n", title);
        }
        print_record(c, &owner, &record, count == 0);
        count++;
    }
    if (c->is_json) {
        (void)printf("]");
    }
}

/* Whether the server has given a cookie. */
static void print_cookie(const struct client *c, const struct kirim_dns_query *query)
{
    const bool is_given = query->jar[query->server_index].server_bytes > 0;
    if (c->is_json) {
        (void)printf(",\"cookie\":%s", is_given ? "true" : "false");
    } else if (is_given) {
        (void)printf(", cookie");
    }
}

static void print_answer(const struct client *c, const struct kirim_dns_query *query)
{
    const struct kirim_dns_message *const answer = &query->answer;
    static const struct {
        uint16_t flag;
        const char *name;
    } flags[] = { { KIRIM_DNS_FLAG_AA, "aa" },
                  { KIRIM_DNS_FLAG_TC, "tc" },
                  { KIRIM_DNS_FLAG_RD, "rd" },
                  { KIRIM_DNS_FLAG_RA, "ra" },
                  { KIRIM_DNS_FLAG_AD, "ad" } };
    char rcode[KIRIM_DNS_RCODE_TEXT_BYTES];
    kirim_dns_rcode_format(kirim_dns_message_rcode(answer), rcode);
    (void)printf(c->is_json ? "{\"status\":\"%s\",\"bytes\":%zu" : "; %s, %zu bytes, flags", rcode,
                 answer->wire.bytes);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        const bool is_set = (answer->flags & flags[i].flag) != 0;
        if (c->is_json) {
            (void)printf(",\"%s\":%s", flags[i].name, is_set ? "true" : "false");
        } else if (is_set) {
            (void)printf(" %s", flags[i].name);
        }
    }
    print_cookie(c, query);
    (void)printf(c->is_json ? "" : "\n");
    print_section(c, answer, KIRIM_DNS_SECTION_ANSWER, "answer");
    print_section(c, answer, KIRIM_DNS_SECTION_AUTHORITY, "authority");
    print_section(c, answer, KIRIM_DNS_SECTION_ADDITIONAL, "additional");
}

static int compare_times(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void print_summary(struct client *c)
{
    qsort(c->rtt_ns, (size_t)c->answered, sizeof c->rtt_ns[0], compare_times);
    const uint64_t middle = c->answered > 0 ? (c->answered - 1) / 2 : 0;
    const double median_us = (double)c->rtt_ns[middle] / NS_PER_US;
    if (c->is_json) {
        (void)printf("%s\"asked\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"median_rtt_us\":%.1f}\n",
                     c->is_printed ? "," : "{", c->started, c->answered, median_us);
    } else if (c->answered > 0) {
        (void)printf("; %" PRIu64 " of %" PRIu64 " answered, median round trip %.1f us\n",
                     c->answered, c->started, median_us);
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void start_lookup(struct client *c, struct kirim_dns_lookup *lookup)
{
    const kirim_err err = kirim_dns_lookup_start(lookup, c->loop, &c->options);
    c->started++;
    if (err < 0) {
        (void)cli_fail(&c->cli, err, "cannot ask");
        c->status = CLI_FAILURE;
        c->ended++;
    }
}

/* A lookup has ended: the first answer is printed, and the lane asks again. */
static void on_done(struct kirim_dns_lookup *lookup)
{
    struct client *const c = lookup->user;
    const struct kirim_dns_query *const query = &lookup->query;
    c->ended++;
    if (query->state == KIRIM_DNS_QUERY_ANSWERED) {
        c->rtt_ns[c->answered++] = lookup->ended_ns - lookup->started_ns;
        if (!c->is_printed) {
            c->is_printed = true;
            print_answer(c, query);
        }
        if (kirim_dns_message_rcode(&query->answer) != KIRIM_DNS_NOERROR) {
            c->status = CLI_FAILURE;
        }
    } else if (query->err != KIRIM_EABORTED) {
        if (c->status == CLI_SUCCESS) {
            (void)cli_fail(&c->cli, query->err, "no answer");
        }
        c->status = CLI_FAILURE;
    }
    const bool is_ending = query->err == KIRIM_EABORTED || kirim_loop_is_stopping(c->loop);
    if (c->started < c->count && !is_ending) {
        start_lookup(c, lookup);
    }
    if (c->ended == c->started) {
        kirim_loop_stop(c->loop);
    }
}

static int run_client(struct client *c)
{
    if (!stop_catch(c->loop)) {
        return cli_fail(&c->cli, KIRIM_ESYSTEM, "signals");
    }
    for (size_t i = 0; i < LANE_COUNT && c->started < c->count; i++) {
        c->lane[i] = (struct kirim_dns_lookup)KIRIM_DNS_LOOKUP_INIT(on_done, c);
        start_lookup(c, &c->lane[i]);
    }
    const kirim_err err = c->ended < c->started ? kirim_loop_run(c->loop) : KIRIM_OK;
    return err < 0 ? cli_fail(&c->cli, err, "the loop ended") : c->status;
}

/* ---- the command line ------------------------------------------------------------------------ */

/* "@ADDR:PORT" or "@ADDR", which is port 53. */
static void parse_server(struct client *c, const char *text)
{
    struct kirim_addr *const server = &c->options.server[0];
    if (kirim_addr_parse(text + 1, server) < 0) {
        cli_fail_usage(&c->cli, "'%s' is not @ and a numeric address, such as @192.0.2.1:53", text);
    }
    if (kirim_addr_port(server) == 0) {
        kirim_addr_set_port(server, 53);
    }
}

/* [@SERVER] NAME [TYPE], the server anywhere. */
static void parse_operands(struct client *c)
{
    const char *word[2] = { NULL, "A" };
    size_t count = 0;
    (void)kirim_addr_parse("127.0.0.1:53", &c->options.server[0]);
    c->options.server_count = 1;
    for (size_t i = 0; i < c->cli.operand_count; i++) {
        if (c->cli.operand[i][0] == '@') {
            parse_server(c, c->cli.operand[i]);
        } else if (count < 2) {
            word[count++] = c->cli.operand[i];
        } else {
            cli_fail_usage(&c->cli, "unexpected argument '%s'", c->cli.operand[i]);
        }
    }
    if (word[0] == NULL) {
        cli_fail_usage(&c->cli, "NAME is missing");
    }
    struct kirim_dns_name root;
    kirim_dns_name_root(&root);
    const kirim_err err = kirim_dns_name_parse(word[0], strlen(word[0]), &root, &c->options.name);
    if (err < 0) {
        cli_fail_usage(&c->cli, "'%s': %s", word[0], kirim_dns_err_text(err));
    }
    if (kirim_dns_type_parse(word[1], strlen(word[1]), &c->options.type) < 0) {
        cli_fail_usage(&c->cli, "'%s' is not a type, such as AAAA or TYPE65280", word[1]);
    }
}

static void parse_options(struct client *c, int argc, char **argv)
{
    const struct cli_option options[] = {
        { .name = "--timeout-ms",
          .value = "T",
          .number = &c->timeout_ms,
          .number_min = 1,
          .number_max = 60000,
          .help = "wait so long for the first try, twice as long for each further; default: 2000" },
        { .name = "--retries",
          .value = "R",
          .number = &c->retries,
          .number_max = KIRIM_DNS_QUERY_TRY_COUNT_MAX - 1,
          .help = "ask again so often; default: 2" },
        { .name = "--count",
          .value = "N",
          .number = &c->count,
          .number_min = 1,
          .number_max = COUNT_MAX,
          .help = "ask so many times, 16 at a time, and print the median round trip; default: 1" },
        { .name = "--iterative",
          .is_given = &c->is_iterative,
          .help = "do not ask the server to ask others" },
        { .name = "--no-cookie", .is_given = &c->is_without_cookies, .help = "send no DNS cookie" },
        { .name = "--json", .is_given = &c->is_json, .help = "print one JSON object" },
    };
    const struct cli_program program = {
        .name = "dnsq",
        .operands = "[@SERVER[:PORT]] NAME [TYPE]",
        .summary =
            "Asks a DNS server over UDP. SERVER is numeric; default: 127.0.0.1:53. TYPE is A\n"
            "unless it is given. Succeeds if every question is answered with NOERROR.",
        .is_without_stats = true, /* each question has an endpoint of its own, for a moment */
        .operand_min = 1,
        .operand_max = 3,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    c->count = 1;
    c->timeout_ms = 2000;
    c->retries = 2;
    cli_parse(&c->cli, &program, argc, argv);
    c->options = (struct kirim_dns_query_options)KIRIM_DNS_QUERY_OPTIONS_INIT;
    c->options.timeout_ns = c->timeout_ms * NS_PER_MS;
    c->options.try_count = (uint32_t)c->retries + 1;
    c->options.is_recursion_desired = !c->is_iterative;
    c->options.is_without_cookies = c->is_without_cookies;
    parse_operands(c);
}

int main(int argc, char **argv)
{
    static struct client client;
    struct client *const c = &client;
    parse_options(c, argc, argv);
    const struct kirim_loop_options options = cli_loop_options(&c->cli);
    const kirim_err err = kirim_loop_open(&options, &c->loop);
    if (err < 0) {
        return cli_fail(&c->cli, err, "cannot open a loop");
    }
    const int status = run_client(c);
    stop_release();
    (void)kirim_loop_close(c->loop);
    print_summary(c);
    return status;
}
