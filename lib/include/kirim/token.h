/* SPDX-License-Identifier: MIT
 *
 * Address validation tokens: what a server gives to a peer that it does not know yet, so that it
 * has to keep nothing. Who sends one back has received it, hence owns the address it was sent to
 * (or sits on the way). The token is bound to the address, to a time, to a context that both sides
 * know, and to a payload that travels in it, in the clear; a keyed hash of 128 bits proves all of
 * it. Two keys live at a time, so that a server can change its key without refusing anybody.
 *
 * It serves as a cookie (DNS, DTLS, CoAP Echo) and as a retry token (QUIC). A token can be used
 * more than once within its lifetime: where that matters, remember what was used (kirim/replay.h,
 * kirim/duplicate.h). The key is the caller's business: 16 bytes of kirim_loop_random(); servers
 * that share one take each other's tokens, if they also share a clock. Sources: RFC 9000 section
 * 8.1, RFC 9018, RFC 6347 section 4.2.1, RFC 9175.
 */
#ifndef KIRIM_TOKEN_H
#define KIRIM_TOKEN_H

#include <kirim/addr.h>
#include <kirim/config.h>
#include <kirim/error.h>
#include <kirim/siphash.h>

/** Bounds. */
enum {
    KIRIM_TOKEN_OVERHEAD_BYTES = 22,     /**< Of a token without a payload. */
    KIRIM_TOKEN_PAYLOAD_BYTES_MAX = 1024 /**< Of a payload. */
};

/** The keys of a server. */
struct kirim_token_keys {
    uint32_t lifetime_s; /**< How long a token is good, in seconds; at least 1. */
    uint32_t skew_s;     /**< How far in the future it may be, for servers that share a key. */
    /** @privatesection The library's. */
    uint8_t ki_key[2][KIRIM_SIPHASH_KEY_BYTES]; /**< The present and the last. */
    uint8_t ki_id[2];                           /**< How tokens name them. */
    uint8_t ki_count;                           /**< Of the keys. */
    uint8_t ki_reserved[5];                     /**< Zero. */
};

/** What a token says. */
struct kirim_token_claim {
    const struct kirim_addr *peer; /**< Whom it is for. */
    bool is_any_port;              /**< Bound to the address, not to the port: for tokens that are
                                      kept for a later connection. Same on issue and check. */
    uint64_t now_ns;               /**< The time, on any clock that goes on over restarts and is
                                      shared by those who share the keys. */
    const uint8_t *context;        /**< Not in the token, but bound to it; e.g. the name of its
                                      purpose, and what the peer has said. NULL if empty. */
    size_t context_bytes;          /**< Of `context`. */
    const uint8_t *payload;        /**< Travels in the token. To issue: given, NULL if empty; after
                                      a check that succeeded: where it lies in the token. */
    size_t payload_bytes;          /**< Of `payload`. */
    uint32_t age_s;                /**< After a check that succeeded: how old the token is. */
};

/** Bytes of a token with a payload of `payload_bytes`. */
#define KIRIM_TOKEN_BYTES(payload_bytes) (KIRIM_TOKEN_OVERHEAD_BYTES + (payload_bytes))

KIRIM_BEGIN_DECLS

/**
 * @brief Begins with one key.
 *
 * @param keys        Caller's storage.
 * @param key         Random bytes; copied.
 * @param lifetime_s  As in the structure; `skew_s` becomes 0.
 * @retval KIRIM_OK      Ready.
 * @retval KIRIM_EINVAL  A lifetime of 0, or of more than 2^30 s (34 years).
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_token_keys_init(struct kirim_token_keys *keys,
                                          const uint8_t key[KIRIM_SIPHASH_KEY_BYTES],
                                          uint32_t lifetime_s);

/**
 * @brief Makes a new key the present one, and the present one the last.
 *
 * Tokens of the key that was the last until now are refused from here on: call it no more often
 * than every `lifetime_s`.
 *
 * @param keys  The keys.
 * @param key   Random bytes; copied.
 * @note One thread at a time.
 */
KIRIM_API void kirim_token_keys_rotate(struct kirim_token_keys *keys,
                                       const uint8_t key[KIRIM_SIPHASH_KEY_BYTES]);

/**
 * @brief Erases the keys; every token is refused from here on.
 *
 * @param keys  The keys.
 * @note One thread at a time.
 */
KIRIM_API void kirim_token_keys_fini(struct kirim_token_keys *keys);

/**
 * @brief Makes a token of KIRIM_TOKEN_BYTES(claim->payload_bytes) bytes with the present key.
 *
 * @param keys        The keys.
 * @param claim       What it says; `age_s` is not read.
 * @param token       Gets the token; may not overlap what the claim points to.
 * @param room_bytes  Room at `token`.
 * @retval KIRIM_OK        Written.
 * @retval KIRIM_EINVAL    No peer, no keys, or a payload over KIRIM_TOKEN_PAYLOAD_BYTES_MAX.
 * @retval KIRIM_EFAULT    A NULL where bytes were announced.
 * @retval KIRIM_EMSGSIZE  Too little room.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_token_issue(const struct kirim_token_keys *keys,
                                      const struct kirim_token_claim *claim, uint8_t *token,
                                      size_t room_bytes);

/**
 * @brief Checks a token.
 *
 * @param keys         The keys.
 * @param claim        Peer, time and context as they are now; on success `payload`, which points
 *                     into `token`, `payload_bytes` and `age_s` are set.
 * @param token        What the peer has sent; any bytes.
 * @param token_bytes  How many.
 * @retval KIRIM_OK         Good.
 * @retval KIRIM_EINVAL     Not a token: its length or its version is wrong. Also: no peer.
 * @retval KIRIM_EACCES     Not issued by these keys to this peer in this context.
 * @retval KIRIM_ETIMEDOUT  Issued so, but too old, or from too far in the future.
 * @note One thread at a time. Its time does not tell how much of a forged token was right.
 */
KIRIM_API kirim_err kirim_token_check(const struct kirim_token_keys *keys,
                                      struct kirim_token_claim *claim, const uint8_t *token,
                                      size_t token_bytes);

KIRIM_END_DECLS

#endif
