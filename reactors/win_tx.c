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
#include "win_mtu.h"
#include "win_socket.h"

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

/* When the system is full the reactor must be able to tell when it no longer is; if it cannot,
 * waiting would be for ever, and the honest answer is "no buffers". */
KI_COLD void ki_win_tx_refuse(struct ki_win *r, struct ki_win_port *p, int sys_err,
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

int ki_win_tx_send(struct ki_win_port *p, struct ki_win_out *out)
{
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

/* Whether an address is none of this host: whoever binds to it is told so. */
static bool is_foreign(const struct ki_win *r, const struct kirim_addr *addr, uint32_t ifindex)
{
    const bool is_ipv6 = kirim_addr_family(addr) == KIRIM_IPV6;
    struct kirim_addr host = *addr;
    union ki_win_name name;
    kirim_addr_set_port(&host, 0);
    const int bytes = ki_win_name_write(&name, &host, is_ipv6);
    /* Where it has a meaning: elsewhere it breaks the bind (L43). */
    if (is_ipv6 && ifindex != 0 && IN6_IS_ADDR_LINKLOCAL(&name.ipv6.sin6_addr)) {
        name.ipv6.sin6_scope_id = ifindex;
    }
    const SOCKET s = ki_win_socket_make(r, is_ipv6 ? AF_INET6 : AF_INET);
    if (s == INVALID_SOCKET) {
        return false;
    }
    const bool answer =
        r->sys->bind(s, &name.any, bytes) != 0 && WSAGetLastError() == WSAEADDRNOTAVAIL;
    (void)r->sys->close(s);
    return answer;
}

KI_COLD void ki_win_tx_explain(const struct ki_win *r, const struct ki_win_port *p,
                               const struct ki_entry *e, struct ki_refusal *why)
{
    const bool has_peer = kirim_addr_family(&e->peer) != KIRIM_FAMILY_NONE;
    const bool has_source =
        e->control != NULL && kirim_addr_family(&e->control->source) != KIRIM_FAMILY_NONE;
    const struct kirim_addr *dest = has_peer ? &e->peer : &p->port.remote;
    const struct kirim_addr *source = has_source ? &e->control->source : &p->port.local;
    const bool may_be_source = why->sys_err == WSAEINVAL || why->sys_err == WSAENETUNREACH ||
                               why->sys_err == WSAEHOSTUNREACH || why->sys_err == WSAEADDRNOTAVAIL;
    if (!may_be_source || why->is_stale != 0 || kirim_addr_family(source) == KIRIM_FAMILY_NONE ||
        kirim_addr_is_wildcard(source)) {
        return;
    }
    if (kirim_addr_is_loopback(source)) {
        why->err = kirim_addr_is_loopback(dest) ? why->err : KIRIM_ENETUNREACH;
    } else if (is_foreign(r, source, e->control != NULL ? e->control->ifindex : 0)) {
        why->err = KIRIM_EADDRNOTAVAIL;
    }
}

bool ki_win_tx_set_fragments(struct ki_win *r, struct ki_win_port *p, const struct ki_entry *e,
                             struct ki_refusal *why)
{
    const kirim_err err = ki_win_mtu_set(r, p, e);
    if (err < 0) {
        *why = (struct ki_refusal){ .err = err, .sys_err = WSAGetLastError(), .entries = 1 };
    }
    return err == KIRIM_OK;
}

uint32_t ki_win_submit(struct ki_reactor *reactor, struct ki_port *port, struct ki_entry *e,
                       uint32_t n, struct ki_refusal *why)
{
    struct ki_win *r = (struct ki_win *)reactor;
    struct ki_win_port *p = (struct ki_win_port *)port;
    uint32_t done = 0;
    while (done < n) {
        if (ki_win_mtu_is_due(p, &e[done]) && !ki_win_tx_set_fragments(r, p, &e[done], why)) {
            return done;
        }
        ki_win_encode(&r->tx, r->tx_bufs, p, &e[done], n - done);
        const int sys_err = ki_win_tx_send(p, &r->tx);
        if (sys_err != 0) {
            ki_win_tx_refuse(r, p, sys_err, r->tx.entries, why);
            ki_win_tx_explain(r, p, &e[done], why);
            return done;
        }
        port->tx_trains += r->tx.is_train;
        done += r->tx.entries;
    }
    return done;
}
