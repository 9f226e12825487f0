/* SPDX-License-Identifier: MIT
 *
 * Claims about the client: message by message, and against a server over a wire that loses.
 */
#include "kit.h"

enum { BODY_BYTES = 5000 };

static struct kit_side client;
static struct kit_side server;

/* What a call was told. */
struct told {
    struct kirim_coap_call call;
    size_t answers, ends;
    kirim_err err;
    uint8_t code;
    uint8_t body[BODY_BYTES + 1];
    size_t body_bytes;
    bool is_cancelling;
    size_t restart_count; /* so many times it is started again when it ends */
    kirim_err restart_err;
};

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

static void prepare(struct told *told, uint8_t method)
{
    memset(told, 0, sizeof *told);
    told->call = (struct kirim_coap_call)KIRIM_COAP_CALL_INIT(method, on_answered, on_ended, told);
    told->call.options = &path_s;
    told->call.option_count = 1;
}

/* Starts it, and takes its first message out of the queue. */
static struct kirim_coap_message start(struct told *told, uint8_t method)
{
    struct kirim_coap_message m;
    prepare(told, method);
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told->call, client.now_ns), KIRIM_OK);
    ck_assert(kit_tick(&client, client.now_ns));
    ck_assert(kit_take(&client, &m));
    return m;
}

static void begin(void)
{
    kit_open(&client, "192.0.2.2:40000", "192.0.2.1:5683", NULL);
}

/* An answer to a message, given to the client. */
static void reply(const struct kirim_coap_message *to, uint8_t type, uint8_t code, uint16_t id,
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

START_TEST(an_answer_comes_with_the_acknowledgement)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
    ck_assert_uint_eq(m.type, KIRIM_COAP_CON);
    ck_assert_uint_eq(m.token_bytes, 8);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, NULL, "x");
    ck_assert_uint_eq(told.answers, 1);
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_int_eq(told.err, KIRIM_OK);
    ck_assert_uint_eq(told.code, KIRIM_COAP_CONTENT);
    kit_expect_silence(&client);
    ck_assert(!kit_tick(&client, client.now_ns + 1000 * SECOND));
    kit_close(&client);
}
END_TEST

START_TEST(an_answer_comes_later)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
    const struct kit_message ack = { .type = KIRIM_COAP_ACK, .id = m.id };
    kit_say(&client, &ack);
    ck_assert(!kit_tick(&client, client.now_ns + 50 * SECOND)); /* nothing is sent again */
    kit_expect_silence(&client);
    reply(&m, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 700, NULL, "x");
    ck_assert_uint_eq(kit_expect(&client, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY).id, 700);
    ck_assert_uint_eq(told.ends, 1);
    reply(&m, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 700, NULL, "x"); /* our ACK was lost */
    ck_assert_uint_eq(kit_expect(&client, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY).id, 700);
    ck_assert_uint_eq(told.answers, 1);
    kit_close(&client);
}
END_TEST

START_TEST(an_answer_overtakes_the_acknowledgement)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
    reply(&m, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 700, NULL, "x");
    (void)kit_expect(&client, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY);
    ck_assert_uint_eq(told.ends, 1);
    const struct kit_message ack = { .type = KIRIM_COAP_ACK, .id = m.id };
    kit_say(&client, &ack);
    kit_expect_silence(&client);
    ck_assert(!kit_tick(&client, client.now_ns + 1000 * SECOND));
    kit_close(&client);
}
END_TEST

START_TEST(a_late_copy_of_the_answer_counts)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
    ck_assert(kit_tick(&client, client.now_ns + 100 * SECOND));
    ck_assert_uint_eq(kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET).id, m.id);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, NULL, "x");
    ck_assert_uint_eq(told.ends, 1);
    kit_close(&client);
}
END_TEST

START_TEST(what_is_not_the_answer_is_not_taken)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
    struct kirim_coap_message other = m;
    other.token[3] ^= 1;
    reply(&other, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 5, NULL, "x");
    ck_assert_uint_eq(kit_expect(&client, KIRIM_COAP_RST, KIRIM_COAP_EMPTY).id, 5);
    reply(&other, KIRIM_COAP_NON, KIRIM_COAP_CONTENT, 6, NULL, "x");
    (void)kit_expect(&client, KIRIM_COAP_RST, KIRIM_COAP_EMPTY);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, (uint16_t)(m.id + 1), NULL, "x");
    kit_expect_silence(&client);
    ck_assert_uint_eq(told.answers, 0);
    static const struct kit_option critical[] = { { 9, "x", 0 }, { 0, NULL, 0 } };
    reply(&m, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 7, critical, "x");
    (void)kit_expect(&client, KIRIM_COAP_RST, KIRIM_COAP_EMPTY);
    ck_assert_uint_eq(told.answers, 0);
    ck_assert_int_eq(told.err, KIRIM_EOPNOTSUPP);
    kit_close(&client);
}
END_TEST

START_TEST(a_reset_an_error_and_silence_end_a_call)
{
    static const kirim_err errs[] = { KIRIM_ECONNRESET, KIRIM_ECONNRESET, KIRIM_ETIMEDOUT,
                                      KIRIM_EABORTED };
    begin();
    for (size_t way = 0; way < COUNT_OF(errs); way++) {
        struct told told;
        const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
        const struct kit_message rst = { .type = KIRIM_COAP_RST, .id = m.id };
        if (way == 0) {
            kit_say(&client, &rst);
        } else if (way == 1) {
            kirim_coap_peer_gone(&client.peer, KIRIM_ECONNRESET, client.now_ns);
        } else if (way == 2) {
            while (told.ends == 0) {
                ck_assert(kit_tick(&client, client.now_ns + 100 * SECOND));
            }
            ck_assert_uint_eq(client.count, 4); /* five with the first */
            client.count = 0;
        } else {
            kirim_coap_call_cancel(&told.call, client.now_ns);
        }
        ck_assert_uint_eq(told.ends, 1);
        ck_assert_int_eq(told.err, errs[way]);
        ck_assert_uint_eq(told.answers, 0);
    }
    kit_close(&client);
}
END_TEST

START_TEST(one_call_at_a_time)
{
    static struct told told[3];
    struct kirim_coap_message m = { 0 };
    begin();
    for (size_t i = 0; i < 3; i++) {
        prepare(&told[i], KIRIM_COAP_GET);
        ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told[i].call, client.now_ns), 0);
    }
    ck_assert(kit_tick(&client, client.now_ns));
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(client.count, 1);
        ck_assert(kit_take(&client, &m));
        reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, NULL, "x");
        ck_assert_uint_eq(told[i].ends, 1);
    }
    kit_expect_silence(&client);
    kit_close(&client);
}
END_TEST

START_TEST(a_ping_is_answered_by_a_reset)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_EMPTY);
    ck_assert_uint_eq(m.type, KIRIM_COAP_CON);
    ck_assert_uint_eq(m.code, KIRIM_COAP_EMPTY);
    const struct kit_message rst = { .type = KIRIM_COAP_RST, .id = m.id };
    kit_say(&client, &rst);
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_int_eq(told.err, KIRIM_OK);
    kit_close(&client);
}
END_TEST

START_TEST(wrong_calls_are_refused)
{
    static const struct kirim_coap_option bad[] = {
        { KIRIM_COAP_URI_QUERY, { NULL, 0 } },
        { KIRIM_COAP_URI_PATH, { NULL, 0 } },
        { KIRIM_COAP_OBSERVE, { NULL, 0 } },
    };
    struct told told;
    begin();
    prepare(&told, 8);
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    prepare(&told, KIRIM_COAP_GET);
    told.call.type = KIRIM_COAP_ACK;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    told.call.type = KIRIM_COAP_CON;
    told.call.ended = NULL;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    prepare(&told, KIRIM_COAP_PUT);
    told.call.is_observing = true;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    prepare(&told, KIRIM_COAP_GET);
    told.call.options = bad; /* not sorted */
    told.call.option_count = 2;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    told.call.options = bad + 2; /* one of the call's own */
    told.call.option_count = 1;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    kit_expect_silence(&client);
    kit_close(&client);
}
END_TEST

START_TEST(message_ids_are_not_used_twice)
{
    enum { COUNT = 65536 };
    static uint8_t is_used[COUNT];
    uint32_t count = 0;
    struct told told;
    begin();
    memset(is_used, 0, sizeof is_used);
    for (;;) {
        prepare(&told, KIRIM_COAP_GET);
        told.call.type = KIRIM_COAP_NON;
        ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, client.now_ns), 0);
        kirim_coap_peer_expire(&client.peer, client.now_ns);
        struct kirim_coap_message m;
        if (!kit_take(&client, &m)) {
            break; /* it waits until some are free */
        }
        ck_assert(!is_used[m.id]);
        is_used[m.id] = 1;
        count++;
        reply(&m, KIRIM_COAP_NON, KIRIM_COAP_CONTENT, (uint16_t)count, NULL, "x");
        ck_assert_uint_eq(told.ends, 1);
    }
    ck_assert_uint_gt(count, COUNT - 4097);
    ck_assert_uint_eq(told.ends, 0);
    const uint64_t then_ns = client.now_ns;
    while (client.count == 0) {
        ck_assert(kit_tick(&client, then_ns + 250 * SECOND));
    }
    ck_assert(client.now_ns - then_ns <= 247 * SECOND);
    kit_close(&client);
}
END_TEST

/* ---- observation ----------------------------------------------------------------------------- */

static const struct kit_option observe_5[] = { { 6, NULL, 5 }, { 0, NULL, 0 } };

static struct kirim_coap_message start_observing(struct told *told)
{
    struct kirim_coap_message m;
    prepare(told, KIRIM_COAP_GET);
    told->call.is_observing = true;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told->call, client.now_ns), KIRIM_OK);
    ck_assert(kit_tick(&client, client.now_ns));
    ck_assert(kit_take(&client, &m));
    ck_assert(kit_fields(&m).has & KIRIM_COAP_HAS_OBSERVE);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, observe_5, "x");
    ck_assert_uint_eq(told->answers, 1);
    ck_assert_uint_eq(told->ends, 0);
    return m;
}

/* Sequence numbers one after the other, seconds between them, and whether the second is news. */
static const struct {
    uint32_t sequence;
    uint64_t after_s;
    bool is_fresh;
} news[] = {
    { 6, 1, true },
    { 5, 1, false },
    { 4, 1, false },
    { 5 + (1 << 23) - 1, 1, true },
    { 5 + (1 << 23), 1, false },
    { 0xffffff, 1, false },
    { 4, 129, true },
    { 5, 129, true },
    { 4, 128, false },
};

START_TEST(old_news_is_no_news)
{
    struct told told;
    struct kit_option options[] = { { 6, NULL, news[_i].sequence },
                                    { 14, NULL, 1000 },
                                    { 0, NULL, 0 } };
    begin();
    const struct kirim_coap_message m = start_observing(&told);
    client.now_ns += SECOND;
    client.now_ns += (news[_i].after_s - 1) * SECOND;
    reply(&m, KIRIM_COAP_NON, KIRIM_COAP_CONTENT, 900, options, "y");
    ck_assert_uint_eq(told.answers, news[_i].is_fresh ? 2 : 1);
    kit_close(&client);
}
END_TEST

START_TEST(an_observation_is_taken_back)
{
    struct told told;
    begin();
    struct kirim_coap_message m = start_observing(&told);
    static const struct kit_option next[] = { { 6, NULL, 9 }, { 0, NULL, 0 } };
    reply(&m, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 900, next, "y");
    (void)kit_expect(&client, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY);
    ck_assert_uint_eq(told.answers, 2);
    kirim_coap_call_cancel(&told.call, client.now_ns);
    ck_assert_uint_eq(told.ends, 0);
    struct kirim_coap_message last = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
    ck_assert_uint_eq(kit_fields(&last).observe, 1);
    ck_assert_int_eq(memcmp(last.token, m.token, 8), 0);
    reply(&last, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, last.id, NULL, "z");
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_int_eq(told.err, KIRIM_OK);
    ck_assert_uint_eq(told.answers, 2);
    reply(&m, KIRIM_COAP_NON, KIRIM_COAP_CONTENT, 901, next, "y"); /* the server has not heard */
    (void)kit_expect(&client, KIRIM_COAP_RST, KIRIM_COAP_EMPTY);
    kit_close(&client);
}
END_TEST

START_TEST(a_registration_is_renewed_when_its_answer_is_old)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start_observing(&told);
    const uint64_t then_ns = client.now_ns;
    ck_assert(kit_tick(&client, then_ns + 100 * SECOND));
    ck_assert(client.now_ns >= then_ns + 65 * SECOND && client.now_ns <= then_ns + 75 * SECOND);
    struct kirim_coap_message again = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
    ck_assert_int_eq(memcmp(again.token, m.token, 8), 0);
    ck_assert_uint_eq(kit_fields(&again).observe, 0);
    static const struct kit_option next[] = { { 6, NULL, 9 }, { 0, NULL, 0 } };
    reply(&again, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, again.id, next, "y");
    ck_assert_uint_eq(told.answers, 2);
    static const struct kit_option none[] = { { 0, NULL, 0 } };
    reply(&again, KIRIM_COAP_CON, KIRIM_COAP_NOT_FOUND, 950, none, NULL);
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_uint_eq(told.code, KIRIM_COAP_NOT_FOUND);
    kit_close(&client);
}
END_TEST

START_TEST(a_call_may_be_cancelled_in_its_answer)
{
    struct told told;
    begin();
    prepare(&told, KIRIM_COAP_GET);
    told.is_cancelling = true;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, client.now_ns), KIRIM_OK);
    ck_assert(kit_tick(&client, client.now_ns));
    struct kirim_coap_message m = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, NULL, "x");
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_int_eq(told.err, KIRIM_OK);
    kit_close(&client);
}
END_TEST

/* ---- both ends ------------------------------------------------------------------------------- */

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

START_TEST(an_observation_outlives_any_number_of_echoes)
{
    static const struct kit_option echo[] = { { 252, "e", 0 }, { 0, NULL, 0 } };
    struct told told;
    begin();
    (void)start_observing(&told);
    for (uint32_t i = 0; i < 10; i++) {
        const struct kit_option next[] = { { 6, NULL, 100 + i }, { 0, NULL, 0 } };
        ck_assert(kit_tick(&client, client.now_ns + 100 * SECOND));
        struct kirim_coap_message m = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
        reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_UNAUTHORIZED, m.id, echo, NULL);
        m = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
        reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, next, "y");
        ck_assert_uint_eq(told.ends, 0);
    }
    kit_close(&client);
}
END_TEST

START_TEST(the_longest_life_is_not_the_shortest)
{
    static const struct kit_option next[] = { { 6, NULL, 99 },
                                              { 14, NULL, UINT32_MAX },
                                              { 0, NULL, 0 } };
    struct told told;
    begin();
    const struct kirim_coap_message m = start_observing(&told);
    reply(&m, KIRIM_COAP_NON, KIRIM_COAP_CONTENT, 1, next, "y");
    ck_assert_uint_eq(told.answers, 2);
    ck_assert(!kit_tick(&client, client.now_ns + 100000 * SECOND));
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
        { an_answer_comes_with_the_acknowledgement, 0 },
        { an_answer_comes_later, 0 },
        { an_answer_overtakes_the_acknowledgement, 0 },
        { a_late_copy_of_the_answer_counts, 0 },
        { what_is_not_the_answer_is_not_taken, 0 },
        { a_reset_an_error_and_silence_end_a_call, 0 },
        { one_call_at_a_time, 0 },
        { a_ping_is_answered_by_a_reset, 0 },
        { wrong_calls_are_refused, 0 },
        { message_ids_are_not_used_twice, 0 },
        { old_news_is_no_news, COUNT_OF(news) },
        { an_observation_is_taken_back, 0 },
        { a_registration_is_renewed_when_its_answer_is_old, 0 },
        { a_call_may_be_cancelled_in_its_answer, 0 },
        { bodies_go_both_ways, COUNT_OF(transfers) },
        { a_long_state_is_observed, 0 },
        { a_body_that_changes_is_fetched_anew, 0 },
        { an_answer_that_is_too_long_is_refused, 0 },
        { a_server_that_begins_anew_for_ever_is_left, 0 },
        { an_observation_outlives_any_number_of_echoes, 0 },
        { the_longest_life_is_not_the_shortest, 0 },
        { a_block_has_a_number_or_is_not_sent, 0 },
        { a_group_cannot_have_others_sent_to_for_ever, 0 },
        { a_call_may_be_started_again_when_its_peer_is_gone, 0 },
        { want_of_memory_is_survived, 0 },
        { want_of_random_bytes_is_survived, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap client", claims);
}
