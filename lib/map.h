/* SPDX-License-Identifier: MIT
 *
 * A map from keyed hashes to values, which grows without a pause.
 *
 * Hashes are the identities: whoever asks compares what the value stands for. They come from a
 * keyed function of 64 bits, so that two alike are chance, and an attacker's luck no better than
 * that. Open addressing with linear probing. A table that is to be followed by one twice as large
 * is emptied a few places with each change; the new one is cleared likewise, before. Owns its
 * tables. Loop thread.
 */
#ifndef KI_MAP_H
#define KI_MAP_H

#include "reactor.h"

/* Has memory come near that will be read soon. */
#if defined(__GNUC__)
#define KI_PREFETCH(at) __builtin_prefetch(at)
#else
#define KI_PREFETCH(at) ((void)(at))
#endif

struct ki_map_entry {
    uint64_t hash;
    uint64_t value; /* 0: free; KI_MAP_MOVED: of an old table, and free for those who look on */
};

#define KI_MAP_MOVED UINT64_MAX

struct ki_map_table {
    struct ki_map_entry *entries; /* NULL: there is none */
    uint64_t mask;                /* number of places, less 1 */
};

struct ki_map {
    struct kirim_loop *loop;
    struct ki_map_table now;  /* where new ones go */
    struct ki_map_table old;  /* is being emptied */
    struct ki_map_table next; /* is being cleared */
    uint64_t now_count;       /* places of `now` that are taken */
    uint64_t count;           /* in all */
    uint64_t moved;           /* places of `old` that were looked at */
    uint64_t cleared;         /* places of `next` that are clear */
};

/* Starts an empty map, which owns nothing yet. */
void ki_map_init(struct ki_map *map, struct kirim_loop *loop);
void ki_map_fini(struct ki_map *map);

/* The value of a hash, to be changed in place but not to 0; NULL: there is none. Good until the map
 * is changed. */
uint64_t *ki_map_find(const struct ki_map *map, uint64_t hash);

/* Has the place where a search begins come near. */
static inline void ki_map_prefetch(const struct ki_map *map, uint64_t hash)
{
    if (map->now.entries != NULL) {
        KI_PREFETCH(&map->now.entries[hash & map->now.mask]);
    }
}

/* Adds a hash that is not there, with a value other than 0 and KI_MAP_MOVED. False: no memory. */
bool ki_map_add(struct ki_map *map, uint64_t hash, uint64_t value);

/* Takes out a hash that is there. */
void ki_map_remove(struct ki_map *map, uint64_t hash);

#endif
