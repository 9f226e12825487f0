/* SPDX-License-Identifier: MIT
 *
 * Claims about the server and bodies in blocks, both ways.
 */
#include "server_kit.h"

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

int main(void)
{
    const struct kit_claim claims[] = {
        { a_long_answer_goes_in_blocks, 0 },        { a_long_request_comes_in_blocks, 0 },
        { no_peer_has_all_the_room_for_bodies, 0 }, { bodies_are_bounded, 0 },
        { a_long_answer_to_a_post_is_kept, 0 },     { NULL, 0 },
    };
    return kit_main("protocols/coap block", claims);
}
