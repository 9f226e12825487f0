/* SPDX-License-Identifier: MIT
 *
 * The timer wheel against a model: an array of what is armed, sorted by (deadline, order of
 * arming).
 *
 * Every operation is done to both, in callbacks too; a callback checks that it is its turn by the
 * model. After every operation the two agree on how many are armed, and on when to run next.
 * Deadlines and steps of time are of random length, to visit all levels; many are equal, or stand
 * at the end of a tick.
 */
#include "support/random.h"
#include "wheel.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum {
    TIMER_COUNT = 300,
    OPERATION_COUNT = 400000,
    CALLBACK_OPERATION_COUNT_MAX = 3,
    FEW_COUNT = 8, /* timers for which the wheel tells the exact deadline */
    DELAY_BITS = 50,
    STEP_BITS = 42,
    PAST_BITS = 34
};

#define NOW_MAX_NS (UINT64_C(1) << 60) /* from there on, a new wheel */

struct row {
    uint64_t deadline_ns;
    uint64_t order;
    unsigned index;
};

struct model {
    struct ki_wheel wheel;
    struct kirim_timer timers[TIMER_COUNT];
    struct row rows[TIMER_COUNT]; /* sorted */
    size_t row_count;
    uint64_t order;
    uint64_t order_end; /* what is armed from this on has to wait, while the wheel runs */
    uint64_t now_ns;
    unsigned operation_count;
    unsigned fired_count;
    struct test_random random;
};

static size_t find_row(const struct model *m, unsigned index)
{
    size_t at = 0;
    while (at < m->row_count && m->rows[at].index != index) {
        at++;
    }
    return at;
}

static void remove_row(struct model *m, size_t at)
{
    m->row_count--;
    memmove(&m->rows[at], &m->rows[at + 1], (m->row_count - at) * sizeof m->rows[0]);
}

static void insert_row(struct model *m, unsigned index, uint64_t deadline_ns)
{
    size_t at = m->row_count;
    while (at > 0 && m->rows[at - 1].deadline_ns > deadline_ns) {
        at--; /* behind its equals: the newest has the highest order */
    }
    memmove(&m->rows[at + 1], &m->rows[at], (m->row_count - at) * sizeof m->rows[0]);
    m->rows[at] = (struct row){ deadline_ns, m->order++, index };
    m->row_count++;
}

/* The row that has to fire next in a run at `now_ns`, or row_count. */
static size_t find_due_row(const struct model *m)
{
    size_t at = 0;
    while (at < m->row_count && m->rows[at].order >= m->order_end) {
        at++;
    }
    return at < m->row_count && m->rows[at].deadline_ns <= m->now_ns ? at : m->row_count;
}

static uint64_t choose_deadline(struct model *m)
{
    const uint64_t past_ns = test_random_magnitude(&m->random, PAST_BITS);
    const uint64_t later_ns = m->now_ns + test_random_magnitude(&m->random, DELAY_BITS);
    const uint64_t tick_end_ns = later_ns | ((UINT64_C(1) << KI_WHEEL_TICK_SHIFT) - 1);
    switch (test_random_below(&m->random, 8)) {
    case 0:
        return past_ns < m->now_ns ? m->now_ns - past_ns : 0;
    case 1:
        return tick_end_ns + test_random_below(&m->random, 3) - 1;
    case 2:
    case 3:
        return m->row_count == 0 ? later_ns
                                 : m->rows[test_random_below(&m->random, m->row_count)].deadline_ns;
    default:
        return later_ns;
    }
}

static void arm_random(struct model *m)
{
    const unsigned index = (unsigned)test_random_below(&m->random, TIMER_COUNT);
    const uint64_t deadline_ns = choose_deadline(m);
    const size_t at = find_row(m, index);
    if (at < m->row_count) {
        remove_row(m, at);
    }
    insert_row(m, index, deadline_ns);
    ki_wheel_arm(&m->wheel, &m->timers[index], deadline_ns);
}

static void cancel_random(struct model *m)
{
    const unsigned index = (unsigned)test_random_below(&m->random, TIMER_COUNT);
    const size_t at = find_row(m, index);
    if (at < m->row_count) {
        remove_row(m, at);
    }
    ki_wheel_cancel(&m->wheel, &m->timers[index]);
}

static void check_agreement(const struct model *m)
{
    const uint64_t first_ns = m->row_count == 0 ? KIRIM_NEVER : m->rows[0].deadline_ns;
    const uint64_t next_ns = ki_wheel_next(&m->wheel);
    if (m->wheel.armed_count != m->row_count || next_ns > first_ns ||
        (next_ns != first_ns && m->row_count <= FEW_COUNT)) {
        ck_abort_msg("operation %u: %zu armed instead of %zu, next %" PRIu64 ", first %" PRIu64,
                     m->operation_count, m->wheel.armed_count, m->row_count, next_ns, first_ns);
    }
}

static void change_randomly(struct model *m)
{
    if (test_random_below(&m->random, 4) == 0) {
        cancel_random(m);
    } else {
        arm_random(m);
    }
    m->operation_count++;
    check_agreement(m);
}

static void check_turn(struct kirim_timer *t)
{
    struct model *const m = t->user;
    const unsigned index = (unsigned)(t - m->timers);
    const size_t at = find_due_row(m);
    if (at == m->row_count || m->rows[at].index != index) {
        ck_abort_msg("operation %u: %u fired, deadline %" PRIu64 " at %" PRIu64 ", instead of %u",
                     m->operation_count, index, t->deadline_ns, m->now_ns,
                     at == m->row_count ? TIMER_COUNT : m->rows[at].index);
    }
    remove_row(m, at);
    m->fired_count++;
    uint64_t left = test_random_below(&m->random, CALLBACK_OPERATION_COUNT_MAX + 1);
    for (; left > 0; left--) {
        change_randomly(m);
    }
}

static size_t run_at(struct model *m, uint64_t now_ns)
{
    const unsigned before_count = m->fired_count;
    m->now_ns = now_ns;
    m->order_end = m->order;
    const size_t fired_count = ki_wheel_run(&m->wheel, now_ns, NULL);
    m->operation_count++;
    if (find_due_row(m) != m->row_count || fired_count != m->fired_count - before_count) {
        ck_abort_msg("operation %u: what is due did not fire", m->operation_count);
    }
    check_agreement(m);
    return fired_count;
}

/* The clock goes on, but for now and then. */
static uint64_t choose_now(struct model *m)
{
    const uint64_t step_ns = test_random_magnitude(&m->random, STEP_BITS);
    const bool is_back = test_random_below(&m->random, 8) == 0;
    return is_back && step_ns < m->now_ns ? m->now_ns - step_ns : m->now_ns + step_ns;
}

/* Goes where the wheel says until something fires, which takes no more runs than wheel.h promises.
 */
static void run_until_fired(struct model *m)
{
    size_t left = m->row_count * (KI_WHEEL_LEVEL_COUNT + 1) + 1;
    size_t fired_count = 0;
    while (m->row_count > 0 && fired_count == 0) {
        if (left-- == 0) {
            ck_abort_msg("operation %u: next leads nowhere", m->operation_count);
        }
        const uint64_t next_ns = ki_wheel_next(&m->wheel);
        fired_count = run_at(m, next_ns > m->now_ns ? next_ns : m->now_ns);
    }
}

static void open_wheel(struct model *m)
{
    size_t popped_count = 0;
    while (ki_wheel_pop_any(&m->wheel) != NULL) {
        popped_count++;
    }
    ck_assert_uint_eq(popped_count, m->row_count);
    m->row_count = 0;
    m->now_ns = test_random_magnitude(&m->random, 59);
    ki_wheel_init(&m->wheel, m->now_ns);
}

START_TEST(random_run_is_that_of_a_sorted_array)
{
    static struct model model; /* too large for the stack of some systems */
    struct model *const m = &model;
    memset(m, 0, sizeof *m);
    m->random = test_random_start("wheel model");
    for (unsigned i = 0; i < TIMER_COUNT; i++) {
        m->timers[i].expired = check_turn;
        m->timers[i].user = m;
    }
    ki_wheel_init(&m->wheel, 0);
    while (m->operation_count < OPERATION_COUNT) {
        const uint64_t choice = test_random_below(&m->random, 16);
        if (m->now_ns > NOW_MAX_NS) {
            open_wheel(m);
        } else if (choice == 0) {
            run_at(m, choose_now(m));
        } else if (choice == 1) {
            run_until_fired(m);
        } else {
            change_randomly(m);
        }
    }
    printf("wheel model: %u operations, %u fired\n", m->operation_count, m->fired_count);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("wheel_model");
    TCase *const tcase = tcase_create("random runs");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, random_run_is_that_of_a_sorted_array);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
