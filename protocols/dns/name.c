/* SPDX-License-Identifier: MIT
 *
 * Domain names: see name.h.
 */
#include "name.h"

#include <string.h>

#include "text.h"
#include "wire.h"

enum {
    LABEL_KIND = 0xc0, /* the two bits of a length byte that say what follows */
    POINTER = 0xc0
};

void kirim_dns_name_root(struct kirim_dns_name *out)
{
    out->bytes = 1;
    out->label_count = 0;
    out->wire[0] = 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Adds a label of 1..63 bytes; there is always room left for the root. */
static kirim_err add_label(struct kirim_dns_name *name, size_t *used, const uint8_t *label,
                           size_t bytes)
{
    if (*used + 1 + bytes + 1 > KIRIM_DNS_NAME_BYTES_MAX) {
        return KIRIM_DNS_ENAME;
    }
    name->wire[*used] = (uint8_t)bytes;
    memcpy(name->wire + *used + 1, label, bytes);
    *used += 1 + bytes;
    name->label_count++;
    return KIRIM_OK;
}

static void end_name(struct kirim_dns_name *name, size_t used)
{
    name->wire[used] = 0;
    name->bytes = (uint8_t)(used + 1);
}

kirim_err kirim_dns_name_read(const uint8_t *message, size_t bytes, size_t *at,
                              struct kirim_dns_name *out)
{
    size_t here = *at;
    size_t begun = here; /* of the labels being read; a pointer among them goes before it */
    size_t end = 0;      /* behind the name, known once a pointer was met */
    size_t used = 0;
    size_t pointer_count = 0;
    out->label_count = 0;
    for (;;) { /* ends: a label uses up room, a pointer one of KIRIM_DNS_POINTER_COUNT_MAX */
        if (here >= bytes) {
            return KIRIM_DNS_ESHORT;
        }
        const size_t length = message[here];
        if (length == 0) {
            break;
        }
        if ((length & LABEL_KIND) == 0) {
            if (length > bytes - here - 1) {
                return KIRIM_DNS_ESHORT;
            }
            const kirim_err err = add_label(out, &used, message + here + 1, length);
            if (err < 0) {
                return err;
            }
            here += 1 + length;
            continue;
        }
        if ((length & LABEL_KIND) != POINTER) {
            return KIRIM_DNS_EFORM;
        }
        if (bytes - here < 2) {
            return KIRIM_DNS_ESHORT;
        }
        const size_t target = (size_t)(ki_dns_get16(message + here) & 0x3fff);
        if (target >= begun || target < KIRIM_DNS_HEADER_BYTES ||
            ++pointer_count > KIRIM_DNS_POINTER_COUNT_MAX) {
            return KIRIM_DNS_EPOINTER;
        }
        end = end == 0 ? here + 2 : end;
        begun = target;
        here = target;
    }
    end_name(out, used);
    *at = end == 0 ? here + 1 : end;
    return KIRIM_OK;
}

/* Takes one character of a label; `*at` stands on it, and then behind it. */
static kirim_err take_character(const char *text, size_t bytes, size_t *at, uint8_t *out)
{
    const char first = text[(*at)++];
    if (first != '\\') {
        *out = (uint8_t)first;
        return KIRIM_OK;
    }
    if (*at == bytes) {
        return KIRIM_DNS_EESCAPE;
    }
    const char next = text[(*at)++];
    if (next < '0' || next > '9') {
        *out = (uint8_t)next;
        return KIRIM_OK;
    }
    unsigned number = (unsigned)(next - '0');
    for (int i = 0; i < 2; i++) {
        if (*at == bytes || text[*at] < '0' || text[*at] > '9') {
            return KIRIM_DNS_EESCAPE;
        }
        number = number * 10 + (unsigned)(text[(*at)++] - '0');
    }
    if (number > UINT8_MAX) {
        return KIRIM_DNS_EESCAPE;
    }
    *out = (uint8_t)number;
    return KIRIM_OK;
}

/* Takes a label up to a dot or the end; `*at` then stands there. */
static kirim_err take_label(const char *text, size_t bytes, size_t *at, struct kirim_dns_name *out,
                            size_t *used)
{
    uint8_t label[KIRIM_DNS_LABEL_BYTES_MAX];
    size_t count = 0;
    while (*at < bytes && text[*at] != '.') {
        if (count == sizeof label) {
            return KIRIM_DNS_ELABEL;
        }
        const kirim_err err = take_character(text, bytes, at, &label[count++]);
        if (err < 0) {
            return err;
        }
    }
    return count == 0 ? KIRIM_DNS_EEMPTY : add_label(out, used, label, count);
}

kirim_err kirim_dns_name_parse(const char *text, size_t bytes, const struct kirim_dns_name *origin,
                               struct kirim_dns_name *out)
{
    struct kirim_dns_name found;
    size_t used = 0;
    size_t at = 0;
    if (bytes == 1 && text[0] == '.') {
        kirim_dns_name_root(out);
        return KIRIM_OK;
    }
    found.label_count = 0;
    bool is_absolute = false;
    do {
        const kirim_err err = take_label(text, bytes, &at, &found, &used);
        if (err < 0) {
            return err;
        }
        is_absolute = at < bytes; /* take_label() stopped at a dot */
        at++;
    } while (at < bytes);
    if (is_absolute) {
        end_name(&found, used);
    } else if (origin == NULL) {
        return KIRIM_DNS_ERELATIVE;
    } else if (used + origin->bytes > KIRIM_DNS_NAME_BYTES_MAX) {
        return KIRIM_DNS_ENAME;
    } else {
        memcpy(found.wire + used, origin->wire, origin->bytes);
        found.bytes = (uint8_t)(used + origin->bytes);
        found.label_count = (uint8_t)(found.label_count + origin->label_count);
    }
    memcpy(out->wire, found.wire, found.bytes);
    out->bytes = found.bytes;
    out->label_count = found.label_count;
    return KIRIM_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void format_byte(struct ki_dns_text *text, uint8_t byte)
{
    static const char special[] = ".\\\"();@$";
    if (byte <= ' ' || byte >= 0x7f) {
        ki_dns_text_escape(text, byte);
        return;
    }
    if (memchr(special, byte, sizeof special - 1) != NULL) {
        ki_dns_text_byte(text, '\\');
    }
    ki_dns_text_byte(text, byte);
}

kirim_err kirim_dns_name_format(const struct kirim_dns_name *name, char *text, size_t room)
{
    struct ki_dns_text out;
    ki_dns_text_init(&out, text, room);
    size_t at = 0;
    while (name->wire[at] != 0) {
        for (size_t i = 1; i <= name->wire[at]; i++) {
            format_byte(&out, name->wire[at + i]);
        }
        ki_dns_text_byte(&out, '.');
        at += 1U + name->wire[at];
    }
    if (at == 0) {
        ki_dns_text_byte(&out, '.');
    }
    return out.is_cut ? KIRIM_EMSGSIZE : KIRIM_OK;
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* Lengths of labels are below 'A', so that folding leaves them as they are. */
static bool equal_folded(const uint8_t *a, const uint8_t *b, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (a[i] != b[i] && ki_dns_fold(a[i]) != ki_dns_fold(b[i])) {
            return false;
        }
    }
    return true;
}

bool kirim_dns_name_equal(const struct kirim_dns_name *a, const struct kirim_dns_name *b)
{
    return a->bytes == b->bytes && equal_folded(a->wire, b->wire, a->bytes);
}

void kirim_dns_name_offsets(const struct kirim_dns_name *name,
                            uint8_t out[KIRIM_DNS_LABEL_COUNT_MAX + 1])
{
    size_t at = 0;
    for (size_t i = 0; i < name->label_count; i++) {
        out[i] = (uint8_t)at;
        at += 1U + name->wire[at];
    }
    out[name->label_count] = (uint8_t)at;
}

static int compare_labels(const uint8_t *a, const uint8_t *b)
{
    const size_t shorter = a[0] < b[0] ? a[0] : b[0];
    for (size_t i = 1; i <= shorter; i++) {
        const int difference = ki_dns_fold(a[i]) - ki_dns_fold(b[i]);
        if (difference != 0) {
            return difference;
        }
    }
    return a[0] - b[0];
}

int kirim_dns_name_compare(const struct kirim_dns_name *a, const struct kirim_dns_name *b)
{
    uint8_t a_at[KIRIM_DNS_LABEL_COUNT_MAX + 1];
    uint8_t b_at[KIRIM_DNS_LABEL_COUNT_MAX + 1];
    kirim_dns_name_offsets(a, a_at);
    kirim_dns_name_offsets(b, b_at);
    size_t a_left = a->label_count;
    size_t b_left = b->label_count;
    while (a_left > 0 && b_left > 0) {
        const int difference = compare_labels(a->wire + a_at[--a_left], b->wire + b_at[--b_left]);
        if (difference != 0) {
            return difference;
        }
    }
    return a->label_count - b->label_count;
}

bool kirim_dns_name_is_within(const struct kirim_dns_name *name,
                              const struct kirim_dns_name *ancestor)
{
    if (name->label_count < ancestor->label_count || name->bytes < ancestor->bytes) {
        return false;
    }
    size_t at = 0;
    for (size_t i = ancestor->label_count; i < name->label_count; i++) {
        at += 1U + name->wire[at];
    }
    return name->bytes - at == ancestor->bytes &&
           equal_folded(name->wire + at, ancestor->wire, ancestor->bytes);
}

void kirim_dns_name_strip(const struct kirim_dns_name *name, size_t count,
                          struct kirim_dns_name *out)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        at += 1U + name->wire[at];
    }
    const size_t bytes = name->bytes - at;
    memmove(out->wire, name->wire + at, bytes);
    out->bytes = (uint8_t)bytes;
    out->label_count = (uint8_t)(name->label_count - count);
}
