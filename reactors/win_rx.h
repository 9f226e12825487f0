/* SPDX-License-Identifier: MIT
 *
 * Receiving, for the Windows readiness reactors: WSARecvMsg, once for each datagram, and its slots;
 * and what all Windows reactors make of its answer.
 *
 * Both overlapped pointers are NULL, so that a call never leaves anything behind. Loop thread.
 * Sources: LPFN_WSARECVMSG, "IPPROTO_UDP socket options" (UDP_RECV_MAX_COALESCED_SIZE).
 */
#ifndef KI_WIN_RX_H
#define KI_WIN_RX_H

#include "reactor.h"
#include "win_addr.h"
#include "win_control.h"

struct ki_win;
struct ki_win_port;

/* A receive buffer and what is lent with it. */
struct ki_win_slot {
    uint8_t *data;
    struct kirim_arrival arrival;
};

/* A train that arrived coalesced and was not handed over in one batch. It outlives the take-back of
 * slots, which moves it to one of the first. */
struct ki_win_rest {
    struct ki_win_rest *next;
    uint32_t slot;
    uint32_t bytes; /* of the train; 0: there is no rest, and it is on no list */
    uint32_t offset;
    uint32_t segment_bytes;
    struct kirim_datagram like; /* what its datagrams have in common */
};

/* The receive slots. */
struct ki_win_rx {
    struct ki_win_slot *slots;
    uint32_t slot_bytes; /* largest datagram that a slot takes */
    uint32_t slot_count;
    uint32_t slot_next; /* those before it are lent, or hold the rest of a port */
    void *block;        /* the bytes of all slots */
    size_t block_bytes;
    struct ki_win_rest *first, **last; /* in the order of their slots */
    /* Of the last call; read before the next one. */
    union ki_win_name name;
    struct ki_win_control_in control;
};

kirim_err ki_win_rx_open(struct ki_win *r, const struct kirim_loop_options *options);
void ki_win_rx_close(struct ki_win *r);

/* Takes back all slots but those of a rest. */
void ki_win_rx_take_back(struct ki_win *r);

/* Forgets the rest of a port that is closed. */
void ki_win_rx_forget(struct ki_win *r, struct ki_win_port *p);

/* What a receive has said. */
struct ki_win_result {
    int sys_err;    /* 0: a datagram is there */
    uint32_t bytes; /* of it */
    bool is_cut;    /* by the slot */
    WSAMSG msg;     /* as the system has left it; its control data is there, or empty */
};

/* Bytes of a datagram that did not fit (WSAEMSGSIZE): the buffer is full, whatever the count says.
 * If it was the control data that did not fit, the datagram may be shorter: only the count tells,
 * and a count of 0 is honest, where the bytes behind it may be anybody's. */
static inline uint32_t ki_win_rx_kept_bytes(DWORD msg_flags, DWORD count, uint32_t buffer_bytes)
{
    const bool is_control = (msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == MSG_CTRUNC;
    return is_control && count < buffer_bytes ? count : buffer_bytes;
}

/* Where it has put what came. */
struct ki_win_slot_view {
    uint8_t *data;
    const union ki_win_name *name;
    struct kirim_arrival *arrival; /* filled here, and lent with the datagram */
};

/* Describes what came. True: it is a train, described by `train`, of which nothing has been handed
 * over. */
bool ki_win_rx_describe(struct ki_win *r, struct ki_win_port *p, const struct ki_win_result *result,
                        const struct ki_win_slot_view *at, struct kirim_datagram *d,
                        struct ki_win_rest *train);

/* Describes at most `max` of a train's next datagrams, all of them as one if the port wants that.
 * Returns how many. */
uint32_t ki_win_rx_cut_train(const struct ki_port *port, struct ki_win_rest *rest,
                             struct kirim_datagram *d, uint32_t max);

/* Whether an error of a receive is that of an earlier send, so that the next receive may succeed
 * (L44, L45). */
bool ki_win_rx_is_report(int sys_err);

/* Tells an error of a receive, or does not if there simply was nothing. */
void ki_win_rx_tell_error(struct ki_win_port *p, int sys_err, const union ki_win_name *name);

/* Tells what a send has heard of an earlier one, if this receive has not heard anything itself. */
void ki_win_rx_tell_report(struct ki_win_port *p);

/* Member of struct ki_reactor_ops. */
uint32_t ki_win_receive(struct ki_reactor *reactor, struct ki_port *port, struct kirim_datagram *d,
                        uint32_t max);

#endif
