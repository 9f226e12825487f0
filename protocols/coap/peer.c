/* SPDX-License-Identifier: MIT
 *
 * The message layer: ids, acknowledgements, retransmission, and what waits for its turn. Of a peer
 * one confirmable message is under way at a time. Sources: RFC 7252 sections 4.2 to 4.8.
 */
#include "parts.h"

#include <string.h>

enum { ID_HALF_COUNT = 1 << 15, ID_PART_COUNT = ID_HALF_COUNT / KIRIM_COAP_ID_PARTS };

/* Doubled from 2 to 3 s, five times in all (RFC 7252 section 4.8). */
static const struct kirim_retransmit_options confirmable = KIRIM_RETRANSMIT_COAP_INIT;

uint64_t ki_coap_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool ki_coap_has_room(const struct kirim_coap_peer *peer, uint32_t peer_count, uint32_t count,
                      uint32_t count_max)
{
    /* Nobody takes more than a quarter; those who may not be there no more than half together. */
    const uint32_t bound = peer->is_validated ? count_max : count_max - count_max / 2;
    return count < bound && peer_count < count_max - count_max / 4 * 3;
}

void *ki_coap_alloc(struct kirim_coap_node *node, size_t bytes)
{
    void *const memory = node->options.env.alloc(node->options.env.user, NULL, 0, bytes);
    if (memory == NULL) {
        node->stats.no_memory++;
        return NULL;
    }
    memset(memory, 0, bytes);
    return memory;
}

void ki_coap_free(struct kirim_coap_node *node, void *memory, size_t bytes)
{
    if (memory != NULL) {
        (void)node->options.env.alloc(node->options.env.user, memory, bytes, 0);
    }
}

void ki_coap_send(struct kirim_coap_peer *peer, const struct kirim_addr *to,
                  struct kirim_coap_span wire)
{
    struct kirim_coap_node *const node = peer->node;
    if (node->options.env.send(node->options.env.user, peer, to, wire) < 0) {
        node->stats.send_failed++;
    } else {
        node->stats.sent++;
    }
}

void ki_coap_send_empty(struct kirim_coap_peer *peer, const struct kirim_addr *to, uint8_t type,
                        uint16_t id)
{
    uint8_t wire[KIRIM_COAP_HEADER_BYTES];
    struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(wire, sizeof wire);
    const struct kirim_coap_message head = { .type = type, .id = id };
    kirim_coap_write_header(&w, &head);
    peer->node->stats.resets_sent += type == KIRIM_COAP_RST ? 1 : 0;
    ki_coap_send(peer, to, (struct kirim_coap_span){ wire, w.bytes });
}

kirim_err ki_coap_take_id(struct kirim_coap_peer *peer, int whose, uint64_t now_ns, uint16_t *id)
{
    const struct kirim_coap_environment *const env = &peer->node->options.env;
    struct kirim_coap_ids *const ids = &peer->ids[whose];
    if (!peer->has_ids) {
        const kirim_err err = env->random(env->user, &peer->first_id, sizeof peer->first_id);
        if (err < 0) {
            peer->node->stats.no_memory++;
            return err;
        }
        peer->has_ids = true;
    }
    const size_t part = ids->next / ID_PART_COUNT;
    const bool is_entering = ids->next % ID_PART_COUNT == 0;
    const uint64_t used_ns = ids->part_ns[part];
    const bool is_own = whose == KI_COAP_OWN_IDS;
    if (is_entering && used_ns != 0 && now_ns - used_ns < KIRIM_COAP_EXCHANGE_LIFETIME_NS) {
        peer->id_free_ns = is_own ? used_ns + KIRIM_COAP_EXCHANGE_LIFETIME_NS : peer->id_free_ns;
        peer->node->stats.full++;
        return KIRIM_EWOULDBLOCK;
    }
    peer->id_free_ns = is_own ? 0 : peer->id_free_ns;
    ids->part_ns[part] = now_ns;
    *id = (uint16_t)(peer->first_id + whose * ID_HALF_COUNT + ids->next);
    ids->next = (uint16_t)((ids->next + 1) % ID_HALF_COUNT);
    return KIRIM_OK;
}

uint8_t ki_coap_szx_max(const struct kirim_coap_peer *peer)
{
    enum { HEAD_BYTES_MAX = 128 }; /* token and options that come with a block */
    const size_t bytes = peer->message_bytes_max;
    const uint8_t szx = kirim_coap_block_szx(bytes > HEAD_BYTES_MAX ? bytes - HEAD_BYTES_MAX : 0);
    return szx < peer->node->options.szx ? szx : peer->node->options.szx;
}

/* ---- the one that waits for its acknowledgement ---------------------------------------------- */

bool ki_coap_is_idle(const struct kirim_coap_peer *peer)
{
    return peer->exchange.data == NULL;
}

kirim_err ki_coap_exchange_start(struct kirim_coap_peer *peer, int kind, void *owner, uint16_t id,
                                 struct kirim_coap_span wire, uint64_t now_ns)
{
    struct kirim_coap_exchange *const x = &peer->exchange;
    const struct kirim_coap_environment *const env = &peer->node->options.env;
    uint64_t random = 0;
    kirim_err err = env->random(env->user, &random, sizeof random);
    if (err < 0) {
        peer->node->stats.no_memory++;
        return err;
    }
    uint8_t *const copy = ki_coap_alloc(peer->node, wire.bytes);
    if (copy == NULL) {
        return KIRIM_ENOMEM;
    }
    x->retransmit = (struct kirim_retransmit)KIRIM_RETRANSMIT_INIT(&confirmable, &peer->path);
    err = kirim_retransmit_start(&x->retransmit, now_ns, random);
    if (err < 0) {
        ki_coap_free(peer->node, copy, wire.bytes);
        return err;
    }
    memcpy(copy, wire.data, wire.bytes);
    x->data = copy;
    x->bytes = wire.bytes;
    x->kind = kind;
    x->owner = owner;
    x->id = id;
    ki_coap_send(peer, &peer->addr, wire);
    return KIRIM_OK;
}

void ki_coap_exchange_drop(struct kirim_coap_peer *peer, bool is_answered, uint64_t now_ns)
{
    struct kirim_coap_exchange *const x = &peer->exchange;
    if (x->data == NULL) {
        return;
    }
    if (is_answered) {
        kirim_retransmit_answer(&x->retransmit, now_ns);
    } else {
        kirim_retransmit_cancel(&x->retransmit);
    }
    ki_coap_free(peer->node, x->data, x->bytes);
    x->data = NULL;
    x->owner = NULL;
}

static void end_exchange(struct kirim_coap_peer *peer, int how, uint64_t now_ns)
{
    const int kind = peer->exchange.kind;
    void *const owner = peer->exchange.owner;
    ki_coap_exchange_drop(peer, how == KI_COAP_ACKED || how == KI_COAP_RESET, now_ns);
    if (kind == KI_COAP_CALL && owner != NULL) {
        ki_coap_call_exchanged(owner, how, now_ns);
    } else if (kind == KI_COAP_NOTIFICATION && owner != NULL) {
        ki_coap_observer_ended(owner, how, now_ns);
    }
}

static void expire_exchange(struct kirim_coap_peer *peer, uint64_t now_ns)
{
    struct kirim_coap_exchange *const x = &peer->exchange;
    if (x->data == NULL) {
        return;
    }
    switch (kirim_retransmit_expire(&x->retransmit, now_ns)) {
    case KIRIM_RETRANSMIT_SEND:
        peer->node->stats.resent++;
        ki_coap_send(peer, &peer->addr, (struct kirim_coap_span){ x->data, x->bytes });
        break;
    case KIRIM_RETRANSMIT_GIVE_UP:
        peer->node->stats.timed_out++;
        end_exchange(peer, KI_COAP_TIMED_OUT, now_ns);
        break;
    default:
        break;
    }
}

/* ---- what waits ------------------------------------------------------------------------------ */

static size_t pending_bytes(const struct kirim_coap_pending *pending)
{
    return sizeof *pending + pending->bytes;
}

kirim_err ki_coap_pend(struct kirim_coap_peer *peer, const struct kirim_coap_pending *what,
                       struct kirim_coap_span wire)
{
    struct kirim_coap_node *const node = peer->node;
    uint32_t count = 0;
    for (const struct kirim_coap_pending *p = peer->pending; p != NULL; p = p->next) {
        count++;
    }
    if (!ki_coap_has_room(peer, count, node->pending_count, node->options.pending_count_max)) {
        node->stats.full++;
        return KIRIM_EWOULDBLOCK;
    }
    struct kirim_coap_pending *const pending = ki_coap_alloc(node, sizeof *pending + wire.bytes);
    if (pending == NULL) {
        return KIRIM_ENOMEM;
    }
    *pending = *what;
    pending->bytes = wire.bytes;
    memcpy(pending->data, wire.data, wire.bytes);
    struct kirim_coap_pending **at = &peer->pending;
    while (*at != NULL && (*at)->due_ns <= pending->due_ns) {
        at = &(*at)->next;
    }
    pending->next = *at;
    *at = pending;
    node->pending_count++;
    return KIRIM_OK;
}

static void drop_pending(struct kirim_coap_peer *peer, struct kirim_coap_pending **at)
{
    struct kirim_coap_pending *const pending = *at;
    *at = pending->next;
    peer->node->pending_count--;
    ki_coap_free(peer->node, pending, pending_bytes(pending));
}

/* Sends what is due; returns when there is more to do. */
static uint64_t pump_pending(struct kirim_coap_peer *peer, uint64_t now_ns)
{
    struct kirim_coap_pending **at = &peer->pending;
    while (*at != NULL && (*at)->due_ns <= now_ns) {
        struct kirim_coap_pending *const pending = *at;
        const struct kirim_coap_span wire = { pending->data, pending->bytes };
        if (!pending->is_confirmable) {
            ki_coap_send(peer, &pending->to, wire);
            drop_pending(peer, at);
        } else if (ki_coap_is_idle(peer)) {
            (void)ki_coap_exchange_start(peer, KI_COAP_RESPONSE, NULL, pending->id, wire, now_ns);
            drop_pending(peer, at);
        } else {
            at = &pending->next;
        }
    }
    return *at != NULL ? (*at)->due_ns : KIRIM_NEVER;
}

void ki_coap_pump(struct kirim_coap_peer *peer, uint64_t now_ns)
{
    const struct kirim_coap_environment *const env = &peer->node->options.env;
    if (peer->is_pumping) {
        peer->is_to_be_pumped =
            true; /* from inside a callback: at once, but in a turn of its own */
        return;
    }
    peer->is_pumping = true;
    peer->is_to_be_pumped = false;
    uint64_t deadline_ns = ki_coap_deferrals_expire(peer, now_ns);
    deadline_ns = ki_coap_min(deadline_ns, ki_coap_assemblies_expire(peer, now_ns));
    if (peer->is_ready) {
        deadline_ns = ki_coap_min(deadline_ns, pump_pending(peer, now_ns));
        deadline_ns = ki_coap_min(deadline_ns, ki_coap_observers_pump(peer, now_ns));
    }
    deadline_ns = ki_coap_min(deadline_ns, ki_coap_calls_pump(peer, now_ns));
    if (peer->exchange.data != NULL) {
        deadline_ns = ki_coap_min(deadline_ns, peer->exchange.retransmit.deadline_ns);
    }
    if (peer->id_free_ns > now_ns) {
        deadline_ns = ki_coap_min(deadline_ns, peer->id_free_ns);
    }
    peer->is_pumping = false;
    peer->deadline_ns = peer->is_to_be_pumped ? now_ns : deadline_ns;
    env->changed(env->user, peer);
}

/* ---- arrivals -------------------------------------------------------------------------------- */

static void input_reset(struct kirim_coap_peer *peer, const struct kirim_coap_message *m,
                        uint64_t now_ns)
{
    peer->node->stats.resets_received++;
    if (peer->exchange.data != NULL && peer->exchange.id == m->id) {
        end_exchange(peer, KI_COAP_RESET, now_ns);
    } else if (!ki_coap_observer_reset(peer, m->id)) {
        ki_coap_call_reset(peer, m->id, now_ns);
    }
}

static void input_ack(struct kirim_coap_peer *peer, const struct kirim_coap_arrival *arrival,
                      const struct kirim_coap_message *m, uint64_t now_ns)
{
    if (kirim_coap_is_request(m->code)) {
        peer->node->stats.ignored++;
        return;
    }
    if (peer->exchange.data != NULL && peer->exchange.id == m->id) {
        end_exchange(peer, KI_COAP_ACKED, now_ns);
    }
    if (kirim_coap_is_response(m->code)) {
        ki_coap_call_input(peer, arrival, m, now_ns);
    }
}

/* A message that is neither ACK nor RST. */
static void input_message(struct kirim_coap_peer *peer, const struct kirim_coap_arrival *arrival,
                          const struct kirim_coap_message *m, uint64_t now_ns)
{
    const bool is_answerable = m->type == KIRIM_COAP_CON && !arrival->is_group;
    if (kirim_coap_is_request(m->code) && (m->type == KIRIM_COAP_NON || is_answerable)) {
        ki_coap_serve(peer, arrival, m, now_ns);
    } else if (kirim_coap_is_response(m->code) && !arrival->is_group) {
        ki_coap_call_input(peer, arrival, m, now_ns);
    } else if (is_answerable) {
        /* A ping, or a class that is reserved. */
        ki_coap_send_empty(peer, &arrival->from, KIRIM_COAP_RST, m->id);
    } else {
        peer->node->stats.ignored++; /* a CON to a group, too: RFC 7252 section 8.1 */
    }
}

void kirim_coap_peer_input(struct kirim_coap_peer *peer, const struct kirim_coap_arrival *arrival,
                           uint64_t now_ns)
{
    struct kirim_coap_stats *const stats = &peer->node->stats;
    struct kirim_coap_message m;
    stats->received++;
    switch (kirim_coap_parse(arrival->wire, &m)) {
    case KIRIM_COAP_NO_COAP:
        stats->no_coap++;
        return;
    case KIRIM_COAP_MALFORMED:
        stats->malformed++;
        if (m.type == KIRIM_COAP_CON && !arrival->is_group) {
            ki_coap_send_empty(peer, &arrival->from, KIRIM_COAP_RST, m.id);
        }
        return;
    default:
        break;
    }
    if (m.type == KIRIM_COAP_ACK) {
        input_ack(peer, arrival, &m, now_ns);
    } else if (m.type != KIRIM_COAP_RST) {
        input_message(peer, arrival, &m, now_ns);
    } else if (m.code == KIRIM_COAP_EMPTY) {
        input_reset(peer, &m, now_ns);
    } else {
        stats->ignored++;
    }
    ki_coap_pump(peer, now_ns);
}

void kirim_coap_peer_expire(struct kirim_coap_peer *peer, uint64_t now_ns)
{
    expire_exchange(peer, now_ns);
    ki_coap_pump(peer, now_ns);
}

void kirim_coap_peer_ready(struct kirim_coap_peer *peer, uint64_t now_ns)
{
    peer->is_ready = true;
    ki_coap_pump(peer, now_ns);
}

void kirim_coap_peer_gone(struct kirim_coap_peer *peer, kirim_err err, uint64_t now_ns)
{
    ki_coap_exchange_drop(peer, false, now_ns);
    while (peer->pending != NULL) {
        drop_pending(peer, &peer->pending);
    }
    ki_coap_observers_drop(peer, true);
    ki_coap_deferrals_drop(peer);
    ki_coap_calls_end(peer, err, now_ns);
    ki_coap_pump(peer, now_ns);
}

bool kirim_coap_peer_is_busy(const struct kirim_coap_peer *peer)
{
    return peer->exchange.data != NULL || peer->calls != NULL || peer->pending != NULL;
}

void kirim_coap_peer_init(struct kirim_coap_peer *peer, struct kirim_coap_node *node,
                          const struct kirim_addr *addr)
{
    static const struct kirim_rtt_options rtt = KIRIM_RTT_OPTIONS_INIT;
    memset(peer, 0, sizeof *peer);
    peer->node = node;
    peer->addr = *addr;
    peer->deadline_ns = KIRIM_NEVER;
    peer->message_bytes_max = KIRIM_COAP_MESSAGE_BYTES_MAX;
    (void)kirim_path_init(&peer->path, &rtt, 1); /* these options are good */
}

void kirim_coap_peer_fini(struct kirim_coap_peer *peer, kirim_err why)
{
    peer->is_pumping = true; /* nothing is sent any more */
    peer->is_closed = true;
    ki_coap_exchange_drop(peer, false, 0);
    while (peer->pending != NULL) {
        drop_pending(peer, &peer->pending);
    }
    ki_coap_observers_drop(peer, false);
    ki_coap_deferrals_drop(peer);
    ki_coap_assemblies_drop(peer);
    ki_coap_calls_end(peer, why, 0);
    peer->deadline_ns = KIRIM_NEVER;
}
