/* SPDX-License-Identifier: MIT
 *
 * The scripted reactor's sending side: what it is given, what it takes, what flies and ends. See
 * scripted.h. The loop's thread.
 */
#include "scripted.h"

#include <string.h>

enum {
    STALE_BITS = 15 * KI_STALE_ONE,
    STATUS_KNOWN = KI_STATE | KI_LENT | KI_STORED | KI_RETRIED | KI_DONTROUTE | KI_COPIED |
                   KI_ALONE | KI_TRAIN_HEAD | KI_IN_TRAIN | STALE_BITS
};

#define RECORD_MARK 0x5c71ed00U

/* ---- looking at entries ---------------------------------------------------------------------- */

struct view {
    uint64_t digest; /* of the bytes one after the other */
    uint64_t bytes;
    uint32_t value;    /* of the first four */
    const void *first; /* where they lie */
};

static const struct kirim_buf *bufs_of(const struct ki_entry *e, struct kirim_buf *one)
{
    *one = (struct kirim_buf){ e->data, e->bytes };
    return e->buf_count == 1 ? one : e->data;
}

static struct view look_at(const struct ki_entry *e)
{
    struct kirim_buf one;
    const struct kirim_buf *buf = bufs_of(e, &one);
    struct view v = { .digest = ks_digest(NULL, 0) };
    for (uint32_t i = 0; i < e->buf_count; i++) {
        const uint8_t *at = buf[i].data;
        for (size_t k = 0; k < buf[i].bytes; k++, v.bytes++) {
            v.first = v.bytes == 0 ? at : v.first;
            v.value = v.bytes < KS_NUMBER_BYTES ? v.value << 8 | at[k] : v.value;
            v.digest = (v.digest ^ at[k]) * 1099511628211ULL;
        }
    }
    return v;
}

/* Lent bytes are still lent; other bytes do not lie in what is, unless they leave in this call. */
static void check_lending(struct script *s, const struct ki_entry *e, bool is_now)
{
    struct kirim_buf one;
    const struct kirim_buf *buf = bufs_of(e, &one);
    for (uint32_t i = 0; i < e->buf_count; i++) {
        if (buf[i].bytes > 0) {
            const struct script_lent *l = script_find_lent(s, buf[i].data);
            const bool is_lent = l != NULL && !l->is_back;
            const bool is_said = (e->status & KI_LENT) != 0;
            KS_CHECK(is_lent == is_said || (is_lent && is_now));
        }
    }
}

static void check_entry(struct script *s, const struct ki_entry *e, bool is_now)
{
    KS_EQ(KI_QUEUED, e->status & KI_STATE);
    KS_EQ(0, e->status & ~(uint32_t)STATUS_KNOWN);
    KS_CHECK(e->buf_count >= 1 && e->buf_count <= KIRIM_BUF_COUNT_MAX);
    KS_CHECK(e->data != NULL);
    KS_CHECK((e->status & (KI_LENT | KI_COPIED)) != (KI_LENT | KI_COPIED));
    KS_CHECK(e->control == NULL || e->control->size >= sizeof *e->control);
    check_lending(s, e, is_now);
    KS_EQ(e->bytes, look_at(e).bytes);
}

/* Adds to the pins of the buffers that an entry's bytes lie in. */
static void pin(struct script *s, const struct ki_entry *e, uint32_t by)
{
    struct kirim_buf one;
    const struct kirim_buf *buf = bufs_of(e, &one);
    for (uint32_t i = 0; (e->status & KI_LENT) != 0 && i < e->buf_count; i++) {
        struct script_lent *l = buf[i].bytes > 0 ? script_find_lent(s, buf[i].data) : NULL;
        if (l != NULL) {
            l->pin_count += by;
        }
    }
}

/* ---- submitting ------------------------------------------------------------------------------ */

/* How many of `n` are taken, and why not all. */
static uint32_t find_limit(const struct script_port *sp, uint32_t n, struct ki_refusal *why)
{
    const struct script_refusal *first = &sp->refusals[0];
    uint32_t limit = n;
    if (sp->refusal_count > 0 && first->skip < limit) {
        limit = first->skip;
        const uint32_t entries = first->entries != 0 ? first->entries : 1;
        *why = (struct ki_refusal){ first->err, first->code, entries, first->is_stale };
    }
    if (sp->room < limit) {
        limit = sp->room;
        *why = (struct ki_refusal){ KIRIM_EWOULDBLOCK, 11, n - limit, 0 };
    }
    return limit;
}

static void take(struct script_port *sp, struct ki_entry *e, uint64_t number)
{
    struct ki_port *p = sp->port;
    const struct view v = look_at(e);
    const bool is_now = (p->tx_flags & KI_TX_NOW) != 0;
    const bool is_flying = sp->fly_every != 0 && !is_now && sp->fly_turn++ % sp->fly_every == 0;
    sp->sent = script_grow(sp->sent, sp->sent_count, &sp->sent_room, sizeof sp->sent[0]);
    struct script_sent *sent = &sp->sent[sp->sent_count];
    sp->sent_count++;
    *sent = (struct script_sent){
        .number = number,
        .digest = v.digest,
        .tx_flags = p->tx_flags,
        .data = v.first,
        .peer = e->peer,
        .has_control = e->control != NULL,
        .was_flying = is_flying,
        .status = e->status,
        .bytes = e->bytes,
        .value = v.value,
    };
    if (e->control != NULL) {
        sent->control = *e->control;
    }
    if (!is_flying) {
        return;
    }
    pin(sp->script, e, 1);
    const bool is_part = sp->flies_in_trains && (e->status & KI_ALONE) == 0;
    e->status = (e->status & ~(uint32_t)(KI_STATE | KI_IN_TRAIN)) | KI_INFLIGHT |
                (is_part ? (uint32_t)KI_IN_TRAIN : 0U);
    e->record = RECORD_MARK + (uint32_t)(number & 0xff);
    sp->flights =
        script_grow(sp->flights, sp->flight_count, &sp->flight_room, sizeof sp->flights[0]);
    sp->flights[sp->flight_count] = (struct script_flight){
        .number = number, .digest = v.digest, .sent = sp->sent_count - 1, .entry = *e
    };
    sp->flight_count++;
    p->inflight_count++;
}

/* Counts `taken` entries against the refusals and the room. */
static void count_taken(struct script_port *sp, uint32_t taken, bool is_refused)
{
    struct script_refusal *first = &sp->refusals[0];
    if (sp->room != SCRIPT_NO_LIMIT) {
        sp->room -= taken;
    }
    if (sp->refusal_count == 0) {
        return;
    }
    first->skip -= taken;
    first->times -= is_refused;
    if (first->times == 0) {
        sp->refusal_count--;
        memmove(first, first + 1, sp->refusal_count * sizeof *first);
    }
}

/* What may be submitted next: nothing before what has left or flies (S24). */
static uint64_t find_floor(const struct script_port *sp)
{
    size_t i = sp->sent_count;
    while (i > 0 && sp->sent[i - 1].is_refused) {
        i--;
    }
    const bool is_part = i > 0 && (sp->sent[i - 1].tx_flags & KI_TX_NOW) != 0;
    return i > 0 ? sp->sent[i - 1].number + !is_part : 0;
}

/* The report that a stale refusal is about, or that a refusal has brought to light beside itself,
 * waits in receive(). */
static void tell_reports(struct script_port *sp, const struct ki_refusal *why)
{
    const struct script_refusal *first = &sp->refusals[0];
    if (why->err != KIRIM_EWOULDBLOCK && first->has_report) {
        script_arrive_error(sp, first->err, first->code, &first->peer, 0);
        sp->port->errors_waiting = 1;
        sp->was_ready = true;
    }
}

static uint32_t on_submit(struct ki_reactor *r, struct ki_port *p, struct ki_entry *e, uint32_t n,
                          struct ki_refusal *why)
{
    (void)r;
    struct script_port *sp = script_enter_port(p, 'S');
    KS_CHECK(n >= 1 && n <= KI_WINDOW_MAX);
    KS_EQ(0, p->tx_flags & ~(uint64_t)KI_TX_NOW);
    KS_CHECK(p->tx_number >= find_floor(sp));
    for (uint32_t i = 0; i < n; i++) {
        check_entry(sp->script, &e[i], (p->tx_flags & KI_TX_NOW) != 0);
    }
    sp->submit_count++;
    p->tx_calls++;
    struct ki_refusal own = { 0, 0, 0, 0 };
    const uint32_t limit = find_limit(sp, n, &own);
    for (uint32_t i = 0; i < limit; i++) {
        /* More than one to be taken now are parts of one entry. */
        const bool is_part = (p->tx_flags & KI_TX_NOW) != 0;
        take(sp, &e[i], is_part ? p->tx_number : p->tx_number + i);
    }
    if (limit < n) {
        *why = own;
        sp->is_blocked |= own.err == KIRIM_EWOULDBLOCK;
        tell_reports(sp, &own);
    }
    count_taken(sp, limit, limit < n && own.err != KIRIM_EWOULDBLOCK);
    script_leave(sp->script);
    return limit;
}

static struct script_flight *find_flight(struct script_port *sp, uint64_t number)
{
    size_t i = 0;
    while (i < sp->flight_count && sp->flights[i].number != number) {
        i++;
    }
    if (i == sp->flight_count) {
        KS_FAIL("cancel() of an entry that is not in flight");
    }
    return &sp->flights[i];
}

static void on_cancel(struct ki_reactor *r, struct ki_port *p, uint64_t number, struct ki_entry *e)
{
    (void)r;
    struct script_port *sp = script_enter_port(p, 'C');
    struct script_flight *f = find_flight(sp, number);
    KS_EQ(KI_INFLIGHT, e->status & KI_STATE);
    KS_EQ(f->entry.record, e->record);
    sp->cancel_count++;
    if (!sp->is_deaf && !f->is_ending) {
        f->is_ending = true;
        f->err = KIRIM_EABORTED;
        f->code = 0;
    }
    script_leave(sp->script);
}

void script_refuse(struct script_port *sp, uint32_t skip, uint32_t times, kirim_err err, int code)
{
    KS_CHECK(sp->refusal_count < SCRIPT_REFUSALS_MAX);
    sp->refusals[sp->refusal_count] =
        (struct script_refusal){ .skip = skip, .times = times, .err = err, .code = code };
    sp->refusal_count++;
}

void script_refuse_reporting(struct script_port *sp, uint32_t skip, uint32_t times, kirim_err err,
                             const struct kirim_addr *peer, bool is_stale)
{
    script_refuse(sp, skip, times, err, 111);
    sp->refusals[sp->refusal_count - 1].peer = *peer;
    sp->refusals[sp->refusal_count - 1].has_report = true;
    sp->refusals[sp->refusal_count - 1].is_stale = is_stale;
}

void script_end(struct script_port *sp, size_t index, kirim_err err, int code)
{
    KS_CHECK(index < sp->flight_count);
    sp->flights[index].is_ending = true;
    sp->flights[index].err = err;
    sp->flights[index].code = code;
}

void script_end_all(struct script_port *sp, kirim_err err)
{
    for (size_t i = 0; i < sp->flight_count; i++) {
        script_end(sp, i, err, 0);
    }
}

void script_check_sent(const struct script_port *sp, uint32_t first, size_t count)
{
    size_t seen = 0;
    for (size_t i = 0; i < sp->sent_count; i++) {
        if (!sp->sent[i].is_refused) {
            KS_EQ(first + seen, sp->sent[i].value);
            seen++;
        }
    }
    KS_EQ(count, seen);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void tell_end(struct script_port *sp, size_t index)
{
    const struct script_flight f = sp->flights[index];
    sp->flight_count--;
    memmove(&sp->flights[index], &sp->flights[index + 1],
            (sp->flight_count - index) * sizeof sp->flights[0]);
    if (look_at(&f.entry).digest != f.digest) {
        KS_FAIL("the bytes of a send in flight were changed");
    }
    if (f.err != KIRIM_OK) {
        sp->sent[f.sent].is_refused = true;
    }
    pin(sp->script, &f.entry, (uint32_t)-1);
    ki_entry_finish(sp->port, f.number, f.err, f.code);
    KS_EQ(sp->flight_count, sp->port->inflight_count);
}

bool script_tell_ends(struct script_port *sp, bool is_closing)
{
    bool has_told = false;
    for (size_t i = sp->flight_count; sp->flies_in_trains && i-- > 0;) {
        if (sp->flights[i].is_ending && sp->flights[i].err != KIRIM_OK) {
            tell_end(sp, i);
            has_told = true;
        }
    }
    for (size_t i = 0; i < sp->flight_count;) {
        struct script_flight *f = &sp->flights[i];
        if (is_closing && !f->is_ending) {
            script_end(sp, i, KIRIM_EABORTED, 0);
        }
        if (f->is_ending) {
            tell_end(sp, i);
            has_told = true;
        } else {
            i++;
        }
    }
    script_free_unused(sp->script);
    return has_told;
}

void script_set_send_ops(struct ki_reactor_ops *ops)
{
    ops->submit = on_submit;
    ops->cancel = on_cancel;
}
