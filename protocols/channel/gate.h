/* SPDX-License-Identifier: MIT
 *
 * What a server of channels does before there is a connection, and keeps nothing for it: tokens for
 * HELLO, their check for BEGIN, RESET for connections that nobody knows. docs/channel.md, sections
 * 2 and 5. Owns nothing; a value. One thread at a time.
 */
#ifndef KIRIM_CHANNEL_GATE_H
#define KIRIM_CHANNEL_GATE_H

#include <kirim/token.h>

#include "wire.h"

enum {
    KIRIM_CHANNEL_GATE_SECONDS = 15,     /**< A token is good so long. */
    KIRIM_CHANNEL_ANSWER_BYTES_MAX = 128 /**< Longest answer of a gate. */
};

/** A gate. */
struct kirim_channel_gate {
    struct kirim_channel_params params; /**< Told to clients. */
    bool is_open; /**< The layer below has validated the peer: tokens are empty, and HELLO may be
                       short. */
    /** @privatesection The gate's. */
    struct kirim_token_keys ki_keys;               /**< Of tokens. */
    uint8_t ki_reset_key[KIRIM_SIPHASH_KEY_BYTES]; /**< Of reset tokens. */
    uint64_t ki_since_s;                           /**< Tokens are good from this second on. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Begins.
 *
 * @param gate       Caller's storage.
 * @param params     Told to clients; copied.
 * @param token_key  Random bytes.
 * @param reset_key  Random bytes; the same ones after a restart let it say RESET for connections
 *                   of before.
 * @retval KIRIM_OK      Ready.
 * @retval KIRIM_EINVAL  Parameters out of bounds.
 * @note One thread at a time.
 */
kirim_err kirim_channel_gate_init(struct kirim_channel_gate *gate,
                                  const struct kirim_channel_params *params,
                                  const uint8_t token_key[KIRIM_SIPHASH_KEY_BYTES],
                                  const uint8_t reset_key[KIRIM_SIPHASH_KEY_BYTES]);

/** @brief Makes a new key of tokens the present one; the one before is good still. Every 15 s at
 * the most. One thread at a time. */
void kirim_channel_gate_rotate(struct kirim_channel_gate *gate,
                               const uint8_t token_key[KIRIM_SIPHASH_KEY_BYTES]);

/** @brief Refuses tokens that were issued at that time or before it, or in the same second; a time
 * before an earlier one changes nothing. For who cannot tell any more which of them have been used.
 * One thread at a time. */
void kirim_channel_gate_refuse_until(struct kirim_channel_gate *gate, uint64_t time_ns);

/** What arrived at a gate. */
struct kirim_channel_visit {
    const uint8_t *data;                /**< The datagram; any bytes. */
    size_t bytes;                       /**< How many. */
    const struct kirim_addr *peer;      /**< Who sent it. */
    uint64_t now_ns;                    /**< The time, on one clock for all visits. */
    uint8_t id[KIRIM_CHANNEL_ID_BYTES]; /**< Random: what a TOKEN offers. */
};

/**
 * @brief Answers what belongs to no connection.
 *
 * @param gate   The gate.
 * @param visit  HELLO is answered by TOKEN or VERSIONS, DATA by RESET (limit how often).
 * @param room   Gets the answer: KIRIM_CHANNEL_ANSWER_BYTES_MAX bytes.
 * @return Bytes of the answer, fewer than came; 0: none is due.
 * @note One thread at a time.
 */
size_t kirim_channel_gate_answer(const struct kirim_channel_gate *gate,
                                 const struct kirim_channel_visit *visit, uint8_t *room);

/**
 * @brief Checks a BEGIN that belongs to no connection.
 *
 * A token stays good for its time, also when its connection has ended: who listens remembers which
 * ids have begun one (the listener of channel_endpoint.h does), since else a copy of the BEGIN
 * hands the same messages over again.
 *
 * @param gate   The gate.
 * @param visit  The BEGIN; `id` is not read.
 * @param out    The packet; written on success only.
 * @retval KIRIM_OK         Its token is good: kirim_channel_accept() may follow.
 * @retval KIRIM_EINVAL     No such packet.
 * @retval KIRIM_EACCES     A wrong token.
 * @retval KIRIM_ETIMEDOUT  One that is too old, or of before kirim_channel_gate_refuse_until().
 * @note One thread at a time.
 */
kirim_err kirim_channel_gate_check(const struct kirim_channel_gate *gate,
                                   const struct kirim_channel_visit *visit,
                                   struct kirim_channel_packet *out);

/** @brief The reset token that goes with a connection id of this side. One thread at a time. */
void kirim_channel_gate_reset(const struct kirim_channel_gate *gate,
                              const uint8_t id[KIRIM_CHANNEL_ID_BYTES],
                              uint8_t out[KIRIM_CHANNEL_RESET_BYTES]);

KIRIM_END_DECLS

#endif
