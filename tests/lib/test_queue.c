/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/queue.c, the ring of a send queue.
 */
#include "support/counted.h"
#include "support/random.h"

enum { STEP_COUNT = 200000, MODEL_MAX = 4096 };

/* A queue whose entries say their number in `record`. */
struct model {
    struct counted *c;
    struct ki_queue q;
};

static struct model *model_new(void)
{
    struct model *m = calloc(1, sizeof *m);
    ck_assert_ptr_nonnull(m);
    m->c = counted_new();
    return m;
}

static void model_free(struct model *m)
{
    ki_queue_fini(&m->c->loop, &m->q);
    ck_assert_uint_eq(ki_queue_count(&m->q), 0);
    counted_free(m->c);
    free(m);
}

static bool push(struct model *m)
{
    struct ki_queue *q = &m->q;
    if (ki_queue_count(q) == q->capacity && !ki_queue_grow(&m->c->loop, q)) {
        return false;
    }
    *ki_queue_at(q, q->tail) = (struct ki_entry){ .record = (uint32_t)q->tail };
    q->tail++;
    return true;
}

static void push_many(struct model *m, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!push(m)) {
            ck_abort_msg("no memory for entry %zu of %zu", i, count);
        }
    }
}

static void check_numbers(const struct ki_queue *q)
{
    for (uint64_t n = q->head; n != q->tail; n++) {
        ck_assert_uint_eq(ki_queue_at(q, n)->record, (uint32_t)n);
    }
}

static uint32_t window(const struct model *m)
{
    return ki_queue_window(&m->q);
}

START_TEST(entries_keep_their_numbers_when_the_ring_grows)
{
    struct model *m = model_new();
    push_many(m, 10);
    m->q.head = m->q.next = 7; /* so that the ring wraps */
    push_many(m, 13);
    check_numbers(&m->q);
    push_many(m, 1000);
    check_numbers(&m->q);
    ck_assert_uint_eq(m->q.head, 7);
    ck_assert_uint_eq(m->q.next, 7);
    ck_assert_uint_eq(m->q.tail, 1023);
    model_free(m);
}
END_TEST

START_TEST(a_ring_that_cannot_grow_stays_as_it_was)
{
    struct model *m = model_new();
    counted_refuse(m->c, true);
    ck_assert(!push(m));
    ck_assert_uint_eq(m->q.capacity, 0);
    counted_refuse(m->c, false);
    push_many(m, 16);
    counted_refuse(m->c, true);
    ck_assert(!push(m));
    ck_assert_uint_eq(ki_queue_count(&m->q), 16);
    check_numbers(&m->q);
    counted_refuse(m->c, false);
    ck_assert(push(m));
    check_numbers(&m->q);
    model_free(m);
}
END_TEST

START_TEST(a_window_is_bounded)
{
    static const size_t counts[] = { 0, 1, 255, 256, 257, 400 };
    const size_t count = counts[_i];
    struct model *m = model_new();
    push_many(m, 512); /* a ring that need not wrap */
    m->q.head = m->q.next = m->q.tail = 512;
    push_many(m, count);
    ck_assert_uint_eq(window(m), count < KI_WINDOW_MAX ? count : KI_WINDOW_MAX);
    model_free(m);
}
END_TEST

START_TEST(a_window_ends_where_the_ring_does)
{
    struct model *m = model_new();
    push_many(m, 13);
    m->q.head = m->q.next = 13;
    push_many(m, 10);
    ck_assert_uint_eq(m->q.capacity, 16);
    ck_assert_uint_eq(window(m), 3);
    m->q.next += 3;
    ck_assert_uint_eq(window(m), 7);
    model_free(m);
}
END_TEST

START_TEST(a_window_ends_before_a_dead_entry)
{
    struct model *m = model_new();
    push_many(m, 9);
    ki_queue_at(&m->q, 4)->status = KI_DEAD | KI_STORED;
    ck_assert_uint_eq(window(m), 4);
    ck_assert_uint_eq(ki_queue_span(&m->q), 9); /* which does not look at them */
    m->q.next = 4;
    ck_assert_uint_eq(window(m), 0);
    m->q.next = 5;
    ck_assert_uint_eq(window(m), 4);
    model_free(m);
}
END_TEST

START_TEST(an_empty_queue_starts_again_at_the_first_place)
{
    struct model *m = model_new();
    push_many(m, 5);
    ki_queue_rewind(&m->q);
    ck_assert_uint_eq(m->q.tail, 5); /* not empty: nothing moves */
    m->q.head = m->q.next = 5;
    ki_queue_rewind(&m->q);
    ck_assert_uint_eq(m->q.head, 16);
    ck_assert_uint_eq(m->q.next, 16);
    ck_assert_uint_eq(m->q.tail, 16);
    ki_queue_rewind(&m->q);
    ck_assert_uint_eq(m->q.tail, 16);
    push_many(m, 16);
    ck_assert_uint_eq(window(m), 16); /* a burst lies side by side */
    model_free(m);
}
END_TEST

START_TEST(a_queue_without_a_ring_is_empty)
{
    struct model *m = model_new();
    ki_queue_rewind(&m->q);
    ck_assert_uint_eq(ki_queue_count(&m->q), 0);
    ck_assert_uint_eq(m->q.tail, 0);
    model_free(m);
}
END_TEST

/* As ck_assert(), which writes a note for each call: too much for so many. */
static void must(bool is_true, int step)
{
    if (!is_true) {
        ck_abort_msg("step %d", step);
    }
}

START_TEST(random_runs_keep_head_next_and_tail_in_order)
{
    struct model *m = model_new();
    struct ki_queue *q = &m->q;
    struct test_random r = test_random_start("queue");
    for (int step = 0; step < STEP_COUNT; step++) {
        const uint64_t what = test_random_below(&r, 8);
        if (what < 4 && ki_queue_count(q) < MODEL_MAX) {
            push_many(m, (size_t)test_random_below(&r, 5));
        } else if (what < 6 && q->next != q->tail) {
            const uint32_t n = window(m);
            must(ki_queue_span(q) == n, step);
            must(n >= 1 && n <= KI_WINDOW_MAX && q->next + n <= q->tail, step);
            for (uint32_t i = 0; i < n; i++) { /* side by side in memory */
                must(ki_queue_at(q, q->next)[i].record == (uint32_t)(q->next + i), step);
            }
            q->next += n;
        } else if (q->head != q->next) {
            q->head += 1 + test_random_below(&r, q->next - q->head);
            ki_queue_rewind(q);
        }
        must(q->head <= q->next && q->next <= q->tail, step);
        must(ki_queue_count(q) <= q->capacity, step);
    }
    check_numbers(q);
    model_free(m);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("queue");
    TCase *const tcase = tcase_create("queue");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, entries_keep_their_numbers_when_the_ring_grows);
    tcase_add_test(tcase, a_ring_that_cannot_grow_stays_as_it_was);
    tcase_add_loop_test(tcase, a_window_is_bounded, 0, 6);
    tcase_add_test(tcase, a_window_ends_where_the_ring_does);
    tcase_add_test(tcase, a_window_ends_before_a_dead_entry);
    tcase_add_test(tcase, an_empty_queue_starts_again_at_the_first_place);
    tcase_add_test(tcase, a_queue_without_a_ring_is_empty);
    tcase_add_test(tcase, random_runs_keep_head_next_and_tail_in_order);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
