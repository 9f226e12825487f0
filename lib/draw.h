/* SPDX-License-Identifier: MIT
 *
 * Chance as a function: draws that are computed from (key, kind, ordinal) and kept nowhere, and the
 * hashes that keys are made of. All of it is integers in a fixed byte order, the same on every
 * machine. Not a cryptographic hash: nobody who is simulated is an enemy of it. Owns nothing. Any
 * thread.
 */
#ifndef KI_DRAW_H
#define KI_DRAW_H

#include <stddef.h>
#include <stdint.h>

/* What a draw is for. A number keeps its meaning for ever: runs are replayed by it. */
enum {
    KI_DRAW_LOSS = 1,
    KI_DRAW_DUPLICATE = 2,
    KI_DRAW_REORDER = 3,
    KI_DRAW_CORRUPT = 4,
    KI_DRAW_JITTER = 5,
    KI_DRAW_COPY_JITTER = 6,
    KI_DRAW_RANDOM = 7,
    KI_DRAW_EPHEMERAL = 8,
    KI_DRAW_SHARE = 9,
    KI_DRAW_BURST = 10,
    KI_DRAW_BURST_LOSS = 11,
    KI_DRAW_NAT = 12,
    KI_DRAW_CORRUPT_BIT = 32 /* and those behind it, one for each bit */
};

#define KI_GOLDEN 0x9e3779b97f4a7c15U

/* A permutation of 64 bits in which every bit of the result depends on every bit of `x`. Source: D.
 * Stafford's variant 13 of the finaliser of MurmurHash3, as in SplitMix64. */
static inline uint64_t ki_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/* The draw number `ordinal` of kind `kind` from the stream `key`. */
static inline uint64_t ki_draw(uint64_t key, uint64_t kind, uint64_t ordinal)
{
    const uint64_t stream = ki_mix(key + kind * 0xd1342543de82ef95U);
    return ki_mix(stream + ordinal * KI_GOLDEN);
}

/* Hash of bytes, the same whatever the machine's byte order. */
uint64_t ki_hash_bytes(uint64_t key, const uint8_t *data, size_t bytes);

/* The keys of a party of a run, by its name, and of what goes from one to another. */
uint64_t ki_party_key(uint64_t seed, const char *name);
static inline uint64_t ki_path_key(uint64_t from_key, uint64_t to_key)
{
    return ki_mix(from_key + KI_GOLDEN * to_key);
}

/* `x` scaled from 0 .. 2^64-1 to 0 .. most, evenly. */
uint64_t ki_scale(uint64_t x, uint64_t most);

#endif
