/* SPDX-License-Identifier: MIT
 *
 * The model of a link: see kirim/link.h.
 *
 * Every decision is drawn for the ordinal whether or not another one has already struck, and what
 * has a memory (bursts, the queue) goes on in the same way whatever the others decide: so a fault
 * taken away leaves all other decisions as they were. The queue stands before the line that loses,
 * for the same reason: what is lost on the line has taken its time. Owns nothing. One thread at a
 * time.
 */
#include <kirim/link.h>

#include <string.h>

#include "draw.h"
#include "growth.h"

enum { MILLION = 1000000, MTU_MIN = 576, CE = 3 };

/* Bit-nanoseconds of a byte at one bit a second. */
#define BYTE_NS UINT64_C(8000000000)

/* Longest delay, jitter and reordering delay: the sum of all fits a clock of 64 bits. */
#define TIME_NS_MAX  (UINT64_C(1) << 60)
#define QUEUE_MAX    (UINT32_MAX >> 1)
#define LAST_INSTANT (KIRIM_NEVER - 1)

/* ---- rules ----------------------------------------------------------------------------------- */

static bool has_good_times(const struct kirim_link_rules *r)
{
    return r->delay_ns <= TIME_NS_MAX && r->jitter_ns <= TIME_NS_MAX &&
           r->reorder_ns <= TIME_NS_MAX;
}

static bool has_good_odds(const struct kirim_link_rules *r)
{
    return r->loss_ppm <= MILLION && r->duplicate_ppm <= MILLION && r->reorder_ppm <= MILLION &&
           r->corrupt_ppm <= MILLION && r->burst_ppm <= MILLION && r->burst_end_ppm <= MILLION &&
           r->burst_loss_ppm <= MILLION && (r->burst_ppm == 0 || r->burst_end_ppm != 0);
}

static bool has_good_sizes(const struct kirim_link_rules *r)
{
    return (r->mtu == 0 || r->mtu >= MTU_MIN) && r->mtu_action <= KIRIM_LINK_MTU_FRAGMENT &&
           r->queue_bytes <= QUEUE_MAX && r->mark_bytes <= QUEUE_MAX &&
           r->corrupt_action <= KIRIM_LINK_CORRUPT_DELIVER && r->flip_count <= KIRIM_LINK_FLIP_MAX;
}

kirim_err kirim_link_check(const struct kirim_link_rules *rules)
{
    struct kirim_link_rules r;
    if (rules == NULL || !ki_grown_copy(&r, sizeof r, rules, rules->size, sizeof r) ||
        !has_good_times(&r) || !has_good_odds(&r) || !has_good_sizes(&r)) {
        return KIRIM_EINVAL;
    }
    return KIRIM_OK;
}

/* ---- chance ---------------------------------------------------------------------------------- */

static bool strikes(const struct kirim_link *link, uint64_t kind, uint32_t ppm)
{
    return ppm != 0 && ki_scale(ki_draw(link->key, kind, link->ordinal), MILLION - 1) < ppm;
}

static uint64_t jitter(const struct kirim_link *link, uint64_t kind, uint64_t most_ns)
{
    return most_ns == 0 ? 0 : ki_scale(ki_draw(link->key, kind, link->ordinal), most_ns);
}

/* The chain of two states: one draw for each datagram says whether it changes. */
static void pass_burst(struct kirim_link *link, const struct kirim_link_rules *rules)
{
    if (rules->burst_ppm == 0) {
        link->is_in_burst = 0;
        return;
    }
    const uint32_t ppm = link->is_in_burst != 0 ? rules->burst_end_ppm : rules->burst_ppm;
    link->is_in_burst ^= strikes(link, KI_DRAW_BURST, ppm) ? 1U : 0U;
}

/* Which bits are flipped, all of them different. */
static void draw_flips(const struct kirim_link *link, const struct kirim_link_rules *rules,
                       uint32_t bytes, struct kirim_link_fate *out)
{
    const uint64_t bits = (uint64_t)bytes * 8;
    const uint32_t wanted = rules->flip_count != 0 ? rules->flip_count : 1;
    while (out->flip_count < wanted && out->flip_count < bits) {
        const uint64_t kind = KI_DRAW_CORRUPT_BIT + (uint64_t)out->flip_count;
        uint64_t bit = ki_scale(ki_draw(link->key, kind, link->ordinal), bits - 1);
        for (uint32_t i = 0; i < out->flip_count; i++) {
            if (out->flip[i] == bit) { /* the next one that is free: look from the beginning */
                bit = bit + 1 < bits ? bit + 1 : 0;
                i = UINT32_MAX;
            }
        }
        out->flip[out->flip_count] = (uint32_t)bit;
        out->flip_count++;
    }
}

/* ---- the queue ------------------------------------------------------------------------------- */

static uint64_t later(uint64_t time_ns, uint64_t delay_ns)
{
    return time_ns < LAST_INSTANT - delay_ns ? time_ns + delay_ns : LAST_INSTANT;
}

/* How long so many bytes take; the largest product fits 64 bits. */
static uint64_t sending_ns(const struct kirim_link_rules *rules, uint64_t bytes)
{
    const uint64_t product = bytes * BYTE_NS;
    return product / rules->rate_bps + (product % rules->rate_bps != 0 ? 1 : 0);
}

/* Puts the datagram into the queue: whether it is carried, when it has left, how it is marked. */
static uint32_t enqueue(struct kirim_link *link, const struct kirim_link_rules *rules,
                        const struct kirim_link_datagram *d, struct kirim_link_fate *out)
{
    out->leave_ns = d->time_ns;
    out->ecn = d->ecn;
    if (rules->rate_bps == 0) {
        return KIRIM_LINK_CARRIED;
    }
    const uint64_t waiting_ns = link->free_ns > d->time_ns ? link->free_ns - d->time_ns : 0;
    const uint64_t own_ns = sending_ns(rules, (uint64_t)d->bytes + d->header_bytes);
    if (rules->queue_bytes != 0 && waiting_ns > 0) {
        const uint64_t room_ns = sending_ns(rules, rules->queue_bytes);
        if (own_ns > room_ns || waiting_ns > room_ns - own_ns) {
            return KIRIM_LINK_FULL;
        }
    }
    if (rules->mark_bytes != 0 && waiting_ns > sending_ns(rules, rules->mark_bytes)) {
        if (d->ecn == 0) {
            return KIRIM_LINK_CONGESTED;
        }
        out->ecn = CE;
    }
    link->free_ns = later(d->time_ns + waiting_ns, own_ns);
    out->leave_ns = link->free_ns;
    return KIRIM_LINK_CARRIED;
}

/* ---- sending --------------------------------------------------------------------------------- */

uint32_t kirim_link_fit(const struct kirim_link_rules *rules, const struct kirim_link_datagram *d)
{
    const uint64_t whole = (uint64_t)d->bytes + d->header_bytes;
    if (rules->mtu == 0 || whole <= rules->mtu) {
        return KIRIM_LINK_CARRIED;
    }
    switch (rules->mtu_action) {
    case KIRIM_LINK_MTU_REPORT:
        return KIRIM_LINK_REPORTED;
    case KIRIM_LINK_MTU_BLACK_HOLE:
        return KIRIM_LINK_TOO_LARGE;
    case KIRIM_LINK_MTU_FRAGMENT:
        return d->is_whole ? KIRIM_LINK_REFUSED : KIRIM_LINK_CARRIED;
    default:
        return KIRIM_LINK_REFUSED;
    }
}

/* What the line does with a datagram that has left the queue. */
static uint32_t cross(const struct kirim_link *link, const struct kirim_link_rules *rules,
                      const struct kirim_link_datagram *d, struct kirim_link_fate *out)
{
    out->is_in_burst = link->is_in_burst != 0;
    if (strikes(link, KI_DRAW_LOSS, rules->loss_ppm)) {
        return KIRIM_LINK_LOST;
    }
    if (link->is_in_burst != 0 && strikes(link, KI_DRAW_BURST_LOSS, rules->burst_loss_ppm)) {
        return KIRIM_LINK_BURST;
    }
    if (strikes(link, KI_DRAW_CORRUPT, rules->corrupt_ppm)) {
        draw_flips(link, rules, d->bytes, out);
        /* An empty datagram has no bits but those of its headers: those are always found. */
        if (rules->corrupt_action == KIRIM_LINK_CORRUPT_DROP || d->bytes == 0) {
            return KIRIM_LINK_CORRUPTED;
        }
    }
    return KIRIM_LINK_CARRIED;
}

/* One copy arrives. What is not reordered arrives in the order of leaving. */
static void arrive(struct kirim_link *link, struct kirim_link_fate *out, uint64_t delay_ns,
                   uint64_t reorder_ns)
{
    uint64_t arrival_ns = later(out->leave_ns, delay_ns);
    if (arrival_ns < link->last_arrival_ns) {
        arrival_ns = link->last_arrival_ns;
    }
    if (reorder_ns == 0) {
        link->last_arrival_ns = arrival_ns;
    }
    out->arrival_ns[out->copy_count] = later(arrival_ns, reorder_ns);
    out->copy_count++;
}

static void deliver(struct kirim_link *link, const struct kirim_link_rules *rules,
                    struct kirim_link_fate *out)
{
    out->is_reordered = strikes(link, KI_DRAW_REORDER, rules->reorder_ppm);
    arrive(link, out, rules->delay_ns + jitter(link, KI_DRAW_JITTER, rules->jitter_ns),
           out->is_reordered ? rules->reorder_ns : 0);
    if (strikes(link, KI_DRAW_DUPLICATE, rules->duplicate_ppm)) {
        arrive(link, out, rules->delay_ns + jitter(link, KI_DRAW_COPY_JITTER, rules->jitter_ns), 0);
    }
}

void kirim_link_send(struct kirim_link *link, const struct kirim_link_rules *rules,
                     const struct kirim_link_datagram *datagram, struct kirim_link_fate *out)
{
    *out = (struct kirim_link_fate){ .outcome = kirim_link_fit(rules, datagram),
                                     .leave_ns = datagram->time_ns,
                                     .ecn = datagram->ecn };
    if (out->outcome == KIRIM_LINK_REFUSED) {
        return;
    }
    pass_burst(link, rules);
    if (rules->is_down) {
        out->outcome = KIRIM_LINK_DOWN;
    } else if (out->outcome == KIRIM_LINK_REPORTED) {
        out->arrival_ns[0] = later(datagram->time_ns, rules->delay_ns);
    } else if (out->outcome == KIRIM_LINK_CARRIED) {
        out->outcome = enqueue(link, rules, datagram, out);
        if (out->outcome == KIRIM_LINK_CARRIED) {
            out->outcome = cross(link, rules, datagram, out);
        }
        if (out->outcome == KIRIM_LINK_CARRIED) {
            deliver(link, rules, out);
        }
    }
    link->ordinal++;
}

/* ---- the rest -------------------------------------------------------------------------------- */

uint64_t kirim_link_key(uint64_t seed, const char *from, const char *to)
{
    return ki_path_key(ki_party_key(seed, from), ki_party_key(seed, to));
}

void kirim_link_init(struct kirim_link *link, uint64_t key)
{
    *link = (struct kirim_link){ .key = key };
}

void kirim_link_corrupt(const struct kirim_link_fate *fate, uint8_t *data)
{
    for (uint32_t i = 0; i < fate->flip_count; i++) {
        data[fate->flip[i] / 8] ^= (uint8_t)(1U << fate->flip[i] % 8);
    }
}

const char *kirim_link_outcome_text(uint32_t outcome)
{
    static const char *const text[] = {
        [KIRIM_LINK_CARRIED] = "carried",
        [KIRIM_LINK_REFUSED] = "refused: larger than the MTU",
        [KIRIM_LINK_DOWN] = "lost: the link is down",
        [KIRIM_LINK_TOO_LARGE] = "lost: larger than the MTU",
        [KIRIM_LINK_REPORTED] = "lost and reported: larger than the MTU",
        [KIRIM_LINK_FULL] = "lost: the queue is full",
        [KIRIM_LINK_CONGESTED] = "lost: the queue marks, and it does not say ECT",
        [KIRIM_LINK_LOST] = "lost",
        [KIRIM_LINK_BURST] = "lost in a burst",
        [KIRIM_LINK_CORRUPTED] = "lost: a bit was flipped",
    };
    return outcome < sizeof text / sizeof text[0] ? text[outcome] : "unknown";
}
