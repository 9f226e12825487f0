/* SPDX-License-Identifier: MIT
 *
 * Claims about what stands before a server: cookies of every kind in every mode, and the limit on
 * identical answers.
 */
#include "kit.h"

#define SECOND UINT64_C(1000000000)

enum { UNIX_S = 1600000000, SLOT_COUNT = 64, PER_SECOND = 4 };

static const char zone_text[] =
    "$ORIGIN example.\n$TTL 5\n@ SOA a b 1 2 3 4 5\n@ NS a\n"
    "a A 192.0.2.1\nb A 192.0.2.2\n*.w A 192.0.2.3\nc NS a\nl CNAME a\n";
static const uint8_t client_part[] = "client..";
static const uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = "0123456789abcde";

/* A server with a guard, and who asks it. */
struct place {
    struct kit_memory memory;
    struct kirim_dns_zone *zone;
    struct kirim_dns_guard guard;
    struct kirim_limiter limiter;
    struct kirim_limiter_slot slots[SLOT_COUNT];
    struct kirim_dns_server server;
    struct kirim_addr peer;
    uint64_t now_ns;
    struct kit_reply reply;
};

static struct place *open_place(int cookies)
{
    struct place *const p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    p->zone = kit_zone(&p->memory, zone_text);
    p->guard.cookies = cookies;
    ck_assert_int_eq(kirim_dns_cookie_keys_add(&p->guard.keys, key), KIRIM_OK);
    p->now_ns = 5 * SECOND;
    p->guard.unix_offset_ns = (UNIX_S - 5) * SECOND;
    p->peer = kit_addr("192.0.2.1:1000");
    kirim_dns_server_init(&p->server);
    p->server.guard = &p->guard;
    ck_assert_int_eq(kirim_dns_server_add(&p->server, p->zone), KIRIM_OK);
    return p;
}

static void limit_place(struct place *p)
{
    struct kirim_limiter_options options = KIRIM_LIMITER_OPTIONS_INIT;
    options.rate = (struct kirim_rate){ PER_SECOND, PER_SECOND };
    options.slots = p->slots;
    options.slot_count = SLOT_COUNT;
    memcpy(options.key, key, sizeof options.key);
    ck_assert_int_eq(kirim_limiter_init(&p->limiter, &options), KIRIM_OK);
    p->guard.limiter = &p->limiter;
}

static void close_place(struct place *p)
{
    kirim_dns_zone_close(p->zone);
    ck_assert_uint_eq(p->memory.blocks, 0);
    free(p);
}

/* Asks with a cookie of `bytes` bytes; NULL: without EDNS. */
static void ask(struct place *p, const char *name, const void *cookie, size_t bytes)
{
    uint8_t option[128];
    uint8_t query[KIRIM_DNS_PLAIN_BYTES_MAX];
    struct kit_question question = { .name = name, .type = KIRIM_DNS_A, .id = 7 };
    if (cookie != NULL) {
        question.has_edns = true;
        question.options = option;
        question.option_bytes = kit_cookie_option(cookie, bytes, option);
    }
    const struct kirim_dns_request request = {
        .wire = { query, kit_build(&question, query, sizeof query) },
        .peer = &p->peer,
        .now_ns = p->now_ns,
    };
    kit_serve(&p->server, &request, &p->reply);
}

/* The cookie of the last answer is good for whoever asked. */
static bool has_good_cookie(const struct place *p, uint8_t out[KIRIM_DNS_COOKIE_BYTES])
{
    const struct kirim_dns_cookie_claim claim = {
        &p->peer, (uint32_t)((p->now_ns + p->guard.unix_offset_ns) / SECOND)
    };
    struct kirim_dns_option option;
    if (!p->reply.message.has_edns ||
        !kirim_dns_edns_find(&p->reply.message.edns, KIRIM_DNS_OPTION_COOKIE, &option)) {
        return false;
    }
    ck_assert_uint_eq(option.bytes, KIRIM_DNS_COOKIE_BYTES);
    ck_assert_mem_eq(option.data, client_part, 8);
    ck_assert_int_eq(kirim_dns_cookie_judge(&p->guard.keys, &claim, option.data, option.bytes),
                     KIRIM_DNS_COOKIE_GOOD);
    memcpy(out, option.data, KIRIM_DNS_COOKIE_BYTES);
    return true;
}

/* ---- cookies --------------------------------------------------------------------------------- */

enum sort { PLAIN, EMPTY, SHORT, CLIENT, WRONG, GOOD, OLD, DEAD };

static size_t make_cookie(const struct place *p, enum sort sort, uint8_t out[64])
{
    struct kirim_dns_cookie_claim claim = { &p->peer, UNIX_S };
    memcpy(out, client_part, 8);
    claim.now_s -= sort == OLD ? 1801 : sort == DEAD ? 3601 : 0;
    kirim_dns_cookie_make(&p->guard.keys, &claim, client_part, out);
    out[23] ^= sort == WRONG ? 1 : 0;
    return sort == EMPTY ? 0 : sort == SHORT ? 15 : sort == CLIENT ? 8 : 24;
}

static const struct cookie_case {
    enum sort sort;
    int cookies;
    uint16_t rcode;
    bool has_records, has_cookie, is_truncated;
} cookie_cases[] = {
    { PLAIN, KIRIM_DNS_COOKIES_OFF, KIRIM_DNS_NOERROR, true, false, false },
    { SHORT, KIRIM_DNS_COOKIES_OFF, KIRIM_DNS_NOERROR, true, false, false },
    { GOOD, KIRIM_DNS_COOKIES_OFF, KIRIM_DNS_NOERROR, true, false, false },
    { PLAIN, KIRIM_DNS_COOKIES_ON, KIRIM_DNS_NOERROR, true, false, false },
    { EMPTY, KIRIM_DNS_COOKIES_ON, KIRIM_DNS_FORMERR, false, false, false },
    { SHORT, KIRIM_DNS_COOKIES_ON, KIRIM_DNS_FORMERR, false, false, false },
    { CLIENT, KIRIM_DNS_COOKIES_ON, KIRIM_DNS_NOERROR, true, true, false },
    { WRONG, KIRIM_DNS_COOKIES_ON, KIRIM_DNS_NOERROR, true, true, false },
    { GOOD, KIRIM_DNS_COOKIES_ON, KIRIM_DNS_NOERROR, true, true, false },
    { OLD, KIRIM_DNS_COOKIES_ON, KIRIM_DNS_NOERROR, true, true, false },
    { DEAD, KIRIM_DNS_COOKIES_ON, KIRIM_DNS_NOERROR, true, true, false },
    { PLAIN, KIRIM_DNS_COOKIES_REQUIRED, KIRIM_DNS_NOERROR, false, false, true },
    { SHORT, KIRIM_DNS_COOKIES_REQUIRED, KIRIM_DNS_FORMERR, false, false, false },
    { CLIENT, KIRIM_DNS_COOKIES_REQUIRED, KIRIM_DNS_BADCOOKIE, false, true, false },
    { WRONG, KIRIM_DNS_COOKIES_REQUIRED, KIRIM_DNS_BADCOOKIE, false, true, false },
    { DEAD, KIRIM_DNS_COOKIES_REQUIRED, KIRIM_DNS_BADCOOKIE, false, true, false },
    { GOOD, KIRIM_DNS_COOKIES_REQUIRED, KIRIM_DNS_NOERROR, true, true, false },
    { OLD, KIRIM_DNS_COOKIES_REQUIRED, KIRIM_DNS_NOERROR, true, true, false },
};

START_TEST(each_kind_of_cookie_has_its_answer)
{
    const struct cookie_case *const c = &cookie_cases[_i];
    struct place *const p = open_place(c->cookies);
    const struct kirim_dns_message *const answer = &p->reply.message;
    uint8_t cookie[64];
    uint8_t given[KIRIM_DNS_COOKIE_BYTES];
    const size_t bytes = make_cookie(p, c->sort, cookie);
    ask(p, "A.example.", c->sort == PLAIN ? NULL : cookie, bytes);
    ck_assert_uint_eq(kirim_dns_message_rcode(answer), c->rcode);
    ck_assert_str_eq(kit_section(answer, 1), c->has_records ? "A.example. 5 A 192.0.2.1\n" : "");
    ck_assert_uint_eq(answer->record_count[KIRIM_DNS_SECTION_AUTHORITY], 0);
    ck_assert(((answer->flags & KIRIM_DNS_FLAG_TC) != 0) == c->is_truncated);
    ck_assert_uint_eq(answer->id, 7);
    ck_assert_str_eq(kit_name_text(&answer->question.name), "A.example.");
    ck_assert(answer->has_edns == (c->sort != PLAIN));
    ck_assert(has_good_cookie(p, given) == c->has_cookie);
    if (c->sort == GOOD && c->has_cookie) {
        ck_assert_mem_eq(given, cookie, sizeof given); /* no new one without need */
    }
    ck_assert_uint_eq(p->guard.stats.turned_away, c->cookies == KIRIM_DNS_COOKIES_REQUIRED &&
                                                          !c->has_records &&
                                                          c->rcode != KIRIM_DNS_FORMERR
                                                      ? 1
                                                      : 0);
    close_place(p);
}
END_TEST

START_TEST(cookies_are_counted_by_kind)
{
    static const enum sort sorts[] = { PLAIN, SHORT, CLIENT, WRONG, GOOD, OLD, DEAD };
    struct place *const p = open_place(KIRIM_DNS_COOKIES_ON);
    const struct kirim_dns_guard_stats *const stats = &p->guard.stats;
    for (size_t i = 0; i < COUNT_OF(sorts); i++) {
        uint8_t cookie[64];
        const size_t bytes = make_cookie(p, sorts[i], cookie);
        ask(p, "a.example.", sorts[i] == PLAIN ? NULL : cookie, bytes);
    }
    ck_assert_uint_eq(stats->cookie_none, 1);
    ck_assert_uint_eq(stats->cookie_malformed, 1);
    ck_assert_uint_eq(stats->cookie_client, 1);
    ck_assert_uint_eq(stats->cookie_bad, 2);
    ck_assert_uint_eq(stats->cookie_good, 2);
    ck_assert_uint_eq(stats->cookie_old, 1);
    ck_assert_uint_eq(stats->turned_away + stats->slipped + stats->dropped, 0);
    close_place(p);
}
END_TEST

/* RFC 7873 section 5.2: the first one counts. */
START_TEST(first_of_several_cookies_counts)
{
    struct place *const p = open_place(KIRIM_DNS_COOKIES_REQUIRED);
    uint8_t cookie[64];
    uint8_t options[128];
    uint8_t query[KIRIM_DNS_PLAIN_BYTES_MAX];
    for (int is_good_first = 0; is_good_first < 2; is_good_first++) {
        size_t bytes = make_cookie(p, is_good_first ? GOOD : CLIENT, cookie);
        uint16_t used = kit_cookie_option(cookie, bytes, options);
        bytes = make_cookie(p, is_good_first ? SHORT : GOOD, cookie);
        used = (uint16_t)(used + kit_cookie_option(cookie, bytes, options + used));
        const struct kit_question question = { .name = "a.example.",
                                               .type = KIRIM_DNS_A,
                                               .has_edns = true,
                                               .options = options,
                                               .option_bytes = used };
        bytes = kit_build(&question, query, sizeof query);
        const struct kirim_dns_request request = { { query, bytes }, &p->peer, p->now_ns };
        kit_serve(&p->server, &request, &p->reply);
        ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message),
                          is_good_first ? KIRIM_DNS_NOERROR : KIRIM_DNS_BADCOOKIE);
    }
    close_place(p);
}
END_TEST

/* RFC 7873 section 5.4: a message without a question asks for a cookie. */
START_TEST(cookie_alone_can_be_asked_for)
{
    static const struct {
        enum sort sort;
        int cookies;
        uint16_t rcode;
    } cases[] = {
        { CLIENT, KIRIM_DNS_COOKIES_ON, KIRIM_DNS_NOERROR },
        { GOOD, KIRIM_DNS_COOKIES_REQUIRED, KIRIM_DNS_NOERROR },
        { CLIENT, KIRIM_DNS_COOKIES_REQUIRED, KIRIM_DNS_NOERROR },
        { WRONG, KIRIM_DNS_COOKIES_ON, KIRIM_DNS_BADCOOKIE },
        { SHORT, KIRIM_DNS_COOKIES_ON, KIRIM_DNS_FORMERR },
        { GOOD, KIRIM_DNS_COOKIES_OFF, KIRIM_DNS_FORMERR },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct place *const p = open_place(cases[i].cookies);
        uint8_t cookie[64];
        uint8_t given[KIRIM_DNS_COOKIE_BYTES];
        uint8_t wire[128] = { 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 41, 4, 208 };
        const size_t bytes = make_cookie(p, cases[i].sort, cookie);
        wire[22] = (uint8_t)(4 + bytes);
        const size_t used = 23U + kit_cookie_option(cookie, bytes, wire + 23);
        const struct kirim_dns_request request = { { wire, used }, &p->peer, p->now_ns };
        kit_serve(&p->server, &request, &p->reply);
        ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), cases[i].rcode);
        ck_assert_uint_eq(p->reply.message.question_count, 0);
        ck_assert(has_good_cookie(p, given) == (cases[i].rcode != KIRIM_DNS_FORMERR));
        close_place(p);
    }
}
END_TEST

START_TEST(malformed_requests_are_told_so_in_every_mode)
{
    for (int cookies = KIRIM_DNS_COOKIES_OFF; cookies <= KIRIM_DNS_COOKIES_REQUIRED; cookies++) {
        struct place *const p = open_place(cookies);
        static const uint8_t header[12] = { 0, 1 };
        static const uint8_t update[12] = { 0, 1, 5 << 3 };
        struct kirim_dns_request request = { { header, 12 }, &p->peer, p->now_ns };
        kit_serve(&p->server, &request, &p->reply);
        ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_FORMERR);
        request.wire.data = update;
        kit_serve(&p->server, &request, &p->reply);
        ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_NOTIMP);
        request.wire.bytes = 11;
        kit_serve(&p->server, &request, &p->reply);
        ck_assert_uint_eq(p->reply.bytes, 0);
        close_place(p);
    }
}
END_TEST

/* ---- the limit ------------------------------------------------------------------------------- */

/* How many of `count` questions are answered in full, shortly and not at all. */
struct tally {
    size_t full, slipped, dropped;
};

static struct tally ask_often(struct place *p, const char *const *names, size_t count,
                              const uint8_t *cookie, size_t bytes)
{
    struct tally tally = { 0, 0, 0 };
    for (size_t i = 0; i < count; i++) {
        ask(p, names[i % 2], cookie, bytes);
        if (p->reply.bytes == 0) {
            tally.dropped++;
            continue;
        }
        const struct kirim_dns_message *const answer = &p->reply.message;
        const bool is_short = (answer->flags & KIRIM_DNS_FLAG_TC) != 0 ||
                              kirim_dns_message_rcode(answer) == KIRIM_DNS_BADCOOKIE;
        if (is_short) {
            ck_assert_uint_eq(answer->record_count[1] + answer->record_count[2], 0);
        }
        tally.slipped += is_short ? 1 : 0;
        tally.full += is_short ? 0 : 1;
    }
    return tally;
}

static const struct limit_case {
    const char *names[2];
    bool is_one_topic;
} limit_cases[] = {
    { { "a.example.", "a.example." }, true },
    { { "a.example.", "A.EXAMPLE." }, true },
    { { "a.example.", "b.example." }, false },
    { { "x.example.", "y.z.example." }, true },   /* no such names: one answer of the zone */
    { { "p.w.example.", "q.w.example." }, true }, /* a wildcard */
    { { "x.c.example.", "y.c.example." }, true }, /* a delegation */
    { { "other.", "another." }, true },           /* refused */
};

START_TEST(identical_answers_are_limited)
{
    const struct limit_case *const c = &limit_cases[_i];
    struct place *const p = open_place(KIRIM_DNS_COOKIES_OFF);
    limit_place(p);
    struct tally tally = ask_often(p, c->names, 20, NULL, 0);
    const size_t full = c->is_one_topic ? PER_SECOND : 2 * PER_SECOND;
    ck_assert_uint_eq(tally.full, full);
    ck_assert_uint_eq(tally.slipped, (20 - full) / 2);
    ck_assert_uint_eq(tally.dropped, 20 - full - tally.slipped);
    ck_assert_uint_eq(p->guard.stats.slipped, tally.slipped);
    ck_assert_uint_eq(p->guard.stats.dropped, tally.dropped);
    ck_assert_uint_eq(p->server.stats.withheld, tally.dropped);
    ck_assert_uint_eq(p->server.stats.answered, 20 - tally.dropped);
    p->peer = kit_addr("192.0.3.1:1000"); /* another network */
    ask(p, c->names[0], NULL, 0);
    ck_assert_uint_eq(p->reply.message.flags & KIRIM_DNS_FLAG_TC, 0);
    p->peer = kit_addr("192.0.2.255:1"); /* the same one, later */
    p->now_ns += SECOND;
    tally = ask_often(p, c->names, 2, NULL, 0);
    ck_assert_uint_eq(tally.full, 2);
    close_place(p);
}
END_TEST

/* Of IPv6 the prefix is a /56: what one customer has. */
START_TEST(prefix_of_ipv6_is_limited_as_one)
{
    static const char *const names[2] = { "a.example.", "a.example." };
    struct place *const p = open_place(KIRIM_DNS_COOKIES_OFF);
    limit_place(p);
    p->peer = kit_addr("[2001:db8:0:1200::1]:1000");
    ck_assert_uint_eq(ask_often(p, names, PER_SECOND, NULL, 0).full, PER_SECOND);
    p->peer = kit_addr("[2001:db8:0:12ff:ffff::1]:1001");
    ck_assert_uint_eq(ask_often(p, names, 20, NULL, 0).full, 0);
    p->peer = kit_addr("[2001:db8:0:1300::1]:1000");
    ck_assert_uint_eq(ask_often(p, names, PER_SECOND, NULL, 0).full, PER_SECOND);
    p->peer = kit_addr("[2001:db8:0:11ff::1]:1000");
    ck_assert_uint_eq(ask_often(p, names, PER_SECOND, NULL, 0).full, PER_SECOND);
    close_place(p);
}
END_TEST

/* Whatever type is asked for where there is nothing, or an alias: the answer is the same. */
START_TEST(other_type_is_no_way_around)
{
    static const char *const names[] = { "a.example.", "l.example." };
    struct place *const p = open_place(KIRIM_DNS_COOKIES_OFF);
    size_t full = 0;
    limit_place(p);
    for (uint16_t i = 0; i < 20; i++) {
        uint8_t query[KIRIM_DNS_PLAIN_BYTES_MAX];
        const struct kit_question question = { .name = names[_i], .type = (uint16_t)(100 + i) };
        const struct kirim_dns_request request = {
            .wire = { query, kit_build(&question, query, sizeof query) },
            .peer = &p->peer,
            .now_ns = p->now_ns,
        };
        kit_serve(&p->server, &request, &p->reply);
        full += p->reply.bytes > 0 && (p->reply.message.flags & KIRIM_DNS_FLAG_TC) == 0 ? 1 : 0;
    }
    ck_assert_uint_eq(full, PER_SECOND);
    close_place(p);
}
END_TEST

START_TEST(good_cookie_is_not_limited)
{
    static const char *const names[2] = { "a.example.", "a.example." };
    struct place *const p = open_place(KIRIM_DNS_COOKIES_ON);
    uint8_t cookie[64];
    uint8_t given[KIRIM_DNS_COOKIE_BYTES];
    limit_place(p);
    make_cookie(p, WRONG, cookie);
    const struct tally wrong = ask_often(p, names, 20, cookie, 24);
    ck_assert_uint_eq(wrong.full, PER_SECOND);
    ck_assert_uint_eq(wrong.slipped, 8);
    ask(p, "a.example.", cookie, 24);
    ask(p, "a.example.", cookie, 24); /* one of two slips, with the way out */
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_BADCOOKIE);
    ck_assert(has_good_cookie(p, given));
    const struct tally good = ask_often(p, names, 100, given, sizeof given);
    ck_assert_uint_eq(good.full, 100);
    close_place(p);
}
END_TEST

START_TEST(noise_is_limited_too)
{
    struct place *const p = open_place(KIRIM_DNS_COOKIES_OFF);
    static const uint8_t header[12] = { 0, 1 };
    const struct kirim_dns_request request = { { header, 12 }, &p->peer, p->now_ns };
    size_t answered = 0;
    limit_place(p);
    for (size_t i = 0; i < 20; i++) {
        kit_serve(&p->server, &request, &p->reply);
        answered += p->reply.bytes > 0 ? 1 : 0;
    }
    ck_assert_uint_eq(answered, PER_SECOND + (20 - PER_SECOND) / 2);
    close_place(p);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { each_kind_of_cookie_has_its_answer, COUNT_OF(cookie_cases) },
        { cookies_are_counted_by_kind, 0 },
        { first_of_several_cookies_counts, 0 },
        { cookie_alone_can_be_asked_for, 0 },
        { malformed_requests_are_told_so_in_every_mode, 0 },
        { identical_answers_are_limited, COUNT_OF(limit_cases) },
        { prefix_of_ipv6_is_limited_as_one, 0 },
        { other_type_is_no_way_around, 2 },
        { good_cookie_is_not_limited, 0 },
        { noise_is_limited_too, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns guard", claims);
}
