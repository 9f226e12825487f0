/* SPDX-License-Identifier: MIT
 *
 * Claims about messages: what is read and what is refused, EDNS, and building with compression
 * within a limit.
 */
#include "kit.h"
#include "support/random.h"

enum { MESSAGE_BYTES_MAX = 256, MUTATION_COUNT = 100000 };

/* ---- reading --------------------------------------------------------------------------------- */

/* Bytes behind a header that counts so many questions and records. */
static const struct read_case {
    const char *what;
    const char *bytes;
    size_t byte_count;
    uint8_t counts[4];
    kirim_err err;
} reads[] = {
#define WIRE(text) text, sizeof(text) - 1
#define QUESTION   "\1a\0\0\1\0\1"
#define RECORD     "\300\14\0\1\0\1\0\0\0\74\0\4\1\2\3\4"
#define OPT        "\0\0\51\4\320\0\0\0\0\0\0"
    { "header only", WIRE(""), { 0, 0, 0, 0 }, KIRIM_OK },
    { "a question", WIRE(QUESTION), { 1, 0, 0, 0 }, KIRIM_OK },
    { "two questions", WIRE(QUESTION QUESTION), { 2, 0, 0, 0 }, KIRIM_OK },
    { "a record in each section", WIRE(QUESTION RECORD RECORD RECORD), { 1, 1, 1, 1 }, KIRIM_OK },
    { "an OPT record", WIRE(QUESTION OPT), { 1, 0, 0, 1 }, KIRIM_OK },
    { "OPT without a question", WIRE(OPT), { 0, 0, 0, 1 }, KIRIM_OK },
    { "OPT before a record", WIRE(QUESTION OPT RECORD), { 1, 0, 0, 2 }, KIRIM_OK },
    { "an option", WIRE("\0\0\51\4\320\0\0\0\0\0\5\0\3\0\1x"), { 0, 0, 0, 1 }, KIRIM_OK },
    { "an empty option", WIRE("\0\0\51\4\320\0\0\0\0\0\4\0\3\0\0"), { 0, 0, 0, 1 }, KIRIM_OK },
    { "junk behind", WIRE(QUESTION "x"), { 1, 0, 0, 0 }, KIRIM_DNS_EFORM },
    { "a question missing", WIRE(""), { 1, 0, 0, 0 }, KIRIM_DNS_ESHORT },
    { "a second question missing", WIRE(QUESTION), { 2, 0, 0, 0 }, KIRIM_DNS_ESHORT },
    { "a question cut", WIRE("\1a\0\0\1\0"), { 1, 0, 0, 0 }, KIRIM_DNS_ESHORT },
    { "a record missing", WIRE(QUESTION), { 1, 1, 0, 0 }, KIRIM_DNS_ESHORT },
    { "a record cut",
      WIRE(QUESTION "\300\14\0\1\0\1\0\0\0\74\0"),
      { 1, 1, 0, 0 },
      KIRIM_DNS_ESHORT },
    { "data cut",
      WIRE(QUESTION "\300\14\0\1\0\1\0\0\0\74\0\4\1\2\3"),
      { 1, 1, 0, 0 },
      KIRIM_DNS_ESHORT },
    { "65535 records announced", WIRE(QUESTION), { 1, 255, 255, 255 }, KIRIM_DNS_ESHORT },
    { "a name that goes round", WIRE("\300\14\0\1\0\1"), { 1, 0, 0, 0 }, KIRIM_DNS_EPOINTER },
    { "two OPT records", WIRE(QUESTION OPT OPT), { 1, 0, 0, 2 }, KIRIM_DNS_EOPT },
    { "OPT of a name",
      WIRE(QUESTION "\300\14\0\51\4\320\0\0\0\0\0\0"),
      { 1, 0, 0, 1 },
      KIRIM_DNS_EOPT },
    { "OPT in the answer", WIRE(QUESTION OPT), { 1, 1, 0, 0 }, KIRIM_DNS_EOPT },
    { "an option cut",
      WIRE("\0\0\51\4\320\0\0\0\0\0\5\0\3\0\2x"),
      { 0, 0, 0, 1 },
      KIRIM_DNS_EFORM },
    { "half an option's head",
      WIRE("\0\0\51\4\320\0\0\0\0\0\2\0\3"),
      { 0, 0, 0, 1 },
      KIRIM_DNS_EFORM },
};

START_TEST(message_is_read_to_its_last_byte)
{
    const struct read_case *const c = &reads[_i];
    const size_t bytes = KIRIM_DNS_HEADER_BYTES + c->byte_count;
    struct kirim_dns_message message;
    uint8_t *const wire = calloc(1, bytes); /* so that a sanitizer sees its end */
    ck_assert_ptr_nonnull(wire);
    for (size_t i = 0; i < 4; i++) {
        wire[4 + 2 * i] = c->counts[i] == 255 ? 255 : 0;
        wire[5 + 2 * i] = c->counts[i];
    }
    memcpy(wire + KIRIM_DNS_HEADER_BYTES, c->bytes, c->byte_count);
    const struct kirim_dns_span span = { wire, bytes };
    const kirim_err err = kirim_dns_message_read(span, &message);
    ck_assert_msg(err == c->err, "%s: %d", c->what, err);
    free(wire);
}
END_TEST

START_TEST(less_than_a_header_is_short)
{
    static const uint8_t wire[KIRIM_DNS_HEADER_BYTES] = { 0 };
    struct kirim_dns_message message;
    for (size_t bytes = 0; bytes < sizeof wire; bytes++) {
        const struct kirim_dns_span span = { wire, bytes };
        ck_assert_int_eq(kirim_dns_message_read(span, &message), KIRIM_DNS_ESHORT);
    }
}
END_TEST

START_TEST(every_field_is_read)
{
    static const uint8_t wire[] = "\x12\x34\x2f\xb1\0\1\0\1\0\0\0\1\1a\0\0\34\0\3" RECORD
                                  "\0\0\51\2\0\1\2\200\0\0\6\0\12\0\2xy";
    const struct kirim_dns_span span = { wire, sizeof wire - 1 };
    struct kirim_dns_message m;
    struct kirim_dns_option option;
    struct kirim_dns_name owner;
    struct kirim_dns_record record;
    size_t at = 0;
    ck_assert_int_eq(kirim_dns_message_read(span, &m), KIRIM_OK);
    ck_assert_uint_eq(m.id, 0x1234);
    ck_assert_uint_eq(m.flags, 0x2fb1);
    ck_assert_uint_eq(kirim_dns_message_opcode(&m), 5);
    ck_assert_uint_eq(kirim_dns_message_rcode(&m), 0x11);
    ck_assert_str_eq(kit_name_text(&m.question.name), "a.");
    ck_assert_uint_eq(m.question.type, KIRIM_DNS_AAAA);
    ck_assert_uint_eq(m.question.dns_class, KIRIM_DNS_CLASS_CH);
    ck_assert_uint_eq(m.question_bytes, 7);
    ck_assert(m.has_edns && m.edns.is_dnssec_ok);
    ck_assert_uint_eq(m.edns.udp_bytes, 512);
    ck_assert_uint_eq(m.edns.version, 2);
    ck_assert(kirim_dns_edns_next(&m.edns, &at, &option));
    ck_assert_uint_eq(option.code, 10);
    ck_assert_uint_eq(option.bytes, 2);
    ck_assert_mem_eq(option.data, "xy", 2);
    ck_assert(!kirim_dns_edns_next(&m.edns, &at, &option));
    struct kirim_dns_walk walk = kirim_dns_message_walk(&m);
    ck_assert(kirim_dns_walk_next(&walk, &owner, &record));
    ck_assert_int_eq(walk.section, KIRIM_DNS_SECTION_ANSWER);
    ck_assert_uint_eq(record.ttl, 60);
    ck_assert_mem_eq(record.rdata, "\1\2\3\4", 4);
    ck_assert(kirim_dns_walk_next(&walk, &owner, &record));
    ck_assert_int_eq(walk.section, KIRIM_DNS_SECTION_ADDITIONAL);
    ck_assert(!kirim_dns_walk_next(&walk, &owner, &record));
    ck_assert(!kirim_dns_walk_next(&walk, &owner, &record));
}
END_TEST

/* ---- building -------------------------------------------------------------------------------- */

/* Adds a record from text: "OWNER TYPE DATA...". */
static kirim_err add_text(struct kirim_dns_builder *b, int section, const char *text)
{
    static uint8_t data[1024];
    struct kirim_dns_word words[16];
    struct kirim_dns_rdata_parse parse = KIRIM_DNS_RDATA_PARSE_INIT;
    struct kirim_dns_record record = { .dns_class = KIRIM_DNS_CLASS_IN, .ttl = 60, .rdata = data };
    struct kirim_dns_name owner;
    size_t count = 0;
    while (*text != '\0') {
        const size_t bytes = strcspn(text, " ");
        words[count++] = (struct kirim_dns_word){ .text = text, .bytes = bytes };
        text += bytes + strspn(text + bytes, " ");
    }
    ck_assert_int_eq(kirim_dns_name_parse(words[0].text, words[0].bytes, NULL, &owner), KIRIM_OK);
    ck_assert_int_eq(kirim_dns_type_parse(words[1].text, words[1].bytes, &record.type), KIRIM_OK);
    parse.words = words + 2;
    parse.word_count = count - 2;
    parse.out = (struct kirim_dns_room){ data, sizeof data, 0 };
    ck_assert_int_eq(kirim_dns_rdata_parse(record.type, &parse), KIRIM_OK);
    record.rdata_bytes = (uint16_t)parse.out.bytes;
    return kirim_dns_builder_record(b, section, &owner, &record);
}

static void add_question(struct kirim_dns_builder *b, const char *name)
{
    const struct kirim_dns_question question = { kit_name(name), KIRIM_DNS_A, KIRIM_DNS_CLASS_IN };
    ck_assert_int_eq(kirim_dns_builder_question(b, &question), KIRIM_OK);
}

START_TEST(names_are_compressed_where_that_is_permitted)
{
    static const uint8_t expected[] =
        "\0\1\200\0\0\1\0\1\0\1\0\1"
        "\3www\7example\4test\0\0\1\0\1"
        "\300\14\0\5\0\1\0\0\0\74\0\4\1b\300\20"           /* b.example.test */
        "\300\20\0\17\0\1\0\0\0\74\0\11\0\12\4mail\300\56" /* mail.b.example.test */
        "\300\100\0\41\0\1\0\0\0\74\0\26\0\0\0\0\0\65\1b\7example\4test\0";
    uint8_t wire[MESSAGE_BYTES_MAX];
    struct kirim_dns_builder b;
    kirim_dns_builder_init(&b, wire, sizeof wire);
    add_question(&b, "www.example.test.");
    ck_assert_int_eq(
        add_text(&b, KIRIM_DNS_SECTION_ANSWER, "www.example.test. CNAME b.example.test."),
        KIRIM_OK);
    ck_assert_int_eq(
        add_text(&b, KIRIM_DNS_SECTION_AUTHORITY, "example.test. MX 10 mail.b.example.test."),
        KIRIM_OK);
    ck_assert_int_eq(add_text(&b, KIRIM_DNS_SECTION_ADDITIONAL,
                              "mail.b.example.test. SRV 0 0 53 b.example.test."),
                     KIRIM_OK);
    const size_t bytes = kirim_dns_builder_end(&b, 1, KIRIM_DNS_FLAG_QR);
    struct kirim_dns_message m;
    const struct kirim_dns_span span = { wire, bytes };
    ck_assert_int_eq(kirim_dns_message_read(span, &m), KIRIM_OK);
    ck_assert_str_eq(kit_section(&m, KIRIM_DNS_SECTION_ANSWER),
                     "www.example.test. 60 CNAME b.example.test.\n");
    ck_assert_str_eq(kit_section(&m, KIRIM_DNS_SECTION_AUTHORITY),
                     "example.test. 60 MX 10 mail.b.example.test.\n");
    ck_assert_str_eq(kit_section(&m, KIRIM_DNS_SECTION_ADDITIONAL),
                     "mail.b.example.test. 60 SRV 0 0 53 b.example.test.\n");
    ck_assert_uint_eq(bytes, sizeof expected - 1);
    ck_assert_mem_eq(wire, expected, bytes);
}
END_TEST

START_TEST(case_of_the_question_is_kept)
{
    uint8_t wire[MESSAGE_BYTES_MAX];
    struct kirim_dns_builder b;
    kirim_dns_builder_init(&b, wire, sizeof wire);
    add_question(&b, "wWw.ExAmPlE.");
    ck_assert_int_eq(add_text(&b, KIRIM_DNS_SECTION_ANSWER, "www.example. A 192.0.2.1"), KIRIM_OK);
    ck_assert_mem_eq(wire + 12, "\3wWw\7ExAmPlE\0\0\1\0\1\300\14", 19);
}
END_TEST

/* At each limit the message is whole, and what did not fit left no trace. */
START_TEST(limit_is_kept_at_every_byte)
{
    uint8_t whole[MESSAGE_BYTES_MAX];
    struct kirim_dns_builder b;
    kirim_dns_builder_init(&b, whole, sizeof whole);
    add_question(&b, "www.example.test.");
    const size_t question_bytes = b.bytes;
    ck_assert_int_eq(add_text(&b, KIRIM_DNS_SECTION_ANSWER, "a.b.test. MX 1 mail.other."),
                     KIRIM_OK);
    const size_t record_bytes = b.bytes - question_bytes;
    for (size_t limit = question_bytes; limit <= question_bytes + record_bytes; limit++) {
        uint8_t *const wire = malloc(limit);
        ck_assert_ptr_nonnull(wire);
        kirim_dns_builder_init(&b, wire, limit);
        add_question(&b, "www.example.test.");
        const struct kirim_dns_mark before = kirim_dns_builder_mark(&b);
        const kirim_err err = add_text(&b, KIRIM_DNS_SECTION_ANSWER, "a.b.test. MX 1 mail.other.");
        const bool is_fitting = limit == question_bytes + record_bytes;
        ck_assert_int_eq(err, is_fitting ? KIRIM_OK : KIRIM_EMSGSIZE);
        ck_assert_uint_eq(b.bytes, is_fitting ? limit : question_bytes);
        ck_assert(is_fitting || b.place_count == before.place_count);
        ck_assert_uint_eq(kirim_dns_builder_end(&b, 0, 0), b.bytes);
        free(wire);
    }
}
END_TEST

START_TEST(question_that_does_not_fit_is_refused)
{
    const struct kirim_dns_question question = { kit_name("www.example."), KIRIM_DNS_A, 1 };
    uint8_t wire[12 + 13 + 4];
    struct kirim_dns_builder b;
    kirim_dns_builder_init(&b, wire, sizeof wire - 1);
    ck_assert_int_eq(kirim_dns_builder_question(&b, &question), KIRIM_EMSGSIZE);
    ck_assert_uint_eq(b.bytes, 12);
    kirim_dns_builder_init(&b, wire, sizeof wire);
    ck_assert_int_eq(kirim_dns_builder_question(&b, &question), KIRIM_OK);
}
END_TEST

START_TEST(sections_have_their_order)
{
    uint8_t wire[MESSAGE_BYTES_MAX];
    struct kirim_dns_builder b;
    kirim_dns_builder_init(&b, wire, sizeof wire);
    ck_assert_int_eq(add_text(&b, 0, "a. A 192.0.2.1"), KIRIM_EINVAL);
    ck_assert_int_eq(add_text(&b, 4, "a. A 192.0.2.1"), KIRIM_EINVAL);
    ck_assert_int_eq(add_text(&b, 2, "a. A 192.0.2.1"), KIRIM_OK);
    ck_assert_int_eq(add_text(&b, 1, "a. A 192.0.2.1"), KIRIM_EINVAL);
    ck_assert_int_eq(add_text(&b, 2, "a. A 192.0.2.1"), KIRIM_OK);
    ck_assert_int_eq(add_text(&b, 3, "a. A 192.0.2.1"), KIRIM_OK);
}
END_TEST

START_TEST(undo_takes_names_back_too)
{
    uint8_t wire[MESSAGE_BYTES_MAX];
    struct kirim_dns_builder b;
    kirim_dns_builder_init(&b, wire, sizeof wire);
    add_question(&b, "a.");
    const struct kirim_dns_mark mark = kirim_dns_builder_mark(&b);
    ck_assert_int_eq(add_text(&b, 1, "b. A 192.0.2.1"), KIRIM_OK);
    kirim_dns_builder_undo(&b, &mark);
    ck_assert_int_eq(add_text(&b, 1, "c.b. A 192.0.2.1"), KIRIM_OK);
    ck_assert_mem_eq(wire + mark.bytes, "\1c\1b\0", 5);
}
END_TEST

/* A pointer has 14 bits: a name beyond them is written, but not pointed to. */
START_TEST(names_are_pointed_to_up_to_16383)
{
    static uint8_t wire[KIRIM_DNS_MESSAGE_BYTES_MAX];
    static uint8_t fill[16384];
    struct kirim_dns_name root;
    kirim_dns_name_root(&root);
    for (size_t place = 16383; place <= 16384; place++) {
        const uint16_t fill_bytes = (uint16_t)(place - KIRIM_DNS_HEADER_BYTES - 11);
        const struct kirim_dns_record record = {
            .type = 65280, .dns_class = 1, .rdata_bytes = fill_bytes, .rdata = fill
        };
        struct kirim_dns_builder b;
        struct kirim_dns_message m;
        kirim_dns_builder_init(&b, wire, sizeof wire);
        ck_assert_int_eq(kirim_dns_builder_record(&b, 1, &root, &record), KIRIM_OK);
        ck_assert_uint_eq(b.bytes, place);
        ck_assert_int_eq(add_text(&b, 2, "aa. A 192.0.2.1"), KIRIM_OK);
        ck_assert_int_eq(add_text(&b, 2, "aa. A 192.0.2.2"), KIRIM_OK);
        ck_assert_uint_eq(b.bytes, place + 4 + 14 + (place == 16383 ? 2 : 4) + 14);
        const struct kirim_dns_span span = { wire, kirim_dns_builder_end(&b, 0, 0) };
        ck_assert_int_eq(kirim_dns_message_read(span, &m), KIRIM_OK);
        ck_assert_str_eq(kit_section(&m, 2), "aa. 60 A 192.0.2.1\naa. 60 A 192.0.2.2\n");
    }
}
END_TEST

/* More names than places, and places beyond what a pointer can name. */
START_TEST(large_message_is_read_back)
{
    static uint8_t wire[KIRIM_DNS_MESSAGE_BYTES_MAX];
    struct kirim_dns_builder b;
    struct kirim_dns_message m;
    size_t count = 0;
    kirim_dns_builder_init(&b, wire, sizeof wire);
    add_question(&b, "example.");
    for (;;) {
        char text[] = "n00000.example. MX 10 mail.example.";
        for (size_t i = 5, left = count; i > 0; i--, left /= 10) {
            text[i] = (char)('0' + left % 10);
        }
        if (add_text(&b, KIRIM_DNS_SECTION_ANSWER, text) < 0) {
            break;
        }
        count++;
    }
    const size_t bytes = kirim_dns_builder_end(&b, 0, 0);
    const struct kirim_dns_span span = { wire, bytes };
    ck_assert_uint_gt(count, 2000);
    ck_assert_int_eq(kirim_dns_message_read(span, &m), KIRIM_OK);
    ck_assert_uint_eq(m.record_count[KIRIM_DNS_SECTION_ANSWER], count);
    struct kirim_dns_walk walk = kirim_dns_message_walk(&m);
    struct kirim_dns_name owner;
    struct kirim_dns_record record;
    while (kirim_dns_walk_next(&walk, &owner, &record)) {
        const struct kirim_dns_name example = kit_name("example.");
        uint8_t data[64];
        struct kirim_dns_room room = { data, sizeof data, 0 };
        ck_assert_uint_eq(owner.label_count, 2);
        ck_assert(kirim_dns_name_is_within(&owner, &example));
        ck_assert_int_eq(kirim_dns_rdata_read(m.wire, &record, &room), KIRIM_OK);
        ck_assert_uint_eq(room.bytes, 2 + 14);
        ck_assert_mem_eq(data, "\0\12\4mail\7example", 16);
        count--;
    }
    ck_assert_uint_eq(count, 0);
}
END_TEST

/* ---- noise ----------------------------------------------------------------------------------- */

/* Messages with bytes changed are read or refused, and what is read can be walked. */
START_TEST(changed_messages_do_no_harm)
{
    static const uint8_t sound[] = "\0\1\200\0\0\1\0\2\0\0\0\1" QUESTION RECORD
                                   "\300\14\0\17\0\1\0\0\0\74\0\6\0\12\1b\300\14" OPT;
    struct test_random random = test_random_start("messages");
    size_t read_count = 0;
    for (int i = 0; i < MUTATION_COUNT; i++) {
        uint8_t wire[sizeof sound - 1];
        memcpy(wire, sound, sizeof wire);
        for (uint64_t k = test_random_below(&random, 4); k > 0; k--) {
            wire[test_random_below(&random, sizeof wire)] = (uint8_t)test_random_next(&random);
        }
        const struct kirim_dns_span span = { wire, sizeof wire - test_random_below(&random, 3) };
        struct kirim_dns_message m;
        if (kirim_dns_message_read(span, &m) < 0) {
            continue;
        }
        struct kirim_dns_walk walk = kirim_dns_message_walk(&m);
        struct kirim_dns_name owner;
        struct kirim_dns_record record;
        while (kirim_dns_walk_next(&walk, &owner, &record)) {
            uint8_t data[512];
            struct kirim_dns_room room = { data, sizeof data, 0 };
            if (kirim_dns_rdata_read(m.wire, &record, &room) == KIRIM_OK) {
                ck_assert_int_eq(kirim_dns_rdata_check(record.type, data, room.bytes), KIRIM_OK);
            }
        }
        read_count++;
    }
    ck_assert_uint_gt(read_count, MUTATION_COUNT / 100);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { message_is_read_to_its_last_byte, COUNT_OF(reads) },
        { less_than_a_header_is_short, 0 },
        { every_field_is_read, 0 },
        { names_are_compressed_where_that_is_permitted, 0 },
        { case_of_the_question_is_kept, 0 },
        { limit_is_kept_at_every_byte, 0 },
        { question_that_does_not_fit_is_refused, 0 },
        { sections_have_their_order, 0 },
        { undo_takes_names_back_too, 0 },
        { names_are_pointed_to_up_to_16383, 0 },
        { large_message_is_read_back, 0 },
        { changed_messages_do_no_harm, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns message", claims);
}
