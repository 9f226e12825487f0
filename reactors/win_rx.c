/* SPDX-License-Identifier: MIT
 *
 * Receiving for the Windows readiness reactors; see win_rx.h.
 *
 * Keeps true:
 * - What is there is known only when the system says "would block": there is no call for many, and
 * wsaevent records FD_READ anew with each receive, so stopping before is no loss (L66).
 * - A train that arrived coalesced is cut into views of its slot. What does not fit the batch is
 * the port's rest: its slot keeps its bytes until the core has asked for them, however long that
 * is.
 * - Coalesced bytes that the system did not label would be one giant datagram: a port whose largest
 * datagram is declared sees that, and switches the offload off (L21, L22). Owns the receive slots.
 * Loop thread. Sources: see win_rx.h.
 */
#include "win_rx.h"

#include "win.h"
#include "win_clock.h"
#include "win_map.h"
#include "win_socket.h"

#define AGE_NS_MAX UINT64_C(10000000000) /* of an arrival whose time is believed */

enum {
    CACHE_LINE_BYTES = 64,
    DATAGRAM_BYTES_DEFAULT = 65535,
    SLOT_COUNT_DEFAULT = 128,
    TRIES_MAX = 8 /* of one receive that is interrupted */
};

/* ---- receive slots --------------------------------------------------------------------------- */

/* An odd number of cache lines, so that the first lines of all slots are spread over the whole
 * cache. */
static size_t stride_of(uint32_t slot_bytes)
{
    const size_t lines = ((size_t)slot_bytes + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES;
    return (lines | 1) * CACHE_LINE_BYTES;
}

kirim_err ki_win_rx_open(struct ki_win *r, const struct kirim_loop_options *options)
{
    struct ki_win_rx *rx = &r->rx;
    struct kirim_loop *loop = r->reactor.loop;
    const uint32_t slot_bytes = options->datagram_bytes_max;
    rx->slot_bytes = slot_bytes != 0 ? slot_bytes : DATAGRAM_BYTES_DEFAULT;
    rx->slot_count =
        options->receive_slot_count != 0 ? options->receive_slot_count : SLOT_COUNT_DEFAULT;
    rx->last = &rx->first;
    rx->slots = ki_alloc(loop, rx->slot_count * sizeof *rx->slots);
    if (rx->slots == NULL) {
        return KIRIM_ENOMEM;
    }
    /* Not zeroed: 8 MiB that nobody has touched cost addresses, not memory. */
    const size_t stride = stride_of(rx->slot_bytes);
    rx->block_bytes = rx->slot_count * stride;
    rx->block = kirim_loop_alloc(loop, NULL, 0, rx->block_bytes);
    if (rx->block == NULL) {
        ki_free(loop, rx->slots, rx->slot_count * sizeof *rx->slots);
        return KIRIM_ENOMEM;
    }
    for (uint32_t i = 0; i < rx->slot_count; i++) {
        rx->slots[i].data = (uint8_t *)rx->block + i * stride;
    }
    return KIRIM_OK;
}

void ki_win_rx_close(struct ki_win *r)
{
    struct ki_win_rx *rx = &r->rx;
    (void)kirim_loop_alloc(r->reactor.loop, rx->block, rx->block_bytes, 0);
    ki_free(r->reactor.loop, rx->slots, rx->slot_count * sizeof *rx->slots);
}

/* ---- rests ----------------------------------------------------------------------------------- */

/* Moves what slot `from` holds to slot `to`, which holds nothing; their bytes change places. */
static void move_slot(struct ki_win_rx *rx, uint32_t to, uint32_t from)
{
    uint8_t *const data = rx->slots[to].data;
    rx->slots[to].data = rx->slots[from].data;
    rx->slots[from].data = data;
    rx->slots[to].arrival = rx->slots[from].arrival;
}

void ki_win_rx_take_back(struct ki_win *r)
{
    struct ki_win_rx *rx = &r->rx;
    uint32_t to = 0;
    for (struct ki_win_rest *rest = rx->first; rest != NULL; rest = rest->next, to++) {
        if (rest->slot != to) {
            move_slot(rx, to, rest->slot);
            rest->slot = to;
            rest->like.data = rx->slots[to].data;
            rest->like.arrival = rest->like.arrival != NULL ? &rx->slots[to].arrival : NULL;
        }
    }
    rx->slot_next = to;
}

static void unlink_rest(struct ki_win_rx *rx, struct ki_win_rest *rest)
{
    struct ki_win_rest **at = &rx->first;
    while (*at != rest) {
        at = &(*at)->next;
    }
    *at = rest->next;
    if (rest->next == NULL) {
        rx->last = at;
    }
}

void ki_win_rx_forget(struct ki_win *r, struct ki_win_port *p)
{
    if (p->rest.bytes != 0) {
        p->rest.bytes = 0;
        unlink_rest(&r->rx, &p->rest);
    }
}

/* Cuts a datagram that is longer than the endpoint expects. */
static void cut(struct kirim_datagram *d, uint64_t bytes_max)
{
    if (d->bytes > bytes_max) {
        d->bytes = (uint32_t)bytes_max;
        d->flags |= KIRIM_RX_TRUNCATED;
    }
}

uint32_t ki_win_rx_cut_train(const struct ki_port *port, struct ki_win_rest *rest,
                             struct kirim_datagram *d, uint32_t max)
{
    const uint64_t bytes_max = port->datagram_bytes_max;
    uint32_t count = 0;
    if (port->wants_whole != 0 && rest->segment_bytes <= bytes_max) {
        d[0] = rest->like;
        d[0].bytes = rest->bytes;
        d[0].segment_bytes = (uint16_t)rest->segment_bytes;
        rest->offset = rest->bytes;
        count = 1;
    }
    while (count < max && rest->offset < rest->bytes) {
        const uint32_t left = rest->bytes - rest->offset;
        d[count] = rest->like;
        d[count].data += rest->offset;
        d[count].bytes = left < rest->segment_bytes ? left : rest->segment_bytes;
        d[count].flags |= rest->offset == 0 ? KIRIM_RX_TRAIN_HEAD : 0;
        rest->offset += d[count].bytes;
        cut(&d[count], bytes_max);
        count++;
    }
    return count;
}

/* Describes at most `max` datagrams of a port's rest. Returns how many. */
static uint32_t hand_over_rest(struct ki_win *r, struct ki_win_port *p, struct kirim_datagram *d,
                               uint32_t max)
{
    const uint32_t count = ki_win_rx_cut_train(&p->port, &p->rest, d, max);
    if (p->rest.offset == p->rest.bytes) {
        ki_win_rx_forget(r, p);
    }
    return count;
}

/* ---- receive --------------------------------------------------------------------------------- */

/* One datagram into one slot. */
static struct ki_win_result receive_one(struct ki_win *r, struct ki_win_port *p,
                                        const struct ki_win_slot *slot)
{
    struct ki_win_rx *rx = &r->rx;
    const bool has_control = (p->has_control | p->is_coalescing) != 0;
    WSABUF buf = { .len = rx->slot_bytes, .buf = (char *)slot->data };
    WSAMSG msg;
    DWORD bytes = 0;
    int sys_err;
    int tries = 0;
    do {
        memset(&rx->name, 0, sizeof rx->name);
        msg = (WSAMSG){
            .name = &rx->name.any,
            .namelen = sizeof rx->name,
            .lpBuffers = &buf,
            .dwBufferCount = 1,
            .Control = {
                .len = has_control ? (ULONG)sizeof rx->control.words : 0,
                .buf = has_control ? (char *)rx->control.words : NULL,
            },
        };
        p->port.rx_calls++;
        const int answer = p->calls.receive((SOCKET)p->port.descriptor, &msg, &bytes, NULL, NULL);
        sys_err = answer == 0 ? 0 : WSAGetLastError();
    } while (sys_err == WSAEINTR && ++tries < TRIES_MAX);
    struct ki_win_result result = { .sys_err = sys_err, .bytes = bytes, .msg = msg };
    if (sys_err == WSAEMSGSIZE) {
        result.sys_err = 0;
        result.bytes = ki_win_rx_kept_bytes(msg.dwFlags, bytes, rx->slot_bytes); /* L51 */
        result.is_cut = true;
    }
    if (!has_control || msg.Control.len > sizeof rx->control.words) {
        result.msg.Control = (WSABUF){ 0, NULL };
    }
    return result;
}

/* No more coalescing of a port whose system does not say where one datagram ends; nor of those to
 * come. */
static KI_COLD void give_up_coalescing(struct ki_win *r, struct ki_win_port *p)
{
    const DWORD none = 0;
    ki_log(r->reactor.loop, KIRIM_LOG_WARNING,
           "coalesced datagrams without their size: receive offload is off from now on", 0);
    (void)r->sys->setsockopt((SOCKET)p->port.descriptor, IPPROTO_UDP,
                             KI_UDP_RECV_MAX_COALESCED_SIZE, (const char *)&none, sizeof none);
    r->has_coalescing = 0;
}

/* What came, as a train, if it is one. */
static bool is_train(struct ki_win *r, struct ki_win_port *p, const struct ki_win_result *result,
                     const struct kirim_datagram *like, struct ki_win_rest *train)
{
    const uint32_t segment_bytes = ki_win_control_segment(&result->msg.Control);
    if (segment_bytes == 0 || segment_bytes >= result->bytes) {
        if (result->bytes > p->port.datagram_bytes_max && segment_bytes == 0 &&
            r->has_coalescing != 0) {
            give_up_coalescing(r, p);
        }
        return false;
    }
    *train = (struct ki_win_rest){
        .bytes = result->bytes,
        .segment_bytes = segment_bytes,
        .like = *like,
    };
    p->port.rx_trains++;
    return true;
}

/* When a datagram came, in loop time, or 0. The system may count by its own clock, which is the
 * loop's, or by that of the network card, and does not say which: what is not of the last seconds
 * is not believed. */
static uint64_t tell_time(const struct ki_win *r, const WSABUF *control)
{
    const uint64_t ticks = ki_win_control_ticks(control);
    if (ticks == 0) {
        return 0;
    }
    const uint64_t now_ns = ki_win_now();
    const uint64_t time_ns = ki_win_time_of(ticks);
    const uint64_t turn_ns = r->reactor.turn_ns;
    if (time_ns > now_ns || now_ns - time_ns > AGE_NS_MAX) {
        return 0;
    }
    return turn_ns != 0 && turn_ns < time_ns ? turn_ns : time_ns;
}

bool ki_win_rx_describe(struct ki_win *r, struct ki_win_port *p, const struct ki_win_result *result,
                        const struct ki_win_slot_view *at, struct kirim_datagram *d,
                        struct ki_win_rest *train)
{
    *d = (struct kirim_datagram){ .data = at->data, .bytes = result->bytes };
    ki_win_name_read(at->name, &d->peer);
    if (kirim_addr_family(&d->peer) == KIRIM_FAMILY_NONE) {
        d->peer = p->port.remote; /* The name is promised to unconnected sockets only (WSAMSG). */
    }
    if (p->port.is_raw != 0) {
        kirim_addr_set_port(&d->peer, 0);
    }
    if (p->has_control != 0) {
        ki_win_control_read(&result->msg, &p->port.local, at->arrival, d);
        if (p->has_times != 0) {
            at->arrival->time_ns = tell_time(r, &result->msg.Control);
        }
    }
    if (p->is_coalescing != 0 && is_train(r, p, result, d, train)) {
        return true;
    }
    if (result->is_cut) {
        d->flags |= KIRIM_RX_TRUNCATED;
    }
    cut(d, p->port.datagram_bytes_max);
    return false;
}

/* Describes what came into a slot: one datagram, or as many of a train as fit, of which the others
 * are the port's rest. Returns how many. */
static uint32_t take_slot(struct ki_win *r, struct ki_win_port *p,
                          const struct ki_win_result *result, struct kirim_datagram *d,
                          uint32_t max)
{
    struct ki_win_slot *slot = &r->rx.slots[r->rx.slot_next];
    const struct ki_win_slot_view at = { slot->data, &r->rx.name, &slot->arrival };
    struct ki_win_rest train;
    r->rx.slot_next++;
    if (!ki_win_rx_describe(r, p, result, &at, d, &train)) {
        return 1;
    }
    train.slot = r->rx.slot_next - 1;
    p->rest = train;
    *r->rx.last = &p->rest;
    r->rx.last = &p->rest.next;
    return hand_over_rest(r, p, d, max);
}

bool ki_win_rx_is_report(int sys_err)
{
    return sys_err == WSAECONNRESET || sys_err == WSAENETRESET || sys_err == WSAECONNREFUSED ||
           sys_err == WSAENETUNREACH || sys_err == WSAEHOSTUNREACH;
}

KI_COLD void ki_win_rx_tell_error(struct ki_win_port *p, int sys_err, const union ki_win_name *name)
{
    struct kirim_addr peer = { { 0, 0, 0 } };
    if (sys_err == WSAEWOULDBLOCK) {
        return;
    }
    ki_win_name_read(name, &peer);
    p->port.rx_error.peer = kirim_addr_family(&peer) != KIRIM_FAMILY_NONE ? peer : p->port.remote;
    p->port.rx_error.err = ki_win_map(sys_err);
    p->port.rx_error.sys_err = sys_err;
    p->port.rx_error.path_mtu = 0;
    p->port.rx_error.origin = KIRIM_ORIGIN_NONE;
    p->port.rx_error.icmp_type = 0;
    p->port.rx_error.icmp_code = 0;
    p->port.rx_flags |= KI_RX_ERROR | (ki_win_rx_is_report(sys_err) ? (uint64_t)KI_RX_MORE : 0);
}

KI_COLD void ki_win_rx_tell_report(struct ki_win_port *p)
{
    if ((p->port.rx_flags & KI_RX_ERROR) != 0) {
        p->port.rx_flags |= KI_RX_MORE;
        return;
    }
    union ki_win_name nobody;
    memset(&nobody, 0, sizeof nobody);
    ki_win_rx_tell_error(p, p->report.sys_err, &nobody);
    p->port.rx_error.peer = p->report.peer;
    p->port.rx_error.err = p->report.err;
    p->report.is_there = 0;
}

static uint32_t receive(struct ki_win *r, struct ki_win_port *p, struct kirim_datagram *d,
                        uint32_t max)
{
    struct ki_win_rx *rx = &r->rx;
    uint32_t count = p->rest.bytes != 0 ? hand_over_rest(r, p, d, max) : 0;
    while (count < max) {
        if (rx->slot_next == rx->slot_count) {
            p->port.rx_flags |= KI_RX_MORE | KI_RX_STARVED;
            return count;
        }
        const struct ki_win_result result = receive_one(r, p, &rx->slots[rx->slot_next]);
        if (result.sys_err != 0) {
            ki_win_rx_tell_error(p, result.sys_err, &rx->name);
            return count;
        }
        count += take_slot(r, p, &result, &d[count], max - count);
    }
    p->port.rx_flags |= KI_RX_MORE;
    return count;
}

uint32_t ki_win_receive(struct ki_reactor *reactor, struct ki_port *port, struct kirim_datagram *d,
                        uint32_t max)
{
    struct ki_win_port *p = (struct ki_win_port *)port;
    port->rx_flags = 0;
    const uint32_t count = receive((struct ki_win *)reactor, p, d, max);
    if (p->report.is_there != 0) {
        ki_win_rx_tell_report(p);
    }
    return count;
}
