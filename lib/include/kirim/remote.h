/* SPDX-License-Identifier: MIT
 *
 * Remotes: all that another thread may do with a loop. Reference-counted; a remote may outlive its
 * loop, and then answers KIRIM_ECLOSED. No locks: a lock-free list, an atomic flag, and the
 * reactor's wake. Everything here may be called from any thread; wake and stop also from a signal
 * handler.
 */
#ifndef KIRIM_REMOTE_H
#define KIRIM_REMOTE_H

#include <kirim/config.h>
#include <kirim/error.h>

struct kirim_loop;
struct kirim_remote;
struct kirim_post;

/**
 * Runs in the loop's thread, inside a turn, with KIRIM_OK; or inside kirim_loop_close() with
 * KIRIM_ECLOSED. The post is the caller's again when it runs. `loop` is valid during the call.
 */
typedef void (*kirim_post_fn)(struct kirim_post *post, struct kirim_loop *loop, kirim_err err);

/** A post: intrusive, the caller's storage, put and untouched from kirim_remote_post() until `run`.
 */
struct kirim_post {
    kirim_post_fn run;          /**< Set before posting. */
    void *user;                 /**< The caller's; the library never reads it. */
    struct kirim_post *ki_next; /**< The library's. */
    uint64_t ki_reserved;       /**< Room to grow. */
};

/** Initialises a post: `struct kirim_post p = KIRIM_POST_INIT(fn, ctx);` */
#define KIRIM_POST_INIT(fn, ctx) \
    {                            \
        (fn), (ctx), NULL, 0     \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief A new reference to the loop's remote.
 *
 * While one is held kirim_loop_run() does not return for want of work.
 *
 * @param loop  Open loop.
 * @return The remote, never NULL; give it back with kirim_remote_release().
 * @note Loop thread.
 */
KIRIM_API struct kirim_remote *kirim_loop_remote(struct kirim_loop *loop);

/** @brief One more reference, for one more thread; returns `remote`. Any thread that holds one. */
KIRIM_API struct kirim_remote *kirim_remote_retain(struct kirim_remote *remote);

/** @brief Gives a reference back; NULL is permitted. Any thread that holds one. */
KIRIM_API void kirim_remote_release(struct kirim_remote *remote);

/**
 * @brief Has `post->run` called in the loop's thread. Posts of one thread run in order.
 *
 * @param remote  A reference that the caller holds.
 * @param post    Caller's storage; not posted at present.
 * @retval KIRIM_OK       It will run, exactly once.
 * @retval KIRIM_ECLOSED  The loop is closed; the post will not run.
 * @retval KIRIM_EINVAL   NULL, or no function.
 * @note Any thread; not from a signal handler of the loop's own thread while it closes the loop.
 */
KIRIM_API kirim_err kirim_remote_post(struct kirim_remote *remote, struct kirim_post *post);

/**
 * @brief Ends the loop's wait, if it waits. Wakes merge.
 *
 * @param remote  A reference that the caller holds.
 * @retval KIRIM_OK       The loop runs a turn.
 * @retval KIRIM_ECLOSED  The loop is closed.
 * @retval KIRIM_EINVAL   NULL.
 * @note Any thread; async-signal-safe.
 */
KIRIM_API kirim_err kirim_remote_wake(struct kirim_remote *remote);

/**
 * @brief Makes kirim_loop_run() return, as kirim_loop_stop() does, and wakes the loop.
 *
 * @param remote  A reference that the caller holds.
 * @retval KIRIM_OK       It will return.
 * @retval KIRIM_ECLOSED  The loop is closed.
 * @retval KIRIM_EINVAL   NULL.
 * @note Any thread; async-signal-safe: the way to end a server on SIGTERM.
 */
KIRIM_API kirim_err kirim_remote_stop(struct kirim_remote *remote);

KIRIM_END_DECLS

#endif
