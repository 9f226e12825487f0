/* SPDX-License-Identifier: MIT
 *
 * Claims about the simulator's parts: the queue of events, hash tables, hashes, charges.
 */
#include "sim.h"
#include "sim_kit.h"
#include "support/random.h"

#include <string.h>

enum { EVENT_COUNT = 5000, NODE_COUNT = 3000, DRAW_COUNT = 100000 };

/* ---- the queue ------------------------------------------------------------------------------- */

/* Takes the first event, which must be there. */
static struct ki_sim_event *take_first(struct kirim_sim *sim)
{
    struct ki_sim_event *event = ki_sim_queue_first(sim);
    ck_assert_ptr_nonnull(event);
    ki_sim_queue_take(sim, event);
    return event;
}

static void put(struct kirim_sim *sim, struct ki_sim_event *event, uint64_t kind, uint64_t time_ns)
{
    memset(event, 0, sizeof *event);
    event->kind = kind;
    ck_assert(ki_sim_queue_reserve(sim, 1));
    ki_sim_queue_put(sim, event, time_ns);
}

START_TEST(events_come_in_order_of_time_and_then_of_putting)
{
    static struct ki_sim_event events[EVENT_COUNT];
    struct test_random random = test_random_start("queue");
    struct kit k;
    kit_open(&k, 1);
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        put(k.sim, &events[i], KI_SIM_PACKET, test_random_next(&random) % 500);
    }
    uint64_t last_ns = 0;
    const struct ki_sim_event *last = NULL;
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        const struct ki_sim_event *event = take_first(k.sim);
        ck_assert_uint_ge(event->time_ns, last_ns);
        ck_assert(last == NULL || event->time_ns > last_ns || event > last);
        last_ns = event->time_ns;
        last = event;
    }
    ck_assert_ptr_null(ki_sim_queue_first(k.sim));
    kit_close(&k);
}
END_TEST

START_TEST(turns_come_behind_all_else_of_their_instant)
{
    struct ki_sim_event turn = { .kind = KI_SIM_TURN };
    struct ki_sim_event early;
    struct ki_sim_event late;
    struct kit k;
    kit_open(&k, 1);
    ck_assert(ki_sim_queue_promise(k.sim));
    put(k.sim, &early, KI_SIM_PACKET, 7);
    ki_sim_queue_put(k.sim, &turn, 7);
    put(k.sim, &late, KI_SIM_PACKET, 7);
    ck_assert_ptr_eq(take_first(k.sim), &early);
    ck_assert_ptr_eq(take_first(k.sim), &late);
    ck_assert_ptr_eq(take_first(k.sim), &turn);
    kit_close(&k);
}
END_TEST

START_TEST(event_that_is_put_again_moves)
{
    struct ki_sim_event a;
    struct ki_sim_event b;
    struct kit k;
    kit_open(&k, 1);
    put(k.sim, &a, KI_SIM_PACKET, 5);
    put(k.sim, &b, KI_SIM_PACKET, 6);
    ki_sim_queue_put(k.sim, &a, 9);
    ck_assert_ptr_eq(take_first(k.sim), &b);
    ck_assert_ptr_eq(take_first(k.sim), &a);
    ck_assert_uint_eq(a.time_ns, 9);
    kit_close(&k);
}
END_TEST

START_TEST(events_taken_from_the_middle_leave_the_others_in_order)
{
    static struct ki_sim_event events[EVENT_COUNT];
    struct test_random random = test_random_start("queue");
    struct kit k;
    kit_open(&k, 1);
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        put(k.sim, &events[i], KI_SIM_PACKET, test_random_next(&random) % 500);
    }
    for (size_t i = 0; i < EVENT_COUNT; i += 3) {
        ki_sim_queue_take(k.sim, &events[i]);
        ki_sim_queue_take(k.sim, &events[i]); /* it is not there any more: nothing happens */
    }
    size_t count = 0;
    uint64_t last_ns = 0;
    while (ki_sim_queue_first(k.sim) != NULL) {
        const struct ki_sim_event *event = take_first(k.sim);
        ck_assert_uint_ne((size_t)(event - events) % 3, 0);
        ck_assert_uint_ge(event->time_ns, last_ns);
        last_ns = event->time_ns;
        count++;
    }
    ck_assert_uint_eq(count, EVENT_COUNT - (EVENT_COUNT + 2) / 3);
    kit_close(&k);
}
END_TEST

START_TEST(promised_slot_is_there_when_memory_is_not)
{
    static struct ki_sim_event packets[1000];
    struct ki_sim_event turn = { .kind = KI_SIM_TURN };
    struct kit k;
    kit_open(&k, 1);
    ck_assert(ki_sim_queue_promise(k.sim));
    size_t count = 0;
    k.memory.fail_at = k.memory.calls + 1; /* the queue does not grow any more */
    while (ki_sim_queue_reserve(k.sim, 1)) {
        put(k.sim, &packets[count], KI_SIM_PACKET, count);
        count++;
        ck_assert_uint_lt(count, 1000);
    }
    ki_sim_queue_put(k.sim, &turn, 1000);
    for (size_t i = 0; i < count; i++) {
        ck_assert_ptr_eq(take_first(k.sim), &packets[i]);
    }
    ck_assert_ptr_eq(take_first(k.sim), &turn);
    kit_close(&k);
}
END_TEST

/* ---- tables ---------------------------------------------------------------------------------- */

static size_t count_found(const struct ki_sim_table *t, uint64_t hash)
{
    size_t count = 0;
    const struct ki_sim_node *node = ki_sim_table_first(t, hash);
    for (; node != NULL; node = ki_sim_table_next(node)) {
        count += node->hash == hash;
    }
    return count;
}

static void check_table(struct kit *k, struct ki_sim_node *nodes)
{
    struct ki_sim_table t = { NULL, 0, 0 };
    for (size_t i = 0; i < NODE_COUNT; i++) {
        ck_assert(ki_sim_table_reserve(k->sim, &t, 1));
        ki_sim_table_add(&t, &nodes[i], ki_mix(i / 2));
    }
    for (size_t i = 0; i < NODE_COUNT / 2; i++) {
        ck_assert_uint_eq(count_found(&t, ki_mix(i)), 2);
    }
    for (size_t i = 0; i < NODE_COUNT; i += 2) {
        ki_sim_table_remove(&t, &nodes[i]);
    }
    for (size_t i = 0; i < NODE_COUNT / 2; i++) {
        ck_assert_uint_eq(count_found(&t, ki_mix(i)), 1);
    }
    ck_assert_uint_eq(count_found(&t, ki_mix(NODE_COUNT)), 0);
    ki_sim_table_fini(k->sim, &t);
}

START_TEST(table_finds_all_nodes_of_a_hash)
{
    static struct ki_sim_node nodes[NODE_COUNT];
    struct kit k;
    kit_open(&k, 1);
    check_table(&k, nodes);
    kit_close(&k);
}
END_TEST

START_TEST(table_that_cannot_grow_works_on)
{
    static struct ki_sim_node nodes[NODE_COUNT];
    struct kit k;
    kit_open(&k, 1);
    const uint64_t first = k.memory.calls + 1;
    check_table(&k, nodes);
    const uint64_t end = k.memory.calls;
    for (uint64_t n = first + 1; n <= end; n++) {
        k.memory.fail_at = k.memory.calls + 1 + n - first;
        check_table(&k, nodes);
    }
    kit_close(&k);
}
END_TEST

START_TEST(table_without_memory_for_its_first_buckets_says_so)
{
    struct ki_sim_table t = { NULL, 0, 0 };
    struct kit k;
    kit_open(&k, 1);
    k.memory.fail_at = k.memory.calls + 1;
    ck_assert(!ki_sim_table_reserve(k.sim, &t, 1));
    ck_assert_ptr_null(ki_sim_table_first(&t, 5));
    kit_close(&k);
}
END_TEST

/* ---- hashes ---------------------------------------------------------------------------------- */

START_TEST(draws_are_the_same_everywhere)
{
    ck_assert_uint_eq(ki_mix(1), UINT64_C(0x5692161d100b05e5));
    ck_assert_uint_eq(ki_draw(1, KI_DRAW_LOSS, 0), UINT64_C(0xf9bf81ab2a0effc));
    ck_assert_uint_eq(ki_draw(1, KI_DRAW_LOSS, 1), UINT64_C(0x2c81a64177c1767b));
    ck_assert_uint_eq(ki_draw(2, KI_DRAW_JITTER, 77), UINT64_C(0xcdae205e1b94c9bd));
}
END_TEST

START_TEST(hash_of_bytes_is_the_same_everywhere_and_at_any_place)
{
    uint8_t bytes[104];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    ck_assert_uint_eq(ki_hash_bytes(1, bytes, 0), UINT64_C(0x937fcb6b3e1639cf));
    ck_assert_uint_eq(ki_hash_bytes(1, bytes, 31), UINT64_C(0x6bb2cf1a4b9a4299));
    ck_assert_uint_eq(ki_hash_bytes(1, bytes, 100), UINT64_C(0xe24b8e3a0936c31b));
    const uint64_t hash = ki_hash_bytes(1, bytes, 96);
    for (size_t i = 1; i < 8; i++) {
        memmove(bytes + i, bytes + i - 1, 96);
        ck_assert_uint_eq(ki_hash_bytes(1, bytes + i, 96), hash);
    }
}
END_TEST

START_TEST(hash_of_bytes_depends_on_every_bit_and_on_the_length)
{
    uint8_t bytes[72] = { 0 };
    for (size_t length = 0; length < sizeof bytes; length++) {
        const uint64_t hash = ki_hash_bytes(1, bytes, length);
        ck_assert_uint_ne(hash, ki_hash_bytes(1, bytes, length + 1));
        ck_assert_uint_ne(hash, ki_hash_bytes(2, bytes, length));
        for (size_t bit = 0; bit < 8 * length; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
            ck_assert_uint_ne(hash, ki_hash_bytes(1, bytes, length));
            bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
    }
}
END_TEST

START_TEST(hash_of_an_address_is_that_of_its_bytes)
{
    const struct kirim_addr a = kit_addr("10.1.2.3:53");
    const struct kirim_addr b = kit_addr("10.1.2.3:54");
    const struct kirim_addr c = kit_addr("[2001:db8::1]:53");
    ck_assert_uint_eq(ki_sim_hash_addr(&a, true), UINT64_C(0x8d3074bb9213a31c));
    ck_assert_uint_eq(ki_sim_hash_addr(&c, true), UINT64_C(0x8ff9788ee427220a));
    ck_assert_uint_ne(ki_sim_hash_addr(&a, true), ki_sim_hash_addr(&b, true));
    ck_assert_uint_eq(ki_sim_hash_addr(&a, false), ki_sim_hash_addr(&b, false));
}
END_TEST

START_TEST(scaling_is_even_and_keeps_its_bounds)
{
    ck_assert_uint_eq(ki_scale(0, 10), 0);
    ck_assert_uint_eq(ki_scale(UINT64_MAX, 10), 10);
    ck_assert_uint_eq(ki_scale(UINT64_MAX, 0), 0);
    ck_assert_uint_eq(ki_scale(12345, UINT64_MAX), 12345);
    ck_assert_uint_eq(ki_scale(UINT64_MAX, UINT64_MAX - 1), UINT64_MAX - 1);
    ck_assert_uint_eq(ki_scale(UINT64_MAX / 2 + 1, 999), 500);
    ck_assert_uint_eq(ki_scale(UINT64_MAX / 2, 999), 499);
    size_t count[10] = { 0 };
    for (uint64_t i = 0; i < DRAW_COUNT; i++) {
        count[ki_scale(ki_draw(3, 4, i), 9)]++;
    }
    for (size_t i = 0; i < 10; i++) {
        ck_assert_uint_gt(count[i], DRAW_COUNT / 10 - 500);
        ck_assert_uint_lt(count[i], DRAW_COUNT / 10 + 500);
    }
}
END_TEST

/* ---- packets --------------------------------------------------------------------------------- */

START_TEST(free_packets_are_used_again_and_kept_up_to_a_bound)
{
    struct ki_sim_packet *packets[300];
    struct kit k;
    kit_open(&k, 1);
    for (size_t i = 0; i < 300; i++) {
        packets[i] = ki_sim_packet_alloc(k.sim, KIRIM_PAYLOAD_IPV6_BYTES_MAX);
        ck_assert_ptr_nonnull(packets[i]);
    }
    const size_t before = k.memory.blocks;
    for (size_t i = 0; i < 300; i++) {
        ki_sim_packet_free(k.sim, packets[i]);
    }
    const size_t kept = KI_SIM_FREE_BYTES_MAX / (65536 + sizeof(struct ki_sim_packet));
    ck_assert_uint_eq(k.memory.blocks, before - 300 + kept);
    const uint64_t calls = k.memory.calls;
    struct ki_sim_packet *again = ki_sim_packet_alloc(k.sim, KIRIM_PAYLOAD_IPV6_BYTES_MAX);
    ck_assert_uint_eq(k.memory.calls, calls);
    ki_sim_packet_free(k.sim, again);
    kit_close(&k);
}
END_TEST

/* ---- charges --------------------------------------------------------------------------------- */

START_TEST(datagrams_take_of_a_buffer_what_they_take_on_linux)
{
    ck_assert_uint_eq(ki_sim_charge(0), 832);
    ck_assert_uint_eq(ki_sim_charge(64), 832);
    ck_assert_uint_eq(ki_sim_charge(65), 1280);
    ck_assert_uint_eq(ki_sim_charge(1200), 2304);
    ck_assert_uint_eq(KI_SIM_BUFFER_BYTES / ki_sim_charge(64), 256);
    ck_assert_uint_eq(KI_SIM_BUFFER_BYTES / ki_sim_charge(1200), 92);
    for (uint32_t bytes = 1; bytes <= KIRIM_PAYLOAD_IPV6_BYTES_MAX; bytes++) {
        ck_assert_uint_ge(ki_sim_charge(bytes), ki_sim_charge(bytes - 1));
        ck_assert_uint_gt(ki_sim_charge(bytes), bytes);
    }
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { events_come_in_order_of_time_and_then_of_putting, 0 },
        { turns_come_behind_all_else_of_their_instant, 0 },
        { event_that_is_put_again_moves, 0 },
        { events_taken_from_the_middle_leave_the_others_in_order, 0 },
        { promised_slot_is_there_when_memory_is_not, 0 },
        { table_finds_all_nodes_of_a_hash, 0 },
        { table_that_cannot_grow_works_on, 0 },
        { table_without_memory_for_its_first_buckets_says_so, 0 },
        { draws_are_the_same_everywhere, 0 },
        { hash_of_bytes_is_the_same_everywhere_and_at_any_place, 0 },
        { hash_of_bytes_depends_on_every_bit_and_on_the_length, 0 },
        { hash_of_an_address_is_that_of_its_bytes, 0 },
        { scaling_is_even_and_keeps_its_bounds, 0 },
        { free_packets_are_used_again_and_kept_up_to_a_bound, 0 },
        { datagrams_take_of_a_buffer_what_they_take_on_linux, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_parts", claims);
}
