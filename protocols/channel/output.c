/* SPDX-License-Identifier: MIT
 *
 * What leaves: one packet for each call, as long as something is due and permitted. An ACK that is
 * owed goes into whatever leaves. One thread. Source: docs/channel.md, section 6.
 */
#include "parts.h"

/* So many ranges make a receiver ask for an acknowledgement of its ACKs, to have fewer. */
enum { RANGES_MANY = 16 };

size_t ki_channel_left_in(const struct ki_channel_packing *pk)
{
    return pk->w.bytes - pk->w.at;
}

/* ---- departures ------------------------------------------------------------------------------ */

static void fill_departure(struct kirim_channel *ch, struct kirim_channel_departure *out,
                           size_t bytes)
{
    out->bytes = bytes;
    out->peer = ch->path.peer;
    out->is_elsewhere = out->is_probe = false;
    out->ecn = 0;
}

/* A packet that is tracked has been written. */
static void note_sent(struct kirim_channel *ch, struct kirim_channel_departure *out,
                      struct ki_channel_record *records, uint32_t flags, uint64_t now_ns)
{
    const uint32_t ecn = ch->congestion.ecn;
    struct ki_channel_sent sent = { ch->next_number - 1, now_ns, records, (uint32_t)out->bytes,
                                    flags };
    if (ecn == KI_CHANNEL_ECN_TRIED || ecn == KI_CHANNEL_ECN_GOOD) {
        sent.flags |= KI_CHANNEL_SENT_ECT;
        out->ecn = KI_CHANNEL_ECT0;
    }
    ki_channel_recovery_sent(ch, &sent);
}

/* ---- kinds of packets ------------------------------------------------------------------------ */

static bool write_close(struct kirim_channel *ch, struct kirim_channel_departure *out,
                        uint64_t now_ns)
{
    struct kirim_channel_frame f;
    const bool is_answer = ch->state == KI_CHANNEL_DRAINING;
    memset(&f, 0, offsetof(struct kirim_channel_frame, ack));
    f.type = KIRIM_CHANNEL_CLOSE;
    f.proof = ch->reset;
    ch->owes_close = false;
    if (!is_answer) {
        f.code = ch->end_code;
        f.data = (struct kirim_channel_span){ (const uint8_t *)ch->end_text, strlen(ch->end_text) };
        ch->close_count++;
        ch->close_ns = now_ns + ki_channel_pto_ns(ch);
    }
    const size_t most = ki_channel_payload_bytes(ch);
    const size_t room = most < out->room_bytes ? most : out->room_bytes;
    const size_t at = ki_channel_write_header(ch, out->data, room);
    if (at == 0) {
        return false; /* a BEGIN whose token leaves no room for anything */
    }
    size_t bytes = kirim_channel_frame_write(&f, out->data + at, room - at);
    if (bytes == 0) {
        f.data.bytes = 0;
        bytes = kirim_channel_frame_write(&f, out->data + at, room - at);
    }
    ch->next_number++;
    fill_departure(ch, out, at + bytes);
    return bytes > 0;
}

/* A probe for the path MTU: PING and padding. */
static bool write_probe(struct kirim_channel *ch, struct kirim_channel_departure *out,
                        uint64_t now_ns)
{
    ch->is_size_held = false;
    if (ch->pmtu.deadline_ns > now_ns || ch->state != KI_CHANNEL_OPEN) {
        return false;
    }
    if (ch->recovery.flight_bytes + ki_channel_ceiling_bytes(ch) > ch->congestion.window_bytes ||
        !ki_channel_recovery_reserve(ch)) {
        ch->is_size_held = true; /* an ACK will make room */
        return false;
    }
    const uint32_t size = kirim_pmtu_probe(&ch->pmtu, now_ns);
    const size_t at = size > 0 ? ki_channel_write_header(ch, out->data, out->room_bytes) : 0;
    if (at == 0 || size > out->room_bytes) {
        return false;
    }
    out->data[at] = KIRIM_CHANNEL_PING;
    memset(out->data + at + 1, KIRIM_CHANNEL_PADDING, size - at - 1);
    ch->next_number++;
    fill_departure(ch, out, size);
    out->is_probe = size > ki_channel_payload_bytes(ch);
    note_sent(ch, out, NULL, KI_CHANNEL_SENT_PROBE, now_ns);
    return true;
}

/* An ACK takes half of a packet at the most. */
static void pack_ack(struct kirim_channel *ch, struct ki_channel_packing *pk, uint64_t now_ns)
{
    struct kirim_channel_frame f;
    const size_t room = ki_channel_left_in(pk) / 2;
    size_t bytes = 0;
    for (size_t most = KIRIM_CHANNEL_RANGES_MAX; bytes == 0 && most > 0; most /= 2) {
        if (!ki_channel_acks_fill(&ch->acks, most, &f, now_ns)) {
            ki_channel_acks_sent(&ch->acks); /* nothing has come that counts */
            return;
        }
        bytes = kirim_channel_frame_write(&f, pk->w.data + pk->w.at, room);
    }
    if (bytes == 0) {
        return;
    }
    pk->w.at += bytes;
    ki_channel_acks_sent(&ch->acks);
    struct ki_channel_record *const record = ki_channel_record_new(ch, KI_CHANNEL_RECORD_ACK);
    if (record != NULL) {
        record->number = f.ack.range[0].end - 1;
        record->next = pk->records;
        pk->records = record;
    }
}

static void pack_ping(struct kirim_channel *ch, struct ki_channel_packing *pk)
{
    if (!pk->is_eliciting && ki_channel_left_in(pk) > 0) {
        pk->w.data[pk->w.at++] = KIRIM_CHANNEL_PING;
        pk->is_eliciting = true;
    }
    ch->owes_ping = false;
}

/* What asks for an acknowledgement. */
static void pack_eliciting(struct kirim_channel *ch, struct ki_channel_packing *pk)
{
    struct ki_channel_recovery *const r = &ch->recovery;
    const bool is_alone = r->owes_lone_ping && r->probe_count <= 1;
    if (!is_alone) {
        ki_channel_receive_pack(ch, pk);
        ki_channel_send_pack(ch, pk);
    }
    if (ch->owes_ping || r->owes_lone_ping) {
        r->owes_lone_ping = r->owes_lone_ping && !is_alone && pk->is_eliciting;
        pack_ping(ch, pk);
    }
}

static void drop_records(struct kirim_channel *ch, struct ki_channel_packing *pk)
{
    while (pk->records != NULL) {
        struct ki_channel_record *const record = pk->records;
        pk->records = record->next;
        ki_channel_send_drop(ch, record);
    }
}

/* Whether something waits that asks for an acknowledgement. */
static bool has_more(const struct kirim_channel *ch)
{
    return ch->owes_ping || ch->recovery.owes_lone_ping || ki_channel_receive_has(ch) ||
           ki_channel_send_has(ch);
}

static bool write_packet(struct kirim_channel *ch, struct kirim_channel_departure *out,
                         uint64_t now_ns)
{
    struct ki_channel_packing pk;
    const size_t most = ki_channel_payload_bytes(ch);
    const bool is_ack_due = ch->acks.deadline_ns <= now_ns;
    if (is_ack_due && ch->acks.range_count >= RANGES_MANY && ch->recovery.open_count == 0) {
        ch->owes_ping = true;
    }
    const bool has = has_more(ch);
    const bool may =
        has && ki_channel_recovery_reserve(ch) &&
        (ch->recovery.probe_count > 0 || ki_channel_congestion_may_send(ch, most, now_ns));
    if (!has) {
        ch->congestion.is_full = false;
    }
    if (!may && !is_ack_due) {
        return false;
    }
    memset(&pk, 0, sizeof pk);
    pk.w.data = out->data;
    pk.w.bytes = most < out->room_bytes ? most : out->room_bytes;
    pk.head_bytes = pk.w.at = ki_channel_write_header(ch, out->data, pk.w.bytes);
    if (pk.w.at == 0) {
        return false;
    }
    if (ch->acks.deadline_ns != KIRIM_NEVER) {
        pack_ack(ch, &pk, now_ns);
    }
    if (may) {
        pack_eliciting(ch, &pk);
    }
    if (pk.w.at == pk.head_bytes) {
        drop_records(ch, &pk);
        return false;
    }
    ch->next_number++;
    fill_departure(ch, out, pk.w.at);
    if (pk.is_eliciting) {
        note_sent(ch, out, pk.records, 0, now_ns);
    } else {
        drop_records(ch, &pk);
    }
    return true;
}

/* ---- the next one ---------------------------------------------------------------------------- */

static bool write_next(struct kirim_channel *ch, struct kirim_channel_departure *out,
                       uint64_t now_ns)
{
    switch (ch->state) {
    case KI_CHANNEL_ASKING:
        if (!ch->owes_hello) {
            return false;
        }
        fill_departure(ch, out, ki_channel_write_hello(ch, out->data, out->room_bytes, now_ns));
        return out->bytes > 0;
    case KI_CHANNEL_BEGINNING:
    case KI_CHANNEL_OPEN:
        return ki_channel_path_output(ch, out, now_ns) || write_probe(ch, out, now_ns) ||
               write_packet(ch, out, now_ns);
    case KI_CHANNEL_CLOSING:
    case KI_CHANNEL_DRAINING:
        return ch->owes_close && write_close(ch, out, now_ns);
    default:
        return false;
    }
}

bool kirim_channel_output(struct kirim_channel *ch, struct kirim_channel_departure *out,
                          uint64_t now_ns)
{
    ch->pace_ns = KIRIM_NEVER;
    if (!write_next(ch, out, now_ns)) {
        return false;
    }
    ch->stats.tx_packets++;
    ch->stats.tx_bytes += out->bytes;
    if (ch->options.keepalive_ns > 0) {
        kirim_keepalive_sent(&ch->keepalive, now_ns);
    }
    return true;
}
