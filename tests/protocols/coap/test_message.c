/* SPDX-License-Identifier: MIT
 *
 * Claims about messages on the wire, mostly by tables of bytes.
 */
#include "kit.h"

#define BYTES(text) text, sizeof(text) - 1

/* Bytes, and what kirim_coap_parse() says. */
static const struct {
    const char *wire;
    size_t bytes;
    int result;
    uint8_t type, code, token_bytes;
    size_t option_count, payload_bytes;
} cases[] = {
    { BYTES(""), KIRIM_COAP_NO_COAP, 0, 0, 0, 0, 0 },
    { BYTES("\x40\x00\x00"), KIRIM_COAP_NO_COAP, 0, 0, 0, 0, 0 },
    { BYTES("\x00\x01\x00\x01"), KIRIM_COAP_NO_COAP, 0, 0, 0, 0, 0 },
    { BYTES("\x80\x01\x00\x01"), KIRIM_COAP_NO_COAP, 0, 0, 0, 0, 0 },
    { BYTES("\xc0\x01\x00\x01"), KIRIM_COAP_NO_COAP, 0, 0, 0, 0, 0 },
    { BYTES("\x40\x00\x12\x34"), KIRIM_COAP_PARSED, 0, 0, 0, 0, 0 },
    { BYTES("\x70\x00\x12\x34"), KIRIM_COAP_PARSED, 3, 0, 0, 0, 0 },
    { BYTES("\x40\x01\x12\x34"), KIRIM_COAP_PARSED, 0, 1, 0, 0, 0 },
    { BYTES("\x52\x45\x12\x34\xaa\xbb"), KIRIM_COAP_PARSED, 1, 69, 2, 0, 0 },
    { BYTES("\x48\x01\x12\x34"
            "12345678"),
      KIRIM_COAP_PARSED, 0, 1, 8, 0, 0 },
    /* an empty message is four bytes long */
    { BYTES("\x40\x00\x12\x34\xff"), KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x41\x00\x12\x34\x01"), KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    /* tokens that are too long, or cut */
    { BYTES("\x49\x01\x12\x34"
            "123456789"),
      KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x4f\x01\x12\x34"
            "123456789012345"),
      KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x42\x01\x12\x34\x01"), KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    /* a marker announces a payload */
    { BYTES("\x40\x02\x12\x34\xff"), KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x40\x02\x12\x34\xff\xff"), KIRIM_COAP_PARSED, 0, 2, 0, 0, 1 },
    { BYTES("\x40\x02\x12\x34\xb1"
            "a\xff"
            "b"),
      KIRIM_COAP_PARSED, 0, 2, 0, 1, 1 },
    /* nibbles of 15, extensions that are missing, values that are cut */
    { BYTES("\x40\x01\x12\x34\xf0"), KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x40\x01\x12\x34\x0f"), KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x40\x01\x12\x34\xd0"), KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x40\x01\x12\x34\xe0\x00"), KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x40\x01\x12\x34\x1d"), KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x40\x01\x12\x34\xb2"
            "a"),
      KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x40\x01\x12\x34\xb1"
            "a\xb1"),
      KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x40\x01\x12\x34\xe0\xfe\xf2"), KIRIM_COAP_PARSED, 0, 1, 0, 1, 0 }, /* 65535 */
    { BYTES("\x40\x01\x12\x34\xe0\xfe\xf3"), KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
    { BYTES("\x40\x01\x12\x34\xe0\xfe\xf2\x10"), KIRIM_COAP_MALFORMED, 0, 0, 0, 0, 0 },
};

START_TEST(bytes_are_a_message_or_not)
{
    const struct kirim_coap_span wire = { (const uint8_t *)cases[_i].wire, cases[_i].bytes };
    struct kirim_coap_message m;
    const int result = kirim_coap_parse(wire, &m);
    ck_assert_int_eq(result, cases[_i].result);
    if (result != KIRIM_COAP_NO_COAP) {
        ck_assert_uint_eq(m.type, wire.data[0] >> 4 & 3);
        ck_assert_uint_eq(m.id, (uint16_t)(wire.data[2] << 8 | wire.data[3]));
    }
    if (result != KIRIM_COAP_PARSED) {
        return;
    }
    struct kirim_coap_walk walk = KIRIM_COAP_WALK_INIT(&m);
    struct kirim_coap_option option;
    size_t count = 0;
    while (kirim_coap_walk_next(&walk, &option)) {
        count++;
    }
    ck_assert_uint_eq(m.type, cases[_i].type);
    ck_assert_uint_eq(m.code, cases[_i].code);
    ck_assert_uint_eq(m.token_bytes, cases[_i].token_bytes);
    ck_assert_uint_eq(count, cases[_i].option_count);
    ck_assert_uint_eq(m.payload.bytes, cases[_i].payload_bytes);
}
END_TEST

/* Numbers and lengths around the borders of the encoding. */
static const uint32_t borders[] = { 0, 1, 12, 13, 14, 268, 269, 270, 1034 };

START_TEST(what_is_written_is_read_again)
{
    static const uint8_t filler[2048];
    uint8_t wire[16384];
    struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(wire, sizeof wire);
    struct kirim_coap_message m = { .type = 1, .code = 2, .id = 3, .token_bytes = 1 };
    struct kirim_coap_option option;
    uint16_t number = 0;
    kirim_coap_write_header(&w, &m);
    for (size_t i = 0; i < COUNT_OF(borders); i++) {
        number = (uint16_t)(number + borders[i]);
        kirim_coap_write_option(&w, number, (struct kirim_coap_span){ filler, borders[_i] });
    }
    kirim_coap_write_payload(&w, (struct kirim_coap_span){ filler, 5 });
    ck_assert(!w.has_failed);
    ck_assert_int_eq(kirim_coap_parse((struct kirim_coap_span){ wire, w.bytes }, &m), 0);
    struct kirim_coap_walk walk = KIRIM_COAP_WALK_INIT(&m);
    number = 0;
    for (size_t i = 0; i < COUNT_OF(borders); i++) {
        number = (uint16_t)(number + borders[i]);
        ck_assert(kirim_coap_walk_next(&walk, &option));
        ck_assert_uint_eq(option.number, number);
        ck_assert_uint_eq(option.value.bytes, borders[_i]);
    }
    ck_assert(!kirim_coap_walk_next(&walk, &option));
    ck_assert_uint_eq(m.payload.bytes, 5);
}
END_TEST

START_TEST(a_writer_never_passes_its_room)
{
    uint8_t wire[64];
    const struct kirim_coap_message m = { .type = 0, .code = 1, .id = 9, .token_bytes = 4 };
    for (size_t room = 0; room < sizeof wire; room++) {
        struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(wire, room);
        memset(wire, 0x5a, sizeof wire);
        kirim_coap_write_header(&w, &m);
        kirim_coap_write_number(&w, KIRIM_COAP_OBSERVE, 0x123456);
        kirim_coap_write_option(&w, KIRIM_COAP_URI_PATH, kirim_coap_span_text("a path"));
        kirim_coap_write_payload(&w, kirim_coap_span_text("payload"));
        ck_assert_uint_le(w.bytes, room);
        ck_assert(w.has_failed == (room < 27));
        for (size_t i = room; i < sizeof wire; i++) {
            ck_assert_uint_eq(wire[i], 0x5a);
        }
    }
}
END_TEST

START_TEST(options_in_the_wrong_order_are_refused)
{
    uint8_t wire[64];
    struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(wire, sizeof wire);
    kirim_coap_write_number(&w, KIRIM_COAP_URI_QUERY, 1);
    kirim_coap_write_number(&w, KIRIM_COAP_URI_PATH, 1);
    ck_assert(w.has_failed);
}
END_TEST

START_TEST(numbers_take_as_few_bytes_as_they_need)
{
    static const struct {
        uint32_t value;
        size_t bytes;
    } numbers[] = { { 0, 0 },     { 1, 1 },        { 255, 1 },       { 256, 2 },       { 65535, 2 },
                    { 65536, 3 }, { 0xffffff, 3 }, { 0x1000000, 4 }, { UINT32_MAX, 4 } };
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        uint8_t wire[16];
        struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(wire, sizeof wire);
        kirim_coap_write_number(&w, 1, numbers[i].value);
        ck_assert_uint_eq(w.bytes, numbers[i].bytes + 1);
        const struct kirim_coap_span value = { wire + 1, w.bytes - 1 };
        ck_assert_uint_eq(kirim_coap_value_number(value), numbers[i].value);
    }
}
END_TEST

START_TEST(blocks_have_a_number_a_flag_and_a_size)
{
    for (uint32_t value = 0; value < 1 << 12; value++) {
        ck_assert_uint_eq(kirim_coap_block_value(kirim_coap_block_read(value)), value);
    }
    const struct kirim_coap_block block = kirim_coap_block_read(0xfffffe);
    ck_assert_uint_eq(block.number, 0xfffff);
    ck_assert(block.has_more);
    ck_assert_uint_eq(block.szx, 6);
    ck_assert_uint_eq(kirim_coap_block_bytes(0), 16);
    ck_assert_uint_eq(kirim_coap_block_bytes(6), 1024);
    ck_assert_uint_eq(kirim_coap_block_szx(0), 0);
    ck_assert_uint_eq(kirim_coap_block_szx(31), 0);
    ck_assert_uint_eq(kirim_coap_block_szx(32), 1);
    ck_assert_uint_eq(kirim_coap_block_szx(1023), 5);
    ck_assert_uint_eq(kirim_coap_block_szx(100000), 6);
}
END_TEST

START_TEST(codes_have_texts)
{
    char text[KIRIM_COAP_CODE_TEXT_BYTES];
    kirim_coap_code_text(KIRIM_COAP_NOT_FOUND, text);
    ck_assert_str_eq(text, "4.04");
    kirim_coap_code_text(255, text);
    ck_assert_str_eq(text, "7.31");
    ck_assert_str_eq(kirim_coap_code_name(KIRIM_COAP_TOO_LARGE), "request entity too large");
    ck_assert_str_eq(kirim_coap_code_name(200), "?");
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { bytes_are_a_message_or_not, COUNT_OF(cases) },
        { what_is_written_is_read_again, COUNT_OF(borders) },
        { a_writer_never_passes_its_room, 0 },
        { options_in_the_wrong_order_are_refused, 0 },
        { numbers_take_as_few_bytes_as_they_need, 0 },
        { blocks_have_a_number_a_flag_and_a_size, 0 },
        { codes_have_texts, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap message", claims);
}
