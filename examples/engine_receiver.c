/* SPDX-License-Identifier: MIT
 *
 * The receiver of the toy engine: keeps the chunks that came early, and says by ranges which
 * packets came. One thread.
 */
#include "engine_parts.h"

#include <stdlib.h>
#include <string.h>

struct range {
    uint64_t first, last;
};

struct receiver {
    uint8_t chunk[WINDOW_CHUNKS][CHUNK_BYTES];
    bool is_here[WINDOW_CHUNKS];
    uint64_t base; /* all before it went into the digest */
    struct range range[RANGE_MAX];
    size_t range_count;
    bool is_ack_due;
};

struct receiver *receiver_open(void)
{
    return calloc(1, sizeof(struct receiver));
}

/* Notes that a packet came. Ranges that are too old are forgotten: the next chunk wanted says
 * enough of them. */
static void note_number(struct receiver *rx, uint64_t n)
{
    struct range *const r = rx->range;
    size_t i = 0;
    while (i < rx->range_count && r[i].first > n + 1) {
        i++;
    }
    if (i == rx->range_count || n > r[i].last + 1) { /* a range of its own */
        if (i == RANGE_MAX) {
            return;
        }
        rx->range_count += rx->range_count < RANGE_MAX;
        memmove(&r[i + 1], &r[i], (rx->range_count - 1 - i) * sizeof *r);
        r[i] = (struct range){ n, n };
        return;
    }
    r[i].last = most(r[i].last, n);
    r[i].first = least(r[i].first, n);
    if (i + 1 < rx->range_count && r[i + 1].last + 1 == r[i].first) { /* a gap is closed */
        r[i].first = r[i + 1].first;
        rx->range_count--;
        memmove(&r[i + 1], &r[i + 2], (rx->range_count - 1 - i) * sizeof *r);
    }
}

/* Hands on what is in order. */
static void deliver(struct transfer *t)
{
    struct receiver *rx = t->rx;
    while (rx->base < t->chunk_count && rx->is_here[rx->base % WINDOW_CHUNKS]) {
        const uint64_t place = rx->base % WINDOW_CHUNKS;
        t->event.digest = digest_more(t->event.digest, rx->chunk[place], bytes_of(t, rx->base, 1));
        rx->is_here[place] = false;
        rx->base++;
    }
    if (rx->base == t->chunk_count && !t->is_over) {
        end_transfer(t, ENGINE_RECEIVED);
    }
}

void receiver_take(struct transfer *t, const struct data_packet *data,
                   const struct engine_packet *in)
{
    struct receiver *rx = t->rx;
    if (data->first + data->count > rx->base + WINDOW_CHUNKS) {
        return; /* there is no room for it, and so it did not come */
    }
    for (uint64_t i = 0; i < data->count; i++) {
        const uint64_t chunk = data->first + i;
        const uint64_t place = chunk % WINDOW_CHUNKS;
        if (chunk >= rx->base && !rx->is_here[place]) {
            memcpy(rx->chunk[place], data->at + i * CHUNK_BYTES, (size_t)bytes_of(t, chunk, 1));
            rx->is_here[place] = true;
        }
    }
    if (rx->range_count == 0 || data->number > rx->range[0].last) {
        t->peer = in->peer; /* the newest tells the way back */
        t->local = in->local;
    }
    note_number(rx, data->number);
    t->heard_ns = in->time_ns;
    t->event.packet_count++;
    t->event.ce_count += in->ecn == ENGINE_ECN_CE;
    rx->is_ack_due = true;
    deliver(t);
}

bool receiver_write(struct transfer *t, struct engine_packet *out, uint64_t now_ns)
{
    struct receiver *rx = t->rx;
    uint8_t *at = out->bytes;
    if (!rx->is_ack_due || out->count < ACK_BYTES_MAX) {
        return false;
    }
    put(&at, TYPE_ACK, 1);
    put(&at, t->id, 8);
    put(&at, rx->base, 4);
    put(&at, t->event.ce_count, 4);
    put(&at, rx->range_count, 1);
    for (size_t i = 0; i < rx->range_count; i++) {
        put(&at, rx->range[i].last, 4);
        put(&at, rx->range[i].last - rx->range[i].first + 1, 4);
    }
    rx->is_ack_due = false;
    out->count = (size_t)(at - out->bytes);
    out->segment_bytes = 0;
    out->time_ns = now_ns;
    out->ecn = 0;
    return true;
}
