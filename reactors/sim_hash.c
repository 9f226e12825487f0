/* SPDX-License-Identifier: MIT
 *
 * The simulator's hashes. Bytes are read in little-endian order on every machine, addresses by
 * their network order. Not a cryptographic hash: nobody in a world is an enemy of it. Pure
 * functions, any thread.
 */
#include "sim.h"

#include <string.h>

enum { LANE_COUNT = 4, BLOCK_BYTES = 8 * LANE_COUNT };

static uint64_t load_le64(const uint8_t *b)
{
    return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 |
           (uint64_t)b[4] << 32 | (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 |
           (uint64_t)b[7] << 56;
}

static uint64_t stir(uint64_t lane, uint64_t word)
{
    lane ^= word;
    return (lane << 29 | lane >> 35) * 0xd1342543de82ef95U;
}

uint64_t ki_sim_hash_bytes(uint64_t key, const uint8_t *data, size_t bytes)
{
    uint64_t lane[LANE_COUNT];
    for (uint64_t i = 0; i < LANE_COUNT; i++) {
        lane[i] = key + (i + 1) * KI_SIM_GOLDEN;
    }
    size_t left = bytes;
    for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, data += BLOCK_BYTES) {
        for (size_t i = 0; i < LANE_COUNT; i++) {
            lane[i] = stir(lane[i], load_le64(data + 8 * i));
        }
    }
    if (left > 0) {
        uint8_t last[BLOCK_BYTES] = { 0 };
        memcpy(last, data, left);
        for (size_t i = 0; i < LANE_COUNT; i++) {
            lane[i] = stir(lane[i], load_le64(last + 8 * i));
        }
    }
    uint64_t hash = ki_sim_mix(key ^ (uint64_t)bytes);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        hash = ki_sim_mix(hash ^ lane[i]) + KI_SIM_GOLDEN;
    }
    return hash;
}

uint64_t ki_sim_hash_addr(const struct kirim_addr *a, bool is_whole)
{
    uint8_t bytes[16];
    (void)kirim_addr_bytes(a, bytes);
    const uint64_t hash =
        ki_sim_mix(load_le64(bytes) + KI_SIM_GOLDEN * (uint64_t)kirim_addr_family(a));
    const uint64_t rest =
        is_whole ? (uint64_t)kirim_addr_port(a) << 32 | (uint64_t)kirim_addr_scope(a) : 0;
    return ki_sim_mix(hash ^ load_le64(bytes + 8)) ^ ki_sim_mix(rest + KI_SIM_GOLDEN);
}

uint64_t ki_sim_scale(uint64_t x, uint64_t most)
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
