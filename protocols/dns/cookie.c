/* SPDX-License-Identifier: MIT
 *
 * DNS cookies: see cookie.h.
 *
 *     0     client's part
 *     8     version 1, and three reserved bytes, which count in the hash as they are
 *     12    seconds since 1970, big-endian
 *     16    SipHash-2-4 over what stands before it and the client's address, 4 or 16 bytes
 */
#include "cookie.h"

#include <kirim/secret.h>
#include <string.h>

#include "wire.h"

enum { VERSION = 1, VERSION_AT = 8, TIME_AT = 12, HASH_AT = 16, HASH_BYTES = 8, ADDR_BYTES = 16 };

kirim_err kirim_dns_cookie_keys_add(struct kirim_dns_cookie_keys *keys,
                                    const uint8_t key[KIRIM_SIPHASH_KEY_BYTES])
{
    if (keys->count == KIRIM_DNS_COOKIE_KEY_COUNT_MAX) {
        return KIRIM_DNS_EFULL;
    }
    memcpy(keys->key[keys->count++], key, KIRIM_SIPHASH_KEY_BYTES);
    return KIRIM_OK;
}

void kirim_dns_cookie_keys_rotate(struct kirim_dns_cookie_keys *keys,
                                  const uint8_t key[KIRIM_SIPHASH_KEY_BYTES])
{
    memcpy(keys->key[1], keys->key[0], KIRIM_SIPHASH_KEY_BYTES);
    memcpy(keys->key[0], key, KIRIM_SIPHASH_KEY_BYTES);
    keys->count = keys->count > 0 ? 2 : 1;
}

static void hash_cookie(const uint8_t key[KIRIM_SIPHASH_KEY_BYTES], const struct kirim_addr *peer,
                        const uint8_t *cookie, uint8_t out[HASH_BYTES])
{
    uint8_t input[HASH_AT + ADDR_BYTES];
    uint8_t addr[ADDR_BYTES];
    const size_t addr_bytes = kirim_addr_bytes(peer, addr);
    memcpy(input, cookie, HASH_AT);
    memcpy(input + HASH_AT, addr, ADDR_BYTES);
    const uint64_t hash = kirim_siphash_number(key, input, HASH_AT + addr_bytes);
    for (size_t i = 0; i < HASH_BYTES; i++) {
        out[i] = (uint8_t)(hash >> (8 * i));
    }
}

void kirim_dns_cookie_make(const struct kirim_dns_cookie_keys *keys,
                           const struct kirim_dns_cookie_claim *claim,
                           const uint8_t client[KIRIM_DNS_CLIENT_COOKIE_BYTES],
                           uint8_t out[KIRIM_DNS_COOKIE_BYTES])
{
    memmove(out, client, KIRIM_DNS_CLIENT_COOKIE_BYTES);
    ki_dns_put32(out + VERSION_AT, (uint32_t)VERSION << 24);
    ki_dns_put32(out + TIME_AT, claim->now_s);
    hash_cookie(keys->key[0], claim->peer, out, out + HASH_AT);
}

/* The index of the key that made a cookie, or the count of keys. */
static uint32_t find_key(const struct kirim_dns_cookie_keys *keys,
                         const struct kirim_dns_cookie_claim *claim, const uint8_t *cookie)
{
    for (uint32_t i = 0; i < keys->count; i++) {
        uint8_t hash[HASH_BYTES];
        hash_cookie(keys->key[i], claim->peer, cookie, hash);
        if (kirim_secret_equal(hash, cookie + HASH_AT, HASH_BYTES)) {
            return i;
        }
    }
    return keys->count;
}

int kirim_dns_cookie_judge(const struct kirim_dns_cookie_keys *keys,
                           const struct kirim_dns_cookie_claim *claim, const uint8_t *data,
                           size_t bytes)
{
    if (bytes == KIRIM_DNS_CLIENT_COOKIE_BYTES) {
        return KIRIM_DNS_COOKIE_CLIENT;
    }
    if (bytes < KIRIM_DNS_CLIENT_COOKIE_BYTES + KIRIM_DNS_SERVER_COOKIE_MIN ||
        bytes > KIRIM_DNS_COOKIE_BYTES_MAX) {
        return KIRIM_DNS_COOKIE_MALFORMED;
    }
    if (bytes != KIRIM_DNS_COOKIE_BYTES || data[VERSION_AT] != VERSION) {
        return KIRIM_DNS_COOKIE_BAD;
    }
    /* Times are serial numbers (RFC 1982): the difference counts, not which one is larger. */
    const uint32_t age_s = claim->now_s - ki_dns_get32(data + TIME_AT);
    const uint32_t ahead_s = 0 - age_s;
    const bool is_ahead = age_s > UINT32_MAX / 2;
    if (is_ahead ? ahead_s > KIRIM_DNS_COOKIE_AHEAD_MAX_S : age_s > KIRIM_DNS_COOKIE_AGE_MAX_S) {
        return KIRIM_DNS_COOKIE_BAD;
    }
    const uint32_t index = find_key(keys, claim, data);
    if (index == keys->count) {
        return KIRIM_DNS_COOKIE_BAD;
    }
    const bool is_mine = index == 0 && (ki_dns_get32(data + VERSION_AT) & 0xffffffU) == 0;
    const bool is_fresh = is_mine && (is_ahead || age_s <= KIRIM_DNS_COOKIE_RENEWAL_S);
    return is_fresh ? KIRIM_DNS_COOKIE_GOOD : KIRIM_DNS_COOKIE_OLD;
}

size_t kirim_dns_cookie_jar_write(const struct kirim_dns_cookie_jar *jar,
                                  uint8_t out[KIRIM_DNS_COOKIE_BYTES_MAX])
{
    memcpy(out, jar->client, KIRIM_DNS_CLIENT_COOKIE_BYTES);
    memcpy(out + KIRIM_DNS_CLIENT_COOKIE_BYTES, jar->server, jar->server_bytes);
    return (size_t)KIRIM_DNS_CLIENT_COOKIE_BYTES + jar->server_bytes;
}

bool kirim_dns_cookie_jar_take(struct kirim_dns_cookie_jar *jar, const uint8_t *data, size_t bytes)
{
    const bool is_echo = bytes == KIRIM_DNS_CLIENT_COOKIE_BYTES; /* of a server without cookies */
    if ((bytes < KIRIM_DNS_CLIENT_COOKIE_BYTES + KIRIM_DNS_SERVER_COOKIE_MIN && !is_echo) ||
        bytes > KIRIM_DNS_COOKIE_BYTES_MAX ||
        !kirim_secret_equal(data, jar->client, KIRIM_DNS_CLIENT_COOKIE_BYTES)) {
        return false;
    }
    jar->server_bytes = (uint8_t)(bytes - KIRIM_DNS_CLIENT_COOKIE_BYTES);
    memcpy(jar->server, data + KIRIM_DNS_CLIENT_COOKIE_BYTES, jar->server_bytes);
    return true;
}
