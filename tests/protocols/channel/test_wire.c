/* SPDX-License-Identifier: MIT
 *
 * Claims about packets and frames: what is written reads the same, what is cut short or says what
 * cannot be is refused, and the bytes are those of docs/channel.md.
 */
#include "kit.h"

#include "protocols/channel/frame.h"
#include "protocols/channel/wire.h"

static const struct kirim_channel_params params = { 1452, 4096, 2048, 1024, 16, 25, 30000 };

static struct kirim_channel_packet packet_of(uint8_t kind)
{
    static const uint8_t token[] = "a token";
    struct kirim_channel_packet p;
    memset(&p, 0, sizeof p);
    p.kind = kind;
    p.version = KIRIM_CHANNEL_VERSION;
    memcpy(p.to, "to------", sizeof p.to);
    memcpy(p.from, "from----", sizeof p.from);
    memcpy(p.reset, "reset-----------", sizeof p.reset);
    p.number = UINT64_C(0x010203040506);
    p.params = params;
    p.token = (struct kirim_channel_span){ token, sizeof token };
    return p;
}

/* Bytes of the fixed part of each kind, from 4 on. */
static const size_t fixed[] = { 10, 59 + 8, 65 + 8, 15, 17, 12 };

START_TEST(packets_read_as_they_were_written)
{
    const uint8_t kind = (uint8_t)(KIRIM_CHANNEL_HELLO + _i);
    const struct kirim_channel_packet p = packet_of(kind);
    struct kirim_channel_packet q;
    uint8_t room[256];
    const size_t bytes = kirim_channel_packet_write(&p, room, sizeof room);
    ck_assert_uint_eq(bytes, kind == KIRIM_CHANNEL_HELLO ? sizeof room : fixed[_i]);
    ck_assert_uint_eq(room[0], kind);
    ck_assert_int_eq(kirim_channel_packet_read(room, bytes, &q), KIRIM_OK);
    ck_assert_uint_eq(q.kind, kind);
    if (kind == KIRIM_CHANNEL_TOKEN || kind == KIRIM_CHANNEL_BEGIN) {
        ck_assert_mem_eq(q.from, p.from, sizeof p.from);
        ck_assert_mem_eq(q.reset, p.reset, sizeof p.reset);
        ck_assert_mem_eq(&q.params, &p.params, sizeof params);
        ck_assert_uint_eq(q.token.bytes, p.token.bytes);
        ck_assert_mem_eq(q.token.data, p.token.data, p.token.bytes);
    }
    if (kind == KIRIM_CHANNEL_BEGIN || kind == KIRIM_CHANNEL_DATA) {
        ck_assert_uint_eq(q.number, p.number);
        ck_assert_mem_eq(q.to, p.to, sizeof p.to);
        ck_assert_uint_eq(q.rest.bytes, 0);
    }
    for (size_t cut = 0; cut < fixed[_i]; cut++) {
        ck_assert_int_eq(kirim_channel_packet_read(room, cut, &q), KIRIM_EINVAL);
        if (kind != KIRIM_CHANNEL_HELLO) {
            ck_assert_uint_eq(kirim_channel_packet_write(&p, room + 128, cut), 0);
        }
    }
}
END_TEST

START_TEST(data_is_laid_out_as_documented)
{
    const struct kirim_channel_packet p = packet_of(KIRIM_CHANNEL_DATA);
    static const uint8_t wanted[] = { 7, 't', 'o', '-', '-', '-', '-', '-', '-', 1, 2, 3, 4, 5, 6 };
    uint8_t room[64];
    ck_assert_uint_eq(kirim_channel_packet_write(&p, room, sizeof room), sizeof wanted);
    ck_assert_mem_eq(room, wanted, sizeof wanted);
}
END_TEST

START_TEST(other_kinds_are_refused)
{
    struct kirim_channel_packet q;
    uint8_t room[256] = { 0 };
    room[0] = (uint8_t)_i;
    if (_i < KIRIM_CHANNEL_HELLO || _i > KIRIM_CHANNEL_VERSIONS) {
        ck_assert_int_eq(kirim_channel_packet_read(room, sizeof room, &q), KIRIM_EINVAL);
    }
}
END_TEST

START_TEST(other_versions_are_told_apart)
{
    struct kirim_channel_packet p = packet_of(KIRIM_CHANNEL_HELLO);
    struct kirim_channel_packet q;
    uint8_t room[256];
    p.version = 9;
    memset(&q, 0, sizeof q);
    ck_assert_uint_gt(kirim_channel_packet_write(&p, room, sizeof room), 0);
    ck_assert_int_eq(kirim_channel_packet_read(room, sizeof room, &q), KIRIM_EOPNOTSUPP);
    ck_assert_uint_eq(q.version, 9);
    ck_assert_mem_eq(q.from, p.from, sizeof p.from);
    p.kind = KIRIM_CHANNEL_BEGIN;
    ck_assert_uint_gt(kirim_channel_packet_write(&p, room, sizeof room), 0);
    ck_assert_int_eq(kirim_channel_packet_read(room, sizeof room, &q), KIRIM_EOPNOTSUPP);
}
END_TEST

static const struct {
    struct kirim_channel_params params;
    bool is_valid;
} bounds[] = {
    { { 256, 1088, 1088, 1024, 1, 0, 1000 }, true },
    { { 255, 1088, 1088, 1024, 1, 0, 1000 }, false },
    { { 256, 1087, 1088, 1024, 1, 0, 1000 }, false },
    { { 256, 1088, 1087, 1024, 1, 0, 1000 }, false },
    { { 256, 1088, 1088, 1025, 1, 0, 1000 }, false },
    { { 256, 1088, 1088, 1024, 0, 0, 1000 }, false },
    { { 256, 1088, 1088, 1024, 256, 1000, 1000 }, true },
    { { 256, 1088, 1088, 1024, 257, 0, 1000 }, false },
    { { 256, 1088, 1088, 1024, 1, 1001, 1000 }, false },
    { { 256, 1088, 1088, 1024, 1, 0, 999 }, false },
    { { 256, 16777280, 16777280, 16777216, 1, 0, 1000 }, true },
    { { 256, 16777281, 16777281, 16777217, 1, 0, 1000 }, false },
};

START_TEST(params_keep_their_bounds)
{
    struct kirim_channel_packet p = packet_of(KIRIM_CHANNEL_TOKEN);
    struct kirim_channel_packet q;
    uint8_t room[256];
    p.params = bounds[_i].params;
    const size_t bytes = kirim_channel_packet_write(&p, room, sizeof room);
    ck_assert_int_eq(kirim_channel_packet_read(room, bytes, &q),
                     bounds[_i].is_valid ? KIRIM_OK : KIRIM_EINVAL);
}
END_TEST

/* ---- frames ---------------------------------------------------------------------------------- */

struct line {
    const char *bytes;
    size_t count;
    kirim_err err;
};

#define LINE(text, err)                 \
    {                                   \
        (text), sizeof(text) - 1, (err) \
    }

static const struct line lines[] = {
    LINE("\x00", KIRIM_OK),
    LINE("\x01", KIRIM_OK),
    LINE("\x02\x05\x00\x00\x05", KIRIM_OK),             /* 0 .. 5 */
    LINE("\x02\x05\x00\x00\x06", KIRIM_EINVAL),         /* below 0 */
    LINE("\x02\x05\x00\x01\x00\x00\x00", KIRIM_OK),     /* 5, 3 */
    LINE("\x02\x05\x00\x01\x00\x03\x00", KIRIM_OK),     /* 5, 0 */
    LINE("\x02\x05\x00\x01\x00\x04\x00", KIRIM_EINVAL), /* 5, -1 */
    LINE("\x02\x05\x00\x01\x00\x03\x01", KIRIM_EINVAL), /* 5, 0 .. -1 */
    LINE("\x02\x05\x00\x40\x40\x00", KIRIM_EINVAL),     /* 64 further ranges */
    LINE("\x03\x05\x00\x00\x05\x01\x02\x03", KIRIM_OK),
    LINE("\x03\x05\x00\x00\x05\x01\x02", KIRIM_EINVAL),
    LINE("\x02\xc0\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", KIRIM_EINVAL), /* 2^48 */
    LINE("\x02\xc0\x00\xff\xff\xff\xff\xff\xff\x00\x00\x00", KIRIM_OK),
    LINE("\x04\x40\x07", KIRIM_OK), /* not in its shortest form */
    LINE("\x04\x40", KIRIM_EINVAL),
    LINE("\x05\x01\x02", KIRIM_OK),
    LINE("\x05\x01", KIRIM_EINVAL),
    LINE("\x06"
         "12345678",
         KIRIM_OK),
    LINE("\x06"
         "1234567",
         KIRIM_EINVAL),
    LINE("\x07"
         "12345678",
         KIRIM_OK),
    LINE("\x08\x00"
         "1234567890123456\x02hi",
         KIRIM_OK),
    LINE("\x08\x00"
         "1234567890123456\x03hi",
         KIRIM_EINVAL),
    LINE("\x08\x00"
         "123456789012345",
         KIRIM_EINVAL),
    LINE("\x09", KIRIM_EINVAL),
    LINE("\x0f", KIRIM_EINVAL),
    LINE("\x10\x01\x02\x00", KIRIM_OK), /* an empty message */
    LINE("\x10\x01\x02\x02hi", KIRIM_OK),
    LINE("\x10\x01\x02\x03hi", KIRIM_EINVAL),
    LINE("\x11\x01\x02\x09\x07\x02hi", KIRIM_OK),     /* the last two of nine */
    LINE("\x11\x01\x02\x09\x08\x02hi", KIRIM_EINVAL), /* one too far */
    LINE("\x11\x01\x02\x09\x07\x00", KIRIM_EINVAL),   /* an empty fragment */
    LINE("\x11\x01\x02\x01\x00\x02hi", KIRIM_EINVAL), /* longer than the message */
    LINE("\x15\x01\x02\x02\x00\x02hi", KIRIM_OK),
    LINE("\x16\x01\x02\x00", KIRIM_EINVAL),
    LINE("\x10\x01\xd0\x00\x00\x00\x00\x00\x00\x00\x00", KIRIM_EINVAL), /* number 2^60 */
    LINE("\xff", KIRIM_EINVAL),
};

START_TEST(frames_are_read_or_refused)
{
    const struct line *const line = &lines[_i];
    uint8_t bytes[64];
    struct kirim_channel_span span = { bytes, line->count };
    struct kirim_channel_frame f;
    memcpy(bytes, line->bytes, line->count);
    ck_assert_int_eq(kirim_channel_frame_read(&span, &f), line->err);
    ck_assert_uint_eq(span.bytes, line->err == KIRIM_OK ? 0 : line->count);
    if (line->err == KIRIM_OK && line->bytes[1] != 0x40) {
        uint8_t again[64];
        ck_assert_uint_eq(kirim_channel_frame_write(&f, again, sizeof again), line->count);
        ck_assert_mem_eq(again, bytes, line->count);
        ck_assert_uint_eq(kirim_channel_frame_write(&f, again, line->count - 1), 0);
        for (size_t cut = 0; cut < line->count; cut++) {
            struct kirim_channel_span less = { bytes, cut };
            ck_assert_int_eq(kirim_channel_frame_read(&less, &f), KIRIM_EINVAL);
        }
    }
}
END_TEST

START_TEST(acks_of_many_ranges_come_back)
{
    struct kirim_channel_frame f;
    struct kirim_channel_frame g;
    uint8_t room[2048];
    memset(&f, 0, sizeof f);
    f.type = KIRIM_CHANNEL_ACK_ECN;
    f.ack.range_count = KIRIM_CHANNEL_RANGES_MAX;
    f.ack.ect0 = 7;
    f.ack.ce = UINT64_C(1) << 40;
    for (size_t i = 0; i < f.ack.range_count; i++) {
        f.ack.range[i].end = UINT64_C(1000000) - i * 10000;
        f.ack.range[i].first = f.ack.range[i].end - 1 - i * 100;
    }
    const size_t bytes = kirim_channel_frame_write(&f, room, sizeof room);
    struct kirim_channel_span span = { room, bytes };
    ck_assert_int_eq(kirim_channel_frame_read(&span, &g), KIRIM_OK);
    ck_assert_uint_eq(g.ack.range_count, f.ack.range_count);
    ck_assert_mem_eq(g.ack.range, f.ack.range, sizeof f.ack.range);
    ck_assert_uint_eq(g.ack.ce, f.ack.ce);
}
END_TEST

START_TEST(padding_is_one_frame)
{
    static const uint8_t bytes[] = { 0, 0, 0, 1 };
    struct kirim_channel_span span = { bytes, sizeof bytes };
    struct kirim_channel_frame f;
    ck_assert_int_eq(kirim_channel_frame_read(&span, &f), KIRIM_OK);
    ck_assert_uint_eq(f.type, KIRIM_CHANNEL_PADDING);
    ck_assert_uint_eq(span.bytes, 1);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { packets_read_as_they_were_written, COUNT_OF(fixed) },
        { data_is_laid_out_as_documented, 0 },
        { other_kinds_are_refused, 16 },
        { other_versions_are_told_apart, 0 },
        { params_keep_their_bounds, COUNT_OF(bounds) },
        { frames_are_read_or_refused, COUNT_OF(lines) },
        { acks_of_many_ranges_come_back, 0 },
        { padding_is_one_frame, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/channel wire", claims);
}
