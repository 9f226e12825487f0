/* SPDX-License-Identifier: MIT
 *
 * A replay window: which of the last 64 to 1,024 sequence numbers have come already, in a bit each.
 * Ask before a datagram's authenticity is known, accept after: a forged number must not move the
 * window. 64-bit numbers, from 0; where fewer bits travel, the caller restores the others first.
 *
 * Owns nothing: the words are the caller's, one more than the window needs, since a ring of whole
 * words moves without shifting. Sources: RFC 6479, RFC 4303 section 3.4.3, RFC 6347 section
 * 4.1.2.6.
 */
#ifndef KIRIM_REPLAY_H
#define KIRIM_REPLAY_H

#include <kirim/config.h>
#include <kirim/error.h>

/** Bounds. */
enum {
    KIRIM_REPLAY_WORDS_MIN = 2, /**< A window of 64. */
    KIRIM_REPLAY_WORDS_MAX = 17 /**< A window of 1,024. */
};

/** Words for a window of `bits` numbers, a multiple of 64. */
#define KIRIM_REPLAY_WORDS(bits) ((bits) / 64 + 1)

/** A window; the caller's storage. */
struct kirim_replay {
    uint64_t next; /**< One more than the highest number accepted; 0: none. Read only. */
    /** @privatesection The library's. */
    uint64_t *ki_word;      /**< The ring. */
    uint32_t ki_word_count; /**< Of its words. */
    uint32_t ki_reserved;   /**< Zero. */
};

/** What is known of a number. */
enum {
    KIRIM_REPLAY_NEW = 0,       /**< Has not come yet. */
    KIRIM_REPLAY_DUPLICATE = 1, /**< Has been accepted already. */
    KIRIM_REPLAY_TOO_OLD = 2    /**< Left of the window, or UINT64_MAX, which is never used. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Begins with an empty window.
 *
 * @param replay      Caller's storage.
 * @param words       Memory of the window, put until it is given up; it is overwritten.
 * @param word_count  KIRIM_REPLAY_WORDS(): the window has 64 numbers less than bits.
 * @retval KIRIM_OK      Ready.
 * @retval KIRIM_EINVAL  No memory, or a count out of bounds.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_replay_init(struct kirim_replay *replay, uint64_t *words,
                                      uint32_t word_count);

/**
 * @brief What is known of a number; nothing changes.
 *
 * @param replay  The window.
 * @param number  Sequence number of a datagram.
 * @return KIRIM_REPLAY_NEW, KIRIM_REPLAY_DUPLICATE or KIRIM_REPLAY_TOO_OLD.
 * @note One thread at a time.
 */
KIRIM_API int kirim_replay_judge(const struct kirim_replay *replay, uint64_t number);

/**
 * @brief Accepts a number, once it is known to be authentic.
 *
 * @param replay  The window.
 * @param number  Sequence number of a datagram.
 * @return As kirim_replay_judge() before the call; only KIRIM_REPLAY_NEW has changed anything.
 * @note One thread at a time.
 */
KIRIM_API int kirim_replay_accept(struct kirim_replay *replay, uint64_t number);

KIRIM_END_DECLS

#endif
