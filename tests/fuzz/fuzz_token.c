/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a token: none is good, unless it is what was issued. And any bytes as the payload
 * and the context of a token: it is good as it was issued, and in no other way.
 */
#include <string.h>

#include "fuzz.h"

#include <kirim/token.h>

#define SECOND UINT64_C(1000000000)

enum { TOKEN_ROOM = KIRIM_TOKEN_BYTES(KIRIM_TOKEN_PAYLOAD_BYTES_MAX) };

static const uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = { 1, 2, 3 };
static const uint8_t host[4] = { 192, 0, 2, 1 };

/* The token that is good for these bytes, issued anew, is the same. */
static void check_good(const struct kirim_token_keys *keys, struct kirim_token_claim claim,
                       const uint8_t *token, size_t bytes)
{
    uint8_t again[TOKEN_ROOM];
    FUZZ_CLAIM(bytes == KIRIM_TOKEN_BYTES(claim.payload_bytes));
    FUZZ_CLAIM(claim.payload >= token && claim.payload + claim.payload_bytes <= token + bytes);
    FUZZ_CLAIM(claim.age_s <= keys->lifetime_s);
    claim.now_ns -= claim.age_s * SECOND;
    FUZZ_CLAIM(kirim_token_issue(keys, &claim, again, sizeof again) == KIRIM_OK);
    FUZZ_CLAIM(memcmp(again, token, bytes) == 0);
}

static void check_issued(const struct kirim_token_keys *keys, const struct kirim_token_claim *claim,
                         unsigned at)
{
    uint8_t token[TOKEN_ROOM];
    struct kirim_token_claim read = *claim;
    const kirim_err err = kirim_token_issue(keys, claim, token, sizeof token);
    FUZZ_CLAIM((err == KIRIM_OK) == (claim->payload_bytes <= KIRIM_TOKEN_PAYLOAD_BYTES_MAX));
    if (err != KIRIM_OK) {
        return;
    }
    const size_t bytes = KIRIM_TOKEN_BYTES(claim->payload_bytes);
    FUZZ_CLAIM(kirim_token_check(keys, &read, token, bytes) == KIRIM_OK);
    FUZZ_CLAIM(read.payload_bytes == claim->payload_bytes);
    check_good(keys, read, token, bytes);
    token[at / 8 % bytes] ^= (uint8_t)(1U << at % 8);
    FUZZ_CLAIM(kirim_token_check(keys, &read, token, bytes) != KIRIM_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct kirim_addr peer = kirim_addr_ipv4(host, 7000);
    struct kirim_token_keys keys;
    FUZZ_CLAIM(kirim_token_keys_init(&keys, key, 60) == KIRIM_OK);
    struct kirim_token_claim claim = { .peer = &peer, .now_ns = 1000 * SECOND };
    if (kirim_token_check(&keys, &claim, data, bytes) == KIRIM_OK) {
        check_good(&keys, claim, data, bytes);
    } else {
        FUZZ_CLAIM(claim.payload == NULL && claim.payload_bytes == 0);
    }
    if (bytes < 4) {
        return 0;
    }
    const size_t rest = bytes - 4;
    const size_t cut = rest > 0 ? (size_t)data[0] % (rest + 1) : 0;
    claim = (struct kirim_token_claim){ .peer = &peer,
                                        .now_ns = 1000 * SECOND,
                                        .is_any_port = (data[1] & 1) != 0,
                                        .context = data + 4,
                                        .context_bytes = cut,
                                        .payload = data + 4 + cut,
                                        .payload_bytes = rest - cut };
    check_issued(&keys, &claim, (unsigned)data[2] << 8 | data[3]);
    return 0;
}
