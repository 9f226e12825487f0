/* SPDX-License-Identifier: MIT
 *
 * Receiving, for the POSIX reactors: the calls that read datagrams, and their slots.
 *
 * Message headers are filled once, when the reactor opens, and keep that form: whoever writes more
 * puts it back. Loop thread. Sources: recvmmsg(2), recvmsg(2), udp(7).
 */
#ifndef KI_POSIX_RX_H
#define KI_POSIX_RX_H

#include "posix_addr.h"
#include "posix_control.h"
#include "reactor.h"

#include <sys/socket.h>
#include <sys/uio.h>

struct ki_posix;
struct ki_posix_port;

/* What a receive slot needs beside its header. */
struct ki_posix_slot {
    union ki_posix_name name;
    struct iovec iov;
    size_t control_bytes;   /* of the last arrival */
    uint32_t segment_bytes; /* of its datagrams if it is a train, else 0 */
    /* Of a rest: */
    uint32_t bytes;
    uint8_t ecn;
    uint8_t flags;
};

/* The receive slots. */
struct ki_posix_rx {
    struct mmsghdr *headers;
    struct ki_posix_slot *slots;
    uint8_t *data;       /* bytes of all slots */
    size_t slot_stride;  /* from one slot's bytes to the next one's */
    uint32_t slot_bytes; /* largest datagram that a slot takes */
    uint32_t slot_count;
    uint32_t slot_next; /* those before it are lent, or hold the rest of a port */
    void *block;        /* what `data` lies in */
    size_t block_bytes;
    struct ki_posix_control_in *controls;
    struct ki_posix_rest *first, **last; /* ports with a rest, in the order of their slots */
};

/* Slots of a port that were read and, as they hold trains, not handed over in one batch. They
 * outlive the take-back of slots, which moves them to the first ones. */
struct ki_posix_rest {
    struct ki_posix_rest *next;
    uint32_t slot;   /* the first */
    uint32_t count;  /* 0: none, and on no list */
    uint32_t offset; /* of the first one's bytes, what has been handed over */
    uint32_t flags;  /* KI_RX_... once it is used up */
};

kirim_err ki_posix_rx_open(struct ki_posix *r, const struct kirim_loop_options *options);
void ki_posix_rx_close(struct ki_posix *r);

/* Takes back all slots but those of a rest. */
void ki_posix_rx_take_back(struct ki_posix *r);

/* Forgets the rest of a port that is closed. */
void ki_posix_rx_forget(struct ki_posix *r, struct ki_posix_port *p);

/* Member of struct ki_reactor_ops. */
uint32_t ki_posix_receive(struct ki_reactor *reactor, struct ki_port *port,
                          struct kirim_datagram *d, uint32_t max);

#endif
