/* SPDX-License-Identifier: MIT
 *
 * Messages of CoAP on the wire. All options are checked when a message is parsed, so that a walk
 * over them cannot fail. Sources: RFC 7252 section 3, RFC 7959 section 2.2.
 */
#include "message.h"

#include <string.h>

enum {
    VERSION = 1,
    MARKER = 0xff,
    NIBBLE_BYTE = 13, /* one byte follows, 13 less than the value */
    NIBBLE_WORD = 14, /* two bytes follow, 269 less than the value */
    NIBBLE_RESERVED = 15,
    WORD_FROM = 269,
    OPTION_NUMBER_MAX = 65535,
    OPTION_HEADER_BYTES_MAX = 5
};

/* Reads what a nibble announces; false: it is reserved, or bytes are missing. */
static bool read_extended(struct kirim_coap_span *rest, unsigned nibble, uint32_t *out)
{
    if (nibble < NIBBLE_BYTE) {
        *out = nibble;
        return true;
    }
    const size_t bytes = nibble == NIBBLE_BYTE ? 1 : 2;
    if (nibble == NIBBLE_RESERVED || rest->bytes < bytes) {
        return false;
    }
    *out = nibble == NIBBLE_BYTE ? (uint32_t)rest->data[0] + NIBBLE_BYTE
                                 : ((uint32_t)rest->data[0] << 8 | rest->data[1]) + WORD_FROM;
    rest->data += bytes;
    rest->bytes -= bytes;
    return true;
}

/* Reads one option. Returns 1: read; 0: the end or the marker; -1: malformed. */
static int read_option(struct kirim_coap_walk *walk, struct kirim_coap_option *out)
{
    struct kirim_coap_span rest = walk->rest;
    uint32_t delta = 0;
    uint32_t bytes = 0;
    if (rest.bytes == 0 || rest.data[0] == MARKER) {
        return 0;
    }
    const uint8_t head = rest.data[0];
    rest.data++;
    rest.bytes--;
    if (!read_extended(&rest, head >> 4, &delta) || !read_extended(&rest, head & 15, &bytes) ||
        bytes > rest.bytes || walk->number + delta > OPTION_NUMBER_MAX) {
        return -1;
    }
    walk->number += delta;
    out->number = (uint16_t)walk->number;
    out->value = (struct kirim_coap_span){ rest.data, bytes };
    walk->rest = (struct kirim_coap_span){ rest.data + bytes, rest.bytes - bytes };
    return 1;
}

/* Splits what is behind the token into options and payload. */
static bool split_body(struct kirim_coap_span body, struct kirim_coap_message *out)
{
    struct kirim_coap_walk walk = { body, 0 };
    struct kirim_coap_option option;
    int step;
    do {
        step = read_option(&walk, &option);
    } while (step > 0);
    if (step < 0) {
        return false;
    }
    out->options = (struct kirim_coap_span){ body.data, body.bytes - walk.rest.bytes };
    out->payload = (struct kirim_coap_span){ NULL, 0 };
    if (walk.rest.bytes > 0) {
        out->payload = (struct kirim_coap_span){ walk.rest.data + 1, walk.rest.bytes - 1 };
        return out->payload.bytes > 0; /* a marker announces a payload */
    }
    return true;
}

int kirim_coap_parse(struct kirim_coap_span wire, struct kirim_coap_message *out)
{
    if (wire.bytes < KIRIM_COAP_HEADER_BYTES || wire.data[0] >> 6 != VERSION) {
        return KIRIM_COAP_NO_COAP;
    }
    memset(out, 0, sizeof *out);
    out->type = wire.data[0] >> 4 & 3;
    out->code = wire.data[1];
    out->id = (uint16_t)(wire.data[2] << 8 | wire.data[3]);
    out->token_bytes = wire.data[0] & 15;
    const size_t head_bytes = (size_t)KIRIM_COAP_HEADER_BYTES + out->token_bytes;
    if (out->token_bytes > KIRIM_COAP_TOKEN_BYTES_MAX || head_bytes > wire.bytes) {
        return KIRIM_COAP_MALFORMED;
    }
    memcpy(out->token, wire.data + KIRIM_COAP_HEADER_BYTES, out->token_bytes);
    const struct kirim_coap_span body = { wire.data + head_bytes, wire.bytes - head_bytes };
    if (out->code == KIRIM_COAP_EMPTY && wire.bytes != KIRIM_COAP_HEADER_BYTES) {
        return KIRIM_COAP_MALFORMED;
    }
    return split_body(body, out) ? KIRIM_COAP_PARSED : KIRIM_COAP_MALFORMED;
}

bool kirim_coap_walk_next(struct kirim_coap_walk *walk, struct kirim_coap_option *out)
{
    return read_option(walk, out) > 0;
}

uint32_t kirim_coap_value_number(struct kirim_coap_span value)
{
    uint32_t number = 0;
    for (size_t i = 0; i < value.bytes; i++) {
        number = number << 8 | value.data[i];
    }
    return number;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_bytes(struct kirim_coap_writer *w, const void *data, size_t bytes)
{
    if (w->has_failed || bytes > w->room - w->bytes) {
        w->has_failed = true;
        return;
    }
    if (bytes > 0) {
        memcpy(w->data + w->bytes, data, bytes);
        w->bytes += bytes;
    }
}

void kirim_coap_write_header(struct kirim_coap_writer *w, const struct kirim_coap_message *message)
{
    const uint8_t head[KIRIM_COAP_HEADER_BYTES] = {
        (uint8_t)(VERSION << 6 | message->type << 4 | message->token_bytes),
        message->code,
        (uint8_t)(message->id >> 8),
        (uint8_t)message->id,
    };
    write_bytes(w, head, sizeof head);
    write_bytes(w, message->token, message->token_bytes);
}

/* The nibble for a number, and the bytes that follow it. */
static uint8_t split_number(uint32_t number, uint8_t bytes[2], size_t *count)
{
    *count = 0;
    if (number < NIBBLE_BYTE) {
        return (uint8_t)number;
    }
    if (number < WORD_FROM) {
        bytes[(*count)++] = (uint8_t)(number - NIBBLE_BYTE);
        return NIBBLE_BYTE;
    }
    bytes[(*count)++] = (uint8_t)((number - WORD_FROM) >> 8);
    bytes[(*count)++] = (uint8_t)(number - WORD_FROM);
    return NIBBLE_WORD;
}

void kirim_coap_write_option(struct kirim_coap_writer *w, uint16_t number,
                             struct kirim_coap_span value)
{
    uint8_t head[OPTION_HEADER_BYTES_MAX];
    size_t delta_bytes = 0;
    size_t length_bytes = 0;
    if (number < w->last || value.bytes > UINT16_MAX) {
        w->has_failed = true;
        return;
    }
    const uint8_t delta = split_number((uint32_t)(number - w->last), head + 1, &delta_bytes);
    const uint8_t length =
        split_number((uint32_t)value.bytes, head + 1 + delta_bytes, &length_bytes);
    head[0] = (uint8_t)(delta << 4 | length);
    write_bytes(w, head, 1 + delta_bytes + length_bytes);
    write_bytes(w, value.data, value.bytes);
    w->last = number;
}

void kirim_coap_write_number(struct kirim_coap_writer *w, uint16_t number, uint32_t value)
{
    const uint8_t bytes[4] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16),
                               (uint8_t)(value >> 8), (uint8_t)value };
    size_t skipped = 0;
    while (skipped < sizeof bytes && bytes[skipped] == 0) {
        skipped++;
    }
    const struct kirim_coap_span span = { bytes + skipped, sizeof bytes - skipped };
    kirim_coap_write_option(w, number, span);
}

void kirim_coap_write_payload(struct kirim_coap_writer *w, struct kirim_coap_span payload)
{
    static const uint8_t marker = MARKER;
    if (payload.bytes > 0) {
        write_bytes(w, &marker, 1);
        write_bytes(w, payload.data, payload.bytes);
    }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

struct kirim_coap_block kirim_coap_block_read(uint32_t value)
{
    return (struct kirim_coap_block){ .number = value >> 4,
                                      .has_more = (value & 8) != 0,
                                      .szx = value & 7 };
}

uint32_t kirim_coap_block_value(struct kirim_coap_block block)
{
    return block.number << 4 | (block.has_more ? 8U : 0U) | block.szx;
}

uint8_t kirim_coap_block_szx(size_t bytes)
{
    uint8_t szx = 6;
    while (szx > 0 && kirim_coap_block_bytes(szx) > bytes) {
        szx--;
    }
    return szx;
}
