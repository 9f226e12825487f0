/* SPDX-License-Identifier: MIT
 *
 * Observers: who is told what a resource is, whenever it changes. An observer's request is kept
 * and carried out again for each notification, so that the newest state is told, however many
 * there were meanwhile. Some notifications are confirmable, so that nobody is told for ever who is
 * not there. Sources: RFC 7641 sections 3.6, 4.1, 4.2, 4.4 and 4.5.
 */
#include "parts.h"

#include <string.h>

enum { SEQUENCE_MASK = 0xffffff, SEQUENCE_STEP_BITS = 23 /* 8 ms: all numbers in 39 hours */ };

/* Takes an observer out of its lists, and gives back its memory. */
static void drop(struct kirim_coap_observer *observer)
{
    struct kirim_coap_peer *const peer = observer->peer;
    struct kirim_coap_observer **at = &peer->observers;
    while (*at != observer) {
        at = &(*at)->next_of_peer;
    }
    *at = observer->next_of_peer;
    if (observer->resource != NULL) {
        at = &observer->resource->observers;
        while (*at != observer) {
            at = &(*at)->next_of_resource;
        }
        *at = observer->next_of_resource;
    }
    if (peer->exchange.owner == observer) {
        peer->exchange.owner = NULL; /* its notification goes on by itself */
    }
    peer->observer_count--;
    peer->node->observer_count--;
    peer->node->observer_changes++;
    ki_coap_free(peer->node, observer, sizeof *observer + observer->wire_bytes);
}

/* The observer of a peer with this token. */
static struct kirim_coap_observer *find(const struct kirim_coap_peer *peer,
                                        const struct kirim_coap_message *message)
{
    struct kirim_coap_observer *observer = peer->observers;
    while (observer != NULL && ((observer->wire[0] & 15) != message->token_bytes ||
                                memcmp(observer->wire + KIRIM_COAP_HEADER_BYTES, message->token,
                                       message->token_bytes) != 0)) {
        observer = observer->next_of_peer;
    }
    return observer;
}

bool ki_coap_observer_add(struct ki_coap_ask *ask, struct kirim_coap_resource *resource)
{
    struct kirim_coap_peer *const peer = ask->peer;
    struct kirim_coap_node *const node = peer->node;
    struct kirim_coap_observer *const old = find(peer, ask->message);
    /* Who comes back under a token that was forgotten is told greater numbers than before. */
    uint32_t sequence = (uint32_t)(ask->now_ns >> SEQUENCE_STEP_BITS);
    if (old != NULL) {
        sequence = old->sequence; /* numbers go on for the same token */
        drop(old);
    }
    if (ask->wire.bytes > KI_COAP_OBSERVED_BYTES_MAX ||
        node->observer_count >= node->options.observer_count_max ||
        peer->observer_count >= node->options.peer_observer_count_max) {
        node->stats.full++;
        return false;
    }
    struct kirim_coap_observer *const observer =
        ki_coap_alloc(node, sizeof *observer + ask->wire.bytes);
    if (observer == NULL) {
        return false;
    }
    observer->peer = peer;
    observer->resource = resource;
    observer->sequence = (sequence + 1) & SEQUENCE_MASK;
    observer->confirmed_ns = ask->now_ns;
    observer->unconfirmed = node->options.confirm_every; /* the first one measures the path */
    observer->wire_bytes = (uint16_t)ask->wire.bytes;
    memcpy(observer->wire, ask->wire.data, ask->wire.bytes);
    observer->next_of_peer = peer->observers;
    peer->observers = observer;
    observer->next_of_resource = resource->observers;
    resource->observers = observer;
    peer->observer_count++;
    node->observer_count++;
    node->stats.observers_added++;
    ask->observe = observer->sequence;
    return true;
}

void ki_coap_observer_remove(struct ki_coap_ask *ask)
{
    struct kirim_coap_observer *const observer = find(ask->peer, ask->message);
    if (observer != NULL) {
        drop(observer);
    }
}

bool ki_coap_observer_reset(struct kirim_coap_peer *peer, uint16_t id)
{
    for (struct kirim_coap_observer *o = peer->observers; o != NULL; o = o->next_of_peer) {
        if (o->has_last_id && o->last_id == id) {
            drop(o);
            return true;
        }
    }
    return false;
}

void ki_coap_observer_ended(struct kirim_coap_observer *observer, int how, uint64_t now_ns)
{
    observer->is_in_flight = false;
    if (how == KI_COAP_ACKED) {
        observer->confirmed_ns = now_ns; /* if its resource has gone, it is told next */
        return;
    }
    observer->peer->node->stats.observers_lost += how == KI_COAP_TIMED_OUT ? 1 : 0;
    drop(observer);
}

void ki_coap_observers_drop(struct kirim_coap_peer *peer, bool is_lost)
{
    while (peer->observers != NULL) {
        peer->node->stats.observers_lost += is_lost ? 1 : 0;
        drop(peer->observers);
    }
}

void ki_coap_observers_orphan(struct kirim_coap_resource *resource, uint64_t now_ns)
{
    for (struct kirim_coap_observer *o = resource->observers; o != NULL; o = o->next_of_resource) {
        o->is_orphan = true; /* before any of them is told: telling may end others */
        o->is_dirty = true;
    }
    while (resource->observers != NULL) {
        struct kirim_coap_observer *const observer = resource->observers;
        resource->observers = observer->next_of_resource;
        observer->resource = NULL;
        ki_coap_pump(observer->peer, now_ns);
    }
}

void kirim_coap_notify(struct kirim_coap_node *node, struct kirim_coap_resource *resource,
                       uint64_t now_ns)
{
    for (struct kirim_coap_observer *o = resource->observers; o != NULL; o = o->next_of_resource) {
        o->is_dirty = true;
    }
    /* Telling one may end others, of any peer, or take the resource away: the walk begins anew
     * then, and passes over those who were told. */
    const uint64_t number = ++node->notify_count;
    struct kirim_coap_observer *o = resource->observers;
    while (o != NULL) {
        struct kirim_coap_peer *const peer = o->peer;
        const uint64_t changes = node->observer_changes;
        if (peer->notified != number) {
            peer->notified = number;
            ki_coap_pump(peer, now_ns);
        }
        if (node->observer_changes == changes) {
            o = o->next_of_resource;
        } else {
            o = ki_coap_is_added(node, resource) ? resource->observers : NULL;
        }
    }
}

/* ---- notifications --------------------------------------------------------------------------- */

/* Writes the present state; false: the observer has to go, after this is sent. */
static bool write_notification(struct kirim_coap_observer *o, uint8_t type,
                               struct kirim_coap_writer *w, uint64_t now_ns)
{
    uint8_t scratch[KIRIM_COAP_BLOCK_BYTES_MAX];
    struct kirim_coap_message message;
    struct ki_coap_ask ask;
    struct kirim_coap_message head = { .type = type, .id = o->last_id };
    struct kirim_coap_response response = { .code = KIRIM_COAP_NOT_FOUND,
                                            .content_format = KIRIM_COAP_FORMAT_NONE,
                                            .max_age_s = KIRIM_COAP_MAX_AGE_S };
    const struct kirim_coap_span wire = { o->wire, o->wire_bytes };
    if (!ki_coap_ask_again(&ask, &message, o->peer, wire, now_ns)) {
        return false;
    }
    ask.is_notification = true;
    if (o->resource != NULL && !o->is_orphan) {
        const struct kirim_coap_span nothing = { NULL, 0 };
        ki_coap_run(&ask, o->resource, nothing, scratch, &response);
        if (response.is_deferred) {
            response.code = KIRIM_COAP_UNAVAILABLE;
            response.is_deferred = false;
        }
    }
    o->sequence = (o->sequence + 1) & SEQUENCE_MASK;
    ask.has_observe = kirim_coap_class(response.code) == 2;
    ask.observe = o->sequence;
    ki_coap_encode(&ask, &response, &head, w);
    return kirim_coap_class(response.code) == 2;
}

/* Tells one observer. Returns when to try again, KIRIM_NEVER: it was told. */
static uint64_t tell(struct kirim_coap_observer *o, uint64_t now_ns)
{
    uint8_t wire[KIRIM_COAP_MESSAGE_BYTES_MAX];
    struct kirim_coap_peer *const peer = o->peer;
    struct kirim_coap_node *const node = peer->node;
    const size_t room =
        peer->message_bytes_max < sizeof wire ? peer->message_bytes_max : sizeof wire;
    struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(wire, room);
    const bool is_confirmable = o->is_orphan || o->unconfirmed + 1 >= node->options.confirm_every ||
                                now_ns - o->confirmed_ns >= node->options.confirm_ns;
    if (is_confirmable && !ki_coap_is_idle(peer)) {
        return KIRIM_NEVER; /* when that has ended */
    }
    if (!is_confirmable && !kirim_path_pace(&peer->path, now_ns)) {
        return peer->path.next_ns;
    }
    if (ki_coap_take_id(peer, KI_COAP_OWN_IDS, now_ns, &o->last_id) < 0) {
        return peer->id_free_ns > now_ns ? peer->id_free_ns : KIRIM_NEVER;
    }
    o->is_dirty = false;
    const bool stays =
        write_notification(o, is_confirmable ? KIRIM_COAP_CON : KIRIM_COAP_NON, &w, now_ns);
    const struct kirim_coap_span done = { wire, w.bytes };
    node->stats.notifications++;
    o->unconfirmed = is_confirmable ? 0 : o->unconfirmed + 1;
    o->has_last_id = true;
    if (is_confirmable) {
        const kirim_err err = ki_coap_exchange_start(peer, KI_COAP_NOTIFICATION, stays ? o : NULL,
                                                     o->last_id, done, now_ns);
        o->is_in_flight = err >= 0 && stays;
        o->is_dirty = o->is_dirty || err < 0; /* it may have changed while it was asked */
        if (err < 0) {
            return now_ns + UINT64_C(1000000000);
        }
    } else {
        ki_coap_send(peer, &peer->addr, done);
    }
    if (!stays) {
        drop(o);
    }
    return KIRIM_NEVER;
}

uint64_t ki_coap_observers_pump(struct kirim_coap_peer *peer, uint64_t now_ns)
{
    uint64_t deadline_ns = KIRIM_NEVER;
    struct kirim_coap_observer *o = peer->observers;
    while (o != NULL) {
        struct kirim_coap_observer *const next = o->next_of_peer;
        const uint64_t confirm_ns = o->confirmed_ns + peer->node->options.confirm_ns;
        if (!o->is_in_flight && confirm_ns <= now_ns) {
            o->is_dirty = true;
        } else if (!o->is_in_flight) {
            deadline_ns = ki_coap_min(deadline_ns, confirm_ns);
        }
        if (o->is_dirty && !o->is_in_flight) {
            deadline_ns = ki_coap_min(deadline_ns, tell(o, now_ns));
        }
        o = next;
    }
    return deadline_ns;
}
