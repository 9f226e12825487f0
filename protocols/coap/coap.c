/* SPDX-License-Identifier: MIT
 *
 * Spans, and the names of codes. Pure functions. Source: RFC 7252 section 12.1.
 */
#include "coap.h"

#include <string.h>

bool kirim_coap_span_equal(struct kirim_coap_span a, struct kirim_coap_span b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

struct kirim_coap_span kirim_coap_span_text(const char *text)
{
    return (struct kirim_coap_span){ (const uint8_t *)text, strlen(text) };
}

void kirim_coap_code_text(uint8_t code, char text[KIRIM_COAP_CODE_TEXT_BYTES])
{
    text[0] = (char)('0' + (code >> 5));
    text[1] = '.';
    text[2] = (char)('0' + (code & 31) / 10);
    text[3] = (char)('0' + (code & 31) % 10);
    text[4] = '\0';
}

const char *kirim_coap_code_name(uint8_t code)
{
    static const struct {
        uint8_t code;
        const char *name;
    } names[] = {
        { KIRIM_COAP_EMPTY, "empty" },
        { KIRIM_COAP_GET, "GET" },
        { KIRIM_COAP_POST, "POST" },
        { KIRIM_COAP_PUT, "PUT" },
        { KIRIM_COAP_DELETE, "DELETE" },
        { KIRIM_COAP_FETCH, "FETCH" },
        { KIRIM_COAP_PATCH, "PATCH" },
        { KIRIM_COAP_IPATCH, "iPATCH" },
        { KIRIM_COAP_CREATED, "created" },
        { KIRIM_COAP_DELETED, "deleted" },
        { KIRIM_COAP_VALID, "valid" },
        { KIRIM_COAP_CHANGED, "changed" },
        { KIRIM_COAP_CONTENT, "content" },
        { KIRIM_COAP_CONTINUE, "continue" },
        { KIRIM_COAP_BAD_REQUEST, "bad request" },
        { KIRIM_COAP_UNAUTHORIZED, "unauthorized" },
        { KIRIM_COAP_BAD_OPTION, "bad option" },
        { KIRIM_COAP_FORBIDDEN, "forbidden" },
        { KIRIM_COAP_NOT_FOUND, "not found" },
        { KIRIM_COAP_METHOD_NOT_ALLOWED, "method not allowed" },
        { KIRIM_COAP_NOT_ACCEPTABLE, "not acceptable" },
        { KIRIM_COAP_INCOMPLETE, "request entity incomplete" },
        { KIRIM_COAP_PRECONDITION_FAILED, "precondition failed" },
        { KIRIM_COAP_TOO_LARGE, "request entity too large" },
        { KIRIM_COAP_UNSUPPORTED_FORMAT, "unsupported content format" },
        { KIRIM_COAP_INTERNAL_ERROR, "internal server error" },
        { KIRIM_COAP_NOT_IMPLEMENTED, "not implemented" },
        { KIRIM_COAP_UNAVAILABLE, "service unavailable" },
        { KIRIM_COAP_PROXYING_NOT_SUPPORTED, "proxying not supported" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].code == code) {
            return names[i].name;
        }
    }
    return "?";
}
