/* SPDX-License-Identifier: MIT
 *
 * The timer wheel: a hierarchical wheel for what is far, a pairing heap for what is near.
 *
 * Keeps timers in (deadline, order of arming). Arming, re-arming and cancelling are O(1) while a
 * timer is farther away than one tick, and arming again for later touches that timer alone; timers
 * of the tick that has been opened stand in the heap, which makes their order exact to the
 * nanosecond. Owns nothing but links; knows nothing of loops or endpoints. Loop thread. Sources: G.
 * Varghese, A. Lauck, "Hashed and hierarchical timing wheels", 1987; M. Fredman et al., "The
 * pairing heap", 1986.
 */
#ifndef KI_WHEEL_H
#define KI_WHEEL_H

#include <kirim/timer.h>

enum {
    KI_WHEEL_TICK_SHIFT = 20, /* a tick is 2^20 ns, about 1.05 ms */
    KI_WHEEL_LEVEL_SHIFT = 6,
    KI_WHEEL_SLOT_COUNT = 1 << KI_WHEEL_LEVEL_SHIFT,
    KI_WHEEL_LEVEL_COUNT = 8 /* 2^48 ticks: no deadline is out of range */
};

/* Values of `ki_place`. For a slot it is the time at which the slot begins, a whole number of
 * ticks, and in the bits below a tick KI_PLACE_SLOT + level * KI_WHEEL_SLOT_COUNT + index. */
enum { KI_PLACE_IDLE = 0, KI_PLACE_HEAP = 1, KI_PLACE_SLOT = KI_WHEEL_SLOT_COUNT };

struct ki_wheel {
    uint64_t tick;            /* this one and all before it have been opened */
    uint64_t order;           /* of the next arming */
    size_t armed_count;       /* all that are linked, wherever */
    struct kirim_timer *heap; /* timers of opened ticks */
    struct kirim_timer *late; /* those of them armed while ki_wheel_run() was at work: a heap too */
    bool is_running;
    uint64_t occupied[KI_WHEEL_LEVEL_COUNT]; /* a bit for every slot that is not empty */
    struct kirim_timer *slot[KI_WHEEL_LEVEL_COUNT][KI_WHEEL_SLOT_COUNT];
};

/* Sets up an empty wheel at the loop time `now_ns`. */
void ki_wheel_init(struct ki_wheel *w, uint64_t now_ns);

/* Puts `t` where its deadline and order say, out of where it is linked; for ki_wheel_arm(). */
void ki_wheel_link(struct ki_wheel *w, struct kirim_timer *t);

/* Links `t`, or moves it if it is linked; its place in the order is that of this call. To the wheel
 * KIRIM_NEVER is a deadline like any other. */
static inline void ki_wheel_arm(struct ki_wheel *w, struct kirim_timer *t, uint64_t deadline_ns)
{
    t->deadline_ns = deadline_ns;
    t->ki_order = w->order++;
    /* If its slot is opened before the new deadline, that is when it is moved. This is the common
     * case, a timeout that is put off: it touches no other timer's memory, and is not worth a call.
     */
    if (t->ki_place < KI_PLACE_SLOT || t->ki_place > deadline_ns) {
        ki_wheel_link(w, t);
    }
}

/* Unlinks `t`; does nothing if it is not linked. */
void ki_wheel_cancel(struct ki_wheel *w, struct kirim_timer *t);

/* Whether `t` is linked. */
bool ki_wheel_is_linked(const struct kirim_timer *t);

/* When to call ki_wheel_run() next; KIRIM_NEVER if nothing is armed. Never later than the first
 * deadline, and equal to it while few timers stand before or beside it. Else it may be the
 * beginning of a slot, less than a tick early for what is near, more for what is far, and early as
 * well for the former deadline of a timer that was armed again for later. Every run at this time
 * fires something or moves a timer closer to where it fires: each of them at most
 * KI_WHEEL_LEVEL_COUNT + 1 times. */
uint64_t ki_wheel_next(const struct ki_wheel *w);

/* Fires what is due at `now_ns` and was armed before the call, in (deadline, order). Each timer is
 * unlinked before its callback; `before` (if not NULL) is called with it between the two. What
 * callbacks arm waits for the next call, and so does what they arm again. A call from a callback
 * does nothing. Returns how many fired. */
size_t ki_wheel_run(struct ki_wheel *w, uint64_t now_ns, void (*before)(struct kirim_timer *t));

/* Takes any one linked timer out and returns it; NULL if none is left: for the end of a loop. */
struct kirim_timer *ki_wheel_pop_any(struct ki_wheel *w);

#endif
