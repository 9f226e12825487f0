/* SPDX-License-Identifier: MIT
 *
 * Claims about a client and a server with each other: bodies in blocks over a wire that loses,
 * observations, groups, and what becomes of both in want.
 */
#include "client_kit.h"

static uint8_t stored[BODY_BYTES];
static size_t stored_bytes;
static size_t writes;

static void on_stored(struct kirim_coap_resource *r, const struct kirim_coap_request *request,
                      struct kirim_coap_response *response)
{
    (void)r;
    if (request->method == KIRIM_COAP_PUT || request->method == KIRIM_COAP_POST) {
        writes++;
        ck_assert_uint_le(request->body.bytes, sizeof stored);
        stored_bytes = request->body.bytes;
        if (stored_bytes > 0) {
            memcpy(stored, request->body.data, stored_bytes);
        }
        response->code = KIRIM_COAP_CHANGED;
    } else {
        response->code = KIRIM_COAP_CONTENT;
    }
    if (request->method == KIRIM_COAP_POST) {
        response->body = request->body; /* where it was put together */
    } else if (request->method != KIRIM_COAP_PUT) {
        response->body = (struct kirim_coap_span){ stored, stored_bytes };
    }
}

static struct kirim_coap_resource store;

static void begin_both(uint8_t server_szx, bool is_validated)
{
    struct kirim_coap_node_options options = KIRIM_COAP_NODE_OPTIONS_INIT;
    options.szx = server_szx;
    kit_open(&client, "192.0.2.2:40000", "192.0.2.1:5683", NULL);
    kit_open(&server, "192.0.2.1:5683", "192.0.2.2:40000", &options);
    server.peer.is_validated = is_validated;
    store = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT("s", 0xfe, KIRIM_COAP_OBSERVABLE,
                                                                 on_stored, NULL);
    ck_assert_int_eq(kirim_coap_resource_add(&server.node, &store), KIRIM_OK);
    stored_bytes = writes = 0;
}

static void end_both(void)
{
    kit_close(&client);
    kit_close(&server);
}

/* Loses every third datagram. */
static bool drop_third(const struct kit_side *from, const struct kit_wire *wire, void *user)
{
    size_t *const count = user;
    (void)from;
    (void)wire;
    return ++*count % 3 == 0;
}

/* Sizes of a body, of the client's blocks, and of the server's. */
static const struct {
    size_t bytes;
    uint8_t client_szx, server_szx;
    bool is_validated, is_lossy;
} transfers[] = {
    { 0, 6, 6, true, false },    { 1, 6, 6, true, false },     { 1023, 6, 6, true, false },
    { 1024, 6, 6, true, false }, { 1025, 6, 6, true, false },  { 2048, 6, 6, true, false },
    { 5000, 6, 6, true, false }, { 5000, 6, 2, true, false },  { 5000, 2, 6, true, false },
    { 300, 0, 6, true, false },  { 5000, 6, 6, false, false }, { 5000, 6, 2, false, true },
    { 5000, 6, 6, true, true },  { 1024, 5, 6, false, true },
};

START_TEST(bodies_go_both_ways)
{
    static uint8_t body[BODY_BYTES];
    static struct told told;
    size_t count = 0;
    begin_both(transfers[_i].server_szx, transfers[_i].is_validated);
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 5 + i / 256);
    }
    for (int round = 0; round < 3; round++) {
        static const uint8_t methods[] = { KIRIM_COAP_PUT, KIRIM_COAP_GET, KIRIM_COAP_POST };
        prepare(&told, methods[round]);
        told.call.szx = transfers[_i].client_szx;
        told.call.asks_size = round > 0 && transfers[_i].client_szx < 6;
        if (round != 1) {
            told.call.body = (struct kirim_coap_span){ body, transfers[_i].bytes };
        }
        ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, client.now_ns), KIRIM_OK);
        kit_converse(&client, &server, client.now_ns + 3000 * SECOND,
                     transfers[_i].is_lossy ? drop_third : NULL, &count);
        ck_assert_uint_eq(told.ends, 1);
        ck_assert_int_eq(told.err, KIRIM_OK);
        ck_assert_uint_eq(told.answers, 1);
        ck_assert_uint_eq(told.code, round == 1 ? KIRIM_COAP_CONTENT : KIRIM_COAP_CHANGED);
        ck_assert_uint_eq(told.body_bytes, round > 0 ? transfers[_i].bytes : 0);
        ck_assert(told.body_bytes == 0 || memcmp(told.body, body, told.body_bytes) == 0);
        ck_assert_uint_eq(stored_bytes, transfers[_i].bytes);
    }
    ck_assert_uint_eq(writes, 2); /* each once, whatever was lost */
    end_both();
}
END_TEST

START_TEST(a_long_state_is_observed)
{
    static struct told told;
    begin_both(4, false);
    stored_bytes = sizeof stored;
    memset(stored, 'a', sizeof stored);
    prepare(&told, KIRIM_COAP_GET);
    told.call.is_observing = true;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, client.now_ns), KIRIM_OK);
    kit_converse(&client, &server, client.now_ns + 10 * SECOND, NULL, NULL);
    ck_assert_uint_eq(told.answers, 1);
    ck_assert_uint_eq(told.body_bytes, sizeof stored);
    for (char c = 'b'; c < 'g'; c++) {
        memset(stored, c, sizeof stored);
        kirim_coap_notify(&server.node, &store, server.now_ns);
        kit_converse(&client, &server, client.now_ns + 10 * SECOND, NULL, NULL);
        ck_assert_uint_eq(told.body_bytes, sizeof stored);
        ck_assert_uint_eq(told.body[0], (uint8_t)c);
        ck_assert_uint_eq(told.body[sizeof stored - 1], (uint8_t)c);
    }
    ck_assert_uint_eq(told.answers, 6);
    kirim_coap_call_cancel(&told.call, client.now_ns);
    kit_converse(&client, &server, client.now_ns + 10 * SECOND, NULL, NULL);
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_uint_eq(server.node.observer_count, 0);
    end_both();
}
END_TEST

START_TEST(a_body_that_changes_is_fetched_anew)
{
    static struct told told;
    begin_both(4, true);
    stored_bytes = sizeof stored;
    memset(stored, 'a', sizeof stored);
    prepare(&told, KIRIM_COAP_GET);
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, client.now_ns), KIRIM_OK);
    kit_converse(&client, &server, client.now_ns + 65 * MS, NULL, NULL);
    ck_assert_uint_eq(told.ends, 0);
    memset(stored, 'b', sizeof stored);
    kit_converse(&client, &server, client.now_ns + 10 * SECOND, NULL, NULL);
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_uint_eq(told.body_bytes, sizeof stored);
    ck_assert_uint_eq(told.body[0], 'b');
    ck_assert_uint_eq(told.body[sizeof stored - 1], 'b');
    end_both();
}
END_TEST

START_TEST(an_answer_that_is_too_long_is_refused)
{
    static struct told told;
    begin_both(6, true);
    stored_bytes = sizeof stored;
    prepare(&told, KIRIM_COAP_GET);
    told.call.body_bytes_max = 2000;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, client.now_ns), KIRIM_OK);
    kit_converse(&client, &server, client.now_ns + 10 * SECOND, NULL, NULL);
    ck_assert_int_eq(told.err, KIRIM_EMSGSIZE);
    ck_assert_uint_eq(told.answers, 0);
    end_both();
}
END_TEST

START_TEST(a_server_that_begins_anew_for_ever_is_left)
{
    static const struct kit_option first[] = { { 23, NULL, 8 }, { 0, NULL, 0 } };
    struct told told;
    begin();
    struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, first, "0123456789abcdef");
    m = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
    ck_assert_uint_eq(kit_fields(&m).block2.number, 1);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, first, "0123456789abcdef");
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_int_eq(told.err, KIRIM_EINVAL);
    kit_expect_silence(&client);
    kit_close(&client);
}
END_TEST

START_TEST(a_block_has_a_number_or_is_not_sent)
{
    static const struct kit_option small[] = { { 27, NULL, 8 }, { 0, NULL, 0 } };
    static uint8_t body[2048];
    struct told told;
    begin();
    prepare(&told, KIRIM_COAP_PUT);
    told.call.body = (struct kirim_coap_span){ body, sizeof body };
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, client.now_ns), KIRIM_OK);
    ck_assert(kit_tick(&client, client.now_ns));
    const struct kirim_coap_message m = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_PUT);
    told.call.body.bytes = (size_t)1 << 25; /* as if so much had been sent */
    told.call.sent_bytes = ((size_t)1 << 24) - 1024;
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTINUE, m.id, small, NULL);
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_int_eq(told.err, KIRIM_EMSGSIZE);
    kit_expect_silence(&client);
    kit_close(&client);
}
END_TEST

START_TEST(a_group_cannot_have_others_sent_to_for_ever)
{
    static const struct kit_option echo[] = { { 252, "e", 0 }, { 0, NULL, 0 } };
    struct told told;
    size_t sent = 0;
    kit_open(&client, "192.0.2.2:40000", "224.0.1.187:5683", NULL);
    prepare(&told, KIRIM_COAP_GET);
    told.call.type = KIRIM_COAP_NON;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, client.now_ns), KIRIM_OK);
    ck_assert(kit_tick(&client, client.now_ns));
    const struct kirim_coap_message m = kit_expect(&client, KIRIM_COAP_NON, KIRIM_COAP_GET);
    for (uint16_t i = 0; i < 1000; i++) {
        struct kit_message answer = { .type = KIRIM_COAP_NON, .code = KIRIM_COAP_UNAUTHORIZED };
        uint8_t wire[KIT_WIRE_MAX];
        answer.token = "12345678";
        answer.options[0] = echo[0];
        struct kirim_coap_arrival arrival = { .wire = { wire, kit_write(&answer, wire) } };
        memcpy(wire + 4, m.token, 8);
        ck_assert_int_eq(kirim_addr_parse("198.51.100.1:5683", &arrival.from), KIRIM_OK);
        kirim_coap_peer_input(&client.peer, &arrival, client.now_ns);
        sent += client.count;
        client.count = 0;
    }
    ck_assert_uint_eq(sent, 64);
    kit_close(&client);
}
END_TEST

START_TEST(a_call_may_be_started_again_when_its_peer_is_gone)
{
    static struct told told;
    begin();
    (void)start(&told, KIRIM_COAP_GET);
    told.restart_count = 1000;
    kirim_coap_peer_gone(&client.peer, KIRIM_ECONNRESET, client.now_ns);
    ck_assert_uint_eq(told.ends, 1); /* the network may say so again, of the next message */
    ck_assert_int_eq(told.restart_err, KIRIM_OK);
    (void)kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
    kirim_coap_peer_fini(&client.peer, KIRIM_EABORTED);
    ck_assert_uint_eq(told.ends, 2);
    ck_assert_int_eq(told.restart_err, KIRIM_ECLOSED);
    kit_close(&client);
}
END_TEST

START_TEST(want_of_memory_is_survived)
{
    static uint8_t body[BODY_BYTES];
    for (size_t fail_at = 1; fail_at < 40; fail_at++) {
        static struct told told;
        begin_both(6, true);
        client.memory.calls = server.memory.calls = 0;
        client.memory.fail_at = server.memory.fail_at = fail_at;
        prepare(&told, KIRIM_COAP_POST);
        told.call.body = (struct kirim_coap_span){ body, sizeof body };
        if (kirim_coap_call_start(&client.peer, &told.call, client.now_ns) >= 0) {
            kit_converse(&client, &server, client.now_ns + 3000 * SECOND, NULL, NULL);
            ck_assert_uint_eq(told.ends, 1);
            ck_assert(told.err < 0 || told.answers == 1);
        }
        end_both();
    }
}
END_TEST

START_TEST(want_of_random_bytes_is_survived)
{
    static struct told told;
    begin_both(6, false);
    stored_bytes = 3000;
    client.random_err = server.random_err = KIRIM_ESYSTEM;
    prepare(&told, KIRIM_COAP_GET);
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, client.now_ns), KIRIM_OK);
    kit_converse(&client, &server, client.now_ns + 300 * SECOND, NULL, NULL);
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_int_lt(told.err, 0);
    end_both();
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { bodies_go_both_ways, COUNT_OF(transfers) },
        { a_long_state_is_observed, 0 },
        { a_body_that_changes_is_fetched_anew, 0 },
        { an_answer_that_is_too_long_is_refused, 0 },
        { a_server_that_begins_anew_for_ever_is_left, 0 },
        { a_block_has_a_number_or_is_not_sent, 0 },
        { a_group_cannot_have_others_sent_to_for_ever, 0 },
        { a_call_may_be_started_again_when_its_peer_is_gone, 0 },
        { want_of_memory_is_survived, 0 },
        { want_of_random_bytes_is_survived, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap conversation", claims);
}
