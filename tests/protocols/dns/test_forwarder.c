/* SPDX-License-Identifier: MIT
 *
 * Claims about the forwarder without a network: what it answers at once, what it asks and how
 * often, who gets which answer, and what happens when there is no room.
 */
#include "kit.h"
#include "protocols/dns/forwarder.h"
#include "support/random.h"

#include <stdio.h>

#define SECOND UINT64_C(1000000000)

enum { PENDING_MAX = 3, WAITER_MAX = 6, STEP_COUNT = 5000 };

struct place {
    struct kit_memory memory;
    struct kirim_dns_forwarder_options options;
    struct kirim_dns_forwarder *forwarder;
    struct kirim_dns_guard guard;
    struct kirim_dns_asker asker;
    uint64_t now_ns;
    struct kit_reply reply;
    uint8_t answer[KIRIM_DNS_UDP_BYTES]; /* of a server */
    struct kirim_dns_message message;
    size_t displaced; /* who have waited, and made room for the last one that asked */
    struct kirim_addr displaced_peer;
};

static struct place *open_place(void)
{
    struct place *const p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    p->options = (struct kirim_dns_forwarder_options)KIRIM_DNS_FORWARDER_OPTIONS_INIT;
    p->options.alloc = kit_alloc;
    p->options.alloc_user = &p->memory;
    p->options.cache_bytes = KIRIM_DNS_CACHE_BYTES_MIN;
    p->options.pending_max = PENDING_MAX;
    p->options.waiter_max = WAITER_MAX;
    p->options.guard = &p->guard;
    ck_assert_int_eq(kirim_dns_forwarder_open(&p->options, &p->forwarder), KIRIM_OK);
    p->asker.peer = kit_addr("192.0.2.1:1000");
    p->now_ns = SECOND;
    return p;
}

static void close_place(struct place *p)
{
    kirim_dns_forwarder_close(p->forwarder);
    ck_assert_uint_eq(p->memory.blocks, 0);
    ck_assert_uint_eq(p->memory.bytes, 0);
    free(p);
}

static const struct kirim_dns_forwarder_stats *stats_of(const struct place *p)
{
    return kirim_dns_forwarder_stats(p->forwarder);
}

static void read_reply(struct place *p, const struct kirim_dns_room *room)
{
    p->reply.bytes = room->bytes;
    if (room->bytes > 0) {
        const struct kirim_dns_span span = { p->reply.wire, room->bytes };
        ck_assert_int_eq(kirim_dns_message_read(span, &p->reply.message), KIRIM_OK);
    }
}

static struct kirim_dns_pending *ask_bytes(struct place *p, const uint8_t *wire, size_t bytes)
{
    const struct kirim_dns_request request = { { wire, bytes }, &p->asker.peer, p->now_ns };
    struct kirim_dns_room room = { p->reply.wire, KIRIM_DNS_UDP_BYTES, 0 };
    struct kirim_dns_pending *const pending =
        kirim_dns_forwarder_ask(p->forwarder, &request, &p->asker, &room);
    p->displaced = 0;
    for (const struct kirim_dns_asker *asker = kirim_dns_forwarder_next(p->forwarder);
         asker != NULL; asker = kirim_dns_forwarder_next(p->forwarder)) {
        struct kit_reply other;
        struct kirim_dns_room other_room = { other.wire, KIRIM_DNS_UDP_BYTES, 0 };
        kirim_dns_forwarder_write(p->forwarder, &other_room);
        const struct kirim_dns_span span = { other.wire, other_room.bytes };
        ck_assert_int_eq(kirim_dns_message_read(span, &other.message), KIRIM_OK);
        ck_assert_uint_eq(kirim_dns_message_rcode(&other.message), KIRIM_DNS_SERVFAIL);
        p->displaced++;
        p->displaced_peer = asker->peer;
    }
    ck_assert_uint_le(p->displaced, 1);
    read_reply(p, &room);
    return pending;
}

static struct kirim_dns_pending *ask_question(struct place *p, const struct kit_question *question)
{
    uint8_t wire[KIRIM_DNS_PLAIN_BYTES_MAX];
    return ask_bytes(p, wire, kit_build(question, wire, sizeof wire));
}

static struct kirim_dns_pending *ask(struct place *p, const char *name, uint16_t id)
{
    const struct kit_question question = {
        .name = name, .type = KIRIM_DNS_A, .id = id, .flags = KIRIM_DNS_FLAG_RD
    };
    return ask_question(p, &question);
}

/* What a server says to a question: one address with this time to live, or a result. */
static const struct kirim_dns_message *make_answer(struct place *p,
                                                   const struct kirim_dns_pending *pending,
                                                   uint16_t flags, uint32_t ttl)
{
    static const uint8_t address[4] = { 192, 0, 2, 9 };
    const struct kirim_dns_record record = { .type = KIRIM_DNS_A,
                                             .dns_class = KIRIM_DNS_CLASS_IN,
                                             .ttl = ttl,
                                             .rdata = address,
                                             .rdata_bytes = 4 };
    struct kirim_dns_builder b;
    kirim_dns_builder_init(&b, p->answer, sizeof p->answer);
    ck_assert_int_eq(kirim_dns_builder_question(&b, &pending->question), KIRIM_OK);
    if ((flags & KIRIM_DNS_FLAGS_RCODE) == 0) {
        ck_assert_int_eq(kirim_dns_builder_record(&b, 1, &pending->question.name, &record),
                         KIRIM_OK);
    }
    const struct kirim_dns_span span = {
        p->answer, kirim_dns_builder_end(&b, 1, (uint16_t)(KIRIM_DNS_FLAG_QR | flags))
    };
    ck_assert_int_eq(kirim_dns_message_read(span, &p->message), KIRIM_OK);
    return &p->message;
}

/* The next answer to those who wait; NULL: that was all. */
static const struct kirim_dns_asker *next(struct place *p)
{
    const struct kirim_dns_asker *const asker = kirim_dns_forwarder_next(p->forwarder);
    struct kirim_dns_room room = { p->reply.wire, KIRIM_DNS_UDP_BYTES, 0 };
    if (asker != NULL) {
        kirim_dns_forwarder_write(p->forwarder, &room);
        read_reply(p, &room);
    }
    return asker;
}

/* Ends a question, and answers all who wait; returns how many. */
static size_t end(struct place *p, struct kirim_dns_pending *pending, uint16_t flags, uint32_t ttl)
{
    size_t count = 0;
    kirim_dns_forwarder_end(p->forwarder, pending, make_answer(p, pending, flags, ttl), p->now_ns);
    while (next(p) != NULL) {
        count++;
    }
    return count;
}

/* Likewise without an answer. */
static size_t end_unanswered(struct place *p, struct kirim_dns_pending *pending)
{
    size_t count = 0;
    kirim_dns_forwarder_end(p->forwarder, pending, NULL, p->now_ns);
    while (next(p) != NULL) {
        count++;
    }
    return count;
}

/* ---- at once --------------------------------------------------------------------------------- */

static const struct refused_case {
    const char *what;
    struct kit_question question;
    uint16_t rcode;
} refusals[] = {
    { "no recursion wanted", { .name = "a.", .type = 1 }, KIRIM_DNS_REFUSED },
    { "class CH", { .name = "a.", .type = 16, .dns_class = 3, .flags = 0x100 }, KIRIM_DNS_REFUSED },
    { "AXFR", { .name = "a.", .type = 252, .flags = 0x100 }, KIRIM_DNS_REFUSED },
    { "IXFR", { .name = "a.", .type = 251, .flags = 0x100 }, KIRIM_DNS_REFUSED },
    { "OPT", { .name = "a.", .type = 41, .flags = 0x100 }, KIRIM_DNS_FORMERR },
    { "an update", { .name = "a.", .type = 1, .flags = 0x2900 }, KIRIM_DNS_NOTIMP },
    { "EDNS 1",
      { .name = "a.", .type = 1, .flags = 0x100, .has_edns = true, .version = 1 },
      KIRIM_DNS_BADVERS },
};

START_TEST(what_is_not_for_a_forwarder_is_refused_at_once)
{
    const struct refused_case *const c = &refusals[_i];
    struct place *const p = open_place();
    ck_assert_msg(ask_question(p, &c->question) == NULL, "%s", c->what);
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), c->rcode);
    ck_assert_uint_ne(p->reply.message.flags & KIRIM_DNS_FLAG_RA, 0);
    ck_assert_uint_eq(stats_of(p)->rcode[c->rcode], 1);
    close_place(p);
}
END_TEST

START_TEST(noise_is_dropped_or_told)
{
    static const uint8_t header[12] = { 0, 1, 1 };
    static const uint8_t response[12] = { 0, 1, 0x81 };
    struct place *const p = open_place();
    ck_assert_ptr_null(ask_bytes(p, header, 11));
    ck_assert_uint_eq(p->reply.bytes, 0);
    ck_assert_ptr_null(ask_bytes(p, response, 12));
    ck_assert_uint_eq(p->reply.bytes, 0);
    ck_assert_ptr_null(ask_bytes(p, header, 12));
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_FORMERR);
    ck_assert_uint_eq(stats_of(p)->dropped, 2);
    ck_assert_uint_eq(stats_of(p)->received, 3);
    close_place(p);
}
END_TEST

/* A sound request, changed at a few places, or cut: whatever it means, the answer is well-formed.
 */
START_TEST(noise_by_the_thousand_does_no_harm)
{
    struct place *const p = open_place();
    struct test_random random = test_random_start("noise");
    const struct kit_question question = {
        .name = "a.b.", .type = 1, .id = 1, .flags = 0x100, .has_edns = true
    };
    uint8_t sound[KIRIM_DNS_PLAIN_BYTES_MAX];
    const size_t bytes = kit_build(&question, sound, sizeof sound);
    p->guard.cookies = KIRIM_DNS_COOKIES_ON;
    p->guard.keys.count = 1;
    for (size_t i = 0; i < STEP_COUNT; i++) {
        uint8_t wire[KIRIM_DNS_PLAIN_BYTES_MAX];
        memcpy(wire, sound, bytes);
        for (size_t k = test_random_below(&random, 4); k > 0; k--) {
            wire[test_random_below(&random, bytes)] = (uint8_t)test_random_next(&random);
        }
        const bool is_cut = test_random_below(&random, 4) == 0;
        struct kirim_dns_pending *const pending =
            ask_bytes(p, wire, is_cut ? test_random_below(&random, bytes) : bytes);
        if (pending != NULL) {
            kirim_dns_forwarder_end(p->forwarder, pending, NULL, p->now_ns);
            while (next(p) != NULL) {}
        }
    }
    ck_assert_uint_eq(stats_of(p)->received, STEP_COUNT);
    ck_assert_uint_eq(stats_of(p)->answered + stats_of(p)->dropped, STEP_COUNT);
    close_place(p);
}
END_TEST

START_TEST(cookie_is_demanded_before_anything_is_asked)
{
    uint8_t option[64];
    struct place *const p = open_place();
    struct kit_question question = { .name = "a.", .type = 1, .flags = 0x100, .has_edns = true };
    p->guard.cookies = KIRIM_DNS_COOKIES_REQUIRED;
    p->guard.keys.count = 1;
    question.options = option;
    question.option_bytes = kit_cookie_option("12345678", 8, option);
    ck_assert_ptr_null(ask_question(p, &question));
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_BADCOOKIE);
    const size_t cookie_at = p->reply.bytes - 24;
    question.option_bytes = kit_cookie_option(p->reply.wire + cookie_at, 24, option);
    struct kirim_dns_pending *const pending = ask_question(p, &question);
    ck_assert_ptr_nonnull(pending);
    ck_assert_uint_eq(end(p, pending, 0, 60), 1);
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_NOERROR);
    ck_assert_mem_eq(p->reply.wire + p->reply.bytes - 24, option + 4, 24);
    close_place(p);
}
END_TEST

/* ---- asking ---------------------------------------------------------------------------------- */

START_TEST(answer_is_asked_for_once_and_kept)
{
    struct place *const p = open_place();
    struct kirim_dns_pending *const pending = ask(p, "WWW.Example.", 7);
    ck_assert_ptr_nonnull(pending);
    ck_assert_uint_eq(p->reply.bytes, 0);
    ck_assert_str_eq(kit_name_text(&pending->question.name), "www.example.");
    ck_assert_uint_eq(end(p, pending, 0, 60), 1);
    ck_assert_uint_eq(p->reply.message.id, 7);
    ck_assert_str_eq(kit_section(&p->reply.message, 1), "WWW.Example. 60 A 192.0.2.9\n");
    p->now_ns += 50 * SECOND;
    ck_assert_ptr_null(ask(p, "www.EXAMPLE.", 8));
    ck_assert_uint_eq(p->reply.message.id, 8);
    ck_assert_str_eq(kit_section(&p->reply.message, 1), "www.EXAMPLE. 10 A 192.0.2.9\n");
    ck_assert_uint_eq(stats_of(p)->hits, 1);
    ck_assert_uint_eq(stats_of(p)->misses, 1);
    p->now_ns += 10 * SECOND;
    ck_assert_ptr_nonnull(ask(p, "www.example.", 9));
    close_place(p); /* with a question under way */
}
END_TEST

START_TEST(equal_questions_wait_together)
{
    static const char *const names[] = { "a.b.", "A.b.", "a.B.", "A.B." };
    struct place *const p = open_place();
    struct kirim_dns_pending *const pending = ask(p, names[0], 100);
    for (uint16_t i = 1; i < COUNT_OF(names); i++) {
        kirim_addr_set_port(&p->asker.peer, (uint16_t)(1000 + i));
        ck_assert_ptr_null(ask(p, names[i], (uint16_t)(100 + i)));
        ck_assert_uint_eq(p->reply.bytes, 0);
    }
    ck_assert_uint_eq(stats_of(p)->coalesced, COUNT_OF(names) - 1);
    kirim_dns_forwarder_end(p->forwarder, pending, make_answer(p, pending, 0, 0), p->now_ns);
    for (uint16_t i = 0; i < COUNT_OF(names); i++) {
        const struct kirim_dns_asker *const asker = next(p);
        ck_assert_ptr_nonnull(asker);
        ck_assert_uint_eq(kirim_addr_port(&asker->peer), 1000 + i);
        ck_assert_uint_eq(p->reply.message.id, 100 + i);
        ck_assert_str_eq(kit_name_text(&p->reply.message.question.name), names[i]);
    }
    ck_assert_ptr_null(next(p));
    ck_assert_ptr_null(next(p));
    ck_assert_uint_eq(stats_of(p)->pending_count + stats_of(p)->waiter_count, 0);
    ck_assert_ptr_nonnull(ask(p, "a.b.", 1)); /* it was good for those alone */
    close_place(p);
}
END_TEST

START_TEST(who_asks_again_waits_once)
{
    struct place *const p = open_place();
    struct kirim_dns_pending *const pending = ask(p, "a.b.", 7);
    ck_assert_ptr_null(ask(p, "A.b.", 7)); /* as it was written the last time */
    ck_assert_ptr_null(ask(p, "a.B.", 7));
    ck_assert_uint_eq(stats_of(p)->repeated, 2);
    ck_assert_uint_eq(stats_of(p)->coalesced, 0);
    ck_assert_ptr_null(ask(p, "a.b.", 8)); /* another question of the same */
    ck_assert_uint_eq(stats_of(p)->coalesced, 1);
    kirim_dns_forwarder_end(p->forwarder, pending, make_answer(p, pending, 0, 9), p->now_ns);
    ck_assert_ptr_nonnull(next(p));
    ck_assert_str_eq(kit_name_text(&p->reply.message.question.name), "a.B.");
    ck_assert_ptr_nonnull(next(p));
    ck_assert_ptr_null(next(p));
    close_place(p);
}
END_TEST

START_TEST(questions_with_other_bits_are_others)
{
    struct place *const p = open_place();
    struct kit_question question = { .name = "a.", .type = 1, .flags = 0x100, .has_edns = true };
    struct kirim_dns_pending *const plain = ask_question(p, &question);
    ck_assert(!plain->is_dnssec_ok && !plain->is_checking_disabled);
    question.is_dnssec_ok = true;
    struct kirim_dns_pending *const signed_one = ask_question(p, &question);
    ck_assert(signed_one->is_dnssec_ok && !signed_one->is_checking_disabled);
    question.flags |= KIRIM_DNS_FLAG_CD;
    struct kirim_dns_pending *const unchecked = ask_question(p, &question);
    ck_assert(unchecked->is_dnssec_ok && unchecked->is_checking_disabled);
    ck_assert_uint_eq(end(p, signed_one, 0, 60), 1);
    ck_assert(p->reply.message.edns.is_dnssec_ok);
    ck_assert_ptr_null(ask_question(p, &question)); /* still under way */
    ck_assert_uint_eq(p->reply.bytes, 0);
    close_place(p);
}
END_TEST

/* ---- how it ends ----------------------------------------------------------------------------- */

START_TEST(no_answer_is_servfail_for_a_while)
{
    struct place *const p = open_place();
    struct kirim_dns_pending *pending = ask(p, "a.b.", 7);
    kirim_dns_forwarder_end(p->forwarder, pending, NULL, p->now_ns);
    ck_assert_ptr_nonnull(next(p));
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_SERVFAIL);
    ck_assert_uint_eq(p->reply.message.id, 7);
    ck_assert_ptr_null(next(p));
    ck_assert_uint_eq(stats_of(p)->failed, 1);
    p->now_ns += 2 * SECOND - 1;
    ck_assert_ptr_null(ask(p, "a.b.", 8));
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_SERVFAIL);
    p->now_ns += 1;
    pending = ask(p, "a.b.", 9);
    ck_assert_ptr_nonnull(pending);
    close_place(p);
}
END_TEST

START_TEST(results_of_servers_are_passed_on)
{
    static const uint16_t results[] = { KIRIM_DNS_SERVFAIL, KIRIM_DNS_NXDOMAIN, KIRIM_DNS_NOTIMP,
                                        KIRIM_DNS_REFUSED, KIRIM_DNS_FLAG_TC };
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        struct place *const p = open_place();
        struct kirim_dns_pending *const pending = ask(p, "a.b.", 7);
        ck_assert_uint_eq(end(p, pending, results[i], 60), 1);
        ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message),
                          results[i] & KIRIM_DNS_FLAGS_RCODE);
        ck_assert_uint_eq(p->reply.message.flags & KIRIM_DNS_FLAG_TC,
                          results[i] & KIRIM_DNS_FLAG_TC);
        close_place(p);
    }
}
END_TEST

START_TEST(answer_that_cannot_be_used_is_servfail)
{
    struct place *const p = open_place();
    struct kirim_dns_pending *const pending = ask(p, "a.b.", 7);
    (void)make_answer(p, pending, 0, 60);
    p->answer[12 + 5 + 4 + 2 + 1] = 28; /* an IPv6 address of 4 bytes */
    ck_assert_int_eq(kirim_dns_message_read(p->message.wire, &p->message), KIRIM_OK);
    kirim_dns_forwarder_end(p->forwarder, pending, &p->message, p->now_ns);
    ck_assert_ptr_nonnull(next(p));
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_SERVFAIL);
    ck_assert_uint_eq(p->reply.message.record_count[1], 0);
    ck_assert_uint_eq(stats_of(p)->malformed, 1);
    close_place(p);
}
END_TEST

/* ---- bounds ---------------------------------------------------------------------------------- */

START_TEST(too_many_questions_are_servfail)
{
    char name[8] = "0.b.";
    struct place *const p = open_place();
    for (uint16_t i = 0; i < PENDING_MAX; i++) {
        name[0] = (char)('0' + i);
        ck_assert_ptr_nonnull(ask(p, name, i));
    }
    ck_assert_ptr_null(ask(p, "x.b.", 99));
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_SERVFAIL);
    ck_assert_uint_eq(stats_of(p)->refused, 1);
    for (uint16_t i = 0; i < WAITER_MAX - PENDING_MAX; i++) {
        ck_assert_ptr_null(ask(p, "0.b.", (uint16_t)(50 + i)));
        ck_assert_uint_eq(p->reply.bytes, 0);
    }
    ck_assert_ptr_null(ask(p, "0.b.", 98));
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_SERVFAIL);
    ck_assert_ptr_null(ask(p, "0.b.", 50)); /* who waits already still does */
    ck_assert_uint_eq(p->reply.bytes, 0);
    ck_assert_uint_eq(stats_of(p)->refused, 2);
    close_place(p);
}
END_TEST

/* One network has all questions; another one asks, until each has its share. */
START_TEST(network_with_all_questions_makes_room)
{
    char name[8] = "0.b.";
    struct place *const p = open_place();
    struct kirim_dns_pending *first[PENDING_MAX];
    for (uint16_t i = 0; i < PENDING_MAX; i++) {
        name[0] = (char)('0' + i);
        p->asker.peer = kit_addr(i % 2 == 0 ? "192.0.2.1:1000" : "192.0.2.99:1000");
        first[i] = ask(p, name, i);
        ck_assert_ptr_nonnull(first[i]);
        ck_assert_ptr_null(kirim_dns_forwarder_surplus(p->forwarder));
    }
    ck_assert_ptr_null(ask(p, "x.b.", 98));
    p->asker.peer = kit_addr("198.51.100.1:1000");
    struct kirim_dns_pending *const other = ask(p, "x.b.", 99);
    ck_assert_ptr_nonnull(other);
    ck_assert_ptr_eq(kirim_dns_forwarder_surplus(p->forwarder), first[0]);
    ck_assert_ptr_null(ask(p, "y.b.", 100)); /* not before that has ended */
    ck_assert_uint_eq(end_unanswered(p, first[0]), 1);
    ck_assert_uint_eq(kirim_dns_forwarder_cache_stats(p->forwarder)->stored, 0); /* no failure */
    ck_assert_ptr_null(kirim_dns_forwarder_surplus(p->forwarder));
    ck_assert_ptr_null(ask(p, "y.b.", 101)); /* two of three are no more than what is even */
    p->asker.peer = kit_addr("192.0.2.1:1000");
    ck_assert_ptr_null(ask(p, "z.b.", 102));
    ck_assert_uint_eq(stats_of(p)->crowded, 1);
    ck_assert_uint_eq(stats_of(p)->refused, 4);
    ck_assert_uint_eq(stats_of(p)->pending_count, PENDING_MAX);
    close_place(p);
}
END_TEST

/* Within a network the oldest makes room, when it is old enough. */
START_TEST(old_question_makes_room)
{
    char name[8] = "0.b.";
    struct place *const p = open_place();
    struct kirim_dns_pending *first[PENDING_MAX];
    for (uint16_t i = 0; i < PENDING_MAX; i++) {
        name[0] = (char)('0' + i);
        first[i] = ask(p, name, i);
        p->now_ns += SECOND / 100;
    }
    p->now_ns = SECOND + SECOND / 5 - 1;
    ck_assert_ptr_null(ask(p, "x.b.", 98));
    p->now_ns++;
    ck_assert_ptr_null(ask(p, "1.b.", 50)); /* who needs no place takes none */
    ck_assert_ptr_null(kirim_dns_forwarder_surplus(p->forwarder));
    ck_assert_ptr_nonnull(ask(p, "x.b.", 99));
    ck_assert_ptr_eq(kirim_dns_forwarder_surplus(p->forwarder), first[0]);
    ck_assert_uint_eq(end(p, first[1], 0, 60), 2); /* another ends: nobody has to any more */
    ck_assert_ptr_null(kirim_dns_forwarder_surplus(p->forwarder));
    ck_assert_uint_eq(end(p, first[0], 0, 60), 1);
    ck_assert_uint_eq(stats_of(p)->crowded, 0);
    close_place(p);
}
END_TEST

/* One who waits for the same in all places there are, and others who ask. */
START_TEST(network_that_waits_everywhere_makes_room)
{
    struct place *const p = open_place();
    struct kirim_dns_pending *const slow = ask(p, "slow.b.", 0);
    for (uint16_t i = 1; i < WAITER_MAX; i++) {
        ck_assert_ptr_null(ask(p, "slow.b.", i));
    }
    ck_assert_ptr_null(ask(p, "slow.b.", 50));
    ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_SERVFAIL);
    p->asker.peer = kit_addr("198.51.100.1:1000");
    struct kirim_dns_pending *const quick = ask(p, "quick.b.", 1);
    ck_assert_ptr_nonnull(quick);
    ck_assert_uint_eq(p->displaced, 1);
    const struct kirim_addr crowd = kit_addr("192.0.2.1:1000");
    ck_assert(kirim_addr_equal(&p->displaced_peer, &crowd));
    ck_assert_ptr_null(ask(p, "slow.b.", 2)); /* joins */
    ck_assert_uint_eq(p->displaced, 1);
    ck_assert_uint_eq(p->reply.bytes, 0);
    ck_assert_uint_eq(stats_of(p)->waiter_count, WAITER_MAX);
    ck_assert_uint_eq(end(p, quick, 0, 60), 1);
    p->now_ns += SECOND / 5;
    p->asker.peer = crowd;
    ck_assert_ptr_null(ask(p, "slow.b.", 60)); /* there is room */
    ck_assert_uint_eq(p->displaced, 0);
    ck_assert_ptr_null(ask(p, "slow.b.", 61)); /* of the same network, since it is old enough */
    ck_assert_uint_eq(p->displaced, 1);
    ck_assert_uint_eq(stats_of(p)->crowded, 2);
    ck_assert_uint_eq(stats_of(p)->displaced, 3);
    ck_assert_uint_eq(end(p, slow, 0, 60), WAITER_MAX);
    ck_assert_uint_eq(stats_of(p)->waiter_count, 0);
    close_place(p);
}
END_TEST

START_TEST(every_failing_allocation_is_survived)
{
    for (size_t fail_at = 1; fail_at < 20; fail_at++) {
        struct place *const p = calloc(1, sizeof *p);
        ck_assert_ptr_nonnull(p);
        p->options = (struct kirim_dns_forwarder_options)KIRIM_DNS_FORWARDER_OPTIONS_INIT;
        p->options.alloc = kit_alloc;
        p->options.alloc_user = &p->memory;
        p->memory.fail_at = fail_at;
        p->asker.peer = kit_addr("192.0.2.1:1000");
        if (kirim_dns_forwarder_open(&p->options, &p->forwarder) == KIRIM_OK) {
            struct kirim_dns_pending *const pending = ask(p, "a.b.", 1);
            (void)ask(p, "a.b.", 2);
            if (pending != NULL) {
                ck_assert_uint_ge(end(p, pending, 0, 60), 1);
            } else {
                ck_assert_uint_eq(kirim_dns_message_rcode(&p->reply.message), KIRIM_DNS_SERVFAIL);
            }
        }
        close_place(p);
    }
}
END_TEST

START_TEST(misuse_is_refused)
{
    struct kirim_dns_forwarder *f = NULL;
    struct kit_memory memory = { 0 };
    struct kirim_dns_forwarder_options good = KIRIM_DNS_FORWARDER_OPTIONS_INIT;
    good.alloc = kit_alloc;
    good.alloc_user = &memory;
    struct kirim_dns_forwarder_options bad[7] = { good, good, good, good, good, good, good };
    bad[0].alloc = NULL;
    bad[1].pending_max = 0;
    bad[2].pending_max = 65537;
    bad[3].waiter_max = 0;
    bad[4].udp_bytes = 511;
    bad[5].udp_bytes = KIRIM_DNS_UDP_BYTES + 1;
    bad[6].cache_bytes = KIRIM_DNS_CACHE_BYTES_MIN - 1;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        ck_assert_int_eq(kirim_dns_forwarder_open(&bad[i], &f), KIRIM_EINVAL);
    }
    ck_assert_int_eq(kirim_dns_forwarder_open(NULL, &f), KIRIM_EINVAL);
    ck_assert_uint_eq(memory.blocks, 0);
    kirim_dns_forwarder_close(NULL);
}
END_TEST

/* Any order of requests and ends: all who wait are answered once, and the counts add up. */
START_TEST(nobody_is_forgotten)
{
    struct place *const p = open_place();
    struct test_random random = test_random_start("forwarder");
    struct kirim_dns_pending *under_way[PENDING_MAX] = { NULL };
    const struct kirim_dns_forwarder_stats *const stats = stats_of(p);
    uint64_t answered = 0;
    for (size_t i = 0; i < STEP_COUNT; i++) {
        char name[8] = "0.b.";
        const size_t index = test_random_below(&random, PENDING_MAX);
        p->now_ns += test_random_below(&random, 8) == 0 ? test_random_below(&random, SECOND) : 0;
        if (test_random_below(&random, 4) == 0 && under_way[index] != NULL) {
            static const uint16_t flags[] = { 0, 0, 0, KIRIM_DNS_REFUSED, KIRIM_DNS_FLAG_TC };
            answered += end(p, under_way[index], flags[test_random_below(&random, 5)],
                            (uint32_t)test_random_below(&random, 10));
            under_way[index] = NULL;
            continue;
        }
        name[0] = (char)('0' + test_random_below(&random, 8));
        p->asker.peer = kit_addr(test_random_below(&random, 4) != 0 ? "192.0.2.1" : "192.0.9.1");
        kirim_addr_set_port(&p->asker.peer, (uint16_t)(1 + test_random_below(&random, 2)));
        struct kirim_dns_pending *const begun =
            ask(p, name, (uint16_t)test_random_below(&random, 3));
        answered += p->displaced + (p->reply.bytes > 0 ? 1 : 0);
        const struct kirim_dns_pending *const surplus = kirim_dns_forwarder_surplus(p->forwarder);
        for (size_t k = 0; surplus != NULL && k < PENDING_MAX; k++) {
            if (under_way[k] == surplus) {
                answered += end_unanswered(p, under_way[k]);
                under_way[k] = NULL;
            }
        }
        for (size_t k = 0; begun != NULL && k < PENDING_MAX; k++) {
            if (under_way[k] == NULL) {
                under_way[k] = begun;
                break;
            }
        }
        ck_assert_uint_le(stats->pending_count, PENDING_MAX);
        ck_assert_uint_le(stats->waiter_count, WAITER_MAX);
        ck_assert_uint_eq(stats->answered, answered);
        ck_assert_uint_eq(stats->received, answered + stats->waiter_count + stats->repeated);
        ck_assert_uint_eq(stats->received, stats->hits + stats->misses + stats->coalesced +
                                               stats->repeated + stats->refused);
    }
    ck_assert_uint_gt(stats->repeated, 100);
    ck_assert_uint_gt(stats->coalesced, 100);
    ck_assert_uint_gt(stats->refused, 10);
    ck_assert_uint_gt(stats->displaced, 10);
    ck_assert_uint_gt(stats->crowded, 10);
    close_place(p);
}
END_TEST

/* Says of a question that there is nothing, for a minute. */
static void end_with_nothing(struct place *p, struct kirim_dns_pending *pending)
{
    static const uint8_t soa[22] = { [21] = 60 };
    const struct kirim_dns_record record = { .type = KIRIM_DNS_SOA,
                                             .dns_class = KIRIM_DNS_CLASS_IN,
                                             .ttl = 60,
                                             .rdata = soa,
                                             .rdata_bytes = sizeof soa };
    struct kirim_dns_builder b;
    kirim_dns_builder_init(&b, p->answer, sizeof p->answer);
    ck_assert_int_eq(kirim_dns_builder_question(&b, &pending->question), KIRIM_OK);
    ck_assert_int_eq(kirim_dns_builder_record(&b, 2, &pending->question.name, &record), KIRIM_OK);
    const struct kirim_dns_span span = { p->answer, kirim_dns_builder_end(&b, 1, 0x8000) };
    ck_assert_int_eq(kirim_dns_message_read(span, &p->message), KIRIM_OK);
    kirim_dns_forwarder_end(p->forwarder, pending, &p->message, p->now_ns);
    ck_assert_ptr_nonnull(next(p));
    ck_assert_ptr_null(kirim_dns_forwarder_next(p->forwarder));
}

/* Each type that a name does not have has the same answer, at first and from the cache. */
START_TEST(other_type_is_no_way_around_the_limit)
{
    enum { TYPE_COUNT = 20, PER_SECOND = 4 };
    struct place *const p = open_place();
    static struct kirim_limiter_slot slots[64];
    struct kirim_limiter_options options = KIRIM_LIMITER_OPTIONS_INIT;
    struct kirim_limiter limiter;
    size_t full = 0;
    options.rate = (struct kirim_rate){ PER_SECOND, PER_SECOND };
    options.slots = slots;
    options.slot_count = COUNT_OF(slots);
    ck_assert_int_eq(kirim_limiter_init(&limiter, &options), KIRIM_OK);
    for (uint16_t i = 0; i < 2 * TYPE_COUNT; i++) {
        const struct kit_question question = { .name = "a.",
                                               .type = (uint16_t)(100 + i % TYPE_COUNT),
                                               .flags = KIRIM_DNS_FLAG_RD };
        p->guard.limiter = _i == 0 || i >= TYPE_COUNT ? &limiter : NULL;
        struct kirim_dns_pending *const pending = ask_question(p, &question);
        ck_assert_int_eq(pending != NULL, i < TYPE_COUNT);
        if (pending != NULL) {
            end_with_nothing(p, pending);
        }
        full += p->reply.bytes > 0 && (p->reply.message.flags & KIRIM_DNS_FLAG_TC) == 0 ? 1 : 0;
    }
    ck_assert_uint_eq(full, _i == 0 ? PER_SECOND : TYPE_COUNT + PER_SECOND);
    close_place(p);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { what_is_not_for_a_forwarder_is_refused_at_once, COUNT_OF(refusals) },
        { noise_is_dropped_or_told, 0 },
        { noise_by_the_thousand_does_no_harm, 0 },
        { cookie_is_demanded_before_anything_is_asked, 0 },
        { answer_is_asked_for_once_and_kept, 0 },
        { equal_questions_wait_together, 0 },
        { who_asks_again_waits_once, 0 },
        { questions_with_other_bits_are_others, 0 },
        { no_answer_is_servfail_for_a_while, 0 },
        { results_of_servers_are_passed_on, 0 },
        { answer_that_cannot_be_used_is_servfail, 0 },
        { too_many_questions_are_servfail, 0 },
        { network_with_all_questions_makes_room, 0 },
        { old_question_makes_room, 0 },
        { network_that_waits_everywhere_makes_room, 0 },
        { every_failing_allocation_is_survived, 0 },
        { misuse_is_refused, 0 },
        { nobody_is_forgotten, 0 },
        { other_type_is_no_way_around_the_limit, 2 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns forwarder", claims);
}
