/* SPDX-License-Identifier: MIT
 *
 * Associations: one SSL of OpenSSL each, its handshake, its timers, its end.
 *
 * OpenSSL keeps the time of retransmission on the system's clock and is asked for it; the loop's
 * timers wake it. Every call of OpenSSL is made with its queue of errors empty, and leaves it so.
 * Loop thread. Sources: RFC 6347 section 4.2.4, DTLSv1_listen(3), DTLSv1_get_timeout(3),
 * SSL_get_error(3).
 */
#include <string.h>
#include <sys/time.h>

#include <kirim/loop.h>
#include <kirim/secret.h>

#include <openssl/err.h>

#include "parts.h"

enum {
    RECORD_BYTES_USUAL = 4096, /* a search for the path MTU seldom finds more */
    FLIGHT_BYTES_MAX = 4096,   /* OpenSSL gathers flights in a buffer of this size */
    UNCOUNTED_BYTES = 24,      /* nonce and tag: OpenSSL does not count those of AEAD in a flight */
    TIMEOUT_US_FIRST = 1000000, /* RFC 6347, section 4.2.4.1 */
    TIMEOUT_US_MAX = 60000000
};

static const uint64_t NS_PER_US = 1000;
static const uint64_t NS_PER_SECOND = 1000000000;
static const uint64_t WAIT_NS_MIN = 1000000; /* where its clock and the loop's disagree */

/* ---- half-open ------------------------------------------------------------------------------- */

static void unlink_half_open(struct ki_dtls_conn *c)
{
    struct kirim_dtls *const dtls = c->dtls;
    dtls->stats.half_open -= c->is_half_open;
    c->is_half_open = false;
    kirim_shares_give(&dtls->half_open, &c->share);
}

/* What others begin is bounded. */
static void link_half_open(struct ki_dtls_conn *c)
{
    struct kirim_dtls *const dtls = c->dtls;
    dtls->stats.half_open++;
    c->is_half_open = true;
    if (c->is_server) {
        c->share.user = c;
        kirim_shares_take(&dtls->half_open, &c->share, &c->peer);
    }
}

/* One for a handshake that others begin: the network that has most of them under way makes it. */
static void make_room(struct kirim_dtls *dtls, const struct kirim_addr *peer)
{
    bool is_owed = false;
    if (dtls->half_open.count < dtls->half_open_count_max) {
        return;
    }
    const struct kirim_share *const found = kirim_shares_find(&dtls->half_open, peer, &is_owed);
    struct ki_dtls_conn *const victim = found->user;
    struct kirim_layer *const layer = victim->layer;
    dtls->stats.evicted_crowd += is_owed;
    ki_dtls_ended(victim, KIRIM_EBUSY);
    ki_dtls_reap(layer);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* It asks OpenSSL for nothing more. */
static void stop(struct ki_dtls_conn *c)
{
    unlink_half_open(c);
    kirim_timer_cancel(&c->retransmit);
    kirim_timer_cancel(&c->limit);
    c->dtls->stats.open -= c->state == KI_DTLS_ESTABLISHED;
    c->state = KI_DTLS_ENDED;
}

void ki_dtls_conn_end(struct ki_dtls_conn *c, kirim_err why)
{
    struct kirim_dtls_stats *const stats = &c->dtls->stats;
    if (c->state == KI_DTLS_HANDSHAKING) {
        stats->timed_out += why == KIRIM_ETIMEDOUT;
        stats->evicted += why == KIRIM_EBUSY;
        stats->failed += why != KIRIM_ETIMEDOUT && why != KIRIM_EBUSY;
    }
    stop(c);
}

void ki_dtls_conn_free(struct ki_dtls_conn *c)
{
    if (c == NULL) {
        return;
    }
    if (c->state != KI_DTLS_ENDED) {
        ki_dtls_conn_end(c, KIRIM_EABORTED);
    }
    SSL_free(c->ssl);
    ERR_clear_error();
    OPENSSL_clear_free(c, sizeof *c);
}

/* The first error of the protocol says what was wrong; those before it are its grounds, those
 * behind it who was told. */
static uint64_t take_error(void)
{
    uint64_t first = 0;
    for (uint64_t code = ERR_get_error(); code != 0; code = ERR_get_error()) {
        if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
            first = code;
            break;
        }
        first = first != 0 ? first : code;
    }
    ERR_clear_error();
    return first;
}

static kirim_err note_failure(struct ki_dtls_conn *c)
{
    const uint64_t code = take_error();
    const char *const text = code != 0 ? ERR_reason_error_string(code) : NULL;
    c->failure.code = code;
    if (text != NULL) {
        const size_t bytes = strlen(text);
        const size_t room = sizeof c->failure.text - 1;
        memcpy(c->failure.text, text, bytes < room ? bytes : room);
    }
    switch (ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_PSK_IDENTITY_NOT_FOUND:
        return KIRIM_EACCES;
    default:
        break;
    }
    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE) {
        return KIRIM_ENOMEM;
    }
    const bool is_alert = ERR_GET_LIB(code) == ERR_LIB_SSL &&
                          ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET &&
                          ERR_GET_REASON(code) <= SSL_AD_REASON_OFFSET + UINT8_MAX;
    c->dtls->stats.rx_fatal += is_alert && c->state == KI_DTLS_ESTABLISHED;
    return is_alert ? KIRIM_ECONNRESET : KIRIM_ESYSTEM;
}

/* ---- timers ---------------------------------------------------------------------------------- */

/* How long OpenSSL waits: asked at the start, and whenever a flight was sent again. */
static unsigned choose_timeout(SSL *ssl, unsigned before_us)
{
    const struct ki_dtls_conn *const c = SSL_get_app_data(ssl);
    if (before_us == 0) {
        return TIMEOUT_US_FIRST;
    }
    c->dtls->stats.retransmits++;
    return before_us < TIMEOUT_US_MAX / 2 ? before_us * 2 : TIMEOUT_US_MAX;
}

static void arm_retransmit(struct ki_dtls_conn *c)
{
    struct timeval left;
    if (c->state == KI_DTLS_ENDED || DTLSv1_get_timeout(c->ssl, &left) != 1) {
        kirim_timer_cancel(&c->retransmit);
        return;
    }
    const uint64_t left_ns =
        (uint64_t)left.tv_sec * NS_PER_SECOND + (uint64_t)left.tv_usec * NS_PER_US;
    (void)kirim_layer_timer_arm(c->layer, &c->retransmit,
                                kirim_loop_now(c->dtls->loop) +
                                    (left_ns > WAIT_NS_MIN ? left_ns : WAIT_NS_MIN));
}

static void expire_retransmit(struct kirim_timer *timer)
{
    struct ki_dtls_conn *const c = timer->user;
    ERR_clear_error();
    if (DTLSv1_handle_timeout(c->ssl) < 0 && c->state == KI_DTLS_HANDSHAKING) {
        ki_dtls_ended(c, note_failure(c));
    }
    ERR_clear_error();
    arm_retransmit(c);
    ki_dtls_reap(c->layer);
}

static void expire_limit(struct kirim_timer *timer)
{
    struct ki_dtls_conn *const c = timer->user;
    struct kirim_layer *const layer = c->layer;
    ki_dtls_ended(c, KIRIM_ETIMEDOUT);
    ki_dtls_reap(layer);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static void set_up(struct ki_dtls_conn *c)
{
    static const int server_modes[] = { SSL_VERIFY_NONE, SSL_VERIFY_NONE, SSL_VERIFY_PEER,
                                        SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT };
    const uint16_t verify = c->dtls->verify;
    const size_t room = kirim_layer_payload_bytes_max(c->layer);
    const size_t record_bytes = room > RECORD_BYTES_USUAL ? room : RECORD_BYTES_USUAL;
    DTLS_set_timer_cb(c->ssl, choose_timeout);
    /* Not more than will be used, for it is memory of each association. */
    c->record_bytes_max =
        record_bytes < KIRIM_DTLS_RECORD_BYTES_MAX ? record_bytes : KIRIM_DTLS_RECORD_BYTES_MAX;
    (void)SSL_set_max_send_fragment(c->ssl, (int)c->record_bytes_max);
    if (c->is_server) {
        SSL_set_accept_state(c->ssl);
        SSL_set_verify(c->ssl, server_modes[verify], NULL);
    } else {
        SSL_set_connect_state(c->ssl);
        SSL_set_verify(c->ssl, verify == KIRIM_DTLS_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       NULL);
    }
    ki_dtls_conn_resize(c);
}

struct ki_dtls_conn *ki_dtls_conn_new(struct kirim_dtls *dtls, struct kirim_layer *layer,
                                      bool is_server)
{
    struct ki_dtls_conn *c = OPENSSL_zalloc(sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->dtls = dtls;
    c->layer = layer;
    c->is_server = is_server;
    c->retransmit = (struct kirim_timer)KIRIM_TIMER_INIT(expire_retransmit, c);
    c->limit = (struct kirim_timer)KIRIM_TIMER_INIT(expire_limit, c);
    const struct kirim_stack *const stack = kirim_layer_stack(layer);
    const struct kirim_session *const session = kirim_stack_session(stack);
    c->peer = session != NULL ? kirim_session_peer(session)
                              : kirim_endpoint_peer(kirim_stack_endpoint(stack));
    ERR_clear_error();
    c->ssl = SSL_new(dtls->ctx);
    BIO *bio = ki_dtls_bio_new(c);
    if (c->ssl == NULL || bio == NULL || SSL_set_app_data(c->ssl, c) != 1) {
        BIO_free(bio);
        ki_dtls_conn_free(c);
        return NULL;
    }
    SSL_set_bio(c->ssl, bio, bio);
    set_up(c);
    return c;
}

void ki_dtls_conn_resize(struct ki_dtls_conn *c)
{
    const size_t room = kirim_layer_payload_bytes_max(c->layer);
    const size_t overhead_bytes = BIO_dgram_get_mtu_overhead(SSL_get_wbio(c->ssl));
    const size_t flight_bytes = room < FLIGHT_BYTES_MAX ? room : FLIGHT_BYTES_MAX;
    (void)DTLS_set_link_mtu(c->ssl, (int)(flight_bytes - UNCOUNTED_BYTES + overhead_bytes));
}

/* ---- handshakes ------------------------------------------------------------------------------ */

static void establish(struct ki_dtls_conn *c)
{
    struct kirim_dtls_stats *const stats = &c->dtls->stats;
    unlink_half_open(c);
    kirim_timer_cancel(&c->limit);
    c->state = KI_DTLS_ESTABLISHED;
    stats->open++;
    stats->done++;
    stats->resumed += SSL_session_reused(c->ssl) == 1;
    arm_retransmit(c);
    ki_dtls_done(c);
}

static void advance(struct ki_dtls_conn *c)
{
    ERR_clear_error();
    const int result = SSL_do_handshake(c->ssl);
    const int what = SSL_get_error(c->ssl, result);
    if (result == 1) {
        ERR_clear_error();
        establish(c);
    } else if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) {
        ERR_clear_error();
        arm_retransmit(c);
    } else {
        ki_dtls_ended(c, note_failure(c));
    }
}

/* What OpenSSL knows of the HelloVerifyRequest: that there was one. */
static bool listen_to(struct ki_dtls_conn *c, const struct ki_dtls_record *hello)
{
    c->rx = hello->data;
    c->rx_bytes = hello->bytes;
    c->is_cookie_good = true;
    ERR_clear_error();
    const int result = DTLSv1_listen(c->ssl, c->dtls->nobody);
    c->rx = NULL;
    return result == 1;
}

void ki_dtls_conn_begin(struct ki_dtls_conn *c, const struct ki_dtls_record *hello)
{
    struct kirim_dtls *const dtls = c->dtls;
    if (c->is_server) {
        make_room(dtls, &c->peer);
    }
    c->state = KI_DTLS_HANDSHAKING;
    link_half_open(c);
    dtls->stats.begun++;
    (void)kirim_layer_timer_arm(c->layer, &c->limit,
                                kirim_loop_now(dtls->loop) + dtls->handshake_ns);
    if (hello != NULL && !listen_to(c, hello)) {
        ki_dtls_ended(c, note_failure(c));
        return;
    }
    advance(c);
}

/* Nonce and tag of a suite, which every record has. OpenSSL 3.0 ends an association for good when
 * somebody sends it a record that is too short for them. */
static size_t sealed_bytes_min(const struct ki_dtls_conn *c)
{
    enum { NONCE_BYTES = 8, TAG_BYTES = 16, SHORT_TAG_BYTES = 8 };
    const SSL_CIPHER *cipher = SSL_get_pending_cipher(c->ssl);
    if (cipher == NULL) {
        cipher = SSL_get_current_cipher(c->ssl);
    }
    if (cipher != NULL && SSL_CIPHER_get_cipher_nid(cipher) == NID_chacha20_poly1305) {
        return TAG_BYTES;
    }
    switch (cipher != NULL ? SSL_CIPHER_get_protocol_id(cipher) : 0) {
    case TLS1_CK_PSK_WITH_AES_128_CCM_8 & 0xffff:
    case TLS1_CK_PSK_WITH_AES_256_CCM_8 & 0xffff:
    case TLS1_CK_DHE_PSK_WITH_AES_128_CCM_8 & 0xffff:
    case TLS1_CK_DHE_PSK_WITH_AES_256_CCM_8 & 0xffff:
    case TLS1_CK_ECDHE_ECDSA_WITH_AES_128_CCM_8 & 0xffff:
    case TLS1_CK_ECDHE_ECDSA_WITH_AES_256_CCM_8 & 0xffff:
    case TLS1_CK_RSA_WITH_AES_128_CCM_8 & 0xffff:
    case TLS1_CK_RSA_WITH_AES_256_CCM_8 & 0xffff:
    case TLS1_CK_DHE_RSA_WITH_AES_128_CCM_8 & 0xffff:
    case TLS1_CK_DHE_RSA_WITH_AES_256_CCM_8 & 0xffff:
        return NONCE_BYTES + SHORT_TAG_BYTES;
    default:
        return NONCE_BYTES + TAG_BYTES;
    }
}

/* Whether an encrypted record would have to wait in OpenSSL's memory, and too many do. */
static bool is_too_early(struct ki_dtls_conn *c)
{
    const OSSL_HANDSHAKE_STATE state = SSL_get_state(c->ssl);
    if (c->state != KI_DTLS_HANDSHAKING || state == TLS_ST_SR_CHANGE || state == TLS_ST_CR_CHANGE) {
        return false;
    }
    return c->early_count++ >= KI_DTLS_EARLY_MAX;
}

/* Whether a message in the clear is longer than one in its place can be. OpenSSL makes room for
 * each of the next ten as soon as a byte of it has come, and ends the handshake over one that is
 * too long for anything, though anybody can have sent it. */
static bool is_too_long(const struct ki_dtls_conn *c, const struct ki_dtls_record *record)
{
    enum { OF_CLIENTS_BYTES_MAX = 4096, CERTIFICATE_NUMBER = 2 /* behind both hellos */ };
    const uint8_t *const m = record->body;
    if (record->epoch != 0 || record->type != KI_DTLS_HANDSHAKE) {
        return false;
    }
    const uint32_t bytes = (uint32_t)m[1] << 16 | (uint32_t)m[2] << 8 | (uint32_t)m[3];
    const bool may_be_certificate =
        c->dtls->verify >= KIRIM_DTLS_VERIFY_REQUEST && m[4] == 0 && m[5] == CERTIFICATE_NUMBER;
    return bytes > (!c->is_server || may_be_certificate ? (uint32_t)KI_DTLS_CERTIFICATES_BYTES_MAX
                                                        : (uint32_t)OF_CLIENTS_BYTES_MAX);
}

bool ki_dtls_conn_feed(struct ki_dtls_conn *c, const struct ki_dtls_record *record)
{
    if (is_too_long(c, record) ||
        (record->epoch != 0 && (record->body_bytes < sealed_bytes_min(c) || is_too_early(c)))) {
        return false;
    }
    c->rx = record->data;
    c->rx_bytes = record->bytes;
    if (c->state == KI_DTLS_HANDSHAKING) {
        advance(c);
        c->rx = NULL;
    }
    return true;
}

/* ---- messages -------------------------------------------------------------------------------- */

size_t ki_dtls_conn_read(struct ki_dtls_conn *c, uint8_t *out, size_t room)
{
    if (c->state != KI_DTLS_ESTABLISHED) {
        c->rx = NULL;
        return 0;
    }
    ERR_clear_error();
    size_t bytes = 0;
    const int result = SSL_read_ex(c->ssl, out, room, &bytes);
    if (result == 1) {
        return bytes;
    }
    const int what = SSL_get_error(c->ssl, 0);
    c->rx = NULL;
    if (what == SSL_ERROR_ZERO_RETURN) {
        c->dtls->stats.rx_closed++;
        ki_dtls_conn_say_end(c);
        ki_dtls_ended(c, KIRIM_OK);
    } else if (what != SSL_ERROR_WANT_READ && what != SSL_ERROR_WANT_WRITE) {
        ki_dtls_ended(c, note_failure(c));
    }
    ERR_clear_error();
    return 0;
}

kirim_err ki_dtls_conn_write(struct ki_dtls_conn *c, const void *data, size_t bytes,
                             const struct kirim_control *control)
{
    size_t written = 0;
    if (c->state != KI_DTLS_ESTABLISHED) {
        return KIRIM_ECLOSED;
    }
    const uint8_t limit = SSL_SESSION_get_max_fragment_length(SSL_get0_session(c->ssl));
    if (limit != TLSEXT_max_fragment_length_DISABLED && bytes > (size_t)256 << limit) {
        return KIRIM_EMSGSIZE;
    }
    /* Its buffer is made for the path as it was at the beginning. */
    if (bytes > c->record_bytes_max) {
        return KIRIM_EMSGSIZE;
    }
    c->tx_control = control;
    c->tx_err = KIRIM_OK;
    ERR_clear_error();
    const int result = SSL_write_ex(c->ssl, data, bytes, &written);
    c->tx_control = NULL;
    if (result != 1) {
        const kirim_err err = note_failure(c);
        ki_dtls_ended(c, err);
        return err;
    }
    return c->tx_err;
}

void ki_dtls_conn_say_end(struct ki_dtls_conn *c)
{
    if (c->state == KI_DTLS_ESTABLISHED) {
        ERR_clear_error();
        (void)SSL_shutdown(c->ssl);
        ERR_clear_error();
    }
}

const struct kirim_control *ki_dtls_conn_control(const struct ki_dtls_conn *c,
                                                 struct kirim_control *room)
{
    const struct kirim_control *const said = c->tx_control;
    const struct kirim_session *const session = kirim_stack_session(kirim_layer_stack(c->layer));
    if (session == NULL || kirim_addr_family(&c->local) == KIRIM_FAMILY_NONE ||
        (kirim_loop_caps(c->dtls->loop) & KIRIM_CAP_SOURCE) == 0) {
        return said;
    }
    /* A session that took over was opened from this side, and does not know where it is spoken to.
     */
    const struct kirim_addr local = kirim_session_local(session);
    if (kirim_addr_family(&local) != KIRIM_FAMILY_NONE ||
        (said != NULL && (said->size != sizeof *said || said->ifindex != 0 ||
                          kirim_addr_family(&said->source) != KIRIM_FAMILY_NONE))) {
        return said;
    }
    if (said != NULL) {
        *room = *said;
    }
    room->source = c->local;
    return room;
}
