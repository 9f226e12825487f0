/* SPDX-License-Identifier: MIT
 *
 * Overlapped operations with completion routines: what the parts of the reactor "completion" share.
 *
 * An operation has memory of its own for all that the system may touch until its routine ran:
 * OVERLAPPED, WSAMSG, name, control data. Its life:
 *     begun     on the list of those that are out, before the call
 *     landed    by its routine, which writes down what it was told, and puts it on another list
 *     settled   by wait(), which takes it off both and tells the core
 * A call that fails at once has its result at once, but the operation stays out for two more waits:
 * there are systems that call the routine all the same, and who comes twice is heard once. So is a
 * routine that runs in a thread that is the loop's no more: it touches nothing but its operation
 * and the atomic list.
 *
 * Routines run in the thread that made the call. When another one has become the loop's, nothing
 * new is made overlapped until all that is out has landed, or that thread has ended and the system
 * has written down how each of them ended (S26).
 *
 * Loop thread, but for routines and wake. Sources: WSASendMsg, LPFN_WSARECVMSG,
 * LPWSAOVERLAPPED_COMPLETION_ROUTINE, CancelIoEx, "Synchronization and Overlapped Input and
 * Output", QueueUserAPC.
 */
#ifndef KI_WIN_OP_H
#define KI_WIN_OP_H

#include "win.h"
#include "win_guest.h"

#include <stdatomic.h>

struct ki_op_reactor;
struct ki_op_port;

struct ki_op {
    WSAOVERLAPPED overlapped; /* hEvent is ours, as there is a routine: the instance */
    struct ki_op *next;       /* of those that are out */
    struct ki_op **link;      /* NULL: it is not out */
    struct ki_op *landed_next;
    atomic_uint is_expected; /* its routine, which has not come */
    uint32_t is_receive;
    uint32_t is_refused; /* the call has failed at once: its routine may come or not */
    int sys_err;         /* as the routine says */
    uint64_t wait_number;
};

/* A posted receive, and what it was told. */
struct ki_op_rx {
    struct ki_op op;
    struct ki_op_rx *next; /* on the list that it is on */
    /* Whose it is: a port's own until that is closed, one of the pool while it is in its queue. */
    struct ki_op_port *port;
    uint8_t *data;
    uint32_t bytes_max;
    uint32_t bytes;      /* that came */
    uint32_t has_result; /* it was posted, and has ended */
    uint32_t is_held;    /* it would be free if it were not out */
    size_t block_bytes;  /* not 0: a block of its own, a port's own */
    WSAMSG msg;
    WSABUF buf;
    union ki_win_name name;
    struct ki_win_control_in control;
    struct kirim_arrival arrival;
};

/* A send. */
struct ki_op_tx {
    struct ki_op op;
    struct ki_op_tx *free_next;
    struct ki_op_port *port; /* NULL: nothing of it is in flight */
    uint64_t number;         /* of its first entry */
    uint64_t bytes;
    struct ki_win_out out;
};

struct ki_op_port {
    struct ki_win_port win;
    struct ki_op_port *next, **link;       /* all of the instance */
    struct ki_op_port *hungry_next;        /* to be posted for */
    struct ki_op_port *blocked_next;       /* to be told that they can write again */
    uint64_t is_hungry, is_blocked_listed; /* on that list */
    uint64_t is_closing;
    struct ki_op_rx *rx_first, **rx_last; /* in the order in which they were posted */
    struct ki_op_rx *own;                 /* the port's own receive */
    uint64_t is_own_idle;
    uint64_t posted_count;    /* receives without a result */
    uint64_t is_dry;          /* all that was posted has been filled, and more may be there */
    uint64_t depth;           /* receives that it would like to have posted */
    uint64_t failures;        /* in a row */
    uint64_t retry_ns;        /* nothing is posted before; 0: it is not ailing */
    uint64_t is_polled;       /* nothing is posted; each wait has the core ask */
    uint64_t is_deaf;         /* nothing is posted any more */
    struct ki_win_rest train; /* what is left of the first one; bytes 0: it is no train */
    uint64_t flying_count;    /* sends in flight */
    uint64_t flying_bytes;
    uint64_t is_early;     /* it was refused for its own sake, and may try anew in the next turn */
    uint64_t is_selecting; /* WSAEventSelect is on */
};

enum { KI_OP_TX_COUNT = 256 };

struct ki_op_reactor {
    struct ki_win win;
    struct ki_op *out_first;
    _Atomic(struct ki_op *) landed; /* the last one first */
    uint64_t refused_count;         /* of those that are out */
    uint64_t wait_number;
    struct ki_op_port *ports;
    uint64_t port_count;
    struct ki_op_port *hungry;
    struct ki_op_port *blocked;
    uint64_t is_busy;        /* the wait that is running shall only look */
    uint64_t is_polling;     /* a port is polled */
    uint64_t is_ailing;      /* a port waits for its retry_ns */
    struct ki_op_rx *rx_ops; /* the pool: one for each slot */
    struct ki_op_rx *rx_free;
    struct ki_op_rx *rx_lent, **rx_lent_last;
    uint64_t rx_free_count;
    struct ki_op_tx *tx_ops;
    struct ki_op_tx *tx_free;
    struct ki_win_guests guests; /* their event is that of blocked ports, too */
    /* Threads. */
    DWORD thread_id;
    uint64_t is_moving;     /* operations of another thread are out */
    uint64_t ended_ns;      /* when the old thread was first seen to have ended; 0: it has not */
    HANDLE old_thread;      /* whose they are */
    HANDLE own_thread;      /* the loop's */
    _Atomic(HANDLE) thread; /* where wakes go; NULL: the loop looks every ms */
    atomic_uint is_marked;  /* a mark is queued behind the routines of the old thread */
    atomic_uint wakers;     /* that are using it */
    atomic_uint apc_count;  /* wakes that are queued */
    atomic_uint is_raised;
    atomic_uint is_woken;
};

/* ---- win_op.c: operations and threads -------------------------------------------------------- */

/* Before the call that starts it; and behind one that has failed. */
void ki_op_begin(struct ki_op_reactor *r, struct ki_op *op);
void ki_op_note_refusal(struct ki_op_reactor *r, struct ki_op *op);

/* The routine of all of them. */
void CALLBACK ki_op_land(DWORD sys_err, DWORD bytes, LPWSAOVERLAPPED overlapped, DWORD flags);

/* Settles what has landed, and what was refused two waits ago. */
void ki_op_settle_all(struct ki_op_reactor *r);
void ki_op_forget_refused(struct ki_op_reactor *r);

/* Makes the calling thread the one whose routines count, if it is not. */
kirim_err ki_op_move_in(struct ki_op_reactor *r);

/* While operations of another thread are out: looks whether they have landed, or never will. */
void ki_op_move_on(struct ki_op_reactor *r);

kirim_err ki_op_threads_open(struct ki_op_reactor *r);
void ki_op_threads_close(struct ki_op_reactor *r);

/* Member of struct ki_reactor_ops. */
void ki_op_wake(struct ki_reactor *reactor);

/* ---- win_op_home.c: receives that are not posted --------------------------------------------- */

kirim_err ki_op_rx_open(struct ki_op_reactor *r);
void ki_op_rx_close(struct ki_op_reactor *r);

/* The port's own receive: room for it; and its end, with all others of the port that are not
 * posted. */
kirim_err ki_op_rx_open_port(struct ki_op_reactor *r, struct ki_op_port *p);
void ki_op_rx_close_port(struct ki_op_reactor *r, struct ki_op_port *p);

/* The next receive that the port may post; NULL: none. */
struct ki_op_rx *ki_op_rx_take(struct ki_op_reactor *r, struct ki_op_port *p);

/* A receive that nobody uses: back to its port or to the pool. One whose port is gone is freed. */
void ki_op_rx_go_home(struct ki_op_reactor *r, struct ki_op_rx *op);

/* What came in it may be in use until ki_op_rx_take_back(), which sends all that was lent home. */
void ki_op_rx_lend(struct ki_op_reactor *r, struct ki_op_rx *op);
void ki_op_rx_take_back(struct ki_op_reactor *r);

/* Has the next wait post for the port. */
void ki_op_rx_hunger(struct ki_op_reactor *r, struct ki_op_port *p);

/* Member of struct ki_reactor_ops. */
void ki_op_release(struct ki_reactor *reactor);

/* ---- win_op_rx.c: receives ------------------------------------------------------------------- */

/* Posts the first receive of a port that is being opened: 0, or why the system takes none. */
int ki_op_rx_try(struct ki_op_reactor *r, struct ki_op_port *p);

/* Posts for all that are hungry, and tells the core of those who have something. */
void ki_op_rx_feed(struct ki_op_reactor *r);
/* Sees to it that a port hears before it sends: a report of the network that finds nothing posted
 * is lost on some systems. */
void ki_op_rx_listen(struct ki_op_reactor *r, struct ki_op_port *p);

void ki_op_rx_settle(struct ki_op_reactor *r, struct ki_op_rx *op);

/* Member of struct ki_reactor_ops. */
uint32_t ki_op_receive(struct ki_reactor *reactor, struct ki_port *port, struct kirim_datagram *d,
                       uint32_t max);

/* ---- win_op_tx.c: sends ---------------------------------------------------------------------- */

kirim_err ki_op_tx_open(struct ki_op_reactor *r);
void ki_op_tx_close(struct ki_op_reactor *r);

void ki_op_tx_settle(struct ki_op_reactor *r, struct ki_op_tx *op);

/* Tells those that were refused for their own sake. */
void ki_op_tx_tell_early(struct ki_op_reactor *r);

/* The event was signalled: tells those that can write again. */
void ki_op_tx_tell_writable(struct ki_op_reactor *r);

/* Takes a port that closes off the list of those that are blocked. */
void ki_op_tx_forget(struct ki_op_reactor *r, struct ki_op_port *p);

/* Member of struct ki_win. */
kirim_err ki_op_want_writable(struct ki_win *win, struct ki_win_port *port);

/* Members of struct ki_reactor_ops. */
uint32_t ki_op_submit(struct ki_reactor *reactor, struct ki_port *port, struct ki_entry *e,
                      uint32_t n, struct ki_refusal *why);
void ki_op_cancel(struct ki_reactor *reactor, struct ki_port *port, uint64_t number,
                  struct ki_entry *e);

/* ---- of a port that closes ------------------------------------------------------------------- */

static inline bool ki_op_port_is_out(const struct ki_op_port *p)
{
    return p->posted_count != 0 || p->flying_count != 0;
}

/* Tells the core when the last operation of a closing port has ended. */
static inline void ki_op_port_check_closed(struct ki_op_port *p)
{
    if (p->is_closing != 0 && !ki_op_port_is_out(p)) {
        ki_port_closed(&p->win.port);
    }
}

#endif
