/* SPDX-License-Identifier: MIT
 *
 * Statistics: counters that only grow, of each endpoint and of the loop. Nothing is lost silently:
 * every datagram that was accepted and did not leave stands under a reason. Values, copied out on
 * request.
 */
#ifndef KIRIM_STATS_H
#define KIRIM_STATS_H

#include <kirim/config.h>
#include <kirim/error.h>

struct kirim_loop;
struct kirim_endpoint;

/** Why a datagram did not leave, or did not arrive. Numbers are stable; new ones are added at the
 * end. */
enum {
    KIRIM_DROP_CLOSED = 0,      /**< Queued when its endpoint closed, and not taken or not due. */
    KIRIM_DROP_DISCARDED = 1,   /**< kirim_endpoint_discard(). */
    KIRIM_DROP_CANCELLED = 2,   /**< kirim_op_cancel(). */
    KIRIM_DROP_DEADLINE = 3,    /**< The operation's deadline passed. */
    KIRIM_DROP_TOO_LONG = 4,    /**< The system found it too long (path or interface). */
    KIRIM_DROP_NO_BUFFERS = 5,  /**< The system had no buffers; never waited for. */
    KIRIM_DROP_UNREACHABLE = 6, /**< No route, or the network is down. */
    KIRIM_DROP_DENIED = 7,      /**< Not permitted. */
    KIRIM_DROP_RESET = 8,       /**< Its peer reported a closed port, and the retry failed too. */
    KIRIM_DROP_SHUTDOWN = 9,    /**< The sending side was shut down. */
    KIRIM_DROP_LATE = 10,       /**< Refused late, and a resend would have broken the order. */
    KIRIM_DROP_NO_MEMORY = 11,  /**< Lent bytes had to be kept, and there was no memory for it. */
    KIRIM_DROP_SYSTEM = 12,     /**< Any other error of the system. */
    /** Arrived, but the receive buffer was full; counted by the system, to which a coalesced train
     *  is one. Without KIRIM_CAP_DROPS it does not tell, and 0 says nothing. */
    KIRIM_DROP_RECEIVE_FULL = 13,
    KIRIM_DROP_COUNT = 14, /**< How many reasons this header knows. */
    KIRIM_DROP_ROOM = 32   /**< How many there will ever be. */
};

/** Counters of one endpoint. */
struct kirim_endpoint_stats {
    uint32_t size;         /**< sizeof, set by KIRIM_ENDPOINT_STATS_INIT. */
    uint32_t drop_count;   /**< How many of `drops` are set. */
    uint64_t rx_datagrams; /**< Handed to the handler; a whole train counts as its datagrams. */
    uint64_t rx_bytes;     /**< Payload of those. */
    uint64_t rx_truncated; /**< Of those, cut. */
    uint64_t rx_calls;     /**< System calls that received. */
    uint64_t rx_errors; /**< Receive calls that failed with something other than "nothing there". */
    uint64_t tx_accepted;  /**< Datagrams whose send was not refused. */
    uint64_t tx_datagrams; /**< Taken by the system. */
    uint64_t tx_bytes;     /**< Payload of those. */
    uint64_t tx_calls;     /**< System calls that sent. */
    uint64_t tx_trains;    /**< Segmentation-offload trains among what was sent. */
    uint64_t tx_blocked;   /**< Times the system was full. */
    uint64_t tx_refused;   /**< Sends refused at the queue bound (KIRIM_EWOULDBLOCK). */
    uint64_t tx_copied; /**< Lent datagrams that had to be copied, as the system did not take them
                           or their time had not come. */
    uint64_t tx_queued; /**< Waiting or in flight now: a level, not a counter. */
    uint64_t ops_done;  /**< Operations whose callback has run, or whose result can be polled. */
    uint64_t drops[KIRIM_DROP_ROOM]; /**< By reason. */
    uint64_t
        tx_trains_refused; /**< Trains that the system refused, and that were sent one by one. */
    uint64_t rx_trains;    /**< Trains that arrived coalesced. */
};

/** Initialises the structure for kirim_endpoint_read_stats(). */
#define KIRIM_ENDPOINT_STATS_INIT                                                                \
    {                                                                                            \
        (uint32_t)sizeof(struct kirim_endpoint_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, { 0 }, 0, 0                                                                    \
    }

/** Counters of one loop. */
struct kirim_loop_stats {
    uint32_t size;           /**< sizeof, set by KIRIM_LOOP_STATS_INIT. */
    uint32_t endpoint_count; /**< Open now: a level. */
    uint64_t turns;          /**< Turns run. */
    uint64_t waits;          /**< Calls into the reactor's wait. */
    uint64_t timers_fired;   /**< Timer callbacks. */
    uint64_t timers_armed;   /**< Armed now: a level. */
    uint64_t posts;          /**< Posts of other threads that have run. */
    uint64_t wakes;          /**< Times the loop was woken from another thread. */
    uint64_t guests_called;  /**< Callbacks of guest descriptors. */
    uint64_t starved;        /**< Times the reactor ran out of receive buffers in a turn. */
    uint64_t lag_ns_max;     /**< Longest delay of a timer past its deadline. */
};

/** Initialises the structure for kirim_loop_read_stats(). */
#define KIRIM_LOOP_STATS_INIT                                                   \
    {                                                                           \
        (uint32_t)sizeof(struct kirim_loop_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief Copies the counters of an endpoint.
 *
 * @param ep   Open or closing endpoint.
 * @param out  Initialised with KIRIM_ENDPOINT_STATS_INIT; as many counters are written as fit its
 * size.
 * @retval KIRIM_OK      Written; also while it is closing, and in `closed`.
 * @retval KIRIM_EINVAL  NULL, or a size that no version had.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_endpoint_read_stats(struct kirim_endpoint *ep,
                                              struct kirim_endpoint_stats *out);

/**
 * @brief Copies the counters of a loop.
 *
 * @param loop  Open loop.
 * @param out   Initialised with KIRIM_LOOP_STATS_INIT; as many counters are written as fit its
 * size.
 * @retval KIRIM_OK      Written.
 * @retval KIRIM_EINVAL  NULL, or a size that no version had.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_loop_read_stats(struct kirim_loop *loop, struct kirim_loop_stats *out);

/**
 * @brief Name of a drop reason, e.g. "no-buffers".
 *
 * @param reason  One of KIRIM_DROP_...
 * @return Static, never NULL; "?" for another number.
 * @note Any thread.
 */
KIRIM_API const char *kirim_drop_name(unsigned reason);

KIRIM_END_DECLS

#endif
