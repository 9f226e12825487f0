/* SPDX-License-Identifier: MIT
 *
 * Packets under way: which were acknowledged, which are lost, when to probe. Only packets that ask
 * for an acknowledgement are kept, in a ring by number. One thread. Source: RFC 9002 sections 5, 6
 * and 7.6, whose names these are.
 */
#include "parts.h"

enum {
    ROOM_MIN = 32,
    ROOM_MAX = 16384,
    ROOM_OF_PROBES = 1024, /* of those: were all lost, only a probe could tell */
    PACKET_THRESHOLD = 3,
    PROBES = 2,          /* packets that leave at a probe timeout */
    BLACK_HOLE_PTO = 2,  /* probe timeouts in a row that say so */
    BLACK_HOLE_LOST = 8, /* or so many lost long packets */
    BACKOFF_MAX = 10,
    PROBES_IN_SILENCE = 4, /* a silence that ends the connection is probed so often, at the least */
    PERSISTENT = 3         /* probe timeouts */
};

static const uint64_t GRANULARITY_NS = 1000000;
static const uint64_t PTO_FIRST_NS = 1000000000;
static const uint64_t PTO_NS_MAX = UINT64_C(60000000000);
static const uint64_t NS_PER_US = 1000;

static struct ki_channel_sent *sent_at(const struct ki_channel_recovery *r, uint32_t index)
{
    return &r->ring[(r->first + index) & (r->room - 1)];
}

kirim_err ki_channel_recovery_init(struct kirim_channel *ch)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    const struct kirim_rtt_options options = { PTO_FIRST_NS, GRANULARITY_NS, PTO_NS_MAX,
                                               GRANULARITY_NS };
    r->loss_ns = KIRIM_NEVER;
    r->least_ns = KIRIM_NEVER;
    return kirim_rtt_init(&r->rtt, &options);
}

/* ---- records --------------------------------------------------------------------------------- */

struct ki_channel_record *ki_channel_record_new(struct kirim_channel *ch, uint32_t kind)
{
    struct ki_channel_record *record = ch->recovery.free_records;
    if (record != NULL) {
        ch->recovery.free_records = record->next;
        memset(record, 0, sizeof *record);
    } else {
        record = ki_channel_new(ch, sizeof *record);
    }
    if (record != NULL) {
        record->kind = kind;
    }
    return record;
}

void ki_channel_record_free(struct kirim_channel *ch, struct ki_channel_record *record)
{
    record->next = ch->recovery.free_records;
    ch->recovery.free_records = record;
}

void ki_channel_recovery_free(struct kirim_channel *ch)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    for (uint32_t i = 0; i < r->count; i++) {
        struct ki_channel_sent *const s = sent_at(r, i);
        while (s->records != NULL) {
            struct ki_channel_record *const record = s->records;
            s->records = record->next;
            ki_channel_send_drop(ch, record);
        }
    }
    ki_channel_delete(ch, r->ring, r->room * sizeof *r->ring);
    r->ring = NULL;
    r->room = r->count = 0;
}

void ki_channel_records_free(struct kirim_channel *ch)
{
    while (ch->recovery.free_records != NULL) {
        struct ki_channel_record *const record = ch->recovery.free_records;
        ch->recovery.free_records = record->next;
        ki_channel_delete(ch, record, sizeof *record);
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

bool ki_channel_recovery_reserve(struct kirim_channel *ch)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    if (r->probe_count == 0 && r->count >= ROOM_MAX - ROOM_OF_PROBES) {
        return false;
    }
    if (r->count < r->room) {
        return true;
    }
    const uint32_t room = r->room == 0 ? ROOM_MIN : 2 * r->room;
    struct ki_channel_sent *const ring =
        room <= ROOM_MAX ? ki_channel_new(ch, room * sizeof *ring) : NULL;
    if (ring == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        ring[i] = *sent_at(r, i);
    }
    ki_channel_delete(ch, r->ring, r->room * sizeof *r->ring);
    r->ring = ring;
    r->room = room;
    r->first = 0;
    return true;
}

void ki_channel_recovery_sent(struct kirim_channel *ch, const struct ki_channel_sent *sent)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    *sent_at(r, r->count) = *sent;
    r->count++;
    r->open_count++;
    r->flight_bytes += sent->bytes;
    r->last_ns = sent->time_ns;
    r->probe_count -= r->probe_count > 0 ? 1 : 0;
    ki_channel_congestion_sent(ch, sent);
}

/* ---- times ----------------------------------------------------------------------------------- */

static uint64_t variation_ns(const struct kirim_rtt *rtt)
{
    return 4 * rtt->variation_ns > GRANULARITY_NS ? 4 * rtt->variation_ns : GRANULARITY_NS;
}

uint64_t ki_channel_pto_ns(const struct kirim_channel *ch)
{
    const struct kirim_rtt *const rtt = &ch->recovery.rtt;
    if (rtt->smoothed_ns == 0) {
        return PTO_FIRST_NS;
    }
    return rtt->smoothed_ns + variation_ns(rtt) +
           ch->peer_params.ack_delay_ms * KI_CHANNEL_NS_PER_MS;
}

/* Backed off, but not so far that a path that is back is found too late for the connection: that
 * ends by silence, and so does the row of probes. Never less than what was not backed off, since a
 * round trip may be longer than a part of the silence. */
static uint64_t backed_off_ns(const struct kirim_channel *ch)
{
    const struct ki_channel_recovery *const r = &ch->recovery;
    const uint32_t backoff = r->pto_count < BACKOFF_MAX ? r->pto_count : BACKOFF_MAX;
    const uint64_t base_ns = ki_channel_pto_ns(ch);
    const uint64_t part_ns = ch->peer_params.idle_ms * KI_CHANNEL_NS_PER_MS / PROBES_IN_SILENCE;
    const uint64_t most_ns = part_ns < PTO_NS_MAX ? part_ns : PTO_NS_MAX;
    if (base_ns >= most_ns) {
        return base_ns;
    }
    const uint64_t pto_ns = base_ns << backoff;
    return pto_ns < most_ns ? pto_ns : most_ns;
}

uint64_t ki_channel_recovery_deadline(const struct kirim_channel *ch)
{
    const struct ki_channel_recovery *const r = &ch->recovery;
    if (r->open_count == 0) {
        return KIRIM_NEVER;
    }
    if (r->loss_ns != KIRIM_NEVER) {
        return r->loss_ns;
    }
    return r->last_ns + backed_off_ns(ch);
}

static void take_sample(struct kirim_channel *ch, const struct kirim_channel_frame *f,
                        uint64_t sent_ns, uint64_t now_ns)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    const uint64_t sample_ns = now_ns > sent_ns ? now_ns - sent_ns : 1;
    const uint64_t most_us = (uint64_t)ch->peer_params.ack_delay_ms * 1000;
    const uint64_t delay_ns = (f->ack.delay_us < most_us ? f->ack.delay_us : most_us) * NS_PER_US;
    r->least_ns = sample_ns < r->least_ns ? sample_ns : r->least_ns;
    r->first_ns = r->rtt.smoothed_ns == 0 ? now_ns : r->first_ns;
    kirim_rtt_sample(&r->rtt,
                     sample_ns >= r->least_ns + delay_ns ? sample_ns - delay_ns : sample_ns);
}

/* ---- what became of a packet ----------------------------------------------------------------- */

static void close_sent(struct ki_channel_recovery *r, struct ki_channel_sent *s)
{
    s->flags |= KI_CHANNEL_SENT_OVER;
    r->flight_bytes -= s->bytes;
    r->open_count--;
}

static void forget_first(struct ki_channel_recovery *r)
{
    while (r->count > 0 && (sent_at(r, 0)->flags & KI_CHANNEL_SENT_OVER) != 0) {
        r->first = (r->first + 1) & (r->room - 1);
        r->count--;
    }
    if (r->open_count == 0) {
        r->loss_ns = KIRIM_NEVER;
    }
}

static void acknowledge(struct kirim_channel *ch, struct ki_channel_sent *s, uint64_t now_ns)
{
    close_sent(&ch->recovery, s);
    if ((s->flags & KI_CHANNEL_SENT_PROBE) != 0) {
        kirim_pmtu_acknowledge(&ch->pmtu, s->bytes, now_ns);
    }
    if (s->bytes > KI_CHANNEL_BASE_BYTES && s->number > ch->recovery.large_acked) {
        ch->recovery.large_lost = 0;
        ch->recovery.large_acked = s->number;
    }
    ki_channel_congestion_acked(ch, s);
    while (s->records != NULL) {
        struct ki_channel_record *const record = s->records;
        s->records = record->next;
        if (record->kind == KI_CHANNEL_RECORD_PART) {
            ki_channel_send_acked(ch, record);
            continue;
        }
        if (record->kind == KI_CHANNEL_RECORD_ACK) {
            ki_channel_acks_forget(&ch->acks, record->number);
        }
        ki_channel_record_free(ch, record);
    }
}

/* What a packet carried is to be sent anew. */
static void requeue(struct kirim_channel *ch, struct ki_channel_sent *s)
{
    while (s->records != NULL) {
        struct ki_channel_record *const record = s->records;
        s->records = record->next;
        if (record->kind == KI_CHANNEL_RECORD_PART) {
            ki_channel_send_lost(ch, record);
            continue;
        }
        if (record->kind == KI_CHANNEL_RECORD_MAX_DATA) {
            ch->owes_max_data = true;
        } else if (record->kind == KI_CHANNEL_RECORD_MAX_STREAM) {
            ch->in[record->number]->owes_limit = true;
        }
        ki_channel_record_free(ch, record);
    }
}

static void fall_back(struct kirim_channel *ch, uint64_t now_ns)
{
    ch->recovery.large_lost = 0;
    if (ch->pmtu.plpmtu_bytes > ch->pmtu_options.base_bytes) {
        kirim_pmtu_black_hole(&ch->pmtu, now_ns);
        ch->stats.black_holes++;
    }
}

static void lose(struct kirim_channel *ch, struct ki_channel_sent *s, uint64_t now_ns)
{
    close_sent(&ch->recovery, s);
    ch->stats.tx_lost++;
    if ((s->flags & KI_CHANNEL_SENT_PROBE) != 0) {
        kirim_pmtu_lose(&ch->pmtu, s->bytes, now_ns);
    } else if (s->bytes > KI_CHANNEL_BASE_BYTES && s->number > ch->recovery.large_acked) {
        /* An acknowledged one of a higher number shows that such lengths get through: what was lost
         * before it, a full queue has dropped. */
        ch->recovery.large_lost++;
    }
    if ((s->flags & KI_CHANNEL_SENT_ECT) != 0) {
        ki_channel_congestion_ecn_lost(ch);
    }
    requeue(ch, s);
}

/* ---- loss ------------------------------------------------------------------------------------ */

/* Neighbours that were lost together: RFC 9002 section 7.6. */
struct run {
    uint64_t from_ns;
    bool is_open;
};

static bool is_persistent(const struct kirim_channel *ch, const struct run *run, uint64_t time_ns)
{
    const struct kirim_rtt *const rtt = &ch->recovery.rtt;
    const uint64_t duration_ns = (rtt->smoothed_ns + variation_ns(rtt) +
                                  ch->peer_params.ack_delay_ms * KI_CHANNEL_NS_PER_MS) *
                                 PERSISTENT;
    return run->is_open && rtt->smoothed_ns != 0 && run->from_ns > ch->recovery.first_ns &&
           time_ns - run->from_ns > duration_ns;
}

static void detect_lost(struct kirim_channel *ch, uint64_t now_ns)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    const uint64_t rtt_ns =
        r->rtt.smoothed_ns > r->rtt.latest_ns ? r->rtt.smoothed_ns : r->rtt.latest_ns;
    const uint64_t delay_ns = rtt_ns / 8 * 9 > GRANULARITY_NS ? rtt_ns / 8 * 9 : GRANULARITY_NS;
    struct run run = { 0, false };
    uint64_t lost_ns = 0;
    bool has_lost = false;
    bool has_persisted = false;
    r->loss_ns = KIRIM_NEVER;
    for (uint32_t i = 0; r->has_acked && i < r->count; i++) {
        struct ki_channel_sent *const s = sent_at(r, i);
        if (s->number > r->largest_acked) {
            break;
        }
        if ((s->flags & KI_CHANNEL_SENT_OVER) != 0) {
            run.is_open = false;
            continue;
        }
        if (r->largest_acked - s->number < PACKET_THRESHOLD && s->time_ns + delay_ns > now_ns) {
            const uint64_t due_ns = s->time_ns + delay_ns;
            r->loss_ns = due_ns < r->loss_ns ? due_ns : r->loss_ns;
            run.is_open = false;
            continue;
        }
        if ((s->flags & KI_CHANNEL_SENT_PROBE) == 0) {
            has_persisted = has_persisted || is_persistent(ch, &run, s->time_ns);
            run = run.is_open ? run : (struct run){ s->time_ns, true };
            lost_ns = s->time_ns;
            has_lost = true;
        }
        lose(ch, s, now_ns);
    }
    if (has_lost && ki_channel_congestion_event(ch, lost_ns, now_ns) && has_persisted) {
        ki_channel_congestion_persistent(ch);
    }
    if (r->large_lost >= BLACK_HOLE_LOST) {
        fall_back(ch, now_ns);
    }
    forget_first(r);
}

/* ---- acknowledgements ------------------------------------------------------------------------ */

/* How many packets of the ring have numbers below `end`. */
static uint32_t count_below(const struct ki_channel_recovery *r, uint64_t end)
{
    uint32_t low = 0;
    uint32_t high = r->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (sent_at(r, middle)->number < end) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* What an ACK has told that was not known. */
struct news {
    uint64_t count;
    uint64_t marked;
    uint64_t largest_ns; /* when the largest number of it left */
    bool has_largest;
};

static void acknowledge_range(struct kirim_channel *ch, const struct kirim_channel_range *range,
                              uint64_t largest, struct news *news, uint64_t now_ns)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    for (uint32_t i = count_below(r, range->end); i-- > 0;) {
        struct ki_channel_sent *const s = sent_at(r, i);
        if (s->number < range->first) {
            break;
        }
        if ((s->flags & KI_CHANNEL_SENT_OVER) != 0) {
            continue;
        }
        news->count++;
        news->marked += (s->flags & KI_CHANNEL_SENT_ECT) != 0 ? 1 : 0;
        news->has_largest = news->has_largest || s->number == largest;
        news->largest_ns = s->time_ns > news->largest_ns ? s->time_ns : news->largest_ns;
        acknowledge(ch, s, now_ns);
    }
}

bool ki_channel_recovery_ack(struct kirim_channel *ch, const struct kirim_channel_frame *f,
                             uint64_t now_ns)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    const uint64_t largest = f->ack.range[0].end - 1;
    struct news news = { 0, 0, 0, false };
    if (largest >= ch->next_number) {
        return false;
    }
    for (size_t i = 0; ch->left_out > 0 && i < f->ack.range_count; i++) {
        if (f->ack.range[i].first <= ch->left_out && ch->left_out < f->ack.range[i].end) {
            return false;
        }
    }
    const bool is_highest = !r->has_acked || largest > r->largest_acked;
    for (size_t i = 0; i < f->ack.range_count; i++) {
        acknowledge_range(ch, &f->ack.range[i], largest, &news, now_ns);
    }
    r->largest_acked = is_highest ? largest : r->largest_acked;
    r->has_acked = true;
    if (news.has_largest) {
        take_sample(ch, f, news.largest_ns, now_ns);
    }
    if (is_highest && ki_channel_congestion_ecn(ch, f, news.marked) &&
        ki_channel_congestion_event(ch, news.largest_ns, now_ns)) {
        ch->stats.congestion_ce++;
    }
    if (news.count > 0) {
        r->pto_count = 0;
        r->probe_count = 0;
        r->owes_lone_ping = false;
        detect_lost(ch, now_ns);
    }
    return true;
}

/* ---- timeouts -------------------------------------------------------------------------------- */

/* What the oldest packets carried is to be sent once more. */
static void probe(struct kirim_channel *ch)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    uint32_t again = 0;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < r->count && seen < PROBES; i++) {
        const struct ki_channel_sent *const s = sent_at(r, i);
        if ((s->flags & KI_CHANNEL_SENT_OVER) != 0) {
            continue;
        }
        seen++;
        for (const struct ki_channel_record *x = s->records; x != NULL; x = x->next) {
            if (x->kind == KI_CHANNEL_RECORD_PART) {
                again += ki_channel_send_again(ch, x) ? 1 : 0;
            } else if (x->kind == KI_CHANNEL_RECORD_MAX_DATA) {
                ch->owes_max_data = true;
                again++;
            } else if (x->kind == KI_CHANNEL_RECORD_MAX_STREAM) {
                ch->in[x->number]->owes_limit = true;
                again++;
            }
        }
    }
    r->probe_count = PROBES;
    /* What the peer refuses for want of room is never acknowledged, and neither is what is too long
     * for the path: a PING is, and tells that the rest is lost. */
    r->owes_lone_ping = r->pto_count > 1;
    ch->owes_ping = ch->owes_ping || again == 0;
}

void ki_channel_recovery_expire(struct kirim_channel *ch, uint64_t now_ns)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    if (ki_channel_recovery_deadline(ch) > now_ns) {
        return;
    }
    if (r->loss_ns <= now_ns) {
        detect_lost(ch, now_ns);
        return;
    }
    r->pto_count++;
    ch->stats.timeouts++;
    if (r->pto_count >= BLACK_HOLE_PTO) {
        fall_back(ch, now_ns);
    }
    probe(ch);
    r->last_ns = now_ns; /* the next one is a whole timeout away, even if nothing could leave */
}

void ki_channel_recovery_restart(struct kirim_channel *ch, uint64_t now_ns)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    (void)now_ns;
    for (uint32_t i = 0; i < r->count; i++) {
        struct ki_channel_sent *const s = sent_at(r, i);
        if ((s->flags & KI_CHANNEL_SENT_OVER) == 0) {
            close_sent(r, s);
            requeue(ch, s);
        }
    }
    forget_first(r);
    kirim_rtt_reset(&r->rtt);
    r->least_ns = KIRIM_NEVER;
    r->pto_count = r->probe_count = r->large_lost = 0;
    r->owes_lone_ping = false;
}
