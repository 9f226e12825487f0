/* SPDX-License-Identifier: MIT
 *
 * Address validation tokens. On the wire:
 *
 *     0      1 in the upper half, the version; bit 0: bound to no port
 *     1      which key: a hash of the key, so that servers who share one agree
 *     2..5   when it was issued: seconds, big-endian, modulo 2^32
 *     6..    payload
 *     last 16: SipHash-2-4 of 128 bits over all before it, the peer, the length of the payload and
 *     the context
 *
 * Owns nothing but the keys. One thread at a time. Sources: see kirim/token.h.
 */
#include <kirim/token.h>

#include <string.h>

#include <kirim/secret.h>

#include "pack.h"

enum {
    VERSION = 0x10,
    ANY_PORT = 0x01,
    HEADER_BYTES = 6,
    LIFETIME_S_MAX = 1 << 30,
    PORT_AT = 20 /* in a packed address */
};

_Static_assert(HEADER_BYTES + KIRIM_SIPHASH_LONG_TAG_BYTES == KIRIM_TOKEN_OVERHEAD_BYTES,
               "the header and the tag");

static uint8_t name_key(const uint8_t key[KIRIM_SIPHASH_KEY_BYTES])
{
    static const char label[] = "kirim token key";
    return (uint8_t)kirim_siphash_number(key, label, sizeof label);
}

/* Seconds, modulo 2^32: ages are differences, and a lifetime is far shorter. */
static uint32_t to_seconds(uint64_t ns)
{
    return (uint32_t)(ns / UINT64_C(1000000000));
}

/* Each piece has a fixed length or says its own before it comes; the context goes to the end. */
static void compute_tag(const uint8_t key[KIRIM_SIPHASH_KEY_BYTES],
                        const struct kirim_token_claim *claim, const uint8_t header[HEADER_BYTES],
                        uint8_t tag[KIRIM_SIPHASH_LONG_TAG_BYTES])
{
    uint8_t fixed[HEADER_BYTES + KI_PACKED_ADDR_BYTES + 4];
    struct kirim_siphash hash;
    uint8_t *const peer = fixed + HEADER_BYTES;
    memcpy(fixed, header, HEADER_BYTES);
    ki_pack_addr(claim->peer, peer);
    if (claim->is_any_port) {
        peer[PORT_AT] = 0;
        peer[PORT_AT + 1] = 0;
    }
    ki_store_be32(peer + KI_PACKED_ADDR_BYTES, (uint32_t)claim->payload_bytes);
    kirim_siphash_begin(&hash, key, KIRIM_SIPHASH_LONG_TAG_BYTES);
    kirim_siphash_take(&hash, fixed, sizeof fixed);
    kirim_siphash_take(&hash, claim->payload, claim->payload_bytes);
    kirim_siphash_take(&hash, claim->context, claim->context_bytes);
    kirim_siphash_end(&hash, tag);
    kirim_secret_wipe(&hash, sizeof hash);
}

kirim_err kirim_token_keys_init(struct kirim_token_keys *keys,
                                const uint8_t key[KIRIM_SIPHASH_KEY_BYTES], uint32_t lifetime_s)
{
    if (lifetime_s == 0 || lifetime_s > LIFETIME_S_MAX) {
        return KIRIM_EINVAL;
    }
    memset(keys, 0, sizeof *keys);
    keys->lifetime_s = lifetime_s;
    memcpy(keys->ki_key[0], key, KIRIM_SIPHASH_KEY_BYTES);
    keys->ki_id[0] = name_key(key);
    keys->ki_count = 1;
    return KIRIM_OK;
}

void kirim_token_keys_rotate(struct kirim_token_keys *keys,
                             const uint8_t key[KIRIM_SIPHASH_KEY_BYTES])
{
    memcpy(keys->ki_key[1], keys->ki_key[0], KIRIM_SIPHASH_KEY_BYTES);
    keys->ki_id[1] = keys->ki_id[0];
    memcpy(keys->ki_key[0], key, KIRIM_SIPHASH_KEY_BYTES);
    keys->ki_id[0] = name_key(key);
    keys->ki_count = keys->ki_count == 0 ? 1 : 2;
}

void kirim_token_keys_fini(struct kirim_token_keys *keys)
{
    kirim_secret_wipe(keys, sizeof *keys);
}

kirim_err kirim_token_issue(const struct kirim_token_keys *keys,
                            const struct kirim_token_claim *claim, uint8_t *token,
                            size_t room_bytes)
{
    if (claim->peer == NULL || keys->ki_count == 0 ||
        claim->payload_bytes > KIRIM_TOKEN_PAYLOAD_BYTES_MAX) {
        return KIRIM_EINVAL;
    }
    if ((claim->payload == NULL && claim->payload_bytes > 0) ||
        (claim->context == NULL && claim->context_bytes > 0)) {
        return KIRIM_EFAULT;
    }
    if (room_bytes < KIRIM_TOKEN_BYTES(claim->payload_bytes)) {
        return KIRIM_EMSGSIZE;
    }
    token[0] = (uint8_t)(VERSION | (claim->is_any_port ? ANY_PORT : 0));
    token[1] = keys->ki_id[0];
    ki_store_be32(token + 2, to_seconds(claim->now_ns));
    if (claim->payload_bytes > 0) {
        memcpy(token + HEADER_BYTES, claim->payload, claim->payload_bytes);
    }
    compute_tag(keys->ki_key[0], claim, token, token + HEADER_BYTES + claim->payload_bytes);
    return KIRIM_OK;
}

/* Two keys of one name are rare and no mistake: then both are tried. */
static bool is_proven(const struct kirim_token_keys *keys, const struct kirim_token_claim *claim,
                      const uint8_t *token)
{
    const uint8_t *const said = token + HEADER_BYTES + claim->payload_bytes;
    uint8_t tag[KIRIM_SIPHASH_LONG_TAG_BYTES];
    bool is_good = false;
    for (unsigned i = 0; i < keys->ki_count && i < 2; i++) {
        if (keys->ki_id[i] == token[1]) {
            compute_tag(keys->ki_key[i], claim, token, tag);
            is_good |= kirim_secret_equal(tag, said, sizeof tag);
        }
    }
    kirim_secret_wipe(tag, sizeof tag);
    return is_good;
}

kirim_err kirim_token_check(const struct kirim_token_keys *keys, struct kirim_token_claim *claim,
                            const uint8_t *token, size_t token_bytes)
{
    if (claim->peer == NULL || token == NULL || token_bytes < KIRIM_TOKEN_OVERHEAD_BYTES ||
        token_bytes > KIRIM_TOKEN_BYTES(KIRIM_TOKEN_PAYLOAD_BYTES_MAX) ||
        token[0] != (VERSION | (claim->is_any_port ? ANY_PORT : 0)) ||
        (claim->context == NULL && claim->context_bytes > 0)) {
        return KIRIM_EINVAL;
    }
    struct kirim_token_claim read = *claim;
    read.payload = token + HEADER_BYTES;
    read.payload_bytes = token_bytes - KIRIM_TOKEN_OVERHEAD_BYTES;
    if (!is_proven(keys, &read, token)) {
        return KIRIM_EACCES;
    }
    const uint32_t age_s = to_seconds(claim->now_ns) - ki_load_be32(token + 2);
    const uint32_t ahead_s = 0U - age_s;
    const bool is_ahead = age_s > LIFETIME_S_MAX;
    if (is_ahead ? ahead_s > keys->skew_s : age_s > keys->lifetime_s) {
        return KIRIM_ETIMEDOUT;
    }
    read.age_s = is_ahead ? 0 : age_s;
    *claim = read;
    return KIRIM_OK;
}
