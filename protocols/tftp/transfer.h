/* SPDX-License-Identifier: MIT
 *
 * One transfer of one file, at either end: messages and the time go in, messages and the next
 * deadline come out.
 *
 * Whoever drives it hands over what arrived from the transfer's peer (kirim_tftp_transfer_input()),
 * calls kirim_tftp_transfer_expire() when `deadline_ns` has passed, and after each of these takes
 * and sends messages while there are any. At either end a transfer survives loss, duplication and
 * reordering; a duplicated ACK never causes a block to be sent again, only time does. It holds no
 * blocks: what is sent again is read again. Memory is the structure and the caller's storage. One
 * thread. Sources: RFC 1350, RFC 1123 section 4.2.3, RFC 2347, RFC 2348, RFC 2349, RFC 7440.
 */
#ifndef KIRIM_TFTP_TRANSFER_H
#define KIRIM_TFTP_TRANSFER_H

#include <kirim/rtt.h>

#include "netascii.h"
#include "packet.h"
#include "storage.h"

/** Where a transfer stands. From KIRIM_TFTP_DONE on it has ended; what it has to say must still be
 * sent. */
enum {
    KIRIM_TFTP_ASKING = 1,    /**< A client: the request is under way. */
    KIRIM_TFTP_OFFERING = 2,  /**< A server: its OACK is under way. */
    KIRIM_TFTP_SENDING = 3,   /**< Blocks leave. */
    KIRIM_TFTP_RECEIVING = 4, /**< Blocks are awaited. */
    KIRIM_TFTP_LINGERING = 5, /**< The file is committed; the last ACK may have to be repeated. */
    KIRIM_TFTP_DONE = 6,      /**< Ended well. */
    KIRIM_TFTP_FAILED = 7     /**< Ended; `err` says why. */
};

/** What a transfer counted. */
struct kirim_tftp_transfer_stats {
    uint64_t blocks;     /**< DATA sent for the first time, or taken. */
    uint64_t resent;     /**< DATA sent again. */
    uint64_t duplicates; /**< DATA or ACK that brought nothing new. */
    uint64_t gaps;       /**< DATA ahead of one that was missing. */
    uint64_t timeouts;   /**< Deadlines that passed. */
    uint64_t ignored;    /**< Messages that were none, or not for this moment. */
};

/** A transfer; the caller's storage. What is not marked is read only. */
struct kirim_tftp_transfer {
    int state;                        /**< KIRIM_TFTP_ASKING .. KIRIM_TFTP_FAILED. */
    kirim_err err;                    /**< Of one that failed. */
    uint64_t deadline_ns;             /**< When to call kirim_tftp_transfer_expire(). */
    uint64_t file_bytes;              /**< Length of the file; KIRIM_NEVER: not known yet. */
    uint64_t moved_bytes;             /**< Of the file: acknowledged, or taken. */
    struct kirim_tftp_options agreed; /**< What holds; `has` only what stood in an OACK. */
    uint16_t peer_code;               /**< With KIRIM_TFTP_EREMOTE: what the peer said. */
    char peer_text[KIRIM_TFTP_TEXT_BYTES_MAX]; /**< Likewise, its unprintable bytes as '?'. */
    struct kirim_tftp_transfer_stats stats;    /**< What it counted. */
    /** @privatesection The transfer's. */
    const struct kirim_tftp_storage *storage;
    void *file;                        /**< NULL: none is open. */
    const char *local_name;            /**< A client's; lent. */
    struct kirim_tftp_request request; /**< What was asked; its name is lent, a server has none. */
    struct kirim_rtt rtt;              /**< How long to wait for an answer. */
    struct kirim_tftp_netascii text;   /**< State at `next`, or of the receiver. */
    struct kirim_tftp_netascii base_text; /**< State behind `base`. */
    uint64_t bytes_max;                   /**< Receiver: no longer file is taken. */
    uint64_t linger_ns;                   /**< 0: as the path is. */
    uint64_t give_up_ns;                  /**< Longest time without progress. */
    uint64_t progress_ns;                 /**< When there was some. */
    uint64_t timed_ns;                    /**< When `timed` was sent. */
    uint64_t timed;                       /**< Block whose answer is measured; 0: none is. */
    uint64_t base;                        /**< Sender: all up to it is acknowledged. */
    uint64_t next;                        /**< Sender: the block to be sent next. */
    uint64_t top;                         /**< Sender: the highest that was ever sent. */
    uint64_t last;                        /**< The file's last block; KIRIM_NEVER: not known yet. */
    uint64_t offset, base_offset;         /**< Sender: in the file, at `next` and behind `base`. */
    uint64_t have;                        /**< Receiver: all up to it is there. */
    uint64_t acked;                       /**< Receiver: the last one that was acknowledged. */
    uint8_t repeat_count;                 /**< Receiver: ACKs that were repeated in vain. */
    uint8_t pending;                      /**< Message that is to be sent before any DATA. */
    bool is_client, is_proven, is_gap_told;
};

/** How a client transfers a file; start from KIRIM_TFTP_CLIENT_OPTIONS_INIT. */
struct kirim_tftp_client_options {
    /** What is asked: KIRIM_TFTP_RRQ gets, KIRIM_TFTP_WRQ puts. Of the options a `tsize` of a put
     * is filled in. Its name is lent until the end. */
    struct kirim_tftp_request request;
    const struct kirim_tftp_storage *storage; /**< Lent until the end. */
    const char *local_name;                   /**< What the storage opens; lent until the end. */
    uint64_t give_up_ns;                      /**< Longest time without progress; 0: 30 s. */
    /** How long a get stays to repeat its last ACK; 0: four waits, 1.5 .. 8 s. */
    uint64_t linger_ns;
};

/** Initialises options: a get in octet mode with blocks of 1,428 bytes, windows of 16, and tsize.
 */
#define KIRIM_TFTP_CLIENT_OPTIONS_INIT                                          \
    {                                                                           \
        .request = {                                                            \
            .kind = KIRIM_TFTP_RRQ,                                             \
            .mode = KIRIM_TFTP_OCTET,                                           \
            .options = { .has = KIRIM_TFTP_HAS_BLKSIZE | KIRIM_TFTP_HAS_TSIZE | \
                                KIRIM_TFTP_HAS_WINDOWSIZE,                      \
                         .blksize = 1428,                                       \
                         .windowsize = 16 }                                     \
        }                                                                       \
    }

/**
 * @brief Starts a client's transfer. A put opens its file here, a get with the first good answer.
 *
 * @param t        Caller's storage.
 * @param options  Copied; what it lends stays lent.
 * @param now_ns   Present time.
 * @retval KIRIM_OK        `t` has a request to send.
 * @retval KIRIM_EINVAL    A kind, mode or option out of bounds, no name, no storage.
 * @retval KIRIM_EMSGSIZE  The request would be too long.
 * @return Also what the storage answers.
 * @note Any thread.
 */
kirim_err kirim_tftp_transfer_ask(struct kirim_tftp_transfer *t,
                                  const struct kirim_tftp_client_options *options, uint64_t now_ns);

/**
 * @brief Makes windows smaller, to what the socket's buffer holds, before anything was sent.
 *
 * @param t       Of a client that has not asked, or a server that has not answered.
 * @param blocks  Most that a window may have; 0 counts as 1.
 * @note The transfer's thread.
 */
void kirim_tftp_transfer_limit_window(struct kirim_tftp_transfer *t, uint32_t blocks);

/**
 * @brief Takes a message from the transfer's peer.
 *
 * Whatever is not for this moment is counted and ignored.
 *
 * @param t       The transfer.
 * @param wire    The datagram.
 * @param now_ns  Present time.
 * @note The transfer's thread.
 */
void kirim_tftp_transfer_input(struct kirim_tftp_transfer *t, struct kirim_tftp_span wire,
                               uint64_t now_ns);

/** @brief Does what the time says, if `deadline_ns` has passed. The transfer's thread. */
void kirim_tftp_transfer_expire(struct kirim_tftp_transfer *t, uint64_t now_ns);

/** @brief Bytes of room that the next message needs; 0: there is none to send. The transfer's
 * thread. */
size_t kirim_tftp_transfer_output_bytes(const struct kirim_tftp_transfer *t);

/**
 * @brief Takes the next message out; it counts as sent.
 *
 * A storage that fails here ends the transfer, and the message is the ERROR that says so.
 *
 * @param t       The transfer.
 * @param out     Room for as many bytes as kirim_tftp_transfer_output_bytes() says; `bytes` is set,
 *                0: nothing is to be sent.
 * @param now_ns  Present time.
 * @note The transfer's thread.
 */
void kirim_tftp_transfer_output(struct kirim_tftp_transfer *t, struct kirim_tftp_room *out,
                                uint64_t now_ns);

/**
 * @brief Ends a transfer with an error, which the peer is told; nothing happens to one that has
 * ended. One that only lingers has ended well.
 *
 * @param t         The transfer.
 * @param err       Why.
 * @param is_heard  Whether to tell the peer: not if it is known to be gone.
 * @note The transfer's thread.
 */
void kirim_tftp_transfer_fail(struct kirim_tftp_transfer *t, kirim_err err, bool is_heard);

/** @brief Whether a transfer has ended: it is done or failed. The transfer's thread. */
static inline bool kirim_tftp_transfer_has_ended(const struct kirim_tftp_transfer *t)
{
    return t->state >= KIRIM_TFTP_DONE;
}

#endif
