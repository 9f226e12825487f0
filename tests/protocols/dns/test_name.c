/* SPDX-License-Identifier: MIT
 *
 * Claims about names: their text and their wire form, compression pointers, comparison and order.
 */
#include "kit.h"
#include "support/random.h"

enum { ROUND_TRIP_COUNT = 20000 };

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A62 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A61 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* ---- text ------------------------------------------------------------------------------------ */

static const struct text_case {
    const char *text;
    const char *written; /* with origin "example."; NULL: refused */
    kirim_err err;
} texts[] = {
    { ".", ".", KIRIM_OK },
    { "a.", "a.", KIRIM_OK },
    { "a", "a.example.", KIRIM_OK },
    { "a.b", "a.b.example.", KIRIM_OK },
    { "A.b.", "A.b.", KIRIM_OK },
    { "*.a.", "*.a.", KIRIM_OK },
    { "_x._udp.a.", "_x._udp.a.", KIRIM_OK },
    { "a\\.b.c.", "a\\.b.c.", KIRIM_OK },
    { "a\\032b.", "a\\032b.", KIRIM_OK },
    { "\\097.", "a.", KIRIM_OK },
    { "\\a.", "a.", KIRIM_OK },
    { "\\\\.", "\\\\.", KIRIM_OK },
    { "\\000\\255.", "\\000\\255.", KIRIM_OK },
    { "a\\(b\\;\\\"\\@\\$.", "a\\(b\\;\\\"\\@\\$.", KIRIM_OK },
    { "@.", "\\@.", KIRIM_OK },
    { A63 ".", A63 ".", KIRIM_OK },
    { A63 "a.", NULL, KIRIM_DNS_ELABEL },
    { A63 "\\097.", NULL, KIRIM_DNS_ELABEL },
    { A63 "." A63 "." A63 "." A61 ".", A63 "." A63 "." A63 "." A61 ".", KIRIM_OK },
    { A63 "." A63 "." A63 "." A62 ".", NULL, KIRIM_DNS_ENAME },
    { A63 "." A63 "." A63 "." A62, NULL, KIRIM_DNS_ENAME },
    { "", NULL, KIRIM_DNS_EEMPTY },
    { "..", NULL, KIRIM_DNS_EEMPTY },
    { ".a", NULL, KIRIM_DNS_EEMPTY },
    { "a..b", NULL, KIRIM_DNS_EEMPTY },
    { "a..", NULL, KIRIM_DNS_EEMPTY },
    { "a\\", NULL, KIRIM_DNS_EESCAPE },
    { "a\\1", NULL, KIRIM_DNS_EESCAPE },
    { "a\\12", NULL, KIRIM_DNS_EESCAPE },
    { "a\\12x", NULL, KIRIM_DNS_EESCAPE },
    { "a\\256", NULL, KIRIM_DNS_EESCAPE },
    { "a\\999", NULL, KIRIM_DNS_EESCAPE },
};

START_TEST(text_is_read_and_written_again)
{
    const struct text_case *const c = &texts[_i];
    const struct kirim_dns_name origin = kit_name("example.");
    struct kirim_dns_name name;
    ck_assert_int_eq(kirim_dns_name_parse(c->text, strlen(c->text), &origin, &name), c->err);
    if (c->written != NULL) {
        ck_assert_str_eq(kit_name_text(&name), c->written);
    }
}
END_TEST

START_TEST(relative_name_needs_an_origin)
{
    struct kirim_dns_name name;
    ck_assert_int_eq(kirim_dns_name_parse("a", 1, NULL, &name), KIRIM_DNS_ERELATIVE);
    ck_assert_int_eq(kirim_dns_name_parse("a.", 2, NULL, &name), KIRIM_OK);
}
END_TEST

/* 3 * 64 + 61 + 1 is 254 bytes with the root; one more label byte fits, two do not. */
START_TEST(relative_name_is_limited_with_its_origin)
{
    const struct kirim_dns_name origin = kit_name(A63 "." A63 "." A63 ".");
    struct kirim_dns_name name;
    ck_assert_int_eq(kirim_dns_name_parse(A61, 61, &origin, &name), KIRIM_OK);
    ck_assert_uint_eq(name.bytes, 255);
    ck_assert_int_eq(kirim_dns_name_parse(A62, 62, &origin, &name), KIRIM_DNS_ENAME);
}
END_TEST

START_TEST(origin_may_be_the_result)
{
    struct kirim_dns_name name = kit_name("example.");
    ck_assert_int_eq(kirim_dns_name_parse("a.b", 3, &name, &name), KIRIM_OK);
    ck_assert_str_eq(kit_name_text(&name), "a.b.example.");
}
END_TEST

START_TEST(name_has_at_most_127_labels)
{
    char text[2 * 128 + 1];
    struct kirim_dns_name name;
    for (size_t i = 0; i < 127; i++) {
        memcpy(text + 2 * i, "a.", 3);
    }
    ck_assert_int_eq(kirim_dns_name_parse(text, 254, NULL, &name), KIRIM_OK);
    ck_assert_uint_eq(name.label_count, 127);
    ck_assert_uint_eq(name.bytes, 255);
    memcpy(text + 254, "a.", 3);
    ck_assert_int_eq(kirim_dns_name_parse(text, 256, NULL, &name), KIRIM_DNS_ENAME);
}
END_TEST

START_TEST(text_room_suffices_for_the_worst_name)
{
    uint8_t wire[255];
    struct kirim_dns_name name;
    char text[KIRIM_DNS_NAME_TEXT_BYTES];
    size_t at = 0;
    for (size_t i = 0; i < 4; i++) {
        const uint8_t length = i < 3 ? 63 : 61;
        wire[at] = length;
        memset(wire + at + 1, 0xff, length);
        at += 1U + length;
    }
    wire[at] = 0;
    at = 0;
    ck_assert_int_eq(kirim_dns_name_read(wire, sizeof wire, &at, &name), KIRIM_OK);
    ck_assert_int_eq(kirim_dns_name_format(&name, text, sizeof text), KIRIM_OK);
    ck_assert_uint_eq(strlen(text), 250 * 4 + 4);
    ck_assert_int_eq(kirim_dns_name_format(&name, text, 250 * 4 + 4), KIRIM_EMSGSIZE);
    ck_assert_int_eq(kirim_dns_name_format(&name, text, 250 * 4 + 5), KIRIM_OK);
    ck_assert_int_eq(kirim_dns_name_format(&name, text, 1), KIRIM_EMSGSIZE);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(random_bytes_survive_text)
{
    struct test_random random = test_random_start("names");
    for (int i = 0; i < ROUND_TRIP_COUNT; i++) {
        struct kirim_dns_name name = { .bytes = 0 };
        struct kirim_dns_name again;
        char text[KIRIM_DNS_NAME_TEXT_BYTES];
        size_t at = 0;
        while (test_random_below(&random, 8) > 0) {
            const size_t length = 1 + test_random_below(&random, 63);
            if (at + 1 + length + 1 > sizeof name.wire) {
                break;
            }
            name.wire[at] = (uint8_t)length;
            for (size_t k = 1; k <= length; k++) {
                name.wire[at + k] = (uint8_t)test_random_next(&random);
            }
            at += 1 + length;
            name.label_count++;
        }
        name.wire[at] = 0;
        name.bytes = (uint8_t)(at + 1);
        ck_assert_int_eq(kirim_dns_name_format(&name, text, sizeof text), KIRIM_OK);
        ck_assert_int_eq(kirim_dns_name_parse(text, strlen(text), NULL, &again), KIRIM_OK);
        ck_assert_uint_eq(again.label_count, name.label_count);
        ck_assert_uint_eq(again.bytes, name.bytes);
        ck_assert_mem_eq(again.wire, name.wire, name.bytes);
    }
}
END_TEST

/* ---- wire ------------------------------------------------------------------------------------ */

/* A message of 12 bytes of header and what follows; the name is read at `at`. */
static const struct wire_case {
    const char *what;
    const char *bytes;
    size_t count;
    size_t at;
    const char *written; /* NULL: refused */
    kirim_err err;
    size_t end;
} wires[] = {
#define WIRE(text) text, sizeof(text) - 1
    { "root", WIRE("\0"), 12, ".", KIRIM_OK, 13 },
    { "two labels", WIRE("\1a\2bc\0"), 12, "a.bc.", KIRIM_OK, 18 },
    { "a pointer", WIRE("\1a\0\300\14"), 15, "a.", KIRIM_OK, 17 },
    { "label and pointer", WIRE("\1a\0\1b\300\14"), 15, "b.a.", KIRIM_OK, 19 },
    { "pointer to a pointer", WIRE("\1a\0\1b\300\14\1c\300\17"), 19, "c.b.a.", KIRIM_OK, 23 },
    { "pointer into a name", WIRE("\1a\1b\0\1c\300\16"), 17, "c.b.", KIRIM_OK, 21 },
    { "pointer to itself", WIRE("\300\14"), 12, NULL, KIRIM_DNS_EPOINTER, 0 },
    { "pointer to its own labels", WIRE("\1a\300\14"), 12, NULL, KIRIM_DNS_EPOINTER, 0 },
    { "pointer ahead", WIRE("\300\16\1a\0"), 12, NULL, KIRIM_DNS_EPOINTER, 0 },
    { "pointer beyond the end", WIRE("\1a\0\377\377"), 15, NULL, KIRIM_DNS_EPOINTER, 0 },
    { "pointer into the header", WIRE("\1a\0\300\13"), 15, NULL, KIRIM_DNS_EPOINTER, 0 },
    { "two that chase each other", WIRE("\1a\300\20\1b\300\14"), 16, NULL, KIRIM_DNS_EPOINTER, 0 },
    { "half a pointer", WIRE("\1a\300"), 12, NULL, KIRIM_DNS_ESHORT, 0 },
    { "label kind 01", WIRE("\100a\0"), 12, NULL, KIRIM_DNS_EFORM, 0 },
    { "label kind 10", WIRE("\200a\0"), 12, NULL, KIRIM_DNS_EFORM, 0 },
    { "label cut", WIRE("\2a"), 12, NULL, KIRIM_DNS_ESHORT, 0 },
    { "no root", WIRE("\1a"), 12, NULL, KIRIM_DNS_ESHORT, 0 },
    { "nothing", WIRE(""), 12, NULL, KIRIM_DNS_ESHORT, 0 },
    { "behind the end", WIRE(""), 99, NULL, KIRIM_DNS_ESHORT, 0 },
};

START_TEST(wire_form_is_read_within_its_bounds)
{
    const struct wire_case *const c = &wires[_i];
    const size_t bytes = KIRIM_DNS_HEADER_BYTES + c->count;
    uint8_t *const message = malloc(bytes); /* so that a sanitizer sees its end */
    struct kirim_dns_name name;
    size_t at = c->at;
    ck_assert_ptr_nonnull(message);
    memset(message, 0, KIRIM_DNS_HEADER_BYTES);
    memcpy(message + KIRIM_DNS_HEADER_BYTES, c->bytes, c->count);
    const kirim_err err = kirim_dns_name_read(message, bytes, &at, &name);
    ck_assert_msg(err == c->err, "%s: %d", c->what, err);
    if (c->written != NULL) {
        ck_assert_str_eq(kit_name_text(&name), c->written);
        ck_assert_uint_eq(at, c->end);
    } else {
        ck_assert_uint_eq(at, c->at);
    }
    free(message);
}
END_TEST

/* A ladder of pointers, each to the one below: as many as are followed, and one more. */
START_TEST(pointers_are_followed_up_to_their_bound)
{
    uint8_t message[KIRIM_DNS_HEADER_BYTES + 1 + 2 * (KIRIM_DNS_POINTER_COUNT_MAX + 1)];
    struct kirim_dns_name name;
    memset(message, 0, sizeof message);
    size_t target = KIRIM_DNS_HEADER_BYTES;
    for (size_t i = 0; i <= KIRIM_DNS_POINTER_COUNT_MAX; i++) {
        const size_t at = KIRIM_DNS_HEADER_BYTES + 1 + 2 * i;
        message[at] = 0xc0;
        message[at + 1] = (uint8_t)target;
        target = at;
    }
    size_t at = target - 2;
    ck_assert_int_eq(kirim_dns_name_read(message, sizeof message, &at, &name), KIRIM_OK);
    at = target;
    ck_assert_int_eq(kirim_dns_name_read(message, sizeof message, &at, &name), KIRIM_DNS_EPOINTER);
}
END_TEST

/* Pointers may not make a name longer than one may be: 127 labels and one more. */
START_TEST(compressed_name_is_limited_too)
{
    static const uint8_t label[2] = { 1, 'a' };
    static const uint8_t longer[4] = { 1, 'b', 0xc0, KIRIM_DNS_HEADER_BYTES };
    uint8_t message[KIRIM_DNS_HEADER_BYTES + 255 + 4] = { 0 };
    struct kirim_dns_name name;
    for (size_t i = 0; i < 127; i++) {
        memcpy(message + KIRIM_DNS_HEADER_BYTES + 2 * i, label, sizeof label);
    }
    memcpy(message + KIRIM_DNS_HEADER_BYTES + 255, longer, sizeof longer);
    size_t at = KIRIM_DNS_HEADER_BYTES;
    ck_assert_int_eq(kirim_dns_name_read(message, sizeof message, &at, &name), KIRIM_OK);
    ck_assert_uint_eq(name.bytes, 255);
    ck_assert_int_eq(kirim_dns_name_read(message, sizeof message, &at, &name), KIRIM_DNS_ENAME);
}
END_TEST

/* ---- comparing ------------------------------------------------------------------------------- */

START_TEST(case_of_letters_does_not_matter)
{
    const struct kirim_dns_name a = kit_name("wWw.EXAMPLE.test.");
    const struct kirim_dns_name b = kit_name("WwW.example.TEST.");
    const struct kirim_dns_name at = kit_name("\\@.");
    const struct kirim_dns_name backquote = kit_name("`.");
    ck_assert(kirim_dns_name_equal(&a, &b));
    ck_assert_int_eq(kirim_dns_name_compare(&a, &b), 0);
    ck_assert(!kirim_dns_name_equal(&at, &backquote)); /* they differ in the same bit */
}
END_TEST

/* RFC 4034 section 6.1 */
START_TEST(order_is_the_canonical_one)
{
    static const char *const sorted[] = {
        "example.",         "a.example.",      "yljkjljk.a.example.",
        "Z.a.example.",     "zABC.a.EXAMPLE.", "z.example.",
        "\\001.z.example.", "*.z.example.",    "\\200.z.example.",
    };
    for (size_t i = 0; i < COUNT_OF(sorted); i++) {
        for (size_t k = 0; k < COUNT_OF(sorted); k++) {
            const struct kirim_dns_name a = kit_name(sorted[i]);
            const struct kirim_dns_name b = kit_name(sorted[k]);
            const int order = kirim_dns_name_compare(&a, &b);
            ck_assert_msg((order > 0) - (order < 0) == (i > k) - (i < k), "%s, %s", sorted[i],
                          sorted[k]);
        }
    }
}
END_TEST

START_TEST(name_is_within_its_ancestors)
{
    static const struct {
        const char *name, *ancestor;
        bool is_within;
    } cases[] = {
        { "a.b.c.", "a.b.c.", true },
        { "a.b.c.", "B.C.", true },
        { "a.b.c.", "c.", true },
        { "a.b.c.", ".", true },
        { ".", ".", true },
        { "b.c.", "a.b.c.", false },
        { "xb.c.", "b.c.", false },
        { "a.b.c.", "b.d.", false },
        { ".", "c.", false },
        { "a\\.b.c.", "b.c.", false },
        { "\\001b.c.", "b.c.", false },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct kirim_dns_name name = kit_name(cases[i].name);
        const struct kirim_dns_name ancestor = kit_name(cases[i].ancestor);
        ck_assert_msg(kirim_dns_name_is_within(&name, &ancestor) == cases[i].is_within, "%s, %s",
                      cases[i].name, cases[i].ancestor);
    }
}
END_TEST

START_TEST(labels_are_stripped_from_the_front)
{
    struct kirim_dns_name name = kit_name("a.bc.d.");
    kirim_dns_name_strip(&name, 0, &name);
    ck_assert_str_eq(kit_name_text(&name), "a.bc.d.");
    kirim_dns_name_strip(&name, 2, &name);
    ck_assert_str_eq(kit_name_text(&name), "d.");
    ck_assert_uint_eq(name.label_count, 1);
    kirim_dns_name_strip(&name, 1, &name);
    ck_assert_str_eq(kit_name_text(&name), ".");
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { text_is_read_and_written_again, COUNT_OF(texts) },
        { relative_name_needs_an_origin, 0 },
        { relative_name_is_limited_with_its_origin, 0 },
        { origin_may_be_the_result, 0 },
        { name_has_at_most_127_labels, 0 },
        { text_room_suffices_for_the_worst_name, 0 },
        { random_bytes_survive_text, 0 },
        { wire_form_is_read_within_its_bounds, COUNT_OF(wires) },
        { pointers_are_followed_up_to_their_bound, 0 },
        { compressed_name_is_limited_too, 0 },
        { case_of_letters_does_not_matter, 0 },
        { order_is_the_canonical_one, 0 },
        { name_is_within_its_ancestors, 0 },
        { labels_are_stripped_from_the_front, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns name", claims);
}
