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

int main(void)
{
    const struct kit_claim claims[] = {
        { who_has_the_present_state_is_told_so, 0 },
        { conditions_hold_or_not, COUNT_OF(conditions) },
        { NULL, 0 },
    };
    return kit_main("protocols/coap condition", claims);
}
