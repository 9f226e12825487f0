/* SPDX-License-Identifier: MIT
 *
 * An authoritative server: a datagram in, a datagram out.
 *
 * What comes in is hostile until it is read: less than a header, and every response, is dropped
 * without a trace but a count; everything else gets one answer, never longer than what the asker
 * takes, than the server's own limit and than the room given. Over UDP only: what does not fit is
 * cut at whole sets of records, and TC says so. Owns nothing: the zones are lent. No allocation.
 * Sources: RFC 1034 section 4.3.2, RFC 1035 section 4.1, RFC 2181, RFC 2308, RFC 3225, RFC 4035
 * section 3.1, RFC 6604, RFC 6891, RFC 8482, RFC 9471, RFC 9619.
 */
#ifndef KIRIM_DNS_SERVER_H
#define KIRIM_DNS_SERVER_H

#include "guard.h"
#include "zone.h"

/** Bounds of a server. */
enum {
    KIRIM_DNS_ZONE_COUNT_MAX = 64,    /**< Zones of one server. */
    KIRIM_DNS_VERSION_BYTES_MAX = 255 /**< Of the version's text. */
};

/** What a server counted; the numbers only grow. */
struct kirim_dns_server_stats {
    uint64_t received;                     /**< Datagrams given to it. */
    uint64_t dropped;                      /**< Of those, not answered: too short, or a response. */
    uint64_t withheld;                     /**< Of those, too: over the guard's limit. */
    uint64_t answered;                     /**< The others. */
    uint64_t truncated;                    /**< Of the answers, with TC. */
    uint64_t rcode[KIRIM_DNS_RCODE_COUNT]; /**< Answers by result. */
};

/** A server; the caller's storage. */
struct kirim_dns_server {
    const struct kirim_dns_zone *zone[KIRIM_DNS_ZONE_COUNT_MAX]; /**< What it serves. */
    size_t zone_count;                                           /**< Of them. */
    /** Largest answer to who takes so much, 512..65,535; kirim_dns_server_init() sets
     * KIRIM_DNS_UDP_BYTES. */
    uint16_t udp_bytes;
    /** What `version.bind` of class CH is told, at most KIRIM_DNS_VERSION_BYTES_MAX bytes; NULL:
     * such questions are refused. */
    const char *version;
    struct kirim_dns_guard *guard;       /**< Lent; NULL: no cookies, no limits. */
    struct kirim_dns_server_stats stats; /**< What it counted. */
};

/** @brief Makes a server without zones. */
void kirim_dns_server_init(struct kirim_dns_server *server);

/**
 * @brief Adds a zone.
 *
 * @param server  The server.
 * @param zone    Sealed; must outlive the server.
 * @retval KIRIM_OK         Added.
 * @retval KIRIM_EEXIST     There is one of this origin.
 * @retval KIRIM_EINVAL     Not sealed.
 * @retval KIRIM_DNS_EFULL  KIRIM_DNS_ZONE_COUNT_MAX are there.
 */
kirim_err kirim_dns_server_add(struct kirim_dns_server *server, const struct kirim_dns_zone *zone);

/**
 * @brief Answers a datagram.
 *
 * @param server   The server.
 * @param request  The datagram, who sent it, and the time.
 * @param reply    Room for the answer, at least KIRIM_DNS_PLAIN_BYTES_MAX, not overlapping the
 *                 datagram; `bytes` is set: 0 means that nothing is to be sent.
 * @retval KIRIM_OK      `reply->bytes` is set.
 * @retval KIRIM_EINVAL  Too little room.
 */
kirim_err kirim_dns_server_serve(struct kirim_dns_server *server,
                                 const struct kirim_dns_request *request,
                                 struct kirim_dns_room *reply);

/**
 * @brief The same without a word of who asks: no guard applies.
 *
 * @param server  The server.
 * @param query   The datagram.
 * @param reply   Room for the answer, at least KIRIM_DNS_PLAIN_BYTES_MAX, not overlapping `query`;
 *                `bytes` is set: 0 means that nothing is to be sent.
 * @retval KIRIM_OK      `reply->bytes` is set.
 * @retval KIRIM_EINVAL  Too little room.
 */
kirim_err kirim_dns_server_answer(struct kirim_dns_server *server, struct kirim_dns_span query,
                                  struct kirim_dns_room *reply);

#endif
