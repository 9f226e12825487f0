/* SPDX-License-Identifier: MIT
 *
 * Packets, read and written: see wire.h.
 */
#include "wire.h"

#include "cursor.h"

enum { DATAGRAM_BYTES_MIN = 256, IDLE_MS_MIN = 1000, ACK_DELAY_MS_MAX = 1000 };

/* What a message counts beside its bytes: docs/channel.md, section 4. */
enum { MESSAGE_COST = 64 };

bool kirim_channel_params_are_valid(const struct kirim_channel_params *params)
{
    const uint64_t least = (uint64_t)params->message_bytes_max + MESSAGE_COST;
    return params->datagram_bytes_max >= DATAGRAM_BYTES_MIN &&
           params->message_bytes_max <= KIRIM_CHANNEL_MESSAGE_BYTES_MAX &&
           params->stream_window_bytes >= least &&
           params->window_bytes >= params->stream_window_bytes && params->stream_count >= 1 &&
           params->stream_count <= KIRIM_CHANNEL_STREAM_COUNT_MAX &&
           params->ack_delay_ms <= ACK_DELAY_MS_MAX && params->idle_ms >= IDLE_MS_MIN;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void get_params(struct ki_channel_reader *r, struct kirim_channel_params *out)
{
    out->datagram_bytes_max = (uint32_t)ki_channel_get(r, 4);
    out->window_bytes = (uint32_t)ki_channel_get(r, 4);
    out->stream_window_bytes = (uint32_t)ki_channel_get(r, 4);
    out->message_bytes_max = (uint32_t)ki_channel_get(r, 4);
    out->stream_count = (uint16_t)ki_channel_get(r, 2);
    out->ack_delay_ms = (uint16_t)ki_channel_get(r, 2);
    out->idle_ms = (uint32_t)ki_channel_get(r, 4);
}

static void get_token(struct ki_channel_reader *r, struct kirim_channel_packet *p)
{
    p->token.bytes = (size_t)ki_channel_get(r, 1);
    p->token.data = ki_channel_take(r, p->token.bytes);
}

/* What TOKEN and BEGIN say of their sender. */
static kirim_err get_sender(struct ki_channel_reader *r, struct kirim_channel_packet *p)
{
    p->version = (uint8_t)ki_channel_get(r, 1);
    ki_channel_copy_out(r, p->from, sizeof p->from);
    ki_channel_copy_out(r, p->reset, sizeof p->reset);
    get_params(r, &p->params);
    get_token(r, p);
    if (r->has_failed) {
        return KIRIM_EINVAL;
    }
    if (p->version != KIRIM_CHANNEL_VERSION) {
        return KIRIM_EOPNOTSUPP;
    }
    return kirim_channel_params_are_valid(&p->params) ? KIRIM_OK : KIRIM_EINVAL;
}

static void get_rest(struct ki_channel_reader *r, struct kirim_channel_packet *p)
{
    p->rest.bytes = ki_channel_left(r);
    p->rest.data = ki_channel_take(r, p->rest.bytes);
}

static kirim_err read_body(struct ki_channel_reader *r, struct kirim_channel_packet *p)
{
    switch (p->kind) {
    case KIRIM_CHANNEL_HELLO:
        p->version = (uint8_t)ki_channel_get(r, 1);
        ki_channel_copy_out(r, p->from, sizeof p->from);
        return p->version == KIRIM_CHANNEL_VERSION || r->has_failed ? KIRIM_OK : KIRIM_EOPNOTSUPP;
    case KIRIM_CHANNEL_TOKEN:
        ki_channel_copy_out(r, p->to, sizeof p->to);
        return get_sender(r, p);
    case KIRIM_CHANNEL_BEGIN:
        ki_channel_copy_out(r, p->to, sizeof p->to);
        p->number = ki_channel_get(r, 6);
        const kirim_err err = get_sender(r, p);
        get_rest(r, p);
        return err;
    case KIRIM_CHANNEL_DATA:
        ki_channel_copy_out(r, p->to, sizeof p->to);
        p->number = ki_channel_get(r, 6);
        get_rest(r, p);
        return KIRIM_OK;
    case KIRIM_CHANNEL_RESET:
        ki_channel_copy_out(r, p->reset, sizeof p->reset);
        return KIRIM_OK;
    case KIRIM_CHANNEL_VERSIONS:
        ki_channel_copy_out(r, p->to, sizeof p->to);
        p->version = (uint8_t)ki_channel_get(r, 1);
        p->rest.bytes = (size_t)ki_channel_get(r, 1);
        p->rest.data = ki_channel_take(r, p->rest.bytes);
        return p->rest.bytes > 0 ? KIRIM_OK : KIRIM_EINVAL;
    default:
        return KIRIM_EINVAL;
    }
}

kirim_err kirim_channel_packet_read(const uint8_t *data, size_t bytes,
                                    struct kirim_channel_packet *out)
{
    struct ki_channel_reader r = { data, bytes, 0, false };
    struct kirim_channel_packet p;
    memset(&p, 0, sizeof p);
    p.kind = (uint8_t)ki_channel_get(&r, 1);
    const kirim_err err = r.has_failed ? KIRIM_EINVAL : read_body(&r, &p);
    if (r.has_failed) {
        return KIRIM_EINVAL;
    }
    if (err == KIRIM_OK || (err == KIRIM_EOPNOTSUPP && p.kind == KIRIM_CHANNEL_HELLO)) {
        *out = p;
    }
    return err;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_params(struct ki_channel_writer *w, const struct kirim_channel_params *params)
{
    ki_channel_put(w, params->datagram_bytes_max, 4);
    ki_channel_put(w, params->window_bytes, 4);
    ki_channel_put(w, params->stream_window_bytes, 4);
    ki_channel_put(w, params->message_bytes_max, 4);
    ki_channel_put(w, params->stream_count, 2);
    ki_channel_put(w, params->ack_delay_ms, 2);
    ki_channel_put(w, params->idle_ms, 4);
}

static void put_sender(struct ki_channel_writer *w, const struct kirim_channel_packet *p)
{
    ki_channel_put(w, p->version, 1);
    ki_channel_copy_in(w, p->from, sizeof p->from);
    ki_channel_copy_in(w, p->reset, sizeof p->reset);
    put_params(w, &p->params);
    ki_channel_put(w, p->token.bytes, 1);
    ki_channel_copy_in(w, p->token.data, p->token.bytes);
}

static void write_body(struct ki_channel_writer *w, const struct kirim_channel_packet *p)
{
    switch (p->kind) {
    case KIRIM_CHANNEL_HELLO:
        ki_channel_put(w, p->version, 1);
        ki_channel_copy_in(w, p->from, sizeof p->from);
        if (!w->has_failed) {
            memset(w->data + w->at, 0, w->bytes - w->at);
            w->at = w->bytes;
        }
        break;
    case KIRIM_CHANNEL_TOKEN:
        ki_channel_copy_in(w, p->to, sizeof p->to);
        put_sender(w, p);
        break;
    case KIRIM_CHANNEL_BEGIN:
        ki_channel_copy_in(w, p->to, sizeof p->to);
        ki_channel_put(w, p->number, 6);
        put_sender(w, p);
        break;
    case KIRIM_CHANNEL_DATA:
        ki_channel_copy_in(w, p->to, sizeof p->to);
        ki_channel_put(w, p->number, 6);
        break;
    case KIRIM_CHANNEL_RESET:
        ki_channel_copy_in(w, p->reset, sizeof p->reset);
        break;
    case KIRIM_CHANNEL_VERSIONS:
        ki_channel_copy_in(w, p->to, sizeof p->to);
        ki_channel_put(w, p->version, 1);
        ki_channel_put(w, 1, 1);
        ki_channel_put(w, KIRIM_CHANNEL_VERSION, 1);
        break;
    default:
        w->has_failed = true;
        break;
    }
}

size_t kirim_channel_packet_write(const struct kirim_channel_packet *packet, uint8_t *room,
                                  size_t room_bytes)
{
    struct ki_channel_writer w = { room, room_bytes, 0, false };
    if (packet->token.bytes > KIRIM_CHANNEL_TOKEN_BYTES_MAX) {
        return 0;
    }
    ki_channel_put(&w, packet->kind, 1);
    write_body(&w, packet);
    return w.has_failed ? 0 : w.at;
}
