/* SPDX-License-Identifier: MIT
 *
 * Operations, timers and posts of the fixture. See ks.h.
 */
#include "ks.h"

#include <stddef.h>
#include <stdlib.h>

static void *make(size_t bytes)
{
    void *object = calloc(1, bytes);
    KS_CHECK(object != NULL);
    return object;
}

static void on_done(struct kirim_op *op, kirim_err err, size_t sent_bytes)
{
    struct ks_op *o = (struct ks_op *)(void *)((char *)op - offsetof(struct ks_op, op));
    ks_enter(o->t, o->mark);
    o->done_count++;
    KS_CHECK(o->done_count <= o->posted_count);
    KS_CHECK(op->user == o);
    KS_CHECK(!kirim_op_is_pending(op));
    KS_CHECK(err == KIRIM_OK || (err < 0 && sent_bytes == 0));
    o->err = err;
    o->sent_bytes = sent_bytes;
    o->done_at_ns = kirim_loop_now(o->t->loop);
    if (o->hook != NULL) {
        o->hook(o);
    }
    ks_leave(o->t);
}

struct ks_op *ks_op(struct ks *t, char mark)
{
    struct ks_op *o = make(sizeof *o);
    o->op = (struct kirim_op)KIRIM_OP_INIT(on_done, o);
    o->t = t;
    o->mark = mark;
    o->err = KIRIM_PENDING;
    o->next = t->ops;
    t->ops = o;
    return o;
}

struct ks_op *ks_op_polled(struct ks *t)
{
    struct ks_op *o = ks_op(t, 0);
    o->op = (struct kirim_op)KIRIM_OP_INIT(NULL, o);
    return o;
}

static void on_expired(struct kirim_timer *timer)
{
    struct ks_timer *k =
        (struct ks_timer *)(void *)((char *)timer - offsetof(struct ks_timer, timer));
    ks_enter(k->t, k->mark);
    KS_CHECK(timer->user == k);
    KS_CHECK(!kirim_timer_is_armed(timer));
    k->fired_count++;
    k->fired_at_ns = kirim_loop_now(k->t->loop);
    KS_CHECK(k->fired_at_ns >= timer->deadline_ns);
    if (k->hook != NULL) {
        k->hook(k);
    }
    ks_leave(k->t);
}

struct ks_timer *ks_timer(struct ks *t, char mark)
{
    struct ks_timer *timer = make(sizeof *timer);
    timer->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_expired, timer);
    timer->t = t;
    timer->mark = mark;
    timer->next = t->timers;
    t->timers = timer;
    return timer;
}

void ks_arm_in(struct ks_timer *timer, uint64_t delay_ns)
{
    struct kirim_loop *loop = timer->t->loop;
    KS_OK(kirim_timer_arm(loop, &timer->timer, kirim_loop_now(loop) + delay_ns));
}

static void on_run(struct kirim_post *post, struct kirim_loop *loop, kirim_err err)
{
    struct ks_post *k = (struct ks_post *)(void *)((char *)post - offsetof(struct ks_post, post));
    ks_enter(k->t, k->mark);
    KS_CHECK(loop == k->t->loop);
    KS_CHECK(post->user == k);
    k->run_count++;
    k->err = err;
    if (k->hook != NULL) {
        k->hook(k);
    }
    ks_leave(k->t);
}

struct ks_post *ks_post(struct ks *t, char mark)
{
    struct ks_post *post = make(sizeof *post);
    post->post = (struct kirim_post)KIRIM_POST_INIT(on_run, post);
    post->t = t;
    post->mark = mark;
    post->err = KIRIM_PENDING;
    post->next = t->posts;
    t->posts = post;
    return post;
}
