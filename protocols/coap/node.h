/* SPDX-License-Identifier: MIT
 *
 * The message layer of CoAP. A node is what this side is: its resources, its requests under way,
 * what it remembers of messages that may come again. A peer is one that it speaks with: a path,
 * message ids, and the one message that waits for its acknowledgement (NSTART is 1).
 *
 * Neither does I/O. Datagrams and the time go in, datagrams go out through the environment, and
 * each peer says when it wants to be called again. All memory is the environment's, and bounded by
 * the node's options. One thread. Sources: RFC 7252 section 4, RFC 9175 section 2.
 */
#ifndef KIRIM_COAP_NODE_H
#define KIRIM_COAP_NODE_H

#include <kirim/duplicate.h>
#include <kirim/retransmit.h>
#include <kirim/token.h>
#include <kirim/transaction.h>

#include "message.h"

struct kirim_coap_node;
struct kirim_coap_peer;
struct kirim_coap_resource;
struct kirim_coap_observer;
struct kirim_coap_deferral;
struct kirim_coap_assembly;
struct kirim_coap_pending;
struct kirim_coap_call;

/** What a node needs from outside. */
struct kirim_coap_environment {
    /** Memory, as kirim_loop_alloc(): `new_bytes` 0 frees. */
    void *(*alloc)(void *user, void *old, size_t old_bytes, size_t new_bytes);
    /** Fills bytes with random ones; an error makes the node refuse what needed them. */
    kirim_err (*random)(void *user, void *out, size_t bytes);
    /** Sends a datagram to a peer, at `to`: its address, or that of a group's member. What is
     * refused counts as lost. */
    kirim_err (*send)(void *user, struct kirim_coap_peer *peer, const struct kirim_addr *to,
                      struct kirim_coap_span wire);
    /** `peer->deadline_ns` may have changed. */
    void (*changed)(void *user, struct kirim_coap_peer *peer);
    void *user; /**< Handed to these. */
};

/** How a node is made; start from KIRIM_COAP_NODE_OPTIONS_INIT. */
struct kirim_coap_node_options {
    struct kirim_coap_environment env; /**< Copied. */
    uint32_t duplicate_count_max;      /**< Requests remembered with their answers, half of them
                                            of peers that are not validated; at least 2. Of each
                                            half a peer's share is a quarter. */
    uint32_t call_count_max;           /**< Requests of this side under way. */
    uint32_t observer_count_max;       /**< Observers of all resources together, */
    uint32_t peer_observer_count_max;  /**< and of one peer. */
    uint32_t deferral_count_max;       /**< Requests whose answers come later. */
    uint32_t pending_count_max;        /**< Messages that wait to be sent. */
    uint32_t assembly_count_max;       /**< Bodies that come in blocks, at a time, */
    uint32_t peer_assembly_count_max;  /**< and from one peer. */
    uint32_t resource_count_max;       /**< Resources. */
    size_t body_bytes_max;             /**< Longest body that is put together. */
    size_t assembled_bytes_max;        /**< Of all those bodies together. */
    uint8_t szx;                       /**< Largest block that is sent or asked for; 0..6. */
    uint8_t amplification;    /**< Answers to a peer that is not validated: so many times the
                                   bytes of the request. */
    uint8_t confirm_every;    /**< Every so manieth notification is confirmable. */
    uint64_t confirm_ns;      /**< And an observer is asked after so long. */
    uint64_t leisure_ns;      /**< Spread of the answers to a group's request. */
    uint32_t echo_lifetime_s; /**< How long an Echo value is good. */
};

/** Initialises options: an environment of nothing, and bounds that a small server keeps. */
#define KIRIM_COAP_NODE_OPTIONS_INIT                                                             \
    {                                                                                            \
        .duplicate_count_max = 1024, .call_count_max = 64, .observer_count_max = 256,            \
        .peer_observer_count_max = 16, .deferral_count_max = 64, .pending_count_max = 128,       \
        .assembly_count_max = 32, .peer_assembly_count_max = 4, .resource_count_max = 256,       \
        .body_bytes_max = 1 << 20, .assembled_bytes_max = 4 << 20, .szx = 6, .amplification = 3, \
        .confirm_every = 5, .confirm_ns = UINT64_C(100000000000),                                \
        .leisure_ns = KIRIM_COAP_LEISURE_NS, .echo_lifetime_s = 60                               \
    }

/** What a node counted; the numbers only grow. */
struct kirim_coap_stats {
    uint64_t received;        /**< Datagrams. */
    uint64_t no_coap;         /**< Of those, none of CoAP's. */
    uint64_t malformed;       /**< Of those, with format errors, or cut on arrival. */
    uint64_t ignored;         /**< Of those, for nobody: late, or out of place. */
    uint64_t requests;        /**< Requests that were carried out or refused, each once. */
    uint64_t repeated;        /**< Requests that came again. */
    uint64_t responses;       /**< Responses to requests of this side. */
    uint64_t refused;         /**< Requests answered by an error. */
    uint64_t echo_asked;      /**< Requests answered by a question for an Echo. */
    uint64_t echo_good;       /**< Echoes that were right. */
    uint64_t echo_bad;        /**< Echoes that were not, or too old. */
    uint64_t resets_sent;     /**< RST. */
    uint64_t resets_received; /**< RST for a message of this side. */
    uint64_t sent;            /**< Datagrams. */
    uint64_t send_failed;     /**< Datagrams that were refused, and count as lost. */
    uint64_t resent;          /**< Confirmable messages, sent again. */
    uint64_t timed_out;       /**< Confirmable messages, given up. */
    uint64_t notifications;   /**< Sent. */
    uint64_t observers_added; /**< Registrations. */
    uint64_t observers_lost;  /**< Observers that did not go by themselves. */
    uint64_t full;            /**< Refusals since a bound of the node was reached. */
    uint64_t no_memory;       /**< Refusals for want of memory or random bytes. */
};

/** A node; the caller's storage. */
struct kirim_coap_node {
    struct kirim_coap_node_options options; /**< As given. Read only, as is the next. */
    struct kirim_coap_stats stats;          /**< What it counted. */
    void *user;                             /**< The caller's. */
    /** @privatesection The node's. */
    struct kirim_coap_resource *resources; /**< In the order of their addition. */
    uint32_t resource_count;
    struct kirim_duplicates duplicates; /**< Requests of peers that are validated, */
    struct kirim_duplicates strangers;  /**< and of others, who cannot push those out. */
    struct kirim_transactions transactions;
    struct kirim_token_keys keys;
    uint64_t keys_ns; /**< When the present key was made; 0: there is none. */
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES];
    uint32_t observer_count, deferral_count, pending_count, assembly_count, call_count;
    size_t assembled_bytes;
    uint64_t deferral_id; /**< That a resource was told last. */
    struct kirim_coap_deferral *deferrals;
    uint8_t links_etag[8];     /**< Of the list of links that was told last. */
    uint64_t observer_changes; /**< Observers that went, resources that were taken away. */
    uint64_t notify_count;
};

/** Number of parts of a half of the space of message ids whose use is remembered. */
#define KIRIM_COAP_ID_PARTS 16

/** A half of the message ids of a peer. @privatesection All of it. */
struct kirim_coap_ids {
    uint64_t part_ns[KIRIM_COAP_ID_PARTS]; /**< When an id of the part was last used. */
    uint16_t next;
};

/** The confirmable message that waits for its acknowledgement. @privatesection All of it. */
struct kirim_coap_exchange {
    struct kirim_retransmit retransmit;
    uint8_t *data; /**< NULL: there is none. */
    size_t bytes;
    int kind;    /**< KI_COAP_... of parts.h. */
    void *owner; /**< By its kind. */
    uint16_t id;
};

/** A peer; the caller's storage. */
struct kirim_coap_peer {
    struct kirim_addr addr;   /**< Who it is. */
    uint64_t deadline_ns;     /**< When to call kirim_coap_peer_expire(). Read only. */
    size_t message_bytes_max; /**< Longest message to it; may be changed at any time. */
    bool is_validated;        /**< It has shown that it is where it says, or need not. */
    bool is_ready;            /**< It can be sent to. */
    void *user;               /**< The caller's. */
    /** @privatesection The node's. */
    struct kirim_coap_node *node;
    struct kirim_path path;
    struct kirim_coap_exchange exchange;
    struct kirim_coap_ids ids[2]; /**< Of what this side sends by itself, and of answers to
                                       requests that are not confirmable. */
    uint64_t id_free_ns;          /**< When the first have ids again; 0: they have. */
    uint64_t stranger_ns; /**< When a request came last while it was not validated, and 1. */
    uint16_t first_id;    /**< Where those begin; random. */
    bool has_ids, is_pumping, is_closed, is_to_be_pumped;
    struct kirim_coap_pending *pending; /**< The next to be sent first. */
    struct kirim_coap_observer *observers;
    struct kirim_coap_assembly *assemblies;
    struct kirim_coap_call *calls;
    uint32_t observer_count, assembly_count;
    uint64_t notified; /**< Number of the notification that it was pumped for. */
};

/**
 * @brief Makes a node.
 *
 * @param node     Caller's storage; stays put until kirim_coap_node_fini().
 * @param options  Copied.
 * @retval KIRIM_OK      Ready.
 * @retval KIRIM_EINVAL  A member of the environment is missing, or a bound is 0 or too large.
 * @retval KIRIM_ENOMEM  Out of memory.
 * @return Also what `random` says.
 * @note The node's thread.
 */
kirim_err kirim_coap_node_init(struct kirim_coap_node *node,
                               const struct kirim_coap_node_options *options);

/** @brief Gives back a node's memory; its peers must have ended before, its resources are the
 * caller's again. The node's thread. */
void kirim_coap_node_fini(struct kirim_coap_node *node);

/**
 * @brief Begins with a peer that is not validated and not ready.
 *
 * @param peer  Caller's storage; stays put until kirim_coap_peer_fini().
 * @param node  Its node.
 * @param addr  Who it is; that of a group, for requests to many.
 * @note The node's thread.
 */
void kirim_coap_peer_init(struct kirim_coap_peer *peer, struct kirim_coap_node *node,
                          const struct kirim_addr *addr);

/**
 * @brief Ends with a peer: requests of this side end with `why`, its observers are forgotten.
 *
 * @param peer  The peer.
 * @param why   An error.
 * @note The node's thread.
 */
void kirim_coap_peer_fini(struct kirim_coap_peer *peer, kirim_err why);

/** A datagram that has arrived. */
struct kirim_coap_arrival {
    struct kirim_coap_span wire; /**< Its bytes; lent. */
    struct kirim_addr from; /**< Who sent it: the peer, but for answers to a group's request. */
    bool is_group;          /**< It was sent to many. */
};

/**
 * @brief Takes a datagram from a peer.
 *
 * @param peer     The peer.
 * @param arrival  The datagram.
 * @param now_ns   Present time.
 * @note The node's thread.
 */
void kirim_coap_peer_input(struct kirim_coap_peer *peer, const struct kirim_coap_arrival *arrival,
                           uint64_t now_ns);

/** @brief Does what the time says, if `deadline_ns` has passed. The node's thread. */
void kirim_coap_peer_expire(struct kirim_coap_peer *peer, uint64_t now_ns);

/** @brief Says that the peer can be sent to from now on. The node's thread. */
void kirim_coap_peer_ready(struct kirim_coap_peer *peer, uint64_t now_ns);

/** @brief Says that the network reported the peer as gone: what waits for it ends with `err`. The
 * node's thread. */
void kirim_coap_peer_gone(struct kirim_coap_peer *peer, kirim_err err, uint64_t now_ns);

/** @brief Whether anything of this side waits for the peer: a message for its acknowledgement, or a
 * request for its answer. The node's thread. */
bool kirim_coap_peer_is_busy(const struct kirim_coap_peer *peer);

#endif
