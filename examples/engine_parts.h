/* SPDX-License-Identifier: MIT
 *
 * The parts of the toy engine: what its sender, its receiver and the border around them share.
 *
 * The bytes of a transfer are cut into chunks, a packet carries up to four neighbours. What is lost
 * are chunks, and they leave in new packets. Two kinds of packet, all numbers big-endian:
 *
 *     data  1, id (8), packet number (4), bytes in all (8), first chunk (4), the bytes
 *     ack   2, id (8), next chunk wanted (4), packets with a mark (4), count of ranges (1),
 *           of each, newest first: last packet number (4), count (4)
 */
#ifndef EXAMPLES_ENGINE_PARTS_H
#define EXAMPLES_ENGINE_PARTS_H

#include "engine_core.h"

enum {
    CHUNK_BYTES = 352,
    PACKET_CHUNKS_MAX = 4, /* 1433 bytes: fits 1500 with the headers of IPv6 and UDP */
    WINDOW_CHUNKS = 1024,  /* how far a sender may be ahead of what is in order */
    RANGE_MAX = 32,
    TYPE_DATA = 1,
    TYPE_ACK = 2,
    DATA_HEAD_BYTES = 25,
    ACK_HEAD_BYTES = 18,
    RANGE_BYTES = 8,
    ACK_BYTES_MAX = ACK_HEAD_BYTES + RANGE_MAX * RANGE_BYTES
};

struct sender;
struct receiver;

struct transfer {
    uint64_t id;
    struct engine_addr peer, local;
    struct sender *tx; /* one of the two; none: the place is free */
    struct receiver *rx;
    uint64_t chunk_count;
    uint64_t heard_ns; /* from the peer; sender: or when it began */
    bool is_heard, is_over, is_told;
    struct engine_event event;
};

/* A data packet whose fields fit each other. */
struct data_packet {
    uint64_t number, bytes; /* of the packet; of the transfer */
    uint64_t first, count;  /* chunks */
    const uint8_t *at;
};

static inline void put(uint8_t **at, uint64_t value, unsigned bytes)
{
    while (bytes > 0) {
        *(*at)++ = (uint8_t)(value >> (8 * --bytes));
    }
}

static inline uint64_t take(const uint8_t **at, unsigned bytes)
{
    uint64_t value = 0;
    for (; bytes > 0; bytes--) {
        value = value << 8 | *(*at)++;
    }
    return value;
}

static inline uint64_t digest_more(uint64_t digest, const uint8_t *bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        digest = (digest ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return digest;
}

static inline uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline bool is_same(const struct engine_addr *a, const struct engine_addr *b)
{
    return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2];
}

/* An empty transfer has one chunk too, or nothing would tell the peer of it. */
static inline uint64_t chunks_of(uint64_t bytes)
{
    return bytes == 0 ? 1 : (bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
}

/* Bytes of `count` chunks from `first` on. */
static inline uint64_t bytes_of(const struct transfer *t, uint64_t first, uint64_t count)
{
    return least(count * CHUNK_BYTES, t->event.bytes - first * CHUNK_BYTES);
}

static inline void end_transfer(struct transfer *t, enum engine_outcome outcome)
{
    t->is_over = true;
    t->event.outcome = outcome;
}

/* ---- the sender, engine_sender.c ------------------------------------------------------------- */

/* NULL: no memory. Freed by free(). */
struct sender *sender_open(const uint8_t *data);

/* Takes an acknowledgement, whose fields begin at `at`. */
void sender_take_ack(struct transfer *t, const uint8_t *at, const struct engine_packet *in);

/* Writes a train: packets of one size, but for the last. False: not now. */
bool sender_write(struct transfer *t, struct engine_packet *out, uint64_t now_ns);

uint64_t sender_deadline(const struct transfer *t);
void sender_expire(struct transfer *t, uint64_t now_ns);

/* Packets become smaller. `path_mtu` 0: nobody knows by how much. */
void sender_narrow(struct transfer *t, uint32_t path_mtu);

/* ---- the receiver, engine_receiver.c --------------------------------------------------------- */

/* NULL: no memory. Freed by free(). */
struct receiver *receiver_open(void);

void receiver_take(struct transfer *t, const struct data_packet *data,
                   const struct engine_packet *in);

/* Writes an acknowledgement. False: none is due. */
bool receiver_write(struct transfer *t, struct engine_packet *out, uint64_t now_ns);

#endif
