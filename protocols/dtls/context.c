/* SPDX-License-Identifier: MIT
 *
 * Contexts: what associations share. Memory is OpenSSL's, so that a context may outlive its loop,
 * which it asks for random bytes only while layers are there. Loop thread; see dtls.h.
 */
#include <string.h>

#include <kirim/loop.h>
#include <kirim/secret.h>

#include <openssl/err.h>

#include "parts.h"

enum { HALF_OPEN_COUNT = 1024, COOKIE_LIFETIME_S = 30, COOKIE_LIFETIME_S_MAX = 86400 };

static const uint64_t NS_PER_SECOND = 1000000000;
static const uint64_t HANDSHAKE_SECONDS = 30;
static const uint64_t COOKIE_KEY_SECONDS = 3600; /* a key of cookies is old then */

/* ---- cookies --------------------------------------------------------------------------------- */

/* The keys of cookies, a fresh one if the present one is old. */
static kirim_err refresh_cookies(struct kirim_dtls *dtls, uint64_t now_ns)
{
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES];
    const uint64_t lifetime_ns = dtls->cookie_lifetime_s * NS_PER_SECOND;
    const uint64_t shortest_ns = COOKIE_KEY_SECONDS * NS_PER_SECOND;
    if (now_ns - dtls->cookies_rotated_ns <
        (lifetime_ns > shortest_ns ? lifetime_ns : shortest_ns)) {
        return KIRIM_OK;
    }
    const kirim_err err = kirim_loop_random(dtls->loop, key, sizeof key);
    if (err == KIRIM_OK) {
        kirim_token_keys_rotate(&dtls->cookies, key);
        dtls->cookies_rotated_ns = now_ns;
    }
    kirim_secret_wipe(key, sizeof key);
    return err;
}

static kirim_err begin_keys(struct kirim_dtls *dtls)
{
    uint8_t key[2][KIRIM_SIPHASH_KEY_BYTES];
    kirim_err err = kirim_loop_random(dtls->loop, key, sizeof key);
    if (err == KIRIM_OK) {
        err = kirim_token_keys_init(&dtls->cookies, key[0], dtls->cookie_lifetime_s);
        dtls->cookies_rotated_ns = kirim_loop_now(dtls->loop);
        kirim_shares_init(&dtls->half_open, key[1]);
    }
    kirim_secret_wipe(key, sizeof key);
    return err;
}

/* ---- contexts -------------------------------------------------------------------------------- */

static void release(struct kirim_dtls *dtls)
{
    if (--dtls->references == 0) {
        SSL_CTX_free(dtls->ctx);
        BIO_meth_free(dtls->bio);
        BIO_ADDR_free(dtls->nobody);
        OPENSSL_free(dtls->alpn);
        OPENSSL_clear_free(dtls, sizeof *dtls);
    }
}

void ki_dtls_hold(struct kirim_dtls *dtls)
{
    dtls->references++;
}

void kirim_dtls_close(struct kirim_dtls *dtls)
{
    if (dtls != NULL) {
        release(dtls);
    }
}

static bool is_valid(const struct kirim_dtls_options *o)
{
    return o->verify <= KIRIM_DTLS_VERIFY_REQUIRE && o->ki_reserved == 0 &&
           o->cookie_lifetime_s <= COOKIE_LIFETIME_S_MAX &&
           (o->alpn != NULL || o->alpn_count == 0) &&
           o->psk_key.bytes <= KIRIM_DTLS_PSK_KEY_BYTES_MAX &&
           (o->psk_key.bytes == 0) == (o->psk_identity == NULL) &&
           (o->psk_identity == NULL ||
            strlen(o->psk_identity) <= KIRIM_DTLS_PSK_IDENTITY_BYTES_MAX) &&
           (o->ticket_key.bytes == 0 || o->ticket_key.bytes == KIRIM_DTLS_TICKET_KEY_BYTES) &&
           o->certificate.bytes <= INT32_MAX && o->private_key.bytes <= INT32_MAX &&
           o->trusted.bytes <= INT32_MAX &&
           (o->certificate.bytes == 0) == (o->private_key.bytes == 0);
}

static void fill(struct kirim_dtls *dtls, struct kirim_loop *loop,
                 const struct kirim_dtls_options *o)
{
    dtls->references = 1;
    dtls->loop = loop;
    dtls->handshake_ns = o->handshake_ns != 0 ? o->handshake_ns : HANDSHAKE_SECONDS * NS_PER_SECOND;
    dtls->half_open_count_max =
        o->half_open_count_max != 0 ? o->half_open_count_max : HALF_OPEN_COUNT;
    dtls->cookie_lifetime_s = o->cookie_lifetime_s != 0 ? o->cookie_lifetime_s : COOKIE_LIFETIME_S;
    dtls->verify = o->verify;
    dtls->verify_peer = o->verify_peer;
    dtls->psk = o->psk;
    dtls->user = o->user;
    if (o->psk_key.bytes != 0) {
        memcpy(dtls->psk_key, o->psk_key.data, o->psk_key.bytes);
        dtls->psk_key_bytes = o->psk_key.bytes;
        memcpy(dtls->psk_identity, o->psk_identity, strlen(o->psk_identity) + 1);
    }
}

kirim_err kirim_dtls_open(struct kirim_loop *loop, const struct kirim_dtls_options *options,
                          struct kirim_dtls **out)
{
    if (loop == NULL || options == NULL || out == NULL || options->size != sizeof *options ||
        !is_valid(options)) {
        return KIRIM_EINVAL;
    }
    struct kirim_dtls *dtls = OPENSSL_zalloc(sizeof *dtls);
    if (dtls == NULL) {
        return KIRIM_ENOMEM;
    }
    fill(dtls, loop, options);
    ERR_clear_error();
    dtls->ctx = SSL_CTX_new(DTLS_method());
    dtls->bio = ki_dtls_bio_method();
    dtls->nobody = BIO_ADDR_new();
    kirim_err err = KIRIM_ENOMEM;
    if (dtls->ctx != NULL && dtls->bio != NULL && dtls->nobody != NULL) {
        err = begin_keys(dtls);
    }
    if (err == KIRIM_OK) {
        err = ki_dtls_configure(dtls, options);
    }
    ERR_clear_error();
    if (err < 0) {
        release(dtls);
        return err;
    }
    *out = dtls;
    return KIRIM_OK;
}

kirim_err kirim_dtls_read_stats(const struct kirim_dtls *dtls, struct kirim_dtls_stats *out)
{
    if (dtls == NULL || out == NULL || out->size != sizeof *out) {
        return KIRIM_EINVAL;
    }
    *out = dtls->stats;
    out->size = sizeof *out;
    return KIRIM_OK;
}

/* ---- admission ------------------------------------------------------------------------------- */

kirim_err kirim_dtls_admit(struct kirim_dtls *dtls, struct kirim_sessions *set,
                           const struct kirim_datagram *datagram, struct kirim_admission *out)
{
    struct ki_dtls_hello hello;
    uint8_t answer[KI_DTLS_VERIFY_BYTES];
    if (dtls == NULL || set == NULL || datagram == NULL || out == NULL) {
        return KIRIM_EINVAL;
    }
    if (!ki_dtls_hello_find(datagram->data, datagram->bytes, &hello)) {
        dtls->stats.hellos_dropped++;
        return KIRIM_EINVAL;
    }
    switch (ki_dtls_judge(dtls, &datagram->peer, &hello, answer)) {
    case KI_DTLS_TAKE:
        out->is_validated = 1;
        return KIRIM_OK;
    case KI_DTLS_ANSWER:
        (void)kirim_sessions_answer(set, datagram, answer, sizeof answer);
        return KIRIM_EACCES;
    default:
        return KIRIM_EACCES;
    }
}

enum ki_dtls_verdict ki_dtls_judge(struct kirim_dtls *dtls, const struct kirim_addr *peer,
                                   const struct ki_dtls_hello *hello,
                                   uint8_t answer[KI_DTLS_VERIFY_BYTES])
{
    const uint64_t now_ns = kirim_loop_now(dtls->loop);
    const kirim_err err = ki_dtls_cookie_check(&dtls->cookies, peer, now_ns, hello);
    /* The number says that it came behind a HelloVerifyRequest; the engine goes on from there. */
    if (err == KIRIM_OK && hello->message == 1) {
        return KI_DTLS_TAKE;
    }
    dtls->stats.cookies_refused += err != KIRIM_ENOENT;
    if (refresh_cookies(dtls, now_ns) < 0 ||
        ki_dtls_verify_write(&dtls->cookies, peer, now_ns, hello, answer) < 0) {
        return KI_DTLS_REFUSE;
    }
    dtls->stats.cookies_sent++;
    return KI_DTLS_ANSWER;
}
