/* SPDX-License-Identifier: MIT
 *
 * Messages of the peer: put together, brought in order, handed over once, and counted against the
 * windows. A message that comes whole and in time is handed over from the packet; memory is taken
 * for what has to wait, for all of it at its first part, so that what was begun can be finished.
 * One thread.
 */
#include "parts.h"

enum { SLOTS_MIN = 16, RAISE_PARTS = 4, GROWTH_PARTS = 4 };

/* Its address stands for a message that was handed over before an earlier one; never read. */
static const uint64_t over_mark;

static struct ki_channel_in *over(void)
{
    return (struct ki_channel_in *)(uintptr_t)&over_mark;
}

static uint64_t cost_of(uint64_t bytes)
{
    return bytes + KI_CHANNEL_COST;
}

static bool is_waiting(const struct ki_channel_in *x)
{
    return x != NULL && x != over();
}

static bool is_whole(const struct ki_channel_in *x)
{
    return is_waiting(x) && x->have_bytes == x->bytes;
}

/* ---- streams --------------------------------------------------------------------------------- */

void ki_channel_receive_free(struct kirim_channel *ch)
{
    for (uint32_t i = 0; i < ch->options.params.stream_count; i++) {
        struct ki_channel_in_stream *const s = ch->in[i];
        if (s == NULL) {
            continue;
        }
        for (uint32_t slot = 0; slot < s->room; slot++) {
            if (is_waiting(s->slot[slot])) {
                ki_channel_waiting_free(ch, s->slot[slot]);
            }
        }
        if (s->newest != NULL) {
            ki_channel_waiting_free(ch, s->newest);
        }
        ki_channel_room_give(ch, s->slot, s->room * KI_CHANNEL_POINTER_BYTES);
        ki_channel_delete(ch, s, sizeof *s);
        ch->in[i] = NULL;
    }
}

static struct ki_channel_in_stream *stream_of(struct kirim_channel *ch, uint32_t id)
{
    struct ki_channel_in_stream *s = ch->in[id];
    if (s == NULL) {
        s = ki_channel_new(ch, sizeof *s);
        if (s != NULL) {
            s->id = id;
            s->limit = ch->options.params.stream_window_bytes;
            ch->in[id] = s;
        }
    }
    return s;
}

/* ---- slots ----------------------------------------------------------------------------------- */

static struct ki_channel_in **slot_of(struct ki_channel_in_stream *s, uint64_t number)
{
    return &s->slot[number & (s->room - 1)];
}

/* Room for the slots of s->next .. number. */
static bool grow_slots(struct kirim_channel *ch, struct ki_channel_in_stream *s, uint64_t number)
{
    uint32_t room = s->room == 0 ? SLOTS_MIN : s->room;
    while (number - s->next >= room) {
        room *= 2; /* the windows bound it */
    }
    if (room == s->room) {
        return true;
    }
    struct ki_channel_in **const slot = ki_channel_room_take(ch, room * KI_CHANNEL_POINTER_BYTES);
    if (slot == NULL) {
        return false;
    }
    memset(slot, 0, room * KI_CHANNEL_POINTER_BYTES);
    for (uint64_t n = s->next; n < s->end; n++) {
        slot[n & (room - 1)] = *slot_of(s, n);
    }
    ki_channel_room_give(ch, s->slot, s->room * KI_CHANNEL_POINTER_BYTES);
    s->slot = slot;
    s->room = room;
    return true;
}

static struct ki_channel_in *find(struct ki_channel_in_stream *s, uint64_t number)
{
    return number >= s->next && number < s->end ? *slot_of(s, number) : NULL;
}

static void put(struct ki_channel_in_stream *s, uint64_t number, struct ki_channel_in *x)
{
    *slot_of(s, number) = x;
    s->end = number >= s->end ? number + 1 : s->end;
}

/* ---- handing over ---------------------------------------------------------------------------- */

/* Whether a limit is to be raised: a quarter of the window has been taken since, or the longest
 * message would not fit below it. */
static bool is_low(const struct kirim_channel_params *p, uint64_t limit, uint64_t taken,
                   uint64_t window)
{
    return taken + window - limit >= window / RAISE_PARTS ||
           limit - taken < cost_of(p->message_bytes_max);
}

/* The peer may send more. */
static void raise_limits(struct kirim_channel *ch, struct ki_channel_in_stream *s, uint64_t cost)
{
    const struct kirim_channel_params *const p = &ch->options.params;
    s->taken += cost;
    ch->in_taken += cost;
    if (is_low(p, s->limit, s->taken, p->stream_window_bytes)) {
        s->limit = s->taken + p->stream_window_bytes;
        s->owes_limit = true;
    }
    if (is_low(p, ch->in_limit, ch->in_taken, p->window_bytes)) {
        ch->in_limit = ch->in_taken + p->window_bytes;
        ch->owes_max_data = true;
    }
}

static void hand_over(struct kirim_channel *ch, const struct ki_channel_in_stream *s,
                      uint64_t number, const uint8_t *data, size_t bytes)
{
    const struct kirim_channel_message message = { s->id, s->mode, number, data, bytes };
    ch->refused_ns = KIRIM_NEVER;
    ch->stats.rx_messages++;
    ch->stats.rx_message_bytes += bytes;
    if (ch->handler.received != NULL) {
        ch->handler.received(ch, &message, ch->options.user);
    }
}

/* Moves s->next over what was handed over. */
static void advance(struct ki_channel_in_stream *s)
{
    while (s->next < s->end && *slot_of(s, s->next) == over()) {
        *slot_of(s, s->next) = NULL;
        s->next++;
    }
    s->end = s->next > s->end ? s->next : s->end;
}

/* Hands one message over that waits and is whole. */
static void hand_over_waiting(struct kirim_channel *ch, struct ki_channel_in_stream *s,
                              uint64_t number)
{
    struct ki_channel_in *const x = *slot_of(s, number);
    *slot_of(s, number) = over();
    advance(s);
    raise_limits(ch, s, cost_of(x->bytes));
    hand_over(ch, s, number, x->data, x->bytes);
    ki_channel_waiting_free(ch, x);
}

static bool is_held(const struct kirim_channel *ch, const struct ki_channel_in_stream *s)
{
    return s->is_held && !ch->is_last;
}

/* What can be handed over of a stream, from the lowest number on. */
static void hand_over_all(struct kirim_channel *ch, struct ki_channel_in_stream *s)
{
    if (s->mode == KIRIM_CHANNEL_SEQUENCED) {
        struct ki_channel_in *const x = s->newest;
        if (x != NULL && x->have_bytes == x->bytes && !is_held(ch, s) && ki_channel_is_live(ch)) {
            s->newest = NULL;
            s->next = x->number + 1;
            hand_over(ch, s, x->number, x->data, x->bytes);
            ki_channel_waiting_free(ch, x);
        }
        return;
    }
    const bool is_ordered = s->mode == KIRIM_CHANNEL_ORDERED;
    for (uint64_t n = s->next; n < s->end && !is_held(ch, s) && ki_channel_is_live(ch); n++) {
        const struct ki_channel_in *const x = find(s, n);
        if (is_whole(x)) {
            hand_over_waiting(ch, s, n);
        } else if (is_ordered) {
            return;
        }
    }
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Puts the part of a frame into its message. KIRIM_ENOBUFS: others have to come before. */
static kirim_err add_part(struct kirim_channel *ch, struct ki_channel_in *x,
                          const struct kirim_channel_frame *f)
{
    const struct ki_channel_memory memory = ki_channel_range_memory(ch);
    uint64_t added = 0;
    if (x->bytes != f->total_bytes) {
        ki_channel_fail(ch, KIRIM_CHANNEL_CODE_PROTOCOL, "a message changed its length");
        return KIRIM_EINVAL;
    }
    if (!ki_channel_ranges_add(&x->have, &memory, f->offset, f->offset + f->data.bytes, &added)) {
        return ki_channel_ranges_are_full(&x->have, f->offset) ? KIRIM_ENOBUFS : KIRIM_ENOMEM;
    }
    if (added > 0) {
        memcpy(x->data + f->offset, f->data.data, f->data.bytes);
    }
    x->have_bytes += added;
    return KIRIM_OK;
}

/* Counts a message that begins against the windows. */
static bool begin(struct kirim_channel *ch, struct ki_channel_in_stream *s, uint64_t cost)
{
    if (s->used + cost > s->limit || ch->in_used + cost > ch->in_limit) {
        ki_channel_fail(ch, KIRIM_CHANNEL_CODE_LIMIT, "more than the windows permit");
        return false;
    }
    s->used += cost;
    ch->in_used += cost;
    return true;
}

/* The lowest number of a stream that is not whole; nothing but what is held lies before it. */
static uint64_t lowest_missing(struct ki_channel_in_stream *s)
{
    uint64_t number = s->whole > s->next ? s->whole : s->next;
    while (number < s->end && (*slot_of(s, number) == over() || is_whole(*slot_of(s, number)))) {
        number++;
    }
    s->whole = number;
    return number;
}

/* The first part of a message that has no memory yet. */
static kirim_err receive_first(struct kirim_channel *ch, struct ki_channel_in_stream *s,
                               const struct kirim_channel_frame *f)
{
    const bool is_next = f->number == s->next;
    const bool is_direct = f->data.bytes == f->total_bytes && !s->is_held &&
                           (is_next || s->mode == KIRIM_CHANNEL_UNORDERED);
    struct ki_channel_in *x = NULL;
    if (!(is_direct && is_next && s->end == s->next) && !grow_slots(ch, s, f->number)) {
        return KIRIM_ENOMEM;
    }
    if (!is_direct) {
        x = ki_channel_waiting_new(ch, f, f->total_bytes);
        const kirim_err err = x != NULL ? add_part(ch, x, f) : KIRIM_ENOMEM;
        if (err < 0) {
            if (x != NULL) {
                ki_channel_waiting_free(ch, x);
            }
            return err;
        }
    }
    if (!begin(ch, s, cost_of(f->total_bytes))) {
        if (x != NULL) {
            ki_channel_waiting_free(ch, x);
        }
        return KIRIM_EINVAL;
    }
    if (!is_direct) {
        put(s, f->number, x);
        return KIRIM_OK;
    }
    if (is_next && s->end == s->next) {
        s->next = s->end = f->number + 1;
    } else {
        put(s, f->number, over());
        advance(s);
    }
    raise_limits(ch, s, cost_of(f->total_bytes));
    hand_over(ch, s, f->number, f->data.data, f->data.bytes);
    return KIRIM_OK;
}

static kirim_err receive_reliable(struct kirim_channel *ch, struct ki_channel_in_stream *s,
                                  const struct kirim_channel_frame *f)
{
    struct ki_channel_in *const x = find(s, f->number);
    if (f->number < s->next || x == over() || is_whole(x)) {
        return KIRIM_OK; /* it was sent more than once */
    }
    if (f->number >= lowest_missing(s) + KI_CHANNEL_NUMBERS_MAX) {
        ki_channel_fail(ch, KIRIM_CHANNEL_CODE_LIMIT, "too many messages under way");
        return KIRIM_EINVAL;
    }
    const kirim_err err = x != NULL ? add_part(ch, x, f) : receive_first(ch, s, f);
    if (err < 0) {
        return err;
    }
    if (s->mode == KIRIM_CHANNEL_ORDERED) {
        hand_over_all(ch, s);
    } else if (!s->is_held && ki_channel_is_live(ch) && is_whole(find(s, f->number))) {
        hand_over_waiting(ch, s, f->number);
    }
    return KIRIM_OK;
}

/* Room for a message that is longer than the one it takes the place of: more than it needs, so that
 * a row of ever longer ones does not ask for memory with each. */
static uint64_t grown_room(const struct kirim_channel *ch, const struct ki_channel_in *old,
                           const struct kirim_channel_frame *f)
{
    const uint64_t most = ch->options.params.message_bytes_max;
    const uint64_t more = old->room + (uint64_t)old->room / GROWTH_PARTS;
    const uint64_t room = more > f->total_bytes ? more : f->total_bytes;
    return room < most ? room : most;
}

/* Of a sequenced stream only the newest message counts, and what finds no room is left out. */
static kirim_err receive_sequenced(struct kirim_channel *ch, struct ki_channel_in_stream *s,
                                   const struct kirim_channel_frame *f)
{
    const bool is_direct = f->data.bytes == f->total_bytes && !s->is_held;
    uint64_t room = f->total_bytes;
    if (f->number < s->next || (s->newest != NULL && f->number < s->newest->number) ||
        (s->newest != NULL && f->number == s->newest->number && is_whole(s->newest))) {
        ch->stats.rx_stale += f->data.bytes == f->total_bytes ? 1 : 0;
        return KIRIM_OK;
    }
    if (s->newest != NULL && f->number > s->newest->number) {
        ch->stats.rx_stale++;
        if (is_direct || !ki_channel_waiting_reuse(s->newest, f)) {
            room = grown_room(ch, s->newest, f);
            ki_channel_waiting_free(ch, s->newest);
            s->newest = NULL;
        }
    }
    if (s->newest == NULL && is_direct) {
        s->next = f->number + 1;
        hand_over(ch, s, f->number, f->data.data, f->data.bytes);
        return KIRIM_OK;
    }
    if (s->newest == NULL) {
        /* What waits is twice what the windows permit, at the most. */
        const uint64_t most = 2 * (uint64_t)ch->options.params.window_bytes;
        s->newest = ch->in_bytes + room <= most ? ki_channel_waiting_new(ch, f, room) : NULL;
        if (s->newest == NULL) {
            ch->stats.rx_stale++;
            return KIRIM_OK;
        }
    }
    const kirim_err err = add_part(ch, s->newest, f);
    if (err == KIRIM_ENOMEM || err == KIRIM_ENOBUFS) {
        return KIRIM_OK;
    }
    if (err == KIRIM_OK) {
        hand_over_all(ch, s);
    }
    return err;
}

kirim_err ki_channel_receive(struct kirim_channel *ch, const struct kirim_channel_frame *f)
{
    if (f->stream >= ch->options.params.stream_count ||
        f->total_bytes > ch->options.params.message_bytes_max) {
        ki_channel_fail(ch, KIRIM_CHANNEL_CODE_LIMIT, "a stream or a message beyond the bounds");
        return KIRIM_EINVAL;
    }
    struct ki_channel_in_stream *const s = stream_of(ch, (uint32_t)f->stream);
    if (s == NULL) {
        return KIRIM_ENOMEM;
    }
    if (s->is_known && s->mode != f->mode) {
        ki_channel_fail(ch, KIRIM_CHANNEL_CODE_PROTOCOL, "a stream changed its mode");
        return KIRIM_EINVAL;
    }
    s->is_known = true;
    s->mode = f->mode;
    return s->mode == KIRIM_CHANNEL_SEQUENCED ? receive_sequenced(ch, s, f)
                                              : receive_reliable(ch, s, f);
}

/* ---- holding --------------------------------------------------------------------------------- */

kirim_err kirim_channel_hold(struct kirim_channel *ch, uint32_t stream, bool is_held)
{
    if (stream >= ch->options.params.stream_count) {
        return KIRIM_EINVAL;
    }
    struct ki_channel_in_stream *const s = stream_of(ch, stream);
    if (s == NULL) {
        return KIRIM_ENOMEM;
    }
    const bool is_released = s->is_held && !is_held;
    s->is_held = is_held;
    if (!is_released) {
        return KIRIM_OK; /* what was not held has kept nothing */
    }
    s->owes_messages = ch->owes_messages = true;
    if (!ch->is_inside) {
        ki_channel_settle(ch);
        if (ch->options.wake != NULL) {
            ch->options.wake(ch->options.wake_user);
        }
    }
    return KIRIM_OK;
}

void ki_channel_receive_release(struct kirim_channel *ch)
{
    for (uint32_t i = 0; i < ch->options.params.stream_count; i++) {
        struct ki_channel_in_stream *const s = ch->in[i];
        if (s != NULL && s->is_known && (s->owes_messages || ch->is_last)) {
            s->owes_messages = false;
            hand_over_all(ch, s);
        }
    }
}

/* ---- limits ---------------------------------------------------------------------------------- */

static bool pack_limit(struct kirim_channel *ch, struct ki_channel_packing *pk,
                       const struct kirim_channel_frame *f, uint32_t kind)
{
    struct ki_channel_record *const record = ki_channel_record_new(ch, kind);
    const size_t bytes =
        record != NULL ? kirim_channel_frame_write(f, pk->w.data + pk->w.at, ki_channel_left_in(pk))
                       : 0;
    if (bytes == 0) {
        if (record != NULL) {
            ki_channel_record_free(ch, record);
        }
        return false;
    }
    record->number = f->stream;
    record->next = pk->records;
    pk->records = record;
    pk->w.at += bytes;
    pk->is_eliciting = true;
    return true;
}

void ki_channel_receive_pack(struct kirim_channel *ch, struct ki_channel_packing *pk)
{
    struct kirim_channel_frame f;
    memset(&f, 0, offsetof(struct kirim_channel_frame, ack));
    if (ch->owes_max_data) {
        f.type = KIRIM_CHANNEL_MAX_DATA;
        f.limit = ch->in_limit;
        ch->owes_max_data = !pack_limit(ch, pk, &f, KI_CHANNEL_RECORD_MAX_DATA);
    }
    for (uint32_t i = 0; i < ch->options.params.stream_count; i++) {
        struct ki_channel_in_stream *const s = ch->in[i];
        if (s != NULL && s->owes_limit) {
            f.type = KIRIM_CHANNEL_MAX_STREAM;
            f.stream = i;
            f.limit = s->limit;
            s->owes_limit = !pack_limit(ch, pk, &f, KI_CHANNEL_RECORD_MAX_STREAM);
        }
    }
}

bool ki_channel_receive_has(const struct kirim_channel *ch)
{
    bool has = ch->owes_max_data;
    for (uint32_t i = 0; !has && i < ch->options.params.stream_count; i++) {
        has = ch->in[i] != NULL && ch->in[i]->owes_limit;
    }
    return has;
}
