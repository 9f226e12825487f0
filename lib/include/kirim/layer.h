/* SPDX-License-Identifier: MIT
 *
 * Layers: protocol handlers that stack, on a session or on an endpoint, with the same code in both
 * places and at any height.
 *
 * A stack is a row of layers, the first at the bottom, next to the wire. What comes from below is
 * handed from layer to layer with kirim_layer_pass_...(), what comes from above with
 * kirim_layer_send(); a layer that leaves a member of its type NULL passes on what it would have
 * been told. Each declares how many bytes it adds to a datagram, and so each knows how long one may
 * be that it sends. All of them live and end together: `closed` is the last call of each, from the
 * top to the bottom. Loop thread only.
 */
#ifndef KIRIM_LAYER_H
#define KIRIM_LAYER_H

#include <kirim/session.h>

struct kirim_stack;
struct kirim_layer;

/** Most layers of a stack. */
#define KIRIM_LAYER_COUNT_MAX 16

/** A kind of layer: constant. Members but `size` and `name` may be NULL or 0. */
struct kirim_layer_type {
    /** Set by KIRIM_LAYER_TYPE_INIT. */
    size_t size;
    /** Static; for people. */
    const char *name;
    /** Most bytes that it adds to a datagram. */
    uint32_t overhead_bytes;
    /** Bytes of its own state, zeroed; at most 65,536. */
    uint32_t state_bytes;
    /** It begins; those below have begun. An error closes the stack with it: those below are told
     * `closed`; it is not. */
    kirim_err (*open)(struct kirim_layer *layer, const void *config);
    /** The one below can send. By default the one above can, then. */
    void (*ready)(struct kirim_layer *layer);
    /** Datagrams from below; lent until the return. By default they are passed on. */
    void (*received)(struct kirim_layer *layer, const struct kirim_batch *batch);
    /** A datagram from above, at most kirim_layer_payload_bytes_max() of the one above; lent until
     * the return. By default it is passed on. */
    kirim_err (*send)(struct kirim_layer *layer, const struct kirim_msg *msg);
    /** The one below has room again, after KIRIM_EWOULDBLOCK. */
    void (*writable)(struct kirim_layer *layer);
    /** Datagrams may be longer than before, or must be shorter. */
    void (*resized)(struct kirim_layer *layer);
    /** A datagram was lost on this side, or the network reported an error. Never the end. */
    void (*failed)(struct kirim_layer *layer, const struct kirim_event *event);
    /** All above have finished: this one sends what it still owes, and says
     * kirim_layer_finish_drain(). By default that is now. */
    void (*drain)(struct kirim_layer *layer);
    /** The last call. `why`: what the stack was closed with; KIRIM_EABORTED, if its session or its
     * loop was closed from elsewhere; KIRIM_ETIMEDOUT for silence, or a drain that took too long.
     */
    void (*closed)(struct kirim_layer *layer, kirim_err why);
};

/** Starts a type, as KIRIM_HANDLER_INIT; one that begins with another macro is refused. */
#define KIRIM_LAYER_TYPE_INIT KIRIM_SIZE_OF_KIND(3, struct kirim_layer_type)

/** A layer of a plan. */
struct kirim_layer_plan {
    const struct kirim_layer_type *type; /**< Lives as long as the stack. */
    const void *config;                  /**< Handed to its `open`; may be NULL. */
};

/** What a stack is made of; start from KIRIM_STACK_PLAN_INIT. */
struct kirim_stack_plan {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** The layers, the one at the bottom first. */
    const struct kirim_layer_plan *layers;
    /** 1..KIRIM_LAYER_COUNT_MAX. */
    size_t layer_count;
    /** Largest datagram on the wire, payload of UDP in bytes. 0: 1,200, which every path carries
     * that carries QUIC. */
    uint32_t payload_bytes_max;
};

/** Initialises a plan without layers. */
#define KIRIM_STACK_PLAN_INIT                       \
    {                                               \
        sizeof(struct kirim_stack_plan), NULL, 0, 0 \
    }

/** Counters of a layer. */
struct kirim_layer_stats {
    uint32_t size;         /**< sizeof, set by KIRIM_LAYER_STATS_INIT. */
    uint32_t ki_reserved;  /**< 0. */
    uint64_t rx_datagrams; /**< That came to it from below. */
    uint64_t tx_datagrams; /**< Of its kirim_layer_send(), those that were accepted; */
    uint64_t tx_bytes;     /**< their bytes, its own header with them; */
    uint64_t tx_refused;   /**< and those that were refused, for whatever reason. */
};

/** Initialises the structure for kirim_layer_read_stats(). */
#define KIRIM_LAYER_STATS_INIT                                    \
    {                                                             \
        (uint32_t)sizeof(struct kirim_layer_stats), 0, 0, 0, 0, 0 \
    }

KIRIM_BEGIN_DECLS

/* ---- stacks ---------------------------------------------------------------------------------- */

/**
 * @brief What the sessions of a set are told by, that are to carry stacks: their `session_handler`,
 * or the handler of an admission. The session's `user` stays the caller's.
 *
 * @return Static.
 * @note Any thread.
 */
KIRIM_API const struct kirim_session_handler *kirim_stack_session_handler(void);

/** @brief Bytes behind a session (`stack_bytes` of its set) in which a stack finds room; with less
 * it is allocated. 0: no such plan. Any thread. */
KIRIM_API size_t kirim_stack_bytes(const struct kirim_stack_plan *plan);

/**
 * @brief Puts a stack on a session: where the set says `opened`.
 *
 * @param session  Open, with kirim_stack_session_handler() and without a stack.
 * @param plan     Read during the call, but for the types.
 * @param out      The stack; ends with the session. Written on success only, but before any layer
 * is `ready`. May be NULL.
 * @retval KIRIM_OK       It carries; the layers were told `open`, and the first one `ready`.
 * @retval KIRIM_EINVAL   NULL, a size that no version had, no layers or too many, overheads that
 * leave no byte, a session of another handler or with a stack.
 * @retval KIRIM_ECLOSED  The session is closing.
 * @retval KIRIM_ENOMEM   Out of memory.
 * @return Also what a layer's `open` says; the session is closed then.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_stack_on_session(struct kirim_session *session,
                                           const struct kirim_stack_plan *plan,
                                           struct kirim_stack **out);

/**
 * @brief Opens an endpoint with a stack on it; for a single peer, or for layers that tell peers
 * apart by themselves.
 *
 * @param loop     Open loop.
 * @param options  As for kirim_endpoint_open(); `handler` and `user` are not read.
 * @param plan     As for kirim_stack_on_session().
 * @param out      The stack; ends with the endpoint.
 * @return As kirim_stack_on_session() and kirim_endpoint_open().
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_stack_on_endpoint(struct kirim_loop *loop,
                                            const struct kirim_endpoint_options *options,
                                            const struct kirim_stack_plan *plan,
                                            struct kirim_stack **out);

/** @brief A layer of a stack, counted from the bottom; NULL: there is none. Loop thread. */
KIRIM_API struct kirim_layer *kirim_stack_layer(struct kirim_stack *stack, size_t index);

/** @brief The session that carries a stack, or NULL. Loop thread. */
KIRIM_API struct kirim_session *kirim_stack_session(const struct kirim_stack *stack);

/** @brief The endpoint that carries a stack, its session's if there is one. Loop thread. */
KIRIM_API struct kirim_endpoint *kirim_stack_endpoint(const struct kirim_stack *stack);

/**
 * @brief Changes how long datagrams on the wire may be, as a search for the path MTU finds out; all
 * layers are told `resized`, from the bottom.
 *
 * @retval KIRIM_OK       Changed.
 * @retval KIRIM_EINVAL   NULL, not more than all overheads, or more than the endpoint can send.
 * @retval KIRIM_ECLOSED  The stack is closing.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_stack_set_payload_bytes_max(struct kirim_stack *stack, uint32_t bytes);

/**
 * @brief Ends a stack in order: from the top each layer sends what it owes, then it is closed.
 * Inside `open` that begins when all layers have begun.
 *
 * @param stack        Open stack.
 * @param deadline_ns  Loop time at which it is closed at the latest, with KIRIM_ETIMEDOUT.
 * @retval KIRIM_OK       It drains; `closed` of all layers will come.
 * @retval KIRIM_EINVAL   NULL.
 * @retval KIRIM_ECLOSED  It is closing or drains already.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_stack_drain(struct kirim_stack *stack, uint64_t deadline_ns);

/**
 * @brief Ends a stack now, and its session or endpoint with it: what was sent still leaves.
 *
 * @param stack  Open stack.
 * @param why    Handed to each layer's `closed`.
 * @retval KIRIM_OK       `closed` comes in a later step of this turn or in a later turn.
 * @retval KIRIM_EINVAL   NULL.
 * @retval KIRIM_ECLOSED  It is closing already.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_stack_close(struct kirim_stack *stack, kirim_err why);

/* ---- for the code of a layer ----------------------------------------------------------------- */

/** @brief A layer's own bytes, aligned for anything. Loop thread. */
KIRIM_API void *kirim_layer_state(struct kirim_layer *layer);

/** @brief The type of a layer, as its plan named it: whoever is handed a layer of somebody else's
 * asks this before kirim_layer_state(). Loop thread. */
KIRIM_API const struct kirim_layer_type *kirim_layer_kind(const struct kirim_layer *layer);

/** @brief The stack of a layer. Loop thread. */
KIRIM_API struct kirim_stack *kirim_layer_stack(struct kirim_layer *layer);

/** @brief The loop of a layer: for time, random bytes and memory. Loop thread. */
KIRIM_API struct kirim_loop *kirim_layer_loop(struct kirim_layer *layer);

/** @brief Longest datagram, in bytes, that this layer may send with kirim_layer_send(): that of the
 * wire, less what the layers below add. Loop thread. */
KIRIM_API size_t kirim_layer_payload_bytes_max(const struct kirim_layer *layer);

/**
 * @brief Sends a datagram: hands it to the layer below, or to the wire.
 *
 * Nothing of it is kept beyond the call but what has been copied for the wire; a header may lie on
 * the caller's stack.
 *
 * @param layer  Whose send it is.
 * @param msg    `peer` NULL on a session, or as kirim_session_send() permits.
 * @retval KIRIM_OK           Accepted.
 * @retval KIRIM_EMSGSIZE     More than kirim_layer_payload_bytes_max(), or than KIRIM_BUF_COUNT_MAX
 * buffers: no layer below is asked.
 * @retval KIRIM_EFAULT       A NULL where bytes were announced.
 * @retval KIRIM_ENOTCONN     The layer below is not ready.
 * @retval KIRIM_EWOULDBLOCK  No room: `writable` will be called.
 * @retval KIRIM_EINVAL       NULL, or `segment_bytes`.
 * @retval KIRIM_ECLOSED      The stack is closing.
 * @return Also as kirim_session_send() or kirim_endpoint_send().
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_layer_send(struct kirim_layer *layer, const struct kirim_msg *msg);

/** @brief Sends a message with bytes in front of it: kirim_layer_send() of one buffer more. For the
 * `send` of a layer that adds a header. Also KIRIM_EMSGSIZE for more than KIRIM_BUF_COUNT_MAX
 * buffers, and KIRIM_ENOMEM. */
KIRIM_API kirim_err kirim_layer_send_behind(struct kirim_layer *layer, const void *header,
                                            size_t header_bytes, const struct kirim_msg *msg);

/** @brief Says that the layer above can send: in `ready`, or when a handshake is done. The second
 * time nothing happens. Loop thread. */
KIRIM_API void kirim_layer_pass_ready(struct kirim_layer *layer);

/** @brief Hands datagrams to the layer above; of the top one they are dropped. Only inside
 * `received`, where bytes are lent, or with bytes of the layer's own. Nothing is handed on once the
 * stack is closing. Loop thread. */
KIRIM_API void kirim_layer_pass_received(struct kirim_layer *layer,
                                         const struct kirim_batch *batch);

/** @brief Tells the layer above that there is room. Loop thread. */
KIRIM_API void kirim_layer_pass_writable(struct kirim_layer *layer);

/** @brief Tells the layer above of a failure. Loop thread. */
KIRIM_API void kirim_layer_pass_failed(struct kirim_layer *layer, const struct kirim_event *event);

/** @brief Says that this layer owes nothing more: the one below drains, or the stack is closed with
 * KIRIM_OK. Outside of a drain nothing happens. Loop thread. */
KIRIM_API void kirim_layer_finish_drain(struct kirim_layer *layer);

/** @brief Copies the counters of a layer; as kirim_endpoint_read_stats(). What is lost between two
 * layers is the difference of theirs. Loop thread. */
KIRIM_API kirim_err kirim_layer_read_stats(const struct kirim_layer *layer,
                                           struct kirim_layer_stats *out);

/** @brief Arms a timer that ends with the stack; as kirim_endpoint_timer_arm(). */
KIRIM_API kirim_err kirim_layer_timer_arm(struct kirim_layer *layer, struct kirim_timer *timer,
                                          uint64_t deadline_ns);

KIRIM_END_DECLS

#endif
