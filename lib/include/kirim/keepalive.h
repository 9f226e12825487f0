/* SPDX-License-Identifier: MIT
 *
 * Keep-alive: when to send something, so that NATs and firewalls on the way keep what they know of
 * us, and when to take a peer for gone. The interval is shortened by chance, so that many peers do
 * not send at once. Time and random numbers are arguments, the timer is the caller's: arm one for
 * `deadline_ns`. Owns nothing; a value. Sources: RFC 8085 section 3.5, RFC 4787 section 4.3.
 */
#ifndef KIRIM_KEEPALIVE_H
#define KIRIM_KEEPALIVE_H

#include <kirim/config.h>
#include <kirim/error.h>

/** How to keep alive; start from KIRIM_KEEPALIVE_OPTIONS_INIT. */
struct kirim_keepalive_options {
    uint64_t interval_ns;     /**< Without a datagram sent for so long, one is due; 1..2^53. RFC
                                   8085 wants no less than 15 s, and more where that does. */
    uint64_t retry_ns;        /**< The interval while an answer is missing; 1..2^53. */
    uint32_t jitter_permille; /**< The interval is up to this much shorter; at most 1,000. */
    uint32_t unanswered_max;  /**< Keep-alives without a sign of the peer, until it counts as gone;
                                   0: the peer need not answer, and never counts as gone. */
};

/** Initialises options: 15 s, a quarter shorter by chance; gone if 4, 2 s apart, stay without
 * answer. */
#define KIRIM_KEEPALIVE_OPTIONS_INIT                        \
    {                                                       \
        UINT64_C(15000000000), UINT64_C(2000000000), 250, 4 \
    }

/** The state of one peer. */
struct kirim_keepalive {
    const struct kirim_keepalive_options *options; /**< Lent. */
    uint64_t deadline_ns; /**< When kirim_keepalive_expire() has something to say. Read only, as
                               are the next. */
    uint64_t interval_ns; /**< The present one, shortened. */
    uint32_t unanswered;  /**< Keep-alives since the last sign of the peer. */
    uint32_t ki_reserved; /**< Zero. */
};

/** What is to be done when a deadline has passed. */
enum {
    KIRIM_KEEPALIVE_WAIT = 0, /**< Nothing yet. */
    KIRIM_KEEPALIVE_SEND = 1, /**< Send a keep-alive; it counts as sent. */
    KIRIM_KEEPALIVE_GONE = 2  /**< The peer is gone; there is no further deadline. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Begins: something was just sent, and something heard.
 *
 * @param k        Caller's storage.
 * @param options  Lent until the peer is given up.
 * @param now_ns   The time.
 * @param random   Any 64 random bits.
 * @retval KIRIM_OK      Ready.
 * @retval KIRIM_EINVAL  Options out of bounds.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_keepalive_init(struct kirim_keepalive *k,
                                         const struct kirim_keepalive_options *options,
                                         uint64_t now_ns, uint64_t random);

/**
 * @brief A datagram was sent to the peer: the mapping on the way is fresh.
 *
 * While an answer to a keep-alive is missing the deadline stays: what is sent is no sign of life.
 *
 * @param k       The state.
 * @param now_ns  The time.
 * @note One thread at a time.
 */
KIRIM_API void kirim_keepalive_sent(struct kirim_keepalive *k, uint64_t now_ns);

/**
 * @brief An authentic datagram came from the peer: it lives.
 *
 * It does not put off the next keep-alive, unless one is missing its answer: many NATs are kept
 * open from the inside only.
 *
 * @param k       The state.
 * @param now_ns  The time.
 * @note One thread at a time.
 */
KIRIM_API void kirim_keepalive_heard(struct kirim_keepalive *k, uint64_t now_ns);

/**
 * @brief Says what is to be done, once `deadline_ns` has passed.
 *
 * @param k       The state.
 * @param now_ns  The time.
 * @param random  Any 64 random bits.
 * @return KIRIM_KEEPALIVE_WAIT, KIRIM_KEEPALIVE_SEND or KIRIM_KEEPALIVE_GONE.
 * @note One thread at a time.
 */
KIRIM_API int kirim_keepalive_expire(struct kirim_keepalive *k, uint64_t now_ns, uint64_t random);

KIRIM_END_DECLS

#endif
