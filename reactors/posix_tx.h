/* SPDX-License-Identifier: MIT
 *
 * Submitting, for the POSIX reactors: the calls that send datagrams, and their arrays.
 *
 * Message headers are filled once, when the reactor opens, and keep that form: a plain datagram
 * writes only what differs from the last one (its bytes and its name), and whoever writes more puts
 * it back. Loop thread. Sources: sendmmsg(2), sendmsg(2), udp(7).
 */
#ifndef KI_POSIX_TX_H
#define KI_POSIX_TX_H

#include "posix_addr.h"
#include "posix_control.h"
#include "reactor.h"

#include <sys/socket.h>
#include <sys/uio.h>

struct ki_posix;

enum {
    KI_TX_GATHER_MAX = 1024,   /* buffers of all trains of one call */
    KI_TX_TRAIN_BUFS_MAX = 512 /* of one train */
};

struct ki_posix_tx {
    struct mmsghdr headers[KI_BATCH_MAX];
    union ki_posix_name names[KI_BATCH_MAX];
    struct iovec iovs[KI_BATCH_MAX];
    struct ki_posix_control_out controls[KI_BATCH_MAX];
    uint32_t
        first[KI_BATCH_MAX + 1]; /* index of a header's first entry; behind the last, of none */
    uint32_t gather_count;
    struct iovec gather[KI_TX_GATHER_MAX]; /* of trains that are not one piece */
};

void ki_posix_tx_init(struct ki_posix *r);

/* Member of struct ki_reactor_ops. */
uint32_t ki_posix_submit(struct ki_reactor *reactor, struct ki_port *port, struct ki_entry *e,
                         uint32_t n, struct ki_refusal *why);

#endif
