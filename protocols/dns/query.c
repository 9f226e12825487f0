/* SPDX-License-Identifier: MIT
 *
 * A stub client's question: see query.h.
 */
#include "query.h"

#include <string.h>

#include "wire.h"

enum { CASE_AT = 2, CASE_BYTES = 32, OPTION_HEAD_BYTES = 4 };

#define TIMEOUT_NS_MAX                                                         \
    (UINT64_C(1) << 40) /* some 18 minutes; doubled 15 times it is no overflow \
                         */

/* ---- whom to ask, and until when ------------------------------------------------------------- */

/* Asks the present server; each round waits twice as long as the one before. */
static void ask(struct kirim_dns_query *query, uint64_t now_ns)
{
    const uint64_t round_ns = query->options.timeout_ns << query->round;
    query->deadline_ns = now_ns + round_ns;
    query->has_output = true;
}

/* Asks the present server once more, in another form. With another identifier: an answer to what
 * was asked before, which may come twice, is none to this. */
static void ask_anew(struct kirim_dns_query *query, uint64_t now_ns)
{
    query->id++;
    ask(query, now_ns);
}

static void end_query(struct kirim_dns_query *query, int state, kirim_err err)
{
    query->state = state;
    query->err = err;
    query->deadline_ns = KIRIM_NEVER;
    query->has_output = false;
}

/* How the present server is asked at first. */
static void begin_try(struct kirim_dns_query *query)
{
    query->has_edns = !query->options.is_plain;
    query->has_cookie = query->has_edns && !query->options.is_without_cookies;
    query->is_renewed = false;
    query->is_cookie_missed = false;
}

/* The next server, or the first one again. False: everyone was asked often enough. A server whose
 * answer lacked the cookie that it used to have may have lost them: it is believed the next time.
 */
static bool ask_next(struct kirim_dns_query *query, uint64_t now_ns)
{
    if (query->is_cookie_missed) {
        query->jar[query->server_index].server_bytes = 0;
    }
    if (++query->server_index == query->options.server_count) {
        query->server_index = 0;
        query->round++;
    }
    if (query->round == query->options.try_count) {
        return false;
    }
    begin_try(query);
    ask(query, now_ns);
    return true;
}

/* ---- the question ---------------------------------------------------------------------------- */

/* A letter's case is a random bit. Lengths of labels are no letters. */
static void mix_case(struct kirim_dns_name *name, const uint8_t *bits)
{
    for (size_t i = 0; i < name->bytes; i++) {
        const uint8_t byte = ki_dns_fold(name->wire[i]);
        const bool is_upper = (bits[i / 8] >> (i % 8) & 1) != 0;
        if (byte >= 'a' && byte <= 'z') {
            name->wire[i] = is_upper ? (uint8_t)(byte - ('a' - 'A')) : byte;
        }
    }
}

/* The random bytes are those of the identifier, of the case, and of cookies, in this order. */
static void fill_jars(struct kirim_dns_query *query)
{
    const uint8_t *random = query->options.random + CASE_AT + CASE_BYTES;
    for (size_t i = 0; i < query->options.server_count; i++) {
        query->jar[i] = query->options.jar[i];
        if (!query->jar[i].has_client) {
            query->jar[i].has_client = true;
            query->jar[i].server_bytes = 0;
            memcpy(query->jar[i].client, random, KIRIM_DNS_CLIENT_COOKIE_BYTES);
        }
        random += KIRIM_DNS_CLIENT_COOKIE_BYTES;
    }
}

kirim_err kirim_dns_query_start(struct kirim_dns_query *query,
                                const struct kirim_dns_query_options *options, uint64_t now_ns)
{
    if (query == NULL || options == NULL || options->server_count == 0 ||
        options->server_count > KIRIM_DNS_QUERY_SERVER_COUNT_MAX || options->try_count == 0 ||
        options->try_count > KIRIM_DNS_QUERY_TRY_COUNT_MAX || options->timeout_ns == 0 ||
        options->timeout_ns > TIMEOUT_NS_MAX || options->name.bytes == 0) {
        return KIRIM_EINVAL;
    }
    memset(query, 0, sizeof *query);
    query->options = *options;
    query->id = ki_dns_get16(options->random);
    begin_try(query);
    fill_jars(query);
    query->question = (struct kirim_dns_question){ .name = options->name,
                                                   .type = options->type,
                                                   .dns_class = options->dns_class };
    if (options->is_case_mixed) {
        mix_case(&query->question.name, options->random + CASE_AT);
    }
    ask(query, now_ns);
    return KIRIM_OK;
}

static void put_edns(const struct kirim_dns_query *query, struct kirim_dns_builder *b)
{
    uint8_t option[OPTION_HEAD_BYTES + KIRIM_DNS_COOKIE_BYTES_MAX];
    struct kirim_dns_edns edns = { .udp_bytes = KIRIM_DNS_UDP_BYTES,
                                   .is_dnssec_ok = query->options.is_dnssec_ok,
                                   .options = option };
    if (query->has_cookie) {
        const size_t bytes = kirim_dns_cookie_jar_write(&query->jar[query->server_index],
                                                        option + OPTION_HEAD_BYTES);
        ki_dns_put16(option, KIRIM_DNS_OPTION_COOKIE);
        ki_dns_put16(option + 2, (uint16_t)bytes);
        edns.option_bytes = (uint16_t)(OPTION_HEAD_BYTES + bytes);
    }
    (void)kirim_dns_builder_edns(b, &edns); /* the room is enough for the largest */
}

kirim_err kirim_dns_query_output(struct kirim_dns_query *query, struct kirim_dns_room *out,
                                 struct kirim_addr *peer)
{
    struct kirim_dns_builder b;
    out->bytes = 0;
    if (out->room < KIRIM_DNS_QUERY_BYTES_MAX) {
        return KIRIM_EINVAL;
    }
    if (!query->has_output) {
        return KIRIM_OK;
    }
    kirim_dns_builder_init(&b, out->data, out->room);
    (void)kirim_dns_builder_question(&b, &query->question); /* the room is enough for the largest */
    if (query->has_edns) {
        put_edns(query, &b);
    }
    const unsigned flags = (query->options.is_recursion_desired ? KIRIM_DNS_FLAG_RD : 0U) |
                           (query->options.is_checking_disabled ? KIRIM_DNS_FLAG_CD : 0U);
    out->bytes = kirim_dns_builder_end(&b, query->id, (uint16_t)flags);
    *peer = query->options.server[query->server_index];
    query->has_output = false;
    query->sent_count++;
    return KIRIM_OK;
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool is_same_question(const struct kirim_dns_query *query,
                             const struct kirim_dns_question *found)
{
    const struct kirim_dns_question *const sent = &query->question;
    if (found->type != sent->type || found->dns_class != sent->dns_class ||
        !kirim_dns_name_equal(&found->name, &sent->name)) {
        return false;
    }
    return !query->options.is_case_mixed ||
           memcmp(found->name.wire, sent->name.wire, sent->name.bytes) == 0;
}

/* Whether a server may have meant that it does not know EDNS (RFC 6891 sections 6.2.2 and 7). Such
 * an answer may lack the question. */
static bool is_edns_refusal(const struct kirim_dns_query *query,
                            const struct kirim_dns_message *answer)
{
    const uint16_t rcode = kirim_dns_message_rcode(answer);
    return query->has_edns &&
           (rcode == KIRIM_DNS_BADVERS ||
            (!answer->has_edns && (rcode == KIRIM_DNS_FORMERR || rcode == KIRIM_DNS_NOTIMP)));
}

/* Whether a server that knows EDNS did not like the cookie in it. */
static bool is_cookie_refusal(const struct kirim_dns_query *query)
{
    return query->has_cookie && query->answer.has_edns &&
           kirim_dns_message_rcode(&query->answer) == KIRIM_DNS_FORMERR;
}

/* Looks at the cookie of an answer, and keeps the server's part. False: it is not from the server.
 */
static bool take_cookie(struct kirim_dns_query *query)
{
    struct kirim_dns_cookie_jar *const jar = &query->jar[query->server_index];
    struct kirim_dns_option option;
    if (!query->has_cookie) {
        return true;
    }
    if (query->answer.has_edns &&
        kirim_dns_edns_find(&query->answer.edns, KIRIM_DNS_OPTION_COOKIE, &option)) {
        return kirim_dns_cookie_jar_take(jar, option.data, option.bytes);
    }
    query->is_cookie_missed = query->is_cookie_missed || jar->server_bytes > 0;
    return jar->server_bytes == 0;
}

/* Whether the server wants its question again with the cookie that it has just given. Once is
 * enough. */
static bool is_renewal(struct kirim_dns_query *query)
{
    const bool is_wanted = query->has_cookie && !query->is_renewed &&
                           kirim_dns_message_rcode(&query->answer) == KIRIM_DNS_BADCOOKIE &&
                           query->jar[query->server_index].server_bytes > 0;
    query->is_renewed = query->is_renewed || is_wanted;
    return is_wanted;
}

/* Whether another server may know better. */
static bool is_server_failure(const struct kirim_dns_message *answer)
{
    const uint16_t rcode = kirim_dns_message_rcode(answer);
    return rcode != KIRIM_DNS_NOERROR && rcode != KIRIM_DNS_NXDOMAIN;
}

/* Reads a datagram into `query->answer`. False: it is none of ours, and was counted. */
static bool match_answer(struct kirim_dns_query *query, struct kirim_dns_span wire,
                         const struct kirim_addr *peer)
{
    struct kirim_dns_query_ignored *const ignored = &query->ignored;
    struct kirim_dns_message *const answer = &query->answer;
    if (!kirim_addr_equal(peer, &query->options.server[query->server_index])) {
        ignored->peer++;
        return false;
    }
    if (wire.bytes < KIRIM_DNS_HEADER_BYTES || ki_dns_get16(wire.data) != query->id) {
        ignored->id++;
        return false;
    }
    if (wire.bytes > sizeof query->answer_wire) {
        ignored->malformed++;
        return false;
    }
    memcpy(query->answer_wire, wire.data, wire.bytes);
    const struct kirim_dns_span kept = { query->answer_wire, wire.bytes };
    if (kirim_dns_message_read(kept, answer) < 0 || (answer->flags & KIRIM_DNS_FLAG_QR) == 0 ||
        kirim_dns_message_opcode(answer) != KIRIM_DNS_OPCODE_QUERY || answer->question_count > 1) {
        ignored->malformed++;
        return false;
    }
    if (answer->has_question ? !is_same_question(query, &answer->question)
                             : !is_edns_refusal(query, answer)) {
        ignored->question++;
        return false;
    }
    return true;
}

/* Gives the question of an answer the case that the caller wrote, and with it the owners that point
 * to it. The random case has done its work, and means nothing to people. */
static void restore_case(struct kirim_dns_query *query)
{
    const struct kirim_dns_name *const name = &query->options.name;
    if (query->options.is_case_mixed && query->answer.has_question) {
        memcpy(query->answer_wire + KIRIM_DNS_HEADER_BYTES, name->wire, name->bytes);
        query->answer.question.name = *name;
    }
}

bool kirim_dns_query_input(struct kirim_dns_query *query, struct kirim_dns_span wire,
                           const struct kirim_addr *peer, uint64_t now_ns)
{
    if (query->state != KIRIM_DNS_QUERY_ASKING || !match_answer(query, wire, peer)) {
        return false;
    }
    if (!take_cookie(query)) {
        query->ignored.cookie++;
        return false;
    }
    if (is_edns_refusal(query, &query->answer)) {
        query->has_edns = false;
        query->has_cookie = false;
        ask_anew(query, now_ns);
        return true;
    }
    if (is_cookie_refusal(query)) {
        query->has_cookie = false;
        ask_anew(query, now_ns);
        return true;
    }
    if (is_renewal(query)) {
        ask_anew(query, now_ns);
        return true;
    }
    const bool is_last = query->server_index + 1 == query->options.server_count;
    if (is_server_failure(&query->answer) && !is_last && ask_next(query, now_ns)) {
        return true;
    }
    restore_case(query);
    end_query(query, KIRIM_DNS_QUERY_ANSWERED, KIRIM_OK);
    return true;
}

void kirim_dns_query_expire(struct kirim_dns_query *query, uint64_t now_ns)
{
    if (query->state == KIRIM_DNS_QUERY_ASKING && now_ns >= query->deadline_ns) {
        kirim_dns_query_fail(query, KIRIM_ETIMEDOUT, now_ns);
    }
}

void kirim_dns_query_fail(struct kirim_dns_query *query, kirim_err err, uint64_t now_ns)
{
    if (query->state == KIRIM_DNS_QUERY_ASKING && !ask_next(query, now_ns)) {
        end_query(query, KIRIM_DNS_QUERY_FAILED, err);
    }
}
