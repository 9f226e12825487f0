/* SPDX-License-Identifier: MIT
 *
 * What the suites of the channel share: two ends over a network in memory with a clock of its own,
 * that loses, repeats, disorders, cuts off and marks what it carries; messages whose bytes follow
 * from their stream and number, and the ledger of what arrived. What must hold of every packet is
 * checked here. One thread.
 */
#ifndef CHANNEL_KIT_H
#define CHANNEL_KIT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/channel/gate.h"
#include "protocols/channel/parts.h"
#include "support/claims.h"
#include "support/memory.h"
#include "support/random.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MS              UINT64_C(1000000)
#define SECOND          UINT64_C(1000000000)

enum { KIT_STREAMS = 8, KIT_NUMBERS = 8192, KIT_ROOM = 65536, KIT_QUEUE = 8192 };

/* What one end has got and was told. */
struct kit_ledger {
    uint8_t seen[KIT_STREAMS][KIT_NUMBERS]; /* how often each message came */
    uint64_t count[KIT_STREAMS];            /* messages */
    uint64_t next[KIT_STREAMS];             /* ordered: the next; sequenced: above the last */
    uint64_t bytes;
    size_t ready, closed, writable, moved;
    struct kirim_channel_end end;
    char end_text[KIRIM_CHANNEL_TEXT_BYTES_MAX + 1];
};

/* Length of a message of a stream, by its number. */
typedef size_t (*kit_length_fn)(uint32_t stream, uint64_t number);

/* The byte of a message at a place. */
uint8_t kit_byte(uint32_t stream, uint64_t number, size_t at);

/* Fills in a message. */
void kit_fill(uint8_t *room, uint32_t stream, uint64_t number, size_t bytes);

/* Notes a message, and checks that it is right, in place and new. */
void kit_note(struct kit_ledger *l, const struct kirim_channel_message *m, kit_length_fn length);

/* One direction of the network. */
struct kit_link {
    uint64_t delay_ns;
    uint64_t jitter_ns; /* out of order */
    uint32_t loss_ppm, duplicate_ppm, ce_ppm;
    size_t mtu; /* longer datagrams vanish; 0: none */
    bool is_down, is_bleached;
    uint64_t rate_bytes; /* a second; 0: any */
    uint64_t free_ns;    /* when what was sent has left */
    uint64_t queue_ns;   /* what would wait longer is lost; 0: nothing is */
};

struct kit_end {
    struct kirim_channel *ch;
    struct kirim_addr addr;
    struct kit_memory memory;
    struct kit_ledger ledger;
    struct kit_link link; /* from here */
    struct kirim_channel_options options;
    struct kit_pair *pair;
    kit_length_fn length;
    uint64_t sent_bytes, sent_count, longest;
    /* Called by the handler, for what a case wants beside the ledger. */
    void (*on_message)(struct kit_end *end, const struct kirim_channel_message *m);
    void (*on_writable)(struct kit_end *end);
};

struct kit_datagram {
    uint64_t due_ns, order;
    struct kit_end *to;
    struct kirim_addr from;
    uint8_t *data;
    size_t bytes;
    uint8_t ecn;
};

/* A client and, once a good BEGIN has come, a server. */
struct kit_pair {
    struct kit_end client, server;
    struct kirim_channel_gate gate;
    struct kirim_channel_budget budget;
    struct kit_datagram queue[KIT_QUEUE]; /* unordered */
    size_t queued;
    uint64_t now_ns, order;
    struct test_random random;
    size_t stateless; /* answers of the gate */
};

/* Zeroed, with default options, no faults, and 10 ms each way; kit_pair_open() begins. */
struct kit_pair *kit_pair_new(uint64_t seed);

/* Opens the client. */
void kit_pair_open(struct kit_pair *p);

/* Runs until a time, or until nothing is left to happen. */
void kit_pair_run(struct kit_pair *p, uint64_t until_ns);

/* Runs until both ends are ready. */
void kit_pair_connect(struct kit_pair *p);

/* Frees all, and checks that nothing is left. */
void kit_pair_free(struct kit_pair *p);

/* Sends a message with the bytes of its number; what kirim_channel_send() says. */
kirim_err kit_send(struct kit_end *end, uint32_t stream, uint32_t mode, uint64_t number);

/* Gives an end a packet of its peer's, forged: DATA with these frames and that number, from where
 * the peer is. */
void kit_forge(struct kit_end *to, uint64_t number, const void *frames, size_t bytes);

/* Both directions alike. */
void kit_set_links(struct kit_pair *p, const struct kit_link *link);

/* Runs the claims of one suite; returns what main() returns. */
static inline int kit_main(const char *name, const struct kit_claim *claims)
{
    return claims_run(name, claims, 60);
}

#endif
