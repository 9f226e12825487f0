/* SPDX-License-Identifier: MIT
 *
 * A cache of answers by question, in bounded memory: a hash table under a key of its own, so that
 * nobody can choose what meets, and the order in which entries were used, of which the last gives
 * way when there is no room. What is over its time is not given any more. Owns what it has taken
 * from the allocator. One thread.
 */
#ifndef KIRIM_DNS_CACHE_H
#define KIRIM_DNS_CACHE_H

#include <kirim/loop.h>
#include <kirim/siphash.h>

#include "kept.h"

/** What an answer belongs to. */
struct kirim_dns_cache_key {
    struct kirim_dns_question question; /**< Its name in lower case. */
    uint8_t bits;                       /**< What else makes a difference, the caller's. */
};

/** Memory and key of a cache. */
struct kirim_dns_cache_options {
    kirim_alloc_fn alloc;                 /**< Where memory comes from; as for a loop. */
    void *alloc_user;                     /**< Its first argument. */
    size_t bytes_max;                     /**< Of entries and table together. */
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES]; /**< Random bytes. */
};

/** Least memory of a cache: a table, and a few of the largest answers. */
enum { KIRIM_DNS_CACHE_BYTES_MIN = 65536 };

/** What a cache counted; the first two are present figures, the others only grow. */
struct kirim_dns_cache_stats {
    uint64_t entry_count; /**< Entries. */
    uint64_t bytes;       /**< Of entries and table. */
    uint64_t stored;      /**< Answers that were taken. */
    uint64_t evicted;     /**< Entries that gave way while they were good. */
    uint64_t expired;     /**< Entries that were found when their time was over. */
};

struct kirim_dns_cache_entry;

/** A cache; the caller's storage. */
struct kirim_dns_cache {
    struct kirim_dns_cache_options options; /**< As given. */
    struct kirim_dns_cache_stats stats;     /**< What it counted. */
    /** @privatesection The cache's. */
    struct kirim_dns_cache_entry **table;
    size_t table_count; /* a power of two */
    struct kirim_dns_cache_entry *newest, *oldest;
};

/**
 * @brief Opens an empty cache.
 *
 * @param cache    The caller's storage; end it with kirim_dns_cache_close().
 * @param options  Copied.
 * @retval KIRIM_OK      Open.
 * @retval KIRIM_EINVAL  No allocator, or fewer bytes than KIRIM_DNS_CACHE_BYTES_MIN.
 * @retval KIRIM_ENOMEM  Out of memory.
 */
kirim_err kirim_dns_cache_open(struct kirim_dns_cache *cache,
                               const struct kirim_dns_cache_options *options);

/** @brief Gives back everything. */
void kirim_dns_cache_close(struct kirim_dns_cache *cache);

/** @brief Hash of a key, under the cache's own: for tables beside it, too. */
uint64_t kirim_dns_cache_hash(const struct kirim_dns_cache *cache,
                              const struct kirim_dns_cache_key *key);

/**
 * @brief Looks an answer up.
 *
 * @param cache   The cache.
 * @param key     What is asked.
 * @param now_ns  The present time.
 * @param out     Gets the answer; good until the cache is changed.
 * @return Whether there is one.
 */
bool kirim_dns_cache_find(struct kirim_dns_cache *cache, const struct kirim_dns_cache_key *key,
                          uint64_t now_ns, struct kirim_dns_kept_view *out);

/**
 * @brief Keeps an answer for its lifetime, in place of the one that is there. Without memory, or
 *        with a lifetime of 0, nothing is kept.
 *
 * @param cache   The cache.
 * @param key     What was asked.
 * @param kept    The answer, copied.
 * @param now_ns  The present time.
 */
void kirim_dns_cache_store(struct kirim_dns_cache *cache, const struct kirim_dns_cache_key *key,
                           const struct kirim_dns_kept *kept, uint64_t now_ns);

#endif
