/* SPDX-License-Identifier: MIT
 *
 * The inside of a forwarder: questions under way, and who waits for them.
 *
 * A question is in a table by the hash of what its answer depends on, and a request in another one
 * by who sent it and for which question; places are shared between networks (kirim/share.h).
 */
#ifndef KI_DNS_PENDING_H
#define KI_DNS_PENDING_H

#include "forwarder.h"

enum {
    KI_DNS_BIT_DNSSEC_OK = 1, /* what an answer depends on beside its question */
    KI_DNS_BIT_CHECKING_DISABLED = 2,
    KI_DNS_CASE_BYTES = (KIRIM_DNS_NAME_BYTES_MAX + 7) / 8
};

/* A request that waits. */
struct kirim_dns_waiter {
    struct kirim_dns_waiter *next;       /* of the same question, in the order of arrival */
    struct kirim_dns_waiter **link;      /* what points to it there */
    struct kirim_dns_waiter *next_alike; /* with the same place in the table */
    struct kirim_dns_pending *pending;
    uint64_t hash;
    uint64_t since_ns;
    struct kirim_share share;
    struct kirim_dns_asker asker;
    struct kirim_dns_caller caller;
    uint8_t upper[KI_DNS_CASE_BYTES]; /* a bit for each byte of the name that is a capital letter */
};

struct kirim_dns_forwarder {
    struct kirim_dns_forwarder_options options;
    struct kirim_dns_forwarder_stats stats;
    struct kirim_dns_cache cache;
    struct kirim_dns_pending **pendings; /* tables, each of a power of two */
    struct kirim_dns_waiter **waiters;
    size_t pending_places, waiter_places;
    struct kirim_shares pending_shares, waiter_shares;
    struct kirim_dns_pending *surplus; /* of one question too many; it means nothing else */
    /* What is told to those who wait for the question that has ended, or who make room. */
    struct kirim_dns_pending *ending;
    struct kirim_dns_waiter *displaced;
    struct kirim_dns_waiter *told; /* who is told now */
    uint64_t now_ns;
    struct kirim_dns_kept kept;
};

/* A request that is being worked on. */
struct ki_dns_exchange {
    struct kirim_dns_forwarder *f;
    const struct kirim_dns_request *request;
    const struct kirim_dns_asker *asker;
    struct kirim_dns_message message;
    struct kirim_dns_caller caller;
    struct kirim_dns_cache_key key;
};

/* The forwarder's memory; NULL: there is none. NULL may be given back. */
void *ki_dns_pending_memory(const struct kirim_dns_forwarder_options *options, size_t bytes);
void ki_dns_pending_memory_end(const struct kirim_dns_forwarder_options *options, void *memory,
                               size_t bytes);

/* Whoever asks the same already; NULL: nobody. */
struct kirim_dns_pending *ki_dns_pending_find(const struct ki_dns_exchange *x, uint64_t hash);

/* A question that nobody is asking yet, for which the request waits; NULL: there is no room. */
struct kirim_dns_pending *ki_dns_pending_begin(struct ki_dns_exchange *x, uint64_t hash);

/* Has a request wait for a question. False: there is no room. */
bool ki_dns_pending_join(struct ki_dns_exchange *x, struct kirim_dns_pending *pending);

/* Forgets a request that waits, and a question with all who wait for it. */
void ki_dns_waiter_end(struct kirim_dns_forwarder *f, struct kirim_dns_waiter *waiter);
void ki_dns_pending_end(struct kirim_dns_forwarder *f, struct kirim_dns_pending *pending);

#endif
