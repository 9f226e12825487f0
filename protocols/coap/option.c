/* SPDX-License-Identifier: MIT
 *
 * What the options of a message say. Sources: RFC 7252 sections 5.4, 5.10 and 6.4, RFC 7641
 * section 2, RFC 7959 section 2.1, RFC 7967 section 2, RFC 9175 sections 2.2 and 3.2.
 */
#include "option.h"

#include <string.h>

/* How long the value of an option may be, and whether it may be there more than once. */
struct rule {
    uint16_t number, bytes_min, bytes_max;
    bool is_repeatable;
};

static const struct rule rules[] = {
    { KIRIM_COAP_IF_MATCH, 0, 8, true },
    { KIRIM_COAP_URI_HOST, 1, 255, false },
    { KIRIM_COAP_ETAG, 1, 8, true },
    { KIRIM_COAP_IF_NONE_MATCH, 0, 0, false },
    { KIRIM_COAP_OBSERVE, 0, 3, false },
    { KIRIM_COAP_URI_PORT, 0, 2, false },
    { KIRIM_COAP_LOCATION_PATH, 0, 255, true },
    { KIRIM_COAP_URI_PATH, 0, 255, true },
    { KIRIM_COAP_CONTENT_FORMAT, 0, 2, false },
    { KIRIM_COAP_MAX_AGE, 0, 4, false },
    { KIRIM_COAP_URI_QUERY, 0, 255, true },
    { KIRIM_COAP_HOP_LIMIT, 1, 1, false },
    { KIRIM_COAP_ACCEPT, 0, 2, false },
    { KIRIM_COAP_LOCATION_QUERY, 0, 255, true },
    { KIRIM_COAP_BLOCK2, 0, 3, false },
    { KIRIM_COAP_BLOCK1, 0, 3, false },
    { KIRIM_COAP_SIZE2, 0, 4, false },
    { KIRIM_COAP_PROXY_URI, 1, 1034, false },
    { KIRIM_COAP_PROXY_SCHEME, 1, 255, false },
    { KIRIM_COAP_SIZE1, 0, 4, false },
    { KIRIM_COAP_ECHO, 1, 40, false },
    { KIRIM_COAP_NO_RESPONSE, 0, 1, false },
    { KIRIM_COAP_REQUEST_TAG, 0, 8, true },
};

static bool is_understood(const struct kirim_coap_option *option, bool is_again)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *const rule = &rules[i];
        if (rule->number == option->number) {
            return option->value.bytes >= rule->bytes_min &&
                   option->value.bytes <= rule->bytes_max && (rule->is_repeatable || !is_again);
        }
    }
    return false;
}

static bool is_dots(struct kirim_coap_span value)
{
    return (value.bytes == 1 || value.bytes == 2) && value.data[0] == '.' &&
           value.data[value.bytes - 1] == '.';
}

/* The options whose values are numbers. */
static void take_number(struct kirim_coap_fields *out, uint16_t number, uint32_t value)
{
    switch (number) {
    case KIRIM_COAP_OBSERVE:
        out->has |= KIRIM_COAP_HAS_OBSERVE;
        out->observe = value;
        break;
    case KIRIM_COAP_CONTENT_FORMAT:
        out->content_format = value;
        break;
    case KIRIM_COAP_MAX_AGE:
        out->has |= KIRIM_COAP_HAS_MAX_AGE;
        out->max_age_s = value;
        break;
    case KIRIM_COAP_ACCEPT:
        out->accept = value;
        break;
    case KIRIM_COAP_BLOCK2:
        out->has |= KIRIM_COAP_HAS_BLOCK2;
        out->block2 = kirim_coap_block_read(value);
        break;
    case KIRIM_COAP_BLOCK1:
        out->has |= KIRIM_COAP_HAS_BLOCK1;
        out->block1 = kirim_coap_block_read(value);
        break;
    case KIRIM_COAP_SIZE2:
        out->has |= KIRIM_COAP_HAS_SIZE2;
        out->size2 = value;
        break;
    case KIRIM_COAP_SIZE1:
        out->has |= KIRIM_COAP_HAS_SIZE1;
        out->size1 = value;
        break;
    case KIRIM_COAP_NO_RESPONSE:
        out->has |= KIRIM_COAP_HAS_NO_RESPONSE;
        out->no_response = (uint8_t)value;
        break;
    default:
        break;
    }
}

/* The others. */
static void take_bytes(struct kirim_coap_fields *out, const struct kirim_coap_option *option)
{
    switch (option->number) {
    case KIRIM_COAP_IF_MATCH:
        out->has |= KIRIM_COAP_HAS_IF_MATCH;
        break;
    case KIRIM_COAP_IF_NONE_MATCH:
        out->has |= KIRIM_COAP_HAS_IF_NONE_MATCH;
        break;
    case KIRIM_COAP_ETAG:
        out->etag = (out->has & KIRIM_COAP_HAS_ETAG) != 0 ? out->etag : option->value;
        out->has |= KIRIM_COAP_HAS_ETAG;
        break;
    case KIRIM_COAP_URI_PATH:
        out->has |= is_dots(option->value) ? KIRIM_COAP_HAS_BAD_PATH : 0U;
        break;
    case KIRIM_COAP_URI_QUERY:
        out->has |= KIRIM_COAP_HAS_QUERY;
        break;
    case KIRIM_COAP_LOCATION_PATH:
    case KIRIM_COAP_LOCATION_QUERY:
        out->has |= KIRIM_COAP_HAS_LOCATION;
        break;
    case KIRIM_COAP_PROXY_URI:
    case KIRIM_COAP_PROXY_SCHEME:
        out->has |= KIRIM_COAP_HAS_PROXY;
        break;
    case KIRIM_COAP_ECHO:
        out->has |= KIRIM_COAP_HAS_ECHO;
        out->echo = option->value;
        break;
    default:
        take_number(out, option->number, kirim_coap_value_number(option->value));
        break;
    }
}

void kirim_coap_fields_read(const struct kirim_coap_message *message, struct kirim_coap_fields *out)
{
    struct kirim_coap_walk walk = KIRIM_COAP_WALK_INIT(message);
    struct kirim_coap_option option;
    uint16_t last = 0; /* there is no option 0 */
    memset(out, 0, sizeof *out);
    out->content_format = KIRIM_COAP_FORMAT_NONE;
    out->accept = KIRIM_COAP_FORMAT_NONE;
    out->max_age_s = KIRIM_COAP_MAX_AGE_S;
    while (kirim_coap_walk_next(&walk, &option)) {
        if (is_understood(&option, option.number == last)) {
            take_bytes(out, &option);
        } else if ((option.number & 1) != 0 && out->bad_option == 0) {
            out->bad_option = option.number;
        }
        last = option.number;
    }
}

/* ---- paths and queries ----------------------------------------------------------------------- */

/* Whether a byte may stand as it is in a segment of a path that is written between < and >. */
static bool is_plain(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || (byte != 0 && strchr("-._~!$&'()*+,;=:@", byte) != NULL);
}

/* Appends a segment; false: no room. */
static bool append_segment(char *text, size_t room, size_t *bytes, struct kirim_coap_span value)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.bytes; i++) {
        if (room - *bytes < 4) {
            return false;
        }
        if (is_plain(value.data[i])) {
            text[(*bytes)++] = (char)value.data[i];
        } else {
            text[(*bytes)++] = '%';
            text[(*bytes)++] = digits[value.data[i] >> 4];
            text[(*bytes)++] = digits[value.data[i] & 15];
        }
    }
    return true;
}

kirim_err kirim_coap_path_text(const struct kirim_coap_message *message, uint16_t number,
                               char *text, size_t room)
{
    struct kirim_coap_walk walk = KIRIM_COAP_WALK_INIT(message);
    struct kirim_coap_option option;
    size_t bytes = 0;
    bool is_first = true;
    while (kirim_coap_walk_next(&walk, &option)) {
        if (option.number != number) {
            continue;
        }
        if (!is_first && bytes + 1 >= room) {
            return KIRIM_EMSGSIZE;
        }
        if (!is_first) {
            text[bytes++] = '/';
        }
        is_first = false;
        if (!append_segment(text, room, &bytes, option.value)) {
            return KIRIM_EMSGSIZE;
        }
    }
    if (bytes >= room) {
        return KIRIM_EMSGSIZE;
    }
    text[bytes] = '\0';
    return KIRIM_OK;
}

bool kirim_coap_has_value(const struct kirim_coap_message *message, uint16_t number,
                          struct kirim_coap_span value)
{
    struct kirim_coap_walk walk = KIRIM_COAP_WALK_INIT(message);
    struct kirim_coap_option option;
    while (kirim_coap_walk_next(&walk, &option)) {
        if (option.number == number && kirim_coap_span_equal(option.value, value)) {
            return true;
        }
    }
    return false;
}

/* The value of a query of this name; false: it is of another one. */
static bool match_query(struct kirim_coap_span query, const char *name,
                        struct kirim_coap_span *value)
{
    const size_t bytes = strlen(name);
    const size_t skipped = bytes > 0 ? bytes + 1 : 0;
    if (query.bytes < skipped ||
        (bytes > 0 && (memcmp(query.data, name, bytes) != 0 || query.data[bytes] != '='))) {
        return false;
    }
    *value = (struct kirim_coap_span){ query.data + skipped, query.bytes - skipped };
    return true;
}

uint32_t kirim_coap_query_number(const struct kirim_coap_message *message, const char *name,
                                 uint32_t otherwise)
{
    struct kirim_coap_walk walk = KIRIM_COAP_WALK_INIT(message);
    struct kirim_coap_option option;
    struct kirim_coap_span value;
    while (kirim_coap_walk_next(&walk, &option)) {
        if (option.number != KIRIM_COAP_URI_QUERY || !match_query(option.value, name, &value) ||
            value.bytes == 0 || value.bytes > 9) {
            continue;
        }
        uint32_t number = 0;
        size_t i = 0;
        while (i < value.bytes && value.data[i] >= '0' && value.data[i] <= '9') {
            number = number * 10 + (uint32_t)(value.data[i++] - '0');
        }
        if (i == value.bytes) {
            return number;
        }
    }
    return otherwise;
}

/* ---- the digest ------------------------------------------------------------------------------ */

static bool is_of_transfer(uint16_t number)
{
    return number == KIRIM_COAP_BLOCK1 || number == KIRIM_COAP_BLOCK2 ||
           number == KIRIM_COAP_SIZE1 || number == KIRIM_COAP_SIZE2 || number == KIRIM_COAP_ECHO ||
           number == KIRIM_COAP_NO_RESPONSE || number == KIRIM_COAP_OBSERVE;
}

uint64_t kirim_coap_request_digest(const struct kirim_coap_message *message,
                                   const uint8_t key[KIRIM_SIPHASH_KEY_BYTES])
{
    struct kirim_coap_walk walk = KIRIM_COAP_WALK_INIT(message);
    struct kirim_coap_option option;
    struct kirim_siphash hash;
    uint8_t tag[KIRIM_SIPHASH_TAG_BYTES];
    uint64_t digest = 0;
    kirim_siphash_begin(&hash, key, sizeof tag);
    kirim_siphash_take(&hash, &message->code, 1);
    while (kirim_coap_walk_next(&walk, &option)) {
        const uint8_t head[4] = { (uint8_t)(option.number >> 8), (uint8_t)option.number,
                                  (uint8_t)(option.value.bytes >> 8), (uint8_t)option.value.bytes };
        if (!is_of_transfer(option.number)) {
            kirim_siphash_take(&hash, head, sizeof head);
            kirim_siphash_take(&hash, option.value.data, option.value.bytes);
        }
    }
    kirim_siphash_end(&hash, tag);
    for (size_t i = 0; i < sizeof tag; i++) {
        digest = digest << 8 | tag[i];
    }
    return digest;
}
