/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/duplicate.c: the life of a request, its limits, and a random run against a
 * model.
 */
#include <kirim/duplicate.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "support/random.h"

#define SECOND UINT64_C(1000000000)

enum { SLOT_COUNT = 8, ANSWER_BYTES = 16, LIFETIME_S = 10, STEP_COUNT = 200000, ID_COUNT = 24 };

struct fixture {
    struct kirim_duplicates cache;
    struct kirim_duplicate_slot slots[SLOT_COUNT];
    uint8_t answers[SLOT_COUNT * ANSWER_BYTES];
};

/* A cache in which a peer has a share of so many slots; 0: there are no shares. By its key, hosts 1
 * to 5 have shares of their own, which few peers in a large cache have not. */
static void open_shared(struct fixture *f, uint32_t peer_slot_max)
{
    memset(f, 0xa5, sizeof *f);
    const struct kirim_duplicates_options options = { .slots = f->slots,
                                                      .slot_count = SLOT_COUNT,
                                                      .answer_bytes_max = ANSWER_BYTES,
                                                      .answers = f->answers,
                                                      .key = { 1, 2, 4 },
                                                      .peer_slot_max = peer_slot_max };
    ck_assert_int_eq(kirim_duplicates_init(&f->cache, &options), KIRIM_OK);
}

static void open_fixture(struct fixture *f)
{
    open_shared(f, 0);
}

static struct kirim_request request_of(uint8_t host, uint64_t id)
{
    const uint8_t bytes[4] = { 192, 0, 2, host };
    return (struct kirim_request){ .peer = kirim_addr_ipv4(bytes, 5683),
                                   .id = id,
                                   .lifetime_ns = LIFETIME_S * SECOND };
}

/* What is known of a request, whose answer, if there is one, is `answer`. */
static int see(struct fixture *f, const struct kirim_request *request, uint64_t now_ns,
               const char *answer)
{
    const uint8_t *data = (const uint8_t *)"?";
    size_t bytes = 77;
    const int verdict = kirim_duplicates_see(&f->cache, request, now_ns, &data, &bytes);
    if (verdict == KIRIM_REQUEST_ANSWERED) {
        ck_assert_ptr_nonnull(answer);
        ck_assert_uint_eq(bytes, strlen(answer));
        ck_assert_mem_eq(data, answer, bytes);
    } else {
        ck_assert_ptr_null(data);
        ck_assert_uint_eq(bytes, 0);
    }
    return verdict;
}

static kirim_err answer(struct fixture *f, const struct kirim_request *request, const char *text)
{
    return kirim_duplicates_answer(&f->cache, request, (const uint8_t *)text, strlen(text));
}

START_TEST(request_is_new_then_pending_then_answered)
{
    struct fixture f;
    open_fixture(&f);
    const struct kirim_request request = request_of(1, 7);
    ck_assert_int_eq(see(&f, &request, 0, NULL), KIRIM_REQUEST_NEW);
    ck_assert_int_eq(see(&f, &request, 1, NULL), KIRIM_REQUEST_PENDING);
    ck_assert_int_eq(answer(&f, &request, "2.05"), KIRIM_OK);
    ck_assert_int_eq(see(&f, &request, 2, "2.05"), KIRIM_REQUEST_ANSWERED);
    ck_assert_int_eq(see(&f, &request, 3, "2.05"), KIRIM_REQUEST_ANSWERED);
    ck_assert_uint_eq(f.cache.stats.fresh, 1);
    ck_assert_uint_eq(f.cache.stats.repeated, 3);
}
END_TEST

START_TEST(peer_port_and_id_tell_requests_apart)
{
    struct fixture f;
    open_fixture(&f);
    const struct kirim_request first = request_of(1, 7);
    const struct kirim_request other_id = request_of(1, 8);
    const struct kirim_request other_host = request_of(2, 7);
    struct kirim_request other_port = first;
    kirim_addr_set_port(&other_port.peer, 1);
    ck_assert_int_eq(see(&f, &first, 0, NULL), KIRIM_REQUEST_NEW);
    ck_assert_int_eq(answer(&f, &other_id, "x"), KIRIM_ENOENT);
    ck_assert_int_eq(see(&f, &other_id, 0, NULL), KIRIM_REQUEST_NEW);
    ck_assert_int_eq(see(&f, &other_host, 0, NULL), KIRIM_REQUEST_NEW);
    ck_assert_int_eq(see(&f, &other_port, 0, NULL), KIRIM_REQUEST_NEW);
    ck_assert_int_eq(see(&f, &first, 0, NULL), KIRIM_REQUEST_PENDING);
}
END_TEST

START_TEST(peers_that_use_one_id_do_not_meet)
{
    struct fixture f;
    open_fixture(&f);
    for (unsigned host = 0; host < SLOT_COUNT; host++) {
        const struct kirim_request request = request_of((uint8_t)host, 7);
        ck_assert_int_eq(see(&f, &request, 0, NULL), KIRIM_REQUEST_NEW);
    }
    for (unsigned host = 0; host < SLOT_COUNT; host++) {
        const struct kirim_request request = request_of((uint8_t)host, 7);
        ck_assert_int_eq(see(&f, &request, 0, NULL), KIRIM_REQUEST_PENDING);
    }
}
END_TEST

START_TEST(request_is_new_again_after_its_lifetime)
{
    struct fixture f;
    open_fixture(&f);
    const struct kirim_request request = request_of(1, 7);
    ck_assert_int_eq(see(&f, &request, SECOND, NULL), KIRIM_REQUEST_NEW);
    ck_assert_int_eq(answer(&f, &request, "old"), KIRIM_OK);
    ck_assert_int_eq(see(&f, &request, 11 * SECOND - 1, "old"), KIRIM_REQUEST_ANSWERED);
    ck_assert_int_eq(see(&f, &request, 11 * SECOND, NULL), KIRIM_REQUEST_NEW);
    ck_assert_int_eq(see(&f, &request, 11 * SECOND, NULL), KIRIM_REQUEST_PENDING);
}
END_TEST

START_TEST(answer_is_kept_up_to_its_limit)
{
    struct fixture f;
    open_fixture(&f);
    const struct kirim_request request = request_of(1, 7);
    ck_assert_int_eq(see(&f, &request, 0, NULL), KIRIM_REQUEST_NEW);
    ck_assert_int_eq(answer(&f, &request, ""), KIRIM_OK);
    ck_assert_int_eq(see(&f, &request, 0, ""), KIRIM_REQUEST_ANSWERED);
    ck_assert_int_eq(answer(&f, &request, "0123456789abcdef"), KIRIM_OK);
    ck_assert_int_eq(see(&f, &request, 0, "0123456789abcdef"), KIRIM_REQUEST_ANSWERED);
    ck_assert_int_eq(answer(&f, &request, "0123456789abcdefg"), KIRIM_EMSGSIZE);
    ck_assert_int_eq(see(&f, &request, 0, NULL), KIRIM_REQUEST_UNKEPT);
    ck_assert_int_eq(kirim_duplicates_answer(&f.cache, &request, NULL, 1), KIRIM_EFAULT);
}
END_TEST

START_TEST(oldest_gives_way)
{
    struct fixture f;
    open_fixture(&f);
    for (unsigned i = 0; i <= SLOT_COUNT; i++) {
        const struct kirim_request request = request_of(1, i);
        ck_assert_uint_eq(f.cache.stats.displaced, 0);
        ck_assert_int_eq(see(&f, &request, 0, NULL), KIRIM_REQUEST_NEW);
    }
    ck_assert_uint_eq(f.cache.stats.displaced, 1);
    const struct kirim_request first = request_of(1, 0);
    const struct kirim_request second = request_of(1, 1);
    ck_assert_int_eq(answer(&f, &first, "x"), KIRIM_ENOENT);
    ck_assert_int_eq(see(&f, &second, 0, NULL), KIRIM_REQUEST_PENDING);
}
END_TEST

START_TEST(what_has_expired_is_not_displaced)
{
    struct fixture f;
    open_fixture(&f);
    for (unsigned i = 0; i < 3 * SLOT_COUNT; i++) {
        const struct kirim_request request = request_of(1, i);
        (void)see(&f, &request, (uint64_t)i * 2 * SECOND, NULL);
    }
    ck_assert_uint_eq(f.cache.stats.displaced, 0);
}
END_TEST

START_TEST(forgotten_request_is_new)
{
    struct fixture f;
    open_fixture(&f);
    const struct kirim_request request = request_of(1, 7);
    kirim_duplicates_forget(&f.cache, &request);
    ck_assert_int_eq(see(&f, &request, 0, NULL), KIRIM_REQUEST_NEW);
    kirim_duplicates_forget(&f.cache, &request);
    ck_assert_int_eq(see(&f, &request, 0, NULL), KIRIM_REQUEST_NEW);
}
END_TEST

START_TEST(cache_without_room_for_answers_knows_the_requests)
{
    struct kirim_duplicate_slot slot;
    struct kirim_duplicates cache;
    const struct kirim_duplicates_options options = { .slots = &slot, .slot_count = 1 };
    const struct kirim_request request = request_of(1, 7);
    const uint8_t *data;
    size_t bytes;
    ck_assert_int_eq(kirim_duplicates_init(&cache, &options), KIRIM_OK);
    ck_assert_int_eq(kirim_duplicates_see(&cache, &request, 0, &data, &bytes), KIRIM_REQUEST_NEW);
    ck_assert_int_eq(kirim_duplicates_answer(&cache, &request, (const uint8_t *)"x", 1),
                     KIRIM_EMSGSIZE);
    ck_assert_int_eq(kirim_duplicates_answer(&cache, &request, NULL, 0), KIRIM_OK);
    ck_assert_int_eq(kirim_duplicates_see(&cache, &request, 0, &data, &bytes),
                     KIRIM_REQUEST_ANSWERED);
    ck_assert_uint_eq(bytes, 0);
}
END_TEST

START_TEST(bounds_are_kept)
{
    struct fixture f;
    struct kirim_duplicates_options options = { .slots = f.slots,
                                                .slot_count = 1,
                                                .answer_bytes_max = 1 };
    ck_assert_int_eq(kirim_duplicates_init(&f.cache, &options), KIRIM_EINVAL);
    options.answer_bytes_max = 0;
    options.slot_count = 0;
    ck_assert_int_eq(kirim_duplicates_init(&f.cache, &options), KIRIM_EINVAL);
    options.slot_count = UINT32_C(1) << 31;
    ck_assert_int_eq(kirim_duplicates_init(&f.cache, &options), KIRIM_EINVAL);
    options.slot_count = 1;
    options.slots = NULL;
    ck_assert_int_eq(kirim_duplicates_init(&f.cache, &options), KIRIM_EINVAL);
}
END_TEST

/* The model: for each id how it stands, until when, and as the how manieth it was entered. A place
 * once taken is used again after SLOT_COUNT entries, whatever became of it. */
START_TEST(random_run_gives_what_a_model_gives)
{
    struct test_random r = test_random_start("duplicate");
    struct {
        int state; /* 0: not there */
        uint64_t until_ns, entry;
    } model[ID_COUNT] = { { 0, 0, 0 } };
    struct fixture f;
    uint64_t now_ns = 0;
    uint64_t entries = 0;
    open_fixture(&f);
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        const uint64_t id = test_random_below(&r, ID_COUNT);
        const struct kirim_request request = request_of(1, id);
        const char text[2] = { (char)('a' + (char)id), '\0' };
        const uint64_t action = test_random_below(&r, 8);
        now_ns += test_random_magnitude(&r, 32);
        for (unsigned j = 0; j < ID_COUNT; j++) {
            if (model[j].entry + SLOT_COUNT < entries) {
                model[j].state = 0;
            }
        }
        if (action < 5) {
            const bool is_there = model[id].state != 0 && now_ns < model[id].until_ns;
            ck_assert_int_eq(see(&f, &request, now_ns, text),
                             is_there ? model[id].state : KIRIM_REQUEST_NEW);
            if (!is_there) {
                model[id].state = KIRIM_REQUEST_PENDING;
                model[id].until_ns = now_ns + LIFETIME_S * SECOND;
                model[id].entry = entries++;
            }
        } else if (action < 7) {
            const bool is_there = model[id].state != 0;
            ck_assert_int_eq(answer(&f, &request, text), is_there ? KIRIM_OK : KIRIM_ENOENT);
            model[id].state = is_there ? KIRIM_REQUEST_ANSWERED : 0;
        } else {
            kirim_duplicates_forget(&f.cache, &request);
            model[id].state = 0;
        }
    }
}
END_TEST

/* ---- shares ---------------------------------------------------------------------------------- */

/* Whether a request is in the cache. */
static bool is_kept(const struct fixture *f, const struct kirim_request *request)
{
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        const struct kirim_duplicate_slot *const slot = &f->slots[i];
        if (slot->ki_state != 0 && slot->ki_id == request->id &&
            kirim_addr_equal(&slot->ki_peer, &request->peer)) {
            return true;
        }
    }
    return false;
}

static void enter_many(struct fixture *f, uint8_t host, uint64_t first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct kirim_request request = request_of(host, first + i);
        ck_assert_int_eq(see(f, &request, 0, NULL), KIRIM_REQUEST_NEW);
    }
}

static unsigned count_kept(const struct fixture *f, uint8_t host, uint64_t ids)
{
    unsigned count = 0;
    for (uint64_t id = 0; id < ids; id++) {
        const struct kirim_request request = request_of(host, id);
        count += is_kept(f, &request) ? 1 : 0;
    }
    return count;
}

START_TEST(who_asks_much_pushes_out_nobody_else)
{
    struct fixture f;
    open_shared(&f, 3);
    enter_many(&f, 1, 0, 2);
    enter_many(&f, 2, 0, 1000);
    ck_assert_uint_eq(count_kept(&f, 1, 2), 2);
    ck_assert_uint_eq(count_kept(&f, 2, 1000), SLOT_COUNT - 2); /* what is empty he may have, */
    const struct kirim_request last = request_of(2, 999);
    ck_assert(is_kept(&f, &last)); /* and has the newest of his own, */
    enter_many(&f, 3, 0, 3);
    ck_assert_uint_eq(count_kept(&f, 1, 2), 2);
    ck_assert_uint_eq(count_kept(&f, 3, 3), 3);
    ck_assert_uint_eq(count_kept(&f, 2, 1000), 3); /* but gives back what is over his share */
    ck_assert(is_kept(&f, &last));
}
END_TEST

START_TEST(who_asks_alone_has_all_slots)
{
    struct fixture f;
    open_shared(&f, 1);
    enter_many(&f, 1, 0, SLOT_COUNT);
    ck_assert_uint_eq(count_kept(&f, 1, SLOT_COUNT), SLOT_COUNT);
    ck_assert_uint_eq(f.cache.stats.displaced, 0);
    enter_many(&f, 1, SLOT_COUNT, 1);
    ck_assert_uint_eq(f.cache.stats.displaced, 1);
    const struct kirim_request first = request_of(1, 0);
    ck_assert(!is_kept(&f, &first)); /* the oldest */
}
END_TEST

START_TEST(where_all_have_their_share_the_oldest_gives_way)
{
    struct fixture f;
    open_shared(&f, 2);
    for (uint8_t host = 1; host <= 4; host++) {
        enter_many(&f, host, 0, 2);
    }
    enter_many(&f, 3, 2, 1); /* who has his share displaces his own, */
    const struct kirim_request own = request_of(3, 0);
    ck_assert(!is_kept(&f, &own));
    ck_assert_uint_eq(count_kept(&f, 3, 3), 2);
    ck_assert_uint_eq(count_kept(&f, 1, 2), 2);
    enter_many(&f, 5, 0, 2); /* who has none, the oldest of all */
    ck_assert_uint_eq(count_kept(&f, 1, 2), 0);
    for (uint8_t host = 2; host <= 5; host++) {
        ck_assert_uint_eq(count_kept(&f, host, 3), 2);
    }
}
END_TEST

/* Shares agree with what the slots hold, whatever was entered, displaced, forgotten or expired. */
START_TEST(shares_count_what_is_there)
{
    enum { HOST_COUNT = 5, SHARE = 2 };
    struct test_random r = test_random_start("shares");
    struct fixture f;
    uint64_t now_ns = 0;
    open_shared(&f, SHARE);
    for (unsigned i = 0; i < STEP_COUNT / 4; i++) {
        const struct kirim_request request =
            request_of((uint8_t)test_random_below(&r, HOST_COUNT), test_random_below(&r, ID_COUNT));
        uint32_t slots = 0;
        uint32_t shares = 0;
        now_ns += test_random_magnitude(&r, 32);
        if (test_random_below(&r, 8) == 0) {
            kirim_duplicates_forget(&f.cache, &request);
        } else {
            (void)see(&f, &request, now_ns, "");
            ck_assert(is_kept(&f, &request));
        }
        for (unsigned s = 0; s < SLOT_COUNT; s++) {
            slots += f.slots[s].ki_state != 0 ? 1 : 0;
            shares += f.slots[s].ki_share_count;
            uint32_t count = 0;
            uint32_t at = f.slots[s].ki_share_oldest;
            for (; at != 0 && count <= SLOT_COUNT; at = f.slots[at - 1].ki_share_newer) {
                ck_assert_uint_eq(f.slots[at - 1].ki_share, s + 1);
                ck_assert_int_ne((int)f.slots[at - 1].ki_state, 0);
                count++;
            }
            ck_assert_uint_eq(count, f.slots[s].ki_share_count);
        }
        ck_assert_uint_eq(slots, shares);
    }
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("duplicate");
    TCase *const t = tcase_create("duplicate");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, request_is_new_then_pending_then_answered);
    tcase_add_test(t, peer_port_and_id_tell_requests_apart);
    tcase_add_test(t, peers_that_use_one_id_do_not_meet);
    tcase_add_test(t, request_is_new_again_after_its_lifetime);
    tcase_add_test(t, answer_is_kept_up_to_its_limit);
    tcase_add_test(t, oldest_gives_way);
    tcase_add_test(t, what_has_expired_is_not_displaced);
    tcase_add_test(t, forgotten_request_is_new);
    tcase_add_test(t, cache_without_room_for_answers_knows_the_requests);
    tcase_add_test(t, bounds_are_kept);
    tcase_add_test(t, random_run_gives_what_a_model_gives);
    tcase_add_test(t, who_asks_much_pushes_out_nobody_else);
    tcase_add_test(t, who_asks_alone_has_all_slots);
    tcase_add_test(t, where_all_have_their_share_the_oldest_gives_way);
    tcase_add_test(t, shares_count_what_is_there);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
