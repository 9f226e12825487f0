/* SPDX-License-Identifier: MIT
 *
 * The core's own structures: loop, endpoint and remote, and what its files ask of each other.
 *
 * Nothing outside lib/ includes this. Every list here is intrusive and belongs to one loop, hence
 * to one thread; the remote alone is shared. What is touched for every datagram is kept in words.
 */
#ifndef KI_CORE_H
#define KI_CORE_H

#include <kirim/remote.h>

#include <stdatomic.h>
#include <string.h>

#include "policy.h"
#include "queue.h"
#include "reactor.h"
#include "store.h"
#include "wheel.h"

/* Whether calls from a wrong thread and of closed endpoints are found out: a build option. */
#ifndef KIRIM_CHECKS
#define KIRIM_CHECKS 0
#endif

/* Kinds of handlers, as their INIT macros say. */
enum { KI_KIND_ENDPOINT = 0, KI_KIND_SESSION = 1, KI_KIND_SESSIONS = 2, KI_KIND_LAYER = 3 };

enum {
    KI_BATCHES_PER_TURN = 4 /* of one endpoint, before its neighbours and the next turn */
};

enum {
    KI_EP_OPEN,
    KI_EP_CLOSING, /* closed by its owner, the last callback still to come */
    KI_EP_GONE     /* kept as a tombstone where KIRIM_CHECKS says so */
};

enum {
    KI_OP_IDLE,
    KI_OP_PACED,     /* waits for its datagram's time (pace.c) */
    KI_OP_PENDING,   /* queued or in flight */
    KI_OP_EXPIRED,   /* in flight, its deadline passed: an abort becomes a time-out */
    KI_OP_CANCELLED, /* in flight, its owner has given it up: nothing is tried again */
    KI_OP_FINISHED,  /* its callback is due */
    KI_OP_DONE       /* its result can be polled */
};

struct ki_paced;

/* Where a datagram stands that waits for its time. */
struct ki_paced_place {
    uint64_t not_before_ns;
    uint64_t order; /* of posting, among those of one time */
    struct ki_paced *paced;
};

/* What threads share; see remote.c. */
struct kirim_remote {
    atomic_size_t references;
    _Atomic(struct kirim_post *) posts; /* newest first */
    atomic_uint inside; /* callers between their look at is_closed and their return */
    atomic_bool is_closed;
    atomic_bool is_stop_wanted;
    const struct ki_reactor_ops *ops; /* valid while not closed */
    struct ki_reactor *reactor;
    kirim_alloc_fn alloc; /* the remote may outlive the loop */
    void *alloc_user;
};

struct kirim_endpoint {
    struct kirim_loop *loop;
    struct ki_port *port; /* allocated behind this structure */
    struct ki_queue queue;
    struct ki_store store;  /* of copied bytes, arrays, control data */
    struct ki_store copies; /* of lent bytes that the system did not take in time */
    uint64_t state;         /* KI_EP_... */
    uint64_t families;      /* bits 1 << family: whom it can send to */
    uint64_t count_max;     /* bounds of the queue */
    uint64_t bytes_max;
    uint64_t paced_count;    /* datagrams that wait for their time: each takes a place, too */
    uint64_t held_bytes;     /* payload in `store` and in blocks of pace.c */
    uint64_t queued_bytes;   /* payload that waits, while the queue is not odd */
    uint64_t is_odd;         /* since it was last empty the queue has had more than plain entries:
                                with an operation, dead, lost, tried before, copied, in flight */
    uint64_t lent_count;     /* entries whose bytes are lent, not yet submitted */
    uint64_t ops_count;      /* operations whose callback or result is to come */
    uint64_t failed_count;   /* entries that wait for the `failed` callback */
    uint64_t is_blocked;     /* the reactor said EWOULDBLOCK */
    uint64_t is_dirty;       /* on the loop's list of endpoints to flush */
    uint64_t is_noticed;     /* on the loop's list of endpoints with something to tell */
    uint64_t wants_writable; /* a send was refused for want of room */
    uint64_t is_port_closed;
    uint64_t is_replying_from_local; /* bound to a wildcard: answers name their source */
    void *reserved;                  /* room lent by reserve, or NULL */
    size_t reserved_bytes;
    uint64_t reserved_moment; /* of the loop, when it was lent */
    uint64_t is_per_peer;     /* order is kept for each peer: see group.c */
    uint64_t group_end;       /* number behind the entries that were brought together last */
    uint64_t group_stored_count, group_copied_count; /* pieces of those that are gone */
    uint64_t is_suspect; /* a train to `suspect` was refused: is it the offload's fault? */
    struct kirim_addr suspect;
    uint64_t suspect_bytes; /* datagrams of this size and longer ones get no trains; 0: all */
    struct kirim_event peer_error; /* kind 0: none waits to be told */
    struct kirim_event retried;    /* the error an entry was submitted again for */
    struct kirim_handler handler;  /* as far as its size goes */
    void *user;
    struct kirim_timer op_timer;   /* the earliest deadline of its operations */
    struct kirim_timer pace_timer; /* the earliest time of those that wait for theirs */
    struct ki_paced_place *paced;  /* a heap of them: the first is at 0 */
    uint64_t paced_capacity;
    uint64_t paced_order;       /* of the next one */
    uint64_t paced_bytes;       /* of held_bytes, what is theirs */
    struct kirim_timer *timers; /* all that belong to it */
    struct kirim_endpoint *dirty_next, *notice_next, *closing_next;
    struct kirim_endpoint *next, *prev; /* all of the loop */
    struct kirim_endpoint_stats stats;
    size_t allocated_bytes;
    uint64_t empty; /* where an empty datagram points to */
};

enum { KI_REFUSED_ROUTES_MAX = 16 };

/* Destinations that get no trains, at least of long datagrams, in the order in which they were
 * noted. */
struct ki_refused_routes {
    uint64_t count;
    uint64_t next; /* number of the next one; its place is that modulo the maximum */
    struct ki_refused_route {
        struct kirim_addr peer;
        uint64_t bytes_min; /* of the datagrams that get no trains */
        uint64_t until_ns;
    } at[KI_REFUSED_ROUTES_MAX];
};

struct kirim_loop {
    const struct ki_reactor_ops *ops;
    struct ki_reactor *reactor;
    struct ki_ready ready;     /* filled by the reactor */
    struct ki_port *receiving; /* what is left of this turn's snapshot of it */
    struct kirim_endpoint *dirty, **dirty_last;
    struct kirim_endpoint *notices, **notices_last;
    struct kirim_endpoint *closing, **closing_last;
    struct kirim_op *finished, **finished_last; /* whose callback is due */
    struct kirim_op *delivering;                /* what is left of this turn's snapshot of them */
    struct kirim_endpoint *endpoints;           /* all but the gone */
    struct kirim_endpoint *tombstones;
    struct kirim_guest *guests, *guests_ready, **guests_ready_last;
    struct kirim_guest *guests_calling;
    struct kirim_remote *remote;
    uint64_t now_ns;
    uint64_t is_now_known;
    uint64_t rearmed_ns; /* what a driven loop's driver was told last */
    uint64_t is_rearmed_idle;
    uint64_t is_in_turn;
    uint64_t lent_batch_count; /* datagrams that the running `received` was lent; 0: none runs */
    uint64_t moment; /* up with each callback and turn: what was reserved before is void */
    uint64_t datagram_bytes_max; /* of all endpoints */
    uint64_t is_stopping;
    uint64_t is_closing;
    uint64_t is_foreign; /* the process is a child of the one that opened it */
    struct ki_refused_routes refused_routes;
    struct ki_grouper *grouper; /* NULL: nobody has asked for order per peer */
    uint64_t train_refusal_ns;  /* how long one is remembered */
    uint32_t caps;
    int32_t system_code; /* of the last system call that failed */
    int32_t log_level;
    kirim_log_fn log;
    void *log_user;
    kirim_alloc_fn alloc;
    void *alloc_user;
    const void *thread; /* identity of the loop's thread, where KIRIM_CHECKS says so */
    struct kirim_loop_stats stats;
    struct ki_wheel wheel;
    struct kirim_datagram batch[KI_BATCH_MAX];
};

/* ---- send.c, entry.c, flush.c: the way out --------------------------------------------------- */

/* Submits what waits, as far as the reactor takes it. */
void ki_endpoint_submit(struct kirim_endpoint *ep);

/* The same, also if the system was full when it was last asked. */
void ki_endpoint_submit_anew(struct kirim_endpoint *ep);

/* Submits the one entry at the tail with NOW semantics: KIRIM_OK, KIRIM_PENDING (in flight), or why
 * not; not taken, it stays at the tail. */
kirim_err ki_endpoint_submit_now(struct kirim_endpoint *ep, bool may_fly);

/* Takes back the entry at the tail, that was posted for a send inside the call and did not leave.
 */
void ki_endpoint_take_back(struct kirim_endpoint *ep);

/* Whether a reservation of `bytes` can be committed as `msg` says. */
kirim_err ki_check_committed(const struct kirim_endpoint *ep, const struct kirim_msg *msg,
                             size_t bytes);

/* Copies lent bytes that are still waiting, so that the reactor may take its buffers back. */
void ki_endpoint_keep_lent(struct kirim_endpoint *ep);

/* Kills the waiting entry `number`; its operation ends with `err`, without one it is counted under
 * `reason`. */
void ki_endpoint_kill(struct kirim_endpoint *ep, uint64_t number, kirim_err err, uint32_t reason);

/* Kills all waiting entries. */
void ki_endpoint_kill_all(struct kirim_endpoint *ep, uint32_t reason);

/* Takes what has ended off the queue's head. */
void ki_endpoint_trim(struct kirim_endpoint *ep);

/* Puts the endpoint on the list of those to flush. */
void ki_endpoint_soil(struct kirim_endpoint *ep);

/* Puts the endpoint on the list of those with something to tell. */
void ki_endpoint_notice(struct kirim_endpoint *ep);

/* Tells what is to be told: failed sends, a peer's error, writable. In a turn. */
void ki_endpoint_tell(struct kirim_endpoint *ep);

/* ---- train.c --------------------------------------------------------------------------------- */

/* How many datagrams `bytes` are; `segment_bytes` 0: one. */
static inline size_t ki_segments(size_t bytes, size_t segment_bytes)
{
    return bytes <= segment_bytes || segment_bytes == 0
               ? 1
               : (bytes + segment_bytes - 1) / segment_bytes;
}

/* How many datagrams an entry is. */
static inline uint32_t ki_segments_of(const struct ki_entry *e)
{
    return (uint32_t)ki_segments(e->bytes, e->segment_bytes);
}

/* Flags what waits for destinations that get no trains. */
void ki_train_bar(struct kirim_endpoint *ep);

/* If what was refused at `next` was a train, has its datagrams leave one by one. False: it was
 * none, or that would not help. */
bool ki_train_split(struct kirim_endpoint *ep, const struct ki_refusal *why);

/* Whether the flight that ended with `err` was a part of a train, so that it is to be tried by
 * itself. Then it is flagged so, and counted if it is the last one of its train. */
bool ki_train_fell(struct kirim_endpoint *ep, uint64_t number, kirim_err err, int sys_err);

/* A datagram of a train that was refused has left by itself, so that the route is to blame, or was
 * lost too, so that it is not. */
void ki_train_clear_suspect(struct kirim_endpoint *ep, const struct ki_entry *e, bool has_left);

/* How many of the `n` entries from `next` on can be submitted as they are: up to the first train
 * that has to be cut. */
uint32_t ki_train_whole_count(const struct kirim_endpoint *ep, uint32_t n);

/* Submits the train at `next` cut into datagrams, from where it was left. The entry's `record`
 * counts those that have left. False: one was refused, `why` tells. Nothing of the port is in
 * flight. */
bool ki_train_cut(struct kirim_endpoint *ep, struct ki_refusal *why);

/* Counts the datagrams of a waiting train that have left. Returns how many have not; of an entry
 * that is no such train all it is. */
uint32_t ki_train_account_part(struct kirim_endpoint *ep, struct ki_entry *e);

/* ---- multicast.c ----------------------------------------------------------------------------- */

/* Frees the list of what the endpoint had joined; its port is closed. */
void ki_endpoint_forget_memberships(struct kirim_endpoint *ep);

/* ---- group.c --------------------------------------------------------------------------------- */

struct ki_grouper;

/* Makes the loop's scratch, if there is none; frees it. */
kirim_err ki_grouper_open(struct kirim_loop *loop);
void ki_grouper_close(struct kirim_loop *loop);

/* Brings what waits together by peer. */
void ki_group(struct kirim_endpoint *ep);

/* Notes that an entry among those brought together is gone; gives back what they all held. */
void ki_group_release_later(struct kirim_endpoint *ep, uint32_t status);
void ki_group_release(struct kirim_endpoint *ep);

/* ---- op.c ------------------------------------------------------------------------------------ */

/* Puts an idle operation into flight for entry `number`. */
void ki_op_start(struct kirim_op *op, struct kirim_endpoint *ep, uint64_t number);

/* Makes an operation idle again whose send was refused inside the call. */
void ki_op_take_back(struct kirim_op *op);

/* Ends an operation; its callback comes in a later delivery. */
void ki_op_finish(struct kirim_op *op, kirim_err err, int sys_err, size_t sent_bytes);

/* Delivers those that have ended when it begins. */
void ki_ops_deliver(struct kirim_loop *loop);

/* Expiry of an endpoint's op_timer. */
void ki_ops_expire(struct kirim_timer *timer);

/* ---- pace.c ---------------------------------------------------------------------------------- */

/* Whether a time has come. If so, all of the endpoint's that wait and are not to leave behind it
 * are moved to the queue. */
bool ki_pace_has_come(struct kirim_endpoint *ep, uint64_t not_before_ns);

/* Captures a message whose control data says a time that lies ahead. The ring has a place for it,
 * and the bounds permit it. KIRIM_OK, KIRIM_PENDING or KIRIM_ENOMEM. */
kirim_err ki_pace_hold(struct kirim_endpoint *ep, const struct kirim_msg *msg, uint32_t flags,
                       struct kirim_op *op, size_t bytes);

/* Moves those whose time has come to the queue. */
void ki_pace_release_due(struct kirim_endpoint *ep);

/* Expiry of an endpoint's pace_timer. */
void ki_pace_expire(struct kirim_timer *timer);

/* Drops the one at `index`, as ki_endpoint_kill() does; its place goes to another one. */
void ki_pace_kill(struct kirim_endpoint *ep, uint64_t index, kirim_err err, uint32_t reason);

/* Drops them all. */
void ki_pace_kill_all(struct kirim_endpoint *ep, uint32_t reason);

/* The operation of the one at `index`, or NULL. */
struct kirim_op *ki_pace_op(const struct kirim_endpoint *ep, uint64_t index);

/* How many datagrams they are, which is more than there are of them where some are trains. */
uint64_t ki_pace_datagrams(const struct kirim_endpoint *ep);

/* Of an entry with KI_OWNED: the payload in its block; and freeing that. */
uint64_t ki_pace_held_bytes(const struct ki_entry *e);
void ki_pace_free(struct kirim_endpoint *ep, const struct ki_entry *e);

/* Frees the heap, which is empty. */
void ki_pace_fini(struct kirim_endpoint *ep);

/* ---- endpoint.c, turn.c, loop.c, guest.c, remote.c ------------------------------------------- */

/* Whether its last callback is due. */
bool ki_endpoint_is_drained(const struct kirim_endpoint *ep);

/* The last callback, and the end. */
void ki_endpoint_finish_close(struct kirim_endpoint *ep);

/* Frees what is left of endpoints. */
void ki_endpoint_free(struct kirim_endpoint *ep);

/* Flushes what was posted, in the order of first posting. */
void ki_loop_flush(struct kirim_loop *loop);

/* Closings that drained. */
void ki_loop_finish_closings(struct kirim_loop *loop);

/* Whether a turn has something to do without waiting. */
bool ki_loop_has_work(const struct kirim_loop *loop);

/* Tells a driven loop's driver if the next turn is due earlier, or if whether anything is left to
 * run for has changed; nothing inside a turn. */
void ki_loop_rearm(struct kirim_loop *loop);

/* Tells it when the next turn is due, whatever it was told before: at the end of a turn. */
void ki_loop_rearm_anew(struct kirim_loop *loop);

/* Arms a timer that belongs to the list `owner`; cancels all that do. */
kirim_err ki_timer_arm_owned(struct kirim_loop *loop, struct kirim_timer **owner,
                             struct kirim_timer *timer, uint64_t deadline_ns);
void ki_timers_cancel(struct kirim_timer **owner);

/* Takes a timer that is about to fire off its owner's list, and notes how late it is. */
void ki_timer_begin_expiry(struct kirim_timer *timer);

/* Makes a timer idle that was taken out of the wheel. */
void ki_timer_forget(struct kirim_timer *timer);

/* Calls the guests that are ready. */
void ki_guests_call(struct kirim_loop *loop);

/* Takes all guests off the loop. */
void ki_guests_remove_all(struct kirim_loop *loop);

/* Opens the loop's remote, or NULL. */
struct kirim_remote *ki_remote_open(struct kirim_loop *loop);

/* Runs the posts that are there when it begins. */
void ki_remote_run(struct kirim_remote *remote, struct kirim_loop *loop, kirim_err err);

/* No call of another thread reaches the loop after it; posts that came first are run with
 * KIRIM_ECLOSED. */
void ki_remote_close(struct kirim_remote *remote, struct kirim_loop *loop);

/* Whether anything was posted and not run. */
static inline bool ki_remote_has_posts(struct kirim_remote *remote)
{
    return atomic_load_explicit(&remote->posts, memory_order_relaxed) != NULL;
}

/* Whether somebody beside the loop holds it. */
bool ki_remote_is_held(struct kirim_remote *remote);

/* Whether a stop was asked for; forgets it. */
static inline bool ki_remote_take_stop(struct kirim_remote *remote)
{
    return atomic_load_explicit(&remote->is_stop_wanted, memory_order_relaxed) &&
           atomic_exchange(&remote->is_stop_wanted, false);
}

/* Copies a gather list into one piece. */
void ki_bufs_copy(unsigned char *to, const struct kirim_buf *buf, size_t count);

/* Adds up a gather list; SIZE_MAX: more than any datagram has (send.c). */
kirim_err ki_check_bufs(const struct kirim_msg *msg, size_t *bytes);

/* The local address that a datagram was sent to, if answers can leave from it; else NULL. */
static inline const struct kirim_addr *ki_answering_addr(const struct kirim_datagram *d)
{
    const struct kirim_arrival *a = d->arrival;
    const bool is_one = a != NULL && kirim_addr_family(&a->local) == kirim_addr_family(&d->peer) &&
                        !kirim_addr_is_multicast(&a->local);
    return is_one ? &a->local : NULL;
}

/* kirim_endpoint_may_answer() of who may be nobody (reply.c). */
bool ki_may_answer_after_all(const struct kirim_endpoint *ep, const struct kirim_datagram *d);

/* kirim_endpoint_may_answer(): of nearly everybody, two words and a byte say that he may be. */
static inline bool ki_may_answer(const struct kirim_endpoint *ep, const struct kirim_datagram *d)
{
    uint8_t first; /* of the address */
    memcpy(&first, d->peer.word, 1);
    const uint16_t port = kirim_addr_port(&d->peer);
    const bool is_ordinary =
        port != 0 && port != kirim_addr_port(&ep->port->local) && first != 0 && first < 0xe0;
    return is_ordinary || ki_may_answer_after_all(ep, d);
}

/* A send that finds no room: KIRIM_EWOULDBLOCK, and `writable` is owed. */
static inline kirim_err ki_refuse_for_now(struct kirim_endpoint *ep)
{
    ep->wants_writable = 1;
    ep->stats.tx_refused++;
    return KIRIM_EWOULDBLOCK;
}

/* Places of the queue that are taken: by what is in it, and by what waits for its time. */
static inline uint64_t ki_endpoint_taken(const struct kirim_endpoint *ep)
{
    return ki_queue_count(&ep->queue) + ep->paced_count;
}

/* Whether the loop has to keep the time of a message. */
static inline bool ki_pace_is_ours(const struct kirim_endpoint *ep,
                                   const struct kirim_control *control)
{
    return control != NULL && control->not_before_ns != 0 && ep->port->keeps_times == 0;
}

/* Whether it is time to tell that there is room: the queue is half empty and the system takes more.
 */
static inline bool ki_endpoint_has_room(const struct kirim_endpoint *ep)
{
    return ep->is_blocked == 0 && ki_endpoint_taken(ep) * 2 <= ep->count_max &&
           ep->held_bytes * 2 <= ep->bytes_max;
}

/* Whether the caller is the loop's thread, or nobody checks. */
bool ki_loop_is_mine(struct kirim_loop *loop);

/* Whether `ep` can be used: open, and in its loop's thread. KIRIM_OK, KIRIM_EINVAL or
 * KIRIM_ECLOSED. */
static inline kirim_err ki_endpoint_check(const struct kirim_endpoint *ep)
{
    if (ep == NULL) {
        return KIRIM_EINVAL;
    }
    if (ep->state != KI_EP_OPEN) {
        return KIRIM_ECLOSED;
    }
#if KIRIM_CHECKS
    if (!ki_loop_is_mine(ep->loop)) {
        return KIRIM_EINVAL;
    }
#endif
    return KIRIM_OK;
}

#endif
