/* SPDX-License-Identifier: MIT
 *
 * Not-before times that the loop keeps (S24): never before, hardly after, by (time, posting), and
 * they hold up nobody. When a datagram leaves is the reactor's time at which it is given it.
 *
 * What compares times is posted inside a callback: `now` stands still there, however slow the
 * machine is.
 */
#include <stdlib.h>
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

enum { NUMBERS_MAX = 300 };

#define HOUR_NS (3600ULL * KS_SECOND_NS)

/* What operations borrow: numbers. */
static uint8_t borrowed[NUMBERS_MAX][KS_NUMBER_BYTES];

struct pace {
    struct ks *t;
    struct ks_node *a, *b;
    uint64_t start_ns;
    uint32_t next; /* number that a timer sends */
    struct ks_op *ops[NUMBERS_MAX];
};

/* Posts a number that must not leave before `at_ns`; borrowed if there is an operation. */
static kirim_err post(const struct pace *p, uint32_t number, uint64_t at_ns, uint32_t flags,
                      struct ks_op *o)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    ks_number(borrowed[number], number);
    const struct kirim_buf one = { borrowed[number], KS_NUMBER_BYTES };
    const struct kirim_msg msg = { &one, &p->b->addr, &control, 1, 0 };
    control.not_before_ns = at_ns;
    control.tag = 1000 + number;
    return ks_post_msg(p->a, &msg, flags, o);
}

static void open_pair(struct pace *p, struct ks *t)
{
    memset(p, 0, sizeof *p);
    p->t = t;
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.receive_buffer_bytes = 1 << 20; /* for all numbers, if they come one by one */
    p->a = ks_node(t);
    p->b = ks_node_with(t, &options);
}

/* Calls `hook` from a timer's callback. */
static void in_turn(struct pace *p, void (*hook)(struct ks_timer *timer))
{
    struct ks_timer *timer = ks_timer(p->t, 0);
    timer->hook = hook;
    timer->ctx = p;
    ks_arm_in(timer, 0);
    KS_UNTIL(p->t, timer->fired_count == 1);
}

/* Calls `hook` in a turn in which what waits for `at_ns` is due, and still waits. Goes before the
 * sends: timers of one time fire in the order in which they were armed. */
static void when_due(struct pace *p, uint64_t at_ns, void (*hook)(struct ks_timer *timer))
{
    struct ks_timer *timer = ks_timer(p->t, 0);
    timer->hook = hook;
    timer->ctx = p;
    KS_OK(kirim_timer_arm(p->t->loop, &timer->timer, at_ns));
}

/* ---- when ------------------------------------------------------------------------------------ */

enum { PACED_COUNT = 100, ROUNDS_MAX = 20 };

/* How late the datagrams of one round left, and how far from their distance: the medians. */
struct distance {
    uint64_t late_ns;
    uint64_t astray_ns;
};

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t median(uint64_t *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* What the reactor was given since `seen`: numbers in order, 1 ms apart, and none early. */
static struct distance measure(const struct pace *p, const struct ks_spy_seen *seen)
{
    uint64_t late_ns[PACED_COUNT];
    uint64_t astray_ns[PACED_COUNT - 1];
    for (uint32_t i = 0; i < PACED_COUNT; i++) {
        const uint64_t at_ns = p->start_ns + (uint64_t)i * KS_MILLISECOND_NS;
        KS_EQ(i, seen[i].number);
        KS_CHECK(seen[i].at_ns >= at_ns);
        late_ns[i] = seen[i].at_ns - at_ns;
        if ((p->t->caps & KIRIM_CAP_VIRTUAL_TIME) != 0) {
            KS_EQ(0, late_ns[i]); /* to the nanosecond */
        }
    }
    for (uint32_t i = 0; i + 1 < PACED_COUNT; i++) {
        const uint64_t x = late_ns[i];
        const uint64_t y = late_ns[i + 1];
        astray_ns[i] = x > y ? x - y : y - x;
    }
    const uint64_t late = median(late_ns, PACED_COUNT);
    return (struct distance){ late, median(astray_ns, PACED_COUNT - 1) };
}

static struct distance play_round(struct pace *p, void (*hook)(struct ks_timer *timer))
{
    const struct ks_spy_seen *seen = &p->t->spy->seen[p->t->spy->seen_count];
    in_turn(p, hook);
    KS_EXPECT_NUMBERS(p->b, 0, PACED_COUNT);
    return measure(p, seen);
}

static void post_hundred(struct ks_timer *timer)
{
    struct pace *p = timer->ctx;
    p->start_ns = kirim_loop_now(p->t->loop) + KS_MILLISECOND_NS;
    for (uint32_t i = 0; i < PACED_COUNT; i++) {
        KS_OK(post(p, i, p->start_ns + (uint64_t)i * KS_MILLISECOND_NS, 0, NULL));
    }
}

static void send_next(struct ks_timer *timer)
{
    struct pace *p = timer->ctx;
    ks_send_number(p->a, p->next, &p->b->addr);
    p->next++;
}

/* The same by the program's own timers. */
static void arm_hundred(struct ks_timer *timer)
{
    struct pace *p = timer->ctx;
    p->start_ns = kirim_loop_now(p->t->loop) + KS_MILLISECOND_NS;
    p->next = 0;
    for (uint32_t i = 0; i < PACED_COUNT; i++) {
        when_due(p, p->start_ns + (uint64_t)i * KS_MILLISECOND_NS, send_next);
    }
}

/* A hundred datagrams 1 ms apart leave as well as the reactor says it can. Others may keep the
 * machine busy: half of them have to, in one of some rounds. Where even timers of the program's own
 * cannot (it is watched by a tool that slows it down), they are what to compare with. */
static void leave_their_distance_apart(struct ks *t)
{
    struct pace p;
    const uint64_t resolution_ns = kirim_loop_timer_resolution_ns(t->loop);
    open_pair(&p, t);
    KS_CHECK((t->caps & KIRIM_CAP_PACING) != 0);
    KS_EQ(KIRIM_PACING_LOOP, kirim_endpoint_pacing(p.a->ep));
    bool is_well = false;
    for (int round = 0; round < ROUNDS_MAX && !is_well; round++) {
        const struct distance paced = play_round(&p, post_hundred);
        is_well = paced.late_ns <= resolution_ns && paced.astray_ns <= resolution_ns;
        if (!is_well) {
            const struct distance own = play_round(&p, arm_hundred);
            is_well = own.late_ns > resolution_ns && paced.late_ns <= 2 * own.late_ns &&
                      paced.astray_ns <= 2 * own.astray_ns + resolution_ns;
        }
    }
    KS_CHECK(is_well);
    KS_EXPECT_END(p.b, p.a);
}

/* ---- in which order -------------------------------------------------------------------------- */

/* The time of a number, after a start: eleven times, each of them many times, in no order. */
static uint64_t step_of(uint32_t number)
{
    return number * 7919U % 101U % 11U;
}

static void post_many(struct ks_timer *timer)
{
    struct pace *p = timer->ctx;
    p->start_ns = kirim_loop_now(p->t->loop) + KS_MILLISECOND_NS;
    for (uint32_t i = 0; i < NUMBERS_MAX; i++) {
        struct ks_op *o = i % 4 == 0 ? ks_op(p->t, 0) : NULL;
        const kirim_err err = post(p, i, p->start_ns + step_of(i) * 100000U, 0, o);
        KS_ERR(o != NULL ? KIRIM_PENDING : KIRIM_OK, err);
    }
}

static void leave_by_time_and_posting(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    in_turn(&p, post_many);
    KS_EQ(NUMBERS_MAX, kirim_endpoint_queued_count(p.a->ep));
    KS_EQ(NUMBERS_MAX, ks_stats(p.a).tx_queued);
    for (uint64_t step = 0; step < 11; step++) {
        for (uint32_t i = 0; i < NUMBERS_MAX; i++) {
            if (step_of(i) == step) {
                KS_EXPECT_NUMBERS(p.b, i, 1);
            }
        }
    }
    KS_EQ(0, kirim_endpoint_queued_count(p.a->ep));
    KS_EXPECT_END(p.b, p.a);
}

static void post_three(struct ks_timer *timer)
{
    const struct pace *p = timer->ctx;
    const uint64_t now_ns = kirim_loop_now(p->t->loop);
    KS_OK(post(p, 2, now_ns + 2 * KS_MILLISECOND_NS, 0, NULL));
    KS_OK(post(p, 1, now_ns + KS_MILLISECOND_NS, 0, NULL));
    ks_send_number(p->a, 0, &p->b->addr);
}

static void hold_back_nobody(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    in_turn(&p, post_three);
    KS_EXPECT_NUMBERS(p.b, 0, 3);
    KS_EXPECT_END(p.b, p.a);
}

/* Number 1 is due and still waits. */
static void post_passed_ones(struct ks_timer *timer)
{
    struct pace *p = timer->ctx;
    const uint32_t mode = p->t->mode;
    KS_EQ(1, kirim_endpoint_queued_count(p->a->ep));
    KS_OK(post(p, 0, p->start_ns - 1, mode, NULL));
    KS_OK(post(p, 2, p->start_ns, mode, NULL));
    struct ks_op *o = ks_op(p->t, 0);
    KS_CHECK(post(p, 3, 1, mode, o) >= 0);
}

static void post_one_then_passed_ones(struct ks_timer *timer)
{
    struct pace *p = timer->ctx;
    p->start_ns = kirim_loop_now(p->t->loop) + KS_MILLISECOND_NS;
    when_due(p, p->start_ns, post_passed_ones);
    KS_OK(post(p, 1, p->start_ns, 0, NULL));
}

static void passed_time_leaves_as_usual(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    in_turn(&p, post_one_then_passed_ones);
    KS_EXPECT_NUMBERS(p.b, 0, 4);
    KS_EXPECT_END(p.b, p.a);
}

static void post_now(struct ks_timer *timer)
{
    const struct pace *p = timer->ctx;
    const uint64_t now_ns = kirim_loop_now(p->t->loop);
    struct ks_op *o = ks_op(p->t, 0);
    KS_ERR(KIRIM_EINVAL, post(p, 0, now_ns + 1, KIRIM_SEND_NOW, NULL));
    KS_ERR(KIRIM_EINVAL, post(p, 0, now_ns + 1, KIRIM_SEND_NOW, o));
    KS_CHECK(!kirim_op_is_pending(&o->op));
    KS_OK(post(p, 1, now_ns, KIRIM_SEND_NOW, NULL));
}

static void now_is_not_later(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    in_turn(&p, post_now);
    KS_EXPECT_NUMBERS(p.b, 1, 1);
    KS_EQ(1, ks_stats(p.a).tx_accepted);
    KS_EXPECT_END(p.b, p.a);
}

/* ---- operations ------------------------------------------------------------------------------ */

static void post_borrowed(struct ks_timer *timer)
{
    struct pace *p = timer->ctx;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    ks_number(borrowed[0], 0);
    struct kirim_buf list[3] = { { borrowed[0], 1 }, { NULL, 0 }, { borrowed[0] + 1, 3 } };
    const struct kirim_msg msg = { list, &p->b->addr, &control, 3, 0 };
    control.not_before_ns = kirim_loop_now(p->t->loop) + KS_MILLISECOND_NS;
    control.tag = 77;
    p->ops[0] = ks_op(p->t, 0);
    KS_ERR(KIRIM_PENDING, ks_post_msg(p->a, &msg, 0, p->ops[0]));
    memset(list, 0xff, sizeof list);
    memset(&control, 0xff, sizeof control);
}

static void borrows_bytes_and_captures_the_rest(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    in_turn(&p, post_borrowed);
    KS_EXPECT_NUMBERS(p.b, 0, 1);
    KS_UNTIL(t, p.ops[0]->done_count == 1);
    KS_OK(p.ops[0]->err);
    const struct ks_spy_seen *seen = &t->spy->seen[0];
    KS_EQ(3, seen->buf_count);
    KS_CHECK(seen->data == borrowed[0]);
    KS_CHECK(seen->has_control);
    KS_EQ(77, seen->control.tag);
    KS_EQ(0, seen->control.not_before_ns); /* the reactor has no time to keep */
}

static bool is_cancelled(uint32_t i)
{
    return i % 3 == 1;
}

static bool is_expiring(uint32_t i)
{
    return i % 5 == 2;
}

static void post_many_and_end_some(struct ks_timer *timer)
{
    struct pace *p = timer->ctx;
    const uint64_t now_ns = kirim_loop_now(p->t->loop);
    p->start_ns = now_ns + KS_MILLISECOND_NS;
    for (uint32_t i = 0; i < NUMBERS_MAX; i++) {
        p->ops[i] = ks_op(p->t, 0);
        p->ops[i]->op.deadline_ns = now_ns + (is_expiring(i) ? 1000 + i % 7 : HOUR_NS);
        KS_ERR(KIRIM_PENDING, post(p, i, p->start_ns + step_of(i) * 100000U, 0, p->ops[i]));
    }
    for (uint32_t i = 0; i < NUMBERS_MAX; i++) {
        if (is_cancelled(i)) {
            KS_OK(kirim_op_cancel(&p->ops[i]->op));
        }
    }
}

static void ended_ones_leave_gaps_only(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    in_turn(&p, post_many_and_end_some);
    for (uint64_t step = 0; step < 11; step++) {
        for (uint32_t i = 0; i < NUMBERS_MAX; i++) {
            if (step_of(i) == step && !is_cancelled(i) && !is_expiring(i)) {
                KS_EXPECT_NUMBERS(p.b, i, 1);
            }
        }
    }
    ks_settle(t);
    uint64_t cancelled_count = 0;
    uint64_t expired_count = 0;
    for (uint32_t i = 0; i < NUMBERS_MAX; i++) {
        const bool is_gone = is_cancelled(i);
        cancelled_count += is_gone;
        expired_count += !is_gone && is_expiring(i);
        KS_ERR(is_gone          ? KIRIM_EABORTED
               : is_expiring(i) ? KIRIM_ETIMEDOUT
                                : KIRIM_OK,
               p.ops[i]->err);
    }
    KS_EQ(cancelled_count, ks_stats(p.a).drops[KIRIM_DROP_CANCELLED]);
    KS_EQ(expired_count, ks_stats(p.a).drops[KIRIM_DROP_DEADLINE]);
    KS_EXPECT_END(p.b, p.a);
}

/* The deadline, and not the datagram's own time, is what it waits for. */
static void expires_at_the_deadline(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    struct ks_op *o = ks_op(t, 0);
    o->op.deadline_ns = kirim_loop_now(t->loop) + KS_MILLISECOND_NS;
    KS_ERR(KIRIM_PENDING, post(&p, 0, o->op.deadline_ns + HOUR_NS, 0, o));
    KS_UNTIL(t, o->done_count == 1);
    KS_ERR(KIRIM_ETIMEDOUT, o->err);
    KS_CHECK(o->done_at_ns >= o->op.deadline_ns);
    KS_EQ(0, kirim_endpoint_queued_count(p.a->ep));
    KS_EXPECT_END(p.b, p.a);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void discard_drops_them(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    struct ks_op *o = ks_op(t, 0);
    const uint64_t at_ns = kirim_loop_now(t->loop) + HOUR_NS;
    KS_OK(post(&p, 0, at_ns, 0, NULL));
    KS_ERR(KIRIM_PENDING, post(&p, 1, at_ns - 1, 0, o));
    KS_OK(post(&p, 2, KIRIM_NEVER, 0, NULL));
    ks_send_number(p.a, 3, &p.b->addr);
    size_t dropped = 0;
    KS_OK(kirim_endpoint_discard(p.a->ep, &dropped));
    KS_EQ(4, dropped);
    KS_EQ(4, ks_stats(p.a).drops[KIRIM_DROP_DISCARDED]);
    KS_EQ(0, kirim_endpoint_queued_count(p.a->ep));
    KS_UNTIL(t, o->done_count == 1);
    KS_ERR(KIRIM_EABORTED, o->err);
    KS_EXPECT_END(p.b, p.a);
}

static void close_a(struct ks_timer *timer)
{
    const struct pace *p = timer->ctx;
    KS_EQ(4, kirim_endpoint_queued_count(p->a->ep));
    ks_node_close(p->a);
}

static void post_and_close_when_due(struct ks_timer *timer)
{
    struct pace *p = timer->ctx;
    p->start_ns = kirim_loop_now(p->t->loop) + KS_MILLISECOND_NS;
    when_due(p, p->start_ns, close_a);
    KS_OK(post(p, 2, p->start_ns + HOUR_NS, 0, NULL));
    KS_OK(post(p, 0, p->start_ns, 0, NULL));
    KS_OK(post(p, 1, p->start_ns, 0, NULL));
    p->ops[0] = ks_op(p->t, 0);
    KS_ERR(KIRIM_PENDING, post(p, 3, p->start_ns + 1 + HOUR_NS, 0, p->ops[0]));
}

/* What is due leaves, what is not is dropped, and nobody waits for it. */
static void close_does_not_wait_for_them(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    struct ks_node *c = ks_node(t);
    in_turn(&p, post_and_close_when_due);
    KS_UNTIL(t, p.a->closed_count == 1);
    KS_ERR(KIRIM_EABORTED, p.ops[0]->err);
    KS_EQ(2, p.a->last_stats.drops[KIRIM_DROP_CLOSED]);
    KS_EQ(2, p.a->last_stats.tx_datagrams);
    KS_EXPECT_NUMBERS(p.b, 0, 2);
    KS_EXPECT_END(p.b, c);
}

static void flush_sends_what_is_due(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    const uint64_t at_ns = kirim_loop_now(t->loop) + HOUR_NS;
    KS_OK(post(&p, 1, at_ns, 0, NULL));
    ks_send_number(p.a, 0, &p.b->addr);
    KS_OK(kirim_endpoint_flush(p.a->ep));
    KS_EQ(1, kirim_endpoint_queued_count(p.a->ep));
    KS_EQ(1, ks_stats(p.a).tx_datagrams);
    KS_EXPECT_NUMBERS(p.b, 0, 1);
    ks_turn(t);
    KS_CHECK(kirim_loop_deadline(t->loop) <= at_ns);
    KS_CHECK(kirim_loop_deadline(t->loop) != 0);
    KS_OK(kirim_endpoint_discard(p.a->ep, NULL));
    KS_CHECK(kirim_loop_deadline(t->loop) == KIRIM_NEVER);
    KS_EXPECT_END(p.b, p.a);
}

/* ---- bounds and memory ----------------------------------------------------------------------- */

static void post_four_of_four(struct ks_timer *timer)
{
    const struct pace *p = timer->ctx;
    const uint64_t at_ns = kirim_loop_now(p->t->loop) + KS_MILLISECOND_NS;
    void *room = NULL;
    for (uint32_t i = 1; i < 4; i++) {
        KS_OK(post(p, i, at_ns, 0, NULL));
    }
    ks_send_number(p->a, 0, &p->b->addr);
    KS_EQ(4, kirim_endpoint_queued_count(p->a->ep));
    KS_ERR(KIRIM_EWOULDBLOCK, post(p, 4, at_ns, 0, NULL));
    KS_ERR(KIRIM_EWOULDBLOCK, post(p, 4, at_ns, 0, ks_op(p->t, 0)));
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_send_to(p->a->ep, "x", 1, &p->b->addr));
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_reserve(p->a->ep, 1, &room));
}

static void take_places_of_the_queue(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.queue_count_max = 4;
    p.a = ks_node_with(t, &options);
    in_turn(&p, post_four_of_four);
    KS_EXPECT_NUMBERS(p.b, 0, 1);
    if ((t->caps & KIRIM_CAP_VIRTUAL_TIME) != 0) { /* else their time may have come by now */
        KS_EQ(0, p.a->writable_count);             /* three of four are taken */
    }
    KS_EXPECT_NUMBERS(p.b, 1, 3);
    KS_UNTIL(t, p.a->writable_count == 1);
    KS_EQ(4, ks_stats(p.a).tx_refused);
    KS_EXPECT_END(p.b, p.a);
}

static void post_bytes(struct ks_timer *timer)
{
    static uint8_t bytes[600];
    struct pace *p = timer->ctx;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_buf one = { bytes, sizeof bytes };
    const struct kirim_msg msg = { &one, &p->b->addr, &control, 1, 0 };
    control.not_before_ns = kirim_loop_now(p->t->loop) + KS_MILLISECOND_NS;
    p->ops[0] = ks_op(p->t, 0);
    KS_OK(ks_post_msg(p->a, &msg, 0, NULL));
    KS_ERR(KIRIM_EWOULDBLOCK, ks_post_msg(p->a, &msg, 0, NULL));
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_send_to(p->a->ep, bytes, 600, &p->b->addr));
    KS_ERR(KIRIM_PENDING, ks_post_msg(p->a, &msg, 0, p->ops[0])); /* it copies nothing */
}

static void take_bytes_of_the_queue(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.queue_bytes_max = 1000;
    p.a = ks_node_with(t, &options);
    for (size_t round = 1; round <= 3; round++) {
        in_turn(&p, post_bytes);
        KS_UNTIL(t, p.a->writable_count == round);
        KS_UNTIL(t, p.b->rx_count == 2 * round);
    }
}

enum { HELD_COUNT = 30, PLACES = 64 };

static void post_and_fill(struct ks_timer *timer)
{
    const struct pace *p = timer->ctx;
    const uint64_t at_ns = kirim_loop_now(p->t->loop) + KS_MILLISECOND_NS;
    for (uint32_t i = PLACES - HELD_COUNT; i < PLACES; i++) {
        KS_OK(post(p, i, at_ns, 0, NULL));
    }
    for (uint32_t i = 0; i < PLACES - HELD_COUNT; i++) {
        ks_send_number(p->a, i, &p->b->addr);
    }
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_send_to(p->a->ep, "x", 1, &p->b->addr));
}

/* The queue is full and there is no memory when their time comes: they have had their places. */
static void moving_never_fails(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.queue_count_max = PLACES;
    p.a = ks_node_with(t, &options);
    ks_spy_block(t);
    in_turn(&p, post_and_fill);
    struct ks_timer *after = ks_timer(t, 0);
    ks_arm_in(after, 2 * KS_MILLISECOND_NS);
    t->memory.fail_at = t->memory.calls + 1;
    KS_UNTIL(t, after->fired_count == 1);
    t->memory.fail_at = 0;
    KS_EQ(PLACES, ks_stats(p.a).tx_queued);
    ks_spy_unblock(t);
    KS_EXPECT_NUMBERS(p.b, 0, PLACES);
    KS_EXPECT_END(p.b, p.a);
}

/* Whatever memory a send lacks, it leaves nothing behind. */
static void post_without_memory(struct ks_timer *timer)
{
    const struct pace *p = timer->ctx;
    struct kit_memory *memory = &p->t->memory;
    struct ks_op *o = ks_op(p->t, 0);
    const uint64_t at_ns = kirim_loop_now(p->t->loop) + KS_MILLISECOND_NS;
    kirim_err err = KIRIM_ENOMEM;
    int refusals = 0;
    memory->is_lasting = false;
    while (err != KIRIM_PENDING) {
        memory->fail_at = memory->calls + 1 + (refusals > 0);
        err = post(p, 0, at_ns, 0, o);
        KS_ERR(err == KIRIM_PENDING ? KIRIM_PENDING : KIRIM_ENOMEM, err);
        KS_EQ(err == KIRIM_PENDING, kirim_op_is_pending(&o->op));
        KS_EQ(err == KIRIM_PENDING, kirim_endpoint_queued_count(p->a->ep));
        KS_EQ(err == KIRIM_PENDING, ks_stats(p->a).tx_accepted);
        refusals += err == KIRIM_ENOMEM;
    }
    memory->fail_at = 0;
    KS_CHECK(refusals >= 3); /* the queue's ring, the order of those that wait, the block */
}

static void out_of_memory_keeps_nothing(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    in_turn(&p, post_without_memory);
    KS_EXPECT_NUMBERS(p.b, 0, 1);
    KS_EXPECT_END(p.b, p.a);
}

/* ---- where the bytes lie --------------------------------------------------------------------- */

/* Answers later with the very bytes, which the loop takes back long before. */
static void answer_later(struct ks_node *n, const struct kirim_batch *batch)
{
    const struct pace *p = n->ctx;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        const struct ks_rx *rx = &n->rx[n->rx_count - batch->count + i];
        struct kirim_control control = KIRIM_CONTROL_INIT;
        const struct kirim_buf one = { d->data, d->bytes };
        const struct kirim_msg msg = { &one, &d->peer, &control, 1, 0 };
        control.not_before_ns = kirim_loop_now(p->t->loop) + 2 * KS_MILLISECOND_NS;
        struct ks_op *o = ks_rx_number(rx) % 2 == 0 ? ks_op(p->t, 0) : NULL;
        KS_CHECK(ks_post_msg(n, &msg, KIRIM_SEND_LENT, o) >= 0);
        memset(d->data, 0xee, d->bytes);
    }
}

static void lent_bytes_are_copied(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    p.b->on_received = answer_later;
    p.b->ctx = &p;
    for (uint32_t i = 0; i < 40; i++) {
        ks_send_number(p.a, i, &p.b->addr);
        ks_turn(t);
    }
    KS_UNTIL(t, p.a->rx_count == 40);
    KS_EXPECT_NUMBERS(p.a, 0, 40);
    KS_EQ(40, ks_stats(p.b).tx_copied);
}

static void commit_two(struct ks_timer *timer)
{
    const struct pace *p = timer->ctx;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_msg msg = { NULL, &p->b->addr, &control, 0, 0 };
    const uint64_t now_ns = kirim_loop_now(p->t->loop);
    for (uint32_t i = 0; i < 2; i++) {
        void *room = NULL;
        uint8_t number[KS_NUMBER_BYTES];
        KS_OK(kirim_endpoint_reserve(p->a->ep, 100, &room));
        ks_number(number, 1 - i);
        memcpy(room, number, sizeof number);
        control.not_before_ns = i == 0 ? now_ns + KS_MILLISECOND_NS : now_ns;
        KS_OK(kirim_endpoint_commit(p->a->ep, sizeof number, &msg));
        KS_ERR(KIRIM_EINVAL, kirim_endpoint_commit(p->a->ep, 0, &msg)); /* no room is lent now */
    }
}

static void reserved_room_can_be_paced(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    in_turn(&p, commit_two);
    KS_EXPECT_NUMBERS(p.b, 0, 2);
    KS_EQ(0, t->spy->seen[0].control.not_before_ns);
    KS_EQ(0, t->spy->seen[1].control.not_before_ns);
    KS_EXPECT_END(p.b, p.a);
}

static void post_trains(struct ks_timer *timer)
{
    static uint8_t bytes[45];
    const struct pace *p = timer->ctx;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_buf one = { bytes, sizeof bytes };
    const struct kirim_msg msg = { &one, &p->b->addr, &control, 1, 20 };
    ks_fill(bytes, sizeof bytes, 24);
    control.not_before_ns = kirim_loop_now(p->t->loop) + HOUR_NS;
    KS_OK(ks_post_msg(p->a, &msg, 0, NULL));
    KS_EQ(3, ks_stats(p->a).tx_queued);
    KS_OK(kirim_endpoint_discard(p->a->ep, NULL));
    KS_EQ(3, ks_stats(p->a).drops[KIRIM_DROP_DISCARDED]);
    control.not_before_ns = kirim_loop_now(p->t->loop) + KS_MILLISECOND_NS;
    KS_OK(ks_post_msg(p->a, &msg, 0, NULL));
    memset(bytes, 0, sizeof bytes);
}

static void train_is_paced_as_one(struct ks *t)
{
    uint8_t bytes[45];
    struct pace p;
    open_pair(&p, t);
    ks_fill(bytes, sizeof bytes, 24);
    in_turn(&p, post_trains);
    KS_EXPECT(p.b, bytes, 20);
    KS_EXPECT(p.b, bytes + 20, 20);
    KS_EXPECT(p.b, bytes + 40, 5);
    KS_EQ(3, ks_stats(p.a).tx_datagrams);
    KS_EXPECT_END(p.b, p.a);
}

/* One is refused, the others stay in flight until they end, the last first. */
static void go_through_flight_and_refusal(struct ks *t)
{
    struct pace p;
    open_pair(&p, t);
    const uint64_t at_ns = kirim_loop_now(t->loop) + KS_MILLISECOND_NS;
    t->spy->is_late = true;
    t->spy->is_landing_last_first = true;
    for (uint32_t i = 0; i < 3; i++) {
        KS_CHECK(post(&p, i, at_ns, 0, i == 2 ? ks_op(t, 0) : NULL) >= 0);
    }
    ks_spy_refuse(t, KIRIM_ENOBUFS, 105, 1, 1);
    KS_UNTIL(t, t->spy->flight_count == 2);
    KS_UNTIL(t, p.a->failed_count == 1);
    KS_EQ(1001, p.a->event.tag);
    KS_ERR(KIRIM_ENOBUFS, p.a->event.err);
    ks_spy_land(t, 2);
    ks_settle(t);
    KS_EXPECT_NUMBERS(p.b, 0, 1);
    KS_EXPECT_NUMBERS(p.b, 2, 1);
}

static const struct kc_case cases[] = {
    KC("paced_datagrams_leave_their_distance_apart", "S24", leave_their_distance_apart, KC_LIVE,
       KC_SPIED),
    KC("paced_datagrams_leave_by_time_and_posting", "S24", leave_by_time_and_posting, KC_LIVE, 0),
    KC("paced_datagrams_hold_back_nobody", "S24", hold_back_nobody, KC_LIVE, 0),
    KC("passed_time_leaves_as_usual", "S24", passed_time_leaves_as_usual, KC_LIVE, KC_MODES),
    KC("send_that_must_leave_now_is_not_paced", "S24 S13", now_is_not_later, KC_CHECKED, 0),
    KC("paced_operation_borrows_bytes_and_captures_the_rest", "S24 S5",
       borrows_bytes_and_captures_the_rest, KC_SPY, KC_SPIED),
    KC("ended_paced_operations_leave_gaps_only", "S24 S45 S49", ended_ones_leave_gaps_only, KC_LIVE,
       0),
    KC("paced_operation_expires_at_its_deadline", "S45", expires_at_the_deadline, KC_LIVE, 0),
    KC("discard_drops_paced_datagrams", "S27", discard_drops_them, KC_LIVE, 0),
    KC("close_does_not_wait_for_paced_datagrams", "S26", close_does_not_wait_for_them, KC_LIVE, 0),
    KC("flush_sends_of_the_paced_what_is_due", "S27", flush_sends_what_is_due, KC_LIVE, 0),
    KC("paced_datagrams_take_places_of_the_queue", "S46", take_places_of_the_queue, KC_LIVE, 0),
    KC("paced_datagrams_take_bytes_of_the_queue", "S46", take_bytes_of_the_queue, KC_LIVE, 0),
    KC("paced_datagrams_never_lack_a_place_when_they_are_due", "S46", moving_never_fails, KC_SPY,
       KC_SPIED),
    KC("paced_send_without_memory_keeps_nothing", "", out_of_memory_keeps_nothing, KC_CHECKED, 0),
    KC("lent_bytes_of_paced_datagrams_are_copied", "S24", lent_bytes_are_copied, KC_LIVE, 0),
    KC("reserved_room_can_be_paced", "S24", reserved_room_can_be_paced, KC_SPY, KC_SPIED),
    KC("train_is_paced_as_one", "S24", train_is_paced_as_one, KC_LIVE, 0),
    KC("paced_datagrams_go_through_flight_and_refusal", "S24 S52", go_through_flight_and_refusal,
       KC_SPY, KC_SPIED),
};

const struct kc_subject kc_pace = KC_SUBJECT("pace", cases);
