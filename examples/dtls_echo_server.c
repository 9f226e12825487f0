/* SPDX-License-Identifier: MIT
 *
 * The server of dtls_echo: a session for each peer, and on it a stack of DTLS and of a layer that
 * sends back what it gets. Nothing is kept of a peer until it has returned a cookie.
 */
#include <inttypes.h>
#include <stdio.h>

#include "dtls_echo.h"

enum { RECEIVE_BUFFER_BYTES = 1 << 20, PREFIX_SHARE = 4 };

static const uint64_t NS_PER_SECOND = 1000000000;

struct server {
    struct dtls_echo *p;
    struct report report;
    struct kirim_sessions *set[CLI_LISTEN_MAX];
    size_t set_count;
    uint64_t lost;
};

/* Behind each session: its stack, to be drained at the end. */
struct peer {
    struct kirim_stack *stack;
};

/* ---- the layer that echoes ------------------------------------------------------------------- */

static struct server *server_of(struct kirim_layer *layer)
{
    return *(struct server **)kirim_layer_state(layer);
}

/* One line about an association, if the user wants to see it. */
static void tell(struct kirim_layer *layer, const char *what)
{
    const struct dtls_echo *const p = server_of(layer)->p;
    struct kirim_stack *const stack = kirim_layer_stack(layer);
    struct kirim_dtls_info info = KIRIM_DTLS_INFO_INIT;
    char text[KIRIM_ADDR_TEXT_BYTES];
    if (!p->is_logging) {
        return;
    }
    const struct kirim_addr peer = kirim_session_peer(kirim_stack_session(stack));
    (void)kirim_addr_format(&peer, text, sizeof text);
    (void)kirim_dtls_read_info(kirim_stack_layer(stack, 0), &info);
    cli_say(&p->cli, "%s peer=%s cipher=%s resumed=%d certified=%d identity=%s srtp=%s: %s", what,
            text, info.cipher, info.is_resumed, info.is_peer_certified, info.psk_identity,
            info.srtp, info.failure[0] != '\0' ? info.failure : "no error");
}

static kirim_err echo_open(struct kirim_layer *layer, const void *config)
{
    *(struct server **)kirim_layer_state(layer) = (struct server *)(uintptr_t)config;
    return KIRIM_OK;
}

static void echo_ready(struct kirim_layer *layer)
{
    tell(layer, "open");
}

static void echo_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        const struct kirim_buf buf = { d->data, d->bytes };
        const struct kirim_msg msg = { .buf = &buf, .buf_count = 1 };
        server_of(layer)->lost += kirim_layer_send(layer, &msg) < 0;
    }
}

static void echo_closed(struct kirim_layer *layer, kirim_err why)
{
    tell(layer, kirim_err_name(why));
}

static const struct kirim_layer_type echo_type = {
    .size = KIRIM_LAYER_TYPE_INIT,
    .name = "echo",
    .state_bytes = sizeof(struct server *),
    .open = echo_open,
    .ready = echo_ready,
    .received = echo_received,
    .closed = echo_closed,
};

/* ---- sessions -------------------------------------------------------------------------------- */

static kirim_err on_admit(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                          struct kirim_admission *out, void *user)
{
    const struct server *const s = user;
    return kirim_dtls_admit(s->p->dtls, set, datagram, out);
}

static void on_opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    struct server *const s = user;
    struct peer *const peer = kirim_session_state(session);
    const struct kirim_dtls_config config = KIRIM_DTLS_CONFIG_INIT(s->p->dtls, KIRIM_DTLS_SERVER);
    const struct kirim_layer_plan layers[] = {
        { kirim_dtls_layer_type(), &config },
        { &echo_type, s },
    };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    (void)set;
    plan.layers = layers;
    plan.layer_count = sizeof layers / sizeof layers[0];
    plan.payload_bytes_max = (uint32_t)s->p->datagram_bytes;
    (void)kirim_stack_on_session(session, &plan, &peer->stack); /* it fails: the session ends */
}

static kirim_err listen_on(struct server *s, const struct kirim_addr *addr)
{
    static const struct kirim_sessions_handler handler = {
        .size = KIRIM_SESSIONS_HANDLER_INIT,
        .admit = on_admit,
        .opened = on_opened,
    };
    struct dtls_echo *const p = s->p;
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_sessions_options options = KIRIM_SESSIONS_OPTIONS_INIT;
    endpoint.local = *addr;
    endpoint.receive_buffer_bytes = RECEIVE_BUFFER_BYTES;
    options.endpoint = &endpoint;
    options.handler = &handler;
    options.session_handler = kirim_stack_session_handler();
    options.user = s;
    options.state_bytes = sizeof(struct peer);
    options.count_max = (uint32_t)p->session_count_max;
    options.eviction = KIRIM_EVICT_IDLE;
    options.idle_ns = p->idle_s * NS_PER_SECOND;
    const kirim_err err = kirim_sessions_open(p->loop, &options, &s->set[s->set_count]);
    if (err < 0) {
        return cli_fail_addr(&p->cli, err, addr);
    }
    report_listening(&s->report, kirim_sessions_endpoint(s->set[s->set_count++]));
    return KIRIM_OK;
}

/* Every peer is told that it was the end. */
static void drain_all(struct server *s)
{
    for (size_t i = 0; i < s->set_count; i++) {
        struct kirim_session *session = kirim_sessions_next(s->set[i], NULL);
        while (session != NULL) {
            struct kirim_session *const next = kirim_sessions_next(s->set[i], session);
            struct peer *const peer = kirim_session_state(session);
            if (peer->stack != NULL) {
                (void)kirim_stack_drain(peer->stack, KIRIM_NEVER);
            }
            session = next;
        }
    }
    (void)kirim_loop_step(s->p->loop, 0); /* it leaves, and `closed` is told */
}

int dtls_echo_serve(struct dtls_echo *p)
{
    static struct server server;
    struct server *const s = &server;
    const struct cli *const cli = &p->cli;
    s->p = p;
    report_start(&s->report, cli, p->loop);
    if (!stop_catch(p->loop)) {
        return cli_fail(cli, KIRIM_ESYSTEM, "signals");
    }
    for (size_t i = 0; i < cli->listen_count; i++) {
        if (listen_on(s, &cli->listen[i]) < 0) {
            return CLI_FAILURE;
        }
    }
    const kirim_err err = kirim_loop_run(p->loop);
    report_end(&s->report);
    drain_all(s);
    if (cli->has_stats) {
        cli_say(cli, "echo lost=%" PRIu64, s->lost);
    }
    return err < 0 ? cli_fail(cli, err, "the loop ended") : CLI_SUCCESS;
}
