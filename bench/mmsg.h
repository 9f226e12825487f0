/* SPDX-License-Identifier: MIT
 *
 * Batches of recvmmsg and sendmmsg, for the hand-written loops: headers filled once, and an echo
 * that sends from the very headers and slots in which a batch arrived.
 *
 * True throughout: a short batch means an empty socket, so no call is spent on seeing EAGAIN; every
 * datagram that came in is sent or counted as dropped. Inline, so that each program is the loop
 * that one would write for it alone. One thread. Sources: recvmmsg(2), sendmmsg(2), udp(7).
 */
#ifndef BENCH_MMSG_H
#define BENCH_MMSG_H

#include "common.h"

#include <errno.h>
#include <stdbool.h>

struct mmsg {
    int fd;
    struct bench_counts counts;
    struct mmsghdr msgs[BENCH_BATCH_COUNT];
    struct iovec iovs[BENCH_BATCH_COUNT];
    struct sockaddr_in names[BENCH_BATCH_COUNT];
    uint8_t slots[BENCH_BATCH_COUNT][BENCH_SLOT_BYTES];
};

static inline void mmsg_init(struct mmsg *m, int fd)
{
    m->fd = fd;
    for (unsigned i = 0; i < BENCH_BATCH_COUNT; i++) {
        m->iovs[i] = (struct iovec){ .iov_base = m->slots[i], .iov_len = BENCH_SLOT_BYTES };
        m->msgs[i].msg_hdr = (struct msghdr){
            .msg_name = &m->names[i],
            .msg_namelen = sizeof m->names[i],
            .msg_iov = &m->iovs[i],
            .msg_iovlen = 1,
        };
    }
}

/* Each pass sends, drops or waits for room; a stop ends the waiting. */
static inline void mmsg_send(struct mmsg *m, unsigned count)
{
    unsigned done = 0;
    while (done < count) {
        const int sent = sendmmsg(m->fd, m->msgs + done, count - done, 0);
        m->counts.tx_calls++;
        if (sent > 0) {
            done += (unsigned)sent;
            m->counts.tx += (unsigned)sent;
        } else if (errno == EAGAIN) {
            if (bench_is_stop_asked) {
                break;
            }
            bench_wait_writable(m->fd);
        } else if (errno != EINTR) {
            done++; /* The error is the first datagram's; the others have done nothing wrong. */
            m->counts.drop++;
        }
    }
    m->counts.drop += count - done;
}

static inline unsigned mmsg_receive(struct mmsg *m)
{
    const int received = recvmmsg(m->fd, m->msgs, BENCH_BATCH_COUNT, 0, NULL);
    m->counts.rx_calls++;
    if (received < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            bench_fail("recvmmsg");
        }
        return 0;
    }
    m->counts.rx += (unsigned)received;
    return (unsigned)received;
}

/* Sends the batch from the headers and slots that it arrived in, and makes them ready again. */
static inline void mmsg_echo(struct mmsg *m, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        m->iovs[i].iov_len = m->msgs[i].msg_len;
    }
    mmsg_send(m, count);
    for (unsigned i = 0; i < count; i++) {
        m->iovs[i].iov_len = BENCH_SLOT_BYTES;
    }
}

/* Serves a readable socket until it is empty. */
static inline void mmsg_serve(struct mmsg *m, bool is_echo)
{
    unsigned count = BENCH_BATCH_COUNT;
    while (count == BENCH_BATCH_COUNT && !bench_is_stop_asked) {
        count = mmsg_receive(m);
        if (is_echo && count > 0) {
            mmsg_echo(m, count);
        }
        for (unsigned i = 0; i < count; i++) {
            m->msgs[i].msg_hdr.msg_namelen = sizeof m->names[i];
        }
    }
}

#endif
