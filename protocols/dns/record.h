/* SPDX-License-Identifier: MIT
 *
 * Types of records, and their data: checked, read from a message, written as text, read from text.
 *
 * Data that this code keeps and hands out are uncompressed. Types that it does not know are bytes,
 * written as RFC 3597 says. Owns nothing. Any thread. Sources: RFC 1035 sections 3.3 and 5.1,
 * RFC 2782, RFC 3596, RFC 3597, RFC 4034 section 5, RFC 5952, RFC 8659.
 */
#ifndef KIRIM_DNS_RECORD_H
#define KIRIM_DNS_RECORD_H

#include "name.h"

/** A record without its owner. */
struct kirim_dns_record {
    uint16_t type;        /**< KIRIM_DNS_A and so on, or another number. */
    uint16_t dns_class;   /**< KIRIM_DNS_CLASS_IN, or another number; of OPT something else. */
    uint32_t ttl;         /**< In seconds; of OPT something else. */
    uint16_t rdata_bytes; /**< Of `rdata`. */
    const uint8_t *rdata; /**< Lent by whoever holds the bytes. */
};

/** A word of a record's data as text: a slice, its escapes still in it. */
struct kirim_dns_word {
    const char *text; /**< Without quotes; not closed by a zero. */
    size_t bytes;     /**< Of `text`. */
    uint32_t line;    /**< Where it stands, for messages about it. */
    uint32_t column;  /**< Counted from 1. */
    bool is_quoted;   /**< It stood in quotes. */
};

/** What is wrong with a record's data as text. */
struct kirim_dns_complaint {
    size_t word;      /**< Index of the word; that behind the last one if something is missing. */
    const char *text; /**< Static, without a full stop. */
};

/** Bytes that the name of every type fits in, the closing zero included. */
#define KIRIM_DNS_TYPE_TEXT_BYTES 12

/** @brief Writes the name of a type: "MX", or "TYPE65280" for one that is not known. */
void kirim_dns_type_format(uint16_t type, char text[KIRIM_DNS_TYPE_TEXT_BYTES]);

/**
 * @brief Reads a type: its name in any case, or TYPE and a number (RFC 3597 section 5).
 *
 * @param text   Not closed by a zero.
 * @param bytes  Of it.
 * @param out    Written on success only.
 * @retval KIRIM_OK         Read.
 * @retval KIRIM_DNS_EFORM  Not a type.
 */
kirim_err kirim_dns_type_parse(const char *text, size_t bytes, uint16_t *out);

/**
 * @brief Checks that data are what their type asks for, uncompressed, to the last byte.
 *
 * @param type   Any; of an unknown one all data are right.
 * @param rdata  The data.
 * @param bytes  Of them.
 * @retval KIRIM_OK          They are.
 * @retval KIRIM_DNS_ESHORT  They end too early.
 * @retval KIRIM_DNS_EFORM   Bytes are left over, a name is compressed, or a field is wrong.
 */
kirim_err kirim_dns_rdata_check(uint16_t type, const uint8_t *rdata, size_t bytes);

/**
 * @brief Takes the data of a record out of a message: names uncompressed, everything checked.
 *
 * @param message  The whole message.
 * @param record   As kirim_dns_message_record() gave it: `rdata` points into `message`.
 * @param out      Gets the data; KIRIM_DNS_RDATA_BYTES_MAX suffices always.
 * @retval KIRIM_OK        Read.
 * @retval KIRIM_EMSGSIZE  Too little room.
 * @return Also what kirim_dns_name_read() and kirim_dns_rdata_check() answer.
 */
kirim_err kirim_dns_rdata_read(struct kirim_dns_span message, const struct kirim_dns_record *record,
                               struct kirim_dns_room *out);

/**
 * @brief Writes data as text, as a zone file has them, on one line.
 *
 * @param record  Its type and its uncompressed data are written; data that are not what the type
 *                asks for as those of an unknown type.
 * @param text    Gets the text, closed with a zero.
 * @param room    Of `text`, at least 1.
 * @retval KIRIM_OK        Written.
 * @retval KIRIM_EMSGSIZE  `room` is too small; `text` holds the beginning.
 */
kirim_err kirim_dns_rdata_format(const struct kirim_dns_record *record, char *text, size_t room);

/** Where text becomes data; start from KIRIM_DNS_RDATA_PARSE_INIT. */
struct kirim_dns_rdata_parse {
    size_t size;                          /**< sizeof. */
    const struct kirim_dns_word *words;   /**< The fields. */
    size_t word_count;                    /**< Of them. */
    const struct kirim_dns_name *origin;  /**< Of relative names; may be NULL. */
    struct kirim_dns_room out;            /**< Gets the data. */
    struct kirim_dns_complaint complaint; /**< Set on failure. */
};

/** Initialises the structure: nothing to read, no room. */
#define KIRIM_DNS_RDATA_PARSE_INIT                   \
    {                                                \
        .size = sizeof(struct kirim_dns_rdata_parse) \
    }

/**
 * @brief Reads data from words of text, in the type's own form or in that of RFC 3597 (`\#`).
 *
 * @param type   Any; of an unknown one only the latter form exists.
 * @param parse  What to read, and where the result goes.
 * @retval KIRIM_OK         `out.bytes` is set.
 * @retval KIRIM_DNS_EFORM  `complaint` says what is wrong.
 */
kirim_err kirim_dns_rdata_parse(uint16_t type, struct kirim_dns_rdata_parse *parse);

/**
 * @brief Reads a time in seconds: a number, or numbers with units as in "1h30m" (w, d, h, m, s).
 *
 * @param text   Not closed by a zero.
 * @param bytes  Of it.
 * @param max    Largest one permitted.
 * @param out    Written on success only.
 * @retval KIRIM_OK         Read.
 * @retval KIRIM_DNS_EFORM  Not a time, or above `max`.
 */
kirim_err kirim_dns_seconds_parse(const char *text, size_t bytes, uint32_t max, uint32_t *out);

#endif
