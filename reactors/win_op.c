/* SPDX-License-Identifier: MIT
 *
 * Operations, and the thread that they belong to; see win_op.h.
 *
 * Keeps true: what is on the list of those that are out is not freed or used again; each is settled
 * once. Owns handles of threads. Sources: see win_op.h; QueueUserAPC, DuplicateHandle, "OVERLAPPED
 * structure" (Internal).
 */
#include "win_op.h"

#include "win_clock.h"

enum { REFUSED_WAITS = 2 }; /* in which a routine may still come */

/* Once a thread has ended: for the system to write down how its operations did. */
#define WRITING_NS_MAX UINT64_C(5000000000)

/* What OVERLAPPED.Internal says. */
#define STATUS_OF_SUCCESS UINT32_C(0)
#define STATUS_OF_PENDING UINT32_C(0x103)
#define STATUS_OF_CUT     UINT32_C(0x80000005)

/* ---- operations ------------------------------------------------------------------------------ */

void ki_op_begin(struct ki_op_reactor *r, struct ki_op *op)
{
    op->overlapped = (WSAOVERLAPPED){ .hEvent = (WSAEVENT)r };
    op->is_refused = 0;
    op->next = r->out_first;
    op->link = &r->out_first;
    if (op->next != NULL) {
        op->next->link = &op->next;
    }
    r->out_first = op;
    atomic_store_explicit(&op->is_expected, 1, memory_order_release);
}

void ki_op_note_refusal(struct ki_op_reactor *r, struct ki_op *op)
{
    op->is_refused = 1;
    op->wait_number = r->wait_number;
    r->refused_count++;
}

void CALLBACK ki_op_land(DWORD sys_err, DWORD bytes, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    struct ki_op *op = (struct ki_op *)(void *)overlapped;
    (void)flags;
    if (atomic_exchange_explicit(&op->is_expected, 0, memory_order_acq_rel) == 0) {
        return; /* It comes twice. */
    }
    struct ki_op_reactor *r = (struct ki_op_reactor *)overlapped->hEvent;
    op->sys_err = (int)sys_err;
    if (op->is_receive != 0 && op->is_refused == 0) {
        ((struct ki_op_rx *)op)->bytes = bytes;
    }
    op->landed_next = atomic_load_explicit(&r->landed, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&r->landed, &op->landed_next, op,
                                                  memory_order_acq_rel, memory_order_relaxed)) {}
}

/* One that has landed, or is not expected to any more. */
static void settle(struct ki_op_reactor *r, struct ki_op *op)
{
    *op->link = op->next;
    if (op->next != NULL) {
        op->next->link = op->link;
    }
    op->link = NULL;
    r->refused_count -= op->is_refused;
    if (op->is_receive != 0) {
        ki_op_rx_settle(r, (struct ki_op_rx *)op);
    } else {
        ki_op_tx_settle(r, (struct ki_op_tx *)op);
    }
}

void ki_op_settle_all(struct ki_op_reactor *r)
{
    struct ki_op *op = atomic_exchange_explicit(&r->landed, NULL, memory_order_acq_rel);
    struct ki_op *first = NULL;
    while (op != NULL) { /* the order in which they landed */
        struct ki_op *before = op->landed_next;
        op->landed_next = first;
        first = op;
        op = before;
    }
    while (first != NULL) {
        struct ki_op *next = first->landed_next;
        settle(r, first);
        first = next;
    }
}

void ki_op_forget_refused(struct ki_op_reactor *r)
{
    struct ki_op *op =
        r->refused_count != 0 && atomic_load(&r->is_marked) == 0 ? r->out_first : NULL;
    while (op != NULL) {
        struct ki_op *next = op->next;
        if (op->is_refused != 0 && r->wait_number - op->wait_number >= REFUSED_WAITS &&
            atomic_exchange_explicit(&op->is_expected, 0, memory_order_acq_rel) != 0) {
            settle(r, op);
        }
        op = next;
    }
}

/* ---- threads --------------------------------------------------------------------------------- */

/* A handle of the calling thread that another one can use. */
static kirim_err open_thread(struct ki_op_reactor *r, HANDLE *out)
{
    const HANDLE process = GetCurrentProcess();
    if (!r->win.sys->duplicate_handle(process, GetCurrentThread(), process, out, 0, FALSE,
                                      DUPLICATE_SAME_ACCESS)) {
        return ki_win_failed(r->win.reactor.loop, "DuplicateHandle: the loop's thread");
    }
    return KIRIM_OK;
}

kirim_err ki_op_threads_open(struct ki_op_reactor *r)
{
    HANDLE thread = NULL;
    const kirim_err err = open_thread(r, &thread);
    if (err < 0) {
        return err;
    }
    atomic_init(&r->thread, thread);
    r->own_thread = thread;
    r->thread_id = GetCurrentThreadId();
    return KIRIM_OK;
}

void ki_op_threads_close(struct ki_op_reactor *r)
{
    (void)r->win.sys->close_handle(r->own_thread);
    if (r->is_moving != 0) {
        (void)r->win.sys->close_handle(r->old_thread);
    }
}

static void CALLBACK take_mark(ULONG_PTR context)
{
    atomic_store(&((struct ki_op_reactor *)context)->is_marked, 0);
}

/* Has the old thread tell that it has waited alertably: routines of refused calls that have not
 * come by then never will, for they are queued in front. */
static void mark(struct ki_op_reactor *r)
{
    if (r->refused_count != 0) {
        atomic_store(&r->is_marked, 1);
        if (r->win.sys->queue_user_apc(take_mark, r->old_thread, (ULONG_PTR)r) == 0) {
            atomic_store(&r->is_marked, 0); /* The thread has ended. */
        }
    }
}

kirim_err ki_op_move_in(struct ki_op_reactor *r)
{
    HANDLE thread = NULL;
    if (GetCurrentThreadId() == r->thread_id) {
        return KIRIM_OK;
    }
    const kirim_err err = open_thread(r, &thread);
    if (err < 0) {
        return err;
    }
    r->thread_id = GetCurrentThreadId();
    const HANDLE old = r->own_thread;
    r->own_thread = thread;
    atomic_store(&r->thread, NULL);
    while (atomic_load(&r->wakers) != 0) {
        (void)r->win.sys->sleep_ex(0, FALSE); /* Somebody is about to use the old one. */
    }
    if (r->is_moving != 0) { /* and nothing is queued for the one between */
        (void)r->win.sys->close_handle(old);
        return KIRIM_OK;
    }
    if (r->out_first == NULL && atomic_load(&r->apc_count) == 0) {
        (void)r->win.sys->close_handle(old);
        atomic_store(&r->thread, thread);
        return KIRIM_OK;
    }
    r->is_moving = 1;
    r->ended_ns = 0;
    r->old_thread = old;
    mark(r);
    for (struct ki_op_port *p = r->ports; p != NULL; p = p->next) {
        (void)r->win.sys->cancel_io_ex((HANDLE)p->win.port.descriptor, NULL);
    }
    return KIRIM_OK;
}

/* How an operation ended whose routine will never come, as the system has written it down. */
static void read_end(struct ki_op_reactor *r, struct ki_op *op)
{
    const uint32_t status = (uint32_t)op->overlapped.Internal;
    if (op->is_refused == 0 && status == STATUS_OF_PENDING &&
        ki_win_now() - r->ended_ns < WRITING_NS_MAX) {
        return;
    }
    if (atomic_exchange_explicit(&op->is_expected, 0, memory_order_acq_rel) != 0) {
        op->sys_err = status == STATUS_OF_SUCCESS ? 0
                      : status == STATUS_OF_CUT   ? WSAEMSGSIZE
                                                  : WSA_OPERATION_ABORTED;
        if (op->is_receive != 0 && op->is_refused == 0) {
            ((struct ki_op_rx *)op)->bytes = (uint32_t)op->overlapped.InternalHigh;
        }
        settle(r, op);
    }
}

void ki_op_move_on(struct ki_op_reactor *r)
{
    if (r->is_moving == 0) {
        return;
    }
    const bool has_ended = r->win.sys->wait_for_single_object(r->old_thread, 0) == WAIT_OBJECT_0;
    if (has_ended) {
        r->ended_ns = r->ended_ns != 0 ? r->ended_ns : ki_win_now();
        struct ki_op *op = r->out_first;
        while (op != NULL) {
            struct ki_op *next = op->next;
            read_end(r, op);
            op = next;
        }
        /* What was queued for that thread never runs. */
        atomic_store(&r->is_marked, 0);
        if (atomic_exchange(&r->apc_count, 0) != 0) {
            atomic_store(&r->is_woken, 1);
        }
    }
    if (r->out_first == NULL && atomic_load(&r->apc_count) == 0 &&
        atomic_load(&r->is_marked) == 0) {
        r->is_moving = 0;
        (void)r->win.sys->close_handle(r->old_thread);
        atomic_store(&r->thread, r->own_thread);
        for (struct ki_op_port *p = r->ports; p != NULL; p = p->next) {
            p->failures = 0;
            p->retry_ns = 0;
            ki_op_rx_hunger(r, p);
        }
    }
}

/* ---- wake ------------------------------------------------------------------------------------ */

/* It may run in an alertable wait of the user's callback: it only takes a note. */
static void CALLBACK take_wake(ULONG_PTR context)
{
    struct ki_op_reactor *r = (struct ki_op_reactor *)context;
    atomic_store(&r->is_woken, 1);
    atomic_store(&r->apc_count, 0);
}

static void queue_wake(struct ki_op_reactor *r, HANDLE thread)
{
    atomic_store(&r->apc_count, 1);
    if (r->win.sys->queue_user_apc(take_wake, thread, (ULONG_PTR)r) == 0) {
        /* The thread has ended: the one that closes the loop needs no wake. */
        atomic_store(&r->apc_count, 0);
        atomic_store(&r->is_raised, 0);
    }
}

void ki_op_wake(struct ki_reactor *reactor)
{
    struct ki_op_reactor *r = (struct ki_op_reactor *)reactor;
    if (atomic_exchange(&r->is_raised, 1) != 0) {
        return;
    }
    const DWORD last_error = GetLastError();
    atomic_fetch_add(&r->wakers, 1);
    const HANDLE thread = atomic_load(&r->thread);
    if (thread == NULL) {
        atomic_store(&r->is_woken, 1);
    } else {
        queue_wake(r, thread);
    }
    atomic_fetch_sub(&r->wakers, 1);
    SetLastError(last_error);
}
