/* SPDX-License-Identifier: MIT
 *
 * The numbers of the TFTP protocol, the bounds of this implementation, and its errors. Owns
 * nothing. Any thread. Sources: RFC 1350, RFC 2347, RFC 2348, RFC 2349, RFC 7440.
 */
#ifndef KIRIM_TFTP_TFTP_H
#define KIRIM_TFTP_TFTP_H

#include <kirim/config.h>
#include <kirim/error.h>

/** Port of the service. */
#define KIRIM_TFTP_PORT 69

/** Bounds of the wire format. */
enum {
    KIRIM_TFTP_HEADER_BYTES = 4,          /**< Of DATA and of ACK, and of ERROR before its text. */
    KIRIM_TFTP_REQUEST_BYTES_MAX = 512,   /**< Of a request, RFC 2347. */
    KIRIM_TFTP_BLOCK_BYTES = 512,         /**< Of a block without the option, RFC 1350. */
    KIRIM_TFTP_BLOCK_BYTES_MIN = 8,       /**< What the option may ask for, RFC 2348. */
    KIRIM_TFTP_BLOCK_BYTES_MAX = 65464,   /**< Likewise. */
    KIRIM_TFTP_TIMEOUT_SECONDS_MAX = 255, /**< RFC 2349; at least 1. */
    KIRIM_TFTP_WINDOW_BLOCKS_MAX = 65535  /**< RFC 7440; at least 1. */
};

/** Bounds that this implementation sets itself. */
enum {
    KIRIM_TFTP_OWN_WINDOW_BLOCKS_MAX = 32767, /**< Half the numbers: older and newer stay apart. */
    KIRIM_TFTP_TEXT_BYTES_MAX = 128,          /**< Of an ERROR's text, its zero included. */
    KIRIM_TFTP_CONTROL_BYTES_MAX = 512        /**< Room that every message but DATA fits in. */
};

/** Kinds of message. */
enum {
    KIRIM_TFTP_RRQ = 1,   /**< Somebody wants to read. */
    KIRIM_TFTP_WRQ = 2,   /**< Somebody wants to write. */
    KIRIM_TFTP_DATA = 3,  /**< A block. */
    KIRIM_TFTP_ACK = 4,   /**< Everything up to this block is there. */
    KIRIM_TFTP_ERROR = 5, /**< The end. */
    KIRIM_TFTP_OACK = 6   /**< Which of the options hold, RFC 2347. */
};

/** How bytes become a file. */
enum {
    KIRIM_TFTP_OCTET = 1,   /**< As they are. */
    KIRIM_TFTP_NETASCII = 2 /**< Lines end in CR LF on the wire and in LF in the file. */
};

/** Codes of an ERROR. */
enum {
    KIRIM_TFTP_CODE_OTHER = 0,
    KIRIM_TFTP_CODE_NOT_FOUND = 1,
    KIRIM_TFTP_CODE_ACCESS = 2,
    KIRIM_TFTP_CODE_FULL = 3,
    KIRIM_TFTP_CODE_ILLEGAL = 4,
    KIRIM_TFTP_CODE_UNKNOWN_ID = 5,
    KIRIM_TFTP_CODE_EXISTS = 6,
    KIRIM_TFTP_CODE_NO_USER = 7,
    KIRIM_TFTP_CODE_OPTION = 8
};

/** Errors of the protocol's code, beside those of kirim/error.h. Numbers are stable. */
enum {
    KIRIM_TFTP_EFORM = -1101,   /**< A message that is malformed, or not of this place. */
    KIRIM_TFTP_EMODE = -1102,   /**< A mode that is neither octet nor netascii. */
    KIRIM_TFTP_EFULL = -1103,   /**< No room for the file. */
    KIRIM_TFTP_EREMOTE = -1104, /**< The other side ended it with an ERROR. */
    KIRIM_TFTP_EOPTION = -1105, /**< An answer with an option nobody asked for, or out of bounds. */
    KIRIM_TFTP_ECHANGED = -1106 /**< The file became shorter while it was sent. */
};

/** Bytes that are read. */
struct kirim_tftp_span {
    const uint8_t *data; /**< May be NULL if `bytes` is 0. */
    size_t bytes;        /**< Of them. */
};

/** Room for a message that is written. */
struct kirim_tftp_room {
    uint8_t *data; /**< Where it goes. */
    size_t room;   /**< Bytes that fit. */
    size_t bytes;  /**< Bytes written; set on success. */
};

/**
 * @brief One line about an error, for the other side: it is the text of an ERROR.
 *
 * @param err  One of the errors above, or one of kirim/error.h.
 * @return Static, never NULL, without a full stop.
 * @note Any thread.
 */
const char *kirim_tftp_err_text(kirim_err err);

/**
 * @brief The code under which an error is told to the other side.
 *
 * @param err  What a storage or this code answered.
 * @return KIRIM_TFTP_CODE_...; KIRIM_TFTP_CODE_OTHER for what has no code of its own.
 * @note Any thread.
 */
uint16_t kirim_tftp_err_code(kirim_err err);

/**
 * @brief What a code says, e.g. "file not found".
 *
 * @param code  Of an ERROR.
 * @return Static, never NULL.
 * @note Any thread.
 */
const char *kirim_tftp_code_text(uint16_t code);

#endif
