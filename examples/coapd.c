/* SPDX-License-Identifier: MIT
 *
 * coapd: a CoAP server (RFC 7252, 7641, 7959, 6690, 9175, 7967).
 *
 * The protocol is in protocols/coap: node.h is the message layer, server.h answers requests,
 * coap_endpoint.h puts that on sessions of a loop. What it offers is in coapd_resources.h.
 * Everything runs in one thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <coap/coap_endpoint.h>

#include "coap_secure.h"
#include "coapd_resources.h"
#include "common/cli.h"
#include "common/report.h"
#include "common/stop.h"

enum {
    RECEIVE_BUFFER_BYTES = 1 << 20, /* for bursts of requests; the system may give less */
    GROUP_COUNT_MAX = 8,
    OPTION_COUNT_MAX = 16 + COAP_SECURE_OPTION_COUNT_MAX,
    STEP_COUNT_MAX = 1000
};

static const uint64_t step_ns = 10000000;

struct daemon {
    struct cli cli;
    const char *group_text[GROUP_COUNT_MAX];
    struct cli_list groups;
    struct kirim_addr group[GROUP_COUNT_MAX];
    uint64_t ifindex, peer_count_max, body_bytes_max, leisure_ms, block_bytes;
    bool is_trusting;
    struct kirim_loop *loop;
    struct report report;
    struct kirim_coap_node node;
    struct coapd_resources resources;
    struct coap_secure secure;
    struct kirim_coap_service service[CLI_LISTEN_MAX + 1];
    size_t service_count;
};

/* Joins the groups of an endpoint's family. */
static kirim_err join_groups(const struct daemon *d, const struct kirim_coap_service *service)
{
    const struct kirim_addr local = kirim_endpoint_local(service->endpoint);
    for (size_t i = 0; i < d->groups.count; i++) {
        struct kirim_membership membership = KIRIM_MEMBERSHIP_INIT;
        membership.group = d->group[i];
        membership.ifindex = (uint32_t)d->ifindex;
        if (kirim_addr_family(&membership.group) != kirim_addr_family(&local)) {
            continue;
        }
        const kirim_err err = kirim_endpoint_join(service->endpoint, &membership);
        if (err < 0) {
            (void)cli_fail(&d->cli, err, d->groups.item[i]);
            return err;
        }
    }
    return KIRIM_OK;
}

static kirim_err listen_on(struct daemon *d, const struct kirim_addr *addr, bool is_secure)
{
    char text[KIRIM_ADDR_TEXT_BYTES];
    struct kirim_coap_service *const service = &d->service[d->service_count];
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_coap_service_options options = KIRIM_COAP_SERVICE_OPTIONS_INIT;
    endpoint.local = *addr;
    endpoint.receive_buffer_bytes = RECEIVE_BUFFER_BYTES;
    options.endpoint = &endpoint;
    options.is_trusting = d->is_trusting;
    options.peer_count_max = (uint32_t)d->peer_count_max;
    if (is_secure) {
        options.lower = &d->secure.layer;
        options.lower_count = 1;
        options.admit = coap_secure_admit;
        options.admit_user = &d->secure;
    }
    kirim_err err = kirim_coap_service_open(service, d->loop, &d->node, &options);
    if (err < 0) {
        return cli_fail_addr(&d->cli, err, addr);
    }
    d->service_count++;
    err = join_groups(d, service);
    if (err < 0) {
        return err;
    }
    report_add(&d->report, service->endpoint);
    const struct kirim_addr local = kirim_endpoint_local(service->endpoint);
    (void)kirim_addr_format(&local, text, sizeof text);
    cli_say(&d->cli, "listening on %s (%s%s)", text, kirim_loop_reactor(d->loop),
            is_secure ? ", coaps" : "");
    return KIRIM_OK;
}

static bool listen_securely(struct daemon *d)
{
    struct kirim_addr addr;
    if (!cli_parse_addr(d->secure.listen, &addr)) {
        cli_fail_usage(&d->cli, "--dtls-listen: '%s' is not a numeric address with a port",
                       d->secure.listen);
    }
    return coap_secure_open(&d->secure, &d->cli, d->loop, true) && listen_on(d, &addr, true) >= 0;
}

/* What the node counted; kirim's own counters are in the report. */
static void print_counters(const struct daemon *d)
{
    const struct kirim_coap_stats *const s = &d->node.stats;
    cli_say(&d->cli,
            "coap received=%" PRIu64 " no_coap=%" PRIu64 " malformed=%" PRIu64 " ignored=%" PRIu64
            " requests=%" PRIu64 " repeated=%" PRIu64 " refused=%" PRIu64 " echo_asked=%" PRIu64
            " echo_good=%" PRIu64 " echo_bad=%" PRIu64 " resets_sent=%" PRIu64
            " resets_received=%" PRIu64 " sent=%" PRIu64 " send_failed=%" PRIu64 " resent=%" PRIu64
            " timed_out=%" PRIu64 " notifications=%" PRIu64 " observers_added=%" PRIu64
            " observers_lost=%" PRIu64 " full=%" PRIu64 " no_memory=%" PRIu64,
            s->received, s->no_coap, s->malformed, s->ignored, s->requests, s->repeated, s->refused,
            s->echo_asked, s->echo_good, s->echo_bad, s->resets_sent, s->resets_received, s->sent,
            s->send_failed, s->resent, s->timed_out, s->notifications, s->observers_added,
            s->observers_lost, s->full, s->no_memory);
}

/* Ends the services: their peers' memory goes back to the node, which goes back to the loop. */
static void close_services(struct daemon *d)
{
    for (size_t i = 0; i < d->service_count; i++) {
        kirim_coap_service_close(&d->service[i]);
    }
    for (size_t i = 0; i < d->service_count; i++) {
        for (int n = 0; n < STEP_COUNT_MAX && d->service[i].set != NULL; n++) {
            (void)kirim_loop_step(d->loop, step_ns);
        }
    }
}

static int serve(struct daemon *d, bool is_default)
{
    const struct cli *cli = &d->cli;
    int status = CLI_SUCCESS;
    report_start(&d->report, cli, d->loop);
    if (!stop_catch(d->loop)) {
        return cli_fail(cli, KIRIM_ESYSTEM, "signals");
    }
    for (size_t i = 0; i < cli->listen_count; i++) {
        const kirim_err err = listen_on(d, &cli->listen[i], false);
        /* A host without IPv6 is served over IPv4, unless the user named the address. */
        if (err < 0 && !(is_default && err == KIRIM_EAFNOSUPPORT)) {
            status = CLI_FAILURE;
            break;
        }
    }
    if (status == CLI_SUCCESS && d->secure.listen != NULL && !listen_securely(d)) {
        status = CLI_FAILURE;
    }
    if (status == CLI_SUCCESS) {
        const kirim_err err = kirim_loop_run(d->loop);
        report_end(&d->report);
        status = err < 0 ? cli_fail(cli, err, "the loop ended") : CLI_SUCCESS;
    }
    close_services(d);
    return status;
}

/* The options of this program; how many. */
static size_t list_options(struct daemon *d, struct cli_option out[OPTION_COUNT_MAX])
{
    const struct cli_option options[] = {
        { .name = "--group",
          .value = "ADDR",
          .list = &d->groups,
          .help = "hear requests to this group too; repeatable" },
        { .name = "--interface",
          .value = "N",
          .number = &d->ifindex,
          .number_max = UINT32_MAX,
          .help = "index of the interface of the groups; default: by route" },
        { .name = "--leisure-ms",
          .value = "T",
          .number = &d->leisure_ms,
          .number_max = 60000,
          .help = "spread answers to a group's requests over this time; default: 5000" },
        { .name = "--write",
          .is_given = &d->resources.is_writable,
          .help = "PUT creates resources, for everybody" },
        { .name = "--resources-max",
          .value = "N",
          .number = &d->resources.created_count_max,
          .number_max = COAPD_CREATED_COUNT_MAX,
          .help = "at most so many; default: 64" },
        { .name = "--resource-bytes-max",
          .value = "N",
          .number = &d->resources.created_bytes_max,
          .number_max = 1 << 30,
          .help = "at most so many bytes of all of them; default: 4194304" },
        { .name = "--body-bytes-max",
          .value = "N",
          .number = &d->body_bytes_max,
          .number_min = 1,
          .number_max = 1 << 28,
          .help = "longest body of a request; default: 1048576" },
        { .name = "--large-bytes",
          .value = "N",
          .number = &d->resources.large_bytes,
          .number_min = 1,
          .number_max = 1 << 30,
          .help = "length of /large; default: 50000" },
        { .name = "--block",
          .value = "BLOCK",
          .number = &d->block_bytes,
          .number_min = 16,
          .number_max = KIRIM_COAP_BLOCK_BYTES_MAX,
          .help = "largest block, rounded down to a power of two; default: 1024" },
        { .name = "--peers-max",
          .value = "N",
          .number = &d->peer_count_max,
          .number_min = 1,
          .number_max = 1 << 20,
          .help = "so many peers at once for each --listen; default: 4096" },
        { .name = "--trust",
          .is_given = &d->is_trusting,
          .help = "ask nobody for an Echo: no address here is forged" },
    };
    _Static_assert(sizeof options + COAP_SECURE_OPTION_COUNT_MAX * sizeof out[0] <=
                       OPTION_COUNT_MAX * sizeof out[0],
                   "room for all");
    memcpy(out, options, sizeof options);
    const size_t count = sizeof options / sizeof options[0];
    return count + coap_secure_list_options(&d->secure, true, out + count);
}

static void parse_groups(struct daemon *d)
{
    for (size_t i = 0; i < d->groups.count; i++) {
        if (kirim_addr_parse(d->groups.item[i], &d->group[i]) < 0 ||
            !kirim_addr_is_multicast(&d->group[i])) {
            cli_fail_usage(&d->cli, "'%s' is not the address of a group", d->groups.item[i]);
        }
    }
}

static void parse_options(struct daemon *d, int argc, char **argv)
{
    struct cli_option options[OPTION_COUNT_MAX];
    const size_t option_count = list_options(d, options);
    const struct cli_program program = {
        .name = "coapd",
        .summary = "Serves some resources over CoAP. Without --listen it serves 0.0.0.0:5683 and\n"
                   "[::]:5683.",
        .listen_help = "serve this address; repeatable; default: port 5683, all addresses",
        .listen_max = CLI_LISTEN_MAX,
        .options = options,
        .option_count = option_count,
    };
    d->groups = (struct cli_list){ d->group_text, 0, GROUP_COUNT_MAX };
    d->resources.created_count_max = 64;
    d->resources.created_bytes_max = 4 << 20;
    d->resources.large_bytes = 50000;
    d->body_bytes_max = 1 << 20;
    d->leisure_ms = 5000;
    d->block_bytes = KIRIM_COAP_BLOCK_BYTES_MAX;
    d->peer_count_max = 4096;
    cli_parse(&d->cli, &program, argc, argv);
    parse_groups(d);
    coap_secure_check(&d->secure, &d->cli, true);
}

static kirim_err open_node(struct daemon *d)
{
    struct kirim_coap_node_options options = KIRIM_COAP_NODE_OPTIONS_INIT;
    options.body_bytes_max = (size_t)d->body_bytes_max;
    options.assembled_bytes_max = (size_t)d->body_bytes_max * 4;
    options.leisure_ns = d->leisure_ms * 1000000;
    options.deferral_count_max = COAPD_ASYNC_COUNT_MAX; /* half for who is not validated */
    options.szx = kirim_coap_block_szx((size_t)d->block_bytes);
    options.resource_count_max = COAPD_FIXED_COUNT + 1 + COAPD_CREATED_COUNT_MAX;
    kirim_err err = kirim_coap_node_open(&d->node, d->loop, &options);
    if (err < 0) {
        return err;
    }
    err = coapd_resources_open(&d->resources, d->loop, &d->node);
    if (err < 0) {
        coapd_resources_close(&d->resources);
        kirim_coap_node_fini(&d->node);
    }
    return err;
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    struct daemon *const d = &daemon;
    parse_options(d, argc, argv);
    const bool is_default = d->cli.listen_count == 0;
    if (is_default) {
        (void)kirim_addr_parse("0.0.0.0:5683", &d->cli.listen[0]);
        (void)kirim_addr_parse("[::]:5683", &d->cli.listen[1]);
        d->cli.listen_count = 2;
    }
    const struct kirim_loop_options options = cli_loop_options(&d->cli);
    kirim_err err = kirim_loop_open(&options, &d->loop);
    if (err < 0) {
        return cli_fail(&d->cli, err, "cannot open a loop");
    }
    err = open_node(d);
    if (err < 0) {
        (void)kirim_loop_close(d->loop);
        return cli_fail(&d->cli, err, "cannot make a node");
    }
    const int status = serve(d, is_default);
    stop_release();
    if (d->cli.has_stats) {
        print_counters(d);
    }
    coapd_resources_close(&d->resources);
    kirim_coap_node_fini(&d->node);
    coap_secure_close(&d->secure);
    (void)kirim_loop_close(d->loop);
    return status;
}
