/* SPDX-License-Identifier: MIT
 *
 * The guard of a set: tokens and rates, between the caps and `admit`.
 *
 * Whoever brings a good token is validated and passes: no flood of forged addresses takes his turn.
 * All others are judged by the rate of their prefix, so that the answers that bring tokens, and the
 * sessions that begin without one, are bounded. Keeps nothing of whom it refuses but a bucket of
 * his prefix. Keys are erased with the set. Loop thread.
 */
#include "session.h"

#include <kirim/secret.h>

#include <string.h>

enum {
    ALL_FLAGS = KIRIM_GUARD_TOKENS | KIRIM_GUARD_RATE,
    TOKEN_BYTES = KIRIM_TOKEN_BYTES(0),
    TOKEN_LIFETIME_S = 30,
    KEY_LIFETIME_S = 3600,
    LIFETIME_S_MAX = 1 << 30,
    SLOT_COUNT = 1024,
    SLOT_COUNT_MAX = 1 << 24,
    SLIP = 2
};

#define NS_PER_SECOND UINT64_C(1000000000)

struct ki_guard {
    struct kirim_guard_options options;
    struct kirim_token_keys keys;
    struct kirim_limiter limiter;
    uint64_t renew_ns; /* when the next key is due */
    uint8_t head[KIRIM_GUARD_HEAD_BYTES_MAX];
    struct kirim_limiter_slot slots[];
};

/* ---- beginning and end ----------------------------------------------------------------------- */

/* Checks the options, and fills in the defaults. */
static bool check_options(struct kirim_guard_options *o)
{
    static const struct kirim_limiter_options usual = KIRIM_LIMITER_OPTIONS_INIT;
    o->flags = o->flags != 0 ? o->flags : ALL_FLAGS;
    o->token_lifetime_s = o->token_lifetime_s != 0 ? o->token_lifetime_s : TOKEN_LIFETIME_S;
    if (o->key_lifetime_s == 0) {
        o->key_lifetime_s =
            o->token_lifetime_s > KEY_LIFETIME_S ? o->token_lifetime_s : KEY_LIFETIME_S;
    }
    o->slot_count = o->slot_count != 0 ? o->slot_count : SLOT_COUNT;
    if (o->rate.per_second == 0 && o->rate.burst == 0) {
        o->rate = usual.rate;
    }
    return (o->flags & ~(uint32_t)ALL_FLAGS) == 0 && o->token_lifetime_s <= LIFETIME_S_MAX &&
           o->key_lifetime_s >= o->token_lifetime_s && o->slot_count <= SLOT_COUNT_MAX &&
           o->retry_head_bytes <= KIRIM_GUARD_HEAD_BYTES_MAX &&
           (o->retry_head != NULL || o->retry_head_bytes == 0);
}

static size_t bytes_of(const struct kirim_guard_options *o)
{
    return sizeof(struct ki_guard) + o->slot_count * sizeof(struct kirim_limiter_slot);
}

/* Draws the keys, and begins with empty slots. */
static kirim_err set_up(struct kirim_sessions *set, struct ki_guard *g, uint8_t ipv4_bits,
                        uint8_t ipv6_bits)
{
    const struct kirim_guard_options *o = &g->options;
    struct kirim_limiter_options limiter = {
        .rate = o->rate,
        .ipv4_bits = ipv4_bits,
        .ipv6_bits = ipv6_bits,
        .slip = (o->flags & KIRIM_GUARD_TOKENS) != 0 ? SLIP : 0,
        .slot_count = o->slot_count,
        .slots = g->slots,
    };
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES];
    kirim_err err = kirim_loop_random(set->loop, key, sizeof key);
    if (err == KIRIM_OK) {
        err = kirim_loop_random(set->loop, limiter.key, sizeof limiter.key);
    }
    if (err == KIRIM_OK) {
        err = kirim_token_keys_init(&g->keys, key, o->token_lifetime_s);
    }
    if (err == KIRIM_OK) {
        err = kirim_limiter_init(&g->limiter, &limiter);
    }
    kirim_secret_wipe(key, sizeof key);
    g->renew_ns = kirim_loop_now(set->loop) + o->key_lifetime_s * NS_PER_SECOND;
    return err;
}

kirim_err ki_guard_open(struct kirim_sessions *set, const struct kirim_sessions_options *options)
{
    struct kirim_guard_options o;
    if (options->guard == NULL) {
        return KIRIM_OK;
    }
    if (!ki_grown_copy(&o, sizeof o, options->guard, options->guard->size, sizeof o) ||
        !check_options(&o)) {
        return KIRIM_EINVAL;
    }
    struct ki_guard *g = ki_alloc(set->loop, bytes_of(&o));
    if (g == NULL) {
        return KIRIM_ENOMEM;
    }
    set->guard = g;
    g->options = o;
    if (o.retry_head_bytes != 0) {
        memcpy(g->head, o.retry_head, o.retry_head_bytes);
    }
    return set_up(set, g, options->prefix_ipv4_bits, options->prefix_ipv6_bits);
}

void ki_guard_close(struct kirim_sessions *set)
{
    struct ki_guard *g = set->guard;
    if (g != NULL) {
        kirim_token_keys_fini(&g->keys);
        ki_free(set->loop, g, bytes_of(&g->options));
        set->guard = NULL;
    }
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* Makes a new key the present one when it is time. Without random bytes the old one stays. */
static void renew_key(struct kirim_sessions *set, uint64_t now_ns)
{
    struct ki_guard *g = set->guard;
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES];
    if (now_ns >= g->renew_ns && kirim_loop_random(set->loop, key, sizeof key) == KIRIM_OK) {
        kirim_token_keys_rotate(&g->keys, key);
        kirim_secret_wipe(key, sizeof key);
        g->renew_ns = now_ns + g->options.key_lifetime_s * NS_PER_SECOND;
    }
}

/* Where the token is, and what it is bound to. */
static struct kirim_token_place find_token(const struct kirim_sessions *set,
                                           const struct kirim_datagram *d)
{
    const struct kirim_guard_options *o = &set->guard->options;
    struct kirim_token_place place = { NULL, NULL, 0, 0 };
    if (o->find_token != NULL) {
        o->find_token(d, &place, set->user);
    } else if (d->bytes >= TOKEN_BYTES) {
        place.token = d->data + d->bytes - TOKEN_BYTES;
        place.token_bytes = TOKEN_BYTES;
    }
    return place;
}

/* Whether the token is good. Counts what it is. */
static bool is_token_good(struct kirim_sessions *set, const struct kirim_token_place *place,
                          struct kirim_token_claim *claim)
{
    if (place->token == NULL) {
        return false;
    }
    struct kirim_token_claim read = *claim;
    const kirim_err err =
        kirim_token_check(&set->guard->keys, &read, place->token, place->token_bytes);
    set->stats.tokens_good += err == KIRIM_OK;
    set->stats.tokens_late += err == KIRIM_ETIMEDOUT;
    set->stats.tokens_bad += err == KIRIM_EACCES;
    return err == KIRIM_OK;
}

/* Answers with a token. */
static void send_token(struct kirim_sessions *set, const struct kirim_datagram *d,
                       const struct kirim_token_claim *claim)
{
    struct ki_guard *g = set->guard;
    const struct kirim_guard_options *o = &g->options;
    uint8_t token[TOKEN_BYTES];
    uint8_t answer[KIRIM_GUARD_ANSWER_BYTES_MAX];
    size_t bytes = 0;
    if (kirim_token_issue(&g->keys, claim, token, sizeof token) == KIRIM_OK) {
        if (o->write_retry != NULL) {
            bytes = o->write_retry(d, token, sizeof token, answer, set->user);
        } else {
            memcpy(answer, g->head, o->retry_head_bytes);
            memcpy(answer + o->retry_head_bytes, token, sizeof token);
            bytes = o->retry_head_bytes + sizeof token;
        }
    }
    ki_sessions_let_answer(set, d);
    const bool is_sent = bytes != 0 && bytes <= sizeof answer &&
                         kirim_sessions_answer(set, d, answer, bytes) == KIRIM_OK;
    ki_sessions_let_answer(set, NULL);
    set->stats.refused_token += is_sent;
    set->stats.refused_short += !is_sent;
}

/* ---- the judgement --------------------------------------------------------------------------- */

bool ki_guard_lets_in(struct kirim_sessions *set, const struct kirim_datagram *d,
                      uint32_t *is_validated)
{
    struct ki_guard *g = set->guard;
    const uint64_t now_ns = kirim_loop_now(set->loop);
    const bool has_tokens = (g->options.flags & KIRIM_GUARD_TOKENS) != 0;
    struct kirim_token_claim claim = { .peer = &d->peer, .now_ns = now_ns };
    if (has_tokens) {
        const struct kirim_token_place place = find_token(set, d);
        renew_key(set, now_ns);
        claim.context = place.context;
        claim.context_bytes = place.context_bytes;
        if (is_token_good(set, &place, &claim)) {
            *is_validated = 1;
            return true;
        }
    }
    const int verdict = (g->options.flags & KIRIM_GUARD_RATE) != 0
                            ? kirim_limiter_judge(&g->limiter, &d->peer, now_ns, 1)
                            : KIRIM_LIMITER_PASS;
    if (verdict == KIRIM_LIMITER_DROP) {
        set->stats.refused_rate++;
        return false;
    }
    const bool is_asked = verdict == KIRIM_LIMITER_SLIP ||
                          set->stats.unvalidated_count >= g->options.token_from_count;
    if (has_tokens && is_asked) {
        send_token(set, d, &claim);
        return false;
    }
    return true;
}
