/* SPDX-License-Identifier: MIT
 *
 * Claims about zone files: every form that is read, and every error with its line, its column and
 * its text.
 */
#include "kit.h"

#include <stdio.h>

/* ---- what is read ---------------------------------------------------------------------------- */

static const char head[] = "$ORIGIN example.\n$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\n";

/* Behind `head`, each text has this record. */
static const struct read_case {
    const char *text;
    const char *name;
    uint16_t type;
    uint32_t ttl;
    const char *data;
} reads[] = {
    { "a A 192.0.2.1\n", "a.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "a A 192.0.2.1", "a.example.", KIRIM_DNS_A, 60, "192.0.2.1" }, /* no line end */
    { "a A 192.0.2.1\r\n", "a.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "a\tA\t192.0.2.1\t; text\n", "a.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "a.example. a 192.0.2.1\n", "a.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "a 5 A 192.0.2.1\n", "a.example.", KIRIM_DNS_A, 5, "192.0.2.1" },
    { "a 1h30m A 192.0.2.1\n", "a.example.", KIRIM_DNS_A, 5400, "192.0.2.1" },
    { "a IN A 192.0.2.1\n", "a.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "a 5 in A 192.0.2.1\n", "a.example.", KIRIM_DNS_A, 5, "192.0.2.1" },
    { "a IN 5 A 192.0.2.1\n", "a.example.", KIRIM_DNS_A, 5, "192.0.2.1" },
    { "a CLASS1 5 TYPE1 \\# 4 c0000201\n", "a.example.", KIRIM_DNS_A, 5, "192.0.2.1" },
    { "a TYPE65280 \\# 2 ab cd\n", "a.example.", 65280, 60, "\\# 2 abcd" },
    { "in A 192.0.2.1\n", "in.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "5 A 192.0.2.1\n", "5.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "a NS @\n", "a.example.", KIRIM_DNS_NS, 60, "example." },
    { "a TXT x\n 5 A 192.0.2.1\n", "a.example.", KIRIM_DNS_A, 5, "192.0.2.1" },
    { "a TXT x\n\n;\n ;\n\t IN A 192.0.2.1\n", "a.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "$ORIGIN b\nc A 192.0.2.1\n", "c.b.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "$origin b.example.\nc A 192.0.2.1\n", "c.b.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "$TTL 1w\na A 192.0.2.1\n", "a.example.", KIRIM_DNS_A, 604800, "192.0.2.1" },
    { "a MX ( 10 ; best\n  mail )\n", "a.example.", KIRIM_DNS_MX, 60, "10 mail.example." },
    { "a MX (10\n\nmail\n)", "a.example.", KIRIM_DNS_MX, 60, "10 mail.example." },
    { "a TXT \"(;)\" x\n", "a.example.", KIRIM_DNS_TXT, 60, "\"(;)\" \"x\"" },
    { "a TXT \"q\\\"q\" \\;x \"\"\n", "a.example.", KIRIM_DNS_TXT, 60, "\"q\\\"q\" \";x\" \"\"" },
    { "a TXT \"A\"\"B\"\n", "a.example.", KIRIM_DNS_TXT, 60, "\"A\" \"B\"" },
    { "a\\.b A 192.0.2.1\n", "a\\.b.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "a\\ b A 192.0.2.1\n", "a\\032b.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "\\@ A 192.0.2.1\n", "\\@.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "\\$x A 192.0.2.1\n", "\\$x.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "*.a A 192.0.2.1\n", "*.a.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
    { "\"a\" A 192.0.2.1\n", "a.example.", KIRIM_DNS_A, 60, "192.0.2.1" },
};

START_TEST(file_is_read)
{
    const struct read_case *const c = &reads[_i];
    struct kit_memory memory = { 0 };
    char text[512];
    char data[512];
    memcpy(text, head, sizeof head);
    memcpy(text + sizeof head - 1, c->text, strlen(c->text) + 1);
    struct kirim_dns_zone *const zone = kit_zone(&memory, text);
    const struct kirim_dns_name name = kit_name(c->name);
    const struct kirim_dns_rrset *const set = kirim_dns_zone_glue(zone, &name, c->type);
    ck_assert_msg(set != NULL, "%s", c->text);
    ck_assert_uint_eq(set->ttl, c->ttl);
    const struct kirim_dns_record record = { .type = c->type,
                                             .rdata = set->first->rdata,
                                             .rdata_bytes = set->first->bytes };
    ck_assert_int_eq(kirim_dns_rdata_format(&record, data, sizeof data), KIRIM_OK);
    ck_assert_str_eq(data, c->data);
    kirim_dns_zone_close(zone);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

/* RFC 2308 section 4, and RFC 1035 section 5.1 for files without $TTL. */
START_TEST(ttl_comes_from_where_it_should)
{
    static const struct {
        const char *text;
        uint32_t soa, ns;
    } cases[] = {
        { "a. SOA b. c. 1 2 3 4 5\na. NS b.\n", 5, 5 },
        { "a. 7 SOA b. c. 1 2 3 4 5\na. NS b.\n", 7, 7 },
        { "a. 7 SOA b. c. 1 2 3 4 5\n 9 NS b.\n", 7, 9 },
        { "$TTL 3\na. 7 SOA b. c. 1 2 3 4 5\n NS b.\n", 7, 3 },
        { "a. SOA b. c. 1 2 3 4 4294967295\na. NS b.\n", 0x7fffffff, 0x7fffffff },
        { "a. 0 SOA b. c. 1 2 3 4 5\na. NS b.\n", 0, 0 },
    };
    const struct kirim_dns_name name = kit_name("a.");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kit_memory memory = { 0 };
        struct kirim_dns_zone *const zone = kit_zone(&memory, cases[i].text);
        ck_assert_uint_eq(kirim_dns_zone_glue(zone, &name, KIRIM_DNS_SOA)->ttl, cases[i].soa);
        ck_assert_uint_eq(kirim_dns_zone_glue(zone, &name, KIRIM_DNS_NS)->ttl, cases[i].ns);
        kirim_dns_zone_close(zone);
    }
}
END_TEST

/* ---- what is refused ------------------------------------------------------------------------- */

static const struct error_case {
    const char *text; /* behind `head`, if it begins with "+" */
    kirim_err err;
    uint32_t line, column;
    const char *why;
} errors[] = {
    /* words */
    { "+a TXT \"x\n", KIRIM_DNS_EFORM, 5, 9, "a string without its closing quote" },
    { "+a TXT \"x", KIRIM_DNS_EFORM, 5, 9, "a string without its closing quote" },
    { "+a TXT x\"y\n", KIRIM_DNS_EFORM, 5, 8, "a quote inside a word" },
    { "+a TXT x\\\n", KIRIM_DNS_EFORM, 5, 9, "a backslash at the end of the line" },
    { "+a TXT x\\", KIRIM_DNS_EFORM, 5, 9, "a backslash at the end of the line" },
    { "+a MX ( 10\nmail\n", KIRIM_DNS_EFORM, 7, 1, "a parenthesis that is not closed" },
    { "+a MX ( ( 10 mail ) )\n", KIRIM_DNS_EFORM, 5, 8, "a parenthesis inside parentheses" },
    { "+a MX 10 mail )\n", KIRIM_DNS_EFORM, 5, 14, "a closing parenthesis without an opening one" },
    { "+a A \001\n", KIRIM_DNS_EFORM, 5, 5, "a control character" },
    /* owners */
    { " NS a.\n", KIRIM_DNS_EFORM, 1, 2, "no owner: none was named before: 'NS'" },
    { "a NS a.\n", KIRIM_DNS_EFORM, 1, 1, "a relative name without an origin: 'a'" },
    { "@ NS a.\n", KIRIM_DNS_EFORM, 1, 1, "a relative name without an origin: '@'" },
    { "+a..b A 192.0.2.1\n", KIRIM_DNS_EFORM, 5, 1, "an empty label inside a name: 'a..b'" },
    { "+b.test. A 192.0.2.1\n", KIRIM_EINVAL, 5, 1, "the owner is not within the zone: 'b.test.'" },
    { "+$ORIGIN b.test.\n@ A 192.0.2.1\n", KIRIM_EINVAL, 6, 1,
      "the owner is not within the zone: '@'" },
    /* TTL, class, type */
    { "+a 1x A 192.0.2.1\n", KIRIM_DNS_EFORM, 5, 3,
      "not a TTL from 0 to 2147483647 seconds: '1x'" },
    { "+a 2147483648 A 192.0.2.1\n", KIRIM_DNS_EFORM, 5, 3,
      "not a TTL from 0 to 2147483647 seconds: '2147483648'" },
    { "+a 1 2 A 192.0.2.1\n", KIRIM_DNS_EFORM, 5, 5, "not a type: '2'" },
    { "+a IN IN A 192.0.2.1\n", KIRIM_DNS_EFORM, 5, 6, "not a type: 'IN'" },
    { "+a CH A 192.0.2.1\n", KIRIM_DNS_EFORM, 5, 3, "a class other than IN: 'CH'" },
    { "+a CLASS4 A 192.0.2.1\n", KIRIM_DNS_EFORM, 5, 3, "a class other than IN: 'CLASS4'" },
    { "+a ADDRESS 192.0.2.1\n", KIRIM_DNS_EFORM, 5, 3, "not a type: 'ADDRESS'" },
    { "+a\n", KIRIM_DNS_EFORM, 5, 2, "a type is missing" },
    { "+a 5 IN ; nothing\n", KIRIM_DNS_EFORM, 5, 17, "a type is missing" },
    { "+a \"A\" 192.0.2.1\n", KIRIM_DNS_EFORM, 5, 3, "not a type: 'A'" },
    { "+a TYPE0 \\# 0\n", KIRIM_EINVAL, 5, 3, "a type that no zone can hold: 'TYPE0'" },
    { "+a ANY \\# 0\n", KIRIM_EINVAL, 5, 3, "a type that no zone can hold: 'ANY'" },
    /* data */
    { "+a A 192.0.2\n", KIRIM_DNS_EFORM, 5, 5, "not an IPv4 address: '192.0.2'" },
    { "+a A\n", KIRIM_DNS_EFORM, 5, 4, "A needs: ADDRESS" },
    { "+a MX 10\n", KIRIM_DNS_EFORM, 5, 8, "MX needs: PREFERENCE NAME" },
    { "+a MX (10\n) ; no name\n", KIRIM_DNS_EFORM, 6, 12, "MX needs: PREFERENCE NAME" },
    { "+a MX 10 mail 20\n", KIRIM_DNS_EFORM, 5, 14, "MX needs: PREFERENCE NAME: '20'" },
    { "+a SRV 0 0 (\n 65536 a )\n", KIRIM_DNS_EFORM, 6, 2,
      "not a number from 0 to 65535: '65536'" },
    { "+a TXT \"\\256\"\n", KIRIM_DNS_EFORM, 5, 7,
      "a backslash without a character or three digits up to 255: '\\256'" },
    { "+a TXT \\256\303\266\n", KIRIM_DNS_EFORM, 5, 7,
      "a backslash without a character or three digits up to 255: '\\256\\195\\182'" },
    { "+a LOC 1 2 3\n", KIRIM_DNS_EFORM, 5, 3, "not a type: 'LOC'" },
    { "+a TYPE29 1 2 3\n", KIRIM_DNS_EFORM, 5, 10,
      "data of a type that is not known here begin with \\#: '1'" },
    /* directives */
    { "$ORIGIN\n", KIRIM_DNS_EFORM, 1, 8, "$ORIGIN needs: NAME" },
    { "$ORIGIN a. b.\n", KIRIM_DNS_EFORM, 1, 12, "$ORIGIN needs: NAME: 'b.'" },
    { "$ORIGIN a\n", KIRIM_DNS_EFORM, 1, 9, "a relative name without an origin: 'a'" },
    { "$TTL\n", KIRIM_DNS_EFORM, 1, 5, "$TTL needs: TIME" },
    { "$TTL x\n", KIRIM_DNS_EFORM, 1, 6, "not a TTL from 0 to 2147483647 seconds: 'x'" },
    { "$INCLUDE x\n", KIRIM_DNS_EFORM, 1, 1, "$INCLUDE is not permitted here: '$INCLUDE'" },
    { "$GENERATE 1-2 a A 192.0.2.$\n", KIRIM_DNS_EFORM, 1, 1,
      "a directive that is not known here: '$GENERATE'" },
    /* the zone as a whole */
    { "", KIRIM_DNS_EZONE, 1, 1, "the zone has no records" },
    { "; nothing\n\n", KIRIM_DNS_EZONE, 3, 1, "the zone has no records" },
    { "a. 5 NS b.\n", KIRIM_DNS_EZONE, 1, 6, "the first record is not the SOA record: 'NS'" },
    { "a. NS b.\n", KIRIM_DNS_EFORM, 1, 4, "no TTL, and none was set before: 'NS'" },
    { "a. SOA b. c. 1 2 3 4 5\n", KIRIM_DNS_EZONE, 1, 4, "the zone's origin has no NS record" },
    { "+@ SOA a b 2 2 3 4 5\n", KIRIM_DNS_EZONE, 5, 3, "a second SOA record: 'SOA'" },
    { "+a SOA a b 2 2 3 4 5\n", KIRIM_DNS_EZONE, 5, 3,
      "an SOA record below the zone's origin: 'SOA'" },
    { "+c CNAME a\nc A 192.0.2.1\n", KIRIM_DNS_EZONE, 6, 3,
      "a CNAME record beside others of the same name: 'A'" },
    { "+c A 192.0.2.1\n CNAME a\n", KIRIM_DNS_EZONE, 6, 2,
      "a CNAME record beside others of the same name: 'CNAME'" },
    { "+c CNAME a\nc CNAME b\n", KIRIM_DNS_EZONE, 6, 3,
      "a second CNAME record of the same name: 'CNAME'" },
    { "+@ CNAME a\n", KIRIM_DNS_EZONE, 5, 3,
      "a CNAME record beside others of the same name: 'CNAME'" },
    { "+* NS a\n", KIRIM_DNS_EZONE, 5, 3,
      "an NS record at a wildcard, which has no meaning: 'NS'" },
};

START_TEST(error_has_its_place_and_its_text)
{
    const struct error_case *const c = &errors[_i];
    struct kit_memory memory = { 0 };
    struct kirim_dns_zonefile_error error;
    struct kirim_dns_zone *zone = NULL;
    char text[512] = "";
    const bool has_head = c->text[0] == '+';
    const char *const body = has_head ? c->text + 1 : c->text;
    (void)snprintf(text, sizeof text, "%s%s", has_head ? head : "", body);
    ck_assert_int_eq(kit_read_zone(&memory, text, &zone, &error), c->err);
    ck_assert_str_eq(error.text, c->why);
    ck_assert_int_eq(error.err, c->err);
    ck_assert_msg(error.line == c->line && error.column == c->column, "%s: %u:%u", c->text,
                  error.line, error.column);
    ck_assert_str_eq(error.file, "test.zone");
    ck_assert_ptr_null(zone);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

START_TEST(same_record_twice_is_no_error)
{
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *const zone =
        kit_zone(&memory, "a. 5 SOA b. c. 1 2 3 4 5\na. 5 SOA b. c. 1 2 3 4 5\n"
                          "a. NS b.\na. NS b.\nc.a. CNAME d.\nc.a. CNAME d.\n");
    ck_assert_uint_eq(kirim_dns_zone_record_count(zone), 3);
    kirim_dns_zone_close(zone);
}
END_TEST

/* ---- bounds ---------------------------------------------------------------------------------- */

/* Reads `text` with bounds of bytes and records. */
static kirim_err read_bounded(const char *text, size_t bytes_max, uint32_t record_count_max,
                              struct kirim_dns_zonefile_error *error)
{
    struct kirim_dns_zonefile_options options = KIRIM_DNS_ZONEFILE_OPTIONS_INIT;
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *zone = NULL;
    options.bytes_max = bytes_max;
    options.zone.record_count_max = record_count_max;
    options.zone.alloc = kit_alloc;
    options.zone.alloc_user = &memory;
    const kirim_err err = kirim_dns_zonefile_read(kit_span(text), &options, &zone, error);
    kirim_dns_zone_close(zone);
    ck_assert_uint_eq(memory.blocks, 0);
    return err;
}

START_TEST(bounds_are_named)
{
    struct kirim_dns_zonefile_error error;
    ck_assert_int_eq(read_bounded(head, sizeof head - 1, 2, &error), KIRIM_OK);
    ck_assert_int_eq(read_bounded(head, sizeof head - 2, 2, &error), KIRIM_DNS_EFULL);
    ck_assert_str_eq(error.text, "the bound of the zone's text is reached");
    ck_assert_str_eq(error.file, "-");
    ck_assert_int_eq(read_bounded(head, 0, 1, &error), KIRIM_DNS_EFULL);
    ck_assert_str_eq(error.text, "the zone's bound of records is reached: 'NS'");
    ck_assert_uint_eq(error.line, 4);
    ck_assert_uint_eq(error.column, 3);
}
END_TEST

START_TEST(entry_has_at_most_1024_words)
{
    static char text[65536];
    struct kirim_dns_zonefile_error error;
    for (size_t count = 1024; count <= 1025; count++) {
        memcpy(text, head, sizeof head);
        memcpy(text + sizeof head - 1, "a TXT", 6);
        size_t at = strlen(text);
        for (size_t i = 2; i < count; i++) {
            memcpy(text + at, " x", 3);
            at += 2;
        }
        const kirim_err err = read_bounded(text, 0, 0, &error);
        ck_assert_int_eq(err, count == 1024 ? KIRIM_OK : KIRIM_DNS_EFORM);
    }
    ck_assert_str_eq(error.text, "more than 1024 words in one entry");
    ck_assert_uint_eq(error.line, 5);
}
END_TEST

START_TEST(long_words_are_cut_in_messages)
{
    static char text[4096];
    struct kirim_dns_zonefile_error error;
    memcpy(text, head, sizeof head);
    memset(text + sizeof head - 1, '\xff', 3000);
    memcpy(text + sizeof head - 1 + 3000, " A 192.0.2.1\n", 14);
    ck_assert_int_eq(read_bounded(text, 0, 0, &error), KIRIM_DNS_EFORM);
    ck_assert_mem_eq(error.text, "a label of more than 63 bytes: '\\255\\255", 40);
    ck_assert_uint_lt(strlen(error.text), sizeof error.text);
}
END_TEST

START_TEST(misuse_is_refused)
{
    struct kirim_dns_zonefile_options options = KIRIM_DNS_ZONEFILE_OPTIONS_INIT;
    struct kirim_dns_zonefile_error error;
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *zone = NULL;
    const struct kirim_dns_span text = kit_span(head);
    ck_assert_int_eq(kirim_dns_zonefile_read(text, &options, &zone, &error), KIRIM_EINVAL);
    options.zone.alloc = kit_alloc;
    options.zone.alloc_user = &memory;
    ck_assert_int_eq(kirim_dns_zonefile_read(text, NULL, &zone, &error), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_dns_zonefile_read(text, &options, NULL, &error), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_dns_zonefile_read(text, &options, &zone, NULL), KIRIM_EINVAL);
}
END_TEST

/* ---- $INCLUDE -------------------------------------------------------------------------------- */

/* Files by name; each time one is taken it is counted. */
struct library {
    const char *const (*files)[2];
    size_t count;
    size_t taken_count;
};

static kirim_err take_file(void *user, const char *name, struct kirim_dns_span *out)
{
    struct library *const library = user;
    for (size_t i = 0; i < library->count; i++) {
        if (strcmp(library->files[i][0], name) == 0) {
            library->taken_count++;
            *out = kit_span(library->files[i][1]);
            return KIRIM_OK;
        }
    }
    return KIRIM_ENOENT;
}

static kirim_err read_library(struct library *library, struct kit_memory *memory,
                              struct kirim_dns_zone **zone, struct kirim_dns_zonefile_error *error)
{
    struct kirim_dns_zonefile_options options = KIRIM_DNS_ZONEFILE_OPTIONS_INIT;
    options.file = library->files[0][0];
    options.include = take_file;
    options.include_user = library;
    options.zone.alloc = kit_alloc;
    options.zone.alloc_user = memory;
    return kirim_dns_zonefile_read(kit_span(library->files[0][1]), &options, zone, error);
}

START_TEST(included_file_leaves_the_origin_as_it_was)
{
    static const char *const files[][2] = {
        { "main", "$ORIGIN example.\n@ 5 SOA a b 1 2 3 4 5\n@ NS a\n$INCLUDE sub b\n"
                  "d A 192.0.2.4\n$INCLUDE sub\n" },
        { "sub", "c A 192.0.2.3\n$ORIGIN x.example.\ny A 192.0.2.5" },
    };
    struct library library = { files, COUNT_OF(files), 0 };
    struct kit_memory memory = { 0 };
    struct kirim_dns_zonefile_error error;
    struct kirim_dns_zone *zone = NULL;
    ck_assert_int_eq(read_library(&library, &memory, &zone, &error), KIRIM_OK);
    static const char *const names[] = { "c.b.example.", "d.example.", "c.example.",
                                         "y.x.example." };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const struct kirim_dns_name name = kit_name(names[i]);
        ck_assert_msg(kirim_dns_zone_glue(zone, &name, KIRIM_DNS_A) != NULL, "%s", names[i]);
    }
    ck_assert_uint_eq(library.taken_count, 2);
    kirim_dns_zone_close(zone);
}
END_TEST

START_TEST(errors_name_the_included_file)
{
    static const char *const files[][2] = {
        { "main", "$ORIGIN example.\n@ 5 SOA a b 1 2 3 4 5\n@ NS a\n$INCLUDE sub\n" },
        { "sub", "\n  ; text\nc A 192.0.2.3.4\n" },
    };
    struct library library = { files, COUNT_OF(files), 0 };
    struct kit_memory memory = { 0 };
    struct kirim_dns_zonefile_error error;
    struct kirim_dns_zone *zone = NULL;
    ck_assert_int_eq(read_library(&library, &memory, &zone, &error), KIRIM_DNS_EFORM);
    ck_assert_str_eq(error.file, "sub");
    ck_assert_uint_eq(error.line, 3);
    ck_assert_uint_eq(error.column, 5);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

START_TEST(files_that_cannot_be_included_are_errors)
{
    static const struct {
        const char *main;
        kirim_err err;
        uint32_t line, column;
        const char *text;
        size_t taken_count;
    } cases[] = {
        { "$INCLUDE no\n", KIRIM_ENOENT, 1, 10, "the file cannot be read: 'no'", 0 },
        { "$INCLUDE\n", KIRIM_DNS_EFORM, 1, 9, "$INCLUDE needs: FILE [ORIGIN]", 0 },
        { "$INCLUDE a b. c\n", KIRIM_DNS_EFORM, 1, 15, "$INCLUDE needs: FILE [ORIGIN]: 'c'", 0 },
        { "$INCLUDE a b\n", KIRIM_DNS_EFORM, 1, 12, "a relative name without an origin: 'b'", 0 },
        { "$INCLUDE main\n", KIRIM_DNS_EFULL, 1, 1,
          "more than 8 files deep, or more than 64 files included: '$INCLUDE'", 7 },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *const files[][2] = { { "main", cases[i].main } };
        struct library library = { files, COUNT_OF(files), 0 };
        struct kit_memory memory = { 0 };
        struct kirim_dns_zonefile_error error;
        struct kirim_dns_zone *zone = NULL;
        ck_assert_int_eq(read_library(&library, &memory, &zone, &error), cases[i].err);
        ck_assert_str_eq(error.text, cases[i].text);
        ck_assert_uint_eq(error.line, cases[i].line);
        ck_assert_uint_eq(error.column, cases[i].column);
        ck_assert_uint_eq(library.taken_count, cases[i].taken_count);
        ck_assert_uint_eq(memory.blocks, 0);
    }
}
END_TEST

/* 64 files are included, a 65th is not. */
START_TEST(included_files_are_bounded)
{
    static char text[4096];
    const char *const files[][2] = { { "main", text }, { "none", "" } };
    for (size_t count = 64; count <= 65; count++) {
        struct library library = { files, COUNT_OF(files), 0 };
        struct kit_memory memory = { 0 };
        struct kirim_dns_zonefile_error error;
        struct kirim_dns_zone *zone = NULL;
        size_t at = sizeof head - 1;
        memcpy(text, head, sizeof head);
        for (size_t i = 0; i < count; i++) {
            memcpy(text + at, "$INCLUDE none\n", 15);
            at += 14;
        }
        ck_assert_int_eq(read_library(&library, &memory, &zone, &error),
                         count == 64 ? KIRIM_OK : KIRIM_DNS_EFULL);
        ck_assert_uint_eq(library.taken_count, 64);
        kirim_dns_zone_close(zone);
    }
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { file_is_read, COUNT_OF(reads) },
        { ttl_comes_from_where_it_should, 0 },
        { error_has_its_place_and_its_text, COUNT_OF(errors) },
        { same_record_twice_is_no_error, 0 },
        { bounds_are_named, 0 },
        { entry_has_at_most_1024_words, 0 },
        { long_words_are_cut_in_messages, 0 },
        { misuse_is_refused, 0 },
        { included_file_leaves_the_origin_as_it_was, 0 },
        { errors_name_the_included_file, 0 },
        { files_that_cannot_be_included_are_errors, 0 },
        { included_files_are_bounded, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns zonefile", claims);
}
