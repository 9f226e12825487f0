/* SPDX-License-Identifier: MIT
 *
 * The digest of a run and its statistics: one note for everything that happens to a datagram.
 *
 * Turns are not noted: how often a loop looks is the core's affair, what it sends and when is the
 * run. Everything goes in as a number or in network order, so that the digest is the same on every
 * machine. The world's thread.
 */
#include "sim.h"

void ki_sim_packet_mark(struct ki_sim_packet *pk)
{
    uint64_t mark = ki_hash_bytes(pk->from->key, pk->data, pk->bytes);
    mark = ki_mix(mark ^ pk->to->key);
    mark = ki_mix(mark ^ ki_sim_hash_addr(&pk->source, true));
    mark = ki_mix(mark ^ ki_sim_hash_addr(&pk->dest, true));
    const uint64_t octet = (uint64_t)pk->arrival.dscp << 8 | pk->ecn;
    pk->mark = ki_mix(mark ^ (octet << 32 | pk->arrival.ttl));
}

/* The counter of a note; NULL: it has none. */
static uint64_t *counter_of(struct kirim_sim_stats *stats, uint64_t note)
{
    switch (note) {
    case KI_SIM_NOTE_SENT:
        return &stats->sent;
    case KI_SIM_NOTE_LOST:
        return &stats->lost;
    case KI_SIM_NOTE_DUPLICATED:
        return &stats->duplicated;
    case KI_SIM_NOTE_REORDERED:
        return &stats->reordered;
    case KI_SIM_NOTE_CORRUPTED:
        return &stats->corrupted;
    case KI_SIM_NOTE_TOO_LARGE:
        return &stats->too_large;
    case KI_SIM_NOTE_HOST_DOWN:
        return &stats->host_down;
    case KI_SIM_NOTE_NO_PORT:
        return &stats->no_port;
    case KI_SIM_NOTE_RECEIVE_FULL:
        return &stats->receive_full;
    case KI_SIM_NOTE_DELIVERED:
        return &stats->delivered;
    case KI_SIM_NOTE_BURST:
        return &stats->burst;
    case KI_SIM_NOTE_QUEUE_FULL:
        return &stats->queue_full;
    case KI_SIM_NOTE_CONGESTED:
        return &stats->congested;
    case KI_SIM_NOTE_MARKED:
        return &stats->marked;
    case KI_SIM_NOTE_FLIPPED:
        return &stats->flipped;
    case KI_SIM_NOTE_PARTITIONED:
        return &stats->partitioned;
    case KI_SIM_NOTE_NAT:
        return &stats->nat_dropped;
    default:
        return &stats->reported;
    }
}

void ki_sim_note(struct kirim_sim *sim, uint64_t note, const struct ki_sim_packet *pk)
{
    (*counter_of(&sim->stats, note))++;
    const uint64_t what = ki_mix(pk->mark ^ note * KI_GOLDEN);
    sim->digest = ki_mix(sim->digest ^ ki_mix(sim->now_ns + KI_GOLDEN)) + what;
}
