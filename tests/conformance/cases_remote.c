/* SPDX-License-Identifier: MIT
 *
 * Remotes, seen from the loop's own thread; what other threads do is in cases_threads_posix.c.
 */
#include "conformance.h"

static void posts_run_once_and_in_order(struct ks *t)
{
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    struct ks_post *posts[20];
    for (int i = 0; i < 20; i++) {
        posts[i] = ks_post(t, (char)('a' + i));
        KS_OK(kirim_remote_post(remote, &posts[i]->post));
        KS_EQ(0, posts[i]->run_count); /* never inside the call */
    }
    KS_EQ(0, kirim_loop_deadline(t->loop));
    ks_turn(t);
    KS_TRACE(t, "abcdefghijklmnopqrst");
    for (int i = 0; i < 20; i++) {
        KS_OK(posts[i]->err);
    }
    KS_OK(kirim_remote_post(remote, &posts[0]->post)); /* the caller's again */
    KS_UNTIL(t, posts[0]->run_count == 2);
    struct kirim_loop_stats s = KIRIM_LOOP_STATS_INIT;
    KS_OK(kirim_loop_read_stats(t->loop, &s));
    KS_EQ(21, s.posts);
    kirim_remote_release(remote);
}

static void wake_ends_the_wait(struct ks *t)
{
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    const uint64_t start_ns = kirim_loop_now(t->loop);
    for (int i = 0; i < 100; i++) {
        KS_OK(kirim_remote_wake(remote)); /* they merge */
    }
    t->is_turn = true;
    KS_OK(kirim_loop_step(t->loop, t->patience_ns));
    t->is_turn = false;
    KS_CHECK(kirim_loop_now(t->loop) - start_ns < t->patience_ns);
    /* And that was all of them. */
    struct ks_timer *timer = ks_timer(t, 0);
    ks_arm_in(timer, 3 * KS_MILLISECOND_NS);
    KS_UNTIL(t, timer->fired_count == 1);
    kirim_remote_release(remote);
}

static void stop_ends_a_run(struct ks *t)
{
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    (void)ks_node(t);
    KS_OK(kirim_remote_stop(remote));
    t->is_turn = true;
    KS_OK(kirim_loop_run(t->loop));
    t->is_turn = false;
    kirim_remote_release(remote);
}

static void remote_outlives_the_loop(struct ks *t)
{
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    struct ks_post *post = ks_post(t, 0);
    KS_CHECK(kirim_remote_retain(remote) == remote);
    ks_close_loop(t);
    KS_ERR(KIRIM_ECLOSED, kirim_remote_post(remote, &post->post));
    KS_ERR(KIRIM_ECLOSED, kirim_remote_wake(remote));
    KS_ERR(KIRIM_ECLOSED, kirim_remote_stop(remote));
    KS_EQ(0, post->run_count);
    kirim_remote_release(remote);
    KS_ERR(KIRIM_ECLOSED, kirim_remote_wake(remote));
    kirim_remote_release(remote);
    kirim_remote_release(NULL);
}

static void post_again(struct ks_post *post)
{
    if (post->run_count == 1) {
        KS_ERR(post->err == KIRIM_OK ? KIRIM_OK : KIRIM_ECLOSED,
               kirim_remote_post(post->ctx, &post->post));
    }
}

static void waiting_posts_get_closed(struct ks *t)
{
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    struct ks_post *posts[5];
    for (int i = 0; i < 5; i++) {
        posts[i] = ks_post(t, (char)('a' + i));
        posts[i]->ctx = remote;
        posts[i]->hook = post_again;
        KS_OK(kirim_remote_post(remote, &posts[i]->post));
    }
    ks_close_loop(t);
    KS_TRACE(t, "abcde");
    for (int i = 0; i < 5; i++) {
        KS_EQ(1, posts[i]->run_count);
        KS_ERR(KIRIM_ECLOSED, posts[i]->err);
    }
    kirim_remote_release(remote);
}

static void misuse_is_refused(struct ks *t)
{
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    struct kirim_post mute = KIRIM_POST_INIT(NULL, NULL);
    struct ks_post *post = ks_post(t, 0);
    KS_ERR(KIRIM_EINVAL, kirim_remote_post(remote, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_remote_post(remote, &mute));
    KS_ERR(KIRIM_EINVAL, kirim_remote_post(NULL, &post->post));
    kirim_remote_release(remote);
}

static const struct kc_case cases[] = {
    KC("posts_run_once_and_in_order", "", posts_run_once_and_in_order, KC_LIVE, 0),
    KC("wake_ends_the_wait_once", "", wake_ends_the_wait, KC_LIVE, 0),
    KC("remote_stop_ends_a_run", "", stop_ends_a_run, KC_LIVE, 0),
    KC("remote_outlives_its_loop", "", remote_outlives_the_loop, KC_LIVE, 0),
    KC("posts_that_wait_get_closed", "S26", waiting_posts_get_closed, KC_LIVE, 0),
    KC("misuse_of_remotes_is_refused", "", misuse_is_refused, KC_CHECKED, 0),
};

const struct kc_subject kc_remote = KC_SUBJECT("remote", cases);
