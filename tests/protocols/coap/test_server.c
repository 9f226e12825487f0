/* SPDX-License-Identifier: MIT
 *
 * Claims about the server: what becomes of requests, each message by itself.
 */
#include "kit.h"

#define SERVER "192.0.2.1:5683"
#define CLIENT "192.0.2.2:40000"

enum { BODY_MAX = 5000 };

/* A resource that counts, and answers with what it is told. */
struct thing {
    struct kirim_coap_resource resource;
    struct kirim_coap_response response;
    size_t runs;
    uint8_t body[BODY_MAX];
    size_t body_bytes;
    uint64_t deferral;
};

static void on_thing(struct kirim_coap_resource *resource, const struct kirim_coap_request *request,
                     struct kirim_coap_response *response)
{
    struct thing *const thing = resource->user;
    thing->runs++;
    thing->deferral = request->deferral;
    ck_assert_uint_le(request->body.bytes, sizeof thing->body);
    if (request->body.bytes > 0) {
        memcpy(thing->body, request->body.data, request->body.bytes);
    }
    thing->body_bytes = request->body.bytes;
    *response = thing->response;
}

enum { ALL_METHODS = 0xfe };

static void add_thing(struct kit_side *side, struct thing *thing, const char *path, uint32_t flags)
{
    memset(thing, 0, sizeof *thing);
    thing->resource = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT(path, ALL_METHODS, flags,
                                                                           on_thing, thing);
    thing->response = (struct kirim_coap_response){ .code = KIRIM_COAP_CONTENT,
                                                    .content_format = KIRIM_COAP_FORMAT_TEXT,
                                                    .max_age_s = KIRIM_COAP_MAX_AGE_S };
    thing->response.body = kirim_coap_span_text("text");
    ck_assert_int_eq(kirim_coap_resource_add(&side->node, &thing->resource), KIRIM_OK);
}

static struct kit_side side;
static struct thing thing;

static void begin(void)
{
    kit_open(&side, SERVER, CLIENT, NULL);
    add_thing(&side, &thing, "a", 0);
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Bytes that get RST, or nothing. */
static const struct {
    const char *wire;
    size_t bytes;
    bool is_reset;
} noises[] = {
    { "\x40\x00\x12\x34", 4, true },      /* a ping */
    { "\x50\x00\x12\x34", 4, false },     /* an empty NON */
    { "\x40\x00\x12\x34\x01", 5, true },  /* format errors: of CON, */
    { "\x50\x01\x12\x34\xff", 5, false }, /* of NON, */
    { "\x60\x45\x12\x34\xff", 5, false }, /* of ACK, */
    { "\x70\x45\x12\x34\xff", 5, false }, /* of RST */
    { "\x80\x01\x12\x34", 4, false },     /* another version */
    { "\x40", 1, false },                 /* no header */
    { "\x60\x00\x12\x34", 4, false },     /* nobody waits for this ACK, */
    { "\x70\x00\x12\x34", 4, false },     /* or this RST */
    { "\x70\x01\x12\x34", 4, false },     /* no RST is a request, */
    { "\x60\x01\x12\x34", 4, false },     /* and no ACK */
    { "\x40\x45\x12\x34", 4, true },      /* a response that nobody waits for */
    { "\x50\x45\x12\x34", 4, true },      /* likewise */
    { "\x60\x45\x12\x34", 4, false },     /* an ACK is never answered */
    { "\x40\x20\x12\x34", 4, true },      /* classes that are reserved: 1, */
    { "\x50\x20\x12\x34", 4, false },
    { "\x40\xe1\x12\x34", 4, true }, /* and 7 */
};

START_TEST(noise_is_reset_or_ignored)
{
    begin();
    kit_give(&side, (const uint8_t *)noises[_i].wire, noises[_i].bytes, false);
    if (noises[_i].is_reset) {
        const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_RST, KIRIM_COAP_EMPTY);
        ck_assert_uint_eq(m.id, 0x1234);
    }
    kit_expect_silence(&side);
    ck_assert_uint_eq(thing.runs, 0);
    kit_give(&side, (const uint8_t *)noises[_i].wire, noises[_i].bytes, true);
    if (noises[_i].wire[0] == '\x40') {
        kit_expect_silence(&side); /* no CON to a group is answered */
    }
    kit_close(&side);
}
END_TEST

/* Requests, and the code of the answer; 0: silence. */
static const struct {
    struct kit_message message;
    uint8_t code;
} requests[] = {
    { { .code = 1, .options = { { 11, "a", 0 } } }, KIRIM_COAP_CONTENT },
    { { .code = 1, .options = { { 11, "b", 0 } } }, KIRIM_COAP_NOT_FOUND },
    { { .code = 1, .options = { { 0, NULL, 0 } } }, KIRIM_COAP_NOT_FOUND },
    { { .code = 1, .options = { { 11, "a", 0 }, { 11, "", 0 } } }, KIRIM_COAP_NOT_FOUND },
    { { .code = 8, .options = { { 11, "a", 0 } } }, KIRIM_COAP_METHOD_NOT_ALLOWED },
    { { .code = 31, .options = { { 11, "a", 0 } } }, KIRIM_COAP_METHOD_NOT_ALLOWED },
    { { .code = 1, .options = { { 11, "get", 0 } } }, KIRIM_COAP_METHOD_NOT_ALLOWED },
    { { .code = 1, .options = { { 9, "", 0 }, { 11, "a", 0 } } }, KIRIM_COAP_BAD_OPTION },
    { { .type = 1, .code = 1, .options = { { 9, "", 0 }, { 11, "a", 0 } } }, 0 },
    { { .code = 1, .options = { { 10, "", 0 }, { 11, "a", 0 } } }, KIRIM_COAP_CONTENT },
    { { .code = 1, .options = { { 11, "a", 0 }, { 35, "coap://x", 0 } } },
      KIRIM_COAP_PROXYING_NOT_SUPPORTED },
    { { .code = 1, .options = { { 11, "a", 0 }, { 39, "http", 0 } } },
      KIRIM_COAP_PROXYING_NOT_SUPPORTED },
    { { .code = 1, .options = { { 11, "..", 0 } } }, KIRIM_COAP_BAD_REQUEST },
    { { .code = 1, .options = { { 11, "a", 0 }, { 17, NULL, 0 } } }, KIRIM_COAP_CONTENT },
    { { .code = 1, .options = { { 11, "a", 0 }, { 17, NULL, 50 } } }, KIRIM_COAP_NOT_ACCEPTABLE },
    { { .code = 1, .options = { { 11, "a", 0 }, { 23, NULL, 7 } } }, KIRIM_COAP_BAD_REQUEST },
    { { .code = 1, .options = { { 11, "a", 0 }, { 23, NULL, 0x10 } } }, KIRIM_COAP_BAD_REQUEST },
    { { .code = 2, .options = { { 11, "a", 0 }, { 27, NULL, 7 } } }, KIRIM_COAP_BAD_REQUEST },
    { { .code = 2, .options = { { 11, "a", 0 }, { 27, NULL, 0x10 } } }, KIRIM_COAP_INCOMPLETE },
    { { .code = 2, .options = { { 11, "a", 0 }, { 27, NULL, 0x08 } }, .payload = "short" },
      KIRIM_COAP_BAD_REQUEST },
    { { .code = 5, .options = { { 11, "a", 0 }, { 23, NULL, 0x10 } } }, KIRIM_COAP_INCOMPLETE },
};

START_TEST(requests_are_answered_or_refused)
{
    static struct thing no_get;
    struct kit_message message = requests[_i].message;
    begin();
    add_thing(&side, &no_get, "get", 0);
    no_get.resource.methods = KIRIM_COAP_METHOD(KIRIM_COAP_PUT);
    message.id = 77;
    message.token = "tok";
    kit_say(&side, &message);
    if (requests[_i].code != 0) {
        const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, requests[_i].code);
        ck_assert_uint_eq(m.id, 77);
        ck_assert_uint_eq(m.token_bytes, 3);
        ck_assert_int_eq(memcmp(m.token, "tok", 3), 0);
    }
    kit_expect_silence(&side);
    kit_close(&side);
}
END_TEST

START_TEST(a_request_that_comes_again_is_carried_out_once)
{
    const struct kit_message get = {
        .code = 1, .id = 5, .token = "t", .options = { { 11, "a", 0 } }
    };
    const struct kit_message non = {
        .type = 1, .code = 1, .id = 6, .token = "t", .options = { { 11, "a", 0 } }
    };
    struct kirim_coap_message first;
    begin();
    kit_say(&side, &get);
    first = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    thing.response.body = kirim_coap_span_text("something else");
    side.now_ns += 246 * SECOND;
    kit_say(&side, &get);
    first = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert(kirim_coap_span_equal(first.payload, kirim_coap_span_text("text")));
    ck_assert_uint_eq(thing.runs, 1);
    kit_say(&side, &non);
    const uint16_t id = kit_expect(&side, KIRIM_COAP_NON, KIRIM_COAP_CONTENT).id;
    kit_say(&side, &non);
    ck_assert_uint_eq(kit_expect(&side, KIRIM_COAP_NON, KIRIM_COAP_CONTENT).id, id);
    ck_assert_uint_eq(thing.runs, 2);
    side.now_ns += 248 * SECOND; /* its life is over: it is another one */
    kit_say(&side, &get);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert_uint_eq(thing.runs, 3);
    ck_assert_uint_eq(side.node.stats.repeated, 2);
    kit_close(&side);
}
END_TEST

/* ---- later answers --------------------------------------------------------------------------- */

START_TEST(a_quick_answer_goes_with_the_acknowledgement)
{
    const struct kit_message get = {
        .code = 1, .id = 5, .token = "t", .options = { { 11, "a", 0 } }
    };
    begin();
    const struct kirim_coap_response answer = thing.response;
    thing.response.is_deferred = true;
    kit_say(&side, &get);
    kit_expect_silence(&side);
    kit_say(&side, &get); /* it comes again meanwhile */
    kit_expect_silence(&side);
    ck_assert_int_eq(kirim_coap_respond(&side.node, thing.deferral, &answer, side.now_ns), 0);
    ck_assert_uint_eq(kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT).id, 5);
    ck_assert_int_eq(kirim_coap_respond(&side.node, thing.deferral, &answer, side.now_ns),
                     KIRIM_ENOENT);
    kit_say(&side, &get);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert_uint_eq(thing.runs, 1);
    kit_close(&side);
}
END_TEST

START_TEST(a_late_answer_is_a_message_of_its_own)
{
    const struct kit_message get = {
        .code = 1, .id = 5, .token = "t", .options = { { 11, "a", 0 } }
    };
    begin();
    const struct kirim_coap_response answer = thing.response;
    thing.response.is_deferred = true;
    kit_say(&side, &get);
    ck_assert(kit_tick(&side, 10 * SECOND));
    ck_assert_uint_eq(side.now_ns, 2 * SECOND);
    ck_assert_uint_eq(kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY).id, 5);
    kit_say(&side, &get);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY);
    side.now_ns += SECOND;
    ck_assert_int_eq(kirim_coap_respond(&side.node, thing.deferral, &answer, side.now_ns), 0);
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT);
    const uint16_t id = m.id;
    ck_assert(m.token_bytes == 1 && m.token[0] == 't');
    ck_assert(kit_tick(&side, 100 * SECOND)); /* sent again, with the same id */
    ck_assert_uint_eq(kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT).id, id);
    const struct kit_message ack = { .type = KIRIM_COAP_ACK, .id = id };
    kit_say(&side, &ack);
    ck_assert(!kit_tick(&side, 1000 * SECOND));
    kit_expect_silence(&side);
    kit_close(&side);
}
END_TEST

START_TEST(no_two_requests_are_put_off_under_one_number)
{
    const struct kit_message get = {
        .type = 1, .code = 1, .id = 5, .token = "t", .options = { { 11, "a", 0 } }
    };
    uint8_t wire[KIT_WIRE_MAX];
    begin();
    const struct kirim_coap_response answer = thing.response;
    thing.response.is_deferred = true;
    kit_give(&side, wire, kit_write(&get, wire), true); /* a group's request is not put off */
    const uint64_t first = thing.deferral;
    ck_assert_uint_eq(first, 0); /* as the resource is told */
    const struct kit_message next = {
        .code = 1, .id = 7, .token = "u", .options = { { 11, "a", 0 } }
    };
    kit_say(&side, &next);
    ck_assert_uint_eq(thing.runs, 2);
    ck_assert_int_eq(kirim_coap_respond(&side.node, first, &answer, side.now_ns), KIRIM_ENOENT);
    kit_expect_silence(&side); /* not to somebody else's request */
    ck_assert_int_eq(kirim_coap_respond(&side.node, thing.deferral, &answer, side.now_ns), 0);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    kit_close(&side);
}
END_TEST

/* A peer of another address, that is not validated. */
static void open_stranger(struct kirim_coap_peer *peer, struct kit_message *get, uint8_t *wire,
                          struct kirim_coap_arrival *arrival)
{
    ck_assert_int_eq(kirim_addr_parse("198.51.100.1:1", &arrival->from), KIRIM_OK);
    kirim_coap_peer_init(peer, &side.node, &arrival->from);
    kirim_coap_peer_ready(peer, side.now_ns);
    *get = (struct kit_message){ .code = 1, .token = "x", .options = { { 11, "a", 0 } } };
    arrival->wire = (struct kirim_coap_span){ wire, kit_write(get, wire) };
}

START_TEST(strangers_do_not_make_others_run_twice)
{
    static struct kirim_coap_peer stranger;
    struct kirim_coap_arrival arrival = { .is_group = false };
    struct kit_message get;
    uint8_t wire[KIT_WIRE_MAX];
    const struct kit_message post = { .code = 2, .id = 5, .options = { { 11, "a", 0 } } };
    begin();
    kit_say(&side, &post);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    open_stranger(&stranger, &get, wire, &arrival);
    for (unsigned i = 0; i < 3000; i++) {
        wire[2] = (uint8_t)(i >> 8);
        wire[3] = (uint8_t)i;
        kirim_coap_peer_input(&stranger, &arrival, side.now_ns);
        side.count = 0;
    }
    ck_assert_uint_eq(thing.runs, 3001);
    kit_say(&side, &post);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert_uint_eq(thing.runs, 3001);
    /* What a peer asked before it was validated is known behind that too. */
    stranger.is_validated = true;
    kirim_coap_peer_input(&stranger, &arrival, side.now_ns);
    ck_assert_uint_eq(thing.runs, 3001);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    kirim_coap_peer_fini(&stranger, KIRIM_EABORTED);
    kit_close(&side);
}
END_TEST

START_TEST(strangers_leave_room_for_others)
{
    static struct kirim_coap_peer stranger;
    struct kirim_coap_arrival arrival = { .is_group = false };
    struct kit_message get;
    uint8_t wire[KIT_WIRE_MAX];
    begin();
    const struct kirim_coap_response answer = thing.response;
    const uint32_t deferrals = side.node.options.deferral_count_max;
    const uint32_t pending = side.node.options.pending_count_max;
    open_stranger(&stranger, &get, wire, &arrival);
    for (unsigned i = 0; i < 1000; i++) { /* it never acknowledges: all but one wait */
        thing.response.is_deferred = true;
        wire[2] = (uint8_t)(i >> 8);
        wire[3] = (uint8_t)i;
        kirim_coap_peer_input(&stranger, &arrival, side.now_ns);
        ck_assert_uint_le(side.node.deferral_count, deferrals / 2);
        if (i % 8 == 7) {
            kirim_coap_peer_expire(&stranger, side.now_ns + 2 * SECOND);
            for (uint64_t id = thing.deferral - 7; id <= thing.deferral; id++) {
                (void)kirim_coap_respond(&side.node, id, &answer, side.now_ns);
            }
        }
        ck_assert_uint_le(side.node.pending_count, pending / 2);
        side.count = 0;
    }
    const struct kit_message mine = { .code = 1, .id = 5, .options = { { 11, "a", 0 } } };
    kit_say(&side, &mine);
    ck_assert(kit_tick(&side, 10 * SECOND));
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY);
    ck_assert_int_eq(kirim_coap_respond(&side.node, thing.deferral, &answer, side.now_ns), 0);
    (void)kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT);
    kirim_coap_peer_fini(&stranger, KIRIM_EABORTED);
    kit_close(&side);
}
END_TEST

START_TEST(who_never_acknowledges_is_given_up)
{
    const struct kit_message get = {
        .code = 1, .id = 5, .token = "t", .options = { { 11, "a", 0 } }
    };
    size_t count = 0;
    begin();
    const struct kirim_coap_response answer = thing.response;
    thing.response.is_deferred = true;
    kit_say(&side, &get);
    ck_assert(kit_tick(&side, 10 * SECOND));
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY);
    ck_assert_int_eq(kirim_coap_respond(&side.node, thing.deferral, &answer, side.now_ns), 0);
    const uint64_t start_ns = side.now_ns;
    uint64_t end_ns = 0;
    do {
        struct kirim_coap_message m;
        while (kit_take(&side, &m)) {
            count++;
        }
        end_ns = side.now_ns;
    } while (kit_tick(&side, 1000 * SECOND));
    ck_assert_uint_eq(count, 5);
    ck_assert(end_ns - start_ns >= 62 * SECOND && end_ns - start_ns <= 93 * SECOND);
    ck_assert_uint_eq(side.node.stats.timed_out, 1);
    kit_close(&side);
}
END_TEST

/* ---- bodies in blocks ------------------------------------------------------------------------ */

START_TEST(a_long_answer_goes_in_blocks)
{
    static uint8_t body[2500];
    struct kit_message get = { .code = 1, .id = 1, .options = { { 11, "a", 0 }, { 23, NULL, 0 } } };
    begin();
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 7 + i / 256);
    }
    thing.response.body = (struct kirim_coap_span){ body, sizeof body };
    get.options[1].number = 0;
    kit_say(&side, &get);
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    struct kirim_coap_fields f = kit_fields(&m);
    ck_assert_uint_eq(kirim_coap_block_value(f.block2), 0x0e);
    ck_assert_uint_eq(m.payload.bytes, 1024);
    ck_assert_uint_eq(f.size2, sizeof body);
    ck_assert_uint_eq(f.etag.bytes, 8);
    uint8_t etag[8];
    memcpy(etag, f.etag.data, 8);
    get.options[1].number = 23;
    size_t at = 0;
    for (uint32_t number = 0; at < sizeof body; number++) { /* in smaller ones */
        get.id++;
        get.options[1].value = number << 4 | 4;
        kit_say(&side, &get);
        m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
        f = kit_fields(&m);
        ck_assert_uint_eq(f.block2.number, number);
        ck_assert_uint_eq(f.block2.szx, 4);
        ck_assert(f.block2.has_more == (at + 256 < sizeof body));
        ck_assert_int_eq(memcmp(m.payload.data, body + at, m.payload.bytes), 0);
        ck_assert_int_eq(memcmp(f.etag.data, etag, 8), 0);
        at += m.payload.bytes;
    }
    ck_assert_uint_eq(at, sizeof body);
    get.id++;
    get.options[1].value = 10 << 4 | 4;
    kit_say(&side, &get);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_BAD_REQUEST);
    kit_close(&side);
}
END_TEST

/* Sends block `number` of a body of `body_bytes`. */
static void say_block(struct kit_side *s, uint32_t number, uint8_t szx, size_t body_bytes,
                      uint16_t id)
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
    kit_say(s, &put);
}

START_TEST(a_long_request_comes_in_blocks)
{
    begin();
    thing.response = (struct kirim_coap_response){ .code = KIRIM_COAP_CHANGED,
                                                   .content_format = KIRIM_COAP_FORMAT_NONE,
                                                   .max_age_s = KIRIM_COAP_MAX_AGE_S };
    say_block(&side, 0, 6, 2500, 1);
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTINUE);
    ck_assert_uint_eq(kirim_coap_block_value(kit_fields(&m).block1), 0x0e);
    say_block(&side, 2, 6, 2500, 2); /* one is missing */
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_INCOMPLETE);
    say_block(&side, 1, 6, 2500, 3);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTINUE);
    say_block(&side, 1, 6, 2500, 4); /* once more, in another message */
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTINUE);
    ck_assert_uint_eq(thing.runs, 0);
    say_block(&side, 2, 6, 2500, 5);
    m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CHANGED);
    ck_assert_uint_eq(kirim_coap_block_value(kit_fields(&m).block1), 0x26);
    ck_assert_uint_eq(thing.runs, 1);
    ck_assert_uint_eq(thing.body_bytes, 2500);
    for (size_t i = 0; i < 2500; i++) {
        ck_assert_uint_eq(thing.body[i], (uint8_t)(i * 3 + i / 256));
    }
    ck_assert_uint_eq(side.node.assembly_count, 0);
    kit_close(&side);
}
END_TEST

START_TEST(no_peer_has_all_the_room_for_bodies)
{
    struct kirim_coap_node_options options = KIRIM_COAP_NODE_OPTIONS_INIT;
    static const uint8_t block[1024];
    options.body_bytes_max = 4096;
    options.assembled_bytes_max = 8192;
    kit_open(&side, SERVER, CLIENT, &options);
    add_thing(&side, &thing, "a", 0);
    for (uint16_t i = 0; i < 12; i++) { /* bodies of three requests, block by block */
        static const char *const tags[] = { "x", "y", "z" };
        const struct kit_message put = { .code = KIRIM_COAP_PUT,
                                         .id = i,
                                         .options = { { 11, "a", 0 },
                                                      { 27, NULL, i / 3U << 4 | 0x0e },
                                                      { 292, tags[i % 3], 0 } },
                                         .payload = block,
                                         .payload_bytes = sizeof block };
        struct kirim_coap_message m;
        kit_say(&side, &put);
        ck_assert(kit_take(&side, &m));
        if (i == 0 || i == 1) { /* two small ones, or, later, a larger one */
            ck_assert_uint_eq(m.code, KIRIM_COAP_CONTINUE);
        }
    }
    ck_assert_uint_le(side.node.assembled_bytes, 4096);
    ck_assert_uint_gt(side.node.stats.full, 0);
    kit_close(&side);
}
END_TEST

START_TEST(bodies_are_bounded)
{
    struct kirim_coap_node_options options = KIRIM_COAP_NODE_OPTIONS_INIT;
    options.body_bytes_max = 2048;
    options.assembly_count_max = 1;
    options.peer_assembly_count_max = 1;
    kit_open(&side, SERVER, CLIENT, &options);
    add_thing(&side, &thing, "a", 0);
    static struct thing other;
    add_thing(&side, &other, "b", 0);
    say_block(&side, 0, 6, 2500, 1);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTINUE);
    static const uint8_t block[1024];
    const struct kit_message second = { .code = KIRIM_COAP_PUT,
                                        .id = 9,
                                        .options = { { 11, "b", 0 }, { 27, NULL, 0x0e } },
                                        .payload = block,
                                        .payload_bytes = sizeof block };
    kit_say(&side, &second); /* there is no room for a second one */
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_UNAVAILABLE);
    say_block(&side, 1, 6, 2500, 2);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTINUE);
    say_block(&side, 2, 6, 2500, 3);
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_TOO_LARGE);
    ck_assert_uint_eq(kit_fields(&m).size1, 2048);
    ck_assert_uint_eq(side.node.assembly_count, 0);
    say_block(&side, 0, 6, 2500, 4);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTINUE);
    ck_assert(!kit_tick(&side, side.now_ns + 246 * SECOND));
    ck_assert_uint_eq(side.node.assembly_count, 1);
    ck_assert(kit_tick(&side, side.now_ns + 2 * SECOND)); /* it has expired */
    ck_assert_uint_eq(side.node.assembly_count, 0);
    ck_assert_uint_eq(thing.runs, 0);
    const struct kit_message told = {
        .code = KIRIM_COAP_PUT,
        .id = 10,
        .options = { { 11, "b", 0 }, { 27, NULL, 0x0e }, { 60, NULL, 2049 } },
        .payload = block,
        .payload_bytes = sizeof block
    };
    kit_say(&side, &told); /* it says how long it will be */
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_TOO_LARGE);
    kit_close(&side);
}
END_TEST

START_TEST(a_long_answer_to_a_post_is_kept)
{
    static uint8_t body[1500];
    struct kit_message post = { .code = KIRIM_COAP_POST,
                                .id = 1,
                                .options = { { 11, "a", 0 }, { 23, NULL, 0x16 } } };
    begin();
    memset(body, 'x', sizeof body);
    thing.response.code = KIRIM_COAP_CHANGED;
    thing.response.body = (struct kirim_coap_span){ body, sizeof body };
    const struct kit_message first = {
        .code = KIRIM_COAP_POST, .id = 2, .options = { { 11, "a", 0 } }, .payload = "p"
    };
    kit_say(&side, &first);
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CHANGED);
    ck_assert_uint_eq(m.payload.bytes, 1024);
    kit_say(&side, &post);
    m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CHANGED);
    ck_assert_uint_eq(m.payload.bytes, 476);
    ck_assert_uint_eq(thing.runs, 1);
    kit_close(&side);
}
END_TEST

/* ---- conditions ------------------------------------------------------------------------------ */

START_TEST(who_has_the_present_state_is_told_so)
{
    const struct kit_message get = {
        .code = 1, .id = 5, .options = { { 4, "old", 0 }, { 4, "now", 0 }, { 11, "a", 0 } }
    };
    begin();
    thing.response.etag = kirim_coap_span_text("now");
    kit_say(&side, &get);
    const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_VALID);
    ck_assert_uint_eq(m.payload.bytes, 0);
    ck_assert(kirim_coap_span_equal(kit_fields(&m).etag, kirim_coap_span_text("now")));
    kit_close(&side);
}
END_TEST

static const struct {
    struct kit_option options[2];
    const char *etag;
    bool is_matching;
} conditions[] = {
    { { { 0, NULL, 0 } }, "e", true },
    { { { 0, NULL, 0 } }, "", true },
    { { { 1, "e", 0 } }, "e", true },
    { { { 1, "f", 0 } }, "e", false },
    { { { 1, "", 0 } }, "e", true },
    { { { 1, "", 0 } }, "", false },
    { { { 1, "f", 0 }, { 1, "e", 0 } }, "e", true },
    { { { 5, "", 0 } }, "e", false },
    { { { 5, "", 0 } }, "", true },
};

START_TEST(conditions_hold_or_not)
{
    uint8_t wire[KIT_WIRE_MAX];
    struct kit_message message = { .code = 3 };
    struct kirim_coap_message m;
    memcpy(message.options, conditions[_i].options, sizeof conditions[_i].options);
    const size_t bytes = kit_write(&message, wire);
    ck_assert_int_eq(kirim_coap_parse((struct kirim_coap_span){ wire, bytes }, &m), 0);
    const struct kirim_coap_fields fields = kit_fields(&m);
    const struct kirim_coap_request request = { .message = &m, .fields = &fields };
    ck_assert(kirim_coap_is_matching(&request, kirim_coap_span_text(conditions[_i].etag)) ==
              conditions[_i].is_matching);
}
END_TEST

/* Classes that are not wanted, the answer's code, and whether it is sent. */
static const struct {
    uint32_t value;
    uint8_t code;
    bool is_sent;
} wishes[] = {
    { 0, KIRIM_COAP_CONTENT, true },   { 2, KIRIM_COAP_CONTENT, false },
    { 2, KIRIM_COAP_NOT_FOUND, true }, { 8, KIRIM_COAP_NOT_FOUND, false },
    { 8, KIRIM_COAP_CONTENT, true },   { 16, KIRIM_COAP_UNAVAILABLE, false },
    { 26, KIRIM_COAP_CONTENT, false }, { 26, KIRIM_COAP_UNAVAILABLE, false },
};

START_TEST(who_does_not_want_an_answer_gets_none)
{
    struct kit_message message = { .type = KIRIM_COAP_NON,
                                   .code = 3,
                                   .id = 1,
                                   .options = { { 11, "a", 0 }, { 258, NULL, wishes[_i].value } } };
    begin();
    thing.response = (struct kirim_coap_response){ .code = wishes[_i].code,
                                                   .content_format = KIRIM_COAP_FORMAT_NONE };
    kit_say(&side, &message);
    if (wishes[_i].is_sent) {
        (void)kit_expect(&side, KIRIM_COAP_NON, wishes[_i].code);
    }
    kit_expect_silence(&side);
    message.type = KIRIM_COAP_CON;
    message.id = 2;
    kit_say(&side, &message);
    (void)kit_expect(&side, KIRIM_COAP_ACK, wishes[_i].is_sent ? wishes[_i].code : 0);
    kit_expect_silence(&side);
    kit_close(&side);
}
END_TEST

/* ---- who is there? --------------------------------------------------------------------------- */

START_TEST(who_may_not_be_there_gets_three_times_its_bytes)
{
    static uint8_t body[100];
    struct kit_message get = { .code = 1, .id = 1, .token = "t", .options = { { 11, "a", 0 } } };
    uint8_t wire[KIT_WIRE_MAX];
    begin();
    side.peer.is_validated = false;
    /* 4 + 1 + 2 bytes of request: 4 + 1 + 1 + 1 bytes of the answer's own, and 14 of its body. */
    thing.response.body = (struct kirim_coap_span){ body, 14 };
    kit_say(&side, &get);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    thing.response.body.bytes = 15;
    get.id++;
    kit_say(&side, &get);
    ck_assert_uint_eq(side.queue[0].bytes, 4 + 1 + 3 + 21);
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_UNAUTHORIZED);
    char echo[64] = "";
    struct kirim_coap_span span = kit_fields(&m).echo;
    ck_assert_uint_eq(span.bytes, 21);
    struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(wire, sizeof wire);
    const struct kirim_coap_message head = { .code = 1, .id = 99 };
    kirim_coap_write_header(&w, &head);
    kirim_coap_write_option(&w, 11, kirim_coap_span_text("a"));
    kirim_coap_write_option(&w, 252, span);
    memcpy(echo, span.data, span.bytes);
    ck_assert(!side.peer.is_validated);
    wire[w.bytes - 1] ^= 1; /* not quite */
    kit_give(&side, wire, w.bytes, false);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT); /* it was long enough for that */
    ck_assert_uint_eq(side.node.stats.echo_bad, 1);
    ck_assert(!side.peer.is_validated);
    wire[w.bytes - 1] ^= 1;
    wire[3]++;
    kit_give(&side, wire, w.bytes, false);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert(side.peer.is_validated);
    ck_assert_uint_eq(side.node.stats.echo_good, 1);
    side.peer.is_validated = false;
    side.now_ns += 62 * SECOND; /* too old */
    wire[3]++;
    kit_give(&side, wire, w.bytes, false);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert(!side.peer.is_validated);
    ck_assert_uint_eq(side.node.stats.echo_bad, 2);
    kit_close(&side);
}
END_TEST

START_TEST(what_was_done_is_told_in_few_bytes)
{
    static uint8_t body[100];
    const struct kit_message post = { .code = 2, .id = 1, .options = { { 11, "a", 0 } } };
    begin();
    side.peer.is_validated = false;
    thing.response.code = KIRIM_COAP_CHANGED;
    thing.response.body = (struct kirim_coap_span){ body, sizeof body };
    kit_say(&side, &post);
    const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CHANGED);
    ck_assert_uint_eq(m.payload.bytes, 0);
    ck_assert_uint_eq(thing.runs, 1);
    kit_close(&side);
}
END_TEST

START_TEST(strangers_hold_no_memory)
{
    static struct thing watched;
    begin();
    add_thing(&side, &watched, "w", KIRIM_COAP_OBSERVABLE);
    side.peer.is_validated = false;
    say_block(&side, 0, 6, 2500, 1);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_UNAUTHORIZED);
    ck_assert_uint_eq(side.node.assembly_count, 0);
    const struct kit_message get = { .code = 1,
                                     .id = 2,
                                     .options = { { 6, NULL, 0 }, { 11, "w", 0 } } };
    kit_say(&side, &get);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_UNAUTHORIZED);
    ck_assert_uint_eq(side.node.observer_count, 0);
    kit_close(&side);
}
END_TEST

START_TEST(what_acts_wants_a_fresh_request_each_time)
{
    static struct thing button;
    struct kit_message post = { .code = 2, .id = 1, .options = { { 11, "b", 0 } } };
    begin();
    add_thing(&side, &button, "b", KIRIM_COAP_FRESH);
    for (post.id = 1; post.id < 4; post.id++) {
        kit_say(&side, &post);
        (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_UNAUTHORIZED);
    }
    ck_assert_uint_eq(button.runs, 0);
    kit_close(&side);
}
END_TEST

/* ---- groups ---------------------------------------------------------------------------------- */

/* Gives a request that was sent to many. */
static void say_to_all(struct kit_side *s, const struct kit_message *message)
{
    uint8_t wire[KIT_WIRE_MAX];
    kit_give(s, wire, kit_write(message, wire), true);
}

START_TEST(a_group_answers_at_leisure_and_only_well)
{
    struct kit_message get = {
        .type = KIRIM_COAP_NON, .code = 1, .id = 1, .options = { { 11, "a", 0 } }
    };
    begin();
    say_to_all(&side, &get);
    kit_expect_silence(&side);
    const uint64_t asked_ns = side.now_ns;
    ck_assert(kit_tick(&side, asked_ns + 5 * SECOND));
    (void)kit_expect(&side, KIRIM_COAP_NON, KIRIM_COAP_CONTENT);
    ck_assert(side.now_ns > asked_ns);
    get.id = 2;
    get.options[0].text = "none";
    say_to_all(&side, &get); /* no errors, */
    get.id = 3;
    get.options[0].text = "a";
    thing.response.body.bytes = 0;
    say_to_all(&side, &get); /* nothing empty, */
    get.id = 4;
    get.type = KIRIM_COAP_CON;
    thing.response.body = kirim_coap_span_text("text");
    say_to_all(&side, &get); /* nothing to a CON, */
    ck_assert(!kit_tick(&side, side.now_ns + 100 * SECOND));
    kit_expect_silence(&side);
    get.type = KIRIM_COAP_NON;
    get.id = 5;
    get.options[0].text = "none";
    get.options[1] = (struct kit_option){ 258, NULL, 0 };
    say_to_all(&side, &get); /* unless all is wanted */
    ck_assert(kit_tick(&side, side.now_ns + 5 * SECOND));
    (void)kit_expect(&side, KIRIM_COAP_NON, KIRIM_COAP_NOT_FOUND);
    kit_close(&side);
}
END_TEST

/* ---- links ----------------------------------------------------------------------------------- */

static const struct {
    const char *query, *links;
} filters[] = {
    { NULL, "</a>,</s/t>;rt=\"temp x\";if=\"sensor\";ct=0,</s/u>;rt=\"light\";title=\"a;b\";obs" },
    { "rt=temp", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0" },
    { "rt=x", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0" },
    { "rt=tem*", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0" },
    { "rt=temp x", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0" },
    { "rt=*", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0,</s/u>;rt=\"light\";title=\"a;b\";obs" },
    { "title=a;b", "</s/u>;rt=\"light\";title=\"a;b\";obs" },
    { "ct=0", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0" },
    { "href=/s/u", "</s/u>;rt=\"light\";title=\"a;b\";obs" },
    { "href=/a*", "</a>" },
    { "rt=tem", "" },
    { "foo", "" },
    { "b=1", "" },
};

START_TEST(links_are_filtered)
{
    static struct thing t;
    static struct thing u;
    static struct thing hidden;
    struct kit_message get = { .code = 1,
                               .id = 1,
                               .options = { { 11, ".well-known", 0 }, { 11, "core", 0 } } };
    struct kirim_coap_resource core = kirim_coap_core_resource();
    begin();
    add_thing(&side, &t, "s/t", 0);
    add_thing(&side, &u, "s/u", KIRIM_COAP_OBSERVABLE);
    add_thing(&side, &hidden, "hidden", KIRIM_COAP_UNLISTED);
    t.resource.attributes = "rt=\"temp x\";if=\"sensor\";ct=0";
    u.resource.attributes = "rt=\"light\";title=\"a;b\"";
    ck_assert_int_eq(kirim_coap_resource_add(&side.node, &core), KIRIM_OK);
    if (filters[_i].query != NULL) {
        get.options[2] = (struct kit_option){ 15, filters[_i].query, 0 };
    }
    kit_say(&side, &get);
    const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert_uint_eq(kit_fields(&m).content_format, KIRIM_COAP_FORMAT_LINKS);
    ck_assert_uint_eq(m.payload.bytes, strlen(filters[_i].links));
    ck_assert(kirim_coap_span_equal(m.payload, kirim_coap_span_text(filters[_i].links)));
    kit_close(&side);
}
END_TEST

START_TEST(links_in_blocks_are_of_one_state)
{
    static struct thing t[3];
    struct kit_message get = { .code = 1,
                               .id = 1,
                               .options = {
                                   { 11, ".well-known", 0 }, { 11, "core", 0 }, { 23, NULL, 0 } } };
    struct kirim_coap_resource core = kirim_coap_core_resource();
    begin();
    add_thing(&side, &t[0], "long-name-0", 0);
    add_thing(&side, &t[1], "long-name-1", 0);
    add_thing(&side, &t[2], "long-name-2", 0);
    ck_assert_int_eq(kirim_coap_resource_add(&side.node, &core), KIRIM_OK);
    uint8_t etag[8];
    for (uint32_t i = 0; i < 3; i++) {
        get.id++;
        get.options[2].value = i << 4;
        if (i == 2) {
            kirim_coap_resource_remove(&side.node, &t[0].resource, side.now_ns);
        }
        kit_say(&side, &get);
        const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
        const struct kirim_coap_span tag = kit_fields(&m).etag;
        ck_assert_uint_eq(tag.bytes, sizeof etag);
        if (i > 0) {
            ck_assert_int_eq(memcmp(etag, tag.data, sizeof etag) == 0, i == 1);
        }
        memcpy(etag, tag.data, sizeof etag);
    }
    kit_close(&side);
}
END_TEST

START_TEST(an_answer_without_a_code_is_an_error)
{
    const struct kit_message get = { .code = 1,
                                     .id = 5,
                                     .options = { { 11, "a", 0 }, { 258, NULL, 2 } } };
    const struct kirim_coap_response nothing = { .content_format = KIRIM_COAP_FORMAT_NONE };
    begin();
    thing.response.is_deferred = true;
    kit_say(&side, &get);
    ck_assert_int_eq(kirim_coap_respond(&side.node, thing.deferral, &nothing, side.now_ns), 0);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_INTERNAL_ERROR);
    kit_close(&side);
}
END_TEST

START_TEST(resources_are_bounded_and_have_names_of_their_own)
{
    struct kirim_coap_node_options options = KIRIM_COAP_NODE_OPTIONS_INIT;
    static struct thing b;
    options.resource_count_max = 2;
    kit_open(&side, SERVER, CLIENT, &options);
    add_thing(&side, &thing, "a", 0);
    b = thing;
    ck_assert_int_eq(kirim_coap_resource_add(&side.node, &b.resource), KIRIM_EEXIST);
    b.resource.path = NULL;
    ck_assert_int_eq(kirim_coap_resource_add(&side.node, &b.resource), KIRIM_EINVAL);
    b.resource.path = "/host/path"; /* its link would be <//host/path>: elsewhere */
    ck_assert_int_eq(kirim_coap_resource_add(&side.node, &b.resource), KIRIM_EINVAL);
    b.resource.path = NULL;
    ck_assert_int_eq(kirim_coap_resource_add_default(&side.node, &b.resource), KIRIM_OK);
    static struct thing c;
    c = b;
    ck_assert_int_eq(kirim_coap_resource_add_default(&side.node, &c.resource), KIRIM_EEXIST);
    c.resource.path = "c";
    ck_assert_int_eq(kirim_coap_resource_add(&side.node, &c.resource), KIRIM_EWOULDBLOCK);
    kirim_coap_resource_remove(&side.node, &b.resource, side.now_ns);
    ck_assert_int_eq(kirim_coap_resource_add(&side.node, &c.resource), KIRIM_OK);
    ck_assert_ptr_eq(kirim_coap_resource_find(&side.node, "c"), &c.resource);
    ck_assert_ptr_null(kirim_coap_resource_find(&side.node, "b"));
    kit_close(&side);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { noise_is_reset_or_ignored, COUNT_OF(noises) },
        { requests_are_answered_or_refused, COUNT_OF(requests) },
        { a_request_that_comes_again_is_carried_out_once, 0 },
        { a_quick_answer_goes_with_the_acknowledgement, 0 },
        { a_late_answer_is_a_message_of_its_own, 0 },
        { no_two_requests_are_put_off_under_one_number, 0 },
        { strangers_do_not_make_others_run_twice, 0 },
        { strangers_leave_room_for_others, 0 },
        { who_never_acknowledges_is_given_up, 0 },
        { a_long_answer_goes_in_blocks, 0 },
        { a_long_request_comes_in_blocks, 0 },
        { no_peer_has_all_the_room_for_bodies, 0 },
        { bodies_are_bounded, 0 },
        { a_long_answer_to_a_post_is_kept, 0 },
        { who_has_the_present_state_is_told_so, 0 },
        { conditions_hold_or_not, COUNT_OF(conditions) },
        { who_does_not_want_an_answer_gets_none, COUNT_OF(wishes) },
        { who_may_not_be_there_gets_three_times_its_bytes, 0 },
        { what_was_done_is_told_in_few_bytes, 0 },
        { strangers_hold_no_memory, 0 },
        { what_acts_wants_a_fresh_request_each_time, 0 },
        { a_group_answers_at_leisure_and_only_well, 0 },
        { links_are_filtered, COUNT_OF(filters) },
        { links_in_blocks_are_of_one_state, 0 },
        { an_answer_without_a_code_is_an_error, 0 },
        { resources_are_bounded_and_have_names_of_their_own, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap server", claims);
}
