/* SPDX-License-Identifier: MIT
 *
 * The retransmission engine: see kirim/retransmit.h. Timeouts are below 2^54 ns, and points in time
 * stop at KIRIM_NEVER. Owns nothing. One thread at a time.
 */
#include <kirim/retransmit.h>

#include "pack.h"

#define LIMIT_NS (UINT64_C(1) << 53)

enum { PERMILLE_MAX = 1000, FACTOR_MAX = 1000 };

kirim_err kirim_path_init(struct kirim_path *path, const struct kirim_rtt_options *rtt,
                          uint32_t outstanding_max)
{
    *path = (struct kirim_path){ .outstanding_max = outstanding_max };
    return outstanding_max > 0 ? kirim_rtt_init(&path->rtt, rtt) : KIRIM_EINVAL;
}

bool kirim_path_pace(struct kirim_path *path, uint64_t now_ns)
{
    if (now_ns < path->next_ns) {
        return false;
    }
    path->next_ns =
        ki_after(now_ns, path->rtt.smoothed_ns > 0 ? path->rtt.smoothed_ns : KIRIM_PATH_BLIND_NS);
    return true;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The next deadline: of the present timeout, of the whole, or of the wait after the last. */
static void set_deadline(struct kirim_retransmit *r, uint64_t now_ns)
{
    const struct kirim_retransmit_options *const o = r->options;
    uint64_t wait_ns = r->timeout_ns;
    if (r->send_count >= o->send_count_max && o->last_factor > 0) {
        wait_ns =
            r->first_ns < KIRIM_NEVER / o->last_factor ? r->first_ns * o->last_factor : KIRIM_NEVER;
    }
    r->deadline_ns = least(ki_after(now_ns, wait_ns), ki_after(r->started_ns, o->total_ns));
}

kirim_err kirim_retransmit_start(struct kirim_retransmit *r, uint64_t now_ns, uint64_t random)
{
    const struct kirim_retransmit_options *const o = r->options;
    struct kirim_path *const path = r->path;
    if (o == NULL || path == NULL || r->send_count != 0 || o->send_count_max == 0 ||
        o->max_ns == 0 || o->max_ns > LIMIT_NS || o->jitter_permille > PERMILLE_MAX ||
        o->last_factor > FACTOR_MAX) {
        return KIRIM_EINVAL;
    }
    if (path->outstanding >= path->outstanding_max) {
        return KIRIM_EBUSY;
    }
    const uint64_t wanted_ns = o->initial_ns > 0 ? o->initial_ns : path->rtt.timeout_ns;
    path->outstanding++;
    r->started_ns = now_ns;
    r->first_ns =
        least(ki_stretch(least(wanted_ns, o->max_ns), o->jitter_permille, random), o->max_ns);
    r->timeout_ns = r->first_ns;
    r->send_count = 1;
    set_deadline(r, now_ns);
    return KIRIM_OK;
}

/* Several messages of one path lose their datagrams at once: that is one sign of congestion, and
 * doubles the timeout once. */
static void back_off(struct kirim_path *path, uint64_t now_ns)
{
    if (path->rtt.backoff_count == 0 ||
        now_ns >= ki_after(path->backed_off_ns, path->rtt.timeout_ns)) {
        kirim_rtt_back_off(&path->rtt);
        path->backed_off_ns = now_ns;
    }
}

int kirim_retransmit_expire(struct kirim_retransmit *r, uint64_t now_ns)
{
    const struct kirim_retransmit_options *const o = r->options;
    if (r->send_count == 0 || now_ns < r->deadline_ns) {
        return KIRIM_RETRANSMIT_WAIT;
    }
    back_off(r->path, now_ns);
    if (r->send_count >= o->send_count_max || now_ns >= ki_after(r->started_ns, o->total_ns)) {
        kirim_retransmit_cancel(r);
        return KIRIM_RETRANSMIT_GIVE_UP;
    }
    r->timeout_ns = least(r->timeout_ns * 2, o->max_ns);
    r->send_count++;
    set_deadline(r, now_ns);
    return KIRIM_RETRANSMIT_SEND;
}

void kirim_retransmit_answer(struct kirim_retransmit *r, uint64_t now_ns)
{
    if (r->send_count == 1 && now_ns >= r->started_ns) {
        kirim_rtt_sample(&r->path->rtt, now_ns - r->started_ns);
    }
    kirim_retransmit_cancel(r);
}

void kirim_retransmit_cancel(struct kirim_retransmit *r)
{
    if (r->send_count > 0) {
        r->path->outstanding--;
        r->send_count = 0;
        r->deadline_ns = KIRIM_NEVER;
    }
}
