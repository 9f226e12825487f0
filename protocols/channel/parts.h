/* SPDX-License-Identifier: MIT
 *
 * What the parts of a channel share: its state, and the steps that each file gives to the others.
 * One thread.
 */
#ifndef KI_CHANNEL_PARTS_H
#define KI_CHANNEL_PARTS_H

#include <kirim/amplification.h>
#include <kirim/keepalive.h>
#include <kirim/pmtu.h>
#include <kirim/rtt.h>

#include "acks.h"
#include "channel.h"
#include "cursor.h"
#include "ranges.h"

enum {
    KI_CHANNEL_COST = 64,          /* what a message counts beside its bytes */
    KI_CHANNEL_NUMBERS_MAX = 4096, /* of messages under way in a stream */
    KI_CHANNEL_BASE_BYTES = 1200,  /* of datagrams before a search */
    KI_CHANNEL_WAITING_MAX = 16,   /* sequenced messages that wait in a stream */
    KI_CHANNEL_ECT0 = 2            /* as it is marked */
};

#define KI_CHANNEL_NS_PER_MS UINT64_C(1000000)
/* Of a pointer in a table. */
#define KI_CHANNEL_POINTER_BYTES sizeof(void *)
#define KI_CHANNEL_NUMBER_END    (UINT64_C(1) << 48)

/* ---- what was sent --------------------------------------------------------------------------- */

struct ki_channel_out_stream;

/* A message to the peer. It is in its stream's list until it is acknowledged or given up, and gone
 * when no record names it. */
struct ki_channel_out {
    struct ki_channel_out *prev, *next;
    struct ki_channel_out_stream *stream;
    uint64_t number;
    struct ki_channel_ranges acked;
    uint64_t acked_bytes;
    uint32_t bytes;
    uint32_t sent_bytes;   /* the next that was never sent */
    uint32_t record_count; /* that name it */
    bool is_begun;         /* counted against the windows */
    bool is_gone;          /* out of its stream's list */
    uint8_t data[];
};

enum {
    KI_CHANNEL_RECORD_PART = 0, /* of a message */
    KI_CHANNEL_RECORD_ACK,      /* `number` and all below were acknowledged */
    KI_CHANNEL_RECORD_MAX_DATA,
    KI_CHANNEL_RECORD_MAX_STREAM /* of stream `number` */
};

/* What a packet carried. */
struct ki_channel_record {
    struct ki_channel_record *next;
    struct ki_channel_out *message;
    uint64_t number;
    uint32_t offset, bytes;
    uint32_t kind;
};

enum {
    KI_CHANNEL_SENT_ECT = 1,   /* marked */
    KI_CHANNEL_SENT_PROBE = 2, /* for the path MTU */
    KI_CHANNEL_SENT_OVER = 4   /* acknowledged or lost */
};

struct ki_channel_sent {
    uint64_t number;
    uint64_t time_ns;
    struct ki_channel_record *records;
    uint32_t bytes;
    uint32_t flags;
};

/* Packets that ask for an acknowledgement, in the order of their numbers: a ring. */
struct ki_channel_recovery {
    struct ki_channel_sent *ring;
    uint32_t room, first, count;
    uint32_t open_count;   /* neither acknowledged nor lost */
    uint32_t probe_count;  /* packets that a probe timeout lets out */
    bool owes_lone_ping;   /* the last of those is a PING alone */
    uint32_t pto_count;    /* in a row */
    uint32_t large_lost;   /* above the base size, and sent after large_acked */
    uint64_t large_acked;  /* the highest number of one above the base size */
    uint64_t flight_bytes; /* of the open ones */
    uint64_t largest_acked;
    bool has_acked;
    uint64_t last_ns;  /* when the last one left */
    uint64_t loss_ns;  /* when one of them counts as lost, or KIRIM_NEVER */
    uint64_t least_ns; /* smallest round-trip time; KIRIM_NEVER: none */
    uint64_t first_ns; /* time of the first sample */
    struct kirim_rtt rtt;
    struct ki_channel_record *free_records;
};

enum { KI_CHANNEL_ECN_OFF = 0, KI_CHANNEL_ECN_TRIED, KI_CHANNEL_ECN_GOOD, KI_CHANNEL_ECN_FAILED };

struct ki_channel_congestion {
    uint64_t window_bytes;
    uint64_t threshold_bytes;
    uint64_t grown_bytes; /* acknowledged since the last growth by one datagram */
    uint64_t reduced_ns;  /* what was sent until then is of the round trip that was punished */
    bool has_reduced;
    bool is_full;              /* the window, or the pace, held something back */
    uint64_t budget_bytes;     /* that may leave now by the pace */
    uint64_t paced_ns;         /* when the budget was worked out */
    uint32_t ecn;              /* KI_CHANNEL_ECN_... */
    uint64_t ecn_sent;         /* packets with ECT on this path */
    uint64_t ecn_lost;         /* of those */
    uint64_t ecn_ect0, ecn_ce; /* as the peer has told */
};

/* ---- streams --------------------------------------------------------------------------------- */

struct ki_channel_out_stream {
    struct ki_channel_out_stream *next_active; /* a ring; NULL: not in it */
    struct ki_channel_out *first, *last;       /* by number */
    struct ki_channel_out *unsent;             /* the first with bytes that were never sent */
    struct ki_channel_record *lost, **lost_end;
    uint64_t next_number;
    uint64_t limit, used;
    uint32_t id, mode;
    uint32_t waiting_count; /* sequenced messages that were not begun */
};

/* A message of the peer's. */
struct ki_channel_in {
    struct ki_channel_ranges have;
    uint64_t number;
    uint64_t have_bytes;
    uint32_t bytes;
    uint32_t room; /* of `data` */
    uint8_t data[];
};

struct ki_channel_in_stream {
    struct ki_channel_in **slot; /* by number, modulo `room` */
    uint32_t room;
    uint32_t id, mode;
    bool is_known; /* the mode is */
    bool is_held;
    bool owes_messages;           /* it was released */
    bool owes_limit;              /* MAX_STREAM is to be sent */
    uint64_t next;                /* lowest number that was not handed over; sequenced: one above
                                     the highest that was */
    uint64_t whole;               /* all from `next` up to it are whole */
    uint64_t end;                 /* one above the highest number that has begun */
    uint64_t limit, used, taken;  /* sums of costs: permitted, begun, handed over */
    struct ki_channel_in *newest; /* of a sequenced stream */
};

/* ---- the connection -------------------------------------------------------------------------- */

struct ki_channel_path {
    struct kirim_addr peer;
    struct kirim_addr candidate; /* that may be the peer's; none: nobody */
    struct kirim_amplification budget;
    uint8_t challenge[KIRIM_CHANNEL_CHALLENGE_BYTES];
    uint8_t response[KIRIM_CHANNEL_CHALLENGE_BYTES];
    struct kirim_addr response_to;
    uint64_t deadline_ns; /* of the challenge */
    uint32_t try_count;
    bool owes_challenge, owes_response;
};

enum {
    KI_CHANNEL_ASKING = 0, /* a client that has no token */
    KI_CHANNEL_BEGINNING,  /* a client that has one, and no DATA */
    KI_CHANNEL_OPEN,
    KI_CHANNEL_CLOSING,  /* CLOSE is repeated */
    KI_CHANNEL_DRAINING, /* CLOSE is answered */
    KI_CHANNEL_ENDED
};

struct kirim_channel {
    struct kirim_channel_options options;
    struct kirim_channel_handler handler;
    struct ki_channel_memory memory;
    uint32_t state;
    bool is_server;
    bool is_inside; /* of a call that may run callbacks */
    bool is_finishing;
    bool is_blocked; /* the owner waits for `writable` */
    bool owes_ready, owes_closed, owes_close, owes_ping, owes_max_data, owes_hello;
    bool has_heard;     /* a server, or a client that has got DATA */
    bool has_params;    /* of the peer */
    bool has_told;      /* `closed` */
    bool is_last;       /* the peer has finished: nothing is held any more */
    bool is_size_held;  /* a probe for the path MTU waits for the window */
    bool owes_messages; /* streams were released inside a callback */
    uint8_t id[KIRIM_CHANNEL_ID_BYTES];
    uint8_t reset[KIRIM_CHANNEL_RESET_BYTES];
    uint8_t peer_id[KIRIM_CHANNEL_ID_BYTES];
    uint8_t peer_reset[KIRIM_CHANNEL_RESET_BYTES];
    uint8_t token[KIRIM_CHANNEL_TOKEN_BYTES_MAX];
    uint32_t token_bytes;
    struct kirim_channel_params peer_params;
    uint64_t next_number; /* of packets */
    /* Now and then a number is left out: `left_out`, 0: none yet. Who acknowledges it has not
     * waited for what he says has come. The next is `leave_out`, known from `leave_from` on. */
    uint64_t left_out, leave_out, leave_from;
    struct ki_channel_acks acks;
    struct ki_channel_recovery recovery;
    struct ki_channel_congestion congestion;
    struct ki_channel_path path;
    struct kirim_pmtu_options pmtu_options;
    struct kirim_pmtu pmtu;
    struct kirim_keepalive_options keepalive_options;
    struct kirim_keepalive keepalive;
    uint64_t idle_ns;      /* silence ends it then */
    uint64_t handshake_ns; /* a client gives up then */
    uint64_t hello_ns;     /* HELLO is repeated then */
    uint64_t pace_ns;      /* output was held back until then */
    uint64_t close_ns;     /* CLOSE is repeated then, or draining ends */
    uint32_t hello_count, close_count;
    struct ki_channel_out_stream **out;   /* by id, options.params.stream_count of them */
    struct ki_channel_in_stream **in;     /* likewise */
    struct ki_channel_out_stream *active; /* the last served of those that may have to send */
    uint64_t out_limit, out_used;
    uint64_t in_limit, in_used, in_taken;
    uint64_t out_bytes;   /* messages that wait, their own bytes only */
    uint64_t out_count;   /* of them */
    size_t blocked_bytes; /* the shortest message that found no room since `writable` */
    uint64_t refused_ns;  /* since when messages find no room; KIRIM_NEVER: they do */
    uint64_t in_bytes;    /* memory of messages that wait */
    kirim_err end_err;
    bool is_by_peer;
    uint32_t end_code;
    char end_text[KIRIM_CHANNEL_TEXT_BYTES_MAX + 1];
    struct kirim_channel_stats stats;
};

/* A packet that is being written. */
struct ki_channel_packing {
    struct ki_channel_writer w;
    struct ki_channel_record *records;
    size_t head_bytes; /* before the frames */
    bool is_eliciting; /* it has a frame that asks for an acknowledgement */
};

/* channel.c: what holds everywhere. */
void *ki_channel_new(struct kirim_channel *ch, size_t bytes);
void ki_channel_delete(struct kirim_channel *ch, void *block, size_t bytes);
/* The connection ends with a CLOSE of this side. */
void ki_channel_fail(struct kirim_channel *ch, uint32_t code, const char *text);
/* The connection is over, without a word. */
void ki_channel_end(struct kirim_channel *ch, kirim_err err);
/* A CLOSE has come. */
void ki_channel_take_close(struct kirim_channel *ch, const struct kirim_channel_frame *f,
                           uint64_t now_ns);
bool ki_channel_is_live(const struct kirim_channel *ch);
/* Tells the owner what is due: messages that were held, `writable`, `closed`. */
void ki_channel_settle(struct kirim_channel *ch);
/* Longest datagram to the peer now. */
size_t ki_channel_payload_bytes(const struct kirim_channel *ch);
/* Longest that could ever be sent. */
uint32_t ki_channel_ceiling_bytes(const struct kirim_channel *ch);
/* The peer's parameters are known. */
void ki_channel_learn(struct kirim_channel *ch, const struct kirim_channel_params *params,
                      uint64_t now_ns);

/* handshake.c: from HELLO to the first DATA. */
void ki_channel_take_token(struct kirim_channel *ch, const struct kirim_channel_packet *p,
                           uint64_t now_ns);
void ki_channel_take_versions(struct kirim_channel *ch, const struct kirim_channel_packet *p);
bool ki_channel_is_own_begin(const struct kirim_channel *ch, const struct kirim_channel_packet *p);
size_t ki_channel_write_hello(struct kirim_channel *ch, uint8_t *room, size_t room_bytes,
                              uint64_t now_ns);
/* The fixed part of the next packet. */
size_t ki_channel_write_header(struct kirim_channel *ch, uint8_t *room, size_t room_bytes);

/* recovery.c: what was sent, acknowledged, lost. */
kirim_err ki_channel_recovery_init(struct kirim_channel *ch);
void ki_channel_recovery_free(struct kirim_channel *ch);
/* Room for one more packet; false: no memory, or too many. */
bool ki_channel_recovery_reserve(struct kirim_channel *ch);
void ki_channel_recovery_sent(struct kirim_channel *ch, const struct ki_channel_sent *sent);
/* False: it acknowledges what was never sent. */
bool ki_channel_recovery_ack(struct kirim_channel *ch, const struct kirim_channel_frame *f,
                             uint64_t now_ns);
void ki_channel_recovery_expire(struct kirim_channel *ch, uint64_t now_ns);
uint64_t ki_channel_recovery_deadline(const struct kirim_channel *ch);
/* A probe timeout, not backed off. */
uint64_t ki_channel_pto_ns(const struct kirim_channel *ch);
/* The path is another one: all that is under way is sent anew, and nothing is known of the path. */
void ki_channel_recovery_restart(struct kirim_channel *ch, uint64_t now_ns);
struct ki_channel_record *ki_channel_record_new(struct kirim_channel *ch, uint32_t kind);
void ki_channel_record_free(struct kirim_channel *ch, struct ki_channel_record *record);
void ki_channel_records_free(struct kirim_channel *ch);

/* congestion.c: how much, how fast. */
void ki_channel_congestion_init(struct kirim_channel *ch, uint64_t now_ns);
/* The path is another one. */
void ki_channel_congestion_restart(struct kirim_channel *ch, uint64_t now_ns);
void ki_channel_congestion_acked(struct kirim_channel *ch, const struct ki_channel_sent *sent);
/* Something that was sent then was lost, or marked. Returns whether the window was reduced. */
bool ki_channel_congestion_event(struct kirim_channel *ch, uint64_t sent_ns, uint64_t now_ns);
void ki_channel_congestion_persistent(struct kirim_channel *ch);
void ki_channel_congestion_sent(struct kirim_channel *ch, const struct ki_channel_sent *sent);
/* What an ACK says of marks: `marked_count` packets with ECT were acknowledged by it. Returns
 * whether there are new CE marks. */
bool ki_channel_congestion_ecn(struct kirim_channel *ch, const struct kirim_channel_frame *f,
                               uint64_t marked_count);
void ki_channel_congestion_ecn_lost(struct kirim_channel *ch);
/* Whether a packet of this size may leave; if the pace holds it back, `ch->pace_ns` says until
 * when. */
bool ki_channel_congestion_may_send(struct kirim_channel *ch, size_t bytes, uint64_t now_ns);

/* send.c: messages to the peer. */
void ki_channel_send_free(struct kirim_channel *ch);
/* Whether a message frame could be written now. */
bool ki_channel_send_has(const struct kirim_channel *ch);
void ki_channel_send_pack(struct kirim_channel *ch, struct ki_channel_packing *pk);
void ki_channel_send_acked(struct kirim_channel *ch, struct ki_channel_record *record);
void ki_channel_send_lost(struct kirim_channel *ch, struct ki_channel_record *record);
/* Gives a record up, whatever it is. */
void ki_channel_send_drop(struct kirim_channel *ch, struct ki_channel_record *record);
/* A copy of a part that is under way is to be sent as well. Returns whether there is one. */
bool ki_channel_send_again(struct kirim_channel *ch, const struct ki_channel_record *record);
/* False: a rule is broken. */
bool ki_channel_send_raise(struct kirim_channel *ch, const struct kirim_channel_frame *f);
/* The peer's parameters are known: windows open, and what is too long ends the connection. */
void ki_channel_send_learn(struct kirim_channel *ch);

/* waiting.c: memory of messages of the peer that wait. It counts against the budget of all; what is
 * in it is not said. Nobody holds more than what is left for the others: who hoards finds an end
 * before there is nothing for them. NULL: no room. */
void *ki_channel_room_take(struct kirim_channel *ch, size_t bytes);
void ki_channel_room_give(struct kirim_channel *ch, void *block, size_t bytes);
/* Of ranges, which are longer than the bytes they tell of if a peer wants it. */
struct ki_channel_memory ki_channel_range_memory(struct kirim_channel *ch);
/* A message with memory for `room` bytes, which are no fewer than its own. */
struct ki_channel_in *ki_channel_waiting_new(struct kirim_channel *ch,
                                             const struct kirim_channel_frame *f, uint64_t room);
/* Makes a message of one that was given up, if that has room enough. */
bool ki_channel_waiting_reuse(struct ki_channel_in *x, const struct kirim_channel_frame *f);
void ki_channel_waiting_free(struct kirim_channel *ch, struct ki_channel_in *x);

/* receive.c: messages of the peer. */
void ki_channel_receive_free(struct kirim_channel *ch);
/* KIRIM_OK; KIRIM_ENOMEM: no room, so the packet has not come; KIRIM_ENOBUFS: likewise, for the
 * lack of the parts before; else the connection has failed. */
kirim_err ki_channel_receive(struct kirim_channel *ch, const struct kirim_channel_frame *f);
/* Hands over what streams that are not held any more have kept. */
void ki_channel_receive_release(struct kirim_channel *ch);
void ki_channel_receive_pack(struct kirim_channel *ch, struct ki_channel_packing *pk);
bool ki_channel_receive_has(const struct kirim_channel *ch);

/* path.c: where the peer is. */
void ki_channel_path_init(struct kirim_channel *ch, const struct kirim_addr *peer);
void ki_channel_path_arrived(struct kirim_channel *ch, const struct kirim_channel_arrival *arrival,
                             bool is_highest, uint64_t now_ns);
void ki_channel_path_challenged(struct kirim_channel *ch, const uint8_t *challenge,
                                const struct kirim_addr *from);
void ki_channel_path_answered(struct kirim_channel *ch, const uint8_t *response,
                              const struct kirim_addr *from, uint64_t now_ns);
bool ki_channel_path_output(struct kirim_channel *ch, struct kirim_channel_departure *out,
                            uint64_t now_ns);
void ki_channel_path_expire(struct kirim_channel *ch, uint64_t now_ns);
uint64_t ki_channel_path_deadline(const struct kirim_channel *ch);
/* Sizes are looked for from the base on. */
void ki_channel_path_search(struct kirim_channel *ch, uint64_t now_ns);

/* output.c: packets. */
size_t ki_channel_left_in(const struct ki_channel_packing *pk);

#endif
