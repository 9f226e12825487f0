/* SPDX-License-Identifier: MIT
 *
 * CoAP as a layer of a stack: a peer of a node, on a session or on an endpoint, over UDP or over
 * whatever stands below. Only this file and coap_endpoint.h, with their sources, know both the
 * protocol and the loop. Loop thread only. Sources: RFC 7252 section 4, kirim/layer.h.
 */
#ifndef KIRIM_COAP_LAYER_H
#define KIRIM_COAP_LAYER_H

#include <kirim/layer.h>
#include <kirim/loop.h>
#include <kirim/timer.h>

#include "client.h"
#include "server.h"

/** Called when the layer ends; `why` as in kirim_layer_type. Its calls have ended. */
typedef void (*kirim_coap_link_closed_fn)(struct kirim_coap_peer *peer, kirim_err why, void *user);

/** What a layer is told; read during `open`. */
struct kirim_coap_layer_config {
    struct kirim_coap_node *node; /**< Of kirim_coap_node_open(); outlives the layer. */
    struct kirim_addr peer;       /**< Who it is, or a group. None: the peer of the session, or of
                                       the endpoint. */
    kirim_coap_link_closed_fn closed; /**< May be NULL. */
    void *user;                       /**< Handed to it. */
};

/** @brief The type of the layer. Its configuration is a kirim_coap_layer_config. Static. Any
 * thread. */
const struct kirim_layer_type *kirim_coap_layer_type(void);

/** @brief The peer of a layer of that type. Loop thread. */
struct kirim_coap_peer *kirim_coap_layer_peer(struct kirim_layer *layer);

/**
 * @brief Makes a node that takes memory, random bytes and its way out from a loop.
 *
 * @param node     Caller's storage, ended by kirim_coap_node_fini() when its layers have closed and
 *                 before the loop does.
 * @param loop     Open loop.
 * @param options  Copied; its environment is not read.
 * @return As kirim_coap_node_init().
 */
kirim_err kirim_coap_node_open(struct kirim_coap_node *node, struct kirim_loop *loop,
                               const struct kirim_coap_node_options *options);

#endif
