/* SPDX-License-Identifier: MIT
 *
 * Timers of a loop, of its endpoints and of their sessions, over the wheel. Loop thread.
 */
#include "core.h"

static void unlink_owner(struct kirim_timer *t)
{
    if (t->ki_owner == NULL) {
        return;
    }
    if (t->ki_owned_prev != NULL) {
        t->ki_owned_prev->ki_owned_next = t->ki_owned_next;
    } else {
        *t->ki_owner = t->ki_owned_next;
    }
    if (t->ki_owned_next != NULL) {
        t->ki_owned_next->ki_owned_prev = t->ki_owned_prev;
    }
    t->ki_owned_next = NULL;
    t->ki_owned_prev = NULL;
    t->ki_owner = NULL;
}

void ki_timer_forget(struct kirim_timer *timer)
{
    unlink_owner(timer);
    timer->ki_loop = NULL;
}

void ki_timer_begin_expiry(struct kirim_timer *timer)
{
    struct kirim_loop *loop = timer->ki_loop;
    const uint64_t lag_ns = loop->now_ns - timer->deadline_ns;
    loop->moment++;
    if (lag_ns > loop->stats.lag_ns_max) {
        loop->stats.lag_ns_max = lag_ns;
    }
    ki_timer_forget(timer);
}

kirim_err kirim_timer_arm(struct kirim_loop *loop, struct kirim_timer *timer, uint64_t deadline_ns)
{
    if (loop == NULL || timer == NULL || timer->expired == NULL || !ki_loop_is_mine(loop)) {
        return KIRIM_EINVAL;
    }
    if (timer->ki_loop != NULL && timer->ki_loop != loop) {
        return KIRIM_EINVAL;
    }
    if (loop->is_closing != 0) {
        return KIRIM_ECLOSED;
    }
    if (deadline_ns == KIRIM_NEVER) {
        kirim_timer_cancel(timer);
        return KIRIM_OK;
    }
    timer->ki_loop = loop;
    ki_wheel_arm(&loop->wheel, timer, deadline_ns);
    ki_loop_rearm(loop);
    return KIRIM_OK;
}

kirim_err kirim_timer_arm_after(struct kirim_loop *loop, struct kirim_timer *timer,
                                uint64_t delay_ns)
{
    if (loop == NULL) {
        return KIRIM_EINVAL;
    }
    const uint64_t now_ns = kirim_loop_now(loop);
    const bool is_in_reach = delay_ns < KIRIM_NEVER - now_ns;
    return kirim_timer_arm(loop, timer, is_in_reach ? now_ns + delay_ns : KIRIM_NEVER);
}

kirim_err ki_timer_arm_owned(struct kirim_loop *loop, struct kirim_timer **owner,
                             struct kirim_timer *timer, uint64_t deadline_ns)
{
    if (timer == NULL || (timer->ki_loop != NULL && timer->ki_owner != owner)) {
        return KIRIM_EINVAL;
    }
    const kirim_err err = kirim_timer_arm(loop, timer, deadline_ns);
    if (err == KIRIM_OK && timer->ki_loop != NULL && timer->ki_owner == NULL) {
        timer->ki_owner = owner;
        timer->ki_owned_next = *owner;
        if (*owner != NULL) {
            (*owner)->ki_owned_prev = timer;
        }
        *owner = timer;
    }
    return err;
}

void ki_timers_cancel(struct kirim_timer **owner)
{
    while (*owner != NULL) {
        kirim_timer_cancel(*owner);
    }
}

kirim_err kirim_endpoint_timer_arm(struct kirim_endpoint *ep, struct kirim_timer *timer,
                                   uint64_t deadline_ns)
{
    const kirim_err err = ki_endpoint_check(ep);
    return err < 0 ? err : ki_timer_arm_owned(ep->loop, &ep->timers, timer, deadline_ns);
}

void kirim_timer_cancel(struct kirim_timer *timer)
{
    if (timer == NULL || timer->ki_loop == NULL) {
        return;
    }
    struct kirim_loop *loop = timer->ki_loop;
    ki_wheel_cancel(&loop->wheel, timer);
    unlink_owner(timer);
    timer->ki_loop = NULL;
    if (loop->wheel.armed_count == 0) {
        ki_loop_rearm(loop); /* it may have been the last thing to run for */
    }
}

bool kirim_timer_is_armed(const struct kirim_timer *timer)
{
    return timer != NULL && timer->ki_loop != NULL;
}
