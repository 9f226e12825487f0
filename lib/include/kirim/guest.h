/* SPDX-License-Identifier: MIT
 *
 * Guests: foreign descriptors in kirim's loop, for the one TCP socket, pipe or device that a UDP
 * program has beside its endpoints. Level-triggered. Intrusive: the storage is the caller's and
 * stays put while watched. Loop thread only.
 */
#ifndef KIRIM_GUEST_H
#define KIRIM_GUEST_H

#include <kirim/config.h>
#include <kirim/error.h>

struct kirim_loop;
struct kirim_guest;

/** What a guest waits for, and what has come. */
enum {
    KIRIM_GUEST_READABLE = 1, /**< Reading would not block. */
    KIRIM_GUEST_WRITABLE = 2, /**< Writing would not block. */
    KIRIM_GUEST_FAILED = 4    /**< Error or hang-up; told whether asked or not. */
};

/** Called once a turn while what the guest waits for holds. May change or remove the guest. */
typedef void (*kirim_guest_fn)(struct kirim_guest *guest, uint32_t events);

/** A guest; the caller's storage, zero-initialised (KIRIM_GUEST_INIT) before it is first added. */
struct kirim_guest {
    kirim_guest_fn ready; /**< Set before adding. */
    void *user;           /**< The caller's; the library never reads it. */
    /** @privatesection The library's; all zero while not added. */
    struct kirim_loop *ki_loop;        /**< Loop it is added to. */
    struct kirim_guest *ki_next;       /**< Neighbour in the loop's list. */
    struct kirim_guest *ki_prev;       /**< Neighbour in the loop's list. */
    struct kirim_guest *ki_ready_next; /**< Neighbour among the ready. */
    intptr_t ki_descriptor;            /**< What is watched. */
    uint32_t ki_events;                /**< Waited for. */
    uint32_t ki_ready;                 /**< Has come, not yet told. */
    uint64_t ki_slot;                  /**< The reactor's. */
    uint64_t ki_reserved;              /**< Room to grow. */
};

/** Initialises a guest: `struct kirim_guest g = KIRIM_GUEST_INIT(fn, ctx);` */
#define KIRIM_GUEST_INIT(fn, ctx)                          \
    {                                                      \
        (fn), (ctx), NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0 \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief Watches a descriptor, or changes what is waited for on one that is watched.
 *
 * @param loop        Open loop.
 * @param guest       Caller's storage.
 * @param descriptor  The descriptor (a socket on Windows); stays the caller's, and open until
 * removed.
 * @param events      KIRIM_GUEST_READABLE, KIRIM_GUEST_WRITABLE, both, or 0: nothing is told until
 *                    this is called again.
 * @retval KIRIM_OK          Watched.
 * @retval KIRIM_EINVAL      NULL, no callback, unknown events, added to another loop, or with
 * another descriptor; or the descriptor is not open.
 * @retval KIRIM_EOPNOTSUPP  The reactor watches no guests (KIRIM_CAP_GUESTS), or not such a
 * descriptor.
 * @retval KIRIM_EEXIST      The descriptor is watched already.
 * @retval KIRIM_ECLOSED     The loop is closing.
 * @retval KIRIM_ENOMEM      Out of memory.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_guest_watch(struct kirim_loop *loop, struct kirim_guest *guest,
                                      intptr_t descriptor, uint32_t events);

/** @brief Watches no more; nothing happens to a guest that is not added. Its callback will not run.
 * Loop thread, any callback. */
KIRIM_API void kirim_guest_remove(struct kirim_guest *guest);

KIRIM_END_DECLS

#endif
