/* SPDX-License-Identifier: MIT
 *
 * Remotes: the one thing that threads share.
 *
 * Posts are pushed on a lock-free list and taken all at once, then turned round, so that those of
 * one thread run in order. A caller announces itself in `inside` before it looks at `is_closed`,
 * and the closing loop sets `is_closed` before it looks at `inside`: so no caller touches a reactor
 * that is gone. Owned by reference; every thread that holds one gives it back. Sources: C11
 * section 7.17, Treiber, "Coping with parallelism", 1986.
 */
#include "core.h"

struct kirim_remote *ki_remote_open(struct kirim_loop *loop)
{
    struct kirim_remote *remote = ki_alloc(loop, sizeof *remote);
    if (remote == NULL) {
        return NULL;
    }
    atomic_init(&remote->references, 1);
    atomic_init(&remote->posts, NULL);
    atomic_init(&remote->inside, 0);
    atomic_init(&remote->is_closed, false);
    atomic_init(&remote->is_stop_wanted, false);
    remote->ops = loop->ops;
    remote->reactor = loop->reactor;
    remote->alloc = loop->alloc;
    remote->alloc_user = loop->alloc_user;
    return remote;
}

/* Announces a caller. False: the loop is closed, and nothing was announced. */
static bool enter(struct kirim_remote *remote)
{
    atomic_fetch_add(&remote->inside, 1);
    if (atomic_load(&remote->is_closed)) {
        atomic_fetch_sub(&remote->inside, 1);
        return false;
    }
    return true;
}

static void leave(struct kirim_remote *remote)
{
    atomic_fetch_sub(&remote->inside, 1);
}

/* ---- any thread ------------------------------------------------------------------------------ */

struct kirim_remote *kirim_remote_retain(struct kirim_remote *remote)
{
    atomic_fetch_add_explicit(&remote->references, 1, memory_order_relaxed);
    return remote;
}

void kirim_remote_release(struct kirim_remote *remote)
{
    if (remote == NULL) {
        return;
    }
    /* Inside, the loop cannot close, and so its own reference stays: the remote outlives the call.
     */
    const bool is_inside = enter(remote);
    const size_t before = atomic_fetch_sub(&remote->references, 1);
    if (is_inside) {
        if (before == 2) {
            remote->ops->wake(remote->reactor); /* the loop may have nothing left to run for */
        }
        leave(remote);
    } else if (before == 1) {
        remote->alloc(remote->alloc_user, remote, sizeof *remote, 0);
    }
}

kirim_err kirim_remote_post(struct kirim_remote *remote, struct kirim_post *post)
{
    if (remote == NULL || post == NULL || post->run == NULL) {
        return KIRIM_EINVAL;
    }
    if (!enter(remote)) {
        return KIRIM_ECLOSED;
    }
    struct kirim_post *first = atomic_load_explicit(&remote->posts, memory_order_relaxed);
    do {
        post->ki_next = first;
    } while (!atomic_compare_exchange_weak(&remote->posts, &first, post));
    remote->ops->wake(remote->reactor);
    leave(remote);
    return KIRIM_OK;
}

kirim_err kirim_remote_wake(struct kirim_remote *remote)
{
    if (remote == NULL) {
        return KIRIM_EINVAL;
    }
    if (!enter(remote)) {
        return KIRIM_ECLOSED;
    }
    remote->ops->wake(remote->reactor);
    leave(remote);
    return KIRIM_OK;
}

kirim_err kirim_remote_stop(struct kirim_remote *remote)
{
    if (remote == NULL) {
        return KIRIM_EINVAL;
    }
    atomic_store(&remote->is_stop_wanted, true);
    return kirim_remote_wake(remote);
}

/* ---- the loop's thread ----------------------------------------------------------------------- */

struct kirim_remote *kirim_loop_remote(struct kirim_loop *loop)
{
    struct kirim_remote *remote = kirim_remote_retain(loop->remote);
    ki_loop_rearm(loop);
    return remote;
}

bool ki_remote_is_held(struct kirim_remote *remote)
{
    return atomic_load(&remote->references) > 1;
}

void ki_remote_run(struct kirim_remote *remote, struct kirim_loop *loop, kirim_err err)
{
    struct kirim_post *newest = atomic_exchange(&remote->posts, NULL);
    struct kirim_post *oldest = NULL;
    while (newest != NULL) {
        struct kirim_post *next = newest->ki_next;
        newest->ki_next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct kirim_post *post = oldest;
        oldest = post->ki_next;
        post->ki_next = NULL;
        loop->stats.posts++;
        post->run(post, loop, err);
        loop->moment++;
    }
}

void ki_remote_close(struct kirim_remote *remote, struct kirim_loop *loop)
{
    atomic_store(&remote->is_closed, true);
    /* The callers that a child of fork() inherited are threads that it does not have. */
    while (loop->is_foreign == 0 && atomic_load(&remote->inside) != 0) {
        /* A caller is a few instructions and one system call away from its return. */
    }
    ki_remote_run(remote, loop, KIRIM_ECLOSED);
    kirim_remote_release(remote); /* not inside: it is closed */
}
