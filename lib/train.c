/* SPDX-License-Identifier: MIT
 *
 * Trains: which datagrams may leave together, and what becomes of a train that the system does not
 * take. Loop thread.
 */
#include "core.h"

bool ki_control_is_same(const struct kirim_control *a, const struct kirim_control *b)
{
    static const struct kirim_control nothing = KIRIM_CONTROL_INIT;
    a = a != NULL ? a : &nothing;
    b = b != NULL ? b : &nothing;
    return a->ifindex == b->ifindex && a->source.word[0] == b->source.word[0] &&
           a->source.word[1] == b->source.word[1] && a->source.word[2] == b->source.word[2] &&
           a->not_before_ns == b->not_before_ns && a->ecn == b->ecn && a->dscp == b->dscp &&
           a->ttl == b->ttl && a->flags == b->flags;
}

/* ---- routes that refused one ----------------------------------------------------------------- */

/* Whom an entry goes to. */
static const struct kirim_addr *peer_of(const struct kirim_endpoint *ep, const struct ki_entry *e)
{
    return kirim_addr_family(&e->peer) != KIRIM_FAMILY_NONE ? &e->peer : &ep->port->remote;
}

/* Size of the datagrams of a train that an entry is, or begins. */
static uint32_t segment_of(const struct ki_entry *e)
{
    return e->segment_bytes != 0 ? e->segment_bytes : e->bytes;
}

/* A route is told by the address it leads to; the port is nothing to it. */
static bool is_same_host(const struct kirim_addr *a, const struct kirim_addr *b)
{
    return a->word[0] == b->word[0] && a->word[1] == b->word[1] &&
           kirim_addr_family(a) == kirim_addr_family(b);
}

static struct ki_refused_route *find_route(struct ki_refused_routes *routes,
                                           const struct kirim_addr *peer)
{
    for (uint64_t i = 1; i <= routes->count; i++) {
        struct ki_refused_route *route = &routes->at[(routes->next - i) % KI_REFUSED_ROUTES_MAX];
        if (is_same_host(&route->peer, peer)) {
            return route;
        }
    }
    return NULL;
}

/* Remembers a route that refused datagrams of `segment_bytes` in a train, in the place of the one
 * that was remembered first, if there is no other. */
static void remember_route(struct kirim_loop *loop, const struct kirim_addr *peer,
                           uint64_t segment_bytes)
{
    struct ki_refused_routes *routes = &loop->refused_routes;
    const uint64_t now_ns = kirim_loop_now(loop);
    const uint64_t period_ns = loop->train_refusal_ns;
    struct ki_refused_route *known = find_route(routes, peer);
    if (known != NULL) {
        known->bytes_min = segment_bytes < known->bytes_min ? segment_bytes : known->bytes_min;
        return;
    }
    struct ki_refused_route *route = &routes->at[routes->next % KI_REFUSED_ROUTES_MAX];
    routes->next++;
    routes->count += routes->count < KI_REFUSED_ROUTES_MAX;
    route->peer = *peer;
    route->bytes_min = segment_bytes;
    route->until_ns = period_ns < UINT64_MAX - now_ns ? now_ns + period_ns : UINT64_MAX;
}

/* Forgets the routes whose time has passed; they are the ones remembered first. */
static void expire_routes(struct kirim_loop *loop)
{
    struct ki_refused_routes *routes = &loop->refused_routes;
    const uint64_t now_ns = kirim_loop_now(loop);
    while (routes->count > 0) {
        const uint64_t oldest = routes->next - routes->count;
        if (routes->at[oldest % KI_REFUSED_ROUTES_MAX].until_ns > now_ns) {
            return;
        }
        routes->count--;
    }
}

void ki_train_bar(struct kirim_endpoint *ep)
{
    struct ki_refused_routes *routes = &ep->loop->refused_routes;
    const struct ki_queue *q = &ep->queue;
    expire_routes(ep->loop);
    for (uint64_t n = q->next; n != q->tail; n++) {
        struct ki_entry *e = ki_queue_at(q, n);
        const struct ki_refused_route *route = find_route(routes, peer_of(ep, e));
        if (route != NULL && segment_of(e) >= route->bytes_min) {
            e->status |= KI_ALONE;
        }
    }
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* Whether a system may mean a route that has no offload: EIO, EINVAL, EMSGSIZE and such (L3). */
static bool is_offload_error(kirim_err err)
{
    return err == KIRIM_ESYSTEM || err == KIRIM_EINVAL || err == KIRIM_EMSGSIZE ||
           err == KIRIM_EOPNOTSUPP;
}

/* Suspects the route of a train that begins with `e`. */
static void suspect(struct kirim_endpoint *ep, const struct ki_entry *e, kirim_err err)
{
    /* Datagrams that are longer than the route's MTU can be fragmented, but not in a train: then
     * shorter ones still can. */
    const bool is_size = err == KIRIM_EINVAL || err == KIRIM_EMSGSIZE;
    ep->suspect = *peer_of(ep, e);
    ep->suspect_bytes = is_size ? segment_of(e) : 0;
    ep->is_suspect = 1;
}

static void count_refused(struct kirim_endpoint *ep, int sys_err)
{
    ki_log(ep->loop, KIRIM_LOG_INFO, "a train was refused: its datagrams leave one by one",
           sys_err);
    ep->is_odd = 1;
    ep->stats.tx_trains_refused++;
}

bool ki_train_split(struct kirim_endpoint *ep, const struct ki_refusal *why)
{
    struct ki_queue *q = &ep->queue;
    struct ki_entry *e = ki_queue_at(q, q->next);
    /* One that the port cannot take whole was never tried as a train. */
    const uint32_t segments = ki_segments_of(e);
    const bool is_built = segments > 1 && segments <= ep->port->tx_segments_max &&
                          (e->status & KI_ALONE) == 0 && e->record == 0;
    /* Out of buffers: more calls would not find any. A foreign source: it is so in each of them. */
    if ((why->entries < 2 && !is_built) || why->err == KIRIM_ENOBUFS || why->err == KIRIM_ENOMEM ||
        why->err == KIRIM_EADDRNOTAVAIL) {
        return false;
    }
    for (uint32_t i = 0; i < why->entries; i++) {
        ki_queue_at(q, q->next + i)->status |= KI_ALONE;
    }
    if (is_offload_error(why->err)) {
        suspect(ep, e, why->err);
    }
    count_refused(ep, why->sys_err);
    return true;
}

bool ki_train_fell(struct kirim_endpoint *ep, uint64_t number, kirim_err err, int sys_err)
{
    const struct ki_queue *q = &ep->queue;
    struct ki_entry *e = ki_queue_at(q, number);
    if ((e->status & KI_IN_TRAIN) == 0 || (e->status & KI_LENT) != 0 || !is_offload_error(err)) {
        return false;
    }
    /* They come from the last to the first: whoever waits behind this one came before it. */
    const uint32_t fallen = KI_IN_TRAIN | KI_ALONE;
    const bool is_last = number + 1 == q->tail ||
                         (ki_queue_at(q, number + 1)->status & (fallen | KI_STATE)) != fallen;
    suspect(ep, e, err);
    if (is_last) {
        count_refused(ep, sys_err);
    }
    e->status |= KI_ALONE;
    return true;
}

void ki_train_clear_suspect(struct kirim_endpoint *ep, const struct ki_entry *e, bool has_left)
{
    if (is_same_host(&ep->suspect, peer_of(ep, e))) {
        ep->is_suspect = 0;
        if (has_left) {
            remember_route(ep->loop, &ep->suspect, ep->suspect_bytes);
            ki_train_bar(ep); /* what waits behind it need not find out again */
        }
    }
}

uint32_t ki_train_account_part(struct kirim_endpoint *ep, struct ki_entry *e)
{
    const uint32_t segments = ki_segments_of(e);
    if (e->segment_bytes == 0 || (e->status & KI_STATE) != KI_QUEUED) {
        return segments;
    }
    const uint32_t left = e->record;
    ep->stats.tx_datagrams += left;
    ep->stats.tx_bytes += (uint64_t)left * e->segment_bytes;
    e->record = 0;
    return segments - left;
}

/* ---- cutting --------------------------------------------------------------------------------- */

enum {
    PARTS_MAX = 16, /* datagrams that are submitted together */
    BUFS_MAX = KIRIM_BUF_COUNT_MAX
};

/* A place in a gather list. */
struct cursor {
    const struct kirim_buf *buf;
    size_t offset; /* within it */
};

/* Passes over bytes that the list has. */
static void skip(struct cursor *at, size_t bytes)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): never behind its end */
    while (bytes > 0 && bytes >= at->buf->bytes - at->offset) {
        bytes -= at->buf->bytes - at->offset;
        at->buf++;
        at->offset = 0;
    }
    at->offset += bytes;
}

/* Writes the pieces of the next `bytes` to `out`. Returns how many; 0: more than `room`. */
static uint32_t slice(struct cursor *at, size_t bytes, struct kirim_buf *out, uint32_t room)
{
    const struct cursor begin = *at;
    uint32_t count = 0;
    while (bytes > 0) {
        const size_t left = at->buf->bytes - at->offset;
        const size_t piece = left < bytes ? left : bytes;
        if (piece > 0 && count == room) {
            *at = begin;
            return 0;
        }
        if (piece > 0) {
            out[count].data = (unsigned char *)at->buf->data + at->offset;
            out[count].bytes = piece;
            count++;
        }
        bytes -= piece;
        skip(at, piece);
        if (piece == 0) {
            at->buf++; /* an empty one */
            at->offset = 0;
        }
    }
    return count;
}

/* Makes entries of the next datagrams of a train, as many as there is room for. Returns how many,
 * at least 1. */
static uint32_t make_parts(const struct ki_entry *e, struct ki_entry *parts, struct kirim_buf *bufs)
{
    const struct kirim_buf whole = { e->data, e->bytes };
    struct cursor at = { e->buf_count == 1 ? &whole : e->data, 0 };
    uint32_t offset = e->record * e->segment_bytes;
    uint32_t used = 0;
    uint32_t n = 0;
    skip(&at, offset);
    while (n < PARTS_MAX && offset < e->bytes) {
        const uint32_t left = e->bytes - offset;
        const uint32_t bytes = left < e->segment_bytes ? left : e->segment_bytes;
        const uint32_t count = slice(&at, bytes, &bufs[used], BUFS_MAX - used);
        if (count == 0) {
            break;
        }
        parts[n] = (struct ki_entry){
            .data = count == 1 ? bufs[used].data : &bufs[used],
            .bytes = bytes,
            .buf_count = (uint16_t)count,
            .peer = e->peer,
            .control = e->control,
            .status = KI_QUEUED | KI_ALONE | (e->status & (KI_LENT | KI_DONTROUTE)),
        };
        used += count;
        offset += bytes;
        n++;
    }
    return n;
}

uint32_t ki_train_whole_count(const struct kirim_endpoint *ep, uint32_t n)
{
    const struct ki_queue *q = &ep->queue;
    for (uint32_t i = 0; i < n; i++) {
        const struct ki_entry *e = ki_queue_at(q, q->next + i);
        if (e->segment_bytes != 0 && ((e->status & KI_ALONE) != 0 || e->record != 0 ||
                                      ki_segments_of(e) > ep->port->tx_segments_max)) {
            return i;
        }
    }
    return n;
}

bool ki_train_cut(struct kirim_endpoint *ep, struct ki_refusal *why)
{
    struct ki_entry parts[PARTS_MAX];
    struct kirim_buf bufs[BUFS_MAX];
    struct ki_port *p = ep->port;
    struct ki_entry *e = ki_queue_at(&ep->queue, ep->queue.next);
    const uint32_t segments = ki_segments_of(e);
    p->tx_flags = KI_TX_NOW;
    p->tx_number = ep->queue.next;
    while (e->record < segments) {
        const uint32_t n = make_parts(e, parts, bufs);
        const uint32_t taken = ep->loop->ops->submit(ep->loop->reactor, p, parts, n, why);
        e->record += taken;
        if (taken < n) {
            why->entries = 1;
            return false;
        }
    }
    return true;
}
