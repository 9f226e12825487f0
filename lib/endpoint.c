/* SPDX-License-Identifier: MIT
 *
 * Endpoints: opening, telling, closing.
 *
 * An endpoint and its port are one block of memory, which lives until the last callback has
 * returned: nothing that a callback does can take it away under the loop's feet. Closing is a
 * state, not a moment: the port is closed at once, the last callback waits until nothing is in
 * flight and every operation has been delivered. Loop thread.
 */
#include "core.h"

enum {
    QUEUE_COUNT_DEFAULT = 1024,
    QUEUE_COUNT_MAX = 65536,
    QUEUE_BYTES_DEFAULT = 4 * 1024 * 1024,
    DATAGRAM_BYTES_MAX = 65535,
    TOMBSTONE_COUNT_MAX = 1024,
    ENDPOINT_FLAGS =
        KIRIM_ENDPOINT_DUAL_STACK | KIRIM_ENDPOINT_SHARE_PORT | KIRIM_ENDPOINT_BROADCAST |
        KIRIM_ENDPOINT_INHERIT | KIRIM_ENDPOINT_FORCE_BUFFERS | KIRIM_ENDPOINT_BIND_ADOPTED |
        KIRIM_ENDPOINT_RECEIVE_CONTROL | KIRIM_ENDPOINT_ADOPT | KIRIM_ENDPOINT_ORDER_PER_PEER |
        KIRIM_ENDPOINT_WHOLE_TRAINS | KIRIM_ENDPOINT_NO_TRAINS | KIRIM_ENDPOINT_NO_COALESCING |
        KIRIM_ENDPOINT_NO_ERROR_QUEUE | KIRIM_ENDPOINT_DONT_FRAGMENT | KIRIM_ENDPOINT_PROBE_MTU |
        KIRIM_ENDPOINT_TXTIME,
    MTU_MODES = KIRIM_ENDPOINT_DONT_FRAGMENT | KIRIM_ENDPOINT_PROBE_MTU
};

/* ---- opening --------------------------------------------------------------------------------- */

/* Checks what the core can know, and fills in the defaults. */
static kirim_err check_options(const struct kirim_loop *loop, struct kirim_endpoint_options *o)
{
    const int local = kirim_addr_family(&o->local);
    const int remote = kirim_addr_family(&o->peer);
    const bool is_adopted = (o->flags & KIRIM_ENDPOINT_ADOPT) != 0;
    o->adopt = is_adopted ? o->adopt : KIRIM_NO_DESCRIPTOR;
    const bool is_dual = (o->flags & KIRIM_ENDPOINT_DUAL_STACK) != 0;
    o->queue_count_max = o->queue_count_max == 0 ? QUEUE_COUNT_DEFAULT : o->queue_count_max;
    o->queue_bytes_max = o->queue_bytes_max == 0 ? QUEUE_BYTES_DEFAULT : o->queue_bytes_max;
    o->datagram_bytes_max = o->datagram_bytes_max == 0 ? DATAGRAM_BYTES_MAX : o->datagram_bytes_max;
    if ((o->flags & ~(uint32_t)ENDPOINT_FLAGS) != 0 || o->queue_count_max > QUEUE_COUNT_MAX ||
        o->datagram_bytes_max > DATAGRAM_BYTES_MAX) {
        return KIRIM_EINVAL;
    }
    if (local == KIRIM_FAMILY_NONE && remote == KIRIM_FAMILY_NONE && !is_adopted) {
        return KIRIM_EINVAL;
    }
    if (local != KIRIM_FAMILY_NONE && remote != KIRIM_FAMILY_NONE && local != remote) {
        return KIRIM_EINVAL;
    }
    if (remote != KIRIM_FAMILY_NONE && !is_adopted && kirim_addr_port(&o->peer) == 0) {
        return KIRIM_EINVAL;
    }
    if (is_dual && (local != KIRIM_IPV6 || remote != KIRIM_FAMILY_NONE || is_adopted ||
                    !kirim_addr_is_wildcard(&o->local))) {
        return KIRIM_EINVAL;
    }
    if ((o->flags & KIRIM_ENDPOINT_BIND_ADOPTED) != 0 &&
        (!is_adopted || local == KIRIM_FAMILY_NONE)) {
        return KIRIM_EINVAL;
    }
    if ((o->flags & MTU_MODES) == MTU_MODES) {
        return KIRIM_EINVAL;
    }
    uint32_t needs = 0;
    needs |= is_adopted ? (uint32_t)KIRIM_CAP_ADOPT : 0;
    needs |= is_dual ? (uint32_t)KIRIM_CAP_DUAL_STACK : 0;
    needs |= (o->flags & MTU_MODES) != 0 ? (uint32_t)KIRIM_CAP_DONT_FRAGMENT : 0;
    needs |= (o->flags & KIRIM_ENDPOINT_PROBE_MTU) != 0 ? (uint32_t)KIRIM_CAP_PATH_MTU : 0;
    if ((needs & ~loop->caps) != 0) {
        return KIRIM_EOPNOTSUPP;
    }
    const bool is_ipv6 = local == KIRIM_IPV6 || remote == KIRIM_IPV6;
    return is_ipv6 && (loop->caps & KIRIM_CAP_IPV6) == 0 ? KIRIM_EAFNOSUPPORT : KIRIM_OK;
}

/* Allocates an endpoint with its port behind it. */
static struct kirim_endpoint *make_endpoint(struct kirim_loop *loop,
                                            const struct kirim_endpoint_options *o)
{
    const size_t offset = (sizeof(struct kirim_endpoint) + 63) & ~(size_t)63;
    const size_t bytes = offset + loop->ops->port_bytes;
    struct kirim_endpoint *ep = ki_alloc(loop, bytes);
    if (ep == NULL) {
        return NULL;
    }
    ep->loop = loop;
    ep->allocated_bytes = bytes;
    ep->port = (struct ki_port *)(void *)((unsigned char *)ep + offset);
    ep->port->ep = ep;
    ep->port->descriptor = KIRIM_NO_DESCRIPTOR;
    ep->port->datagram_bytes_max = o->datagram_bytes_max < loop->datagram_bytes_max
                                       ? o->datagram_bytes_max
                                       : loop->datagram_bytes_max;
    ep->port->wants_coalesced = (o->flags & KIRIM_ENDPOINT_NO_COALESCING) == 0;
    ep->port->wants_whole = (o->flags & KIRIM_ENDPOINT_WHOLE_TRAINS) != 0;
    ep->count_max = o->queue_count_max;
    ep->bytes_max = o->queue_bytes_max;
    ep->user = o->user;
    ep->op_timer = (struct kirim_timer)KIRIM_TIMER_INIT(ki_ops_expire, ep);
    ep->pace_timer = (struct kirim_timer)KIRIM_TIMER_INIT(ki_pace_expire, ep);
    return ep;
}

/* Whom an open endpoint can send to. */
static void learn_families(struct kirim_endpoint *ep, const struct kirim_endpoint_options *o)
{
    const struct kirim_addr *local = &ep->port->local;
    ep->families = (uint64_t)1 << kirim_addr_family(local);
    if ((o->flags & KIRIM_ENDPOINT_DUAL_STACK) != 0 || ep->port->is_dual_stack != 0) {
        ep->families |= (uint64_t)1 << KIRIM_IPV4;
    }
    ep->is_replying_from_local =
        kirim_addr_is_wildcard(local) && (ep->loop->caps & KIRIM_CAP_SOURCE) != 0;
}

static void link_endpoint(struct kirim_loop *loop, struct kirim_endpoint *ep)
{
    ep->next = loop->endpoints;
    if (ep->next != NULL) {
        ep->next->prev = ep;
    }
    loop->endpoints = ep;
    loop->stats.endpoint_count++;
}

kirim_err kirim_endpoint_open(struct kirim_loop *loop, const struct kirim_endpoint_options *options,
                              struct kirim_endpoint **out)
{
    struct kirim_endpoint_options o;
    struct kirim_handler handler = { KIRIM_HANDLER_INIT, NULL, NULL, NULL, NULL };
    if (loop == NULL || options == NULL || out == NULL || !ki_loop_is_mine(loop)) {
        return KIRIM_EINVAL;
    }
    if (loop->is_closing != 0) {
        return KIRIM_ECLOSED;
    }
    if (!ki_grown_copy(&o, sizeof o, options, options->size, sizeof o)) {
        return KIRIM_EINVAL;
    }
    if (o.handler != NULL && !ki_handler_copy(loop, &handler, sizeof handler, o.handler,
                                              o.handler->size, KI_KIND_ENDPOINT)) {
        return KIRIM_EINVAL;
    }
    kirim_err err = check_options(loop, &o);
    if (err < 0) {
        return err;
    }
    if ((o.flags & KIRIM_ENDPOINT_ORDER_PER_PEER) != 0) {
        err = ki_grouper_open(loop);
        if (err < 0) {
            return err;
        }
    }
    struct kirim_endpoint *ep = make_endpoint(loop, &o);
    if (ep == NULL) {
        return KIRIM_ENOMEM;
    }
    ep->handler = handler;
    err = loop->ops->port_open(loop->reactor, ep->port, &o);
    if (err < 0) {
        ki_free(loop, ep, ep->allocated_bytes);
        return err;
    }
    ep->is_per_peer = (o.flags & KIRIM_ENDPOINT_ORDER_PER_PEER) != 0;
    if ((o.flags & KIRIM_ENDPOINT_NO_TRAINS) != 0) {
        ep->port->tx_segments_max = 1;
    }
    learn_families(ep, &o);
    link_endpoint(loop, ep);
    ki_loop_rearm(loop);
    *out = ep;
    return KIRIM_OK;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* Makes the event of a lost entry from what lose() left in it. */
static struct kirim_event lost_event(const struct kirim_endpoint *ep, const struct ki_entry *e)
{
    const bool has_peer = kirim_addr_family(&e->peer) != KIRIM_FAMILY_NONE;
    return (struct kirim_event){
        .size = sizeof(struct kirim_event),
        .kind = KIRIM_EVENT_SEND_FAILED,
        .peer = has_peer ? e->peer : ep->port->remote,
        .err = -(kirim_err)e->bytes,
        .system_code = (int32_t)e->record,
        .tag = e->control != NULL ? e->control->tag : 0,
        .drop_reason = e->segment_bytes,
    };
}

/* Tells of the entries that were lost when it begins. A callback may have the queue trimmed: then
 * the places up to its new head are no longer those of these entries. */
static void tell_lost(struct kirim_endpoint *ep)
{
    const struct ki_queue *q = &ep->queue;
    const uint64_t end = q->next;
    for (uint64_t n = q->head; n < end && ep->failed_count > 0; n++) {
        n = n < q->head ? q->head : n;
        struct ki_entry *e = ki_queue_at(q, n);
        if (n < end && (e->status & KI_FAILED) != 0) {
            const struct kirim_event event = lost_event(ep, e);
            e->status &= ~(uint32_t)KI_FAILED;
            ep->failed_count--;
            /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): counted only where it is set */
            ep->handler.failed(ep, &event, ep->user);
            ep->loop->moment++;
            if (ep->state != KI_EP_OPEN) {
                return;
            }
        }
    }
    ki_endpoint_trim(ep);
}

void ki_endpoint_tell(struct kirim_endpoint *ep)
{
    if (ep->peer_error.kind != 0) {
        const struct kirim_event event = ep->peer_error;
        ep->peer_error.kind = 0;
        if (ep->handler.failed != NULL) {
            ep->handler.failed(ep, &event, ep->user);
            ep->loop->moment++;
        }
    }
    if (ep->state == KI_EP_OPEN && ep->failed_count > 0) {
        tell_lost(ep);
    }
    if (ep->state == KI_EP_OPEN && ep->wants_writable != 0 && ki_endpoint_has_room(ep)) {
        ep->wants_writable = 0;
        if (ep->handler.writable != NULL) {
            ep->handler.writable(ep, ep->user);
            ep->loop->moment++;
        }
    }
}

/* ---- closing --------------------------------------------------------------------------------- */

static void cancel_timers(struct kirim_endpoint *ep)
{
    kirim_timer_cancel(&ep->op_timer);
    ki_timers_cancel(&ep->timers);
}

kirim_err kirim_endpoint_close(struct kirim_endpoint *ep)
{
    const kirim_err err = ki_endpoint_check(ep);
    if (err < 0) {
        return err;
    }
    struct kirim_loop *loop = ep->loop;
    if (loop->is_foreign == 0) {
        ki_pace_release_due(ep);
        ki_endpoint_submit_anew(ep);
        ep->stats.drops[KIRIM_DROP_RECEIVE_FULL] = loop->ops->port_drops(loop->reactor, ep->port);
    }
    ep->state = KI_EP_CLOSING;
    ep->reserved = NULL;
    cancel_timers(ep);
    ki_endpoint_kill_all(ep, KIRIM_DROP_CLOSED);
    ep->is_port_closed = loop->ops->port_close(loop->reactor, ep->port) == KIRIM_OK;
    ep->closing_next = NULL;
    *loop->closing_last = ep;
    loop->closing_last = &ep->closing_next;
    ki_loop_rearm(loop);
    return KIRIM_OK;
}

void ki_port_closed(struct ki_port *p)
{
    p->ep->is_port_closed = 1;
}

/* Nothing in flight, nothing to deliver, and on none of the loop's lists: those are emptied by the
 * turn's own stages, so that nothing has to be searched. */
bool ki_endpoint_is_drained(const struct kirim_endpoint *ep)
{
    const uint64_t on_lists = ep->is_dirty | ep->is_noticed | ep->port->is_ready;
    return ep->is_port_closed != 0 && ep->port->inflight_count == 0 && ep->ops_count == 0 &&
           on_lists == 0;
}

static void unlink_endpoint(struct kirim_loop *loop, struct kirim_endpoint *ep)
{
    if (ep->prev != NULL) {
        ep->prev->next = ep->next;
    } else {
        loop->endpoints = ep->next;
    }
    if (ep->next != NULL) {
        ep->next->prev = ep->prev;
    }
    loop->stats.endpoint_count--;
}

void ki_endpoint_free(struct kirim_endpoint *ep)
{
    struct kirim_loop *loop = ep->loop;
    ki_free(loop, ep, ep->allocated_bytes);
}

/* Keeps the gone where use after the end is to be found out; else frees it. */
static void bury(struct kirim_loop *loop, struct kirim_endpoint *ep)
{
    ep->state = KI_EP_GONE;
    if (!KIRIM_CHECKS) {
        ki_endpoint_free(ep);
        return;
    }
    ep->next = loop->tombstones;
    loop->tombstones = ep;
    size_t count = 0;
    for (struct kirim_endpoint **at = &loop->tombstones; *at != NULL; at = &(*at)->next) {
        if (count == TOMBSTONE_COUNT_MAX) {
            struct kirim_endpoint *oldest = *at;
            *at = NULL;
            ki_endpoint_free(oldest);
            return;
        }
        count++;
    }
}

void ki_endpoint_finish_close(struct kirim_endpoint *ep)
{
    struct kirim_loop *loop = ep->loop;
    if (ep->handler.closed != NULL) {
        ep->handler.closed(ep, ep->user);
        loop->moment++;
    }
    ki_endpoint_trim(ep);
    unlink_endpoint(loop, ep);
    ki_endpoint_forget_memberships(ep);
    ki_queue_fini(loop, &ep->queue);
    ki_store_fini(loop, &ep->store);
    ki_store_fini(loop, &ep->copies);
    ki_pace_fini(ep);
    bury(loop, ep);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct kirim_addr kirim_endpoint_local(const struct kirim_endpoint *ep)
{
    return ep->port->local;
}

struct kirim_addr kirim_endpoint_peer(const struct kirim_endpoint *ep)
{
    return ep->port->remote;
}

kirim_err kirim_endpoint_buffers(const struct kirim_endpoint *ep, uint32_t *receive_bytes,
                                 uint32_t *send_bytes)
{
    kirim_err err = ki_endpoint_check(ep);
    if (err < 0) {
        return err;
    }
    uint32_t in = 0;
    uint32_t out = 0;
    err = ep->loop->ops->port_buffers(ep->loop->reactor, ep->port, &in, &out);
    if (err < 0) {
        return err;
    }
    if (receive_bytes != NULL) {
        *receive_bytes = in;
    }
    if (send_bytes != NULL) {
        *send_bytes = out;
    }
    return KIRIM_OK;
}

kirim_err kirim_endpoint_path_mtu(const struct kirim_endpoint *ep, const struct kirim_addr *peer,
                                  uint32_t *out)
{
    const kirim_err err = ki_endpoint_check(ep);
    if (err < 0) {
        return err;
    }
    peer = peer != NULL ? peer : &ep->port->remote;
    const unsigned family = (unsigned)kirim_addr_family(peer);
    if (out == NULL) {
        return KIRIM_EINVAL;
    }
    if (family == KIRIM_FAMILY_NONE && peer == &ep->port->remote) {
        return KIRIM_ENOTCONN;
    }
    if (family > KIRIM_IPV6 || (ep->families >> family & 1) == 0) {
        return KIRIM_EINVAL;
    }
    const struct ki_reactor_ops *ops = ep->loop->ops;
    return ops->path_mtu != NULL ? ops->path_mtu(ep->loop->reactor, ep->port, peer, out)
                                 : KIRIM_EOPNOTSUPP;
}

intptr_t kirim_endpoint_descriptor(const struct kirim_endpoint *ep)
{
    return ep->port->descriptor;
}

struct kirim_endpoint *kirim_loop_endpoint_next(const struct kirim_loop *loop,
                                                const struct kirim_endpoint *ep)
{
    return ep == NULL ? loop->endpoints : ep->next;
}

struct kirim_loop *kirim_endpoint_loop(const struct kirim_endpoint *ep)
{
    return ep->loop;
}

void *kirim_endpoint_user(const struct kirim_endpoint *ep)
{
    return ep->user;
}

size_t kirim_endpoint_queued_count(const struct kirim_endpoint *ep)
{
    return (size_t)ki_endpoint_taken(ep);
}
