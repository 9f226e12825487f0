/* SPDX-License-Identifier: MIT
 *
 * Submitting for the Windows readiness reactors; see win_tx.h.
 *
 * Keeps true: what was taken has left, and its bytes are free. An error that the reference gives to
 * an earlier datagram (S31, S38) does not cost this one its turn. Loop thread. Sources: see
 * win_tx.h.
 */
#include "win_tx.h"

#include "win_map.h"

bool ki_win_tx_is_stale(struct ki_win_port *p, int sys_err)
{
    if (sys_err != WSAECONNRESET && sys_err != WSAECONNREFUSED && sys_err != WSAENETRESET) {
        return false;
    }
    /* Of a connected port there is one peer only, and of another one nobody knows whose it is: what
     * waits already says the same. */
    p->report = (struct ki_win_report){
        .is_there = 1,
        .peer = p->port.remote,
        .err = ki_win_map(sys_err),
        .sys_err = sys_err,
    };
    p->port.errors_waiting = 1;
    return true;
}

/* Says why an entry was refused. When the system is full the reactor must be able to tell when it
 * no longer is; if it cannot, waiting would be for ever, and the honest answer is "no buffers". */
static KI_COLD void note_refusal(struct ki_win *r, struct ki_win_port *p, int sys_err,
                                 uint32_t entries, struct ki_refusal *why)
{
    *why = (struct ki_refusal){
        .err = ki_win_map(sys_err),
        .sys_err = sys_err,
        .entries = entries,
    };
    if (why->err == KIRIM_EWOULDBLOCK) {
        p->is_blocked = 1;
        if (r->want_writable(r, p) < 0) {
            p->is_blocked = 0;
            why->err = KIRIM_ENOBUFS;
        }
    } else if (why->err == KIRIM_PENDING) {
        why->err = KIRIM_ESYSTEM; /* nothing overlapped was asked for: there is no such answer */
    } else {
        why->is_stale = ki_win_tx_is_stale(p, sys_err);
    }
}

/* Sends the message in r->tx: 0, or the system's code. */
static int send_message(struct ki_win *r, struct ki_win_port *p)
{
    struct ki_win_out *out = &r->tx;
    DWORD sent = 0;
    int sys_err;
    do {
        p->port.tx_calls++;
        /* The count may not be NULL where nothing is overlapped (S50); a datagram leaves whole. */
        const int answer =
            p->calls.send((SOCKET)p->port.descriptor, &out->msg, out->flags, &sent, NULL, NULL);
        sys_err = answer == 0 ? 0 : WSAGetLastError();
    } while (sys_err == WSAEINTR);
    return sys_err;
}

uint32_t ki_win_submit(struct ki_reactor *reactor, struct ki_port *port, struct ki_entry *e,
                       uint32_t n, struct ki_refusal *why)
{
    struct ki_win *r = (struct ki_win *)reactor;
    struct ki_win_port *p = (struct ki_win_port *)port;
    uint32_t done = 0;
    while (done < n) {
        ki_win_encode(&r->tx, r->tx_bufs, p, &e[done], n - done);
        const int sys_err = send_message(r, p);
        if (sys_err != 0) {
            note_refusal(r, p, sys_err, r->tx.entries, why);
            return done;
        }
        port->tx_trains += r->tx.is_train;
        done += r->tx.entries;
    }
    return done;
}
