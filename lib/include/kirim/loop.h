/* SPDX-License-Identifier: MIT
 *
 * The loop: one thread, one reactor, and all that hangs on it. No locks, no hidden threads, no
 * mutable globals: two loops in two threads share nothing. Everything here is for the loop's own
 * thread; what another thread may do is in remote.h. After fork() a child may only close a loop,
 * not use it.
 *
 * A turn has one order: wait; operations that have ended; received datagrams; guests; posts of
 * other threads; timers; flush of what was sent; closings. See docs/turn.md for its bounds.
 */
#ifndef KIRIM_LOOP_H
#define KIRIM_LOOP_H

#include <kirim/config.h>
#include <kirim/error.h>

struct kirim_loop;
struct ki_reactor_ops;

/** What a reactor on this system can do, as bits. */
enum {
    KIRIM_CAP_POLLABLE = 1 << 0,   /**< kirim_loop_pollable() gives a handle. */
    KIRIM_CAP_GUESTS = 1 << 1,     /**< Guest descriptors can be watched. */
    KIRIM_CAP_BATCHES = 1 << 2,    /**< One system call moves many datagrams. */
    KIRIM_CAP_ADOPT = 1 << 3,      /**< Sockets of the caller can be adopted. */
    KIRIM_CAP_DUAL_STACK = 1 << 4, /**< An IPv6 endpoint can serve IPv4 too. */
    KIRIM_CAP_IPV6 = 1 << 5,       /**< IPv6 is available. */
    KIRIM_CAP_SOURCE = 1 << 6,     /**< Source address and interface per message, and as arrived. */
    KIRIM_CAP_ECN = 1 << 7,        /**< ECN and DSCP per message, and as arrived. */
    KIRIM_CAP_TTL = 1 << 8,        /**< Time to live per message, and as arrived. */
    KIRIM_CAP_DONT_FRAGMENT = 1 << 9, /**< Don't-fragment per message and per endpoint. */
    KIRIM_CAP_TRAINS = 1 << 10,       /**< Segmentation offload: equal-sized datagrams to one peer
                                           leave as one train. */
    KIRIM_CAP_PACING = 1 << 11,       /**< Not-before times: kept by the loop on every reactor. */
    KIRIM_CAP_VIRTUAL_TIME = 1 << 12, /**< The clock is simulated. */
    KIRIM_CAP_ALERTABLE = 1 << 13,    /**< A host embeds the loop by waiting alertably. */
    KIRIM_CAP_DRIVEN = 1 << 14,       /**< Others run the turns; run and step are refused. */
    KIRIM_CAP_COALESCED = 1 << 15,    /**< Receive offload: trains arrive in one piece. */
    KIRIM_CAP_ERRORS = 1 << 16,       /**< Network errors of unconnected endpoints name their
                                           peer. */
    KIRIM_CAP_MULTICAST = 1 << 17,    /**< Groups can be joined, kirim/multicast.h. */
    KIRIM_CAP_PATH_MTU = 1 << 18,     /**< kirim_endpoint_path_mtu() tells, and
                                           KIRIM_ENDPOINT_PROBE_MTU is honoured. */
    KIRIM_CAP_TIME = 1 << 19,         /**< Arrivals tell their time, KIRIM_ENDPOINT_RECEIVE_CONTROL.
                                           Without it some may. */
    KIRIM_CAP_DROPS = 1 << 20         /**< What found the receive buffer full is counted,
                                           KIRIM_DROP_RECEIVE_FULL. */
};

/** How grave a log line is. */
enum {
    KIRIM_LOG_ERROR = 0,   /**< Something was lost that should not have been. */
    KIRIM_LOG_WARNING = 1, /**< A fallback was taken. */
    KIRIM_LOG_INFO = 2,    /**< Worth knowing once. */
    KIRIM_LOG_DEBUG = 3    /**< For those who look for a fault. */
};

/**
 * @brief Gives, resizes and takes back memory, as one function.
 *
 * `old` NULL: give `new_bytes`. `new_bytes` 0: take `old` back and return NULL. Else resize,
 * keeping the bytes. NULL means there is none; `old` then stays as it was. Results are aligned for
 * any object. Called in the loop's thread, and in that which gives back the last reference to a
 * remote; must not call the library.
 */
typedef void *(*kirim_alloc_fn)(void *user, void *old, size_t old_bytes, size_t new_bytes);

/** Gets one line, without a line end; lent until the return. Called in the loop's thread; must not
 * call the library. */
typedef void (*kirim_log_fn)(void *user, int level, const char *line);

/** How to open a loop; start from KIRIM_LOOP_OPTIONS_INIT. */
struct kirim_loop_options {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** Name; NULL: KIRIM_REACTOR of the environment, else the best that opens. */
    const char *reactor;
    /** A reactor of the caller's own, built against lib/reactor.h of the very same version and
     * linked statically; goes before `reactor`. */
    const struct ki_reactor_ops *reactor_ops;
    /** What the reactor needs: for "sim" a struct kirim_sim_host; for "libevent" the struct
     * event_base that the loop joins, which stays the caller's and must outlive the loop, or NULL
     * for one of the loop's own (docs/libevent.md); else NULL. Only beside `reactor` or
     * `reactor_ops`. */
    void *reactor_context;
    /** A table that replaces the reactor's system calls, for tests; NULL: the system's. */
    const void *system_calls;
    /** NULL: the C library's allocator. */
    kirim_alloc_fn alloc;
    /** First argument of `alloc`. */
    void *alloc_user;
    /** NULL: nobody reads. */
    kirim_log_fn log;
    /** First argument of `log`. */
    void *log_user;
    /** Lines of this level and graver ones are written; KIRIM_LOG_DEBUG gives all. */
    int32_t log_level;
    /** Largest datagram that any endpoint will take, 512..65,535. 0: 65,535. With less than that
     * there is no receive offload: a train would not fit. */
    uint32_t datagram_bytes_max;
    /** Receive buffers of that size, 64..4,096; touched only when used. 0: 128. */
    uint32_t receive_slot_count;
    /** 0. */
    uint32_t ki_reserved;
    /** How long a destination whose route refused a train gets its datagrams one by one, in ns. 0:
     * 60 s. */
    uint64_t train_refusal_ns;
};

/** Initialises options: the best reactor, the C library's allocator, warnings logged to nobody. */
#define KIRIM_LOOP_OPTIONS_INIT                                                            \
    {                                                                                      \
        sizeof(struct kirim_loop_options), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
            KIRIM_LOG_WARNING, 0, 0, 0, 0                                                  \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief Names of the reactors that this build has, in order of preference.
 *
 * @param index  0, 1, ...
 * @return The name, static; NULL behind the last one.
 * @note Any thread.
 */
KIRIM_API const char *kirim_reactor_name(size_t index);

/**
 * @brief Opens a loop; the calling thread becomes its thread.
 *
 * @param options  Read during the call; NULL for defaults.
 * @param out      The loop; written on success only. End it with kirim_loop_close().
 * @retval KIRIM_OK          Open.
 * @retval KIRIM_ENOENT      No reactor of this name in this build (the environment's name
 * included).
 * @retval KIRIM_EINVAL      `out` is NULL, a size that no version had, a bound out of range, or a
 * `reactor_context` without a reactor's name or for one that takes none.
 * @retval KIRIM_EBUSY       The simulated host has a loop already.
 * @retval KIRIM_EOPNOTSUPP  The system lacks what the reactor is built on.
 * @retval KIRIM_EMFILE      Out of descriptors.
 * @retval KIRIM_ENOMEM      Out of memory.
 * @note Any thread.
 */
KIRIM_API kirim_err kirim_loop_open(const struct kirim_loop_options *options,
                                    struct kirim_loop **out);

/**
 * @brief Closes a loop and all that hangs on it.
 *
 * Endpoints are closed as by kirim_endpoint_close(), their operations end and their last callbacks
 * run inside this call; armed timers are cancelled; posts that have not run are called with
 * KIRIM_ECLOSED. Waits until no other thread is inside a call with its remote.
 *
 * @param loop  Open loop, or NULL.
 * @retval KIRIM_OK      Gone.
 * @retval KIRIM_EINVAL  The call was made from inside a callback.
 * @note Loop thread outside of callbacks, or any thread once the loop's thread has ended (S26).
 */
KIRIM_API kirim_err kirim_loop_close(struct kirim_loop *loop);

/**
 * @brief Runs turns until kirim_loop_stop(), or until nothing is left that could cause one: no
 * endpoint, no armed timer, no guest, no remote, nothing to deliver.
 *
 * @param loop  Open loop.
 * @retval KIRIM_OK      Stopped, or nothing left.
 * @retval KIRIM_EINVAL  NULL, or called from inside a callback, or on a loop that others drive.
 * @return Also an error of the reactor's wait, which is not expected.
 * @note Loop thread.
 */
KIRIM_API kirim_err kirim_loop_run(struct kirim_loop *loop);

/**
 * @brief Runs one turn.
 *
 * @param loop        Open loop.
 * @param timeout_ns  Longest wait for something to do; 0 only looks, KIRIM_NEVER waits without
 * limit.
 * @retval KIRIM_OK      A turn has run, perhaps with nothing to do.
 * @retval KIRIM_EINVAL  NULL, or called from inside a callback, or on a loop that others drive.
 * @return Also an error of the reactor's wait, which is not expected.
 * @note Loop thread.
 */
KIRIM_API kirim_err kirim_loop_step(struct kirim_loop *loop, uint64_t timeout_ns);

/** @brief Makes kirim_loop_run() return after the turn that is running, or the next
 * kirim_loop_run() at once. Loop thread, any callback. */
KIRIM_API void kirim_loop_stop(struct kirim_loop *loop);

/** @brief Whether kirim_loop_stop() was called since the last kirim_loop_run() returned. Loop
 * thread. */
KIRIM_API bool kirim_loop_is_stopping(struct kirim_loop *loop);

/**
 * @brief The loop's time in nanoseconds: monotonic, read at most once a turn, so equal in all
 * callbacks of a turn.
 *
 * Outside of a turn it is read anew.
 *
 * @param loop  Open loop.
 * @return Nanoseconds since a point that is the reactor's own.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API uint64_t kirim_loop_now(struct kirim_loop *loop);

/** @brief How late a timer may be on an idle machine, in nanoseconds: the reactor's own resolution.
 * Loop thread. */
KIRIM_API uint64_t kirim_loop_timer_resolution_ns(const struct kirim_loop *loop);

/**
 * @brief Whether anything is left that could cause a turn, as kirim_loop_run() asks: an endpoint,
 * an armed timer, a guest, a remote, something to deliver. For hosts that step. Loop thread.
 */
KIRIM_API bool kirim_loop_is_alive(struct kirim_loop *loop);

/**
 * @brief Makes the calling thread the loop's: for a loop opened in one thread and run in another.
 *
 * @param loop  Open loop, that no thread is using.
 * @note The new thread, outside of callbacks.
 */
KIRIM_API void kirim_loop_own(struct kirim_loop *loop);

/** @brief Code of the last system call on this loop that failed, for people to read, beside an
 * error that has just come from the system; it stays when later errors are kirim's own. 0: none
 * has. Loop thread. */
KIRIM_API int32_t kirim_loop_system_code(const struct kirim_loop *loop);

/** @brief Name of the loop's reactor. Loop thread. */
KIRIM_API const char *kirim_loop_reactor(const struct kirim_loop *loop);

/** @brief Capability bits, KIRIM_CAP_..., as probed when the loop was opened. Loop thread. */
KIRIM_API uint32_t kirim_loop_caps(const struct kirim_loop *loop);

/** @brief Name of one capability bit, e.g. "pollable"; "?" for another number. Any thread. */
KIRIM_API const char *kirim_cap_name(uint32_t cap);

/**
 * @brief A handle to wait on in a foreign loop: readable when kirim_loop_step(loop, 0) has
 * something to do.
 *
 * With kirim_loop_deadline() and a step with time-out 0 it is all that embedding takes.
 *
 * @param loop  Open loop.
 * @param out   A descriptor or handle, owned by the loop; written on success only.
 * @retval KIRIM_OK          Written.
 * @retval KIRIM_EOPNOTSUPP  The reactor has none (KIRIM_CAP_POLLABLE).
 * @retval KIRIM_EINVAL      NULL.
 * @note Loop thread.
 */
KIRIM_API kirim_err kirim_loop_pollable(struct kirim_loop *loop, intptr_t *out);

/**
 * @brief When the next step is due at the latest, for a host that embeds the loop.
 *
 * @param loop  Open loop.
 * @return Loop time in nanoseconds; 0 while anything is queued or to be delivered ("now"),
 * KIRIM_NEVER if only the handle can cause a turn.
 * @note Loop thread.
 */
KIRIM_API uint64_t kirim_loop_deadline(struct kirim_loop *loop);

/**
 * @brief Random bytes for identifiers, tokens and keys: the system's generator; in the simulator
 * the host's seeded stream.
 *
 * @param loop   Open loop.
 * @param out    Gets them.
 * @param bytes  How many.
 * @retval KIRIM_OK       Written.
 * @retval KIRIM_EINVAL   NULL.
 * @retval KIRIM_ESYSTEM  The system gave none; `out` is zeroed.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_loop_random(struct kirim_loop *loop, void *out, size_t bytes);

/**
 * @brief Memory from the loop's allocator, for protocol code; as kirim_alloc_fn.
 *
 * @param loop       Open loop.
 * @param old        Block to resize or take back, or NULL.
 * @param old_bytes  Its size.
 * @param new_bytes  Size wanted; 0 takes back.
 * @return The block, or NULL.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API void *kirim_loop_alloc(struct kirim_loop *loop, void *old, size_t old_bytes,
                                 size_t new_bytes);

KIRIM_END_DECLS

#endif
