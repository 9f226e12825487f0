/* SPDX-License-Identifier: MIT
 *
 * What the parts of a node share with each other and with nobody else. Everything runs in the
 * node's thread. Sources: see node.h.
 */
#ifndef KIRIM_COAP_PARTS_H
#define KIRIM_COAP_PARTS_H

#include "client.h"
#include "server.h"

/* Whose message it is that waits for its acknowledgement. */
enum { KI_COAP_RESPONSE = 1, KI_COAP_NOTIFICATION = 2, KI_COAP_CALL = 3 };

/* How it ended. */
enum { KI_COAP_ACKED = 1, KI_COAP_RESET = 2, KI_COAP_TIMED_OUT = 3, KI_COAP_GONE = 4 };

/* Whose message ids: of what this side sends by itself, or of answers to requests that are not
 * confirmable. Anybody can ask for those in the name of a peer, as often as he likes, so they have
 * ids of their own, and calls, notifications and late answers never want for theirs. */
enum { KI_COAP_OWN_IDS = 0, KI_COAP_ANSWER_IDS = 1 };

enum { KI_COAP_OBSERVED_BYTES_MAX = 512 }; /* longest request that is kept of an observer */

/* A message that waits: for its time, or for the one before it to be acknowledged. */
struct kirim_coap_pending {
    struct kirim_coap_pending *next;
    uint64_t due_ns;
    struct kirim_addr to;
    size_t bytes;
    uint16_t id;
    bool is_confirmable;
    uint8_t data[];
};

/* Somebody who is told what a resource is. Its request is kept, and carried out again each time. */
struct kirim_coap_observer {
    struct kirim_coap_observer *next_of_peer, *next_of_resource;
    struct kirim_coap_peer *peer;
    struct kirim_coap_resource *resource; /* NULL: it is gone, which is still to be told */
    uint64_t confirmed_ns;
    uint32_t sequence, unconfirmed;
    uint16_t last_id;
    bool is_dirty, is_in_flight, has_last_id;
    bool is_orphan; /* the resource goes, and is not asked any more */
    uint16_t wire_bytes;
    uint8_t wire[];
};

/* A request whose answer comes later. */
struct kirim_coap_deferral {
    struct kirim_coap_deferral *next;
    struct kirim_coap_peer *peer;
    struct kirim_addr from;
    uint64_t id, ack_ns;
    bool is_acked, is_echoed;
    size_t wire_bytes;
    uint8_t wire[];
};

/* A body that comes in blocks, or goes in them. */
struct kirim_coap_assembly {
    struct kirim_coap_assembly *next;
    uint64_t digest, expires_ns;
    uint8_t *data;
    size_t bytes, room;
    size_t last_bytes; /* of the last block that was taken */
    uint32_t format;   /* of a body that goes out */
    uint8_t code, etag_bytes;
    bool is_serving;
    uint8_t etag[KIRIM_COAP_ETAG_BYTES_MAX];
};

/* A request on its way through the server. */
struct ki_coap_ask {
    struct kirim_coap_peer *peer;
    const struct kirim_coap_message *message;
    struct kirim_coap_fields fields;
    struct kirim_addr from;
    struct kirim_coap_span wire;
    uint64_t now_ns, digest;
    uint64_t deferral; /* what the resource was told */
    bool is_group, is_echoed, asks_echo, has_block1, has_observe, is_notification, is_whole;
    struct kirim_coap_block block1; /* to be answered */
    uint32_t observe, size1;        /* likewise; size1 0: none */
    char path[KIRIM_COAP_PATH_BYTES];
};

/* ---- peer.c ---------------------------------------------------------------------------------- */

void *ki_coap_alloc(struct kirim_coap_node *node, size_t bytes);
void ki_coap_free(struct kirim_coap_node *node, void *memory, size_t bytes);
/* Sends bytes to an address, and counts. */
void ki_coap_send(struct kirim_coap_peer *peer, const struct kirim_addr *to,
                  struct kirim_coap_span wire);
/* An empty message: RST or ACK. */
void ki_coap_send_empty(struct kirim_coap_peer *peer, const struct kirim_addr *to, uint8_t type,
                        uint16_t id);
/* A message id of this side that is not in use, for a message of this kind. KIRIM_EWOULDBLOCK:
 * there is none now. */
kirim_err ki_coap_take_id(struct kirim_coap_peer *peer, int whose, uint64_t now_ns, uint16_t *id);
bool ki_coap_is_idle(const struct kirim_coap_peer *peer);
/* Sends a confirmable message for the first time; `wire` is copied. The peer must be idle. */
kirim_err ki_coap_exchange_start(struct kirim_coap_peer *peer, int kind, void *owner, uint16_t id,
                                 struct kirim_coap_span wire, uint64_t now_ns);
/* Ends the present one without telling its owner. */
void ki_coap_exchange_drop(struct kirim_coap_peer *peer, bool is_answered, uint64_t now_ns);
/* Lets a message wait; it is copied. */
kirim_err ki_coap_pend(struct kirim_coap_peer *peer, const struct kirim_coap_pending *what,
                       struct kirim_coap_span wire);
/* Sends what may be sent now, and finds the deadline. */
void ki_coap_pump(struct kirim_coap_peer *peer, uint64_t now_ns);
/* Bytes of the largest block that fits into a message to a peer. */
uint8_t ki_coap_szx_max(const struct kirim_coap_peer *peer);
uint64_t ki_coap_min(uint64_t a, uint64_t b);
/* Whether there is room for one more of what a node keeps at most `count_max` of, when it keeps
 * `count`, and `peer_count` of them for this peer. */
bool ki_coap_has_room(const struct kirim_coap_peer *peer, uint32_t peer_count, uint32_t count,
                      uint32_t count_max);

/* ---- node.c ---------------------------------------------------------------------------------- */

/* Whether a resource is there still; if not, it is not to be looked into. */
bool ki_coap_is_added(const struct kirim_coap_node *node,
                      const struct kirim_coap_resource *resource);

/* ---- server.c -------------------------------------------------------------------------------- */

void ki_coap_serve(struct kirim_coap_peer *peer, const struct kirim_coap_arrival *arrival,
                   const struct kirim_coap_message *message, uint64_t now_ns);
/* Prepares an ask of kept bytes; false: they are none. */
bool ki_coap_ask_again(struct ki_coap_ask *ask, struct kirim_coap_message *message,
                       struct kirim_coap_peer *peer, struct kirim_coap_span wire, uint64_t now_ns);
/* What a request is known by when it comes again: its sender, and a digest of all its bytes. A
 * message is sent again as it was, so one with an old message id and other bytes is none of those:
 * it is forged, or its sender began anew. */
struct kirim_request ki_coap_request(const struct kirim_coap_node *node,
                                     const struct kirim_addr *from, struct kirim_coap_span wire);
/* Keeps what a request was answered, for when it comes again. */
void ki_coap_remember(struct kirim_coap_node *node, const struct kirim_request *request,
                      struct kirim_coap_span wire);
/* Runs a resource's function. */
void ki_coap_run(struct ki_coap_ask *ask, struct kirim_coap_resource *resource,
                 struct kirim_coap_span body, uint8_t *scratch,
                 struct kirim_coap_response *response);
/* Ends the deferrals of a peer, or sends the acknowledgements that are due. */
void ki_coap_deferrals_drop(struct kirim_coap_peer *peer);
uint64_t ki_coap_deferrals_expire(struct kirim_coap_peer *peer, uint64_t now_ns);

/* ---- answer.c -------------------------------------------------------------------------------- */

/* Where the part of a body begins that is asked for, and its block size. */
size_t ki_coap_offset(const struct ki_coap_ask *ask, uint8_t *szx);
/* Writes an answer with this header; the response is made to fit the request. */
void ki_coap_encode(struct ki_coap_ask *ask, struct kirim_coap_response *response,
                    struct kirim_coap_message *head, struct kirim_coap_writer *w);
/* Sends an answer at once: in the acknowledgement, or by itself. */
void ki_coap_answer(struct ki_coap_ask *ask, struct kirim_coap_response *response);
/* The same as a message of its own, behind an acknowledgement that is gone. */
kirim_err ki_coap_answer_later(struct ki_coap_ask *ask, struct kirim_coap_response *response);
/* Makes the next Echo value; its length, or 0. */
size_t ki_coap_echo_make(struct ki_coap_ask *ask, uint8_t out[KIRIM_COAP_ECHO_BYTES_MAX]);
/* Looks at the Echo of a request. */
void ki_coap_echo_check(struct ki_coap_ask *ask);

/* ---- assembly.c ------------------------------------------------------------------------------ */

/* Takes a block of a body. KIRIM_OK: `body` is whole, and good until ki_coap_assembly_end();
 * KIRIM_PENDING: more is to come; else `response->code` says what is wrong. */
kirim_err ki_coap_assembly_take(struct ki_coap_ask *ask, struct kirim_coap_span *body,
                                struct kirim_coap_response *response);
void ki_coap_assembly_end(struct kirim_coap_peer *peer, uint64_t digest);
/* Keeps an answer that will be asked for block by block; finds it again. */
void ki_coap_assembly_keep(struct ki_coap_ask *ask, const struct kirim_coap_response *response);
bool ki_coap_assembly_serve(struct ki_coap_ask *ask, struct kirim_coap_response *response);
void ki_coap_assemblies_drop(struct kirim_coap_peer *peer);
uint64_t ki_coap_assemblies_expire(struct kirim_coap_peer *peer, uint64_t now_ns);

/* ---- observe.c ------------------------------------------------------------------------------- */

/* Enters who asks; false: there is no room, and the answer is an ordinary one. */
bool ki_coap_observer_add(struct ki_coap_ask *ask, struct kirim_coap_resource *resource);
void ki_coap_observer_remove(struct ki_coap_ask *ask);
/* A message that was a notification was reset. */
bool ki_coap_observer_reset(struct kirim_coap_peer *peer, uint16_t id);
void ki_coap_observer_ended(struct kirim_coap_observer *observer, int how, uint64_t now_ns);
void ki_coap_observers_drop(struct kirim_coap_peer *peer, bool is_lost);
/* Tells observers of a peer; returns when there is more to do. */
uint64_t ki_coap_observers_pump(struct kirim_coap_peer *peer, uint64_t now_ns);
/* The resource of an observer goes. */
void ki_coap_observers_orphan(struct kirim_coap_resource *resource, uint64_t now_ns);

/* ---- call.c ---------------------------------------------------------------------------------- */

/* Takes a response; the header says how it came. */
void ki_coap_call_input(struct kirim_coap_peer *peer, const struct kirim_coap_arrival *arrival,
                        const struct kirim_coap_message *message, uint64_t now_ns);
void ki_coap_call_exchanged(struct kirim_coap_call *call, int how, uint64_t now_ns);
/* A message that may have been a request was reset. */
void ki_coap_call_reset(struct kirim_coap_peer *peer, uint16_t id, uint64_t now_ns);
uint64_t ki_coap_calls_pump(struct kirim_coap_peer *peer, uint64_t now_ns);
void ki_coap_calls_end(struct kirim_coap_peer *peer, kirim_err why, uint64_t now_ns);
void ki_coap_call_end(struct kirim_coap_call *call, kirim_err err, uint64_t now_ns);

/* ---- transfer.c: the blocks of a call -------------------------------------------------------- */

/* Sends the next message of a call: to its peer, or to one of its group. */
kirim_err ki_coap_call_send(struct kirim_coap_call *call, const struct kirim_addr *to,
                            uint64_t now_ns);
/* Keeps an Echo. Whether the request is to be sent again with it. */
bool ki_coap_call_take_echo(struct kirim_coap_call *call, const struct kirim_coap_message *message,
                            const struct kirim_coap_fields *fields);
/* What an answer means for the blocks. KIRIM_OK: `body` is the whole answer; KIRIM_PENDING: the
 * next message is to be sent; else the call ends with it. */
kirim_err ki_coap_call_advance(struct kirim_coap_call *call,
                               const struct kirim_coap_message *message,
                               const struct kirim_coap_fields *fields,
                               struct kirim_coap_span *body);
void ki_coap_call_forget_body(struct kirim_coap_call *call);

#endif
