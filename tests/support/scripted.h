/* SPDX-License-Identifier: MIT
 *
 * A reactor without a system: it does what a test's script says, and holds the contract of
 * lib/reactor.h against the core.
 *
 * Arrivals are put in, sends are taken, refused or kept in flight and ended in any order; the clock
 * moves when the core waits. What was lent lies in blocks of its own, which are given back to the C
 * library when the contract says so: a use after that is found by AddressSanitizer, and by the
 * bytes being other ones without it. A call that the contract forbids ends the test. A script
 * serves one loop, in its thread, but for wake. The ports stay readable until script_free().
 */
#ifndef SCRIPTED_H
#define SCRIPTED_H

#include <pthread.h>
#include <stdatomic.h>

#include "ks.h"
#include "reactor.h"

#define SCRIPT_NO_LIMIT UINT32_MAX

enum { SCRIPT_REFUSALS_MAX = 8 };

/* A send that was taken, in the order of taking. */
struct script_sent {
    uint64_t number;
    uint64_t digest;
    uint64_t tx_flags;
    const void *data; /* where its first byte lay */
    struct kirim_addr peer;
    struct kirim_control control;
    bool has_control;
    bool was_flying;
    bool is_refused; /* it flew, and ended with an error: it has not left */
    uint32_t status;
    uint32_t bytes;
    uint32_t value; /* its first four bytes, as ks_number() writes them */
};

struct script_flight {
    uint64_t number;
    uint64_t digest;
    size_t sent; /* its index among the sent */
    struct ki_entry entry;
    bool is_ending; /* to be told by the next wait */
    kirim_err err;
    int code;
};

/* After `skip` more entries were taken, the next one is refused `times` times. */
struct script_refusal {
    uint32_t skip;
    uint32_t times;
    kirim_err err;
    int code;
    uint32_t entries; /* so many are one train, and refused together; 0: one */
    bool is_stale;    /* the error is not the entry's own */
    bool has_report;  /* each refusal brings a report about `peer` with it */
    struct kirim_addr peer;
};

struct script_arrival {
    uint8_t *data; /* NULL: an error instead of a datagram */
    uint32_t bytes;
    uint8_t flags;
    struct kirim_addr peer;
    kirim_err err;
    int code;
    uint32_t path_mtu;
};

/* The reactor's side of a port. */
struct script_port {
    struct script *script;
    struct ki_port *port; /* NULL: closed */
    const struct kirim_endpoint *ep;
    struct kirim_addr local;

    /* what it plays */
    uint32_t room;      /* entries until it is full */
    uint32_t fly_every; /* of those it takes each n-th stays in flight; 0: none, 1: all */
    uint32_t batch_max; /* arrivals that one receive() hands over */
    bool
        flies_in_trains; /* what flies is a part of a train, that ends from the last to the first */
    bool is_deaf;        /* to cancel(); else what is cancelled ends KIRIM_EABORTED */
    bool is_close_held;  /* a port_close() is PENDING until this is taken back */
    bool is_always_more; /* says KI_RX_MORE whatever there is */
    struct script_refusal refusals[SCRIPT_REFUSALS_MAX];
    size_t refusal_count;

    /* what it saw */
    struct script_sent *sent;
    size_t sent_count, sent_room;
    struct script_flight *flights; /* in the order of taking */
    size_t flight_count, flight_room;
    size_t submit_count, receive_count, cancel_count;
    uint32_t fly_turn;
    bool is_blocked;
    bool is_closing;
    bool was_ready;  /* at least once */
    bool is_awaited; /* told ready, and not asked since */
    bool has_error_due;

    struct script_arrival *arrivals;
    size_t arrival_count, arrival_room;
    struct script_port *next;
};

/* A receive buffer that is lent, or held by a send in flight. */
struct script_lent {
    uint8_t *data;
    uint32_t bytes;
    uint32_t pin_count;
    bool is_back;
    struct kirim_arrival arrival;
    struct script_lent *next;
};

struct script_guest {
    struct kirim_guest *guest;
    uint32_t events; /* that have come: told by every wait until taken back */
    struct script_guest *next;
};

struct script {
    struct ki_reactor_ops ops;
    struct ks *t; /* whose trace gets a mark for each call, if is_traced */
    struct ki_reactor *reactor;

    /* what it plays */
    uint32_t caps; /* before the loop is opened */
    uint64_t now_ns;
    uint32_t random_seed; /* of the bytes that are said to be random; the same in every call */
    uint32_t slot_count;  /* datagrams that may be lent at the same time */
    kirim_err open_err, port_open_err, wait_err, random_err, watch_err;
    bool is_patient; /* a wait without a limit waits for a wake, else it ends the test */
    bool is_traced;
    bool tells_no_local; /* datagrams come without an arrival */
    bool is_foreign;     /* the process is a child: what the close is told */

    /* what it saw */
    size_t wait_count, now_count, release_count, rearm_count;
    uint64_t wait_deadline_ns; /* of the last wait */
    uint64_t rearm_ns;         /* of the last rearm */
    bool has_rearmed;
    bool is_rearmed_idle;
    struct script_port *ports;
    size_t port_count;

    struct script_lent *lent;
    uint32_t lent_count;
    bool is_starved;
    bool has_opened, has_begun_close;
    struct script_guest *guests;
    bool is_inside; /* a call of the reactor is running */
    pthread_t thread;
    pthread_mutex_t lock; /* over the wake */
    pthread_cond_t woken;
    bool is_wake_due;
    atomic_bool is_closed;
};

/* Makes a script; `caps` besides those that are always there. Frees it, once its loop is closed. */
struct script *script_new(struct ks *t, uint32_t caps);
void script_free(struct script *s);

/* Opens the fixture's loop on it. */
kirim_err script_try_open(struct script *s, struct kirim_loop_options *options);
void script_open(struct script *s);

/* The port of an endpoint, also when that is gone. */
struct script_port *script_port_of(struct script *s, const struct kirim_endpoint *ep);

/* Puts in what the next waits will find: a datagram, a number as one, an error. */
void script_arrive(struct script_port *sp, const void *data, uint32_t bytes, uint8_t flags,
                   const struct kirim_addr *peer);
void script_arrive_numbers(struct script_port *sp, uint32_t first, uint32_t count,
                           const struct kirim_addr *peer);
void script_arrive_error(struct script_port *sp, kirim_err err, int code,
                         const struct kirim_addr *peer, uint32_t path_mtu);

/* Refuses as script_refusal says, behind the refusals that are there. */
void script_refuse(struct script_port *sp, uint32_t skip, uint32_t times, kirim_err err, int code);

/* The same, and each refusal puts an error about `peer` in: its own, or one beside it. */
void script_refuse_reporting(struct script_port *sp, uint32_t skip, uint32_t times, kirim_err err,
                             const struct kirim_addr *peer, bool is_stale);

/* Lets the flight at `index` end in the next wait; all of them. */
void script_end(struct script_port *sp, size_t index, kirim_err err, int code);
void script_end_all(struct script_port *sp, kirim_err err);

/* From the next wait on a guest has `events`. */
void script_guest_events(struct script *s, struct kirim_guest *guest, uint32_t events);

/* What a wait would tell; then a turn, as the driver of a driven loop runs it. */
void script_drive(struct script *s);

/* The numbers of what has left, in order, are `first` .. `first + count - 1`. */
void script_check_sent(const struct script_port *sp, uint32_t first, size_t count);

/* ---- between scripted.c, scripted_port.c and scripted_send.c -----------------------------------
 */

/* An instance, as the core sees it. */
struct script_instance {
    struct ki_reactor reactor;
    struct script *script;
};

static inline struct script *script_of(struct ki_reactor *r)
{
    return ((struct script_instance *)(void *)r)->script;
}

enum { SCRIPT_PORT_REST_BYTES = 64 };

/* A port, as the core sees it. */
struct script_memory {
    struct ki_port port;
    struct script_port *side;
    uint8_t rest[SCRIPT_PORT_REST_BYTES];
};

void script_enter(struct script *s, char mark);
void script_leave(struct script *s);

/* Takes back what is lent, but for what is held in flight. */
void script_put_back(struct script *s);

/* Tells what has come at a port, its close last; false: nothing. */
bool script_tell_port(struct script_port *sp);

/* Tells what of the port's flights has ended; all of them, if it is closing. */
bool script_tell_ends(struct script_port *sp, bool is_closing);

/* Enters a call that only an open port may get. */
struct script_port *script_enter_port(struct ki_port *p, char mark);

/* The buffer that `data` lies in, lent or held; NULL: none. Frees those that are neither. */
struct script_lent *script_find_lent(struct script *s, const void *data);
void script_free_unused(struct script *s);

/* An array with room for one more than `count`. */
void *script_grow(void *array, size_t count, size_t *room, size_t item_bytes);

/* The port's functions of the reactor. */
void script_set_port_ops(struct ki_reactor_ops *ops);
void script_set_send_ops(struct ki_reactor_ops *ops);
void script_free_ports(struct script *s);

#endif
