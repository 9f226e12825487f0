/* SPDX-License-Identifier: MIT
 *
 * The contract between the core and a reactor.
 *
 * A reactor finds out and moves; the core decides and calls back. The contract is
 * completion-shaped: `wait` finds out, `receive` hands over a batch, `submit` takes a prefix of the
 * queue in order. Nothing of the user's ever runs below a reactor's function. A readiness reactor
 * is the same contract with fewer states: what its `submit` takes has left.
 *
 * A reactor is one constant `struct ki_reactor_ops` and as many instances as there are loops.
 * Everything here is for the loop's thread, but for `wake`. A reactor includes this header and
 * nothing else of lib/; a user may bring one of their own (kirim_loop_options.reactor_ops).
 * docs/seam.md tells how each reactor fulfils each line.
 *
 * Words before bytes: what is touched for every datagram is kept in whole words and loaded as it
 * was stored, since a wide load that follows a narrow store waits for it to leave.
 */
#ifndef KI_REACTOR_H
#define KI_REACTOR_H

#include <kirim/endpoint.h>
#include <kirim/guest.h>
#include <kirim/loop.h>
#include <kirim/multicast.h>

#include "growth.h"

/* Out of the line of what every datagram runs through: never but in trouble, or for some only. */
#ifdef __GNUC__
#define KI_COLD     __attribute__((cold, noinline))
#define KI_NOINLINE __attribute__((noinline))
#else
#define KI_COLD
#define KI_NOINLINE
#endif

struct ki_port;
struct ki_reactor;

enum {
    KI_BATCH_MAX = 64,         /* most datagrams that receive() is asked for */
    KI_WINDOW_MAX = 256,       /* most entries that submit() is given: some trains' worth */
    KI_TRAIN_BYTES_MAX = 65507 /* of a train, in both families */
};

/* ---- the send queue as a reactor sees it ----------------------------------------------------- */

/* `status` of an entry: its state in the lowest two bits, flags above. */
enum {
    KI_QUEUED = 0,   /* waits for submit() */
    KI_INFLIGHT = 1, /* submit() took it, ki_entry_finish() will come */
    KI_FINISHED = 2, /* finished; waits for those before it to be taken off the queue */
    KI_DEAD = 3,     /* cancelled while it waited; never given to submit() */
    KI_STATE = 3,    /* mask of the state */
    KI_LENT = 4,     /* its bytes are those that receive() lent */
    KI_STORED =
        8, /* its bytes, array or control data lie in the endpoint's store (the core's flag) */
    KI_RETRIED = 16, /* it was refused for somebody else's error and submitted again (the core's) */
    KI_DONTROUTE = 32,   /* KIRIM_SEND_DONTROUTE */
    KI_COPIED = 64,      /* it was lent, and lies in the endpoint's store of copies (the core's) */
    KI_FAILED = 128,     /* it was lost, and waits for the `failed` callback (the core's) */
    KI_ALONE = 256,      /* it leaves by itself, in no train */
    KI_TRAIN_HEAD = 512, /* it does not follow another one in a train, but may begin one */
    KI_OWNED = 1024,    /* it has a block of its own, freed when it is off the queue (the core's) */
    KI_IN_TRAIN = 2048, /* in flight as a part of a train (the reactor's) */
    KI_STALE_ONE = 1 << 24, /* stale refusals of it, counted in four bits (the core's) */
    KI_STALE_MAX = 8 << 24  /* so many; the next one is believed */
};

/* One datagram in an endpoint's queue. */
struct ki_entry {
    void *data;             /* buf_count 1: the bytes; else struct kirim_buf[buf_count] */
    uint32_t bytes;         /* in all */
    uint16_t buf_count;     /* 1 .. KIRIM_BUF_COUNT_MAX */
    uint16_t segment_bytes; /* of a train that the caller built, else 0 */
    struct kirim_addr peer; /* none: the address the port is connected to */
    struct kirim_op *op;    /* the core's */
    const struct kirim_control *control; /* NULL: nothing to say */
    uint32_t status;                     /* KI_... */
    uint32_t record;                     /* the reactor's, while in flight */
};
_Static_assert(sizeof(struct ki_entry) <= 64, "an entry fills one cache line");

/* Why submit() took less than it was given. */
struct ki_refusal {
    kirim_err err; /* KIRIM_EWOULDBLOCK: ki_port_writable() will come. Else the core judges it. */
    int sys_err;   /* the system's code */
    /* How many were refused together, from the first that was not taken; at least 1. More than 1:
     * they were one train. */
    uint32_t entries;
    /* The error is that of an earlier datagram, which the system has told in this one's place; the
     * port has it in store as a KI_RX_ERROR. The entry is submitted again. */
    uint32_t is_stale;
};

/* Whether two entries say the same to the system beside their bytes. */
bool ki_control_is_same(const struct kirim_control *a, const struct kirim_control *b);

/* Most entries of a train that begins with `head`; 1: it leaves by itself. */
static inline uint32_t ki_train_max(const struct ki_entry *head, uint64_t segments_max)
{
    const uint64_t bars = (head->status & (KI_ALONE | KI_DONTROUTE)) | head->segment_bytes;
    if (bars != 0 || head->bytes == 0 || segments_max < 2) {
        return 1;
    }
    const uint64_t fitting = KI_TRAIN_BYTES_MAX / head->bytes;
    const uint64_t most = segments_max < fitting ? segments_max : fitting;
    return most > 1 ? (uint32_t)most : 1;
}

/* Whether `next` may follow in the train of `head`: a neighbour to the same peer, with the same
 * control data, and no longer. A shorter one is the last. */
static inline bool ki_train_joins(const struct ki_entry *head, const struct ki_entry *next)
{
    const uint64_t bars =
        (next->status & (KI_ALONE | KI_TRAIN_HEAD | KI_DONTROUTE)) | next->segment_bytes;
    const uint64_t differs = (next->peer.word[0] ^ head->peer.word[0]) |
                             (next->peer.word[1] ^ head->peer.word[1]) |
                             (next->peer.word[2] ^ head->peer.word[2]) | bars;
    return differs == 0 && next->bytes - 1 < head->bytes &&
           (next->control == head->control || ki_control_is_same(next->control, head->control));
}

/* ---- ports and reactors ---------------------------------------------------------------------- */

/* Out of receive(), in `rx_flags`. */
enum {
    KI_RX_MORE = 1,    /* there may be more: ask again without waiting */
    KI_RX_STARVED = 2, /* no receive buffers left until release() or wait() */
    KI_RX_ERROR = 4    /* rx_error says what the system reported; the port goes on */
};

/* Into submit(), in `tx_flags`. */
enum {
    KI_TX_NOW = 1 /* take it now or not at all: nothing may stay in flight */
};

/* A group that a port has joined. Addresses are bare: without port and scope. */
struct ki_membership {
    struct ki_membership *next; /* of the port; NULL ends them */
    struct kirim_addr group;    /* of a family that the port can hear */
    struct kirim_addr source;   /* none: any */
    uint32_t ifindex;           /* 0: the system's choice */
};

/* A port is the reactor's side of an endpoint: first member of the reactor's own structure of
 * `port_bytes`. Its memory is the core's, zeroed before port_open(), and outlives the callback that
 * closed it. */
struct ki_port {
    struct kirim_endpoint *ep;  /* the core's */
    struct ki_port *ready_next; /* the list of ready ports */
    uint64_t is_ready;          /* on that list */
    uint64_t rx_flags;          /* out of receive() */
    uint64_t tx_flags;          /* into submit() */
    uint64_t tx_number;       /* into submit(): number of its first entry; the next has the next */
    uint64_t tx_segments_max; /* out of port_open(): most datagrams of a train; 0 or 1 is "no
                                 trains". Into submit() */
    uint64_t inflight_count;  /* up in submit(), down in ki_entry_finish() */
    uint64_t rx_calls;        /* system calls that received, up by the reactor */
    uint64_t tx_calls;        /* system calls that sent, up by the reactor */
    uint64_t tx_trains;       /* trains among what was sent, up by the reactor */
    uint64_t rx_trains;       /* trains among what was received, up by the reactor */
    uint64_t errors_waiting;  /* out of submit(), if it took less than it was given: not 0 if
                                 receive() has a KI_RX_ERROR in store; the core then calls it */
    uint64_t wants_coalesced; /* into port_open(): trains may arrive coalesced */
    uint64_t wants_whole;     /* into port_open(): such trains are not cut */
    uint64_t datagram_bytes_max; /* into port_open(): what receive() may hand over at most */
    uint64_t is_raw;             /* out of port_open(): a raw socket, whose peers have no port */
    uint64_t is_dual_stack;      /* out of port_open(): adopted, of IPv6, and serves IPv4 too */
    uint64_t keeps_times;        /* out of port_open(): submit() may be given control data with a
                                    not-before time, which the system keeps; else it never is */
    intptr_t descriptor;         /* out of port_open(): the socket, or KIRIM_NO_DESCRIPTOR */
    struct kirim_addr local;     /* out of port_open(): bound to */
    struct kirim_addr remote;    /* out of port_open(): connected to, or none */
    struct ki_membership *memberships; /* the core's: what has been joined and not left; the reactor
                                          may read it until port_close() has returned */
    struct {                           /* out of receive(), with KI_RX_ERROR */
        struct kirim_addr peer;        /* whom it concerns, or none */
        kirim_err err;
        int sys_err;
        uint32_t path_mtu; /* 0: not told */
        uint8_t origin;    /* KIRIM_ORIGIN_... */
        uint8_t icmp_type;
        uint8_t icmp_code;
    } rx_error;
};

/* Ports with something to receive, in the order in which they became ready. */
struct ki_ready {
    struct ki_port *first; /* NULL: none */
    struct ki_port **last; /* where the next one is linked in */
};

/* An instance of a reactor: first member of its own structure, allocated by its open(). */
struct ki_reactor {
    struct kirim_loop *loop;      /* set by open() */
    struct ki_ready *ready;       /* set by the core after open() */
    uint64_t timer_resolution_ns; /* set by open() */
    uint64_t wake_count;          /* waits that ended by wake(), up by the reactor */
    uint64_t turn_ns; /* the core's: time of this turn, if anybody has asked for it; else 0 */
};

/* What a reactor is. Members are never NULL unless it says so. */
struct ki_reactor_ops {
    const char *name;     /* as kirim_loop_open() takes it */
    size_t port_bytes;    /* of its port, whose first member is a struct ki_port */
    bool is_by_name_only; /* never the default: it has to be asked for */

    /* Opens an instance on `loop`, whose allocator, log and system-call table are ready. Probes the
     * system once and writes KIRIM_CAP_ bits to `*caps`. Fails without leaving anything behind. */
    kirim_err (*open)(struct kirim_loop *loop, const struct kirim_loop_options *options,
                      struct ki_reactor **out, uint32_t *caps);

    /* The loop begins to close: called once, before anything else of it. KIRIM_OK; or KIRIM_ECLOSED
     * if this process is a child of the one that opened the instance: then the core submits nothing
     * any more, and port_close(), unwatch() and close() give up what is this process's own and
     * leave alone what it shares. NULL: always KIRIM_OK. From here on every function may be called
     * from another thread than before, if that one has ended. */
    kirim_err (*begin_close)(struct ki_reactor *r);

    /* Every port is closed, every guest removed. Frees everything; nothing in flight exists any
     * more. */
    void (*close)(struct ki_reactor *r);

    /* Monotonic time in ns. The core asks at most once a turn, and only if somebody wants to know.
     */
    uint64_t (*now)(struct ki_reactor *r);

    /* Fills `out` with random bytes, or fails. */
    kirim_err (*random)(struct ki_reactor *r, void *out, size_t bytes);

    /* Opens a port: makes or adopts the socket, sets every option before it binds, binds, connects,
     * and begins to listen for arrivals. Writes descriptor, local and remote. On failure nothing is
     * left open; an adopted socket then stays the caller's, open and with its descriptor flags as
     * they were, though other options or a binding may have changed. `options` has been checked for
     * what the core can know. */
    kirim_err (*port_open)(struct ki_reactor *r, struct ki_port *p,
                           const struct kirim_endpoint_options *options);

    /* Stops everything of the port. KIRIM_OK: it is closed, nothing is in flight. KIRIM_PENDING:
     * ki_port_closed() comes from a later wait(), after the last ki_entry_finish() of the port.
     * Never calls into the core, and there is no ki_port_ready() or ki_port_writable() of the port
     * after it. Buffers lent from it stay lent. */
    kirim_err (*port_close)(struct ki_reactor *r, struct ki_port *p);

    /* Sizes of the system's buffers, in bytes, as the system says them. */
    kirim_err (*port_buffers)(struct ki_reactor *r, struct ki_port *p, uint32_t *receive_bytes,
                              uint32_t *send_bytes);

    /* Datagrams that the system dropped as the receive buffer was full, since the port was opened.
     */
    uint64_t (*port_drops)(struct ki_reactor *r, struct ki_port *p);

    /* The path MTU that the system knows of the way to `peer`, which is of a family that the port
     * can send to and may be the one that it is connected to; its port is ignored. Sends nothing.
     * NULL: the reactor cannot tell. */
    kirim_err (*path_mtu)(struct ki_reactor *r, struct ki_port *p, const struct kirim_addr *peer,
                          uint32_t *out);

    /* Joins a group or leaves it. The core has checked it against what the port has joined, and
     * that the port can hear the group; p->memberships is brought up to date behind it.
     * KIRIM_EADDRNOTAVAIL: there is no such interface. NULL, as set_multicast() then: the reactor
     * has no multicast. */
    kirim_err (*set_membership)(struct ki_reactor *r, struct ki_port *p,
                                const struct ki_membership *m, bool is_joining);

    /* Sets how the port sends to groups, in all families that it can send to; `options` has been
     * checked but for the interface, of which there may be none: KIRIM_EADDRNOTAVAIL, and nothing
     * is set. */
    kirim_err (*set_multicast)(struct ki_reactor *r, struct ki_port *p,
                               const struct kirim_multicast_options *options);

    /* Hands over up to `max` (at most KI_BATCH_MAX) arrivals in order, lent until release() or the
     * next wait(), and sets p->rx_flags. Never blocks, never calls into the core. 0 with flags 0 is
     * "nothing there". An error of the system is no end: KI_RX_ERROR, with the arrivals before it.
     * A datagram longer than p->datagram_bytes_max is cut and flagged. IPv4-mapped addresses are
     * unmapped here. What was read from the system and not handed over survives wait(). The core
     * calls it at least once for every port that was told ready. A train that arrived coalesced is
     * cut into views of its datagrams, the first flagged KIRIM_RX_TRAIN_HEAD, or handed over whole
     * with its segment size (p->wants_whole). */
    uint32_t (*receive)(struct ki_reactor *r, struct ki_port *p, struct kirim_datagram *d,
                        uint32_t max);

    /* Takes a prefix of e[0 .. n-1] (n at most KI_WINDOW_MAX, all KI_QUEUED) in order, and returns
     * its length. Taken is: left, with the status untouched and the bytes free at the return; or
     * KI_INFLIGHT, finished later from within wait(), the bytes and lent buffers held until then.
     * Peer, gather list and control data of what is in flight have been captured, and KI_LENT
     * speaks of every buffer of the list. If it takes less than n it fills `why`; after
     * KIRIM_EWOULDBLOCK it owes a ki_port_writable(), in the NOW mode too, and may call it unasked.
     * It never retries but for an interrupted call; it knows the entry by its number, for entries
     * may move while they wait. Where p->tx_segments_max is more than 1, neighbours may leave as
     * one train, as ki_train_joins() tells; an entry with segment_bytes is such a train by itself,
     * of at most so many datagrams (the core cuts longer ones, and all of them where there are no
     * trains). What is in flight as a part of a train has KI_IN_TRAIN, what is so by itself has
     * not; a train that fails is finished from its last entry to its first. */
    uint32_t (*submit)(struct ki_reactor *r, struct ki_port *p, struct ki_entry *e, uint32_t n,
                       struct ki_refusal *why);

    /* Asks for an early end of an entry in flight; no promise. NULL: the reactor never leaves
     * anything in flight. */
    void (*cancel)(struct ki_reactor *r, struct ki_port *p, uint64_t number, struct ki_entry *e);

    /* Takes back all lent buffers in mid-turn, after KI_RX_STARVED; every batch has been handled
     * and flushed. */
    void (*release)(struct ki_reactor *r);

    /* Takes back what was lent, then waits until something has happened or `deadline_ns` (on the
     * clock of now()) has come; 0 only looks, KIRIM_NEVER waits without limit. Tells the core
     * through the functions below, and only from here. May return early. Fails only for a fault
     * that no further wait could mend. A driven instance is asked to wait by kirim_loop_close()
     * alone; its driver takes back what was lent before it calls ki_loop_turn(). */
    kirim_err (*wait)(struct ki_reactor *r, uint64_t deadline_ns);

    /* Ends a wait that is running, or makes the next one only look. Any thread, signal handlers
     * included; merges. Never called after close() has begun. */
    void (*wake)(struct ki_reactor *r);

    /* A handle that is readable when a step has something to do. NULL: there is none. */
    kirim_err (*pollable)(struct ki_reactor *r, intptr_t *out);

    /* Driven instances (KIRIM_CAP_DRIVEN): call ki_loop_turn() at `deadline_ns` at the latest, 0 is
     * "at once". `is_idle`: nothing is left that could cause a turn (endpoint, timer, guest, remote
     * that somebody holds, work), so the instance keeps nothing that holds up its driver's end; the
     * deadline is KIRIM_NEVER then. The core calls it at the end of a turn, and outside of turns
     * when the deadline has moved nearer or `is_idle` has changed; a new instance is idle. NULL:
     * never driven. */
    void (*rearm)(struct ki_reactor *r, uint64_t deadline_ns, bool is_idle);

    /* Begins to watch a guest, or changes what it waits for (guest->ki_events has the new value,
     * never 0; `is_new` tells which). NULL, as unwatch() then: the reactor has no guests. */
    kirim_err (*watch)(struct ki_reactor *r, struct kirim_guest *guest, bool is_new);

    /* Watches a guest no more; off the reactor's lists. Its descriptor may be closed already. */
    void (*unwatch)(struct ki_reactor *r, struct kirim_guest *guest);
};

/* ---- what a reactor may tell the core: only inside wait() (driven: before the turn) ---------- */

/* The port has something to receive. Merges. */
static inline void ki_port_ready(struct ki_reactor *r, struct ki_port *p)
{
    if (p->is_ready == 0) {
        p->is_ready = 1;
        p->ready_next = NULL;
        *r->ready->last = p;
        r->ready->last = &p->ready_next;
    }
}

/* A port whose submit() answered KIRIM_EWOULDBLOCK can take more. */
void ki_port_writable(struct ki_port *p);

/* A port whose port_close() answered KIRIM_PENDING is closed. */
void ki_port_closed(struct ki_port *p);

/* An entry in flight has ended: exactly once for each. `err` is KIRIM_OK or the mapped error. */
void ki_entry_finish(struct ki_port *p, uint64_t number, kirim_err err, int sys_err);

/* A guest's descriptor has KIRIM_GUEST_ events. Merges. */
void ki_guest_ready(struct kirim_guest *guest, uint32_t events);

/* Runs a turn of a driven loop. */
void ki_loop_turn(struct kirim_loop *loop);

/* ---- what the core lends a reactor ----------------------------------------------------------- */

/* Memory from the loop's allocator, zeroed; NULL if there is none. ki_free() wants the same size;
 * NULL is permitted. */
void *ki_alloc(struct kirim_loop *loop, size_t bytes);
void ki_free(struct kirim_loop *loop, void *block, size_t bytes);

/* Writes one line to the loop's log, with the system's code behind it if it is not 0. */
void ki_log(struct kirim_loop *loop, int level, const char *text, int sys_err);

/* The instance that `ops->open()` made for the loop; NULL if the loop runs on another reactor. */
struct ki_reactor *ki_loop_reactor(const struct kirim_loop *loop, const struct ki_reactor_ops *ops);

/* Whether anybody holds a remote of the loop, so that a wake may come. */
bool ki_loop_is_shared(struct kirim_loop *loop);

/* For what lives without a loop: the C library's allocator as a kirim_alloc_fn. */
void *ki_default_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes);

/* The copy of a handler that is to be of a kind, KI_KIND_...; if it is of another one that is
 * logged (loop NULL: it is not). */
bool ki_handler_copy(struct kirim_loop *loop, void *to, size_t bytes, const void *from, size_t size,
                     size_t kind);

/* The reactors of this platform, in order of preference; NULL ends them. What a build lacks stands
 * there with an empty name and nothing else. Lives beside the reactors. */
extern const struct ki_reactor_ops *const ki_reactors[];

#endif
