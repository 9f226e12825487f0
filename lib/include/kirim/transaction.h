/* SPDX-License-Identifier: MIT
 *
 * The transaction table of a client: requests under way, each with an id that nobody can predict, a
 * peer, and a deadline. An answer is looked up by its id, and judged: awaited, forged, a duplicate,
 * or late; what has ended is remembered for a while, so that an id is not given anew while answers
 * to it may be on the way. Memory of a fixed size.
 *
 * Ids are a keyed hash of a counter: random to who does not have the key, the same in every run of
 * a simulation for who has. An id is unique in its table, so it is also the caller's handle. Begin,
 * end and look-up cost O(log n) at the most. Owns nothing: slots are the caller's. Sources: RFC
 * 5452 sections 4 and 9.2, RFC 7252 sections 4.4 and 5.3, RFC 8489 section 6, RFC 6056.
 */
#ifndef KIRIM_TRANSACTION_H
#define KIRIM_TRANSACTION_H

#include <kirim/addr.h>
#include <kirim/config.h>
#include <kirim/error.h>
#include <kirim/siphash.h>

/** A slot: a transaction under way, or one that has ended and is remembered. The caller's
 * storage. */
struct kirim_transaction_slot {
    /** @privatesection The library's. */
    struct kirim_addr ki_peer; /**< Who is to answer. */
    uint64_t ki_id;            /**< Its id. */
    uint64_t ki_time_ns;       /**< Deadline; of one that has ended, when it is forgotten. */
    void *ki_user;             /**< The caller's. */
    uint32_t ki_state;         /**< Empty, under way, or how it ended. */
    uint32_t ki_next;          /**< Next with the same place in the table, or empty one. */
    uint32_t ki_newer;         /**< Of one that has ended: the one that ended next. */
    uint32_t ki_rank;          /**< Of one under way: its place in the heap. */
    uint32_t ki_first;         /**< First slot of the table's place of this number. */
    uint32_t ki_heap;          /**< Slot in the heap's place of this number. */
};

/** Memory and bounds of a table; start from KIRIM_TRANSACTIONS_OPTIONS_INIT. */
struct kirim_transactions_options {
    struct kirim_transaction_slot *slots; /**< `slot_count` of them, put until it is given up. */
    uint32_t slot_count; /**< Of transactions under way and remembered, at most 2^30, and at most
                              half of the ids: more would make ids easy to guess. */
    uint32_t open_max; /**< Of transactions under way; 0: `slot_count`. What is left over remembers
                            at least that many that have ended. */
    uint32_t id_bits;  /**< Width of an id, 8..64; 16. */
    uint32_t ki_reserved; /**< Zero. */
    uint64_t remember_ns; /**< How long an end is remembered, if there are slots; 60 s. */
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES]; /**< Random bytes; anew for each table. */
};

/** Initialises options. */
#define KIRIM_TRANSACTIONS_OPTIONS_INIT           \
    {                                             \
        NULL, 0, 0, 16, 0, UINT64_C(60000000000), \
        {                                         \
            0                                     \
        }                                         \
    }

/** What is known of an answer. */
enum {
    KIRIM_ANSWER_UNKNOWN = 0,   /**< No such id, or forgotten. */
    KIRIM_ANSWER_AWAITED = 1,   /**< Its transaction is under way, and this is its peer. */
    KIRIM_ANSWER_FORGED = 2,    /**< There is such an id, but for another peer: the wait goes on. */
    KIRIM_ANSWER_DUPLICATE = 3, /**< Its transaction was answered before. */
    KIRIM_ANSWER_LATE = 4       /**< Its transaction has timed out, or was cancelled. */
};

/** What a table counted; the numbers only grow. */
struct kirim_transactions_stats {
    uint64_t begun;      /**< Transactions begun. */
    uint64_t expired;    /**< Of those, timed out. */
    uint64_t answers[5]; /**< Answers looked up, by what was known of them. */
};

/** A table; the caller's storage. */
struct kirim_transactions {
    struct kirim_transactions_options options; /**< As given. */
    struct kirim_transactions_stats stats;     /**< What it counted. */
    uint32_t open_count;                       /**< Under way now; read only. */
    /** @privatesection The library's. */
    uint32_t ki_empty;   /**< First empty slot. */
    uint32_t ki_oldest;  /**< First that has ended. */
    uint32_t ki_newest;  /**< Last that has ended. */
    uint64_t ki_counter; /**< Of ids made. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Begins with an empty table.
 *
 * @param table    Caller's storage.
 * @param options  Copied; the slots are used until the table is given up.
 * @retval KIRIM_OK      Ready.
 * @retval KIRIM_EINVAL  No slots, or a bound is not kept.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_transactions_init(struct kirim_transactions *table,
                                            const struct kirim_transactions_options *options);

/**
 * @brief Begins a transaction.
 *
 * @param table        The table.
 * @param peer         Who is to answer; an address of KIRIM_FAMILY_NONE: anybody, as to a request
 *                     to a group. Copied.
 * @param deadline_ns  When it times out; KIRIM_NEVER: never.
 * @param user         The caller's, given back with the answer or at the deadline.
 * @param id           The id of the request; written on success only.
 * @retval KIRIM_OK          Begun.
 * @retval KIRIM_EWOULDBLOCK As many as allowed are under way.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_transactions_begin(struct kirim_transactions *table,
                                             const struct kirim_addr *peer, uint64_t deadline_ns,
                                             void *user, uint64_t *id);

/**
 * @brief Judges an answer. Nothing changes: the caller looks at what is in it, and then ends the
 *        transaction, or waits on.
 *
 * @param table  The table.
 * @param peer   Whom it is from.
 * @param id     Its id.
 * @param user   The caller's, if it is awaited; else NULL.
 * @return KIRIM_ANSWER_UNKNOWN, KIRIM_ANSWER_AWAITED, KIRIM_ANSWER_FORGED, KIRIM_ANSWER_DUPLICATE
 *         or KIRIM_ANSWER_LATE. One whose deadline has passed is late only once
 *         kirim_transactions_expire() has ended it.
 * @note One thread at a time.
 */
KIRIM_API int kirim_transactions_judge(struct kirim_transactions *table,
                                       const struct kirim_addr *peer, uint64_t id, void **user);

/**
 * @brief Ends a transaction that was answered: further answers are duplicates.
 *
 * @param table   The table.
 * @param id      Its id.
 * @param now_ns  The time.
 * @retval KIRIM_OK      Ended.
 * @retval KIRIM_ENOENT  None of this id is under way.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_transactions_answer(struct kirim_transactions *table, uint64_t id,
                                              uint64_t now_ns);

/**
 * @brief Ends a transaction that is wanted no more: answers to it are late.
 *
 * @param table   The table.
 * @param id      Its id.
 * @param now_ns  The time.
 * @retval KIRIM_OK      Ended.
 * @retval KIRIM_ENOENT  None of this id is under way.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_transactions_cancel(struct kirim_transactions *table, uint64_t id,
                                              uint64_t now_ns);

/**
 * @brief Moves the deadline of a transaction.
 *
 * @param table        The table.
 * @param id           Its id.
 * @param deadline_ns  The new one.
 * @retval KIRIM_OK      Moved.
 * @retval KIRIM_ENOENT  None of this id is under way.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_transactions_move(struct kirim_transactions *table, uint64_t id,
                                            uint64_t deadline_ns);

/**
 * @brief The next deadline.
 *
 * @param table  The table.
 * @return Of all transactions under way, the first; KIRIM_NEVER: none.
 * @note One thread at a time.
 */
KIRIM_API uint64_t kirim_transactions_deadline(const struct kirim_transactions *table);

/**
 * @brief Ends the first transaction whose deadline has passed, and forgets what is to be forgotten.
 *        To be called until it says no.
 *
 * @param table   The table.
 * @param now_ns  The time.
 * @param user    The caller's, of the one that has timed out.
 * @param id      Its id.
 * @return Whether there was one; if not, `user` and `id` are not written.
 * @note One thread at a time.
 */
KIRIM_API bool kirim_transactions_expire(struct kirim_transactions *table, uint64_t now_ns,
                                         void **user, uint64_t *id);

KIRIM_END_DECLS

#endif
