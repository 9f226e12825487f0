/* SPDX-License-Identifier: MIT
 *
 * A stub client's question as a state machine: bytes in, bytes out, next deadline.
 *
 * The caller starts it, sends what kirim_dns_query_output() gives to whom it names, hands over
 * every datagram that arrives, and calls kirim_dns_query_expire() when the deadline has passed. It
 * ends once, with an answer or an error. An answer counts only if it comes from the server that was
 * asked last, with the identifier and the very question that were sent, the case of its letters
 * included if it was mixed; anything else is counted and ignored, and the wait goes on. Time-outs
 * double; then the next server is asked. A server that does not understand EDNS is asked once more
 * without; one that wants a cookie is asked once more with the one that it gave. An answer that
 * lacks the client's part of a cookie, of a server that has sent it before, is forged. Owns nothing
 * and allocates nothing. Sources: RFC 1035 sections 4.2.1 and 7, RFC 5452, RFC 6891 section 6.2.2,
 * RFC 7873 section 5.3; letters of mixed case: draft-vixie-dnsext-dns0x20-00.
 */
#ifndef KIRIM_DNS_QUERY_H
#define KIRIM_DNS_QUERY_H

#include <kirim/addr.h>

#include "cookie.h"
#include "message.h"

/** Bounds of a question. */
enum {
    KIRIM_DNS_QUERY_SERVER_COUNT_MAX = 4,
    KIRIM_DNS_QUERY_TRY_COUNT_MAX = 16,
    /** Identifier, a bit for each byte of a name, and a cookie for each server. */
    KIRIM_DNS_QUERY_RANDOM_BYTES =
        34 + KIRIM_DNS_QUERY_SERVER_COUNT_MAX * KIRIM_DNS_CLIENT_COOKIE_BYTES,
    /** Of a question that is sent. */
    KIRIM_DNS_QUERY_BYTES_MAX = KIRIM_DNS_HEADER_BYTES + KIRIM_DNS_NAME_BYTES_MAX + 4 +
                                KIRIM_DNS_OPT_BYTES + 4 + KIRIM_DNS_COOKIE_BYTES_MAX
};

/** What to ask, whom and how often; start from KIRIM_DNS_QUERY_OPTIONS_INIT. */
struct kirim_dns_query_options {
    size_t size;                /**< sizeof, set by the INIT macro. */
    struct kirim_dns_name name; /**< Whose records. */
    uint16_t type;              /**< Which of them. */
    uint16_t dns_class;         /**< KIRIM_DNS_CLASS_IN. */
    struct kirim_addr server[KIRIM_DNS_QUERY_SERVER_COUNT_MAX]; /**< With their ports. */
    size_t server_count;                                        /**< At least 1. */
    uint64_t timeout_ns;       /**< Of the first try with all servers; doubled for each further. */
    uint32_t try_count;        /**< How often each server is asked, 1..16. */
    bool is_recursion_desired; /**< RD. */
    bool is_case_mixed;        /**< Letters in random case, against forged answers. */
    bool is_plain;             /**< Without EDNS. */
    bool is_without_cookies;   /**< Without cookies. */
    bool is_dnssec_ok;         /**< DO: with DNSSEC's records. Not with `is_plain`. */
    bool is_checking_disabled; /**< CD: what did not pass the server's validation too. */
    /** What is known of each server's cookies; what is not, becomes random. */
    struct kirim_dns_cookie_jar jar[KIRIM_DNS_QUERY_SERVER_COUNT_MAX];
    /** Random bytes, never used twice. */
    uint8_t random[KIRIM_DNS_QUERY_RANDOM_BYTES];
};

/** Initialises options: class IN, 2 s, 3 tries, recursion desired, letters of mixed case. */
#define KIRIM_DNS_QUERY_OPTIONS_INIT                                                      \
    {                                                                                     \
        .size = sizeof(struct kirim_dns_query_options), .dns_class = KIRIM_DNS_CLASS_IN,  \
        .timeout_ns = UINT64_C(2000000000), .try_count = 3, .is_recursion_desired = true, \
        .is_case_mixed = true                                                             \
    }

/** Where a question stands. */
enum {
    KIRIM_DNS_QUERY_ASKING = 0,   /**< Wait, and send what there is to send. */
    KIRIM_DNS_QUERY_ANSWERED = 1, /**< `answer` holds the answer; its result may be an error. */
    KIRIM_DNS_QUERY_FAILED = 2    /**< `err` says why. */
};

/** What was ignored, by the first thing that was wrong. */
struct kirim_dns_query_ignored {
    uint32_t peer; /**< From someone who was not asked. */
    uint32_t id;   /**< Another identifier, or too short to have one. */
    uint32_t
        malformed; /**< Not a response to a question, malformed, or longer than was asked for. */
    uint32_t question; /**< To another question. */
    uint32_t cookie;   /**< Without the cookie that it should have, or with another one. */
};

/** A question under way; the caller's storage. Read only. */
struct kirim_dns_query {
    struct kirim_dns_query_options options; /**< As given. */
    int state;                              /**< KIRIM_DNS_QUERY_... */
    kirim_err err;         /**< Of a failure: KIRIM_ETIMEDOUT, or what the network said. */
    uint64_t deadline_ns;  /**< KIRIM_NEVER once it has ended. */
    bool has_output;       /**< Call kirim_dns_query_output(). */
    bool has_edns;         /**< Of the question as it is sent now. */
    bool has_cookie;       /**< Likewise. */
    bool is_renewed;       /**< The server has refused our cookie, and given another one. */
    bool is_cookie_missed; /**< An answer was ignored for want of a cookie. */
    struct kirim_dns_cookie_jar jar[KIRIM_DNS_QUERY_SERVER_COUNT_MAX]; /**< By server, as it is
                                                                           now. */
    size_t server_index;                                               /**< Who is asked now. */
    uint32_t round;                         /**< How often all servers were asked before, from 0. */
    uint32_t sent_count;                    /**< Datagrams given out. */
    struct kirim_dns_query_ignored ignored; /**< What arrived and was not the answer. */
    struct kirim_dns_question question;     /**< As it is sent. */
    uint16_t id;                            /**< As it is sent now. */
    /** Of KIRIM_DNS_QUERY_ANSWERED; lies in `answer_wire`. Its question has the case of `options`.
     */
    struct kirim_dns_message answer;
    uint8_t answer_wire[KIRIM_DNS_UDP_BYTES]; /**< What came last from the right server. */
};

/**
 * @brief Starts a question.
 *
 * @param query    The caller's storage; must not be moved once it has been answered.
 * @param options  Copied.
 * @param now_ns   The present time.
 * @retval KIRIM_OK      Started; there is something to send.
 * @retval KIRIM_EINVAL  NULL, no server or too many, or a bound out of range.
 */
kirim_err kirim_dns_query_start(struct kirim_dns_query *query,
                                const struct kirim_dns_query_options *options, uint64_t now_ns);

/**
 * @brief Takes the datagram that is to be sent.
 *
 * @param query  The question.
 * @param out    Room for it, at least KIRIM_DNS_QUERY_BYTES_MAX; `bytes` is set, 0 if there is
 *               nothing to send.
 * @param peer   Gets whom to send it to; untouched if there is nothing.
 * @retval KIRIM_OK      `out->bytes` is set.
 * @retval KIRIM_EINVAL  Too little room.
 */
kirim_err kirim_dns_query_output(struct kirim_dns_query *query, struct kirim_dns_room *out,
                                 struct kirim_addr *peer);

/**
 * @brief Hands over a datagram that arrived.
 *
 * @param query   The question.
 * @param wire    The datagram; copied if it is kept.
 * @param peer    Who sent it.
 * @param now_ns  The present time.
 * @return Whether it was taken; look at `state`, `deadline_ns` and `has_output` then.
 */
bool kirim_dns_query_input(struct kirim_dns_query *query, struct kirim_dns_span wire,
                           const struct kirim_addr *peer, uint64_t now_ns);

/**
 * @brief Goes on when the deadline has passed: to the next try, or to the end.
 *
 * @param query   The question.
 * @param now_ns  The present time; before the deadline nothing happens.
 */
void kirim_dns_query_expire(struct kirim_dns_query *query, uint64_t now_ns);

/**
 * @brief Goes on when the network has reported an error about the server that is asked: to the next
 * server, or, if it was the last try, to the end.
 *
 * @param query   The question.
 * @param err     What the network said, negative.
 * @param now_ns  The present time.
 */
void kirim_dns_query_fail(struct kirim_dns_query *query, kirim_err err, uint64_t now_ns);

#endif
