/* SPDX-License-Identifier: MIT
 *
 * Claims about the server: what becomes of requests, each message by itself.
 */
#include "server_kit.h"

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
        { who_does_not_want_an_answer_gets_none, COUNT_OF(wishes) },
        { a_group_answers_at_leisure_and_only_well, 0 },
        { resources_are_bounded_and_have_names_of_their_own, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap server", claims);
}
