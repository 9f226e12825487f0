/* SPDX-License-Identifier: MIT
 *
 * A generic UDP relay: who speaks to its listening address speaks to one server behind it, through
 * a socket of his own there; see relay.c. Knows nothing of the protocol that it carries, and
 * changes no datagram. One thread.
 */
#ifndef EXAMPLES_RELAY_H
#define EXAMPLES_RELAY_H

#include <kirim/kirim.h>
#include <kirim/limiter.h>
#include <kirim/session.h>

enum {
    RELAY_PEER_COUNT = 1024, /* default cap */
    RELAY_PEER_COUNT_MAX = 65536,
    RELAY_NEW_PER_SECOND = 100, /* default: of one prefix */
    RELAY_LIMITER_SLOTS = 4096
};

struct relay;
struct relay_peer;

/* Why a datagram of a peer, or of the server for it, was not handed to the system. What the system
 * then drops is in the statistics of the endpoints, and who got no socket in those of the set. */
enum {
    RELAY_DROP_FULL = 0,      /* the queue of the endpoint that it would leave by is full */
    RELAY_DROP_TRUNCATED = 1, /* it did not arrive whole */
    RELAY_DROP_BOUND = 2,     /* the peer has had its share (`amplification`) */
    RELAY_DROP_REFUSED = 3,   /* kirim refused it: no memory, too long for the other family */
    RELAY_DROP_JUDGED = 4,    /* `judge` said so */
    RELAY_DROP_COUNT = 5
};

/* Why a peer has ended. */
enum {
    RELAY_END_IDLE = 0,    /* nothing came, either way */
    RELAY_END_EVICTED = 1, /* it made room for another one */
    RELAY_END_ICMP = 2,    /* the network said that one of the two ends is not there */
    RELAY_END_CLOSED = 3,  /* the relay ends */
    RELAY_END_COUNT = 4
};

/* One direction. */
struct relay_way {
    uint64_t datagrams, bytes; /* that arrived for somebody; a train counts as its datagrams */
    uint64_t trains;           /* of those, whole trains */
    uint64_t passed;           /* datagrams that were posted on */
    uint64_t drops[RELAY_DROP_COUNT];
};

struct relay_stats {
    struct relay_way up, down; /* from the peers to the server, and back */
    uint64_t began, ended[RELAY_END_COUNT];
    uint64_t limited;        /* datagrams of new peers over the rate of their prefix */
    uint64_t unopened;       /* new peers for whom no socket could be opened */
    uint64_t icmp;           /* other reports of the network, which end nobody */
    uint32_t peer_count;     /* now: a level */
    uint32_t peer_count_max; /* most at once */
};

/* What becomes of a datagram if somebody else decides; as it is written for `judge`, it passes as
 * it came. */
struct relay_fate {
    uint32_t copy_count;       /* 0 .. 2 */
    uint32_t ecn;              /* that they leave with */
    uint64_t not_before_ns[2]; /* of each copy: when it leaves */
};

/* What to do; relay_init() sets the defaults. */
struct relay_options {
    struct kirim_addr listen, to;
    uint64_t idle_ns;        /* silence in both directions that ends a peer; 120 s */
    uint32_t peer_count_max; /* at the cap the one that was silent longest makes room */
    uint32_t new_per_second; /* new peers of one prefix, IPv4 /24, IPv6 /56; 0: no limit */
    uint32_t amplification;  /* bytes to a peer, as a multiple of those from it; 0: no limit */
    bool is_fragmenting;     /* leave what is too long for the path to the system to cut */
    bool is_unmarked;        /* do not carry ECN and DSCP */
    uint32_t receive_buffer_bytes; /* of the listening socket; 0: the system's default */
    uint32_t queue_count_max; /* of each socket: datagrams that wait to leave; 0: the default */
    /* Decides about each datagram from here on, and may change its bytes in place. NULL: all pass
     * at once, trains in one piece. */
    void (*judge)(struct relay *relay, bool is_up, const struct kirim_datagram *d,
                  struct relay_fate *fate);
    /* Told of each peer that begins (`end` negative) or has ended; may be NULL. */
    void (*on_peer)(struct relay *relay, const struct kirim_addr *peer, int end);
    void *user;
};

/* Peers, the one that was silent longest first. */
struct relay_list {
    struct relay_peer *oldest, *youngest;
};

/* The caller's storage; in place until the loop is closed. */
struct relay {
    struct relay_options options; /* to be set between relay_init() and relay_open() */
    struct relay_stats stats;
    struct kirim_endpoint_stats gone; /* sums over the sockets of peers that have ended */
    struct kirim_loop *loop;
    struct kirim_sessions *set;  /* NULL: not open */
    struct relay_list strangers; /* who has not spoken since it was answered; these go first */
    struct relay_list known;
    struct kirim_timer idle_timer;
    struct kirim_limiter limiter;
    struct kirim_limiter_slot *slots;
    uint32_t caps;         /* of the loop */
    bool is_naming_source; /* bound to a wildcard: answers name the address that was asked */
};

/* Writes the defaults. */
void relay_init(struct relay *relay);

/* Listens. KIRIM_EINVAL: the two addresses are one; otherwise as kirim_sessions_open(). */
kirim_err relay_open(struct relay *relay, struct kirim_loop *loop);

/* Ends all peers, and listens no more; also done by the end of the loop. */
void relay_close(struct relay *relay);

/* The listening endpoint. */
struct kirim_endpoint *relay_endpoint(const struct relay *relay);

/* Statistics of the sockets to the server, of all peers that are or were: sums. */
void relay_read_upstream(const struct relay *relay, struct kirim_endpoint_stats *out);

/* Names of the numbers above, as words of statistics. */
const char *relay_drop_name(int drop);
const char *relay_end_name(int end);

#endif
