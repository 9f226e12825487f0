/* SPDX-License-Identifier: MIT
 *
 * Claims about netascii: the pairs, and that it does not matter where the bytes are cut.
 */
#include "kit.h"

enum { BYTES_MAX = 64 };

static const struct {
    const char *file, *wire;
    size_t file_bytes, wire_bytes;
} pairs[] = {
    { "", "", 0, 0 },
    { "abc", "abc", 3, 3 },
    { "\n", "\r\n", 1, 2 },
    { "\r", "\r\0", 1, 2 },
    { "\r\n", "\r\0\r\n", 2, 4 },
    { "a\nb\rc", "a\r\nb\r\0c", 5, 7 },
    { "\r\r\n\n", "\r\0\r\0\r\n\r\n", 4, 8 },
    { "\0x", "\0x", 2, 2 },
};

/* With pieces of `in_bytes` in and room for `out_bytes` out. */
static size_t encode(const char *file, size_t bytes, size_t in_bytes, size_t out_bytes, uint8_t *to)
{
    struct kirim_tftp_netascii state = { 0, 0 };
    size_t used = 0;
    size_t at = 0;
    while (at < bytes || state.has_pending != 0) {
        const size_t piece = bytes - at < in_bytes ? bytes - at : in_bytes;
        const struct kirim_tftp_span in = { (const uint8_t *)file + at, piece };
        struct kirim_tftp_room out = { to + used, out_bytes, 0 };
        at += kirim_tftp_netascii_encode(&state, in, &out);
        ck_assert_uint_le(out.bytes, out_bytes);
        used += out.bytes;
    }
    return used;
}

static size_t decode(const uint8_t *wire, size_t bytes, size_t piece_bytes, uint8_t *to)
{
    struct kirim_tftp_netascii state = { 0, 0 };
    size_t used = 0;
    size_t at = 0;
    do {
        const size_t piece = bytes - at < piece_bytes ? bytes - at : piece_bytes;
        const struct kirim_tftp_span in = { wire + at, piece };
        struct kirim_tftp_room out = { to + used, piece + 1, 0 };
        at += piece;
        ck_assert_int_eq(kirim_tftp_netascii_decode(&state, in, at == bytes, &out), KIRIM_OK);
        used += out.bytes;
    } while (at < bytes);
    return used;
}

START_TEST(cuts_do_not_matter)
{
    for (size_t in = 1; in <= 5; in++) {
        for (size_t out = 1; out <= 5; out++) {
            uint8_t wire[BYTES_MAX];
            uint8_t file[BYTES_MAX];
            const size_t bytes = encode(pairs[_i].file, pairs[_i].file_bytes, in, out, wire);
            ck_assert_uint_eq(bytes, pairs[_i].wire_bytes);
            ck_assert_int_eq(memcmp(wire, pairs[_i].wire, bytes), 0);
            ck_assert_uint_eq(decode(wire, bytes, in, file), pairs[_i].file_bytes);
            ck_assert_int_eq(memcmp(file, pairs[_i].file, pairs[_i].file_bytes), 0);
        }
    }
}
END_TEST

START_TEST(loose_carriage_returns_stay)
{
    uint8_t file[BYTES_MAX];
    ck_assert_uint_eq(decode((const uint8_t *)"a\rb\r", 4, 1, file), 4);
    ck_assert_int_eq(memcmp(file, "a\rb\r", 4), 0);
    ck_assert_uint_eq(decode((const uint8_t *)"\r\r\n", 3, 3, file), 2);
    ck_assert_int_eq(memcmp(file, "\r\n", 2), 0);
}
END_TEST

START_TEST(too_little_room_is_refused)
{
    uint8_t file[2];
    struct kirim_tftp_netascii state = { 0, 0 };
    const struct kirim_tftp_span in = { (const uint8_t *)"ab", 2 };
    struct kirim_tftp_room out = { file, 2, 0 };
    ck_assert_int_eq(kirim_tftp_netascii_decode(&state, in, true, &out), KIRIM_EMSGSIZE);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { cuts_do_not_matter, COUNT_OF(pairs) },
        { loose_carriage_returns_stay, 0 },
        { too_little_room_is_refused, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp netascii", claims);
}
