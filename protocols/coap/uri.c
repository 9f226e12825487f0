/* SPDX-License-Identifier: MIT
 *
 * URIs of CoAP. Sources: RFC 7252 section 6.4, RFC 3986 section 2.1.
 */
#include "uri.h"

#include <string.h>

enum { HOST_BYTES_MAX = 64, VALUE_BYTES_MAX = 255 };

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes a component into `out`; returns its length, or -1. */
static int decode(const char *text, size_t bytes, uint8_t *out)
{
    int count = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] != '%') {
            out[count++] = (uint8_t)text[i];
            continue;
        }
        if (bytes - i < 3) {
            return -1;
        }
        const int high = hex(text[i + 1]);
        const int low = hex(text[i + 2]);
        if (high < 0 || low < 0) {
            return -1;
        }
        out[count++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    return count;
}

/* The parts of a path or a query, each an option. `room` is what is used of `text` so far. */
static kirim_err add_parts(struct kirim_coap_uri *uri, size_t *room, const char *text, size_t bytes,
                           uint16_t number)
{
    const char separator = number == KIRIM_COAP_URI_PATH ? '/' : '&';
    size_t at = 0;
    while (at <= bytes) {
        size_t part = 0;
        while (at + part < bytes && text[at + part] != separator) {
            part++;
        }
        if (uri->option_count == KIRIM_COAP_URI_OPTION_COUNT_MAX) {
            return KIRIM_EMSGSIZE;
        }
        const int count = decode(text + at, part, uri->text + *room);
        if (count < 0 || count > VALUE_BYTES_MAX) {
            return KIRIM_EINVAL;
        }
        uri->options[uri->option_count++] =
            (struct kirim_coap_option){ number, { uri->text + *room, (size_t)count } };
        *room += (size_t)count;
        at += part + 1;
    }
    return KIRIM_OK;
}

/* Scheme and authority. Returns what is behind, or NULL. */
static const char *parse_host(const char *text, struct kirim_coap_uri *out)
{
    char host[HOST_BYTES_MAX];
    if (strncmp(text, "coap://", 7) == 0) {
        text += 7;
    } else if (strncmp(text, "coaps://", 8) == 0) {
        text += 8;
        out->is_secure = true;
    } else {
        return NULL;
    }
    const size_t bytes = strcspn(text, "/?#");
    if (bytes == 0 || bytes >= sizeof host) {
        return NULL;
    }
    memcpy(host, text, bytes);
    host[bytes] = '\0';
    /* An IPv6 address stands in brackets here. */
    const char *const colon = strchr(host, ':');
    if ((host[0] != '[' && colon != NULL && strchr(colon + 1, ':') != NULL) ||
        kirim_addr_parse(host, &out->addr) < 0) {
        return NULL;
    }
    if (kirim_addr_port(&out->addr) == 0) {
        kirim_addr_set_port(&out->addr, out->is_secure ? KIRIM_COAP_SECURE_PORT : KIRIM_COAP_PORT);
    }
    return text + bytes;
}

kirim_err kirim_coap_uri_parse(const char *text, struct kirim_coap_uri *out)
{
    size_t room = 0;
    if (strlen(text) >= KIRIM_COAP_URI_BYTES_MAX) {
        return KIRIM_EMSGSIZE;
    }
    out->is_secure = false;
    out->option_count = 0;
    const char *rest = parse_host(text, out);
    if (rest == NULL || strchr(rest, '#') != NULL) {
        return KIRIM_EINVAL;
    }
    const size_t path_bytes = strcspn(rest, "?");
    kirim_err err = KIRIM_OK;
    if (path_bytes > 1) {
        err = add_parts(out, &room, rest + 1, path_bytes - 1, KIRIM_COAP_URI_PATH);
    }
    if (err >= 0 && rest[path_bytes] == '?') {
        const char *const query = rest + path_bytes + 1;
        err = add_parts(out, &room, query, strlen(query), KIRIM_COAP_URI_QUERY);
    }
    return err;
}
