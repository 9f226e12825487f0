/* SPDX-License-Identifier: MIT
 *
 * Where the receives of the reactor "completion" are kept while they are not posted; see win_op.h.
 *
 * A port has one receive of its own, whose buffer is as large as its largest datagram, so that it
 * always hears; more come from the loop's pool of slots. While the pool is less than half full,
 * nobody gets more than an equal share.
 *
 * Keeps true: a receive that is posted, queued with a result or lent is in no home; one whose port
 * has closed comes home when it has landed. Owns the receives, and the bytes of those that are a
 * port's own; the pool's bytes are those of win_rx.c. Loop thread.
 */
#include "win_op.h"

enum { DEPTH_AT_FIRST = 8, ALIGNMENT = 64 };

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

void ki_op_rx_go_home(struct ki_op_reactor *r, struct ki_op_rx *op)
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

void ki_op_rx_lend(struct ki_op_reactor *r, struct ki_op_rx *op)
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
            ki_op_rx_go_home(r, op);
        }
        op = next;
    }
}

void ki_op_release(struct ki_reactor *reactor)
{
    ki_op_rx_take_back((struct ki_op_reactor *)reactor);
}

struct ki_op_rx *ki_op_rx_take(struct ki_op_reactor *r, struct ki_op_port *p)
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
            ki_op_rx_lend(r, op);
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
            ki_op_rx_go_home(r, p->own);
        }
    }
}
