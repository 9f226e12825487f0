/* SPDX-License-Identifier: MIT
 *
 * The transaction table. A slot is empty (in a list of those), under way (in a heap by deadline),
 * or has ended (in a queue, the oldest first to be forgotten); the latter two are also in a table
 * of chains by id. The heads of the chains and the places of the heap lie in the slots, too: slot i
 * has the head of chain i and the place i of the heap, which have nothing else to do with it. Links
 * are slot numbers from 1; 0 is none.
 *
 * Chains need no hash: ids are random, and an attacker cannot add one. Owns nothing. One thread at
 * a time.
 */
#include <kirim/transaction.h>

#include <string.h>

#include "pack.h"

enum {
    EMPTY = 0,
    OPEN = KIRIM_ANSWER_AWAITED,
    ANSWERED = KIRIM_ANSWER_DUPLICATE,
    OVER = KIRIM_ANSWER_LATE,
    ID_BITS_MIN = 8,
    ID_BITS_MAX = 64,
    SLOT_COUNT_MAX = 1 << 30,
    /* Half of the ids are free at the least: so many tries fail once in 2^64. */
    TRY_COUNT_MAX = 64
};

static struct kirim_transaction_slot *slot_of(const struct kirim_transactions *table,
                                              uint32_t number)
{
    return &table->options.slots[number - 1];
}

kirim_err kirim_transactions_init(struct kirim_transactions *table,
                                  const struct kirim_transactions_options *options)
{
    if (options->slots == NULL || options->slot_count == 0 ||
        options->slot_count > SLOT_COUNT_MAX || options->open_max > options->slot_count ||
        options->id_bits < ID_BITS_MIN || options->id_bits > ID_BITS_MAX ||
        options->slot_count > UINT64_C(1) << (options->id_bits - 1)) {
        return KIRIM_EINVAL;
    }
    memset(table, 0, sizeof *table);
    table->options = *options;
    if (options->open_max == 0) {
        table->options.open_max = options->slot_count;
    }
    memset(options->slots, 0, options->slot_count * sizeof *options->slots);
    for (uint32_t i = 0; i < options->slot_count; i++) {
        options->slots[i].ki_next = i + 1 < options->slot_count ? i + 2 : 0;
    }
    table->ki_empty = 1;
    return KIRIM_OK;
}

/* ---- chains ---------------------------------------------------------------------------------- */

/* The link to the slot of an id, or to the end of its chain. */
static uint32_t *find_link(const struct kirim_transactions *table, uint64_t id)
{
    const uint64_t spread = id << (ID_BITS_MAX - table->options.id_bits);
    uint32_t *link = &table->options.slots[ki_place_of(spread, table->options.slot_count)].ki_first;
    while (*link != 0 && slot_of(table, *link)->ki_id != id) {
        link = &slot_of(table, *link)->ki_next;
    }
    return link;
}

static uint32_t find_open(const struct kirim_transactions *table, uint64_t id)
{
    const uint32_t number = *find_link(table, id);
    return number != 0 && slot_of(table, number)->ki_state == OPEN ? number : 0;
}

/* ---- heap, places from 1 --------------------------------------------------------------------- */

static uint32_t at_rank(const struct kirim_transactions *table, uint32_t rank)
{
    return table->options.slots[rank - 1].ki_heap;
}

static void put_at_rank(const struct kirim_transactions *table, uint32_t rank, uint32_t number)
{
    table->options.slots[rank - 1].ki_heap = number;
    slot_of(table, number)->ki_rank = rank;
}

static uint64_t deadline_at(const struct kirim_transactions *table, uint32_t rank)
{
    return slot_of(table, at_rank(table, rank))->ki_time_ns;
}

/* Puts `number` where it belongs, from `rank` upwards or downwards; that place is free. */
static void sift(const struct kirim_transactions *table, uint32_t rank, uint32_t number)
{
    const uint64_t time_ns = slot_of(table, number)->ki_time_ns;
    for (; rank > 1 && time_ns < deadline_at(table, rank / 2); rank /= 2) {
        put_at_rank(table, rank, at_rank(table, rank / 2));
    }
    for (uint32_t child = rank * 2; child <= table->open_count; child = rank * 2) {
        if (child < table->open_count &&
            deadline_at(table, child + 1) < deadline_at(table, child)) {
            child++;
        }
        if (time_ns <= deadline_at(table, child)) {
            break;
        }
        put_at_rank(table, rank, at_rank(table, child));
        rank = child;
    }
    put_at_rank(table, rank, number);
}

static void leave_heap(struct kirim_transactions *table, uint32_t number)
{
    const uint32_t rank = slot_of(table, number)->ki_rank;
    const uint32_t last = at_rank(table, table->open_count);
    table->open_count--;
    if (last != number) {
        sift(table, rank, last);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Makes the oldest that has ended an empty slot; there is one. */
static void forget_oldest(struct kirim_transactions *table)
{
    const uint32_t number = table->ki_oldest;
    struct kirim_transaction_slot *const slot = slot_of(table, number);
    *find_link(table, slot->ki_id) = slot->ki_next;
    table->ki_oldest = slot->ki_newer;
    slot->ki_state = EMPTY;
    slot->ki_next = table->ki_empty;
    table->ki_empty = number;
}

static void end(struct kirim_transactions *table, uint32_t number, uint32_t state, uint64_t now_ns)
{
    struct kirim_transaction_slot *const slot = slot_of(table, number);
    leave_heap(table, number);
    slot->ki_state = state;
    slot->ki_time_ns = ki_after(now_ns, table->options.remember_ns);
    slot->ki_newer = 0;
    slot->ki_user = NULL;
    if (table->ki_oldest == 0) {
        table->ki_oldest = number;
    } else {
        slot_of(table, table->ki_newest)->ki_newer = number;
    }
    table->ki_newest = number;
}

/* An id that no slot has. */
static bool make_id(struct kirim_transactions *table, uint64_t *id)
{
    for (unsigned i = 0; i < TRY_COUNT_MAX; i++) {
        uint8_t counter[8];
        ki_store_le64(counter, table->ki_counter++);
        const uint64_t random = kirim_siphash_number(table->options.key, counter, sizeof counter);
        *id = random >> (ID_BITS_MAX - table->options.id_bits);
        if (*find_link(table, *id) == 0) {
            return true;
        }
    }
    return false;
}

kirim_err kirim_transactions_begin(struct kirim_transactions *table, const struct kirim_addr *peer,
                                   uint64_t deadline_ns, void *user, uint64_t *id)
{
    uint64_t made = 0;
    if (table->open_count >= table->options.open_max) {
        return KIRIM_EWOULDBLOCK;
    }
    if (table->ki_empty == 0) {
        forget_oldest(table);
    }
    if (!make_id(table, &made)) {
        return KIRIM_EWOULDBLOCK;
    }
    const uint32_t number = table->ki_empty;
    struct kirim_transaction_slot *const slot = slot_of(table, number);
    uint32_t *const link = find_link(table, made);
    table->ki_empty = slot->ki_next;
    slot->ki_peer = *peer;
    slot->ki_id = made;
    slot->ki_time_ns = deadline_ns;
    slot->ki_user = user;
    slot->ki_state = OPEN;
    slot->ki_next = 0;
    *link = number;
    table->open_count++;
    sift(table, table->open_count, number);
    table->stats.begun++;
    *id = made;
    return KIRIM_OK;
}

static int judge(const struct kirim_transactions *table, const struct kirim_addr *peer, uint64_t id,
                 void **user)
{
    const uint32_t number = *find_link(table, id);
    if (number == 0) {
        return KIRIM_ANSWER_UNKNOWN;
    }
    const struct kirim_transaction_slot *const slot = slot_of(table, number);
    if (kirim_addr_family(&slot->ki_peer) != KIRIM_FAMILY_NONE &&
        !kirim_addr_equal(&slot->ki_peer, peer)) {
        return KIRIM_ANSWER_FORGED;
    }
    *user = slot->ki_user;
    return (int)slot->ki_state;
}

int kirim_transactions_judge(struct kirim_transactions *table, const struct kirim_addr *peer,
                             uint64_t id, void **user)
{
    *user = NULL;
    const int verdict = judge(table, peer, id, user);
    table->stats.answers[verdict]++;
    return verdict;
}

static kirim_err end_open(struct kirim_transactions *table, uint64_t id, uint32_t state,
                          uint64_t now_ns)
{
    const uint32_t number = find_open(table, id);
    if (number == 0) {
        return KIRIM_ENOENT;
    }
    end(table, number, state, now_ns);
    return KIRIM_OK;
}

kirim_err kirim_transactions_answer(struct kirim_transactions *table, uint64_t id, uint64_t now_ns)
{
    return end_open(table, id, ANSWERED, now_ns);
}

kirim_err kirim_transactions_cancel(struct kirim_transactions *table, uint64_t id, uint64_t now_ns)
{
    return end_open(table, id, OVER, now_ns);
}

kirim_err kirim_transactions_move(struct kirim_transactions *table, uint64_t id,
                                  uint64_t deadline_ns)
{
    const uint32_t number = find_open(table, id);
    if (number == 0) {
        return KIRIM_ENOENT;
    }
    slot_of(table, number)->ki_time_ns = deadline_ns;
    sift(table, slot_of(table, number)->ki_rank, number);
    return KIRIM_OK;
}

uint64_t kirim_transactions_deadline(const struct kirim_transactions *table)
{
    return table->open_count > 0 ? deadline_at(table, 1) : KIRIM_NEVER;
}

bool kirim_transactions_expire(struct kirim_transactions *table, uint64_t now_ns, void **user,
                               uint64_t *id)
{
    while (table->ki_oldest != 0 && slot_of(table, table->ki_oldest)->ki_time_ns <= now_ns) {
        forget_oldest(table);
    }
    const uint64_t deadline_ns = kirim_transactions_deadline(table);
    if (deadline_ns > now_ns || deadline_ns == KIRIM_NEVER) {
        return false;
    }
    const uint32_t number = at_rank(table, 1);
    *user = slot_of(table, number)->ki_user;
    *id = slot_of(table, number)->ki_id;
    end(table, number, OVER, now_ns);
    table->stats.expired++;
    return true;
}
