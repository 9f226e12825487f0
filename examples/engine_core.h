/* SPDX-License-Identifier: MIT
 *
 * A toy protocol engine without I/O: reliable bulk transfers, shaped as QUIC libraries are.
 *
 * It stands for code that somebody else wrote: it knows neither kirim nor a socket nor a clock.
 * Datagrams and the present time go in, trains of datagrams and the next deadline come out, and so
 * do events for the program. Like QUIC it has connection ids that outlive addresses, packet numbers
 * that are never used twice, acknowledgements by ranges, a congestion window that falls on loss and
 * on ECN marks, pacing, and a retransmission timer; unlike QUIC it has no security whatsoever. Many
 * transfers share one engine, both ways. Sources: RFC 9000, RFC 9002 (the ideas).
 */
#ifndef EXAMPLES_ENGINE_CORE_H
#define EXAMPLES_ENGINE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENGINE_TRAIN_BYTES_MAX = 22928, /* 16 datagrams of 1433 bytes */
    ENGINE_ECN_ECT0 = 2,            /* the two bits of the IP header */
    ENGINE_ECN_CE = 3
};

/* No deadline, no time. */
#define ENGINE_NEVER UINT64_MAX

/* An address, which to the engine is only a value; all zero is none. */
struct engine_addr {
    uint64_t word[3];
};

/* What crosses the border: a datagram that came in, or a train that shall go out. */
struct engine_packet {
    uint8_t *bytes;
    size_t count;             /* bytes of the datagram; of a train: the room, then its bytes */
    size_t segment_bytes;     /* train: size of its datagrams, of which the last may be shorter */
    struct engine_addr peer;  /* who sent it, or shall get it */
    struct engine_addr local; /* the own address that it came to, or shall leave from; or none */
    uint64_t time_ns;         /* when it came; train: when it shall leave, not earlier */
    unsigned ecn;             /* of each of its datagrams */
};

/* What the network said about datagrams to a peer. */
enum engine_error {
    ENGINE_ERROR_TOO_BIG, /* larger than the path takes; `path_mtu` says how large, or 0 */
    ENGINE_ERROR_REFUSED, /* nobody listens there */
    ENGINE_ERROR_OTHER    /* anything else, perhaps for a while only */
};

enum engine_outcome {
    ENGINE_SENT,     /* all of it is acknowledged */
    ENGINE_RECEIVED, /* all of it is here */
    ENGINE_FAILED    /* the peer is silent, or not there */
};

/* The end of a transfer. */
struct engine_event {
    enum engine_outcome outcome;
    struct engine_addr peer;
    uint64_t bytes;
    uint64_t digest;       /* FNV-1a of the bytes, if the outcome is good */
    uint64_t packet_count; /* that were sent, or came, with data */
    uint64_t lost_count;   /* of those sent, deemed lost and sent anew */
    uint64_t ce_count;     /* of those that arrived, with a mark of congestion */
};

struct engine;

/* NULL: no memory. */
struct engine *engine_open(void);
void engine_close(struct engine *e);

/* Begins to send `bytes` bytes, which stay the caller's and in place until the transfer has ended.
 * `id` is a random number. False: no memory, or too many transfers. */
bool engine_send(struct engine *e, uint64_t id, const struct engine_addr *peer, const uint8_t *data,
                 uint64_t bytes, uint64_t now_ns);

/* Takes a datagram that arrived. */
void engine_input(struct engine *e, const struct engine_packet *in);

/* Writes the next train to `out->bytes`, at most `out->count` bytes, and fills in the rest. False:
 * there is nothing to send now. */
bool engine_output(struct engine *e, struct engine_packet *out, uint64_t now_ns);

/* When engine_expire() is due and engine_output() worth asking, or ENGINE_NEVER. */
uint64_t engine_deadline(const struct engine *e);
void engine_expire(struct engine *e, uint64_t now_ns);

/* Something was said about what was sent to a peer. */
void engine_error(struct engine *e, enum engine_error error, const struct engine_addr *peer,
                  uint32_t path_mtu);

/* The next event, if there is one. */
bool engine_poll(struct engine *e, struct engine_event *out);

#endif
