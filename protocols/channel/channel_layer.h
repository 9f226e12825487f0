/* SPDX-License-Identifier: MIT
 *
 * A channel as a layer (kirim/layer.h): the same code on a session, on an endpoint, and over other
 * layers such as DTLS. It stands at the top of its stack: what it carries is messages, which its
 * owner sends with kirim_channel_send(), not datagrams of a layer above. The layer sees to time,
 * memory, random bytes, and to addresses that change. Loop thread only.
 */
#ifndef KIRIM_CHANNEL_LAYER_H
#define KIRIM_CHANNEL_LAYER_H

#include <kirim/layer.h>

#include "channel.h"
#include "gate.h"

/** Longest datagram that the layer writes, whatever the ones below carry. */
#define KIRIM_CHANNEL_LAYER_BYTES_MAX 9216

/** The configuration of the layer, for a plan; start from KIRIM_CHANNEL_LAYER_CONFIG_INIT. Copied
 * when the layer begins, but for what it points to. */
struct kirim_channel_layer_config {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** Handler, user, budget, parameters, times and bounds; memory, random bytes, `wake`,
     * `payload_bytes_max` and what the system cannot do are the layer's to fill in. The handler
     * lives as long as the layer. */
    struct kirim_channel_options options;
    /** Of a server: answers HELLO and checks BEGIN; lives as long as the layer. Set `is_open` in it
     * if a layer below has validated the peer. NULL: a client. */
    const struct kirim_channel_gate *gate;
    /** Of a client: the server's address, if neither a session nor a connected endpoint has one. */
    struct kirim_addr peer;
    /** Not 0: datagrams are not fragmented on their way, as of an endpoint with
     * KIRIM_ENDPOINT_PROBE_MTU; else each says so if the system can. */
    uint32_t is_unfragmented;
    /** 0. */
    uint32_t ki_reserved;
    /** A channel has begun: its user may be set here. May be NULL. `user` is that of the options.
     */
    void (*begun)(struct kirim_channel *channel, struct kirim_layer *layer, void *user);
};

/** Initialises a configuration: a client with default options. */
#define KIRIM_CHANNEL_LAYER_CONFIG_INIT                                              \
    {                                                                                \
        sizeof(struct kirim_channel_layer_config), KIRIM_CHANNEL_OPTIONS_INIT, NULL, \
            { { 0, 0, 0 } }, 0, 0, NULL                                              \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief The type of the layer; its configuration is a struct kirim_channel_layer_config.
 *
 * A client begins when the layer below is ready, a server with the first good BEGIN. `closed` of
 * the handler is called in any case, once, if there was a channel: with KIRIM_EABORTED or what the
 * stack was closed with, if that ended first. When the connection has ended the layer closes its
 * stack. kirim_stack_drain() is kirim_channel_finish().
 *
 * @return Static.
 * @note Any thread.
 */
const struct kirim_layer_type *kirim_channel_layer(void);

/** @brief The channel of such a layer; NULL: it has not begun. Loop thread. */
struct kirim_channel *kirim_channel_of(struct kirim_layer *layer);

KIRIM_END_DECLS

#endif
