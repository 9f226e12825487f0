/* SPDX-License-Identifier: MIT
 *
 * A caching forwarder as a state machine: requests in, answers out, and in between the questions
 * that somebody else has to be asked.
 *
 * A request is answered at once if the answer is known; else it waits. All that want the same wait
 * for one question, each gets the answer with its own identifier, in its own letters and size, and
 * nobody waits twice for the same. How the question is asked is the caller's affair (query.h);
 * whoever asks it says how it ended, always. Memory is bounded: the cache, the questions under way
 * and those who wait. Where all places of one of the latter are taken, the network that has most of
 * them gives up its oldest: at once for another that has fewer, else once that is as old as 200 ms
 * (kirim/share.h). So nobody keeps others out with names that find no answer. Whoever gives way, or
 * finds no place, is told SERVFAIL. Nothing of an answer is believed beyond the question it belongs
 * to, so there is nothing to poison but that. Owns what it has taken from the allocator. One
 * thread. Sources: RFC 1034 section 5.3.1, RFC 2308, RFC 5452, RFC 9520.
 */
#ifndef KIRIM_DNS_FORWARDER_H
#define KIRIM_DNS_FORWARDER_H

#include <kirim/share.h>

#include "cache.h"

/** Bounds of a forwarder; start from KIRIM_DNS_FORWARDER_OPTIONS_INIT. */
struct kirim_dns_forwarder_options {
    size_t size;                          /**< sizeof, set by the INIT macro. */
    kirim_alloc_fn alloc;                 /**< Where memory comes from; as for a loop. */
    void *alloc_user;                     /**< Its first argument. */
    size_t cache_bytes;                   /**< Of the cache; 4 MiB. */
    uint32_t pending_max;                 /**< Questions under way, 1..65,536; 512. */
    uint32_t waiter_max;                  /**< Requests that wait, 1..1,048,576; 4,096. */
    struct kirim_dns_kept_limits limits;  /**< Of times to live; a day, and an hour. */
    uint32_t failure_s;                   /**< How long a failure is told again; 2 s. */
    uint16_t udp_bytes;                   /**< Largest answer, 512..KIRIM_DNS_UDP_BYTES. */
    struct kirim_dns_guard *guard;        /**< Lent; NULL: no cookies, no limits. */
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES]; /**< Random bytes. */
};

/** Initialises options; `alloc` and `key` remain to be set. */
#define KIRIM_DNS_FORWARDER_OPTIONS_INIT                                                   \
    {                                                                                      \
        .size = sizeof(struct kirim_dns_forwarder_options), .cache_bytes = 4U << 20,       \
        .pending_max = 512, .waiter_max = 4096, .limits = { 86400, 3600 }, .failure_s = 2, \
        .udp_bytes = KIRIM_DNS_UDP_BYTES                                                   \
    }

/** What a forwarder counted; the first two are present figures, the others only grow. */
struct kirim_dns_forwarder_stats {
    uint64_t pending_count;                /**< Questions under way. */
    uint64_t waiter_count;                 /**< Requests that wait. */
    uint64_t received;                     /**< Datagrams given to it. */
    uint64_t dropped;                      /**< Of those, too short, or a response. */
    uint64_t hits;                         /**< Answered from the cache. */
    uint64_t misses;                       /**< Not in the cache: they began a question. */
    uint64_t coalesced;                    /**< They joined a question that was under way. */
    uint64_t repeated;                     /**< They were waiting already. */
    uint64_t refused;                      /**< No room: SERVFAIL. */
    uint64_t displaced;                    /**< They waited, and made room: SERVFAIL. */
    uint64_t crowded;                      /**< Places, of questions and of requests, that a network
                                                gave up for one that had fewer. */
    uint64_t withheld;                     /**< Answers over the guard's limit. */
    uint64_t answered;                     /**< Answers given out. */
    uint64_t truncated;                    /**< Of those, with TC. */
    uint64_t failed;                       /**< Questions that got no answer. */
    uint64_t malformed;                    /**< Answers to questions that could not be used. */
    uint64_t rcode[KIRIM_DNS_RCODE_COUNT]; /**< Answers given out by result. */
};

/** Where an answer goes. */
struct kirim_dns_asker {
    struct kirim_addr peer;  /**< Who asked. */
    struct kirim_addr local; /**< The address that was asked; of no family: any. */
    void *via;               /**< The caller's. */
};

/** A question under way; lent from its begin to its end. */
struct kirim_dns_pending {
    struct kirim_dns_question question; /**< In lower case. */
    bool is_dnssec_ok;                  /**< Ask with DO. */
    bool is_checking_disabled;          /**< Ask with CD. */
    void *user;                         /**< The caller's. */
    /** @privatesection The forwarder's. */
    uint64_t hash;
    uint64_t begun_ns;
    struct kirim_share share;       /* of who asked first */
    struct kirim_dns_pending *next; /* with the same place in the table */
    struct kirim_dns_waiter *first;
    struct kirim_dns_waiter **last;
};

struct kirim_dns_forwarder;

/**
 * @brief Opens a forwarder.
 *
 * @param options  Read during the call; the guard is used until the end.
 * @param out      Written on success only. End it with kirim_dns_forwarder_close().
 * @retval KIRIM_OK      Open.
 * @retval KIRIM_EINVAL  NULL, no allocator, or a bound out of range.
 * @retval KIRIM_ENOMEM  Out of memory.
 */
kirim_err kirim_dns_forwarder_open(const struct kirim_dns_forwarder_options *options,
                                   struct kirim_dns_forwarder **out);

/** @brief Gives back everything, also what is under way; NULL is permitted. */
void kirim_dns_forwarder_close(struct kirim_dns_forwarder *f);

/**
 * @brief Takes a request. Before anything else is called, kirim_dns_forwarder_next() is asked for
 *        one who has waited, and makes room, and kirim_dns_forwarder_surplus() for a question.
 *
 * @param f        The forwarder.
 * @param request  The datagram, who sent it, and the time.
 * @param asker    Where the answer goes; copied if it has to wait.
 * @param reply    Room for an answer, at least KIRIM_DNS_UDP_BYTES, not overlapping the datagram;
 *                 `bytes` is set: 0 means that nothing is to be sent now.
 * @return NULL, or a question that is to be asked: kirim_dns_forwarder_end() is owed for it, and
 *         may come at once.
 */
struct kirim_dns_pending *kirim_dns_forwarder_ask(struct kirim_dns_forwarder *f,
                                                  const struct kirim_dns_request *request,
                                                  const struct kirim_dns_asker *asker,
                                                  struct kirim_dns_room *reply);

/**
 * @brief The question that has to give way to the last one that was begun: there is one more under
 *        way than there may be. End it without an answer, which is told to those who wait and not
 * kept; until one has ended, no other begins.
 *
 * @param f  The forwarder.
 * @return The question; NULL: none has to.
 */
struct kirim_dns_pending *kirim_dns_forwarder_surplus(const struct kirim_dns_forwarder *f);

/**
 * @brief Says how a question ended. The answers go out by kirim_dns_forwarder_next(), before
 *        anything else is called.
 *
 * @param f        The forwarder.
 * @param pending  The question; gone after the last answer.
 * @param answer   The answer, needed until the last answer was written; NULL: there is none.
 * @param now_ns   The present time.
 */
void kirim_dns_forwarder_end(struct kirim_dns_forwarder *f, struct kirim_dns_pending *pending,
                             const struct kirim_dns_message *answer, uint64_t now_ns);

/**
 * @brief The next one who waits for the question that has ended, or waits no longer.
 *
 * @param f  The forwarder.
 * @return Where the answer goes, until the next call: write it with kirim_dns_forwarder_write(), or
 *         go on without. NULL: that was all.
 */
const struct kirim_dns_asker *kirim_dns_forwarder_next(struct kirim_dns_forwarder *f);

/**
 * @brief Writes the answer for the one whom kirim_dns_forwarder_next() named.
 *
 * @param f      The forwarder.
 * @param reply  Room, at least KIRIM_DNS_UDP_BYTES; `bytes` is set: 0 means that nothing is to be
 *               sent.
 */
void kirim_dns_forwarder_write(struct kirim_dns_forwarder *f, struct kirim_dns_room *reply);

/** @brief What it counted; lives as long as the forwarder. */
const struct kirim_dns_forwarder_stats *kirim_dns_forwarder_stats(
    const struct kirim_dns_forwarder *f);

/** @brief What its cache counted; likewise. */
const struct kirim_dns_cache_stats *kirim_dns_forwarder_cache_stats(
    const struct kirim_dns_forwarder *f);

#endif
