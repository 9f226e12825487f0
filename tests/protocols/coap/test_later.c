/* SPDX-License-Identifier: MIT
 *
 * Claims about answers that come later than their requests.
 */
#include "server_kit.h"

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

int main(void)
{
    const struct kit_claim claims[] = {
        { a_quick_answer_goes_with_the_acknowledgement, 0 },
        { a_late_answer_is_a_message_of_its_own, 0 },
        { no_two_requests_are_put_off_under_one_number, 0 },
        { who_never_acknowledges_is_given_up, 0 },
        { an_answer_without_a_code_is_an_error, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap later", claims);
}
