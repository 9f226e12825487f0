/* SPDX-License-Identifier: MIT
 *
 * What the files of the DTLS layer share: contexts, associations, and layers.
 *
 * An association is one SSL of OpenSSL, with the timers of its handshake. A layer has one, and a
 * server's a second one while a peer whose association is alive begins anew: the old one stays
 * until the new one's handshake is done. Whoever holds an association frees it. OpenSSL's queue of
 * errors is empty before each call of its, and read right behind it. Loop thread.
 */
#ifndef KI_DTLS_PARTS_H
#define KI_DTLS_PARTS_H

#include <kirim/share.h>

#include <openssl/ssl.h>

#include "dtls.h"
#include "hello.h"

enum {
    KI_DTLS_BATCH_MAX = 64,                 /* records that are handed up together */
    KI_DTLS_AREA_BYTES = 64 * 1024,         /* where they lie */
    KI_DTLS_EARLY_MAX = 8,                  /* encrypted records that may wait for their keys */
    KI_DTLS_CERTIFICATES_BYTES_MAX = 32768, /* of a peer: the longest message of a handshake */
    KI_DTLS_NAME_BYTES = 256                /* of a host, with its NUL */
};

/* What the layer's `closed` will say besides. */
struct ki_dtls_failure {
    uint64_t code;
    uint8_t alert;
    char text[KIRIM_DTLS_FAILURE_TEXT_BYTES];
};

struct kirim_dtls {
    SSL_CTX *ctx;
    BIO_METHOD *bio;
    struct kirim_loop *loop;
    uint64_t references; /* the owner's, and one of each layer */
    struct kirim_dtls_stats stats;
    struct kirim_token_keys cookies;
    uint64_t cookies_rotated_ns;
    uint64_t handshake_ns;
    uint32_t half_open_count_max;
    uint32_t cookie_lifetime_s;
    uint16_t verify;
    kirim_dtls_verify_fn verify_peer;
    kirim_dtls_psk_fn psk;
    void *user;
    uint8_t psk_key[KIRIM_DTLS_PSK_KEY_BYTES_MAX];
    size_t psk_key_bytes;
    char psk_identity[KIRIM_DTLS_PSK_IDENTITY_BYTES_MAX + 1];
    unsigned char *alpn; /* as on the wire */
    size_t alpn_bytes;
    BIO_ADDR *nobody;                            /* where DTLSv1_listen() writes */
    uint8_t belief[32];                          /* digest of what peers are asked to show */
    bool has_trust;                              /* somebody is trusted to issue certificates */
    struct kirim_shares half_open;               /* servers' handshakes */
    struct ki_dtls_conn *handover;               /* established, for the session that is opened */
    uint8_t area[KI_DTLS_AREA_BYTES];            /* records on their way up */
    uint8_t gather[KIRIM_DTLS_RECORD_BYTES_MAX]; /* a message on its way down */
    struct kirim_datagram batch[KI_DTLS_BATCH_MAX];
};

enum ki_dtls_state {
    KI_DTLS_FRESH, /* a client that has not begun */
    KI_DTLS_HANDSHAKING,
    KI_DTLS_ESTABLISHED,
    KI_DTLS_ENDED /* closed, or it failed: nothing more is asked of OpenSSL but its memory */
};

struct ki_dtls_conn {
    struct kirim_dtls *dtls;
    struct kirim_layer *layer; /* whom it belongs to now */
    SSL *ssl;
    enum ki_dtls_state state;
    bool is_server;
    bool is_cookie_good;
    const uint8_t *rx; /* the record that OpenSSL may read */
    size_t rx_bytes;
    const struct kirim_control *tx_control; /* of the message that is being sent */
    kirim_err tx_err;                       /* what the layer below said of it */
    size_t record_bytes_max;                /* longest message that OpenSSL has room for */
    uint32_t early_count;
    uint32_t alert_count; /* received */
    uint32_t tx_count;    /* datagrams sent */
    struct kirim_timer retransmit, limit;
    struct kirim_share share; /* of a server's while it is half-open */
    bool is_half_open;
    int32_t verify_code;
    uint8_t random[KI_DTLS_RANDOM_BYTES]; /* of the peer's hello */
    struct kirim_addr peer;
    struct kirim_addr local; /* where its hello came to; none: not known */
    struct ki_dtls_failure failure;
};

/* State of a layer. */
struct ki_dtls_layer {
    struct kirim_dtls *dtls;
    struct ki_dtls_conn *live, *next;
    bool is_server;
    bool is_replaced; /* `next` is established, and takes over as soon as that can be */
    char host[KI_DTLS_NAME_BYTES];
};

/* ---- context.c ------------------------------------------------------------------------------- */

void ki_dtls_hold(struct kirim_dtls *dtls);

/* What to do about a hello: take it, since its cookie is good; answer it with `answer`; nothing. */
enum ki_dtls_verdict { KI_DTLS_REFUSE, KI_DTLS_ANSWER, KI_DTLS_TAKE };

enum ki_dtls_verdict ki_dtls_judge(struct kirim_dtls *dtls, const struct kirim_addr *peer,
                                   const struct ki_dtls_hello *hello,
                                   uint8_t answer[KI_DTLS_VERIFY_BYTES]);

/* ---- secrets.c: who is who, as OpenSSL asks for it ---------------------------------------------
 */

/* Sets certificates, keys, trust, names and callbacks. KIRIM_EINVAL, KIRIM_ENOMEM. */
kirim_err ki_dtls_configure(struct kirim_dtls *dtls, const struct kirim_dtls_options *options);

/* ---- bio.c ------------------------------------------------------------------------------------
 */

/* How OpenSSL reads and writes. NULL: out of memory. */
BIO_METHOD *ki_dtls_bio_method(void);

/* The BIO of an association. NULL: out of memory. */
BIO *ki_dtls_bio_new(struct ki_dtls_conn *conn);

/* ---- conn.c: associations -------------------------------------------------------------------- */

/* A new one of a layer. NULL: out of memory. */
struct ki_dtls_conn *ki_dtls_conn_new(struct kirim_dtls *dtls, struct kirim_layer *layer,
                                      bool is_server);
void ki_dtls_conn_free(struct ki_dtls_conn *conn);

/* Stops it, and counts why; it can still be asked, and has to be freed. */
void ki_dtls_conn_end(struct ki_dtls_conn *conn, kirim_err why);

/* Begins a client's handshake, or a server's with the hello that brought a good cookie. */
void ki_dtls_conn_begin(struct ki_dtls_conn *conn, const struct ki_dtls_record *hello);

/* Gives a record to an association: a handshake goes on with it, else it is to be read. False: it
 * is none that the peer can have sent, or one too many. */
bool ki_dtls_conn_feed(struct ki_dtls_conn *conn, const struct ki_dtls_record *record);

/* What OpenSSL has to hand up: bytes at `out`, of which `room` are enough for any record. 0:
 * nothing more, or the state has changed. */
size_t ki_dtls_conn_read(struct ki_dtls_conn *conn, uint8_t *out, size_t room);

/* Sends one record. */
kirim_err ki_dtls_conn_write(struct ki_dtls_conn *conn, const void *data, size_t bytes,
                             const struct kirim_control *control);

/* Sends close_notify. */
void ki_dtls_conn_say_end(struct ki_dtls_conn *conn);

/* Control data for what is sent: that of the message, and where it leaves from. */
const struct kirim_control *ki_dtls_conn_control(const struct ki_dtls_conn *conn,
                                                 struct kirim_control *room);

/* Tells OpenSSL how long datagrams may be. */
void ki_dtls_conn_resize(struct ki_dtls_conn *conn);

/* ---- dtls.c: the layer ------------------------------------------------------------------------
 */

/* A handshake is done. */
void ki_dtls_done(struct ki_dtls_conn *conn);

/* An association has to end. It is freed later: by ki_dtls_reap(), or with its layer. */
void ki_dtls_ended(struct ki_dtls_conn *conn, kirim_err why);

/* Frees what has ended and was not the layer's live association. Last in a call. */
void ki_dtls_reap(struct kirim_layer *layer);

/* ---- questions.c ------------------------------------------------------------------------------
 */

/* Lets a client resume a session, if it is one of the same host. */
void ki_dtls_resume(struct ki_dtls_conn *conn, const char *host, const struct kirim_buf *session);

#endif
