/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/store.c, the memory behind a send queue.
 */
#include "support/counted.h"
#include "support/random.h"

#include <kirim/msg.h>

enum { PIECES_MAX = 4096, STEP_COUNT = 200000, SIZE_BITS = 17 };

/* A piece that was taken, as the model knows it. */
struct piece {
    unsigned char *at;
    size_t bytes;
    unsigned char seed;
};

struct model {
    struct counted *c;
    struct ki_store store;
    struct piece piece[PIECES_MAX]; /* a ring, oldest at `first` */
    size_t first, count;
    unsigned char next_seed;
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
    ki_store_fini(&m->c->loop, &m->store);
    counted_free(m->c);
    free(m);
}

static unsigned char byte_of(const struct piece *p, size_t i)
{
    return (unsigned char)(p->seed + i * 7);
}

static void check_piece(const struct piece *p)
{
    for (size_t i = 0; i < p->bytes; i++) {
        if (p->at[i] != byte_of(p, i)) {
            ck_abort_msg("byte %zu of %zu was changed", i, p->bytes);
        }
    }
}

/* Takes a piece and writes to all of it; false: there is no memory. */
static bool take(struct model *m, size_t bytes)
{
    ck_assert_uint_lt(m->count, PIECES_MAX);
    unsigned char *at = ki_store_peek(&m->c->loop, &m->store, bytes);
    if (at == NULL) {
        return false;
    }
    ck_assert_uint_eq((uintptr_t)at % sizeof(uint64_t), 0);
    ki_store_take(&m->store, bytes);
    struct piece *p = &m->piece[(m->first + m->count) % PIECES_MAX];
    *p = (struct piece){ at, bytes, m->next_seed++ };
    for (size_t i = 0; i < bytes; i++) {
        at[i] = byte_of(p, i);
    }
    m->count++;
    return true;
}

/* Gives the `count` oldest back. */
static void release(struct model *m, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_piece(&m->piece[m->first]);
        ki_store_release(&m->c->loop, &m->store);
        m->first = (m->first + 1) % PIECES_MAX;
        m->count--;
    }
}

static void undo(struct model *m)
{
    check_piece(&m->piece[(m->first + m->count - 1) % PIECES_MAX]);
    ki_store_undo(&m->store);
    m->count--;
}

static void release_all(struct model *m)
{
    for (size_t i = 0; i < m->count; i++) {
        check_piece(&m->piece[(m->first + i) % PIECES_MAX]);
    }
    ki_store_release_all(&m->c->loop, &m->store);
    m->count = 0;
}

START_TEST(pieces_keep_their_bytes_until_they_are_given_back)
{
    struct model *m = model_new();
    struct test_random r = test_random_start("store");
    for (int step = 0; step < STEP_COUNT; step++) {
        /* Long times of filling and of emptying, so that the store grows and shrinks. */
        const uint64_t fill = (step / 512) % 3 == 0 ? 70 : 45;
        if (m->count == 0 || (m->count < PIECES_MAX && test_random_below(&r, 100) < fill)) {
            const size_t bytes = (size_t)test_random_magnitude(&r, step % 64 == 0 ? SIZE_BITS : 9);
            counted_refuse(m->c, test_random_below(&r, 100) == 0);
            const bool is_taken = take(m, bytes);
            ck_assert(is_taken || m->c->memory.fail_at != 0);
            counted_refuse(m->c, false);
            if (is_taken && test_random_below(&r, 8) == 0) {
                undo(m);
            }
        } else {
            const uint64_t most = test_random_below(&r, 4) == 0 ? m->count : 1;
            release(m, 1 + (size_t)test_random_below(&r, most));
        }
        if (test_random_below(&r, 1000) == 0) {
            release_all(m);
        }
    }
    release_all(m);
    model_free(m);
}
END_TEST

START_TEST(a_store_that_empties_every_turn_works_in_one_block)
{
    struct model *m = model_new();
    for (int turn = 0; turn < 100; turn++) {
        for (int i = 0; i < 50; i++) {
            ck_assert(take(m, 64));
        }
        if (turn % 2 == 0) {
            release_all(m);
        } else {
            release(m, m->count);
        }
    }
    ck_assert_uint_eq(m->c->memory.calls, 1);
    model_free(m);
}
END_TEST

START_TEST(a_store_that_never_empties_stops_asking_for_memory)
{
    struct model *m = model_new();
    for (int i = 0; i < 200; i++) {
        ck_assert(take(m, 1000));
    }
    uint64_t call_count = 0;
    for (int i = 0; i < 20000; i++) {
        ck_assert(take(m, 1000));
        release(m, 1);
        call_count = i == 10000 ? m->c->memory.calls : call_count;
    }
    ck_assert_uint_eq(m->c->memory.calls, call_count);
    release_all(m);
    ck_assert_uint_le(m->c->memory.blocks, 2); /* the tail, and a spare one */
    model_free(m);
}
END_TEST

START_TEST(peek_takes_nothing)
{
    struct model *m = model_new();
    void *first = ki_store_peek(&m->c->loop, &m->store, 100);
    ck_assert_ptr_eq(ki_store_peek(&m->c->loop, &m->store, 8), first);
    ki_store_take(&m->store, 8);
    ck_assert_ptr_eq(ki_store_peek(&m->c->loop, &m->store, 1), (unsigned char *)first + 8);
    ki_store_release(&m->c->loop, &m->store);
    model_free(m);
}
END_TEST

START_TEST(undo_gives_the_newest_piece_back)
{
    struct model *m = model_new();
    ck_assert(take(m, 24));
    undo(m);
    ck_assert(take(m, 24));
    const unsigned char *at = m->piece[m->first].at;
    undo(m);
    ck_assert_ptr_eq(ki_store_peek(&m->c->loop, &m->store, 24), at);
    ck_assert(take(m, 3000));
    ck_assert(take(m, 3000)); /* in a block of its own */
    undo(m);
    ck_assert(take(m, 3000));
    release_all(m);
    ck_assert_uint_eq(m->c->memory.calls, 2);
    model_free(m);
}
END_TEST

START_TEST(a_piece_may_be_empty)
{
    struct model *m = model_new();
    ck_assert(take(m, 0));
    ck_assert(take(m, 1));
    ck_assert(take(m, 0));
    release_all(m);
    model_free(m);
}
END_TEST

START_TEST(the_largest_message_fits)
{
    struct model *m = model_new();
    const size_t largest = KIRIM_PAYLOAD_IPV6_BYTES_MAX +
                           KIRIM_BUF_COUNT_MAX * sizeof(struct kirim_buf) +
                           sizeof(struct kirim_control);
    ck_assert(take(m, 16));
    for (int i = 0; i < 4; i++) {
        ck_assert(take(m, largest));
    }
    release_all(m);
    ck_assert(take(m, 200 * 1000)); /* and one that no block has room for */
    release_all(m);
    model_free(m);
}
END_TEST

START_TEST(without_memory_nothing_changes)
{
    struct model *m = model_new();
    counted_refuse(m->c, true);
    ck_assert(!take(m, 8));
    counted_refuse(m->c, false);
    ck_assert(take(m, 4000));
    counted_refuse(m->c, true);
    ck_assert(!take(m, 4000));
    ck_assert(take(m, 96)); /* what is left of the block */
    release(m, 1);
    counted_refuse(m->c, false);
    ck_assert(take(m, 4000));
    release_all(m);
    model_free(m);
}
END_TEST

START_TEST(all_pieces_can_be_given_back_at_once)
{
    struct model *m = model_new();
    ki_store_release_all(&m->c->loop, &m->store); /* none */
    for (int i = 0; i < 300; i++) {
        ck_assert(take(m, 1000));
    }
    release(m, 7);
    release_all(m);
    ck_assert_uint_le(m->c->memory.blocks, 2);
    ck_assert(take(m, 1000));
    release(m, 1);
    model_free(m);
}
END_TEST

START_TEST(fini_frees_what_still_lives)
{
    struct model *m = model_new();
    for (int i = 0; i < 300; i++) {
        ck_assert(take(m, 1000));
    }
    release(m, 200);
    model_free(m); /* says so */
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("store");
    TCase *const tcase = tcase_create("store");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, pieces_keep_their_bytes_until_they_are_given_back);
    tcase_add_test(tcase, a_store_that_empties_every_turn_works_in_one_block);
    tcase_add_test(tcase, a_store_that_never_empties_stops_asking_for_memory);
    tcase_add_test(tcase, peek_takes_nothing);
    tcase_add_test(tcase, undo_gives_the_newest_piece_back);
    tcase_add_test(tcase, a_piece_may_be_empty);
    tcase_add_test(tcase, the_largest_message_fits);
    tcase_add_test(tcase, without_memory_nothing_changes);
    tcase_add_test(tcase, all_pieces_can_be_given_back_at_once);
    tcase_add_test(tcase, fini_frees_what_still_lives);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
