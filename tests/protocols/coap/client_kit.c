/* SPDX-License-Identifier: MIT
 *
 * What the suites about a client share: see client_kit.h.
 */
#include "client_kit.h"

struct kit_side client;
struct kit_side server;

static void on_answered(struct kirim_coap_call *call, const struct kirim_coap_answer *answer)
{
    struct told *const told = call->user;
    told->answers++;
    told->code = answer->code;
    ck_assert_uint_le(answer->body.bytes, sizeof told->body);
    told->body_bytes = answer->body.bytes;
    if (answer->body.bytes > 0) {
        memcpy(told->body, answer->body.data, answer->body.bytes);
    }
    if (told->is_cancelling) {
        kirim_coap_call_cancel(call, client.now_ns);
    }
}

static void on_ended(struct kirim_coap_call *call, kirim_err err)
{
    struct told *const told = call->user;
    told->ends++;
    told->err = err;
    if (told->restart_count > 0) {
        told->restart_count--;
        told->restart_err = kirim_coap_call_start(&client.peer, call, client.now_ns);
    }
}

static const struct kirim_coap_option path_s = { KIRIM_COAP_URI_PATH, { (const uint8_t *)"s", 1 } };

void prepare(struct told *told, uint8_t method)
{
    memset(told, 0, sizeof *told);
    told->call = (struct kirim_coap_call)KIRIM_COAP_CALL_INIT(method, on_answered, on_ended, told);
    told->call.options = &path_s;
    told->call.option_count = 1;
}

struct kirim_coap_message start(struct told *told, uint8_t method)
{
    struct kirim_coap_message m;
    prepare(told, method);
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told->call, client.now_ns), KIRIM_OK);
    ck_assert(kit_tick(&client, client.now_ns));
    ck_assert(kit_take(&client, &m));
    return m;
}

void begin(void)
{
    kit_open(&client, "192.0.2.2:40000", "192.0.2.1:5683", NULL);
}

void reply(const struct kirim_coap_message *to, uint8_t type, uint8_t code, uint16_t id,
           const struct kit_option *options, const char *payload)
{
    static char token[9];
    struct kit_message m = { .type = type, .code = code, .id = id, .payload = payload };
    uint8_t wire[KIT_WIRE_MAX];
    memset(token, 'x', 8); /* replaced below, as it may hold zeros */
    m.token = token;
    for (size_t i = 0; options != NULL && options[i].number != 0; i++) {
        m.options[i] = options[i];
    }
    const size_t bytes = kit_write(&m, wire);
    memcpy(wire + 4, to->token, 8);
    kit_give(&client, wire, bytes, false);
}
