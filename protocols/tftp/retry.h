/* SPDX-License-Identifier: MIT
 *
 * How long to wait before something is sent again: an estimate of the round trip, and doubling.
 *
 * Times are lengths in nanoseconds, counted by whoever asks. Owns nothing. Any thread. Sources: RFC
 * 6298, RFC 8085 section 3.1, RFC 1123 section 4.2.3.2, RFC 2349.
 */
#ifndef KIRIM_TFTP_RETRY_H
#define KIRIM_TFTP_RETRY_H

#include "tftp.h"

/** An estimate; see kirim_tftp_retry_init(). */
struct kirim_tftp_retry {
    uint64_t delay_ns;     /**< How long to wait now. */
    uint64_t delay_ns_min; /**< Never less. */
    uint64_t delay_ns_max; /**< Never more. */
    uint64_t smooth_ns;    /**< The round trip, smoothed; 0: none was measured. */
    uint64_t spread_ns;    /**< How far it varies. */
};

/** @brief Starts an estimate: one second, until a round trip was measured. Any thread. */
void kirim_tftp_retry_init(struct kirim_tftp_retry *retry);

/**
 * @brief Waits as the other side has asked: never less than so many seconds, whatever is measured.
 *
 * @param retry    The estimate.
 * @param seconds  1..255, as the option `timeout` has them.
 * @note Any thread.
 */
void kirim_tftp_retry_agree(struct kirim_tftp_retry *retry, uint32_t seconds);

/**
 * @brief Takes a round trip into account, and ends what doubling there was.
 *
 * @param retry   The estimate.
 * @param rtt_ns  From sending something once to its answer; of what was sent twice nobody knows
 *                which one was answered.
 * @note Any thread.
 */
void kirim_tftp_retry_measure(struct kirim_tftp_retry *retry, uint64_t rtt_ns);

/** @brief Nothing came in time: the next wait is twice as long. Any thread. */
void kirim_tftp_retry_double(struct kirim_tftp_retry *retry);

#endif
