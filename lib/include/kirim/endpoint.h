/* SPDX-License-Identifier: MIT
 *
 * Endpoints: a bound UDP socket (or its simulated twin) with its queue and its handler. One way out
 * for every datagram, kirim_endpoint_send(); the other calls wrap it. Datagrams of one endpoint
 * leave in the order in which they were posted. An endpoint belongs to its loop's thread. Sources:
 * WSASendMsg, udp(7), RFC 8085.
 */
#ifndef KIRIM_ENDPOINT_H
#define KIRIM_ENDPOINT_H

#include <kirim/msg.h>
#include <kirim/op.h>
#include <kirim/stats.h>

struct kirim_loop;
struct kirim_endpoint;

/** What happened to a datagram or a peer, told by the `failed` callback. */
enum {
    /** The system refused an accepted datagram without an operation. What kirim itself drops
     * (close, discard, no memory to keep lent bytes) is counted under its reason only. */
    KIRIM_EVENT_SEND_FAILED = 1,
    KIRIM_EVENT_PEER_ERROR =
        2 /**< The network reported an error about an earlier datagram to `peer`. */
};

/** Who reported an error. */
enum {
    KIRIM_ORIGIN_NONE = 0,  /**< Not told. */
    KIRIM_ORIGIN_LOCAL = 1, /**< This host's own network stack. */
    KIRIM_ORIGIN_ICMP = 2,  /**< An ICMP message; `icmp_type` and `icmp_code` are its own. */
    KIRIM_ORIGIN_ICMPV6 = 3 /**< An ICMPv6 message; likewise. */
};

/** An event; lent until the callback returns. */
struct kirim_event {
    uint32_t size;          /**< sizeof in the library that runs. */
    uint32_t kind;          /**< KIRIM_EVENT_... */
    struct kirim_addr peer; /**< Whom it concerns; none if the system did not tell. */
    kirim_err err;          /**< What happened. */
    int32_t system_code;    /**< The system's own code, for people to read; 0 if there was none. */
    uint64_t tag;           /**< Tag of the failed message's control data, or 0. */
    uint32_t
        drop_reason;     /**< KIRIM_DROP_... of a failed send; of a peer's error it says nothing. */
    uint32_t path_mtu;   /**< Path MTU in bytes if the system told it, else 0. */
    uint8_t origin;      /**< KIRIM_ORIGIN_... of a peer's error. */
    uint8_t icmp_type;   /**< Type of the ICMP message, if `origin` names one. */
    uint8_t icmp_code;   /**< Its code. */
    uint8_t ki_reserved; /**< 0. */
};

/**
 * @brief What an endpoint tells its owner. Members may be NULL. Called from inside turns of the
 * loop only, in its thread, never nested.
 */
struct kirim_handler {
    /** sizeof, set by KIRIM_HANDLER_INIT. */
    size_t size;
    /** Datagrams arrived: at most 64 a call. What `batch` points to is lent until the return. */
    void (*received)(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user);
    /** There is room again: once after one or more KIRIM_EWOULDBLOCK answers, in queued or in NOW
     * mode, when the system takes more and the queue is at most half full, in count and in bytes.
     */
    void (*writable)(struct kirim_endpoint *ep, void *user);
    /** A datagram was lost on this side, or the network reported an error. Never the end of the
     * endpoint. */
    void (*failed)(struct kirim_endpoint *ep, const struct kirim_event *event, void *user);
    /** The last callback: exactly once, after every operation has ended. The endpoint is gone when
     * it returns. */
    void (*closed)(struct kirim_endpoint *ep, void *user);
};

/** Starts a handler: `static const struct kirim_handler h = { KIRIM_HANDLER_INIT, .received = f };`
 * in C. C++17 has no such initialisers: `kirim_handler h{}; h.size = KIRIM_HANDLER_INIT;`, and then
 * the members. */
#define KIRIM_HANDLER_INIT sizeof(struct kirim_handler)

/** Flags of kirim_endpoint_options. */
enum {
    /** An IPv6 wildcard endpoint serves IPv4 too; such peers show as IPv4. */
    KIRIM_ENDPOINT_DUAL_STACK = 1,
    /** Other endpoints may bind the same port if they say so too. On Linux they share the load
     *  (SO_REUSEPORT). */
    KIRIM_ENDPOINT_SHARE_PORT = 2,
    /** Broadcast destinations are permitted. */
    KIRIM_ENDPOINT_BROADCAST = 4,
    /** Child processes inherit the socket. */
    KIRIM_ENDPOINT_INHERIT = 8,
    /** Buffer sizes beyond the system's limit, where permitted. */
    KIRIM_ENDPOINT_FORCE_BUFFERS = 16,
    /** The adopted socket is unbound: bind it to `local`. */
    KIRIM_ENDPOINT_BIND_ADOPTED = 32,
    /** Arrivals tell ECN, DSCP, TTL and time where the system can; it costs about 0.2 us a
     * datagram, half of it for the time. Without it only an endpoint on a wildcard is sure to be
     * told something: the local address and the interface. */
    KIRIM_ENDPOINT_RECEIVE_CONTROL = 64,
    /** Take the socket `adopt`; without this flag `adopt` is not read. */
    KIRIM_ENDPOINT_ADOPT = 128,
    /** Order is kept for each peer, not for the endpoint: what a turn sends to one peer is brought
     * together, so that it leaves in trains. Operations still end in any order. */
    KIRIM_ENDPOINT_ORDER_PER_PEER = 256,
    /** Trains that arrive coalesced are handed over as they are, one datagram with `segment_bytes`
     * for each, whose `bytes` may be up to 65,535. What arrives singly has `segment_bytes` 0, so
     * that a message with the `segment_bytes` of its arrival passes either on as it came. */
    KIRIM_ENDPOINT_WHOLE_TRAINS = 512,
    /** No segmentation offload: every datagram leaves by itself, those of a message with
     * `segment_bytes` too. KIRIM_GSO=0 in the environment says the same for all endpoints. */
    KIRIM_ENDPOINT_NO_TRAINS = 1024,
    /** Arrivals are not coalesced by the system. KIRIM_GRO=0 in the environment says the same for
     * all endpoints. */
    KIRIM_ENDPOINT_NO_COALESCING = 2048,
    /** What the network reports about earlier datagrams is not asked for: an endpoint that is
     * connected hears of its peer only, another one of nobody. KIRIM_RECVERR=0 in the environment
     * says the same for all endpoints on sockets. */
    KIRIM_ENDPOINT_NO_ERROR_QUEUE = 4096,
    /** Every datagram carries the don't-fragment bit; what is longer than the path MTU that the
     * system knows is KIRIM_EMSGSIZE. Needs KIRIM_CAP_DONT_FRAGMENT. */
    KIRIM_ENDPOINT_DONT_FRAGMENT = 8192,
    /** The same, for protocols that find the path MTU out by themselves (RFC 8899): of what the
     * system knows only the MTU of its own interface is a limit. Not both. Needs KIRIM_CAP_PATH_MTU
     * too. */
    KIRIM_ENDPOINT_PROBE_MTU = 16384,
    /** The system keeps the not-before times (SO_TXTIME on CLOCK_MONOTONIC), not the loop. Say it
     * only if every route that is used has the queue "fq", the one that keeps times of this clock:
     * others send at once and tell nobody ("etf" wants another clock, and drops). "fq" drops what
     * is more than its horizon ahead, 10 s by default, and what is over its limit for one socket,
     * 100 datagrams by default. Where the system has no such option, and in the simulator, the open
     * is KIRIM_EOPNOTSUPP. KIRIM_TXTIME=0 in the environment leaves the times to the loop. */
    KIRIM_ENDPOINT_TXTIME = 32768
};

/** Who keeps the not-before times of an endpoint. */
enum {
    KIRIM_PACING_LOOP = 0,  /**< The loop: a datagram waits in the endpoint until its time. */
    KIRIM_PACING_SYSTEM = 1 /**< The system: it is given the time with the datagram. */
};

/** What kirim_endpoint_descriptor() answers where there is no socket. */
#define KIRIM_NO_DESCRIPTOR ((intptr_t)-1)

/** How to open an endpoint; start from KIRIM_ENDPOINT_OPTIONS_INIT. */
struct kirim_endpoint_options {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** Where to bind; port 0: the system chooses. Required, unless adopting or connecting. Of an
     * adopted socket it is read only with KIRIM_ENDPOINT_BIND_ADOPTED. */
    struct kirim_addr local;
    /** If given: connect to it; only its datagrams arrive. */
    struct kirim_addr peer;
    /** With KIRIM_ENDPOINT_ADOPT: a datagram or raw socket of the caller's. The endpoint owns it if
     *  the open succeeds; if not it stays open and the caller's, though options may be set on it.
     */
    intptr_t adopt;
    /** KIRIM_ENDPOINT_... */
    uint32_t flags;
    /** Asked of the system; 0: its default. See kirim_endpoint_buffers(). */
    uint32_t receive_buffer_bytes;
    /** Asked of the system; 0: its default. */
    uint32_t send_buffer_bytes;
    /** Largest datagram expected; longer ones arrive truncated. 0: 65,535. Where the loop's own
     * limit is smaller, that one holds. */
    uint32_t datagram_bytes_max;
    /** Bound of the send queue in datagrams, 1..65,536. 0: 1,024. */
    uint32_t queue_count_max;
    /** Bound of the send queue in copied bytes; an empty queue takes any datagram. 0: 4 MiB. */
    uint32_t queue_bytes_max;
    /** NULL: nobody listens. Copied. */
    const struct kirim_handler *handler;
    /** Handed to every callback. */
    void *user;
};

/** Initialises options: nothing bound, nothing adopted, defaults everywhere. */
#define KIRIM_ENDPOINT_OPTIONS_INIT                                                                \
    {                                                                                              \
        sizeof(struct kirim_endpoint_options), { { 0, 0, 0 } }, { { 0, 0, 0 } }, 0, 0, 0, 0, 0, 0, \
            0, NULL, NULL                                                                          \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief Opens an endpoint.
 *
 * The socket is non-blocking, not inherited by child processes and bound with exclusive use of its
 * address, unless flags say otherwise. An IPv6 endpoint takes IPv6 only unless
 * KIRIM_ENDPOINT_DUAL_STACK is set.
 *
 * @param loop     Open loop.
 * @param options  Read during the call.
 * @param out      The endpoint; owned by the loop, ended by kirim_endpoint_close(). Written on
 * success only.
 * @retval KIRIM_OK             Open; datagrams arrive from the next turn on.
 * @retval KIRIM_EINVAL         NULL, a size that no version had (the handler's too), unknown flags
 * or two that exclude each other, bounds out of range, families that differ, neither `local` nor
 * `peer` nor `adopt`, a `peer` with port 0, KIRIM_ENDPOINT_DUAL_STACK with anything but an own,
 * unconnected IPv6 wildcard, KIRIM_ENDPOINT_BIND_ADOPTED without a socket or a `local`, or an
 * adopted socket that is not bound (S35).
 * @retval KIRIM_ENOTSOCK       `adopt` is no socket (S42).
 * @retval KIRIM_EOPNOTSUPP     `adopt` is neither a datagram nor a raw socket (S3), or a flag this
 * reactor lacks.
 * @retval KIRIM_EADDRINUSE     The address is taken.
 * @retval KIRIM_EADDRNOTAVAIL  The address is not one of this host.
 * @retval KIRIM_EAFNOSUPPORT   The family is not available here, or `adopt` is of another one.
 * @retval KIRIM_EACCES         A port that needs a privilege, or a broadcast address as `peer`
 * without KIRIM_ENDPOINT_BROADCAST.
 * @retval KIRIM_ENETUNREACH    No route to `peer`.
 * @retval KIRIM_EMFILE         Out of descriptors.
 * @retval KIRIM_ECLOSED        The loop is closing.
 * @retval KIRIM_ENOMEM         Out of memory.
 * @return Also another error of the system.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_endpoint_open(struct kirim_loop *loop,
                                        const struct kirim_endpoint_options *options,
                                        struct kirim_endpoint **out);

/**
 * @brief Closes an endpoint: submits once what is queued, ends the rest KIRIM_EABORTED (S26),
 * cancels its timers.
 *
 * After it no callback comes but those of its operations, and then `closed`, once. Until `closed`
 * has returned every other call with the endpoint answers KIRIM_ECLOSED; after it the endpoint is
 * gone.
 *
 * @param ep  Open endpoint.
 * @retval KIRIM_OK       Closing; `closed` comes in a later step of this turn or in a later turn.
 * @retval KIRIM_ECLOSED  It was closing already.
 * @retval KIRIM_EINVAL   NULL.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_endpoint_close(struct kirim_endpoint *ep);

/**
 * @brief Sends one message: the one way out.
 *
 * *Queued* (no KIRIM_SEND_NOW): accepted, leaves with the turn, in posting order; what the system
 * says later reaches `op`'s callback or, without one, the handler's `failed`. *NOW*: submits what
 * is queued first, then asks the system in this call; if something stays queued it is
 * KIRIM_EWOULDBLOCK. Without `op` and without KIRIM_SEND_LENT the bytes are the caller's again at
 * the return; with `op` they are borrowed until its callback (zero-copy); with KIRIM_SEND_LENT they
 * are those lent by the running `received`, of whichever endpoint of the loop. The buffer array,
 * the destination and the control data are always captured. Success does not mean delivered (S25).
 *
 * *Paced* (control data with `not_before_ns`): a time that has passed changes nothing. Else, where
 * the loop keeps the times (kirim_endpoint_pacing()), the datagram takes its place of the queue's
 * bounds now and is posted when its time has come, in the order of (time, posting); others may
 * leave before it. Lent bytes are copied then, and an operation's deadline may come first. Neither
 * kirim_endpoint_flush() nor kirim_endpoint_close() sends what is not due; the latter drops it.
 *
 * @param ep          Open endpoint.
 * @param msg         The message.
 * @param flags       KIRIM_SEND_... or 0; any other bit is KIRIM_EOPNOTSUPP.
 * @param op          Idle operation of the caller, or NULL.
 * @param sent_bytes  NOW mode: gets the count if the answer is KIRIM_OK; untouched otherwise (S13,
 * S15). May be NULL; of a train it is how to know what has left.
 * @retval KIRIM_OK          Queued: accepted. NOW: the system has it; of a message with
 * `segment_bytes` that had to be cut perhaps only the datagrams in the first `*sent_bytes` bytes,
 * and nothing is kept of the rest.
 * @retval KIRIM_PENDING     With `op`: its callback will come, exactly once.
 * @retval KIRIM_EINVAL      NULL, an operation in flight (S19), a value out of range, control data
 * of a size that no version had, a source or peer of the wrong family, port 0, a train without
 * bytes or of segments over 65,535, KIRIM_SEND_LENT outside of `received`, or KIRIM_SEND_NOW with a
 * time that lies ahead and that the loop keeps.
 * @retval KIRIM_EFAULT      A NULL buffer or array with a length (S32).
 * @retval KIRIM_EMSGSIZE    Over kirim_endpoint_payload_bytes_max(), over KIRIM_BUF_COUNT_MAX
 * buffers, or a train over 65,507 bytes or KIRIM_TRAIN_SEGMENTS_MAX datagrams; nothing was queued
 * (S6).
 * @retval KIRIM_ENOTCONN    No destination, and the endpoint is not connected (S41).
 * @retval KIRIM_EOPNOTSUPP  A flag or a control field that this endpoint cannot honour (S10, S11).
 * @retval KIRIM_EWOULDBLOCK Queued: the queue is at its bound; `writable` will be called. NOW:
 * full, nothing kept (S16).
 * @retval KIRIM_ECLOSED     The endpoint is closing.
 * @retval KIRIM_ENOMEM      Out of memory; nothing was queued.
 * @return In NOW mode also any error of the system.
 * @note Loop thread; callable from any callback (S21).
 */
KIRIM_API kirim_err kirim_endpoint_send(struct kirim_endpoint *ep, const struct kirim_msg *msg,
                                        uint32_t flags, struct kirim_op *op, size_t *sent_bytes);

/**
 * @brief Queues one datagram from one buffer: kirim_endpoint_send() for the common case.
 *
 * @param ep     Open endpoint.
 * @param data   The bytes, copied; may be NULL if `bytes` is 0.
 * @param bytes  How many.
 * @param peer   Destination, or NULL if connected.
 * @return As kirim_endpoint_send() in queued mode without an operation.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_endpoint_send_to(struct kirim_endpoint *ep, const void *data,
                                           size_t bytes, const struct kirim_addr *peer);

/**
 * @brief Answers received datagrams with their own bytes (as they stand in the lent buffers now),
 * without a copy.
 *
 * A train that was left whole is answered by a train. Whether the endpoint can send to a peer is
 * left to the system: what it refuses is told by `failed`.
 *
 * @param ep        Open endpoint; need not be the one that received.
 * @param datagram  First of `count` neighbours of the batch that the running `received` was lent.
 * @param count     How many, at least 1.
 * @param accepted_count  Gets how many were accepted, also when the answer is an error; may be
 * NULL.
 * @retval KIRIM_OK           All accepted; they leave with the turn, in order.
 * @retval KIRIM_EWOULDBLOCK  The queue is at its bound after `*accepted_count`; `writable` will be
 * called.
 * @retval KIRIM_EINVAL       Not of the batch that the running `received` was lent, or more than it
 * has.
 * @retval KIRIM_ECLOSED      The endpoint is closing.
 * @retval KIRIM_ENOMEM       Out of memory after `*accepted_count`.
 * @note Loop thread; inside `received`.
 */
KIRIM_API kirim_err kirim_endpoint_reply(struct kirim_endpoint *ep,
                                         const struct kirim_datagram *datagram, size_t count,
                                         size_t *accepted_count);

/**
 * @brief Whether there can be somebody who has sent a datagram: a server answers no other.
 *
 * There is nobody at port 0 (but of a raw socket), the wildcard, a multicast address or
 * 255.255.255.255; and what comes from the endpoint's own address and port is forged, since an
 * answer would come back to the endpoint, for ever. On a wildcard the own address is the one that
 * the datagram was sent to, if the system has told. Sets of sessions ask this by themselves.
 *
 * @param ep        The endpoint that received.
 * @param datagram  Of the batch that the running `received` was lent, or a copy.
 * @return Whether.
 * @note Loop thread.
 */
KIRIM_API bool kirim_endpoint_may_answer(const struct kirim_endpoint *ep,
                                         const struct kirim_datagram *datagram);

/**
 * @brief Lends room in the send buffer, to write a datagram in place; kirim_endpoint_commit() sends
 * it.
 *
 * The next call that posts to this endpoint, other than the commit, voids the reservation, as does
 * the end of the callback or of the turn.
 *
 * @param ep         Open endpoint.
 * @param bytes_max  Room wanted, at most kirim_endpoint_payload_bytes_max().
 * @param out        Where to write; on success only.
 * @retval KIRIM_OK          Lent.
 * @retval KIRIM_EMSGSIZE    More than a datagram may have.
 * @retval KIRIM_EWOULDBLOCK The queue is at its bound; `writable` will be called.
 * @retval KIRIM_EINVAL      NULL.
 * @retval KIRIM_ECLOSED     The endpoint is closing.
 * @retval KIRIM_ENOMEM      Out of memory.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_endpoint_reserve(struct kirim_endpoint *ep, size_t bytes_max, void **out);

/**
 * @brief Queues what was written to reserved room as one datagram, or as a train.
 *
 * @param ep     The endpoint that lent the room.
 * @param bytes  How many bytes were written, at most the room.
 * @param msg    Destination, control data and `segment_bytes`; its `buf` and `buf_count` are NULL
 * and 0. NULL: connected, nothing to say. With a time that lies ahead and that the loop keeps the
 * bytes are copied.
 * @return As kirim_endpoint_send() in queued mode without an operation; also
 * @retval KIRIM_EINVAL  No valid reservation, more bytes than its room, or `msg` has buffers. A
 * reservation stays valid after a failure.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_endpoint_commit(struct kirim_endpoint *ep, size_t bytes,
                                          const struct kirim_msg *msg);

/**
 * @brief Submits what is queued, now, as far as the system takes it; of what is paced, what is due.
 *
 * @param ep  Open endpoint.
 * @retval KIRIM_OK           Nothing is left in the queue; what is paced may wait for its time.
 * @retval KIRIM_EWOULDBLOCK  The system is full; the rest leaves when it can, and `writable` will
 * be called.
 * @retval KIRIM_EINVAL       NULL.
 * @retval KIRIM_ECLOSED      The endpoint is closing.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_endpoint_flush(struct kirim_endpoint *ep);

/**
 * @brief Drops what is queued and what waits for its time; their operations end KIRIM_EABORTED
 * (S27). Not to be confused with flush, which sends.
 *
 * @param ep             Open endpoint.
 * @param dropped_count  Gets how many datagrams were dropped; may be NULL.
 * @retval KIRIM_OK       Done.
 * @retval KIRIM_EINVAL   NULL.
 * @retval KIRIM_ECLOSED  The endpoint is closing.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_endpoint_discard(struct kirim_endpoint *ep, size_t *dropped_count);

/** @brief Address the endpoint is bound to, its port as the system chose it. Loop thread. */
KIRIM_API struct kirim_addr kirim_endpoint_local(const struct kirim_endpoint *ep);

/** @brief Address the endpoint is connected to, or none. Loop thread. */
KIRIM_API struct kirim_addr kirim_endpoint_peer(const struct kirim_endpoint *ep);

/**
 * @brief Largest payload of one datagram, in bytes (S6).
 *
 * @param ep    Open endpoint.
 * @param peer  Destination, for its family; NULL: the one it is connected to, else the family of
 * its own address.
 * @return 65,507 over IPv4, 65,527 over IPv6, or less where the reactor's limit is lower.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API size_t kirim_endpoint_payload_bytes_max(const struct kirim_endpoint *ep,
                                                  const struct kirim_addr *peer);

/**
 * @brief Sizes of the system's buffers, as the system says they are.
 *
 * @param ep             Open endpoint.
 * @param receive_bytes  Gets the size of the receive buffer; may be NULL.
 * @param send_bytes     Gets the size of the send buffer; may be NULL.
 * @retval KIRIM_OK       Written.
 * @retval KIRIM_EINVAL   NULL endpoint.
 * @retval KIRIM_ECLOSED  The endpoint is closing.
 * @note Loop thread; callable from any callback. On Linux the figure is twice what was asked, as
 * getsockopt gives it (socket(7)).
 */
KIRIM_API kirim_err kirim_endpoint_buffers(const struct kirim_endpoint *ep, uint32_t *receive_bytes,
                                           uint32_t *send_bytes);

/**
 * @brief The path MTU that the system knows: the largest IP packet, in bytes with its headers, that
 * reaches a peer in one piece as far as this host has been told.
 *
 * What the route and the interface say, or an ICMP message has said since. A connected endpoint
 * asks its own socket about its peer, which learns of a change with its next send or by a message
 * about its own datagrams; any other question goes to a socket that is made for it and sends
 * nothing, and is answered for the source address that the system would choose. 28 bytes less
 * (IPv4) or 48 less (IPv6) are left for the payload of a datagram without options.
 *
 * @param ep    Open endpoint.
 * @param peer  Whom it is about, port ignored; NULL: the one the endpoint is connected to.
 * @param out   Gets the bytes; written on success only.
 * @retval KIRIM_OK           Written.
 * @retval KIRIM_EINVAL       NULL endpoint or `out`, or a family that the endpoint cannot send to.
 * @retval KIRIM_ENOTCONN     No peer, and the endpoint is not connected.
 * @retval KIRIM_EOPNOTSUPP   The reactor cannot tell (KIRIM_CAP_PATH_MTU).
 * @retval KIRIM_ENETUNREACH  No route to the peer.
 * @retval KIRIM_EACCES       A broadcast address.
 * @retval KIRIM_EMFILE       Out of descriptors.
 * @retval KIRIM_ENOMEM       Out of memory.
 * @retval KIRIM_ECLOSED      The endpoint is closing.
 * @note Loop thread; callable from any callback. Up to four system calls.
 * @see ip(7) IP_MTU, ipv6(7) IPV6_MTU, RFC 1191, RFC 8201
 */
KIRIM_API kirim_err kirim_endpoint_path_mtu(const struct kirim_endpoint *ep,
                                            const struct kirim_addr *peer, uint32_t *out);

/** @brief Who keeps the not-before times of an endpoint's datagrams: KIRIM_PACING_SYSTEM with
 * KIRIM_ENDPOINT_TXTIME, else KIRIM_PACING_LOOP, whose datagrams leave at most
 * kirim_loop_timer_resolution_ns() late on an idle machine. Loop thread. */
KIRIM_API int kirim_endpoint_pacing(const struct kirim_endpoint *ep);

/** @brief The socket, for options that kirim does not set; KIRIM_NO_DESCRIPTOR in the simulator.
 * Owned by the endpoint. Loop thread. */
KIRIM_API intptr_t kirim_endpoint_descriptor(const struct kirim_endpoint *ep);

/**
 * @brief Walks the endpoints of a loop, in no order.
 *
 * @param loop  Open loop.
 * @param ep    The one before, or NULL to begin.
 * @return The next one, closing ones included, or NULL behind the last.
 * @note Loop thread; an endpoint opened or gone during the walk may be missed.
 */
KIRIM_API struct kirim_endpoint *kirim_loop_endpoint_next(const struct kirim_loop *loop,
                                                          const struct kirim_endpoint *ep);

/** @brief The loop of an endpoint. Loop thread. */
KIRIM_API struct kirim_loop *kirim_endpoint_loop(const struct kirim_endpoint *ep);

/** @brief The `user` of the options. Loop thread. */
KIRIM_API void *kirim_endpoint_user(const struct kirim_endpoint *ep);

/** @brief Places of the queue that are taken, which is what `queue_count_max` bounds: datagrams
 * that wait, for their time too, are in flight, or have ended behind such. Loop thread. */
KIRIM_API size_t kirim_endpoint_queued_count(const struct kirim_endpoint *ep);

KIRIM_END_DECLS

#endif
