/* SPDX-License-Identifier: MIT
 *
 * Text written piece by piece into room of known size. What does not fit is cut, and known to be:
 * `is_cut`. The text is closed with a zero at every moment. Owns nothing. Any thread.
 */
#ifndef KI_DNS_TEXT_H
#define KI_DNS_TEXT_H

#include <kirim/config.h>

struct ki_dns_text {
    char *data;
    size_t room;  /* the closing zero included */
    size_t bytes; /* without it */
    bool is_cut;
};

/* Begins an empty text; `room` is at least 1. */
void ki_dns_text_init(struct ki_dns_text *text, char *data, size_t room);

void ki_dns_text_byte(struct ki_dns_text *text, uint8_t byte);
void ki_dns_text_bytes(struct ki_dns_text *text, const void *data, size_t bytes);
void ki_dns_text_string(struct ki_dns_text *text, const char *string);
void ki_dns_text_number(struct ki_dns_text *text, uint64_t number);
void ki_dns_text_hex(struct ki_dns_text *text, const uint8_t *data, size_t bytes);

/* A byte that would be misread: "\DDD". */
void ki_dns_text_escape(struct ki_dns_text *text, uint8_t byte);

#endif
