/* SPDX-License-Identifier: MIT
 *
 * From HELLO to the first DATA, the client's side of it, and the fixed parts of packets; what a
 * server does before there is a connection stands in gate.c. One thread. Source: docs/channel.md,
 * sections 2 and 5.
 */
#include <kirim/secret.h>

#include "parts.h"

static const uint64_t HELLO_NS = 1000000000;

enum { HELLO_BACKOFF_MAX = 6, LEAVE_FROM = 128 };

size_t ki_channel_write_hello(struct kirim_channel *ch, uint8_t *room, size_t room_bytes,
                              uint64_t now_ns)
{
    struct kirim_channel_packet p;
    const uint32_t most = ki_channel_ceiling_bytes(ch);
    size_t bytes = most < KIRIM_CHANNEL_HELLO_BYTES ? most : KIRIM_CHANNEL_HELLO_BYTES;
    bytes = bytes < room_bytes ? bytes : room_bytes;
    memset(&p, 0, sizeof p);
    p.kind = KIRIM_CHANNEL_HELLO;
    p.version = KIRIM_CHANNEL_VERSION;
    memcpy(p.from, ch->id, sizeof p.from);
    ch->owes_hello = false;
    ch->hello_ns = now_ns + (HELLO_NS << ch->hello_count);
    ch->hello_count += ch->hello_count < HELLO_BACKOFF_MAX ? 1 : 0;
    return kirim_channel_packet_write(&p, room, bytes);
}

/* Leaves a number out, the next one twice as far away as this one. */
static void leave_out(struct kirim_channel *ch)
{
    uint8_t bytes[4];
    if (ch->next_number < (ch->leave_from > 0 ? ch->leave_from : LEAVE_FROM)) {
        return;
    }
    if (ch->leave_out <= ch->left_out) {
        uint64_t chance = 0;
        ch->options.random(ch->options.random_user, bytes, sizeof bytes);
        for (size_t i = 0; i < sizeof bytes; i++) {
            chance = chance << 8 | bytes[i];
        }
        ch->leave_out = ch->next_number + chance % ch->next_number;
    }
    if (ch->next_number == ch->leave_out) {
        ch->left_out = ch->next_number++;
        ch->leave_from = ch->next_number + ch->left_out;
    }
}

size_t ki_channel_write_header(struct kirim_channel *ch, uint8_t *room, size_t room_bytes)
{
    struct kirim_channel_packet p;
    leave_out(ch);
    if (ch->next_number + 1 >= KI_CHANNEL_NUMBER_END) {
        ki_channel_end(ch, KIRIM_ETIMEDOUT);
        return 0;
    }
    memset(&p, 0, sizeof p);
    p.kind = ch->has_heard ? KIRIM_CHANNEL_DATA : KIRIM_CHANNEL_BEGIN;
    memcpy(p.to, ch->peer_id, sizeof p.to);
    p.number = ch->next_number;
    if (p.kind == KIRIM_CHANNEL_BEGIN) {
        p.version = KIRIM_CHANNEL_VERSION;
        memcpy(p.from, ch->id, sizeof p.from);
        memcpy(p.reset, ch->reset, sizeof p.reset);
        p.params = ch->options.params;
        p.token = (struct kirim_channel_span){ ch->token, ch->token_bytes };
    }
    return kirim_channel_packet_write(&p, room, room_bytes);
}

/* The same side, with the same parameters: the first packet was not another one's. */
bool ki_channel_is_own_begin(const struct kirim_channel *ch, const struct kirim_channel_packet *p)
{
    const struct kirim_channel_params *const a = &p->params;
    const struct kirim_channel_params *const b = &ch->peer_params;
    return kirim_secret_equal(p->from, ch->peer_id, sizeof p->from) &&
           kirim_secret_equal(p->reset, ch->peer_reset, sizeof p->reset) &&
           a->datagram_bytes_max == b->datagram_bytes_max && a->window_bytes == b->window_bytes &&
           a->stream_window_bytes == b->stream_window_bytes &&
           a->message_bytes_max == b->message_bytes_max && a->stream_count == b->stream_count &&
           a->ack_delay_ms == b->ack_delay_ms && a->idle_ms == b->idle_ms;
}

void ki_channel_take_token(struct kirim_channel *ch, const struct kirim_channel_packet *p,
                           uint64_t now_ns)
{
    if (ch->is_server || !kirim_secret_equal(p->to, ch->id, sizeof p->to) ||
        ch->state != KI_CHANNEL_ASKING) {
        ch->stats.rx_dropped++; /* not ours, or the answer to a HELLO that was repeated */
        return;
    }
    memcpy(ch->peer_id, p->from, sizeof ch->peer_id);
    memcpy(ch->peer_reset, p->reset, sizeof ch->peer_reset);
    memcpy(ch->token, p->token.data, p->token.bytes);
    ch->token_bytes = (uint32_t)p->token.bytes;
    ch->state = KI_CHANNEL_BEGINNING;
    ch->hello_ns = KIRIM_NEVER;
    ch->owes_ping = true; /* the server hears of it even if there is no message */
    ki_channel_learn(ch, &p->params, now_ns);
}

void ki_channel_take_versions(struct kirim_channel *ch, const struct kirim_channel_packet *p)
{
    bool speaks = false;
    for (size_t i = 0; i < p->rest.bytes; i++) {
        speaks = speaks || p->rest.data[i] == KIRIM_CHANNEL_VERSION;
    }
    if (ch->state != KI_CHANNEL_ASKING || p->version != KIRIM_CHANNEL_VERSION || speaks ||
        !kirim_secret_equal(p->to, ch->id, sizeof p->to)) {
        ch->stats.rx_dropped++;
        return;
    }
    ki_channel_end(ch, KIRIM_EOPNOTSUPP);
}
