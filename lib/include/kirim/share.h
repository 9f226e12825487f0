/* SPDX-License-Identifier: MIT
 *
 * Places that networks share: of handshakes, of questions under way, of whatever a server has so
 * many of and strangers take. While there is room, everybody takes what he needs. Where all places
 * are taken and one more asks, whoever is of the network that has most makes room, the oldest
 * first: so no network keeps another one out, and each can have its even share at any time.
 *
 * A network (an IPv4 /24, an IPv6 /56) is put into one of KIRIM_SHARE_GROUPS groups by a keyed
 * hash, and the groups are what is counted: nothing grows, no network has memory of its own, and
 * nobody can choose with whom he is put together. Who has as many networks as there are groups is
 * in all of them; then the oldest of all make room, as if there were no groups. How many places
 * there are is the caller's affair, and so is what making room means.
 *
 * Owns nothing: the entries are the caller's. Sources: P. McKenney, "Stochastic Fairness Queueing",
 * 1990; B. Suter et al., "Buffer management schemes for supporting TCP in gigabit routers with
 * per-flow queueing", 1999.
 */
#ifndef KIRIM_SHARE_H
#define KIRIM_SHARE_H

#include <kirim/addr.h>
#include <kirim/config.h>
#include <kirim/siphash.h>

/** Groups that networks are put into. */
enum { KIRIM_SHARE_GROUPS = 256 };

/** A place that is taken; caller's storage, put while it is. Zeroed but for `user`: not taken. */
struct kirim_share {
    void *user; /**< Caller's: whose place it is. */
    /** @privatesection The library's. */
    struct kirim_share *ki_older, *ki_newer; /* of the same group */
    uint64_t ki_number;                      /* when it was taken, from 1; 0: not */
    uint32_t ki_group;
    uint32_t ki_reserved;
};

/** Those of a group. */
struct kirim_share_group {
    /** @privatesection The library's. */
    struct kirim_share *ki_oldest, *ki_newest;
    uint64_t ki_count;
};

/** All places of a kind; caller's storage. */
struct kirim_shares {
    uint64_t count; /**< Places that are taken. Read only. */
    /** @privatesection The library's. */
    uint64_t ki_last;
    uint8_t ki_key[KIRIM_SIPHASH_KEY_BYTES];
    struct kirim_share_group ki_group[KIRIM_SHARE_GROUPS];
};

KIRIM_BEGIN_DECLS

/**
 * @brief Begins with no place taken.
 *
 * @param shares  Caller's storage; 6 KiB.
 * @param key     Random bytes.
 * @note One thread at a time.
 */
KIRIM_API void kirim_shares_init(struct kirim_shares *shares,
                                 const uint8_t key[KIRIM_SIPHASH_KEY_BYTES]);

/**
 * @brief Takes a place. In constant time.
 *
 * @param shares  The places.
 * @param share   Not taken; `user` is set. Put until it is given back.
 * @param peer    Who takes it; the port does not count.
 * @note One thread at a time.
 */
KIRIM_API void kirim_shares_take(struct kirim_shares *shares, struct kirim_share *share,
                                 const struct kirim_addr *peer);

/**
 * @brief Gives a place back. In constant time.
 *
 * @param shares  The places.
 * @param share   Taken or not; not taken afterwards.
 * @note One thread at a time.
 */
KIRIM_API void kirim_shares_give(struct kirim_shares *shares, struct kirim_share *share);

/**
 * @brief Tells who makes room for a peer, where no place is left. Looks at all groups.
 *
 * @param shares   The places; nothing is changed.
 * @param peer     Who asks for one; the port does not count.
 * @param is_owed  Gets whether the peer has a right to it: the group that makes room will still
 *                 have as much as that of the peer. If not, it is the peer's own group that has
 *                 most, or as much as any will have, and the oldest of it is named; a peer who has
 *                 nothing, where nobody has more than one place, is named the oldest of all. NULL:
 *                 not asked.
 * @return Who; give the place back, and take one. NULL: no place is taken.
 * @note One thread at a time.
 */
KIRIM_API struct kirim_share *kirim_shares_find(const struct kirim_shares *shares,
                                                const struct kirim_addr *peer, bool *is_owed);

KIRIM_END_DECLS

#endif
