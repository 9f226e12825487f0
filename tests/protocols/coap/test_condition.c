/* SPDX-License-Identifier: MIT
 *
 * Claims about requests that are conditional: on an ETag, or on whether there is anything.
 */
#include "server_kit.h"

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

/* What a request with these conditions is answered by a resource with an ETag, or without. */
static const struct {
    const char *etag;
    uint32_t flags;
    uint8_t method;
    struct kit_option options[2];
    uint8_t code;
} conditionals[] = {
    { "now", 0, KIRIM_COAP_PUT, { { 0, NULL, 0 } }, KIRIM_COAP_CONTENT },
    { "now", 0, KIRIM_COAP_PUT, { { 1, "now", 0 } }, KIRIM_COAP_CONTENT },
    { "now", 0, KIRIM_COAP_PUT, { { 1, "old", 0 } }, KIRIM_COAP_PRECONDITION_FAILED },
    { "now", 0, KIRIM_COAP_PUT, { { 1, "old", 0 }, { 1, "now", 0 } }, KIRIM_COAP_CONTENT },
    { "now", 0, KIRIM_COAP_PUT, { { 1, "", 0 } }, KIRIM_COAP_CONTENT },
    { "now", 0, KIRIM_COAP_PUT, { { 5, "", 0 } }, KIRIM_COAP_PRECONDITION_FAILED },
    { "now", 0, KIRIM_COAP_PUT, { { 1, "now", 0 }, { 5, "", 0 } }, KIRIM_COAP_PRECONDITION_FAILED },
    { "now", 0, KIRIM_COAP_DELETE, { { 1, "old", 0 } }, KIRIM_COAP_PRECONDITION_FAILED },
    { "now", 0, KIRIM_COAP_POST, { { 1, "old", 0 } }, KIRIM_COAP_PRECONDITION_FAILED },
    { "now", 0, KIRIM_COAP_GET, { { 1, "old", 0 } }, KIRIM_COAP_PRECONDITION_FAILED },
    { "now", 0, KIRIM_COAP_GET, { { 5, "", 0 } }, KIRIM_COAP_PRECONDITION_FAILED },
    /* Of one that keeps none no ETag matches, but it is there. */
    { "", 0, KIRIM_COAP_POST, { { 1, "now", 0 } }, KIRIM_COAP_PRECONDITION_FAILED },
    { "", 0, KIRIM_COAP_POST, { { 1, "", 0 } }, KIRIM_COAP_CONTENT },
    { "", 0, KIRIM_COAP_POST, { { 5, "", 0 } }, KIRIM_COAP_PRECONDITION_FAILED },
    /* One that looks by itself is asked. */
    { "", KIRIM_COAP_CONDITIONS, KIRIM_COAP_PUT, { { 1, "now", 0 } }, KIRIM_COAP_CONTENT },
    { "now", KIRIM_COAP_CONDITIONS, KIRIM_COAP_PUT, { { 5, "", 0 } }, KIRIM_COAP_CONTENT },
    /* An ETag has eight bytes at the most; and If-None-Match none. */
    { "now", 0, KIRIM_COAP_PUT, { { 1, "123456789", 0 } }, KIRIM_COAP_BAD_OPTION },
    { "now", 0, KIRIM_COAP_PUT, { { 5, "x", 0 } }, KIRIM_COAP_BAD_OPTION },
};

START_TEST(conditions_are_held_before_a_resource_is_asked)
{
    struct kit_message message = { .code = conditionals[_i].method, .id = 1 };
    memcpy(message.options, conditionals[_i].options, sizeof conditionals[_i].options);
    size_t count = 0;
    while (message.options[count].number != 0) {
        count++;
    }
    message.options[count] = (struct kit_option){ 11, "a", 0 };
    begin();
    thing.resource.flags = conditionals[_i].flags;
    thing.resource.etag = kirim_coap_span_text(conditionals[_i].etag);
    kit_say(&side, &message);
    (void)kit_expect(&side, KIRIM_COAP_ACK, conditionals[_i].code);
    ck_assert_uint_eq(thing.runs, conditionals[_i].code == KIRIM_COAP_CONTENT ? 1 : 0);
    kit_close(&side);
}
END_TEST

START_TEST(the_resource_of_all_other_paths_knows_what_is_there)
{
    static struct thing others;
    struct kit_message put = {
        .code = 3, .id = 1, .options = { { 5, "", 0 }, { 11, "b", 0 } }, .payload = "x"
    };
    begin();
    add_thing(&side, &others, "x", 0);
    kirim_coap_resource_remove(&side.node, &others.resource, side.now_ns);
    ck_assert_int_eq(kirim_coap_resource_add_default(&side.node, &others.resource), KIRIM_OK);
    kit_say(&side, &put);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    put.id = 2;
    put.options[0] = (struct kit_option){ 1, "e", 0 };
    kit_say(&side, &put);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert_uint_eq(others.runs, 2);
    kit_close(&side);
}
END_TEST

START_TEST(a_condition_holds_until_the_last_block)
{
    struct kit_message put = { .code = 3,
                               .id = 1,
                               .options = { { 1, "now", 0 }, { 11, "a", 0 }, { 27, NULL, 8 } },
                               .payload = "0123456789abcdef" };
    begin();
    thing.resource.etag = kirim_coap_span_text("old");
    kit_say(&side, &put); /* the first block is refused already, */
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_PRECONDITION_FAILED);
    ck_assert_uint_eq(side.node.assembly_count, 0);
    thing.resource.etag = kirim_coap_span_text("now");
    put.id = 2;
    kit_say(&side, &put);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTINUE);
    ck_assert_uint_eq(side.node.assembly_count, 1);
    thing.resource.etag = kirim_coap_span_text("new"); /* or the last, if it changes meanwhile */
    put.id = 3;
    put.options[2].value = 1 << 4;
    kit_say(&side, &put);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_PRECONDITION_FAILED);
    ck_assert_uint_eq(side.node.assembly_count, 0);
    ck_assert_uint_eq(thing.runs, 0);
    kit_close(&side);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { who_has_the_present_state_is_told_so, 0 },
        { conditions_hold_or_not, COUNT_OF(conditions) },
        { conditions_are_held_before_a_resource_is_asked, COUNT_OF(conditionals) },
        { the_resource_of_all_other_paths_knows_what_is_there, 0 },
        { a_condition_holds_until_the_last_block, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap condition", claims);
}
