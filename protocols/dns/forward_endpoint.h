/* SPDX-License-Identifier: MIT
 *
 * A forwarder on a loop: ports where it is asked, and a lookup for each question that it has to
 * ask, with an identifier, a port and a cookie that nobody can guess.
 *
 * A question that has to give way to another one (forwarder.h) is asked no more. The server that
 * answered last is asked first. What is known of a server's cookies is kept, so that its answers
 * have to have them from then on. The structures are the caller's storage and stay put while they
 * are in use. Loop thread only. Sources: as for forwarder.h, and RFC 5452 section 9.
 */
#ifndef KIRIM_DNS_FORWARD_ENDPOINT_H
#define KIRIM_DNS_FORWARD_ENDPOINT_H

#include "dns_endpoint.h"
#include "forwarder.h"

/** How to forward; start from KIRIM_DNS_FORWARD_OPTIONS_INIT. */
struct kirim_dns_forward_options {
    size_t size;                                                /**< sizeof, by the INIT macro. */
    struct kirim_addr server[KIRIM_DNS_QUERY_SERVER_COUNT_MAX]; /**< Whom to ask. */
    size_t server_count;                                        /**< At least 1. */
    uint64_t timeout_ns;     /**< Of the first try with all servers; doubled for each further. */
    uint32_t try_count;      /**< How often each is asked. */
    bool is_without_cookies; /**< Servers are asked without cookies. */
    struct kirim_dns_forwarder_options forwarder; /**< `key` is filled in here. */
};

/** Initialises options: 2 s, 3 tries. */
#define KIRIM_DNS_FORWARD_OPTIONS_INIT                                                        \
    {                                                                                         \
        .size = sizeof(struct kirim_dns_forward_options), .timeout_ns = UINT64_C(2000000000), \
        .try_count = 3, .forwarder = KIRIM_DNS_FORWARDER_OPTIONS_INIT                         \
    }

/** What was counted beside the forwarder; the numbers only grow. */
struct kirim_dns_forward_stats {
    uint64_t too_long;   /**< Requests over KIRIM_DNS_REQUEST_BYTES_MAX. */
    uint64_t forged;     /**< Requests from where nobody can be (kirim_endpoint_may_answer()). */
    uint64_t unanswered; /**< Answers that found the send queue full, or the port gone. */
    uint64_t asked;      /**< Datagrams sent to servers. */
    uint64_t answered;   /**< Questions that servers have answered. */
    uint64_t gave_way;   /**< Questions that ended early, as all places were taken. */
    struct kirim_dns_query_ignored ignored; /**< What came in their place. */
};

struct kirim_dns_forward_job;

/** A forwarder on a loop; the caller's storage. Read only. */
struct kirim_dns_forward {
    struct kirim_loop *loop;                  /**< As given. */
    struct kirim_dns_forward_options options; /**< As given. */
    struct kirim_dns_forwarder *forwarder;    /**< NULL: not open. */
    struct kirim_dns_forward_stats stats;     /**< What was counted. */
    size_t first;                             /**< The server that is asked first. */
    struct kirim_dns_cookie_jar jar[KIRIM_DNS_QUERY_SERVER_COUNT_MAX]; /**< Cookies by server. */
    struct kirim_addr jar_local[KIRIM_DNS_QUERY_SERVER_COUNT_MAX];     /**< Whose address they are
                                                                          for; port 0. */
};

/** A port where a forwarder is asked; the caller's storage. */
struct kirim_dns_forward_port {
    struct kirim_dns_forward *forward; /**< Lent. */
    struct kirim_endpoint *endpoint;   /**< NULL: not open, or gone. */
    bool names_source;                 /**< It answers from the address that was asked. */
};

/**
 * @brief Opens a forwarder that nobody can ask yet.
 *
 * @param forward  Caller's storage, until kirim_dns_forward_close().
 * @param loop     Open loop.
 * @param options  Copied.
 * @retval KIRIM_OK      Open.
 * @retval KIRIM_EINVAL  NULL, no server or too many, or as kirim_dns_forwarder_open().
 * @retval KIRIM_ENOMEM  Out of memory.
 * @return Also errors of kirim_loop_random().
 */
kirim_err kirim_dns_forward_open(struct kirim_dns_forward *forward, struct kirim_loop *loop,
                                 const struct kirim_dns_forward_options *options);

/**
 * @brief Opens a port where the forwarder is asked.
 *
 * On a wildcard address, answers leave from the address that was asked, if the loop can do that
 * (KIRIM_CAP_SOURCE).
 *
 * @param port     Caller's storage, put until the loop is closed.
 * @param forward  Open, and until the loop is closed.
 * @param options  As for kirim_dns_service_open().
 * @return As kirim_endpoint_open(); KIRIM_EINVAL for NULL.
 */
kirim_err kirim_dns_forward_listen(struct kirim_dns_forward_port *port,
                                   struct kirim_dns_forward *forward,
                                   const struct kirim_endpoint_options *options);

/** @brief Gives back everything, after the loop was closed, which has ended all lookups. */
void kirim_dns_forward_close(struct kirim_dns_forward *forward);

#endif
