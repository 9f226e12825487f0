/* SPDX-License-Identifier: MIT
 *
 * The spy between core and reactor; see ks_spy.h.
 */
#include "ks_spy.h"

#include <stdlib.h>
#include <string.h>

/* A reactor's functions are not told which table they were called through, so there is one spy at a
 * time. */
static struct ks_spy *spy;

/* ---- looking at entries ---------------------------------------------------------------------- */

/* The bytes of an entry one after the other: their digest, and the first four. */
static uint64_t read_entry(const struct ki_entry *e, uint32_t *number, const void **first)
{
    const struct kirim_buf one = { e->data, e->bytes };
    const struct kirim_buf *buf = e->buf_count == 1 ? &one : e->data;
    uint64_t digest = 0;
    uint32_t seen = 0;
    *number = 0;
    *first = NULL;
    for (uint32_t i = 0; i < e->buf_count; i++) {
        const uint8_t *at = buf[i].data;
        if (buf[i].bytes == 0) {
            continue;
        }
        if (*first == NULL) {
            *first = at;
        }
        for (size_t k = 0; k < buf[i].bytes && seen < KS_NUMBER_BYTES; k++, seen++) {
            *number = *number << 8 | at[k];
        }
        digest = digest * 31 + ks_digest(at, buf[i].bytes);
    }
    return digest;
}

static void write_down(struct ki_reactor *r, const struct ki_port *p, const struct ki_entry *e)
{
    if (spy->seen_count == KS_SPY_SEEN_MAX) {
        return;
    }
    struct ks_spy_seen *seen = &spy->seen[spy->seen_count];
    spy->seen_count++;
    memset(seen, 0, sizeof *seen);
    (void)read_entry(e, &seen->number, &seen->data);
    seen->bytes = e->bytes;
    seen->buf_count = e->buf_count;
    seen->status = e->status;
    seen->tx_flags = p->tx_flags;
    seen->op = e->op;
    seen->at_ns = spy->inner->now(r);
    seen->peer = e->peer;
    seen->has_control = e->control != NULL;
    if (e->control != NULL) {
        seen->control = *e->control;
    }
}

/* ---- submit ---------------------------------------------------------------------------------- */

static void remember_port(struct ki_port **list, size_t *count, struct ki_port *p)
{
    for (size_t i = 0; i < *count; i++) {
        if (list[i] == p) {
            return;
        }
    }
    KS_CHECK(*count < KS_SPY_PORT_MAX);
    list[*count] = p;
    (*count)++;
}

static bool forget_port(struct ki_port **list, size_t *count, const struct ki_port *p)
{
    for (size_t i = 0; i < *count; i++) {
        if (list[i] == p) {
            (*count)--;
            list[i] = list[*count];
            return true;
        }
    }
    return false;
}

/* Takes `n` entries and keeps them in flight. What is to end well leaves at once, from copies. */
static void take_off(struct ki_reactor *r, struct ki_port *p, struct ki_entry *e, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        KS_CHECK(spy->flight_count < KS_SPY_FLIGHT_MAX);
        struct ks_spy_flight *f = &spy->flight[spy->flight_count];
        spy->flight_count++;
        spy->flight_total++;
        uint32_t number;
        const void *first;
        *f = (struct ks_spy_flight){ .port = p, .number = p->tx_number + i, .entry = e[i] };
        f->digest = read_entry(&e[i], &number, &first);
        if (spy->late_err_at != spy->flight_total) {
            struct ki_entry copy = e[i];
            struct ki_refusal why = { KIRIM_EWOULDBLOCK, 0, 1, 0 };
            KS_EQ(1, spy->inner->submit(r, p, &copy, 1, &why));
            KS_EQ(KI_QUEUED, copy.status & KI_STATE);
            f->is_sent = true;
        }
        e[i].status = (e[i].status & ~(uint32_t)KI_STATE) | KI_INFLIGHT;
        p->inflight_count++;
    }
}

/* How many entries may pass, and what then. */
static uint32_t find_limit(uint32_t n, struct ki_refusal *why)
{
    uint32_t limit = n;
    if (spy->refuse_count > 0 && spy->refuse_skip < limit) {
        limit = spy->refuse_skip;
        *why = (struct ki_refusal){ spy->refuse_err, spy->refuse_code, 1, 0 };
    }
    if (spy->room < limit) {
        limit = spy->room;
        *why = (struct ki_refusal){ KIRIM_EWOULDBLOCK, 0, n - limit, 0 };
    }
    return limit;
}

static void count_passed(uint32_t n)
{
    if (spy->refuse_count > 0) {
        spy->refuse_skip -= n;
    }
    if (spy->room != KS_SPY_NO_LIMIT) {
        spy->room -= n;
    }
}

static uint32_t spy_submit(struct ki_reactor *r, struct ki_port *p, struct ki_entry *e, uint32_t n,
                           struct ki_refusal *why)
{
    KS_CHECK(n >= 1 && n <= KI_WINDOW_MAX);
    for (uint32_t i = 0; i < n; i++) {
        KS_EQ(KI_QUEUED, e[i].status & KI_STATE);
        KS_CHECK(e[i].buf_count >= 1);
    }
    spy->submit_count++;
    struct ki_refusal own = { 0, 0, 0, 0 };
    const uint32_t limit = find_limit(n, &own);
    for (uint32_t i = 0; i < limit; i++) {
        write_down(r, p, &e[i]);
    }
    uint32_t taken = limit;
    if (spy->is_late && (p->tx_flags & KI_TX_NOW) == 0) {
        take_off(r, p, e, limit);
    } else if (limit > 0) {
        taken = spy->inner->submit(r, p, e, limit, why);
    }
    if (taken < limit) {
        spy->seen_count -= limit - taken;
        count_passed(taken);
        return taken;
    }
    count_passed(taken);
    if (limit < n) {
        *why = own;
        if (own.err == KIRIM_EWOULDBLOCK) {
            remember_port(spy->blocked, &spy->blocked_count, p);
        } else {
            spy->refuse_count--;
        }
    }
    return taken;
}

static void spy_cancel(struct ki_reactor *r, struct ki_port *p, uint64_t number, struct ki_entry *e)
{
    spy->cancel_count++;
    for (size_t i = 0; i < spy->flight_count; i++) {
        if (spy->flight[i].port == p && spy->flight[i].number == number) {
            spy->flight[i].is_cancelled = !spy->is_deaf;
            return;
        }
    }
    if (spy->inner->cancel != NULL) {
        spy->inner->cancel(r, p, number, e);
    }
}

/* ---- wait ------------------------------------------------------------------------------------ */

static void finish_flight(size_t index, kirim_err err, int code)
{
    const struct ks_spy_flight f = spy->flight[index];
    spy->flight_count--;
    memmove(&spy->flight[index], &spy->flight[index + 1],
            (spy->flight_count - index) * sizeof spy->flight[0]);
    if ((f.entry.status & KI_LENT) == 0) {
        uint32_t number;
        const void *first;
        if (read_entry(&f.entry, &number, &first) != f.digest) {
            KS_FAIL("the bytes of a send in flight were changed");
        }
    }
    ki_entry_finish(f.port, f.number, err, code);
}

static kirim_err result_of(const struct ks_spy_flight *f)
{
    if (f->is_sent) {
        return KIRIM_OK;
    }
    return f->is_cancelled ? KIRIM_EABORTED : spy->late_err;
}

/* Ends what may end: what was cancelled or whose port closes, and as many more as are allowed. */
static bool land(void)
{
    bool has_told = false;
    for (size_t i = 0; i < spy->flight_count;) {
        if (spy->flight[i].is_cancelled) {
            finish_flight(i, result_of(&spy->flight[i]), 0);
            has_told = true;
        } else {
            i++;
        }
    }
    for (; spy->land_count > 0 && spy->flight_count > 0; has_told = true) {
        const size_t i = spy->is_landing_last_first ? spy->flight_count - 1 : 0;
        finish_flight(i, result_of(&spy->flight[i]), 0);
        spy->land_count -= spy->land_count != KS_SPY_NO_LIMIT;
    }
    return has_told;
}

static kirim_err spy_wait(struct ki_reactor *r, uint64_t deadline_ns)
{
    spy->wait_count++;
    bool has_told = land();
    while (spy->closing_count > 0) {
        spy->closing_count--;
        ki_port_closed(spy->closing[spy->closing_count]);
        has_told = true;
    }
    while (spy->room > 0 && spy->blocked_count > 0) {
        spy->blocked_count--;
        ki_port_writable(spy->blocked[spy->blocked_count]);
        has_told = true;
    }
    return spy->inner->wait(r, has_told ? 0 : deadline_ns);
}

static kirim_err spy_port_close(struct ki_reactor *r, struct ki_port *p)
{
    (void)forget_port(spy->blocked, &spy->blocked_count, p);
    bool has_flights = false;
    for (size_t i = 0; i < spy->flight_count; i++) {
        if (spy->flight[i].port == p) {
            spy->flight[i].is_cancelled = true;
            has_flights = true;
        }
    }
    const kirim_err err = spy->inner->port_close(r, p);
    if (err == KIRIM_OK && has_flights) {
        remember_port(spy->closing, &spy->closing_count, p);
        return KIRIM_PENDING;
    }
    return err;
}

/* ---- opening --------------------------------------------------------------------------------- */

static kirim_err spy_open(struct kirim_loop *loop, const struct kirim_loop_options *options,
                          struct ki_reactor **out, uint32_t *caps)
{
    return spy->inner->open(loop, options, out, caps);
}

kirim_err ks_try_open_spied(struct ks *t, struct kirim_loop_options *options)
{
    spy = calloc(1, sizeof *spy);
    KS_CHECK(spy != NULL);
    t->spy = spy;
    for (size_t i = 0; ki_reactors[i] != NULL; i++) {
        if (strcmp(ki_reactors[i]->name, t->reactor) == 0) {
            spy->inner = ki_reactors[i];
        }
    }
    KS_CHECK(spy->inner != NULL);
    spy->room = KS_SPY_NO_LIMIT;
    spy->ops = *spy->inner;
    spy->ops.open = spy_open;
    spy->ops.submit = spy_submit;
    spy->ops.cancel = spy_cancel;
    spy->ops.wait = spy_wait;
    spy->ops.port_close = spy_port_close;
    options->reactor_ops = &spy->ops;
    return ks_try_open(t, options);
}

void ks_open_spied(struct ks *t)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    KS_OK(ks_try_open_spied(t, &options));
}

void ks_spy_free(struct ks *t)
{
    if (t->spy != NULL) {
        KS_EQ(0, t->spy->flight_count);
        free(t->spy);
        t->spy = NULL;
        spy = NULL;
    }
}

/* ---- what it plays --------------------------------------------------------------------------- */

void ks_spy_block(struct ks *t)
{
    t->spy->room = 0;
}

void ks_spy_set_room(struct ks *t, uint32_t count)
{
    t->spy->room = count;
}

void ks_spy_unblock(struct ks *t)
{
    t->spy->room = KS_SPY_NO_LIMIT;
}

void ks_spy_strand(struct ks *t)
{
    t->spy->blocked_count = 0;
    ks_spy_unblock(t);
}

void ks_spy_refuse(struct ks *t, kirim_err err, int code, uint32_t skip, uint32_t count)
{
    t->spy->refuse_err = err;
    t->spy->refuse_code = code;
    t->spy->refuse_skip = skip;
    t->spy->refuse_count = count;
}

void ks_spy_land(struct ks *t, uint32_t count)
{
    t->spy->land_count = count;
}
