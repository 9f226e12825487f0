/* SPDX-License-Identifier: MIT
 *
 * The search for the path MTU by probes (DPLPMTUD): which size of datagram gets through to a peer,
 * found without trusting ICMP, and found anew when it shrinks. The caller sends the probes: packets
 * of his protocol, padded, with don't-fragment, and acknowledged by the peer. He tells what became
 * of them; a lost probe is no sign of congestion.
 *
 * Sizes are those of what is probed, by the caller's own count; UDP payloads, say. The search tries
 * the largest size first, since most paths take it, then halves what is left. Time is an argument,
 * the timer is the caller's: arm one for `deadline_ns`. Owns nothing. Source: RFC 8899, sections
 * 4.3, 4.4, 4.6.2, 5.1 to 5.3; the names of the states and timers are its own.
 */
#ifndef KIRIM_PMTU_H
#define KIRIM_PMTU_H

#include <kirim/config.h>
#include <kirim/error.h>

/** How to search; start from KIRIM_PMTU_OPTIONS_INIT. */
struct kirim_pmtu_options {
    uint32_t min_bytes;         /**< MIN_PLPMTU: used if not even the base gets through; not 0. */
    uint32_t base_bytes;        /**< BASE_PLPMTU: expected to get through; `min_bytes` at least. */
    uint32_t max_bytes;         /**< MAX_PLPMTU: that of the interface, or what the peer takes;
                                     `base_bytes` at least, 2^31 - 1 at most. */
    uint32_t probe_count_max;   /**< MAX_PROBES: of one size, lost one after the other; 1..255. */
    uint32_t granularity_bytes; /**< The search ends when it is that close; at least 1. */
    uint32_t ki_reserved;       /**< Zero. */
    uint64_t probe_ns;   /**< PROBE_TIMER: a probe is lost after that; 1 s at the least, at most
                              2^53. Who knows sooner says so by kirim_pmtu_lose(). */
    uint64_t raise_ns;   /**< PMTU_RAISE_TIMER: a larger size is tried again after that; 1..2^53. */
    uint64_t confirm_ns; /**< CONFIRMATION_TIMER: the size in use is probed after that, unless
                              kirim_pmtu_confirm() came before; up to 2^53. 0: never, the caller
                              detects black holes by himself. */
};

/** Initialises options: UDP payloads over IPv6 on Ethernet; the timers of RFC 8899. */
#define KIRIM_PMTU_OPTIONS_INIT                                                      \
    {                                                                                \
        1200, 1200, 1452, 3, 16, 0, UINT64_C(15000000000), UINT64_C(600000000000), 0 \
    }

/** States of RFC 8899 section 5.2. */
enum {
    KIRIM_PMTU_DISABLED = 0,  /**< Not started: the peer is not known to answer. */
    KIRIM_PMTU_BASE = 1,      /**< The base is being probed, and in use meanwhile. */
    KIRIM_PMTU_SEARCHING = 2, /**< Larger sizes are being probed. */
    KIRIM_PMTU_COMPLETE = 3,  /**< The largest size has been found. */
    KIRIM_PMTU_ERROR = 4      /**< Not even the base gets through; the minimum is in use. */
};

/** A search on one path; the caller's storage. */
struct kirim_pmtu {
    const struct kirim_pmtu_options *options; /**< Lent. */
    uint64_t deadline_ns;  /**< When to call kirim_pmtu_probe(); KIRIM_NEVER while disabled. Read
                                only, as are the next. */
    uint32_t plpmtu_bytes; /**< PLPMTU: the size to be used now. */
    uint32_t probed_bytes; /**< PROBED_SIZE: the probe under way; 0: none. */
    uint32_t state;        /**< KIRIM_PMTU_DISABLED and so on. */
    uint32_t probe_count;  /**< PROBE_COUNT: probes of this size so far. */
    /** @privatesection The library's. */
    uint32_t ki_ceiling;     /**< Smallest size that does not get through, for all that is known. */
    uint32_t ki_hint;        /**< Size to be tried next, if it is below the ceiling. */
    uint32_t ki_error_count; /**< Rounds of probes lost in the error state. */
    uint32_t ki_reserved;    /**< Zero. */
    uint64_t ki_raise_ns;    /**< When a larger size is tried again. */
    uint64_t ki_confirm_ns;  /**< When the size in use is probed. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Begins, disabled; the base may be used.
 *
 * @param pmtu     Caller's storage.
 * @param options  Lent until it is given up.
 * @retval KIRIM_OK      Ready.
 * @retval KIRIM_EINVAL  Options out of bounds.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_pmtu_init(struct kirim_pmtu *pmtu,
                                    const struct kirim_pmtu_options *options);

/**
 * @brief Starts, or starts anew: the peer answers, or the path has changed.
 *
 * @param pmtu    The search.
 * @param now_ns  The time; the first probe is due.
 * @note One thread at a time.
 */
KIRIM_API void kirim_pmtu_start(struct kirim_pmtu *pmtu, uint64_t now_ns);

/**
 * @brief Asks for a probe. To be called when `deadline_ns` has passed, which every other call may
 *        bring nearer; at any other time nothing happens.
 *
 * @param pmtu    The search.
 * @param now_ns  The time.
 * @return Size of the probe to be sent now, which is under way from here on; 0: none.
 * @note One thread at a time.
 */
KIRIM_API uint32_t kirim_pmtu_probe(struct kirim_pmtu *pmtu, uint64_t now_ns);

/**
 * @brief A probe was acknowledged.
 *
 * @param pmtu    The search.
 * @param bytes   Its size; nothing happens if no such probe is under way.
 * @param now_ns  The time.
 * @note One thread at a time.
 */
KIRIM_API void kirim_pmtu_acknowledge(struct kirim_pmtu *pmtu, uint32_t bytes, uint64_t now_ns);

/**
 * @brief A probe is known to be lost, or was refused by the system as too long.
 *
 * @param pmtu    The search.
 * @param bytes   Its size; nothing happens if no such probe is under way.
 * @param now_ns  The time.
 * @note One thread at a time.
 */
KIRIM_API void kirim_pmtu_lose(struct kirim_pmtu *pmtu, uint32_t bytes, uint64_t now_ns);

/**
 * @brief A "packet too big" came. The caller has checked that it quotes what he has sent: an
 *        attacker could otherwise choose the size, if not below the minimum.
 *
 * @param pmtu    The search.
 * @param bytes   What gets through by its word (PL_PTB_SIZE), headers subtracted.
 * @param now_ns  The time.
 * @return Whether it told anything: not if it is below the minimum, or no smaller than what was
 *         sent.
 * @note One thread at a time.
 */
KIRIM_API bool kirim_pmtu_too_big(struct kirim_pmtu *pmtu, uint32_t bytes, uint64_t now_ns);

/**
 * @brief The caller has detected a black hole: datagrams of the size in use vanish, smaller ones do
 *        not. Back to the base.
 *
 * @param pmtu    The search.
 * @param now_ns  The time.
 * @note One thread at a time.
 */
KIRIM_API void kirim_pmtu_black_hole(struct kirim_pmtu *pmtu, uint64_t now_ns);

/**
 * @brief A datagram of the size in use was acknowledged: no need to probe that.
 *
 * @param pmtu    The search.
 * @param now_ns  The time.
 * @note One thread at a time.
 */
KIRIM_API void kirim_pmtu_confirm(struct kirim_pmtu *pmtu, uint64_t now_ns);

KIRIM_END_DECLS

#endif
