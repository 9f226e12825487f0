/* SPDX-License-Identifier: MIT
 *
 * Claims about sets of numbers: ranges of bytes, packets that have arrived, and connection ids that
 * have been used.
 */
#include "kit.h"

#include "protocols/channel/used.h"

enum { MODEL = 600 };

START_TEST(ranges_are_the_set_that_was_added)
{
    struct kit_memory memory = { 0 };
    const struct ki_channel_memory from = { kit_alloc, &memory };
    struct test_random random = { (uint64_t)_i + 1 };
    struct ki_channel_ranges r = { NULL, 0, 0, 0 };
    bool model[MODEL] = { false };
    for (size_t i = 0; i < 200; i++) {
        const uint64_t first = test_random_below(&random, MODEL);
        const uint64_t end =
            first + test_random_below(&random, MODEL - first < 30 ? MODEL - first + 1 : 30);
        uint64_t added = 0;
        uint64_t wanted = 0;
        for (uint64_t n = first; n < end; n++) {
            wanted += model[n] ? 0 : 1;
            model[n] = true;
        }
        ck_assert(ki_channel_ranges_add(&r, &from, first, end, &added));
        ck_assert_uint_eq(added, wanted);
        const uint64_t from_n = test_random_below(&random, MODEL);
        const struct kirim_channel_range gap = ki_channel_ranges_gap(&r, from_n, MODEL);
        uint64_t n = from_n;
        while (n < MODEL && model[n]) {
            n++;
        }
        ck_assert_uint_eq(gap.first, n);
        while (n < MODEL && !model[n]) {
            n++;
        }
        ck_assert(gap.first == MODEL || gap.end == n);
    }
    for (uint32_t i = 1; i < r.count; i++) {
        ck_assert_uint_gt(r.item[i].first, r.item[i - 1].end);
    }
    ki_channel_ranges_free(&r, &from);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

START_TEST(ranges_without_memory_stay_as_they_are)
{
    struct kit_memory memory = { 0 };
    const struct ki_channel_memory from = { kit_alloc, &memory };
    struct ki_channel_ranges r = { NULL, 0, 0, 0 };
    uint64_t added = 0;
    memory.fail_at = 2;
    memory.is_lasting = true;
    for (uint64_t n = 0; n < 4; n++) {
        ck_assert(ki_channel_ranges_add(&r, &from, 2 * n, 2 * n + 1, &added));
    }
    ck_assert(!ki_channel_ranges_add(&r, &from, 20, 21, &added));
    ck_assert_uint_eq(r.count, 4);
    ck_assert(ki_channel_ranges_add(&r, &from, 0, 8, &added)); /* needs no room */
    ck_assert_uint_eq(added, 4);
    ck_assert_uint_eq(r.count, 1);
    ki_channel_ranges_free(&r, &from);
}
END_TEST

START_TEST(ranges_have_a_bound)
{
    struct kit_memory memory = { 0 };
    const struct ki_channel_memory from = { kit_alloc, &memory };
    struct ki_channel_ranges r = { NULL, 0, 0, 0 };
    uint64_t added = 0;
    bool has_added = true;
    for (uint64_t n = 0; n < KI_CHANNEL_RANGES_MAX; n++) {
        has_added = has_added && ki_channel_ranges_add(&r, &from, 2 * n, 2 * n + 1, &added);
    }
    ck_assert(has_added);
    ck_assert(ki_channel_ranges_are_full(&r, 1000000));
    ck_assert(!ki_channel_ranges_add(&r, &from, 1000000, 1000001, &added));
    ki_channel_ranges_free(&r, &from);
    r.count_max = 3; /* the last one is for 0 */
    ck_assert(ki_channel_ranges_add(&r, &from, 10, 20, &added));
    ck_assert(!ki_channel_ranges_are_full(&r, 30));
    ck_assert(ki_channel_ranges_add(&r, &from, 30, 40, &added));
    ck_assert(!ki_channel_ranges_add(&r, &from, 50, 60, &added));
    ck_assert(ki_channel_ranges_add(&r, &from, 20, 25, &added)); /* beside one of them */
    ck_assert(ki_channel_ranges_add(&r, &from, 25, 30, &added));
    ck_assert(ki_channel_ranges_add(&r, &from, 50, 60, &added));
    ck_assert(!ki_channel_ranges_add(&r, &from, 1, 2, &added));
    ck_assert(ki_channel_ranges_add(&r, &from, 0, 1, &added));
    ki_channel_ranges_free(&r, &from);
}
END_TEST

/* ---- packets --------------------------------------------------------------------------------- */

/* Whether ranges are in order and apart, and tell nothing that has not come. */
static bool is_sound(const struct ki_channel_acks *a, const bool *model)
{
    bool is_right = a->range_count <= KIRIM_CHANNEL_RANGES_MAX;
    for (uint32_t r = 0; r < a->range_count; r++) {
        is_right = is_right && a->range[r].first < a->range[r].end &&
                   (r == 0 || a->range[r].end < a->range[r - 1].first) &&
                   a->range[r].first >= a->floor;
        for (uint64_t n = a->range[r].first; is_right && n < a->range[r].end; n++) {
            is_right = model[n];
        }
    }
    return is_right;
}

START_TEST(packets_count_once_in_any_order)
{
    struct test_random random = { (uint64_t)_i + 1 };
    struct ki_channel_acks a;
    bool model[MODEL] = { false };
    ki_channel_acks_init(&a);
    for (size_t i = 0; i < 2000; i++) {
        const uint64_t number = test_random_below(&random, MODEL);
        const bool is_new = ki_channel_acks_is_new(&a, number);
        ck_assert(!is_new || !model[number]);
        if (is_new) {
            ki_channel_acks_note(&a, number, true, 0, 0, i);
            model[number] = true;
            ck_assert(!ki_channel_acks_is_new(&a, number));
        }
        ck_assert(is_sound(&a, model));
    }
}
END_TEST

START_TEST(every_second_packet_is_answered_at_once)
{
    struct ki_channel_acks a;
    struct kirim_channel_frame f;
    ki_channel_acks_init(&a);
    ck_assert(!ki_channel_acks_fill(&a, 64, &f, 0));
    ki_channel_acks_note(&a, 0, true, 0, 25 * MS, SECOND);
    ck_assert_uint_eq(a.deadline_ns, SECOND + 25 * MS);
    ki_channel_acks_note(&a, 1, false, 0, 25 * MS, SECOND);
    ck_assert_uint_eq(a.deadline_ns, SECOND + 25 * MS);
    ki_channel_acks_note(&a, 2, true, 0, 25 * MS, SECOND + MS);
    ck_assert_uint_eq(a.deadline_ns, SECOND + MS);
    ck_assert(ki_channel_acks_fill(&a, 64, &f, SECOND + 3 * MS));
    ck_assert_uint_eq(f.ack.delay_us, 2000);
    ki_channel_acks_sent(&a);
    ck_assert_uint_eq(a.deadline_ns, KIRIM_NEVER);
}
END_TEST

static const struct {
    uint64_t number;
    uint8_t ecn;
} urgent[] = { { 2, 0 }, { 1, 3 }, { 9, 2 } };

START_TEST(gaps_and_marks_are_answered_at_once)
{
    struct ki_channel_acks a;
    ki_channel_acks_init(&a);
    ki_channel_acks_note(&a, 0, false, 0, 25 * MS, SECOND);
    ki_channel_acks_note(&a, urgent[_i].number, true, urgent[_i].ecn, 25 * MS, SECOND);
    ck_assert_uint_eq(a.deadline_ns, SECOND);
    ck_assert_uint_eq(a.ce, urgent[_i].ecn == 3 ? 1 : 0);
    ck_assert_uint_eq(a.ect0, urgent[_i].ecn == 2 ? 1 : 0);
}
END_TEST

START_TEST(what_the_peer_knows_is_told_no_more)
{
    struct ki_channel_acks a;
    struct kirim_channel_frame f;
    ki_channel_acks_init(&a);
    for (uint64_t n = 0; n < 20; n += 2) {
        ki_channel_acks_note(&a, n, true, 0, 0, 0);
    }
    ki_channel_acks_forget(&a, 10);
    ck_assert(ki_channel_acks_fill(&a, 64, &f, 0));
    ck_assert_uint_eq(f.ack.range_count, 4);
    ck_assert_uint_eq(f.ack.range[3].first, 12);
    ck_assert(!ki_channel_acks_is_new(&a, 9)); /* too old to tell */
    ck_assert(ki_channel_acks_is_new(&a, 11));
    ki_channel_acks_forget(&a, 1000);
    ck_assert_uint_eq(a.range_count, 1); /* the highest stays */
}
END_TEST

/* ---- connection ids -------------------------------------------------------------------------- */

static const uint8_t used_key[KIRIM_SIPHASH_KEY_BYTES] = "a key of used";

/* The id of a number, none of which is all zeros. */
static const uint8_t *id_of(uint64_t number, uint8_t id[KIRIM_CHANNEL_ID_BYTES])
{
    memset(id, 0, KIRIM_CHANNEL_ID_BYTES);
    for (size_t i = 0; i < 4; i++) {
        id[i] = (uint8_t)(number >> (8 * i));
    }
    id[KIRIM_CHANNEL_ID_BYTES - 1] = 1;
    return id;
}

START_TEST(used_ids_are_known_for_the_time_of_a_token)
{
    struct kit_memory memory = { 0 };
    const struct ki_channel_memory from = { kit_alloc, &memory };
    struct ki_channel_used u;
    uint8_t id[KIRIM_CHANNEL_ID_BYTES];
    ki_channel_used_init(&u, &from, 16 * SECOND, used_key);
    ck_assert(!ki_channel_used_has(&u, id_of(0, id)));
    for (uint64_t i = 0; i < 3000; i++) { /* 10 ms each */
        const uint64_t now_ns = (100 + i) * 10 * MS;
        ck_assert(!ki_channel_used_has(&u, id_of(i, id)));
        ck_assert_uint_eq(ki_channel_used_add(&u, id, now_ns), 0);
        const uint64_t oldest = i < 1600 ? 0 : i - 1600;
        ck_assert(ki_channel_used_has(&u, id_of(oldest, id)));
        ck_assert(ki_channel_used_has(&u, id_of(i - i / 2, id)) || i - i / 2 < oldest);
    }
    ck_assert_uint_eq(ki_channel_used_add(&u, id_of(9999, id), 100 * SECOND), 0);
    ck_assert_uint_eq(ki_channel_used_add(&u, id_of(9998, id), 200 * SECOND), 0);
    ck_assert(!ki_channel_used_has(&u, id_of(2999, id))); /* and they are forgotten */
    ck_assert_uint_lt(memory.bytes, 4096);
    ki_channel_used_free(&u);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

START_TEST(used_ids_beyond_the_bound_are_told_by_time)
{
    struct kit_memory memory = { 0 };
    const struct ki_channel_memory from = { kit_alloc, &memory };
    struct ki_channel_used u;
    uint8_t id[KIRIM_CHANNEL_ID_BYTES];
    ki_channel_used_init(&u, &from, 16 * SECOND, used_key);
    const uint64_t most = KI_CHANNEL_USED_MAX;
    for (uint64_t i = 0; i < 2 * most; i++) {
        ck_assert_uint_eq(ki_channel_used_add(&u, id_of(i, id), SECOND + i), 0);
    }
    ck_assert(ki_channel_used_has(&u, id_of(0, id)));
    /* The first half is forgotten: all of it was added before the second half began. */
    ck_assert_uint_eq(ki_channel_used_add(&u, id_of(2 * most, id), 2 * SECOND), SECOND + most);
    ck_assert(!ki_channel_used_has(&u, id_of(0, id)));
    ck_assert(ki_channel_used_has(&u, id_of(most, id)));
    ck_assert_uint_le(memory.bytes, 5 * most * KIRIM_CHANNEL_ID_BYTES);
    ki_channel_used_free(&u);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

START_TEST(used_ids_without_memory_are_told_by_time)
{
    struct kit_memory memory = { 0 };
    const struct ki_channel_memory from = { kit_alloc, &memory };
    struct ki_channel_used u;
    uint8_t id[KIRIM_CHANNEL_ID_BYTES];
    ki_channel_used_init(&u, &from, 16 * SECOND, used_key);
    memory.fail_at = 1;
    memory.is_lasting = true;
    ck_assert_uint_eq(ki_channel_used_add(&u, id_of(0, id), SECOND), SECOND);
    ck_assert(!ki_channel_used_has(&u, id_of(0, id)));
    memory.fail_at = 0;
    ck_assert_uint_eq(ki_channel_used_add(&u, id_of(1, id), 2 * SECOND), 0);
    ck_assert(ki_channel_used_has(&u, id_of(1, id)));
    ki_channel_used_free(&u);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { ranges_are_the_set_that_was_added, 10 },
        { ranges_without_memory_stay_as_they_are, 0 },
        { ranges_have_a_bound, 0 },
        { packets_count_once_in_any_order, 5 },
        { every_second_packet_is_answered_at_once, 0 },
        { gaps_and_marks_are_answered_at_once, COUNT_OF(urgent) },
        { what_the_peer_knows_is_told_no_more, 0 },
        { used_ids_are_known_for_the_time_of_a_token, 0 },
        { used_ids_beyond_the_bound_are_told_by_time, 0 },
        { used_ids_without_memory_are_told_by_time, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/channel sets", claims);
}
