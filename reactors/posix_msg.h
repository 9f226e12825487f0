/* SPDX-License-Identifier: MIT
 *
 * Receiving and submitting, for the POSIX reactors: the calls that move datagrams, and their
 * arrays.
 *
 * Message headers are filled once, when the reactor opens, and keep that form: a plain datagram
 * writes only what differs from the last one (its bytes and its name), and whoever writes more puts
 * it back. Loop thread. Sources: recvmmsg(2), sendmmsg(2), recvmsg(2), sendmsg(2), udp(7).
 */
#ifndef KI_POSIX_MSG_H
#define KI_POSIX_MSG_H

#include "posix_addr.h"
#include "posix_control.h"
#include "reactor.h"

#include <sys/socket.h>
#include <sys/uio.h>

struct ki_posix;

/* What a receive slot needs beside its header. */
struct ki_posix_slot {
    union ki_posix_name name;
    struct iovec iov;
};

/* The receive slots: header, name and bytes of slot i belong together for ever. */
struct ki_posix_rx {
    struct mmsghdr *headers;
    struct ki_posix_slot *slots;
    uint8_t *data;       /* bytes of slot 0 */
    size_t slot_stride;  /* from one slot's bytes to the next one's */
    uint32_t slot_bytes; /* largest datagram that a slot takes */
    uint32_t slot_count;
    uint32_t slot_next; /* those before it are lent */
    void *block;        /* what `data` lies in */
    size_t block_bytes;
    /* A second set of headers for the same slots, with room for control data; made when the first
     * port wants it, so that the others pay nothing. */
    struct mmsghdr *control_headers;
    struct ki_posix_control_in *controls;
};

struct ki_posix_tx {
    struct mmsghdr headers[KI_BATCH_MAX];
    union ki_posix_name names[KI_BATCH_MAX];
    struct iovec iovs[KI_BATCH_MAX];
    struct ki_posix_control_out controls[KI_BATCH_MAX];
};

kirim_err ki_posix_rx_open(struct ki_posix *r, const struct kirim_loop_options *options);
void ki_posix_rx_close(struct ki_posix *r);

/* Sees to it that there are headers with room for control data. */
kirim_err ki_posix_rx_want_control(struct ki_posix *r);
void ki_posix_tx_init(struct ki_posix *r);

/* Members of struct ki_reactor_ops. */
uint32_t ki_posix_receive(struct ki_reactor *reactor, struct ki_port *port,
                          struct kirim_datagram *d, uint32_t max);
uint32_t ki_posix_submit(struct ki_reactor *reactor, struct ki_port *port, struct ki_entry *e,
                         uint32_t n, struct ki_refusal *why);

#endif
