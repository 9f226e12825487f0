/* SPDX-License-Identifier: MIT
 *
 * The scripted reactor's port side: opening, closing, arrivals, what is lent. See scripted.h. The
 * loop's thread.
 */
#include "scripted.h"

#include <stdlib.h>
#include <string.h>

enum {
    POISON = 0xdd,
    PORT_FIRST = 40000,
    RECEIVE_BYTES = 1000, /* of the buffers that it pretends to have */
    SEND_BYTES = 2000
};

void *script_grow(void *array, size_t count, size_t *room, size_t item_bytes)
{
    if (count < *room) {
        return array;
    }
    *room = *room == 0 ? 16 : 2 * *room;
    void *bigger = realloc(array, *room * item_bytes);
    KS_CHECK(bigger != NULL);
    return bigger;
}

struct script_port *script_enter_port(struct ki_port *p, char mark)
{
    struct script_port *sp = ((struct script_memory *)(void *)p)->side;
    script_enter(sp->script, mark);
    KS_CHECK(sp->port == p);
    KS_CHECK(!sp->is_closing);
    KS_EQ(sp->flight_count, p->inflight_count);
    return sp;
}

/* ---- what is lent ---------------------------------------------------------------------------- */

static bool lies_in(const struct script_lent *l, const void *data)
{
    const uint8_t *at = data;
    return at >= l->data && at < l->data + l->bytes;
}

struct script_lent *script_find_lent(struct script *s, const void *data)
{
    struct script_lent *l = s->lent;
    while (l != NULL && !lies_in(l, data)) {
        l = l->next;
    }
    return l;
}

void script_free_unused(struct script *s)
{
    for (struct script_lent **at = &s->lent; *at != NULL;) {
        struct script_lent *l = *at;
        if (l->is_back && l->pin_count == 0) {
            *at = l->next;
            memset(l->data, POISON, l->bytes);
            free(l->data);
            free(l);
        } else {
            at = &l->next;
        }
    }
}

void script_put_back(struct script *s)
{
    for (struct script_lent *l = s->lent; l != NULL; l = l->next) {
        l->is_back = true;
    }
    s->lent_count = 0;
    s->is_starved = false;
    script_free_unused(s);
}

static struct script_lent *lend(struct script *s, const struct script_arrival *a)
{
    struct script_lent *l = calloc(1, sizeof *l);
    KS_CHECK(l != NULL);
    l->data = malloc(a->bytes == 0 ? 1 : a->bytes);
    KS_CHECK(l->data != NULL);
    memcpy(l->data, a->data, a->bytes);
    l->bytes = a->bytes;
    l->next = s->lent;
    s->lent = l;
    s->lent_count++;
    return l;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void pop_arrivals(struct script_port *sp, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(sp->arrivals[i].data);
    }
    sp->arrival_count -= count;
    if (sp->arrival_count > 0) {
        memmove(sp->arrivals, sp->arrivals + count, sp->arrival_count * sizeof sp->arrivals[0]);
    }
}

static void hand_over(struct script_port *sp, const struct script_arrival *a,
                      struct kirim_datagram *d)
{
    struct script_lent *l = lend(sp->script, a);
    l->arrival = (struct kirim_arrival){ .local = sp->local };
    *d = (struct kirim_datagram){
        .data = l->data,
        .bytes = a->bytes,
        .flags = a->flags,
        .peer = a->peer,
        .arrival = sp->script->tells_no_local ? NULL : &l->arrival,
    };
}

static uint32_t on_receive(struct ki_reactor *r, struct ki_port *p, struct kirim_datagram *d,
                           uint32_t max)
{
    (void)r;
    struct script_port *sp = script_enter_port(p, 'R');
    struct script *s = sp->script;
    KS_CHECK(max >= 1 && max <= KI_BATCH_MAX);
    KS_CHECK(sp->was_ready);
    KS_CHECK(!s->is_starved);
    sp->is_awaited = false;
    sp->receive_count++;
    p->rx_calls++;
    const uint32_t limit = sp->batch_max < max ? sp->batch_max : max;
    uint32_t count = 0;
    size_t used = 0;
    p->rx_flags = sp->is_always_more ? (uint64_t)KI_RX_MORE : 0;
    while (used < sp->arrival_count && count < limit) {
        const struct script_arrival *a = &sp->arrivals[used];
        if (a->data == NULL) {
            p->rx_flags |= KI_RX_ERROR;
            p->rx_error.peer = a->peer;
            p->rx_error.err = a->err;
            p->rx_error.sys_err = a->code;
            p->rx_error.path_mtu = a->path_mtu;
            used++;
            break;
        }
        if (s->lent_count == s->slot_count) {
            p->rx_flags |= KI_RX_STARVED;
            s->is_starved = true;
            break;
        }
        hand_over(sp, a, &d[count]);
        used++;
        count++;
    }
    pop_arrivals(sp, used);
    if (sp->arrival_count > 0 && !s->is_starved) {
        p->rx_flags |= KI_RX_MORE;
    }
    script_leave(s);
    return count;
}

static void arrive(struct script_port *sp, struct script_arrival a)
{
    sp->arrivals =
        script_grow(sp->arrivals, sp->arrival_count, &sp->arrival_room, sizeof sp->arrivals[0]);
    sp->arrivals[sp->arrival_count] = a;
    sp->arrival_count++;
}

void script_arrive(struct script_port *sp, const void *data, uint32_t bytes, uint8_t flags,
                   const struct kirim_addr *peer)
{
    struct script_arrival a = { .bytes = bytes, .flags = flags, .peer = *peer };
    a.data = malloc(bytes == 0 ? 1 : bytes);
    KS_CHECK(a.data != NULL);
    if (bytes > 0) {
        memcpy(a.data, data, bytes);
    }
    arrive(sp, a);
}

void script_arrive_numbers(struct script_port *sp, uint32_t first, uint32_t count,
                           const struct kirim_addr *peer)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t bytes[KS_NUMBER_BYTES];
        ks_number(bytes, first + i);
        script_arrive(sp, bytes, sizeof bytes, 0, peer);
    }
}

void script_arrive_error(struct script_port *sp, kirim_err err, int code,
                         const struct kirim_addr *peer, uint32_t path_mtu)
{
    struct script_arrival a = { .err = err, .code = code, .path_mtu = path_mtu };
    if (peer != NULL) {
        a.peer = *peer;
    }
    arrive(sp, a);
}

/* ---- telling --------------------------------------------------------------------------------- */

bool script_tell_port(struct script_port *sp)
{
    if (sp->port == NULL) {
        return false;
    }
    KS_CHECK(!sp->is_awaited || sp->is_closing);
    const bool is_ending = sp->is_closing && !sp->is_close_held;
    bool has_told = script_tell_ends(sp, is_ending);
    if (sp->is_closing) {
        if (is_ending) {
            struct ki_port *p = sp->port;
            sp->port = NULL;
            ki_port_closed(p);
        }
        return has_told || is_ending;
    }
    if (sp->is_blocked && sp->room > 0) {
        sp->is_blocked = false;
        ki_port_writable(sp->port);
        has_told = true;
    }
    if (sp->arrival_count > 0 || sp->is_always_more) {
        sp->was_ready = true;
        sp->is_awaited = true;
        ki_port_ready(sp->script->reactor, sp->port);
        has_told = true;
    }
    return has_told;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static struct script_port *make_side(struct script *s, struct ki_port *p)
{
    struct script_port *sp = calloc(1, sizeof *sp);
    KS_CHECK(sp != NULL);
    sp->script = s;
    sp->port = p;
    sp->ep = p->ep;
    sp->room = SCRIPT_NO_LIMIT;
    sp->batch_max = KI_BATCH_MAX;
    struct script_port **last = &s->ports;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = sp;
    return sp;
}

static kirim_err on_port_open(struct ki_reactor *r, struct ki_port *p,
                              const struct kirim_endpoint_options *options)
{
    static const uint8_t zeros[SCRIPT_PORT_REST_BYTES];
    struct script *s = script_of(r);
    script_enter(s, 0);
    struct script_memory *m = (struct script_memory *)(void *)p;
    KS_CHECK(m->side == NULL && memcmp(m->rest, zeros, sizeof zeros) == 0);
    KS_CHECK(p->inflight_count == 0 && p->is_ready == 0 && p->datagram_bytes_max > 0);
    KS_CHECK(p->descriptor == KIRIM_NO_DESCRIPTOR);
    script_leave(s);
    if (s->port_open_err != KIRIM_OK) {
        return s->port_open_err;
    }
    struct script_port *sp = make_side(s, p);
    m->side = sp;
    p->remote = options->peer;
    p->local = options->local;
    if (kirim_addr_family(&p->local) == KIRIM_FAMILY_NONE) {
        p->local = ks_loopback(kirim_addr_family(&p->remote), 0);
    }
    if (kirim_addr_port(&p->local) == 0) {
        kirim_addr_set_port(&p->local, (uint16_t)(PORT_FIRST + s->port_count));
    }
    s->port_count++;
    sp->local = p->local;
    return KIRIM_OK;
}

static kirim_err on_port_close(struct ki_reactor *r, struct ki_port *p)
{
    (void)r;
    struct script_port *sp = script_enter_port(p, 'X');
    sp->is_closing = true;
    sp->is_blocked = false;
    const bool is_closed = sp->flight_count == 0 && !sp->is_close_held;
    if (is_closed) {
        sp->port = NULL;
    }
    script_leave(sp->script);
    return is_closed ? KIRIM_OK : KIRIM_PENDING;
}

static kirim_err on_port_buffers(struct ki_reactor *r, struct ki_port *p, uint32_t *receive_bytes,
                                 uint32_t *send_bytes)
{
    (void)r;
    struct script_port *sp = script_enter_port(p, 0);
    *receive_bytes = RECEIVE_BYTES;
    *send_bytes = SEND_BYTES;
    script_leave(sp->script);
    return KIRIM_OK;
}

static uint64_t on_port_drops(struct ki_reactor *r, struct ki_port *p)
{
    (void)r;
    script_leave(script_enter_port(p, 0)->script);
    return 0;
}

void script_set_port_ops(struct ki_reactor_ops *ops)
{
    ops->port_bytes = sizeof(struct script_memory);
    ops->port_open = on_port_open;
    ops->port_close = on_port_close;
    ops->port_buffers = on_port_buffers;
    ops->port_drops = on_port_drops;
    ops->receive = on_receive;
    script_set_send_ops(ops);
}

struct script_port *script_port_of(struct script *s, const struct kirim_endpoint *ep)
{
    struct script_port *found = NULL;
    for (struct script_port *sp = s->ports; sp != NULL; sp = sp->next) {
        found = sp->ep == ep ? sp : found; /* the youngest: memory is used again */
    }
    KS_CHECK(found != NULL);
    return found;
}

void script_free_ports(struct script *s)
{
    while (s->ports != NULL) {
        struct script_port *sp = s->ports;
        s->ports = sp->next;
        pop_arrivals(sp, sp->arrival_count);
        free(sp->arrivals);
        free(sp->sent);
        free(sp->flights);
        free(sp);
    }
}
