/* SPDX-License-Identifier: MIT
 *
 * A set of numbers, kept as ranges in ascending order and apart from each other: which bytes of a
 * message have arrived, or were acknowledged. Memory is the caller's function. One thread.
 */
#ifndef KI_CHANNEL_RANGES_H
#define KI_CHANNEL_RANGES_H

#include <kirim/loop.h>

#include "frame.h"

/* Most ranges of one set: a message of 16 MiB in fragments of 1,100 bytes, every second one lost,
 * has 7,600; who needs more waits for gaps to be filled: what lies beside a range always fits. */
enum { KI_CHANNEL_RANGES_MAX = 8192 };

/* Where memory comes from. */
struct ki_channel_memory {
    kirim_alloc_fn alloc;
    void *user;
};

struct ki_channel_ranges {
    struct kirim_channel_range *item;
    uint32_t count, room;
    uint32_t count_max; /* the owner's bound, if it is less than KI_CHANNEL_RANGES_MAX; 0: none */
};

/* Zeroed memory, or NULL. */
void *ki_channel_get_memory(const struct ki_channel_memory *memory, size_t bytes);

void ki_channel_put_memory(const struct ki_channel_memory *memory, void *block, size_t bytes);

/* Adds first .. end-1. `added` gets how many were not there. False: no memory, or too many ranges
 * (ki_channel_ranges_are_full()); then nothing has changed. */
bool ki_channel_ranges_add(struct ki_channel_ranges *r, const struct ki_channel_memory *memory,
                           uint64_t first, uint64_t end, uint64_t *added);

/* Whether there is no range left for numbers from `first` on, unless they touch one that is there.
 * The last one is kept for 0, so that who adds in order always can. */
bool ki_channel_ranges_are_full(const struct ki_channel_ranges *r, uint64_t first);

/* The first range of numbers between `first` and `end` that are not there; empty: all are. */
struct kirim_channel_range ki_channel_ranges_gap(const struct ki_channel_ranges *r, uint64_t first,
                                                 uint64_t end);

void ki_channel_ranges_free(struct ki_channel_ranges *r, const struct ki_channel_memory *memory);

#endif
