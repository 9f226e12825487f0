/* SPDX-License-Identifier: MIT
 *
 * Claims about cookies: the worked examples of RFC 9018, times, lengths, forgeries, keys that
 * change; and what a client makes of them.
 */
#include "kit.h"
#include "protocols/dns/query.h"

#define SECOND UINT64_C(1000000000)

enum { NOW = 1559731985 };

static void read_hex(const char *text, uint8_t *out, size_t bytes)
{
    ck_assert_uint_eq(strlen(text), 2 * bytes);
    for (size_t i = 0; i < bytes; i++) {
        const char digits[3] = { text[2 * i], text[2 * i + 1], '\0' };
        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

static struct kirim_dns_cookie_keys keys_of(const char *first, const char *second)
{
    struct kirim_dns_cookie_keys keys = { .count = 0 };
    const char *const texts[] = { first, second };
    for (size_t i = 0; i < 2 && texts[i] != NULL; i++) {
        uint8_t key[KIRIM_SIPHASH_KEY_BYTES];
        read_hex(texts[i], key, sizeof key);
        ck_assert_int_eq(kirim_dns_cookie_keys_add(&keys, key), KIRIM_OK);
    }
    return keys;
}

/* ---- RFC 9018, appendix A -------------------------------------------------------------------- */

#define KEY_A "e5e973e5a6b2a43f48e7dc849e37bfcf"
#define KEY_B "dd3bdf9344b678b185a6f5cb60fca715"
#define KEY_C "445536bcd2513298075a5d379663c962"

static const struct example {
    const char *first, *second; /* keys */
    const char *peer;
    const char *sent; /* NULL: the client's part alone */
    uint32_t sent_s;  /* a time at which what was sent is judged */
    int verdict;
    uint32_t now_s;
    const char *given;
} examples[] = {
    { KEY_A, NULL, "198.51.100.100", NULL, 0, 0, 1559731985,
      "2464c4abcf10c957010000005cf79f111f8130c3eee29480" },
    { KEY_A, NULL, "198.51.100.100", "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559734385,
      KIRIM_DNS_COOKIE_OLD, 1559734385, "2464c4abcf10c957010000005cf7a871d4a564a1442aca77" },
    /* Reserved bytes count as they are. The example is 1 h 52 min old when it is answered, which is
     * too much here, and would be renewed at any age. */
    { KEY_A, NULL, "203.0.113.203", "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559727985,
      KIRIM_DNS_COOKIE_OLD, 1559734700, "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e" },
    { KEY_C, KEY_B, "2001:db8:220:1:59de:d0f4:8769:82b8",
      "22681ab97d52c298010000005cf7c57926556bd0934c72f8", 1559741961, KIRIM_DNS_COOKIE_OLD,
      1559741961, "22681ab97d52c298010000005cf7c609a6bb79d16625507a" },
};

START_TEST(worked_examples_of_the_standard_hold)
{
    const struct example *const e = &examples[_i];
    const struct kirim_dns_cookie_keys keys = keys_of(e->first, e->second);
    const struct kirim_addr peer = kit_addr(e->peer);
    struct kirim_dns_cookie_claim claim = { &peer, e->now_s };
    uint8_t expected[KIRIM_DNS_COOKIE_BYTES];
    uint8_t made[KIRIM_DNS_COOKIE_BYTES];
    read_hex(e->given, expected, sizeof expected);
    kirim_dns_cookie_make(&keys, &claim, expected, made);
    ck_assert_mem_eq(made, expected, sizeof made);
    ck_assert_int_eq(kirim_dns_cookie_judge(&keys, &claim, made, sizeof made),
                     KIRIM_DNS_COOKIE_GOOD);
    if (e->sent != NULL) {
        uint8_t sent[KIRIM_DNS_COOKIE_BYTES];
        read_hex(e->sent, sent, sizeof sent);
        claim.now_s = e->sent_s;
        ck_assert_int_eq(kirim_dns_cookie_judge(&keys, &claim, sent, sizeof sent), e->verdict);
    }
}
END_TEST

START_TEST(third_example_is_too_old_when_it_is_answered)
{
    const struct kirim_dns_cookie_keys keys = keys_of(KEY_A, NULL);
    const struct kirim_addr peer = kit_addr(examples[2].peer);
    const struct kirim_dns_cookie_claim claim = { &peer, examples[2].now_s };
    uint8_t sent[KIRIM_DNS_COOKIE_BYTES];
    read_hex(examples[2].sent, sent, sizeof sent);
    ck_assert_int_eq(kirim_dns_cookie_judge(&keys, &claim, sent, sizeof sent),
                     KIRIM_DNS_COOKIE_BAD);
}
END_TEST

/* ---- what a server takes --------------------------------------------------------------------- */

/* A cookie made at `made_s`, judged at `now_s`. */
static int judge_at(uint32_t made_s, uint32_t now_s)
{
    static const uint8_t client[] = "client..";
    const struct kirim_dns_cookie_keys keys = keys_of(KEY_A, NULL);
    const struct kirim_addr peer = kit_addr("192.0.2.1:53");
    struct kirim_dns_cookie_claim claim = { &peer, made_s };
    uint8_t made[KIRIM_DNS_COOKIE_BYTES];
    kirim_dns_cookie_make(&keys, &claim, client, made);
    claim.now_s = now_s;
    return kirim_dns_cookie_judge(&keys, &claim, made, sizeof made);
}

START_TEST(age_has_bounds)
{
    static const uint32_t times[] = { 0,          100,        299,        3600,
                                      2000000000, 0x7fffffff, 0xffffff00, 0xffffffff };
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        const uint32_t now = times[i]; /* modulo 2^32, like the cookie's */
        ck_assert_int_eq(judge_at(now, now), KIRIM_DNS_COOKIE_GOOD);
        ck_assert_int_eq(judge_at(now - 1800, now), KIRIM_DNS_COOKIE_GOOD);
        ck_assert_int_eq(judge_at(now - 1801, now), KIRIM_DNS_COOKIE_OLD);
        ck_assert_int_eq(judge_at(now - 3600, now), KIRIM_DNS_COOKIE_OLD);
        ck_assert_int_eq(judge_at(now - 3601, now), KIRIM_DNS_COOKIE_BAD);
        ck_assert_int_eq(judge_at(now + 300, now), KIRIM_DNS_COOKIE_GOOD);
        ck_assert_int_eq(judge_at(now + 301, now), KIRIM_DNS_COOKIE_BAD);
        ck_assert_int_eq(judge_at(now + 0x80000000, now), KIRIM_DNS_COOKIE_BAD);
    }
}
END_TEST

START_TEST(every_bit_of_a_cookie_counts)
{
    static const uint8_t client[] = "client..";
    const struct kirim_dns_cookie_keys keys = keys_of(KEY_A, KEY_B);
    const char *const others[] = { "192.0.2.2", "::c000:201", "0.0.0.0" };
    const struct kirim_addr peer = kit_addr("192.0.2.1:53");
    const struct kirim_addr same = kit_addr("192.0.2.1:54");
    struct kirim_dns_cookie_claim claim = { &peer, NOW };
    uint8_t made[KIRIM_DNS_COOKIE_BYTES];
    kirim_dns_cookie_make(&keys, &claim, client, made);
    for (size_t bit = 0; bit < 8 * sizeof made; bit++) {
        made[bit / 8] ^= (uint8_t)(1U << bit % 8);
        ck_assert_int_eq(kirim_dns_cookie_judge(&keys, &claim, made, sizeof made),
                         KIRIM_DNS_COOKIE_BAD);
        made[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    claim.peer = &same; /* the port does not count */
    ck_assert_int_eq(kirim_dns_cookie_judge(&keys, &claim, made, sizeof made),
                     KIRIM_DNS_COOKIE_GOOD);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        const struct kirim_addr other = kit_addr(others[i]);
        claim.peer = &other;
        ck_assert_int_eq(kirim_dns_cookie_judge(&keys, &claim, made, sizeof made),
                         KIRIM_DNS_COOKIE_BAD);
    }
}
END_TEST

START_TEST(lengths_are_those_of_the_standard)
{
    const struct kirim_dns_cookie_keys keys = keys_of(KEY_A, NULL);
    const struct kirim_addr peer = kit_addr("192.0.2.1:53");
    const struct kirim_dns_cookie_claim claim = { &peer, NOW };
    static const uint8_t bytes[64] = { 0 };
    for (size_t length = 0; length <= sizeof bytes; length++) {
        const int expected = length == 8                  ? KIRIM_DNS_COOKIE_CLIENT
                             : length < 16 || length > 40 ? KIRIM_DNS_COOKIE_MALFORMED
                                                          : KIRIM_DNS_COOKIE_BAD;
        ck_assert_int_eq(kirim_dns_cookie_judge(&keys, &claim, bytes, length), expected);
    }
}
END_TEST

START_TEST(keys_change_without_refusing_anybody)
{
    static const uint8_t client[] = "client..";
    struct kirim_dns_cookie_keys keys = { .count = 0 };
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = { 1 };
    const struct kirim_addr peer = kit_addr("192.0.2.1:53");
    const struct kirim_dns_cookie_claim claim = { &peer, NOW };
    uint8_t made[3][KIRIM_DNS_COOKIE_BYTES];
    for (size_t i = 0; i < 3; i++) {
        key[0]++;
        kirim_dns_cookie_keys_rotate(&keys, key);
        kirim_dns_cookie_make(&keys, &claim, client, made[i]);
        ck_assert_int_eq(kirim_dns_cookie_judge(&keys, &claim, made[i], sizeof made[i]),
                         KIRIM_DNS_COOKIE_GOOD);
        ck_assert_uint_eq(keys.count, i == 0 ? 1 : 2);
    }
    ck_assert_int_eq(kirim_dns_cookie_judge(&keys, &claim, made[1], sizeof made[1]),
                     KIRIM_DNS_COOKIE_OLD);
    ck_assert_int_eq(kirim_dns_cookie_judge(&keys, &claim, made[0], sizeof made[0]),
                     KIRIM_DNS_COOKIE_BAD);
    ck_assert_int_eq(kirim_dns_cookie_keys_add(&keys, key), KIRIM_DNS_EFULL);
    keys.count = 0;
    ck_assert_int_eq(kirim_dns_cookie_judge(&keys, &claim, made[2], sizeof made[2]),
                     KIRIM_DNS_COOKIE_BAD);
}
END_TEST

/* ---- the client ------------------------------------------------------------------------------ */

struct asker {
    struct kirim_dns_query_options options;
    struct kirim_dns_query query;
    struct kirim_addr server[2];
    uint8_t sent[KIRIM_DNS_QUERY_BYTES_MAX];
    size_t sent_bytes;
};

static void start_asker(struct asker *a)
{
    *a = (struct asker){ .options = KIRIM_DNS_QUERY_OPTIONS_INIT };
    a->server[0] = kit_addr("192.0.2.1:53");
    a->server[1] = kit_addr("192.0.2.2:53");
    a->options.name = kit_name("www.example.");
    a->options.type = KIRIM_DNS_A;
    a->options.server_count = 2;
    memcpy(a->options.server, a->server, sizeof a->server);
    for (size_t i = 0; i < sizeof a->options.random; i++) {
        a->options.random[i] = (uint8_t)i;
    }
    ck_assert_int_eq(kirim_dns_query_start(&a->query, &a->options, SECOND), KIRIM_OK);
}

/* What is sent next: its cookie, whose bytes are returned; 0: none. Fails if nothing is sent. */
static size_t take_cookie(struct asker *a, uint8_t cookie[KIRIM_DNS_COOKIE_BYTES_MAX])
{
    struct kirim_dns_room room = { a->sent, sizeof a->sent, 0 };
    struct kirim_dns_message message;
    struct kirim_dns_option option;
    struct kirim_addr to;
    ck_assert_int_eq(kirim_dns_query_output(&a->query, &room, &to), KIRIM_OK);
    ck_assert_uint_gt(room.bytes, 0);
    ck_assert(kirim_addr_equal(&to, &a->server[a->query.server_index]));
    a->sent_bytes = room.bytes;
    const struct kirim_dns_span span = { a->sent, a->sent_bytes };
    ck_assert_int_eq(kirim_dns_message_read(span, &message), KIRIM_OK);
    if (!message.has_edns ||
        !kirim_dns_edns_find(&message.edns, KIRIM_DNS_OPTION_COOKIE, &option)) {
        return 0;
    }
    memcpy(cookie, option.data, option.bytes);
    return option.bytes;
}

/* Answers what was sent last, from the server that it was sent to, with this option. */
static bool answer(struct asker *a, uint16_t rcode, const void *cookie, size_t bytes)
{
    uint8_t wire[KIRIM_DNS_QUERY_BYTES_MAX];
    uint8_t option[64];
    struct kirim_dns_builder b;
    const struct kirim_dns_edns edns = {
        .udp_bytes = 1232,
        .rcode_high = (uint8_t)(rcode >> 4),
        .options = option,
        .option_bytes = bytes > 0 ? kit_cookie_option(cookie, bytes, option) : 0,
    };
    kirim_dns_builder_init(&b, wire, sizeof wire);
    ck_assert_int_eq(kirim_dns_builder_question(&b, &a->query.question), KIRIM_OK);
    ck_assert_int_eq(kirim_dns_builder_edns(&b, &edns), KIRIM_OK);
    const struct kirim_dns_span span = {
        wire, kirim_dns_builder_end(&b, a->query.id, (uint16_t)(KIRIM_DNS_FLAG_QR | (rcode & 15)))
    };
    return kirim_dns_query_input(&a->query, span, &a->server[a->query.server_index], SECOND);
}

START_TEST(each_server_gets_its_own_part)
{
    uint8_t first[KIRIM_DNS_COOKIE_BYTES_MAX];
    uint8_t second[KIRIM_DNS_COOKIE_BYTES_MAX];
    struct asker a;
    start_asker(&a);
    ck_assert_uint_eq(take_cookie(&a, first), 8);
    ck_assert_mem_eq(first, a.options.random + 34, 8);
    kirim_dns_query_expire(&a.query, a.query.deadline_ns);
    ck_assert_uint_eq(take_cookie(&a, second), 8);
    ck_assert_mem_ne(first, second, 8);
    kirim_dns_query_expire(&a.query, a.query.deadline_ns);
    ck_assert_uint_eq(take_cookie(&a, second), 8);
    ck_assert_mem_eq(first, second, 8);
}
END_TEST

/* The server's part that came with an answer goes with the next question. */
START_TEST(what_the_server_gave_is_kept_and_sent)
{
    uint8_t cookie[KIRIM_DNS_COOKIE_BYTES_MAX];
    uint8_t again[KIRIM_DNS_COOKIE_BYTES_MAX];
    struct asker a;
    start_asker(&a);
    (void)take_cookie(&a, cookie);
    memset(cookie + 8, 0x55, 32);
    ck_assert(answer(&a, KIRIM_DNS_NOERROR, cookie, 40));
    ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ANSWERED);
    memcpy(a.options.jar, a.query.jar, sizeof a.options.jar);
    ck_assert_int_eq(kirim_dns_query_start(&a.query, &a.options, SECOND), KIRIM_OK);
    ck_assert_uint_eq(take_cookie(&a, again), 40);
    ck_assert_mem_eq(again, cookie, 40);
}
END_TEST

START_TEST(answers_with_a_wrong_cookie_are_ignored)
{
    static const size_t lengths[] = { 7, 9, 15, 41, 48 };
    uint8_t cookie[64] = { 0 };
    struct asker a;
    start_asker(&a);
    (void)take_cookie(&a, cookie);
    for (size_t i = 0; i < 8; i++) {
        cookie[i] ^= 0x10;
        ck_assert(!answer(&a, KIRIM_DNS_NOERROR, cookie, 24));
        cookie[i] ^= 0x10;
    }
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        ck_assert(!answer(&a, KIRIM_DNS_NOERROR, cookie, lengths[i]));
    }
    ck_assert_uint_eq(a.query.ignored.cookie, 8 + COUNT_OF(lengths));
    ck_assert_uint_eq(a.query.jar[0].server_bytes, 0);
    ck_assert(answer(&a, KIRIM_DNS_NOERROR, cookie, 24)); /* the wait has gone on */
    ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ANSWERED);
}
END_TEST

/* A server that has no cookies answers without, or gives back what it got. */
START_TEST(servers_without_cookies_are_believed)
{
    uint8_t cookie[KIRIM_DNS_COOKIE_BYTES_MAX];
    struct asker a;
    for (size_t bytes = 0; bytes <= 8; bytes += 8) {
        start_asker(&a);
        (void)take_cookie(&a, cookie);
        ck_assert(answer(&a, KIRIM_DNS_NOERROR, cookie, bytes));
        ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ANSWERED);
        ck_assert_uint_eq(a.query.jar[0].server_bytes, 0);
    }
}
END_TEST

START_TEST(server_that_had_cookies_must_have_them_until_it_is_asked_again)
{
    uint8_t cookie[KIRIM_DNS_COOKIE_BYTES_MAX];
    struct asker a;
    start_asker(&a);
    (void)take_cookie(&a, cookie);
    a.query.jar[0].server_bytes = 16;
    ck_assert(!answer(&a, KIRIM_DNS_NOERROR, NULL, 0));
    ck_assert_uint_eq(a.query.ignored.cookie, 1);
    kirim_dns_query_expire(&a.query, a.query.deadline_ns); /* the other server */
    ck_assert_uint_eq(take_cookie(&a, cookie), 8);
    kirim_dns_query_expire(&a.query, a.query.deadline_ns);
    ck_assert_uint_eq(take_cookie(&a, cookie), 8);
    ck_assert(answer(&a, KIRIM_DNS_NOERROR, NULL, 0));
    ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ANSWERED);
}
END_TEST

START_TEST(bad_cookie_is_replaced_once)
{
    uint8_t cookie[KIRIM_DNS_COOKIE_BYTES_MAX];
    uint8_t again[KIRIM_DNS_COOKIE_BYTES_MAX];
    struct asker a;
    start_asker(&a);
    (void)take_cookie(&a, cookie);
    memset(cookie + 8, 1, 16);
    const uint16_t id = a.query.id;
    ck_assert(answer(&a, KIRIM_DNS_BADCOOKIE, cookie, 24));
    ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ASKING);
    ck_assert_uint_ne(a.query.id, id); /* so what came is ignored if it comes twice */
    ck_assert_uint_eq(take_cookie(&a, again), 24);
    ck_assert_mem_eq(again, cookie, 24);
    ck_assert_uint_eq(a.query.server_index, 0);
    ck_assert(answer(&a, KIRIM_DNS_BADCOOKIE, cookie, 24)); /* it does not know what it wants */
    ck_assert_uint_eq(a.query.server_index, 1);
    (void)take_cookie(&a, again);
    ck_assert(answer(&a, KIRIM_DNS_BADCOOKIE, again, 8)); /* and gives none */
    ck_assert_int_eq(a.query.state, KIRIM_DNS_QUERY_ANSWERED);
    ck_assert_uint_eq(kirim_dns_message_rcode(&a.query.answer), KIRIM_DNS_BADCOOKIE);
}
END_TEST

/* First the cookie is left out, then EDNS as a whole. */
START_TEST(server_that_dislikes_the_option_is_asked_without)
{
    uint8_t cookie[KIRIM_DNS_COOKIE_BYTES_MAX];
    struct asker a;
    start_asker(&a);
    (void)take_cookie(&a, cookie);
    ck_assert(answer(&a, KIRIM_DNS_FORMERR, NULL, 0));
    ck_assert_uint_eq(take_cookie(&a, cookie), 0);
    ck_assert(a.query.has_edns);
    ck_assert(answer(&a, KIRIM_DNS_BADVERS, NULL, 0));
    ck_assert_uint_eq(take_cookie(&a, cookie), 0);
    ck_assert(!a.query.has_edns);
    ck_assert_uint_eq(a.query.server_index, 0);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { worked_examples_of_the_standard_hold, COUNT_OF(examples) },
        { third_example_is_too_old_when_it_is_answered, 0 },
        { age_has_bounds, 0 },
        { every_bit_of_a_cookie_counts, 0 },
        { lengths_are_those_of_the_standard, 0 },
        { keys_change_without_refusing_anybody, 0 },
        { each_server_gets_its_own_part, 0 },
        { what_the_server_gave_is_kept_and_sent, 0 },
        { answers_with_a_wrong_cookie_are_ignored, 0 },
        { servers_without_cookies_are_believed, 0 },
        { server_that_had_cookies_must_have_them_until_it_is_asked_again, 0 },
        { bad_cookie_is_replaced_once, 0 },
        { server_that_dislikes_the_option_is_asked_without, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns cookie", claims);
}
