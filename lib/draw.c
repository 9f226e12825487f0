/* SPDX-License-Identifier: MIT
 *
 * Hashes and scaling for draws: see draw.h. Bytes are read in little-endian order on every machine.
 * Pure functions, any thread.
 */
#include "draw.h"

#include <string.h>

#include "pack.h"

enum { LANE_COUNT = 4, BLOCK_BYTES = 8 * LANE_COUNT };

static uint64_t stir(uint64_t lane, uint64_t word)
{
    lane ^= word;
    return (lane << 29 | lane >> 35) * 0xd1342543de82ef95U;
}

uint64_t ki_hash_bytes(uint64_t key, const uint8_t *data, size_t bytes)
{
    uint64_t lane[LANE_COUNT];
    for (uint64_t i = 0; i < LANE_COUNT; i++) {
        lane[i] = key + (i + 1) * KI_GOLDEN;
    }
    size_t left = bytes;
    for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, data += BLOCK_BYTES) {
        for (size_t i = 0; i < LANE_COUNT; i++) {
            lane[i] = stir(lane[i], ki_load_le64(data + 8 * i));
        }
    }
    if (left > 0) {
        uint8_t last[BLOCK_BYTES] = { 0 };
        memcpy(last, data, left);
        for (size_t i = 0; i < LANE_COUNT; i++) {
            lane[i] = stir(lane[i], ki_load_le64(last + 8 * i));
        }
    }
    uint64_t hash = ki_mix(key ^ (uint64_t)bytes);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        hash = ki_mix(hash ^ lane[i]) + KI_GOLDEN;
    }
    return hash;
}

uint64_t ki_party_key(uint64_t seed, const char *name)
{
    return ki_hash_bytes(ki_mix(seed), (const uint8_t *)name, strlen(name));
}

uint64_t ki_scale(uint64_t x, uint64_t most)
{
    if (most == UINT64_MAX) {
        return x;
    }
    /* The upper half of x * (most + 1), by hand: C11 has no type for the product. */
    const uint64_t y = most + 1;
    const uint64_t x0 = x & 0xffffffffU;
    const uint64_t x1 = x >> 32;
    const uint64_t y0 = y & 0xffffffffU;
    const uint64_t y1 = y >> 32;
    const uint64_t middle = x1 * y0 + (x0 * y0 >> 32);
    const uint64_t carry = x0 * y1 + (middle & 0xffffffffU);
    return x1 * y1 + (middle >> 32) + (carry >> 32);
}
