/* SPDX-License-Identifier: MIT
 *
 * Claims about what can be asked of an association: of a layer of another kind nothing, and that
 * nothing is compressed.
 */
#include <openssl/ssl.h>

#include "kit.h"

enum {
    SERVER_HELLO = 2,
    RECORD_BYTES = 13,
    HANDSHAKE_BYTES = 12,
    RANDOM_AT = 2,
    RANDOM_BYTES = 32
};

/* A tap is no association; nor is no layer at all. */
START_TEST(layer_of_another_type_is_not_asked)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = kit_connect(w);
    struct kirim_dtls_info info = KIRIM_DTLS_INFO_INIT;
    struct kirim_layer *const others[] = { NULL, c->tap, c->top };
    uint8_t room[64];
    size_t bytes = 1;
    kit_run(w, SECOND);
    ck_assert(kirim_layer_kind(c->dtls) == kirim_dtls_layer_type());
    ck_assert_int_eq(kirim_dtls_read_info(c->dtls, &info), KIRIM_OK);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct kirim_layer *const other = others[i];
        ck_assert_int_eq(kirim_dtls_read_info(other, &info), KIRIM_EINVAL);
        ck_assert_int_eq(kirim_dtls_export(other, "label", NULL, room, 16), KIRIM_EINVAL);
        ck_assert_int_eq(kirim_dtls_peer_certificate(other, room, sizeof room, &bytes),
                         KIRIM_ENOTCONN);
        ck_assert_int_eq(kirim_dtls_session(other, room, sizeof room, &bytes), KIRIM_ENOTCONN);
        ck_assert_ptr_null(kirim_dtls_alpn(other, &bytes));
        ck_assert_uint_eq(bytes, 0);
        ck_assert_ptr_null(kirim_dtls_ssl(other));
    }
    kit_close(w);
}
END_TEST

/* The compression method of the ServerHello that a client got; -1: it got none. */
static int compression_of(const struct kit_client *c)
{
    const struct kit_kept *kept;
    for (size_t n = 0; (kept = kit_kept(c, false, n)) != NULL; n++) {
        const uint8_t *const message = kept->data + RECORD_BYTES;
        const uint8_t *const session = message + HANDSHAKE_BYTES + RANDOM_AT + RANDOM_BYTES;
        if (kept->data[0] == 22 && message[0] == SERVER_HELLO) {
            return session[1 + session[0] + 2]; /* behind the session's id and the suite */
        }
    }
    return -1;
}

/* RFC 9325 section 3.3. */
START_TEST(nothing_is_compressed)
{
    struct kit_world *const w = kit_open_plain();
    const struct kit_client *const c = kit_connect(w);
    kit_run(w, SECOND);
    struct kirim_layer *const ends[] = { c->dtls, w->last_dtls };
    ck_assert_int_eq(compression_of(c), 0);
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        SSL *const ssl = kirim_dtls_ssl(ends[i]);
        ck_assert_ptr_nonnull(ssl);
        ck_assert_ptr_null(SSL_get_current_compression(ssl));
        ck_assert_ptr_null(SSL_get_current_expansion(ssl));
        ck_assert((SSL_get_options(ssl) & SSL_OP_NO_COMPRESSION) != 0);
    }
    kit_close(w);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { layer_of_another_type_is_not_asked, 0 },
        { nothing_is_compressed, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dtls questions", claims);
}
