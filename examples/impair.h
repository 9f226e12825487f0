/* SPDX-License-Identifier: MIT
 *
 * A relay with a bad network in it: the simulator's model of a link (kirim/link.h), in real time;
 * see impair.c. One thread.
 */
#ifndef EXAMPLES_IMPAIR_H
#define EXAMPLES_IMPAIR_H

#include <kirim/link.h>

#include "relay.h"

enum {
    IMPAIR_UP = 0, /* from the peers to the server */
    IMPAIR_DOWN = 1,
    IMPAIR_OUTCOME_COUNT = KIRIM_LINK_CORRUPTED + 1,
    IMPAIR_PEER_COUNT = 64,    /* default cap */
    IMPAIR_HELD_COUNT = 16384, /* default: datagrams that a socket holds until their time */
    IMPAIR_HELD_COUNT_MAX = 65536
};

/* What the link of one direction did. */
struct impair_counts {
    uint64_t outcomes[IMPAIR_OUTCOME_COUNT]; /* by KIRIM_LINK_... */
    uint64_t duplicated, reordered, flipped, marked;
};

/* The caller's storage; in place until the loop is closed. */
struct impair {
    struct relay relay;               /* its options are impair_init()'s; the others may be set */
    struct kirim_link_rules rules[2]; /* of each direction; checked by impair_open() */
    struct kirim_link links[2];
    struct impair_counts counts[2];
    /* Told what becomes of each datagram, and which one of its direction it is; may be NULL. */
    void (*on_fate)(struct impair *impair, int direction, uint64_t ordinal,
                    const struct kirim_link_fate *fate);
    void *user;
};

/* Writes defaults: no faults. */
void impair_init(struct impair *impair);

/* Listens. The links are those of a simulated world with this seed between the hosts "client" and
 * "server". KIRIM_EINVAL: the rules are none; else as relay_open(). */
kirim_err impair_open(struct impair *impair, struct kirim_loop *loop, uint64_t seed);

#endif
