/* SPDX-License-Identifier: MIT
 *
 * What the two halves of the relay share: relay.c, which listens, and relay_peer.c, which has the
 * sockets to the server. One thread.
 */
#ifndef EXAMPLES_RELAY_PEER_H
#define EXAMPLES_RELAY_PEER_H

#include "relay.h"

/* One peer and its socket to the server. Freed with the last callback of that. */
struct relay_peer {
    struct relay *relay;
    struct kirim_session *session; /* NULL: it has ended */
    struct kirim_endpoint *upstream;
    struct kirim_addr addr;
    struct kirim_addr local; /* that it asked last, and is answered from; none: not known */
    struct relay_list *list;
    struct relay_peer *older, *younger;
    uint64_t heard_ns; /* from either side */
    uint64_t up_bytes, down_bytes;
    bool is_answered;
};

/* Gives a new session its peer and socket; NULL: there is none to be had. */
struct relay_peer *relay_peer_begin(struct relay *relay, struct kirim_session *session);

/* Passes on what a peer has sent. */
void relay_peer_receive(struct relay_peer *p, const struct kirim_batch *batch);

/* Ends a peer, for one of RELAY_END_... */
void relay_peer_end(struct relay_peer *p, int end);

/* Ends the peer that can best be spared; nothing if there is none. */
void relay_evict(struct relay *relay);

/* Ends those who have been silent for too long; the idle timer's callback. */
void relay_expire(struct kirim_timer *timer);

/* Flags of the sockets on either side. */
uint32_t relay_endpoint_flags(const struct relay *relay);

/* Whether the network says that nobody is there. */
bool relay_is_gone(const struct kirim_event *event);

#endif
