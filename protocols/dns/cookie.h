/* SPDX-License-Identifier: MIT
 *
 * DNS cookies: what a server gives to whoever asks, so that the next question can show that it
 * comes from where it says, and what a client keeps of them.
 *
 * The server's part is of version 1: a time, and SipHash-2-4 over it, the client's part and the
 * client's address; so all servers that share a key and a clock take each other's. The server keeps
 * nothing but its keys. Owns nothing. Any thread. Sources: RFC 7873, RFC 9018.
 */
#ifndef KIRIM_DNS_COOKIE_H
#define KIRIM_DNS_COOKIE_H

#include <kirim/addr.h>
#include <kirim/siphash.h>

#include "dns.h"

/** Sizes and times of cookies. */
enum {
    KIRIM_DNS_OPTION_COOKIE = 10,       /**< Code of the option of EDNS. */
    KIRIM_DNS_CLIENT_COOKIE_BYTES = 8,  /**< The client's part. */
    KIRIM_DNS_SERVER_COOKIE_BYTES = 16, /**< The server's part as this code makes it. */
    KIRIM_DNS_SERVER_COOKIE_MIN = 8,    /**< Of a server's part of any kind. */
    KIRIM_DNS_SERVER_COOKIE_MAX = 32,   /**< Of a server's part of any kind. */
    KIRIM_DNS_COOKIE_BYTES = 24,        /**< Both parts as this code makes them. */
    KIRIM_DNS_COOKIE_BYTES_MAX = 40,    /**< Both parts, of any kind. */
    KIRIM_DNS_COOKIE_AGE_MAX_S = 3600,  /**< Older ones are not taken. */
    KIRIM_DNS_COOKIE_AHEAD_MAX_S = 300, /**< Nor those from further in the future. */
    KIRIM_DNS_COOKIE_RENEWAL_S = 1800,  /**< Older ones are answered with a new one. */
    KIRIM_DNS_COOKIE_KEY_COUNT_MAX = 2  /**< Keys that live at a time. */
};

/** What a cookie is. */
enum {
    KIRIM_DNS_COOKIE_MALFORMED = 0, /**< Its length is none that a cookie can have. */
    KIRIM_DNS_COOKIE_CLIENT = 1,    /**< The client's part alone. */
    KIRIM_DNS_COOKIE_BAD = 2,  /**< Not of these keys, for another address, or its time is up. */
    KIRIM_DNS_COOKIE_GOOD = 3, /**< Whoever sent it receives at its address. */
    KIRIM_DNS_COOKIE_OLD = 4   /**< The same, but it is to be renewed. */
};

/** The keys of a server; all zero: none, and every cookie is bad. */
struct kirim_dns_cookie_keys {
    uint8_t key[KIRIM_DNS_COOKIE_KEY_COUNT_MAX][KIRIM_SIPHASH_KEY_BYTES]; /**< The first one makes
                                                                              cookies. */
    uint32_t count; /**< Of them. Cookies of all are taken. */
};

/** Who sent a cookie, and when. */
struct kirim_dns_cookie_claim {
    const struct kirim_addr *peer; /**< The port does not count. */
    uint32_t now_s;                /**< Seconds since 1970, modulo 2^32. */
};

/**
 * @brief Adds a key behind those that are there; what a further one would be is not taken.
 *
 * Servers that share keys change them in three steps, so that none refuses what another one gave:
 * all take the new one as the second, then as the first, then drop the old one.
 *
 * @param keys  The keys.
 * @param key   Random bytes, copied.
 * @retval KIRIM_OK         Added.
 * @retval KIRIM_DNS_EFULL  KIRIM_DNS_COOKIE_KEY_COUNT_MAX are there.
 */
kirim_err kirim_dns_cookie_keys_add(struct kirim_dns_cookie_keys *keys,
                                    const uint8_t key[KIRIM_SIPHASH_KEY_BYTES]);

/**
 * @brief Makes a new key the first, and the one that was first the second: for a server alone.
 *
 * Not more often than every KIRIM_DNS_COOKIE_AGE_MAX_S, or cookies are refused early.
 *
 * @param keys  The keys.
 * @param key   Random bytes, copied.
 */
void kirim_dns_cookie_keys_rotate(struct kirim_dns_cookie_keys *keys,
                                  const uint8_t key[KIRIM_SIPHASH_KEY_BYTES]);

/**
 * @brief Makes a cookie with the first key.
 *
 * @param keys    At least one.
 * @param claim   Whom it is for, and the time.
 * @param client  The client's part.
 * @param out     Gets both parts.
 */
void kirim_dns_cookie_make(const struct kirim_dns_cookie_keys *keys,
                           const struct kirim_dns_cookie_claim *claim,
                           const uint8_t client[KIRIM_DNS_CLIENT_COOKIE_BYTES],
                           uint8_t out[KIRIM_DNS_COOKIE_BYTES]);

/**
 * @brief Judges a cookie that came with a question. Its time does not tell how much of a forged one
 *        was right.
 *
 * @param keys   The keys.
 * @param claim  Whom it came from, and the time.
 * @param data   The option's bytes.
 * @param bytes  Of them.
 * @return KIRIM_DNS_COOKIE_...
 */
int kirim_dns_cookie_judge(const struct kirim_dns_cookie_keys *keys,
                           const struct kirim_dns_cookie_claim *claim, const uint8_t *data,
                           size_t bytes);

/** What a client keeps of one server; all zero: nothing yet. */
struct kirim_dns_cookie_jar {
    bool has_client;      /**< `client` is set. */
    uint8_t server_bytes; /**< Of `server`; 0: the server has not given one. */
    uint8_t client[KIRIM_DNS_CLIENT_COOKIE_BYTES]; /**< Random, of its own for each server. */
    uint8_t server[KIRIM_DNS_SERVER_COOKIE_MAX];   /**< What the server gave last. */
};

/**
 * @brief Writes what goes with a question.
 *
 * @param jar  With a client's part.
 * @param out  Gets the option's bytes.
 * @return Of them.
 */
size_t kirim_dns_cookie_jar_write(const struct kirim_dns_cookie_jar *jar,
                                  uint8_t out[KIRIM_DNS_COOKIE_BYTES_MAX]);

/**
 * @brief Takes what came with an answer.
 *
 * @param jar    With the client's part that was sent; gets the server's.
 * @param data   The option's bytes.
 * @param bytes  Of them.
 * @return Whether it is a cookie with that client's part, or just that part; if not, the answer is
 *         forged.
 */
bool kirim_dns_cookie_jar_take(struct kirim_dns_cookie_jar *jar, const uint8_t *data, size_t bytes);

#endif
