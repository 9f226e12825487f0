/* SPDX-License-Identifier: MIT
 *
 * Claims about the data of records: each type from text to wire and back, what is refused and at
 * which word, unknown types, times, addresses.
 */
#include "kit.h"

enum { WORD_COUNT_MAX = 32 };

/* Words divided by blanks; those in quotes lose them. */
static size_t cut_words(const char *text, struct kirim_dns_word words[WORD_COUNT_MAX])
{
    size_t count = 0;
    while (*text != '\0') {
        const bool is_quoted = *text == '"';
        text += is_quoted ? 1 : 0;
        const size_t bytes = strcspn(text, is_quoted ? "\"" : " ");
        words[count++] =
            (struct kirim_dns_word){ .text = text, .bytes = bytes, .is_quoted = is_quoted };
        text += bytes + (is_quoted ? 1 : 0);
        text += strspn(text, " ");
    }
    return count;
}

/* Reads data from text, relative to "example."; the data lie in a static buffer. */
static kirim_err parse_text(uint16_t type, const char *text, struct kirim_dns_rdata_parse *parse)
{
    static uint8_t data[KIRIM_DNS_RDATA_BYTES_MAX];
    static struct kirim_dns_word words[WORD_COUNT_MAX];
    static struct kirim_dns_name origin;
    origin = kit_name("example.");
    *parse = (struct kirim_dns_rdata_parse)KIRIM_DNS_RDATA_PARSE_INIT;
    parse->word_count = cut_words(text, words);
    parse->words = words;
    parse->origin = &origin;
    parse->out = (struct kirim_dns_room){ data, sizeof data, 0 };
    return kirim_dns_rdata_parse(type, parse);
}

/* ---- text to wire and back ------------------------------------------------------------------- */

static const struct round_case {
    uint16_t type;
    const char *text;
    const char *wire;
    size_t bytes;
    const char *written;
} rounds[] = {
#define WIRE(text) text, sizeof(text) - 1
    { KIRIM_DNS_A, "192.0.2.1", WIRE("\300\0\2\1"), "192.0.2.1" },
    { KIRIM_DNS_AAAA, "2001:DB8::1", WIRE("\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1"), "2001:db8::1" },
    { KIRIM_DNS_NS, "ns", WIRE("\2ns\7example\0"), "ns.example." },
    { KIRIM_DNS_NS, "@", WIRE("\7example\0"), "example." },
    { KIRIM_DNS_CNAME, "a.b.", WIRE("\1a\1b\0"), "a.b." },
    { KIRIM_DNS_PTR, ".", WIRE("\0"), "." },
    { KIRIM_DNS_MX, "10 mail", WIRE("\0\12\4mail\7example\0"), "10 mail.example." },
    { KIRIM_DNS_MX, "0 .", WIRE("\0\0\0"), "0 ." },
    { KIRIM_DNS_SOA, "a. b. 4294967295 1h 2m30s 3 0",
      WIRE("\1a\0\1b\0\377\377\377\377\0\0\16\20\0\0\0\226\0\0\0\3\0\0\0\0"),
      "a. b. 4294967295 3600 150 3 0" },
    { KIRIM_DNS_TXT, "abc", WIRE("\3abc"), "\"abc\"" },
    { KIRIM_DNS_TXT, "\"a b\" c", WIRE("\3a b\1c"), "\"a b\" \"c\"" },
    { KIRIM_DNS_TXT, "\"\"", WIRE("\0"), "\"\"" },
    { KIRIM_DNS_TXT, "a\\\"b\\\\c\\007\\255", WIRE("\7a\"b\\c\7\377"),
      "\"a\\\"b\\\\c\\007\\255\"" },
    { KIRIM_DNS_SRV, "1 2 65535 host", WIRE("\0\1\0\2\377\377\4host\7example\0"),
      "1 2 65535 host.example." },
    { KIRIM_DNS_CAA, "128 issue \"ca.test; x=1\"", WIRE("\200\5issueca.test; x=1"),
      "128 issue \"ca.test; x=1\"" },
    { KIRIM_DNS_CAA, "0 issue \"\"", WIRE("\0\5issue"), "0 issue \"\"" },
    { KIRIM_DNS_DS, "60485 5 1 2BB1 83af", WIRE("\354\105\5\1\53\261\203\257"),
      "60485 5 1 2bb183af" },
    { 65280, "\\# 3 abcDEF", WIRE("\253\315\357"), "\\# 3 abcdef" },
    { 65280, "\\# 4 0102 0304", WIRE("\1\2\3\4"), "\\# 4 01020304" },
    { 65280, "\\# 0", WIRE(""), "\\# 0" },
    { KIRIM_DNS_A, "\\# 4 C0000201", WIRE("\300\0\2\1"), "192.0.2.1" },
    { KIRIM_DNS_MX, "\\# 4 000a0161", WIRE(""), NULL }, /* a name without its root */
    { KIRIM_DNS_MX, "\\# 5 000a016100", WIRE("\0\12\1a\0"), "10 a." },
};

START_TEST(data_go_from_text_to_wire_and_back)
{
    const struct round_case *const c = &rounds[_i];
    struct kirim_dns_rdata_parse parse;
    char text[1024];
    const kirim_err err = parse_text(c->type, c->text, &parse);
    ck_assert_msg(err == (c->written != NULL ? KIRIM_OK : KIRIM_DNS_EFORM), "%s", c->text);
    if (err < 0) {
        return;
    }
    ck_assert_uint_eq(parse.out.bytes, c->bytes);
    ck_assert_mem_eq(parse.out.data, c->wire, c->bytes);
    const struct kirim_dns_record record = { .type = c->type,
                                             .rdata = parse.out.data,
                                             .rdata_bytes = (uint16_t)c->bytes };
    ck_assert_int_eq(kirim_dns_rdata_check(c->type, parse.out.data, c->bytes), KIRIM_OK);
    ck_assert_int_eq(kirim_dns_rdata_format(&record, text, sizeof text), KIRIM_OK);
    ck_assert_str_eq(text, c->written);
    ck_assert_int_eq(kirim_dns_rdata_format(&record, text, strlen(c->written)), KIRIM_EMSGSIZE);
    ck_assert_int_eq(kirim_dns_rdata_format(&record, text, strlen(c->written) + 1), KIRIM_OK);
}
END_TEST

static const struct refused_case {
    uint16_t type;
    const char *text;
    size_t word;
    const char *why;
} refused[] = {
    { KIRIM_DNS_A, "", 0, "A needs: ADDRESS" },
    { KIRIM_DNS_A, "192.0.2.1 x", 1, "A needs: ADDRESS" },
    { KIRIM_DNS_A, "2001:db8::1", 0, "not an IPv4 address" },
    { KIRIM_DNS_AAAA, "192.0.2.1", 0, "not an IPv6 address" },
    { KIRIM_DNS_MX, "10", 1, "MX needs: PREFERENCE NAME" },
    { KIRIM_DNS_MX, "65536 a", 0, "not a number from 0 to 65535" },
    { KIRIM_DNS_MX, "-1 a", 0, "not a number from 0 to 65535" },
    { KIRIM_DNS_MX, "\"10\" a", 0, "not a number from 0 to 65535" },
    { KIRIM_DNS_MX, "10 a..b", 1, "an empty label inside a name" },
    { KIRIM_DNS_SOA, "a. b. 4294967296 1 1 1 1", 2, "not a number from 0 to 4294967295" },
    { KIRIM_DNS_SOA, "a. b. 1 1x 1 1 1", 3, "not a time in seconds" },
    { KIRIM_DNS_SOA, "a. b. 1 1 1 1", 6,
      "SOA needs: MNAME RNAME SERIAL REFRESH RETRY EXPIRE MINIMUM" },
    { KIRIM_DNS_TXT, "", 0, "TXT needs: STRING..." },
    { KIRIM_DNS_TXT, "a \\12", 1, "a backslash without a character or three digits up to 255" },
    { KIRIM_DNS_TXT, "a \\256", 1, "a backslash without a character or three digits up to 255" },
    { KIRIM_DNS_CAA, "256 issue x", 0, "not a number from 0 to 255" },
    { KIRIM_DNS_CAA, "0 a-b x", 0, "CAA needs: FLAGS TAG VALUE" },
    { KIRIM_DNS_CAA, "0 \"\" x", 0, "CAA needs: FLAGS TAG VALUE" },
    { KIRIM_DNS_DS, "1 2 3", 3, "DS needs: KEYTAG ALGORITHM DIGESTTYPE DIGEST" },
    { KIRIM_DNS_DS, "1 2 3 abc", 3, "not pairs of hexadecimal digits" },
    { 65280, "abc", 0, "data of a type that is not known here begin with \\#" },
    { 65280, "\\#", 1, "\\# needs a length from 0 to 65535" },
    { 65280, "\\# 65536", 1, "\\# needs a length from 0 to 65535" },
    { 65280, "\\# 2 abc", 2, "not pairs of hexadecimal digits" },
    { 65280, "\\# 2 0g", 2, "not pairs of hexadecimal digits" },
    { 65280, "\\# 2 ab", 1, "\\# gives another length than its data have" },
    { 65280, "\\# 1 abcd", 1, "\\# gives another length than its data have" },
    { KIRIM_DNS_A, "\\# 3 010203", 0, "A needs: ADDRESS" },
    { KIRIM_DNS_NS, "\\# 2 c00c", 0, "NS needs: NAME" },
};

START_TEST(what_is_wrong_is_said_of_the_right_word)
{
    const struct refused_case *const c = &refused[_i];
    struct kirim_dns_rdata_parse parse;
    ck_assert_msg(parse_text(c->type, c->text, &parse) == KIRIM_DNS_EFORM, "%s", c->text);
    ck_assert_str_eq(parse.complaint.text, c->why);
    ck_assert_uint_eq(parse.complaint.word, c->word);
}
END_TEST

START_TEST(string_has_at_most_255_bytes)
{
    struct kirim_dns_rdata_parse parse;
    char text[257];
    memset(text, 'a', sizeof text);
    text[255] = '\0';
    ck_assert_int_eq(parse_text(KIRIM_DNS_TXT, text, &parse), KIRIM_OK);
    ck_assert_uint_eq(parse.out.bytes, 256);
    text[255] = 'a';
    text[256] = '\0';
    ck_assert_int_eq(parse_text(KIRIM_DNS_TXT, text, &parse), KIRIM_DNS_EFORM);
    ck_assert_str_eq(parse.complaint.text, "a string of more than 255 bytes");
}
END_TEST

START_TEST(data_end_at_the_room_they_have)
{
    static const struct kirim_dns_word word = { .text = "abcd", .bytes = 4 };
    uint8_t data[5];
    for (size_t room = 0; room <= sizeof data; room++) {
        struct kirim_dns_rdata_parse parse = KIRIM_DNS_RDATA_PARSE_INIT;
        parse.words = &word;
        parse.word_count = 1;
        parse.out = (struct kirim_dns_room){ data, room, 0 };
        ck_assert_int_eq(kirim_dns_rdata_parse(KIRIM_DNS_TXT, &parse),
                         room < 5 ? KIRIM_DNS_EFORM : KIRIM_OK);
    }
}
END_TEST

/* ---- wire ------------------------------------------------------------------------------------ */

static const struct check_case {
    const char *wire;
    size_t bytes;
    kirim_err err;
    uint16_t type;
} checks[] = {
    { WIRE("\1\2\3"), KIRIM_DNS_ESHORT, KIRIM_DNS_A },
    { WIRE("\1\2\3\4\5"), KIRIM_DNS_EFORM, KIRIM_DNS_A },
    { WIRE(""), KIRIM_DNS_ESHORT, KIRIM_DNS_NS },
    { WIRE("\1"), KIRIM_DNS_ESHORT, KIRIM_DNS_NS },
    { WIRE("\1a"), KIRIM_DNS_ESHORT, KIRIM_DNS_NS },
    { WIRE("\1a\0x"), KIRIM_DNS_EFORM, KIRIM_DNS_NS },
    { WIRE("\300\14"), KIRIM_DNS_EFORM, KIRIM_DNS_NS },
    { WIRE(""), KIRIM_DNS_ESHORT, KIRIM_DNS_TXT },
    { WIRE("\1"), KIRIM_DNS_ESHORT, KIRIM_DNS_TXT },
    { WIRE("\1a\2b"), KIRIM_DNS_ESHORT, KIRIM_DNS_TXT },
    { WIRE("\0"), KIRIM_DNS_ESHORT, KIRIM_DNS_CAA },
    { WIRE("\0\0"), KIRIM_DNS_EFORM, KIRIM_DNS_CAA },
    { WIRE("\0\2a"), KIRIM_DNS_ESHORT, KIRIM_DNS_CAA },
    { WIRE("\0\1-"), KIRIM_DNS_EFORM, KIRIM_DNS_CAA },
    { WIRE("\0\0\0\0\0"), KIRIM_DNS_ESHORT, KIRIM_DNS_SRV },
    { WIRE("\0\1\2\3"), KIRIM_DNS_ESHORT, KIRIM_DNS_DS },
    { WIRE(""), KIRIM_OK, 65280 },
};

START_TEST(wrong_data_are_refused_and_written_as_bytes)
{
    const struct check_case *const c = &checks[_i];
    const struct kirim_dns_record record = { .type = c->type,
                                             .rdata = (const uint8_t *)c->wire,
                                             .rdata_bytes = (uint16_t)c->bytes };
    char text[128];
    ck_assert_int_eq(kirim_dns_rdata_check(c->type, record.rdata, c->bytes), c->err);
    ck_assert_int_eq(kirim_dns_rdata_format(&record, text, sizeof text), KIRIM_OK);
    ck_assert_mem_eq(text, "\\# ", 3);
}
END_TEST

START_TEST(name_of_255_bytes_is_the_longest)
{
    uint8_t wire[257];
    for (size_t i = 0; i < 4; i++) {
        wire[64 * i] = 63;
        memset(wire + 64 * i + 1, 'a', 63);
    }
    wire[192] = 61;
    wire[254] = 0;
    ck_assert_int_eq(kirim_dns_rdata_check(KIRIM_DNS_NS, wire, 255), KIRIM_OK);
    wire[192] = 62;
    wire[255] = 0;
    ck_assert_int_eq(kirim_dns_rdata_check(KIRIM_DNS_NS, wire, 256), KIRIM_DNS_ENAME);
}
END_TEST

/* ---- types and times ------------------------------------------------------------------------- */

START_TEST(types_have_names_and_numbers)
{
    static const struct {
        const char *text;
        uint16_t type;
        const char *written; /* NULL: not a type */
    } cases[] = {
        { "A", 1, "A" },
        { "aaaa", 28, "AAAA" },
        { "CaA", 257, "CAA" },
        { "TYPE1", 1, "A" },
        { "type65535", 65535, "TYPE65535" },
        { "TYPE65280", 65280, "TYPE65280" },
        { "ANY", 255, "ANY" },
        { "DS", 43, "DS" },
        { "TYPE0", 0, "TYPE0" },
        { "TYPE", 0, NULL },
        { "TYPE65536", 0, NULL },
        { "TYPE1x", 0, NULL },
        { "TYPE000001", 0, NULL },
        { "", 0, NULL },
        { "AA", 0, NULL },
        { "A ", 0, NULL },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[KIRIM_DNS_TYPE_TEXT_BYTES];
        uint16_t type = 0;
        const kirim_err err = kirim_dns_type_parse(cases[i].text, strlen(cases[i].text), &type);
        ck_assert_msg(err == (cases[i].written != NULL ? KIRIM_OK : KIRIM_DNS_EFORM), "%s",
                      cases[i].text);
        if (err == KIRIM_OK) {
            ck_assert_uint_eq(type, cases[i].type);
            kirim_dns_type_format(type, text);
            ck_assert_str_eq(text, cases[i].written);
        }
    }
}
END_TEST

START_TEST(times_have_units)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
    } cases[] = {
        { "0", 0 },
        { "3600", 3600 },
        { "1h", 3600 },
        { "1H30M", 5400 },
        { "1w2d3h4m5s", 788645 },
        { "2147483647", 2147483647 },
        { "2147483648", -1 },
        { "99999999999999999999", -1 },
        { "3551w", -1 },
        { "", -1 },
        { "h", -1 },
        { "1x", -1 },
        { "1h30", -1 },
        { "1 h", -1 },
        { "-1", -1 },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint32_t seconds = 0;
        const kirim_err err = kirim_dns_seconds_parse(cases[i].text, strlen(cases[i].text),
                                                      KIRIM_DNS_TTL_MAX, &seconds);
        ck_assert_msg(err == (cases[i].seconds >= 0 ? KIRIM_OK : KIRIM_DNS_EFORM), "%s",
                      cases[i].text);
        ck_assert(err < 0 || seconds == cases[i].seconds);
    }
}
END_TEST

static const struct address_case {
    uint16_t type;
    const char *text;
    const char *written; /* NULL: refused */
} addresses[] = {
    { KIRIM_DNS_A, "0.0.0.0", "0.0.0.0" },
    { KIRIM_DNS_A, "255.255.255.255", "255.255.255.255" },
    { KIRIM_DNS_A, "256.0.0.1", NULL },
    { KIRIM_DNS_A, "01.0.0.1", NULL },
    { KIRIM_DNS_A, "1.2.3", NULL },
    { KIRIM_DNS_A, "1.2.3.4.5", NULL },
    { KIRIM_DNS_A, "1.2.3.4:53", NULL },
    { KIRIM_DNS_A, "1..3.4", NULL },
    { KIRIM_DNS_AAAA, "::", "::" },
    { KIRIM_DNS_AAAA, "::1", "::1" },
    { KIRIM_DNS_AAAA, "1::", "1::" },
    { KIRIM_DNS_AAAA, "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
    { KIRIM_DNS_AAAA, "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
    { KIRIM_DNS_AAAA, "::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8" },
    { KIRIM_DNS_AAAA, "1:0:0:2:0:0:0:3", "1:0:0:2::3" },
    { KIRIM_DNS_AAAA, "1:0:0:2:0:0:3:4", "1::2:0:0:3:4" },
    { KIRIM_DNS_AAAA, "::ffff:192.0.2.1", "::ffff:192.0.2.1" },
    { KIRIM_DNS_AAAA, "::192.0.2.1", "::c000:201" },
    { KIRIM_DNS_AAAA, "FE80::ABCD", "fe80::abcd" },
    { KIRIM_DNS_AAAA, "", NULL },
    { KIRIM_DNS_AAAA, ":", NULL },
    { KIRIM_DNS_AAAA, ":::", NULL },
    { KIRIM_DNS_AAAA, "1:", NULL },
    { KIRIM_DNS_AAAA, ":1::", NULL },
    { KIRIM_DNS_AAAA, "1::2::3", NULL },
    { KIRIM_DNS_AAAA, "1:2:3:4:5:6:7", NULL },
    { KIRIM_DNS_AAAA, "1:2:3:4:5:6:7:8:9", NULL },
    { KIRIM_DNS_AAAA, "1:2:3:4::5:6:7:8", NULL },
    { KIRIM_DNS_AAAA, "12345::", NULL },
    { KIRIM_DNS_AAAA, "g::", NULL },
    { KIRIM_DNS_AAAA, "fe80::1%1", NULL },
    { KIRIM_DNS_AAAA, "1:2:3:4:5:6:7:1.2.3.4", NULL },
    { KIRIM_DNS_AAAA, "::1.2.3", NULL },
    { KIRIM_DNS_AAAA, "1.2.3.4::", NULL },
};

START_TEST(addresses_are_read_exactly)
{
    const struct address_case *const c = &addresses[_i];
    struct kirim_dns_rdata_parse parse;
    char text[64];
    const char *const quoted = c->text[0] == '\0' ? "\"\"" : c->text;
    const kirim_err err = parse_text(c->type, quoted, &parse);
    ck_assert_msg(err == (c->written != NULL ? KIRIM_OK : KIRIM_DNS_EFORM), "%s", c->text);
    if (err == KIRIM_OK) {
        const struct kirim_dns_record record = { .type = c->type,
                                                 .rdata = parse.out.data,
                                                 .rdata_bytes = (uint16_t)parse.out.bytes };
        ck_assert_int_eq(kirim_dns_rdata_format(&record, text, sizeof text), KIRIM_OK);
        ck_assert_str_eq(text, c->written);
    }
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { data_go_from_text_to_wire_and_back, COUNT_OF(rounds) },
        { what_is_wrong_is_said_of_the_right_word, COUNT_OF(refused) },
        { string_has_at_most_255_bytes, 0 },
        { data_end_at_the_room_they_have, 0 },
        { wrong_data_are_refused_and_written_as_bytes, COUNT_OF(checks) },
        { name_of_255_bytes_is_the_longest, 0 },
        { types_have_names_and_numbers, 0 },
        { times_have_units, 0 },
        { addresses_are_read_exactly, COUNT_OF(addresses) },
        { NULL, 0 },
    };
    return kit_main("protocols/dns record", claims);
}
