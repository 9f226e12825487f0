/* SPDX-License-Identifier: MIT
 *
 * The set under observation; see session_kit.h.
 */
#include "session_kit.h"

#include <stdlib.h>
#include <string.h>

enum { KEYED_BYTES = 1 + KS_NUMBER_BYTES, FIRST_PORT = 1000 };

static struct kit_peer *peer_of(struct kirim_session *session)
{
    return *(struct kit_peer **)kirim_session_state(session);
}

static void enter(struct kit_peer *peer, char mark)
{
    ks_enter(&peer->kit->t, peer->letter);
    ks_note(&peer->kit->t, mark);
}

static void leave(struct kit_peer *peer)
{
    ks_leave(&peer->kit->t);
}

static void received(struct kirim_session *session, const struct kirim_batch *batch, void *user)
{
    struct kit_peer *peer = peer_of(session);
    enter(peer, 'r');
    KS_CHECK(user == kirim_session_user(session));
    KS_CHECK(peer->session == session);
    peer->batch_count++;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        const uint8_t *b = d->data + d->bytes - KS_NUMBER_BYTES;
        KS_CHECK(d->bytes >= KS_NUMBER_BYTES && peer->number_count < KIT_NUMBERS_MAX);
        peer->numbers[peer->number_count++] =
            (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    }
    if (peer->kit->on_received != NULL) {
        peer->kit->on_received(peer, batch);
    }
    leave(peer);
}

static void writable(struct kirim_session *session, void *user)
{
    struct kit_peer *peer = peer_of(session);
    (void)user;
    enter(peer, 'w');
    if (peer->kit->on_writable != NULL) {
        peer->kit->on_writable(peer);
    }
    leave(peer);
}

static void failed(struct kirim_session *session, const struct kirim_event *event, void *user)
{
    struct kit_peer *peer = peer_of(session);
    const struct kirim_addr addr = kirim_session_peer(session);
    (void)user;
    enter(peer, 'f');
    KS_CHECK(kirim_addr_equal(&event->peer, &addr));
    leave(peer);
}

static void path_seen(struct kirim_session *session, const struct kirim_addr *addr, void *user)
{
    struct kit_peer *peer = peer_of(session);
    (void)user;
    enter(peer, 'p');
    peer->seen = *addr;
    if (peer->kit->on_path != NULL) {
        peer->kit->on_path(peer, addr);
    }
    leave(peer);
}

static void closed(struct kirim_session *session, int reason, void *user)
{
    struct kit_peer *peer = peer_of(session);
    (void)user;
    enter(peer, 'c');
    KS_CHECK(peer->session == session);
    KS_CHECK(kirim_sessions_find(peer->kit->set, peer->id) == NULL);
    peer->session = NULL;
    peer->reason = reason;
    if (peer->kit->on_closed != NULL) {
        peer->kit->on_closed(peer);
    }
    leave(peer);
}

static void answer(struct kit *k, const struct kirim_datagram *d)
{
    static const uint8_t bytes[512];
    if (k->answer_bytes != 0) {
        k->answer_err = kirim_sessions_answer(k->set, d, bytes, k->answer_bytes);
    }
}

static kirim_err admit(struct kirim_sessions *set, const struct kirim_datagram *d,
                       struct kirim_admission *out, void *user)
{
    struct kit *k = user;
    ks_enter(&k->t, '?');
    KS_CHECK(set == k->set);
    KS_CHECK(out->size == sizeof *out && out->handler == NULL && out->user == NULL);
    out->is_validated = k->is_validating;
    answer(k, d);
    ks_leave(&k->t);
    return k->verdict;
}

static void stateless(struct kirim_sessions *set, const struct kirim_datagram *d, void *user)
{
    struct kit *k = user;
    ks_enter(&k->t, '-');
    KS_CHECK(set == k->set);
    k->stateless_count++;
    answer(k, d);
    ks_leave(&k->t);
}

static void opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    struct kit *k = user;
    struct kit_peer *peer = &k->peers[k->peer_count];
    KS_CHECK(k->peer_count < KIT_SESSIONS_MAX);
    peer->kit = k;
    peer->letter = (char)('A' + k->peer_count % 26);
    peer->session = session;
    peer->id = kirim_session_id(session);
    k->peer_count++;
    KS_CHECK(set == k->set && kirim_session_set(session) == set);
    KS_CHECK(*(struct kit_peer **)kirim_session_state(session) == NULL);
    KS_CHECK(kirim_sessions_find(set, peer->id) == session);
    *(struct kit_peer **)kirim_session_state(session) = peer;
    ks_note(&k->t, peer->letter);
    ks_note(&k->t, 'o');
    if (k->on_opened != NULL) {
        k->on_opened(peer);
    }
}

static void set_failed(struct kirim_sessions *set, const struct kirim_event *event, void *user)
{
    struct kit *k = user;
    KS_CHECK(set == k->set && event != NULL);
    ks_enter(&k->t, '!');
    ks_leave(&k->t);
}

static void set_closed(struct kirim_sessions *set, void *user)
{
    struct kit *k = user;
    ks_enter(&k->t, '.');
    KS_CHECK(set == k->set);
    KS_EQ(0, kit_stats(k).count);
    k->set = NULL;
    ks_leave(&k->t);
}

struct kit *kit_new(void)
{
    struct kit *k = calloc(1, sizeof *k);
    KS_CHECK(k != NULL);
    ks_init(&k->t, "scripted", KIRIM_IPV4);
    k->s = script_new(&k->t, KIRIM_CAP_SOURCE | KIRIM_CAP_IPV6);
    k->endpoint = ks_endpoint_options(&k->t);
    k->endpoint.local = ks_wildcard(KIRIM_IPV4, 0);
    k->handler = (struct kirim_sessions_handler){
        .size = KIRIM_SESSIONS_HANDLER_INIT,
        .admit = admit,
        .stateless = stateless,
        .opened = opened,
        .failed = set_failed,
        .closed = set_closed,
    };
    k->session_handler = (struct kirim_session_handler){
        .size = KIRIM_SESSION_HANDLER_INIT,
        .received = received,
        .writable = writable,
        .failed = failed,
        .path_seen = path_seen,
        .closed = closed,
    };
    k->options = (struct kirim_sessions_options)KIRIM_SESSIONS_OPTIONS_INIT;
    k->options.endpoint = &k->endpoint;
    k->options.handler = &k->handler;
    k->options.session_handler = &k->session_handler;
    k->options.user = k;
    k->options.unvalidated_count_max = UINT32_MAX; /* no test that is about others shall meet it */
    k->options.state_bytes = sizeof(struct kit_peer *);
    return k;
}

void kit_open(struct kit *k)
{
    script_open(k->s);
    KS_OK(kirim_sessions_open(k->t.loop, &k->options, &k->set));
    k->p = script_port_of(k->s, kirim_sessions_endpoint(k->set));
    k->p->local = ks_loopback(KIRIM_IPV4, 9); /* what arrives was sent to it */
}

struct kit *kit_opened(void)
{
    struct kit *k = kit_new();
    kit_open(k);
    return k;
}

void kit_close(struct kit *k)
{
    if (k->p != NULL) {
        k->p->is_close_held = false;
    }
    ks_close(&k->t);
    KS_CHECK(k->set == NULL);
    for (size_t i = 0; i < k->peer_count; i++) {
        KS_CHECK(k->peers[i].session == NULL);
    }
    script_free(k->s);
    free(k);
}

struct kirim_addr kit_addr(unsigned n)
{
    const uint8_t bytes[4] = { 10, 0, (uint8_t)(n >> 8), (uint8_t)n };
    return kirim_addr_ipv4(bytes, (uint16_t)(FIRST_PORT + n));
}

void kit_arrive(struct kit *k, unsigned n, uint32_t number)
{
    const struct kirim_addr from = kit_addr(n);
    script_arrive_numbers(k->p, number, 1, &from);
}

void kit_arrive_keyed(struct kit *k, unsigned n, uint8_t key, uint32_t number)
{
    const struct kirim_addr from = kit_addr(n);
    uint8_t bytes[KEYED_BYTES] = { key };
    ks_number(bytes + 1, number);
    script_arrive(k->p, bytes, sizeof bytes, 0, &from);
}

void kit_by_first_byte(const struct kirim_datagram *d, struct kirim_class *out, void *user)
{
    const uint8_t first = d->bytes != 0 ? d->data[0] : 0;
    (void)user;
    if (first == 0) {
        return;
    }
    if (first == 1) {
        out->verdict = KIRIM_CLASS_STATELESS;
        return;
    }
    out->verdict = first >= 'a' && first <= 'z' ? KIRIM_CLASS_KNOWN : KIRIM_CLASS_ADMIT;
    if (first != '@') {
        out->key = d->data;
        out->key_bytes = 1;
    }
}

struct kirim_sessions_stats kit_stats(const struct kit *k)
{
    struct kirim_sessions_stats stats = KIRIM_SESSIONS_STATS_INIT;
    KS_OK(kirim_sessions_read_stats(k->set, &stats));
    return stats;
}
