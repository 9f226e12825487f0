/* SPDX-License-Identifier: MIT
 *
 * Memory of datagrams: blocks in sizes that double, kept by the world when they are free, up to a
 * bound.
 *
 * Owns the free blocks; a block in use belongs to the queue of events, to a receive buffer, or to
 * the list of what a loop was lent. The world's thread.
 */
#include "sim.h"

#include <string.h>

static size_t room_bytes(uint32_t room_class)
{
    return (size_t)KI_SIM_ROOM_BYTES_MIN << room_class;
}

static size_t block_bytes(uint32_t room_class)
{
    return sizeof(struct ki_sim_packet) + room_bytes(room_class);
}

struct ki_sim_packet *ki_sim_packet_alloc(struct kirim_sim *sim, size_t bytes)
{
    uint32_t room_class = 0;
    while (room_bytes(room_class) < bytes) {
        room_class++;
    }
    struct ki_sim_packet *pk = sim->free_packets[room_class];
    if (pk != NULL) {
        sim->free_packets[room_class] = pk->next;
        sim->free_bytes -= block_bytes(room_class);
    } else {
        pk = sim->alloc(sim->alloc_user, NULL, 0, block_bytes(room_class));
    }
    if (pk != NULL) {
        pk->room_class = room_class;
    }
    return pk;
}

struct ki_sim_packet *ki_sim_packet_copy(struct kirim_sim *sim, const struct ki_sim_packet *pk)
{
    struct ki_sim_packet *copy = ki_sim_packet_alloc(sim, pk->bytes);
    if (copy != NULL) {
        const uint32_t room_class = copy->room_class;
        *copy = *pk;
        copy->room_class = room_class;
        copy->event.place = 0;
        copy->next = NULL;
        memcpy(copy->data, pk->data, pk->bytes);
    }
    return copy;
}

void ki_sim_packet_free(struct kirim_sim *sim, struct ki_sim_packet *pk)
{
    const uint32_t room_class = pk->room_class;
    const size_t bytes = block_bytes(room_class);
    if (sim->free_bytes + bytes > KI_SIM_FREE_BYTES_MAX) {
        ki_sim_free(sim, pk, bytes);
        return;
    }
    pk->next = sim->free_packets[room_class];
    sim->free_packets[room_class] = pk;
    sim->free_bytes += bytes;
}

void ki_sim_packets_fini(struct kirim_sim *sim)
{
    for (uint32_t i = 0; i < KI_SIM_ROOM_CLASS_COUNT; i++) {
        while (sim->free_packets[i] != NULL) {
            struct ki_sim_packet *pk = sim->free_packets[i];
            sim->free_packets[i] = pk->next;
            ki_sim_free(sim, pk, block_bytes(i));
        }
    }
    sim->free_bytes = 0;
}

/* The figures are those measured on Linux for skb->truesize: 832 for the smallest datagram, 2,304
 * for one of 1,200 bytes. 256 of it are the descriptor; the data has 512 bytes of headroom and
 * trailer, in a block of a size that doubles, or in pages. */
uint32_t ki_sim_charge(uint32_t bytes)
{
    enum { DESCRIPTOR = 256, SMALLEST = 576, AROUND = 512, PAGE = 4096 };
    if (bytes + AROUND <= SMALLEST) {
        return DESCRIPTOR + SMALLEST;
    }
    if (bytes + AROUND > PAGE) {
        return DESCRIPTOR + SMALLEST + (bytes + PAGE - 1) / PAGE * PAGE;
    }
    uint32_t block = 1024;
    while (block < bytes + AROUND) {
        block *= 2;
    }
    return DESCRIPTOR + block;
}
