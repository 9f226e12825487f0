/* SPDX-License-Identifier: MIT
 *
 * Claims about endpoints that keep the order of each peer only: what is brought together, what is
 * not, and that whatever it lay in comes back. On the scripted reactor.
 */
#include "core.h"
#include "support/stage.h"

enum { PEER_COUNT = 3 };

static struct kirim_addr peer(uint32_t i)
{
    return ks_loopback(KIRIM_IPV4, (uint16_t)(100 + i));
}

static struct kirim_endpoint_options per_peer(void)
{
    struct ks t;
    ks_init(&t, "scripted", KIRIM_IPV4);
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.flags |= KIRIM_ENDPOINT_ORDER_PER_PEER;
    return options;
}

static struct stage *open_per_peer(void)
{
    const struct kirim_endpoint_options options = per_peer();
    return stage_open_with(0, &options);
}

/* Sends `number` to peer `number` / 100. */
static void send_to(struct stage *x, uint32_t number)
{
    const struct kirim_addr to = peer(number / 100);
    ks_send_number(x->n, number, &to);
}

static void send_all(struct stage *x, const uint32_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        send_to(x, numbers[i]);
    }
}

/* What has left is these numbers, each to its peer. */
static void check_sent(const struct stage *x, const uint32_t *numbers, size_t count)
{
    KS_EQ(count, x->p->sent_count);
    for (size_t i = 0; i < count; i++) {
        const struct kirim_addr to = peer(numbers[i] / 100);
        KS_EQ(numbers[i], x->p->sent[i].value);
        KS_CHECK(kirim_addr_equal(&to, &x->p->sent[i].peer));
    }
}

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

START_TEST(what_waits_for_one_peer_is_brought_together)
{
    static const uint32_t posted[] = { 101, 201, 102, 1, 202, 103, 2 };
    static const uint32_t wanted[] = { 101, 102, 103, 201, 202, 1, 2 };
    struct stage *x = open_per_peer();
    send_all(x, posted, COUNT_OF(posted));
    ks_turn(&x->t);
    check_sent(x, wanted, COUNT_OF(wanted));
    stage_close(x);
}
END_TEST

START_TEST(without_the_flag_nothing_changes_places)
{
    static const uint32_t posted[] = { 101, 201, 102, 1, 202, 103, 2 };
    struct stage *x = stage_open(0);
    send_all(x, posted, COUNT_OF(posted));
    ks_turn(&x->t);
    check_sent(x, posted, COUNT_OF(posted));
    stage_close(x);
}
END_TEST

START_TEST(groups_stay_until_they_are_gone)
{
    static const uint32_t first[] = { 101, 201, 102 };
    static const uint32_t second[] = { 103, 202, 104 };
    static const uint32_t wanted[] = { 101, 102, 201, 103, 104, 202 };
    struct stage *x = open_per_peer();
    x->p->room = 1;
    send_all(x, first, COUNT_OF(first));
    ks_turn(&x->t);
    send_all(x, second, COUNT_OF(second));
    ks_turn(&x->t);
    check_sent(x, wanted, 1);
    x->p->room = 2;
    ks_turn(&x->t);
    check_sent(x, wanted, 3);
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    check_sent(x, wanted, COUNT_OF(wanted));
    stage_close(x);
}
END_TEST

START_TEST(an_operation_keeps_its_datagram)
{
    static const uint32_t posted[] = { 101, 201, 102, 202, 103, 203 };
    static const uint32_t grouped[] = { 101, 102, 103, 201, 202, 203 };
    struct stage *x = open_per_peer();
    struct ks_op *op[COUNT_OF(posted)];
    uint8_t bytes[COUNT_OF(posted)][KS_NUMBER_BYTES];
    uint32_t wanted[COUNT_OF(posted)];
    size_t count = 0;
    x->p->room = 0;
    for (size_t i = 0; i < COUNT_OF(posted); i++) {
        const struct kirim_addr to = peer(posted[i] / 100);
        op[i] = ks_op(&x->t, 0);
        ks_number(bytes[i], posted[i]);
        KS_SEND_OP(x->n, bytes[i], KS_NUMBER_BYTES, &to, op[i]);
    }
    ks_turn(&x->t);
    KS_OK(kirim_op_cancel(&op[_i]->op));
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    for (size_t i = 0; i < COUNT_OF(posted); i++) {
        KS_ERR(i == (size_t)_i ? KIRIM_EABORTED : KIRIM_OK, op[i]->err);
        if (grouped[i] != posted[_i]) {
            wanted[count] = grouped[i];
            count++;
        }
    }
    check_sent(x, wanted, count);
    stage_close(x);
}
END_TEST

START_TEST(flights_and_dead_entries_are_no_hindrance)
{
    static const uint32_t posted[] = { 101, 201, 102, 202, 103, 203 };
    static const uint32_t wanted[] = { 1, 101, 103, 201, 202, 203 };
    struct stage *x = open_per_peer();
    struct ks_op *o = ks_op(&x->t, 0);
    uint8_t bytes[KS_NUMBER_BYTES];
    x->p->fly_every = 1;
    send_to(x, 1);
    ks_turn(&x->t); /* it flies while the others are brought together */
    for (size_t i = 0; i < COUNT_OF(posted); i++) {
        if (posted[i] == 102) {
            const struct kirim_addr to = peer(1);
            ks_number(bytes, 102);
            KS_SEND_OP(x->n, bytes, KS_NUMBER_BYTES, &to, o);
            continue;
        }
        send_to(x, posted[i]);
    }
    KS_OK(kirim_op_cancel(&o->op));
    ks_turn(&x->t);
    check_sent(x, wanted, COUNT_OF(wanted));
    while (x->p->flight_count > 0) {
        script_end(x->p, x->p->flight_count - 1, KIRIM_OK, 0);
        ks_turn(&x->t);
    }
    KS_EQ(COUNT_OF(wanted), ks_stats(x->n).tx_datagrams);
    stage_close(x);
}
END_TEST

START_TEST(groups_may_lie_across_the_rings_end)
{
    enum { BEFORE = 12, LEFT = 10, INTERLEAVED = 12 };
    struct stage *x = open_per_peer();
    uint32_t wanted[BEFORE + INTERLEAVED];
    for (uint32_t i = 0; i < BEFORE; i++) {
        send_to(x, i);
        wanted[i] = i;
    }
    x->p->room = LEFT;
    ks_turn(&x->t);
    for (uint32_t i = 0; i < INTERLEAVED; i++) {
        send_to(x, (1 + i % 2) * 100 + i / 2);
        wanted[BEFORE + i] = (1 + i / (INTERLEAVED / 2)) * 100 + i % (INTERLEAVED / 2);
    }
    KS_EQ(16, x->n->ep->queue.capacity);
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    check_sent(x, wanted, COUNT_OF(wanted));
    stage_close(x);
}
END_TEST

START_TEST(a_connected_endpoint_need_not_name_its_peer)
{
    struct kirim_endpoint_options options = per_peer();
    const struct kirim_addr other = peer(2);
    options.peer = peer(1);
    struct stage *x = stage_open_with(0, &options);
    ks_send_number(x->n, 0, NULL);
    ks_send_number(x->n, 3, &other);
    ks_send_number(x->n, 1, &options.peer);
    ks_send_number(x->n, 2, NULL);
    ks_turn(&x->t);
    script_check_sent(x->p, 0, 4);
    stage_close(x);
}
END_TEST

/* ---- what is given back ---------------------------------------------------------------------- */

static void reply_all(struct ks_node *n, const struct kirim_batch *batch)
{
    size_t done = 0;
    KS_OK(kirim_endpoint_reply(n->ep, batch->first, batch->count, &done));
}

/* One cycle: stored, lent and copied, with some left over, lost or discarded; empty at its end. */
static void run_cycle(struct stage *x, uint32_t kind)
{
    for (uint32_t i = 0; i < 30; i++) {
        const struct kirim_addr from = peer(i % PEER_COUNT);
        send_to(x, i % PEER_COUNT * 100 + i);
        if (kind % 2 != 0) {
            script_arrive_numbers(x->p, i, 1, &from);
        }
    }
    x->p->room = 7 * (kind % 5);
    ks_turn(&x->t);
    if (kind % 3 == 0) {
        script_refuse(x->p, 3, 2, KIRIM_ENOBUFS, 105);
    }
    x->p->room = 20;
    send_to(x, 1);
    send_to(x, 101);
    send_to(x, 2);
    ks_turn(&x->t);
    if (kind % 7 == 0) {
        KS_OK(kirim_endpoint_discard(x->n->ep, NULL));
    }
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    ks_turn(&x->t);
    KS_EQ(0, kirim_endpoint_queued_count(x->n->ep));
    KS_EQ(0, x->n->ep->group_stored_count + x->n->ep->group_copied_count);
    KS_EQ(0, x->n->ep->held_bytes);
    x->p->sent_count = 0;
}

START_TEST(memory_comes_back)
{
    enum { WARM = 105, CYCLES = 420 };
    struct stage *x = open_per_peer();
    size_t bytes = 0;
    x->n->on_received = reply_all;
    for (uint32_t i = 0; i < CYCLES; i++) {
        run_cycle(x, i);
        if (i == WARM) {
            bytes = x->t.memory.bytes;
        }
    }
    KS_EQ(bytes, x->t.memory.bytes);
    stage_close(x);
}
END_TEST

/* In a group the bytes that lie first in the store need not leave first. */
START_TEST(bytes_are_kept_until_their_group_is_gone)
{
    enum { BYTES = 3000, COUNT = 6 };
    static uint8_t payload[COUNT][BYTES];
    static uint8_t other[BYTES];
    struct stage *x = open_per_peer();
    x->p->room = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        const struct kirim_addr to = peer(1 + i % 2);
        ks_fill(payload[i], BYTES, i);
        KS_OK(kirim_endpoint_send_to(x->n->ep, payload[i], BYTES, &to));
    }
    ks_turn(&x->t);
    for (uint32_t i = 0; i < COUNT; i++) { /* one leaves in each turn, and new ones are posted */
        x->p->room = 1;
        ks_turn(&x->t);
        KS_EQ(i + 1, x->p->sent_count);
        const uint32_t at = i < COUNT / 2 ? 2 * i : 2 * (i - COUNT / 2) + 1;
        KS_EQ(ks_digest(payload[at], BYTES), x->p->sent[i].digest);
        for (uint32_t k = 0; k < 4; k++) {
            const struct kirim_addr to = peer(0);
            KS_OK(kirim_endpoint_send_to(x->n->ep, other, BYTES, &to));
        }
    }
    x->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&x->t);
    stage_close(x);
}
END_TEST

/* ---- opening --------------------------------------------------------------------------------- */

START_TEST(opening_without_memory_fails)
{
    struct stage *x = stage_open(0);
    struct kirim_endpoint_options options = per_peer();
    struct ks_node *n = NULL;
    const size_t blocks = x->t.memory.blocks;
    x->t.memory.fail_at = x->t.memory.calls + 1;
    x->t.memory.is_lasting = false;
    KS_ERR(KIRIM_ENOMEM, ks_node_try(&x->t, &options, &n));
    KS_EQ(blocks, x->t.memory.blocks);
    x->t.memory.fail_at = 0;
    x->s->random_err = KIRIM_ESYSTEM;
    KS_ERR(KIRIM_ESYSTEM, ks_node_try(&x->t, &options, &n));
    KS_EQ(blocks, x->t.memory.blocks);
    x->s->random_err = KIRIM_OK;
    KS_OK(ks_node_try(&x->t, &options, &n));
    const size_t first = x->t.memory.blocks;
    KS_OK(ks_node_try(&x->t, &options, &n));
    KS_EQ(first - blocks - 1, x->t.memory.blocks - first); /* one scratch for all */
    stage_close(x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/group");
    TCase *tcase = tcase_create("group");
    tcase_add_test(tcase, what_waits_for_one_peer_is_brought_together);
    tcase_add_test(tcase, without_the_flag_nothing_changes_places);
    tcase_add_test(tcase, groups_stay_until_they_are_gone);
    tcase_add_loop_test(tcase, an_operation_keeps_its_datagram, 0, 6);
    tcase_add_test(tcase, flights_and_dead_entries_are_no_hindrance);
    tcase_add_test(tcase, groups_may_lie_across_the_rings_end);
    tcase_add_test(tcase, a_connected_endpoint_need_not_name_its_peer);
    tcase_add_test(tcase, memory_comes_back);
    tcase_add_test(tcase, bytes_are_kept_until_their_group_is_gone);
    tcase_add_test(tcase, opening_without_memory_fails);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
