/* SPDX-License-Identifier: MIT
 *
 * CoAP: what all parts share: kinds of message, codes, options, content formats, times, and spans
 * of bytes. Values and pure functions. Sources: RFC 7252 sections 3, 4.8, 5.10 and 12, RFC 7641,
 * RFC 7959, RFC 8132, RFC 8768, RFC 7967, RFC 9175.
 */
#ifndef KIRIM_COAP_COAP_H
#define KIRIM_COAP_COAP_H

#include <kirim/addr.h>
#include <kirim/config.h>
#include <kirim/error.h>

/** Bytes of somebody else's. */
struct kirim_coap_span {
    const uint8_t *data; /**< May be NULL if `bytes` is 0. */
    size_t bytes;        /**< How many. */
};

/** Kinds of message. */
enum {
    KIRIM_COAP_CON = 0, /**< Confirmable: sent again until it is acknowledged. */
    KIRIM_COAP_NON = 1, /**< Not confirmable: sent once. */
    KIRIM_COAP_ACK = 2, /**< Acknowledges, and may carry a response. */
    KIRIM_COAP_RST = 3  /**< Says that a message made no sense here. */
};

/** A code from its class and its detail: 4.04 is KIRIM_COAP_CODE(4, 4). */
#define KIRIM_COAP_CODE(class, detail) ((class) << 5 | (detail))

/** Codes of requests and responses. */
enum {
    KIRIM_COAP_EMPTY = 0,                                     /**< 0.00. */
    KIRIM_COAP_GET = 1,                                       /**< 0.01. */
    KIRIM_COAP_POST = 2,                                      /**< 0.02. */
    KIRIM_COAP_PUT = 3,                                       /**< 0.03. */
    KIRIM_COAP_DELETE = 4,                                    /**< 0.04. */
    KIRIM_COAP_FETCH = 5,                                     /**< 0.05. */
    KIRIM_COAP_PATCH = 6,                                     /**< 0.06. */
    KIRIM_COAP_IPATCH = 7,                                    /**< 0.07. */
    KIRIM_COAP_CREATED = KIRIM_COAP_CODE(2, 1),               /**< 2.01. */
    KIRIM_COAP_DELETED = KIRIM_COAP_CODE(2, 2),               /**< 2.02. */
    KIRIM_COAP_VALID = KIRIM_COAP_CODE(2, 3),                 /**< 2.03. */
    KIRIM_COAP_CHANGED = KIRIM_COAP_CODE(2, 4),               /**< 2.04. */
    KIRIM_COAP_CONTENT = KIRIM_COAP_CODE(2, 5),               /**< 2.05. */
    KIRIM_COAP_CONTINUE = KIRIM_COAP_CODE(2, 31),             /**< 2.31. */
    KIRIM_COAP_BAD_REQUEST = KIRIM_COAP_CODE(4, 0),           /**< 4.00. */
    KIRIM_COAP_UNAUTHORIZED = KIRIM_COAP_CODE(4, 1),          /**< 4.01. */
    KIRIM_COAP_BAD_OPTION = KIRIM_COAP_CODE(4, 2),            /**< 4.02. */
    KIRIM_COAP_FORBIDDEN = KIRIM_COAP_CODE(4, 3),             /**< 4.03. */
    KIRIM_COAP_NOT_FOUND = KIRIM_COAP_CODE(4, 4),             /**< 4.04. */
    KIRIM_COAP_METHOD_NOT_ALLOWED = KIRIM_COAP_CODE(4, 5),    /**< 4.05. */
    KIRIM_COAP_NOT_ACCEPTABLE = KIRIM_COAP_CODE(4, 6),        /**< 4.06. */
    KIRIM_COAP_INCOMPLETE = KIRIM_COAP_CODE(4, 8),            /**< 4.08. */
    KIRIM_COAP_PRECONDITION_FAILED = KIRIM_COAP_CODE(4, 12),  /**< 4.12. */
    KIRIM_COAP_TOO_LARGE = KIRIM_COAP_CODE(4, 13),            /**< 4.13. */
    KIRIM_COAP_UNSUPPORTED_FORMAT = KIRIM_COAP_CODE(4, 15),   /**< 4.15. */
    KIRIM_COAP_INTERNAL_ERROR = KIRIM_COAP_CODE(5, 0),        /**< 5.00. */
    KIRIM_COAP_NOT_IMPLEMENTED = KIRIM_COAP_CODE(5, 1),       /**< 5.01. */
    KIRIM_COAP_UNAVAILABLE = KIRIM_COAP_CODE(5, 3),           /**< 5.03. */
    KIRIM_COAP_PROXYING_NOT_SUPPORTED = KIRIM_COAP_CODE(5, 5) /**< 5.05. */
};

/** Numbers of options. Odd ones are critical. */
enum {
    KIRIM_COAP_IF_MATCH = 1,        /**< Opaque, 0..8 bytes, repeatable. */
    KIRIM_COAP_URI_HOST = 3,        /**< Text. */
    KIRIM_COAP_ETAG = 4,            /**< Opaque, 1..8 bytes, repeatable in requests. */
    KIRIM_COAP_IF_NONE_MATCH = 5,   /**< Empty. */
    KIRIM_COAP_OBSERVE = 6,         /**< Number of 24 bits. */
    KIRIM_COAP_URI_PORT = 7,        /**< Number. */
    KIRIM_COAP_LOCATION_PATH = 8,   /**< Text, repeatable. */
    KIRIM_COAP_URI_PATH = 11,       /**< Text, repeatable. */
    KIRIM_COAP_CONTENT_FORMAT = 12, /**< Number, KIRIM_COAP_FORMAT_.... */
    KIRIM_COAP_MAX_AGE = 14,        /**< Seconds. */
    KIRIM_COAP_URI_QUERY = 15,      /**< Text, repeatable. */
    KIRIM_COAP_HOP_LIMIT = 16,      /**< For proxies. */
    KIRIM_COAP_ACCEPT = 17,         /**< Number, KIRIM_COAP_FORMAT_.... */
    KIRIM_COAP_LOCATION_QUERY = 20, /**< Text, repeatable. */
    KIRIM_COAP_BLOCK2 = 23,         /**< Block of a response. */
    KIRIM_COAP_BLOCK1 = 27,         /**< Block of a request. */
    KIRIM_COAP_SIZE2 = 28,          /**< Bytes of a response's body. */
    KIRIM_COAP_PROXY_URI = 35,      /**< Text. */
    KIRIM_COAP_PROXY_SCHEME = 39,   /**< Text. */
    KIRIM_COAP_SIZE1 = 60,          /**< Bytes of a request's body. */
    KIRIM_COAP_ECHO = 252,          /**< Opaque, 1..40 bytes. */
    KIRIM_COAP_NO_RESPONSE = 258,   /**< Bits of classes that are not wanted. */
    KIRIM_COAP_REQUEST_TAG = 292    /**< Opaque, 0..8 bytes, repeatable. */
};

/** Content formats; and none. */
enum {
    KIRIM_COAP_FORMAT_TEXT = 0,      /**< text/plain in UTF-8. */
    KIRIM_COAP_FORMAT_LINKS = 40,    /**< application/link-format. */
    KIRIM_COAP_FORMAT_OCTETS = 42,   /**< application/octet-stream. */
    KIRIM_COAP_FORMAT_JSON = 50,     /**< application/json. */
    KIRIM_COAP_FORMAT_NONE = 0x10000 /**< No such option. */
};

/** Bounds and ports. */
enum {
    KIRIM_COAP_PORT = 5683,                      /**< Of coap. */
    KIRIM_COAP_SECURE_PORT = 5684,               /**< Of coaps. */
    KIRIM_COAP_HEADER_BYTES = 4,                 /**< Of every message. */
    KIRIM_COAP_TOKEN_BYTES_MAX = 8,              /**< Of a token. */
    KIRIM_COAP_ETAG_BYTES_MAX = 8,               /**< Of an ETag and of a Request-Tag. */
    KIRIM_COAP_ECHO_BYTES_MAX = 40,              /**< Of an Echo. */
    KIRIM_COAP_MESSAGE_BYTES_MAX = 1152,         /**< Of a message (RFC 7252 section 4.6). */
    KIRIM_COAP_BLOCK_BYTES_MAX = 1024,           /**< Of a block. */
    KIRIM_COAP_BLOCK_NUMBER_MAX = (1 << 20) - 1, /**< Of a block: its highest number. */
    KIRIM_COAP_MAX_AGE_S = 60                    /**< Of a response that does not say. */
};

/** A message may come again for so long: a confirmable one (RFC 7252 section 4.8.2). */
#define KIRIM_COAP_EXCHANGE_LIFETIME_NS UINT64_C(247000000000)
/** The same of one that is not confirmable. */
#define KIRIM_COAP_NON_LIFETIME_NS UINT64_C(145000000000)
/** Answers to a group's request are spread over this time. */
#define KIRIM_COAP_LEISURE_NS UINT64_C(5000000000)
/** A request that is not answered by then gets an empty acknowledgement. */
#define KIRIM_COAP_PROCESSING_NS UINT64_C(1000000000)

/** Room for a code as text: "4.04". */
#define KIRIM_COAP_CODE_TEXT_BYTES 8

/** @brief Class of a code: 0 of a request, 2 of success, 4 and 5 of errors. Any thread. */
static inline unsigned kirim_coap_class(uint8_t code)
{
    return code >> 5;
}

/** @brief Whether a code is that of a request. Any thread. */
static inline bool kirim_coap_is_request(uint8_t code)
{
    return code != KIRIM_COAP_EMPTY && kirim_coap_class(code) == 0;
}

/** @brief Whether a code is that of a response. Any thread. */
static inline bool kirim_coap_is_response(uint8_t code)
{
    return kirim_coap_class(code) == 2 || kirim_coap_class(code) == 4 ||
           kirim_coap_class(code) == 5;
}

/** @brief Whether two spans hold the same bytes. Any thread. */
bool kirim_coap_span_equal(struct kirim_coap_span a, struct kirim_coap_span b);

/** @brief The bytes of a text without its closing zero. Any thread. */
struct kirim_coap_span kirim_coap_span_text(const char *text);

/**
 * @brief Writes a code as people do, e.g. "4.04".
 *
 * @param code  Any code.
 * @param text  Gets KIRIM_COAP_CODE_TEXT_BYTES at the most, zero-terminated.
 * @note Any thread.
 */
void kirim_coap_code_text(uint8_t code, char text[KIRIM_COAP_CODE_TEXT_BYTES]);

/** @brief What a code means, e.g. "not found"; "?" for one that has no name here. Static. Any
 * thread. */
const char *kirim_coap_code_name(uint8_t code);

#endif
