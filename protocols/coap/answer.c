/* SPDX-License-Identifier: MIT
 *
 * Answers on their way out: which part of a body, how many bytes the asker has earned, whether it
 * wants to hear anything, and in what kind of message. Sources: RFC 7252 sections 5.2, 5.10.6 and
 * 8.2, RFC 7959 sections 2.2 to 2.4 and 4, RFC 7967 section 2.1, RFC 9175 section 2.
 */
#include "parts.h"

#include <string.h>

enum { TOKEN_SKIPPED_BYTES = 1 }; /* a token's first byte is always the same: it is not sent */

static const uint64_t ns_per_s = UINT64_C(1000000000);
static const uint8_t purpose[] = { 'e', 'c', 'h', 'o' };

/* ---- Echo ------------------------------------------------------------------------------------ */

/* A key that is not too old. */
static bool renew_key(struct kirim_coap_node *node, uint64_t now_ns)
{
    const struct kirim_coap_environment *const env = &node->options.env;
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES];
    const uint64_t lifetime_ns = node->options.echo_lifetime_s * ns_per_s;
    if (node->keys_ns != 0 && now_ns - node->keys_ns < lifetime_ns) {
        return true;
    }
    if (env->random(env->user, key, sizeof key) < 0) {
        node->stats.no_memory++;
        return false;
    }
    if (node->keys_ns != 0) {
        kirim_token_keys_rotate(&node->keys, key);
    } else if (kirim_token_keys_init(&node->keys, key, node->options.echo_lifetime_s) < 0) {
        return false;
    }
    node->keys_ns = now_ns > 0 ? now_ns : 1;
    return true;
}

static struct kirim_token_claim claim_of(const struct ki_coap_ask *ask)
{
    return (struct kirim_token_claim){ .peer = &ask->from,
                                       .now_ns = ask->now_ns,
                                       .context = purpose,
                                       .context_bytes = sizeof purpose };
}

size_t ki_coap_echo_make(struct ki_coap_ask *ask, uint8_t out[KIRIM_COAP_ECHO_BYTES_MAX])
{
    struct kirim_coap_node *const node = ask->peer->node;
    const struct kirim_token_claim claim = claim_of(ask);
    uint8_t token[KIRIM_TOKEN_BYTES(0)];
    if (!renew_key(node, ask->now_ns) ||
        kirim_token_issue(&node->keys, &claim, token, sizeof token) < 0) {
        return 0;
    }
    memcpy(out, token + TOKEN_SKIPPED_BYTES, sizeof token - TOKEN_SKIPPED_BYTES);
    return sizeof token - TOKEN_SKIPPED_BYTES;
}

void ki_coap_echo_check(struct ki_coap_ask *ask)
{
    struct kirim_coap_node *const node = ask->peer->node;
    const struct kirim_coap_span echo = ask->fields.echo;
    struct kirim_token_claim claim = claim_of(ask);
    struct kirim_token_claim model = claim;
    uint8_t token[KIRIM_TOKEN_BYTES(0)];
    if ((ask->fields.has & KIRIM_COAP_HAS_ECHO) == 0) {
        return;
    }
    /* What all tokens begin with comes from one that is made now. */
    if (node->keys_ns == 0 || echo.bytes != sizeof token - TOKEN_SKIPPED_BYTES ||
        kirim_token_issue(&node->keys, &model, token, sizeof token) < 0) {
        node->stats.echo_bad++;
        return;
    }
    memcpy(token + TOKEN_SKIPPED_BYTES, echo.data, echo.bytes);
    if (kirim_token_check(&node->keys, &claim, token, sizeof token) < 0) {
        node->stats.echo_bad++;
        return;
    }
    node->stats.echo_good++;
    ask->is_echoed = true;
    ask->peer->is_validated = true;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

size_t ki_coap_offset(const struct ki_coap_ask *ask, uint8_t *szx)
{
    const struct kirim_coap_block *const asked = &ask->fields.block2;
    *szx = ki_coap_szx_max(ask->peer);
    if ((ask->fields.has & KIRIM_COAP_HAS_BLOCK2) == 0) {
        return 0;
    }
    *szx = asked->szx < *szx ? asked->szx : *szx;
    return (size_t)asked->number * kirim_coap_block_bytes(asked->szx);
}

static struct kirim_coap_response refusal(uint8_t code)
{
    return (struct kirim_coap_response){ .code = code,
                                         .content_format = KIRIM_COAP_FORMAT_NONE,
                                         .max_age_s = KIRIM_COAP_MAX_AGE_S };
}

/* A part of a body, and its place. */
struct part {
    struct kirim_coap_span data;
    struct kirim_coap_block block;
    size_t total_bytes;
    bool is_block;
};

/* Cuts out what was asked for. False: it is behind the end, or has no number in blocks that are as
 * small as this side wants them. */
static bool cut(const struct ki_coap_ask *ask, const struct kirim_coap_response *response,
                struct part *out)
{
    uint8_t szx = 0;
    const size_t offset = ki_coap_offset(ask, &szx);
    const size_t size = kirim_coap_block_bytes(szx);
    const bool is_window = response->total_bytes != 0;
    const size_t total = is_window ? response->total_bytes : response->body.bytes;
    if ((offset > 0 && offset >= total) || offset / size > KIRIM_COAP_BLOCK_NUMBER_MAX) {
        return false;
    }
    size_t bytes = total - offset < size ? total - offset : size;
    if (is_window && bytes > response->body.bytes) {
        bytes = response->body.bytes; /* what the resource has given */
    }
    out->data = (struct kirim_coap_span){ NULL, bytes };
    if (bytes > 0) {
        out->data.data = response->body.data + (is_window ? 0 : offset);
    }
    out->total_bytes = total;
    out->is_block = (ask->fields.has & KIRIM_COAP_HAS_BLOCK2) != 0 || total > size;
    out->block = (struct kirim_coap_block){ .number = (uint32_t)(offset >> (szx + 4)),
                                            .has_more = offset + bytes < total,
                                            .szx = szx };
    return true;
}

/* ---- the message ----------------------------------------------------------------------------- */

static void write_location(struct kirim_coap_writer *w, const char *location)
{
    while (location != NULL) {
        const char *const slash = strchr(location, '/');
        const size_t bytes = slash != NULL ? (size_t)(slash - location) : strlen(location);
        kirim_coap_write_option(w, KIRIM_COAP_LOCATION_PATH,
                                (struct kirim_coap_span){ (const uint8_t *)location, bytes });
        location = slash != NULL ? slash + 1 : NULL;
    }
}

static void write_answer(struct ki_coap_ask *ask, const struct kirim_coap_response *response,
                         const struct part *part, struct kirim_coap_span echo,
                         struct kirim_coap_writer *w)
{
    const bool tells_size = part->is_block && (part->block.number == 0 ||
                                               (ask->fields.has & KIRIM_COAP_HAS_SIZE2) != 0);
    if (response->etag.bytes > 0) {
        kirim_coap_write_option(w, KIRIM_COAP_ETAG, response->etag);
    }
    if (ask->has_observe) {
        kirim_coap_write_number(w, KIRIM_COAP_OBSERVE, ask->observe);
    }
    write_location(w, response->location);
    if (response->content_format != KIRIM_COAP_FORMAT_NONE) {
        kirim_coap_write_number(w, KIRIM_COAP_CONTENT_FORMAT, response->content_format);
    }
    if (response->max_age_s != KIRIM_COAP_MAX_AGE_S) {
        kirim_coap_write_number(w, KIRIM_COAP_MAX_AGE, response->max_age_s);
    }
    if (part->is_block) {
        kirim_coap_write_number(w, KIRIM_COAP_BLOCK2, kirim_coap_block_value(part->block));
    }
    if (ask->has_block1) {
        kirim_coap_write_number(w, KIRIM_COAP_BLOCK1, kirim_coap_block_value(ask->block1));
    }
    if (tells_size) {
        kirim_coap_write_number(w, KIRIM_COAP_SIZE2, (uint32_t)part->total_bytes);
    }
    if (ask->size1 != 0) {
        kirim_coap_write_number(w, KIRIM_COAP_SIZE1, ask->size1);
    }
    if (echo.bytes > 0) {
        kirim_coap_write_option(w, KIRIM_COAP_ECHO, echo);
    }
    kirim_coap_write_payload(w, part->data);
}

/* 4.01 with a value to be sent back. */
static void encode_echo(struct ki_coap_ask *ask, struct kirim_coap_message *head,
                        struct kirim_coap_response *response, struct kirim_coap_writer *w)
{
    static const struct part nothing = { { NULL, 0 }, { 0, false, 0 }, 0, false };
    uint8_t echo[KIRIM_COAP_ECHO_BYTES_MAX];
    const size_t echo_bytes = ki_coap_echo_make(ask, echo);
    *response = refusal(KIRIM_COAP_UNAUTHORIZED);
    *w = (struct kirim_coap_writer)KIRIM_COAP_WRITER_INIT(w->data, w->room);
    head->code = KIRIM_COAP_UNAUTHORIZED;
    ask->has_observe = false;
    ask->asks_echo = true;
    kirim_coap_write_header(w, head);
    write_answer(ask, response, &nothing, (struct kirim_coap_span){ echo, echo_bytes }, w);
    ask->peer->node->stats.echo_asked++;
}

/* An asker who has the present state is told so; long bodies get an ETag. */
static void refine(struct ki_coap_ask *ask, struct kirim_coap_response *response,
                   uint8_t etag[KIRIM_COAP_ETAG_BYTES_MAX])
{
    uint8_t szx = 0;
    const bool is_get = ask->message->code == KIRIM_COAP_GET;
    (void)ki_coap_offset(ask, &szx);
    if (response->code == KIRIM_COAP_CONTENT && response->etag.bytes == 0 &&
        response->total_bytes == 0 && response->body.bytes > kirim_coap_block_bytes(szx)) {
        const uint64_t tag =
            kirim_siphash_number(ask->peer->node->key, response->body.data, response->body.bytes);
        memcpy(etag, &tag, sizeof tag);
        response->etag = (struct kirim_coap_span){ etag, sizeof tag };
    }
    if (is_get && response->code == KIRIM_COAP_CONTENT && response->etag.bytes > 0 &&
        (ask->fields.has & KIRIM_COAP_HAS_ETAG) != 0 &&
        kirim_coap_has_value(ask->message, KIRIM_COAP_ETAG, response->etag)) {
        response->code = KIRIM_COAP_VALID;
        response->content_format = KIRIM_COAP_FORMAT_NONE;
        response->body = (struct kirim_coap_span){ NULL, 0 };
        response->total_bytes = 0;
        ask->fields.has &= ~(uint32_t)KIRIM_COAP_HAS_BLOCK2;
    }
    if (kirim_coap_class(response->code) != 2) {
        ask->has_observe = false;
        if (response->body.bytes == 0) {
            ask->fields.has &= ~(uint32_t)KIRIM_COAP_HAS_BLOCK2;
        }
    }
}

void ki_coap_encode(struct ki_coap_ask *ask, struct kirim_coap_response *response,
                    struct kirim_coap_message *head, struct kirim_coap_writer *w)
{
    static const struct kirim_coap_span no_echo = { NULL, 0 };
    uint8_t etag[KIRIM_COAP_ETAG_BYTES_MAX];
    struct part part = { { NULL, 0 }, { 0, false, 0 }, 0, false };
    const struct kirim_coap_node *const node = ask->peer->node;
    head->token_bytes = ask->message->token_bytes;
    memcpy(head->token, ask->message->token, sizeof head->token);
    if (ask->asks_echo) {
        encode_echo(ask, head, response, w);
        return;
    }
    refine(ask, response, etag);
    if (!cut(ask, response, &part)) {
        *response = refusal(KIRIM_COAP_BAD_REQUEST);
        ask->has_observe = false;
        ask->fields.has &= ~(uint32_t)KIRIM_COAP_HAS_BLOCK2;
        (void)cut(ask, response, &part);
    }
    head->code = response->code;
    kirim_coap_write_header(w, head);
    write_answer(ask, response, &part, no_echo, w);
    if (w->has_failed) {
        *w = (struct kirim_coap_writer)KIRIM_COAP_WRITER_INIT(w->data, w->room);
        head->code = response->code = KIRIM_COAP_INTERNAL_ERROR; /* a resource's options */
        kirim_coap_write_header(w, head);
    }
    if (!ask->peer->is_validated && w->bytes > node->options.amplification * ask->wire.bytes) {
        if (ask->message->code == KIRIM_COAP_GET || ask->message->code == KIRIM_COAP_FETCH) {
            encode_echo(ask, head, response, w);
        } else {
            /* It was carried out, so it cannot be asked again: the code alone is told. */
            *w = (struct kirim_coap_writer)KIRIM_COAP_WRITER_INIT(w->data, w->room);
            kirim_coap_write_header(w, head);
        }
    }
    response->etag = no_echo; /* it may have been on this stack */
}

/* ---- on the way ------------------------------------------------------------------------------ */

/* Whether the asker wants to hear this. */
static bool is_wanted(const struct ki_coap_ask *ask, const struct kirim_coap_response *response)
{
    const unsigned class = kirim_coap_class(response->code);
    if ((ask->fields.has & KIRIM_COAP_HAS_NO_RESPONSE) != 0) {
        return response->code == KIRIM_COAP_CONTINUE ||
               (ask->fields.no_response & 1U << (class - 1)) == 0;
    }
    if (!ask->is_group || ask->asks_echo) {
        return true;
    }
    return class == 2 && (response->code != KIRIM_COAP_CONTENT || response->body.bytes > 0);
}

static void remember(const struct ki_coap_ask *ask, struct kirim_coap_span wire)
{
    struct kirim_coap_node *const node = ask->peer->node;
    const struct kirim_request id = ki_coap_request(node, &ask->from, ask->wire);
    ki_coap_remember(node, &id, wire);
}

/* Answers to a group's request wait a random part of the leisure. */
static void send_at_leisure(struct ki_coap_ask *ask, struct kirim_coap_span wire)
{
    const struct kirim_coap_environment *const env = &ask->peer->node->options.env;
    const uint64_t leisure_ns = ask->peer->node->options.leisure_ns;
    uint64_t random = 0;
    if (env->random(env->user, &random, sizeof random) < 0) {
        ask->peer->node->stats.no_memory++;
        return;
    }
    const struct kirim_coap_pending what = {
        .to = ask->from,
        .due_ns = ask->now_ns + (leisure_ns > 0 ? random % leisure_ns : 0),
    };
    (void)ki_coap_pend(ask->peer, &what, wire);
}

void ki_coap_answer(struct ki_coap_ask *ask, struct kirim_coap_response *response)
{
    uint8_t wire[KIRIM_COAP_MESSAGE_BYTES_MAX];
    const size_t room =
        ask->peer->message_bytes_max < sizeof wire ? ask->peer->message_bytes_max : sizeof wire;
    struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(wire, room);
    const bool is_confirmable = ask->message->type == KIRIM_COAP_CON;
    struct kirim_coap_message head = { .type = is_confirmable ? KIRIM_COAP_ACK : KIRIM_COAP_NON,
                                       .id = ask->message->id };
    ki_coap_encode(ask, response, &head, &w);
    ask->peer->node->stats.refused += kirim_coap_class(response->code) != 2 ? 1 : 0;
    if (!is_wanted(ask, response)) {
        if (!is_confirmable) {
            remember(ask, (struct kirim_coap_span){ wire, 0 });
            return;
        }
        w = (struct kirim_coap_writer)KIRIM_COAP_WRITER_INIT(wire, room);
        head.code = KIRIM_COAP_EMPTY;
        head.token_bytes = 0;
        kirim_coap_write_header(&w, &head);
    } else if (!is_confirmable) {
        if (ki_coap_take_id(ask->peer, KI_COAP_ANSWER_IDS, ask->now_ns, &head.id) < 0) {
            return;
        }
        wire[2] = (uint8_t)(head.id >> 8);
        wire[3] = (uint8_t)head.id;
    }
    const struct kirim_coap_span done = { wire, w.bytes };
    remember(ask, done);
    if (ask->is_group) {
        send_at_leisure(ask, done);
    } else {
        ki_coap_send(ask->peer, &ask->from, done);
    }
}

kirim_err ki_coap_answer_later(struct ki_coap_ask *ask, struct kirim_coap_response *response)
{
    uint8_t wire[KIRIM_COAP_MESSAGE_BYTES_MAX];
    const size_t room =
        ask->peer->message_bytes_max < sizeof wire ? ask->peer->message_bytes_max : sizeof wire;
    struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(wire, room);
    struct kirim_coap_message head = { .type = KIRIM_COAP_CON };
    const kirim_err err = ki_coap_take_id(ask->peer, KI_COAP_OWN_IDS, ask->now_ns, &head.id);
    if (err < 0) {
        return err;
    }
    ki_coap_encode(ask, response, &head, &w);
    ask->peer->node->stats.refused += kirim_coap_class(response->code) != 2 ? 1 : 0;
    if (!is_wanted(ask, response)) {
        return KIRIM_OK;
    }
    const struct kirim_coap_pending what = {
        .to = ask->from, .due_ns = ask->now_ns, .id = head.id, .is_confirmable = true
    };
    return ki_coap_pend(ask->peer, &what, (struct kirim_coap_span){ wire, w.bytes });
}

bool kirim_coap_is_matching(const struct kirim_coap_request *request, struct kirim_coap_span etag)
{
    static const struct kirim_coap_span any = { NULL, 0 };
    const uint32_t has = request->fields->has;
    if ((has & KIRIM_COAP_HAS_IF_NONE_MATCH) != 0 && etag.bytes > 0) {
        return false;
    }
    if ((has & KIRIM_COAP_HAS_IF_MATCH) == 0) {
        return true;
    }
    return etag.bytes > 0 && (kirim_coap_has_value(request->message, KIRIM_COAP_IF_MATCH, any) ||
                              kirim_coap_has_value(request->message, KIRIM_COAP_IF_MATCH, etag));
}
