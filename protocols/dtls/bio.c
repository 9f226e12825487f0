/* SPDX-License-Identifier: MIT
 *
 * What OpenSSL reads from and writes to: one record of one association at a time, each read whole
 * or not at all, each write one datagram for the layer below. Owns nothing. Loop thread. Source:
 * BIO_meth_new(3).
 */
#include <openssl/bio.h>

#include "parts.h"

enum { OVERHEAD_IPV4_BYTES = 28, OVERHEAD_IPV6_BYTES = 48 };

static int bio_read(BIO *bio, char *out, int room)
{
    struct ki_dtls_conn *const conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (conn->rx == NULL || room < 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    const size_t bytes = conn->rx_bytes < (size_t)room ? conn->rx_bytes : (size_t)room;
    memcpy(out, conn->rx, bytes);
    conn->rx = NULL;
    return (int)bytes;
}

/* Always succeeds, as a network does: what the layer below did not take is lost, and sent again if
 * it belongs to a handshake. The sender of a message is told by `tx_err`. */
static int bio_write(BIO *bio, const char *data, int bytes)
{
    struct ki_dtls_conn *const conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (bytes <= 0 || conn->layer == NULL) {
        return bytes;
    }
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_buf buf = { (void *)(uintptr_t)data, (size_t)bytes };
    const struct kirim_msg msg = {
        .buf = &buf,
        .buf_count = 1,
        .control = ki_dtls_conn_control(conn, &control),
    };
    conn->tx_count++;
    const kirim_err err = kirim_layer_send(conn->layer, &msg);
    if (err < 0) {
        conn->tx_err = err;
        conn->dtls->stats.tx_lost += conn->state == KI_DTLS_HANDSHAKING;
    }
    return bytes;
}

/* long: OpenSSL's */
static long bio_ctrl(BIO *bio, int what, long number, void *pointer)
{
    const struct ki_dtls_conn *const conn = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    switch (what) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
        return kirim_addr_family(&conn->peer) == KIRIM_IPV6 ? OVERHEAD_IPV6_BYTES
                                                            : OVERHEAD_IPV4_BYTES;
    default:
        return 0;
    }
}

BIO_METHOD *ki_dtls_bio_method(void)
{
    /* The type needs no number of its own: nobody looks for it in a chain. */
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "kirim layer");
    if (method != NULL &&
        (BIO_meth_set_read(method, bio_read) != 1 || BIO_meth_set_write(method, bio_write) != 1 ||
         BIO_meth_set_ctrl(method, bio_ctrl) != 1)) {
        BIO_meth_free(method);
        method = NULL;
    }
    return method;
}

BIO *ki_dtls_bio_new(struct ki_dtls_conn *conn)
{
    BIO *bio = BIO_new(conn->dtls->bio);
    if (bio != NULL) {
        BIO_set_data(bio, conn);
        BIO_set_init(bio, 1);
    }
    return bio;
}
