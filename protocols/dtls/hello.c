/* SPDX-License-Identifier: MIT
 *
 * Records and ClientHellos, see hello.h. On the wire, lengths and numbers big-endian:
 *
 *     record      type 1, version 2, epoch 2, sequence 6, length 2, body
 *     message     type 1, length 3, number 2, offset of the fragment 3, length of the fragment 3
 *     ClientHello version 2, random 32, then with a length in front of each: session id (1), cookie
 *                 (1), cipher suites (2), compression methods (1), extensions (2, may be missing)
 */
#include "hello.h"

#include <string.h>

enum {
    VERSION_1_0 = 0xfeff,
    VERSION_1_2 = 0xfefd,
    CLIENT_HELLO = 1,
    HELLO_VERIFY_REQUEST = 3,
    BODY_BYTES_MAX = 16384 + 2048, /* RFC 5246, section 6.2.3 */
    SESSION_ID_BYTES_MAX = 32,
    ALERT_BYTES = 2,
    ALERT_WARNING = 1,
    ALERT_FATAL = 2
};

static uint16_t get16(const uint8_t *data)
{
    return (uint16_t)(data[0] << 8 | data[1]);
}

static uint32_t get24(const uint8_t *data)
{
    return (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | (uint32_t)data[2];
}

static uint8_t *put16(uint8_t *to, size_t number)
{
    to[0] = (uint8_t)(number >> 8);
    to[1] = (uint8_t)number;
    return to + 2;
}

static uint8_t *put24(uint8_t *to, size_t number)
{
    to[0] = (uint8_t)(number >> 16);
    return put16(to + 1, number);
}

/* ---- records --------------------------------------------------------------------------------- */

/* A fragment of a message that lies within it. */
static bool is_fragment(const struct ki_dtls_record *r)
{
    if (r->body_bytes < KI_DTLS_MESSAGE_HEADER_BYTES) {
        return false;
    }
    const uint32_t length = get24(r->body + 1);
    const uint32_t offset = get24(r->body + 6);
    const uint32_t fragment_bytes = get24(r->body + 9);
    return fragment_bytes <= r->body_bytes - KI_DTLS_MESSAGE_HEADER_BYTES && offset <= length &&
           fragment_bytes <= length - offset;
}

/* What may be said before there are keys. Anybody can forge it; what is unsound is. */
static bool is_sound_in_clear(const struct ki_dtls_record *r)
{
    switch (r->type) {
    case KI_DTLS_HANDSHAKE:
        return is_fragment(r);
    case KI_DTLS_ALERT:
        return r->body_bytes == ALERT_BYTES &&
               (r->body[0] == ALERT_WARNING || r->body[0] == ALERT_FATAL);
    case KI_DTLS_CHANGE_CIPHER_SPEC:
        return r->body_bytes == 1 && r->body[0] == 1;
    default:
        return false;
    }
}

bool ki_dtls_record_take(const uint8_t **data, size_t *bytes, struct ki_dtls_record *out)
{
    const uint8_t *const p = *data;
    if (*bytes < KI_DTLS_RECORD_HEADER_BYTES) {
        return false;
    }
    const uint16_t version = get16(p + 1);
    const size_t body_bytes = get16(p + 11);
    const struct ki_dtls_record r = {
        .data = p,
        .bytes = KI_DTLS_RECORD_HEADER_BYTES + body_bytes,
        .body = p + KI_DTLS_RECORD_HEADER_BYTES,
        .body_bytes = body_bytes,
        .epoch = get16(p + 3),
        .type = p[0],
    };
    if (r.bytes > *bytes || body_bytes > BODY_BYTES_MAX || r.type < KI_DTLS_CHANGE_CIPHER_SPEC ||
        r.type > KI_DTLS_APPLICATION_DATA) {
        return false;
    }
    /* A first hello says 1.0 of its record for the sake of old servers, and so do the answers. */
    if (version != VERSION_1_2 && (version != VERSION_1_0 || r.epoch != 0)) {
        return false;
    }
    if (r.epoch == 0 && !is_sound_in_clear(&r)) {
        return false;
    }
    *data += r.bytes;
    *bytes -= r.bytes;
    *out = r;
    return true;
}

bool ki_dtls_record_is_hello(const struct ki_dtls_record *record)
{
    return record->epoch == 0 && record->type == KI_DTLS_HANDSHAKE &&
           record->body[0] == CLIENT_HELLO;
}

/* ---- hellos ---------------------------------------------------------------------------------- */

/* Takes bytes that have their length in front of them, in one byte or in two. */
static bool take_sized(const uint8_t **data, size_t *bytes, size_t length_bytes,
                       const uint8_t **out, size_t *out_bytes)
{
    if (*bytes < length_bytes) {
        return false;
    }
    const size_t length = length_bytes == 1 ? **data : get16(*data);
    if (length > *bytes - length_bytes) {
        return false;
    }
    *out = *data + length_bytes;
    *out_bytes = length;
    *data += length_bytes + length;
    *bytes -= length_bytes + length;
    return true;
}

bool ki_dtls_hello_read(const struct ki_dtls_record *record, struct ki_dtls_hello *out)
{
    enum { FIXED_BYTES = 2 + KI_DTLS_RANDOM_BYTES };
    const uint8_t *const message = record->body;
    if (!ki_dtls_record_is_hello(record)) {
        return false;
    }
    const uint8_t *p = message + KI_DTLS_MESSAGE_HEADER_BYTES;
    size_t bytes = get24(message + 1);
    /* All of it, and nothing but it: one that comes in fragments would have to be kept. */
    if (get24(message + 6) != 0 || get24(message + 9) != bytes ||
        record->body_bytes != KI_DTLS_MESSAGE_HEADER_BYTES + bytes || bytes < FIXED_BYTES) {
        return false;
    }
    struct ki_dtls_hello h = {
        .sequence = record->data + 3,
        .random = p + 2,
        .prefix = p,
        .message = get16(message + 4),
    };
    const uint8_t *part;
    size_t part_bytes;
    p += FIXED_BYTES;
    bytes -= FIXED_BYTES;
    if (!take_sized(&p, &bytes, 1, &part, &part_bytes) || part_bytes > SESSION_ID_BYTES_MAX) {
        return false;
    }
    h.prefix_bytes = (size_t)(p - h.prefix);
    if (!take_sized(&p, &bytes, 1, &h.cookie, &h.cookie_bytes) ||
        !take_sized(&p, &bytes, 2, &part, &part_bytes) || part_bytes < 2 || part_bytes % 2 != 0 ||
        !take_sized(&p, &bytes, 1, &part, &part_bytes) || part_bytes < 1) {
        return false;
    }
    if (bytes != 0 && (!take_sized(&p, &bytes, 2, &part, &part_bytes) || bytes != 0)) {
        return false;
    }
    *out = h;
    return true;
}

bool ki_dtls_hello_find(const uint8_t *data, size_t bytes, struct ki_dtls_hello *out)
{
    struct ki_dtls_record record;
    return ki_dtls_record_take(&data, &bytes, &record) && ki_dtls_hello_read(&record, out);
}

/* ---- cookies --------------------------------------------------------------------------------- */

static struct kirim_token_claim claim_of(const struct kirim_addr *peer, uint64_t now_ns,
                                         const struct ki_dtls_hello *hello)
{
    return (struct kirim_token_claim){
        .peer = peer,
        .now_ns = now_ns,
        .context = hello->prefix,
        .context_bytes = hello->prefix_bytes,
    };
}

kirim_err ki_dtls_cookie_check(const struct kirim_token_keys *keys, const struct kirim_addr *peer,
                               uint64_t now_ns, const struct ki_dtls_hello *hello)
{
    struct kirim_token_claim claim = claim_of(peer, now_ns, hello);
    if (hello->cookie_bytes == 0) {
        return KIRIM_ENOENT;
    }
    return hello->cookie_bytes == KI_DTLS_COOKIE_BYTES
               ? kirim_token_check(keys, &claim, hello->cookie, hello->cookie_bytes)
               : KIRIM_EINVAL;
}

kirim_err ki_dtls_verify_write(const struct kirim_token_keys *keys, const struct kirim_addr *peer,
                               uint64_t now_ns, const struct ki_dtls_hello *hello,
                               uint8_t out[KI_DTLS_VERIFY_BYTES])
{
    enum { BODY_BYTES = 3 + KI_DTLS_COOKIE_BYTES };
    const struct kirim_token_claim claim = claim_of(peer, now_ns, hello);
    uint8_t *p = out;
    *p++ = KI_DTLS_HANDSHAKE;
    p = put16(p, VERSION_1_0);     /* whatever the version will be (RFC 6347, section 4.2.1) */
    memcpy(p, hello->sequence, 8); /* the same section: that of the hello, so none is counted */
    p = put16(p + 8, KI_DTLS_MESSAGE_HEADER_BYTES + BODY_BYTES);
    *p++ = HELLO_VERIFY_REQUEST;
    p = put24(p, BODY_BYTES);
    p = put16(p, 0); /* its number: the first message of this side */
    p = put24(p, 0);
    p = put24(p, BODY_BYTES);
    p = put16(p, VERSION_1_0);
    *p++ = KI_DTLS_COOKIE_BYTES;
    return kirim_token_issue(keys, &claim, p, KI_DTLS_COOKIE_BYTES);
}
