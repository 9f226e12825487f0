/* SPDX-License-Identifier: MIT
 *
 * Arrivals of a set: classified, admitted, sorted by session, handed over.
 *
 * A batch is looked at more than once: what its keys are, so that the places they lead to can be
 * fetched while the others are worked out, and likewise the sessions; whose each datagram is; and
 * then session by session, in the order of their first datagrams. The sort is stable, so each
 * session sees its own in the order of arrival. Whoever is closed by a callback on the way gets no
 * more. Loop thread.
 */
#include "session.h"

#include <string.h>

/* What a classifier has said, in our terms. */
struct sorted_key {
    struct ki_session_key key;
    uint64_t hash;
    uint32_t verdict;
};

/* ---- whose it is ----------------------------------------------------------------------------- */

static void classify(struct kirim_sessions *set, const struct kirim_datagram *d,
                     struct sorted_key *out)
{
    struct kirim_class answer = { KIRIM_CLASS_ADMIT, 0, NULL };
    if (!ki_may_answer(set->ep, d)) {
        set->stats.rx_forged++;
        out->verdict = KIRIM_CLASS_DROP;
        return;
    }
    if (set->classify != NULL) {
        answer.verdict = KIRIM_CLASS_DROP;
        set->classify(d, &answer, set->user);
    }
    out->verdict = answer.verdict;
    if (answer.verdict == KIRIM_CLASS_DROP || answer.verdict == KIRIM_CLASS_STATELESS) {
        return;
    }
    if (answer.verdict > KIRIM_CLASS_ADMIT || answer.key_bytes > KIRIM_SESSION_KEY_BYTES_MAX ||
        (answer.key_bytes != 0 && answer.key == NULL)) {
        out->verdict = KIRIM_CLASS_DROP;
        return;
    }
    out->key = answer.key_bytes != 0 ? ki_key_of_bytes(answer.key, answer.key_bytes)
                                     : ki_key_of_peer(&d->peer);
    out->hash = ki_key_hash(set, &out->key);
    ki_map_prefetch(&set->keys, out->hash);
}

void ki_sessions_let_answer(struct kirim_sessions *set, const struct kirim_datagram *d)
{
    set->answering = d;
    set->answer_budget = (struct kirim_amplification){ .received_bytes = d != NULL ? d->bytes : 0,
                                                       .factor = (uint32_t)set->amplification };
}

/* A datagram of nobody's. */
static void hand_to_nobody(struct kirim_sessions *set, const struct kirim_datagram *d)
{
    if (set->handler.stateless == NULL) {
        set->stats.rx_dropped++;
        return;
    }
    set->stats.rx_stateless++;
    ki_sessions_let_answer(set, d);
    set->handler.stateless(set, d, set->user);
    ki_sessions_let_answer(set, NULL);
}

struct kirim_addr ki_local_of(const struct kirim_datagram *d)
{
    const struct kirim_addr *local =
        (d->flags & KIRIM_RX_NO_LOCAL) == 0 ? ki_answering_addr(d) : NULL;
    return local != NULL ? *local : (struct kirim_addr){ { 0, 0, 0 } };
}

/* A datagram that asks for a session. NULL: it gets none. */
static struct kirim_session *admit(struct kirim_sessions *set, const struct kirim_datagram *d,
                                   const struct sorted_key *k)
{
    struct kirim_admission admission = { sizeof admission, 0, NULL, NULL };
    struct kirim_session *s = NULL;
    if (set->is_draining != 0) {
        set->stats.rx_dropped++;
        return NULL;
    }
    if (!ki_session_may_begin(set, &d->peer)) {
        return NULL;
    }
    if (set->guard != NULL && !ki_guard_lets_in(set, d, &admission.is_validated)) {
        return NULL;
    }
    if (set->handler.admit != NULL) {
        ki_sessions_let_answer(set, d);
        const kirim_err err = set->handler.admit(set, d, &admission, set->user);
        ki_sessions_let_answer(set, NULL);
        if (err != KIRIM_OK) {
            set->stats.refused++;
            return NULL;
        }
        if (set->state != KI_SESSION_OPEN || set->is_draining != 0) {
            return NULL;
        }
    }
    const kirim_err err = ki_session_begin(set, &d->peer, &k->key, k->hash, d, &admission, &s);
    /* `admit` may have opened it by itself. */
    return err == KIRIM_EEXIST ? ki_key_find(set, &k->key, k->hash) : s;
}

/* The session of a datagram, or NULL: it has none, and was seen to. */
static struct kirim_session *find_owner(struct kirim_sessions *set, const struct kirim_datagram *d,
                                        const struct sorted_key *k)
{
    if (k->verdict == KIRIM_CLASS_DROP) {
        set->stats.rx_dropped++;
        return NULL;
    }
    if (k->verdict == KIRIM_CLASS_STATELESS) {
        hand_to_nobody(set, d);
        return NULL;
    }
    struct kirim_session *s = ki_key_find(set, &k->key, k->hash);
    if (s == NULL && k->verdict == KIRIM_CLASS_ADMIT) {
        return admit(set, d, k);
    }
    if (s == NULL) {
        hand_to_nobody(set, d);
    }
    return s;
}

/* ---- sorting --------------------------------------------------------------------------------- */

/* Links the datagrams of each session. Returns whether those of one are neighbours everywhere. */
static bool link_owners(struct kirim_sessions *set, size_t count)
{
    const struct kirim_session *before = NULL;
    bool is_sorted = true;
    for (size_t i = 0; i < count; i++) {
        struct kirim_session *s = set->whose[i];
        set->follower[i] = 0;
        if (s == NULL) {
            is_sorted = false;
            continue;
        }
        if (s->batch_first == 0) {
            s->batch_first = i + 1;
        } else {
            is_sorted = is_sorted && s == before;
            set->follower[s->batch_last - 1] = (uint8_t)(i + 1);
        }
        s->batch_last = i + 1;
        before = s;
    }
    return is_sorted;
}

/* Notes what came over which path; tells of an address that is not the peer's. */
static void note_path(struct kirim_session *s, const struct kirim_datagram *d)
{
    if (kirim_addr_equal(&d->peer, &s->path.peer)) {
        ki_amplification_receive(&s->path.budget, d->bytes);
        return;
    }
    if (!kirim_addr_equal(&d->peer, &s->candidate.peer)) {
        s->candidate = (struct ki_session_path){
            d->peer, { .received_bytes = d->bytes, .factor = (uint32_t)s->set->amplification }
        };
        s->candidate_local = ki_local_of(d);
        if (s->handler.path_seen != NULL) {
            s->handler.path_seen(s, &d->peer, s->user);
            s->set->loop->moment++;
        }
    } else {
        ki_amplification_receive(&s->candidate.budget, d->bytes);
    }
}

/* Hands neighbours of the loop's batch to their session, unless somebody has closed it meanwhile.
 */
static void hand_over(struct kirim_session *s, const struct kirim_datagram *d, size_t count)
{
    struct kirim_sessions *set = s->set;
    if (s->state != KI_SESSION_OPEN) {
        set->stats.rx_dropped += count;
        return;
    }
    /* What a session began with was counted then, before `opened`. */
    const size_t counted = s->rx_datagrams == 0 && s->path.budget.received_bytes != 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += d[i].bytes;
    }
    for (size_t i = counted; i < count && s->state == KI_SESSION_OPEN; i++) {
        note_path(s, &d[i]);
    }
    s->rx_datagrams += count;
    s->rx_bytes += bytes;
    s->heard_ns = kirim_loop_now(set->loop);
    if (s->state == KI_SESSION_OPEN && s->handler.received != NULL) {
        const struct kirim_batch batch = { d, count, sizeof *d };
        set->handed = s;
        set->handed_first = d;
        set->handed_count = count;
        s->handler.received(s, &batch, s->user);
        set->handed = NULL;
        set->loop->moment++;
    } else {
        set->stats.rx_dropped += count;
    }
    if (s->state == KI_SESSION_OPEN && s->is_limited != 0) {
        ki_session_tell_later(s);
    }
}

/* Writes the datagrams that have a session to the front of the batch, those of each together, and
 * hands them over. */
static void sort_and_hand_over(struct kirim_sessions *set, struct kirim_datagram *d, size_t count)
{
    memcpy(set->sorted, d, count * sizeof *d);
    size_t to = 0;
    for (size_t i = 0; i < count; i++) {
        struct kirim_session *s = set->whose[i];
        if (s == NULL || s->batch_first != i + 1) {
            continue;
        }
        const size_t first = to;
        for (size_t at = i + 1; at != 0; at = set->follower[at - 1]) {
            d[to++] = set->sorted[at - 1];
        }
        s->batch_first = 0;
        hand_over(s, &d[first], to - first);
    }
}

/* The same of a batch in which nothing has to be moved. */
static void hand_over_all(struct kirim_sessions *set, const struct kirim_datagram *d, size_t count)
{
    for (size_t i = 0; i < count;) {
        struct kirim_session *s = set->whose[i];
        const size_t next = (size_t)s->batch_last;
        s->batch_first = 0;
        hand_over(s, &d[i], next - i);
        i = next;
    }
}

void ki_sessions_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct kirim_sessions *set = user;
    struct kirim_datagram *d = ep->loop->batch; /* what `batch` describes, and ours to arrange */
    struct sorted_key keys[KI_BATCH_MAX];
    const size_t count = batch->count;
    for (size_t i = 0; i < count; i++) {
        classify(set, &d[i], &keys[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (keys[i].verdict > KIRIM_CLASS_STATELESS) {
            ki_key_prefetch(set, keys[i].hash);
        }
    }
    for (size_t i = 0; i < count; i++) {
        set->whose[i] = set->state == KI_SESSION_OPEN ? find_owner(set, &d[i], &keys[i]) : NULL;
    }
    if (link_owners(set, count)) {
        hand_over_all(set, d, count);
    } else {
        sort_and_hand_over(set, d, count);
    }
}
