/* SPDX-License-Identifier: MIT
 *
 * The duplicate cache of a server: which requests have come already, and what was answered. A
 * request that comes again, because its answer was lost or the network copied it, gets the same
 * answer again, and is not carried out twice. Memory of a fixed size: in need the oldest entry
 * gives way, and the statistics tell if that was too soon. Peers may have a share: who has more
 * gives way before the others, and who has all of it pushes out what is his own. Who has many
 * addresses has many shares: limit peers before (kirim/limiter.h). A cache in the state of a
 * session ends with it: the session must not end while its peer may ask again (docs/sessions.md).
 *
 * Owns nothing: slots and bytes are the caller's. Sources: RFC 7252 sections 4.2, 4.5 and 4.8.2.
 */
#ifndef KIRIM_DUPLICATE_H
#define KIRIM_DUPLICATE_H

#include <kirim/addr.h>
#include <kirim/config.h>
#include <kirim/error.h>
#include <kirim/siphash.h>

/** A slot; the caller's storage. */
struct kirim_duplicate_slot {
    /** @privatesection The library's. */
    struct kirim_addr ki_peer; /**< Who asked. */
    uint64_t ki_id;            /**< With which id. */
    uint64_t ki_expires_ns;    /**< Forgotten from then on. */
    uint32_t ki_answer_bytes;  /**< Of the answer. */
    uint32_t ki_state;         /**< Empty, or what kirim_duplicates_see() says. */
    uint32_t ki_next;          /**< Slot with the same place in the table. */
    uint32_t ki_first;         /**< First slot of the table's place of this number. */
    uint32_t ki_share;         /**< Slot that has the share of this one's peer. */
    uint32_t ki_share_older;   /**< Slot of that share that was taken before this one, */
    uint32_t ki_share_newer;   /**< and after it. */
    uint32_t ki_share_oldest;  /**< Of the share of this number: the first slot, */
    uint32_t ki_share_newest;  /**< the last one, */
    uint32_t ki_share_count;   /**< and how many. */
};

/** Memory of a cache. */
struct kirim_duplicates_options {
    struct kirim_duplicate_slot *slots;   /**< `slot_count` of them, put until it is given up. */
    uint32_t slot_count;                  /**< 1..2^31 - 1. */
    uint32_t answer_bytes_max;            /**< Longest answer that is kept; may be 0. */
    uint8_t *answers;                     /**< `slot_count` times `answer_bytes_max` bytes, put as
                                               well; NULL if none are kept. */
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES]; /**< Random bytes. */
    uint32_t peer_slot_max; /**< Share of a peer: when it has so many slots, and there is none that
                                 is empty or has expired, its own oldest gives way; and when it has
                                 more, so it does to others. A few peers have one share together,
                                 by their hashes. 0: no shares. */
};

/** What a cache counted; the numbers only grow. */
struct kirim_duplicates_stats {
    uint64_t fresh;     /**< Requests that had not come before. */
    uint64_t repeated;  /**< Those that had. */
    uint64_t displaced; /**< Entries that gave way before their time. */
};

/** A cache; the caller's storage. */
struct kirim_duplicates {
    struct kirim_duplicates_options options; /**< As given. */
    struct kirim_duplicates_stats stats;     /**< What it counted. */
    /** @privatesection The library's. */
    uint32_t ki_oldest; /**< The slot that is used next. */
    uint32_t ki_greedy; /**< The share that was the last to be exceeded, from 1; 0: none was. */
};

/** A request. */
struct kirim_request {
    struct kirim_addr peer; /**< Who asks. */
    uint64_t id;            /**< Its id: a message id, a token, or a hash of it. */
    uint64_t lifetime_ns;   /**< How long it may come again, from the peer's first try to the last
                                 copy of his last one: CoAP's EXCHANGE_LIFETIME, say. */
};

/** What is known of a request. */
enum {
    KIRIM_REQUEST_NEW = 1,      /**< Has not come before: carry it out, then give the answer to
                                     kirim_duplicates_answer(). */
    KIRIM_REQUEST_PENDING = 2,  /**< Has come, and is not answered yet: drop this one. */
    KIRIM_REQUEST_ANSWERED = 3, /**< Has been answered: send the answer again. */
    KIRIM_REQUEST_UNKEPT = 4 /**< Has been answered, with more than is kept: carry it out again if
                                  that does no harm, else drop it. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Begins with an empty cache.
 *
 * @param cache    Caller's storage.
 * @param options  Copied; the memory is used until the cache is given up.
 * @retval KIRIM_OK      Ready.
 * @retval KIRIM_EINVAL  No slots, too many, or no memory for answers.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_duplicates_init(struct kirim_duplicates *cache,
                                          const struct kirim_duplicates_options *options);

/**
 * @brief Looks for a request, and enters it if it is new.
 *
 * @param cache    The cache.
 * @param request  The request.
 * @param now_ns   The time.
 * @param answer   If it was answered: the bytes to be sent again, good until the next call; else
 *                 `*answer` is NULL.
 * @param bytes    Of those.
 * @return KIRIM_REQUEST_NEW, KIRIM_REQUEST_PENDING, KIRIM_REQUEST_ANSWERED or
 *         KIRIM_REQUEST_UNKEPT.
 * @note One thread at a time.
 */
KIRIM_API int kirim_duplicates_see(struct kirim_duplicates *cache,
                                   const struct kirim_request *request, uint64_t now_ns,
                                   const uint8_t **answer, size_t *bytes);

/**
 * @brief Keeps the answer to a request, in place of one that is kept already.
 *
 * @param cache    The cache.
 * @param request  The request as it was seen; its lifetime is not read.
 * @param data     The answer; copied.
 * @param bytes    Of it; none is an empty answer.
 * @retval KIRIM_OK        Kept.
 * @retval KIRIM_EMSGSIZE  Longer than what is kept: the request is known to be answered, no more.
 * @retval KIRIM_ENOENT    The request has given way meanwhile.
 * @retval KIRIM_EFAULT    A NULL where bytes were announced.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_duplicates_answer(struct kirim_duplicates *cache,
                                            const struct kirim_request *request,
                                            const uint8_t *data, size_t bytes);

/**
 * @brief Forgets a request: it could not be carried out, and may come again as new.
 *
 * @param cache    The cache.
 * @param request  The request as it was seen; its lifetime is not read.
 * @note One thread at a time.
 */
KIRIM_API void kirim_duplicates_forget(struct kirim_duplicates *cache,
                                       const struct kirim_request *request);

KIRIM_END_DECLS

#endif
