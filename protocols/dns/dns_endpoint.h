/* SPDX-License-Identifier: MIT
 *
 * DNS on a loop: a server on an endpoint of its own, and lookups, each with its own endpoint and
 * a port that is chosen at random for it.
 *
 * Only this file and its source know both the protocol and the loop. The structures are the
 * caller's storage and stay put while they are in use. Loop thread only. Sources: RFC 1035 section
 * 4.2.1, RFC 5452 section 9.2, RFC 8085 section 5.1.
 */
#ifndef KIRIM_DNS_ENDPOINT_H
#define KIRIM_DNS_ENDPOINT_H

#include <kirim/kirim.h>

#include "query.h"
#include "server.h"

/** Largest request that a service reads; longer ones are dropped. */
enum { KIRIM_DNS_REQUEST_BYTES_MAX = 4096 };

/** What a service counted beside its server; the numbers only grow. */
struct kirim_dns_service_stats {
    uint64_t too_long;   /**< Requests over KIRIM_DNS_REQUEST_BYTES_MAX. */
    uint64_t forged;     /**< Requests from where nobody can be (kirim_endpoint_may_answer()). */
    uint64_t unanswered; /**< Answers that found the send queue full, or no memory. */
};

/** A server on an endpoint. */
struct kirim_dns_service {
    struct kirim_dns_server *server;      /**< Lent. */
    struct kirim_endpoint *endpoint;      /**< NULL: not open, or gone. */
    bool names_source;                    /**< It answers from the address that was asked. */
    struct kirim_dns_service_stats stats; /**< What it counted. */
    uint64_t now_ns;                      /**< Of the batch that is worked off. */
};

/**
 * @brief Serves at an address.
 *
 * On a wildcard address, answers leave from the address that was asked, if the loop can do that
 * (KIRIM_CAP_SOURCE).
 *
 * @param service  Caller's storage, put until the endpoint is gone: until `endpoint` is NULL, or
 * the loop is closed.
 * @param loop     Open loop.
 * @param server   Lent; may serve several services of one thread.
 * @param options  Where and how to open the endpoint: `local`, flags, buffers, queue. Its handler,
 *                 `user` and a `datagram_bytes_max` of 0 are set here.
 * @return As kirim_endpoint_open().
 */
kirim_err kirim_dns_service_open(struct kirim_dns_service *service, struct kirim_loop *loop,
                                 struct kirim_dns_server *server,
                                 const struct kirim_endpoint_options *options);

/** @brief Ends a service: its endpoint is closed, what is queued still leaves. */
void kirim_dns_service_close(struct kirim_dns_service *service);

struct kirim_dns_lookup;

/** Called once when a lookup has ended; the storage is the caller's again. */
typedef void (*kirim_dns_lookup_fn)(struct kirim_dns_lookup *lookup);

/** A question to servers; start from KIRIM_DNS_LOOKUP_INIT. */
struct kirim_dns_lookup {
    kirim_dns_lookup_fn done;     /**< Set before the start. */
    void *user;                   /**< The caller's. */
    struct kirim_dns_query query; /**< Its `state`, `answer` and `err` say how it ended. */
    uint64_t started_ns;          /**< Loop time of the start. */
    uint64_t ended_ns;            /**< Loop time of the end. */
    struct kirim_addr local;      /**< The address that was asked from last, its port 0. */
    /** @privatesection The binding's. */
    struct kirim_loop *loop;
    struct kirim_endpoint *endpoint; /**< NULL: none that is not closing. */
    struct kirim_addr peer;          /**< It is connected to. */
    struct kirim_timer timer;
    uint32_t open_count; /**< Endpoints that are not gone yet. */
};

/** Initialises a lookup: `struct kirim_dns_lookup l = KIRIM_DNS_LOOKUP_INIT(on_done, ctx);` */
#define KIRIM_DNS_LOOKUP_INIT(fn, ctx) \
    {                                  \
        .done = (fn), .user = (ctx)    \
    }

/**
 * @brief Starts a lookup.
 *
 * Each server is asked from an endpoint of its own that is connected to it, so only it can answer,
 * and a port that nobody listens on is known at once. The endpoint's own port is random, out of all
 * that need no privilege.
 *
 * @param lookup   Caller's storage with `done` set, put until that has been called.
 * @param loop     Open loop.
 * @param options  Copied; `random` is filled in here.
 * @retval KIRIM_OK      `done` will be called, from inside a turn of the loop or its closing.
 * @retval KIRIM_EINVAL  As kirim_dns_query_start(), or no `done`.
 * @return Also errors of kirim_loop_random(), and of kirim_endpoint_open() if no endpoint could be
 *         opened at all; `done` is not called then.
 */
kirim_err kirim_dns_lookup_start(struct kirim_dns_lookup *lookup, struct kirim_loop *loop,
                                 const struct kirim_dns_query_options *options);

/** @brief Ends a lookup that is under way with KIRIM_EABORTED; `done` still comes. */
void kirim_dns_lookup_cancel(struct kirim_dns_lookup *lookup);

#endif
