/* SPDX-License-Identifier: MIT
 *
 * The layer: records from below are told apart before OpenSSL sees them, messages from above become
 * records, and an association that ends takes the stack along, but for one that is replaced.
 *
 * Nothing of an association is freed while a call of it may be under way: what has ended is reaped
 * at the end of a callback, or with the layer. Loop thread. Sources: RFC 6347 sections 4.1.2.7,
 * 4.2.8; RFC 9525 section 6.
 */
#include <string.h>

#include <kirim/loop.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "parts.h"

/* What is on its way up: the messages of the context's area. */
struct ki_dtls_up {
    struct kirim_layer *layer;
    const struct kirim_datagram *datagram; /* whose records are read; NULL: of an earlier one */
    size_t count;
    size_t bytes;
};

static struct ki_dtls_layer *state_of(struct kirim_layer *layer)
{
    return kirim_layer_state(layer);
}

/* ---- up -------------------------------------------------------------------------------------- */

static void hand_up(struct ki_dtls_up *up)
{
    struct kirim_dtls *const dtls = state_of(up->layer)->dtls;
    const struct kirim_batch batch = { dtls->batch, up->count, sizeof dtls->batch[0] };
    if (up->count != 0) {
        up->count = 0;
        up->bytes = 0;
        kirim_layer_pass_received(up->layer, &batch);
    }
}

/* Takes what OpenSSL has of an association. Returns whether it had anything. */
static bool read_all(struct ki_dtls_conn *conn, struct ki_dtls_up *up)
{
    struct kirim_dtls *const dtls = conn->dtls;
    bool has_read = false;
    for (;;) {
        if (up->count == KI_DTLS_BATCH_MAX ||
            sizeof dtls->area - up->bytes < KIRIM_DTLS_RECORD_BYTES_MAX) {
            hand_up(up);
        }
        uint8_t *const to = dtls->area + up->bytes;
        const size_t bytes = ki_dtls_conn_read(conn, to, sizeof dtls->area - up->bytes);
        if (bytes == 0) {
            return has_read;
        }
        struct kirim_datagram *const d = &dtls->batch[up->count++];
        *d = (struct kirim_datagram){ .peer = conn->peer };
        if (up->datagram != NULL) {
            *d = *up->datagram;
        }
        d->data = to;
        d->bytes = (uint32_t)bytes;
        d->segment_bytes = 0;
        d->flags = (uint8_t)(d->flags & ~(unsigned)KIRIM_RX_TRAIN_HEAD);
        up->bytes += bytes;
        has_read = true;
    }
}

/* Gives a record to the live association. Returns whether it was authentic, as far as can be seen:
 * it brought something, or was answered, as the end of a handshake is that comes once more. */
static bool feed_live(struct ki_dtls_conn *live, const struct ki_dtls_record *record,
                      struct ki_dtls_up *up)
{
    const uint32_t alerts = live->alert_count;
    const uint32_t sent = live->tx_count;
    if (!ki_dtls_conn_feed(live, record)) {
        return false;
    }
    const bool is_answered =
        read_all(live, up) || (record->type == KI_DTLS_HANDSHAKE && live->tx_count != sent);
    return is_answered || live->alert_count != alerts;
}

/* ---- hellos ---------------------------------------------------------------------------------- */

static bool is_of(const struct ki_dtls_conn *conn, const struct ki_dtls_hello *hello)
{
    return conn != NULL && conn->state != KI_DTLS_ENDED &&
           memcmp(conn->random, hello->random, sizeof conn->random) == 0;
}

/* Whether a session of the same peer can follow this one's. */
static bool can_be_replaced(struct kirim_layer *layer)
{
    struct kirim_session *const session = kirim_stack_session(kirim_layer_stack(layer));
    if (session == NULL) {
        return false;
    }
    const struct kirim_addr peer = kirim_session_peer(session);
    return kirim_sessions_find_key(kirim_session_set(session), &peer, NULL, 0) == session;
}

static void begin(struct kirim_layer *layer, struct ki_dtls_conn **place,
                  const struct kirim_datagram *datagram, const struct ki_dtls_record *record,
                  const struct ki_dtls_hello *hello)
{
    struct ki_dtls_conn *const conn = ki_dtls_conn_new(state_of(layer)->dtls, layer, true);
    if (conn == NULL) {
        return; /* the peer asks again */
    }
    memcpy(conn->random, hello->random, sizeof conn->random);
    conn->peer = datagram->peer;
    if (datagram->arrival != NULL && (datagram->flags & KIRIM_RX_NO_LOCAL) == 0) {
        conn->local = datagram->arrival->local;
    }
    *place = conn;
    ki_dtls_conn_begin(conn, record);
}

/* A hello with a good cookie. */
static void take_hello(struct kirim_layer *layer, const struct kirim_datagram *datagram,
                       const struct ki_dtls_record *record, const struct ki_dtls_hello *hello)
{
    struct ki_dtls_layer *const s = state_of(layer);
    if (s->live != NULL && s->live->state == KI_DTLS_HANDSHAKING) {
        ki_dtls_conn_end(s->live, KIRIM_ECONNRESET); /* it has begun anew */
        ki_dtls_conn_free(s->live);
        s->live = NULL;
    }
    if (s->live == NULL) {
        begin(layer, &s->live, datagram, record, hello);
    } else if (s->live->state == KI_DTLS_ESTABLISHED && !s->is_replaced && can_be_replaced(layer)) {
        ki_dtls_conn_free(s->next);
        s->next = NULL;
        begin(layer, &s->next, datagram, record, hello);
    }
}

static void answer_hello(struct kirim_layer *layer, const struct kirim_datagram *datagram,
                         const struct ki_dtls_record *record)
{
    struct ki_dtls_layer *const s = state_of(layer);
    struct ki_dtls_hello hello;
    uint8_t answer[KI_DTLS_VERIFY_BYTES];
    if (!ki_dtls_hello_read(record, &hello)) {
        s->dtls->stats.hellos_dropped++;
        return;
    }
    if (is_of(s->live, &hello) || is_of(s->next, &hello)) {
        return; /* it came before */
    }
    const enum ki_dtls_verdict verdict = ki_dtls_judge(s->dtls, &datagram->peer, &hello, answer);
    if (verdict == KI_DTLS_TAKE) {
        take_hello(layer, datagram, record, &hello);
    } else if (verdict == KI_DTLS_ANSWER) {
        const struct kirim_buf buf = { answer, sizeof answer };
        const struct kirim_msg msg = { .buf = &buf, .buf_count = 1 };
        (void)kirim_layer_send(layer, &msg);
    }
}

/* ---- down there, a datagram --------------------------------------------------------------------
 */

static bool is_in(const struct ki_dtls_conn *conn, enum ki_dtls_state state)
{
    return conn != NULL && conn->state == state;
}

static void take_encrypted(struct ki_dtls_layer *s, const struct ki_dtls_record *record,
                           struct ki_dtls_up *up)
{
    if (is_in(s->live, KI_DTLS_HANDSHAKING)) {
        s->dtls->stats.rx_discarded += !ki_dtls_conn_feed(s->live, record);
        (void)read_all(s->live, up); /* what has waited for the end of the handshake */
        return;
    }
    const bool is_known = is_in(s->live, KI_DTLS_ESTABLISHED) && feed_live(s->live, record, up);
    const bool is_for_next =
        !is_known && is_in(s->next, KI_DTLS_HANDSHAKING) && ki_dtls_conn_feed(s->next, record);
    s->dtls->stats.rx_discarded += !is_known && !is_for_next;
}

static void take_record(struct kirim_layer *layer, const struct kirim_datagram *datagram,
                        const struct ki_dtls_record *record, struct ki_dtls_up *up)
{
    struct ki_dtls_layer *const s = state_of(layer);
    if (record->epoch != 0) {
        take_encrypted(s, record, up);
        return;
    }
    if (s->is_server && ki_dtls_record_is_hello(record)) {
        answer_hello(layer, datagram, record);
        return;
    }
    struct ki_dtls_conn *const conn = is_in(s->next, KI_DTLS_HANDSHAKING) ? s->next : s->live;
    if (!is_in(conn, KI_DTLS_HANDSHAKING)) {
        s->dtls->stats.rx_malformed++; /* what anybody can forge is over */
        return;
    }
    s->dtls->stats.rx_discarded += !ki_dtls_conn_feed(conn, record);
    if (conn == s->live) {
        (void)read_all(conn, up);
    }
}

/* The new association of a peer that has begun anew goes to a session of its own, whose layers
 * begin anew, too. */
static void replace(struct kirim_layer *layer)
{
    struct ki_dtls_layer *const s = state_of(layer);
    struct kirim_dtls *const dtls = s->dtls;
    struct kirim_session *const old = kirim_stack_session(kirim_layer_stack(layer));
    struct kirim_sessions *const set = kirim_session_set(old);
    const struct kirim_addr peer = kirim_session_peer(old);
    void *const user = kirim_session_user(old);
    struct kirim_session *session = NULL;
    struct kirim_admission admission = {
        .size = sizeof admission,
        .is_validated = 1,
        .handler = kirim_stack_session_handler(),
        .user = user != kirim_session_state(old) ? user : NULL,
    };
    dtls->stats.replaced++;
    dtls->handover = s->next;
    s->next->layer = NULL;
    s->next = NULL;
    ki_dtls_ended(s->live, KIRIM_EEXIST);
    (void)kirim_session_open(set, &peer, NULL, 0, &admission, &session);
    ki_dtls_conn_free(dtls->handover); /* nobody has taken it */
    dtls->handover = NULL;
}

static void dtls_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    struct ki_dtls_layer *const s = state_of(layer);
    struct ki_dtls_up up = { .layer = layer };
    for (size_t i = 0; i < batch->count && !s->is_replaced; i++) {
        const struct kirim_datagram *const datagram = kirim_batch_at(batch, i);
        const uint8_t *data = datagram->data;
        size_t bytes = datagram->bytes;
        struct ki_dtls_record record;
        up.datagram = datagram;
        while (ki_dtls_record_take(&data, &bytes, &record)) {
            take_record(layer, datagram, &record, &up);
        }
        s->dtls->stats.rx_malformed += bytes != 0 || datagram->bytes == 0;
    }
    hand_up(&up);
    if (s->is_replaced) {
        replace(layer);
    }
    ki_dtls_reap(layer);
}

/* ---- down ------------------------------------------------------------------------------------ */

static size_t bytes_of(const struct kirim_msg *msg)
{
    size_t bytes = 0;
    for (size_t i = 0; i < msg->buf_count; i++) {
        bytes += msg->buf[i].bytes;
    }
    return bytes;
}

static kirim_err dtls_send(struct kirim_layer *layer, const struct kirim_msg *msg)
{
    struct ki_dtls_layer *const s = state_of(layer);
    struct kirim_dtls *const dtls = s->dtls;
    const size_t bytes = bytes_of(msg);
    if (bytes == 0) {
        return KIRIM_EOPNOTSUPP;
    }
    if (bytes > KIRIM_DTLS_RECORD_BYTES_MAX) {
        return KIRIM_EMSGSIZE;
    }
    if (!is_in(s->live, KI_DTLS_ESTABLISHED)) {
        return s->live == NULL || s->live->state != KI_DTLS_ENDED ? KIRIM_ENOTCONN : KIRIM_ECLOSED;
    }
    if (msg->peer != NULL && !kirim_addr_equal(msg->peer, &s->live->peer)) {
        return KIRIM_EINVAL;
    }
    if (msg->buf_count == 1) {
        return ki_dtls_conn_write(s->live, msg->buf[0].data, bytes, msg->control);
    }
    size_t at = 0;
    for (size_t i = 0; i < msg->buf_count; i++) {
        if (msg->buf[i].bytes != 0) {
            memcpy(dtls->gather + at, msg->buf[i].data, msg->buf[i].bytes);
            at += msg->buf[i].bytes;
        }
    }
    return ki_dtls_conn_write(s->live, dtls->gather, bytes, msg->control);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

void ki_dtls_done(struct ki_dtls_conn *conn)
{
    struct ki_dtls_layer *const s = state_of(conn->layer);
    if (conn == s->live) {
        kirim_layer_pass_ready(conn->layer);
    } else {
        s->is_replaced = true;
    }
}

void ki_dtls_ended(struct ki_dtls_conn *conn, kirim_err why)
{
    struct kirim_layer *const layer = conn->layer;
    ki_dtls_conn_end(conn, why);
    if (conn == state_of(layer)->live) {
        (void)kirim_stack_close(kirim_layer_stack(layer), why);
    }
}

void ki_dtls_reap(struct kirim_layer *layer)
{
    struct ki_dtls_layer *const s = state_of(layer);
    if (is_in(s->next, KI_DTLS_ENDED)) {
        ki_dtls_conn_free(s->next);
        s->next = NULL;
    }
}

/* Whom the peer has to be, and what it is told of that. */
static bool set_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *const param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) {
        return true;
    }
    /* A subject's common name is for people to read, and was never checked as a name of a host by
     * whoever issued the certificate (RFC 9525). */
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    /* SSL_set_tlsext_host_name() itself, which casts the const away for some compilers to see. */
    void *const name = (void *)(uintptr_t)host;
    return SSL_set1_host(ssl, host) == 1 &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) == 1;
}

static kirim_err open_client(struct kirim_layer *layer, const struct kirim_dtls_config *config)
{
    struct ki_dtls_layer *const s = state_of(layer);
    struct kirim_dtls *const dtls = config->dtls;
    const size_t host_bytes = config->host != NULL ? strlen(config->host) : 0;
    /* Without a name, who is trusted to issue certificates could be anybody's peer. */
    const bool needs_host =
        dtls->verify != KIRIM_DTLS_VERIFY_NONE &&
        (dtls->has_trust || (dtls->psk_key_bytes == 0 && dtls->verify_peer == NULL));
    if (host_bytes >= sizeof s->host || (host_bytes == 0 && needs_host)) {
        return KIRIM_EINVAL;
    }
    struct ki_dtls_conn *const conn = ki_dtls_conn_new(dtls, layer, false);
    if (conn == NULL) {
        return KIRIM_ENOMEM;
    }
    ERR_clear_error();
    if (host_bytes != 0) {
        memcpy(s->host, config->host, host_bytes + 1);
        if (!set_host(conn->ssl, s->host)) {
            ki_dtls_conn_free(conn);
            return KIRIM_EINVAL;
        }
    }
    ki_dtls_resume(conn, s->host, &config->session);
    ERR_clear_error();
    s->live = conn;
    return KIRIM_OK;
}

static kirim_err dtls_open(struct kirim_layer *layer, const void *user)
{
    const struct kirim_dtls_config *const config = user;
    struct ki_dtls_layer *const s = state_of(layer);
    if (config == NULL || config->size != sizeof *config || config->dtls == NULL ||
        config->dtls->loop != kirim_layer_loop(layer) || config->ki_reserved != 0 ||
        kirim_layer_payload_bytes_max(layer) < KIRIM_DTLS_PAYLOAD_BYTES_MIN ||
        (config->role != KIRIM_DTLS_SERVER && config->role != KIRIM_DTLS_CLIENT)) {
        return KIRIM_EINVAL;
    }
    struct kirim_dtls *const dtls = config->dtls;
    s->is_server = config->role == KIRIM_DTLS_SERVER;
    if (!s->is_server) {
        const kirim_err err = open_client(layer, config);
        if (err < 0) {
            return err;
        }
    } else if (dtls->handover != NULL && can_be_replaced(layer)) {
        const struct kirim_addr peer =
            kirim_session_peer(kirim_stack_session(kirim_layer_stack(layer)));
        if (kirim_addr_equal(&peer, &dtls->handover->peer)) {
            s->live = dtls->handover;
            s->live->layer = layer;
            dtls->handover = NULL;
        }
    }
    s->dtls = dtls;
    ki_dtls_hold(dtls);
    return KIRIM_OK;
}

static void dtls_ready(struct kirim_layer *layer)
{
    struct ki_dtls_layer *const s = state_of(layer);
    struct ki_dtls_up up = { .layer = layer };
    if (is_in(s->live, KI_DTLS_FRESH)) {
        ki_dtls_conn_begin(s->live, NULL);
    } else if (is_in(s->live, KI_DTLS_ESTABLISHED)) {
        kirim_layer_pass_ready(layer);
        (void)read_all(s->live, &up); /* what came with the end of the handshake */
        hand_up(&up);
    }
}

static void dtls_resized(struct kirim_layer *layer)
{
    struct ki_dtls_layer *const s = state_of(layer);
    struct ki_dtls_conn *const conns[] = { s->live, s->next };
    for (size_t i = 0; i < sizeof conns / sizeof conns[0]; i++) {
        if (conns[i] != NULL && conns[i]->state != KI_DTLS_ENDED) {
            ki_dtls_conn_resize(conns[i]);
        }
    }
}

static void dtls_drain(struct kirim_layer *layer)
{
    struct ki_dtls_layer *const s = state_of(layer);
    if (s->live != NULL) {
        ki_dtls_conn_say_end(s->live);
    }
    kirim_layer_finish_drain(layer);
}

static void dtls_closed(struct kirim_layer *layer, kirim_err why)
{
    struct ki_dtls_layer *const s = state_of(layer);
    (void)why;
    ki_dtls_conn_free(s->next);
    ki_dtls_conn_free(s->live);
    s->next = NULL;
    s->live = NULL;
    kirim_dtls_close(s->dtls);
}

const struct kirim_layer_type *kirim_dtls_layer_type(void)
{
    static const struct kirim_layer_type type = {
        .size = KIRIM_LAYER_TYPE_INIT,
        .name = "dtls",
        .overhead_bytes = KIRIM_DTLS_OVERHEAD_BYTES,
        .state_bytes = sizeof(struct ki_dtls_layer),
        .open = dtls_open,
        .ready = dtls_ready,
        .received = dtls_received,
        .send = dtls_send,
        .resized = dtls_resized,
        .drain = dtls_drain,
        .closed = dtls_closed,
    };
    return &type;
}
