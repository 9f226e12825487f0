/* SPDX-License-Identifier: MIT
 *
 * What crosses threads: posts and wakes from four threads, a stop, the end of a loop beside them, a
 * loop whose thread has ended (S26), two loops in two threads.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "conformance.h"
#include "support/ks_spy.h"

enum {
    THREADS = 4,
    POSTS = 500 /* of each thread */
};

struct sender;

/* A post that knows where it stands; the fixture's own are for one thread. */
struct letter {
    struct kirim_post post;
    struct sender *from;
    uint32_t number;
    kirim_err accepted;
    uint32_t run_count;
    kirim_err err;
};

struct sender {
    struct ks *t;
    struct kirim_remote *remote;
    pthread_t thread;
    struct letter letters[POSTS];
    uint32_t next;    /* to run: each thread's posts run in order */
    atomic_uint seen; /* how many have run */
    bool is_in_order;
};

static void on_letter(struct kirim_post *post, struct kirim_loop *loop, kirim_err err)
{
    struct letter *letter = post->user;
    struct sender *s = letter->from;
    ks_enter(s->t, 0);
    KS_CHECK(loop == s->t->loop);
    s->is_in_order = s->is_in_order && letter->number == s->next;
    s->next++;
    letter->run_count++;
    letter->err = err;
    atomic_fetch_add(&s->seen, 1);
    ks_leave(s->t);
}

static struct sender *make_senders(struct ks *t)
{
    struct sender *all = calloc(THREADS, sizeof *all);
    KS_CHECK(all != NULL);
    for (int i = 0; i < THREADS; i++) {
        all[i].t = t;
        all[i].is_in_order = true;
        all[i].remote = kirim_loop_remote(t->loop);
        for (uint32_t k = 0; k < POSTS; k++) {
            struct letter *letter = &all[i].letters[k];
            letter->post = (struct kirim_post)KIRIM_POST_INIT(on_letter, letter);
            letter->from = &all[i];
            letter->number = k;
        }
    }
    return all;
}

static void start(struct sender *all, void *(*body)(void *))
{
    for (int i = 0; i < THREADS; i++) {
        KS_EQ(0, pthread_create(&all[i].thread, NULL, body, &all[i]));
    }
}

static void join(struct sender *all)
{
    for (int i = 0; i < THREADS; i++) {
        KS_EQ(0, pthread_join(all[i].thread, NULL));
        kirim_remote_release(all[i].remote);
    }
}

static size_t count_seen(struct sender *all)
{
    size_t count = 0;
    for (int i = 0; i < THREADS; i++) {
        count += atomic_load(&all[i].seen);
    }
    return count;
}

/* Turns until all posts have run. Virtual time is no measure of what threads do, so turns are
 * counted by Check's clock alone. */
static void turn_until_seen(struct ks *t, struct sender *all, size_t count)
{
    while (count_seen(all) < count) {
        t->is_turn = true;
        KS_OK(kirim_loop_step(t->loop, 10 * KS_MILLISECOND_NS));
        t->is_turn = false;
    }
}

/* ---- posts ----------------------------------------------------------------------------------- */

static void *post_all(void *context)
{
    struct sender *s = context;
    for (uint32_t i = 0; i < POSTS; i++) {
        s->letters[i].accepted = kirim_remote_post(s->remote, &s->letters[i].post);
    }
    return NULL;
}

static void posts_of_four_threads(struct ks *t)
{
    struct sender *all = make_senders(t);
    start(all, post_all);
    turn_until_seen(t, all, (size_t)THREADS * POSTS);
    join(all);
    for (int i = 0; i < THREADS; i++) {
        KS_CHECK(all[i].is_in_order);
        for (int k = 0; k < POSTS; k++) {
            KS_OK(all[i].letters[k].accepted);
            KS_EQ(1, all[i].letters[k].run_count);
            KS_OK(all[i].letters[k].err);
        }
    }
    free(all);
}

/* Each thread waits for its post to have run before the next one: a wake that was lost would stop
 * it. */
static void *post_and_wait(void *context)
{
    struct sender *s = context;
    for (uint32_t i = 0; i < POSTS; i++) {
        s->letters[i].accepted = kirim_remote_post(s->remote, &s->letters[i].post);
        while (atomic_load(&s->seen) <= i) {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void wakes_are_not_lost(struct ks *t)
{
    struct sender *all = make_senders(t);
    start(all, post_and_wait);
    while (count_seen(all) < (size_t)THREADS * POSTS) {
        t->is_turn = true;
        KS_OK(kirim_loop_step(t->loop, KIRIM_NEVER)); /* nothing else would end this wait */
        t->is_turn = false;
    }
    join(all);
    free(all);
}

static void *wake_and_post(void *context)
{
    struct sender *s = context;
    for (uint32_t i = 0; i < POSTS; i++) {
        (void)kirim_remote_wake(s->remote);
        struct kirim_remote *mine = kirim_remote_retain(s->remote);
        s->letters[i].accepted = kirim_remote_post(mine, &s->letters[i].post);
        kirim_remote_release(mine);
    }
    return NULL;
}

/* The loop closes while they post: what was accepted runs once, what was not never. */
static void close_beside_four_threads(struct ks *t)
{
    struct sender *all = make_senders(t);
    start(all, wake_and_post);
    turn_until_seen(t, all, 100);
    ks_close_loop(t);
    join(all);
    for (int i = 0; i < THREADS; i++) {
        KS_CHECK(all[i].is_in_order);
        for (int k = 0; k < POSTS; k++) {
            const struct letter *letter = &all[i].letters[k];
            KS_EQ(letter->accepted == KIRIM_OK ? 1 : 0, letter->run_count);
            KS_CHECK(letter->accepted == KIRIM_OK || letter->accepted == KIRIM_ECLOSED);
            KS_CHECK(letter->run_count == 0 || letter->err == KIRIM_OK ||
                     letter->err == KIRIM_ECLOSED);
        }
    }
    free(all);
}

static void *stop_it(void *context)
{
    struct sender *s = context;
    s->letters[0].accepted = kirim_remote_stop(s->remote);
    return NULL;
}

static void stop_from_another_thread(struct ks *t)
{
    struct sender *all = make_senders(t);
    (void)ks_node(t);
    start(all, stop_it);
    t->is_turn = true;
    KS_OK(kirim_loop_run(t->loop));
    t->is_turn = false;
    join(all);
    KS_OK(all[0].letters[0].accepted);
    free(all);
}

/* ---- loops and their threads ----------------------------------------------------------------- */

static void *leave_a_loop_behind(void *context)
{
    struct ks *t = context;
    ks_open_spied(t);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    ks_spy_set_room(t, 1);
    for (int i = 0; i < 3; i++) {
        KS_ERR(KIRIM_PENDING, ks_send(a, "x", 1, &b->addr, ks_op(t, 'o')));
    }
    ks_turn(t);
    ks_arm_in(ks_timer(t, 'X'), 0);
    return NULL;
}

static void loop_of_an_ended_thread_is_closed(struct ks *t)
{
    pthread_t thread;
    KS_EQ(0, pthread_create(&thread, NULL, leave_a_loop_behind, t));
    KS_EQ(0, pthread_join(thread, NULL));
    t->is_orphan = true;
    ks_close_loop(t);
    size_t aborted = 0;
    for (const struct ks_op *o = t->ops; o != NULL; o = o->next) {
        KS_EQ(1, o->done_count);
        aborted += o->err == KIRIM_EABORTED;
    }
    KS_EQ(2, aborted);
    KS_TRACE(t, "ooo");
}

static void *echo_in_a_thread(void *context)
{
    struct ks *t = context;
    ks_open(t);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (uint32_t i = 0; i < 500; i++) {
        ks_send_number(a, i, &b->addr);
        KS_EXPECT_NUMBERS(b, i, 1);
    }
    ks_close(t);
    return NULL;
}

static void two_loops_in_two_threads(struct ks *t)
{
    struct ks other;
    pthread_t thread;
    ks_init(&other, t->reactor, t->family);
    KS_EQ(0, pthread_create(&thread, NULL, echo_in_a_thread, &other));
    (void)echo_in_a_thread(t);
    KS_EQ(0, pthread_join(thread, NULL));
}

static void *own_and_echo(void *context)
{
    struct ks *t = context;
    kirim_loop_own(t->loop);
    struct ks_node *a = ks_node(t);
    KS_EXPECT_END(a, a);
    return NULL;
}

static void loop_moves_to_another_thread(struct ks *t)
{
    pthread_t thread;
    KS_EQ(0, pthread_create(&thread, NULL, own_and_echo, t));
    KS_EQ(0, pthread_join(thread, NULL));
    kirim_loop_own(t->loop);
    struct ks_node *a = ks_node(t);
    KS_EXPECT_END(a, a);
}

static const struct kc_case cases[] = {
    KC("posts_of_four_threads_run_in_their_orders", "", posts_of_four_threads, KC_LIVE, 0),
    KC("wakes_of_four_threads_are_not_lost", "", wakes_are_not_lost, KC_LIVE, 0),
    KC("loop_closes_beside_four_threads", "", close_beside_four_threads, KC_LIVE, 0),
    KC("another_thread_ends_a_run", "", stop_from_another_thread, KC_LIVE, 0),
    KC("loop_of_an_ended_thread_is_closed_by_another", "S26", loop_of_an_ended_thread_is_closed,
       KC_SPY, KC_UNOPENED),
    KC("two_loops_in_two_threads_share_nothing", "", two_loops_in_two_threads, KC_LIVE,
       KC_UNOPENED),
    KC("loop_moves_to_another_thread", "", loop_moves_to_another_thread, KC_LIVE, 0),
};

const struct kc_subject kc_threads = KC_SUBJECT("threads", cases);
