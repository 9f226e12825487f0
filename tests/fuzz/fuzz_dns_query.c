/* SPDX-License-Identifier: MIT
 *
 * A question, and whatever comes in its place: bytes from the server that is asked, as they are or
 * made to look like an answer, errors of the network, and time. What is sent is well-formed, the
 * question ends after a bounded number of tries, and what counts as the answer is one.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/dns/query.h"

enum { SERVER_COUNT = 2, TRY_COUNT = 2, SENT_MAX = 5 * SERVER_COUNT * TRY_COUNT };

/* What is done next, by the lower bits of a byte. */
enum { GIVE_RAW, GIVE_NUMBERED, GIVE_ANSWER, GIVE_COOKIE, GIVE_TIME, GIVE_ERROR, STEP_COUNT };

struct run {
    struct kirim_dns_query query;
    struct kirim_addr server[SERVER_COUNT];
    uint64_t now_ns;
    uint8_t sent[KIRIM_DNS_QUERY_BYTES_MAX];
    size_t sent_bytes;
};

static void take_sent(struct run *r)
{
    struct kirim_dns_room room = { r->sent, sizeof r->sent, 0 };
    struct kirim_addr peer = { { 0, 0, 0 } };
    struct kirim_dns_message message;
    FUZZ_CLAIM(kirim_dns_query_output(&r->query, &room, &peer) == KIRIM_OK);
    if (room.bytes > 0) {
        const struct kirim_dns_span span = { r->sent, room.bytes };
        FUZZ_CLAIM(kirim_dns_message_read(span, &message) == KIRIM_OK);
        FUZZ_CLAIM(message.has_edns == r->query.has_edns && message.id == r->query.id);
        r->sent_bytes = room.bytes;
    }
    FUZZ_CLAIM(r->query.sent_count <= SENT_MAX);
}

/* Bytes as they are, or behind what makes an answer of them. */
static void give(struct run *r, int kind, struct kirim_dns_span bytes)
{
    uint8_t wire[2048];
    size_t used = 0;
    const size_t tail_at = KIRIM_DNS_HEADER_BYTES + (size_t)r->query.question.name.bytes + 4;
    if (kind == GIVE_ANSWER || kind == GIVE_COOKIE) { /* the header and the question */
        memcpy(wire, r->sent, tail_at);
        used = tail_at;
        wire[2] |= 0x80;
        wire[11] = bytes.bytes > 0 ? bytes.data[0] & 3 : 0;
    }
    if (kind == GIVE_COOKIE) { /* and what was sent behind them */
        memcpy(wire + used, r->sent + tail_at, r->sent_bytes - tail_at);
        used += r->sent_bytes - tail_at;
        wire[11] = r->sent[11];
    }
    const size_t kept = bytes.bytes < sizeof wire - used ? bytes.bytes : sizeof wire - used;
    if (kind != GIVE_COOKIE && kept > 0) {
        memcpy(wire + used, bytes.data, kept);
        used += kept;
    }
    for (size_t i = 0; kind == GIVE_COOKIE && i + 1 < kept; i += 2) { /* changed here and there */
        wire[bytes.data[i] % used] ^= bytes.data[i + 1];
    }
    if (kind == GIVE_NUMBERED && used >= 3) {
        memcpy(wire, r->sent, 2);
        wire[2] |= 0x80;
    }
    const struct kirim_dns_span span = { wire, used };
    (void)kirim_dns_query_input(&r->query, span, &r->server[r->query.server_index], r->now_ns);
}

static void check_end(const struct run *r)
{
    const struct kirim_dns_query *const query = &r->query;
    FUZZ_CLAIM(query->deadline_ns == KIRIM_NEVER && !query->has_output);
    if (query->state == KIRIM_DNS_QUERY_ANSWERED) {
        FUZZ_CLAIM((query->answer.flags & KIRIM_DNS_FLAG_QR) != 0);
        FUZZ_CLAIM(query->answer.id == query->id);
        FUZZ_CLAIM(query->answer.has_question);
        FUZZ_CLAIM(kirim_dns_name_equal(&query->answer.question.name, &query->options.name));
    }
    for (size_t i = 0; i < SERVER_COUNT; i++) {
        FUZZ_CLAIM(query->jar[i].server_bytes <= KIRIM_DNS_SERVER_COOKIE_MAX);
    }
}

static void start(struct run *r, uint8_t bits)
{
    static const uint8_t addr[4] = { 192, 0, 2, 1 };
    struct kirim_dns_query_options options = KIRIM_DNS_QUERY_OPTIONS_INIT;
    struct kirim_dns_name root;
    kirim_dns_name_root(&root);
    FUZZ_CLAIM(kirim_dns_name_parse("ab.c.", 5, &root, &options.name) == KIRIM_OK);
    options.type = KIRIM_DNS_A;
    for (size_t i = 0; i < SERVER_COUNT; i++) {
        r->server[i] = kirim_addr_ipv4(addr, (uint16_t)(53 + i));
        options.server[i] = r->server[i];
    }
    options.server_count = SERVER_COUNT;
    options.try_count = TRY_COUNT;
    options.is_plain = (bits & 1) != 0;
    options.is_without_cookies = (bits & 2) != 0;
    options.is_case_mixed = (bits & 4) != 0;
    options.jar[0].has_client = (bits & 8) != 0;
    options.jar[0].server_bytes = (bits & 16) != 0 ? 16 : 0;
    r->now_ns = 1;
    FUZZ_CLAIM(kirim_dns_query_start(&r->query, &options, r->now_ns) == KIRIM_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct run run;
    size_t at = 1;
    if (bytes == 0) {
        return 0;
    }
    start(&run, data[0]);
    take_sent(&run);
    while (at + 1 < bytes && run.query.state == KIRIM_DNS_QUERY_ASKING) {
        const int kind = data[at] % STEP_COUNT;
        const size_t wanted = data[at + 1];
        at += 2;
        const size_t kept = wanted < bytes - at ? wanted : bytes - at;
        if (kind == GIVE_TIME) {
            run.now_ns = run.query.deadline_ns - (wanted & 1);
            kirim_dns_query_expire(&run.query, run.now_ns);
        } else if (kind == GIVE_ERROR) {
            kirim_dns_query_fail(&run.query, KIRIM_ECONNRESET, run.now_ns);
        } else {
            give(&run, kind, (struct kirim_dns_span){ data + at, kept });
            at += kept;
        }
        take_sent(&run);
    }
    for (size_t i = 0; i < SERVER_COUNT * TRY_COUNT; i++) {
        kirim_dns_query_expire(&run.query, run.query.deadline_ns);
        take_sent(&run);
    }
    FUZZ_CLAIM(run.query.state != KIRIM_DNS_QUERY_ASKING);
    check_end(&run);
    return 0;
}
