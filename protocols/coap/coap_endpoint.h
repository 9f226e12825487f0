/* SPDX-License-Identifier: MIT
 *
 * CoAP on a loop, ready to use: a service with a session for each peer, and a client's way to one
 * peer or one group. Both take the layers that are to stand below CoAP. Loop thread only. Sources:
 * RFC 7252 sections 8, 9 and 11.3, RFC 9175 section 2.4.
 */
#ifndef KIRIM_COAP_ENDPOINT_H
#define KIRIM_COAP_ENDPOINT_H

#include "coap_layer.h"

/** Most layers below CoAP. */
#define KIRIM_COAP_LOWER_COUNT_MAX 4

/** How a service is opened; start from KIRIM_COAP_SERVICE_OPTIONS_INIT. */
struct kirim_coap_service_options {
    /** Where and how. A wildcard or a group's address hears groups that are joined. */
    const struct kirim_endpoint_options *endpoint;
    /** Layers below CoAP, the one at the bottom first; lent until the service is gone. */
    const struct kirim_layer_plan *lower;
    size_t lower_count; /**< At most KIRIM_COAP_LOWER_COUNT_MAX. */
    /** Who may begin; NULL: everybody, not validated. As in kirim_sessions_handler, but for
     * `user`. */
    kirim_err (*admit)(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                       struct kirim_admission *out, void *user);
    void *admit_user;           /**< Handed to `admit`. */
    bool is_trusting;           /**< Without `admit`: everybody counts as validated. For networks
                                     where nobody forges addresses. */
    uint32_t peer_count_max;    /**< Peers at a time. */
    uint32_t prefix_count_max;  /**< Of those, from one network; 0: all. */
    uint32_t payload_bytes_max; /**< Of a datagram on the wire; 0: 1,200. */
};

/** Initialises options. */
#define KIRIM_COAP_SERVICE_OPTIONS_INIT \
    {                                   \
        .peer_count_max = 4096          \
    }

/** A service; the caller's storage, zeroed. */
struct kirim_coap_service {
    struct kirim_sessions *set;      /**< NULL: not open, or gone. Read only. */
    struct kirim_endpoint *endpoint; /**< Of the set. Read only. */
    struct kirim_coap_node *node;    /**< Who serves. Read only. */
    /** @privatesection The service's. */
    struct kirim_coap_service_options options;
    struct kirim_coap_layer_config config;
    struct kirim_layer_plan layers[KIRIM_COAP_LOWER_COUNT_MAX + 1];
    struct kirim_stack_plan plan;
    uint64_t refused; /**< Sessions that could not get a stack. */
};

/**
 * @brief Serves at an address.
 *
 * @param service  Caller's storage, put until `set` is NULL or the loop is closed.
 * @param loop     Open loop.
 * @param node     Of kirim_coap_node_open(); outlives the service.
 * @param options  Copied; what it lends stays lent.
 * @retval KIRIM_EINVAL  NULL, no endpoint's options, or too many layers.
 * @return Else as kirim_sessions_open().
 */
kirim_err kirim_coap_service_open(struct kirim_coap_service *service, struct kirim_loop *loop,
                                  struct kirim_coap_node *node,
                                  const struct kirim_coap_service_options *options);

/** @brief Ends a service and its peers. Loop thread. */
void kirim_coap_service_close(struct kirim_coap_service *service);

/** How a client reaches a peer; start from zero. */
struct kirim_coap_dial_options {
    struct kirim_addr peer;               /**< Who, or a group. */
    struct kirim_addr local;              /**< From where; none: anywhere. */
    const struct kirim_layer_plan *lower; /**< Layers below CoAP; read during the call. */
    size_t lower_count;                   /**< At most KIRIM_COAP_LOWER_COUNT_MAX. */
    uint32_t payload_bytes_max;           /**< Of a datagram on the wire; 0: 1,200. */
    kirim_coap_link_closed_fn closed;     /**< It has ended; may be NULL. */
    void *user;                           /**< Handed to it. */
};

/**
 * @brief Opens a way to a peer: an endpoint that is connected to it, or, to a group, one that is
 * not.
 *
 * @param loop     Open loop.
 * @param node     Of kirim_coap_node_open().
 * @param options  Read during the call.
 * @param out      The peer, for kirim_coap_call_start(); gone behind `closed`. Written on success
 *                 only.
 * @param stack    Its stack, to be closed or drained; may be NULL.
 * @retval KIRIM_EINVAL  NULL, no peer, or too many layers.
 * @return Else as kirim_stack_on_endpoint().
 */
kirim_err kirim_coap_dial(struct kirim_loop *loop, struct kirim_coap_node *node,
                          const struct kirim_coap_dial_options *options,
                          struct kirim_coap_peer **out, struct kirim_stack **stack);

#endif
