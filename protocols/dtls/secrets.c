/* SPDX-License-Identifier: MIT
 *
 * Who is who: certificates and keys of this side, what is asked of the peer's, pre-shared keys,
 * suites, ALPN; and what OpenSSL asks of us about them. All keys and certificates come from memory:
 * nothing is read from files unless the system's trust is asked for. Loop thread. Sources: RFC
 * 9325, RFC 7301, RFC 4279, RFC 7925 section 4; SSL_CTX_set_cert_verify_callback(3).
 */
#include <string.h>

#include <kirim/secret.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "parts.h"

enum { ALPN_NAME_BYTES_MAX = 255 };

/* Keys that both have, also as small devices can do it (RFC 7925). */
#define SUITES_OF_KEYS                                                         \
    "ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:" \
    "PSK-CHACHA20-POLY1305:PSK-AES128-CCM:PSK-AES128-CCM8"

/* Those of certificates, all with forward secrecy. */
#define SUITES_OF_CERTIFICATES                                   \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-AES128-CCM:ECDHE-ECDSA-AES128-CCM8"

static struct ki_dtls_conn *conn_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

/* ---- PEM ------------------------------------------------------------------------------------- */

/* Never asks anybody at a terminal. */
static int refuse_password(char *out, int room, int is_writing, void *user)
{
    (void)out;
    (void)room;
    (void)is_writing;
    (void)user;
    return -1;
}

/* Hands each certificate of a PEM text to `take`, which does not keep it. */
static bool for_each_certificate(const struct kirim_buf *pem, SSL_CTX *ctx,
                                 bool (*take)(SSL_CTX *ctx, X509 *certificate, size_t index))
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->bytes);
    size_t count = 0;
    bool is_good = bio != NULL;
    while (is_good) {
        X509 *certificate = PEM_read_bio_X509(bio, NULL, refuse_password, NULL);
        if (certificate == NULL) {
            is_good = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            break;
        }
        is_good = take(ctx, certificate, count++);
        X509_free(certificate);
    }
    BIO_free(bio);
    return is_good && count > 0;
}

static bool take_own(SSL_CTX *ctx, X509 *certificate, size_t index)
{
    return index == 0 ? SSL_CTX_use_certificate(ctx, certificate) == 1
                      : SSL_CTX_add1_chain_cert(ctx, certificate) == 1;
}

static bool take_trusted(SSL_CTX *ctx, X509 *certificate, size_t index)
{
    (void)index;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), certificate) == 1 &&
           SSL_CTX_add_client_CA(ctx, certificate) == 1;
}

static bool use_key(SSL_CTX *ctx, const struct kirim_buf *pem)
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->bytes);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, refuse_password, NULL) : NULL;
    const bool is_good =
        key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    return is_good;
}

/* ---- the peer's certificate ------------------------------------------------------------------ */

/* The leaf in DER, for the hook; to be freed with OPENSSL_free(). */
static bool ask_hook(struct ki_dtls_conn *conn, X509 *leaf, bool is_trusted, int32_t code)
{
    unsigned char *der = NULL;
    const int bytes = leaf != NULL ? i2d_X509(leaf, &der) : -1;
    if (bytes < 0) {
        return false;
    }
    const struct kirim_dtls_peer peer = {
        .size = sizeof peer,
        .certificate = der,
        .certificate_bytes = (size_t)bytes,
        .text = X509_verify_cert_error_string(code),
        .code = code,
        .is_trusted = is_trusted,
    };
    const bool is_accepted = conn->dtls->verify_peer(conn->layer, &peer, conn->dtls->user);
    OPENSSL_free(der);
    return is_accepted;
}

static int verify_peer(X509_STORE_CTX *store, void *arg)
{
    const SSL *const ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct ki_dtls_conn *const conn = conn_of(ssl);
    (void)arg;
    const bool is_trusted = X509_verify_cert(store) == 1;
    const int code = X509_STORE_CTX_get_error(store);
    conn->verify_code = code;
    if (conn->dtls->verify_peer == NULL || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE) {
        return is_trusted;
    }
    const bool is_accepted = ask_hook(conn, X509_STORE_CTX_get0_cert(store), is_trusted, code);
    if (is_accepted) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
    } else if (is_trusted) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    }
    return is_accepted;
}

/* ---- pre-shared keys ------------------------------------------------------------------------- */

static unsigned find_psk(SSL *ssl, const char *identity, unsigned char *key, unsigned room)
{
    struct ki_dtls_conn *const conn = conn_of(ssl);
    const struct kirim_dtls *const dtls = conn->dtls;
    const size_t bytes_max =
        room < KIRIM_DTLS_PSK_KEY_BYTES_MAX ? room : KIRIM_DTLS_PSK_KEY_BYTES_MAX;
    if (dtls->psk != NULL) {
        const size_t bytes = dtls->psk(conn->layer, identity, key, bytes_max, dtls->user);
        return bytes <= bytes_max ? (unsigned)bytes : 0;
    }
    if (dtls->psk_key_bytes == 0 || dtls->psk_key_bytes > bytes_max ||
        strcmp(identity, dtls->psk_identity) != 0) {
        return 0;
    }
    memcpy(key, dtls->psk_key, dtls->psk_key_bytes);
    return (unsigned)dtls->psk_key_bytes;
}

static unsigned show_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_room,
                         unsigned char *key, unsigned room)
{
    const struct kirim_dtls *const dtls = conn_of(ssl)->dtls;
    const size_t bytes = strlen(dtls->psk_identity) + 1;
    (void)hint;
    if (bytes > identity_room || dtls->psk_key_bytes > room) {
        return 0;
    }
    memcpy(identity, dtls->psk_identity, bytes);
    memcpy(key, dtls->psk_key, dtls->psk_key_bytes);
    return (unsigned)dtls->psk_key_bytes;
}

/* ---- ALPN ------------------------------------------------------------------------------------ */

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
                       const unsigned char *in, unsigned in_bytes, void *arg)
{
    const struct kirim_dtls *const dtls = arg;
    unsigned char *chosen = NULL;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_bytes, dtls->alpn, (unsigned)dtls->alpn_bytes, in,
                              in_bytes) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301, section 3.2 */
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static kirim_err set_alpn(struct kirim_dtls *dtls, const struct kirim_dtls_options *o)
{
    for (size_t i = 0; i < o->alpn_count; i++) {
        const size_t bytes = o->alpn[i] != NULL ? strlen(o->alpn[i]) : 0;
        if (bytes == 0 || bytes > ALPN_NAME_BYTES_MAX) {
            return KIRIM_EINVAL;
        }
        dtls->alpn_bytes += 1 + bytes;
    }
    if (dtls->alpn_bytes == 0) {
        return KIRIM_OK;
    }
    dtls->alpn = OPENSSL_malloc(dtls->alpn_bytes);
    if (dtls->alpn == NULL) {
        return KIRIM_ENOMEM;
    }
    unsigned char *to = dtls->alpn;
    for (size_t i = 0; i < o->alpn_count; i++) {
        const size_t bytes = strlen(o->alpn[i]);
        *to++ = (unsigned char)bytes;
        memcpy(to, o->alpn[i], bytes);
        to += bytes;
    }
    SSL_CTX_set_alpn_select_cb(dtls->ctx, choose_alpn, dtls);
    return SSL_CTX_set_alpn_protos(dtls->ctx, dtls->alpn, (unsigned)dtls->alpn_bytes) == 0
               ? KIRIM_OK
               : KIRIM_EINVAL;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int check_cookie(SSL *ssl, const unsigned char *cookie, unsigned cookie_bytes)
{
    (void)cookie;
    (void)cookie_bytes;
    return conn_of(ssl)->is_cookie_good; /* it was looked at before OpenSSL was asked */
}

static void note_alert(const SSL *ssl, int where, int value)
{
    struct ki_dtls_conn *const conn = conn_of(ssl);
    conn->alert_count += where == SSL_CB_READ_ALERT;
    if ((where & SSL_CB_ALERT) == SSL_CB_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY) {
        conn->failure.alert = (uint8_t)value;
    }
}

/* Of a record only AEAD adds so little as the layer's type says. */
static bool set_suites(SSL_CTX *ctx, const char *list)
{
    if (SSL_CTX_set_cipher_list(ctx, list) != 1) {
        return false;
    }
    STACK_OF(SSL_CIPHER) *const ciphers = SSL_CTX_get_ciphers(ctx);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        if (SSL_CIPHER_is_aead(sk_SSL_CIPHER_value(ciphers, i)) != 1) {
            return false;
        }
    }
    return true;
}

static void set_rules(SSL_CTX *ctx, const struct kirim_dtls_options *o)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 (o->is_without_tickets ? SSL_OP_NO_TICKET : 0));
    /* Sessions live in tickets: a server keeps none. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ctx, KI_DTLS_CERTIFICATES_BYTES_MAX);
    SSL_CTX_set_cert_verify_callback(ctx, verify_peer, NULL);
    SSL_CTX_set_cookie_verify_cb(ctx, check_cookie);
    SSL_CTX_set_info_callback(ctx, note_alert);
}

static bool set_keys(SSL_CTX *ctx, const struct kirim_dtls_options *o)
{
    if (o->psk_key.bytes != 0) {
        SSL_CTX_set_psk_client_callback(ctx, show_psk);
    }
    if (o->psk_key.bytes != 0 || o->psk != NULL) {
        SSL_CTX_set_psk_server_callback(ctx, find_psk);
    }
    return (o->certificate.bytes == 0 || (for_each_certificate(&o->certificate, ctx, take_own) &&
                                          use_key(ctx, &o->private_key))) &&
           (o->trusted.bytes == 0 || for_each_certificate(&o->trusted, ctx, take_trusted)) &&
           (!o->is_system_trusted || SSL_CTX_set_default_verify_paths(ctx) == 1) &&
           (o->psk_hint == NULL || SSL_CTX_use_psk_identity_hint(ctx, o->psk_hint) == 1) &&
           (o->ticket_key.bytes == 0 ||
            SSL_CTX_set_tlsext_ticket_keys(ctx, o->ticket_key.data, (int)o->ticket_key.bytes) == 1);
}

/* Who has a key and trusts nobody to issue certificates does not offer them: the peer would choose
 * one. */
static const char *choose_suites(const struct kirim_dtls *dtls, const struct kirim_dtls_options *o)
{
    if (o->ciphers != NULL) {
        return o->ciphers;
    }
    const bool has_certificates = o->certificate.bytes != 0 || dtls->has_trust ||
                                  o->verify_peer != NULL || o->verify == KIRIM_DTLS_VERIFY_NONE;
    const bool has_keys = o->psk_key.bytes != 0 || o->psk != NULL;
    return has_keys && !has_certificates ? SUITES_OF_KEYS
                                         : SUITES_OF_CERTIFICATES ":" SUITES_OF_KEYS;
}

/* What a peer is asked to show: whoever resumes shows it no more, so a session is for those who ask
 * the same, also where they share a key of tickets. A hook is known by its being there. */
static bool set_belief(struct kirim_dtls *dtls, const struct kirim_dtls_options *o)
{
    const uint8_t asked[] = { (uint8_t)o->verify, o->verify_peer != NULL, o->is_system_trusted,
                              o->psk_key.bytes != 0, o->psk != NULL };
    uint8_t input[sizeof dtls->belief + sizeof asked];
    const void *const trusted = o->trusted.bytes != 0 ? o->trusted.data : "";
    memcpy(input + sizeof dtls->belief, asked, sizeof asked);
    return EVP_Digest(trusted, o->trusted.bytes, input, NULL, EVP_sha256(), NULL) == 1 &&
           EVP_Digest(input, sizeof input, dtls->belief, NULL, EVP_sha256(), NULL) == 1 &&
           SSL_CTX_set_session_id_context(dtls->ctx, dtls->belief, sizeof dtls->belief) == 1;
}

kirim_err ki_dtls_configure(struct kirim_dtls *dtls, const struct kirim_dtls_options *o)
{
    SSL_CTX *const ctx = dtls->ctx;
    set_rules(ctx, o);
    dtls->has_trust = o->trusted.bytes != 0 || o->is_system_trusted;
    if (SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, DTLS1_2_VERSION) != 1 || !set_belief(dtls, o) ||
        !set_suites(ctx, choose_suites(dtls, o)) || !set_keys(ctx, o) ||
        (o->srtp_profiles != NULL && SSL_CTX_set_tlsext_use_srtp(ctx, o->srtp_profiles) != 0)) {
        return ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE ? KIRIM_ENOMEM
                                                                             : KIRIM_EINVAL;
    }
    return set_alpn(dtls, o);
}
