/* SPDX-License-Identifier: MIT
 *
 * The toy protocol engine: see engine_core.h. Here is its border, and the table of its transfers;
 * the rest is in engine_sender.c and engine_receiver.c.
 *
 * One thread. Owns its transfers; the bytes that are sent are the caller's.
 */
#include "engine_parts.h"

#include <stdlib.h>

enum { TRANSFER_MAX = 16 };

static const uint64_t BYTES_MAX = UINT64_C(1) << 40;
static const uint64_t IDLE_NS = 10000000000; /* silence that ends a transfer */

struct engine {
    struct transfer transfer[TRANSFER_MAX];
};

/* ---- transfers ------------------------------------------------------------------------------- */

static void free_transfer(struct transfer *t)
{
    free(t->tx);
    free(t->rx);
    *t = (struct transfer){ .id = 0 };
}

static bool is_free(const struct transfer *t)
{
    return t->tx == NULL && t->rx == NULL;
}

static struct transfer *find_transfer(struct engine *e, uint64_t id, bool is_sender)
{
    for (size_t i = 0; i < TRANSFER_MAX; i++) {
        struct transfer *t = &e->transfer[i];
        if (!is_free(t) && t->id == id && (t->tx != NULL) == is_sender) {
            return t;
        }
    }
    return NULL;
}

/* A place for a new transfer: a free one, or that of one which has come to a good end, and is kept
 * only to acknowledge what comes late. NULL: all are busy. */
static struct transfer *make_transfer(struct engine *e, uint64_t id, const struct engine_addr *peer,
                                      uint64_t bytes)
{
    struct transfer *found = NULL;
    for (size_t i = 0; i < TRANSFER_MAX && (found == NULL || !is_free(found)); i++) {
        struct transfer *t = &e->transfer[i];
        found = is_free(t) || (t->rx != NULL && t->is_told) ? t : found;
    }
    if (found != NULL) {
        free_transfer(found);
        found->id = id;
        found->peer = *peer;
        found->chunk_count = chunks_of(bytes);
        found->event.bytes = bytes;
        found->event.digest = UINT64_C(0xcbf29ce484222325);
    }
    return found;
}

struct engine *engine_open(void)
{
    return calloc(1, sizeof(struct engine));
}

void engine_close(struct engine *e)
{
    for (size_t i = 0; e != NULL && i < TRANSFER_MAX; i++) {
        free_transfer(&e->transfer[i]);
    }
    free(e);
}

bool engine_send(struct engine *e, uint64_t id, const struct engine_addr *peer, const uint8_t *data,
                 uint64_t bytes, uint64_t now_ns)
{
    struct sender *tx = sender_open(data);
    struct transfer *t = bytes > BYTES_MAX ? NULL : make_transfer(e, id, peer, bytes);
    if (tx == NULL || t == NULL) {
        free(tx);
        return false;
    }
    t->tx = tx;
    t->heard_ns = now_ns;
    t->event.digest = digest_more(t->event.digest, data, bytes);
    return true;
}

/* ---- the border ------------------------------------------------------------------------------ */

/* The transfer that a data packet belongs to, a new one perhaps; NULL: it is dropped. */
static struct transfer *transfer_of(struct engine *e, uint64_t id, uint64_t bytes,
                                    const struct engine_addr *peer)
{
    struct transfer *t = find_transfer(e, id, false);
    if (t != NULL) {
        return t->event.bytes == bytes ? t : NULL;
    }
    struct receiver *rx = bytes > BYTES_MAX ? NULL : receiver_open();
    t = rx == NULL ? NULL : make_transfer(e, id, peer, bytes);
    if (t == NULL) {
        free(rx);
        return NULL;
    }
    t->rx = rx;
    return t;
}

static void take_data(struct engine *e, uint64_t id, const uint8_t *at,
                      const struct engine_packet *in)
{
    struct data_packet data = { .number = take(&at, 4) };
    data.bytes = take(&at, 8);
    data.first = take(&at, 4);
    data.at = at;
    const uint64_t here = in->count - DATA_HEAD_BYTES;
    data.count = chunks_of(here);
    if (data.bytes > BYTES_MAX || data.first + data.count > chunks_of(data.bytes) ||
        data.count > PACKET_CHUNKS_MAX ||
        here != least(data.count * CHUNK_BYTES, data.bytes - data.first * CHUNK_BYTES)) {
        return;
    }
    struct transfer *t = transfer_of(e, id, data.bytes, &in->peer);
    if (t != NULL) {
        receiver_take(t, &data, in);
    }
}

void engine_input(struct engine *e, const struct engine_packet *in)
{
    const uint8_t *at = in->bytes;
    if (in->count < ACK_HEAD_BYTES) {
        return;
    }
    const uint64_t type = take(&at, 1);
    const uint64_t id = take(&at, 8);
    if (type == TYPE_DATA && in->count >= DATA_HEAD_BYTES) {
        take_data(e, id, at, in);
    } else if (type == TYPE_ACK) {
        struct transfer *t = find_transfer(e, id, true);
        if (t != NULL && !t->is_over) {
            sender_take_ack(t, at, in);
        }
    }
}

bool engine_output(struct engine *e, struct engine_packet *out, uint64_t now_ns)
{
    for (size_t i = 0; i < TRANSFER_MAX; i++) {
        struct transfer *t = &e->transfer[i];
        out->peer = t->peer;
        out->local = t->local;
        if ((t->rx != NULL && receiver_write(t, out, now_ns)) ||
            (t->tx != NULL && !t->is_over && sender_write(t, out, now_ns))) {
            return true;
        }
    }
    return false;
}

uint64_t engine_deadline(const struct engine *e)
{
    uint64_t deadline = ENGINE_NEVER;
    for (size_t i = 0; i < TRANSFER_MAX; i++) {
        const struct transfer *t = &e->transfer[i];
        if (is_free(t)) {
            continue;
        }
        deadline = least(deadline, t->heard_ns + IDLE_NS);
        if (t->tx != NULL && !t->is_over) {
            deadline = least(deadline, sender_deadline(t));
        }
    }
    return deadline;
}

void engine_expire(struct engine *e, uint64_t now_ns)
{
    for (size_t i = 0; i < TRANSFER_MAX; i++) {
        struct transfer *t = &e->transfer[i];
        if (is_free(t)) {
            continue;
        }
        if (t->heard_ns + IDLE_NS <= now_ns && t->is_told) {
            free_transfer(t);
        } else if (t->heard_ns + IDLE_NS <= now_ns && !t->is_over) {
            end_transfer(t, ENGINE_FAILED);
        } else if (t->tx != NULL && !t->is_over) {
            sender_expire(t, now_ns);
        }
    }
}

void engine_error(struct engine *e, enum engine_error error, const struct engine_addr *peer,
                  uint32_t path_mtu)
{
    for (size_t i = 0; i < TRANSFER_MAX; i++) {
        struct transfer *t = &e->transfer[i];
        if (t->tx == NULL || t->is_over || !is_same(&t->peer, peer)) {
            continue;
        }
        /* Anybody can write such a message. One that names a size is believed down to the least
         * that every path takes; "refused" only while the peer has not said a word. Whatever else
         * it was: the retransmissions will find out. */
        if (error == ENGINE_ERROR_TOO_BIG) {
            sender_narrow(t, path_mtu);
        } else if (error == ENGINE_ERROR_REFUSED && !t->is_heard) {
            end_transfer(t, ENGINE_FAILED);
        }
    }
}

bool engine_poll(struct engine *e, struct engine_event *out)
{
    for (size_t i = 0; i < TRANSFER_MAX; i++) {
        struct transfer *t = &e->transfer[i];
        if (!t->is_over || t->is_told) {
            continue;
        }
        *out = t->event;
        out->peer = t->peer;
        t->is_told = true;
        if (t->event.outcome != ENGINE_RECEIVED) {
            free_transfer(t);
        }
        return true;
    }
    return false;
}
