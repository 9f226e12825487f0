/* SPDX-License-Identifier: MIT
 *
 * Claims about CoAP over the DTLS layer, on sockets: the same code, with a layer more below it.
 */
#include "kit.h"
#include "protocols/coap/coap_endpoint.h"
#include "protocols/dtls/dtls.h"

enum { BODY_BYTES = 5000, STEP_COUNT_MAX = 100000 };

struct rig {
    struct kirim_loop *loop;
    struct kirim_dtls *dtls;
    struct kirim_dtls_config server_dtls, client_dtls;
    struct kirim_layer_plan server_lower, client_lower;
    struct kirim_coap_node server, client;
    struct kirim_coap_service service;
    struct kirim_coap_resource resource;
    struct kirim_coap_peer *peer;
    struct kirim_stack *stack;
    uint8_t stored[BODY_BYTES];
    size_t stored_bytes, answers, ends;
    bool was_validated;
    uint8_t got[BODY_BYTES];
    size_t got_bytes;
    uint8_t code;
};

static void on_stored(struct kirim_coap_resource *r, const struct kirim_coap_request *request,
                      struct kirim_coap_response *response)
{
    struct rig *const rig = r->user;
    rig->was_validated = request->peer->is_validated;
    response->code = KIRIM_COAP_CONTENT;
    if (request->method == KIRIM_COAP_PUT) {
        ck_assert_uint_le(request->body.bytes, sizeof rig->stored);
        memcpy(rig->stored, request->body.data, request->body.bytes);
        rig->stored_bytes = request->body.bytes;
        response->code = KIRIM_COAP_CHANGED;
        kirim_coap_notify(request->node, r, request->now_ns);
        return;
    }
    response->body = (struct kirim_coap_span){ rig->stored, rig->stored_bytes };
}

static void on_answered(struct kirim_coap_call *call, const struct kirim_coap_answer *answer)
{
    struct rig *const rig = call->user;
    rig->answers++;
    rig->code = answer->code;
    ck_assert_uint_le(answer->body.bytes, sizeof rig->got);
    rig->got_bytes = answer->body.bytes;
    if (answer->body.bytes > 0) {
        memcpy(rig->got, answer->body.data, answer->body.bytes);
    }
}

static void on_ended(struct kirim_coap_call *call, kirim_err err)
{
    struct rig *const rig = call->user;
    rig->ends++;
    ck_assert_int_eq(err, KIRIM_OK);
}

static void on_closed(struct kirim_coap_peer *peer, kirim_err why, void *user)
{
    struct rig *const rig = user;
    (void)peer;
    (void)why;
    rig->peer = NULL;
}

static kirim_err admit(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                       struct kirim_admission *out, void *user)
{
    struct rig *const rig = user;
    return kirim_dtls_admit(rig->dtls, set, datagram, out);
}

static void open_both(struct rig *rig)
{
    static uint8_t key[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
    struct kirim_loop_options loop = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_dtls_options dtls = KIRIM_DTLS_OPTIONS_INIT;
    struct kirim_coap_node_options node = KIRIM_COAP_NODE_OPTIONS_INIT;
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_coap_service_options service = KIRIM_COAP_SERVICE_OPTIONS_INIT;
    struct kirim_coap_dial_options dial = { .lower_count = 1, .closed = on_closed, .user = rig };
    memset(rig, 0, sizeof *rig);
    ck_assert_int_eq(kirim_loop_open(&loop, &rig->loop), KIRIM_OK);
    dtls.psk_key = (struct kirim_buf){ key, sizeof key };
    dtls.psk_identity = "somebody";
    ck_assert_int_eq(kirim_dtls_open(rig->loop, &dtls, &rig->dtls), KIRIM_OK);
    rig->server_dtls =
        (struct kirim_dtls_config)KIRIM_DTLS_CONFIG_INIT(rig->dtls, KIRIM_DTLS_SERVER);
    rig->client_dtls =
        (struct kirim_dtls_config)KIRIM_DTLS_CONFIG_INIT(rig->dtls, KIRIM_DTLS_CLIENT);
    rig->server_lower = (struct kirim_layer_plan){ kirim_dtls_layer_type(), &rig->server_dtls };
    rig->client_lower = (struct kirim_layer_plan){ kirim_dtls_layer_type(), &rig->client_dtls };
    ck_assert_int_eq(kirim_coap_node_open(&rig->server, rig->loop, &node), KIRIM_OK);
    ck_assert_int_eq(kirim_coap_node_open(&rig->client, rig->loop, &node), KIRIM_OK);
    rig->resource = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT(
        "s", 0xfe, KIRIM_COAP_OBSERVABLE, on_stored, rig);
    ck_assert_int_eq(kirim_coap_resource_add(&rig->server, &rig->resource), KIRIM_OK);
    ck_assert_int_eq(kirim_addr_parse("127.0.0.1:0", &endpoint.local), KIRIM_OK);
    service.endpoint = &endpoint;
    service.lower = &rig->server_lower;
    service.lower_count = 1;
    service.admit = admit;
    service.admit_user = rig;
    ck_assert_int_eq(kirim_coap_service_open(&rig->service, rig->loop, &rig->server, &service),
                     KIRIM_OK);
    dial.peer = kirim_endpoint_local(rig->service.endpoint);
    dial.lower = &rig->client_lower;
    ck_assert_int_eq(kirim_coap_dial(rig->loop, &rig->client, &dial, &rig->peer, &rig->stack),
                     KIRIM_OK);
}

static void close_both(struct rig *rig)
{
    ck_assert_int_eq(kirim_stack_close(rig->stack, KIRIM_OK), KIRIM_OK);
    kirim_coap_service_close(&rig->service);
    for (int n = 0; n < STEP_COUNT_MAX && (rig->peer != NULL || rig->service.set != NULL); n++) {
        ck_assert_int_eq(kirim_loop_step(rig->loop, SECOND), KIRIM_OK);
    }
    kirim_coap_node_fini(&rig->client);
    kirim_coap_node_fini(&rig->server);
    kirim_dtls_close(rig->dtls);
    ck_assert_int_eq(kirim_loop_close(rig->loop), KIRIM_OK);
}

static const struct kirim_coap_option path_s = { KIRIM_COAP_URI_PATH, { (const uint8_t *)"s", 1 } };

static void start(struct rig *rig, struct kirim_coap_call *call, uint8_t method)
{
    *call = (struct kirim_coap_call)KIRIM_COAP_CALL_INIT(method, on_answered, on_ended, rig);
    call->options = &path_s;
    call->option_count = 1;
}

static void wait_for(struct rig *rig, const size_t *counter, size_t count)
{
    for (int n = 0; n < STEP_COUNT_MAX && *counter < count; n++) {
        ck_assert_int_eq(kirim_loop_step(rig->loop, SECOND), KIRIM_OK);
    }
    ck_assert_uint_eq(*counter, count);
}

START_TEST(bodies_and_observation_go_over_dtls)
{
    static struct rig rig;
    static uint8_t body[BODY_BYTES];
    struct kirim_coap_call put;
    struct kirim_coap_call get;
    struct kirim_coap_call watch;
    open_both(&rig);
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 5 + i / 256);
    }
    start(&rig, &put, KIRIM_COAP_PUT);
    put.body = (struct kirim_coap_span){ body, sizeof body };
    start(&rig, &get, KIRIM_COAP_GET);
    ck_assert_int_eq(kirim_coap_call_start(rig.peer, &put, kirim_loop_now(rig.loop)), KIRIM_OK);
    ck_assert_int_eq(kirim_coap_call_start(rig.peer, &get, kirim_loop_now(rig.loop)), KIRIM_OK);
    wait_for(&rig, &rig.ends, 2);
    ck_assert_uint_eq(rig.code, KIRIM_COAP_CONTENT);
    ck_assert_uint_eq(rig.got_bytes, sizeof body);
    ck_assert_int_eq(memcmp(rig.got, body, sizeof body), 0);
    ck_assert(rig.was_validated); /* by the cookie: nobody was asked for an Echo */
    ck_assert_uint_eq(rig.server.stats.echo_asked, 0);
    start(&rig, &watch, KIRIM_COAP_GET);
    watch.is_observing = true;
    ck_assert_int_eq(kirim_coap_call_start(rig.peer, &watch, kirim_loop_now(rig.loop)), KIRIM_OK);
    wait_for(&rig, &rig.answers, 3);
    memset(rig.stored, 'x', sizeof rig.stored);
    kirim_coap_notify(&rig.server, &rig.resource, kirim_loop_now(rig.loop));
    wait_for(&rig, &rig.answers, 4);
    ck_assert_uint_eq(rig.got_bytes, sizeof body);
    ck_assert_uint_eq(rig.got[BODY_BYTES - 1], 'x');
    kirim_coap_call_cancel(&watch, kirim_loop_now(rig.loop));
    wait_for(&rig, &rig.ends, 3);
    ck_assert_uint_eq(rig.server.observer_count, 0);
    close_both(&rig);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { bodies_and_observation_go_over_dtls, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap secure", claims);
}
