/* SPDX-License-Identifier: MIT
 *
 * What the Windows reactors have in common: their instance, their port, opening and closing both.
 *
 * A reactor's own structures begin with these two. select and wsaevent differ in how they wait, in
 * how they are woken, and in how they learn that a blocked port wants to be told (`want_writable`);
 * completion has its own way to receive and to send, too (win_op.h). All else is here, in
 * win_socket.c, win_msg.c, win_rx.c and win_tx.c. An instance owns its WSAStartup and the receive
 * buffers. Loop thread. Sources: WSAStartup, WSAIoctl.
 */
#ifndef KI_WIN_H
#define KI_WIN_H

#include "reactor.h"
#include "win_msg.h"
#include "win_rx.h"
#include "win_sys.h"

struct ki_win;

/* What the network said of an earlier datagram, and nobody was told yet; as rx_error of struct
 * ki_port. */
struct ki_win_report {
    uint64_t is_there;
    struct kirim_addr peer;
    kirim_err err;
    int sys_err;
};

/* A port of a Windows reactor. */
struct ki_win_port {
    struct ki_port port;
    uint64_t is_ipv6;          /* the socket is of AF_INET6: IPv4 destinations are written mapped */
    uint64_t is_blocked;       /* the system was full: ki_port_writable() is owed */
    uint64_t has_control;      /* arrivals bring control data */
    uint64_t has_times;        /* and among it perhaps when they came */
    uint64_t is_coalescing;    /* trains may arrive in one piece */
    uint64_t mtu_state[2];     /* KI_WIN_MTU_..., of IPv4 and of IPv6 (win_mtu.c) */
    DWORD mtu_mode[2];         /* what the sockets do by themselves, once it is known */
    struct ki_win_calls calls; /* of the socket's provider */
    struct ki_win_rest rest;   /* what was read and not handed over (win_rx.c) */
    struct ki_win_report report; /* what a send was told in another one's place (win_tx.c) */
};

/* An instance of a Windows reactor. */
struct ki_win {
    struct ki_reactor reactor;
    const struct ki_win_sys *sys;
    /* Sees to it that a blocked port is told; a reactor sets it in its open(). */
    kirim_err (*want_writable)(struct ki_win *r, struct ki_win_port *p);
    struct ki_win_calls calls[2]; /* of the providers of IPv4 and of IPv6; NULL: no such family */
    uint64_t segments_max;        /* most datagrams of a train out; 1: no segmentation offload */
    uint64_t has_coalescing;      /* trains in: the system can, and it was asked for */
    uint64_t may_report;          /* KIRIM_RECVERR does not say 0 */
    uint64_t has_discovery[2];    /* IP_MTU_DISCOVER, of IPv4 and of IPv6; else IP_DONTFRAGMENT */
    struct ki_win_rx rx;
    struct ki_win_out tx; /* the message of the call that is being made */
    WSABUF tx_bufs[KI_WIN_BUFS_MAX];
};

/* Opens the shared part of a zeroed instance, and probes the system. Fails without leaving anything
 * behind. */
kirim_err ki_win_open(struct ki_win *r, struct kirim_loop *loop,
                      const struct kirim_loop_options *options, uint32_t *caps);
void ki_win_close(struct ki_win *r);

/* Members of struct ki_reactor_ops. */
uint64_t ki_win_reactor_now(struct ki_reactor *reactor);
kirim_err ki_win_reactor_random(struct ki_reactor *reactor, void *out, size_t bytes);
void ki_win_release(struct ki_reactor *reactor);
kirim_err ki_win_port_buffers(struct ki_reactor *reactor, struct ki_port *port,
                              uint32_t *receive_bytes, uint32_t *send_bytes);
uint64_t ki_win_port_drops(struct ki_reactor *reactor, struct ki_port *port);

/* Nanoseconds from now to a deadline that is neither 0 nor KIRIM_NEVER; 0 if it has passed. */
uint64_t ki_win_remaining_ns(uint64_t deadline_ns);

/* The time-out of a wait until a deadline, in ms, rounded up; a far one is cut, for a wait may end
 * early. */
DWORD ki_win_timeout_ms(uint64_t deadline_ns);

/* Maps the last error, and tells the log which call set it. */
kirim_err ki_win_failed(struct kirim_loop *loop, const char *call);

#endif
