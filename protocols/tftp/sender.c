/* SPDX-License-Identifier: MIT
 *
 * The end of a transfer that sends blocks: see transfer.h.
 *
 * Blocks are counted from 1 without a wrap; the wire has their low 16 bits, so after 65,535 comes
 * 0. `base` < `next` <= `top` + 1, and `top` - `base` is at most a window. A window leaves at once,
 * then an ACK is awaited. One inside the window says that what follows it is missing: sending goes
 * on behind it (RFC 7440 section 4). One of `base` or before it is a duplicate, and nothing is sent
 * for it (RFC 1123 section 4.2.3.1).
 */
#include "parts.h"

enum { CHUNK_BYTES = 512 };

void ki_tftp_sender_start(struct kirim_tftp_transfer *t)
{
    t->state = KIRIM_TFTP_SENDING;
    t->next = 1;
    if (t->request.mode == KIRIM_TFTP_OCTET) {
        t->last = t->file_bytes / t->agreed.blksize + 1;
    }
}

bool ki_tftp_sender_has_data(const struct kirim_tftp_transfer *t)
{
    return t->state == KIRIM_TFTP_SENDING && t->next <= t->base + t->agreed.windowsize &&
           t->next <= t->last;
}

/* ---- what a block holds ---------------------------------------------------------------------- */

/* Exactly so many bytes of the file. */
static kirim_err read_exactly(struct kirim_tftp_transfer *t, uint64_t offset, uint8_t *data,
                              size_t bytes)
{
    size_t got = 0;
    if (bytes == 0) {
        return KIRIM_OK;
    }
    const kirim_err err = t->storage->read(t->storage->user, t->file, offset, data, bytes, &got);
    if (err < 0) {
        return err;
    }
    return got == bytes ? KIRIM_OK : KIRIM_TFTP_ECHANGED;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* One block of converted text, from where `text` and `offset` stand, which go on behind it. */
static kirim_err convert_block(struct kirim_tftp_transfer *t, struct kirim_tftp_netascii *text,
                               uint64_t *offset, struct kirim_tftp_room *block)
{
    size_t used = 0;
    while (used < block->room && (*offset < t->file_bytes || text->has_pending != 0)) {
        uint8_t chunk[CHUNK_BYTES];
        struct kirim_tftp_room out = { block->data + used, block->room - used, 0 };
        const size_t bytes = (size_t)min64(min64(t->file_bytes - *offset, sizeof chunk), out.room);
        const kirim_err err = read_exactly(t, *offset, chunk, bytes);
        if (err < 0) {
            return err;
        }
        const struct kirim_tftp_span in = { chunk, bytes };
        *offset += kirim_tftp_netascii_encode(text, in, &out);
        used += out.bytes;
    }
    block->bytes = used;
    return KIRIM_OK;
}

static kirim_err fill_block(struct kirim_tftp_transfer *t, struct kirim_tftp_room *block)
{
    if (t->request.mode == KIRIM_TFTP_NETASCII) {
        const kirim_err err = convert_block(t, &t->text, &t->offset, block);
        if (err == KIRIM_OK && block->bytes < block->room) {
            t->last = t->next;
        }
        return err;
    }
    const uint64_t offset = (t->next - 1) * t->agreed.blksize;
    block->bytes = (size_t)min64(block->room, t->file_bytes - offset);
    return read_exactly(t, offset, block->data, block->bytes);
}

/* Converted text has no places that could be computed: what stands behind `base` is found by
 * converting the blocks before it once more, and only when some of a window were lost. */
static kirim_err move_base_text(struct kirim_tftp_transfer *t, uint64_t count)
{
    kirim_err err = KIRIM_OK;
    if (t->request.mode != KIRIM_TFTP_NETASCII) {
        return KIRIM_OK;
    }
    if (t->base + count + 1 == t->next) {
        t->base_text = t->text;
        t->base_offset = t->offset;
        return KIRIM_OK;
    }
    while (count > 0 && err == KIRIM_OK) {
        uint8_t scratch[CHUNK_BYTES] = { 0 };
        size_t left = t->agreed.blksize;
        while (left > 0 && err == KIRIM_OK) {
            struct kirim_tftp_room room = { scratch, (size_t)min64(left, sizeof scratch), 0 };
            err = convert_block(t, &t->base_text, &t->base_offset, &room);
            left = room.bytes < room.room ? 0 : left - room.bytes;
        }
        count--;
    }
    return err;
}

/* Sending goes on behind `base`. */
static void go_back(struct kirim_tftp_transfer *t)
{
    t->next = t->base + 1;
    t->text = t->base_text;
    t->offset = t->base_offset;
    t->timed = 0;
}

/* ---- out and in ------------------------------------------------------------------------------ */

kirim_err ki_tftp_sender_write(struct kirim_tftp_transfer *t, struct kirim_tftp_room *out,
                               uint64_t now_ns)
{
    struct kirim_tftp_room block = { out->data + KIRIM_TFTP_HEADER_BYTES, t->agreed.blksize, 0 };
    const kirim_err err = fill_block(t, &block);
    if (err < 0) {
        return err;
    }
    kirim_tftp_write_data_head((uint16_t)t->next, out->data);
    out->bytes = KIRIM_TFTP_HEADER_BYTES + block.bytes;
    const bool is_first_time = t->next > t->top;
    if (is_first_time) {
        t->stats.blocks++;
        t->top = t->next;
    } else {
        t->stats.resent++;
    }
    const bool is_answered = t->next == t->last || t->next == t->base + t->agreed.windowsize;
    if (is_first_time && is_answered) {
        t->timed = t->next;
        t->timed_ns = now_ns;
    }
    t->next++;
    ki_tftp_await(t, now_ns);
    return KIRIM_OK;
}

static uint64_t acknowledged_bytes(const struct kirim_tftp_transfer *t)
{
    if (t->request.mode == KIRIM_TFTP_NETASCII) {
        return t->base_offset;
    }
    return min64(t->base * t->agreed.blksize, t->file_bytes);
}

void ki_tftp_sender_ack(struct kirim_tftp_transfer *t, uint16_t block, uint64_t now_ns)
{
    const uint64_t ahead = (uint16_t)(block - (uint16_t)t->base);
    if (ahead == 0 || ahead > t->top - t->base) {
        t->stats.duplicates++;
        return;
    }
    if (t->timed != 0 && t->base + ahead >= t->timed) {
        kirim_rtt_sample(&t->rtt, now_ns - t->timed_ns);
    }
    const kirim_err err = move_base_text(t, ahead);
    if (err < 0) {
        kirim_tftp_transfer_fail(t, err, true);
        return;
    }
    t->base += ahead;
    t->moved_bytes = acknowledged_bytes(t);
    ki_tftp_note_progress(t, now_ns);
    if (t->base == t->last) {
        ki_tftp_finish(t);
        return;
    }
    go_back(t);
    ki_tftp_await(t, now_ns);
}

void ki_tftp_sender_expire(struct kirim_tftp_transfer *t, uint64_t now_ns)
{
    if (ki_tftp_sender_has_data(t)) {
        ki_tftp_await(t, now_ns); /* the queue is full: the window has not left yet */
        return;
    }
    go_back(t);
    kirim_rtt_back_off(&t->rtt);
    ki_tftp_await(t, now_ns);
}
