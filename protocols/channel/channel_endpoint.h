/* SPDX-License-Identifier: MIT
 *
 * Channels on a loop: a listener, with many channels on one endpoint, found by their connection
 * ids; and a channel to one server, on an endpoint of its own. Over UDP itself; for channels over
 * other layers make a plan with channel_layer.h. Loop thread only.
 */
#ifndef KIRIM_CHANNEL_ENDPOINT_H
#define KIRIM_CHANNEL_ENDPOINT_H

#include <kirim/bucket.h>

#include "channel_layer.h"

struct kirim_channel_listener;

/** What a listener counts. */
struct kirim_channel_listener_stats {
    uint64_t hellos;   /**< Answered with a token or with versions. */
    uint64_t refused;  /**< BEGIN whose token was not good, or that came again too late. */
    uint64_t accepted; /**< Channels that began. */
    uint64_t resets;   /**< RESET, sent for DATA of nobody's. */
    uint64_t dropped;  /**< Datagrams of nobody's without an answer. */
    uint64_t crowded;  /**< Times that tokens were refused before their time, as more channels had
                            begun than are remembered: some 65,000 in 16 s. */
};

/** How to listen; start from KIRIM_CHANNEL_LISTEN_OPTIONS_INIT. */
struct kirim_channel_listen_options {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** Where; its flags gain KIRIM_ENDPOINT_RECEIVE_CONTROL and what keeps datagrams whole. */
    const struct kirim_endpoint_options *endpoint;
    /** Of each channel: as in struct kirim_channel_layer_config, but that `payload_bytes_max` is
     * the longest datagram over UDP. `budget` NULL: the listener's. */
    struct kirim_channel_options channel;
    /** A channel has begun: set its user here. May be NULL. */
    void (*accepted)(struct kirim_channel_listener *listener, struct kirim_channel *channel,
                     void *user);
    /** The last callback, behind those of all channels; the listener's storage is the caller's
     * again when it is called. May be NULL. */
    void (*closed)(struct kirim_channel_listener *listener, void *user);
    /** Handed to both, and the first `user` of each channel. */
    void *user;
    /** Key of reset tokens, KIRIM_SIPHASH_KEY_BYTES; the same one after a restart lets peers know
     * at once. NULL: random. */
    const uint8_t *reset_key;
    /** Most channels. 0: 65,536. */
    uint32_t count_max;
    /** Most channels of one prefix. 0: no limit of its own. */
    uint32_t prefix_count_max;
    /** Most bytes that wait in all channels together, for other parts, for order, or held; one
     * alone gets half of them. At least KIRIM_CHANNEL_BUDGET_BYTES_MIN() of
     * `channel.params.message_bytes_max`, as has the budget of `channel` if there is one: not read
     * then. */
    uint64_t reassembly_bytes_max;
};

/** Initialises options: default channels; 256 MiB of what waits. */
#define KIRIM_CHANNEL_LISTEN_OPTIONS_INIT                                                          \
    {                                                                                              \
        sizeof(struct kirim_channel_listen_options), NULL, KIRIM_CHANNEL_OPTIONS_INIT, NULL, NULL, \
            NULL, NULL, 0, 0, UINT64_C(256) << 20                                                  \
    }

/** A listener; the caller's storage, which stays put until `closed`. */
struct kirim_channel_listener {
    struct kirim_channel_listener_stats stats; /**< Read only, as are the next. */
    struct kirim_channel_budget budget;        /**< What waits in all channels. */
    struct kirim_sessions *sessions;           /**< Those of the channels. */
    /** @privatesection The listener's. */
    struct kirim_channel_listen_options ki_options;
    struct kirim_channel_gate ki_gate;
    struct kirim_channel_layer_config ki_config;
    struct kirim_loop *ki_loop;
    struct kirim_timer ki_rotation;
    struct kirim_bucket ki_resets;
    struct ki_channel_used *ki_used; /**< Ids that have begun a channel. */
    uint32_t ki_channel_count;
    struct kirim_timer ki_deadline;
    bool ki_is_closing;
};

/** How to connect; start from KIRIM_CHANNEL_OPEN_OPTIONS_INIT. */
struct kirim_channel_open_options {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** `peer` is the server; its flags gain what those of a listener do. */
    const struct kirim_endpoint_options *endpoint;
    /** As of a listener. */
    struct kirim_channel_options channel;
};

/** Initialises options: a default channel. */
#define KIRIM_CHANNEL_OPEN_OPTIONS_INIT                                             \
    {                                                                               \
        sizeof(struct kirim_channel_open_options), NULL, KIRIM_CHANNEL_OPTIONS_INIT \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief Opens a listener.
 *
 * @param listener  Caller's storage.
 * @param loop      Open loop.
 * @param options   Copied, but for the handler of the channels, which lives as long as they do.
 * @retval KIRIM_OK      Open; channels are accepted from the next turn on.
 * @retval KIRIM_EINVAL  NULL, a size that no version had, or a value out of bounds: also a budget
 * in which the longest message finds no room.
 * @retval KIRIM_ENOMEM  Out of memory.
 * @return Also any error of kirim_sessions_open() and kirim_loop_random().
 * @note Loop thread; callable from any callback.
 */
kirim_err kirim_channel_listen(struct kirim_channel_listener *listener, struct kirim_loop *loop,
                               const struct kirim_channel_listen_options *options);

/**
 * @brief Stops taking new channels, closes those that are there (KIRIM_CHANNEL_CODE_SHUTDOWN), and
 *        the endpoint when the last one has ended, or at the deadline.
 *
 * @param listener     Open.
 * @param deadline_ns  Loop time at which it is closed at the latest.
 * @retval KIRIM_OK       Closing; `closed` will be called.
 * @retval KIRIM_ECLOSED  It was closing already.
 * @note Loop thread; callable from any callback.
 */
kirim_err kirim_channel_listener_close(struct kirim_channel_listener *listener,
                                       uint64_t deadline_ns);

/**
 * @brief Opens a channel to a server, on an endpoint of its own, which ends with it.
 *
 * @param loop     Open loop.
 * @param options  Read during the call, but for the handler of the channel.
 * @param out      The channel: good until `closed` of its handler has returned. Written on success
 *                 only.
 * @retval KIRIM_OK      Open; `ready` or `closed` will be called.
 * @retval KIRIM_EINVAL  NULL, a size that no version had, no peer, or a value out of bounds.
 * @return Also any error of kirim_stack_on_endpoint().
 * @note Loop thread; callable from any callback.
 */
kirim_err kirim_channel_open(struct kirim_loop *loop,
                             const struct kirim_channel_open_options *options,
                             struct kirim_channel **out);

KIRIM_END_DECLS

#endif
