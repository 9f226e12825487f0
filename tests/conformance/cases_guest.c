/* SPDX-License-Identifier: MIT
 *
 * Guests: foreign descriptors in the loop. Watched here are sockets of a second loop, so that the
 * cases need no system call of their own.
 */
#include "conformance.h"

/* A guest and the endpoint of another loop whose socket it watches. */
struct visit {
    struct ks *t;
    struct ks host;
    struct ks_node *n;
    struct kirim_guest guest;
    size_t called;
    uint32_t events;
    void (*hook)(struct visit *v);
};

static void on_ready(struct kirim_guest *guest, uint32_t events)
{
    struct visit *v = guest->user;
    ks_enter(v->t, 0);
    v->called++;
    v->events = events;
    if (v->hook != NULL) {
        v->hook(v);
    }
    ks_leave(v->t);
}

static void visit_init(struct visit *v, struct ks *t)
{
    *v = (struct visit){ .t = t };
    ks_init(&v->host, kc_guest_host(t), t->family);
    ks_open(&v->host);
    v->n = ks_node(&v->host);
    v->guest = (struct kirim_guest)KIRIM_GUEST_INIT(on_ready, v);
}

static void visit_fini(struct visit *v)
{
    kirim_guest_remove(&v->guest);
    ks_close(&v->host);
}

static kirim_err watch(struct visit *v, uint32_t events)
{
    return kirim_guest_watch(v->t->loop, &v->guest, kirim_endpoint_descriptor(v->n->ep), events);
}

static void make_readable(struct visit *v)
{
    KS_OK(kirim_endpoint_send_to(v->n->ep, "x", 1, &v->n->addr));
    KS_OK(kirim_endpoint_flush(v->n->ep));
}

static void called_once_a_turn(struct ks *t)
{
    struct visit v;
    visit_init(&v, t);
    KS_OK(watch(&v, KIRIM_GUEST_READABLE));
    ks_turn(t);
    KS_EQ(0, v.called);
    make_readable(&v);
    for (size_t i = 1; i <= 5; i++) {
        ks_turn(t);
        KS_EQ(i, v.called); /* level-triggered */
    }
    KS_EQ(KIRIM_GUEST_READABLE, v.events);
    KS_UNTIL(&v.host, v.n->rx_count == 1);
    ks_turn(t);
    KS_EQ(5, v.called);
    make_readable(&v);
    KS_UNTIL(t, v.called == 6); /* and it wakes the wait */
    struct kirim_loop_stats s = KIRIM_LOOP_STATS_INIT;
    KS_OK(kirim_loop_read_stats(t->loop, &s));
    KS_EQ(6, s.guests_called);
    visit_fini(&v);
}

static void writable_and_changes(struct ks *t)
{
    struct visit v;
    visit_init(&v, t);
    KS_OK(watch(&v, KIRIM_GUEST_WRITABLE));
    ks_turn(t);
    KS_EQ(1, v.called);
    KS_EQ(KIRIM_GUEST_WRITABLE, v.events);
    make_readable(&v);
    KS_OK(watch(&v, KIRIM_GUEST_WRITABLE | KIRIM_GUEST_READABLE));
    ks_turn(t);
    KS_EQ(2, v.called);
    KS_EQ(KIRIM_GUEST_WRITABLE | KIRIM_GUEST_READABLE, v.events);
    KS_OK(watch(&v, 0));
    ks_turn(t);
    KS_EQ(2, v.called);
    visit_fini(&v);
}

static void remove_guest(struct visit *v)
{
    kirim_guest_remove(&v->guest);
}

static void removed_in_its_callback(struct ks *t)
{
    struct visit v;
    visit_init(&v, t);
    v.hook = remove_guest;
    KS_OK(watch(&v, KIRIM_GUEST_READABLE));
    make_readable(&v);
    KS_UNTIL(t, v.called == 1);
    for (int i = 0; i < 3; i++) {
        ks_turn(t);
    }
    KS_EQ(1, v.called);
    kirim_guest_remove(&v.guest); /* nothing happens */
    KS_OK(watch(&v, KIRIM_GUEST_READABLE));
    KS_UNTIL(t, v.called == 2);
    visit_fini(&v);
}

static struct visit *other_visit;

static void remove_other(struct visit *v)
{
    (void)v;
    kirim_guest_remove(&other_visit->guest);
}

/* Both are ready in the same turn; whoever comes first removes the other. */
static void removes_a_ready_neighbour(struct ks *t)
{
    struct visit v[2];
    for (int i = 0; i < 2; i++) {
        visit_init(&v[i], t);
        KS_OK(watch(&v[i], KIRIM_GUEST_READABLE));
        make_readable(&v[i]);
    }
    v[0].hook = remove_other;
    other_visit = &v[1];
    KS_UNTIL(t, v[0].called >= 1);
    const size_t before = v[1].called;
    for (int i = 0; i < 3; i++) {
        ks_turn(t);
    }
    KS_CHECK(before <= 1);
    KS_EQ(before, v[1].called);
    visit_fini(&v[0]);
    visit_fini(&v[1]);
}

static void misuse_is_refused(struct ks *t)
{
    struct visit v;
    struct visit twin;
    visit_init(&v, t);
    visit_init(&twin, t);
    const intptr_t descriptor = kirim_endpoint_descriptor(v.n->ep);
    struct kirim_guest mute = KIRIM_GUEST_INIT(NULL, NULL);
    KS_ERR(KIRIM_EINVAL, kirim_guest_watch(NULL, &v.guest, descriptor, KIRIM_GUEST_READABLE));
    KS_ERR(KIRIM_EINVAL, kirim_guest_watch(t->loop, NULL, descriptor, KIRIM_GUEST_READABLE));
    KS_ERR(KIRIM_EINVAL, kirim_guest_watch(t->loop, &mute, descriptor, KIRIM_GUEST_READABLE));
    KS_ERR(KIRIM_EINVAL, kirim_guest_watch(t->loop, &v.guest, descriptor, 64));
    KS_OK(watch(&v, KIRIM_GUEST_READABLE));
    KS_ERR(KIRIM_EEXIST, kirim_guest_watch(t->loop, &twin.guest, descriptor, KIRIM_GUEST_READABLE));
    KS_ERR(KIRIM_EINVAL,
           kirim_guest_watch(v.host.loop, &v.guest, descriptor, KIRIM_GUEST_READABLE));
    KS_ERR(KIRIM_EINVAL, kirim_guest_watch(t->loop, &v.guest, kirim_endpoint_descriptor(twin.n->ep),
                                           KIRIM_GUEST_READABLE));
    visit_fini(&v);
    visit_fini(&twin);
}

static void guest_holds_a_run(struct ks *t)
{
    struct visit v;
    visit_init(&v, t);
    v.hook = remove_guest;
    KS_OK(watch(&v, KIRIM_GUEST_READABLE));
    make_readable(&v);
    t->is_turn = true;
    KS_OK(kirim_loop_run(t->loop)); /* returns when the guest is gone */
    t->is_turn = false;
    KS_EQ(1, v.called);
    visit_fini(&v);
}

static void refused_without_guests(struct ks *t)
{
    struct kirim_guest guest = KIRIM_GUEST_INIT(on_ready, NULL);
    if ((t->caps & KIRIM_CAP_GUESTS) == 0) {
        KS_ERR(KIRIM_EOPNOTSUPP, kirim_guest_watch(t->loop, &guest, 0, KIRIM_GUEST_READABLE));
    }
    kirim_guest_remove(&guest);
}

static const struct kc_case cases[] = {
    KC_CAPS("guest_is_called_once_a_turn_while_it_is_ready", "", called_once_a_turn, KC_LIVE, 0,
            KIRIM_CAP_GUESTS),
    KC_CAPS("guest_changes_what_it_waits_for", "", writable_and_changes, KC_LIVE, 0,
            KIRIM_CAP_GUESTS),
    KC_CAPS("guest_is_removed_in_its_callback", "", removed_in_its_callback, KC_LIVE, 0,
            KIRIM_CAP_GUESTS),
    KC_CAPS("guest_removes_a_ready_neighbour", "", removes_a_ready_neighbour, KC_LIVE, 0,
            KIRIM_CAP_GUESTS),
    KC_CAPS("misuse_of_guests_is_refused", "", misuse_is_refused, KC_CHECKED, 0, KIRIM_CAP_GUESTS),
    KC_CAPS("guest_holds_a_run", "", guest_holds_a_run, KC_LIVE, 0, KIRIM_CAP_GUESTS),
    KC("guest_is_refused_where_there_are_none", "", refused_without_guests, KC_CHECKED, 0),
};

const struct kc_subject kc_guest = KC_SUBJECT("guest", cases);
