/* SPDX-License-Identifier: MIT
 *
 * Claims about the client's question: what it sends, which answers it takes and which it ignores,
 * and how it goes on in time.
 */
#include "kit.h"
#include "protocols/dns/query.h"

#define SECOND UINT64_C(1000000000)

/* A question under way, what it sent last and to whom. */
struct asker {
    struct kirim_dns_query_options options;
    struct kirim_dns_query query;
    uint8_t sent[KIRIM_DNS_QUERY_BYTES_MAX];
    size_t sent_bytes;
    struct kirim_addr sent_to;
};

static struct kirim_addr server_addr(unsigned index)
{
    const uint8_t bytes[4] = { 192, 0, 2, (uint8_t)(1 + index) };
    return kirim_addr_ipv4(bytes, 53);
}

/* Options for one server, the random bytes all `fill`. */
static void init_asker(struct asker *a, size_t server_count, uint8_t fill)
{
    *a = (struct asker){ .options = KIRIM_DNS_QUERY_OPTIONS_INIT };
    a->options.name = kit_name("www.example.");
    a->options.type = KIRIM_DNS_A;
    a->options.server_count = server_count;
    a->options.is_without_cookies = true; /* those are in test_cookie.c */
    for (unsigned i = 0; i < server_count; i++) {
        a->options.server[i] = server_addr(i);
    }
    memset(a->options.random, fill, sizeof a->options.random);
}

/* Takes what there is to send; false if there is nothing. */
static bool take_sent(struct asker *a)
{
    struct kirim_dns_room room = { a->sent, sizeof a->sent, 0 };
    ck_assert_int_eq(kirim_dns_query_output(&a->query, &room, &a->sent_to), KIRIM_OK);
    a->sent_bytes = room.bytes > 0 ? room.bytes : a->sent_bytes;
    return room.bytes > 0;
}

static void start_asker(struct asker *a)
{
    ck_assert_int_eq(kirim_dns_query_start(&a->query, &a->options, SECOND), KIRIM_OK);
    ck_assert(take_sent(a));
    ck_assert(!take_sent(a));
}

static struct kirim_dns_span span_of(const uint8_t *wire, size_t bytes)
{
    return (struct kirim_dns_span){ wire, bytes };
}

/* What a server makes of a question: the same bytes as a response with this result. */
static size_t make_answer(const struct asker *a, uint16_t flags, bool has_edns, uint8_t *out)
{
    memcpy(out, a->sent, a->sent_bytes);
    out[2] = (uint8_t)(0x80 | flags >> 8);
    out[3] = (uint8_t)flags;
    if (!has_edns && out[11] == 1) {
        out[11] = 0;
        return a->sent_bytes - KIRIM_DNS_OPT_BYTES;
    }
    return a->sent_bytes;
}

static bool give(struct asker *a, struct kirim_dns_span span, unsigned server, uint64_t now_ns)
{
    const struct kirim_addr peer = server_addr(server);
    return kirim_dns_query_input(&a->query, span, &peer, now_ns);
}

/* ---- what is sent ---------------------------------------------------------------------------- */

START_TEST(question_is_sent_as_it_should)
{
    static const uint8_t plain[] = "\0\0\1\0\0\1\0\0\0\0\0\1\3www\7example\0\0\1\0\1"
                                   "\0\0\51\4\320\0\0\0\0\0\0";
    static const uint8_t mixed[] = "\377\377\0\0\0\1\0\0\0\0\0\0\3WWW\7EXAMPLE\0\0\1\0\1";
    struct asker a;
    init_asker(&a, 1, 0);
    start_asker(&a);
    const struct kirim_addr first = server_addr(0);
    ck_assert(kirim_addr_equal(&a.sent_to, &first));
    ck_assert_uint_eq(a.sent_bytes, sizeof plain - 1);
    ck_assert_mem_eq(a.sent, plain, a.sent_bytes);
    init_asker(&a, 1, 0xff);
    a.options.is_plain = true;
    a.options.is_recursion_desired = false;
    start_asker(&a);
    ck_assert_uint_eq(a.sent_bytes, sizeof mixed - 1);
    ck_assert_mem_eq(a.sent, mixed, a.sent_bytes);
}
END_TEST

START_TEST(bits_that_are_wanted_are_sent)
{
    struct asker a;
    init_asker(&a, 1, 0);
    a.options.is_dnssec_ok = true;
    a.options.is_checking_disabled = true;
    start_asker(&a);
    ck_assert_uint_eq(a.sent[2], 0x01);
    ck_assert_uint_eq(a.sent[3], 0x10);
    ck_assert_uint_eq(a.sent[a.sent_bytes - 4], 0x80);
}
END_TEST

START_TEST(longest_name_is_sent)
{
    char text[260];
    struct asker a;
    init_asker(&a, 1, 0x55);
    for (size_t i = 0; i < 127; i++) {
        memcpy(text + 2 * i, "a.", 3);
    }
    a.options.name = kit_name(text);
    start_asker(&a);
    ck_assert_uint_eq(a.sent_bytes, KIRIM_DNS_QUERY_BYTES_MAX - 4 - KIRIM_DNS_COOKIE_BYTES_MAX);
    a.options.is_without_cookies = false;
    a.options.jar[0].has_client = true;
    a.options.jar[0].server_bytes = KIRIM_DNS_SERVER_COOKIE_MAX;
    start_asker(&a);
    ck_assert_uint_eq(a.sent_bytes, KIRIM_DNS_QUERY_BYTES_MAX);
    struct kirim_dns_room room = { a.sent, sizeof a.sent - 1, 0 };
    ck_assert_int_eq(kirim_dns_query_output(&a.query, &room, &a.sent_to), KIRIM_EINVAL);
}
END_TEST

START_TEST(misuse_is_refused)
{
    struct asker a;
    init_asker(&a, 1, 0);
    ck_assert_int_eq(kirim_dns_query_start(NULL, &a.options, 0), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_dns_query_start(&a.query, NULL, 0), KIRIM_EINVAL);
    a.options.server_count = 0;
    ck_assert_int_eq(kirim_dns_query_start(&a.query, &a.options, 0), KIRIM_EINVAL);
    a.options.server_count = KIRIM_DNS_QUERY_SERVER_COUNT_MAX + 1;
    ck_assert_int_eq(kirim_dns_query_start(&a.query, &a.options, 0), KIRIM_EINVAL);
    init_asker(&a, 1, 0);
    a.options.try_count = 0;
    ck_assert_int_eq(kirim_dns_query_start(&a.query, &a.options, 0), KIRIM_EINVAL);
    a.options.try_count = KIRIM_DNS_QUERY_TRY_COUNT_MAX + 1;
    ck_assert_int_eq(kirim_dns_query_start(&a.query, &a.options, 0), KIRIM_EINVAL);
    init_asker(&a, 1, 0);
    a.options.timeout_ns = 0;
    ck_assert_int_eq(kirim_dns_query_start(&a.query, &a.options, 0), KIRIM_EINVAL);
}
END_TEST

/* ---- what is taken --------------------------------------------------------------------------- */

START_TEST(answer_ends_the_question)
{
    static const uint16_t results[] = { KIRIM_DNS_NOERROR, KIRIM_DNS_NXDOMAIN, KIRIM_DNS_SERVFAIL,
                                        KIRIM_DNS_REFUSED, KIRIM_DNS_FLAG_TC };
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        uint8_t wire[KIRIM_DNS_QUERY_BYTES_MAX];
        struct asker a;
        init_asker(&a, 1, 0x5a);
        start_asker(&a);
        const size_t bytes = make_answer(&a, results[i], true, wire);
        ck_assert(give(&a, span_of(wire, bytes), 0, SECOND));
        ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ANSWERED);
        ck_assert_uint_eq(a.query.deadline_ns, KIRIM_NEVER);
        ck_assert_uint_eq(a.query.answer.flags, KIRIM_DNS_FLAG_QR | results[i]);
        memset(wire, 0, sizeof wire); /* the answer was copied */
        ck_assert_str_eq(kit_name_text(&a.query.answer.question.name), "www.example.");
        ck_assert_mem_eq(a.query.answer_wire + 12, "\3www\7example\0", 13);
        ck_assert(!give(&a, span_of(wire, bytes), 0, SECOND));
    }
}
END_TEST

/* A response changed at one place, and what it is counted as. */
static const struct ignored_case {
    const char *what;
    size_t at;
    uint8_t flip;
    unsigned server;
    size_t bytes; /* 0: all */
    int64_t offset;
} ignored[] = {
#define AT(member) (int64_t) offsetof(struct kirim_dns_query_ignored, member)
    { "from another server", 0, 0, 1, 0, AT(peer) },
    { "another identifier", 0, 1, 0, 0, AT(id) },
    { "another identifier, low byte", 1, 0x80, 0, 0, AT(id) },
    { "nothing at all", 0, 0, 0, 1, AT(id) },
    { "11 bytes", 0, 0, 0, 11, AT(id) },
    { "a question, no response", 2, 0x80, 0, 0, AT(malformed) },
    { "another opcode", 2, 0x08, 0, 0, AT(malformed) },
    { "two questions", 5, 0x03, 0, 0, AT(malformed) },
    { "cut", 0, 0, 0, 39, AT(malformed) },
    { "no question", 5, 0x01, 0, 0, AT(malformed) }, /* bytes are left over then */
    { "another letter", 13, 0x01, 0, 0, AT(question) },
    { "a letter in the other case", 13, 0x20, 0, 0, AT(question) },
    { "another type", 26, 0x01, 0, 0, AT(question) },
    { "another class", 28, 0x02, 0, 0, AT(question) },
};

START_TEST(other_datagrams_are_ignored)
{
    const struct ignored_case *const c = &ignored[_i];
    uint8_t wire[KIRIM_DNS_QUERY_BYTES_MAX];
    struct asker a;
    init_asker(&a, 1, 0x5a);
    start_asker(&a);
    size_t bytes = make_answer(&a, 0, true, wire);
    wire[c->at] ^= c->flip;
    const uint64_t deadline = a.query.deadline_ns;
    ck_assert_msg(!give(&a, span_of(wire, c->bytes > 0 ? c->bytes : bytes), c->server, SECOND),
                  "%s", c->what);
    ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ASKING);
    ck_assert_uint_eq(a.query.deadline_ns, deadline);
    ck_assert(!a.query.has_output);
    uint32_t count = 0;
    memcpy(&count, (const char *)&a.query.ignored + c->offset, sizeof count);
    ck_assert_msg(count == 1, "%s", c->what);
    bytes = make_answer(&a, 0, true, wire); /* the wait goes on for the right one */
    ck_assert(give(&a, span_of(wire, bytes), 0, SECOND));
    ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ANSWERED);
}
END_TEST

START_TEST(case_matters_only_if_it_was_mixed)
{
    uint8_t wire[KIRIM_DNS_QUERY_BYTES_MAX];
    struct asker a;
    init_asker(&a, 1, 0x5a);
    a.options.is_case_mixed = false;
    start_asker(&a);
    const size_t bytes = make_answer(&a, 0, true, wire);
    wire[13] ^= 0x20;
    ck_assert(give(&a, span_of(wire, bytes), 0, SECOND));
}
END_TEST

START_TEST(answer_to_two_questions_is_none)
{
    uint8_t wire[2 * KIRIM_DNS_QUERY_BYTES_MAX];
    struct asker a;
    init_asker(&a, 1, 0x5a);
    a.options.is_plain = true;
    start_asker(&a);
    const size_t bytes = make_answer(&a, 0, false, wire);
    memcpy(wire + bytes, wire + KIRIM_DNS_HEADER_BYTES, bytes - KIRIM_DNS_HEADER_BYTES);
    wire[5] = 2;
    ck_assert(!give(&a, span_of(wire, 2 * bytes - KIRIM_DNS_HEADER_BYTES), 0, SECOND));
    ck_assert_uint_eq(a.query.ignored.malformed, 1);
}
END_TEST

START_TEST(answer_may_have_what_was_asked_for_and_no_more)
{
    static uint8_t wire[KIRIM_DNS_UDP_BYTES + 1];
    static const uint8_t zeros[KIRIM_DNS_UDP_BYTES] = { 0 };
    struct asker a;
    init_asker(&a, 1, 0);
    a.options.is_case_mixed = false;
    start_asker(&a);
    const struct kirim_dns_question question = { a.options.name, KIRIM_DNS_A, KIRIM_DNS_CLASS_IN };
    for (size_t over = 2; over-- > 0;) {
        struct kirim_dns_builder b;
        struct kirim_dns_record record = { .type = 65280,
                                           .dns_class = 1,
                                           .rdata = zeros,
                                           .rdata_bytes =
                                               (uint16_t)(KIRIM_DNS_UDP_BYTES + over - 29 - 12) };
        kirim_dns_builder_init(&b, wire, sizeof wire);
        ck_assert_int_eq(kirim_dns_builder_question(&b, &question), KIRIM_OK);
        ck_assert_int_eq(kirim_dns_builder_record(&b, 1, &question.name, &record), KIRIM_OK);
        const size_t bytes = kirim_dns_builder_end(&b, 0, KIRIM_DNS_FLAG_QR);
        ck_assert_uint_eq(bytes, KIRIM_DNS_UDP_BYTES + over);
        ck_assert(give(&a, span_of(wire, bytes), 0, SECOND) == (over == 0));
    }
}
END_TEST

/* ---- EDNS ------------------------------------------------------------------------------------ */

/* Answers of servers that do not know EDNS; each has the question sent again without it. */
START_TEST(server_without_edns_is_asked_without)
{
    static const struct {
        uint16_t flags;
        bool has_edns, has_question;
        bool is_fallback;
    } cases[] = {
        { KIRIM_DNS_FORMERR, false, true, true },   { KIRIM_DNS_FORMERR, false, false, true },
        { KIRIM_DNS_NOTIMP, false, true, true },    { KIRIM_DNS_FORMERR, true, true, false },
        { KIRIM_DNS_SERVFAIL, false, true, false },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t wire[KIRIM_DNS_QUERY_BYTES_MAX];
        struct asker a;
        init_asker(&a, 1, 0x5a);
        start_asker(&a);
        size_t bytes = make_answer(&a, cases[i].flags, cases[i].has_edns, wire);
        if (!cases[i].has_question) {
            wire[5] = 0;
            bytes = KIRIM_DNS_HEADER_BYTES;
        }
        const size_t with_edns = a.sent_bytes;
        ck_assert(give(&a, span_of(wire, bytes), 0, 2 * SECOND));
        if (!cases[i].is_fallback) {
            ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ANSWERED);
            continue;
        }
        ck_assert(take_sent(&a));
        ck_assert_uint_eq(a.sent_bytes, with_edns - KIRIM_DNS_OPT_BYTES);
        ck_assert_uint_eq(a.query.deadline_ns, 4 * SECOND);
        bytes = make_answer(&a, KIRIM_DNS_FORMERR, false, wire); /* no third time */
        ck_assert(give(&a, span_of(wire, bytes), 0, 2 * SECOND));
        ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ANSWERED);
    }
}
END_TEST

START_TEST(answer_without_a_question_is_no_answer)
{
    uint8_t wire[KIRIM_DNS_QUERY_BYTES_MAX];
    struct asker a;
    init_asker(&a, 1, 0x5a);
    start_asker(&a);
    (void)make_answer(&a, KIRIM_DNS_SERVFAIL, false, wire);
    wire[5] = 0;
    ck_assert(!give(&a, span_of(wire, KIRIM_DNS_HEADER_BYTES), 0, SECOND));
    ck_assert_uint_eq(a.query.ignored.question, 1);
}
END_TEST

/* ---- time ------------------------------------------------------------------------------------ */

START_TEST(waits_double_and_end)
{
    struct asker a;
    init_asker(&a, 1, 0);
    start_asker(&a);
    static const uint64_t deadlines[] = { 3, 7, 15 }; /* from 1 s: 2, 4 and 8 s later */
    for (size_t i = 0; i < COUNT_OF(deadlines); i++) {
        ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ASKING);
        ck_assert_uint_eq(a.query.deadline_ns, deadlines[i] * SECOND);
        kirim_dns_query_expire(&a.query, deadlines[i] * SECOND - 1);
        ck_assert(!take_sent(&a));
        kirim_dns_query_expire(&a.query, deadlines[i] * SECOND);
        ck_assert(take_sent(&a) == (i < 2));
    }
    ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_FAILED);
    ck_assert_int_eq(a.query.err, KIRIM_ETIMEDOUT);
    ck_assert_uint_eq(a.query.deadline_ns, KIRIM_NEVER);
    ck_assert_uint_eq(a.query.sent_count, 3);
    kirim_dns_query_expire(&a.query, KIRIM_NEVER);
    ck_assert_uint_eq(a.query.sent_count, 3);
}
END_TEST

START_TEST(same_question_is_sent_again)
{
    struct asker a;
    uint8_t first[KIRIM_DNS_QUERY_BYTES_MAX];
    init_asker(&a, 1, 0x37);
    start_asker(&a);
    const size_t bytes = a.sent_bytes;
    memcpy(first, a.sent, bytes);
    kirim_dns_query_expire(&a.query, a.query.deadline_ns);
    ck_assert(take_sent(&a));
    ck_assert_uint_eq(a.sent_bytes, bytes);
    ck_assert_mem_eq(a.sent, first, bytes); /* so the answer to either is one */
}
END_TEST

START_TEST(servers_are_asked_in_turn)
{
    static const unsigned order[] = { 0, 1, 2, 0, 1, 2 };
    static const uint64_t waits[] = { 2, 2, 2, 4, 4, 4 };
    struct asker a;
    init_asker(&a, 3, 0);
    a.options.try_count = 2;
    ck_assert_int_eq(kirim_dns_query_start(&a.query, &a.options, 0), KIRIM_OK);
    uint64_t now = 0;
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        const struct kirim_addr expected = server_addr(order[i]);
        ck_assert(take_sent(&a));
        ck_assert(kirim_addr_equal(&a.sent_to, &expected));
        ck_assert_uint_eq(a.query.deadline_ns, now + waits[i] * SECOND);
        now = a.query.deadline_ns;
        kirim_dns_query_expire(&a.query, now);
    }
    ck_assert_int_eq(a.query.err, KIRIM_ETIMEDOUT);
}
END_TEST

START_TEST(failing_server_is_left_for_the_next)
{
    uint8_t wire[KIRIM_DNS_QUERY_BYTES_MAX];
    struct asker a;
    init_asker(&a, 2, 0x5a);
    start_asker(&a);
    size_t bytes = make_answer(&a, KIRIM_DNS_REFUSED, true, wire);
    ck_assert(give(&a, span_of(wire, bytes), 0, SECOND));
    ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ASKING);
    ck_assert(take_sent(&a));
    const struct kirim_addr second = server_addr(1);
    ck_assert(kirim_addr_equal(&a.sent_to, &second));
    ck_assert(!give(&a, span_of(wire, bytes), 0, SECOND)); /* the first one has had its say */
    bytes = make_answer(&a, KIRIM_DNS_SERVFAIL, true, wire);
    ck_assert(
        give(&a, span_of(wire, bytes), 1, SECOND)); /* nobody else to ask: this is the answer */
    ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ANSWERED);
}
END_TEST

START_TEST(error_of_the_network_uses_up_a_try)
{
    struct asker a;
    init_asker(&a, 2, 0);
    a.options.try_count = 1;
    start_asker(&a);
    kirim_dns_query_fail(&a.query, KIRIM_ECONNRESET, SECOND);
    ck_assert(take_sent(&a));
    ck_assert_uint_eq(a.query.deadline_ns, 3 * SECOND);
    kirim_dns_query_fail(&a.query, KIRIM_ENETUNREACH, SECOND);
    ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_FAILED);
    ck_assert_int_eq(a.query.err, KIRIM_ENETUNREACH);
    ck_assert(!take_sent(&a));
    kirim_dns_query_fail(&a.query, KIRIM_ECONNRESET, SECOND);
    ck_assert_int_eq(a.query.err, KIRIM_ENETUNREACH);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { question_is_sent_as_it_should, 0 },
        { bits_that_are_wanted_are_sent, 0 },
        { longest_name_is_sent, 0 },
        { misuse_is_refused, 0 },
        { answer_ends_the_question, 0 },
        { other_datagrams_are_ignored, COUNT_OF(ignored) },
        { case_matters_only_if_it_was_mixed, 0 },
        { answer_to_two_questions_is_none, 0 },
        { answer_may_have_what_was_asked_for_and_no_more, 0 },
        { server_without_edns_is_asked_without, 0 },
        { answer_without_a_question_is_no_answer, 0 },
        { waits_double_and_end, 0 },
        { same_question_is_sent_again, 0 },
        { servers_are_asked_in_turn, 0 },
        { failing_server_is_left_for_the_next, 0 },
        { error_of_the_network_uses_up_a_try, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns query", claims);
}
