/* SPDX-License-Identifier: MIT
 *
 * embed_libevent: kirim inside a program that has a libevent base already.
 *
 * One base, one thread: evhttp serves a status page, kirim echoes datagrams (RFC 862), and
 * event_base_dispatch() runs both. What belongs to kirim is: open_loop(), which joins the base,
 * on_received(), the endpoint's opening, and what embed_libevent_extras.c has. The end shows the
 * other half of the bargain: once everything is closed dispatch returns by itself, for nothing of
 * kirim is left in the base. Sources: event2/event.h, event2/http.h, docs/libevent.md.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/util.h>
#include <kirim/kirim.h>

#include "common/cli.h"
#include "common/report.h"
#include "embed_libevent_extras.h"
#include "embed_libevent_page.h"

enum {
    HTTP_SECONDS_MAX = 10, /* of silence on a connection */
    SIGNAL_COUNT = 2
};

static const uint64_t NS_PER_US = 1000;

struct server {
    struct cli cli;
    const char *http_text;   /* --http */
    const char *notify_text; /* --notify, or NULL */
    const char *snapshot;    /* --snapshot, or NULL */
    uint64_t beat_us;        /* --beat-us, or 0 */
    bool is_reading;         /* --stdin */
    struct kirim_addr http_addr;
    struct extras extras;
    struct event_base *base;
    struct evhttp *http;
    struct event *signals[SIGNAL_COUNT];
    struct kirim_loop *loop;
    struct report report;
};

/* ---- kirim: the echo ------------------------------------------------------------------------- */

/* As in echod: what comes from where servers live is not answered, or two of them would play one
 * forged datagram back and forth for ever. */
static bool is_from_server(const struct kirim_datagram *d, uint16_t own_port)
{
    const uint16_t port = kirim_addr_port(&d->peer);
    return port < 1024 || port == own_port;
}

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    const struct kirim_addr local = kirim_endpoint_local(ep);
    (void)user;
    for (size_t i = 0; i < batch->count; i++) {
        if (!is_from_server(kirim_batch_at(batch, i), kirim_addr_port(&local))) {
            (void)kirim_endpoint_reply(ep, kirim_batch_at(batch, i), 1, NULL);
        }
    }
}

static kirim_err open_loop(struct server *server)
{
    struct kirim_loop_options options = cli_loop_options(&server->cli);
    options.reactor = "libevent";
    options.reactor_context =
        server->base; /* stays ours; kirim must be closed before it is freed */
    return kirim_loop_open(&options, &server->loop);
}

static kirim_err listen_on(struct server *server, const struct kirim_addr *addr)
{
    static const struct kirim_handler handler = {
        KIRIM_HANDLER_INIT,
        .received = on_received,
    };
    struct kirim_endpoint *ep = NULL;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.local = *addr;
    options.handler = &handler;
    const kirim_err err = kirim_endpoint_open(server->loop, &options, &ep);
    if (err < 0) {
        return cli_fail_addr(&server->cli, err, addr);
    }
    report_listening(&server->report, ep);
    return KIRIM_OK;
}

/* ---- evhttp: the pages ----------------------------------------------------------------------- */

/* A datagram from inside a callback that is not kirim's. It is queued here, and leaves before the
 * base waits again. */
static void notify(struct server *server, const char *page)
{
    char text[256];
    const int bytes = evutil_snprintf(text, sizeof text, "served %s", page);
    if (bytes > 0 && (size_t)bytes < sizeof text) {
        extras_send(&server->extras, text);
    }
}

static void answer(struct evhttp_request *request, struct server *server, const char *type,
                   bool (*write_page)(struct evbuffer *out, struct kirim_loop *loop))
{
    struct evbuffer *page = evbuffer_new();
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    if (page == NULL || !write_page(page, server->loop) ||
        evhttp_add_header(headers, "Content-Type", type) < 0 ||
        evhttp_add_header(headers, "Cache-Control", "no-store") < 0) {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
    } else {
        notify(server, evhttp_request_get_uri(request));
        evhttp_send_reply(request, HTTP_OK, "OK", page);
    }
    if (page != NULL) {
        evbuffer_free(page);
    }
}

static void on_status(struct evhttp_request *request, void *user)
{
    answer(request, (struct server *)user, PAGE_HTML_TYPE, page_write_html);
}

static void on_metrics(struct evhttp_request *request, void *user)
{
    answer(request, (struct server *)user, PAGE_METRICS_TYPE, page_write_metrics);
}

static void on_snapshot(struct evhttp_request *request, void *user)
{
    struct server *server = (struct server *)user;
    if (extras_write_snapshot(server->base, server->loop, server->snapshot)) {
        evhttp_send_reply(request, HTTP_OK, "OK", NULL);
    } else {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
    }
}

static void say_http_address(const struct server *server, evutil_socket_t fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_storage room;
    } name;
    socklen_t bytes = sizeof name;
    char text[KIRIM_ADDR_TEXT_BYTES];
    struct kirim_addr addr = server->http_addr;
    if (getsockname(fd, &name.any, &bytes) == 0) {
        /* The port stands at the same place in both families' names. */
        const unsigned char *port = (const unsigned char *)&name + 2;
        kirim_addr_set_port(&addr, (uint16_t)(port[0] << 8 | port[1]));
    }
    (void)kirim_addr_format(&addr, text, sizeof text);
    cli_say(&server->cli, "status page on http://%s/", text);
}

static bool open_http(struct server *server)
{
    char text[KIRIM_ADDR_TEXT_BYTES];
    (void)kirim_addr_format(&server->http_addr, text, sizeof text);
    *strrchr(text, ':') = '\0'; /* evhttp wants the address without port and brackets */
    char *host = text;
    if (host[0] == '[') {
        host++;
        *strchr(host, ']') = '\0';
    }
    server->http = evhttp_new(server->base);
    if (server->http == NULL) {
        return false;
    }
    evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_timeout(server->http, HTTP_SECONDS_MAX);
    struct evhttp_bound_socket *bound =
        evhttp_bind_socket_with_handle(server->http, host, kirim_addr_port(&server->http_addr));
    if (bound == NULL || evhttp_set_cb(server->http, "/", on_status, server) < 0 ||
        evhttp_set_cb(server->http, "/metrics", on_metrics, server) < 0 ||
        (server->snapshot != NULL &&
         evhttp_set_cb(server->http, "/snapshot", on_snapshot, server) < 0)) {
        return false;
    }
    say_http_address(server, evhttp_bound_socket_get_fd(bound));
    return true;
}

/* ---- the program ----------------------------------------------------------------------------- */

/* Closes everything that would cause another event. Nothing breaks the dispatch: it ends because
 * nothing is left, once the endpoints have had their last callbacks. */
static void on_signal(evutil_socket_t number, short what, void *user)
{
    struct server *server = (struct server *)user;
    struct kirim_endpoint *ep = NULL;
    (void)number;
    (void)what;
    report_end(&server->report);
    extras_stop(&server->extras);
    while ((ep = kirim_loop_endpoint_next(server->loop, ep)) != NULL) {
        (void)kirim_endpoint_close(ep);
    }
    evhttp_free(server->http);
    server->http = NULL;
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        (void)event_del(server->signals[i]);
    }
}

static bool catch_signals(struct server *server)
{
    static const int numbers[SIGNAL_COUNT] = { SIGINT, SIGTERM };
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        server->signals[i] = evsignal_new(server->base, numbers[i], on_signal, server);
        if (server->signals[i] == NULL || event_add(server->signals[i], NULL) < 0) {
            return false;
        }
    }
    return true;
}

static int serve(struct server *server)
{
    report_start(&server->report, &server->cli, server->loop);
    server->extras.loop = server->loop;
    for (size_t i = 0; i < server->cli.listen_count; i++) {
        if (listen_on(server, &server->cli.listen[i]) < 0) {
            return CLI_FAILURE;
        }
    }
    if (!catch_signals(server)) {
        return cli_fail(&server->cli, KIRIM_ESYSTEM, "signals");
    }
    if (!open_http(server)) {
        cli_say(&server->cli, "--http: %s: %s", server->http_text,
                evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
        return CLI_FAILURE;
    }
    if (server->beat_us > 0) {
        extras_start_beat(&server->extras, server->beat_us * NS_PER_US);
    }
    if (server->is_reading && !extras_start_reader(&server->extras)) {
        return cli_fail(&server->cli, KIRIM_ESYSTEM, "--stdin");
    }
    if (event_base_dispatch(server->base) < 0) {
        return cli_fail(&server->cli, KIRIM_ESYSTEM, "event_base_dispatch");
    }
    return CLI_SUCCESS;
}

/* Reads the command line; ends the program if it is wrong. */
static void parse(struct server *server, int argc, char **argv)
{
    const struct cli_option options[] = {
        { .name = "--http",
          .value = "ADDR:PORT",
          .text = &server->http_text,
          .help = "serve the status page here, / and /metrics; default: 127.0.0.1:8080" },
        { .name = "--notify",
          .value = "ADDR:PORT",
          .text = &server->notify_text,
          .help = "send a datagram there for each page served" },
        { .name = "--beat-us",
          .value = "U",
          .number = &server->beat_us,
          .number_min = 1,
          .number_max = 3600000000,
          .help = "and one so often, which tells how late its timer was" },
        { .name = "--stdin",
          .is_given = &server->is_reading,
          .help = "and each line of stdin, which another thread reads" },
        { .name = "--snapshot",
          .value = "FILE",
          .text = &server->snapshot,
          .help = "serve /snapshot too: a child process writes the metrics to the file" },
    };
    const struct cli_program program = {
        .name = "embed_libevent",
        .summary =
            "Sends every UDP datagram back to where it came from (RFC 862), and serves a\n"
            "status page over HTTP, both in one libevent base. What comes from a port below\n"
            "1024, or the own one, is not answered: another server may be there.",
        .listen_help = "serve this address; repeatable; default: 127.0.0.1:7007",
        .listen_max = CLI_LISTEN_MAX,
        .is_without_reactor = true,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    server->http_text = "127.0.0.1:8080";
    cli_parse(&server->cli, &program, argc, argv);
    if (!cli_parse_addr(server->http_text, &server->http_addr)) {
        cli_fail_usage(&server->cli, "--http: '%s' is not ADDR:PORT", server->http_text);
    }
    if (server->notify_text != NULL && !cli_parse_peer(server->notify_text, &server->extras.to)) {
        cli_fail_usage(&server->cli, "--notify: '%s' is not ADDR:PORT", server->notify_text);
    }
    /* A thread that is inside a call with the loop's remote while the process forks is there for
     * ever in the child, whose closing of the loop would wait for it. */
    if (server->is_reading && server->snapshot != NULL) {
        cli_fail_usage(&server->cli, "--snapshot: not beside --stdin");
    }
    if (server->cli.listen_count == 0) {
        (void)kirim_addr_parse("127.0.0.1:7007", &server->cli.listen[0]);
        server->cli.listen_count = 1;
    }
}

int main(int argc, char **argv)
{
    static struct server server;
    int status = CLI_FAILURE;
    parse(&server, argc, argv);
    server.base = event_base_new();
    if (server.base == NULL) {
        return cli_fail(&server.cli, KIRIM_ESYSTEM, "event_base_new");
    }
    const kirim_err err = open_loop(&server);
    if (err < 0) {
        (void)cli_fail(&server.cli, err, "cannot open a loop");
    } else {
        status = serve(&server);
    }
    if (server.http != NULL) {
        evhttp_free(server.http);
    }
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (server.signals[i] != NULL) {
            event_free(server.signals[i]);
        }
    }
    (void)kirim_loop_close(server.loop);
    event_base_free(server.base);
    return status;
}
