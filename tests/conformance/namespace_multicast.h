/* SPDX-License-Identifier: MIT
 *
 * A network on which groups can be joined: a host with two interfaces, each of which leads to
 * another host; or, on Windows, where a test can make none, the loopback interface alone.
 */
#ifndef KC_NAMESPACE_MULTICAST_H
#define KC_NAMESPACE_MULTICAST_H

#include "support/ks.h"

/* A network that one of the interfaces leads to. */
struct kc_segment {
    uint32_t ifindex;           /* the interface */
    struct kirim_addr own[2];   /* its addresses, of the case's family */
    struct kirim_addr to_all;   /* IPv4: the broadcast address of the network */
    int far_fd;                 /* a UDP socket of the other host, which waits for ever so long */
    uint32_t far_ifindex;       /* its interface */
    struct kirim_addr far_addr; /* its address */
};

/* Why a case could not enter such a network, or NULL; and the same of a case that is content with
 * the first interface, by which its own host hears it. */
const char *kc_segments_obstacle(void);
const char *kc_segment_obstacle(void);

/* Why it cannot be shown that a sender's word keeps what it sends from this host, or NULL. */
const char *kc_unlooped_obstacle(void);

/* Whether the receiver of a broadcast is told its own address that would answer; else it is told
 * none. */
bool kc_broadcast_is_told_in_full(void);

/* Moves the process there; for cases that run in a child. By default the host sends to groups over
 * the first segment. What there is not stays zero: on the loopback interface alone, the second
 * segment, and of the first one `to_all` and the other host. */
void kc_segments_enter(struct kc_segment segment[2], int family);

/* Opens the fixture's loop there. */
void kc_segments_open(struct ks *t);

/* Has the other host's socket hear a group at the group's port; then send to it and receive. What
 * it receives is cut at `bytes`; none in 10 s is an error, as -1. */
void kc_far_join(const struct kc_segment *segment, const struct kirim_addr *group);
void kc_far_send(const struct kc_segment *segment, const void *data, size_t bytes,
                 const struct kirim_addr *to);
int kc_far_receive(const struct kc_segment *segment, void *out, size_t bytes);

#endif
