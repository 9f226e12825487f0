/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a message of CoAP: read, written anew, and read again; its options as fields, as a
 * path and as a digest; and as a URI.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/coap/option.h"
#include "protocols/coap/uri.h"

static bool is_inside(struct kirim_coap_span inner, struct kirim_coap_span outer)
{
    return inner.bytes == 0 || (inner.data >= outer.data && inner.bytes <= outer.bytes &&
                                inner.data + inner.bytes <= outer.data + outer.bytes);
}

/* Writes what was read; it may be shorter, as an extension may have been longer than needed. */
static void check_again(struct kirim_coap_span wire, const struct kirim_coap_message *message)
{
    static uint8_t data[65536 + 64];
    struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(data, sizeof data);
    struct kirim_coap_walk walk = KIRIM_COAP_WALK_INIT(message);
    struct kirim_coap_option option;
    struct kirim_coap_message again;
    kirim_coap_write_header(&w, message);
    while (kirim_coap_walk_next(&walk, &option)) {
        FUZZ_CLAIM(is_inside(option.value, wire));
        kirim_coap_write_option(&w, option.number, option.value);
    }
    kirim_coap_write_payload(&w, message->payload);
    FUZZ_CLAIM(!w.has_failed && w.bytes <= wire.bytes);
    const struct kirim_coap_span written = { data, w.bytes };
    FUZZ_CLAIM(kirim_coap_parse(written, &again) == KIRIM_COAP_PARSED);
    FUZZ_CLAIM(again.type == message->type && again.code == message->code);
    FUZZ_CLAIM(again.id == message->id && again.token_bytes == message->token_bytes);
    FUZZ_CLAIM(kirim_coap_span_equal(again.payload, message->payload));
    struct kirim_coap_walk first = KIRIM_COAP_WALK_INIT(message);
    struct kirim_coap_walk second = KIRIM_COAP_WALK_INIT(&again);
    struct kirim_coap_option other;
    while (kirim_coap_walk_next(&first, &option)) {
        FUZZ_CLAIM(kirim_coap_walk_next(&second, &other));
        FUZZ_CLAIM(option.number == other.number);
        FUZZ_CLAIM(kirim_coap_span_equal(option.value, other.value));
    }
    FUZZ_CLAIM(!kirim_coap_walk_next(&second, &other));
}

static void check_fields(struct kirim_coap_span wire, const struct kirim_coap_message *message)
{
    static const uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = { 1, 2, 3 };
    struct kirim_coap_fields fields;
    char path[64];
    kirim_coap_fields_read(message, &fields);
    FUZZ_CLAIM(is_inside(fields.etag, wire) && is_inside(fields.echo, wire));
    FUZZ_CLAIM(fields.etag.bytes <= KIRIM_COAP_ETAG_BYTES_MAX);
    FUZZ_CLAIM(fields.echo.bytes <= KIRIM_COAP_ECHO_BYTES_MAX);
    FUZZ_CLAIM(fields.observe <= 0xffffff && fields.block1.szx <= 7 && fields.block2.szx <= 7);
    FUZZ_CLAIM(fields.bad_option == 0 || (fields.bad_option & 1) == 1);
    if (kirim_coap_path_text(message, KIRIM_COAP_URI_PATH, path, sizeof path) == KIRIM_OK) {
        FUZZ_CLAIM(strlen(path) < sizeof path && strpbrk(path, "<>\" \n") == NULL);
    }
    FUZZ_CLAIM(kirim_coap_request_digest(message, key) == kirim_coap_request_digest(message, key));
    (void)kirim_coap_query_number(message, "n", 0);
    (void)kirim_coap_query_number(message, "", 0);
}

static void check_uri(const uint8_t *data, size_t bytes)
{
    static struct kirim_coap_uri uri;
    static char text[2 * KIRIM_COAP_URI_BYTES_MAX];
    if (bytes >= sizeof text) {
        return;
    }
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    if (kirim_coap_uri_parse(text, &uri) < 0) {
        return;
    }
    const struct kirim_coap_span all = { uri.text, sizeof uri.text };
    FUZZ_CLAIM(uri.option_count <= KIRIM_COAP_URI_OPTION_COUNT_MAX);
    FUZZ_CLAIM(kirim_addr_port(&uri.addr) != 0);
    for (size_t i = 0; i < uri.option_count; i++) {
        FUZZ_CLAIM(is_inside(uri.options[i].value, all) && uri.options[i].value.bytes <= 255);
        FUZZ_CLAIM(i == 0 || uri.options[i].number >= uri.options[i - 1].number);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct kirim_coap_span wire = { data, bytes };
    struct kirim_coap_message message;
    if (bytes > 65536) {
        return 0;
    }
    if (kirim_coap_parse(wire, &message) == KIRIM_COAP_PARSED) {
        FUZZ_CLAIM(is_inside(message.options, wire) && is_inside(message.payload, wire));
        check_again(wire, &message);
        check_fields(wire, &message);
    }
    check_uri(data, bytes);
    return 0;
}
