/* SPDX-License-Identifier: MIT
 *
 * What stands before a server: see guard.h.
 */
#include "guard.h"

#include <string.h>

#include "wire.h"

enum {
    OPTION_HEAD_BYTES = 4,
    OPTION_BYTES = OPTION_HEAD_BYTES + KIRIM_DNS_COOKIE_BYTES,
    FLAGS_COPIED = KIRIM_DNS_FLAGS_OPCODE | KIRIM_DNS_FLAG_RD
};

#define NS_PER_S UINT64_C(1000000000)

/* ---- requests -------------------------------------------------------------------------------- */

/* Takes a cookie that can be one; the answer has a good one then. */
static void take_cookie(struct kirim_dns_guard *guard, const struct kirim_dns_request *request,
                        const struct kirim_dns_option *option, struct kirim_dns_caller *caller)
{
    const uint64_t unix_s = (request->now_ns + guard->unix_offset_ns) / NS_PER_S;
    const struct kirim_dns_cookie_claim claim = { request->peer, (uint32_t)unix_s };
    struct kirim_dns_guard_stats *const stats = &guard->stats;
    const int verdict = kirim_dns_cookie_judge(&guard->keys, &claim, option->data, option->bytes);
    if (verdict == KIRIM_DNS_COOKIE_MALFORMED) {
        stats->cookie_malformed++;
        caller->rcode = KIRIM_DNS_FORMERR;
        return;
    }
    caller->is_aware = true;
    caller->is_validated = verdict == KIRIM_DNS_COOKIE_GOOD || verdict == KIRIM_DNS_COOKIE_OLD;
    caller->is_bad = verdict == KIRIM_DNS_COOKIE_BAD;
    stats->cookie_client += verdict == KIRIM_DNS_COOKIE_CLIENT ? 1 : 0;
    stats->cookie_bad += verdict == KIRIM_DNS_COOKIE_BAD ? 1 : 0;
    stats->cookie_good += caller->is_validated ? 1 : 0;
    stats->cookie_old += verdict == KIRIM_DNS_COOKIE_OLD ? 1 : 0;
    if (verdict == KIRIM_DNS_COOKIE_GOOD) {
        memcpy(caller->cookie, option->data, KIRIM_DNS_COOKIE_BYTES);
    } else {
        kirim_dns_cookie_make(&guard->keys, &claim, option->data, caller->cookie);
    }
}

static void meet_caller(struct kirim_dns_guard *guard, const struct kirim_dns_request *request,
                        const struct kirim_dns_message *message, struct kirim_dns_caller *caller)
{
    struct kirim_dns_option option;
    if (guard == NULL || guard->cookies == KIRIM_DNS_COOKIES_OFF || request->peer == NULL) {
        return;
    }
    /* Of another version than 0 nothing is known, of a malformed record nothing is sure. */
    if (caller->rcode != KIRIM_DNS_BADVERS && message->has_edns &&
        kirim_dns_edns_find(&message->edns, KIRIM_DNS_OPTION_COOKIE, &option)) {
        take_cookie(guard, request, &option, caller);
    } else {
        guard->stats.cookie_none++;
    }
    if (caller->rcode == KIRIM_DNS_NOERROR && message->question_count == 1 &&
        guard->cookies == KIRIM_DNS_COOKIES_REQUIRED && !caller->is_validated) {
        caller->is_turned_away = true;
        guard->stats.turned_away++;
    }
}

/* The result of a request by its form alone. */
static uint16_t judge_form(const struct kirim_dns_message *message, kirim_err read_err)
{
    if (kirim_dns_message_opcode(message) != KIRIM_DNS_OPCODE_QUERY) {
        return KIRIM_DNS_NOTIMP;
    }
    if (read_err < 0 || message->question_count > 1) {
        return KIRIM_DNS_FORMERR;
    }
    return message->has_edns && message->edns.version > 0 ? KIRIM_DNS_BADVERS : KIRIM_DNS_NOERROR;
}

/* Without a question, the only thing that can be asked for is a cookie. A wrong one is told. */
static void judge_no_question(const struct kirim_dns_message *message,
                              struct kirim_dns_caller *caller)
{
    const bool is_bare = message->record_count[KIRIM_DNS_SECTION_ANSWER] == 0 &&
                         message->record_count[KIRIM_DNS_SECTION_AUTHORITY] == 0 &&
                         message->record_count[KIRIM_DNS_SECTION_ADDITIONAL] == 1;
    if (!caller->is_aware || !is_bare) {
        caller->rcode = KIRIM_DNS_FORMERR;
    } else if (caller->is_bad) {
        caller->rcode = KIRIM_DNS_BADCOOKIE;
    }
}

bool kirim_dns_guard_read(struct kirim_dns_guard *guard, const struct kirim_dns_request *request,
                          struct kirim_dns_message *message, struct kirim_dns_caller *caller)
{
    const kirim_err err = kirim_dns_message_read(request->wire, message);
    if (request->wire.bytes < KIRIM_DNS_HEADER_BYTES || (message->flags & KIRIM_DNS_FLAG_QR) != 0) {
        return false;
    }
    caller->id = message->id;
    caller->flags = message->flags;
    caller->has_edns = message->has_edns;
    caller->udp_bytes = message->has_edns ? message->edns.udp_bytes : 0;
    caller->is_dnssec_ok = message->has_edns && message->edns.is_dnssec_ok;
    caller->has_question = message->question_count == 1 && message->has_question;
    caller->is_aware = false;
    caller->is_validated = false;
    caller->is_bad = false;
    caller->is_turned_away = false;
    caller->rcode = judge_form(message, err);
    meet_caller(guard, request, message, caller);
    if (caller->rcode == KIRIM_DNS_NOERROR && message->question_count == 0) {
        judge_no_question(message, caller);
    }
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

int kirim_dns_guard_limit(struct kirim_dns_guard *guard, const struct kirim_dns_request *request,
                          const struct kirim_dns_caller *caller,
                          const struct kirim_dns_topic *topic)
{
    uint8_t input[4 + KIRIM_DNS_NAME_BYTES_MAX];
    size_t bytes = 4;
    if (guard == NULL || guard->limiter == NULL || request->peer == NULL || caller->is_validated) {
        return KIRIM_LIMITER_PASS;
    }
    ki_dns_put16(input, topic->kind);
    ki_dns_put16(input + 2, topic->type);
    for (size_t i = 0; topic->name != NULL && i < topic->name->bytes; i++) {
        input[bytes++] = ki_dns_fold(topic->name->wire[i]);
    }
    const uint64_t hash = kirim_siphash_number(guard->limiter->options.key, input, bytes);
    const int verdict =
        kirim_limiter_judge_topic(guard->limiter, request->peer, hash, request->now_ns);
    guard->stats.slipped += verdict == KIRIM_LIMITER_SLIP ? 1 : 0;
    guard->stats.dropped += verdict == KIRIM_LIMITER_DROP ? 1 : 0;
    return verdict;
}

static size_t edns_bytes(const struct kirim_dns_caller *caller)
{
    return (caller->has_edns ? (size_t)KIRIM_DNS_OPT_BYTES : 0) +
           (caller->is_aware ? (size_t)OPTION_BYTES : 0);
}

void kirim_dns_caller_begin(const struct kirim_dns_caller *caller, uint16_t udp_bytes,
                            const struct kirim_dns_room *reply, struct kirim_dns_builder *b)
{
    size_t limit = caller->udp_bytes < udp_bytes ? caller->udp_bytes : udp_bytes;
    limit = limit > KIRIM_DNS_PLAIN_BYTES_MAX ? limit : KIRIM_DNS_PLAIN_BYTES_MAX;
    limit = limit < reply->room ? limit : reply->room;
    kirim_dns_builder_init(b, reply->data, limit - edns_bytes(caller));
}

size_t kirim_dns_caller_end(const struct kirim_dns_caller *caller, uint16_t udp_bytes,
                            uint32_t flags, struct kirim_dns_builder *b)
{
    uint8_t option[OPTION_BYTES];
    const uint16_t rcode = flags & 0xfffU;
    const unsigned copied = (unsigned)caller->flags & (unsigned)FLAGS_COPIED;
    if (caller->has_edns) {
        const struct kirim_dns_edns edns = {
            .udp_bytes = udp_bytes,
            .rcode_high = (uint8_t)(rcode >> 4),
            .is_dnssec_ok = caller->is_dnssec_ok,
            .options = option,
            .option_bytes = caller->is_aware ? OPTION_BYTES : 0,
        };
        ki_dns_put16(option, KIRIM_DNS_OPTION_COOKIE);
        ki_dns_put16(option + 2, KIRIM_DNS_COOKIE_BYTES);
        memcpy(option + OPTION_HEAD_BYTES, caller->cookie, KIRIM_DNS_COOKIE_BYTES);
        b->limit += edns_bytes(caller);
        (void)kirim_dns_builder_edns(b, &edns);
    }
    return kirim_dns_builder_end(
        b, caller->id,
        (uint16_t)(KIRIM_DNS_FLAG_QR | copied | flags >> 16 | (rcode & KIRIM_DNS_FLAGS_RCODE)));
}

uint16_t kirim_dns_caller_turn_away(const struct kirim_dns_caller *caller, uint16_t udp_bytes,
                                    const struct kirim_dns_question *question,
                                    struct kirim_dns_room *reply)
{
    struct kirim_dns_builder b;
    const uint16_t rcode = caller->is_aware ? KIRIM_DNS_BADCOOKIE : KIRIM_DNS_NOERROR;
    const unsigned flags = caller->is_aware ? 0 : KIRIM_DNS_FLAG_TC;
    kirim_dns_caller_begin(caller, udp_bytes, reply, &b);
    if (question != NULL) {
        (void)kirim_dns_builder_question(&b, question); /* 512 bytes hold it */
    }
    reply->bytes =
        kirim_dns_caller_end(caller, udp_bytes, KIRIM_DNS_ANSWER_FLAGS(flags, rcode), &b);
    return rcode;
}
