/* SPDX-License-Identifier: MIT
 *
 * The sender of the toy engine: the state of each chunk of its window and of each packet under way.
 *
 * The congestion window falls by half on loss and on marks, once in a round trip, and grows by what
 * is acknowledged; its packets are spread over the round trip. One thread. Source: RFC 9002.
 */
#include "engine_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
    UNDERWAY_MAX = 256, /* packets: a window of full ones */
    TRAIN_PACKETS_MAX = 16,
    REORDER_PACKETS = 3, /* overtaken by so many, a packet is deemed lost */
    WINDOW_FIRST = 10,   /* packets, as RFC 9002 begins */
    WINDOW_LEAST = 2,
    BACKOFF_MAX = 6,
    IP_UDP_BYTES = 48,
    PACKET_BYTES_MAX = DATA_HEAD_BYTES + PACKET_CHUNKS_MAX * CHUNK_BYTES
};

_Static_assert(ENGINE_TRAIN_BYTES_MAX == TRAIN_PACKETS_MAX * PACKET_BYTES_MAX, "as announced");

static const uint64_t RTT_FIRST_NS = 100000000; /* until one is measured */
static const uint64_t TIMEOUT_LEAST_NS = 10000000;
static const uint64_t AHEAD_NS = 2000000; /* how early a train is handed over */

enum chunk_state { CHUNK_WAITING = 0, CHUNK_UNDERWAY, CHUNK_ACKED };

/* A packet that was sent, until it is acknowledged or lost. */
struct sent {
    uint64_t time_ns;
    uint64_t chunk;
    uint32_t count;
    bool is_underway;
};

struct sender {
    const uint8_t *data;
    uint8_t chunk[WINDOW_CHUNKS]; /* states of base .. base + WINDOW_CHUNKS - 1 */
    uint64_t base;                /* all before it are acknowledged */
    uint64_t search;              /* none before it is waiting */
    struct sent sent[UNDERWAY_MAX];
    uint64_t oldest, next; /* packet numbers; none before `oldest` is under way */
    uint64_t underway, window, slow_start_end, credit;
    uint64_t recovery_end; /* packets before it have had their effect on the window */
    uint64_t rtt_ns, rtt_var_ns;
    bool is_measured;
    uint64_t pace_ns; /* no train before it */
    uint64_t last_sent_ns;
    uint32_t packet_chunks; /* less than the most on a narrow path */
    uint32_t backoff;
};

struct sender *sender_open(const uint8_t *data)
{
    struct sender *tx = calloc(1, sizeof *tx);
    if (tx != NULL) {
        tx->data = data;
        tx->window = WINDOW_FIRST;
        tx->slow_start_end = UNDERWAY_MAX;
        tx->rtt_ns = RTT_FIRST_NS;
        tx->rtt_var_ns = RTT_FIRST_NS / 2;
        tx->packet_chunks = PACKET_CHUNKS_MAX;
    }
    return tx;
}

/* ---- acknowledgements ------------------------------------------------------------------------ */

static void mark_acked(struct sender *tx, uint64_t chunk)
{
    if (chunk >= tx->base) {
        tx->chunk[chunk % WINDOW_CHUNKS] = CHUNK_ACKED;
    }
}

/* Halves the window, once for all that was under way together. */
static void slow_down(struct sender *tx, uint64_t number)
{
    if (number >= tx->recovery_end) {
        tx->recovery_end = tx->next;
        tx->window = most(tx->window / 2, WINDOW_LEAST);
        tx->slow_start_end = tx->window;
        tx->credit = 0;
    }
}

/* By one for each packet at first, then by one for each window. */
static void speed_up(struct sender *tx)
{
    if (tx->window < tx->slow_start_end || ++tx->credit >= tx->window) {
        tx->credit = 0;
        tx->window = least(tx->window + 1, UNDERWAY_MAX);
    }
}

static void measure_rtt(struct sender *tx, uint64_t sent_ns, uint64_t now_ns)
{
    const uint64_t rtt = now_ns > sent_ns ? now_ns - sent_ns : 1;
    const uint64_t error = rtt > tx->rtt_ns ? rtt - tx->rtt_ns : tx->rtt_ns - rtt;
    tx->rtt_var_ns = tx->is_measured ? (3 * tx->rtt_var_ns + error) / 4 : rtt / 2;
    tx->rtt_ns = tx->is_measured ? (7 * tx->rtt_ns + rtt) / 8 : rtt;
    tx->is_measured = true;
}

static void lose_packet(struct transfer *t, struct sent *sent)
{
    struct sender *tx = t->tx;
    sent->is_underway = false;
    tx->underway--;
    t->event.lost_count++;
    for (uint64_t chunk = sent->chunk; chunk < sent->chunk + sent->count; chunk++) {
        uint8_t *state = &tx->chunk[chunk % WINDOW_CHUNKS];
        if (chunk >= tx->base && *state == CHUNK_UNDERWAY) {
            *state = CHUNK_WAITING;
            tx->search = least(tx->search, chunk);
        }
    }
}

/* Acknowledges the packets of one range. Returns how many were under way. */
static size_t take_range(struct transfer *t, uint64_t first, uint64_t last, uint64_t now_ns)
{
    struct sender *tx = t->tx;
    size_t count = 0;
    for (uint64_t n = most(first, tx->oldest); n <= last; n++) {
        struct sent *sent = &tx->sent[n % UNDERWAY_MAX];
        if (!sent->is_underway) {
            continue;
        }
        if (n == last) {
            measure_rtt(tx, sent->time_ns, now_ns);
        }
        for (uint64_t i = 0; i < sent->count; i++) {
            mark_acked(tx, sent->chunk + i);
        }
        sent->is_underway = false;
        tx->underway--;
        speed_up(tx);
        count++;
    }
    return count;
}

/* What was overtaken is lost; and the window moves on. */
static void settle(struct transfer *t, uint64_t newest)
{
    struct sender *tx = t->tx;
    for (uint64_t n = tx->oldest; n + REORDER_PACKETS <= newest; n++) {
        if (tx->sent[n % UNDERWAY_MAX].is_underway) {
            lose_packet(t, &tx->sent[n % UNDERWAY_MAX]);
            slow_down(tx, n);
        }
    }
    while (tx->oldest < tx->next && !tx->sent[tx->oldest % UNDERWAY_MAX].is_underway) {
        tx->oldest++;
    }
    while (tx->base < t->chunk_count && tx->chunk[tx->base % WINDOW_CHUNKS] == CHUNK_ACKED) {
        tx->chunk[tx->base++ % WINDOW_CHUNKS] = CHUNK_WAITING;
    }
    tx->search = most(tx->search, tx->base);
    if (tx->base == t->chunk_count) {
        end_transfer(t, ENGINE_SENT);
    }
}

/* Nothing of an acknowledgement is believed that speaks of what was not sent. */
static bool is_ack_good(const struct transfer *t, const uint8_t *at, size_t count)
{
    const uint64_t next_chunk = take(&at, 4);
    (void)take(&at, 4);
    const size_t range_count = (size_t)take(&at, 1);
    if (range_count == 0 || count != ACK_HEAD_BYTES + range_count * RANGE_BYTES ||
        next_chunk > least(t->tx->base + WINDOW_CHUNKS, t->chunk_count)) {
        return false;
    }
    for (size_t i = 0; i < range_count; i++) {
        const uint64_t last = take(&at, 4);
        const uint64_t length = take(&at, 4);
        if (last >= t->tx->next || length == 0 || length > last + 1) {
            return false;
        }
    }
    return true;
}

void sender_take_ack(struct transfer *t, const uint8_t *at, const struct engine_packet *in)
{
    struct sender *tx = t->tx;
    uint64_t newest = 0;
    size_t acked_count = 0;
    if (!is_ack_good(t, at, in->count)) {
        return;
    }
    t->is_heard = true;
    t->heard_ns = in->time_ns;
    const uint64_t next_chunk = take(&at, 4);
    const uint64_t ce_count = take(&at, 4);
    for (size_t left = (size_t)take(&at, 1); left > 0; left--) {
        const uint64_t last = take(&at, 4);
        const uint64_t length = take(&at, 4);
        newest = most(newest, last);
        acked_count += take_range(t, last + 1 - length, last, in->time_ns);
    }
    for (uint64_t chunk = tx->base; chunk < next_chunk; chunk++) {
        mark_acked(tx, chunk);
    }
    if (ce_count > t->event.ce_count) { /* a router says: before I must drop, slow down */
        t->event.ce_count = ce_count;
        slow_down(tx, newest);
    }
    if (acked_count > 0) {
        tx->backoff = 0;
    }
    settle(t, newest);
}

/* ---- packets --------------------------------------------------------------------------------- */

/* Whether a packet may leave, but for the pace. */
static bool can_send(const struct transfer *t)
{
    const struct sender *tx = t->tx;
    const uint64_t end = least(tx->base + WINDOW_CHUNKS, t->chunk_count);
    uint64_t chunk = tx->search;
    while (chunk < end && tx->chunk[chunk % WINDOW_CHUNKS] != CHUNK_WAITING) {
        chunk++;
    }
    return chunk < end && tx->underway < tx->window && tx->next - tx->oldest < UNDERWAY_MAX &&
           tx->next < UINT32_MAX;
}

/* Writes one packet of what waits first, of which there is something. Returns its bytes. */
static size_t write_data(struct transfer *t, uint8_t *at, uint64_t time_ns)
{
    struct sender *tx = t->tx;
    uint8_t *const begin = at;
    const uint64_t end = least(tx->base + WINDOW_CHUNKS, t->chunk_count);
    while (tx->chunk[tx->search % WINDOW_CHUNKS] != CHUNK_WAITING) {
        tx->search++;
    }
    const uint64_t first = tx->search;
    while (tx->search < end && tx->search < first + tx->packet_chunks &&
           tx->chunk[tx->search % WINDOW_CHUNKS] == CHUNK_WAITING) {
        tx->chunk[tx->search++ % WINDOW_CHUNKS] = CHUNK_UNDERWAY;
    }
    const uint64_t bytes = bytes_of(t, first, tx->search - first);
    put(&at, TYPE_DATA, 1);
    put(&at, t->id, 8);
    put(&at, tx->next, 4);
    put(&at, t->event.bytes, 8);
    put(&at, first, 4);
    if (bytes > 0) {
        memcpy(at, tx->data + first * CHUNK_BYTES, (size_t)bytes);
    }
    tx->sent[tx->next++ % UNDERWAY_MAX] =
        (struct sent){ time_ns, first, (uint32_t)(tx->search - first), true };
    tx->underway++;
    t->event.packet_count++;
    return (size_t)(at - begin) + (size_t)bytes;
}

bool sender_write(struct transfer *t, struct engine_packet *out, uint64_t now_ns)
{
    struct sender *tx = t->tx;
    const size_t full = DATA_HEAD_BYTES + (size_t)tx->packet_chunks * CHUNK_BYTES;
    const uint64_t time_ns = most(tx->pace_ns, now_ns);
    const uint64_t packets_max = least(tx->window / 4 + 1, TRAIN_PACKETS_MAX);
    uint64_t packet_count = 0;
    size_t count = 0;
    if (time_ns - now_ns > AHEAD_NS) {
        return false;
    }
    while (packet_count < packets_max && out->count - count >= full &&
           count == packet_count * full && can_send(t)) {
        count += write_data(t, out->bytes + count, time_ns);
        packet_count++;
    }
    if (packet_count == 0) {
        return false;
    }
    out->segment_bytes = packet_count > 1 ? full : 0;
    out->count = count;
    out->time_ns = time_ns;
    out->ecn = ENGINE_ECN_ECT0;
    tx->last_sent_ns = time_ns;
    /* A window goes out within four fifths of a round trip. The first one goes at once: how long
     * one takes is not known yet. */
    const uint64_t spread_ns = packet_count * (tx->rtt_ns * 4 / 5) / tx->window;
    tx->pace_ns = time_ns + (tx->is_measured ? spread_ns : 0);
    return true;
}

/* When all that is under way will be taken for lost. */
static uint64_t retransmit_ns(const struct sender *tx)
{
    const uint64_t timeout_ns = tx->rtt_ns + 4 * tx->rtt_var_ns;
    return tx->last_sent_ns + (most(timeout_ns, TIMEOUT_LEAST_NS) << tx->backoff);
}

static void retransmit(struct transfer *t)
{
    struct sender *tx = t->tx;
    for (uint64_t n = tx->oldest; n < tx->next; n++) {
        if (tx->sent[n % UNDERWAY_MAX].is_underway) {
            lose_packet(t, &tx->sent[n % UNDERWAY_MAX]);
        }
    }
    tx->oldest = tx->next;
    tx->recovery_end = tx->next;
    if (tx->backoff == 0) {
        tx->slow_start_end = most(tx->window / 2, WINDOW_LEAST);
    }
    tx->window = WINDOW_LEAST;
    tx->backoff += tx->backoff < BACKOFF_MAX;
}

uint64_t sender_deadline(const struct transfer *t)
{
    const struct sender *tx = t->tx;
    const uint64_t retry_ns = tx->underway > 0 ? retransmit_ns(tx) : ENGINE_NEVER;
    const uint64_t send_ns = tx->pace_ns - least(tx->pace_ns, AHEAD_NS);
    return can_send(t) ? least(retry_ns, send_ns) : retry_ns;
}

void sender_expire(struct transfer *t, uint64_t now_ns)
{
    if (t->tx->underway > 0 && retransmit_ns(t->tx) <= now_ns) {
        retransmit(t);
    }
}

/* What was too big is sent anew, and is no sign of congestion. */
void sender_narrow(struct transfer *t, uint32_t path_mtu)
{
    struct sender *tx = t->tx;
    const uint32_t heads = IP_UDP_BYTES + DATA_HEAD_BYTES;
    uint32_t chunks = path_mtu > heads ? (path_mtu - heads) / CHUNK_BYTES : tx->packet_chunks - 1;
    chunks = chunks > 0 ? chunks : 1;
    if (chunks >= tx->packet_chunks) {
        return;
    }
    tx->packet_chunks = chunks;
    for (uint64_t n = tx->oldest; n < tx->next; n++) {
        struct sent *sent = &tx->sent[n % UNDERWAY_MAX];
        if (sent->is_underway && sent->count > chunks) {
            lose_packet(t, sent);
        }
    }
}
