/* SPDX-License-Identifier: MIT
 *
 * What the options of a message say: those that are known here, read into fields, and the first
 * one that is critical and not understood. Sources: RFC 7252 sections 5.4 and 5.10, RFC 7641, RFC
 * 7959, RFC 7967, RFC 9175.
 */
#ifndef KIRIM_COAP_OPTION_H
#define KIRIM_COAP_OPTION_H

#include <kirim/siphash.h>

#include "message.h"

/** Which fields were there. */
enum {
    KIRIM_COAP_HAS_IF_MATCH = 1,       /**< At least one. */
    KIRIM_COAP_HAS_IF_NONE_MATCH = 2,  /**< It was. */
    KIRIM_COAP_HAS_ETAG = 4,           /**< At least one; the first is in `etag`. */
    KIRIM_COAP_HAS_OBSERVE = 8,        /**< `observe`. */
    KIRIM_COAP_HAS_BLOCK1 = 16,        /**< `block1`. */
    KIRIM_COAP_HAS_BLOCK2 = 32,        /**< `block2`. */
    KIRIM_COAP_HAS_SIZE1 = 64,         /**< `size1`. */
    KIRIM_COAP_HAS_SIZE2 = 128,        /**< `size2`. */
    KIRIM_COAP_HAS_ECHO = 256,         /**< `echo`. */
    KIRIM_COAP_HAS_PROXY = 512,        /**< Proxy-Uri or Proxy-Scheme. */
    KIRIM_COAP_HAS_BAD_PATH = 1024,    /**< A segment "." or "..". */
    KIRIM_COAP_HAS_LOCATION = 2048,    /**< Location-Path or Location-Query. */
    KIRIM_COAP_HAS_MAX_AGE = 4096,     /**< `max_age_s`. */
    KIRIM_COAP_HAS_NO_RESPONSE = 8192, /**< `no_response`. */
    KIRIM_COAP_HAS_QUERY = 16384       /**< At least one Uri-Query. */
};

/** What the options of a message say. */
struct kirim_coap_fields {
    uint32_t has;            /**< KIRIM_COAP_HAS_.... */
    uint16_t bad_option;     /**< The first critical option that is not understood, is of a wrong
                                  length, or was there twice; 0: none. */
    uint8_t no_response;     /**< Classes not wanted: 2, 8 and 16 for 2.xx, 4.xx and 5.xx. */
    uint32_t content_format; /**< Or KIRIM_COAP_FORMAT_NONE. */
    uint32_t accept;         /**< Or KIRIM_COAP_FORMAT_NONE. */
    uint32_t max_age_s;      /**< 60, if it was not there. */
    uint32_t observe;        /**< 24 bits. */
    uint32_t size1;          /**< Of the request's body. */
    uint32_t size2;          /**< Of the response's body. */
    struct kirim_coap_block block1; /**< Of the request's body. */
    struct kirim_coap_block block2; /**< Of the response's body. */
    struct kirim_coap_span etag;    /**< The first. */
    struct kirim_coap_span echo;    /**< 1..40 bytes. */
};

/**
 * @brief Reads the options of a message. An elective one that is unknown, of a wrong length, or
 * there twice is passed over.
 *
 * @param message  Parsed.
 * @param out      What they say.
 * @note Any thread.
 */
void kirim_coap_fields_read(const struct kirim_coap_message *message,
                            struct kirim_coap_fields *out);

/**
 * @brief Writes the path of a request, or the location of a response, as a text: segments parted
 * by slashes, none in front; bytes that a segment of a URI cannot have are written as %XX.
 *
 * @param message  Parsed.
 * @param number   KIRIM_COAP_URI_PATH or KIRIM_COAP_LOCATION_PATH.
 * @param text     Gets the text, zero-terminated.
 * @param room     Bytes there.
 * @retval KIRIM_OK        Written.
 * @retval KIRIM_EMSGSIZE  There is too little room.
 * @note Any thread.
 */
kirim_err kirim_coap_path_text(const struct kirim_coap_message *message, uint16_t number,
                               char *text, size_t room);

/** @brief Whether one of a message's options of this number has this value. Any thread. */
bool kirim_coap_has_value(const struct kirim_coap_message *message, uint16_t number,
                          struct kirim_coap_span value);

/** @brief The number behind a query's name and its equals sign, e.g. 5 of "n=5" for "n";
 * `otherwise` if there is none, or it is no number below 2^31. An empty name takes a query that is
 * nothing but a number. Any thread. */
uint32_t kirim_coap_query_number(const struct kirim_coap_message *message, const char *name,
                                 uint32_t otherwise);

/**
 * @brief A keyed digest of what makes the requests of one body belong together: method and all
 * options, but for blocks, sizes, Echo, No-Response and Observe; Request-Tags count.
 *
 * @param message  Parsed.
 * @param key      Random bytes.
 * @return The digest.
 * @note Any thread. Source: RFC 9175 section 3.2, RFC 7959 section 2.5.
 */
uint64_t kirim_coap_request_digest(const struct kirim_coap_message *message,
                                   const uint8_t key[KIRIM_SIPHASH_KEY_BYTES]);

#endif
