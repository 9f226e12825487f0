/* SPDX-License-Identifier: MIT
 *
 * Zone files cut into entries: see lexer.h.
 */
#include "lexer.h"

void ki_dns_lexer_init(struct ki_dns_lexer *lexer, const char *text, size_t bytes)
{
    *lexer = (struct ki_dns_lexer){ .text = text, .bytes = bytes, .line = 1 };
}

uint32_t ki_dns_lexer_column(const struct ki_dns_lexer *lexer)
{
    return (uint32_t)(lexer->at - lexer->line_at + 1);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool ends_word(char c)
{
    return is_blank(c) || c == '\n' || c == ';' || c == '(' || c == ')';
}

static bool is_control(char c)
{
    return (uint8_t)c < ' ' && !is_blank(c) && c != '\n';
}

static void end_line(struct ki_dns_lexer *lexer)
{
    lexer->at++;
    lexer->line_at = lexer->at;
    lexer->line++;
}

static void skip_comment(struct ki_dns_lexer *lexer)
{
    while (lexer->at < lexer->bytes && lexer->text[lexer->at] != '\n') {
        lexer->at++;
    }
}

/* Moves behind the word that begins here: up to a closing quote, or to what ends a word. */
static const char *skip_word(struct ki_dns_lexer *lexer, bool is_quoted)
{
    for (; lexer->at < lexer->bytes; lexer->at++) {
        const char c = lexer->text[lexer->at];
        if (is_quoted ? c == '"' : ends_word(c)) {
            return NULL;
        }
        if (is_control(c)) {
            return "a control character";
        }
        if (c == '\n') {
            return "a string without its closing quote";
        }
        if (c == '"') {
            return "a quote inside a word";
        }
        if (c == '\\') {
            lexer->at++; /* what it escapes is part of the word */
            if (lexer->at == lexer->bytes || lexer->text[lexer->at] == '\n') {
                return "a backslash at the end of the line";
            }
        }
    }
    return is_quoted ? "a string without its closing quote" : NULL;
}

static const char *take_word(struct ki_dns_lexer *lexer, struct ki_dns_entry *entry)
{
    const bool is_quoted = lexer->text[lexer->at] == '"';
    if (entry->word_count == KI_DNS_WORD_COUNT_MAX) {
        return "more than 1024 words in one entry";
    }
    struct kirim_dns_word *const word = &entry->words[entry->word_count];
    word->line = lexer->line;
    word->column = ki_dns_lexer_column(lexer);
    word->is_quoted = is_quoted;
    lexer->at += is_quoted ? 1 : 0;
    word->text = lexer->text + lexer->at;
    const char *const why = skip_word(lexer, is_quoted);
    if (why != NULL) {
        return why;
    }
    word->bytes = (size_t)(lexer->text + lexer->at - word->text);
    lexer->at += is_quoted ? 1 : 0;
    entry->word_count++;
    return NULL;
}

/* Works off one thing that is not a word's: a blank, a comment, a parenthesis. */
static const char *take_mark(struct ki_dns_lexer *lexer, bool *is_joined)
{
    const char c = lexer->text[lexer->at];
    if (c == ';') {
        skip_comment(lexer);
        return NULL;
    }
    if (c == '(' || c == ')') {
        if (*is_joined == (c == '(')) {
            return c == '(' ? "a parenthesis inside parentheses"
                            : "a closing parenthesis without an opening one";
        }
        *is_joined = c == '(';
    }
    lexer->at++;
    return NULL;
}

const char *ki_dns_lexer_next(struct ki_dns_lexer *lexer, struct ki_dns_entry *entry)
{
    bool is_joined = false; /* inside parentheses */
    const char *why = NULL;
    entry->word_count = 0;
    while (lexer->at < lexer->bytes && why == NULL) {
        const char c = lexer->text[lexer->at];
        if (c == '\n') {
            if (entry->word_count > 0 && !is_joined) {
                break;
            }
            end_line(lexer);
        } else if (is_blank(c) || c == ';' || c == '(' || c == ')') {
            why = take_mark(lexer, &is_joined);
        } else {
            if (entry->word_count == 0) {
                entry->is_indented =
                    lexer->at > lexer->line_at && is_blank(lexer->text[lexer->line_at]);
            }
            why = take_word(lexer, entry);
        }
    }
    if (why == NULL && is_joined) {
        why = "a parenthesis that is not closed";
    }
    entry->end_line = lexer->line;
    entry->end_column = ki_dns_lexer_column(lexer);
    return why;
}
