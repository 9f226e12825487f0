/* SPDX-License-Identifier: MIT
 *
 * The data of records as text: see record.h. Reading is in record_parse.c.
 */
#include "form.h"
#include "text.h"

#include <string.h>

static void put_name(struct ki_dns_text *text, const uint8_t *wire, size_t bytes)
{
    struct kirim_dns_name name = { .bytes = (uint8_t)bytes };
    char written[KIRIM_DNS_NAME_TEXT_BYTES];
    memcpy(name.wire, wire, bytes);
    (void)kirim_dns_name_format(&name, written, sizeof written); /* any name fits */
    ki_dns_text_string(text, written);
}

static void put_quoted(struct ki_dns_text *text, const uint8_t *data, size_t bytes)
{
    ki_dns_text_byte(text, '"');
    for (size_t i = 0; i < bytes && !text->is_cut; i++) {
        if (data[i] < ' ' || data[i] >= 0x7f) {
            ki_dns_text_escape(text, data[i]);
            continue;
        }
        if (data[i] == '"' || data[i] == '\\') {
            ki_dns_text_byte(text, '\\');
        }
        ki_dns_text_byte(text, data[i]);
    }
    ki_dns_text_byte(text, '"');
}

static void put_strings(struct ki_dns_text *text, const uint8_t *data, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 1U + data[at]) {
        if (at > 0) {
            ki_dns_text_byte(text, ' ');
        }
        put_quoted(text, data + at + 1, data[at]);
    }
}

static void put_ipv4(struct ki_dns_text *text, const uint8_t octets[4])
{
    for (size_t i = 0; i < 4; i++) {
        if (i > 0) {
            ki_dns_text_byte(text, '.');
        }
        ki_dns_text_number(text, octets[i]);
    }
}

static void put_group(struct ki_dns_text *text, uint16_t group)
{
    static const char digits[] = "0123456789abcdef";
    bool is_begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        const unsigned digit = (unsigned)group >> shift & 15U;
        is_begun = is_begun || digit > 0 || shift == 0;
        if (is_begun) {
            ki_dns_text_byte(text, (uint8_t)digits[digit]);
        }
    }
}

/* The longest run of at least two zero groups, the first of equals; its length is 0 if none. */
static size_t find_zeros(const uint8_t bytes[16], size_t *begin)
{
    size_t best = 1;
    size_t run = 0;
    for (size_t i = 0; i < 8; i++) {
        run = ki_dns_get16(bytes + 2 * i) == 0 ? run + 1 : 0;
        if (run > best) {
            best = run;
            *begin = i + 1 - run;
        }
    }
    return best > 1 ? best : 0;
}

/* RFC 5952 section 4, and its section 5 for mapped addresses. */
static void put_ipv6(struct ki_dns_text *text, const uint8_t bytes[16])
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    if (memcmp(bytes, mapped, sizeof mapped) == 0) {
        ki_dns_text_string(text, "::ffff:");
        put_ipv4(text, bytes + 12);
        return;
    }
    size_t zeros_at = 0;
    const size_t zero_count = find_zeros(bytes, &zeros_at);
    size_t i = 0;
    while (i < 8) {
        if (zero_count > 0 && i == zeros_at) {
            ki_dns_text_string(text, "::");
            i += zero_count;
            continue;
        }
        if (i > 0 && !(zero_count > 0 && i == zeros_at + zero_count)) {
            ki_dns_text_byte(text, ':');
        }
        put_group(text, ki_dns_get16(bytes + 2 * i));
        i++;
    }
}

static void put_field(struct ki_dns_text *text, char field, const uint8_t *data, size_t bytes)
{
    switch (field) {
    case KI_DNS_FIELD_NAME:
    case KI_DNS_FIELD_TARGET:
        put_name(text, data, bytes);
        break;
    case KI_DNS_FIELD_8:
        ki_dns_text_number(text, data[0]);
        break;
    case KI_DNS_FIELD_16:
        ki_dns_text_number(text, ki_dns_get16(data));
        break;
    case KI_DNS_FIELD_32:
    case KI_DNS_FIELD_SECONDS:
        ki_dns_text_number(text, ki_dns_get32(data));
        break;
    case KI_DNS_FIELD_IPV4:
        put_ipv4(text, data);
        break;
    case KI_DNS_FIELD_IPV6:
        put_ipv6(text, data);
        break;
    case KI_DNS_FIELD_STRINGS:
        put_strings(text, data, bytes);
        break;
    case KI_DNS_FIELD_TAG:
        ki_dns_text_bytes(text, data + 1, bytes - 1);
        break;
    case KI_DNS_FIELD_HEX:
        ki_dns_text_hex(text, data, bytes);
        break;
    default:
        put_quoted(text, data, bytes);
        break;
    }
}

static void put_unknown(struct ki_dns_text *text, const struct kirim_dns_record *record)
{
    ki_dns_text_string(text, "\\# ");
    ki_dns_text_number(text, record->rdata_bytes);
    if (record->rdata_bytes > 0) {
        ki_dns_text_byte(text, ' ');
        ki_dns_text_hex(text, record->rdata, record->rdata_bytes);
    }
}

kirim_err kirim_dns_rdata_format(const struct kirim_dns_record *record, char *text, size_t room)
{
    const struct ki_dns_form *const form = ki_dns_form_of(record->type);
    struct ki_dns_text out;
    ki_dns_text_init(&out, text, room);
    if (form == NULL ||
        kirim_dns_rdata_check(record->type, record->rdata, record->rdata_bytes) < 0) {
        put_unknown(&out, record);
        return out.is_cut ? KIRIM_EMSGSIZE : KIRIM_OK;
    }
    struct ki_dns_cursor cursor = { record->rdata, record->rdata_bytes, 0 };
    for (const char *field = form->fields; *field != '\0'; field++) {
        const uint8_t *data = NULL;
        size_t bytes = 0;
        if (ki_dns_field_take(*field, &cursor, &data, &bytes) < 0) {
            break; /* not reached: the data were checked */
        }
        if (field != form->fields) {
            ki_dns_text_byte(&out, ' ');
        }
        put_field(&out, *field, data, bytes);
    }
    return out.is_cut ? KIRIM_EMSGSIZE : KIRIM_OK;
}
