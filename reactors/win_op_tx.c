/* SPDX-License-Identifier: MIT
 *
 * Overlapped sends, for the reactor "completion"; see win_op.h.
 *
 * A send that the system takes at once has left, though its routine comes later; one that is
 * pending keeps its entries in flight. How many of them a port may have is bounded, so that there
 * is something to wait for: room is told when half of it is free again.
 *
 * Some sends are not overlapped: those that must not stay behind (KI_TX_NOW); those whose bytes are
 * only lent, so that no receive buffer is ever pinned; and all when the records have run out. None
 * of them is made while something of the port is in flight, which it would overtake. If the system
 * is full then and nothing of the port is in flight to tell of its end, FD_WRITE does; lent bytes
 * have been copied by the next turn, and may then wait in an overlapped send.
 *
 * Keeps true: datagrams of a port leave in posting order; every entry in flight is finished once.
 * Loop thread. Sources: WSASendMsg, WSAEventSelect.
 */
#include "win_op.h"

#include "win_map.h"
#include "win_mtu.h"
#include "win_tx.h"

enum {
    FLYING_COUNT_MAX = 64,     /* sends in flight of one port */
    FLYING_BYTES_MAX = 1 << 20 /* and their bytes; one alone may be more */
};

kirim_err ki_op_tx_open(struct ki_op_reactor *r)
{
    r->tx_ops = ki_alloc(r->win.reactor.loop, KI_OP_TX_COUNT * sizeof *r->tx_ops);
    if (r->tx_ops == NULL) {
        return KIRIM_ENOMEM;
    }
    for (uint32_t i = KI_OP_TX_COUNT; i-- > 0;) {
        atomic_init(&r->tx_ops[i].op.is_expected, 0);
        r->tx_ops[i].free_next = r->tx_free;
        r->tx_free = &r->tx_ops[i];
    }
    return KIRIM_OK;
}

void ki_op_tx_close(struct ki_op_reactor *r)
{
    ki_free(r->win.reactor.loop, r->tx_ops, KI_OP_TX_COUNT * sizeof *r->tx_ops);
}

/* ---- blocked ports --------------------------------------------------------------------------- */

static void list_blocked(struct ki_op_reactor *r, struct ki_op_port *p)
{
    if (p->is_blocked_listed == 0) {
        p->is_blocked_listed = 1;
        p->blocked_next = r->blocked;
        r->blocked = p;
    }
}

kirim_err ki_op_want_writable(struct ki_win *win, struct ki_win_port *port)
{
    struct ki_op_reactor *r = (struct ki_op_reactor *)win;
    struct ki_op_port *p = (struct ki_op_port *)port;
    if (p->flying_count != 0) {
        return KIRIM_OK; /* the end of a flight tells */
    }
    /* The "would block" that came before has armed FD_WRITE. */
    if (p->is_early == 0) {
        if (win->sys->event_select((SOCKET)port->port.descriptor, r->guests.event, FD_WRITE) != 0) {
            return ki_win_failed(win->reactor.loop, "WSAEventSelect");
        }
        p->is_selecting = 1;
    }
    list_blocked(r, p);
    return KIRIM_OK;
}

static void tell_writable(struct ki_op_port *p)
{
    if (p->win.is_blocked != 0) {
        p->win.is_blocked = 0;
        ki_port_writable(&p->win.port);
    }
}

static void stop_selecting(struct ki_op_reactor *r, struct ki_op_port *p)
{
    if (p->is_selecting != 0) {
        p->is_selecting = 0;
        (void)r->win.sys->event_select((SOCKET)p->win.port.descriptor, NULL, 0);
    }
}

/* Takes a port off the list. Returns the next one. */
static struct ki_op_port *unlist(struct ki_op_reactor *r, struct ki_op_port **at)
{
    struct ki_op_port *p = *at;
    *at = p->blocked_next;
    p->is_blocked_listed = 0;
    p->is_early = 0;
    stop_selecting(r, p);
    return *at;
}

void ki_op_tx_tell_early(struct ki_op_reactor *r)
{
    struct ki_op_port **at = &r->blocked;
    while (*at != NULL) {
        struct ki_op_port *p = *at;
        if (p->is_early != 0) {
            (void)unlist(r, at);
            tell_writable(p);
            r->is_busy = 1;
        } else {
            at = &p->blocked_next;
        }
    }
}

void ki_op_tx_tell_writable(struct ki_op_reactor *r)
{
    struct ki_op_port **at = &r->blocked;
    while (*at != NULL) {
        struct ki_op_port *p = *at;
        WSANETWORKEVENTS record;
        /* A socket that cannot be asked is tried: the send tells what is wrong. */
        if (r->win.sys->event_enum((SOCKET)p->win.port.descriptor, NULL, &record) != 0 ||
            (record.lNetworkEvents & FD_WRITE) != 0) {
            (void)unlist(r, at);
            tell_writable(p);
        } else {
            at = &p->blocked_next;
        }
    }
}

void ki_op_tx_forget(struct ki_op_reactor *r, struct ki_op_port *p)
{
    struct ki_op_port **at = &r->blocked;
    while (p->is_blocked_listed != 0) {
        if (*at == p) {
            (void)unlist(r, at);
        } else {
            at = &(*at)->blocked_next;
        }
    }
}

/* ---- submitting ------------------------------------------------------------------------------ */

static bool is_any_lent(const struct ki_entry *e, uint32_t n)
{
    uint32_t status = 0;
    for (uint32_t i = 0; i < n; i++) {
        status |= e[i].status;
    }
    return (status & KI_LENT) != 0;
}

/* Refuses until what is in flight has made room. */
static uint32_t refuse_for_flight(struct ki_op_port *p, uint32_t entries, struct ki_refusal *why)
{
    *why = (struct ki_refusal){ .err = KIRIM_EWOULDBLOCK, .entries = entries };
    p->win.is_blocked = 1;
    return 0;
}

static uint32_t send_directly(struct ki_op_reactor *r, struct ki_op_port *p, struct ki_win_out *out,
                              bool may_wait, struct ki_refusal *why)
{
    if (p->flying_count != 0) {
        return refuse_for_flight(p, out->entries, why);
    }
    const int sys_err = ki_win_tx_send(&p->win, out);
    if (sys_err != 0) {
        p->is_early = may_wait;
        ki_win_tx_refuse(&r->win, &p->win, sys_err, out->entries, why);
        p->is_early = p->is_blocked_listed != 0 ? p->is_early : 0;
        return 0;
    }
    p->win.port.tx_trains += out->is_train;
    return out->entries;
}

/* Marks the entries of a send that is pending. */
static void fly(struct ki_op_reactor *r, struct ki_op_port *p, struct ki_op_tx *op,
                struct ki_entry *e, uint64_t number, uint64_t bytes)
{
    const uint32_t flags = KI_INFLIGHT | (op->out.is_train != 0 ? KI_IN_TRAIN : 0U);
    for (uint32_t i = 0; i < op->out.entries; i++) {
        e[i].status = (e[i].status & ~(uint32_t)(KI_STATE | KI_IN_TRAIN)) | flags;
        e[i].record = (uint32_t)(op - r->tx_ops);
    }
    op->port = p;
    op->number = number;
    op->bytes = bytes;
    p->flying_count++;
    p->flying_bytes += bytes;
    p->win.port.inflight_count += op->out.entries;
}

static uint32_t send_overlapped(struct ki_op_reactor *r, struct ki_op_port *p, struct ki_op_tx *op,
                                struct ki_entry *e, uint64_t number, struct ki_refusal *why)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < op->out.entries; i++) {
        bytes += e[i].bytes;
    }
    if (p->flying_count >= FLYING_COUNT_MAX ||
        (p->flying_count != 0 && p->flying_bytes + bytes > FLYING_BYTES_MAX)) {
        return refuse_for_flight(p, op->out.entries, why);
    }
    r->tx_free = op->free_next;
    op->port = NULL;
    p->win.port.tx_calls++;
    ki_op_begin(r, &op->op);
    /* No place for the count: it comes with the completion (S50). */
    const int answer = p->win.calls.send((SOCKET)p->win.port.descriptor, &op->out.msg,
                                         op->out.flags, NULL, &op->op.overlapped, ki_op_land);
    const int sys_err = answer == 0 ? 0 : WSAGetLastError();
    if (sys_err == WSA_IO_PENDING) {
        fly(r, p, op, e, number, bytes);
    } else if (sys_err != 0) {
        ki_op_note_refusal(r, &op->op);
        ki_win_tx_refuse(&r->win, &p->win, sys_err, op->out.entries, why);
        return 0;
    }
    p->win.port.tx_trains += op->out.is_train;
    return op->out.entries;
}

/* Has the socket cut the next datagrams or not, which what is in flight must not notice. */
static bool set_fragments(struct ki_op_reactor *r, struct ki_op_port *p, const struct ki_entry *e,
                          struct ki_refusal *why)
{
    if (p->flying_count != 0 && ki_win_mtu_changes(&p->win, e)) {
        (void)refuse_for_flight(p, 1, why);
        return false;
    }
    return ki_win_tx_set_fragments(&r->win, &p->win, e, why);
}

uint32_t ki_op_submit(struct ki_reactor *reactor, struct ki_port *port, struct ki_entry *e,
                      uint32_t n, struct ki_refusal *why)
{
    struct ki_op_reactor *r = (struct ki_op_reactor *)reactor;
    struct ki_op_port *p = (struct ki_op_port *)port;
    uint32_t done = 0;
    const bool must_be_direct =
        (port->tx_flags & KI_TX_NOW) != 0 || ki_op_move_in(r) < 0 || r->is_moving != 0;
    ki_op_rx_listen(r, p);
    while (done < n) {
        if (ki_win_mtu_is_due(&p->win, &e[done]) && !set_fragments(r, p, &e[done], why)) {
            return done;
        }
        struct ki_op_tx *op = must_be_direct ? NULL : r->tx_free;
        struct ki_win_out *out = op != NULL ? &op->out : &r->win.tx;
        ki_win_encode(out, r->win.tx_bufs, &p->win, &e[done], n - done);
        const uint32_t taken =
            op == NULL || is_any_lent(&e[done], out->entries)
                ? send_directly(r, p, out, op != NULL, why)
                : send_overlapped(r, p, op, &e[done], port->tx_number + done, why);
        if (taken == 0 && why->sys_err == WSAEINTR) {
            continue; /* with another record: the routine of this one may come yet */
        }
        if (taken == 0) {
            ki_win_tx_explain(&r->win, &p->win, &e[done], why);
            return done;
        }
        done += taken;
    }
    return done;
}

/* ---- landing --------------------------------------------------------------------------------- */

/* Ends all entries of a send. What is to be tried again can only be from the last one on. */
static void finish(struct ki_op_port *p, const struct ki_op_tx *op, kirim_err err, int sys_err)
{
    const uint32_t n = op->out.entries;
    for (uint32_t i = 0; i < n; i++) {
        ki_entry_finish(&p->win.port, op->number + (err < 0 ? n - 1 - i : i), err, sys_err);
    }
}

void ki_op_tx_settle(struct ki_op_reactor *r, struct ki_op_tx *op)
{
    struct ki_op_port *p = op->port;
    const int sys_err = op->op.sys_err;
    if (p != NULL) {
        kirim_err err = sys_err == 0 ? KIRIM_OK : ki_win_map(sys_err);
        if (sys_err != 0) {
            /* Of a socket that was closed every error says the same. */
            err = p->is_closing != 0 ? KIRIM_EABORTED : err < 0 ? err : KIRIM_ESYSTEM;
        }
        p->flying_count--;
        p->flying_bytes -= op->bytes;
        op->port = NULL;
        finish(p, op, err, sys_err);
    }
    op->free_next = r->tx_free;
    r->tx_free = op;
    if (p == NULL) {
        return;
    }
    if (p->is_closing == 0 && p->is_blocked_listed == 0 &&
        p->flying_count * 2 <= FLYING_COUNT_MAX && p->flying_bytes * 2 <= FLYING_BYTES_MAX) {
        tell_writable(p);
    }
    ki_op_port_check_closed(p);
}

void ki_op_cancel(struct ki_reactor *reactor, struct ki_port *port, uint64_t number,
                  struct ki_entry *e)
{
    struct ki_op_reactor *r = (struct ki_op_reactor *)reactor;
    struct ki_op_tx *op = &r->tx_ops[e->record];
    (void)number;
    /* The others of a train are not to be cancelled with it. */
    if (op->out.entries == 1 && op->port != NULL) {
        (void)r->win.sys->cancel_io_ex((HANDLE)port->descriptor, &op->op.overlapped);
    }
}
