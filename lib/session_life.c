/* SPDX-License-Identifier: MIT
 *
 * Beginning and end of sessions; caps and who makes room for whom.
 *
 * A session that ends is out of the map and of all counts at once, and keeps its place until its
 * last callback has returned, which a timer of the set calls: so no session vanishes under a
 * callback's feet. Sessions that are not validated stand in a list, the oldest first. Loop thread.
 */
#include "session.h"

enum { CANDIDATES_FOR_EVICTION = 8 };

/* ---- those who are not validated ------------------------------------------------------------- */

static void link_unvalidated(struct kirim_session *s)
{
    struct kirim_sessions *set = s->set;
    s->older = set->youngest;
    s->younger = NULL;
    if (s->older != NULL) {
        s->older->younger = s;
    } else {
        set->oldest = s;
    }
    set->youngest = s;
    set->stats.unvalidated_count++;
}

static void unlink_unvalidated(struct kirim_session *s)
{
    struct kirim_sessions *set = s->set;
    if (s->older != NULL) {
        s->older->younger = s->younger;
    } else {
        set->oldest = s->younger;
    }
    if (s->younger != NULL) {
        s->younger->older = s->older;
    } else {
        set->youngest = s->older;
    }
    set->stats.unvalidated_count--;
}

void ki_session_note_validated(struct kirim_session *s)
{
    if (s->path.budget.is_validated == 0) {
        s->path.budget.is_validated = 1;
        unlink_unvalidated(s);
        if (s->is_limited != 0) {
            ki_session_tell_later(s);
        }
    }
}

/* ---- telling --------------------------------------------------------------------------------- */

void ki_session_tell_later(struct kirim_session *s)
{
    struct kirim_sessions *set = s->set;
    if (s->is_told == 0) {
        s->is_told = 1;
        s->next = NULL;
        *set->told_last = s;
        set->told_last = &s->next;
        /* A loop that closes arms nothing: then the endpoint's end tells it. */
        (void)kirim_timer_arm(set->loop, &set->tell_timer, 0);
    }
}

static void tell_end(struct kirim_session *s)
{
    struct kirim_sessions *set = s->set;
    if (s->handler.closed != NULL) {
        s->handler.closed(s, (int)s->reason, s->user);
        set->loop->moment++;
    }
    ki_place_give(s);
}

static void tell_room(struct kirim_session *s)
{
    if (s->is_limited != 0 && ki_amplification_allowance(&s->path.budget) > 0) {
        s->is_limited = 0;
        if (s->handler.writable != NULL) {
            s->handler.writable(s, s->user);
            s->set->loop->moment++;
        }
    }
}

void ki_sessions_tell(struct kirim_sessions *set)
{
    struct kirim_session *s = set->told;
    set->told = NULL;
    set->told_last = &set->told;
    while (s != NULL) {
        struct kirim_session *next = s->next;
        s->is_told = 0;
        if (s->state == KI_SESSION_CLOSING) {
            tell_end(s);
        } else {
            tell_room(s);
        }
        s = next;
    }
    if (set->is_draining != 0 && set->stats.count == 0) {
        (void)kirim_sessions_close(set);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

void ki_session_end(struct kirim_session *s, int reason)
{
    struct kirim_sessions *set = s->set;
    s->state = KI_SESSION_CLOSING;
    s->reason = (uint64_t)reason;
    ki_keys_remove(s);
    ki_prefix_uncount(set, &s->path.peer);
    if (s->path.budget.is_validated == 0) {
        unlink_unvalidated(s);
    }
    ki_session_unblock(s);
    ki_timers_cancel(&s->timers);
    kirim_timer_cancel(&s->idle_timer);
    set->stats.count--;
    set->stats.closed++;
    set->stats.idle += reason == KIRIM_SESSION_IDLE;
    set->stats.evicted += reason == KIRIM_SESSION_EVICTED;
    ki_session_tell_later(s);
}

/* Silence has lasted, or it has not: then until when it would. */
static void expire_idle(struct kirim_timer *timer)
{
    struct kirim_session *s = timer->user;
    const struct kirim_sessions *set = s->set;
    const uint64_t limit_ns =
        s->path.budget.is_validated != 0 ? set->idle_ns : set->unvalidated_idle_ns;
    if (limit_ns >= KIRIM_NEVER - s->heard_ns) {
        return;
    }
    const uint64_t deadline_ns = s->heard_ns + limit_ns;
    if (deadline_ns <= kirim_loop_now(set->loop)) {
        ki_session_end(s, KIRIM_SESSION_IDLE);
    } else {
        (void)kirim_timer_arm(set->loop, timer, deadline_ns);
    }
}

/* ---- room ------------------------------------------------------------------------------------ */

static bool is_full(const struct kirim_sessions *set)
{
    return set->stats.count >= set->count_max;
}

static bool is_prefix_full(const struct kirim_sessions *set, const struct kirim_addr *peer)
{
    const uint64_t *count = ki_prefix_find(set, peer);
    return count != NULL && *count >= set->prefix_count_max;
}

bool ki_session_may_begin(struct kirim_sessions *set, const struct kirim_addr *peer)
{
    if (is_prefix_full(set, peer)) {
        set->stats.refused_prefix++;
        return false;
    }
    const bool can_evict = set->eviction == KIRIM_EVICT_IDLE ||
                           (set->eviction == KIRIM_EVICT_UNVALIDATED && set->oldest != NULL);
    if (is_full(set) && !can_evict) {
        set->stats.refused_full++;
        return false;
    }
    return true;
}

/* The most idle of some sessions chosen at random; NULL: chance has met none. */
static struct kirim_session *choose_idle(struct kirim_sessions *set)
{
    struct kirim_session *best = NULL;
    for (int i = 0; i < CANDIDATES_FOR_EVICTION; i++) {
        const struct ki_session_key draw = { { set->choice++, 0, 0 } };
        const uint64_t index = ki_key_hash(set, &draw) % set->place_count;
        struct kirim_session *s = ki_place_at(set, index);
        if (s->state == KI_SESSION_OPEN && (best == NULL || s->heard_ns < best->heard_ns)) {
            best = s;
        }
    }
    return best;
}

/* Ends somebody if a new session would pass a cap. False: nobody can go. */
static bool make_room(struct kirim_sessions *set, bool is_validated)
{
    const bool is_half_full =
        !is_validated && set->stats.unvalidated_count >= set->unvalidated_count_max;
    if (!is_full(set) && !is_half_full) {
        return true;
    }
    struct kirim_session *victim = set->eviction != KIRIM_EVICT_NONE ? set->oldest : NULL;
    if (victim == NULL && set->eviction == KIRIM_EVICT_IDLE && !is_half_full) {
        victim = choose_idle(set);
    }
    if (victim == NULL) {
        return false;
    }
    ki_session_end(victim, KIRIM_SESSION_EVICTED);
    return true;
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* Fills a new place. Everything that can fail has succeeded. */
static void set_up(struct kirim_session *s, const struct kirim_addr *peer,
                   const struct kirim_datagram *d, const struct kirim_admission *admission)
{
    struct kirim_sessions *set = s->set;
    const uint64_t now_ns = kirim_loop_now(set->loop);
    s->state = KI_SESSION_OPEN;
    s->path.peer = *peer;
    s->path.budget = (struct kirim_amplification){
        .received_bytes = d != NULL ? d->bytes : 0, /* so that `opened` may send */
        .is_validated = admission->is_validated != 0,
        .factor = (uint32_t)set->amplification,
    };
    if (d != NULL) {
        s->local = ki_local_of(d);
    }
    s->user = admission->user != NULL ? admission->user : kirim_session_state(s);
    s->opened_ns = now_ns;
    s->heard_ns = now_ns;
    s->idle_timer = (struct kirim_timer)KIRIM_TIMER_INIT(expire_idle, s);
    if (s->path.budget.is_validated == 0) {
        link_unvalidated(s);
    }
    const uint64_t limit_ns =
        s->path.budget.is_validated != 0 ? set->idle_ns : set->unvalidated_idle_ns;
    (void)kirim_timer_arm_after(set->loop, &s->idle_timer, limit_ns);
    set->stats.count++;
    set->stats.opened++;
}

/* Copies the handler that the admission names. */
static bool copy_handler(struct kirim_session *s, const struct kirim_admission *admission)
{
    const struct kirim_session_handler *h = admission->handler;
    if (h == NULL) {
        s->handler = s->set->session_handler;
        return true;
    }
    return ki_handler_copy(s->set->loop, &s->handler, sizeof s->handler, h, h->size,
                           KI_KIND_SESSION);
}

kirim_err ki_session_begin(struct kirim_sessions *set, const struct kirim_addr *peer,
                           const struct ki_session_key *key, uint64_t hash,
                           const struct kirim_datagram *d, const struct kirim_admission *admission,
                           struct kirim_session **out)
{
    if (ki_map_find(&set->keys, hash) != NULL) {
        return KIRIM_EEXIST;
    }
    if (!make_room(set, admission->is_validated != 0)) {
        set->stats.refused_full++;
        return KIRIM_EWOULDBLOCK;
    }
    struct kirim_session *s = ki_place_take(set);
    if (s == NULL) {
        set->stats.refused_memory++;
        return KIRIM_ENOMEM;
    }
    kirim_err err = KIRIM_EINVAL;
    if (!copy_handler(s, admission)) {
        goto fail_place;
    }
    err = KIRIM_ENOMEM;
    s->key = *key;
    s->hash = hash;
    if (!ki_map_add(&set->keys, hash, (uint64_t)(uintptr_t)s)) {
        set->stats.refused_memory++;
        goto fail_place;
    }
    if (!ki_prefix_count(set, peer)) {
        set->stats.refused_memory++;
        goto fail_key;
    }
    set_up(s, peer, d, admission);
    *out = s;
    if (set->handler.opened != NULL) {
        set->handler.opened(set, s, set->user);
        set->loop->moment++;
    }
    return KIRIM_OK;
fail_key:
    ki_map_remove(&set->keys, hash);
fail_place:
    ki_place_give(s);
    return err;
}
