/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a message: read, walked, written as text and read from text, built anew and read
 * again. And as the answer to a question that is under way.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/dns/query.h"

enum { WORD_COUNT_MAX = 1024, TEXT_BYTES = 300000 };

/* Data as text are the same data when they are read again. */
static void check_text(const struct kirim_dns_record *record)
{
    static char text[TEXT_BYTES];
    static struct kirim_dns_word words[WORD_COUNT_MAX];
    static uint8_t again[KIRIM_DNS_RDATA_BYTES_MAX];
    struct kirim_dns_rdata_parse parse = KIRIM_DNS_RDATA_PARSE_INIT;
    FUZZ_CLAIM(kirim_dns_rdata_format(record, text, sizeof text) == KIRIM_OK);
    size_t count = 0;
    const char *at = text;
    while (*at != '\0' && count < WORD_COUNT_MAX) {
        const char quote = *at == '"' ? '"' : ' ';
        const char *const begin = quote == '"' ? at + 1 : at;
        const char *end = begin;
        while (*end != '\0' && *end != quote) {
            end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
        }
        words[count++] = (struct kirim_dns_word){ .text = begin,
                                                  .bytes = (size_t)(end - begin),
                                                  .is_quoted = quote == '"' };
        at = end + (*end == quote && quote == '"' ? 1 : 0);
        at += *at == ' ' ? 1 : 0;
    }
    if (count == WORD_COUNT_MAX) {
        return;
    }
    parse.words = words;
    parse.word_count = count;
    parse.out = (struct kirim_dns_room){ again, sizeof again, 0 };
    FUZZ_CLAIM(kirim_dns_rdata_parse(record->type, &parse) == KIRIM_OK);
    FUZZ_CLAIM(parse.out.bytes == record->rdata_bytes);
    FUZZ_CLAIM(memcmp(again, record->rdata, record->rdata_bytes) == 0);
}

static void check_name(const struct kirim_dns_name *name)
{
    char text[KIRIM_DNS_NAME_TEXT_BYTES];
    struct kirim_dns_name again;
    FUZZ_CLAIM(kirim_dns_name_format(name, text, sizeof text) == KIRIM_OK);
    FUZZ_CLAIM(kirim_dns_name_parse(text, strlen(text), NULL, &again) == KIRIM_OK);
    FUZZ_CLAIM(again.bytes == name->bytes && again.label_count == name->label_count);
    FUZZ_CLAIM(memcmp(again.wire, name->wire, name->bytes) == 0);
    FUZZ_CLAIM(kirim_dns_name_compare(&again, name) == 0);
    FUZZ_CLAIM(kirim_dns_name_is_within(&again, name));
}

/* The same records, one after the other, in two messages. */
static void check_same(const struct kirim_dns_message *a, const struct kirim_dns_message *b)
{
    static uint8_t data[2][KIRIM_DNS_RDATA_BYTES_MAX];
    struct kirim_dns_walk walk[2] = { kirim_dns_message_walk(a), kirim_dns_message_walk(b) };
    struct kirim_dns_name owner[2];
    struct kirim_dns_record record[2];
    while (kirim_dns_walk_next(&walk[0], &owner[0], &record[0])) {
        struct kirim_dns_room room[2] = { { data[0], sizeof data[0], 0 },
                                          { data[1], sizeof data[1], 0 } };
        if (kirim_dns_rdata_read(a->wire, &record[0], &room[0]) < 0) {
            continue;
        }
        FUZZ_CLAIM(kirim_dns_walk_next(&walk[1], &owner[1], &record[1]));
        FUZZ_CLAIM(kirim_dns_name_equal(&owner[0], &owner[1]));
        FUZZ_CLAIM(record[0].type == record[1].type && record[0].ttl == record[1].ttl);
        FUZZ_CLAIM(kirim_dns_rdata_read(b->wire, &record[1], &room[1]) == KIRIM_OK);
        FUZZ_CLAIM(room[0].bytes == room[1].bytes);
    }
    FUZZ_CLAIM(!kirim_dns_walk_next(&walk[1], &owner[1], &record[1]));
}

static void check_message(const struct kirim_dns_message *message)
{
    static uint8_t wire[KIRIM_DNS_MESSAGE_BYTES_MAX];
    static uint8_t data[KIRIM_DNS_RDATA_BYTES_MAX];
    struct kirim_dns_walk walk = kirim_dns_message_walk(message);
    struct kirim_dns_name owner;
    struct kirim_dns_record record;
    struct kirim_dns_builder b;
    struct kirim_dns_message again;
    bool is_whole = true;
    kirim_dns_builder_init(&b, wire, sizeof wire);
    if (message->has_question) {
        check_name(&message->question.name);
        is_whole = kirim_dns_builder_question(&b, &message->question) == KIRIM_OK;
    }
    while (kirim_dns_walk_next(&walk, &owner, &record)) {
        struct kirim_dns_room room = { data, sizeof data, 0 };
        check_name(&owner);
        if (kirim_dns_rdata_read(message->wire, &record, &room) < 0) {
            continue;
        }
        record.rdata = data;
        record.rdata_bytes = (uint16_t)room.bytes;
        FUZZ_CLAIM(kirim_dns_rdata_check(record.type, data, room.bytes) == KIRIM_OK);
        check_text(&record);
        is_whole =
            kirim_dns_builder_record(&b, walk.section, &owner, &record) == KIRIM_OK && is_whole;
    }
    const size_t bytes = kirim_dns_builder_end(&b, message->id, message->flags);
    const struct kirim_dns_span span = { wire, bytes };
    FUZZ_CLAIM(kirim_dns_message_read(span, &again) == KIRIM_OK);
    if (is_whole) {
        check_same(message, &again);
    }
}

/* The bytes with the right identifier, from the right server, to a question for "a.". */
static void check_answer(const uint8_t *data, size_t bytes)
{
    static const uint8_t server[4] = { 127, 0, 0, 1 };
    struct kirim_dns_query_options options = KIRIM_DNS_QUERY_OPTIONS_INIT;
    struct kirim_dns_query query;
    uint8_t sent[KIRIM_DNS_QUERY_BYTES_MAX];
    struct kirim_dns_room room = { sent, sizeof sent, 0 };
    struct kirim_addr peer;
    FUZZ_CLAIM(kirim_dns_name_parse("a.", 2, NULL, &options.name) == KIRIM_OK);
    options.type = KIRIM_DNS_A;
    options.server[0] = kirim_addr_ipv4(server, 53);
    options.server_count = 1;
    options.random[0] = bytes > 0 ? data[0] : 0;
    options.random[1] = bytes > 1 ? data[1] : 0;
    FUZZ_CLAIM(kirim_dns_query_start(&query, &options, 0) == KIRIM_OK);
    FUZZ_CLAIM(kirim_dns_query_output(&query, &room, &peer) == KIRIM_OK);
    const struct kirim_dns_span span = { data, bytes };
    const bool is_taken = kirim_dns_query_input(&query, span, &peer, 1);
    FUZZ_CLAIM(is_taken || query.state == KIRIM_DNS_QUERY_ASKING);
    FUZZ_CLAIM(!is_taken || query.has_output || query.state == KIRIM_DNS_QUERY_ANSWERED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct kirim_dns_span span = { data, bytes };
    struct kirim_dns_message message;
    if (bytes > KIRIM_DNS_MESSAGE_BYTES_MAX) {
        return 0;
    }
    if (kirim_dns_message_read(span, &message) == KIRIM_OK) {
        check_message(&message);
    }
    check_answer(data, bytes);
    return 0;
}
