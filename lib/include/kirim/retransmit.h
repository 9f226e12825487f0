/* SPDX-License-Identifier: MIT
 *
 * Retransmission: when to send a message again, and when to give up. A path keeps what all messages
 * to one peer share: the round-trip time, how many may wait for an answer at a time, and how often
 * something new may be sent. A message keeps its own schedule.
 *
 * The rules are those for who has no congestion control of his own: few messages at a time, a
 * timeout from measured round trips that doubles with each loss and stays doubled until there is a
 * new sample, jitter, an end. Time and random numbers are arguments, the timer is the caller's: arm
 * one for `deadline_ns`. Owns nothing. Sources: RFC 6298, RFC 8085 section 3.1, RFC 7252 sections
 * 4.2, 4.7 and 4.8, RFC 8489 section 6.2.1.
 */
#ifndef KIRIM_RETRANSMIT_H
#define KIRIM_RETRANSMIT_H

#include <kirim/config.h>
#include <kirim/error.h>
#include <kirim/rtt.h>

/** Between two datagrams to who never answers, in nanoseconds (RFC 8085 section 3.1.3). */
#define KIRIM_PATH_BLIND_NS UINT64_C(3000000000)

/** What all messages to one peer share. */
struct kirim_path {
    struct kirim_rtt rtt;     /**< Round-trip time and timeout. */
    uint32_t outstanding_max; /**< Messages that may wait for an answer; at least 1. */
    uint32_t outstanding;     /**< That wait now. Read only, as are the next. */
    uint64_t next_ns;         /**< When kirim_path_pace() lets the next datagram go. */
    uint64_t backed_off_ns;   /**< When the timeout was last doubled. */
};

/** A schedule, shared by as many messages as wished; start from one of the macros below. */
struct kirim_retransmit_options {
    uint64_t initial_ns;      /**< First timeout; 0: that of the path. */
    uint64_t max_ns;          /**< Largest timeout, 1..2^53; a first one that is longer is cut. */
    uint64_t total_ns;        /**< Given up this long after the first transmission;
                                   KIRIM_NEVER: only by count. */
    uint32_t send_count_max;  /**< Transmissions in all, at least 1. */
    uint32_t jitter_permille; /**< The first timeout is up to this much longer, by chance; at most
                                   1,000. The later ones double it as it is. */
    uint32_t last_factor;     /**< After the last transmission, wait so many first timeouts;
                                   0: go on doubling. At most 1,000. */
    uint32_t ki_reserved;     /**< Zero. */
};

/** Timeout of the path, half as much more by chance, up to 60 s; 5 transmissions. */
#define KIRIM_RETRANSMIT_OPTIONS_INIT                       \
    {                                                       \
        0, UINT64_C(60000000000), KIRIM_NEVER, 5, 500, 0, 0 \
    }

/** A confirmable message of CoAP (RFC 7252 section 4.8): given up after 62 to 93 s. */
#define KIRIM_RETRANSMIT_COAP_INIT                                             \
    {                                                                          \
        UINT64_C(2000000000), UINT64_C(60000000000), KIRIM_NEVER, 5, 500, 0, 0 \
    }

/** A request of STUN over UDP (RFC 8489 section 6.2.1): given up after 39.5 s. */
#define KIRIM_RETRANSMIT_STUN_INIT                                           \
    {                                                                        \
        UINT64_C(500000000), UINT64_C(60000000000), KIRIM_NEVER, 7, 0, 16, 0 \
    }

/** A message; start from KIRIM_RETRANSMIT_INIT. */
struct kirim_retransmit {
    const struct kirim_retransmit_options *options; /**< Lent. */
    struct kirim_path *path;                        /**< Lent. */
    uint64_t deadline_ns; /**< When kirim_retransmit_expire() has something to say; KIRIM_NEVER
                               while idle. Read only, as are the next. */
    uint64_t started_ns;  /**< Time of the first transmission. */
    uint64_t timeout_ns;  /**< The present one. */
    uint64_t first_ns;    /**< The first one. */
    uint32_t send_count;  /**< Transmissions so far; 0: idle. */
    uint32_t ki_reserved; /**< Zero. */
};

/** Initialises a message: `struct kirim_retransmit r = KIRIM_RETRANSMIT_INIT(&options, &path);` */
#define KIRIM_RETRANSMIT_INIT(options, path)          \
    {                                                 \
        (options), (path), KIRIM_NEVER, 0, 0, 0, 0, 0 \
    }

/** What is to be done when a deadline has passed. */
enum {
    KIRIM_RETRANSMIT_WAIT = 0,   /**< Nothing yet: `deadline_ns` has not come. */
    KIRIM_RETRANSMIT_SEND = 1,   /**< Send the message again; `deadline_ns` is new. */
    KIRIM_RETRANSMIT_GIVE_UP = 2 /**< It has ended without an answer. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Begins a path.
 *
 * @param path             Caller's storage.
 * @param rtt              Bounds of its timeout; copied.
 * @param outstanding_max  Messages that may wait for an answer at a time; 1 is what RFC 7252 (as
 *                         NSTART) and RFC 8085 have for who knows no better.
 * @retval KIRIM_OK      Ready.
 * @retval KIRIM_EINVAL  As kirim_rtt_init(), or no message at all.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_path_init(struct kirim_path *path, const struct kirim_rtt_options *rtt,
                                    uint32_t outstanding_max);

/**
 * @brief Asks for leave to send a datagram that no retransmission looks after: on average no more
 *        than one in a round-trip time, or in KIRIM_PATH_BLIND_NS where none was measured.
 *
 * @param path    The path.
 * @param now_ns  The time.
 * @return Whether it may be sent now, and is counted as sent; if not, `path->next_ns` says when.
 * @note One thread at a time.
 */
KIRIM_API bool kirim_path_pace(struct kirim_path *path, uint64_t now_ns);

/**
 * @brief Starts a message: the caller sends it for the first time now.
 *
 * @param r       Idle, its options and its path set.
 * @param now_ns  The time.
 * @param random  Any 64 random bits, for the jitter.
 * @retval KIRIM_OK      To be sent now; `deadline_ns` is set.
 * @retval KIRIM_EBUSY   As many messages as the path allows wait for an answer.
 * @retval KIRIM_EINVAL  Not idle, or options out of bounds.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_retransmit_start(struct kirim_retransmit *r, uint64_t now_ns,
                                           uint64_t random);

/**
 * @brief Says what is to be done, once `deadline_ns` has passed.
 *
 * @param r       Started.
 * @param now_ns  The time.
 * @return KIRIM_RETRANSMIT_WAIT, KIRIM_RETRANSMIT_SEND, or KIRIM_RETRANSMIT_GIVE_UP: it is idle,
 *         and the path has room for another.
 * @note One thread at a time.
 */
KIRIM_API int kirim_retransmit_expire(struct kirim_retransmit *r, uint64_t now_ns);

/**
 * @brief Ends a message that was answered. The path has a sample, if it was sent once only.
 *
 * @param r       Started; nothing happens to one that is idle.
 * @param now_ns  The time.
 * @note One thread at a time.
 */
KIRIM_API void kirim_retransmit_answer(struct kirim_retransmit *r, uint64_t now_ns);

/**
 * @brief Ends a message without an answer: given up by the caller, or refused by the network.
 *
 * @param r  Started; nothing happens to one that is idle.
 * @note One thread at a time.
 */
KIRIM_API void kirim_retransmit_cancel(struct kirim_retransmit *r);

KIRIM_END_DECLS

#endif
