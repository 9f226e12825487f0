/* SPDX-License-Identifier: MIT
 *
 * Frames of the channel: read from the rest of a packet, written into one. See docs/channel.md,
 * section 4. What breaks the format is told; what breaks a rule of the connection (a stream beyond
 * the count, a window) is for the connection to see. Owns nothing. One thread at a time.
 */
#ifndef KIRIM_CHANNEL_FRAME_H
#define KIRIM_CHANNEL_FRAME_H

#include "wire.h"

/** Types of frames. */
enum {
    KIRIM_CHANNEL_PADDING = 0x00,        /**< Nothing. */
    KIRIM_CHANNEL_PING = 0x01,           /**< Asks for an acknowledgement. */
    KIRIM_CHANNEL_ACK = 0x02,            /**< Packets that have arrived. */
    KIRIM_CHANNEL_ACK_ECN = 0x03,        /**< The same, and their marks. */
    KIRIM_CHANNEL_MAX_DATA = 0x04,       /**< Limit of the connection. */
    KIRIM_CHANNEL_MAX_STREAM = 0x05,     /**< Limit of a stream. */
    KIRIM_CHANNEL_PATH_CHALLENGE = 0x06, /**< Is it you who is there? */
    KIRIM_CHANNEL_PATH_RESPONSE = 0x07,  /**< It is. */
    KIRIM_CHANNEL_CLOSE = 0x08,          /**< The end. */
    KIRIM_CHANNEL_MESSAGE = 0x10,        /**< A message; plus twice its mode, plus 1: a fragment. */
    KIRIM_CHANNEL_MESSAGE_LAST = 0x15    /**< The last of those types. */
};

/** Bounds of frames. */
enum {
    KIRIM_CHANNEL_RANGES_MAX = 64,     /**< Of an ACK. */
    KIRIM_CHANNEL_CHALLENGE_BYTES = 8, /**< Of a challenge. */
    KIRIM_CHANNEL_TEXT_BYTES_MAX = 256 /**< Of the text of a CLOSE. */
};

/** Numbers of packets, or places in a message: `first` up to, not including, `end`. */
struct kirim_channel_range {
    uint64_t first; /**< The lowest. */
    uint64_t end;   /**< One above the highest. */
};

/** What an ACK says. */
struct kirim_channel_ack {
    struct kirim_channel_range range[KIRIM_CHANNEL_RANGES_MAX]; /**< The highest first. */
    size_t range_count;                                         /**< At least 1. */
    uint64_t delay_us; /**< From the arrival of the largest to the ACK. */
    uint64_t ect0;     /**< Of KIRIM_CHANNEL_ACK_ECN: arrived with ECT(0), */
    uint64_t ect1;     /**< with ECT(1), */
    uint64_t ce;       /**< with CE. */
};

/** A frame; which fields count depends on its type. */
struct kirim_channel_frame {
    uint8_t type;         /**< KIRIM_CHANNEL_PADDING and so on. */
    uint8_t mode;         /**< Of a message: 0 ordered, 1 unordered, 2 sequenced. */
    bool is_fragment;     /**< Of a message: not the whole of it, as it is written. */
    uint64_t stream;      /**< Of a message, MAX_STREAM. */
    uint64_t number;      /**< Of a message: which of its stream. */
    uint64_t total_bytes; /**< Of a message: its length. */
    uint64_t offset;      /**< Of a message: where `data` stands in it. */
    uint64_t limit;       /**< Of MAX_DATA, MAX_STREAM. */
    uint64_t code;        /**< Of CLOSE. */
    const uint8_t *proof; /**< Of CLOSE: KIRIM_CHANNEL_RESET_BYTES bytes; of PATH_CHALLENGE and
                               PATH_RESPONSE: KIRIM_CHANNEL_CHALLENGE_BYTES. */
    struct kirim_channel_span data; /**< Of a message: its bytes; of CLOSE: the text. */
    struct kirim_channel_ack ack;   /**< Of ACK. */
};

KIRIM_BEGIN_DECLS

/** @brief Whether a packet that has a frame of this type asks for an acknowledgement. Any thread.
 */
bool kirim_channel_frame_is_eliciting(uint8_t type);

/**
 * @brief Reads the frame at the beginning of some bytes.
 *
 * @param span  What is left of a packet; moved behind the frame on success. A row of PADDING is one
 *              frame.
 * @param out   The frame; points into the bytes. Written on success only.
 * @retval KIRIM_OK      Read.
 * @retval KIRIM_EINVAL  An unknown type, not complete, or one that says what cannot be.
 * @note One thread at a time.
 */
kirim_err kirim_channel_frame_read(struct kirim_channel_span *span,
                                   struct kirim_channel_frame *out);

/**
 * @brief Writes a frame.
 *
 * @param frame       What to write. Of ACK: the ranges, in order and apart.
 * @param room        Gets it.
 * @param room_bytes  Room there.
 * @return Bytes written; 0: too little room.
 * @note One thread at a time.
 */
size_t kirim_channel_frame_write(const struct kirim_channel_frame *frame, uint8_t *room,
                                 size_t room_bytes);

/** @brief Bytes that a message's frame has before its data, if that is `bytes` long; as
 * kirim_channel_frame_write() would write it. Any thread. */
size_t kirim_channel_frame_head_bytes(const struct kirim_channel_frame *frame, uint64_t bytes);

KIRIM_END_DECLS

#endif
