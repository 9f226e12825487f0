/* SPDX-License-Identifier: MIT
 *
 * TFTP on a loop: a service that listens for requests, and transfers, each on an endpoint and hence
 * a port of its own.
 *
 * Only this file and its source know both the protocol and the loop. The structures are the
 * caller's storage and stay put while they are in use; what a service needs for its transfers comes
 * from the loop's allocator. Loop thread only. Sources: RFC 1350 section 4, RFC 1123 section 4.2.3,
 * RFC 8085 section 5.1.
 */
#ifndef KIRIM_TFTP_ENDPOINT_H
#define KIRIM_TFTP_ENDPOINT_H

#include <kirim/kirim.h>

#include "server.h"

/** Bounds of a service. */
enum {
    KIRIM_TFTP_TRANSFER_COUNT = 1024, /**< Transfers at once, unless it is set otherwise. */
    KIRIM_TFTP_PREFIX_COUNT = 512,    /**< Likewise, of one IPv4 /24 or IPv6 /56. */
    KIRIM_TFTP_BUCKET_COUNT = 256     /**< Of the tables of transfers by peer and by prefix. */
};

/** One end of a transfer on an endpoint. @privatesection All of it. */
struct kirim_tftp_link {
    struct kirim_tftp_transfer transfer;
    struct kirim_loop *loop;
    struct kirim_endpoint *endpoint; /**< NULL: none, or it is closing. */
    struct kirim_addr peer;          /**< A client's has port 0 until the server has answered. */
    struct kirim_timer timer;
    uint64_t strangers; /**< Datagrams from elsewhere. */
    uint16_t ask_port;  /**< Where a client sends its request. */
};

struct kirim_tftp_service;
struct kirim_tftp_session;
struct kirim_tftp_prefix;

/** Called once when a transfer of a service has ended, well or not; what is pointed to is lent
 * until the return. */
typedef void (*kirim_tftp_ended_fn)(struct kirim_tftp_service *service,
                                    const struct kirim_tftp_transfer *transfer,
                                    const struct kirim_addr *peer);

/** What a service counted; the numbers only grow. */
struct kirim_tftp_service_stats {
    uint64_t accepted;       /**< Requests that made a transfer. */
    uint64_t refused;        /**< Requests that were answered by an ERROR. */
    uint64_t duplicates;     /**< Requests of somebody whose transfer is under way. */
    uint64_t dropped;        /**< Datagrams that were no request. */
    uint64_t limited;        /**< Requests over the rate of their prefix, not answered. */
    uint64_t forged;         /**< Requests sent to many, or from where nobody can be. */
    uint64_t strangers;      /**< Datagrams to a transfer that were not its peer's. */
    uint64_t done;           /**< Transfers that ended well. */
    uint64_t failed;         /**< Transfers that did not. */
    uint64_t sent_bytes;     /**< Of files, by transfers that have ended. */
    uint64_t received_bytes; /**< Likewise. */
};

/** A service; start with kirim_tftp_service_init(). */
struct kirim_tftp_service {
    struct kirim_tftp_server *server; /**< Lent. */
    uint32_t transfer_count_max;      /**< Transfers at once, at least 1. */
    uint32_t prefix_count_max;        /**< Of these, from one IPv4 /24 or IPv6 /56; 0: no cap.
                                           It also bounds what a forged address is sent. */
    struct kirim_limiter *limiter;    /**< Judges each request by its prefix, if not NULL; lent.
                                           Who is over the rate is not answered. */
    bool is_fragmenting;              /**< Blocks may be longer than the path carries in one
                                           piece. Default: they are made to fit. */
    kirim_tftp_ended_fn ended;        /**< May be NULL. */
    void *user;                       /**< The caller's. */
    struct kirim_endpoint *endpoint;  /**< NULL: not open, or gone. Read only. */
    uint32_t transfer_count;          /**< Transfers whose endpoints are not gone. Read only. */
    struct kirim_tftp_service_stats stats; /**< What it counted. */
    /** @privatesection The service's. */
    struct kirim_loop *loop;
    struct kirim_tftp_session *bucket[KIRIM_TFTP_BUCKET_COUNT];
    struct kirim_tftp_prefix *prefix[KIRIM_TFTP_BUCKET_COUNT];
    uint8_t hash_key[KIRIM_SIPHASH_KEY_BYTES];
};

/**
 * @brief Makes a service that is not open, with the defaults.
 *
 * @param service  Caller's storage.
 * @param server   Lent; may serve several services of one thread.
 * @note Any thread.
 */
void kirim_tftp_service_init(struct kirim_tftp_service *service, struct kirim_tftp_server *server);

/**
 * @brief Serves at an address.
 *
 * A transfer has an endpoint on the address that was asked, if the loop tells it, else where the
 * service is bound. What is asked of a broadcast or multicast address is ignored.
 *
 * @param service  Initialised, its settings made; put until `endpoint` is NULL and `transfer_count`
 *                 is 0, or the loop is closed.
 * @param loop     Open loop.
 * @param options  Where and how to open the endpoint: `local`, flags, buffers, queue. Its handler,
 *                 `user` and `datagram_bytes_max` are set here.
 * @retval KIRIM_EINVAL  NULL, or no transfers permitted.
 * @return Else as kirim_endpoint_open(), or an error of kirim_loop_random().
 */
kirim_err kirim_tftp_service_open(struct kirim_tftp_service *service, struct kirim_loop *loop,
                                  const struct kirim_endpoint_options *options);

/** @brief Ends a service and its transfers, whose peers are told. */
void kirim_tftp_service_close(struct kirim_tftp_service *service);

struct kirim_tftp_client;

/** Called once when a client's transfer has ended; the storage is the caller's again. */
typedef void (*kirim_tftp_client_fn)(struct kirim_tftp_client *client);

/** A client's transfer; start from KIRIM_TFTP_CLIENT_INIT. */
struct kirim_tftp_client {
    kirim_tftp_client_fn done;   /**< Set before the start. */
    void *user;                  /**< The caller's. */
    struct kirim_tftp_link link; /**< Its `transfer` says how it ended. */
    uint64_t started_ns;         /**< Loop time of the start. */
    uint64_t moved_ns;           /**< Loop time when all of the file was there, before any linger;
                                      0: it is not. */
};

/** Initialises a client: `struct kirim_tftp_client c = KIRIM_TFTP_CLIENT_INIT(on_done, ctx);` */
#define KIRIM_TFTP_CLIENT_INIT(fn, ctx) \
    {                                   \
        .done = (fn), .user = (ctx)     \
    }

/**
 * @brief Starts a client's transfer.
 *
 * A window is made smaller if the system gives too little buffer for it. After a get the client
 * lingers for those who have not heard its last ACK: `done` comes after that.
 *
 * @param client   Caller's storage with `done` set, put until that has been called.
 * @param loop     Open loop.
 * @param server   Where to ask.
 * @param options  Copied; what it lends stays lent.
 * @retval KIRIM_OK      `done` will be called, from inside a turn of the loop or its closing.
 * @retval KIRIM_EINVAL  As kirim_tftp_transfer_ask(), no `done`, or no port at `server`.
 * @return Also as kirim_tftp_transfer_ask() and kirim_endpoint_open(); `done` is not called then.
 */
kirim_err kirim_tftp_client_start(struct kirim_tftp_client *client, struct kirim_loop *loop,
                                  const struct kirim_addr *server,
                                  const struct kirim_tftp_client_options *options);

/** @brief Ends a client's transfer with KIRIM_EABORTED, or its lingering; `done` still comes. */
void kirim_tftp_client_cancel(struct kirim_tftp_client *client);

#endif
