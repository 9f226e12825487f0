/* SPDX-License-Identifier: MIT
 *
 * Packets of the channel, their fixed parts: read from bytes, written to bytes, and nothing else.
 * See docs/channel.md, sections 1 to 3. Owns nothing; what is read points into the bytes. One
 * thread at a time.
 */
#ifndef KIRIM_CHANNEL_WIRE_H
#define KIRIM_CHANNEL_WIRE_H

#include <kirim/error.h>

/** Sizes and bounds of the format. */
enum {
    KIRIM_CHANNEL_VERSION = 1,           /**< That is spoken here. */
    KIRIM_CHANNEL_ID_BYTES = 8,          /**< Of a connection id. */
    KIRIM_CHANNEL_RESET_BYTES = 16,      /**< Of a reset token. */
    KIRIM_CHANNEL_PARAMS_BYTES = 24,     /**< Of parameters. */
    KIRIM_CHANNEL_TOKEN_BYTES_MAX = 255, /**< Of a token. */
    KIRIM_CHANNEL_HELLO_BYTES = 1200,    /**< Of a HELLO. */
    KIRIM_CHANNEL_HEADER_BYTES = 15,     /**< Of DATA before its frames. */
    KIRIM_CHANNEL_STREAM_COUNT_MAX = 256 /**< Streams each way. */
};

/** Longest message, in bytes. */
#define KIRIM_CHANNEL_MESSAGE_BYTES_MAX UINT32_C(16777216)

/** Kinds of packets: their first byte. */
enum {
    KIRIM_CHANNEL_HELLO = 4,   /**< A client asks for a token. */
    KIRIM_CHANNEL_TOKEN = 5,   /**< A server gives it. */
    KIRIM_CHANNEL_BEGIN = 6,   /**< A client begins with it. */
    KIRIM_CHANNEL_DATA = 7,    /**< All the rest of the connection. */
    KIRIM_CHANNEL_RESET = 8,   /**< The connection is not known. */
    KIRIM_CHANNEL_VERSIONS = 9 /**< The version is not known. */
};

/** What one end is ready for. */
struct kirim_channel_params {
    uint32_t datagram_bytes_max;  /**< Longest datagram, in bytes of the layer below; 256 up. */
    uint32_t window_bytes;        /**< Of the connection; `stream_window_bytes` at least. */
    uint32_t stream_window_bytes; /**< Of each stream; `message_bytes_max` + 64 at least. */
    uint32_t message_bytes_max;   /**< Longest message; KIRIM_CHANNEL_MESSAGE_BYTES_MAX at most. */
    uint16_t stream_count;        /**< Streams towards it; 1..KIRIM_CHANNEL_STREAM_COUNT_MAX. */
    uint16_t ack_delay_ms;        /**< Longest delay of an acknowledgement; 1,000 at most. */
    uint32_t idle_ms;             /**< Silence that ends the connection; 1,000 at least. */
};

/** Bytes of somebody else's. */
struct kirim_channel_span {
    const uint8_t *data; /**< May be NULL if `bytes` is 0. */
    size_t bytes;        /**< How many. */
};

/** A packet; which fields count depends on its kind. */
struct kirim_channel_packet {
    uint8_t kind;                             /**< KIRIM_CHANNEL_HELLO and so on. */
    uint8_t version;                          /**< HELLO, TOKEN, BEGIN; of VERSIONS: asked for. */
    uint8_t to[KIRIM_CHANNEL_ID_BYTES];       /**< TOKEN, BEGIN, DATA, VERSIONS: the receiver's. */
    uint8_t from[KIRIM_CHANNEL_ID_BYTES];     /**< HELLO, TOKEN, BEGIN: the sender's. */
    uint8_t reset[KIRIM_CHANNEL_RESET_BYTES]; /**< TOKEN, BEGIN, RESET: the sender's. */
    uint64_t number;                          /**< BEGIN, DATA: below 2^48. */
    struct kirim_channel_params params;       /**< TOKEN, BEGIN: the sender's. */
    struct kirim_channel_span token;          /**< TOKEN, BEGIN. */
    struct kirim_channel_span rest;           /**< BEGIN, DATA: frames; VERSIONS: the versions. */
};

KIRIM_BEGIN_DECLS

/** @brief Whether parameters keep the bounds of docs/channel.md, section 3. Any thread. */
bool kirim_channel_params_are_valid(const struct kirim_channel_params *params);

/**
 * @brief Reads the fixed part of a packet.
 *
 * @param data    The datagram; any bytes.
 * @param bytes   How many.
 * @param out     The packet; its spans point into `data`. Written on success only.
 * @retval KIRIM_OK          Read. Frames were not looked at, nor whether ids and tokens are right.
 * @retval KIRIM_EINVAL      No packet of the channel, or parameters out of bounds.
 * @retval KIRIM_EOPNOTSUPP  A HELLO, TOKEN or BEGIN of another version; of HELLO, `kind`, `version`
 *                           and `from` are written.
 * @note One thread at a time.
 */
kirim_err kirim_channel_packet_read(const uint8_t *data, size_t bytes,
                                    struct kirim_channel_packet *out);

/**
 * @brief Writes a packet without what `rest` says: of BEGIN and DATA frames follow.
 *
 * @param packet      What to write; `token` at most KIRIM_CHANNEL_TOKEN_BYTES_MAX.
 * @param room        Gets it.
 * @param room_bytes  Room there; HELLO fills it with zeros, all of it.
 * @return Bytes written; 0: too little room, or no such kind.
 * @note One thread at a time.
 */
size_t kirim_channel_packet_write(const struct kirim_channel_packet *packet, uint8_t *room,
                                  size_t room_bytes);

KIRIM_END_DECLS

#endif
