/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/transaction.c: what is known of an answer, ids, limits, and a random run against
 * a model that keeps everything.
 */
#include <kirim/transaction.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "support/random.h"

#define SECOND UINT64_C(1000000000)

enum { SLOT_COUNT = 8, MANY = 32768, MODEL_SLOTS = 64, MODEL_OPEN = 40, STEP_COUNT = 200000 };

struct fixture {
    struct kirim_transactions table;
    struct kirim_transaction_slot slots[SLOT_COUNT];
    struct kirim_addr peer, other;
};

static struct kirim_addr addr_of(const char *text)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(text, &addr), KIRIM_OK);
    return addr;
}

/* Eight slots, four of them for what is under way, remembered for 10 s. */
static void open_fixture(struct fixture *f)
{
    struct kirim_transactions_options options = KIRIM_TRANSACTIONS_OPTIONS_INIT;
    memset(f, 0xa5, sizeof *f);
    options.slots = f->slots;
    options.slot_count = SLOT_COUNT;
    options.open_max = 4;
    options.remember_ns = 10 * SECOND;
    ck_assert_int_eq(kirim_transactions_init(&f->table, &options), KIRIM_OK);
    f->peer = addr_of("192.0.2.1:53");
    f->other = addr_of("192.0.2.1:54");
}

static uint64_t begin(struct fixture *f, uint64_t deadline_ns, void *user)
{
    uint64_t id = 0;
    ck_assert_int_eq(kirim_transactions_begin(&f->table, &f->peer, deadline_ns, user, &id),
                     KIRIM_OK);
    ck_assert_uint_lt(id, 65536);
    return id;
}

static int judge(struct fixture *f, const struct kirim_addr *peer, uint64_t id)
{
    void *user = f;
    const int verdict = kirim_transactions_judge(&f->table, peer, id, &user);
    if (verdict != KIRIM_ANSWER_AWAITED) {
        ck_assert_ptr_null(user);
    }
    return verdict;
}

static bool expire(struct fixture *f, uint64_t now_ns, uint64_t *id)
{
    void *user = NULL;
    return kirim_transactions_expire(&f->table, now_ns, &user, id);
}

START_TEST(answer_is_awaited_then_a_duplicate)
{
    struct fixture f;
    void *user = NULL;
    open_fixture(&f);
    const uint64_t id = begin(&f, SECOND, &f);
    ck_assert_int_eq(kirim_transactions_judge(&f.table, &f.peer, id, &user), KIRIM_ANSWER_AWAITED);
    ck_assert_ptr_eq(user, &f);
    ck_assert_int_eq(judge(&f, &f.peer, id), KIRIM_ANSWER_AWAITED); /* judging ends nothing */
    ck_assert_int_eq(kirim_transactions_answer(&f.table, id, 0), KIRIM_OK);
    ck_assert_int_eq(judge(&f, &f.peer, id), KIRIM_ANSWER_DUPLICATE);
    ck_assert_int_eq(kirim_transactions_answer(&f.table, id, 0), KIRIM_ENOENT);
    ck_assert_int_eq(kirim_transactions_cancel(&f.table, id, 0), KIRIM_ENOENT);
    ck_assert_int_eq(kirim_transactions_move(&f.table, id, 0), KIRIM_ENOENT);
    ck_assert_uint_eq(kirim_transactions_deadline(&f.table), KIRIM_NEVER);
}
END_TEST

START_TEST(answer_of_another_is_forged)
{
    struct fixture f;
    open_fixture(&f);
    const uint64_t id = begin(&f, SECOND, &f);
    ck_assert_int_eq(judge(&f, &f.other, id), KIRIM_ANSWER_FORGED);
    ck_assert_int_eq(judge(&f, &f.peer, id), KIRIM_ANSWER_AWAITED);
    ck_assert_int_eq(judge(&f, &f.peer, (id + 1) & 0xffff), KIRIM_ANSWER_UNKNOWN);
    ck_assert_int_eq(judge(&f, &f.peer, id + 65536), KIRIM_ANSWER_UNKNOWN);
    ck_assert_uint_eq(f.table.stats.answers[KIRIM_ANSWER_FORGED], 1);
    ck_assert_uint_eq(f.table.stats.answers[KIRIM_ANSWER_UNKNOWN], 2);
}
END_TEST

START_TEST(request_to_a_group_may_be_answered_by_anybody)
{
    const struct kirim_addr nobody = { { 0, 0, 0 } };
    struct fixture f;
    uint64_t id = 0;
    open_fixture(&f);
    ck_assert_int_eq(kirim_transactions_begin(&f.table, &nobody, SECOND, &f, &id), KIRIM_OK);
    ck_assert_int_eq(judge(&f, &f.peer, id), KIRIM_ANSWER_AWAITED);
    ck_assert_int_eq(judge(&f, &f.other, id), KIRIM_ANSWER_AWAITED);
}
END_TEST

START_TEST(answer_after_the_deadline_is_late)
{
    struct fixture f;
    uint64_t id = 0;
    open_fixture(&f);
    const uint64_t late = begin(&f, SECOND, &f);
    const uint64_t cancelled = begin(&f, 2 * SECOND, &f);
    ck_assert_uint_eq(kirim_transactions_deadline(&f.table), SECOND);
    ck_assert(!expire(&f, SECOND - 1, &id));
    ck_assert(expire(&f, SECOND, &id));
    ck_assert_uint_eq(id, late);
    ck_assert(!expire(&f, SECOND, &id));
    ck_assert_int_eq(kirim_transactions_cancel(&f.table, cancelled, SECOND), KIRIM_OK);
    ck_assert_int_eq(judge(&f, &f.peer, late), KIRIM_ANSWER_LATE);
    ck_assert_int_eq(judge(&f, &f.peer, cancelled), KIRIM_ANSWER_LATE);
    ck_assert_uint_eq(f.table.stats.expired, 1);
}
END_TEST

START_TEST(end_is_forgotten_after_its_time)
{
    struct fixture f;
    uint64_t ignored = 0;
    open_fixture(&f);
    const uint64_t id = begin(&f, SECOND, &f);
    ck_assert_int_eq(kirim_transactions_answer(&f.table, id, SECOND), KIRIM_OK);
    ck_assert(!expire(&f, 11 * SECOND - 1, &ignored));
    ck_assert_int_eq(judge(&f, &f.peer, id), KIRIM_ANSWER_DUPLICATE);
    ck_assert(!expire(&f, 11 * SECOND, &ignored));
    ck_assert_int_eq(judge(&f, &f.peer, id), KIRIM_ANSWER_UNKNOWN);
}
END_TEST

START_TEST(no_more_are_under_way_than_allowed)
{
    struct fixture f;
    uint64_t id = 7;
    uint64_t first = 0;
    open_fixture(&f);
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t made = begin(&f, SECOND, &f);
        first = i == 0 ? made : first;
    }
    ck_assert_int_eq(kirim_transactions_begin(&f.table, &f.peer, SECOND, &f, &id),
                     KIRIM_EWOULDBLOCK);
    ck_assert_uint_eq(id, 7);
    ck_assert_int_eq(kirim_transactions_answer(&f.table, first, 0), KIRIM_OK);
    (void)begin(&f, SECOND, &f);
}
END_TEST

/* Four under way leave four that are remembered; the fifth pushes out the oldest. */
START_TEST(oldest_end_gives_way)
{
    struct fixture f;
    uint64_t ended[5];
    open_fixture(&f);
    for (unsigned i = 0; i < 5; i++) {
        ended[i] = begin(&f, SECOND, &f);
        ck_assert_int_eq(kirim_transactions_answer(&f.table, ended[i], 0), KIRIM_OK);
    }
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(judge(&f, &f.peer, ended[0]), KIRIM_ANSWER_DUPLICATE);
        (void)begin(&f, SECOND, &f);
    }
    ck_assert_int_eq(judge(&f, &f.peer, ended[0]), KIRIM_ANSWER_UNKNOWN);
    for (unsigned i = 1; i < 5; i++) {
        ck_assert_int_eq(judge(&f, &f.peer, ended[i]), KIRIM_ANSWER_DUPLICATE);
    }
}
END_TEST

START_TEST(deadline_can_be_moved)
{
    struct fixture f;
    uint64_t id = 0;
    open_fixture(&f);
    const uint64_t a = begin(&f, 1 * SECOND, &f);
    const uint64_t b = begin(&f, 2 * SECOND, &f);
    const uint64_t c = begin(&f, KIRIM_NEVER, &f);
    ck_assert_int_eq(kirim_transactions_move(&f.table, a, 3 * SECOND), KIRIM_OK);
    ck_assert_uint_eq(kirim_transactions_deadline(&f.table), 2 * SECOND);
    ck_assert_int_eq(kirim_transactions_move(&f.table, b, KIRIM_NEVER), KIRIM_OK);
    ck_assert_uint_eq(kirim_transactions_deadline(&f.table), 3 * SECOND);
    ck_assert_int_eq(kirim_transactions_move(&f.table, c, SECOND), KIRIM_OK);
    ck_assert(expire(&f, 10 * SECOND, &id));
    ck_assert_uint_eq(id, c);
    ck_assert(expire(&f, 10 * SECOND, &id));
    ck_assert_uint_eq(id, a);
    ck_assert(!expire(&f, KIRIM_NEVER, &id)); /* b has no deadline */
    ck_assert_uint_eq(f.table.open_count, 1);
}
END_TEST

/* Half of all ids of 16 bits under way: all differ, and they are spread over the whole range. */
START_TEST(ids_are_unique_and_spread)
{
    struct kirim_transactions_options options = KIRIM_TRANSACTIONS_OPTIONS_INIT;
    struct kirim_transaction_slot *const slots = calloc(MANY, sizeof *slots);
    uint8_t *const is_used = calloc(65536, 1);
    struct kirim_transactions table;
    const struct kirim_addr peer = addr_of("192.0.2.1:53");
    unsigned quarter[4] = { 0, 0, 0, 0 };
    unsigned neighbours = 0;
    uint64_t last = 0;
    ck_assert(slots != NULL && is_used != NULL);
    options.slots = slots;
    options.slot_count = MANY;
    ck_assert_int_eq(kirim_transactions_init(&table, &options), KIRIM_OK);
    for (unsigned i = 0; i < MANY; i++) {
        uint64_t id = 0;
        ck_assert_int_eq(kirim_transactions_begin(&table, &peer, SECOND, NULL, &id), KIRIM_OK);
        ck_assert_uint_lt(id, 65536);
        ck_assert_uint_eq(is_used[id], 0);
        is_used[id] = 1;
        quarter[id / 16384]++;
        neighbours += id == last + 1 ? 1 : 0;
        last = id;
    }
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_ge(quarter[i], 7900); /* 8,192 each; four times the deviation is 222 */
        ck_assert_uint_le(quarter[i], 8500);
    }
    ck_assert_uint_lt(neighbours, 10);
    free(is_used);
    free(slots);
}
END_TEST

START_TEST(key_decides_the_ids)
{
    struct kirim_transactions_options options = KIRIM_TRANSACTIONS_OPTIONS_INIT;
    struct kirim_transaction_slot slots[3];
    struct kirim_transactions table;
    uint64_t id[3] = { 0, 0, 0 };
    const struct kirim_addr peer = addr_of("192.0.2.1:53");
    for (unsigned i = 0; i < 3; i++) {
        options.slots = &slots[i];
        options.slot_count = 1;
        options.id_bits = 64;
        options.key[0] = i < 2 ? 1 : 2;
        ck_assert_int_eq(kirim_transactions_init(&table, &options), KIRIM_OK);
        ck_assert_int_eq(kirim_transactions_begin(&table, &peer, SECOND, NULL, &id[i]), KIRIM_OK);
    }
    ck_assert_uint_eq(id[0], id[1]);
    ck_assert_uint_ne(id[0], id[2]);
}
END_TEST

START_TEST(bounds_are_kept)
{
    struct kirim_transaction_slot slots[129];
    struct kirim_transactions table;
    const struct {
        uint32_t slot_count, open_max, id_bits;
        kirim_err err;
    } cases[] = {
        { 0, 0, 16, KIRIM_EINVAL },  { 1, 2, 16, KIRIM_EINVAL },
        { 1, 0, 7, KIRIM_EINVAL },   { 1, 0, 65, KIRIM_EINVAL },
        { 129, 0, 8, KIRIM_EINVAL }, { 128, 0, 8, KIRIM_OK },
        { 129, 129, 9, KIRIM_OK },   { (1U << 30) + 1, 0, 64, KIRIM_EINVAL },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kirim_transactions_options options = KIRIM_TRANSACTIONS_OPTIONS_INIT;
        options.slots = slots;
        options.slot_count = cases[i].slot_count;
        options.open_max = cases[i].open_max;
        options.id_bits = cases[i].id_bits;
        ck_assert_int_eq(kirim_transactions_init(&table, &options), cases[i].err);
        options.slots = NULL;
        ck_assert_int_eq(kirim_transactions_init(&table, &options), KIRIM_EINVAL);
    }
}
END_TEST

/* One of the model's transactions, by the number of its beginning. */
struct model {
    uint64_t id, deadline_ns;
    bool is_open;
};

static struct model *model_of(struct model *all, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (all[i].is_open && all[i].id == id) {
            return &all[i];
        }
    }
    return NULL;
}

static uint64_t first_deadline(const struct model *all, size_t count)
{
    uint64_t first_ns = KIRIM_NEVER;
    for (size_t i = 0; i < count; i++) {
        if (all[i].is_open && all[i].deadline_ns < first_ns) {
            first_ns = all[i].deadline_ns;
        }
    }
    return first_ns;
}

/* Ends all that are due, which come in the order of their deadlines. */
static void expire_all(struct kirim_transactions *table, struct model *all, uint64_t now_ns)
{
    uint64_t last_ns = 0;
    uint64_t id = 0;
    void *user = NULL;
    while (kirim_transactions_expire(table, now_ns, &user, &id)) {
        struct model *const m = model_of(all, MODEL_OPEN, id);
        ck_assert_ptr_nonnull(m);
        ck_assert_ptr_eq(user, m);
        ck_assert_uint_le(m->deadline_ns, now_ns);
        ck_assert_uint_ge(m->deadline_ns, last_ns);
        last_ns = m->deadline_ns;
        m->is_open = false;
    }
    ck_assert_uint_gt(first_deadline(all, MODEL_OPEN), now_ns);
}

START_TEST(random_run_gives_what_a_model_gives)
{
    struct kirim_transactions_options options = KIRIM_TRANSACTIONS_OPTIONS_INIT;
    static struct kirim_transaction_slot slots[MODEL_SLOTS];
    static struct model all[MODEL_OPEN];
    struct test_random r = test_random_start("transaction");
    const struct kirim_addr peer = addr_of("192.0.2.1:53");
    struct kirim_transactions table;
    uint64_t now_ns = 0;
    options.slots = slots;
    options.slot_count = MODEL_SLOTS;
    options.open_max = MODEL_OPEN;
    options.id_bits = 8;
    options.remember_ns = 1000;
    ck_assert_int_eq(kirim_transactions_init(&table, &options), KIRIM_OK);
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        struct model *const m = &all[test_random_below(&r, MODEL_OPEN)];
        const uint64_t deadline_ns = now_ns + 1 + test_random_below(&r, 500);
        void *user = NULL;
        if (!m->is_open) {
            ck_assert_int_eq(kirim_transactions_begin(&table, &peer, deadline_ns, m, &m->id),
                             KIRIM_OK);
            ck_assert_ptr_null(model_of(all, MODEL_OPEN, m->id));
            *m = (struct model){ m->id, deadline_ns, true };
        } else if (test_random_below(&r, 3) == 0) {
            ck_assert_int_eq(kirim_transactions_move(&table, m->id, deadline_ns), KIRIM_OK);
            m->deadline_ns = deadline_ns;
        } else {
            ck_assert_int_eq(kirim_transactions_judge(&table, &peer, m->id, &user),
                             KIRIM_ANSWER_AWAITED);
            ck_assert_ptr_eq(user, m);
            ck_assert_int_eq(kirim_transactions_answer(&table, m->id, now_ns), KIRIM_OK);
            ck_assert_int_eq(kirim_transactions_judge(&table, &peer, m->id, &user),
                             KIRIM_ANSWER_DUPLICATE);
            m->is_open = false;
        }
        ck_assert_uint_eq(kirim_transactions_deadline(&table), first_deadline(all, MODEL_OPEN));
        now_ns += test_random_below(&r, 100) == 0 ? 5000 : test_random_magnitude(&r, 6);
        expire_all(&table, all, now_ns);
    }
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("transaction");
    TCase *const t = tcase_create("transaction");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, answer_is_awaited_then_a_duplicate);
    tcase_add_test(t, answer_of_another_is_forged);
    tcase_add_test(t, request_to_a_group_may_be_answered_by_anybody);
    tcase_add_test(t, answer_after_the_deadline_is_late);
    tcase_add_test(t, end_is_forgotten_after_its_time);
    tcase_add_test(t, no_more_are_under_way_than_allowed);
    tcase_add_test(t, oldest_end_gives_way);
    tcase_add_test(t, deadline_can_be_moved);
    tcase_add_test(t, ids_are_unique_and_spread);
    tcase_add_test(t, key_decides_the_ids);
    tcase_add_test(t, bounds_are_kept);
    tcase_add_test(t, random_run_gives_what_a_model_gives);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
