/* SPDX-License-Identifier: MIT
 *
 * What stands before a server of whatever kind: who asks, whether that is shown by a cookie, and
 * how often the same network may be told the same.
 *
 * Whoever asks can write any address into a datagram, and have the answer sent there. A guard gives
 * cookies to those who know of them (RFC 7873), may demand them, and limits identical answers to a
 * prefix for everybody else (response-rate limiting): of what is over the rate, every other one is
 * answered shortly, so that whoever is real can go on. Several servers of one thread may share a
 * guard. Owns nothing: the limiter is lent. Sources: RFC 7873, RFC 9018, ISC-TN-2012-1.
 */
#ifndef KIRIM_DNS_GUARD_H
#define KIRIM_DNS_GUARD_H

#include <kirim/limiter.h>

#include "cookie.h"
#include "message.h"

/** Results that are counted one by one. */
enum { KIRIM_DNS_RCODE_COUNT = 24 };

/** A datagram with a question. */
struct kirim_dns_request {
    struct kirim_dns_span wire;    /**< The datagram. */
    const struct kirim_addr *peer; /**< Who sent it; NULL: not known, then no guard applies. */
    uint64_t now_ns;               /**< The present time. */
};

/** What a guard does about cookies. */
enum {
    KIRIM_DNS_COOKIES_OFF = 0, /**< Nothing: the option is ignored, whatever is in it. */
    KIRIM_DNS_COOKIES_ON = 1,  /**< Whoever sends one gets one; all are answered. */
    /** Only a good cookie gets an answer. Who sent another one, or the client's part alone, gets
     * BADCOOKIE and a good one; who sent none, TC. Both without records. */
    KIRIM_DNS_COOKIES_REQUIRED = 2
};

/** What a guard counted; the numbers only grow. */
struct kirim_dns_guard_stats {
    uint64_t cookie_none;      /**< Requests without a cookie. */
    uint64_t cookie_client;    /**< With the client's part alone. */
    uint64_t cookie_good;      /**< With a good one. */
    uint64_t cookie_old;       /**< Of those, renewed. */
    uint64_t cookie_bad;       /**< With one that is not of these keys, or whose time is up. */
    uint64_t cookie_malformed; /**< With one of an impossible length: FORMERR. */
    uint64_t turned_away;      /**< Answered BADCOOKIE or TC because a good one is demanded. */
    uint64_t slipped;          /**< Over the rate, answered BADCOOKIE or TC. */
    uint64_t dropped;          /**< Over the rate, not answered. */
};

/** A guard; the caller's storage. All zero: no cookies, no limits. */
struct kirim_dns_guard {
    int cookies;                       /**< KIRIM_DNS_COOKIES_... */
    struct kirim_dns_cookie_keys keys; /**< At least one, unless off; may be changed at any time. */
    uint64_t unix_offset_ns; /**< What the time of requests lacks to that since 1970; may be set
                                  anew when the clock was. */
    struct kirim_limiter *limiter;      /**< Lent; its `slip` is 2 for every other one. NULL: no
                                             limit. */
    struct kirim_dns_guard_stats stats; /**< What it counted. */
};

/** What an answer depends on beside the question: who asks, and how. */
struct kirim_dns_caller {
    uint16_t id;         /**< Of the request. */
    uint16_t flags;      /**< Of the request. */
    uint16_t udp_bytes;  /**< Largest answer it takes, as it says; 0 without EDNS. */
    uint16_t rcode;      /**< The result by the form of the request alone. */
    bool has_edns;       /**< It knows EDNS. */
    bool is_dnssec_ok;   /**< DO. */
    bool has_question;   /**< One that can be repeated in the answer. */
    bool is_aware;       /**< It knows cookies; `cookie` goes into the answer. */
    bool is_validated;   /**< It receives at its address. */
    bool is_bad;         /**< It sent a cookie, and that is not good. */
    bool is_turned_away; /**< A good cookie is demanded, and it has none. */
    uint8_t cookie[KIRIM_DNS_COOKIE_BYTES]; /**< For it to use from now on. */
};

/** What an answer is about, for the limit on identical ones. */
struct kirim_dns_topic {
    uint16_t kind;                     /**< The caller's number for this sort of answer. */
    uint16_t type;                     /**< Of the records, if they make a difference. */
    const struct kirim_dns_name *name; /**< Whose answer it is; NULL: that of the whole server. */
};

/**
 * @brief Reads a request: its form, who asks, and its cookie.
 *
 * @param guard    NULL: no cookies.
 * @param request  The request.
 * @param message  Gets the message, as far as it can be read.
 * @param caller   Gets the rest. `rcode` is KIRIM_DNS_NOERROR if there is one question that can be
 *                 worked on, or none but a cookie to ask for (RFC 7873 section 5.4).
 * @return Whether it may be answered: not if it is shorter than a header, or a response.
 */
bool kirim_dns_guard_read(struct kirim_dns_guard *guard, const struct kirim_dns_request *request,
                          struct kirim_dns_message *message, struct kirim_dns_caller *caller);

/**
 * @brief Judges an answer that is ready to be sent.
 *
 * @param guard    NULL: no limit.
 * @param request  What it answers; `wire` is not read, `now_ns` is the time of the answer.
 * @param caller   Who gets it: with a good cookie it is not limited.
 * @param topic    What it is about.
 * @return KIRIM_LIMITER_PASS; KIRIM_LIMITER_SLIP: send what kirim_dns_caller_turn_away() makes
 *         instead; KIRIM_LIMITER_DROP: send nothing.
 */
int kirim_dns_guard_limit(struct kirim_dns_guard *guard, const struct kirim_dns_request *request,
                          const struct kirim_dns_caller *caller,
                          const struct kirim_dns_topic *topic);

/**
 * @brief Begins an answer: room for what ends it is kept.
 *
 * @param caller     Who gets it.
 * @param udp_bytes  The server's own limit.
 * @param reply      At least KIRIM_DNS_PLAIN_BYTES_MAX.
 * @param b          Gets the builder.
 */
void kirim_dns_caller_begin(const struct kirim_dns_caller *caller, uint16_t udp_bytes,
                            const struct kirim_dns_room *reply, struct kirim_dns_builder *b);

/**
 * @brief Ends an answer: OPT with the cookie, and the header.
 *
 * @param caller     Who gets it.
 * @param udp_bytes  The server's own limit, told in OPT.
 * @param flags      KIRIM_DNS_FLAG_AA, _TC, _RA and so on, and the whole result in the lower 12
 *                   bits: see KIRIM_DNS_ANSWER_FLAGS().
 * @param b          As kirim_dns_caller_begin() made it.
 * @return Bytes of the answer.
 */
size_t kirim_dns_caller_end(const struct kirim_dns_caller *caller, uint16_t udp_bytes,
                            uint32_t flags, struct kirim_dns_builder *b);

/** Flags of a header, and a result of 12 bits, in one number. */
#define KIRIM_DNS_ANSWER_FLAGS(flags, rcode) ((uint32_t)(flags) << 16 | (uint32_t)(rcode))

/**
 * @brief The answer without records for whoever has to show first who it is: BADCOOKIE with a good
 *        cookie, or TC for those that know none.
 *
 * @param caller     Who gets it.
 * @param udp_bytes  The server's own limit.
 * @param question   To be repeated; NULL if there is none.
 * @param reply      At least KIRIM_DNS_PLAIN_BYTES_MAX; `bytes` is set.
 * @return The result that it tells.
 */
uint16_t kirim_dns_caller_turn_away(const struct kirim_dns_caller *caller, uint16_t udp_bytes,
                                    const struct kirim_dns_question *question,
                                    struct kirim_dns_room *reply);

#endif
