/* SPDX-License-Identifier: MIT
 *
 * Claims about the server: what is dropped, what each kind of request is answered, whole answers
 * section by section, sizes and truncation.
 */
#include "kit.h"
#include "support/random.h"

#include <stdio.h>

enum { NOISE_COUNT = 50000 };

static const char zone_text[] = "$ORIGIN example.\n"
                                "$TTL 300\n"
                                "@ SOA ns hostmaster 1 3600 600 86400 60\n"
                                "@ NS ns\n"
                                "@ MX 10 mail\n"
                                "@ MX 20 mail\n"
                                "@ MX 30 mail.other.\n"
                                "ns A 192.0.2.53\n"
                                "ns AAAA 2001:db8::53\n"
                                "mail A 192.0.2.25\n"
                                "www CNAME web\n"
                                "web A 192.0.2.80\n"
                                "web AAAA 2001:db8::80\n"
                                "c1 CNAME c2\n"
                                "c2 CNAME c3\n"
                                "c3 CNAME nowhere\n"
                                "out CNAME www.elsewhere.\n"
                                "loop1 CNAME loop2\n"
                                "loop2 CNAME loop1\n"
                                "self CNAME self\n"
                                "into CNAME a.child\n"
                                "nodata CNAME mail\n"
                                "*.wild A 192.0.2.7\n"
                                "*.wildloop CNAME x.wildloop\n"
                                "_sip._udp SRV 1 2 5060 web\n"
                                "child NS ns.child\n"
                                "child NS ns.sibling\n"
                                "child NS ns.far.\n"
                                "child DS 1 13 2 abcd\n"
                                "ns.child A 192.0.2.99\n"
                                "sibling NS ns.sibling\n"
                                "ns.sibling AAAA 2001:db8::99\n"
                                "x TYPE65280 \\# 2 abcd\n";

static const char chain_text[] =
    "$ORIGIN chain.\n"
    "@ 5 SOA a b 1 2 3 4 5\n"
    "@ NS a\n"
    "n0 CNAME n1\nn1 CNAME n2\nn2 CNAME n3\nn3 CNAME n4\nn4 CNAME n5\nn5 CNAME n6\n"
    "n6 CNAME n7\nn7 CNAME n8\nn8 CNAME n9\nn9 CNAME n10\nn10 CNAME n11\nn11 CNAME n12\n"
    "n12 CNAME n13\nn13 CNAME n14\nn14 CNAME n15\nn15 CNAME n16\nn16 A 192.0.2.1\n"
    "m CNAME n0\n";

/* A server with the zones "example." and "chain.". */
struct place {
    struct kit_memory memory;
    struct kirim_dns_zone *zone[2];
    struct kirim_dns_server server;
    struct kit_reply reply;
};

static struct place *open_place(void)
{
    struct place *const p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    p->zone[0] = kit_zone(&p->memory, zone_text);
    p->zone[1] = kit_zone(&p->memory, chain_text);
    kirim_dns_server_init(&p->server);
    ck_assert_int_eq(kirim_dns_server_add(&p->server, p->zone[0]), KIRIM_OK);
    ck_assert_int_eq(kirim_dns_server_add(&p->server, p->zone[1]), KIRIM_OK);
    return p;
}

static void close_place(struct place *p)
{
    kirim_dns_zone_close(p->zone[0]);
    kirim_dns_zone_close(p->zone[1]);
    ck_assert_uint_eq(p->memory.blocks, 0);
    free(p);
}

/* ---- whole answers --------------------------------------------------------------------------- */

#define SOA "example. 60 SOA ns.example. hostmaster.example. 1 3600 600 86400 60\n"
#define AA  KIRIM_DNS_FLAG_AA

static const struct answer_case {
    const char *name;
    uint16_t type;
    uint16_t flags; /* beside QR: AA, and the result */
    const char *answer, *authority, *additional;
} answers[] = {
    { "web.example.", KIRIM_DNS_A, AA, "web.example. 300 A 192.0.2.80\n", "", "" },
    { "web.example.", KIRIM_DNS_AAAA, AA, "web.example. 300 AAAA 2001:db8::80\n", "", "" },
    { "example.", KIRIM_DNS_SOA, AA,
      "example. 300 SOA ns.example. hostmaster.example. 1 3600 600 86400 60\n", "", "" },
    { "example.", KIRIM_DNS_NS, AA, "example. 300 NS ns.example.\n", "",
      "ns.example. 300 A 192.0.2.53\nns.example. 300 AAAA 2001:db8::53\n" },
    { "example.", KIRIM_DNS_MX, AA,
      "example. 300 MX 10 mail.example.\nexample. 300 MX 20 mail.example.\n"
      "example. 300 MX 30 mail.other.\n",
      "", "mail.example. 300 A 192.0.2.25\n" }, /* once */
    { "_sip._udp.example.", KIRIM_DNS_SRV, AA, "_sip._udp.example. 300 SRV 1 2 5060 web.example.\n",
      "", "web.example. 300 A 192.0.2.80\nweb.example. 300 AAAA 2001:db8::80\n" },
    { "x.example.", 65280, AA, "x.example. 300 TYPE65280 \\# 2 abcd\n", "", "" },
    /* nothing there */
    { "web.example.", KIRIM_DNS_MX, AA, "", SOA, "" },
    { "no.example.", KIRIM_DNS_A, AA | KIRIM_DNS_NXDOMAIN, "", SOA, "" },
    { "wild.example.", KIRIM_DNS_A, AA, "", SOA, "" },
    { "example.", 0, AA, "", SOA, "" },
    /* CNAME chains; the result is that of their end (RFC 6604) */
    { "www.example.", KIRIM_DNS_A, AA,
      "www.example. 300 CNAME web.example.\nweb.example. 300 A 192.0.2.80\n", "", "" },
    { "www.example.", KIRIM_DNS_CNAME, AA, "www.example. 300 CNAME web.example.\n", "", "" },
    { "www.example.", KIRIM_DNS_MX, AA, "www.example. 300 CNAME web.example.\n", SOA, "" },
    { "c1.example.", KIRIM_DNS_A, AA | KIRIM_DNS_NXDOMAIN,
      "c1.example. 300 CNAME c2.example.\nc2.example. 300 CNAME c3.example.\n"
      "c3.example. 300 CNAME nowhere.example.\n",
      SOA, "" },
    { "out.example.", KIRIM_DNS_A, AA, "out.example. 300 CNAME www.elsewhere.\n", "", "" },
    { "loop1.example.", KIRIM_DNS_A, AA,
      "loop1.example. 300 CNAME loop2.example.\nloop2.example. 300 CNAME loop1.example.\n", "",
      "" },
    { "self.example.", KIRIM_DNS_A, AA, "self.example. 300 CNAME self.example.\n", "", "" },
    { "y.wildloop.example.", KIRIM_DNS_A, AA, "y.wildloop.example. 300 CNAME x.wildloop.example.\n",
      "", "" },
    { "into.example.", KIRIM_DNS_A, AA, "into.example. 300 CNAME a.child.example.\n",
      "child.example. 300 NS ns.child.example.\nchild.example. 300 NS ns.sibling.example.\n"
      "child.example. 300 NS ns.far.\n",
      "ns.child.example. 300 A 192.0.2.99\nns.sibling.example. 300 AAAA 2001:db8::99\n" },
    /* wildcards */
    { "a.wild.example.", KIRIM_DNS_A, AA, "a.wild.example. 300 A 192.0.2.7\n", "", "" },
    { "a.b.wild.example.", KIRIM_DNS_A, AA, "a.b.wild.example. 300 A 192.0.2.7\n", "", "" },
    { "a.wild.example.", KIRIM_DNS_MX, AA, "", SOA, "" },
    /* delegations */
    { "deep.child.example.", KIRIM_DNS_A, 0, "",
      "child.example. 300 NS ns.child.example.\nchild.example. 300 NS ns.sibling.example.\n"
      "child.example. 300 NS ns.far.\n",
      "ns.child.example. 300 A 192.0.2.99\nns.sibling.example. 300 AAAA 2001:db8::99\n" },
    { "child.example.", KIRIM_DNS_DS, AA, "child.example. 300 DS 1 13 2 abcd\n", "", "" },
    { "sibling.example.", KIRIM_DNS_DS, AA, "", SOA, "" },
    /* ANY is one set, RFC 8482 */
    { "web.example.", KIRIM_DNS_ANY, AA, "web.example. 300 A 192.0.2.80\n", "", "" },
    { "www.example.", KIRIM_DNS_ANY, AA, "www.example. 300 CNAME web.example.\n", "", "" },
    /* not ours, not for UDP */
    { "example.test.", KIRIM_DNS_A, KIRIM_DNS_REFUSED, "", "", "" },
    { ".", KIRIM_DNS_NS, KIRIM_DNS_REFUSED, "", "", "" },
    { "example.", KIRIM_DNS_AXFR, KIRIM_DNS_REFUSED, "", "", "" },
    { "example.", KIRIM_DNS_IXFR, KIRIM_DNS_REFUSED, "", "", "" },
    { "example.", 253, KIRIM_DNS_REFUSED, "", "", "" },
    { "example.", KIRIM_DNS_OPT, KIRIM_DNS_FORMERR, "", "", "" },
};

START_TEST(question_has_its_whole_answer)
{
    const struct answer_case *const c = &answers[_i];
    const struct kit_question question = { .name = c->name, .type = c->type, .id = 77 };
    struct place *const p = open_place();
    const struct kirim_dns_message *const m = &p->reply.message;
    kit_ask(&p->server, &question, &p->reply);
    ck_assert_uint_eq(m->id, 77);
    ck_assert_uint_eq(m->flags, KIRIM_DNS_FLAG_QR | c->flags);
    ck_assert_str_eq(kit_section(m, KIRIM_DNS_SECTION_ANSWER), c->answer);
    ck_assert_str_eq(kit_section(m, KIRIM_DNS_SECTION_AUTHORITY), c->authority);
    ck_assert_str_eq(kit_section(m, KIRIM_DNS_SECTION_ADDITIONAL), c->additional);
    ck_assert(!m->has_edns);
    close_place(p);
}
END_TEST

START_TEST(chain_is_followed_up_to_its_bound)
{
    struct place *const p = open_place();
    const struct kirim_dns_message *const m = &p->reply.message;
    struct kit_question question = { .name = "n0.chain.", .type = KIRIM_DNS_A };
    kit_ask(&p->server, &question, &p->reply); /* 16 links, and the address */
    ck_assert_uint_eq(m->record_count[KIRIM_DNS_SECTION_ANSWER], 17);
    question.name = "m.chain.";
    kit_ask(&p->server, &question, &p->reply); /* 17 links: the last is not followed */
    ck_assert_uint_eq(m->record_count[KIRIM_DNS_SECTION_ANSWER], 16);
    ck_assert_uint_eq(m->flags, KIRIM_DNS_FLAG_QR | KIRIM_DNS_FLAG_AA);
    close_place(p);
}
END_TEST

START_TEST(longest_origin_has_the_answer)
{
    static const char child_text[] = "$ORIGIN child.example.\n@ 5 SOA a b 1 2 3 4 5\n@ NS a\n"
                                     "deep A 192.0.2.200\n";
    struct place *const p = open_place();
    const struct kirim_dns_message *const m = &p->reply.message;
    struct kirim_dns_zone *const child = kit_zone(&p->memory, child_text);
    struct kit_question question = { .name = "deep.child.example.", .type = KIRIM_DNS_A };
    ck_assert_int_eq(kirim_dns_server_add(&p->server, child), KIRIM_OK);
    ck_assert_int_eq(kirim_dns_server_add(&p->server, child), KIRIM_EEXIST);
    kit_ask(&p->server, &question, &p->reply);
    ck_assert_str_eq(kit_section(m, 1), "deep.child.example. 5 A 192.0.2.200\n");
    question.name = "child.example.";
    question.type = KIRIM_DNS_DS; /* belongs to the parent */
    kit_ask(&p->server, &question, &p->reply);
    ck_assert_str_eq(kit_section(m, 1), "child.example. 300 DS 1 13 2 abcd\n");
    question.name = "example."; /* whose parent is not here */
    kit_ask(&p->server, &question, &p->reply);
    ck_assert_str_eq(kit_section(m, 2), SOA);
    kirim_dns_zone_close(child);
    close_place(p);
}
END_TEST

/* ---- the header and EDNS --------------------------------------------------------------------- */

static const struct header_case {
    const char *what;
    struct kit_question question;
    uint16_t flags; /* of the reply */
    bool has_edns;
    uint16_t rcode;
} headers[] = {
#define WEB .name = "web.example.", .type = KIRIM_DNS_A
    { "RD is copied", { WEB, .flags = 0x0100 }, 0x8500, false, 0 },
    { "AD, CD, RA and Z are not", { WEB, .flags = 0x00f0 }, 0x8400, false, 0 },
    { "AA, TC and a result are not", { WEB, .flags = 0x0603 }, 0x8400, false, 0 },
    { "another opcode", { WEB, .flags = 0x2900 }, 0xa904, false, KIRIM_DNS_NOTIMP },
    { "another opcode with EDNS",
      { WEB, .flags = 0x7800, .has_edns = true },
      0xf804,
      true,
      KIRIM_DNS_NOTIMP },
    { "EDNS", { WEB, .has_edns = true, .udp_bytes = 4096 }, 0x8400, true, 0 },
    { "DO", { WEB, .has_edns = true, .is_dnssec_ok = true }, 0x8400, true, 0 },
    { "EDNS version 1", { WEB, .has_edns = true, .version = 1 }, 0x8000, true, KIRIM_DNS_BADVERS },
    { "class CH", { WEB, .dns_class = KIRIM_DNS_CLASS_CH }, 0x8005, false, KIRIM_DNS_REFUSED },
    { "class ANY", { WEB, .dns_class = 255 }, 0x8005, false, KIRIM_DNS_REFUSED },
};

START_TEST(header_is_answered)
{
    const struct header_case *const c = &headers[_i];
    struct place *const p = open_place();
    const struct kirim_dns_message *const m = &p->reply.message;
    kit_ask(&p->server, &c->question, &p->reply);
    ck_assert_msg(m->flags == c->flags, "%s: %x", c->what, m->flags);
    ck_assert_msg(m->has_edns == c->has_edns, "%s", c->what);
    ck_assert_uint_eq(kirim_dns_message_rcode(m), c->rcode);
    ck_assert_uint_eq(m->question_count, 1);
    if (m->has_edns) {
        ck_assert_uint_eq(m->edns.udp_bytes, KIRIM_DNS_UDP_BYTES);
        ck_assert_uint_eq(m->edns.version, 0);
        ck_assert_uint_eq(m->edns.option_bytes, 0);
        ck_assert(m->edns.is_dnssec_ok == c->question.is_dnssec_ok);
    }
    close_place(p);
}
END_TEST

/* A request of bytes, and the header of its answer. */
static const struct raw_case {
    const char *what;
    const char *bytes;
    size_t count;
    const char *reply; /* its first bytes; NULL: none */
    size_t reply_bytes;
} raws[] = {
#define WIRE(text)     text, sizeof(text) - 1
#define QUESTION       "\3wEb\7eXample\0\0\1\0\1"
#define OPT            "\0\0\51\4\320\0\0\0\0\0\0"
#define HEADER(counts) "\1\2\1\0" counts
    { "nothing", WIRE(""), NULL, 0 },
    { "11 bytes", WIRE("\0\0\0\0\0\1\0\0\0\0\0"), NULL, 0 },
    { "a response", WIRE("\0\0\200\0\0\1\0\0\0\0\0\0" QUESTION), NULL, 0 },
    { "a response of 12 bytes", WIRE("\0\0\200\0\0\0\0\0\0\0\0\0"), NULL, 0 },
    { "header only", WIRE(HEADER("\0\0\0\0\0\0\0\0")), "\1\2\201\1\0\0\0\0\0\0\0\0", 12 },
    { "header only, EDNS", WIRE(HEADER("\0\0\0\0\0\0\0\1") OPT), "\1\2\201\1\0\0\0\0\0\0\0\1" OPT,
      23 },
    { "two questions", WIRE(HEADER("\0\2\0\0\0\0\0\0") QUESTION QUESTION),
      "\1\2\201\1\0\0\0\0\0\0\0\0", 12 },
    { "a question missing", WIRE(HEADER("\0\1\0\0\0\0\0\0")), "\1\2\201\1\0\0\0\0\0\0\0\0", 12 },
    { "a pointer that goes round", WIRE(HEADER("\0\1\0\0\0\0\0\0") "\300\14\0\1\0\1"),
      "\1\2\201\1\0\0\0\0\0\0\0\0", 12 },
    { "junk behind", WIRE(HEADER("\0\1\0\0\0\0\0\0") QUESTION "x"),
      "\1\2\201\1\0\1\0\0\0\0\0\0" QUESTION, 29 },
    { "two OPT", WIRE(HEADER("\0\1\0\0\0\0\0\2") QUESTION OPT OPT),
      "\1\2\201\1\0\1\0\0\0\0\0\1" QUESTION OPT, 40 },
    { "OPT of a name", WIRE(HEADER("\0\1\0\0\0\0\0\1") QUESTION "\300\14\0\51\4\320\0\0\0\0\0\0"),
      "\1\2\201\1\0\1\0\0\0\0\0\0" QUESTION, 29 },
    { "bad option lengths",
      WIRE(HEADER("\0\1\0\0\0\0\0\1") QUESTION "\0\0\51\4\320\0\0\0\0\0\3\0\3\0"),
      "\1\2\201\1\0\1\0\0\0\0\0\1" QUESTION OPT, 40 },
    { "an unknown option and unknown flags",
      WIRE(HEADER("\0\1\0\0\0\0\0\1") QUESTION "\0\0\51\4\320\0\0\177\377\0\6\377\377\0\2xy"),
      "\1\2\205\0\0\1\0\1\0\0\0\1" QUESTION
      "\300\14\0\1\0\1\0\0\1\54\0\4\300\0\2\120\0\0\51\4\320\0\0\0\0\0\0",
      29 + 16 + 11 },
    { "case is kept", WIRE(HEADER("\0\1\0\0\0\0\0\0") QUESTION),
      "\1\2\205\0\0\1\0\1\0\0\0\0" QUESTION "\300\14\0\1\0\1\0\0\1\54\0\4\300\0\2\120", 29 + 16 },
    { "an unreadable update", WIRE("\1\2\50\0\0\1\0\0\0\0\0\0\77"), "\1\2\250\4\0\0\0\0\0\0\0\0",
      12 },
};

START_TEST(bytes_are_answered)
{
    const struct raw_case *const c = &raws[_i];
    struct place *const p = open_place();
    uint8_t *const query = malloc(c->count + 1); /* so that a sanitizer sees its end */
    ck_assert_ptr_nonnull(query);
    memcpy(query, c->bytes, c->count);
    kit_answer(&p->server, query, c->count, &p->reply);
    free(query);
    ck_assert_msg(p->reply.bytes == c->reply_bytes, "%s: %zu bytes", c->what, p->reply.bytes);
    ck_assert_msg(c->reply == NULL || memcmp(p->reply.wire, c->reply, c->reply_bytes) == 0, "%s",
                  c->what);
    ck_assert_uint_eq(p->server.stats.received, 1);
    ck_assert_uint_eq(p->server.stats.dropped, c->reply == NULL ? 1 : 0);
    ck_assert_uint_eq(p->server.stats.answered, c->reply == NULL ? 0 : 1);
    close_place(p);
}
END_TEST

START_TEST(version_is_told_only_if_it_is_set)
{
    struct kit_question question = { .name = "VERSION.bind.",
                                     .type = KIRIM_DNS_TXT,
                                     .dns_class = KIRIM_DNS_CLASS_CH };
    struct place *const p = open_place();
    const struct kirim_dns_message *const m = &p->reply.message;
    kit_ask(&p->server, &question, &p->reply);
    ck_assert_uint_eq(kirim_dns_message_rcode(m), KIRIM_DNS_REFUSED);
    p->server.version = "kirim";
    kit_ask(&p->server, &question, &p->reply);
    ck_assert_uint_eq(m->flags, KIRIM_DNS_FLAG_QR | KIRIM_DNS_FLAG_AA);
    ck_assert_str_eq(kit_section(m, 1), "VERSION.bind. 0 TXT \"kirim\"\n");
    question.name = "id.server.";
    kit_ask(&p->server, &question, &p->reply);
    ck_assert_uint_eq(kirim_dns_message_rcode(m), KIRIM_DNS_REFUSED);
    close_place(p);
}
END_TEST

/* ---- sizes ----------------------------------------------------------------------------------- */

/* A zone "big." with a TXT set of `count` records of 100 bytes each, and a delegation with much
 * glue. */
static struct kirim_dns_zone *open_big(struct kit_memory *memory, size_t count)
{
    static char text[65536];
    static const char fill[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaa";
    size_t at = (size_t)snprintf(text, sizeof text,
                                 "$ORIGIN big.\n@ 5 SOA a b 1 2 3 4 5\n@ NS a\n"
                                 "c CNAME t\nd NS ns.d\ne NS ns.d\ne NS ns.e\nns.e A 192.0.2.1\n");
    for (size_t i = 0; i < count; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "t TXT \"%04zu %s\"\n", i, fill);
        at += (size_t)snprintf(text + at, sizeof text - at, "ns.d A 192.0.2.%zu\n", i);
    }
    return kit_zone(memory, text);
}

/* Every size that a client may take is kept, and what is cut is cut at whole sets. */
START_TEST(size_of_the_asker_is_kept)
{
    struct kit_memory memory = { 0 };
    struct kit_question question = { .name = "t.big.", .type = KIRIM_DNS_TXT };
    struct kirim_dns_server server;
    static struct kit_reply reply;
    struct kirim_dns_zone *const zone = open_big(&memory, 8);
    kirim_dns_server_init(&server);
    ck_assert_int_eq(kirim_dns_server_add(&server, zone), KIRIM_OK);
    kit_ask(&server, &question, &reply);
    ck_assert_uint_eq(reply.message.flags, 0x8600);
    ck_assert_uint_eq(reply.bytes, 12 + 11);
    question.has_edns = true;
    question.udp_bytes = 65535;
    kit_ask(&server, &question, &reply);
    const size_t whole = reply.bytes;
    ck_assert_uint_eq(reply.message.flags, 0x8400);
    ck_assert_uint_gt(whole, 512);
    ck_assert_uint_le(whole, KIRIM_DNS_UDP_BYTES);
    for (unsigned size = 0; size <= 2000; size++) {
        question.udp_bytes = (uint16_t)size;
        kit_ask(&server, &question, &reply);
        ck_assert_uint_eq(reply.bytes, size >= whole ? whole : 12 + 11 + 11);
        ck_assert_uint_eq(reply.message.flags, size >= whole ? 0x8400 : 0x8600);
        ck_assert(reply.message.has_edns);
    }
    ck_assert_uint_gt(server.stats.truncated, 0);
    kirim_dns_zone_close(zone);
}
END_TEST

START_TEST(size_of_the_server_is_kept)
{
    struct kit_memory memory = { 0 };
    struct kit_question question = { .name = "c.big.", .type = KIRIM_DNS_TXT };
    struct kirim_dns_server server;
    static struct kit_reply reply;
    struct kirim_dns_zone *const zone = open_big(&memory, 20);
    kirim_dns_server_init(&server);
    ck_assert_int_eq(kirim_dns_server_add(&server, zone), KIRIM_OK);
    question.has_edns = true;
    question.udp_bytes = 65535;
    kit_ask(&server, &question, &reply); /* the CNAME fits, its target does not */
    ck_assert_uint_eq(reply.message.flags, 0x8600);
    ck_assert_str_eq(kit_section(&reply.message, 1), "c.big. 5 CNAME t.big.\n");
    server.udp_bytes = 4096;
    kit_ask(&server, &question, &reply);
    ck_assert_uint_eq(reply.message.flags, 0x8400);
    ck_assert_uint_eq(reply.message.record_count[KIRIM_DNS_SECTION_ANSWER], 21);
    ck_assert_uint_eq(reply.message.edns.udp_bytes, 4096);
    server.udp_bytes = 0; /* no less than everyone takes */
    question.type = KIRIM_DNS_CNAME;
    kit_ask(&server, &question, &reply);
    ck_assert_uint_eq(reply.message.flags, 0x8400);
    kirim_dns_zone_close(zone);
}
END_TEST

START_TEST(needed_glue_that_does_not_fit_sets_tc)
{
    struct kit_memory memory = { 0 };
    struct kit_question question = { .name = "x.d.big.", .type = KIRIM_DNS_A };
    struct kirim_dns_server server;
    static struct kit_reply reply;
    struct kirim_dns_zone *const zone = open_big(&memory, 60);
    kirim_dns_server_init(&server);
    ck_assert_int_eq(kirim_dns_server_add(&server, zone), KIRIM_OK);
    kit_ask(&server, &question, &reply);
    ck_assert_uint_eq(reply.message.flags, 0x8200);
    ck_assert_str_eq(kit_section(&reply.message, 2), "d.big. 5 NS ns.d.big.\n");
    ck_assert_str_eq(kit_section(&reply.message, 3), "");
    question.has_edns = true;
    question.udp_bytes = 1232;
    kit_ask(&server, &question, &reply);
    ck_assert_uint_eq(reply.message.flags, 0x8000);
    ck_assert_uint_eq(reply.message.record_count[3], 61);
    kirim_dns_zone_close(zone);
}
END_TEST

/* Addresses that are a courtesy fill the answer, or nearly, and never push out those needed. */
START_TEST(needed_glue_goes_before_other_addresses)
{
    const struct kit_question question = { .name = "x.e.big.", .type = KIRIM_DNS_A };
    static struct kit_reply reply;
    size_t with_courtesy_count = 0;
    for (size_t count = 20; count < 35; count++) {
        struct kit_memory memory = { 0 };
        struct kirim_dns_server server;
        struct kirim_dns_zone *const zone = open_big(&memory, count);
        kirim_dns_server_init(&server);
        ck_assert_int_eq(kirim_dns_server_add(&server, zone), KIRIM_OK);
        kit_ask(&server, &question, &reply);
        ck_assert_uint_eq(reply.message.flags, 0x8000);
        const char *const glue = "ns.e.big. 5 A 192.0.2.1\n";
        ck_assert_mem_eq(kit_section(&reply.message, 3), glue, strlen(glue));
        with_courtesy_count += reply.message.record_count[3] == 1 + count ? 1 : 0;
        kirim_dns_zone_close(zone);
    }
    ck_assert_uint_gt(with_courtesy_count, 0);
    ck_assert_uint_lt(with_courtesy_count, 15);
}
END_TEST

START_TEST(room_that_is_too_small_is_misuse)
{
    uint8_t wire[KIRIM_DNS_PLAIN_BYTES_MAX];
    uint8_t query[64];
    const struct kit_question question = { .name = "web.example.", .type = KIRIM_DNS_A };
    const struct kirim_dns_span span = { query, kit_build(&question, query, sizeof query) };
    struct place *const p = open_place();
    struct kirim_dns_room room = { wire, sizeof wire - 1, 0 };
    ck_assert_int_eq(kirim_dns_server_answer(&p->server, span, &room), KIRIM_EINVAL);
    room.room = sizeof wire;
    ck_assert_int_eq(kirim_dns_server_answer(&p->server, span, &room), KIRIM_OK);
    close_place(p);
}
END_TEST

START_TEST(number_of_zones_is_bounded)
{
    struct kit_memory memory = { 0 };
    struct kirim_dns_server server;
    struct kirim_dns_zone *zone[KIRIM_DNS_ZONE_COUNT_MAX + 1];
    kirim_dns_server_init(&server);
    ck_assert_int_eq(kirim_dns_server_add(&server, NULL), KIRIM_EINVAL);
    for (size_t i = 0; i <= KIRIM_DNS_ZONE_COUNT_MAX; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "$ORIGIN z%zu.\n@ 5 SOA a b 1 2 3 4 5\n@ NS a\n", i);
        zone[i] = kit_zone(&memory, text);
        ck_assert_int_eq(kirim_dns_server_add(&server, zone[i]),
                         i < KIRIM_DNS_ZONE_COUNT_MAX ? KIRIM_OK : KIRIM_DNS_EFULL);
    }
    for (size_t i = 0; i <= KIRIM_DNS_ZONE_COUNT_MAX; i++) {
        kirim_dns_zone_close(zone[i]);
    }
}
END_TEST

/* ---- noise ----------------------------------------------------------------------------------- */

/* Sound questions with bytes changed: every answer is well-formed, bounded, and to its question. */
START_TEST(changed_questions_do_no_harm)
{
    static const uint8_t sound[] = "\1\2\1\0\0\1\0\0\0\0\0\1" QUESTION OPT;
    struct test_random random = test_random_start("questions");
    struct place *const p = open_place();
    for (int i = 0; i < NOISE_COUNT; i++) {
        uint8_t query[sizeof sound - 1];
        memcpy(query, sound, sizeof query);
        for (uint64_t k = test_random_below(&random, 5); k > 0; k--) {
            query[test_random_below(&random, sizeof query)] = (uint8_t)test_random_next(&random);
        }
        kit_answer(&p->server, query, sizeof query - test_random_below(&random, 4), &p->reply);
        if (p->reply.bytes == 0) {
            continue;
        }
        ck_assert_uint_le(p->reply.bytes, KIRIM_DNS_UDP_BYTES);
        ck_assert_mem_eq(p->reply.wire, query, 2);
        ck_assert_uint_ne(p->reply.message.flags & KIRIM_DNS_FLAG_QR, 0);
        (void)kit_section(&p->reply.message, 1);
        (void)kit_section(&p->reply.message, 2);
        (void)kit_section(&p->reply.message, 3);
    }
    ck_assert_uint_eq(p->server.stats.received, NOISE_COUNT);
    ck_assert_uint_eq(p->server.stats.answered + p->server.stats.dropped, NOISE_COUNT);
    ck_assert_uint_gt(p->server.stats.rcode[KIRIM_DNS_NOERROR], 0);
    ck_assert_uint_gt(p->server.stats.rcode[KIRIM_DNS_FORMERR], 0);
    close_place(p);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { question_has_its_whole_answer, COUNT_OF(answers) },
        { chain_is_followed_up_to_its_bound, 0 },
        { longest_origin_has_the_answer, 0 },
        { header_is_answered, COUNT_OF(headers) },
        { bytes_are_answered, COUNT_OF(raws) },
        { version_is_told_only_if_it_is_set, 0 },
        { size_of_the_asker_is_kept, 0 },
        { size_of_the_server_is_kept, 0 },
        { needed_glue_that_does_not_fit_sets_tc, 0 },
        { needed_glue_goes_before_other_addresses, 0 },
        { room_that_is_too_small_is_misuse, 0 },
        { number_of_zones_is_bounded, 0 },
        { changed_questions_do_no_harm, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns server", claims);
}
