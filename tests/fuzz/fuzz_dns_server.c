/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a request to a server with one zone that has something of everything. The answer is
 * well-formed, no longer than asked for, to the same identifier and question, and never to a
 * response. With a guard before it, cookies in answers are good ones, and where they are demanded
 * nobody gets records without one.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/dns/server.h"
#include "protocols/dns/zonefile.h"

static const char zone_text[] =
    "$ORIGIN a.\n$TTL 60\n"
    "@ SOA ns h 1 2 3 4 5\n@ NS ns\n@ MX 1 m\n@ MX 2 m.b.\n@ TXT text \"more text\"\n"
    "ns A 192.0.2.1\nns AAAA 2001:db8::1\nm A 192.0.2.2\n"
    "c CNAME d\nd CNAME e\ne A 192.0.2.3\nl CNAME l\no CNAME o.b.\n"
    "* TXT wild\n*.w CNAME c\nx.y.z A 192.0.2.4\n"
    "s NS ns.s\ns NS ns\ns DS 1 13 2 abcd\nns.s A 192.0.2.5\n"
    "v SRV 1 2 3 m\nt TYPE65280 \\# 3 010203\ni CAA 0 issue \"ca.b\"\n";

static struct kirim_dns_server *open_server(void)
{
    static struct kirim_dns_server server;
    static size_t blocks;
    struct kirim_dns_zonefile_options options = KIRIM_DNS_ZONEFILE_OPTIONS_INIT;
    struct kirim_dns_zonefile_error error;
    struct kirim_dns_zone *zone = NULL;
    if (server.zone_count == 0) {
        const struct kirim_dns_span text = { (const uint8_t *)zone_text, sizeof zone_text - 1 };
        options.zone.alloc = fuzz_alloc;
        options.zone.alloc_user = &blocks;
        FUZZ_CLAIM(kirim_dns_zonefile_read(text, &options, &zone, &error) == KIRIM_OK);
        kirim_dns_server_init(&server);
        server.version = "fuzz";
        FUZZ_CLAIM(kirim_dns_server_add(&server, zone) == KIRIM_OK);
    }
    return &server;
}

/* The sizes that an answer must keep to. */
static size_t limit_of(const struct kirim_dns_message *request)
{
    size_t limit = request->has_edns ? request->edns.udp_bytes : 0;
    limit = limit < KIRIM_DNS_UDP_BYTES ? limit : KIRIM_DNS_UDP_BYTES;
    return limit > KIRIM_DNS_PLAIN_BYTES_MAX ? limit : KIRIM_DNS_PLAIN_BYTES_MAX;
}

static void check_records(const struct kirim_dns_message *reply)
{
    static uint8_t data[KIRIM_DNS_RDATA_BYTES_MAX];
    struct kirim_dns_walk walk = kirim_dns_message_walk(reply);
    struct kirim_dns_name owner;
    struct kirim_dns_record record;
    while (kirim_dns_walk_next(&walk, &owner, &record)) {
        struct kirim_dns_room room = { data, sizeof data, 0 };
        FUZZ_CLAIM(kirim_dns_rdata_read(reply->wire, &record, &room) == KIRIM_OK);
    }
}

/* ---- with a guard ---------------------------------------------------------------------------- */

enum { NOW_S = 1600000000 };

/* Whether there is a good cookie in a message. */
static bool has_good_cookie(const struct kirim_dns_guard *guard, const struct kirim_addr *peer,
                            const struct kirim_dns_message *message, bool *has_cookie)
{
    const struct kirim_dns_cookie_claim claim = { peer, NOW_S };
    struct kirim_dns_option option;
    *has_cookie =
        message->has_edns && kirim_dns_edns_find(&message->edns, KIRIM_DNS_OPTION_COOKIE, &option);
    return *has_cookie && kirim_dns_cookie_judge(&guard->keys, &claim, option.data, option.bytes) >=
                              KIRIM_DNS_COOKIE_GOOD;
}

static void try_guarded(struct kirim_dns_server *server, struct kirim_dns_span query, int cookies)
{
    static const uint8_t addr[4] = { 192, 0, 2, 1 };
    const struct kirim_addr peer = kirim_addr_ipv4(addr, 53);
    struct kirim_dns_guard guard = { .cookies = cookies,
                                     .keys = { .key = { "sixteen byte key" }, .count = 1 } };
    uint8_t wire[2048];
    struct kirim_dns_room room = { wire, sizeof wire, 0 };
    const struct kirim_dns_request request = { query, &peer, NOW_S * UINT64_C(1000000000) };
    struct kirim_dns_message message;
    struct kirim_dns_message reply;
    bool has_cookie;
    bool has_reply_cookie;
    server->guard = &guard;
    FUZZ_CLAIM(kirim_dns_server_serve(server, &request, &room) == KIRIM_OK);
    server->guard = NULL;
    if (room.bytes == 0) {
        return;
    }
    const kirim_err err = kirim_dns_message_read(query, &message);
    const struct kirim_dns_span span = { wire, room.bytes };
    FUZZ_CLAIM(kirim_dns_message_read(span, &reply) == KIRIM_OK);
    FUZZ_CLAIM(room.bytes <= limit_of(&message));
    const bool is_good = has_good_cookie(&guard, &peer, &message, &has_cookie);
    const bool is_given = has_good_cookie(&guard, &peer, &reply, &has_reply_cookie);
    FUZZ_CLAIM(is_given == has_reply_cookie && (!is_given || has_cookie));
    const bool has_records = reply.record_count[1] + reply.record_count[2] > 0;
    FUZZ_CLAIM(!has_records || err == KIRIM_OK);
    FUZZ_CLAIM(!has_records || is_good || cookies != KIRIM_DNS_COOKIES_REQUIRED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct kirim_dns_server *const server = open_server();
    const struct kirim_dns_span query = { data, bytes };
    uint8_t wire[2048];
    struct kirim_dns_room room = { wire, sizeof wire, 0 };
    struct kirim_dns_message request;
    struct kirim_dns_message reply;
    FUZZ_CLAIM(kirim_dns_server_answer(server, query, &room) == KIRIM_OK);
    try_guarded(server, query, KIRIM_DNS_COOKIES_ON);
    try_guarded(server, query, KIRIM_DNS_COOKIES_REQUIRED);
    const bool is_dropped = bytes < KIRIM_DNS_HEADER_BYTES || (data[2] & 0x80) != 0;
    FUZZ_CLAIM((room.bytes == 0) == is_dropped);
    if (is_dropped) {
        return 0;
    }
    const kirim_err err = kirim_dns_message_read(query, &request);
    const struct kirim_dns_span span = { wire, room.bytes };
    FUZZ_CLAIM(kirim_dns_message_read(span, &reply) == KIRIM_OK);
    FUZZ_CLAIM(room.bytes <= limit_of(&request));
    FUZZ_CLAIM(reply.id == request.id);
    FUZZ_CLAIM((reply.flags & KIRIM_DNS_FLAG_QR) != 0 && (reply.flags & 0x00f0) == 0);
    FUZZ_CLAIM(((reply.flags ^ request.flags) & (KIRIM_DNS_FLAGS_OPCODE | KIRIM_DNS_FLAG_RD)) == 0);
    FUZZ_CLAIM(err == KIRIM_OK || kirim_dns_message_rcode(&reply) != KIRIM_DNS_NOERROR);
    FUZZ_CLAIM(reply.has_edns == request.has_edns);
    if (reply.has_question) {
        FUZZ_CLAIM(reply.question_bytes == request.question_bytes);
        FUZZ_CLAIM(memcmp(wire + 12, data + 12, reply.question_bytes) == 0);
    }
    check_records(&reply);
    return 0;
}
