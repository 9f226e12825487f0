/* SPDX-License-Identifier: MIT
 *
 * What sessions send: to their peer, from the address that it speaks to, within what it has earned.
 * Loop thread.
 */
#include "session.h"

/* ---- waiting for the endpoint ---------------------------------------------------------------- */

static void block(struct kirim_session *s)
{
    struct kirim_sessions *set = s->set;
    if (s->is_blocked == 0) {
        s->is_blocked = 1;
        s->blocked_next = NULL;
        s->blocked_link = set->blocked_last;
        *set->blocked_last = s;
        set->blocked_last = &s->blocked_next;
        set->blocked_count++;
    }
}

void ki_session_unblock(struct kirim_session *s)
{
    struct kirim_sessions *set = s->set;
    if (s->is_blocked != 0) {
        s->is_blocked = 0;
        set->blocked_count--;
        *s->blocked_link = s->blocked_next;
        if (s->blocked_next != NULL) {
            s->blocked_next->blocked_link = s->blocked_link;
        } else {
            set->blocked_last = s->blocked_link;
        }
    }
}

void ki_sessions_writable(struct kirim_endpoint *ep, void *user)
{
    struct kirim_sessions *set = user;
    /* Those that are refused again go to the end, behind the last of now; who is refused is not
     * asked twice. */
    uint64_t waiting = set->blocked_count;
    while (waiting-- > 0 && set->blocked != NULL && ki_endpoint_has_room(ep)) {
        struct kirim_session *first = set->blocked;
        ki_session_unblock(first);
        if (first->handler.writable != NULL) {
            first->handler.writable(first, first->user);
            set->loop->moment++;
        }
    }
    if (set->blocked != NULL) {
        ep->wants_writable = 1;
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

/* The path of a message, or NULL. */
static struct ki_session_path *path_of(struct kirim_session *s, const struct kirim_addr *peer)
{
    if (peer == NULL || kirim_addr_equal(peer, &s->path.peer)) {
        return &s->path;
    }
    const bool is_known = kirim_addr_family(&s->candidate.peer) != KIRIM_FAMILY_NONE &&
                          kirim_addr_equal(peer, &s->candidate.peer);
    return is_known ? &s->candidate : NULL;
}

/* The control data of a message with a path's local address in it, if that has to be said. */
static const struct kirim_control *with_source(const struct kirim_session *s,
                                               const struct kirim_addr *local,
                                               const struct kirim_msg *msg,
                                               struct kirim_control *room)
{
    const struct kirim_control *c = msg->control;
    const bool is_said = c != NULL && (c->size != sizeof *c || c->ifindex != 0 ||
                                       kirim_addr_family(&c->source) != KIRIM_FAMILY_NONE);
    if (s->set->names_source == 0 || kirim_addr_family(local) == KIRIM_FAMILY_NONE || is_said) {
        return c;
    }
    *room = c != NULL ? *c : (struct kirim_control)KIRIM_CONTROL_INIT;
    room->source = *local;
    return room;
}

kirim_err kirim_session_send(struct kirim_session *session, const struct kirim_msg *msg,
                             uint32_t flags, struct kirim_op *op, size_t *sent_bytes)
{
    struct kirim_control room;
    if (session == NULL || msg == NULL) {
        return KIRIM_EINVAL;
    }
    if (session->state != KI_SESSION_OPEN) {
        return KIRIM_ECLOSED;
    }
    struct kirim_sessions *set = session->set;
    struct ki_session_path *path = path_of(session, msg->peer);
    if (path == NULL) {
        return KIRIM_EINVAL;
    }
    size_t bytes;
    kirim_err err = ki_check_bufs(msg, &bytes);
    if (err < 0) {
        return err;
    }
    if (bytes == SIZE_MAX || (msg->segment_bytes == 0 &&
                              bytes > kirim_endpoint_payload_bytes_max(set->ep, &path->peer))) {
        return KIRIM_EMSGSIZE; /* however much the path earns */
    }
    if (bytes > ki_amplification_allowance(&path->budget)) {
        session->is_limited = 1;
        set->stats.tx_limited++;
        return KIRIM_EWOULDBLOCK;
    }
    struct kirim_msg out = *msg;
    out.peer = &path->peer;
    out.control = with_source(
        session, path == &session->path ? &session->local : &session->candidate_local, msg, &room);
    err = kirim_endpoint_send(set->ep, &out, flags, op, sent_bytes);
    if (err == KIRIM_EWOULDBLOCK) {
        block(session);
    }
    if (err >= 0) {
        ki_amplification_spend(&path->budget, bytes);
        session->tx_bytes += bytes;
        session->tx_datagrams += ki_segments(bytes, msg->segment_bytes);
    }
    return err;
}

kirim_err kirim_session_send_bytes(struct kirim_session *session, const void *data, size_t bytes)
{
    const struct kirim_buf buf = { (void *)(uintptr_t)data, bytes };
    const struct kirim_msg msg = { &buf, NULL, NULL, 1, 0 };
    return kirim_session_send(session, &msg, 0, NULL, NULL);
}

/* ---- replies ----------------------------------------------------------------------------------
 */

/* How many of `count` datagrams in a row came over one path, whose answers it has earned. */
static size_t count_earned(const struct ki_session_path *path, const struct kirim_datagram *d,
                           size_t count)
{
    uint64_t allowance = ki_amplification_allowance(&path->budget);
    size_t n = 0;
    while (n < count && d[n].bytes <= allowance && kirim_addr_equal(&d[n].peer, &path->peer)) {
        allowance -= d[n].bytes;
        n++;
    }
    return n;
}

/* Counts the answers to `count` datagrams that came over a path. */
static void count_replies(struct kirim_session *s, struct ki_session_path *path,
                          const struct kirim_datagram *d, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += d[i].bytes;
        s->tx_datagrams += ki_segments(d[i].bytes, d[i].segment_bytes);
    }
    ki_amplification_spend(&path->budget, bytes);
    s->tx_bytes += bytes;
}

/* Answers as many as came over the path of the first one. `*done` gets how many. */
static kirim_err reply_on_path(struct kirim_session *s, const struct kirim_datagram *d,
                               size_t count, size_t *done)
{
    struct ki_session_path *path = path_of(s, &d->peer);
    *done = 0;
    if (path == NULL) {
        return KIRIM_EINVAL;
    }
    const size_t earned = count_earned(path, d, count);
    if (earned == 0) {
        s->is_limited = 1;
        s->set->stats.tx_limited++;
        return KIRIM_EWOULDBLOCK;
    }
    const kirim_err err = kirim_endpoint_reply(s->set->ep, d, earned, done);
    count_replies(s, path, d, *done);
    if (err == KIRIM_EWOULDBLOCK) {
        block(s);
    }
    return err;
}

/* Whether these are datagrams that the session is being told of. */
static bool are_handed(const struct kirim_session *s, const struct kirim_datagram *d, size_t count)
{
    const struct kirim_sessions *set = s->set;
    const uintptr_t offset = (uintptr_t)d - (uintptr_t)set->handed_first;
    return set->handed == s && count - 1 < set->handed_count &&
           offset <= (set->handed_count - count) * sizeof *d && offset % sizeof *d == 0;
}

kirim_err kirim_session_reply(struct kirim_session *session, const struct kirim_datagram *datagram,
                              size_t count, size_t *accepted_count)
{
    kirim_err err = KIRIM_OK;
    size_t done = 0;
    if (session != NULL && session->state != KI_SESSION_OPEN) {
        err = KIRIM_ECLOSED;
    } else if (session == NULL || !are_handed(session, datagram, count)) {
        err = KIRIM_EINVAL;
    }
    while (err == KIRIM_OK && done < count) {
        size_t more;
        err = reply_on_path(session, datagram + done, count - done, &more);
        done += more;
    }
    if (accepted_count != NULL) {
        *accepted_count = done;
    }
    return err;
}

/* ---- answers to nobody's ------------------------------------------------------------------------
 */

kirim_err kirim_sessions_answer(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                                const void *data, size_t bytes)
{
    if (set == NULL || datagram == NULL || datagram != set->answering) {
        return KIRIM_EINVAL;
    }
    if (bytes > ki_amplification_allowance(&set->answer_budget)) {
        return KIRIM_EMSGSIZE;
    }
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_addr local = ki_local_of(datagram);
    const struct kirim_buf buf = { (void *)(uintptr_t)data, bytes };
    struct kirim_msg msg = { &buf, &datagram->peer, NULL, 1, 0 };
    if (set->names_source != 0 && kirim_addr_family(&local) != KIRIM_FAMILY_NONE) {
        control.source = local;
        msg.control = &control;
    }
    const kirim_err err = kirim_endpoint_send(set->ep, &msg, 0, NULL, NULL);
    if (err >= 0) {
        ki_amplification_spend(&set->answer_budget, bytes);
    }
    return err;
}
