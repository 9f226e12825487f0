/* SPDX-License-Identifier: MIT
 *
 * The data of records, read from words of text: see record.h. Sources: RFC 1035 section 5.1,
 * RFC 3597 section 5, RFC 8659 section 4.1.1.
 */
#include <string.h>

#include "form.h"

enum { STRING_BYTES_MAX = 255 };

/* A run over the words. `why` says what is wrong with the word at `at`. */
struct reader {
    struct kirim_dns_rdata_parse *parse;
    size_t at;
    size_t used;
    const char *why;
};

static bool put_bytes(struct reader *r, const void *data, size_t bytes)
{
    if (bytes > r->parse->out.room - r->used) {
        r->why = "the data are too long";
        return false;
    }
    if (bytes > 0) {
        memcpy(r->parse->out.data + r->used, data, bytes);
    }
    r->used += bytes;
    return true;
}

/* ---- numbers and times ----------------------------------------------------------------------- */

static bool parse_number(const struct kirim_dns_word *word, uint32_t max, uint32_t *out)
{
    uint64_t number = 0;
    if (word->bytes == 0 || word->bytes > 10 || word->is_quoted) {
        return false;
    }
    for (size_t i = 0; i < word->bytes; i++) {
        if (word->text[i] < '0' || word->text[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(word->text[i] - '0');
    }
    *out = (uint32_t)number;
    return number <= max;
}

static uint64_t unit_seconds(char unit)
{
    switch (ki_dns_fold((uint8_t)unit)) {
    case 'w':
        return 604800;
    case 'd':
        return 86400;
    case 'h':
        return 3600;
    case 'm':
        return 60;
    case 's':
        return 1;
    default:
        return 0;
    }
}

kirim_err kirim_dns_seconds_parse(const char *text, size_t bytes, uint32_t max, uint32_t *out)
{
    uint64_t sum = 0;
    size_t at = 0;
    do {
        uint64_t number = 0;
        const size_t begin = at;
        while (at < bytes && text[at] >= '0' && text[at] <= '9' && number <= UINT32_MAX) {
            number = number * 10 + (uint64_t)(text[at++] - '0');
        }
        if (at == begin) {
            return KIRIM_DNS_EFORM;
        }
        if (at == bytes && begin == 0) {
            sum = number; /* no unit at all */
        } else {
            const uint64_t unit = at < bytes ? unit_seconds(text[at++]) : 0;
            if (unit == 0) {
                return KIRIM_DNS_EFORM;
            }
            sum += number * unit; /* both below 2^36, and a sum above `max` ends here */
        }
        if (sum > max) {
            return KIRIM_DNS_EFORM;
        }
    } while (at < bytes);
    *out = (uint32_t)sum;
    return KIRIM_OK;
}

static bool put_number(struct reader *r, const struct kirim_dns_word *word, size_t bytes)
{
    const uint32_t max = bytes == 4 ? UINT32_MAX : (1U << (8 * bytes)) - 1;
    uint8_t wire[4];
    uint32_t number = 0;
    if (!parse_number(word, max, &number)) {
        r->why = bytes == 1   ? "not a number from 0 to 255"
                 : bytes == 2 ? "not a number from 0 to 65535"
                              : "not a number from 0 to 4294967295";
        return false;
    }
    ki_dns_put32(wire, number);
    return put_bytes(r, wire + 4 - bytes, bytes);
}

static bool put_seconds(struct reader *r, const struct kirim_dns_word *word)
{
    uint8_t wire[4];
    uint32_t seconds = 0;
    if (word->is_quoted ||
        kirim_dns_seconds_parse(word->text, word->bytes, UINT32_MAX, &seconds) < 0) {
        r->why = "not a time in seconds";
        return false;
    }
    ki_dns_put32(wire, seconds);
    return put_bytes(r, wire, sizeof wire);
}

/* ---- names, addresses, strings --------------------------------------------------------------- */

static bool put_name(struct reader *r, const struct kirim_dns_word *word)
{
    const struct kirim_dns_name *const origin = r->parse->origin;
    struct kirim_dns_name name;
    const bool is_origin = word->bytes == 1 && word->text[0] == '@' && !word->is_quoted;
    if (is_origin && origin != NULL) {
        return put_bytes(r, origin->wire, origin->bytes);
    }
    const kirim_err err = is_origin ? KIRIM_DNS_ERELATIVE
                                    : kirim_dns_name_parse(word->text, word->bytes, origin, &name);
    if (err < 0) {
        r->why = kirim_dns_err_text(err);
        return false;
    }
    return put_bytes(r, name.wire, name.bytes);
}

static bool put_address(struct reader *r, const struct kirim_dns_word *word, char field)
{
    uint8_t bytes[16];
    const bool is_ipv4 = field == KI_DNS_FIELD_IPV4;
    if (is_ipv4 ? !ki_dns_ipv4_parse(word->text, word->bytes, bytes)
                : !ki_dns_ipv6_parse(word->text, word->bytes, bytes)) {
        r->why = is_ipv4 ? "not an IPv4 address" : "not an IPv6 address";
        return false;
    }
    return put_bytes(r, bytes, is_ipv4 ? 4 : 16);
}

/* The bytes of a word, its escapes resolved; `limit` is at most STRING_BYTES_MAX where that is
 * what the wire can hold, else the room that is left. */
static bool put_unescaped(struct reader *r, const struct kirim_dns_word *word, size_t limit)
{
    size_t count = 0;
    for (size_t i = 0; i < word->bytes; i++) {
        uint8_t byte = (uint8_t)word->text[i];
        if (byte == '\\') {
            const char *const next = word->text + i + 1;
            const size_t left = word->bytes - i - 1;
            unsigned number = 0;
            size_t digits = 0;
            while (digits < 3 && digits < left && next[digits] >= '0' && next[digits] <= '9') {
                number = number * 10 + (unsigned)(next[digits++] - '0');
            }
            if (left == 0 || (digits > 0 && digits < 3) || number > UINT8_MAX) {
                r->why = kirim_dns_err_text(KIRIM_DNS_EESCAPE);
                return false;
            }
            byte = digits == 3 ? (uint8_t)number : (uint8_t)next[0];
            i += digits == 3 ? 3 : 1;
        }
        if (count++ == limit) {
            r->why = "a string of more than 255 bytes";
            return false;
        }
        if (!put_bytes(r, &byte, 1)) {
            return false;
        }
    }
    return true;
}

static bool put_string(struct reader *r, const struct kirim_dns_word *word)
{
    const size_t length_at = r->used;
    if (!put_bytes(r, "", 1) || !put_unescaped(r, word, STRING_BYTES_MAX)) {
        return false;
    }
    r->parse->out.data[length_at] = (uint8_t)(r->used - length_at - 1);
    return true;
}

static int hex_value(char digit)
{
    const uint8_t folded = ki_dns_fold((uint8_t)digit);
    if (folded >= '0' && folded <= '9') {
        return folded - '0';
    }
    return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

/* The bytes of all words from here on, each of pairs of digits. */
static bool put_hex(struct reader *r)
{
    for (; r->at < r->parse->word_count; r->at++) {
        const struct kirim_dns_word *const word = &r->parse->words[r->at];
        for (size_t i = 0; i < word->bytes; i += 2) {
            const int high = hex_value(word->text[i]);
            const int low = i + 1 < word->bytes ? hex_value(word->text[i + 1]) : -1;
            if (high < 0 || low < 0) {
                r->why = "not pairs of hexadecimal digits";
                return false;
            }
            const uint8_t byte = (uint8_t)(high << 4 | low);
            if (!put_bytes(r, &byte, 1)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- fields ---------------------------------------------------------------------------------- */

static bool put_field(struct reader *r, char field)
{
    const struct kirim_dns_word *const word = &r->parse->words[r->at];
    switch (field) {
    case KI_DNS_FIELD_NAME:
    case KI_DNS_FIELD_TARGET:
        return put_name(r, word);
    case KI_DNS_FIELD_8:
        return put_number(r, word, 1);
    case KI_DNS_FIELD_16:
        return put_number(r, word, 2);
    case KI_DNS_FIELD_32:
        return put_number(r, word, 4);
    case KI_DNS_FIELD_SECONDS:
        return put_seconds(r, word);
    case KI_DNS_FIELD_IPV4:
    case KI_DNS_FIELD_IPV6:
        return put_address(r, word, field);
    case KI_DNS_FIELD_REST:
        return put_unescaped(r, word, KIRIM_DNS_RDATA_BYTES_MAX);
    default:
        return put_string(r, word);
    }
}

static bool put_fields(struct reader *r, const struct ki_dns_form *form)
{
    const size_t count = r->parse->word_count;
    for (const char *field = form->fields; *field != '\0'; field++) {
        do {
            if (r->at == count) {
                r->why = form->usage;
                return false;
            }
            if (*field == KI_DNS_FIELD_HEX) {
                return put_hex(r); /* always the last one */
            }
            if (!put_field(r, *field)) {
                return false;
            }
            r->at++;
        } while (*field == KI_DNS_FIELD_STRINGS && r->at < count);
    }
    if (r->at < count) {
        r->why = form->usage;
        return false;
    }
    return true;
}

/* ---- the form for unknown types -------------------------------------------------------------- */

/* The words are `\#`, a length, and so many bytes in hexadecimal digits, in any number of words. */
static bool put_generic(struct reader *r)
{
    const struct kirim_dns_rdata_parse *const parse = r->parse;
    uint32_t length = 0;
    r->at = 1;
    if (r->at == parse->word_count || !parse_number(&parse->words[1], UINT16_MAX, &length)) {
        r->why = "\\# needs a length from 0 to 65535";
        return false;
    }
    r->at = 2;
    if (!put_hex(r)) {
        return false;
    }
    if (r->used != length) {
        r->at = 1;
        r->why = "\\# gives another length than its data have";
        return false;
    }
    return true;
}

static bool is_generic(const struct kirim_dns_rdata_parse *parse)
{
    return parse->word_count > 0 && parse->words[0].bytes == 2 && !parse->words[0].is_quoted &&
           memcmp(parse->words[0].text, "\\#", 2) == 0;
}

kirim_err kirim_dns_rdata_parse(uint16_t type, struct kirim_dns_rdata_parse *parse)
{
    const struct ki_dns_form *const form = ki_dns_form_of(type);
    struct reader r = { .parse = parse };
    bool is_read;
    if (is_generic(parse)) {
        is_read = put_generic(&r);
    } else if (form == NULL) {
        r.why = "data of a type that is not known here begin with \\#";
        is_read = false;
    } else {
        is_read = put_fields(&r, form);
    }
    if (is_read && kirim_dns_rdata_check(type, parse->out.data, r.used) < 0) {
        r.at = 0;
        r.why = form != NULL ? form->usage : "the data are too long";
        is_read = false;
    }
    if (!is_read) {
        parse->complaint = (struct kirim_dns_complaint){ r.at, r.why };
        return KIRIM_DNS_EFORM;
    }
    parse->out.bytes = r.used;
    return KIRIM_OK;
}
