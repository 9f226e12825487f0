/* SPDX-License-Identifier: MIT
 *
 * coap: asks a CoAP server (RFC 7252, 7641, 7959, 9175, 7967), or a group of them.
 *
 * The protocol is in protocols/coap: client.h has calls, coap_endpoint.h a way to the server. The
 * answer's body goes to stdout, what else there is to say to stderr. The exit status is 0 if the
 * answer's code is one of success.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <coap/coap_endpoint.h>
#include <coap/uri.h>

#include "coap_secure.h"
#include "common/cli.h"
#include "common/stop.h"

enum {
    OPTION_COUNT_MAX = 16 + COAP_SECURE_OPTION_COUNT_MAX,
    EXTRA_COUNT_MAX = 8,
    FILE_BYTES_MAX = 64 << 20,
    STEP_COUNT_MAX = 1000
};

static const uint64_t ns_per_s = UINT64_C(1000000000);
static const uint64_t ns_per_ms = UINT64_C(1000000);
static const uint64_t step_ns = 10000000;

struct program {
    struct cli cli;
    struct kirim_loop *loop;
    struct kirim_coap_node node;
    struct kirim_coap_uri uri;
    struct coap_secure secure;
    struct kirim_coap_call call;
    struct kirim_coap_peer *peer; /* NULL: it has gone */
    struct kirim_stack *stack;
    struct kirim_timer timer; /* the end of an observation */
    struct kirim_coap_option options[KIRIM_COAP_CALL_OPTION_COUNT_MAX];
    size_t option_count;
    uint8_t numbers[EXTRA_COUNT_MAX][4];
    const char *extra_text[EXTRA_COUNT_MAX];
    struct cli_list extras;
    const char *data, *file, *local;
    uint8_t *file_data;
    uint64_t accept, format, block, observe_s, timeout_ms, ifindex, no_response, body_bytes_max;
    bool is_non, is_quiet, is_ended, is_answered, has_observe, has_no_response;
    kirim_err err;
    uint8_t code; /* of the last answer */
};

/* ---- answers --------------------------------------------------------------------------------- */

static void on_answered(struct kirim_coap_call *call, const struct kirim_coap_answer *answer)
{
    struct program *const p = call->user;
    char code[KIRIM_COAP_CODE_TEXT_BYTES];
    char from[KIRIM_ADDR_TEXT_BYTES];
    kirim_coap_code_text(answer->code, code);
    (void)kirim_addr_format(&answer->from, from, sizeof from);
    p->code = answer->code;
    p->is_answered = true;
    if (!p->is_quiet) {
        cli_say(&p->cli, "%s %s from %s, %zu bytes", code, kirim_coap_code_name(answer->code), from,
                answer->body.bytes);
    }
    if (answer->body.bytes > 0) {
        (void)fwrite(answer->body.data, 1, answer->body.bytes, stdout);
    }
    if (answer->body.bytes > 0 && (answer->is_notification || call->type == KIRIM_COAP_NON) &&
        answer->body.data[answer->body.bytes - 1] != '\n') {
        (void)fputc('\n', stdout); /* another answer may follow */
    }
    (void)fflush(stdout);
}

static void on_ended(struct kirim_coap_call *call, kirim_err err)
{
    struct program *const p = call->user;
    p->is_ended = true;
    p->err = err;
    kirim_loop_stop(p->loop);
}

static void on_closed(struct kirim_coap_peer *peer, kirim_err why, void *user)
{
    struct program *const p = user;
    (void)peer;
    (void)why;
    p->peer = NULL;
}

static void on_time_over(struct kirim_timer *timer)
{
    struct program *const p = timer->user;
    kirim_coap_call_cancel(&p->call, kirim_loop_now(p->loop));
}

/* ---- the command line ------------------------------------------------------------------------ */

static void add_option(struct program *p, uint16_t number, struct kirim_coap_span value)
{
    size_t at = p->option_count;
    if (at == KIRIM_COAP_CALL_OPTION_COUNT_MAX) {
        cli_fail_usage(&p->cli, "too many options");
    }
    for (; at > 0 && p->options[at - 1].number > number; at--) {
        p->options[at] = p->options[at - 1];
    }
    p->options[at] = (struct kirim_coap_option){ number, value };
    p->option_count++;
}

/* An option with a number, whose bytes lie in `slot`. */
static void add_number(struct program *p, size_t slot, uint16_t number, uint64_t value)
{
    uint8_t *const bytes = p->numbers[slot];
    size_t skipped = 0;
    for (size_t i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
    }
    while (skipped < 4 && bytes[skipped] == 0) {
        skipped++;
    }
    add_option(p, number, (struct kirim_coap_span){ bytes + skipped, 4 - skipped });
}

/* NUMBER,TEXT */
static void add_extra(struct program *p, const char *text)
{
    char digits[8];
    uint64_t number = 0;
    const char *const comma = strchr(text, ',');
    const size_t bytes = comma != NULL ? (size_t)(comma - text) : strlen(text);
    (void)snprintf(digits, sizeof digits, "%.*s", bytes < sizeof digits ? (int)bytes : 0, text);
    if (bytes >= sizeof digits || !cli_parse_number(digits, 1, UINT16_MAX, &number)) {
        cli_fail_usage(&p->cli, "'%s' is not NUMBER or NUMBER,TEXT", text);
    }
    add_option(p, (uint16_t)number, kirim_coap_span_text(comma != NULL ? comma + 1 : ""));
}

static uint8_t method_of(const struct program *p, const char *verb)
{
    static const char *const verbs[] = { "ping",   "get",   "post",  "put",
                                         "delete", "fetch", "patch", "ipatch" };
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i], verb) == 0) {
            return (uint8_t)i;
        }
    }
    cli_fail_usage(&p->cli, "'%s' is none of get, put, post, delete, fetch, patch, ipatch, ping",
                   verb);
}

/* Reads a file to its end, into memory that grows; false: it cannot be, or is too long. */
static bool load(FILE *file, uint8_t **data, size_t *bytes)
{
    size_t room = 0;
    size_t got = 1;
    while (got > 0 && *bytes <= FILE_BYTES_MAX) {
        if (*bytes == room) {
            const size_t wanted = room > 0 ? room * 2 : 65536;
            uint8_t *const more = realloc(*data, wanted);
            if (more == NULL) {
                return false;
            }
            *data = more;
            room = wanted;
        }
        got = fread(*data + *bytes, 1, room - *bytes, file);
        *bytes += got;
    }
    return ferror(file) == 0 && *bytes <= FILE_BYTES_MAX;
}

static void read_file(struct program *p)
{
    FILE *const file = fopen(p->file, "rb");
    size_t bytes = 0;
    bool is_read = false;
    if (file != NULL) {
        is_read = load(file, &p->file_data, &bytes);
        (void)fclose(file);
    }
    if (!is_read) {
        cli_fail_usage(&p->cli, "%s: cannot be read, or is too long", p->file);
    }
    p->call.body = (struct kirim_coap_span){ p->file_data, bytes };
}

static void fill_call(struct program *p)
{
    const kirim_err err = kirim_coap_uri_parse(p->cli.operand[1], &p->uri);
    if (err < 0) {
        cli_fail_usage(&p->cli, "'%s' is not like coap://192.0.2.1:5683/path?query",
                       p->cli.operand[1]);
    }
    for (size_t i = 0; i < p->uri.option_count; i++) {
        add_option(p, p->uri.options[i].number, p->uri.options[i].value);
    }
    for (size_t i = 0; i < p->extras.count; i++) {
        add_extra(p, p->extras.item[i]);
    }
    if (p->accept != KIRIM_COAP_FORMAT_NONE) {
        add_number(p, 0, KIRIM_COAP_ACCEPT, p->accept);
    }
    if (p->format != KIRIM_COAP_FORMAT_NONE) {
        add_number(p, 1, KIRIM_COAP_CONTENT_FORMAT, p->format);
    }
    if (p->has_no_response) {
        add_number(p, 2, KIRIM_COAP_NO_RESPONSE, p->no_response);
    }
    p->call = (struct kirim_coap_call)KIRIM_COAP_CALL_INIT(method_of(p, p->cli.operand[0]),
                                                           on_answered, on_ended, p);
    p->call.type = p->is_non ? KIRIM_COAP_NON : KIRIM_COAP_CON;
    p->call.is_observing = p->has_observe;
    p->call.asks_size = p->block != 0;
    p->call.szx = kirim_coap_block_szx(p->block != 0 ? (size_t)p->block : 1024);
    p->call.timeout_ns = p->timeout_ms * ns_per_ms;
    p->call.options = p->options;
    p->call.option_count = p->option_count;
    if (p->data != NULL) {
        p->call.body = kirim_coap_span_text(p->data);
    } else if (p->file != NULL) {
        read_file(p);
    }
}

/* What a call would be refused for, said in the words of the command line. */
static void check_call(struct program *p)
{
    const uint8_t method = p->call.method;
    if (p->data != NULL && p->file != NULL) {
        cli_fail_usage(&p->cli, "--data and --file: one of them");
    }
    if (p->has_observe && method != KIRIM_COAP_GET && method != KIRIM_COAP_FETCH) {
        cli_fail_usage(&p->cli, "--observe is for get and fetch");
    }
    if (kirim_addr_is_multicast(&p->uri.addr) && !p->is_non) {
        cli_fail_usage(&p->cli, "a group is asked with --non");
    }
    if (p->uri.is_secure) {
        coap_secure_check(&p->secure, &p->cli, false);
        p->secure.handshake_ns = p->call.timeout_ns; /* it is part of the wait for an answer */
    }
}

/* The options of this program; how many. */
static size_t list_options(struct program *p, struct cli_option out[OPTION_COUNT_MAX])
{
    const struct cli_option options[] = {
        { .name = "--non", .is_given = &p->is_non, .help = "send it once, not confirmable" },
        { .name = "--observe",
          .value = "S",
          .number = &p->observe_s,
          .number_min = 1,
          .number_max = 1000000,
          .is_given = &p->has_observe,
          .help = "go on telling what changes for so many seconds" },
        { .name = "--data", .value = "TEXT", .text = &p->data, .help = "the body" },
        { .name = "--file", .value = "FILE", .text = &p->file, .help = "the body is in a file" },
        { .name = "--block",
          .value = "BLOCK",
          .number = &p->block,
          .number_min = 16,
          .number_max = KIRIM_COAP_BLOCK_BYTES_MAX,
          .help = "blocks of at most so many bytes, both ways" },
        { .name = "--accept",
          .value = "N",
          .number = &p->accept,
          .number_max = UINT16_MAX,
          .help = "the content format that is wanted" },
        { .name = "--format",
          .value = "N",
          .number = &p->format,
          .number_max = UINT16_MAX,
          .help = "the content format of the body" },
        { .name = "--option",
          .value = "N[,TEXT]",
          .list = &p->extras,
          .help = "any other option; repeatable" },
        { .name = "--no-response",
          .value = "N",
          .number = &p->no_response,
          .number_max = 255,
          .is_given = &p->has_no_response,
          .help = "classes of answers that are not wanted: 2, 8, 16, or a sum" },
        { .name = "--timeout-ms",
          .value = "T",
          .number = &p->timeout_ms,
          .number_min = 1,
          .number_max = 86400000,
          .help = "wait so long for an answer, or for all of a group; default: 93000" },
        { .name = "--body-bytes-max",
          .value = "N",
          .number = &p->body_bytes_max,
          .number_min = 1,
          .number_max = 1 << 28,
          .help = "take no longer answer; default: 16777216" },
        { .name = "--interface",
          .value = "N",
          .number = &p->ifindex,
          .number_max = UINT32_MAX,
          .help = "index of the interface to a group; default: by route" },
        { .name = "--local", .value = "ADDR", .text = &p->local, .help = "ask from this address" },
        { .name = "--quiet", .is_given = &p->is_quiet, .help = "print bodies only" },
    };
    _Static_assert(sizeof options + COAP_SECURE_OPTION_COUNT_MAX * sizeof out[0] <=
                       OPTION_COUNT_MAX * sizeof out[0],
                   "room for all");
    memcpy(out, options, sizeof options);
    const size_t count = sizeof options / sizeof options[0];
    return count + coap_secure_list_options(&p->secure, false, out + count);
}

static void parse_options(struct program *p, int argc, char **argv)
{
    struct cli_option options[OPTION_COUNT_MAX];
    const size_t option_count = list_options(p, options);
    const struct cli_program program = {
        .name = "coap",
        .operands = "get|put|post|delete|fetch|patch|ipatch|ping URI",
        .summary = "Asks a CoAP server, e.g. coap get coap://127.0.0.1/time; the host is numeric.\n"
                   "A group is asked with --non. The body goes to stdout.",
        .is_without_stats = true, /* the endpoint is gone when there is something to say */
        .operand_min = 2,
        .operand_max = 2,
        .options = options,
        .option_count = option_count,
    };
    p->extras = (struct cli_list){ p->extra_text, 0, EXTRA_COUNT_MAX };
    p->accept = KIRIM_COAP_FORMAT_NONE;
    p->format = KIRIM_COAP_FORMAT_NONE;
    p->body_bytes_max = 16 << 20;
    cli_parse(&p->cli, &program, argc, argv);
    fill_call(p);
    check_call(p);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static kirim_err start(struct program *p)
{
    struct kirim_coap_node_options options = KIRIM_COAP_NODE_OPTIONS_INIT;
    struct kirim_coap_dial_options dial = { .peer = p->uri.addr, .closed = on_closed, .user = p };
    options.duplicate_count_max = 16; /* nobody asks a client */
    options.body_bytes_max = (size_t)p->body_bytes_max;
    if (p->local != NULL && kirim_addr_parse(p->local, &dial.local) < 0) {
        cli_fail_usage(&p->cli, "'%s' is not a numeric address", p->local);
    }
    kirim_err err = kirim_coap_node_open(&p->node, p->loop, &options);
    if (err < 0) {
        return err;
    }
    if (p->uri.is_secure) {
        if (!coap_secure_open(&p->secure, &p->cli, p->loop, false)) {
            return KIRIM_EINVAL;
        }
        dial.lower = &p->secure.layer;
        dial.lower_count = 1;
    }
    err = kirim_coap_dial(p->loop, &p->node, &dial, &p->peer, &p->stack);
    if (err < 0) {
        return err;
    }
    if (kirim_addr_is_multicast(&p->uri.addr) && p->ifindex != 0) {
        struct kirim_multicast_options multicast = KIRIM_MULTICAST_OPTIONS_INIT;
        multicast.ifindex = (uint32_t)p->ifindex;
        err = kirim_endpoint_set_multicast(kirim_stack_endpoint(p->stack), &multicast);
    }
    if (err >= 0) {
        err = kirim_coap_call_start(p->peer, &p->call, kirim_loop_now(p->loop));
    }
    if (err >= 0 && p->has_observe) {
        p->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_time_over, p);
        err = kirim_timer_arm_after(p->loop, &p->timer, p->observe_s * ns_per_s);
    }
    return err;
}

static int print_result(const struct program *p)
{
    if (!p->is_answered && p->has_no_response && p->err == KIRIM_ETIMEDOUT) {
        return CLI_SUCCESS; /* no answer, as was asked */
    }
    if (!p->is_answered && p->err == KIRIM_OK && p->call.method != KIRIM_COAP_EMPTY) {
        cli_say(&p->cli, "%s: nobody answered", p->cli.operand[1]); /* of a group */
        return CLI_FAILURE;
    }
    if (p->err < 0 && !(p->is_answered && p->err == KIRIM_EABORTED)) {
        return cli_fail(&p->cli, p->err, p->cli.operand[1]);
    }
    if (p->call.method == KIRIM_COAP_EMPTY) {
        cli_say(&p->cli, "it is there");
        return CLI_SUCCESS;
    }
    return p->is_answered && kirim_coap_class(p->code) == 2 ? CLI_SUCCESS : CLI_FAILURE;
}

static int ask(struct program *p)
{
    if (!stop_catch(p->loop)) {
        return cli_fail(&p->cli, KIRIM_ESYSTEM, "signals");
    }
    kirim_err err = start(p);
    if (err >= 0 && !p->is_ended) {
        err = kirim_loop_run(p->loop);
    }
    stop_release();
    if (p->stack != NULL && p->peer != NULL) {
        (void)kirim_stack_drain(p->stack, kirim_loop_now(p->loop) + ns_per_s);
    }
    for (int n = 0; n < STEP_COUNT_MAX && p->peer != NULL; n++) {
        (void)kirim_loop_step(p->loop, step_ns);
    }
    kirim_timer_cancel(&p->timer);
    if (p->node.options.env.alloc != NULL) {
        kirim_coap_node_fini(&p->node);
    }
    return err < 0 ? cli_fail(&p->cli, err, p->cli.operand[1]) : print_result(p);
}

int main(int argc, char **argv)
{
    static struct program program;
    struct program *const p = &program;
    parse_options(p, argc, argv);
    const struct kirim_loop_options options = cli_loop_options(&p->cli);
    const kirim_err err = kirim_loop_open(&options, &p->loop);
    if (err < 0) {
        return cli_fail(&p->cli, err, "cannot open a loop");
    }
    const int status = ask(p);
    stop_release();
    (void)kirim_loop_close(p->loop);
    coap_secure_close(&p->secure);
    free(p->file_data);
    return status;
}
