/* SPDX-License-Identifier: MIT
 *
 * DNS on a loop: see dns_endpoint.h.
 */
#include "dns_endpoint.h"

#include <string.h>

#include "arrival.h"

/* ---- the server ------------------------------------------------------------------------------ */

/* The answer is written where it leaves from. A room that stays unused costs nothing. */
static void answer_datagram(struct kirim_dns_service *service, const struct kirim_datagram *d)
{
    const struct kirim_dns_request request = { .wire = { d->data, d->bytes },
                                               .peer = &d->peer,
                                               .now_ns = service->now_ns };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct kirim_msg msg = KIRIM_MSG_INIT;
    void *data = NULL;
    const size_t room = service->server->udp_bytes > KIRIM_DNS_PLAIN_BYTES_MAX
                            ? service->server->udp_bytes
                            : KIRIM_DNS_PLAIN_BYTES_MAX;
    kirim_err err = kirim_endpoint_reserve(service->endpoint, room, &data);
    if (err < 0) {
        service->stats.unanswered++;
        return;
    }
    struct kirim_dns_room reply = { data, room, 0 };
    (void)kirim_dns_server_serve(service->server, &request, &reply); /* the room is enough */
    if (reply.bytes == 0) {
        return;
    }
    if (ki_dns_source(service->names_source, d, &control.source)) {
        msg.control = &control;
    }
    msg.peer = &d->peer;
    err = kirim_endpoint_commit(service->endpoint, reply.bytes, &msg);
    service->stats.unanswered += err < 0 ? 1 : 0;
}

static void on_requests(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct kirim_dns_service *const service = user;
    service->now_ns = kirim_loop_now(kirim_endpoint_loop(ep));
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        if ((d->flags & KIRIM_RX_TRUNCATED) != 0) {
            service->stats.too_long++;
        } else if (!kirim_endpoint_may_answer(ep, d)) {
            service->stats.forged++;
        } else {
            answer_datagram(service, d);
        }
    }
}

static void on_service_closed(struct kirim_endpoint *ep, void *user)
{
    struct kirim_dns_service *const service = user;
    (void)ep;
    service->endpoint = NULL;
}

static const struct kirim_handler service_handler = {
    KIRIM_HANDLER_INIT,
    .received = on_requests,
    .closed = on_service_closed,
};

kirim_err kirim_dns_service_open(struct kirim_dns_service *service, struct kirim_loop *loop,
                                 struct kirim_dns_server *server,
                                 const struct kirim_endpoint_options *options)
{
    if (service == NULL || loop == NULL || server == NULL || options == NULL) {
        return KIRIM_EINVAL;
    }
    struct kirim_endpoint_options wanted = *options;
    *service = (struct kirim_dns_service){ .server = server };
    service->names_source =
        (kirim_loop_caps(loop) & KIRIM_CAP_SOURCE) != 0 && kirim_addr_is_wildcard(&options->local);
    wanted.handler = &service_handler;
    wanted.user = service;
    if (wanted.datagram_bytes_max == 0) {
        wanted.datagram_bytes_max = KIRIM_DNS_REQUEST_BYTES_MAX;
    }
    return kirim_endpoint_open(loop, &wanted, &service->endpoint);
}

void kirim_dns_service_close(struct kirim_dns_service *service)
{
    if (service->endpoint != NULL) {
        (void)kirim_endpoint_close(service->endpoint);
    }
}

/* ---- lookups --------------------------------------------------------------------------------- */

enum { PORT_MIN = 1024, PORT_MAX = 65535, PORT_TRY_COUNT = 8 };

static void go_on(struct kirim_dns_lookup *lookup);

static void on_answers(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct kirim_dns_lookup *const lookup = user;
    const uint64_t now = kirim_loop_now(lookup->loop);
    (void)ep;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        const struct kirim_dns_span wire = { d->data, d->bytes };
        (void)kirim_dns_query_input(&lookup->query, wire, &d->peer, now);
    }
    go_on(lookup);
}

static void on_failure(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct kirim_dns_lookup *const lookup = user;
    (void)ep;
    kirim_dns_query_fail(&lookup->query, event->err, kirim_loop_now(lookup->loop));
    go_on(lookup);
}

static void on_lookup_time(struct kirim_timer *timer)
{
    struct kirim_dns_lookup *const lookup = timer->user;
    kirim_dns_query_expire(&lookup->query, kirim_loop_now(lookup->loop));
    go_on(lookup);
}

/* The last endpoint of a lookup that has ended takes the lookup with it. The loop's closing ends
 * one that is under way. */
static void on_lookup_closed(struct kirim_endpoint *ep, void *user)
{
    struct kirim_dns_lookup *const lookup = user;
    if (lookup->endpoint == ep) {
        lookup->endpoint = NULL;
        kirim_dns_lookup_cancel(lookup);
    }
    lookup->open_count--;
    if (lookup->open_count == 0 && lookup->query.state != KIRIM_DNS_QUERY_ASKING) {
        lookup->done(lookup);
    }
}

static const struct kirim_handler lookup_handler = {
    KIRIM_HANDLER_INIT,
    .received = on_answers,
    .failed = on_failure,
    .closed = on_lookup_closed,
};

static void close_endpoint(struct kirim_dns_lookup *lookup)
{
    if (lookup->endpoint != NULL) {
        struct kirim_endpoint *const ep = lookup->endpoint;
        lookup->endpoint = NULL;
        (void)kirim_endpoint_close(ep);
    }
}

/* Opens the endpoint on a port that is as random as 16 bits can be; systems choose theirs from a
 * part of them, and some one after the other (RFC 5452 section 9.2). */
static kirim_err open_on_random_port(struct kirim_dns_lookup *lookup,
                                     struct kirim_endpoint_options *options)
{
    static const uint8_t any[16] = { 0 };
    const bool is_ipv4 = kirim_addr_family(&options->peer) == KIRIM_IPV4;
    kirim_err err = KIRIM_EADDRINUSE;
    for (int i = 0; i < PORT_TRY_COUNT && (err == KIRIM_EADDRINUSE || err == KIRIM_EACCES); i++) {
        uint16_t number;
        err = kirim_loop_random(lookup->loop, &number, sizeof number);
        if (err < 0) {
            return err;
        }
        const uint16_t port = (uint16_t)(PORT_MIN + number % (PORT_MAX - PORT_MIN + 1));
        options->local = is_ipv4 ? kirim_addr_ipv4(any, port) : kirim_addr_ipv6(any, port, 0);
        err = kirim_endpoint_open(lookup->loop, options, &lookup->endpoint);
    }
    return err;
}

/* An endpoint that is connected to `peer`; the one that is open may be. */
static kirim_err need_endpoint(struct kirim_dns_lookup *lookup, const struct kirim_addr *peer)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    if (lookup->endpoint != NULL && kirim_addr_equal(peer, &lookup->peer)) {
        return KIRIM_OK;
    }
    close_endpoint(lookup);
    options.peer = *peer;
    options.handler = &lookup_handler;
    options.user = lookup;
    options.queue_count_max = KIRIM_DNS_QUERY_TRY_COUNT_MAX;
    kirim_err err = open_on_random_port(lookup, &options);
    if (err == KIRIM_EADDRINUSE || err == KIRIM_EACCES) { /* so few are free: any will do */
        options.local = (struct kirim_addr){ { 0, 0, 0 } };
        err = kirim_endpoint_open(lookup->loop, &options, &lookup->endpoint);
    }
    if (err == KIRIM_OK) {
        lookup->open_count++;
        lookup->peer = *peer;
        lookup->local = kirim_endpoint_local(lookup->endpoint);
        kirim_addr_set_port(&lookup->local, 0);
    }
    return err;
}

static kirim_err send_question(struct kirim_dns_lookup *lookup)
{
    uint8_t data[KIRIM_DNS_QUERY_BYTES_MAX];
    struct kirim_dns_room room = { data, sizeof data, 0 };
    struct kirim_addr peer = { { 0, 0, 0 } };
    kirim_err err = kirim_dns_query_output(&lookup->query, &room, &peer);
    if (err == KIRIM_OK) {
        err = need_endpoint(lookup, &peer);
    }
    return err == KIRIM_OK ? kirim_endpoint_send_to(lookup->endpoint, data, room.bytes, NULL) : err;
}

/* Does what the question wants: send, wait, or end. A failure uses up a try, so this ends. */
static void go_on(struct kirim_dns_lookup *lookup)
{
    struct kirim_dns_query *const query = &lookup->query;
    const uint64_t now = kirim_loop_now(lookup->loop);
    while (query->state == KIRIM_DNS_QUERY_ASKING && query->has_output) {
        const kirim_err err = send_question(lookup);
        if (err < 0) {
            kirim_dns_query_fail(query, err, now);
        }
    }
    if (query->state == KIRIM_DNS_QUERY_ASKING) {
        (void)kirim_endpoint_timer_arm(lookup->endpoint, &lookup->timer, query->deadline_ns);
        return;
    }
    lookup->ended_ns = now;
    close_endpoint(lookup);
}

kirim_err kirim_dns_lookup_start(struct kirim_dns_lookup *lookup, struct kirim_loop *loop,
                                 const struct kirim_dns_query_options *options)
{
    if (lookup == NULL || loop == NULL || options == NULL || lookup->done == NULL) {
        return KIRIM_EINVAL;
    }
    struct kirim_dns_query_options wanted = *options;
    kirim_err err = kirim_loop_random(loop, wanted.random, sizeof wanted.random);
    if (err < 0) {
        return err;
    }
    const uint64_t now = kirim_loop_now(loop);
    err = kirim_dns_query_start(&lookup->query, &wanted, now);
    if (err < 0) {
        return err;
    }
    lookup->loop = loop;
    lookup->started_ns = now;
    lookup->endpoint = NULL;
    lookup->open_count = 0;
    lookup->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_lookup_time, lookup);
    go_on(lookup);
    return lookup->open_count == 0 ? lookup->query.err : KIRIM_OK;
}

void kirim_dns_lookup_cancel(struct kirim_dns_lookup *lookup)
{
    if (lookup->query.state == KIRIM_DNS_QUERY_ASKING) {
        lookup->query.state = KIRIM_DNS_QUERY_FAILED;
        lookup->query.err = KIRIM_EABORTED;
        lookup->query.deadline_ns = KIRIM_NEVER;
        lookup->query.has_output = false;
        lookup->ended_ns = kirim_loop_now(lookup->loop);
        close_endpoint(lookup);
    }
}
