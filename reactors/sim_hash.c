/* SPDX-License-Identifier: MIT
 *
 * The simulator's hash of addresses, in their network order on every machine. A pure function, any
 * thread.
 */
#include "pack.h"
#include "sim.h"

uint64_t ki_sim_hash_addr(const struct kirim_addr *a, bool is_whole)
{
    uint8_t bytes[16];
    (void)kirim_addr_bytes(a, bytes);
    const uint64_t hash = ki_mix(ki_load_le64(bytes) + KI_GOLDEN * (uint64_t)kirim_addr_family(a));
    const uint64_t rest =
        is_whole ? (uint64_t)kirim_addr_port(a) << 32 | (uint64_t)kirim_addr_scope(a) : 0;
    return ki_mix(hash ^ ki_load_le64(bytes + 8)) ^ ki_mix(rest + KI_GOLDEN);
}
