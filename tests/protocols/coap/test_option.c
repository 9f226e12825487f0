/* SPDX-License-Identifier: MIT
 *
 * Claims about what options say, about paths, queries, digests and URIs.
 */
#include "kit.h"

#include "protocols/coap/uri.h"

/* Writes a request with these options and parses it. */
static struct kirim_coap_message parse(const struct kit_message *message, uint8_t *wire)
{
    struct kirim_coap_message m;
    const size_t bytes = kit_write(message, wire);
    ck_assert_int_eq(kirim_coap_parse((struct kirim_coap_span){ wire, bytes }, &m), 0);
    return m;
}

/* Options, and the first critical one that is not understood. */
static const struct {
    struct kit_option options[3];
    uint16_t bad_option;
    uint32_t has;
} cases[] = {
    { { { 0, NULL, 0 } }, 0, 0 },
    { { { 9, "x", 0 } }, 9, 0 },                 /* unknown, critical */
    { { { 10, "x", 0 } }, 0, 0 },                /* unknown, elective */
    { { { 65001, "x", 0 } }, 65001, 0 },         /* odd */
    { { { 65000, "x", 0 } }, 0, 0 },             /* even */
    { { { 9, "x", 0 }, { 13, "x", 0 } }, 9, 0 }, /* the first of two */
    { { { 3, "", 0 } }, 3, 0 },                  /* Uri-Host: 1..255 bytes */
    { { { 3, "h", 0 } }, 0, 0 },
    { { { 3, "h", 0 }, { 3, "h", 0 } }, 3, 0 }, /* twice, not repeatable */
    { { { 5, "", 0 } }, 0, KIRIM_COAP_HAS_IF_NONE_MATCH },
    { { { 5, "x", 0 } }, 5, 0 },
    { { { 4, "", 0 } }, 0, 0 }, /* ETag, elective: passed over */
    { { { 4, "12345678", 0 } }, 0, KIRIM_COAP_HAS_ETAG },
    { { { 4, "123456789", 0 } }, 0, 0 },
    { { { 6, NULL, 0xffffff } }, 0, KIRIM_COAP_HAS_OBSERVE },
    { { { 6, NULL, 0x1000000 } }, 0, 0 },
    { { { 11, "..", 0 } }, 0, KIRIM_COAP_HAS_BAD_PATH },
    { { { 11, ".", 0 } }, 0, KIRIM_COAP_HAS_BAD_PATH },
    { { { 11, "...", 0 } }, 0, 0 },
    { { { 17, NULL, 70000 } }, 17, 0 }, /* Accept: 0..2 bytes */
    { { { 23, NULL, 6 } }, 0, KIRIM_COAP_HAS_BLOCK2 },
    { { { 23, NULL, 6 }, { 23, NULL, 6 } }, 23, KIRIM_COAP_HAS_BLOCK2 },
    { { { 27, NULL, 0x1000000 } }, 27, 0 },
    { { { 27, NULL, 0xfffffe } }, 0, KIRIM_COAP_HAS_BLOCK1 },
    { { { 28, NULL, 5 } }, 0, KIRIM_COAP_HAS_SIZE2 },
    { { { 60, NULL, 5 } }, 0, KIRIM_COAP_HAS_SIZE1 },
    { { { 35, "coap://x", 0 } }, 0, KIRIM_COAP_HAS_PROXY },
    { { { 39, "coap", 0 } }, 0, KIRIM_COAP_HAS_PROXY },
    { { { 252, "e", 0 } }, 0, KIRIM_COAP_HAS_ECHO },
    { { { 252, "", 0 } }, 0, 0 },
    { { { 252, "12345678901234567890123456789012345678901", 0 } }, 0, 0 },
    { { { 258, NULL, 2 } }, 0, KIRIM_COAP_HAS_NO_RESPONSE },
    { { { 258, NULL, 256 } }, 0, 0 },
    { { { 292, "123456789", 0 } }, 0, 0 },
};

START_TEST(options_are_understood_or_not)
{
    uint8_t wire[KIT_WIRE_MAX];
    struct kit_message message = { .code = KIRIM_COAP_GET };
    memcpy(message.options, cases[_i].options, sizeof cases[_i].options);
    const struct kirim_coap_message m = parse(&message, wire);
    const struct kirim_coap_fields f = kit_fields(&m);
    ck_assert_uint_eq(f.bad_option, cases[_i].bad_option);
    ck_assert_uint_eq(f.has, cases[_i].has);
}
END_TEST

START_TEST(values_are_read)
{
    uint8_t wire[KIT_WIRE_MAX];
    const struct kit_message message = {
        .code = KIRIM_COAP_GET,
        .options = { { 4, "tag", 0 },
                     { 4, "other", 0 },
                     { 6, NULL, 77 },
                     { 12, NULL, 40 },
                     { 14, NULL, 5 },
                     { 17, NULL, 50 },
                     { 23, NULL, 0x2e },
                     { 60, NULL, 9 } },
    };
    const struct kirim_coap_message m = parse(&message, wire);
    const struct kirim_coap_fields f = kit_fields(&m);
    ck_assert(kirim_coap_span_equal(f.etag, kirim_coap_span_text("tag")));
    ck_assert(kirim_coap_has_value(&m, 4, kirim_coap_span_text("other")));
    ck_assert(!kirim_coap_has_value(&m, 4, kirim_coap_span_text("oth")));
    ck_assert_uint_eq(f.observe, 77);
    ck_assert_uint_eq(f.content_format, 40);
    ck_assert_uint_eq(f.max_age_s, 5);
    ck_assert_uint_eq(f.accept, 50);
    ck_assert_uint_eq(f.block2.number, 2);
    ck_assert(f.block2.has_more);
    ck_assert_uint_eq(f.size1, 9);
}
END_TEST

static const struct {
    struct kit_option options[4];
    const char *text;
} paths[] = {
    { { { 0, NULL, 0 } }, "" },
    { { { 11, "a", 0 } }, "a" },
    { { { 11, "a", 0 }, { 11, "b c", 0 }, { 11, "/", 0 } }, "a/b%20c/%2F" },
    { { { 11, "", 0 }, { 11, "a", 0 } }, "/a" },
    { { { 11, "\xc3\xa4>\"", 0 } }, "%C3%A4%3E%22" },
    { { { 11, "%41", 0 } }, "%2541" },
    { { { 11, "\xc3", 0 }, { 11, "", 0 } }, "%C3/" },
};

START_TEST(paths_are_written_so_that_no_two_are_alike)
{
    uint8_t wire[KIT_WIRE_MAX];
    char text[64];
    struct kit_message message = { .code = KIRIM_COAP_GET };
    memcpy(message.options, paths[_i].options, sizeof paths[_i].options);
    const struct kirim_coap_message m = parse(&message, wire);
    ck_assert_int_eq(kirim_coap_path_text(&m, KIRIM_COAP_URI_PATH, text, sizeof text), KIRIM_OK);
    ck_assert_str_eq(text, paths[_i].text);
    for (size_t room = 0; room <= strlen(paths[_i].text); room++) {
        ck_assert_int_eq(kirim_coap_path_text(&m, KIRIM_COAP_URI_PATH, text, room), KIRIM_EMSGSIZE);
    }
}
END_TEST

START_TEST(numbers_are_found_in_queries)
{
    uint8_t wire[KIT_WIRE_MAX];
    const struct kit_message message = {
        .code = KIRIM_COAP_GET,
        .options = { { 15, "n=5", 0 },
                     { 15, "m=x", 0 },
                     { 15, "12", 0 },
                     { 15, "l=9999999999", 0 },
                     { 15, "k=", 0 } },
    };
    const struct kirim_coap_message m = parse(&message, wire);
    ck_assert_uint_eq(kirim_coap_query_number(&m, "n", 1), 5);
    ck_assert_uint_eq(kirim_coap_query_number(&m, "m", 1), 1);
    ck_assert_uint_eq(kirim_coap_query_number(&m, "k", 1), 1);
    ck_assert_uint_eq(kirim_coap_query_number(&m, "l", 1), 1);
    ck_assert_uint_eq(kirim_coap_query_number(&m, "", 1), 12);
    ck_assert_uint_eq(kirim_coap_query_number(&m, "nn", 3), 3);
}
END_TEST

START_TEST(requests_of_one_body_have_one_digest)
{
    static const uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = { 1 };
    static const struct kit_message same[] = {
        { .code = 2, .options = { { 11, "a", 0 }, { 27, NULL, 0x0e }, { 292, "t", 0 } } },
        { .code = 2, .options = { { 11, "a", 0 }, { 27, NULL, 0x1e }, { 292, "t", 0 } } },
        { .code = 2,
          .id = 9,
          .options = { { 11, "a", 0 },
                       { 27, NULL, 0x26 },
                       { 60, NULL, 4 },
                       { 252, "e", 0 },
                       { 258, NULL, 2 },
                       { 292, "t", 0 } } },
    };
    static const struct kit_message other[] = {
        { .code = 3, .options = { { 11, "a", 0 }, { 292, "t", 0 } } },
        { .code = 2, .options = { { 11, "b", 0 }, { 292, "t", 0 } } },
        { .code = 2, .options = { { 11, "a", 0 }, { 292, "u", 0 } } },
        { .code = 2, .options = { { 11, "a", 0 } } },
        { .code = 2, .options = { { 11, "a", 0 }, { 292, "", 0 } } },
        { .code = 2, .options = { { 11, "a", 0 }, { 15, "q", 0 }, { 292, "t", 0 } } },
    };
    uint8_t wire[KIT_WIRE_MAX];
    struct kirim_coap_message m = parse(&same[0], wire);
    const uint64_t digest = kirim_coap_request_digest(&m, key);
    for (size_t i = 1; i < COUNT_OF(same); i++) {
        m = parse(&same[i], wire);
        ck_assert(kirim_coap_request_digest(&m, key) == digest);
    }
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        m = parse(&other[i], wire);
        ck_assert(kirim_coap_request_digest(&m, key) != digest);
    }
}
END_TEST

static const struct {
    const char *text;
    kirim_err err;
    const char *addr, *parts; /* parts: segments behind slashes, queries behind question marks */
} uris[] = {
    { "coap://127.0.0.1", KIRIM_OK, "127.0.0.1:5683", "" },
    { "coap://127.0.0.1/", KIRIM_OK, "127.0.0.1:5683", "" },
    { "coap://127.0.0.1:99/a", KIRIM_OK, "127.0.0.1:99", "/a" },
    { "coaps://[::1]/a/b?c=d&e", KIRIM_OK, "[::1]:5684", "/a/b?c=d?e" },
    { "coap://[fe80::1%3]:5/x", KIRIM_OK, "[fe80::1%3]:5", "/x" },
    { "coap://127.0.0.1/a%20b/%C3%A4", KIRIM_OK, "127.0.0.1:5683", "/a b/\xc3\xa4" },
    { "coap://127.0.0.1/a//b/", KIRIM_OK, "127.0.0.1:5683", "/a//b/" },
    { "coap://127.0.0.1?q", KIRIM_OK, "127.0.0.1:5683", "?q" },
    { "coap://127.0.0.1/a%2", KIRIM_EINVAL, "", "" },
    { "coap://127.0.0.1/a%", KIRIM_EINVAL, "", "" },
    { "coap://127.0.0.1/%zz", KIRIM_EINVAL, "", "" },
    { "coap://127.0.0.1/a#b", KIRIM_EINVAL, "", "" },
    { "coap://example.com/a", KIRIM_EINVAL, "", "" },
    { "coap://::1/a", KIRIM_EINVAL, "", "" },
    { "coap:///a", KIRIM_EINVAL, "", "" },
    { "http://127.0.0.1/a", KIRIM_EINVAL, "", "" },
    { "", KIRIM_EINVAL, "", "" },
    { "coap://127.0.0.1/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5", KIRIM_EMSGSIZE, "",
      "" },
};

START_TEST(uris_are_taken_apart)
{
    static struct kirim_coap_uri uri;
    char addr[KIRIM_ADDR_TEXT_BYTES];
    char parts[256] = "";
    size_t bytes = 0;
    ck_assert_int_eq(kirim_coap_uri_parse(uris[_i].text, &uri), uris[_i].err);
    if (uris[_i].err < 0) {
        return;
    }
    for (size_t i = 0; i < uri.option_count; i++) {
        const struct kirim_coap_option *const o = &uri.options[i];
        parts[bytes++] = o->number == KIRIM_COAP_URI_PATH ? '/' : '?';
        memcpy(parts + bytes, o->value.data, o->value.bytes);
        bytes += o->value.bytes;
    }
    parts[bytes] = '\0';
    ck_assert_int_eq(kirim_addr_format(&uri.addr, addr, sizeof addr), KIRIM_OK);
    ck_assert_str_eq(addr, uris[_i].addr);
    ck_assert_str_eq(parts, uris[_i].parts);
    ck_assert(uri.is_secure == (strncmp(uris[_i].text, "coaps", 5) == 0));
}
END_TEST

START_TEST(a_segment_has_255_bytes_at_the_most)
{
    static struct kirim_coap_uri uri;
    char text[KIRIM_COAP_URI_BYTES_MAX + 1] = "coap://[::1]/";
    const size_t head = strlen(text);
    memset(text + head, 'a', 255);
    ck_assert_int_eq(kirim_coap_uri_parse(text, &uri), KIRIM_OK);
    text[head + 255] = 'a';
    ck_assert_int_eq(kirim_coap_uri_parse(text, &uri), KIRIM_EINVAL);
    memset(text + head, '/', sizeof text - 1 - head);
    ck_assert_int_eq(kirim_coap_uri_parse(text, &uri), KIRIM_EMSGSIZE);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { options_are_understood_or_not, COUNT_OF(cases) },
        { values_are_read, 0 },
        { paths_are_written_so_that_no_two_are_alike, COUNT_OF(paths) },
        { numbers_are_found_in_queries, 0 },
        { requests_of_one_body_have_one_digest, 0 },
        { uris_are_taken_apart, COUNT_OF(uris) },
        { a_segment_has_255_bytes_at_the_most, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap option", claims);
}
