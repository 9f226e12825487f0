/* SPDX-License-Identifier: MIT
 *
 * Claims about formats: which of them a resource takes, which it gives, and options that have to be
 * understood.
 */
#include "server_kit.h"

enum { CONTENT_FORMAT = KIRIM_COAP_CONTENT_FORMAT, REFUSED = KIRIM_COAP_UNSUPPORTED_FORMAT };

static const uint16_t taken[] = { KIRIM_COAP_FORMAT_TEXT, KIRIM_COAP_FORMAT_JSON, 65535 };

static void begin_with_formats(size_t count)
{
    begin();
    thing.resource.formats = taken;
    thing.resource.format_count = count;
}

/* Of a resource that takes the first so many of `taken`: what a method with a format is answered.
 */
static const struct {
    size_t count;
    uint8_t method;
    struct kit_option format;
    uint8_t code;
} bodies[] = {
    { 2, KIRIM_COAP_PUT, { CONTENT_FORMAT, NULL, 0 }, KIRIM_COAP_CONTENT },
    { 2, KIRIM_COAP_PUT, { CONTENT_FORMAT, NULL, 50 }, KIRIM_COAP_CONTENT },
    { 2, KIRIM_COAP_PUT, { CONTENT_FORMAT, NULL, 42 }, REFUSED },
    { 2, KIRIM_COAP_PUT, { CONTENT_FORMAT, NULL, 65535 }, REFUSED },
    { 3, KIRIM_COAP_PUT, { CONTENT_FORMAT, NULL, 65535 }, KIRIM_COAP_CONTENT },
    { 2, KIRIM_COAP_POST, { CONTENT_FORMAT, NULL, 42 }, REFUSED },
    { 2, KIRIM_COAP_FETCH, { CONTENT_FORMAT, NULL, 42 }, REFUSED },
    { 2, KIRIM_COAP_PATCH, { CONTENT_FORMAT, NULL, 42 }, REFUSED },
    { 2, KIRIM_COAP_IPATCH, { CONTENT_FORMAT, NULL, 42 }, REFUSED },
    { 2, KIRIM_COAP_GET, { CONTENT_FORMAT, NULL, 42 }, KIRIM_COAP_CONTENT },
    { 2, KIRIM_COAP_DELETE, { CONTENT_FORMAT, NULL, 42 }, KIRIM_COAP_CONTENT },
    { 2, KIRIM_COAP_PUT, { 0, NULL, 0 }, KIRIM_COAP_CONTENT },                  /* says nothing */
    { 2, KIRIM_COAP_PUT, { CONTENT_FORMAT, "\1\2\3", 0 }, KIRIM_COAP_CONTENT }, /* nor does this */
    { 0, KIRIM_COAP_PUT, { CONTENT_FORMAT, NULL, 0 }, REFUSED },
    { 0, KIRIM_COAP_PUT, { 0, NULL, 0 }, KIRIM_COAP_CONTENT },
};

START_TEST(a_body_is_of_a_format_that_is_taken)
{
    const struct kit_message message = { .code = bodies[_i].method,
                                         .id = 1,
                                         .options = { { 11, "a", 0 }, bodies[_i].format },
                                         .payload = "x" };
    begin_with_formats(bodies[_i].count);
    kit_say(&side, &message);
    (void)kit_expect(&side, KIRIM_COAP_ACK, bodies[_i].code);
    ck_assert_uint_eq(thing.runs, bodies[_i].code == REFUSED ? 0 : 1);
    ck_assert_uint_eq(side.node.stats.refused, bodies[_i].code == REFUSED ? 1 : 0);
    kit_close(&side);
}
END_TEST

START_TEST(a_resource_that_names_no_formats_takes_all)
{
    struct kit_message put = { .code = 3,
                               .options = { { 11, "a", 0 }, { CONTENT_FORMAT, NULL, 0 } },
                               .payload = "x" };
    begin();
    for (put.id = 1; put.id <= 20; put.id++) {
        put.options[1].value = put.id * 3001U;
        kit_say(&side, &put);
        (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    }
    ck_assert_uint_eq(thing.runs, 20);
    kit_close(&side);
}
END_TEST

/* Sends a block of 16 bytes with a format, and says what it is answered. */
static uint8_t say_formatted(uint16_t id, uint32_t number, bool has_more, uint32_t format)
{
    const struct kit_message put = { .code = KIRIM_COAP_PUT,
                                     .id = id,
                                     .options = { { 11, "a", 0 },
                                                  { CONTENT_FORMAT, NULL, format },
                                                  { 27, NULL, number << 4 | (has_more ? 8 : 0) } },
                                     .payload = "0123456789abcdef" };
    struct kirim_coap_message m;
    kit_say(&side, &put);
    ck_assert(kit_take(&side, &m));
    return m.code;
}

START_TEST(the_first_block_tells_the_format_of_all)
{
    begin_with_formats(2);
    side.peer.is_validated = false; /* nor is anybody asked for an Echo in vain */
    ck_assert_uint_eq(say_formatted(1, 0, true, 42), REFUSED);
    side.peer.is_validated = true;
    ck_assert_uint_eq(say_formatted(2, 0, true, 42), REFUSED);
    ck_assert_uint_eq(side.node.assembly_count, 0);
    ck_assert_uint_eq(say_formatted(3, 1, true, 42), KIRIM_COAP_INCOMPLETE);
    ck_assert_uint_eq(say_formatted(4, 0, true, 50), KIRIM_COAP_CONTINUE);
    ck_assert_uint_eq(side.node.assembly_count, 1);
    ck_assert_uint_eq(say_formatted(5, 1, true, 0), KIRIM_COAP_INCOMPLETE);  /* it is another, */
    ck_assert_uint_eq(say_formatted(6, 1, true, 42), KIRIM_COAP_INCOMPLETE); /* taken or not */
    ck_assert_uint_eq(say_formatted(7, 1, true, 50), KIRIM_COAP_CONTINUE);
    ck_assert_uint_eq(thing.runs, 0);
    ck_assert_uint_eq(say_formatted(8, 2, false, 50), KIRIM_COAP_CONTENT);
    ck_assert_uint_eq(thing.runs, 1);
    ck_assert_uint_eq(thing.body_bytes, 48);
    kit_close(&side);
}
END_TEST

START_TEST(what_acts_says_first_that_it_does_not_take_it)
{
    const struct kit_message post = { .code = 2,
                                      .id = 1,
                                      .options = { { 11, "a", 0 }, { CONTENT_FORMAT, NULL, 42 } } };
    begin_with_formats(2);
    thing.resource.flags = KIRIM_COAP_FRESH;
    kit_say(&side, &post);
    (void)kit_expect(&side, KIRIM_COAP_ACK, REFUSED);
    kit_close(&side);
}
END_TEST

/* What is answered with text, where it is asked for with Accept. */
static const struct {
    uint8_t method;
    struct kit_option options[2];
    uint8_t code;
} wants[] = {
    { KIRIM_COAP_GET, { { 17, NULL, 0 } }, KIRIM_COAP_CONTENT },
    { KIRIM_COAP_GET, { { 17, NULL, 40 } }, KIRIM_COAP_NOT_ACCEPTABLE },
    { KIRIM_COAP_GET, { { 17, NULL, 65535 } }, KIRIM_COAP_NOT_ACCEPTABLE },
    { KIRIM_COAP_FETCH, { { 17, NULL, 40 } }, KIRIM_COAP_NOT_ACCEPTABLE },
    { KIRIM_COAP_POST, { { 17, NULL, 40 } }, KIRIM_COAP_CONTENT }, /* it was carried out */
    /* Accept is critical: there once, and two bytes long at the most. */
    { KIRIM_COAP_GET, { { 17, NULL, 0 }, { 17, NULL, 40 } }, KIRIM_COAP_BAD_OPTION },
    { KIRIM_COAP_GET, { { 17, "\1\2\3", 0 } }, KIRIM_COAP_BAD_OPTION },
    { KIRIM_COAP_GET, { { 15, "q", 0 }, { 15, "q", 0 } }, KIRIM_COAP_CONTENT },
    { KIRIM_COAP_GET, { { 2049, "x", 0 } }, KIRIM_COAP_BAD_OPTION }, /* odd: critical */
    { KIRIM_COAP_GET, { { 2050, "x", 0 } }, KIRIM_COAP_CONTENT },
};

START_TEST(what_has_to_be_understood_is_or_is_refused)
{
    struct kit_message message = { .code = wants[_i].method,
                                   .id = 1,
                                   .options = { { 11, "a", 0 } } };
    memcpy(message.options + 1, wants[_i].options, sizeof wants[_i].options);
    begin();
    kit_say(&side, &message);
    (void)kit_expect(&side, KIRIM_COAP_ACK, wants[_i].code);
    message.type = KIRIM_COAP_NON;
    message.id = 2;
    kit_say(&side, &message);
    if (wants[_i].code != KIRIM_COAP_BAD_OPTION) {
        (void)kit_expect(&side, KIRIM_COAP_NON, wants[_i].code);
    }
    kit_expect_silence(&side); /* not even that, of what is not confirmable */
    kit_close(&side);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { a_body_is_of_a_format_that_is_taken, COUNT_OF(bodies) },
        { a_resource_that_names_no_formats_takes_all, 0 },
        { the_first_block_tells_the_format_of_all, 0 },
        { what_acts_says_first_that_it_does_not_take_it, 0 },
        { what_has_to_be_understood_is_or_is_refused, COUNT_OF(wants) },
        { NULL, 0 },
    };
    return kit_main("protocols/coap format", claims);
}
