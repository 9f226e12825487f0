/* SPDX-License-Identifier: MIT
 *
 * What can be asked of an association: who the peer is, what was agreed on, keys for others, and
 * the session that a client may resume. Loop thread. Sources: RFC 5705, RFC 5764, RFC 7301, RFC
 * 5077.
 *
 * A session as it is handed out: version 1, whether its peer was verified 1, length of the host's
 * name 1, that name, and behind it OpenSSL's own form.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/srtp.h>

#include "parts.h"

enum { SESSION_VERSION = 1, SESSION_HEADER_BYTES = 3 };

/* NULL: it is not of this type, or no layer. */
static struct ki_dtls_layer *state_of(struct kirim_layer *layer)
{
    const bool is_ours = layer != NULL && kirim_layer_kind(layer) == kirim_dtls_layer_type();
    return is_ours ? kirim_layer_state(layer) : NULL;
}

static struct ki_dtls_conn *live_of(struct kirim_layer *layer)
{
    const struct ki_dtls_layer *const s = state_of(layer);
    return s != NULL ? s->live : NULL;
}

/* The SSL of an established association; NULL: it is none. */
static SSL *established(struct kirim_layer *layer)
{
    const struct ki_dtls_conn *const c = live_of(layer);
    return c != NULL && c->state == KI_DTLS_ESTABLISHED ? c->ssl : NULL;
}

static void tell_agreed(const SSL *ssl, struct kirim_dtls_info *out)
{
    const SRTP_PROTECTION_PROFILE *const profile =
        SSL_get_selected_srtp_profile((SSL *)(uintptr_t)ssl);
    const char *const identity = SSL_get_psk_identity(ssl);
    const SSL_CIPHER *const cipher = SSL_get_current_cipher(ssl);
    out->cipher = cipher != NULL ? SSL_CIPHER_get_name(cipher) : "";
    out->srtp = profile != NULL ? profile->name : "";
    out->is_resumed = SSL_session_reused(ssl) == 1;
    out->is_peer_certified = SSL_get0_peer_certificate(ssl) != NULL;
    if (identity != NULL && strlen(identity) < sizeof out->psk_identity) {
        memcpy(out->psk_identity, identity, strlen(identity) + 1);
    }
}

kirim_err kirim_dtls_read_info(struct kirim_layer *layer, struct kirim_dtls_info *out)
{
    const struct ki_dtls_conn *const c = live_of(layer);
    if (state_of(layer) == NULL || out == NULL || out->size != sizeof *out) {
        return KIRIM_EINVAL;
    }
    *out = (struct kirim_dtls_info)KIRIM_DTLS_INFO_INIT;
    out->cipher = "";
    out->srtp = "";
    if (c == NULL) {
        return KIRIM_OK;
    }
    out->is_established = c->state == KI_DTLS_ESTABLISHED;
    out->alert = c->failure.alert;
    out->verify_code = c->verify_code;
    out->code = c->failure.code;
    memcpy(out->failure, c->failure.text, sizeof out->failure);
    if (SSL_is_init_finished(c->ssl)) {
        tell_agreed(c->ssl, out);
    }
    return KIRIM_OK;
}

const char *kirim_dtls_alpn(struct kirim_layer *layer, size_t *bytes)
{
    const unsigned char *name = NULL;
    unsigned name_bytes = 0;
    SSL *const ssl = established(layer);
    if (ssl != NULL) {
        SSL_get0_alpn_selected(ssl, &name, &name_bytes);
    }
    *bytes = name_bytes;
    return name_bytes != 0 ? (const char *)name : NULL;
}

kirim_err kirim_dtls_peer_certificate(struct kirim_layer *layer, uint8_t *out, size_t room_bytes,
                                      size_t *bytes)
{
    const SSL *const ssl = established(layer);
    if (ssl == NULL) {
        return KIRIM_ENOTCONN;
    }
    X509 *const certificate = SSL_get0_peer_certificate(ssl);
    const int needed = certificate != NULL ? i2d_X509(certificate, NULL) : -1;
    if (needed < 0) {
        return KIRIM_ENOENT;
    }
    *bytes = (size_t)needed;
    if (*bytes > room_bytes) {
        return KIRIM_EMSGSIZE;
    }
    (void)i2d_X509(certificate, &out);
    return KIRIM_OK;
}

kirim_err kirim_dtls_export(struct kirim_layer *layer, const char *label,
                            const struct kirim_buf *context, uint8_t *out, size_t bytes)
{
    SSL *const ssl = established(layer);
    if (state_of(layer) == NULL || label == NULL || out == NULL) {
        return KIRIM_EINVAL;
    }
    if (ssl == NULL) {
        return KIRIM_ENOTCONN;
    }
    ERR_clear_error();
    const int result = SSL_export_keying_material(
        ssl, out, bytes, label, strlen(label), context != NULL ? context->data : NULL,
        context != NULL ? context->bytes : 0, context != NULL);
    ERR_clear_error();
    return result == 1 ? KIRIM_OK : KIRIM_EINVAL;
}

struct ssl_st *kirim_dtls_ssl(struct kirim_layer *layer)
{
    const struct ki_dtls_conn *const c = live_of(layer);
    return c != NULL ? c->ssl : NULL;
}

/* ---- sessions -------------------------------------------------------------------------------- */

kirim_err kirim_dtls_session(struct kirim_layer *layer, uint8_t *out, size_t room_bytes,
                             size_t *bytes)
{
    const struct ki_dtls_layer *const s = state_of(layer);
    SSL *const ssl = established(layer);
    if (s == NULL || ssl == NULL || s->is_server) {
        return KIRIM_ENOTCONN;
    }
    SSL_SESSION *const session = SSL_get0_session(ssl);
    const size_t host_bytes = strlen(s->host);
    const int needed = session != NULL && SSL_SESSION_is_resumable(session) == 1
                           ? i2d_SSL_SESSION(session, NULL)
                           : 0;
    if (needed <= 0) {
        return KIRIM_ENOENT;
    }
    *bytes = SESSION_HEADER_BYTES + host_bytes + (size_t)needed;
    if (*bytes > room_bytes) {
        return KIRIM_EMSGSIZE;
    }
    out[0] = SESSION_VERSION;
    out[1] = SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE;
    out[2] = (uint8_t)host_bytes;
    /* Its length stands in front. NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
    memcpy(out + SESSION_HEADER_BYTES, s->host, host_bytes);
    unsigned char *to = out + SESSION_HEADER_BYTES + host_bytes;
    (void)i2d_SSL_SESSION(session, &to);
    return KIRIM_OK;
}

/* Whether a session began where a peer was asked to show the same. OpenSSL would not go on with a
 * whole handshake, but end it. */
static bool is_of_belief(const struct kirim_dtls *dtls, const SSL_SESSION *session)
{
    unsigned bytes = 0;
    const unsigned char *const belief = SSL_SESSION_get0_id_context(session, &bytes);
    return bytes == sizeof dtls->belief && memcmp(belief, dtls->belief, bytes) == 0;
}

void ki_dtls_resume(struct ki_dtls_conn *conn, const char *host, const struct kirim_buf *session)
{
    const uint8_t *const data = session->data;
    const size_t host_bytes = strlen(host);
    const size_t header_bytes = SESSION_HEADER_BYTES + host_bytes;
    if (data == NULL || session->bytes <= header_bytes || session->bytes > INT32_MAX ||
        data[0] != SESSION_VERSION || data[2] != host_bytes ||
        memcmp(data + SESSION_HEADER_BYTES, host, host_bytes) != 0) {
        return;
    }
    /* Whoever resumes shows no certificate again: what was not asked then is not known now. */
    if (data[1] == 0 && SSL_get_verify_mode(conn->ssl) != SSL_VERIFY_NONE) {
        return;
    }
    const unsigned char *from = data + header_bytes;
    SSL_SESSION *const known = d2i_SSL_SESSION(NULL, &from, (int)(session->bytes - header_bytes));
    if (known != NULL && is_of_belief(conn->dtls, known)) {
        (void)SSL_set_session(conn->ssl, known);
    }
    SSL_SESSION_free(known);
}
