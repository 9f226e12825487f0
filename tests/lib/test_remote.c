/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/remote.c, with threads: posts run once and in order, a closed loop answers
 * KIRIM_ECLOSED, a remote outlives its loop. On the scripted reactor.
 */
#include "support/stage.h"

#include <pthread.h>

enum { THREAD_COUNT = 4, POST_COUNT = 500 };

/* A thread that posts numbered posts. */
struct poster {
    struct kirim_remote *remote;
    struct kirim_post post[POST_COUNT];
    pthread_t thread;
    uint32_t accepted_count;
    uint32_t run_count;
    uint32_t closed_count; /* of those that ran, with KIRIM_ECLOSED */
    const struct kirim_loop *loop;
    bool is_keeping; /* its remote, for the main thread: the fixture's allocator is not for threads
                      */
};

/* In the loop's thread. */
static void run_post(struct kirim_post *post, struct kirim_loop *loop, kirim_err err)
{
    struct poster *p = post->user;
    KS_CHECK(post == &p->post[p->run_count]); /* each thread's posts in their order, each once */
    KS_CHECK(loop == p->loop);
    KS_CHECK(err == KIRIM_OK || err == KIRIM_ECLOSED);
    KS_CHECK(p->closed_count == 0 || err == KIRIM_ECLOSED);
    p->run_count++;
    p->closed_count += err == KIRIM_ECLOSED;
}

static void *post_all(void *ctx)
{
    struct poster *p = ctx;
    for (uint32_t i = 0; i < POST_COUNT; i++) {
        const kirim_err err = kirim_remote_post(p->remote, &p->post[i]);
        if (err == KIRIM_OK) {
            p->accepted_count++;
        } else {
            KS_ERR(KIRIM_ECLOSED, err);
            break;
        }
    }
    if (!p->is_keeping) {
        kirim_remote_release(p->remote);
    }
    return NULL;
}

static struct poster *start_posters(struct kirim_loop *loop, bool are_keeping)
{
    struct poster *p = calloc(THREAD_COUNT, sizeof *p);
    KS_CHECK(p != NULL);
    for (int t = 0; t < THREAD_COUNT; t++) {
        p[t].remote = kirim_loop_remote(loop);
        p[t].loop = loop;
        p[t].is_keeping = are_keeping;
        for (uint32_t i = 0; i < POST_COUNT; i++) {
            p[t].post[i] = (struct kirim_post)KIRIM_POST_INIT(run_post, &p[t]);
        }
    }
    for (int t = 0; t < THREAD_COUNT; t++) {
        KS_EQ(0, pthread_create(&p[t].thread, NULL, post_all, &p[t]));
    }
    return p;
}

static void join_posters(struct poster *p)
{
    for (int t = 0; t < THREAD_COUNT; t++) {
        KS_EQ(0, pthread_join(p[t].thread, NULL));
        if (p[t].is_keeping) {
            kirim_remote_release(p[t].remote);
        }
    }
}

START_TEST(every_thread_s_posts_run_once_and_in_order)
{
    struct stage *x = stage_new(0);
    script_open(x->s);
    x->s->is_patient = true;
    struct poster *p = start_posters(x->t.loop, false);
    KS_OK(kirim_loop_run(x->t.loop)); /* until nobody holds a remote */
    join_posters(p);
    ks_turn(&x->t);
    for (int t = 0; t < THREAD_COUNT; t++) {
        KS_EQ(POST_COUNT, p[t].accepted_count);
        KS_EQ(POST_COUNT, p[t].run_count);
        KS_EQ(0, p[t].closed_count);
    }
    struct kirim_loop_stats s = KIRIM_LOOP_STATS_INIT;
    KS_OK(kirim_loop_read_stats(x->t.loop, &s));
    KS_EQ(THREAD_COUNT * POST_COUNT, s.posts);
    KS_CHECK(s.wakes >= 1);
    stage_close(x);
    free(p);
}
END_TEST

START_TEST(what_a_closing_loop_accepted_runs_and_nothing_else)
{
    struct stage *x = stage_open(0);
    struct poster *p = start_posters(x->t.loop, true);
    for (int i = 0; i < _i; i++) {
        ks_turn(&x->t); /* does not wait for them */
    }
    ks_close_loop(&x->t);
    join_posters(p);
    for (int t = 0; t < THREAD_COUNT; t++) {
        KS_EQ(p[t].accepted_count, p[t].run_count);
    }
    stage_close(x);
    free(p);
}
END_TEST

START_TEST(posts_that_are_left_run_inside_the_close)
{
    struct stage *x = stage_open(0);
    struct ks_post *post = ks_post(&x->t, 'p');
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    KS_OK(kirim_remote_post(remote, &post->post));
    ks_close_loop(&x->t);
    KS_EQ(1, post->run_count);
    KS_ERR(KIRIM_ECLOSED, post->err);
    kirim_remote_release(remote);
    stage_close(x);
}
END_TEST

START_TEST(a_remote_outlives_its_loop)
{
    struct stage *x = stage_open(0);
    struct ks_post *post = ks_post(&x->t, 'p');
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    struct kirim_remote *second = kirim_remote_retain(remote);
    KS_CHECK(second == remote);
    ks_close_loop(&x->t);
    KS_ERR(KIRIM_ECLOSED, kirim_remote_post(remote, &post->post));
    KS_ERR(KIRIM_ECLOSED, kirim_remote_wake(remote));
    KS_ERR(KIRIM_ECLOSED, kirim_remote_stop(remote));
    kirim_remote_release(remote);
    KS_ERR(KIRIM_ECLOSED, kirim_remote_wake(second));
    KS_EQ(1, x->t.memory.blocks); /* the remote alone */
    kirim_remote_release(second);
    KS_EQ(0, post->run_count);
    stage_close(x);
}
END_TEST

START_TEST(misuse_is_found_out)
{
    struct stage *x = stage_open(0);
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    struct kirim_post post = KIRIM_POST_INIT(NULL, NULL);
    struct kirim_post whole = KIRIM_POST_INIT(run_post, NULL);
    KS_ERR(KIRIM_EINVAL, kirim_remote_post(remote, &post));
    KS_ERR(KIRIM_EINVAL, kirim_remote_post(remote, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_remote_post(NULL, &whole));
    KS_ERR(KIRIM_EINVAL, kirim_remote_wake(NULL));
    KS_ERR(KIRIM_EINVAL, kirim_remote_stop(NULL));
    kirim_remote_release(NULL);
    kirim_remote_release(remote);
    stage_close(x);
}
END_TEST

static void *wake_from_outside(void *ctx)
{
    KS_OK(kirim_remote_wake(ctx));
    return NULL;
}

static void *stop_from_outside(void *ctx)
{
    KS_OK(kirim_remote_stop(ctx));
    return NULL;
}

START_TEST(a_wake_from_another_thread_ends_a_wait)
{
    struct stage *x = stage_open(0);
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    pthread_t thread;
    x->s->is_patient = true;
    KS_EQ(0, pthread_create(&thread, NULL, wake_from_outside, remote));
    KS_OK(kirim_loop_step(x->t.loop, KIRIM_NEVER));
    KS_EQ(0, pthread_join(thread, NULL));
    kirim_remote_release(remote);
    stage_close(x);
}
END_TEST

START_TEST(a_stop_from_another_thread_ends_a_run)
{
    struct stage *x = stage_open(0);
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    pthread_t thread;
    x->s->is_patient = true;
    KS_EQ(0, pthread_create(&thread, NULL, stop_from_outside, remote));
    KS_OK(kirim_loop_run(x->t.loop));
    KS_EQ(0, pthread_join(thread, NULL));
    KS_CHECK(!kirim_loop_is_stopping(x->t.loop));
    KS_OK(kirim_remote_stop(remote)); /* before a run: it returns at once */
    KS_CHECK(kirim_loop_is_stopping(x->t.loop));
    const size_t wait_count = x->s->wait_count;
    KS_OK(kirim_loop_run(x->t.loop));
    KS_EQ(wait_count, x->s->wait_count);
    kirim_remote_release(remote);
    stage_close(x);
}
END_TEST

static void *give_back(void *ctx)
{
    kirim_remote_release(ctx);
    return NULL;
}

START_TEST(a_run_ends_when_the_last_remote_is_given_back)
{
    struct stage *x = stage_new(0);
    script_open(x->s);
    x->s->is_patient = true;
    KS_OK(kirim_loop_run(x->t.loop)); /* nothing to run for */
    struct kirim_remote *remote = kirim_loop_remote(x->t.loop);
    pthread_t thread;
    KS_EQ(0, pthread_create(&thread, NULL, give_back, remote));
    KS_OK(kirim_loop_run(x->t.loop));
    KS_EQ(0, pthread_join(thread, NULL));
    stage_close(x);
}
END_TEST

/* A loop in a thread that ends without closing it (S26). */
static void *leave_loop_behind(void *ctx)
{
    struct stage *x = ctx;
    script_open(x->s);
    x->n = ks_node(&x->t);
    x->p = script_port_of(x->s, x->n->ep);
    x->p->fly_every = 1;
    KS_SEND_OP(x->n, "data", 4, &x->to, ks_op(&x->t, 'a'));
    ks_turn(&x->t);
    KS_SEND_OP(x->n, "more", 4, &x->to, ks_op(&x->t, 'b'));
    return NULL;
}

START_TEST(a_loop_whose_thread_has_ended_is_closed_from_another) /* S26 */
{
    struct stage *x = stage_new(0);
    pthread_t thread;
    KS_EQ(0, pthread_create(&thread, NULL, leave_loop_behind, x));
    KS_EQ(0, pthread_join(thread, NULL));
    KS_EQ(1, x->p->flight_count);
    x->t.is_turn = true;
    KS_OK(kirim_loop_close(x->t.loop));
    x->t.is_turn = false;
    x->t.loop = NULL;
    KS_EQ(1, x->n->closed_count);
    KS_TRACE(&x->t, "ab");
    stage_close(x);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("remote");
    TCase *const tcase = tcase_create("remote");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_thread_s_posts_run_once_and_in_order);
    tcase_add_loop_test(tcase, what_a_closing_loop_accepted_runs_and_nothing_else, 0, 20);
    tcase_add_test(tcase, posts_that_are_left_run_inside_the_close);
    tcase_add_test(tcase, a_remote_outlives_its_loop);
    tcase_add_test(tcase, misuse_is_found_out);
    tcase_add_test(tcase, a_wake_from_another_thread_ends_a_wait);
    tcase_add_test(tcase, a_stop_from_another_thread_ends_a_run);
    tcase_add_test(tcase, a_run_ends_when_the_last_remote_is_given_back);
    tcase_add_test(tcase, a_loop_whose_thread_has_ended_is_closed_from_another);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
