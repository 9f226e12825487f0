/* SPDX-License-Identifier: MIT
 *
 * Fairness: a flood on one endpoint starves nobody. The bounds are those of docs/turn.md: 4 batches
 * of 64 for each endpoint and turn.
 */
#include "conformance.h"
#include "support/ks_spy.h"

enum {
    TURN_MAX = 256, /* datagrams of one endpoint in one turn */
    FLOOD = 290     /* more than that, and little enough for the system's default buffer */
};

static struct ks_node *open_roomy(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.receive_buffer_bytes = 1 << 20;
    options.send_buffer_bytes = 1 << 20;
    return ks_node_with(t, &options);
}

/* Puts a flood into the receive buffer of `n`. */
static void flood(struct ks_node *from, struct ks_node *n)
{
    for (uint32_t i = 0; i < FLOOD; i++) {
        KS_OK(kirim_endpoint_send_to(from->ep, "", 0, &n->addr));
    }
    KS_OK(kirim_endpoint_flush(from->ep));
}

static void a_turn_has_its_bound(struct ks *t)
{
    struct ks_node *from = open_roomy(t);
    struct ks_node *n = open_roomy(t);
    flood(from, n);
    size_t before = 0;
    KS_UNTIL(t, n->rx_count > 0);
    KS_CHECK(n->rx_count <= TURN_MAX);
    KS_CHECK(n->batch_count <= 4);
    while (n->rx_count < FLOOD) {
        before = n->rx_count;
        KS_EQ(0, kirim_loop_deadline(t->loop)); /* the rest is for a turn that is due now */
        ks_turn(t);
        KS_CHECK(n->rx_count > before);
        KS_CHECK(n->rx_count - before <= TURN_MAX);
    }
    KS_EQ(FLOOD, n->rx_count);
}

/* Everything that is due in a turn happens in it, though two endpoints are flooded. */
static void a_flood_starves_nobody(struct ks *t)
{
    struct ks_node *from = open_roomy(t);
    struct ks_node *floods[2];
    struct ks_node *quiet = ks_node(t);
    struct ks_timer *timer = ks_timer(t, 't');
    struct ks_post *post = ks_post(t, 'p');
    struct ks_op *o = ks_op(t, 'o');
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    for (size_t i = 0; i < 2; i++) {
        floods[i] = open_roomy(t);
        flood(from, floods[i]);
    }
    KS_OK(kirim_endpoint_send_to(from->ep, "quiet", 5, &quiet->addr));
    KS_OK(kirim_endpoint_flush(from->ep));
    KS_UNTIL(t, floods[0]->rx_count > 0 && floods[1]->rx_count > 0 && quiet->rx_count > 0);
    KS_CHECK(floods[0]->rx_count < FLOOD);
    ks_arm_in(timer, 0);
    KS_OK(kirim_remote_post(remote, &post->post));
    KS_ERR(KIRIM_PENDING, ks_send(quiet, "x", 1, &from->addr, o));
    KS_OK(kirim_endpoint_send_to(from->ep, "quiet", 5, &quiet->addr));
    KS_OK(kirim_endpoint_flush(from->ep));
    ks_turn(t);
    ks_turn(t); /* what happens just after its stage waits for the next one */
    KS_EQ(1, timer->fired_count);
    KS_EQ(1, post->run_count);
    KS_EQ(1, o->done_count);
    KS_EQ(2, quiet->rx_count);
    kirim_remote_release(remote);
}

static void feed_itself(struct ks_node *n, const struct kirim_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        (void)kirim_endpoint_send_to(n->ep, "again", 5, &n->addr);
    }
    (void)kirim_endpoint_flush(n->ep);
}

/* A flood that never ends: what it receives it sends to itself. */
static void an_endless_flood_lets_turns_end(struct ks *t)
{
    struct ks_node *n = open_roomy(t);
    struct ks_node *quiet = ks_node(t);
    struct ks_timer *timer = ks_timer(t, 0);
    n->on_received = feed_itself;
    for (int i = 0; i < 100; i++) {
        KS_OK(kirim_endpoint_send_to(n->ep, "begin", 5, &n->addr));
    }
    for (int i = 0; i < 30; i++) {
        const size_t before = n->rx_count;
        const size_t quiet_before = quiet->rx_count;
        ks_arm_in(timer, 0);
        KS_OK(kirim_endpoint_send_to(quiet->ep, "me", 2, &quiet->addr));
        ks_turn(t);
        ks_turn(t);
        KS_CHECK(n->rx_count - before <= (size_t)2 * TURN_MAX);
        KS_EQ(quiet_before + 1, quiet->rx_count);
        KS_EQ(i + 1, timer->fired_count);
    }
    KS_CHECK(n->rx_count > 100);
    n->on_received = NULL;
}

/* Flooded endpoints take turns: none gets a second helping before the other had its first. */
static void flooded_endpoints_take_turns(struct ks *t)
{
    struct ks_node *from = open_roomy(t);
    struct ks_node *floods[3];
    for (size_t i = 0; i < 3; i++) {
        floods[i] = open_roomy(t);
        floods[i]->mark = (char)('a' + i);
        flood(from, floods[i]);
    }
    KS_UNTIL(t, floods[0]->rx_count == FLOOD && floods[1]->rx_count == FLOOD &&
                    floods[2]->rx_count == FLOOD);
    unsigned first_round = 0;
    size_t run = 0;
    for (size_t i = 0; i < t->trace_count && first_round != 7; i++) {
        run = i > 0 && t->trace[i] == t->trace[i - 1] ? run + 1 : 1;
        KS_CHECK(run <= 4);
        first_round |= 1U << (t->trace[i] - 'a');
        KS_CHECK(i < 12);
    }
}

static void wake_itself(struct ks_post *post)
{
    if (post->run_count < 50) {
        KS_OK(kirim_remote_post(post->ctx, &post->post));
    }
}

static void a_post_that_posts_lets_turns_end(struct ks *t)
{
    struct ks_post *post = ks_post(t, 0);
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    post->ctx = remote;
    post->hook = wake_itself;
    KS_OK(kirim_remote_post(remote, &post->post));
    for (size_t i = 1; i <= 10; i++) {
        ks_turn(t);
        KS_CHECK(post->run_count <= i);
    }
    KS_UNTIL(t, post->run_count == 50);
    kirim_remote_release(remote);
}

static const struct kc_case cases[] = {
    KC("turn_has_its_bound_for_each_endpoint", "S23", a_turn_has_its_bound, KC_LIVE, 0),
    KC("flood_starves_neither_timer_post_operation_nor_neighbour", "S23", a_flood_starves_nobody,
       KC_LIVE, 0),
    KC("endless_flood_lets_turns_end", "", an_endless_flood_lets_turns_end, KC_LIVE, 0),
    KC("flooded_endpoints_take_turns", "", flooded_endpoints_take_turns, KC_LIVE, 0),
    KC("post_that_posts_lets_turns_end", "", a_post_that_posts_lets_turns_end, KC_LIVE, 0),
};

const struct kc_subject kc_fairness = KC_SUBJECT("fairness", cases);
