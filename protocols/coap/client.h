/* SPDX-License-Identifier: MIT
 *
 * The client of CoAP: requests, their answers in blocks, observation, requests to groups.
 *
 * A call is one request as its caller sees it: a body of any length goes out, one comes back. Of a
 * peer's calls one is sent at a time, the others wait (NSTART is 1). Sources: RFC 7252 sections 5
 * and 8, RFC 7641 section 3, RFC 7959, RFC 9175.
 */
#ifndef KIRIM_COAP_CLIENT_H
#define KIRIM_COAP_CLIENT_H

#include "node.h"
#include "option.h"

/** Most options of a call. */
#define KIRIM_COAP_CALL_OPTION_COUNT_MAX 32

/** An answer; lent until the return. */
struct kirim_coap_answer {
    uint8_t code;                             /**< KIRIM_COAP_CONTENT .... */
    struct kirim_addr from;                   /**< Who answers. */
    const struct kirim_coap_message *message; /**< The last one of the answer. */
    const struct kirim_coap_fields *fields;   /**< What its options say. */
    struct kirim_coap_span body;              /**< Whole; of a group's member its first block. */
    bool is_notification;                     /**< More may come. */
};

/** An answer has come: once, or of each member of a group, or of each state that is observed. */
typedef void (*kirim_coap_answered_fn)(struct kirim_coap_call *call,
                                       const struct kirim_coap_answer *answer);

/** A call has ended: its storage is the caller's again. KIRIM_OK, if it was answered; for a group
 * or an observation: if its time is over. */
typedef void (*kirim_coap_ended_fn)(struct kirim_coap_call *call, kirim_err err);

/** A call; the caller's storage, put until `ended`. */
struct kirim_coap_call {
    uint8_t method;    /**< KIRIM_COAP_GET ...; KIRIM_COAP_EMPTY: a ping. */
    uint8_t type;      /**< KIRIM_COAP_CON or KIRIM_COAP_NON. */
    bool is_observing; /**< Go on telling what the resource is. */
    bool asks_size;    /**< Ask for block sizes of `szx` from the beginning. */
    uint8_t szx;       /**< Largest block, 0..6. */
    /** Uri-Path, Uri-Query, Accept ...; sorted by number, not blocks, Observe, Echo or tags. Lent
     * until the end. */
    const struct kirim_coap_option *options;
    size_t option_count;         /**< At most KIRIM_COAP_CALL_OPTION_COUNT_MAX. */
    struct kirim_coap_span body; /**< Lent until the end. */
    size_t body_bytes_max;       /**< Longest answer that is put together; 0: that of the node. */
    uint64_t timeout_ns;         /**< For each message's answer; of a group: for all. 0: 93 s. */
    kirim_coap_answered_fn answered; /**< May be NULL. */
    kirim_coap_ended_fn ended;       /**< Not NULL. */
    void *user;                      /**< The caller's. */
    /** @privatesection The node's. */
    struct kirim_coap_call *next;
    struct kirim_coap_peer *peer;
    int state;
    uint64_t deadline_ns;
    uint64_t id;         /**< Of the transaction of the message under way. */
    uint64_t observe_id; /**< Of the registration. */
    bool has_id, has_observe_id, is_registered, is_ending, is_fetching;
    uint32_t sequence; /**< Of the freshest notification. */
    uint64_t sequence_ns;
    uint64_t renew_ns; /**< When to register again. */
    size_t sent_bytes; /**< Of the body, acknowledged. */
    uint8_t send_szx, receive_szx, echo_count, restart_count;
    uint8_t echo_bytes, etag_bytes, tag_bytes;
    uint8_t echo[KIRIM_COAP_ECHO_BYTES_MAX];
    uint8_t etag[KIRIM_COAP_ETAG_BYTES_MAX];
    uint8_t tag[KIRIM_COAP_ETAG_BYTES_MAX];
    uint8_t *received; /**< What has come in blocks. */
    size_t received_bytes, received_room;
    uint16_t message_id; /**< Of the last message sent. */
};

/** Initialises a call: `struct kirim_coap_call c = KIRIM_COAP_CALL_INIT(KIRIM_COAP_GET, on_answer,
 * on_end, ctx);` confirmable, with blocks of up to 1,024 bytes. */
#define KIRIM_COAP_CALL_INIT(code, on_answer, on_end, ctx)                           \
    {                                                                                \
        .method = (code), .type = KIRIM_COAP_CON, .szx = 6, .answered = (on_answer), \
        .ended = (on_end), .user = (ctx)                                             \
    }

/**
 * @brief Starts a call; it waits, if another one of this peer is under way.
 *
 * @param peer    Whom to ask; that of a group takes KIRIM_COAP_NON only.
 * @param call    Caller's storage, idle.
 * @param now_ns  Present time.
 * @retval KIRIM_OK          `ended` will be called, never from inside this call.
 * @retval KIRIM_EINVAL      No `ended`, a method, type or option that a call cannot have, options
 *                           that are not sorted, or a confirmable request to a group.
 * @retval KIRIM_ECLOSED     The peer ends: this is its last callback.
 * @retval KIRIM_EWOULDBLOCK As many calls as the node allows are under way.
 * @return Also an error of the environment's `random`.
 * @note The node's thread.
 */
kirim_err kirim_coap_call_start(struct kirim_coap_peer *peer, struct kirim_coap_call *call,
                                uint64_t now_ns);

/** @brief Ends a call: an observation is taken back first, and ends with KIRIM_OK; anything else
 * ends at once, with KIRIM_EABORTED. Nothing happens to one that has ended. The node's thread. */
void kirim_coap_call_cancel(struct kirim_coap_call *call, uint64_t now_ns);

#endif
