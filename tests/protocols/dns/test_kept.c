/* SPDX-License-Identifier: MIT
 *
 * Claims about answers that are kept: what is taken, for how long, and what is told of them.
 */
#include "kit.h"
#include "protocols/dns/kept.h"

#include <stdio.h>

static const struct kirim_dns_kept_limits limits = { 86400, 3600 };

/* One record of an answer that is made for a test. */
struct entry {
    int section;
    const char *owner;
    uint16_t type;
    uint32_t ttl;
    const char *rdata; /* as bytes; NULL: an address, or what the type of the tests needs */
    uint16_t bytes;
};

#define ADDRESS         "\300\0\2\1", 4
#define SOA_OF(minimum) "\0\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4" minimum, 22

/* An answer, and what was taken of it. */
struct place {
    uint8_t wire[2048];
    struct kirim_dns_message message;
    struct kirim_dns_kept kept;
    struct kit_reply reply;
};

static size_t build(struct place *p, const struct kirim_dns_question *question, uint16_t flags,
                    const struct entry *entries)
{
    struct kirim_dns_builder b;
    kirim_dns_builder_init(&b, p->wire, sizeof p->wire);
    ck_assert_int_eq(kirim_dns_builder_question(&b, question), KIRIM_OK);
    for (; entries != NULL && entries->section > 0; entries++) {
        const struct kirim_dns_name owner = kit_name(entries->owner);
        const struct kirim_dns_record record = { .type = entries->type,
                                                 .dns_class = KIRIM_DNS_CLASS_IN,
                                                 .ttl = entries->ttl,
                                                 .rdata = (const uint8_t *)entries->rdata,
                                                 .rdata_bytes = entries->bytes };
        ck_assert_int_eq(kirim_dns_builder_record(&b, entries->section, &owner, &record), KIRIM_OK);
    }
    return kirim_dns_builder_end(&b, 1, (uint16_t)(KIRIM_DNS_FLAG_QR | flags));
}

static kirim_err take(struct place *p, uint16_t type, uint16_t flags, const struct entry *entries)
{
    const struct kirim_dns_question question = { kit_name("a.example."), type, KIRIM_DNS_CLASS_IN };
    const struct kirim_dns_span span = { p->wire, build(p, &question, flags, entries) };
    ck_assert_int_eq(kirim_dns_message_read(span, &p->message), KIRIM_OK);
    return kirim_dns_kept_take(&p->message, &limits, &p->kept);
}

static void tell(struct place *p, const struct kirim_dns_caller *caller, uint32_t age_s)
{
    const struct kirim_dns_kept_view view = { &p->kept.form, p->kept.ttl_at, p->kept.wire, age_s };
    const struct kirim_dns_name name = kit_name("A.Example.");
    struct kirim_dns_room room = { p->reply.wire, sizeof p->reply.wire, 0 };
    kirim_dns_kept_write(&view, caller, &name, KIRIM_DNS_UDP_BYTES, &room);
    const struct kirim_dns_span span = { p->reply.wire, room.bytes };
    p->reply.bytes = room.bytes;
    ck_assert_int_eq(kirim_dns_message_read(span, &p->reply.message), KIRIM_OK);
}

/* ---- how long -------------------------------------------------------------------------------- */

static const struct lifetime_case {
    const char *what;
    uint16_t type, flags;
    struct entry entries[4];
    uint32_t lifetime_s;
    bool is_negative;
} lifetimes[] = {
    { "one record", 1, 0, { { 1, "a.example.", 1, 60, ADDRESS } }, 60, false },
    { "the least of two",
      1,
      0,
      { { 1, "a.example.", 1, 60, ADDRESS }, { 1, "a.example.", 1, 50, ADDRESS } },
      50,
      false },
    { "the least of all sections",
      1,
      0,
      { { 1, "a.example.", 1, 60, ADDRESS }, { 3, "b.example.", 1, 5, ADDRESS } },
      5,
      false },
    { "no longer than a day", 1, 0, { { 1, "a.example.", 1, 86401, ADDRESS } }, 86400, false },
    { "nothing", 1, 0, { { 1, "a.example.", 1, 0, ADDRESS } }, 0, false },
    { "beyond 2^31", 1, 0, { { 1, "a.example.", 1, 0x80000000, ADDRESS } }, 0, false },
    { "the end of a chain",
      1,
      0,
      { { 1, "a.example.", 5, 70, "\1b\0", 3 }, { 1, "b.", 1, 60, ADDRESS } },
      60,
      false },
    { "a CNAME that was asked for", 5, 0, { { 1, "a.example.", 5, 70, "\1b\0", 3 } }, 70, false },
    { "any", 255, 0, { { 1, "a.example.", 16, 70, "\1t", 2 } }, 70, false },
    { "no such name", 1, 3, { { 2, "example.", 6, 900, SOA_OF("\0\0\0\74") } }, 60, true },
    { "no such name, SOA of less",
      1,
      3,
      { { 2, "example.", 6, 9, SOA_OF("\0\0\0\74") } },
      9,
      true },
    { "no such name, for an hour", 1, 3, { { 2, "e.", 6, 9999, SOA_OF("\0\1\0\0") } }, 3600, true },
    { "no such type", 1, 0, { { 2, "example.", 6, 900, SOA_OF("\0\0\0\74") } }, 60, true },
    { "no such name, and no SOA", 1, 3, { { 0 } }, 0, true },
    { "no such type, and no SOA", 1, 0, { { 2, "example.", 2, 60, "\1b\0", 3 } }, 0, true },
    { "a chain to nothing",
      1,
      3,
      { { 1, "a.example.", 5, 20, "\1b\0", 3 }, { 2, "example.", 6, 900, SOA_OF("\0\0\0\74") } },
      20,
      true },
    { "a chain without an end", 1, 0, { { 1, "a.example.", 5, 20, "\1b\0", 3 } }, 0, true },
    { "SERVFAIL", 1, 2, { { 0 } }, 0, false },
    { "REFUSED", 1, 5, { { 0 } }, 0, false },
    { "cut", 1, KIRIM_DNS_FLAG_TC, { { 1, "a.example.", 1, 60, ADDRESS } }, 0, false },
};

START_TEST(lifetime_is_that_of_the_standards)
{
    const struct lifetime_case *const c = &lifetimes[_i];
    struct place *const p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(take(p, c->type, c->flags, c->entries), KIRIM_OK);
    ck_assert_msg(p->kept.form.lifetime_s == c->lifetime_s, "%s: %u", c->what,
                  p->kept.form.lifetime_s);
    ck_assert(p->kept.form.is_negative == c->is_negative);
    ck_assert_uint_eq(p->kept.form.rcode, c->flags & 15);
    free(p);
}
END_TEST

/* ---- what is not taken ----------------------------------------------------------------------- */

START_TEST(what_is_wrong_is_refused)
{
    static const struct entry sound[] = { { 1, "a.example.", 1, 60, ADDRESS }, { 0 } };
    struct place *const p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(take(p, 1, 0, sound), KIRIM_OK);
    const struct kirim_dns_span span = p->message.wire;
    p->wire[12 + 11 + 4 + 2 + 3] = 3; /* the record's class */
    ck_assert_int_eq(kirim_dns_message_read(span, &p->message), KIRIM_OK);
    ck_assert_int_eq(kirim_dns_kept_take(&p->message, &limits, &p->kept), KIRIM_DNS_EFORM);
    p->wire[12 + 11 + 4 + 2 + 3] = 1;
    p->wire[12 + 11 + 4 + 2 + 1] = 28; /* an IPv6 address of 4 bytes */
    ck_assert_int_eq(kirim_dns_message_read(span, &p->message), KIRIM_OK);
    ck_assert_int_lt(kirim_dns_kept_take(&p->message, &limits, &p->kept), 0);
    ck_assert_int_eq(take(p, 1, 0, sound), KIRIM_OK);
    p->message.has_question = false;
    ck_assert_int_eq(kirim_dns_kept_take(&p->message, &limits, &p->kept), KIRIM_DNS_EFORM);
    ck_assert_int_eq(take(p, 1, 0, sound), KIRIM_OK);
    p->message.has_edns = true; /* BADVERS is between two */
    p->message.edns.rcode_high = 1;
    ck_assert_int_eq(kirim_dns_kept_take(&p->message, &limits, &p->kept), KIRIM_DNS_EFORM);
    p->message.has_edns = false;
    p->message.wire.bytes = KIRIM_DNS_UDP_BYTES + 1;
    ck_assert_int_eq(kirim_dns_kept_take(&p->message, &limits, &p->kept), KIRIM_DNS_EFORM);
    free(p);
}
END_TEST

START_TEST(edns_and_what_follows_is_left_out)
{
    static const struct entry entries[] = { { 1, "a.example.", 1, 60, ADDRESS },
                                            { 3, "b.example.", 1, 60, ADDRESS },
                                            { 3, ".", KIRIM_DNS_OPT, 0, "", 0 },
                                            { 3, "c.example.", 1, 60, ADDRESS },
                                            { 0 } };
    const struct kirim_dns_caller caller = { .id = 9, .has_edns = true, .udp_bytes = 4096 };
    struct place *const p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(take(p, 1, 0, entries), KIRIM_OK);
    tell(p, &caller, 0);
    ck_assert_uint_eq(p->reply.message.record_count[3], 2); /* one, and ours */
    ck_assert_str_eq(kit_section(&p->reply.message, 3), "b.Example. 60 A 192.0.2.1\n");
    ck_assert(p->reply.message.has_edns);
    ck_assert_uint_eq(p->reply.message.edns.udp_bytes, KIRIM_DNS_UDP_BYTES);
    free(p);
}
END_TEST

/* ---- what is told ---------------------------------------------------------------------------- */

START_TEST(each_asker_gets_its_own)
{
    static const struct entry entries[] = { { 1, "a.example.", 5, 70, "\1b\7EXAMPLE\0", 11 },
                                            { 1, "b.example.", 1, 60, ADDRESS },
                                            { 2, "example.", 2, 100, "\2ns\0", 4 },
                                            { 0 } };
    const struct kirim_dns_caller caller = {
        .id = 0x1234, .flags = KIRIM_DNS_FLAG_RD | KIRIM_DNS_FLAG_CD | KIRIM_DNS_FLAG_AD | 0x40
    };
    struct place *const p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(take(p, 1, KIRIM_DNS_FLAG_AA | KIRIM_DNS_FLAG_AD, entries), KIRIM_OK);
    tell(p, &caller, 0);
    const struct kirim_dns_message *const told = &p->reply.message;
    ck_assert_uint_eq(told->id, 0x1234);
    ck_assert_uint_eq(told->flags, KIRIM_DNS_FLAG_QR | KIRIM_DNS_FLAG_RD | KIRIM_DNS_FLAG_RA |
                                       KIRIM_DNS_FLAG_CD);
    ck_assert_str_eq(kit_name_text(&told->question.name), "A.Example.");
    ck_assert(!told->has_edns);
    tell(p, &caller, 65);
    ck_assert_str_eq(kit_section(told, 1),
                     "A.Example. 5 CNAME b.Example.\nb.Example. 0 A 192.0.2.1\n");
    ck_assert_str_eq(kit_section(told, 2), "Example. 35 NS ns.\n");
    free(p);
}
END_TEST

/* Sections that do not fit are left out, the last ones first; TC if they are needed. */
START_TEST(answers_are_cut_between_sections)
{
    static uint8_t text[200];
    const char *const data = (const char *)text;
    const struct entry entries[] = { { 1, "a.example.", 65280, 60, data, 200 },
                                     { 2, "example.", 65280, 60, data, 200 },
                                     { 3, "b.example.", 65280, 60, data, 200 },
                                     { 0 } };
    struct place *const p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    for (uint16_t answers = 0; answers < 2; answers++) {
        for (uint16_t udp_bytes = 0; udp_bytes < 1300; udp_bytes = (uint16_t)(udp_bytes + 7)) {
            const struct kirim_dns_caller caller = { .has_edns = true, .udp_bytes = udp_bytes };
            const size_t limit = udp_bytes < 512 ? 512 : udp_bytes > 1232 ? 1232 : udp_bytes;
            ck_assert_int_eq(take(p, 65280, 0, answers == 1 ? entries : entries + 1), KIRIM_OK);
            tell(p, &caller, 0);
            const uint16_t *const count = p->reply.message.record_count;
            const bool is_cut = (p->reply.message.flags & KIRIM_DNS_FLAG_TC) != 0;
            ck_assert_uint_le(p->reply.bytes, limit);
            const size_t whole = p->kept.form.end[3] + (size_t)KIRIM_DNS_OPT_BYTES;
            ck_assert_uint_eq(count[3], whole <= limit ? 2 : 1);
            ck_assert(is_cut == (answers == 1 ? count[1] == 0 : count[2] == 0));
        }
    }
    free(p);
}
END_TEST

START_TEST(failure_has_no_records)
{
    const struct kirim_dns_question question = { kit_name("a.example."), 1, 1 };
    const struct kirim_dns_caller caller = { .id = 5, .has_edns = true };
    struct place *const p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    kirim_dns_kept_make(&question, KIRIM_DNS_SERVFAIL, 7, &p->kept);
    ck_assert_uint_eq(p->kept.form.lifetime_s, 7);
    tell(p, &caller, 3);
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_SERVFAIL);
    ck_assert_uint_eq(p->reply.bytes, 12 + 11 + 4 + KIRIM_DNS_OPT_BYTES);
    ck_assert_uint_eq(p->reply.message.flags & KIRIM_DNS_FLAG_TC, 0);
    free(p);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { lifetime_is_that_of_the_standards, COUNT_OF(lifetimes) },
        { what_is_wrong_is_refused, 0 },
        { edns_and_what_follows_is_left_out, 0 },
        { each_asker_gets_its_own, 0 },
        { answers_are_cut_between_sections, 0 },
        { failure_has_no_records, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns kept", claims);
}
