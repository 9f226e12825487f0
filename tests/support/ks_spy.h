/* SPDX-License-Identifier: MIT
 *
 * A reactor between the core and the real one: it passes everything on, writes down what it was
 * given to send, and plays what systems do that a loopback does not: to be full, to refuse, to end
 * a send late.
 *
 * It keeps the contract of lib/reactor.h itself, on every reactor that it stands in front of. One
 * at a time. Bytes of a send that ends late are checked when it ends: the core must have kept them.
 */
#ifndef KS_SPY_H
#define KS_SPY_H

#include "ks.h"
#include "reactor.h"

enum { KS_SPY_SEEN_MAX = 4096, KS_SPY_FLIGHT_MAX = 1024, KS_SPY_PORT_MAX = 16 };

#define KS_SPY_NO_LIMIT UINT32_MAX

/* An entry that the real reactor took, or that was put in flight. */
struct ks_spy_seen {
    const void *data; /* where its first byte lies */
    uint32_t bytes;
    uint32_t buf_count;
    uint32_t status;
    uint64_t tx_flags;
    const struct kirim_op *op;
    struct kirim_addr peer;
    bool has_control;
    struct kirim_control control;
    uint32_t number; /* its first four bytes */
    uint64_t at_ns;  /* the reactor's time when it was given it */
};

struct ks_spy_flight {
    struct ki_port *port;
    uint64_t number;
    struct ki_entry entry;
    uint64_t digest;
    bool is_sent;
    bool is_cancelled;
};

struct ks_spy {
    struct ki_reactor_ops ops;
    const struct ki_reactor_ops *inner;

    /* what it plays */
    uint32_t room;        /* entries until it is full */
    kirim_err refuse_err; /* 0: it refuses nothing */
    int refuse_code;
    uint32_t refuse_skip;  /* entries until it refuses */
    uint32_t refuse_count; /* how often, one entry at a time */
    bool is_late;          /* what it takes is in flight ... */
    uint32_t land_count;   /* ... until so many may end */
    bool is_landing_last_first;
    uint32_t late_err_at; /* which flight fails, counted from 1; 0: none */
    kirim_err late_err;
    bool is_deaf; /* to cancel() */

    /* what it wrote down */
    struct ks_spy_seen seen[KS_SPY_SEEN_MAX];
    size_t seen_count;
    size_t submit_count, cancel_count, wait_count;
    uint32_t flight_total;

    struct ks_spy_flight flight[KS_SPY_FLIGHT_MAX];
    size_t flight_count;
    struct ki_port *blocked[KS_SPY_PORT_MAX];
    size_t blocked_count;
    struct ki_port *closing[KS_SPY_PORT_MAX]; /* to be reported closed by the spy */
    size_t closing_count;
};

/* Opens the fixture's loop with a spy in front of its reactor. */
void ks_open_spied(struct ks *t);
kirim_err ks_try_open_spied(struct ks *t, struct kirim_loop_options *options);

/* Full; room for so many; room for all. */
void ks_spy_block(struct ks *t);
void ks_spy_set_room(struct ks *t, uint32_t count);
void ks_spy_unblock(struct ks *t);

/* Room for all, but who was told that it is full never hears of it. */
void ks_spy_strand(struct ks *t);

/* Lets `skip` entries pass, then refuses one entry `count` times. */
void ks_spy_refuse(struct ks *t, kirim_err err, int code, uint32_t skip, uint32_t count);

/* Ends up to `count` sends that are in flight, in the next wait. */
void ks_spy_land(struct ks *t, uint32_t count);

/* Frees it; nothing without one. */
void ks_spy_free(struct ks *t);

#endif
