/* SPDX-License-Identifier: MIT
 *
 * Posted receives, for the reactor "completion"; see win_op.h.
 *
 * A port has one receive of its own, whose buffer is as large as its largest datagram, so that it
 * always hears; more come from the loop's pool of slots. It begins with some, and gets twice as
 * many whenever all it had were filled within one wait; while the pool is less than half full,
 * nobody gets more than an equal share. What finds none waits in the socket's own buffer.
 *
 * Keeps true: datagrams are handed over in the order of posting, which is that of arrival; a
 * receive is posted again only when what came in it is lent no more; after an error at once no more
 * are posted in that wait, and after many in a row, or one that is not about an earlier send, there
 * is a pause. Owns the port's own receives; the pool's bytes are those of win_rx.c. Loop thread.
 * Sources: LPFN_WSARECVMSG.
 */
#include "win_op.h"

#include "win_clock.h"

enum {
    DEPTH_AT_FIRST = 8,
    FAILURES_MAX = 16, /* in a row without a pause */
    ALIGNMENT = 64
};

#define PAUSE_NS UINT64_C(100000000)

/* ---- receives and their homes ---------------------------------------------------------------- */

kirim_err ki_op_rx_open(struct ki_op_reactor *r)
{
    const struct ki_win_rx *rx = &r->win.rx;
    r->rx_lent_last = &r->rx_lent;
    r->rx_ops = ki_alloc(r->win.reactor.loop, rx->slot_count * sizeof *r->rx_ops);
    if (r->rx_ops == NULL) {
        return KIRIM_ENOMEM;
    }
    for (uint32_t i = rx->slot_count; i-- > 0;) {
        struct ki_op_rx *op = &r->rx_ops[i];
        atomic_init(&op->op.is_expected, 0);
        op->op.is_receive = 1;
        op->data = rx->slots[i].data;
        op->bytes_max = rx->slot_bytes;
        op->next = r->rx_free;
        r->rx_free = op;
    }
    r->rx_free_count = rx->slot_count;
    return KIRIM_OK;
}

void ki_op_rx_close(struct ki_op_reactor *r)
{
    ki_free(r->win.reactor.loop, r->rx_ops, r->win.rx.slot_count * sizeof *r->rx_ops);
}

void ki_op_rx_hunger(struct ki_op_reactor *r, struct ki_op_port *p)
{
    if (p->is_hungry == 0 && p->is_closing == 0) {
        p->is_hungry = 1;
        p->hungry_next = r->hungry;
        r->hungry = p;
    }
}

/* A receive that nobody uses: back to its port or to the pool. One whose port is gone is freed. */
static void go_home(struct ki_op_reactor *r, struct ki_op_rx *op)
{
    op->is_held = 0;
    if (op->block_bytes == 0) {
        op->port = NULL;
        op->next = r->rx_free;
        r->rx_free = op;
        r->rx_free_count++;
    } else if (op->port != NULL) {
        op->port->is_own_idle = 1;
        ki_op_rx_hunger(r, op->port);
    } else {
        (void)kirim_loop_alloc(r->win.reactor.loop, op, op->block_bytes, 0);
    }
}

static void lend(struct ki_op_reactor *r, struct ki_op_rx *op)
{
    op->next = NULL;
    *r->rx_lent_last = op;
    r->rx_lent_last = &op->next;
}

void ki_op_rx_take_back(struct ki_op_reactor *r)
{
    struct ki_op_rx *op = r->rx_lent;
    r->rx_lent = NULL;
    r->rx_lent_last = &r->rx_lent;
    while (op != NULL) {
        struct ki_op_rx *next = op->next;
        op->has_result = 0;
        if (op->op.link != NULL) {
            op->is_held = 1; /* Its routine may come yet. */
        } else {
            go_home(r, op);
        }
        op = next;
    }
}

void ki_op_release(struct ki_reactor *reactor)
{
    ki_op_rx_take_back((struct ki_op_reactor *)reactor);
}

/* ---- ports ----------------------------------------------------------------------------------- */

kirim_err ki_op_rx_open_port(struct ki_op_reactor *r, struct ki_op_port *p)
{
    /* A train needs room for all of it. */
    const bool may_coalesce = r->win.has_coalescing != 0 && p->win.port.wants_coalesced != 0;
    const size_t bytes =
        may_coalesce ? r->win.rx.slot_bytes : (size_t)p->win.port.datagram_bytes_max;
    const size_t head = (sizeof(struct ki_op_rx) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *block = kirim_loop_alloc(r->win.reactor.loop, NULL, 0, head + bytes);
    if (block == NULL) {
        return KIRIM_ENOMEM;
    }
    struct ki_op_rx *op = block;
    memset(op, 0, sizeof *op);
    atomic_init(&op->op.is_expected, 0);
    op->op.is_receive = 1;
    op->port = p;
    op->data = (uint8_t *)block + head;
    op->bytes_max = (uint32_t)bytes;
    op->block_bytes = head + bytes;
    p->own = op;
    p->is_own_idle = 1;
    p->depth = DEPTH_AT_FIRST;
    p->rx_last = &p->rx_first;
    return KIRIM_OK;
}

static struct ki_op_rx *pop(struct ki_op_port *p)
{
    struct ki_op_rx *op = p->rx_first;
    p->rx_first = op->next;
    if (p->rx_first == NULL) {
        p->rx_last = &p->rx_first;
    }
    return op;
}

static void forget_hunger(struct ki_op_reactor *r, struct ki_op_port *p)
{
    struct ki_op_port **at = &r->hungry;
    while (p->is_hungry != 0 && *at != p) {
        at = &(*at)->hungry_next;
    }
    if (p->is_hungry != 0) {
        *at = p->hungry_next;
        p->is_hungry = 0;
    }
}

void ki_op_rx_close_port(struct ki_op_reactor *r, struct ki_op_port *p)
{
    bool is_own_posted = false;
    struct ki_op_rx *op = p->rx_first;
    forget_hunger(r, p);
    p->train.bytes = 0;
    /* What has come is dropped; a part of it may be lent. What has not will land. */
    while (op != NULL) {
        struct ki_op_rx *next = op->next;
        if (op->has_result != 0) {
            lend(r, op);
        } else if (op == p->own) {
            is_own_posted = true;
        }
        op = next;
    }
    p->rx_first = NULL;
    p->rx_last = &p->rx_first;
    if (!is_own_posted) {
        p->own->port = NULL;
        if (p->is_own_idle != 0) {
            go_home(r, p->own);
        }
    }
}

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

/* The next receive that the port may post; NULL: none. */
static struct ki_op_rx *take(struct ki_op_reactor *r, struct ki_op_port *p)
{
    if (p->is_own_idle != 0) {
        p->is_own_idle = 0;
        return p->own;
    }
    const uint64_t slot_count = r->win.rx.slot_count;
    if (r->rx_free == NULL ||
        (r->rx_free_count * 2 < slot_count && p->posted_count >= slot_count / r->port_count)) {
        return NULL;
    }
    struct ki_op_rx *op = r->rx_free;
    r->rx_free = op->next;
    r->rx_free_count--;
    return op;
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
        struct ki_op_rx *op = take(r, p);
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
    const int sys_err = post(r, p, take(r, p));
    ki_op_rx_hunger(r, p);
    return sys_err;
}

/* ---- landing --------------------------------------------------------------------------------- */

void ki_op_rx_settle(struct ki_op_reactor *r, struct ki_op_rx *op)
{
    if (op->op.is_refused != 0) {
        if (op->is_held != 0) { /* else what it was told is waiting, or lent */
            go_home(r, op);
        }
        return;
    }
    struct ki_op_port *p = op->port;
    p->posted_count--;
    if (p->is_closing != 0) {
        op->port = NULL;
        go_home(r, op);
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
    struct ki_op_rx *op = take(r, p);
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
        lend(r, pop(p));
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
        lend(r, pop(p));
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
