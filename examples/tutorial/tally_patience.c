/* SPDX-License-Identifier: MIT
 *
 * Says something until it is answered: the rules are those of kirim/retransmit.h, the timer and the
 * time are the loop's.
 */
#include "tally.h"

#define MS UINT64_C(1000000)

/* At most ten times, and never more than 2 s between two of them. */
static const struct kirim_retransmit_options schedule = {
    .max_ns = 2000 * MS,
    .total_ns = KIRIM_NEVER,
    .send_count_max = 10,
    .jitter_permille = 500,
};

static void expire(struct kirim_timer *timer);

void tally_patience_init(struct tally_patience *p, struct kirim_layer *layer,
                         void (*say)(struct kirim_layer *layer))
{
    /* First 200 ms; then what the round trips teach, but never less than 100 ms. */
    const struct kirim_rtt_options rtt = { 200 * MS, 100 * MS, 2000 * MS, MS };
    p->layer = layer;
    p->say = say;
    p->message = (struct kirim_retransmit)KIRIM_RETRANSMIT_INIT(&schedule, &p->path);
    p->timer = (struct kirim_timer)KIRIM_TIMER_INIT(expire, p);
    (void)kirim_path_init(&p->path, &rtt, 1);
}

static uint64_t now(const struct tally_patience *p)
{
    return kirim_loop_now(kirim_layer_loop(p->layer));
}

void tally_patience_begin(struct tally_patience *p)
{
    uint64_t random = 0;
    (void)kirim_loop_random(kirim_layer_loop(p->layer), &random, sizeof random);
    if (kirim_retransmit_start(&p->message, now(p), random) == KIRIM_OK) {
        p->say(p->layer);
        (void)kirim_layer_timer_arm(p->layer, &p->timer, p->message.deadline_ns);
    }
}

static void expire(struct kirim_timer *timer)
{
    struct tally_patience *p = timer->user;
    const int verdict = kirim_retransmit_expire(&p->message, now(p));
    if (verdict == KIRIM_RETRANSMIT_GIVE_UP) {
        (void)kirim_stack_close(kirim_layer_stack(p->layer), KIRIM_ETIMEDOUT);
        return;
    }
    if (verdict == KIRIM_RETRANSMIT_SEND) {
        p->say(p->layer);
    }
    (void)kirim_layer_timer_arm(p->layer, &p->timer, p->message.deadline_ns);
}

void tally_patience_end(struct tally_patience *p)
{
    kirim_retransmit_answer(&p->message, now(p));
    kirim_timer_cancel(&p->timer);
}
