/* SPDX-License-Identifier: MIT
 *
 * Messages to the peer: queues of streams, windows, and the frames that carry them. A message is
 * kept until all its parts are acknowledged; a part that is lost waits in its stream until it is
 * sent anew, cut as the packet at hand permits. Streams take turns, a frame each. One thread.
 */
#include "parts.h"

enum { PART_BYTES_MIN = 64 }; /* a shorter part waits for the next packet */

/* ---- messages -------------------------------------------------------------------------------- */

static size_t out_size(const struct ki_channel_out *m)
{
    return sizeof *m + m->bytes;
}

static void release(struct kirim_channel *ch, struct ki_channel_out *m)
{
    if (m->is_gone && m->record_count == 0) {
        ki_channel_ranges_free(&m->acked, &ch->memory);
        ki_channel_delete(ch, m, out_size(m));
    }
}

/* Takes a message out of its stream: acknowledged, or given up. */
static void unlink_message(struct kirim_channel *ch, struct ki_channel_out *m)
{
    struct ki_channel_out_stream *const s = m->stream;
    if (s->unsent == m) {
        s->unsent = m->next;
    }
    *(m->prev != NULL ? &m->prev->next : &s->first) = m->next;
    *(m->next != NULL ? &m->next->prev : &s->last) = m->prev;
    s->waiting_count -= m->is_begun ? 0 : 1;
    m->is_gone = true;
    ch->out_bytes -= m->bytes;
    ch->out_count--;
}

static void give_up(struct kirim_channel *ch, struct ki_channel_out *m)
{
    unlink_message(ch, m);
    ch->stats.tx_abandoned++;
    release(ch, m);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void activate(struct kirim_channel *ch, struct ki_channel_out_stream *s)
{
    if (s->next_active != NULL) {
        return;
    }
    if (ch->active == NULL) {
        s->next_active = s;
        ch->active = s;
    } else {
        /* Behind the last served one's followers: it is served last. */
        s->next_active = ch->active->next_active;
        ch->active->next_active = s;
        ch->active = s;
    }
}

/* Takes the stream behind `before` out of the ring. */
static void deactivate(struct kirim_channel *ch, struct ki_channel_out_stream *before)
{
    struct ki_channel_out_stream *const s = before->next_active;
    if (s == before) {
        ch->active = NULL;
    } else {
        before->next_active = s->next_active;
        ch->active = ch->active == s ? before : ch->active;
    }
    s->next_active = NULL;
}

static struct ki_channel_out_stream *stream_of(struct kirim_channel *ch, uint32_t id, uint32_t mode)
{
    struct ki_channel_out_stream *s = ch->out[id];
    if (s == NULL) {
        s = ki_channel_new(ch, sizeof *s);
        if (s != NULL) {
            s->id = id;
            s->mode = mode;
            s->limit = ch->peer_params.stream_window_bytes;
            s->lost_end = &s->lost;
            ch->out[id] = s;
        }
    }
    return s;
}

static kirim_err check_send(const struct kirim_channel *ch, uint32_t stream, uint32_t mode,
                            size_t bytes)
{
    if (!ki_channel_is_live(ch) || ch->is_finishing) {
        return KIRIM_ECLOSED;
    }
    const uint32_t known = ch->state == KI_CHANNEL_ASKING ? ch->options.params.stream_count
                                                          : ch->peer_params.stream_count;
    if (stream >= ch->options.params.stream_count || stream >= known ||
        mode > KIRIM_CHANNEL_SEQUENCED ||
        (ch->out[stream] != NULL && ch->out[stream]->mode != mode)) {
        return KIRIM_EINVAL;
    }
    return bytes > kirim_channel_message_bytes_max(ch) ? KIRIM_EMSGSIZE : KIRIM_OK;
}

static void append(struct kirim_channel *ch, struct ki_channel_out_stream *s,
                   struct ki_channel_out *m)
{
    m->stream = s;
    m->number = s->next_number++;
    m->prev = s->last;
    *(s->last != NULL ? &s->last->next : &s->first) = m;
    s->last = m;
    s->unsent = s->unsent != NULL ? s->unsent : m;
    s->waiting_count++;
    ch->out_bytes += m->bytes;
    ch->out_count++;
    if (s->mode == KIRIM_CHANNEL_SEQUENCED && s->waiting_count > KI_CHANNEL_WAITING_MAX) {
        struct ki_channel_out *const oldest =
            s->unsent->is_begun && s->unsent->next != NULL ? s->unsent->next : s->unsent;
        give_up(ch, oldest);
    }
    activate(ch, s);
}

kirim_err kirim_channel_send(struct kirim_channel *ch, uint32_t stream, uint32_t mode,
                             const void *data, size_t bytes)
{
    if (data == NULL && bytes > 0) {
        return KIRIM_EFAULT;
    }
    const kirim_err err = check_send(ch, stream, mode, bytes);
    if (err < 0) {
        return err;
    }
    /* What is sequenced gives way by itself; the rest waits for room. */
    const uint64_t with = ch->out_bytes + bytes + ch->out_count * KI_CHANNEL_COST;
    if (ch->out_count > 0 && with > ch->options.send_bytes_max) {
        ch->blocked_bytes = ch->is_blocked && ch->blocked_bytes < bytes ? ch->blocked_bytes : bytes;
        ch->is_blocked = true;
        return KIRIM_EWOULDBLOCK;
    }
    struct ki_channel_out_stream *const s = stream_of(ch, stream, mode);
    struct ki_channel_out *const m = s != NULL ? ki_channel_new(ch, sizeof *m + bytes) : NULL;
    if (m == NULL) {
        return KIRIM_ENOMEM;
    }
    m->bytes = (uint32_t)bytes;
    if (bytes > 0) {
        memcpy(m->data, data, bytes);
    }
    append(ch, s, m);
    ch->stats.tx_messages++;
    ch->stats.tx_message_bytes += bytes;
    if (!ch->is_inside && ch->options.wake != NULL) {
        ch->options.wake(ch->options.wake_user);
    }
    return KIRIM_OK;
}

static void free_stream(struct kirim_channel *ch, struct ki_channel_out_stream *s)
{
    while (s->lost != NULL) {
        struct ki_channel_record *const record = s->lost;
        s->lost = record->next;
        ki_channel_send_drop(ch, record);
    }
    while (s->first != NULL) {
        struct ki_channel_out *const m = s->first;
        unlink_message(ch, m);
        m->record_count = 0; /* those that are under way were dropped before */
        release(ch, m);
    }
    ki_channel_delete(ch, s, sizeof *s);
}

void ki_channel_send_free(struct kirim_channel *ch)
{
    for (uint32_t i = 0; i < ch->options.params.stream_count; i++) {
        if (ch->out[i] != NULL) {
            free_stream(ch, ch->out[i]);
            ch->out[i] = NULL;
        }
    }
    ch->active = NULL;
}

/* ---- windows --------------------------------------------------------------------------------- */

static bool may_begin(const struct kirim_channel *ch, const struct ki_channel_out_stream *s,
                      const struct ki_channel_out *m)
{
    const uint64_t cost = (uint64_t)m->bytes + KI_CHANNEL_COST;
    if (ch->state == KI_CHANNEL_ASKING) {
        return false;
    }
    return s->mode == KIRIM_CHANNEL_SEQUENCED ||
           (s->used + cost <= s->limit && ch->out_used + cost <= ch->out_limit &&
            m->number - s->first->number < KI_CHANNEL_NUMBERS_MAX);
}

static void begin(struct kirim_channel *ch, struct ki_channel_out *m)
{
    const uint64_t cost = (uint64_t)m->bytes + KI_CHANNEL_COST;
    m->is_begun = true;
    m->stream->waiting_count--;
    if (m->stream->mode != KIRIM_CHANNEL_SEQUENCED) {
        m->stream->used += cost;
        ch->out_used += cost;
    }
}

bool ki_channel_send_raise(struct kirim_channel *ch, const struct kirim_channel_frame *f)
{
    if (f->type == KIRIM_CHANNEL_MAX_DATA) {
        ch->out_limit = f->limit > ch->out_limit ? f->limit : ch->out_limit;
        return true;
    }
    if (f->stream >= ch->options.params.stream_count || ch->out[f->stream] == NULL) {
        return false; /* the limit of a stream that was never used */
    }
    struct ki_channel_out_stream *const s = ch->out[f->stream];
    s->limit = f->limit > s->limit ? f->limit : s->limit;
    return true;
}

void ki_channel_send_learn(struct kirim_channel *ch)
{
    ch->out_limit = ch->peer_params.window_bytes;
    for (uint32_t i = 0; i < ch->options.params.stream_count; i++) {
        struct ki_channel_out_stream *const s = ch->out[i];
        if (s == NULL) {
            continue;
        }
        s->limit = ch->peer_params.stream_window_bytes;
        bool is_too_much = i >= ch->peer_params.stream_count;
        for (const struct ki_channel_out *m = s->first; m != NULL; m = m->next) {
            is_too_much = is_too_much || m->bytes > ch->peer_params.message_bytes_max;
        }
        if (is_too_much) {
            ki_channel_fail(ch, KIRIM_CHANNEL_CODE_LIMIT, "a message the peer does not take");
            return;
        }
    }
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Writes bytes from .. to-1 of a message, or as many of them as there is room for. `written` gets
 * how many. False: none, for want of room or memory. */
static bool write_part(struct kirim_channel *ch, struct ki_channel_packing *pk,
                       struct ki_channel_out *m, uint32_t from, uint32_t to, uint32_t *written)
{
    struct kirim_channel_frame f;
    const size_t room = ki_channel_left_in(pk);
    memset(&f, 0, offsetof(struct kirim_channel_frame, ack));
    f.type = KIRIM_CHANNEL_MESSAGE;
    f.mode = (uint8_t)m->stream->mode;
    f.stream = m->stream->id;
    f.number = m->number;
    f.total_bytes = m->bytes;
    f.offset = from;
    uint64_t bytes = to - from;
    if (bytes != m->bytes || kirim_channel_frame_head_bytes(&f, bytes) + bytes > room) {
        f.is_fragment = true;
        const size_t head = kirim_channel_frame_head_bytes(&f, room);
        const uint64_t most = head < room ? room - head : 0;
        const bool is_cut = bytes > most;
        const bool would_fit_alone = m->bytes < pk->w.bytes - pk->head_bytes - head;
        if (most == 0 || m->bytes == 0 ||
            (is_cut && pk->is_eliciting &&
             (most < PART_BYTES_MIN || (from == 0 && would_fit_alone)))) {
            return false;
        }
        bytes = is_cut ? most : bytes;
    }
    struct ki_channel_record *const record = ki_channel_record_new(ch, KI_CHANNEL_RECORD_PART);
    if (record == NULL) {
        return false;
    }
    f.data = (struct kirim_channel_span){ m->data + from, (size_t)bytes };
    pk->w.at += kirim_channel_frame_write(&f, pk->w.data + pk->w.at, room);
    pk->is_eliciting = true;
    record->message = m;
    record->offset = from;
    record->bytes = (uint32_t)bytes;
    record->next = pk->records;
    pk->records = record;
    m->record_count++;
    *written = (uint32_t)bytes;
    return true;
}

enum packed { PACKED, NOTHING, FULL };

/* The first lost part of a stream that is still missed; NULL: there is none. */
static struct ki_channel_record *first_lost(struct kirim_channel *ch,
                                            struct ki_channel_out_stream *s)
{
    while (s->lost != NULL) {
        struct ki_channel_record *const record = s->lost;
        const struct ki_channel_out *const m = record->message;
        if (!m->is_gone) {
            const uint64_t end = (uint64_t)record->offset + record->bytes;
            const struct kirim_channel_range gap =
                ki_channel_ranges_gap(&m->acked, record->offset, end);
            record->offset = (uint32_t)gap.first;
            record->bytes = (uint32_t)(end - gap.first);
            if (gap.first < gap.end || m->bytes == 0) {
                return record;
            }
        }
        s->lost = record->next;
        s->lost_end = s->lost == NULL ? &s->lost : s->lost_end;
        ki_channel_send_drop(ch, record);
    }
    return NULL;
}

static enum packed pack_lost(struct kirim_channel *ch, struct ki_channel_packing *pk,
                             struct ki_channel_out_stream *s)
{
    struct ki_channel_record *const record = first_lost(ch, s);
    uint32_t written = 0;
    if (record == NULL) {
        return NOTHING;
    }
    struct ki_channel_out *const m = record->message;
    const struct kirim_channel_range gap =
        ki_channel_ranges_gap(&m->acked, record->offset, (uint64_t)record->offset + record->bytes);
    if (!write_part(ch, pk, m, (uint32_t)gap.first, (uint32_t)gap.end, &written)) {
        return FULL;
    }
    ch->stats.tx_resent_bytes += written;
    record->offset += written;
    record->bytes -= written;
    if (record->bytes == 0) {
        s->lost = record->next;
        s->lost_end = s->lost == NULL ? &s->lost : s->lost_end;
        ki_channel_send_drop(ch, record);
    }
    return PACKED;
}

static enum packed pack_stream(struct kirim_channel *ch, struct ki_channel_packing *pk,
                               struct ki_channel_out_stream *s)
{
    const enum packed lost = pack_lost(ch, pk, s);
    struct ki_channel_out *const m = s->unsent;
    uint32_t written = 0;
    if (lost != NOTHING || m == NULL || (!m->is_begun && !may_begin(ch, s, m))) {
        return lost;
    }
    if (!write_part(ch, pk, m, m->sent_bytes, m->bytes, &written)) {
        return FULL;
    }
    if (!m->is_begun) {
        begin(ch, m);
    }
    m->sent_bytes += written;
    if (m->sent_bytes == m->bytes) {
        s->unsent = m->next;
    }
    return PACKED;
}

void ki_channel_send_pack(struct kirim_channel *ch, struct ki_channel_packing *pk)
{
    const struct ki_channel_out_stream *idle = NULL; /* the first of a row that had nothing */
    while (ch->active != NULL) {
        struct ki_channel_out_stream *const before = ch->active;
        struct ki_channel_out_stream *const s = before->next_active;
        if (s == idle) {
            return;
        }
        const enum packed packed = pack_stream(ch, pk, s);
        if (packed == FULL) {
            return;
        }
        if (packed == NOTHING && s->unsent == NULL) {
            idle = idle == s ? NULL : idle;
            deactivate(ch, before);
            continue;
        }
        idle = packed == PACKED ? NULL : idle != NULL ? idle : s;
        ch->active = s;
    }
}

bool ki_channel_send_has(const struct kirim_channel *ch)
{
    const struct ki_channel_out_stream *s = ch->active;
    if (s == NULL) {
        return false;
    }
    do {
        if (s->lost != NULL ||
            (s->unsent != NULL && (s->unsent->is_begun || may_begin(ch, s, s->unsent)))) {
            return true;
        }
        s = s->next_active;
    } while (s != ch->active);
    return false;
}

/* ---- what became of them --------------------------------------------------------------------- */

void ki_channel_send_drop(struct kirim_channel *ch, struct ki_channel_record *record)
{
    struct ki_channel_out *const m = record->message;
    ki_channel_record_free(ch, record);
    if (m != NULL) {
        m->record_count--;
        release(ch, m);
    }
}

void ki_channel_send_acked(struct kirim_channel *ch, struct ki_channel_record *record)
{
    struct ki_channel_out *const m = record->message;
    uint64_t added = 0;
    if (!m->is_gone) {
        const uint64_t end = (uint64_t)record->offset + record->bytes;
        if (record->bytes == m->bytes) {
            m->acked_bytes = m->bytes;
        } else if (ki_channel_ranges_add(&m->acked, &ch->memory, record->offset, end, &added)) {
            m->acked_bytes += added;
        } else {
            ki_channel_send_lost(ch, record); /* no memory to note it: it goes once more */
            return;
        }
        if (m->acked_bytes == m->bytes) {
            unlink_message(ch, m);
        }
    }
    ki_channel_send_drop(ch, record);
}

static void queue_lost(struct kirim_channel *ch, struct ki_channel_record *record)
{
    struct ki_channel_out_stream *const s = record->message->stream;
    record->next = NULL;
    *s->lost_end = record;
    s->lost_end = &record->next;
    activate(ch, s);
}

void ki_channel_send_lost(struct kirim_channel *ch, struct ki_channel_record *record)
{
    struct ki_channel_out *const m = record->message;
    if (!m->is_gone && m->stream->mode == KIRIM_CHANNEL_SEQUENCED) {
        unlink_message(ch, m);
        ch->stats.tx_abandoned++;
    }
    if (m->is_gone) {
        ki_channel_send_drop(ch, record);
    } else {
        queue_lost(ch, record);
    }
}

bool ki_channel_send_again(struct kirim_channel *ch, const struct ki_channel_record *record)
{
    struct ki_channel_out *const m = record->message;
    if (m->is_gone || m->stream->mode == KIRIM_CHANNEL_SEQUENCED) {
        return false;
    }
    struct ki_channel_record *const copy = ki_channel_record_new(ch, KI_CHANNEL_RECORD_PART);
    if (copy == NULL) {
        return false;
    }
    copy->message = m;
    copy->offset = record->offset;
    copy->bytes = record->bytes;
    m->record_count++;
    queue_lost(ch, copy);
    return true;
}
