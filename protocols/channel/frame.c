/* SPDX-License-Identifier: MIT
 *
 * Frames, read and written: see frame.h.
 */
#include "frame.h"

#include "cursor.h"

/* What fits into a packet number. */
#define NUMBER_END (UINT64_C(1) << 48)
/* Messages of a stream can be counted for ever. */
#define MESSAGE_NUMBER_MAX (UINT64_C(1) << 60)

bool kirim_channel_frame_is_eliciting(uint8_t type)
{
    return type != KIRIM_CHANNEL_PADDING && type != KIRIM_CHANNEL_ACK &&
           type != KIRIM_CHANNEL_ACK_ECN && type != KIRIM_CHANNEL_CLOSE;
}

static bool is_message(uint8_t type)
{
    return type >= KIRIM_CHANNEL_MESSAGE && type <= KIRIM_CHANNEL_MESSAGE_LAST;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The next lower range: `end` is one above its highest number. */
static bool add_range(struct kirim_channel_ack *ack, uint64_t end, uint64_t less_one)
{
    if (less_one >= end) {
        return false;
    }
    ack->range[ack->range_count].first = end - less_one - 1;
    ack->range[ack->range_count].end = end;
    ack->range_count++;
    return true;
}

static bool read_ack(struct ki_channel_reader *r, bool has_ecn, struct kirim_channel_ack *ack)
{
    const uint64_t largest = ki_channel_get_varint(r);
    ack->delay_us = ki_channel_get_varint(r);
    const uint64_t further = ki_channel_get_varint(r);
    if (largest >= NUMBER_END || further >= KIRIM_CHANNEL_RANGES_MAX ||
        !add_range(ack, largest + 1, ki_channel_get_varint(r))) {
        return false;
    }
    for (uint64_t i = 0; i < further; i++) {
        const uint64_t before = ack->range[ack->range_count - 1].first;
        const uint64_t gap = ki_channel_get_varint(r) + 1;
        const uint64_t less_one = ki_channel_get_varint(r);
        if (r->has_failed || gap >= before || !add_range(ack, before - gap, less_one)) {
            return false;
        }
    }
    if (has_ecn) {
        ack->ect0 = ki_channel_get_varint(r);
        ack->ect1 = ki_channel_get_varint(r);
        ack->ce = ki_channel_get_varint(r);
    }
    return !r->has_failed;
}

static bool read_message(struct ki_channel_reader *r, struct kirim_channel_frame *f)
{
    f->mode = (uint8_t)((f->type - KIRIM_CHANNEL_MESSAGE) / 2);
    f->is_fragment = (f->type & 1) != 0;
    f->stream = ki_channel_get_varint(r);
    f->number = ki_channel_get_varint(r);
    if (f->is_fragment) {
        f->total_bytes = ki_channel_get_varint(r);
        f->offset = ki_channel_get_varint(r);
    }
    const uint64_t bytes = ki_channel_get_varint(r);
    f->data.data = ki_channel_take(r, bytes);
    f->data.bytes = (size_t)bytes;
    if (!f->is_fragment) {
        f->total_bytes = bytes;
        return !r->has_failed && f->number < MESSAGE_NUMBER_MAX;
    }
    return !r->has_failed && bytes > 0 && f->number < MESSAGE_NUMBER_MAX &&
           bytes <= f->total_bytes && f->offset <= f->total_bytes - bytes;
}

static bool read_close(struct ki_channel_reader *r, struct kirim_channel_frame *f)
{
    f->code = ki_channel_get_varint(r);
    f->proof = ki_channel_take(r, KIRIM_CHANNEL_RESET_BYTES);
    const uint64_t bytes = ki_channel_get_varint(r);
    f->data.data = ki_channel_take(r, bytes);
    f->data.bytes = (size_t)bytes;
    return !r->has_failed && bytes <= KIRIM_CHANNEL_TEXT_BYTES_MAX;
}

static void skip_padding(struct ki_channel_reader *r)
{
    while (ki_channel_left(r) > 0 && r->data[r->at] == KIRIM_CHANNEL_PADDING) {
        r->at++;
    }
}

static bool read_body(struct ki_channel_reader *r, struct kirim_channel_frame *f)
{
    switch (f->type) {
    case KIRIM_CHANNEL_PADDING:
        skip_padding(r);
        return true;
    case KIRIM_CHANNEL_PING:
        return true;
    case KIRIM_CHANNEL_ACK:
    case KIRIM_CHANNEL_ACK_ECN:
        return read_ack(r, f->type == KIRIM_CHANNEL_ACK_ECN, &f->ack);
    case KIRIM_CHANNEL_MAX_STREAM:
        f->stream = ki_channel_get_varint(r);
        f->limit = ki_channel_get_varint(r);
        return !r->has_failed;
    case KIRIM_CHANNEL_MAX_DATA:
        f->limit = ki_channel_get_varint(r);
        return !r->has_failed;
    case KIRIM_CHANNEL_PATH_CHALLENGE:
    case KIRIM_CHANNEL_PATH_RESPONSE:
        f->proof = ki_channel_take(r, KIRIM_CHANNEL_CHALLENGE_BYTES);
        return !r->has_failed;
    case KIRIM_CHANNEL_CLOSE:
        return read_close(r, f);
    default:
        return is_message(f->type) && read_message(r, f);
    }
}

kirim_err kirim_channel_frame_read(struct kirim_channel_span *span, struct kirim_channel_frame *out)
{
    struct ki_channel_reader r = { span->data, span->bytes, 0, false };
    const uint8_t type = (uint8_t)ki_channel_get(&r, 1);
    if (r.has_failed) {
        return KIRIM_EINVAL;
    }
    /* The ranges are 1 KiB: they are not zeroed for every frame. */
    memset(out, 0, offsetof(struct kirim_channel_frame, ack));
    out->ack.range_count = 0;
    out->type = type;
    if (!read_body(&r, out)) {
        return KIRIM_EINVAL;
    }
    span->data += r.at;
    span->bytes -= r.at;
    return KIRIM_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_ack(struct ki_channel_writer *w, bool has_ecn,
                      const struct kirim_channel_ack *ack)
{
    ki_channel_put_varint(w, ack->range[0].end - 1);
    ki_channel_put_varint(w, ack->delay_us);
    ki_channel_put_varint(w, ack->range_count - 1);
    ki_channel_put_varint(w, ack->range[0].end - ack->range[0].first - 1);
    for (size_t i = 1; i < ack->range_count; i++) {
        ki_channel_put_varint(w, ack->range[i - 1].first - ack->range[i].end - 1);
        ki_channel_put_varint(w, ack->range[i].end - ack->range[i].first - 1);
    }
    if (has_ecn) {
        ki_channel_put_varint(w, ack->ect0);
        ki_channel_put_varint(w, ack->ect1);
        ki_channel_put_varint(w, ack->ce);
    }
}

size_t kirim_channel_frame_head_bytes(const struct kirim_channel_frame *frame, uint64_t bytes)
{
    const size_t head = 1 + ki_channel_varint_bytes(frame->stream) +
                        ki_channel_varint_bytes(frame->number) + ki_channel_varint_bytes(bytes);
    return !frame->is_fragment ? head
                               : head + ki_channel_varint_bytes(frame->total_bytes) +
                                     ki_channel_varint_bytes(frame->offset);
}

static void write_message(struct ki_channel_writer *w, const struct kirim_channel_frame *f)
{
    ki_channel_put_varint(w, f->stream);
    ki_channel_put_varint(w, f->number);
    if (f->is_fragment) {
        ki_channel_put_varint(w, f->total_bytes);
        ki_channel_put_varint(w, f->offset);
    }
    ki_channel_put_varint(w, f->data.bytes);
    ki_channel_copy_in(w, f->data.data, f->data.bytes);
}

static void write_body(struct ki_channel_writer *w, const struct kirim_channel_frame *f)
{
    switch (f->type) {
    case KIRIM_CHANNEL_PADDING:
    case KIRIM_CHANNEL_PING:
        break;
    case KIRIM_CHANNEL_ACK:
    case KIRIM_CHANNEL_ACK_ECN:
        write_ack(w, f->type == KIRIM_CHANNEL_ACK_ECN, &f->ack);
        break;
    case KIRIM_CHANNEL_MAX_STREAM:
        ki_channel_put_varint(w, f->stream);
        ki_channel_put_varint(w, f->limit);
        break;
    case KIRIM_CHANNEL_MAX_DATA:
        ki_channel_put_varint(w, f->limit);
        break;
    case KIRIM_CHANNEL_PATH_CHALLENGE:
    case KIRIM_CHANNEL_PATH_RESPONSE:
        ki_channel_copy_in(w, f->proof, KIRIM_CHANNEL_CHALLENGE_BYTES);
        break;
    case KIRIM_CHANNEL_CLOSE:
        ki_channel_put_varint(w, f->code);
        ki_channel_copy_in(w, f->proof, KIRIM_CHANNEL_RESET_BYTES);
        ki_channel_put_varint(w, f->data.bytes);
        ki_channel_copy_in(w, f->data.data, f->data.bytes);
        break;
    default:
        write_message(w, f);
        break;
    }
}

size_t kirim_channel_frame_write(const struct kirim_channel_frame *frame, uint8_t *room,
                                 size_t room_bytes)
{
    struct ki_channel_writer w = { room, room_bytes, 0, false };
    uint8_t type = frame->type;
    if (is_message(type)) {
        type = (uint8_t)(KIRIM_CHANNEL_MESSAGE + 2 * frame->mode + (frame->is_fragment ? 1 : 0));
    }
    ki_channel_put(&w, type, 1);
    write_body(&w, frame);
    return w.has_failed ? 0 : w.at;
}
