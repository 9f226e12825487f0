/* SPDX-License-Identifier: MIT
 *
 * Claims about messages as bytes: what is read, what is refused, what is written. By tables.
 */
#include "kit.h"

#define WIRE(text)                                \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

static kirim_err read_wire(struct kirim_tftp_span wire, struct kirim_tftp_packet *out)
{
    /* A copy of just these bytes, so that a sanitizer sees a step beyond them. */
    static uint8_t *copy;
    free(copy);
    copy = malloc(wire.bytes > 0 ? wire.bytes : 1);
    ck_assert_ptr_nonnull(copy);
    if (wire.bytes > 0) {
        memcpy(copy, wire.data, wire.bytes);
    }
    return kirim_tftp_packet_read((struct kirim_tftp_span){ copy, wire.bytes }, out);
}

static const struct {
    struct kirim_tftp_span wire;
    kirim_err err;
    uint16_t kind;
} forms[] = {
    { WIRE(""), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\0"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\7\0\0"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\1\1f\0octet\0"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\1"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\1f"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\1f\0"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\1f\0octet"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\1\0octet\0"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\1f\0octet\0"), KIRIM_OK, KIRIM_TFTP_RRQ },
    { WIRE("\0\2f\0OcTeT\0"), KIRIM_OK, KIRIM_TFTP_WRQ },
    { WIRE("\0\1f\0NETASCII\0"), KIRIM_OK, KIRIM_TFTP_RRQ },
    { WIRE("\0\1f\0mail\0"), KIRIM_TFTP_EMODE, 0 },
    { WIRE("\0\1f\0\0"), KIRIM_TFTP_EMODE, 0 },
    { WIRE("\0\1f\0octets\0"), KIRIM_TFTP_EMODE, 0 },
    { WIRE("\0\1f\0octet\0\0\0\0"), KIRIM_OK, KIRIM_TFTP_RRQ }, /* filled up with zeros */
    { WIRE("\0\1f\0octet\0blksize"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\1f\0octet\0blksize\0"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\1f\0octet\0blksize\0"
           "512"),
      KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\1f\0octet\0\0"
           "512\0"),
      KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\3\0"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\3\0\1"), KIRIM_OK, KIRIM_TFTP_DATA },
    { WIRE("\0\3\0\1abc"), KIRIM_OK, KIRIM_TFTP_DATA },
    { WIRE("\0\4\0"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\4\0\1"), KIRIM_OK, KIRIM_TFTP_ACK },
    { WIRE("\0\4\0\1 "), KIRIM_OK, KIRIM_TFTP_ACK },
    { WIRE("\0\5\0"), KIRIM_TFTP_EFORM, 0 },
    { WIRE("\0\5\0\1"), KIRIM_OK, KIRIM_TFTP_ERROR },
    { WIRE("\0\5\0\1text"), KIRIM_OK, KIRIM_TFTP_ERROR },
    { WIRE("\0\5\0\1text\0"), KIRIM_OK, KIRIM_TFTP_ERROR },
    { WIRE("\0\6"), KIRIM_OK, KIRIM_TFTP_OACK },
    { WIRE("\0\6blksize\0"
           "512\0"),
      KIRIM_OK, KIRIM_TFTP_OACK },
    { WIRE("\0\6blksize\0"
           "512"),
      KIRIM_TFTP_EFORM, 0 },
};

START_TEST(message_has_the_form_of_its_kind)
{
    struct kirim_tftp_packet packet = { 0 };
    ck_assert_int_eq(read_wire(forms[_i].wire, &packet), forms[_i].err);
    if (forms[_i].err == KIRIM_OK) {
        ck_assert_uint_eq(packet.kind, forms[_i].kind);
    }
}
END_TEST

START_TEST(every_prefix_of_a_request_is_refused)
{
    static const char wire[] = "\0\2dir/f\0octet\0blksize\0"
                               "1428\0windowsize\0"
                               "8\0";
    for (size_t bytes = 0; bytes < sizeof wire - 1; bytes++) {
        struct kirim_tftp_packet packet = { 0 };
        const struct kirim_tftp_span span = { (const uint8_t *)wire, bytes };
        const bool is_whole = bytes == 14 || bytes == 27; /* behind the mode, behind an option */
        ck_assert_int_eq(read_wire(span, &packet), is_whole ? KIRIM_OK : KIRIM_TFTP_EFORM);
    }
}
END_TEST

START_TEST(request_may_have_512_bytes)
{
    for (size_t bytes = 511; bytes <= 513; bytes++) {
        uint8_t wire[513] = { 0, 1 };
        struct kirim_tftp_packet packet;
        memset(wire + 2, 'n', bytes - 9);
        memcpy(wire + bytes - 6, "octet", 6);
        wire[bytes - 7] = 0;
        const struct kirim_tftp_span span = { wire, bytes };
        ck_assert_int_eq(read_wire(span, &packet), bytes <= 512 ? KIRIM_OK : KIRIM_TFTP_EFORM);
    }
}
END_TEST

/* The options of one request, and what they mean. */
static const struct {
    struct kirim_tftp_span options;
    struct kirim_tftp_options wanted;
    bool has_bad;
} options[] = {
    { WIRE("blksize\0"
           "1428\0"),
      { 1, 1428, 0, 0, 0 },
      false },
    { WIRE("BlkSize\0"
           "8\0"),
      { 1, 8, 0, 0, 0 },
      false },
    { WIRE("blksize\0"
           "7\0"),
      { 0, 0, 0, 0, 0 },
      true },
    { WIRE("blksize\0"
           "65464\0"),
      { 1, 65464, 0, 0, 0 },
      false },
    { WIRE("blksize\0"
           "65465\0"),
      { 1, 65464, 0, 0, 0 },
      false },
    { WIRE("blksize\0"
           "18446744073709551616\0"),
      { 0, 0, 0, 0, 0 },
      true },
    { WIRE("blksize\0"
           "-8\0"),
      { 0, 0, 0, 0, 0 },
      true },
    { WIRE("blksize\0"
           " 8\0"),
      { 0, 0, 0, 0, 0 },
      true },
    { WIRE("blksize\0"
           "\0"),
      { 0, 0, 0, 0, 0 },
      true },
    { WIRE("tsize\0"
           "0\0"),
      { 2, 0, 0, 0, 0 },
      false },
    { WIRE("tsize\0"
           "18446744073709551615\0"),
      { 2, 0, 0, 0, UINT64_MAX },
      false },
    { WIRE("timeout\0"
           "0\0"),
      { 0, 0, 0, 0, 0 },
      true },
    { WIRE("timeout\0"
           "1\0"),
      { 4, 0, 1, 0, 0 },
      false },
    { WIRE("timeout\0"
           "255\0"),
      { 4, 0, 255, 0, 0 },
      false },
    { WIRE("timeout\0"
           "256\0"),
      { 0, 0, 0, 0, 0 },
      true },
    { WIRE("windowsize\0"
           "0\0"),
      { 0, 0, 0, 0, 0 },
      true },
    { WIRE("windowsize\0"
           "1\0"),
      { 8, 0, 0, 1, 0 },
      false },
    { WIRE("WINDOWSIZE\0"
           "65535\0"),
      { 8, 0, 0, 65535, 0 },
      false },
    { WIRE("windowsize\0"
           "65536\0"),
      { 0, 0, 0, 0, 0 },
      true },
    { WIRE("multicast\0"
           "\0"
           "blksize\0"
           "512\0"),
      { 1, 512, 0, 0, 0 },
      true },
    { WIRE("blksize\0"
           "512\0"
           "blksize\0"
           "1024\0"),
      { 1, 512, 0, 0, 0 },
      false },
    { WIRE("timeout\0"
           "2\0"
           "tsize\0"
           "9\0"
           "windowsize\0"
           "4\0"
           "blksize\0"
           "99\0"),
      { 15, 99, 2, 4, 9 },
      false },
};

START_TEST(option_counts_within_its_bounds)
{
    static const char head[] = "\0\1f\0octet";
    uint8_t wire[256];
    struct kirim_tftp_packet packet;
    memcpy(wire, head, sizeof head);
    memcpy(wire + sizeof head, options[_i].options.data, options[_i].options.bytes);
    const struct kirim_tftp_span span = { wire, sizeof head + options[_i].options.bytes };
    ck_assert_int_eq(read_wire(span, &packet), KIRIM_OK);
    const struct kirim_tftp_options *const wanted = &options[_i].wanted;
    ck_assert_uint_eq(packet.options.has, wanted->has);
    ck_assert_uint_eq(packet.options.blksize, wanted->blksize);
    ck_assert_uint_eq(packet.options.timeout_s, wanted->timeout_s);
    ck_assert_uint_eq(packet.options.windowsize, wanted->windowsize);
    ck_assert_uint_eq(packet.options.tsize, wanted->tsize);
    ck_assert(packet.has_bad_option == options[_i].has_bad);
}
END_TEST

START_TEST(what_is_written_is_read_again)
{
    uint8_t data[KIRIM_TFTP_CONTROL_BYTES_MAX];
    struct kirim_tftp_room room = { data, sizeof data, 0 };
    const struct kirim_tftp_request request = {
        KIRIM_TFTP_WRQ, KIRIM_TFTP_NETASCII, "a/b", { 15, 1024, 3, 7, 1234567890123 }
    };
    struct kirim_tftp_packet packet;
    ck_assert_int_eq(kirim_tftp_write_request(&request, &room), KIRIM_OK);
    ck_assert_int_eq(read_wire((struct kirim_tftp_span){ data, room.bytes }, &packet), KIRIM_OK);
    ck_assert_uint_eq(packet.kind, KIRIM_TFTP_WRQ);
    ck_assert_uint_eq(packet.mode, KIRIM_TFTP_NETASCII);
    ck_assert_uint_eq(packet.name.bytes, 3);
    ck_assert_uint_eq(packet.options.has, 15);
    ck_assert_uint_eq(packet.options.tsize, 1234567890123);
    ck_assert_int_eq(kirim_tftp_write_oack(&request.options, &room), KIRIM_OK);
    ck_assert_int_eq(read_wire((struct kirim_tftp_span){ data, room.bytes }, &packet), KIRIM_OK);
    ck_assert_uint_eq(packet.kind, KIRIM_TFTP_OACK);
    ck_assert_uint_eq(packet.options.windowsize, 7);
    ck_assert_int_eq(kirim_tftp_write_error(3, "full", &room), KIRIM_OK);
    ck_assert_uint_eq(room.bytes, 9);
    ck_assert_int_eq(memcmp(data, "\0\5\0\3full", 9), 0);
    ck_assert_int_eq(kirim_tftp_write_ack(0xabcd, &room), KIRIM_OK);
    ck_assert_int_eq(memcmp(data, "\0\4\xab\xcd", 4), 0);
}
END_TEST

START_TEST(room_is_kept)
{
    uint8_t data[KIRIM_TFTP_CONTROL_BYTES_MAX];
    const struct kirim_tftp_request request = {
        KIRIM_TFTP_RRQ, KIRIM_TFTP_OCTET, "f", { 1, 512, 0, 0, 0 }
    };
    struct kirim_tftp_room whole = { data, sizeof data, 0 };
    ck_assert_int_eq(kirim_tftp_write_request(&request, &whole), KIRIM_OK);
    for (size_t bytes = 0; bytes < whole.bytes; bytes++) {
        struct kirim_tftp_room room = { data, bytes, 0 };
        ck_assert_int_eq(kirim_tftp_write_request(&request, &room), KIRIM_EMSGSIZE);
        ck_assert_uint_eq(room.bytes, 0);
    }
    struct kirim_tftp_room three = { data, 3, 0 };
    ck_assert_int_eq(kirim_tftp_write_ack(1, &three), KIRIM_EMSGSIZE);
    ck_assert_int_eq(kirim_tftp_write_error(1, "", &three), KIRIM_EMSGSIZE);
}
END_TEST

START_TEST(request_that_would_be_too_long_is_refused)
{
    uint8_t data[KIRIM_TFTP_CONTROL_BYTES_MAX + 100];
    char name[513];
    struct kirim_tftp_room room = { data, sizeof data, 0 };
    struct kirim_tftp_request request = {
        KIRIM_TFTP_RRQ, KIRIM_TFTP_OCTET, name, { 0, 0, 0, 0, 0 }
    };
    memset(name, 'n', sizeof name);
    name[512 - 2 - 6 - 1] = '\0';
    ck_assert_int_eq(kirim_tftp_write_request(&request, &room), KIRIM_OK);
    ck_assert_uint_eq(room.bytes, 512);
    name[512 - 2 - 6 - 1] = 'n';
    name[512 - 2 - 6] = '\0';
    ck_assert_int_eq(kirim_tftp_write_request(&request, &room), KIRIM_EMSGSIZE);
    request.name = "";
    ck_assert_int_eq(kirim_tftp_write_request(&request, &room), KIRIM_EINVAL);
}
END_TEST

START_TEST(every_error_has_a_text_and_a_code)
{
    for (kirim_err err = KIRIM_TFTP_ECHANGED; err <= KIRIM_TFTP_EFORM; err++) {
        ck_assert_ptr_nonnull(strchr(kirim_tftp_err_text(err), ' '));
    }
    for (uint16_t code = 0; code <= KIRIM_TFTP_CODE_OPTION; code++) {
        ck_assert_str_ne(kirim_tftp_code_text(code), "unknown code");
    }
    ck_assert_str_eq(kirim_tftp_code_text(9), "unknown code");
    ck_assert_uint_eq(kirim_tftp_err_code(KIRIM_ENOENT), 1);
    ck_assert_uint_eq(kirim_tftp_err_code(KIRIM_EACCES), 2);
    ck_assert_uint_eq(kirim_tftp_err_code(KIRIM_TFTP_EFULL), 3);
    ck_assert_uint_eq(kirim_tftp_err_code(KIRIM_TFTP_EMODE), 4);
    ck_assert_uint_eq(kirim_tftp_err_code(KIRIM_EEXIST), 6);
    ck_assert_uint_eq(kirim_tftp_err_code(KIRIM_TFTP_EOPTION), 8);
    ck_assert_uint_eq(kirim_tftp_err_code(KIRIM_ENOMEM), 0);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { message_has_the_form_of_its_kind, COUNT_OF(forms) },
        { every_prefix_of_a_request_is_refused, 0 },
        { request_may_have_512_bytes, 0 },
        { option_counts_within_its_bounds, COUNT_OF(options) },
        { what_is_written_is_read_again, 0 },
        { room_is_kept, 0 },
        { request_that_would_be_too_long_is_refused, 0 },
        { every_error_has_a_text_and_a_code, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp packet", claims);
}
