/* SPDX-License-Identifier: MIT
 *
 * The timer wheel; see wheel.h for what it promises.
 *
 * The level of a deadline is the highest digit, to the base KI_WHEEL_SLOT_COUNT, in which its tick
 * differs from the wheel's tick; its slot there is that digit. What this keeps true, and the rest
 * builds on:
 *   - every timer in a slot is later than the wheel's tick, every timer in a heap is not;
 *   - an occupied slot's digit is greater than the wheel's on that level, so slots never wrap;
 *   - all of a lower level is earlier than all of a higher one, so the lowest bit of the lowest
 *     level that has one is the earliest slot;
 *   - the wheel's tick can move up to just before that slot, and no timer has to move.
 * A timer that is armed again for later stays in its slot, and moves when that is opened.
 * A root of a heap has neither `ki_next` nor `ki_prev`. No recursion, no allocation. Loop thread.
 * Sources: those of wheel.h.
 */
#include "wheel.h"

#include "bits.h"

#include <string.h>

#define PLACE_MASK (((uint64_t)1 << KI_WHEEL_TICK_SHIFT) - 1)

enum { SCAN_COUNT_MAX = 8 }; /* timers in slots that ki_wheel_next() looks at */

_Static_assert(KI_WHEEL_SLOT_COUNT == 64, "a level's slots have a bit each in one word");
_Static_assert((KI_WHEEL_LEVEL_COUNT + 1) * KI_WHEEL_SLOT_COUNT < 1 << KI_WHEEL_TICK_SHIFT,
               "a slot's number fits below a tick");
_Static_assert(KI_WHEEL_TICK_SHIFT + KI_WHEEL_LEVEL_COUNT * KI_WHEEL_LEVEL_SHIFT >= 64,
               "the levels reach any deadline");

/* ---- the pairing heap ------------------------------------------------------------------------ */

static bool is_earlier(const struct kirim_timer *a, const struct kirim_timer *b)
{
    if (a->deadline_ns != b->deadline_ns) {
        return a->deadline_ns < b->deadline_ns;
    }
    return a->ki_order < b->ki_order;
}

/* Makes one heap of two, each given by its root or NULL. */
static struct kirim_timer *meld_two(struct kirim_timer *a, struct kirim_timer *b)
{
    if (a == NULL) {
        return b;
    }
    if (b == NULL) {
        return a;
    }
    struct kirim_timer *const root = is_earlier(b, a) ? b : a;
    struct kirim_timer *const child = root == a ? b : a;
    child->ki_prev = root;
    child->ki_next = root->ki_child;
    if (root->ki_child != NULL) {
        root->ki_child->ki_prev = child;
    }
    root->ki_child = child;
    return root;
}

/* Makes one heap of the siblings from `first` on: pairs from the left, then all pairs from the
 * right, which is what makes taking out the root O(log n), amortised. Bound: the timers armed. */
static struct kirim_timer *meld_siblings(struct kirim_timer *first)
{
    struct kirim_timer *pairs = NULL; /* the rightmost first, linked by ki_next */
    while (first != NULL) {
        struct kirim_timer *const a = first;
        struct kirim_timer *const b = a->ki_next;
        first = NULL;
        a->ki_prev = NULL;
        a->ki_next = NULL;
        if (b != NULL) {
            first = b->ki_next;
            b->ki_prev = NULL;
            b->ki_next = NULL;
        }
        struct kirim_timer *const pair = meld_two(a, b);
        pair->ki_next = pairs;
        pairs = pair;
    }
    struct kirim_timer *root = NULL;
    while (pairs != NULL) {
        struct kirim_timer *const next = pairs->ki_next;
        pairs->ki_next = NULL;
        root = meld_two(root, pairs);
        pairs = next;
    }
    return root;
}

/* Takes `t` out of the heap it is in. One of its children takes its place, with the others below:
 * it is not earlier than `t`, hence not earlier than the parent. */
static void unlink_from_heap(struct ki_wheel *w, struct kirim_timer *t)
{
    struct kirim_timer *const heir = meld_siblings(t->ki_child);
    struct kirim_timer *const prev = t->ki_prev;
    t->ki_child = NULL;
    if (prev == NULL) {
        if (w->heap == t) {
            w->heap = heir;
        } else {
            w->late = heir;
        }
        return;
    }
    struct kirim_timer *next = t->ki_next;
    if (heir != NULL) {
        heir->ki_prev = prev;
        heir->ki_next = next;
        if (next != NULL) {
            next->ki_prev = heir;
        }
        next = heir;
    } else if (next != NULL) {
        next->ki_prev = prev;
    }
    if (prev->ki_child == t) {
        prev->ki_child = next;
    } else {
        prev->ki_next = next;
    }
}

/* ---- the slots ------------------------------------------------------------------------------- */

/* Links `t`, whose tick is `tick`, later than the wheel's. */
static void link_into_slot(struct ki_wheel *w, struct kirim_timer *t, uint64_t tick)
{
    const unsigned level = ki_highest_bit(tick ^ w->tick) / KI_WHEEL_LEVEL_SHIFT;
    const unsigned shift = level * KI_WHEEL_LEVEL_SHIFT;
    const uint64_t digits = tick >> shift;
    const uint64_t index = digits % KI_WHEEL_SLOT_COUNT;
    const uint64_t number = KI_PLACE_SLOT + (uint64_t)level * KI_WHEEL_SLOT_COUNT + index;
    struct kirim_timer *const head = w->slot[level][index];
    t->ki_place = (digits << shift << KI_WHEEL_TICK_SHIFT) + number;
    t->ki_prev = NULL;
    t->ki_next = head;
    if (head != NULL) {
        head->ki_prev = t;
    }
    w->slot[level][index] = t;
    w->occupied[level] |= (uint64_t)1 << index;
}

static void unlink_from_slot(struct ki_wheel *w, struct kirim_timer *t)
{
    struct kirim_timer *const prev = t->ki_prev;
    struct kirim_timer *const next = t->ki_next;
    if (next != NULL) {
        next->ki_prev = prev;
    }
    if (prev != NULL) {
        prev->ki_next = next;
        return;
    }
    const uint64_t number = (t->ki_place & PLACE_MASK) - KI_PLACE_SLOT;
    const uint64_t level = number / KI_WHEEL_SLOT_COUNT;
    const uint64_t index = number % KI_WHEEL_SLOT_COUNT;
    w->slot[level][index] = next;
    if (next == NULL) {
        w->occupied[level] &= ~((uint64_t)1 << index);
    }
}

/* The lowest level that is not empty, or KI_WHEEL_LEVEL_COUNT. */
static unsigned find_level(const struct ki_wheel *w)
{
    unsigned level = 0;
    while (level < KI_WHEEL_LEVEL_COUNT && w->occupied[level] == 0) {
        level++;
    }
    return level;
}

/* The first tick of an occupied slot. */
static uint64_t compute_first_tick(const struct ki_wheel *w, unsigned level, unsigned index)
{
    const unsigned shift = level * KI_WHEEL_LEVEL_SHIFT;
    const uint64_t digits = w->tick >> shift;
    return (digits - digits % KI_WHEEL_SLOT_COUNT + index) << shift;
}

/* ---- both of them ---------------------------------------------------------------------------- */

static void link_into_heap(struct ki_wheel *w, struct kirim_timer *t)
{
    struct kirim_timer **const root = w->is_running ? &w->late : &w->heap;
    t->ki_place = KI_PLACE_HEAP;
    t->ki_prev = NULL;
    t->ki_next = NULL;
    *root = meld_two(*root, t);
}

static void unlink_timer(struct ki_wheel *w, struct kirim_timer *t)
{
    if (t->ki_place >= KI_PLACE_SLOT) {
        unlink_from_slot(w, t);
    } else {
        unlink_from_heap(w, t);
    }
}

/* Puts every timer of a slot where it belongs, if the wheel's heap takes those up to `now_tick`. */
static void put_down(struct ki_wheel *w, struct kirim_timer *first, uint64_t now_tick)
{
    while (first != NULL) {
        struct kirim_timer *const t = first;
        const uint64_t tick = t->deadline_ns >> KI_WHEEL_TICK_SHIFT;
        first = t->ki_next;
        if (tick <= now_tick) {
            link_into_heap(w, t);
        } else {
            link_into_slot(w, t, tick);
        }
    }
}

/* Moves the wheel to `now_tick` and the timers up to it into the heap. Goes from slot to slot, so a
 * long sleep costs no more than a short one. Bound: the slots there are, and one per level, as what
 * is put into a slot again is later than `now_tick`, and one slot per level holds that tick. */
static void open_slots(struct ki_wheel *w, uint64_t now_tick)
{
    for (;;) {
        const unsigned level = find_level(w);
        if (level == KI_WHEEL_LEVEL_COUNT) {
            break;
        }
        const unsigned index = ki_lowest_bit(w->occupied[level]);
        const uint64_t first_tick = compute_first_tick(w, level, index);
        if (first_tick > now_tick) {
            break;
        }
        const uint64_t last_tick = first_tick + ((uint64_t)1 << level * KI_WHEEL_LEVEL_SHIFT) - 1;
        struct kirim_timer *const first = w->slot[level][index];
        w->slot[level][index] = NULL;
        w->occupied[level] &= w->occupied[level] - 1;
        w->tick = last_tick < now_tick ? last_tick : now_tick;
        put_down(w, first, now_tick);
    }
    if (w->tick < now_tick) { /* else the clock stood, or went back */
        w->tick = now_tick;
    }
}

void ki_wheel_init(struct ki_wheel *w, uint64_t now_ns)
{
    memset(w, 0, sizeof *w);
    w->tick = now_ns >> KI_WHEEL_TICK_SHIFT;
}

void ki_wheel_link(struct ki_wheel *w, struct kirim_timer *t)
{
    const uint64_t tick = t->deadline_ns >> KI_WHEEL_TICK_SHIFT;
    if (t->ki_place == KI_PLACE_IDLE) {
        w->armed_count++;
    } else {
        unlink_timer(w, t);
    }
    if (tick <= w->tick) {
        link_into_heap(w, t);
    } else {
        link_into_slot(w, t, tick);
    }
}

void ki_wheel_cancel(struct ki_wheel *w, struct kirim_timer *t)
{
    if (t->ki_place == KI_PLACE_IDLE) {
        return;
    }
    unlink_timer(w, t);
    t->ki_next = NULL;
    t->ki_prev = NULL;
    t->ki_order = 0;
    t->ki_place = KI_PLACE_IDLE;
    w->armed_count--;
}

bool ki_wheel_is_linked(const struct kirim_timer *t)
{
    return t->ki_place != KI_PLACE_IDLE;
}

static uint64_t find_next_in_heaps(const struct ki_wheel *w)
{
    const uint64_t heap_ns = w->heap != NULL ? w->heap->deadline_ns : KIRIM_NEVER;
    const uint64_t late_ns = w->late != NULL ? w->late->deadline_ns : KIRIM_NEVER;
    return heap_ns < late_ns ? heap_ns : late_ns;
}

uint64_t ki_wheel_next(const struct ki_wheel *w)
{
    uint64_t first_ns = find_next_in_heaps(w);
    unsigned seen_count = 0;
    for (unsigned level = 0; level < KI_WHEEL_LEVEL_COUNT; level++) {
        for (uint64_t left = w->occupied[level]; left != 0; left &= left - 1) {
            const unsigned index = ki_lowest_bit(left);
            const uint64_t slot_ns = compute_first_tick(w, level, index) << KI_WHEEL_TICK_SHIFT;
            if (first_ns < slot_ns) {
                return first_ns; /* no timer of this slot or a later one comes before */
            }
            const struct kirim_timer *t = w->slot[level][index];
            for (; t != NULL; t = t->ki_next) {
                if (seen_count == SCAN_COUNT_MAX) {
                    return slot_ns;
                }
                seen_count++;
                first_ns = t->deadline_ns < first_ns ? t->deadline_ns : first_ns;
            }
        }
    }
    return first_ns;
}

size_t ki_wheel_run(struct ki_wheel *w, uint64_t now_ns, void (*before)(struct kirim_timer *t))
{
    size_t fired_count = 0;
    if (w->is_running) {
        return fired_count;
    }
    open_slots(w, now_ns >> KI_WHEEL_TICK_SHIFT);
    w->is_running = true;
    /* Bound: the timers armed, for as long as the wheel runs the heap only gets smaller. */
    while (w->heap != NULL && w->heap->deadline_ns <= now_ns) {
        struct kirim_timer *const t = w->heap;
        ki_wheel_cancel(w, t);
        fired_count++;
        if (before != NULL) {
            before(t);
        }
        t->expired(t); /* may free it */
    }
    w->is_running = false;
    w->heap = meld_two(w->heap, w->late);
    w->late = NULL;
    return fired_count;
}

struct kirim_timer *ki_wheel_pop_any(struct ki_wheel *w)
{
    struct kirim_timer *t = w->heap != NULL ? w->heap : w->late;
    const unsigned level = find_level(w);
    if (t == NULL && level < KI_WHEEL_LEVEL_COUNT) {
        t = w->slot[level][ki_lowest_bit(w->occupied[level])];
    }
    if (t != NULL) {
        ki_wheel_cancel(w, t);
    }
    return t;
}
