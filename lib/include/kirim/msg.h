/* SPDX-License-Identifier: MIT
 *
 * Messages out and datagrams in: the values that cross the API. Nothing here is owned by the
 * library but what a callback is lent. Sources: WSASendMsg, sendmsg(2), RFC 768, RFC 3542.
 */
#ifndef KIRIM_MSG_H
#define KIRIM_MSG_H

#include <kirim/addr.h>

/** Largest UDP payload over IPv4 and over IPv6 (without jumbograms), in bytes. */
#define KIRIM_PAYLOAD_IPV4_BYTES_MAX 65507
/** @copydoc KIRIM_PAYLOAD_IPV4_BYTES_MAX */
#define KIRIM_PAYLOAD_IPV6_BYTES_MAX 65527

/** Most buffers that one message may gather. */
#define KIRIM_BUF_COUNT_MAX 1024

/** Most datagrams that one message with `segment_bytes` may hold. */
#define KIRIM_TRAIN_SEGMENTS_MAX 128

/** One buffer of a gather list; laid out as struct iovec. */
struct kirim_buf {
    void *data;   /**< May be NULL if `bytes` is 0. */
    size_t bytes; /**< May be 0. */
};

/** Flags of kirim_control. */
enum {
    KIRIM_CONTROL_DONT_FRAGMENT = 1 /**< Set the don't-fragment bit; too long is KIRIM_EMSGSIZE. */
};

/**
 * @brief What one message says beside its bytes. Zero in a field: nothing to say, the system's
 * default.
 *
 * A field that the endpoint cannot honour is KIRIM_EOPNOTSUPP (see the capability bits), a value
 * out of range KIRIM_EINVAL; both are decided before the system is asked (S10).
 */
struct kirim_control {
    uint32_t size;    /**< sizeof, set by KIRIM_CONTROL_INIT. */
    uint32_t ifindex; /**< Outgoing interface. Needs KIRIM_CAP_SOURCE. */
    struct kirim_addr
        source; /**< Local address to send from, port ignored. Needs KIRIM_CAP_SOURCE. */
    uint64_t not_before_ns; /**< Loop time before which it must not leave (kirim_endpoint_pacing());
                               0: none. KIRIM_NEVER: it waits until it is dropped. */
    uint64_t tag;           /**< The caller's; comes back in the event of a failed send. */
    uint8_t ecn;            /**< 0..3: Not-ECT, ECT(1), ECT(0), CE. Needs KIRIM_CAP_ECN. */
    uint8_t dscp;           /**< 0..63. Needs KIRIM_CAP_ECN, with which it shares an octet. */
    uint8_t ttl;            /**< 1..255, time to live or hop limit. Needs KIRIM_CAP_TTL. */
    uint8_t flags;          /**< KIRIM_CONTROL_DONT_FRAGMENT. Needs KIRIM_CAP_DONT_FRAGMENT. */
    uint32_t ki_reserved;   /**< 0. */
};

/** Initialises control data that says nothing. */
#define KIRIM_CONTROL_INIT                                                              \
    {                                                                                   \
        (uint32_t)sizeof(struct kirim_control), 0, { { 0, 0, 0 } }, 0, 0, 0, 0, 0, 0, 0 \
    }

/**
 * @brief One message: a gather list, where to, and what else. All words, loaded as they are stored.
 *
 * Its shape is final; what is new goes into kirim_control.
 */
struct kirim_msg {
    const struct kirim_buf *buf;   /**< `buf[0 .. buf_count-1]`, gathered in order. */
    const struct kirim_addr *peer; /**< Destination; NULL: the one the endpoint is connected to. */
    const struct kirim_control *control; /**< NULL: nothing to say, which is the fast case. */
    size_t buf_count; /**< 0 is an empty datagram, as is a list of 0 bytes in all. */
    /** Not 0: a train. The bytes are those of several datagrams of this size to one peer, of which
     * only the last may be shorter; at most KIRIM_TRAIN_SEGMENTS_MAX of them and 65,507 bytes, at
     * least 1 byte.
     * Where the system has no segmentation offload (KIRIM_CAP_TRAINS) kirim sends them one by one.
     */
    size_t segment_bytes;
};

/** Initialises an empty message without a destination. */
#define KIRIM_MSG_INIT         \
    {                          \
        NULL, NULL, NULL, 0, 0 \
    }

/** Flags of kirim_endpoint_send(). */
enum {
    KIRIM_SEND_LENT =
        1, /**< The bytes are those of a datagram that the running callback was lent. */
    KIRIM_SEND_NOW = 2, /**< Leave inside this call, behind what is queued (S13, S15, S16). */
    KIRIM_SEND_DONTROUTE =
        4 /**< Only to directly connected networks; a system may ignore it (S11). */
};

/** Flags of kirim_datagram. */
enum {
    KIRIM_RX_TRUNCATED =
        1, /**< It was longer than the endpoint's largest; `bytes` is what was kept. */
    KIRIM_RX_NO_LOCAL = 2,   /**< The system did not tell the local address. */
    KIRIM_RX_TRAIN_HEAD = 4, /**< First datagram of a train that arrived coalesced: those behind
                                 it share its peer and its arrival. */
    KIRIM_RX_BROADCAST = 8   /**< It was sent to an IPv4 broadcast address: `arrival->local`, if
                                 told, is the one of this host that would answer. Known where
                                 the arrival is. */
};

/** What several datagrams of one arrival share. Fields the system did not tell are zero. */
struct kirim_arrival {
    struct kirim_addr local; /**< Address it was sent to; its port is the endpoint's. */
    uint64_t time_ns;        /**< When the system got it, in loop time and never later than
                                kirim_loop_now(); or 0 (KIRIM_CAP_TIME). */
    uint32_t ifindex;        /**< Interface it came in by, or 0. */
    uint32_t ttl;            /**< Time to live or hop limit, or 0. */
    uint32_t dscp;           /**< 0..63; 0 also if the system did not tell. */
    uint32_t ki_reserved;    /**< 0. */
};

/** One received datagram; lent until the callback returns. */
struct kirim_datagram {
    uint8_t *data;                       /**< Writable; never NULL, also of an empty datagram. */
    uint32_t bytes;                      /**< 0 is an empty datagram. */
    uint16_t segment_bytes;              /**< Of a train left whole (KIRIM_ENDPOINT_WHOLE_TRAINS):
                                            the size of its datagrams, of which only the last may be
                                            shorter. Else 0. */
    uint8_t ecn;                         /**< 0..3; 0 also if the system did not tell. */
    uint8_t flags;                       /**< KIRIM_RX_... */
    struct kirim_addr peer;              /**< Who sent it. */
    const struct kirim_arrival *arrival; /**< NULL: the system told nothing of it, as of sockets
                                            that are connected or bound to one address, without
                                            KIRIM_ENDPOINT_RECEIVE_CONTROL. */
};

/**
 * @brief A batch of received datagrams, in order of arrival; lent until the callback returns.
 *
 * Walk it with kirim_batch_at(): `stride` is what the library that runs says, not what the program
 * was compiled with.
 */
struct kirim_batch {
    const struct kirim_datagram *first; /**< `count` of them, `stride` bytes apart. */
    size_t count;                       /**< At least 1. */
    size_t stride;                      /**< Bytes from one datagram to the next. */
};

/** @brief The datagram `index` of a batch, 0 .. count-1. */
static inline const struct kirim_datagram *kirim_batch_at(const struct kirim_batch *batch,
                                                          size_t index)
{
    return (const struct kirim_datagram *)(const void *)((const char *)batch->first +
                                                         index * batch->stride);
}

#endif
