/* SPDX-License-Identifier: MIT
 *
 * Sets of sessions: opening, closing, what the endpoint tells them, and what callers ask of a set
 * or a session. Loop thread.
 */
#include "session.h"

#include <kirim/layer.h>

#include "pack.h"

#include <string.h>

enum {
    COUNT_DEFAULT = 65536,
    COUNT_MAX = 1 << 24,
    STATE_BYTES_MAX = 65536,
    STACK_BYTES_MAX = 1 << 21,
    STATE_ALIGNMENT = 16,
    AMPLIFICATION_MAX = 1 << 16,
    PREFIX_IPV4_BITS = 24,
    PREFIX_IPV6_BITS = 56,
    IPV4_BITS = 32,
    IPV6_BITS = 128
};

#define NS_PER_SECOND  UINT64_C(1000000000)
#define IDLE_NS        (60 * NS_PER_SECOND)
#define UNVALIDATED_NS (10 * NS_PER_SECOND)

static size_t aligned(size_t bytes)
{
    return (bytes + STATE_ALIGNMENT - 1) / STATE_ALIGNMENT * STATE_ALIGNMENT;
}

static size_t state_offset(void)
{
    return aligned(sizeof(struct kirim_session));
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Checks the options, and fills in the defaults. */
static kirim_err check_options(struct kirim_sessions_options *o)
{
    o->count_max = o->count_max != 0 ? o->count_max : COUNT_DEFAULT;
    o->unvalidated_count_max =
        o->unvalidated_count_max != 0 ? o->unvalidated_count_max : (o->count_max + 1) / 2;
    o->prefix_ipv4_bits = o->prefix_ipv4_bits != 0 ? o->prefix_ipv4_bits : PREFIX_IPV4_BITS;
    o->prefix_ipv6_bits = o->prefix_ipv6_bits != 0 ? o->prefix_ipv6_bits : PREFIX_IPV6_BITS;
    o->idle_ns = o->idle_ns != 0 ? o->idle_ns : IDLE_NS;
    if (o->unvalidated_idle_ns == 0) {
        o->unvalidated_idle_ns = o->idle_ns < UNVALIDATED_NS ? o->idle_ns : UNVALIDATED_NS;
    }
    const bool is_in_range =
        o->endpoint != NULL && o->count_max <= COUNT_MAX && o->prefix_ipv4_bits <= IPV4_BITS &&
        o->prefix_ipv6_bits <= IPV6_BITS && o->eviction <= KIRIM_EVICT_IDLE &&
        o->state_bytes <= STATE_BYTES_MAX && o->stack_bytes <= STACK_BYTES_MAX &&
        o->amplification <= AMPLIFICATION_MAX && o->unvalidated_idle_ns <= o->idle_ns;
    return is_in_range ? KIRIM_OK : KIRIM_EINVAL;
}

/* The words of an address that is all ones in its first `bits` bits, as they lie on the wire. */
static void write_mask(uint64_t mask[2], unsigned bits)
{
    uint8_t bytes[2 * sizeof *mask];
    memset(bytes, UINT8_MAX, sizeof bytes);
    ki_keep_prefix(bytes, bits);
    memcpy(mask, bytes, sizeof bytes);
}

static void failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user);
static void closed(struct kirim_endpoint *ep, void *user);
static void tell(struct kirim_timer *timer);

static const struct kirim_handler endpoint_handler = {
    .size = KIRIM_HANDLER_INIT,
    .received = ki_sessions_received,
    .writable = ki_sessions_writable,
    .failed = failed,
    .closed = closed,
};

/* Copies the handlers. False: a size that no version had. */
static bool copy_handlers(struct kirim_sessions *set, const struct kirim_sessions_options *o)
{
    const struct kirim_sessions_handler *h = o->handler;
    const struct kirim_session_handler *sh = o->session_handler;
    return (h == NULL || ki_handler_copy(set->loop, &set->handler, sizeof set->handler, h, h->size,
                                         KI_KIND_SESSIONS)) &&
           (sh == NULL ||
            ki_handler_copy(set->loop, &set->session_handler, sizeof set->session_handler, sh,
                            sh->size, KI_KIND_SESSION));
}

static void set_up(struct kirim_sessions *set, struct kirim_loop *loop,
                   const struct kirim_sessions_options *o)
{
    set->loop = loop;
    set->classify = o->classify;
    set->user = o->user;
    set->count_max = o->count_max;
    set->prefix_count_max = o->prefix_count_max;
    set->unvalidated_count_max = o->unvalidated_count_max;
    set->eviction = o->eviction;
    set->amplification = o->amplification;
    set->idle_ns = o->idle_ns;
    set->unvalidated_idle_ns = o->unvalidated_idle_ns;
    set->stack_at = state_offset() + aligned(o->state_bytes);
    set->stack_bytes = o->stack_bytes;
    set->place_bytes = set->stack_at + aligned(o->stack_bytes);
    set->told_last = &set->told;
    set->blocked_last = &set->blocked;
    set->tell_timer = (struct kirim_timer)KIRIM_TIMER_INIT(tell, set);
    set->stats.size = sizeof set->stats;
    set->state = KI_SESSION_OPEN;
    ki_map_init(&set->keys, loop);
    ki_map_init(&set->prefixes, loop);
    write_mask(set->prefix_mask_ipv4, o->prefix_ipv4_bits);
    write_mask(set->prefix_mask_ipv6, o->prefix_ipv6_bits);
}

kirim_err kirim_sessions_open(struct kirim_loop *loop, const struct kirim_sessions_options *options,
                              struct kirim_sessions **out)
{
    struct kirim_sessions_options o;
    if (loop == NULL || options == NULL || out == NULL ||
        !ki_grown_copy(&o, sizeof o, options, options->size, sizeof o)) {
        return KIRIM_EINVAL;
    }
    kirim_err err = check_options(&o);
    if (err < 0) {
        return err;
    }
    struct kirim_endpoint_options endpoint = *o.endpoint;
    if (endpoint.size != sizeof endpoint) {
        return KIRIM_EINVAL;
    }
    struct kirim_sessions *set = ki_alloc(loop, sizeof *set);
    if (set == NULL) {
        return KIRIM_ENOMEM;
    }
    set_up(set, loop, &o);
    if (!copy_handlers(set, &o)) {
        err = KIRIM_EINVAL;
        goto fail;
    }
    err = ki_guard_open(set, &o);
    if (err < 0) {
        goto fail;
    }
    err = kirim_loop_random(loop, set->hash_key, sizeof set->hash_key);
    if (err < 0) {
        goto fail;
    }
    endpoint.handler = &endpoint_handler;
    endpoint.user = set;
    err = kirim_endpoint_open(loop, &endpoint, &set->ep);
    if (err < 0) {
        goto fail;
    }
    set->names_source = set->ep->is_replying_from_local;
    *out = set;
    return KIRIM_OK;
fail:
    ki_guard_close(set);
    ki_free(loop, set, sizeof *set);
    return err;
}

/* ---- what the endpoint tells ----------------------------------------------------------------- */

static void failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct kirim_sessions *set = user;
    const struct ki_session_key key = ki_key_of_peer(&event->peer);
    struct kirim_session *s = ki_key_find(set, &key, ki_key_hash(set, &key));
    (void)ep;
    if (s != NULL) {
        if (s->handler.failed != NULL) {
            s->handler.failed(s, event, s->user);
        }
    } else if (set->handler.failed != NULL) {
        set->handler.failed(set, event, set->user);
    }
}

static void tell(struct kirim_timer *timer)
{
    ki_sessions_tell(timer->user);
}

static void end_all(struct kirim_sessions *set)
{
    struct kirim_session *s = NULL;
    set->state = KI_SESSION_CLOSING;
    while ((s = kirim_sessions_next(set, s)) != NULL) {
        ki_session_end(s, KIRIM_SESSION_SET_CLOSED);
    }
}

/* The endpoint has ended: by us, or with its loop. */
static void closed(struct kirim_endpoint *ep, void *user)
{
    struct kirim_sessions *set = user;
    (void)ep;
    if (set->state == KI_SESSION_OPEN) {
        end_all(set);
    }
    kirim_timer_cancel(&set->tell_timer);
    kirim_timer_cancel(&set->drain_timer);
    ki_sessions_tell(set);
    if (set->handler.closed != NULL) {
        set->handler.closed(set, set->user);
    }
    ki_map_fini(&set->keys);
    ki_map_fini(&set->prefixes);
    ki_places_free(set);
    ki_guard_close(set);
    ki_free(set->loop, set, sizeof *set);
}

kirim_err kirim_sessions_close(struct kirim_sessions *set)
{
    if (set == NULL) {
        return KIRIM_EINVAL;
    }
    if (set->state != KI_SESSION_OPEN) {
        return KIRIM_ECLOSED;
    }
    end_all(set);
    return kirim_endpoint_close(set->ep);
}

static void expire_drain(struct kirim_timer *timer)
{
    (void)kirim_sessions_close(timer->user);
}

kirim_err kirim_sessions_drain(struct kirim_sessions *set, uint64_t deadline_ns)
{
    struct kirim_session *s = NULL;
    if (set == NULL) {
        return KIRIM_EINVAL;
    }
    if (set->state != KI_SESSION_OPEN || set->is_draining != 0) {
        return KIRIM_ECLOSED;
    }
    if (set->stats.count == 0) {
        return kirim_sessions_close(set);
    }
    set->is_draining = 1;
    /* A layer that is told may close the set: then the walk is over. */
    while (set->state == KI_SESSION_OPEN && (s = kirim_sessions_next(set, s)) != NULL) {
        (void)(s->stack != NULL ? kirim_stack_drain(s->stack, deadline_ns)
                                : kirim_session_close(s));
    }
    set->drain_timer = (struct kirim_timer)KIRIM_TIMER_INIT(expire_drain, set);
    if (set->state == KI_SESSION_OPEN) {
        (void)kirim_timer_arm(set->loop, &set->drain_timer, deadline_ns);
    }
    return KIRIM_OK;
}

/* ---- what callers ask ------------------------------------------------------------------------ */

/* Copies an admission of the caller's. */
static bool copy_admission(struct kirim_admission *to, const struct kirim_admission *from)
{
    *to = (struct kirim_admission){ sizeof *to, 1, NULL, NULL };
    if (from == NULL) {
        return true;
    }
    const bool is_known = ki_grown_copy(to, sizeof *to, from, from->size, sizeof *to);
    to->is_validated = 1;
    return is_known;
}

kirim_err kirim_session_open(struct kirim_sessions *set, const struct kirim_addr *peer,
                             const void *key, size_t key_bytes,
                             const struct kirim_admission *admission, struct kirim_session **out)
{
    struct kirim_admission a;
    if (set == NULL || peer == NULL || out == NULL || (key == NULL) != (key_bytes == 0) ||
        key_bytes > KIRIM_SESSION_KEY_BYTES_MAX || !copy_admission(&a, admission)) {
        return KIRIM_EINVAL;
    }
    if (set->state != KI_SESSION_OPEN || set->is_draining != 0) {
        return KIRIM_ECLOSED;
    }
    if (kirim_addr_port(peer) == 0 || (set->ep->families >> kirim_addr_family(peer) & 1) == 0) {
        return KIRIM_EINVAL;
    }
    if (!ki_session_may_begin(set, peer)) {
        return KIRIM_EWOULDBLOCK;
    }
    const struct ki_session_key words =
        key != NULL ? ki_key_of_bytes(key, key_bytes) : ki_key_of_peer(peer);
    return ki_session_begin(set, peer, &words, ki_key_hash(set, &words), NULL, &a, out);
}

kirim_err kirim_session_close(struct kirim_session *session)
{
    if (session == NULL) {
        return KIRIM_EINVAL;
    }
    if (session->state != KI_SESSION_OPEN) {
        return KIRIM_ECLOSED;
    }
    ki_session_end(session, KIRIM_SESSION_CLOSED);
    return KIRIM_OK;
}

kirim_err kirim_session_validate(struct kirim_session *session)
{
    if (session == NULL) {
        return KIRIM_EINVAL;
    }
    if (session->state != KI_SESSION_OPEN) {
        return KIRIM_ECLOSED;
    }
    ki_session_note_validated(session);
    return KIRIM_OK;
}

kirim_err kirim_session_accept_path(struct kirim_session *session, const struct kirim_addr *peer)
{
    if (session == NULL || peer == NULL) {
        return KIRIM_EINVAL;
    }
    if (session->state != KI_SESSION_OPEN) {
        return KIRIM_ECLOSED;
    }
    struct kirim_sessions *set = session->set;
    if (kirim_addr_family(peer) == KIRIM_FAMILY_NONE ||
        !kirim_addr_equal(peer, &session->candidate.peer)) {
        return KIRIM_EINVAL;
    }
    /* The new one is counted first: if there is no memory for that, nothing has changed. */
    if (!ki_prefix_count(set, peer)) {
        return KIRIM_ENOMEM;
    }
    ki_prefix_uncount(set, &session->path.peer);
    ki_session_note_validated(session);
    session->path = session->candidate;
    session->path.budget.is_validated = 1;
    session->local = session->candidate_local;
    session->candidate = (struct ki_session_path){ .peer = { { 0, 0, 0 } } };
    set->stats.paths_accepted++;
    return KIRIM_OK;
}

kirim_err kirim_session_timer_arm(struct kirim_session *session, struct kirim_timer *timer,
                                  uint64_t deadline_ns)
{
    if (session == NULL) {
        return KIRIM_EINVAL;
    }
    if (session->state != KI_SESSION_OPEN) {
        return KIRIM_ECLOSED;
    }
    return ki_timer_arm_owned(session->set->loop, &session->timers, timer, deadline_ns);
}

kirim_err kirim_session_read_stats(const struct kirim_session *session,
                                   struct kirim_session_stats *out)
{
    if (session == NULL || out == NULL || out->size < sizeof *out) {
        return KIRIM_EINVAL;
    }
    *out = (struct kirim_session_stats){
        .size = out->size,
        .rx_datagrams = session->rx_datagrams,
        .rx_bytes = session->rx_bytes,
        .tx_datagrams = session->tx_datagrams,
        .tx_bytes = session->tx_bytes,
        .opened_ns = session->opened_ns,
        .heard_ns = session->heard_ns,
    };
    return KIRIM_OK;
}

kirim_err kirim_sessions_read_stats(const struct kirim_sessions *set,
                                    struct kirim_sessions_stats *out)
{
    if (set == NULL || out == NULL || out->size < sizeof *out) {
        return KIRIM_EINVAL;
    }
    const uint32_t size = out->size;
    *out = set->stats;
    out->size = size;
    return KIRIM_OK;
}

struct kirim_endpoint *kirim_sessions_endpoint(const struct kirim_sessions *set)
{
    return set->ep;
}

void *kirim_sessions_user(const struct kirim_sessions *set)
{
    return set->user;
}

uint64_t kirim_session_id(const struct kirim_session *session)
{
    return session->id;
}

struct kirim_sessions *kirim_session_set(const struct kirim_session *session)
{
    return session->set;
}

void *kirim_session_state(struct kirim_session *session)
{
    return (unsigned char *)session + state_offset();
}

void *kirim_session_user(const struct kirim_session *session)
{
    return session->user;
}

struct kirim_addr kirim_session_peer(const struct kirim_session *session)
{
    return session->path.peer;
}

struct kirim_addr kirim_session_local(const struct kirim_session *session)
{
    return session->local;
}

bool kirim_session_is_validated(const struct kirim_session *session)
{
    return session->path.budget.is_validated != 0;
}
