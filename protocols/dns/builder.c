/* SPDX-License-Identifier: MIT
 *
 * Building messages: see message.h.
 *
 * Every name that is written is remembered at each of its labels, as a place and a hash of the
 * labels from there on. A later name that ends in the same labels points there. Letters are
 * compared without their case, as RFC 4343 permits, so that owners point to the question, whose
 * case is the client's.
 */
#include <string.h>

#include "form.h"
#include "message.h"

enum {
    POINTER = 0xc000,
    PLACE_MAX = 0x3fff, /* largest that a pointer can name */
    RECORD_TAIL_BYTES = 10,
    FLAG_DNSSEC_OK = 0x8000
};

void kirim_dns_builder_init(struct kirim_dns_builder *b, uint8_t *data, size_t limit)
{
    b->data = data;
    b->limit = limit < KIRIM_DNS_MESSAGE_BYTES_MAX ? limit : KIRIM_DNS_MESSAGE_BYTES_MAX;
    b->bytes = KIRIM_DNS_HEADER_BYTES;
    b->place_count = 0;
    memset(b->count, 0, sizeof b->count);
    memset(data, 0, KIRIM_DNS_HEADER_BYTES);
}

struct kirim_dns_mark kirim_dns_builder_mark(const struct kirim_dns_builder *b)
{
    struct kirim_dns_mark mark = { .bytes = b->bytes, .place_count = b->place_count };
    memcpy(mark.count, b->count, sizeof mark.count);
    return mark;
}

void kirim_dns_builder_undo(struct kirim_dns_builder *b, const struct kirim_dns_mark *mark)
{
    b->bytes = mark->bytes;
    b->place_count = mark->place_count;
    memcpy(b->count, mark->count, sizeof b->count);
}

static bool put_bytes(struct kirim_dns_builder *b, const void *data, size_t bytes)
{
    if (bytes > b->limit - b->bytes) {
        return false;
    }
    if (bytes > 0) {
        memcpy(b->data + b->bytes, data, bytes);
    }
    b->bytes += bytes;
    return true;
}

static bool put16(struct kirim_dns_builder *b, uint16_t number)
{
    uint8_t wire[2];
    ki_dns_put16(wire, number);
    return put_bytes(b, wire, sizeof wire);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Extends the hash of the labels behind a label by that label. */
static uint16_t hash_label(uint16_t rest, const uint8_t *label)
{
    uint32_t hash = rest;
    for (size_t i = 0; i <= label[0]; i++) {
        hash = (hash * 31 + ki_dns_fold(label[i])) & 0xffffffU;
    }
    return (uint16_t)(hash ^ hash >> 8);
}

/* Whether the name at a place of our own message is the same as the rest of a name. */
static bool is_same_name(const struct kirim_dns_builder *b, size_t at, const uint8_t *rest)
{
    for (size_t i = 0; i <= KIRIM_DNS_LABEL_COUNT_MAX; i++) {
        while (b->data[at] >= POINTER >> 8) { /* each leads to an earlier place */
            at = (size_t)(ki_dns_get16(b->data + at) & PLACE_MAX);
        }
        const size_t length = rest[0];
        if (b->data[at] != length) {
            return false;
        }
        if (length == 0) {
            return true;
        }
        for (size_t k = 1; k <= length; k++) {
            if (ki_dns_fold(b->data[at + k]) != ki_dns_fold(rest[k])) {
                return false;
            }
        }
        at += 1 + length;
        rest += 1 + length;
    }
    return false;
}

/* Where the rest of a name stands already; 0 if nowhere. */
static size_t find_place(const struct kirim_dns_builder *b, uint16_t hash, const uint8_t *rest)
{
    for (size_t i = 0; i < b->place_count; i++) {
        if (b->place[i].hash == hash && is_same_name(b, b->place[i].at, rest)) {
            return b->place[i].at;
        }
    }
    return 0;
}

static void remember_place(struct kirim_dns_builder *b, size_t at, uint16_t hash)
{
    if (b->place_count < KIRIM_DNS_PLACE_COUNT_MAX && at <= PLACE_MAX) {
        b->place[b->place_count].at = (uint16_t)at;
        b->place[b->place_count].hash = hash;
        b->place_count++;
    }
}

/* Writes a name in wire form, compressed if that is permitted. */
static bool put_name(struct kirim_dns_builder *b, const struct kirim_dns_name *name)
{
    uint8_t offset[KIRIM_DNS_LABEL_COUNT_MAX + 1];
    uint16_t hash[KIRIM_DNS_LABEL_COUNT_MAX + 1];
    const size_t begin = b->bytes;
    size_t written = name->label_count; /* labels that are not pointed to */
    size_t target = 0;
    kirim_dns_name_offsets(name, offset);
    hash[name->label_count] = 0;
    for (size_t i = name->label_count; i > 0; i--) {
        hash[i - 1] = hash_label(hash[i], name->wire + offset[i - 1]);
    }
    for (size_t i = 0; i < name->label_count && target == 0; i++) {
        target = find_place(b, hash[i], name->wire + offset[i]);
        written = target != 0 ? i : written;
    }
    if (!put_bytes(b, name->wire, offset[written])) {
        return false;
    }
    const bool is_ended =
        target != 0 ? put16(b, (uint16_t)(POINTER | target)) : put_bytes(b, "", 1);
    for (size_t i = 0; is_ended && i < written; i++) {
        remember_place(b, begin + offset[i], hash[i]);
    }
    return is_ended;
}

/* ---- records --------------------------------------------------------------------------------- */

/* Writes data with their names compressed. False also if they are not what their type asks for. */
static bool put_rdata(struct kirim_dns_builder *b, const struct kirim_dns_record *record)
{
    const struct ki_dns_form *const form = ki_dns_form_of(record->type);
    if (form == NULL || strchr(form->fields, KI_DNS_FIELD_NAME) == NULL) {
        return put_bytes(b, record->rdata, record->rdata_bytes);
    }
    struct ki_dns_cursor cursor = { record->rdata, record->rdata_bytes, 0 };
    for (const char *field = form->fields; *field != '\0'; field++) {
        struct kirim_dns_name name;
        const uint8_t *data = NULL;
        size_t bytes = 0;
        bool is_put;
        if (*field == KI_DNS_FIELD_NAME) {
            is_put =
                kirim_dns_name_read(cursor.data, cursor.bytes, &cursor.at, &name) == KIRIM_OK &&
                put_name(b, &name);
        } else {
            is_put = ki_dns_field_take(*field, &cursor, &data, &bytes) == KIRIM_OK &&
                     put_bytes(b, data, bytes);
        }
        if (!is_put) {
            return false;
        }
    }
    return true;
}

static bool put_record(struct kirim_dns_builder *b, const struct kirim_dns_name *owner,
                       const struct kirim_dns_record *record)
{
    if (!put_name(b, owner) || RECORD_TAIL_BYTES > b->limit - b->bytes) {
        return false;
    }
    uint8_t *const tail = b->data + b->bytes;
    b->bytes += RECORD_TAIL_BYTES;
    ki_dns_put16(tail, record->type);
    ki_dns_put16(tail + 2, record->dns_class);
    ki_dns_put32(tail + 4, record->ttl);
    const size_t begin = b->bytes;
    if (!put_rdata(b, record)) {
        return false;
    }
    ki_dns_put16(tail + 8, (uint16_t)(b->bytes - begin));
    return true;
}

kirim_err kirim_dns_builder_question(struct kirim_dns_builder *b,
                                     const struct kirim_dns_question *question)
{
    const struct kirim_dns_mark mark = kirim_dns_builder_mark(b);
    if (!put_name(b, &question->name) || !put16(b, question->type) ||
        !put16(b, question->dns_class)) {
        kirim_dns_builder_undo(b, &mark);
        return KIRIM_EMSGSIZE;
    }
    b->count[0]++;
    return KIRIM_OK;
}

kirim_err kirim_dns_builder_record(struct kirim_dns_builder *b, int section,
                                   const struct kirim_dns_name *owner,
                                   const struct kirim_dns_record *record)
{
    if (section < KIRIM_DNS_SECTION_ANSWER || section > KIRIM_DNS_SECTION_ADDITIONAL) {
        return KIRIM_EINVAL;
    }
    for (int i = section + 1; i <= KIRIM_DNS_SECTION_ADDITIONAL; i++) {
        if (b->count[i] > 0) {
            return KIRIM_EINVAL;
        }
    }
    const struct kirim_dns_mark mark = kirim_dns_builder_mark(b);
    if (!put_record(b, owner, record)) {
        kirim_dns_builder_undo(b, &mark);
        return KIRIM_EMSGSIZE;
    }
    b->count[section]++;
    return KIRIM_OK;
}

kirim_err kirim_dns_builder_edns(struct kirim_dns_builder *b, const struct kirim_dns_edns *edns)
{
    struct kirim_dns_name root;
    kirim_dns_name_root(&root);
    const struct kirim_dns_record record = {
        .type = KIRIM_DNS_OPT,
        .dns_class = edns->udp_bytes,
        .ttl = (uint32_t)edns->rcode_high << 24 | (uint32_t)edns->version << 16 |
               (edns->is_dnssec_ok ? FLAG_DNSSEC_OK : 0U),
        .rdata = edns->options,
        .rdata_bytes = edns->option_bytes,
    };
    return kirim_dns_builder_record(b, KIRIM_DNS_SECTION_ADDITIONAL, &root, &record);
}

size_t kirim_dns_builder_end(struct kirim_dns_builder *b, uint16_t id, uint16_t flags)
{
    ki_dns_put16(b->data, id);
    ki_dns_put16(b->data + 2, flags);
    for (size_t i = 0; i < 4; i++) {
        ki_dns_put16(b->data + 4 + 2 * i, b->count[i]);
    }
    return b->bytes;
}
