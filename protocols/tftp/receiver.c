/* SPDX-License-Identifier: MIT
 *
 * The end of a transfer that takes blocks: see transfer.h.
 *
 * Blocks are taken in order only, and acknowledged when a window is full, at the end of the file,
 * once for each gap, and when nothing has come for a while. A duplicate of the newest block says
 * that its ACK was lost, if there was one; if there was none, the sender may be going through its
 * window again and has some that are new, so there is a moment's wait for these. (RFC 7440 section
 * 4, RFC 1123 section 4.2.3.1.)
 */
#include "parts.h"

#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

/* Some senders start their wait anew with every ACK, also with one that they know: after a few in
 * quick succession they are left alone, so that they get to it. */
enum { CHUNK_BYTES = 512, REPEAT_COUNT_MAX = 3 };

static const uint64_t moment_ns = 20 * MS;
static const uint64_t linger_ns_min = 1500 * MS; /* many send again after 1 s */
static const uint64_t linger_ns_max = 8 * SECOND;

static void acknowledge(struct kirim_tftp_transfer *t)
{
    t->pending = KI_TFTP_ACKNOWLEDGE;
    t->acked = t->have;
}

void ki_tftp_receiver_start(struct kirim_tftp_transfer *t, bool owes_ack, uint64_t now_ns)
{
    t->state = KIRIM_TFTP_RECEIVING;
    if (owes_ack) {
        acknowledge(t);
    }
    ki_tftp_await(t, now_ns);
}

/* Called when an ACK leaves. */
void ki_tftp_receiver_note_ack(struct kirim_tftp_transfer *t, uint64_t now_ns)
{
    if (t->state == KIRIM_TFTP_RECEIVING) {
        t->timed = t->timed == 0 ? t->acked + 1 : KIRIM_NEVER;
        t->timed_ns = now_ns;
        ki_tftp_await(t, now_ns);
    }
}

/* Until then the last ACK is repeated for those who have not heard it. */
static void linger(struct kirim_tftp_transfer *t, uint64_t now_ns)
{
    uint64_t wait_ns = 4 * t->rtt.timeout_ns;
    wait_ns = wait_ns < linger_ns_min ? linger_ns_min : wait_ns;
    wait_ns = wait_ns > linger_ns_max ? linger_ns_max : wait_ns;
    wait_ns = t->linger_ns != 0 ? t->linger_ns : wait_ns;
    const uint64_t end_ns = t->progress_ns + t->give_up_ns; /* whatever the sender does */
    t->deadline_ns = now_ns + wait_ns < end_ns ? now_ns + wait_ns : end_ns;
}

static kirim_err write_text(struct kirim_tftp_transfer *t, struct kirim_tftp_span data, bool is_end)
{
    size_t at = 0;
    do {
        uint8_t chunk[CHUNK_BYTES + 1];
        const size_t left = data.bytes - at;
        const size_t bytes = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        const struct kirim_tftp_span in = { data.data + at, bytes };
        struct kirim_tftp_room out = { chunk, sizeof chunk, 0 };
        at += bytes;
        (void)kirim_tftp_netascii_decode(&t->text, in, is_end && at == data.bytes, &out);
        const kirim_err err = t->storage->write(t->storage->user, t->file, chunk, out.bytes);
        if (err < 0) {
            return err;
        }
        t->moved_bytes += out.bytes;
    } while (at < data.bytes);
    return KIRIM_OK;
}

static kirim_err write_block(struct kirim_tftp_transfer *t, struct kirim_tftp_span data,
                             bool is_end)
{
    if (t->request.mode == KIRIM_TFTP_NETASCII) {
        return write_text(t, data, is_end);
    }
    if (data.bytes == 0) {
        return KIRIM_OK;
    }
    t->moved_bytes += data.bytes;
    return t->storage->write(t->storage->user, t->file, data.data, data.bytes);
}

/* The next block. The file is committed before its last block is acknowledged. */
static void take_block(struct kirim_tftp_transfer *t, struct kirim_tftp_span data, uint64_t now_ns)
{
    const bool is_end = data.bytes < t->agreed.blksize;
    const bool is_over = data.bytes > t->bytes_max - t->moved_bytes;
    kirim_err err = is_over ? KIRIM_TFTP_EFULL : write_block(t, data, is_end);
    if (err == KIRIM_OK && is_end) {
        void *const file = t->file;
        t->file = NULL;
        err = t->storage->commit(t->storage->user, file);
    }
    if (err < 0) {
        kirim_tftp_transfer_fail(t, err, true);
        return;
    }
    if (t->timed == t->have + 1) {
        kirim_rtt_sample(&t->rtt, now_ns - t->timed_ns);
    }
    t->timed = 0;
    t->repeat_count = 0;
    t->have++;
    t->stats.blocks++;
    t->is_gap_told = false;
    ki_tftp_note_progress(t, now_ns);
    if (is_end) {
        t->last = t->have;
        t->state = KIRIM_TFTP_LINGERING;
        acknowledge(t);
        linger(t, now_ns);
    } else {
        ki_tftp_await(t, now_ns);
        if (t->have - t->acked >= t->agreed.windowsize) {
            acknowledge(t);
        }
    }
}

/* A block that is there already. */
static void take_duplicate(struct kirim_tftp_transfer *t, bool is_newest, uint64_t now_ns)
{
    t->stats.duplicates++;
    if (!is_newest) {
        return;
    }
    if (t->state == KIRIM_TFTP_LINGERING) {
        acknowledge(t);
        linger(t, now_ns);
    } else if (t->acked == t->have) {
        acknowledge(t);
    } else if (t->deadline_ns > now_ns + moment_ns) {
        t->deadline_ns = now_ns + moment_ns;
    }
}

void ki_tftp_receiver_data(struct kirim_tftp_transfer *t, const struct kirim_tftp_packet *packet,
                           uint64_t now_ns)
{
    const uint32_t ahead = (uint16_t)(packet->block - (uint16_t)t->have);
    if (ahead == 0 || ahead > KIRIM_TFTP_OWN_WINDOW_BLOCKS_MAX) {
        take_duplicate(t, ahead == 0 && t->have > 0, now_ns);
    } else if (t->state == KIRIM_TFTP_LINGERING || ahead > t->agreed.windowsize) {
        t->stats.ignored++;
    } else if (packet->data.bytes > t->agreed.blksize) {
        kirim_tftp_transfer_fail(t, KIRIM_TFTP_EFORM, true);
    } else if (ahead == 1) {
        take_block(t, packet->data, now_ns);
    } else {
        t->stats.gaps++;
        if (!t->is_gap_told) {
            t->is_gap_told = true;
            acknowledge(t);
        }
    }
}

void ki_tftp_receiver_expire(struct kirim_tftp_transfer *t)
{
    if (t->acked == t->have) {
        kirim_rtt_back_off(&t->rtt);
        t->repeat_count++;
        if (t->repeat_count > REPEAT_COUNT_MAX) {
            t->repeat_count = 0;
            while (t->rtt.timeout_ns < t->rtt.options.max_ns) {
                kirim_rtt_back_off(&t->rtt);
            }
        }
    }
    acknowledge(t);
    t->is_gap_told = false;
}
