/* SPDX-License-Identifier: MIT
 *
 * The form of a type's data, as a string with one letter for each field, and what walks over data
 * by it. Shared by what reads, writes and compresses records. Owns nothing. Any thread.
 */
#ifndef KI_DNS_FORM_H
#define KI_DNS_FORM_H

#include "record.h"
#include "wire.h"

/* Letters of a form. Names may be compressed in the types of RFC 1035 only (RFC 3597 section 4). */
enum {
    KI_DNS_FIELD_NAME = 'N',   /* a name that may be compressed */
    KI_DNS_FIELD_TARGET = 'D', /* a name that may not */
    KI_DNS_FIELD_8 = '1',      /* a number */
    KI_DNS_FIELD_16 = '2',
    KI_DNS_FIELD_32 = '4',
    KI_DNS_FIELD_SECONDS = 'T', /* 32 bits */
    KI_DNS_FIELD_IPV4 = 'A',
    KI_DNS_FIELD_IPV6 = '6',
    KI_DNS_FIELD_STRINGS = 'S', /* character-strings, one or more, up to the end */
    KI_DNS_FIELD_TAG = 'G',     /* a character-string of letters and digits, not empty */
    KI_DNS_FIELD_REST = 'V',    /* all bytes that are left, as a string */
    KI_DNS_FIELD_HEX = 'X'      /* all bytes that are left, at least one, as hexadecimal digits */
};

struct ki_dns_form {
    uint16_t type;
    const char *name;
    const char *fields;
    const char *usage; /* what a zone file gives, for messages */
};

/* The form of a type, or NULL for one that is not known. */
const struct ki_dns_form *ki_dns_form_of(uint16_t type);

/* Bytes of the field at the cursor in uncompressed data. The cursor moves behind it. */
kirim_err ki_dns_field_take(char field, struct ki_dns_cursor *cursor, const uint8_t **data,
                            size_t *bytes);

/* Addresses as text. */
bool ki_dns_ipv4_parse(const char *text, size_t bytes, uint8_t out[4]);
bool ki_dns_ipv6_parse(const char *text, size_t bytes, uint8_t out[16]);

#endif
