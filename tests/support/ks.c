/* SPDX-License-Identifier: MIT
 *
 * The loop of the fixture: opening, turning, closing, and the verdicts. See ks.h.
 */
#include "ks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ks_spy.h"

/* ---- verdicts -------------------------------------------------------------------------------- */

void ks_check(bool is_true, const char *text, const char *file, int line)
{
    if (!is_true) {
        _ck_assert_failed(file, line, "Failed", "not so: %s", text);
    }
}

void ks_check_err(kirim_err wanted, kirim_err got, const char *text, const char *file, int line)
{
    if (wanted != got) {
        _ck_assert_failed(file, line, "Failed", "%s, not %s: %s", kirim_err_name(got),
                          kirim_err_name(wanted), text);
    }
}

void ks_check_eq(uint64_t wanted, uint64_t got, const char *text, const char *file, int line)
{
    if (wanted != got) {
        _ck_assert_failed(file, line, "Failed", "%" PRIu64 ", not %" PRIu64 ": %s", got, wanted,
                          text);
    }
}

void ks_check_trace(const struct ks *t, const char *wanted, const char *file, int line)
{
    if (strcmp(t->trace, wanted) != 0) {
        _ck_assert_failed(file, line, "Failed", "callbacks came as \"%s\", not \"%s\"", t->trace,
                          wanted);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

void ks_init(struct ks *t, const char *reactor, int family)
{
    memset(t, 0, sizeof *t);
    t->reactor = reactor;
    t->family = family;
    t->memory.is_lasting = true;
    t->patience_ns = 10ULL * KS_SECOND_NS;
}

kirim_err ks_try_open(struct ks *t, struct kirim_loop_options *options)
{
    if (options->reactor == NULL && options->reactor_ops == NULL) {
        options->reactor = t->reactor;
    }
    options->alloc = kit_alloc;
    options->alloc_user = &t->memory;
    const kirim_err err = kirim_loop_open(options, &t->loop);
    if (err == KIRIM_OK) {
        t->caps = kirim_loop_caps(t->loop);
    } else {
        KS_CHECK(t->loop == NULL);
        KS_EQ(0, t->memory.blocks);
    }
    return err;
}

void ks_open(struct ks *t)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    KS_OK(ks_try_open(t, &options));
}

void ks_enter(struct ks *t, char mark)
{
    if (!t->is_turn) {
        KS_FAIL("a callback ('%c') from outside of a turn", mark != 0 ? mark : '?');
    }
    if (t->depth != 0) {
        KS_FAIL("a callback ('%c') from inside a callback", mark != 0 ? mark : '?');
    }
    t->depth++;
    ks_note(t, mark);
}

void ks_leave(struct ks *t)
{
    t->depth--;
}

void ks_note(struct ks *t, char mark)
{
    if (mark != 0 && t->trace_count + 1 < KS_TRACE_MAX) {
        t->trace[t->trace_count] = mark;
        t->trace_count++;
        t->trace[t->trace_count] = 0;
    }
}

static void step(struct ks *t, uint64_t timeout_ns)
{
    t->is_turn = true;
    KS_OK(kirim_loop_step(t->loop, timeout_ns));
    t->is_turn = false;
}

void ks_turn(struct ks *t)
{
    step(t, 0);
}

bool ks_wait(struct ks *t, uint64_t end_ns)
{
    const uint64_t now_ns = kirim_loop_now(t->loop);
    if (now_ns >= end_ns) {
        return false;
    }
    step(t, end_ns - now_ns);
    return true;
}

uint64_t ks_patience_end(struct ks *t)
{
    return kirim_loop_now(t->loop) + t->patience_ns;
}

static bool is_settled(struct ks *t)
{
    for (const struct ks_node *n = t->nodes; n != NULL; n = n->next) {
        if (n->ep != NULL && (n->is_closing || kirim_endpoint_queued_count(n->ep) > 0)) {
            return false;
        }
    }
    for (const struct ks_op *o = t->ops; o != NULL; o = o->next) {
        if (kirim_op_is_pending(&o->op) ||
            (o->op.done != NULL && o->done_count < o->posted_count)) {
            return false;
        }
    }
    return true;
}

void ks_settle(struct ks *t)
{
    const uint64_t end_ns = ks_patience_end(t);
    while (!is_settled(t)) {
        if (kirim_loop_now(t->loop) >= end_ns) {
            KS_FAIL("waited in vain for everything to settle");
        }
        step(t, KS_MILLISECOND_NS); /* what is waited for may have happened before the wait */
    }
    ks_turn(t);
}

kirim_err ks_op_wait(struct ks_op *o, uint64_t timeout_ns, size_t *sent_bytes)
{
    struct ks *t = o->t;
    const bool was_turn = t->is_turn;
    t->is_turn = true;
    const kirim_err err = kirim_op_wait(&o->op, timeout_ns, sent_bytes);
    t->is_turn = was_turn;
    return err;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void check_node_stats(const struct ks_node *n)
{
    const struct kirim_endpoint_stats s = n->ep != NULL ? ks_stats(n) : n->last_stats;
    if (s.tx_accepted != s.tx_datagrams + ks_drops(&s) + s.tx_queued) {
        KS_FAIL("accepted %" PRIu64 ", but sent %" PRIu64 ", dropped %" PRIu64 ", queued %" PRIu64,
                s.tx_accepted, s.tx_datagrams, ks_drops(&s), s.tx_queued);
    }
    if (s.rx_datagrams != n->rx_datagrams) {
        KS_FAIL("counted %" PRIu64 " datagrams received, told of %zu", s.rx_datagrams,
                n->rx_datagrams);
    }
}

void ks_close_loop(struct ks *t)
{
    for (struct ks_node *n = t->nodes; n != NULL; n = n->next) {
        if (n->ep != NULL && !t->is_orphan) {
            check_node_stats(n);
        }
    }
    t->is_turn = true;
    KS_OK(kirim_loop_close(t->loop));
    t->is_turn = false;
    t->loop = NULL;
    for (const struct ks_node *n = t->nodes; n != NULL; n = n->next) {
        KS_EQ(1, n->closed_count);
        check_node_stats(n);
        KS_EQ(0, n->last_stats.tx_queued);
    }
    for (const struct ks_op *o = t->ops; o != NULL; o = o->next) {
        KS_CHECK(!kirim_op_is_pending(&o->op));
        KS_EQ(o->op.done != NULL ? o->posted_count : 0, o->done_count);
    }
    for (const struct ks_timer *timer = t->timers; timer != NULL; timer = timer->next) {
        KS_CHECK(!kirim_timer_is_armed(&timer->timer));
    }
}

void ks_close(struct ks *t)
{
    if (t->loop != NULL) {
        ks_close_loop(t);
    }
    if (t->memory.blocks != 0) {
        KS_FAIL("%zu blocks (%zu bytes) were not given back", t->memory.blocks, t->memory.bytes);
    }
    ks_spy_free(t);
    for (struct ks_node *n = t->nodes, *next; n != NULL; n = next) {
        next = n->next;
        free(n->rx);
        free(n);
    }
    for (struct ks_op *o = t->ops, *next; o != NULL; o = next) {
        next = o->next;
        free(o);
    }
    for (struct ks_timer *timer = t->timers, *next; timer != NULL; timer = next) {
        next = timer->next;
        free(timer);
    }
    for (struct ks_post *post = t->posts, *next; post != NULL; post = next) {
        next = post->next;
        free(post);
    }
    t->nodes = NULL;
    t->ops = NULL;
    t->timers = NULL;
    t->posts = NULL;
}
