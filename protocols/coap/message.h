/* SPDX-License-Identifier: MIT
 *
 * Messages of CoAP on the wire: parsing, walking options, writing. Bounded cursors over the
 * caller's bytes; nothing is owned. Sources: RFC 7252 section 3, RFC 7959 section 2.2.
 */
#ifndef KIRIM_COAP_MESSAGE_H
#define KIRIM_COAP_MESSAGE_H

#include "coap.h"

/** What kirim_coap_parse() says of a datagram. */
enum {
    KIRIM_COAP_PARSED = 0,    /**< A message. */
    KIRIM_COAP_NO_COAP = 1,   /**< Too short, or of another version: to be dropped in silence. */
    KIRIM_COAP_MALFORMED = 2, /**< Its header is good, the rest is not: type and id are set. */
};

/** A message; its spans lie in the datagram. */
struct kirim_coap_message {
    uint8_t type;        /**< KIRIM_COAP_CON .. KIRIM_COAP_RST. */
    uint8_t code;        /**< KIRIM_COAP_EMPTY, a request's or a response's. */
    uint16_t id;         /**< Message id. */
    uint8_t token_bytes; /**< 0..8. */
    uint8_t token[KIRIM_COAP_TOKEN_BYTES_MAX]; /**< The token. */
    struct kirim_coap_span options;            /**< As on the wire; walks without fail. */
    struct kirim_coap_span payload;            /**< Without its marker. */
};

/**
 * @brief Reads a datagram.
 *
 * @param wire  The datagram.
 * @param out   The message; of one that is malformed only `type` and `id`.
 * @return KIRIM_COAP_PARSED, KIRIM_COAP_NO_COAP or KIRIM_COAP_MALFORMED.
 * @note Any thread.
 */
int kirim_coap_parse(struct kirim_coap_span wire, struct kirim_coap_message *out);

/** An option. */
struct kirim_coap_option {
    uint16_t number;              /**< KIRIM_COAP_IF_MATCH ..., or any. */
    struct kirim_coap_span value; /**< Its bytes. */
};

/** Walks options; start with KIRIM_COAP_WALK_INIT. */
struct kirim_coap_walk {
    struct kirim_coap_span rest; /**< Not walked yet. */
    uint32_t number;             /**< Of the option before. */
};

/** Starts a walk over the options of a parsed message. */
#define KIRIM_COAP_WALK_INIT(message) \
    {                                 \
        (message)->options, 0         \
    }

/** @brief The next option; false: there are no more. Any thread. */
bool kirim_coap_walk_next(struct kirim_coap_walk *walk, struct kirim_coap_option *out);

/** @brief The value of an option as a number: at most its last four bytes. Any thread. */
uint32_t kirim_coap_value_number(struct kirim_coap_span value);

/** A message that is being written; start from KIRIM_COAP_WRITER_INIT. */
struct kirim_coap_writer {
    uint8_t *data;   /**< Where to. */
    size_t room;     /**< Bytes there. */
    size_t bytes;    /**< Written so far. */
    uint16_t last;   /**< Number of the last option. */
    bool has_failed; /**< Something did not fit, or was out of order: the rest is left out. */
};

/** Starts a writer. */
#define KIRIM_COAP_WRITER_INIT(to, bytes_max) \
    {                                         \
        (to), (bytes_max), 0, 0, false        \
    }

/** @brief Writes the header and the token of a message: type, code, id and token. Any thread. */
void kirim_coap_write_header(struct kirim_coap_writer *w, const struct kirim_coap_message *message);

/** @brief Writes an option; their numbers must not decrease. Any thread. */
void kirim_coap_write_option(struct kirim_coap_writer *w, uint16_t number,
                             struct kirim_coap_span value);

/** @brief Writes an option whose value is a number, in as few bytes as it needs. Any thread. */
void kirim_coap_write_number(struct kirim_coap_writer *w, uint16_t number, uint32_t value);

/** @brief Writes the marker and the payload; nothing if it is empty. Any thread. */
void kirim_coap_write_payload(struct kirim_coap_writer *w, struct kirim_coap_span payload);

/** A block's place in a body. */
struct kirim_coap_block {
    uint32_t number; /**< 0..2^20-1. */
    bool has_more;   /**< It is not the last one. */
    uint8_t szx;     /**< Its size is 2^(szx + 4); 0..6, 7 is reserved. */
};

/** @brief Reads the value of Block1 or Block2. Any thread. */
struct kirim_coap_block kirim_coap_block_read(uint32_t value);

/** @brief The value of Block1 or Block2. Any thread. */
uint32_t kirim_coap_block_value(struct kirim_coap_block block);

/** @brief Bytes of a block of this exponent. Any thread. */
static inline size_t kirim_coap_block_bytes(uint8_t szx)
{
    return (size_t)16 << (szx & 7);
}

/** @brief The exponent of the largest block of at most so many bytes; 0 for less than 32. Any
 * thread. */
uint8_t kirim_coap_block_szx(size_t bytes);

#endif
