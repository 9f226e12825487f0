/* SPDX-License-Identifier: MIT
 *
 * What the POSIX readiness reactors (select, epoll, later libevent) have in common: their instance,
 * their port, opening and closing both, the clock and the random bytes.
 *
 * A reactor's own structures begin with these two. They differ in how they wait, and in how they
 * learn that a blocked port wants to be told (`want_writable`); all else is here, in
 * posix_socket.c, posix_rx.c, posix_tx.c and posix_wake.c. An instance owns the wake descriptor and
 * the receive buffers. Loop thread, but for ki_posix_wake(). Sources: clock_gettime(2),
 * getrandom(2).
 */
#ifndef KI_POSIX_H
#define KI_POSIX_H

#include "posix_error.h"
#include "posix_rx.h"
#include "posix_sys.h"
#include "posix_tx.h"
#include "posix_wake.h"
#include "reactor.h"

struct ki_posix;

/* A port of a POSIX reactor. */
struct ki_posix_port {
    struct ki_port port;
    uint64_t is_ipv6;       /* the socket is of AF_INET6: IPv4 destinations are written mapped */
    uint64_t is_blocked;    /* the system was full: ki_port_writable() is owed */
    uint64_t has_control;   /* arrivals bring control data */
    uint64_t is_coalescing; /* trains may arrive in one piece */
    uint64_t rx_wanted;     /* slots of the next batch, so that its trains fit a turn; 0: as many as
                               there may be */
    struct ki_posix_rest rest; /* what was read and not handed over (posix_rx.c) */
    uint64_t singles_left;     /* receives of one that come before the next batch (posix_rx.c) */
    uint64_t singles_run;      /* how many of them followed the last batch of one */
    struct ki_posix_errors errors; /* what was reported and not told (posix_error.c) */
    uint64_t mtu_state;  /* KI_MTU_...: whether its IPv4 datagrams are cut (posix_mtu.c) */
    uint64_t drops;      /* datagrams the system dropped since the port was opened */
    uint32_t drops_seen; /* the system's own counter when it was last read */
    int mtu_mode;        /* IP_MTU_DISCOVER as it was opened, where that was asked */
};

/* An instance of a POSIX reactor. */
struct ki_posix {
    struct ki_reactor reactor;
    const struct ki_posix_sys *sys;
    /* Arms write interest in a port that is blocked; a reactor sets it in its open(). */
    kirim_err (*want_writable)(struct ki_posix *r, struct ki_posix_port *p);
    uint64_t has_batches;     /* recvmmsg and sendmmsg work here */
    uint64_t segments_max;    /* most datagrams of a train out; 1: no segmentation offload */
    uint64_t may_keep_times;  /* KIRIM_TXTIME does not say 0 */
    uint64_t has_coalescing;  /* trains in: the system can, and the slots are large enough */
    uint64_t has_error_queue; /* sockets have one, and the environment permits it */
    uint64_t is_forked;       /* closed by a child of the process that opened it */
    pid_t opener;
    uint64_t now_ns; /* last time read */
    struct ki_posix_rx rx;
    struct ki_posix_tx tx;
    /* Other threads write to the flag in there: it shares no cache line with what the loop uses. */
    uint8_t before_wake[64];
    struct ki_posix_wake wake;
    uint8_t behind_wake[64];
};

/* Opens the shared part of a zeroed instance, and probes the system. Fails without leaving anything
 * behind. */
kirim_err ki_posix_open(struct ki_posix *r, struct kirim_loop *loop,
                        const struct kirim_loop_options *options, uint32_t *caps);
void ki_posix_close(struct ki_posix *r);

/* Members of struct ki_reactor_ops. */
kirim_err ki_posix_begin_close(struct ki_reactor *reactor);
uint64_t ki_posix_now(struct ki_reactor *reactor);
kirim_err ki_posix_random(struct ki_reactor *reactor, void *out, size_t bytes);
void ki_posix_wake(struct ki_reactor *reactor);
void ki_posix_release(struct ki_reactor *reactor);

/* A socket of the reactor's own, that no child inherits; -1 and errno. */
int ki_posix_udp_socket(const struct ki_posix *r, bool is_ipv6);

/* Whether the environment says 0 to one of the KIRIM_ switches. */
bool ki_posix_is_off(const char *name);

/* Nanoseconds from now to a deadline that is neither 0 nor KIRIM_NEVER; 0 if it has passed. */
uint64_t ki_posix_remaining_ns(struct ki_posix *r, uint64_t deadline_ns);

/* Maps errno, and tells the log which call set it. */
kirim_err ki_posix_failed(struct kirim_loop *loop, const char *call);

#endif
