/* SPDX-License-Identifier: MIT
 *
 * The messages of a call: its body in blocks, its answer in blocks, a registration, an Echo. Each
 * message has a token of its own, but those of an observation. Sources: RFC 7959 sections 2.4, 2.5
 * and 2.7, RFC 9175 sections 2.3, 3.3 and 4.2, RFC 7641 section 3.
 */
#include "parts.h"

#include <string.h>

enum { ECHO_COUNT_MAX = 3, RESTART_COUNT_MAX = 3, OWN_COUNT_MAX = 8 };

/* Options that a call adds to those of its caller, in the order of their numbers. */
struct own {
    struct kirim_coap_option option[OWN_COUNT_MAX];
    uint8_t value[OWN_COUNT_MAX][4];
    size_t count;
};

static void own_bytes(struct own *own, uint16_t number, struct kirim_coap_span value)
{
    own->option[own->count++] = (struct kirim_coap_option){ number, value };
}

static void own_number(struct own *own, uint16_t number, uint32_t value)
{
    uint8_t *const bytes = own->value[own->count];
    size_t skipped = 0;
    for (size_t i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
    }
    while (skipped < 4 && bytes[skipped] == 0) {
        skipped++;
    }
    own_bytes(own, number, (struct kirim_coap_span){ bytes + skipped, 4 - skipped });
}

/* The part of the body that is next. */
static struct kirim_coap_span next_part(const struct kirim_coap_call *call, bool *is_block)
{
    const size_t size = kirim_coap_block_bytes(call->send_szx);
    const size_t left = call->body.bytes - call->sent_bytes;
    *is_block = call->body.bytes > size;
    if (call->is_fetching || call->is_ending || call->body.bytes == 0) {
        *is_block = false;
        return (struct kirim_coap_span){ NULL, 0 };
    }
    return (struct kirim_coap_span){ call->body.data + call->sent_bytes,
                                     left < size ? left : size };
}

static void add_own(const struct kirim_coap_call *call, bool is_block, size_t part_bytes,
                    struct own *own)
{
    own->count = 0;
    if (call->is_observing && !call->is_fetching) {
        own_number(own, KIRIM_COAP_OBSERVE, call->is_ending ? 1 : 0);
    }
    if (call->is_fetching) {
        const size_t size = kirim_coap_block_bytes(call->receive_szx);
        own_number(own, KIRIM_COAP_BLOCK2,
                   kirim_coap_block_value((struct kirim_coap_block){
                       (uint32_t)(call->received_bytes / size), false, call->receive_szx }));
    } else if (call->asks_size) {
        own_number(own, KIRIM_COAP_BLOCK2,
                   kirim_coap_block_value((struct kirim_coap_block){ 0, false, call->szx }));
    }
    if (is_block) {
        const size_t size = kirim_coap_block_bytes(call->send_szx);
        own_number(own, KIRIM_COAP_BLOCK1,
                   kirim_coap_block_value((struct kirim_coap_block){
                       (uint32_t)(call->sent_bytes / size),
                       call->sent_bytes + part_bytes < call->body.bytes, call->send_szx }));
    }
    if (is_block && call->sent_bytes == 0) {
        own_number(own, KIRIM_COAP_SIZE1, (uint32_t)call->body.bytes);
    }
    if (call->echo_bytes > 0) {
        own_bytes(own, KIRIM_COAP_ECHO, (struct kirim_coap_span){ call->echo, call->echo_bytes });
    }
    if (call->body.bytes > kirim_coap_block_bytes(call->send_szx)) {
        own_bytes(own, KIRIM_COAP_REQUEST_TAG,
                  (struct kirim_coap_span){ call->tag, call->tag_bytes });
    }
}

/* Both lists in one order. */
static void write_options(struct kirim_coap_writer *w, const struct kirim_coap_call *call,
                          const struct own *own)
{
    size_t at = 0;
    for (size_t i = 0; i < call->option_count; i++) {
        while (at < own->count && own->option[at].number < call->options[i].number) {
            kirim_coap_write_option(w, own->option[at].number, own->option[at].value);
            at++;
        }
        kirim_coap_write_option(w, call->options[i].number, call->options[i].value);
    }
    for (; at < own->count; at++) {
        kirim_coap_write_option(w, own->option[at].number, own->option[at].value);
    }
}

/* A token for the next message: a new one, or that of the observation, or of a group's request. */
static kirim_err take_token(struct kirim_coap_call *call, bool is_kept, uint64_t now_ns,
                            uint64_t *id)
{
    static const struct kirim_addr anybody = { { 0, 0, 0 } };
    struct kirim_transactions *const table = &call->peer->node->transactions;
    const struct kirim_addr *const peer =
        kirim_addr_is_multicast(&call->peer->addr) ? &anybody : &call->peer->addr;
    const bool is_of_observation = call->is_observing && !call->is_fetching;
    if (is_of_observation && call->has_observe_id) {
        *id = call->observe_id;
        return KIRIM_OK;
    }
    if (is_kept && call->has_id) {
        *id = call->id;
        return KIRIM_OK;
    }
    uint64_t old_id = 0;
    void *user = NULL;
    while (kirim_transactions_expire(table, now_ns, &user, &old_id)) {
        /* None has a deadline: it forgets those that have ended. */
    }
    if (!is_of_observation && call->has_id) {
        (void)kirim_transactions_cancel(table, call->id, now_ns);
        call->has_id = false;
    }
    const kirim_err err = kirim_transactions_begin(table, peer, KIRIM_NEVER, call, id);
    if (err < 0) {
        return err;
    }
    if (is_of_observation) {
        call->observe_id = *id;
        call->has_observe_id = true;
    } else {
        call->id = *id;
        call->has_id = true;
    }
    return KIRIM_OK;
}

/* Whether the number of the next block, either way, is one that can be written. */
static bool is_countable(const struct kirim_coap_call *call)
{
    const size_t received = call->received_bytes / kirim_coap_block_bytes(call->receive_szx);
    const size_t sent = call->sent_bytes / kirim_coap_block_bytes(call->send_szx);
    return received <= KIRIM_COAP_BLOCK_NUMBER_MAX && sent <= KIRIM_COAP_BLOCK_NUMBER_MAX;
}

static kirim_err send_ping(struct kirim_coap_call *call, uint64_t now_ns)
{
    uint8_t wire[KIRIM_COAP_HEADER_BYTES];
    struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(wire, sizeof wire);
    const struct kirim_coap_message head = { .type = KIRIM_COAP_CON, .id = call->message_id };
    kirim_coap_write_header(&w, &head);
    return ki_coap_exchange_start(call->peer, KI_COAP_CALL, call, call->message_id,
                                  (struct kirim_coap_span){ wire, w.bytes }, now_ns);
}

kirim_err ki_coap_call_send(struct kirim_coap_call *call, const struct kirim_addr *to,
                            uint64_t now_ns)
{
    uint8_t wire[KIRIM_COAP_MESSAGE_BYTES_MAX];
    struct kirim_coap_peer *const peer = call->peer;
    const size_t room =
        peer->message_bytes_max < sizeof wire ? peer->message_bytes_max : sizeof wire;
    struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(wire, room);
    struct kirim_coap_message head = { .type = call->type, .code = call->method };
    struct own own;
    bool is_block = false;
    uint64_t token = 0;
    if (!is_countable(call)) {
        return KIRIM_EMSGSIZE; /* so many blocks since the other side wants small ones */
    }
    kirim_err err = ki_coap_take_id(peer, KI_COAP_OWN_IDS, now_ns, &head.id);
    if (err < 0) {
        return err;
    }
    call->message_id = head.id;
    if (call->method == KIRIM_COAP_EMPTY) {
        return send_ping(call, now_ns);
    }
    err = take_token(call, !kirim_addr_equal(to, &peer->addr), now_ns, &token);
    if (err < 0) {
        return err;
    }
    head.token_bytes = KIRIM_COAP_TOKEN_BYTES_MAX;
    for (size_t i = 0; i < sizeof head.token; i++) {
        head.token[i] = (uint8_t)(token >> (56 - 8 * i));
    }
    const struct kirim_coap_span part = next_part(call, &is_block);
    add_own(call, is_block, part.bytes, &own);
    kirim_coap_write_header(&w, &head);
    write_options(&w, call, &own);
    kirim_coap_write_payload(&w, part);
    if (w.has_failed) {
        return KIRIM_EMSGSIZE;
    }
    const struct kirim_coap_span done = { wire, w.bytes };
    if (call->type == KIRIM_COAP_CON) {
        return ki_coap_exchange_start(peer, KI_COAP_CALL, call, head.id, done, now_ns);
    }
    ki_coap_send(peer, to, done);
    return KIRIM_OK;
}

/* ---- answers --------------------------------------------------------------------------------- */

void ki_coap_call_forget_body(struct kirim_coap_call *call)
{
    ki_coap_free(call->peer->node, call->received, call->received_room);
    call->received = NULL;
    call->received_bytes = call->received_room = 0;
}

static kirim_err append(struct kirim_coap_call *call, struct kirim_coap_span block)
{
    struct kirim_coap_node *const node = call->peer->node;
    const struct kirim_coap_environment *const env = &node->options.env;
    const size_t bytes = call->received_bytes + block.bytes;
    const size_t bytes_max =
        call->body_bytes_max != 0 ? call->body_bytes_max : node->options.body_bytes_max;
    if (bytes > bytes_max) {
        return KIRIM_EMSGSIZE;
    }
    if (bytes > call->received_room) {
        size_t room = call->received_room > 0 ? call->received_room : KIRIM_COAP_BLOCK_BYTES_MAX;
        while (room < bytes) {
            room *= 2;
        }
        uint8_t *const data = env->alloc(env->user, call->received, call->received_room, room);
        if (data == NULL) {
            node->stats.no_memory++;
            return KIRIM_ENOMEM;
        }
        call->received = data;
        call->received_room = room;
    }
    if (block.bytes > 0) {
        memcpy(call->received + call->received_bytes, block.data, block.bytes);
    }
    call->received_bytes = bytes;
    return KIRIM_OK;
}

/* The server asks whether this side is there. */
bool ki_coap_call_take_echo(struct kirim_coap_call *call, const struct kirim_coap_message *message,
                            const struct kirim_coap_fields *fields)
{
    if ((fields->has & KIRIM_COAP_HAS_ECHO) == 0) {
        return false;
    }
    memcpy(call->echo, fields->echo.data, fields->echo.bytes);
    call->echo_bytes = (uint8_t)fields->echo.bytes;
    return message->code == KIRIM_COAP_UNAUTHORIZED && call->echo_count++ < ECHO_COUNT_MAX;
}

/* Of a body in blocks: whether there is another one to send. */
static bool advance_upload(struct kirim_coap_call *call, const struct kirim_coap_message *message,
                           const struct kirim_coap_fields *fields)
{
    const size_t size = kirim_coap_block_bytes(call->send_szx);
    const bool has_block = (fields->has & KIRIM_COAP_HAS_BLOCK1) != 0 && fields->block1.szx <= 6;
    if (call->body.bytes <= size || call->is_fetching) {
        return false;
    }
    if (message->code == KIRIM_COAP_CONTINUE && has_block &&
        call->sent_bytes + size < call->body.bytes) {
        call->sent_bytes += size;
        call->send_szx = fields->block1.szx < call->send_szx ? fields->block1.szx : call->send_szx;
        return true;
    }
    if (message->code == KIRIM_COAP_TOO_LARGE && has_block && call->sent_bytes == 0 &&
        fields->block1.szx < call->send_szx) {
        call->send_szx = fields->block1.szx;
        return true;
    }
    if (message->code == KIRIM_COAP_INCOMPLETE && call->restart_count++ < RESTART_COUNT_MAX) {
        call->sent_bytes = 0;
        call->tag[0]++; /* another body than the one before */
        return true;
    }
    return false;
}

/* Begins to fetch a body from its first block on. */
static kirim_err fetch_anew(struct kirim_coap_call *call)
{
    if (call->restart_count++ >= RESTART_COUNT_MAX) {
        return KIRIM_EABORTED; /* it changes faster than it can be read */
    }
    call->received_bytes = 0;
    call->etag_bytes = 0;
    call->is_fetching = true;
    return KIRIM_PENDING;
}

static kirim_err advance_download(struct kirim_coap_call *call,
                                  const struct kirim_coap_message *message,
                                  const struct kirim_coap_fields *fields,
                                  struct kirim_coap_span *body)
{
    const struct kirim_coap_block block = fields->block2;
    const size_t size = kirim_coap_block_bytes(block.szx & 7);
    const struct kirim_coap_span etag = { call->etag, call->etag_bytes };
    if (block.szx > 6 || message->payload.bytes > size ||
        (block.has_more && message->payload.bytes != size)) {
        return KIRIM_EINVAL;
    }
    if (block.number == 0 && !(call->is_fetching && call->received_bytes > 0)) {
        call->received_bytes = 0; /* else it is not what was asked for, as it would be for ever */
        call->etag_bytes = (uint8_t)fields->etag.bytes;
        if (fields->etag.bytes > 0) {
            memcpy(call->etag, fields->etag.data, fields->etag.bytes);
        }
    } else if (block.number > 0 && !kirim_coap_span_equal(etag, fields->etag)) {
        return fetch_anew(call);
    }
    if ((size_t)block.number * size != call->received_bytes) {
        return KIRIM_EINVAL;
    }
    const kirim_err err = append(call, message->payload);
    if (err < 0) {
        return err;
    }
    if (block.has_more) {
        call->receive_szx = block.szx;
        call->is_fetching = true;
        return KIRIM_PENDING;
    }
    *body = (struct kirim_coap_span){ call->received, call->received_bytes };
    return KIRIM_OK;
}

kirim_err ki_coap_call_advance(struct kirim_coap_call *call,
                               const struct kirim_coap_message *message,
                               const struct kirim_coap_fields *fields, struct kirim_coap_span *body)
{
    if (kirim_coap_class(message->code) == 2) {
        call->echo_count = 0; /* that one was good: an observation may be asked for more, later */
    }
    if (ki_coap_call_take_echo(call, message, fields) || advance_upload(call, message, fields)) {
        return KIRIM_PENDING;
    }
    kirim_err err = KIRIM_OK;
    if ((fields->has & KIRIM_COAP_HAS_BLOCK2) != 0 && kirim_coap_class(message->code) == 2 &&
        (fields->block2.has_more || fields->block2.number > 0)) {
        err = advance_download(call, message, fields, body);
    }
    if (err == KIRIM_OK && call->is_registered) {
        call->restart_count = 0; /* the next state is another body */
    }
    return err;
}
