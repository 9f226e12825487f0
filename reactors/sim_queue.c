/* SPDX-License-Identifier: MIT
 *
 * The queue of a world's events: a heap of four children to a node, in the order of (time, order).
 *
 * No two events are equal, so what comes first depends on nothing but the keys. A slot carries the
 * keys beside the pointer, for comparing must not touch the events. Owns the array of slots, not
 * the events. The world's thread.
 */
#include "sim.h"

enum { CHILDREN = 4, SLOTS_MIN = 64 };

#define ORDER_OF_TURNS ((uint64_t)1 << 63)

static bool make_room(struct kirim_sim *sim, size_t wanted)
{
    struct ki_sim_queue *q = &sim->queue;
    if (wanted <= q->capacity) {
        return true;
    }
    size_t capacity = q->capacity == 0 ? (size_t)SLOTS_MIN : q->capacity;
    while (capacity < wanted) {
        capacity *= 2;
    }
    struct ki_sim_slot *slot =
        sim->alloc(sim->alloc_user, q->slot, q->capacity * sizeof *slot, capacity * sizeof *slot);
    if (slot == NULL) {
        return false;
    }
    q->slot = slot;
    q->capacity = capacity;
    return true;
}

bool ki_sim_queue_promise(struct kirim_sim *sim)
{
    if (!make_room(sim, sim->queue.loose + sim->queue.promised + 1)) {
        return false;
    }
    sim->queue.promised++;
    return true;
}

void ki_sim_queue_unpromise(struct kirim_sim *sim)
{
    sim->queue.promised--;
}

bool ki_sim_queue_reserve(struct kirim_sim *sim, size_t count)
{
    return make_room(sim, sim->queue.loose + sim->queue.promised + count);
}

static bool is_before(const struct ki_sim_slot *a, const struct ki_sim_slot *b)
{
    return a->time_ns < b->time_ns || (a->time_ns == b->time_ns && a->order < b->order);
}

static void set_slot(struct ki_sim_queue *q, size_t i, struct ki_sim_slot slot)
{
    q->slot[i] = slot;
    slot.event->place = i + 1;
}

/* Fills the hole at `i` with `slot`, or with what has to stand above it. */
static void sift_up(struct ki_sim_queue *q, size_t i, struct ki_sim_slot slot)
{
    while (i > 0) {
        const size_t parent = (i - 1) / CHILDREN;
        if (!is_before(&slot, &q->slot[parent])) {
            break;
        }
        set_slot(q, i, q->slot[parent]);
        i = parent;
    }
    set_slot(q, i, slot);
}

/* Fills the hole at `i` with `slot`, or with what has to stand below it. */
static void sift_down(struct ki_sim_queue *q, size_t i, struct ki_sim_slot slot)
{
    for (;;) {
        const size_t first = i * CHILDREN + 1;
        if (first >= q->count) {
            break;
        }
        const size_t end = first + CHILDREN < q->count ? first + CHILDREN : q->count;
        size_t least = first;
        for (size_t child = first + 1; child < end; child++) {
            if (is_before(&q->slot[child], &q->slot[least])) {
                least = child;
            }
        }
        if (!is_before(&q->slot[least], &slot)) {
            break;
        }
        set_slot(q, i, q->slot[least]);
        i = least;
    }
    set_slot(q, i, slot);
}

static bool is_loose(const struct ki_sim_event *event)
{
    return event->kind == KI_SIM_PACKET || event->kind == KI_SIM_REPORT;
}

void ki_sim_queue_put(struct kirim_sim *sim, struct ki_sim_event *event, uint64_t time_ns)
{
    struct ki_sim_queue *q = &sim->queue;
    ki_sim_queue_take(sim, event);
    event->time_ns = time_ns;
    event->order = q->ordinal++ | (event->kind == KI_SIM_TURN ? ORDER_OF_TURNS : 0);
    q->loose += is_loose(event);
    q->count++;
    sift_up(q, q->count - 1, (struct ki_sim_slot){ time_ns, event->order, event });
}

void ki_sim_queue_take(struct kirim_sim *sim, struct ki_sim_event *event)
{
    struct ki_sim_queue *q = &sim->queue;
    if (event->place == 0) {
        return;
    }
    const size_t hole = event->place - 1;
    event->place = 0;
    q->loose -= is_loose(event);
    q->count--;
    if (hole == q->count) {
        return;
    }
    const struct ki_sim_slot last = q->slot[q->count];
    if (hole > 0 && is_before(&last, &q->slot[(hole - 1) / CHILDREN])) {
        sift_up(q, hole, last);
    } else {
        sift_down(q, hole, last);
    }
}
