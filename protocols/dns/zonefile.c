/* SPDX-License-Identifier: MIT
 *
 * Reading zone files: see zonefile.h. Included files are a stack of lexers; nothing recurs.
 */
#include "zonefile.h"

#include <string.h>

#include "form.h"
#include "lexer.h"
#include "text.h"

#define BYTES_MAX_DEFAULT ((size_t)64 << 20)

enum { WORD_SHOWN_BYTES_MAX = 64 };

/* A file that is being read. */
struct source {
    struct ki_dns_lexer lexer;
    char file[KIRIM_DNS_FILE_NAME_BYTES];
    struct kirim_dns_name outer_origin; /* of the file that includes it */
    bool has_outer_origin;
};

struct reader {
    const struct kirim_dns_zonefile_options *options;
    struct kirim_dns_zonefile_error *error;
    struct kirim_dns_zone *zone; /* NULL: the SOA record was not met yet */
    size_t bytes_left;           /* of text */
    size_t include_count;
    struct kirim_dns_name origin, owner;
    bool has_origin, has_owner, has_default_ttl, has_last_ttl;
    uint32_t default_ttl, last_ttl;
    struct source source[KIRIM_DNS_INCLUDE_DEPTH_MAX];
    size_t depth; /* of them in use */
    uint32_t soa_line, soa_column;
    struct ki_dns_entry entry;
    uint8_t rdata[KIRIM_DNS_RDATA_BYTES_MAX];
};

/* ---- errors ---------------------------------------------------------------------------------- */

static void put_text(char *out, size_t room, const char *text)
{
    struct ki_dns_text writer;
    ki_dns_text_init(&writer, out, room);
    ki_dns_text_string(&writer, text);
}

static kirim_err fail_at(struct reader *r, uint32_t line, uint32_t column, const char *text)
{
    r->error->err = KIRIM_DNS_EFORM;
    r->error->line = line;
    r->error->column = column;
    memcpy(r->error->file, r->source[r->depth - 1].file, KIRIM_DNS_FILE_NAME_BYTES);
    put_text(r->error->text, sizeof r->error->text, text);
    return KIRIM_DNS_EFORM;
}

/* What is wrong with a word; the word is shown. Behind the last one: something is missing. */
static kirim_err fail_word(struct reader *r, size_t index, const char *text)
{
    const struct ki_dns_entry *const entry = &r->entry;
    if (index >= entry->word_count) {
        return fail_at(r, entry->end_line, entry->end_column, text);
    }
    const struct kirim_dns_word *const word = &entry->words[index];
    const size_t used = strlen(text);
    struct ki_dns_text out;
    (void)fail_at(r, word->line, word->column, text);
    ki_dns_text_init(&out, r->error->text + used, sizeof r->error->text - used);
    ki_dns_text_string(&out, ": '");
    for (size_t i = 0; i < word->bytes && i < WORD_SHOWN_BYTES_MAX; i++) {
        const uint8_t byte = (uint8_t)word->text[i];
        if (byte < ' ' || byte >= 0x7f) {
            ki_dns_text_escape(&out, byte);
        } else {
            ki_dns_text_byte(&out, byte);
        }
    }
    ki_dns_text_string(&out, word->bytes > WORD_SHOWN_BYTES_MAX ? "...'" : "'");
    return KIRIM_DNS_EFORM;
}

/* The same with another error than that of the form. */
static kirim_err fail_word_as(struct reader *r, kirim_err err, size_t index, const char *text)
{
    (void)fail_word(r, index, text);
    r->error->err = err;
    return err;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Begins a file; its name was checked to fit. */
static void push_source(struct reader *r, const char *file, struct kirim_dns_span text)
{
    struct source *const source = &r->source[r->depth++];
    put_text(source->file, sizeof source->file, file);
    ki_dns_lexer_init(&source->lexer, (const char *)text.data, text.bytes);
    source->outer_origin = r->origin;
    source->has_outer_origin = r->has_origin;
    r->bytes_left -= text.bytes;
}

/* $INCLUDE FILE [ORIGIN]. Behind it the origin is again what it was (RFC 1035 section 5.1). */
static kirim_err include_file(struct reader *r)
{
    const struct kirim_dns_zonefile_options *const options = r->options;
    const struct kirim_dns_word *const word = &r->entry.words[1];
    char name[KIRIM_DNS_FILE_NAME_BYTES];
    struct kirim_dns_span text = { NULL, 0 };
    struct kirim_dns_name origin = r->origin;
    if (options->include == NULL) {
        return fail_word(r, 0, "$INCLUDE is not permitted here");
    }
    if (r->entry.word_count < 2 || r->entry.word_count > 3) {
        return fail_word(r, 3, "$INCLUDE needs: FILE [ORIGIN]");
    }
    if (word->bytes >= sizeof name) {
        return fail_word(r, 1, "a file name of more than 255 bytes");
    }
    if (r->entry.word_count == 3) {
        const struct kirim_dns_word *const named = &r->entry.words[2];
        const kirim_err err = kirim_dns_name_parse(named->text, named->bytes,
                                                   r->has_origin ? &r->origin : NULL, &origin);
        if (err < 0) {
            return fail_word(r, 2, kirim_dns_err_text(err));
        }
    }
    if (r->depth == KIRIM_DNS_INCLUDE_DEPTH_MAX ||
        ++r->include_count > KIRIM_DNS_INCLUDE_COUNT_MAX) {
        return fail_word_as(r, KIRIM_DNS_EFULL, 0,
                            "more than 8 files deep, or more than 64 files included");
    }
    memcpy(name, word->text, word->bytes);
    name[word->bytes] = '\0';
    const kirim_err err = options->include(options->include_user, name, &text);
    if (err < 0) {
        return fail_word_as(r, err, 1, "the file cannot be read");
    }
    if (text.bytes > r->bytes_left) {
        return fail_word_as(r, KIRIM_DNS_EFULL, 1, "the bound of the zone's text is reached");
    }
    push_source(r, name, text);
    r->has_origin = r->has_origin || r->entry.word_count == 3;
    r->origin = origin;
    return KIRIM_OK;
}

static void pop_source(struct reader *r)
{
    const struct source *const source = &r->source[--r->depth];
    if (r->depth > 0) {
        r->origin = source->outer_origin;
        r->has_origin = source->has_outer_origin;
    }
}

/* ---- directives ------------------------------------------------------------------------------ */

static bool is_word(const struct kirim_dns_word *word, const char *text)
{
    if (word->is_quoted || word->bytes != strlen(text)) {
        return false;
    }
    for (size_t i = 0; i < word->bytes; i++) {
        if (ki_dns_fold((uint8_t)word->text[i]) != ki_dns_fold((uint8_t)text[i])) {
            return false;
        }
    }
    return true;
}

static kirim_err set_origin(struct reader *r)
{
    const struct kirim_dns_word *const word = &r->entry.words[1];
    struct kirim_dns_name origin;
    if (r->entry.word_count != 2) {
        return fail_word(r, 2, "$ORIGIN needs: NAME");
    }
    const kirim_err err =
        kirim_dns_name_parse(word->text, word->bytes, r->has_origin ? &r->origin : NULL, &origin);
    if (err < 0) {
        return fail_word(r, 1, kirim_dns_err_text(err));
    }
    r->origin = origin;
    r->has_origin = true;
    return KIRIM_OK;
}

static kirim_err set_default_ttl(struct reader *r)
{
    const struct kirim_dns_word *const word = &r->entry.words[1];
    if (r->entry.word_count != 2) {
        return fail_word(r, 2, "$TTL needs: TIME");
    }
    if (kirim_dns_seconds_parse(word->text, word->bytes, KIRIM_DNS_TTL_MAX, &r->default_ttl) < 0) {
        return fail_word(r, 1, "not a TTL from 0 to 2147483647 seconds");
    }
    r->has_default_ttl = true;
    return KIRIM_OK;
}

static kirim_err work_off_directive(struct reader *r)
{
    if (is_word(&r->entry.words[0], "$ORIGIN")) {
        return set_origin(r);
    }
    if (is_word(&r->entry.words[0], "$TTL")) {
        return set_default_ttl(r);
    }
    if (is_word(&r->entry.words[0], "$INCLUDE")) {
        return include_file(r);
    }
    return fail_word(r, 0, "a directive that is not known here");
}

/* ---- records --------------------------------------------------------------------------------- */

/* Sets the owner of the entry; `*at` then is the word behind it. */
static kirim_err take_owner(struct reader *r, size_t *at)
{
    const struct kirim_dns_word *const word = &r->entry.words[0];
    kirim_err err = KIRIM_OK;
    *at = 0;
    if (r->entry.is_indented) {
        return r->has_owner ? KIRIM_OK : fail_word(r, 0, "no owner: none was named before");
    }
    if (!word->is_quoted && word->bytes == 1 && word->text[0] == '@') {
        r->owner = r->origin;
        err = r->has_origin ? KIRIM_OK : KIRIM_DNS_ERELATIVE;
    } else {
        err = kirim_dns_name_parse(word->text, word->bytes, r->has_origin ? &r->origin : NULL,
                                   &r->owner);
    }
    if (err < 0) {
        return fail_word(r, 0, kirim_dns_err_text(err));
    }
    r->has_owner = true;
    *at = 1;
    return KIRIM_OK;
}

/* A class of another name than IN, e.g. "CH" or "CLASS4". */
static bool is_foreign_class(const struct kirim_dns_word *word)
{
    return is_word(word, "CH") || is_word(word, "HS") || is_word(word, "CS") ||
           (word->bytes > 5 && word->bytes <= 10 && memcmp(word->text, "CLASS", 5) == 0);
}

/* Takes TTL and class, each of which may be left out, in any order, and the type. */
static kirim_err take_head(struct reader *r, size_t *at, bool *has_ttl,
                           struct kirim_dns_record *record)
{
    bool has_class = false;
    *has_ttl = false;
    record->dns_class = KIRIM_DNS_CLASS_IN;
    for (; *at < r->entry.word_count; (*at)++) {
        const struct kirim_dns_word *const word = &r->entry.words[*at];
        const bool is_number = word->bytes > 0 && word->text[0] >= '0' && word->text[0] <= '9';
        if (is_number && !*has_ttl) {
            if (kirim_dns_seconds_parse(word->text, word->bytes, KIRIM_DNS_TTL_MAX, &record->ttl) <
                0) {
                return fail_word(r, *at, "not a TTL from 0 to 2147483647 seconds");
            }
            *has_ttl = true;
        } else if (!has_class && (is_word(word, "IN") || is_word(word, "CLASS1"))) {
            has_class = true;
        } else if (!has_class && is_foreign_class(word)) {
            return fail_word(r, *at, "a class other than IN");
        } else {
            break;
        }
    }
    if (*at == r->entry.word_count) {
        return fail_word(r, *at, "a type is missing");
    }
    if (r->entry.words[*at].is_quoted ||
        kirim_dns_type_parse(r->entry.words[*at].text, r->entry.words[*at].bytes, &record->type) <
            0) {
        return fail_word(r, *at, "not a type");
    }
    (*at)++;
    return KIRIM_OK;
}

static kirim_err take_rdata(struct reader *r, size_t at, struct kirim_dns_record *record)
{
    struct kirim_dns_rdata_parse parse = KIRIM_DNS_RDATA_PARSE_INIT;
    parse.words = r->entry.words + at;
    parse.word_count = r->entry.word_count - at;
    parse.origin = r->has_origin ? &r->origin : NULL;
    parse.out = (struct kirim_dns_room){ r->rdata, sizeof r->rdata, 0 };
    if (kirim_dns_rdata_parse(record->type, &parse) < 0) {
        return fail_word(r, at + parse.complaint.word, parse.complaint.text);
    }
    record->rdata = r->rdata;
    record->rdata_bytes = (uint16_t)parse.out.bytes;
    return KIRIM_OK;
}

static kirim_err take_ttl(struct reader *r, size_t type_at, bool has_ttl,
                          struct kirim_dns_record *record)
{
    if (!has_ttl && r->has_default_ttl) {
        record->ttl = r->default_ttl;
    } else if (!has_ttl && r->has_last_ttl) {
        record->ttl = r->last_ttl;
    } else if (!has_ttl && record->type == KIRIM_DNS_SOA) {
        record->ttl = ki_dns_get32(record->rdata + record->rdata_bytes - 4); /* MINIMUM */
        record->ttl = record->ttl > KIRIM_DNS_TTL_MAX ? KIRIM_DNS_TTL_MAX : record->ttl;
    } else if (!has_ttl) {
        return fail_word(r, type_at, "no TTL, and none was set before");
    }
    r->last_ttl = record->ttl;
    r->has_last_ttl = true;
    return KIRIM_OK;
}

/* Opens the zone at its first record. */
static kirim_err open_zone(struct reader *r, size_t type_at, const struct kirim_dns_record *record)
{
    if (record->type != KIRIM_DNS_SOA) {
        return fail_word_as(r, KIRIM_DNS_EZONE, type_at, "the first record is not the SOA record");
    }
    r->soa_line = r->entry.words[type_at].line;
    r->soa_column = r->entry.words[type_at].column;
    const kirim_err err = kirim_dns_zone_open(&r->owner, &r->options->zone, &r->zone);
    return err < 0 ? fail_word_as(r, err, type_at, kirim_dns_err_text(err)) : KIRIM_OK;
}

static kirim_err work_off_record(struct reader *r)
{
    struct kirim_dns_record record = { .type = 0 };
    size_t at = 0;
    bool has_ttl = false;
    const char *why = NULL;
    kirim_err err = take_owner(r, &at);
    const size_t owner_words = at;
    if (err == KIRIM_OK) {
        err = take_head(r, &at, &has_ttl, &record);
    }
    const size_t type_at = at - 1;
    if (err == KIRIM_OK) {
        err = take_rdata(r, at, &record);
    }
    if (err == KIRIM_OK) {
        err = take_ttl(r, type_at, has_ttl, &record);
    }
    if (err == KIRIM_OK && r->zone == NULL) {
        err = open_zone(r, type_at, &record);
    }
    if (err < 0) {
        return err;
    }
    const bool is_within = kirim_dns_name_is_within(&r->owner, kirim_dns_zone_origin(r->zone));
    err = kirim_dns_zone_add(r->zone, &r->owner, &record, &why);
    if (err < 0) {
        return fail_word_as(r, err, !is_within && owner_words > 0 ? 0 : type_at, why);
    }
    return KIRIM_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static kirim_err read_all(struct reader *r)
{
    while (r->depth > 0) { /* each turn takes an entry, or ends a file */
        struct ki_dns_lexer *const lexer = &r->source[r->depth - 1].lexer;
        const char *const why = ki_dns_lexer_next(lexer, &r->entry);
        if (why != NULL) {
            return fail_at(r, lexer->line, ki_dns_lexer_column(lexer), why);
        }
        if (r->entry.word_count == 0) {
            if (r->depth == 1) {
                break;
            }
            pop_source(r);
            continue;
        }
        const struct kirim_dns_word *const first = &r->entry.words[0];
        const bool is_directive =
            !r->entry.is_indented && !first->is_quoted && first->bytes > 0 && first->text[0] == '$';
        const kirim_err err = is_directive ? work_off_directive(r) : work_off_record(r);
        if (err < 0) {
            return err;
        }
    }
    return KIRIM_OK;
}

static kirim_err seal_zone(struct reader *r)
{
    const char *why = "the zone has no records";
    kirim_err err = KIRIM_DNS_EZONE;
    const struct ki_dns_lexer *const lexer = &r->source[0].lexer;
    uint32_t line = lexer->line;
    uint32_t column = ki_dns_lexer_column(lexer);
    if (r->zone != NULL) {
        err = kirim_dns_zone_seal(r->zone, &why);
        line = r->soa_line;
        column = r->soa_column;
    }
    if (err < 0) {
        (void)fail_at(r, line, column, why);
        r->error->err = err;
    }
    return err;
}

static kirim_err run_reader(struct reader *r, struct kirim_dns_span text)
{
    const struct kirim_dns_zonefile_options *const options = r->options;
    if (options->origin != NULL) {
        r->origin = *options->origin;
        r->has_origin = true;
    }
    r->bytes_left = options->bytes_max != 0 ? options->bytes_max : BYTES_MAX_DEFAULT;
    const bool is_too_long = text.bytes > r->bytes_left;
    push_source(r, options->file != NULL ? options->file : "-",
                is_too_long ? (struct kirim_dns_span){ NULL, 0 } : text);
    if (is_too_long) {
        (void)fail_at(r, 1, 1, "the bound of the zone's text is reached");
        r->error->err = KIRIM_DNS_EFULL;
        return KIRIM_DNS_EFULL;
    }
    const kirim_err err = read_all(r);
    return err == KIRIM_OK ? seal_zone(r) : err;
}

kirim_err kirim_dns_zonefile_read(struct kirim_dns_span text,
                                  const struct kirim_dns_zonefile_options *options,
                                  struct kirim_dns_zone **out,
                                  struct kirim_dns_zonefile_error *error)
{
    if (options == NULL || options->zone.alloc == NULL || out == NULL || error == NULL ||
        (text.data == NULL && text.bytes > 0)) {
        return KIRIM_EINVAL;
    }
    memset(error, 0, sizeof *error);
    const kirim_alloc_fn alloc = options->zone.alloc;
    struct reader *const r = alloc(options->zone.alloc_user, NULL, 0, sizeof *r);
    if (r == NULL) {
        error->err = KIRIM_ENOMEM;
        put_text(error->file, sizeof error->file, options->file != NULL ? options->file : "-");
        put_text(error->text, sizeof error->text, kirim_dns_err_text(KIRIM_ENOMEM));
        return KIRIM_ENOMEM;
    }
    memset(r, 0, sizeof *r);
    r->options = options;
    r->error = error;
    const kirim_err err = run_reader(r, text);
    if (err < 0) {
        kirim_dns_zone_close(r->zone);
    } else {
        *out = r->zone;
    }
    (void)alloc(options->zone.alloc_user, r, sizeof *r, 0);
    return err;
}
