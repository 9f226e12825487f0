/* SPDX-License-Identifier: MIT
 *
 * Requests: which resource, whether it may be asked so, and what becomes of its answer. A request
 * that comes again gets what was answered before. Sources: RFC 7252 sections 4.5, 5.4, 5.8, 5.9
 * and 8.2, RFC 7641 section 4.1, RFC 9175 section 2.3.
 */
#include "parts.h"

#include <string.h>

static bool is_safe(uint8_t method)
{
    return method == KIRIM_COAP_GET || method == KIRIM_COAP_FETCH;
}

/* Whether a request may be put off. */
static bool can_defer(const struct ki_coap_ask *ask)
{
    struct kirim_coap_node *const node = ask->peer->node;
    uint32_t count = 0;
    if (ask->is_group || ask->is_notification) {
        return false;
    }
    for (const struct kirim_coap_deferral *d = node->deferrals; d != NULL; d = d->next) {
        count += d->peer == ask->peer ? 1 : 0;
    }
    return ki_coap_has_room(ask->peer, count, node->deferral_count,
                            node->options.deferral_count_max);
}

void ki_coap_run(struct ki_coap_ask *ask, struct kirim_coap_resource *resource,
                 struct kirim_coap_span body, uint8_t *scratch,
                 struct kirim_coap_response *response)
{
    uint8_t szx = 0;
    const size_t offset = ki_coap_offset(ask, &szx);
    struct kirim_coap_node *const node = ask->peer->node;
    ask->deferral = can_defer(ask) ? ++node->deferral_id : 0; /* nobody else has it */
    const struct kirim_coap_request request = {
        .node = node,
        .peer = ask->peer,
        .message = ask->message,
        .fields = &ask->fields,
        .path = ask->path,
        .method = ask->message->code,
        .is_group = ask->is_group,
        .is_notification = ask->is_notification,
        .body = body,
        .now_ns = ask->now_ns,
        .deferral = ask->deferral,
        .offset = offset,
        .room = kirim_coap_block_bytes(szx),
        .scratch = scratch,
    };
    *response = (struct kirim_coap_response){ .content_format = KIRIM_COAP_FORMAT_NONE,
                                              .max_age_s = KIRIM_COAP_MAX_AGE_S };
    resource->handle(resource, &request, response);
    if (response->code == KIRIM_COAP_EMPTY && !response->is_deferred) {
        response->code = KIRIM_COAP_INTERNAL_ERROR;
    }
    if (is_safe(ask->message->code) && response->code == KIRIM_COAP_CONTENT &&
        ask->fields.accept != KIRIM_COAP_FORMAT_NONE &&
        ask->fields.accept != response->content_format) {
        *response = (struct kirim_coap_response){ .code = KIRIM_COAP_NOT_ACCEPTABLE,
                                                  .content_format = KIRIM_COAP_FORMAT_NONE,
                                                  .max_age_s = KIRIM_COAP_MAX_AGE_S };
    }
}

static struct kirim_coap_resource *find_resource(struct ki_coap_ask *ask)
{
    struct kirim_coap_node *const node = ask->peer->node;
    struct kirim_coap_resource *r = kirim_coap_resource_find(node, ask->path);
    if (r == NULL) {
        r = node->resources;
        while (r != NULL && !r->is_prefix) {
            r = r->next;
        }
    }
    return r;
}

/* What is wrong with a request before any resource is looked for; 0: nothing. */
static uint8_t find_fault(const struct ki_coap_ask *ask)
{
    const struct kirim_coap_fields *const f = &ask->fields;
    if ((f->has & KIRIM_COAP_HAS_PROXY) != 0) {
        return KIRIM_COAP_PROXYING_NOT_SUPPORTED;
    }
    if (f->bad_option != 0) {
        return KIRIM_COAP_BAD_OPTION;
    }
    if ((f->has & KIRIM_COAP_HAS_BAD_PATH) != 0 || f->block1.szx == 7 || f->block2.szx == 7) {
        return KIRIM_COAP_BAD_REQUEST;
    }
    return ask->message->code > KIRIM_COAP_IPATCH ? KIRIM_COAP_METHOD_NOT_ALLOWED : 0;
}

/* Whether a resource takes what the body is said to be. A body that says nothing may be anything,
 * and that of a GET or DELETE means nothing (RFC 7252 sections 5.5.2 and 5.8). Of a body in blocks
 * the first says it: a later one that says something else belongs to no body that is known, and is
 * answered by 4.08 (RFC 7959 section 2.9.2). */
static bool takes_format(const struct ki_coap_ask *ask, const struct kirim_coap_resource *resource)
{
    const uint8_t method = ask->message->code;
    const uint32_t format = ask->fields.content_format;
    if (resource->formats == NULL || format == KIRIM_COAP_FORMAT_NONE || method == KIRIM_COAP_GET ||
        method == KIRIM_COAP_DELETE || ask->fields.block1.number > 0) {
        return true;
    }
    for (size_t i = 0; i < resource->format_count; i++) {
        if (resource->formats[i] == format) {
            return true;
        }
    }
    return false;
}

/* Whether the conditions of a request hold. A resource that is there is what If-None-Match denies
 * and an empty If-Match wants, whatever its ETag; who knows of the resource of all other paths
 * whether there is anything is its function alone (RFC 7252 section 5.10.8). */
static bool holds(const struct ki_coap_ask *ask, const struct kirim_coap_resource *resource)
{
    static const struct kirim_coap_span any = { NULL, 0 };
    const uint32_t has = ask->fields.has;
    if ((has & (KIRIM_COAP_HAS_IF_MATCH | KIRIM_COAP_HAS_IF_NONE_MATCH)) == 0 ||
        resource->is_prefix || (resource->flags & KIRIM_COAP_CONDITIONS) != 0) {
        return true;
    }
    return (has & KIRIM_COAP_HAS_IF_NONE_MATCH) == 0 &&
           (kirim_coap_has_value(ask->message, KIRIM_COAP_IF_MATCH, any) ||
            (resource->etag.bytes > 0 &&
             kirim_coap_has_value(ask->message, KIRIM_COAP_IF_MATCH, resource->etag)));
}

/* A request that is put off. */
static void defer(struct ki_coap_ask *ask, struct kirim_coap_response *response)
{
    struct kirim_coap_node *const node = ask->peer->node;
    struct kirim_coap_deferral *d = NULL;
    if (ask->deferral == 0) {
        node->stats.full++;
    } else {
        d = ki_coap_alloc(node, sizeof *d + ask->wire.bytes);
    }
    if (d == NULL) {
        response->is_deferred = false;
        response->code = KIRIM_COAP_UNAVAILABLE;
        return;
    }
    d->peer = ask->peer;
    d->from = ask->from;
    d->id = ask->deferral;
    d->ack_ns = ask->now_ns + KIRIM_COAP_PROCESSING_NS;
    d->is_acked = ask->message->type != KIRIM_COAP_CON;
    d->is_echoed = ask->is_echoed;
    d->wire_bytes = ask->wire.bytes;
    memcpy(d->wire, ask->wire.data, ask->wire.bytes);
    d->next = node->deferrals;
    node->deferrals = d;
    node->deferral_count++;
}

/* Observation: entered, or taken back. */
static void observe(struct ki_coap_ask *ask, struct kirim_coap_resource *resource,
                    const struct kirim_coap_response *response)
{
    const struct kirim_coap_fields *const f = &ask->fields;
    if (ask->message->code != KIRIM_COAP_GET || (f->has & KIRIM_COAP_HAS_OBSERVE) == 0 ||
        ask->is_group || ask->is_notification) {
        return;
    }
    if (f->observe == 1) {
        ki_coap_observer_remove(ask);
    } else if (f->observe == 0 && f->block2.number == 0 &&
               (resource->flags & KIRIM_COAP_OBSERVABLE) != 0 &&
               kirim_coap_class(response->code) == 2 && !response->is_deferred) {
        /* Many answers to one request: first its sender shows that it wants them. */
        if (!ask->peer->is_validated) {
            ask->asks_echo = true;
        } else {
            ask->has_observe = ki_coap_observer_add(ask, resource);
        }
    }
}

/* The body of a request, and its resource's answer. */
static void carry_out(struct ki_coap_ask *ask, struct kirim_coap_resource *resource,
                      uint8_t *scratch, struct kirim_coap_response *response)
{
    struct kirim_coap_span body = ask->message->payload;
    const bool has_block1 = (ask->fields.has & KIRIM_COAP_HAS_BLOCK1) != 0;
    const bool is_get = ask->message->code == KIRIM_COAP_GET;
    if (!is_get) {
        ask->digest = kirim_coap_request_digest(ask->message, ask->peer->node->key);
    }
    if (has_block1 && !is_get) {
        if (ki_coap_assembly_take(ask, &body, response) != KIRIM_OK) {
            return;
        }
    } else if (!is_get && ask->fields.block2.number > 0) {
        if (!ki_coap_assembly_serve(ask, response)) {
            response->code = KIRIM_COAP_INCOMPLETE;
        }
        return;
    }
    ki_coap_run(ask, resource, body, scratch, response);
    ask->is_whole = has_block1 && !is_get;
    if (response->is_deferred) {
        defer(ask, response);
    }
    if (ki_coap_is_added(ask->peer->node, resource)) { /* it may have taken itself away */
        observe(ask, resource, response);
    }
    if (!is_get && response->body.bytes > 0 && kirim_coap_class(response->code) == 2) {
        ki_coap_assembly_keep(ask, response);
    }
}

static void decide(struct ki_coap_ask *ask, uint8_t *scratch, struct kirim_coap_response *response)
{
    response->code = find_fault(ask);
    if (response->code != 0) {
        return;
    }
    if (kirim_coap_path_text(ask->message, KIRIM_COAP_URI_PATH, ask->path, sizeof ask->path) < 0) {
        response->code = KIRIM_COAP_NOT_FOUND;
        return;
    }
    struct kirim_coap_resource *const resource = find_resource(ask);
    if (resource == NULL) {
        response->code = KIRIM_COAP_NOT_FOUND;
        return;
    }
    if ((resource->methods & KIRIM_COAP_METHOD(ask->message->code)) == 0) {
        response->code = KIRIM_COAP_METHOD_NOT_ALLOWED;
        return;
    }
    ki_coap_echo_check(ask);
    if (!takes_format(ask, resource)) {
        response->code = KIRIM_COAP_UNSUPPORTED_FORMAT;
        return;
    }
    if ((resource->flags & KIRIM_COAP_FRESH) != 0 && !ask->is_echoed) {
        ask->asks_echo = true;
        return;
    }
    if (!holds(ask, resource)) { /* or no more, behind the first block of a body */
        ask->digest = kirim_coap_request_digest(ask->message, ask->peer->node->key);
        ask->is_whole = true;
        response->code = KIRIM_COAP_PRECONDITION_FAILED;
        return;
    }
    carry_out(ask, resource, scratch, response);
}

struct kirim_request ki_coap_request(const struct kirim_coap_node *node,
                                     const struct kirim_addr *from, struct kirim_coap_span wire)
{
    return (struct kirim_request){ .peer = *from,
                                   .id = kirim_siphash_number(node->key, wire.data, wire.bytes) };
}

void ki_coap_remember(struct kirim_coap_node *node, const struct kirim_request *request,
                      struct kirim_coap_span wire)
{
    if (kirim_duplicates_answer(&node->duplicates, request, wire.data, wire.bytes) ==
        KIRIM_ENOENT) {
        (void)kirim_duplicates_answer(&node->strangers, request, wire.data, wire.bytes);
    }
}

/* Looks for a request where it was entered: with those of strangers, if its sender was one then. A
 * look enters what is new, and may displace another one, so it is taken only where there may be
 * something. */
static int see(struct kirim_coap_peer *peer, const struct kirim_request *id, uint64_t now_ns,
               const uint8_t **answer, size_t *bytes)
{
    struct kirim_duplicates *const strangers = &peer->node->strangers;
    struct kirim_duplicates *const duplicates = &peer->node->duplicates;
    if (!peer->is_validated) {
        peer->stranger_ns = now_ns + 1;
        return kirim_duplicates_see(strangers, id, now_ns, answer, bytes);
    }
    int state = kirim_duplicates_see(duplicates, id, now_ns, answer, bytes);
    if (state == KIRIM_REQUEST_NEW && peer->stranger_ns != 0 &&
        now_ns - (peer->stranger_ns - 1) < KIRIM_COAP_EXCHANGE_LIFETIME_NS) {
        state = kirim_duplicates_see(strangers, id, now_ns, answer, bytes);
        kirim_duplicates_forget(state == KIRIM_REQUEST_NEW ? strangers : duplicates, id);
    }
    return state;
}

/* What a request that was asked again gets. False: it is new. */
static bool answer_again(struct kirim_coap_peer *peer, const struct kirim_coap_arrival *arrival,
                         const struct kirim_coap_message *message, uint64_t now_ns)
{
    struct kirim_request id = ki_coap_request(peer->node, &arrival->from, arrival->wire);
    id.lifetime_ns = message->type == KIRIM_COAP_CON ? KIRIM_COAP_EXCHANGE_LIFETIME_NS
                                                     : KIRIM_COAP_NON_LIFETIME_NS;
    const uint8_t *answer = NULL;
    size_t bytes = 0;
    const int state = see(peer, &id, now_ns, &answer, &bytes);
    if (state == KIRIM_REQUEST_NEW) {
        return false;
    }
    peer->node->stats.repeated++;
    if (state == KIRIM_REQUEST_ANSWERED && bytes > 0) {
        ki_coap_send(peer, &arrival->from, (struct kirim_coap_span){ answer, bytes });
    }
    return true;
}

void ki_coap_serve(struct kirim_coap_peer *peer, const struct kirim_coap_arrival *arrival,
                   const struct kirim_coap_message *message, uint64_t now_ns)
{
    uint8_t scratch[KIRIM_COAP_BLOCK_BYTES_MAX];
    struct ki_coap_ask ask = { .peer = peer,
                               .message = message,
                               .from = arrival->from,
                               .wire = arrival->wire,
                               .now_ns = now_ns,
                               .is_group = arrival->is_group };
    struct kirim_coap_response response = { .content_format = KIRIM_COAP_FORMAT_NONE,
                                            .max_age_s = KIRIM_COAP_MAX_AGE_S };
    if (answer_again(peer, arrival, message, now_ns)) {
        return;
    }
    peer->node->stats.requests++;
    kirim_coap_fields_read(message, &ask.fields);
    decide(&ask, scratch, &response);
    if (response.code == KIRIM_COAP_BAD_OPTION && ask.fields.bad_option != 0 &&
        message->type == KIRIM_COAP_NON) {
        peer->node->stats.ignored++; /* RFC 7252 section 5.4.1 */
        return;
    }
    if (!response.is_deferred) {
        ki_coap_answer(&ask, &response);
    }
    if (ask.is_whole) {
        ki_coap_assembly_end(peer, ask.digest); /* the answer may have lain in it */
    }
}

bool ki_coap_ask_again(struct ki_coap_ask *ask, struct kirim_coap_message *message,
                       struct kirim_coap_peer *peer, struct kirim_coap_span wire, uint64_t now_ns)
{
    if (kirim_coap_parse(wire, message) != KIRIM_COAP_PARSED) {
        return false;
    }
    *ask = (struct ki_coap_ask){
        .peer = peer, .message = message, .from = peer->addr, .wire = wire, .now_ns = now_ns
    };
    kirim_coap_fields_read(message, &ask->fields);
    return kirim_coap_path_text(message, KIRIM_COAP_URI_PATH, ask->path, sizeof ask->path) >= 0;
}

/* ---- later answers --------------------------------------------------------------------------- */

static void drop_deferral(struct kirim_coap_node *node, struct kirim_coap_deferral **at)
{
    struct kirim_coap_deferral *const d = *at;
    *at = d->next;
    node->deferral_count--;
    ki_coap_free(node, d, sizeof *d + d->wire_bytes);
}

void ki_coap_deferrals_drop(struct kirim_coap_peer *peer)
{
    struct kirim_coap_deferral **at = &peer->node->deferrals;
    while (*at != NULL) {
        if ((*at)->peer == peer) {
            drop_deferral(peer->node, at);
        } else {
            at = &(*at)->next;
        }
    }
}

/* The empty acknowledgement, which a request that comes again gets too. */
static void acknowledge(struct kirim_coap_deferral *d)
{
    struct kirim_coap_node *const node = d->peer->node;
    const uint8_t wire[KIRIM_COAP_HEADER_BYTES] = { 1 << 6 | KIRIM_COAP_ACK << 4, KIRIM_COAP_EMPTY,
                                                    d->wire[2], d->wire[3] };
    const struct kirim_request id =
        ki_coap_request(node, &d->from, (struct kirim_coap_span){ d->wire, d->wire_bytes });
    d->is_acked = true;
    ki_coap_remember(node, &id, (struct kirim_coap_span){ wire, sizeof wire });
    ki_coap_send(d->peer, &d->from, (struct kirim_coap_span){ wire, sizeof wire });
}

uint64_t ki_coap_deferrals_expire(struct kirim_coap_peer *peer, uint64_t now_ns)
{
    uint64_t deadline_ns = KIRIM_NEVER;
    for (struct kirim_coap_deferral *d = peer->node->deferrals; d != NULL; d = d->next) {
        if (d->peer != peer || d->is_acked) {
            continue;
        }
        if (d->ack_ns <= now_ns) {
            acknowledge(d);
        } else {
            deadline_ns = ki_coap_min(deadline_ns, d->ack_ns);
        }
    }
    return deadline_ns;
}

kirim_err kirim_coap_respond(struct kirim_coap_node *node, uint64_t deferral,
                             const struct kirim_coap_response *response, uint64_t now_ns)
{
    struct kirim_coap_deferral **at = &node->deferrals;
    struct kirim_coap_message message;
    struct ki_coap_ask ask;
    kirim_err err = KIRIM_OK;
    while (*at != NULL && (*at)->id != deferral) {
        at = &(*at)->next;
    }
    if (*at == NULL) {
        return KIRIM_ENOENT;
    }
    struct kirim_coap_deferral *const d = *at;
    struct kirim_coap_peer *const peer = d->peer;
    struct kirim_coap_response copy = *response;
    copy.code = copy.code != KIRIM_COAP_EMPTY ? copy.code : KIRIM_COAP_INTERNAL_ERROR;
    const struct kirim_coap_span wire = { d->wire, d->wire_bytes };
    if (!ki_coap_ask_again(&ask, &message, peer, wire, now_ns)) {
        err = KIRIM_ENOENT;
    } else {
        ask.from = d->from;
        ask.is_echoed = d->is_echoed;
        if (d->is_acked && message.type == KIRIM_COAP_CON) {
            err = ki_coap_answer_later(&ask, &copy);
        } else {
            ki_coap_answer(&ask, &copy);
        }
    }
    drop_deferral(node, at);
    ki_coap_pump(peer, now_ns);
    return err;
}
