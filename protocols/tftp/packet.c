/* SPDX-License-Identifier: MIT
 *
 * Messages of TFTP: see packet.h.
 */
#include "packet.h"

#include <string.h>

enum { KIND_BYTES = 2, DECIMAL_BYTES_MAX = 20 };

static const char blksize_name[] = "blksize";
static const char tsize_name[] = "tsize";
static const char timeout_name[] = "timeout";
static const char windowsize_name[] = "windowsize";

static uint16_t get16(const uint8_t *data)
{
    return (uint16_t)(data[0] << 8 | data[1]);
}

static void put16(uint8_t *data, uint16_t number)
{
    data[0] = (uint8_t)(number >> 8);
    data[1] = (uint8_t)number;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Takes a text with its zero; false, and `rest` stays, if there is none. */
static bool take_text(struct kirim_tftp_span *rest, struct kirim_tftp_span *text)
{
    const uint8_t *const end = rest->bytes > 0 ? memchr(rest->data, 0, rest->bytes) : NULL;
    if (end == NULL) {
        return false;
    }
    *text = (struct kirim_tftp_span){ rest->data, (size_t)(end - rest->data) };
    rest->data += text->bytes + 1;
    rest->bytes -= text->bytes + 1;
    return true;
}

static char lower(uint8_t byte)
{
    return (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
}

/* Whether a text is this word, which is lower-case, in whatever case. */
static bool is_word(struct kirim_tftp_span text, const char *word)
{
    size_t i = 0;
    while (i < text.bytes && word[i] != '\0' && lower(text.data[i]) == word[i]) {
        i++;
    }
    return i == text.bytes && word[i] == '\0';
}

/* Decimal digits only, and a number that 64 bits hold. */
static bool read_number(struct kirim_tftp_span text, uint64_t *out)
{
    uint64_t number = 0;
    if (text.bytes == 0) {
        return false;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        const uint64_t digit = text.data[i] - (uint64_t)'0';
        if (number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

/* The bit of an option that is known and whose value is within bounds, and the value; else 0. */
static uint32_t read_option(struct kirim_tftp_span name, struct kirim_tftp_span value,
                            struct kirim_tftp_options *out)
{
    uint64_t number = 0;
    if (!read_number(value, &number)) {
        return 0;
    }
    if (is_word(name, tsize_name)) {
        out->tsize = number;
        return KIRIM_TFTP_HAS_TSIZE;
    }
    if (is_word(name, blksize_name) && number >= KIRIM_TFTP_BLOCK_BYTES_MIN) {
        const bool is_over = number > KIRIM_TFTP_BLOCK_BYTES_MAX;
        out->blksize = is_over ? (uint32_t)KIRIM_TFTP_BLOCK_BYTES_MAX : (uint32_t)number;
        return KIRIM_TFTP_HAS_BLKSIZE;
    }
    if (is_word(name, timeout_name) && number >= 1 && number <= KIRIM_TFTP_TIMEOUT_SECONDS_MAX) {
        out->timeout_s = (uint32_t)number;
        return KIRIM_TFTP_HAS_TIMEOUT;
    }
    if (is_word(name, windowsize_name) && number >= 1 && number <= KIRIM_TFTP_WINDOW_BLOCKS_MAX) {
        out->windowsize = (uint32_t)number;
        return KIRIM_TFTP_HAS_WINDOWSIZE;
    }
    return 0;
}

static void keep_option(uint32_t bit, const struct kirim_tftp_options *from,
                        struct kirim_tftp_options *to)
{
    to->has |= bit;
    if (bit == KIRIM_TFTP_HAS_BLKSIZE) {
        to->blksize = from->blksize;
    } else if (bit == KIRIM_TFTP_HAS_TSIZE) {
        to->tsize = from->tsize;
    } else if (bit == KIRIM_TFTP_HAS_TIMEOUT) {
        to->timeout_s = from->timeout_s;
    } else {
        to->windowsize = from->windowsize;
    }
}

/* Boot code that fills its requests up does so with zeros. */
static bool is_padding(struct kirim_tftp_span rest)
{
    for (size_t i = 0; i < rest.bytes; i++) {
        if (rest.data[i] != 0) {
            return false;
        }
    }
    return true;
}

static kirim_err read_options(struct kirim_tftp_span rest, struct kirim_tftp_packet *out)
{
    struct kirim_tftp_span name;
    struct kirim_tftp_span value;
    while (!is_padding(rest)) {
        if (!take_text(&rest, &name) || !take_text(&rest, &value) || name.bytes == 0) {
            return KIRIM_TFTP_EFORM;
        }
        struct kirim_tftp_options one = { 0, 0, 0, 0, 0 };
        const uint32_t bit = read_option(name, value, &one);
        if (bit == 0) {
            out->has_bad_option = true;
        } else if ((out->options.has & bit) == 0) {
            keep_option(bit, &one, &out->options);
        }
    }
    return KIRIM_OK;
}

static kirim_err read_request(struct kirim_tftp_span rest, struct kirim_tftp_packet *out)
{
    struct kirim_tftp_span mode;
    if (rest.bytes + KIND_BYTES > KIRIM_TFTP_REQUEST_BYTES_MAX || !take_text(&rest, &out->name) ||
        !take_text(&rest, &mode) || out->name.bytes == 0) {
        return KIRIM_TFTP_EFORM;
    }
    if (is_word(mode, "octet")) {
        out->mode = KIRIM_TFTP_OCTET;
    } else if (is_word(mode, "netascii")) {
        out->mode = KIRIM_TFTP_NETASCII;
    } else {
        return KIRIM_TFTP_EMODE;
    }
    return read_options(rest, out);
}

static kirim_err read_body(struct kirim_tftp_span rest, struct kirim_tftp_packet *out)
{
    if (out->kind == KIRIM_TFTP_RRQ || out->kind == KIRIM_TFTP_WRQ) {
        return read_request(rest, out);
    }
    if (out->kind == KIRIM_TFTP_OACK) {
        return read_options(rest, out);
    }
    if (out->kind < KIRIM_TFTP_DATA || out->kind > KIRIM_TFTP_ERROR || rest.bytes < 2) {
        return KIRIM_TFTP_EFORM;
    }
    out->block = get16(rest.data);
    out->code = out->block;
    rest.data += 2;
    rest.bytes -= 2;
    /* Some leave the zero of an ERROR away; its text is for people only. */
    if (out->kind == KIRIM_TFTP_DATA ||
        (out->kind == KIRIM_TFTP_ERROR && !take_text(&rest, &out->data))) {
        out->data = rest;
    }
    return KIRIM_OK;
}

kirim_err kirim_tftp_packet_read(struct kirim_tftp_span wire, struct kirim_tftp_packet *out)
{
    struct kirim_tftp_packet packet = { 0 };
    if (wire.bytes < KIND_BYTES) {
        return KIRIM_TFTP_EFORM;
    }
    const struct kirim_tftp_span rest = { wire.data + KIND_BYTES, wire.bytes - KIND_BYTES };
    packet.kind = get16(wire.data);
    const kirim_err err = read_body(rest, &packet);
    if (err == KIRIM_OK) {
        *out = packet;
    } else if (err == KIRIM_TFTP_EMODE) {
        out->kind = packet.kind;
    }
    return err;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* A text with its zero; `used` passes the room if it does not fit. */
static void add_text(struct kirim_tftp_room *out, size_t *used, const char *text)
{
    const size_t bytes = strlen(text) + 1;
    if (*used <= out->room && bytes <= out->room - *used) {
        memcpy(out->data + *used, text, bytes);
        *used += bytes;
    } else {
        *used = out->room + 1;
    }
}

static void add_number(struct kirim_tftp_room *out, size_t *used, uint64_t number)
{
    char text[DECIMAL_BYTES_MAX + 1];
    size_t at = DECIMAL_BYTES_MAX;
    text[at] = '\0';
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add_text(out, used, text + at);
}

static void add_options(struct kirim_tftp_room *out, size_t *used,
                        const struct kirim_tftp_options *options)
{
    const struct {
        uint32_t bit;
        const char *name;
        uint64_t value;
    } all[] = {
        { KIRIM_TFTP_HAS_BLKSIZE, blksize_name, options->blksize },
        { KIRIM_TFTP_HAS_TSIZE, tsize_name, options->tsize },
        { KIRIM_TFTP_HAS_TIMEOUT, timeout_name, options->timeout_s },
        { KIRIM_TFTP_HAS_WINDOWSIZE, windowsize_name, options->windowsize },
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if ((options->has & all[i].bit) != 0) {
            add_text(out, used, all[i].name);
            add_number(out, used, all[i].value);
        }
    }
}

static bool begin(struct kirim_tftp_room *out, size_t *used, uint16_t kind)
{
    if (out->room < KIND_BYTES) {
        return false;
    }
    put16(out->data, kind);
    *used = KIND_BYTES;
    return true;
}

static kirim_err end(struct kirim_tftp_room *out, size_t used, size_t bytes_max)
{
    if (used > out->room || used > bytes_max) {
        return KIRIM_EMSGSIZE;
    }
    out->bytes = used;
    return KIRIM_OK;
}

kirim_err kirim_tftp_write_request(const struct kirim_tftp_request *request,
                                   struct kirim_tftp_room *out)
{
    size_t used = 0;
    if (request->name == NULL || request->name[0] == '\0') {
        return KIRIM_EINVAL;
    }
    if (!begin(out, &used, request->kind)) {
        return KIRIM_EMSGSIZE;
    }
    add_text(out, &used, request->name);
    add_text(out, &used, request->mode == KIRIM_TFTP_NETASCII ? "netascii" : "octet");
    add_options(out, &used, &request->options);
    return end(out, used, KIRIM_TFTP_REQUEST_BYTES_MAX);
}

kirim_err kirim_tftp_write_oack(const struct kirim_tftp_options *options,
                                struct kirim_tftp_room *out)
{
    size_t used = 0;
    if (!begin(out, &used, KIRIM_TFTP_OACK)) {
        return KIRIM_EMSGSIZE;
    }
    add_options(out, &used, options);
    return end(out, used, KIRIM_TFTP_CONTROL_BYTES_MAX);
}

kirim_err kirim_tftp_write_ack(uint16_t block, struct kirim_tftp_room *out)
{
    if (out->room < KIRIM_TFTP_HEADER_BYTES) {
        return KIRIM_EMSGSIZE;
    }
    put16(out->data, KIRIM_TFTP_ACK);
    put16(out->data + KIND_BYTES, block);
    out->bytes = KIRIM_TFTP_HEADER_BYTES;
    return KIRIM_OK;
}

kirim_err kirim_tftp_write_error(uint16_t code, const char *text, struct kirim_tftp_room *out)
{
    size_t bytes = strlen(text);
    if (bytes > KIRIM_TFTP_TEXT_BYTES_MAX - 1) {
        bytes = KIRIM_TFTP_TEXT_BYTES_MAX - 1;
    }
    if (out->room < KIRIM_TFTP_HEADER_BYTES + bytes + 1) {
        return KIRIM_EMSGSIZE;
    }
    put16(out->data, KIRIM_TFTP_ERROR);
    put16(out->data + KIND_BYTES, code);
    memcpy(out->data + KIRIM_TFTP_HEADER_BYTES, text, bytes);
    out->data[KIRIM_TFTP_HEADER_BYTES + bytes] = 0;
    out->bytes = KIRIM_TFTP_HEADER_BYTES + bytes + 1;
    return KIRIM_OK;
}

void kirim_tftp_write_data_head(uint16_t block, uint8_t *out)
{
    put16(out, KIRIM_TFTP_DATA);
    put16(out + KIND_BYTES, block);
}
