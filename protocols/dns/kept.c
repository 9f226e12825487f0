/* SPDX-License-Identifier: MIT
 *
 * Answers of others: see kept.h.
 */
#include "kept.h"

#include <string.h>

#include "wire.h"

enum {
    RCODE_MAX = 15,     /* more than that is between one server and one client */
    TTL_BEFORE_DATA = 6 /* the time to live, then the length of the data */
};

/* Data with all names written out: of the largest message, each record at most twice 255 more. */
enum { DATA_BYTES_MAX = KIRIM_DNS_UDP_BYTES + 2 * KIRIM_DNS_NAME_BYTES_MAX };

/* What is found on the way through the records. */
struct survey {
    uint32_t least_s;    /* of the times to live */
    uint32_t negative_s; /* what the SOA record says of what is not there */
    bool has_soa;
    bool has_wanted; /* a record of the type that was asked for */
};

/* A time to live with the upper bit set means nothing, RFC 2181 section 8. */
static uint32_t ttl_of(uint32_t ttl)
{
    return ttl > KIRIM_DNS_TTL_MAX ? 0 : ttl;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Checks one record, and takes note of what it says. */
static kirim_err take_record(const struct kirim_dns_message *message, int section,
                             const struct kirim_dns_record *record, struct survey *survey)
{
    uint8_t data[DATA_BYTES_MAX];
    struct kirim_dns_room room = { data, sizeof data, 0 };
    const uint16_t type = message->question.type;
    if (record->dns_class != message->question.dns_class) {
        return KIRIM_DNS_EFORM;
    }
    const kirim_err err = kirim_dns_rdata_read(message->wire, record, &room);
    if (err < 0) {
        return err;
    }
    survey->least_s = smaller(survey->least_s, ttl_of(record->ttl));
    if (section == KIRIM_DNS_SECTION_ANSWER && (record->type == type || type == KIRIM_DNS_ANY)) {
        survey->has_wanted = true;
    }
    if (section == KIRIM_DNS_SECTION_AUTHORITY && record->type == KIRIM_DNS_SOA) {
        survey->has_soa = true; /* its last field is what counts, RFC 2308 section 4 */
        survey->negative_s =
            smaller(ttl_of(record->ttl), ttl_of(ki_dns_get32(data + room.bytes - 4)));
    }
    return KIRIM_OK;
}

/* Checks all records up to the OPT record, and notes where they are. */
static kirim_err take_records(const struct kirim_dns_message *message, struct kirim_dns_kept *out,
                              struct survey *survey)
{
    struct kirim_dns_walk walk = kirim_dns_message_walk(message);
    struct kirim_dns_name owner;
    struct kirim_dns_record record;
    size_t count = 0;
    while (kirim_dns_walk_next(&walk, &owner, &record) && record.type != KIRIM_DNS_OPT) {
        const kirim_err err = take_record(message, walk.section, &record, survey);
        if (err < 0) {
            return err;
        }
        out->ttl_at[count++] = (uint16_t)(record.rdata - message->wire.data - TTL_BEFORE_DATA);
        out->form.record_count[walk.section]++;
        for (int i = walk.section; i <= KIRIM_DNS_SECTION_ADDITIONAL; i++) {
            out->form.end[i] = (uint16_t)walk.at;
        }
    }
    return KIRIM_OK;
}

static uint32_t lifetime_of(const struct kirim_dns_kept_form *form, const struct survey *survey,
                            const struct kirim_dns_kept_limits *limits)
{
    const bool is_answer = form->rcode == KIRIM_DNS_NOERROR || form->rcode == KIRIM_DNS_NXDOMAIN;
    if (!is_answer || form->is_truncated) {
        return 0;
    }
    if (!form->is_negative) {
        return smaller(survey->least_s, limits->positive_s);
    }
    /* Without a SOA record nobody knows for how long there is nothing, RFC 2308 section 5. */
    const uint32_t negative_s = survey->has_soa ? survey->negative_s : 0;
    return smaller(smaller(survey->least_s, negative_s), limits->negative_s);
}

kirim_err kirim_dns_kept_take(const struct kirim_dns_message *message,
                              const struct kirim_dns_kept_limits *limits,
                              struct kirim_dns_kept *out)
{
    const uint16_t rcode = kirim_dns_message_rcode(message);
    struct survey survey = { .least_s = KIRIM_DNS_TTL_MAX };
    if (!message->has_question || message->question_count != 1 ||
        message->wire.bytes > sizeof out->wire || rcode > RCODE_MAX) {
        return KIRIM_DNS_EFORM;
    }
    out->form = (struct kirim_dns_kept_form){
        .rcode = rcode,
        .record_count = { 1, 0, 0, 0 },
        .is_truncated = (message->flags & KIRIM_DNS_FLAG_TC) != 0,
    };
    for (size_t i = 0; i < 4; i++) {
        out->form.end[i] = (uint16_t)(KIRIM_DNS_HEADER_BYTES + message->question_bytes);
    }
    const kirim_err err = take_records(message, out, &survey);
    if (err < 0) {
        return err;
    }
    out->form.is_negative =
        rcode == KIRIM_DNS_NXDOMAIN || (rcode == KIRIM_DNS_NOERROR && !survey.has_wanted);
    out->form.lifetime_s = lifetime_of(&out->form, &survey, limits);
    memcpy(out->wire, message->wire.data, out->form.end[KIRIM_DNS_SECTION_ADDITIONAL]);
    return KIRIM_OK;
}

void kirim_dns_kept_make(const struct kirim_dns_question *question, uint16_t rcode,
                         uint32_t lifetime_s, struct kirim_dns_kept *out)
{
    struct kirim_dns_builder b;
    kirim_dns_builder_init(&b, out->wire, sizeof out->wire);
    (void)kirim_dns_builder_question(&b, question); /* the room is enough for the largest */
    out->form = (struct kirim_dns_kept_form){ .rcode = rcode,
                                              .record_count = { 1, 0, 0, 0 },
                                              .lifetime_s = lifetime_s };
    for (size_t i = 0; i < 4; i++) {
        out->form.end[i] = (uint16_t)b.bytes;
    }
}

/* ---- telling --------------------------------------------------------------------------------- */

/* The last section that fits, all before it included; 0: the question alone. */
static int last_section(const struct kirim_dns_kept_form *form, size_t limit)
{
    int section = KIRIM_DNS_SECTION_ADDITIONAL;
    while (section > 0 && form->end[section] > limit) {
        section--;
    }
    return section;
}

/* Answers are what is needed; where there are none, the SOA record, or the name servers that know
 * more, are (RFC 2181 section 9). */
static bool is_cut(const struct kirim_dns_kept_form *form, int section)
{
    const int needed = form->record_count[KIRIM_DNS_SECTION_ANSWER] > 0 && !form->is_negative
                           ? KIRIM_DNS_SECTION_ANSWER
                           : KIRIM_DNS_SECTION_AUTHORITY;
    return section < needed && form->end[section] < form->end[needed];
}

static void write_ttls(const struct kirim_dns_kept_view *view, size_t end, uint8_t *wire)
{
    const size_t count = kirim_dns_kept_record_count(view->form);
    for (size_t i = 0; i < count && view->ttl_at[i] < end; i++) {
        const uint32_t ttl = ttl_of(ki_dns_get32(view->wire + view->ttl_at[i]));
        ki_dns_put32(wire + view->ttl_at[i], ttl > view->age_s ? ttl - view->age_s : 0);
    }
}

void kirim_dns_kept_write(const struct kirim_dns_kept_view *view,
                          const struct kirim_dns_caller *caller, const struct kirim_dns_name *name,
                          uint16_t udp_bytes, struct kirim_dns_room *reply)
{
    const struct kirim_dns_kept_form *const form = view->form;
    struct kirim_dns_builder b;
    kirim_dns_caller_begin(caller, udp_bytes, reply, &b);
    const int section = last_section(form, b.limit);
    const bool is_truncated = form->is_truncated || is_cut(form, section);
    memcpy(reply->data, view->wire, form->end[section]);
    memcpy(reply->data + KIRIM_DNS_HEADER_BYTES, name->wire, name->bytes);
    write_ttls(view, form->end[section], reply->data);
    b.bytes = form->end[section];
    memcpy(b.count, form->record_count, sizeof b.count);
    for (int i = section + 1; i <= KIRIM_DNS_SECTION_ADDITIONAL; i++) {
        b.count[i] = 0;
    }
    const unsigned flags = KIRIM_DNS_FLAG_RA | (is_truncated ? KIRIM_DNS_FLAG_TC : 0U) |
                           ((unsigned)caller->flags & KIRIM_DNS_FLAG_CD);
    reply->bytes =
        kirim_dns_caller_end(caller, udp_bytes, KIRIM_DNS_ANSWER_FLAGS(flags, form->rcode), &b);
}
