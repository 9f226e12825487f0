/* SPDX-License-Identifier: MIT
 *
 * A server's gate: see gate.h.
 */
#include "gate.h"

#include <string.h>

static const char token_context[] = "kirim channel 1";
static const char reset_context[] = "kirim channel reset";

enum {
    CONTEXT_BYTES = sizeof token_context - 1,
    CLAIM_BYTES = CONTEXT_BYTES + KIRIM_CHANNEL_ID_BYTES,
    RESET_BYTES = 1 + KIRIM_CHANNEL_RESET_BYTES
};

static const uint64_t NS_PER_S = UINT64_C(1000000000);

kirim_err kirim_channel_gate_init(struct kirim_channel_gate *gate,
                                  const struct kirim_channel_params *params,
                                  const uint8_t token_key[KIRIM_SIPHASH_KEY_BYTES],
                                  const uint8_t reset_key[KIRIM_SIPHASH_KEY_BYTES])
{
    if (!kirim_channel_params_are_valid(params)) {
        return KIRIM_EINVAL;
    }
    memset(gate, 0, sizeof *gate);
    gate->params = *params;
    memcpy(gate->ki_reset_key, reset_key, sizeof gate->ki_reset_key);
    return kirim_token_keys_init(&gate->ki_keys, token_key, KIRIM_CHANNEL_GATE_SECONDS);
}

void kirim_channel_gate_rotate(struct kirim_channel_gate *gate,
                               const uint8_t token_key[KIRIM_SIPHASH_KEY_BYTES])
{
    kirim_token_keys_rotate(&gate->ki_keys, token_key);
}

void kirim_channel_gate_refuse_until(struct kirim_channel_gate *gate, uint64_t time_ns)
{
    const uint64_t since_s = time_ns / NS_PER_S + 1;
    gate->ki_since_s = since_s > gate->ki_since_s ? since_s : gate->ki_since_s;
}

void kirim_channel_gate_reset(const struct kirim_channel_gate *gate,
                              const uint8_t id[KIRIM_CHANNEL_ID_BYTES],
                              uint8_t out[KIRIM_CHANNEL_RESET_BYTES])
{
    struct kirim_siphash hash;
    kirim_siphash_begin(&hash, gate->ki_reset_key, KIRIM_SIPHASH_LONG_TAG_BYTES);
    kirim_siphash_take(&hash, reset_context, sizeof reset_context); /* and its zero */
    kirim_siphash_take(&hash, id, KIRIM_CHANNEL_ID_BYTES);
    kirim_siphash_end(&hash, out);
}

/* What a token for a client is bound to beside its address. */
static struct kirim_token_claim claim_of(const struct kirim_channel_visit *visit,
                                         const uint8_t *client, uint8_t context[CLAIM_BYTES])
{
    struct kirim_token_claim claim;
    memcpy(context, token_context, CONTEXT_BYTES);
    memcpy(context + CONTEXT_BYTES, client, KIRIM_CHANNEL_ID_BYTES);
    memset(&claim, 0, sizeof claim);
    claim.peer = visit->peer;
    claim.now_ns = visit->now_ns;
    claim.context = context;
    claim.context_bytes = CLAIM_BYTES;
    return claim;
}

static size_t answer_hello(const struct kirim_channel_gate *gate,
                           const struct kirim_channel_visit *visit,
                           const struct kirim_channel_packet *hello, uint8_t *room)
{
    uint8_t token[KIRIM_TOKEN_BYTES(KIRIM_CHANNEL_ID_BYTES)];
    uint8_t context[CLAIM_BYTES];
    struct kirim_channel_packet p;
    if (!gate->is_open && visit->bytes < KIRIM_CHANNEL_HELLO_BYTES) {
        return 0;
    }
    memset(&p, 0, sizeof p);
    memcpy(p.to, hello->from, sizeof p.to);
    p.version = hello->version;
    p.kind = KIRIM_CHANNEL_VERSIONS;
    if (hello->version == KIRIM_CHANNEL_VERSION) {
        p.kind = KIRIM_CHANNEL_TOKEN;
        memcpy(p.from, visit->id, sizeof p.from);
        kirim_channel_gate_reset(gate, visit->id, p.reset);
        p.params = gate->params;
        struct kirim_token_claim claim = claim_of(visit, hello->from, context);
        claim.payload = visit->id;
        claim.payload_bytes = sizeof visit->id;
        if (!gate->is_open) {
            if (kirim_token_issue(&gate->ki_keys, &claim, token, sizeof token) < 0) {
                return 0;
            }
            p.token = (struct kirim_channel_span){ token, sizeof token };
        }
    }
    return kirim_channel_packet_write(&p, room, KIRIM_CHANNEL_ANSWER_BYTES_MAX);
}

size_t kirim_channel_gate_answer(const struct kirim_channel_gate *gate,
                                 const struct kirim_channel_visit *visit, uint8_t *room)
{
    struct kirim_channel_packet p;
    memset(&p, 0, sizeof p);
    const kirim_err err = kirim_channel_packet_read(visit->data, visit->bytes, &p);
    if (p.kind == KIRIM_CHANNEL_HELLO) { /* also of another version */
        const size_t bytes = answer_hello(gate, visit, &p, room);
        return bytes < visit->bytes || gate->is_open ? bytes : 0;
    }
    if (err < 0 || p.kind != KIRIM_CHANNEL_DATA || visit->bytes <= RESET_BYTES) {
        return 0;
    }
    kirim_channel_gate_reset(gate, p.to, p.reset);
    p.kind = KIRIM_CHANNEL_RESET;
    return kirim_channel_packet_write(&p, room, KIRIM_CHANNEL_ANSWER_BYTES_MAX);
}

kirim_err kirim_channel_gate_check(const struct kirim_channel_gate *gate,
                                   const struct kirim_channel_visit *visit,
                                   struct kirim_channel_packet *out)
{
    uint8_t context[CLAIM_BYTES];
    struct kirim_channel_packet p;
    if (kirim_channel_packet_read(visit->data, visit->bytes, &p) < 0 ||
        p.kind != KIRIM_CHANNEL_BEGIN) {
        return KIRIM_EINVAL;
    }
    if (gate->is_open) {
        *out = p;
        return p.token.bytes == 0 ? KIRIM_OK : KIRIM_EACCES;
    }
    struct kirim_token_claim claim = claim_of(visit, p.from, context);
    const kirim_err err = kirim_token_check(&gate->ki_keys, &claim, p.token.data, p.token.bytes);
    if (err < 0) {
        return err == KIRIM_EINVAL ? KIRIM_EACCES : err;
    }
    if (claim.payload_bytes != sizeof p.to || memcmp(claim.payload, p.to, sizeof p.to) != 0) {
        return KIRIM_EACCES;
    }
    if (visit->now_ns / NS_PER_S < gate->ki_since_s + claim.age_s) {
        return KIRIM_ETIMEDOUT;
    }
    *out = p;
    return KIRIM_OK;
}
