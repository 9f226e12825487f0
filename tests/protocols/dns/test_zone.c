/* SPDX-License-Identifier: MIT
 *
 * Claims about zones: what a look-up says of every kind of name, what a zone refuses to hold, its
 * bounds, its memory.
 */
#include "kit.h"
#include "support/random.h"

enum { MANY_COUNT = 5000 };

/* RFC 1034 and RFC 4592 in one zone. */
static const char zone_text[] = "$ORIGIN example.\n"
                                "$TTL 300\n"
                                "@ SOA ns hostmaster 1 3600 600 86400 60\n"
                                "@ NS ns\n"
                                "@ NS ns.elsewhere.\n"
                                "@ MX 10 mail\n"
                                "ns A 192.0.2.53\n"
                                "mail A 192.0.2.25\n"
                                "www CNAME mail\n"
                                "deep.down.below TXT there\n"
                                "* TXT wild\n"
                                "* MX 10 mail\n"
                                "sub.* TXT below\n"
                                "host1 A 192.0.2.1\n"
                                "_ssh._tcp.host1 SRV 0 0 22 host1\n"
                                "child NS ns.child\n"
                                "child NS ns\n"
                                "child DS 1 13 2 abcd\n"
                                "ns.child A 192.0.2.99\n"
                                "*.cn CNAME www\n"
                                "*.empty.w TXT far\n";

static const struct find_case {
    const char *name;
    uint16_t type;
    int kind;
    bool is_wildcard;
    uint16_t set_type; /* 0: no set */
} finds[] = {
    { "example.", KIRIM_DNS_SOA, KIRIM_DNS_MATCH_ANSWER, false, KIRIM_DNS_SOA },
    { "EXAMPLE.", KIRIM_DNS_NS, KIRIM_DNS_MATCH_ANSWER, false, KIRIM_DNS_NS },
    { "example.", KIRIM_DNS_TXT, KIRIM_DNS_MATCH_NO_DATA, false, 0 },
    { "www.example.", KIRIM_DNS_A, KIRIM_DNS_MATCH_CNAME, false, KIRIM_DNS_CNAME },
    { "www.example.", KIRIM_DNS_CNAME, KIRIM_DNS_MATCH_ANSWER, false, KIRIM_DNS_CNAME },
    { "www.example.", KIRIM_DNS_ANY, KIRIM_DNS_MATCH_ANSWER, false, KIRIM_DNS_CNAME },
    { "example.", KIRIM_DNS_ANY, KIRIM_DNS_MATCH_ANSWER, false, KIRIM_DNS_SOA },
    /* empty non-terminals */
    { "below.example.", KIRIM_DNS_TXT, KIRIM_DNS_MATCH_NO_DATA, false, 0 },
    { "down.below.example.", KIRIM_DNS_ANY, KIRIM_DNS_MATCH_NO_DATA, false, 0 },
    { "deep.down.below.example.", KIRIM_DNS_TXT, KIRIM_DNS_MATCH_ANSWER, false, KIRIM_DNS_TXT },
    { "x.deep.down.below.example.", KIRIM_DNS_TXT, KIRIM_DNS_MATCH_NO_NAME, false, 0 },
    { "_tcp.host1.example.", KIRIM_DNS_TXT, KIRIM_DNS_MATCH_NO_DATA, false, 0 },
    /* RFC 4592 section 2.2.1 */
    { "host3.example.", KIRIM_DNS_MX, KIRIM_DNS_MATCH_ANSWER, true, KIRIM_DNS_MX },
    { "host3.example.", KIRIM_DNS_A, KIRIM_DNS_MATCH_NO_DATA, true, 0 },
    { "foo.bar.example.", KIRIM_DNS_TXT, KIRIM_DNS_MATCH_ANSWER, true, KIRIM_DNS_TXT },
    { "host1.example.", KIRIM_DNS_MX, KIRIM_DNS_MATCH_NO_DATA, false, 0 },
    { "sub.*.example.", KIRIM_DNS_MX, KIRIM_DNS_MATCH_NO_DATA, false, 0 },
    { "sub.*.example.", KIRIM_DNS_TXT, KIRIM_DNS_MATCH_ANSWER, false, KIRIM_DNS_TXT },
    { "_telnet._tcp.host1.example.", KIRIM_DNS_SRV, KIRIM_DNS_MATCH_NO_NAME, false, 0 },
    { "*.example.", KIRIM_DNS_TXT, KIRIM_DNS_MATCH_ANSWER, false, KIRIM_DNS_TXT },
    { "ghost.*.example.", KIRIM_DNS_MX, KIRIM_DNS_MATCH_NO_NAME, false, 0 },
    { "x.cn.example.", KIRIM_DNS_A, KIRIM_DNS_MATCH_CNAME, true, KIRIM_DNS_CNAME },
    { "cn.example.", KIRIM_DNS_A, KIRIM_DNS_MATCH_NO_DATA, false, 0 },
    { "w.example.", KIRIM_DNS_TXT, KIRIM_DNS_MATCH_NO_DATA, false, 0 },
    { "a.b.empty.w.example.", KIRIM_DNS_TXT, KIRIM_DNS_MATCH_ANSWER, true, KIRIM_DNS_TXT },
    /* delegations */
    { "child.example.", KIRIM_DNS_A, KIRIM_DNS_MATCH_DELEGATION, false, KIRIM_DNS_NS },
    { "child.example.", KIRIM_DNS_NS, KIRIM_DNS_MATCH_DELEGATION, false, KIRIM_DNS_NS },
    { "child.example.", KIRIM_DNS_ANY, KIRIM_DNS_MATCH_DELEGATION, false, KIRIM_DNS_NS },
    { "child.example.", KIRIM_DNS_DS, KIRIM_DNS_MATCH_ANSWER, false, KIRIM_DNS_DS },
    { "ns.child.example.", KIRIM_DNS_A, KIRIM_DNS_MATCH_DELEGATION, false, KIRIM_DNS_NS },
    { "a.b.child.example.", KIRIM_DNS_DS, KIRIM_DNS_MATCH_DELEGATION, false, KIRIM_DNS_NS },
    /* outside */
    { "test.", KIRIM_DNS_A, KIRIM_DNS_MATCH_OUTSIDE, false, 0 },
    { ".", KIRIM_DNS_A, KIRIM_DNS_MATCH_OUTSIDE, false, 0 },
    { "anexample.", KIRIM_DNS_A, KIRIM_DNS_MATCH_OUTSIDE, false, 0 },
};

START_TEST(every_kind_of_name_has_its_answer)
{
    const struct find_case *const c = &finds[_i];
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *const zone = kit_zone(&memory, zone_text);
    const struct kirim_dns_name name = kit_name(c->name);
    const struct kirim_dns_match match = kirim_dns_zone_find(zone, &name, c->type);
    ck_assert_msg(match.kind == c->kind, "%s: kind %d", c->name, match.kind);
    ck_assert_msg(match.is_wildcard == c->is_wildcard, "%s", c->name);
    ck_assert_uint_eq(match.set != NULL ? match.set->type : 0, c->set_type);
    if (c->kind == KIRIM_DNS_MATCH_DELEGATION) {
        ck_assert_uint_eq(match.cut_label_count, 2);
    }
    kirim_dns_zone_close(zone);
    ck_assert_uint_eq(memory.blocks, 0);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

START_TEST(glue_is_found_below_a_cut)
{
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *const zone = kit_zone(&memory, zone_text);
    const struct kirim_dns_name glue = kit_name("NS.child.example.");
    const struct kirim_dns_name wild = kit_name("no.example.");
    const struct kirim_dns_name outside = kit_name("ns.elsewhere.");
    ck_assert_ptr_nonnull(kirim_dns_zone_glue(zone, &glue, KIRIM_DNS_A));
    ck_assert_ptr_null(kirim_dns_zone_glue(zone, &glue, KIRIM_DNS_AAAA));
    ck_assert_ptr_null(kirim_dns_zone_glue(zone, &wild, KIRIM_DNS_TXT));
    ck_assert_ptr_null(kirim_dns_zone_glue(zone, &outside, KIRIM_DNS_A));
    kirim_dns_zone_close(zone);
}
END_TEST

START_TEST(negative_ttl_is_the_smaller_one)
{
    static const struct {
        const char *text;
        uint32_t ttl;
    } cases[] = {
        { "example. 300 SOA a. b. 1 2 3 4 60\nexample. 5 NS a.\n", 60 },
        { "example. 30 SOA a. b. 1 2 3 4 60\nexample. 5 NS a.\n", 30 },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kit_memory memory = { 0 };
        struct kirim_dns_zone *const zone = kit_zone(&memory, cases[i].text);
        ck_assert_uint_eq(kirim_dns_zone_negative_ttl(zone), cases[i].ttl);
        ck_assert_uint_eq(kirim_dns_zone_record_count(zone), 2);
        kirim_dns_zone_close(zone);
    }
}
END_TEST

START_TEST(set_has_no_record_twice_and_one_ttl)
{
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *const zone =
        kit_zone(&memory, "example. 300 SOA a. b. 1 2 3 4 60\nexample. 5 NS a.\n"
                          "a.example. 60 A 192.0.2.1\nA.example. 30 A 192.0.2.2\n"
                          "a.example. 90 A 192.0.2.1\n");
    const struct kirim_dns_name name = kit_name("a.example.");
    const struct kirim_dns_match match = kirim_dns_zone_find(zone, &name, KIRIM_DNS_A);
    ck_assert_uint_eq(match.set->count, 2);
    ck_assert_uint_eq(match.set->ttl, 30);
    ck_assert_mem_eq(match.set->first->rdata, "\300\0\2\1", 4); /* in the order of the file */
    ck_assert_mem_eq(match.set->first->next->rdata, "\300\0\2\2", 4);
    ck_assert_ptr_null(match.set->first->next->next);
    kirim_dns_zone_close(zone);
}
END_TEST

/* ---- what a zone refuses --------------------------------------------------------------------- */

static struct kirim_dns_zone *open_zone(struct kit_memory *memory, size_t bytes_max,
                                        uint32_t record_count_max)
{
    struct kirim_dns_zone_options options = KIRIM_DNS_ZONE_OPTIONS_INIT;
    const struct kirim_dns_name origin = kit_name("example.");
    struct kirim_dns_zone *zone = NULL;
    options.alloc = kit_alloc;
    options.alloc_user = memory;
    options.bytes_max = bytes_max;
    options.record_count_max = record_count_max;
    ck_assert_int_eq(kirim_dns_zone_open(&origin, &options, &zone), KIRIM_OK);
    return zone;
}

static kirim_err add_bytes(struct kirim_dns_zone *zone, const char *owner, uint16_t type,
                           struct kirim_dns_span rdata)
{
    const struct kirim_dns_name name = kit_name(owner);
    const struct kirim_dns_record record = { .type = type,
                                             .dns_class = KIRIM_DNS_CLASS_IN,
                                             .rdata = rdata.data,
                                             .rdata_bytes = (uint16_t)rdata.bytes };
    const char *why = NULL;
    const kirim_err err = kirim_dns_zone_add(zone, &name, &record, &why);
    ck_assert(err == KIRIM_OK || why != NULL);
    return err;
}

static kirim_err add_address(struct kirim_dns_zone *zone, const char *owner, uint8_t last)
{
    const uint8_t rdata[4] = { 192, 0, 2, last };
    return add_bytes(zone, owner, KIRIM_DNS_A, (struct kirim_dns_span){ rdata, 4 });
}

START_TEST(records_that_no_zone_can_hold_are_refused)
{
    static const uint8_t rdata[4] = { 0 };
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *const zone = open_zone(&memory, 0, 0);
    const struct kirim_dns_name name = kit_name("a.example.");
    struct kirim_dns_record record = {
        .type = KIRIM_DNS_A, .dns_class = KIRIM_DNS_CLASS_IN, .rdata = rdata, .rdata_bytes = 4
    };
    ck_assert_int_eq(add_address(zone, "a.test.", 1), KIRIM_EINVAL);
    record.dns_class = KIRIM_DNS_CLASS_CH;
    ck_assert_int_eq(kirim_dns_zone_add(zone, &name, &record, NULL), KIRIM_EINVAL);
    record.dns_class = KIRIM_DNS_CLASS_IN;
    record.ttl = 0x80000000;
    ck_assert_int_eq(kirim_dns_zone_add(zone, &name, &record, NULL), KIRIM_EINVAL);
    record.ttl = KIRIM_DNS_TTL_MAX;
    record.rdata_bytes = 3;
    ck_assert_int_eq(kirim_dns_zone_add(zone, &name, &record, NULL), KIRIM_EINVAL);
    record.rdata_bytes = 4;
    ck_assert_int_eq(kirim_dns_zone_add(zone, &name, &record, NULL), KIRIM_OK);
    static const uint16_t types[] = { 0, KIRIM_DNS_OPT, 128, KIRIM_DNS_AXFR, KIRIM_DNS_ANY };
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        record.type = types[i];
        ck_assert_int_eq(kirim_dns_zone_add(zone, &name, &record, NULL), KIRIM_EINVAL);
    }
    kirim_dns_zone_close(zone);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

START_TEST(incomplete_zone_is_not_sealed_and_not_asked)
{
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *const zone = open_zone(&memory, 0, 0);
    const struct kirim_dns_name name = kit_name("example.");
    const char *why = NULL;
    ck_assert_int_eq(kirim_dns_zone_seal(zone, &why), KIRIM_DNS_EZONE);
    ck_assert_str_eq(why, "the zone has no SOA record");
    ck_assert_int_eq(add_bytes(zone, "example.", KIRIM_DNS_SOA,
                               (struct kirim_dns_span){ (const uint8_t[22]){ 0 }, 22 }),
                     KIRIM_OK);
    ck_assert_int_eq(kirim_dns_zone_seal(zone, &why), KIRIM_DNS_EZONE);
    ck_assert_str_eq(why, "the zone's origin has no NS record");
    ck_assert_int_eq(kirim_dns_zone_find(zone, &name, KIRIM_DNS_SOA).kind, KIRIM_DNS_MATCH_OUTSIDE);
    ck_assert_int_eq(add_bytes(zone, "example.", KIRIM_DNS_NS,
                               (struct kirim_dns_span){ (const uint8_t[1]){ 0 }, 1 }),
                     KIRIM_OK);
    ck_assert_int_eq(kirim_dns_zone_seal(zone, NULL), KIRIM_OK);
    ck_assert_int_eq(kirim_dns_zone_seal(zone, &why), KIRIM_EINVAL);
    ck_assert_int_eq(add_address(zone, "a.example.", 1), KIRIM_EINVAL);
    kirim_dns_zone_close(zone);
}
END_TEST

START_TEST(bound_of_records_is_kept)
{
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *const zone = open_zone(&memory, 0, 3);
    ck_assert_int_eq(add_address(zone, "a.example.", 1), KIRIM_OK);
    ck_assert_int_eq(add_address(zone, "a.example.", 2), KIRIM_OK);
    ck_assert_int_eq(add_address(zone, "b.example.", 3), KIRIM_OK);
    ck_assert_int_eq(add_address(zone, "b.example.", 4), KIRIM_DNS_EFULL);
    ck_assert_uint_eq(kirim_dns_zone_record_count(zone), 3);
    kirim_dns_zone_close(zone);
}
END_TEST

START_TEST(bound_of_a_set_is_kept)
{
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *const zone = open_zone(&memory, 0, 0);
    uint8_t rdata[2] = { 0 };
    for (unsigned i = 0; i <= KIRIM_DNS_RRSET_COUNT_MAX; i++) {
        rdata[0] = (uint8_t)(i >> 8);
        rdata[1] = (uint8_t)i;
        ck_assert_int_eq(add_bytes(zone, "a.example.", 65280, (struct kirim_dns_span){ rdata, 2 }),
                         i < KIRIM_DNS_RRSET_COUNT_MAX ? KIRIM_OK : KIRIM_DNS_EFULL);
    }
    kirim_dns_zone_close(zone);
}
END_TEST

START_TEST(bound_of_memory_is_kept)
{
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *const zone = open_zone(&memory, 65536, 0);
    kirim_err err = KIRIM_OK;
    for (int i = 0; i < 1000 && err == KIRIM_OK; i++) {
        char owner[] = "000.example.";
        owner[0] = (char)('0' + i / 100);
        owner[1] = (char)('0' + i / 10 % 10);
        owner[2] = (char)('0' + i % 10);
        err = add_address(zone, owner, 1);
        ck_assert_uint_le(memory.bytes, 65536 + 1024);
    }
    ck_assert_int_eq(err, KIRIM_DNS_EFULL);
    kirim_dns_zone_close(zone);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

/* ---- size and memory ------------------------------------------------------------------------- */

/* Many names are all found, and no others. The table grows meanwhile. */
START_TEST(many_names_are_told_apart)
{
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *const zone = open_zone(&memory, 0, 0);
    char owner[32];
    (void)add_bytes(zone, "example.", KIRIM_DNS_SOA,
                    (struct kirim_dns_span){ (const uint8_t[22]){ 0 }, 22 });
    (void)add_bytes(zone, "example.", KIRIM_DNS_NS,
                    (struct kirim_dns_span){ (const uint8_t[1]){ 0 }, 1 });
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < 2 * MANY_COUNT; i++) {
            memcpy(owner, "00000.a.example.", 17);
            for (unsigned k = 5, left = i; k > 0; k--, left /= 10) {
                owner[k - 1] = (char)('0' + left % 10);
            }
            if (pass == 0 && i % 2 == 0) {
                ck_assert_int_eq(add_address(zone, owner, (uint8_t)i), KIRIM_OK);
            } else if (pass == 1) {
                const struct kirim_dns_name name = kit_name(owner);
                const struct kirim_dns_match match = kirim_dns_zone_find(zone, &name, KIRIM_DNS_A);
                ck_assert_int_eq(match.kind,
                                 i % 2 == 0 ? KIRIM_DNS_MATCH_ANSWER : KIRIM_DNS_MATCH_NO_NAME);
                ck_assert(i % 2 != 0 || match.set->first->rdata[3] == (uint8_t)i);
            }
        }
        ck_assert(pass > 0 || kirim_dns_zone_seal(zone, NULL) == KIRIM_OK);
    }
    kirim_dns_zone_close(zone);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

/* A label of 63 bytes, 127 labels, and a label that is only seen by its length byte. */
START_TEST(extreme_names_are_kept)
{
    struct kit_memory memory = { 0 };
    struct kirim_dns_zone *const zone = open_zone(&memory, 0, 0);
    char text[300] = "";
    for (size_t i = 0; i < 123; i++) {
        memcpy(text + 2 * i, "a.", 3);
    }
    memcpy(text + 246, "example.", 9);
    ck_assert_int_eq(add_address(zone, text, 1), KIRIM_OK);
    ck_assert_int_eq(add_address(zone, "a\\.a.example.", 2), KIRIM_OK);
    ck_assert_int_eq(add_address(zone, "\\000.example.", 3), KIRIM_OK);
    (void)add_bytes(zone, "example.", KIRIM_DNS_SOA,
                    (struct kirim_dns_span){ (const uint8_t[22]){ 0 }, 22 });
    (void)add_bytes(zone, "example.", KIRIM_DNS_NS,
                    (struct kirim_dns_span){ (const uint8_t[1]){ 0 }, 1 });
    ck_assert_int_eq(kirim_dns_zone_seal(zone, NULL), KIRIM_OK);
    const struct kirim_dns_name longest = kit_name(text);
    const struct kirim_dns_name dotted = kit_name("A\\.a.example.");
    const struct kirim_dns_name undotted = kit_name("a.a.example.");
    ck_assert_uint_eq(kirim_dns_zone_find(zone, &longest, KIRIM_DNS_A).set->first->rdata[3], 1);
    ck_assert_uint_eq(kirim_dns_zone_find(zone, &dotted, KIRIM_DNS_A).set->first->rdata[3], 2);
    ck_assert_int_eq(kirim_dns_zone_find(zone, &undotted, KIRIM_DNS_A).kind,
                     KIRIM_DNS_MATCH_NO_DATA);
    kirim_dns_zone_close(zone);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    struct kit_memory memory = { 0 };
    struct kirim_dns_zonefile_error error;
    struct kirim_dns_zone *zone = NULL;
    kirim_err err = KIRIM_ENOMEM;
    size_t failed_count = 0;
    for (size_t at = 1; err != KIRIM_OK && at < 1000; at++) {
        memory = (struct kit_memory){ .fail_at = at };
        err = kit_read_zone(&memory, zone_text, &zone, &error);
        ck_assert(err == KIRIM_OK || err == KIRIM_ENOMEM);
        if (err < 0) {
            failed_count++;
            ck_assert_int_eq(error.err, KIRIM_ENOMEM);
            ck_assert_ptr_nonnull(strstr(error.text, "out of memory"));
            ck_assert_uint_eq(memory.blocks, 0);
        }
    }
    ck_assert_int_eq(err, KIRIM_OK);
    ck_assert_uint_ge(failed_count, 4);
    kirim_dns_zone_close(zone);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { every_kind_of_name_has_its_answer, COUNT_OF(finds) },
        { glue_is_found_below_a_cut, 0 },
        { negative_ttl_is_the_smaller_one, 0 },
        { set_has_no_record_twice_and_one_ttl, 0 },
        { records_that_no_zone_can_hold_are_refused, 0 },
        { incomplete_zone_is_not_sealed_and_not_asked, 0 },
        { bound_of_records_is_kept, 0 },
        { bound_of_a_set_is_kept, 0 },
        { bound_of_memory_is_kept, 0 },
        { many_names_are_told_apart, 0 },
        { extreme_names_are_kept, 0 },
        { every_allocation_may_fail, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns zone", claims);
}
