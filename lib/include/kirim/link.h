/* SPDX-License-Identifier: MIT
 *
 * The model of a link: what becomes of each datagram that is sent over it, loss and bursts of loss,
 * delay, jitter, reordering, duplicates, corruption, a rate with a queue that marks or drops, an
 * MTU. It is the simulator's (kirim/sim.h) and can be used alone, in real time too: the caller says
 * when a datagram of how many bytes is sent, and is told whether and when to deliver it.
 *
 * Chance is a function of (key of the link, ordinal of the datagram, kind of fault), and a fault
 * that is taken away leaves the decisions about all others as they were: the same key and rules
 * have the same survivors, whatever the times, as long as no rate is set. Integers only;
 * probabilities are in parts per million. A link is one direction. Its state is plain data: a copy
 * is a snapshot. Owns nothing. Sources: RFC 3168 section 5 (ECN), E. N. Gilbert, "Capacity of a
 * Burst-Noise Channel", 1960, and E. O. Elliott, 1963 (bursts).
 */
#ifndef KIRIM_LINK_H
#define KIRIM_LINK_H

#include <kirim/config.h>
#include <kirim/error.h>

/** What a link does with a datagram larger than its MTU. */
enum {
    KIRIM_LINK_MTU_ERROR = 0,      /**< The send is refused. */
    KIRIM_LINK_MTU_REPORT = 1,     /**< Lost; the sender is told the path MTU by ICMP. */
    KIRIM_LINK_MTU_BLACK_HOLE = 2, /**< Lost. */
    KIRIM_LINK_MTU_FRAGMENT = 3    /**< Arrives whole; refused if it is not to be fragmented. */
};

/** What becomes of a datagram whose bits were flipped. */
enum {
    KIRIM_LINK_CORRUPT_DROP = 0,   /**< A checksum finds it, and it is lost. */
    KIRIM_LINK_CORRUPT_DELIVER = 1 /**< It is delivered, as if the checksum was right or absent. */
};

/** What can become of a datagram. */
enum {
    KIRIM_LINK_CARRIED = 0,   /**< It arrives, once or twice. */
    KIRIM_LINK_REFUSED = 1,   /**< Larger than the MTU: it was not sent and has no ordinal. */
    KIRIM_LINK_DOWN = 2,      /**< Lost: the link is down. */
    KIRIM_LINK_TOO_LARGE = 3, /**< Lost: larger than the MTU, in a black hole. */
    KIRIM_LINK_REPORTED = 4,  /**< Lost: larger than the MTU; the sender is to be told of it. */
    KIRIM_LINK_FULL = 5,      /**< Lost: there was no room in the queue. */
    KIRIM_LINK_CONGESTED = 6, /**< Lost: it would have been marked, but does not say ECT. */
    KIRIM_LINK_LOST = 7,      /**< Lost by `loss_ppm`. */
    KIRIM_LINK_BURST = 8,     /**< Lost in a burst. */
    KIRIM_LINK_CORRUPTED = 9  /**< Lost: bits were flipped. */
};

/** Bits that corruption flips in one datagram at most. */
enum { KIRIM_LINK_FLIP_MAX = 8 };

/**
 * @brief Rules of a link; start from KIRIM_LINK_RULES_INIT.
 *
 * Each fault strikes on its own. A datagram that meets several meets them in this order: link down,
 * MTU, queue, loss, bursts, corruption, reordering, duplication. No time here may be longer than
 * 2^60 ns.
 */
struct kirim_link_rules {
    size_t size;             /**< sizeof, set by the INIT macro. */
    uint64_t delay_ns;       /**< From leaving to arriving. */
    uint64_t jitter_ns;      /**< Added delay, even over 0 .. jitter_ns; order is kept. */
    uint32_t loss_ppm;       /**< Lost, of a million. */
    uint32_t duplicate_ppm;  /**< Delivered twice, of a million. */
    uint32_t reorder_ppm;    /**< Delayed by `reorder_ns` more and overtaken, of a million. */
    uint32_t corrupt_ppm;    /**< Bits flipped, of a million. */
    uint64_t reorder_ns;     /**< Added delay of what is reordered. */
    uint32_t mtu;            /**< Largest IP packet in bytes, at least 576; 0: none. */
    uint32_t mtu_action;     /**< KIRIM_LINK_MTU_..., for datagrams that are larger. */
    bool is_down;            /**< Everything is lost. */
    uint64_t rate_bps;       /**< Bits of IP packets a second; 0: no limit, and no queue. */
    uint32_t queue_bytes;    /**< Bytes of IP packets that wait or are being sent, up to 2^31-1;
                                  what does not fit is lost, but an empty queue takes anything.
                                  0: no bound. */
    uint32_t mark_bytes;     /**< When more than that is queued, what comes is marked CE if it says
                                  ECT, and lost if not; up to 2^31-1. 0: nothing is marked. */
    uint32_t burst_ppm;      /**< A burst of loss begins, of a million datagrams outside of one. */
    uint32_t burst_end_ppm;  /**< It ends, of a million datagrams within: 10^6 / `burst_end_ppm` is
                                  its mean length. Not 0 if `burst_ppm` is not. */
    uint32_t burst_loss_ppm; /**< Lost, of a million within a burst. */
    uint32_t corrupt_action; /**< KIRIM_LINK_CORRUPT_..., for datagrams with flipped bits. */
    uint32_t flip_count;     /**< Bits flipped in one, up to KIRIM_LINK_FLIP_MAX; 0: one. */
    uint32_t ki_reserved;    /**< Zero. */
};

/** Initialises rules: no delay, no faults. */
#define KIRIM_LINK_RULES_INIT                                                                      \
    {                                                                                              \
        sizeof(struct kirim_link_rules), 0, 0, 0, 0, 0, 0, 0, 0, 0, false, 0, 0, 0, 0, 0, 0, 0, 0, \
            0                                                                                      \
    }

/** One direction of a link; the caller's storage, set by kirim_link_init(). */
struct kirim_link {
    uint64_t key;             /**< Of its chance; see kirim_link_key(). */
    uint64_t ordinal;         /**< Of the next datagram. */
    uint64_t free_ns;         /**< When all that was queued has left. */
    uint64_t last_arrival_ns; /**< Of what keeps its order. */
    uint32_t is_in_burst;     /**< Not 0: the last datagram was within a burst. */
    uint32_t ki_reserved;     /**< Zero. */
};

/** A datagram that is to be sent. */
struct kirim_link_datagram {
    uint64_t time_ns;      /**< When, on any clock; not before the one that was sent last. */
    uint32_t bytes;        /**< Payload. */
    uint32_t header_bytes; /**< Of IP and UDP: 28 over IPv4, 48 over IPv6. */
    uint32_t ecn;          /**< Two bits: 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE. */
    bool is_whole;         /**< It says don't-fragment. */
};

/** What becomes of it. */
struct kirim_link_fate {
    uint32_t outcome;    /**< KIRIM_LINK_CARRIED and so on. */
    uint32_t copy_count; /**< How often it arrives: 0 .. 2. */
    /** When each copy arrives. Of KIRIM_LINK_REPORTED the first: when it is found to be too large;
     * the report has the way back before it. */
    uint64_t arrival_ns[2];
    uint64_t leave_ns;                  /**< When it has left the queue. */
    uint32_t ecn;                       /**< What it arrives with: CE if it was marked. */
    bool is_reordered;                  /**< It may be overtaken. */
    bool is_in_burst;                   /**< It was sent within a burst, lost or not. */
    uint32_t flip_count;                /**< Bits flipped of what arrives, or was lost by it. */
    uint32_t flip[KIRIM_LINK_FLIP_MAX]; /**< Which of the payload: 8 * byte + bit. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Key of the link from one party to another: the one that a simulated world with this seed
 *        has for the link between hosts of these names.
 *
 * @param seed  Of the run.
 * @param from  Name of the sender.
 * @param to    Name of the receiver.
 * @return The key for kirim_link_init().
 * @note Any thread.
 */
KIRIM_API uint64_t kirim_link_key(uint64_t seed, const char *from, const char *to);

/**
 * @brief Whether these are rules.
 *
 * @param rules  Rules.
 * @retval KIRIM_OK      They are.
 * @retval KIRIM_EINVAL  NULL, a size that no version had, more than a million of a million, a time
 *                       over 2^60 ns, an MTU below 576, an action that there is not, more than
 *                       2^31-1 bytes, bursts that never end, or too many bits.
 * @note Any thread.
 */
KIRIM_API kirim_err kirim_link_check(const struct kirim_link_rules *rules);

/**
 * @brief Begins a link: nothing was sent yet.
 *
 * @param link  Caller's storage.
 * @param key   What tells it from other links, and this run from others: see kirim_link_key().
 * @note One thread at a time.
 */
KIRIM_API void kirim_link_init(struct kirim_link *link, uint64_t key);

/**
 * @brief What the MTU says to a datagram, if nothing else keeps it: changes nothing.
 *
 * @param rules     Rules that kirim_link_check() has taken.
 * @param datagram  Only its bytes and `is_whole` matter.
 * @return KIRIM_LINK_CARRIED, KIRIM_LINK_REFUSED, KIRIM_LINK_TOO_LARGE or KIRIM_LINK_REPORTED.
 * @note Any thread.
 */
KIRIM_API uint32_t kirim_link_fit(const struct kirim_link_rules *rules,
                                  const struct kirim_link_datagram *datagram);

/**
 * @brief Sends a datagram.
 *
 * Who may still fail afterwards sends over a copy of the link, and keeps the copy when all is done.
 * The rules may be others for each datagram; what is under way is not overtaken for it.
 *
 * @param link      The link; it goes on by one ordinal, unless the datagram is refused.
 * @param rules     Rules that kirim_link_check() has taken.
 * @param datagram  What is sent, and when.
 * @param out       What becomes of it.
 * @note One thread at a time.
 */
KIRIM_API void kirim_link_send(struct kirim_link *link, const struct kirim_link_rules *rules,
                               const struct kirim_link_datagram *datagram,
                               struct kirim_link_fate *out);

/**
 * @brief Flips the bits that a fate says; nothing if it says none.
 *
 * @param fate  From kirim_link_send().
 * @param data  Payload of the datagram, as many bytes as were said there.
 * @note One thread at a time.
 */
KIRIM_API void kirim_link_corrupt(const struct kirim_link_fate *fate, uint8_t *data);

/**
 * @brief An outcome in words, as "lost in a burst"; "unknown" if there is no such outcome.
 *
 * @param outcome  KIRIM_LINK_CARRIED and so on.
 * @return Static text.
 * @note Any thread.
 */
KIRIM_API const char *kirim_link_outcome_text(uint32_t outcome);

KIRIM_END_DECLS

#endif
