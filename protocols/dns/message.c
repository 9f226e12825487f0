/* SPDX-License-Identifier: MIT
 *
 * Reading messages: see message.h. Building them is in builder.c.
 */
#include "message.h"

#include "wire.h"

enum {
    QUESTION_TAIL_BYTES = 4, /* type and class */
    RECORD_TAIL_BYTES = 10,  /* type, class, TTL and the length of the data */
    OPTION_HEAD_BYTES = 4,   /* code and length */
    FLAG_DNSSEC_OK = 0x8000  /* in the TTL's lower half of an OPT record */
};

/* ---- pieces ---------------------------------------------------------------------------------- */

static kirim_err read_question(struct ki_dns_cursor *cursor, struct kirim_dns_question *out)
{
    const kirim_err err = kirim_dns_name_read(cursor->data, cursor->bytes, &cursor->at, &out->name);
    if (err < 0) {
        return err;
    }
    const uint8_t *const tail = ki_dns_take(cursor, QUESTION_TAIL_BYTES);
    if (tail == NULL) {
        return KIRIM_DNS_ESHORT;
    }
    out->type = ki_dns_get16(tail);
    out->dns_class = ki_dns_get16(tail + 2);
    return KIRIM_OK;
}

static kirim_err read_record(struct ki_dns_cursor *cursor, struct kirim_dns_name *owner,
                             struct kirim_dns_record *out)
{
    const kirim_err err = kirim_dns_name_read(cursor->data, cursor->bytes, &cursor->at, owner);
    if (err < 0) {
        return err;
    }
    const uint8_t *const tail = ki_dns_take(cursor, RECORD_TAIL_BYTES);
    if (tail == NULL) {
        return KIRIM_DNS_ESHORT;
    }
    out->type = ki_dns_get16(tail);
    out->dns_class = ki_dns_get16(tail + 2);
    out->ttl = ki_dns_get32(tail + 4);
    out->rdata_bytes = ki_dns_get16(tail + 8);
    out->rdata = ki_dns_take(cursor, out->rdata_bytes);
    return out->rdata == NULL ? KIRIM_DNS_ESHORT : KIRIM_OK;
}

/* ---- EDNS ------------------------------------------------------------------------------------ */

bool kirim_dns_edns_next(const struct kirim_dns_edns *edns, size_t *at,
                         struct kirim_dns_option *out)
{
    struct ki_dns_cursor cursor = { edns->options, edns->option_bytes, *at };
    const uint8_t *const head = ki_dns_take(&cursor, OPTION_HEAD_BYTES);
    if (head == NULL) {
        return false;
    }
    out->code = ki_dns_get16(head);
    out->bytes = ki_dns_get16(head + 2);
    out->data = ki_dns_take(&cursor, out->bytes);
    if (out->data == NULL) {
        return false;
    }
    *at = cursor.at;
    return true;
}

bool kirim_dns_edns_find(const struct kirim_dns_edns *edns, uint16_t code,
                         struct kirim_dns_option *out)
{
    size_t at = 0;
    while (kirim_dns_edns_next(edns, &at, out)) {
        if (out->code == code) {
            return true;
        }
    }
    return false;
}

static bool are_options_whole(const struct kirim_dns_edns *edns)
{
    struct kirim_dns_option option;
    size_t at = 0;
    while (kirim_dns_edns_next(edns, &at, &option)) {}
    return at == edns->option_bytes;
}

static kirim_err take_edns(struct kirim_dns_message *out, int section,
                           const struct kirim_dns_name *owner,
                           const struct kirim_dns_record *record)
{
    if (section != KIRIM_DNS_SECTION_ADDITIONAL || owner->label_count > 0 || out->has_edns) {
        return KIRIM_DNS_EOPT;
    }
    out->has_edns = true;
    out->edns = (struct kirim_dns_edns){
        .udp_bytes = record->dns_class,
        .rcode_high = (uint8_t)(record->ttl >> 24),
        .version = (uint8_t)(record->ttl >> 16),
        .is_dnssec_ok = (record->ttl & FLAG_DNSSEC_OK) != 0,
        .options = record->rdata,
        .option_bytes = record->rdata_bytes,
    };
    return are_options_whole(&out->edns) ? KIRIM_OK : KIRIM_DNS_EFORM;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* A question is at least 5 bytes, so the loop is bounded by the message's size. */
static kirim_err read_questions(struct ki_dns_cursor *cursor, struct kirim_dns_message *out)
{
    struct kirim_dns_question further;
    for (uint32_t i = 0; i < out->question_count; i++) {
        const kirim_err err = read_question(cursor, i == 0 ? &out->question : &further);
        if (err < 0) {
            return err;
        }
        out->has_question = true;
        out->question_bytes = cursor->at - KIRIM_DNS_HEADER_BYTES;
    }
    return KIRIM_OK;
}

/* A record is at least 11 bytes, so this loop is bounded too. */
static kirim_err read_section(struct ki_dns_cursor *cursor, struct kirim_dns_message *out,
                              int section)
{
    struct kirim_dns_name owner;
    struct kirim_dns_record record;
    for (uint32_t i = 0; i < out->record_count[section]; i++) {
        kirim_err err = read_record(cursor, &owner, &record);
        if (err == KIRIM_OK && record.type == KIRIM_DNS_OPT) {
            err = take_edns(out, section, &owner, &record);
        }
        if (err < 0) {
            return err;
        }
    }
    return KIRIM_OK;
}

kirim_err kirim_dns_message_read(struct kirim_dns_span wire, struct kirim_dns_message *out)
{
    struct ki_dns_cursor cursor = { wire.data, wire.bytes, 0 };
    out->wire = wire;
    out->has_question = false;
    out->has_edns = false;
    out->question_bytes = 0;
    const uint8_t *const header = ki_dns_take(&cursor, KIRIM_DNS_HEADER_BYTES);
    if (header == NULL) {
        return KIRIM_DNS_ESHORT;
    }
    out->id = ki_dns_get16(header);
    out->flags = ki_dns_get16(header + 2);
    out->question_count = ki_dns_get16(header + 4);
    out->record_count[0] = 0;
    for (size_t i = KIRIM_DNS_SECTION_ANSWER; i <= KIRIM_DNS_SECTION_ADDITIONAL; i++) {
        out->record_count[i] = ki_dns_get16(header + 4 + 2 * i);
    }
    kirim_err err = read_questions(&cursor, out);
    out->tail_at = cursor.at;
    for (int i = KIRIM_DNS_SECTION_ANSWER; err == KIRIM_OK && i <= KIRIM_DNS_SECTION_ADDITIONAL;
         i++) {
        err = read_section(&cursor, out, i);
    }
    if (err == KIRIM_OK && ki_dns_left(&cursor) > 0) {
        err = KIRIM_DNS_EFORM;
    }
    return err;
}

struct kirim_dns_walk kirim_dns_message_walk(const struct kirim_dns_message *message)
{
    return (struct kirim_dns_walk){ .message = message, .at = message->tail_at };
}

bool kirim_dns_walk_next(struct kirim_dns_walk *walk, struct kirim_dns_name *owner,
                         struct kirim_dns_record *record)
{
    const struct kirim_dns_message *const message = walk->message;
    while (walk->left_count == 0) {
        if (walk->section == KIRIM_DNS_SECTION_ADDITIONAL) {
            return false;
        }
        walk->left_count = message->record_count[++walk->section];
    }
    struct ki_dns_cursor cursor = { message->wire.data, message->wire.bytes, walk->at };
    if (read_record(&cursor, owner, record) < 0) {
        return false; /* not reached: the whole message was read */
    }
    walk->at = cursor.at;
    walk->left_count--;
    return true;
}
