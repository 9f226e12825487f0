/* SPDX-License-Identifier: MIT
 *
 * Claims about peers that are not validated: what they get, and what they cannot take from others.
 */
#include "server_kit.h"

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

/* Whether the one who asks much is validated, and whether the other one is. */
static const struct {
    bool is_busy_validated, is_other_validated;
} pairs[] = { { true, true }, { true, false }, { false, true }, { false, false } };

START_TEST(who_asks_much_does_not_make_others_run_twice)
{
    static struct kirim_coap_peer other;
    struct kirim_coap_arrival arrival = { .is_group = false };
    struct kit_message get;
    uint8_t wire[KIT_WIRE_MAX];
    uint8_t busy[KIT_WIRE_MAX];
    begin();
    open_stranger(&other, &get, wire, &arrival);
    other.is_validated = pairs[_i].is_other_validated;
    side.peer.is_validated = pairs[_i].is_busy_validated;
    const size_t bytes = kit_write(&get, busy);
    for (unsigned i = 0; i < 2000; i++) {
        if (i == 1000) { /* when all has been taken */
            kirim_coap_peer_input(&other, &arrival, side.now_ns);
        }
        busy[2] = (uint8_t)(i >> 8);
        busy[3] = (uint8_t)i;
        kit_give(&side, busy, bytes, false);
        side.count = 0;
    }
    ck_assert_uint_eq(thing.runs, 2001);
    kirim_coap_peer_input(&other, &arrival, side.now_ns);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    kit_give(&side, busy, bytes, false); /* and the last one is known as well */
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert_uint_eq(thing.runs, 2001);
    ck_assert_uint_gt(side.node.duplicates.stats.displaced + side.node.strangers.stats.displaced,
                      1000);
    kirim_coap_peer_fini(&other, KIRIM_EABORTED);
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

/* Requests that are not confirmable, in the name of the side's peer, each with a message id of its
 * own; how many were answered. */
static size_t flood(struct kit_side *to, uint32_t first, uint32_t count)
{
    uint8_t wire[KIT_WIRE_MAX];
    const struct kit_message forged = {
        .type = KIRIM_COAP_NON, .code = 1, .token = "forged", .options = { { 11, "a", 0 } }
    };
    const size_t bytes = kit_write(&forged, wire);
    size_t answers = 0;
    for (uint32_t id = first; id < first + count; id++) {
        wire[2] = (uint8_t)(id >> 8);
        wire[3] = (uint8_t)id;
        kit_give(to, wire, bytes, false);
        answers += to->count;
        to->count = 0;
    }
    return answers;
}

START_TEST(forged_requests_leave_message_ids_for_what_matters)
{
    static struct thing watched;
    const struct kit_message watch = {
        .code = 1, .id = 9, .token = "w", .options = { { 6, NULL, 0 }, { 11, "w", 0 } }
    };
    struct kit_message get = { .code = 1, .id = 5, .token = "t", .options = { { 11, "a", 0 } } };
    begin();
    add_thing(&side, &watched, "w", KIRIM_COAP_OBSERVABLE);
    kit_say(&side, &watch);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert_uint_eq(flood(&side, 0, 33000), 32768); /* and then there is an end */
    ck_assert_uint_gt(side.node.stats.full, 0);
    kit_say(&side, &get); /* what is confirmable is answered at once, */
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    const struct kirim_coap_response answer = thing.response;
    thing.response.is_deferred = true;
    get.id = 6;
    kit_say(&side, &get); /* or later, */
    ck_assert(kit_tick(&side, side.now_ns + 10 * SECOND));
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY);
    ck_assert_int_eq(kirim_coap_respond(&side.node, thing.deferral, &answer, side.now_ns), 0);
    const struct kit_message ack = { .type = KIRIM_COAP_ACK,
                                     .id =
                                         kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT).id };
    kit_say(&side, &ack);
    kirim_coap_notify(&side.node, &watched.resource, side.now_ns); /* and observers are told */
    kirim_coap_peer_expire(&side.peer, side.now_ns);
    (void)kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT);
    kit_close(&side);
}
END_TEST

START_TEST(forged_requests_are_not_taken_for_those_of_the_peer)
{
    enum { COUNT = 500 }; /* all of which are remembered */
    struct kit_message post = { .code = 2, .token = "mine", .options = { { 11, "a", 0 } } };
    begin();
    thing.response.code = KIRIM_COAP_CHANGED;
    ck_assert_uint_eq(flood(&side, 1000, COUNT), COUNT);
    const size_t runs = thing.runs;
    for (post.id = 1000; post.id < 1000 + COUNT; post.id++) {
        kit_say(&side, &post);
        const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CHANGED);
        ck_assert_uint_eq(m.id, post.id);
        ck_assert(m.token_bytes == 4 && memcmp(m.token, "mine", 4) == 0);
    }
    ck_assert_uint_eq(thing.runs, runs + COUNT);
    post.id--;
    kit_say(&side, &post); /* and that is known when it comes again */
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CHANGED);
    ck_assert_uint_eq(thing.runs, runs + COUNT);
    kit_close(&side);
}
END_TEST

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

int main(void)
{
    const struct kit_claim claims[] = {
        { strangers_do_not_make_others_run_twice, 0 },
        { who_asks_much_does_not_make_others_run_twice, COUNT_OF(pairs) },
        { strangers_leave_room_for_others, 0 },
        { forged_requests_leave_message_ids_for_what_matters, 0 },
        { forged_requests_are_not_taken_for_those_of_the_peer, 0 },
        { who_may_not_be_there_gets_three_times_its_bytes, 0 },
        { what_was_done_is_told_in_few_bytes, 0 },
        { strangers_hold_no_memory, 0 },
        { what_acts_wants_a_fresh_request_each_time, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap stranger", claims);
}
