/* SPDX-License-Identifier: MIT
 *
 * A channel as a whole: its beginning and end, its deadlines, and what its owner asks. See
 * channel.h. One thread.
 */
#include <kirim/secret.h>

#include "parts.h"

enum {
    PAYLOAD_BYTES_MIN = 256,
    WINDOW_BYTES_MAX = 64 << 20,
    CLOSE_TRIES_MAX = 5,
    DRAIN_PTO = 3,
    JITTER_PERMILLE = 250
};

static const uint64_t TIME_NS_MAX = UINT64_C(1) << 53;

/* ---- memory ---------------------------------------------------------------------------------- */

void *ki_channel_new(struct kirim_channel *ch, size_t bytes)
{
    return ki_channel_get_memory(&ch->memory, bytes);
}

void ki_channel_delete(struct kirim_channel *ch, void *block, size_t bytes)
{
    ki_channel_put_memory(&ch->memory, block, bytes);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static bool is_valid(const struct kirim_channel_options *o, const struct kirim_addr *peer)
{
    return o != NULL && o->size == sizeof *o && peer != NULL && o->handler != NULL &&
           o->handler->size == sizeof *o->handler && o->alloc != NULL && o->random != NULL &&
           kirim_channel_params_are_valid(&o->params) &&
           o->payload_bytes_max >= PAYLOAD_BYTES_MIN && o->window_bytes_max <= WINDOW_BYTES_MAX &&
           o->keepalive_ns <= TIME_NS_MAX && o->handshake_ns <= TIME_NS_MAX &&
           o->burst_ns <= TIME_NS_MAX;
}

static uint64_t random_number(struct kirim_channel *ch)
{
    uint8_t bytes[8];
    uint64_t number = 0;
    ch->options.random(ch->options.random_user, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) { /* the same on every machine */
        number = number << 8 | bytes[i];
    }
    return number;
}

static kirim_err init(struct kirim_channel *ch, uint64_t now_ns)
{
    const struct kirim_channel_params *const own = &ch->options.params;
    ch->keepalive.deadline_ns = KIRIM_NEVER;
    if (ch->options.keepalive_ns > 0) {
        ch->keepalive_options =
            (struct kirim_keepalive_options){ ch->options.keepalive_ns, ch->options.keepalive_ns,
                                              JITTER_PERMILLE, 0 };
        const kirim_err err =
            kirim_keepalive_init(&ch->keepalive, &ch->keepalive_options, now_ns, random_number(ch));
        if (err < 0) {
            return err;
        }
    }
    ch->out = ki_channel_new(ch, own->stream_count * KI_CHANNEL_POINTER_BYTES);
    ch->in = ki_channel_new(ch, own->stream_count * KI_CHANNEL_POINTER_BYTES);
    if (ch->out == NULL || ch->in == NULL) {
        return KIRIM_ENOMEM;
    }
    ki_channel_acks_init(&ch->acks);
    ch->in_limit = own->window_bytes;
    ch->refused_ns = KIRIM_NEVER;
    ch->idle_ns = ch->handshake_ns = ch->hello_ns = ch->pace_ns = ch->close_ns = KIRIM_NEVER;
    ki_channel_path_search(ch, now_ns);
    ki_channel_congestion_init(ch, now_ns);
    return ki_channel_recovery_init(ch);
}

static kirim_err open_channel(const struct kirim_channel_options *options,
                              const struct kirim_addr *peer, uint64_t now_ns,
                              struct kirim_channel **out)
{
    if (out == NULL || !is_valid(options, peer)) {
        return KIRIM_EINVAL;
    }
    const struct ki_channel_memory memory = { options->alloc, options->alloc_user };
    struct kirim_channel *const ch = ki_channel_get_memory(&memory, sizeof *ch);
    if (ch == NULL) {
        return KIRIM_ENOMEM;
    }
    ch->options = *options;
    ch->handler = *options->handler;
    ch->memory = memory;
    ki_channel_path_init(ch, peer);
    const kirim_err err = init(ch, now_ns);
    if (err < 0) {
        kirim_channel_free(ch);
        return err;
    }
    *out = ch;
    return KIRIM_OK;
}

kirim_err kirim_channel_connect(const struct kirim_channel_options *options,
                                const struct kirim_addr *peer, uint64_t now_ns,
                                struct kirim_channel **out)
{
    const kirim_err err = open_channel(options, peer, now_ns, out);
    if (err < 0) {
        return err;
    }
    struct kirim_channel *const ch = *out;
    ch->options.random(ch->options.random_user, ch->id, sizeof ch->id);
    ch->options.random(ch->options.random_user, ch->reset, sizeof ch->reset);
    ch->state = KI_CHANNEL_ASKING;
    ch->owes_hello = true;
    ch->handshake_ns = now_ns + ch->options.handshake_ns;
    return KIRIM_OK;
}

kirim_err kirim_channel_accept(const struct kirim_channel_options *options,
                               const struct kirim_channel_packet *begin, const uint8_t *reset,
                               const struct kirim_addr *peer, uint64_t now_ns,
                               struct kirim_channel **out)
{
    if (begin == NULL || reset == NULL || begin->kind != KIRIM_CHANNEL_BEGIN) {
        return KIRIM_EINVAL;
    }
    struct kirim_channel_options own = { 0 };
    if (options != NULL && options->size == sizeof own) {
        own = *options;
        own.keepalive_ns = 0; /* it is the client that keeps the way open */
    }
    const kirim_err err = open_channel(&own, peer, now_ns, out);
    if (err < 0) {
        return err;
    }
    struct kirim_channel *const ch = *out;
    ch->is_server = ch->has_heard = ch->owes_ready = true;
    memcpy(ch->id, begin->to, sizeof ch->id);
    memcpy(ch->reset, reset, sizeof ch->reset);
    memcpy(ch->peer_id, begin->from, sizeof ch->peer_id);
    memcpy(ch->peer_reset, begin->reset, sizeof ch->peer_reset);
    ch->state = KI_CHANNEL_OPEN;
    ki_channel_learn(ch, &begin->params, now_ns);
    return KIRIM_OK;
}

/* The peer must hear something before it gives up for silence. */
static void hasten_keepalive(struct kirim_channel *ch, uint64_t now_ns)
{
    const uint64_t most_ns = ch->peer_params.idle_ms * KI_CHANNEL_NS_PER_MS / 2;
    if (ch->options.keepalive_ns > most_ns) {
        ch->keepalive_options.interval_ns = ch->keepalive_options.retry_ns = most_ns;
        (void)kirim_keepalive_init(&ch->keepalive, &ch->keepalive_options, now_ns,
                                   random_number(ch));
    }
}

void ki_channel_learn(struct kirim_channel *ch, const struct kirim_channel_params *params,
                      uint64_t now_ns)
{
    const uint32_t own_ms = ch->options.params.idle_ms;
    ch->peer_params = *params;
    ch->peer_params.idle_ms = params->idle_ms < own_ms ? params->idle_ms : own_ms;
    ch->idle_ns = now_ns + ch->peer_params.idle_ms * KI_CHANNEL_NS_PER_MS;
    ch->has_params = true;
    hasten_keepalive(ch, now_ns);
    ki_channel_path_search(ch, now_ns);
    ki_channel_congestion_restart(ch, now_ns);
    ki_channel_send_learn(ch);
}

void kirim_channel_free(struct kirim_channel *ch)
{
    if (ch == NULL) {
        return;
    }
    ki_channel_recovery_free(ch);
    if (ch->out != NULL) {
        ki_channel_send_free(ch);
        ki_channel_delete(ch, ch->out, ch->options.params.stream_count * KI_CHANNEL_POINTER_BYTES);
    }
    if (ch->in != NULL) {
        ki_channel_receive_free(ch);
        ki_channel_delete(ch, ch->in, ch->options.params.stream_count * KI_CHANNEL_POINTER_BYTES);
    }
    ki_channel_records_free(ch);
    ki_channel_delete(ch, ch, sizeof *ch);
}

/* ---- the end --------------------------------------------------------------------------------- */

bool ki_channel_is_live(const struct kirim_channel *ch)
{
    return ch->state < KI_CHANNEL_CLOSING;
}

void ki_channel_end(struct kirim_channel *ch, kirim_err err)
{
    if (ch->state == KI_CHANNEL_ENDED) {
        return;
    }
    ch->state = KI_CHANNEL_ENDED;
    if (!ch->has_told && !ch->owes_closed) {
        ch->end_err = err;
        ch->owes_closed = true;
    }
}

/* What a text may show of bytes that others chose. */
static void keep_text(struct kirim_channel *ch, const uint8_t *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        ch->end_text[i] = (char)(text[i] < ' ' || text[i] == 0x7f ? '?' : text[i]);
    }
    ch->end_text[bytes] = '\0';
}

static void start_closing(struct kirim_channel *ch, uint32_t code, const char *text)
{
    const size_t length = strlen(text);
    const size_t most = KIRIM_CHANNEL_TEXT_BYTES_MAX;
    ch->end_code = code;
    keep_text(ch, (const uint8_t *)text, length < most ? length : most);
    if (ch->state == KI_CHANNEL_ASKING) {
        ki_channel_end(ch, KIRIM_OK); /* nobody knows of it */
        return;
    }
    ch->state = KI_CHANNEL_CLOSING;
    ch->owes_close = true;
    ch->close_ns = 0; /* from the first CLOSE on */
}

void ki_channel_fail(struct kirim_channel *ch, uint32_t code, const char *text)
{
    if (ki_channel_is_live(ch)) {
        start_closing(ch, code, text);
    }
}

static void wake(struct kirim_channel *ch)
{
    if (!ch->is_inside && ch->options.wake != NULL) {
        ch->options.wake(ch->options.wake_user);
    }
}

kirim_err kirim_channel_close(struct kirim_channel *ch, uint32_t code, const char *text)
{
    const bool is_own = code >= KIRIM_CHANNEL_CODE_OWN && code <= KIRIM_CHANNEL_CODE_MAX;
    if (!is_own && code != KIRIM_CHANNEL_CODE_DONE && code != KIRIM_CHANNEL_CODE_SHUTDOWN) {
        return KIRIM_EINVAL;
    }
    if (!ki_channel_is_live(ch)) {
        return KIRIM_ECLOSED;
    }
    start_closing(ch, code, text != NULL ? text : "");
    wake(ch);
    return KIRIM_OK;
}

kirim_err kirim_channel_finish(struct kirim_channel *ch)
{
    if (!ki_channel_is_live(ch) || ch->is_finishing) {
        return KIRIM_ECLOSED;
    }
    ch->is_finishing = true;
    wake(ch);
    return KIRIM_OK;
}

void ki_channel_take_close(struct kirim_channel *ch, const struct kirim_channel_frame *f,
                           uint64_t now_ns)
{
    if (!kirim_secret_equal(f->proof, ch->peer_reset, sizeof ch->peer_reset)) {
        ch->stats.rx_dropped++;
        return;
    }
    if (ki_channel_is_live(ch) && f->code == KIRIM_CHANNEL_CODE_DONE) {
        ch->is_last = true; /* the peer knows that all has come; there is no later time for it */
        ki_channel_receive_release(ch);
    }
    if (ch->state == KI_CHANNEL_CLOSING) {
        ki_channel_end(ch, KIRIM_OK);
        return;
    }
    ch->owes_close = true;
    if (ch->state == KI_CHANNEL_DRAINING) {
        return;
    }
    ch->state = KI_CHANNEL_DRAINING;
    ch->close_ns = now_ns + DRAIN_PTO * ki_channel_pto_ns(ch);
    ch->end_err = KIRIM_OK;
    ch->is_by_peer = true;
    ch->end_code = f->code <= KIRIM_CHANNEL_CODE_MAX ? (uint32_t)f->code : KIRIM_CHANNEL_CODE_MAX;
    keep_text(ch, f->data.data, f->data.bytes);
    ch->owes_closed = true;
}

void kirim_channel_abort(struct kirim_channel *ch, kirim_err why)
{
    ch->is_finishing = ch->is_blocked = ch->owes_messages = false;
    ki_channel_end(ch, why < 0 ? why : KIRIM_EABORTED);
    ki_channel_settle(ch);
}

static void expire_closing(struct kirim_channel *ch, uint64_t now_ns)
{
    if (ch->state == KI_CHANNEL_DRAINING) {
        if (ch->close_ns <= now_ns) {
            ki_channel_end(ch, KIRIM_OK);
        }
    } else if (ch->close_ns <= now_ns && ch->close_count >= CLOSE_TRIES_MAX) {
        ki_channel_end(ch, KIRIM_OK);
    } else if (ch->close_ns <= now_ns) {
        ch->owes_close = true;
    }
}

/* ---- what is due ----------------------------------------------------------------------------- */

static void tell_closed(struct kirim_channel *ch)
{
    const struct kirim_channel_end end = { ch->end_err, ch->is_by_peer, ch->end_code,
                                           ch->end_text };
    ch->owes_closed = false;
    ch->has_told = true;
    if (ch->handler.closed != NULL) {
        ch->handler.closed(ch, &end, ch->options.user);
    }
}

/* Whether who was refused may try again: there is room for his message, and for an eighth of all,
 * so that he is not called for each packet. No more than that, as what is under way counts too, and
 * half of it may be less than the path holds. */
static bool has_room(const struct kirim_channel *ch)
{
    const uint64_t waiting = ch->out_bytes + ch->out_count * KI_CHANNEL_COST;
    const uint64_t most = ch->options.send_bytes_max;
    return ch->out_count == 0 ||
           (waiting <= most - most / 8 && waiting + ch->blocked_bytes <= most);
}

void ki_channel_settle(struct kirim_channel *ch)
{
    ch->is_inside = true;
    if (ch->owes_messages) {
        ch->owes_messages = false;
        ki_channel_receive_release(ch);
    }
    if (ki_channel_is_live(ch) && ch->is_blocked && has_room(ch)) {
        ch->is_blocked = false;
        if (ch->handler.writable != NULL) {
            ch->handler.writable(ch, ch->options.user);
        }
    }
    if (ch->state == KI_CHANNEL_OPEN && ch->is_finishing && ch->out_count == 0) {
        start_closing(ch, KIRIM_CHANNEL_CODE_DONE, "");
    }
    if (ch->owes_closed) {
        tell_closed(ch);
    }
    ch->is_inside = false;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t kirim_channel_deadline(const struct kirim_channel *ch)
{
    const bool can_finish = ch->is_finishing && ch->out_count == 0 && ch->state == KI_CHANNEL_OPEN;
    if (ch->owes_closed || ch->owes_messages || can_finish) {
        return 0;
    }
    if (ch->state == KI_CHANNEL_ENDED) {
        return KIRIM_NEVER;
    }
    if (!ki_channel_is_live(ch)) {
        return ch->close_ns;
    }
    uint64_t deadline_ns = sooner(ch->handshake_ns, ch->hello_ns);
    deadline_ns = sooner(deadline_ns, ch->idle_ns);
    deadline_ns = sooner(deadline_ns, ki_channel_recovery_deadline(ch));
    deadline_ns = sooner(deadline_ns, ch->acks.deadline_ns);
    deadline_ns = sooner(deadline_ns, ch->pace_ns);
    deadline_ns = sooner(deadline_ns, ki_channel_path_deadline(ch));
    deadline_ns = sooner(deadline_ns, ch->keepalive.deadline_ns);
    return ch->is_size_held ? deadline_ns : sooner(deadline_ns, ch->pmtu.deadline_ns);
}

static void expire_live(struct kirim_channel *ch, uint64_t now_ns)
{
    if (ch->idle_ns <= now_ns || ch->handshake_ns <= now_ns) {
        ki_channel_end(ch, KIRIM_ETIMEDOUT);
        return;
    }
    if (ch->hello_ns <= now_ns) {
        ch->owes_hello = true;
    }
    ki_channel_recovery_expire(ch, now_ns);
    ki_channel_path_expire(ch, now_ns);
    if (ch->keepalive.deadline_ns <= now_ns &&
        kirim_keepalive_expire(&ch->keepalive, now_ns, random_number(ch)) == KIRIM_KEEPALIVE_SEND &&
        ch->state == KI_CHANNEL_OPEN) {
        ch->owes_ping = true;
    }
}

void kirim_channel_expire(struct kirim_channel *ch, uint64_t now_ns)
{
    ch->is_inside = true;
    if (ki_channel_is_live(ch)) {
        expire_live(ch, now_ns);
    } else if (ch->state != KI_CHANNEL_ENDED) {
        expire_closing(ch, now_ns);
    }
    ki_channel_settle(ch);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

uint32_t ki_channel_ceiling_bytes(const struct kirim_channel *ch)
{
    const uint32_t own = ch->options.payload_bytes_max;
    const uint32_t peer = ch->peer_params.datagram_bytes_max;
    return ch->has_params && peer < own ? peer : own;
}

size_t ki_channel_payload_bytes(const struct kirim_channel *ch)
{
    return ch->pmtu.plpmtu_bytes;
}

kirim_err kirim_channel_resize(struct kirim_channel *ch, uint32_t bytes, uint64_t now_ns)
{
    if (bytes < PAYLOAD_BYTES_MIN) {
        return KIRIM_EINVAL;
    }
    if (bytes != ch->options.payload_bytes_max) {
        ch->options.payload_bytes_max = bytes;
        ki_channel_path_search(ch, now_ns);
    }
    return KIRIM_OK;
}

/* ---- questions ------------------------------------------------------------------------------- */

void *kirim_channel_user(const struct kirim_channel *ch)
{
    return ch->options.user;
}

void kirim_channel_set_user(struct kirim_channel *ch, void *user)
{
    ch->options.user = user;
}

void kirim_channel_set_handler(struct kirim_channel *ch,
                               const struct kirim_channel_handler *handler)
{
    if (handler != NULL && handler->size == sizeof *handler) {
        ch->handler = *handler;
    }
}

bool kirim_channel_is_ready(const struct kirim_channel *ch)
{
    return ch->state == KI_CHANNEL_OPEN;
}

bool kirim_channel_has_ended(const struct kirim_channel *ch)
{
    return ch->state == KI_CHANNEL_ENDED && !ch->owes_closed;
}

struct kirim_addr kirim_channel_peer(const struct kirim_channel *ch)
{
    return ch->path.peer;
}

size_t kirim_channel_message_bytes_max(const struct kirim_channel *ch)
{
    return ch->has_params ? ch->peer_params.message_bytes_max
                          : ch->options.params.message_bytes_max;
}

const uint8_t *kirim_channel_id(const struct kirim_channel *ch)
{
    return ch->id;
}

const uint8_t *kirim_channel_peer_reset(const struct kirim_channel *ch)
{
    return ch->has_params ? ch->peer_reset : NULL;
}

void kirim_channel_read_stats(const struct kirim_channel *ch, struct kirim_channel_stats *out)
{
    *out = ch->stats;
    out->window_bytes = ch->congestion.window_bytes;
    out->flight_bytes = ch->recovery.flight_bytes;
    out->payload_bytes = ki_channel_payload_bytes(ch);
    out->smoothed_ns = ch->recovery.rtt.smoothed_ns;
    out->send_bytes = ch->out_bytes;
    out->reassembly_bytes = ch->in_bytes;
}
