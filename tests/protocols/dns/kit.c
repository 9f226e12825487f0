/* SPDX-License-Identifier: MIT
 *
 * What the suites of the DNS protocol share: see kit.h.
 */
#include "kit.h"

#include <stdio.h>

struct kirim_dns_name kit_name(const char *text)
{
    struct kirim_dns_name root;
    struct kirim_dns_name name;
    kirim_dns_name_root(&root);
    ck_assert_int_eq(kirim_dns_name_parse(text, strlen(text), &root, &name), KIRIM_OK);
    return name;
}

const char *kit_name_text(const struct kirim_dns_name *name)
{
    static char text[KIRIM_DNS_NAME_TEXT_BYTES];
    ck_assert_int_eq(kirim_dns_name_format(name, text, sizeof text), KIRIM_OK);
    return text;
}

struct kirim_dns_span kit_span(const char *text)
{
    return (struct kirim_dns_span){ (const uint8_t *)text, strlen(text) };
}

kirim_err kit_read_zone(struct kit_memory *memory, const char *text, struct kirim_dns_zone **out,
                        struct kirim_dns_zonefile_error *error)
{
    struct kirim_dns_zonefile_options options = KIRIM_DNS_ZONEFILE_OPTIONS_INIT;
    options.file = "test.zone";
    options.zone.alloc = kit_alloc;
    options.zone.alloc_user = memory;
    return kirim_dns_zonefile_read(kit_span(text), &options, out, error);
}

struct kirim_dns_zone *kit_zone(struct kit_memory *memory, const char *text)
{
    struct kirim_dns_zonefile_error error;
    struct kirim_dns_zone *zone = NULL;
    const kirim_err err = kit_read_zone(memory, text, &zone, &error);
    ck_assert_msg(err == KIRIM_OK, "%u:%u: %s", error.line, error.column, error.text);
    return zone;
}

size_t kit_build(const struct kit_question *question, uint8_t *out, size_t room)
{
    const struct kirim_dns_question asked = {
        .name = kit_name(question->name),
        .type = question->type,
        .dns_class = question->dns_class != 0 ? question->dns_class : KIRIM_DNS_CLASS_IN,
    };
    const struct kirim_dns_edns edns = {
        .udp_bytes = question->udp_bytes,
        .version = question->version,
        .is_dnssec_ok = question->is_dnssec_ok,
        .options = question->options,
        .option_bytes = question->option_bytes,
    };
    struct kirim_dns_builder b;
    kirim_dns_builder_init(&b, out, room);
    ck_assert_int_eq(kirim_dns_builder_question(&b, &asked), KIRIM_OK);
    if (question->has_edns) {
        ck_assert_int_eq(kirim_dns_builder_edns(&b, &edns), KIRIM_OK);
    }
    return kirim_dns_builder_end(&b, question->id, question->flags);
}

struct kirim_addr kit_addr(const char *text)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(text, &addr), KIRIM_OK);
    return addr;
}

uint16_t kit_cookie_option(const void *cookie, size_t bytes, uint8_t *out)
{
    out[0] = 0;
    out[1] = KIRIM_DNS_OPTION_COOKIE;
    out[2] = (uint8_t)(bytes >> 8);
    out[3] = (uint8_t)bytes;
    memcpy(out + 4, cookie, bytes);
    return (uint16_t)(4 + bytes);
}

void kit_serve(struct kirim_dns_server *server, const struct kirim_dns_request *request,
               struct kit_reply *reply)
{
    struct kirim_dns_room room = { reply->wire, sizeof reply->wire, 0 };
    ck_assert_int_eq(kirim_dns_server_serve(server, request, &room), KIRIM_OK);
    reply->bytes = room.bytes;
    if (room.bytes > 0) {
        const struct kirim_dns_span wire = { reply->wire, room.bytes };
        ck_assert_int_eq(kirim_dns_message_read(wire, &reply->message), KIRIM_OK);
    }
}

void kit_answer(struct kirim_dns_server *server, const uint8_t *query, size_t bytes,
                struct kit_reply *reply)
{
    const struct kirim_dns_request request = { .wire = { query, bytes } };
    kit_serve(server, &request, reply);
}

void kit_ask(struct kirim_dns_server *server, const struct kit_question *question,
             struct kit_reply *reply)
{
    uint8_t query[KIRIM_DNS_PLAIN_BYTES_MAX];
    const size_t bytes = kit_build(question, query, sizeof query);
    kit_answer(server, query, bytes, reply);
}

static void add_line(char *text, size_t room, const struct kirim_dns_name *owner,
                     const struct kirim_dns_record *record)
{
    char type[KIRIM_DNS_TYPE_TEXT_BYTES];
    char data[4096];
    const size_t used = strlen(text);
    kirim_dns_type_format(record->type, type);
    ck_assert_int_eq(kirim_dns_rdata_format(record, data, sizeof data), KIRIM_OK);
    (void)snprintf(text + used, room - used, "%s %u %s %s\n", kit_name_text(owner), record->ttl,
                   type, data);
}

const char *kit_section(const struct kirim_dns_message *message, int section)
{
    static char text[65536];
    struct kirim_dns_walk walk = kirim_dns_message_walk(message);
    struct kirim_dns_name owner;
    struct kirim_dns_record record;
    text[0] = '\0';
    while (kirim_dns_walk_next(&walk, &owner, &record)) {
        static uint8_t data[KIRIM_DNS_RDATA_BYTES_MAX];
        struct kirim_dns_room room = { data, sizeof data, 0 };
        if (walk.section != section || record.type == KIRIM_DNS_OPT) {
            continue;
        }
        ck_assert_int_eq(kirim_dns_rdata_read(message->wire, &record, &room), KIRIM_OK);
        record.rdata = data;
        record.rdata_bytes = (uint16_t)room.bytes;
        add_line(text, sizeof text, &owner, &record);
    }
    return text;
}
