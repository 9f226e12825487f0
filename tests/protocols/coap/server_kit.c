/* SPDX-License-Identifier: MIT
 *
 * What the suites about a server share: see server_kit.h.
 */
#include "server_kit.h"

struct kit_side side;
struct thing thing;

static void on_thing(struct kirim_coap_resource *resource, const struct kirim_coap_request *request,
                     struct kirim_coap_response *response)
{
    struct thing *const asked = resource->user;
    asked->runs++;
    asked->deferral = request->deferral;
    ck_assert_uint_le(request->body.bytes, sizeof asked->body);
    if (request->body.bytes > 0) {
        memcpy(asked->body, request->body.data, request->body.bytes);
    }
    asked->body_bytes = request->body.bytes;
    *response = asked->response;
}

void add_thing(struct kit_side *to, struct thing *added, const char *path, uint32_t flags)
{
    memset(added, 0, sizeof *added);
    added->resource = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT(path, ALL_METHODS, flags,
                                                                           on_thing, added);
    added->response = (struct kirim_coap_response){ .code = KIRIM_COAP_CONTENT,
                                                    .content_format = KIRIM_COAP_FORMAT_TEXT,
                                                    .max_age_s = KIRIM_COAP_MAX_AGE_S };
    added->response.body = kirim_coap_span_text("text");
    ck_assert_int_eq(kirim_coap_resource_add(&to->node, &added->resource), KIRIM_OK);
}

void begin(void)
{
    kit_open(&side, SERVER, CLIENT, NULL);
    add_thing(&side, &thing, "a", 0);
}

void say_block(struct kit_side *to, uint32_t number, uint8_t szx, size_t body_bytes, uint16_t id)
{
    static uint8_t body[BODY_MAX];
    const size_t size = kirim_coap_block_bytes(szx);
    const size_t at = number * size;
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 3 + i / 256);
    }
    const struct kit_message put = {
        .code = KIRIM_COAP_PUT,
        .id = id,
        .options = { { 11, "a", 0 },
                     { 27, NULL,
                       kirim_coap_block_value(
                           (struct kirim_coap_block){ number, at + size < body_bytes, szx }) } },
        .payload = body + at,
        .payload_bytes = at + size < body_bytes ? size : body_bytes - at,
    };
    kit_say(to, &put);
}

void open_stranger(struct kirim_coap_peer *peer, struct kit_message *get, uint8_t *wire,
                   struct kirim_coap_arrival *arrival)
{
    ck_assert_int_eq(kirim_addr_parse("198.51.100.1:1", &arrival->from), KIRIM_OK);
    kirim_coap_peer_init(peer, &side.node, &arrival->from);
    kirim_coap_peer_ready(peer, side.now_ns);
    *get = (struct kit_message){ .code = 1, .token = "x", .options = { { 11, "a", 0 } } };
    arrival->wire = (struct kirim_coap_span){ wire, kit_write(get, wire) };
}
