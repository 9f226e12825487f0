/* SPDX-License-Identifier: MIT
 *
 * Domain names as plain values in wire form, uncompressed, their case kept.
 *
 * A name is always whole: its last label is the root. Comparison ignores the case of ASCII letters
 * and of nothing else. Owns nothing. Any thread. Sources: RFC 1035 sections 2.3.1, 3.1, 4.1.4 and
 * 5.1, RFC 4034 section 6.1, RFC 4343.
 */
#ifndef KIRIM_DNS_NAME_H
#define KIRIM_DNS_NAME_H

#include "dns.h"

/** A name; made by the functions below. Only the first `bytes` of `wire` mean something. */
struct kirim_dns_name {
    uint8_t bytes;                          /**< Of `wire`, 1..255; 1 is the root. */
    uint8_t label_count;                    /**< Without the root, 0..127. */
    uint8_t wire[KIRIM_DNS_NAME_BYTES_MAX]; /**< Labels, each behind its length; then a zero. */
};

/** Bytes that every name fits in as text, the closing zero included. */
#define KIRIM_DNS_NAME_TEXT_BYTES 1008

/** @brief Makes `out` the root. */
void kirim_dns_name_root(struct kirim_dns_name *out);

/**
 * @brief Reads a name from a message, following its compression pointers.
 *
 * A pointer leads to before the place where the labels that hold it began, and not into the header;
 * so there is no loop. At most KIRIM_DNS_POINTER_COUNT_MAX are followed.
 *
 * @param message  The whole message.
 * @param bytes    Of it.
 * @param at       Where the name begins; on success, behind it. Untouched on failure.
 * @param out      The name; what it holds after a failure means nothing.
 * @retval KIRIM_OK            Read.
 * @retval KIRIM_DNS_ESHORT    The message ends inside the name.
 * @retval KIRIM_DNS_EFORM     A label of a kind that does not exist (RFC 6891 section 5).
 * @retval KIRIM_DNS_EPOINTER  A pointer that does not go back, or too many of them.
 * @retval KIRIM_DNS_ENAME     Longer than a name may be.
 */
kirim_err kirim_dns_name_read(const uint8_t *message, size_t bytes, size_t *at,
                              struct kirim_dns_name *out);

/**
 * @brief Reads a name from text.
 *
 * Labels are divided by dots; `\X` is the character X, `\DDD` the byte of that decimal number. A
 * name without a dot at its end is relative to `origin`. "." is the root.
 *
 * @param text    Not closed by a zero.
 * @param bytes   Of it.
 * @param origin  NULL: a relative name is an error.
 * @param out     The name; what it holds after a failure means nothing. May be `origin`.
 * @retval KIRIM_OK             Read.
 * @retval KIRIM_DNS_EEMPTY     No text, or two dots in a row, or one at the start.
 * @retval KIRIM_DNS_ELABEL     A label that is too long.
 * @retval KIRIM_DNS_ENAME      A name that is too long.
 * @retval KIRIM_DNS_EESCAPE    A bad escape.
 * @retval KIRIM_DNS_ERELATIVE  Relative, and no origin.
 */
kirim_err kirim_dns_name_parse(const char *text, size_t bytes, const struct kirim_dns_name *origin,
                               struct kirim_dns_name *out);

/**
 * @brief Writes a name as text with a dot at its end, such that kirim_dns_name_parse() reads the
 * very same bytes.
 *
 * @param name   The name.
 * @param text   Gets the text, closed with a zero.
 * @param room   Of `text`, at least 1; KIRIM_DNS_NAME_TEXT_BYTES suffices for every name.
 * @retval KIRIM_OK        Written.
 * @retval KIRIM_EMSGSIZE  `room` is too small; `text` holds the beginning.
 */
kirim_err kirim_dns_name_format(const struct kirim_dns_name *name, char *text, size_t room);

/** @brief Whether two names are the same, whatever the case of their letters. */
bool kirim_dns_name_equal(const struct kirim_dns_name *a, const struct kirim_dns_name *b);

/**
 * @brief The canonical order of names (RFC 4034 section 6.1): by labels from the right, each by its
 * bytes with the letters in lower case.
 *
 * @return Negative, 0 or positive, as `a` stands before, at or behind `b`.
 */
int kirim_dns_name_compare(const struct kirim_dns_name *a, const struct kirim_dns_name *b);

/** @brief Whether `name` is `ancestor` or below it. */
bool kirim_dns_name_is_within(const struct kirim_dns_name *name,
                              const struct kirim_dns_name *ancestor);

/**
 * @brief What is left of a name when its first labels are taken away.
 *
 * @param name   The name.
 * @param count  How many labels to take, at most `name->label_count`.
 * @param out    The rest; may be `name`.
 */
void kirim_dns_name_strip(const struct kirim_dns_name *name, size_t count,
                          struct kirim_dns_name *out);

/**
 * @brief Where the labels of a name begin.
 *
 * @param name  The name.
 * @param out   out[i] is the offset in `wire` of label i; out[label_count] that of the root.
 */
void kirim_dns_name_offsets(const struct kirim_dns_name *name,
                            uint8_t out[KIRIM_DNS_LABEL_COUNT_MAX + 1]);

#endif
