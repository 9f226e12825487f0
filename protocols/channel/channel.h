/* SPDX-License-Identifier: MIT
 *
 * The channel: messages in streams between two peers, over datagrams that may be lost, repeated,
 * disordered and delayed. One end of one connection, as a state machine: datagrams and the time go
 * in, datagrams and a deadline come out. docs/channel.md says what goes over the wire.
 *
 * The caller sends what kirim_channel_output() writes, hands over what arrives, calls
 * kirim_channel_expire() at the deadline, and after each of them asks for output until there is
 * none. channel_layer.h does all that on a loop. Nothing here asks for the time, for memory or for
 * random bytes but through the options. All calls for one channel are one thread's; callbacks come
 * from inside input, expire and hold. Sources: RFC 9000, 9002, 8899, 8085.
 */
#ifndef KIRIM_CHANNEL_H
#define KIRIM_CHANNEL_H

#include <kirim/addr.h>
#include <kirim/loop.h>

#include "wire.h"

struct kirim_channel;

/** What a stream promises. */
enum {
    KIRIM_CHANNEL_ORDERED = 0,   /**< Each message once, in order. */
    KIRIM_CHANNEL_UNORDERED = 1, /**< Each message once, as soon as it is complete. */
    KIRIM_CHANNEL_SEQUENCED = 2  /**< The newest; what is lost or late is left out. */
};

/** Codes of the end, docs/channel.md section 7. */
enum {
    KIRIM_CHANNEL_CODE_DONE = 0,     /**< In order. */
    KIRIM_CHANNEL_CODE_PROTOCOL = 1, /**< A packet broke a rule. */
    KIRIM_CHANNEL_CODE_LIMIT = 2,    /**< More than a window or a bound permits. */
    KIRIM_CHANNEL_CODE_INTERNAL = 3, /**< No memory. */
    KIRIM_CHANNEL_CODE_SHUTDOWN = 4, /**< The program ends. */
    KIRIM_CHANNEL_CODE_OWN = 256,    /**< The first of the program's own. */
    KIRIM_CHANNEL_CODE_MAX = 1 << 30 /**< The last one. */
};

/** Flags of the options. */
enum {
    KIRIM_CHANNEL_NO_ECN = 1, /**< Packets carry no ECT: the layer below cannot say it. */
    KIRIM_CHANNEL_NO_PMTU = 2 /**< No search for the path MTU: datagrams might be fragmented. */
};

/** A message that has arrived; lent until the callback returns. */
struct kirim_channel_message {
    uint32_t stream;     /**< Of the peer's streams. */
    uint32_t mode;       /**< KIRIM_CHANNEL_ORDERED and so on. */
    uint64_t number;     /**< Which of its stream, from 0 on. */
    const uint8_t *data; /**< Its bytes; may be NULL if there are none. */
    size_t bytes;        /**< How many. */
};

/** How a connection has ended. */
struct kirim_channel_end {
    kirim_err err;    /**< KIRIM_OK: closed by a CLOSE of either side. KIRIM_ETIMEDOUT: silence.
                           KIRIM_ECONNRESET: the peer does not know it any more. KIRIM_EOPNOTSUPP:
                           the peer speaks another version. KIRIM_ENOMEM: as it says. */
    bool is_by_peer;  /**< Its CLOSE came first. */
    uint32_t code;    /**< Of the CLOSE: KIRIM_CHANNEL_CODE_DONE and so on. */
    const char *text; /**< Of the CLOSE; ends with a zero, and control characters are "?". Lent. */
};

/** What a channel tells its owner. Members may be NULL. It may be used inside of them, but not
 * freed. */
struct kirim_channel_handler {
    /** sizeof, set by KIRIM_CHANNEL_HANDLER_INIT. */
    size_t size;
    /** The peer has answered; messages may be sent before. Once. */
    void (*ready)(struct kirim_channel *channel, void *user);
    /** A message; the peer may send more for it when this returns. */
    void (*received)(struct kirim_channel *channel, const struct kirim_channel_message *message,
                     void *user);
    /** After KIRIM_EWOULDBLOCK: there is room for what was refused, the shortest if there were
     * several, and an eighth of `send_bytes_max` is free. */
    void (*writable)(struct kirim_channel *channel, void *user);
    /** The peer has another address now. */
    void (*moved)(struct kirim_channel *channel, const struct kirim_addr *peer, void *user);
    /** All is sent and acknowledged, or the connection has ended: what was not, is lost. Last
     * callback, once, but not before the channel was freed without having ended. */
    void (*closed)(struct kirim_channel *channel, const struct kirim_channel_end *end, void *user);
};

/** Starts a handler: `{ KIRIM_CHANNEL_HANDLER_INIT, .received = f }`. */
#define KIRIM_CHANNEL_HANDLER_INIT sizeof(struct kirim_channel_handler)

/** What a message that waits takes beside its bytes, as long as few of its parts are missing. */
enum { KIRIM_CHANNEL_WAITING_BYTES = 1024 };

/** The least `bytes_max` of a budget with which messages up to `message_bytes` can arrive in parts:
 * no channel gets more than it leaves free, so one alone gets half. Where others hold some, a
 * channel gets half of what they leave, and waits if that is too little. */
#define KIRIM_CHANNEL_BUDGET_BYTES_MIN(message_bytes) \
    (2 * ((uint64_t)(message_bytes) + KIRIM_CHANNEL_WAITING_BYTES))

/** Bytes that wait in several channels together; zero but for `bytes_max` at first. */
struct kirim_channel_budget {
    uint64_t bytes_max; /**< At most so many; each channel at most as many as it leaves free. At
                             least KIRIM_CHANNEL_BUDGET_BYTES_MIN() of the longest message. */
    uint64_t bytes;     /**< So many now. */
    uint64_t refused;   /**< Times that something found no room. */
};

/** How to open a channel; start from KIRIM_CHANNEL_OPTIONS_INIT. */
struct kirim_channel_options {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** Required. Copied. */
    const struct kirim_channel_handler *handler;
    /** Handed to its callbacks. */
    void *user;
    /** Memory; required. */
    kirim_alloc_fn alloc;
    /** First argument of `alloc`. */
    void *alloc_user;
    /** Writes `bytes` random bytes; required. */
    void (*random)(void *random_user, void *out, size_t bytes);
    /** First argument of `random`. */
    void *random_user;
    /** Told by calls of the owner's: there is output now, or another deadline. May be NULL. */
    void (*wake)(void *wake_user);
    /** First argument of `wake`. */
    void *wake_user;
    /** Bounds what waits in this channel and others that have the same; NULL: only the windows
     * do. Lives as long as the channel. */
    struct kirim_channel_budget *budget;
    /** What is told to the peer. */
    struct kirim_channel_params params;
    /** Longest datagram that the layer below carries, 256 up. Longer ones than
     * `params.datagram_bytes_max` are not sent either. */
    uint32_t payload_bytes_max;
    /** Bytes of messages that wait to be sent or acknowledged; one message may exceed it. */
    uint32_t send_bytes_max;
    /** Largest congestion window, in bytes. */
    uint32_t window_bytes_max;
    /** KIRIM_CHANNEL_NO_... */
    uint32_t flags;
    /** A client sends a PING after so long without a packet; 0: never. */
    uint64_t keepalive_ns;
    /** A client gives up without an answer after that. */
    uint64_t handshake_ns;
    /** Bursts hold what the pace would send in that time, if that is more than ten datagrams. */
    uint64_t burst_ns;
};

/** Initialises options: streams 64, messages up to 1 MiB, windows of 2 and 4 MiB, 1 MiB to be
 * sent, 30 s of silence, 10 s of handshake, 15 s of keep-alive; what has to be given is NULL. */
#define KIRIM_CHANNEL_OPTIONS_INIT                                                                 \
    {                                                                                              \
        sizeof(struct kirim_channel_options), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,      \
            NULL, { 65535, 4 << 20, 2 << 20, 1 << 20, 64, 25, 30000 }, 1452, 1 << 20, 16 << 20, 0, \
            UINT64_C(15000000000), UINT64_C(10000000000), 2000000                                  \
    }

/** What a channel has counted. */
struct kirim_channel_stats {
    uint64_t rx_packets;            /**< Taken: authentic as far as ids say, and new. */
    uint64_t rx_bytes;              /**< Of those. */
    uint64_t rx_dropped;            /**< Not of this connection, or not to be read. */
    uint64_t rx_duplicate;          /**< Seen before, or too old to tell. */
    uint64_t rx_refused;            /**< No room for what was in it; it comes again. */
    uint64_t rx_ce;                 /**< Marked by a router. */
    uint64_t rx_messages;           /**< Handed over. */
    uint64_t rx_message_bytes;      /**< Of those. */
    uint64_t rx_stale;              /**< Sequenced messages that were late, or not completed. */
    uint64_t tx_packets;            /**< Written. */
    uint64_t tx_bytes;              /**< Of those. */
    uint64_t tx_lost;               /**< Taken for lost. */
    uint64_t tx_messages;           /**< Accepted. */
    uint64_t tx_message_bytes;      /**< Of those. */
    uint64_t tx_resent_bytes;       /**< Of messages, sent again. */
    uint64_t tx_abandoned;          /**< Sequenced messages that were lost, or gave way to newer. */
    uint64_t timeouts;              /**< Probe timeouts. */
    uint64_t congestion;            /**< Times that the window was reduced, */
    uint64_t congestion_ce;         /**< of those for CE, */
    uint64_t congestion_persistent; /**< and to its least. */
    uint64_t ecn_failed;            /**< The path does not carry ECN: 0 or 1 for each path. */
    uint64_t black_holes;           /**< Times that the path MTU fell back. */
    uint64_t challenges;            /**< Sent to addresses that might be the peer's. */
    uint64_t moves;                 /**< Times that the peer had another address. */
    uint64_t window_bytes;          /**< Congestion window: a level, as are the next. */
    uint64_t flight_bytes;          /**< Sent, and neither acknowledged nor lost. */
    uint64_t payload_bytes;         /**< Datagrams are so long at the most. */
    uint64_t smoothed_ns;           /**< Round-trip time; 0: not known. */
    uint64_t send_bytes;            /**< Messages that wait to be sent or acknowledged. */
    uint64_t reassembly_bytes;      /**< What waits for its other parts, for order, or is held. */
};

/** A datagram that has arrived. */
struct kirim_channel_arrival {
    const uint8_t *data;           /**< Its bytes. */
    size_t bytes;                  /**< How many. */
    const struct kirim_addr *peer; /**< Who sent it; NULL: it can only be the peer. */
    uint8_t ecn;                   /**< 0..3, as kirim_datagram has it. */
};

/** A datagram that is to be sent. */
struct kirim_channel_departure {
    uint8_t *data;          /**< Given: room. */
    size_t room_bytes;      /**< Given: how much, the options' `payload_bytes_max` at least. */
    size_t bytes;           /**< Written there. */
    struct kirim_addr peer; /**< Whom to. */
    bool is_elsewhere;      /**< `peer` is not the peer's address, but one that is challenged. */
    bool is_probe;          /**< Longer than is known to get through. */
    uint8_t ecn;            /**< 0..3, as kirim_control has it. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Opens the client's end: HELLO is the first output.
 *
 * @param options  Copied.
 * @param peer     The server.
 * @param now_ns   The time.
 * @param out      The channel, to be freed with kirim_channel_free(). Written on success only.
 * @retval KIRIM_OK      Open.
 * @retval KIRIM_EINVAL  NULL, a size that no version had, or a value out of bounds.
 * @retval KIRIM_ENOMEM  Out of memory.
 * @note One thread at a time.
 */
kirim_err kirim_channel_connect(const struct kirim_channel_options *options,
                                const struct kirim_addr *peer, uint64_t now_ns,
                                struct kirim_channel **out);

/**
 * @brief Opens the server's end, with the BEGIN that asked for it. That has to be given to
 *        kirim_channel_input() next.
 *
 * @param options  Copied.
 * @param begin    Read by kirim_channel_packet_read(); its token is good (gate.h), or the layer
 *                 below has validated the peer.
 * @param reset    The reset token that TOKEN has told the client: KIRIM_CHANNEL_RESET_BYTES.
 * @param peer     Who has sent it.
 * @param now_ns   The time.
 * @param out      As for kirim_channel_connect().
 * @return As kirim_channel_connect().
 * @note One thread at a time.
 */
kirim_err kirim_channel_accept(const struct kirim_channel_options *options,
                               const struct kirim_channel_packet *begin, const uint8_t *reset,
                               const struct kirim_addr *peer, uint64_t now_ns,
                               struct kirim_channel **out);

/** @brief Frees a channel, whatever its state, without a callback and without a word to the peer.
 * Not inside its callbacks. NULL: nothing. One thread at a time. */
void kirim_channel_free(struct kirim_channel *channel);

/* ---- for the owner --------------------------------------------------------------------------- */

/**
 * @brief Sends a message.
 *
 * @param channel  The channel.
 * @param stream   Below the options' bound and that of the peer's parameters.
 * @param mode     KIRIM_CHANNEL_ORDERED and so on; that of the stream's first message.
 * @param data     Its bytes; copied.
 * @param bytes    How many.
 * @retval KIRIM_OK           Accepted. Sequenced: 16 wait at the most, the oldest gives way.
 * @retval KIRIM_EWOULDBLOCK  `send_bytes_max` is reached; `writable` will be called.
 * @retval KIRIM_EMSGSIZE     More than the peer takes. Before it has told, messages are bounded by
 *                            the own parameters, and one that turns out too long ends the
 *                            connection (KIRIM_CHANNEL_CODE_LIMIT).
 * @retval KIRIM_EINVAL       No such stream or mode, or the stream has another mode.
 * @retval KIRIM_EFAULT       NULL with a length.
 * @retval KIRIM_ECLOSED      Closed, closing or finishing.
 * @retval KIRIM_ENOMEM       Out of memory.
 * @note One thread at a time; also inside callbacks.
 */
kirim_err kirim_channel_send(struct kirim_channel *channel, uint32_t stream, uint32_t mode,
                             const void *data, size_t bytes);

/**
 * @brief Holds the messages of one of the peer's streams back, or lets them go.
 *
 * What is held counts against the windows, so that the peer stops when they are full; of a
 * sequenced stream only the newest is kept. When the peer has finished (KIRIM_CHANNEL_CODE_DONE)
 * what is held is handed over before `closed`. Outside of a callback of the channel what was held
 * is handed over inside the call.
 *
 * @param channel  The channel.
 * @param stream   Below the options' bound.
 * @param is_held  Whether.
 * @retval KIRIM_OK      Done.
 * @retval KIRIM_EINVAL  No such stream.
 * @retval KIRIM_ENOMEM  Out of memory.
 * @note One thread at a time; also inside callbacks.
 */
kirim_err kirim_channel_hold(struct kirim_channel *channel, uint32_t stream, bool is_held);

/** @brief Ends in order: no more messages are taken, and when all reliable ones have been
 * acknowledged the connection is closed with KIRIM_CHANNEL_CODE_DONE. Messages of the peer's still
 * arrive. KIRIM_ECLOSED: it is closing. One thread at a time; also inside callbacks. */
kirim_err kirim_channel_finish(struct kirim_channel *channel);

/**
 * @brief Ends now: what was not acknowledged is lost.
 *
 * @param channel  The channel.
 * @param code     KIRIM_CHANNEL_CODE_DONE, KIRIM_CHANNEL_CODE_SHUTDOWN or one of the program's own.
 * @param text     For people; cut at KIRIM_CHANNEL_TEXT_BYTES_MAX. NULL: none.
 * @retval KIRIM_OK      CLOSE will be sent; `closed` comes when the peer has confirmed, or with
 *                       KIRIM_OK too when it does not.
 * @retval KIRIM_EINVAL  Another code.
 * @retval KIRIM_ECLOSED It is closing already.
 * @note One thread at a time; also inside callbacks.
 */
kirim_err kirim_channel_close(struct kirim_channel *channel, uint32_t code, const char *text);

/** @brief The `user` of the options. One thread at a time. */
void *kirim_channel_user(const struct kirim_channel *channel);

/** @brief Sets what callbacks are handed. One thread at a time. */
void kirim_channel_set_user(struct kirim_channel *channel, void *user);

/** @brief Replaces the handler, which lives as long as the channel needs it; of `size` as in the
 * options, else nothing happens. Not from another channel's thread. */
void kirim_channel_set_handler(struct kirim_channel *channel,
                               const struct kirim_channel_handler *handler);

/** @brief Whether the peer has answered, and the connection has not ended. One thread at a time. */
bool kirim_channel_is_ready(const struct kirim_channel *channel);

/** @brief The peer's address. One thread at a time. */
struct kirim_addr kirim_channel_peer(const struct kirim_channel *channel);

/** @brief Messages to the peer may be so long: its parameter, or the own one before it is known.
 * One thread at a time. */
size_t kirim_channel_message_bytes_max(const struct kirim_channel *channel);

/** @brief Copies the counters. One thread at a time. */
void kirim_channel_read_stats(const struct kirim_channel *channel, struct kirim_channel_stats *out);

/* ---- for who carries it ---------------------------------------------------------------------- */

/** @brief Takes a datagram. One thread at a time; not inside callbacks. */
void kirim_channel_input(struct kirim_channel *channel, const struct kirim_channel_arrival *arrival,
                         uint64_t now_ns);

/**
 * @brief Writes the next datagram that is to be sent now; it counts as sent.
 *
 * @return Whether there was one. To be called until there is none, after input, expire and what
 * `wake` told.
 * @note One thread at a time; not inside callbacks.
 */
bool kirim_channel_output(struct kirim_channel *channel, struct kirim_channel_departure *out,
                          uint64_t now_ns);

/** @brief When to call kirim_channel_expire(); to be asked after output said that there is none.
 * KIRIM_NEVER once it has ended. One thread at a time. */
uint64_t kirim_channel_deadline(const struct kirim_channel *channel);

/** @brief Does what is due; too early it does no harm. One thread at a time; not inside callbacks.
 */
void kirim_channel_expire(struct kirim_channel *channel, uint64_t now_ns);

/**
 * @brief The layer below carries longer datagrams than before, or only shorter ones.
 *
 * @param channel  The channel.
 * @param bytes    As `payload_bytes_max` of the options.
 * @param now_ns   The time.
 * @retval KIRIM_OK      The search for the path MTU begins anew.
 * @retval KIRIM_EINVAL  Less than 256.
 * @note One thread at a time.
 */
kirim_err kirim_channel_resize(struct kirim_channel *channel, uint32_t bytes, uint64_t now_ns);

/** @brief A datagram that was marked `is_probe`, of that length, was refused as too long. One
 * thread at a time. */
void kirim_channel_refuse_probe(struct kirim_channel *channel, size_t bytes, uint64_t now_ns);

/** @brief The carrier is gone: the connection ends without a word, and `closed` is called with
 * `why` if it was not before (KIRIM_OK counts as KIRIM_EABORTED). One thread at a time; not inside
 * callbacks. */
void kirim_channel_abort(struct kirim_channel *channel, kirim_err why);

/** @brief Nothing more will come of it, and it can be freed: after `closed`, when who has closed
 * last need not be answered any more. One thread at a time. */
bool kirim_channel_has_ended(const struct kirim_channel *channel);

/** @brief The connection id by which its datagrams are found, KIRIM_CHANNEL_ID_BYTES. */
const uint8_t *kirim_channel_id(const struct kirim_channel *channel);

/** @brief The reset token of the peer, KIRIM_CHANNEL_RESET_BYTES; NULL: it is not known yet. */
const uint8_t *kirim_channel_peer_reset(const struct kirim_channel *channel);

KIRIM_END_DECLS

#endif
