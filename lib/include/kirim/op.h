/* SPDX-License-Identifier: MIT
 *
 * Operations: a send whose bytes are borrowed, and whose end is reported. Intrusive: the storage is
 * the caller's, serves one send at a time, and stays put from the send until its callback. Loop
 * thread only. Source: the overlapped rules of the WSASendMsg reference page (S13..S28 of
 * docs/send-contract.md).
 */
#ifndef KIRIM_OP_H
#define KIRIM_OP_H

#include <kirim/config.h>
#include <kirim/error.h>

struct kirim_loop;
struct kirim_endpoint;
struct kirim_op;

/**
 * Called exactly once for every send that returned KIRIM_PENDING, and for one that returned
 * KIRIM_OK with an operation; from inside a turn of the loop, never nested. The operation is idle
 * again when it runs: it may be used for the next send, or freed. `sent_bytes` is 0 unless `err` is
 * KIRIM_OK.
 */
typedef void (*kirim_op_fn)(struct kirim_op *op, kirim_err err, size_t sent_bytes);

/** An operation; the caller's storage, zero-initialised (KIRIM_OP_INIT) before its first use. */
struct kirim_op {
    kirim_op_fn done;     /**< NULL: no callback; the result is polled or waited for. */
    void *user;           /**< The caller's; the library never reads it (S18). */
    uint64_t deadline_ns; /**< Loop time after which it ends KIRIM_ETIMEDOUT; 0: none. Set before
                             the send. */
    /** @privatesection The library's; all zero while idle. */
    struct kirim_op *ki_next;        /**< Neighbour among the finished. */
    struct kirim_endpoint *ki_owner; /**< Endpoint of its flight. */
    uint64_t ki_number;              /**< Number of its queue entry. */
    uint64_t ki_sent_bytes;          /**< Result. */
    int32_t ki_state;                /**< Idle, queued or in flight, finished, done. */
    kirim_err ki_err;                /**< Result. */
    int32_t ki_system_code;          /**< Result. */
    int32_t ki_reserved[3];          /**< Room to grow. */
};

/** Initialises an operation: `struct kirim_op op = KIRIM_OP_INIT(on_sent, ctx);` */
#define KIRIM_OP_INIT(fn, ctx)                     \
    {                                              \
        (fn), (ctx), 0, NULL, NULL, 0, 0, 0, 0, 0, \
        {                                          \
            0, 0, 0                                \
        }                                          \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief Asks that an operation end early.
 *
 * What is still queued ends KIRIM_EABORTED and never leaves; what the system already holds may
 * still be reported KIRIM_OK. Either way the callback comes once, from a later turn.
 *
 * @param op  In flight.
 * @retval KIRIM_OK      Asked.
 * @retval KIRIM_EINVAL  NULL, or not in flight.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_op_cancel(struct kirim_op *op);

/**
 * @brief The result of an operation without a callback (S17).
 *
 * @param op          Used for a send at least once; without a callback.
 * @param sent_bytes  Gets the bytes sent if the result is KIRIM_OK; may be NULL.
 * @return KIRIM_PENDING while it is in flight, else its result, the same at every call until it is
 * used again.
 * @retval KIRIM_EINVAL  It has a callback, or was never used.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_op_result(const struct kirim_op *op, size_t *sent_bytes);

/**
 * @brief Runs turns of the loop until an operation without a callback has ended, or a time-out has
 * passed.
 *
 * @param op          In flight or ended; without a callback.
 * @param timeout_ns  Longest wait; 0 only looks, KIRIM_NEVER waits without limit.
 * @param sent_bytes  As for kirim_op_result().
 * @return The operation's result; also an error of the reactor's wait, which is not expected.
 * @retval KIRIM_PENDING  The time-out passed first; the operation stays in flight.
 * @retval KIRIM_EINVAL   It has a callback or was never used; or the call was made from inside a
 * callback, or on a loop that others drive.
 * @note Loop thread, outside of callbacks.
 */
KIRIM_API kirim_err kirim_op_wait(struct kirim_op *op, uint64_t timeout_ns, size_t *sent_bytes);

/** @brief The system's own code behind the last result of an operation, for people to read; 0 if
 * there was none. Loop thread. */
KIRIM_API int32_t kirim_op_system_code(const struct kirim_op *op);

/** @brief Whether the operation is in flight. Loop thread. */
KIRIM_API bool kirim_op_is_pending(const struct kirim_op *op);

KIRIM_END_DECLS

#endif
