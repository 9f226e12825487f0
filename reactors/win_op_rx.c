/* SPDX-License-Identifier: MIT
 *
 * Posted receives, for the reactor "completion"; see win_op.h, and win_op_home.c for where they
 * come from.
 *
 * A port begins with some, and gets twice as many whenever all it had were filled within one wait.
 * What finds none waits in the socket's own buffer.
 *
 * Keeps true: datagrams are handed over in the order of posting, which is that of arrival; a
 * receive is posted again only when what came in it is lent no more; after an error at once no more
 * are posted in that wait, and after many in a row, or one that is not about an earlier send, there
 * is a pause. Owns nothing. Loop thread. Sources: LPFN_WSARECVMSG.
 */
#include "win_op.h"

#include "win_clock.h"

enum { FAILURES_MAX = 16 }; /* in a row without a pause */

#define PAUSE_NS UINT64_C(100000000)

/* ---- posting --------------------------------------------------------------------------------- */

/* An error waits for no receive that was posted before: it goes behind the results that are there.
 */
static void promote(struct ki_op_port *p, struct ki_op_rx *op)
{
    struct ki_op_rx **at = &p->rx_first;
    while (*at != op) {
        at = &(*at)->next;
    }
    *at = op->next;
    p->rx_last = op->next == NULL ? at : p->rx_last;
    at = &p->rx_first;
    while (*at != NULL && (*at)->has_result != 0) {
        at = &(*at)->next;
    }
    op->next = *at;
    *at = op;
    p->rx_last = op->next == NULL ? &op->next : p->rx_last;
}

static bool is_error(const struct ki_op_rx *op)
{
    return op->op.sys_err != 0 && op->op.sys_err != WSAEMSGSIZE;
}

/* Begins a receive, behind the others of its port. */
static void enqueue(struct ki_op_port *p, struct ki_op_rx *op)
{
    const bool has_control = (p->win.has_control | p->win.is_coalescing) != 0;
    op->port = p;
    op->has_result = 0;
    op->bytes = 0;
    op->buf = (WSABUF){ .len = op->bytes_max, .buf = (char *)op->data };
    memset(&op->name, 0, sizeof op->name);
    op->msg = (WSAMSG){
        .name = &op->name.any,
        .namelen = sizeof op->name,
        .lpBuffers = &op->buf,
        .dwBufferCount = 1,
        .Control = {
            .len = has_control ? (ULONG)sizeof op->control.words : 0,
            .buf = has_control ? (char *)op->control.words : NULL,
        },
    };
    op->next = NULL;
    *p->rx_last = op;
    p->rx_last = &op->next;
    p->win.port.rx_calls++;
}

/* Posts one receive: 0, or why the call has failed, which is its result. */
static int post(struct ki_op_reactor *r, struct ki_op_port *p, struct ki_op_rx *op)
{
    enqueue(p, op);
    p->posted_count++;
    ki_op_begin(r, &op->op);
    /* The routine comes in both cases. */
    if (p->win.calls.receive((SOCKET)p->win.port.descriptor, &op->msg, NULL, &op->op.overlapped,
                             ki_op_land) == 0) {
        return 0;
    }
    const int sys_err = WSAGetLastError();
    if (sys_err == WSA_IO_PENDING) {
        return 0;
    }
    ki_op_note_refusal(r, &op->op);
    op->op.sys_err = sys_err;
    if (is_error(op)) {
        promote(p, op);
    }
    op->has_result = 1;
    p->posted_count--;
    return sys_err;
}

/* Posts for one port. True: it stays hungry. */
static bool feed(struct ki_op_reactor *r, struct ki_op_port *p)
{
    if (p->is_deaf != 0) {
        return false;
    }
    if (p->retry_ns != 0 && ki_win_remaining_ns(p->retry_ns) > 0) {
        r->is_ailing = 1;
        return true;
    }
    if (p->is_polled != 0) {
        p->is_dry = 1;
        r->is_polling = 1;
        return true;
    }
    const uint64_t depth = p->retry_ns != 0 ? 1 : p->depth; /* an ailing one tries one */
    int sys_err = 0;
    p->is_dry = 0;
    while (p->posted_count < depth && (sys_err == 0 || sys_err == WSAEMSGSIZE)) {
        struct ki_op_rx *op = ki_op_rx_take(r, p);
        if (op == NULL) {
            break;
        }
        sys_err = post(r, p, op);
    }
    return p->posted_count == 0;
}

void ki_op_rx_feed(struct ki_op_reactor *r)
{
    struct ki_op_port *p = r->hungry;
    r->hungry = NULL;
    r->is_ailing = 0;
    r->is_polling = 0;
    while (p != NULL) {
        struct ki_op_port *next = p->hungry_next;
        p->is_hungry = 0;
        if (feed(r, p)) {
            ki_op_rx_hunger(r, p);
        }
        if (p->rx_first != NULL && p->rx_first->has_result != 0) {
            ki_port_ready(&r->win.reactor, &p->win.port);
            r->is_busy = 1;
        } else if (p->is_polled != 0) {
            ki_port_ready(&r->win.reactor, &p->win.port);
        }
        p = next;
    }
}

void ki_op_rx_listen(struct ki_op_reactor *r, struct ki_op_port *p)
{
    if (p->is_hungry != 0 && p->posted_count == 0 && r->is_moving == 0) {
        (void)feed(r, p); /* It stays hungry, so that the next wait tells what came of it. */
    }
}

int ki_op_rx_try(struct ki_op_reactor *r, struct ki_op_port *p)
{
    const int sys_err = post(r, p, ki_op_rx_take(r, p));
    ki_op_rx_hunger(r, p);
    return sys_err;
}

/* ---- landing --------------------------------------------------------------------------------- */

void ki_op_rx_settle(struct ki_op_reactor *r, struct ki_op_rx *op)
{
    if (op->op.is_refused != 0) {
        if (op->is_held != 0) { /* else what it was told is waiting, or lent */
            ki_op_rx_go_home(r, op);
        }
        return;
    }
    struct ki_op_port *p = op->port;
    p->posted_count--;
    if (p->is_closing != 0) {
        op->port = NULL;
        ki_op_rx_go_home(r, op);
        ki_op_port_check_closed(p);
        return;
    }
    if (is_error(op)) {
        promote(p, op);
    }
    op->has_result = 1;
    if (p->posted_count == 0) {
        p->is_dry = 1;
        p->depth *= p->depth <= r->win.rx.slot_count ? 2 : 1;
    }
    if (p->rx_first->has_result != 0) {
        ki_port_ready(&r->win.reactor, &p->win.port);
    }
}

/* ---- handing over ---------------------------------------------------------------------------- */

static struct ki_op_rx *pop(struct ki_op_port *p)
{
    struct ki_op_rx *op = p->rx_first;
    p->rx_first = op->next;
    if (p->rx_first == NULL) {
        p->rx_last = &p->rx_first;
    }
    return op;
}

/* Whether an end of a receive is nobody's business: it was cancelled or interrupted. */
static bool is_void(int sys_err)
{
    return sys_err == WSA_OPERATION_ABORTED || sys_err == WSAEINTR;
}

/* Notes that a receive has failed: what does not end by itself shall not keep the loop busy. */
static void note_failure(struct ki_op_port *p, int sys_err)
{
    p->failures++;
    /* Wine's word for a port that is closed. From then on nothing that waits for the socket is told
     * of what arrives: it has to be asked. */
    p->is_polled |= sys_err == WSAECONNREFUSED;
    if (sys_err == WSAESHUTDOWN) {
        p->is_deaf = 1; /* No datagram comes any more. */
    } else if (p->failures > FAILURES_MAX || (!ki_win_rx_is_report(sys_err) && !is_void(sys_err))) {
        p->retry_ns = ki_win_now() + PAUSE_NS;
    }
}

/* Describes the first result, if it is a datagram or a train; of a train nothing yet. */
static uint32_t describe(struct ki_op_reactor *r, struct ki_op_port *p, struct ki_op_rx *op,
                         struct kirim_datagram *d)
{
    const struct ki_win_slot_view at = { op->data, &op->name, &op->arrival };
    struct ki_win_result result = {
        .bytes = op->bytes < op->bytes_max ? op->bytes : op->bytes_max,
        .msg = op->msg,
    };
    if (op->op.sys_err == WSAEMSGSIZE) {
        result.bytes = ki_win_rx_kept_bytes(op->msg.dwFlags, op->bytes, op->bytes_max);
        result.is_cut = true;
    }
    if (op->msg.Control.len > sizeof op->control.words) {
        result.msg.Control = (WSABUF){ 0, NULL };
    }
    p->failures = 0;
    p->retry_ns = 0;
    return ki_win_rx_describe(&r->win, &p->win, &result, &at, d, &p->train) ? 0 : 1;
}

/* Whether the socket's buffer may hold more, and may be asked: not in a pause. */
static bool may_ask(const struct ki_op_reactor *r, const struct ki_op_port *p)
{
    return p->is_dry != 0 && p->is_deaf == 0 && p->retry_ns == 0 && r->is_moving == 0;
}

/* Whether a result is there. When all that was posted has been filled, more may wait in the
 * socket's buffer: it is asked for at once, and not overlapped, as nothing is posted before it. */
static bool has_next(struct ki_op_reactor *r, struct ki_op_port *p)
{
    if (p->rx_first != NULL) {
        return p->rx_first->has_result != 0;
    }
    if (!may_ask(r, p)) {
        return false;
    }
    struct ki_op_rx *op = ki_op_rx_take(r, p);
    if (op == NULL) {
        p->win.port.rx_flags |= KI_RX_MORE | KI_RX_STARVED;
        return false;
    }
    DWORD bytes = 0;
    enqueue(p, op);
    const int answer =
        p->win.calls.receive((SOCKET)p->win.port.descriptor, &op->msg, &bytes, NULL, NULL);
    op->op.sys_err = answer == 0 ? 0 : WSAGetLastError();
    op->bytes = bytes;
    op->has_result = 1;
    p->is_dry = op->op.sys_err != WSAEWOULDBLOCK;
    return true;
}

/* Drops the results behind the first one that say the same error: there are systems that fail all
 * that is posted for one report. */
static void merge_errors(struct ki_op_reactor *r, struct ki_op_port *p)
{
    const int sys_err = p->rx_first->op.sys_err;
    const struct ki_op_rx *next = p->rx_first->next;
    while (next != NULL && next->has_result != 0 && next->op.sys_err == sys_err) {
        ki_op_rx_lend(r, pop(p));
        next = p->rx_first->next;
    }
}

/* Hands over what is there, up to an error, which ends a batch. */
static uint32_t receive(struct ki_op_reactor *r, struct ki_op_port *p, struct kirim_datagram *d,
                        uint32_t max)
{
    uint32_t count = 0;
    bool is_over = false;
    while (count < max && !is_over && has_next(r, p)) {
        struct ki_op_rx *op = p->rx_first;
        const int sys_err = op->op.sys_err;
        if (p->train.bytes != 0) {
            count += ki_win_rx_cut_train(&p->win.port, &p->train, &d[count], max - count);
            if (p->train.offset < p->train.bytes) {
                break;
            }
            p->train.bytes = 0;
        } else if (!is_error(op)) {
            count += describe(r, p, op, &d[count]);
            if (p->train.bytes != 0) {
                continue;
            }
        } else if (sys_err != WSAEWOULDBLOCK) {
            merge_errors(r, p);
            note_failure(p, sys_err);
            if (!is_void(sys_err)) {
                ki_win_rx_tell_error(&p->win, sys_err, &p->rx_first->name);
                is_over = true;
            }
        }
        ki_op_rx_lend(r, pop(p));
        ki_op_rx_hunger(r, p);
    }
    return count;
}

uint32_t ki_op_receive(struct ki_reactor *reactor, struct ki_port *port, struct kirim_datagram *d,
                       uint32_t max)
{
    struct ki_op_port *p = (struct ki_op_port *)port;
    port->rx_flags = 0;
    const uint32_t count = receive((struct ki_op_reactor *)reactor, p, d, max);
    if (p->win.report.is_there != 0) {
        ki_win_rx_tell_report(&p->win);
    }
    if (p->rx_first != NULL ? p->rx_first->has_result != 0
                            : may_ask((const struct ki_op_reactor *)reactor, p)) {
        port->rx_flags |= KI_RX_MORE;
    }
    return count;
}
