/* SPDX-License-Identifier: MIT
 *
 * The client of dtls_echo: one association; messages one behind the answer of the other, each known
 * by its number; close_notify at the end. With a text it sends that once, and prints what comes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dtls_echo.h"

enum { NUMBER_BYTES = 8, SESSION_ROOM = 16384, MESSAGE_BYTES_MAX = KIRIM_DTLS_RECORD_BYTES_MAX };

static const uint64_t NS_PER_MS = 1000000;
static const uint64_t NS_PER_US = 1000;
static const uint64_t DRAIN_NS = 1000000000;

struct client {
    struct dtls_echo *p;
    struct kirim_stack *stack; /* NULL: it has ended */
    struct kirim_layer *dtls, *top;
    struct kirim_timer timeout;
    struct report report; /* while the endpoint is open */
    uint64_t begun_ns, ready_ns;
    uint64_t sent, echoed, lost, mismatched;
    bool is_draining;
    kirim_err why;
    struct kirim_dtls_info info;
    uint8_t message[MESSAGE_BYTES_MAX];
};

static struct client *client_of(struct kirim_layer *layer)
{
    return *(struct client **)kirim_layer_state(layer);
}

static void finish(struct client *c)
{
    if (!c->is_draining) {
        report_end(&c->report);
    }
    c->is_draining = true;
    (void)kirim_stack_drain(c->stack, kirim_loop_now(c->p->loop) + DRAIN_NS);
}

static void fill(struct client *c, uint64_t number)
{
    for (uint64_t i = 0; i < c->p->payload_bytes; i++) {
        c->message[i] = (uint8_t)(i < NUMBER_BYTES ? number >> (8 * i) : number + i);
    }
}

static void send_next(struct client *c)
{
    const bool is_text = c->p->text != NULL;
    const uint64_t count = is_text ? 1 : c->p->count;
    if (c->sent == count) {
        finish(c);
        return;
    }
    fill(c, c->sent++);
    const struct kirim_buf buf = { is_text ? (void *)(uintptr_t)c->p->text : c->message,
                                   is_text ? strlen(c->p->text) : (size_t)c->p->payload_bytes };
    const struct kirim_msg msg = { .buf = &buf, .buf_count = 1 };
    const kirim_err err = kirim_layer_send(c->top, &msg);
    if (err < 0 && err != KIRIM_EWOULDBLOCK) {
        (void)cli_fail(&c->p->cli, err, "send");
        c->lost++;
        finish(c);
        return;
    }
    (void)kirim_layer_timer_arm(c->top, &c->timeout,
                                kirim_loop_now(c->p->loop) + c->p->timeout_ms * NS_PER_MS);
}

static void on_timeout(struct kirim_timer *timer)
{
    struct client *const c = timer->user;
    c->lost += c->p->text == NULL; /* nobody has promised an answer to a text */
    send_next(c);
}

/* ---- the layer on top ------------------------------------------------------------------------ */

static kirim_err top_open(struct kirim_layer *layer, const void *config)
{
    *(struct client **)kirim_layer_state(layer) = (struct client *)(uintptr_t)config;
    return KIRIM_OK;
}

static void top_ready(struct kirim_layer *layer)
{
    struct client *const c = client_of(layer);
    c->top = layer;
    c->dtls = kirim_stack_layer(kirim_layer_stack(layer), 0);
    c->ready_ns = kirim_loop_now(c->p->loop);
    send_next(c);
}

static void take_answer(struct client *c, const struct kirim_datagram *d)
{
    if (c->p->text != NULL) {
        (void)fwrite(d->data, 1, d->bytes, stdout);
        (void)fflush(stdout);
        return;
    }
    fill(c, c->sent - 1);
    const bool is_current =
        d->bytes >= NUMBER_BYTES && memcmp(d->data, c->message, NUMBER_BYTES) == 0;
    if (!is_current) {
        return; /* late, or of somebody who says more than was asked */
    }
    const bool is_right =
        d->bytes == c->p->payload_bytes && memcmp(d->data, c->message, d->bytes) == 0;
    c->echoed += is_right;
    c->mismatched += !is_right;
    send_next(c);
}

static void top_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    struct client *const c = client_of(layer);
    for (size_t i = 0; i < batch->count && !c->is_draining; i++) {
        take_answer(c, kirim_batch_at(batch, i));
    }
}

static void save_session(struct client *c)
{
    uint8_t *const room = malloc(SESSION_ROOM);
    size_t bytes = 0;
    if (room == NULL || kirim_dtls_session(c->dtls, room, SESSION_ROOM, &bytes) != KIRIM_OK) {
        cli_say(&c->p->cli, "the server gave nothing to resume");
        free(room);
        return;
    }
    FILE *const file = fopen(c->p->session_file, "wb");
    if (file == NULL || fwrite(room, 1, bytes, file) != bytes) {
        cli_say(&c->p->cli, "%s: cannot be written", c->p->session_file);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    free(room);
}

static void top_drain(struct kirim_layer *layer)
{
    struct client *const c = client_of(layer);
    if (c->p->session_file != NULL && c->dtls != NULL) {
        save_session(c);
    }
    kirim_layer_finish_drain(layer);
}

/* A closed port that has never answered will not begin to. */
static void top_failed(struct kirim_layer *layer, const struct kirim_event *event)
{
    const struct client *const c = client_of(layer);
    if (event->err == KIRIM_ECONNRESET && c->ready_ns == 0) {
        (void)kirim_stack_close(c->stack, event->err);
    }
}

static void top_closed(struct kirim_layer *layer, kirim_err why)
{
    struct client *const c = client_of(layer);
    struct kirim_dtls_info info = KIRIM_DTLS_INFO_INIT;
    (void)kirim_dtls_read_info(kirim_stack_layer(kirim_layer_stack(layer), 0), &info);
    c->info = info;
    c->why = why;
    c->stack = NULL;
    kirim_loop_stop(c->p->loop);
}

static const struct kirim_layer_type top_type = {
    .size = KIRIM_LAYER_TYPE_INIT,
    .name = "ask",
    .state_bytes = sizeof(struct client *),
    .open = top_open,
    .ready = top_ready,
    .received = top_received,
    .failed = top_failed,
    .drain = top_drain,
    .closed = top_closed,
};

/* ---- the run --------------------------------------------------------------------------------- */

static kirim_err connect_to(struct client *c)
{
    struct dtls_echo *const p = c->p;
    struct kirim_dtls_config config = KIRIM_DTLS_CONFIG_INIT(p->dtls, KIRIM_DTLS_CLIENT);
    const struct kirim_layer_plan layers[] = {
        { kirim_dtls_layer_type(), &config },
        { &top_type, c },
    };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    void *session = NULL;
    config.host = p->host;
    FILE *const file = p->session_file != NULL ? fopen(p->session_file, "rb") : NULL;
    if (file != NULL) {
        (void)fclose(file);
        session = dtls_echo_read_file(&p->cli, p->session_file, &config.session.bytes);
        config.session.data = session;
    }
    if (p->cli.listen_count > 0) {
        options.local = p->cli.listen[0];
    }
    options.peer = p->remote;
    plan.layers = layers;
    plan.layer_count = sizeof layers / sizeof layers[0];
    plan.payload_bytes_max = (uint32_t)p->datagram_bytes;
    c->begun_ns = kirim_loop_now(p->loop);
    const kirim_err err = kirim_stack_on_endpoint(p->loop, &options, &plan, &c->stack);
    free(session);
    return err;
}

/* For people or for programs; a failure is told in any case. */
static int print_result(const struct client *c)
{
    const bool is_open = c->ready_ns != 0;
    const uint64_t took_us = is_open ? (c->ready_ns - c->begun_ns) / NS_PER_US : 0;
    if (c->p->is_json) {
        (void)printf("{\"open\": %s, \"handshake_us\": %" PRIu64 ", \"cipher\": \"%s\", "
                     "\"resumed\": %s, \"certified\": %s, \"srtp\": \"%s\", \"sent\": %" PRIu64
                     ", \"echoed\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"mismatched\": %" PRIu64
                     ", \"end\": \"%s\"}\n",
                     is_open ? "true" : "false", took_us, c->info.cipher,
                     c->info.is_resumed ? "true" : "false",
                     c->info.is_peer_certified ? "true" : "false", c->info.srtp, c->sent, c->echoed,
                     c->lost, c->mismatched, kirim_err_name(c->why));
    } else if (is_open) {
        cli_say(&c->p->cli,
                "%s%s in %" PRIu64 " us; %" PRIu64 " sent, %" PRIu64 " echoed, %" PRIu64
                " lost, %" PRIu64 " mismatched",
                c->info.cipher, c->info.is_resumed ? ", resumed," : "", took_us, c->sent, c->echoed,
                c->lost, c->mismatched);
    }
    if (!is_open || c->why != KIRIM_OK) {
        cli_say(&c->p->cli, "%s: %s (%s)%s%s", c->p->connect, kirim_err_text(c->why),
                kirim_err_name(c->why), c->info.failure[0] != '\0' ? ": " : "", c->info.failure);
    }
    return is_open && c->why == KIRIM_OK && c->lost == 0 && c->mismatched == 0 ? CLI_SUCCESS
                                                                               : CLI_FAILURE;
}

int dtls_echo_ask(struct dtls_echo *p)
{
    static struct client client;
    struct client *const c = &client;
    c->p = p;
    c->info = (struct kirim_dtls_info)KIRIM_DTLS_INFO_INIT;
    c->info.cipher = "";
    c->info.srtp = "";
    c->timeout = (struct kirim_timer)KIRIM_TIMER_INIT(on_timeout, c);
    kirim_err err = connect_to(c);
    if (err < 0) {
        return cli_fail(&p->cli, err, p->connect);
    }
    if (!stop_catch(p->loop)) {
        return cli_fail(&p->cli, KIRIM_ESYSTEM, "signals");
    }
    report_start(&c->report, &p->cli, p->loop);
    report_add(&c->report, kirim_stack_endpoint(c->stack));
    err = kirim_loop_run(p->loop);
    if (c->stack != NULL) { /* the user has had enough: the server is told */
        finish(c);
        (void)kirim_loop_step(p->loop, 0);
    }
    return err < 0 ? cli_fail(&p->cli, err, "the loop ended") : print_result(c);
}
