/* SPDX-License-Identifier: MIT
 *
 * Types and the wire form of their data: see record.h. The text form is in record_text.c.
 */
#include "record.h"

#include <string.h>

#include "form.h"
#include "text.h"

static const struct ki_dns_form forms[] = {
    { KIRIM_DNS_A, "A", "A", "A needs: ADDRESS" },
    { KIRIM_DNS_NS, "NS", "N", "NS needs: NAME" },
    { KIRIM_DNS_CNAME, "CNAME", "N", "CNAME needs: NAME" },
    { KIRIM_DNS_SOA, "SOA", "NN4TTTT",
      "SOA needs: MNAME RNAME SERIAL REFRESH RETRY EXPIRE MINIMUM" },
    { KIRIM_DNS_PTR, "PTR", "N", "PTR needs: NAME" },
    { KIRIM_DNS_MX, "MX", "2N", "MX needs: PREFERENCE NAME" },
    { KIRIM_DNS_TXT, "TXT", "S", "TXT needs: STRING..." },
    { KIRIM_DNS_AAAA, "AAAA", "6", "AAAA needs: ADDRESS" },
    { KIRIM_DNS_SRV, "SRV", "222D", "SRV needs: PRIORITY WEIGHT PORT NAME" },
    { KIRIM_DNS_DS, "DS", "211X", "DS needs: KEYTAG ALGORITHM DIGESTTYPE DIGEST" },
    { KIRIM_DNS_CAA, "CAA", "1GV", "CAA needs: FLAGS TAG VALUE" },
};

/* Types that stand in questions only. */
static const struct {
    uint16_t type;
    const char *name;
} other_names[] = {
    { KIRIM_DNS_OPT, "OPT" },
    { KIRIM_DNS_IXFR, "IXFR" },
    { KIRIM_DNS_AXFR, "AXFR" },
    { KIRIM_DNS_ANY, "ANY" },
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

const struct ki_dns_form *ki_dns_form_of(uint16_t type)
{
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if (forms[i].type == type) {
            return &forms[i];
        }
    }
    return NULL;
}

/* ---- types as text --------------------------------------------------------------------------- */

void kirim_dns_type_format(uint16_t type, char text[KIRIM_DNS_TYPE_TEXT_BYTES])
{
    const struct ki_dns_form *const form = ki_dns_form_of(type);
    const char *name = form != NULL ? form->name : NULL;
    for (size_t i = 0; name == NULL && i < COUNT_OF(other_names); i++) {
        name = other_names[i].type == type ? other_names[i].name : NULL;
    }
    struct ki_dns_text out;
    ki_dns_text_init(&out, text, KIRIM_DNS_TYPE_TEXT_BYTES);
    ki_dns_text_string(&out, name != NULL ? name : "TYPE");
    if (name == NULL) {
        ki_dns_text_number(&out, type);
    }
}

static bool equal_word(const char *text, size_t bytes, const char *word)
{
    if (strlen(word) != bytes) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (ki_dns_fold((uint8_t)text[i]) != ki_dns_fold((uint8_t)word[i])) {
            return false;
        }
    }
    return true;
}

kirim_err kirim_dns_type_parse(const char *text, size_t bytes, uint16_t *out)
{
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if (equal_word(text, bytes, forms[i].name)) {
            *out = forms[i].type;
            return KIRIM_OK;
        }
    }
    for (size_t i = 0; i < COUNT_OF(other_names); i++) {
        if (equal_word(text, bytes, other_names[i].name)) {
            *out = other_names[i].type;
            return KIRIM_OK;
        }
    }
    if (bytes < 5 || bytes > 9 || !equal_word(text, 4, "TYPE")) {
        return KIRIM_DNS_EFORM;
    }
    uint32_t number = 0;
    for (size_t i = 4; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return KIRIM_DNS_EFORM;
        }
        number = number * 10 + (uint32_t)(text[i] - '0');
    }
    if (number > UINT16_MAX) {
        return KIRIM_DNS_EFORM;
    }
    *out = (uint16_t)number;
    return KIRIM_OK;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* Bytes of a field that always has the same; 0 if it has not. */
static size_t fixed_bytes(char field)
{
    switch (field) {
    case KI_DNS_FIELD_8:
        return 1;
    case KI_DNS_FIELD_16:
        return 2;
    case KI_DNS_FIELD_32:
    case KI_DNS_FIELD_SECONDS:
    case KI_DNS_FIELD_IPV4:
        return 4;
    case KI_DNS_FIELD_IPV6:
        return 16;
    default:
        return 0;
    }
}

/* Bytes of the uncompressed name at the cursor. */
static kirim_err measure_name(const struct ki_dns_cursor *cursor, size_t *bytes)
{
    size_t at = cursor->at;
    while (at < cursor->bytes && cursor->data[at] != 0) {
        if (cursor->data[at] > KIRIM_DNS_LABEL_BYTES_MAX) {
            return KIRIM_DNS_EFORM;
        }
        at += 1U + cursor->data[at];
    }
    if (at >= cursor->bytes) {
        return KIRIM_DNS_ESHORT;
    }
    *bytes = at + 1 - cursor->at;
    return *bytes > KIRIM_DNS_NAME_BYTES_MAX ? KIRIM_DNS_ENAME : KIRIM_OK;
}

static kirim_err measure_strings(const struct ki_dns_cursor *cursor, size_t *bytes)
{
    size_t at = cursor->at;
    do {
        if (at >= cursor->bytes) {
            return KIRIM_DNS_ESHORT;
        }
        at += 1U + cursor->data[at];
    } while (at != cursor->bytes);
    *bytes = at - cursor->at;
    return KIRIM_OK;
}

static bool is_tag_byte(uint8_t byte)
{
    const uint8_t folded = ki_dns_fold(byte);
    return (folded >= 'a' && folded <= 'z') || (byte >= '0' && byte <= '9');
}

static kirim_err measure_tag(const struct ki_dns_cursor *cursor, size_t *bytes)
{
    if (ki_dns_left(cursor) == 0) {
        return KIRIM_DNS_ESHORT;
    }
    const uint8_t *const tag = cursor->data + cursor->at;
    if (tag[0] == 0) {
        return KIRIM_DNS_EFORM;
    }
    if (tag[0] >= ki_dns_left(cursor)) {
        return KIRIM_DNS_ESHORT;
    }
    for (size_t i = 1; i <= tag[0]; i++) {
        if (!is_tag_byte(tag[i])) {
            return KIRIM_DNS_EFORM;
        }
    }
    *bytes = 1U + tag[0];
    return KIRIM_OK;
}

kirim_err ki_dns_field_take(char field, struct ki_dns_cursor *cursor, const uint8_t **data,
                            size_t *bytes)
{
    kirim_err err = KIRIM_OK;
    *bytes = fixed_bytes(field);
    switch (field) {
    case KI_DNS_FIELD_NAME:
    case KI_DNS_FIELD_TARGET:
        err = measure_name(cursor, bytes);
        break;
    case KI_DNS_FIELD_STRINGS:
        err = measure_strings(cursor, bytes);
        break;
    case KI_DNS_FIELD_TAG:
        err = measure_tag(cursor, bytes);
        break;
    case KI_DNS_FIELD_REST:
        *bytes = ki_dns_left(cursor);
        break;
    case KI_DNS_FIELD_HEX:
        *bytes = ki_dns_left(cursor);
        err = *bytes == 0 ? KIRIM_DNS_ESHORT : KIRIM_OK;
        break;
    default:
        break;
    }
    if (err < 0) {
        return err;
    }
    *data = ki_dns_take(cursor, *bytes);
    return *data == NULL ? KIRIM_DNS_ESHORT : KIRIM_OK;
}

kirim_err kirim_dns_rdata_check(uint16_t type, const uint8_t *rdata, size_t bytes)
{
    const struct ki_dns_form *const form = ki_dns_form_of(type);
    if (form == NULL) {
        return bytes > KIRIM_DNS_RDATA_BYTES_MAX ? KIRIM_DNS_EFORM : KIRIM_OK;
    }
    struct ki_dns_cursor cursor = { rdata, bytes, 0 };
    for (const char *field = form->fields; *field != '\0'; field++) {
        const uint8_t *data = NULL;
        size_t field_bytes = 0;
        const kirim_err err = ki_dns_field_take(*field, &cursor, &data, &field_bytes);
        if (err < 0) {
            return err;
        }
    }
    return ki_dns_left(&cursor) > 0 ? KIRIM_DNS_EFORM : KIRIM_OK;
}

/* ---- out of a message ------------------------------------------------------------------------ */

/* Receivers take compressed names also where senders may not write them (RFC 3597 section 4). */
static kirim_err read_field(char field, struct ki_dns_cursor *message, struct kirim_dns_room *out)
{
    struct kirim_dns_name name;
    const uint8_t *data = name.wire;
    size_t bytes = 0;
    kirim_err err;
    if (field == KI_DNS_FIELD_NAME || field == KI_DNS_FIELD_TARGET) {
        err = kirim_dns_name_read(message->data, message->bytes, &message->at, &name);
        bytes = err < 0 ? 0 : name.bytes;
    } else {
        err = ki_dns_field_take(field, message, &data, &bytes);
    }
    if (err < 0) {
        return err;
    }
    if (bytes > out->room - out->bytes) {
        return KIRIM_EMSGSIZE;
    }
    if (bytes > 0) {
        memcpy(out->data + out->bytes, data, bytes);
    }
    out->bytes += bytes;
    return KIRIM_OK;
}

kirim_err kirim_dns_rdata_read(struct kirim_dns_span message, const struct kirim_dns_record *record,
                               struct kirim_dns_room *out)
{
    const struct ki_dns_form *const form = ki_dns_form_of(record->type);
    const size_t at = (size_t)(record->rdata - message.data);
    if (at > message.bytes || record->rdata_bytes > message.bytes - at) {
        return KIRIM_DNS_ESHORT;
    }
    /* The message ends with these data, as far as they can see: pointers lead back only. */
    struct ki_dns_cursor cursor = { message.data, at + record->rdata_bytes, at };
    struct kirim_dns_room found = { out->data, out->room, 0 };
    const char *const fields = form != NULL ? form->fields : "V";
    for (const char *field = fields; *field != '\0'; field++) {
        const kirim_err err = read_field(*field, &cursor, &found);
        if (err < 0) {
            return err;
        }
    }
    if (ki_dns_left(&cursor) > 0) {
        return KIRIM_DNS_EFORM;
    }
    out->bytes = found.bytes;
    return KIRIM_OK;
}
