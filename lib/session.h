/* SPDX-License-Identifier: MIT
 *
 * Sessions' own structures, and what their files ask of each other.
 *
 * A session lies in a place of its set: places come in chunks that stay where they are, are used
 * again, and count how often, which is the upper half of a session's number. Keys are three words
 * of whatever kind. What is to be told later (last callbacks, room that was earned) waits for a
 * timer of the set, so that nothing is called from inside a call. Loop thread.
 */
#ifndef KI_SESSION_H
#define KI_SESSION_H

#include <kirim/session.h>

#include "amplification.h"
#include "core.h"
#include "map.h"

#include <stddef.h>

enum {
    KI_CHUNK_SESSIONS = 64,
    KI_SESSION_FREE = 0, /* its place is nobody's */
    KI_SESSION_OPEN = 1,
    KI_SESSION_CLOSING = 2 /* its last callback is to come */
};

/* An address, or the bytes of a key: its length stands where an address has its family. */
struct ki_session_key {
    uint64_t word[3];
};

/* A way to a peer, and what it has earned. */
struct ki_session_path {
    struct kirim_addr peer; /* none: no path */
    struct kirim_amplification budget;
};

/* A key beside the first one. */
struct ki_extra_key {
    struct ki_session_key key;
    struct ki_extra_key *next;
    struct kirim_session *session;
};

struct kirim_session {
    /* What every arrival touches: the first lines of the cache. */
    struct ki_session_key key; /* the first one */
    uint64_t state;            /* KI_SESSION_... */
    struct kirim_sessions *set;
    uint64_t batch_first; /* of the batch that is being sorted: its first datagram, and 1 */
    uint64_t batch_last;
    struct ki_session_path path;
    uint64_t rx_datagrams, rx_bytes;
    uint64_t heard_ns;
    void *user;
    uint64_t is_limited; /* a send was refused as its path has not earned it */
    struct kirim_session_handler handler;
    /* The others. */
    uint64_t id;
    uint64_t hash;           /* of the first key */
    struct kirim_addr local; /* that the path leads to; none: not known */
    struct ki_session_path candidate;
    struct kirim_addr candidate_local;
    struct ki_extra_key *extras;
    struct kirim_timer *timers;
    struct kirim_timer idle_timer;
    struct kirim_session *older, *younger; /* neighbours among those that are not validated */
    struct kirim_session *next;            /* among those to be told, or of free places */
    struct kirim_session *blocked_next, **blocked_link; /* among those that wait for the endpoint */
    uint64_t is_told;                                   /* on the list of those to be told */
    uint64_t is_blocked;                                /* on the list of those that wait */
    uint64_t reason;                                    /* KIRIM_SESSION_... of its end */
    uint64_t tx_datagrams, tx_bytes;
    uint64_t opened_ns;
    struct kirim_stack *stack; /* that it carries, or NULL */
};

enum {
    KI_LINE_BYTES = 64,
    KI_SESSION_HOT_BYTES = 3 * KI_LINE_BYTES /* `handler.received` lies within */
};
_Static_assert(offsetof(struct kirim_session, handler) +
                       offsetof(struct kirim_session_handler, writable) <=
                   KI_SESSION_HOT_BYTES,
               "an arrival touches these lines and no more");

/* Value of a key in the map: a session, or one of its extra keys if the lowest bit says so. */
enum { KI_IS_EXTRA = 1 };

struct kirim_sessions {
    struct kirim_endpoint *ep;
    struct kirim_loop *loop;
    kirim_classify_fn classify;
    void *user;
    struct kirim_sessions_handler handler;
    struct kirim_session_handler session_handler;
    uint64_t hash_key[2];
    struct ki_map keys;
    struct ki_map prefixes; /* how many sessions each has; unused without a cap */
    uint64_t prefix_mask_ipv4[2], prefix_mask_ipv6[2]; /* over an address's words */
    uint64_t count_max, prefix_count_max, unvalidated_count_max;
    uint64_t eviction;
    uint64_t amplification; /* of each new path; 0: what is usual */
    uint64_t idle_ns, unvalidated_idle_ns;
    size_t stack_at;    /* where a place has room for a stack */
    size_t stack_bytes; /* that room */
    size_t place_bytes; /* of a session, its state and its stack */
    unsigned char **chunks;
    uint64_t chunk_count, chunk_room;
    struct kirim_session *free;                    /* places to be used again */
    uint64_t place_count;                          /* that were ever used */
    struct kirim_session *oldest, *youngest;       /* that are not validated */
    struct kirim_session *told, **told_last;       /* those to be told */
    struct kirim_session *blocked, **blocked_last; /* those that wait for the endpoint */
    uint64_t blocked_count;
    struct kirim_timer tell_timer;
    struct kirim_timer drain_timer;
    uint64_t is_draining;   /* nobody new is let in; without sessions it is closed */
    struct ki_guard *guard; /* NULL: nobody asks for tokens */
    const struct kirim_datagram *answering;   /* what the running `admit` or `stateless` has */
    struct kirim_amplification answer_budget; /* what may be sent to it */
    uint64_t choice;                          /* counts random choices */
    uint64_t state;                           /* KI_SESSION_... */
    uint64_t names_source; /* the endpoint is on a wildcard: what leaves names the local address */
    struct kirim_sessions_stats stats;
    /* The session that is being told `received`, and what of the loop's batch is its own. */
    const struct kirim_session *handed;
    const struct kirim_datagram *handed_first;
    uint64_t handed_count;
    struct kirim_session *whose[KI_BATCH_MAX]; /* of the batch that is being sorted */
    uint8_t follower[KI_BATCH_MAX];
    struct kirim_datagram sorted[KI_BATCH_MAX];
};

/* ---- session_key.c --------------------------------------------------------------------------- */

/* The key of an address, or of bytes. */
static inline struct ki_session_key ki_key_of_peer(const struct kirim_addr *peer)
{
    return (struct ki_session_key){ { peer->word[0], peer->word[1], peer->word[2] } };
}
struct ki_session_key ki_key_of_bytes(const void *bytes, size_t count);

uint64_t ki_key_hash(const struct kirim_sessions *set, const struct ki_session_key *key);

/* The session of a key, open; or NULL. */
struct kirim_session *ki_key_find(const struct kirim_sessions *set,
                                  const struct ki_session_key *key, uint64_t hash);

/* Has what a search for a hash leads to come near. */
void ki_key_prefetch(const struct kirim_sessions *set, uint64_t hash);

/* Takes all keys of a session out. */
void ki_keys_remove(struct kirim_session *s);

/* How many sessions of an address's prefix there are; NULL: none, or nobody counts. */
uint64_t *ki_prefix_find(const struct kirim_sessions *set, const struct kirim_addr *peer);
bool ki_prefix_count(struct kirim_sessions *set, const struct kirim_addr *peer);
void ki_prefix_uncount(struct kirim_sessions *set, const struct kirim_addr *peer);

/* ---- session_place.c ------------------------------------------------------------------------- */

/* A zeroed place with its number; NULL: no memory. */
struct kirim_session *ki_place_take(struct kirim_sessions *set);
void ki_place_give(struct kirim_session *s);
struct kirim_session *ki_place_at(const struct kirim_sessions *set, uint64_t index);
void ki_places_free(struct kirim_sessions *set);

/* ---- session_life.c -------------------------------------------------------------------------- */

/* Whether a new session may begin, or would if one made room. Counts why not. */
bool ki_session_may_begin(struct kirim_sessions *set, const struct kirim_addr *peer);

/* Begins a session, for which somebody may have to make room. `d`: the datagram that asked for it,
 * whose bytes count as heard; NULL: none did. */
kirim_err ki_session_begin(struct kirim_sessions *set, const struct kirim_addr *peer,
                           const struct ki_session_key *key, uint64_t hash,
                           const struct kirim_datagram *d, const struct kirim_admission *admission,
                           struct kirim_session **out);

void ki_session_end(struct kirim_session *s, int reason);

/* Marks the path validated. */
void ki_session_note_validated(struct kirim_session *s);

/* Has something told to a session, or its end, in a step of its own. */
void ki_session_tell_later(struct kirim_session *s);
void ki_sessions_tell(struct kirim_sessions *set);

/* ---- session_guard.c ------------------------------------------------------------------------- */

/* Sets up what the options of a set ask for; after an error too ki_guard_close() is due. */
kirim_err ki_guard_open(struct kirim_sessions *set, const struct kirim_sessions_options *options);
void ki_guard_close(struct kirim_sessions *set);

/* Whether who asks for a session may have one, as far as the guard is concerned; sets
 * `*is_validated` for who has brought a token. Counts why not. */
bool ki_guard_lets_in(struct kirim_sessions *set, const struct kirim_datagram *d,
                      uint32_t *is_validated);

/* ---- session_rx.c ---------------------------------------------------------------------------- */

/* The local address that a datagram was sent to, if answers can leave from it; or none. */
struct kirim_addr ki_local_of(const struct kirim_datagram *d);

/* Whom kirim_sessions_answer() may answer from here on, within the bound; NULL: nobody. */
void ki_sessions_let_answer(struct kirim_sessions *set, const struct kirim_datagram *d);

/* The endpoint's `received`. */
void ki_sessions_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user);

/* ---- session_tx.c ---------------------------------------------------------------------------- */

/* The endpoint's `writable`. */
void ki_sessions_writable(struct kirim_endpoint *ep, void *user);

/* Takes a session off the list of those that wait for the endpoint. */
void ki_session_unblock(struct kirim_session *s);

#endif
