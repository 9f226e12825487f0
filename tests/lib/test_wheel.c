/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/wheel.c: what it does at limits and from inside callbacks. What it does in
 * random runs is compared with a model, in test_wheel_model.c.
 */
#include "wheel.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define TICK_NS         (UINT64_C(1) << KI_WHEEL_TICK_SHIFT)
#define HOUR_NS         UINT64_C(3600000000000)

enum { LETTER_COUNT = 26, FIRED_MAX = 255 };

static const char letters[LETTER_COUNT + 1] = "abcdefghijklmnopqrstuvwxyz";

struct fixture;

/* A timer with a name of one letter; its callback writes that down, and does `act` after that. */
struct probe {
    struct kirim_timer timer;
    struct fixture *f;
    char name;
    void (*act)(struct probe *p);
    char other; /* whom `act` acts upon */
    uint64_t act_deadline_ns;
};

/* A wheel, its timers 'a' to 'z', and the names of what has fired, in that order. */
struct fixture {
    struct ki_wheel wheel;
    struct probe probes[LETTER_COUNT];
    char fired[FIRED_MAX + 1];
    size_t fired_count;
};

static struct probe *get(struct fixture *f, char name)
{
    return &f->probes[strchr(letters, name) - letters];
}

static void arm(struct fixture *f, char name, uint64_t deadline_ns)
{
    ki_wheel_arm(&f->wheel, &get(f, name)->timer, deadline_ns);
}

static void cancel(struct fixture *f, char name)
{
    ki_wheel_cancel(&f->wheel, &get(f, name)->timer);
}

static void arm_other(struct probe *p)
{
    arm(p->f, p->other, p->act_deadline_ns);
}

static void cancel_other(struct probe *p)
{
    cancel(p->f, p->other);
}

static void note(struct fixture *f, char what)
{
    ck_assert_uint_lt(f->fired_count, FIRED_MAX);
    f->fired[f->fired_count++] = what;
    f->fired[f->fired_count] = '\0';
}

static void note_expiry(struct kirim_timer *t)
{
    struct probe *const p = t->user;
    ck_assert(!ki_wheel_is_linked(t));
    note(p->f, p->name);
    if (p->act != NULL) {
        p->act(p);
    }
}

static void open_fixture(struct fixture *f, uint64_t now_ns)
{
    memset(f, 0, sizeof *f);
    ki_wheel_init(&f->wheel, now_ns);
    for (size_t i = 0; i < LETTER_COUNT; i++) {
        f->probes[i].timer = (struct kirim_timer)KIRIM_TIMER_INIT(note_expiry, &f->probes[i]);
        f->probes[i].f = f;
        f->probes[i].name = letters[i];
    }
}

/* Runs the wheel, and checks the names of all that fire. */
static void run_and_expect(struct fixture *f, uint64_t now_ns, const char *names)
{
    f->fired_count = 0;
    f->fired[0] = '\0';
    const size_t count = ki_wheel_run(&f->wheel, now_ns, NULL);
    ck_assert_str_eq(f->fired, names);
    ck_assert_uint_eq(count, strlen(names));
}

static void expect_idle(const struct kirim_timer *t)
{
    ck_assert(!ki_wheel_is_linked(t));
    ck_assert_ptr_null(t->ki_next);
    ck_assert_ptr_null(t->ki_prev);
    ck_assert_ptr_null(t->ki_child);
    ck_assert_uint_eq(t->ki_order, 0);
    ck_assert_uint_eq(t->ki_place, 0);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static const uint64_t starts[] = {
    0,
    1,
    TICK_NS - 1,
    TICK_NS,
    TICK_NS + 1,
    63 * TICK_NS,
    64 * TICK_NS - 1,
    4095 * TICK_NS + 77,
    UINT64_C(123456789012345),
    (UINT64_C(1) << 50) - 1,
    UINT64_C(1) << 50,
    UINT64_C(0x8000000000000000),
    UINT64_C(0xffff000000000000),
};

/* Calls `check` with every deadline that is n-1, n or n+1 from a limit of a level: as far away as
 * the level's slots are wide, and where the start's slot of the level ends. */
static void for_each_limit(uint64_t start_ns,
                           void (*check)(uint64_t start_ns, uint64_t deadline_ns))
{
    for (unsigned level = 0; level < KI_WHEEL_LEVEL_COUNT; level++) {
        const unsigned shift = KI_WHEEL_TICK_SHIFT + level * KI_WHEEL_LEVEL_SHIFT;
        const uint64_t width = UINT64_C(1) << shift;
        const uint64_t limits[] = { start_ns + width, ((start_ns >> shift) + 1) << shift };
        for (size_t i = 0; i < COUNT_OF(limits); i++) {
            if (limits[i] - 1 > start_ns && limits[i] + 1 > start_ns) {
                check(start_ns, limits[i] - 1);
                check(start_ns, limits[i]);
                check(start_ns, limits[i] + 1);
            }
        }
    }
    check(start_ns, KIRIM_NEVER - 1);
}

static void check_exact_firing(uint64_t start_ns, uint64_t deadline_ns)
{
    struct fixture f;
    open_fixture(&f, start_ns);
    arm(&f, 'a', deadline_ns);
    run_and_expect(&f, deadline_ns - 1, "");
    run_and_expect(&f, deadline_ns, "a");
    run_and_expect(&f, KIRIM_NEVER, "");
}

START_TEST(timer_fires_at_its_deadline_and_not_a_nanosecond_before)
{
    for_each_limit(starts[_i], check_exact_firing);
}
END_TEST

static void check_next(uint64_t start_ns, uint64_t deadline_ns)
{
    struct fixture f;
    open_fixture(&f, start_ns);
    arm(&f, 'a', deadline_ns);
    ck_assert_uint_eq(ki_wheel_next(&f.wheel), deadline_ns);
    run_and_expect(&f, start_ns + (deadline_ns - start_ns) / 2, "");
    ck_assert_uint_eq(ki_wheel_next(&f.wheel), deadline_ns);
}

START_TEST(next_is_the_deadline_of_a_lone_timer)
{
    for_each_limit(starts[_i], check_next);
}
END_TEST

static void check_order(uint64_t start_ns, uint64_t deadline_ns)
{
    struct fixture f;
    open_fixture(&f, start_ns);
    arm(&f, 'd', deadline_ns + 1);
    arm(&f, 'b', deadline_ns);
    arm(&f, 'c', deadline_ns);
    arm(&f, 'a', deadline_ns - 1);
    run_and_expect(&f, deadline_ns + 1, "abcd");
}

START_TEST(timers_around_a_limit_fire_in_the_order_of_deadline_and_arming)
{
    for_each_limit(starts[_i], check_order);
}
END_TEST

/* Time goes on by steps that double, so that the timer passes every level that is on its way. */
static void check_steps(uint64_t start_ns, uint64_t deadline_ns)
{
    struct fixture f;
    open_fixture(&f, start_ns);
    arm(&f, 'a', deadline_ns);
    uint64_t left_ns = deadline_ns - start_ns;
    while (left_ns > 0) {
        run_and_expect(&f, deadline_ns - left_ns, "");
        left_ns /= 2;
    }
    run_and_expect(&f, deadline_ns, "a");
}

START_TEST(timer_fires_at_its_deadline_after_many_small_steps)
{
    for_each_limit(starts[_i], check_steps);
}
END_TEST

START_TEST(deadline_in_the_past_fires_in_the_next_run)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    arm(&f, 'c', HOUR_NS);
    arm(&f, 'b', HOUR_NS - 1);
    arm(&f, 'a', 0);
    ck_assert_uint_eq(ki_wheel_next(&f.wheel), 0);
    run_and_expect(&f, HOUR_NS, "abc");
}
END_TEST

START_TEST(one_jump_from_zero_to_the_end_fires_everything_in_order)
{
    struct fixture f;
    open_fixture(&f, 0);
    for (unsigned i = 0; i < LETTER_COUNT; i++) {
        const unsigned at = i * 7 % LETTER_COUNT; /* a mixed order of arming */
        arm(&f, letters[at], UINT64_C(5) << (2 * at + 10));
    }
    run_and_expect(&f, KIRIM_NEVER, letters);
    ck_assert_uint_eq(f.wheel.armed_count, 0);
}
END_TEST

START_TEST(clock_that_goes_back_fires_nothing_early)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    arm(&f, 'a', HOUR_NS + 5);
    run_and_expect(&f, 0, "");
    run_and_expect(&f, HOUR_NS + 4, "");
    run_and_expect(&f, HOUR_NS - TICK_NS, "");
    run_and_expect(&f, HOUR_NS + 5, "a");
}
END_TEST

/* ---- arming again, and cancelling ------------------------------------------------------------ */

/* Deadlines in the heap, in the first level, and in higher ones. */
static const uint64_t delays[] = { 0, 5, TICK_NS, 40 * TICK_NS, 1000 * TICK_NS, HOUR_NS };

START_TEST(timer_armed_again_fires_once_at_the_last_deadline)
{
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        struct fixture f;
        open_fixture(&f, HOUR_NS);
        const uint64_t deadline_ns = HOUR_NS + delays[i] + 1;
        arm(&f, 'a', HOUR_NS + delays[_i]);
        arm(&f, 'a', deadline_ns);
        ck_assert_uint_eq(f.wheel.armed_count, 1);
        ck_assert_uint_eq(get(&f, 'a')->timer.deadline_ns, deadline_ns);
        ck_assert_uint_eq(ki_wheel_next(&f.wheel), deadline_ns);
        run_and_expect(&f, deadline_ns - 1, "");
        run_and_expect(&f, deadline_ns, "a");
        run_and_expect(&f, KIRIM_NEVER, "");
    }
}
END_TEST

START_TEST(arming_again_is_a_new_place_in_the_order)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    arm(&f, 'a', HOUR_NS + delays[_i]);
    arm(&f, 'b', HOUR_NS + delays[_i]);
    arm(&f, 'a', HOUR_NS + delays[_i]);
    run_and_expect(&f, HOUR_NS + delays[_i], "ba");
}
END_TEST

START_TEST(timer_cancelled_is_idle_and_does_not_fire)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    arm(&f, 'a', HOUR_NS + delays[_i]);
    arm(&f, 'b', HOUR_NS + delays[_i]);
    arm(&f, 'c', HOUR_NS + delays[_i]);
    cancel(&f, 'b');
    expect_idle(&get(&f, 'b')->timer);
    ck_assert_uint_eq(f.wheel.armed_count, 2);
    run_and_expect(&f, KIRIM_NEVER - 1, "ac");
    expect_idle(&get(&f, 'a')->timer);
    expect_idle(&get(&f, 'c')->timer);
}
END_TEST

START_TEST(wheel_whose_timers_are_all_cancelled_is_empty)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    arm(&f, 'a', HOUR_NS + delays[_i]);
    arm(&f, 'b', HOUR_NS + delays[_i]);
    cancel(&f, 'a');
    cancel(&f, 'b');
    ck_assert_uint_eq(ki_wheel_next(&f.wheel), KIRIM_NEVER);
    ck_assert_uint_eq(f.wheel.armed_count, 0);
    ck_assert_ptr_null(ki_wheel_pop_any(&f.wheel));
}
END_TEST

START_TEST(cancelling_an_idle_timer_does_nothing)
{
    struct fixture f;
    open_fixture(&f, 0);
    cancel(&f, 'a');
    expect_idle(&get(&f, 'a')->timer);
    ck_assert_uint_eq(f.wheel.armed_count, 0);
}
END_TEST

START_TEST(popping_gives_every_timer_once_and_idle)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        arm(&f, letters[i], HOUR_NS + delays[i]);
    }
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        struct kirim_timer *const t = ki_wheel_pop_any(&f.wheel);
        ck_assert_ptr_nonnull(t);
        expect_idle(t);
    }
    ck_assert_ptr_null(ki_wheel_pop_any(&f.wheel));
    ck_assert_uint_eq(ki_wheel_next(&f.wheel), KIRIM_NEVER);
}
END_TEST

/* ---- when to run next ------------------------------------------------------------------------ */

START_TEST(next_of_an_empty_wheel_is_never)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    ck_assert_uint_eq(ki_wheel_next(&f.wheel), KIRIM_NEVER);
}
END_TEST

START_TEST(next_is_the_first_deadline_of_up_to_eight_timers)
{
    struct fixture f;
    const uint64_t begin_ns = 128 * TICK_NS; /* of a slot of the second level */
    open_fixture(&f, 0);
    for (unsigned i = 0; i < 9; i++) {
        const uint64_t deadline_ns = begin_ns + 100 - i;
        arm(&f, letters[i], deadline_ns);
        ck_assert_uint_eq(ki_wheel_next(&f.wheel), i < 8 ? deadline_ns : begin_ns);
    }
}
END_TEST

START_TEST(next_looks_past_a_timer_that_moved_away)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    arm(&f, 'a', HOUR_NS + 10 * TICK_NS);
    arm(&f, 'b', HOUR_NS + 20 * TICK_NS);
    arm(&f, 'a', HOUR_NS + 30 * TICK_NS);
    ck_assert_uint_eq(ki_wheel_next(&f.wheel), HOUR_NS + 20 * TICK_NS);
}
END_TEST

START_TEST(next_leads_from_a_crowded_slot_to_the_first_deadline)
{
    struct fixture f;
    const uint64_t first_ns = HOUR_NS + delays[_i] + TICK_NS / 2;
    open_fixture(&f, HOUR_NS);
    for (unsigned i = 0; i < LETTER_COUNT; i++) {
        arm(&f, letters[i], first_ns + i);
    }
    uint64_t now_ns = HOUR_NS;
    unsigned idle_run_count = 0;
    while (f.fired_count == 0) {
        ck_assert_uint_le(ki_wheel_next(&f.wheel), first_ns);
        ck_assert_uint_gt(ki_wheel_next(&f.wheel), now_ns);
        now_ns = ki_wheel_next(&f.wheel);
        ck_assert_uint_le(idle_run_count++, KI_WHEEL_LEVEL_COUNT);
        ki_wheel_run(&f.wheel, now_ns, NULL);
    }
    ck_assert_uint_eq(now_ns, first_ns);
    ck_assert_uint_eq(f.fired_count, 1);
}
END_TEST

START_TEST(next_of_a_crowded_tick_is_less_than_a_tick_early)
{
    struct fixture f;
    open_fixture(&f, 0);
    for (unsigned i = 0; i < LETTER_COUNT; i++) {
        arm(&f, letters[i], 6 * TICK_NS - 1);
    }
    ck_assert_uint_eq(ki_wheel_next(&f.wheel), 5 * TICK_NS);
}
END_TEST

/* ---- from inside callbacks ------------------------------------------------------------------- */

START_TEST(timer_armed_in_a_callback_waits_for_the_next_run)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    get(&f, 'a')->act = arm_other;
    get(&f, 'a')->other = 'c';
    get(&f, 'a')->act_deadline_ns = 0;
    arm(&f, 'a', HOUR_NS + 1);
    arm(&f, 'b', HOUR_NS + 2);
    run_and_expect(&f, HOUR_NS + 2, "ab");
    ck_assert_uint_eq(ki_wheel_next(&f.wheel), 0);
    run_and_expect(&f, HOUR_NS + 2, "c");
}
END_TEST

START_TEST(timer_that_arms_itself_for_the_past_fires_once_a_run)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    get(&f, 'a')->act = arm_other;
    get(&f, 'a')->other = 'a';
    get(&f, 'a')->act_deadline_ns = HOUR_NS - 1;
    arm(&f, 'a', HOUR_NS);
    run_and_expect(&f, HOUR_NS, "a");
    run_and_expect(&f, HOUR_NS, "a");
    run_and_expect(&f, HOUR_NS + 9 * TICK_NS, "a");
}
END_TEST

START_TEST(due_timer_armed_again_in_a_callback_waits_for_the_next_run)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    get(&f, 'a')->act = arm_other;
    get(&f, 'a')->other = 'b';
    get(&f, 'a')->act_deadline_ns = HOUR_NS + delays[_i];
    arm(&f, 'a', HOUR_NS + 1);
    arm(&f, 'b', HOUR_NS + 2);
    arm(&f, 'c', HOUR_NS + 2);
    run_and_expect(&f, HOUR_NS + 4, "ac");
    run_and_expect(&f, HOUR_NS + delays[_i] + 4, "b");
}
END_TEST

START_TEST(due_timer_cancelled_in_a_callback_does_not_fire)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    get(&f, 'a')->act = cancel_other;
    get(&f, 'a')->other = 'b';
    arm(&f, 'c', HOUR_NS + 2);
    arm(&f, 'b', HOUR_NS + 1);
    arm(&f, 'a', HOUR_NS);
    run_and_expect(&f, HOUR_NS + 2, "ac");
    expect_idle(&get(&f, 'b')->timer);
}
END_TEST

START_TEST(timer_armed_in_one_callback_can_be_cancelled_in_the_next)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    get(&f, 'a')->act = arm_other;
    get(&f, 'a')->other = 'c';
    get(&f, 'a')->act_deadline_ns = HOUR_NS + delays[_i];
    get(&f, 'b')->act = cancel_other;
    get(&f, 'b')->other = 'c';
    arm(&f, 'a', HOUR_NS);
    arm(&f, 'b', HOUR_NS);
    run_and_expect(&f, HOUR_NS, "ab");
    expect_idle(&get(&f, 'c')->timer);
    ck_assert_uint_eq(ki_wheel_next(&f.wheel), KIRIM_NEVER);
}
END_TEST

static void run_again(struct probe *p)
{
    ck_assert_uint_eq(ki_wheel_run(&p->f->wheel, KIRIM_NEVER, NULL), 0);
}

START_TEST(run_inside_a_callback_does_nothing)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    get(&f, 'a')->act = run_again;
    arm(&f, 'a', HOUR_NS);
    arm(&f, 'b', HOUR_NS);
    run_and_expect(&f, HOUR_NS, "ab");
}
END_TEST

static void free_timer(struct kirim_timer *t)
{
    free(t);
}

START_TEST(timer_may_be_freed_in_its_callback)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    struct kirim_timer *const t = calloc(1, sizeof *t);
    ck_assert_ptr_nonnull(t);
    t->expired = free_timer;
    ki_wheel_arm(&f.wheel, t, HOUR_NS);
    ck_assert_uint_eq(ki_wheel_run(&f.wheel, HOUR_NS, NULL), 1);
}
END_TEST

static void note_before(struct kirim_timer *t)
{
    const struct probe *const p = t->user;
    expect_idle(t);
    note(p->f, '<');
}

START_TEST(before_is_called_between_unlinking_and_the_callback)
{
    struct fixture f;
    open_fixture(&f, HOUR_NS);
    arm(&f, 'a', HOUR_NS);
    arm(&f, 'b', HOUR_NS);
    ck_assert_uint_eq(ki_wheel_run(&f.wheel, HOUR_NS, note_before), 2);
    ck_assert_str_eq(f.fired, "<a<b");
}
END_TEST

int main(void)
{
    const int start_count = COUNT_OF(starts);
    const int delay_count = COUNT_OF(delays);
    Suite *const suite = suite_create("wheel");
    TCase *const t = tcase_create("wheel");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, timer_fires_at_its_deadline_and_not_a_nanosecond_before, 0, start_count);
    tcase_add_loop_test(t, next_is_the_deadline_of_a_lone_timer, 0, start_count);
    tcase_add_loop_test(t, timers_around_a_limit_fire_in_the_order_of_deadline_and_arming, 0,
                        start_count);
    tcase_add_loop_test(t, timer_fires_at_its_deadline_after_many_small_steps, 0, start_count);
    tcase_add_test(t, deadline_in_the_past_fires_in_the_next_run);
    tcase_add_test(t, one_jump_from_zero_to_the_end_fires_everything_in_order);
    tcase_add_test(t, clock_that_goes_back_fires_nothing_early);
    tcase_add_loop_test(t, timer_armed_again_fires_once_at_the_last_deadline, 0, delay_count);
    tcase_add_loop_test(t, arming_again_is_a_new_place_in_the_order, 0, delay_count);
    tcase_add_loop_test(t, timer_cancelled_is_idle_and_does_not_fire, 0, delay_count);
    tcase_add_loop_test(t, wheel_whose_timers_are_all_cancelled_is_empty, 0, delay_count);
    tcase_add_test(t, cancelling_an_idle_timer_does_nothing);
    tcase_add_test(t, popping_gives_every_timer_once_and_idle);
    tcase_add_test(t, next_of_an_empty_wheel_is_never);
    tcase_add_test(t, next_is_the_first_deadline_of_up_to_eight_timers);
    tcase_add_test(t, next_looks_past_a_timer_that_moved_away);
    tcase_add_loop_test(t, next_leads_from_a_crowded_slot_to_the_first_deadline, 0, delay_count);
    tcase_add_test(t, next_of_a_crowded_tick_is_less_than_a_tick_early);
    tcase_add_test(t, timer_armed_in_a_callback_waits_for_the_next_run);
    tcase_add_test(t, timer_that_arms_itself_for_the_past_fires_once_a_run);
    tcase_add_loop_test(t, due_timer_armed_again_in_a_callback_waits_for_the_next_run, 0,
                        delay_count);
    tcase_add_test(t, due_timer_cancelled_in_a_callback_does_not_fire);
    tcase_add_loop_test(t, timer_armed_in_one_callback_can_be_cancelled_in_the_next, 0,
                        delay_count);
    tcase_add_test(t, run_inside_a_callback_does_nothing);
    tcase_add_test(t, timer_may_be_freed_in_its_callback);
    tcase_add_test(t, before_is_called_between_unlinking_and_the_callback);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
