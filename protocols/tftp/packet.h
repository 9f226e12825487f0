/* SPDX-License-Identifier: MIT
 *
 * Messages of TFTP as bytes, read and written.
 *
 * What is read is hostile until it was read: a message either has the form of the standards or is
 * KIRIM_TFTP_EFORM. Spans of what was read lie in the bytes that were given. Owns nothing. Any
 * thread. Sources: RFC 1350 section 5, RFC 2347, RFC 2348, RFC 2349, RFC 7440 section 3.
 */
#ifndef KIRIM_TFTP_PACKET_H
#define KIRIM_TFTP_PACKET_H

#include "tftp.h"

/** Options that have a meaning here, as bits. */
enum {
    KIRIM_TFTP_HAS_BLKSIZE = 1,   /**< Bytes of a block. */
    KIRIM_TFTP_HAS_TSIZE = 2,     /**< Bytes of the file. */
    KIRIM_TFTP_HAS_TIMEOUT = 4,   /**< Seconds before something is sent again. */
    KIRIM_TFTP_HAS_WINDOWSIZE = 8 /**< Blocks that leave before an ACK is awaited. */
};

/** Options of a request or of its answer. A value that is out of its bounds, or no number, counts
 * as not given; of one that is given twice the first counts. */
struct kirim_tftp_options {
    uint32_t has;        /**< KIRIM_TFTP_HAS_...: which of the following are given. */
    uint32_t blksize;    /**< 8..65,464; what is asked beyond is read as 65,464. */
    uint32_t timeout_s;  /**< 1..255. */
    uint32_t windowsize; /**< 1..65,535. */
    uint64_t tsize;      /**< Any. */
};

/** A message that was read. Which members count depends on `kind`. */
struct kirim_tftp_packet {
    uint16_t kind;                     /**< KIRIM_TFTP_RRQ .. KIRIM_TFTP_OACK. */
    uint16_t block;                    /**< Of DATA and of ACK. */
    uint16_t code;                     /**< Of an ERROR. */
    uint16_t mode;                     /**< Of a request: KIRIM_TFTP_OCTET or _NETASCII. */
    bool has_bad_option;               /**< Of an OACK: something that is no option of ours. */
    struct kirim_tftp_span name;       /**< Of a request; without its zero, which is there. */
    struct kirim_tftp_span data;       /**< Of DATA; of an ERROR the text without its zero. */
    struct kirim_tftp_options options; /**< Of a request and of an OACK. */
};

/**
 * @brief Reads a message.
 *
 * @param wire  The datagram.
 * @param out   Written on success; `kind` also if the error is KIRIM_TFTP_EMODE.
 * @retval KIRIM_OK          Read.
 * @retval KIRIM_TFTP_EFORM  No message: too short, an unknown kind, an end in the middle, a request
 *                           over KIRIM_TFTP_REQUEST_BYTES_MAX or without a name.
 * @retval KIRIM_TFTP_EMODE  A request in a mode that is not served, as `mail` is.
 * @note Any thread.
 */
kirim_err kirim_tftp_packet_read(struct kirim_tftp_span wire, struct kirim_tftp_packet *out);

/** What a request says. */
struct kirim_tftp_request {
    uint16_t kind;                     /**< KIRIM_TFTP_RRQ or KIRIM_TFTP_WRQ. */
    uint16_t mode;                     /**< KIRIM_TFTP_OCTET or KIRIM_TFTP_NETASCII. */
    const char *name;                  /**< Zero-terminated, not empty. */
    struct kirim_tftp_options options; /**< Those with a bit in `has` are asked for. */
};

/**
 * @brief Writes a request.
 *
 * @param request  What it says.
 * @param out      Gets it.
 * @retval KIRIM_OK        `out->bytes` is set.
 * @retval KIRIM_EMSGSIZE  It has more than KIRIM_TFTP_REQUEST_BYTES_MAX bytes, or than the room.
 * @retval KIRIM_EINVAL    No name.
 * @note Any thread.
 */
kirim_err kirim_tftp_write_request(const struct kirim_tftp_request *request,
                                   struct kirim_tftp_room *out);

/**
 * @brief Writes an OACK.
 *
 * @param options  Those with a bit in `has` stand in it.
 * @param out      Gets it; KIRIM_TFTP_CONTROL_BYTES_MAX suffice.
 * @retval KIRIM_OK        `out->bytes` is set.
 * @retval KIRIM_EMSGSIZE  Too little room.
 * @note Any thread.
 */
kirim_err kirim_tftp_write_oack(const struct kirim_tftp_options *options,
                                struct kirim_tftp_room *out);

/**
 * @brief Writes an ACK.
 *
 * @param block  Number of the block.
 * @param out    Gets it, 4 bytes.
 * @retval KIRIM_OK        `out->bytes` is set.
 * @retval KIRIM_EMSGSIZE  Too little room.
 * @note Any thread.
 */
kirim_err kirim_tftp_write_ack(uint16_t block, struct kirim_tftp_room *out);

/**
 * @brief Writes an ERROR.
 *
 * @param code  KIRIM_TFTP_CODE_...
 * @param text  For people; cut at KIRIM_TFTP_TEXT_BYTES_MAX - 1 bytes.
 * @param out   Gets it; KIRIM_TFTP_CONTROL_BYTES_MAX suffice.
 * @retval KIRIM_OK        `out->bytes` is set.
 * @retval KIRIM_EMSGSIZE  Too little room.
 * @note Any thread.
 */
kirim_err kirim_tftp_write_error(uint16_t code, const char *text, struct kirim_tftp_room *out);

/** @brief Writes the four bytes before the data of a block; they go to `out[0 .. 3]`. Any thread.
 */
void kirim_tftp_write_data_head(uint16_t block, uint8_t *out);

#endif
