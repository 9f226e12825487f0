/* SPDX-License-Identifier: MIT
 *
 * What is read of DTLS before its engine is asked: records, and the ClientHello that asks for an
 * association, so that a server answers it without keeping anything.
 *
 * Pure: bytes in, bytes out. Whatever is not exactly as it should be is no record and no hello; the
 * engine sees nothing of it. Owns nothing; what it finds lies in the caller's bytes. Any thread.
 * Sources: RFC 6347 sections 4.1, 4.2.1, 4.2.2, 4.3.
 */
#ifndef KI_DTLS_HELLO_H
#define KI_DTLS_HELLO_H

#include <kirim/token.h>

/* Of the wire. */
enum {
    KI_DTLS_CHANGE_CIPHER_SPEC = 20,
    KI_DTLS_ALERT = 21,
    KI_DTLS_HANDSHAKE = 22,
    KI_DTLS_APPLICATION_DATA = 23,
    KI_DTLS_RECORD_HEADER_BYTES = 13,
    KI_DTLS_MESSAGE_HEADER_BYTES = 12,
    KI_DTLS_RANDOM_BYTES = 32,
    KI_DTLS_COOKIE_BYTES_MAX = 255,
    KI_DTLS_COOKIE_BYTES = KIRIM_TOKEN_BYTES(0), /* of ours */
    /* Of a HelloVerifyRequest with a cookie of ours. */
    KI_DTLS_VERIFY_BYTES =
        KI_DTLS_RECORD_HEADER_BYTES + KI_DTLS_MESSAGE_HEADER_BYTES + 3 + KI_DTLS_COOKIE_BYTES
};

/* A record of a datagram. */
struct ki_dtls_record {
    const uint8_t *data; /* with its header */
    size_t bytes;
    const uint8_t *body;
    size_t body_bytes;
    uint16_t epoch; /* 0: in the clear */
    uint8_t type;
};

/* A ClientHello that came whole, in one record. */
struct ki_dtls_hello {
    const uint8_t *sequence; /* of the record: epoch and number, 8 bytes */
    const uint8_t *random;   /* KI_DTLS_RANDOM_BYTES */
    const uint8_t *cookie;
    size_t cookie_bytes;   /* 0: none yet */
    const uint8_t *prefix; /* what it says before the cookie, and again with it */
    size_t prefix_bytes;   /* version, random, session id */
    uint16_t message;      /* its number: 0, and 1 behind a HelloVerifyRequest */
};

/*
 * Takes the next record off a datagram. False: what is there is none of DTLS 1.2, or in the clear
 * and not what may be sent so (a handshake message or a fragment of one, an alert, a change of
 * keys). Then nothing behind it is one either.
 */
bool ki_dtls_record_take(const uint8_t **data, size_t *bytes, struct ki_dtls_record *out);

/* Whether a record in the clear brings a ClientHello, or a fragment of one. */
bool ki_dtls_record_is_hello(const struct ki_dtls_record *record);

/* Reads a ClientHello; false if it is none, or came in fragments, or is not sound up to its
 * extensions. */
bool ki_dtls_hello_read(const struct ki_dtls_record *record, struct ki_dtls_hello *out);

/* The same of the first record of a datagram. */
bool ki_dtls_hello_find(const uint8_t *data, size_t bytes, struct ki_dtls_hello *out);

/* Whether the cookie of a hello is one that was issued for it; as kirim_token_check(), and
 * KIRIM_ENOENT: it has none. */
kirim_err ki_dtls_cookie_check(const struct kirim_token_keys *keys, const struct kirim_addr *peer,
                               uint64_t now_ns, const struct ki_dtls_hello *hello);

/* Writes a HelloVerifyRequest with a cookie for a hello: KI_DTLS_VERIFY_BYTES, fewer than any hello
 * has. As kirim_token_issue(). */
kirim_err ki_dtls_verify_write(const struct kirim_token_keys *keys, const struct kirim_addr *peer,
                               uint64_t now_ns, const struct ki_dtls_hello *hello,
                               uint8_t out[KI_DTLS_VERIFY_BYTES]);

#endif
