/* SPDX-License-Identifier: MIT
 *
 * Timers: intrusive, one-shot, O(1) to arm, re-arm and cancel. They fire in the order of (deadline,
 * order of arming), never before their deadline, from inside a turn of the loop. The storage is the
 * caller's and stays put while armed; a timer that belongs to an endpoint is cancelled when that
 * endpoint closes. Loop thread only.
 */
#ifndef KIRIM_TIMER_H
#define KIRIM_TIMER_H

#include <kirim/config.h>
#include <kirim/error.h>

struct kirim_loop;
struct kirim_endpoint;
struct kirim_timer;

/** Called when a timer's deadline has passed; the timer is idle again and may be armed or freed. */
typedef void (*kirim_timer_fn)(struct kirim_timer *timer);

/** A timer; the caller's storage, zero-initialised (KIRIM_TIMER_INIT) before it is first armed.
 * What arming it again for later uses stands first, and fits in 64 bytes. */
struct kirim_timer {
    kirim_timer_fn expired; /**< Set before arming. */
    void *user;             /**< The caller's; the library never reads it. */
    uint64_t deadline_ns;   /**< Loop time of the last arming; read only. */
    /** @privatesection The library's; all zero while idle. */
    uint64_t ki_order;                 /**< Order of arming. */
    uint64_t ki_place;                 /**< Where it is linked. */
    struct kirim_loop *ki_loop;        /**< The loop it is armed on; NULL: idle. */
    struct kirim_timer **ki_owner;     /**< The list of whom it belongs to, or NULL. */
    struct kirim_timer *ki_next;       /**< Neighbour in a slot, sibling in the heap. */
    struct kirim_timer *ki_prev;       /**< Neighbour in a slot; sibling or parent in the heap. */
    struct kirim_timer *ki_child;      /**< First child in the heap. */
    struct kirim_timer *ki_owned_next; /**< Neighbour in that list. */
    struct kirim_timer *ki_owned_prev; /**< Neighbour in that list. */
    uint64_t ki_reserved[2];           /**< Room to grow. */
};

/** Initialises a timer: `struct kirim_timer t = KIRIM_TIMER_INIT(on_expiry, ctx);` */
#define KIRIM_TIMER_INIT(fn, ctx)                                       \
    {                                                                   \
        (fn), (ctx), 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
        {                                                               \
            0, 0                                                        \
        }                                                               \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief Arms a timer, or moves one that is armed.
 *
 * A deadline in the past fires in the next turn (or in this one, if its timers have not run yet). A
 * timer armed by a timer's callback fires in a later turn, however early its deadline.
 *
 * @param loop         Open loop.
 * @param timer        Caller's storage; stays put until it fires, is cancelled, or the loop closes.
 * @param deadline_ns  On the clock of kirim_loop_now(); KIRIM_NEVER cancels.
 * @retval KIRIM_OK      Armed.
 * @retval KIRIM_EINVAL  NULL, no callback, or armed on another loop.
 * @retval KIRIM_ECLOSED The loop is closing.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_timer_arm(struct kirim_loop *loop, struct kirim_timer *timer,
                                    uint64_t deadline_ns);

/**
 * @brief Arms a timer for a delay from now: kirim_timer_arm() with kirim_loop_now() + `delay_ns`.
 *
 * @param loop      As for kirim_timer_arm().
 * @param timer     As for kirim_timer_arm().
 * @param delay_ns  KIRIM_NEVER, or so long that the clock would pass its end, cancels.
 * @return As kirim_timer_arm().
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_timer_arm_after(struct kirim_loop *loop, struct kirim_timer *timer,
                                          uint64_t delay_ns);

/**
 * @brief Arms a timer that belongs to an endpoint: closing the endpoint cancels it.
 *
 * @param ep           Open endpoint.
 * @param timer        As for kirim_timer_arm().
 * @param deadline_ns  As for kirim_timer_arm().
 * @retval KIRIM_OK       Armed.
 * @retval KIRIM_EINVAL   NULL, no callback, or armed elsewhere.
 * @retval KIRIM_ECLOSED  The endpoint is closing.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_endpoint_timer_arm(struct kirim_endpoint *ep, struct kirim_timer *timer,
                                             uint64_t deadline_ns);

/**
 * @brief Cancels a timer; nothing happens to one that is idle. Its callback will not run.
 *
 * @param timer  As armed, or zero-initialised.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API void kirim_timer_cancel(struct kirim_timer *timer);

/** @brief Whether the timer is armed. Loop thread. */
KIRIM_API bool kirim_timer_is_armed(const struct kirim_timer *timer);

KIRIM_END_DECLS

#endif
