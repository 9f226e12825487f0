/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/addr.c: which texts are addresses and which are not, how addresses are written,
 * and what the values keep. Random addresses are written and read again.
 */
#include "support/random.h"

#include <kirim/addr.h>

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { ROUND_TRIP_COUNT = 200000, MUTATION_COUNT = 200000 };

static struct kirim_addr parse_ok(const char *text)
{
    struct kirim_addr a = { { 0, 0, 0 } };
    ck_assert_msg(kirim_addr_parse(text, &a) == KIRIM_OK, "refused: %s", text);
    return a;
}

static void check_format(const struct kirim_addr *a, const char *expected)
{
    char text[KIRIM_ADDR_TEXT_BYTES];
    ck_assert_int_eq(kirim_addr_format(a, text, sizeof text), KIRIM_OK);
    ck_assert_str_eq(text, expected);
}

/* ---- reading, and writing again -------------------------------------------------------------- */

static const struct pair {
    const char *read;
    const char *written;
} pairs[] = {
    /* the forms that the docstring lists */
    { "192.0.2.1", "192.0.2.1:0" },
    { "192.0.2.1:53", "192.0.2.1:53" },
    { "2001:db8::1", "[2001:db8::1]:0" },
    { "fe80::1%3", "[fe80::1%3]:0" },
    { "[2001:db8::1]", "[2001:db8::1]:0" },
    { "[2001:db8::1]:53", "[2001:db8::1]:53" },
    { "[fe80::1%3]:53", "[fe80::1%3]:53" },
    /* limits of the numbers */
    { "0.0.0.0:0", "0.0.0.0:0" },
    { "255.255.255.255:65535", "255.255.255.255:65535" },
    { "1.9.10.99", "1.9.10.99:0" },
    { "100.199.249.254:1", "100.199.249.254:1" },
    { "[fe80::%4294967295]:65535", "[fe80::%4294967295]:65535" },
    { "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
      "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
    { "[fe80:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
      "[fe80:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535" },
    { "[febf:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535",
      "[febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535" },
    /* RFC 4291 section 2.2 */
    { "ABCD:EF01:2345:6789:ABCD:EF01:2345:6789", "[abcd:ef01:2345:6789:abcd:ef01:2345:6789]:0" },
    { "2001:DB8:0:0:8:800:200C:417A", "[2001:db8::8:800:200c:417a]:0" },
    { "FF01:0:0:0:0:0:0:101", "[ff01::101]:0" },
    { "0:0:0:0:0:0:0:1", "[::1]:0" },
    { "0:0:0:0:0:0:0:0", "[::]:0" },
    { "::", "[::]:0" },
    { "[::]:1", "[::]:1" },
    { "0:0:0:0:0:0:13.1.68.3", "[::d01:4403]:0" },
    { "::13.1.68.3", "[::d01:4403]:0" },
    /* "::" at every place, for one group at least */
    { "::2:3:4:5:6:7:8", "[0:2:3:4:5:6:7:8]:0" },
    { "1::3:4:5:6:7:8", "[1:0:3:4:5:6:7:8]:0" },
    { "1:2:3:4:5:6:7::", "[1:2:3:4:5:6:7:0]:0" },
    { "1:2:3:4:5:6::", "[1:2:3:4:5:6::]:0" },
    { "1::", "[1::]:0" },
    { "::1:2:3:4:5:6", "[::1:2:3:4:5:6]:0" },
    { "1::8", "[1::8]:0" },
    { "1:2:3:4:5::1.2.3.4", "[1:2:3:4:5:0:102:304]:0" },
    { "1:2:3:4:5:6:1.2.3.4", "[1:2:3:4:5:6:102:304]:0" },
    { "1::1.2.3.4", "[1::102:304]:0" },
    /* RFC 5952 sections 4.1 to 4.3 */
    { "2001:0db8::0001", "[2001:db8::1]:0" },
    { "2001:db8:0:0:0:0:2:1", "[2001:db8::2:1]:0" },
    { "2001:db8::1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:0" },
    { "2001:0:0:1:0:0:0:1", "[2001:0:0:1::1]:0" },
    { "2001:db8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:0" },
    { "2001:DB8::AAAA", "[2001:db8::aaaa]:0" },
    { "0:0:1:0:0:0:0:0", "[0:0:1::]:0" },
    { "0:1:0:1:0:1:0:1", "[0:1:0:1:0:1:0:1]:0" },
    /* RFC 5952 section 5, RFC 6052 section 2.4 */
    { "64:ff9b::192.0.2.33", "[64:ff9b::192.0.2.33]:0" },
    { "64:ff9b::c000:221", "[64:ff9b::192.0.2.33]:0" },
    { "64:ff9b::", "[64:ff9b::0.0.0.0]:0" },
    { "64:ff9b:1::192.0.2.33", "[64:ff9b:1::c000:221]:0" },
    { "64:ff9b::1:192.0.2.33", "[64:ff9b::1:c000:221]:0" },
    /* mapped: the IPv4 address */
    { "::ffff:192.0.2.1", "192.0.2.1:0" },
    { "[::ffff:c000:201]:53", "192.0.2.1:53" },
    { "[0:0:0:0:0:FFFF:192.0.2.1]:53", "192.0.2.1:53" },
    { "::fffe:192.0.2.1", "[::fffe:c000:201]:0" },
    { "::1:ffff:192.0.2.1", "[::1:ffff:c000:201]:0" },
    /* scopes, where an address has one; 0 is none */
    { "fe80::1%0", "[fe80::1]:0" },
    { "ff01::1%7", "[ff01::1%7]:0" },
    { "ff02::1%7", "[ff02::1%7]:0" },
    { "ff12::1%7", "[ff12::1%7]:0" },
};

START_TEST(text_is_read_and_written_in_its_canonical_form)
{
    const struct kirim_addr a = parse_ok(pairs[_i].read);
    check_format(&a, pairs[_i].written);
}
END_TEST

START_TEST(canonical_form_is_read_as_the_same_address)
{
    const struct kirim_addr a = parse_ok(pairs[_i].read);
    const struct kirim_addr b = parse_ok(pairs[_i].written);
    ck_assert(kirim_addr_equal(&a, &b));
    ck_assert_mem_eq(&a, &b, sizeof a);
}
END_TEST

static const char *const refused[] = {
    "",
    " ",
    "-",
    ".",
    ":",
    ":::",
    "[",
    "]",
    "[]",
    "%",
    "localhost",
    "example.com:53",
    /* IPv4 */
    "1",
    "1.2",
    "1.2.3",
    "1.2.3.",
    ".1.2.3",
    "1..2.3",
    "1.2.3.4.5",
    "1.2.3.4.",
    "256.1.1.1",
    "1.1.1.256",
    "1.1.1.1000",
    "4294967297.1.1.1",
    "01.2.3.4",
    "1.2.3.00",
    "0x1.2.3.4",
    "1.2.3.-4",
    "+1.2.3.4",
    "1.2.3.a",
    " 1.2.3.4",
    "1.2.3.4 ",
    "1.2.3.4\n",
    "1.2.3. 4",
    "1.2.3.4%1",
    "[1.2.3.4]",
    "[1.2.3.4]:53",
    "1.2.3.4/8",
    /* ports */
    "1.2.3.4:",
    "1.2.3.4:65536",
    "1.2.3.4:99999999999",
    "1.2.3.4:4294967349",
    "1.2.3.4:-1",
    "1.2.3.4:+1",
    "1.2.3.4:01",
    "1.2.3.4:00",
    "1.2.3.4: 1",
    "1.2.3.4:1 ",
    "1.2.3.4:1:2",
    "1.2.3.4::1",
    "1.2.3.4:0x1",
    "[::1]:",
    "[::1]:65536",
    "[::1]:053",
    "[::1]53",
    "[::1]::53",
    "[::1]:53x",
    "[::1] :53",
    "::1]:53",
    "[::1:53",
    "[[::1]]:53",
    "[::1]]:53",
    /* IPv6 */
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
    ":1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8:",
    ":1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "1::2:3:4:5:6:7:8",
    "1::2::3",
    "::1::",
    "1:::2",
    "::1:",
    ":1::",
    "12345::",
    "::12345",
    "::00001",
    "::g",
    "::1g",
    "0x1::",
    "::-1",
    " ::1",
    "::1 ",
    ":: 1",
    "2001:db8::1/64",
    /* the IPv4 address at the end */
    "::1.2.3",
    "::1.2.3.4.5",
    "::1.2.3.256",
    "::01.2.3.4",
    "::1.2.3.4:5",
    "1.2.3.4::",
    "::1.2.3.4:1.2.3.4",
    "1:2:3:4:5:6:7:1.2.3.4",
    "1:2:3:4:5:1.2.3.4",
    "1::2:3:4:5:6:1.2.3.4",
    "::ffff:1.2.3.",
    "::a.2.3.4",
    /* scopes */
    "fe80::1%",
    "fe80::1%eth0",
    "fe80::1%-1",
    "fe80::1%4294967296",
    "fe80::1%03",
    "fe80::1%3%4",
    "fe80::1% 3",
    "[fe80::1%]:53",
    "[fe80::1]%3",
    "[fe80::1]:53%3",
    "2001:db8::1%3",
    "[2001:db8::1%3]:53",
    "::1%0",
    "::ffff:1.2.3.4%3",
    "ff05::1%3",
    "ff0e::1%3",
    "fec0::1%3",
    "fe7f::1%3",
    /* one character longer than any address is */
    "[febf:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:655350",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
};

START_TEST(anything_else_is_refused_and_writes_nothing)
{
    const struct kirim_addr before = { { 1, 2, 3 } };
    struct kirim_addr a = before;
    ck_assert_msg(kirim_addr_parse(refused[_i], &a) == KIRIM_EINVAL, "taken: %s", refused[_i]);
    ck_assert(kirim_addr_equal(&a, &before));
}
END_TEST

START_TEST(null_is_refused)
{
    struct kirim_addr a;
    ck_assert_int_eq(kirim_addr_parse(NULL, &a), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_addr_parse("192.0.2.1", NULL), KIRIM_EINVAL);
}
END_TEST

START_TEST(reading_stops_at_the_terminating_zero)
{
    /* Each text stands at the end of its own storage, for AddressSanitizer to guard. */
    const size_t bytes = strlen(pairs[_i].read) + 1;
    for (size_t len = 0; len < bytes; len++) {
        char *const text = malloc(len + 1);
        ck_assert_ptr_nonnull(text);
        memcpy(text, pairs[_i].read, len);
        text[len] = '\0';
        struct kirim_addr a;
        const kirim_err err = kirim_addr_parse(text, &a);
        ck_assert(err == KIRIM_OK || err == KIRIM_EINVAL);
        free(text);
    }
}
END_TEST

/* ---- random runs ----------------------------------------------------------------------------- */

/* Groups are mostly zero or full, which is where the canonical form has its corners. */
static struct kirim_addr make_random_addr(struct test_random *r)
{
    uint8_t bytes[16];
    const uint64_t shape = test_random_next(r);
    for (unsigned i = 0; i < 16; i++) {
        const unsigned kind = (unsigned)(shape >> (i / 2 * 2)) & 3U;
        const uint8_t any = (uint8_t)test_random_magnitude(r, 8);
        bytes[i] = kind < 2 ? 0 : kind == 2 ? 0xff : any;
    }
    if (test_random_below(r, 4) == 0) {
        bytes[0] = 0xfe;
        bytes[1] = 0x80;
    } else if (test_random_below(r, 8) == 0) {
        memcpy(bytes, "\0\x64\xff\x9b\0\0\0\0\0\0\0", 12);
    }
    const uint16_t port = (uint16_t)test_random_magnitude(r, 16);
    const uint32_t scope = (uint32_t)test_random_magnitude(r, 32);
    return test_random_below(r, 4) == 0 ? kirim_addr_ipv4(bytes, port)
                                        : kirim_addr_ipv6(bytes, port, scope);
}

START_TEST(any_address_survives_writing_and_reading)
{
    struct test_random r = test_random_start("round trips");
    for (unsigned i = 0; i < ROUND_TRIP_COUNT; i++) {
        const struct kirim_addr a = make_random_addr(&r);
        struct kirim_addr b = { { 0, 0, 0 } };
        char text[KIRIM_ADDR_TEXT_BYTES] = "";
        if (kirim_addr_format(&a, text, sizeof text) != KIRIM_OK ||
            kirim_addr_parse(text, &b) != KIRIM_OK || memcmp(&a, &b, sizeof a) != 0) {
            ck_abort_msg("round %u: %s", i, text);
        }
    }
}
END_TEST

START_TEST(spoiled_text_is_refused_or_read_as_an_address)
{
    static const char spoilers[] = "0123456789afAFgx.:%[] -";
    struct test_random r = test_random_start("spoiled texts");
    for (unsigned i = 0; i < MUTATION_COUNT; i++) {
        char text[KIRIM_ADDR_TEXT_BYTES];
        char again[KIRIM_ADDR_TEXT_BYTES];
        struct kirim_addr a = make_random_addr(&r);
        struct kirim_addr b = { { 0, 0, 0 } };
        ck_assert(kirim_addr_format(&a, text, sizeof text) == KIRIM_OK);
        text[test_random_below(&r, strlen(text))] =
            spoilers[test_random_below(&r, sizeof spoilers - 1)];
        if (kirim_addr_parse(text, &a) != KIRIM_OK) {
            continue;
        }
        if (kirim_addr_format(&a, again, sizeof again) != KIRIM_OK ||
            kirim_addr_parse(again, &b) != KIRIM_OK || !kirim_addr_equal(&a, &b)) {
            ck_abort_msg("round %u: %s is not %s", i, text, again);
        }
    }
}
END_TEST

/* ---- values ---------------------------------------------------------------------------------- */

START_TEST(parts_of_an_address_are_what_it_was_made_of)
{
    static const uint8_t ipv4[4] = { 192, 0, 2, 1 };
    static const uint8_t ipv6[16] = { 0xfe, 0x80, [15] = 9 };
    uint8_t bytes[16];
    const struct kirim_addr a = kirim_addr_ipv4(ipv4, 65535);
    ck_assert_int_eq(kirim_addr_family(&a), KIRIM_IPV4);
    ck_assert_uint_eq(kirim_addr_port(&a), 65535);
    ck_assert_uint_eq(kirim_addr_scope(&a), 0);
    ck_assert_uint_eq(kirim_addr_bytes(&a, bytes), 4);
    ck_assert_mem_eq(bytes, ipv4, 4);
    ck_assert_mem_eq(bytes + 4, "\0\0\0\0\0\0\0\0\0\0\0", 12);
    const struct kirim_addr b = kirim_addr_ipv6(ipv6, 53, UINT32_MAX);
    ck_assert_int_eq(kirim_addr_family(&b), KIRIM_IPV6);
    ck_assert_uint_eq(kirim_addr_port(&b), 53);
    ck_assert_uint_eq(kirim_addr_scope(&b), UINT32_MAX);
    ck_assert_uint_eq(kirim_addr_bytes(&b, bytes), 16);
    ck_assert_mem_eq(bytes, ipv6, 16);
}
END_TEST

START_TEST(address_bytes_lie_in_the_words_as_on_the_wire)
{
    static const uint8_t ipv6[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
    const struct kirim_addr a = kirim_addr_ipv6(ipv6, 0x1234, 0);
    ck_assert_mem_eq(a.word, ipv6, 16);
    ck_assert_uint_eq(a.word[2], UINT64_C(0x0006123400000000));
}
END_TEST

START_TEST(mapped_address_becomes_the_ipv4_address)
{
    static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1 };
    const struct kirim_addr a = kirim_addr_ipv6(mapped, 53, 7);
    const struct kirim_addr b = kirim_addr_ipv4(mapped + 12, 53);
    ck_assert_mem_eq(&a, &b, sizeof a);
}
END_TEST

START_TEST(scope_is_kept_only_where_an_address_needs_one)
{
    static const struct {
        uint8_t head[2];
        bool is_kept;
    } heads[] = {
        { { 0xfe, 0x7f }, false }, { { 0xfe, 0x80 }, true },  { { 0xfe, 0xbf }, true },
        { { 0xfe, 0xc0 }, false }, { { 0xff, 0x00 }, false }, { { 0xff, 0x01 }, true },
        { { 0xff, 0x02 }, true },  { { 0xff, 0x03 }, false }, { { 0xff, 0x12 }, true },
        { { 0xff, 0x31 }, true },  { { 0xff, 0x0e }, false }, { { 0x20, 0x01 }, false },
        { { 0x00, 0x02 }, false }, { { 0xfd, 0x80 }, false }, { { 0x00, 0x00 }, false },
    };
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        const uint8_t bytes[16] = { heads[i].head[0], heads[i].head[1], [15] = 1 };
        const struct kirim_addr a = kirim_addr_ipv6(bytes, 53, 9);
        ck_assert_uint_eq(kirim_addr_scope(&a), heads[i].is_kept ? 9 : 0);
    }
}
END_TEST

START_TEST(setting_the_port_leaves_the_rest)
{
    struct kirim_addr a = parse_ok("[fe80::1%4294967295]:65535");
    kirim_addr_set_port(&a, 0);
    check_format(&a, "[fe80::1%4294967295]:0");
    kirim_addr_set_port(&a, 53);
    check_format(&a, "[fe80::1%4294967295]:53");
}
END_TEST

START_TEST(addresses_differ_by_family_bytes_port_and_scope)
{
    static const char *const texts[] = { "0.0.0.0",      "[::]",        "0.0.0.0:1",
                                         "0.0.0.1",      "[::1]",       "[::1]:1",
                                         "[::1:0:0:0]",  "[fe80::1%1]", "[fe80::1%2]",
                                         "[1:0:0:0::1]", "[fe80::1]" };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        for (size_t k = 0; k < COUNT_OF(texts); k++) {
            const struct kirim_addr a = parse_ok(texts[i]);
            const struct kirim_addr b = parse_ok(texts[k]);
            ck_assert_int_eq(kirim_addr_equal(&a, &b), i == k);
        }
    }
}
END_TEST

START_TEST(ranges_are_known_up_to_their_edges)
{
    enum { NOTHING = 0, WILDCARD = 1, LOOPBACK = 2, MULTICAST = 4 };
    static const struct {
        const char *text;
        int expected;
    } rows[] = {
        { "0.0.0.0", WILDCARD },
        { "0.0.0.0:53", WILDCARD },
        { "0.0.0.1", NOTHING },
        { "126.255.255.255", NOTHING },
        { "127.0.0.0", LOOPBACK },
        { "127.0.0.1:53", LOOPBACK },
        { "127.255.255.255", LOOPBACK },
        { "128.0.0.0", NOTHING },
        { "223.255.255.255", NOTHING },
        { "224.0.0.0", MULTICAST },
        { "239.255.255.255", MULTICAST },
        { "240.0.0.0", NOTHING },
        { "::", WILDCARD },
        { "[::]:53", WILDCARD },
        { "::1", LOOPBACK },
        { "[::1]:53", LOOPBACK },
        { "::2", NOTHING },
        { "1::1", NOTHING },
        { "feff::", NOTHING },
        { "ff00::", MULTICAST },
        { "ffff::", MULTICAST },
        { "::ffff:127.0.0.1", LOOPBACK },
        { "7f00::", NOTHING },
        { "e000::", NOTHING },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct kirim_addr a = parse_ok(rows[i].text);
        const int actual = (kirim_addr_is_wildcard(&a) ? WILDCARD : 0) |
                           (kirim_addr_is_loopback(&a) ? LOOPBACK : 0) |
                           (kirim_addr_is_multicast(&a) ? MULTICAST : 0);
        ck_assert_msg(actual == rows[i].expected, "%s: %d", rows[i].text, actual);
    }
}
END_TEST

START_TEST(no_address_is_a_dash_and_in_no_range)
{
    const struct kirim_addr none = { { 0, 0, 0 } };
    uint8_t bytes[16];
    check_format(&none, "-");
    ck_assert_int_eq(kirim_addr_family(&none), KIRIM_FAMILY_NONE);
    ck_assert_uint_eq(kirim_addr_bytes(&none, bytes), 0);
    ck_assert(!kirim_addr_is_wildcard(&none));
    ck_assert(!kirim_addr_is_loopback(&none));
    ck_assert(!kirim_addr_is_multicast(&none));
}
END_TEST

START_TEST(text_that_does_not_fit_is_not_written_in_part)
{
    const struct kirim_addr a = parse_ok(pairs[_i].read);
    const size_t needed = strlen(pairs[_i].written) + 1;
    ck_assert_uint_le(needed, KIRIM_ADDR_TEXT_BYTES);
    for (size_t bytes = 0; bytes <= needed + 1; bytes++) {
        char *const text = malloc(bytes + 1); /* malloc(0) may give NULL */
        ck_assert_ptr_nonnull(text);
        memset(text, '#', bytes + 1);
        const kirim_err err = kirim_addr_format(&a, text, bytes);
        ck_assert_int_eq(err, bytes < needed ? KIRIM_EMSGSIZE : KIRIM_OK);
        if (bytes > 0) {
            ck_assert_str_eq(text, bytes < needed ? "" : pairs[_i].written);
        }
        ck_assert_int_eq(text[bytes], '#');
        free(text);
    }
    ck_assert_int_eq(kirim_addr_format(&a, NULL, 0), KIRIM_EMSGSIZE);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("addr");
    TCase *const text = tcase_create("text");
    tcase_add_loop_test(text, text_is_read_and_written_in_its_canonical_form, 0, COUNT_OF(pairs));
    tcase_add_loop_test(text, canonical_form_is_read_as_the_same_address, 0, COUNT_OF(pairs));
    tcase_add_loop_test(text, anything_else_is_refused_and_writes_nothing, 0, COUNT_OF(refused));
    tcase_add_loop_test(text, reading_stops_at_the_terminating_zero, 0, COUNT_OF(pairs));
    tcase_add_loop_test(text, text_that_does_not_fit_is_not_written_in_part, 0, COUNT_OF(pairs));
    tcase_add_test(text, null_is_refused);
    suite_add_tcase(suite, text);
    TCase *const random_runs = tcase_create("random runs");
    tcase_set_timeout(random_runs, 60);
    tcase_add_test(random_runs, any_address_survives_writing_and_reading);
    tcase_add_test(random_runs, spoiled_text_is_refused_or_read_as_an_address);
    suite_add_tcase(suite, random_runs);
    TCase *const values = tcase_create("values");
    tcase_add_test(values, parts_of_an_address_are_what_it_was_made_of);
    tcase_add_test(values, address_bytes_lie_in_the_words_as_on_the_wire);
    tcase_add_test(values, mapped_address_becomes_the_ipv4_address);
    tcase_add_test(values, scope_is_kept_only_where_an_address_needs_one);
    tcase_add_test(values, setting_the_port_leaves_the_rest);
    tcase_add_test(values, addresses_differ_by_family_bytes_port_and_scope);
    tcase_add_test(values, ranges_are_known_up_to_their_edges);
    tcase_add_test(values, no_address_is_a_dash_and_in_no_range);
    suite_add_tcase(suite, values);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
