/* SPDX-License-Identifier: MIT
 *
 * The loop: opening by name, running, stopping, embedding, its clock, its memory, growth of its
 * options.
 */
#include <string.h>

#include "conformance.h"
#include "support/ks_spy.h"

/* ---- opening --------------------------------------------------------------------------------- */

static void opens_by_name(struct ks *t)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop = NULL;
    options.reactor = "no such reactor";
    KS_ERR(KIRIM_ENOENT, kirim_loop_open(&options, &loop));
    options.reactor = "";
    KS_ERR(KIRIM_ENOENT, kirim_loop_open(&options, &loop));
    KS_CHECK(loop == NULL);
    options.reactor = t->reactor;
    KS_ERR(KIRIM_EINVAL, kirim_loop_open(&options, NULL));
    KS_OK(kirim_loop_open(&options, &loop));
    KS_CHECK(strcmp(kirim_loop_reactor(loop), t->reactor) == 0);
    KS_OK(kirim_loop_close(loop));
    KS_OK(kirim_loop_close(NULL));
}

static void opens_without_a_name(struct ks *t)
{
    (void)t;
    struct kirim_loop *loop = NULL;
    KS_OK(kirim_loop_open(NULL, &loop));
    const char *best = kirim_loop_reactor(loop);
    bool is_listed = false;
    for (size_t i = 0; kirim_reactor_name(i) != NULL; i++) {
        is_listed = is_listed || strcmp(kirim_reactor_name(i), best) == 0;
    }
    KS_CHECK(is_listed);
    KS_OK(kirim_loop_close(loop));
}

static void options_grow(struct ks *t)
{
    struct {
        struct kirim_loop_options known;
        uint64_t later;
    } options = { KIRIM_LOOP_OPTIONS_INIT, 0 };
    struct kirim_loop *loop = NULL;
    options.known.reactor = t->reactor;
    options.known.size = 0;
    KS_ERR(KIRIM_EINVAL, kirim_loop_open(&options.known, &loop));
    options.known.size = sizeof options.known - 1;
    KS_ERR(KIRIM_EINVAL, kirim_loop_open(&options.known, &loop));
    options.known.size = sizeof options;
    options.later = 1; /* an option that this library does not know, and so cannot keep */
    KS_ERR(KIRIM_EINVAL, kirim_loop_open(&options.known, &loop));
    KS_CHECK(loop == NULL);
    options.later = 0;
    KS_OK(kirim_loop_open(&options.known, &loop));
    KS_OK(kirim_loop_close(loop));
}

static void bounds_are_checked(struct ks *t)
{
    static const struct {
        uint32_t datagram_bytes, slots;
        kirim_err err;
    } tries[] = {
        { 511, 0, KIRIM_EINVAL },   { 512, 0, KIRIM_OK },      { 65535, 0, KIRIM_OK },
        { 65536, 0, KIRIM_EINVAL }, { 0, 63, KIRIM_EINVAL },   { 0, 64, KIRIM_OK },
        { 0, 4096, KIRIM_OK },      { 0, 4097, KIRIM_EINVAL },
    };
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
        options.datagram_bytes_max = tries[i].datagram_bytes;
        options.receive_slot_count = tries[i].slots;
        KS_ERR(tries[i].err, ks_try_open(t, &options));
        if (tries[i].err == KIRIM_OK) {
            ks_close_loop(t);
        }
    }
}

/* Every allocation fails once: the call that needed it says so, and nothing is lost or left behind.
 */
static void failing_memory_is_reported(struct ks *t)
{
    bool is_failing = true;
    for (uint64_t n = 1; is_failing; n++) {
        KS_CHECK(n < 1000);
        struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
        t->memory.calls = 0;
        t->memory.fail_at = n;
        t->memory.is_lasting = false;
        kirim_err err = ks_try_open(t, &options);
        is_failing = err != KIRIM_OK;
        if (err == KIRIM_OK) {
            struct ks_node *a = NULL;
            const struct kirim_endpoint_options local = ks_endpoint_options(t);
            err = ks_node_try(t, &local, &a);
            is_failing = err != KIRIM_OK;
            for (uint32_t i = 0; err == KIRIM_OK && i < 200; i++) {
                err = kirim_endpoint_send_to(a->ep, "12345678", 8, &a->addr);
                is_failing = is_failing || err != KIRIM_OK;
                if (i % 3 == 0) {
                    const kirim_err with_op = ks_send(a, "12345678", 8, &a->addr, ks_op(t, 0));
                    KS_CHECK(with_op >= 0 || with_op == KIRIM_ENOMEM);
                    is_failing = is_failing || with_op < 0;
                }
            }
            ks_close_loop(t);
        }
        KS_CHECK(err == KIRIM_OK || err == KIRIM_ENOMEM);
        KS_EQ(0, t->memory.blocks);
        is_failing = is_failing || t->memory.calls >= n;
    }
    t->memory.fail_at = 0;
}

/* ---- running --------------------------------------------------------------------------------- */

static void run(struct ks *t)
{
    t->is_turn = true;
    KS_OK(kirim_loop_run(t->loop));
    t->is_turn = false;
}

static void run_ends_when_nothing_is_left(struct ks *t)
{
    run(t); /* nothing at all */
    struct ks_timer *timer = ks_timer(t, 't');
    ks_arm_in(timer, KS_MILLISECOND_NS);
    run(t);
    KS_EQ(1, timer->fired_count);
    struct ks_node *a = ks_node(t);
    a->mark = 'c';
    KS_OK(kirim_endpoint_send_to(a->ep, "x", 1, &a->addr));
    ks_node_close(a);
    run(t);
    KS_TRACE(t, "tc");
}

static void stop_the_loop(struct ks_timer *timer)
{
    KS_CHECK(!kirim_loop_is_stopping(timer->t->loop));
    kirim_loop_stop(timer->t->loop);
    KS_CHECK(kirim_loop_is_stopping(timer->t->loop));
}

static void stop_ends_the_run_after_its_turn(struct ks *t)
{
    struct ks_timer *first = ks_timer(t, 'a');
    struct ks_timer *second = ks_timer(t, 'b');
    struct ks_timer *third = ks_timer(t, 'c');
    (void)ks_node(t); /* which would hold the run */
    const uint64_t now_ns = kirim_loop_now(t->loop);
    first->hook = stop_the_loop;
    KS_OK(kirim_timer_arm(t->loop, &first->timer, now_ns));
    KS_OK(kirim_timer_arm(t->loop, &second->timer, now_ns)); /* of the same turn */
    KS_OK(kirim_timer_arm(t->loop, &third->timer, now_ns + 3600ULL * KS_SECOND_NS));
    run(t);
    KS_TRACE(t, "ab");
    KS_CHECK(!kirim_loop_is_stopping(t->loop));
    kirim_loop_stop(t->loop); /* with no run to end: the next one ends at once */
    KS_CHECK(kirim_loop_is_stopping(t->loop));
    run(t);
    KS_CHECK(!kirim_loop_is_stopping(t->loop));
    KS_TRACE(t, "ab");
}

static void step_waits_no_longer_than_told(struct ks *t)
{
    (void)ks_node(t);
    const uint64_t start_ns = kirim_loop_now(t->loop);
    ks_turn(t);
    KS_CHECK(kirim_loop_now(t->loop) - start_ns < KS_SECOND_NS);
    KS_CHECK(!ks_wait(t, start_ns));
    while (kirim_loop_now(t->loop) < start_ns + 5 * KS_MILLISECOND_NS) {
        KS_CHECK(ks_wait(t, start_ns + 5 * KS_MILLISECOND_NS));
    }
    KS_CHECK(kirim_loop_now(t->loop) - start_ns < KS_SECOND_NS);
    KS_ERR(KIRIM_EINVAL, kirim_loop_step(NULL, 0));
    KS_ERR(KIRIM_EINVAL, kirim_loop_run(NULL));
}

static uint64_t first_now_ns;

static void remember_now(struct ks_timer *timer)
{
    const uint64_t now_ns = kirim_loop_now(timer->t->loop);
    if (first_now_ns == 0) {
        first_now_ns = now_ns;
        for (volatile int i = 0; i < 100000; i++) {}
    }
    KS_CHECK(now_ns == kirim_loop_now(timer->t->loop));
    KS_CHECK(now_ns == first_now_ns);
}

static void now_is_equal_within_a_turn(struct ks *t)
{
    const uint64_t now_ns = kirim_loop_now(t->loop);
    struct ks_timer *timers[3];
    first_now_ns = 0;
    for (int i = 0; i < 3; i++) {
        timers[i] = ks_timer(t, 0);
        timers[i]->hook = remember_now;
        KS_OK(kirim_timer_arm(t->loop, &timers[i]->timer, now_ns));
    }
    KS_UNTIL(t, timers[2]->fired_count == 1);
    KS_CHECK(first_now_ns >= now_ns);
    KS_CHECK(kirim_loop_now(t->loop) >= first_now_ns);
}

static void alive_is_what_holds_a_run(struct ks *t)
{
    KS_CHECK(!kirim_loop_is_alive(t->loop));
    struct ks_timer *timer = ks_timer(t, 0);
    ks_arm_in(timer, 0);
    KS_CHECK(kirim_loop_is_alive(t->loop));
    kirim_timer_cancel(&timer->timer);
    KS_CHECK(!kirim_loop_is_alive(t->loop));
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    KS_CHECK(kirim_loop_is_alive(t->loop));
    kirim_remote_release(remote);
    KS_CHECK(!kirim_loop_is_alive(t->loop));
    struct ks_node *a = ks_node(t);
    KS_CHECK(kirim_loop_is_alive(t->loop));
    ks_node_close(a);
    KS_CHECK(kirim_loop_is_alive(t->loop)); /* a last callback is to be delivered */
    KS_UNTIL(t, a->closed_count == 1);
    KS_CHECK(!kirim_loop_is_alive(t->loop));
}

/* ---- embedding ------------------------------------------------------------------------------- */

static void deadline_tells_what_is_due(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_timer *timer = ks_timer(t, 0);
    ks_turn(t);
    KS_EQ(KIRIM_NEVER, kirim_loop_deadline(t->loop));
    ks_arm_in(timer, 3600ULL * KS_SECOND_NS);
    KS_CHECK(kirim_loop_deadline(t->loop) <= timer->timer.deadline_ns);
    KS_CHECK(kirim_loop_deadline(t->loop) > 0);
    KS_OK(kirim_endpoint_send_to(a->ep, "x", 1, &a->addr));
    KS_EQ(0, kirim_loop_deadline(t->loop));
    KS_UNTIL(t, a->rx_count == 1);
    ks_settle(t);
    KS_CHECK(kirim_loop_deadline(t->loop) > 0);
    KS_SEND_OP(a, "y", 1, &a->addr, ks_op(t, 0));
    (void)kirim_endpoint_flush(a->ep);
    KS_EQ(0, kirim_loop_deadline(t->loop)); /* a callback is to be delivered */
    ks_settle(t);
    ks_node_close(a);
    if ((t->caps & KIRIM_CAP_ALERTABLE) == 0) { /* there what was posted ends a wait first */
        KS_EQ(0, kirim_loop_deadline(t->loop)); /* the last one */
    }
    KS_UNTIL(t, a->closed_count == 1);
    kirim_timer_cancel(&timer->timer);
    KS_EQ(KIRIM_NEVER, kirim_loop_deadline(t->loop));
}

static void handle_or_refusal(struct ks *t)
{
    intptr_t handle = 0x5a5a;
    const kirim_err err = kirim_loop_pollable(t->loop, &handle);
    if ((t->caps & KIRIM_CAP_POLLABLE) == 0) {
        KS_ERR(KIRIM_EOPNOTSUPP, err);
        KS_EQ(0x5a5a, handle);
        return;
    }
    intptr_t again = 0;
    KS_OK(err);
    KS_OK(kirim_loop_pollable(t->loop, &again));
    KS_CHECK(handle == again);
    KS_ERR(KIRIM_EINVAL, kirim_loop_pollable(t->loop, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_loop_pollable(NULL, &handle));
}

/* ---- what protocol code asks of it ----------------------------------------------------------- */

static void random_bytes_are_not_all_alike(struct ks *t)
{
    uint8_t first[64] = { 0 };
    uint8_t second[64] = { 0 };
    KS_OK(kirim_loop_random(t->loop, first, sizeof first));
    KS_OK(kirim_loop_random(t->loop, second, sizeof second));
    KS_CHECK(memcmp(first, second, sizeof first) != 0);
    KS_ERR(KIRIM_EINVAL, kirim_loop_random(t->loop, NULL, 1));
    KS_ERR(KIRIM_EINVAL, kirim_loop_random(NULL, first, 1));
}

static void memory_comes_from_the_allocator(struct ks *t)
{
    const size_t before = t->memory.bytes;
    uint8_t *block = kirim_loop_alloc(t->loop, NULL, 0, 100);
    KS_CHECK(block != NULL);
    KS_EQ(before + 100, t->memory.bytes);
    memset(block, 7, 100);
    block = kirim_loop_alloc(t->loop, block, 100, 300);
    KS_CHECK(block != NULL && block[0] == 7 && block[99] == 7);
    KS_CHECK(kirim_loop_alloc(t->loop, block, 300, 0) == NULL);
    KS_EQ(before, t->memory.bytes);
}

static void capabilities_have_names(struct ks *t)
{
    for (uint32_t bit = 1; bit <= KIRIM_CAP_DROPS; bit <<= 1) {
        KS_CHECK(strcmp(kirim_cap_name(bit), "?") != 0);
    }
    KS_CHECK(strcmp(kirim_cap_name(KIRIM_CAP_POLLABLE), "pollable") == 0);
    KS_CHECK(strcmp(kirim_cap_name(0), "?") == 0);
    KS_CHECK(strcmp(kirim_cap_name(3), "?") == 0);
    KS_CHECK(strcmp(kirim_cap_name(1U << 31), "?") == 0);
    KS_EQ(0, kirim_loop_caps(t->loop) & KIRIM_CAP_DRIVEN);
    KS_CHECK(kirim_version()[0] != 0);
}

/* An idle loop is small, receive buffers left aside. */
static void idle_loop_is_small(struct ks *t)
{
    KS_CHECK(t->memory.blocks > 0);
    KS_CHECK(t->memory.bytes < 128ULL * 65536 + 300000);
}

static const struct kc_case cases[] = {
    KC("loop_opens_by_name", "", opens_by_name, KC_LIVE, KC_UNOPENED),
    KC("loop_without_a_name_runs_on_one_that_is_listed", "", opens_without_a_name, KC_LIVE,
       KC_UNOPENED | KC_SYSTEM),
    KC("options_of_another_version_are_understood_or_refused", "", options_grow, KC_CHECKED,
       KC_UNOPENED),
    KC("bounds_of_a_loop_are_checked", "", bounds_are_checked, KC_CHECKED, KC_UNOPENED),
    KC("failing_memory_is_reported_and_leaves_nothing", "", failing_memory_is_reported, KC_LIVE,
       KC_UNOPENED),
    KC("run_ends_when_nothing_is_left", "", run_ends_when_nothing_is_left, KC_LIVE, 0),
    KC("loop_is_alive_while_a_run_would_go_on", "", alive_is_what_holds_a_run, KC_LIVE, 0),
    KC("stop_ends_the_run_after_its_turn", "", stop_ends_the_run_after_its_turn, KC_LIVE, 0),
    KC("step_waits_no_longer_than_told", "S29", step_waits_no_longer_than_told, KC_LIVE, 0),
    KC("now_is_equal_within_a_turn", "", now_is_equal_within_a_turn, KC_LIVE, 0),
    KC("deadline_tells_what_is_due", "", deadline_tells_what_is_due, KC_LIVE, 0),
    KC("handle_is_given_or_refused", "", handle_or_refusal, KC_LIVE, 0),
    KC("random_bytes_are_not_all_alike", "", random_bytes_are_not_all_alike, KC_LIVE, 0),
    KC("memory_comes_from_the_allocator", "", memory_comes_from_the_allocator, KC_LIVE, 0),
    KC("capabilities_have_names", "", capabilities_have_names, KC_CHECKED, 0),
    KC("idle_loop_is_small", "", idle_loop_is_small, KC_LIVE, 0),
};

const struct kc_subject kc_loop = KC_SUBJECT("loop", cases);
