/* SPDX-License-Identifier: MIT
 *
 * Zone files cut into entries, and entries into words, by the rules of RFC 1035 section 5.1: lines,
 * parentheses that join lines, comments, quotes, escapes. Words are slices of the text, their
 * escapes still in them. Owns nothing. Any thread.
 */
#ifndef KI_DNS_LEXER_H
#define KI_DNS_LEXER_H

#include "record.h"

enum { KI_DNS_WORD_COUNT_MAX = 1024 };

struct ki_dns_lexer {
    const char *text;
    size_t bytes;
    size_t at;
    size_t line_at; /* where the line begins that `at` is in */
    uint32_t line;  /* its number, from 1 */
};

/* One record or directive. */
struct ki_dns_entry {
    bool is_indented; /* its line begins with a blank: the owner is that of the entry before */
    size_t word_count;
    struct kirim_dns_word words[KI_DNS_WORD_COUNT_MAX];
    uint32_t end_line; /* where it ends: what is missing is missing here */
    uint32_t end_column;
};

void ki_dns_lexer_init(struct ki_dns_lexer *lexer, const char *text, size_t bytes);

/* Takes the next entry; with `word_count` 0 there is none left. NULL, or what is wrong, a static
 * text; it stands where the lexer is: `line`, and ki_dns_lexer_column(). */
const char *ki_dns_lexer_next(struct ki_dns_lexer *lexer, struct ki_dns_entry *entry);

uint32_t ki_dns_lexer_column(const struct ki_dns_lexer *lexer);

#endif
