/* SPDX-License-Identifier: MIT
 *
 * An answer that somebody else gave and that is told to others: checked to its last record, without
 * EDNS, with the time for which it is good.
 *
 * Its bytes stay as they came, so that whatever is compressed in it stays right; what changes from
 * one asker to the next is written over them: identifier, flags, the case of the question, and the
 * times to live. Owns nothing but its bytes. Any thread. Sources: RFC 1035 section 7.3, RFC 2181
 * sections 5.2, 8 and 9, RFC 2308 sections 2, 3 and 5, RFC 6891 section 6.1.1.
 */
#ifndef KIRIM_DNS_KEPT_H
#define KIRIM_DNS_KEPT_H

#include "guard.h"

enum {
    /** Records of the largest message: each has at least 11 bytes. */
    KIRIM_DNS_KEPT_RECORD_COUNT_MAX = (KIRIM_DNS_UDP_BYTES - KIRIM_DNS_HEADER_BYTES) / 11
};

/** Where the parts of a kept answer are. */
struct kirim_dns_kept_form {
    uint16_t rcode;           /**< Result, at most 15. */
    uint16_t end[4];          /**< Where the question and each section end. */
    uint16_t record_count[4]; /**< By KIRIM_DNS_SECTION_...; the first is the question's 1. */
    bool is_truncated;        /**< It said TC: whoever gave it had more. */
    bool is_negative;         /**< No such name, or none of this type. */
    uint32_t lifetime_s;      /**< How long it is good; 0: for who asks now only. */
};

/** A kept answer. */
struct kirim_dns_kept {
    struct kirim_dns_kept_form form;                  /**< Where what is. */
    uint16_t ttl_at[KIRIM_DNS_KEPT_RECORD_COUNT_MAX]; /**< Where the times to live are. */
    uint8_t wire[KIRIM_DNS_UDP_BYTES];                /**< Header, question, records. */
};

/** How long answers may be kept at the most, in seconds. */
struct kirim_dns_kept_limits {
    uint32_t positive_s; /**< Of answers. */
    uint32_t negative_s; /**< Of those that say that there is nothing (RFC 2308 section 5). */
};

/**
 * @brief Takes an answer.
 *
 * @param message  A response with a question, read by kirim_dns_message_read(), at most
 *                 KIRIM_DNS_UDP_BYTES long.
 * @param limits   Bounds of its lifetime.
 * @param out      Gets the answer.
 * @retval KIRIM_OK         Taken. Records behind the OPT record were left out.
 * @retval KIRIM_DNS_EFORM  A record of another class than the question's; too long; no question; a
 *                          result that is none for others.
 * @return Also what kirim_dns_rdata_read() answers: each record is checked.
 */
kirim_err kirim_dns_kept_take(const struct kirim_dns_message *message,
                              const struct kirim_dns_kept_limits *limits,
                              struct kirim_dns_kept *out);

/**
 * @brief Makes an answer without records, such as SERVFAIL.
 *
 * @param question    What was asked.
 * @param rcode       At most 15.
 * @param lifetime_s  How long it is good.
 * @param out         Gets the answer.
 */
void kirim_dns_kept_make(const struct kirim_dns_question *question, uint16_t rcode,
                         uint32_t lifetime_s, struct kirim_dns_kept *out);

/** A kept answer wherever its bytes lie. */
struct kirim_dns_kept_view {
    const struct kirim_dns_kept_form *form; /**< Where what is. */
    const uint16_t *ttl_at;                 /**< One for each record. */
    const uint8_t *wire;                    /**< `form->end[3]` bytes. */
    uint32_t age_s;                         /**< How long it was kept. */
};

/** @brief Records of all sections. */
static inline size_t kirim_dns_kept_record_count(const struct kirim_dns_kept_form *form)
{
    return (size_t)form->record_count[1] + form->record_count[2] + form->record_count[3];
}

/**
 * @brief Writes the answer for one asker. What does not fit is left out by whole sections; TC says
 *        so if it is one that is needed.
 *
 * @param view       The answer.
 * @param caller     Who asks.
 * @param name       The question's name in the asker's letters.
 * @param udp_bytes  The server's own limit.
 * @param reply      At least KIRIM_DNS_PLAIN_BYTES_MAX; `bytes` is set.
 */
void kirim_dns_kept_write(const struct kirim_dns_kept_view *view,
                          const struct kirim_dns_caller *caller, const struct kirim_dns_name *name,
                          uint16_t udp_bytes, struct kirim_dns_room *reply);

#endif
