/* SPDX-License-Identifier: MIT
 *
 * kirim-probe: what kirim can do on this machine. Opens every reactor of this build, and on it a
 * few endpoints on loopback addresses, tries what they promise, and says what is missing and how to
 * get it. Sends nothing to any other machine, and is bounded in time: 20 timers of 1 ms and one
 * datagram a family, each with a time-out.
 */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/report.h"
#include "common/stop.h"

static const uint64_t TIMER_NS = 1000000;
static const uint64_t ARRIVAL_NS_MAX = 1000000000;

/* What a run of the loop waits for. */
struct wait {
    const struct cli *cli;
    struct kirim_loop *loop;
    struct probe_reactor *reactor;
    bool has_arrived;
    size_t bytes;
};

uint32_t probe_caps_known(void)
{
    uint32_t known = 0;
    for (unsigned bit = 0; bit < 32; bit++) {
        const uint32_t cap = (uint32_t)1 << bit;
        known |= strcmp(kirim_cap_name(cap), "?") != 0 ? cap : 0;
    }
    return known;
}

void probe_add_hint(struct probe *p, const char *what, const char *how)
{
    if (p->hint_count < PROBE_HINT_MAX) {
        struct probe_hint *hint = &p->hint[p->hint_count++];
        (void)snprintf(hint->what, sizeof hint->what, "%s", what);
        (void)snprintf(hint->how, sizeof hint->how, "%s", how);
    }
}

/* Timers */

static void on_measured(struct kirim_timer *timer)
{
    struct wait *wait = (struct wait *)timer->user;
    struct probe_reactor *reactor = wait->reactor;
    const uint64_t now = kirim_loop_now(wait->loop);
    reactor->late_ns[reactor->timer_count++] = now - timer->deadline_ns;
    if (reactor->timer_count == PROBE_TIMER_COUNT) {
        kirim_loop_stop(wait->loop);
    } else {
        (void)kirim_timer_arm(wait->loop, timer, now + TIMER_NS);
    }
}

static int compare_times(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void measure_timers(struct kirim_loop *loop, struct probe_reactor *reactor)
{
    struct wait wait = { .loop = loop, .reactor = reactor };
    struct kirim_timer timer = KIRIM_TIMER_INIT(on_measured, &wait);
    (void)kirim_timer_arm(loop, &timer, kirim_loop_now(loop) + TIMER_NS);
    (void)kirim_loop_run(loop);
    kirim_timer_cancel(&timer);
    qsort(reactor->late_ns, reactor->timer_count, sizeof reactor->late_ns[0], compare_times);
}

/* Endpoints */

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct wait *wait = (struct wait *)user;
    (void)ep;
    if (batch->first->bytes == wait->bytes && (batch->first->flags & KIRIM_RX_TRUNCATED) == 0) {
        wait->has_arrived = true;
    }
    kirim_loop_stop(wait->loop);
}

static void on_waited(struct kirim_timer *timer)
{
    kirim_loop_stop(((struct wait *)timer->user)->loop);
}

static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = on_received };

static kirim_err open_endpoint(struct wait *wait, int family, uint32_t buffer_bytes, uint32_t flags,
                               struct kirim_endpoint **out)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    (void)kirim_addr_parse(family == KIRIM_IPV4 ? "127.0.0.1:0" : "[::1]:0", &options.local);
    for (size_t i = 0; i < wait->cli->listen_count; i++) {
        if (kirim_addr_family(&wait->cli->listen[i]) == family) {
            options.local = wait->cli->listen[i];
            kirim_addr_set_port(&options.local, 0); /* several endpoints are opened on it */
        }
    }
    options.receive_buffer_bytes = buffer_bytes;
    options.send_buffer_bytes = buffer_bytes;
    options.flags = flags;
    options.handler = &handler;
    options.user = wait;
    return kirim_endpoint_open(wait->loop, &options, out);
}

static struct probe_buffers probe_buffers(struct wait *wait, int family, uint32_t buffer_bytes,
                                          uint32_t flags)
{
    struct probe_buffers found = { .err = KIRIM_OK };
    struct kirim_endpoint *ep = NULL;
    found.err = open_endpoint(wait, family, buffer_bytes, flags, &ep);
    if (found.err == KIRIM_OK) {
        found.err = kirim_endpoint_buffers(ep, &found.receive_bytes, &found.send_bytes);
        (void)kirim_endpoint_close(ep);
    }
    return found;
}

/* Sends the largest datagram from an endpoint to itself. */
static void send_largest(struct wait *wait, struct kirim_endpoint *ep)
{
    static const uint8_t zeros[KIRIM_PAYLOAD_IPV6_BYTES_MAX];
    const struct kirim_addr self = kirim_endpoint_local(ep);
    struct kirim_timer timer = KIRIM_TIMER_INIT(on_waited, wait);
    if (wait->bytes <= sizeof zeros &&
        kirim_endpoint_send_to(ep, zeros, wait->bytes, &self) == KIRIM_OK) {
        (void)kirim_timer_arm(wait->loop, &timer, kirim_loop_now(wait->loop) + ARRIVAL_NS_MAX);
        (void)kirim_loop_run(wait->loop);
        kirim_timer_cancel(&timer);
    }
}

static void probe_family(const struct cli *cli, struct kirim_loop *loop, struct probe_family *found)
{
    struct wait wait = { .cli = cli, .loop = loop };
    struct report report;
    struct kirim_endpoint *ep = NULL;
    found->err = open_endpoint(&wait, found->family, 0, 0, &ep);
    if (found->err < 0) {
        return;
    }
    found->payload_bytes_max = kirim_endpoint_payload_bytes_max(ep, NULL);
    wait.bytes = found->payload_bytes_max;
    report_start(&report, cli, loop);
    report_add(&report, ep);
    send_largest(&wait, ep);
    report_end(&report);
    found->has_largest_arrived = wait.has_arrived;
    (void)kirim_endpoint_close(ep);
    found->by_default = probe_buffers(&wait, found->family, 0, 0);
    found->plain = probe_buffers(&wait, found->family, PROBE_BUFFER_BYTES, 0);
    found->forced =
        probe_buffers(&wait, found->family, PROBE_BUFFER_BYTES, KIRIM_ENDPOINT_FORCE_BUFFERS);
    (void)kirim_loop_step(loop, 0); /* the endpoints that were closed end here, with `wait` */
}

/* Reactors */

static void probe_reactor(struct probe *p, struct probe_reactor *found)
{
    struct kirim_loop *loop = NULL;
    struct kirim_loop_options options = cli_loop_options(&p->cli);
    options.reactor = found->name;
    found->err = kirim_loop_open(&options, &loop);
    if (found->err < 0) {
        return;
    }
    found->caps = kirim_loop_caps(loop);
    found->timer_resolution_ns = kirim_loop_timer_resolution_ns(loop);
    if (stop_catch(loop) && !stop_is_asked()) {
        measure_timers(loop, found);
        for (size_t i = 0; i < PROBE_FAMILY_COUNT && !stop_is_asked(); i++) {
            found->family[i].family = i == 0 ? KIRIM_IPV4 : KIRIM_IPV6;
            probe_family(&p->cli, loop, &found->family[i]);
        }
    }
    stop_release();
    (void)kirim_loop_close(loop);
}

static void add_hints(struct probe *p)
{
    bool has_ipv6 = false;
    size_t open_count = 0;
    for (size_t i = 0; i < p->reactor_count; i++) {
        const struct probe_reactor *r = &p->reactor[i];
        if (r->err < 0) {
            char what[PROBE_HINT_BYTES];
            (void)snprintf(what, sizeof what, "reactor %s does not open: %s", r->name,
                           kirim_err_text(r->err));
            probe_add_hint(p, what,
                           "use another reactor, or a system that has what it is built on");
            continue;
        }
        open_count++;
        has_ipv6 = has_ipv6 || ((r->caps & KIRIM_CAP_VIRTUAL_TIME) == 0 && r->family[1].err == 0);
    }
    if (open_count > 0 && !has_ipv6 && p->cli.reactor == NULL) {
        probe_add_hint(p, "no endpoint opens over IPv6", "enable IPv6 on the loopback interface");
    }
    probe_add_platform_hints(p);
}

/* The names of the reactors that open, for scripts. */
static int print_reactors(struct cli *cli)
{
    int status = CLI_FAILURE;
    for (size_t i = 0; kirim_reactor_name(i) != NULL; i++) {
        struct kirim_loop *loop = NULL;
        struct kirim_loop_options options = cli_loop_options(cli);
        options.reactor = kirim_reactor_name(i);
        if (cli->reactor != NULL && strcmp(cli->reactor, options.reactor) != 0) {
            continue;
        }
        if (kirim_loop_open(&options, &loop) == KIRIM_OK) {
            (void)printf("%s\n", options.reactor);
            status = CLI_SUCCESS;
            (void)kirim_loop_close(loop);
        }
    }
    return status;
}

static int probe_all(struct probe *p, bool is_json)
{
    int status = CLI_FAILURE;
    for (size_t i = 0; kirim_reactor_name(i) != NULL; i++) {
        const char *const name = kirim_reactor_name(i);
        if ((p->cli.reactor != NULL && strcmp(p->cli.reactor, name) != 0) ||
            p->reactor_count == PROBE_REACTOR_MAX) {
            continue;
        }
        struct probe_reactor *found = &p->reactor[p->reactor_count++];
        found->name = name;
        probe_reactor(p, found);
        if (stop_is_asked()) {
            return CLI_SUCCESS; /* and half a report is none */
        }
        status = found->err == KIRIM_OK ? CLI_SUCCESS : status;
    }
    add_hints(p);
    if (is_json) {
        probe_print_json(p);
    } else {
        probe_print_text(p);
    }
    return status;
}

int main(int argc, char **argv)
{
    static struct probe probe;
    bool is_json = false;
    bool is_names = false;
    const struct cli_option options[] = {
        { .name = "--json", .is_given = &is_json, .help = "print one JSON object" },
        { .name = "--reactors",
          .is_given = &is_names,
          .help = "print only the names of the reactors that open" },
    };
    const struct cli_program program = {
        .name = "kirim-probe",
        .summary = "Tells what kirim can do on this machine, and what is missing.",
        .listen_help = "probe this address, port 0, instead of 127.0.0.1 or ::1; repeatable",
        .listen_max = PROBE_FAMILY_COUNT,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    cli_parse(&probe.cli, &program, argc, argv);
    return is_names ? print_reactors(&probe.cli) : probe_all(&probe, is_json);
}
