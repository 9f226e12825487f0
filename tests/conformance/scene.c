/* SPDX-License-Identifier: MIT
 *
 * Bringing about a callback of each kind; see scene.h.
 */
#include "scene.h"

#include <string.h>

#include "support/ks_spy.h"

/* ---- the callbacks --------------------------------------------------------------------------- */

static void act(struct kc_scene *s)
{
    if (!s->is_done) {
        s->is_done = true;
        s->action(s);
    }
}

static void in_received(struct ks_node *n, const struct kirim_batch *batch)
{
    (void)batch;
    act(n->ctx);
}

static void in_node(struct ks_node *n)
{
    act(n->ctx);
}

static void in_done(struct ks_op *o)
{
    act(o->ctx);
}

static void in_timer(struct ks_timer *timer)
{
    act(timer->ctx);
}

static void in_post(struct ks_post *post)
{
    act(post->ctx);
}

static void in_guest(struct kirim_guest *guest, uint32_t events)
{
    struct kc_scene *s = guest->user;
    ks_enter(s->t, 0);
    KS_EQ(KIRIM_GUEST_READABLE, events);
    act(s);
    ks_leave(s->t);
}

/* ---- bringing them about --------------------------------------------------------------------- */

static void play_received(struct kc_scene *s)
{
    s->self = ks_node(s->t);
    s->self->ctx = s;
    s->self->on_received = in_received;
    KS_OK(kirim_endpoint_send_to(s->self->ep, "cue", 3, &s->self->addr));
}

static void play_writable(struct kc_scene *s)
{
    struct kirim_endpoint_options options = ks_endpoint_options(s->t);
    options.queue_count_max = 2;
    s->self = ks_node_with(s->t, &options);
    s->self->ctx = s;
    s->self->on_writable = in_node;
    const uint32_t room = s->t->spy->room;
    ks_spy_block(s->t);
    KS_OK(kirim_endpoint_send_to(s->self->ep, "cue", 3, &s->self->addr));
    KS_OK(kirim_endpoint_send_to(s->self->ep, "cue", 3, &s->self->addr));
    ks_turn(s->t);
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_send_to(s->self->ep, "cue", 3, &s->self->addr));
    ks_spy_set_room(s->t, room);
}

static void play_failed(struct kc_scene *s)
{
    s->self = ks_node(s->t);
    s->self->ctx = s;
    s->self->on_failed = in_node;
    KS_OK(kirim_endpoint_send_to(s->self->ep, "cue", 3, &s->self->addr));
    ks_spy_refuse(s->t, KIRIM_ENOBUFS, 105, 0, 1);
    (void)kirim_endpoint_flush(s->self->ep);
}

static void play_closed(struct kc_scene *s)
{
    struct ks_node *n = ks_node(s->t);
    n->ctx = s;
    n->on_closed = in_node;
    ks_node_close(n);
}

static void play_done(struct kc_scene *s)
{
    struct ks_op *o = ks_op(s->t, 0);
    s->self = ks_node(s->t);
    o->ctx = s;
    o->hook = in_done;
    const uint32_t mode = s->t->mode;
    s->t->mode = 0;
    KS_ERR(KIRIM_PENDING, ks_send(s->self, "cue", 3, &s->self->addr, o));
    s->t->mode = mode;
}

static void play_timer(struct kc_scene *s)
{
    struct ks_timer *timer = ks_timer(s->t, 0);
    timer->ctx = s;
    timer->hook = in_timer;
    ks_arm_in(timer, 0);
}

static void play_post(struct kc_scene *s)
{
    struct ks_post *post = ks_post(s->t, 0);
    post->ctx = s;
    post->hook = in_post;
    s->remote = kirim_loop_remote(s->t->loop);
    KS_OK(kirim_remote_post(s->remote, &post->post));
}

/* A socket of another loop, to which something has been sent. */
static void play_guest(struct kc_scene *s)
{
    ks_init(&s->host, kc_guest_host(s->t), s->t->family);
    ks_open(&s->host);
    s->watched = ks_node(&s->host);
    s->guest = (struct kirim_guest)KIRIM_GUEST_INIT(in_guest, s);
    KS_OK(kirim_guest_watch(s->t->loop, &s->guest, kirim_endpoint_descriptor(s->watched->ep),
                            KIRIM_GUEST_READABLE));
    KS_OK(kirim_endpoint_send_to(s->watched->ep, "cue", 3, &s->watched->addr));
    (void)kirim_endpoint_flush(s->watched->ep);
}

void kc_scene_init(struct kc_scene *s, struct ks *t)
{
    memset(s, 0, sizeof *s);
    s->t = t;
    s->a = ks_node(t);
    s->b = ks_node(t);
}

void kc_scene_play(struct kc_scene *s, void (*action)(struct kc_scene *s))
{
    static void (*const plays[])(struct kc_scene * scene) = {
        [KC_IN_RECEIVED] = play_received, [KC_IN_WRITABLE] = play_writable,
        [KC_IN_FAILED] = play_failed,     [KC_IN_CLOSED] = play_closed,
        [KC_IN_DONE] = play_done,         [KC_IN_TIMER] = play_timer,
        [KC_IN_POST] = play_post,         [KC_IN_GUEST] = play_guest,
    };
    s->action = action;
    plays[s->t->arg](s);
    KS_UNTIL(s->t, s->is_done);
}

void kc_scene_fini(struct kc_scene *s)
{
    kirim_remote_release(s->remote);
    if (s->watched != NULL) {
        kirim_guest_remove(&s->guest);
        ks_close(&s->host);
    }
}
