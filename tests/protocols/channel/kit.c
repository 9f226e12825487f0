/* SPDX-License-Identifier: MIT
 *
 * What the suites of the channel share: see kit.h.
 */
#include "kit.h"

#include <stdio.h>

enum { PPM = 1000000 };

/* ---- messages -------------------------------------------------------------------------------- */

uint8_t kit_byte(uint32_t stream, uint64_t number, size_t at)
{
    return (uint8_t)(number * 31 + stream * 7 + at + (at >> 8) * 5);
}

void kit_fill(uint8_t *room, uint32_t stream, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        room[i] = kit_byte(stream, number, i);
    }
}

void kit_note(struct kit_ledger *l, const struct kirim_channel_message *m, kit_length_fn length)
{
    ck_assert_uint_lt(m->stream, KIT_STREAMS);
    ck_assert_uint_lt(m->number, KIT_NUMBERS);
    ck_assert_uint_eq(m->bytes, length(m->stream, m->number));
    for (size_t i = 0; i < m->bytes; i++) {
        if (m->data[i] != kit_byte(m->stream, m->number, i)) {
            ck_abort_msg("stream %u message %u: wrong at %zu", m->stream, (unsigned)m->number, i);
        }
    }
    ck_assert_uint_eq(l->seen[m->stream][m->number], 0);
    l->seen[m->stream][m->number] = 1;
    if (m->mode == KIRIM_CHANNEL_ORDERED) {
        ck_assert_uint_eq(m->number, l->next[m->stream]);
    }
    if (m->mode == KIRIM_CHANNEL_SEQUENCED) {
        ck_assert_uint_ge(m->number, l->next[m->stream]);
    }
    if (m->mode != KIRIM_CHANNEL_UNORDERED) {
        l->next[m->stream] = m->number + 1;
    }
    l->count[m->stream]++;
    l->bytes += m->bytes;
}

static size_t default_length(uint32_t stream, uint64_t number)
{
    return (size_t)((number * 37 + stream * 101) % 200);
}

kirim_err kit_send(struct kit_end *end, uint32_t stream, uint32_t mode, uint64_t number)
{
    const size_t bytes = end->length(stream, number);
    uint8_t *const room = malloc(bytes + 1);
    ck_assert_ptr_nonnull(room);
    kit_fill(room, stream, number, bytes);
    const kirim_err err = kirim_channel_send(end->ch, stream, mode, room, bytes);
    free(room);
    return err;
}

/* ---- the handler ----------------------------------------------------------------------------- */

static void on_ready(struct kirim_channel *ch, void *user)
{
    struct kit_end *const end = user;
    ck_assert(kirim_channel_is_ready(ch));
    ck_assert_uint_eq(end->ledger.ready++, 0);
}

static void on_received(struct kirim_channel *ch, const struct kirim_channel_message *m, void *user)
{
    struct kit_end *const end = user;
    struct kit_end *const other =
        end == &end->pair->client ? &end->pair->server : &end->pair->client;
    ck_assert_ptr_eq(kirim_channel_user(ch), user);
    ck_assert_uint_eq(end->ledger.closed, 0);
    kit_note(&end->ledger, m, other->length);
    if (end->on_message != NULL) {
        end->on_message(end, m);
    }
}

static void on_writable(struct kirim_channel *ch, void *user)
{
    struct kit_end *const end = user;
    (void)ch;
    end->ledger.writable++;
    if (end->on_writable != NULL) {
        end->on_writable(end);
    }
}

static void on_moved(struct kirim_channel *ch, const struct kirim_addr *peer, void *user)
{
    struct kit_end *const end = user;
    const struct kirim_addr now = kirim_channel_peer(ch);
    ck_assert(kirim_addr_equal(peer, &now));
    end->ledger.moved++;
}

static void on_closed(struct kirim_channel *ch, const struct kirim_channel_end *e, void *user)
{
    struct kit_end *const end = user;
    ck_assert_ptr_nonnull(ch);
    ck_assert_uint_eq(end->ledger.closed++, 0);
    end->ledger.end = *e;
    (void)snprintf(end->ledger.end_text, sizeof end->ledger.end_text, "%s", e->text);
}

static const struct kirim_channel_handler handler = {
    KIRIM_CHANNEL_HANDLER_INIT, on_ready, on_received, on_writable, on_moved, on_closed,
};

static void give_random(void *user, void *out, size_t bytes)
{
    struct kit_pair *const p = user;
    uint8_t *const at = out;
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)test_random_next(&p->random);
    }
}

/* ---- the network ----------------------------------------------------------------------------- */

static bool draw(struct kit_pair *p, uint32_t ppm)
{
    return ppm > 0 && test_random_below(&p->random, PPM) < ppm;
}

static void enqueue(struct kit_pair *p, struct kit_end *from, struct kit_end *to,
                    const struct kirim_channel_departure *d, uint64_t due_ns)
{
    struct kit_link *const l = &from->link;
    ck_assert_uint_lt(p->queued, KIT_QUEUE);
    struct kit_datagram *const q = &p->queue[p->queued++];
    *q = (struct kit_datagram){ .due_ns = due_ns, .order = p->order++, .to = to };
    q->from = from->addr;
    q->due_ns += l->jitter_ns > 0 ? test_random_below(&p->random, l->jitter_ns + 1) : 0;
    q->ecn = l->is_bleached ? 0 : d->ecn;
    q->ecn = q->ecn != 0 && draw(p, l->ce_ppm) ? 3 : q->ecn;
    q->bytes = d->bytes;
    q->data = malloc(d->bytes + 1);
    ck_assert_ptr_nonnull(q->data);
    memcpy(q->data, d->data, d->bytes);
}

static void carry(struct kit_pair *p, struct kit_end *from, const struct kirim_channel_departure *d)
{
    struct kit_end *const to = from == &p->client ? &p->server : &p->client;
    struct kit_link *const l = &from->link;
    if (l->is_down || !kirim_addr_equal(&d->peer, &to->addr) || (l->mtu > 0 && d->bytes > l->mtu) ||
        draw(p, l->loss_ppm)) {
        return;
    }
    uint64_t leaves_ns = p->now_ns;
    if (l->rate_bytes > 0) {
        leaves_ns = l->free_ns > p->now_ns ? l->free_ns : p->now_ns;
        if (l->queue_ns > 0 && leaves_ns - p->now_ns > l->queue_ns) {
            return;
        }
        leaves_ns += d->bytes * SECOND / l->rate_bytes;
        l->free_ns = leaves_ns;
    }
    enqueue(p, from, to, d, leaves_ns + l->delay_ns);
    if (draw(p, l->duplicate_ppm)) {
        enqueue(p, from, to, d, leaves_ns + l->delay_ns);
    }
}

/* Sends all that an end has, and checks what must hold of each packet. */
static void pump(struct kit_pair *p, struct kit_end *end)
{
    static uint8_t room[KIT_ROOM];
    while (end->ch != NULL) {
        const struct ki_channel_recovery *const r = &end->ch->recovery;
        const uint64_t before = r->flight_bytes;
        const uint32_t probes = r->probe_count;
        struct kirim_channel_departure d;
        memset(&d, 0, sizeof d);
        d.data = room;
        d.room_bytes = sizeof room;
        if (!kirim_channel_output(end->ch, &d, p->now_ns)) {
            return;
        }
        ck_assert_uint_gt(d.bytes, 0);
        ck_assert_uint_le(d.bytes, end->options.payload_bytes_max);
        if (r->flight_bytes > before && probes == 0) {
            ck_assert_uint_le(r->flight_bytes, end->ch->congestion.window_bytes);
        }
        end->sent_bytes += d.bytes;
        end->sent_count++;
        end->longest = d.bytes > end->longest ? d.bytes : end->longest;
        carry(p, end, &d);
    }
}

/* What arrives where there is no server yet. */
static void visit(struct kit_pair *p, const struct kit_datagram *q)
{
    uint8_t room[KIRIM_CHANNEL_ANSWER_BYTES_MAX];
    struct kirim_channel_visit v = { q->data, q->bytes, &q->from, p->now_ns, { 0 } };
    struct kirim_channel_packet begin;
    give_random(p, v.id, sizeof v.id);
    if (kirim_channel_gate_check(&p->gate, &v, &begin) == KIRIM_OK &&
        p->server.ledger.closed == 0) {
        uint8_t reset[KIRIM_CHANNEL_RESET_BYTES];
        kirim_channel_gate_reset(&p->gate, begin.to, reset);
        ck_assert_int_eq(kirim_channel_accept(&p->server.options, &begin, reset, &q->from,
                                              p->now_ns, &p->server.ch),
                         KIRIM_OK);
        return;
    }
    struct kirim_channel_departure d;
    memset(&d, 0, sizeof d);
    d.bytes = kirim_channel_gate_answer(&p->gate, &v, room);
    d.data = room;
    d.peer = q->from;
    if (d.bytes > 0) {
        ck_assert_uint_lt(d.bytes, q->bytes);
        p->stateless++;
        carry(p, &p->server, &d);
    }
}

static void deliver(struct kit_pair *p, size_t index)
{
    const struct kit_datagram q = p->queue[index];
    p->queue[index] = p->queue[--p->queued];
    if (q.to == &p->server && p->server.ch == NULL) {
        visit(p, &q);
    }
    if (q.to->ch != NULL) {
        const struct kirim_channel_arrival a = { q.data, q.bytes, &q.from, q.ecn };
        kirim_channel_input(q.to->ch, &a, p->now_ns);
    }
    free(q.data);
}

static void end_if_over(struct kit_end *end)
{
    if (end->ch != NULL && kirim_channel_has_ended(end->ch)) {
        ck_assert_uint_eq(end->ledger.closed, 1);
        kirim_channel_free(end->ch);
        end->ch = NULL;
    }
}

static uint64_t deadline_of(const struct kit_end *end)
{
    return end->ch != NULL ? kirim_channel_deadline(end->ch) : KIRIM_NEVER;
}

/* Does the next thing that is due by `until_ns`; false: there is none. */
static bool step(struct kit_pair *p, uint64_t until_ns)
{
    struct kit_end *const ends[2] = { &p->client, &p->server };
    size_t next = p->queued;
    pump(p, &p->client);
    pump(p, &p->server);
    for (size_t i = 0; i < p->queued; i++) {
        const struct kit_datagram *const a = &p->queue[i];
        const struct kit_datagram *const b = &p->queue[next < p->queued ? next : i];
        next = next == p->queued || a->due_ns < b->due_ns ||
                       (a->due_ns == b->due_ns && a->order < b->order)
                   ? i
                   : next;
    }
    uint64_t due_ns = next < p->queued ? p->queue[next].due_ns : KIRIM_NEVER;
    struct kit_end *end = NULL;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        if (deadline_of(ends[i]) < due_ns) {
            due_ns = deadline_of(ends[i]);
            end = ends[i];
        }
    }
    if (due_ns > until_ns || due_ns == KIRIM_NEVER) {
        return false;
    }
    p->now_ns = due_ns > p->now_ns ? due_ns : p->now_ns;
    if (end != NULL) {
        kirim_channel_expire(end->ch, p->now_ns);
    } else {
        deliver(p, next);
    }
    pump(p, &p->client);
    pump(p, &p->server);
    end_if_over(&p->client);
    end_if_over(&p->server);
    return true;
}

void kit_pair_run(struct kit_pair *p, uint64_t until_ns)
{
    while (step(p, until_ns)) {}
    if (until_ns != KIRIM_NEVER && until_ns > p->now_ns) {
        p->now_ns = until_ns;
    }
}

void kit_pair_connect(struct kit_pair *p)
{
    const uint64_t until_ns = p->now_ns + 30 * SECOND;
    while ((p->client.ledger.ready == 0 || p->server.ledger.ready == 0) && step(p, until_ns)) {}
    ck_assert_uint_eq(p->client.ledger.ready, 1);
    ck_assert_uint_eq(p->server.ledger.ready, 1);
}

/* ---- pairs ----------------------------------------------------------------------------------- */

static void init_end(struct kit_pair *p, struct kit_end *end, const char *addr)
{
    ck_assert_int_eq(kirim_addr_parse(addr, &end->addr), KIRIM_OK);
    end->pair = p;
    end->length = default_length;
    end->link.delay_ns = 10 * MS;
    end->options = (struct kirim_channel_options)KIRIM_CHANNEL_OPTIONS_INIT;
    end->options.handler = &handler;
    end->options.user = end;
    end->options.alloc = kit_alloc;
    end->options.alloc_user = &end->memory;
    end->options.random = give_random;
    end->options.random_user = p;
    end->options.params.stream_count = KIT_STREAMS;
}

struct kit_pair *kit_pair_new(uint64_t seed)
{
    struct kit_pair *const p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    p->random.state = seed;
    p->now_ns = SECOND;
    init_end(p, &p->client, "192.0.2.1:1000");
    init_end(p, &p->server, "192.0.2.2:2000");
    p->client.options.keepalive_ns = 15 * SECOND;
    return p;
}

void kit_pair_open(struct kit_pair *p)
{
    uint8_t keys[2][KIRIM_SIPHASH_KEY_BYTES];
    give_random(p, keys, sizeof keys);
    ck_assert_int_eq(kirim_channel_gate_init(&p->gate, &p->server.options.params, keys[0], keys[1]),
                     KIRIM_OK);
    ck_assert_int_eq(
        kirim_channel_connect(&p->client.options, &p->server.addr, p->now_ns, &p->client.ch),
        KIRIM_OK);
}

void kit_pair_free(struct kit_pair *p)
{
    kirim_channel_free(p->client.ch);
    kirim_channel_free(p->server.ch);
    ck_assert_uint_eq(p->client.memory.blocks, 0);
    ck_assert_uint_eq(p->server.memory.blocks, 0);
    ck_assert_uint_eq(p->client.memory.bytes, 0);
    ck_assert_uint_eq(p->server.memory.bytes, 0);
    ck_assert_uint_eq(p->budget.bytes, 0);
    for (size_t i = 0; i < p->queued; i++) {
        free(p->queue[i].data);
    }
    free(p);
}

void kit_forge(struct kit_end *to, uint64_t number, const void *frames, size_t bytes)
{
    struct kit_pair *const p = to->pair;
    const struct kit_end *const from = to == &p->client ? &p->server : &p->client;
    uint8_t room[KIT_ROOM];
    struct kirim_channel_packet packet;
    memset(&packet, 0, sizeof packet);
    packet.kind = KIRIM_CHANNEL_DATA;
    packet.number = number;
    memcpy(packet.to, kirim_channel_id(to->ch), sizeof packet.to);
    const size_t at = kirim_channel_packet_write(&packet, room, sizeof room);
    memcpy(room + at, frames, bytes);
    const struct kirim_channel_arrival a = { room, at + bytes, &from->addr, 0 };
    kirim_channel_input(to->ch, &a, p->now_ns);
}

void kit_set_links(struct kit_pair *p, const struct kit_link *link)
{
    p->client.link = *link;
    p->server.link = *link;
}
