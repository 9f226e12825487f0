/* SPDX-License-Identifier: MIT
 *
 * How much may be under way, and how fast it leaves: NewReno in bytes, a pace, and whether the path
 * carries ECN. Integers only. One thread. Sources: RFC 9002 sections 7 and appendix B, RFC 9000
 * section 13.4.2, RFC 3168.
 */
#include "parts.h"

enum {
    WINDOW_DATAGRAMS = 10,
    WINDOW_BYTES = 14720,
    WINDOW_DATAGRAMS_MIN = 2,
    BURST_DATAGRAMS = 10,
    PACE_FACTOR = 5, /* quarters of a window in a round-trip time; twice that in slow start */
    PACE_PARTS = 4,
    PACE_PARTS_SLOW_START = 2,
    ECN_LOST_MAX = 10
};

/* Longer round-trip times are paced as this one, so that products fit. */
static const uint64_t PACED_RTT_NS_MAX = UINT64_C(1) << 33;

static uint64_t datagram_bytes(const struct kirim_channel *ch)
{
    return ki_channel_payload_bytes(ch);
}

static uint64_t least_window(const struct kirim_channel *ch)
{
    return WINDOW_DATAGRAMS_MIN * datagram_bytes(ch);
}

void ki_channel_congestion_restart(struct kirim_channel *ch, uint64_t now_ns)
{
    struct ki_channel_congestion *const c = &ch->congestion;
    const uint64_t ten = WINDOW_DATAGRAMS * datagram_bytes(ch);
    const uint64_t most = least_window(ch) > WINDOW_BYTES ? least_window(ch) : WINDOW_BYTES;
    c->window_bytes = ten < most ? ten : most;
    c->threshold_bytes = UINT64_MAX;
    c->grown_bytes = 0;
    c->has_reduced = false;
    c->is_full = false;
    c->budget_bytes = c->window_bytes;
    c->paced_ns = now_ns;
    c->ecn =
        (ch->options.flags & KIRIM_CHANNEL_NO_ECN) != 0 ? KI_CHANNEL_ECN_OFF : KI_CHANNEL_ECN_TRIED;
    c->ecn_lost = 0;
}

void ki_channel_congestion_init(struct kirim_channel *ch, uint64_t now_ns)
{
    memset(&ch->congestion, 0, sizeof ch->congestion);
    ki_channel_congestion_restart(ch, now_ns);
}

/* ---- the window ------------------------------------------------------------------------------ */

static bool is_slow_start(const struct ki_channel_congestion *c)
{
    return c->window_bytes < c->threshold_bytes;
}

void ki_channel_congestion_acked(struct kirim_channel *ch, const struct ki_channel_sent *sent)
{
    struct ki_channel_congestion *const c = &ch->congestion;
    const bool is_recovering = c->has_reduced && sent->time_ns <= c->reduced_ns;
    if (is_recovering || !c->is_full || c->window_bytes >= ch->options.window_bytes_max) {
        return;
    }
    if (is_slow_start(c)) {
        c->window_bytes += sent->bytes;
        return;
    }
    c->grown_bytes += sent->bytes;
    if (c->grown_bytes >= c->window_bytes) {
        c->grown_bytes -= c->window_bytes;
        c->window_bytes += datagram_bytes(ch);
    }
}

bool ki_channel_congestion_event(struct kirim_channel *ch, uint64_t sent_ns, uint64_t now_ns)
{
    struct ki_channel_congestion *const c = &ch->congestion;
    if (c->has_reduced && sent_ns <= c->reduced_ns) {
        return false;
    }
    c->has_reduced = true;
    c->reduced_ns = now_ns;
    c->window_bytes /= 2;
    if (c->window_bytes < least_window(ch)) {
        c->window_bytes = least_window(ch);
    }
    c->threshold_bytes = c->window_bytes;
    c->grown_bytes = 0;
    ch->stats.congestion++;
    return true;
}

void ki_channel_congestion_persistent(struct kirim_channel *ch)
{
    ch->congestion.window_bytes = least_window(ch);
    ch->congestion.has_reduced = false;
    ch->stats.congestion_persistent++;
}

/* ---- ECN ------------------------------------------------------------------------------------- */

static void fail_ecn(struct kirim_channel *ch)
{
    ch->congestion.ecn = KI_CHANNEL_ECN_FAILED;
    ch->stats.ecn_failed++;
}

static bool marks(const struct ki_channel_congestion *c)
{
    return c->ecn == KI_CHANNEL_ECN_TRIED || c->ecn == KI_CHANNEL_ECN_GOOD;
}

bool ki_channel_congestion_ecn(struct kirim_channel *ch, const struct kirim_channel_frame *f,
                               uint64_t marked_count)
{
    struct ki_channel_congestion *const c = &ch->congestion;
    if (!marks(c)) {
        return false;
    }
    if (f->type != KIRIM_CHANNEL_ACK_ECN) {
        if (marked_count > 0) {
            fail_ecn(ch);
        }
        return false;
    }
    const struct kirim_channel_ack *const ack = &f->ack;
    const bool is_lower = ack->ect0 < c->ecn_ect0 || ack->ce < c->ecn_ce;
    if (is_lower || ack->ect1 > 0 || ack->ect0 > c->ecn_sent || ack->ce > c->ecn_sent - ack->ect0 ||
        ack->ect0 - c->ecn_ect0 + (ack->ce - c->ecn_ce) < marked_count) {
        fail_ecn(ch);
        return false;
    }
    const bool has_new = ack->ce > c->ecn_ce;
    c->ecn_ect0 = ack->ect0;
    c->ecn_ce = ack->ce;
    c->ecn = marked_count > 0 ? KI_CHANNEL_ECN_GOOD : c->ecn;
    return has_new;
}

void ki_channel_congestion_ecn_lost(struct kirim_channel *ch)
{
    struct ki_channel_congestion *const c = &ch->congestion;
    c->ecn_lost++;
    if (c->ecn == KI_CHANNEL_ECN_TRIED && c->ecn_lost >= ECN_LOST_MAX) {
        fail_ecn(ch);
    }
}

/* ---- the pace -------------------------------------------------------------------------------- */

/* Bytes of so much time, at the pace. */
static uint64_t paced_bytes(const struct ki_channel_congestion *c, uint64_t time_ns,
                            uint64_t rtt_ns)
{
    const uint64_t parts = is_slow_start(c) ? PACE_PARTS_SLOW_START : PACE_PARTS;
    const uint64_t most_ns = time_ns < rtt_ns ? time_ns : rtt_ns;
    return c->window_bytes * PACE_FACTOR * most_ns / (rtt_ns * parts);
}

static uint64_t paced_rtt_ns(const struct kirim_channel *ch)
{
    const uint64_t rtt_ns = ch->recovery.rtt.smoothed_ns;
    return rtt_ns < PACED_RTT_NS_MAX ? rtt_ns : PACED_RTT_NS_MAX;
}

static void refill(struct kirim_channel *ch, uint64_t rtt_ns, uint64_t now_ns)
{
    struct ki_channel_congestion *const c = &ch->congestion;
    const uint64_t ten = BURST_DATAGRAMS * datagram_bytes(ch);
    const uint64_t burst = paced_bytes(c, ch->options.burst_ns, rtt_ns);
    const uint64_t most = burst > ten ? burst : ten;
    const uint64_t elapsed_ns = now_ns > c->paced_ns ? now_ns - c->paced_ns : 0;
    const uint64_t more = paced_bytes(c, elapsed_ns, rtt_ns);
    if (more > 0) {
        c->budget_bytes = c->budget_bytes + more < most ? c->budget_bytes + more : most;
        c->paced_ns = now_ns;
    }
}

bool ki_channel_congestion_may_send(struct kirim_channel *ch, size_t bytes, uint64_t now_ns)
{
    struct ki_channel_congestion *const c = &ch->congestion;
    const uint64_t rtt_ns = paced_rtt_ns(ch);
    if (ch->recovery.flight_bytes + bytes > c->window_bytes) {
        c->is_full = true;
        return false;
    }
    if (rtt_ns == 0) {
        return true;
    }
    refill(ch, rtt_ns, now_ns);
    if (c->budget_bytes >= bytes) {
        return true;
    }
    const uint64_t parts = is_slow_start(c) ? PACE_PARTS_SLOW_START : PACE_PARTS;
    const uint64_t missing = bytes - c->budget_bytes;
    ch->pace_ns = now_ns + missing * parts * rtt_ns / (PACE_FACTOR * c->window_bytes) + 1;
    c->is_full = true;
    return false;
}

void ki_channel_congestion_sent(struct kirim_channel *ch, const struct ki_channel_sent *sent)
{
    struct ki_channel_congestion *const c = &ch->congestion;
    c->budget_bytes -= sent->bytes < c->budget_bytes ? sent->bytes : c->budget_bytes;
    c->ecn_sent += (sent->flags & KI_CHANNEL_SENT_ECT) != 0 ? 1 : 0;
}
